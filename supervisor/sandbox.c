/* The sandboxes: from a checked plan to a running init, and from its end to nothing left. States:
 * SB_STARTING (the spawner has it) → SB_RUNNING (self-test passed and start recorded) → SB_ENDING (init is reaped;
 * waiting for the record and for the cgroup to be empty) → gone. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "supervisor/init/protocol.h"
#include "supervisor/launch.h"
#include "supervisor/spawn.h"
#include "supervisor/supervisor.h"
#include "supervisor/sys.h"

#define SECOND         1000000000ull
#define RECORD_WITHIN  (120 * SECOND)
#define EXPLAIN_WITHIN (SECOND / 10)
#define RESEND_EVERY   (5 * SECOND)
#define SPAWN_WITHIN   (5 * SECOND)
#define START_WITHIN   (30 * SECOND)
#define FREEZE_AFTER   (5 * SECOND)
#define LAUNCH_FDS_MAX (SPAWN_FD_STDIO + 3 + SPAWN_PROCS_MAX + SPAWN_MOUNTS_MAX)

static struct launch launch; /* one launch at a time; too large for a stack */

static void control_event(void *arg, uint32_t events);

struct sandbox *sandbox_find(uid_t uid, const char *name)
{
	for (struct sandbox *s = sup.sandboxes; s; s = s->next) {
		if (s->owner.uid == uid && !strcmp(s->name, name))
			return s;
	}
	return NULL;
}

struct sandbox *sandbox_by_number(uint64_t number)
{
	for (struct sandbox *s = sup.sandboxes; s; s = s->next) {
		if (s->number == number)
			return s;
	}
	return NULL;
}

/* ---- the end of one ---- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Removes the cgroup directory. 1 when it is gone. */
static int remove_cgroup(const struct sandbox *s)
{
	char path[64];

	snprintf(path, sizeof path, "u%u/%s", s->owner.uid, s->name);
	return unlinkat(sup.base, path, AT_REMOVEDIR) == 0 || errno == ENOENT;
}

/* Gives back what a running sandbox holds; its cgroup is gone. What stays is what a restarted broker
 * needs to record the end. */
static void release(struct sandbox *s)
{
	loop_unwatch(s->control_watch);
	s->control_watch = NULL;
	close_fd(&s->control);
	close_fd(&s->cgroup);
	limits_release(&s->limits);
	guard_free(s->guard);
	s->guard = NULL;
	protect_release(s->placeholders, io_now_mono());
	s->placeholders = NULL;
	identity_release(s->identity);
	s->identity = NULL;
}

static void sandbox_free(struct sandbox *s)
{
	release(s);
	close_fd(&s->session_fd);
	close_fd(&s->tool_fd);
	close_fd(&s->pty_fd);
	free(s->workspace);
	free(s);
}

static void take_out(struct sandbox **list, const struct sandbox *s)
{
	for (struct sandbox **at = list; *at; at = &(*at)->next) {
		if (*at == s) {
			*at = s->next;
			return;
		}
	}
}

/* Its name and uid are free again, unless processes still linger in its cgroup: then the tick tries
 * again. The end that is not recorded yet is kept apart. */
static void try_remove(struct sandbox *s)
{
	if (s->cgroup >= 0 && !remove_cgroup(s)) {
		cgroup_kill(s->cgroup);
		return;
	}
	take_out(&sup.sandboxes, s);
	if (s->recorded) {
		sandbox_free(s);
		return;
	}
	s->kernel_uid = s->identity ? s->identity->kernel_uid : 0;
	release(s);
	s->next = sup.ended;
	sup.ended = s;
}

void sandbox_end_recorded(uint64_t number)
{
	struct sandbox *s = sandbox_by_number(number);

	if (s && s->state == SB_ENDING) {
		s->recorded = 1;
		return;
	}
	for (s = sup.ended; s && s->number != number; s = s->next)
		;
	if (s) {
		take_out(&sup.ended, s);
		sandbox_free(s);
	}
}

/* Why it ended, when a human's kill is the reason: the latch says so, whatever else happened. */
static int explain_kill(struct sandbox *s)
{
	struct latch_entry l;

	if (!latch_check(sup.latches, s->owner.uid, s->name, s->identity_hash, &l) ||
		l.at_ns < s->started_ns)
		return 0;
	s->reason = END_KILLED;
	snprintf(s->text, sizeof s->text, "killed by uid %u%s%s", l.by_uid, *l.reason ? ": " : "",
		l.reason);
	return 1;
}

static void send_end(const struct sandbox *s)
{
	struct msg_ended m = {.exit_code = s->exit_code, .reason = s->reason};

	snprintf(m.text, sizeof m.text, "%s", s->text);
	broker_send(MSG_ENDED, s->number, &m, sizeof m, NULL, 0); /* the tick sends it again */
}

/* The client hears of the end at once; the record follows, and is sent again to a new broker when this
 * one dies before it is durable. */
static void end(struct sandbox *s)
{
	s->state = SB_ENDING;
	s->end_by = io_now_mono() + RECORD_WITHIN;
	s->resend_at = io_now_mono() + RESEND_EVERY;
	send_end(s);
	control_ended(s);
	try_remove(s);
}

static void read_control(struct sandbox *s);

static void exited(struct sandbox *s)
{
	int was_starting = !s->ready || !s->go;

	if (!s->reason)
		s->reason = was_starting ? END_FAILED : END_EXIT;
	if (was_starting && s->reason == END_FAILED)
		control_failed(
			s, *s->text ? s->text : "its first process ended before it was ready");
	end(s);
}

static void on_exit_status(struct sandbox *s, int status)
{
	read_control(s); /* what init said before it ended */
	s->exit_code =
		(uint32_t)(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
	/* The killer kills first and sets the latch a moment later: wait for its word. */
	if (!explain_kill(s) && !s->reason && WIFSIGNALED(status)) {
		s->state = SB_DYING;
		s->explain_by = io_now_mono() + EXPLAIN_WITHIN;
		return;
	}
	exited(s);
}

void sandbox_stop(struct sandbox *s, uint32_t reason, const char *text)
{
	if (s->state != SB_STARTING && s->state != SB_RUNNING)
		return;
	s->reason = reason;
	snprintf(s->text, sizeof s->text, "%s", text);
	cgroup_kill(s->cgroup);
}

/* ---- init's control socket ---- */

static void tell_broker(struct sandbox *s, int restored)
{
	struct msg_sandbox m = {.uid = s->owner.uid,
		.gid = s->owner.gid,
		.kernel_uid = s->identity ? s->identity->kernel_uid : s->kernel_uid,
		.init_pid = (uint32_t)s->pid,
		.flags = (s->pty_fd >= 0 ? SANDBOX_PTY : 0u) | (restored ? SANDBOX_RESTORED : 0u),
		.started_ns = s->started_ns};
	int fds[3] = {s->tool_fd, s->session_fd, s->pty_fd};

	memcpy(m.name, s->name, sizeof m.name);
	memcpy(m.session, s->session, sizeof m.session);
	if (broker_send(MSG_STARTED, s->number, &m, sizeof m, fds, s->pty_fd >= 0 ? 3 : 2) == 0)
		s->told_broker = 1;
}

void sandboxes_tell_broker(void)
{
	for (struct sandbox *s = sup.sandboxes; s; s = s->next) {
		if (!s->ready || !s->go)
			continue;
		tell_broker(s, 1);
		if (s->state == SB_ENDING && !s->recorded)
			send_end(s);
	}
	/* Ends that the old broker took with it. */
	for (struct sandbox *s = sup.ended; s; s = s->next) {
		tell_broker(s, 1);
		send_end(s);
	}
}

/* The walls hold and the start is recorded: the agent runs. */
static void note_running(struct sandbox *s)
{
	if (!s->ready || !s->go || !s->pid || s->state != SB_STARTING)
		return;
	s->state = SB_RUNNING;
	tell_broker(s, 0);
	control_started(s);
}

/* init gets the word at once, also while it still tests the walls: it reads it when they hold. */
void sandbox_go(uint64_t number)
{
	struct sandbox *s = sandbox_by_number(number);
	char go = INIT_GO;

	if (!s || s->state != SB_STARTING)
		return; /* the launch failed meanwhile */
	s->go = 1;
	if (send(s->control, &go, 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1) {
		sandbox_stop(s, END_FAILED, "its first process does not listen");
		return;
	}
	note_running(s);
}

int sandbox_no_go(uint64_t number, const char *text)
{
	struct sandbox *s = sandbox_by_number(number);

	if (!s || s->go)
		return -1;
	sandbox_stop(s, END_FAILED, text);
	return 0;
}

static void on_control_message(struct sandbox *s, const char *msg, size_t n, int *fd)
{
	switch (msg[0]) {
	case INIT_READY:
		s->ready = 1;
		guard_ready(s->guard);
		note_running(s);
		break;
	case INIT_PTY:
		if (s->pty_fd < 0)
			s->pty_fd = take_fd(fd);
		break;
	case INIT_FAILED:
		snprintf(s->text, sizeof s->text, "the wall self-test failed: %.*s", (int)(n - 1),
			msg + 1);
		s->reason = END_FAILED;
		break;
	default:
		sandbox_stop(s, END_FAILED, "its first process spoke out of turn");
	}
}

static void read_control(struct sandbox *s)
{
	char msg[1 + INIT_TEXT_MAX];

	while (s->control >= 0) {
		int fd = -1;
		size_t nfds = 1;
		ssize_t n = io_recv_fds(s->control, msg, sizeof msg, &fd, &nfds, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			loop_unwatch(s->control_watch);
			s->control_watch = NULL;
			return;
		}
		if (!nfds)
			fd = -1;
		on_control_message(s, msg, (size_t)n, &fd);
		if (fd >= 0)
			close(fd);
	}
}

static void control_event(void *arg, uint32_t events)
{
	(void)events;
	read_control(arg);
}

void sandbox_signal(struct sandbox *s, int sig)
{
	unsigned char msg[2] = {INIT_SIGNAL, (unsigned char)sig};

	if (s->control >= 0)
		send(s->control, msg, sizeof msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int sandbox_apply_freeze(struct sandbox *s)
{
	return cgroup_freeze(s->cgroup, s->frozen || s->frozen_by_us || s->mending);
}

int sandbox_freeze(struct sandbox *s, int on, struct error *e)
{
	/* Its first process shares the spawner's memory until it has started: frozen, it would stop every
	 * launch. */
	if (s->state == SB_STARTING)
		return error_set(e, 0, "%s is still starting: try again", s->name);
	s->frozen = on;
	s->frozen_by_us = 0;
	if (sandbox_apply_freeze(s) == 0)
		return 0;
	s->frozen = !on;
	return error_set(e, errno, "cannot %s %s", on ? "freeze" : "thaw", s->name);
}

/* ---- the start of one ---- */

static void hash_identity(struct sandbox *s)
{
	crypto_generichash_state st;
	uint32_t uid = s->owner.uid;

	crypto_generichash_init(&st, NULL, 0, sizeof s->identity_hash);
	crypto_generichash_update(&st, (const unsigned char *)&uid, sizeof uid);
	crypto_generichash_update(
		&st, (const unsigned char *)s->workspace, strlen(s->workspace) + 1);
	crypto_generichash_update(&st, (const unsigned char *)s->agent, strlen(s->agent) + 1);
	crypto_generichash_final(&st, s->identity_hash, sizeof s->identity_hash);
}

static int check_latch(const struct sandbox *s, struct error *e)
{
	struct latch_entry l = {0};

	if (!latch_check(sup.latches, s->owner.uid, s->name, s->identity_hash, &l))
		return 0;
	if (!l.at_ns)
		return error_set(
			e, 0, "%s (root: agentctl unlatch --all, or see SECURITY.md)", l.reason);
	return error_set(e, 0,
		"%s was killed by uid %u and stays dead%s%s; to let it start again: agentctl "
		"unlatch %s",
		l.flags & LATCH_ALL ? "every agent of this user" : l.name, l.by_uid,
		*l.reason ? ": " : "", l.reason, l.flags & LATCH_ALL ? "--all" : l.name);
}

static int make_user_cgroup(uid_t uid, struct error *e)
{
	cleanup_close int dir = -1;
	char name[16];

	snprintf(name, sizeof name, "u%u", uid);
	if (mkdirat(sup.base, name, 0755) < 0)
		return errno == EEXIST
			       ? 0
			       : error_set(e, errno, "cannot make a cgroup for uid %u", uid);
	dir = openat(sup.base, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return error_set(e, errno, "cannot open the cgroup of uid %u", uid);
	limits_enable(dir);
	return 0;
}

static int make_cgroup(struct sandbox *s, struct error *e)
{
	struct cgroup_tag tag = {.sandbox = s->number};
	char path[64];

	if (make_user_cgroup(s->owner.uid, e) < 0)
		return -1;
	snprintf(path, sizeof path, "u%u/%s", s->owner.uid, s->name);
	/* A leftover of that name is empty, or this fails. */
	if (mkdirat(sup.base, path, 0755) < 0 &&
		(errno != EEXIST || unlinkat(sup.base, path, AT_REMOVEDIR) < 0 ||
			mkdirat(sup.base, path, 0755) < 0))
		return error_set(e, errno, "cannot make the cgroup of %s", s->name);
	s->cgroup = openat(sup.base, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	memcpy(tag.identity, s->identity_hash, sizeof tag.identity);
	if (s->cgroup < 0 || cgroup_tag_set(s->cgroup, &tag) < 0)
		return error_set(e, errno, "cannot open the cgroup of %s", s->name);
	return 0;
}

static int fill_from_plan(struct sandbox *s, const struct plan_header *p, struct error *e)
{
	snprintf(s->name, sizeof s->name, "%s", plan_text(p, p->name));
	snprintf(s->agent, sizeof s->agent, "%s", plan_text(p, p->agent));
	snprintf(s->session, sizeof s->session, "%s", plan_text(p, p->session));
	snprintf(s->policy_sha256, sizeof s->policy_sha256, "%s", plan_text(p, p->policy_sha256));
	s->workspace = strdup(plan_text(p, p->workspace));
	s->on_lost_ms = p->on_lost_ms;
	s->plan_flags = p->flags;
	s->started_ns = io_now_real();
	s->start_by = io_now_mono() + START_WITHIN;
	if (p->wall_s)
		s->wall_until = io_now_boot() + p->wall_s * SECOND;
	if (!s->workspace)
		return error_set(e, ENOMEM, "no memory for another sandbox");
	hash_identity(s);
	if (check_latch(s, e) < 0)
		return -1;
	if (sandbox_find(s->owner.uid, s->name))
		return error_set(e, 0, "%s is already running: choose another --name", s->name);
	return 0;
}

static int make_sockets(struct sandbox *s, int *inner, struct error *e)
{
	int pair[2], no_rights = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_set(e, errno, "cannot make a control socket");
	s->control = pair[0];
	*inner = pair[1];
	s->tool_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->tool_fd < 0)
		return error_set(e, errno, "cannot make tool.sock");
	setsockopt(s->tool_fd, SOL_SOCKET, SO_PASSRIGHTS, &no_rights, sizeof no_rights);
	s->control_watch = loop_watch(s->control, EPOLLIN, control_event, s, e);
	return s->control_watch ? 0 : -1;
}

/* Sends the launch to the spawner. */
static int hand_over(struct sandbox *s, int plan_fd, int inner, const int stdio[3], struct error *e)
{
	int fds[LAUNCH_FDS_MAX];
	size_t n = 0;

	fds[n++] = plan_fd;
	fds[n++] = s->cgroup;
	fds[n++] = s->identity->sandbox_ns;
	fds[n++] = inner;
	fds[n++] = s->tool_fd;
	if (!(s->plan_flags & PLAN_TERMINAL)) {
		memcpy(fds + n, stdio, 3 * sizeof *fds);
		n += 3;
	}
	launch.req.nprocs = (uint32_t)s->limits.nprocs;
	for (int i = 0; i < s->limits.nprocs; i++)
		fds[n++] = s->limits.procs[i];
	for (size_t i = 0; i < launch.ntrees; i++)
		fds[n++] = launch.trees[i];
	if (wire_send(sup.spawner, SPAWN_LAUNCH, s->number, &launch.req,
		    offsetof(struct spawn_req, text) + launch.text_len, fds, n) < 0)
		return error_set(e, errno, "cannot reach the spawner");
	return 0;
}

static int prepare_and_send(struct sandbox *s, const struct plan_header *plan, int plan_fd,
	const int stdio[3], struct error *e)
{
	cleanup_close int inner = -1;
	int r;

	s->identity = identity_take(s->owner.uid, s->owner.gid, plan->inner_uid, plan->inner_gid,
		!!(plan->flags & PLAN_SAME_UID), e);
	if (!s->identity)
		return -1;
	r = launch_prepare(&launch, &sup.paths, plan, &s->owner, s->identity, e);
	s->placeholders = launch.placeholders;
	if (r < 0)
		return -1;
	memcpy(launch.req.identity, s->identity_hash, sizeof launch.req.identity);
	s->guard = guard_new(s, plan, &launch, e);
	if (!s->guard || make_cgroup(s, e) < 0 ||
		limits_apply(s->cgroup, plan, &s->limits, e) < 0 || make_sockets(s, &inner, e) < 0)
		r = -1;
	else
		r = hand_over(s, plan_fd, inner, stdio, e);
	launch_close(&launch);
	return r;
}

struct sandbox *sandbox_launch(uint64_t number, const struct plan_header *plan, int plan_fd,
	int session_fd, const int stdio[3], const struct creds *owner, struct client *c,
	struct error *e)
{
	struct sandbox *s = calloc(1, sizeof *s);

	if (!s) {
		error_set(e, ENOMEM, "no memory for another sandbox");
		return NULL;
	}
	s->owner = *owner;
	s->cgroup = s->tool_fd = s->pty_fd = s->control = s->session_fd = -1;
	s->limits.number = (unsigned)-1;
	s->client = c;
	s->number = number;
	s->session_fd = fcntl(session_fd, F_DUPFD_CLOEXEC, 0);
	if (s->session_fd < 0)
		error_set(e, errno, "cannot keep the session");
	else if (fill_from_plan(s, plan, e) == 0 &&
		 prepare_and_send(s, plan, plan_fd, stdio, e) == 0) {
		s->next = sup.sandboxes;
		sup.sandboxes = s;
		return s;
	}
	if (s->cgroup >= 0)
		remove_cgroup(s);
	sandbox_free(s);
	return NULL;
}

/* ---- the spawner's answers ---- */

static int on_started(void *ctx, struct wire_msg *m)
{
	struct sandbox *s = sandbox_by_number(m->h.id);

	(void)ctx;
	if (s) {
		s->pid = (pid_t)((struct spawn_started *)(void *)m->payload)->pid;
		note_running(s);
	}
	return 0;
}

static int on_failed(void *ctx, struct wire_msg *m)
{
	struct spawn_failed *f = (struct spawn_failed *)(void *)m->payload;
	struct sandbox *s = sandbox_by_number(m->h.id);

	(void)ctx;
	f->what[sizeof f->what - 1] = 0;
	if (!s)
		return 0;
	s->reason = END_FAILED;
	s->exit_code = 125;
	if (f->err)
		snprintf(s->text, sizeof s->text, "%s: %s", f->what, strerror((int)f->err));
	else
		snprintf(s->text, sizeof s->text, "%s", f->what);
	explain_kill(s);
	control_failed(s, s->text);
	end(s);
	return 0;
}

static int on_exited(void *ctx, struct wire_msg *m)
{
	struct sandbox *s = sandbox_by_number(m->h.id);

	(void)ctx;
	if (s && (s->state == SB_STARTING || s->state == SB_RUNNING))
		on_exit_status(s, ((struct spawn_exited *)(void *)m->payload)->status);
	return 0;
}

static int on_remounted(void *ctx, struct wire_msg *m)
{
	struct sandbox *s = sandbox_by_number(m->h.id);

	(void)ctx;
	if (s)
		guard_remounted(s->guard, (int)((struct spawn_remounted *)(void *)m->payload)->err);
	return 0;
}

static const struct wire_rule spawner_rules[] = {
	{SPAWN_REMOUNTED, sizeof(struct spawn_remounted), sizeof(struct spawn_remounted), 0, 0,
		on_remounted},
	{SPAWN_STARTED, sizeof(struct spawn_started), sizeof(struct spawn_started), 0, 0,
		on_started},
	{SPAWN_FAILED, sizeof(struct spawn_failed), sizeof(struct spawn_failed), 0, 0, on_failed},
	{SPAWN_EXITED, sizeof(struct spawn_exited), sizeof(struct spawn_exited), 0, 0, on_exited},
};

void spawner_event(void *arg, uint32_t events)
{
	static struct wire_msg m;

	(void)arg;
	(void)events;
	for (;;) {
		int n = wire_recv(sup.spawner, &m);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0 ||
			wire_dispatch(spawner_rules, ARRAY_LEN(spawner_rules), NULL, &m) < 0) {
			/* Every sandbox is its child and dies with it: begin anew from nothing. */
			say("the spawner is gone: so are all sandboxes; ending");
			_exit(1);
		}
	}
}

/* ---- time ---- */

static void freeze_lost(struct sandbox *s, int lost)
{
	if (lost && !s->frozen_by_us && !s->frozen) {
		say("no broker: freezing %s", s->name);
		s->frozen_by_us = 1;
		if (sandbox_apply_freeze(s) < 0)
			s->frozen_by_us = 0;
	} else if (!lost && s->frozen_by_us) {
		s->frozen_by_us = 0;
		if (sandbox_apply_freeze(s) < 0)
			s->frozen_by_us = 1;
	}
}

static void tick_one(struct sandbox *s, uint64_t now)
{
	uint64_t lost = sup.lost_since && now > sup.lost_since ? now - sup.lost_since : 0;

	if (s->state == SB_DYING) {
		if (explain_kill(s) || now > s->explain_by)
			exited(s);
		return;
	}
	if (s->state == SB_ENDING) {
		try_remove(s);
		return;
	}
	if (s->state == SB_STARTING &&
		(now > s->start_by || (sup.role[ROLE_BROKER].sock < 0 && !s->go)))
		sandbox_stop(s, END_FAILED, "its start could not be recorded");
	if (s->state == SB_STARTING && !s->pid && now > s->start_by - START_WITHIN + SPAWN_WITHIN)
		sandbox_stop(s, END_FAILED, "its first process does not get on");
	if (s->state != SB_STARTING)
		freeze_lost(s, lost > FREEZE_AFTER);
	if (lost > s->on_lost_ms * 1000000ull)
		sandbox_stop(
			s, END_LOST, "agentd's broker did not come back (session.on_lost_after)");
	if (s->state == SB_RUNNING && !s->told_broker)
		tell_broker(s, 0);
	if (s->wall_until && io_now_boot() > s->wall_until)
		sandbox_stop(s, END_WALL_CLOCK, "its time is up (limits.wall)");
}

void sandbox_tick(uint64_t now)
{
	for (struct sandbox *s = sup.sandboxes, *next; s; s = next) {
		next = s->next;
		tick_one(s, now);
	}
	for (struct sandbox *s = sup.ended, *next; s; s = next) {
		next = s->next;
		if (now < s->end_by) {
			if (now >= s->resend_at) {
				s->resend_at = now + RESEND_EVERY;
				send_end(s);
			}
			continue;
		}
		say("the end of %s could not be recorded", s->session);
		take_out(&sup.ended, s);
		sandbox_free(s);
	}
	guard_tick();
	protect_collect(now);
}
