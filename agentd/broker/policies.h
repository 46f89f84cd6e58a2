/* Loaded policies, shared by the sessions that have the same documents and facts: reading and testing
 * documents costs more than the rest of a launch. A policy never changes once it is loaded, so sharing
 * one is safe. Used by planner.c and session.c. */
#ifndef BROKER_POLICIES_H
#define BROKER_POLICIES_H

#include "policy/policy.h"

/* policy_load, or the same policy again. NULL with *e filled (a failure is never kept). Give it back
 * with policies_put. */
struct policy *policies_get(const struct policy_doc *docs, size_t n,
	const struct policy_facts *facts, struct policy_error *e);

/* p may be NULL. Policies that nobody uses are kept for the next launch, a few of them. */
void policies_put(struct policy *p);

/* Frees all that nobody uses. */
void policies_clear(void);

#endif
