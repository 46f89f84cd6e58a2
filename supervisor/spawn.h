/* The spawner: a small single-threaded root process that already lives in a template mount namespace
 * with the bulk seccomp filter loaded, and starts every sandbox with one vfork-like clone3. The
 * supervisor is its only peer. It opens no path of a plan: mounts come as detached trees that the
 * supervisor opened with the user's rights.
 *
 * Messages (common/wire.h) on one SOCK_SEQPACKET pair. */
#ifndef SUPERVISOR_SPAWN_H
#define SUPERVISOR_SPAWN_H

#include <stdint.h>

#include "common/error.h"
#include "common/latch.h"
#include "common/paths.h"
#include "common/plan.h"

enum spawn_msg {
	SPAWN_READY = 1, /* spawner → supervisor: the template stands */
	SPAWN_LAUNCH, /* supervisor → spawner: struct spawn_req, fds as below */
	SPAWN_STARTED, /* spawner → supervisor: struct spawn_started */
	SPAWN_FAILED, /* spawner → supervisor: struct spawn_failed */
	SPAWN_EXITED, /* spawner → supervisor: struct spawn_exited */
	SPAWN_REMOUNT, /* supervisor → spawner: the walls of sandbox h.id once more; struct spawn_req of
			  which mounts and text count, fds: the trees */
	SPAWN_REMOUNTED, /* spawner → supervisor: struct spawn_remounted */
};

/* Descriptors of SPAWN_LAUNCH: these, then nprocs v1 tasks files, then nmounts trees. */
enum spawn_fd {
	SPAWN_FD_PLAN,
	SPAWN_FD_CGROUP, /* v2 directory */
	SPAWN_FD_USERNS,
	SPAWN_FD_CONTROL, /* the sandbox's end of its control socket, see init/protocol.h */
	SPAWN_FD_TOOL, /* unbound stream socket that becomes /run/agentd/tool.sock */
	SPAWN_FD_STDIO, /* three of them when the plan has no PLAN_TERMINAL */
};

#define SPAWN_MOUNTS_MAX 100u
#define SPAWN_PROCS_MAX  3u
#define SPAWN_TEXT_MAX   49152u

#define SPAWN_M_FILE  1u /* the tree is a file, not a directory */
#define SPAWN_M_RW    2u /* Landlock gives write rights below it */
#define SPAWN_M_HIDE  4u /* no tree: cover dst with the empty directory */
#define SPAWN_M_MKDIR 8u /* dst may be made on the sandbox's own tmpfs */

struct spawn_mount {
	uint32_t flags;
	uint32_t dst; /* offset in text */
};

struct spawn_req {
	uint32_t uid; /* the owner */
	uint32_t kernel_uid; /* the agent's uid and gid outside */
	uint32_t nprocs, nmounts;
	unsigned char identity[32];
	struct spawn_mount mounts[SPAWN_MOUNTS_MAX];
	char text[SPAWN_TEXT_MAX]; /* destination paths, each NUL-terminated; sent as far as used */
};

struct spawn_started {
	uint32_t pid; /* of the sandbox's init, in the host's pid namespace */
};

struct spawn_failed {
	uint32_t err;
	char what[252];
};

struct spawn_exited {
	int32_t status; /* as waitpid(2) gives it */
	uint32_t reserved;
};

struct spawn_remounted {
	uint32_t err; /* 0, or an errno: what stands and what does not is unknown */
	uint32_t reserved;
};

struct spawn_config {
	struct paths paths;
	const struct latch_table *latches; /* the shared mapping: checked inside the cgroup */
	char agentctl[512], init[512]; /* paths of our programs */
	int proc_fd; /* the host's /proc, O_PATH */
	int sock; /* the pair's spawner end */
};

/* Runs the spawner in the calling process; never returns. */
_Noreturn void spawner_main(const struct spawn_config *c);

#endif
