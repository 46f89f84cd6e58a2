/* A user's file-system rights; see creds.h. */
#include "supervisor/creds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>

#include "supervisor/sys.h"

int creds_of_peer(int sock, struct creds *c)
{
	gid_t all[1024];
	struct ucred u;
	socklen_t n = sizeof u;

	memset(c, 0, sizeof *c);
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &u, &n) < 0)
		return -1;
	c->uid = u.uid;
	c->gid = u.gid;
	c->pid = u.pid;
	n = sizeof all;
	if (getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, all, &n) < 0)
		return 0; /* more than 1,024 groups: none of them counts */
	c->ngroups = (int)(n / sizeof *all);
	if (c->ngroups > CREDS_GROUPS_MAX)
		c->ngroups = CREDS_GROUPS_MAX;
	memcpy(c->groups, all, (size_t)c->ngroups * sizeof *all);
	return 0;
}

int creds_in_group(const struct creds *c, gid_t gid)
{
	if (c->gid == gid)
		return 1;
	for (int i = 0; i < c->ngroups; i++) {
		if (c->groups[i] == gid)
			return 1;
	}
	return 0;
}

/* setfsuid(2) does not report failure: asking again with an impossible id returns the present one. */
static void switch_to(uid_t uid, gid_t gid, const gid_t *groups, int n)
{
	int ok = sys_setgroups((size_t)n, groups) == 0;

	setfsgid(gid);
	setfsuid(uid);
	if (!ok || setfsgid((gid_t)-1) != (int)gid || setfsuid((uid_t)-1) != (int)uid) {
		fprintf(stderr, "agentd-supervisor: cannot change file-system identity\n");
		abort();
	}
}

void creds_enter(const struct creds *c)
{
	switch_to(c->uid, c->gid, c->groups, c->ngroups);
}

void creds_leave(void)
{
	switch_to(0, 0, NULL, 0);
}
