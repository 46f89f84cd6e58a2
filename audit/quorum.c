/* Trust policies; see quorum.h. Must never call a quorum met by fewer keys than it asks for. */
#include "audit/quorum.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

#define LOGS_MAX   64u
#define GROUPS_MAX 64u
#define NAME_CAP   64u
#define URL_CAP    256u
#define WORDS_MAX  (3u + QUORUM_WITNESSES + GROUPS_MAX)

struct group {
	char name[NAME_CAP];
	unsigned least;
	uint64_t witnesses, groups; /* bits */
};

struct quorum {
	size_t logs, witnesses, groups;
	struct note_vkey *log[LOGS_MAX];
	struct {
		char name[NAME_CAP], url[URL_CAP];
		struct note_vkey *vkey;
	} witness[QUORUM_WITNESSES];
	struct group group[GROUPS_MAX];
	int has_quorum;
	struct group quorum; /* one member, or none and least 0 */
};

struct line {
	unsigned number;
	size_t n;
	char *word[WORDS_MAX];
};

__attribute__((format(printf, 3, 4))) static int fault(
	struct error *e, const struct line *l, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return error_set(e, 0, "line %u: %s", l->number, text);
}

static int copy_word(char *to, size_t cap, const char *word)
{
	return snprintf(to, cap, "%s", word) < (int)cap ? 0 : -1;
}

/* Where a name is defined. 0 and its bit in one of the two, or -1. */
static int find_name(
	const struct quorum *q, const char *name, uint64_t *witnesses, uint64_t *groups)
{
	for (size_t i = 0; i < q->witnesses; i++) {
		if (strcmp(q->witness[i].name, name) == 0) {
			*witnesses |= (uint64_t)1 << i;
			return 0;
		}
	}
	for (size_t i = 0; i < q->groups; i++) {
		if (strcmp(q->group[i].name, name) == 0) {
			*groups |= (uint64_t)1 << i;
			return 0;
		}
	}
	return -1;
}

static int check_new_name(const struct quorum *q, const struct line *l, struct error *e)
{
	uint64_t w = 0, g = 0;

	if (strcmp(l->word[1], "none") == 0 || find_name(q, l->word[1], &w, &g) == 0)
		return fault(e, l, "the name %.60s is taken", l->word[1]);
	return 0;
}

static int take_log(struct quorum *q, const struct line *l, struct error *e)
{
	if (l->n < 2 || l->n > 3)
		return fault(e, l, "write log VKEY [URL]");
	if (q->logs == LOGS_MAX)
		return fault(e, l, "too many logs");
	q->log[q->logs] = note_vkey_parse(l->word[1], strlen(l->word[1]), e);
	if (!q->log[q->logs])
		return fault(e, l, "not the key of a log");
	q->logs++;
	return 0;
}

static int take_witness(struct quorum *q, const struct line *l, struct error *e)
{
	size_t i = q->witnesses;

	if (l->n < 3 || l->n > 4)
		return fault(e, l, "write witness NAME VKEY [URL]");
	if (check_new_name(q, l, e) < 0)
		return -1;
	if (i == QUORUM_WITNESSES)
		return fault(e, l, "too many witnesses");
	if (copy_word(q->witness[i].name, NAME_CAP, l->word[1]) < 0 ||
		copy_word(q->witness[i].url, URL_CAP, l->n == 4 ? l->word[3] : "") < 0)
		return fault(e, l, "a name or URL that is too long");
	q->witness[i].vkey = note_witness_parse(l->word[2], strlen(l->word[2]), e);
	if (!q->witness[i].vkey)
		return fault(e, l, "not the key of a witness");
	for (size_t k = 0; k < i; k++) {
		if (memcmp(note_vkey_pub(q->witness[k].vkey), note_vkey_pub(q->witness[i].vkey),
			    32) == 0) {
			note_vkey_free(q->witness[i].vkey);
			return fault(e, l, "the key of %s under another name", q->witness[k].name);
		}
	}
	q->witnesses++;
	return 0;
}

static int take_least(const char *word, size_t members, unsigned *least)
{
	char *end;
	unsigned long k;

	if (strcmp(word, "all") == 0 || strcmp(word, "any") == 0) {
		*least = word[1] == 'l' ? (unsigned)members : 1;
		return 0;
	}
	if (*word < '1' || *word > '9')
		return -1;
	k = strtoul(word, &end, 10);
	*least = (unsigned)k;
	return *end || k > members ? -1 : 0;
}

static int take_group(struct quorum *q, const struct line *l, struct error *e)
{
	struct group *g = &q->group[q->groups];

	if (l->n < 4)
		return fault(e, l, "write group NAME all|any|K MEMBER…");
	if (check_new_name(q, l, e) < 0)
		return -1;
	if (q->groups == GROUPS_MAX)
		return fault(e, l, "too many groups");
	if (copy_word(g->name, NAME_CAP, l->word[1]) < 0)
		return fault(e, l, "a name that is too long");
	if (take_least(l->word[2], l->n - 3, &g->least) < 0)
		return fault(e, l, "write all, any, or a number of at most as many as members");
	for (size_t i = 3; i < l->n; i++) {
		uint64_t w = g->witnesses, k = g->groups;

		if (find_name(q, l->word[i], &g->witnesses, &g->groups) < 0)
			return fault(e, l, "nothing before this line is called %.60s", l->word[i]);
		if (w == g->witnesses && k == g->groups)
			return fault(e, l, "%.60s is a member twice", l->word[i]);
	}
	q->groups++;
	return 0;
}

static int take_quorum(struct quorum *q, const struct line *l, struct error *e)
{
	if (l->n != 2)
		return fault(e, l, "write quorum NAME, or quorum none");
	if (q->has_quorum)
		return fault(e, l, "a second quorum");
	q->has_quorum = 1;
	if (strcmp(l->word[1], "none") == 0)
		return 0;
	q->quorum.least = 1;
	if (find_name(q, l->word[1], &q->quorum.witnesses, &q->quorum.groups) < 0)
		return fault(e, l, "nothing before this line is called %.60s", l->word[1]);
	return 0;
}

static int take_line(struct quorum *q, const struct line *l, struct error *e)
{
	static const struct {
		const char *word;
		int (*take)(struct quorum *q, const struct line *l, struct error *e);
	} kinds[] = {{"log", take_log}, {"witness", take_witness}, {"group", take_group},
		{"quorum", take_quorum}};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strcmp(l->word[0], kinds[i].word) == 0)
			return kinds[i].take(q, l, e);
	}
	return fault(
		e, l, "a line begins with log, witness, group or quorum, not %.60s", l->word[0]);
}

/* Cuts a line into words, in place. 0 or -1. */
static int split(char *text, struct line *l, struct error *e)
{
	char *rest = NULL;

	l->n = 0;
	for (char *w = strtok_r(text, " \t", &rest); w && *w != '#';
		w = strtok_r(NULL, " \t", &rest)) {
		if (l->n == WORDS_MAX)
			return fault(e, l, "too many words");
		l->word[l->n++] = w;
	}
	return 0;
}

static int take_all(struct quorum *q, char *text, struct error *e)
{
	struct line l = {.number = 1};

	for (char *at = text, *lf; *at; at = lf, l.number++) {
		lf = strchr(at, '\n');
		if (lf)
			*lf++ = 0;
		else
			lf = at + strlen(at);
		if (split(at, &l, e) < 0 || (l.n && take_line(q, &l, e) < 0))
			return -1;
	}
	return q->has_quorum ? 0
			     : fault(e, &l, "no quorum line: write quorum NAME, or quorum none");
}

struct quorum *quorum_parse(const char *text, size_t n, struct error *e)
{
	struct quorum *q = calloc(1, sizeof *q);
	char *copy = n <= QUORUM_BYTES ? calloc(1, n + 1) : NULL;
	int ok = q && copy;

	if (!ok)
		error_set(e, n <= QUORUM_BYTES ? ENOMEM : 0, "cannot read the trust policy%s",
			n <= QUORUM_BYTES ? "" : ": more than 64 KiB");
	for (size_t i = 0; ok && i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		copy[i] = text[i];
		ok = c == '\t' || c == '\n' || (c >= 0x20 && c != 0x7f);
		if (!ok)
			error_set(e, 0, "byte %zu: a character that a trust policy cannot have", i);
	}
	if (ok && take_all(q, copy, e) < 0)
		ok = 0;
	free(copy);
	if (!ok) {
		quorum_free(q);
		return NULL;
	}
	return q;
}

void quorum_free(struct quorum *q)
{
	if (!q)
		return;
	for (size_t i = 0; i < q->logs; i++)
		note_vkey_free(q->log[i]);
	for (size_t i = 0; i < q->witnesses; i++)
		note_vkey_free(q->witness[i].vkey);
	free(q);
}

size_t quorum_logs(const struct quorum *q)
{
	return q->logs;
}

const struct note_vkey *quorum_log(const struct quorum *q, size_t i)
{
	return q->log[i];
}

size_t quorum_witnesses(const struct quorum *q)
{
	return q->witnesses;
}

struct quorum_witness quorum_witness(const struct quorum *q, size_t i)
{
	return (struct quorum_witness){q->witness[i].name, q->witness[i].url, q->witness[i].vkey};
}

/* ---- checking ---- */

/* Groups name only what is above them, so one pass over them is enough. */
static int is_met(const struct quorum *q, uint64_t by)
{
	uint64_t met = 0;

	for (size_t i = 0; i < q->groups; i++) {
		const struct group *g = &q->group[i];
		int n = __builtin_popcountll(g->witnesses & by) +
			__builtin_popcountll(g->groups & met);

		if ((unsigned)n >= g->least)
			met |= (uint64_t)1 << i;
	}
	return q->quorum.least == 0 || (q->quorum.witnesses & by) || (q->quorum.groups & met);
}

/* The earliest time at which those who had signed by then were enough. */
static uint64_t time_of(const struct quorum *q, const struct quorum_signed *s)
{
	uint64_t best = UINT64_MAX;

	for (size_t i = 0; i < q->witnesses; i++) {
		uint64_t by = 0;

		if (!(s->by >> i & 1) || s->when[i] >= best)
			continue;
		for (size_t k = 0; k < q->witnesses; k++)
			by |= (s->by >> k & 1) && s->when[k] <= s->when[i] ? (uint64_t)1 << k : 0;
		if (is_met(q, by))
			best = s->when[i];
	}
	return best == UINT64_MAX ? 0 : best;
}

/* A line under the witness's name and key id, whatever is in it. */
static int has_line(const struct note *t, const struct note_vkey *k)
{
	unsigned char id[4];

	note_key_id(note_vkey_name(k), NOTE_COSIGNATURE, note_vkey_pub(k), 32, id);
	for (size_t i = 0; i < note_sigs(t); i++) {
		const struct note_sig *s = note_sig_at(t, i);

		if (s->name.n == strlen(note_vkey_name(k)) &&
			memcmp(s->name.p, note_vkey_name(k), s->name.n) == 0 &&
			memcmp(s->key_id, id, sizeof id) == 0)
			return 1;
	}
	return 0;
}

void quorum_check(const struct quorum *q, const struct note *t, struct quorum_signed *out)
{
	memset(out, 0, sizeof *out);
	for (size_t i = 0; i < q->witnesses; i++) {
		if (note_cosigned(t, q->witness[i].vkey, &out->when[i]) == 0)
			out->by |= (uint64_t)1 << i;
		else if (has_line(t, q->witness[i].vkey))
			out->bad |= (uint64_t)1 << i;
	}
	out->met = is_met(q, out->by);
	out->time = out->met ? time_of(q, out) : 0;
}
