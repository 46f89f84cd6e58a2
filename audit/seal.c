/* The leaf of a seal; see seal.h. Must never accept two spellings of one seal. */
#include "audit/seal.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/b64.h"
#include "audit/bytes.h"
#include "audit/checkpoint.h"
#include "audit/record.h"
#include "common/cleanup.h"

#define TEXT_MAX (NOTE_NAME_MAX + 256u)

int seal_key_name(const char *origin, char name[NOTE_NAME_MAX + 1])
{
	int n = snprintf(name, NOTE_NAME_MAX + 1, "%s" SEAL_SUFFIX, origin);

	return n > 0 && (unsigned)n <= NOTE_NAME_MAX ? 0 : -1;
}

/* ---- writing ---- */

static size_t write_text(const struct seal *s, const char *name, char *buf, size_t cap)
{
	char root[B64_CAP(sizeof s->root.b)], next[B64_CAP(SEAL_PUB)];
	int n;

	b64_encode(root, sizeof root, s->root.b, sizeof s->root.b);
	b64_encode(next, sizeof next, s->next, sizeof s->next);
	n = snprintf(buf, cap, "%s\n%llu\n%s\nepoch %llu\nnext %s\ntime %llu\n", name,
		(unsigned long long)s->index, root, (unsigned long long)s->epoch, next,
		(unsigned long long)s->time_ns);
	return n < 0 || (size_t)n >= cap ? 0 : (size_t)n;
}

static size_t write_leaf(uint64_t index, const char *note, char *buf, size_t cap)
{
	json_t *text = json_string(note);
	char quoted[SEAL_LEAF_MAX];
	size_t n = text ? record_write(text, quoted, sizeof quoted) : 0;
	int w = snprintf(buf, cap, "{\"i\":%llu,\"k\":\"seal\",\"note\":%.*s,\"v\":1}",
		(unsigned long long)index, (int)n, quoted);

	json_decref(text);
	return n == 0 || w < 0 || (size_t)w >= cap ? 0 : (size_t)w;
}

size_t seal_write(const struct seal *s, const char *origin, const unsigned char secret[SEAL_SECRET],
	char *buf, size_t cap, struct error *e)
{
	char name[NOTE_NAME_MAX + 1], text[TEXT_MAX], note[SEAL_LEAF_MAX];
	size_t n;

	if (seal_key_name(origin, name) < 0) {
		error_set(e, 0, "the log's origin is too long for a seal");
		return 0;
	}
	n = write_text(s, name, text, sizeof text);
	n = note_sign_with(text, n, name, secret + SEAL_SEED, secret, note, sizeof note, e);
	if (n == 0)
		return 0;
	n = write_leaf(s->index, note, buf, cap);
	if (n == 0)
		error_set(e, 0, "cannot write a seal");
	return n;
}

/* ---- reading ---- */

int seal_is(const void *leaf, size_t n)
{
	static const char head[] = "{\"i\":", kind[] = ",\"k\":\"seal\",";
	const char *p = leaf, *comma;

	if (n < sizeof head + sizeof kind || memcmp(p, head, sizeof head - 1) != 0)
		return 0;
	comma = memchr(p, ',', n < 32 ? n : 32);
	return comma && n - (size_t)(comma - p) > sizeof kind &&
	       memcmp(comma, kind, sizeof kind - 1) == 0;
}

/* The next line behind a word and a space. */
static int take_field(struct span *rest, const char *word, struct span *value)
{
	size_t n = strlen(word);

	if (bytes_line(rest, value) < 0 || value->n <= n || memcmp(value->p, word, n) != 0)
		return -1;
	value->p += n;
	value->n -= n;
	return 0;
}

static int parse_text(struct span text, const char *name, struct seal *out)
{
	struct span line, epoch, next, time;
	struct tree_hash key;

	if (bytes_line(&text, &line) < 0 || line.n != strlen(name) ||
		memcmp(line.p, name, line.n) != 0)
		return -1;
	if (bytes_line(&text, &line) < 0 || checkpoint_parse_size(line.p, line.n, &out->index) < 0)
		return -1;
	if (bytes_line(&text, &line) < 0 || checkpoint_parse_hash(line.p, line.n, &out->root) < 0)
		return -1;
	if (take_field(&text, "epoch ", &epoch) < 0 || take_field(&text, "next ", &next) < 0 ||
		take_field(&text, "time ", &time) < 0 || text.n)
		return -1;
	if (checkpoint_parse_size(epoch.p, epoch.n, &out->epoch) < 0 ||
		checkpoint_parse_hash(next.p, next.n, &key) < 0 ||
		checkpoint_parse_size(time.p, time.n, &out->time_ns) < 0)
		return -1;
	memcpy(out->next, key.b, sizeof out->next);
	return 0;
}

/* The leaf's note and what it says. NULL with *e filled; the caller owns the record. */
static json_t *parse_leaf(const void *leaf, size_t n, const char *name, struct note **note,
	struct seal *out, struct error *e)
{
	char again[SEAL_LEAF_MAX];
	json_t *o = n <= SEAL_LEAF_MAX ? record_parse(leaf, n, e) : NULL;
	const json_t *text = json_object_get(o, "note"), *i = json_object_get(o, "i");
	size_t len = 0;

	*note = NULL;
	if (json_is_string(text)) {
		*note = note_parse(json_string_value(text), json_string_length(text), e);
		len = write_leaf((uint64_t)json_integer_value(i), json_string_value(text), again,
			sizeof again);
	}
	if (*note && note_sigs(*note) == 1 && len == n && memcmp(again, leaf, n) == 0 &&
		parse_text(note_text(*note), name, out) == 0 &&
		out->index == (uint64_t)json_integer_value(i))
		return o;
	note_free(*note);
	*note = NULL;
	json_decref(o);
	error_set(e, 0, "a malformed seal");
	return NULL;
}

static int read_leaf(const void *leaf, size_t n, const char *origin, const unsigned char *pub,
	struct seal *out, struct error *e)
{
	char name[NOTE_NAME_MAX + 1];
	struct note_vkey *key;
	struct note *note;
	uint64_t by;
	json_t *o;
	int r;

	if (seal_key_name(origin, name) < 0)
		return error_set(e, 0, "the log's origin is too long for a seal");
	o = parse_leaf(leaf, n, name, &note, out, e);
	if (!o)
		return -1;
	key = pub ? note_vkey_new(name, pub, e) : NULL;
	r = !pub  ? 0
	    : key ? note_verify(note, (const struct note_vkey *const *)&key, 1, &by, e)
		  : -1;
	note_vkey_free(key);
	note_free(note);
	json_decref(o);
	return r;
}

int seal_parse(const void *leaf, size_t n, const char *origin, struct seal *out, struct error *e)
{
	return read_leaf(leaf, n, origin, NULL, out, e);
}

int seal_open(const void *leaf, size_t n, const char *origin, const unsigned char pub[SEAL_PUB],
	struct seal *out, struct error *e)
{
	return read_leaf(leaf, n, origin, pub, out, e);
}

/* ---- the chain ---- */

int seal_chain_begin(struct seal_chain *c, const char *origin, const char *vkey, struct error *e)
{
	struct note_vkey *k = note_vkey_parse(vkey, strlen(vkey), e);
	char name[NOTE_NAME_MAX + 1];
	int ok = k && seal_key_name(origin, name) == 0 && strcmp(note_vkey_name(k), name) == 0;

	memset(c, 0, sizeof *c);
	if (ok) {
		snprintf(c->origin, sizeof c->origin, "%s", origin);
		memcpy(c->pub, note_vkey_pub(k), sizeof c->pub);
		c->begun = 1;
	} else {
		error_set(e, 0, "the key of the first seal is malformed or of another log");
	}
	note_vkey_free(k);
	return ok ? 0 : -1;
}

static void move_on(struct seal_chain *c, const struct seal *s)
{
	memcpy(c->used, c->pub, sizeof c->used);
	memcpy(c->pub, s->next, sizeof c->pub);
	c->epoch = s->epoch + 1;
	c->time_ns = s->time_ns;
	c->begun = 1;
}

int seal_chain_resume(
	struct seal_chain *c, const char *origin, const void *leaf, size_t n, struct error *e)
{
	struct seal s = {0};

	memset(c, 0, sizeof *c);
	snprintf(c->origin, sizeof c->origin, "%s", origin);
	if (seal_parse(leaf, n, origin, &s, e) < 0)
		return -1;
	move_on(c, &s);
	return 0;
}

int seal_chain_take(struct seal_chain *c, const void *leaf, size_t n, uint64_t index,
	const struct tree_hash *root, int verify, struct error *e)
{
	struct seal s = {0};

	if (!c->begun)
		return error_set(e, 0, "a seal, but no key of the first one");
	if ((verify ? seal_open(leaf, n, c->origin, c->pub, &s, e)
		    : seal_parse(leaf, n, c->origin, &s, e)) < 0)
		return -1;
	if (s.index != index)
		return error_set(e, 0, "a seal of another place in the log");
	if (s.epoch != c->epoch)
		return error_set(e, 0, "a seal of epoch %llu where %llu must come",
			(unsigned long long)s.epoch, (unsigned long long)c->epoch);
	if (root && !tree_hash_equal(&s.root, root))
		return error_set(e, 0, "a seal of other records than those before it");
	if (s.time_ns < c->time_ns)
		return error_set(e, 0, "a seal that is older than the one before");
	move_on(c, &s);
	return 0;
}
