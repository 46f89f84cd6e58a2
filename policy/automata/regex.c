/* Expressions over bytes; see regex.h. */
#include "policy/automata/regex.h"

#include <string.h>

void byteset_range(struct byteset *s, unsigned lo, unsigned hi)
{
	for (unsigned b = lo; b <= hi && b < 256; b++)
		byteset_add(s, b);
}

struct byteset byteset_not(const struct byteset *s)
{
	return (struct byteset){{~s->w[0], ~s->w[1], ~s->w[2], ~s->w[3]}};
}

static uint32_t mix(uint32_t h, uint32_t x)
{
	h = (h ^ x) * UINT32_C(0x9e3779b1);
	return h ^ h >> 15;
}

static uint32_t hash_words(uint32_t h, const uint64_t *w, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = mix(mix(h, (uint32_t)w[i]), (uint32_t)(w[i] >> 32));
	return h;
}

static struct re *node(struct arena *a, enum re_type type, size_t nodes, unsigned fields)
{
	struct re *r = arena_alloc(a, sizeof *r);

	if (r) {
		r->hash = mix(7, type);
		r->type = type;
		r->nodes = nodes;
		r->fields = fields;
	}
	return r;
}

const struct re *re_empty(struct arena *a)
{
	return node(a, RE_EMPTY, 0, RE_PLAIN | RE_FIELDS);
}

const struct re *re_none(struct arena *a)
{
	return node(a, RE_NONE, 1, RE_PLAIN | RE_FIELD | RE_FIELDS);
}

const struct re *re_set(struct arena *a, const struct byteset *s)
{
	unsigned fields = 0;
	struct re *r;

	if ((s->w[0] | s->w[1] | s->w[2] | s->w[3]) == 0)
		return re_none(a);
	if (!byteset_has(s, 0))
		fields = RE_PLAIN;
	else if (s->w[0] == 1 && (s->w[1] | s->w[2] | s->w[3]) == 0)
		fields = RE_FIELD | RE_FIELDS;
	r = node(a, RE_SET, 1, fields);
	if (r) {
		r->u.set = *s;
		r->hash = hash_words(r->hash, s->w, 4);
	}
	return r;
}

const struct re *re_range(struct arena *a, unsigned lo, unsigned hi)
{
	struct byteset s = {{0}};

	byteset_range(&s, lo, hi);
	return re_set(a, &s);
}

const struct re *re_text(struct arena *a, const void *p, size_t n)
{
	const char *nul = n ? memchr(p, 0, n) : NULL;
	unsigned fields = 0;
	struct re *r;
	char *copy;

	if (n == 0)
		return re_empty(a);
	if (!nul)
		fields = RE_PLAIN;
	else if (nul == (const char *)p + n - 1)
		fields = RE_FIELD | RE_FIELDS;
	r = node(a, RE_TEXT, n, fields);
	copy = arena_copy(a, p, n);
	if (!r || !copy)
		return NULL;
	r->u.text.p = (const unsigned char *)copy;
	r->u.text.n = n;
	for (size_t i = 0; i < n; i++)
		r->hash = mix(r->hash, r->u.text.p[i]);
	return r;
}

static unsigned fields_of_cat(unsigned x, unsigned y)
{
	unsigned fields = x & y & (RE_PLAIN | RE_FIELDS);

	return (x & RE_PLAIN) && (y & RE_FIELD) ? fields | RE_FIELD | RE_FIELDS : fields;
}

const struct re *re_cat(struct arena *a, const struct re *x, const struct re *y)
{
	struct re *r;

	if (!x || !y)
		return NULL;
	if (x->type == RE_EMPTY || y->type == RE_NONE)
		return y;
	if (y->type == RE_EMPTY || x->type == RE_NONE)
		return x;
	r = node(a, RE_CAT, x->nodes + y->nodes, fields_of_cat(x->fields, y->fields));
	if (r) {
		r->u.sub.a = x;
		r->u.sub.b = y;
		r->hash = mix(mix(r->hash, x->hash), y->hash);
	}
	return r;
}

const struct re *re_alt(struct arena *a, const struct re *x, const struct re *y)
{
	struct re *r;

	if (!x || !y)
		return NULL;
	if (x->type == RE_NONE)
		return y;
	if (y->type == RE_NONE)
		return x;
	r = node(a, RE_ALT, x->nodes + y->nodes + 1, x->fields & y->fields);
	if (r) {
		r->u.sub.a = x;
		r->u.sub.b = y;
		r->hash = mix(mix(r->hash, x->hash), y->hash);
	}
	return r;
}

const struct re *re_star(struct arena *a, const struct re *x)
{
	struct re *r;

	if (!x)
		return NULL;
	if (x->type == RE_EMPTY || x->type == RE_NONE)
		return re_empty(a);
	r = node(a, RE_STAR, x->nodes + 1, x->fields & (RE_PLAIN | RE_FIELDS));
	if (r) {
		r->u.sub.a = x;
		r->hash = mix(r->hash, x->hash);
	}
	return r;
}

const struct re *re_opt(struct arena *a, const struct re *x)
{
	return re_alt(a, x, re_empty(a));
}

const struct re *re_plus(struct arena *a, const struct re *x)
{
	return re_cat(a, x, re_star(a, x));
}

int re_same(const struct re *x, const struct re *y)
{
	if (x == y)
		return 1;
	if (x->hash != y->hash || x->type != y->type || x->nodes != y->nodes)
		return 0;
	switch (x->type) {
	case RE_EMPTY:
	case RE_NONE:
		return 1;
	case RE_SET:
		return memcmp(&x->u.set, &y->u.set, sizeof x->u.set) == 0;
	case RE_TEXT:
		return x->u.text.n == y->u.text.n &&
		       memcmp(x->u.text.p, y->u.text.p, x->u.text.n) == 0;
	case RE_CAT:
	case RE_ALT:
		return re_same(x->u.sub.a, y->u.sub.a) && re_same(x->u.sub.b, y->u.sub.b);
	case RE_STAR:
		return re_same(x->u.sub.a, y->u.sub.a);
	}
	return 0;
}
