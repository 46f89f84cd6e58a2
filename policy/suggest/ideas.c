/* Grouping, and what the kinds have in common; see ideas.h. */
#include "policy/suggest/ideas.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "policy/suggest/token.h"

#define GROUPS_MAX 40u /* of one grouping: the ones that were asked for most */

/* ---- streams ---- */

int writer_open(struct writer *w)
{
	*w = (struct writer){0};
	w->f = open_memstream(&w->p, &w->n);
	return w->f ? 0 : -1;
}

char *writer_close(struct writer *w)
{
	int failed = ferror(w->f);

	if (fclose(w->f) || failed) {
		free(w->p);
		return NULL;
	}
	return w->p;
}

/* ---- names ---- */

void names_add(struct names *s, const char *p, size_t n)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i].n == n && memcmp(s->v[i].p, p, n) == 0)
			return;
	}
	if (s->n < NAMES_MAX)
		s->v[s->n++] = (struct name){p, n};
	s->different++;
}

static int by_name(const void *a, const void *b)
{
	const struct name *x = a, *y = b;
	int d = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);

	return d ? d : (x->n > y->n) - (x->n < y->n);
}

void names_put(FILE *f, struct names *s)
{
	qsort(s->v, s->n, sizeof *s->v, by_name);
	fputs(s->n > 1 ? "{" : "", f);
	for (size_t i = 0; i < s->n; i++) {
		fputs(i ? "," : "", f);
		token_literal(f, s->v[i].p, s->v[i].n);
	}
	fputs(s->n > 1 ? "}" : "", f);
}

int names_endings(FILE *f, const struct names *s)
{
	struct names endings = {0};

	for (size_t i = 0; i < s->n; i++) {
		const char *dot = memrchr(s->v[i].p, '.', s->v[i].n);
		size_t n = dot ? (size_t)(s->v[i].p + s->v[i].n - dot) : 0;

		if (n < 2 || n > 8 || dot == s->v[i].p || s->v[i].p[0] == '.')
			return -1;
		names_add(&endings, dot + 1, n - 1);
	}
	if (s->n == 0 || endings.n > 4)
		return -1;
	fputs("[!.]*.", f);
	names_put(f, &endings);
	return 0;
}

/* ---- paths ---- */

size_t path_parent(const char *s, size_t n)
{
	const char *slash = memrchr(s, '/', n);

	return slash ? (size_t)(slash - s) : 0;
}

int path_put(FILE *f, const char *s, size_t n)
{
	int found = 0;

	for (size_t i = 0; i < n;) {
		const char *slash = memchr(s + i, '/', n - i);
		size_t end = slash ? (size_t)(slash - s) : n;

		found |= token_component(f, s + i, end - i);
		if (slash)
			putc('/', f);
		i = end + 1;
	}
	return found;
}

/* ---- ideas ---- */

static int by_address(const void *a, const void *b)
{
	const struct item *const *x = a, *const *y = b;

	return (*x > *y) - (*x < *y);
}

static int text_ok(const char *text)
{
	size_t n = strlen(text);

	return n && n <= IDEA_TEXT_MAX && token_plain(text, n) && !token_secret(text, n, 1);
}

static int take_texts(struct idea *x, char *text, char *const *except, size_t excepts)
{
	x->text = strdup(text);
	for (; x->excepts < excepts; x->excepts++) {
		x->except[x->excepts] = strdup(except[x->excepts]);
		if (!x->except[x->excepts])
			return -1;
	}
	return x->text ? 0 : -1;
}

static void idea_free(struct idea *x)
{
	free(x->text);
	for (size_t i = 0; i < x->excepts; i++)
		free(x->except[i]);
	free(x->member);
}

static struct idea *idea_new(struct ideas *o)
{
	if (o->n == o->cap) {
		size_t cap = o->cap ? o->cap * 2 : 64;
		struct idea *grown = reallocarray(o->v, cap, sizeof *grown);

		if (!grown)
			return NULL;
		o->v = grown;
		o->cap = cap;
	}
	o->v[o->n] = (struct idea){0};
	return &o->v[o->n];
}

static void keep(
	struct ideas *o, const struct group *g, char *text, char *const *except, size_t excepts)
{
	struct idea *x = idea_new(o);

	if (x)
		x->member = reallocarray(NULL, g->items, sizeof(void *));
	if (!x || !x->member || take_texts(x, text, except, excepts)) {
		if (x)
			idea_free(x);
		o->no_memory = 1;
		return;
	}
	x->kind = g->item[0]->kind;
	x->group = o->groups;
	x->members = g->items;
	memcpy(x->member, g->item, g->items * sizeof(struct item *));
	qsort(x->member, x->members, sizeof(struct item *), by_address);
	o->n++;
}

void idea_add(
	struct ideas *o, const struct group *g, char *text, char *const *except, size_t excepts)
{
	int ok = text != NULL;

	for (size_t i = 0; i < excepts; i++)
		ok = ok && except[i] != NULL;
	if (!ok)
		o->no_memory = 1;
	else if (text_ok(text))
		keep(o, g, text, except, excepts);
	free(text);
	for (size_t i = 0; i < excepts; i++)
		free(except[i]);
}

void ideas_free(struct ideas *o)
{
	for (size_t i = 0; i < o->n; i++)
		idea_free(&o->v[i]);
	free(o->v);
	o->v = NULL;
	o->n = o->cap = 0;
}

/* ---- grouping ---- */

struct keyed {
	char *key;
	const struct item *item;
};

static int by_key(const void *a, const void *b)
{
	const struct keyed *x = a, *y = b;
	int d = strcmp(x->key, y->key);

	return d ? d : strcmp(x->item->text, y->item->text);
}

static size_t make_keys(struct ideas *o, const struct grouping *how, const struct item *item,
	size_t n, struct keyed *out)
{
	size_t made = 0;

	for (size_t i = 0; i < n; i++) {
		struct writer w;
		int fits;

		if (item[i].kind != how->kind)
			continue;
		if (writer_open(&w)) {
			o->no_memory = 1;
			break;
		}
		fits = how->key(o, &item[i], w.f) == 0;
		out[made] = (struct keyed){writer_close(&w), &item[i]};
		if (!out[made].key)
			o->no_memory = 1;
		else if (!fits)
			free(out[made].key);
		else
			made++;
	}
	return made;
}

struct range {
	size_t from, end;
	unsigned prompts, count;
};

static int by_gain(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	if (x->prompts != y->prompts)
		return x->prompts > y->prompts ? -1 : 1;
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return (x->from > y->from) - (x->from < y->from);
}

/* Different sessions that approved any of them. */
static unsigned sessions_of(const struct ideas *o, const struct group *g)
{
	unsigned char *seen = calloc(o->log->sessions + 1, 1);
	unsigned n = 0;

	for (size_t i = 0; seen && i < g->items; i++) {
		FOR_MEETS(o->log, g->item[i]->index, m)
		{
			if (!m->count[SUGGEST_APPROVED] || m->session == o->without ||
				o->log->session[m->session].dropped || seen[m->session])
				continue;
			seen[m->session] = 1;
			n++;
		}
	}
	free(seen);
	return n;
}

static int by_frequency(const void *a, const void *b)
{
	const struct item *const *x = a, *const *y = b;

	if ((*x)->prompts != (*y)->prompts)
		return (*x)->prompts > (*y)->prompts ? -1 : 1;
	if ((*x)->count != (*y)->count)
		return (*x)->count > (*y)->count ? -1 : 1;
	return strcmp((*x)->text, (*y)->text);
}

/* The most frequent of those that alone were seen often enough. room: as large as the group. */
static struct group often_of(const struct ideas *o, const struct group *g, const struct item **room)
{
	struct group often = {.item = room};

	for (size_t i = 0; i < g->items; i++) {
		if (g->item[i]->count >= o->options->least &&
			g->item[i]->sessions >= SUGGEST_SESSIONS)
			room[often.items++] = g->item[i];
	}
	qsort(room, often.items, sizeof(struct item *), by_frequency);
	if (often.items > IDEA_SET_MAX)
		often.items = IDEA_SET_MAX;
	return often;
}

static void make_group(
	struct ideas *o, const struct grouping *how, const struct keyed *k, const struct range *r)
{
	size_t n = r->end - r->from;
	struct group g = {.item = reallocarray(NULL, 2 * n, sizeof(struct item *)),
		.items = n,
		.count = r->count,
		.prompts = r->prompts};

	if (!g.item) {
		o->no_memory = 1;
		return;
	}
	for (size_t i = 0; i < n; i++)
		g.item[i] = k[r->from + i].item;
	g.sessions = sessions_of(o, &g);
	if (g.sessions >= SUGGEST_SESSIONS) {
		const struct group often = often_of(o, &g, g.item + n);

		how->make(o, &g, &often);
		o->groups++;
	}
	free(g.item);
}

static size_t find_ranges(const struct ideas *o, const struct keyed *k, size_t n, struct range *out)
{
	size_t ranges = 0;

	for (size_t i = 0; i < n;) {
		struct range r = {.from = i};

		while (i < n && strcmp(k[i].key, k[r.from].key) == 0) {
			r.prompts += k[i].item->prompts;
			r.count += k[i].item->count;
			i++;
		}
		r.end = i;
		if (r.count >= o->options->least)
			out[ranges++] = r;
	}
	return ranges;
}

static void make_all(
	struct ideas *o, const struct grouping *how, const struct item *item, size_t items)
{
	struct keyed *k = calloc(items + 1, sizeof *k);
	struct range *r = calloc(items + 1, sizeof *r);
	size_t n = 0, ranges = 0;

	if (!k || !r)
		o->no_memory = 1;
	else
		n = make_keys(o, how, item, items, k);
	if (n) {
		qsort(k, n, sizeof *k, by_key);
		ranges = find_ranges(o, k, n, r);
		qsort(r, ranges, sizeof *r, by_gain);
	}
	for (size_t i = 0; i < ranges && i < GROUPS_MAX && !o->no_memory; i++)
		make_group(o, how, k, &r[i]);
	for (size_t i = 0; i < n; i++)
		free(k[i].key);
	free(k);
	free(r);
}

void ideas_make(struct ideas *o, const struct item *item, size_t items)
{
	static const struct grouping *const all[] = {&grouping_exec, &grouping_file, &grouping_host,
		&grouping_http, &grouping_tool, &grouping_tool_shape, &grouping_mcp};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		make_all(o, all[i], item, items);
}
