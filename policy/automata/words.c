/* Words of automata; see words.h. Every state of an automaton can be reached from its start, so a
 * mark that a state has is a mark that some word has. */
#include "policy/automata/words.h"

#include <stdlib.h>
#include <string.h>

int words_any(const struct dfa *d, const markset *want)
{
	for (uint32_t s = 0; s < d->states; s++) {
		if (byteset_has(want, d->mark[s]))
			return 1;
	}
	return 0;
}

/* ---- cheapest: Dijkstra's algorithm with a heap ---- */

struct step {
	uint64_t cost;
	uint32_t state;
};

struct search {
	const struct dfa *d;
	uint64_t *cost; /* [state]; UINT64_MAX: not reached */
	uint32_t *from; /* [state] */
	unsigned char *by; /* [state]: the byte that led here */
	unsigned char byte[256]; /* [class]: its cheapest byte */
	unsigned price[256]; /* [class] */
	struct step *heap;
	size_t n, cap;
};

static int dearer(const struct step *x, const struct step *y)
{
	return x->cost != y->cost ? x->cost > y->cost : x->state > y->state;
}

static int heap_push(struct search *s, struct step x)
{
	size_t i = s->n;

	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 256;
		struct step *heap = reallocarray(s->heap, cap, sizeof *heap);

		if (!heap)
			return -1;
		s->heap = heap;
		s->cap = cap;
	}
	s->n++;
	for (; i > 0 && dearer(&s->heap[(i - 1) / 2], &x); i = (i - 1) / 2)
		s->heap[i] = s->heap[(i - 1) / 2];
	s->heap[i] = x;
	return 0;
}

static struct step heap_pop(struct search *s)
{
	struct step least = s->heap[0], last = s->heap[--s->n];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < s->n) {
		if (child + 1 < s->n && dearer(&s->heap[child], &s->heap[child + 1]))
			child++;
		if (!dearer(&last, &s->heap[child]))
			break;
		s->heap[i] = s->heap[child];
		i = child;
	}
	s->heap[i] = last;
	return least;
}

static void search_prices(struct search *s, byte_cost *cost)
{
	memset(s->price, 0xff, sizeof s->price);
	for (unsigned b = 0; b < 256; b++) {
		unsigned c = s->d->alphabet->of[b], price = cost((unsigned char)b);

		if (price < s->price[c]) {
			s->price[c] = price;
			s->byte[c] = (unsigned char)b;
		}
	}
}

static int search_run(struct search *s, const markset *want, uint32_t *found)
{
	unsigned k = s->d->alphabet->classes;

	s->cost[0] = 0;
	if (heap_push(s, (struct step){0, 0}))
		return -1;
	while (s->n) {
		struct step now = heap_pop(s);

		if (now.cost > s->cost[now.state])
			continue;
		if (byteset_has(want, s->d->mark[now.state])) {
			*found = now.state;
			return 1;
		}
		for (unsigned c = 0; c < k; c++) {
			uint32_t to = dfa_next(s->d, now.state, c);
			uint64_t cost = now.cost + s->price[c];

			if (cost > s->cost[to] || (cost == s->cost[to] && s->by[to] <= s->byte[c]))
				continue;
			s->cost[to] = cost;
			s->from[to] = now.state;
			s->by[to] = s->byte[c];
			if (heap_push(s, (struct step){cost, to}))
				return -1;
		}
	}
	return 0;
}

static int search_word(const struct search *s, uint32_t end, unsigned char **out, size_t *n)
{
	size_t len = 0;

	for (uint32_t q = end; q != 0; q = s->from[q])
		len++;
	*out = malloc(len + 1);
	if (!*out)
		return -1;
	*n = len;
	(*out)[len] = 0;
	for (uint32_t q = end; q != 0; q = s->from[q])
		(*out)[--len] = s->by[q];
	return 1;
}

int words_cheapest(
	const struct dfa *d, const markset *want, byte_cost *cost, unsigned char **out, size_t *n)
{
	struct search s = {.d = d};
	uint32_t end = 0;
	int found = -1;

	*out = NULL;
	s.cost = malloc(d->states * sizeof *s.cost);
	s.from = calloc(d->states, sizeof *s.from);
	s.by = calloc(d->states, 1);
	if (s.cost && s.from && s.by) {
		memset(s.cost, 0xff, d->states * sizeof *s.cost);
		search_prices(&s, cost);
		found = search_run(&s, want, &end);
		if (found == 1)
			found = search_word(&s, end, out, n);
	}
	free(s.cost);
	free(s.from);
	free(s.by);
	free(s.heap);
	return found;
}

/* ---- counting ---- */

struct counter {
	const struct dfa *d;
	const markset *want;
	uint8_t *alive; /* [state]: a wanted mark can be reached */
	uint8_t *on_path, *known;
	uint64_t *count;
	unsigned size[256]; /* [class]: bytes in it */
};

/* Which states lead to a wanted mark: backwards until nothing changes. */
static void mark_alive(struct counter *c)
{
	unsigned k = c->d->alphabet->classes;
	int changed = 1;

	for (uint32_t s = 0; s < c->d->states; s++)
		c->alive[s] = (uint8_t)byteset_has(c->want, c->d->mark[s]);
	while (changed) {
		changed = 0;
		for (uint32_t s = c->d->states; s-- > 0;) {
			for (unsigned i = 0; !c->alive[s] && i < k; i++) {
				if (c->alive[dfa_next(c->d, s, i)]) {
					c->alive[s] = 1;
					changed = 1;
				}
			}
		}
	}
}

static uint64_t add_many(uint64_t x, uint64_t y)
{
	return x > WORDS_MANY - y ? WORDS_MANY : x + y;
}

static uint64_t times(uint64_t x, unsigned y)
{
	return x != 0 && y > WORDS_MANY / x ? WORDS_MANY : x * y;
}

#define COUNT_DEPTH_MAX 10000u /* frames of count_from; longer words count as many */

static uint64_t count_from(struct counter *c, uint32_t s, uint32_t depth)
{
	unsigned k = c->d->alphabet->classes;
	uint64_t sum = (uint64_t)byteset_has(c->want, c->d->mark[s]);

	if (c->known[s])
		return c->count[s];
	if (c->on_path[s] || depth == COUNT_DEPTH_MAX)
		return WORDS_MANY; /* a cycle that leads to a wanted word, or too long to follow */
	c->on_path[s] = 1;
	for (unsigned i = 0; i < k && sum != WORDS_MANY; i++) {
		uint32_t to = dfa_next(c->d, s, i);

		if (c->alive[to])
			sum = add_many(sum, times(count_from(c, to, depth + 1), c->size[i]));
	}
	c->on_path[s] = 0;
	c->known[s] = 1;
	c->count[s] = sum;
	return sum;
}

static int counter_alloc(struct counter *c)
{
	c->alive = calloc(c->d->states, 1);
	c->on_path = calloc(c->d->states, 1);
	c->known = calloc(c->d->states, 1);
	c->count = calloc(c->d->states, sizeof *c->count);
	for (unsigned b = 0; b < 256; b++)
		c->size[c->d->alphabet->of[b]]++;
	return c->alive && c->on_path && c->known && c->count ? 0 : -1;
}

static void counter_free(struct counter *c)
{
	free(c->alive);
	free(c->on_path);
	free(c->known);
	free(c->count);
}

uint64_t words_count(const struct dfa *d, const markset *want)
{
	struct counter c = {.d = d, .want = want};
	uint64_t n = WORDS_MANY;

	if (counter_alloc(&c) == 0) {
		mark_alive(&c);
		n = c.alive[0] ? count_from(&c, 0, 0) : 0;
	}
	counter_free(&c);
	return n;
}
