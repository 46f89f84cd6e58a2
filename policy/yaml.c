/* The strict YAML profile; see yaml.h. Three passes: the raw bytes, libyaml's events into a tree,
 * and, when libyaml gives up, a look at the source line for what the writer most probably meant. */
#include "policy/yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "common/escape.h"
#include "common/utf8.h"
#include "policy/text.h"

struct reader {
	struct arena *arena;
	const char *name, *text;
	size_t len;
	struct policy_error *e;
	yaml_parser_t parser;
	struct yaml_value *root;
	struct yaml_value *stack[YAML_DEPTH_MAX]; /* open collections */
	struct yaml_value *last[YAML_DEPTH_MAX]; /* their last child */
	struct yaml_value *key[YAML_DEPTH_MAX]; /* key that waits for its value */
	unsigned depth, documents;
};

/* ---- source positions ---- */

static size_t line_start(const char *text, size_t len, unsigned line)
{
	size_t at = 0;

	while (line > 1 && at < len) {
		const char *nl = memchr(text + at, '\n', len - at);

		if (!nl)
			return len;
		at = (size_t)(nl - text) + 1;
		line--;
	}
	return at;
}

static size_t line_length(const char *text, size_t len, size_t start)
{
	const char *nl = memchr(text + start, '\n', len - start);

	return nl ? (size_t)(nl - text) - start : len - start;
}

static size_t column_offset(const char *text, size_t len, size_t start, unsigned column)
{
	size_t at = start, used;
	uint32_t cp;

	while (column > 1 && at < len && text[at] != '\n') {
		used = utf8_decode(text + at, len - at, &cp);
		at += used ? used : 1;
		column--;
	}
	return at;
}

static unsigned column_of(const char *text, size_t start, size_t at)
{
	return (unsigned)utf8_count(text + start, at - start) + 1;
}

/* Length of an unquoted text up to a comment or the trailing blanks. */
static size_t trimmed(const char *p, size_t n)
{
	size_t i;

	for (i = 1; i < n; i++) {
		if (p[i] == '#' && p[i - 1] == ' ') {
			n = i;
			break;
		}
	}
	while (n && p[n - 1] == ' ')
		n--;
	return n;
}

/* ---- pass 1: bytes ---- */

static const char *byte_problem(uint32_t cp)
{
	switch (cp) {
	case 0:
		return "a NUL byte. Delete it: a policy is text";
	case '\t':
		return "a tab. Indent with spaces";
	case '\r':
		return "a carriage return. Save the file with Unix line ends (LF)";
	case '\n':
		return NULL;
	case 0xfeff:
		return "a byte order mark. Save the file as UTF-8 without BOM";
	default:
		break;
	}
	if (cp < 0x20 || (cp >= 0x7f && cp <= 0x9f))
		return "a control character. Delete it";
	if (escape_unsafe(cp))
		return "a character that is invisible, blank or reorders text. Delete it, or type "
		       "a plain space: what a reviewer reads must be what is there";
	return NULL;
}

static int check_bytes(struct reader *r)
{
	unsigned line = 1, column = 1;
	size_t i = 0, used;
	uint32_t cp;

	while (i < r->len) {
		const char *problem;

		if (r->text[i] >= 0x20 && r->text[i] < 0x7f) {
			i++;
			column++;
			continue;
		}
		used = utf8_decode(r->text + i, r->len - i, &cp);
		if (!used)
			return policy_fail(r->e, r->name, line, column,
				"not UTF-8 (byte 0x%02x). Save the file as UTF-8.",
				(unsigned char)r->text[i]);
		problem = byte_problem(cp);
		if (problem)
			return policy_fail(
				r->e, r->name, line, column, "%s (U+%04X).", problem, (unsigned)cp);
		column++;
		if (cp == '\n') {
			line++;
			column = 1;
		}
		i += used;
	}
	return 0;
}

/* ---- pass 3: what libyaml could not read ---- */

struct cure {
	const char *problem; /* part of libyaml's text */
	const char *text;
};

static const struct cure cures[] = {
	{"mapping values are not allowed", "a `: ` where no value can stand. Put the key on a line "
					   "of its own, or quote a text "
					   "that has `: ` in it"},
	{"could not find expected ':'", "a key without its `:`. Write `key: value`"},
	{"did not find expected key", "not at the place of a key. Indent it like the other keys of "
				      "its mapping, and quote "
				      "texts with special characters"},
	{"did not find expected '-' indicator",
		"not at the place of a list item. Indent it like the other items and start it with "
		"`- `"},
	{"block sequence entries are not allowed",
		"a list item where none can stand. Put the list below its key"},
	{"did not find expected ',' or ']'",
		"inside a list that is not closed. Put commas between the items and ] at the end"},
	{"did not find expected ',' or '}'", "inside a {mapping} that is not closed. Put commas "
					     "between the entries and } at the "
					     "end"},
	{"found unexpected end of stream", "a quote that is not closed. Close it"},
	{"unexpected document indicator", "a quote that is not closed. Close it"},
	{"found unknown escape character",
		"a backslash escape that YAML does not have. Write \\\\ for a backslash, or use "
		"'single quotes'"},
	{"did not find expected hexdecimal number", "a broken \\x escape. Write \\x41 or \\u0041"},
	{"found unknown directive", "a directive. Delete the line: policies have none"},
	{"directive", "a directive. Delete the line: policies have none"},
	{"did not find expected <document start>",
		"a second root. Indent it below a key, or delete it"},
	{"did not find expected node content", "nothing where a value must stand. Write the value"},
	{"did not find URI escaped octet", "a tag. Delete it, or quote the text"},
};

static int special_start(char c)
{
	return c && strchr("*&!@`%|>", c) != NULL;
}

/* Skips indentation, `- ` and one `key: `: where the item of a line begins. */
static size_t item_start(const char *p, size_t n)
{
	size_t i = 0, k;

	while (i < n && (p[i] == ' ' || (p[i] == '-' && i + 1 < n && p[i + 1] == ' ')))
		i++;
	for (k = i; k < n; k++) {
		char c = p[k];

		if (c == ':' && k > i && k + 1 < n && p[k + 1] == ' ') {
			k += 2;
			while (k < n && p[k] == ' ')
				k++;
			return k;
		}
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-'))
			break;
	}
	return i;
}

/* A scalar that starts like [a-z]x or {a,b} x: there is text behind the closing bracket. */
static int bracket_text(const char *p, size_t n)
{
	char close = p[0] == '[' ? ']' : '}';
	const char *end;

	if (n < 2 || (p[0] != '[' && p[0] != '{'))
		return 0;
	end = memchr(p, close, n);
	return end && end + 1 < p + n && end[1] != ',' && end[1] != '#' && end[1] != close &&
	       end[1] != ']' && end[1] != '}';
}

/* In [Read, Edit {/x: y}] the problem is at the brace: the item began behind the last comma. */
static size_t flow_item_start(const char *p, size_t at)
{
	while (at > 0 && p[at - 1] != ',' && p[at - 1] != '[')
		at--;
	while (p[at] == ' ')
		at++;
	return at;
}

static size_t flow_item_length(const char *p, size_t n)
{
	size_t i;
	unsigned depth = 0;

	for (i = 0; i < n; i++) {
		if (p[i] == '{' || p[i] == '[')
			depth++;
		if ((p[i] == '}' || p[i] == ']' || p[i] == ',') && !depth)
			break;
		if ((p[i] == '}' || p[i] == ']') && --depth == 0)
			return i + 1;
	}
	return trimmed(p, i);
}

const char *yaml_quoted_rest(
	char *buf, size_t cap, const char *text, size_t len, unsigned line, unsigned column)
{
	size_t start = line_start(text, len, line);
	size_t at = column_offset(text, len, start, column);
	size_t n = line_length(text, len, start) - (at - start);
	int flow = memchr(text + start, '[', at - start) != NULL;

	return text_quoted(
		buf, cap, text + at, flow ? flow_item_length(text + at, n) : trimmed(text + at, n));
}

static int quote_it(struct reader *r, unsigned line, size_t start, size_t at, size_t len)
{
	char shown[96], quoted[200];

	return policy_fail(r->e, r->name, line, column_of(r->text, start, at),
		"a text that YAML reads in its own way (%s). Quote it: %s",
		text_show(shown, sizeof shown, r->text + at, len),
		text_quoted(quoted, sizeof quoted, r->text + at, len));
}

/* 1 and *e filled when the line shows a text that needed quotes. */
static int needs_quotes(struct reader *r, unsigned line, unsigned column)
{
	size_t start = line_start(r->text, r->len, line), n, at, item;
	const char *p = r->text + start;

	if (start >= r->len)
		return 0;
	n = line_length(r->text, r->len, start);
	at = column_offset(r->text, r->len, start, column) - start;
	if (at < n && p[at] == '{' && memchr(p, '[', at)) {
		item = flow_item_start(p, at);
		return quote_it(r, line, start, start + item, flow_item_length(p + item, n - item));
	}
	if (at < n && special_start(p[at]) && at && memchr("[, ", p[at - 1], 3) &&
		memchr(p, '[', at))
		return quote_it(r, line, start, start + at, flow_item_length(p + at, n - at));
	item = item_start(p, n);
	if (item < n &&
		(special_start(p[item]) || bracket_text(p + item, trimmed(p + item, n - item)) ||
			memmem(p + item, n - item, " {/", 3)) &&
		p[item] != '"' && p[item] != '\'')
		return quote_it(r, line, start, start + item, trimmed(p + item, n - item));
	return 0;
}

static int yaml_failed(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	unsigned line = (unsigned)p->problem_mark.line + 1;
	unsigned column = (unsigned)p->problem_mark.column + 1;
	const char *problem = p->problem ? p->problem : "not YAML";
	char shown[96];
	size_t i, start, at;

	if (p->error == YAML_MEMORY_ERROR)
		return policy_no_memory(r->e, r->name);
	if (p->context && (strstr(p->context, "alias") || strstr(p->context, "anchor") ||
				  strstr(p->context, " tag") || strstr(p->context, "directive"))) {
		line = (unsigned)p->context_mark.line + 1;
		column = (unsigned)p->context_mark.column + 1;
	}
	if (!strstr(problem, "directive") && needs_quotes(r, line, column))
		return -1;
	start = line_start(r->text, r->len, line);
	at = column_offset(r->text, r->len, start, column);
	text_show(shown, sizeof shown, r->text + at,
		trimmed(r->text + at, line_length(r->text, r->len, at)));
	for (i = 0; i < sizeof cures / sizeof *cures; i++) {
		if (strstr(problem, cures[i].problem))
			return policy_fail(r->e, r->name, line, column, "%s (%s).", cures[i].text,
				*shown ? shown : "end of line");
	}
	return policy_fail(r->e, r->name, line, column,
		"not readable as YAML: %s (%s). Check the indentation and the quotes.", problem,
		*shown ? shown : "end of line");
}

/* ---- pass 2: events ---- */

__attribute__((format(printf, 3, 4))) static int reject(
	struct reader *r, const yaml_mark_t *m, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	size_t n;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	n = strlen(text);
	return policy_fail(r->e, r->name, (unsigned)m->line + 1, (unsigned)m->column + 1, "%s%s",
		text, n && strchr("\"'.", text[n - 1]) ? "" : ".");
}

static int reject_special(struct reader *r, const yaml_mark_t *m, const char *what)
{
	char quoted[200];

	return reject(r, m, "%s. Policies have none: delete it, or if it is a text, quote it: %s",
		what,
		yaml_quoted_rest(quoted, sizeof quoted, r->text, r->len, (unsigned)m->line + 1,
			(unsigned)m->column + 1));
}

static struct yaml_value *value_new(struct reader *r, enum yaml_type type, const yaml_mark_t *m)
{
	struct yaml_value *v = arena_alloc(r->arena, sizeof *v);

	if (!v) {
		policy_no_memory(r->e, r->name);
		return NULL;
	}
	v->type = type;
	v->line = (unsigned)m->line + 1;
	v->column = (unsigned)m->column + 1;
	return v;
}

static int key_check(struct reader *r, const yaml_mark_t *m, const struct yaml_value *v)
{
	const struct yaml_value *parent = r->stack[r->depth - 1], *c;
	char shown[96];

	if (v->type != YAML_TEXT)
		return reject(r, m,
			"a key that is no text. Write `key: value`, and quote a text "
			"that starts with [ or {");
	if (v->plain && v->len == 2 && memcmp(v->text, "<<", 2) == 0)
		return reject(r, m, "a merge key (<<). Policies have none: write the keys out");
	if (v->len == 0)
		return reject(r, m, "an empty key. Write `key: value`");
	text_show(shown, sizeof shown, v->text, v->len);
	for (c = parent->first; c; c = c->next) {
		if (c->key->len == v->len && memcmp(c->key->text, v->text, v->len) == 0)
			return reject(r, m,
				"the key %s stands here twice (first in line %u). Keep one of "
				"them.",
				shown, c->key->line);
	}
	return 0;
}

/* Puts a finished or just opened value where it belongs. */
static int attach(struct reader *r, const yaml_mark_t *m, struct yaml_value *v)
{
	unsigned d = r->depth - 1;
	struct yaml_value *parent;

	if (r->depth == 0) {
		r->root = v;
		return 0;
	}
	parent = r->stack[d];
	if (parent->type == YAML_MAPPING && !r->key[d]) {
		if (key_check(r, m, v))
			return -1;
		r->key[d] = v;
		return 0;
	}
	if (parent->count == YAML_ENTRIES_MAX)
		return reject(r, m, "more than 4096 entries. Split the policy into several files");
	v->key = r->key[d];
	r->key[d] = NULL;
	if (r->last[d])
		r->last[d]->next = v;
	else
		parent->first = v;
	r->last[d] = v;
	parent->count++;
	return 0;
}

static int no_anchor_or_tag(
	struct reader *r, const yaml_mark_t *m, const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor)
		return reject_special(r, m, "an anchor (&)");
	if (tag)
		return reject_special(r, m, "a tag (!)");
	return 0;
}

static int check_scalar(struct reader *r, const yaml_mark_t *m, const char *s, size_t n)
{
	size_t i = 0, used;
	uint32_t cp;

	while (i < n) {
		used = utf8_decode(s + i, n - i, &cp);
		if (!used || (cp != '\n' && cp != '\t' && escape_unsafe(cp)))
			return reject(r, m,
				"an escape that stands for a control or invisible character. Write "
				"text that can be read");
		i += used;
	}
	return 0;
}

static int on_scalar(struct reader *r, const yaml_event_t *ev)
{
	const yaml_mark_t *m = &ev->start_mark;
	const char *s = (const char *)ev->data.scalar.value;
	size_t n = ev->data.scalar.length;
	struct yaml_value *v;

	if (no_anchor_or_tag(r, m, ev->data.scalar.anchor, ev->data.scalar.tag) ||
		check_scalar(r, m, s, n))
		return -1;
	v = value_new(r, YAML_TEXT, m);
	if (!v)
		return -1;
	v->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	v->text = arena_copy(r->arena, s, n);
	v->len = n;
	if (!v->text)
		return policy_no_memory(r->e, r->name);
	return attach(r, m, v);
}

static int on_open(struct reader *r, const yaml_event_t *ev, enum yaml_type type)
{
	const yaml_mark_t *m = &ev->start_mark;
	struct yaml_value *v;
	int failed = type == YAML_LIST ? no_anchor_or_tag(r, m, ev->data.sequence_start.anchor,
						 ev->data.sequence_start.tag)
				       : no_anchor_or_tag(r, m, ev->data.mapping_start.anchor,
						 ev->data.mapping_start.tag);

	if (failed)
		return -1;
	if (r->depth == YAML_DEPTH_MAX)
		return reject(r, m, "nested more than 16 deep. No policy needs that");
	v = value_new(r, type, m);
	if (!v || attach(r, m, v))
		return -1;
	r->stack[r->depth] = v;
	r->last[r->depth] = NULL;
	r->key[r->depth] = NULL;
	r->depth++;
	return 0;
}

static int on_document(struct reader *r, const yaml_event_t *ev)
{
	if (ev->data.document_start.version_directive ||
		ev->data.document_start.tag_directives.start !=
			ev->data.document_start.tag_directives.end)
		return reject(r, &ev->start_mark,
			"a directive (%%). Delete the line: policies have none");
	if (++r->documents > 1)
		return reject(r, &ev->start_mark,
			"a second document (---). One file holds one policy: make it a file of its "
			"own");
	return 0;
}

static int on_event(struct reader *r, const yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_DOCUMENT_START_EVENT:
		return on_document(r, ev);
	case YAML_ALIAS_EVENT:
		return reject_special(r, &ev->start_mark, "an alias (*)");
	case YAML_SCALAR_EVENT:
		return on_scalar(r, ev);
	case YAML_SEQUENCE_START_EVENT:
		return on_open(r, ev, YAML_LIST);
	case YAML_MAPPING_START_EVENT:
		return on_open(r, ev, YAML_MAPPING);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		r->depth--;
		return 0;
	default:
		return 0;
	}
}

static int read_events(struct reader *r)
{
	yaml_event_t ev;
	int done = 0, failed = 0;

	while (!done && !failed) {
		if (!yaml_parser_parse(&r->parser, &ev))
			return yaml_failed(r);
		failed = on_event(r, &ev);
		done = ev.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&ev);
	}
	return failed ? -1 : 0;
}

unsigned yaml_column(const struct yaml_value *v, const char *text, size_t len, size_t offset)
{
	size_t start = line_start(text, len, v->line);
	size_t at = column_offset(text, len, start, v->column) + !v->plain;

	if (at + v->len > len || memcmp(text + at, v->text, v->len) != 0)
		return v->column;
	return column_of(text, start, at + offset);
}

struct yaml_value *yaml_parse(
	struct arena *a, const char *name, const char *text, size_t len, struct policy_error *e)
{
	struct reader r = {.arena = a, .name = name, .text = text, .len = len, .e = e};
	int failed;

	if (len > POLICY_DOC_MAX) {
		policy_fail(e, name, 1, 1,
			"%zu bytes are more than the 262144 a policy may have. Split it into "
			"several "
			"files.",
			len);
		return NULL;
	}
	if (check_bytes(&r))
		return NULL;
	if (!yaml_parser_initialize(&r.parser)) {
		policy_no_memory(e, name);
		return NULL;
	}
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
	failed = read_events(&r);
	yaml_parser_delete(&r.parser);
	if (failed)
		return NULL;
	if (!r.root)
		policy_fail(e, name, 1, 1, "nothing in it. Start it with `policy: 1`.");
	return r.root;
}

const struct yaml_value *yaml_get(const struct yaml_value *mapping, const char *key)
{
	const struct yaml_value *c;

	for (c = mapping->first; c; c = c->next) {
		if (strcmp(c->key->text, key) == 0)
			return c;
	}
	return NULL;
}

size_t yaml_offset(const char *text, size_t len, unsigned line, unsigned column)
{
	return column_offset(text, len, line_start(text, len, line), column);
}
