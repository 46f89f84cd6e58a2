/* Acting with another user's file-system rights: the supervisor opens every path of a launch plan as
 * the requesting user, so that a taken-over broker cannot mount what that user could not reach.
 * setfsuid(2) also takes away the file capabilities for as long as the fsuid is not 0. */
#ifndef SUPERVISOR_CREDS_H
#define SUPERVISOR_CREDS_H

#include <sys/types.h>

#define CREDS_GROUPS_MAX 64

struct creds { /* a peer, as the kernel vouches for it */
	uid_t uid;
	gid_t gid;
	pid_t pid;
	gid_t groups[CREDS_GROUPS_MAX];
	int ngroups;
};

/* Reads SO_PEERCRED and SO_PEERGROUPS of a connected unix socket (unix(7), socket(7)). A peer with more
 * than CREDS_GROUPS_MAX groups keeps the first ones: fewer rights, never more. 0 or -1 with errno. */
int creds_of_peer(int sock, struct creds *c);

/* 1 when the peer has the group as its own or as a supplementary one. */
int creds_in_group(const struct creds *c, gid_t gid);

/* From creds_enter to creds_leave every path is resolved with c's rights. Aborts the process when the
 * kernel refuses: going on with root's rights would be worse. */
void creds_enter(const struct creds *c);
void creds_leave(void);

#endif
