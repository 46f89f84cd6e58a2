/* The recorder role over its real channels: what it records, refuses, publishes and shows, and that it
 * fails closed. */
#include <check.h>
#include <jansson.h>
#include <time.h>

#include "audit/dir.h"
#include "audit/reader.h"
#include "audit/tlog.h"
#include "tests/lib/recorder_rig.h"

static struct rig rig;

static void setup(void)
{
	ck_assert_int_eq(rig_make(&rig), 0);
}

static void teardown(void)
{
	rig_remove(&rig);
}

static const char request[] = "{\"k\":\"request\",\"s\":\"s1\",\"n\":0,\"q\":\"q1\","
			      "\"a\":{\"uid\":1000,\"name\":\"web\",\"agent\":\"x\"}}";

START_TEST(a_record_is_acknowledged_with_its_index)
{
	ck_assert_int_eq(rig_start(&rig), 0);
	/* 0 is genesis, 1 is boot */
	ck_assert_int_eq(rig_append(&rig, 0, request), 2);
	ck_assert_int_eq(rig_append(&rig, 0, request), 3);
	ck_assert_int_eq(rig_stop(&rig, SIGTERM), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("audit_recorder");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_record_is_acknowledged_with_its_index);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
