/* The text of a rule of `exec`: a program and what its arguments look like; see exec.c for what it
 * stands for. It resembles a command line, so everything that a shell would do with one is refused:
 * a rule that looks as if it meant that would protect nothing. */
#include <string.h>

#include "policy/kinds/exec.h"

int exec_token(struct arena *a, const char *s, size_t n, size_t *i, struct exec_token *out,
	struct pattern_fault *f)
{
	char quote = 0;
	size_t open = 0;

	while (*i < n && s[*i] == ' ')
		++*i;
	if (*i == n)
		return 0;
	*out = (struct exec_token){.start = *i, .quoted_first = s[*i] == '"' || s[*i] == '\''};
	out->text = arena_alloc(a, n - *i + 1);
	out->at = arena_array(a, n - *i + 1, sizeof *out->at);
	if (!out->text || !out->at)
		return pattern_no_memory(f);
	for (; *i < n && (quote || s[*i] != ' '); ++*i) {
		if (!quote && (s[*i] == '"' || s[*i] == '\'')) {
			quote = s[*i];
			open = *i;
			out->quoted = 1;
		} else if (quote && s[*i] == quote) {
			quote = 0;
		} else {
			out->at[out->n] = *i;
			out->text[out->n++] = s[*i];
		}
	}
	if (quote)
		return pattern_bad(f, open, n - open,
			"a quote that is not closed. Close it; a quote itself is written inside of "
			"the other kind");
	out->at[out->n] = out->end = *i;
	return 1;
}

static int bad_token(struct pattern_fault *f, const struct exec_token *t, const char *text)
{
	return pattern_bad(f, t->start, t->end - t->start, "%s", text);
}

static int is(const struct exec_token *t, const char *text)
{
	return !t->quoted && strcmp(t->text, text) == 0;
}

static int starts(const struct exec_token *t, const char *with)
{
	return !t->quoted && strncmp(t->text, with, strlen(with)) == 0;
}

/* From offsets in a token to offsets in the rule; `shift` bytes stood before the token. */
static int compile(struct arena *a, enum pattern_kind kind, const struct exec_token *t,
	const char *text, size_t n, size_t shift, struct pattern *out, struct pattern_fault *f)
{
	size_t at;

	if (pattern_compile(a, kind, text, n, out, f) == 0)
		return 0;
	at = f->at > shift ? f->at - shift : 0;
	if (at > t->n)
		at = t->n;
	f->at = t->at[at];
	if (f->at + f->len > t->end)
		f->len = t->end - f->at;
	return -1;
}

/* ---- arguments ---- */

static int read_flag(
	struct span flag, size_t at, const struct exec_token *t, struct pattern_fault *f)
{
	if (flag.n < 2 || flag.p[0] != '-' || (flag.n == 2 && flag.p[1] == '-'))
		return pattern_bad(f, flag.n ? at : t->start, flag.n ? flag.n : t->end - t->start,
			"no flag. Write them as the program has them, as in flag(-f|--force)");
	for (size_t i = 0; i < flag.n; i++) {
		if (flag.p[i] == '=')
			return pattern_bad(f, at + i, 1,
				"a flag with a value. Leave = and the value out: they are covered");
		if (flag.p[i] < 0x21 || flag.p[i] > 0x7e || strchr("*?[]{}\\,()", flag.p[i]))
			return pattern_bad(f, at + i, 1,
				"a character that flag(…) does not know, which has no patterns. "
				"Spell the flags out, with | between them");
	}
	return 0;
}

static int read_flags(struct arena *a, const struct exec_token *t, struct exec_element *out,
	struct pattern_fault *f)
{
	size_t start = strlen("flag("), end = start;

	if (t->text[t->n - 1] != ')')
		return bad_token(f, t,
			"a flag(…) that is not closed. Write flag(-f|--force), without blanks and "
			"with nothing behind it");
	out->part = PART_FLAG;
	out->flag = arena_array(a, t->n, sizeof *out->flag);
	if (!out->flag)
		return pattern_no_memory(f);
	for (; end < t->n; end++) {
		if (t->text[end] != '|' && end + 1 != t->n)
			continue;
		out->flag[out->flags] = (struct span){t->text + start, end - start};
		if (read_flag(out->flag[out->flags], t->at[start], t, f))
			return -1;
		out->flags++;
		start = end + 1;
	}
	return 0;
}

/* `name(…)` that is none of the classes. */
static int is_class(const struct exec_token *t)
{
	size_t n = strspn(t->text, "abcdefghijklmnopqrstuvwxyz");

	return n > 0 && t->text[n] == '(' && t->text[t->n - 1] == ')';
}

static int check_shell(const struct exec_token *t, struct pattern_fault *f)
{
	static const char *const operators[] = {
		"&&", "||", "|", ";", "&", ">", ">>", "<", "<<", "2>&1", "2>", "&>", "!"};

	for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
		if (is(t, operators[i]))
			return bad_token(f, t,
				"something that a shell does, where one program is started. Write "
				"a "
				"rule for each program, or quote the argument");
	}
	if (starts(t, "$") || starts(t, "`"))
		return bad_token(f, t,
			"something that a shell replaces before the program starts. Write what the "
			"program gets, or quote the argument");
	if (starts(t, "~"))
		return bad_token(f, t,
			"~, which a shell replaces before the program starts. Write path(out), or "
			"quote the argument");
	return 0;
}

static int check_word(const struct exec_token *t, struct pattern_fault *f)
{
	const char *stars = strstr(t->text, "**");

	if (stars && (stars == t->text || stars[-1] != '\\'))
		return pattern_bad(f, t->at[stars - t->text], 2,
			"** in an argument, where * already stands for any text. Write one *");
	if (t->quoted)
		return 0;
	if (check_shell(t, f))
		return -1;
	if (is_class(t))
		return bad_token(f, t,
			"a class of arguments that does not exist. There are flag(-f|--force), "
			"path(ws), path(out) and url; quote the argument if it is text");
	if (starts(t, "ws:/") || starts(t, "home:/") || starts(t, "tmp:/"))
		return bad_token(f, t,
			"a root in an argument, which is compared as the program gets it. Write "
			"path(ws) for any path in the workspace, or a pattern like */src/*");
	if (t->n > 3 && memcmp(t->text + t->n - 3, "...", 3) == 0 && t->text[t->n - 4] != '/')
		return bad_token(f, t,
			"dots at the end of a word. Put a blank before ... for any further "
			"arguments, or quote the word");
	return 0;
}

static int read_element(struct arena *a, const struct exec_token *t, struct exec_element *out,
	struct pattern_fault *f)
{
	if (is(t, "..."))
		out->part = PART_REST;
	else if (is(t, "url"))
		out->part = PART_URL;
	else if (is(t, "path(ws)"))
		out->part = PART_INSIDE;
	else if (is(t, "path(out)"))
		out->part = PART_OUTSIDE;
	else if (starts(t, "path("))
		return bad_token(f, t,
			"a place that paths of arguments do not have. Write path(ws) for paths in "
			"the workspace, path(out) for all others");
	else if (starts(t, "flag("))
		return read_flags(a, t, out, f);
	else if (t->n == 0)
		out->part = PART_EMPTY;
	else if (check_word(t, f))
		return -1;
	else {
		out->part = PART_WORD;
		return compile(a, PATTERN_NAME, t, t->text, t->n, 0, &out->word, f);
	}
	return 0;
}

static int read_elements(struct arena *a, const char *text, size_t n, size_t i, struct exec_rule *r,
	struct pattern_fault *f)
{
	struct exec_token t;
	size_t rests = 0;
	int found;

	r->element = arena_array(a, EXEC_WORDS_MAX, sizeof *r->element);
	if (!r->element)
		return pattern_no_memory(f);
	while ((found = exec_token(a, text, n, &i, &t, f)) == 1) {
		struct exec_element *e = &r->element[r->elements];

		if (r->elements == EXEC_WORDS_MAX)
			return bad_token(f, &t, "more than 64 arguments. Use ... and patterns");
		if (read_element(a, &t, e, f))
			return -1;
		if (e->part == PART_REST && r->elements && e[-1].part == PART_REST)
			return bad_token(f, &t, "... twice in a row. Write it once");
		if (e->part == PART_REST && ++rests > EXEC_RESTS_MAX)
			return bad_token(f, &t, "more than 8 times `...`. Write more rules");
		r->elements++;
	}
	return found;
}

/* ---- the program ---- */

static int is_assignment(const struct exec_token *t)
{
	const char *equals = strchr(t->text, '='), *slash = strchr(t->text, '/');

	return equals && equals > t->text && (!slash || equals < slash);
}

static int check_program(const struct exec_token *t, struct pattern_fault *f)
{
	if (t->n == 0)
		return bad_token(f, t, "an empty name. Write a program's name first");
	if (is(t, "...") || starts(t, "flag(") || starts(t, "path(") || (!t->quoted && is_class(t)))
		return bad_token(f, t,
			"arguments before their program. Write its name first, * for any program");
	if (is_assignment(t))
		return bad_token(f, t,
			"a variable before the program, which a shell takes off. Write the "
			"program's name first; variables stand in `env`");
	if (t->text[0] == '-')
		return bad_token(f, t, "a flag before its program. Write its name first");
	return 0;
}

/* The last component's text; NULL where braces or stars leave open where it begins. */
static const char *last_component(const struct exec_token *t)
{
	const char *slash = memrchr(t->text, '/', t->n);
	size_t depth = 0;

	for (const char *p = t->text; p < slash; p++) {
		depth += *p == '{';
		depth -= *p == '}' && depth;
	}
	return depth || strstr(slash, "**") ? NULL : slash;
}

static int read_path(
	struct arena *a, const struct exec_token *t, struct exec_rule *r, struct pattern_fault *f)
{
	const char *last = last_component(t);

	r->is_path = 1;
	if (compile(a, PATTERN_PATH, t, t->text, t->n, 0, &r->program, f))
		return -1;
	if (!last || !last[1]) {
		r->any_name = 1;
		return 0;
	}
	return compile(a, PATTERN_URLPATH, t, last, strlen(last), 0, &r->name, f);
}

/* The slash before a name keeps its stars inside of one component. */
static int read_name(
	struct arena *a, const struct exec_token *t, struct exec_rule *r, struct pattern_fault *f)
{
	char *slashed = arena_alloc(a, t->n + 2);

	if (!slashed)
		return pattern_no_memory(f);
	slashed[0] = '/';
	memcpy(slashed + 1, t->text, t->n);
	if (strstr(t->text, "**"))
		return bad_token(f, t,
			"** in a program's name, which has no directories. Write * for any name, "
			"or "
			"a path with /");
	if (compile(a, PATTERN_NAME, t, t->text, t->n, 0, &r->name, f))
		return -1;
	return compile(a, PATTERN_URLPATH, t, slashed, t->n + 1, 1, &r->program, f);
}

int exec_parse(
	struct arena *a, const char *text, size_t n, const void **out, struct pattern_fault *f)
{
	struct exec_rule *r = arena_alloc(a, sizeof *r);
	struct exec_token t;
	size_t i = 0;
	int found;

	*out = r;
	if (!r)
		return pattern_no_memory(f);
	found = exec_token(a, text, n, &i, &t, f);
	if (found < 0)
		return -1;
	if (found == 0)
		return pattern_bad(f, 0, 0,
			"an empty rule. Write a program and its arguments, as in `git status ...`");
	if (check_program(&t, f))
		return -1;
	if (memchr(t.text, '/', t.n) ? read_path(a, &t, r, f) : read_name(a, &t, r, f))
		return -1;
	return read_elements(a, text, n, i, r, f);
}
