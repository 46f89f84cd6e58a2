/* Proofs about all actions; see never.h. For each kind of action: the automaton of what the stack
 * allows, cut with that of what the atlas names. Nothing in common: proved. Otherwise a common word
 * becomes an example, which the decision function must confirm.
 *
 * Tools are looked at in the plain view (policy/kinds/tool.c). Aliases need no look: they never
 * allow anything. */
#include "policy/never.h"

#include <stdlib.h>
#include <string.h>

#include "policy/atlas.h"
#include "policy/automata/words.h"
#include "policy/compile.h"
#include "policy/witness.h"

/* ---- reading ---- */

static size_t skip_blanks(const char *s, size_t n, size_t i)
{
	while (i < n && s[i] == ' ')
		i++;
	return i;
}

static size_t word_end(const char *s, size_t n, size_t i)
{
	while (i < n && s[i] != ' ')
		i++;
	return i;
}

/* The next word must be w. */
static int expect(const char *s, size_t n, size_t *i, const char *w)
{
	size_t end = word_end(s, n, *i);

	if (end - *i != strlen(w) || memcmp(s + *i, w, end - *i) != 0)
		return -1;
	*i = skip_blanks(s, n, end);
	return 0;
}

int never_is(const char *s, size_t n)
{
	size_t i = 0;

	return expect(s, n, &i, "never") == 0;
}

static int read_name(const char *s, size_t n, size_t *i, struct test *out, struct pattern_fault *f)
{
	size_t end = word_end(s, n, *i);
	const char *near;
	int at = atlas_find(s + *i, end - *i, &near);

	if (at < 0 && near)
		return pattern_bad(f, *i, end - *i,
			"a name that the atlas does not have. Did you mean `%s`?", near);
	if (at < 0)
		return pattern_bad(f, *i, end - *i,
			"a name that the atlas of this version does not have. docs/policy.md lists "
			"the names");
	if (out->atlas >> at & 1)
		return pattern_bad(f, *i, end - *i, "the same name twice. Keep one");
	out->atlas |= 1u << at;
	*i = skip_blanks(s, n, end);
	return 0;
}

int never_parse(const char *s, size_t n, struct test *out, struct pattern_fault *f)
{
	size_t i = 0;

	if (expect(s, n, &i, "never") || expect(s, n, &i, "allow") || expect(s, n, &i, "atlas"))
		return pattern_bad(f, i < n ? i : 0, i < n ? n - i : n,
			"a `never` test that does not go on with `allow atlas`. Write `never allow "
			"atlas NAME…`");
	if (i == n)
		return pattern_bad(f, 0, n,
			"a `never` test without a name. Write what of the atlas shall never be "
			"allowed, as in `never allow atlas secrets-read`");
	while (i < n) {
		if (read_name(s, n, &i, out, f))
			return -1;
	}
	return 0;
}

/* ---- proving ---- */

struct proof { /* about one kind of action */
	const struct policy *policy;
	const struct stack *stack;
	const struct kind *kind;
	unsigned names; /* bits */
	struct policy view; /* the layers of the stack only */
	struct plan plan;
	struct alphabet alphabet;
	struct compiled compiled;
	struct dfa *allowed; /* first words that the stack allows */
	struct atlas_part part[ATLAS_MAX];
	struct never *out;
};

/* Without an allow rule nothing is allowed: `unmatched` never does. */
static int may_allow(const struct stack *s, const struct kind *k)
{
	for (size_t i = 0; i < s->layers; i++) {
		for (size_t j = 0; j < s->layer[i]->rules; j++) {
			const struct rule *r = &s->layer[i]->rule[j];

			if (r->effect == VERDICT_ALLOW && rule_kind(r) == k &&
				!rule_is_idle(s, s->layer[i], r))
				return 1;
		}
	}
	return 0;
}

static int names_kind(unsigned names, const struct kind *k)
{
	for (size_t i = 0; atlas_at(i); i++) {
		for (size_t j = 0; names >> i & 1 && j < atlas_at(i)->rules; j++) {
			if (atlas_at(i)->rule[j].kind == k)
				return 1;
		}
	}
	return 0;
}

static int view_make(struct proof *x)
{
	x->view.stack = *x->stack;
	x->view.layer = arena_array(&x->plan.arena, x->policy->layers, sizeof(struct layer *));
	if (!x->view.layer)
		return -1;
	for (size_t i = 0; i < x->policy->layers; i++) {
		for (size_t k = 0; k < x->stack->layers; k++) {
			if (x->policy->layer[i] == x->stack->layer[k])
				x->view.layer[x->view.layers++] = x->policy->layer[i];
		}
	}
	return 0;
}

static int read_atlas(struct proof *x)
{
	struct pattern_fault f;

	for (size_t i = 0; atlas_at(i); i++) {
		if (x->names >> i & 1 &&
			atlas_read(&x->plan.arena, atlas_at(i), x->kind, &x->part[i], &f))
			return -1;
		atlas_pointers(&x->part[i], x->kind, plan_pointer, &x->plan);
	}
	return 0;
}

static int distinguish(struct proof *x)
{
	plan_shape(&x->plan);
	plan_distinguish(&x->plan, &x->view);
	plan_distinguish_natural(&x->plan);
	for (size_t i = 0; atlas_at(i); i++) {
		if (atlas_distinguish(
			    &x->plan.arena, &x->alphabet, &x->part[i], x->kind, &x->plan.shape))
			return -1;
	}
	return 0;
}

static uint8_t both_allow(void *ctx, uint8_t verdict, uint8_t in)
{
	(void)ctx;
	return verdict == VERDICT_ALLOW && in;
}

static enum dfa_status build(struct proof *x)
{
	struct compile_fault fault;
	struct dfa *primary = NULL;
	enum dfa_status s;

	if (view_make(x))
		return DFA_NO_MEMORY;
	plan_mention(&x->plan, &x->view);
	if (read_atlas(x) || distinguish(x))
		return DFA_NO_MEMORY;
	s = compile(&x->plan, &x->view, &x->compiled, &fault);
	if (!s)
		s = dfa_build(&x->alphabet, x->plan.primary, 1, &primary);
	if (!s)
		s = dfa_product(x->compiled.decision, primary, both_allow, NULL, &x->allowed);
	dfa_free(primary);
	return s;
}

/* Asks the stack about an example, as policy_decide would. */
static int confirmed(void *ctx, const char *text)
{
	struct proof *x = ctx;
	struct decision *d = &x->out->by;
	struct action *a;

	if (policy_parse_action(text, &a, NULL))
		return 0;
	stack_decide_action(x->policy, x->stack, a, d);
	action_free(a);
	return d->verdict == VERDICT_ALLOW;
}

static enum dfa_status check_name(struct proof *x, size_t i)
{
	struct dfa *named = NULL, *common = NULL;
	markset want = {{0}};
	enum dfa_status s = atlas_words(
		&x->plan.arena, &x->alphabet, &x->part[i], x->kind, UPPER, &x->plan.shape, &named);

	if (!s)
		s = dfa_product(x->allowed, named, dfa_and, NULL, &common);
	byteset_add(&want, 1);
	if (!s && words_any(common, &want)) {
		x->out->broken = 1;
		x->out->name = atlas_at(i)->name;
		x->out->example = witness_find(common, 1, x->kind, &x->plan.shape, confirmed, x);
	}
	dfa_free(named);
	dfa_free(common);
	return s;
}

static enum dfa_status prove_kind(struct proof *x)
{
	enum dfa_status s;

	plan_init(&x->plan, x->kind, &x->alphabet, x->policy->work);
	s = build(x);
	for (size_t i = 0; !s && !x->out->broken && atlas_at(i); i++) {
		if (x->part[i].matches)
			s = check_name(x, i);
	}
	dfa_free(x->allowed);
	compiled_free(&x->compiled);
	plan_free(&x->plan);
	return s;
}

/* Whether a session of this stack only starts where rules of files are enforced. */
static int binds_files(const struct stack *s)
{
	for (size_t i = 0; i < s->layers; i++) {
		const struct layer *l = s->layer[i];

		for (size_t j = 0; !layer_best_effort(l, kind_file.section) && j < l->rules; j++) {
			if (rule_kind(&l->rule[j]) == &kind_file)
				return 1;
		}
	}
	return 0;
}

/* Where rules of files hold, a tool that opens one inside of the sandbox does not get further than they
 * let it, whatever the tools rules say. */
static unsigned names_of(const struct stack *s, unsigned names, const struct kind *k)
{
	if (k != &kind_tool || !binds_files(s))
		return names;
	for (unsigned i = 0; atlas_at(i); i++) {
		if (names_kind(1u << i, &kind_file))
			names &= ~(1u << i);
	}
	return names;
}

int never_prove_kind(const struct policy *p, const struct stack *s, const struct test *t,
	const struct kind *k, struct never *out)
{
	unsigned names = names_of(s, t->atlas, k);
	enum dfa_status status;
	struct proof *x;

	*out = (struct never){0};
	if (!may_allow(s, k) || !names_kind(names, k))
		return 0;
	x = calloc(1, sizeof *x);
	if (!x)
		return -1;
	*x = (struct proof){.policy = p, .stack = s, .kind = k, .names = names, .out = out};
	status = prove_kind(x);
	free(x);
	if (status == DFA_TOO_LARGE) {
		out->broken = 1;
		out->section = k->section;
		return 0;
	}
	return status ? -1 : 0;
}

int never_prove(
	const struct policy *p, const struct stack *s, const struct test *t, struct never *out)
{
	const struct kind *k = &kind_tool;

	*out = (struct never){0};
	for (size_t i = 0; k && !out->broken; k = kind_at(i++)) {
		if (never_prove_kind(p, s, t, k, out))
			return -1;
	}
	return 0;
}
