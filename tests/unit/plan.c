/* The launch plan: what the supervisor accepts from a broker that may be taken over. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/msg.h"
#include "common/plan.h"

static struct plan_builder *b;

static void fill(void)
{
	struct plan_header *h = &b->h;

	plan_begin(b);
	h->uid = h->gid = 1000;
	h->inner_uid = h->inner_gid = 1000;
#define PUT(field, text) h->field = plan_put(b, text, strlen(text))
	PUT(name, "web");
	PUT(agent, "claude-code");
	PUT(session, "web.0011aabb");
	PUT(user_name, "dev");
	PUT(home, "/home/dev");
	PUT(workspace, "/home/dev/web");
	PUT(cwd, "/home/dev/web");
	PUT(hostname, "box");
	PUT(policy_sha256, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
	PUT(home_key, "0123456789abcdef0123456789abcdef");
	plan_add_arg(b, "/bin/true", 9);
	plan_add_env(b, "PATH=/bin", 9);
	plan_add_mount(b, PLAN_BIND_RO, PLAN_MOUNT_OPTIONAL, "/opt/x", 6, "/opt/x");
	plan_add_mount(b, PLAN_DATA, 0, "a\0b", 3, "/etc/passwd");
	plan_add_mount(b, PLAN_PROTECT, 0, ".git/extra", 10, "");
}

static void setup(void)
{
	b = malloc(sizeof *b);
	fill();
}

static void teardown(void)
{
	free(b->heap);
	free(b);
}

static char *finish(size_t *n)
{
	struct error e = {0};
	char *p = plan_finish(b, n, &e);

	ck_assert_msg(p != NULL, "%s", e.text);
	return p;
}

START_TEST(a_built_plan_passes_its_check_and_reads_back)
{
	size_t n;
	char *p = finish(&n);
	const struct plan_header *h = (const struct plan_header *)(const void *)p;

	ck_assert_str_eq(plan_text(h, h->name), "web");
	ck_assert_str_eq(plan_text(h, plan_arg(h, 0)), "/bin/true");
	ck_assert_str_eq(plan_text(h, plan_env(h, 0)), "PATH=/bin");
	ck_assert_uint_eq(plan_mount_at(h, 1)->src.len, 3);
	ck_assert_int_eq(plan_check(p, n, NULL), 0);
	free(p);
}
END_TEST

START_TEST(a_plan_cut_or_grown_by_any_number_of_bytes_is_refused)
{
	size_t n;
	char *p = finish(&n);
	char *grown = calloc(1, n + 64);

	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(plan_check(p, i, NULL), -1);
	memcpy(grown, p, n);
	ck_assert_int_eq(plan_check(grown, n + 64, NULL), -1);
	free(grown);
	free(p);
}
END_TEST

START_TEST(offsets_that_leave_the_plan_are_refused)
{
	static const uint32_t bad[] = {0, 1, 0x7fffffff, 0xffffffff, 0xfffffff0};
	size_t n;
	char *p = finish(&n);
	struct plan_header *h = (struct plan_header *)(void *)p;
	struct plan_header good = *h;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		h->name.off = bad[i];
		ck_assert_int_eq(plan_check(p, n, NULL), -1);
		*h = good;
		h->name.len = bad[i] ? bad[i] : 41;
		ck_assert_int_eq(plan_check(p, n, NULL), -1);
		*h = good;
		h->args = bad[i];
		ck_assert_int_eq(plan_check(p, n, NULL), -1);
		*h = good;
		h->envs = bad[i];
		ck_assert_int_eq(plan_check(p, n, NULL), -1);
		*h = good;
		h->mounts = bad[i];
		ck_assert_int_eq(plan_check(p, n, NULL), -1);
		*h = good;
		h->argc = bad[i] ? bad[i] : 0;
		if (bad[i] != 1)
			ck_assert_int_eq(plan_check(p, n, NULL), -1);
		*h = good;
	}
	ck_assert_int_eq(plan_check(p, n, NULL), 0);
	free(p);
}
END_TEST

START_TEST(no_single_changed_byte_makes_a_reader_leave_the_plan)
{
	size_t n;
	char *p = finish(&n);
	char *copy = malloc(n); /* exactly n bytes: a sanitizer sees every step outside */

	for (size_t i = 0; i < n; i++) {
		for (int v = 0; v < 256; v += 5) {
			const struct plan_header *h =
				(const struct plan_header *)(const void *)copy;

			memcpy(copy, p, n);
			copy[i] = (char)v;
			if (plan_check(copy, n, NULL) < 0)
				continue;
			for (uint32_t k = 0; k < h->argc; k++)
				ck_assert_uint_le(strlen(plan_text(h, plan_arg(h, k))), n);
			for (uint32_t k = 0; k < h->envc; k++)
				ck_assert_uint_le(strlen(plan_text(h, plan_env(h, k))), n);
		}
	}
	free(copy);
	free(p);
}
END_TEST

START_TEST(paths_are_absolute_and_canonical)
{
	static const char *const good[] = {"/", "/a", "/a/b", "/a/.b", "/a/..b", "/a/b..", "/..."};
	static const char *const bad[] = {
		"", "a", "//", "/a/", "/a//b", "/./a", "/a/.", "/a/..", "/..", "/a/../b"};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		ck_assert_msg(plan_path_ok(good[i], strlen(good[i]), 0), "%s", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(!plan_path_ok(bad[i], strlen(bad[i]), 0), "%s", bad[i]);
	ck_assert(plan_path_ok(".git/hooks", 10, 1));
	ck_assert(!plan_path_ok("/git", 4, 1));
	ck_assert(!plan_path_ok("../x", 4, 1));
	ck_assert(!plan_path_ok("a/..", 4, 1));
}
END_TEST

START_TEST(a_component_longer_than_a_file_name_is_refused)
{
	char path[300] = "/";

	memset(path + 1, 'a', 256);
	ck_assert(!plan_path_ok(path, 257, 0));
	ck_assert(plan_path_ok(path, 256, 0));
}
END_TEST

START_TEST(root_inside_and_unknown_flags_are_refused)
{
	struct error e = {0};
	size_t n;

	b->h.inner_uid = 0;
	ck_assert_ptr_null(plan_finish(b, &n, &e));
	fill();
	b->h.flags = 0x100;
	ck_assert_ptr_null(plan_finish(b, &n, &e));
	fill();
	b->h.on_lost_ms = 1;
	ck_assert_ptr_null(plan_finish(b, &n, &e));
	fill();
	plan_add_env(b, "=x", 2);
	ck_assert_ptr_null(plan_finish(b, &n, &e));
	fill();
	plan_add_mount(b, (enum plan_mount_kind)99, 0, "/a", 2, "/a");
	ck_assert_ptr_null(plan_finish(b, &n, &e));
	fill();
	plan_add_mount(b, PLAN_PROTECT, 0, "../up", 5, "");
	ck_assert_ptr_null(plan_finish(b, &n, &e));
}
END_TEST

START_TEST(too_many_mounts_or_arguments_fail_in_the_builder)
{
	struct error e = {0};
	size_t n;

	for (unsigned i = 0; i < PLAN_MOUNTS_MAX + 1; i++)
		plan_add_mount(b, PLAN_BIND_RO, 0, "/a", 2, "/a");
	ck_assert_ptr_null(plan_finish(b, &n, &e));
	ck_assert_str_ne(e.text, "");
	fill();
	for (unsigned i = 0; i < PLAN_ARGS_MAX + 1; i++)
		plan_add_arg(b, "x", 1);
	ck_assert_ptr_null(plan_finish(b, &n, &e));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("plan");
	TCase *t = tcase_create("plan");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_built_plan_passes_its_check_and_reads_back);
	tcase_add_test(t, a_plan_cut_or_grown_by_any_number_of_bytes_is_refused);
	tcase_add_test(t, offsets_that_leave_the_plan_are_refused);
	tcase_add_test(t, no_single_changed_byte_makes_a_reader_leave_the_plan);
	tcase_add_test(t, paths_are_absolute_and_canonical);
	tcase_add_test(t, a_component_longer_than_a_file_name_is_refused);
	tcase_add_test(t, root_inside_and_unknown_flags_are_refused);
	tcase_add_test(t, too_many_mounts_or_arguments_fail_in_the_builder);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
