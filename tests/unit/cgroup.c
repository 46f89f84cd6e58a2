/* cgroups: reading the mount table of machines we do not have, and killing, freezing, counting and
 * walking on the one we have (as root; without root those are left out). */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cgroup.h"
#include "common/io.h"

/* ---- mount tables ---- */

static struct cgroup_host parse(const char *text)
{
	static char copy[4096];
	struct cgroup_host h = {0};
	struct cgroup_mounts m = {.host = &h};
	char *save = NULL;

	snprintf(copy, sizeof copy, "%s", text);
	for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		cgroup_mount_line(&m, l);
	return h;
}

START_TEST(a_pure_v2_host)
{
	struct cgroup_host h = parse(
		"22 27 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:13 - proc proc rw\n"
		"29 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 "
		"cgroup2 rw,nsdelegate,memory_recursiveprot\n");

	ck_assert_str_eq(h.v2, "/sys/fs/cgroup");
	ck_assert_str_eq(h.pids, "");
	ck_assert_str_eq(h.memory, "");
	ck_assert_str_eq(h.cpu, "");
}
END_TEST

START_TEST(a_hybrid_host_with_joined_controllers)
{
	struct cgroup_host h = parse(
		"30 25 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n"
		"31 25 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
		"33 25 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
		"34 25 0:31 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
		"35 25 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
		"36 25 0:33 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n");

	ck_assert_str_eq(h.v2, "/sys/fs/cgroup/unified");
	ck_assert_str_eq(h.cpu, "/sys/fs/cgroup/cpu,cpuacct");
	ck_assert_str_eq(h.memory, "/sys/fs/cgroup/memory");
	ck_assert_str_eq(h.pids, "/sys/fs/cgroup/pids");
}
END_TEST

START_TEST(the_whole_hierarchy_is_preferred_to_a_part_of_it)
{
	struct cgroup_host h = parse(
		"1 0 0:26 /docker/abc /some/part rw master:3 - cgroup2 cgroup2 rw\n"
		"2 0 0:26 / /whole rw shared:1 master:2 propagate_from:9 - cgroup2 cgroup2 rw\n"
		"3 0 0:26 / /second rw - cgroup2 cgroup2 rw\n"
		"4 0 0:26 /docker/abc /late/part rw - cgroup2 cgroup2 rw\n");

	ck_assert_str_eq(h.v2, "/whole");
	h = parse("1 0 0:26 /docker/abc /only/part rw - cgroup2 cgroup2 rw\n");
	ck_assert_str_eq(h.v2, "/only/part");
}
END_TEST

START_TEST(escaped_characters_in_a_mount_point_are_undone)
{
	struct cgroup_host h =
		parse("1 0 0:26 / /my\\040cgroups\\134x\\011y rw - cgroup2 cgroup2 rw\n");

	ck_assert_str_eq(h.v2, "/my cgroups\\x\ty");
}
END_TEST

START_TEST(lines_that_only_look_like_cgroups_are_passed_over)
{
	struct cgroup_host h =
		parse("1 0 0:26 / /cgroup2 rw - ext4 cgroup2 rw\n"
		      "2 0 0:26 / /a rw - cgroup\n"
		      "3 0 0:26 / /b rw\n"
		      "4\n"
		      "5 0 0:26 / /c rw - cgroup cgroup rw,cpuset,pidsx,xmemory,name=pids\n"
		      "6 0 0:26 / /d rw - cgroup2\n"
		      " - \n");

	ck_assert_str_eq(h.v2, "");
	ck_assert_str_eq(h.pids, "");
	ck_assert_str_eq(h.memory, "");
	ck_assert_str_eq(h.cpu, "");
}
END_TEST

START_TEST(a_mount_point_that_is_too_long_is_passed_over)
{
	char line[512];

	snprintf(line, sizeof line, "1 0 0:26 / /%0300d rw - cgroup2 cgroup2 rw\n", 0);
	ck_assert_str_eq(parse(line).v2, "");
}
END_TEST

START_TEST(a_number_becomes_a_longer_wait_up_to_ten_milliseconds)
{
	unsigned last = 0;

	for (unsigned i = 0; i < 100; i++) {
		ck_assert_uint_ge(cgroup_poll_us(i), last);
		last = cgroup_poll_us(i);
	}
	ck_assert_uint_eq(cgroup_poll_us(0), 100);
	ck_assert_uint_eq(last, 10000);
}
END_TEST

/* ---- the real thing ---- */

static struct cgroup_host host;
static char name[64];
static int root, cg;

static void setup(void)
{
	struct error e = {0};

	ck_assert_msg(cgroup_find(&host, &e) == 0, "%s", e.text);
	snprintf(name, sizeof name, "agentd-test-cgroup-%d", getpid());
	root = open(host.v2, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(mkdirat(root, name, 0755), 0);
	cg = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(cg, 0);
}

static void teardown(void)
{
	cgroup_kill(cg);
	ck_assert_int_eq(cgroup_wait_empty(cg, 5000), 0);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	close(cg);
	ck_assert_int_eq(unlinkat(root, name, AT_REMOVEDIR), 0);
	close(root);
}

static pid_t sleeper(int at)
{
	pid_t pid = fork();

	if (pid == 0) {
		int fd = openat(at, "cgroup.procs", O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, "0", 1) != 1)
			_exit(1);
		close(fd);
		for (;;)
			pause();
	}
	for (int i = 0; i < 1000 && cgroup_populated(at) != 1; i++)
		usleep(1000);
	return pid;
}

START_TEST(an_empty_cgroup_is_empty_at_once)
{
	ck_assert_int_eq(cgroup_populated(cg), 0);
	ck_assert_int_eq(cgroup_frozen(cg), 0);
	ck_assert_int_eq(cgroup_count(cg, 100), 0);
	ck_assert_int_eq(cgroup_wait_empty(cg, 0), 0);
	ck_assert_int_eq(cgroup_kill(cg), 0);
}
END_TEST

START_TEST(kill_ends_every_process_and_wait_sees_the_end)
{
	pid_t pid;
	int status;

	for (int i = 0; i < 5; i++)
		pid = sleeper(cg);
	for (int i = 0; i < 1000 && cgroup_count(cg, 100) < 5; i++)
		usleep(1000);
	ck_assert_int_eq(cgroup_count(cg, 100), 5);
	ck_assert_int_eq(cgroup_count(cg, 3), 3);
	ck_assert_int_eq(cgroup_wait_empty(cg, 20), 1);
	ck_assert_int_eq(cgroup_kill(cg), 0);
	ck_assert_int_eq(cgroup_wait_empty(cg, 5000), 0);
	ck_assert_int_eq(cgroup_count(cg, 100), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WTERMSIG(status), SIGKILL);
}
END_TEST

START_TEST(a_frozen_cgroup_says_so_and_can_still_be_killed)
{
	sleeper(cg);
	ck_assert_int_eq(cgroup_freeze(cg, 1), 0);
	for (int i = 0; i < 1000 && cgroup_frozen(cg) != 1; i++)
		usleep(1000);
	ck_assert_int_eq(cgroup_frozen(cg), 1);
	ck_assert_int_eq(cgroup_kill(cg), 0);
	ck_assert_int_eq(cgroup_wait_empty(cg, 5000), 0);
	ck_assert_int_eq(cgroup_freeze(cg, 0), 0);
}
END_TEST

START_TEST(a_removed_cgroup_is_empty)
{
	int events, sub;

	ck_assert_int_eq(mkdirat(cg, "sub", 0755), 0);
	sub = openat(cg, "sub", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	events = cgroup_events_open(sub);
	ck_assert_int_eq(unlinkat(cg, "sub", AT_REMOVEDIR), 0);
	ck_assert_int_eq(cgroup_events_populated(events), 0);
	ck_assert_int_eq(cgroup_kill(sub), -1);
	ck_assert_int_eq(cgroup_count(sub, 10), -1);
	close(events);
	close(sub);
}
END_TEST

START_TEST(a_tag_is_kept_with_the_cgroup)
{
	struct cgroup_tag t = {.sandbox = 7}, out;

	ck_assert_int_eq(cgroup_tag_get(cg, &out), -1);
	ck_assert_int_eq(errno, ENODATA);
	memset(t.identity, 9, sizeof t.identity);
	ck_assert_int_eq(cgroup_tag_set(cg, &t), 0);
	ck_assert_int_eq(cgroup_tag_get(cg, &out), 0);
	ck_assert_mem_eq(&t, &out, sizeof t);
}
END_TEST

#define SEEN 8192

static int remember_names(void *ctx, const char *child, int fd)
{
	char *seen = ctx;
	size_t n = strlen(seen);

	ck_assert_int_eq(cgroup_populated(fd), 0);
	snprintf(seen + n, SEEN - n, "%s ", child);
	return strcmp(child, "stop") == 0 ? 5 : 0;
}

START_TEST(walking_visits_child_cgroups_and_no_files)
{
	char seen[SEEN] = "";

	ck_assert_int_eq(cgroup_each_child(cg, remember_names, seen), 0);
	ck_assert_str_eq(seen, "");
	ck_assert_int_eq(mkdirat(cg, "a", 0755) | mkdirat(cg, "b", 0755), 0);
	ck_assert_int_eq(cgroup_each_child(cg, remember_names, seen), 0);
	ck_assert_ptr_nonnull(strstr(seen, "a "));
	ck_assert_ptr_nonnull(strstr(seen, "b "));
	ck_assert_uint_eq(strlen(seen), 4);
	ck_assert_int_eq(mkdirat(cg, "stop", 0755), 0);
	ck_assert_int_eq(cgroup_each_child(cg, remember_names, seen), 5);
	unlinkat(cg, "a", AT_REMOVEDIR);
	unlinkat(cg, "b", AT_REMOVEDIR);
	unlinkat(cg, "stop", AT_REMOVEDIR);
	ck_assert_int_eq(cgroup_each_child(-1, remember_names, seen), -1);
}
END_TEST

START_TEST(walking_a_large_tree_needs_more_than_one_read)
{
	char seen[SEEN] = "", child[32];

	for (int i = 0; i < 200; i++) {
		snprintf(child, sizeof child, "child-%03d", i);
		ck_assert_int_eq(mkdirat(cg, child, 0755), 0);
	}
	ck_assert_int_eq(cgroup_each_child(cg, remember_names, seen), 0);
	for (int i = 0; i < 200; i++) {
		snprintf(child, sizeof child, "child-%03d", i);
		ck_assert_ptr_nonnull(strstr(seen, child));
		unlinkat(cg, child, AT_REMOVEDIR);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cgroup");
	TCase *m = tcase_create("mount table"), *k = tcase_create("kernel");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(m, a_pure_v2_host);
	tcase_add_test(m, a_hybrid_host_with_joined_controllers);
	tcase_add_test(m, the_whole_hierarchy_is_preferred_to_a_part_of_it);
	tcase_add_test(m, escaped_characters_in_a_mount_point_are_undone);
	tcase_add_test(m, lines_that_only_look_like_cgroups_are_passed_over);
	tcase_add_test(m, a_mount_point_that_is_too_long_is_passed_over);
	tcase_add_test(m, a_number_becomes_a_longer_wait_up_to_ten_milliseconds);
	tcase_add_checked_fixture(k, setup, teardown);
	tcase_add_test(k, an_empty_cgroup_is_empty_at_once);
	tcase_add_test(k, kill_ends_every_process_and_wait_sees_the_end);
	tcase_add_test(k, a_frozen_cgroup_says_so_and_can_still_be_killed);
	tcase_add_test(k, a_removed_cgroup_is_empty);
	tcase_add_test(k, a_tag_is_kept_with_the_cgroup);
	tcase_add_test(k, walking_visits_child_cgroups_and_no_files);
	tcase_add_test(k, walking_a_large_tree_needs_more_than_one_read);
	suite_add_tcase(s, m);
	if (geteuid() == 0)
		suite_add_tcase(s, k);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
