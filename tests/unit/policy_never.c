/* Promises about all actions: what holds is proved, what does not hold is shown. */
#include "policy/atlas.h"
#include "tests/lib/policy_rig.h"

static void holds(const char *text)
{
	policy_free(rig_load(text));
}

static void broken(const char *text, const char *example)
{
	const char *e = rig_error(text);

	ck_assert_msg(strstr(e, "a test fails") != NULL, "%s", e);
	ck_assert_msg(strstr(e, example) != NULL, "wanted “%s”\nin     %s", example, e);
}

START_TEST(the_builtin_layer_keeps_what_it_says)
{
	holds("policy: 1\ntests:\n  - never allow atlas policy-edit hook-write persistence "
	      "cloud-metadata\n");
}
END_TEST

START_TEST(a_broken_promise_names_an_example_and_the_rule)
{
	const char *text = "policy: 1\n"
			   "tools: {allow: []}\n"
			   "files:\n"
			   "  allow: [r ws:/src/**, \"rw ws:/**\"]\n"
			   "tests:\n"
			   "  - never allow atlas secrets-read\n";

	broken(text, "test.yaml:6:5: ");
	broken(text, "file r ws:/.pem");
	broken(text, "by rw ws:/** in test.yaml line 4");
}
END_TEST

START_TEST(the_example_is_one_that_the_decision_function_confirms)
{
	const char *text = "policy: 1\ntools: {allow: []}\nnet: {allow: [\"**:80\", "
			   "\"169.254.0.0/16:80\"], deny: [\"metadata.goog:*\"]}\n";
	const char *e, *start;
	char whole[400], example[200] = "";
	struct policy *p = rig_load(text);
	struct decision d;
	struct action *a;

	snprintf(whole, sizeof whole, "%stests: [never allow atlas cloud-metadata]\n", text);
	e = rig_error(whole);
	start = strstr(e, "): ");
	ck_assert_ptr_nonnull(start);
	sscanf(start + 3, "%199[^,]", example);
	*strstr(example, " is allowed") = 0;
	ck_assert_int_eq(policy_parse_action(example, &a, NULL), 0);
	policy_decide(p, a, &d);
	ck_assert_int_eq(d.verdict, VERDICT_ALLOW);
	action_free(a);
	policy_free(p);
}
END_TEST

START_TEST(deny_and_ask_rules_keep_a_promise)
{
	holds("policy: 1\ntools: {allow: []}\nfiles:\n"
	      "  allow: [\"rw ws:/**\", r /usr/**]\n"
	      "  ask: [\"r ws:/**/*.{pem,key}\"]\n"
	      "  deny: [{path: \"rw ws:/**/{.env,.env.*,.npmrc}\", except: "
	      "[\"rw ws:/**/.env.{example,sample}\"]}]\n"
	      "tests: [never allow atlas secrets-read, allow file r ws:/.env.example]\n");
}
END_TEST

START_TEST(a_hole_in_a_deny_rule_is_found)
{
	broken("policy: 1\ntools: {allow: []}\nfiles:\n"
	       "  allow: [\"rw ws:/**\"]\n"
	       "  deny: [\"w ws:/.agentd/**\"]\n"
	       "tests: [never allow atlas policy-edit]\n",
		"ws:/.agentd is allowed");
	broken("policy: 1\ntools: {allow: []}\nhttp:\n"
	       "  allow: [GET http://**:8080/latest/*]\n"
	       "tests: [never allow atlas cloud-metadata]\n",
		":8080/latest/");
	broken("policy: 1\ntools: {allow: [\"Edit {/file_path: 'home:/**'}\"]}\n"
	       "tests: [never allow atlas policy-edit]\n",
		"home:/.config/agentd\"} is allowed");
	broken("policy: 1\ntools: {allow: [\"WebFetch {/url: 'http*'}\"]}\n"
	       "tests: [never allow atlas cloud-metadata]\n",
		"tool WebFetch {/url: \"http");
}
END_TEST

START_TEST(an_allow_rule_in_another_layer_does_not_break_a_promise)
{
	struct policy_doc d[2] = {
		rig_doc("a.yaml", POLICY_ADMIN,
			"policy: 1\ntools: {allow: []}\ntests: [never allow atlas secrets-read]\n"),
		rig_doc("b.yaml", POLICY_REPO, "policy: 1\nfiles: {allow: [\"r ws:/**\"]}\n")};
	struct policy_error e;
	struct policy *p = policy_load(d, 2, NULL, &e);
	size_t run;

	ck_assert_msg(p != NULL, "%s", e.text);
	ck_assert_uint_eq(policy_run_tests(p, &run, NULL, NULL), 0);
	policy_free(p);
}
END_TEST

static const struct kind *any_kind(size_t i)
{
	return i == 0 ? &kind_tool : kind_at(i - 1);
}

START_TEST(every_rule_of_the_atlas_can_be_read_and_matches_something)
{
	for (size_t i = 0; atlas_at(i); i++) {
		size_t read = 0;

		for (size_t k = 0; any_kind(k); k++) {
			struct atlas_part part;
			struct pattern_fault f;
			struct arena a;

			arena_init(&a, 16u << 20);
			ck_assert_msg(atlas_read(&a, atlas_at(i), any_kind(k), &part, &f) == 0,
				"%s: %s: %s", atlas_at(i)->name, any_kind(k)->name, f.text);
			read += part.matches;
			arena_free(&a);
		}
		ck_assert_uint_eq(read, atlas_at(i)->rules);
		ck_assert_uint_gt(read, 0);
	}
}
END_TEST

/* Each rule of the atlas alone as an allow rule must break the promise of its name. */
START_TEST(allowing_any_one_thing_of_the_atlas_breaks_its_promise)
{
	for (size_t i = 0; atlas_at(i); i++) {
		for (size_t j = 0; j < atlas_at(i)->rules; j++) {
			const struct atlas_rule *r = &atlas_at(i)->rule[j];
			char text[1600];

			/* The built-in layer denies what hooks are, whatever a document says. */
			if (r->kind == &kind_tool && strstr(r->text, "ws:/"))
				continue;
			snprintf(text, sizeof text,
				"policy: 1\n%s: {allow: [\"%s\"]%s}\ntests: [never allow atlas "
				"%s]\n",
				r->kind->section, r->text, "", atlas_at(i)->name);
			ck_assert_msg(strstr(rig_error(text), "a test fails") != NULL, "%s\n%s",
				rig_error(text), text);
		}
	}
}
END_TEST

START_TEST(the_reference_names_every_name_of_the_atlas)
{
	FILE *f = fopen("docs/policy.md", "r");
	static char text[256 << 10];
	char want[80];

	ck_assert_ptr_nonnull(f);
	text[fread(text, 1, sizeof text - 1, f)] = 0;
	fclose(f);
	for (size_t i = 0; atlas_at(i); i++) {
		snprintf(want, sizeof want, "| `%s` |", atlas_at(i)->name);
		ck_assert_msg(strstr(text, want) != NULL, "docs/policy.md does not have %s", want);
	}
}
END_TEST

START_TEST(programs_have_names_in_the_atlas)
{
	holds("policy: 1\nexec:\n  allow: [git push origin main, npm ci, npm test, \"{ls,cat} "
	      "...\"]\n"
	      "tests:\n  - never allow atlas force-push history-rewrite package-publish "
	      "remote-shell "
	      "inline-code destructive-delete infra-destroy\n");
	broken("policy: 1\nexec:\n  allow: [git push ...]\ntests: [never allow atlas force-push]\n",
		"exec git push");
	broken("policy: 1\nexec:\n  allow: [node ...]\ntests: [never allow atlas inline-code]\n",
		"exec node");
	holds("policy: 1\nexec:\n  allow:\n    - cmd: node ...\n      except: [node ... "
	      "flag(-e|--eval|-p|--print) ...]\ntests: [never allow atlas inline-code]\n");
	broken("policy: 1\nexec:\n  allow: [\"* ...\"]\ntests: [never allow atlas infra-destroy]\n",
		"exec ");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("policy_never");
	TCase *t = tcase_create("promises");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, the_builtin_layer_keeps_what_it_says);
	tcase_add_test(t, a_broken_promise_names_an_example_and_the_rule);
	tcase_add_test(t, the_example_is_one_that_the_decision_function_confirms);
	tcase_add_test(t, deny_and_ask_rules_keep_a_promise);
	tcase_add_test(t, a_hole_in_a_deny_rule_is_found);
	tcase_add_test(t, an_allow_rule_in_another_layer_does_not_break_a_promise);
	tcase_add_test(t, every_rule_of_the_atlas_can_be_read_and_matches_something);
	tcase_add_test(t, allowing_any_one_thing_of_the_atlas_breaks_its_promise);
	tcase_add_test(t, the_reference_names_every_name_of_the_atlas);
	tcase_add_test(t, programs_have_names_in_the_atlas);
	suite_add_tcase(s, t);
	return rig_run(s);
}
