/* Ideas about calls: tools of the agent and of MCP servers. Arguments that a call has must be as they
 * were; a path's last component may differ, numbers and hashes may, and commands side by side may. A
 * command that a shell reads is never generalised beyond numbers and hashes: behind a star there, `;`
 * has its place too. */
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "policy/suggest/calltext.h"
#include "policy/suggest/ideas.h"
#include "policy/suggest/token.h"

enum sort {
	FIELD_LITERAL,
	FIELD_PATH,
	FIELD_SHELL,
	FIELD_URL,
	FIELD_SHAPE, /* a number, a hash */
};

struct field {
	enum sort sort;
	enum token token;
	const char *pointer, *text;
	size_t n;
};

static int is_shell(const char *pointer)
{
	return strcmp(pointer, "/command") == 0 || strcmp(pointer, "/cmd") == 0 ||
	       strcmp(pointer, "/script") == 0;
}

/* -1: an argument that no rule can be written about. */
static int field_of(const struct item *i, const struct action_value *v, struct field *out)
{
	const struct action_name *name = call_path(v);
	int tool = i->kind == &kind_tool;

	*out = (struct field){.pointer = v->pointer, .text = v->text, .n = v->len};
	if (v->type == ACTION_EMPTY_OBJECT || v->type == ACTION_EMPTY_ARRAY)
		return -1;
	if (tool && (call_names_path(v->pointer) || path_root(v->text, v->len))) {
		if (!name)
			return -1;
		out->sort = FIELD_PATH;
		out->text = name->text;
		out->n = name->len;
		return 0;
	}
	out->token = token_of(v->text, v->len);
	if (tool && is_shell(v->pointer))
		out->sort = FIELD_SHELL;
	else if (strncmp(v->text, "https://", 8) == 0 || strncmp(v->text, "http://", 7) == 0)
		out->sort = FIELD_URL;
	else if (out->token == TOKEN_NUMBER || out->token == TOKEN_HEX || out->token == TOKEN_UUID)
		out->sort = FIELD_SHAPE;
	return 0;
}

struct call_fields {
	size_t n;
	struct field v[CONDITIONS_MAX];
};

static int fields_of(const struct item *i, struct call_fields *out)
{
	*out = (struct call_fields){0};
	if (i->action->values > CONDITIONS_MAX)
		return -1;
	for (; out->n < i->action->values; out->n++) {
		if (field_of(i, &i->action->value[out->n], &out->v[out->n]))
			return -1;
	}
	return 0;
}

/* ---- grouping ---- */

static void key_start(FILE *f, const struct item *i, const struct field *x)
{
	if (x == NULL)
		fputs(i->action->tool, f);
	else
		fprintf(f, "%c%s%c", 1, x->pointer, 1);
}

static void key_literal(FILE *f, const struct field *x)
{
	fprintf(f, "=%.*s", (int)x->n, x->text);
}

static int is_shape_token(enum token t)
{
	return t == TOKEN_NUMBER || t == TOKEN_HEX || t == TOKEN_UUID;
}

static void key_shape(FILE *f, enum token t, size_t n)
{
	fprintf(f, "#%c%zu", (int)t, t == TOKEN_HEX ? n : 0);
}

/* 1 when the path's last component is volatile: then its pattern is all there is to say. */
static int key_path(FILE *f, const struct field *x)
{
	size_t at = path_parent(x->text, x->n) + 1;
	struct writer w;
	char *pattern;
	int is_volatile;

	if (writer_open(&w))
		return 0;
	is_volatile = token_component(w.f, x->text + at, x->n - at);
	pattern = writer_close(&w);
	path_put(f, x->text, at);
	fputs(is_volatile && pattern ? pattern : "", f);
	free(pattern);
	return is_volatile;
}

static int tool_key(const struct ideas *o, const struct item *i, FILE *f)
{
	struct call_fields c;

	(void)o;
	if (fields_of(i, &c))
		return -1;
	key_start(f, i, NULL);
	for (size_t k = 0; k < c.n; k++) {
		const struct field *x = &c.v[k];

		key_start(f, i, x);
		if (x->sort == FIELD_SHAPE)
			key_shape(f, x->token, x->n);
		else if (x->sort == FIELD_PATH)
			key_path(f, x);
		else if (x->sort == FIELD_SHELL)
			fprintf(f, "%.*s", (int)strcspn(x->text, " "), x->text);
		else
			key_literal(f, x);
	}
	return 0;
}

/* Words of a command: 1 and the next one, 0 at its end. */
static int next_word(const struct field *x, size_t *at, struct name *out)
{
	size_t start = *at;

	if (start > x->n)
		return 0;
	while (*at < x->n && x->text[*at] != ' ')
		++*at;
	*out = (struct name){x->text + start, *at - start};
	++*at;
	return 1;
}

static size_t shell_key(FILE *f, const struct field *x)
{
	size_t at = 0, shapes = 0;
	struct name word;

	while (next_word(x, &at, &word)) {
		enum token t = token_of(word.p, word.n);

		if (is_shape_token(t)) {
			key_shape(f, t, word.n);
			shapes++;
		} else {
			fprintf(f, "%.*s", (int)word.n, word.p);
		}
		putc(' ', f);
	}
	return shapes;
}

static size_t host_end(const struct field *x)
{
	const char *scheme = strstr(x->text, "://");
	size_t at = (size_t)(scheme + 3 - x->text);

	return at + strcspn(x->text + at, "/");
}

/* Only what has something to generalise. */
static int shape_key(const struct ideas *o, const struct item *i, FILE *f)
{
	struct call_fields c;
	size_t shapes = 0;

	(void)o;
	if (fields_of(i, &c))
		return -1;
	key_start(f, i, NULL);
	for (size_t k = 0; k < c.n; k++) {
		const struct field *x = &c.v[k];

		key_start(f, i, x);
		if (x->sort == FIELD_SHAPE)
			key_shape(f, x->token, x->n);
		else if (x->sort == FIELD_SHELL)
			shapes += shell_key(f, x);
		else if (x->sort == FIELD_URL && host_end(x) < x->n)
			shapes += (size_t)(fprintf(f, "%.*s/", (int)host_end(x), x->text) > 0);
		else
			key_literal(f, x);
	}
	return shapes ? 0 : -1;
}

/* ---- generalising ---- */

/* {/pointer: 'pattern'}; the pattern is written between begin and end. */
static int put_quoted(FILE *f, struct writer *w)
{
	char *text = writer_close(w);
	int failed = !text || (strchr(text, '\'') && strchr(text, '"'));
	const char *quote = text && strchr(text, '\'') ? "\"" : "'";

	if (!failed)
		fprintf(f, "%s%s%s", quote, text, quote);
	free(text);
	return failed ? -1 : 0;
}

/* How one field of a group is written. -1: it cannot be. */
typedef int put_field(
	FILE *f, const struct group *g, size_t k, const struct field *first, void *ctx);

static char *rule_text(
	const struct group *g, const struct call_fields *first, put_field *put, void *ctx)
{
	const struct action *a = g->item[0]->action;
	struct writer w;
	int failed = 0;
	char *text;

	if (writer_open(&w))
		return NULL;
	token_literal(w.f, a->tool, a->tool_len);
	for (size_t k = 0; k < first->n && !failed; k++) {
		struct writer value;

		fprintf(w.f, "%s%s: ", k ? ", " : " {", first->v[k].pointer);
		if (writer_open(&value)) {
			failed = 1;
			break;
		}
		failed = put(value.f, g, k, &first->v[k], ctx);
		failed |= put_quoted(w.f, &value);
	}
	fputs(first->n ? "}" : "", w.f);
	text = writer_close(&w);
	if (text && failed) {
		free(text);
		text = NULL;
	}
	return text;
}

static size_t longest_of(const struct group *g, size_t k)
{
	struct call_fields c;
	size_t n = 0;

	for (size_t i = 0; i < g->items; i++) {
		if (fields_of(g->item[i], &c) == 0 && k < c.n && c.v[k].n > n)
			n = c.v[k].n;
	}
	return n;
}

struct sets { /* for put_set */
	int endings;
	size_t varying; /* fields that differ: at most one may */
};

static struct name tail_of(const struct field *x)
{
	size_t at = x->sort == FIELD_PATH ? path_parent(x->text, x->n) + 1 : 0;

	return (struct name){x->text + at, x->n - at};
}

/* fields_of points into actions, so names may. */
static void tails(const struct group *g, size_t k, struct names *out)
{
	struct call_fields c;

	*out = (struct names){0};
	for (size_t i = 0; i < g->items; i++) {
		struct name t;

		if (fields_of(g->item[i], &c))
			continue;
		t = tail_of(&c.v[k]);
		names_add(out, t.p, t.n);
	}
}

static int put_set(FILE *f, const struct group *g, size_t k, const struct field *x, void *ctx)
{
	struct sets *s = ctx;
	struct names names;

	if (x->sort == FIELD_SHAPE) {
		token_shape(f, x->token, longest_of(g, k));
		return 0;
	}
	if (x->sort == FIELD_PATH) {
		struct writer ignored;
		int is_volatile;

		if (writer_open(&ignored))
			return -1;
		is_volatile = key_path(ignored.f, x);
		free(writer_close(&ignored));
		if (is_volatile) {
			key_path(f, x);
			return 0;
		}
		path_put(f, x->text, path_parent(x->text, x->n) + 1);
	}
	if (x->sort == FIELD_LITERAL || x->sort == FIELD_URL) {
		token_literal(f, x->text, x->n);
		return 0;
	}
	tails(g, k, &names);
	s->varying += names.different > 1;
	if (s->varying > 1)
		return -1;
	if (s->endings && names.different > 1)
		return x->sort != FIELD_PATH || names.n < IDEA_DIR_SEEN || g->sessions < IDEA_MANY
			       ? -1
			       : names_endings(f, &names);
	if (names.n == 0 || names.different > IDEA_SET_MAX)
		return -1;
	names_put(f, &names);
	return 0;
}

static int has_pointer(const struct call_fields *c, const char *pointer)
{
	for (size_t i = 0; i < c->n; i++) {
		if (strcmp(c->v[i].pointer, pointer) == 0)
			return 1;
	}
	return 0;
}

/* Which file a call is about could be said by another argument, too: then the rule is not about it. */
static size_t other_paths(const struct call_fields *c, char *except[SUGGEST_EXCEPTS_MAX])
{
	static const char *const pointers[] = {
		"/file_path", "/filePath", "/path", "/notebook_path", "/absolute_path"};
	size_t n = 0, paths = 0;

	for (size_t i = 0; i < c->n; i++)
		paths += c->v[i].sort == FIELD_PATH;
	for (size_t i = 0; paths && i < ARRAY_LEN(pointers) && n < SUGGEST_EXCEPTS_MAX; i++) {
		if (has_pointer(c, pointers[i]))
			continue;
		if (asprintf(&except[n], "* {%s: '*'}", pointers[i]) < 0)
			except[n] = NULL;
		n++;
	}
	return n;
}

/* A rule about all of a group, each field written by put. */
static void add_rule(struct ideas *o, const struct group *g, put_field *put, struct sets s)
{
	struct call_fields first;
	char *except[SUGGEST_EXCEPTS_MAX], *text;

	if (fields_of(g->item[0], &first))
		return;
	text = rule_text(g, &first, put, &s);
	if (text)
		idea_add(o, g, text, except, other_paths(&first, except));
}

static void tool_make(struct ideas *o, const struct group *g, const struct group *often)
{
	if (often->items)
		add_rule(o, often, put_set, (struct sets){0});
	add_rule(o, g, put_set, (struct sets){.endings = 1});
}

/* ---- shapes ---- */

/* The longest number at word `place` of the group's commands. */
static size_t longest_word(const struct group *g, size_t k, size_t place)
{
	struct call_fields c;
	size_t longest = 0;

	for (size_t i = 0; i < g->items; i++) {
		size_t at = 0, p = 0;
		struct name word;

		if (fields_of(g->item[i], &c))
			continue;
		while (next_word(&c.v[k], &at, &word)) {
			if (p++ == place && word.n > longest)
				longest = word.n;
		}
	}
	return longest;
}

static void put_command(FILE *f, const struct group *g, size_t k, const struct field *x)
{
	size_t at = 0, place = 0;
	struct name word;

	for (; next_word(x, &at, &word); place++) {
		enum token t = token_of(word.p, word.n);

		fputs(place ? " " : "", f);
		if (is_shape_token(t))
			token_shape(f, t, longest_word(g, k, place));
		else
			token_literal(f, word.p, word.n);
	}
}

static int put_shape(FILE *f, const struct group *g, size_t k, const struct field *x, void *ctx)
{
	struct names names;

	(void)ctx;
	if (x->sort == FIELD_SHAPE) {
		token_shape(f, x->token, longest_of(g, k));
	} else if (x->sort == FIELD_SHELL) {
		put_command(f, g, k, x);
	} else if (x->sort == FIELD_URL && host_end(x) < x->n) {
		tails(g, k, &names);
		if (names.different < IDEA_DIR_SEEN || g->sessions < IDEA_MANY)
			return -1;
		token_literal(f, x->text, host_end(x));
		fputs("/*", f);
	} else {
		token_literal(f, x->text, x->n);
	}
	return 0;
}

static void shape_make(struct ideas *o, const struct group *g, const struct group *often)
{
	(void)often;
	add_rule(o, g, put_shape, (struct sets){0});
}

const struct grouping grouping_tool = {&kind_tool, tool_key, tool_make};
const struct grouping grouping_tool_shape = {&kind_tool, shape_key, shape_make};
const struct grouping grouping_mcp = {&kind_mcp, tool_key, tool_make};
