/* What people read must be true: the examples load and their tests pass, docs/policy.md knows every
 * key of the loader's table, and its own example loads. */
#include <dirent.h>

#include "policy/language.h"
#include "tests/lib/policy_rig.h"

static char *read_whole(const char *path)
{
	FILE *f = fopen(path, "rb");
	char *text = calloc(1, POLICY_DOC_MAX + 1);

	ck_assert_msg(f != NULL, "%s (run the tests from the top of the tree)", path);
	ck_assert_ptr_nonnull(text);
	ck_assert(fread(text, 1, POLICY_DOC_MAX, f) > 0);
	fclose(f);
	return text;
}

static int is_yaml(const struct dirent *entry)
{
	return strstr(entry->d_name, ".yaml") != NULL;
}

static void loads_with_tests(const char *path)
{
	char *text = read_whole(path);
	struct policy_doc doc = rig_doc(path, POLICY_REPO, text);
	struct policy_layer l;
	struct policy_error e;
	const struct policy_facts session = {.ci = -1, .session = 1}; /* as the broker loads it */
	struct policy *p = policy_load(&doc, 1, &session, &e);

	ck_assert_msg(p != NULL, "%s", e.text);
	ck_assert_int_eq(policy_layer_get(p, 1, &l), 0);
	ck_assert_msg(l.tests >= 5, "%s has too few tests", path);
	policy_free(p);
	free(text);
}

START_TEST(every_example_loads_and_has_tests)
{
	struct dirent **list;
	int i, n = scandir("examples", &list, is_yaml, alphasort);

	ck_assert_int_ge(n, 5);
	for (i = 0; i < n; i++) {
		char path[300];

		snprintf(path, sizeof path, "examples/%s", list[i]->d_name);
		loads_with_tests(path);
		free(list[i]);
	}
	free(list);
}
END_TEST

START_TEST(each_example_applies_to_its_agent_only)
{
	static const char *const agents[] = {
		"claude-code", "codex", "gemini-cli", "opencode", "openclaw"};
	size_t i, k;

	for (i = 0; i < 5; i++) {
		char path[64], *text;

		snprintf(path, sizeof path, "examples/%s.yaml", agents[i]);
		text = read_whole(path);
		for (k = 0; k < 5; k++) {
			struct policy_facts f = {.agent = agents[k], .ci = 0};
			struct policy_doc doc = rig_doc(path, POLICY_REPO, text);
			struct policy *p = policy_load(&doc, 1, &f, NULL);
			struct policy_layer l;

			ck_assert_ptr_nonnull(p);
			ck_assert_int_eq(policy_layer_get(p, 1, &l), 0);
			ck_assert_int_eq(l.active, i == k);
			policy_free(p);
		}
		free(text);
	}
}
END_TEST

/* `workspace.traps` for a key, `max` for a key of a long form. */
static const char *documented_as(const char *key, char *buf, size_t cap)
{
	snprintf(buf, cap, "`%s`", policy_key_in_form(key) ? strchr(key, '.') + 1 : key);
	return buf;
}

START_TEST(the_reference_names_every_key_of_the_loader)
{
	char *text = read_whole("docs/policy.md"),
	     *later = strstr(text, "## 8. Not in this version");
	const struct policy_key *k;
	size_t i;

	ck_assert_ptr_nonnull(later);
	for (i = 0; (k = policy_key(i)) != NULL; i++) {
		char want[80];
		const char *found;

		if (k->value.is == KEY_SECTION)
			continue;
		found = strstr(text, documented_as(k->path, want, sizeof want));
		ck_assert_msg(found != NULL, "docs/policy.md does not have %s", want);
		if (k->value.is != KEY_LATER || strcmp(k->path, "extend.org") == 0)
			ck_assert_msg(found < later, "%s is said to be missing", want);
		else
			ck_assert_msg(
				strstr(later, want) != NULL, "%s is not said to be missing", want);
	}
	ck_assert_uint_gt(i, 50);
	free(text);
}
END_TEST

START_TEST(the_first_example_of_the_reference_loads)
{
	char *text = read_whole("docs/policy.md");
	char *start = strstr(text, "```yaml\n"), *end;
	struct policy *p;

	ck_assert_ptr_nonnull(start);
	start += strlen("```yaml\n");
	end = strstr(start, "```");
	ck_assert_ptr_nonnull(end);
	*end = 0;
	p = rig_load(start);
	policy_free(p);
	free(text);
}
END_TEST

START_TEST(the_error_messages_in_the_reference_are_real)
{
	ck_assert_str_eq(
		rig_error("policy: 1\ntools:\n  allow:\n    - Edit {/file_path: ws:/**}\n"),
		"test.yaml:4:7: a text that YAML reads as a mapping. Quote it: \"Edit {/file_path: "
		"ws:/**}\"");
	ck_assert_str_eq(rig_error("policy: 1\ntools:\n  dney: [x]\n"),
		"test.yaml:3:3: unknown key in tools (dney). Did you mean `deny`?");
	ck_assert_str_eq(rig_error("policy: 1\nlimits: {memory: 8GB}\n"),
		"test.yaml:2:18: no size (8GB). Write a whole number and KiB, MiB, GiB or TiB "
		"without "
		"a space, like 512MiB.");
}
END_TEST

START_TEST(the_builtin_layer_is_a_document_like_any_other)
{
	const struct policy_doc *b = policy_builtin();
	struct policy_doc copy = *b;
	struct policy *p;
	char digest[65];

	copy.origin = POLICY_USER;
	p = policy_load(&copy, 1, NULL, NULL);
	ck_assert_ptr_nonnull(p);
	policy_free(p);
	policy_doc_digest("", 0, digest);
	ck_assert_str_eq(
		digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("policy_docs");
	TCase *t = tcase_create("documentation and examples");

	tcase_set_timeout(t, 30);

	tcase_add_test(t, every_example_loads_and_has_tests);
	tcase_add_test(t, each_example_applies_to_its_agent_only);
	tcase_add_test(t, the_reference_names_every_key_of_the_loader);
	tcase_add_test(t, the_first_example_of_the_reference_loads);
	tcase_add_test(t, the_error_messages_in_the_reference_are_real);
	tcase_add_test(t, the_builtin_layer_is_a_document_like_any_other);
	suite_add_tcase(s, t);
	return rig_run(s);
}
