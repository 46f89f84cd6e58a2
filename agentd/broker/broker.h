/* The broker: decides what agents may do, holds what a human must decide, writes both into the log
 * before it answers. Runs unprivileged, knows no path of a user's files, starts nothing. The daemon is
 * broker_main (agentd/role.h); tests make brokers over socketpairs with the functions here. */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include <event2/event.h>

#include "common/error.h"
#include "common/paths.h"

struct broker_config {
	char policy_dir[720]; /* ROOT/etc/agentd/policy.d */
	char trust_dir[720]; /* ROOT/var/lib/agentd/broker/trust */
	char passwd[720]; /* /etc/passwd: login names for `when: {user: …}` */
	unsigned recorder_ms; /* how long the recorder may take before everything is denied */
	unsigned progress_ms; /* between approval/progress notifications */
	unsigned pending_box, pending_all; /* held calls of one sandbox, of all */
	unsigned conns_box; /* connections to one tool.sock */
};

struct broker;

void broker_config_default(struct broker_config *c, const struct paths *p);

/* Takes sup (the channel to the supervisor) over. The loop ends when the supervisor is gone. NULL with
 * *e filled. */
struct broker *broker_new(
	struct event_base *base, const struct broker_config *c, int sup, struct error *e);
void broker_free(struct broker *b);

#endif
