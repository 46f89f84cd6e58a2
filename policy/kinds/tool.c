/* Calls of the agent's own tools, in the plain view: a path argument is written as its canonical
 * name, and has no other name.
 *
 *   TOOL NUL (ITEM for each pointer of the shape)
 *   ITEM: 'a' there is no such argument · 'o' it is a list or an object · 'v' VALUE NUL
 *
 * policy_decide does not use this: it looks at a call's arguments with all their names and readings
 * (policy/rule.c). The view is what policies are compared and proved by; whatever is found by it is
 * asked again of policy_decide before it is shown. */
#include <stdio.h>
#include <string.h>

#include "policy/internal.h"

static void tool_pointers(const void *rule, void (*add)(void *ctx, const char *pointer), void *ctx)
{
	const struct match *m = rule;

	for (size_t i = 0; i < m->conditions; i++)
		add(ctx, m->condition[i].pointer);
}

static const struct re *any_field(struct arena *a)
{
	return re_cat(a, re_star(a, re_range(a, 1, 255)), re_end(a));
}

static const struct re *any_item(struct arena *a)
{
	const struct re *r = re_alt(a, re_text(a, "a", 1), re_text(a, "o", 1));

	return re_alt(a, r, re_cat(a, re_text(a, "v", 1), any_field(a)));
}

static const struct condition *condition_of(const struct match *m, const char *pointer)
{
	for (size_t i = 0; i < m->conditions; i++) {
		if (strcmp(m->condition[i].pointer, pointer) == 0)
			return &m->condition[i];
	}
	return NULL;
}

static const struct re *item(struct arena *a, const struct condition *c, enum side side)
{
	const struct re *r = re_cat(a, pattern_re(a, &c->value), re_end(a));

	r = re_cat(a, re_text(a, "v", 1), r);
	return side == UPPER ? re_alt(a, r, re_text(a, "o", 1)) : r;
}

static const struct re *tool_language(
	struct arena *a, const void *rule, enum side side, const struct shape *shape)
{
	const struct match *m = rule;
	const struct re *r = re_cat(a, pattern_re(a, &m->tool), re_end(a));

	for (size_t i = 0; i < shape->pointers; i++) {
		const struct condition *c = condition_of(m, shape->pointer[i]);

		r = re_cat(a, r, c ? item(a, c, side) : any_item(a));
	}
	return r;
}

/* A text as tools have it: no control characters in what a reader is shown. */
static const struct re *tool_canonical(struct arena *a, int primary, const struct shape *shape)
{
	const struct re *value = re_cat(a, re_star(a, re_char_but(a, "")), re_end(a)), *r, *one;

	(void)primary;
	r = re_cat(a, re_plus(a, re_range(a, 0x21, 0x7e)), re_end(a));
	one = re_alt(a, re_text(a, "a", 1), re_cat(a, re_text(a, "v", 1), value));
	for (size_t i = 0; i < shape->pointers; i++)
		r = re_cat(a, r, one);
	return r;
}

static int put(char *out, size_t cap, size_t *n, const char *s, size_t len)
{
	if (len >= cap - *n)
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

static int tool_show(const struct word *w, const struct shape *shape, char *out, size_t cap)
{
	const char *p = (const char *)w->p, *end = p + w->n;
	size_t n = 0, len = strnlen(p, w->n), shown = 0;

	if (len == w->n || cap == 0 || put(out, cap, &n, p, len))
		return -1;
	p += len + 1;
	for (size_t i = 0; i < shape->pointers; i++) {
		const char *before = shown ? ", " : " {";

		if (p == end || *p == 'o')
			return -1;
		if (*p++ == 'a')
			continue;
		len = strnlen(p, (size_t)(end - p));
		if (p + len == end || put(out, cap, &n, before, strlen(before)) ||
			put(out, cap, &n, shape->pointer[i], strlen(shape->pointer[i])) ||
			put(out, cap, &n, ": ", 2) || put_value(out, cap, &n, p, len))
			return -1;
		p += len + 1;
		shown++;
	}
	return p == end && (!shown || put(out, cap, &n, "}", 1) == 0) ? 0 : -1;
}

const struct kind kind_tool = {.id = ACTION_TOOL,
	.name = "tool",
	.section = "tools",
	.gated = 1,
	.mechanism = "the agent's hook (it cooperates); the walls hold whatever it does",
	.key = "tool",
	.hint = "`Read` or `Edit {/file_path: ws:/**}`",
	.pointers = tool_pointers,
	.language = tool_language,
	.canonical = tool_canonical,
	.show = tool_show};
