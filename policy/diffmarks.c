/* Differences beside the words of rules; see diffmarks.h. */
#include "policy/diffmarks.h"

#include <stdio.h>
#include <string.h>

static int same_excepts(const struct rule *x, const struct rule *y)
{
	if (x->excepts != y->excepts)
		return 0;
	for (size_t i = 0; i < x->excepts; i++) {
		size_t k = 0;

		while (k < y->excepts && strcmp(x->except[i].text, y->except[k].text) != 0)
			k++;
		if (k == y->excepts)
			return 0;
	}
	return 1;
}

int diff_same_match(const struct rule *x, const struct rule *y)
{
	return x->effect == y->effect && x->match.kind == y->match.kind &&
	       strcmp(x->match.text, y->match.text) == 0 && same_excepts(x, y);
}

/* ---- rules ---- */

static int pins_include(const struct rule *r, const char *path)
{
	for (size_t i = 0; i < r->pins; i++) {
		if (strcmp(r->pin[i], path) == 0)
			return 1;
	}
	return 0;
}

/* Whether y pins all that x pins. */
static int pins_cover(const struct rule *x, const struct rule *y)
{
	for (size_t i = 0; i < x->pins; i++) {
		if (!pins_include(y, x->pin[i]))
			return 0;
	}
	return 1;
}

static int same_marks(const struct rule *x, const struct rule *y)
{
	return x->until == y->until && x->tcp == y->tcp && pins_cover(x, y) && pins_cover(y, x);
}

static const char *date_text(char out[16], uint32_t date)
{
	if (!date)
		return "for good";
	snprintf(out, 16, "%04u-%02u-%02u", date / 10000 % 10000, date / 100 % 100, date % 100);
	return out;
}

static const char *pins_text(char out[96], const struct rule *r)
{
	size_t n = 0;

	snprintf(out, 96, "nothing");
	for (size_t i = 0; i < r->pins && n < 95; i++)
		n += (size_t)snprintf(out + n, 96 - n, "%s%s", i ? ", " : "", r->pin[i]);
	return out;
}

static int compare_rule(struct policy_diff *d, const struct rule *was, const struct rule *now)
{
	char what[96], x[96], y[96];
	int n = snprintf(what, sizeof what, "%s.%s %.60s: ", rule_kind(was)->section,
		verdict_name(was->effect), was->match.text);
	char *name = what + n;
	size_t cap = sizeof what - (size_t)n;

	if (was->until != now->until) {
		int later = !now->until || (was->until && now->until > was->until);

		snprintf(name, cap, "until");
		if (diff_setting(d, later ? 1 : -1, what, "%s\t%s", date_text(x, was->until),
			    date_text(y, now->until)))
			return -1;
	}
	snprintf(name, cap, "proto");
	if (was->tcp != now->tcp &&
		diff_setting(d, now->tcp ? 1 : -1, what, "%s\t%s", was->tcp ? "tcp" : "not said",
			now->tcp ? "tcp" : "not said"))
		return -1;
	snprintf(name, cap, "pinned");
	if (pins_cover(was, now) && pins_cover(now, was))
		return 0;
	return diff_setting(d, pins_cover(was, now) ? -1 : 1, what, "%s\t%s", pins_text(x, was),
		pins_text(y, now));
}

/* A rule of p that matches the same and, first choice, is marked the same. */
static const struct rule *counterpart(
	const struct policy *p, enum policy_origin origin, const struct rule *r)
{
	const struct rule *found = NULL;

	for (size_t i = 0; i < p->stack.layers; i++) {
		const struct layer *l = p->stack.layer[i];

		for (size_t j = 0; l->origin == origin && j < l->rules; j++) {
			if (!diff_same_match(&l->rule[j], r))
				continue;
			if (same_marks(&l->rule[j], r))
				return &l->rule[j];
			found = &l->rule[j];
		}
	}
	return found;
}

static int compare_rules(struct policy_diff *d, const struct policy *old, const struct policy *new)
{
	for (size_t i = 0; i < old->stack.layers; i++) {
		const struct layer *l = old->stack.layer[i];

		for (size_t j = 0; j < l->rules; j++) {
			const struct rule *now = counterpart(new, l->origin, &l->rule[j]);

			if (now && !same_marks(&l->rule[j], now) &&
				compare_rule(d, &l->rule[j], now))
				return -1;
		}
	}
	return 0;
}

/* ---- sections ---- */

/* The layers that mark section i. */
static unsigned marked(const struct policy *p, unsigned i)
{
	unsigned n = 0;

	for (size_t k = 0; k < p->stack.layers; k++)
		n += p->stack.layer[k]->best_effort >> i & 1;
	return n;
}

static int compare_sections(
	struct policy_diff *d, const struct policy *old, const struct policy *new)
{
	for (unsigned i = 0; section_at(i); i++) {
		unsigned was = marked(old, i), now = marked(new, i);
		char what[96];

		snprintf(what, sizeof what, "%s.best-effort", section_at(i));
		if (was != now && diff_setting(d, now > was ? 1 : -1, what, "%s\t%s",
					  was ? "true" : "false", now ? "true" : "false"))
			return -1;
	}
	return 0;
}

int diff_marks(struct policy_diff *d, const struct policy *old, const struct policy *new)
{
	return compare_rules(d, old, new) || compare_sections(d, old, new) ? -1 : 0;
}
