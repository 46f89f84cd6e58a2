/* The spawner's process: template, pools, launches, exits; see spawn.h. Never parses anything but the
 * supervisor's fixed-layout messages. */
#include "supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/wire.h"
#include "supervisor/enter.h"
#include "supervisor/landlock.h"
#include "supervisor/netns.h"
#include "supervisor/sys.h"
#include "supervisor/template.h"

#define FD_FLOOR \
	10 /* 0-9 are kept busy, so that placing descriptors 0-4 in a child harms nothing */

struct child {
	pid_t pid;
	uint64_t id;
	int remounts; /* not a sandbox, but a child that works in one */
};

struct spawner {
	struct spawn_config config;
	struct seccomp_set filters;
	struct netns_pool netns;
	int landlock_abi;
	int init_fd;
	int signal_fd;
	const char *system[TEMPLATE_SYSTEM_MAX]; /* for Landlock */
	int nsystem;
	struct child *child; /* running sandboxes' inits; grows */
	size_t n, cap;
	struct enter_fail fail;
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "agentd-spawner: %s: %s\n", what, strerror(errno));
	_exit(1);
}

/* clone3(2) without libc: with CLONE_VM the child runs on this stack until it execs or exits, and must
 * never return from the function that called this. */
static long raw_clone3(struct clone_args *a)
{
	long r;
#if defined(__x86_64__)
	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "0"((long)SYS_clone3), "D"(a), "S"(sizeof *a)
			 : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long nr __asm__("x8") = SYS_clone3;
	register long a0 __asm__("x0") = (long)a;
	register long a1 __asm__("x1") = sizeof *a;

	__asm__ volatile("svc 0" : "+r"(a0) : "r"(nr), "r"(a1) : "memory");
	r = a0;
#else
#error "no clone3 for this architecture"
#endif
	return r;
}

__attribute__((noinline)) static pid_t clone_sandbox(const struct enter *x)
{
	struct clone_args a = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_INTO_CGROUP | CLONE_NEWNS | CLONE_NEWPID |
			 CLONE_NEWIPC | CLONE_NEWUTS,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)(uint32_t)x->fds[SPAWN_FD_CGROUP],
	};
	long r = raw_clone3(&a);

	if (r == 0)
		enter_sandbox(x);
	if (r < 0) {
		errno = (int)-r;
		return -1;
	}
	return (pid_t)r;
}

static void answer(struct spawner *s, uint16_t type, uint64_t id, const void *p, size_t n)
{
	if (wire_send(s->config.sock, type, id, p, n, NULL, 0) < 0)
		die("cannot answer the supervisor");
}

static void answer_failed(struct spawner *s, uint64_t id, int err, const char *what)
{
	struct spawn_failed f = {.err = (uint32_t)err};

	snprintf(f.what, sizeof f.what, "%s", what);
	answer(s, SPAWN_FAILED, id, &f, sizeof f);
}

static int remember(struct spawner *s, pid_t pid, uint64_t id, int remounts)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		struct child *c = realloc(s->child, cap * sizeof *c);

		if (!c)
			return -1;
		s->child = c;
		s->cap = cap;
	}
	s->child[s->n++] = (struct child){.pid = pid, .id = id, .remounts = remounts};
	return 0;
}

static size_t fds_wanted(const struct spawn_req *r, const struct plan_header *p)
{
	size_t n = SPAWN_FD_STDIO + r->nprocs + (p->flags & PLAN_TERMINAL ? 0 : 3);

	for (uint32_t i = 0; i < r->nmounts; i++)
		n += !(r->mounts[i].flags & SPAWN_M_HIDE);
	return n;
}

static int request_ok(const struct wire_msg *m)
{
	const struct spawn_req *r = (const struct spawn_req *)(const void *)m->payload;
	size_t used;

	if (m->h.len <= offsetof(struct spawn_req, text) || m->h.len > sizeof *r)
		return 0;
	used = m->h.len - offsetof(struct spawn_req, text);
	if (r->nprocs > SPAWN_PROCS_MAX || r->nmounts > SPAWN_MOUNTS_MAX || r->text[used - 1] != 0)
		return 0;
	for (uint32_t i = 0; i < r->nmounts; i++) {
		if (r->mounts[i].dst >= used)
			return 0;
	}
	return 1;
}

/* A child that was cloned but gave up: reap it and say what it said. */
static void launch_failed(struct spawner *s, uint64_t id, pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	answer_failed(s, id, s->fail.err, s->fail.what);
}

static void launch_plan(
	struct spawner *s, uint64_t id, struct wire_msg *m, const struct plan_header *plan)
{
	struct spawn_started started;
	struct enter x = {.config = &s->config,
		.req = (const struct spawn_req *)(const void *)m->payload,
		.plan = plan,
		.filters = &s->filters,
		.fds = m->fds,
		.init_fd = s->init_fd,
		.landlock_abi = s->landlock_abi,
		.system = s->system,
		.nsystem = s->nsystem,
		.fail = &s->fail};
	pid_t pid;

	if (m->nfds != fds_wanted(x.req, plan)) {
		answer_failed(s, id, EPROTO, "a launch request with the wrong descriptors");
		return;
	}
	x.netns_fd = netns_take(&s->netns);
	if (x.netns_fd < 0) {
		answer_failed(s, id, errno, "cannot make a network namespace");
		return;
	}
	memset(&s->fail, 0, sizeof s->fail);
	pid = clone_sandbox(&x);
	if (pid < 0)
		answer_failed(s, id, errno, "cannot clone the sandbox's first process");
	else if (s->fail.what[0])
		launch_failed(s, id, pid);
	else if (remember(s, pid, id, 0) < 0)
		die("out of memory"); /* the sandboxes die with us: fail closed */
	close(x.netns_fd);
	if (pid > 0 && !s->fail.what[0]) {
		started.pid = (uint32_t)pid;
		answer(s, SPAWN_STARTED, id, &started, sizeof started);
	}
}

static void launch(struct spawner *s, struct wire_msg *m)
{
	struct error e = {0};
	const void *plan;
	size_t n;

	if (m->nfds < SPAWN_FD_STDIO || !request_ok(m))
		die("a malformed launch request");
	plan = io_map_sealed(m->fds[SPAWN_FD_PLAN], PLAN_SIZE_MAX, &n, &e);
	if (!plan) {
		answer_failed(s, m->h.id, e.code, e.text);
		return;
	}
	if (plan_check(plan, n, &e) < 0)
		answer_failed(s, m->h.id, EINVAL, e.text);
	else
		launch_plan(s, m->h.id, m, plan);
	munmap((void *)(uintptr_t)plan, n);
}

static pid_t init_of(const struct spawner *s, uint64_t id)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->child[i].id == id && !s->child[i].remounts)
			return s->child[i].pid;
	}
	return -1;
}

static void answer_remounted(struct spawner *s, uint64_t id, int err)
{
	struct spawn_remounted r = {.err = (uint32_t)err};

	answer(s, SPAWN_REMOUNTED, id, &r, sizeof r);
}

/* Forked, so that a file system that does not answer holds up nobody else. The pid is a child's that is
 * not reaped yet: it cannot be another process. */
static void remount(struct spawner *s, struct wire_msg *m)
{
	struct enter x = {.req = (const struct spawn_req *)(const void *)m->payload,
		.fds = m->fds,
		.fail = &s->fail};
	pid_t init = init_of(s, m->h.id), pid;
	cleanup_close int ns = -1;
	char path[32];
	size_t want = 0;

	if (!request_ok(m))
		die("a malformed request to mount again");
	for (uint32_t i = 0; i < x.req->nmounts; i++)
		want += !(x.req->mounts[i].flags & SPAWN_M_HIDE);
	snprintf(path, sizeof path, "%d/ns/mnt", init);
	ns = init < 0 ? -1 : openat(s->config.proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (ns < 0 || want != m->nfds) {
		answer_remounted(s, m->h.id, ns < 0 ? ESRCH : EPROTO);
		return;
	}
	pid = fork();
	if (pid == 0)
		enter_again(&x, ns);
	if (pid < 0)
		answer_remounted(s, m->h.id, errno);
	else if (remember(s, pid, m->h.id, 1) < 0)
		die("out of memory");
}

static void reap(struct spawner *s)
{
	struct signalfd_siginfo si;
	int status;
	pid_t pid;

	while (read(s->signal_fd, &si, sizeof si) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (size_t i = 0; i < s->n; i++) {
			struct spawn_exited x = {.status = status};
			struct child c = s->child[i];

			if (c.pid != pid)
				continue;
			s->child[i] = s->child[--s->n];
			if (c.remounts)
				answer_remounted(
					s, c.id, WIFEXITED(status) ? WEXITSTATUS(status) : EINTR);
			else
				answer(s, SPAWN_EXITED, c.id, &x, sizeof x);
			break;
		}
	}
}

static void keep_low_fds_busy(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	while (fd >= 0 && fd < FD_FLOOR)
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		die("cannot open /dev/null");
	close(fd);
}

static void lift(int *fd)
{
	if (*fd < FD_FLOOR) {
		int up = fcntl(*fd, F_DUPFD_CLOEXEC, FD_FLOOR);

		if (up < 0)
			die("cannot place a descriptor");
		close(*fd);
		*fd = up;
	}
}

static void prepare(struct spawner *s)
{
	char scratch[700];
	sigset_t mask;
	struct error e = {0};

	prctl(PR_SET_NAME, "agentd-spawner", 0, 0, 0);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		die("cannot tie its life to the supervisor's");
	lift(&s->config.sock);
	lift(&s->config.proc_fd);
	keep_low_fds_busy();
	snprintf(scratch, sizeof scratch, "%s/template", s->config.paths.run);
	if (seccomp_build(&s->filters, &e) < 0 ||
		template_enter(scratch, s->config.agentctl, s->config.init, &e) < 0) {
		fprintf(stderr, "agentd-spawner: %s\n", e.text);
		_exit(1);
	}
	s->init_fd = open("/.agentd/agentd-init", O_PATH | O_CLOEXEC);
	if (s->init_fd < 0)
		die("cannot open agentd-init");
	s->nsystem = template_system(s->system);
	s->netns.proc_fd = s->config.proc_fd;
	s->landlock_abi = landlock_abi();
	if (!s->landlock_abi)
		fprintf(stderr, "agentd-spawner: this kernel has no Landlock: sandboxes start "
				"without that wall (agentctl doctor)\n");
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	s->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		seccomp_install(&s->filters.bulk) < 0 || seccomp_install(&s->filters.arguments) < 0)
		die("cannot confine itself");
}

_Noreturn void spawner_main(const struct spawn_config *c)
{
	static struct spawner s;
	static struct wire_msg m;
	struct pollfd p[2];
	uint64_t fill_at = 0;

	s.config = *c;
	prepare(&s);
	answer(&s, SPAWN_READY, 0, NULL, 0);
	p[0] = (struct pollfd){.fd = s.config.sock, .events = POLLIN};
	p[1] = (struct pollfd){.fd = s.signal_fd, .events = POLLIN};
	for (;;) {
		/* With nothing to do, fill the pool; the next request waits at most for one namespace. */
		int idle_ms = s.netns.n == NETNS_POOL ? -1 : io_now_mono() < fill_at ? 1000 : 0;
		int n = poll(p, 2, idle_ms);

		if (n < 0 && errno != EINTR)
			die("poll");
		if (n == 0 && io_now_mono() >= fill_at && netns_fill_one(&s.netns) < 0)
			fill_at = io_now_mono() + 1000000000ull; /* out of something: later again */
		if (n <= 0)
			continue;
		if (p[1].revents)
			reap(&s);
		if (p[0].revents) {
			if (wire_recv(s.config.sock, &m) <= 0)
				_exit(0); /* the supervisor is gone */
			if (m.h.type == SPAWN_LAUNCH)
				launch(&s, &m);
			else if (m.h.type == SPAWN_REMOUNT)
				remount(&s, &m);
			else
				die("an unknown request");
			wire_close_fds(&m);
		}
	}
}
