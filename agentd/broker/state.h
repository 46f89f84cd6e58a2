/* What the broker knows while it runs: its sandboxes, what is held in them, who is connected. Private
 * to the .c files of this folder. One thread; every list says who owns what is on it. */
#ifndef BROKER_STATE_H
#define BROKER_STATE_H

#include <event2/event.h>
#include <stdint.h>
#include <sys/queue.h>

#include "agentd/broker/adapter.h"
#include "agentd/broker/broker.h"
#include "agentd/broker/chan.h"
#include "agentd/broker/conn.h"
#include "agentd/broker/journal.h"
#include "agentd/broker/pty.h"
#include "agentd/broker/session.h"
#include "common/msg.h"

#define TOOL_HELD_MAX  (8u << 20) /* bytes in the buffers of one sandbox's connections */
#define ASK_TEXT_BOX   (4u << 20) /* bytes of held calls' text of one sandbox */
#define ASK_TEXT_ALL   (64u << 20)
#define ASK_QUOTED_MAX (512u << 10) /* bytes of one call's text as JSON; an answer holds 1 MiB */
#define ASK_SAYS_MAX   4096u /* bytes of an agent's own words that are kept for the human */
#define GRANTS_MAX     256u /* of one sandbox */
#define BOXES_MAX      4096u
#define OWED_MAX       20000u
#define AGENT_TMP      "/tmp"

struct broker;

/* ---- a sandbox, from the moment its launch is decided to the moment its end is in the log ---- */

enum box_state {
	BOX_STARTING, /* session.start is on its way to the log */
	BOX_PLANNED, /* the supervisor has the plan */
	BOX_RUNNING,
	BOX_ENDED, /* session.end is not in the log yet */
};

struct box {
	TAILQ_ENTRY(box) link; /* broker.boxes */
	struct broker *b;
	enum box_state state;
	uint64_t number; /* the supervisor's; until it runs: the id of its MSG_RUN */
	uint64_t planned_ns; /* BOX_PLANNED: since when */
	struct msg_sandbox info; /* from MSG_STARTED; before it uid, name and session are set */
	struct session *session; /* owned; NULL: it cannot be decided for, see trouble */
	char trouble[400];
	struct journal_session log;
	int plan_fd, session_fd; /* BOX_STARTING: owned; -1 */
	int listener; /* owned, -1: none */
	struct event *acceptable; /* owned */
	struct conn_group tools;
	TAILQ_HEAD(clients, client) clients; /* owned: connections to tool.sock */
	TAILQ_HEAD(, ask) asks; /* owned: what a human is asked */
	TAILQ_HEAD(, grant) grants; /* owned */
	unsigned ngrants;
	unsigned held; /* calls that wait for a human */
	size_t held_text;
	unsigned calls; /* calls that exist in any state */
	uint64_t allowed, asked, denied;
	struct pty *pty; /* owned, NULL: no terminal */
	int foreground; /* whoever started it will attach at once */
	struct rpc_client *attached; /* or NULL */
	struct msg_ended end;
	int end_sent; /* the session.end record is on its way */
	int forget; /* its end is in the log: free it when nothing refers to it */
};

/* What a sandbox that has ended left on its terminal, for who attaches too late: a short command may be
 * over before agentctl comes. Kept for 2 s; nothing else of the sandbox is, so its name is free. */
struct ending {
	TAILQ_ENTRY(ending) link; /* broker.endings */
	struct broker *b;
	uid_t uid;
	char name[NAME_CAP], session[SESSION_CAP];
	struct pty *pty; /* owned */
	char *params; /* owned: of the notification `ended` */
	struct event *timer; /* owned */
};

/* ---- tool.sock ---- */

struct client { /* one connection */
	TAILQ_ENTRY(client) link; /* box.clients */
	struct box *box;
	struct conn *conn;
	TAILQ_HEAD(, call)
	calls; /* not owned: a call outlives its connection until it is recorded */
};

/* One call of authorize or hook, until it is answered. */
struct call {
	TAILQ_ENTRY(call) of_client; /* client.calls, while client is not NULL */
	TAILQ_ENTRY(call) of_ask; /* ask.waiters, while ask is not NULL */
	struct client *client; /* NULL: gone */
	struct box *box;
	struct ask *ask; /* while it is held */
	const struct adapter *adapter; /* NULL: authorize */
	pid_t pid;
	char id[CONN_ID_CAP];
	char q[28]; /* request id in the log */
	char event[24];
	unsigned char refs; /* 1 until it is answered, 1 while its request record is under way */
	unsigned char allow; /* the answer, once decided */
	unsigned char busy; /* counted in conn.busy */
	unsigned char requested; /* its request record is durable */
	unsigned char lost; /* its request record is not: whatever is decided, it is denied */
	char *reason, *rule; /* owned */
};

/* ---- approvals ---- */

#define ASK_ID_CAP 8

struct ask {
	TAILQ_ENTRY(ask) of_box; /* box.asks, while open */
	TAILQ_ENTRY(ask) of_all; /* broker.asks, while open: oldest first */
	struct box *box;
	char id[ASK_ID_CAP];
	char digest[65];
	char *tool, *text, *says, *rule, *why; /* owned; says may be NULL */
	char *runs; /* owned; JSON: the commands in it; or NULL */
	size_t text_n;
	size_t cost; /* what it counts for in held_text */
	uint64_t asked_ns, expires_ns; /* CLOCK_BOOTTIME: a suspended machine does not stop it */
	uint64_t expires_real; /* the same moment, CLOCK_REALTIME seconds */
	struct event *timer; /* owned: the next progress notification or the end */
	TAILQ_HEAD(, call) waiters; /* not empty while open */
	unsigned nwaiters;
};

struct grant {
	TAILQ_ENTRY(grant) link; /* box.grants */
	char digest[65];
	char approval[ASK_ID_CAP]; /* by which it was given */
	char *tool; /* owned */
	unsigned uses; /* left; 0: not counted */
	uint64_t until_ns; /* CLOCK_BOOTTIME; 0: as long as the session */
};

/* ---- agentctl ---- */

struct rpc_client {
	TAILQ_ENTRY(rpc_client) link; /* broker.rpc_clients */
	struct broker *b;
	struct conn *conn;
	struct msg_peer peer;
	struct rpc_group *group;
	struct box *attached; /* or NULL */
	unsigned uses; /* answers that are on their way through the log */
	int gone; /* the connection is closed; freed when uses is 0 */
};

struct rpc_group { /* the connections of one uid */
	TAILQ_ENTRY(rpc_group) link;
	uid_t uid;
	struct conn_group conns;
};

/* A decision that could not be recorded when it was made (a deny, always): written when there is a
 * recorder again. */
struct owed {
	STAILQ_ENTRY(owed) link;
	struct box *box; /* counted in box.calls */
	pid_t pid;
	char q[28];
};

/* A record that somebody waits for: MSG_EVENT, MSG_ENDED. Tried until it is durable. */
struct duty {
	TAILQ_ENTRY(duty) link;
	struct broker *b;
	uint64_t id; /* of the message */
	struct msg_event event;
	int under_way;
};

struct broker {
	struct event_base *base;
	struct broker_config cfg;
	struct chan *sup;
	struct journal *journal;
	TAILQ_HEAD(, box) boxes;
	unsigned nboxes;
	TAILQ_HEAD(endings, ending) endings; /* owned; oldest first */
	unsigned nendings;
	TAILQ_HEAD(asks, ask) asks;
	unsigned held;
	size_t held_text;
	TAILQ_HEAD(, rpc_client) rpc_clients;
	TAILQ_HEAD(, rpc_group) rpc_groups;
	STAILQ_HEAD(, owed) owed;
	unsigned nowed;
	TAILQ_HEAD(, duty) duties;
	unsigned nduties;
	int stopping;
	struct event *retry; /* duties, ends, launches that never started */
	uint64_t calls, decisions; /* counters since the start */
	char q_prefix[10];
	struct call_scratch *scratch; /* calls.c */
};

/* ---- boxes.c ---- */
struct box *box_new(struct broker *b);
void box_unref(struct box *x); /* frees it when it is to be forgotten and nothing refers to it */
struct box *box_by_number(struct broker *b, uint64_t number);
/* By "name" or "uid/name", as this peer may see it, and by its session when that is not NULL. NULL with
 * *e: the same words whether it does not exist or is another user's. */
struct box *box_for_peer(struct broker *b, const struct msg_peer *peer, const char *name,
	const char *session, struct error *e);
int peer_may(const struct msg_peer *peer, const struct box *x);
int peer_may_uid(const struct msg_peer *peer, uid_t owner);
/* "uid/name", or a name. *uid is -1 for a name alone, *base points into s. 0, or -1: neither. */
int split_name(const char *s, int64_t *uid, const char **base);
int box_name_live(struct broker *b, uid_t uid, const char *name);
int boxes_started(void *ctx, struct wire_msg *m);
int boxes_ended(void *ctx, struct wire_msg *m);
int boxes_event(void *ctx, struct wire_msg *m);
void boxes_retry(struct broker *b); /* what waits for a recorder */
void boxes_free(struct broker *b);

/* ---- endings.c ---- */
/* Takes the terminal of a box that ends, with what it printed. params are the notification's. */
void ending_keep(struct box *x, const char *params);
/* The newest one as box_for_peer finds boxes, one's own first. NULL: none. */
struct ending *ending_find(
	struct broker *b, const struct msg_peer *peer, const char *name, const char *session);
void ending_free(struct ending *n);
void endings_free(struct broker *b);

/* ---- planner.c ---- */
int planner_run(void *ctx, struct wire_msg *m);

/* ---- calls.c (also calls.h) ---- */
/* Ends a call: answers it (when its client is still there) and gives up the first reference. */
void call_answer(struct call *c);
void call_unref(struct call *c);
/* Denies because nothing can be recorded, and answers. */
void call_fail(struct call *c, const char *why);
/* Sets what will be answered. reason and rule are copied. */
void call_decide(struct call *c, int allow, const char *rule, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* ---- asks.c ---- */
/* Looks for a grant for this digest and takes one use of it; its approval id is copied. 1 or 0. */
int ask_granted(struct box *x, const char digest[65], char approval[ASK_ID_CAP]);
struct ask_new {
	const char *digest, *tool, *text, *says, *rule, *why;
	const char *runs; /* JSON, or NULL */
	size_t text_n;
};
/* Holds a call: joins an identical open ask or makes a new one. 0, or -1 with *e: deny. */
int ask_hold(struct call *c, const struct ask_new *n, struct error *e);
/* Tells the call's client that it waits, and for how long. */
void ask_tell(struct call *c);
/* Takes a held call out of its ask; the ask is dropped with the last one. */
void ask_leave(struct call *c);
/* The same, and denies and records it: cancelled by the client, or the client is gone. */
void ask_cancel(struct call *c, const char *why);
void ask_cancel_all(struct box *x); /* the sandbox ended: denied and recorded */
void asks_fail(struct broker *b, const char *why); /* no recorder: all are denied now */
void grants_free(struct box *x);

enum ask_scope { SCOPE_ONCE, SCOPE_USES, SCOPE_TIME, SCOPE_SESSION };
struct ask_answer {
	int allow;
	enum ask_scope scope;
	unsigned uses, seconds;
	const char *reason; /* of a deny, or NULL */
};
/* A human's answer; it is given to the calls and to who (answered as RPC id) when it is in the log. 0,
 * or -1 with *e: not possible. */
int ask_answer(struct broker *b, struct rpc_client *who, const char *rpc_id, const char *ask_id,
	const struct ask_answer *a, struct error *e);
struct ask *ask_find(struct broker *b, const char *id);

/* ---- rpcs.c ---- */
int rpcs_client(void *ctx, struct wire_msg *m);
void rpcs_unref(struct rpc_client *r);
void rpcs_detach(struct box *x, const char *method, const char *params);
void rpcs_free(struct broker *b);

#endif
