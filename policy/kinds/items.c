/* Arguments of calls in words; see items.h. */
#include "policy/kinds/items.h"

#include <string.h>

void items_pointers(
	const struct condition *c, size_t n, void (*add)(void *ctx, const char *pointer), void *ctx)
{
	for (size_t i = 0; i < n; i++)
		add(ctx, c[i].pointer);
}

/* ---- languages ---- */

static const struct re *any_field(struct arena *a)
{
	return re_cat(a, re_star(a, re_range(a, 1, 255)), re_end(a));
}

static const struct re *any_item(struct arena *a)
{
	const struct re *r = re_alt(a, re_text(a, "a", 1), re_text(a, "o", 1));

	return re_alt(a, r, re_cat(a, re_text(a, "v", 1), any_field(a)));
}

static const struct condition *condition_of(
	const struct condition *c, size_t n, const char *pointer)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(c[i].pointer, pointer) == 0)
			return &c[i];
	}
	return NULL;
}

static const struct re *item(struct arena *a, const struct condition *c, enum side side)
{
	const struct re *r = re_cat(a, pattern_re(a, &c->value), re_end(a));

	r = re_cat(a, re_text(a, "v", 1), r);
	return side == UPPER ? re_alt(a, r, re_text(a, "o", 1)) : r;
}

const struct re *items_language(struct arena *a, const struct condition *c, size_t n,
	enum side side, const struct shape *shape)
{
	const struct re *r = re_empty(a);

	for (size_t i = 0; i < shape->pointers; i++) {
		const struct condition *of = condition_of(c, n, shape->pointer[i]);

		r = re_cat(a, r, of ? item(a, of, side) : any_item(a));
	}
	return r;
}

const struct re *items_canonical(struct arena *a, const struct shape *shape, int objects)
{
	const struct re *value = re_cat(a, re_star(a, re_char_but(a, "")), re_end(a));
	const struct re *one = re_alt(a, re_text(a, "a", 1), re_cat(a, re_text(a, "v", 1), value));
	const struct re *r = re_empty(a);

	if (objects)
		one = re_alt(a, one, re_text(a, "o", 1));
	for (size_t i = 0; i < shape->pointers; i++)
		r = re_cat(a, r, one);
	return r;
}

/* ---- for people ---- */

static int put(char *out, size_t cap, size_t *n, const char *s, size_t len)
{
	if (*n >= cap || len >= cap - *n)
		return -1;
	memcpy(out + *n, s, len);
	*n += len;
	out[*n] = 0;
	return 0;
}

/* One of the quotes that the value does not have; a value with both cannot be written. */
static int put_value(char *out, size_t cap, size_t *n, const char *s, size_t len)
{
	const char *quote = memchr(s, '"', len) ? "'" : "\"";

	if (memchr(s, *quote, len))
		return -1;
	return put(out, cap, n, quote, 1) || put(out, cap, n, s, len) || put(out, cap, n, quote, 1);
}

int items_show(const unsigned char *items, size_t n, const struct shape *shape, int objects,
	char *out, size_t cap, size_t *at)
{
	const char *p = (const char *)items, *end = p + n;
	size_t shown = 0;

	for (size_t i = 0; i < shape->pointers; i++) {
		const char *before = shown ? ", " : " {", *pointer = shape->pointer[i];
		size_t len;

		if (p == end || (*p == 'o' && !objects))
			return -1;
		if (*p == 'a') {
			p++;
			continue;
		}
		if (put(out, cap, at, before, strlen(before)) ||
			put(out, cap, at, pointer, strlen(pointer)) || put(out, cap, at, ": ", 2))
			return -1;
		shown++;
		if (*p++ == 'o') {
			if (put(out, cap, at, "{}", 2))
				return -1;
			continue;
		}
		len = strnlen(p, (size_t)(end - p));
		if (p + len == end || put_value(out, cap, at, p, len))
			return -1;
		p += len + 1;
	}
	return p == end && (!shown || put(out, cap, at, "}", 1) == 0) ? 0 : -1;
}
