/* The unprivileged daemons: started with their own uid and one descriptor, spoken to through tables,
 * asked every second whether they are there, restarted when they die. While the broker does not
 * answer, sandboxes are frozen and then killed (sandbox.c). */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "supervisor/supervisor.h"
#include "supervisor/sys.h"

#define SECOND           1000000000ull
#define PING_EVERY       SECOND
#define SILENT_AFTER     (5 * SECOND)
#define DEAD_AFTER       (20 * SECOND) /* silent this long: killed and restarted */
#define MESSAGES_A_ROUND 256
#define HELLO_WITHIN     10000 /* ms */

static struct wire_msg incoming;

static void role_event(void *arg, uint32_t events);

/* ---- starting ---- */

static _Noreturn void role_exec(const struct role *r, int sock)
{
	char name[32];
	char root[sizeof sup.paths.root + 1];
	char *argv[] = {
		(char *)(uintptr_t) "agentd", name, (char *)(uintptr_t) "--root", root, NULL};
	char *envp[] = {NULL};

	snprintf(name, sizeof name, "%s", r->name);
	snprintf(root, sizeof root, "%s", *sup.paths.root ? sup.paths.root : "/");
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || dup2(sock, ROLE_SUPERVISOR_FD) < 0 ||
		sys_close_range(ROLE_SUPERVISOR_FD + 1, ~0u, 0) < 0 || sys_setgroups(0, NULL) < 0 ||
		sys_setresgid(r->gid) < 0 || sys_setresuid(r->uid) < 0)
		_exit(126);
	execve(sup.agentd, argv, envp);
	fprintf(stderr,
		"agentd-supervisor: uid %u cannot execute %s: %s (may it enter that directory?)\n",
		r->uid, sup.agentd, strerror(errno));
	_exit(127);
}

static int role_start(struct role *r, struct error *e)
{
	int pair[2];

	if (wire_pair(pair, e) < 0)
		return -1;
	r->pid = fork();
	if (r->pid == 0) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		role_exec(r, pair[1]);
	}
	close(pair[1]);
	if (r->pid < 0) {
		r->pid = 0;
		close(pair[0]);
		return error_set(e, errno, "cannot start the %s", r->name);
	}
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	r->sock = pair[0];
	r->hello = 0;
	r->ping_sent = 0;
	r->asked = io_now_mono(); /* its hello is the first answer */
	r->restart_at = 0;
	r->watch = loop_watch(r->sock, EPOLLIN, role_event, r, e);
	return r->watch ? 0 : -1;
}

/* A channel between broker and recorder; the old one dies with the role that had it. */
static void connect_peers(void)
{
	struct error e = {0};
	int pair[2];

	if (!sup.role[ROLE_BROKER].hello || !sup.role[ROLE_RECORDER].hello)
		return;
	if (wire_pair(pair, &e) < 0) {
		say("%s", e.text);
		return;
	}
	broker_send(MSG_PEER, 0, NULL, 0, &pair[0], 1);
	recorder_send(MSG_PEER, 0, NULL, 0, &pair[1], 1);
	close(pair[0]);
	close(pair[1]);
}

/* ---- stopping ---- */

static void role_lost(struct role *r, const char *why)
{
	int status = 0;

	loop_unwatch(r->watch);
	r->watch = NULL;
	close(r->sock);
	r->sock = -1;
	r->hello = 0;
	if (r->pid > 0) {
		kill(r->pid, SIGKILL);
		/* Not waited for: it may hang on a disk. The tick reaps it. */
		waitpid(r->pid, &status, WNOHANG);
	}
	r->pid = 0;
	if (sup.stopping)
		return;
	if (r == &sup.role[ROLE_BROKER])
		control_broker_lost();
	r->failures++;
	r->restart_at = io_now_mono() + (r->failures > 5 ? 2 * SECOND : r->failures * SECOND / 10);
	say("the %s %s (wait status 0x%x): restarting it", r->name, why, status);
	event_text(EVENT_ROLE, (uid_t)-1, "%s %s, wait status 0x%x", r->name, why, status);
}

/* ---- messages ---- */

static int on_hello(void *ctx, struct wire_msg *m)
{
	struct role *r = ctx;
	const struct msg_hello *h = (const struct msg_hello *)(const void *)m->payload;

	if (r->hello || h->version != WIRE_VERSION)
		return -1;
	r->hello = 1;
	r->asked = 0;
	if (r == &sup.role[ROLE_RECORDER]) {
		char path[700];
		int fd;

		/* From now on a missing log is a loss, not a beginning: see audit.md 3.7. */
		snprintf(path, sizeof path, "%s/audit-created", sup.paths.state);
		fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0644);
		if (fd >= 0)
			close(fd);
	}
	connect_peers();
	if (r == &sup.role[ROLE_BROKER]) {
		sandboxes_tell_broker();
		events_resend();
	}
	return 0;
}

static int on_pong(void *ctx, struct wire_msg *m)
{
	struct role *r = ctx;

	(void)m;
	r->asked = 0;
	if (r->hello)
		r->failures = 0;
	return 0;
}

static int on_plan(void *ctx, struct wire_msg *m)
{
	(void)ctx;
	control_plan(m->h.id, m);
	return 0;
}

static int on_refuse(void *ctx, struct wire_msg *m)
{
	struct msg_refuse *r = (struct msg_refuse *)(void *)m->payload;

	(void)ctx;
	if (!msg_str_ok(r->text, sizeof r->text))
		return -1;
	control_refused(m->h.id, r->text);
	return 0;
}

static int on_go(void *ctx, struct wire_msg *m)
{
	(void)ctx;
	sandbox_go(m->h.id);
	return 0;
}

static int on_end_recorded(void *ctx, struct wire_msg *m)
{
	(void)ctx;
	sandbox_end_recorded(m->h.id);
	return 0;
}

static int on_event_recorded(void *ctx, struct wire_msg *m)
{
	(void)ctx;
	event_recorded(m->h.id);
	return 0;
}

static int on_freeze(void *ctx, struct wire_msg *m)
{
	struct sandbox *s = sandbox_by_number(m->h.id);
	struct error e = {0};

	(void)ctx;
	if (s && sandbox_freeze(s, 1, &e) < 0)
		say("%s", e.text);
	return 0;
}

static const struct wire_rule broker_rules[] = {
	{MSG_HELLO, sizeof(struct msg_hello), sizeof(struct msg_hello), 0, 0, on_hello},
	{MSG_PONG, 0, 0, 0, 0, on_pong},
	{MSG_PLAN, 0, 0, 2, 2, on_plan},
	{MSG_REFUSE, sizeof(struct msg_refuse), sizeof(struct msg_refuse), 0, 0, on_refuse},
	{MSG_GO, 0, 0, 0, 0, on_go},
	{MSG_END_RECORDED, 0, 0, 0, 0, on_end_recorded},
	{MSG_EVENT_RECORDED, 0, 0, 0, 0, on_event_recorded},
	{MSG_FREEZE, 0, 0, 0, 0, on_freeze},
};

static const struct wire_rule recorder_rules[] = {
	{MSG_HELLO, sizeof(struct msg_hello), sizeof(struct msg_hello), 0, 0, on_hello},
	{MSG_PONG, 0, 0, 0, 0, on_pong},
};

static int dispatch(struct role *r)
{
	if (r == &sup.role[ROLE_BROKER])
		return wire_dispatch(broker_rules, ARRAY_LEN(broker_rules), r, &incoming);
	return wire_dispatch(recorder_rules, ARRAY_LEN(recorder_rules), r, &incoming);
}

static void role_event(void *arg, uint32_t events)
{
	struct role *r = arg;

	(void)events;
	for (int i = 0; i < MESSAGES_A_ROUND && r->sock >= 0; i++) {
		int n = wire_recv(r->sock, &incoming);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			role_lost(r, n ? "sent a broken message" : "died");
			return;
		}
		if (dispatch(r) < 0) {
			role_lost(r, "sent a message that is not in its table");
			return;
		}
	}
}

static int role_send(struct role *r, uint16_t type, uint64_t id, const void *p, size_t n,
	const int *fds, size_t nfds)
{
	/* When its queue is full it is stuck: the ping's silence decides what becomes of it. */
	return r->hello ? wire_send(r->sock, type, id, p, n, fds, nfds) : -1;
}

int broker_send(uint16_t type, uint64_t id, const void *p, size_t n, const int *fds, size_t nfds)
{
	return role_send(&sup.role[ROLE_BROKER], type, id, p, n, fds, nfds);
}

int recorder_send(uint16_t type, uint64_t id, const void *p, size_t n, const int *fds, size_t nfds)
{
	return role_send(&sup.role[ROLE_RECORDER], type, id, p, n, fds, nfds);
}

/* ---- time ---- */

static void tick_one(struct role *r, uint64_t now)
{
	struct error e = {0};

	if (r->sock < 0) {
		if (r->restart_at && now >= r->restart_at && role_start(r, &e) < 0) {
			say("%s", e.text);
			r->restart_at = now + SECOND;
		}
		return;
	}
	if (r->asked && now - r->asked > DEAD_AFTER) {
		role_lost(r, "did not answer");
		return;
	}
	if (r->hello && now - r->ping_sent >= PING_EVERY) {
		r->ping_sent = now;
		if (!r->asked)
			r->asked = now;
		role_send(r, MSG_PING, now, NULL, 0, NULL, 0);
	}
}

/* now: CLOCK_MONOTONIC, so that a suspended machine finds everything as it was. Silence counts from a
 * question that was not answered, so that a pause of our own is not blamed on a role. */
void roles_tick(uint64_t now)
{
	const struct role *b = &sup.role[ROLE_BROKER];

	for (int i = 0; i < ROLE_COUNT; i++)
		tick_one(&sup.role[i], now);
	if (b->hello && (!b->asked || now - b->asked < SILENT_AFTER))
		sup.lost_since = 0;
	else if (!sup.lost_since)
		sup.lost_since = b->hello ? b->asked : now;
}

/* ---- start and stop of all ---- */

static uid_t give_uid;
static gid_t give_gid;

static int give_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)f;
	(void)type;
	if (st->st_uid == give_uid && st->st_gid == give_gid)
		return 0;
	return lchown(path, give_uid, give_gid);
}

/* A role whose user changed (packages installed after a first try) gets what it had before. */
static int give_tree(const char *path, uid_t uid, gid_t gid)
{
	give_uid = uid;
	give_gid = gid;
	return nftw(path, give_one, 32, FTW_PHYS | FTW_MOUNT);
}

static int own_dir(
	const char *base, const char *name, mode_t mode, uid_t uid, gid_t gid, struct error *e)
{
	char path[800];
	struct stat st;

	snprintf(path, sizeof path, "%s/%s", base, name);
	if ((mkdir(path, mode) < 0 && errno != EEXIST) || lstat(path, &st) < 0 ||
		!S_ISDIR(st.st_mode) ||
		((st.st_uid != uid || st.st_gid != gid) && give_tree(path, uid, gid) < 0) ||
		((st.st_mode & 07777) != mode && chmod(path, mode) < 0))
		return error_set(e, errno, "cannot make %s for its role", path);
	return 0;
}

static int wait_for_hello(struct error *e)
{
	uint64_t until = io_now_mono() + HELLO_WITHIN * 1000000ull;

	while (!sup.role[ROLE_BROKER].hello || !sup.role[ROLE_RECORDER].hello) {
		for (int i = 0; i < ROLE_COUNT; i++) {
			if (sup.role[i].sock < 0)
				return error_set(e, 0,
					"the %s does not start: see its message above (its program "
					"is "
					"%s, its uid %u)",
					sup.role[i].name, sup.agentd, sup.role[i].uid);
		}
		if (io_now_mono() > until)
			return error_set(e, 0, "broker and recorder did not report within %d s",
				HELLO_WITHIN / 1000);
		if (loop_once(100, e) < 0)
			return -1;
	}
	return 0;
}

int roles_init(struct error *e)
{
	struct role *b = &sup.role[ROLE_BROKER], *r = &sup.role[ROLE_RECORDER];
	gid_t log_group = sup.admin_gid == (gid_t)-1 ? r->gid : sup.admin_gid;

	if (own_dir(sup.paths.state, "broker", 0700, b->uid, b->gid, e) < 0 ||
		own_dir(sup.paths.state, "audit", 02750, r->uid, log_group, e) < 0 ||
		role_start(r, e) < 0 || role_start(b, e) < 0)
		return -1;
	return wait_for_hello(e);
}

void roles_stop(void)
{
	/* The broker first: the recorder then writes what it still gets. Both end at end of file. */
	for (int i = 0; i < ROLE_COUNT; i++) {
		struct role *r = &sup.role[i];

		if (r->sock < 0)
			continue;
		loop_unwatch(r->watch);
		close(r->sock);
		r->sock = -1;
		for (int ms = 0; waitpid(r->pid, NULL, WNOHANG) == 0; ms += 10) {
			if (ms == 3000)
				kill(r->pid, SIGKILL);
			usleep(10000);
		}
		r->pid = 0;
	}
}
