/* The environment of a sandbox: what the policy passes of the user's, what it sets, and what agentd
 * sets itself. Everything else is dropped, and so is what a program would obey as code or as
 * configuration (LD_PRELOAD, GIT_*, NODE_OPTIONS, …), whatever env.pass says. */
#ifndef BROKER_ENV_H
#define BROKER_ENV_H

#include "agentd/broker/runreq.h"
#include "common/plan.h"
#include "policy/policy.h"

struct env_facts {
	const char *home, *user, *name, *session;
};

void env_build(struct plan_builder *b, const struct policy *p, const struct runreq *r,
	const struct env_facts *f);

/* 1 for a variable that only env.set may give to an agent. */
int env_is_dangerous(const char *name);

#endif
