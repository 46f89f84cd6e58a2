/* Where things live below the root that --root or AGENTD_ROOT names ("/" for the installed system),
 * and the numbers that are derived from it, so that every program agrees without asking another. */
#ifndef COMMON_PATHS_H
#define COMMON_PATHS_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"

struct paths {
	char root[512]; /* absolute, canonical, no trailing slash; "" for "/" */
	char state[640]; /* ROOT/var/lib/agentd */
	char run[640]; /* ROOT/run/agentd */
	char etc[640]; /* ROOT/etc/agentd */
	char control[700]; /* RUN/control.sock */
	char kill[700]; /* RUN/kill.sock */
	char latches[700]; /* STATE/latches: the latch table, see common/latch.h */
	char audit[700]; /* STATE/audit */
	char cgroup[48]; /* name of our directory in each cgroup hierarchy: "agentd", or
			      "agentd-HHHHHHHH" with a hash of the root */
	uid_t agent_uid_base; /* first kernel uid for agents; AGENT_UID_COUNT of them */
	uid_t role_uid_default; /* uids of the roles when no passwd entry names one: +0 broker, +1 recorder,
				   +2 gateway, +3 watcher, +4 remote */
};

#define AGENT_UID_COUNT 32768u

/* The uids agents and unnamed roles get: systemd documents 1879048192..2147483647 as unused by
 * anyone (UIDS-GIDS.md). */
#define AGENT_UID_FIRST 1900000000u
#define AGENT_UID_LAST  2100000000u

/* root: the argument of --root, or NULL for $AGENTD_ROOT, or "/" when that is unset. The directory
 * must exist. 0, or -1 with *e filled. */
int paths_init(struct paths *p, const char *root, struct error *e);

/* 1 when uid is one that some agentd instance gives to agents or roles: such a peer may never
 * control or approve anything. */
int paths_is_agent_uid(uid_t uid);

/* 1 when s is a valid sandbox name: [a-z0-9] then up to 39 of [a-z0-9._-]. */
int name_valid(const char *s);

#define NAME_CAP 41 /* with the NUL */

#endif
