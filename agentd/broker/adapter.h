/* What the broker must know about one kind of agent: the files that install its hook in the sandbox,
 * how the hook's JSON becomes a tool call, and how a decision becomes the hook's output. One file per
 * agent (adapter_claude.c); the table is in adapter.c. */
#ifndef BROKER_ADAPTER_H
#define BROKER_ADAPTER_H

#include <jansson.h>

#include "agentd/broker/text.h"
#include "common/error.h"
#include "common/plan.h"
#include "policy/policy.h"

#define HOOK_PROGRAM "/run/agentd/agentctl" /* as the sandbox sees it */

/* A tool call as the policy is asked about it. Borrowed from the event. */
struct tool_call {
	const char *tool;
	json_t *input; /* an object; new reference, without what has no effect (the agent's words) */
	const char *cwd; /* or NULL */
	const char *says; /* what the agent wrote about the call, or NULL */
	const char *event; /* hook event name, or NULL */
};

struct hook_output {
	int exit; /* 0: allowed; 2: denied */
	struct text out, err; /* for stdout and stderr of the hook program */
};

struct adapter {
	const char *agent; /* REQ_AGENT */
	/* Adds the agent's managed configuration to the launch plan. timeout_s: how long a human may
	 * take. */
	void (*install)(struct plan_builder *b, uint32_t timeout_s);
	/* Reads a hook event. 0 and *call filled (the caller drops call->input), or -1 with *e: deny. */
	int (*read)(json_t *event, struct tool_call *call, struct error *e);
	/* Says a decision the way the agent understands it. allow: 1 or 0. */
	void (*write)(struct hook_output *o, const char *event, int allow, const char *reason);
};

/* The adapter of an agent kind, or NULL. */
const struct adapter *adapter_find(const char *agent);

extern const struct adapter adapter_claude;

#endif
