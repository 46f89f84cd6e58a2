/* A matcher of patterns that is obviously right and exponential: what the automata are compared with.
 * Knows * ** ? [] {}, no escapes; `path` makes / a separator. In hosts only * ** ? {a,b}. */
#ifndef TESTS_SLOW_MATCH_H
#define TESTS_SLOW_MATCH_H

#include <stdio.h>
#include <string.h>

#define SEAM '\x01' /* keeps apart two stars that braces bring together */

/* start: first byte of the pattern, to see what stands before. Exponential, and plain. */
static int slow(const char *start, const char *p, const char *s, int path)
{
	if (*p == 0)
		return *s == 0;
	if (*p == SEAM)
		return slow(start, p + 1, s, path);
	if (*p == '*' && path && p[1] == '*' && p[2] == '/' && p > start && p[-1] == '/') {
		if (slow(start, p + 3, s, path))
			return 1;
		for (; *s; s++) {
			if (*s == '/' && slow(start, p + 3, s + 1, path))
				return 1;
		}
		return 0;
	}
	if (*p == '*') {
		int cross = !path || p[1] == '*';
		const char *rest = p + (p[1] == '*' ? 2 : 1);

		for (;; s++) {
			if (slow(start, rest, s, path))
				return 1;
			if (*s == 0 || (!cross && *s == '/'))
				return 0;
		}
	}
	if (*s == 0)
		return 0;
	if (*p == '?')
		return !(path && *s == '/') && slow(start, p + 1, s + 1, path);
	if (*p == '[') {
		int not = p[1] == '!';
		const char *end = strchr(p, ']');
		int in = memchr(p + 1 + not, *s, (size_t)(end - p - 1 - not )) != NULL;

		return !(path && *s == '/') && in != not &&slow(start, end + 1, s + 1, path);
	}
	return *p == *s && slow(start, p + 1, s + 1, path);
}

/* Appends p[0..n) to one, which has at bytes. Returns the new length. */
static int join(char one[200], int at, const char *p, int n)
{
	if (at && n && one[at - 1] == '*' && *p == '*')
		one[at++] = SEAM;
	return at + snprintf(one + at, 200 - (size_t)at, "%.*s", n, p);
}

/* Writes out every alternative and tries each. */
static int slow_braces(const char *pattern, const char *text, int path)
{
	const char *open = strchr(pattern, '{'), *p, *option;
	char one[200];
	int depth = 0, at;

	if (!open)
		return slow(pattern, pattern, text, path);
	for (p = open; *p; p++) {
		depth += *p == '{';
		depth -= *p == '}';
		if (depth == 0)
			break;
	}
	for (option = open + 1, depth = 0; option <= p; option++) {
		const char *from = option;

		for (; option < p && (depth || *option != ','); option++) {
			depth += *option == '{';
			depth -= *option == '}';
		}
		at = snprintf(one, sizeof one, "%.*s", (int)(open - pattern), pattern);
		at = join(one, at, from, (int)(option - from));
		join(one, at, p + 1, (int)strlen(p + 1));
		if (slow_braces(one, text, path))
			return 1;
	}
	return 0;
}

/* `*` and `**` of hosts: one label or more, never empty. */
__attribute__((unused)) static int slow_host(const char *p, const char *s)
{
	if (*p == 0)
		return *s == 0;
	if (p[0] == '*' && p[1] == '*') {
		for (const char *end = s; *end; end++) {
			if (end > s && end[-1] == '.' && *end == '.')
				return 0;
			if (*end != '.' && (end[1] == '.' || end[1] == 0) &&
				slow_host(p + 2, end + 1))
				return 1;
		}
		return 0;
	}
	if (*p == '*') {
		for (; *s && *s != '.'; s++) {
			if (slow_host(p + 1, s + 1))
				return 1;
		}
		return 0;
	}
	if (*p == '?')
		return *s && *s != '.' && slow_host(p + 1, s + 1);
	return *p == *s && slow_host(p + 1, s + 1);
}

__attribute__((unused)) static int slow_host_braces(const char *pattern, const char *host)
{
	const char *open = strstr(pattern, "{a,b}");
	char one[160];

	if (!open)
		return slow_host(pattern, host);
	for (int i = 0; i < 2; i++) {
		snprintf(one, sizeof one, "%.*s%c%s", (int)(open - pattern), pattern, 'a' + i,
			open + 5);
		if (slow_host_braces(one, host))
			return 1;
	}
	return 0;
}

#endif
