/* What lint finds, by example, and that it finds nothing in a policy that is as it should be. */
#include "policy/lint.h"
#include "tests/lib/policy_rig.h"

static struct policy *any_load(const char *text)
{
	const struct policy_facts facts = {.ci = -1, .any = 1};
	struct policy_doc d = rig_doc("p.yaml", POLICY_REPO, text);
	struct policy_error e;
	struct policy *p = policy_load(&d, 1, &facts, &e);

	ck_assert_msg(p != NULL, "%s", e.text);
	return p;
}

/* The findings as "CODE:LINE " each, but L11 (no test), which most of these texts would have. */
static const char *found(const char *text)
{
	static char out[400];
	struct policy *p = any_load(text);
	struct policy_lint *l;
	struct error e;
	size_t n = 0;

	out[0] = 0;
	ck_assert_msg(policy_lint(p, &l, &e) == 0, "%s", e.text);
	for (size_t i = 0; i < l->findings; i++) {
		const struct lint_finding *f = &l->finding[i];

		ck_assert_str_eq(f->file, "p.yaml");
		if (strcmp(f->code, "L11") != 0)
			n += (size_t)snprintf(out + n, sizeof out - n, "%s:%u ", f->code, f->line);
	}
	policy_lint_free(l);
	policy_free(p);
	return out;
}

/* The text of the only finding with that code. */
static const char *text_of(const char *text, const char *code)
{
	static char out[2000];
	struct policy *p = any_load(text);
	struct policy_lint *l;

	out[0] = 0;
	ck_assert_int_eq(policy_lint(p, &l, NULL), 0);
	for (size_t i = 0; i < l->findings; i++) {
		if (strcmp(l->finding[i].code, code) != 0)
			continue;
		ck_assert_str_eq(out, "");
		snprintf(out, sizeof out, "%s", l->finding[i].text);
	}
	policy_lint_free(l);
	policy_free(p);
	return out;
}

START_TEST(an_allow_that_an_ask_covers_is_named_with_the_except_that_helps)
{
	const char *text = "policy: 1\nunmatched: deny\nnet:\n"
			   "  allow: [\"npm.registry.example:443\"]\n"
			   "  ask: [\"**.registry.example:443\"]\n";

	ck_assert_str_eq(found(text), "L1:4 ");
	ck_assert_ptr_nonnull(strstr(text_of(text, "L1"), "line 5"));
	ck_assert_ptr_nonnull(
		strstr(text_of(text, "L1"), "except: [\"npm.registry.example:443\"]"));
	ck_assert_str_eq(found("policy: 1\nunmatched: deny\nnet:\n"
			       "  allow: [\"npm.registry.example:443\"]\n"
			       "  ask:\n    - host: \"**.registry.example:443\"\n"
			       "      except: [\"npm.registry.example:443\"]\n"),
		"");
}
END_TEST

START_TEST(duplicates_and_subsets_are_found)
{
	ck_assert_str_eq(found("policy: 1\nunmatched: deny\nnet:\n"
			       "  allow: [\"*.example.com:443\", \"a.example.com:443\"]\n"),
		"L3:4 ");
	ck_assert_str_eq(found("policy: 1\nunmatched: deny\nfiles:\n"
			       "  allow:\n    - r ws:/src/**\n    - r ws:/doc/a\n"
			       "    - \"r ws:/{src/x,doc/a}\"\n"),
		"L6:5 L3:6 L1:7 ");
}
END_TEST

START_TEST(a_rule_that_says_what_holds_anyway_is_a_guard)
{
	ck_assert_str_eq(found("policy: 1\nunmatched: deny\nnet: {deny: [\"**:22\"]}\n"), "L2:3 ");
	ck_assert_str_eq(found("policy: 1\nunmatched: ask\nnet: {deny: [\"**:22\"]}\n"), "");
}
END_TEST

START_TEST(an_exception_that_excepts_nothing_is_found)
{
	ck_assert_str_eq(found("policy: 1\nfiles:\n  deny:\n    - path: r ws:/src/**\n"
			       "      except: [r ws:/doc/x, r ws:/src/y]\n"),
		"L4:4 ");
}
END_TEST

START_TEST(any_port_is_found)
{
	ck_assert_str_eq(
		found("policy: 1\nunmatched: deny\nnet: {allow: [\"a.example:*\"]}\n"), "L10:3 ");
}
END_TEST

START_TEST(a_rule_that_no_action_can_match_is_an_error)
{
	ck_assert_str_eq(
		found("policy: 1\nunmatched: deny\nnet: {allow: [\"-a.example:443\"]}\n"), "L5:3 ");
	ck_assert_str_eq(
		found("policy: 1\nunmatched: deny\nnet: {allow: [\"*.x-:443\"]}\n"), "L5:3 ");
}
END_TEST

START_TEST(danger_that_an_allow_reaches_is_shown_by_an_example)
{
	const char *text = "policy: 1\nunmatched: deny\nfiles: {allow: [\"r home:/**\"]}\n";

	ck_assert_ptr_nonnull(strstr(found(text), "L6:3 "));
	ck_assert_ptr_nonnull(strstr(text_of(text, "L6"), "secrets-read"));
	ck_assert_ptr_nonnull(strstr(text_of(text, "L6"), "file r home:/"));
}
END_TEST

START_TEST(a_rule_without_a_test_is_said)
{
	const char *text = "policy: 1\nunmatched: deny\nnet: {allow: [\"a.example:443\"]}\n"
			   "tests: [allow connect a.example:443]\n";

	ck_assert_str_eq(text_of(text, "L11"), "");
	ck_assert_ptr_nonnull(strstr(text_of("policy: 1\nunmatched: deny\nnet: {allow: "
					     "[\"a.example:443\"]}\n",
					     "L11"),
		"a.example:443"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("policy_lint");
	TCase *t = tcase_create("findings");

	tcase_set_timeout(t, 20);
	tcase_add_test(t, an_allow_that_an_ask_covers_is_named_with_the_except_that_helps);
	tcase_add_test(t, duplicates_and_subsets_are_found);
	tcase_add_test(t, a_rule_that_says_what_holds_anyway_is_a_guard);
	tcase_add_test(t, an_exception_that_excepts_nothing_is_found);
	tcase_add_test(t, any_port_is_found);
	tcase_add_test(t, a_rule_that_no_action_can_match_is_an_error);
	tcase_add_test(t, danger_that_an_allow_reaches_is_shown_by_an_example);
	tcase_add_test(t, a_rule_without_a_test_is_said);
	suite_add_tcase(s, t);
	return rig_run(s);
}
