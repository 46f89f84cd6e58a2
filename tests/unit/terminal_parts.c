/* What agentctl does with a terminal's bytes: the detach keys, the modes that are to be undone, and
 * how it reads the end of a run. */
/* NOLINTBEGIN(bugprone-suspicious-include): agentctl is no library */
#include "agentctl/client.c"
#include "agentctl/keys.c"
#include "agentctl/outcome.c"
#include "agentctl/screen.c"
/* NOLINTEND(bugprone-suspicious-include) */

#include <check.h>

/* ---- keys ---- */

static struct detach_keys keys(const char *spec)
{
	struct detach_keys k;

	ck_assert_int_eq(detach_keys_parse(&k, spec), 0);
	return k;
}

/* Feeds the text in one piece; the result ends with '!' when it detached. */
static const char *feed_n(struct detach_keys *k, const char *in, size_t in_n)
{
	static char out[1024];
	int detach;
	size_t n = detach_keys_feed(k, in, in_n, out, &detach);

	if (detach)
		out[n++] = '!';
	out[n] = 0;
	return out;
}

#define FEED(k, s) feed_n(&(k), s, sizeof(s) - 1)

START_TEST(ordinary_keys_pass)
{
	struct detach_keys k = keys(DETACH_KEYS_DEFAULT);

	ck_assert_str_eq(FEED(k, "hello d\r\x03\x1b[A\xc3\xa9"), "hello d\r\x03\x1b[A\xc3\xa9");
}
END_TEST

START_TEST(the_sequence_detaches_in_one_piece_or_in_two)
{
	struct detach_keys k = keys(DETACH_KEYS_DEFAULT);

	ck_assert_str_eq(FEED(k, "ab\x1c"
				 "dzz"),
		"ab!");
	ck_assert_str_eq(FEED(k, "ab\x1c"), "ab");
	ck_assert_str_eq(FEED(k, "d"), "!");
}
END_TEST

START_TEST(what_only_began_like_the_sequence_passes_whole)
{
	struct detach_keys k = keys(DETACH_KEYS_DEFAULT);

	ck_assert_str_eq(FEED(k, "\x1cx"), "\x1cx");
	ck_assert_str_eq(FEED(k, "\x1c"), "");
	ck_assert_str_eq(FEED(k, "e"), "\x1c"
				       "e");
	k = keys("ctrl-a,ctrl-b,c");
	ck_assert_str_eq(FEED(k, "\x01\x02x"), "\x01\x02x");
	ck_assert_str_eq(FEED(k, "\x01\x02\x01\x02"
				 "c"),
		"\x01\x02!");
}
END_TEST

START_TEST(the_first_key_twice_is_sent_once)
{
	struct detach_keys k = keys(DETACH_KEYS_DEFAULT);

	ck_assert_str_eq(FEED(k, "\x1c\x1c"), "\x1c");
	ck_assert_str_eq(FEED(k, "d"), "d");
	ck_assert_str_eq(FEED(k, "\x1c\x1c\x1c"
				 "d"),
		"\x1c!");
}
END_TEST

START_TEST(keys_in_the_kitty_and_xterm_forms_count)
{
	struct detach_keys k = keys(DETACH_KEYS_DEFAULT);

	ck_assert_str_eq(FEED(k, "\x1b[92;5ud"), "!");
	ck_assert_str_eq(FEED(k, "\x1b[92;5:1u\x1b[100u"), "!");
	ck_assert_str_eq(FEED(k, "\x1b[27;5;92~d"), "!");
	ck_assert_str_eq(FEED(k, "\x1b[92;5u\x1b[92;5u"), "\x1b[92;5u");
	ck_assert_str_eq(FEED(k, "\x1b[92;5ux"), "\x1b[92;5ux");
	ck_assert_str_eq(FEED(k, "\x1b[92;5"), "\x1b[92;5"); /* never held back */
	ck_assert_str_eq(FEED(k, "\x1b"), "\x1b");
}
END_TEST

START_TEST(no_sequence_means_every_key_passes)
{
	struct detach_keys k = keys("none");

	ck_assert_str_eq(FEED(k, "\x1c"
				 "d"),
		"\x1c"
		"d");
}
END_TEST

START_TEST(key_specifications_are_checked)
{
	static const char *const bad[] = {"", ",a", "a,", "ctrl-", "ctrl-A", "ctrl-1", "ctrl-ab",
		"ab", "a,,b", "\x01", "a,b,c,d,e", "none,a", "ctrl", " "};
	struct detach_keys k;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(detach_keys_parse(&k, bad[i]) < 0, "%s", bad[i]);
	ck_assert_int_eq(detach_keys_parse(&k, "ctrl-@,ctrl-[,ctrl-_,z"), 0);
	ck_assert_uint_eq(k.n, 4);
	ck_assert_int_eq(k.key[0].byte, 0);
	ck_assert_int_eq(k.key[1].byte, 0x1b);
	ck_assert_int_eq(k.key[2].byte, 0x1f);
	ck_assert_int_eq(detach_keys_parse(&k, ","), 0);
}
END_TEST

START_TEST(no_key_is_ever_lost_or_made_up)
{
	unsigned seed = 3;

	for (int round = 0; round < 5000; round++) {
		struct detach_keys k = keys("ctrl-a,ctrl-b,x");
		char in[64], out[64 + KEYS_HELD_MAX];
		size_t total = 0, sent = 0;

		for (int part = 0; part < 4; part++) {
			static const char alphabet[] = "\x01\x02yz\x1b[";
			size_t n = (seed = seed * 1103515245 + 12345) >> 16 & 7;
			int detach;

			for (size_t i = 0; i < n; i++) {
				seed = seed * 1103515245 + 12345;
				in[i] = alphabet[(seed >> 16) % 6];
			}
			total += n;
			sent += detach_keys_feed(&k, in, n, out, &detach);
			ck_assert_int_eq(detach, 0); /* there is no x */
		}
		/* A doubled first key loses one; a sequence that is not whole is held. */
		if (sent + k.held_n > total)
			ck_abort_msg("%zu of %zu", sent, total);
	}
}
END_TEST

/* ---- screen ---- */

static const char *undo_after(const char *text)
{
	static char out[SCREEN_UNDO_MAX + 1];
	struct screen s = {0}, bytewise = {0};
	char again[SCREEN_UNDO_MAX];
	size_t n;

	screen_feed(&s, text, strlen(text));
	n = screen_undo(&s, out);
	out[n] = 0;
	for (const char *p = text; *p; p++)
		screen_feed(&bytewise, p, 1);
	ck_assert_uint_eq(screen_undo(&bytewise, again), n);
	ck_assert_int_eq(memcmp(again, out, n), 0);
	return out;
}

START_TEST(plain_output_needs_no_undo)
{
	ck_assert_str_eq(undo_after("hello\r\n\ttab \a日本"), "");
	ck_assert_str_eq(undo_after("\x1b[2J\x1b[H\x1b[1;5H\x1b[K"), "");
	ck_assert_str_eq(undo_after("\x1b]0;title\a\x1b]8;;x\x1b\\y"), "");
}
END_TEST

START_TEST(what_was_switched_on_is_switched_off)
{
	ck_assert_str_eq(undo_after("\x1b[?1049h"), "\x1b[?1049l");
	ck_assert_str_eq(undo_after("\x1b[?25l"), "\x1b[?25h");
	ck_assert_str_eq(undo_after("\x1b[?7l"), "\x1b[?7h");
	ck_assert_str_eq(undo_after("\x1b[?1000;1006;2004h"), "\x1b[?1000l\x1b[?1006l\x1b[?2004l");
	ck_assert_str_eq(undo_after("\x1b[>1u"), "\x1b[<u");
	ck_assert_str_eq(undo_after("\x1b[>1u\x1b[>5u"), "\x1b[<u\x1b[<u");
	ck_assert_str_eq(undo_after("\x1b[=1u"), "\x1b[=0u");
	ck_assert_str_eq(undo_after("\x1b[>4;2m"), "\x1b[>4m");
	ck_assert_str_eq(undo_after("\x1b="), "\x1b>");
	ck_assert_str_eq(undo_after("\x1b(0"), "\x1b(B");
	ck_assert_str_eq(undo_after("\x0e"), "\x0f");
	ck_assert_str_eq(undo_after("\x1b[5 q"), "\x1b[0 q");
	ck_assert_str_eq(undo_after("\x1b[31mred"), "\x1b[m");
	ck_assert_str_eq(undo_after("\x1b[2;10r"), "\x1b\x37\x1b[r\x1b\x38");
}
END_TEST

START_TEST(what_the_program_switched_off_itself_is_left)
{
	ck_assert_str_eq(undo_after("\x1b[?1049h\x1b[?25l\x1b[?25h\x1b[?1049l"), "");
	ck_assert_str_eq(undo_after("\x1b[>1u\x1b[>1u\x1b[<2u"), "");
	ck_assert_str_eq(undo_after("\x1b[>1u\x1b[<9u"), "");
	ck_assert_str_eq(undo_after("\x1b[31mred\x1b[m"), "");
	ck_assert_str_eq(undo_after("\x1b[31mred\x1b[0m"), "");
	ck_assert_str_eq(undo_after("\x1b(0\x1b(B\x0e\x0f\x1b=\x1b>"), "");
	ck_assert_str_eq(undo_after("\x1b[?1049h\x1b[?1000h\x1b=\x1b"
				    "c"),
		"");
}
END_TEST

START_TEST(a_sequence_that_is_cut_is_ended)
{
	ck_assert_str_eq(undo_after("\x1b[?10"), "\x18");
	ck_assert_str_eq(undo_after("\x1b"), "\x18");
	ck_assert_str_eq(undo_after("\x1b]0;never ends"), "\x1b\\");
	ck_assert_str_eq(undo_after("\x1bPq never ends \x1b"), "\x1b\\");
}
END_TEST

START_TEST(text_inside_strings_is_not_taken_for_sequences)
{
	ck_assert_str_eq(undo_after("\x1b]0;[?1049h\a"), "");
	ck_assert_str_eq(undo_after("\x1b]0;x\x1b[?1049h"), "\x1b[?1049l"); /* as xterm does */
	ck_assert_str_eq(undo_after("\x1b[?\x1b[?25l"), "\x1b[?25h");
	ck_assert_str_eq(undo_after("\x1b[?1049\x18h"), "");
}
END_TEST

START_TEST(long_and_odd_sequences_do_no_harm)
{
	char text[600] = "\x1b[?";

	for (int i = 0; i < 500; i++)
		text[3 + i] = '9';
	text[503] = 'h';
	text[504] = 0;
	ck_assert_str_eq(undo_after(text), "");
	ck_assert_str_eq(undo_after("\x1b[?;;;h\x1b[?xh\x1b[?25;l\x1b[u\x1b[ q"), "\x1b[?25h");
	for (size_t i = 0; i < 100; i++)
		memcpy(text + i * 5, "\x1b[>1u", 6);
	ck_assert_uint_le(strlen(undo_after(text)), SCREEN_UNDO_MAX);
}
END_TEST

/* ---- how it ended ---- */

START_TEST(lines_of_the_supervisor_are_read)
{
	struct outcome o = {0};

	ck_assert_int_eq(outcome_of_line(&o, "EXIT 3"), 1);
	ck_assert(o.kind == OUTCOME_EXIT && o.code == 3);
	ck_assert_int_eq(outcome_of_line(&o, "END 137 killed by uid 0: x"), 1);
	ck_assert(o.kind == OUTCOME_END && o.code == 137);
	ck_assert_str_eq(o.text, "killed by uid 0: x");
	ck_assert_int_eq(outcome_of_line(&o, "END something else"), 1);
	ck_assert_int_eq(o.code, CTL_FAILED);
	ck_assert_str_eq(o.text, "something else");
	ck_assert_int_eq(outcome_of_line(&o, "EXIT"), 0);
	ck_assert_int_eq(outcome_of_line(&o, "EXIT -1"), 0);
	ck_assert_int_eq(outcome_of_line(&o, "EXIT 256"), 0);
	ck_assert_int_eq(outcome_of_line(&o, "EXIT 1x"), 0);
	ck_assert_int_eq(outcome_of_line(&o, "OK"), 0);
}
END_TEST

START_TEST(notifications_of_the_broker_are_read)
{
	struct outcome o = {0};

	ck_assert_int_eq(outcome_of_notification(&o,
				 "{\"jsonrpc\":\"2.0\",\"method\":\"ended\",\"params\":{\"code\":"
				 "7,\"text\":\"\"}}"),
		1);
	ck_assert(o.kind == OUTCOME_EXIT && o.code == 7);
	ck_assert_int_eq(outcome_of_notification(&o,
				 "{\"method\":\"ended\",\"params\":{\"code\":137,\"text\":"
				 "\"killed\"}}"),
		1);
	ck_assert(o.kind == OUTCOME_END && o.code == 137);
	ck_assert_int_eq(
		outcome_of_notification(&o, "{\"method\":\"ended\",\"params\":{\"code\":\"x\"}}"),
		1);
	ck_assert_int_eq(o.code, CTL_FAILED);
	ck_assert_int_eq(
		outcome_of_notification(&o, "{\"method\":\"detached\",\"params\":{\"by_pid\":12}}"),
		1);
	ck_assert_int_eq(o.kind, OUTCOME_TAKEN);
	ck_assert_str_eq(o.text, "pid 12");
	ck_assert_int_eq(outcome_of_notification(&o, "{\"method\":\"other\",\"params\":{}}"), 0);
	ck_assert_int_eq(outcome_of_notification(&o, "nonsense"), 0);
	ck_assert_int_eq(outcome_of_notification(&o, ""), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("terminal_parts");
	TCase *t = tcase_create("terminal_parts");
	SRunner *r;
	int failed;

	tcase_add_test(t, ordinary_keys_pass);
	tcase_add_test(t, the_sequence_detaches_in_one_piece_or_in_two);
	tcase_add_test(t, what_only_began_like_the_sequence_passes_whole);
	tcase_add_test(t, the_first_key_twice_is_sent_once);
	tcase_add_test(t, keys_in_the_kitty_and_xterm_forms_count);
	tcase_add_test(t, no_sequence_means_every_key_passes);
	tcase_add_test(t, key_specifications_are_checked);
	tcase_add_test(t, no_key_is_ever_lost_or_made_up);
	tcase_add_test(t, plain_output_needs_no_undo);
	tcase_add_test(t, what_was_switched_on_is_switched_off);
	tcase_add_test(t, what_the_program_switched_off_itself_is_left);
	tcase_add_test(t, a_sequence_that_is_cut_is_ended);
	tcase_add_test(t, text_inside_strings_is_not_taken_for_sequences);
	tcase_add_test(t, long_and_odd_sequences_do_no_harm);
	tcase_add_test(t, lines_of_the_supervisor_are_read);
	tcase_add_test(t, notifications_of_the_broker_are_read);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
