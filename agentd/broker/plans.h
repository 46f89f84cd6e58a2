/* From a request and a loaded policy to a launch plan (common/plan.h): pure, no I/O. */
#ifndef BROKER_PLANS_H
#define BROKER_PLANS_H

#include "agentd/broker/runreq.h"
#include "agentd/broker/session.h"
#include "common/error.h"

/* Fills what the agent will see as its own in *s: user, home, cwd, workspace, agent. *s has uid. */
void plans_identity(struct session *s, const struct runreq *r);

/* Makes a name for the sandbox out of workspace and agent kind; try: 1, 2, … gives other names. */
void plans_name(char name[NAME_CAP], const struct runreq *r, unsigned try);

/* The plan: a new buffer, checked by plan_check. s has everything, the policy too. NULL with *e. */
void *plans_build(
	const struct session *s, const struct runreq *r, uint32_t gid, size_t *n, struct error *e);

#endif
