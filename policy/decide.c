/* The decision function (DESIGN.md section 5): pure, no allocation, no clock. */
#include <string.h>

#include "policy/compile.h"
#include "policy/internal.h"

const char *verdict_name(enum verdict v)
{
	static const char *const names[] = {"none", "allow", "ask", "deny"};

	return v >= VERDICT_NONE && v <= VERDICT_DENY ? names[v] : "none";
}

void stack_add(struct stack *s, const struct layer *l)
{
	s->layer[s->layers++] = l;
	if (l->origin != POLICY_BUILTIN)
		s->builtin_idle |= l->states_allow;
}

/* The first of a layer's rules, strictest first, that matches. */
static const struct rule *layer_rule(
	const struct stack *s, const struct layer *l, const struct action *a)
{
	size_t i;

	for (i = 0; i < l->rules; i++) {
		const struct rule *r = &l->rule[i];

		if (!r->match.kind && !rule_is_idle(s, l, r) && rule_matches(r, a))
			return r;
	}
	return NULL;
}

static void decided(
	struct decision *out, const struct layer *l, const struct rule *r, enum verdict v)
{
	*out = (struct decision){.verdict = v,
		.rule = r->match.text,
		.file = l->file,
		.line = r->line,
		.origin = l->origin,
		.why = r->why,
		.mechanism = rule_kind(r)->mechanism};
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
		.mechanism = kind_tool.mechanism};
}

static void decide_by(
	const struct layer *l, const struct rule *r, enum verdict v, struct decision *out)
{
	if (r)
		decided(out, l, r, v);
	else if (l->ceiling)
		fallback(out, VERDICT_DENY, "ceiling", l, 0,
			"a layer that is a ceiling does not allow it");
	else
		fallback(out, VERDICT_NONE, "", l, 0, NULL);
}

static void decide_layer(
	const struct stack *s, const struct layer *l, const struct action *a, struct decision *out)
{
	const struct rule *r = layer_rule(s, l, a);

	decide_by(l, r, r ? r->effect : VERDICT_NONE, out);
}

void stack_unmatched(const struct stack *s, struct decision *out)
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

		decide_layer(s, l, a, &d);
		if (d.verdict > out->verdict)
			*out = d;
	}
	if (out->verdict == VERDICT_NONE)
		stack_unmatched(s, out);
}

static void decide_compiled(const struct policy *p, const struct stack *s, const struct layer *l,
	const struct reading *r, struct decision *out)
{
	enum verdict v;
	const struct rule *by = compiled_match(&p->compiled[r->kind->id], s, l, r, &v);

	decide_by(l, by, v, out);
}

static void decide_reading(const struct policy *p, const struct stack *s, const struct reading *r,
	struct decision *out)
{
	struct decision d;

	out->verdict = VERDICT_NONE;
	for (size_t i = 0; i < s->layers && out->verdict != VERDICT_DENY; i++) {
		decide_compiled(p, s, s->layer[i], r, &d);
		if (d.verdict > out->verdict)
			*out = d;
	}
	if (out->verdict == VERDICT_NONE)
		stack_unmatched(s, out);
}

/* What aliases say to one layer: as strict as its rules, and nothing where none matches. */
static void decide_aliases(const struct policy *p, const struct stack *s, const struct layer *l,
	const struct action *a, struct decision *out)
{
	struct reading alias = {kind_of(a->kind), NULL, a};

	for (size_t i = 1; i < a->words; i++) {
		const struct rule *r;
		enum verdict v;

		alias.word = &a->word[i];
		r = compiled_match(&p->compiled[a->kind], s, l, &alias, &v);
		if (v > out->verdict && v != VERDICT_ALLOW)
			decided(out, l, r, v);
	}
}

void stack_decide_action(
	const struct policy *p, const struct stack *s, const struct action *a, struct decision *out)
{
	const struct reading r = {kind_of(a->kind), a->word, a};

	if (!r.kind || (a->words == 0 && !r.kind->run)) {
		stack_decide(s, a, out);
		return;
	}
	decide_reading(p, s, &r, out);
	out->mechanism = r.kind->mechanism;
	for (size_t i = 0; i < s->layers; i++)
		decide_aliases(p, s, s->layer[i], a, out);
}

enum verdict policy_verdict(const struct policy *p, const struct action *a)
{
	const struct compiled *c = a->kind < ACTION_KINDS ? &p->compiled[a->kind] : NULL;
	const struct kind *k = kind_of(a->kind);
	enum verdict v = VERDICT_NONE;
	struct decision full;

	if (c && c->decision && k && k->run) {
		v = (enum verdict)k->run(c->decision, &c->shape, a);
		return v == VERDICT_NONE ? p->unmatched : v;
	}
	if (!c || !c->table || a->words == 0) {
		policy_decide(p, a, &full);
		return full.verdict;
	}
	for (size_t i = 0; i < a->words; i++) {
		enum verdict of = (enum verdict)table_run(c->table, a->word[i].p, a->word[i].n);

		if (i == 0 || of > VERDICT_ALLOW)
			v = of > v ? of : v;
		if (i == 0 && v == VERDICT_NONE)
			v = p->unmatched;
	}
	return v;
}

void policy_decide(const struct policy *p, const struct action *a, struct decision *out)
{
	stack_decide_action(p, &p->stack, a, out);
}

enum verdict policy_unmatched(const struct policy *p)
{
	struct decision d;

	stack_unmatched(&p->stack, &d);
	return d.verdict;
}

int policy_explain(const struct policy *p, size_t i, const struct action *a, struct decision *out)
{
	const struct reading r = {kind_of(a->kind), a->word, a};
	const struct layer *l;

	if (i >= p->layers)
		return -1;
	l = p->layer[i];
	if (l->active && a->kind == ACTION_TOOL)
		decide_layer(&p->stack, l, a, out);
	else if (l->active && r.kind && (a->words || r.kind->run)) {
		decide_compiled(p, &p->stack, l, &r, out);
		decide_aliases(p, &p->stack, l, a, out);
	} else
		fallback(out, VERDICT_NONE, "", l, 0, NULL);
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
		.section = rule_kind(r)->section,
		.text = r->match.text,
		.why = r->why,
		.line = r->line,
		.idle = rule_is_idle(&p->stack, l, r),
		.until = r->until,
		.expired = rule_is_expired(&p->stack, r),
		.proto = r->tcp ? "tcp" : NULL,
		.excepts = r->excepts,
		.pins = r->pins};
	return 0;
}

const char *policy_section(size_t i, const char **mechanism)
{
	const struct kind *k = i == 0 ? &kind_tool : kind_at(i - 1);

	*mechanism = k ? k->mechanism : "";
	return k ? k->section : NULL;
}

const char *policy_rule_except(const struct policy *p, size_t i, size_t j, size_t k)
{
	if (i >= p->layers || j >= p->layer[i]->rules || k >= p->layer[i]->rule[j].excepts)
		return NULL;
	return p->layer[i]->rule[j].except[k].text;
}

const char *policy_rule_pin(const struct policy *p, size_t i, size_t j, size_t k)
{
	if (i >= p->layers || j >= p->layer[i]->rules || k >= p->layer[i]->rule[j].pins)
		return NULL;
	return p->layer[i]->rule[j].pin[k];
}
