/* The pure parts of what guards protected paths. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/cgroup.h"
#include "common/paths.h"
#include "supervisor/protect.h"

static int sandbox_in(const char *text, uid_t *uid, char *name)
{
	char copy[512];

	strcpy(copy, text);
	return cgroup_sandbox(copy, "agentd", uid, name, NAME_CAP);
}

START_TEST(a_process_of_a_sandbox_is_known_by_its_cgroup)
{
	char name[NAME_CAP];
	uid_t uid;

	ck_assert_int_eq(sandbox_in("0::/agentd/u1000/web\n", &uid, name), 1);
	ck_assert_uint_eq(uid, 1000);
	ck_assert_str_eq(name, "web");
	ck_assert_int_eq(
		sandbox_in("2:cpu:/x\n1:pids:/agentd/u7/old\n0::/agentd/u5/a.b-1\n", &uid, name),
		1);
	ck_assert_uint_eq(uid, 5);
	ck_assert_str_eq(name, "a.b-1");
	ck_assert_int_eq(sandbox_in("0::/outer.slice/agentd/u3/x/below\n", &uid, name), 1);
	ck_assert_str_eq(name, "x");
}
END_TEST

START_TEST(a_process_of_the_host_is_not_taken_for_an_agent)
{
	static const char *const outside[] = {"", "\n", "0::/\n",
		"0::/user.slice/session-1.scope\n", "0::/agentd\n", "0::/agentd/\n",
		"0::/agentd/u\n", "0::/agentd/u1000\n", "0::/agentd/u1000/\n",
		"0::/agentd/ux/web\n", "0::/notagentd/u1/web\n", "0::/agentd-12345678/u1/web\n",
		"1:pids:/agentd/u1/web\n",
		"0::/agentd/u1/name-that-is-far-too-long-to-be-a-name-of-ours\n"};
	char name[NAME_CAP];
	uid_t uid;

	for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
		ck_assert_msg(!sandbox_in(outside[i], &uid, name), "%s", outside[i]);
}
END_TEST

START_TEST(below_is_by_whole_components)
{
	ck_assert(protect_covers(".git/config", ".git/config"));
	ck_assert(protect_covers(".git/hooks/x/y", ".git/hooks"));
	ck_assert(!protect_covers(".git/config.lock", ".git/config"));
	ck_assert(!protect_covers(".git/config (deleted)", ".git/config"));
	ck_assert(!protect_covers(".git", ".git/config"));
}
END_TEST

START_TEST(names_that_want_a_wall)
{
	ck_assert(protect_wants("", ".git") && protect_wants("", ".envrc"));
	ck_assert(protect_wants(".git", "config") && protect_wants(".git", "commondir"));
	ck_assert(!protect_wants("", "config") && !protect_wants(".git", "index.lock"));
	ck_assert(protect_never(".git/modules/sub", "commondir"));
	ck_assert(!protect_never(".git/worktrees/w", "commondir")); /* git itself makes those */
	ck_assert(!protect_never("", "commondir"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("protect");
	TCase *c = tcase_create("pure");
	SRunner *r;
	int failed;

	tcase_add_test(c, a_process_of_a_sandbox_is_known_by_its_cgroup);
	tcase_add_test(c, a_process_of_the_host_is_not_taken_for_an_agent);
	tcase_add_test(c, below_is_by_whole_components);
	tcase_add_test(c, names_that_want_a_wall);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
