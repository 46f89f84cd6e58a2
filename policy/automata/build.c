/* Expression -> NFA -> minimal DFA; see dfa.h.
 *
 * Subset construction is only done for one rule at a time. Rules are put together by products of
 * minimal automata along a tree, which stays small where a subset construction over all rules at
 * once explodes. */
#include <stdlib.h>
#include <string.h>

#include "policy/automata/rows.h"

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

/* The bytes that lead from one state of an automaton to another. bytes: of each column. */
static struct byteset bytes_between(
	const struct dfa *d, const struct byteset *bytes, uint32_t from, uint32_t to)
{
	const uint16_t *row = d->to + (size_t)from * d->columns;
	struct byteset s = {{0}};

	for (unsigned c = 0; c < d->columns; c++) {
		for (unsigned i = 0; row[c] == to && i < 4; i++)
			s.w[i] |= bytes[c].w[i];
	}
	return s;
}

/* What state s of an embedded automaton offers, in front of `rest`: its transitions, one set of bytes
 * for each target. entry[t] is the NFA state that stands for t. */
static uint32_t nfa_transitions(struct nfa *n, const struct dfa *d, const struct byteset *bytes,
	uint32_t s, const uint32_t *entry, uint32_t rest)
{
	const uint16_t *row = d->to + (size_t)s * d->columns;

	for (unsigned c = 0; c < d->columns; c++) {
		uint32_t to = row[c], step;
		unsigned first = 0;

		while (row[first] != to)
			first++;
		if (first != c || dfa_is_sink(d, to)) /* done already, or leads nowhere */
			continue;
		step = nfa_add(n, entry[to]);
		if (n->status)
			return NFA_END;
		n->state[step].set = bytes_between(d, bytes, s, to);
		rest = nfa_split(n, step, rest);
	}
	return rest;
}

/* Puts a whole automaton before state `out`. */
static uint32_t nfa_embed(struct nfa *n, const struct dfa *d, uint32_t out)
{
	uint32_t *entry = calloc(d->states, sizeof *entry), nowhere = nfa_add(n, out), start;
	struct byteset bytes[256] = {{{0}}};

	for (unsigned b = 0; b < 256; b++)
		byteset_add(&bytes[d->column[d->alphabet->of[b]]], b);
	if (!entry)
		n->status = DFA_NO_MEMORY;
	for (uint32_t s = 0; !n->status && s < d->states; s++)
		entry[s] = nfa_split(n, nowhere, nowhere);
	for (uint32_t s = 0; !n->status && s < d->states; s++) {
		uint32_t first = nfa_transitions(n, d, bytes, s, entry, d->mark[s] ? out : nowhere);

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

#define CLOSURE_MAX ((size_t)8 << 20) /* numbers in all closures of one NFA */

struct subset {
	const struct alphabet *alphabet;
	const struct nfa *nfa;
	struct columns columns;
	struct byteset *takes; /* [state]: the columns of the bytes that it takes */
	uint32_t
		*closure; /* what can be reached without a byte; the first word of each: how many */
	size_t closures, cap;
	size_t *closed; /* [state]: where its closure begins, + 1; 0: not known yet */
	uint64_t *row, *row_hash; /* [column]: where a subset goes */
	uint32_t *stack;
	uint32_t *met; /* [state]: in the closure that met number `meeting` collects */
	uint32_t meeting;
	struct bitsets sets;
	struct rows rows;
	uint8_t mark;
};

static void subset_free(struct subset *b)
{
	free(b->takes);
	free(b->closure);
	free(b->closed);
	free(b->row);
	free(b->row_hash);
	free(b->stack);
	free(b->met);
	bitsets_free(&b->sets);
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

/* One rule tells few of the alphabet's classes apart: those that the same states take are one
 * column. takes holds classes before and columns afterwards. */
static int subset_columns(struct subset *b)
{
	uint8_t key[256];

	columns_one(&b->columns, b->alphabet);
	for (uint32_t s = 0; s < b->nfa->n; s++) {
		const struct byteset *t = &b->takes[s];
		int split = 0;

		for (unsigned c = 0; c < b->alphabet->classes; c++) {
			key[c] = (uint8_t)byteset_has(t, c);
			split |= key[c] != byteset_has(t, b->columns.class[b->columns.of[c]]);
		}
		if (split && columns_refine(&b->columns, b->alphabet, key, 2))
			return -1;
	}
	for (uint32_t s = 0; s < b->nfa->n; s++) {
		struct byteset columns = {{0}};

		for (unsigned c = 0; c < b->columns.n; c++) {
			if (byteset_has(&b->takes[s], b->columns.class[c]))
				byteset_add(&columns, c);
		}
		b->takes[s] = columns;
	}
	return 0;
}

static int closure_add(struct subset *b, uint32_t value)
{
	if (b->closures == b->cap) {
		size_t cap = b->cap ? b->cap * 2 : 256;
		uint32_t *p = cap > CLOSURE_MAX ? NULL : reallocarray(b->closure, cap, sizeof *p);

		if (!p)
			return -1;
		b->closure = p;
		b->cap = cap;
	}
	b->closure[b->closures++] = value;
	return 0;
}

/* The closure of a state, without splits, which say nothing more. */
static enum dfa_status closure_of(struct subset *b, uint32_t s, size_t *out)
{
	uint32_t depth = 0;

	if (b->closed[s]) {
		*out = b->closed[s] - 1;
		return DFA_OK;
	}
	*out = b->closures;
	if (closure_add(b, 0))
		return b->cap * 2 > CLOSURE_MAX ? DFA_TOO_LARGE : DFA_NO_MEMORY;
	b->meeting++;
	b->stack[depth++] = s;
	b->met[s] = b->meeting;
	while (depth) {
		uint32_t at = b->stack[--depth];
		const struct nfa_state *q = &b->nfa->state[at];
		uint32_t to[2] = {q->out, q->other};

		if (!q->split && closure_add(b, at))
			return b->cap * 2 > CLOSURE_MAX ? DFA_TOO_LARGE : DFA_NO_MEMORY;
		for (int i = 0; q->split && i < 2; i++) {
			if (b->met[to[i]] == b->meeting)
				continue;
			b->met[to[i]] = b->meeting;
			b->stack[depth++] = to[i];
		}
	}
	b->closure[*out] = (uint32_t)(b->closures - *out - 1);
	b->closed[s] = *out + 1;
	return DFA_OK;
}

static enum dfa_status subset_number(struct subset *b, unsigned c, uint32_t *out)
{
	const uint64_t *row = b->row + c * b->sets.words;
	enum dfa_status status = bitsets_number(&b->sets, row, b->row_hash[c], out);

	/* The analyzer loses sight of the rows here; subset_free frees them. */
	if (status || *out < b->rows.states)
		return status; // NOLINT(clang-analyzer-unix.Malloc)
	if (b->rows.states == DFA_STATES_MAX)
		return DFA_TOO_LARGE;
	return rows_add(&b->rows, row[NFA_END] & 1 ? b->mark : 0) ? DFA_NO_MEMORY : DFA_OK;
}

/* Adds a closure to where the subset goes by column c. */
static void row_add(struct subset *b, unsigned c, const uint32_t *closure)
{
	uint64_t *row = b->row + c * b->sets.words;

	for (uint32_t i = 1; i <= closure[0]; i++) {
		uint64_t bit = UINT64_C(1) << (closure[i] % 64);

		if (row[closure[i] / 64] & bit)
			continue;
		row[closure[i] / 64] |= bit;
		b->row_hash[c] += bit_hash(closure[i]);
	}
}

/* What NFA state s contributes to the row of a subset. */
static enum dfa_status add_targets(struct subset *b, uint32_t s, uint64_t *steps)
{
	size_t at;
	enum dfa_status status = closure_of(b, b->nfa->state[s].out, &at);

	for (unsigned i = 0; !status && i < 4; i++) {
		for (uint64_t m = b->takes[s].w[i]; m; m &= m - 1) {
			row_add(b, i * 64 + (unsigned)__builtin_ctzll(m), b->closure + at);
			*steps += 2 + 2 * (uint64_t)b->closure[at];
		}
	}
	return status;
}

/* Where subset `from` goes, by column. */
static enum dfa_status subset_step(struct subset *b, uint32_t from, uint64_t *steps)
{
	size_t words = b->sets.words;
	enum dfa_status status = DFA_OK;

	memset(b->row, 0, b->columns.n * words * sizeof *b->row);
	memset(b->row_hash, 0, b->columns.n * sizeof *b->row_hash);
	for (size_t w = 0; w < words; w++) {
		for (uint64_t bits = bitsets_at(&b->sets, from)[w]; bits && !status;
			bits &= bits - 1) {
			size_t s = w * 64 + (size_t)__builtin_ctzll(bits);

			if (s != NFA_END)
				status = add_targets(b, (uint32_t)s, steps);
		}
	}
	return status;
}

static enum dfa_status subset_all(struct subset *b, uint32_t start)
{
	unsigned k = b->columns.n;
	enum dfa_status status;
	uint32_t id;
	size_t at;

	status = closure_of(b, start, &at);
	if (status)
		return status;
	row_add(b, 0, b->closure + at);
	status = subset_number(b, 0, &id);
	for (uint32_t i = 0; !status && i < b->rows.states; i++) {
		uint64_t steps = (uint64_t)k * b->sets.words / 2 + 8 * (uint64_t)k;

		status = subset_step(b, i, &steps);
		if (alphabet_spend(b->alphabet, steps))
			return DFA_TOO_LARGE;
		for (unsigned c = 0; !status && c < k; c++) {
			status = subset_number(b, c, &id);
			if (!status)
				b->rows.next[(size_t)i * k + c] = id;
		}
	}
	return status;
}

static enum dfa_status subset_begin(struct subset *b)
{
	size_t n = b->nfa->n, k;

	if (alphabet_spend(b->alphabet, n * (b->alphabet->classes + 20)))
		return DFA_TOO_LARGE;
	b->sets.words = (n + 63) / 64;
	b->takes = calloc(n, sizeof *b->takes);
	b->closed = calloc(n, sizeof *b->closed);
	b->stack = calloc(n + 1, sizeof *b->stack);
	b->met = calloc(n, sizeof *b->met);
	if (!b->takes || !b->closed || !b->stack || !b->met)
		return DFA_NO_MEMORY;
	for (size_t s = 0; s < n; s++)
		b->takes[s] = classes_of(b->alphabet, &b->nfa->state[s].set);
	if (subset_columns(b))
		return DFA_NO_MEMORY;
	k = b->columns.n;
	b->rows.columns = &b->columns;
	b->row = calloc(k * b->sets.words, sizeof *b->row);
	b->row_hash = calloc(k, sizeof *b->row_hash);
	return b->row && b->row_hash ? DFA_OK : DFA_NO_MEMORY;
}

static enum dfa_status determinise(const struct alphabet *a, const struct nfa *n, uint32_t start,
	uint8_t mark, struct dfa **out)
{
	struct subset b = {.alphabet = a, .nfa = n, .mark = mark, .rows.alphabet = a};
	enum dfa_status status = subset_begin(&b);

	if (!status)
		status = subset_all(&b, start);
	if (!status)
		status = rows_minimise(&b.rows, out);
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
	enum dfa_status status;
	int unfit;

	*out = NULL;
	if ((r->fields & RE_FIELDS) && !(r->fields & RE_FIELD)) {
		status = fields_build(a, r, mark, out, &unfit);
		if (!unfit)
			return status;
	}
	return r->nodes > ALTERNATIVES_INLINE ? build_alternatives(a, r, mark, out)
					      : build_plain(a, r, mark, out);
}
