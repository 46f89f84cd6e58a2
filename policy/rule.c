/* The text of rules and tests: `NAME {/pointer: value, …}`, and whether a rule matches an action.
 *
 * What cannot be known is decided on the strict side: for ask and deny rules it counts as a match,
 * for allow rules it does not; in an `except` it is the other way round. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/internal.h"
#include "policy/text.h"

struct call_arg {
	size_t pointer, pointer_len, value, value_len; /* offsets into the text */
};

struct call { /* `NAME {/pointer: value, …}` taken apart */
	size_t name, name_len;
	size_t args;
	struct call_arg arg[CONDITIONS_MAX];
};

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

static int call_split(const char *s, size_t n, size_t from, struct call *c, struct pattern_fault *f)
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

static int tool_parse(struct arena *a, size_t n, struct match *out, struct pattern_fault *f)
{
	struct call c;
	size_t i;

	if (n == 0)
		return pattern_bad(f, 0, 0, "an empty rule. Write a tool's name, * for every tool");
	if (call_split(out->text, n, 0, &c, f))
		return -1;
	if (pattern_compile(a, PATTERN_NAME, out->text + c.name, c.name_len, &out->tool, f)) {
		f->at += c.name;
		return -1;
	}
	out->conditions = c.args;
	out->condition = arena_array(a, c.args, sizeof *out->condition);
	if (!out->condition)
		return pattern_no_memory(f);
	for (i = 0; i < c.args; i++) {
		struct condition *cond = &out->condition[i];

		cond->pointer = arena_copy(a, out->text + c.arg[i].pointer, c.arg[i].pointer_len);
		cond->pointer_len = c.arg[i].pointer_len;
		cond->pointer_hash =
			action_pointer_hash(out->text + c.arg[i].pointer, cond->pointer_len);
		if (!cond->pointer)
			return pattern_no_memory(f);
		if (pattern_compile(a, PATTERN_VALUE, out->text + c.arg[i].value,
			    c.arg[i].value_len, &cond->value, f)) {
			f->at += c.arg[i].value;
			return -1;
		}
	}
	return 0;
}

int match_parse(struct arena *a, const struct kind *kind, const char *text, size_t n,
	struct match *out, struct pattern_fault *f)
{
	out->text = arena_copy(a, text, n);
	out->kind = kind;
	if (!out->text)
		return pattern_no_memory(f);
	return kind ? kind->parse(a, out->text, n, &out->parsed, f) : tool_parse(a, n, out, f);
}

/* ---- tests ---- */

/* The places of an imaginary session: a workspace inside a home, as people have it. */
static const struct action_places test_places = {.ws = "/home/user/project",
	.home = "/home/user",
	.tmp = "/tmp",
	.cwd = "/home/user/project"};

static int word(const char *s, size_t n, size_t *i, const char *w)
{
	size_t len = strlen(w);

	if (n - *i <= len || memcmp(s + *i, w, len) != 0 || s[*i + len] != ' ')
		return 0;
	*i = skip_blanks(s, n, *i + len);
	return 1;
}

static int test_words(const char *s, size_t n, size_t *i, struct test *out, struct pattern_fault *f)
{
	static const char *const later[] = {"http", "mcp", "package", "secret", "dns"};
	size_t k;

	if (word(s, n, i, "allow"))
		out->expect = VERDICT_ALLOW;
	else if (word(s, n, i, "ask"))
		out->expect = VERDICT_ASK;
	else if (word(s, n, i, "deny"))
		out->expect = VERDICT_DENY;
	else if (word(s, n, i, "never"))
		return pattern_bad(f, 0, n,
			"a `never` test, which is not supported by this version of agentd. Delete "
			"it");
	else
		return pattern_bad(f, 0, n,
			"a test that does not start with the expected decision. Write `allow tool "
			"Read`, `ask tool …` or `deny tool …`");
	if (word(s, n, i, "tool"))
		return 0;
	for (k = 0; kind_at(k); k++) {
		if (word(s, n, i, kind_at(k)->name)) {
			out->kind = kind_at(k);
			return 0;
		}
	}
	for (k = 0; k < sizeof later / sizeof *later; k++) {
		if (word(s, n, i, later[k]))
			return pattern_bad(f, 0, n,
				"a test of a kind that is not supported by this version of agentd: "
				"no gate enforces it yet. Delete it");
	}
	return pattern_bad(f, *i, n - *i,
		"a test that does not say what kind of action it is. Write tool, file, connect, … "
		"behind the decision");
}

/* ws:/x is what the rules call /home/user/project/x; an agent would say the latter. */
static char *test_value(const char *s, size_t n, size_t *len)
{
	const char *place = "";
	size_t root = path_root(s, n);
	char *out;

	if (root > 1) {
		place = s[0] == 'w'   ? test_places.ws
			: s[0] == 'h' ? test_places.home
				      : test_places.tmp;
		s += root - 1;
		n -= root - 1;
	}
	*len = strlen(place) + n;
	out = malloc(*len + 1);
	if (!out)
		return NULL;
	memcpy(out, place, strlen(place));
	memcpy(out + strlen(place), s, n);
	return out;
}

static int test_action(
	const char *s, const struct call *c, struct test *out, struct pattern_fault *f)
{
	struct action_arg args[CONDITIONS_MAX];
	char *values[CONDITIONS_MAX];
	struct error e = {0};
	size_t i, made;
	int failed = 0;

	for (made = 0; made < c->args; made++) {
		struct action_arg *arg = &args[made];

		*arg = (struct action_arg){
			s + c->arg[made].pointer, c->arg[made].pointer_len, ACTION_STRING, NULL, 0};
		values[made] =
			test_value(s + c->arg[made].value, c->arg[made].value_len, &arg->len);
		if (!values[made]) {
			failed = pattern_no_memory(f);
			break;
		}
		arg->text = values[made];
	}
	if (!failed && action_from_tool(&out->action, &test_places, s + c->name, c->name_len, args,
			       c->args, &e)) {
		failed = pattern_bad(f, c->name, c->name_len,
			"a call that is %s. Write one that a tool can make", e.text);
		if (strstr(e.text, "memory"))
			pattern_no_memory(f);
	}
	for (i = 0; i < made; i++)
		free(values[i]);
	return failed;
}

int test_parse(
	struct arena *a, const char *text, size_t n, struct test *out, struct pattern_fault *f)
{
	struct call c;
	size_t i = 0;

	out->text = arena_copy(a, text, n);
	if (!out->text)
		return pattern_no_memory(f);
	if (test_words(out->text, n, &i, out, f))
		return -1;
	if (out->kind) {
		static const struct shape none = {0, NULL};

		if (out->kind->read(a, out->text + i, n - i, &none, &out->word, f)) {
			f->at += i;
			return -1;
		}
		return 0;
	}
	if (call_split(out->text, n, i, &c, f))
		return -1;
	return test_action(out->text, &c, out, f);
}

int policy_parse_action(const char *text, struct action **out, struct error *e)
{
	struct pattern_fault f = {0};
	struct test t = {0};
	struct arena a;
	char *line;
	size_t n = strlen(text) + 5;
	int failed;

	*out = NULL;
	arena_init(&a, 1u << 20);
	line = arena_alloc(&a, n + 1);
	if (!line || n > 65536) {
		arena_free(&a);
		return error_set(e, 0, "a call of more than 64 KiB. Write a shorter one.");
	}
	snprintf(line, n + 1, "deny %s", text);
	failed = test_parse(&a, line, strlen(line), &t, &f);
	if (failed)
		error_set(e, 0, "%s.", f.text[0] ? f.text : "out of memory");
	*out = t.action;
	if (!failed && t.kind) {
		*out = action_of_word(t.kind->id, &t.word);
		if (!*out)
			failed = error_set(e, 0, "out of memory.");
	}
	arena_free(&a);
	return failed ? -1 : 0;
}

/* ---- matching ---- */

static const struct action_value *value_at(const struct action *a, const struct condition *c)
{
	size_t lo = 0, hi = a->values;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct action_value *v = &a->value[mid];
		int d = v->pointer_hash == c->pointer_hash && v->pointer_len == c->pointer_len &&
					memcmp(v->pointer, c->pointer, c->pointer_len) == 0
				? 0
				: action_pointer_order(v->pointer, c->pointer);

		if (d == 0)
			return v;
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* 1 when the value at a pointer is a list or an object: there is something below it. */
static int has_below(const struct action *a, const struct condition *c)
{
	size_t i;

	for (i = 0; i < a->values; i++) {
		const struct action_value *v = &a->value[i];

		if (v->pointer_len > c->pointer_len && v->pointer[c->pointer_len] == '/' &&
			memcmp(v->pointer, c->pointer, c->pointer_len) == 0)
			return 1;
	}
	return 0;
}

/* A path has up to two readings, and each of them several spellings. wide: one reading that matches
 * is enough; otherwise each must match. */
static int path_matches(const struct pattern *p, const struct action_value *v, int wide)
{
	int seen[2] = {0, 0}, matched[2] = {0, 0};
	size_t i;

	if (v->path_unknown)
		return wide;
	for (i = 0; i < v->names; i++) {
		const struct action_name *n = &v->name[i];

		seen[n->way] = 1;
		if (!matched[n->way] &&
			pattern_match(p, n->text, n->len, &n->index, n->literal, wide))
			matched[n->way] = 1;
	}
	if (wide)
		return matched[0] || matched[1];
	return seen[0] && matched[0] && (!seen[1] || matched[1]);
}

static int match_holds(const struct match *m, const struct action *a, int wide)
{
	size_t i;

	if (!pattern_match(&m->tool, a->tool, a->tool_len, &a->tool_index, 0, 0))
		return 0;
	for (i = 0; i < m->conditions; i++) {
		const struct condition *c = &m->condition[i];
		const struct action_value *v = value_at(a, c);
		int holds;

		if (!v)
			holds = wide && has_below(a, c);
		else if (c->value.is_path)
			holds = path_matches(&c->value, v, wide);
		else
			holds = pattern_match(&c->value, v->text, v->len, &v->index, 0, 0);
		if (!holds)
			return 0;
	}
	return 1;
}

int rule_matches(const struct rule *r, const struct action *a)
{
	int wide = r->effect != VERDICT_ALLOW;
	size_t i;

	if (!match_holds(&r->match, a, wide))
		return 0;
	for (i = 0; i < r->excepts; i++) {
		if (match_holds(&r->except[i], a, !wide))
			return 0;
	}
	return 1;
}
