/* The parts of `agentctl policy suggest`: reading records, printing. */
#ifndef AGENTCTL_TOOLS_POLICY_SUGGEST_H
#define AGENTCTL_TOOLS_POLICY_SUGGEST_H

#include "policy/suggest/suggest.h"

#define SUGGEST_NAMED_MAX 16u

struct suggest_source {
	const char *log; /* a log's directory; NULL: agentd's own */
	const char *jsonl; /* or a file of records, one a line; "-": standard input */
	uint64_t since; /* seconds since 1970: approvals before teach nothing */
	const char *session[SUGGEST_NAMED_MAX]; /* approvals of other ones do not either */
	size_t sessions;
};

struct suggest_read { /* what was read */
	uint64_t records,
		unusable; /* calls that were cut, are not canonical, or cannot be written */
	uint64_t unknown; /* refusals whose request is not there */
};

/* Reads records into l. 0, or -1 with *e: nothing of it may be used then. */
int suggest_read_log(struct suggest_log *l, const struct suggest_source *from,
	struct suggest_read *out, struct error *e);

#endif
