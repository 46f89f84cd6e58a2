/* What every role does to itself before it is fed; see role.h. */
#include "agentd/role.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/msg.h"

/* ---- before the walls ---- */

static int parse_args(const char *name, int argc, char **argv, struct paths *p, struct error *e)
{
	const char *root = NULL;

	if (argc == 3 && strcmp(argv[1], "--root") == 0)
		root = argv[2];
	else if (argc != 1)
		return error_set(e, 0, "usage: agentd %s [--root DIR]", name);
	return paths_init(p, root, e);
}

static int refuse_root(const char *name, struct error *e)
{
	uid_t r, eff, saved;
	gid_t rg, eg, sg;

	if (getresuid(&r, &eff, &saved) < 0 || getresgid(&rg, &eg, &sg) < 0)
		return error_set(e, errno, "cannot read the user id");
	if (r == 0 || eff == 0 || saved == 0 || rg == 0 || eg == 0 || sg == 0)
		return error_set(e, 0,
			"the %s does not run as root: the supervisor starts it under its own uid",
			name);
	return 0;
}

int role_begin(const char *name, int argc, char **argv, struct paths *p, struct error *e)
{
	if (parse_args(name, argc, argv, p, e) < 0 || refuse_root(name, e) < 0)
		return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || prctl(PR_SET_NAME, name) < 0)
		return error_set(e, errno, "prctl");
	if (close_range(ROLE_SUPERVISOR_FD + 1, ~0u, 0) < 0)
		return error_set(e, errno, "cannot close inherited descriptors");
	if (fcntl(ROLE_SUPERVISOR_FD, F_SETFD, FD_CLOEXEC) < 0)
		return error_set(e, errno,
			"descriptor %d is not open: the supervisor starts the roles",
			ROLE_SUPERVISOR_FD);
	signal(SIGPIPE, SIG_IGN);
	umask(077);
	return 0;
}

int role_hello(struct error *e)
{
	struct msg_hello h = {.version = WIRE_VERSION, .pid = (uint32_t)getpid()};

	if (wire_send(ROLE_SUPERVISOR_FD, MSG_HELLO, 0, &h, sizeof h, NULL, 0) < 0)
		return error_set(e, errno, "cannot greet the supervisor");
	return 0;
}

/* ---- rlimits ---- */

static int limit(int what, rlim_t value, struct error *e)
{
	struct rlimit r;

	if (getrlimit((__rlimit_resource_t)what, &r) < 0)
		return error_set(e, errno, "getrlimit");
	if (r.rlim_max != RLIM_INFINITY && value > r.rlim_max)
		value = r.rlim_max;
	r.rlim_cur = r.rlim_max = value;
	if (setrlimit((__rlimit_resource_t)what, &r) < 0)
		return error_set(e, errno, "setrlimit");
	return 0;
}

static int set_limits(const struct role_spec *spec, struct error *e)
{
	if (limit(RLIMIT_CORE, 0, e) < 0 || limit(RLIMIT_NOFILE, spec->files_max, e) < 0)
		return -1;
	return spec->file_size_max ? limit(RLIMIT_FSIZE, spec->file_size_max, e) : 0;
}

/* ---- Landlock: landlock(7). The numbers of newer ABIs than the build host's header are here. ---- */

#define FS_ABI1      ((1ull << 13) - 1)
#define FS_REFER     (1ull << 13) /* ABI 2 */
#define FS_TRUNCATE  (1ull << 14) /* ABI 3 */
#define FS_IOCTL_DEV (1ull << 15) /* ABI 5 */
#define NET_TCP      3ull /* ABI 4: bind and connect */
#define SCOPE_ALL    3ull /* ABI 6: abstract unix sockets and signals */

struct ruleset_attr { /* struct landlock_ruleset_attr of ABI 6 */
	uint64_t handled_fs, handled_net, scoped;
};

#define READ_RIGHTS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE_RIGHTS                                                                 \
	(READ_RIGHTS | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | \
		LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |       \
		LANDLOCK_ACCESS_FS_REMOVE_DIR | FS_REFER | FS_TRUNCATE)

static size_t ruleset_for(long abi, struct ruleset_attr *a)
{
	memset(a, 0, sizeof *a);
	a->handled_fs = FS_ABI1 | (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) |
			(abi >= 5 ? FS_IOCTL_DEV : 0);
	a->handled_net = abi >= 4 ? NET_TCP : 0;
	a->scoped = abi >= 6 ? SCOPE_ALL : 0;
	return abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
}

static int allow_dir(
	int ruleset, const struct ruleset_attr *a, const struct role_dir *d, struct error *e)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = (d->writable ? WRITE_RIGHTS : READ_RIGHTS) & a->handled_fs};
	cleanup_close int fd = open(d->path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && d->optional)
		return 0;
	if (fd < 0)
		return error_set(e, errno, "cannot open %s", d->path);
	rule.parent_fd = fd;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return error_set(e, errno, "landlock rule for %s", d->path);
	return 0;
}

static int set_landlock(const struct role_spec *spec, struct error *e)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset_attr a;
	cleanup_close int ruleset = -1;
	size_t size;

	if (abi < 1) {
#ifdef AGENTD_ROLE_NEEDS_LANDLOCK
		return error_set(e, errno, "this kernel has no Landlock");
#else
		return 0;
#endif
	}
	size = ruleset_for(abi, &a);
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &a, size, 0);
	if (ruleset < 0)
		return error_set(e, errno, "cannot make a Landlock ruleset");
	for (size_t i = 0; i < spec->ndirs; i++) {
		if (allow_dir(ruleset, &a, &spec->dirs[i], e) < 0)
			return -1;
	}
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return error_set(e, errno, "cannot apply the Landlock ruleset");
	return 0;
}

/* ---- seccomp ---- */

/* What glibc, libevent and the roles' own code need. Calls with a filter on arguments are below. */
static const int base_calls[] = {
	/* files */
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64),
	SCMP_SYS(pwrite64), SCMP_SYS(pwritev), SCMP_SYS(preadv), SCMP_SYS(open), SCMP_SYS(openat),
	SCMP_SYS(close), SCMP_SYS(close_range), SCMP_SYS(fstat), SCMP_SYS(stat), SCMP_SYS(lstat),
	SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(lseek), SCMP_SYS(getdents64),
	SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(fadvise64), SCMP_SYS(fsync),
	SCMP_SYS(fdatasync), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2),
	SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(rmdir),
	SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink),
	SCMP_SYS(readlinkat), SCMP_SYS(fchmod), SCMP_SYS(flock), SCMP_SYS(fstatfs),
	SCMP_SYS(statfs), SCMP_SYS(fcntl), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3),
	SCMP_SYS(memfd_create), SCMP_SYS(umask), SCMP_SYS(getcwd),
	/* waiting */
	SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select),
	SCMP_SYS(pselect6), SCMP_SYS(eventfd2), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
	SCMP_SYS(pipe2), SCMP_SYS(futex), SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep),
	SCMP_SYS(sched_yield), SCMP_SYS(restart_syscall),
	/* sockets that are there already: none is made */
	SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(recvfrom), SCMP_SYS(sendto),
	SCMP_SYS(accept4), SCMP_SYS(shutdown), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt),
	SCMP_SYS(getsockname), SCMP_SYS(getpeername),
	/* memory */
	SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(msync),
	/* itself */
	SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getppid), SCMP_SYS(getuid), SCMP_SYS(geteuid),
	SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack), SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getrandom),
	SCMP_SYS(uname), SCMP_SYS(sysinfo), SCMP_SYS(sched_getaffinity), SCMP_SYS(getrusage),
	SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(exit), SCMP_SYS(exit_group)};

/* Reaching for one of these means that the process is not ours any more. */
static const int fatal_calls[] = {SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(mount), SCMP_SYS(umount2),
	SCMP_SYS(move_mount), SCMP_SYS(open_tree), SCMP_SYS(fsopen), SCMP_SYS(pivot_root),
	SCMP_SYS(chroot), SCMP_SYS(setns), SCMP_SYS(unshare), SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(keyctl), SCMP_SYS(add_key),
	SCMP_SYS(request_key), SCMP_SYS(io_uring_setup), SCMP_SYS(init_module),
	SCMP_SYS(finit_module), SCMP_SYS(kexec_load), SCMP_SYS(open_by_handle_at), SCMP_SYS(setuid),
	SCMP_SYS(setresuid), SCMP_SYS(setgid), SCMP_SYS(setresgid), SCMP_SYS(setgroups),
	SCMP_SYS(capset), SCMP_SYS(personality), SCMP_SYS(socket), SCMP_SYS(connect),
	SCMP_SYS(pidfd_getfd)};

static int add_calls(scmp_filter_ctx f, uint32_t action, const int *calls, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int r = seccomp_rule_add(f, action, calls[i], 0);

		/* EEXIST: a role names a call that is in the base list already. */
		if (r < 0 && r != -EEXIST)
			return r;
	}
	return 0;
}

static int is_named(const struct role_spec *spec, int call)
{
	for (size_t i = 0; i < spec->nsyscalls; i++) {
		if (spec->syscalls[i] == call)
			return 1;
	}
	return 0;
}

static int add_fatal_calls(scmp_filter_ctx f, const struct role_spec *spec)
{
	for (size_t i = 0; i < ARRAY_LEN(fatal_calls); i++) {
		int r = 0;

		if (!is_named(spec, fatal_calls[i]))
			r = seccomp_rule_add(f, SCMP_ACT_KILL_PROCESS, fatal_calls[i], 0);
		if (r < 0)
			return r;
	}
	return 0;
}

/* No new executable memory; of the ioctls only "how much can be read", which libevent asks; signals
 * to itself only, for abort(3). */
static int add_filtered_calls(scmp_filter_ctx f)
{
	const struct scmp_arg_cmp no_exec = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	const struct scmp_arg_cmp fionread = SCMP_A1(SCMP_CMP_EQ, FIONREAD);
	const struct scmp_arg_cmp self = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid());
	int r = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, &no_exec);

	if (r == 0)
		r = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, &no_exec);
	if (r == 0)
		r = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, &fionread);
	if (r == 0)
		r = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, &self);
	return r;
}

static int set_seccomp(const struct role_spec *spec, struct error *e)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r = f ? 0 : -ENOMEM;

	/* 2: a binary tree instead of a chain of comparisons, where the library can do it. */
	if (r == 0)
		(void)seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r == 0)
		r = seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r == 0)
		r = add_calls(f, SCMP_ACT_ALLOW, base_calls, ARRAY_LEN(base_calls));
	if (r == 0)
		r = add_calls(f, SCMP_ACT_ALLOW, spec->syscalls, spec->nsyscalls);
	if (r == 0)
		r = add_filtered_calls(f);
	if (r == 0)
		r = add_fatal_calls(f, spec);
	if (r == 0)
		r = seccomp_load(f);
	seccomp_release(f);
	return r < 0 ? error_set(e, -r, "cannot load the %s's system call filter", spec->name) : 0;
}

int role_confine(const struct role_spec *spec, struct error *e)
{
	if (set_limits(spec, e) < 0 || set_landlock(spec, e) < 0)
		return -1;
	return set_seccomp(spec, e);
}
