/* What the files of the killer share. One process, one struct killer, no allocation. */
#ifndef SUPERVISOR_KILLER_INTERNAL_H
#define SUPERVISOR_KILLER_INTERNAL_H

#include <poll.h>

#include "common/kill.h"
#include "supervisor/killer/killer.h"

#define CLIENTS_MAX    256
#define SILENT_PER_UID 32 /* connections that have not sent their line yet */
#define JOBS_MAX       256
#define JOBS_PER_UID   128 /* by who asked: nobody can use up what others need */
#define LINE_MAX_IN    4096
#define NO_CLIENT      (-1)

/* ---- key.c: the killer's signing key ---- */
struct key {
	unsigned char secret[64], public_[32];
	int usable;
};
/* Reads STATE/killer.key, making it (and killer.pub beside it) when it is missing. Without a key the
 * killer kills all the same and its receipts are unsigned: says so on stderr. */
void key_load(struct key *k, const struct paths *p);
void key_sign(const struct key *k, struct latch_entry *e);

/* ---- a connection ---- */
enum client_state { CLIENT_FREE = 0, CLIENT_READING, CLIENT_WAITING };

struct client {
	enum client_state state;
	int fd;
	uid_t uid;
	pid_t pid;
	int admin;
	uint64_t since, deadline; /* monotonic ns */
	uint32_t serial; /* tells a client from the one that had its place before */
	unsigned jobs; /* kills that this client still waits for */
	size_t have;
	char in[LINE_MAX_IN];
};

/* ---- a kill that has been carried out and waits for the last process to go ---- */
struct job {
	int used;
	int dir, events; /* of the sandbox */
	int client; /* index, or NO_CLIENT */
	uint32_t client_serial;
	uid_t by;
	uint64_t start, deadline, next_look; /* monotonic ns */
	unsigned looks, slot;
	struct latch_entry e;
};

enum watch_state { WATCH_OK = 0, WATCH_FROZEN, WATCH_KILLED, WATCH_ORPHANED };

struct killer {
	struct killer_config cfg;
	int parent; /* pidfd of the supervisor, -1 when it was gone already */
	int v2; /* the hierarchy's root */
	int sync_fd,
		syncer; /* pipe to the process that writes the latch table to disk, its pidfd */
	struct latch_table *latches;
	struct key key;
	struct client clients[CLIENTS_MAX];
	struct job jobs[JOBS_MAX];
	uint32_t next_serial;
	enum watch_state watch;
	uint64_t last_heard, last_turn, orphan_deadline; /* monotonic ns */
};

/* ---- killer.c ---- */
/* One line on stderr, dropped when nobody reads it. */
__attribute__((format(printf, 1, 2))) void killer_say(const char *fmt, ...);
/* Opens our directory in the v2 hierarchy. -1 when there is none: nothing runs. */
int killer_open_base(const struct killer *k);
/* Sends to the supervisor; dropped when it does not read (it finds the receipt in the table). */
void killer_tell(struct killer *k, uint16_t type, uint64_t id, const void *p, size_t n);

/* ---- clients.c ---- */
void clients_accept(struct killer *k, uint64_t now);
void client_read(struct killer *k, struct client *c);
void clients_expire(struct killer *k, uint64_t now); /* those that said nothing in time */
uint64_t clients_next(
	const struct killer *k); /* monotonic ns of the next expiry, UINT64_MAX: none */
/* Sends one line; a client that does not take it is dropped. */
__attribute__((format(printf, 2, 3))) void client_send(struct client *c, const char *fmt, ...);
void client_drop(struct client *c);

/* ---- jobs.c ---- */
/* Carries out one KILL for a client: everything is killed and latched when it returns. */
void jobs_start(struct killer *k, struct client *c, struct kill_target *t, const char *reason);
/* Looks at every kill that is due. */
void jobs_step(struct killer *k, uint64_t now);
uint64_t jobs_next(const struct killer *k); /* monotonic ns of the next look, UINT64_MAX: none */

/* ---- watchdog.c ---- */
void watch_start(struct killer *k, uint64_t now);
void watch_heard(struct killer *k, uint64_t now);
void watch_lost(struct killer *k, uint64_t now); /* the supervisor is gone */
void watch_tick(struct killer *k, uint64_t now);
uint64_t watch_next(const struct killer *k);
uint64_t watch_turn_max(const struct killer *k); /* ns */
int watch_done(const struct killer *k, uint64_t now); /* orphaned, and nothing left to do */
void watch_tidy(const struct killer *k); /* removes the empty cgroups of a dead instance */

/* ---- confine.c ---- */
int confine_memory(void); /* mlockall; -1: not possible, said on stderr */
int confine_self(void); /* capabilities, no_new_privs, seccomp. -1 with a message on stderr */
/* Has the latch table written to disk by the process for that; never waits. */
void killer_sync(struct killer *k);
int confine_syncer(void); /* the same for the process that writes the table to disk */

#endif
