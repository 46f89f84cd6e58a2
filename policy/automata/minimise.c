/* The smallest automaton with the same marks: partition refinement by rows. States that are not known
 * to differ share a block; a state whose row, read as blocks, differs from its block's leaves it, and
 * only the states that lead to one that left are looked at again. The largest part of a block keeps
 * its number, so that a state leaves O(log n) times (Hopcroft's argument). */
#include <stdlib.h>
#include <string.h>

#include "policy/automata/rows.h"

struct partition {
	const struct rows *rows;
	uint32_t n; /* states */
	unsigned k; /* columns */
	uint32_t blocks;
	uint32_t *elems, *loc; /* states ordered by block; where a state stands in elems */
	uint32_t *block; /* of a state */
	uint32_t *first, *end, *marked; /* of a block, in elems; those to look at come first */
	uint32_t *work; /* blocks with marked states: a ring */
	uint32_t works, next_work;
	uint32_t *from, *start; /* who leads to state t: from[start[t]..start[t+1]), each once */
	uint64_t weight[256]; /* of a column, in hashes */
	/* Of the block that is split: */
	uint32_t *leaving; /* states, which are then in elems, part by part */
	uint32_t *part; /* [leaving]: the part it belongs to */
	uint64_t *hash; /* [part]: of its rows */
	uint32_t *member; /* [part]: one of its states */
	uint32_t *size, *at; /* [part] */
	uint32_t parts;
	uint32_t *slot; /* part + 1, by hash; 0: free */
};

static void partition_free(struct partition *p)
{
	free(p->elems);
	free(p->loc);
	free(p->block);
	free(p->first);
	free(p->end);
	free(p->marked);
	free(p->work);
	free(p->from);
	free(p->start);
	free(p->leaving);
	free(p->part);
	free(p->hash);
	free(p->member);
	free(p->size);
	free(p->at);
	free(p->slot);
}

static int partition_alloc(struct partition *p)
{
	size_t n = p->n;

	p->elems = calloc(n, sizeof *p->elems);
	p->loc = calloc(n, sizeof *p->loc);
	p->block = calloc(n, sizeof *p->block);
	p->first = calloc(n, sizeof *p->first);
	p->end = calloc(n, sizeof *p->end);
	p->marked = calloc(n, sizeof *p->marked);
	p->work = calloc(n, sizeof *p->work);
	p->start = calloc(n + 2, sizeof *p->start);
	p->leaving = calloc(n, sizeof *p->leaving);
	p->part = calloc(n, sizeof *p->part);
	p->hash = calloc(n, sizeof *p->hash);
	p->member = calloc(n, sizeof *p->member);
	p->size = calloc(n, sizeof *p->size);
	p->at = calloc(n, sizeof *p->at);
	p->slot = calloc(4 * n, sizeof *p->slot);
	return p->elems && p->loc && p->block && p->first && p->end && p->marked && p->work &&
			       p->start && p->leaving && p->part && p->hash && p->member &&
			       p->size && p->at && p->slot
		       ? 0
		       : -1;
}

static const uint32_t *row_of(const struct partition *p, uint32_t s)
{
	return p->rows->next + (size_t)s * p->k;
}

/* Who leads where, each pair of states once: first as it comes, then sorted by target. */
struct edges {
	uint32_t *from, *to;
	size_t n, cap;
};

static int edge_add(struct edges *e, uint32_t from, uint32_t to)
{
	if (e->n == e->cap) {
		size_t cap = e->cap ? e->cap * 2 : 256;
		uint32_t *p = reallocarray(e->from, cap, sizeof *p);

		if (!p)
			return -1;
		e->from = p;
		p = reallocarray(e->to, cap, sizeof *p);
		if (!p)
			return -1;
		e->to = p;
		e->cap = cap;
	}
	e->from[e->n] = from;
	e->to[e->n++] = to;
	return 0;
}

/* met: [state], scratch. */
static int find_edges(const struct partition *p, uint32_t *met, struct edges *e)
{
	memset(met, 0xff, p->n * sizeof *met);
	for (uint32_t s = 0; s < p->n; s++) {
		const uint32_t *row = row_of(p, s);

		for (unsigned c = 0; c < p->k; c++) {
			uint32_t t = row[c];

			if ((c && t == row[c - 1]) || met[t] == s)
				continue;
			met[t] = s;
			if (edge_add(e, s, t))
				return -1;
		}
	}
	return 0;
}

static int partition_invert(struct partition *p)
{
	struct edges e = {0};
	int failed = find_edges(p, p->leaving, &e); /* which is not in use yet */

	if (!failed)
		p->from = malloc((e.n + 1) * sizeof *p->from);
	failed |= !p->from;
	for (size_t i = 0; !failed && i < e.n; i++)
		p->start[e.to[i] + 2]++;
	for (uint32_t t = 2; t <= p->n + 1; t++)
		p->start[t] += p->start[t - 1];
	for (size_t i = 0; !failed && i < e.n; i++) /* start[t+1] moves from t's begin to its end */
		p->from[p->start[e.to[i] + 1]++] = e.from[i];
	free(e.from);
	free(e.to);
	return failed ? -1 : 0;
}

static void partition_push(struct partition *p, uint32_t b)
{
	uint32_t at = p->next_work + p->works++;

	p->work[at < p->n ? at : at - p->n] = b;
}

static uint32_t partition_pop(struct partition *p)
{
	uint32_t b = p->work[p->next_work++];

	p->works--;
	if (p->next_work == p->n)
		p->next_work = 0;
	return b;
}

static void partition_start(struct partition *p)
{
	uint32_t count[256] = {0}, at[256], sum = 0;

	for (uint32_t s = 0; s < p->n; s++)
		count[p->rows->mark[s]]++;
	for (unsigned m = 0; m < 256; m++) {
		at[m] = sum;
		if (count[m] == 0)
			continue;
		p->first[p->blocks] = sum;
		sum += count[m];
		p->end[p->blocks] = sum;
		p->marked[p->blocks] = count[m];
		partition_push(p, p->blocks++);
	}
	for (uint32_t s = 0; s < p->n; s++) {
		p->loc[s] = at[p->rows->mark[s]]++;
		p->elems[p->loc[s]] = s;
	}
	for (uint32_t b = 0; b < p->blocks; b++) {
		for (uint32_t i = p->first[b]; i < p->end[b]; i++)
			p->block[p->elems[i]] = b;
	}
	for (unsigned c = 0; c < p->k; c++)
		p->weight[c] = hash_mix(c + 1) | 1;
}

static void partition_mark(struct partition *p, uint32_t s)
{
	uint32_t b = p->block[s], to = p->first[b] + p->marked[b], at = p->loc[s], other;

	if (at < to || p->end[b] - p->first[b] == 1)
		return; /* marked already, or alone */
	if (p->marked[b]++ == 0)
		partition_push(p, b);
	other = p->elems[to];
	p->elems[to] = s;
	p->elems[at] = other;
	p->loc[s] = to;
	p->loc[other] = at;
}

/* 1 when no byte leads the two states to different blocks. */
static int same_row(const struct partition *p, uint32_t s, uint32_t t)
{
	const uint32_t *x = row_of(p, s), *y = row_of(p, t);

	for (unsigned c = 0; c < p->k; c++) {
		if (x[c] != y[c] && p->block[x[c]] != p->block[y[c]])
			return 0;
	}
	return 1;
}

static uint64_t row_hash(const struct partition *p, uint32_t s)
{
	const uint32_t *row = row_of(p, s);
	uint64_t h = 0;

	for (unsigned c = 0; c < p->k; c++)
		h += p->weight[c] * (p->block[row[c]] + 1);
	return hash_mix(h);
}

/* The part that a leaving state belongs to: that of the states with the same row. */
static uint32_t part_of(struct partition *p, uint32_t s, uint32_t mask)
{
	uint64_t h = row_hash(p, s);
	uint32_t at, i;

	for (at = (uint32_t)h & mask; p->slot[at]; at = (at + 1) & mask) {
		i = p->slot[at] - 1;
		if (p->hash[i] == h && same_row(p, s, p->member[i]))
			return i;
	}
	i = p->parts++;
	p->slot[at] = i + 1;
	p->hash[i] = h;
	p->member[i] = s;
	p->size[i] = 0;
	return i;
}

/* Moves the marked states of a block whose rows are not that of `stays` to its front. How many. */
static uint32_t find_leaving(struct partition *p, uint32_t first, uint32_t marked, uint32_t stays)
{
	uint32_t n = 0;

	for (uint32_t i = first; i < first + marked; i++) {
		uint32_t s = p->elems[i], other = p->elems[first + n];

		if (s == stays || same_row(p, s, stays))
			continue;
		p->elems[first + n] = s;
		p->elems[i] = other;
		p->loc[other] = i;
		p->loc[s] = first + n++;
	}
	return n;
}

/* The n states at elems[first], part by part; at[] is where each part ends. */
static void order_leaving(struct partition *p, uint32_t first, uint32_t n)
{
	uint32_t mask = 3, sum = first;

	while (mask < 2 * n)
		mask = mask * 2 + 1;
	memset(p->slot, 0, (mask + (size_t)1) * sizeof *p->slot);
	p->parts = 0;
	memcpy(p->leaving, p->elems + first, n * sizeof *p->leaving);
	for (uint32_t i = 0; i < n; i++) {
		p->part[i] = part_of(p, p->leaving[i], mask);
		p->size[p->part[i]]++;
	}
	for (uint32_t i = 0; i < p->parts; i++) {
		p->at[i] = sum;
		sum += p->size[i];
	}
	for (uint32_t i = 0; i < n; i++) {
		p->loc[p->leaving[i]] = p->at[p->part[i]];
		p->elems[p->at[p->part[i]]++] = p->leaving[i];
	}
}

/* Gives elems[first..end) to block b. */
static void block_set(struct partition *p, uint32_t b, uint32_t first, uint32_t end)
{
	p->first[b] = first;
	p->end[b] = end;
	p->marked[b] = 0;
	for (uint32_t i = first; i < end; i++)
		p->block[p->elems[i]] = b;
}

/* Blocks for all parts and for those that stay, elems[rest..end); the largest keeps number b. */
static void block_divide(struct partition *p, uint32_t b, uint32_t rest, uint32_t end)
{
	uint32_t largest = p->parts, most = end - rest;

	for (uint32_t i = 0; i < p->parts; i++) {
		if (p->size[i] > most) {
			most = p->size[i];
			largest = i;
		}
	}
	if (largest != p->parts)
		block_set(p, p->blocks++, rest, end);
	for (uint32_t i = 0; i < p->parts; i++) {
		if (i != largest)
			block_set(p, p->blocks++, p->at[i] - p->size[i], p->at[i]);
	}
	p->first[b] = largest == p->parts ? rest : p->at[largest] - p->size[largest];
	p->end[b] = p->first[b] + most;
}

/* Who leads to a state of blocks [from..) has to be looked at again. */
static void mark_before(struct partition *p, uint32_t from)
{
	uint32_t n = 0;

	for (uint32_t b = from; b < p->blocks; b++) {
		uint32_t size = p->end[b] - p->first[b];

		memcpy(p->leaving + n, p->elems + p->first[b], size * sizeof *p->leaving);
		n += size;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t t = p->leaving[i];

		for (uint32_t j = p->start[t]; j < p->start[t + 1]; j++)
			partition_mark(p, p->from[j]);
	}
}

static void partition_split(struct partition *p, uint32_t b)
{
	uint32_t first = p->first[b], end = p->end[b], marked = p->marked[b], new = p->blocks, n;
	uint32_t stays = first + marked < end ? p->elems[first + marked] : p->elems[first];

	p->marked[b] = 0;
	n = find_leaving(p, first, marked, stays);
	if (n == 0)
		return;
	order_leaving(p, first, n);
	block_divide(p, b, first + n, end);
	mark_before(p, new);
}

static enum dfa_status partition_refine(struct partition *p)
{
	while (p->works) {
		uint32_t b = partition_pop(p);

		if (alphabet_spend(p->rows->alphabet, 2 * (uint64_t)p->marked[b] * (p->k + 8)))
			return DFA_TOO_LARGE;
		partition_split(p, b);
	}
	return DFA_OK;
}

/* ---- the automaton ---- */

/* 1 when a row leads nowhere but to its own block. */
static int is_absorbing(const struct partition *p, uint32_t s)
{
	const uint32_t *row = row_of(p, s);

	for (unsigned c = 0; c < p->k; c++) {
		if (p->block[row[c]] != p->block[s])
			return 0;
	}
	return 1;
}

/* Numbers the blocks as a walk from the start meets them, which makes the numbers canonical; those
 * that are never left come last. order gets a state of each. */
static void number_blocks(struct partition *p, uint32_t *number, uint32_t *order, struct dfa *d)
{
	uint32_t met = 1, left = 0, *walk = p->leaving, last;

	memset(number, 0xff, p->blocks * sizeof *number);
	walk[0] = 0;
	number[p->block[0]] = 0;
	for (uint32_t i = 0; i < met; i++) {
		const uint32_t *row = row_of(p, walk[i]);

		for (unsigned c = 0; c < p->k; c++) {
			uint32_t b = p->block[row[c]];

			if (number[b] == UINT32_MAX) {
				number[b] = met;
				walk[met++] = row[c];
			}
		}
	}
	last = met;
	for (uint32_t i = 0; i < met; i++) {
		uint32_t to = i > 0 && is_absorbing(p, walk[i]) ? --last : left++;

		order[to] = walk[i];
		number[p->block[walk[i]]] = to;
	}
	d->states = met;
	d->absorbing = last;
}

static int same_column(const uint16_t *to, uint32_t states, unsigned k, unsigned x, unsigned y)
{
	for (size_t s = 0; s < states; s++) {
		if (to[s * k + x] != to[s * k + y])
			return 0;
	}
	return 1;
}

/* Columns that became the same are put together. to: [state * p->k + column of p]. */
static void join_columns(const struct partition *p, const uint16_t *to, struct dfa *d)
{
	const struct columns *old = p->rows->columns;
	unsigned k = p->k, keep[256];
	uint64_t hash[256] = {0};
	uint8_t as[256] = {0};

	for (size_t s = 0; s < d->states; s++) {
		uint64_t weight = hash_mix(s + 1) | 1;

		for (unsigned c = 0; c < k; c++)
			hash[c] += weight * (to[s * k + c] + UINT64_C(1));
	}
	d->columns = 0;
	for (unsigned c = 0; c < k; c++) {
		unsigned i = 0;

		while (i < d->columns &&
			(hash[keep[i]] != hash[c] || !same_column(to, d->states, k, keep[i], c)))
			i++;
		if (i == d->columns)
			keep[d->columns++] = c;
		as[c] = (uint8_t)i;
	}
	for (unsigned c = 0; c < d->alphabet->classes; c++)
		d->column[c] = as[old->of[c]];
	for (size_t s = 0; s < d->states; s++) {
		for (unsigned i = 0; i < d->columns; i++)
			d->to[s * d->columns + i] = to[s * k + keep[i]];
	}
}

/* scratch: [blocks * k]; number, order: [blocks]. */
static void partition_fill(
	struct partition *p, uint16_t *scratch, uint32_t *number, uint32_t *order, struct dfa *d)
{
	number_blocks(p, number, order, d);
	for (size_t i = 0; i < d->states; i++) {
		const uint32_t *row = row_of(p, order[i]);

		d->mark[i] = p->rows->mark[order[i]];
		for (unsigned c = 0; c < p->k; c++)
			scratch[i * p->k + c] = (uint16_t)number[p->block[row[c]]];
	}
	join_columns(p, scratch, d);
}

static enum dfa_status partition_read(struct partition *p, struct dfa **out)
{
	size_t cells = (size_t)p->blocks * p->k;
	struct dfa *d;
	uint16_t *scratch;
	uint32_t *number, *order;
	int failed;

	if (p->blocks > DFA_STATES_MAX)
		return DFA_TOO_LARGE;
	d = calloc(1, sizeof *d);
	scratch = malloc(cells * sizeof *scratch);
	number = malloc(p->blocks * sizeof *number);
	order = malloc(p->blocks * sizeof *order);
	if (d) {
		d->alphabet = p->rows->alphabet;
		d->to = malloc(cells * sizeof *d->to);
		d->mark = malloc(p->blocks);
	}
	failed = !d || !scratch || !number || !order || !d->to || !d->mark;
	if (failed)
		dfa_free(d);
	else
		partition_fill(p, scratch, number, order, *out = d);
	free(scratch);
	free(number);
	free(order);
	return failed ? DFA_NO_MEMORY : DFA_OK;
}

enum dfa_status rows_minimise(const struct rows *r, struct dfa **out)
{
	struct partition p = {.rows = r, .n = r->states, .k = r->columns->n};
	enum dfa_status status = DFA_NO_MEMORY;

	*out = NULL;
	if (alphabet_spend(r->alphabet, 4 * (uint64_t)p.n * (p.k + 8)))
		return DFA_TOO_LARGE;
	if (p.n && p.k && partition_alloc(&p) == 0 && partition_invert(&p) == 0) {
		partition_start(&p);
		status = partition_refine(&p);
		if (!status)
			status = partition_read(&p, out);
	}
	partition_free(&p);
	return status;
}
