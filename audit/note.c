/* C2SP signed notes; see note.h. Called by checkpoint.c, publish.c and verify.c; must never accept a
 * note of which a known key's signature is wrong. */
#include "audit/note.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/b64.h"
#include "common/utf8.h"

#define CHECKPOINT_TEXT_MAX 4096u /* of a text that a witness signs */

#define DASH "\xe2\x80\x94 " /* U+2014 and a space start a signature line */

struct note_vkey {
	char name[NOTE_NAME_MAX + 1];
	unsigned char pub[crypto_sign_PUBLICKEYBYTES];
	unsigned char id[4];
	uint8_t type;
};

struct note_signer { /* in sodium_malloc memory: locked, guarded, wiped when freed */
	unsigned char secret[crypto_sign_SECRETKEYBYTES];
	struct note_vkey vkey;
};

struct note {
	struct span text;
	size_t nsigs;
	struct note_sig sigs[NOTE_SIGS_MAX];
};

void note_key_id(const char *name, uint8_t type, const unsigned char *pub, size_t pub_len,
	unsigned char id[4])
{
	unsigned char h[crypto_hash_sha256_BYTES];
	const unsigned char sep[2] = {'\n', type};
	crypto_hash_sha256_state s;

	crypto_hash_sha256_init(&s);
	crypto_hash_sha256_update(&s, (const unsigned char *)name, strlen(name));
	crypto_hash_sha256_update(&s, sep, sizeof sep);
	crypto_hash_sha256_update(&s, pub, pub_len);
	crypto_hash_sha256_final(&s, h);
	memcpy(id, h, 4);
}

/* White space as Unicode's White_Space property has it. */
static int is_space(unsigned cp)
{
	return cp == ' ' || (cp >= 9 && cp <= 13) || cp == 0x85 || cp == 0xa0 || cp == 0x1680 ||
	       (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 || cp == 0x202f ||
	       cp == 0x205f || cp == 0x3000;
}

int note_name_ok(const char *name, size_t n)
{
	if (n == 0 || n > NOTE_NAME_MAX)
		return 0;
	for (size_t i = 0; i < n;) {
		unsigned cp;
		size_t step = utf8_decode(name + i, n - i, &cp);

		if (step == 0 || cp == 0 || cp == '+' || is_space(cp))
			return 0;
		i += step;
	}
	return 1;
}

static int name_starts(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

static struct note_vkey *new_key(
	const char *name, uint8_t type, const unsigned char pub[32], struct error *e)
{
	struct note_vkey *k;

	if (!note_name_ok(name, strlen(name))) {
		error_set(e, 0, "not a valid name for a key");
		return NULL;
	}
	k = calloc(1, sizeof *k);
	if (!k) {
		error_set(e, ENOMEM, "cannot hold a key");
		return NULL;
	}
	snprintf(k->name, sizeof k->name, "%s", name);
	memcpy(k->pub, pub, sizeof k->pub);
	k->type = type;
	note_key_id(name, type, pub, sizeof k->pub, k->id);
	return k;
}

struct note_vkey *note_vkey_new(const char *name, const unsigned char pub[32], struct error *e)
{
	return new_key(name, NOTE_ED25519, pub, e);
}

struct note_vkey *note_witness_new(const char *name, const unsigned char pub[32], struct error *e)
{
	return new_key(name, NOTE_COSIGNATURE, pub, e);
}

/* Lower-case hex only, as the format writes it. */
static int parse_hex_id(const char *p, unsigned char id[4])
{
	for (size_t i = 0; i < 8; i++) {
		if (!strchr("0123456789abcdef", p[i]) || !p[i])
			return -1;
	}
	return sodium_hex2bin(id, 4, p, 8, NULL, NULL, NULL);
}

static struct note_vkey *parse_key(const char *text, size_t n, uint8_t type, struct error *e)
{
	unsigned char key[1 + crypto_sign_PUBLICKEYBYTES], id[4];
	const char *plus;
	char name[NOTE_NAME_MAX + 1];
	struct note_vkey *k;
	size_t name_len, got = 0;

	if (n && text[n - 1] == '\n')
		n--;
	plus = n ? memchr(text, '+', n) : NULL;
	name_len = plus ? (size_t)(plus - text) : 0;
	if (!plus || !note_name_ok(text, name_len) || n - name_len < 10 || plus[9] != '+' ||
		parse_hex_id(plus + 1, id) < 0) {
		error_set(e, 0, "not a verifier key (NAME+ID+KEY)");
		return NULL;
	}
	if (b64_decode(key, sizeof key, plus + 10, n - name_len - 10, &got) < 0 ||
		got != sizeof key || key[0] != type) {
		error_set(e, 0, "the verifier key is not %s",
			type == NOTE_ED25519 ? "an Ed25519 log key" : "a witness's");
		return NULL;
	}
	memcpy(name, text, name_len);
	name[name_len] = 0;
	k = new_key(name, type, key + 1, e);
	if (k && memcmp(k->id, id, sizeof id) != 0) {
		error_set(e, 0, "the verifier key's id does not belong to the key");
		note_vkey_free(k);
		return NULL;
	}
	return k;
}

struct note_vkey *note_vkey_parse(const char *text, size_t n, struct error *e)
{
	return parse_key(text, n, NOTE_ED25519, e);
}

struct note_vkey *note_witness_parse(const char *text, size_t n, struct error *e)
{
	return parse_key(text, n, NOTE_COSIGNATURE, e);
}

void note_vkey_free(struct note_vkey *k)
{
	free(k);
}

const char *note_vkey_name(const struct note_vkey *k)
{
	return k->name;
}

const unsigned char *note_vkey_pub(const struct note_vkey *k)
{
	return k->pub;
}

size_t note_vkey_format(const struct note_vkey *k, char buf[NOTE_VKEY_MAX])
{
	unsigned char key[1 + sizeof k->pub];
	char id[9], b64[64];

	key[0] = k->type;
	memcpy(key + 1, k->pub, sizeof k->pub);
	sodium_bin2hex(id, sizeof id, k->id, sizeof k->id);
	b64_encode(b64, sizeof b64, key, sizeof key);
	return (size_t)snprintf(buf, NOTE_VKEY_MAX, "%s+%s+%s", k->name, id, b64);
}

struct note_signer *note_signer_new(const char *name, const unsigned char seed[32], struct error *e)
{
	unsigned char pub[crypto_sign_PUBLICKEYBYTES];
	struct note_signer *s;
	struct note_vkey *k;

	if (sodium_init() < 0) {
		error_set(e, 0, "libsodium does not work on this machine");
		return NULL;
	}
	/* Names that the other signature formats we sign with begin their messages with. */
	if (name_starts(name, "SSHSIG") || name_starts(name, "cosignature")) {
		error_set(e, 0, "not a valid name for a log");
		return NULL;
	}
	s = sodium_malloc(sizeof *s);
	if (!s) {
		error_set(e, ENOMEM, "cannot lock memory for a key");
		return NULL;
	}
	crypto_sign_seed_keypair(pub, s->secret, seed);
	k = note_vkey_new(name, pub, e);
	if (!k) {
		sodium_free(s);
		return NULL;
	}
	s->vkey = *k;
	note_vkey_free(k);
	return s;
}

void note_signer_free(struct note_signer *s)
{
	sodium_free(s);
}

const struct note_vkey *note_signer_vkey(const struct note_signer *s)
{
	return &s->vkey;
}

static int text_ok(const char *p, size_t n)
{
	if (n == 0 || p[n - 1] != '\n')
		return 0;
	for (size_t i = 0; i < n;) {
		unsigned cp;
		size_t step = utf8_decode(p + i, n - i, &cp);

		if (step == 0 || (cp < 0x20 && cp != '\n'))
			return 0;
		i += step;
	}
	return 1;
}

/* Where the last blank line begins: text is [0, at], signatures follow at at + 2. 0: there is none. */
static size_t last_blank_line(const char *p, size_t n)
{
	for (size_t at = n - 1; at > 0; at--) {
		if (p[at] == '\n' && p[at - 1] == '\n')
			return at - 1;
	}
	return 0;
}

static int parse_sig(const char *p, size_t n, struct note_sig *out)
{
	unsigned char blob[8192]; /* an ML-DSA-44 signature has 2420 bytes */
	const char *space;
	size_t got = 0;

	if (n < sizeof DASH || memcmp(p, DASH, sizeof DASH - 1) != 0)
		return -1;
	p += sizeof DASH - 1;
	n -= sizeof DASH - 1;
	space = memchr(p, ' ', n);
	if (!space || !note_name_ok(p, (size_t)(space - p)))
		return -1;
	out->name = (struct span){p, (size_t)(space - p)};
	out->base64 = (struct span){space + 1, n - out->name.n - 1};
	if (b64_decode(blob, sizeof blob, out->base64.p, out->base64.n, &got) < 0 || got < 5)
		return -1;
	memcpy(out->key_id, blob, 4);
	return 0;
}

static int parse_sigs(struct note *t, const char *p, size_t n)
{
	while (n) {
		const char *lf = memchr(p, '\n', n);
		size_t len = lf ? (size_t)(lf - p) : 0;

		if (!lf || t->nsigs == NOTE_SIGS_MAX || parse_sig(p, len, &t->sigs[t->nsigs]) < 0)
			return -1;
		t->nsigs++;
		p += len + 1;
		n -= len + 1;
	}
	return t->nsigs ? 0 : -1;
}

struct note *note_parse(const char *bytes, size_t n, struct error *e)
{
	struct note *t;
	size_t cut;

	if (n > NOTE_MAX || !text_ok(bytes, n)) {
		error_set(e, 0, "not a note: %s",
			n == 0         ? "it is empty"
			: n > NOTE_MAX ? "it is too long"
				       : "it is torn, or has bytes that no note has");
		return NULL;
	}
	cut = last_blank_line(bytes, n);
	if (cut == 0) {
		error_set(e, 0, "not a note: no blank line before the signatures");
		return NULL;
	}
	t = calloc(1, sizeof *t);
	if (!t) {
		error_set(e, ENOMEM, "cannot hold a note");
		return NULL;
	}
	t->text = (struct span){bytes, cut + 1};
	if (parse_sigs(t, bytes + cut + 2, n - cut - 2) < 0) {
		error_set(e, 0, "the note has no signature, or a malformed one");
		free(t);
		return NULL;
	}
	return t;
}

void note_free(struct note *t)
{
	free(t);
}

struct span note_text(const struct note *t)
{
	return t->text;
}

size_t note_sigs(const struct note *t)
{
	return t->nsigs;
}

const struct note_sig *note_sig_at(const struct note *t, size_t i)
{
	return &t->sigs[i];
}

static int sig_is_by(const struct note_sig *s, const struct note_vkey *k)
{
	return s->name.n == strlen(k->name) && memcmp(s->name.p, k->name, s->name.n) == 0 &&
	       memcmp(s->key_id, k->id, sizeof k->id) == 0;
}

/* What a witness signs: its time and the text. The length, or 0 when it does not fit. */
static size_t cosigned_message(
	char *buf, size_t cap, const char *text, size_t n, unsigned long long when)
{
	int w = snprintf(buf, cap, "cosignature/v1\ntime %llu\n%.*s", when, (int)n, text);

	return w < 0 || (size_t)w >= cap ? 0 : (size_t)w;
}

static uint64_t get_be64(const unsigned char p[8])
{
	uint64_t v = 0;

	for (size_t i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

/* Key id, time, signature. */
static int cosignature_ok(struct span text, const unsigned char *blob, size_t n,
	const struct note_vkey *k, uint64_t *when)
{
	char message[CHECKPOINT_TEXT_MAX + 64];
	size_t len;

	if (n != 4 + 8 + crypto_sign_BYTES)
		return 0;
	*when = get_be64(blob + 4);
	len = *when <= INT64_MAX ? cosigned_message(message, sizeof message, text.p, text.n, *when)
				 : 0;
	return len && crypto_sign_verify_detached(
			      blob + 12, (const unsigned char *)message, len, k->pub) == 0;
}

/* when: of a cosignature. */
static int sig_is_valid(
	const struct note *t, const struct note_sig *s, const struct note_vkey *k, uint64_t *when)
{
	unsigned char blob[4 + 8 + crypto_sign_BYTES];
	size_t got = 0;

	*when = 0;
	if (b64_decode(blob, sizeof blob, s->base64.p, s->base64.n, &got) < 0)
		return 0;
	if (k->type == NOTE_COSIGNATURE)
		return cosignature_ok(t->text, blob, got, k, when);
	return got == 4 + crypto_sign_BYTES &&
	       crypto_sign_verify_detached(
		       blob + 4, (const unsigned char *)t->text.p, t->text.n, k->pub) == 0;
}

int note_cosigned(const struct note *t, const struct note_vkey *witness, uint64_t *when)
{
	int any = 0;

	*when = 0;
	for (size_t i = 0; i < t->nsigs; i++) {
		uint64_t at;

		if (!sig_is_by(&t->sigs[i], witness))
			continue;
		if (!sig_is_valid(t, &t->sigs[i], witness, &at))
			return -1;
		*when = at > *when ? at : *when;
		any = 1;
	}
	return any ? 0 : -1;
}

size_t note_cosign(const char *text, size_t n, const struct note_vkey *witness,
	const unsigned char secret[64], uint64_t when, char *buf, size_t cap)
{
	unsigned char blob[4 + 8 + crypto_sign_BYTES];
	char message[CHECKPOINT_TEXT_MAX + 64], b64[B64_CAP(sizeof blob)];
	size_t len =
		text_ok(text, n) ? cosigned_message(message, sizeof message, text, n, when) : 0;
	int w;

	if (len == 0)
		return 0;
	memcpy(blob, witness->id, 4);
	for (size_t i = 0; i < 8; i++)
		blob[4 + i] = (unsigned char)(when >> (8 * (7 - i)));
	crypto_sign_detached(blob + 12, NULL, (const unsigned char *)message, len, secret);
	b64_encode(b64, sizeof b64, blob, sizeof blob);
	w = snprintf(buf, cap, DASH "%s %s\n", witness->name, b64);
	return w < 0 || (size_t)w >= cap ? 0 : (size_t)w;
}

int note_verify(const struct note *t, const struct note_vkey *const *keys, size_t nkeys,
	uint64_t *signed_by, struct error *e)
{
	uint64_t when;

	*signed_by = 0;
	for (size_t i = 0; i < t->nsigs; i++) {
		for (size_t j = 0; j < nkeys && j < 64; j++) {
			if (!sig_is_by(&t->sigs[i], keys[j]))
				continue;
			if (!sig_is_valid(t, &t->sigs[i], keys[j], &when))
				return error_set(
					e, 0, "the signature by %s is not valid", keys[j]->name);
			*signed_by |= (uint64_t)1 << j;
		}
	}
	return *signed_by ? 0 : error_set(e, 0, "no signature by a known key");
}

size_t note_sign_with(const char *text, size_t n, const char *name, const unsigned char pub[32],
	const unsigned char secret[64], char *buf, size_t cap, struct error *e)
{
	unsigned char blob[4 + crypto_sign_BYTES];
	char b64[128];
	int w;

	if (!text_ok(text, n) || n + 512 > NOTE_MAX) {
		error_set(e, 0, "a text that a note cannot have");
		return 0;
	}
	note_key_id(name, NOTE_ED25519, pub, 32, blob);
	crypto_sign_detached(blob + 4, NULL, (const unsigned char *)text, n, secret);
	b64_encode(b64, sizeof b64, blob, sizeof blob);
	w = snprintf(buf, cap, "%.*s\n" DASH "%s %s\n", (int)n, text, name, b64);
	if (w < 0 || (size_t)w >= cap) {
		error_set(e, 0, "no room for a note");
		return 0;
	}
	return (size_t)w;
}

size_t note_sign(const char *text, size_t n, const struct note_signer *s, char *buf, size_t cap,
	struct error *e)
{
	return note_sign_with(text, n, s->vkey.name, s->vkey.pub, s->secret, buf, cap, e);
}
