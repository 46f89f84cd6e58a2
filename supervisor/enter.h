/* The way into a sandbox: what the new process does between clone3 and the exec of agentd-init. It
 * runs in the spawner's address space (CLONE_VM|CLONE_VFORK), so it allocates nothing, leaves no
 * global changed but *fail, and ends in execveat or _exit. */
#ifndef SUPERVISOR_ENTER_H
#define SUPERVISOR_ENTER_H

#include "supervisor/seccomp.h"
#include "supervisor/spawn.h"

struct enter_fail { /* filled by the child, read by the spawner after the child is gone */
	int err;
	char what[252];
};

struct enter {
	const struct spawn_config *config;
	const struct spawn_req *req;
	const struct plan_header *plan;
	const struct seccomp_set *filters;
	const int *fds; /* of SPAWN_LAUNCH */
	int netns_fd;
	int init_fd; /* agentd-init, O_PATH, in the template */
	int landlock_abi;
	const char *const *system; /* the template's system directories that are no links */
	int nsystem;
	struct enter_fail *fail;
};

_Noreturn void enter_sandbox(const struct enter *x);

/* For a forked child of the spawner: enters the mount namespace mnt_ns of a running sandbox and mounts
 * what x->req says there (x->fds: the trees), but where it still stands. Exits with 0 or an errno. */
_Noreturn void enter_again(const struct enter *x, int mnt_ns);

#endif
