/* Every message between agentd's processes: who sends it to whom, its payload, its descriptors.
 * Payload structs are fixed-layout; strings in them are NUL-terminated within their array (the
 * receiver checks with msg_str_ok). Numbers are in host order: both ends are on this machine.
 *
 * A launch has one number from beginning to end: h.id of MSG_RUN, of its answer, of MSG_STARTED and of
 * MSG_ENDED. A launch that fails after MSG_PLAN ends with MSG_ENDED (END_FAILED) and was never STARTED.
 *
 * Start-up of a role: the supervisor starts `agentd ROLE --root DIR`, already under the role's uid,
 * with fd 3 = its channel to the supervisor. The role applies its own seccomp and Landlock, sends
 * MSG_HELLO, and is then fed. */
#ifndef COMMON_MSG_H
#define COMMON_MSG_H

#include <stdint.h>
#include <string.h>

#include "common/paths.h"
#include "common/wire.h"

#define ROLE_SUPERVISOR_FD 3 /* a role's channel to the supervisor */

enum msg_type {
	/* ---- role → supervisor ---- */
	MSG_HELLO = 1, /* struct msg_hello; first message of every role */
	MSG_PONG = 2, /* answers MSG_PING, same id, empty */

	/* ---- supervisor → role ---- */
	MSG_PING = 3, /* empty. No MSG_PONG within 5 s: the supervisor freezes sandboxes */
	MSG_PEER =
		4, /* to broker and recorder: fd = their channel to each other. Again after one of
			 them was restarted (the old channel is then dead). empty payload */

	/* ---- supervisor → broker ---- */
	MSG_RUN = 16, /* struct msg_peer; fd = sealed memfd with a request (common/request.h).
			     Answer: MSG_PLAN or MSG_REFUSE with the same id */
	MSG_CLIENT =
		17, /* struct msg_peer; fd = an agentctl connection that said RPC; the broker owns
			     it and speaks JSON-RPC on it. Also supervisor → recorder (said AUDIT). */
	MSG_STARTED =
		18, /* struct msg_sandbox; fds = tool.sock listener, sealed session memfd (as the
			     broker gave it in MSG_PLAN), and the pty master when flags has SANDBOX_PTY.
			     Sent when the sandbox runs, and for every running sandbox after a restart of
			     the broker (flags has SANDBOX_RESTORED). h.id = sandbox number */
	MSG_ENDED =
		19, /* struct msg_ended, h.id = sandbox number. Answer: MSG_END_RECORDED once the
			     session.end record is durable */
	MSG_EVENT =
		20, /* struct msg_event: something to record. Answer: MSG_EVENT_RECORDED, same id */

	/* ---- broker → supervisor ---- */
	MSG_PLAN =
		32, /* fds = sealed plan memfd (common/plan.h), sealed session memfd (opaque to the
			    supervisor: kept, and given back in MSG_STARTED). empty. The supervisor may
			    build the sandbox, but the agent starts only after MSG_GO */
	MSG_REFUSE =
		33, /* struct msg_refuse: no launch, and why; instead of MSG_PLAN or after it */
	MSG_END_RECORDED = 34, /* empty, h.id = sandbox number */
	MSG_EVENT_RECORDED = 35, /* empty, h.id as in MSG_EVENT */
	MSG_GO = 37, /* empty, h.id as in MSG_PLAN: session.start is durable, the agent may start */
	MSG_FREEZE = 36, /* empty, h.id = sandbox number: the broker wants it frozen (a budget) */

	/* ---- broker → recorder (channel of MSG_PEER) ---- */
	MSG_APPEND = 48, /* u32 flags (APPEND_*), then 1..n records, each u32 length + JSON object
			    without the fields the recorder sets (v i t m b). h.id for the answer. */
	/* ---- recorder → broker ---- */
	MSG_APPENDED = 49, /* struct msg_appended: all records of that MSG_APPEND are durable */
	MSG_APPEND_REFUSED = 50, /* struct msg_refuse: they are not, and never will be */
};

/* The per-session counter: records of a session carry `s` and `n`, and n is gapless from 0 within one
 * epoch. A new epoch begins when the broker can no longer know which of its last records the log has
 * (the broker or the recorder was restarted, an append was refused): its first record is
 * {"k":"session.resume","s":…,"e":EPOCH,"n":0,"after":LAST_N_KNOWN_DURABLE or -1,"reason":…} and all
 * later ones of that session carry the same integer `e` (milliseconds of CLOCK_REALTIME, growing).
 * Records of the epoch before it with n > after may be in the log or not (they need not be gapless);
 * what they would have allowed was denied. With after -1 the broker was restarted and does not know.
 * Records without `e` are of epoch 0. So a verifier checks n per (s, e), and that each e > 0 begins
 * with session.resume. No message is needed to ask the recorder for anything. */
#define APPEND_PUBLISH 1u /* sign and publish a checkpoint at once (approval, kill, session end) */

struct msg_hello {
	uint32_t version; /* WIRE_VERSION */
	uint32_t pid;
};

struct msg_peer { /* an agentctl process, as the kernel vouches for it (SO_PEERCRED, SO_PEERGROUPS) */
	uint32_t uid, gid, pid;
	uint32_t admin; /* 1: root or member of group agentd */
};

struct msg_refuse {
	char text[1024]; /* for a person: what, why, cure. One line. */
};

#define SESSION_CAP 64 /* with the NUL */

#define SANDBOX_PTY      1u
#define SANDBOX_RESTORED 2u

struct msg_sandbox {
	uint32_t uid, gid; /* the owner */
	uint32_t kernel_uid; /* what the agent's processes have outside; SO_PEERCRED on tool.sock */
	uint32_t init_pid; /* in the host's pid namespace */
	uint32_t flags; /* SANDBOX_* */
	char name[NAME_CAP];
	char session[SESSION_CAP];
	uint64_t started_ns; /* CLOCK_REALTIME */
};

enum end_reason { END_EXIT = 1, END_KILLED, END_LOST, END_WALL_CLOCK, END_FAILED };

struct msg_ended {
	uint32_t exit_code; /* as the shell would say it: status, or 128 + signal */
	uint32_t reason; /* enum end_reason */
	char text[256]; /* END_FAILED, END_LOST: why */
};

enum event_kind {
	EVENT_KILL = 1, /* a receipt */
	EVENT_UNLATCH,
	EVENT_FREEZE,
	EVENT_THAW,
	EVENT_ROLE, /* a role died, was restarted, does not answer */
	EVENT_REFUSED, /* a launch that the supervisor refused */
	EVENT_BOOT, /* the supervisor started */
};

struct msg_event {
	uint32_t kind; /* enum event_kind */
	uint32_t uid; /* the owner of the sandbox it is about, (uint32_t)-1 for none */
	uint32_t by_uid; /* who did it; (uint32_t)-1: agentd itself */
	uint32_t by_pid;
	uint64_t at_ns; /* CLOCK_REALTIME */
	uint64_t sandbox; /* sandbox number, 0 when unknown */
	uint32_t tasks; /* EVENT_KILL: processes and threads that were in the sandbox */
	uint32_t unconfirmed; /* EVENT_KILL: how many could not be confirmed dead */
	uint64_t took_us; /* EVENT_KILL */
	char name[NAME_CAP];
	char text[512]; /* reason as the person gave it (untrusted text), or what happened */
	unsigned char sig[64]; /* EVENT_KILL: Ed25519 over the receipt text (common/latch.h) */
	unsigned char key[32]; /* EVENT_KILL: the killer's public key */
};

struct msg_appended {
	uint64_t first; /* index of the first record */
	uint32_t count;
	uint32_t reserved;
};

/* 1 when the array holds a NUL-terminated string. */
static inline int msg_str_ok(const char *s, size_t cap)
{
	return memchr(s, 0, cap) != NULL;
}

#endif
