/* Choices between fields; see choice.h. */
#include "policy/automata/choice.h"

#include <stdlib.h>
#include <string.h>

#include "policy/automata/rows.h"

#define KEPT_BYTES_MAX ((size_t)32 << 20)

struct choices {
	unsigned classes; /* of the alphabet that all of this is about */
	size_t bytes;
	uint32_t labels, labels_cap;
	const struct re **label;
	uint64_t *label_hash;
	struct seen label_seen;
	uint32_t n, cap;
	struct choice **choice;
	uint64_t *hash;
	struct seen seen;
};

struct choices *choices_new(void)
{
	return calloc(1, sizeof(struct choices));
}

static void choice_free(struct choice *c)
{
	if (!c)
		return;
	dfa_free(c->words);
	free(c->match);
	free(c);
}

static void drop(struct choices *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		choice_free(c->choice[i]);
	free(c->label);
	free(c->label_hash);
	free(c->label_seen.slot);
	free(c->choice);
	free(c->hash);
	free(c->seen.slot);
	*c = (struct choices){0};
}

void choices_free(struct choices *c)
{
	if (c)
		drop(c);
	free(c);
}

void choices_begin(struct choices *c, const struct alphabet *a)
{
	if (c->classes != a->classes || c->bytes > KEPT_BYTES_MAX)
		drop(c);
	c->classes = a->classes;
}

/* ---- labels ---- */

static int label_room(struct choices *c)
{
	uint32_t cap = c->labels_cap ? c->labels_cap * 2 : 64;
	const struct re **label;
	uint64_t *hash;

	if (c->labels < c->labels_cap)
		return 0;
	label = reallocarray(c->label, cap, sizeof(const struct re *));
	if (!label)
		return -1;
	c->label = label;
	hash = reallocarray(c->label_hash, cap, sizeof *hash);
	if (!hash)
		return -1;
	c->label_hash = hash;
	c->labels_cap = cap;
	return 0;
}

int choices_label(struct choices *c, const struct re *r, uint32_t *out)
{
	struct seen *t = &c->label_seen;
	uint32_t at;

	if (seen_room(t, c->label_hash))
		return -1;
	for (at = r->hash & t->mask; t->slot[at]; at = (at + 1) & t->mask) {
		*out = t->slot[at] - 1;
		if (re_same(c->label[*out], r))
			return 0;
	}
	if (label_room(c))
		return -1;
	*out = c->labels++;
	c->label[*out] = r;
	c->label_hash[*out] = r->hash;
	t->slot[at] = *out + 1;
	t->used++;
	return 0;
}

/* ---- one choice ---- */

struct building {
	struct choice *choice;
	const uint64_t *rest, *last; /* what the marks of the two parts stand for */
	int unfit;
};

static uint8_t match_mark(struct building *b, uint64_t labels)
{
	struct choice *c = b->choice;
	unsigned i = 0;

	while (i < c->matches && c->match[i] != labels)
		i++;
	if (i == CHOICE_MATCHES_MAX) {
		b->unfit = 1;
		return 0;
	}
	if (i == c->matches)
		c->match[c->matches++] = labels;
	return (uint8_t)i;
}

static uint8_t match_both(void *building, uint8_t x, uint8_t y)
{
	struct building *b = building;

	return match_mark(b, b->rest[x] | b->last[y] << (b->choice->labels - 1));
}

static struct choice *choice_new(const uint32_t *label, unsigned n)
{
	struct choice *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->match = calloc(CHOICE_MATCHES_MAX, sizeof *c->match);
	if (!c->match) {
		free(c);
		return NULL;
	}
	c->labels = n;
	memcpy(c->label, label, n * sizeof *label);
	c->matches = 1;
	return c;
}

/* A choice of one is the field itself; of more, the product of the newest label and the others, which
 * other rules have too. */
static enum dfa_status choice_build(
	struct choices *c, const struct alphabet *a, struct choice *new, int *unfit)
{
	const struct choice *rest, *last;
	unsigned n = new->labels;
	struct building b = {.choice = new};
	enum dfa_status status;

	if (n == 1)
		return dfa_build(a, c->label[new->label[0]], match_mark(&b, 1), &new->words);
	status = choices_of(c, a, new->label, n - 1, &rest, unfit);
	if (!status)
		status = choices_of(c, a, new->label + n - 1, 1, &last, unfit);
	if (status)
		return status;
	b.rest = rest->match;
	b.last = last->match;
	status = dfa_product(rest->words, last->words, match_both, &b, &new->words);
	*unfit |= b.unfit;
	return b.unfit ? DFA_TOO_LARGE : status;
}

static int choice_room(struct choices *c)
{
	uint32_t cap = c->cap ? c->cap * 2 : 64;
	struct choice **choice;
	uint64_t *hash;

	if (c->n < c->cap)
		return 0;
	choice = reallocarray(c->choice, cap, sizeof(struct choice *));
	if (!choice)
		return -1;
	c->choice = choice;
	hash = reallocarray(c->hash, cap, sizeof *hash);
	if (!hash)
		return -1;
	c->hash = hash;
	c->cap = cap;
	return 0;
}

static uint64_t hash_of(const uint32_t *label, unsigned n)
{
	uint64_t h = n;

	for (unsigned i = 0; i < n; i++)
		h = hash_mix(h ^ label[i]);
	return h;
}

/* Where the choice stands in the table, or would. seen_room was called. */
static uint32_t find(const struct choices *c, const uint32_t *label, unsigned n, uint64_t hash)
{
	uint32_t at = (uint32_t)hash & c->seen.mask;

	for (; c->seen.slot[at]; at = (at + 1) & c->seen.mask) {
		const struct choice *x = c->choice[c->seen.slot[at] - 1];

		if (x->labels == n && memcmp(x->label, label, n * sizeof *label) == 0)
			break;
	}
	return at;
}

static int keep(struct choices *c, struct choice *new, uint64_t hash)
{
	uint64_t *exact = reallocarray(new->match, new->matches, sizeof *exact);

	if (exact)
		new->match = exact;
	if (choice_room(c) || seen_room(&c->seen, c->hash))
		return -1;
	c->seen.slot[find(c, new->label, new->labels, hash)] = c->n + 1;
	c->seen.used++;
	c->hash[c->n] = hash;
	c->choice[c->n++] = new;
	c->bytes += sizeof *new + new->matches * sizeof *new->match +
		    (size_t) new->words->states *(2 * (size_t) new->words->columns + 1);
	return 0;
}

enum dfa_status choices_of(struct choices *c, const struct alphabet *a, const uint32_t *label,
	unsigned n, const struct choice **out, int *unfit)
{
	uint64_t hash = hash_of(label, n);
	enum dfa_status status;
	struct choice *new;
	uint32_t at;

	if (seen_room(&c->seen, c->hash))
		return DFA_NO_MEMORY;
	at = find(c, label, n, hash);
	if (c->seen.slot[at]) {
		*out = c->choice[c->seen.slot[at] - 1];
		return DFA_OK;
	}
	new = choice_new(label, n);
	if (!new)
		return DFA_NO_MEMORY;
	status = choice_build(c, a, new, unfit);
	if (!status && keep(c, new, hash))
		status = DFA_NO_MEMORY;
	if (status)
		choice_free(new);
	*out = new;
	return status;
}
