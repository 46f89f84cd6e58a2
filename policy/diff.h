/* What a change of policy means: exact, over the whole stack of layers, for every kind of action.
 * Both policies become automata over one alphabet, and what ends differently is the difference.
 *
 * Exact means: an action that is not in the result is decided as before. Two limits are said where
 * they apply: arguments of tools are compared in the plain view (policy/kinds/tool.c), and what a
 * session's roots make of a path's other names (aliases) is not compared. */
#ifndef POLICY_DIFF_H
#define POLICY_DIFF_H

#include "policy/policy.h"

struct diff_rule { /* a rule that only one of the policies has */
	const char *file; /* where it stands; lives as long as that policy */
	unsigned line;
	const char *section, *text; /* as written, without its except */
	enum verdict effect;
	int added; /* 1: the new policy has it, 0: the old one had it */
	int matters; /* 1: a decision differs because of it */
};

#define DIFF_CAUSES 8u

struct diff_change { /* all actions of a kind that went from one verdict to another */
	const char *kind; /* "tool", "file", "connect", … */
	enum verdict was, now;
	char *example; /* without its kind: what policy_parse_action takes behind it, shortest readable.
			  Asked of both policies before it was put here. NULL: none could be written */
	uint64_t count; /* how many there are; UINT64_MAX: without end, or too many to count */
	size_t causes; /* rules of diff.rule[] that it comes from; 0: unmatched or ceiling */
	size_t cause[DIFF_CAUSES];
};

struct diff_setting { /* anything that is not a rule */
	char what[96]; /* "limits.memory", "env.pass HTTP_PROXY" */
	char was[96], now[96];
	int wider; /* 1 wider, -1 stricter, 0 neither */
};

struct diff_danger { /* something of the danger atlas that is let through and was not */
	const char *name, *meaning; /* static */
	const char *kind;
	enum verdict was, now;
	char *example; /* as that of a change */
	int promised; /* 1: a test of the old policy says `never allow atlas NAME`, and it is allowed now */
};

struct policy_diff {
	size_t rules, changes, settings, dangers;
	struct diff_rule *rule;
	struct diff_change *change; /* the widest first */
	struct diff_setting *setting;
	struct diff_danger *danger;
	int wider; /* 1: something is allowed or asked that was not */
	char was_digest[65], now_digest[65]; /* of the stacks */
};

/* 1 when a change lets more through: deny → ask, deny → allow, ask → allow. */
static inline int diff_is_wider(enum verdict was, enum verdict now)
{
	return now < was;
}

/* 0 and a new *out, freed by policy_diff_free; or -1 with *e. */
int policy_diff(const struct policy *old, const struct policy *new, struct policy_diff **out,
	struct error *e);
void policy_diff_free(struct policy_diff *d);

#endif
