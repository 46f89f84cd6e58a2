/* The compiled decision against a reference that follows the specification rule by rule, and the
 * promises of the language (specs/policy.md 4.4), on random stacks: order never matters, a layer
 * without allow rules never relaxes, a ceiling holds. */
#include "policy/diff.h"
#include "tests/lib/policy_rig.h"
#include "tests/lib/slow_match.h"

#define LAYERS 4
#define RULES  7

static unsigned long long seed = 0x2545f4914f6cdd1dULL;

static unsigned roll(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)((seed >> 11) % n);
}

/* ---- random rules ---- */

struct one { /* a rule's match, as text and as the reference reads it */
	char ops[6];
	char pattern[160]; /* of a path or a host */
	unsigned lo, hi; /* ports */
};

struct rule_of {
	enum verdict effect;
	struct one match, except[2];
	unsigned excepts;
};

struct layer_of {
	struct rule_of rule[RULES];
	unsigned rules;
	int ceiling, deny_unmatched;
};

static void random_path(char *out)
{
	static const char *const roots[] = {"ws:/", "tmp:/", "/"};
	static const char *const parts[] = {
		"a", "b", "ab", "*", "?", "a*", "*b", "**", "{a,b}", "[ab]", "[!a]", "{a,bb}?"};
	unsigned n = 1 + roll(3), crossings = 0;

	strcpy(out, roots[roll(3)]);
	for (unsigned i = 0; i < n; i++) {
		const char *part = parts[roll(12)];

		if (strcmp(part, "**") == 0 && ++crossings > 2)
			part = "a";
		strcat(out, i ? "/" : "");
		strcat(out, part);
	}
}

static void random_host(char *out)
{
	static const char *const parts[] = {"a", "b", "ab", "*", "a*", "{a,b}", "x", "a?"};
	unsigned n = 1 + roll(3);

	strcpy(out, roll(4) == 0 ? "**." : "");
	for (unsigned i = 0; i < n; i++) {
		strcat(out, parts[roll(8)]);
		strcat(out, i + 1 < n ? "." : "");
	}
}

static void random_one(struct one *m, int net)
{
	static const char *const ops[] = {"r", "w", "rw", "d", "rd", "wm", "a", "rwdma"};

	*m = (struct one){{0}, {0}, 0, 0};
	if (!net) {
		strcpy(m->ops, ops[roll(8)]);
		random_path(m->pattern);
		return;
	}
	random_host(m->pattern);
	m->lo = 1 + roll(4) * 200;
	m->hi = roll(2) ? m->lo : m->lo + roll(1000);
}

static void random_layer(struct layer_of *l, int net, int allows)
{
	*l = (struct layer_of){
		.rules = 1 + roll(RULES), .ceiling = roll(6) == 0, .deny_unmatched = roll(3) == 0};
	for (unsigned i = 0; i < l->rules; i++) {
		struct rule_of *r = &l->rule[i];

		r->effect = allows ? VERDICT_ALLOW + roll(3) : VERDICT_ASK + roll(2);
		random_one(&r->match, net);
		r->excepts = roll(3) == 0 ? 1 + roll(2) : 0;
		for (unsigned k = 0; k < r->excepts; k++)
			random_one(&r->except[k], net);
	}
}

/* ---- as YAML ---- */

static void print_one(char *out, size_t cap, const struct one *m, int net)
{
	size_t n = strlen(out);

	if (net)
		snprintf(out + n, cap - n, "\"%s:%u-%u\"", m->pattern, m->lo, m->hi);
	else
		snprintf(out + n, cap - n, "\"%s %s\"", m->ops, m->pattern);
}

/* With `backwards` the rules of each effect stand in the other order. */
static void print_layer(char *out, size_t cap, const struct layer_of *l, int net, int backwards)
{
	snprintf(out, cap, "policy: 1\nceiling: %s\nunmatched: %s\n%s:\n",
		l->ceiling ? "true" : "false", l->deny_unmatched ? "deny" : "ask",
		net ? "net" : "files");
	for (enum verdict v = VERDICT_ALLOW; v <= VERDICT_DENY; v++) {
		snprintf(out + strlen(out), cap - strlen(out), "  %s:\n", verdict_name(v));
		size_t start = strlen(out);

		for (unsigned i = 0; i < l->rules; i++) {
			const struct rule_of *r = &l->rule[backwards ? l->rules - 1 - i : i];

			if (r->effect != v)
				continue;
			snprintf(out + strlen(out), cap - strlen(out),
				"    - %s: ", net ? "host" : "path");
			print_one(out, cap, &r->match, net);
			snprintf(out + strlen(out), cap - strlen(out), "\n      except: [");
			for (unsigned k = 0; k < r->excepts; k++) {
				strcat(out, k ? ", " : "");
				print_one(out, cap, &r->except[k], net);
			}
			strcat(out, "]\n");
		}
		if (strlen(out) == start) {
			out[start - 1] = 0;
			strcat(out, " []\n");
		}
	}
}

static struct policy *load(
	const struct layer_of *l, const unsigned *order, unsigned n, int net, int backwards)
{
	static char text[LAYERS][8192], name[LAYERS][16];
	struct policy_doc docs[LAYERS];
	struct policy_error e;
	struct policy *p;

	for (unsigned i = 0; i < n; i++) {
		print_layer(text[i], sizeof text[i], &l[order[i]], net, backwards);
		snprintf(name[i], sizeof name[i], "layer%u", order[i]);
		docs[i] = (struct policy_doc){name[i], POLICY_ADMIN, text[i], strlen(text[i])};
	}
	p = policy_load(docs, n, NULL, &e);
	ck_assert_msg(p != NULL, "%s\n%s", e.text, text[0]);
	return p;
}

/* ---- the reference ---- */

struct event {
	char op;
	char name[64]; /* a path or a host */
	unsigned port;
};

static int ref_op(const char *ops, char op)
{
	if (strchr(ops, op))
		return 1;
	/* w alone is every way to change a file */
	return strchr(ops, 'w') && !strpbrk(ops, "dma") && op != 'r';
}

static int ref_matches(const struct one *m, const struct event *e, int net)
{
	if (net)
		return e->port >= m->lo && e->port <= m->hi &&
		       slow_host_braces(m->pattern, e->name);
	return ref_op(m->ops, e->op) && slow_braces(m->pattern, e->name, 1);
}

static int ref_rule(const struct rule_of *r, const struct event *e, int net)
{
	if (!ref_matches(&r->match, e, net))
		return 0;
	for (unsigned i = 0; i < r->excepts; i++) {
		if (ref_matches(&r->except[i], e, net))
			return 0;
	}
	return 1;
}

static enum verdict ref_layer(const struct layer_of *l, const struct event *e, int net)
{
	enum verdict v = VERDICT_NONE;

	for (unsigned i = 0; i < l->rules; i++) {
		if (l->rule[i].effect > v && ref_rule(&l->rule[i], e, net))
			v = l->rule[i].effect;
	}
	return v == VERDICT_NONE && l->ceiling ? VERDICT_DENY : v;
}

static enum verdict ref_decide(const struct layer_of *l, unsigned n, const struct event *e, int net)
{
	enum verdict v = VERDICT_NONE, unmatched = VERDICT_ASK;

	for (unsigned i = 0; i < n; i++) {
		enum verdict of = ref_layer(&l[i], e, net);

		v = of > v ? of : v;
		if (l[i].deny_unmatched)
			unmatched = VERDICT_DENY;
	}
	return v == VERDICT_NONE ? unmatched : v;
}

/* ---- random actions ---- */

static void random_event(struct event *e, int net)
{
	static const char *const roots[] = {"ws:/", "tmp:/", "/"};
	static const char *const parts[] = {"a", "b", "ab", "aa", "bb", "c", "abc", "ba"};
	unsigned n = 1 + roll(3);

	*e = (struct event){"rwdma"[roll(5)], "", 1 + roll(1200)};
	strcpy(e->name, net ? "" : roots[roll(3)]);
	for (unsigned i = 0; i < n; i++) {
		strcat(e->name, i ? net ? "." : "/" : "");
		strcat(e->name, parts[roll(8)]);
	}
}

static struct action *action_of(const struct event *e, int net)
{
	struct action *a;
	char text[120];
	struct error err;

	if (net)
		snprintf(text, sizeof text, "connect %s:%u", e->name, e->port);
	else
		snprintf(text, sizeof text, "file %c %s", e->op, e->name);
	ck_assert_msg(policy_parse_action(text, &a, &err) == 0, "%s: %s", text, err.text);
	return a;
}

static enum verdict decided(const struct policy *p, const struct action *a)
{
	enum verdict v = policy_verdict(p, a);
	struct decision d;

	policy_decide(p, a, &d);
	ck_assert_int_eq(v, d.verdict);
	return v;
}

static const unsigned in_order[LAYERS] = {0, 1, 2, 3};

static unsigned long compare(int net, unsigned rounds, unsigned actions)
{
	unsigned long compared = 0, seen[VERDICT_DENY + 1] = {0};

	for (unsigned round = 0; round < rounds; round++) {
		struct layer_of l[LAYERS];
		unsigned n = 1 + roll(LAYERS);
		struct policy *p;

		for (unsigned i = 0; i < n; i++)
			random_layer(&l[i], net, 1);
		p = load(l, in_order, n, net, 0);
		for (unsigned k = 0; k < actions; k++) {
			struct event e;
			struct action *a;
			enum verdict want;

			random_event(&e, net);
			a = action_of(&e, net);
			want = ref_decide(l, n, &e, net);
			ck_assert_msg(policy_verdict(p, a) == want, "%c %s %u: %s, should be %s",
				e.op, e.name, e.port, verdict_name(policy_verdict(p, a)),
				verdict_name(want));
			if (k % 16 == 0)
				ck_assert_int_eq(decided(p, a), want);
			seen[want]++;
			compared++;
			action_free(a);
		}
		policy_free(p);
	}
	ck_assert_uint_gt(seen[VERDICT_ALLOW], compared / 200);
	ck_assert_uint_gt(seen[VERDICT_ASK], compared / 200);
	ck_assert_uint_gt(seen[VERDICT_DENY], compared / 200);
	return compared;
}

START_TEST(decisions_about_files_are_those_of_the_reference)
{
	ck_assert_uint_ge(compare(0, rig_rounds(50), 10000), rig_rounds(500000));
}
END_TEST

START_TEST(decisions_about_connections_are_those_of_the_reference)
{
	ck_assert_uint_ge(compare(1, rig_rounds(50), 10000), rig_rounds(500000));
}
END_TEST

START_TEST(the_order_of_layers_and_rules_never_matters)
{
	static const unsigned orders[][LAYERS] = {{3, 2, 1, 0}, {1, 3, 0, 2}};

	for (unsigned round = 0; round < rig_rounds(40); round++) {
		struct layer_of l[LAYERS];
		struct policy *p, *q;
		int net = (int)roll(2);

		for (unsigned i = 0; i < LAYERS; i++)
			random_layer(&l[i], net, 1);
		p = load(l, in_order, LAYERS, net, 0);
		q = load(l, orders[roll(2)], LAYERS, net, 1);
		for (unsigned k = 0; k < 500; k++) {
			struct event e;
			struct action *a;

			random_event(&e, net);
			a = action_of(&e, net);
			ck_assert_int_eq(decided(p, a), decided(q, a));
			action_free(a);
		}
		policy_free(p);
		policy_free(q);
	}
}
END_TEST

/* T2 and T3 of specs/policy.md 4.4. An ask rule speaks about an action that `unmatched: deny` was
 * for, so T2 says: nothing becomes allowed. */
START_TEST(a_layer_without_allow_rules_never_relaxes_and_a_ceiling_holds)
{
	for (unsigned round = 0; round < rig_rounds(60); round++) {
		struct layer_of l[LAYERS];
		struct policy *without, *with, *alone;
		int net = (int)roll(2);

		for (unsigned i = 0; i + 1 < LAYERS; i++)
			random_layer(&l[i], net, 1);
		random_layer(&l[LAYERS - 1], net, 0);
		l[0].ceiling = 1;
		without = load(l, in_order, LAYERS - 1, net, 0);
		with = load(l, in_order, LAYERS, net, 0);
		alone = load(l, in_order, 1, net, 0);
		for (unsigned k = 0; k < 500; k++) {
			struct event e;
			struct action *a;

			random_event(&e, net);
			a = action_of(&e, net);
			if (decided(with, a) == VERDICT_ALLOW) {
				ck_assert_int_eq(decided(without, a), VERDICT_ALLOW);
				ck_assert_int_eq(decided(alone, a), VERDICT_ALLOW);
			}
			if (decided(without, a) == VERDICT_ALLOW)
				ck_assert_int_eq(decided(alone, a), VERDICT_ALLOW);
			action_free(a);
		}
		policy_free(without);
		policy_free(with);
		policy_free(alone);
	}
}
END_TEST

/* ---- differences ---- */

static int has_change(const struct policy_diff *d, enum verdict was, enum verdict now)
{
	for (size_t i = 0; i < d->changes; i++) {
		if (d->change[i].was == was && d->change[i].now == now)
			return 1;
	}
	return 0;
}

/* What a reader does with an example: asks both policies about it. */
static void check_example(
	const struct diff_change *c, const struct policy *old, const struct policy *new)
{
	struct action *a;
	struct error e;
	char text[400];

	ck_assert_ptr_nonnull(c->example);
	snprintf(text, sizeof text, "%s %s", c->kind, c->example);
	ck_assert_msg(policy_parse_action(text, &a, &e) == 0, "%s: %s", text, e.text);
	ck_assert_int_eq(decided(old, a), c->was);
	ck_assert_int_eq(decided(new, a), c->now);
	action_free(a);
}

static unsigned check_diff(
	const struct policy *old, const struct policy *new, int net, unsigned actions)
{
	struct policy_diff *d;
	struct error e;
	unsigned differ = 0;

	ck_assert_msg(policy_diff(old, new, &d, &e) == 0, "%s", e.text);
	for (size_t i = 0; i < d->changes; i++) {
		check_example(&d->change[i], old, new);
		ck_assert(!diff_is_wider(d->change[i].was, d->change[i].now) || d->wider);
	}
	for (unsigned k = 0; k < actions; k++) {
		enum verdict was, now;
		struct event ev;
		struct action *a;

		random_event(&ev, net);
		a = action_of(&ev, net);
		was = policy_verdict(old, a);
		now = policy_verdict(new, a);
		ck_assert_msg(was == now || has_change(d, was, now),
			"%c %s %u goes from %s to %s, which the diff does not know", ev.op, ev.name,
			ev.port, verdict_name(was), verdict_name(now));
		differ += was != now;
		action_free(a);
	}
	policy_diff_free(d);
	return differ;
}

/* One edit, as people make them: a rule goes, comes, or becomes another. */
static void edit(struct layer_of *l, int net)
{
	unsigned i = roll(l->rules);

	switch (roll(4)) {
	case 0:
		l->rule[i] = l->rule[--l->rules];
		break;
	case 1:
		random_one(&l->rule[i].match, net);
		break;
	case 2:
		l->rule[i].effect = VERDICT_ALLOW + roll(3);
		break;
	default:
		l->deny_unmatched = !l->deny_unmatched;
	}
}

START_TEST(a_diff_knows_every_change_and_its_examples_are_real)
{
	unsigned differ = 0;

	for (unsigned round = 0; round < rig_rounds(60); round++) {
		struct layer_of was[2], now[2];
		struct policy *old, *new;
		int net = (int)roll(2);

		for (unsigned i = 0; i < 2; i++)
			random_layer(&was[i], net, 1);
		memcpy(now, was, sizeof now);
		edit(&now[roll(2)], net);
		old = load(was, in_order, 2, net, 0);
		new = load(now, in_order, 2, net, 0);
		differ += check_diff(old, new, net, 400);
		policy_free(old);
		policy_free(new);
	}
	ck_assert_uint_gt(differ, rig_rounds(200));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("policy_property");
	TCase *t = tcase_create("random policies");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, decisions_about_files_are_those_of_the_reference);
	tcase_add_test(t, decisions_about_connections_are_those_of_the_reference);
	tcase_add_test(t, the_order_of_layers_and_rules_never_matters);
	tcase_add_test(t, a_layer_without_allow_rules_never_relaxes_and_a_ceiling_holds);
	tcase_add_test(t, a_diff_knows_every_change_and_its_examples_are_real);
	suite_add_tcase(s, t);
	return rig_run(s);
}
