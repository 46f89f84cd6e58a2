/* common/utf8: exactly the well-formed sequences, in both directions. */
#include "common/utf8.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static int is_surrogate(unsigned cp)
{
	return cp >= 0xd800 && cp <= 0xdfff;
}

START_TEST(the_borders_are_written_as_rfc_3629_says)
{
	static const struct {
		unsigned cp;
		const char *bytes;
	} borders[] = {{0x24, "$"}, {0x7f, "\x7f"}, {0x80, "\xc2\x80"}, {0x7ff, "\xdf\xbf"},
		{0x800, "\xe0\xa0\x80"}, {0x20ac, "\xe2\x82\xac"}, {0xd7ff, "\xed\x9f\xbf"},
		{0xe000, "\xee\x80\x80"}, {0xffff, "\xef\xbf\xbf"}, {0x10000, "\xf0\x90\x80\x80"},
		{0x1f642, "\xf0\x9f\x99\x82"}, {0x10ffff, "\xf4\x8f\xbf\xbf"}};

	for (size_t i = 0; i < sizeof borders / sizeof *borders; i++) {
		char out[4];
		unsigned cp = 0;
		size_t n = strlen(borders[i].bytes);

		ck_assert_uint_eq(utf8_encode(out, borders[i].cp), n);
		ck_assert_mem_eq(out, borders[i].bytes, n);
		ck_assert_uint_eq(utf8_decode(borders[i].bytes, n, &cp), n);
		ck_assert_uint_eq(cp, borders[i].cp);
	}
}
END_TEST

START_TEST(every_code_point_comes_back_but_the_surrogates)
{
	for (unsigned cp = 0; cp <= 0x10ffff; cp++) {
		char out[5] = {0, 0, 0, 0, 'x'};
		unsigned back = 0;
		size_t n = utf8_encode(out, cp), used = utf8_decode(out, sizeof out, &back);

		if (is_surrogate(cp) ? used != 0 : used != n || back != cp)
			ck_abort_msg("U+%04X came back as U+%04X in %zu bytes", cp, back, used);
	}
}
END_TEST

/* What is taken is what utf8_encode would have written, so there is no second spelling of anything. */
static void check_sequence(const char s[4])
{
	char again[4];
	unsigned cp = 0;
	size_t n = utf8_decode(s, 4, &cp);

	if (n && (cp > 0x10ffff || is_surrogate(cp) || utf8_encode(again, cp) != n ||
			 memcmp(again, s, n) != 0))
		ck_abort_msg("%02x %02x %02x %02x became U+%04X", (unsigned char)s[0],
			(unsigned char)s[1], (unsigned char)s[2], (unsigned char)s[3], cp);
}

START_TEST(no_sequence_is_taken_that_is_not_the_only_spelling)
{
	static const char last[] = "\x7f\x80\xbf\xc0";

	for (unsigned lead = 0x80; lead <= 0xff; lead++) {
		for (unsigned two = 0; two <= 0xffff; two++) {
			for (size_t i = 0; i < 4; i++)
				check_sequence((const char[4]){
					(char)lead, (char)(two >> 8), (char)two, last[i]});
		}
	}
}
END_TEST

START_TEST(a_sequence_that_is_cut_is_refused)
{
	static const char *const whole[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x99\x82"};

	for (size_t i = 0; i < 3; i++) {
		unsigned cp = 7;

		for (size_t n = 0; n < strlen(whole[i]); n++)
			ck_assert_uint_eq(utf8_decode(whole[i], n, &cp), 0);
		ck_assert_uint_eq(cp, 7);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("utf8");
	TCase *t = tcase_create("utf8");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, the_borders_are_written_as_rfc_3629_says);
	tcase_add_test(t, every_code_point_comes_back_but_the_surrogates);
	tcase_add_test(t, no_sequence_is_taken_that_is_not_the_only_spelling);
	tcase_add_test(t, a_sequence_that_is_cut_is_refused);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
