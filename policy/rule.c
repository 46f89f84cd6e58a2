/* The text of rules and tests (tools in the form of call.c), and whether a rule matches an action.
 *
 * What cannot be known is decided on the strict side: for ask and deny rules it counts as a match,
 * for allow rules it does not; in an `except` it is the other way round. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/call.h"
#include "policy/internal.h"
#include "policy/never.h"
#include "policy/text.h"

static int tool_parse(struct arena *a, size_t n, struct match *out, struct pattern_fault *f)
{
	struct call c;

	if (n == 0)
		return pattern_bad(f, 0, 0, "an empty rule. Write a tool's name, * for every tool");
	if (call_split(out->text, n, 0, &c, f))
		return -1;
	if (pattern_compile(a, PATTERN_NAME, out->text + c.name, c.name_len, &out->tool, f)) {
		f->at += c.name;
		return -1;
	}
	out->conditions = c.args;
	return call_conditions(a, PATTERN_VALUE, out->text, &c, &out->condition, f);
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

const struct action_places test_places = {.ws = "/home/user/project",
	.home = "/home/user",
	.tmp = "/tmp",
	.cwd = "/home/user/project"};

static size_t skip_blanks(const char *s, size_t n, size_t i)
{
	while (i < n && s[i] == ' ')
		i++;
	return i;
}

static int word(const char *s, size_t n, size_t *i, const char *w)
{
	size_t len = strlen(w);

	if (n - *i <= len || memcmp(s + *i, w, len) != 0 || s[*i + len] != ' ')
		return 0;
	*i = skip_blanks(s, n, *i + len);
	return 1;
}

struct span shell_unquoted(const char *s, size_t n)
{
	if (n >= 2 && (s[0] == '"' || s[0] == '\'') &&
		memchr(s + 1, s[0], n - 1) == (const void *)(s + n - 1))
		return (struct span){s + 1, n - 2};
	return (struct span){s, n};
}

static int test_words(const char *s, size_t n, size_t *i, struct test *out, struct pattern_fault *f)
{
	static const char *const later[] = {"package", "secret", "dns"};
	size_t k;

	if (word(s, n, i, "allow"))
		out->expect = VERDICT_ALLOW;
	else if (word(s, n, i, "ask"))
		out->expect = VERDICT_ASK;
	else if (word(s, n, i, "deny"))
		out->expect = VERDICT_DENY;
	else
		return pattern_bad(f, 0, n,
			"a test that does not start with the expected decision. Write `allow tool "
			"Read`, `ask tool …` or `deny tool …`");
	if (word(s, n, i, "tool"))
		return 0;
	if (word(s, n, i, "shell")) {
		const struct span text = shell_unquoted(s + *i, n - *i);

		out->shell = text.p;
		out->shell_len = text.n;
		return 0;
	}
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
	if (never_is(out->text, n))
		return never_parse(out->text, n, out, f);
	if (test_words(out->text, n, &i, out, f))
		return -1;
	if (out->shell)
		return 0;
	if (out->kind && out->kind->make) {
		if (out->kind->make(out->text + i, n - i, &out->action, f)) {
			f->at += i;
			return -1;
		}
		return 0;
	}
	if (out->kind) {
		static const struct shape none = {0, NULL};
		struct word w;

		if (out->kind->read(a, out->text + i, n - i, &none, &w, f)) {
			f->at += i;
			return -1;
		}
		out->action = action_of_word(out->kind->id, &w);
		return out->action ? 0 : pattern_no_memory(f);
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
	if (!failed && t.shell)
		failed = pattern_bad(&f, 0, n, "a shell text, which is no single action");
	if (failed)
		error_set(e, 0, "%s.", f.text[0] ? f.text : "out of memory");
	*out = t.action;
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
