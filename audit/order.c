/* Gaps in sessions and requests without decision; see order.h. Must never grow without bound. */
#include "audit/order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 255u

struct item {
	char *key; /* owned; NULL: free */
	uint64_t index; /* request: its record */
	int64_t epoch, next; /* session */
	int64_t missing; /* session: first n that was skipped in this epoch, -1: none */
	uint64_t missing_at; /* the record that skipped it */
	int ended;
};

/* Open addressing, a power of two, at most three quarters full. */
struct table {
	struct item *item;
	size_t cap, n;
	size_t ended; /* items that a rebuild would drop */
};

struct order {
	struct table sessions, requests;
	struct order_result r;
};

struct order *order_new(void)
{
	return calloc(1, sizeof(struct order));
}

static void clear(struct table *t)
{
	for (size_t i = 0; i < t->cap; i++)
		free(t->item[i].key);
	free(t->item);
	*t = (struct table){0};
}

void order_free(struct order *o)
{
	if (!o)
		return;
	clear(&o->sessions);
	clear(&o->requests);
	free(o);
}

/* FNV-1a. The keys come from a log that may be hostile: what a flood of collisions can do is bounded
 * by PROBE_MAX. */
static size_t hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3u;
	return (size_t)(h ^ h >> 29);
}

#define PROBE_MAX 512u

/* The item with this key, or the free place for it; NULL when it is too far. */
static struct item *probe(const struct table *t, const char *key)
{
	size_t at = hash(key);

	for (size_t i = 0; t->cap && i < PROBE_MAX && i < t->cap; i++) {
		struct item *x = &t->item[(at + i) & (t->cap - 1)];

		if (!x->key || strcmp(x->key, key) == 0)
			return x;
	}
	return NULL;
}

/* Moves what is worth keeping to a table of this size. 0 or -1. */
static int rebuild(struct table *t, size_t cap, int drop_ended)
{
	struct table bigger = {.item = calloc(cap, sizeof(struct item)), .cap = cap};

	if (!bigger.item)
		return -1;
	for (size_t i = 0; i < t->cap; i++) {
		int keep = t->item[i].key && !(drop_ended && t->item[i].ended);
		struct item *x = keep ? probe(&bigger, t->item[i].key) : NULL;

		if (x) {
			*x = t->item[i];
			bigger.n++;
			bigger.ended += x->ended != 0;
		} else {
			free(t->item[i].key);
		}
	}
	free(t->item);
	*t = bigger;
	return 0;
}

static struct item *find(const struct table *t, const char *key)
{
	struct item *x = probe(t, key);

	return x && x->key ? x : NULL;
}

static struct item *insert(struct table *t, const char *key, size_t max)
{
	struct item *x;

	if (t->n * 4 >= t->cap * 3) {
		size_t cap = t->cap ? t->cap * 2 : 64;
		int at_limit = cap / 4 * 3 > max;

		/* At the limit what has ended makes room, when that is worth the work. */
		if (at_limit && t->ended * 4 < t->cap)
			return NULL;
		if (rebuild(t, at_limit ? t->cap : cap, at_limit) < 0)
			return NULL;
	}
	x = probe(t, key);
	if (!x)
		return NULL;
	x->key = strdup(key);
	if (!x->key)
		return NULL;
	t->n++;
	return x;
}

/* Takes an item out and closes the gap it leaves in the probe sequence. */
static void erase(struct table *t, struct item *x)
{
	size_t hole = (size_t)(x - t->item), i = hole;

	free(x->key);
	*x = (struct item){0};
	t->n--;
	for (;;) {
		size_t home;

		i = (i + 1) & (t->cap - 1);
		if (!t->item[i].key)
			return;
		home = hash(t->item[i].key) & (t->cap - 1);
		if (((i - home) & (t->cap - 1)) < ((i - hole) & (t->cap - 1)))
			continue;
		t->item[hole] = t->item[i];
		t->item[i] = (struct item){0};
		hole = i;
	}
}

/* ---- sessions ---- */

static void count_gap(struct order *o, const char *session, uint64_t index)
{
	if (o->r.gaps++ == 0) {
		o->r.gap_index = index;
		snprintf(o->r.gap_session, sizeof o->r.gap_session, "%s", session);
	}
}

static void settle(struct order *o, struct item *x)
{
	if (x->missing >= 0)
		count_gap(o, x->key, x->missing_at);
	x->missing = -1;
}

/* session.resume says up to which n the epoch before it is complete. */
static void resume(
	struct order *o, struct item *x, const json_t *rec, int64_t epoch, uint64_t index)
{
	int64_t after = json_integer_value(json_object_get(rec, "after"));

	if (x->missing >= 0 && x->missing <= after)
		count_gap(o, x->key, x->missing_at);
	else if (after >= x->next)
		count_gap(o, x->key, index);
	x->missing = -1;
	x->epoch = epoch;
	x->next = 0;
}

static void add_to_session(
	struct order *o, const char *s, const char *kind, const json_t *rec, uint64_t index)
{
	int64_t n = json_integer_value(json_object_get(rec, "n"));
	int64_t epoch = json_integer_value(json_object_get(rec, "e"));
	struct item *x = find(&o->sessions, s);

	if (!x) {
		x = insert(&o->sessions, s, ORDER_SESSIONS_MAX);
		if (!x) {
			o->r.incomplete = 1;
			return;
		}
		x->missing = -1;
		o->r.sessions++;
	}
	if (epoch > x->epoch && strcmp(kind, "session.resume") == 0)
		resume(o, x, rec, epoch, index);
	if (epoch != x->epoch || n < x->next) {
		count_gap(o, s, index);
		return;
	}
	if (n > x->next && x->missing < 0) {
		x->missing = x->next;
		x->missing_at = index;
	}
	x->next = n + 1;
	if (strcmp(kind, "session.end") == 0) {
		settle(o, x);
		o->sessions.ended += !x->ended;
		x->ended = 1;
	}
}

/* ---- requests ---- */

static void add_request(struct order *o, const char *key, uint64_t index)
{
	struct item *x = find(&o->requests, key);

	if (x) { /* asked again before it was answered: the first one is the orphan */
		if (o->r.orphans++ == 0)
			o->r.orphan_index = x->index;
		x->index = index;
		return;
	}
	x = insert(&o->requests, key, ORDER_REQUESTS_MAX);
	if (x)
		x->index = index;
	else
		o->r.incomplete = 1;
}

static void add_decision(struct order *o, const char *key)
{
	struct item *x = find(&o->requests, key);

	if (x)
		erase(&o->requests, x);
}

void order_add(struct order *o, const json_t *record, uint64_t index)
{
	const char *s = json_string_value(json_object_get(record, "s"));
	const char *q = json_string_value(json_object_get(record, "q"));
	const char *kind = json_string_value(json_object_get(record, "k"));
	char key[KEY_MAX + 1];
	int n;

	if (!s || !kind)
		return;
	if (json_is_integer(json_object_get(record, "n")))
		add_to_session(o, s, kind, record, index);
	if (!q)
		return;
	n = snprintf(key, sizeof key, "%s\n%s", s, q);
	if (n < 0 || (size_t)n >= sizeof key)
		o->r.incomplete = 1;
	else if (strcmp(kind, "request") == 0)
		add_request(o, key, index);
	else if (strcmp(kind, "decision") == 0)
		add_decision(o, key);
}

/* A request of a session that goes on may be waiting for its human right now. */
static int session_is_open(const struct order *o, const char *request_key)
{
	char s[KEY_MAX + 1];
	const struct item *x;

	snprintf(s, sizeof s, "%.*s", (int)strcspn(request_key, "\n"), request_key);
	x = find(&o->sessions, s);
	return x && !x->ended;
}

void order_finish(struct order *o, struct order_result *out)
{
	uint64_t first = UINT64_MAX;

	for (size_t i = 0; i < o->sessions.cap; i++) {
		if (o->sessions.item[i].key)
			settle(o, &o->sessions.item[i]);
	}
	if (o->r.orphans)
		first = o->r.orphan_index;
	for (size_t i = 0; i < o->requests.cap; i++) {
		const struct item *x = &o->requests.item[i];

		if (x->key && session_is_open(o, x->key)) {
			o->r.pending++;
		} else if (x->key) {
			o->r.orphans++;
			first = x->index < first ? x->index : first;
		}
	}
	if (o->r.orphans)
		o->r.orphan_index = first;
	*out = o->r;
}
