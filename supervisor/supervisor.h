/* The supervisor's state and the functions its files share. One process, one thread, one of these. */
#ifndef SUPERVISOR_SUPERVISOR_H
#define SUPERVISOR_SUPERVISOR_H

#include <stdint.h>

#include "common/cgroup.h"
#include "common/latch.h"
#include "common/msg.h"
#include "common/paths.h"
#include "common/plan.h"
#include "supervisor/creds.h"
#include "supervisor/guard.h"
#include "supervisor/identity.h"
#include "supervisor/limits.h"
#include "supervisor/loop.h"
#include "supervisor/protect.h"

enum role_id { ROLE_BROKER, ROLE_RECORDER, ROLE_COUNT };

struct role {
	const char *name; /* "broker" */
	uid_t uid;
	gid_t gid;
	pid_t pid; /* 0: not running */
	int sock; /* -1 when not running */
	struct watch *watch; /* loop's */
	int hello; /* MSG_HELLO came */
	uint64_t ping_sent; /* CLOCK_MONOTONIC ns, as all times here but where it is said */
	uint64_t asked; /* since when a question is not answered, 0: none is open */
	uint64_t restart_at; /* 0: no restart due */
	unsigned failures; /* in a row; sets the delay */
};

enum sandbox_state { SB_STARTING, SB_RUNNING, SB_DYING, SB_ENDING };

struct client;

struct sandbox {
	uint64_t number;
	enum sandbox_state state;
	struct creds owner;
	struct identity *identity;
	char name[NAME_CAP], agent[NAME_CAP], session[SESSION_CAP], policy_sha256[65];
	char *workspace;
	uint32_t on_lost_ms, plan_flags;
	unsigned char identity_hash[32];
	int cgroup; /* v2 directory */
	struct limit_slot limits;
	struct placeholders *placeholders;
	struct guard *guard;
	int session_fd, tool_fd, pty_fd; /* kept for a restarted broker; -1 when absent */
	int control; /* our end of init's control socket */
	struct watch *control_watch;
	pid_t pid;
	uint64_t started_ns; /* CLOCK_REALTIME */
	uint64_t wall_until; /* CLOCK_BOOTTIME, 0: none */
	uint64_t end_by; /* SB_ENDING, CLOCK_BOOTTIME: when to give up on the record */
	int go; /* the broker said that its start is durable */
	uint64_t start_by; /* SB_STARTING, CLOCK_BOOTTIME */
	int ready; /* init said that the walls hold */
	uint64_t explain_by; /* SB_DYING: killed, and it is not known yet by whom */
	uint64_t resend_at; /* SB_ENDING: when the end is told to the broker again */
	int recorded; /* SB_ENDING: the record is durable */
	uid_t kernel_uid; /* kept when the identity is given back */
	int told_broker; /* MSG_STARTED was sent */
	int frozen; /* by a person */
	int frozen_by_us; /* because a daemon is lost */
	int mending; /* frozen by its guard, while its walls are rebuilt */
	uint32_t exit_code, reason;
	char text[256]; /* why it ended */
	struct client *client; /* the RUN connection, NULL when gone */
	struct sandbox *next;
};

struct supervisor {
	struct paths paths;
	struct cgroup_host cg;
	char agentd[512], init[512], agentctl[512]; /* our programs, absolute */
	gid_t admin_gid; /* group agentd; (gid_t)-1: none */
	int base; /* v2 directory of this instance */
	struct latch_table *latches;
	struct role role[ROLE_COUNT];
	pid_t killer_pid, spawner_pid;
	int killer, spawner; /* sockets */
	struct sandbox *sandboxes;
	struct sandbox *ended; /* gone, but their end is not in the log yet */
	uint64_t next_number; /* of launches; see common/msg.h */
	uint64_t lost_since; /* CLOCK_MONOTONIC when the broker stopped answering, 0: it answers */
	int stopping;
};

extern struct supervisor sup; /* main.c */

/* ---- main.c ---- */
__attribute__((format(printf, 1, 2))) void say(const char *fmt, ...); /* one line on stderr */
/* A listening stream socket at path, which is directly in the run directory; 0666. passes_fds 0: the
 * kernel refuses descriptors sent to it, where it can (SO_PASSRIGHTS, Linux 6.16). The fd or -1. */
int sup_listen(const char *path, int passes_fds, struct error *e);

/* ---- roles.c ---- */
int roles_init(struct error *e); /* starts recorder and broker, waits for their MSG_HELLO */
void roles_tick(uint64_t now); /* pings, restarts */
void roles_stop(void);
/* Sends to the broker. 0, or -1 when it is not there. */
int broker_send(uint16_t type, uint64_t id, const void *p, size_t n, const int *fds, size_t nfds);
int recorder_send(uint16_t type, uint64_t id, const void *p, size_t n, const int *fds, size_t nfds);

/* ---- events.c: what happened, on its way to the log ---- */
int event_room(void); /* 1 when another one can be kept */
void events_tick(void); /* sends again what did not go out */
void event_note(const struct msg_event *ev); /* kept until the broker says it is recorded */
void event_recorded(uint64_t id);
void events_resend(void); /* to a new broker */
void event_receipt(unsigned slot, const struct latch_entry *l);
void event_receipts(void); /* kills in the latch table that are not in the log yet */
__attribute__((format(printf, 3, 4))) void event_text(
	enum event_kind kind, uid_t owner, const char *fmt, ...);

/* ---- control.c ---- */
int control_init(struct error *e);
void control_tick(uint64_t now);
/* A plan or a refusal for the launch with this id; consumes the descriptors in m. */
void control_plan(uint64_t id, struct wire_msg *m);
void control_refused(uint64_t id, const char *text);
void control_broker_lost(void); /* launches that wait for it are refused */
/* The sandbox's client, when it has one, hears how the launch went. */
void control_started(struct sandbox *s);
void control_failed(struct sandbox *s, const char *text);
void control_ended(struct sandbox *s);

/* ---- sandbox.c ---- */
/* Starts a launch. The plan was checked with plan_check; plan_fd, session_fd and stdio[3] (or -1) stay
 * the caller's. On success the sandbox exists and control_started or control_failed will follow. */
struct sandbox *sandbox_launch(uint64_t number, const struct plan_header *plan, int plan_fd,
	int session_fd, const int stdio[3], const struct creds *owner, struct client *c,
	struct error *e);
struct sandbox *sandbox_find(uid_t uid, const char *name);
struct sandbox *sandbox_by_number(uint64_t number);
void sandbox_signal(struct sandbox *s, int sig);
int sandbox_freeze(struct sandbox *s, int on, struct error *e);
/* Freezes or thaws it, as frozen, frozen_by_us and mending say together. 0, or -1 with errno. */
int sandbox_apply_freeze(struct sandbox *s);
/* Kills it without a latch: its client hung up, a wall was not there, time is up. */
void sandbox_stop(struct sandbox *s, uint32_t reason, const char *text);
/* The start is recorded; or it never will be (0, or -1 when that launch does not wait for it). */
void sandbox_go(uint64_t number);
int sandbox_no_go(uint64_t number, const char *text);
void sandbox_tick(uint64_t now);
void sandbox_end_recorded(uint64_t number);
void sandboxes_tell_broker(void); /* after a restart of the broker */
int spawner_init(struct error *e); /* forks it and waits until its template stands */
void spawner_event(void *arg, uint32_t events);

#endif
