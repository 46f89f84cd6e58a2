/* A piped run's descriptors and signals; see relay.h. */
#include "agentctl/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"

#define CHUNK    16384
#define DRAIN_MS 500 /* silence after which the output of an ended sandbox is complete */
#define AWAY_MS  300 /* how often a job in the background looks whether it has the terminal */

struct flow {
	int from, to; /* -1: ended */
	size_t at, n;
	char buf[CHUNK];
};

static int is_null_device(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3);
}

/* 1 when the descriptor can be given away, 0 when it needs a pipe: the supervisor takes anonymous pipes
 * and the null device, whose close can never block it (a file of a FUSE file system can). */
static int can_pass(int fd)
{
	char at[32], to[16];
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return 0;
	if (!S_ISFIFO(st.st_mode))
		return is_null_device(&st);
	snprintf(at, sizeof at, "/proc/self/fd/%d", fd);
	n = readlink(at, to, sizeof to);
	return n >= 6 && !memcmp(to, "pipe:[", 6);
}

/* A pipe in place of descriptor i. Our end does not block: a full pipe must not stop the other flows. */
static int make_pipe(struct relay *r, int i, struct error *e)
{
	int p[2], ours = i == 0 ? 1 : 0;

	if (pipe2(p, O_CLOEXEC) < 0)
		return error_set(e, errno, "cannot make a pipe");
	r->pass[i] = p[!ours];
	r->own[i] = p[ours];
	if (i == 0 && fcntl(p[ours], F_SETFL, O_NONBLOCK) < 0)
		return error_set(e, errno, "cannot set up a pipe");
	return 0;
}

int relay_open(struct relay *r, struct error *e)
{
	for (int i = 0; i < 3; i++) {
		r->pass[i] = i;
		r->own[i] = -1;
		if (!can_pass(i) && make_pipe(r, i, e) < 0)
			return -1;
	}
	return 0;
}

void relay_sent(struct relay *r)
{
	for (int i = 0; i < 3; i++)
		if (r->own[i] >= 0) {
			close(r->pass[i]);
			r->pass[i] = -1;
		}
}

static const struct {
	int sig;
	const char *line;
} forwarded[] = {
	{SIGINT, "SIGNAL INT\n"},
	{SIGTERM, "SIGNAL TERM\n"},
	{SIGHUP, "SIGNAL HUP\n"},
	{SIGQUIT, "SIGNAL QUIT\n"},
	{SIGUSR1, "SIGNAL USR1\n"},
	{SIGUSR2, "SIGNAL USR2\n"},
	{SIGWINCH, "SIGNAL WINCH\n"},
	{SIGCONT, "SIGNAL CONT\n"},
	{SIGTSTP, "SIGNAL TSTP\n"},
};

/* For the handler. */
static volatile sig_atomic_t signal_socket = -1, interrupts;
static char patience[192];

static void on_signal(int sig)
{
	int saved = errno;

	for (size_t i = 0; i < ARRAY_LEN(forwarded); i++)
		if (forwarded[i].sig == sig)
			(void)send(signal_socket, forwarded[i].line, strlen(forwarded[i].line),
				MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sig == SIGINT && ++interrupts == 3)
		(void)io_write_all(2, patience, strlen(patience));
	if (sig == SIGTSTP)
		(void)kill(getpid(), SIGSTOP);
	errno = saved;
}

void relay_signals(int control, const char *name)
{
	struct sigaction a = {.sa_flags = SA_RESTART}, old;

	signal_socket = control;
	snprintf(patience, sizeof patience,
		"agentctl: the command ignores ctrl-C; this ends it: agentctl kill %s\n", name);
	a.sa_handler = on_signal;
	for (size_t i = 0; i < ARRAY_LEN(forwarded); i++)
		if (sigaction(forwarded[i].sig, &a, &old) == 0 && old.sa_handler == SIG_IGN)
			(void)sigaction(forwarded[i].sig, &old, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGTTIN, SIG_IGN);
	(void)signal(SIGTTOU, SIG_IGN);
}

static void end_flow(struct flow *f, int own)
{
	if (own >= 0)
		close(own);
	f->from = f->to = -1;
	f->n = 0;
}

/* Reads once. 0, or -1: there is no more, or nobody reads it. */
static int fill(struct flow *f)
{
	ssize_t r = read(f->from, f->buf, sizeof f->buf);

	if (r < 0 && (errno == EINTR || errno == EAGAIN || (errno == EIO && f->from == 0)))
		return 0;
	f->at = 0;
	f->n = r > 0 ? (size_t)r : 0;
	return r > 0 ? 0 : -1;
}

static int flush(struct flow *f)
{
	ssize_t w = write(f->to, f->buf + f->at, f->n);

	if (w < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (w < 0)
		return -1;
	f->at += (size_t)w;
	f->n -= (size_t)w;
	return 0;
}

/* Only the terminal's foreground job may read it; others would be stopped, or get an error. */
static int in_background(int fd)
{
	pid_t foreground = tcgetpgrp(fd);

	return foreground >= 0 && foreground != getpgrp();
}

/* What to wait for on a flow: one descriptor, and reading or writing. *away: not now, ask again. */
static struct pollfd interest(const struct flow *f, int *away)
{
	if (f->from < 0)
		return (struct pollfd){.fd = -1};
	if (f->n)
		return (struct pollfd){.fd = f->to, .events = POLLOUT};
	if (f->from == 0 && in_background(0)) {
		*away = 1;
		return (struct pollfd){.fd = -1};
	}
	return (struct pollfd){.fd = f->from, .events = POLLIN};
}

enum round { ROUND_QUIET, ROUND_MOVED, ROUND_CONTROL };

/* One round over the flows and the connection (-1: not that): QUIET when timeout ms went by without
 * anything, CONTROL when the connection has something. */
static enum round round_once(struct flow *f, const struct relay *r, int control, int timeout)
{
	struct pollfd p[4];
	int away = 0, got;

	for (int i = 0; i < 3; i++)
		p[i] = interest(&f[i], &away);
	p[3] = (struct pollfd){.fd = control, .events = POLLIN};
	got = poll(p, 4, away ? AWAY_MS : timeout);
	if (got <= 0)
		return got < 0 || away ? ROUND_MOVED : ROUND_QUIET;
	for (int i = 0; i < 3; i++)
		if (p[i].revents && (f[i].n ? flush(&f[i]) : fill(&f[i])) < 0)
			end_flow(&f[i], r->own[i]);
	return p[3].revents ? ROUND_CONTROL : ROUND_MOVED;
}

/* Everything in the sandbox is dead: what the pipes hold is the last of its output. */
static void drain(struct flow *f, const struct relay *r)
{
	if (f[0].from >= 0)
		end_flow(&f[0], r->own[0]);
	while ((f[1].from >= 0 || f[2].from >= 0) && round_once(f, r, -1, DRAIN_MS) != ROUND_QUIET)
		;
}

/* Reads one line of the supervisor's. 1 when the outcome is known. */
static int take_control(struct ctl_lines *control, struct outcome *o)
{
	struct error e = {.text = ""};
	char *line;

	if (ctl_read_line(control, &line, &e) == 1)
		return outcome_of_line(o, line);
	o->kind = OUTCOME_LOST;
	snprintf(o->text, sizeof o->text, "agentd is gone, and the sandbox with it%s%.400s",
		*e.text ? ": " : " (agentctl doctor)", e.text);
	return 1;
}

static int line_waits(const struct ctl_lines *l)
{
	return memchr(l->buf + l->start, '\n', l->end - l->start) != NULL;
}

void relay_run(struct relay *r, struct ctl_lines *control, struct outcome *o)
{
	static struct flow f[3]; /* large, and once a process */
	int flows = 0;

	memset(o, 0, sizeof *o);
	for (int i = 0; i < 3; i++) {
		f[i].from = r->own[i] < 0 ? -1 : i == 0 ? 0 : r->own[i];
		f[i].to = i == 0 ? r->own[i] : i;
		flows += r->own[i] >= 0;
	}
	do
		while (flows && !line_waits(control) &&
			round_once(f, r, control->fd, -1) != ROUND_CONTROL)
			;
	while (!take_control(control, o));
	drain(f, r);
}
