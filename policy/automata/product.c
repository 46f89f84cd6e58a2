/* Two automata at once, and many along a tree; see dfa.h. */
#include <stdlib.h>
#include <string.h>

#include "policy/automata/rows.h"

#define PRODUCT_STATES_MAX 131072u

struct product {
	const struct dfa *x, *y;
	dfa_op *op;
	void *ctx;
	uint64_t *key; /* [state]: the pair */
	uint64_t *hash;
	uint32_t cap;
	struct seen seen;
	struct columns columns;
	uint8_t column_x[256], column_y[256]; /* [column]: which of x's and y's it is */
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

static struct byteset marks_of(const struct dfa *d)
{
	struct byteset marks = {{0}};

	for (uint32_t s = 0; s < d->states; s++)
		byteset_add(&marks, d->mark[s]);
	return marks;
}

/* 1 when no word leads away from the state and op takes no notice of what the other side says. */
static uint8_t is_fixed(
	const struct product *p, const struct dfa *d, uint32_t s, const struct byteset *others)
{
	int first = -1;

	for (unsigned c = 0; c < d->columns; c++) {
		if (d->to[(size_t)s * d->columns + c] != s)
			return 0;
	}
	for (unsigned other = 0; other < 256; other++) {
		uint8_t m;

		if (!byteset_has(others, other))
			continue;
		m = d == p->x ? p->op(p->ctx, d->mark[s], (uint8_t)other)
			      : p->op(p->ctx, (uint8_t)other, d->mark[s]);
		if (first >= 0 && first != m)
			return 0;
		first = m;
	}
	return 1;
}

static int product_fixed(struct product *p)
{
	struct byteset of_x = marks_of(p->x), of_y = marks_of(p->y);

	p->fixed_x = calloc(p->x->states, 1);
	p->fixed_y = calloc(p->y->states, 1);
	if (!p->fixed_x || !p->fixed_y)
		return -1;
	for (uint32_t s = 0; s < p->x->states; s++)
		p->fixed_x[s] = is_fixed(p, p->x, s, &of_y);
	for (uint32_t s = 0; s < p->y->states; s++)
		p->fixed_y[s] = p->x != p->y && is_fixed(p, p->y, s, &of_x);
	return 0;
}

static int product_room(struct product *p)
{
	uint32_t cap = p->cap ? p->cap * 2 : 64;
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

/* A pair that is fixed keeps which side fixed it: (x, 0) and (0, y) are also real pairs. */
static uint64_t pair_key(const struct product *p, uint32_t x, uint32_t y)
{
	if (p->fixed_x[x])
		return (uint64_t)x << 32 | 1u;
	if (p->fixed_y[y])
		return (uint64_t)y << 2 | 2u;
	return (uint64_t)x << 32 | (uint64_t)y << 2;
}

static uint32_t key_x(uint64_t key)
{
	return (uint32_t)(key >> 32);
}

static uint32_t key_y(uint64_t key)
{
	return (uint32_t)key >> 2;
}

static enum dfa_status product_number(struct product *p, uint64_t key, uint32_t *out)
{
	uint64_t h = hash_mix(key + 1);
	uint32_t at;

	if (seen_room(&p->seen, p->hash))
		return DFA_NO_MEMORY;
	for (at = (uint32_t)h & p->seen.mask; p->seen.slot[at]; at = (at + 1) & p->seen.mask) {
		*out = p->seen.slot[at] - 1;
		if (p->key[*out] == key)
			return DFA_OK;
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
	return rows_add(&p->rows, p->op(p->ctx, p->x->mark[key_x(key)], p->y->mark[key_y(key)]))
		       ? DFA_NO_MEMORY
		       : DFA_OK;
}

static enum dfa_status product_row(struct product *p, uint32_t i)
{
	unsigned k = p->columns.n;
	const uint16_t *x = p->x->to + (size_t)key_x(p->key[i]) * p->x->columns;
	const uint16_t *y = p->y->to + (size_t)key_y(p->key[i]) * p->y->columns;
	enum dfa_status status = DFA_OK;
	uint32_t id = i, last_x = UINT32_MAX, last_y = 0;

	if (p->key[i] & 3) {
		for (unsigned c = 0; c < k; c++)
			p->rows.next[(size_t)i * k + c] = i;
		return DFA_OK;
	}
	for (unsigned c = 0; !status && c < k; c++) {
		uint32_t to_x = x[p->column_x[c]], to_y = y[p->column_y[c]];

		if (to_x != last_x || to_y != last_y)
			status = product_number(p, pair_key(p, to_x, to_y), &id);
		last_x = to_x;
		last_y = to_y;
		p->rows.next[(size_t)i * k + c] = id; /* which may have moved */
	}
	return status;
}

static enum dfa_status product_all(struct product *p)
{
	enum dfa_status status;
	uint32_t id;

	columns_one(&p->columns, p->rows.alphabet);
	if (columns_refine(&p->columns, p->rows.alphabet, p->x->column, p->x->columns) ||
		columns_refine(&p->columns, p->rows.alphabet, p->y->column, p->y->columns) ||
		product_fixed(p))
		return DFA_NO_MEMORY;
	p->rows.columns = &p->columns;
	for (unsigned c = 0; c < p->columns.n; c++) {
		p->column_x[c] = p->x->column[p->columns.class[c]];
		p->column_y[c] = p->y->column[p->columns.class[c]];
	}
	status = product_number(p, pair_key(p, 0, 0), &id);
	for (uint32_t i = 0; !status && i < p->rows.states; i++) {
		if (alphabet_spend(p->rows.alphabet, 6 * (uint64_t)p->columns.n))
			return DFA_TOO_LARGE;
		status = product_row(p, i);
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
		status = rows_minimise(&p.rows, out);
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
	uint16_t to = 0;
	uint8_t mark = 0;
	const struct dfa one = {d->alphabet, 1, 0, 1, {0}, &to, &mark};

	return dfa_product(d, &one, map_mark, &m, out);
}
