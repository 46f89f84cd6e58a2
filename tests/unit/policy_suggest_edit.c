/* Rules into documents as people write them: the new text loads, nothing else in it changes, and the
 * difference is what patch(1) and git take. */
#include <unistd.h>

#include "policy/suggest/edit.h"
#include "tests/lib/policy_rig.h"

static const char *const excepted[] = {"git log \"-*\"", "git log ... path(out) ..."};
static const struct edit_rule rules[] = {
	{"exec", "cmd", "make 'a b'", NULL, 0, "3x in 2 sessions"},
	{"exec", "cmd", "git log *", excepted, 2, "4x in 2 sessions"},
	{"net", "host", "a.example:443", NULL, 0, "5x in 3 sessions"},
};

/* Writes the old text and the difference to files and lets a program apply it; its result. */
static char *applied(const char *old, const char *diff, const char *with)
{
	char dir[] = "/tmp/agentd-edit-XXXXXX", cmd[400], *text = calloc(1, 65536);
	FILE *f;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(cmd, sizeof cmd, "%s/d.patch", dir);
	f = fopen(cmd, "w");
	fputs("# a comment\n# --- a/other\n", f);
	fputs(diff, f);
	fputs("\npolicy change: wider\n    because of it\n", f);
	fclose(f);
	snprintf(cmd, sizeof cmd, "%s/p.yaml", dir);
	f = old ? fopen(cmd, "w") : NULL;
	if (f) {
		fputs(old, f);
		fclose(f);
	}
	snprintf(cmd, sizeof cmd, "cd %s && %s < d.patch > out 2>&1 || { cat out; exit 1; }", dir,
		with);
	ck_assert_msg(system(cmd) == 0, "%s refuses\n%s", with, diff); /* NOLINT(cert-env33-c) */
	snprintf(cmd, sizeof cmd, "%s/p.yaml", dir);
	f = fopen(cmd, "r");
	ck_assert_ptr_nonnull(f);
	ck_assert(fread(text, 1, 65535, f) > 0);
	fclose(f);
	snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
	ck_assert_int_eq(system(cmd), 0); /* NOLINT(cert-env33-c) */
	return text;
}

static void allowed(const struct policy *p, const char *action, enum verdict expected)
{
	struct decision d;
	struct action *a;
	struct error e;

	ck_assert_msg(policy_parse_action(action, &a, &e) == 0, "%s", e.text);
	policy_decide(p, a, &d);
	ck_assert_msg(d.verdict == expected, "%s: %s", action, verdict_name(d.verdict));
	action_free(a);
}

static void edited(const char *old)
{
	static const char *const programs[] = {"patch -p1 --no-backup-if-mismatch", "git apply"};
	struct edit_result r;
	struct policy *p;
	struct error e;

	ck_assert_msg(edit_add("p.yaml", old, old ? strlen(old) : 0, rules, 3, &r, &e) == 0, "%s",
		e.text);
	p = rig_load(r.text);
	allowed(p, "exec make \"a b\"", VERDICT_ALLOW);
	allowed(p, "exec git log main", VERDICT_ALLOW);
	allowed(p, "exec git log -p", VERDICT_ASK);
	allowed(p, "connect a.example:443", VERDICT_ALLOW);
	policy_free(p);
	for (size_t i = 0; i < 2; i++) {
		char *text = applied(old, r.diff, programs[i]);

		ck_assert_str_eq(text, r.text);
		free(text);
	}
	edit_free(&r);
}

static const char far_apart[] = "# \xc3\xbc\npolicy: 1\nname: \"\xc3\xbc\"\n\n\n\n\n\n\n\n\n\n"
				"exec: {\"allow\": [ls]}\n\n\n\n\n\n\n\n\n\n\n\n"
				"net:\n  deny:\n  - \"**:22\"\n\n\n";

START_TEST(rules_go_into_every_layout)
{
	static const char *const documents[] = {
		"policy: 1\n",
		"policy: 1",
		"policy: 1\nexec:\n  allow:\n    # mine\n    - ls\n    - pwd\nname: x\n",
		"policy: 1\nexec:\n    allow:\n    - ls\n",
		"policy: 1\nexec: {allow: [ls, pwd], deny: [sudo ...]}\nname: x\n",
		"policy: 1\nexec:\n  allow: [ls, \"pwd\"] # both\n",
		"policy: 1\nexec:\n  allow: [\n    ls,\n    pwd]\n",
		"policy: 1\nexec:\n  allow: []\n",
		"policy: 1\nexec: {deny: [sudo ...]}\n",
		"policy: 1\nexec:\n  # never\n  deny:\n    - sudo ...\n",
		"policy: 1\nnet:\n  allow: [\"b.example:443\"]\nexec:\n  deny: [sudo ...]",
		far_apart,
		"# mine\n\npolicy: 1\nnet: {allow: [\"b.example:443\"]}\nexec: {allow: [ls]}\n",
	};

	printf("  block and flow lists, sections that are not there, files without a last line "
	       "end\n");
	edited(NULL);
	for (size_t i = 0; i < sizeof documents / sizeof *documents; i++)
		edited(documents[i]);
}
END_TEST

START_TEST(what_cannot_be_edited_by_lines_is_said)
{
	static const char *const documents[] = {
		"{policy: 1}\n",
		"policy: 1\nexec: {allow: [ls]}\nexec: {}\n",
	};
	struct edit_result r;
	struct error e;

	printf("  a document in braces, one that does not load, a name no patch can have: one "
	       "error\n");
	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(
			edit_add("p.yaml", documents[i], strlen(documents[i]), rules, 3, &r, &e),
			-1);
		ck_assert_ptr_null(r.text);
		ck_assert(e.text[0]);
	}
	ck_assert_int_eq(edit_add("a b.yaml", documents[0], 0, rules, 3, &r, &e), -1);
	ck_assert_int_eq(edit_add("a\n+++ b/x", documents[0], 0, rules, 3, &r, &e), -1);
	ck_assert_int_eq(edit_add("/etc/x", documents[0], 0, rules, 3, &r, &e), -1);
}
END_TEST

START_TEST(a_rule_cannot_leave_its_scalar)
{
	static const struct edit_rule evil[] = {
		{"files", "path", "r ws:/x'\"], deny: [\\", NULL, 0, "3x"},
		{"files", "path", "r ws:/x # \"\\]\\}", NULL, 0, "3x"},
		{"files", "path", "r ws:/'", NULL, 0, "3x"},
	};
	struct policy_layer l;
	struct edit_result r;
	struct policy *p;
	struct error e;

	printf("  quotes, brackets and comment signs in a rule stay in the rule\n");
	ck_assert_int_eq(edit_add("p.yaml", NULL, 0, evil + 1, 2, &r, &e), 0);
	p = rig_load(r.text);
	for (size_t i = 0; policy_layer_get(p, i, &l) == 0; i++) {
		if (l.origin == POLICY_CLI)
			ck_assert_uint_eq(l.allow + l.deny + l.ask, 2);
	}
	allowed(p, "file r ws:/'", VERDICT_ALLOW);
	policy_free(p);
	edit_free(&r);
	ck_assert_int_eq(edit_add("p.yaml", NULL, 0, evil, 1, &r, &e), 0);
	ck_assert_ptr_nonnull(strstr(r.text, "'r ws:/x''\"], deny: [\\'"));
	edit_free(&r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("policy_suggest_edit");
	TCase *t = tcase_create("edits");

	tcase_set_timeout(t, 30);
	tcase_add_test(t, rules_go_into_every_layout);
	tcase_add_test(t, what_cannot_be_edited_by_lines_is_said);
	tcase_add_test(t, a_rule_cannot_leave_its_scalar);
	suite_add_tcase(s, t);
	return rig_run(s);
}
