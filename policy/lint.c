/* Findings about a policy; see lint.h. One kind of action at a time: its rules are compiled one by
 * one, and for each rule all the others are put together (from the left and from the right, so that
 * n rules take some 3n products), to see whether the rule still has a say. */
#include "policy/lint.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/atlas.h"
#include "policy/automata/words.h"
#include "policy/compile.h"
#include "policy/kinds/net.h"
#include "policy/never.h"

struct lint {
	const struct policy *policy;
	struct policy_lint *out;
	struct error *e;
	/* of the kind that is looked at */
	const struct kind *kind;
	struct plan plan;
	struct alphabet alphabet;
	struct compiled compiled;
	struct dfa *primary, **before, **behind; /* [rule]: all rules before it; from it on */
};

__attribute__((format(printf, 6, 7))) static int add(struct lint *l, const char *code,
	enum lint_level level, const struct layer *y, unsigned line, const char *fmt, ...)
{
	struct lint_finding *grown =
		reallocarray(l->out->finding, l->out->findings + 1, sizeof *grown);
	va_list ap;
	char *text;
	int n;

	if (!grown)
		return error_set(l->e, 0, "out of memory");
	l->out->finding = grown;
	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return error_set(l->e, 0, "out of memory");
	grown[l->out->findings++] = (struct lint_finding){code, level, y->file, line, text};
	return 0;
}

static int failed(struct lint *l, enum dfa_status s)
{
	if (s == DFA_TOO_LARGE)
		return error_set(l->e, 0, "the %s rules are too many to look through at once",
			l->kind->section);
	return error_set(l->e, 0, "out of memory");
}

static int marked(const struct dfa *d, uint8_t mark)
{
	markset want = {{0}};

	byteset_add(&want, mark);
	return words_any(d, &want);
}

/* ---- rules that do nothing: L1, L2, L3, L5 ---- */

enum say { SAY_NOTHING, SAY_DEFAULT, SAY_SOMETHING };

struct heard { /* for own_say */
	enum verdict unmatched;
};

/* x: what all the others say about a word, y: the rule. */
static uint8_t own_say(void *ctx, uint8_t others, uint8_t effect)
{
	const struct heard *h = ctx;

	if (effect == VERDICT_NONE || others >= effect)
		return SAY_NOTHING;
	if (others == VERDICT_NONE && effect == h->unmatched)
		return SAY_DEFAULT;
	return SAY_SOMETHING;
}

static int build_sides(struct lint *l)
{
	size_t n = l->compiled.rules;
	const struct re none = {.type = RE_NONE, .nodes = 1};
	enum dfa_status status = dfa_build(&l->alphabet, &none, 0, &l->before[0]);

	if (!status)
		status = dfa_build(&l->alphabet, &none, 0, &l->behind[n]);
	for (size_t i = 0; !status && i < n; i++)
		status = dfa_product(
			l->before[i], l->compiled.rule[i].words, dfa_max, NULL, &l->before[i + 1]);
	for (size_t i = n; !status && i > 0; i--)
		status = dfa_product(l->behind[i], l->compiled.rule[i - 1].words, dfa_max, NULL,
			&l->behind[i - 1]);
	return status ? failed(l, status) : 0;
}

/* What rule i changes for first words, as an automaton with marks of enum say. */
static enum dfa_status say_of(struct lint *l, size_t i, struct dfa **out)
{
	struct heard h = {l->policy->unmatched};
	struct dfa *others = NULL, *own = NULL;
	enum dfa_status status =
		dfa_product(l->before[i], l->behind[i + 1], dfa_max, NULL, &others);

	if (!status)
		status = dfa_product(others, l->compiled.rule[i].words, own_say, &h, &own);
	if (!status)
		status = dfa_product(own, l->primary, dfa_keep, NULL, out);
	dfa_free(others);
	dfa_free(own);
	return status;
}

static uint8_t not_covered(void *ctx, uint8_t rule, uint8_t other)
{
	(void)ctx;
	return rule && other < rule;
}

/* One rule that by itself does all that rule i does, NULL when it takes several. */
static const struct compiled_rule *cover_of(struct lint *l, size_t i)
{
	const struct compiled_rule *r = &l->compiled.rule[i];

	for (size_t k = 0; k < l->compiled.rules; k++) {
		const struct compiled_rule *o = &l->compiled.rule[k];
		struct dfa *left = NULL;
		int covers;

		if (k == i || rule_verdict(o->rule) < rule_verdict(r->rule) ||
			dfa_product(r->words, o->words, not_covered, NULL, &left))
			continue;
		covers = !marked(left, 1);
		dfa_free(left);
		if (covers)
			return o;
	}
	return NULL;
}

static int say_shadowed(struct lint *l, size_t i)
{
	const struct compiled_rule *r = &l->compiled.rule[i], *o = cover_of(l, i);
	const char *effect = verdict_name(r->rule->effect);

	if (!o)
		return add(l, "L1", LINT_WARNING, r->layer, r->rule->line,
			"%s `%s` changes nothing: other rules together decide all that it matches. "
			"Delete it",
			effect, r->rule->match.text);
	if (o->rule->effect == r->rule->effect)
		return add(l, "L3", LINT_WARNING, r->layer, r->rule->line,
			"%s `%s` changes nothing: `%s` (%s line %u) does the same and more. Delete "
			"it",
			effect, r->rule->match.text, o->rule->match.text, o->layer->file,
			o->rule->line);
	return add(l, "L1", LINT_WARNING, r->layer, r->rule->line,
		"%s `%s` changes nothing: %s `%s` (%s line %u) covers it. Add `except: [\"%s\"]` "
		"to "
		"that rule, or delete this one",
		effect, r->rule->match.text, verdict_name(o->rule->effect), o->rule->match.text,
		o->layer->file, o->rule->line, r->rule->match.text);
}

static int look_at_say(struct lint *l, size_t i)
{
	const struct compiled_rule *r = &l->compiled.rule[i];
	struct dfa *real = NULL, *say = NULL;
	enum dfa_status status = dfa_product(r->words, l->primary, dfa_keep, NULL, &real);
	int result = 0;

	if (!status)
		status = say_of(l, i, &say);
	if (status)
		result = failed(l, status);
	else if (!marked(real, (uint8_t)rule_verdict(r->rule)))
		result = add(l, "L5", LINT_ERROR, r->layer, r->rule->line,
			"%s `%s` matches no action that there can be. Look at its spelling: %s",
			verdict_name(r->rule->effect), r->rule->match.text, l->kind->hint);
	else if (!marked(say, SAY_SOMETHING) && marked(say, SAY_DEFAULT))
		result = add(l, "L2", LINT_INFO, r->layer, r->rule->line,
			"%s `%s` says what holds anyway (`unmatched: %s`). Keep it as a guard "
			"against a rule to come, or delete it",
			verdict_name(r->rule->effect), r->rule->match.text,
			verdict_name(r->rule->effect));
	else if (!marked(say, SAY_SOMETHING))
		result = say_shadowed(l, i);
	dfa_free(real);
	dfa_free(say);
	return result;
}

/* ---- L4: exceptions that except nothing ---- */

static int look_at_except(struct lint *l, const struct compiled_rule *r, size_t i)
{
	const struct re *rule = plan_rule(&l->plan, r->rule);
	const struct re *except = plan_except(&l->plan, r->rule, i);
	struct dfa *x = NULL, *y = NULL, *both = NULL;
	enum dfa_status status = DFA_NO_MEMORY;
	int nothing;

	if (rule && except)
		status = dfa_build(&l->alphabet, rule, 1, &x);
	if (!status)
		status = dfa_build(&l->alphabet, except, 1, &y);
	if (!status)
		status = dfa_product(x, y, dfa_and, NULL, &both);
	nothing = !status && !marked(both, 1);
	dfa_free(x);
	dfa_free(y);
	dfa_free(both);
	if (status)
		return failed(l, status);
	return nothing ? add(l, "L4", LINT_WARNING, r->layer, r->rule->line,
				 "the exception `%s` of `%s` excepts nothing that the rule "
				 "matches. "
				 "Delete it, or mend its spelling",
				 r->rule->except[i].text, r->rule->match.text)
		       : 0;
}

/* ---- L10: any port ---- */

static int look_at_ports(struct lint *l, const struct compiled_rule *r)
{
	const struct net_rule *n = r->rule->match.parsed;

	if (l->kind != &kind_net || r->rule->effect != VERDICT_ALLOW)
		return 0;
	for (size_t i = 0; i < n->ports.count; i++) {
		if (n->ports.range[i].lo == 1 && n->ports.range[i].hi == UINT16_MAX)
			return add(l, "L10", LINT_WARNING, r->layer, r->rule->line,
				"allow `%s` opens every port. Name the ports: 443, 80,443",
				r->rule->match.text);
	}
	return 0;
}

/* ---- L11: rules that no test looks at ---- */

static int test_is_about(const struct lint *l, const struct test *t, const struct compiled_rule *r)
{
	struct decision d;

	if (!t->action || t->action->kind != l->kind->id)
		return 0;
	policy_decide(l->policy, t->action, &d);
	return d.line == r->rule->line && d.file == r->layer->file;
}

static int look_at_tests(struct lint *l, const struct compiled_rule *r)
{
	const struct layer *y = r->layer;

	for (size_t i = 0; i < y->tests; i++) {
		if (test_is_about(l, &y->test[i], r))
			return 0;
	}
	return add(l, "L11", LINT_INFO, y, r->rule->line,
		"%s `%s` is tried by no test. Write one that it decides",
		verdict_name(r->rule->effect), r->rule->match.text);
}

/* ---- one kind ---- */

static int look_at_rules(struct lint *l)
{
	for (size_t i = 0; i < l->compiled.rules; i++) {
		const struct compiled_rule *r = &l->compiled.rule[i];

		if (r->layer->origin == POLICY_BUILTIN)
			continue;
		if (look_at_say(l, i) || look_at_ports(l, r) || look_at_tests(l, r))
			return -1;
		for (size_t k = 0; k < r->rule->excepts; k++) {
			if (look_at_except(l, r, k))
				return -1;
		}
	}
	return 0;
}

/* Rules that take no part: of layers whose `when` does not hold, of the built-in layer when another
 * one states its own. */
static void drop_idle(const struct policy *p, struct compiled *c)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->rules; i++) {
		const struct compiled_rule r = c->rule[i];

		if (r.layer->active && !rule_is_idle(&p->stack, r.layer, r.rule))
			c->rule[kept++] = r;
		else
			dfa_free(r.words);
	}
	c->rules = kept;
}

static int kind_prepare(struct lint *l)
{
	struct compile_fault fault;
	enum dfa_status status;

	plan_init(&l->plan, l->kind, &l->alphabet, NULL);
	plan_mention(&l->plan, l->policy);
	plan_shape(&l->plan);
	plan_distinguish(&l->plan, l->policy);
	status = compile(&l->plan, l->policy, &l->compiled, &fault);
	if (!status)
		status = dfa_build(&l->alphabet, l->plan.primary, 1, &l->primary);
	if (status)
		return failed(l, status);
	drop_idle(l->policy, &l->compiled);
	l->before = calloc(l->compiled.rules + 1, sizeof(struct dfa *));
	l->behind = calloc(l->compiled.rules + 1, sizeof(struct dfa *));
	if (!l->before || !l->behind)
		return failed(l, DFA_NO_MEMORY);
	return build_sides(l);
}

static void kind_forget(struct lint *l)
{
	for (size_t i = 0; i <= l->compiled.rules; i++) {
		if (l->before)
			dfa_free(l->before[i]);
		if (l->behind)
			dfa_free(l->behind[i]);
	}
	free(l->before);
	free(l->behind);
	l->before = l->behind = NULL;
	dfa_free(l->primary);
	l->primary = NULL;
	compiled_free(&l->compiled);
	plan_free(&l->plan);
}

static int has_rules(const struct policy *p, const struct kind *k)
{
	for (size_t i = 0; i < p->stack.layers; i++) {
		const struct layer *y = p->stack.layer[i];

		for (size_t j = 0; y->origin != POLICY_BUILTIN && j < y->rules; j++) {
			if (rule_kind(&y->rule[j]) == k)
				return 1;
		}
	}
	return 0;
}

static int look_at_kind(struct lint *l, const struct kind *k)
{
	int result;

	if (!has_rules(l->policy, k))
		return 0;
	l->kind = k;
	result = kind_prepare(l) || look_at_rules(l) ? -1 : 0;
	kind_forget(l);
	return result;
}

/* ---- L6: what the atlas names ---- */

static int look_at_danger(struct lint *l, const struct kind *k, unsigned i)
{
	const struct test t = {.atlas = 1u << i};
	const struct atlas *a = atlas_at(i);
	struct never found = {0};
	int result = never_prove_kind(l->policy, &l->policy->stack, &t, k, &found);

	if (result) {
		result = error_set(l->e, 0, "out of memory");
	} else if (found.broken && found.example && found.by.origin != POLICY_BUILTIN) {
		const struct layer y = {.file = found.by.file};

		result = add(l, "L6", LINT_WARNING, &y, found.by.line,
			"allow `%s` reaches %s (%s): %s. Narrow it, or deny that", found.by.rule,
			a->name, a->meaning, found.example);
	}
	free(found.example);
	return result;
}

static int look_at_atlas(struct lint *l)
{
	const struct kind *k = &kind_tool;

	for (size_t i = 0; k; k = kind_at(i++)) {
		for (unsigned name = 0; has_rules(l->policy, k) && atlas_at(name); name++) {
			if (look_at_danger(l, k, name))
				return -1;
		}
	}
	return 0;
}

/* ---- all of it ---- */

static int by_place(const void *a, const void *b)
{
	const struct lint_finding *x = a, *y = b;
	int d = strcmp(x->file, y->file);

	if (d)
		return d;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	d = strcmp(x->code, y->code);
	return d ? d : strcmp(x->text, y->text);
}

static int look_at_all(struct lint *l)
{
	const struct kind *k;

	if (look_at_kind(l, &kind_tool))
		return -1;
	for (size_t i = 0; (k = kind_at(i)) != NULL; i++) {
		if (look_at_kind(l, k))
			return -1;
	}
	return look_at_atlas(l);
}

int policy_lint(const struct policy *p, struct policy_lint **out, struct error *e)
{
	struct lint *l = calloc(1, sizeof *l);
	int result = -1;

	*out = NULL;
	if (l)
		l->out = calloc(1, sizeof *l->out);
	if (l && l->out) {
		l->policy = p;
		l->e = e;
		result = look_at_all(l);
	} else {
		error_set(e, 0, "out of memory");
	}
	if (!result && l->out->findings)
		qsort(l->out->finding, l->out->findings, sizeof *l->out->finding, by_place);
	if (!result)
		*out = l->out;
	else if (l)
		policy_lint_free(l->out);
	free(l);
	return result;
}

void policy_lint_free(struct policy_lint *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->findings; i++)
		free(l->finding[i].text);
	free(l->finding);
	free(l);
}
