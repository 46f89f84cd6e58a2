/* The killer: a process of its own (root without capabilities, single-threaded, locked in memory,
 * nothing allocated and no disk touched after its start) that serves kill.sock and watches the
 * supervisor's heartbeat. The supervisor forks it first, before anything else can go wrong. */
#ifndef SUPERVISOR_KILLER_H
#define SUPERVISOR_KILLER_H

#include <stdint.h>
#include <sys/types.h>

#include "common/cgroup.h"
#include "common/latch.h"
#include "common/paths.h"

struct killer_config {
	struct paths paths;
	struct cgroup_host cg;
	int listen_fd; /* kill.sock, bound and listening; owned by the killer */
	int supervisor_fd; /* its end of a wire_pair; owned by the killer */
	int lock_fd; /* -1, or a descriptor that stays open until the killer has ended: with flock(2)
			on it a new supervisor waits until the old one's sandboxes are gone */
	gid_t admin_gid; /* members may kill anyone's; (gid_t)-1: no such group */
	unsigned freeze_after_ms; /* of silence of the supervisor; 0: 5000 */
	unsigned kill_after_ms; /* 0: 30000 */
	unsigned verb_ms; /* time a client has to send its line; 0: 5000 */
	unsigned wait_ms; /* how long a kill waits for the last process to go; 0: 10000 */
};

/* The messages on supervisor_fd (common/wire.h). */
enum killer_msg {
	KILLER_PING = 64, /* supervisor → killer, empty: every second, or the watchdog acts */
	KILLER_SYNC, /* supervisor → killer, empty: write the latch table to disk soon */
	KILLER_PONG, /* killer → supervisor, empty, the ping's id */
	KILLER_READY, /* killer → supervisor, empty: kill.sock is served from now on */
	KILLER_RECEIPT, /* killer → supervisor, struct killer_receipt: to be logged. Lost when the
			     supervisor does not read for long: the table still has it, so look for
			     LATCH_UNLOGGED slots now and then */
	KILLER_WATCHDOG, /* killer → supervisor, struct killer_watchdog: what your silence caused */
};

struct killer_receipt {
	uint32_t
		slot; /* where the table has it, if it still does: latch_logged(slot, entry.at_ns) */
	uint32_t lingering; /* 1: not all processes are confirmed dead */
	struct latch_entry entry;
};

enum killer_act { KILLER_FROZE = 1, KILLER_THAWED, KILLER_KILLED };

struct killer_watchdog {
	uint32_t act; /* enum killer_act */
	uint32_t silent_ms;
};

/* Runs the killer in this process, which must be a child of the supervisor; it closes every
 * descriptor that the config does not name. Returns the exit code when the supervisor is gone and
 * every sandbox is dead (or 10 s later), or at once, with a message on stderr, when it cannot start.
 * The killer notices the end of the supervisor, its parent, by a pidfd, and by the end of file on
 * supervisor_fd. */
int killer_main(const struct killer_config *cfg);

#endif
