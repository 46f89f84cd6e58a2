/* Adding rules to a document; see edit.h. Documents are edited by lines, so that comments and order stay
 * as they are: for each section one place is found where its new lines go. */
#include "policy/suggest/edit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/suggest/ideas.h"
#include "policy/text.h"
#include "policy/yaml.h"

#define SECTIONS_MAX 8u
#define CONTEXT      3u
#define QUOTED_MAX   (2 * IDEA_TEXT_MAX + 16)

struct insertion { /* of new lines */
	size_t line, order; /* before this line, from 0; of several there the first one first */
	char *cut; /* instead of that line: its text up to a bracket, then the new lines, then */
	char *rest; /* what stood behind the bracket. NULL: the line stays */
	char *lines;
};

struct editor {
	const char *text;
	size_t n, lines;
	size_t *start; /* [lines + 1] of each line */
	struct arena arena;
	struct insertion at[SECTIONS_MAX];
	size_t insertions;
};

static int no_memory(struct error *e)
{
	return error_set(e, 0, "out of memory");
}

static int by_hand(struct error *e, const char *what)
{
	return error_set(e, 0, "%s: add the rules by hand", what);
}

/* ---- lines ---- */

static int find_lines(struct editor *d)
{
	size_t i = 0;

	d->start = calloc(d->n + 2, sizeof *d->start);
	if (!d->start)
		return -1;
	while (i < d->n) {
		const char *end = memchr(d->text + i, '\n', d->n - i);

		d->start[d->lines++] = i;
		i = end ? (size_t)(end - d->text) + 1 : d->n;
	}
	d->start[d->lines] = d->n;
	return 0;
}

static size_t blanks(const struct editor *d, size_t line)
{
	size_t i = d->start[line];

	while (i < d->n && d->text[i] == ' ')
		i++;
	return i - d->start[line];
}

static void put_blanks(FILE *f, size_t n)
{
	fprintf(f, "%*s", (int)n, "");
}

static void put_quoted(FILE *f, const char *s)
{
	char quoted[QUOTED_MAX];

	fputs(text_quoted(quoted, sizeof quoted, s, strlen(s)), f);
}

static void put_rule(FILE *f, const struct edit_rule *r)
{
	if (r->excepts == 0) {
		put_quoted(f, r->text);
		return;
	}
	fprintf(f, "{%s: ", r->key);
	put_quoted(f, r->text);
	fputs(", except: [", f);
	for (size_t i = 0; i < r->excepts; i++) {
		fputs(i ? ", " : "", f);
		put_quoted(f, r->except[i]);
	}
	fputs("]}", f);
}

/* The rules of a section, as items of a list; behind each one `end`. */
struct items {
	const struct edit_rule *rule;
	size_t rules, indent;
	const char *section, *dash, *between, *last;
};

/* A comment stands over the first of the rules that it is about. */
static void put_comment(FILE *f, const struct items *x, const char *last, const char *comment)
{
	if (last && strcmp(last, comment) == 0)
		return;
	put_blanks(f, x->indent);
	fprintf(f, "# %s\n", comment);
}

static void put_items(FILE *f, const struct items *x)
{
	const char *comment = NULL;
	size_t left = 0;

	for (size_t i = 0; i < x->rules; i++)
		left += strcmp(x->rule[i].section, x->section) == 0;
	for (size_t i = 0; i < x->rules; i++) {
		if (strcmp(x->rule[i].section, x->section) != 0)
			continue;
		put_comment(f, x, comment, x->rule[i].comment);
		comment = x->rule[i].comment;
		put_blanks(f, x->indent);
		fputs(x->dash, f);
		put_rule(f, &x->rule[i]);
		fprintf(f, "%s\n", --left ? x->between : x->last);
	}
}

/* ---- places ---- */

static struct insertion *insertion_new(struct editor *d, size_t line)
{
	struct insertion *x = &d->at[d->insertions];

	x->line = line; /* the rest is zero: places are used once */
	x->order = d->insertions;
	return x;
}

/* Behind a bracket or brace: what follows it goes onto a line of its own. */
static int split_line(struct editor *d, struct insertion *x, size_t bracket)
{
	size_t end = d->start[x->line + 1], rest = bracket + 1;

	while (rest < end && (d->text[rest] == ' ' || d->text[rest] == '\n'))
		rest++;
	if (rest == end) { /* nothing does */
		x->line++;
		return 0;
	}
	x->cut = strndup(d->text + d->start[x->line], bracket + 1 - d->start[x->line]);
	x->rest = strndup(d->text + rest, end - rest);
	return x->cut && x->rest ? 0 : -1;
}

static int is_flow(const struct editor *d, const struct yaml_value *v, size_t *at)
{
	*at = yaml_offset(d->text, d->n, v->line, v->column);
	return *at < d->n && (d->text[*at] == '[' || d->text[*at] == '{');
}

/* The items of a list in brackets or in lines. */
static int into_list(struct editor *d, struct insertion *x, const struct yaml_value *list,
	struct items *items, FILE *f)
{
	size_t at;

	if (is_flow(d, list, &at)) {
		x->line = list->line - 1;
		items->indent = blanks(d, x->line) + 4;
		items->dash = "";
		items->between = ",";
		items->last = list->count ? "," : "";
		put_items(f, items);
		return split_line(d, x, at);
	}
	x->line = list->line - 1;
	items->indent = blanks(d, x->line);
	put_items(f, items);
	return 0;
}

/* A list `allow` into a section that has none. */
static int into_section(struct editor *d, struct insertion *x, const struct yaml_value *section,
	struct items *items, FILE *f)
{
	size_t at, indent;

	x->line = section->line - 1;
	indent = blanks(d, x->line);
	if (is_flow(d, section, &at)) {
		put_blanks(f, indent + 4);
		fputs("allow: [\n", f);
		items->indent = indent + 8;
		items->dash = "";
		items->between = ",";
		put_items(f, items);
		put_blanks(f, indent + 4);
		fputs(section->count ? "],\n" : "]\n", f);
		return split_line(d, x, at);
	}
	put_blanks(f, indent);
	fputs("allow:\n", f);
	items->indent = indent + 2;
	put_items(f, items);
	return 0;
}

/* A section that is not there yet, at the end. */
static void at_end(struct editor *d, struct insertion *x, struct items *items, FILE *f)
{
	x->line = d->lines;
	fprintf(f, "%s:\n  allow:\n", items->section);
	items->indent = 4;
	put_items(f, items);
}

static int add_section(struct editor *d, const struct yaml_value *root,
	const struct edit_rule *rule, size_t rules, const char *name)
{
	const struct yaml_value *section = root ? yaml_get(root, name) : NULL;
	const struct yaml_value *list = section ? yaml_get(section, "allow") : NULL;
	struct insertion *x = insertion_new(d, 0);
	struct items items = {.rule = rule,
		.rules = rules,
		.section = name,
		.dash = "- ",
		.between = "",
		.last = ""};
	struct writer w;
	int failed = 0;

	if (writer_open(&w))
		return -1;
	if (list)
		failed = into_list(d, x, list, &items, w.f);
	else if (section)
		failed = into_section(d, x, section, &items, w.f);
	else
		at_end(d, x, &items, w.f);
	d->insertions++; /* from here on edit_add frees what is in it */
	x->lines = writer_close(&w);
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it takes at[] for one place; edit_add frees all */
	return failed || !x->lines ? -1 : 0;
}

/* ---- the new text, and the difference ---- */

struct line { /* of the new and the old text */
	char tag; /* ' ', '+', '-' */
	const char *p;
	size_t n; /* without its end */
	int open; /* the text ends with it, without a line end */
};

struct script {
	struct line *v;
	size_t n, cap;
	int no_memory;
};

static void script_add(struct script *s, char tag, const char *p, size_t n, int open)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 256;
		struct line *grown = reallocarray(s->v, cap, sizeof *grown);

		if (!grown) {
			s->no_memory = 1;
			return;
		}
		s->v = grown;
		s->cap = cap;
	}
	s->v[s->n++] = (struct line){tag, p, n, open};
}

static void script_text(struct script *s, char tag, const char *p)
{
	while (*p) {
		size_t n = strcspn(p, "\n");

		script_add(s, tag, p, n, 0);
		p += n + (p[n] == '\n');
	}
}

static void script_old(const struct editor *d, struct script *s, size_t line, char tag)
{
	size_t n = d->start[line + 1] - d->start[line];
	int open = n && d->text[d->start[line] + n - 1] != '\n';

	script_add(s, tag, d->text + d->start[line], open ? n : n - 1, open);
}

/* The rest of a line that was cut stands under its beginning. */
static void script_rest(const struct editor *d, struct script *s, const struct insertion *x)
{
	size_t n = strcspn(x->rest, "\n"), indent = blanks(d, x->line) + 4;
	char *text;

	if (n == 0)
		return;
	text = arena_alloc((struct arena *)(uintptr_t)&d->arena, indent + n + 1);
	if (!text) {
		s->no_memory = 1;
		return;
	}
	memset(text, ' ', indent);
	memcpy(text + indent, x->rest, n);
	script_add(s, '+', text, indent + n, 0);
}

static void script_insert(const struct editor *d, struct script *s, const struct insertion *x)
{
	if (x->cut) {
		script_old(d, s, x->line, '-');
		script_add(s, '+', x->cut, strlen(x->cut), 0);
	}
	script_text(s, '+', x->lines);
	if (x->cut)
		script_rest(d, s, x);
}

/* Text at the end of a document whose last line has no end gives it one. */
static void script_close_last(struct script *s)
{
	struct line *last = s->n ? &s->v[s->n - 1] : NULL;

	if (!last || !last->open)
		return;
	last->tag = '-';
	script_add(s, '+', last->p, last->n, 0);
}

static int by_line(const void *a, const void *b)
{
	const struct insertion *x = a, *y = b;

	if (x->line != y->line)
		return x->line > y->line ? 1 : -1;
	return (x->order > y->order) - (x->order < y->order);
}

static void make_script(struct editor *d, struct script *s)
{
	size_t k = 0;

	for (size_t line = 0; line <= d->lines; line++) {
		int cut = 0;

		for (; k < d->insertions && d->at[k].line == line; k++) {
			if (line == d->lines)
				script_close_last(s);
			script_insert(d, s, &d->at[k]);
			cut |= d->at[k].cut != NULL;
		}
		if (!cut && line < d->lines)
			script_old(d, s, line, ' ');
	}
}

static char *new_text(const struct script *s, size_t *len)
{
	struct writer w;
	char *text;

	if (writer_open(&w))
		return NULL;
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i].tag != '-')
			fprintf(w.f, "%.*s%s", (int)s->v[i].n, s->v[i].p, s->v[i].open ? "" : "\n");
	}
	text = writer_close(&w);
	*len = text ? strlen(text) : 0;
	return text;
}

/* How far a hunk goes that begins at line i: until more than twice the context stays the same. */
static size_t hunk_end(const struct script *s, size_t i)
{
	size_t end = i, same = 0;

	for (; i < s->n && same <= 2 * CONTEXT; i++) {
		same = s->v[i].tag == ' ' ? same + 1 : 0;
		if (!same)
			end = i + 1;
	}
	return end + CONTEXT < s->n ? end + CONTEXT : s->n;
}

static size_t count_but(const struct script *s, size_t from, size_t end, char tag)
{
	size_t n = 0;

	for (size_t i = from; i < end; i++)
		n += s->v[i].tag != tag;
	return n;
}

static void put_hunk(FILE *f, const struct script *s, size_t from, size_t end)
{
	size_t was = count_but(s, from, end, '+'), now = count_but(s, from, end, '-');
	size_t was_at = count_but(s, 0, from, '+'), now_at = count_but(s, 0, from, '-');

	fprintf(f, "@@ -%zu,%zu +%zu,%zu @@\n", was_at + (was > 0), was, now_at + (now > 0), now);
	for (size_t i = from; i < end; i++)
		fprintf(f, "%c%.*s\n%s", s->v[i].tag, (int)s->v[i].n, s->v[i].p,
			s->v[i].open ? "\\ No newline at end of file\n" : "");
}

static char *make_diff(const char *path, int is_new, const struct script *s)
{
	struct writer w;
	size_t i = 0;

	if (writer_open(&w))
		return NULL;
	fprintf(w.f, "--- %s%s\n+++ b/%s\n", is_new ? "/dev/null" : "a/", is_new ? "" : path, path);
	while (i < s->n) {
		size_t from = i > CONTEXT ? i - CONTEXT : 0, end;

		if (s->v[i].tag == ' ') {
			i++;
			continue;
		}
		end = hunk_end(s, i);
		put_hunk(w.f, s, from, end);
		i = end;
	}
	return writer_close(&w);
}

/* ---- all of it ---- */

/* Two insertions that cut one line would undo each other. */
static int places_collide(struct editor *d)
{
	qsort(d->at, d->insertions, sizeof *d->at, by_line);
	for (size_t i = 1; i < d->insertions; i++) {
		if (d->at[i].line == d->at[i - 1].line && (d->at[i].cut || d->at[i - 1].cut))
			return 1;
	}
	return 0;
}

static int add_sections(
	struct editor *d, const struct yaml_value *root, const struct edit_rule *rule, size_t rules)
{
	for (size_t i = 0; i < rules; i++) {
		size_t k = 0;

		while (k < i && strcmp(rule[k].section, rule[i].section) != 0)
			k++;
		if (k == i && (d->insertions == SECTIONS_MAX ||
				      add_section(d, root, rule, rules, rule[i].section)))
			return -1;
	}
	return 0;
}

/* What a document begins with that was not there. */
static int add_header(struct editor *d)
{
	struct insertion *x = insertion_new(d, 0);

	x->lines = strdup("policy: 1\n");
	d->insertions++;
	return x->lines ? 0 : -1;
}

static int path_ok(const char *path)
{
	return *path && *path != '/' &&
	       path[strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				 "._/@+-")] == 0;
}

static int write_out(struct editor *d, const char *path, int is_new, struct edit_result *out)
{
	struct script s = {0};

	make_script(d, &s);
	if (!s.no_memory) {
		out->text = new_text(&s, &out->len);
		out->diff = make_diff(path, is_new, &s);
	}
	free(s.v);
	return out->text && out->diff ? 0 : -1;
}

static int edit(struct editor *d, const char *path, int is_new, const struct edit_rule *rule,
	size_t rules, struct edit_result *out, struct error *e)
{
	struct yaml_value *root = NULL;
	struct policy_error pe;
	size_t at;

	if (!is_new)
		root = yaml_parse(&d->arena, path, d->text, d->n, &pe);
	if (!is_new && !root)
		return error_set(e, 0, "%s", pe.text);
	if (root && (root->type != YAML_MAPPING || is_flow(d, root, &at)))
		return by_hand(e, "the whole document stands in braces");
	if (find_lines(d) || (is_new && add_header(d)) || add_sections(d, root, rule, rules))
		return no_memory(e);
	if (places_collide(d))
		return by_hand(e, "several sections stand in one line");
	return write_out(d, path, is_new, out) ? no_memory(e) : 0;
}

int edit_add(const char *path, const char *text, size_t n, const struct edit_rule *rule,
	size_t rules, struct edit_result *out, struct error *e)
{
	struct editor d = {.text = text, .n = n};
	int result;

	*out = (struct edit_result){0};
	if (!path_ok(path))
		return by_hand(e, "the file's name has characters that a patch cannot have");
	if (rules > EDIT_RULES_MAX)
		return by_hand(e, "too many rules");
	arena_init(&d.arena, (size_t)64 << 20);
	result = edit(&d, path, text == NULL, rule, rules, out, e);
	for (size_t i = 0; i < d.insertions; i++) {
		free(d.at[i].cut);
		free(d.at[i].rest);
		free(d.at[i].lines);
	}
	free(d.start);
	arena_free(&d.arena);
	if (result)
		edit_free(out);
	return result;
}

void edit_free(struct edit_result *r)
{
	free(r->text);
	free(r->diff);
	*r = (struct edit_result){0};
}
