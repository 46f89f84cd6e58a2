/* The latch table: what stops a launch, what a full, damaged or half-written table does, and that
 * several processes can use it at once. */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/io.h"
#include "common/latch.h"

static char dir[] = "/tmp/agentd-latch-XXXXXX", path[160];
static struct latch_table *table;

static struct latch_table *open_table(void)
{
	struct error e = {0};
	struct latch_table *t = latch_open(path, &e);

	ck_assert_msg(t != NULL, "%s", e.text);
	return t;
}

static void setup(void)
{
	snprintf(dir, sizeof dir, "/tmp/agentd-latch-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/latches", dir);
	table = open_table();
}

static void teardown(void)
{
	latch_close(table);
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0); /* nothing but the table was left behind */
}

static struct latch_entry entry(uid_t uid, const char *name)
{
	struct latch_entry e = {.uid = uid, .by_uid = uid, .at_ns = io_now_real()};

	snprintf(e.name, sizeof e.name, "%s", name);
	return e;
}

static unsigned set(uid_t uid, const char *name)
{
	struct latch_entry e = entry(uid, name);

	return latch_set(table, &e);
}

static int stopped(uid_t uid, const char *name)
{
	return latch_check(table, uid, name, NULL, NULL);
}

static unsigned count_used(void)
{
	struct latch_entry e;
	unsigned n = 0;

	for (unsigned i = 0; i < LATCH_SLOTS; i++)
		n += (unsigned)latch_get(table, i, &e);
	return n;
}

START_TEST(an_empty_table_stops_nothing)
{
	ck_assert_int_eq(stopped(1000, "web"), 0);
	ck_assert_uint_eq(count_used(), 0);
	ck_assert_int_eq(latch_damaged(table), 0);
}
END_TEST

START_TEST(the_file_is_private_to_root_and_allocated)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_ge(st.st_blocks * 512, st.st_size);
}
END_TEST

START_TEST(a_latch_stops_its_name_of_its_user_only)
{
	struct latch_entry why;

	set(1000, "web");
	ck_assert_int_eq(latch_check(table, 1000, "web", NULL, &why), 1);
	ck_assert_str_eq(why.name, "web");
	ck_assert_uint_eq(why.uid, 1000);
	ck_assert_int_eq(stopped(1000, "webb"), 0);
	ck_assert_int_eq(stopped(1000, "we"), 0);
	ck_assert_int_eq(stopped(1001, "web"), 0);
}
END_TEST

START_TEST(the_same_workspace_and_agent_under_another_name_is_stopped)
{
	struct latch_entry e = entry(1000, "web");
	unsigned char other[32] = {1};

	memset(e.identity, 7, sizeof e.identity);
	e.flags |= LATCH_IDENTITY;
	latch_set(table, &e);
	ck_assert_int_eq(latch_check(table, 1000, "innocent", e.identity, NULL), 1);
	ck_assert_int_eq(latch_check(table, 1000, "innocent", other, NULL), 0);
	ck_assert_int_eq(latch_check(table, 1001, "innocent", e.identity, NULL), 0);
}
END_TEST

START_TEST(a_latch_without_identity_does_not_match_an_identity_of_zeros)
{
	const unsigned char zeros[32] = {0};

	set(1000, "web");
	ck_assert_int_eq(latch_check(table, 1000, "innocent", zeros, NULL), 0);
}
END_TEST

START_TEST(all_stops_everything_of_that_user)
{
	struct latch_entry e = entry(1000, "");

	e.flags = LATCH_ALL;
	latch_set(table, &e);
	ck_assert_int_eq(stopped(1000, "anything"), 1);
	ck_assert_int_eq(stopped(1001, "anything"), 0);
}
END_TEST

START_TEST(setting_again_replaces)
{
	unsigned first = set(1000, "web");

	ck_assert_uint_eq(set(1000, "web"), first);
	ck_assert_uint_eq(count_used(), 1);
}
END_TEST

START_TEST(clearing_a_name_leaves_the_others_and_the_users_all)
{
	struct latch_entry all = entry(1000, "");

	set(1000, "a");
	set(1000, "b");
	set(1001, "a");
	ck_assert_uint_eq(latch_clear(table, 1000, "a"), 1);
	ck_assert_uint_eq(latch_clear(table, 1000, "a"), 0);
	ck_assert_int_eq(stopped(1000, "a"), 0);
	ck_assert_int_eq(stopped(1000, "b"), 1);
	ck_assert_int_eq(stopped(1001, "a"), 1);
	all.flags = LATCH_ALL;
	latch_set(table, &all);
	ck_assert_uint_eq(latch_clear(table, 1000, "b"), 1);
	ck_assert_int_eq(stopped(1000, "b"), 1);
	ck_assert_uint_eq(latch_clear(table, 1000, NULL), 1);
	ck_assert_int_eq(stopped(1000, "b"), 0);
	ck_assert_int_eq(stopped(1001, "a"), 1);
}
END_TEST

START_TEST(a_latch_survives_reopening)
{
	set(1000, "web");
	ck_assert_int_eq(latch_sync(table), 0);
	latch_close(table);
	table = open_table();
	ck_assert_int_eq(stopped(1000, "web"), 1);
	ck_assert_uint_eq(count_used(), 1);
}
END_TEST

START_TEST(two_openers_see_each_others_latches)
{
	struct latch_table *other = open_table();

	set(1000, "web");
	ck_assert_int_eq(latch_check(other, 1000, "web", NULL, NULL), 1);
	latch_clear(other, 1000, NULL);
	ck_assert_int_eq(stopped(1000, "web"), 0);
	latch_close(other);
}
END_TEST

START_TEST(a_user_without_slots_left_is_latched_whole)
{
	char name[NAME_CAP];

	for (unsigned i = 0; i < LATCH_PER_UID; i++) {
		snprintf(name, sizeof name, "n%u", i);
		set(1000, name);
	}
	ck_assert_int_eq(stopped(1000, "innocent"), 0);
	set(1000, "one-more");
	ck_assert_int_eq(stopped(1000, "one-more"), 1);
	ck_assert_int_eq(stopped(1000, "innocent"), 1);
	ck_assert_int_eq(stopped(1001, "innocent"), 0);
	ck_assert_uint_eq(count_used(), LATCH_PER_UID);
	for (unsigned i = 0; i < 300; i++) { /* and no name takes more slots */
		snprintf(name, sizeof name, "m%u", i);
		set(1000, name);
		ck_assert_int_eq(stopped(1000, name), 1);
	}
	ck_assert_uint_eq(count_used(), LATCH_PER_UID);
	ck_assert_int_eq(stopped(1000, "n0"), 1);
}
END_TEST

START_TEST(making_room_spares_a_receipt_that_is_not_logged)
{
	struct latch_entry e;
	char name[NAME_CAP];
	unsigned kept = 0;

	for (unsigned i = 0; i < LATCH_PER_UID; i++) {
		snprintf(name, sizeof name, "n%u", i);
		e = entry(1000, name);
		e.flags = i == 5 ? 0 : LATCH_UNLOGGED;
		latch_set(table, &e);
	}
	set(1000, "one-more");
	for (unsigned i = 0; i < LATCH_SLOTS; i++)
		kept += latch_get(table, i, &e) && (e.flags & LATCH_UNLOGGED);
	ck_assert_uint_eq(kept, LATCH_PER_UID - 1);
}
END_TEST

START_TEST(a_table_without_slots_never_leaves_a_user_open)
{
	char name[NAME_CAP];

	for (unsigned i = 0; i < LATCH_SLOTS; i++) {
		snprintf(name, sizeof name, "n%u", i % LATCH_PER_UID);
		set(1000 + i / LATCH_PER_UID, name);
	}
	ck_assert_uint_eq(count_used(), LATCH_SLOTS);
	ck_assert_int_eq(stopped(999, "new"), 0);
	set(999, "new");
	ck_assert_int_eq(stopped(999, "new"), 1);
	ck_assert_int_eq(stopped(4242, "anything"), 1); /* everybody, until a human looks at it */
	ck_assert_int_eq(latch_damaged(table), 1);
	latch_close(table);
	table = open_table();
	ck_assert_int_eq(stopped(999, "new"), 1);
}
END_TEST

START_TEST(a_receipt_is_marked_as_logged_only_for_its_kill)
{
	struct latch_entry e = entry(1000, "web"), out;
	unsigned slot;

	e.flags = LATCH_UNLOGGED;
	slot = latch_set(table, &e);
	ck_assert_int_eq(latch_get(table, slot, &out), 1);
	ck_assert_uint_eq(out.flags, LATCH_UNLOGGED);
	latch_logged(table, slot, e.at_ns + 1);
	latch_get(table, slot, &out);
	ck_assert_uint_eq(out.flags, LATCH_UNLOGGED);
	latch_logged(table, slot, e.at_ns);
	latch_get(table, slot, &out);
	ck_assert_uint_eq(out.flags, 0);
	latch_logged(table, LATCH_SLOTS + 5, e.at_ns);
	ck_assert_int_eq(latch_get(table, LATCH_SLOTS, &out), 0);
}
END_TEST

START_TEST(a_receipt_is_added_to_its_kill)
{
	struct latch_entry e = entry(1000, "web"), out;
	unsigned slot;

	e.flags = LATCH_UNLOGGED;
	slot = latch_set(table, &e);
	e.tasks = 12;
	e.sig[3] = 9;
	ck_assert_int_eq(latch_update(table, slot, &e), 1);
	ck_assert_int_eq(latch_get(table, slot, &out), 1);
	ck_assert_uint_eq(out.tasks, 12);
	ck_assert_uint_eq(out.sig[3], 9);
	ck_assert_uint_eq(out.flags, LATCH_UNLOGGED);
	ck_assert_uint_eq(count_used(), 1);
}
END_TEST

START_TEST(a_late_receipt_does_not_bring_back_a_latch_that_a_human_removed)
{
	struct latch_entry e = entry(1000, "web");
	unsigned slot = latch_set(table, &e);

	latch_clear(table, 1000, "web");
	ck_assert_int_eq(latch_update(table, slot, &e), 0);
	ck_assert_int_eq(stopped(1000, "web"), 0);
	ck_assert_int_eq(latch_update(table, LATCH_SLOTS, &e), 0);
	set(1001, "other");
	ck_assert_int_eq(latch_update(table, slot, &e), 0);
}
END_TEST

START_TEST(a_receipt_text_names_what_happened)
{
	struct latch_entry e = entry(1000, "web");
	char text[256], small[10];

	e.at_ns = 5;
	e.sandbox = 7;
	e.tasks = 12;
	e.took_us = 3541;
	e.by_uid = 0;
	ck_assert_uint_eq(latch_receipt_text(&e, text, sizeof text), strlen(text));
	ck_assert_str_eq(text, "agentd-kill v1 uid=1000 name=web sandbox=7 by=0 at=5 tasks=12 "
			       "unconfirmed=0 us=3541\n");
	ck_assert_uint_eq(latch_receipt_text(&e, small, sizeof small), 9);
}
END_TEST

/* ---- damage ---- */

static void damage(long at, const char *bytes, size_t n)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, bytes, n, at), (ssize_t)n);
	close(fd);
}

static void expect_everything_latched(void)
{
	struct latch_entry why;

	latch_close(table);
	table = open_table();
	ck_assert_int_eq(latch_damaged(table), 1);
	ck_assert_int_eq(latch_check(table, 31337, "anything", NULL, &why), 1);
	ck_assert_ptr_nonnull(strstr(why.reason, "damaged"));
	set(1000, "still-settable");
}

START_TEST(a_wrong_magic_latches_everything_and_the_file_is_left_alone)
{
	char now[4] = "";
	int fd;

	damage(0, "oops", 4);
	expect_everything_latched();
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(read(fd, now, 4), 4);
	close(fd);
	ck_assert_mem_eq(now, "oops", 4);
}
END_TEST

START_TEST(an_unknown_version_latches_everything)
{
	damage(8, "\x63", 1);
	expect_everything_latched();
}
END_TEST

START_TEST(a_truncated_file_latches_everything)
{
	ck_assert_int_eq(truncate(path, 4096 + 512), 0);
	expect_everything_latched();
	ck_assert_int_eq(truncate(path, 0), 0);
	expect_everything_latched();
}
END_TEST

START_TEST(a_flipped_bit_in_a_latch_latches_everything)
{
	unsigned slot = set(1000, "web");
	/* header page, control words, then two copies of each entry with an 8-byte checksum */
	long at = 4096 + 8 * LATCH_SLOTS + (long)(2 * slot * (sizeof(struct latch_entry) + 8));

	/* The current copy is the second: a first write goes to the one that is not current. */
	damage(at + (long)sizeof(struct latch_entry) + 8 + 40, "\xff", 1);
	ck_assert_int_eq(stopped(4242, "anything"), 1);
	expect_everything_latched();
}
END_TEST

START_TEST(a_table_that_is_no_file_is_refused)
{
	struct error e = {0};

	ck_assert_ptr_null(latch_open(dir, &e));
	ck_assert_int_ne((int)strlen(e.text), 0);
	ck_assert_ptr_null(latch_open("/nonexistent/latches", &e));
	ck_assert_ptr_nonnull(strstr(e.text, "/nonexistent/latches"));
	latch_close(table);
	unlink(path);
	ck_assert_int_eq(symlink("/etc/passwd", path), 0);
	ck_assert_ptr_null(latch_open(path, &e));
	unlink(path);
	table = open_table();
}
END_TEST

/* ---- the table in RUN and its copy in STATE ---- */

static char live[160], saved[160];

static void setup_two(void)
{
	static const char *const names[] = {"var", "var/lib", "var/lib/agentd", "run"};

	setup();
	latch_close(table);
	unlink(path);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char sub[160];

		snprintf(sub, sizeof sub, "%s/%s", dir, names[i]);
		ck_assert_int_eq(mkdir(sub, 0755), 0);
	}
	snprintf(saved, sizeof saved, "%s/var/lib/agentd/latches", dir);
	snprintf(live, sizeof live, "%s/run/agentd/latches", dir);
	memcpy(path, saved, sizeof path);
	table = open_table();
}

static void teardown_two(void)
{
	static const char *const names[] = {"var/lib/agentd/latches", "run/agentd/latches",
		"var/lib/agentd", "var/lib", "var", "run/agentd", "run"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char sub[160];

		snprintf(sub, sizeof sub, "%s/%s", dir, names[i]);
		if (unlink(sub) < 0)
			rmdir(sub);
	}
	teardown();
}

static void reboot_machine(void) /* /run is empty after it */
{
	latch_close(table);
	ck_assert_int_eq(unlink(live), 0);
	table = open_table();
}

START_TEST(the_table_is_in_run_and_state_gets_a_copy)
{
	struct stat st;

	ck_assert_int_eq(stat(live, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(access(saved, F_OK), -1);
	ck_assert_int_eq(latch_sync(table), 0);
	ck_assert_int_eq(stat(saved, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
}
END_TEST

START_TEST(latches_and_receipts_survive_a_reboot)
{
	struct latch_entry e = entry(1000, "web"), out;
	unsigned slot;

	e.flags = LATCH_UNLOGGED;
	slot = latch_set(table, &e);
	set(1001, "gone");
	latch_clear(table, 1001, "gone");
	ck_assert_int_eq(latch_sync(table), 0);
	reboot_machine();
	ck_assert_int_eq(stopped(1000, "web"), 1);
	ck_assert_int_eq(stopped(1001, "gone"), 0);
	ck_assert_int_eq(latch_get(table, slot, &out), 1);
	ck_assert_uint_eq(out.flags, LATCH_UNLOGGED);
	ck_assert_int_eq(latch_check_saved(table), 0);
	set(1000, "second");
	ck_assert_int_eq(latch_sync(table), 0);
	reboot_machine();
	ck_assert_int_eq(stopped(1000, "second"), 1);
	ck_assert_int_eq(stopped(1000, "other"), 0);
}
END_TEST

START_TEST(a_full_table_is_still_full_after_a_reboot)
{
	char name[NAME_CAP];

	for (unsigned i = 0; i < LATCH_SLOTS; i++) {
		snprintf(name, sizeof name, "n%u", i % LATCH_PER_UID);
		set(1000 + i / LATCH_PER_UID, name);
	}
	set(999, "new");
	ck_assert_int_eq(latch_sync(table), 0);
	reboot_machine();
	ck_assert_int_eq(stopped(999, "new"), 1);
}
END_TEST

START_TEST(a_damaged_copy_latches_everything_after_a_reboot)
{
	set(1000, "web");
	latch_sync(table);
	damage(4096 + 8 * LATCH_SLOTS + 40, "\xff", 1);
	reboot_machine();
	ck_assert_int_eq(stopped(4242, "anything"), 1);
	ck_assert_int_eq(latch_damaged(table), 1);
	ck_assert_int_eq(latch_sync(table), 0); /* and it is left for a human to look at */
	ck_assert_int_eq(access(live, F_OK), -1);
}
END_TEST

START_TEST(a_damaged_copy_that_is_found_later_latches_everything_in_every_process)
{
	struct latch_table *other = open_table();
	char now[4] = "";
	int fd;

	latch_sync(table);
	ck_assert_int_eq(latch_check_saved(table), 0);
	damage(0, "oops", 4);
	ck_assert_int_eq(latch_check_saved(table), -1);
	ck_assert_int_eq(latch_check(other, 4242, "anything", NULL, NULL), 1);
	ck_assert_int_eq(latch_sync(other), 0);
	fd = open(saved, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(read(fd, now, 4), 4);
	close(fd);
	ck_assert_mem_eq(now, "oops", 4);
	unlink(saved); /* the cure */
	ck_assert_int_eq(latch_check_saved(table), 0);
	ck_assert_int_eq(latch_check(other, 4242, "anything", NULL, NULL), 0);
	latch_close(other);
}
END_TEST

START_TEST(several_processes_may_write_the_copy_and_the_newest_state_stays)
{
	pid_t writers[4];
	char name[NAME_CAP];

	for (unsigned i = 0; i < 4; i++) {
		writers[i] = fork();
		if (writers[i] == 0) {
			table = open_table();
			for (unsigned n = 0; n < 8; n++) {
				snprintf(name, sizeof name, "w%u-%u", i, n);
				set(1000, name);
				if (latch_sync(table) < 0)
					_exit(1);
			}
			_exit(0);
		}
	}
	for (unsigned i = 0; i < 4; i++) {
		int status;

		waitpid(writers[i], &status, 0);
		ck_assert_int_eq(status, 0);
	}
	reboot_machine();
	ck_assert_uint_eq(count_used(), 32);
}
END_TEST

/* ---- several processes ---- */

#define WRITERS 4

static _Noreturn void write_forever(unsigned id)
{
	struct latch_table *t = open_table();
	struct latch_entry e;

	for (unsigned n = 0;; n++) {
		e = entry(1000, "shared");
		e.tasks = e.unconfirmed = n; /* every part says the same n */
		memset(e.reason, 'a' + (int)(n % 26), sizeof e.reason - 1);
		memset(e.sig, 'a' + (int)(n % 26), sizeof e.sig);
		e.sandbox = n;
		latch_set(t, &e);
		if (id == 0 && n % 7 == 0)
			latch_clear(t, 1000, "shared");
	}
}

static void expect_whole(const struct latch_entry *e)
{
	char c = (char)('a' + e->sandbox % 26);

	ck_assert_uint_eq(e->tasks, (uint32_t)e->sandbox);
	ck_assert_uint_eq(e->unconfirmed, (uint32_t)e->sandbox);
	for (size_t i = 0; i < sizeof e->sig; i++)
		ck_assert_int_eq(e->sig[i], c);
	ck_assert_int_eq(e->reason[0], c);
	ck_assert_int_eq(e->reason[sizeof e->reason - 2], c);
}

static void read_for(int ms)
{
	uint64_t end = io_now_mono() + (uint64_t)ms * 1000000u;
	struct latch_entry e;

	while (io_now_mono() < end) {
		if (latch_check(table, 1000, "shared", NULL, &e))
			expect_whole(&e);
		for (unsigned i = 0; i < 8; i++)
			if (latch_get(table, i, &e))
				expect_whole(&e);
	}
}

START_TEST(readers_never_see_half_an_entry_while_writers_are_killed_in_the_middle)
{
	pid_t writers[WRITERS];

	for (int round = 0; round < 20; round++) {
		for (unsigned i = 0; i < WRITERS; i++) {
			writers[i] = fork();
			if (writers[i] == 0)
				write_forever(i);
		}
		read_for(20);
		for (unsigned i = 0; i < WRITERS; i++)
			kill(writers[i], SIGKILL);
		for (unsigned i = 0; i < WRITERS; i++)
			waitpid(writers[i], NULL, 0);
	}
	ck_assert_int_eq(latch_damaged(table), 0);
	/* Whatever they left half-done, the table can be set, cleared and used to the full. */
	set(1000, "shared");
	ck_assert_int_eq(stopped(1000, "shared"), 1);
	latch_clear(table, 1000, NULL);
	ck_assert_int_eq(stopped(1000, "shared"), 0);
	ck_assert_uint_eq(count_used(), 0);
	for (unsigned i = 0; i < LATCH_SLOTS; i++) {
		char name[NAME_CAP];

		snprintf(name, sizeof name, "n%u", i % LATCH_PER_UID);
		set(2000 + i / LATCH_PER_UID, name);
	}
	ck_assert_uint_eq(count_used(), LATCH_SLOTS);
	ck_assert_int_eq(latch_damaged(table), 0);
}
END_TEST

START_TEST(a_writer_that_is_stopped_in_the_middle_holds_nobody_up)
{
	struct timespec t = {.tv_nsec = 2000000};
	pid_t writer;
	uint64_t start;

	for (int round = 0; round < 20; round++) {
		writer = fork();
		if (writer == 0)
			write_forever(0);
		nanosleep(&t, NULL);
		kill(writer, SIGSTOP);
		waitpid(writer, NULL, WUNTRACED);
		start = io_now_mono();
		set(1000, "shared");
		set(1000, "other");
		ck_assert_int_eq(stopped(1000, "shared"), 1);
		latch_clear(table, 1000, "shared");
		ck_assert_int_eq(stopped(1000, "shared"), 0);
		ck_assert_uint_lt(io_now_mono() - start, 500000000u);
		kill(writer, SIGKILL);
		waitpid(writer, NULL, 0);
	}
}
END_TEST

START_TEST(setters_of_different_names_never_lose_one)
{
	pid_t writers[WRITERS];
	char name[NAME_CAP];

	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i] = fork();
		if (writers[i] == 0) {
			for (unsigned n = 0; n < 15; n++) {
				snprintf(name, sizeof name, "w%u-%u", i, n);
				set(1000, name);
			}
			_exit(0);
		}
	}
	for (unsigned i = 0; i < WRITERS; i++)
		waitpid(writers[i], NULL, 0);
	for (unsigned i = 0; i < WRITERS; i++)
		for (unsigned n = 0; n < 15; n++) {
			snprintf(name, sizeof name, "w%u-%u", i, n);
			ck_assert_int_eq(stopped(1000, name), 1);
		}
	ck_assert_int_eq(stopped(1000, "innocent"), 0);
	ck_assert_uint_eq(count_used(), 15 * WRITERS);
}
END_TEST

START_TEST(processes_that_make_the_table_at_once_share_one)
{
	pid_t makers[8];
	char name[NAME_CAP];

	latch_close(table);
	unlink(path);
	for (unsigned i = 0; i < 8; i++) {
		makers[i] = fork();
		if (makers[i] == 0) {
			table = open_table();
			snprintf(name, sizeof name, "m%u", i);
			set(1000, name);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < 8; i++)
		waitpid(makers[i], NULL, 0);
	table = open_table();
	ck_assert_uint_eq(count_used(), 8);
}
END_TEST

START_TEST(asking_an_ordinary_table_takes_microseconds)
{
	uint64_t start;

	for (unsigned i = 0; i < 20; i++)
		set(1000 + i, "web");
	start = io_now_mono();
	for (unsigned i = 0; i < 1000; i++)
		ck_assert_int_eq(stopped(5, "web"), 0);
	ck_assert_uint_lt((io_now_mono() - start) / 1000, 100000u); /* generous: sanitizers */
}
END_TEST

int main(void)
{
	Suite *s = suite_create("latch");
	TCase *t = tcase_create("rules"), *d = tcase_create("damage"),
	      *p = tcase_create("processes"), *w = tcase_create("two files");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_checked_fixture(d, setup, teardown);
	tcase_add_checked_fixture(p, setup, teardown);
	tcase_add_checked_fixture(w, setup_two, teardown_two);
	tcase_set_timeout(p, 20);
	tcase_add_test(t, an_empty_table_stops_nothing);
	tcase_add_test(t, the_file_is_private_to_root_and_allocated);
	tcase_add_test(t, a_latch_stops_its_name_of_its_user_only);
	tcase_add_test(t, the_same_workspace_and_agent_under_another_name_is_stopped);
	tcase_add_test(t, a_latch_without_identity_does_not_match_an_identity_of_zeros);
	tcase_add_test(t, all_stops_everything_of_that_user);
	tcase_add_test(t, setting_again_replaces);
	tcase_add_test(t, clearing_a_name_leaves_the_others_and_the_users_all);
	tcase_add_test(t, a_latch_survives_reopening);
	tcase_add_test(t, two_openers_see_each_others_latches);
	tcase_add_test(t, a_user_without_slots_left_is_latched_whole);
	tcase_add_test(t, making_room_spares_a_receipt_that_is_not_logged);
	tcase_add_test(t, a_table_without_slots_never_leaves_a_user_open);
	tcase_add_test(t, a_receipt_is_marked_as_logged_only_for_its_kill);
	tcase_add_test(t, a_receipt_is_added_to_its_kill);
	tcase_add_test(t, a_late_receipt_does_not_bring_back_a_latch_that_a_human_removed);
	tcase_add_test(t, a_receipt_text_names_what_happened);
	tcase_add_test(t, asking_an_ordinary_table_takes_microseconds);
	tcase_add_test(d, a_wrong_magic_latches_everything_and_the_file_is_left_alone);
	tcase_add_test(d, an_unknown_version_latches_everything);
	tcase_add_test(d, a_truncated_file_latches_everything);
	tcase_add_test(d, a_flipped_bit_in_a_latch_latches_everything);
	tcase_add_test(d, a_table_that_is_no_file_is_refused);
	tcase_add_test(w, the_table_is_in_run_and_state_gets_a_copy);
	tcase_add_test(w, latches_and_receipts_survive_a_reboot);
	tcase_add_test(w, a_full_table_is_still_full_after_a_reboot);
	tcase_add_test(w, a_damaged_copy_latches_everything_after_a_reboot);
	tcase_add_test(w, a_damaged_copy_that_is_found_later_latches_everything_in_every_process);
	tcase_add_test(w, several_processes_may_write_the_copy_and_the_newest_state_stays);
	tcase_add_test(p, readers_never_see_half_an_entry_while_writers_are_killed_in_the_middle);
	tcase_add_test(p, a_writer_that_is_stopped_in_the_middle_holds_nobody_up);
	tcase_add_test(p, setters_of_different_names_never_lose_one);
	tcase_add_test(p, processes_that_make_the_table_at_once_share_one);
	suite_add_tcase(s, t);
	suite_add_tcase(s, d);
	suite_add_tcase(s, w);
	suite_add_tcase(s, p);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
