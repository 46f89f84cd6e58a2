/* The arguments of a call, as the kinds tool and mcp have them in their words: one item for each
 * pointer of the shape.
 *
 *   'a' there is no such argument · 'o' it is a list or an object · 'v' VALUE NUL */
#ifndef POLICY_KINDS_ITEMS_H
#define POLICY_KINDS_ITEMS_H

#include "policy/internal.h"

/* What conditions say about all items. A list or an object is what cannot be known: UPPER. */
const struct re *items_language(struct arena *a, const struct condition *c, size_t n,
	enum side side, const struct shape *shape);
/* All items; with objects, also lists and objects. */
const struct re *items_canonical(struct arena *a, const struct shape *shape, int objects);
/* ` {/pointer: "value", …}` of items[0..n) behind *at in out; nothing when all are absent. With
 * objects, these are shown as {}. 0 or -1. */
int items_show(const unsigned char *items, size_t n, const struct shape *shape, int objects,
	char *out, size_t cap, size_t *at);

/* Calls add for the pointers of conditions. */
void items_pointers(const struct condition *c, size_t n,
	void (*add)(void *ctx, const char *pointer), void *ctx);

#endif
