/* Ideas about program starts. Members of a group have the program, its sub-command and every flag in
 * common, and arguments of the same sorts at the same places. What differs goes up the lattice: the
 * literal, a small set, a shape (a number, a hash, `agent/...`), a class (path(ws)), and only for paths
 * in the workspace `...`, with what is no such path taken out again. No step says "any flag". */
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "policy/kinds/exec.h"
#include "policy/suggest/ideas.h"
#include "policy/suggest/token.h"

#define ARGS_MAX 32u

struct arg {
	char class; /* EXEC_FLAG, … */
	enum token token;
	const char *p;
	size_t n;
};

struct start { /* of a program, taken apart */
	const char *path;
	char class;
	size_t args;
	struct arg arg[ARGS_MAX];
};

/* -1: too many arguments, or one that nobody can say what it names. */
static int split(const struct action *a, struct start *s)
{
	const char *p = (const char *)a->word[0].p, *end = p + a->word[0].n;

	p++; /* what is pinned does not make another command */
	*s = (struct start){.class = *p, .path = p + 1};
	if (*p != EXEC_TRUSTED && *p != EXEC_WRITABLE)
		return -1;
	for (p += strlen(p) + 1; p < end; p += strlen(p) + 1) {
		struct arg *x = &s->arg[s->args];

		if (s->args == ARGS_MAX || *p == EXEC_UNKNOWN)
			return -1;
		*x = (struct arg){.class = *p, .p = p + 1, .n = strlen(p + 1)};
		x->token = token_of(x->p, x->n);
		s->args++;
	}
	return 0;
}

/* A text that stands for itself on a rule's command line, or is quoted. text is a pattern. */
static void put_word(FILE *f, const char *text)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				   "_./:=@%+,{}[]*\\-";
	size_t n = strlen(text);
	const char *quote = strchr(text, '"') ? "'" : "\"";

	if (n && strspn(text, safe) == n && strcmp(text, "url") != 0 && !strstr(text, "...") &&
		!strstr(text, ":/"))
		quote = "";
	fprintf(f, "%s%s%s", quote, text, quote);
}

static void put_literal(FILE *f, const char *s, size_t n)
{
	struct writer w;
	char *text;

	if (writer_open(&w))
		return;
	token_literal(w.f, s, n);
	text = writer_close(&w);
	if (text)
		put_word(f, text);
	free(text);
}

/* A program where the agent cannot write is known by its name, any other one by its path. */
static void put_program(FILE *f, const struct start *s)
{
	const char *name = s->class == EXEC_TRUSTED ? strrchr(s->path, '/') + 1 : s->path;
	struct writer w;
	char *text;

	if (s->class == EXEC_TRUSTED) {
		put_literal(f, name, strlen(name));
		return;
	}
	if (writer_open(&w))
		return;
	token_literal(w.f, name, strlen(name));
	text = writer_close(&w);
	if (text)
		fprintf(f, strchr(text, ' ') ? "\"%s\"" : "%s", text);
	free(text);
}

/* ---- grouping ---- */

static int is_path_arg(const struct arg *x)
{
	return x->class == EXEC_INSIDE && x->token == TOKEN_PATH;
}

static int is_hash_arg(const struct arg *x)
{
	return x->class == EXEC_INSIDE && (x->token == TOKEN_HEX || x->token == TOKEN_UUID);
}

static void key_arg(FILE *f, const struct arg *x, size_t i)
{
	if (x->class == EXEC_FLAG || x->class == EXEC_OUTSIDE || i == 0)
		fprintf(f, "=%s%c", x->p, 1);
	else if (is_hash_arg(x))
		fprintf(f, "%c%zu%c", (int)x->token, x->n, 1);
	else
		fprintf(f, "%c%c%c", x->class, (int)x->token, 1);
}

/* Paths in the workspace at the end may be any number. The first argument, of any program, may be a
 * sub-command: it is part of the key, unless it is such a path. */
static int exec_key(const struct ideas *o, const struct item *item, FILE *f)
{
	struct start s;
	size_t i = 0, end;

	(void)o;
	if (split(item->action, &s))
		return -1;
	for (end = s.args; end > 0 && is_path_arg(&s.arg[end - 1]); end--)
		;
	fprintf(f, "%c%s%c", s.class, s.path, 1);
	for (; i < end; i++)
		key_arg(f, &s.arg[i], i);
	fputs(end < s.args ? "paths" : "", f);
	return 0;
}

/* ---- generalising ---- */

struct column {
	struct names values;
	const struct arg *like; /* of the first member */
	size_t longest;
};

struct table {
	struct start first;
	struct column column[ARGS_MAX];
	int same_length;
};

static int read_table(const struct group *g, struct table *t)
{
	struct start s;
	int found = 0;

	t->same_length = 1;
	for (size_t i = 0; i < ARGS_MAX; i++)
		t->column[i] = (struct column){0};
	for (size_t i = 0; i < g->items; i++) {
		if (split(g->item[i]->action, &s))
			continue;
		if (!found++)
			t->first = s;
		t->same_length &= s.args == t->first.args;
		for (size_t k = 0; k < s.args; k++) {
			struct column *c = &t->column[k];

			names_add(&c->values, s.arg[k].p, s.arg[k].n);
			c->longest = s.arg[k].n > c->longest ? s.arg[k].n : c->longest;
		}
	}
	for (size_t k = 0; k < t->first.args; k++)
		t->column[k].like = &t->first.arg[k];
	return found ? 0 : -1;
}

enum step { STEP_SET, STEP_SHAPE, STEP_CLASS };

/* Bytes up to the last slash that all values have in common; 0: less than three. */
static size_t common_prefix(const struct names *v)
{
	size_t n = v->v[0].n;

	for (size_t i = 1; i < v->n; i++) {
		size_t k = 0;

		while (k < n && k < v->v[i].n && v->v[i].p[k] == v->v[0].p[k])
			k++;
		n = k;
	}
	while (n > 0 && v->v[0].p[n - 1] != '/')
		n--;
	return n >= 3 && v->different == v->n ? n : 0;
}

/* A URL's scheme and host. */
static size_t url_host(const char *s, size_t n)
{
	const char *scheme = memmem(s, n, "://", 3);
	const char *path = scheme ? memchr(scheme + 3, '/', n - (size_t)(scheme + 3 - s)) : NULL;

	return path ? (size_t)(path - s) + 1 : n;
}

static void put_pattern(FILE *f, struct writer *w)
{
	char *text = writer_close(w);

	if (text)
		put_word(f, text);
	free(text);
}

static int put_prefix(FILE *f, const struct column *c, size_t n)
{
	struct writer w;

	if (n == 0 || writer_open(&w))
		return -1;
	token_literal(w.f, c->values.v[0].p, n);
	putc('*', w.f);
	put_pattern(f, &w);
	return 0;
}

static int put_shape(FILE *f, const struct column *c)
{
	size_t prefix = common_prefix(&c->values);
	struct writer w;

	if (c->like->class == EXEC_URL)
		return prefix >= url_host(c->values.v[0].p, c->values.v[0].n)
			       ? put_prefix(f, c, prefix)
			       : -1;
	if (c->like->class != EXEC_INSIDE)
		return -1;
	if (c->like->token != TOKEN_NUMBER && !is_hash_arg(c->like))
		return put_prefix(f, c, prefix);
	if (writer_open(&w))
		return -1;
	token_shape(w.f, c->like->token, c->longest);
	put_pattern(f, &w);
	return 0;
}

/* One column. -1: that step says nothing about it. */
static int put_column(FILE *f, struct column *c, enum step step)
{
	struct writer w;

	if (is_hash_arg(c->like))
		return put_shape(f, c);
	if (c->values.different == 1) {
		put_literal(f, c->like->p, c->like->n);
		return 0;
	}
	if (step == STEP_SET) {
		if (c->values.different > IDEA_SET_MAX || writer_open(&w))
			return -1;
		names_put(w.f, &c->values);
		put_pattern(f, &w);
		return 0;
	}
	if (step == STEP_CLASS && is_path_arg(c->like)) {
		fputs("path(ws)", f);
		return 0;
	}
	if (step == STEP_CLASS && c->like->class == EXEC_INSIDE && c->like->token == TOKEN_TEXT) {
		fputs("*", f);
		return 0;
	}
	return put_shape(f, c);
}

/* The rule with column `dashed` as "-*", for an exception. */
static char *columns_text(struct table *t, enum step step, size_t dashed)
{
	struct writer w;
	int failed = 0;
	char *text;

	if (writer_open(&w))
		return NULL;
	put_program(w.f, &t->first);
	for (size_t i = 0; i < t->first.args; i++) {
		putc(' ', w.f);
		if (i == dashed)
			fputs("\"-*\"", w.f);
		else
			failed |= put_column(w.f, &t->column[i], step);
	}
	text = writer_close(&w);
	if (text && failed) {
		free(text);
		text = NULL;
	}
	return text;
}

/* PROGRAM … and something anywhere behind it. */
static char *anywhere(const struct table *t, const char *what)
{
	struct writer w;

	if (writer_open(&w))
		return NULL;
	put_program(w.f, &t->first);
	fprintf(w.f, " ... %s ...", what);
	return writer_close(&w);
}

/* What a step opened beyond what it means: a free text may not be a flag, a path that begins like
 * others may not lead out of the workspace. */
static size_t exceptions(struct table *t, enum step step, char *except[SUGGEST_EXCEPTS_MAX])
{
	size_t n = 0;
	int places = 0;

	for (size_t i = 0; step != STEP_SET && i < t->first.args; i++) {
		const struct column *c = &t->column[i];

		if (c->values.different == 1 || c->like->class != EXEC_INSIDE)
			continue;
		if (c->like->token == TOKEN_TEXT && n + 1 < SUGGEST_EXCEPTS_MAX)
			except[n++] = columns_text(t, step, i);
		else if (c->like->token == TOKEN_WORD || c->like->token == TOKEN_PATH)
			places = 1;
	}
	if (places)
		except[n++] = anywhere(t, "path(out)");
	return n;
}

static void add_columns(struct ideas *o, const struct group *g, struct table *t, enum step step)
{
	char *except[SUGGEST_EXCEPTS_MAX], *text = columns_text(t, step, SIZE_MAX);

	if (text)
		idea_add(o, g, text, except, exceptions(t, step, except));
}

/* Any number of paths in the workspace: neither flags nor anything that lies outside. */
static void add_rest(struct ideas *o, const struct group *g, struct table *t)
{
	static const char *const what[] = {"\"-*\"", "path(out)", "url"};
	char *except[SUGGEST_EXCEPTS_MAX];
	size_t end = t->first.args;
	struct writer w;
	int failed = 0;

	while (end > 0 && is_path_arg(&t->first.arg[end - 1]))
		end--;
	if (end == t->first.args || writer_open(&w))
		return;
	put_program(w.f, &t->first);
	for (size_t i = 0; i < end; i++) {
		putc(' ', w.f);
		failed |= put_column(w.f, &t->column[i], STEP_SHAPE);
	}
	fputs(" ...", w.f);
	if (failed) {
		free(writer_close(&w));
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(what); i++)
		except[i] = anywhere(t, what[i]);
	idea_add(o, g, writer_close(&w), except, ARRAY_LEN(what));
}

static void exec_make(struct ideas *o, const struct group *g, const struct group *often)
{
	struct table *t = calloc(1, sizeof *t);

	if (!t) {
		o->no_memory = 1;
		return;
	}
	if (read_table(often, t) == 0 && t->same_length)
		add_columns(o, often, t, STEP_SET);
	if (read_table(g, t) == 0) {
		if (t->same_length) {
			add_columns(o, g, t, STEP_SHAPE);
			add_columns(o, g, t, STEP_CLASS);
		}
		add_rest(o, g, t);
	}
	free(t);
}

const struct grouping grouping_exec = {&kind_exec, exec_key, exec_make};
