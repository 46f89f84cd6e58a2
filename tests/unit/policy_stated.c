/* Keys that are checked and kept although nothing enforces them yet: they are listed in one
 * spelling, and no session starts with one. */
#include "tests/lib/policy_rig.h"

static const char *const text =
	"policy: 1\n"
	"extends: [{builtin: coding-base@1}]\n"
	"dns: {only_for: net.allow}\n"
	"limits:\n"
	"  disk_write: 20GiB\n"
	"  actions: {\"mcp mail/delete_*\": 5 per 10m, 'tool Bash {/command: git *}': 100 per 1h}\n"
	"session: {lease: 4h, heartbeat: 30s, kill_if: {denials_per_minute: 30, canary_read: "
	"true}}\n"
	"audit: {keep: 90d, redact: [env, headers, \"flag(--token|-p)\"], long_args: hash}\n"
	"approvals: {budget: {prompts_per_hour: 12, over: freeze}, remember: {widest: "
	"same-command}}\n"
	"secrets:\n"
	"  - {name: GH_TOKEN, from: \"keyring:github\", for: \"https://api.github.com/**\", "
	"header: "
	"Authorization}\n";

static void stated(const struct policy *p, const char *want, const char *value)
{
	const char *key, *is, *file;
	unsigned line;

	for (size_t i = 0; policy_stated(p, i, &key, &is, &file, &line) == 0; i++) {
		if (strcmp(key, want) != 0)
			continue;
		ck_assert_str_eq(is, value);
		ck_assert_str_eq(file, "test.yaml");
		ck_assert_uint_gt(line, 2);
		return;
	}
	ck_assert_msg(0, "%s is not stated", want);
}

START_TEST(each_key_is_kept_in_one_spelling)
{
	struct policy *p = rig_load(text);

	stated(p, "dns.only_for", "net.allow");
	stated(p, "limits.disk_write", "20971520KiB");
	stated(p, "limits.actions mcp mail/delete_*", "5 per 600s");
	stated(p, "limits.actions tool Bash {/command: git *}", "100 per 3600s");
	stated(p, "session.lease", "14400s");
	stated(p, "session.heartbeat", "30s");
	stated(p, "session.kill_if.denials_per_minute", "30");
	stated(p, "session.kill_if.canary_read", "true");
	stated(p, "audit.keep", "7776000s");
	stated(p, "audit.redact", "env, headers, flag(--token|-p)");
	stated(p, "audit.long_args", "hash");
	stated(p, "approvals.budget.prompts_per_hour", "12");
	stated(p, "approvals.budget.over", "freeze");
	stated(p, "approvals.remember.widest", "same-command");
	stated(p, "secrets GH_TOKEN",
		"keyring:github for https://api.github.com/** as Authorization");
	policy_free(p);
}
END_TEST

START_TEST(no_session_starts_with_one)
{
	struct policy *p = rig_load("policy: 1\naudit: {keep: 90d}\n");
	const char *section, *file;
	unsigned line;

	ck_assert_int_eq(policy_ungated(p, &section, &file, &line), 1);
	ck_assert_str_eq(section, "audit.keep");
	ck_assert_uint_eq(line, 2);
	policy_free(p);
}
END_TEST

START_TEST(a_layer_that_does_not_apply_does_not_keep_a_session_from_starting)
{
	struct policy *p = rig_load("policy: 1\nwhen: {agent: [codex]}\naudit: {keep: 90d}\n");
	const char *section, *file;
	unsigned line;

	ck_assert_int_eq(policy_ungated(p, &section, &file, &line), 0);
	policy_free(p);
}
END_TEST

START_TEST(the_builtin_layer_may_be_named)
{
	struct policy *p = rig_load("policy: 1\nextends: [{builtin: coding-base@1}]\n");
	const char *section, *file;
	unsigned line;

	ck_assert_int_eq(policy_ungated(p, &section, &file, &line), 0);
	policy_free(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("policy_stated");
	TCase *t = tcase_create("keys without a gate");

	tcase_add_test(t, each_key_is_kept_in_one_spelling);
	tcase_add_test(t, no_session_starts_with_one);
	tcase_add_test(t, a_layer_that_does_not_apply_does_not_keep_a_session_from_starting);
	tcase_add_test(t, the_builtin_layer_may_be_named);
	suite_add_tcase(s, t);
	return rig_run(s);
}
