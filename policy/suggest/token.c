/* Parts of actions; see token.h. */
#include "policy/suggest/token.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"

#define HEX_LEAST    7u
#define DIGITS_MAX   10u /* of a number that is written by length */
#define RANDOM_LEAST 20u /* characters of a random text */

static int is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int is_alnum(char c)
{
	return is_digit(c) || is_alpha(c);
}

static int is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f');
}

typedef int char_test(char c);

static size_t run_of(const char *s, size_t n, char_test *is)
{
	size_t i = 0;

	while (i < n && is(s[i]))
		i++;
	return i;
}

/* ---- types ---- */

static int is_uuid(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s[i] != '-' : !is_hex(s[i]))
			return 0;
	}
	return n == 36;
}

static int is_hash(const char *s, size_t n)
{
	int digits = 0;

	for (size_t i = 0; i < n; i++)
		digits += is_digit(s[i]);
	return n >= HEX_LEAST && run_of(s, n, is_hex) == n && digits && digits < (int)n;
}

enum token token_of(const char *s, size_t n)
{
	if (n && run_of(s, n, is_digit) == n)
		return TOKEN_NUMBER;
	if (is_uuid(s, n))
		return TOKEN_UUID;
	if (is_hash(s, n))
		return TOKEN_HEX;
	if (memchr(s, ' ', n))
		return TOKEN_TEXT;
	if (memchr(s, ':', n) || memchr(s, '@', n) || (n && s[0] == '+'))
		return TOKEN_WORD; /* HEAD:refs/heads/x, pkg@1.2 */
	return memchr(s, '/', n) || memchr(s, '.', n) ? TOKEN_PATH : TOKEN_WORD;
}

int token_plain(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i] < 0x20 || s[i] > 0x7e)
			return 0;
	}
	return 1;
}

/* ---- secrets ---- */

static double entropy(const char *s, size_t n)
{
	size_t count[256] = {0};
	double bits = 0;

	for (size_t i = 0; i < n; i++)
		count[(unsigned char)s[i]]++;
	for (size_t i = 0; i < 256; i++) {
		double p = (double)count[i] / (double)n;

		if (count[i])
			bits -= p * log2(p);
	}
	return bits;
}

/* How tokens of services begin. */
static int known_shape(const char *s, size_t n)
{
	static const char *const starts[] = {"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_",
		"glpat-", "sk-", "sk_live_", "rk_live_", "xoxb-", "xoxp-", "xoxa-", "xoxs-", "AKIA",
		"ASIA", "AIza", "ya29.", "npm_", "pypi-", "hf_", "dop_v1_", "SG.", "eyJ", "shpat_",
		"AGE-SECRET-KEY-", "-----BEGIN"};

	for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
		size_t len = strlen(starts[i]);

		if (n >= len + 6 && memcmp(s, starts[i], len) == 0)
			return 1;
	}
	return 0;
}

/* `password=`, `"token": `, `--api-key `. */
static int names_secret(const char *s, size_t n, size_t at)
{
	static const char *const names[] = {"password", "passwd", "passphrase", "secret", "token",
		"apikey", "api_key", "api-key", "access_key", "access-key", "private_key",
		"private-key", "authorization", "bearer", "credential", "credentials", "pwd"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		size_t len = strlen(names[i]), end = at + len, start = at;

		if (end >= n || strncasecmp(s + at, names[i], len) != 0)
			continue;
		if (s[end] == '=' || s[end] == ':' || strncasecmp(names[i], "bearer", 6) == 0)
			return 1;
		while (start > 0 && s[start - 1] != ' ')
			start--;
		if (s[start] == '-' && (s[end] == ' ' || s[end] == '"' || s[end] == '\''))
			return 1;
	}
	return 0;
}

/* `://user:password@`, `-u user:password`. */
static int has_userinfo(const char *s, size_t n, size_t at)
{
	size_t end;

	if (n - at > 4 && memcmp(s + at, " -u ", 4) == 0) {
		for (end = at + 4; end < n && s[end] != ' '; end++) {
			if (s[end] == ':')
				return 1;
		}
	}
	if (n - at < 4 || memcmp(s + at, "://", 3) != 0)
		return 0;
	for (end = at + 3; end < n && s[end] != '/' && s[end] != ' '; end++) {
		if (s[end] == '@')
			return 1;
	}
	return 0;
}

static int is_token_char(char c)
{
	return is_alnum(c) || c == '_' || c == '-' || c == '+' || c == '=';
}

/* Letters and digits without an order that a name would have. */
static int is_random(const char *s, size_t n, int hashes)
{
	size_t digits = 0, upper = 0, lower = 0;

	for (size_t i = 0; i < n; i++) {
		digits += is_digit(s[i]) != 0;
		upper += s[i] >= 'A' && s[i] <= 'Z';
		lower += s[i] >= 'a' && s[i] <= 'z';
	}
	if (n < RANDOM_LEAST || digits == 0 || upper + lower == 0)
		return 0;
	if (run_of(s, n, is_hex) == n && (n == 40 || n == 64) && !hashes)
		return 0;
	if (run_of(s, n, is_alnum) == n)
		return entropy(s, n) >= 3.0;
	return upper && lower && entropy(s, n) >= 4.0;
}

static int has_random(const char *s, size_t n, char_test *is, int hashes)
{
	for (size_t i = 0; i < n; i++) {
		size_t run = run_of(s + i, n - i, is);

		if (run && is_random(s + i, run, hashes))
			return 1;
		i += run;
	}
	return 0;
}

int token_secret(const char *s, size_t n, int hashes)
{
	for (size_t i = 0; i < n; i++) {
		int begins = i == 0 || !is_alnum(s[i - 1]);

		if ((begins && known_shape(s + i, n - i)) || names_secret(s, n, i) ||
			has_userinfo(s, n, i))
			return 1;
	}
	return has_random(s, n, is_alnum, hashes) || has_random(s, n, is_token_char, hashes);
}

/* ---- patterns ---- */

void token_literal(FILE *f, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strchr("*?[]{},\\", s[i]))
			putc('\\', f);
		putc(s[i], f);
	}
}

static void put_times(FILE *f, const char *what, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fputs(what, f);
}

void token_shape(FILE *f, enum token type, size_t n)
{
	static const size_t groups[] = {8, 4, 4, 4, 12};

	if (type == TOKEN_HEX) {
		put_times(f, "[0-9a-f]", n);
	} else if (type == TOKEN_UUID) {
		for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
			fputs(i ? "-" : "", f);
			put_times(f, "[0-9a-f]", groups[i]);
		}
	} else {
		n = n > DIGITS_MAX ? DIGITS_MAX : n;
		fputs(n > 1 ? "{" : "", f);
		for (size_t i = 1; i <= n; i++) {
			fputs(i > 1 ? "," : "", f);
			put_times(f, "[0-9]", i);
		}
		fputs(n > 1 ? "}" : "", f);
	}
}

/* Length of a date (2026-11-20, 2026_11_20), or of four digits and more; 0. */
static size_t volatile_digits(const char *s, size_t n)
{
	size_t run = run_of(s, n, is_digit);

	if (run == 4 && n >= 10 && (s[4] == '-' || s[4] == '_') && s[7] == s[4] && is_digit(s[5]) &&
		is_digit(s[6]) && is_digit(s[8]) && is_digit(s[9]))
		return 10;
	return run >= 4 ? run : 0;
}

/* Where a random ending begins, as mktemp and mkdtemp write it (build.Xa81Qz, tmp-x8f3kd2); n: none. */
static size_t random_ending(const char *s, size_t n)
{
	size_t at = n, digits = 0, upper = 0, lower = 0;

	while (at > 0 && is_alnum(s[at - 1])) {
		at--;
		digits += is_digit(s[at]) != 0;
		upper += s[at] >= 'A' && s[at] <= 'Z';
		lower += s[at] >= 'a' && s[at] <= 'z';
	}
	if (at == 0 || n - at < 6 || (s[at - 1] != '.' && s[at - 1] != '-' && s[at - 1] != '_'))
		return n;
	return (upper && lower && (upper > 1 || digits)) || (digits > 1 && (upper || lower)) ? at
											     : n;
}

int token_component(FILE *f, const char *s, size_t n)
{
	enum token type = token_of(s, n);
	size_t end = random_ending(s, n);
	int found = end < n;

	if (type == TOKEN_UUID) {
		fputs("*-*-*-*-*", f);
		return 1;
	}
	if (type == TOKEN_HEX && n >= 12) {
		fputs("[0-9a-f]*", f);
		return 1;
	}
	for (size_t i = 0; i < end;) {
		size_t run = i && is_digit(s[i - 1]) ? 0 : volatile_digits(s + i, end - i);

		if (run) {
			fputs("[0-9]*", f);
			found = 1;
			i += run;
		} else {
			token_literal(f, s + i++, 1);
		}
	}
	if (end < n)
		fputs("*", f);
	return found;
}
