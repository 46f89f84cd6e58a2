/* The decision function (DESIGN.md section 5): pure, no allocation, no clock. */
#include <string.h>

#include "policy/internal.h"

const char *verdict_name(enum verdict v)
{
	static const char *const names[] = {"none", "allow", "ask", "deny"};

	return v >= VERDICT_NONE && v <= VERDICT_DENY ? names[v] : "none";
}

void stack_add(struct stack *s, const struct layer *l)
{
	s->layer[s->layers++] = l;
	if (l->origin != POLICY_BUILTIN && l->states_allow)
		s->builtin_idle = 1;
}

/* The first of a layer's rules, strictest first, that matches. */
static const struct rule *layer_rule(const struct layer *l, const struct action *a, int no_allow)
{
	size_t i;

	for (i = 0; i < l->rules; i++) {
		const struct rule *r = &l->rule[i];

		if (no_allow && r->effect == VERDICT_ALLOW)
			return NULL;
		if (rule_matches(r, a))
			return r;
	}
	return NULL;
}

static void decided(struct decision *out, const struct layer *l, const struct rule *r)
{
	*out = (struct decision){.verdict = r->effect,
		.rule = r->match.text,
		.file = l->file,
		.line = r->line,
		.origin = l->origin,
		.why = r->why,
		.mechanism = "hook"};
}

static void fallback(struct decision *out, enum verdict v, const char *rule, const struct layer *l,
	unsigned line, const char *why)
{
	*out = (struct decision){.verdict = v,
		.rule = rule,
		.file = l ? l->file : "",
		.line = line,
		.origin = l ? l->origin : POLICY_BUILTIN,
		.why = why,
		.mechanism = "hook"};
}

static void decide_layer(
	const struct layer *l, const struct action *a, int no_allow, struct decision *out)
{
	const struct rule *r = layer_rule(l, a, no_allow);

	if (r)
		decided(out, l, r);
	else if (l->ceiling)
		fallback(out, VERDICT_DENY, "ceiling", l, 0,
			"a layer that is a ceiling does not allow it");
	else
		fallback(out, VERDICT_NONE, "", l, 0, NULL);
}

static void decide_unmatched(const struct stack *s, struct decision *out)
{
	size_t i;

	fallback(out, VERDICT_ASK, "unmatched", NULL, 0, "no rule matches");
	for (i = 0; i < s->layers; i++) {
		const struct layer *l = s->layer[i];

		if (l->unmatched == VERDICT_DENY) {
			fallback(out, VERDICT_DENY, "unmatched", l, l->unmatched_line,
				"no rule matches");
			return;
		}
	}
}

void stack_decide(const struct stack *s, const struct action *a, struct decision *out)
{
	struct decision d;
	size_t i;

	if (a->kind != ACTION_TOOL) {
		fallback(out, VERDICT_DENY, "unsupported", NULL, 0,
			"no gate of this version decides actions of this kind");
		return;
	}
	out->verdict = VERDICT_NONE;
	for (i = 0; i < s->layers && out->verdict != VERDICT_DENY; i++) {
		const struct layer *l = s->layer[i];

		decide_layer(l, a, l->origin == POLICY_BUILTIN && s->builtin_idle, &d);
		if (d.verdict > out->verdict)
			*out = d;
	}
	if (out->verdict == VERDICT_NONE)
		decide_unmatched(s, out);
}

void policy_decide(const struct policy *p, const struct action *a, struct decision *out)
{
	stack_decide(&p->stack, a, out);
}

enum verdict policy_unmatched(const struct policy *p)
{
	struct decision d;

	decide_unmatched(&p->stack, &d);
	return d.verdict;
}

int policy_explain(const struct policy *p, size_t i, const struct action *a, struct decision *out)
{
	const struct layer *l;

	if (i >= p->layers)
		return -1;
	l = p->layer[i];
	if (!l->active || a->kind != ACTION_TOOL)
		fallback(out, VERDICT_NONE, "", l, 0, NULL);
	else
		decide_layer(l, a, l->origin == POLICY_BUILTIN && p->stack.builtin_idle, out);
	return 0;
}

int policy_rule_get(const struct policy *p, size_t i, size_t j, struct policy_rule *out)
{
	const struct layer *l;
	const struct rule *r;

	if (i >= p->layers || j >= p->layer[i]->rules)
		return -1;
	l = p->layer[i];
	r = &l->rule[j];
	*out = (struct policy_rule){.effect = r->effect,
		.text = r->match.text,
		.why = r->why,
		.line = r->line,
		.idle = l->origin == POLICY_BUILTIN && p->stack.builtin_idle &&
			r->effect == VERDICT_ALLOW,
		.excepts = r->excepts};
	return 0;
}

const char *policy_rule_except(const struct policy *p, size_t i, size_t j, size_t k)
{
	if (i >= p->layers || j >= p->layer[i]->rules || k >= p->layer[i]->rule[j].excepts)
		return NULL;
	return p->layer[i]->rule[j].except[k].text;
}
