/* Escape attempts, run inside a sandbox by tests/conformance/walls.py, one word each. Every attempt
 * prints one line: "NAME refused: ERRNO", "NAME OPEN: what worked", "NAME works" or "NAME broken:
 * why". What each should print is said in walls.py and, with the number of the reported bypass it
 * comes from, in SECURITY.md. Must never do harm where a wall is missing: each attempt stops at the
 * first sign of success. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define X32_BIT 0x40000000L

static const char *attempt; /* the word under test, for its line */
static char **args; /* what follows the word on the command line */

static const char *errno_name(int e)
{
	static const struct {
		int e;
		const char *name;
	} names[] = {{EPERM, "EPERM"}, {ENOENT, "ENOENT"}, {ESRCH, "ESRCH"}, {EBADF, "EBADF"},
		{EACCES, "EACCES"}, {EFAULT, "EFAULT"}, {EBUSY, "EBUSY"}, {EEXIST, "EEXIST"},
		{EXDEV, "EXDEV"}, {ENODEV, "ENODEV"}, {ENOTDIR, "ENOTDIR"}, {EISDIR, "EISDIR"},
		{EINVAL, "EINVAL"}, {ENOTTY, "ENOTTY"}, {EROFS, "EROFS"}, {ENOSYS, "ENOSYS"},
		{ELOOP, "ELOOP"}, {ENOTEMPTY, "ENOTEMPTY"}, {EPROTONOSUPPORT, "EPROTONOSUPPORT"},
		{EAFNOSUPPORT, "EAFNOSUPPORT"}, {ENETUNREACH, "ENETUNREACH"}, {ENXIO, "ENXIO"},
		{ECONNREFUSED, "ECONNREFUSED"}, {EOPNOTSUPP, "EOPNOTSUPP"}, {EIO, "EIO"},
		{ENOSPC, "ENOSPC"}, {EUSERS, "EUSERS"}, {ENOKEY, "ENOKEY"}, {EIDRM, "EIDRM"},
		{ESTALE, "ESTALE"}, {EDESTADDRREQ, "EDESTADDRREQ"},
		{EADDRNOTAVAIL, "EADDRNOTAVAIL"}, {EHOSTUNREACH, "EHOSTUNREACH"},
		{ETIMEDOUT, "ETIMEDOUT"}};
	static char other[16];

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].e == e)
			return names[i].name;
	snprintf(other, sizeof other, "errno-%d", e);
	return other;
}

__attribute__((format(printf, 1, 2))) static void open_wall(const char *fmt, ...)
{
	va_list ap;

	printf("%s OPEN: ", attempt);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

/* r is what a system call returned: below zero is a refusal with errno. */
static void refused_or_open(long r)
{
	if (r < 0)
		printf("%s refused: %s\n", attempt, errno_name(errno));
	else
		open_wall("returned %ld", r);
}

static void works_if(int good)
{
	if (good)
		printf("%s works\n", attempt);
	else
		printf("%s broken: %s\n", attempt, errno_name(errno));
}

static const char *arg(int i)
{
	for (int k = 0; k <= i; k++)
		if (!args[k]) {
			fprintf(stderr, "%s: argument %d is missing\n", attempt, i + 1);
			exit(2);
		}
	return args[i];
}

static int same(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static int starts(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

static int is_dots(const char *name)
{
	return same(name, ".") || same(name, "..");
}

static int number(const char *s)
{
	return (int)strtol(s, NULL, 0);
}

/* ---- system calls that no agent needs ---------------------------------------------------------- */

static void bare_syscall(void)
{
	static const struct {
		const char *name;
		long nr;
		long a[5];
	} calls[] = {
		{"io-uring", 425, {4, 0}},
		{"userfaultfd", SYS_userfaultfd, {1}},
		{"bpf", SYS_bpf, {0, 0, 0}},
		{"perf", SYS_perf_event_open, {0, 0, -1, -1, 0}},
		{"keyctl", SYS_keyctl, {0, -3, 0}},
		{"add-key", SYS_add_key, {0, 0, 0, 0, -3}},
		{"request-key", SYS_request_key, {0, 0, 0, -3}},
		{"open-by-handle", SYS_open_by_handle_at, {-100, 0, 0}},
		{"kexec", SYS_kexec_load, {0, 0, 0, 0}},
		{"init-module", SYS_init_module, {0, 0, 0}},
		{"finit-module", SYS_finit_module, {-1, 0, 0}},
		{"delete-module", SYS_delete_module, {0, 0}},
		{"mount", SYS_mount, {0, 0, 0, 0, 0}},
		{"umount", SYS_umount2, {0, 0}},
		{"pivot-root", SYS_pivot_root, {0, 0}},
		{"fsopen", 430, {0, 0}},
		{"fsmount", 432, {-1, 0, 0}},
		{"fspick", 433, {-1, 0, 0}},
		{"open-tree", 428, {-100, 0, 0}},
		{"move-mount", 429, {-1, 0, -1, 0, 0}},
		{"mount-setattr", 442, {-1, 0, 0, 0, 0}},
		{"swapon", SYS_swapon, {0, 0}},
		{"reboot", SYS_reboot, {0, 0, 0, 0}},
		{"acct", SYS_acct, {0}},
		{"quotactl", SYS_quotactl, {0, 0, 0, 0}},
		{"syslog", SYS_syslog, {3, 0, 0}},
		{"settime", SYS_settimeofday, {0, 0}},
		{"clock-settime", SYS_clock_settime, {0, 0}},
		{"sethostname", SYS_sethostname, {0, 0}},
		{"fanotify", SYS_fanotify_init, {0, 0}},
		{"pidfd-getfd", 438, {-1, 0, 0}},
		{"kcmp", SYS_kcmp, {1, 1, 0, 0, 0}},
		{"process-madvise", 440, {-1, 0, 0, 0, 0}},
		{"lookup-dcookie", 212, {0, 0, 0}},
		{"move-pages", SYS_move_pages, {1, 0, 0, 0, 0}},
		{"vhangup", SYS_vhangup, {0}},
#ifdef __x86_64__
		{"iopl", SYS_iopl, {3}},
		{"ioperm", SYS_ioperm, {0, 1, 1}},
		{"x32", SYS_getpid | X32_BIT, {0}},
		{"x32-open", SYS_openat | X32_BIT, {-100, 0, 0}},
#endif
	};

	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		if (same(calls[i].name, attempt)) {
			long r = syscall(calls[i].nr, calls[i].a[0], calls[i].a[1], calls[i].a[2],
				calls[i].a[3], calls[i].a[4]);

			/* EFAULT, EBADF: the call was carried out and only found our null arguments
			 * wrong, so nothing stood before it. */
			if (r < 0 && errno != EFAULT && errno != EBADF && errno != EINVAL)
				printf("%s refused: %s\n", attempt, errno_name(errno));
			else
				open_wall("reached the kernel (%ld, %s)", r,
					r < 0 ? errno_name(errno) : "no error");
			return;
		}
	fprintf(stderr, "no such attempt: %s\n", attempt);
	exit(2);
}

/* Runs f in a child: a filter may answer with a signal. */
static void in_child(void (*f)(void))
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		f();
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		printf("%s refused: signal-%d\n", attempt, WTERMSIG(status));
}

static void int80_child(void)
{
#ifdef __x86_64__
	long r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(20L) : "memory"); /* i386 getpid */
	if (r < 0) {
		errno = (int)-r;
		r = -1;
	}
	refused_or_open(r);
#else
	printf("%s refused: ENOSYS\n", attempt);
#endif
}

static void int80(void)
{
	in_child(int80_child);
}

/* ---- other processes --------------------------------------------------------------------------- */

static void ptrace_child(void)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	refused_or_open(ptrace(PTRACE_SEIZE, pid, 0, 0));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
}

static void ptrace_init(void)
{
	refused_or_open(ptrace(PTRACE_SEIZE, 1, 0, 0));
}

static void ptrace_traceme(void)
{
	refused_or_open(ptrace(PTRACE_TRACEME, 0, 0, 0));
}

static void vm_readv(void)
{
	char buf[8];
	struct iovec l = {buf, sizeof buf}, r = {(void *)0x400000, sizeof buf};

	refused_or_open(process_vm_readv(1, &l, 1, &r, 1, 0));
}

static void vm_writev(void)
{
	char buf[8] = "";
	struct iovec l = {buf, 0}, r = {(void *)0x400000, 0};

	refused_or_open(process_vm_writev(1, &l, 1, &r, 1, 0));
}

static void signal_pid(void)
{
	refused_or_open(kill(number(arg(0)), 0));
}

/* Signals to init: it may be named, but must not end, stop or be disturbed. */
static void signal_init(void)
{
	kill(1, SIGKILL);
	kill(1, SIGSTOP);
	kill(1, SIGTERM);
	usleep(100000);
	works_if(1); /* with init dead nobody would be here to say so */
}

static void read_path(void)
{
	char buf[64];
	int fd = open(arg(0), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n;

	if (fd < 0) {
		refused_or_open(-1);
		return;
	}
	n = read(fd, buf, sizeof buf);
	if (n < 0)
		refused_or_open(-1);
	else if (n == 0)
		printf("%s refused: empty\n", attempt);
	else
		open_wall("read %zd bytes", n);
	close(fd);
}

/* Directories below path that can be entered by name lookup. */
static void enter_path(void)
{
	char p[4200];
	DIR *d;
	const struct dirent *e;
	int n = 0;

	snprintf(p, sizeof p, "%s/", arg(0));
	d = opendir(p);
	if (!d) {
		refused_or_open(-1);
		return;
	}
	while ((e = readdir(d)))
		n += !is_dots(e->d_name);
	closedir(d);
	if (n)
		open_wall("lists %d entries", n);
	else
		printf("%s refused: empty\n", attempt);
}

/* Every /proc/PID there is: none may belong to another kernel uid's process, none may show an
 * environment that is not ours, and pid 1 shows nothing. */
static void proc_scan(void)
{
	static const char *const files[] = {"environ", "mem", "root/etc/passwd", "cwd/.", "maps"};
	DIR *d = opendir("/proc");
	const struct dirent *e;
	char p[300];
	int seen = 0;

	if (!d) {
		printf("%s broken: no /proc\n", attempt);
		return;
	}
	while ((e = readdir(d))) {
		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		seen++;
		if (!same(e->d_name, "1"))
			continue;
		for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
			int fd;

			snprintf(p, sizeof p, "/proc/1/%s", files[i]);
			fd = open(p, O_RDONLY | O_CLOEXEC);
			if (fd >= 0) {
				open_wall("%s can be opened", p);
				close(fd);
				closedir(d);
				return;
			}
		}
	}
	closedir(d);
	if (seen > 20)
		open_wall("%d processes are visible", seen);
	else
		printf("%s refused: %d processes visible\n", attempt, seen);
}

/* ---- namespaces, roots, identities ------------------------------------------------------------- */

static void unshare_ns(void)
{
	static const struct {
		const char *name;
		int flag;
	} ns[] = {{"unshare-user", CLONE_NEWUSER}, {"unshare-mount", CLONE_NEWNS},
		{"unshare-net", CLONE_NEWNET}, {"unshare-pid", CLONE_NEWPID},
		{"unshare-ipc", CLONE_NEWIPC}, {"unshare-uts", CLONE_NEWUTS},
		{"unshare-cgroup", CLONE_NEWCGROUP}, {"unshare-time", 0x80}};

	for (size_t i = 0; i < sizeof ns / sizeof *ns; i++)
		if (same(ns[i].name, attempt))
			refused_or_open(unshare(ns[i].flag));
}

static void clone_user(void)
{
	long r;

	fflush(stdout);
	r = syscall(SYS_clone, (long)(CLONE_NEWUSER | SIGCHLD), 0L, 0L, 0L, 0L);
	if (r == 0)
		_exit(0);
	refused_or_open(r);
}

static void clone3_user(void)
{
	uint64_t ca[11] = {0};
	long r;

	ca[0] = CLONE_NEWUSER;
	ca[4] = SIGCHLD;
	fflush(stdout);
	r = syscall(435, ca, sizeof ca);
	if (r == 0)
		_exit(0);
	refused_or_open(r);
}

static void setns_net(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		refused_or_open(-1);
	else
		open_wall("setns to the own namespace was carried out");
	if (fd >= 0)
		close(fd);
}

static void chroot_tmp(void)
{
	refused_or_open(chroot("/tmp"));
}

static void set_uid(void)
{
	refused_or_open(setresuid(0, 0, 0));
}

static void set_groups(void)
{
	gid_t g = 0;

	refused_or_open(setgroups(1, &g));
}

static void personality_exec(void)
{
	refused_or_open(personality(READ_IMPLIES_EXEC));
}

static void personality_aslr(void)
{
	refused_or_open(personality(ADDR_NO_RANDOMIZE));
}

static void status_fields(void)
{
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");

	if (!f) {
		printf("%s broken: no /proc/self/status\n", attempt);
		return;
	}
	while (fgets(line, sizeof line, f)) {
		line[strcspn(line, "\n")] = 0;
		if ((starts(line, "Cap") && strtoull(strchr(line, ':') + 1, NULL, 16)) ||
			(starts(line, "NoNewPrivs:") && !strchr(line, '1')) ||
			(starts(line, "Seccomp:") && !strchr(line, '2'))) {
			open_wall("%s", line);
			fclose(f);
			return;
		}
	}
	fclose(f);
	printf("%s refused: no capability, no new privileges, filtered\n", attempt);
}

/* A program with the set-user-id bit: none may be able to act on it, on any mount. */
static void mounts_nosuid(void)
{
	char line[4096];
	FILE *f = fopen("/proc/self/mounts", "re");

	if (!f) {
		printf("%s broken: no /proc/self/mounts\n", attempt);
		return;
	}
	while (fgets(line, sizeof line, f)) {
		char dir[1024], type[64], opts[1024];

		if (sscanf(line, "%*s %1023s %63s %1023s", dir, type, opts) != 3)
			continue;
		if (!strstr(opts, "nosuid") || (!strstr(opts, "nodev") && !starts(dir, "/dev"))) {
			open_wall("%s is mounted %s", dir, opts);
			fclose(f);
			return;
		}
	}
	fclose(f);
	printf("%s refused: every mount is nosuid,nodev\n", attempt);
}

static void make_device(void)
{
	static const char *const dirs[] = {".", "/tmp", "/dev", "/dev/shm"};
	char p[64];

	for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
		snprintf(p, sizeof p, "%s/probe-device", dirs[i]);
		if (mknod(p, S_IFBLK | 0600, makedev(8, 0)) == 0 ||
			mknod(p, S_IFCHR | 0600, makedev(1, 1)) == 0) {
			unlink(p);
			open_wall("a device node in %s", dirs[i]);
			return;
		}
	}
	refused_or_open(-1);
}

/* Inherited descriptors. Run as `probe fds`: ours are 0, 1, 2 and the one that reads the list. */
static void fds_open(void)
{
	DIR *d = opendir("/proc/self/fd");
	const struct dirent *e;
	int n = 0;
	char list[256] = "";

	if (!d) {
		printf("%s broken: no /proc/self/fd\n", attempt);
		return;
	}
	while ((e = readdir(d))) {
		int fd = number(e->d_name);

		if (is_dots(e->d_name) || fd <= 2 || fd == dirfd(d))
			continue;
		n++;
		snprintf(list + strlen(list), sizeof list - strlen(list), " %d", fd);
	}
	closedir(d);
	if (n)
		open_wall("descriptors%s", list);
	else
		printf("%s refused: only 0, 1, 2\n", attempt);
}

static void raise_limits(void)
{
	struct rlimit r;

	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_max += 1;
	refused_or_open(setrlimit(RLIMIT_NOFILE, &r));
}

static void realtime(void)
{
	struct sched_param p = {.sched_priority = 1};

	refused_or_open(syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &p));
}

/* A set-user-id or set-group-id file in the workspace would run as its owner for the whole host. */
static void set_id_files(void)
{
	static const mode_t bits[] = {04755, 02755, 06755};
	uint64_t how[3] = {O_CREAT | O_WRONLY | O_CLOEXEC, 04755, 0};
	int open_ways = 0, fd = open("set-id", O_CREAT | O_RDWR | O_CLOEXEC, 0755);
	struct stat st;

	for (size_t i = 0; i < 3; i++) {
		chmod("set-id", bits[i]);
		fchmod(fd, bits[i]);
		syscall(SYS_fchmodat, AT_FDCWD, "set-id", bits[i]);
		syscall(452, AT_FDCWD, "set-id", bits[i], 0); /* fchmodat2 */
		if (fstat(fd, &st) == 0 && st.st_mode & 06000)
			open_ways++;
		unlink("set-id-new");
		close(open("set-id-new", O_CREAT | O_WRONLY | O_CLOEXEC, bits[i]));
		if (stat("set-id-new", &st) == 0 && st.st_mode & 06000)
			open_ways++;
		unlink("set-id-new");
		mknod("set-id-new", S_IFREG | bits[i], 0);
		if (stat("set-id-new", &st) == 0 && st.st_mode & 06000)
			open_ways++;
	}
	unlink("set-id-new");
	syscall(437, AT_FDCWD, "set-id-new", how, sizeof how); /* openat2 */
	if (stat("set-id-new", &st) == 0 && st.st_mode & 06000)
		open_ways++;
	unlink("set-id-new");
	unlink("set-id");
	errno = EPERM;
	refused_or_open(open_ways ? 0 : -1);
}

/* The kernel stacks at most 16 Landlock layers: a sandbox that has one takes only 15 more. */
static void landlock_layer(void)
{
	uint64_t handled[1] = {1}; /* execute */
	int layers = 0;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	while (layers < 20) {
		long fd = syscall(444, handled, sizeof handled, 0); /* landlock_create_ruleset */

		if (fd < 0 || syscall(446, fd, 0) < 0) /* landlock_restrict_self */
			break;
		close((int)fd);
		layers++;
	}
	errno = E2BIG;
	refused_or_open(layers > 0 && layers < 16 ? -1 : 0);
}

static void socket_pairs(void)
{
	static const int families[] = {
		AF_PACKET, 40 /* vsock */, 38 /* alg */, 29 /* can */, 30 /* tipc */};
	int pair[2], made = 0;

	for (size_t i = 0; i < sizeof families / sizeof *families; i++)
		made += socketpair(families[i], SOCK_STREAM, 0, pair) == 0 || errno != ENOSYS;
	errno = ENOSYS;
	refused_or_open(made ? 0 : -1);
}

static void lower_nice(void)
{
	refused_or_open(setpriority(PRIO_PROCESS, 0, -5));
}

/* ---- terminals --------------------------------------------------------------------------------- */

static int own_terminal(void)
{
	int m = posix_openpt(O_RDWR | O_NOCTTY), s;
	char name[64];

	if (m < 0 || grantpt(m) || unlockpt(m) || ptsname_r(m, name, sizeof name))
		return -1;
	setsid();
	s = open(name, O_RDWR);
	if (s >= 0)
		ioctl(s, TIOCSCTTY, 0);
	return s;
}

static void terminal_child(void)
{
	char c = 'x';
	int t = own_terminal();
	unsigned long request = TIOCSTI;

	if (t < 0) {
		printf("%s broken: no terminal of our own: %s\n", attempt, errno_name(errno));
		return;
	}
	if (same(attempt, "tiocsti-high"))
		request |= 1ul << 32;
	if (same(attempt, "tioclinux")) {
		request = TIOCLINUX;
		c = 2;
	}
	refused_or_open(syscall(SYS_ioctl, t, request, &c));
}

static void terminal(void)
{
	in_child(terminal_child);
}

/* ---- network ----------------------------------------------------------------------------------- */

static void socket_family(void)
{
	static const struct {
		const char *name;
		int family, type, proto;
	} s[] = {{"af-packet", AF_PACKET, SOCK_RAW, 0}, {"raw-ip", AF_INET, SOCK_RAW, IPPROTO_ICMP},
		{"raw-ip6", AF_INET6, SOCK_RAW, IPPROTO_ICMPV6},
		{"netlink-generic", AF_NETLINK, SOCK_RAW, 16},
		{"netlink-filter", AF_NETLINK, SOCK_RAW, 12},
		{"netlink-uevent", AF_NETLINK, SOCK_RAW, 15},
		{"netlink-audit", AF_NETLINK, SOCK_RAW, 9},
		{"netlink-diag", AF_NETLINK, SOCK_RAW, 4}, {"af-vsock", AF_VSOCK, SOCK_STREAM, 0},
		{"af-alg", AF_ALG, SOCK_SEQPACKET, 0}, {"af-key", AF_KEY, SOCK_RAW, 2},
		{"af-bluetooth", AF_BLUETOOTH, SOCK_RAW, 1}, {"af-can", AF_CAN, SOCK_RAW, 1},
		{"af-rds", AF_RDS, SOCK_SEQPACKET, 0}, {"af-tipc", AF_TIPC, SOCK_DGRAM, 0},
		{"af-xdp", 44, SOCK_RAW, 0}, {"af-smc", 43, SOCK_STREAM, 0},
		{"sctp", AF_INET, SOCK_STREAM, 132}};

	for (size_t i = 0; i < sizeof s / sizeof *s; i++)
		if (same(s[i].name, attempt))
			refused_or_open(socket(s[i].family, s[i].type, s[i].proto));
}

/* Routing netlink is open for reading (getifaddrs needs it); the interface must not be ours to change. */
static void loopback_down(void)
{
	struct ifreq r = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	refused_or_open(fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &r));
	if (fd >= 0)
		close(fd);
}

static void interfaces(void)
{
	struct ifaddrs *list;

	works_if(getifaddrs(&list) == 0);
}

static void connect_tcp(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number(arg(1)))};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (inet_pton(AF_INET, arg(0), &a.sin_addr) != 1)
		exit(2);
	refused_or_open(fd < 0 ? -1 : connect(fd, (struct sockaddr *)&a, sizeof a));
	if (fd >= 0)
		close(fd);
}

/* "@name" is abstract. */
static void connect_unix(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const char *name = arg(0);
	size_t n = strlen(name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (n >= sizeof a.sun_path)
		exit(2);
	memcpy(a.sun_path, name, n);
	if (name[0] == '@')
		a.sun_path[0] = 0;
	refused_or_open(fd < 0 ? -1
			       : connect(fd, (struct sockaddr *)&a,
					 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n +
						     (name[0] != '@'))));
	if (fd >= 0)
		close(fd);
}

static void only_loopback(void)
{
	char line[256];
	int others = 0;
	FILE *f = fopen("/proc/net/dev", "re");

	while (f && fgets(line, sizeof line, f))
		others += strchr(line, ':') && !strstr(line, " lo:") && !starts(line, "lo:");
	if (f)
		fclose(f);
	if (others)
		open_wall("%d more interfaces", others);
	else
		printf("%s refused: only lo\n", attempt);
}

/* ---- files ------------------------------------------------------------------------------------- */

/* Every way to change the file or directory at arg 0, existing or not. */
static void change_path(void)
{
	const char *p = arg(0);
	char beside[4200], below[4200], what[64] = "";
	struct stat st;
	int there = lstat(p, &st) == 0, fd, last = ENOENT;

	snprintf(beside, sizeof beside, "%s.probe", p);
	snprintf(below, sizeof below, "%s/probe", p);
#define TRY(name, call)                                                                         \
	do {                                                                                    \
		if ((call) >= 0)                                                                \
			snprintf(what + strlen(what), sizeof what - strlen(what), " %s", name); \
		else if (errno != ENOENT && errno != EISDIR && errno != ENOTDIR &&              \
			 errno != EEXIST)                                                       \
			last = errno;                                                           \
	} while (0)
	TRY("write", fd = open(p, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	TRY("append", fd = open(p, O_WRONLY | O_APPEND | O_CLOEXEC));
	TRY("truncate", truncate(p, 0));
	TRY("mkdir", mkdir(p, 0700));
	TRY("mkdir-below", mkdir(below, 0700));
	TRY("create-below", fd = open(below, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	TRY("symlink", symlink("/tmp", p));
	TRY("mkfifo", mkfifo(p, 0600));
	if (there) {
		TRY("chmod", chmod(p, st.st_mode & 07777));
		TRY("chown", chown(p, st.st_uid, st.st_gid));
		TRY("utimes", utimensat(AT_FDCWD, p, NULL, 0));
		TRY("setxattr", setxattr(p, "user.probe", "x", 1, 0));
		TRY("link-from", S_ISREG(st.st_mode) ? link(p, beside) : (errno = EPERM, -1));
		TRY("rename-away", rename(p, beside));
		TRY("unlink", unlink(p));
		TRY("rmdir", rmdir(p));
	}
	fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0) {
		close(fd);
		TRY("rename-onto", rename(beside, p));
		TRY("link-onto", link(beside, p));
		unlink(beside);
	}
#undef TRY
	if (*what)
		open_wall("%s by%s", p, what);
	else
		printf("%s refused: %s\n", attempt, errno_name(last));
}

static void rename_path(void)
{
	refused_or_open(rename(arg(0), arg(1)));
}

static void link_path(void)
{
	refused_or_open(link(arg(0), arg(1)));
}

static void write_path(void)
{
	int fd = open(arg(0), O_WRONLY | O_CLOEXEC);

	refused_or_open(fd < 0 ? -1 : write(fd, "0", 1));
	if (fd >= 0)
		close(fd);
}

static void shm_key(void)
{
	refused_or_open(shmget((key_t)strtol(arg(0), NULL, 0), 0, 0));
}

/* Device nodes that can be opened, besides the harmless ones. */
static void dev_nodes(void)
{
	static const char *const fine[] = {"null", "zero", "full", "random", "urandom", "tty",
		"ptmx", "stdin", "stdout", "stderr", "fd", "pts", "shm", "core", "console",
		"mqueue"};
	DIR *d = opendir("/dev");
	const struct dirent *e;

	while (d && (e = readdir(d))) {
		int known = is_dots(e->d_name);

		for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
			known |= same(e->d_name, fine[i]);
		if (!known) {
			open_wall("/dev/%s", e->d_name);
			closedir(d);
			return;
		}
	}
	if (d)
		closedir(d);
	printf("%s refused: only the usual nodes\n", attempt);
}

/* ---- what must work ---------------------------------------------------------------------------- */

static void tcp_pair(int family, const void *addr, socklen_t n)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in6 in6;
	} a;
	socklen_t len = sizeof a;
	int l = socket(family, SOCK_STREAM, 0), c = socket(family, SOCK_STREAM, 0);

	works_if(l >= 0 && c >= 0 && !bind(l, addr, n) && !listen(l, 1) &&
		 !getsockname(l, &a.sa, &len) && !connect(c, &a.sa, len) &&
		 accept(l, NULL, NULL) >= 0);
}

static void own_loopback(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};

	tcp_pair(AF_INET, &a, sizeof a);
}

static void own_loopback6(void)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};

	tcp_pair(AF_INET6, &a, sizeof a);
}

static void own_unix(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/tmp/probe.sock"};

	unlink(a.sun_path);
	tcp_pair(AF_UNIX, &a, sizeof a);
}

static void own_abstract(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "\0probe"};

	tcp_pair(AF_UNIX, &a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 6));
}

static void own_shm(void)
{
	int fd = shm_open("/probe", O_RDWR | O_CREAT, 0600);
	char *p = fd < 0 || ftruncate(fd, 4096)
			  ? MAP_FAILED
			  : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p != MAP_FAILED)
		*p = 1;
	works_if(p != MAP_FAILED && !shm_unlink("/probe"));
}

static void own_sysv(void)
{
	int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);

	works_if(id >= 0 && shmat(id, NULL, 0) != (void *)-1 && !shmctl(id, IPC_RMID, NULL));
}

static void tmp_files(void)
{
	char name[] = "/tmp/probeXXXXXX", other[64];
	int fd = mkstemp(name);

	snprintf(other, sizeof other, "%s.b", name);
	works_if(fd >= 0 && write(fd, "x", 1) == 1 && !fsync(fd) && !flock(fd, LOCK_EX) &&
		 !link(name, other) && !rename(other, name) && !chmod(name, 0600) && !unlink(name));
}

static void workspace_files(void)
{
	struct stat st;

	rmdir("probe-dir");
	works_if(!mkdir("probe-dir", 0755) && !symlink("/etc/hosts", "probe-dir/l") &&
		 !mkfifo("probe-dir/f", 0600) && !rename("probe-dir/f", "probe-dir/g") &&
		 !stat("probe-dir/g", &st) && st.st_uid == getuid() && !unlink("probe-dir/g") &&
		 !unlink("probe-dir/l") && !rmdir("probe-dir"));
}

static void *thread_main(void *p)
{
	return p;
}

static void threads(void)
{
	pthread_t t[8];
	int good = 1;

	for (int i = 0; i < 8; i++)
		good &= !(errno = pthread_create(&t[i], NULL, thread_main, t));
	for (int i = 0; good && i < 8; i++)
		good &= !pthread_join(t[i], NULL);
	works_if(good);
}

static void terminals(void)
{
	works_if(own_terminal() >= 0);
}

static void event_fds(void)
{
	sigset_t none;

	sigemptyset(&none);
	works_if(epoll_create1(0) >= 0 && eventfd(0, 0) >= 0 && signalfd(-1, &none, 0) >= 0 &&
		 timerfd_create(CLOCK_MONOTONIC, 0) >= 0 && inotify_init1(0) >= 0);
}

static void devices(void)
{
	char c;
	int n = open("/dev/null", O_WRONLY), z = open("/dev/zero", O_RDONLY),
	    u = open("/dev/urandom", O_RDONLY), r = open("/dev/random", O_RDONLY);

	works_if(write(n, "x", 1) == 1 && read(z, &c, 1) == 1 && read(u, &c, 1) == 1 && r >= 0);
}

/* Fileless execution is allowed: what runs is bounded by the same walls. */
static void memfd_exec(void)
{
	char *av[] = {(char *)"true", NULL}, *ev[] = {NULL};
	int in = open("/bin/true", O_RDONLY | O_CLOEXEC), out = memfd_create("probe", MFD_CLOEXEC);
	char buf[65536];
	ssize_t n;
	int status;
	pid_t pid;

	while ((n = read(in, buf, sizeof buf)) > 0)
		if (write(out, buf, (size_t)n) != n)
			break;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		syscall(SYS_execveat, out, "", av, ev, AT_EMPTY_PATH);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	works_if(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void modern_calls(void)
{
	long p = syscall(434, getpid(), 0); /* pidfd_open */

	works_if(p >= 0 && access("/etc", R_OK) == 0);
}

static void memory(void)
{
	void *x = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	works_if(x != MAP_FAILED && !mprotect(x, 4096, PROT_READ | PROT_EXEC));
}

static void children(void)
{
	int status = 1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		setsid();
		execl("/bin/sh", "sh", "-c", "exit 7", (char *)NULL);
		_exit(1);
	}
	works_if(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7);
}

/* ------------------------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	void (*run)(void);
} attempts[] = {
	{"int80", int80},
	{"ptrace-child", ptrace_child},
	{"ptrace-init", ptrace_init},
	{"ptrace-traceme", ptrace_traceme},
	{"vm-readv", vm_readv},
	{"vm-writev", vm_writev},
	{"signal-pid", signal_pid},
	{"signal-init", signal_init},
	{"read", read_path},
	{"enter", enter_path},
	{"proc-scan", proc_scan},
	{"unshare-user", unshare_ns},
	{"unshare-mount", unshare_ns},
	{"unshare-net", unshare_ns},
	{"unshare-pid", unshare_ns},
	{"unshare-ipc", unshare_ns},
	{"unshare-uts", unshare_ns},
	{"unshare-cgroup", unshare_ns},
	{"unshare-time", unshare_ns},
	{"clone-user", clone_user},
	{"clone3-user", clone3_user},
	{"setns", setns_net},
	{"chroot", chroot_tmp},
	{"setuid", set_uid},
	{"setgroups", set_groups},
	{"personality-exec", personality_exec},
	{"personality-aslr", personality_aslr},
	{"status", status_fields},
	{"mounts-nosuid", mounts_nosuid},
	{"mknod", make_device},
	{"fds", fds_open},
	{"raise-limits", raise_limits},
	{"realtime", realtime},
	{"lower-nice", lower_nice},
	{"set-id-files", set_id_files},
	{"socket-pairs", socket_pairs},
	{"landlock-layer", landlock_layer},
	{"tiocsti", terminal},
	{"tiocsti-high", terminal},
	{"tioclinux", terminal},
	{"af-packet", socket_family},
	{"raw-ip", socket_family},
	{"raw-ip6", socket_family},
	{"netlink-generic", socket_family},
	{"netlink-filter", socket_family},
	{"netlink-uevent", socket_family},
	{"netlink-audit", socket_family},
	{"netlink-diag", socket_family},
	{"loopback-down", loopback_down},
	{"interfaces", interfaces},
	{"af-vsock", socket_family},
	{"af-alg", socket_family},
	{"af-key", socket_family},
	{"af-bluetooth", socket_family},
	{"af-can", socket_family},
	{"af-rds", socket_family},
	{"af-tipc", socket_family},
	{"af-xdp", socket_family},
	{"af-smc", socket_family},
	{"sctp", socket_family},
	{"connect-tcp", connect_tcp},
	{"connect-unix", connect_unix},
	{"only-loopback", only_loopback},
	{"change", change_path},
	{"rename", rename_path},
	{"link", link_path},
	{"write", write_path},
	{"shm-key", shm_key},
	{"dev-nodes", dev_nodes},
	{"own-loopback", own_loopback},
	{"own-loopback6", own_loopback6},
	{"own-unix", own_unix},
	{"own-abstract", own_abstract},
	{"own-shm", own_shm},
	{"own-sysv", own_sysv},
	{"tmp-files", tmp_files},
	{"workspace-files", workspace_files},
	{"threads", threads},
	{"terminals", terminals},
	{"event-fds", event_fds},
	{"devices", devices},
	{"memfd-exec", memfd_exec},
	{"modern-calls", modern_calls},
	{"memory", memory},
	{"children", children},
};

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: probe ATTEMPT [ARGUMENT...]\n");
		return 2;
	}
	attempt = argv[1];
	args = argv + 2;
	for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++)
		if (same(attempts[i].name, attempt)) {
			attempts[i].run();
			return 0;
		}
	bare_syscall();
	return 0;
}
