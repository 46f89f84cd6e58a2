/* Patterns; see pattern.h. A pattern is checked as written, its braces are multiplied out (at most
 * 64 alternatives), and each alternative becomes a literal beginning and end, the
 * literals between them, and a row of tokens that is only walked when all those occur in their order. */
#include "policy/pattern.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "common/utf8.h"
#include "policy/text.h"

/* Large arrays of which the first n elements are written before they are read: not worth the
 * compiler's zeroes (-ftrivial-auto-var-init) at each of the many calls. */
#define SCRATCH __attribute__((uninitialized))

enum {
	TOK_ANYCHAR = 0x110000, /* ? */
	TOK_STAR, /* * that stops at the separator */
	TOK_CROSS, /* anything */
	TOK_DIRS, /* zero or more directories, at the start of one */
	TOK_INDIR, /* the same, inside a directory's name; always follows TOK_DIRS */
	TOK_CLASS, /* + index of the class */
};

enum glob_form {
	GLOB_EXACT, /* a literal */
	GLOB_ORDER, /* literals with anything between them */
	GLOB_WALK
};

struct range {
	uint32_t lo, hi;
};

struct char_class {
	int negated;
	size_t count;
	struct range *range;
};

struct glob {
	enum glob_form form;
	char separator; /* 0: none */
	struct pattern_needs needs;
	struct span prefix, suffix;
	size_t runs; /* literals between the two, in their order */
	struct span *run;
	size_t count; /* tokens behind the prefix */
	uint32_t *tok;
	struct char_class *class;
};

/* A byte of a pattern and where it stands in the pattern as written. */
struct pbyte {
	uint16_t at;
	char c;
};

struct compiler {
	struct arena *arena;
	enum pattern_kind kind;
	const char *src;
	size_t n;
	struct pattern_fault *fault;
	unsigned long alternatives;
	struct glob *glob;
	size_t count; /* alternatives made so far */
	int is_path;
	char separator; /* what `*` stops at; 0: nothing */
};

int pattern_bad(struct pattern_fault *f, size_t at, size_t len, const char *fmt, ...)
{
	va_list ap;

	f->at = at;
	f->len = len;
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof f->text, fmt, ap);
	va_end(ap);
	return -1;
}

int pattern_no_memory(struct pattern_fault *f)
{
	f->at = f->len = 0;
	f->text[0] = 0;
	return -1;
}

static int is_special(char c)
{
	return c && strchr("*?[]{},\\", c) != NULL;
}

size_t path_root(const char *text, size_t n)
{
	static const char *const roots[] = {"ws:/", "home:/", "tmp:/", "/"};
	size_t i;

	for (i = 0; i < sizeof roots / sizeof *roots; i++) {
		size_t len = strlen(roots[i]);

		if (n >= len && memcmp(text, roots[i], len) == 0)
			return len;
	}
	return 0;
}

/* ---- what a text has, and what a pattern needs ---- */

static void pairs_add(uint64_t pairs[4], const char *s, size_t n)
{
	size_t i;

	for (i = 1; i < n; i++) {
		unsigned a = (unsigned char)s[i - 1], b = (unsigned char)s[i];
		unsigned h = (a * 37u + b * 101u) & 255u;

		pairs[h >> 6] |= UINT64_C(1) << (h & 63);
	}
}

static uint64_t head_of(const char *s, size_t n)
{
	uint64_t head = 0;

	memcpy(&head, s, n < sizeof head ? n : sizeof head);
	return head;
}

struct action_index text_index(const char *s, size_t n)
{
	struct action_index out = {.head = head_of(s, n)};

	pairs_add(out.pairs, s, n);
	return out;
}

/* Leaves in *all what one also needs. */
static void needs_common(struct pattern_needs *all, const struct pattern_needs *one)
{
	uint64_t differ = all->head ^ one->head;
	unsigned char mask[sizeof differ], bytes[sizeof differ];
	size_t i;

	all->head_mask &= one->head_mask;
	memcpy(mask, &all->head_mask, sizeof mask);
	memcpy(bytes, &differ, sizeof bytes);
	for (i = 0; i < sizeof mask; i++) {
		if (bytes[i])
			mask[i] = 0;
	}
	memcpy(&all->head_mask, mask, sizeof mask);
	for (i = 0; i < 4; i++)
		all->pairs[i] &= one->pairs[i];
}

/* ---- the pattern as written ---- */

static int scan_class(struct compiler *c, size_t *i)
{
	size_t start = *i, j = start + 1;

	if (j < c->n && c->src[j] == '!')
		j++;
	if (j < c->n && c->src[j] == ']')
		return pattern_bad(c->fault, start, j + 1 - start,
			"nothing between the brackets. Write [abc], [a-z] or [!abc]");
	while (j < c->n && c->src[j] != ']')
		j++;
	if (j == c->n)
		return pattern_bad(c->fault, start, c->n - start,
			"a bracket that is not closed. Close it with ], or write \\[ for the "
			"character itself");
	*i = j + 1;
	return 0;
}

static int scan_sequence(struct compiler *c, size_t *i, unsigned depth, unsigned long *count);

static int scan_braces(struct compiler *c, size_t *i, unsigned depth, unsigned long *count)
{
	size_t start = *i, options = 0;
	unsigned long one, sum = 0;

	if (depth == PATTERN_NESTING)
		return pattern_bad(c->fault, start, 1,
			"braces nested more than 3 deep. Write the alternatives as rules of their "
			"own");
	do {
		++*i;
		if (scan_sequence(c, i, depth + 1, &one))
			return -1;
		sum += one;
		options++;
	} while (*i < c->n && c->src[*i] == ',');
	if (*i == c->n)
		return pattern_bad(c->fault, start, c->n - start,
			"a brace that is not closed. Close it with }, or write \\{ for the "
			"character itself");
	++*i;
	if (options < 2)
		return pattern_bad(c->fault, start, *i - start,
			"braces with a single alternative. Write {a,b}, or leave the braces out");
	*count *= sum;
	if (*count > PATTERN_ALTERNATIVES)
		return pattern_bad(c->fault, start, *i - start,
			"more than 64 alternatives. Write more rules with fewer braces");
	return 0;
}

static int scan_escape(struct compiler *c, size_t *i)
{
	if (*i + 1 == c->n || !is_special(c->src[*i + 1]))
		return pattern_bad(c->fault, *i, *i + 1 == c->n ? 1 : 2,
			"a backslash before a character that needs none. Write \\\\ for a "
			"backslash");
	*i += 2;
	return 0;
}

/* Up to the end, or the `,` or `}` that ends an alternative. */
static int scan_sequence(struct compiler *c, size_t *i, unsigned depth, unsigned long *count)
{
	*count = 1;
	while (*i < c->n) {
		char ch = c->src[*i];
		int failed = 0;

		if (depth && (ch == ',' || ch == '}'))
			return 0;
		if (ch == '}')
			return pattern_bad(c->fault, *i, 1,
				"a } without its {. Write \\} for the character itself");
		if (ch == '{')
			failed = scan_braces(c, i, depth, count);
		else if (ch == '[')
			failed = scan_class(c, i);
		else if (ch == '\\')
			failed = scan_escape(c, i);
		else
			++*i;
		if (failed)
			return -1;
	}
	return 0;
}

static int scan_counts(struct compiler *c)
{
	size_t i, any = 0, cross = 0, class = 0;

	for (i = 0; i < c->n; i++) {
		char ch = c->src[i];

		if (class) {
			class = ch != ']';
		} else if (ch == '\\') {
			i++;
		} else if (ch == '[') {
			class = 1;
		} else if (ch == '?' && ++any > PATTERN_ANYCHARS) {
			return pattern_bad(c->fault, i, 1, "more than 8 `?`. Use `*`");
		} else if (ch == '*' && i + 1 < c->n && c->src[i + 1] == '*') {
			if (i + 2 < c->n && c->src[i + 2] == '*')
				return pattern_bad(
					c->fault, i, 3, "three stars in a row. Use * or **");
			if (++cross > PATTERN_CROSSINGS)
				return pattern_bad(c->fault, i, 2,
					"more than 4 `**`. Write more rules with fewer stars");
			i++;
		}
	}
	return 0;
}

/* ---- one alternative ---- */

static int check_component(const char *p, size_t n)
{
	return n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.');
}

/* Is an alternative's text a canonical path? from tells where its bytes were written, or is NULL. */
static int check_path(const char *s, size_t n, const struct pbyte *from, struct pattern_fault *f)
{
	size_t root = path_root(s, n), i = root, start = root;

	if (n == root)
		return 0;
	if (s[n - 1] == '/')
		return pattern_bad(f, from ? from[n - 1].at : n - 1, 1,
			"a slash at the end. Write %.*s for the directory itself, %.*s** for what "
			"is in it",
			(int)(n - 1 < 60 ? n - 1 : 60), s, (int)(n < 60 ? n : 60), s);
	for (; i <= n; i++) {
		if (i < n && s[i] != '/')
			continue;
		if (check_component(s + start, i - start)) {
			size_t at = start ? start - 1 : 0;

			return pattern_bad(f, from ? from[at].at : at, i - at,
				"a path that is never asked for like this: paths have no //, /./ "
				"and /../. Write it without");
		}
		start = i + 1;
	}
	return 0;
}

int path_is_canonical(const char *text, size_t n, struct pattern_fault *f)
{
	if (!path_root(text, n)) {
		pattern_bad(f, 0, n,
			"no absolute path. Start it with ws:/ (the workspace), home:/, tmp:/ or /");
		return 0;
	}
	return check_path(text, n, NULL, f) == 0;
}

/* "repo:/x" and "ws:x": a root that is none would be text that no path ever equals. */
static int check_root_spelling(struct compiler *c, const char *s, size_t n)
{
	size_t i = 0;

	if (n >= 2 && s[0] == '~' && s[1] == '/')
		return pattern_bad(c->fault, 0, 2,
			"~ has no meaning here. Write home:/ (or [~]/ to match the text itself)");
	if ((n >= 2 && s[0] == '.' && s[1] == '/') ||
		(n >= 3 && s[0] == '.' && s[1] == '.' && s[2] == '/'))
		return pattern_bad(c->fault, 0, 2,
			"a relative path. Write ws:/ for the workspace (or [.]/ to match the text "
			"itself)");
	while (i < n && i < 12 && s[i] >= 'a' && s[i] <= 'z')
		i++;
	if (i < 2 || i + 1 >= n || s[i] != ':')
		return 0;
	if (s[i + 1] == '/' && !(i + 2 < n && s[i + 2] == '/'))
		return pattern_bad(c->fault, 0, i + 2,
			"a root that does not exist. Roots are ws:/ home:/ tmp:/ and /");
	if ((i == 2 && memcmp(s, "ws", 2) == 0) || (i == 4 && memcmp(s, "home", 4) == 0) ||
		(i == 3 && memcmp(s, "tmp", 3) == 0))
		return pattern_bad(
			c->fault, 0, i + 1, "a root without its slash. Write %.*s:/", (int)i, s);
	return 0;
}

static int class_compile(
	struct compiler *c, const char *s, size_t n, size_t at, struct char_class *out)
{
	size_t i = 0, len;
	struct range *r = arena_array(c->arena, n, sizeof *r);

	if (!r)
		return pattern_no_memory(c->fault);
	*out = (struct char_class){.range = r};
	if (n && s[0] == '!') {
		out->negated = 1;
		i = 1;
	}
	while (i < n) {
		len = utf8_decode(s + i, n - i, &r->lo);
		i += len;
		r->hi = r->lo;
		if (i + 1 < n && s[i] == '-') {
			i++;
			i += utf8_decode(s + i, n - i, &r->hi);
		}
		if (r->hi < r->lo)
			return pattern_bad(c->fault, at, n + 2,
				"a range that is written backwards. Write the smaller character "
				"first");
		if (c->separator && r->lo <= (unsigned char)c->separator &&
			r->hi >= (unsigned char)c->separator && !out->negated)
			return pattern_bad(c->fault, at, n + 2,
				"a %c between brackets, which never stand for a separator. Write "
				"the %c outside of them",
				c->separator, c->separator);
		r++;
		out->count++;
	}
	return 0;
}

struct builder {
	struct glob *g;
	uint32_t *tok; /* all tokens, literal ones too */
	size_t count, classes;
};

static int after_separator(const struct builder *b)
{
	return b->count > 0 && (b->tok[b->count - 1] == '/' || b->tok[b->count - 1] == TOK_INDIR);
}

/* Two stars that meet only because braces were multiplied out are two single stars. */
static void add_stars(struct compiler *c, struct builder *b, const char *s, size_t n,
	const struct pbyte *from, size_t *i)
{
	size_t run = 0;

	while (*i < n && s[*i] == '*' && (!run || from[*i].at == from[*i - 1].at + 1)) {
		run++;
		++*i;
	}
	if (c->separator && run == 1) {
		b->tok[b->count++] = TOK_STAR;
	} else if (c->separator == '/' && run == 2 && *i < n && s[*i] == '/' &&
		   after_separator(b)) {
		b->tok[b->count++] = TOK_DIRS;
		b->tok[b->count++] = TOK_INDIR;
		++*i;
	} else {
		b->tok[b->count++] = TOK_CROSS;
	}
}

static int tokenise(
	struct compiler *c, struct builder *b, const char *s, size_t n, const struct pbyte *from)
{
	size_t i = 0;

	while (i < n) {
		uint32_t cp;

		if (s[i] == '*') {
			add_stars(c, b, s, n, from, &i);
		} else if (s[i] == '?') {
			b->tok[b->count++] = TOK_ANYCHAR;
			i++;
		} else if (s[i] == '[') {
			const char *end = memchr(s + i, ']', n - i);
			size_t len = (size_t)(end - (s + i)) - 1;

			if (class_compile(c, s + i + 1, len, from[i].at, b->g->class + b->classes))
				return -1;
			b->tok[b->count++] = (uint32_t)(TOK_CLASS + b->classes++);
			i += len + 2;
		} else {
			if (s[i] == '\\')
				i++;
			i += utf8_decode(s + i, n - i, &cp);
			b->tok[b->count++] = cp;
		}
	}
	return 0;
}

/* The literal tokens from..to as bytes. */
static int literal(struct arena *a, const uint32_t *tok, size_t from, size_t to, struct span *out)
{
	char four[4], *s;
	size_t i, at = 0;

	for (i = from; i < to; i++)
		at += utf8_encode(four, tok[i]);
	s = arena_alloc(a, at + 1);
	for (i = from, at = 0; s && i < to; i++)
		at += utf8_encode(s + at, tok[i]);
	*out = (struct span){s, at};
	return s ? 0 : -1;
}

static size_t literal_run(const struct builder *b, size_t from)
{
	size_t i = from;

	while (i < b->count && b->tok[i] < TOK_ANYCHAR)
		i++;
	return i;
}

static void glob_needs(struct glob *g)
{
	struct pattern_needs *needs = &g->needs;
	size_t i;

	memset(&needs->head_mask, 0xff,
		g->prefix.n < sizeof needs->head ? g->prefix.n : sizeof needs->head);
	needs->head = head_of(g->prefix.p, g->prefix.n);
	pairs_add(needs->pairs, g->prefix.p, g->prefix.n);
	pairs_add(needs->pairs, g->suffix.p, g->suffix.n);
	for (i = 0; i < g->runs; i++)
		pairs_add(needs->pairs, g->run[i].p, g->run[i].n);
}

/* The literals between the tokens head..tail, neither of which is one. */
static int glob_runs(struct compiler *c, const struct builder *b, size_t head, size_t tail)
{
	struct glob *g = b->g;
	size_t i, end;

	g->run = arena_array(c->arena, (tail - head) / 2, sizeof *g->run);
	if (!g->run)
		return -1;
	g->form = head == tail ? GLOB_EXACT : GLOB_ORDER;
	for (i = head; i < tail; i = end) {
		end = literal_run(b, i);
		if (end > i) {
			if (literal(c->arena, b->tok, i, end, &g->run[g->runs++]))
				return -1;
		} else if (b->tok[end++] != TOK_CROSS) {
			g->form = GLOB_WALK;
		}
	}
	return 0;
}

static int glob_finish(struct compiler *c, struct builder *b)
{
	size_t head = literal_run(b, 0), tail = b->count;
	struct glob *g = b->g;

	while (tail > head && b->tok[tail - 1] < TOK_ANYCHAR)
		tail--;
	g->separator = c->separator;
	g->count = b->count - head;
	g->tok = arena_array(c->arena, g->count, sizeof *g->tok);
	if (!g->tok || literal(c->arena, b->tok, 0, head, &g->prefix) ||
		literal(c->arena, b->tok, tail, b->count, &g->suffix) ||
		glob_runs(c, b, head, tail))
		return pattern_no_memory(c->fault);
	if (g->count)
		memcpy(g->tok, b->tok + head, g->count * sizeof *g->tok);
	glob_needs(g);
	return 0;
}

static int alternative(struct compiler *c, const struct pbyte *from, size_t n)
{
	SCRATCH uint32_t tok[PATTERN_MAX];
	SCRATCH char s[PATTERN_MAX];
	struct builder b = {.g = c->glob + c->count, .tok = tok};
	size_t i, classes = 0;
	int is_path;

	for (i = 0; i < n; i++) {
		s[i] = from[i].c;
		classes += s[i] == '[';
	}
	is_path = c->kind == PATTERN_PATH || (c->kind == PATTERN_VALUE && path_root(s, n) > 0);
	if (c->count > 0 && is_path != c->is_path)
		return pattern_bad(c->fault, 0, c->n,
			"some alternatives are paths and others are not. Write them as rules of "
			"their own");
	c->is_path = is_path;
	c->separator = is_path || c->kind == PATTERN_URLPATH ? '/'
		       : c->kind == PATTERN_HOST             ? '.'
							     : 0;
	if (c->kind == PATTERN_PATH && !path_root(s, n))
		return pattern_bad(c->fault, 0, c->n,
			"no absolute path. Start it with ws:/ (the workspace), home:/, tmp:/ or /");
	if (is_path ? check_path(s, n, from, c->fault)
		    : c->kind == PATTERN_VALUE && check_root_spelling(c, s, n))
		return -1;
	b.g->class = arena_array(c->arena, classes, sizeof *b.g->class);
	if (!b.g->class)
		return pattern_no_memory(c->fault);
	if (tokenise(c, &b, s, n, from) || glob_finish(c, &b))
		return -1;
	c->count++;
	return 0;
}

/* Index behind a class or an escape at i, or behind the one byte. */
static size_t element_end(const struct pbyte *p, size_t n, size_t i)
{
	if (p[i].c == '\\' && i + 1 < n)
		return i + 2;
	if (p[i].c != '[')
		return i + 1;
	while (i < n && p[i].c != ']')
		i++;
	return i + 1;
}

/* Multiplies the leftmost braces out. */
static int expand(struct compiler *c, const struct pbyte *p, size_t n)
{
	struct pbyte out[PATTERN_MAX] = {0};
	size_t open = 0, i, start, end, depth = 0;

	while (open < n && p[open].c != '{')
		open = element_end(p, n, open);
	if (open >= n)
		return alternative(c, p, n);
	for (end = open; end < n; end = element_end(p, n, end)) {
		if (p[end].c == '{')
			depth++;
		if (p[end].c == '}' && --depth == 0)
			break;
	}
	memcpy(out, p, open * sizeof *p);
	start = open + 1;
	for (i = start; i <= end && end < n; i = element_end(p, n, i)) {
		if (p[i].c == '{')
			depth++;
		if (i < end && p[i].c == '}')
			depth--;
		if (depth == 0 && (p[i].c == ',' || i == end)) {
			memcpy(out + open, p + start, (i - start) * sizeof *p);
			memcpy(out + open + (i - start), p + end + 1, (n - end - 1) * sizeof *p);
			if (expand(c, out, open + (i - start) + (n - end - 1)))
				return -1;
			start = i + 1;
		}
	}
	return 0;
}

/* `**` outside of paths: a person who writes it means a path. */
static int check_crossing(struct compiler *c)
{
	size_t i;

	for (i = 0; !c->separator && i + 1 < c->n; i++) {
		if (c->src[i] == '\\')
			i++;
		else if (c->src[i] == '*' && c->src[i + 1] == '*')
			return pattern_bad(c->fault, i, 2,
				"** has a meaning in paths only, and a path starts with ws:/ "
				"home:/ tmp:/ or /. Write ws:/**/…, or one * for any text");
	}
	return 0;
}

int pattern_compile(struct arena *a, enum pattern_kind kind, const char *text, size_t n,
	struct pattern *out, struct pattern_fault *f)
{
	struct compiler c = {.arena = a, .kind = kind, .src = text, .n = n, .fault = f};
	SCRATCH struct pbyte p[PATTERN_MAX];
	size_t i = 0;

	if (n == 0)
		return pattern_bad(
			f, 0, 0, "an empty pattern. Write what it shall match, * for anything");
	if (n > PATTERN_MAX)
		return pattern_bad(
			f, 0, 40, "a pattern of more than 1024 bytes. Write more, shorter rules");
	if (scan_sequence(&c, &i, 0, &c.alternatives) || scan_counts(&c))
		return -1;
	for (i = 0; i < n; i++)
		p[i] = (struct pbyte){(uint16_t)i, text[i]};
	c.glob = arena_array(a, c.alternatives, sizeof *c.glob);
	if (!c.glob)
		return pattern_no_memory(f);
	if (expand(&c, p, n) || check_crossing(&c))
		return -1;
	*out = (struct pattern){
		c.is_path, c.kind == PATTERN_HOST, c.glob[0].needs, 0, c.count, c.glob};
	if (c.count == 1 && c.kind == PATTERN_NAME && c.glob[0].form == GLOB_EXACT &&
		c.glob[0].prefix.n <= sizeof out->needs.head)
		out->whole = c.glob[0].prefix.n;
	for (i = 1; i < c.count; i++)
		needs_common(&out->needs, &c.glob[i].needs);
	return 0;
}

/* ---- the language ---- */

/* The words between lo and hi, both of n bytes and of one UTF-8 length. */
static const struct re *re_same_length(
	struct arena *a, const unsigned char *lo, const unsigned char *hi, size_t n)
{
	static const unsigned char least[4] = {0x80, 0x80, 0x80, 0x80};
	static const unsigned char most[4] = {0xbf, 0xbf, 0xbf, 0xbf};
	const struct re *r;

	if (n == 1)
		return re_range(a, lo[0], hi[0]);
	if (lo[0] == hi[0])
		return re_cat(a, re_text(a, lo, 1), re_same_length(a, lo + 1, hi + 1, n - 1));
	/* The first lead byte from lo on, the last up to hi, those between with anything. */
	r = re_cat(a, re_text(a, lo, 1), re_same_length(a, lo + 1, most, n - 1));
	r = re_alt(a, r, re_cat(a, re_text(a, hi, 1), re_same_length(a, least, hi + 1, n - 1)));
	if (hi[0] - lo[0] > 1)
		r = re_alt(a, r,
			re_cat(a, re_range(a, lo[0] + 1u, hi[0] - 1u),
				re_same_length(a, least, most, n - 1)));
	return r;
}

static const struct re *re_codepoints(struct arena *a, uint32_t lo, uint32_t hi)
{
	static const uint32_t last[4] = {0x7f, 0x7ff, 0xffff, 0x10ffff};
	const struct re *r = re_none(a);
	char from[4], to[4];

	for (size_t i = 0; i < 4 && lo <= hi; i++) {
		uint32_t end = hi < last[i] ? hi : last[i];

		if (lo > last[i])
			continue;
		utf8_encode(from, lo);
		utf8_encode(to, end);
		r = re_alt(a, r,
			re_same_length(
				a, (const unsigned char *)from, (const unsigned char *)to, i + 1));
		lo = end + 1;
	}
	return r;
}

/* Characters of sorted ranges, or all others; never NUL, never the separator. */
static const struct re *re_class(struct arena *a, const struct char_class *k, char separator)
{
	const struct re *r = re_none(a);
	uint32_t at = 1;

	while (at <= 0x10ffff) {
		uint32_t next = 0x110000, stop = 0x110000;
		int inside = k->negated;

		/* The state of `at`, and the next code point where it may change. */
		for (size_t i = 0; i < k->count; i++) {
			if (at >= k->range[i].lo && at <= k->range[i].hi) {
				inside = !k->negated;
				stop = k->range[i].hi + 1;
			} else if (k->range[i].lo > at && k->range[i].lo < stop) {
				stop = k->range[i].lo;
			}
		}
		next = stop;
		if (separator && at < (unsigned char)separator && next > (unsigned char)separator)
			next = (unsigned char)separator;
		if (separator && at == (unsigned char)separator) {
			next = at + 1;
			inside = 0;
		}
		if (inside)
			r = re_alt(a, r, re_codepoints(a, at, next - 1));
		at = next;
	}
	return r;
}

static const struct re *re_any(struct arena *a, char separator)
{
	struct byteset s = {{0}};

	byteset_range(&s, 1, 255);
	if (separator)
		s.w[(unsigned char)separator >> 6] &=
			~(UINT64_C(1) << ((unsigned char)separator & 63));
	return re_set(a, &s);
}

static const struct re *token_re(struct arena *a, const struct glob *g, uint32_t t, int host)
{
	static const struct char_class all = {.negated = 1};
	const struct re *label = re_any(a, g->separator), *any = re_any(a, 0);
	char four[4];

	if (t < TOK_ANYCHAR)
		return re_text(a, four, utf8_encode(four, t));
	if (t == TOK_ANYCHAR)
		return re_class(a, &all, g->separator);
	if (t == TOK_STAR)
		return host ? re_plus(a, label) : re_star(a, label);
	if (t == TOK_CROSS && host)
		return re_cat(a, re_plus(a, label),
			re_star(a, re_cat(a, re_text(a, ".", 1), re_plus(a, label))));
	if (t == TOK_CROSS)
		return re_star(a, any);
	if (t == TOK_DIRS)
		return re_opt(a, re_cat(a, re_star(a, any), re_text(a, "/", 1)));
	if (t == TOK_INDIR)
		return re_empty(a); /* a part of TOK_DIRS */
	return re_class(a, g->class + (t - TOK_CLASS), g->separator);
}

const struct re *pattern_re_of(struct arena *a, const struct pattern *p, size_t i)
{
	const struct glob *g = &p->glob[i];
	const struct re *r = re_empty(a);

	for (size_t t = g->count; t > 0; t--)
		r = re_cat(a, token_re(a, g, g->tok[t - 1], p->is_host), r);
	return re_cat(a, re_text(a, g->prefix.p, g->prefix.n), r);
}

const struct re *pattern_re(struct arena *a, const struct pattern *p)
{
	const struct re *all = re_none(a);

	for (size_t i = 0; i < p->count; i++)
		all = re_alt(a, all, pattern_re_of(a, p, i));
	return all;
}

size_t pattern_alternatives(const struct pattern *p)
{
	return p->count;
}

size_t pattern_literal(const struct pattern *p, size_t i)
{
	return p->glob[i].prefix.n;
}

static int is_tree(const struct glob *g)
{
	return g->form == GLOB_ORDER && g->runs == 0 && g->suffix.n == 0;
}

int pattern_is_tree(const struct pattern *p, size_t i)
{
	return is_tree(&p->glob[i]);
}

/* ---- matching ---- */

#define SET_WORDS ((PATTERN_MAX + 1 + 63) / 64)

/* Adds state i, and the states that are reached from it without reading anything. */
static void set_add(uint64_t *set, const struct glob *g, size_t i)
{
	for (;;) {
		set[i / 64] |= UINT64_C(1) << (i % 64);
		if (i == g->count)
			return;
		if (g->tok[i] == TOK_STAR || g->tok[i] == TOK_CROSS)
			i += 1;
		else if (g->tok[i] == TOK_DIRS)
			i += 2;
		else
			return;
	}
}

static int class_has(const struct char_class *k, uint32_t cp)
{
	size_t i;

	for (i = 0; i < k->count; i++) {
		if (cp >= k->range[i].lo && cp <= k->range[i].hi)
			return !k->negated;
	}
	return k->negated;
}

static void step(const struct glob *g, size_t i, uint32_t cp, uint64_t *next)
{
	uint32_t t;
	int separator = g->separator && cp == (unsigned char)g->separator;

	if (i == g->count)
		return;
	t = g->tok[i];
	if (t < TOK_ANYCHAR) {
		if (t == cp)
			set_add(next, g, i + 1);
	} else if (t == TOK_CROSS) {
		set_add(next, g, i);
	} else if (t == TOK_STAR) {
		if (!separator)
			set_add(next, g, i);
	} else if (t == TOK_DIRS || t == TOK_INDIR) {
		size_t dirs = t == TOK_DIRS ? i : i - 1;

		set_add(next, g, separator ? dirs : dirs + 1);
	} else if (!separator && (t == TOK_ANYCHAR || class_has(g->class + (t - TOK_CLASS), cp))) {
		set_add(next, g, i + 1);
	}
}

static int walk(const struct glob *g, const char *s, size_t n)
{
	SCRATCH uint64_t a[SET_WORDS], b[SET_WORDS];
	uint64_t *now = a, *next = b, *swap, any;
	size_t words = g->count / 64 + 1, i = 0, w;
	uint32_t cp = 0;

	memset(now, 0, words * sizeof *now);
	set_add(now, g, 0);
	while (i < n) {
		size_t len = utf8_decode(s + i, n - i, &cp);

		i += len ? len : 1;
		memset(next, 0, words * sizeof *next);
		for (w = 0, any = 0; w < words; w++) {
			uint64_t bits = now[w];

			any |= bits;
			for (; bits; bits &= bits - 1)
				step(g, w * 64 + (size_t)__builtin_ctzll(bits), cp, next);
		}
		if (!any)
			return 0;
		swap = now;
		now = next;
		next = swap;
	}
	return (now[g->count / 64] >> (g->count % 64)) & 1;
}

/* Finds the literals one behind the other, each as early as it comes: no other choice can do more. */
static int has_runs(const struct glob *g, const char *s, size_t n)
{
	const char *end = s + n;
	size_t i;

	for (i = 0; i < g->runs; i++) {
		s = memmem(s, (size_t)(end - s), g->run[i].p, g->run[i].n);
		if (!s)
			return 0;
		s += g->run[i].n;
	}
	return 1;
}

static int glob_match(const struct glob *g, const char *s, size_t n)
{
	size_t prefix = g->prefix.n, suffix = g->suffix.n;

	if (n < prefix || memcmp(s, g->prefix.p, prefix) != 0)
		return 0;
	if (g->form == GLOB_EXACT)
		return n == prefix;
	s += prefix;
	n -= prefix;
	if (n < suffix || memcmp(s + n - suffix, g->suffix.p, suffix) != 0)
		return 0;
	return has_runs(g, s, n - suffix) && (g->form == GLOB_ORDER || walk(g, s, n));
}

int pattern_try(const struct pattern *p, const char *s, size_t n, const struct action_index *index,
	size_t literal, int wide)
{
	size_t i;

	for (i = 0; i < p->count; i++) {
		const struct glob *g = &p->glob[i];

		if (pattern_lacks(&g->needs, index) ||
			(g->prefix.n < literal && (!wide || is_tree(g))))
			continue;
		if (glob_match(g, s, n))
			return 1;
	}
	return 0;
}
