/* What a kill is, whoever carries it out: the killer, or `agentctl kill --direct` with no daemon. The
 * cgroup tree is the whole state: BASE/u<uid>/<name> is a sandbox of that uid. No allocation, no
 * wait: the caller watches cgroup.events. */
#ifndef COMMON_KILL_H
#define COMMON_KILL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"
#include "common/latch.h"

#define KILL_COUNT_MAX 10000 /* processes counted for a receipt: some 5 ms at the most */

enum kill_scope { KILL_ONE = 1, KILL_USER, KILL_EVERYONE };

struct kill_target {
	enum kill_scope scope;
	int has_uid; /* uid was named, or has been resolved */
	uid_t uid; /* owner; unused for KILL_EVERYONE */
	char name[NAME_CAP]; /* KILL_ONE */
};

/* Parses a target (n bytes): a name, or a star for all of the peer's, or either behind "uid/", or a
 * star behind "* /" (without the blank) for everyone's. 0, or -1. */
int kill_parse(struct kill_target *t, const char *text, size_t n);

/* Decides whether the peer may do this, and whose sandbox a bare name means. base: the instance's
 * directory in the v2 hierarchy, or -1 when there is none. 0, or -1 with *e for the peer to read. */
int kill_resolve(struct kill_target *t, int base, uid_t peer, int admin, struct error *e);

/* Kills and latches one sandbox, in the order that DESIGN section 8 asks for. In: e->uid, name,
 * by_uid, by_pid, at_ns, reason, flags. Filled: sandbox, identity, tasks. Returns the sandbox's
 * directory for waiting (the caller closes it), or -1 when it is not running: it is latched all the
 * same. *slot is its slot. Whatever fails, the rest is still done; latches may be NULL (*slot is then
 * LATCH_SLOTS): better dead without a latch than alive. */
int kill_strike(int base, struct latch_table *latches, struct latch_entry *e, unsigned *slot);

/* Latches a whole user (flags gets LATCH_ALL, name is emptied) and kills all in its directory. */
void kill_strike_user(int base, struct latch_table *latches, struct latch_entry *e, unsigned *slot);

/* Calls fn for each user that has a directory below base, until it returns not 0 (returned). */
typedef int (*kill_user_fn)(void *ctx, uid_t uid, int dirfd);
int kill_each_user(int base, kill_user_fn fn, void *ctx);

/* Opens BASE/u<uid>. -1 with errno. */
int kill_open_user(int base, uid_t uid);

/* The words for the state of an ended kill. */
#define KILL_DEAD        "dead"
#define KILL_LINGERING   "lingering"
#define KILL_NOT_RUNNING "not-running"

#endif
