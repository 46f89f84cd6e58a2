/* Rules that a log suggests (specs/policy.md section 6): what people approved again and again, written
 * as the narrowest rules that say it. Deterministic, no model; pure: the caller brings observations,
 * the policy that held, and gets rules with their evidence back. Nothing is applied here.
 *
 * What is learned from is hostile: an agent chooses the names in it. So a rule is only proposed when
 * automata prove that it meets no deny rule, nothing of the danger atlas and nothing that a person
 * refused; when its literals are plain and no secret; and only where no rule has spoken yet: what an
 * ask or deny rule decides stays as it is. */
#ifndef POLICY_SUGGEST_SUGGEST_H
#define POLICY_SUGGEST_SUGGEST_H

#include "policy/policy.h"

/* ---- observations ---- */

enum suggest_outcome {
	SUGGEST_ALLOWED, /* by policy */
	SUGGEST_APPROVED, /* a person said yes, now or for the session */
	SUGGEST_REFUSED, /* a person said no */
	SUGGEST_DENIED, /* by policy */
	SUGGEST_EXPIRED, /* nobody answered, or agentd failed closed: says nothing about the action */
	SUGGEST_OUTCOMES
};

struct suggest_event {
	const char *session; /* id; NUL-terminated */
	uint64_t when; /* seconds since 1970 */
	const char
		*action; /* as policy_parse_action reads it: `exec git status`. An approved one must
			       be whole; of a refused one what cannot be written may be missing (the
			       rest then counts as refused, whatever stood there) */
	enum suggest_outcome outcome;
	int prompted; /* a person was asked for this one (and not before, for the session) */
};

#define SUGGEST_TEXT_MAX 4096u /* bytes of an action, or of a session's id, that are kept */

struct suggest_log;

#define SUGGEST_STORM_DENIALS 30u /* in … */
#define SUGGEST_STORM_SECONDS \
	60u /* … a session counts as attacked, and nothing is learned from it */

struct suggest_log *suggest_log_new(void); /* NULL: out of memory */
void suggest_log_free(struct suggest_log *l);
/* Adds one. Memory is bounded: what does not fit is counted, not kept. 0, or -1 with *e: out of memory,
 * or a refusal that does not fit (what people refused must be known). */
int suggest_log_add(struct suggest_log *l, const struct suggest_event *ev, struct error *e);
/* Nothing is learned from this session; its refusals still count. why: a word or two, static. 0 or -1. */
int suggest_log_drop(struct suggest_log *l, const char *session, const char *why, struct error *e);

struct suggest_totals {
	uint64_t events, approved, prompts; /* all that were added; of these approved; asked for */
	uint64_t lost; /* did not fit */
	size_t sessions, dropped;
};
void suggest_log_totals(const struct suggest_log *l, struct suggest_totals *out);
/* A dropped session and why. 0, or -1: there is no i-th. */
int suggest_log_dropped(
	const struct suggest_log *l, size_t i, const char **session, const char **why);

/* For who makes events out of calls of tools: the action as text, without what a tool writes or looks
 * for, and what the agent says about it (no rule is about that). whole 0: also without what cannot be
 * written. The caller frees it; NULL: it cannot be written, or out of memory. */
char *suggest_call_text(const struct action *call, int whole);

/* ---- suggestions ---- */

#define SUGGEST_RULES_MAX   5u
#define SUGGEST_EXCEPTS_MAX 4u
#define SUGGEST_NOTES_MAX   20u
#define SUGGEST_LEAST       3u /* observations, in at least … */
#define SUGGEST_SESSIONS    2u /* … sessions */

/* Where the domain begins that one owner registered (of `www.shop.co.uk` 4), from the public suffix
 * list; n when there is none (a public suffix, a name without dots). */
typedef size_t suggest_domain(void *ctx, const char *host, size_t n);

struct suggest_options {
	unsigned least; /* observations that a rule needs; less than SUGGEST_LEAST counts as that */
	const char *kind; /* only of this kind ("exec", "tool"); NULL: all */
	suggest_domain *domain; /* NULL: no host is ever generalised */
	void *domain_ctx;
};

struct suggest_rule {
	const char *kind, *section, *key; /* "exec", "exec", "cmd" */
	int gated; /* 0: nothing enforces the section yet */
	char *text, *except[SUGGEST_EXCEPTS_MAX];
	size_t excepts;
	unsigned count, sessions, prompts; /* observations, and prompts that it would have saved */
	uint64_t last; /* seconds since 1970 */
	size_t seen; /* different actions that it covers */
	double also; /* log2 of 1 + the number of further actions, no longer than those seen, that it
			would allow; 0: none */
	char *example; /* one of these, NULL: none */
};

struct suggest_note { /* an action that no rule is proposed for */
	char *action;
	unsigned count, sessions;
	const char *why; /* static */
};

struct suggest_replay { /* leave one session out: rules of all others, tried on the one */
	size_t sessions;
	unsigned prompts, saved; /* of the prompts of these sessions */
	unsigned slipped; /* actions that a person refused there, and a rule would allow */
};

struct suggestions {
	size_t rules, notes;
	unsigned
		secrets; /* different actions that are not looked at: a secret in them, or text that
			     is not plain */
	struct suggest_rule rule[SUGGEST_RULES_MAX]; /* what saves most first */
	struct suggest_note note[SUGGEST_NOTES_MAX]; /* seen once, asked by a rule, … */
	size_t notes_more; /* that did not fit */
	struct suggest_replay replay;
	const char *skipped; /* a section whose rules are too many to prove anything, NULL: none */
};

/* 0 and a new *out, freed by suggestions_free; or -1 with *e. */
int suggest(const struct suggest_log *l, const struct policy *p, const struct suggest_options *o,
	struct suggestions **out, struct error *e);
void suggestions_free(struct suggestions *s);

/* The whole log under another policy. */
struct suggest_check {
	unsigned checked; /* different actions */
	unsigned saved; /* prompts */
	unsigned
		stricter; /* actions that were approved or allowed under `was` and are stricter now */
	unsigned slipped; /* actions that a person refused, and that are allowed now */
	char example[512]; /* of the last two */
};
int suggest_check(const struct suggest_log *l, const struct policy *was, const struct policy *now,
	struct suggest_check *out, struct error *e);

#endif
