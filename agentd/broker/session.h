/* A session: what was decided at the start of a sandbox and holds until its end. The policy, the facts
 * and the names it was loaded with. It is written into a sealed memory file that the supervisor keeps,
 * so that a restarted broker goes on with the very same policy, whatever the files on disk say by
 * then. */
#ifndef BROKER_SESSION_H
#define BROKER_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include "agentd/broker/runreq.h"
#include "common/error.h"
#include "common/msg.h"
#include "policy/policy.h"

#define SESSION_FILE_MAX (24u << 20)

struct session {
	uint32_t uid;
	char name[NAME_CAP];
	char id[SESSION_CAP];
	char agent[NAME_CAP];
	char user[33]; /* inside */
	char workspace[1025], home[1025], cwd[1025]; /* as the agent sees them */
	struct policy *policy; /* owned */
};

/* The policy of a request: facts and documents as the session file keeps them. */
struct session_policy {
	const struct policy_doc *docs;
	size_t n;
	struct policy_facts facts;
};

/* Writes a session file: sealed, close-on-exec, owned by the caller. s->policy must be the one that
 * sp loads to. -1 with *e filled. */
int session_save(const struct session *s, const struct session_policy *sp, struct error *e);

/* Reads one and loads its policy, which must have the digest it had. NULL with *e filled: every
 * action of that sandbox is to be denied. */
struct session *session_load(int fd, struct error *e);

void session_free(struct session *s);

#endif
