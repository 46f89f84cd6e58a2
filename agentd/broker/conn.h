/* One JSON-RPC 2.0 connection: lines in, lines out, both bounded (docs/rpc.md). Used for tool.sock and
 * for agentctl's RPC. Knows nothing of what the methods mean.
 *
 * Connections live in a group: those of one sandbox, or of one uid. A group shares a quota of
 * connections, of buffered bytes and of the broker's time: a group that has used up its share of time
 * waits while others go on, so that one hostile client costs nothing to others. */
#ifndef BROKER_CONN_H
#define BROKER_CONN_H

#include <event2/event.h>
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#define CONN_LINE_MAX  (1u << 20) /* bytes with the LF */
#define CONN_DEPTH_MAX 64
#define CONN_ID_CAP    72 /* a JSON id as text, with the NUL */
#define CONN_OUT_MAX   (1u << 20) /* bytes of answers that a client may leave unread */
#define CONN_BUSY_MAX  64 /* calls that are being decided, not held; more wait in the socket */

enum rpc_code {
	RPC_PARSE = -32700,
	RPC_INVALID = -32600,
	RPC_METHOD = -32601,
	RPC_PARAMS = -32602,
	RPC_REFUSED = -32000,
};

struct conn;

struct conn_group {
	struct event_base *base;
	struct event *resume, *reap; /* owned */
	TAILQ_HEAD(, conn)
	dead; /* conn.link: to be freed when no function looks at them any more */
	void (*emptied)(struct conn_group *g); /* the last connection was freed; may be NULL */
	void (*resumed)(struct conn_group *g); /* it has time again; may be NULL */
	void *owner; /* for both */
	TAILQ_HEAD(, conn) paused; /* conn.paused_link */
	int64_t time_ns; /* share of time left; below 0: the group waits */
	uint64_t refilled_ns;
	size_t held, held_max; /* bytes in the connections' buffers */
	unsigned conns, conns_max;
};

struct conn_ops {
	/* A request; id is "" for a notification (no answer), params an object or NULL. Both are
	 * gone after the call. The handler answers now or later with conn_result or conn_error. */
	void (*call)(struct conn *c, const char *id, const char *method, json_t *params);
	/* The peer is gone, or the connection was closed: forget it. */
	void (*closed)(struct conn *c);
};

struct conn {
	int fd;
	struct event *readable, *writable; /* owned */
	struct conn_group *group;
	const struct conn_ops *ops;
	void *owner; /* what the ops need */
	pid_t pid; /* of the peer */
	uid_t uid;
	unsigned busy; /* calls that are being decided; see conn_busy */
	unsigned char dead, closing, waiting, running;
	char *in, *out; /* owned; NULL when empty */
	size_t in_n, in_cap, out_n, out_cap;
	int out_fd; /* a descriptor that rides on the byte at out_fd_at, -1: none */
	size_t out_fd_at;
	TAILQ_ENTRY(conn) paused_link; /* conn_group.paused, when waiting */
	TAILQ_ENTRY(conn) link; /* conn_group.dead, when dead */
};

int conn_group_init(
	struct conn_group *g, struct event_base *base, unsigned conns_max, size_t held_max);
/* 1 while the group has time left. Else 0, and resumed is called when it has again. */
int conn_group_may(struct conn_group *g);
/* Takes the time since *since_ns (io_now_mono; moved on) from the group's share. */
void conn_group_charge(struct conn_group *g, uint64_t *since_ns);
/* The group waits for a while, whatever it has left. */
void conn_group_tire(struct conn_group *g);
/* All its connections must have been closed. */
void conn_group_done(struct conn_group *g);

/* Takes fd over (also on failure). NULL: the group is full or no memory. */
struct conn *conn_new(struct conn_group *g, int fd, const struct conn_ops *ops, void *owner);

/* Closes: ops->closed is called (unless the connection is dead already), nothing more is sent or read.
 * The memory stays until the loop's next turn, so a caller may still look at it. */
void conn_close(struct conn *c);
/* Reads no more, closes when the last answer was sent. */
void conn_finish(struct conn *c);

/* Answers. result is JSON text. Nothing is sent when id is "". */
void conn_result(struct conn *c, const char *id, const char *result, size_t n);
__attribute__((format(printf, 4, 5))) void conn_error(
	struct conn *c, const char *id, enum rpc_code code, const char *fmt, ...);
/* A notification; params is JSON text. */
void conn_notify(struct conn *c, const char *method, const char *params, size_t n);
/* conn_result with a descriptor on its first byte (duplicated, the caller keeps its own), and with raw
 * bytes behind the line. 0, or -1 when one is still under way. */
int conn_result_fd(struct conn *c, const char *id, const char *result, size_t n, int fd,
	const char *raw, size_t raw_n);

/* +1 when a call begins to be decided, -1 when it is answered or held. While there are CONN_BUSY_MAX
 * of them, the connection is not read. */
void conn_busy(struct conn *c, int by);

/* Takes one line as if it had come from the peer: for the fuzzer. */
void conn_feed(struct conn *c, const char *line, size_t n);

#endif
