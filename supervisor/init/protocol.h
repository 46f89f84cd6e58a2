/* What agentd-init, pid 1 inside a sandbox, shares with the supervisor: its descriptors and the
 * one-byte messages on its control socket (SOCK_SEQPACKET). End of file on it means that the
 * supervisor is gone: init exits, and with it the whole pid namespace. */
#ifndef SUPERVISOR_INIT_PROTOCOL_H
#define SUPERVISOR_INIT_PROTOCOL_H

#include <stdint.h>

#define INIT_FD_PLAN    3
#define INIT_FD_CONTROL 4

/* argv of init: "agentd-init", canary path, expected kernel uid, owner uid, a protected path ("" for none) */

enum init_msg {
	INIT_READY = 'R', /* init → supervisor: the walls hold */
	INIT_GO = 'G', /* supervisor → init: the start is recorded, run the agent */
	INIT_FAILED = 'F', /* init → supervisor: followed by text: a wall did not hold. No launch */
	INIT_PTY = 'M', /* spawner's child → supervisor: carries the pty master */
	INIT_SIGNAL =
		'S', /* supervisor → init: followed by one byte, the signal for the agent's group */
};

#define INIT_TEXT_MAX 256

#endif
