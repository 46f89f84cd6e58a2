/* Examples for readers; see witness.h. */
#include "policy/witness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/automata/words.h"

#define SHOWN_MAX 4096u
#define TRIES     24

/* What a reader likes: letters, then digits, then what names and commands are made of. */
static unsigned readable(unsigned char byte)
{
	if (byte == 'x' || byte == 0)
		return 2;
	if (byte >= 'a' && byte <= 'z')
		return 3;
	if (byte >= '0' && byte <= '9')
		return 5;
	if (byte == '.' || byte == '/' || byte == '-' || byte == '_')
		return 4;
	if (byte >= 'A' && byte <= 'Z')
		return 6;
	if (byte == ' ')
		return 7;
	return byte > 0x20 && byte < 0x7f ? 20 : 400;
}

/* Takes a word, and with it all words that no rule tells from it, out of *d. */
static int without_word(const struct word *w, struct dfa **d)
{
	struct dfa *one = NULL, *rest = NULL;
	struct arena a;
	const struct re *r;
	int ok;

	arena_init(&a, 1u << 20);
	r = re_text(&a, w->p, w->n);
	ok = r && !dfa_build((*d)->alphabet, r, 1, &one) &&
	     !dfa_product(*d, one, dfa_but_not, NULL, &rest);
	arena_free(&a);
	dfa_free(one);
	if (!ok)
		return -1;
	dfa_free(*d);
	*d = rest;
	return 0;
}

static char *shown(const struct word *w, const struct kind *k, const struct shape *shape,
	witness_confirm *confirm, void *ctx)
{
	char text[SHOWN_MAX];
	size_t n = (size_t)snprintf(text, sizeof text, "%s ", k->name);

	if (k->show(w, shape, text + n, sizeof text - n) || !confirm(ctx, text))
		return NULL;
	return strdup(text);
}

static char *find_in(const struct dfa *d, uint8_t mark, const struct kind *k,
	const struct shape *shape, witness_confirm *confirm, void *ctx)
{
	uint8_t keep[256] = {0};
	markset want = {{0}};
	struct dfa *left;
	char *found = NULL;
	int more = 1;

	keep[mark] = mark;
	byteset_add(&want, mark);
	if (dfa_map(d, keep, &left))
		return NULL;
	for (int i = 0; i < TRIES && more && !found; i++) {
		unsigned char *word;
		struct word w;

		if (words_cheapest(left, &want, readable, &word, &w.n) != 1)
			break;
		w.p = word;
		found = shown(&w, k, shape, confirm, ctx);
		more = found || without_word(&w, &left) == 0;
		free(word);
	}
	dfa_free(left);
	return found;
}

/* The part of d that the kind calls natural; NULL: it has none, or out of memory. */
static struct dfa *natural_part(const struct dfa *d, const struct kind *k)
{
	struct dfa *natural = NULL, *part = NULL;
	const struct re *r;
	struct arena a;

	if (!k->natural)
		return NULL;
	arena_init(&a, 1u << 20);
	r = k->natural(&a);
	if (r && !dfa_build(d->alphabet, r, 1, &natural))
		dfa_product(d, natural, dfa_keep, NULL, &part);
	dfa_free(natural);
	arena_free(&a);
	return part;
}

char *witness_find(const struct dfa *d, uint8_t mark, const struct kind *k,
	const struct shape *shape, witness_confirm *confirm, void *ctx)
{
	struct dfa *part = natural_part(d, k);
	char *found = part ? find_in(part, mark, k, shape, confirm, ctx) : NULL;

	dfa_free(part);
	return found ? found : find_in(d, mark, k, shape, confirm, ctx);
}
