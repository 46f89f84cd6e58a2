/* Observations; see observe.h. Texts come from logs and are hostile: every table has its limit, and a
 * hash of a secret key decides where an entry goes, so that no log can make them slow. */
#include "policy/suggest/observe.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* One key a process: it changes where entries lie, never what comes out. */
static uint64_t hash_of(const void *p, size_t n)
{
	static unsigned char key[crypto_shorthash_KEYBYTES];
	static int ready;
	uint64_t h;

	if (!ready) {
		randombytes_buf(key, sizeof key);
		ready = 1;
	}
	crypto_shorthash((unsigned char *)&h, p, n, key);
	return h;
}

static int index_grow(struct index *x, uint64_t (*hash)(void *ctx, uint32_t i), void *ctx)
{
	struct index grown = {.cap = x->cap ? x->cap * 2 : 1024, .used = x->used};

	if (x->used * 2 < x->cap)
		return 0;
	grown.slot = calloc(grown.cap, sizeof *grown.slot);
	if (!grown.slot)
		return -1;
	for (size_t i = 0; i < x->cap; i++) {
		size_t at;

		if (!x->slot[i])
			continue;
		at = hash(ctx, x->slot[i] - 1) & (grown.cap - 1);
		while (grown.slot[at])
			at = (at + 1) & (grown.cap - 1);
		grown.slot[at] = x->slot[i];
	}
	free(x->slot);
	*x = grown;
	return 0;
}

/* Room for one more element. */
static int array_grow(void **array, size_t n, size_t *cap, size_t size)
{
	size_t more = *cap ? *cap * 2 : 256;
	void *grown;

	if (n < *cap)
		return 0;
	grown = reallocarray(*array, more, size);
	if (!grown)
		return -1;
	*array = grown;
	*cap = more;
	return 0;
}

/* ---- sessions ---- */

static uint64_t session_hash(void *ctx, uint32_t i)
{
	const struct suggest_log *l = ctx;

	return hash_of(l->session[i].id, strlen(l->session[i].id));
}

enum found { FOUND = 0, FULL = 1, NO_MEMORY = -1 };

/* What of a table may be taken: the last fifth is for refusals, so that no flood of other events pushes
 * them out. */
static size_t room(size_t max, int refused)
{
	return refused ? max : max / 5 * 4;
}

static enum found session_of(struct suggest_log *l, const char *id, int refused, uint32_t *out)
{
	size_t at, n = strnlen(id, SUGGEST_TEXT_MAX);

	if (n == SUGGEST_TEXT_MAX)
		return FULL;
	if (index_grow(&l->by_id, session_hash, l))
		return NO_MEMORY;
	at = hash_of(id, n) & (l->by_id.cap - 1);
	for (; l->by_id.slot[at]; at = (at + 1) & (l->by_id.cap - 1)) {
		*out = l->by_id.slot[at] - 1;
		if (strcmp(l->session[*out].id, id) == 0)
			return FOUND;
	}
	if (l->sessions >= room(OBSERVE_SESSIONS_MAX, refused))
		return FULL;
	if (array_grow((void **)&l->session, l->sessions, &l->sessions_cap, sizeof *l->session))
		return NO_MEMORY;
	*out = (uint32_t)l->sessions;
	l->session[*out] = (struct observed_session){.id = strdup(id)};
	if (!l->session[*out].id)
		return NO_MEMORY;
	l->sessions++;
	l->by_id.slot[at] = *out + 1;
	l->by_id.used++;
	return FOUND;
}

static void drop(struct suggest_log *l, uint32_t session, const char *why)
{
	if (!l->session[session].dropped)
		l->session[session].dropped = why;
}

/* Times may come in any order (and be lies): what is not later than the oldest of the ring by more
 * than the span counts as within it. */
static void denied_at(struct suggest_log *l, uint32_t session, uint64_t when)
{
	struct observed_session *s = &l->session[session];
	uint64_t *oldest = &s->denial[s->denials % SUGGEST_STORM_DENIALS];
	uint64_t first;

	*oldest = when;
	s->denials++;
	if (s->denials < SUGGEST_STORM_DENIALS)
		return;
	first = s->denial[s->denials % SUGGEST_STORM_DENIALS];
	if (when < first || when - first <= SUGGEST_STORM_SECONDS)
		drop(l, session, "denied storm");
}

/* ---- actions ---- */

static uint64_t action_hash(void *ctx, uint32_t i)
{
	const struct suggest_log *l = ctx;

	return hash_of(l->action[i].text, strlen(l->action[i].text));
}

static enum found action_of(struct suggest_log *l, const char *text, int refused, uint32_t *out)
{
	size_t at, n = strnlen(text, SUGGEST_TEXT_MAX);

	if (n == SUGGEST_TEXT_MAX)
		return FULL;
	if (index_grow(&l->by_text, action_hash, l))
		return NO_MEMORY;
	at = hash_of(text, n) & (l->by_text.cap - 1);
	for (; l->by_text.slot[at]; at = (at + 1) & (l->by_text.cap - 1)) {
		*out = l->by_text.slot[at] - 1;
		if (strcmp(l->action[*out].text, text) == 0)
			return FOUND;
	}
	if (l->actions >= room(OBSERVE_ACTIONS_MAX, refused) ||
		l->bytes + n > room(OBSERVE_BYTES_MAX, refused))
		return FULL;
	if (array_grow((void **)&l->action, l->actions, &l->actions_cap, sizeof *l->action))
		return NO_MEMORY;
	*out = (uint32_t)l->actions;
	l->action[*out] = (struct observed_action){.text = strdup(text)};
	if (!l->action[*out].text)
		return NO_MEMORY;
	l->actions++;
	l->bytes += n;
	l->by_text.slot[at] = *out + 1;
	l->by_text.used++;
	return FOUND;
}

/* ---- meetings ---- */

static uint64_t pair_hash(uint32_t action, uint32_t session)
{
	const uint32_t pair[2] = {action, session};

	return hash_of(pair, sizeof pair);
}

static uint64_t meet_hash(void *ctx, uint32_t i)
{
	const struct suggest_log *l = ctx;

	return pair_hash(l->meet[i].action, l->meet[i].session);
}

static enum found meet_of(
	struct suggest_log *l, uint32_t action, uint32_t session, int refused, uint32_t *out)
{
	size_t at;

	if (index_grow(&l->by_pair, meet_hash, l))
		return NO_MEMORY;
	at = pair_hash(action, session) & (l->by_pair.cap - 1);
	for (; l->by_pair.slot[at]; at = (at + 1) & (l->by_pair.cap - 1)) {
		*out = l->by_pair.slot[at] - 1;
		if (l->meet[*out].action == action && l->meet[*out].session == session)
			return FOUND;
	}
	if (l->meets >= room(OBSERVE_MEETS_MAX, refused))
		return FULL;
	if (array_grow((void **)&l->meet, l->meets, &l->meets_cap, sizeof *l->meet))
		return NO_MEMORY;
	*out = (uint32_t)l->meets;
	l->meet[*out] = (struct observed_meet){
		.action = action, .session = session, .next = l->action[action].first};
	l->action[action].first = *out + 1;
	l->meets++;
	l->by_pair.slot[at] = *out + 1;
	l->by_pair.used++;
	return FOUND;
}

static void count(struct suggest_log *l, uint32_t meet, const struct suggest_event *ev)
{
	struct observed_meet *m = &l->meet[meet];

	if (m->count[ev->outcome] < UINT32_MAX / 2)
		m->count[ev->outcome]++;
	if (ev->outcome != SUGGEST_APPROVED)
		return;
	l->totals.approved++;
	l->totals.prompts += ev->prompted != 0;
	m->prompts += ev->prompted && m->prompts < UINT32_MAX / 2;
	if (ev->when > m->last)
		m->last = ev->when;
}

int suggest_log_add(struct suggest_log *l, const struct suggest_event *ev, struct error *e)
{
	int refused = ev->outcome == SUGGEST_REFUSED;
	uint32_t session = 0, action = 0, meet = 0;
	enum found f = session_of(l, ev->session, refused, &session);

	l->totals.events++;
	if (f == FOUND && (ev->outcome == SUGGEST_DENIED || ev->outcome == SUGGEST_REFUSED))
		denied_at(l, session, ev->when);
	if (f == FOUND)
		f = action_of(l, ev->action, refused, &action);
	if (f == FOUND)
		f = meet_of(l, action, session, refused, &meet);
	if (f == NO_MEMORY)
		return error_set(e, 0, "out of memory");
	if (f == FULL && refused)
		return error_set(e, 0,
			"more than can be looked through, and some of it was refused by people: "
			"nothing is suggested. Name a shorter time with --since");
	if (f == FULL)
		l->totals.lost++;
	else
		count(l, meet, ev);
	return 0;
}

int suggest_log_drop(struct suggest_log *l, const char *session, const char *why, struct error *e)
{
	uint32_t s;
	enum found f = session_of(l, session, 1, &s);

	if (f == NO_MEMORY)
		return error_set(e, 0, "out of memory");
	if (f == FULL)
		return error_set(e, 0,
			"more sessions than can be looked through. Name a shorter time with "
			"--since");
	drop(l, s, why);
	return 0;
}

void suggest_log_totals(const struct suggest_log *l, struct suggest_totals *out)
{
	*out = l->totals;
	out->sessions = l->sessions;
	for (size_t i = 0; i < l->sessions; i++)
		out->dropped += l->session[i].dropped != NULL;
}

int suggest_log_dropped(
	const struct suggest_log *l, size_t i, const char **session, const char **why)
{
	for (size_t s = 0; s < l->sessions; s++) {
		if (!l->session[s].dropped || i-- > 0)
			continue;
		*session = l->session[s].id;
		*why = l->session[s].dropped;
		return 0;
	}
	return -1;
}

struct suggest_log *suggest_log_new(void)
{
	return calloc(1, sizeof(struct suggest_log));
}

void suggest_log_free(struct suggest_log *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->sessions; i++)
		free(l->session[i].id);
	for (size_t i = 0; i < l->actions; i++)
		free(l->action[i].text);
	free(l->session);
	free(l->action);
	free(l->meet);
	free(l->by_text.slot);
	free(l->by_id.slot);
	free(l->by_pair.slot);
	free(l);
}
