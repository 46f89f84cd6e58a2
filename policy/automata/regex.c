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

static struct re *node(struct arena *a, enum re_type type, size_t nodes)
{
	struct re *r = arena_alloc(a, sizeof *r);

	if (r) {
		r->type = type;
		r->nodes = nodes;
	}
	return r;
}

const struct re *re_empty(struct arena *a)
{
	return node(a, RE_EMPTY, 0);
}

const struct re *re_none(struct arena *a)
{
	return node(a, RE_NONE, 1);
}

const struct re *re_set(struct arena *a, const struct byteset *s)
{
	struct re *r;

	if ((s->w[0] | s->w[1] | s->w[2] | s->w[3]) == 0)
		return re_none(a);
	r = node(a, RE_SET, 1);
	if (r)
		r->u.set = *s;
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
	struct re *r;
	char *copy;

	if (n == 0)
		return re_empty(a);
	r = node(a, RE_TEXT, n);
	copy = arena_copy(a, p, n);
	if (!r || !copy)
		return NULL;
	r->u.text.p = (const unsigned char *)copy;
	r->u.text.n = n;
	return r;
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
	r = node(a, RE_CAT, x->nodes + y->nodes);
	if (r) {
		r->u.sub.a = x;
		r->u.sub.b = y;
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
	r = node(a, RE_ALT, x->nodes + y->nodes + 1);
	if (r) {
		r->u.sub.a = x;
		r->u.sub.b = y;
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
	r = node(a, RE_STAR, x->nodes + 1);
	if (r)
		r->u.sub.a = x;
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
