/* Canonical actions: what is refused, how paths get their names, what the digest covers. */
#include "tests/lib/policy_rig.h"

static const struct action_value *value(const struct action *a, const char *pointer)
{
	size_t i;

	for (i = 0; i < a->values; i++) {
		if (strcmp(a->value[i].pointer, pointer) == 0)
			return &a->value[i];
	}
	ck_abort_msg("no %s", pointer);
	return NULL;
}

/* The first name of a path value, as the agent in /home/u/web says it. */
static void named_at(const struct action_places *places, const char *text, const char *name)
{
	const char *args[] = {"/p", text, NULL};
	struct action *a = rig_action(places, "T", args);
	const struct action_value *v = value(a, "/p");

	ck_assert_msg(v->names > 0 && strcmp(v->name[0].text, name) == 0, "%s is %s, should be %s",
		text, v->names ? v->name[0].text : "nothing", name);
	action_free(a);
}

static void named(const char *text, const char *name)
{
	named_at(&rig_places, text, name);
}

static void unknown(const char *text)
{
	const char *args[] = {"/p", text, NULL};
	struct action *a = rig_action(&rig_places, "T", args);

	ck_assert_msg(value(a, "/p")->path_unknown, "%s", text);
	action_free(a);
}

START_TEST(relative_paths_start_at_the_working_directory)
{
	struct action_places deep = rig_places;

	named("a.c", "ws:/a.c");
	named("./a.c", "ws:/a.c");
	named("", "ws:/");
	deep.cwd = "/home/u/web/src/";
	named_at(&deep, "a.c", "ws:/src/a.c");
	named_at(&deep, "../a.c", "ws:/a.c");
	named_at(&deep, "../../a.c", "home:/a.c");
	deep.cwd = "/srv";
	named_at(&deep, "a.c", "/srv/a.c");
}
END_TEST

START_TEST(dots_and_double_slashes_are_resolved)
{
	named("/home/u/web/./a//b/../c/", "ws:/a/c");
	named("/home/u/web/../web2/x", "home:/web2/x");
	named("/../../etc/passwd", "/etc/passwd");
	named("a/../../../../../../..", "/");
	named("/home/u/web/...", "ws:/...");
	named("/home/u/web/..x", "ws:/..x");
}
END_TEST

START_TEST(each_root_has_its_name_and_the_innermost_root_wins)
{
	named("/home/u/web", "ws:/");
	named("/home/u/webs", "home:/webs");
	named("/home/u", "home:/");
	named("/home/us/x", "/home/us/x");
	named("/tmp/x", "tmp:/x");
	named("/tmpx", "/tmpx");
	named("/", "/");
	named("ws:/a", "ws:/ws:/a");
}
END_TEST

START_TEST(a_workspace_that_is_the_home_keeps_both_names)
{
	struct action_places same = {"/home/u", "/home/u", "/tmp", "/home/u"};
	struct policy *p = rig_load("policy: 1\ntools: {deny: [\"T {/p: home:/.ssh/**}\"]}\n");

	named_at(&same, ".ssh/id", "ws:/.ssh/id");
	ck_assert_str_eq(rig_verdict_at(p, &same, "T", "/p", ".ssh/id"), "deny");
	policy_free(p);
}
END_TEST

START_TEST(a_path_may_be_spelled_through_an_outer_root)
{
	struct policy *p = rig_load("policy: 1\n"
				    "tools:\n"
				    "  allow: [\"A {/p: /home/u/web/**}\", \"B {/p: home:/**}\","
				    " \"D {/p: home:/web/x}\"]\n"
				    "  deny: [\"C {/p: /home/*/.ssh/**}\", \"E {/p: /**}\"]\n");

	ck_assert_str_eq(rig_verdict(p, "A", "/p", "x"), "allow");
	ck_assert_str_eq(rig_verdict(p, "B", "/p", "x"),
		"ask"); // the tree around the workspace is not the workspace
	ck_assert_str_eq(rig_verdict(p, "B", "/p", "../x"), "allow");
	ck_assert_str_eq(rig_verdict(p, "D", "/p", "x"), "allow");
	ck_assert_str_eq(rig_verdict(p, "C", "/p", "/home/u/.ssh/id"), "deny");
	ck_assert_str_eq(rig_verdict(p, "E", "/p", "x"), "ask");
	ck_assert_str_eq(rig_verdict(p, "E", "/p", "/etc/x"), "deny");
	policy_free(p);
}
END_TEST

START_TEST(what_a_tool_may_expand_is_allowed_only_when_both_readings_are)
{
	struct policy *p = rig_load("policy: 1\n"
				    "tools:\n"
				    "  allow: [\"A {/p: ws:/**}\"]\n"
				    "  deny: [\"B {/p: home:/.ssh/**}\"]\n");

	ck_assert_str_eq(rig_verdict(p, "A", "/p", "x"), "allow");
	ck_assert_str_eq(rig_verdict(p, "A", "/p", "~/x"), "ask");
	ck_assert_str_eq(rig_verdict(p, "A", "/p", "$HOME/x"), "ask");
	ck_assert_str_eq(rig_verdict(p, "A", "/p", "~/web/x"), "allow");
	ck_assert_str_eq(rig_verdict(p, "A", "/p", "@/etc/passwd"), "ask");
	ck_assert_str_eq(rig_verdict(p, "A", "/p", "@src/a.ts"), "allow");
	ck_assert_str_eq(rig_verdict(p, "A", "/p", "$id.tsx"), "allow");
	ck_assert_str_eq(rig_verdict(p, "B", "/p", "~/.ssh/id"), "deny");
	ck_assert_str_eq(rig_verdict(p, "B", "/p", "${HOME}/.ssh/id"), "deny");
	ck_assert_str_eq(rig_verdict(p, "B", "/p", "@~/.ssh/id"), "deny");
	policy_free(p);
}
END_TEST

START_TEST(a_path_that_nobody_can_name_is_denied_and_never_allowed)
{
	struct policy *p = rig_load("policy: 1\n"
				    "tools:\n"
				    "  allow: [\"A {/p: '{ws:,home:,tmp:,}/**'}\"]\n"
				    "  deny: [\"B {/p: ws:/x}\"]\n");
	char *lengthy = malloc(20001);

	ck_assert_ptr_nonnull(lengthy);
	memset(lengthy, 'x', 20000);
	lengthy[20000] = 0;
	unknown("/proc/self/root/etc/passwd");
	unknown("/proc/123/cwd/x");
	unknown("/proc/self/fd/3");
	unknown("/proc/1/task/1/cwd");
	unknown("/dev/fd/3");
	unknown("/dev/stdin");
	unknown("/proc/self/cwd/../x");
	unknown("/proc/self/root/../../x");
	unknown("/dev/fd/../cwd/x");
	unknown("~root/x");
	unknown("file:///etc/passwd");
	unknown(" /etc/passwd");
	unknown("/etc/passwd\n");
	unknown(lengthy);
	ck_assert_str_eq(rig_verdict(p, "A", "/p", "/etc/x"), "allow");
	ck_assert_str_eq(rig_verdict(p, "A", "/p", "/proc/self/root/etc/x"), "ask");
	ck_assert_str_eq(rig_verdict(p, "A", "/p", lengthy), "ask");
	ck_assert_str_eq(rig_verdict(p, "B", "/p", "/etc/x"), "ask");
	ck_assert_str_eq(rig_verdict(p, "B", "/p", "/proc/self/root/etc/x"), "deny");
	ck_assert_str_eq(rig_verdict(p, "B", "/p", "/proc/self/cwd/../x"), "deny");
	ck_assert_str_eq(rig_verdict(p, "A", "/p", "/proc/1/status"), "allow");
	ck_assert_str_eq(rig_verdict(p, "A", "/p", "/proc/cwd/x"), "allow");
	ck_assert_str_eq(rig_verdict(p, "A", "/p", "/dev/fdx"), "allow");
	ck_assert_str_eq(rig_verdict(p, "A", "/p", "/srv/dev/fd"), "allow");
	ck_assert_str_eq(rig_verdict(p, "B", "/p", lengthy), "deny");
	free(lengthy);
	policy_free(p);
}
END_TEST

START_TEST(a_list_where_a_rule_expects_one_value_is_denied_and_never_allowed)
{
	struct policy *p = rig_load("policy: 1\n"
				    "tools:\n"
				    "  allow: [\"A {/p: '*'}\"]\n"
				    "  deny: [\"B {/p: x}\", \"C {/p: ws:/x}\"]\n");

	ck_assert_str_eq(rig_verdict(p, "A", "/p/0", "x"), "ask");
	ck_assert_str_eq(rig_verdict(p, "B", "/p/0", "y"), "deny");
	ck_assert_str_eq(rig_verdict(p, "C", "/p/a/b", "y"), "deny");
	ck_assert_str_eq(rig_verdict(p, "B", "/pp", "y"), "ask");
	ck_assert_str_eq(rig_verdict(p, "B", "/p.b", "y"), "ask");
	policy_free(p);
}
END_TEST

static void refused(const char *tool, size_t tool_len, const struct action_arg *args, size_t n)
{
	struct action *a;
	struct error e;

	ck_assert_int_eq(action_from_tool(&a, &rig_places, tool, tool_len, args, n, &e), -1);
	ck_assert_ptr_null(a);
	ck_assert_msg(strncmp(e.text, "not canonical: ", 15) == 0, "%s", e.text);
}

static void refused_arg(const char *pointer, size_t pointer_len, const char *text, size_t len)
{
	struct action_arg arg = {pointer, pointer_len, ACTION_STRING, text, len};

	refused("T", 1, &arg, 1);
}

START_TEST(a_working_directory_behind_a_magic_link_is_refused)
{
	static const char *const magic[] = {"/proc/self/cwd", "/proc/self/cwd/..", "/dev/fd/3"};
	struct action_places places = rig_places;

	for (size_t i = 0; i < 3; i++) {
		struct action *a;
		struct error e;

		places.cwd = magic[i];
		ck_assert_int_eq(action_from_tool(&a, &places, "T", 1, NULL, 0, &e), -1);
		ck_assert_ptr_nonnull(strstr(e.text, "not canonical: "));
	}
}
END_TEST

START_TEST(what_is_not_canonical_is_refused)
{
	struct action_arg two[2] = {
		{"/a", 2, ACTION_STRING, "x", 1}, {"/a", 2, ACTION_NULL, NULL, 0}};
	struct action_arg nested[3] = {{"/a", 2, ACTION_STRING, "x", 1},
		{"/a.b", 4, ACTION_STRING, "x", 1}, {"/a/b", 4, ACTION_STRING, "x", 1}};
	struct action_arg odd = {"/a", 2, (enum action_type)99, NULL, 0};
	char tool[300];

	memset(tool, 'x', sizeof tool);
	refused("", 0, NULL, 0);
	refused("a b", 3, NULL, 0);
	refused("a\nb", 3, NULL, 0);
	refused("a\0b", 3, NULL, 0);
	refused("Re\xc3\xa1"
		"d",
		5, NULL, 0);
	refused(tool, sizeof tool, NULL, 0);
	refused_arg("a", 1, "x", 1);
	refused_arg("", 0, "x", 1);
	refused_arg("/a~", 3, "x", 1);
	refused_arg("/a~2", 4, "x", 1);
	refused_arg("/a\0", 3, "x", 1);
	refused_arg("/\xff", 2, "x", 1);
	refused_arg("/a", 2, "x\0y", 3);
	refused_arg("/a", 2, "\xff", 1);
	refused_arg("/a", 2, "\xc0\xaf", 2);
	refused_arg("/a", 2, "\xed\xa0\x80", 3);
	refused("T", 1, two, 2);
	refused("T", 1, nested, 3);
	refused("T", 1, &odd, 1);
}
END_TEST

START_TEST(too_much_is_refused)
{
	struct action_arg *many = calloc(ACTION_ARGS_MAX + 1, sizeof *many);
	char(*names)[8] = calloc(ACTION_ARGS_MAX + 1, sizeof *names);
	char *large = malloc(ACTION_BYTES_MAX + 1);
	struct action *a;
	size_t i;

	ck_assert(many && names && large);
	memset(large, 'x', ACTION_BYTES_MAX + 1);
	for (i = 0; i <= ACTION_ARGS_MAX; i++) {
		snprintf(names[i], sizeof *names, "/%zu", i);
		many[i] = (struct action_arg){names[i], strlen(names[i]), ACTION_STRING, "x", 1};
	}
	refused("T", 1, many, ACTION_ARGS_MAX + 1);
	ck_assert_int_eq(action_from_tool(&a, &rig_places, "T", 1, many, ACTION_ARGS_MAX, NULL), 0);
	ck_assert_uint_eq(a->values, ACTION_ARGS_MAX);
	action_free(a);
	refused_arg("/a", 2, large, ACTION_BYTES_MAX + 1);
	many[0].text = many[1].text = large;
	many[0].len = many[1].len = ACTION_BYTES_MAX / 2;
	refused("T", 1, many, 2);
	free(many);
	free(names);
	free(large);
}
END_TEST

START_TEST(places_that_are_no_absolute_paths_are_refused)
{
	struct action_places p = rig_places;
	struct action *a;

	p.cwd = "src";
	ck_assert_int_eq(action_from_tool(&a, &p, "T", 1, NULL, 0, NULL), -1);
	p = rig_places;
	p.home = NULL;
	ck_assert_int_eq(action_from_tool(&a, &p, "T", 1, NULL, 0, NULL), -1);
	p = rig_places;
	p.ws = "/\xff";
	ck_assert_int_eq(action_from_tool(&a, &p, "T", 1, NULL, 0, NULL), -1);
}
END_TEST

/* ---- digest ---- */

static void digest_of(
	char out[65], const char *tool, const struct action_arg *args, size_t n, const char *cwd)
{
	struct action_places p = rig_places;
	struct action *a;

	p.cwd = cwd;
	ck_assert_int_eq(action_from_tool(&a, &p, tool, strlen(tool), args, n, NULL), 0);
	action_digest(a, out);
	ck_assert_uint_eq(strlen(out), 64);
	action_free(a);
}

START_TEST(the_digest_is_the_same_in_any_order_of_arguments)
{
	struct action_arg ab[2] = {
		{"/a", 2, ACTION_STRING, "x", 1}, {"/b", 2, ACTION_STRING, "y", 1}};
	struct action_arg ba[2] = {ab[1], ab[0]};
	char one[65], two[65];

	digest_of(one, "T", ab, 2, "/home/u/web");
	digest_of(two, "T", ba, 2, "/home/u/web/");
	ck_assert_str_eq(one, two);
}
END_TEST

START_TEST(the_digest_differs_when_anything_differs)
{
	const struct {
		const char *tool;
		struct action_arg args[2];
		size_t n;
		const char *cwd;
	} actions[] = {
		{"T", {{"/a", 2, ACTION_STRING, "x", 1}}, 1, "/home/u/web"},
		{"U", {{"/a", 2, ACTION_STRING, "x", 1}}, 1, "/home/u/web"},
		{"T", {{"/b", 2, ACTION_STRING, "x", 1}}, 1, "/home/u/web"},
		{"T", {{"/a", 2, ACTION_STRING, "y", 1}}, 1, "/home/u/web"},
		{"T", {{"/a", 2, ACTION_STRING, "x ", 2}}, 1, "/home/u/web"},
		{"T", {{"/a", 2, ACTION_STRING, "x", 1}}, 1, "/home/u/web/src"},
		{"T", {{"/a", 2, ACTION_STRING, "1", 1}}, 1, "/home/u/web"},
		{"T", {{"/a", 2, ACTION_NUMBER, "1", 1}}, 1, "/home/u/web"},
		{"T", {{"/a", 2, ACTION_STRING, "true", 4}}, 1, "/home/u/web"},
		{"T", {{"/a", 2, ACTION_TRUE, NULL, 0}}, 1, "/home/u/web"},
		{"T", {{"/a", 2, ACTION_STRING, "", 0}}, 1, "/home/u/web"},
		{"T", {{"/a", 2, ACTION_NULL, NULL, 0}}, 1, "/home/u/web"},
		{"T", {{"/a", 2, ACTION_EMPTY_ARRAY, NULL, 0}}, 1, "/home/u/web"},
		{"T", {{"/a", 2, ACTION_EMPTY_OBJECT, NULL, 0}}, 1, "/home/u/web"},
		{"T", {{NULL, 0, 0, NULL, 0}}, 0, "/home/u/web"},
		{"T/a", {{NULL, 0, 0, NULL, 0}}, 0, "/home/u/web"},
		{"T", {{"/a", 2, ACTION_STRING, "x", 1}, {"/b", 2, ACTION_NULL, NULL, 0}}, 2,
			"/home/u/web"},
		{"T", {{"/a", 2, ACTION_STRING, "x/b", 3}}, 1, "/home/u/web"},
	};
	char digests[sizeof actions / sizeof *actions][65];
	size_t i, k;

	for (i = 0; i < sizeof actions / sizeof *actions; i++) {
		digest_of(
			digests[i], actions[i].tool, actions[i].args, actions[i].n, actions[i].cwd);
		for (k = 0; k < i; k++)
			ck_assert_msg(strcmp(digests[i], digests[k]) != 0, "%zu and %zu", i, k);
	}
}
END_TEST

START_TEST(values_come_back_sorted_with_children_behind_their_parent)
{
	static const char *const args[] = {
		"/a.b", "1", "/b", "2", "/a/c", "3", "/a/b", "4", "/a-", "5", NULL};
	static const char *const sorted[] = {"/a/b", "/a/c", "/a-", "/a.b", "/b"};
	struct action *a = rig_action(&rig_places, "T", args);
	size_t i;

	ck_assert_uint_eq(a->values, 5);
	for (i = 0; i < 5; i++)
		ck_assert_str_eq(a->value[i].pointer, sorted[i]);
	action_free(a);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("policy_action");
	TCase *t = tcase_create("canonical actions");

	tcase_add_test(t, relative_paths_start_at_the_working_directory);
	tcase_add_test(t, dots_and_double_slashes_are_resolved);
	tcase_add_test(t, each_root_has_its_name_and_the_innermost_root_wins);
	tcase_add_test(t, a_workspace_that_is_the_home_keeps_both_names);
	tcase_add_test(t, a_path_may_be_spelled_through_an_outer_root);
	tcase_add_test(t, what_a_tool_may_expand_is_allowed_only_when_both_readings_are);
	tcase_add_test(t, a_path_that_nobody_can_name_is_denied_and_never_allowed);
	tcase_add_test(t, a_list_where_a_rule_expects_one_value_is_denied_and_never_allowed);
	tcase_add_test(t, a_working_directory_behind_a_magic_link_is_refused);
	tcase_add_test(t, what_is_not_canonical_is_refused);
	tcase_add_test(t, too_much_is_refused);
	tcase_add_test(t, places_that_are_no_absolute_paths_are_refused);
	tcase_add_test(t, the_digest_is_the_same_in_any_order_of_arguments);
	tcase_add_test(t, the_digest_differs_when_anything_differs);
	tcase_add_test(t, values_come_back_sorted_with_children_behind_their_parent);
	suite_add_tcase(s, t);
	return rig_run(s);
}
