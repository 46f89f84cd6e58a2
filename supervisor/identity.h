/* Kernel uids for agents, and the user namespaces that give them a face: one that maps the agent's
 * kernel uid to the user's inside the sandbox, one that maps the user's files to the agent's uid on
 * idmapped mounts (mount_setattr(2)). Namespaces are kept with the uid, so that a user's next launch
 * finds them ready. */
#ifndef SUPERVISOR_IDENTITY_H
#define SUPERVISOR_IDENTITY_H

#include <sys/types.h>

#include "common/error.h"

struct identity {
	uid_t kernel_uid; /* also the kernel gid */
	uid_t owner;
	gid_t owner_gid;
	uid_t inner_uid;
	gid_t inner_gid;
	int sandbox_ns; /* inner → kernel */
	int mount_ns; /* owner → kernel; -1 for same-uid */
	int in_use;
};

/* base: first kernel uid of this instance. */
void identity_init(uid_t base);

/* A free kernel uid with its namespaces; owned until identity_release. same_uid: the kernel uid is the
 * owner's own (refused for root). NULL with *e filled. */
struct identity *identity_take(uid_t owner, gid_t owner_gid, uid_t inner_uid, gid_t inner_gid,
	int same_uid, struct error *e);

/* After the last process with that uid is gone. */
void identity_release(struct identity *i);

#endif
