/* The killer's own story: start, one poll loop, end. Called by the supervisor in a child it forks
 * first of all. After "serving" nothing here allocates, touches a disk or waits for anyone. */
#include "supervisor/killer/killer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/wire.h"
#include "supervisor/killer/internal.h"
#include "supervisor/privilege.h"

/* ---- telling ---- */

void killer_say(const char *fmt, ...)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
	struct timespec none = {0};
	char line[512];
	va_list ap;
	int n, m;

	n = snprintf(line, sizeof line, "agentd-killer: ");
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, ap);
	va_end(ap);
	n += m < (int)sizeof line - n - 2 ? m : (int)sizeof line - n - 2;
	line[n++] = '\n';
	/* Whoever should read it may be stuck. */
	if (ppoll(&p, 1, &none, NULL) == 1 && (p.revents & POLLOUT) &&
		write(STDERR_FILENO, line, (size_t)n) < 0) {
		/* There is nobody else to tell. */
	}
}

int killer_open_base(const struct killer *k)
{
	return openat(k->v2, k->cfg.paths.cgroup, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

void killer_tell(struct killer *k, uint16_t type, uint64_t id, const void *p, size_t n)
{
	if (k->watch != WATCH_ORPHANED &&
		wire_send(k->cfg.supervisor_fd, type, id, p, n, NULL, 0) < 0 && errno == EPIPE)
		watch_lost(k, io_now_mono());
}

/* ---- what the supervisor says ---- */

static int on_ping(void *ctx, struct wire_msg *m)
{
	killer_tell(ctx, KILLER_PONG, m->h.id, NULL, 0);
	return 0;
}

static int on_sync(void *ctx, struct wire_msg *m)
{
	(void)m;
	killer_sync(ctx);
	return 0;
}

static const struct wire_rule from_supervisor[] = {
	{.type = KILLER_SYNC, .handle = on_sync},
	{.type = KILLER_PING, .handle = on_ping},
};

static void hear_supervisor(struct killer *k, uint64_t now)
{
	static struct wire_msg m;

	for (int i = 0; i < 64; i++) {
		int r = wire_recv(k->cfg.supervisor_fd, &m);

		if (r < 0 && errno == EAGAIN)
			return;
		if (r <= 0 ||
			wire_dispatch(from_supervisor, ARRAY_LEN(from_supervisor), k, &m) < 0) {
			watch_lost(k, now); /* gone, or not what we forked from any more */
			return;
		}
		watch_heard(k, now);
	}
}

/* ---- the loop ---- */

enum { AT_LISTEN, AT_SUPERVISOR, AT_PARENT, AT_CLIENTS, AT_JOBS = AT_CLIENTS + CLIENTS_MAX };

struct pollset {
	struct pollfd fds[AT_JOBS + JOBS_MAX];
	unsigned n;
};

static void watch_fd(struct pollset *s, int fd, short events)
{
	s->fds[s->n++] = (struct pollfd){.fd = fd, .events = events};
}

static void fill(const struct killer *k, struct pollset *s)
{
	int orphaned = k->watch == WATCH_ORPHANED;

	s->n = 0;
	watch_fd(s, k->cfg.listen_fd, POLLIN);
	watch_fd(s, orphaned ? -1 : k->cfg.supervisor_fd, POLLIN);
	watch_fd(s, orphaned ? -1 : k->parent, POLLIN);
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		const struct client *c = &k->clients[i];

		watch_fd(s, c->state == CLIENT_FREE ? -1 : c->fd,
			c->state == CLIENT_READING ? POLLIN : 0);
	}
	for (unsigned i = 0; i < JOBS_MAX; i++)
		watch_fd(s, k->jobs[i].used ? k->jobs[i].events : -1, POLLPRI);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static struct timespec time_left(const struct killer *k, uint64_t now)
{
	uint64_t next = min_u64(min_u64(jobs_next(k), clients_next(k)), watch_next(k));
	uint64_t left = next > now ? next - now : 0;

	left = min_u64(left, watch_turn_max(k));
	return (struct timespec){
		.tv_sec = (time_t)(left / 1000000000u), .tv_nsec = (long)(left % 1000000000u)};
}

static void serve_clients(struct killer *k, const struct pollfd *fds)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &k->clients[i];

		if (!fds[i].revents || c->state == CLIENT_FREE || c->fd != fds[i].fd)
			continue;
		if (c->state == CLIENT_READING)
			client_read(k, c);
		else
			client_drop(c); /* hung up; its kills go on */
	}
}

static void wake_jobs(struct killer *k, const struct pollfd *fds)
{
	for (unsigned i = 0; i < JOBS_MAX; i++)
		if (fds[i].revents && k->jobs[i].used)
			k->jobs[i].next_look = 0;
}

static void turn(struct killer *k)
{
	static struct pollset s;
	uint64_t now = io_now_mono();
	struct timespec left = time_left(k, now);
	int r;

	fill(k, &s);
	r = ppoll(s.fds, s.n, &left, NULL);
	now = io_now_mono();
	if (r > 0) {
		wake_jobs(k, s.fds + AT_JOBS);
		serve_clients(k, s.fds + AT_CLIENTS);
		if (s.fds[AT_LISTEN].revents)
			clients_accept(k, now);
		if (s.fds[AT_SUPERVISOR].revents)
			hear_supervisor(k, now);
		/* The end of file alone could be late: whatever the supervisor forked may hold the fd. */
		if (s.fds[AT_PARENT].revents)
			watch_lost(k, now);
	}
	clients_expire(k, now);
	jobs_step(k, now);
	watch_tick(k, now);
}

/* ---- start ---- */

/* latch_sync waits for the disk, so a process of its own does it: one byte, one sync. */
static _Noreturn void sync_forever(struct killer *k, int from)
{
	char bytes[64];

	prctl(PR_SET_NAME, "agentd-latches", 0, 0, 0);
	if (privilege_keep_fds(&from, 1) < 0 || confine_syncer() < 0)
		_exit(1);
	latch_sync(k->latches);
	while (read(from, bytes, sizeof bytes) > 0)
		latch_sync(k->latches);
	_exit(0);
}

/* At the end: lets it finish, but not for longer than a disk that works needs. */
static void end_syncer(const struct killer *k)
{
	struct pollfd p = {.fd = k->syncer, .events = POLLIN};
	struct timespec t = {.tv_sec = 2};

	close(k->sync_fd);
	if (k->syncer >= 0 && ppoll(&p, 1, &t, NULL) == 0)
		killer_say("the latch table is not on disk yet: it does not answer");
}

static int start_syncer(struct killer *k)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0)
		sync_forever(k, ends[0]);
	close(ends[0]);
	k->sync_fd = ends[1];
	k->syncer = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
	return pid < 0 ? -1 : fcntl(ends[1], F_SETFL, O_NONBLOCK);
}

/* It must outlive what a terminal or a careless `kill` does to the supervisor's process group; it
 * ends when the supervisor does. */
static void ignore_signals(void)
{
	static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGTSTP, SIGTTIN,
		SIGTTOU, SIGUSR1, SIGUSR2, SIGALRM, SIGCHLD};
	sigset_t none;

	for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	prctl(PR_SET_NAME, "agentd-killer", 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
}

static void allow_descriptors(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

static void set_defaults(struct killer_config *c)
{
	c->freeze_after_ms = c->freeze_after_ms ? c->freeze_after_ms : 5000;
	c->kill_after_ms = c->kill_after_ms ? c->kill_after_ms : 30000;
	c->verb_ms = c->verb_ms ? c->verb_ms : 5000;
	c->wait_ms = c->wait_ms ? c->wait_ms : 10000;
}

static int keep_only_ours(const struct killer *k)
{
	const int keep[] = {k->cfg.listen_fd, k->cfg.supervisor_fd, k->cfg.lock_fd};

	if (privilege_keep_fds(keep, ARRAY_LEN(keep)) == 0)
		return 0;
	killer_say("cannot close inherited descriptors: %s", strerror(errno));
	return -1;
}

static int nonblocking(int fd)
{
	return fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
}

static int start(struct killer *k)
{
	struct error err;

	ignore_signals();
	allow_descriptors();
	if (keep_only_ours(k) < 0)
		return -1;
	k->parent = (int)syscall(SYS_pidfd_open, getppid(), 0);
	k->latches = latch_open(k->cfg.paths.latches, &err);
	if (!k->latches) {
		killer_say("%s", err.text);
		return -1;
	}
	if (latch_check_saved(k->latches) < 0 || latch_damaged(k->latches))
		killer_say("%s is damaged or full: nothing can be launched until it is moved away",
			k->cfg.paths.latches);
	k->v2 = open(k->cfg.cg.v2, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (k->v2 < 0 || (mkdirat(k->v2, k->cfg.paths.cgroup, 0755) < 0 && errno != EEXIST)) {
		killer_say(
			"cannot use %s/%s: %s", k->cfg.cg.v2, k->cfg.paths.cgroup, strerror(errno));
		return -1;
	}
	if (nonblocking(k->cfg.listen_fd) < 0 || nonblocking(k->cfg.supervisor_fd) < 0 ||
		start_syncer(k) < 0) {
		killer_say("cannot start: %s", strerror(errno));
		return -1;
	}
	key_load(&k->key, &k->cfg.paths);
	confine_memory(); /* without it it still works, only not under memory pressure */
	return confine_self();
}

int killer_main(const struct killer_config *cfg)
{
	static struct killer k;

	k.cfg = *cfg;
	set_defaults(&k.cfg);
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		k.clients[i].fd = -1;
	if (start(&k) < 0)
		return 1;
	watch_start(&k, io_now_mono());
	killer_tell(&k, KILLER_READY, 0, NULL, 0);
	while (!watch_done(&k, io_now_mono()))
		turn(&k);
	watch_tidy(&k);
	end_syncer(&k);
	return 0;
}
