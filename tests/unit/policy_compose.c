/* The sections that are not rules: limits, environment, mounts, approvals, session, over several
 * layers. The strictest wins, in any order. */
#include "tests/lib/policy_rig.h"

/* Loads two documents, in both orders one after the other, with check called for each. */
static void both_orders(const char *a, const char *b, void (*check)(const struct policy *p))
{
	struct policy_doc docs[2] = {rig_doc("a", POLICY_USER, a), rig_doc("b", POLICY_REPO, b)};
	struct policy_doc swapped[2] = {rig_doc("a", POLICY_REPO, a), rig_doc("b", POLICY_USER, b)};
	struct policy_error e;
	struct policy *p = policy_load(docs, 2, NULL, &e);

	ck_assert_msg(p != NULL, "%s", e.text);
	check(p);
	policy_free(p);
	p = policy_load(swapped, 2, NULL, &e);
	ck_assert_msg(p != NULL, "%s", e.text);
	check(p);
	policy_free(p);
}

START_TEST(the_builtin_layer_has_limits_that_any_file_replaces)
{
	struct policy *p = policy_load(NULL, 0, NULL, NULL);
	struct policy_limit l = policy_limit(p, POLICY_LIMIT_MEMORY);

	ck_assert_uint_eq(l.value, UINT64_C(8) << 30);
	ck_assert_int_eq(l.best_effort, 1);
	ck_assert_uint_eq(policy_limit(p, POLICY_LIMIT_PROCESSES).value, 2048);
	ck_assert_uint_eq(policy_limit(p, POLICY_LIMIT_OPEN_FILES).value, 8192);
	ck_assert_uint_eq(policy_limit(p, POLICY_LIMIT_CPU).value, 0);
	ck_assert_uint_eq(policy_limit(p, POLICY_LIMIT_WALL).value, 0);
	policy_free(p);
	p = rig_load("policy: 1\nlimits: {memory: 16GiB}\n");
	l = policy_limit(p, POLICY_LIMIT_MEMORY);
	ck_assert_uint_eq(l.value, UINT64_C(16) << 30);
	ck_assert_int_eq(l.best_effort, 0);
	ck_assert_str_eq(l.file, "test.yaml");
	ck_assert_uint_eq(l.line, 2);
	ck_assert_uint_eq(policy_limit(p, POLICY_LIMIT_PROCESSES).value, 2048);
	policy_free(p);
}
END_TEST

START_TEST(numbers_sizes_and_durations_mean_what_they_say)
{
	struct policy *p = rig_load("policy: 1\n"
				    "limits: {processes: 512, memory: 512MiB, cpu: 1500m, "
				    "open_files: 4096, wall: 8h}\n");

	ck_assert_uint_eq(policy_limit(p, POLICY_LIMIT_PROCESSES).value, 512);
	ck_assert_uint_eq(policy_limit(p, POLICY_LIMIT_MEMORY).value, UINT64_C(512) << 20);
	ck_assert_uint_eq(policy_limit(p, POLICY_LIMIT_CPU).value, 1500);
	ck_assert_uint_eq(policy_limit(p, POLICY_LIMIT_OPEN_FILES).value, 4096);
	ck_assert_uint_eq(policy_limit(p, POLICY_LIMIT_WALL).value, 8 * 3600);
	policy_free(p);
	p = rig_load("policy: 1\nlimits: {memory: 1024TiB, cpu: 4, wall: 90s}\n");
	ck_assert_uint_eq(policy_limit(p, POLICY_LIMIT_MEMORY).value, UINT64_C(1024) << 40);
	ck_assert_uint_eq(policy_limit(p, POLICY_LIMIT_CPU).value, 4000);
	ck_assert_uint_eq(policy_limit(p, POLICY_LIMIT_WALL).value, 90);
	policy_free(p);
}
END_TEST

static void smallest(const struct policy *p)
{
	struct policy_limit m = policy_limit(p, POLICY_LIMIT_MEMORY);

	ck_assert_uint_eq(m.value, UINT64_C(2) << 30);
	ck_assert_int_eq(m.best_effort, 0);
	ck_assert_uint_eq(policy_limit(p, POLICY_LIMIT_PROCESSES).value, 10);
	ck_assert_int_eq(policy_limit(p, POLICY_LIMIT_CPU).best_effort, 1);
}

START_TEST(the_smallest_limit_counts_and_best_effort_needs_every_layer)
{
	both_orders("policy: 1\nlimits: {memory: 4GiB, processes: 10, cpu: {max: 2, best-effort: "
		    "true}}\n",
		"policy: 1\nlimits: {memory: {max: 2GiB, best-effort: true}, processes: 20}\n",
		smallest);
}
END_TEST

/* ---- env ---- */

START_TEST(the_builtin_layer_passes_no_variable_that_loads_code)
{
	static const char *const passed[] = {"PATH", "LANG", "LC_ALL", "TERM", "HOME", "USER"};
	static const char *const dropped[] = {"LD_PRELOAD", "GIT_DIR", "NODE_OPTIONS", "BASH_ENV",
		"ENV", "SSH_AUTH_SOCK", "AWS_SECRET_ACCESS_KEY", "PATHS", "PAT", ""};
	struct policy *p = policy_load(NULL, 0, NULL, NULL);
	size_t i;

	for (i = 0; i < sizeof passed / sizeof *passed; i++)
		ck_assert_msg(policy_env_passes(p, passed[i]), "%s", passed[i]);
	for (i = 0; i < sizeof dropped / sizeof *dropped; i++)
		ck_assert_msg(!policy_env_passes(p, dropped[i]), "%s", dropped[i]);
	policy_free(p);
}
END_TEST

static void intersection(const struct policy *p)
{
	ck_assert(policy_env_passes(p, "PATH"));
	ck_assert(policy_env_passes(p, "LC_ALL"));
	ck_assert(!policy_env_passes(p, "LC_NAME"));
	ck_assert(!policy_env_passes(p, "TERM"));
	ck_assert(!policy_env_passes(p, "API_KEY"));
	ck_assert(!policy_env_passes(p, "HOME")); // only the built-in list has it
}

START_TEST(a_variable_passes_when_every_file_with_a_list_has_it)
{
	both_orders("policy: 1\nenv: {pass: [PATH, \"LC_*\", TERM]}\n",
		"policy: 1\nenv: {pass: [PATH, LC_ALL, API_KEY]}\n", intersection);
}
END_TEST

static void sets(const struct policy *p)
{
	const char *name, *value;

	ck_assert_uint_eq(policy_env_sets(p), 3);
	ck_assert_int_eq(policy_env_set(p, 0, &name, &value), 0);
	ck_assert_str_eq(name, "A");
	ck_assert_str_eq(value, "1");
	ck_assert_int_eq(policy_env_set(p, 1, &name, &value), 0);
	ck_assert_str_eq(name, "CI");
	ck_assert_str_eq(value, "true");
	ck_assert_int_eq(policy_env_set(p, 3, &name, &value), -1);
}

START_TEST(variables_are_set_to_what_was_typed_and_one_name_has_one_value)
{
	struct policy_doc docs[2] = {rig_doc("a", POLICY_USER, "policy: 1\nenv: {set: {CI: 1}}\n"),
		rig_doc("b", POLICY_REPO, "policy: 1\nenv:\n  set:\n    CI: 0\n")};
	struct policy_error e;

	both_orders("policy: 1\nenv: {set: {CI: true, A: 1}}\n",
		"policy: 1\nenv: {set: {CI: \"true\", Z: ~}}\n", sets);
	ck_assert_ptr_null(policy_load(docs, 2, NULL, &e));
	ck_assert_msg(strncmp(e.text, "b:4:5: two layers", 17) == 0, "%s", e.text);
	ck_assert_msg(strstr(e.text, "a:2") != NULL, "%s", e.text);
}
END_TEST

/* ---- mounts ---- */

static const struct policy_mount *mount_named(const struct policy_mount *m, int n, const char *name)
{
	int i;

	for (i = 0; i < n; i++) {
		if (strcmp(m[i].name, name) == 0)
			return &m[i];
	}
	return NULL;
}

static void strictest_mounts(const struct policy *p)
{
	static struct policy_mount m[POLICY_MOUNTS_MAX];
	int n = policy_mounts(p, &rig_places, m, POLICY_MOUNTS_MAX, NULL);

	ck_assert_int_eq(n, 6);
	ck_assert_int_eq(mount_named(m, n, "ws:/")->mode, POLICY_MOUNT_RW);
	ck_assert_int_eq(mount_named(m, n, "home:/")->mode, POLICY_MOUNT_HIDDEN);
	ck_assert_int_eq(mount_named(m, n, "home:/.cache")->mode, POLICY_MOUNT_HIDDEN);
	ck_assert_int_eq(mount_named(m, n, "home:/notes")->mode, POLICY_MOUNT_RO);
	ck_assert_int_eq(mount_named(m, n, "/opt/data")->mode, POLICY_MOUNT_RO);
	ck_assert_int_eq(mount_named(m, n, "/opt/data/in")->mode, POLICY_MOUNT_RO);
	ck_assert_str_eq(mount_named(m, n, "home:/notes")->path, "/home/u/notes");
}

START_TEST(each_path_gets_the_strictest_mode_of_any_layer)
{
	both_orders("policy: 1\nworkspace:\n  mounts:\n    - rw ws:/\n    - hidden home:/\n"
		    "    - ro home:/notes\n    - ro /opt/data\n",
		"policy: 1\nworkspace:\n  mounts: [rw /home/u/.cache, rw /opt/data/in, rw "
		"home:/notes]\n",
		strictest_mounts);
}
END_TEST

START_TEST(two_spellings_of_one_path_in_one_layer_get_the_stricter_mode)
{
	static const char *const mounts[] = {"rw home:/web/data, hidden ws:/data",
		"hidden ws:/data, rw home:/web/data", "ro /home/u/web/data, hidden ws:/data",
		"hidden home:/web/data, rw ws:/data"};
	static struct policy_mount m[POLICY_MOUNTS_MAX];

	for (size_t i = 0; i < 4; i++) {
		char text[200];
		struct policy *p;

		snprintf(text, sizeof text, "policy: 1\nworkspace: {mounts: [%s]}\n", mounts[i]);
		p = rig_load(text);
		ck_assert_int_eq(policy_mounts(p, &rig_places, m, POLICY_MOUNTS_MAX, NULL), 1);
		ck_assert_str_eq(m[0].name, "ws:/data");
		ck_assert_int_eq(m[0].mode, POLICY_MOUNT_HIDDEN);
		policy_free(p);
	}
}
END_TEST

START_TEST(parents_come_before_what_is_in_them)
{
	static struct policy_mount m[POLICY_MOUNTS_MAX];
	struct policy *p = rig_load("policy: 1\nworkspace:\n  mounts: [ro /opt/a-b, ro /opt/a/x/y, "
				    "ro /opt/a, rw /opt/a/x]\n");
	int n = policy_mounts(p, &rig_places, m, POLICY_MOUNTS_MAX, NULL);

	ck_assert_int_eq(n, 4);
	ck_assert_str_eq(m[0].path, "/opt/a");
	ck_assert_str_eq(m[1].path, "/opt/a/x");
	ck_assert_str_eq(m[2].path, "/opt/a/x/y");
	ck_assert_str_eq(m[3].path, "/opt/a-b");
	ck_assert_int_eq(policy_mounts(p, &rig_places, m, 1, NULL), 4);
	policy_free(p);
}
END_TEST

START_TEST(mounts_below_unusable_places_are_an_error)
{
	static struct policy_mount m[POLICY_MOUNTS_MAX];
	struct action_places bad = {.ws = "web", .home = "/home/u", .tmp = "/tmp", .cwd = "/"};
	struct policy *p = rig_load("policy: 1\nworkspace: {mounts: [ro ws:/a]}\n");
	struct error e;

	ck_assert_int_eq(policy_mounts(p, &bad, m, POLICY_MOUNTS_MAX, &e), -1);
	policy_free(p);
}
END_TEST

static void own_uid(const struct policy *p)
{
	ck_assert_int_eq(policy_identity(p), POLICY_OWN_UID);
}

START_TEST(the_agent_has_its_own_uid_unless_every_layer_that_says_so_gives_it_up)
{
	struct policy *p = rig_load("policy: 1\nworkspace: {identity: same-uid}\n");

	ck_assert_int_eq(policy_identity(p), POLICY_SAME_UID);
	policy_free(p);
	p = rig_load("policy: 1\n");
	own_uid(p);
	policy_free(p);
	both_orders("policy: 1\nworkspace: {identity: same-uid}\n",
		"policy: 1\nworkspace: {identity: own-uid}\n", own_uid);
}
END_TEST

/* ---- approvals, session ---- */

static void strict_approvals(const struct policy *p)
{
	struct policy_approvals a;

	policy_approvals(p, &a);
	ck_assert_uint_eq(a.who, POLICY_WHO_ADMIN);
	ck_assert_uint_eq(a.timeout_s, 60);
	ck_assert_uint_eq(a.remember_s, 1800);
}

START_TEST(approvals_compose_to_fewer_people_and_shorter_times)
{
	struct policy *p = rig_load("policy: 1\n");
	struct policy_approvals a;

	policy_approvals(p, &a);
	ck_assert_uint_eq(a.who, POLICY_WHO_OWNER | POLICY_WHO_ADMIN);
	ck_assert_uint_eq(a.timeout_s, 600);
	ck_assert_uint_eq(a.remember_s, POLICY_REMEMBER_SESSION);
	policy_free(p);
	both_orders(
		"policy: 1\napprovals: {who: [admin], timeout: 10m, on_timeout: deny, remember: "
		"{longest: session}}\n",
		"policy: 1\napprovals: {who: [session-owner, admin], timeout: 1m, remember: "
		"{longest: 30m}}\n",
		strict_approvals);
	p = rig_load("policy: 1\napprovals: {remember: {longest: once}}\n");
	policy_approvals(p, &a);
	ck_assert_uint_eq(a.remember_s, POLICY_REMEMBER_ONCE);
	policy_free(p);
}
END_TEST

static void lost_at_once(const struct policy *p)
{
	struct policy_session s;

	policy_session(p, &s);
	ck_assert_uint_eq(s.on_lost_after_s, 5);
}

START_TEST(the_shortest_time_without_daemons_counts)
{
	struct policy *p = rig_load("policy: 1\nsession: {on_lost: freeze, on_lost_after: 1m}\n");
	struct policy_session s;

	policy_session(p, &s);
	ck_assert_uint_eq(s.on_lost_after_s, 60);
	policy_free(p);
	p = rig_load("policy: 1\naudit: {durability: strict}\n");
	policy_session(p, &s);
	ck_assert_uint_eq(s.on_lost_after_s, 30);
	ck_assert_int_eq(policy_durability(p), POLICY_DURABLE_STRICT);
	policy_free(p);
	both_orders("policy: 1\nsession: {on_lost: kill}\n",
		"policy: 1\nsession: {on_lost_after: 1m}\n", lost_at_once);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("policy_compose");
	TCase *t = tcase_create("sections over layers");

	tcase_add_test(t, the_builtin_layer_has_limits_that_any_file_replaces);
	tcase_add_test(t, numbers_sizes_and_durations_mean_what_they_say);
	tcase_add_test(t, the_smallest_limit_counts_and_best_effort_needs_every_layer);
	tcase_add_test(t, the_builtin_layer_passes_no_variable_that_loads_code);
	tcase_add_test(t, a_variable_passes_when_every_file_with_a_list_has_it);
	tcase_add_test(t, variables_are_set_to_what_was_typed_and_one_name_has_one_value);
	tcase_add_test(t, each_path_gets_the_strictest_mode_of_any_layer);
	tcase_add_test(t, two_spellings_of_one_path_in_one_layer_get_the_stricter_mode);
	tcase_add_test(t, parents_come_before_what_is_in_them);
	tcase_add_test(t, mounts_below_unusable_places_are_an_error);
	tcase_add_test(t, the_agent_has_its_own_uid_unless_every_layer_that_says_so_gives_it_up);
	tcase_add_test(t, approvals_compose_to_fewer_people_and_shorter_times);
	tcase_add_test(t, the_shortest_time_without_daemons_counts);
	suite_add_tcase(s, t);
	return rig_run(s);
}
