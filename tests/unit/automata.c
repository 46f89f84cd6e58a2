/* Automata: expressions, products, minimal forms and words, against a matcher that follows the
 * expression itself. */
#include "policy/automata/choice.h"
#include "policy/automata/table.h"
#include "policy/automata/words.h"
#include "tests/lib/policy_rig.h"

static struct arena arena;

static void setup(void)
{
	arena_init(&arena, (size_t)64 << 20);
}

static void teardown(void)
{
	arena_free(&arena);
}

/* ---- the reference: every way to read p[0..n) as r, without an automaton ---- */

/* ends[i] is set when r can read p[from..i). Slow and obvious. */
static void reads(const struct re *r, const unsigned char *p, size_t n, size_t from, char *ends)
{
	char first[64], second[64];

	memset(ends, 0, n + 1);
	switch (r->type) {
	case RE_EMPTY:
		ends[from] = 1;
		break;
	case RE_NONE:
		break;
	case RE_SET:
		if (from < n && byteset_has(&r->u.set, p[from]))
			ends[from + 1] = 1;
		break;
	case RE_TEXT:
		if (n - from >= r->u.text.n && memcmp(p + from, r->u.text.p, r->u.text.n) == 0)
			ends[from + r->u.text.n] = 1;
		break;
	case RE_CAT:
		reads(r->u.sub.a, p, n, from, first);
		for (size_t i = from; i <= n; i++) {
			if (!first[i])
				continue;
			reads(r->u.sub.b, p, n, i, second);
			for (size_t j = i; j <= n; j++)
				ends[j] |= second[j];
		}
		break;
	case RE_ALT:
		reads(r->u.sub.a, p, n, from, first);
		reads(r->u.sub.b, p, n, from, second);
		for (size_t i = from; i <= n; i++)
			ends[i] = first[i] | second[i];
		break;
	case RE_STAR:
		ends[from] = 1;
		for (size_t i = from; i <= n; i++) {
			if (!ends[i])
				continue;
			reads(r->u.sub.a, p, n, i, first);
			for (size_t j = i + 1; j <= n; j++)
				ends[j] |= first[j];
		}
		break;
	}
}

static int matches(const struct re *r, const unsigned char *p, size_t n)
{
	char ends[64];

	reads(r, p, n, 0, ends);
	return ends[n];
}

static unsigned long seed = 1;

static unsigned pick(unsigned n)
{
	seed = seed * 6364136223846793005UL + 1442695040888963407UL;
	return (unsigned)(seed >> 33) % n;
}

static const struct re *random_re(unsigned depth)
{
	struct byteset s = {{0}};
	char text[3];

	switch (depth == 0 ? pick(3) : pick(7)) {
	case 0:
		for (size_t i = 0; i < sizeof text; i++)
			text[i] = (char)('a' + pick(3));
		return re_text(&arena, text, pick(4));
	case 1:
		for (unsigned b = 'a'; b < 'd'; b++) {
			if (pick(2))
				byteset_add(&s, b);
		}
		return re_set(&arena, &s);
	case 2:
		return re_range(&arena, 'a', 'z');
	case 3:
	case 4:
		return re_cat(&arena, random_re(depth - 1), random_re(depth - 1));
	case 5:
		return re_alt(&arena, random_re(depth - 1), random_re(depth - 1));
	default:
		return re_star(&arena, random_re(depth - 1));
	}
}

static size_t random_word(unsigned char *p, size_t max)
{
	size_t n = pick((unsigned)max + 1);

	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)('a' + pick(4));
	return n;
}

START_TEST(an_automaton_accepts_exactly_the_words_of_its_expression)
{
	for (int round = 0; round < 400; round++) {
		const struct re *r = random_re(4);
		struct alphabet a;
		struct dfa *d;

		alphabet_init(&a);
		alphabet_add(&a, r);
		ck_assert_int_eq(dfa_build(&a, r, 7, &d), DFA_OK);
		for (int i = 0; i < 60; i++) {
			unsigned char p[12];
			size_t n = random_word(p, sizeof p);

			ck_assert_int_eq(dfa_run(d, p, n), matches(r, p, n) ? 7 : 0);
		}
		dfa_free(d);
		teardown();
		setup();
	}
}
END_TEST

/* Many alternatives are built one by one and put together, also in the middle of an expression. */
START_TEST(an_expression_with_many_alternatives_is_built_in_parts_and_means_the_same)
{
	for (int round = 0; round < 150; round++) {
		const struct re *many = re_none(&arena), *r;
		struct alphabet a;
		struct dfa *d;

		for (int i = 0; i < 16; i++)
			many = re_alt(&arena, many, random_re(3));
		many = re_alt(&arena, many, re_text(&arena, "abcabcabcabcabcabcabcabcabcabc", 30));
		ck_assert_uint_gt(many->nodes, 40);
		r = re_cat(&arena, random_re(1), re_cat(&arena, many, random_re(1)));
		if (round % 3 == 0)
			r = re_cat(&arena, re_star(&arena, many), re_text(&arena, "d", 1));
		alphabet_init(&a);
		alphabet_add(&a, r);
		ck_assert_int_eq(dfa_build(&a, r, 7, &d), DFA_OK);
		for (int i = 0; i < 60; i++) {
			unsigned char p[10];
			size_t n = random_word(p, sizeof p);

			ck_assert_int_eq(dfa_run(d, p, n), matches(r, p, n) ? 7 : 0);
		}
		dfa_free(d);
		teardown();
		setup();
	}
}
END_TEST

/* Sequences of fields: texts without NUL, each with one behind it. */
static const struct re *random_fields(unsigned depth)
{
	switch (depth == 0 ? 0 : pick(6)) {
	case 0:
	case 1:
		return re_cat(&arena, random_re(2), re_range(&arena, 0, 0));
	case 2:
		return re_star(&arena, random_fields(depth - 1));
	case 3:
		return re_alt(&arena, random_fields(depth - 1), random_fields(depth - 1));
	default:
		return re_cat(&arena, random_fields(depth - 1), random_fields(depth - 1));
	}
}

static size_t random_fields_word(unsigned char *p, size_t max)
{
	size_t n = random_word(p, max);

	for (size_t i = 0; i < n; i++)
		p[i] = pick(3) == 0 || (i + 1 == n && pick(4)) ? 0 : p[i];
	return n;
}

/* Built field by field, and with what earlier expressions left behind. */
START_TEST(an_expression_of_fields_means_the_same_whatever_was_built_before)
{
	size_t accepted = 0;

	for (int round = 0; round < 300; round++) {
		const struct re *r[3];
		struct alphabet a;

		alphabet_init(&a);
		for (int i = 0; i < 3; i++) {
			r[i] = i ? re_cat(&arena, r[0], random_fields(3)) : random_fields(3);
			ck_assert(r[i]->fields & RE_FIELDS);
			alphabet_add(&a, r[i]);
		}
		a.choices = round % 2 ? choices_new() : NULL;
		for (int i = 0; i < 3; i++) {
			struct table *t;
			struct dfa *d;

			ck_assert_int_eq(dfa_build(&a, r[i], 7, &d), DFA_OK);
			ck_assert_int_eq(table_new(d, &t), DFA_OK);
			for (int j = 0; j < 60; j++) {
				unsigned char p[12];
				size_t n = random_fields_word(p, sizeof p);
				uint8_t expect = matches(r[i], p, n) ? 7 : 0;

				accepted += expect != 0;
				ck_assert_int_eq(dfa_run(d, p, n), expect);
				ck_assert_int_eq(table_run(t, p, n), expect);
			}
			table_free(t);
			dfa_free(d);
		}
		choices_free(a.choices);
		teardown();
		setup();
	}
	ck_assert_uint_gt(accepted, 1000);
	printf("automata: %zu words of fields accepted\n", accepted);
}
END_TEST

/* More labels at one point than a choice has room for: built the other way, with the same meaning. */
START_TEST(too_many_fields_at_one_point_are_built_as_a_whole)
{
	const struct re *r = re_none(&arena);
	struct alphabet a;
	struct dfa *d;

	for (unsigned i = 0; i < 80; i++) {
		char text[8];

		snprintf(text, sizeof text, "x%u", i);
		r = re_alt(&arena, r,
			re_cat(&arena, re_text(&arena, text, strlen(text) + 1),
				re_text(&arena, i % 2 ? "odd" : "even", i % 2 ? 4 : 5)));
	}
	alphabet_init(&a);
	alphabet_add(&a, r);
	ck_assert_int_eq(dfa_build(&a, r, 1, &d), DFA_OK);
	ck_assert_int_eq(dfa_run(d, "x79\0odd", 8), 1);
	ck_assert_int_eq(dfa_run(d, "x78\0odd", 8), 0);
	ck_assert_int_eq(dfa_run(d, "x78\0even", 9), 1);
	ck_assert_int_eq(dfa_run(d, "x80\0even", 9), 0);
	dfa_free(d);
}
END_TEST

START_TEST(products_do_to_marks_what_their_operation_does)
{
	dfa_op *const ops[] = {dfa_max, dfa_and, dfa_but_not, dfa_keep};

	for (int round = 0; round < 200; round++) {
		const struct re *r = random_re(3), *q = random_re(3);
		struct alphabet a;
		struct dfa *x, *y;

		alphabet_init(&a);
		alphabet_add(&a, r);
		alphabet_add(&a, q);
		ck_assert_int_eq(dfa_build(&a, r, 1, &x), DFA_OK);
		ck_assert_int_eq(dfa_build(&a, q, 2, &y), DFA_OK);
		for (size_t k = 0; k < sizeof ops / sizeof *ops; k++) {
			struct dfa *z;

			ck_assert_int_eq(dfa_product(x, y, ops[k], NULL, &z), DFA_OK);
			for (int i = 0; i < 40; i++) {
				unsigned char p[12];
				size_t n = random_word(p, sizeof p);
				uint8_t in_r = matches(r, p, n) ? 1 : 0;
				uint8_t in_q = matches(q, p, n) ? 2 : 0;

				ck_assert_int_eq(dfa_run(z, p, n), ops[k](NULL, in_r, in_q));
			}
			dfa_free(z);
		}
		dfa_free(x);
		dfa_free(y);
		teardown();
		setup();
	}
}
END_TEST

static struct dfa *built(const struct alphabet *a, const struct re *r, uint8_t mark)
{
	struct dfa *d;

	ck_assert_int_eq(dfa_build(a, r, mark, &d), DFA_OK);
	return d;
}

START_TEST(one_language_has_one_automaton_however_it_is_written)
{
	const struct re *x = re_text(&arena, "ab", 2), *y = re_text(&arena, "ac", 2);
	const struct re *both = re_alt(&arena, x, y);
	const struct re *other = re_cat(&arena, re_text(&arena, "a", 1),
		re_alt(&arena, re_text(&arena, "c", 1), re_text(&arena, "b", 1)));
	struct alphabet a;
	struct dfa *d, *e;

	alphabet_init(&a);
	alphabet_add(&a, both);
	d = built(&a, both, 1);
	e = built(&a, other, 1);
	ck_assert(dfa_same(d, e));
	ck_assert_uint_eq(d->states, 4); /* start, behind a, the end, nowhere */
	dfa_free(e);
	e = built(&a, x, 1);
	ck_assert(!dfa_same(d, e));
	dfa_free(d);
	dfa_free(e);
}
END_TEST

START_TEST(a_merge_of_many_is_the_merge_of_each_with_the_next_in_any_order)
{
	struct dfa *d[9], *forward, *backward, *reversed[9];
	const struct re *r[9];
	struct dfa_range left, right;
	struct alphabet a;

	alphabet_init(&a);
	for (size_t i = 0; i < 9; i++) {
		r[i] = random_re(3);
		alphabet_add(&a, r[i]);
	}
	for (size_t i = 0; i < 9; i++)
		d[i] = reversed[8 - i] = built(&a, r[i], (uint8_t)(1 + i % 3));
	ck_assert_int_eq(dfa_merge(d, 9, dfa_max, NULL, &forward, &left, &right), DFA_OK);
	ck_assert_int_eq(dfa_merge(reversed, 9, dfa_max, NULL, &backward, &left, &right), DFA_OK);
	ck_assert(dfa_same(forward, backward));
	for (int i = 0; i < 2000; i++) {
		unsigned char p[12];
		size_t n = random_word(p, sizeof p);
		uint8_t most = 0;

		for (size_t j = 0; j < 9; j++)
			most = dfa_max(NULL, most, dfa_run(d[j], p, n));
		ck_assert_int_eq(dfa_run(forward, p, n), most);
	}
	dfa_free(forward);
	dfa_free(backward);
	for (size_t i = 0; i < 9; i++)
		dfa_free(d[i]);
}
END_TEST

START_TEST(what_explodes_is_refused_and_named)
{
	/* The 16th byte from the end is an a: 2^16 states. */
	const struct re *any = re_range(&arena, 'a', 'b'), *tail = re_empty(&arena), *r;
	struct alphabet a;
	struct dfa *d = NULL;

	for (int i = 0; i < 16; i++)
		tail = re_cat(&arena, any, tail);
	r = re_cat(&arena, re_star(&arena, any), re_cat(&arena, re_text(&arena, "a", 1), tail));
	alphabet_init(&a);
	alphabet_add(&a, r);
	ck_assert_int_eq(dfa_build(&a, r, 1, &d), DFA_TOO_LARGE);
	ck_assert_ptr_null(d);
}
END_TEST

static unsigned plain_cost(unsigned char byte)
{
	return byte == 'c' ? 1 : 10;
}

START_TEST(the_cheapest_word_is_found)
{
	const struct re *any = re_range(&arena, 'a', 'd');
	const struct re *r = re_cat(&arena, re_text(&arena, "x", 1), re_plus(&arena, any));
	markset want = {{2}}; /* mark 1 */
	struct alphabet a;
	unsigned char *word;
	struct dfa *d;
	size_t n;

	alphabet_init(&a);
	alphabet_add(&a, r);
	d = built(&a, r, 1);
	ck_assert_int_eq(words_cheapest(d, &want, plain_cost, &word, &n), 1);
	ck_assert_uint_eq(n, 2);
	ck_assert_mem_eq(word, "xc", 2);
	free(word);
	want = (markset){{4}};
	ck_assert_int_eq(words_cheapest(d, &want, plain_cost, &word, &n), 0);
	dfa_free(d);
}
END_TEST

START_TEST(words_are_counted)
{
	const struct re *r = re_cat(
		&arena, re_range(&arena, 'a', 'c'), re_opt(&arena, re_text(&arena, "xy", 2)));
	const struct re *many = re_star(&arena, re_text(&arena, "a", 1));
	markset want = {{2}};
	struct alphabet a;
	struct dfa *d;

	alphabet_init(&a);
	alphabet_add(&a, r);
	d = built(&a, r, 1);
	ck_assert_uint_eq(words_count(d, &want), 6);
	dfa_free(d);
	d = built(&a, many, 1);
	ck_assert_uint_eq(words_count(d, &want), WORDS_MANY);
	ck_assert(words_any(d, &want));
	dfa_free(d);
	d = built(&a, re_none(&arena), 1);
	ck_assert_uint_eq(words_count(d, &want), 0);
	ck_assert(!words_any(d, &want));
	dfa_free(d);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("automata");
	TCase *t = tcase_create("automata");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, an_automaton_accepts_exactly_the_words_of_its_expression);
	tcase_add_test(
		t, an_expression_with_many_alternatives_is_built_in_parts_and_means_the_same);
	tcase_add_test(t, an_expression_of_fields_means_the_same_whatever_was_built_before);
	tcase_add_test(t, too_many_fields_at_one_point_are_built_as_a_whole);
	tcase_add_test(t, products_do_to_marks_what_their_operation_does);
	tcase_add_test(t, one_language_has_one_automaton_however_it_is_written);
	tcase_add_test(t, a_merge_of_many_is_the_merge_of_each_with_the_next_in_any_order);
	tcase_add_test(t, what_explodes_is_refused_and_named);
	tcase_add_test(t, the_cheapest_word_is_found);
	tcase_add_test(t, words_are_counted);
	suite_add_tcase(s, t);
	return rig_run(s);
}
