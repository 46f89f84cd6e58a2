/* Records: what may become one, how it is written, and what is missing when some are left out. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/order.h"
#include "audit/record.h"

static const struct record_stamp when = {
	.real_ns = 1790000000123456789ull, .boot_us = 77, .boot = "0123456789abcdef"};
static char out[ENTRY_MAX + 1];
static int essential;
static struct error e;

static size_t encode(const char *json)
{
	size_t n = record_encode(
		json, strlen(json), RECORD_FROM_BROKER, 12, &when, out, &essential, &e);

	out[n] = 0;
	return n;
}

START_TEST(a_record_is_written_canonically)
{
	ck_assert_uint_gt(
		encode(" { \"s\" : \"x\\/\\u0041\" , \"k\":\"result\", \"z\":[ 1 , -0,true,"
		       "null , {\"b\":2,\"a\":1}],\"n\":0 } "),
		0);
	ck_assert_str_eq(out,
		"{\"b\":\"0123456789abcdef\",\"i\":12,\"k\":\"result\",\"m\":77,\"n\":0,"
		"\"s\":\"x/A\",\"t\":\"2026-09-21T14:13:20.123456789Z\",\"v\":1,"
		"\"z\":[1,0,true,null,{\"a\":1,\"b\":2}]}");
}
END_TEST

START_TEST(strings_are_escaped_as_rfc_8785_says)
{
	ck_assert_uint_gt(
		encode("{\"k\":\"result\",\"x\":\"\\u0001\\b\\t\\n\\u000b\\f\\r\\u001F\\u007f"
		       "\\\"\\\\\\/\\u20ac\\ud83d\\ude00<&>\"}"),
		0);
	ck_assert_ptr_nonnull(
		strstr(out, "\"x\":\"\\u0001\\b\\t\\n\\u000b\\f\\r\\u001f\x7f\\\"\\\\/"
			    "\xe2\x82\xac\xf0\x9f\x98\x80<&>\""));
	ck_assert_ptr_null(strchr(out, '\n'));
}
END_TEST

START_TEST(keys_are_sorted_by_utf16_code_units)
{
	/* RFC 8785 section 3.2.3: U+1F600 (a surrogate pair) comes before U+FB33 */
	ck_assert_uint_gt(
		encode("{\"k\":\"result\",\"x\":{\"\\ufb33\":1,\"\\ud83d\\ude00\":2,\"\\u20ac\":3,"
		       "\"\\r\":4,\"1\":5,\"\\u0080\":6,\"\\u00f6\":7,\"\":8,\"11\":9}}"),
		0);
	ck_assert_ptr_nonnull(
		strstr(out, "\"x\":{\"\":8,\"\\r\":4,\"1\":5,\"11\":9,\"\xc2\x80\":6,"
			    "\"\xc3\xb6\":7,\"\xe2\x82\xac\":3,\"\xf0\x9f\x98\x80\":2,"
			    "\"\xef\xac\xb3\":1}"));
}
END_TEST

START_TEST(an_encoded_record_encodes_to_itself)
{
	json_t *o;
	size_t n = encode("{\"k\":\"result\",\"x\":{\"b\":[\"\\u0007\"],\"a\":{}}}"), again;
	char *copy = malloc(ENTRY_MAX);

	o = record_parse(out, n, &e);
	ck_assert_ptr_nonnull(o);
	again = record_write(o, copy, ENTRY_MAX);
	ck_assert_uint_eq(n, again);
	ck_assert_mem_eq(copy, out, n);
	json_decref(o);
	free(copy);
}
END_TEST

START_TEST(what_is_no_record_is_refused)
{
	static const char *const bad[] = {"", "{", "[]", "null", "\"k\"", "{\"k\":\"result\"}x",
		"{\"k\":\"result\",\"k\":\"result\"}", "{\"k\":\"result\",\"x\":{\"a\":1,\"a\":1}}",
		"{\"k\":\"result\",\"x\":1.0}", "{\"k\":\"result\",\"x\":1e3}",
		"{\"k\":\"result\",\"x\":9007199254740992}",
		"{\"k\":\"result\",\"x\":-9007199254740992}",
		"{\"k\":\"result\",\"x\":99999999999999999999}",
		"{\"k\":\"result\",\"x\":\"\xff\"}", "{\"k\":\"result\",\"x\":\"\xed\xa0\x80\"}",
		"{\"k\":\"result\",\"x\":\"\\ud800\"}", "{\"k\":\"result\",\"x\":\"\\u0000\"}",
		"{\"k\":\"result\",\"\\u0000\":1}", "{\"x\":1}", "{\"k\":1}",
		"{\"k\":\"invented\"}", "{\"k\":\"\"}", "{\"k\":\"genesis\"}", "{\"k\":\"boot\"}",
		"{\"k\":\"stop\"}", "{\"k\":\"recover\"}", "{\"k\":\"seal\"}",
		"{\"k\":\"result\",\"i\":1}", "{\"k\":\"result\",\"v\":1}",
		"{\"k\":\"result\",\"t\":\"\"}", "{\"k\":\"result\",\"m\":0}",
		"{\"k\":\"result\",\"b\":null}", "{\"k\":\"result\",}", "{'k':'result'}",
		"{\"k\":\"result\",\"x\":\"a\nb\"}", "\xef\xbb\xbf{\"k\":\"result\"}"};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (encode(bad[i]) != 0)
			ck_abort_msg("accepted %s", bad[i]);
	}
	ck_assert_uint_gt(encode("{\"k\":\"result\",\"x\":9007199254740991}"), 0);
}
END_TEST

START_TEST(nesting_and_size_are_bounded)
{
	char *deep = calloc(1, 70000);
	size_t n;

	strcpy(deep, "{\"k\":\"result\",\"x\":");
	memset(deep + strlen(deep), '[', 200);
	memset(deep + strlen(deep), ']', 200);
	strcat(deep, "}");
	ck_assert_uint_eq(encode(deep), 0);
	n = (size_t)sprintf(deep, "{\"k\":\"result\",\"x\":\"");
	memset(deep + n, 'y', 65438);
	strcpy(deep + n + 65438, "\"}");
	ck_assert_uint_eq(encode(deep), 0); /* its own fields do not fit any more */
	strcpy(deep + n + 65400, "\"}");
	ck_assert_uint_gt(encode(deep), 65400);
	memset(deep + n, 'y', 66000);
	strcpy(deep + n + 66000, "\"}");
	ck_assert_uint_eq(encode(deep), 0);
	free(deep);
}
END_TEST

START_TEST(denials_and_kills_are_essential)
{
	encode("{\"k\":\"decision\",\"d\":{\"verdict\":\"deny\"}}");
	ck_assert(essential);
	encode("{\"k\":\"decision\",\"d\":{\"verdict\":\"allow\"}}");
	ck_assert(!essential);
	encode("{\"k\":\"kill\"}");
	ck_assert(essential);
	encode("{\"k\":\"request\"}");
	ck_assert(!essential);
}
END_TEST

START_TEST(times_are_right_in_every_kind_of_year)
{
	static const struct {
		uint64_t s;
		const char *t;
	} t[] = {{0, "1970-01-01T00:00:00.000000000Z"},
		{951782399, "2000-02-28T23:59:59.000000000Z"},
		{951782400, "2000-02-29T00:00:00.000000000Z"},
		{1709251199, "2024-02-29T23:59:59.000000000Z"},
		{1735689599, "2024-12-31T23:59:59.000000000Z"},
		{4107542400, "2100-03-01T00:00:00.000000000Z"}};
	struct record_stamp w = when;
	const char json[] = "{\"k\":\"result\"}";

	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		size_t n;

		w.real_ns = t[i].s * 1000000000u;
		n = record_encode(
			json, strlen(json), RECORD_FROM_BROKER, 0, &w, out, &essential, &e);
		out[n] = 0;
		if (!strstr(out, t[i].t))
			ck_abort_msg("%s is not in %s", t[i].t, out);
	}
}
END_TEST

/* ---- order ---- */

static struct order_result order_of(const char *const *records)
{
	struct order *o = order_new();
	struct order_result r;

	for (uint64_t i = 0; records[i]; i++) {
		json_t *j = record_parse(records[i], strlen(records[i]), &e);

		ck_assert_ptr_nonnull(j);
		order_add(o, j, i);
		json_decref(j);
	}
	order_finish(o, &r);
	order_free(o);
	return r;
}

#define R(...)       order_of((const char *const[]){__VA_ARGS__, NULL})
#define START(s)     "{\"k\":\"session.start\",\"s\":\"" s "\",\"n\":0}"
#define REC(s, n)    "{\"k\":\"result\",\"s\":\"" s "\",\"n\":" #n "}"
#define REQ(s, n, q) "{\"k\":\"request\",\"s\":\"" s "\",\"n\":" #n ",\"q\":\"" q "\"}"
#define DEC(s, n, q) "{\"k\":\"decision\",\"s\":\"" s "\",\"n\":" #n ",\"q\":\"" q "\"}"
#define END(s, n)    "{\"k\":\"session.end\",\"s\":\"" s "\",\"n\":" #n "}"
#define RESUME(s, ep, after) \
	"{\"k\":\"session.resume\",\"s\":\"" s "\",\"n\":0,\"e\":" #ep ",\"after\":" #after "}"
#define EREC(s, ep, n) "{\"k\":\"result\",\"s\":\"" s "\",\"n\":" #n ",\"e\":" #ep "}"

START_TEST(a_gapless_session_is_complete)
{
	struct order_result r = R(START("a"), START("b"), REQ("a", 1, "q"), REC("b", 1),
		DEC("a", 2, "q"), END("a", 3), REC("b", 2));

	ck_assert(r.sessions == 2 && r.gaps == 0 && r.orphans == 0 && r.pending == 0);
}
END_TEST

START_TEST(a_record_left_out_or_repeated_is_a_gap)
{
	struct order_result r = R(START("a"), REC("a", 2), REC("a", 3), END("a", 4));

	ck_assert(r.gaps == 1 && r.gap_index == 1);
	ck_assert_str_eq(r.gap_session, "a");
	r = R(START("a"), REC("a", 1), REC("a", 1));
	ck_assert_uint_eq(r.gaps, 1);
	r = R(REC("a", 1));
	ck_assert_uint_eq(r.gaps, 1);
	r = R(START("a"), END("a", 1), REC("a", 1));
	ck_assert_uint_eq(r.gaps, 1);
}
END_TEST

START_TEST(an_epoch_forgives_only_what_was_not_known_to_be_durable)
{
	/* n 2 was under way when the recorder died: it may be there, or not */
	struct order_result r =
		R(START("a"), REC("a", 1), RESUME("a", 9, 1), EREC("a", 9, 1), EREC("a", 9, 2));

	ck_assert_uint_eq(r.gaps, 0);
	r = R(START("a"), REC("a", 1), REC("a", 3), RESUME("a", 9, 1), EREC("a", 9, 1));
	ck_assert_uint_eq(r.gaps, 0);
	r = R(START("a"), REC("a", 2), RESUME("a", 9, 2)); /* 1 was durable and is gone */
	ck_assert_uint_eq(r.gaps, 1);
	r = R(START("a"), RESUME("a", 9, 3)); /* so are 1 to 3 */
	ck_assert_uint_eq(r.gaps, 1);
	r = R(START("a"), REC("a", 5), RESUME("a", 9, -1), EREC("a", 9, 1));
	ck_assert_uint_eq(r.gaps, 0);
	r = R(START("a"), EREC("a", 9, 0)); /* an epoch that nothing opens */
	ck_assert_uint_eq(r.gaps, 1);
	r = R(START("a"), RESUME("a", 9, 0), REC("a", 1)); /* back into an old one */
	ck_assert_uint_eq(r.gaps, 1);
}
END_TEST

START_TEST(a_request_without_decision_is_an_orphan_once_its_session_is_over)
{
	struct order_result r = R(START("a"), REQ("a", 1, "q"));

	ck_assert(r.orphans == 0 && r.pending == 1);
	r = R(START("a"), REQ("a", 1, "q"), REQ("a", 2, "p"), DEC("a", 3, "p"), END("a", 4));
	ck_assert(r.orphans == 1 && r.orphan_index == 1 && r.pending == 0);
}
END_TEST

START_TEST(watching_is_bounded)
{
	struct order *o = order_new();
	struct order_result r;
	char s[80];

	for (uint64_t i = 0; i < 2 * ORDER_SESSIONS_MAX; i++) {
		json_t *j;

		snprintf(s, sizeof s, "{\"k\":\"session.start\",\"s\":\"%llu\",\"n\":0}",
			(unsigned long long)i);
		j = json_loads(s, 0, NULL);
		order_add(o, j, i);
		json_decref(j);
	}
	order_finish(o, &r);
	ck_assert(r.incomplete);
	order_free(o);
}
END_TEST

START_TEST(many_short_sessions_are_all_watched)
{
	struct order *o = order_new();
	struct order_result r;
	char s[120];

	for (uint64_t i = 0; i < 4 * 100000; i++) {
		static const char *const k[] = {
			"session.start", "request", "decision", "session.end"};
		json_t *j;

		snprintf(s, sizeof s, "{\"k\":\"%s\",\"s\":\"%llu\",\"n\":%llu,\"q\":\"q\"}",
			k[i % 4], (unsigned long long)(i / 4), (unsigned long long)(i % 4));
		j = json_loads(s, 0, NULL);
		order_add(o, j, i);
		json_decref(j);
	}
	order_finish(o, &r);
	ck_assert(!r.incomplete && r.gaps == 0 && r.orphans == 0 && r.pending == 0);
	ck_assert_uint_eq(r.sessions, 100000);
	order_free(o);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("audit_record");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 20);
	tcase_add_test(t, a_record_is_written_canonically);
	tcase_add_test(t, strings_are_escaped_as_rfc_8785_says);
	tcase_add_test(t, keys_are_sorted_by_utf16_code_units);
	tcase_add_test(t, an_encoded_record_encodes_to_itself);
	tcase_add_test(t, what_is_no_record_is_refused);
	tcase_add_test(t, nesting_and_size_are_bounded);
	tcase_add_test(t, denials_and_kills_are_essential);
	tcase_add_test(t, times_are_right_in_every_kind_of_year);
	tcase_add_test(t, a_gapless_session_is_complete);
	tcase_add_test(t, a_record_left_out_or_repeated_is_a_gap);
	tcase_add_test(t, an_epoch_forgives_only_what_was_not_known_to_be_durable);
	tcase_add_test(t, a_request_without_decision_is_an_orphan_once_its_session_is_over);
	tcase_add_test(t, watching_is_bounded);
	tcase_add_test(t, many_short_sessions_are_all_watched);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
