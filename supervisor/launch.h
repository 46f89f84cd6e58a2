/* Turning a checked launch plan into what the spawner mounts: every path of the plan is opened here,
 * with the requesting user's rights, and becomes a detached mount with its attributes set. */
#ifndef SUPERVISOR_LAUNCH_H
#define SUPERVISOR_LAUNCH_H

#include "common/error.h"
#include "common/paths.h"
#include "common/plan.h"
#include "supervisor/creds.h"
#include "supervisor/identity.h"
#include "supervisor/protect.h"
#include "supervisor/spawn.h"

struct launch {
	struct spawn_req req;
	uint32_t text_len;
	uint32_t first_wall; /* of req.mounts: from here on they protect paths of the workspace */
	int trees[SPAWN_MOUNTS_MAX]; /* detached mounts, in the order of req.mounts; owned */
	size_t ntrees;
	struct placeholders *placeholders; /* owned by the sandbox afterwards */
};

/* Fills *l (large: static or on the heap). On failure *l owns nothing. The plan has passed plan_check;
 * this checks the rest: that the uid is the peer's, that no path reaches agentd's own state or the
 * kernel's file systems, that workspace and HOME do not contain each other. 0 or -1. */
int launch_prepare(struct launch *l, const struct paths *paths, const struct plan_header *plan,
	const struct creds *user, const struct identity *id, struct error *e);

/* Closes the trees. */
void launch_close(struct launch *l);

/* For protect.c: adds one mount to the list. tree: a detached mount that the launch then owns, or -1
 * with SPAWN_M_HIDE. 0, or -1 with *e filled (the tree is closed then). */
int launch_add(struct launch *l, int tree, uint32_t flags, const char *dst, struct error *e);

/* For protect.c: a detached copy of the mount at fd (an O_PATH descriptor), idmapped for id when that
 * has a mount namespace of its own. The tree, or -1. */
int launch_tree(int fd, int writable, const struct identity *id, const char *what, struct error *e);

#endif
