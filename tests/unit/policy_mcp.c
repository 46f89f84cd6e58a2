/* Calls of MCP servers' tools: which calls rules match, and what counts as which argument. */
#include "tests/lib/policy_rig.h"

static const char *decided(const struct policy *p, const struct action *a)
{
	struct decision d;

	policy_decide(p, a, &d);
	ck_assert_int_eq(policy_verdict(p, a), d.verdict);
	return verdict_name(d.verdict);
}

static const char *verdict(const struct policy *p, const char *text)
{
	struct action *a;
	struct error e;
	const char *v;

	ck_assert_msg(policy_parse_action(text, &a, &e) == 0, "%s: %s", text, e.text);
	v = decided(p, a);
	action_free(a);
	return v;
}

static const char *const policy =
	"policy: 1\n"
	"mcp:\n"
	"  allow:\n"
	"    - \"github/{get,list}_* {/owner: acme}\"\n"
	"    - notes/*\n"
	"  ask:\n"
	"    - \"github/create_issue {/owner: acme, /repo: 'web{,-*}'}\"\n"
	"  deny:\n"
	"    - \"*/delete_*\"\n"
	"    - call: \"*/* {/meta/dry: 'false'}\"\n"
	"      except: [\"notes/* {/meta/by: me}\"]\n"
	"unmatched: deny\n";

START_TEST(rules_decide_what_they_say)
{
	struct policy *p = rig_load(policy);

	ck_assert_str_eq(verdict(p, "mcp github/get_issue {/owner: acme}"), "allow");
	ck_assert_str_eq(verdict(p, "mcp github/get_issue {/owner: acme, /x: y}"), "allow");
	ck_assert_str_eq(verdict(p, "mcp github/get_issue {/owner: acme2}"), "deny");
	ck_assert_str_eq(verdict(p, "mcp github/get_issue"), "deny");
	ck_assert_str_eq(verdict(p, "mcp gitlab/get_issue {/owner: acme}"), "deny");
	ck_assert_str_eq(verdict(p, "mcp github/create_issue {/repo: web, /owner: acme}"), "ask");
	ck_assert_str_eq(verdict(p, "mcp github/create_issue {/repo: web-a, /owner: acme}"), "ask");
	ck_assert_str_eq(verdict(p, "mcp github/create_issue {/repo: web}"), "deny");
	ck_assert_str_eq(verdict(p, "mcp notes/anything {/a: b}"), "allow");
	ck_assert_str_eq(verdict(p, "mcp notes/delete_all"), "deny");
	ck_assert_str_eq(verdict(p, "mcp notes/write {/meta/dry: false}"), "deny");
	ck_assert_str_eq(verdict(p, "mcp notes/write {/meta/dry: false, /meta/by: me}"), "allow");
	policy_free(p);
}
END_TEST

/* Lists and objects cannot be known: allow rules do not match them, deny and ask rules do. */
START_TEST(an_object_where_a_text_is_expected_counts_on_the_strict_side)
{
	struct policy *p = rig_load(policy);

	ck_assert_str_eq(verdict(p, "mcp github/get_issue {/owner: {}}"), "deny");
	ck_assert_str_eq(verdict(p, "mcp github/get_issue {/owner: []}"), "deny");
	ck_assert_str_eq(verdict(p, "mcp github/get_issue {/owner/0: acme}"), "deny");
	ck_assert_str_eq(verdict(p, "mcp github/create_issue {/owner: {}, /repo/x: y}"), "ask");
	ck_assert_str_eq(verdict(p, "mcp notes/write {/meta/dry/x: y}"), "deny");
	ck_assert_str_eq(verdict(p, "mcp notes/write {/meta/dry: {}, /meta/by: {}}"), "deny");
	ck_assert_str_eq(verdict(p, "mcp notes/write {/meta: x}"), "allow");
	ck_assert_str_eq(verdict(p, "mcp notes/write {/meta/dry: '{}'}"), "allow");
	policy_free(p);
}
END_TEST

START_TEST(values_that_are_no_strings_are_compared_by_their_text)
{
	struct policy *p = rig_load(policy);
	const struct action_arg args[] = {{"/meta/dry", 9, ACTION_FALSE, NULL, 0}};
	struct action *a;
	struct error e;

	ck_assert_int_eq(action_from_mcp(&a, "notes", 5, "write", 5, args, 1, &e), 0);
	ck_assert_str_eq(decided(p, a), "deny");
	action_free(a);
	policy_free(p);
}
END_TEST

START_TEST(a_path_is_a_text)
{
	struct policy *p = rig_load("policy: 1\nmcp: {allow: [\"fs/read {/path: '/data/*'}\"]}\n");

	ck_assert_str_eq(verdict(p, "mcp fs/read {/path: /data/x}"), "allow");
	ck_assert_str_eq(verdict(p, "mcp fs/read {/path: /tmp/../data/x}"), "ask");
	policy_free(p);
}
END_TEST

static void refused(const char *server, const char *tool)
{
	struct action *a;
	struct error e = {0};

	ck_assert_int_eq(
		action_from_mcp(&a, server, strlen(server), tool, strlen(tool), NULL, 0, &e), -1);
	ck_assert_ptr_null(a);
	ck_assert_msg(strstr(e.text, "not canonical") != NULL, "%s", e.text);
}

START_TEST(names_that_are_none_are_refused)
{
	char longest[260];

	memset(longest, 'x', sizeof longest);
	longest[250] = 0;
	refused("", "t");
	refused("s", "");
	refused("s/x", "t");
	refused("s", "t/x");
	refused("s", "t x");
	refused("s\xc3\xa9", "t");
	refused(longest, "123456");
}
END_TEST

START_TEST(without_rules_calls_are_unmatched)
{
	struct policy *p = rig_load("policy: 1\nunmatched: deny\n");

	ck_assert_str_eq(verdict(p, "mcp a/b {/c: d}"), "deny");
	policy_free(p);
}
END_TEST

START_TEST(inline_tests_are_run)
{
	struct policy *p = rig_load("policy: 1\nmcp: {allow: [\"a/b {/c: d}\"]}\ntests:\n"
				    "  - 'allow mcp a/b {/c: d}'\n  - 'ask mcp a/b {/c: {}}'\n");
	size_t run;

	ck_assert_uint_eq(policy_run_tests(p, &run, NULL, NULL), 0);
	ck_assert_uint_gt(run, 2);
	policy_free(p);
	ck_assert_ptr_nonnull(
		strstr(rig_error("policy: 1\ntests:\n  - allow mcp a/b\n"), "the decision is ask"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("policy_mcp");
	TCase *t = tcase_create("calls");

	tcase_add_test(t, rules_decide_what_they_say);
	tcase_add_test(t, an_object_where_a_text_is_expected_counts_on_the_strict_side);
	tcase_add_test(t, values_that_are_no_strings_are_compared_by_their_text);
	tcase_add_test(t, a_path_is_a_text);
	tcase_add_test(t, names_that_are_none_are_refused);
	tcase_add_test(t, without_rules_calls_are_unmatched);
	tcase_add_test(t, inline_tests_are_run);
	suite_add_tcase(s, t);
	return rig_run(s);
}
