/* Limits of a sandbox: pids, memory and cpu, in the unified hierarchy where its controllers are there,
 * else in v1 hierarchies, where each launch gets a slot directory from a pool. */
#ifndef SUPERVISOR_LIMITS_H
#define SUPERVISOR_LIMITS_H

#include <stdint.h>

#include "common/cgroup.h"
#include "common/error.h"
#include "common/plan.h"

#define LIMITS_HIERARCHIES 3

struct limit_slot { /* one launch's place in the v1 hierarchies; owned until limits_release */
	unsigned number;
	int procs[LIMITS_HIERARCHIES]; /* tasks files the sandbox enters by; the pool owns them */
	int nprocs;
	uint32_t
		unenforced; /* PLAN_LIMIT_* that were asked for and are not enforced (best effort) */
};

/* Makes our directory in each hierarchy; removes what a dead instance left. name: paths.cgroup. */
int limits_init(const struct cgroup_host *h, const char *name, struct error *e);

/* Makes the controllers of the unified hierarchy available to the children of dir (cgroups(7),
 * cgroup.subtree_control): for the root, our base and each user's directory. Nothing on a host that
 * keeps them on v1. */
void limits_enable(int dir);

/* Sets the plan's limits: in v2dir (the sandbox's own unified directory) or in a v1 slot. A limit that
 * cannot be enforced is an error unless the plan marks it best-effort. 0 or -1. */
int limits_apply(int v2dir, const struct plan_header *p, struct limit_slot *s, struct error *e);

/* Gives the slot back, after the sandbox is empty. */
void limits_release(struct limit_slot *s);

/* Removes our directories, at the end. */
void limits_cleanup(void);

#endif
