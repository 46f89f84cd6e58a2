/* Ideas against deny rules, atlas and refusals; see judge.h. */
#include "policy/suggest/judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "policy/atlas.h"
#include "policy/automata/bits.h"
#include "policy/automata/words.h"
#include "policy/witness.h"

#define WORK_MAX  UINT64_C(3000000000) /* steps: about three seconds */
#define CHARACTER 6.0 /* bits that a character of a rule costs */
#define LAMBDA    4.0 /* bits that a doubling of what else is allowed costs */

struct judged {
	struct rule rule;
	struct dfa *words; /* what it would allow; NULL: not of this kind, or it does not fit */
};

struct judge {
	const struct kind *kind;
	struct ideas *ideas;
	struct plan plan;
	struct alphabet alphabet;
	uint64_t work;
	struct compiled compiled;
	struct atlas_part part[ATLAS_MAX];
	struct dfa *primary, *forbidden;
	size_t n;
	struct judged *of; /* [idea] */
};

static int marked(const struct dfa *d, uint8_t mark)
{
	markset want = {{0}};

	byteset_add(&want, mark);
	return words_any(d, &want);
}

/* ---- reading ---- */

static int parse(struct judge *j, const char *text, struct match *out)
{
	struct pattern_fault f;

	return match_parse(&j->plan.arena, j->kind == &kind_tool ? NULL : j->kind, text,
		strlen(text), out, &f);
}

/* A text that is no rule, since what was seen cannot be written as one: the idea does not fit. */
static int read_idea(struct judge *j, size_t i)
{
	struct idea *x = &j->ideas->v[i];
	struct rule *r = &j->of[i].rule;

	if (x->kind != j->kind)
		return 0;
	x->fits = 0;
	*r = (struct rule){.effect = VERDICT_ALLOW};
	r->except = arena_array(&j->plan.arena, SUGGEST_EXCEPTS_MAX, sizeof *r->except);
	if (!r->except)
		return -1;
	if (parse(j, x->text, &r->match))
		return 0;
	for (; r->excepts < x->excepts; r->excepts++) {
		if (parse(j, x->except[r->excepts], &r->except[r->excepts]))
			return 0;
	}
	x->fits = 1;
	return 0;
}

static void mention(struct judge *j, size_t i)
{
	const struct rule *r = &j->of[i].rule;

	if (j->ideas->v[i].kind != j->kind || !j->ideas->v[i].fits || !j->kind->pointers)
		return;
	j->kind->pointers(match_parsed(&r->match), plan_pointer, &j->plan);
	for (size_t k = 0; k < r->excepts; k++)
		j->kind->pointers(match_parsed(&r->except[k]), plan_pointer, &j->plan);
}

static int read_all(struct judge *j)
{
	struct pattern_fault f;

	for (size_t i = 0; i < j->n; i++) {
		if (read_idea(j, i))
			return -1;
		mention(j, i);
	}
	for (size_t i = 0; atlas_at(i); i++) {
		if (atlas_read(&j->plan.arena, atlas_at(i), j->kind, &j->part[i], &f))
			return -1;
		atlas_pointers(&j->part[i], j->kind, plan_pointer, &j->plan);
	}
	return 0;
}

/* What is counted of program starts: the paths of programs and the classes of arguments that were seen. A
 * rule with a name is about that name in every directory where the agent cannot write, and a word in
 * it about a word of every class. */
static const struct re *program_frame(struct judge *j, const struct idea *x)
{
	struct arena *a = &j->plan.arena;
	const struct re *program = re_none(a), *argument;
	struct byteset classes = {{0}};
	const struct word *last = NULL;

	for (size_t i = 0; i < x->members; i++) {
		const struct word *w = &x->member[i]->action->word[0];
		size_t n = strlen((const char *)w->p) + 1;

		for (size_t k = n; k < w->n; k += strlen((const char *)w->p + k) + 1)
			byteset_add(&classes, w->p[k]);
		if (last && strcmp((const char *)last->p, (const char *)w->p) == 0)
			continue;
		last = w;
		program = re_alt(a, program, re_text(a, w->p, n));
	}
	argument = re_cat(a, re_star(a, re_range(a, 1, 255)), re_end(a));
	return re_cat(a, program, re_star(a, re_cat(a, re_set(a, &classes), argument)));
}

static int distinguish(struct judge *j, const struct re *r)
{
	if (r)
		alphabet_add(&j->alphabet, r);
	return r ? 0 : -1;
}

static int distinguish_all(struct judge *j)
{
	for (size_t i = 0; i < j->n; i++) {
		const struct rule *r = &j->of[i].rule;

		if (j->ideas->v[i].kind != j->kind || !j->ideas->v[i].fits)
			continue;
		if (distinguish(j, plan_rule(&j->plan, r)))
			return -1;
		for (size_t k = 0; k < r->excepts; k++) {
			if (distinguish(j, plan_except(&j->plan, r, k)))
				return -1;
		}
	}
	if (j->kind->pointers && (distinguish(j, re_range(&j->plan.arena, 'a', 'a')) ||
					 distinguish(j, re_range(&j->plan.arena, 'b', 'z'))))
		return -1;
	for (size_t i = 0; i < j->n && j->kind == &kind_exec; i++) {
		if (j->ideas->v[i].kind == j->kind &&
			distinguish(j, program_frame(j, &j->ideas->v[i])))
			return -1;
	}
	for (size_t i = 0; atlas_at(i); i++) {
		if (atlas_distinguish(
			    &j->plan.arena, &j->alphabet, &j->part[i], j->kind, &j->plan.shape))
			return -1;
	}
	return 0;
}

/* ---- what must stay out ---- */

static uint8_t is_deny(void *ctx, uint8_t verdict, uint8_t word)
{
	(void)ctx;
	return verdict == VERDICT_DENY && word;
}

/* *d becomes op(*d, y); y is freed. */
static enum dfa_status become(struct dfa **d, struct dfa *y, dfa_op *op)
{
	struct dfa *next = NULL;
	enum dfa_status s = dfa_product(*d, y, op, NULL, &next);

	dfa_free(y);
	if (!s) {
		dfa_free(*d);
		*d = next;
	}
	return s;
}

static enum dfa_status build_forbidden(struct judge *j)
{
	enum dfa_status s =
		dfa_product(j->compiled.decision, j->primary, is_deny, NULL, &j->forbidden);

	for (size_t i = 0; !s && atlas_at(i); i++) {
		struct dfa *named = NULL;

		if (!j->part[i].matches)
			continue;
		s = atlas_words(&j->plan.arena, &j->alphabet, &j->part[i], j->kind, UPPER,
			&j->plan.shape, &named);
		if (!s)
			s = become(&j->forbidden, named, dfa_max);
	}
	return s;
}

static enum dfa_status build(struct judge *j, const struct policy *p)
{
	struct compile_fault fault;
	enum dfa_status s;

	plan_mention(&j->plan, p);
	if (read_all(j))
		return DFA_NO_MEMORY;
	plan_shape(&j->plan);
	plan_distinguish(&j->plan, p);
	if (distinguish_all(j))
		return DFA_NO_MEMORY;
	s = compile(&j->plan, p, &j->compiled, &fault);
	if (!s)
		s = dfa_build(&j->alphabet, j->plan.primary, 1, &j->primary);
	return s ? s : build_forbidden(j);
}

/* ---- one idea ---- */

static enum dfa_status idea_words(struct judge *j, size_t i)
{
	const struct rule *r = &j->of[i].rule;
	struct dfa *d = NULL, *except = NULL;
	enum dfa_status s = dfa_build(&j->alphabet, plan_rule(&j->plan, r), 1, &d);

	for (size_t k = 0; !s && k < r->excepts; k++) {
		s = dfa_build(&j->alphabet, plan_except(&j->plan, r, k), 1, &except);
		if (!s)
			s = become(&d, except, dfa_but_not);
	}
	if (!s)
		s = dfa_product(d, j->primary, dfa_and, NULL, &j->of[i].words);
	dfa_free(d);
	return s;
}

int judge_covers(const struct judge *j, size_t i, const struct action *a)
{
	const struct judged *x = &j->of[i];

	if (!x->words || a->kind != j->kind->id)
		return 0;
	if (j->kind == &kind_tool)
		return rule_matches(&x->rule, a);
	if (j->kind->run)
		return j->kind->run(x->words, &j->plan.shape, a) != 0;
	return a->words && dfa_run(x->words, a->word[0].p, a->word[0].n) != 0;
}

/* A refused call of a tool may lack arguments that could not be written down: what a rule says about those
 * counts as met. */
static int covers_refused(const struct judge *j, size_t i, const struct action *a)
{
	struct condition kept[CONDITIONS_MAX];
	const struct rule *r = &j->of[i].rule;
	struct rule loose;

	if (j->kind != &kind_tool)
		return judge_covers(j, i, a);
	loose = *r;
	loose.match.condition = kept;
	loose.match.conditions = 0;
	for (size_t k = 0; k < r->match.conditions; k++) {
		const struct condition *c = &r->match.condition[k];
		size_t v = 0;

		while (v < a->values && strcmp(a->value[v].pointer, c->pointer) != 0)
			v++;
		if (v < a->values)
			kept[loose.match.conditions++] = *c;
	}
	return rule_matches(&loose, a);
}

/* Does it meet anything that must stay out? 1, 0, or -1: that cannot be told. */
static int meets_forbidden(struct judge *j, size_t i, const struct action *const *refused, size_t n)
{
	struct dfa *both = NULL;
	int met;

	if (dfa_product(j->of[i].words, j->forbidden, dfa_and, NULL, &both))
		return -1;
	met = marked(both, 1);
	dfa_free(both);
	for (size_t k = 0; !met && k < n; k++)
		met = covers_refused(j, i, refused[k]);
	return met;
}

static int covers_members(const struct judge *j, size_t i)
{
	const struct idea *x = &j->ideas->v[i];

	for (size_t k = 0; k < x->members; k++) {
		if (!judge_covers(j, i, x->member[k]->action))
			return 0;
	}
	return 1;
}

static size_t word_length(const struct judge *j, const struct action *a)
{
	size_t n = a->tool_len + 2 + j->plan.shape.pointers;

	if (a->words)
		return a->word[0].n;
	for (size_t i = 0; i < a->values; i++) {
		const struct action_value *v = &a->value[i];
		size_t name = v->names ? v->name[0].len : 0;

		n += 1 + (v->len > name ? v->len : name);
	}
	return n;
}

static uint8_t not_yet(void *ctx, uint8_t words, uint8_t verdict)
{
	(void)ctx;
	return words && verdict != VERDICT_ALLOW;
}

/* An example has to be a real action that was not seen. */
static int is_new(void *ctx, const char *text)
{
	const struct idea *x = ctx;
	char digest[65], seen[65];
	struct action *a;
	int found = 0;

	if (policy_parse_action(text, &a, NULL))
		return 0;
	action_digest(a, digest);
	for (size_t i = 0; i < x->members && !found; i++) {
		action_digest(x->member[i]->action, seen);
		found = strcmp(digest, seen) == 0;
	}
	action_free(a);
	return !found;
}

/* log2 of 1 + what it would allow beyond its members. */
static double beyond(double bits, size_t members)
{
	double n = bits < 60 ? exp2(bits) - 1 - (double)members : 0;

	return bits >= 60 ? bits : n >= 0.5 ? log2(1 + n) : 0;
}

static int mentions(const struct match *m, const char *pointer)
{
	size_t n = strlen(pointer);
	const char *at = m->text;

	while ((at = strstr(at, pointer)) != NULL) {
		if (at[n] == ':')
			return 1;
		at += n;
	}
	return 0;
}

static const struct re *call_frame(struct judge *j, const struct rule *rule)
{
	struct arena *a = &j->plan.arena;
	const struct re *text = re_star(a, re_range(a, 1, 255)), *absent = re_range(a, 'a', 'a');
	const struct re *item =
		re_cat(a, re_range(a, 'b', 'z'), re_opt(a, re_cat(a, text, re_end(a))));
	const struct re *r = re_cat(a, text, re_end(a));

	if (j->kind == &kind_mcp)
		r = re_cat(a, r, r);
	for (size_t i = 0; i < j->plan.shape.pointers; i++)
		r = re_cat(a, r, mentions(&rule->match, j->plan.shape.pointer[i]) ? item : absent);
	return r;
}

/* Keeps of *d what is counted: of calls those without arguments that the rule does not mention. */
static enum dfa_status frame(struct judge *j, size_t i, struct dfa **d)
{
	struct dfa *kept = NULL;
	const struct re *r;
	enum dfa_status s;

	if (j->kind == &kind_exec)
		r = program_frame(j, &j->ideas->v[i]);
	else if (j->kind->pointers)
		r = call_frame(j, &j->of[i].rule);
	else
		return DFA_OK;
	s = r ? dfa_build(&j->alphabet, r, 1, &kept) : DFA_NO_MEMORY;
	return s ? s : become(d, kept, dfa_keep);
}

/* What idea i allows and the policy does not. */
static enum dfa_status opened(struct judge *j, size_t i, struct dfa **out)
{
	enum dfa_status s = dfa_product(j->of[i].words, j->compiled.decision, not_yet, NULL, out);

	return s ? s : frame(j, i, out);
}

static enum dfa_status measure(struct judge *j, size_t i)
{
	struct idea *x = &j->ideas->v[i];
	markset one = {{0}};
	struct dfa *open = NULL;
	size_t longest = 0, text = strlen(x->text);
	enum dfa_status s = opened(j, i, &open);

	if (s) {
		dfa_free(open);
		return s;
	}
	for (size_t k = 0; k < x->members; k++) {
		size_t n = word_length(j, x->member[k]->action);

		longest = n > longest ? n : longest;
	}
	for (size_t k = 0; k < x->excepts; k++)
		text += strlen(x->except[k]);
	byteset_add(&one, 1);
	x->also = beyond(words_bits(open, &one, longest), x->members);
	x->cost = CHARACTER * (double)text + LAMBDA * x->also;
	dfa_free(open);
	return s;
}

char *judge_example(struct judge *j, size_t i)
{
	struct idea *x = &j->ideas->v[i];
	struct dfa *open = NULL;
	char *found = NULL;

	if (x->also > 0 && !opened(j, i, &open))
		found = witness_find(open, 1, j->kind, &j->plan.shape, is_new, x);
	dfa_free(open);
	return found;
}

static enum dfa_status judge_idea(
	struct judge *j, size_t i, const struct action *const *refused, size_t n)
{
	enum dfa_status s = idea_words(j, i);

	if (s == DFA_TOO_LARGE ||
		(!s && (!covers_members(j, i) || meets_forbidden(j, i, refused, n)))) {
		j->ideas->v[i].fits = 0;
		dfa_free(j->of[i].words);
		j->of[i].words = NULL;
		return DFA_OK;
	}
	return s ? s : measure(j, i);
}

enum dfa_status judge_open(const struct policy *p, struct ideas *o, const struct kind *k,
	const struct action *const *refused, size_t n, struct judge **out)
{
	struct judge *j = calloc(1, sizeof *j);
	enum dfa_status s;

	*out = j;
	if (!j)
		return DFA_NO_MEMORY;
	j->kind = k;
	j->ideas = o;
	j->work = WORK_MAX;
	plan_init(&j->plan, k, &j->alphabet, &j->work);
	j->n = o->n;
	j->of = calloc(o->n + 1, sizeof *j->of);
	s = j->of ? build(j, p) : DFA_NO_MEMORY;
	for (size_t i = 0; !s && i < o->n; i++) {
		if (o->v[i].fits && o->v[i].kind == k)
			s = judge_idea(j, i, refused, n);
	}
	return s;
}

void judge_close(struct judge *j)
{
	if (!j)
		return;
	for (size_t i = 0; j->of && i < j->n; i++)
		dfa_free(j->of[i].words);
	free(j->of);
	dfa_free(j->primary);
	dfa_free(j->forbidden);
	compiled_free(&j->compiled);
	plan_free(&j->plan);
	free(j);
}
