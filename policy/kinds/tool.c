/* Calls of the agent's own tools, in the plain view: a path argument is written as its canonical
 * name, and has no other name.
 *
 *   TOOL NUL (ITEM for each pointer of the shape, see items.h)
 *
 * policy_decide does not use this: it looks at a call's arguments with all their names and readings
 * (policy/rule.c). The view is what policies are compared and proved by; whatever is found by it is
 * asked again of policy_decide before it is shown. */
#include <string.h>

#include "policy/internal.h"
#include "policy/kinds/items.h"

static void tool_pointers(const void *rule, void (*add)(void *ctx, const char *pointer), void *ctx)
{
	const struct match *m = rule;

	items_pointers(m->condition, m->conditions, add, ctx);
}

static const struct re *tool_language(
	struct arena *a, const void *rule, enum side side, const struct shape *shape)
{
	const struct match *m = rule;
	const struct re *name = re_cat(a, pattern_re(a, &m->tool), re_end(a));

	return re_cat(a, name, items_language(a, m->condition, m->conditions, side, shape));
}

/* A text as tools have it: no list and no object in what a reader is shown. */
static const struct re *tool_canonical(struct arena *a, int primary, const struct shape *shape)
{
	const struct re *name = re_cat(a, re_plus(a, re_range(a, 0x21, 0x7e)), re_end(a));

	(void)primary;
	return re_cat(a, name, items_canonical(a, shape, 0));
}

static int tool_show(const struct word *w, const struct shape *shape, char *out, size_t cap)
{
	size_t n = strnlen((const char *)w->p, w->n);

	if (n == w->n || n >= cap)
		return -1;
	memcpy(out, w->p, n + 1);
	return items_show(w->p + n + 1, w->n - n - 1, shape, 0, out, cap, &n);
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
