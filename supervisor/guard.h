/* The guard of one sandbox's protected paths. The kernel detaches a mount without a word when someone
 * on the host removes or renames over the file it is mounted on (`git config`, `git clean`): the
 * guard hears of it, freezes the sandbox, sees whether the agent used the gap, has the spawner mount
 * the walls again and thaws. An agent that did change a protected path is ended. Called by sandbox.c;
 * never changes anything in the workspace but what protect.c does, and the removal of .git/commondir. */
#ifndef SUPERVISOR_GUARD_H
#define SUPERVISOR_GUARD_H

#include "common/error.h"
#include "common/plan.h"

struct guard; /* owned by the sandbox */
struct launch;
struct sandbox;

/* Once, after loop_init. 0 or -1. */
int guard_init(struct error *e);

/* Watches what launch_prepare put into l. s has its workspace and placeholders. The guard, or NULL. */
struct guard *guard_new(
	struct sandbox *s, const struct plan_header *plan, const struct launch *l, struct error *e);
void guard_free(struct guard *g); /* NULL is fine */

/* Its init is ready: do the walls stand, after what happened on the host meanwhile? */
void guard_ready(struct guard *g);

/* The spawner's answer to SPAWN_REMOUNT; err: an errno or 0. */
void guard_remounted(struct guard *g, int err);

void guard_tick(void);

#endif
