/* The table of kinds, and what several of them use; see kind.h. */
#include "policy/kinds/kind.h"

#include <string.h>

#include "common/cleanup.h"

static const struct kind *const kinds[] = {
	&kind_exec, &kind_file, &kind_net, &kind_http, &kind_mcp};

const struct kind *kind_at(size_t i)
{
	return i < ARRAY_LEN(kinds) ? kinds[i] : NULL;
}

const struct kind *kind_of(enum action_kind id)
{
	for (size_t i = 0; kind_at(i); i++) {
		if (kind_at(i)->id == id)
			return kind_at(i);
	}
	return NULL;
}

const struct kind *kind_named(const char *name, size_t n)
{
	for (size_t i = 0; kind_at(i); i++) {
		if (strlen(kind_at(i)->name) == n && memcmp(kind_at(i)->name, name, n) == 0)
			return kind_at(i);
	}
	return NULL;
}

/* ---- languages ---- */

const struct re *re_number(struct arena *a, size_t n, uint32_t lo, uint32_t hi)
{
	unsigned first = lo >> (8 * (n - 1)) & 0xff, last = hi >> (8 * (n - 1)) & 0xff;
	uint32_t rest = n == 1 ? 0 : UINT32_MAX >> (8 * (5 - n));
	const struct re *r;

	if (lo > hi)
		return re_none(a);
	if (n == 1)
		return re_range(a, first, last);
	if (first == last)
		return re_cat(
			a, re_range(a, first, first), re_number(a, n - 1, lo & rest, hi & rest));
	r = re_cat(a, re_range(a, first, first), re_number(a, n - 1, lo & rest, rest));
	r = re_alt(a, r, re_cat(a, re_range(a, last, last), re_number(a, n - 1, 0, hi & rest)));
	if (last - first > 1)
		r = re_alt(a, r,
			re_cat(a, re_range(a, first + 1, last - 1), re_number(a, n - 1, 0, rest)));
	return r;
}

const struct re *re_end(struct arena *a)
{
	return re_range(a, 0, 0);
}

/* RFC 3629, section 4. */
const struct re *re_char_but(struct arena *a, const char *without)
{
	const struct re *tail = re_range(a, 0x80, 0xbf), *r;
	struct byteset ascii = {{0}}, no = {{0}};

	for (; *without; without++)
		byteset_add(&no, (unsigned char)*without);
	for (unsigned b = 1; b < 0x80; b++) {
		if (!byteset_has(&no, b))
			byteset_add(&ascii, b);
	}
	r = re_alt(a, re_set(a, &ascii), re_cat(a, re_range(a, 0xc2, 0xdf), tail));
	tail = re_cat(a, tail, re_range(a, 0x80, 0xbf));
	r = re_alt(a, r,
		re_cat(a, re_range(a, 0xe0, 0xe0),
			re_cat(a, re_range(a, 0xa0, 0xbf), re_range(a, 0x80, 0xbf))));
	r = re_alt(a, r, re_cat(a, re_range(a, 0xe1, 0xec), tail));
	r = re_alt(a, r,
		re_cat(a, re_range(a, 0xed, 0xed),
			re_cat(a, re_range(a, 0x80, 0x9f), re_range(a, 0x80, 0xbf))));
	r = re_alt(a, r, re_cat(a, re_range(a, 0xee, 0xef), tail));
	r = re_alt(
		a, r, re_cat(a, re_range(a, 0xf0, 0xf0), re_cat(a, re_range(a, 0x90, 0xbf), tail)));
	tail = re_cat(a, re_range(a, 0x80, 0xbf), tail);
	r = re_alt(a, r, re_cat(a, re_range(a, 0xf1, 0xf3), tail));
	tail = re_cat(a, re_range(a, 0x80, 0xbf), re_range(a, 0x80, 0xbf));
	return re_alt(
		a, r, re_cat(a, re_range(a, 0xf4, 0xf4), re_cat(a, re_range(a, 0x80, 0x8f), tail)));
}

const struct re *re_path(struct arena *a)
{
	const struct re *letter = re_char_but(a, "/."), *any = re_char_but(a, "/");
	const struct re *dot = re_text(a, ".", 1), *slash = re_text(a, "/", 1), *name, *root;

	name = re_cat(a, letter, re_star(a, any)); /* x…, .x…, ..?… */
	name = re_alt(a, name, re_cat(a, dot, re_cat(a, letter, re_star(a, any))));
	name = re_alt(a, name, re_cat(a, dot, re_cat(a, dot, re_plus(a, any))));
	root = re_alt(a, re_text(a, "ws:", 3), re_text(a, "home:", 5));
	root = re_opt(a, re_alt(a, root, re_text(a, "tmp:", 4)));
	name = re_cat(a, slash, name);
	return re_cat(a, root, re_alt(a, slash, re_cat(a, name, re_star(a, name))));
}

/* ---- words ---- */

int word_begin(struct arena *a, struct word_builder *b, size_t cap)
{
	*b = (struct word_builder){.p = arena_alloc(a, cap), .cap = cap};
	return b->p ? 0 : -1;
}

void word_byte(struct word_builder *b, unsigned byte)
{
	if (b->n < b->cap)
		b->p[b->n++] = (unsigned char)byte;
}

void word_field(struct word_builder *b, const char *s, size_t n)
{
	size_t room = b->cap - b->n, take = n < room ? n : room;

	if (take)
		memcpy(b->p + b->n, s, take);
	b->n += take;
	word_byte(b, 0);
}
