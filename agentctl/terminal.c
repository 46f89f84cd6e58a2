/* The person's terminal and the sandbox's pty; see terminal.h. The broker hands the pty master over
 * (docs/rpc.md, attach) and leaves it alone while the connection is open. When the broker restarts,
 * the master is asked for again: two readers of one pty would tear its output apart. */
#include "agentctl/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agentctl/tty.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/jsonscan.h"

#define ANSWER_MS   10000 /* for the broker's answer to attach */
#define RETRY_MS    250 /* between attempts after the broker was lost */
#define RETRIES     160 /* 40 s: after 30 s without a broker the sandbox is killed anyhow */
#define DRAIN_MS    300 /* silence after which the output of an ended sandbox is complete */
#define DRAIN_READS 4096 /* of at most 64 KiB; the kernel holds far less than that */
#define VERDICT_MS  2000 /* the supervisor's report after the broker said that it ended */
#define HANG_UP_MS  50 /* a pty that nobody has open: look again */
#define INPUT_MAX   4096
#define OUTPUT_SIZE 65536

struct join {
	const struct ctl *c;
	const char *name;
	char session
		[80]; /* of this run, so that another of the same name is not taken for it; "" */
	struct ctl_lines *control; /* NULL: attach */
	struct ctl_lines rpc; /* fd -1: lost */
	int master; /* -1: none */
	int asked; /* the request to attach is on its way */
	int hung_up; /* nobody has the pty open at the moment */
	int final; /* the outcome is the supervisor's own */
	int unseen; /* it ended before its terminal could be had */
	struct detach_keys keys;
	char input[INPUT_MAX + KEYS_HELD_MAX]; /* typed, not yet taken by the pty */
	size_t input_at, input_n;
	char output[OUTPUT_SIZE];
	struct outcome *o;
};

static void lose_broker(struct join *j)
{
	tty_master(-1);
	if (j->master >= 0)
		close(j->master);
	if (j->rpc.fd >= 0)
		close(j->rpc.fd);
	j->master = j->rpc.fd = -1;
	j->asked = j->hung_up = 0;
	j->input_n = 0;
}

/* 1 when fd becomes readable within ms. */
static int readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int r;

	do
		r = poll(&p, 1, ms);
	while (r < 0 && errno == EINTR);
	return r > 0;
}

/* Receives the answer's line and the descriptor that rides on its first byte. */
static int receive_answer(struct join *j, char **line, struct error *e)
{
	struct ctl_lines *l = &j->rpc;
	int fds[1];
	size_t nfds = 1;
	ssize_t r;

	if (!readable(l->fd, ANSWER_MS))
		return error_set(e, 0, "the broker does not answer");
	r = io_recv_fds(l->fd, l->buf, sizeof l->buf, fds, &nfds, 0);
	if (r <= 0)
		return error_set(e, r < 0 ? errno : 0, "the broker closed the connection");
	l->start = 0;
	l->end = (size_t)r;
	j->master = nfds ? fds[0] : -1;
	if (ctl_read_line(l, line, e) != 1)
		return error_set(e, 0, "the broker's answer to attach is not whole");
	return 0;
}

/* Takes the result apart. *refused: the broker answered, and said no. */
static int read_answer(
	struct join *j, const char *line, int64_t *replay, int *refused, struct error *e)
{
	struct span all = {line, strlen(line)}, v, m;
	char text[512];
	size_t n;

	if (json_find(all, "error", &v) == 1) {
		*refused = 1;
		if (json_find(v, "message", &m) != 1 || json_string(m, text, sizeof text, &n) < 0)
			snprintf(text, sizeof text, "refused");
		return error_set(e, 0, "%s", text);
	}
	if (json_find(all, "result", &v) != 1 || json_find(v, "replay", &m) != 1 ||
		json_int(m, replay) < 0 || *replay < 0 || j->master < 0)
		return error_set(e, 0, "the broker's answer to attach has another form");
	return 0;
}

/* Prints the raw bytes that follow the answer. */
static int print_replay(struct join *j, int64_t left, struct error *e)
{
	struct ctl_lines *l = &j->rpc;

	while (left > 0) {
		size_t k = l->end - l->start;
		ssize_t r;

		if (k == 0) {
			l->start = l->end = 0;
			r = readable(l->fd, ANSWER_MS) ? read(l->fd, l->buf, sizeof l->buf) : 0;
			if (r <= 0)
				return error_set(
					e, 0, "the broker's answer to attach is not whole");
			l->end = (size_t)r;
			continue;
		}
		if ((int64_t)k > left)
			k = (size_t)left;
		(void)tty_write(l->buf + l->start, k);
		l->start += k;
		left -= (int64_t)k;
	}
	return 0;
}

/* Connects and asks for the broker. The fd, or -1 with *e. */
static int open_rpc(const struct ctl *c, struct error *e)
{
	cleanup_close int fd = ctl_connect(c, c->paths.control, e);

	if (fd < 0)
		return -1;
	if (io_send_fds(fd, "RPC\n", 4, NULL, 0, 0) < 0)
		return error_set(e, errno, "cannot write to agentd");
	return take_fd(&fd);
}

int terminal_prepare(const struct ctl *c)
{
	struct error e;

	return open_rpc(c, &e);
}

static int ask_attach(struct join *j, struct error *e)
{
	char request[320], session[120] = "";
	int n;

	if (*j->session)
		snprintf(session, sizeof session, ",\"session\":\"%s\"", j->session);
	n = snprintf(request, sizeof request,
		"{\"id\":1,\"jsonrpc\":\"2.0\",\"method\":\"attach\",\"params\":{\"name\":\"%s\"%s}"
		"}"
		"\n",
		j->name, session);

	if (j->asked)
		return 0;
	if (j->rpc.fd < 0)
		j->rpc.fd = open_rpc(j->c, e);
	if (j->rpc.fd < 0)
		return -1;
	if (io_send_fds(j->rpc.fd, request, (size_t)n, NULL, 0, 0) < 0)
		return error_set(e, errno, "cannot write to agentd");
	j->asked = 1;
	return 0;
}

/* Gets the pty master and prints the replay. -1: *refused tells a no from a failure. */
static int attach(struct join *j, int *refused, struct error *e)
{
	int64_t replay = 0;
	char none[] = "", *line = none;
	int flags;

	*refused = 0;
	if (ask_attach(j, e) < 0 || receive_answer(j, &line, e) < 0 ||
		read_answer(j, line, &replay, refused, e) < 0 || print_replay(j, replay, e) < 0) {
		lose_broker(j);
		return -1;
	}
	flags = fcntl(j->master, F_GETFL);
	if (flags >= 0 && !(flags & O_NONBLOCK))
		(void)fcntl(j->master, F_SETFL, flags | O_NONBLOCK);
	tty_master(j->master);
	return 0;
}

/* Reads a line that is (partly) there, without blocking for the first byte. As ctl_read_line. */
static int next_line(struct ctl_lines *l, char **line)
{
	struct error e;

	if (!memchr(l->buf + l->start, '\n', l->end - l->start) && !readable(l->fd, 0))
		return -2;
	return ctl_read_line(l, line, &e);
}

/* Takes what the supervisor says. */
static void take_control(struct join *j)
{
	char *line;
	int r;

	while ((r = next_line(j->control, &line)) == 1)
		if (outcome_of_line(j->o, line)) {
			j->final = 1;
			return;
		}
	if (r == 0 || r == -1) {
		j->o->kind = OUTCOME_LOST;
		snprintf(j->o->text, sizeof j->o->text,
			"agentd is gone, and %s with it (agentctl doctor)", j->name);
	}
}

/* Moves output once. 0; -1 when there is no more. */
static int move_output(struct join *j)
{
	ssize_t r = read(j->master, j->output, sizeof j->output);

	if (r > 0) {
		j->hung_up = 0;
		if (tty_write(j->output, (size_t)r) < 0)
			j->o->kind = OUTCOME_DETACHED;
		return 0;
	}
	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	j->hung_up = 1;
	return -1;
}

/* What the pty holds, until nobody has it open or it is silent for ms. After the end everything is
 * dead, so that is all there will be; the bound is for a broker that was lost while output flows. */
static void drain(struct join *j, int ms)
{
	for (int i = 0; i < DRAIN_READS && j->master >= 0 && readable(j->master, ms); i++)
		if (move_output(j) < 0)
			return;
}

/* Takes what the broker says. */
static void take_rpc(struct join *j)
{
	char *line;
	int r;

	while ((r = next_line(&j->rpc, &line)) == 1)
		if (outcome_of_notification(j->o, line))
			return;
	if (r == 0 || r == -1) {
		drain(j, 0); /* the next broker does not have what this master gives now */
		lose_broker(j);
	}
}

/* The broker said that it ended: the supervisor's words, which come too, are the better ones. */
static void await_verdict(struct join *j)
{
	struct outcome better = {0};
	char *line;

	while (j->control && readable(j->control->fd, VERDICT_MS)) {
		if (next_line(j->control, &line) != 1)
			return;
		if (outcome_of_line(&better, line)) {
			*j->o = better;
			return;
		}
	}
}

static void take_input(struct join *j)
{
	char typed[INPUT_MAX];
	ssize_t r = read(0, typed, sizeof typed);
	int leave = 0;

	if (r < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (r <= 0) { /* the terminal is gone; SIGHUP usually says so first */
		j->o->kind = OUTCOME_DETACHED;
		return;
	}
	j->input_at = 0;
	j->input_n = detach_keys_feed(&j->keys, typed, (size_t)r, j->input, &leave);
	if (leave)
		j->o->kind = OUTCOME_DETACHED;
}

static void move_input(struct join *j)
{
	ssize_t w = write(j->master, j->input + j->input_at, j->input_n);

	if (w > 0) {
		j->input_at += (size_t)w;
		j->input_n -= (size_t)w;
	} else if (w < 0 && errno != EAGAIN && errno != EINTR) {
		j->input_n = 0;
	}
}

/* One round of the relay. */
static void relay_once(struct join *j)
{
	struct pollfd p[4] = {
		{.fd = j->input_n ? -1 : 0, .events = POLLIN},
		{.fd = j->hung_up ? -1 : j->master,
			.events = (short)(POLLIN | (j->input_n ? POLLOUT : 0))},
		{.fd = j->control ? j->control->fd : -1, .events = POLLIN},
		{.fd = j->rpc.fd, .events = POLLIN},
	};
	int r = poll(p, 4, j->hung_up ? HANG_UP_MS : -1);

	if (r <= 0) {
		j->hung_up = 0;
		return;
	}
	if (p[1].revents & POLLOUT)
		move_input(j);
	if (p[1].revents & (POLLIN | POLLHUP | POLLERR))
		(void)move_output(j);
	if (p[0].revents && j->o->kind == OUTCOME_NONE)
		take_input(j);
	if (j->input_n) /* also what was typed before the detach keys */
		move_input(j);
	if (p[2].revents && j->o->kind == OUTCOME_NONE)
		take_control(j);
	if (p[3].revents && j->o->kind == OUTCOME_NONE)
		take_rpc(j);
}

/* Attaches again after the broker was lost. Returns when it worked or the outcome is known. */
static void attach_again(struct join *j)
{
	struct error e = {.text = "the broker is gone"};
	int refused;

	for (int i = 0; i < RETRIES && j->o->kind == OUTCOME_NONE; i++) {
		if (j->control && readable(j->control->fd, RETRY_MS)) {
			take_control(j);
			continue;
		}
		if (!j->control)
			(void)poll(NULL, 0, RETRY_MS);
		if (attach(j, &refused, &e) == 0) {
			tty_redraw();
			return;
		}
	}
	if (j->o->kind == OUTCOME_NONE) {
		j->o->kind = OUTCOME_LOST;
		snprintf(j->o->text, sizeof j->o->text, "lost the terminal of %s: %.400s", j->name,
			e.text);
	}
}

/* The first attach of a run or of `agentctl attach`. */
static int first_attach(struct join *j)
{
	int refused, prepared = j->rpc.fd >= 0;
	struct error e;

	if (attach(j, &refused, &e) == 0)
		return 0;
	if (prepared && !refused && attach(j, &refused, &e) == 0)
		return 0; /* the prepared connection went to a broker that is gone */
	/* A short command has ended already: then the supervisor says how. */
	if (j->control && readable(j->control->fd, refused ? VERDICT_MS : 0)) {
		take_control(j);
		if (j->o->kind != OUTCOME_NONE) {
			j->unseen = j->o->kind == OUTCOME_EXIT;
			return -1;
		}
	}
	j->o->kind = refused && !j->control ? OUTCOME_REFUSED : OUTCOME_LOST;
	snprintf(j->o->text, sizeof j->o->text, "cannot attach to %s: %.400s", j->name, e.text);
	return -1;
}

static void relay(struct join *j)
{
	if (first_attach(j) < 0)
		return;
	if (!j->control)
		tty_redraw();
	while (j->o->kind == OUTCOME_NONE) {
		if (j->rpc.fd < 0)
			attach_again(j);
		else
			relay_once(j);
	}
	if (j->o->kind == OUTCOME_EXIT || j->o->kind == OUTCOME_END) {
		drain(j, DRAIN_MS);
		if (!j->final)
			await_verdict(j);
	}
}

void terminal_join(const struct ctl *c, const char *name, const char *session, int broker,
	struct ctl_lines *control, const struct detach_keys *keys, struct outcome *o)
{
	static struct join j; /* large, and once a process */
	static char farewell[160];
	struct error e;

	memset(o, 0, sizeof *o);
	j.c = c;
	j.name = name;
	snprintf(j.session, sizeof j.session, "%s", session ? session : "");
	j.control = control;
	j.keys = *keys;
	j.o = o;
	j.master = -1;
	j.rpc.fd = broker;
	snprintf(farewell, sizeof farewell,
		"agentctl: left %s, which goes on; back to it: agentctl attach %s\n", name, name);
	tty_farewell(farewell);
	(void)ask_attach(&j, &e); /* first of all: see terminal_prepare */
	if (tty_enter(&e) < 0) {
		o->kind = OUTCOME_LOST;
		snprintf(o->text, sizeof o->text, "%.500s", e.text);
		return;
	}
	relay(&j);
	lose_broker(&j);
	tty_leave();
	if (j.unseen)
		dprintf(2,
			"agentctl: %s ended before its terminal could be joined; what it printed "
			"is lost\n",
			name);
}
