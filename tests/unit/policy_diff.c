/* What a change of policy means, by example: the edits that a text diff gets wrong. */
#include "policy/diff.h"
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

static struct policy_diff *diff(const char *was, const char *now)
{
	struct policy *old = any_load(was), *new = any_load(now);
	static struct policy *kept[2];
	struct policy_diff *d;
	struct error e;

	policy_free(kept[0]); /* the names in a diff live as long as the policies */
	policy_free(kept[1]);
	kept[0] = old;
	kept[1] = new;
	ck_assert_msg(policy_diff(old, new, &d, &e) == 0, "%s", e.text);
	return d;
}

static const struct diff_change *change(
	const struct policy_diff *d, const char *kind, enum verdict was, enum verdict now)
{
	for (size_t i = 0; i < d->changes; i++) {
		const struct diff_change *c = &d->change[i];

		if (strcmp(c->kind, kind) == 0 && c->was == was && c->now == now)
			return c;
	}
	ck_abort_msg("no change of %s from %s to %s", kind, verdict_name(was), verdict_name(now));
}

START_TEST(a_new_host_pattern_is_wider_and_shown_by_a_name)
{
	struct policy_diff *d =
		diff("policy: 1\nunmatched: deny\nnet: {allow: [\"a.example:443\"]}\n",
			"policy: 1\nunmatched: deny\nnet:\n  allow: [\"a.example:443\", "
			"\"*.example.com:443\"]\n");
	const struct diff_change *c = change(d, "connect", VERDICT_DENY, VERDICT_ALLOW);

	ck_assert_uint_eq(d->changes, 1);
	ck_assert_int_eq(d->wider, 1);
	ck_assert_str_eq(c->example, "x.example.com:443");
	ck_assert_uint_eq(c->causes, 1);
	ck_assert_uint_eq(d->rule[c->cause[0]].line, 4);
	ck_assert_int_eq(d->rule[c->cause[0]].added, 1);
	policy_diff_free(d);
}
END_TEST

START_TEST(a_rule_that_another_one_covers_changes_nothing)
{
	struct policy_diff *d =
		diff("policy: 1\nunmatched: deny\nnet: {deny: [\"**.paste.example:*\"]}\n",
			"policy: 1\nunmatched: deny\n");

	ck_assert_uint_eq(d->changes, 0);
	ck_assert_int_eq(d->wider, 0);
	ck_assert_uint_eq(d->rules, 1);
	ck_assert_int_eq(d->rule[0].matters, 0);
	policy_diff_free(d);
}
END_TEST

START_TEST(order_comments_and_spelling_change_nothing)
{
	struct policy_diff *d = diff("policy: 1\nfiles:\n  deny: [\"r ws:/{a,b}\", \"w ws:/c\"]\n",
		"# moved\npolicy: 1\nfiles:\n  deny: [\"wdma ws:/c\", \"r ws:/b\", \"r ws:/a\"]\n");

	ck_assert_uint_eq(d->changes, 0);
	ck_assert_int_eq(d->wider, 0);
	policy_diff_free(d);
}
END_TEST

START_TEST(few_actions_are_counted)
{
	struct policy_diff *d = diff("policy: 1\nfiles: {deny: [\"r ws:/{a,b,c}\"]}\n",
		"policy: 1\nfiles: {deny: [\"r ws:/a\"]}\n");

	ck_assert_uint_eq(change(d, "file", VERDICT_DENY, VERDICT_ASK)->count, 2);
	ck_assert_str_eq(change(d, "file", VERDICT_DENY, VERDICT_ASK)->example, "r ws:/b");
	policy_diff_free(d);
}
END_TEST

START_TEST(tools_are_compared_with_their_arguments)
{
	struct policy_diff *d =
		diff("policy: 1\ntools:\n  allow: [\"Edit {/file_path: ws:/src/**}\"]\n",
			"policy: 1\ntools:\n  allow: [\"Edit {/file_path: ws:/**}\"]\n");
	const struct diff_change *c = change(d, "tool", VERDICT_ASK, VERDICT_ALLOW);

	ck_assert_uint_eq(d->changes, 1);
	ck_assert_msg(strncmp(c->example, "Edit {/file_path: \"ws:/", 23) == 0, "%s", c->example);
	policy_diff_free(d);
}
END_TEST

START_TEST(a_layer_for_another_agent_is_compared_too)
{
	struct policy_diff *d = diff("policy: 1\nwhen: {agent: [codex]}\ntools: {allow: [Read]}\n",
		"policy: 1\nwhen: {agent: [codex]}\ntools: {allow: [Read, WebFetch]}\n");

	ck_assert_str_eq(change(d, "tool", VERDICT_ASK, VERDICT_ALLOW)->example, "WebFetch");
	policy_diff_free(d);
	d = diff("policy: 1\nwhen: {agent: [codex]}\n",
		"policy: 1\nwhen: {agent: [codex, openclaw]}\n");
	ck_assert_int_eq(d->wider, 1);
	ck_assert_str_eq(d->setting[0].what, "when");
	policy_diff_free(d);
}
END_TEST

static void setting(const char *was, const char *now, const char *what, int wider)
{
	char old[400], new[400];
	struct policy_diff *d;

	snprintf(old, sizeof old, "policy: 1\n%s", was);
	snprintf(new, sizeof new, "policy: 1\n%s", now);
	d = diff(old, new);
	ck_assert_msg(d->settings == 1, "%zu settings from %s", d->settings, now);
	ck_assert_msg(
		strncmp(d->setting[0].what, what, strlen(what)) == 0, "%s", d->setting[0].what);
	ck_assert_int_eq(d->setting[0].wider, wider);
	ck_assert_int_eq(d->wider, wider > 0);
	policy_diff_free(d);
}

START_TEST(settings_are_wider_or_stricter_too)
{
	setting("limits: {memory: 1GiB}\n", "limits: {memory: 2GiB}\n", "limits.memory", 1);
	setting("limits: {memory: 2GiB}\n", "limits: {memory: 1GiB}\n", "limits.memory", -1);
	setting("limits: {wall: 1h}\n", "", "limits.wall", 1);
	setting("limits: {cpu: 2}\n", "limits: {cpu: {max: 2, best-effort: true}}\n", "limits.cpu",
		1);
	setting("env: {pass: [PATH]}\n", "env: {pass: [PATH, TOKEN]}\n", "env.pass TOKEN", 1);
	setting("env: {pass: [PATH, \"MY_*\"]}\n", "env: {pass: [PATH]}\n", "env.pass MY_*", -1);
	setting("env: {set: {A: x}}\n", "env: {set: {A: y}}\n", "env.set A", 0);
	setting("workspace: {mounts: [ro home:/data]}\n", "workspace: {mounts: [rw home:/data]}\n",
		"workspace.mounts home:/data", 1);
	setting("workspace: {mounts: [hidden home:/data]}\n", "", "workspace.mounts home:/data", 1);
	setting("workspace: {mounts: [ro home:/data]}\n", "", "workspace.mounts home:/data", -1);
	setting("approvals: {who: [admin]}\n", "approvals: {who: [admin, session-owner]}\n",
		"approvals.who", 1);
	setting("session: {lease: 4h}\n", "session: {lease: 8h}\n", "session.lease", 1);
	setting("audit: {keep: 90d}\n", "", "audit.keep", 1);
	setting("approvals: {remember: {longest: once}}\n",
		"approvals: {remember: {longest: session}}\n", "approvals.remember", 1);
}
END_TEST

START_TEST(unmatched_is_a_change_of_its_own)
{
	struct policy_diff *d = diff("policy: 1\nunmatched: deny\nnet: {deny: [\"**:22\"]}\n",
		"policy: 1\nunmatched: ask\nnet: {deny: [\"**:22\"]}\n");
	const struct diff_change *c = change(d, "connect", VERDICT_DENY, VERDICT_ASK);

	ck_assert_uint_eq(c->causes, 0);
	ck_assert_ptr_nonnull(c->example);
	ck_assert_int_eq(d->wider, 1);
	policy_diff_free(d);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("policy_diff");
	TCase *t = tcase_create("differences");

	tcase_set_timeout(t, 20);
	tcase_add_test(t, a_new_host_pattern_is_wider_and_shown_by_a_name);
	tcase_add_test(t, a_rule_that_another_one_covers_changes_nothing);
	tcase_add_test(t, order_comments_and_spelling_change_nothing);
	tcase_add_test(t, few_actions_are_counted);
	tcase_add_test(t, tools_are_compared_with_their_arguments);
	tcase_add_test(t, a_layer_for_another_agent_is_compared_too);
	tcase_add_test(t, settings_are_wider_or_stricter_too);
	tcase_add_test(t, unmatched_is_a_change_of_its_own);
	suite_add_tcase(s, t);
	return rig_run(s);
}
