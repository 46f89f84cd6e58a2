/* common/jsonscan: RFC 8259 and nothing else, without allocating. */
#include "common/jsonscan.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static int ok(const char *s, size_t n)
{
	/* A copy of exactly n bytes, so that a sanitizer sees every byte read past the end. */
	char *copy = malloc(n ? n : 1);
	int r;

	memcpy(copy, s, n);
	r = json_check(copy, n, NULL);
	free(copy);
	return r;
}

#define YES(s) ck_assert_msg(ok(s, sizeof(s) - 1), "refused: %s", s)
#define NO(s)  ck_assert_msg(!ok(s, sizeof(s) - 1), "accepted: %s", s)

START_TEST(every_kind_of_value_is_accepted)
{
	YES("{}");
	YES("[]");
	YES("null");
	YES("true");
	YES("false");
	YES("0");
	YES("\"\"");
	YES(" \t\r\n{ \"a\" : [ 1 , -2.5e+10 , \"x\" , { } ] , \"b\" : null } \n");
	YES("[[],[[]],{\"\":{}}]");
}
END_TEST

START_TEST(numbers_have_the_grammar_of_the_rfc)
{
	YES("-0");
	YES("10");
	YES("1.0");
	YES("1e5");
	YES("1E-5");
	YES("-0.0e+0");
	YES("123456789012345678901234567890");
	NO("01");
	NO("-");
	NO("+1");
	NO(".5");
	NO("1.");
	NO("1.e5");
	NO("1e");
	NO("1e+");
	NO("0x10");
	NO("1_000");
	NO("NaN");
	NO("Infinity");
	NO("-Infinity");
	NO("--1");
}
END_TEST

START_TEST(strings_have_the_grammar_of_the_rfc)
{
	YES("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE42\"");
	YES("\"é日🙂\"");
	YES("\"\x7f\"");
	YES("\"\\ud800\""); /* the grammar allows it; json_string does not */
	NO("\"");
	NO("\"a");
	NO("\"\\\"");
	NO("\"\\x41\"");
	NO("\"\\u12\"");
	NO("\"\\u12g4\"");
	NO("\"\\U0041\"");
	NO("\"\\");
	NO("\"\\u");
	NO("\"\\u004");
	NO("'a'");
	NO("\"a\nb\"");
	NO("\"a\tb\"");
	NO("\"a\0b\"");
	NO("\"\x1f\"");
}
END_TEST

START_TEST(text_that_is_not_utf8_is_refused)
{
	NO("\"\xff\"");
	NO("\"\xc0\xaf\"");
	NO("\"\xed\xa0\x80\"");
	NO("\"\xf4\x90\x80\x80\"");
	NO("\"\xe2\x82\"");
	NO("\"\xe2\x82");
	NO("\xef\xbb\xbf{}"); /* byte order mark */
}
END_TEST

START_TEST(what_other_parsers_forgive_is_refused)
{
	NO("");
	NO(" ");
	NO("{}{}");
	NO("{} x");
	NO("[1,]");
	NO("[,1]");
	NO("[1 2]");
	NO("{\"a\":1,}");
	NO("{,}");
	NO("{\"a\" 1}");
	NO("{\"a\"}");
	NO("{a:1}");
	NO("{1:1}");
	NO("[1]]");
	NO("[");
	NO("{");
	NO("{\"a\":");
	NO("[1");
	NO("[1,");
	NO("[1}");
	NO("{\"a\":1]");
	NO("nul");
	NO("nulll");
	NO("True");
	NO("/* c */ 1");
	NO("1 // c");
	NO("[1]\0");
	NO("\0");
	NO("\f1");
	NO("\xc2\xa0"
	   "1");
	NO("\v1");
}
END_TEST

START_TEST(nesting_is_bounded)
{
	char deep[2 * 200000];

	for (int n = JSON_DEPTH_MAX; n <= JSON_DEPTH_MAX + 1; n++) {
		memset(deep, '[', (size_t)n);
		memset(deep + n, ']', (size_t)n);
		ck_assert_int_eq(ok(deep, 2 * (size_t)n), n == JSON_DEPTH_MAX);
	}
	memset(deep, '[', 200000);
	ck_assert_int_eq(ok(deep, 200000), 0);
	for (int i = 0; i < 100; i++)
		memcpy(deep + (size_t)i * 5, "{\"\":{", 5);
	ck_assert_int_eq(ok(deep, 500), 0);
}
END_TEST

START_TEST(the_place_of_an_error_is_told)
{
	size_t at;

	ck_assert(!json_check("[1,x]", 5, &at));
	ck_assert_uint_eq(at, 3);
	ck_assert(!json_check("{\"a\":", 5, &at));
	ck_assert_uint_eq(at, 5);
	ck_assert(!json_check("{} {}", 5, &at));
	ck_assert_uint_eq(at, 3);
}
END_TEST

START_TEST(every_prefix_of_a_document_is_refused)
{
	static const char doc[] =
		"{\"a\":[1,-2.5e+3,\"x\\u00e9\\n\",true,false,null],\"b\":{\"c\":\"日\"}}";

	for (size_t n = 0; n < sizeof doc - 1; n++)
		ck_assert_msg(!ok(doc, n), "accepted the first %zu bytes", n);
	YES(doc);
}
END_TEST

static struct span spans(const char *s)
{
	return (struct span){s, strlen(s)};
}

static int found(const char *obj, const char *key, const char *want)
{
	struct span v;
	int r = json_find(spans(obj), key, &v);

	if (r == 1)
		ck_assert_msg(
			v.n == strlen(want) && memcmp(v.p, want, v.n) == 0, "%.*s", (int)v.n, v.p);
	return r;
}

START_TEST(members_are_found_at_the_top_level_only)
{
	static const char obj[] =
		" { \"x\" : {\"a\":1} , \"a\" : [ 2 , {\"b\":3} ] , \"b\":\"}\" } ";

	ck_assert_int_eq(found(obj, "a", "[ 2 , {\"b\":3} ]"), 1);
	ck_assert_int_eq(found(obj, "b", "\"}\""), 1);
	ck_assert_int_eq(found(obj, "x", "{\"a\":1}"), 1);
	ck_assert_int_eq(found(obj, "c", ""), 0);
	ck_assert_int_eq(found("{}", "a", ""), 0);
	ck_assert_int_eq(found("{\"\":1}", "", "1"), 1);
}
END_TEST

START_TEST(keys_are_compared_after_unescaping)
{
	ck_assert_int_eq(found("{\"\\u0061b\":1}", "ab", "1"), 1);
	ck_assert_int_eq(found("{\"ab\\u0000c\":1}", "ab", ""), 0);
	ck_assert_int_eq(found("{\"\\ud83d\\ude42\":1}", "🙂", "1"), 1);
	ck_assert_int_eq(found("{\"a\":1,\"ab\":2,\"abc\":3}", "ab", "2"), 1);
	ck_assert_int_eq(found("{\"\\ud800\":1}", "a", ""), 0);
}
END_TEST

START_TEST(a_key_that_comes_twice_is_an_error)
{
	ck_assert_int_eq(found("{\"a\":1,\"a\":2}", "a", ""), -1);
	ck_assert_int_eq(found("{\"a\":1,\"\\u0061\":2}", "a", ""), -1);
	ck_assert_int_eq(found("{\"a\":1,\"a\":2,\"b\":3}", "b", "3"), 1);
}
END_TEST

START_TEST(looking_into_something_that_is_no_object_is_an_error)
{
	ck_assert_int_eq(found("[\"a\"]", "a", ""), -1);
	ck_assert_int_eq(found("\"a\"", "a", ""), -1);
	ck_assert_int_eq(found("{\"a\":1", "a", ""), -1);
	ck_assert_int_eq(found("{\"a\":1} x", "a", ""), -1);
	ck_assert_int_eq(found("", "a", ""), -1);
	ck_assert_int_eq(found("{\"a\":}", "a", ""), -1);
}
END_TEST

START_TEST(strings_are_unescaped)
{
	char out[64];
	size_t n;

	ck_assert_int_eq(json_string(spans("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\""), out, 64, &n), 0);
	ck_assert_str_eq(out, "a\"\\/\b\f\n\r\t");
	ck_assert_int_eq(json_string(spans("\"\\u00e9\\u20ac\\ud83d\\ude42é\""), out, 64, &n), 0);
	ck_assert_str_eq(out, "é€🙂é");
	ck_assert_int_eq(json_string(spans("\"a\\u0000b\""), out, 64, &n), 0);
	ck_assert_uint_eq(n, 3);
	ck_assert_int_eq(memcmp(out, "a\0b", 4), 0);
}
END_TEST

START_TEST(strings_that_cannot_be_unescaped_are_refused)
{
	char out[8];
	size_t n;

	ck_assert_int_eq(json_string(spans("\"\\ud800\""), out, 8, &n), -1);
	ck_assert_int_eq(json_string(spans("\"\\ude42\""), out, 8, &n), -1);
	ck_assert_int_eq(json_string(spans("\"\\ud83dx\""), out, 8, &n), -1);
	ck_assert_int_eq(json_string(spans("\"\\ud83d\\n\""), out, 8, &n), -1);
	ck_assert_int_eq(json_string(spans("\"\\ud83d\\u0041\""), out, 8, &n), -1);
	ck_assert_int_eq(json_string(spans("a"), out, 8, &n), -1);
	ck_assert_int_eq(json_string(spans("\"a\" "), out, 8, &n), -1);
	ck_assert_int_eq(json_string(spans("\"a"), out, 8, &n), -1);
	ck_assert_int_eq(json_string(spans("1"), out, 8, &n), -1);
	ck_assert_int_eq(json_string(spans(""), out, 8, &n), -1);
	ck_assert_int_eq(json_string(spans("\"12345678\""), out, 8, &n), -1);
	ck_assert_int_eq(json_string(spans("\"1234567\""), out, 8, &n), 0);
	ck_assert_int_eq(json_string(spans("\"123456é\""), out, 8, &n), -1);
	ck_assert_int_eq(json_string(spans("\"\""), out, 0, &n), -1);
}
END_TEST

START_TEST(integers_are_exact)
{
	int64_t v;

	ck_assert_int_eq(json_int(spans("0"), &v), 0);
	ck_assert_int_eq(v, 0);
	ck_assert_int_eq(json_int(spans("9223372036854775807"), &v), 0);
	ck_assert_int_eq(v, INT64_MAX);
	ck_assert_int_eq(json_int(spans("-9223372036854775808"), &v), 0);
	ck_assert_int_eq(v, INT64_MIN);
	ck_assert_int_eq(json_int(spans("-17"), &v), 0);
	ck_assert_int_eq(v, -17);
	ck_assert_int_eq(json_int(spans("9223372036854775808"), &v), -1);
	ck_assert_int_eq(json_int(spans("-9223372036854775809"), &v), -1);
	ck_assert_int_eq(json_int(spans("99999999999999999999"), &v), -1);
	ck_assert_int_eq(json_int(spans("1.0"), &v), -1);
	ck_assert_int_eq(json_int(spans("1e3"), &v), -1);
	ck_assert_int_eq(json_int(spans("\"1\""), &v), -1);
	ck_assert_int_eq(json_int(spans("1 "), &v), -1);
	ck_assert_int_eq(json_int(spans(""), &v), -1);
	ck_assert_int_eq(json_int(spans("01"), &v), -1);
}
END_TEST

START_TEST(written_strings_are_read_back_as_they_were)
{
	for (int c = 0; c < 0x80; c++) {
		char in[3] = {'a', (char)c, 'z'}, quoted[64], back[64];
		size_t n = json_quote(quoted, sizeof quoted, in, 3), m;

		ck_assert_uint_eq(n, strlen(quoted));
		ck_assert_int_eq(json_check(quoted, n, NULL), 1);
		ck_assert_int_eq(json_string((struct span){quoted, n}, back, 64, &m), 0);
		ck_assert_uint_eq(m, 3);
		ck_assert_int_eq(memcmp(in, back, 3), 0);
		for (size_t i = 0; i < n; i++)
			ck_assert(quoted[i] >= 0x20 && quoted[i] < 0x7f);
	}
}
END_TEST

START_TEST(written_strings_are_always_utf8)
{
	char out[64];

	ck_assert_uint_gt(json_quote(out, sizeof out, "a\xff\xc3z é", 7), 0);
	ck_assert_str_eq(out, "\"a\xef\xbf\xbd\xef\xbf\xbdz é\"");
}
END_TEST

START_TEST(a_string_that_does_not_fit_is_not_written)
{
	char out[16] = "q";

	ck_assert_uint_eq(json_quote(out, 5, "abc", 3), 0);
	ck_assert_str_eq(out, "");
	ck_assert_uint_eq(json_quote(out, 6, "abc", 3), 5);
	ck_assert_str_eq(out, "\"abc\"");
	ck_assert_uint_eq(json_quote(out, 2, "", 0), 0);
	ck_assert_uint_eq(json_quote(out, 3, "", 0), 2);
	ck_assert_uint_eq(json_quote(out, 0, "", 0), 0);
	ck_assert_uint_eq(json_quote(out, JSON_QUOTE_CAP(2), "\x01\x02", 2), 14);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("jsonscan");
	TCase *t = tcase_create("jsonscan");
	SRunner *r;
	int failed;

	tcase_add_test(t, every_kind_of_value_is_accepted);
	tcase_add_test(t, numbers_have_the_grammar_of_the_rfc);
	tcase_add_test(t, strings_have_the_grammar_of_the_rfc);
	tcase_add_test(t, text_that_is_not_utf8_is_refused);
	tcase_add_test(t, what_other_parsers_forgive_is_refused);
	tcase_add_test(t, nesting_is_bounded);
	tcase_add_test(t, the_place_of_an_error_is_told);
	tcase_add_test(t, every_prefix_of_a_document_is_refused);
	tcase_add_test(t, members_are_found_at_the_top_level_only);
	tcase_add_test(t, keys_are_compared_after_unescaping);
	tcase_add_test(t, a_key_that_comes_twice_is_an_error);
	tcase_add_test(t, looking_into_something_that_is_no_object_is_an_error);
	tcase_add_test(t, strings_are_unescaped);
	tcase_add_test(t, strings_that_cannot_be_unescaped_are_refused);
	tcase_add_test(t, integers_are_exact);
	tcase_add_test(t, written_strings_are_read_back_as_they_were);
	tcase_add_test(t, written_strings_are_always_utf8);
	tcase_add_test(t, a_string_that_does_not_fit_is_not_written);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
