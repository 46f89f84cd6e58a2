/* Patterns: what they mean, by example and against a slow matcher that is obviously right. */
#include "policy/pattern.h"

#include <time.h>

#include "policy/automata/dfa.h"
#include "tests/lib/policy_rig.h"
#include "tests/lib/slow_match.h"

static struct arena arena;

static void setup(void)
{
	arena_init(&arena, 16u << 20);
}

static void teardown(void)
{
	arena_free(&arena);
}

/* -1: the automaton would have too many states. */
static int automaton_matches(const struct pattern *p, const char *text, size_t n)
{
	struct arena own;
	const struct re *r;
	struct alphabet a;
	struct dfa *d;
	int matched;

	arena_init(&own, 16u << 20);
	r = pattern_re(&own, p);
	alphabet_init(&a);
	alphabet_add(&a, r);
	matched = dfa_build(&a, r, 1, &d);
	if (matched == DFA_TOO_LARGE) {
		arena_free(&own);
		return -1;
	}
	ck_assert_int_eq(matched, DFA_OK);
	matched = dfa_run(d, text, n);
	dfa_free(d);
	arena_free(&own);
	return matched;
}

static int matches_as(enum pattern_kind kind, const char *pattern, const char *text)
{
	struct pattern_fault f = {0};
	struct action_index index = text_index(text, strlen(text));
	struct pattern p;

	ck_assert_msg(pattern_compile(&arena, kind, pattern, strlen(pattern), &p, &f) == 0,
		"%s: %s", pattern, f.text);
	ck_assert_msg(pattern_match(&p, text, strlen(text), &index, 0, 0) ==
			      automaton_matches(&p, text, strlen(text)),
		"the automaton of %s differs for %s", pattern, text);
	return pattern_match(&p, text, strlen(text), &index, 0, 0);
}

static void yes(const char *pattern, const char *text)
{
	ck_assert_msg(
		matches_as(PATTERN_VALUE, pattern, text), "%s should match %s", pattern, text);
}

static void no(const char *pattern, const char *text)
{
	ck_assert_msg(
		!matches_as(PATTERN_VALUE, pattern, text), "%s must not match %s", pattern, text);
}

START_TEST(a_pattern_matches_the_whole_text_or_nothing)
{
	yes("git status", "git status");
	no("git status", "git status --short");
	no("git status", "xgit status");
	no("git status", "GIT status");
	yes("*", "");
	no("?", "");
}
END_TEST

START_TEST(one_star_in_a_path_stops_at_a_slash)
{
	yes("ws:/*.c", "ws:/main.c");
	yes("ws:/*.c", "ws:/.c");
	no("ws:/*.c", "ws:/src/main.c");
	no("ws:/*", "ws:/a/b");
	yes("/etc/*/x", "/etc/a/x");
	no("/etc/*/x", "/etc/a/b/x");
}
END_TEST

START_TEST(stars_that_meet_through_braces_stay_single)
{
	yes("ws:/{src*,lib}*", "ws:/src-a");
	no("ws:/{src*,lib}*", "ws:/src/a");
	no("ws:/a*{*,x}/y", "ws:/a/b/y");
	yes("ws:/{**,a}/x", "ws:/b/c/x");
	yes("{a*,b}*", "a/b");
}
END_TEST

START_TEST(two_stars_in_a_path_cross_slashes)
{
	yes("ws:/**", "ws:/a");
	yes("ws:/**", "ws:/a/b/c");
	no("ws:/**", "home:/a");
	yes("ws:/**", "ws:/");
	yes("ws:/src/**", "ws:/src/a");
	no("ws:/src/**", "ws:/src");
	no("ws:/src/**", "ws:/srcs/a");
	yes("ws:/a**z", "ws:/a/b/z");
}
END_TEST

START_TEST(two_stars_and_a_slash_are_zero_or_more_directories)
{
	yes("ws:/**/x", "ws:/x");
	yes("ws:/**/x", "ws:/a/x");
	yes("ws:/**/x", "ws:/a/b/x");
	no("ws:/**/x", "ws:/ax");
	no("ws:/**/x", "ws:/a/bx");
	yes("ws:/a/**/b/**/c", "ws:/a/b/c");
	yes("ws:/a/**/b/**/c", "ws:/a/1/b/2/3/c");
	no("ws:/a/**/b/**/c", "ws:/a/1/c");
	yes("ws:/**/*.pem", "ws:/k/.pem");
	yes("ws:/**/.git/hooks/**", "ws:/.git/hooks/pre-commit");
	yes("ws:/**/.git/hooks/**", "ws:/v/l/.git/hooks/pre-commit");
}
END_TEST

START_TEST(a_star_in_a_text_matches_anything_also_slashes_and_newlines)
{
	yes("git *", "git log -- src/a.c");
	yes("git *", "git a\nrm b");
	yes("*token*", "my token");
	no("*token*", "toke");
	yes("a*b*c", "a/b/c");
	no("a*b*c", "a/c/b");
}
END_TEST

START_TEST(braces_are_alternatives_and_nest)
{
	yes("{a,b}c", "ac");
	yes("{a,b}c", "bc");
	no("{a,b}c", "abc");
	yes("x{,y}", "x");
	yes("x{,y}", "xy");
	yes("{a,{b,c{d,e}}}", "ce");
	no("{a,{b,c{d,e}}}", "c");
	yes("a,b", "a,b");
	yes("ws:/{src,test}/**", "ws:/test/a");
}
END_TEST

START_TEST(brackets_are_one_character)
{
	yes("[a-c]x", "bx");
	no("[a-c]x", "dx");
	yes("[!a-c]x", "dx");
	no("[!a-c]x", "ax");
	no("ws:/a[!b]c", "ws:/a/c");
	no("ws:/a?c", "ws:/a/c");
	yes("a?c", "a/c");
	yes("[é-ü]", "ö");
	yes("?", "ö");
	no("??", "ö");
	yes("[*]", "*");
	no("[*]", "x");
	yes("[-a]", "-");
}
END_TEST

START_TEST(a_backslash_takes_a_character_literally)
{
	yes("a\\*b", "a*b");
	no("a\\*b", "axb");
	yes("\\{a\\,b\\}", "{a,b}");
	yes("\\\\", "\\");
	yes("{a\\,b,c}", "a,b");
}
END_TEST

START_TEST(a_text_can_be_told_from_a_path)
{
	no("/usr/bin/x *", "/usr/bin/x a/b");
	yes("[/]usr/bin/x *", "/usr/bin/x a/b");
	yes("[.]/run *", "./run a");
	yes("https://*", "https://example.org/a");
}
END_TEST

/* ---- against a slow matcher ---- */

static unsigned long long seed = 88172645463325252ULL;

static unsigned roll(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed % n);
}

static void random_pattern(char *out, unsigned depth, int path)
{
	unsigned i, n = 1 + roll(4);

	for (i = 0; i < n; i++) {
		static const char *const plain[] = {
			"a", "b", "a", "b", "*", "?", "[ab]", "[!a]", "ab", "/a", "/b", "."};
		unsigned pick = roll(16);

		if (pick < 12)
			strcat(out, plain[pick]);
		else if (pick < 14)
			strcat(out, path ? (pick == 12 ? "**" : "/**/") : "b");
		else if (depth < 2) {
			strcat(out, "{");
			random_pattern(out, depth + 1, path);
			strcat(out, ",");
			random_pattern(out, depth + 1, path);
			strcat(out, "}");
		}
	}
}

static void random_text(char *out)
{
	unsigned i, n = roll(9);

	for (i = 0; i < n; i++)
		out[i] = "aabb/."[roll(6)];
	out[n] = 0;
}

START_TEST(random_patterns_agree_with_the_slow_matcher)
{
	unsigned tried = 0, matched = 0, compiled = 0, round;

	for (round = 0; round < 20000; round++) {
		int path = (int)roll(2), k;
		char pattern[200], text[40];
		struct pattern_fault f;
		struct pattern p;
		struct arena a;

		strcpy(pattern, path ? "ws:/" : "");
		random_pattern(pattern, 0, path);
		arena_init(&a, 1u << 20);
		if (strstr(pattern, "***") || strlen(pattern) > 90 ||
			pattern_compile(&a, PATTERN_VALUE, pattern, strlen(pattern), &p, &f) ||
			p.is_path != path) {
			arena_free(&a);
			continue;
		}
		tried++;
		for (k = 0; k < 6; k++) {
			struct action_index index;
			int want, have;

			strcpy(text, path ? "ws:/" : "");
			random_text(text + strlen(text));
			index = text_index(text, strlen(text));
			want = slow_braces(pattern, text, path);
			have = pattern_match(&p, text, strlen(text), &index, 0, 0);
			ck_assert_msg(want == have, "%s on %s: %d, should be %d", pattern, text,
				have, want);
			have = k || tried % 8 ? -1 : automaton_matches(&p, text, strlen(text));
			compiled += have >= 0;
			ck_assert_msg(have < 0 || want == have,
				"automaton of %s on %s: should be %d", pattern, text, want);
			matched += (unsigned)want;
		}
		arena_free(&a);
	}
	ck_assert_uint_gt(tried, 5000);
	ck_assert_uint_gt(compiled, tried / 8 - tried / 100);
	ck_assert_uint_gt(matched, 2000);
}
END_TEST

START_TEST(no_pattern_takes_more_than_linear_time_in_a_hostile_text)
{
	static const char *const patterns[] = {"*a*a*a*a*a*a*a*a*a*a*a*ab", "a*a*a*a*a*a*b*c*d",
		"ws:/**a*a*a**a*a*a**a*a*ab*", "ws:/**/a*/**/a*/**/a*/**/b", "*?*?*?*?*?*?*?*?b*"};
	size_t n = 1u << 20, i;
	char *text = malloc(n);

	ck_assert_ptr_nonnull(text);
	for (i = 0; i < sizeof patterns / sizeof *patterns; i++) {
		struct pattern_fault f;
		struct action_index index;
		struct pattern p;
		clock_t start;

		memset(text, 'a', n);
		memcpy(text, "ws:/", strncmp(patterns[i], "ws:", 3) ? 0 : 4);
		text[n - 1] = 'b';
		text[n - 2] = 'x';
		ck_assert_int_eq(pattern_compile(&arena, PATTERN_VALUE, patterns[i],
					 strlen(patterns[i]), &p, &f),
			0);
		start = clock();
		index = text_index(text, n);
		pattern_match(&p, text, n, &index, 0, 0);
		ck_assert_msg((double)(clock() - start) / CLOCKS_PER_SEC < 1.0, "%s", patterns[i]);
	}
	free(text);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("policy_pattern");
	TCase *t = tcase_create("patterns");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 20);
	tcase_add_test(t, a_pattern_matches_the_whole_text_or_nothing);
	tcase_add_test(t, one_star_in_a_path_stops_at_a_slash);
	tcase_add_test(t, stars_that_meet_through_braces_stay_single);
	tcase_add_test(t, two_stars_in_a_path_cross_slashes);
	tcase_add_test(t, two_stars_and_a_slash_are_zero_or_more_directories);
	tcase_add_test(t, a_star_in_a_text_matches_anything_also_slashes_and_newlines);
	tcase_add_test(t, braces_are_alternatives_and_nest);
	tcase_add_test(t, brackets_are_one_character);
	tcase_add_test(t, a_backslash_takes_a_character_literally);
	tcase_add_test(t, a_text_can_be_told_from_a_path);
	tcase_add_test(t, random_patterns_agree_with_the_slow_matcher);
	tcase_add_test(t, no_pattern_takes_more_than_linear_time_in_a_hostile_text);
	suite_add_tcase(s, t);
	return rig_run(s);
}
