/* The system-call filters; see seccomp.h. The lists are the policy: a call that is in no list fails
 * with ENOSYS, so that programs fall back as on an older kernel; a call that is refused on purpose
 * fails with EPERM. Syscalls seen in real agents: specs/agents.md 2.1. */
#include "supervisor/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#define CLONE_NEW_ANY                                                                  \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
		CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWTIME)

/* What programs inside a sandbox may call. Names that this libseccomp does not know are skipped. */
static const char *const agent_calls[] = {"accept", "accept4", "access", "alarm", "arch_prctl",
	"bind", "brk", "cachestat", "capget", "capset", "chdir", "chmod", "chown", "clock_getres",
	"clock_gettime", "clock_nanosleep", "close", "close_range", "connect", "copy_file_range",
	"creat", "dup", "dup2", "dup3", "epoll_create", "epoll_create1", "epoll_ctl",
	"epoll_ctl_old", "epoll_pwait", "epoll_pwait2", "epoll_wait", "epoll_wait_old", "eventfd",
	"eventfd2", "execve", "execveat", "exit", "exit_group", "faccessat", "faccessat2",
	"fadvise64", "fallocate", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchownat",
	"fcntl", "fdatasync", "fgetxattr", "flistxattr", "flock", "fork", "fremovexattr",
	"fsetxattr", "fstat", "fstatfs", "fsync", "ftruncate", "futex", "futex_wait", "futex_waitv",
	"futex_wake", "futex_requeue", "futimesat", "get_robust_list", "get_thread_area", "getcpu",
	"getcwd", "getdents", "getdents64", "getegid", "geteuid", "getgid", "getgroups",
	"getitimer", "getpeername", "getpgid", "getpgrp", "getpid", "getppid", "getpriority",
	"getrandom", "getresgid", "getresuid", "getrlimit", "getrusage", "getsid", "getsockname",
	"getsockopt", "gettid", "gettimeofday", "getuid", "getxattr", "inotify_add_watch",
	"inotify_init", "inotify_init1", "inotify_rm_watch", "ioprio_get", "ioprio_set", "kill",
	"landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "lchown",
	"lgetxattr", "link", "linkat", "listen", "listxattr", "llistxattr", "lremovexattr", "lseek",
	"lsetxattr", "lstat", "madvise", "membarrier", "memfd_create", "mincore", "mkdir",
	"mkdirat", "mknod", "mknodat", "mlock", "mlock2", "mlockall", "mmap", "mprotect",
	"mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedsend", "mq_unlink",
	"mremap", "mseal", "msgctl", "msgget", "msgrcv", "msgsnd", "msync", "munlock", "munlockall",
	"munmap", "nanosleep", "newfstatat", "open", "openat", "openat2", "pause", "pidfd_open",
	"pidfd_send_signal", "pipe", "pipe2", "pkey_alloc", "pkey_free", "pkey_mprotect", "poll",
	"ppoll", "prctl", "pread64", "preadv", "preadv2", "prlimit64", "pselect6", "pwrite64",
	"pwritev", "pwritev2", "read", "readahead", "readlink", "readlinkat", "readv", "recvfrom",
	"recvmmsg", "recvmsg", "remap_file_pages", "removexattr", "rename", "renameat", "renameat2",
	"restart_syscall", "rmdir", "rseq", "rt_sigaction", "rt_sigpending", "rt_sigprocmask",
	"rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "rt_tgsigqueueinfo",
	"sched_get_priority_max", "sched_get_priority_min", "sched_getaffinity", "sched_getattr",
	"sched_getparam", "sched_getscheduler", "sched_rr_get_interval", "sched_setaffinity",
	"sched_setattr", "sched_setparam", "sched_setscheduler", "sched_yield", "seccomp", "select",
	"semctl", "semget", "semop", "semtimedop", "sendfile", "sendmmsg", "sendmsg", "sendto",
	"set_robust_list", "set_thread_area", "set_tid_address", "setfsgid", "setfsuid", "setgid",
	"setgroups", "setitimer", "setpgid", "setpriority", "setregid", "setresgid", "setresuid",
	"setreuid", "setrlimit", "setsid", "setsockopt", "setuid", "setxattr", "shmat", "shmctl",
	"shmdt", "shmget", "shutdown", "sigaltstack", "signalfd", "signalfd4", "splice", "stat",
	"statfs", "statx", "symlink", "symlinkat", "sync", "sync_file_range", "syncfs", "sysinfo",
	"tee", "tgkill", "time", "timer_create", "timer_delete", "timer_getoverrun",
	"timer_gettime", "timer_settime", "timerfd_create", "timerfd_gettime", "timerfd_settime",
	"times", "tkill", "truncate", "umask", "uname", "unlink", "unlinkat", "utime", "utimensat",
	"utimes", "vfork", "vmsplice", "wait4", "waitid", "waitpid", "write", "writev"};

/* Only the launch itself may call these; the tail filter takes them away with EPERM. */
static const char *const launch_calls[] = {"mount", "open_tree", "move_mount", "mount_setattr",
	"setns", "unshare", "sethostname", "keyctl"};

/* Refused by name, so that the error is EPERM and not ENOSYS. */
static const char *const refused_calls[] = {"acct", "add_key", "adjtimex", "bpf", "chroot",
	"clock_adjtime", "clock_settime", "delete_module", "fanotify_init", "fanotify_mark",
	"finit_module", "fsconfig", "fsmount", "fsopen", "fspick", "init_module", "io_uring_enter",
	"io_uring_register", "io_uring_setup", "ioperm", "iopl", "kexec_file_load", "kexec_load",
	"lookup_dcookie", "mbind", "memfd_secret", "migrate_pages", "modify_ldt", "move_pages",
	"name_to_handle_at", "nfsservctl", "open_by_handle_at", "perf_event_open", "pidfd_getfd",
	"pivot_root", "process_madvise", "process_mrelease", "quotactl", "quotactl_fd", "reboot",
	"request_key", "set_mempolicy", "setdomainname", "settimeofday", "statmount", "listmount",
	"swapoff", "swapon", "syslog", "umount", "umount2", "uselib", "userfaultfd", "ustat",
	"vhangup"};

/* A debugger inside: refused unless the policy says otherwise. */
static const char *const debug_calls[] = {
	"ptrace", "process_vm_readv", "process_vm_writev", "kcmp"};

struct build {
	scmp_filter_ctx ctx;
	int failed; /* first negative errno of libseccomp */
};

static void note(struct build *b, int r)
{
	if (r < 0 && !b->failed)
		b->failed = r;
}

static void rule(struct build *b, uint32_t action, const char *name)
{
	int nr = seccomp_syscall_resolve_name(name);

	if (nr >= 0)
		note(b, seccomp_rule_add(b->ctx, action, nr, 0));
}

static void rules(struct build *b, uint32_t action, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		rule(b, action, names[i]);
}

/* One argument compared in its low 32 bits: the kernel drops the rest of an int argument, so a
 * comparison of all 64 would be a hole (CVE-2019-10063). */
static void rule_arg32(struct build *b, uint32_t action, int nr, unsigned arg, uint32_t value)
{
	note(b, seccomp_rule_add(b->ctx, action, nr, 1,
			SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, 0xffffffffu, value)));
}

static int begin(struct build *b, uint32_t default_action)
{
	*b = (struct build){.ctx = seccomp_init(default_action)};
	if (!b->ctx)
		return -1;
	note(b, seccomp_attr_set(b->ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS)));
	note(b, seccomp_attr_set(b->ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2));
	return 0;
}

static int finish(struct build *b, struct sock_fprog *out, struct error *e)
{
	cleanup_close int fd = memfd_create("agentd-bpf", MFD_CLOEXEC);
	struct stat st;
	struct sock_filter *code;
	int r = b->failed;

	if (r >= 0)
		r = fd < 0 ? -errno : seccomp_export_bpf(b->ctx, fd);
	seccomp_release(b->ctx);
	if (r < 0)
		return error_set(e, -r, "cannot build a seccomp filter");
	if (fstat(fd, &st) < 0 || lseek(fd, 0, SEEK_SET) < 0 ||
		!(code = malloc((size_t)st.st_size)))
		return error_set(e, errno, "cannot keep a seccomp filter");
	if (io_read_full(fd, code, (size_t)st.st_size) != st.st_size) {
		free(code);
		return error_set(e, 0, "cannot read a seccomp filter back");
	}
	out->len = (unsigned short)((size_t)st.st_size / sizeof *code);
	out->filter = code;
	return 0;
}

/* AF_UNIX; TCP, UDP and ping over IP; AF_NETLINK only for NETLINK_ROUTE, which getifaddrs(3) needs. The
 * rest (packet, vsock, SCTP, MPTCP, …) falls to the filter's default, so that no protocol's module is
 * loaded either. */
static void allow_sockets(struct build *b)
{
	static const uint32_t families[] = {AF_INET, AF_INET6};
	static const uint32_t protocols[] = {
		0, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6};

	rule_arg32(b, SCMP_ACT_ALLOW, SCMP_SYS(socket), 0, AF_UNIX);
	rule_arg32(b, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 0, AF_UNIX);
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		for (size_t k = 0; k < ARRAY_LEN(protocols); k++)
			note(b, seccomp_rule_add(b->ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
					SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffffu, families[i]),
					SCMP_A2(SCMP_CMP_MASKED_EQ, 0xffffffffu, protocols[k])));
	}
	note(b, seccomp_rule_add(b->ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
			SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffffu, AF_NETLINK),
			SCMP_A2(SCMP_CMP_MASKED_EQ, 0xffffffffu, 0)));
}

static int build_bulk(struct sock_fprog *out, struct error *e)
{
	struct build b;

	if (begin(&b, SCMP_ACT_ERRNO(ENOSYS)) < 0)
		return error_set(e, ENOMEM, "cannot start a seccomp filter");
	rules(&b, SCMP_ACT_ALLOW, agent_calls, ARRAY_LEN(agent_calls));
	rules(&b, SCMP_ACT_ALLOW, launch_calls, ARRAY_LEN(launch_calls));
	rules(&b, SCMP_ACT_ALLOW, debug_calls, ARRAY_LEN(debug_calls));
	rules(&b, SCMP_ACT_ERRNO(EPERM), refused_calls, ARRAY_LEN(refused_calls));
	rule(&b, SCMP_ACT_ALLOW, "clone");
	rule(&b, SCMP_ACT_ALLOW, "clone3");
	rule(&b, SCMP_ACT_ALLOW, "ioctl");
	allow_sockets(&b);
	rule_arg32(&b, SCMP_ACT_ALLOW, SCMP_SYS(personality), 0, 0);
	rule_arg32(&b, SCMP_ACT_ALLOW, SCMP_SYS(personality), 0, 0xffffffffu);
	return finish(&b, out, e);
}

/* A set-user-id or set-group-id file that an agent makes is an ordinary one inside, but runs as its
 * owner for every user of the host. (openat2 has its mode behind a pointer: it is refused as a whole,
 * and libraries fall back.) */
static void refuse_set_id(struct build *b)
{
	static const struct {
		const char *name;
		unsigned mode_arg;
		int flags_arg; /* -1: the mode always counts */
	} calls[] = {{"chmod", 1, -1}, {"fchmod", 1, -1}, {"fchmodat", 2, -1}, {"fchmodat2", 2, -1},
		{"creat", 1, -1}, {"mknod", 1, -1}, {"mknodat", 2, -1}, {"open", 2, 1},
		{"openat", 3, 2}};
	static const uint32_t bits[] = {S_ISUID, S_ISGID};

	for (size_t i = 0; i < ARRAY_LEN(calls) * ARRAY_LEN(bits); i++) {
		int nr = seccomp_syscall_resolve_name(calls[i / 2].name),
		    flags = calls[i / 2].flags_arg;
		uint32_t bit = bits[i % 2];
		struct scmp_arg_cmp arg[2] = {
			SCMP_CMP(calls[i / 2].mode_arg, SCMP_CMP_MASKED_EQ, bit, bit),
			SCMP_CMP((unsigned)(flags < 0 ? 0 : flags), SCMP_CMP_MASKED_EQ, O_CREAT,
				O_CREAT)};

		if (nr >= 0)
			note(b, seccomp_rule_add_array(b->ctx, SCMP_ACT_ERRNO(EPERM), nr,
					flags < 0 ? 1u : 2u, arg));
	}
}

/* What the arguments decide. Loaded once: the launch itself does none of it. */
static int build_arguments(struct sock_fprog *out, struct error *e)
{
	static const uint32_t ioctls[] = {TIOCSTI, TIOCLINUX, TIOCCONS, TIOCSETD, TIOCVHANGUP};
	struct build b;

	if (begin(&b, SCMP_ACT_ALLOW) < 0)
		return error_set(e, ENOMEM, "cannot start a seccomp filter");
	for (unsigned bit = 0; bit < 32; bit++) {
		uint32_t flag = 1u << bit;

		if (CLONE_NEW_ANY & flag)
			note(&b, seccomp_rule_add(b.ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
					 SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag)));
	}
	for (size_t i = 0; i < ARRAY_LEN(ioctls); i++)
		rule_arg32(&b, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1, ioctls[i]);
	rule_arg32(&b, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prctl), 0, PR_SET_MM);
	refuse_set_id(&b);
	/* A lingering socket, sent to a daemon and closed there, would hold the daemon for as long as
	 * it lingers. It is taken for done. */
	note(&b, seccomp_rule_add(b.ctx, SCMP_ACT_ERRNO(0), SCMP_SYS(setsockopt), 2,
			 SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffu, SOL_SOCKET),
			 SCMP_A2(SCMP_CMP_MASKED_EQ, 0xffffffffu, SO_LINGER)));
	return finish(&b, out, e);
}

/* Names only: what is loaded per launch is emulated by the kernel for every call there is. */
static int build_tail(int debugger, struct sock_fprog *out, struct error *e)
{
	struct build b;

	if (begin(&b, SCMP_ACT_ALLOW) < 0)
		return error_set(e, ENOMEM, "cannot start a seccomp filter");
	rules(&b, SCMP_ACT_ERRNO(EPERM), launch_calls, ARRAY_LEN(launch_calls));
	if (!debugger)
		rules(&b, SCMP_ACT_ERRNO(EPERM), debug_calls, ARRAY_LEN(debug_calls));
	/* Their arguments are behind a pointer that no filter can read; libraries fall back to clone
	 * and to openat. */
	rule(&b, SCMP_ACT_ERRNO(ENOSYS), "clone3");
	rule(&b, SCMP_ACT_ERRNO(ENOSYS), "openat2");
	return finish(&b, out, e);
}

int seccomp_build(struct seccomp_set *s, struct error *e)
{
	if (build_bulk(&s->bulk, e) < 0 || build_arguments(&s->arguments, e) < 0 ||
		build_tail(0, &s->tail, e) < 0)
		return -1;
	return build_tail(1, &s->tail_ptrace, e);
}

int seccomp_install(const struct sock_fprog *p)
{
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, p);
}

/* Beyond what any program may call: trees to mount for launches (the spawner mounts them), user
 * namespaces, watches; nothing that reaches into the kernel (modules, kexec, bpf, perf, io_uring), other
 * processes' memory, or clocks. */
int seccomp_confine_supervisor(struct error *e)
{
	static const char *const more[] = {"clone", "clone3", "ioctl", "socket", "socketpair",
		"open_tree", "mount_setattr", "fanotify_init", "fanotify_mark",
		"name_to_handle_at"};
	struct sock_fprog p = {0};
	struct build b;
	int r;

	if (begin(&b, SCMP_ACT_ERRNO(EPERM)) < 0)
		return error_set(e, ENOMEM, "cannot start a seccomp filter");
	rules(&b, SCMP_ACT_ALLOW, agent_calls, ARRAY_LEN(agent_calls));
	rules(&b, SCMP_ACT_ALLOW, more, ARRAY_LEN(more));
	if (finish(&b, &p, e) < 0)
		return -1;
	r = seccomp_install(&p);
	free(p.filter);
	return r < 0 ? error_set(e, errno, "cannot load the supervisor's seccomp filter") : 0;
}
