/* control.sock: one line per request, authority by SO_PEERCRED. Slow, silent, huge or garbage clients
 * cost a table slot for five seconds and nothing else. Nothing here is parsed but the verb and a name. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "supervisor/killer/killer.h"
#include "supervisor/supervisor.h"
#include "supervisor/sys.h"

#define LINE_MAX_BYTES   4096
#define CLIENTS_MAX      2048
#define CLIENTS_FOR_ROOT 64
#define CLIENTS_PER_UID  640
#define WAITING_PER_UID  32 /* connections that have not said their verb */
#define VERB_WITHIN      (5 * 1000000000ull)
#define PLAN_WITHIN      (20 * 1000000000ull)
#define LINES_A_ROUND    64
#define ACCEPTS_A_ROUND  32
#define RUN_FDS          4
#define SENT_FDS_MAX     253 /* SCM_MAX_FD of the kernel: whatever comes is ours to close */

enum client_state { C_LINE, C_PLAN, C_RUN };

struct client {
	int fd;
	struct watch *watch;
	struct creds who;
	int admin;
	enum client_state state;
	uint64_t since; /* CLOCK_BOOTTIME of the last change of state */
	uint64_t number; /* C_PLAN, C_RUN: of the launch */
	int stdio[3]; /* C_PLAN: the agent's descriptors, -1 for a terminal run */
	int piped; /* hang-up kills the sandbox */
	int handed_over; /* a role has the connection */
	struct sandbox *sandbox;
	struct client *next;
};

static struct client *clients;
static unsigned nclients;
static int listener = -1;

/* ---- descriptors that a stranger sent ----
 *
 * Closing one can block: a socket that lingers, at its last close; a file of a FUSE server, at any. So a
 * child takes the last reference of sockets; a file is never closed here, and whoever sent a few of
 * those is not served any more. */

/* kind: what /proc/PID/fd says before the inode's number. */
static int is_kind(int fd, const char *kind)
{
	char at[32], to[16];
	ssize_t n;

	snprintf(at, sizeof at, "/proc/self/fd/%d", fd);
	n = readlink(at, to, sizeof to);
	return n > (ssize_t)strlen(kind) && !memcmp(to, kind, strlen(kind));
}

/* What may become an agent's stdin, stdout or stderr: an anonymous pipe or the null device, and so no
 * terminal (TIOCSTI, key logging), no directory (openat above it), no file. Found out without asking the
 * file's file system, which can be a FUSE server that never answers. */
static int stdio_ok(int fd)
{
	struct statx st;

	if (is_kind(fd, "pipe:["))
		return 1;
	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) == 0 &&
	       S_ISCHR(st.stx_mode) && st.stx_rdev_major == 1 && st.stx_rdev_minor == 3;
}

/* 1 when closing it can never block: what we take, sealed memory files, and our kind of pipes. */
static int close_is_quick(int fd)
{
	return stdio_ok(fd) || fcntl(fd, F_GET_SEALS) >= 0;
}

/* The child ends only when we have closed ours, and so has the last references; a process that ends
 * does not wait for a socket (inet_release in the kernel asks for PF_EXITING). 0, or -1: still open. */
static int close_in_child(const int *fds, size_t n)
{
	int ends[2];
	pid_t pid;
	char c;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		close(ends[1]);
		_exit((int)read(ends[0], &c, 1));
	}
	for (size_t i = 0; pid > 0 && i < n; i++)
		close(fds[i]);
	close(ends[0]);
	close(ends[1]);
	return pid < 0 ? -1 : 0; /* the tick reaps it */
}

#define BANNED_MAX   64
#define BANNED_AFTER 8 /* descriptors */

static struct {
	uid_t uid;
	unsigned sent;
} bans[BANNED_MAX];

static void ban_note(uid_t uid)
{
	for (size_t i = 0; i < BANNED_MAX; i++) {
		if (bans[i].sent && bans[i].uid != uid)
			continue;
		bans[i].uid = uid;
		if (++bans[i].sent == BANNED_AFTER)
			say("uid %u keeps sending descriptors of files: it is not served until "
			    "agentd restarts",
				uid);
		return;
	}
}

static int banned(uid_t uid)
{
	for (size_t i = 0; i < BANNED_MAX; i++) {
		if (bans[i].uid == uid && bans[i].sent >= BANNED_AFTER)
			return 1;
	}
	return bans[BANNED_MAX - 1].sent != 0 &&
	       uid != 0; /* the table is full: only root is left */
}

static void dispose(const int *fds, size_t n, uid_t from)
{
	int slow[SENT_FDS_MAX];
	size_t nslow = 0;

	for (size_t i = 0; i < n; i++) {
		if (fds[i] < 0)
			continue;
		if (close_is_quick(fds[i]))
			close(fds[i]);
		else if (is_kind(fds[i], "socket:["))
			slow[nslow++] = fds[i];
		else
			ban_note(from);
	}
	if (nslow && close_in_child(slow, nslow) < 0)
		ban_note(from);
}

/* 1 when descriptors wait in a connection unread, or more than can be told. */
static int holds_fds(int fd)
{
	static char unread[512 * 1024]; /* more than the queue of a socket */
	struct iovec v = {.iov_base = unread, .iov_len = sizeof unread};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	return recvmsg(fd, &m, MSG_PEEK | MSG_DONTWAIT) == (ssize_t)sizeof unread ||
	       (m.msg_flags & MSG_CTRUNC);
}

static void close_connection(int fd)
{
	shutdown(fd, SHUT_RD); /* nothing comes after the look */
	if (!holds_fds(fd) || close_in_child(&fd, 1) < 0)
		close(fd);
}

/* ---- clients ---- */

static void client_close(struct client *c)
{
	for (struct client **at = &clients; *at; at = &(*at)->next) {
		if (*at == c) {
			*at = c->next;
			break;
		}
	}
	nclients--;
	loop_unwatch(c->watch);
	if (c->handed_over)
		close(c->fd);
	else
		close_connection(c->fd);
	for (int i = 0; i < 3; i++) {
		if (c->stdio[i] >= 0)
			close(c->stdio[i]);
	}
	if (c->sandbox)
		c->sandbox->client = NULL;
	free(c);
}

/* A client that does not take its answer loses it. */
static void tell(const struct client *c, const char *p, size_t n)
{
	if (send(c->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)n)
		shutdown(c->fd, SHUT_RDWR);
}

__attribute__((format(printf, 2, 3))) static void reply(
	const struct client *c, const char *fmt, ...)
{
	char line[1400];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof line - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof line - 1)
		n = sizeof line - 2;
	for (int i = 0; i < n; i++) {
		if (line[i] == '\n' || line[i] == '\r')
			line[i] = ' ';
	}
	line[n++] = '\n';
	tell(c, line, (size_t)n);
}

/* A client that hangs up: a piped agent dies with it, as a program dies with its terminal. */
static void hang_up(struct client *c)
{
	if (c->sandbox && c->piped)
		sandbox_stop(c->sandbox, END_EXIT, "its client is gone");
	client_close(c);
}

static void refuse(struct client *c, const char *text)
{
	reply(c, "ERR %s", text);
	hang_up(c);
}

/* ---- names ---- */

static int may_control(const struct client *c, const struct sandbox *s)
{
	return c->admin || s->owner.uid == c->who.uid;
}

/* Splits "uid/name"; a bare name means the client's own uid. 0, or -1. */
static int parse_owner(const struct client *c, const char *arg, uid_t *uid, const char **name)
{
	char *end;
	unsigned long v;

	*uid = c->who.uid;
	*name = arg;
	if (!strchr(arg, '/'))
		return 0;
	if (!c->admin || *arg < '0' || *arg > '9')
		return -1;
	v = strtoul(arg, &end, 10);
	if (*end != '/' || v > UINT32_MAX)
		return -1;
	*uid = (uid_t)v;
	*name = end + 1;
	return 0;
}

/* The sandbox that arg names for this client: its own, or for an admin the only one of that name. */
static struct sandbox *named(const struct client *c, const char *arg)
{
	struct sandbox *found = NULL, *own;
	const char *name;
	uid_t uid;

	if (parse_owner(c, arg, &uid, &name) < 0 || !name_valid(name))
		return NULL;
	own = sandbox_find(uid, name);
	if (own || !c->admin || strchr(arg, '/'))
		return own;
	for (struct sandbox *s = sup.sandboxes; s; s = s->next) {
		if (strcmp(s->name, name) != 0)
			continue;
		if (found)
			return NULL;
		found = s;
	}
	return found;
}

static void no_such(const struct client *c, const char *arg)
{
	reply(c, "ERR no agent named %.80s is running here (agentctl ps lists them%s)", arg,
		c->admin ? "; write uid/name when several users have that name" : "");
}

/* ---- verbs ---- */

static const char *state_of(const struct sandbox *s)
{
	if (s->frozen || s->frozen_by_us)
		return "frozen";
	return s->state == SB_STARTING ? "starting" : s->state == SB_RUNNING ? "running" : "ending";
}

static void verb_ps(struct client *c, const char *arg)
{
	(void)arg;
	wire_make_room(c->fd); /* the usual one takes 277 lines */
	for (const struct sandbox *s = sup.sandboxes; s; s = s->next) {
		/* One that the killer just emptied is dead, even if its end is still being recorded. */
		if (may_control(c, s) && s->state <= SB_RUNNING &&
			(s->state == SB_STARTING || cgroup_populated(s->cgroup) != 0))
			reply(c, "%s\t%u\t%s\t%s\t%d\t%llu\t%s\t%s", s->name, s->owner.uid,
				s->agent, state_of(s), s->pid,
				(unsigned long long)(s->started_ns / 1000000), s->session,
				s->workspace);
	}
	reply(c, ".");
}

static void verb_show(struct client *c, const char *arg)
{
	const struct sandbox *s = named(c, arg);

	if (!s) {
		no_such(c, arg);
		return;
	}
	reply(c, "name\t%s", s->name);
	reply(c, "session\t%s", s->session);
	reply(c, "agent\t%s", s->agent);
	reply(c, "state\t%s", state_of(s));
	reply(c, "owner\t%u", s->owner.uid);
	reply(c, "kernel-uid\t%u", s->identity->kernel_uid);
	reply(c, "pid\t%d", s->pid);
	reply(c, "processes\t%d", cgroup_count(s->cgroup, 1 << 20));
	reply(c, "started-ms\t%llu", (unsigned long long)(s->started_ns / 1000000));
	reply(c, "workspace\t%s", s->workspace);
	reply(c, "policy-sha256\t%s", s->policy_sha256);
	reply(c, "cgroup\t%s/%s/u%u/%s", sup.cg.v2, sup.paths.cgroup, s->owner.uid, s->name);
	reply(c, "limits-unenforced\t%s%s%s%s", s->limits.unenforced ? "" : "none",
		s->limits.unenforced & PLAN_LIMIT_PIDS ? "processes " : "",
		s->limits.unenforced & PLAN_LIMIT_MEMORY ? "memory " : "",
		s->limits.unenforced & PLAN_LIMIT_CPU ? "cpu " : "");
	reply(c, "terminal\t%s", s->plan_flags & PLAN_TERMINAL ? "yes" : "no");
	reply(c, ".");
}

static void note_human(const struct client *c, enum event_kind kind, const struct sandbox *s,
	uid_t owner, const char *name)
{
	struct msg_event ev = {.kind = kind,
		.uid = owner,
		.by_uid = c->who.uid,
		.by_pid = (uint32_t)c->who.pid,
		.at_ns = io_now_real(),
		.sandbox = s ? s->number : 0};

	snprintf(ev.name, sizeof ev.name, "%s", name);
	event_note(&ev);
}

static void freeze(struct client *c, const char *arg, int on)
{
	struct sandbox *s = named(c, arg);
	struct error e = {0};

	if (!s) {
		no_such(c, arg);
	} else if (s->frozen == on) {
		reply(c, "OK");
	} else if (!event_room()) {
		reply(c, "ERR too much waits to be recorded: try again");
	} else if (sandbox_freeze(s, on, &e) < 0) {
		reply(c, "ERR %s", e.text);
	} else {
		note_human(c, on ? EVENT_FREEZE : EVENT_THAW, s, s->owner.uid, s->name);
		reply(c, "OK");
	}
}

static void verb_freeze(struct client *c, const char *arg)
{
	freeze(c, arg, 1);
}

static void verb_thaw(struct client *c, const char *arg)
{
	freeze(c, arg, 0);
}

static void verb_latches(struct client *c, const char *arg)
{
	struct latch_entry l;

	(void)arg;
	wire_make_room(c->fd);
	for (unsigned i = 0; i < LATCH_SLOTS; i++) {
		if (latch_get(sup.latches, i, &l) && (c->admin || l.uid == c->who.uid))
			reply(c, "%u\t%s\t%llu\t%u\t%s", l.uid, l.flags & LATCH_ALL ? "*" : l.name,
				(unsigned long long)(l.at_ns / 1000000), l.by_uid, l.reason);
	}
	reply(c, ".");
}

/* The only other user with a latch of that name, for an admin; (uid_t)-1 when there is none. */
static uid_t latch_owner(const char *name)
{
	uid_t found = (uid_t)-1;
	struct latch_entry l;

	for (unsigned i = 0; i < LATCH_SLOTS; i++) {
		if (!latch_get(sup.latches, i, &l) || strcmp(l.name, name) != 0)
			continue;
		if (found != (uid_t)-1 && found != l.uid)
			return (uid_t)-1;
		found = l.uid;
	}
	return found;
}

static unsigned unlatch(const struct client *c, const char *arg, const char *name, uid_t *uid)
{
	const char *one = strcmp(name, "*") ? name : NULL;
	unsigned n = latch_clear(sup.latches, *uid, one);

	if (n || !one || !c->admin || strchr(arg, '/'))
		return n;
	*uid = latch_owner(name);
	return *uid == (uid_t)-1 ? 0 : latch_clear(sup.latches, *uid, name);
}

static void verb_unlatch(struct client *c, const char *arg)
{
	int everyone = c->admin && !strcmp(arg, "*/*");
	const char *name = arg;
	uid_t uid = (uid_t)-1;
	unsigned n;

	if (!everyone && (parse_owner(c, arg, &uid, &name) < 0 ||
				 (strcmp(name, "*") != 0 && !name_valid(name)))) {
		reply(c, "ERR %.80s is not the name of an agent", arg);
		return;
	}
	if (!event_room()) {
		reply(c, "ERR too much waits to be recorded: try again");
		return;
	}
	event_receipts(); /* what the slots hold reaches the log before they are emptied */
	n = everyone ? latch_clear_everyone(sup.latches) : unlatch(c, arg, name, &uid);
	wire_send(sup.killer, KILLER_SYNC, 0, NULL, 0, NULL, 0); /* its child waits for the disk */
	if (n)
		note_human(c, EVENT_UNLATCH, NULL, uid, name);
	reply(c, "OK %u", n);
}

static struct msg_peer peer_of(const struct client *c)
{
	return (struct msg_peer){.uid = c->who.uid,
		.gid = c->who.gid,
		.pid = (uint32_t)c->who.pid,
		.admin = (uint32_t)c->admin};
}

typedef int send_fn(
	uint16_t type, uint64_t id, const void *p, size_t n, const int *fds, size_t nfds);

/* RPC and AUDIT: the connection, with its verified credentials, goes to a role. */
static void hand_over(struct client *c, const char *role, send_fn *send_to)
{
	struct msg_peer p = peer_of(c);
	int no_fds = 0;

	/* A role must not have to close what lingers. Before Linux 6.16 more can follow. */
	setsockopt(c->fd, SOL_SOCKET, SO_PASSRIGHTS, &no_fds, sizeof no_fds);
	if (holds_fds(c->fd))
		reply(c, "ERR no descriptors are taken here");
	else if (send_to(MSG_CLIENT, 0, &p, sizeof p, &c->fd, 1) < 0)
		reply(c, "ERR the %s is being restarted: try again", role);
	else
		c->handed_over = 1;
}

static void verb_rpc(struct client *c, const char *arg)
{
	(void)arg;
	hand_over(c, "broker", broker_send);
}

static void verb_audit(struct client *c, const char *arg)
{
	(void)arg;
	hand_over(c, "recorder", recorder_send);
}

/* ---- RUN ---- */

static int start_run(struct client *c, int *fds, size_t nfds, struct error *e)
{
	struct msg_peer p = peer_of(c);

	if (nfds != 1 && nfds != RUN_FDS)
		return error_set(
			e, 0, "RUN needs a request and three descriptors, or only a request");
	if (fcntl(fds[0], F_GET_SEALS) < 0) /* closing anything else could hold the broker */
		return error_set(e, 0, "the request is no sealed memory file");
	for (size_t i = 1; i < nfds; i++) {
		if (!stdio_ok(fds[i]))
			return error_set(e, 0,
				"descriptor %zu is no pipe: agentctl passes only pipes into a "
				"sandbox "
				"and relays the rest",
				i - 1);
	}
	spawner_event(NULL, 0); /* ends that are known already free their names first */
	c->number = sup.next_number++;
	if (broker_send(MSG_RUN, c->number, &p, sizeof p, fds, 1) < 0)
		return error_set(e, 0,
			"the broker is being restarted: nothing starts without it; try again");
	for (size_t i = 1; i < nfds; i++)
		c->stdio[i - 1] = take_fd(&fds[i]);
	c->piped = nfds == RUN_FDS;
	c->state = C_PLAN;
	c->since = io_now_mono();
	return 0;
}

static struct client *waiting_for_plan(uint64_t id)
{
	for (struct client *c = clients; c; c = c->next) {
		if (c->state == C_PLAN && c->number == id)
			return c;
	}
	return NULL;
}

static void refuse_launch(struct client *c, uint64_t id, const char *text)
{
	struct msg_ended m = {.exit_code = 125, .reason = END_FAILED};

	if (event_room())
		event_text(EVENT_REFUSED, c ? c->who.uid : (uid_t)-1, "%s", text);
	/* Its session.start is in the log: so must its end be. */
	snprintf(m.text, sizeof m.text, "%s", text);
	broker_send(MSG_ENDED, id, &m, sizeof m, NULL, 0);
	if (c)
		refuse(c, text);
}

void control_plan(uint64_t id, struct wire_msg *m)
{
	struct client *c = waiting_for_plan(id);
	struct error e = {0};
	const void *plan;
	size_t n = 0;
	int piped;

	if (!c) {
		refuse_launch(NULL, id, "the client went away before the launch");
		return;
	}
	plan = io_map_sealed(m->fds[0], PLAN_SIZE_MAX, &n, &e);
	if (!plan || plan_check(plan, n, &e) < 0) {
		refuse_launch(c, id, e.text);
	} else {
		piped = !(((const struct plan_header *)plan)->flags & PLAN_TERMINAL);
		if (piped != c->piped)
			error_set(
				&e, 0, "the launch plan wants %s", piped ? "pipes" : "a terminal");
		else
			c->sandbox = sandbox_launch(
				id, plan, m->fds[0], m->fds[1], c->stdio, &c->who, c, &e);
		if (!c->sandbox) {
			refuse_launch(c, id, e.text);
		} else {
			c->state = C_RUN;
			for (int i = 0; i < 3; i++) {
				if (c->stdio[i] >= 0)
					close(c->stdio[i]);
				c->stdio[i] = -1;
			}
		}
	}
	if (plan)
		munmap((void *)(uintptr_t)plan, n);
}

void control_refused(uint64_t id, const char *text)
{
	struct client *c = waiting_for_plan(id);

	if (c)
		refuse(c, text);
	else
		sandbox_no_go(id, text);
}

void control_broker_lost(void)
{
	for (struct client *c = clients, *next; c; c = next) {
		next = c->next;
		if (c->state == C_PLAN)
			refuse(c, "the broker died before the launch: try again");
	}
}

void control_started(struct sandbox *s)
{
	if (s->client)
		reply(s->client, "OK %s %s", s->name, s->session);
}

void control_failed(struct sandbox *s, const char *text)
{
	struct client *c = s->client;

	event_text(EVENT_REFUSED, s->owner.uid, "%s: %s", s->name, text);
	if (!c)
		return;
	reply(c, "ERR %s", text);
	client_close(c);
}

void control_ended(struct sandbox *s)
{
	struct client *c = s->client;

	if (!c)
		return;
	if (s->reason == END_EXIT)
		reply(c, "EXIT %u", s->exit_code);
	else
		reply(c, "END %u %s", s->exit_code, s->text);
	client_close(c);
}

/* "SIGNAL INT" while the agent runs. */
static void run_line(struct client *c, const char *line)
{
	static const struct {
		const char *name;
		int sig;
	} known[] = {{"INT", SIGINT}, {"TERM", SIGTERM}, {"HUP", SIGHUP}, {"QUIT", SIGQUIT},
		{"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"WINCH", SIGWINCH}, {"CONT", SIGCONT},
		{"TSTP", SIGTSTP}};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (!strncmp(line, "SIGNAL ", 7) && !strcmp(line + 7, known[i].name) &&
			c->sandbox) {
			sandbox_signal(c->sandbox, known[i].sig);
			return;
		}
	}
	reply(c, "ERR not a signal that can be passed on");
}

/* ---- lines ---- */

static const struct {
	const char *name;
	int wants_name;
	void (*run)(struct client *c, const char *arg);
} verbs[] = {
	{"PS", 0, verb_ps},
	{"SHOW", 1, verb_show},
	{"FREEZE", 1, verb_freeze},
	{"THAW", 1, verb_thaw},
	{"LATCHES", 0, verb_latches},
	{"UNLATCH", 1, verb_unlatch},
	{"RPC", 0, verb_rpc},
	{"AUDIT", 0, verb_audit},
};

static void first_line(struct client *c, char *line, int *fds, size_t nfds)
{
	char *arg = strchr(line, ' ');
	struct error e = {0};

	if (arg)
		*arg++ = 0;
	if (!strcmp(line, "RUN") && !arg) {
		if (start_run(c, fds, nfds, &e) < 0)
			refuse(c, e.text);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (strcmp(line, verbs[i].name) != 0 || (arg != NULL) != verbs[i].wants_name)
			continue;
		verbs[i].run(c, arg);
		client_close(c);
		return;
	}
	refuse(c, "not a verb of control.sock: is this agentctl older than the daemon?");
}

/* Takes one line out of the socket, and the descriptors sent with it. The line's length, 0 when it is
 * not whole yet, -1 when the client is gone or out of bounds. */
static ssize_t take_line(const struct client *c, char *line, int *fds, size_t *nfds)
{
	ssize_t n = recv(c->fd, line, LINE_MAX_BYTES, MSG_PEEK | MSG_DONTWAIT);
	char *lf;

	*nfds = 0;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	lf = n ? memchr(line, '\n', (size_t)n) : NULL;
	if (!lf)
		return n == 0 || n == LINE_MAX_BYTES ? -1 : 0;
	*nfds = SENT_FDS_MAX;
	n = io_recv_fds(c->fd, line, (size_t)(lf - line) + 1, fds, nfds, MSG_DONTWAIT);
	if (n > 0 && line[n - 1] == '\n') {
		line[n - 1] = 0;
		return n;
	}
	/* A line sent in pieces with descriptors in between. */
	if (n > 0)
		dispose(fds, *nfds, c->who.uid);
	*nfds = 0;
	return -1;
}

/* Handles one line. 1 when there may be more, 0 when not, or when the client is freed. */
static int client_line(struct client *c, int closing)
{
	char line[LINE_MAX_BYTES + 1];
	uid_t uid = c->who.uid;
	int fds[SENT_FDS_MAX], more = 0;
	size_t nfds;
	ssize_t n = take_line(c, line, fds, &nfds);

	if (n == 0 && !closing)
		return 0;
	if (n <= 0) {
		hang_up(c);
	} else if (strlen(line) != (size_t)n - 1) {
		refuse(c, "a NUL byte in a line");
	} else if (c->state == C_LINE) {
		first_line(c, line, fds, nfds);
	} else {
		run_line(c, line);
		more = 1;
	}
	dispose(fds, nfds, uid);
	return more;
}

/* Edge-triggered: half a line does not wake us again until more of it comes. */
static void client_event(void *arg, uint32_t events)
{
	struct client *c = arg;

	for (int i = 0; i < LINES_A_ROUND; i++) {
		if (!client_line(c, !!(events & (EPOLLHUP | EPOLLERR))))
			return;
	}
	refuse(c, "too many lines at once");
}

/* ---- accepting ---- */

static int too_many(uid_t uid)
{
	unsigned mine = 0, waiting = 0;

	for (const struct client *c = clients; c; c = c->next) {
		if (c->who.uid != uid)
			continue;
		mine++;
		waiting += c->state == C_LINE;
	}
	/* The last places are root's: no crowd of users keeps it out. */
	return nclients >= CLIENTS_MAX - (uid ? CLIENTS_FOR_ROOT : 0) || mine >= CLIENTS_PER_UID ||
	       waiting >= WAITING_PER_UID;
}

static void accept_one(int fd)
{
	struct client *c = calloc(1, sizeof *c);
	struct error e = {0};

	if (!c || creds_of_peer(fd, &c->who) < 0 || paths_is_agent_uid(c->who.uid) ||
		banned(c->who.uid) || too_many(c->who.uid)) {
		free(c);
		close_connection(fd);
		return;
	}
	c->fd = fd;
	c->admin = c->who.uid == 0 ||
		   (sup.admin_gid != (gid_t)-1 && creds_in_group(&c->who, sup.admin_gid));
	c->since = io_now_mono();
	c->stdio[0] = c->stdio[1] = c->stdio[2] = -1;
	c->watch = loop_watch(fd, EPOLLIN | EPOLLRDHUP | EPOLLET, client_event, c, &e);
	if (!c->watch) {
		say("%s", e.text);
		free(c);
		close_connection(fd);
		return;
	}
	c->next = clients;
	clients = c;
	nclients++;
}

static void listener_event(void *arg, uint32_t events)
{
	(void)arg;
	(void)events;
	for (int i = 0; i < ACCEPTS_A_ROUND; i++) {
		/* cppcheck-suppress nullPointer; accept(2) allows both to be NULL */
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			return;
		accept_one(fd);
	}
}

int control_init(struct error *e)
{
	listener = sup_listen(sup.paths.control, 1, e);
	if (listener < 0)
		return -1;
	return loop_watch(listener, EPOLLIN, listener_event, NULL, e) ? 0 : -1;
}

void control_tick(uint64_t now)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		; /* children of dispose, roles that took long to die */
	for (struct client *c = clients, *next; c; c = next) {
		next = c->next;
		if (c->state == C_LINE && now - c->since > VERB_WITHIN)
			refuse(c, "no request within 5 s");
		else if (c->state == C_PLAN && now - c->since > PLAN_WITHIN)
			refuse(c, "the broker did not answer: nothing was started");
	}
}
