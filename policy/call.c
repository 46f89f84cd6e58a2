/* Calls taken apart; see call.h. */
#include "policy/call.h"

#include <string.h>

static size_t skip_blanks(const char *s, size_t n, size_t i)
{
	while (i < n && s[i] == ' ')
		i++;
	return i;
}

static int split_pointer(
	const char *s, size_t n, size_t *i, struct call_arg *arg, struct pattern_fault *f)
{
	size_t start = *i, end = start, k;

	while (end < n && !(s[end] == ':' && (end + 1 == n || s[end + 1] == ' ')) &&
		s[end] != ',' && s[end] != '}')
		end++;
	if (end == n || s[end] != ':')
		return pattern_bad(f, start, end - start,
			"a condition without its value. Write {/pointer: pattern}, with a space "
			"behind the colon");
	arg->pointer = start;
	arg->pointer_len = end - start;
	if (s[start] != '/')
		return pattern_bad(f, start, end - start,
			"a condition that does not start with a JSON pointer. Write /%.*s",
			(int)(end - start > 40 ? 40 : end - start), s + start);
	if (end - start > ACTION_POINTER_MAX)
		return pattern_bad(
			f, start, 20, "a JSON pointer of more than 1024 bytes. Write a real one");
	for (k = start; k < end; k++) {
		if (s[k] == '~' && (k + 1 == end || (s[k + 1] != '0' && s[k + 1] != '1')))
			return pattern_bad(f, k, 1,
				"a ~ in a JSON pointer. Write ~0 for ~ and ~1 for / (RFC 6901)");
		if (s[k] == '*')
			return pattern_bad(f, k, 1,
				"a * in a JSON pointer, which names exactly one value. Name it, or "
				"write a rule without this condition");
	}
	*i = end + 1;
	return 0;
}

static int split_value(
	const char *s, size_t n, size_t *i, struct call_arg *arg, struct pattern_fault *f)
{
	size_t start = skip_blanks(s, n, *i), end = start, depth = 0;

	if (start < n && (s[start] == '"' || s[start] == '\'')) {
		const char *close = memchr(s + start + 1, s[start], n - start - 1);

		if (!close)
			return pattern_bad(
				f, start, n - start, "a quote that is not closed. Close it");
		arg->value = start + 1;
		arg->value_len = (size_t)(close - s) - start - 1;
		*i = (size_t)(close - s) + 1;
		return 0;
	}
	while (end < n && (depth || (s[end] != ',' && s[end] != '}'))) {
		if (s[end] == '\\' && end + 1 < n)
			end++;
		else if (s[end] == '{')
			depth++;
		else if (s[end] == '}')
			depth--;
		end++;
	}
	*i = end;
	while (end > start && s[end - 1] == ' ')
		end--;
	if (end == start)
		return pattern_bad(f, start ? start - 1 : 0, 1,
			"a condition without its value. Write what the value must look like, * for "
			"anything");
	arg->value = start;
	arg->value_len = end - start;
	return 0;
}

static int same_pointer(const char *s, const struct call_arg *a, const struct call_arg *b)
{
	return a->pointer_len == b->pointer_len &&
	       memcmp(s + a->pointer, s + b->pointer, a->pointer_len) == 0;
}

static int split_args(const char *s, size_t n, size_t open, struct call *c, struct pattern_fault *f)
{
	size_t i = open, k;

	do {
		struct call_arg *arg = &c->arg[c->args];

		if (c->args == CONDITIONS_MAX)
			return pattern_bad(f, i, 1, "more than 16 conditions. Write fewer");
		i = skip_blanks(s, n, i + 1);
		if (i < n && s[i] == '}' && c->args == 0)
			return pattern_bad(f, open, i + 1 - open,
				"no condition between the braces. Write {/pointer: pattern}, or "
				"leave the braces out");
		if (i == n)
			return pattern_bad(
				f, open, n - open, "a brace that is not closed. Close it with }");
		if (split_pointer(s, n, &i, arg, f) || split_value(s, n, &i, arg, f))
			return -1;
		for (k = 0; k < c->args; k++) {
			if (same_pointer(s, arg, &c->arg[k]))
				return pattern_bad(f, arg->pointer, arg->pointer_len,
					"the same pointer twice. Keep one, or use {a,b} in its "
					"pattern");
		}
		c->args++;
		i = skip_blanks(s, n, i);
	} while (i < n && s[i] == ',');
	if (i == n)
		return pattern_bad(
			f, open, n - open, "a brace that is not closed. Close it with }");
	if (s[i] != '}')
		return pattern_bad(f, i, n - i,
			"text behind a quoted value. Put a comma or the closing } there");
	if (i + 1 != n)
		return pattern_bad(f, i + 1, n - i - 1, "text behind the closing }. Delete it");
	return 0;
}

static int check_name(const char *s, size_t at, size_t n, struct pattern_fault *f)
{
	size_t i;

	for (i = at; i < at + n; i++) {
		if (s[i] == '(')
			return pattern_bad(f, i, at + n - i,
				"parentheses. A condition on a tool's input is written %.*s "
				"{/pointer: pattern}, e.g. Bash {/command: git status}",
				(int)(i - at > 40 ? 40 : i - at), s + at);
		if (s[i] < 0x21 || s[i] > 0x7e)
			return pattern_bad(f, i, 1,
				"a character that no tool's name has. Names are printable ASCII "
				"without spaces; conditions stand in {…} behind a space");
	}
	return 0;
}

int call_split(const char *s, size_t n, size_t from, struct call *c, struct pattern_fault *f)
{
	size_t end, open;

	while (n && s[n - 1] == ' ')
		n--;
	*c = (struct call){.name = skip_blanks(s, n, from)};
	for (end = c->name, open = n; end < n; end++) {
		if (s[end] != ' ')
			continue;
		open = skip_blanks(s, n, end);
		if (s[open] == '{')
			break;
	}
	c->name_len = end > c->name ? end - c->name : 0;
	if (c->name_len == 0)
		return pattern_bad(f, from, 0, "no tool's name. Write one, * for every tool");
	if (check_name(s, c->name, c->name_len, f))
		return -1;
	return end < n ? split_args(s, n, open, c, f) : 0;
}

int call_conditions(struct arena *a, enum pattern_kind kind, const char *s, const struct call *c,
	struct condition **out, struct pattern_fault *f)
{
	struct condition *cond = arena_array(a, c->args, sizeof *cond);

	*out = cond;
	if (!cond)
		return pattern_no_memory(f);
	for (size_t i = 0; i < c->args; i++, cond++) {
		const struct call_arg *arg = &c->arg[i];

		cond->pointer = arena_copy(a, s + arg->pointer, arg->pointer_len);
		cond->pointer_len = arg->pointer_len;
		cond->pointer_hash = action_pointer_hash(s + arg->pointer, arg->pointer_len);
		if (!cond->pointer)
			return pattern_no_memory(f);
		if (pattern_compile(a, kind, s + arg->value, arg->value_len, &cond->value, f)) {
			f->at += arg->value;
			return -1;
		}
	}
	return 0;
}
