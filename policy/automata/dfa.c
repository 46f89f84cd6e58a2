/* Expression -> NFA -> minimal DFA, and products of DFAs; see dfa.h.
 *
 * Subset construction is only done for one rule at a time. Rules are put together by products of
 * minimal automata along a tree, which stays small where a subset construction over all rules at
 * once explodes. */
#include "policy/automata/dfa.h"

#include <stdlib.h>
#include <string.h>

/* What one construction may take at most, whatever comes out of it. */
#define SUBSET_BYTES_MAX   ((size_t)64 << 20)
#define PRODUCT_STATES_MAX 131072u

/* ---- alphabet ---- */

/* Takes steps off the budget. 0, or -1: it is used up. */
static int spend(const struct alphabet *a, uint64_t steps)
{
	if (!a->work)
		return 0;
	if (*a->work < steps) {
		*a->work = 0;
		return -1;
	}
	*a->work -= steps;
	return 0;
}

void alphabet_init(struct alphabet *a)
{
	memset(a, 0, sizeof *a);
	a->classes = 1;
}

static void split(struct alphabet *a, const struct byteset *s)
{
	unsigned in[256] = {0}, size[256] = {0}, renamed[256] = {0};

	if (spend(a, 800)) /* the construction will say so */
		return;
	for (unsigned b = 0; b < 256; b++) {
		size[a->of[b]]++;
		in[a->of[b]] += (unsigned)byteset_has(s, b);
	}
	for (unsigned b = 0; b < 256; b++) {
		unsigned c = a->of[b];

		if (in[c] == 0 || in[c] == size[c] || !byteset_has(s, b))
			continue;
		if (!renamed[c])
			renamed[c] = a->classes++;
		a->of[b] = (unsigned char)renamed[c];
	}
}

static void split_byte(struct alphabet *a, unsigned char byte)
{
	struct byteset s = {{0}};

	byteset_add(&s, byte);
	split(a, &s);
}

static void add_seen(struct alphabet *a, const struct re *r, struct byteset *single)
{
	switch (r->type) {
	case RE_SET:
		split(a, &r->u.set);
		break;
	case RE_TEXT:
		for (size_t i = 0; i < r->u.text.n; i++) {
			if (byteset_has(single, r->u.text.p[i]))
				continue;
			byteset_add(single, r->u.text.p[i]);
			split_byte(a, r->u.text.p[i]);
		}
		break;
	case RE_CAT:
	case RE_ALT:
		add_seen(a, r->u.sub.a, single);
		add_seen(a, r->u.sub.b, single);
		break;
	case RE_STAR:
		add_seen(a, r->u.sub.a, single);
		break;
	case RE_EMPTY:
	case RE_NONE:
		break;
	}
}

void alphabet_add(struct alphabet *a, const struct re *r)
{
	struct byteset single = {{0}};

	add_seen(a, r, &single);
}

struct byteset alphabet_bytes(const struct alphabet *a, unsigned class)
{
	struct byteset s = {{0}};

	for (unsigned b = 0; b < 256; b++) {
		if (a->of[b] == class)
			byteset_add(&s, b);
	}
	return s;
}

/* ---- automata under construction ---- */

void dfa_free(struct dfa *d)
{
	if (!d)
		return;
	free(d->next);
	free(d->mark);
	free(d);
}

/* Rows that grow; more than 65535 of them may be needed before minimisation. */
struct rows {
	const struct alphabet *alphabet;
	uint32_t states, cap;
	uint32_t *next;
	uint8_t *mark;
};

static void rows_free(struct rows *r)
{
	free(r->next);
	free(r->mark);
}

static int rows_add(struct rows *r, uint8_t mark)
{
	if (r->states == r->cap) {
		uint32_t cap = r->cap ? r->cap * 2 : 64;
		size_t k = r->alphabet->classes;
		uint32_t *next = reallocarray(r->next, cap, k * sizeof *next);
		uint8_t *marks;

		if (!next)
			return -1;
		r->next = next;
		marks = realloc(r->mark, cap);
		if (!marks)
			return -1;
		r->mark = marks;
		r->cap = cap;
	}
	r->mark[r->states++] = mark;
	return 0;
}

/* ---- minimisation: Hopcroft's partition refinement ---- */

struct partition {
	uint32_t n, k; /* states, columns */
	uint32_t column[256]; /* a class for each column: classes that never differ share one */
	uint32_t blocks;
	uint32_t *elems, *loc; /* states ordered by block; where a state stands in elems */
	uint32_t *block; /* of a state */
	uint32_t *first, *end, *marked; /* of a block, in elems; the marked ones come first */
	uint32_t *work; /* blocks still to split by */
	uint32_t works;
	uint8_t *in_work;
	uint32_t *from, *start; /* for class c and state t: who goes there, from[start..) */
	uint32_t *touched, *snapshot;
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
	free(p->in_work);
	free(p->from);
	free(p->start);
	free(p->touched);
	free(p->snapshot);
}

static int partition_alloc(struct partition *p)
{
	size_t n = p->n, k = p->k;

	if (n == 0 || k == 0)
		return -1;
	p->elems = calloc(n, sizeof *p->elems);
	p->loc = calloc(n, sizeof *p->loc);
	p->block = calloc(n, sizeof *p->block);
	p->first = calloc(n, sizeof *p->first);
	p->end = calloc(n, sizeof *p->end);
	p->marked = calloc(n, sizeof *p->marked);
	p->work = calloc(n, sizeof *p->work);
	p->in_work = calloc(n, 1);
	p->from = calloc(n * k, sizeof *p->from);
	p->start = calloc((n + 1) * k, sizeof *p->start);
	p->touched = calloc(n, sizeof *p->touched);
	p->snapshot = calloc(n, sizeof *p->snapshot);
	return p->elems && p->loc && p->block && p->first && p->end && p->marked && p->work &&
			       p->in_work && p->from && p->start && p->touched && p->snapshot
		       ? 0
		       : -1;
}

static uint64_t mix(uint64_t h)
{
	h ^= h >> 32;
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 29;
}

static int same_column(const struct rows *r, size_t x, size_t y)
{
	size_t k = r->alphabet->classes;

	for (size_t s = 0; s < r->states; s++) {
		if (r->next[s * k + x] != r->next[s * k + y])
			return 0;
	}
	return 1;
}

/* One rule tells few of the alphabet's classes apart: the others need no look each. */
static void partition_columns(struct partition *p, const struct rows *r)
{
	size_t k = r->alphabet->classes;
	uint64_t hash[256] = {0};

	for (size_t s = 0; s < r->states; s++) {
		for (size_t c = 0; c < k; c++)
			hash[c] = mix(hash[c] ^ r->next[s * k + c]);
	}
	for (size_t c = 0; c < k; c++) {
		uint32_t i = 0;

		while (i < p->k &&
			(hash[p->column[i]] != hash[c] || !same_column(r, p->column[i], c)))
			i++;
		if (i == p->k)
			p->column[p->k++] = (uint32_t)c;
	}
}

/* Who goes to a state by a column: a counting sort. */
static void partition_invert(struct partition *p, const struct rows *r)
{
	size_t k = r->alphabet->classes;

	for (uint32_t c = 0; c < p->k; c++) {
		uint32_t *start = p->start + (size_t)c * (p->n + 1);
		uint32_t *from = p->from + (size_t)c * p->n, sum = 0;

		for (uint32_t s = 0; s < p->n; s++)
			start[r->next[s * k + p->column[c]]]++;
		for (uint32_t t = 0; t <= p->n; t++) {
			uint32_t count = t < p->n ? start[t] : 0;

			start[t] = sum;
			sum += count;
		}
		for (uint32_t s = 0; s < p->n; s++)
			from[start[r->next[s * k + p->column[c]]]++] = s;
		for (uint32_t t = p->n; t > 0; t--)
			start[t] = start[t - 1];
		start[0] = 0;
	}
}

static void partition_push(struct partition *p, uint32_t b)
{
	p->in_work[b] = 1;
	p->work[p->works++] = b;
}

static void partition_start(struct partition *p, const struct rows *r)
{
	uint32_t count[256] = {0}, at[256], sum = 0;

	for (uint32_t s = 0; s < p->n; s++)
		count[r->mark[s]]++;
	for (unsigned m = 0; m < 256; m++) {
		at[m] = sum;
		if (count[m] == 0)
			continue;
		p->first[p->blocks] = sum;
		sum += count[m];
		p->end[p->blocks] = sum;
		partition_push(p, p->blocks++);
	}
	for (uint32_t s = 0; s < p->n; s++) {
		p->loc[s] = at[r->mark[s]]++;
		p->elems[p->loc[s]] = s;
	}
	for (uint32_t b = 0; b < p->blocks; b++) {
		for (uint32_t i = p->first[b]; i < p->end[b]; i++)
			p->block[p->elems[i]] = b;
	}
}

static void partition_mark(struct partition *p, uint32_t s, uint32_t *touched)
{
	uint32_t b = p->block[s], to = p->first[b] + p->marked[b], at = p->loc[s], other;

	if (at < to)
		return; /* marked already */
	if (p->marked[b]++ == 0)
		p->touched[(*touched)++] = b;
	other = p->elems[to];
	p->elems[to] = s;
	p->elems[at] = other;
	p->loc[s] = to;
	p->loc[other] = at;
}

/* The marked states of b become a block of their own, if there are others. */
static void partition_split(struct partition *p, uint32_t b)
{
	uint32_t marked = p->marked[b], size = p->end[b] - p->first[b], new = p->blocks;

	p->marked[b] = 0;
	if (marked == size)
		return;
	p->first[new] = p->first[b];
	p->end[new] = p->first[b] + marked;
	p->first[b] = p->end[new];
	for (uint32_t i = p->first[new]; i < p->end[new]; i++)
		p->block[p->elems[i]] = new;
	p->blocks++;
	if (p->in_work[b] || marked <= size - marked)
		partition_push(p, new);
	else
		partition_push(p, b);
}

static void partition_refine(struct partition *p)
{
	while (p->works) {
		uint32_t b = p->work[--p->works], n = p->end[b] - p->first[b];

		p->in_work[b] = 0;
		memcpy(p->snapshot, p->elems + p->first[b], n * sizeof *p->snapshot);
		for (uint32_t c = 0; c < p->k; c++) {
			const uint32_t *start = p->start + (size_t)c * (p->n + 1);
			const uint32_t *from = p->from + (size_t)c * p->n;
			uint32_t touched = 0;

			for (uint32_t i = 0; i < n; i++) {
				uint32_t t = p->snapshot[i];

				for (uint32_t j = start[t]; j < start[t + 1]; j++)
					partition_mark(p, from[j], &touched);
			}
			for (uint32_t i = 0; i < touched; i++)
				partition_split(p, p->touched[i]);
		}
	}
}

/* 1 when a row leads nowhere but to its own block. */
static int is_absorbing(const struct partition *p, const uint32_t *row, uint32_t b)
{
	for (uint32_t c = 0; c < p->k; c++) {
		if (p->block[row[p->column[c]]] != b)
			return 0;
	}
	return 1;
}

/* Numbers the blocks as a walk from the start meets them, which makes the numbers canonical; those
 * that are never left come last. order gets a state of each. */
static void number_blocks(const struct partition *p, const struct rows *r, uint32_t *number,
	uint32_t *order, struct dfa *d)
{
	size_t k = r->alphabet->classes;
	uint32_t met = 1, left = 0, *walk = order, last;

	memset(number, 0xff, p->blocks * sizeof *number);
	walk[0] = 0;
	number[p->block[0]] = 0;
	for (uint32_t i = 0; i < met; i++) {
		for (size_t c = 0; c < k; c++) {
			uint32_t to = r->next[walk[i] * k + c];

			if (number[p->block[to]] == UINT32_MAX) {
				number[p->block[to]] = met;
				walk[met++] = to;
			}
		}
	}
	last = met;
	for (uint32_t i = 0; i < met; i++) { /* p->touched is free now */
		uint32_t s = walk[i], b = p->block[s];

		if (i > 0 && is_absorbing(p, r->next + s * k, b)) {
			p->touched[--last] = s;
			number[b] = last;
		} else {
			p->touched[left] = s;
			number[b] = left++;
		}
	}
	memcpy(order, p->touched, met * sizeof *order);
	d->states = met;
	d->absorbing = last;
}

static enum dfa_status partition_read(
	const struct partition *p, const struct rows *r, struct dfa **out)
{
	struct dfa *d;
	uint32_t *number, *order;
	size_t k = r->alphabet->classes;

	if (p->blocks > DFA_STATES_MAX)
		return DFA_TOO_LARGE;
	d = calloc(1, sizeof *d);
	number = malloc(p->blocks * sizeof *number);
	order = malloc(p->blocks * sizeof *order);
	if (d) {
		d->alphabet = r->alphabet;
		d->next = malloc(p->blocks * k * sizeof *d->next);
		d->mark = malloc(p->blocks);
	}
	if (!d || !number || !order || !d->next || !d->mark) {
		dfa_free(d);
		free(number);
		free(order);
		return DFA_NO_MEMORY;
	}
	number_blocks(p, r, number, order, d);
	for (uint32_t i = 0; i < d->states; i++) {
		const uint32_t *row = r->next + order[i] * k;

		d->mark[i] = r->mark[order[i]];
		for (size_t c = 0; c < k; c++)
			d->next[i * k + c] = (uint16_t)number[p->block[row[c]]];
	}
	free(number);
	free(order);
	*out = d;
	return DFA_OK;
}

/* All states of r can be reached from state 0. */
static enum dfa_status minimise(const struct rows *r, struct dfa **out)
{
	struct partition p = {.n = r->states};
	enum dfa_status status = DFA_NO_MEMORY;

	if (spend(r->alphabet, 12 * (uint64_t)r->states * r->alphabet->classes))
		return DFA_TOO_LARGE;
	partition_columns(&p, r);
	if (partition_alloc(&p) == 0) {
		partition_invert(&p, r);
		partition_start(&p, r);
		partition_refine(&p);
		status = partition_read(&p, r, out);
	}
	partition_free(&p);
	return status;
}

/* ---- a table of what was met ---- */

struct seen {
	uint32_t *slot; /* id + 1; 0: free */
	uint32_t mask, used;
};

static int seen_grow(struct seen *t, const uint64_t *hash)
{
	uint32_t size = t->slot ? (t->mask + 1) * 2 : 256;
	uint32_t *slot = calloc(size, sizeof *slot);

	if (!slot)
		return -1;
	for (uint32_t i = 0; i < t->used; i++) {
		uint32_t at = (uint32_t)hash[i] & (size - 1);

		while (slot[at])
			at = (at + 1) & (size - 1);
		slot[at] = i + 1;
	}
	free(t->slot);
	t->slot = slot;
	t->mask = size - 1;
	return 0;
}

/* ---- expression to NFA ---- */

struct nfa_state {
	struct byteset set; /* empty for a split and for the end */
	uint32_t out, other;
	int split;
};

struct nfa {
	const struct alphabet *alphabet;
	struct nfa_state *state;
	uint32_t n, cap;
	enum dfa_status status; /* of the first failure; states after it mean nothing */
};

#define NFA_END 0u

/* Alternatives that take more states than this become an automaton of their own first: many of them
 * at once, each with its own `anything may follow`, is what makes subset construction explode. */
#define ALTERNATIVES_INLINE 40u

static uint32_t nfa_add(struct nfa *n, uint32_t out)
{
	if (n->n == n->cap) {
		uint32_t cap = n->cap ? n->cap * 2 : 64;
		struct nfa_state *state =
			n->cap > UINT32_MAX / 4 ? NULL : reallocarray(n->state, cap, sizeof *state);

		if (!state) {
			n->status = DFA_NO_MEMORY;
			return NFA_END;
		}
		n->state = state;
		n->cap = cap;
	}
	n->state[n->n] = (struct nfa_state){.out = out};
	return n->n++;
}

static uint32_t nfa_split(struct nfa *n, uint32_t out, uint32_t other)
{
	uint32_t s = nfa_add(n, out);

	if (n->status)
		return NFA_END;
	n->state[s].split = 1;
	n->state[s].other = other;
	return s;
}

/* The bytes that lead from one state of an automaton to another. */
static struct byteset bytes_between(const struct dfa *d, uint32_t from, uint32_t to)
{
	struct byteset s = {{0}};

	for (unsigned b = 0; b < 256; b++) {
		if (dfa_step(d, from, (unsigned char)b) == to)
			byteset_add(&s, b);
	}
	return s;
}

/* 1 when the state and all that follows it accept nothing. */
static int is_sink(const struct dfa *d, uint32_t s)
{
	unsigned k = d->alphabet->classes;

	for (unsigned c = 0; c < k; c++) {
		if (d->next[(size_t)s * k + c] != s)
			return 0;
	}
	return d->mark[s] == 0;
}

/* What state s of an embedded automaton offers, in front of `rest`: its transitions, one set of bytes
 * for each target. entry[t] is the NFA state that stands for t. */
static uint32_t nfa_transitions(
	struct nfa *n, const struct dfa *d, uint32_t s, const uint32_t *entry, uint32_t rest)
{
	unsigned k = d->alphabet->classes;

	for (unsigned c = 0; c < k; c++) {
		uint32_t to = d->next[(size_t)s * k + c], step;
		unsigned first = 0;

		while (d->next[(size_t)s * k + first] != to)
			first++;
		if (first != c || is_sink(d, to)) /* done already, or leads nowhere */
			continue;
		step = nfa_add(n, entry[to]);
		if (n->status)
			return NFA_END;
		n->state[step].set = bytes_between(d, s, to);
		rest = nfa_split(n, step, rest);
	}
	return rest;
}

/* Puts a whole automaton before state `out`. */
static uint32_t nfa_embed(struct nfa *n, const struct dfa *d, uint32_t out)
{
	uint32_t *entry = calloc(d->states, sizeof *entry), nowhere = nfa_add(n, out), start;

	if (!entry)
		n->status = DFA_NO_MEMORY;
	for (uint32_t s = 0; !n->status && s < d->states; s++)
		entry[s] = nfa_split(n, nowhere, nowhere);
	for (uint32_t s = 0; !n->status && s < d->states; s++) {
		uint32_t first = nfa_transitions(n, d, s, entry, d->mark[s] ? out : nowhere);

		if (!n->status)
			n->state[entry[s]].out = first;
	}
	start = entry && !n->status ? entry[0] : NFA_END;
	free(entry);
	return start;
}

static enum dfa_status build_alternatives(
	const struct alphabet *a, const struct re *r, uint8_t mark, struct dfa **out);

/* Adds r before state `out`; the state it starts with. */
static uint32_t nfa_compile(struct nfa *n, const struct re *r, uint32_t out)
{
	struct dfa *d = NULL;
	uint32_t s, body;

	if (n->status)
		return NFA_END;
	switch (r->type) {
	case RE_EMPTY:
		return out;
	case RE_NONE:
		return nfa_add(n, out); /* an empty set: nothing goes on */
	case RE_SET:
		s = nfa_add(n, out);
		if (!n->status)
			n->state[s].set = r->u.set;
		return s;
	case RE_TEXT:
		for (size_t i = r->u.text.n; i > 0 && !n->status; i--) {
			out = nfa_add(n, out);
			if (!n->status)
				byteset_add(&n->state[out].set, r->u.text.p[i - 1]);
		}
		return out;
	case RE_CAT:
		return nfa_compile(n, r->u.sub.a, nfa_compile(n, r->u.sub.b, out));
	case RE_ALT:
		if (r->nodes > ALTERNATIVES_INLINE) {
			n->status = build_alternatives(n->alphabet, r, 1, &d);
			s = n->status ? NFA_END : nfa_embed(n, d, out);
			dfa_free(d);
			return s;
		}
		body = nfa_compile(n, r->u.sub.a, out);
		return nfa_split(n, body, nfa_compile(n, r->u.sub.b, out));
	case RE_STAR:
		s = nfa_split(n, out, out);
		body = nfa_compile(n, r->u.sub.a, s);
		if (!n->status)
			n->state[s].out = body;
		return s;
	}
	return out;
}

/* ---- NFA to DFA: sets of states as bit rows ---- */

struct subset {
	const struct alphabet *alphabet;
	const struct nfa *nfa;
	size_t words; /* of a bit row */
	uint64_t *closure; /* [state]: what can be reached without a byte */
	struct byteset *classes; /* [state]: of the bytes that it takes */
	uint64_t *set; /* [subset] */
	uint64_t *row; /* [class]: where a subset goes */
	uint64_t *hash; /* [subset] */
	uint64_t *splits; /* a bit row */
	uint32_t *stack;
	uint32_t cap;
	struct seen seen;
	struct rows rows;
	uint8_t mark;
};

static void subset_free(struct subset *b)
{
	free(b->closure);
	free(b->classes);
	free(b->set);
	free(b->row);
	free(b->hash);
	free(b->splits);
	free(b->stack);
	free(b->seen.slot);
	rows_free(&b->rows);
}

static struct byteset classes_of(const struct alphabet *a, const struct byteset *bytes)
{
	struct byteset classes = {{0}};

	for (unsigned i = 0; i < 4; i++) {
		for (uint64_t m = bytes->w[i]; m; m &= m - 1)
			byteset_add(&classes, a->of[i * 64 + (unsigned)__builtin_ctzll(m)]);
	}
	return classes;
}

static void close_state(struct subset *b, uint32_t s)
{
	uint64_t *row = b->closure + s * b->words;
	uint32_t depth = 0;

	b->stack[depth++] = s;
	row[s / 64] |= UINT64_C(1) << (s % 64);
	while (depth) {
		const struct nfa_state *q = &b->nfa->state[b->stack[--depth]];
		uint32_t to[2] = {q->out, q->other};

		for (int i = 0; q->split && i < 2; i++) {
			if (row[to[i] / 64] >> (to[i] % 64) & 1)
				continue;
			row[to[i] / 64] |= UINT64_C(1) << (to[i] % 64);
			b->stack[depth++] = to[i];
		}
	}
	for (size_t i = 0; i < b->words; i++) /* splits say nothing more */
		row[i] &= ~b->splits[i];
}

static uint64_t hash_row(const uint64_t *row, size_t words)
{
	uint64_t h = 7;

	for (size_t i = 0; i < words; i++)
		h = mix(h ^ row[i]);
	return h;
}

static enum dfa_status subset_room(struct subset *b)
{
	uint32_t cap = b->cap ? b->cap * 2 : 64;
	uint64_t *p;

	if (b->rows.states < b->cap)
		return DFA_OK;
	if (cap * b->words * sizeof *b->set > SUBSET_BYTES_MAX)
		return DFA_TOO_LARGE;
	p = reallocarray(b->set, cap, b->words * sizeof *p);
	if (!p)
		return DFA_NO_MEMORY;
	b->set = p;
	p = reallocarray(b->hash, cap, sizeof *p);
	if (!p)
		return DFA_NO_MEMORY;
	b->hash = p;
	b->cap = cap;
	return DFA_OK;
}

/* The number of a subset, a new one if it was not met before. */
static enum dfa_status subset_number(struct subset *b, const uint64_t *row, uint32_t *out)
{
	uint64_t h = hash_row(row, b->words);
	enum dfa_status status;
	uint32_t at;

	if (!b->seen.slot || b->seen.used * 2 > b->seen.mask) {
		if (seen_grow(&b->seen, b->hash))
			return DFA_NO_MEMORY;
	}
	for (at = (uint32_t)h & b->seen.mask; b->seen.slot[at]; at = (at + 1) & b->seen.mask) {
		uint32_t id = b->seen.slot[at] - 1;

		if (b->hash[id] == h &&
			memcmp(b->set + id * b->words, row, b->words * sizeof *row) == 0) {
			*out = id;
			return DFA_OK;
		}
	}
	if (b->rows.states == DFA_STATES_MAX)
		return DFA_TOO_LARGE;
	status = subset_room(b);
	if (status)
		return status;
	*out = b->rows.states;
	memcpy(b->set + *out * b->words, row, b->words * sizeof *row);
	b->hash[*out] = h;
	b->seen.slot[at] = *out + 1;
	b->seen.used++;
	return rows_add(&b->rows, row[NFA_END] & 1 ? b->mark : 0) ? DFA_NO_MEMORY : DFA_OK;
}

/* What NFA state s contributes to the row of a subset. */
static void add_targets(struct subset *b, size_t s)
{
	const uint64_t *to = b->closure + b->nfa->state[s].out * b->words;
	const struct byteset *classes = &b->classes[s];

	for (unsigned i = 0; i < 4; i++) {
		for (uint64_t m = classes->w[i]; m; m &= m - 1) {
			size_t c = i * 64 + (unsigned)__builtin_ctzll(m);

			for (size_t j = 0; j < b->words; j++)
				b->row[c * b->words + j] |= to[j];
		}
	}
}

/* Where subset `from` goes, by class. */
static void subset_step(struct subset *b, uint32_t from)
{
	const uint64_t *set = b->set + from * b->words;

	memset(b->row, 0, b->alphabet->classes * b->words * sizeof *b->row);
	for (size_t w = 0; w < b->words; w++) {
		for (uint64_t bits = set[w]; bits; bits &= bits - 1) {
			size_t s = w * 64 + (size_t)__builtin_ctzll(bits);

			if (s != NFA_END)
				add_targets(b, s);
		}
	}
}

static enum dfa_status subset_all(struct subset *b, uint32_t start)
{
	unsigned k = b->alphabet->classes;
	enum dfa_status status;
	uint32_t id;

	for (uint32_t s = 0; s < b->nfa->n; s++) {
		if (b->nfa->state[s].split)
			b->splits[s / 64] |= UINT64_C(1) << (s % 64);
	}
	for (uint32_t s = 0; s < b->nfa->n; s++) {
		close_state(b, s);
		b->classes[s] = classes_of(b->alphabet, &b->nfa->state[s].set);
	}
	/* The analyzer loses sight of the closure here; subset_free frees it. */
	status = subset_number( // NOLINT(clang-analyzer-unix.Malloc)
		b, b->closure + start * b->words, &id);
	for (uint32_t i = 0; !status && i < b->rows.states; i++) {
		if (spend(b->alphabet, 4 * (uint64_t)k * b->words + 20 * b->words))
			return DFA_TOO_LARGE;
		subset_step(b, i);
		for (unsigned c = 0; !status && c < k; c++) {
			status = subset_number(b, b->row + c * b->words, &id);
			if (!status)
				b->rows.next[(size_t)i * k + c] = id;
		}
	}
	return status;
}

static enum dfa_status subset_alloc(struct subset *b)
{
	size_t n = b->nfa->n;

	b->words = (n + 63) / 64;
	if (n * b->words * sizeof *b->closure > SUBSET_BYTES_MAX)
		return DFA_TOO_LARGE;
	b->closure = calloc(n * b->words, sizeof *b->closure);
	b->classes = calloc(n, sizeof *b->classes);
	b->row = calloc(b->alphabet->classes * b->words, sizeof *b->row);
	b->splits = calloc(b->words, sizeof *b->splits);
	b->stack = calloc(n, sizeof *b->stack);
	return b->splits && b->closure && b->classes && b->row && b->stack ? DFA_OK : DFA_NO_MEMORY;
}

static enum dfa_status determinise(const struct alphabet *a, const struct nfa *n, uint32_t start,
	uint8_t mark, struct dfa **out)
{
	struct subset b = {.alphabet = a, .nfa = n, .mark = mark, .rows.alphabet = a};
	enum dfa_status status = subset_alloc(&b);

	if (!status)
		status = subset_all(&b, start);
	if (!status)
		status = minimise(&b.rows, out);
	subset_free(&b);
	return status;
}

static enum dfa_status build_plain(
	const struct alphabet *a, const struct re *r, uint8_t mark, struct dfa **out)
{
	struct nfa n = {.alphabet = a};
	uint32_t start;

	nfa_add(&n, NFA_END);
	start = nfa_compile(&n, r, NFA_END);
	if (!n.status)
		n.status = determinise(a, &n, start, mark, out);
	free(n.state);
	return n.status;
}

static size_t count_alternatives(const struct re *r)
{
	return r->type == RE_ALT ? count_alternatives(r->u.sub.a) + count_alternatives(r->u.sub.b)
				 : 1;
}

static void list_alternatives(const struct re *r, const struct re **list, size_t *n)
{
	if (r->type == RE_ALT) {
		list_alternatives(r->u.sub.a, list, n);
		list_alternatives(r->u.sub.b, list, n);
	} else {
		list[(*n)++] = r;
	}
}

/* Each alternative on its own, then products along a tree. */
static enum dfa_status build_alternatives(
	const struct alphabet *a, const struct re *r, uint8_t mark, struct dfa **out)
{
	size_t count = count_alternatives(r), n = 0;
	const struct re **list = calloc(count, sizeof(const struct re *));
	struct dfa **d = calloc(count, sizeof(struct dfa *));
	struct dfa_range left = {0}, right = {0};
	enum dfa_status status = list && d ? DFA_OK : DFA_NO_MEMORY;

	if (!status)
		list_alternatives(r, list, &n);
	for (size_t i = 0; !status && i < n; i++)
		status = build_plain(a, list[i], mark, &d[i]);
	if (!status)
		status = dfa_merge(d, n, dfa_max, NULL, out, &left, &right);
	for (size_t i = 0; d && i < n; i++)
		dfa_free(d[i]);
	free(list);
	free(d);
	return status;
}

enum dfa_status dfa_build(
	const struct alphabet *a, const struct re *r, uint8_t mark, struct dfa **out)
{
	*out = NULL;
	return r->nodes > ALTERNATIVES_INLINE ? build_alternatives(a, r, mark, out)
					      : build_plain(a, r, mark, out);
}

/* ---- products ---- */

struct product {
	const struct dfa *x, *y;
	dfa_op *op;
	void *ctx;
	uint64_t *key; /* [state]: the pair */
	uint64_t *hash;
	uint32_t cap;
	struct seen seen;
	struct rows rows;
	uint8_t *fixed_x, *fixed_y; /* [state]: nothing that follows changes the mark */
};

static void product_free(struct product *p)
{
	free(p->key);
	free(p->hash);
	free(p->seen.slot);
	free(p->fixed_x);
	free(p->fixed_y);
	rows_free(&p->rows);
}

/* 1 when no word leads away from the state and op takes no notice of what the other side says. */
static uint8_t is_fixed(const struct product *p, const struct dfa *d, uint32_t s, int swapped)
{
	const struct dfa *other = swapped ? p->x : p->y;
	unsigned k = d->alphabet->classes;
	int first = -1;

	for (unsigned c = 0; c < k; c++) {
		if (d->next[(size_t)s * k + c] != s)
			return 0;
	}
	for (uint32_t t = 0; t < other->states; t++) {
		uint8_t m = swapped ? p->op(p->ctx, other->mark[t], d->mark[s])
				    : p->op(p->ctx, d->mark[s], other->mark[t]);

		if (first >= 0 && first != m)
			return 0;
		first = m;
	}
	return 1;
}

static int product_fixed(struct product *p)
{
	p->fixed_x = calloc(p->x->states, 1);
	p->fixed_y = calloc(p->y->states, 1);
	if (!p->fixed_x || !p->fixed_y)
		return -1;
	for (uint32_t s = 0; s < p->x->states; s++)
		p->fixed_x[s] = is_fixed(p, p->x, s, 0);
	for (uint32_t s = 0; s < p->y->states; s++)
		p->fixed_y[s] = is_fixed(p, p->y, s, 1);
	return 0;
}

static int product_room(struct product *p)
{
	uint32_t cap = p->cap ? p->cap * 2 : 256;
	uint64_t *q;

	if (p->rows.states < p->cap)
		return 0;
	q = reallocarray(p->key, cap, sizeof *q);
	if (!q)
		return -1;
	p->key = q;
	q = reallocarray(p->hash, cap, sizeof *q);
	if (!q)
		return -1;
	p->hash = q;
	p->cap = cap;
	return 0;
}

static enum dfa_status product_number(struct product *p, uint32_t x, uint32_t y, uint32_t *out)
{
	uint64_t key, h;
	uint32_t at;

	if (p->fixed_x[x])
		y = 0;
	else if (p->fixed_y[y])
		x = 0;
	/* A pair that is fixed keeps which side fixed it: (x, 0) and (0, y) are also real pairs. */
	key = (uint64_t)x << 32 | y << 2 | (p->fixed_x[x] ? 1u : p->fixed_y[y] ? 2u : 0u);
	h = mix(key + 1);
	if (!p->seen.slot || p->seen.used * 2 > p->seen.mask) {
		if (seen_grow(&p->seen, p->hash))
			return DFA_NO_MEMORY;
	}
	for (at = (uint32_t)h & p->seen.mask; p->seen.slot[at]; at = (at + 1) & p->seen.mask) {
		if (p->key[p->seen.slot[at] - 1] == key) {
			*out = p->seen.slot[at] - 1;
			return DFA_OK;
		}
	}
	if (p->rows.states == PRODUCT_STATES_MAX)
		return DFA_TOO_LARGE;
	if (product_room(p))
		return DFA_NO_MEMORY;
	*out = p->rows.states;
	p->key[*out] = key;
	p->hash[*out] = h;
	p->seen.slot[at] = *out + 1;
	p->seen.used++;
	return rows_add(&p->rows, p->op(p->ctx, p->x->mark[x], p->y->mark[y])) ? DFA_NO_MEMORY
									       : DFA_OK;
}

static enum dfa_status product_all(struct product *p)
{
	unsigned k = p->x->alphabet->classes;
	enum dfa_status status;
	uint32_t id;

	if (product_fixed(p))
		return DFA_NO_MEMORY;
	status = product_number(p, 0, 0, &id);
	for (uint32_t i = 0; !status && i < p->rows.states; i++) {
		if (spend(p->x->alphabet, 6 * (uint64_t)k))
			return DFA_TOO_LARGE;
		uint32_t x = (uint32_t)(p->key[i] >> 32), y = (uint32_t)p->key[i] >> 2;
		unsigned fixed = p->key[i] & 3;

		for (unsigned c = 0; !status && c < k; c++) {
			id = i;
			if (!fixed)
				status = product_number(p, p->x->next[(size_t)x * k + c],
					p->y->next[(size_t)y * k + c], &id);
			if (!status)
				p->rows.next[(size_t)i * k + c] = id;
		}
	}
	return status;
}

enum dfa_status dfa_product(
	const struct dfa *x, const struct dfa *y, dfa_op *op, void *ctx, struct dfa **out)
{
	struct product p = {.x = x, .y = y, .op = op, .ctx = ctx, .rows.alphabet = x->alphabet};
	enum dfa_status status = product_all(&p);

	*out = NULL;
	if (!status)
		status = minimise(&p.rows, out);
	product_free(&p);
	return status;
}

uint8_t dfa_max(void *ctx, uint8_t x, uint8_t y)
{
	(void)ctx;
	return x > y ? x : y;
}

uint8_t dfa_and(void *ctx, uint8_t x, uint8_t y)
{
	(void)ctx;
	return x && y;
}

uint8_t dfa_but_not(void *ctx, uint8_t x, uint8_t y)
{
	(void)ctx;
	return y ? 0 : x;
}

uint8_t dfa_keep(void *ctx, uint8_t x, uint8_t y)
{
	(void)ctx;
	return y ? x : 0;
}

struct merge {
	struct dfa *const *d;
	dfa_op *op;
	void *ctx;
	struct dfa_range *left, *right;
};

static enum dfa_status merge_range(
	const struct merge *m, struct dfa_range r, struct dfa **out, int *owned)
{
	struct dfa_range left = {r.first, r.first + (r.end - r.first) / 2};
	struct dfa_range right = {left.end, r.end};
	struct dfa *x = NULL, *y = NULL;
	int own_x = 0, own_y = 0;
	enum dfa_status status;

	*owned = 0;
	if (r.end - r.first == 1) {
		*out = m->d[r.first];
		return DFA_OK;
	}
	*out = NULL;
	status = merge_range(m, left, &x, &own_x);
	if (!status)
		status = merge_range(m, right, &y, &own_y);
	if (!status) {
		status = dfa_product(x, y, m->op, m->ctx, out);
		*owned = 1;
		if (status == DFA_TOO_LARGE) {
			*m->left = left;
			*m->right = right;
		}
	}
	if (own_x)
		dfa_free(x);
	if (own_y)
		dfa_free(y);
	return status;
}

static uint8_t take_first(void *ctx, uint8_t x, uint8_t y)
{
	(void)ctx;
	(void)y;
	return x;
}

enum dfa_status dfa_merge(struct dfa *const *d, size_t n, dfa_op *op, void *ctx, struct dfa **out,
	struct dfa_range *left, struct dfa_range *right)
{
	struct merge m = {d, op, ctx, left, right};
	enum dfa_status status;
	int owned;

	status = merge_range(&m, (struct dfa_range){0, n}, out, &owned);
	if (!status && !owned) /* a single one: a copy of it */
		status = dfa_product(d[0], d[0], take_first, NULL, out);
	return status;
}

/* ---- the rest ---- */

struct mapping {
	const uint8_t *map;
};

static uint8_t map_mark(void *ctx, uint8_t x, uint8_t y)
{
	(void)y;
	return ((const struct mapping *)ctx)->map[x];
}

enum dfa_status dfa_map(const struct dfa *d, const uint8_t map[256], struct dfa **out)
{
	struct mapping m = {map};
	uint16_t *next = calloc(d->alphabet->classes, sizeof *next);
	uint8_t mark = 0;
	const struct dfa one = {d->alphabet, 1, 1, next, &mark};
	enum dfa_status status = DFA_NO_MEMORY;

	*out = NULL;
	if (next)
		status = dfa_product(d, &one, map_mark, &m, out);
	free(next);
	return status;
}

uint8_t dfa_run(const struct dfa *d, const void *p, size_t n)
{
	const unsigned char *byte = p;
	uint32_t state = 0;

	for (size_t i = 0; i < n && state < d->absorbing; i++)
		state = dfa_step(d, state, byte[i]);
	return d->mark[state];
}

int dfa_same(const struct dfa *x, const struct dfa *y)
{
	size_t k = x->alphabet->classes;

	return x->states == y->states && memcmp(x->mark, y->mark, x->states) == 0 &&
	       memcmp(x->next, y->next, x->states * k * sizeof *x->next) == 0;
}
