/* common/escape: no byte that an agent wrote reaches a terminal with a meaning. */
#include "common/escape.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"

static const char *esc(const char *s, size_t n)
{
	static char out[4096];
	size_t len = escape_text(out, sizeof out, s, n);

	if (len != strlen(out))
		ck_abort_msg("length %zu of %s", len, out);
	return out;
}

#define ESC(s) esc(s, sizeof(s) - 1)

START_TEST(printable_ascii_stays_as_it_is)
{
	char all[128];
	size_t n = 0;

	for (int c = 0x20; c < 0x7f; c++)
		if (c != '\\')
			all[n++] = (char)c;
	all[n] = 0;
	ck_assert_str_eq(esc(all, n), all);
	ck_assert_str_eq(ESC(""), "");
}
END_TEST

START_TEST(a_backslash_becomes_two)
{
	ck_assert_str_eq(ESC("a\\x1Bb"), "a\\\\x1Bb");
}
END_TEST

START_TEST(every_control_character_becomes_visible)
{
	for (int c = 0; c < 0x100; c++) {
		char in = (char)c, want[8];

		if (c >= 0x20 && c < 0x7f)
			continue;
		snprintf(want, sizeof want, "\\x%02X", (unsigned)c);
		ck_assert_str_eq(esc(&in, 1), want); /* 0x80..0xff: no UTF-8 on their own */
	}
	ck_assert_str_eq(ESC("\x1b[2J\r\n\t\b\x7f"), "\\x1B[2J\\x0D\\x0A\\x09\\x08\\x7F");
	ck_assert_str_eq(ESC("\xc2\x9b"
			     "31m"),
		"\\u{009B}31m"); /* C1 CSI in UTF-8 */
}
END_TEST

START_TEST(characters_that_reorder_hide_or_blank_become_visible)
{
	static const unsigned bad[][2] = {
		{0x80, 0xa0}, {0xad, 0xad}, /* soft hyphen */
		{0x34f, 0x34f}, /* combining grapheme joiner */
		{0x61c, 0x61c}, /* Arabic letter mark */
		{0x115f, 0x1160}, /* Hangul fillers */
		{0x180b, 0x180f}, /* Mongolian selectors, vowel separator */
		{0x2000, 0x200f}, /* spaces, zero-width, LRM, RLM */
		{0x2028, 0x202f}, /* separators, embeddings and overrides */
		{0x205f, 0x206f}, /* word joiner, invisible operators, isolates, deprecated */
		{0x2800, 0x2800}, /* blank braille */
		{0x3000, 0x3000}, /* ideographic space */
		{0x3164, 0x3164}, /* Hangul filler */
		{0xe000, 0xf8ff}, /* private use */
		{0xfe00, 0xfe0f}, /* variation selectors */
		{0xfeff, 0xfeff}, /* byte order mark */
		{0xffa0, 0xffa0}, {0xfff0, 0xfffc}, {0xfffe, 0xffff},
		{0x1d173, 0x1d17a}, /* invisible music */
		{0xe0000, 0xe0fff}, /* tags, more variation selectors */
		{0xf0000, 0x10ffff}, /* private planes */
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		for (unsigned cp = bad[i][0]; cp <= bad[i][1]; cp++) {
			char in[4], want[16];
			size_t n = utf8_encode(in, cp);

			snprintf(want, sizeof want, "\\u{%04X}", cp);
			if (strcmp(esc(in, n), want) != 0 || !escape_unsafe(cp))
				ck_abort_msg("U+%04X became %s", cp, esc(in, n));
		}
}
END_TEST

START_TEST(letters_of_other_scripts_and_emoji_stay)
{
	static const char text[] = "naïve Größe Ω Привет 日本語 한국어 עברית العربية ไทย "
				   "🙂 "
				   "€ "
				   "→ "
				   "✓";

	ck_assert_str_eq(ESC(text), text);
}
END_TEST

static int may_be_raw(unsigned cp)
{
	return cp >= 0x20 && cp != 0x7f && !(cp >= 0x80 && cp <= 0xa0) &&
	       !(cp >= 0xd800 && cp <= 0xdfff) && !escape_unsafe(cp);
}

static int is_printable_ascii(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] < 0x20 || s[i] >= 0x7f)
			return 0;
	return 1;
}

/* Every code point there is: what comes out either is the character itself or plain ASCII, and what
 * is left raw is never one of the unsafe ones. */
START_TEST(every_code_point_comes_out_whole_or_as_ascii)
{
	for (unsigned cp = 0; cp <= 0x10ffff; cp++) {
		char in[5] = {'a'}, out[64];
		size_t n = utf8_encode(in + 1, cp) + 1;
		size_t len = escape_text(out, sizeof out, in, n);
		int raw = len == n && memcmp(out, in, n) == 0;

		if (out[0] != 'a' || out[len] != 0 ||
			!(raw ? may_be_raw(cp) : is_printable_ascii(out, len)))
			ck_abort_msg("U+%04X became %s", cp, out);
	}
}
END_TEST

START_TEST(bytes_that_are_not_utf8_become_visible_one_by_one)
{
	ck_assert_str_eq(ESC("\xc0\xaf"), "\\xC0\\xAF"); /* overlong slash */
	ck_assert_str_eq(ESC("\xe0\x80\xaf"), "\\xE0\\x80\\xAF");
	ck_assert_str_eq(ESC("\xf0\x80\x80\xaf"), "\\xF0\\x80\\x80\\xAF");
	ck_assert_str_eq(ESC("\xed\xa0\x80"), "\\xED\\xA0\\x80"); /* a surrogate */
	ck_assert_str_eq(ESC("\xf4\x90\x80\x80"), "\\xF4\\x90\\x80\\x80"); /* above 10FFFF */
	ck_assert_str_eq(ESC("\xf8\x88\x80\x80\x80"), "\\xF8\\x88\\x80\\x80\\x80");
	ck_assert_str_eq(ESC("\xe2\x82"), "\\xE2\\x82"); /* cut */
	ck_assert_str_eq(ESC("\xe2\x82z"), "\\xE2\\x82z");
	ck_assert_str_eq(ESC("\xff"
			     "a\xfe"),
		"\\xFFa\\xFE");
}
END_TEST

START_TEST(combining_marks_need_a_base_and_do_not_pile_up)
{
	ck_assert_str_eq(ESC("\xcc\x81x"), "\\u{0301}x"); /* would sit on the text before it */
	ck_assert_str_eq(ESC("e\xcc\x81"), "e\xcc\x81");
	ck_assert_str_eq(ESC("e\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81"),
		"e\xcc\x81\xcc\x81\xcc\x81\xcc\x81\\u{0301}");
	ck_assert_str_eq(ESC("\n\xcc\x81"), "\\x0A\\u{0301}");
}
END_TEST

START_TEST(nothing_is_cut_inside_an_escape_or_a_character)
{
	static const char in[] = "a\x1b\xe2\x82\xac\xe2\x80\xae\\z";
	static const char *const whole[] = {"a", "\\x1B", "€", "\\u{202E}", "\\\\", "z"};

	for (size_t cap = 1; cap < 40; cap++) {
		char out[40];
		size_t len = escape_text(out, cap, in, sizeof in - 1), want = 0;

		for (size_t i = 0; i < 6 && want + strlen(whole[i]) < cap; i++)
			want += strlen(whole[i]);
		ck_assert_uint_eq(len, want);
		ck_assert_uint_eq(strlen(out), len);
	}
}
END_TEST

START_TEST(no_room_writes_nothing)
{
	char out[1] = {'q'};

	ck_assert_uint_eq(escape_text(out, 0, "abc", 3), 0);
	ck_assert_int_eq(out[0], 'q');
	ck_assert_uint_eq(escape_text(out, 1, "abc", 3), 0);
	ck_assert_int_eq(out[0], 0);
}
END_TEST

START_TEST(the_promised_capacity_is_enough_for_anything)
{
	unsigned seed = 1;

	for (int round = 0; round < 20000; round++) {
		char in[24], out[ESCAPE_CAP(24)];
		size_t n = (seed = seed * 1103515245 + 12345) >> 16 & 15;

		for (size_t i = 0; i < n; i++)
			in[i] = (char)((seed = seed * 1103515245 + 12345) >> 16);
		escape_text(out, ESCAPE_CAP(n), in, n);
		char more[ESCAPE_CAP(24) + 64];
		escape_text(more, sizeof more, in, n);
		if (strcmp(out, more) != 0)
			ck_abort_msg("%s was cut to %s", more, out);
	}
}
END_TEST

START_TEST(the_text_can_be_told_from_one_that_imitates_it)
{
	char a[64], b[64];

	escape_text(a, sizeof a, "\x1b", 1);
	escape_text(b, sizeof b, "\\x1B", 4);
	ck_assert_str_ne(a, b);
}
END_TEST

START_TEST(width_counts_columns)
{
	ck_assert_uint_eq(escape_width("abc"), 3);
	ck_assert_uint_eq(escape_width("日本"), 4);
	ck_assert_uint_eq(escape_width("e\xcc\x81"), 1);
	ck_assert_uint_eq(escape_width("🙂"), 2);
	ck_assert_uint_eq(escape_width("é€"), 2);
	ck_assert_uint_eq(escape_width("\xff"), 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("escape");
	TCase *t = tcase_create("escape");
	SRunner *r;
	int failed;

	tcase_add_test(t, printable_ascii_stays_as_it_is);
	tcase_add_test(t, a_backslash_becomes_two);
	tcase_add_test(t, every_control_character_becomes_visible);
	tcase_add_test(t, characters_that_reorder_hide_or_blank_become_visible);
	tcase_add_test(t, letters_of_other_scripts_and_emoji_stay);
	tcase_add_test(t, every_code_point_comes_out_whole_or_as_ascii);
	tcase_add_test(t, bytes_that_are_not_utf8_become_visible_one_by_one);
	tcase_add_test(t, combining_marks_need_a_base_and_do_not_pile_up);
	tcase_add_test(t, nothing_is_cut_inside_an_escape_or_a_character);
	tcase_add_test(t, no_room_writes_nothing);
	tcase_add_test(t, the_promised_capacity_is_enough_for_anything);
	tcase_add_test(t, the_text_can_be_told_from_one_that_imitates_it);
	tcase_add_test(t, width_counts_columns);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
