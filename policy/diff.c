/* Differences of two policies; see diff.h. */
#include "policy/diff.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/atlas.h"
#include "policy/automata/words.h"
#include "policy/compile.h"
#include "policy/diffmarks.h"
#include "policy/witness.h"

struct side_of { /* one of the two policies */
	const struct policy *policy;
	struct compiled compiled;
	struct dfa *verdicts; /* of first words; every canonical one has a verdict */
};

struct comparison { /* of one kind */
	struct policy_diff *diff;
	const struct kind *kind;
	struct plan plan;
	struct alphabet alphabet;
	struct side_of old, new;
	int with_atlas; /* 1: the automata also tell apart what the atlas names */
	struct atlas_part part[ATLAS_MAX];
	struct dfa *primary;
	struct dfa *pairs; /* mark: pair_mark, 0 where both decide alike */
	struct error *e;
};

static uint8_t pair_mark(enum verdict was, enum verdict now)
{
	return (uint8_t)(was * 4 + now);
}

/* ---- rules that only one side has ---- */

/* Which files are pinned is a setting, see diffmarks.c; whether any are decides about actions. */
static int same_rule(const struct rule *x, const struct rule *y)
{
	return diff_same_match(x, y) && !x->pins == !y->pins;
}

static int has_rule(const struct policy *p, enum policy_origin origin, const struct rule *r)
{
	for (size_t i = 0; i < p->stack.layers; i++) {
		const struct layer *l = p->stack.layer[i];

		for (size_t j = 0; l->origin == origin && j < l->rules; j++) {
			if (!rule_is_idle(&p->stack, l, &l->rule[j]) && same_rule(&l->rule[j], r))
				return 1;
		}
	}
	return 0;
}

static int add_rule(struct policy_diff *d, const struct layer *l, const struct rule *r, int added)
{
	struct diff_rule *grown = reallocarray(d->rule, d->rules + 1, sizeof *grown);

	if (!grown)
		return -1;
	d->rule = grown;
	grown[d->rules++] = (struct diff_rule){.file = l->file,
		.line = r->line,
		.section = rule_kind(r)->section,
		.text = r->match.text,
		.effect = r->effect,
		.added = added};
	return 0;
}

static int collect_rules(
	struct policy_diff *d, const struct policy *of, const struct policy *other, int added)
{
	for (size_t i = 0; i < of->stack.layers; i++) {
		const struct layer *l = of->stack.layer[i];

		for (size_t j = 0; j < l->rules; j++) {
			if (!rule_is_idle(&of->stack, l, &l->rule[j]) &&
				!has_rule(other, l->origin, &l->rule[j]) &&
				add_rule(d, l, &l->rule[j], added))
				return -1;
		}
	}
	return 0;
}

static struct diff_rule *diff_rule_of(
	struct policy_diff *d, const struct compiled_rule *r, int added)
{
	for (size_t i = 0; i < d->rules; i++) {
		struct diff_rule *x = &d->rule[i];

		if (x->added == added && x->line == r->rule->line && x->effect == r->rule->effect &&
			x->text == r->rule->match.text)
			return x;
	}
	return NULL;
}

/* ---- automata ---- */

static uint8_t or_unmatched(void *ctx, uint8_t verdict, uint8_t canonical)
{
	const struct policy *p = ctx;

	if (!canonical)
		return 0;
	return verdict == VERDICT_NONE ? (uint8_t)p->unmatched : verdict;
}

static uint8_t both(void *ctx, uint8_t was, uint8_t now)
{
	(void)ctx;
	return was == now ? 0 : pair_mark((enum verdict)was, (enum verdict)now);
}

static int failed(struct comparison *c, enum dfa_status s)
{
	if (s == DFA_TOO_LARGE)
		return error_set(c->e, 0,
			"the %s rules of the two policies are too many to compare at once",
			c->kind->section);
	return error_set(c->e, 0, "out of memory");
}

static int side_compile(struct comparison *c, struct side_of *s)
{
	struct compile_fault fault;
	enum dfa_status status = compile(&c->plan, s->policy, &s->compiled, &fault);

	if (!status)
		status = dfa_product(s->compiled.decision, c->primary, or_unmatched,
			(void *)(uintptr_t)s->policy, &s->verdicts);
	return status ? failed(c, status) : 0;
}

static int take_atlas(struct comparison *c)
{
	struct pattern_fault f;

	for (size_t i = 0; c->with_atlas && atlas_at(i); i++) {
		if (atlas_read(&c->plan.arena, atlas_at(i), c->kind, &c->part[i], &f))
			return -1;
		atlas_pointers(&c->part[i], c->kind, plan_pointer, &c->plan);
	}
	return 0;
}

static int distinguish_atlas(struct comparison *c)
{
	for (size_t i = 0; c->with_atlas && atlas_at(i); i++) {
		if (atlas_distinguish(
			    &c->plan.arena, &c->alphabet, &c->part[i], c->kind, &c->plan.shape))
			return -1;
	}
	return 0;
}

static int comparison_build(struct comparison *c)
{
	enum dfa_status status;

	plan_init(&c->plan, c->kind, &c->alphabet, NULL);
	plan_mention(&c->plan, c->old.policy);
	plan_mention(&c->plan, c->new.policy);
	if (take_atlas(c))
		return failed(c, DFA_NO_MEMORY);
	plan_shape(&c->plan);
	plan_distinguish(&c->plan, c->old.policy);
	plan_distinguish(&c->plan, c->new.policy);
	plan_distinguish_natural(&c->plan);
	if (c->plan.no_memory || distinguish_atlas(c))
		return failed(c, DFA_NO_MEMORY);
	status = dfa_build(&c->alphabet, c->plan.primary, 1, &c->primary);
	if (status)
		return failed(c, status);
	if (side_compile(c, &c->old) || side_compile(c, &c->new))
		return -1;
	status = dfa_product(c->old.verdicts, c->new.verdicts, both, NULL, &c->pairs);
	return status ? failed(c, status) : 0;
}

static void side_free(struct side_of *s)
{
	compiled_free(&s->compiled);
	dfa_free(s->verdicts);
}

static void comparison_free(struct comparison *c)
{
	side_free(&c->old);
	side_free(&c->new);
	dfa_free(c->primary);
	dfa_free(c->pairs);
	plan_free(&c->plan);
}

/* ---- examples ---- */

static enum verdict decided(const struct policy *p, const struct action *a)
{
	struct decision d;

	policy_decide(p, a, &d);
	return d.verdict;
}

struct asked {
	const struct comparison *c;
	const struct diff_change *change;
};

/* Asks both policies about what is shown, as a reader would with `agentctl policy explain`. */
static int confirmed(void *ctx, const char *action)
{
	const struct asked *q = ctx;
	struct action *a;
	int same;

	if (policy_parse_action(action, &a, NULL))
		return 0;
	same = decided(q->c->old.policy, a) == q->change->was &&
	       decided(q->c->new.policy, a) == q->change->now;
	action_free(a);
	return same;
}

/* An example without its kind, out of the words of d; the caller frees it. NULL: there is none. */
static char *example_of(struct comparison *c, const struct dfa *d, struct asked *q)
{
	char *found = witness_find(d, pair_mark(q->change->was, q->change->now), c->kind,
		&c->plan.shape, confirmed, q);
	char *example = found ? strdup(found + strlen(c->kind->name) + 1) : NULL;

	free(found);
	return example;
}

static void find_example(struct comparison *c, struct diff_change *change)
{
	struct asked q = {c, change};

	change->example = example_of(c, c->pairs, &q);
}

/* ---- causes ---- */

static int touches(struct comparison *c, const struct compiled_rule *r, uint8_t mark)
{
	struct dfa *in = NULL;
	markset want = {{0}};
	int any;

	byteset_add(&want, mark);
	if (dfa_product(c->pairs, r->words, dfa_keep, NULL, &in))
		return 0;
	any = words_any(in, &want);
	dfa_free(in);
	return any;
}

/* With decisive, only the rules whose own verdict was, or is now, the outcome: others may match the
 * same actions, but another rule decided. */
static void list_causes(struct comparison *c, struct diff_change *change, int decisive)
{
	struct side_of *sides[2] = {&c->old, &c->new};
	uint8_t mark = pair_mark(change->was, change->now);

	for (int added = 0; added < 2; added++) {
		const struct compiled *of = &sides[added]->compiled;

		for (size_t i = 0; i < of->rules; i++) {
			struct diff_rule *r = diff_rule_of(c->diff, &of->rule[i], added);

			if (!r ||
				(decisive && !rule_decides(of->rule[i].rule,
						     added ? change->now : change->was)) ||
				!touches(c, &of->rule[i], mark))
				continue;
			r->matters = 1;
			if (change->causes < DIFF_CAUSES)
				change->cause[change->causes++] = (size_t)(r - c->diff->rule);
		}
	}
}

static void find_causes(struct comparison *c, struct diff_change *change)
{
	list_causes(c, change, 1);
	if (change->causes == 0)
		list_causes(c, change, 0);
}

/* ---- changes ---- */

static int add_change(struct comparison *c, enum verdict was, enum verdict now)
{
	struct policy_diff *d = c->diff;
	struct diff_change *grown = reallocarray(d->change, d->changes + 1, sizeof *grown), *change;
	markset want = {{0}};

	if (!grown)
		return error_set(c->e, 0, "out of memory");
	d->change = grown;
	change = &grown[d->changes++];
	*change = (struct diff_change){.kind = c->kind->name, .was = was, .now = now};
	byteset_add(&want, pair_mark(was, now));
	change->count = words_count(c->pairs, &want);
	find_causes(c, change);
	find_example(c, change);
	if (diff_is_wider(was, now))
		d->wider = 1;
	return 0;
}

static int comparison_read(struct comparison *c)
{
	for (enum verdict was = VERDICT_ALLOW; was <= VERDICT_DENY; was++) {
		for (enum verdict now = VERDICT_ALLOW; now <= VERDICT_DENY; now++) {
			markset want = {{0}};

			byteset_add(&want, pair_mark(was, now));
			if (was != now && words_any(c->pairs, &want) && add_change(c, was, now))
				return -1;
		}
	}
	return 0;
}

/* ---- what the atlas names ---- */

static int promised(const struct policy *p, unsigned atlas)
{
	for (size_t i = 0; i < p->layers; i++) {
		for (size_t k = 0; k < p->layer[i]->tests; k++) {
			if (p->layer[i]->test[k].atlas >> atlas & 1)
				return 1;
		}
	}
	return 0;
}

static int add_danger(struct comparison *c, const struct dfa *common, unsigned i, enum verdict was,
	enum verdict now)
{
	struct policy_diff *d = c->diff;
	struct diff_danger *grown = reallocarray(d->danger, d->dangers + 1, sizeof *grown);
	const struct diff_change change = {.was = was, .now = now};
	struct asked q = {c, &change};

	if (!grown)
		return error_set(c->e, 0, "out of memory");
	d->danger = grown;
	grown[d->dangers++] = (struct diff_danger){.name = atlas_at(i)->name,
		.meaning = atlas_at(i)->meaning,
		.kind = c->kind->name,
		.was = was,
		.now = now,
		.example = example_of(c, common, &q),
		.promised = now == VERDICT_ALLOW && promised(c->old.policy, i)};
	return 0;
}

/* What is allowed now counts on the strict side, as in a proof; what is only asked now when the name
 * surely fits, since there a human still looks. */
static int look_at_name(struct comparison *c, unsigned i, enum verdict now)
{
	struct dfa *named = NULL, *common = NULL;
	enum dfa_status status = atlas_words(&c->plan.arena, &c->alphabet, &c->part[i], c->kind,
		now == VERDICT_ALLOW ? UPPER : LOWER, &c->plan.shape, &named);
	int result = 0;

	if (!status)
		status = dfa_product(c->pairs, named, dfa_keep, NULL, &common);
	dfa_free(named);
	if (status)
		return failed(c, status);
	for (enum verdict was = now + 1; !result && was <= VERDICT_DENY; was++) {
		markset want = {{0}};

		byteset_add(&want, pair_mark(was, now));
		if (words_any(common, &want))
			result = add_danger(c, common, i, was, now);
	}
	dfa_free(common);
	return result;
}

static int comparison_dangers(struct comparison *c)
{
	for (unsigned i = 0; atlas_at(i); i++) {
		if (c->part[i].matches &&
			(look_at_name(c, i, VERDICT_ALLOW) || look_at_name(c, i, VERDICT_ASK)))
			return -1;
	}
	return 0;
}

static int is_wider_in(const struct policy_diff *d, const struct kind *k)
{
	for (size_t i = 0; i < d->changes; i++) {
		if (d->change[i].kind == k->name &&
			diff_is_wider(d->change[i].was, d->change[i].now))
			return 1;
	}
	return 0;
}

static int compare_kind(struct policy_diff *d, const struct policy *old, const struct policy *new,
	const struct kind *k, int with_atlas, struct error *e)
{
	struct comparison *c = calloc(1, sizeof *c);
	int result;

	if (!c)
		return error_set(e, 0, "out of memory");
	c->diff = d;
	c->kind = k;
	c->e = e;
	c->old.policy = old;
	c->new.policy = new;
	c->with_atlas = with_atlas;
	result = comparison_build(c);
	if (!result)
		result = with_atlas ? comparison_dangers(c) : comparison_read(c);
	comparison_free(c);
	free(c);
	return result;
}

/* ---- settings ---- */

int diff_setting(struct policy_diff *d, int wider, const char *what, const char *fmt, ...)
{
	struct diff_setting *grown = reallocarray(d->setting, d->settings + 1, sizeof *grown);
	char both_texts[2 * sizeof grown->was];
	va_list ap;
	char *tab;

	if (!grown)
		return -1;
	d->setting = grown;
	grown = &d->setting[d->settings++];
	*grown = (struct diff_setting){.wider = wider};
	snprintf(grown->what, sizeof grown->what, "%s", what);
	va_start(ap, fmt);
	vsnprintf(both_texts, sizeof both_texts, fmt, ap);
	va_end(ap);
	tab = strchr(both_texts, '\t');
	if (tab) {
		*tab = 0;
		snprintf(grown->now, sizeof grown->now, "%.95s", tab + 1);
	}
	snprintf(grown->was, sizeof grown->was, "%.95s", both_texts);
	if (wider > 0)
		d->wider = 1;
	return 0;
}

/* Text of a number; 0: no limit. */
static const char *limit_text(char out[48], const struct policy_limit *l)
{
	if (l->value == 0)
		return "no limit";
	snprintf(out, 48, "%" PRIu64 "%s", l->value, l->best_effort ? ", best effort" : "");
	return out;
}

/* -1 stricter, 1 wider: smaller is stricter, 0 is no limit at all. */
static int limit_order(uint64_t was, uint64_t now)
{
	if (was == now)
		return 0;
	return now == 0 || (was != 0 && now > was) ? 1 : -1;
}

static int compare_limits(struct policy_diff *d, const struct policy *old, const struct policy *new)
{
	static const char *const names[POLICY_LIMITS] = {"limits.processes",
		"limits.memory (bytes)", "limits.cpu (thousandths)", "limits.open_files",
		"limits.wall (seconds)"};

	for (int k = 0; k < POLICY_LIMITS; k++) {
		struct policy_limit was = policy_limit(old, (enum policy_limit_kind)k);
		struct policy_limit now = policy_limit(new, (enum policy_limit_kind)k);
		int order = limit_order(was.value, now.value);
		char x[48], y[48];

		if (order == 0)
			order = now.best_effort - was.best_effort;
		if (order && diff_setting(d, order, names[k], "%s\t%s", limit_text(x, &was),
				     limit_text(y, &now)))
			return -1;
	}
	return 0;
}

static int numbers(struct policy_diff *d, const char *what, uint64_t was, uint64_t now, int wider)
{
	if (was == now)
		return 0;
	return diff_setting(d, now > was ? wider : -wider, what, "%" PRIu64 "\t%" PRIu64, was, now);
}

static int compare_approvals(
	struct policy_diff *d, const struct policy *old, const struct policy *new)
{
	static const char *const who[] = {
		"nobody", "session-owner", "admin", "session-owner, admin"};
	struct policy_approvals was, now;
	struct policy_session lost, lost_now;

	policy_approvals(old, &was);
	policy_approvals(new, &now);
	policy_session(old, &lost);
	policy_session(new, &lost_now);
	if (was.who != now.who && diff_setting(d, now.who & ~was.who ? 1 : -1, "approvals.who",
					  "%s\t%s", who[was.who & 3], who[now.who & 3]))
		return -1;
	/* A longer wait is no wider answer: at its end it is still a denial. */
	return numbers(d, "approvals.timeout (seconds)", was.timeout_s, now.timeout_s, 0) ||
			       numbers(d, "approvals.remember.longest (seconds)", was.remember_s,
				       now.remember_s, 1) ||
			       numbers(d, "session.on_lost_after (seconds)", lost.on_lost_after_s,
				       lost_now.on_lost_after_s, 1)
		       ? -1
		       : 0;
}

static const struct action_places somewhere = {.ws = "/home/user/project",
	.home = "/home/user",
	.tmp = "/tmp",
	.cwd = "/home/user/project"};

static const char *mode_name(enum policy_mount_mode m)
{
	return m == POLICY_MOUNT_RW ? "rw" : m == POLICY_MOUNT_RO ? "ro" : "hidden";
}

static const struct policy_mount *mount_of(const struct policy_mount *m, int n, const char *name)
{
	for (int i = 0; i < n; i++) {
		if (strcmp(m[i].name, name) == 0)
			return &m[i];
	}
	return NULL;
}

/* A mount that only one side has: rw and ro open something, hidden closes it. */
static int mount_change(
	struct policy_diff *d, const struct policy_mount *was, const struct policy_mount *now)
{
	const struct policy_mount *m = was ? was : now;
	char what[96];
	int wider;

	if (was && now)
		wider = now->mode < was->mode ? 1 : -1;
	else
		wider = (m->mode == POLICY_MOUNT_HIDDEN) == (now == NULL) ? 1 : -1;
	snprintf(what, sizeof what, "workspace.mounts %.70s", m->name);
	return diff_setting(d, wider, what, "%s\t%s", was ? mode_name(was->mode) : "not said",
		now ? mode_name(now->mode) : "not said");
}

static int compare_mounts(
	struct policy_diff *d, const struct policy *old, const struct policy *new, struct error *e)
{
	struct policy_mount *m = calloc(2 * (size_t)POLICY_MOUNTS_MAX, sizeof *m);
	struct policy_mount *then, *now;
	int n, k, result = -1;

	if (!m)
		return error_set(e, 0, "out of memory");
	then = m;
	now = m + POLICY_MOUNTS_MAX;
	n = policy_mounts(old, &somewhere, then, POLICY_MOUNTS_MAX, e);
	k = policy_mounts(new, &somewhere, now, POLICY_MOUNTS_MAX, e);
	if (n >= 0 && k >= 0)
		result = 0;
	for (int i = 0; !result && i < n; i++) {
		const struct policy_mount *other = mount_of(now, k, then[i].name);

		if (!other || other->mode != then[i].mode)
			result = mount_change(d, &then[i], other);
	}
	for (int i = 0; !result && i < k; i++) {
		if (!mount_of(then, n, now[i].name))
			result = mount_change(d, NULL, &now[i]);
	}
	free(m);
	return result;
}

/* Names that any list mentions are enough: what no list mentions passes in neither. A star passes
 * names that nobody wrote down, so the stars themselves are compared too. */
static int compare_pass(struct policy_diff *d, const struct policy *old, const struct policy *new)
{
	const struct policy *sides[2] = {old, new};

	for (int side = 0; side < 2; side++) {
		const struct policy *p = sides[side];

		for (size_t i = 0; i < p->stack.layers; i++) {
			const struct layer *l = p->stack.layer[i];

			for (size_t k = 0; k < l->passes; k++) {
				char name[96], what[120];
				int was, now;
				size_t j;

				snprintf(name, sizeof name, "%s%s", l->pass[k].name,
					l->pass[k].star ? "_any_" : "");
				was = policy_env_passes(old, name);
				now = policy_env_passes(new, name);
				snprintf(what, sizeof what, "env.pass %s%s", l->pass[k].name,
					l->pass[k].star ? "*" : "");
				what[95] = 0;
				for (j = 0; j < d->settings; j++) {
					if (strcmp(d->setting[j].what, what) == 0)
						break;
				}
				if (was != now && j == d->settings &&
					diff_setting(d, now ? 1 : -1, what, "%s\t%s",
						was ? "passed" : "dropped",
						now ? "passed" : "dropped"))
					return -1;
			}
		}
	}
	return 0;
}

static const char *set_value(const struct policy *p, const char *name)
{
	const char *n, *value;

	for (size_t i = 0; policy_env_set(p, i, &n, &value) == 0; i++) {
		if (strcmp(n, name) == 0)
			return value;
	}
	return NULL;
}

static int compare_sets(struct policy_diff *d, const struct policy *old, const struct policy *new)
{
	const struct policy *sides[2] = {old, new};
	const char *name, *value;

	for (int side = 0; side < 2; side++) {
		for (size_t i = 0; policy_env_set(sides[side], i, &name, &value) == 0; i++) {
			const char *was = set_value(old, name), *now = set_value(new, name);
			char what[96];

			if (side == 1 && was)
				continue; /* seen from the other side */
			if (was && now && strcmp(was, now) == 0)
				continue;
			snprintf(what, sizeof what, "env.set %.80s", name);
			if (diff_setting(d, 0, what, "%.90s\t%.90s", was ? was : "not set",
				    now ? now : "not set"))
				return -1;
		}
	}
	return 0;
}

/* The layers' `when`, one behind the other. */
static void when_text(const struct policy *p, char *out, size_t cap)
{
	size_t n = 0;

	out[0] = 0;
	for (size_t i = 0; i < p->layers && n < cap; i++) {
		if (p->layer[i]->when[0])
			n += (size_t)snprintf(out + n, cap - n, "%s", p->layer[i]->when);
	}
}

/* Where a layer applies: nobody can say whether more or fewer places are wider, so it counts. */
static int compare_when(struct policy_diff *d, const struct policy *old, const struct policy *new)
{
	char was[4096], now[4096];

	when_text(old, was, sizeof was);
	when_text(new, now, sizeof now);
	if (strcmp(was, now) == 0)
		return 0;
	return diff_setting(
		d, 1, "when", "%.90s\t%.90s", was[0] ? was : "always", now[0] ? now : "always");
}

static const char *stated(const struct policy *p, const char *key)
{
	const char *k, *value, *file;
	unsigned line;

	for (size_t i = 0; policy_stated(p, i, &k, &value, &file, &line) == 0; i++) {
		if (strcmp(k, key) == 0)
			return value;
	}
	return NULL;
}

/* What nothing enforces yet, key by key. Which of two values is wider only its gate will know, so
 * every change counts. */
static int compare_stated(struct policy_diff *d, const struct policy *old, const struct policy *new)
{
	const struct policy *sides[2] = {old, new};
	const char *key, *value, *file;
	unsigned line;

	for (int side = 0; side < 2; side++) {
		for (size_t i = 0; policy_stated(sides[side], i, &key, &value, &file, &line) == 0;
			i++) {
			const char *was = stated(old, key), *now = stated(new, key);

			if ((side == 1 && was) || (was && now && strcmp(was, now) == 0))
				continue;
			if (diff_setting(d, 1, key, "%.90s\t%.90s", was ? was : "not said",
				    now ? now : "not said"))
				return -1;
		}
	}
	return 0;
}

static int compare_settings(
	struct policy_diff *d, const struct policy *old, const struct policy *new, struct error *e)
{
	enum policy_identity was = policy_identity(old), now = policy_identity(new);

	if (compare_mounts(d, old, new, e))
		return -1;
	if ((was != now && diff_setting(d, now == POLICY_SAME_UID ? 1 : -1, "workspace.identity",
				   "%s\t%s", was == POLICY_OWN_UID ? "own-uid" : "same-uid",
				   now == POLICY_OWN_UID ? "own-uid" : "same-uid")) ||
		(old->unmatched != new->unmatched &&diff_setting(d,
					   new->unmatched == VERDICT_ASK ? 1 : -1, "unmatched",
					   "%s\t%s", verdict_name(old->unmatched),
					   verdict_name(new->unmatched))) ||
		compare_limits(d, old, new) || compare_pass(d, old, new) ||
		compare_sets(d, old, new) || compare_approvals(d, old, new) ||
		compare_when(d, old, new) || compare_stated(d, old, new) || diff_marks(d, old, new))
		return error_set(e, 0, "out of memory");
	return 0;
}

/* ---- all of it ---- */

/* Wider before stricter; of the wider ones what ends in allow first, then by how far it went. */
static int by_weight(const void *a, const void *b)
{
	const struct diff_change *x = a, *y = b;
	int wide_x = diff_is_wider(x->was, x->now), wide_y = diff_is_wider(y->was, y->now);

	if (wide_x != wide_y)
		return wide_y - wide_x;
	if (x->now != y->now)
		return x->now < y->now ? -1 : 1;
	if (x->was != y->was)
		return x->was > y->was ? -1 : 1;
	return strcmp(x->kind, y->kind);
}

static int compare_all(
	struct policy_diff *d, const struct policy *old, const struct policy *new, struct error *e)
{
	const struct kind *k = &kind_tool;

	if (collect_rules(d, old, new, 0) || collect_rules(d, new, old, 1))
		return error_set(e, 0, "out of memory");
	for (size_t i = 0; k; k = kind_at(i++)) {
		if (compare_kind(d, old, new, k, 0, e) ||
			(is_wider_in(d, k) && compare_kind(d, old, new, k, 1, e)))
			return -1;
	}
	if (d->changes)
		qsort(d->change, d->changes, sizeof *d->change, by_weight);
	return compare_settings(d, old, new, e);
}

int policy_diff(const struct policy *old, const struct policy *new, struct policy_diff **out,
	struct error *e)
{
	struct policy_diff *d = calloc(1, sizeof *d);

	*out = NULL;
	if (!d)
		return error_set(e, 0, "out of memory");
	memcpy(d->was_digest, policy_digest(old), sizeof d->was_digest);
	memcpy(d->now_digest, policy_digest(new), sizeof d->now_digest);
	if (compare_all(d, old, new, e)) {
		policy_diff_free(d);
		return -1;
	}
	*out = d;
	return 0;
}

void policy_diff_free(struct policy_diff *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->changes; i++)
		free(d->change[i].example);
	for (size_t i = 0; i < d->dangers; i++)
		free(d->danger[i].example);
	free(d->danger);
	free(d->rule);
	free(d->change);
	free(d->setting);
	free(d);
}
