/* Rules to automata; see compile.h. */
#include "policy/compile.h"

#include <stdlib.h>
#include <string.h>

#include "policy/automata/choice.h"
#include "policy/text.h"

#define PLAN_MEMORY_MAX ((size_t)128 << 20)
#define BLAME_WORK      UINT64_C(150000000) /* to find out which rules explode */

void plan_init(struct plan *p, const struct kind *k, struct alphabet *alphabet, uint64_t *work)
{
	*p = (struct plan){.kind = k, .alphabet = alphabet};
	arena_init(&p->arena, PLAN_MEMORY_MAX);
	alphabet_init(alphabet);
	alphabet->work = work;
	alphabet->choices = choices_new(); /* without them it only takes longer */
}

void plan_free(struct plan *p)
{
	choices_free(p->alphabet->choices);
	p->alphabet->choices = NULL;
	arena_free(&p->arena);
	free(p->pointer);
}

/* ---- pointers ---- */

void plan_pointer(void *plan, const char *pointer)
{
	struct plan *p = plan;
	size_t i = 0;

	while (i < p->shape.pointers && action_pointer_order(p->pointer[i], pointer) < 0)
		i++;
	if (i < p->shape.pointers && strcmp(p->pointer[i], pointer) == 0)
		return;
	if (p->shape.pointers == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 16;
		const char **grown = reallocarray(p->pointer, cap, sizeof *grown);

		if (!grown) {
			p->no_memory = 1;
			return;
		}
		p->pointer = grown;
		p->cap = cap;
	}
	memmove(p->pointer + i + 1, p->pointer + i, (p->shape.pointers - i) * sizeof *p->pointer);
	p->pointer[i] = pointer;
	p->shape.pointers++;
}

typedef void each_rule(struct plan *p, const struct rule *r);

static void for_rules(struct plan *p, const struct policy *of, each_rule *each)
{
	for (size_t i = 0; i < of->layers; i++) {
		for (size_t j = 0; j < of->layer[i]->rules; j++) {
			if (rule_kind(&of->layer[i]->rule[j]) == p->kind)
				each(p, &of->layer[i]->rule[j]);
		}
	}
}

static void mention_rule(struct plan *p, const struct rule *r)
{
	p->kind->pointers(match_parsed(&r->match), plan_pointer, p);
	for (size_t i = 0; i < r->excepts; i++)
		p->kind->pointers(match_parsed(&r->except[i]), plan_pointer, p);
}

void plan_mention(struct plan *p, const struct policy *of)
{
	if (p->kind->pointers)
		for_rules(p, of, mention_rule);
}

void plan_shape(struct plan *p)
{
	p->shape.pointer = p->pointer;
	p->canonical = p->kind->canonical(&p->arena, 0, &p->shape);
	p->primary = p->kind->canonical(&p->arena, 1, &p->shape);
	if (!p->canonical || !p->primary) {
		p->no_memory = 1;
		return;
	}
	alphabet_add(p->alphabet, p->canonical);
	alphabet_add(p->alphabet, p->primary);
}

/* ---- alphabet ---- */

const struct re *plan_rule(struct plan *p, const struct rule *r)
{
	return p->kind->language(&p->arena, match_parsed(&r->match),
		r->effect == VERDICT_ALLOW ? LOWER : UPPER, &p->shape);
}

const struct re *plan_except(struct plan *p, const struct rule *r, size_t i)
{
	return p->kind->language(&p->arena, match_parsed(&r->except[i]),
		r->effect == VERDICT_ALLOW ? UPPER : LOWER, &p->shape);
}

static void distinguish(struct plan *p, const struct re *r)
{
	if (r)
		alphabet_add(p->alphabet, r);
	else
		p->no_memory = 1;
}

static void distinguish_rule(struct plan *p, const struct rule *r)
{
	distinguish(p, plan_rule(p, r));
	for (size_t i = 0; i < r->excepts; i++)
		distinguish(p, plan_except(p, r, i));
	if (r->pins)
		distinguish(p, p->kind->held(&p->arena));
}

void plan_distinguish_natural(struct plan *p)
{
	if (p->kind->natural)
		distinguish(p, p->kind->natural(&p->arena));
}

void plan_distinguish(struct plan *p, const struct policy *of)
{
	for_rules(p, of, distinguish_rule);
}

/* ---- rules ---- */

static enum dfa_status subtract(struct plan *p, const struct re *r, struct dfa **from)
{
	struct dfa *d = NULL, *left = NULL;
	enum dfa_status status = r ? dfa_build(p->alphabet, r, 1, &d) : DFA_NO_MEMORY;

	if (!status)
		status = dfa_product(*from, d, dfa_but_not, NULL, &left);
	dfa_free(d);
	if (!status) {
		dfa_free(*from);
		*from = left;
	}
	return status;
}

static uint8_t unless_held(void *ctx, uint8_t verdict, uint8_t held)
{
	(void)ctx;
	return verdict && !held ? VERDICT_ASK : verdict;
}

/* An allow rule whose files are pinned asks where they do not hold. */
static enum dfa_status ask_unless_held(struct plan *p, struct dfa **rule)
{
	const struct re *re = p->kind->held(&p->arena);
	struct dfa *held = NULL, *d = NULL;
	enum dfa_status status = re ? dfa_build(p->alphabet, re, 1, &held) : DFA_NO_MEMORY;

	if (!status)
		status = dfa_product(*rule, held, unless_held, NULL, &d);
	dfa_free(held);
	if (!status) {
		dfa_free(*rule);
		*rule = d;
	}
	return status;
}

static enum dfa_status rule_words(struct plan *p, const struct rule *r, struct dfa **out)
{
	const struct re *re = plan_rule(p, r);
	enum dfa_status status =
		re ? dfa_build(p->alphabet, re, (uint8_t)r->effect, out) : DFA_NO_MEMORY;

	for (size_t i = 0; !status && i < r->excepts; i++)
		status = subtract(p, plan_except(p, r, i), out);
	if (!status && r->pins)
		status = ask_unless_held(p, out);
	return status;
}

static size_t count_rules(const struct policy *of, const struct kind *k)
{
	size_t n = 0;

	for (size_t i = 0; i < of->layers; i++) {
		for (size_t j = 0; j < of->layer[i]->rules; j++)
			n += rule_kind(&of->layer[i]->rule[j]) == k;
	}
	return n;
}

static enum dfa_status compile_rules(
	struct plan *p, const struct policy *of, struct compiled *out, struct compile_fault *fault)
{
	out->rule = calloc(count_rules(of, p->kind) + 1, sizeof *out->rule);
	if (!out->rule)
		return DFA_NO_MEMORY;
	for (size_t i = 0; i < of->layers; i++) {
		for (size_t j = 0; j < of->layer[i]->rules; j++) {
			const struct rule *r = &of->layer[i]->rule[j];
			struct compiled_rule *c = &out->rule[out->rules];
			enum dfa_status status;

			if (rule_kind(r) != p->kind)
				continue;
			*c = (struct compiled_rule){.layer = of->layer[i], .rule = r};
			out->rules++;
			status = rule_words(p, r, &c->words);
			if (status) {
				fault->left = fault->right = c;
				return status;
			}
		}
	}
	return DFA_OK;
}

/* ---- layers ---- */

/* Two rules whose product alone is the largest: what to name when many explode together. */
static void name_culprits(const struct compiled *c, const size_t *of, struct dfa_range left,
	struct dfa_range right, struct compile_fault *fault)
{
	const struct alphabet *a = c->rule[of[left.first]].words->alphabet;
	uint32_t most = 0;
	size_t tries = 0;

	if (a->work)
		*a->work = BLAME_WORK;
	for (size_t i = left.first; i < left.end; i++) {
		for (size_t j = right.first; j < right.end && tries < 64; j++, tries++) {
			struct dfa *d = NULL;
			enum dfa_status status = dfa_product(
				c->rule[of[i]].words, c->rule[of[j]].words, dfa_max, NULL, &d);
			uint32_t states = status == DFA_TOO_LARGE ? UINT32_MAX : d ? d->states : 0;

			dfa_free(d);
			if (states <= most && fault->left)
				continue;
			most = states;
			fault->left = &c->rule[of[i]];
			fault->right = &c->rule[of[j]];
			if (most == UINT32_MAX)
				return;
		}
	}
}

static uint8_t under_ceiling(void *ctx, uint8_t verdict, uint8_t word)
{
	(void)ctx;
	return verdict == VERDICT_NONE && word ? VERDICT_DENY : verdict;
}

static enum dfa_status lower_ceiling(struct plan *p, struct dfa **layer)
{
	struct dfa *words = NULL, *d = NULL;
	enum dfa_status status = dfa_build(p->alphabet, p->primary, 1, &words);

	if (!status)
		status = dfa_product(*layer, words, under_ceiling, NULL, &d);
	dfa_free(words);
	if (!status) {
		dfa_free(*layer);
		*layer = d;
	}
	return status;
}

static enum dfa_status nothing(const struct plan *p, struct dfa **out)
{
	const struct re none = {.type = RE_NONE, .nodes = 1};

	return dfa_build(p->alphabet, &none, 0, out);
}

static int has_say(const struct stack *s, const struct layer *l, const struct compiled_rule *r)
{
	return r->layer == l && !rule_is_idle(s, l, r->rule);
}

static int is_silent(const struct stack *s, const struct layer *l, const struct compiled *c)
{
	for (size_t i = 0; i < c->rules; i++) {
		if (has_say(s, l, &c->rule[i]))
			return 0;
	}
	return 1;
}

/* The rules of one layer that have a say in the stack. */
static enum dfa_status merge_rules(const struct plan *p, const struct stack *s,
	const struct layer *l, const struct compiled *c, struct dfa **out,
	struct compile_fault *fault)
{
	struct dfa **d = calloc(c->rules + 1, sizeof(struct dfa *));
	size_t *of = calloc(c->rules + 1, sizeof *of), n = 0;
	struct dfa_range left = {0}, right = {0};
	enum dfa_status status = DFA_NO_MEMORY;

	for (size_t i = 0; d && of && i < c->rules; i++) {
		if (!has_say(s, l, &c->rule[i]))
			continue;
		of[n] = i;
		d[n++] = c->rule[i].words;
	}
	if (d && of)
		status = n ? dfa_merge(d, n, dfa_max, NULL, out, &left, &right) : nothing(p, out);
	if (status == DFA_TOO_LARGE && left.end > left.first)
		name_culprits(c, of, left, right, fault);
	free(d);
	free(of);
	return status;
}

/* One automaton for each layer that says anything, at least one; *n: how many. */
static enum dfa_status merge_layers(struct plan *p, const struct stack *s, const struct compiled *c,
	struct dfa **layer, size_t *n, struct compile_fault *fault)
{
	*n = 0;
	for (size_t i = 0; i < s->layers; i++) {
		const struct layer *l = s->layer[i];
		enum dfa_status status;

		if (!l->ceiling && is_silent(s, l, c))
			continue;
		status = merge_rules(p, s, l, c, &layer[(*n)++], fault);
		if (!status && l->ceiling)
			status = lower_ceiling(p, &layer[*n - 1]);
		if (status)
			return status;
	}
	return *n ? DFA_OK : nothing(p, &layer[(*n)++]);
}

static enum dfa_status only_canonical(struct plan *p, struct dfa *all, struct dfa **out)
{
	struct dfa *words = NULL;
	enum dfa_status status = dfa_build(p->alphabet, p->canonical, 1, &words);

	if (!status)
		status = dfa_product(all, words, dfa_keep, NULL, out);
	dfa_free(words);
	return status;
}

static enum dfa_status decide_all(
	struct plan *p, const struct stack *s, struct compiled *out, struct compile_fault *fault)
{
	struct dfa **layer = calloc(s->layers + 1, sizeof(struct dfa *)), *all = NULL;
	struct dfa_range left = {0}, right = {0};
	enum dfa_status status;
	size_t n;

	if (!layer)
		return DFA_NO_MEMORY;
	status = merge_layers(p, s, out, layer, &n, fault);
	if (!status)
		status = dfa_merge(layer, n, dfa_max, NULL, &all, &left, &right);
	if (!status)
		status = only_canonical(p, all, &out->decision);
	if (status == DFA_TOO_LARGE && !fault->left && out->rules) {
		fault->left = &out->rule[0];
		fault->right = &out->rule[out->rules - 1];
	}
	dfa_free(all);
	for (size_t i = 0; i < n; i++)
		dfa_free(layer[i]);
	free(layer);
	return status;
}

enum dfa_status compile(
	struct plan *p, const struct policy *of, struct compiled *out, struct compile_fault *fault)
{
	*out = (struct compiled){0};
	*fault = (struct compile_fault){0};
	if (p->no_memory)
		return fault->status = DFA_NO_MEMORY;
	fault->status = compile_rules(p, of, out, fault);
	if (!fault->status)
		fault->status = decide_all(p, &of->stack, out, fault);
	return fault->status;
}

void compiled_free(struct compiled *c)
{
	for (size_t i = 0; i < c->rules; i++)
		dfa_free(c->rule[i].words);
	free(c->rule);
	free((void *)(uintptr_t)c->shape.pointer);
	dfa_free(c->decision);
	table_free(c->table);
	free(c->alphabet);
	*c = (struct compiled){0};
}

/* ---- a policy ---- */

static int too_large(const struct kind *k, const struct compile_fault *f, struct policy_error *e)
{
	char left[120], right[120];
	const struct rule *x, *y;

	if (f->status == DFA_NO_MEMORY)
		return policy_no_memory(e, "");
	if (!f->left || !f->right)
		return policy_fail(
			e, "", 0, 0, "the %s rules are too many. Write fewer.", k->section);
	x = f->left->rule;
	y = f->right->rule;
	if (!x || !y)
		return policy_no_memory(e, "");
	text_show(left, sizeof left, x->match.text, strlen(x->match.text));
	text_show(right, sizeof right, y->match.text, strlen(y->match.text));
	if (x == y)
		return policy_fail(e, f->left->layer->file, x->line, 1,
			"a rule that takes too much time or memory (%s). Write fewer ** and ? in "
			"it.",
			left);
	return policy_fail(e, f->left->layer->file, x->line, 1,
		"two rules that together take too much time or memory (%s, and %s in %s line %u). "
		"Write "
		"fewer ** and ? in one of them.",
		left, right, f->right->layer->file, y->line);
}

static int compile_kind(struct policy *p, const struct kind *k, struct policy_error *e)
{
	struct compiled *out = &p->compiled[k->id];
	struct compile_fault fault = {.status = DFA_NO_MEMORY};
	struct alphabet *alphabet = malloc(sizeof *alphabet);
	struct plan *plan = malloc(sizeof *plan);

	if (alphabet && plan) {
		plan_init(plan, k, alphabet, p->work);
		plan_mention(plan, p);
		plan_shape(plan);
		plan_distinguish(plan, p);
		compile(plan, p, out, &fault);
		if (!fault.status && !k->run)
			fault.status = table_new(out->decision, &out->table);
		out->shape = (struct shape){plan->shape.pointers, plan->pointer};
		plan->pointer = NULL;
		plan_free(plan);
		out->alphabet = alphabet;
	} else {
		free(alphabet);
	}
	free(plan);
	return fault.status ? too_large(k, &fault, e) : 0;
}

int compile_policy(struct policy *p, struct policy_error *e)
{
	const struct kind *k;

	for (size_t i = 0; (k = kind_at(i)) != NULL; i++) {
		/* Without rules only ceilings and `unmatched` speak, which needs no table. */
		if (count_rules(p, k) && compile_kind(p, k, e))
			return -1;
	}
	return 0;
}

uint8_t compiled_run(const struct compiled *c, const struct dfa *d, const struct reading *r)
{
	return r->kind->run ? r->kind->run(d, &c->shape, r->action)
			    : dfa_run(d, r->word->p, r->word->n);
}

const struct rule *compiled_match(const struct compiled *c, const struct stack *s,
	const struct layer *l, const struct reading *asked, enum verdict *v)
{
	const struct rule *best = NULL;

	*v = VERDICT_NONE;
	for (size_t i = 0; i < c->rules; i++) {
		const struct compiled_rule *r = &c->rule[i];

		enum verdict says;

		if (r->layer != l || *v >= rule_verdict(r->rule) || rule_is_idle(s, l, r->rule))
			continue;
		says = (enum verdict)compiled_run(c, r->words, asked);
		if (says > *v) {
			*v = says;
			best = r->rule;
		}
	}
	return best;
}
