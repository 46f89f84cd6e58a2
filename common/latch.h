/* The latch table: which agents a human has stopped for good. A preallocated file of fixed slots,
 * mapped shared by the killer and the supervisor and by `agentctl kill --direct`; setting a latch is
 * a store into memory that is already there. It survives reboots. It is also the killer's outbox: a
 * slot keeps its receipt until the log has it.
 *
 * A latch matches a launch when it has the launch's uid and: ALL is set, or the name is equal, or the
 * identity (BLAKE2b-256 of uid, workspace and agent kind) is equal: so a restart loop under another
 * name gets nowhere. When no slot is left for a uid, the uid's last slot becomes an ALL latch: full
 * never means open. A table that is damaged latches everything. */
#ifndef COMMON_LATCH_H
#define COMMON_LATCH_H

#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"
#include "common/paths.h"

#define LATCH_SLOTS   1024u
#define LATCH_PER_UID 64u

#define LATCH_ALL      1u /* the whole user */
#define LATCH_UNLOGGED 2u /* the receipt is not in the log yet */
#define LATCH_IDENTITY 4u /* identity is set */

struct latch_entry { /* what a slot holds */
	uint32_t uid; /* the owner of the agent */
	uint32_t flags; /* LATCH_* */
	uint32_t by_uid, by_pid; /* who killed it */
	uint64_t at_ns; /* CLOCK_REALTIME of the kill */
	uint64_t sandbox; /* its number, 0 when it was not running */
	uint64_t took_us;
	uint32_t tasks, unconfirmed;
	unsigned char identity[32];
	char name[NAME_CAP];
	char reason[128]; /* untrusted text */
	unsigned char sig[64], key[32]; /* Ed25519 over latch_receipt_text */
};

struct latch_table; /* the mapping */

/* Opens the table at path (paths.latches), makes it (0600, preallocated, zero-filled) when it is
 * missing, maps it, touches every page. For a path that ends in /var/lib/agentd/latches the table
 * itself is /run/agentd/latches below the same root, in memory, and path is its copy for the next
 * boot: setting a latch never waits for a disk. Otherwise path is mapped itself. The result lives until
 * latch_close; it can be used by children, too. NULL with *e filled. */
struct latch_table *latch_open(const char *path, struct error *e);
void latch_close(struct latch_table *t);

/* 1 when a launch is stopped by a latch (or the table is damaged), and then the entry is copied to
 * *why when that is not NULL; 0 when it may go on. identity may be NULL. */
int latch_check(const struct latch_table *t, uid_t uid, const char *name,
	const unsigned char identity[32], struct latch_entry *why);

/* Sets or replaces the latch for (uid, name) or, with LATCH_ALL, for the uid. Returns the slot. No
 * allocation, no system call; safe against the other processes that map the table. */
unsigned latch_set(struct latch_table *t, const struct latch_entry *in);

/* Puts the receipt into the slot that latch_set returned, if it still holds the kill of in->at_ns:
 * a human may have removed the latch meanwhile, and then it stays removed. 1 done, 0 not. */
int latch_update(struct latch_table *t, unsigned i, const struct latch_entry *in);

/* 1 when the table cannot be trusted or overflowed, so that latch_check stops everything. A human
 * moves the file away (mv latches latches.bad), with agentd stopped. */
int latch_damaged(const struct latch_table *t);

/* Removes the latch of (uid, name); with name NULL every latch of the uid. The number removed. */
unsigned latch_clear(struct latch_table *t, uid_t uid, const char *name);

/* Removes every latch of every user, also the one on everyone that a full table sets. Not that of a
 * damaged table. For root. The number removed. */
unsigned latch_clear_everyone(struct latch_table *t);

/* Reads slot i (0..LATCH_SLOTS-1). 1 when it is used and copied to *out. */
int latch_get(const struct latch_table *t, unsigned i, struct latch_entry *out);

/* Clears LATCH_UNLOGGED of slot i, if it still is the kill of at_ns. */
void latch_logged(struct latch_table *t, unsigned i, uint64_t at_ns);

/* Looks at the copy on disk; one that cannot be trusted stops every launch, in all processes, until
 * it is moved away and this is called again (the killer does at its start). 0, or -1: damaged. */
int latch_check_saved(struct latch_table *t);

/* Writes the table to disk: after a kill was answered, never before. Waits for the disk. Does not
 * allocate. 0, or -1 with errno. */
int latch_sync(struct latch_table *t);

/* The text that a receipt's signature covers, one line, e.g.
 * "agentd-kill v1 uid=1000 name=web sandbox=7 by=1000 at=… tasks=12 unconfirmed=0 us=3541\n".
 * Returns its length. */
size_t latch_receipt_text(const struct latch_entry *in, char *buf, size_t cap);

#endif
