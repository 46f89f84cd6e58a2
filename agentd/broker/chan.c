/* Non-blocking wire channels; see chan.h. */
#include "agentd/broker/chan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#define QUEUE_MAX (8u << 20) /* bytes a peer may lag behind */
#define FDS_MAX   4u /* the most descriptors one message of ours carries */
#define READS_MAX 64 /* messages taken in one turn, so that one peer does not starve the others */

struct out {
	STAILQ_ENTRY(out) next;
	uint64_t id;
	uint16_t type;
	uint32_t n;
	int fds[FDS_MAX];
	size_t nfds;
	unsigned char payload[];
};

struct chan {
	int fd; /* -1: lost */
	struct event *readable, *writable;
	const struct wire_rule *table;
	size_t rules;
	void *ctx;
	chan_closed *closed;
	STAILQ_HEAD(, out) queue; /* owned */
	size_t queued;
	struct wire_msg msg; /* large, so it is here and not on the stack */
};

static void drop_queue(struct chan *c)
{
	struct out *o;

	while ((o = STAILQ_FIRST(&c->queue))) {
		STAILQ_REMOVE_HEAD(&c->queue, next);
		for (size_t i = 0; i < o->nfds; i++)
			close(o->fds[i]);
		free(o);
	}
	c->queued = 0;
}

static void lose(struct chan *c, const char *why)
{
	if (c->fd < 0)
		return;
	event_del(c->readable);
	event_del(c->writable);
	close(c->fd);
	c->fd = -1;
	drop_queue(c);
	c->closed(c->ctx, why);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct chan *c = arg;

	(void)fd;
	(void)what;
	for (int i = 0; i < READS_MAX && c->fd >= 0; i++) {
		int r = wire_recv(c->fd, &c->msg);

		if (r < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (r <= 0) {
			lose(c, r == 0 ? "it closed the channel" : strerror(errno));
			return;
		}
		if (wire_dispatch(c->table, c->rules, c->ctx, &c->msg) < 0) {
			lose(c, "it sent a message that is not in the protocol");
			return;
		}
	}
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct chan *c = arg;
	struct out *o;

	(void)fd;
	(void)what;
	while ((o = STAILQ_FIRST(&c->queue))) {
		if (wire_send(c->fd, o->type, o->id, o->payload, o->n, o->fds, o->nfds) < 0) {
			if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
				lose(c, strerror(errno));
			return;
		}
		STAILQ_REMOVE_HEAD(&c->queue, next);
		c->queued -= sizeof *o + o->n;
		for (size_t i = 0; i < o->nfds; i++)
			close(o->fds[i]);
		free(o);
	}
	event_del(c->writable);
}

struct chan *chan_new(struct event_base *base, int fd, const struct wire_rule *table, size_t n,
	void *ctx, chan_closed *closed)
{
	struct chan *c = calloc(1, sizeof *c);

	if (!c) {
		close(fd);
		return NULL;
	}
	c->fd = fd;
	c->table = table;
	c->rules = n;
	c->ctx = ctx;
	c->closed = closed;
	STAILQ_INIT(&c->queue);
	c->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable = event_new(base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
	if (!c->readable || !c->writable || evutil_make_socket_nonblocking(fd) < 0 ||
		event_add(c->readable, NULL) < 0) {
		chan_free(c);
		return NULL;
	}
	return c;
}

void chan_free(struct chan *c)
{
	if (!c)
		return;
	if (c->readable)
		event_free(c->readable);
	if (c->writable)
		event_free(c->writable);
	if (c->fd >= 0)
		close(c->fd);
	drop_queue(c);
	free(c);
}

static int enqueue(struct chan *c, uint16_t type, uint64_t id, const void *payload, size_t n,
	const int *fds, size_t nfds)
{
	struct out *o;

	if (nfds > FDS_MAX || n > WIRE_PAYLOAD_MAX || c->queued + sizeof *o + n > QUEUE_MAX)
		return -1;
	o = malloc(sizeof *o + n);
	if (!o)
		return -1;
	o->type = type;
	o->id = id;
	o->n = (uint32_t)n;
	o->nfds = nfds;
	if (nfds)
		memcpy(o->fds, fds, nfds * sizeof *fds);
	if (n)
		memcpy(o->payload, payload, n);
	STAILQ_INSERT_TAIL(&c->queue, o, next);
	c->queued += sizeof *o + n;
	return event_add(c->writable, NULL);
}

int chan_send(struct chan *c, uint16_t type, uint64_t id, const void *payload, size_t n, int *fds,
	size_t nfds)
{
	int r = -1;

	if (c->fd >= 0 && STAILQ_EMPTY(&c->queue))
		r = wire_send(c->fd, type, id, payload, n, fds, nfds);
	else if (c->fd >= 0)
		errno = EAGAIN;
	if (r < 0 && c->fd >= 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS) &&
		enqueue(c, type, id, payload, n, fds, nfds) == 0)
		return 0; /* the queue owns the descriptors */
	for (size_t i = 0; i < nfds; i++)
		close(fds[i]);
	return r;
}

int chan_open(const struct chan *c)
{
	return c && c->fd >= 0;
}
