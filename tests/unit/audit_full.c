/* The recorder on a disk that is full: nothing new may begin, what denies, kills and ends is still recorded,
 * nothing that was acknowledged is lost, and it goes on when there is room again. */
#include <check.h>
#include <sched.h>
#include <sys/mount.h>
#include <time.h>

#include "audit/dir.h"
#include "audit/verify.h"
#include "tests/lib/recorder_rig.h"

static struct rig rig;
static const char request[] = "{\"k\":\"request\",\"a\":{\"uid\":1000}}";

static void refusal(const char *json)
{
	ck_assert_int_eq(rig_send(&rig, ++rig.id, 0, json), 0);
	ck_assert_int_eq(rig_answer(&rig), MSG_APPEND_REFUSED);
	ck_assert_uint_eq(rig.m.h.id, rig.id);
}

static void check_log(void)
{
	struct verify_report *r = calloc(1, sizeof *r);
	int fd = dir_open(rig.dir, NULL);

	verify_dir(fd, &(struct verify_options){0}, r);
	if (r->result != VERIFY_OK)
		ck_abort_msg(
			"verdict %d: %s: %s", r->result, r->finding[0].kind, r->finding[0].text);
	close(fd);
	free(r);
}

static void nap_ms(long ms)
{
	const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

/* As the broker's journal sends the next record of a session that lost one: with a new epoch before it. */
static void resumed_kill(void)
{
	static const char *const records[] = {"{\"k\":\"session.resume\"}", "{\"k\":\"kill\"}"};
	unsigned char buf[256] = {0};
	size_t at = sizeof(uint32_t);

	for (size_t i = 0; i < 2; i++) {
		uint32_t n = (uint32_t)strlen(records[i]);

		memcpy(buf + at, &n, sizeof n);
		memcpy(buf + at + sizeof n, records[i], n);
		at += sizeof n + n;
	}
	ck_assert_int_eq(wire_send(rig.peer, MSG_APPEND, ++rig.id, buf, at, NULL, 0), 0);
	ck_assert_int_eq(rig_answer(&rig), MSG_APPENDED);
}

/* Appends records of this kind until one is refused. The number that was accepted. */
static unsigned fill(const char *kind, unsigned pad)
{
	static char json[70000];
	unsigned n = 0;

	snprintf(json, sizeof json, "{\"k\":\"%s\",\"x\":\"%0*d\"}", kind, (int)pad, 0);
	while (rig_append(&rig, 0, json) >= 0)
		ck_assert_uint_lt(n++, 20000);
	ck_assert_int_eq(rig.m.h.type, MSG_APPEND_REFUSED);
	return n;
}

static void mount_small_disk(void)
{
	char options[100];

	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	snprintf(options, sizeof options, "size=48m,uid=%u,gid=%u,mode=0750", RIG_UID, RIG_UID);
	ck_assert_int_eq(mount("tmpfs", rig.dir, "tmpfs", 0, options), 0);
}

START_TEST(on_a_full_disk_what_denies_and_kills_is_still_recorded)
{
	unsigned accepted;

	ck_assert_int_eq(rig_make(&rig), 0);
	if (geteuid() != 0) {
		fprintf(stderr, "skipped: a small disk needs root\n");
		return;
	}
	mount_small_disk();
	ck_assert_int_eq(rig_start(&rig), 0);
	/* One segment fits, a second one does not. */
	accepted = fill("result", 60000);
	ck_assert_uint_gt(accepted, 250);
	fill("result", 10); /* smaller ones still fitted */
	refusal(request);
	ck_assert_int_ge(rig_append(&rig, 0, "{\"k\":\"kill\"}"), 0);
	ck_assert_int_ge(
		rig_append(&rig, 0, "{\"k\":\"decision\",\"d\":{\"verdict\":\"deny\"}}"), 0);
	refusal("{\"k\":\"decision\",\"d\":{\"verdict\":\"allow\"}}");
	resumed_kill();
	ck_assert_uint_gt(fill("kill", 60000), 5); /* the reserve ends too */
	fill("kill", 10);
	refusal(request);
	/* Someone makes room; the recorder looks for it once a second. */
	ck_assert_int_eq(mount(NULL, rig.dir, NULL, MS_REMOUNT, "size=200m"), 0);
	nap_ms(1100);
	ck_assert_int_ge(rig_append(&rig, 0, request), 0);
	ck_assert_int_eq(rig_stop(&rig, SIGTERM), 0);
	check_log();
	ck_assert_int_eq(umount2(rig.dir, MNT_DETACH), 0);
	rig_remove(&rig);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("audit_full");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 20);
	tcase_add_test(t, on_a_full_disk_what_denies_and_kills_is_still_recorded);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
