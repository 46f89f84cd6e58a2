/* Automata of words that are fields, each ended by NUL (`arg` after `arg`): one automaton for the
 * content of each field, and one walk over which fields may come next. Within a field only the few
 * expressions that may stand there are followed, so that the subsets of a whole rule, with an
 * "anything" before and behind each of its arguments, never come to be. */
#include <stdlib.h>
#include <string.h>

#include "policy/automata/choice.h"
#include "policy/automata/rows.h"

#define PLACES_MAX  (1u << 16)
#define ROWS_MAX    131072u
#define ROW_NOWHERE 1u

/* ---- an NFA whose letters are fields ---- */

struct place {
	int split;
	uint32_t label; /* no split: the field that leads to out */
	uint32_t out, other;
};

/* A set of places, between two fields. */
struct point {
	const struct choice *choice; /* NULL: nothing may follow */
	uint32_t entry; /* its row */
	uint32_t *inside; /* [state of the choice]: the row of being there, within a field */
	uint32_t *after; /* [mark]: the point behind the field, + 1 */
};

struct fields {
	const struct alphabet *alphabet;
	uint8_t mark;
	uint32_t n, cap;
	struct place *place; /* 0 is the end */
	struct choices *choices;
	struct bitsets sets; /* of places; numbered as points are */
	struct point *point;
	uint32_t points, points_cap;
	uint64_t *row, row_hash; /* a set under construction */
	uint32_t *stack, *met, meeting;
	struct columns columns;
	struct rows rows;
	enum dfa_status status; /* of the first failure; what comes after it means nothing */
	int unfit; /* failed only because too many fields may stand at one point */
};

static void fail(struct fields *f, enum dfa_status status)
{
	if (!f->status)
		f->status = status;
}

static void fail_unfit(struct fields *f)
{
	f->unfit |= !f->status;
	fail(f, DFA_TOO_LARGE);
}

static uint32_t place_add(struct fields *f, struct place p)
{
	if (f->n == f->cap) {
		uint32_t cap = f->cap ? f->cap * 2 : 64;
		struct place *grown =
			cap > PLACES_MAX ? NULL : reallocarray(f->place, cap, sizeof *grown);

		if (!grown) {
			fail(f, cap > PLACES_MAX ? DFA_TOO_LARGE : DFA_NO_MEMORY);
			return 0;
		}
		f->place = grown;
		f->cap = cap;
	}
	f->place[f->n] = p;
	return f->n++;
}

static uint32_t label_of(struct fields *f, const struct re *r)
{
	uint32_t label = 0;

	if (choices_label(f->choices, r, &label))
		fail(f, DFA_NO_MEMORY);
	return label;
}

/* Adds r before place `out`; the place it starts with. */
static uint32_t places_of(struct fields *f, const struct re *r, uint32_t out)
{
	uint32_t body, at;

	if (f->status)
		return 0;
	if (r->fields & RE_FIELD)
		return place_add(f, (struct place){.label = label_of(f, r), .out = out});
	switch (r->type) {
	case RE_EMPTY:
		return out;
	case RE_CAT:
		return places_of(f, r->u.sub.a, places_of(f, r->u.sub.b, out));
	case RE_ALT:
		body = places_of(f, r->u.sub.a, out);
		at = places_of(f, r->u.sub.b, out);
		return place_add(f, (struct place){.split = 1, .out = body, .other = at});
	case RE_STAR:
		at = place_add(f, (struct place){.split = 1, .out = out, .other = out});
		body = places_of(f, r->u.sub.a, at);
		if (!f->status)
			f->place[at].out = body;
		return at;
	case RE_NONE:
	case RE_SET:
	case RE_TEXT:
		break; /* are fields only as one field */
	}
	fail_unfit(f);
	return 0;
}

/* ---- points ---- */

static void set_begin(struct fields *f)
{
	memset(f->row, 0, f->sets.words * sizeof *f->row);
	f->row_hash = 0;
	f->meeting++;
}

/* Adds a place and what can be reached from it without a field. */
static void set_add(struct fields *f, uint32_t place)
{
	uint32_t depth = 0;

	if (f->met[place] == f->meeting)
		return;
	f->met[place] = f->meeting;
	f->stack[depth++] = place;
	while (depth) {
		uint32_t at = f->stack[--depth], to[2] = {f->place[at].out, f->place[at].other};

		if (!f->place[at].split) {
			f->row[at / 64] |= UINT64_C(1) << (at % 64);
			f->row_hash += bit_hash(at);
		}
		for (int i = 0; f->place[at].split && i < 2; i++) {
			if (f->met[to[i]] == f->meeting)
				continue;
			f->met[to[i]] = f->meeting;
			f->stack[depth++] = to[i];
		}
	}
}

/* The number of the set's point, a new one if it was not met before. */
static uint32_t set_end(struct fields *f)
{
	uint32_t i = 0;

	fail(f, bitsets_number(&f->sets, f->row, f->row_hash, &i));
	if (f->status || i < f->points)
		return i;
	if (f->points == f->points_cap) {
		uint32_t cap = f->points_cap ? f->points_cap * 2 : 16;
		struct point *grown = reallocarray(f->point, cap, sizeof *grown);

		if (!grown) {
			fail(f, DFA_NO_MEMORY);
			return 0;
		}
		f->point = grown;
		f->points_cap = cap;
	}
	f->point[f->points++] = (struct point){0};
	return i;
}

static int in_set(const struct fields *f, uint32_t point, uint32_t place)
{
	return (int)(bitsets_at(&f->sets, point)[place / 64] >> (place % 64) & 1);
}

/* The labels of a point's places, ascending and each once. How many. */
static unsigned labels_at(struct fields *f, uint32_t point, uint32_t label[CHOICE_LABELS_MAX])
{
	unsigned n = 0;

	for (uint32_t p = 1; p < f->n; p++) {
		unsigned i = n;

		if (!in_set(f, point, p))
			continue;
		while (i > 0 && label[i - 1] >= f->place[p].label)
			i--;
		if (i < n && label[i] == f->place[p].label)
			continue;
		if (n == CHOICE_LABELS_MAX) {
			fail_unfit(f);
			return 0;
		}
		memmove(label + i + 1, label + i, (n - i) * sizeof *label);
		label[i] = f->place[p].label;
		n++;
	}
	return n;
}

static int is_matched(const struct choice *c, uint64_t match, uint32_t label)
{
	for (unsigned i = 0; i < c->labels; i++) {
		if (c->label[i] == label)
			return (int)(match >> i & 1);
	}
	return 0;
}

/* The point behind a field that matches some of the labels. */
static uint32_t point_after(
	struct fields *f, uint32_t point, const struct choice *c, uint64_t match)
{
	set_begin(f);
	for (uint32_t p = 1; p < f->n; p++) {
		if (in_set(f, point, p) && is_matched(c, match, f->place[p].label))
			set_add(f, f->place[p].out);
	}
	return set_end(f);
}

static void point_follow(struct fields *f, uint32_t i)
{
	uint32_t label[CHOICE_LABELS_MAX], *after;
	unsigned n = labels_at(f, i, label);
	const struct choice *c;
	int unfit = 0;

	if (n == 0 || f->status)
		return;
	fail(f, choices_of(f->choices, f->alphabet, label, n, &c, &unfit));
	f->unfit |= unfit;
	if (f->status)
		return;
	after = f->point[i].after = calloc(c->matches, sizeof *after);
	f->point[i].choice = c;
	if (!after)
		fail(f, DFA_NO_MEMORY);
	for (uint32_t s = 0; !f->status && s < c->words->states; s++) {
		uint8_t m = c->words->mark[s];

		if (m && !after[m])
			after[m] = point_after(f, i, c, c->match[m]) + 1;
	}
}

static void find_points(struct fields *f, uint32_t start)
{
	f->sets.words = (f->n + 63) / 64;
	f->row = calloc(f->sets.words, sizeof *f->row);
	f->stack = calloc(f->n, sizeof *f->stack);
	f->met = calloc(f->n, sizeof *f->met);
	if (!f->row || !f->stack || !f->met) {
		fail(f, DFA_NO_MEMORY);
		return;
	}
	set_begin(f);
	set_add(f, start);
	set_end(f);
	for (uint32_t i = 0; !f->status && i < f->points; i++) {
		if (alphabet_spend(f->alphabet, 100 + 20 * (uint64_t)f->n))
			fail(f, DFA_TOO_LARGE);
		point_follow(f, i);
	}
}

/* ---- rows: 0 is the start, 1 leads nowhere ---- */

static uint32_t row_new(struct fields *f, uint8_t mark)
{
	if (f->rows.states == ROWS_MAX)
		fail(f, DFA_TOO_LARGE);
	else if (rows_add(&f->rows, mark))
		fail(f, DFA_NO_MEMORY);
	return f->status ? 0 : f->rows.states - 1;
}

static void find_columns(struct fields *f)
{
	columns_one(&f->columns, f->alphabet);
	f->rows.columns = &f->columns;
	for (uint32_t i = 0; i < f->points && !f->status; i++) {
		const struct choice *c = f->point[i].choice;

		if (!c || (i && c == f->point[i - 1].choice))
			continue;
		if (columns_refine(&f->columns, f->alphabet, c->words->column, c->words->columns))
			fail(f, DFA_NO_MEMORY);
	}
}

/* Rows within a field; behind its end, or where nothing can match any more, there is none. */
static void point_inside(struct fields *f, struct point *p)
{
	const struct dfa *d = p->choice->words;

	p->inside = calloc(d->states, sizeof *p->inside);
	if (!p->inside)
		fail(f, DFA_NO_MEMORY);
	for (uint32_t s = 0; !f->status && s < d->states; s++)
		p->inside[s] = d->mark[s] || dfa_is_sink(d, s) ? ROW_NOWHERE : row_new(f, 0);
}

static void row_fill(struct fields *f, const struct point *p, uint32_t state, uint32_t row)
{
	uint32_t *to = f->rows.next + (size_t)row * f->columns.n;

	for (unsigned c = 0; c < f->columns.n; c++) {
		unsigned class = f->columns.class[c];
		uint32_t t = p->choice ? dfa_next(p->choice->words, state, class) : 0;

		if (!p->choice)
			to[c] = ROW_NOWHERE;
		else if (p->choice->words->mark[t]) /* the field ends here */
			to[c] = f->point[p->after[p->choice->words->mark[t]] - 1].entry;
		else
			to[c] = p->inside[t];
	}
}

static void point_fill(struct fields *f, const struct point *p)
{
	row_fill(f, p, 0, p->entry);
	for (uint32_t s = 0; p->choice && s < p->choice->words->states; s++) {
		if (p->inside[s] != ROW_NOWHERE)
			row_fill(f, p, s, p->inside[s]);
	}
}

static void find_rows(struct fields *f)
{
	find_columns(f);
	for (uint32_t i = 0; !f->status && i < f->points; i++) {
		f->point[i].entry = row_new(f, in_set(f, i, 0) ? f->mark : 0);
		if (i == 0)
			row_new(f, 0);
		if (f->point[i].choice && !f->status)
			point_inside(f, &f->point[i]);
	}
	if (!f->status && alphabet_spend(f->alphabet, 4 * (uint64_t)f->rows.states * f->columns.n))
		fail(f, DFA_TOO_LARGE);
	for (unsigned c = 0; !f->status && c < f->columns.n; c++)
		f->rows.next[(size_t)ROW_NOWHERE * f->columns.n + c] = ROW_NOWHERE;
	for (uint32_t i = 0; !f->status && i < f->points; i++)
		point_fill(f, &f->point[i]);
}

static void fields_free(struct fields *f)
{
	for (uint32_t i = 0; i < f->points; i++) {
		free(f->point[i].inside);
		free(f->point[i].after);
	}
	free(f->point);
	free(f->place);
	free(f->row);
	free(f->stack);
	free(f->met);
	bitsets_free(&f->sets);
	rows_free(&f->rows);
}

enum dfa_status fields_build(
	const struct alphabet *a, const struct re *r, uint8_t mark, struct dfa **out, int *unfit)
{
	struct fields *f = calloc(1, sizeof *f);
	enum dfa_status status;
	uint32_t start;

	*out = NULL;
	*unfit = 0;
	if (!f)
		return DFA_NO_MEMORY;
	f->alphabet = f->rows.alphabet = a;
	f->mark = mark;
	f->choices = a->choices ? a->choices : choices_new();
	if (!f->choices) {
		free(f);
		return DFA_NO_MEMORY;
	}
	choices_begin(f->choices, a);
	place_add(f, (struct place){0});
	start = places_of(f, r, 0);
	if (!f->status)
		find_points(f, start);
	if (!f->status)
		find_rows(f);
	if (!f->status)
		fail(f, rows_minimise(&f->rows, out));
	status = f->status;
	*unfit = f->unfit;
	if (!a->choices)
		choices_free(f->choices);
	fields_free(f);
	free(f);
	return status;
}
