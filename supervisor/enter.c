/* From clone3 to agentd-init: the order is the security argument. Inside the cgroup first, then the
 * latch is read (see killer.c: either the killer's second cgroup.kill or this check catches a kill
 * that races with the launch), then network, mounts, terminal, identity, capabilities, Landlock,
 * seccomp, exec. Any step that fails ends the launch. See enter.h for what this code may not do. */
#include "supervisor/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>

#include "common/io.h"
#include "supervisor/init/protocol.h"
#include "supervisor/landlock.h"
#include "supervisor/sys.h"
#include "supervisor/template.h"

#define TOP_MAX 16

struct tops { /* top-level directories that are this sandbox's own */
	dev_t own[TOP_MAX +
		  1]; /* the tmpfs that this launch made: only there may root make anything */
	int nown;
	char name[TOP_MAX][64];
	int is_tmpfs[TOP_MAX]; /* 0: a tree of the request is mounted right there */
	int n;
};

__attribute__((format(printf, 2, 3))) static _Noreturn void give_up(
	const struct enter *x, const char *fmt, ...)
{
	va_list ap;

	x->fail->err = errno ? errno : EINVAL;
	va_start(ap, fmt);
	vsnprintf(x->fail->what, sizeof x->fail->what, fmt, ap);
	va_end(ap);
	_exit(x->fail->err < 256 ? x->fail->err : 1);
}

static void join_v1_cgroups(const struct enter *x)
{
	int first = SPAWN_FD_STDIO + (x->plan->flags & PLAN_TERMINAL ? 0 : 3);

	for (uint32_t i = 0; i < x->req->nprocs; i++) {
		if (write(x->fds[first + (int)i], "0", 1) != 1)
			give_up(x, "cannot enter the cgroup that limits it");
	}
}

static void check_latch(const struct enter *x)
{
	if (!latch_check(x->config->latches, x->req->uid, plan_text(x->plan, x->plan->name),
		    x->req->identity, NULL))
		return;
	errno = EKEYREVOKED;
	give_up(x, "a human killed this agent: it is latched");
}

/* ---- mounts ---- */

static void mount_tmpfs(
	const struct enter *x, const char *at, unsigned long flags, const char *options)
{
	if (mount("tmpfs", at, "tmpfs", MS_NOSUID | MS_NODEV | flags, options) < 0)
		give_up(x, "cannot mount a tmpfs at %s", at);
}

static void make_read_only(const struct enter *x, const char *at)
{
	struct mount_attr ro = {.attr_set = MOUNT_ATTR_RDONLY};

	if (mount_setattr(AT_FDCWD, at, 0, &ro, sizeof ro) < 0)
		give_up(x, "cannot make %s read-only", at);
}

static void mask_proc(const struct enter *x)
{
	static const char *const files[] = {"/proc/keys", "/proc/key-users", "/proc/kallsyms",
		"/proc/kcore", "/proc/sysrq-trigger", "/proc/timer_list"};

	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		if (mount(TEMPLATE_EMPTY_FILE, files[i], NULL, MS_BIND, NULL) < 0 &&
			errno != ENOENT)
			give_up(x, "cannot mask %s", files[i]);
	}
}

static void mount_kernel_filesystems(const struct enter *x)
{
	char o[96];

	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=2") < 0)
		give_up(x, "cannot mount /proc");
	mask_proc(x);
	snprintf(o, sizeof o, "newinstance,ptmxmode=0666,mode=0600,uid=%u,gid=%u",
		x->req->kernel_uid, x->req->kernel_uid);
	if (mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, o) < 0)
		give_up(x, "cannot mount /dev/pts");
	mount_tmpfs(x, "/dev/shm", 0, "mode=1777,size=50%,nr_inodes=100k");
	mount_tmpfs(x, "/tmp", 0, "mode=1777,size=50%,nr_inodes=400k");
	mount_tmpfs(x, "/run", MS_NOEXEC, "mode=755,size=2m,nr_inodes=1k");
}

/* The first component of an absolute path. */
static void top_of(const char *path, char *out, size_t cap)
{
	size_t n = strcspn(path + 1, "/");

	snprintf(out, cap, "%.*s", (int)n, path + 1);
}

static int is_system_top(const char *top)
{
	static const char *const fixed[] = {"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32",
		"opt", "tmp", "run", "etc", "dev", "proc", "sys", ".agentd"};

	for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
		if (!strcmp(top, fixed[i]))
			return 1;
	}
	return 0;
}

/* /var/tmp and /var/run as links, but for a workspace that lies below /var/tmp. */
static void fill_var(const struct enter *x)
{
	int used = 0;

	for (uint32_t i = 0; i < x->req->nmounts; i++)
		used |= !strncmp(x->req->text + x->req->mounts[i].dst, "/var/tmp/", 9);
	if ((!used && symlink("../tmp", "/var/tmp") < 0) || symlink("../run", "/var/run") < 0)
		give_up(x, "cannot make /var");
}

static void note_own(const struct enter *x, struct tops *t, const char *at)
{
	struct stat st;

	if (stat(at, &st) < 0 || t->nown == TOP_MAX + 1)
		give_up(x, "cannot examine %s", at);
	t->own[t->nown++] = st.st_dev;
}

/* Gives the top-level directory of path a tmpfs of this sandbox's own, once. */
static void own_top(const struct enter *x, struct tops *t, const char *path)
{
	char top[64], at[72];

	top_of(path, top, sizeof top);
	if (is_system_top(top))
		return;
	for (int i = 0; i < t->n; i++) {
		if (!strcmp(t->name[i], top))
			return;
	}
	errno = ENAMETOOLONG;
	if (t->n == TOP_MAX || strlen(top) >= sizeof top - 1)
		give_up(x, "too many top-level directories to mount on");
	snprintf(at, sizeof at, "/%s", top);
	if (mkdir(at, 0755) < 0 && errno != EEXIST)
		give_up(x, "cannot make %s in the sandbox", at);
	memcpy(t->name[t->n], top, sizeof top);
	t->is_tmpfs[t->n++] = strcmp(at, path) != 0;
	if (!strcmp(at, path))
		return;
	mount_tmpfs(x, at, 0, "mode=755,size=1m,nr_inodes=4k");
	note_own(x, t, at);
	if (!strcmp(top, "var"))
		fill_var(x);
}

static int is_own(const struct tops *t, int dir)
{
	struct stat st;

	if (fstat(dir, &st) < 0)
		return 0;
	for (int i = 0; i < t->nown; i++) {
		if (t->own[i] == st.st_dev)
			return 1;
	}
	return 0;
}

/* Makes the directories above path, and path itself as a directory or an empty file. Each step goes on
 * from a descriptor and follows no link. */
static void make_mount_point(
	const struct enter *x, const struct tops *t, const char *path, int file)
{
	char p[PLAN_PATH_MAX + 1];
	int dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	snprintf(p, sizeof p, "%s", path);
	for (char *s = p + 1, *next; dir >= 0; s = next) {
		size_t n = strcspn(s, "/");
		int last = !s[n], down;

		next = s + n + 1;
		s[n] = 0;
		down = sys_openat2(dir, s, O_PATH | O_CLOEXEC | O_NOFOLLOW, 0, RESOLVE_NO_SYMLINKS);
		if (down < 0 && errno == ENOENT && is_own(t, dir)) {
			int r = last && file ? mknodat(dir, s, S_IFREG | 0444, 0)
					     : mkdirat(dir, s, 0755);

			if (r == 0)
				down = sys_openat2(dir, s, O_PATH | O_CLOEXEC | O_NOFOLLOW, 0,
					RESOLVE_NO_SYMLINKS);
		}
		if (down < 0)
			give_up(x, "cannot make %s as a place to mount", path);
		close(dir);
		dir = down;
		if (last)
			break;
	}
	if (dir < 0)
		give_up(x, "cannot make %s as a place to mount", path);
	close(dir);
}

/* The mount point, looked up without following a single symbolic link: HOME and workspace are the
 * agent's to fill, and a planted link must not move a mount. */
static int open_mount_point(const struct enter *x, const char *dst)
{
	int fd =
		sys_openat2(AT_FDCWD, dst, O_PATH | O_CLOEXEC | O_NOFOLLOW, 0, RESOLVE_NO_SYMLINKS);

	if (fd < 0)
		give_up(x,
			errno == ELOOP
				? "%s leads through a symbolic link, so nothing is mounted there: "
				  "remove the link"
				: "cannot find %s to mount on it",
			dst);
	return fd;
}

/* What covers is a read-only mount in the template already, so that a clone of it is too. */
static int tree_for(const struct enter *x, const struct spawn_mount *m, int fd)
{
	int tree;

	if (!(m->flags & SPAWN_M_HIDE))
		return fd;
	tree = open_tree(AT_FDCWD, m->flags & SPAWN_M_FILE ? TEMPLATE_EMPTY_FILE : TEMPLATE_EMPTY,
		OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		give_up(x, "cannot clone what covers a path");
	return tree;
}

static void mount_trees(const struct enter *x, struct tops *t)
{
	int next = SPAWN_FD_STDIO + (x->plan->flags & PLAN_TERMINAL ? 0 : 3) + (int)x->req->nprocs;

	for (uint32_t i = 0; i < x->req->nmounts; i++) {
		const struct spawn_mount *m = &x->req->mounts[i];
		const char *dst = x->req->text + m->dst;
		int tree, at;

		own_top(x, t, dst);
		if (m->flags & SPAWN_M_MKDIR)
			make_mount_point(x, t, dst, m->flags & SPAWN_M_FILE);
		tree = tree_for(x, m, m->flags & SPAWN_M_HIDE ? -1 : x->fds[next++]);
		at = open_mount_point(x, dst);
		if (move_mount(tree, "", at, "",
			    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
			give_up(x, "cannot mount %s", dst);
		close(at);
		close(tree);
	}
}

/* 1 when the same file or directory is mounted there already, with the same rights. What the agent could
 * mount there itself, it cannot mount at all. */
static int stands(const struct spawn_mount *m, int tree, int at)
{
	struct statx a, b;
	struct statvfs v;

	if (statx(tree, "", AT_EMPTY_PATH, STATX_INO, &a) < 0 ||
		statx(at, "", AT_EMPTY_PATH, STATX_INO, &b) < 0 || fstatvfs(at, &v) < 0)
		return 0;
	return b.stx_attributes & STATX_ATTR_MOUNT_ROOT && a.stx_ino == b.stx_ino &&
	       a.stx_dev_major == b.stx_dev_major && a.stx_dev_minor == b.stx_dev_minor &&
	       !(v.f_flag & ST_RDONLY) == !!(m->flags & SPAWN_M_RW);
}

_Noreturn void enter_again(const struct enter *x, int mnt_ns)
{
	int next = 0;

	if (setns(mnt_ns, CLONE_NEWNS) < 0)
		give_up(x, "cannot enter the sandbox's mount namespace");
	for (uint32_t i = 0; i < x->req->nmounts; i++) {
		const struct spawn_mount *m = &x->req->mounts[i];
		const char *dst = x->req->text + m->dst;
		int tree = tree_for(x, m, m->flags & SPAWN_M_HIDE ? -1 : x->fds[next++]);
		int at = open_mount_point(x, dst);

		if (!stands(m, tree, at) &&
			move_mount(tree, "", at, "",
				MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
			give_up(x, "cannot mount %s", dst);
		close(at);
		close(tree);
	}
	_exit(0);
}

/* ---- /run ---- */

static void write_file(const struct enter *x, const char *path, const char *p, size_t n)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);

	if (fd < 0 || io_write_all(fd, p, n) < 0)
		give_up(x, "cannot write %s", path);
	close(fd);
}

/* PLAN_DATA: files below /etc, which the template links to /run/agentd/etc. */
static void write_data_files(const struct enter *x)
{
	if (mkdir("/run/agentd/etc", 0755) < 0)
		give_up(x, "cannot make /run/agentd/etc");
	for (uint32_t i = 0; i < x->plan->mountc; i++) {
		const struct plan_mount *m = plan_mount_at(x->plan, i);
		char path[PLAN_PATH_MAX + 32];

		if (m->kind != PLAN_DATA)
			continue;
		snprintf(path, sizeof path, "/run/agentd%s", plan_text(x->plan, m->dst));
		for (char *s = path + sizeof "/run/agentd/etc"; *s; s++) {
			if (*s != '/')
				continue;
			*s = 0;
			if (mkdir(path, 0755) < 0 && errno != EEXIST)
				give_up(x, "cannot make %s", path);
			*s = '/';
		}
		write_file(x, path, plan_text(x->plan, m->src), m->src.len);
	}
}

static void open_tool_socket(const struct enter *x)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/run/agentd/tool.sock"};
	int s = x->fds[SPAWN_FD_TOOL];

	if (bind(s, (struct sockaddr *)&a, sizeof a) < 0 || listen(s, 128) < 0 ||
		chmod(a.sun_path, 0666) < 0)
		give_up(x, "cannot open tool.sock");
}

static void build_root(const struct enter *x)
{
	struct tops t = {.n = 0};

	mount_kernel_filesystems(x);
	note_own(x, &t, "/tmp");
	mount_trees(x, &t);
	if (mkdir("/run/agentd", 0755) < 0 ||
		symlink("/.agentd/agentctl", "/run/agentd/agentctl") < 0)
		give_up(x, "cannot make /run/agentd");
	write_data_files(x);
	open_tool_socket(x);
	make_read_only(x, "/run");
	for (int i = 0; i < t.n; i++) {
		char at[72];

		snprintf(at, sizeof at, "/%s", t.name[i]);
		if (t.is_tmpfs[i])
			make_read_only(x, at);
	}
	make_read_only(x, "/");
}

/* ---- descriptors, identity, confinement ---- */

/* A pty of the sandbox's own; its master goes straight to the supervisor. */
static void open_terminal(const struct enter *x, int stdio[3])
{
	struct winsize w = {.ws_row = x->plan->rows, .ws_col = x->plan->cols};
	int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), unlock = 0, slave;
	char kind = INIT_PTY;

	if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) < 0 ||
		ioctl(master, TIOCSWINSZ, &w) < 0)
		give_up(x, "cannot open a pty");
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || io_send_fds(x->fds[SPAWN_FD_CONTROL], &kind, 1, &master, 1, 0) < 0)
		give_up(x, "cannot hand out the pty");
	stdio[0] = stdio[1] = stdio[2] = slave;
}

/* Descriptors 0-2 for the agent, 3 and 4 for init, everything else closed by the exec. The sources are
 * first moved out of the way of their targets. */
static void place_descriptors(const struct enter *x)
{
	int from[5], stdio[3];

	if (x->plan->flags & PLAN_TERMINAL)
		open_terminal(x, stdio);
	else
		memcpy(stdio, x->fds + SPAWN_FD_STDIO, sizeof stdio);
	for (int i = 0; i < 5; i++) {
		int fd = i < 3               ? stdio[i]
			 : i == INIT_FD_PLAN ? x->fds[SPAWN_FD_PLAN]
					     : x->fds[SPAWN_FD_CONTROL];

		from[i] = fcntl(fd, F_DUPFD_CLOEXEC, 64);
		if (from[i] < 0)
			give_up(x, "cannot place descriptor %d", i);
	}
	for (int i = 0; i < 5; i++) {
		if (dup2(from[i], i) < 0)
			give_up(x, "cannot place descriptor %d", i);
	}
	if (sys_close_range(5, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		give_up(x, "cannot mark descriptors close-on-exec");
}

static void limit_resources(const struct enter *x)
{
	rlim_t files = x->plan->open_files ? x->plan->open_files : 1024;
	struct rlimit nofile = {files, files}, none = {0, 0}, now;

	/* Raising the hard limit needs CAP_SYS_RESOURCE, which not every host leaves to root. */
	if (getrlimit(RLIMIT_NOFILE, &now) == 0 && nofile.rlim_max > now.rlim_max)
		nofile.rlim_cur = nofile.rlim_max = now.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &nofile) < 0 || setrlimit(RLIMIT_CORE, &none) < 0 ||
		setpriority(PRIO_PROCESS, 0, 0) < 0)
		give_up(x, "cannot set resource limits");
}

static void become_agent(const struct enter *x)
{
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0)
		give_up(x, "cannot join a session keyring of its own");
	if (setns(x->fds[SPAWN_FD_USERNS], CLONE_NEWUSER) < 0)
		give_up(x, "cannot join the user namespace");
	if (sys_setgroups(0, NULL) < 0)
		give_up(x, "cannot drop supplementary groups");
	if (sys_setresgid(x->plan->inner_gid) < 0 || sys_setresuid(x->plan->inner_uid) < 0)
		give_up(x, "cannot become the agent's uid");
}

static void drop_capabilities(const struct enter *x)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2];
	int c = 0;

	while (prctl(PR_CAPBSET_DROP, c, 0, 0, 0) == 0)
		c++;
	if (errno != EINVAL) /* which says that the kernel has no more */
		give_up(x, "cannot drop capability %d", c);
	memset(d, 0, sizeof d);
	if (syscall(SYS_capset, &h, d) < 0)
		give_up(x, "cannot drop capabilities");
}

static int below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && path[n] == '/';
}

static int inside_writable(const struct enter *x, const char *path)
{
	return below(path, plan_text(x->plan, x->plan->workspace)) ||
	       below(path, plan_text(x->plan, x->plan->home));
}

static void restrict_files(const struct enter *x)
{
	static const char *const readable[] = {"/etc", "/.agentd", "/run", "/var", "/sys"};
	static const char *const writable[] = {"/dev", "/tmp", "/proc"};
	int abi = x->landlock_abi, r;

	if (!abi)
		return; /* the kernel has none: the launch was allowed to go on without (doctor says so) */
	r = landlock_begin(abi);
	if (r < 0 || landlock_allow_listing(r, "/") < 0)
		give_up(x, "cannot make a Landlock ruleset");
	for (int i = 0; i < x->nsystem; i++) {
		if (landlock_allow(r, abi, x->system[i], 0) < 0)
			give_up(x, "cannot allow %s in Landlock", x->system[i]);
	}
	for (size_t i = 0; i < sizeof readable / sizeof *readable; i++) {
		if (landlock_allow(r, abi, readable[i], 0) < 0)
			give_up(x, "cannot allow %s in Landlock", readable[i]);
	}
	for (size_t i = 0; i < sizeof writable / sizeof *writable; i++) {
		if (landlock_allow(r, abi, writable[i], 1) < 0)
			give_up(x, "cannot allow %s in Landlock", writable[i]);
	}
	for (uint32_t i = 0; i < x->req->nmounts; i++) {
		const struct spawn_mount *m = &x->req->mounts[i];

		if (!(m->flags & SPAWN_M_RW) && inside_writable(x, x->req->text + m->dst))
			continue; /* its tree has every right already; the mount is what is read-only */
		if (landlock_allow(r, abi, x->req->text + m->dst, !!(m->flags & SPAWN_M_RW)) < 0)
			give_up(x, "cannot allow %s in Landlock", x->req->text + m->dst);
	}
	if (landlock_enforce(r) < 0)
		give_up(x, "cannot enforce Landlock");
	close(r);
}

/* A protected path for init's self-test: the first destination that is neither writable nor hidden and
 * lies in the workspace. */
static const char *probe_path(const struct enter *x)
{
	const char *ws = plan_text(x->plan, x->plan->workspace);
	size_t n = x->plan->workspace.len;

	for (uint32_t i = 0; i < x->req->nmounts; i++) {
		const struct spawn_mount *m = &x->req->mounts[i];
		const char *dst = x->req->text + m->dst;

		if (!(m->flags & SPAWN_M_RW) && !strncmp(dst, ws, n) && dst[n] == '/')
			return dst;
	}
	return "";
}

static _Noreturn void start_init(const struct enter *x)
{
	char canary[800], kernel[16], owner[16], name[] = "agentd-init";
	char *argv[6] = {name, canary, kernel, owner, NULL, NULL};
	char *envp[] = {NULL};
	char probe[PLAN_PATH_MAX + 1];
	const struct sock_fprog *tail =
		x->plan->flags & PLAN_ALLOW_PTRACE ? &x->filters->tail_ptrace : &x->filters->tail;

	snprintf(canary, sizeof canary, "%s/canary", x->config->paths.run);
	snprintf(kernel, sizeof kernel, "%u", x->req->kernel_uid);
	snprintf(owner, sizeof owner, "%u", x->req->uid);
	snprintf(probe, sizeof probe, "%s", probe_path(x));
	argv[4] = probe;
	if (seccomp_install(tail) < 0)
		give_up(x, "cannot load the seccomp filter");
	syscall(SYS_execveat, x->init_fd, "", argv, envp, AT_EMPTY_PATH);
	give_up(x, "cannot start agentd-init");
}

static void reset_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	for (int s = 1; s < 32; s++)
		signal(s, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

_Noreturn void enter_sandbox(const struct enter *x)
{
	errno = 0;
	join_v1_cgroups(x);
	check_latch(x);
	if (unshare(CLONE_NEWCGROUP) < 0)
		give_up(x, "cannot make a cgroup namespace");
	if (setns(x->netns_fd, CLONE_NEWNET) < 0)
		give_up(x, "cannot enter the network namespace");
	build_root(x);
	if (sethostname(plan_text(x->plan, x->plan->hostname), x->plan->hostname.len) < 0)
		give_up(x, "cannot set the host name");
	place_descriptors(x);
	limit_resources(x);
	become_agent(x);
	drop_capabilities(x);
	if (chdir("/") < 0)
		give_up(x, "cannot enter the new root");
	restrict_files(x);
	reset_signals();
	start_init(x);
}
