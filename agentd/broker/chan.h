/* A non-blocking channel to another of our processes: messages of common/wire.h, a bounded queue for
 * what the socket does not take yet, and the dispatch table for what comes in. A peer that breaks
 * the table is closed. Used for the supervisor and for the recorder. */
#ifndef BROKER_CHAN_H
#define BROKER_CHAN_H

#include <event2/event.h>

#include "common/wire.h"

struct chan;

/* why: one line, for a record and a message on stderr. The channel must not be freed in it. */
typedef void chan_closed(void *ctx, const char *why);

/* Takes fd over. The table and ctx must outlive the channel. NULL when out of memory (fd is closed). */
struct chan *chan_new(struct event_base *base, int fd, const struct wire_rule *table, size_t n,
	void *ctx, chan_closed *closed);
void chan_free(struct chan *c);

/* Sends, or queues when the socket is full. The descriptors are closed in every case, after they were
 * sent. 0, or -1: the channel is closed or its queue is full, nothing was sent. */
int chan_send(struct chan *c, uint16_t type, uint64_t id, const void *payload, size_t n, int *fds,
	size_t nfds);

/* 1 until the peer was lost. */
int chan_open(const struct chan *c);

#endif
