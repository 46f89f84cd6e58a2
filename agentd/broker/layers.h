/* Collecting the policy documents of a launch: the administrator's from disk, the user's, the
 * repository's and the command line's from the request. A document that cannot be read, or a
 * repository's that its owner has not looked at, means no launch. */
#ifndef BROKER_LAYERS_H
#define BROKER_LAYERS_H

#include "agentd/broker/runreq.h"
#include "common/error.h"
#include "policy/policy.h"

struct layers {
	struct policy_doc docs[POLICY_LAYERS_MAX];
	size_t n;
	char *owned[POLICY_LAYERS_MAX * 2]; /* names and texts of the administrator's */
	size_t nowned;
};

/* Fills *l from policy_dir and the request (whose strings must outlive it). 0, or -1 with *e: refuse.
 * layers_free in both cases. */
int layers_collect(struct layers *l, const char *policy_dir, const char *trust_dir, uid_t uid,
	const struct runreq *r, struct error *e);
void layers_free(struct layers *l);

#endif
