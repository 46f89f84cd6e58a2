/* Terminals nobody looks at; see pty.h. */
#include "agentd/broker/pty.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RING_SIZE 65536u

struct pty {
	int master;
	struct event *readable; /* owned */
	char *ring; /* owned; NULL until something is printed */
	size_t at, n; /* where the next byte goes; how many are valid */
};

static void keep(struct pty *p, const char *s, size_t n)
{
	if (!p->ring && !(p->ring = malloc(RING_SIZE)))
		return; /* lost, but the agent goes on */
	if (n > RING_SIZE) {
		s += n - RING_SIZE;
		n = RING_SIZE;
	}
	for (size_t left = n; left;) {
		size_t k = RING_SIZE - p->at < left ? RING_SIZE - p->at : left;

		memcpy(p->ring + p->at, s, k);
		p->at = (p->at + k) % RING_SIZE;
		s += k;
		left -= k;
	}
	p->n = p->n + n > RING_SIZE ? RING_SIZE : p->n + n;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct pty *p = arg;
	char buf[16384];
	ssize_t r = read(fd, buf, sizeof buf);

	(void)what;
	if (r > 0)
		keep(p, buf, (size_t)r);
	else if (r == 0 || (errno != EAGAIN && errno != EINTR))
		event_del(p->readable); /* EIO: the last slave is closed */
}

struct pty *pty_new(struct event_base *base, int master)
{
	struct pty *p = calloc(1, sizeof *p);

	if (!p) {
		close(master);
		return NULL;
	}
	p->master = master;
	p->readable = event_new(base, master, EV_READ | EV_PERSIST, on_readable, p);
	if (!p->readable || evutil_make_socket_nonblocking(master) < 0 ||
		event_add(p->readable, NULL) < 0) {
		pty_free(p);
		return NULL;
	}
	return p;
}

void pty_free(struct pty *p)
{
	if (!p)
		return;
	if (p->readable)
		event_free(p->readable);
	close(p->master);
	free(p->ring);
	free(p);
}

int pty_master(const struct pty *p)
{
	return p->master;
}

void pty_pause(struct pty *p, struct text *replay)
{
	size_t from = (p->at + RING_SIZE - p->n) % RING_SIZE;
	size_t first = RING_SIZE - from < p->n ? RING_SIZE - from : p->n;

	event_del(p->readable);
	text_put(replay, "", 0);
	if (p->n) {
		text_put(replay, p->ring + from, first);
		text_put(replay, p->ring, p->n - first);
	}
	p->n = p->at = 0;
}

void pty_resume(struct pty *p)
{
	event_add(p->readable, NULL);
}
