/* From observations to suggestions; see suggest.h. */
#include "policy/suggest/suggest.h"

#include <stdlib.h>
#include <string.h>

#include "policy/suggest/judge.h"
#include "policy/suggest/token.h"

#define REPLAYS_MAX 12u /* sessions that are left out, one at a time */

struct prepared { /* one different action of the log */
	struct action *action; /* NULL: not canonical, so nothing is decided about it */
	const struct kind *kind;
	int open; /* no rule speaks about it: a person is asked */
	int by_rule; /* an ask rule does */
	int hidden; /* a secret in it, or text that is not plain */
	int refused; /* by a person, in any session */
};

struct run {
	const struct suggest_log *log;
	const struct policy *policy;
	struct suggest_options options;
	struct prepared *of; /* [action] */
	const char *skipped;
	/* of one inference */
	uint32_t without;
	struct item *item;
	size_t items;
	struct ideas ideas;
	struct judge *judge[ACTION_KINDS];
	size_t chosen[SUGGEST_RULES_MAX], choices;
};

static int no_memory(struct error *e)
{
	return error_set(e, 0, "out of memory");
}

/* ---- preparation ---- */

static const struct kind *kind_for(const struct action *a)
{
	return a->kind == ACTION_TOOL ? &kind_tool : kind_of(a->kind);
}

static int is_wanted(const struct run *r, const struct kind *k)
{
	return !r->options.kind || strcmp(r->options.kind, k->name) == 0;
}

static void prepare_one(struct run *r, uint32_t i)
{
	const char *text = r->log->action[i].text;
	struct prepared *x = &r->of[i];
	struct decision d;

	FOR_MEETS(r->log, i, m)
	{
		x->refused |= m->count[SUGGEST_REFUSED] > 0;
	}
	if (policy_parse_action(text, &x->action, NULL))
		return;
	x->kind = kind_for(x->action);
	if (!x->kind || !is_wanted(r, x->kind))
		return;
	x->hidden = !token_plain(text, strlen(text)) || token_secret(text, strlen(text), 0);
	policy_decide(r->policy, x->action, &d);
	if (d.verdict == VERDICT_ASK && d.line == 0 && !*d.file)
		x->open = !x->hidden;
	else
		x->by_rule = d.verdict == VERDICT_ASK;
}

static int prepare(struct run *r, struct error *e)
{
	r->of = calloc(r->log->actions + 1, sizeof *r->of);
	if (!r->of)
		return no_memory(e);
	for (uint32_t i = 0; i < r->log->actions; i++)
		prepare_one(r, i);
	return 0;
}

static int learns_from(const struct run *r, const struct observed_meet *m)
{
	return m->session != r->without && !r->log->session[m->session].dropped &&
	       m->count[SUGGEST_APPROVED];
}

static struct item count_item(const struct run *r, uint32_t i)
{
	struct item x = {.action = r->of[i].action,
		.kind = r->of[i].kind,
		.text = r->log->action[i].text,
		.index = i};

	FOR_MEETS(r->log, i, m)
	{
		if (!learns_from(r, m))
			continue;
		x.count += m->count[SUGGEST_APPROVED];
		x.prompts += m->prompts;
		x.sessions++;
		if (m->last > x.last)
			x.last = m->last;
	}
	return x;
}

/* ---- inference ---- */

static size_t refusals_of(const struct run *r, const struct kind *k, const struct action **out)
{
	size_t n = 0;

	for (uint32_t i = 0; i < r->log->actions; i++) {
		int refused = 0;

		if (!r->of[i].refused || !r->of[i].action || kind_for(r->of[i].action) != k)
			continue;
		FOR_MEETS(r->log, i, m)
		{
			refused |= m->session != r->without && m->count[SUGGEST_REFUSED];
		}
		if (refused)
			out[n++] = r->of[i].action;
	}
	return n;
}

static int judge_kind(struct run *r, const struct kind *k, const struct action **refused)
{
	size_t n = refusals_of(r, k, refused);
	enum dfa_status s;
	int any = 0;

	for (size_t i = 0; i < r->ideas.n; i++)
		any |= r->ideas.v[i].kind == k;
	if (!any)
		return 0;
	s = judge_open(r->policy, &r->ideas, k, refused, n, &r->judge[k->id]);
	if (s == DFA_TOO_LARGE) {
		r->skipped = k->section;
		for (size_t i = 0; i < r->ideas.n; i++)
			r->ideas.v[i].fits &= r->ideas.v[i].kind != k;
		return 0;
	}
	return s ? -1 : 0;
}

static int judge_all(struct run *r)
{
	const struct action **refused = calloc(r->log->actions + 1, sizeof(struct action *));
	const struct kind *k = &kind_tool;
	int failed = refused ? 0 : -1;

	for (size_t i = 0; !failed && k; k = kind_at(i++))
		failed = judge_kind(r, k, refused);
	free(refused);
	return failed;
}

/* ---- choice ---- */

static double literal_bits(const struct idea *x)
{
	double n = 0;

	for (size_t i = 0; i < x->members; i++)
		n += 6.0 * (double)strlen(x->member[i]->text);
	return n;
}

/* Of each group the idea that describes it shortest: rule, what else it allows, and what of the group it
 * leaves to be asked. out[group] is the idea's index + 1. */
static void best_of_groups(const struct ideas *o, size_t *out)
{
	double *cost = calloc(o->groups + 1, sizeof *cost),
	       *all = calloc(o->groups + 1, sizeof *all);

	for (size_t i = 0; cost && all && i < o->n; i++) {
		double bits = literal_bits(&o->v[i]);

		if (bits > all[o->v[i].group])
			all[o->v[i].group] = bits;
	}
	for (size_t i = 0; cost && all && i < o->n; i++) {
		const struct idea *x = &o->v[i];
		double c = x->cost + all[x->group] - literal_bits(x);

		if (!x->fits || (out[x->group] && cost[x->group] <= c))
			continue;
		out[x->group] = i + 1;
		cost[x->group] = c;
	}
	free(cost);
	free(all);
}

/* What an idea adds to those chosen before; taken NULL: to none. */
static struct group rest_of(const struct run *r, const struct idea *x, const unsigned char *taken)
{
	struct group g = {0};
	unsigned char *seen = calloc(r->log->sessions + 1, 1);

	for (size_t i = 0; seen && i < x->members; i++) {
		if (taken && taken[x->member[i]->index])
			continue;
		g.count += x->member[i]->count;
		g.prompts += x->member[i]->prompts;
		FOR_MEETS(r->log, x->member[i]->index, m)
		{
			if (!learns_from(r, m) || seen[m->session])
				continue;
			seen[m->session] = 1;
			g.sessions++;
		}
	}
	free(seen);
	return g;
}

static int enough(const struct run *r, const struct group *g)
{
	return g->count >= r->options.least && g->sessions >= SUGGEST_SESSIONS;
}

static int saves_more(const struct group *x, const struct group *y)
{
	return x->prompts != y->prompts ? x->prompts > y->prompts : x->count > y->count;
}

static void choose(struct run *r, const size_t *best, unsigned char *taken)
{
	while (r->choices < SUGGEST_RULES_MAX) {
		struct group most = {0};
		size_t at = SIZE_MAX;

		for (unsigned i = 0; i < r->ideas.groups; i++) {
			struct group g;

			if (!best[i])
				continue;
			g = rest_of(r, &r->ideas.v[best[i] - 1], taken);
			if (!enough(r, &g) || (at != SIZE_MAX && !saves_more(&g, &most)))
				continue;
			most = g;
			at = best[i] - 1;
		}
		if (at == SIZE_MAX)
			return;
		r->chosen[r->choices++] = at;
		for (size_t i = 0; i < r->ideas.v[at].members; i++)
			taken[r->ideas.v[at].member[i]->index] = 1;
	}
}

static int choose_all(struct run *r)
{
	size_t *best = calloc(r->ideas.groups + 1, sizeof *best);
	unsigned char *taken = calloc(r->log->actions + 1, 1);

	if (best && taken) {
		best_of_groups(&r->ideas, best);
		choose(r, best, taken);
	}
	free(best);
	free(taken);
	return best && taken ? 0 : -1;
}

static void forget(struct run *r)
{
	for (size_t i = 0; i < ACTION_KINDS; i++) {
		judge_close(r->judge[i]);
		r->judge[i] = NULL;
	}
	ideas_free(&r->ideas);
	free(r->item);
	r->item = NULL;
	r->items = r->choices = 0;
}

/* without: a session to leave out, UINT32_MAX for none. The result lasts until forget. */
static int infer(struct run *r, uint32_t without)
{
	r->without = without;
	r->item = calloc(r->log->actions + 1, sizeof *r->item);
	if (!r->item)
		return -1;
	for (uint32_t i = 0; i < r->log->actions; i++) {
		struct item x;

		if (!r->of[i].open)
			continue;
		x = count_item(r, i);
		if (x.count)
			r->item[r->items++] = x;
	}
	r->ideas = (struct ideas){.log = r->log, .options = &r->options, .without = without};
	ideas_make(&r->ideas, r->item, r->items);
	if (r->ideas.no_memory || judge_all(r))
		return -1;
	return choose_all(r);
}

static int is_covered(const struct run *r, const struct action *a)
{
	for (size_t i = 0; i < r->choices; i++) {
		const struct idea *x = &r->ideas.v[r->chosen[i]];

		if (judge_covers(r->judge[x->kind->id], r->chosen[i], a))
			return 1;
	}
	return 0;
}

/* ---- leave one out ---- */

static int has_prompts(const struct run *r, uint32_t session)
{
	for (size_t i = 0; !r->log->session[session].dropped && i < r->log->meets; i++) {
		if (r->log->meet[i].session == session && r->log->meet[i].prompts)
			return 1;
	}
	return 0;
}

static void try_session(const struct run *r, uint32_t session, struct suggest_replay *out)
{
	out->sessions++;
	for (size_t i = 0; i < r->log->meets; i++) {
		const struct observed_meet *m = &r->log->meet[i];
		const struct prepared *x = &r->of[m->action];
		int covered;

		if (m->session != session || !x->action)
			continue;
		covered = (m->prompts || m->count[SUGGEST_REFUSED]) && is_covered(r, x->action);
		out->prompts += m->prompts;
		out->saved += covered ? m->prompts : 0;
		out->slipped += covered && m->count[SUGGEST_REFUSED];
	}
}

static int replay(struct run *r, struct suggest_replay *out)
{
	for (uint32_t s = (uint32_t)r->log->sessions; s > 0 && out->sessions < REPLAYS_MAX; s--) {
		int failed;

		if (!has_prompts(r, s - 1))
			continue;
		failed = infer(r, s - 1);
		if (!failed)
			try_session(r, s - 1, out);
		forget(r);
		if (failed)
			return -1;
	}
	return 0;
}

/* ---- results ---- */

/* The texts go over to the rule. */
static void take_rule(struct run *r, size_t index, struct suggest_rule *out)
{
	struct idea *x = &r->ideas.v[index];
	struct group g = rest_of(r, x, NULL);

	*out = (struct suggest_rule){.kind = x->kind->name,
		.section = x->kind->section,
		.key = x->kind->key,
		.gated = x->kind->gated,
		.text = x->text,
		.excepts = x->excepts,
		.count = g.count,
		.sessions = g.sessions,
		.prompts = g.prompts,
		.seen = x->members,
		.also = x->also,
		.example = judge_example(r->judge[x->kind->id], index)};
	for (size_t i = 0; i < x->excepts; i++)
		out->except[i] = x->except[i];
	for (size_t i = 0; i < x->members; i++) {
		if (x->member[i]->last > out->last)
			out->last = x->member[i]->last;
	}
	x->text = NULL;
	x->excepts = 0;
}

static const char *why_not(const struct run *r, const struct item *x)
{
	if (x->count == 1)
		return "seen once";
	if (x->sessions < SUGGEST_SESSIONS)
		return "seen in one session only";
	if (x->count < r->options.least)
		return "seen too rarely";
	return "no rule for it that is narrow enough, or others save more";
}

static int add_note(struct suggestions *out, const struct item *x, const char *why)
{
	if (out->notes == SUGGEST_NOTES_MAX) {
		out->notes_more++;
		return 0;
	}
	out->note[out->notes] = (struct suggest_note){strdup(x->text), x->count, x->sessions, why};
	return out->note[out->notes++].action ? 0 : -1;
}

static int by_count(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return strcmp(x->text, y->text);
}

static int add_notes(const struct run *r, struct suggestions *out)
{
	struct item *left = calloc(r->log->actions + 1, sizeof *left);
	size_t n = 0;
	int failed = 0;

	if (!left)
		return -1;
	for (uint32_t i = 0; i < r->log->actions; i++) {
		const struct prepared *x = &r->of[i];

		out->secrets += x->hidden != 0;
		if (x->hidden || !(x->by_rule || (x->open && !is_covered(r, x->action))))
			continue;
		left[n] = count_item(r, i);
		n += left[n].count > 0;
	}
	qsort(left, n, sizeof *left, by_count);
	for (size_t i = 0; i < n && !failed; i++)
		failed = add_note(out, &left[i],
			r->of[left[i].index].by_rule ? "an ask rule says so, which stays"
						     : why_not(r, &left[i]));
	free(left);
	return failed;
}

static int suggest_into(struct run *r, struct suggestions *out, struct error *e)
{
	if (prepare(r, e))
		return -1;
	if (infer(r, UINT32_MAX) || add_notes(r, out))
		return no_memory(e);
	for (; out->rules < r->choices; out->rules++)
		take_rule(r, r->chosen[out->rules], &out->rule[out->rules]);
	forget(r);
	if (out->rules && replay(r, &out->replay))
		return no_memory(e);
	out->skipped = r->skipped;
	return 0;
}

int suggest(const struct suggest_log *l, const struct policy *p, const struct suggest_options *o,
	struct suggestions **out, struct error *e)
{
	struct run *r = calloc(1, sizeof *r);
	int result;

	*out = calloc(1, sizeof **out);
	if (!r || !*out) {
		free(r);
		free(*out);
		*out = NULL;
		return no_memory(e);
	}
	*r = (struct run){.log = l, .policy = p, .options = *o, .without = UINT32_MAX};
	if (r->options.least < SUGGEST_LEAST)
		r->options.least = SUGGEST_LEAST;
	result = suggest_into(r, *out, e);
	forget(r);
	for (size_t i = 0; r->of && i < l->actions; i++)
		action_free(r->of[i].action);
	free(r->of);
	free(r);
	if (result) {
		suggestions_free(*out);
		*out = NULL;
	}
	return result;
}

void suggestions_free(struct suggestions *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->rules; i++) {
		free(s->rule[i].text);
		free(s->rule[i].example);
		for (size_t k = 0; k < s->rule[i].excepts; k++)
			free(s->rule[i].except[k]);
	}
	for (size_t i = 0; i < s->notes; i++)
		free(s->note[i].action);
	free(s);
}

/* ---- the whole log again ---- */

static void check_one(const struct suggest_log *l, uint32_t i, enum verdict was, enum verdict now,
	struct suggest_check *out)
{
	uint32_t passed = 0, refused = 0, prompts = 0;

	FOR_MEETS(l, i, m)
	{
		passed |= m->count[SUGGEST_ALLOWED] | m->count[SUGGEST_APPROVED];
		refused |= m->count[SUGGEST_REFUSED];
		prompts += m->prompts;
	}
	out->checked++;
	out->saved += was == VERDICT_ASK && now == VERDICT_ALLOW ? prompts : 0;
	if (!(passed && now > was) && !(refused && now == VERDICT_ALLOW && was != VERDICT_ALLOW))
		return;
	out->stricter += passed && now > was;
	out->slipped += refused && now == VERDICT_ALLOW;
	if (!out->example[0] && !token_secret(l->action[i].text, strlen(l->action[i].text), 1))
		snprintf(out->example, sizeof out->example, "%.500s", l->action[i].text);
}

int suggest_check(const struct suggest_log *l, const struct policy *was, const struct policy *now,
	struct suggest_check *out, struct error *e)
{
	*out = (struct suggest_check){0};
	for (uint32_t i = 0; i < l->actions; i++) {
		struct decision before, after;
		struct action *a;

		if (policy_parse_action(l->action[i].text, &a, e)) {
			if (e && strstr(e->text, "out of memory"))
				return -1;
			continue;
		}
		policy_decide(was, a, &before);
		policy_decide(now, a, &after);
		action_free(a);
		check_one(l, i, before.verdict, after.verdict, out);
	}
	return 0;
}
