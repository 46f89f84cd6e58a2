/* The smallest automaton with the same marks: partition refinement by rows. States that are not known
 * to differ share a block; a state whose row, read as blocks, differs from its block's leaves it, and
 * only the states that lead to one that left are looked at again. The largest part of a block keeps
 * its number, so that a state leaves O(log n) times (Hopcroft's argument).
 *
 * Rows are compared by a sum over their columns, which is kept up to date edge by edge. Different
 * sums mean different rows; that the same sum meant the same row is checked at the end, once. */
#include <stdlib.h>
#include <string.h>

#include "policy/automata/rows.h"

#define EDGES_MAX (UINT32_C(1) << 22)

/* From one state to another, by any number of columns. */
struct edge {
	uint32_t from, to;
	uint64_t weight; /* the sum of its columns' */
};

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
	struct edge *edge; /* by `from`, in the order of columns */
	uint32_t edges, edges_cap;
	uint32_t *out; /* [state]: where its edges begin; one more at the end */
	uint32_t *in,
		*in_edge; /* [state]: where in in_edge those begin that lead to it; one more */
	uint64_t *hash; /* [state]: of its row */
	/* Of the block that is split: */
	uint32_t *leaving; /* states, which are then in elems, part by part */
	uint32_t *part; /* [leaving]: the part it belongs to */
	uint64_t *part_hash; /* [part] */
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
	free(p->edge);
	free(p->out);
	free(p->in);
	free(p->in_edge);
	free(p->hash);
	free(p->leaving);
	free(p->part);
	free(p->part_hash);
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
	p->out = calloc(n + 1, sizeof *p->out);
	p->in = calloc(n + 2, sizeof *p->in);
	p->hash = calloc(n, sizeof *p->hash);
	p->leaving = calloc(n, sizeof *p->leaving);
	p->part = calloc(n, sizeof *p->part);
	p->part_hash = calloc(n, sizeof *p->part_hash);
	p->size = calloc(n, sizeof *p->size);
	p->at = calloc(n, sizeof *p->at);
	p->slot = calloc(4 * n, sizeof *p->slot);
	return p->elems && p->loc && p->block && p->first && p->end && p->marked && p->work &&
			       p->out && p->in && p->hash && p->leaving && p->part &&
			       p->part_hash && p->size && p->at && p->slot
		       ? 0
		       : -1;
}

static const uint32_t *row_of(const struct partition *p, uint32_t s)
{
	return p->rows->next + (size_t)s * p->k;
}

static enum dfa_status edge_add(struct partition *p, uint32_t from, uint32_t to)
{
	if (p->edges == p->edges_cap) {
		uint32_t cap = p->edges_cap ? p->edges_cap * 2 : 256;
		struct edge *e;

		if (cap > EDGES_MAX)
			return DFA_TOO_LARGE;
		e = reallocarray(p->edge, cap, sizeof *e);
		if (!e)
			return DFA_NO_MEMORY;
		p->edge = e;
		p->edges_cap = cap;
	}
	p->edge[p->edges++] = (struct edge){.from = from, .to = to};
	return DFA_OK;
}

/* The edge of s to t, a new one if there is none yet, into *at. met: [state]: the edge that leads
 * there, counted from the first of whoever had one last, + 1. */
static enum dfa_status edge_to(
	struct partition *p, uint32_t *met, uint32_t s, uint32_t t, uint32_t *at)
{
	*at = p->out[s] + met[t] - 1;
	if (met[t] && *at < p->edges && p->edge[*at].to == t)
		return DFA_OK;
	*at = p->edges;
	met[t] = p->edges - p->out[s] + 1;
	return edge_add(p, s, t);
}

static enum dfa_status find_edges(struct partition *p)
{
	enum dfa_status status = DFA_OK;
	uint64_t weight[256];

	for (unsigned c = 0; c < p->k; c++)
		weight[c] = hash_mix((c + 1) * UINT64_C(0xd6e8feb86659fd93)) | 1;
	for (uint32_t s = 0; s < p->n; s++) {
		const uint32_t *row = row_of(p, s);
		uint32_t at = 0;

		p->out[s] = p->edges;
		for (unsigned c = 0; !status && c < p->k; c++) {
			if (c == 0 || row[c] != row[c - 1]) /* leaving is not in use yet */
				status = edge_to(p, p->leaving, s, row[c], &at);
			if (!status)
				p->edge[at].weight += weight[c];
		}
	}
	p->out[p->n] = p->edges;
	return status;
}

/* The edges by where they lead: a counting sort. */
static enum dfa_status partition_invert(struct partition *p)
{
	enum dfa_status status = find_edges(p);

	if (status)
		return status;
	p->in_edge = malloc(((size_t)p->edges + 1) * sizeof *p->in_edge);
	if (!p->in_edge)
		return DFA_NO_MEMORY;
	for (uint32_t i = 0; i < p->edges; i++)
		p->in[p->edge[i].to + 2]++;
	for (uint32_t t = 2; t <= p->n + 1; t++)
		p->in[t] += p->in[t - 1];
	for (uint32_t i = 0; i < p->edges; i++) /* in[t+1] moves from t's begin to its end */
		p->in_edge[p->in[p->edge[i].to + 1]++] = i;
	return DFA_OK;
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
	for (uint32_t i = 0; i < p->edges; i++) {
		const struct edge *e = &p->edge[i];

		p->hash[e->from] += e->weight * p->block[e->to];
	}
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

/* The part that a leaving state belongs to: that of the states with the same row. */
static uint32_t part_of(struct partition *p, uint32_t s, uint32_t mask)
{
	uint32_t at = (uint32_t)hash_mix(p->hash[s]) & mask, i;

	for (; p->slot[at]; at = (at + 1) & mask) {
		i = p->slot[at] - 1;
		if (p->part_hash[i] == p->hash[s])
			return i;
	}
	i = p->parts++;
	p->slot[at] = i + 1;
	p->part_hash[i] = p->hash[s];
	p->size[i] = 0;
	return i;
}

/* Moves the marked states of a block whose rows are not that of `stays` to its front. How many. */
static uint32_t find_leaving(struct partition *p, uint32_t first, uint32_t marked, uint32_t stays)
{
	uint32_t n = 0;

	for (uint32_t i = first; i < first + marked; i++) {
		uint32_t s = p->elems[i], other = p->elems[first + n];

		if (p->hash[s] == p->hash[stays])
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

/* The states at leaving[0..n) were in block `old`: who leads there has to be looked at again. */
static void mark_before(struct partition *p, uint32_t old, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t t = p->leaving[i];
		uint64_t by = (uint64_t)p->block[t] - old;

		for (uint32_t j = p->in[t]; j < p->in[t + 1]; j++) {
			const struct edge *e = &p->edge[p->in_edge[j]];

			p->hash[e->from] += e->weight * by;
			partition_mark(p, e->from);
		}
	}
}

/* The states of blocks [from..) into leaving, since marking changes their order. How many. */
static uint32_t list_moved(struct partition *p, uint32_t from)
{
	uint32_t n = 0;

	for (uint32_t b = from; b < p->blocks; b++) {
		uint32_t size = p->end[b] - p->first[b];

		memcpy(p->leaving + n, p->elems + p->first[b], size * sizeof *p->leaving);
		n += size;
	}
	return n;
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
	mark_before(p, b, list_moved(p, new));
}

/* 1 when all states of a block lead to the same blocks. */
static int is_stable(const struct partition *p, uint32_t b)
{
	const uint32_t *x = row_of(p, p->elems[p->first[b]]);

	for (uint32_t i = p->first[b] + 1; i < p->end[b]; i++) {
		const uint32_t *y = row_of(p, p->elems[i]);

		for (unsigned c = 0; c < p->k; c++) {
			if (x[c] != y[c] && p->block[x[c]] != p->block[y[c]])
				return 0;
		}
	}
	return 1;
}

static enum dfa_status partition_refine(struct partition *p)
{
	while (p->works) {
		uint32_t b = partition_pop(p);

		if (alphabet_spend(p->rows->alphabet, 40 * (uint64_t)p->marked[b]))
			return DFA_TOO_LARGE;
		partition_split(p, b);
	}
	for (uint32_t b = 0; b < p->blocks; b++) {
		if (!is_stable(p, b)) /* sums that were the same by chance, or made to be */
			return DFA_TOO_LARGE;
	}
	return DFA_OK;
}

/* ---- the automaton ---- */

/* 1 when a state leads nowhere but to its own block. */
static int is_absorbing(const struct partition *p, uint32_t s)
{
	for (uint32_t i = p->out[s]; i < p->out[s + 1]; i++) {
		if (p->block[p->edge[i].to] != p->block[s])
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
	for (uint32_t w = 0; w < met; w++) {
		for (uint32_t i = p->out[walk[w]]; i < p->out[walk[w] + 1]; i++) {
			uint32_t b = p->block[p->edge[i].to];

			if (number[b] == UINT32_MAX) {
				number[b] = met;
				walk[met++] = p->edge[i].to;
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

/* Columns of which no row is known that tells them apart share a group. */
struct groups {
	unsigned n;
	uint8_t of[256]; /* [column]; numbered as they first occur */
	uint8_t first[256]; /* [group]: a column of it */
};

/* Divides groups by what one row says. */
static void groups_split(struct groups *g, const uint16_t *row, unsigned k)
{
	struct groups new = {0};

	for (unsigned c = 0; c < k; c++) {
		unsigned i = 0;

		while (i < new.n &&
			(g->of[new.first[i]] != g->of[c] || row[new.first[i]] != row[c]))
			i++;
		if (i == new.n)
			new.first[new.n++] = (uint8_t)c;
		new.of[c] = (uint8_t)i;
	}
	*g = new;
}

static int row_splits(const struct groups *g, const uint16_t *row, unsigned k)
{
	for (unsigned c = 0; c < k; c++) {
		if (row[c] != row[g->first[g->of[c]]])
			return 1;
	}
	return 0;
}

/* Columns of d->to, still those of p, that became the same are put together. */
static void join_columns(const struct partition *p, struct dfa *d)
{
	const struct columns *old = p->rows->columns;
	struct groups g = {.n = 1};
	unsigned k = p->k;

	for (size_t s = 0; s < d->states && g.n < k; s++) {
		if (row_splits(&g, d->to + s * k, k))
			groups_split(&g, d->to + s * k, k);
	}
	d->columns = g.n;
	for (unsigned c = 0; c < d->alphabet->classes; c++)
		d->column[c] = g.of[old->of[c]];
	for (size_t s = 0; g.n < k && s < d->states; s++) {
		for (unsigned i = 0; i < g.n; i++) /* never behind where it is read */
			d->to[s * g.n + i] = d->to[s * k + g.first[i]];
	}
}

/* number, order: [blocks]. */
static void partition_fill(struct partition *p, uint32_t *number, uint32_t *order, struct dfa *d)
{
	uint32_t *of = p->part; /* [state]; not in use any more */

	number_blocks(p, number, order, d);
	for (uint32_t s = 0; s < p->n; s++)
		of[s] = number[p->block[s]];
	for (size_t i = 0; i < d->states; i++) {
		const uint32_t *row = row_of(p, order[i]);

		d->mark[i] = p->rows->mark[order[i]];
		for (unsigned c = 0; c < p->k; c++)
			d->to[i * p->k + c] = (uint16_t)of[row[c]];
	}
	join_columns(p, d);
}

static enum dfa_status partition_read(struct partition *p, struct dfa **out)
{
	struct dfa *d;
	uint32_t *number, *order;
	int failed;

	if (p->blocks > DFA_STATES_MAX)
		return DFA_TOO_LARGE;
	d = calloc(1, sizeof *d);
	number = malloc(p->blocks * sizeof *number);
	order = malloc(p->blocks * sizeof *order);
	if (d) {
		d->alphabet = p->rows->alphabet;
		d->to = malloc((size_t)p->blocks * p->k * sizeof *d->to);
		d->mark = malloc(p->blocks);
	}
	failed = !d || !number || !order || !d->to || !d->mark;
	if (failed)
		dfa_free(d);
	else
		partition_fill(p, number, order, *out = d);
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
	if (p.n && p.k && partition_alloc(&p) == 0)
		status = partition_invert(&p);
	if (!status) {
		partition_start(&p);
		status = partition_refine(&p);
	}
	if (!status)
		status = partition_read(&p, out);
	partition_free(&p);
	return status;
}
