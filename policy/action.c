/* Canonical actions; see action.h. Everything that a tool call brings is untrusted: it is checked,
 * copied into one piece of memory, sorted, and every value gets the names it has as a path, so that
 * deciding is comparing. */
#include "policy/action.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"
#include "policy/arena.h"
#include "policy/internal.h"
#include "policy/kinds/exec.h"
#include "policy/kinds/file.h"
#include "policy/kinds/http.h"
#include "policy/kinds/net.h"
#include "policy/text.h"

#define NAMES_MAX 8u /* 2 ways x (primary, 2 outer roots, absolute) */

struct action_box { /* the action and the memory it lives in */
	struct action a;
	struct arena arena;
};

struct root {
	const char *name; /* "ws:" */
	const char *path; /* canonical, "" for "/" */
	size_t len;
};

struct mapper {
	int only_words; /* names become words, which have no use for an index */
	struct arena *arena;
	struct root root[3]; /* ws, home, tmp: the order breaks ties */
	const char *cwd; /* canonical absolute path, "" for "/" */
	size_t cwd_len;
};

static int not_canonical(struct error *e, const char *what)
{
	return error_set(e, 0, "not canonical: %s", what);
}

/* ---- paths ---- */

/* 1 when the last component of p[0..n), which begins at its slash at, is a link whose target depends
 * on who looks: no rule may allow a path through it by name, and `..` behind it leads elsewhere. */
static int is_magic(const char *p, size_t at, size_t n)
{
	static const char *const magic[] = {"/root", "/cwd", "/fd", "/exe", "/map_files", "/task"};
	static const char *const devices[] = {"/fd", "/stdin", "/stdout", "/stderr"};
	int dev = at == 4 && memcmp(p, "/dev", 4) == 0;
	const char *const *names = dev ? devices : magic;
	size_t i, count = dev ? ARRAY_LEN(devices) : ARRAY_LEN(magic);

	if (!dev && (at < 6 || memcmp(p, "/proc/", 6) != 0))
		return 0;
	for (i = 0; i < count; i++) {
		if (n - at == strlen(names[i]) && memcmp(p + at, names[i], n - at) == 0)
			return 1;
	}
	return 0;
}

size_t append_components(char *out, size_t at, const char *p, size_t n, int *unknown)
{
	size_t i = 0;

	while (i < n) {
		size_t start, len;

		while (i < n && p[i] == '/')
			i++;
		for (start = i; i < n && p[i] != '/'; i++)
			;
		len = i - start;
		if (len == 0 || (len == 1 && p[start] == '.'))
			continue;
		if (len == 2 && p[start] == '.' && p[start + 1] == '.') {
			while (at > 0 && out[--at] != '/')
				;
			continue;
		}
		out[at] = '/';
		memcpy(out + at + 1, p + start, len);
		if (is_magic(out, at, at + 1 + len))
			*unknown = 1;
		at += 1 + len;
	}
	return at;
}

static int inside(const struct root *r, const char *p, size_t n)
{
	return n >= r->len && memcmp(p, r->path, r->len) == 0 && (n == r->len || p[r->len] == '/');
}

/* The root whose name a path has: the innermost one. NULL: none, it keeps its absolute form. */
static const struct root *root_of(const struct mapper *m, const char *p, size_t n)
{
	const struct root *best = NULL;
	size_t i;

	for (i = 0; i < 3; i++) {
		if (inside(&m->root[i], p, n) && (!best || m->root[i].len > best->len))
			best = &m->root[i];
	}
	return best;
}

/* prefix + rest; "ws:" + "" is "ws:/". */
static int name_add(struct mapper *m, struct action_value *v, struct action_name *names,
	const char *prefix, const char *rest, size_t n, unsigned way, size_t literal)
{
	size_t len = strlen(prefix);
	char *s = arena_alloc(m->arena, len + n + 2);

	if (!s)
		return -1;
	memcpy(s, prefix, len);
	memcpy(s + len, rest, n);
	len += n;
	if (n == 0)
		s[len++] = '/';
	names[v->names] =
		(struct action_name){.text = s, .len = len, .way = way, .literal = literal};
	if (!m->only_words)
		names[v->names].index = text_index(s, len);
	v->names++;
	return 0;
}

/* All names of the canonical absolute path p ("" for "/"). */
static int names_of(struct mapper *m, struct action_value *v, struct action_name *names,
	const char *p, size_t n, unsigned way)
{
	const struct root *own = root_of(m, p, n);
	size_t i;

	if (!own)
		return name_add(m, v, names, "", p, n, way, 0);
	if (name_add(m, v, names, own->name, p + own->len, n - own->len, way, 0))
		return -1;
	for (i = 0; i < 3; i++) {
		const struct root *r = &m->root[i];
		size_t literal = strlen(r->name) + (own->len - r->len);

		if (r == own || !inside(r, p, n))
			continue;
		if (name_add(m, v, names, r->name, p + r->len, n - r->len, way,
			    own->len == r->len ? 0 : literal))
			return -1;
	}
	return name_add(m, v, names, "", p, n, way, own->len);
}

static int resolve(struct mapper *m, struct action_value *v, struct action_name *names,
	const char *base, size_t base_len, const char *p, size_t n, unsigned way)
{
	char *s = arena_alloc(m->arena, base_len + n + 2);
	size_t len;

	if (!s)
		return -1;
	memcpy(s, base, base_len);
	len = append_components(s, base_len, p, n, &v->path_unknown);
	return names_of(m, v, names, s, len, way);
}

static size_t starts(const char *p, size_t n, const char *with)
{
	size_t len = strlen(with);

	return n >= len && memcmp(p, with, len) == 0 ? len : 0;
}

static int is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* A tool may expand what a shell would, or trim blanks: then the same text is another file. */
static int second_reading(struct mapper *m, struct action_value *v, struct action_name *names)
{
	const struct root *home = &m->root[1];
	const char *p = v->text;
	size_t n = v->len, skip;

	if (n > 1 && p[0] == '@' && (p[1] == '~' || p[1] == '$' || is_blank(p[n - 1]))) {
		v->path_unknown = 1;
		return 0;
	}
	if (n > 0 && p[0] == '@') {
		if (n > 1 && p[1] == '/')
			return resolve(m, v, names, "", 0, p + 1, n - 1, 1);
		return resolve(m, v, names, m->cwd, m->cwd_len, p + 1, n - 1, 1);
	}
	skip = starts(p, n, "~");
	if (!skip)
		skip = starts(p, n, "$HOME");
	if (!skip)
		skip = starts(p, n, "${HOME}");
	if (skip && (skip == n || p[skip] == '/'))
		return resolve(m, v, names, home->path, home->len, p + skip, n - skip, 1);
	if (p[0] == '~' || is_blank(p[0]) || (n && is_blank(p[n - 1])) ||
		(n >= 5 && strncasecmp(p, "file:", 5) == 0))
		v->path_unknown = 1;
	return 0;
}

static int value_names(struct mapper *m, struct action_value *v)
{
	struct action_name names[NAMES_MAX], *copy;

	if (v->type == ACTION_EMPTY_OBJECT || v->type == ACTION_EMPTY_ARRAY ||
		v->len > ACTION_PATH_MAX) {
		v->path_unknown = 1;
		return 0;
	}
	if (v->type != ACTION_STRING && v->type != ACTION_NUMBER)
		return 0;
	if (resolve(m, v, names, m->cwd, v->len && v->text[0] == '/' ? 0 : m->cwd_len, v->text,
		    v->len, 0) ||
		second_reading(m, v, names))
		return -1;
	copy = arena_array(m->arena, v->names, sizeof *copy);
	if (!copy)
		return -1;
	memcpy(copy, names, v->names * sizeof *copy);
	v->name = copy;
	return 0;
}

static int place(struct mapper *m, const char *path, const char **out, size_t *len, struct error *e)
{
	size_t n = path ? strlen(path) : 0;
	int unknown = 0;
	char *s;

	if (n == 0 || n > ACTION_PLACE_MAX || path[0] != '/' || !utf8_ok(path, n))
		return not_canonical(e, "a root or working directory that is no absolute path");
	s = arena_alloc(m->arena, n + 2);
	if (!s)
		return error_set(e, 0, "out of memory");
	*len = append_components(s, 0, path, n, &unknown);
	if (unknown)
		return not_canonical(e, "a root or working directory behind a link of /proc");
	s[*len] = 0;
	*out = s;
	return 0;
}

static int mapper_init(struct mapper *m, const struct action_places *p, struct error *e)
{
	m->root[0] = (struct root){"ws:", "", 0};
	m->root[1] = (struct root){"home:", "", 0};
	m->root[2] = (struct root){"tmp:", "", 0};
	m->cwd = "";
	if (place(m, p->ws, &m->root[0].path, &m->root[0].len, e) ||
		place(m, p->home, &m->root[1].path, &m->root[1].len, e) ||
		place(m, p->tmp, &m->root[2].path, &m->root[2].len, e) ||
		place(m, p->cwd, &m->cwd, &m->cwd_len, e))
		return -1;
	return 0;
}

/* ---- the call ---- */

uint32_t action_pointer_hash(const char *p, size_t n)
{
	uint32_t h = 2166136261u;
	size_t i;

	for (i = 0; i < n; i++)
		h = (h ^ (unsigned char)p[i]) * 16777619u;
	return h;
}

int action_pointer_order(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	if (*a == *b)
		return 0;
	if (*a == 0 || *b == 0)
		return *a ? 1 : -1;
	if (*a == '/' || *b == '/')
		return *b == '/' ? 1 : -1;
	return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
}

static int tool_ok(const char *s, size_t n)
{
	size_t i;

	if (n == 0 || n > ACTION_TOOL_MAX)
		return 0;
	for (i = 0; i < n; i++) {
		if (s[i] < 0x21 || s[i] > 0x7e)
			return 0;
	}
	return 1;
}

/* RFC 6901 section 3: "/" first, "~" only in "~0" and "~1". */
static int pointer_ok(const char *s, size_t n)
{
	size_t i;

	if (n == 0 || n > ACTION_POINTER_MAX || s[0] != '/' || !utf8_ok(s, n))
		return 0;
	for (i = 0; i < n; i++) {
		if (s[i] == '~' && (i + 1 == n || (s[i + 1] != '0' && s[i + 1] != '1')))
			return 0;
	}
	return 1;
}

static int arg_text(const struct action_arg *arg, const char **text, size_t *len)
{
	*text = NULL;
	switch (arg->type) {
	case ACTION_STRING:
	case ACTION_NUMBER:
		*text = arg->text ? arg->text : "";
		*len = arg->text ? arg->len : 0;
		return 0;
	case ACTION_TRUE:
		*text = "true";
		break;
	case ACTION_FALSE:
		*text = "false";
		break;
	case ACTION_NULL:
		*text = "null";
		break;
	case ACTION_EMPTY_OBJECT:
		*text = "{}";
		break;
	case ACTION_EMPTY_ARRAY:
		*text = "[]";
		break;
	}
	if (!*text)
		return -1;
	*len = strlen(*text);
	return 0;
}

static int by_pointer(const void *a, const void *b)
{
	return action_pointer_order(((const struct action_value *)a)->pointer,
		((const struct action_value *)b)->pointer);
}

static int value_fill(
	struct arena *arena, const struct action_arg *arg, struct action_value *v, struct error *e)
{
	const char *text;
	size_t len = 0;

	if (!pointer_ok(arg->pointer, arg->pointer_len))
		return not_canonical(e, "an argument whose name is no JSON pointer");
	if (arg_text(arg, &text, &len))
		return not_canonical(e, "an argument of an unknown type");
	if (!utf8_ok(text, len))
		return not_canonical(e, "an argument with a NUL or invalid UTF-8");
	v->type = arg->type;
	v->pointer = arena_copy(arena, arg->pointer, arg->pointer_len);
	v->pointer_len = arg->pointer_len;
	v->pointer_hash = action_pointer_hash(arg->pointer, arg->pointer_len);
	v->text = arena_copy(arena, text, len);
	v->len = len;
	v->index = text_index(text, len);
	if (!v->pointer || !v->text)
		return error_set(e, 0, "out of memory");
	return 0;
}

/* Two values at one place, or a value where another value has children: no JSON text is like that.
 * `/` sorts before every other character, so children stand right behind their parent. */
static int check_unique(const struct action_value *v, size_t n, struct error *e)
{
	size_t i;

	for (i = 1; i < n; i++) {
		size_t len = v[i - 1].pointer_len;

		if (strncmp(v[i].pointer, v[i - 1].pointer, len) != 0)
			continue;
		if (v[i].pointer[len] == 0)
			return not_canonical(e, "two arguments of the same name");
		if (v[i].pointer[len] == '/')
			return not_canonical(e, "an argument that is a value and an object");
	}
	return 0;
}

void hash_number(crypto_hash_sha256_state *h, uint64_t n)
{
	unsigned char b[8];
	int i;

	for (i = 7; i >= 0; i--) {
		b[i] = (unsigned char)n;
		n >>= 8;
	}
	crypto_hash_sha256_update(h, b, sizeof b);
}

static int check_size(const struct action_arg *args, size_t n, struct error *e)
{
	size_t i, total = 0;

	if (n > ACTION_ARGS_MAX)
		return not_canonical(e, "more than 4096 arguments");
	for (i = 0; i < n; i++) {
		size_t len = args[i].text ? args[i].len : 0;

		if (args[i].pointer_len > ACTION_POINTER_MAX || len > ACTION_BYTES_MAX)
			return not_canonical(e, "an argument that is too long");
		total += args[i].pointer_len + len;
		if (total > ACTION_BYTES_MAX)
			return not_canonical(e, "arguments of more than 2 MiB");
	}
	return 0;
}

/* m: NULL when no value is read as a path. */
static int values_fill(struct action_box *box, struct mapper *m, const struct action_arg *args,
	size_t n, struct error *e)
{
	struct action_value *v = arena_array(&box->arena, n, sizeof *v);
	size_t i;

	if (!v)
		return error_set(e, 0, "out of memory");
	for (i = 0; i < n; i++) {
		if (value_fill(&box->arena, &args[i], &v[i], e))
			return -1;
	}
	if (n)
		qsort(v, n, sizeof *v, by_pointer);
	if (check_unique(v, n, e))
		return -1;
	for (i = 0; m && i < n; i++) {
		if (value_names(m, &v[i]))
			return not_canonical(e, "arguments that take too much memory");
	}
	box->a.values = n;
	box->a.value = v;
	return 0;
}

static int box_fill(struct action_box *box, const struct action_places *places, const char *tool,
	size_t tool_len, const struct action_arg *args, size_t n, struct error *e)
{
	struct mapper m = {.arena = &box->arena};
	struct action_name names[NAMES_MAX];
	struct action_value cwd = {.type = ACTION_STRING};

	if (!tool_ok(tool, tool_len))
		return not_canonical(
			e, "a tool name that is empty, too long, or not printable ASCII");
	if (check_size(args, n, e) || mapper_init(&m, places, e))
		return -1;
	if (names_of(&m, &cwd, names, m.cwd, m.cwd_len, 0))
		return error_set(e, 0, "out of memory");
	box->a.kind = ACTION_TOOL;
	box->a.cwd = names[0].text;
	box->a.tool = arena_copy(&box->arena, tool, tool_len);
	box->a.tool_len = tool_len;
	box->a.tool_index = text_index(tool, tool_len);
	if (!box->a.tool)
		return error_set(e, 0, "out of memory");
	if (values_fill(box, &m, args, n, e))
		return -1;
	return 0;
}

int action_from_tool(struct action **out, const struct action_places *places, const char *tool,
	size_t tool_len, const struct action_arg *args, size_t n, struct error *e)
{
	struct action_box *box = calloc(1, sizeof *box);

	*out = NULL;
	if (!box)
		return error_set(e, 0, "out of memory");
	/* Text twice, names at most eight times for the short ones: what 2 MiB of input can need. */
	arena_init(&box->arena, 64u << 20);
	if (box_fill(box, places, tool, tool_len, args, n, e)) {
		action_free(&box->a);
		return -1;
	}
	*out = &box->a;
	return 0;
}

/* ---- actions of other kinds: made of words ---- */

static struct action_box *box_new(enum action_kind kind, struct error *e)
{
	struct action_box *box = calloc(1, sizeof *box);

	if (box) {
		arena_init(&box->arena, 1u << 20);
		box->a.kind = kind;
		box->a.cwd = box->a.tool = "";
	} else {
		error_set(e, 0, "out of memory");
	}
	return box;
}

/* The first word, and the alias that follows from it. */
static int box_words(struct action_box *box, const struct word *w)
{
	const struct kind *k = kind_of(box->a.kind);
	struct word *copy = arena_array(&box->arena, 2, sizeof *copy);
	int aliases;

	if (!copy)
		return -1;
	copy[0] = (struct word){
		(const unsigned char *)arena_copy(&box->arena, (const char *)w->p, w->n), w->n};
	if (!copy[0].p)
		return -1;
	aliases = k && k->alias ? k->alias(&box->arena, w, &copy[1]) : 0;
	if (aliases < 0)
		return -1;
	box->a.words = 1 + (size_t)aliases;
	box->a.word = copy;
	return 0;
}

struct action *action_of_word(enum action_kind kind, const struct word *w)
{
	struct action_box *box = box_new(kind, NULL);

	if (box && box_words(box, w)) {
		action_free(&box->a);
		return NULL;
	}
	return box ? &box->a : NULL;
}

static int file_words(struct action_box *box, const struct action_places *places, char op,
	const char *path, size_t n, struct error *e)
{
	struct mapper m = {.arena = &box->arena, .only_words = 1};
	struct action_name names[NAMES_MAX];
	struct action_value v = {.type = ACTION_STRING};
	struct word *w = arena_array(&box->arena, NAMES_MAX, sizeof *w);
	char *canonical = arena_alloc(&box->arena, n + 2);
	size_t len;

	if (!w || !canonical)
		return error_set(e, 0, "out of memory");
	if (mapper_init(&m, places, e))
		return -1;
	len = append_components(canonical, 0, path, n, &v.path_unknown);
	if (len != (n == 1 ? 0 : n))
		return not_canonical(e, "a path with //, /./ or /../ in it");
	if (names_of(&m, &v, names, canonical, len, 0))
		return error_set(e, 0, "out of memory");
	if (v.path_unknown)
		return not_canonical(e, "a path whose file depends on who looks");
	for (size_t i = 0; i < v.names; i++) {
		if (file_word(&box->arena, op, i > 0, names[i].literal, names[i].text, names[i].len,
			    &w[i]))
			return error_set(e, 0, "out of memory");
	}
	box->a.words = v.names;
	box->a.word = w;
	return 0;
}

int action_from_file(struct action **out, const struct action_places *places, char op,
	const char *path, size_t n, struct error *e)
{
	struct action_box *box;

	*out = NULL;
	if (op == 0 || !strchr(FILE_OPS, op))
		return not_canonical(e, "an operation that is none of r w d m a");
	if (n == 0 || n > ACTION_PATH_MAX || path[0] != '/' || !utf8_ok(path, n))
		return not_canonical(e, "a path that is not absolute, too long, or no UTF-8");
	box = box_new(ACTION_FILE, e);
	if (!box)
		return -1;
	if (file_words(box, places, op, path, n, e)) {
		action_free(&box->a);
		return -1;
	}
	*out = &box->a;
	return 0;
}

/* ---- starts of programs ---- */

struct program_name {
	struct span text;
	char class;
};

static struct span base_name(struct span path)
{
	const char *slash = path.n ? memrchr(path.p, '/', path.n) : NULL;

	return slash ? (struct span){slash + 1, path.n - (size_t)(slash + 1 - path.p)} : path;
}

static int same_text(struct span x, struct span y)
{
	return x.n == y.n && memcmp(x.p, y.p, x.n) == 0;
}

/* What argv[0] calls the program; the dash of a login shell is no part of it. */
static struct span called(const struct action_exec *x)
{
	struct span name = base_name(x->argv[0]);

	if (name.n > 1 && name.p[0] == '-')
		name = (struct span){name.p + 1, name.n - 1};
	return name;
}

static char program_class(const struct action_exec *x)
{
	struct span name = called(x);

	if (x->invoked_writable)
		return EXEC_WRITABLE;
	if (x->file_writable) /* a path that says less than it seems to */
		return EXEC_RENAMED;
	return same_text(name, base_name(x->invoked)) || same_text(name, base_name(x->file))
		       ? EXEC_TRUSTED
		       : EXEC_RENAMED;
}

/* All names of one of the two paths; the first of `invoked` is the program's own. */
static int path_names(struct mapper *m, struct span path, char class, struct program_name *out,
	size_t *n, struct error *e)
{
	struct action_name names[NAMES_MAX];
	struct action_value v = {.type = ACTION_STRING};
	char *s = arena_alloc(m->arena, path.n + 2);
	size_t len;

	if (!s)
		return error_set(e, 0, "out of memory");
	len = append_components(s, 0, path.p, path.n, &v.path_unknown);
	if (len != path.n || v.path_unknown)
		return not_canonical(e, "a program's path that is not resolved");
	if (names_of(m, &v, names, s, len, 0))
		return error_set(e, 0, "out of memory");
	for (size_t i = 0; i < v.names; i++)
		out[(*n)++] = (struct program_name){
			{names[i].text, names[i].len}, i == 0 ? class : EXEC_ALIAS};
	return 0;
}

static int program_names(struct mapper *m, const struct action_exec *x, struct program_name *out,
	size_t *n, struct error *e)
{
	struct span name = called(x);
	char *alias;

	*n = 0;
	if (path_names(m, x->invoked, program_class(x), out, n, e))
		return -1;
	if (!same_text(x->file, x->invoked) && path_names(m, x->file, EXEC_ALIAS, out, n, e))
		return -1;
	if (name.n == 0 || same_text(name, base_name(x->invoked)) ||
		same_text(name, base_name(x->file)))
		return 0;
	alias = arena_alloc(m->arena, name.n + 2);
	if (!alias)
		return error_set(e, 0, "out of memory");
	memcpy(alias, "?/", 2);
	memcpy(alias + 2, name.p, name.n);
	out[(*n)++] = (struct program_name){{alias, name.n + 2}, EXEC_ALIAS};
	return 0;
}

/* What an argument is as a path. scratch has room for the working directory and the argument. */
static char argument_class(const struct mapper *m, struct span s, char *scratch)
{
	const struct root *home = &m->root[1];
	char class = exec_text_class(s.p, s.n);
	int unknown = 0, tilde;
	size_t len = 0;

	if (class)
		return class;
	tilde = s.p[0] == '~';
	if (tilde && s.n > 1 && s.p[1] != '/')
		return EXEC_UNKNOWN;
	if (tilde) {
		len = home->len;
		memcpy(scratch, home->path, len);
	} else if (s.p[0] != '/') {
		len = m->cwd_len;
		memcpy(scratch, m->cwd, len);
	}
	len = append_components(scratch, len, s.p + tilde, s.n - (size_t)tilde, &unknown);
	if (unknown)
		return EXEC_UNKNOWN;
	if (root_of(m, scratch, len) == &m->root[0])
		return EXEC_INSIDE;
	return memchr(s.p, '/', s.n) || s.p[0] == '.' || tilde ? EXEC_OUTSIDE : EXEC_WORD;
}

static int check_exec(const struct action_exec *x, size_t *bytes, struct error *e)
{
	const struct span *paths[] = {&x->invoked, &x->file};

	*bytes = 0;
	for (size_t i = 0; i < 2; i++) {
		if (paths[i]->n < 2 || paths[i]->n > ACTION_PATH_MAX || paths[i]->p[0] != '/' ||
			!utf8_ok(paths[i]->p, paths[i]->n))
			return not_canonical(
				e, "a program's path that is not absolute, too long, or no UTF-8");
	}
	if (x->argc == 0)
		return not_canonical(e, "a program without argv[0]");
	if (x->argc > ACTION_EXEC_ARGS_MAX)
		return not_canonical(e, "more than 65536 arguments");
	for (size_t i = 0; i < x->argc; i++) {
		if (x->argv[i].n > ACTION_BYTES_MAX - *bytes)
			return not_canonical(e, "arguments of more than 2 MiB");
		*bytes += x->argv[i].n + 2;
		if (*bytes > ACTION_BYTES_MAX)
			return not_canonical(e, "arguments of more than 2 MiB");
		if (x->argv[i].n && !utf8_ok(x->argv[i].p, x->argv[i].n))
			return not_canonical(e, "an argument with a NUL or invalid UTF-8");
	}
	return 0;
}

static int arguments_word(
	const struct mapper *m, const struct action_exec *x, size_t bytes, struct word_builder *b)
{
	char *scratch = arena_alloc(
		m->arena, bytes + (m->cwd_len > m->root[1].len ? m->cwd_len : m->root[1].len) + 2);

	if (!scratch || word_begin(m->arena, b, bytes + 1))
		return -1;
	for (size_t i = 1; i < x->argc; i++) {
		int unknown = x->unknown && x->unknown[i];

		word_byte(b, unknown ? EXEC_UNKNOWN
				     : (unsigned char)argument_class(m, x->argv[i], scratch));
		word_field(b, x->argv[i].p, x->argv[i].n);
	}
	return 0;
}

static int exec_word(struct arena *a, const struct program_name *name, int pins_hold,
	const struct word_builder *arguments, struct word *out)
{
	struct word_builder b;

	if (word_begin(a, &b, name->text.n + 3 + arguments->n))
		return -1;
	word_byte(&b, pins_hold ? EXEC_HELD : EXEC_CHANGED);
	word_byte(&b, (unsigned char)name->class);
	word_field(&b, name->text.p, name->text.n);
	if (arguments->n)
		memcpy(b.p + b.n, arguments->p, arguments->n);
	*out = (struct word){b.p, b.n + arguments->n};
	return 0;
}

static int exec_words(struct action_box *box, const struct action_places *places,
	const struct action_exec *x, struct error *e)
{
	struct mapper m = {.arena = &box->arena, .only_words = 1};
	struct program_name names[2 * NAMES_MAX + 1];
	struct word_builder arguments;
	size_t n, bytes;
	struct word *w;

	if (check_exec(x, &bytes, e) || mapper_init(&m, places, e) ||
		program_names(&m, x, names, &n, e))
		return -1;
	w = arena_array(&box->arena, n, sizeof *w);
	if (!w || arguments_word(&m, x, bytes, &arguments))
		return error_set(e, 0, "out of memory");
	for (size_t i = 0; i < n; i++) {
		if (exec_word(&box->arena, &names[i], x->pins_hold, &arguments, &w[i]))
			return error_set(e, 0, "out of memory");
	}
	box->a.words = n;
	box->a.word = w;
	return 0;
}

/* What an answer is bound to beyond the first word: a program may listen to the whole of argv[0], and
 * its file does not follow from its name. */
static int exec_bind(struct action_box *box, const struct action_exec *x)
{
	const struct span *bound[] = {&x->file, &x->argv[0]};
	struct word *w = arena_array(&box->arena, ARRAY_LEN(bound), sizeof *w);

	for (size_t i = 0; w && i < ARRAY_LEN(bound); i++) {
		const char *copy = arena_copy(&box->arena, bound[i]->p, bound[i]->n);

		if (!copy)
			return -1;
		w[i] = (struct word){(const unsigned char *)copy, bound[i]->n};
	}
	box->a.bound = w;
	box->a.bounds = ARRAY_LEN(bound);
	return w ? 0 : -1;
}

int action_from_exec(struct action **out, const struct action_places *places,
	const struct action_exec *exec, struct error *e)
{
	struct action_box *box = box_new(ACTION_EXEC, e);

	*out = NULL;
	if (!box)
		return -1;
	box->arena.max = 64u << 20; /* the arguments once more for each of up to nine names */
	if (exec_words(box, places, exec, e)) {
		action_free(&box->a);
		return -1;
	}
	if (exec_bind(box, exec)) {
		action_free(&box->a);
		return error_set(e, 0, "out of memory");
	}
	*out = &box->a;
	return 0;
}

/* ---- connections ---- */

int action_from_net(struct action **out, const char *host, size_t n, uint16_t port, struct error *e)
{
	struct action_box *box = box_new(ACTION_NET, e);
	struct word_builder b;
	struct word *w;

	*out = NULL;
	if (!box)
		return -1;
	w = arena_alloc(&box->arena, sizeof *w);
	if (!w || word_begin(&box->arena, &b, NET_WORD_MAX)) {
		action_free(&box->a);
		return error_set(e, 0, "out of memory");
	}
	if (port == 0 || net_host_word(&b, host, n)) {
		action_free(&box->a);
		return not_canonical(
			e, port ? "a host that is no name and no address in its usual form"
				: "port 0");
	}
	word_byte(&b, port >> 8);
	word_byte(&b, port & 0xff);
	*w = (struct word){b.p, b.n};
	box->a.words = 1;
	box->a.word = w;
	*out = &box->a;
	return 0;
}

int action_from_http(struct action **out, const struct http_request *r, struct error *e)
{
	const char *why = NULL;
	struct arena a;
	struct word w;

	arena_init(&a, 1u << 20);
	*out = http_word(&a, r, &w, &why) == 0 ? action_of_word(ACTION_HTTP, &w) : NULL;
	arena_free(&a);
	if (*out)
		return 0;
	return why ? not_canonical(e, why) : error_set(e, 0, "out of memory");
}

static int mcp_fill(struct action_box *box, const char *server, size_t server_len, const char *tool,
	size_t tool_len, const struct action_arg *args, size_t n, struct error *e)
{
	char name[ACTION_TOOL_MAX + 2];

	if (server_len > ACTION_TOOL_MAX || server_len + tool_len > ACTION_TOOL_MAX - 1 ||
		!tool_ok(server, server_len) || !tool_ok(tool, tool_len) ||
		memchr(server, '/', server_len) || memchr(tool, '/', tool_len))
		return not_canonical(e,
			"a server or tool that is empty, too long, not printable ASCII, or has a "
			"slash");
	if (check_size(args, n, e))
		return -1;
	memcpy(name, server, server_len);
	name[server_len] = '/';
	memcpy(name + server_len + 1, tool, tool_len);
	box->a.tool_len = server_len + 1 + tool_len;
	box->a.tool = arena_copy(&box->arena, name, box->a.tool_len);
	if (!box->a.tool)
		return error_set(e, 0, "out of memory");
	if (values_fill(box, NULL, args, n, e))
		return -1;
	return 0;
}

int action_from_mcp(struct action **out, const char *server, size_t server_len, const char *tool,
	size_t tool_len, const struct action_arg *args, size_t n, struct error *e)
{
	struct action_box *box = box_new(ACTION_MCP, e);

	*out = NULL;
	if (!box)
		return -1;
	arena_init(&box->arena, 16u << 20);
	if (mcp_fill(box, server, server_len, tool, tool_len, args, n, e)) {
		action_free(&box->a);
		return -1;
	}
	*out = &box->a;
	return 0;
}

void action_free(struct action *a)
{
	struct action_box *box = (struct action_box *)a;

	if (!box)
		return;
	arena_free(&box->arena);
	free(box);
}

/* ---- digests ---- */

static void hash_bytes(crypto_hash_sha256_state *h, const void *p, size_t n)
{
	hash_number(h, n);
	crypto_hash_sha256_update(h, p, n);
}

static void hash_call(crypto_hash_sha256_state *h, const struct action *a)
{
	hash_bytes(h, a->tool, a->tool_len);
	hash_bytes(h, a->cwd, strlen(a->cwd));
	hash_number(h, a->values);
	for (size_t i = 0; i < a->values; i++) {
		const struct action_value *v = &a->value[i];

		hash_bytes(h, v->pointer, v->pointer_len);
		hash_number(h, v->type);
		hash_bytes(h, v->text, v->len);
	}
}

void action_digest(const struct action *a, char out[65])
{
	unsigned char digest[crypto_hash_sha256_BYTES];
	crypto_hash_sha256_state h;

	crypto_hash_sha256_init(&h);
	hash_bytes(&h, "agentd action 1", 15);
	hash_number(&h, a->kind);
	if (a->words) /* aliases follow from the first word and from where the session's roots are */
		hash_bytes(&h, a->word[0].p, a->word[0].n);
	else
		hash_call(&h, a);
	for (size_t i = 0; i < a->bounds; i++)
		hash_bytes(&h, a->bound[i].p, a->bound[i].n);
	crypto_hash_sha256_final(&h, digest);
	sodium_bin2hex(out, 65, digest, sizeof digest);
}

static int put(char *out, size_t cap, const char *prefix, const char *rest, size_t n)
{
	size_t len = strlen(prefix);

	if (len + n + 2 > cap)
		return -1;
	memcpy(out, prefix, len);
	memcpy(out + len, rest, n);
	len += n;
	if (n == 0)
		out[len++] = '/';
	out[len] = 0;
	return 0;
}

static int place_name_in(struct mapper *m, const char *path, char *name, size_t name_cap,
	char *absolute, size_t absolute_cap)
{
	char s[2 * ACTION_PLACE_MAX + 2];
	size_t n = strlen(path), skip = path_root(path, n), len = 0, i;
	const struct root *own;
	int unknown;

	if (skip == 0 || n > ACTION_PLACE_MAX)
		return -1;
	for (i = 0; skip > 1 && i < 3; i++) {
		if (strncmp(path, m->root[i].name, strlen(m->root[i].name)) == 0) {
			len = m->root[i].len;
			memcpy(s, m->root[i].path, len);
		}
	}
	len = append_components(s, len, path + skip, n - skip, &unknown);
	own = root_of(m, s, len);
	if (put(absolute, absolute_cap, "", s, len))
		return -1;
	return put(name, name_cap, own ? own->name : "", s + (own ? own->len : 0),
		len - (own ? own->len : 0));
}

int place_name(const struct action_places *places, const char *path, char *name, size_t name_cap,
	char *absolute, size_t absolute_cap)
{
	struct action_places p = *places;
	struct arena arena;
	struct mapper m = {.arena = &arena};
	int failed;

	p.cwd = "/";
	arena_init(&arena, 1u << 20);
	failed = mapper_init(&m, &p, NULL) ||
		 place_name_in(&m, path, name, name_cap, absolute, absolute_cap);
	arena_free(&arena);
	return failed ? -1 : 0;
}
