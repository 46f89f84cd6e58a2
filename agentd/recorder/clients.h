/* Readers of the log: agentctl connections that said AUDIT. One request line, then a stream of entries,
 * exactly as they are in the log, one a line:
 *
 *   {"from":N}            entries from index N on        {"last":K}   the last K that the peer may see
 *   "follow":true         goes on as the log grows       "count":C    stops after C
 *
 * Without follow the stream ends with {"end":SIZE}; a request that cannot be served gets {"error":TEXT}.
 * Peers that are not admin see only records whose a.uid is theirs. Called by recorder.c; a slow, silent
 * or greedy peer costs others nothing: buffers are bounded, and it is dropped. */
#ifndef RECORDER_CLIENTS_H
#define RECORDER_CLIENTS_H

#include <poll.h>
#include <stdint.h>

#include "common/msg.h"

#define CLIENTS_MAX     32u
#define CLIENTS_PER_UID 8u

struct clients;

struct clients *clients_new(int logdir); /* logdir stays the caller's; NULL when out of memory */
void clients_free(struct clients *c);

/* Takes fd over. */
void clients_add(struct clients *c, int fd, const struct msg_peer *peer);

/* Fills up to CLIENTS_MAX pollfds; returns how many. */
size_t clients_poll(struct clients *c, struct pollfd *fds);
/* Reads requests, writes entries, all below size (the durable records); drops who is too slow. Call
 * after poll(2) and whenever the log has grown. 1 when there is more to do at once, else 0. */
int clients_serve(struct clients *c, uint64_t size);

#endif
