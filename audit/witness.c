/* The decisions of a witness; see witness.h. Must never sign a checkpoint that does not extend the last one
 * it signed, whatever crashes in between. */
#include "audit/witness.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/bytes.h"
#include "audit/checkpoint.h"
#include "audit/dir.h"
#include "audit/fault.h"
#include "audit/proof.h"
#include "common/cleanup.h"
#include "common/io.h"

#define HEX_CAP   (2 * crypto_hash_sha256_BYTES + 1)
#define PROOF_CAP 63 /* hashes in a request */

struct witness {
	int dir; /* the caller's */
	struct note_vkey *vkey;
	unsigned char *secret; /* in locked memory */
};

struct request {
	uint64_t old;
	size_t n;
	struct tree_hash path[PROOF_CAP];
	struct span note;
};

struct known { /* a log */
	char hex[HEX_CAP];
	int dir; /* logs/<hex> */
	int lock;
	struct note_vkey *vkey;
	struct checkpoint last; /* size 0: none yet */
};

/* ---- keys ---- */

int witness_create(int dir, const char *name, struct error *e)
{
	unsigned char seed[crypto_sign_SEEDBYTES], pub[32], secret[64];
	char text[NOTE_VKEY_MAX + 1];
	cleanup_close int fd = -1;
	struct note_vkey *k;
	size_t n;
	int r;

	if (sodium_init() < 0)
		return error_set(e, 0, "libsodium does not work on this machine");
	randombytes_buf(seed, sizeof seed);
	crypto_sign_seed_keypair(pub, secret, seed);
	k = note_witness_new(name, pub, e);
	if (k)
		fd = dir_open_file(dir, "witness.key", O_WRONLY | O_CREAT | O_EXCL, e);
	if (!k || fd < 0) {
		note_vkey_free(k);
		return -1;
	}
	n = note_vkey_format(k, text);
	text[n++] = '\n';
	note_vkey_free(k);
	r = fchmod(fd, 0600) < 0 || io_write_all(fd, seed, sizeof seed) < 0 || fsync(fd) < 0
		    ? error_set(e, errno, "cannot store the witness's key")
		    : 0;
	sodium_memzero(seed, sizeof seed);
	sodium_memzero(secret, sizeof secret);
	if (r < 0 || dir_mkdir(dir, "logs", 0755, e) < 0 || dir_mkdir(dir, "tmp", 0700, e) < 0 ||
		dir_write(dir, "witness.vkey", text, n, 1, e) < 0)
		return -1;
	return dir_sync(dir, ".", e);
}

static int load_secret(struct witness *w, unsigned char pub[32], struct error *e)
{
	cleanup_close int fd = dir_open_file(w->dir, "witness.key", O_RDONLY, e);
	unsigned char seed[crypto_sign_SEEDBYTES];

	if (fd < 0)
		return -1;
	if (io_read_full(fd, seed, sizeof seed) != (ssize_t)sizeof seed)
		return fault_set(e, EBADMSG, "the witness's key file is damaged");
	crypto_sign_seed_keypair(pub, w->secret, seed);
	sodium_memzero(seed, sizeof seed);
	return 0;
}

static int load_keys(struct witness *w, struct error *e)
{
	cleanup_free unsigned char *text = NULL;
	unsigned char pub[32];
	size_t n = 0;

	w->secret = sodium_malloc(crypto_sign_SECRETKEYBYTES);
	if (!w->secret)
		return error_set(e, ENOMEM, "cannot lock memory for a key");
	text = dir_read(w->dir, "witness.vkey", NOTE_VKEY_MAX, &n, e);
	w->vkey = text ? note_witness_parse((char *)text, n, e) : NULL;
	if (!w->vkey || load_secret(w, pub, e) < 0)
		return -1;
	if (memcmp(pub, note_vkey_pub(w->vkey), sizeof pub) != 0)
		return fault_set(e, EBADMSG, "witness.vkey is not the public key of witness.key");
	return 0;
}

struct witness *witness_open(int dir, struct error *e)
{
	struct witness *w = calloc(1, sizeof *w);

	if (!w || sodium_init() < 0) {
		free(w);
		error_set(e, ENOMEM, "cannot open the witness");
		return NULL;
	}
	w->dir = dir;
	if (load_keys(w, e) < 0) {
		witness_close(w);
		return NULL;
	}
	return w;
}

void witness_close(struct witness *w)
{
	if (!w)
		return;
	note_vkey_free(w->vkey);
	sodium_free(w->secret);
	free(w);
}

const struct note_vkey *witness_vkey(const struct witness *w)
{
	return w->vkey;
}

/* ---- logs ---- */

static void hex_of(const char *origin, char hex[HEX_CAP])
{
	unsigned char h[crypto_hash_sha256_BYTES];

	crypto_hash_sha256(h, (const unsigned char *)origin, strlen(origin));
	sodium_bin2hex(hex, HEX_CAP, h, sizeof h);
}

int witness_add_log(struct witness *w, const char *vkey, size_t n, struct error *e)
{
	struct note_vkey *k = note_vkey_parse(vkey, n, e);
	char hex[HEX_CAP], path[HEX_CAP + 16], text[NOTE_VKEY_MAX + 1];
	cleanup_free unsigned char *old = NULL;
	size_t len, old_n = 0;

	if (!k)
		return -1;
	hex_of(note_vkey_name(k), hex);
	len = note_vkey_format(k, text);
	text[len++] = '\n';
	note_vkey_free(k);
	snprintf(path, sizeof path, "logs/%s", hex);
	if (dir_mkdir(w->dir, path, 0755, e) < 0)
		return -1;
	snprintf(path, sizeof path, "logs/%s/vkey", hex);
	old = dir_read(w->dir, path, NOTE_VKEY_MAX, &old_n, e);
	if (old && (old_n != len || memcmp(old, text, len) != 0))
		return error_set(e, 0,
			"another key is known for this log: a log cannot change its key, and two "
			"logs cannot have one origin");
	if (old)
		return 0;
	if (e->code != ENOENT || dir_write(w->dir, path, text, len, 1, e) < 0)
		return -1;
	snprintf(path, sizeof path, "logs/%s", hex);
	return dir_sync(w->dir, path, e) < 0 ? -1 : dir_sync(w->dir, "logs", e);
}

static void forget(struct known *k)
{
	note_vkey_free(k->vkey);
	if (k->lock >= 0)
		close(k->lock);
	if (k->dir >= 0)
		close(k->dir);
}

/* A checkpoint that is there and cannot be read is not none. */
static int load_last(struct known *k, struct error *e)
{
	size_t n = 0;
	cleanup_free unsigned char *p = dir_read(k->dir, "checkpoint", NOTE_MAX, &n, e);

	if (!p)
		return e->code == ENOENT ? 0 : -1;
	return checkpoint_open((char *)p, n, k->vkey, &k->last, e);
}

/* Finds and locks a log. 0; 1: not known; -1 with *e. */
static int look_up(struct witness *w, const char *origin, struct known *k, struct error *e)
{
	char path[HEX_CAP + 16];
	cleanup_free unsigned char *text = NULL;
	size_t n = 0;

	*k = (struct known){.dir = -1, .lock = -1};
	hex_of(origin, k->hex);
	snprintf(path, sizeof path, "logs/%s", k->hex);
	k->dir = dir_open_sub(w->dir, path, e);
	if (k->dir < 0)
		return e->code == ENOENT ? 1 : -1;
	text = dir_read(k->dir, "vkey", NOTE_VKEY_MAX, &n, e);
	if (!text)
		return e->code == ENOENT ? 1 : -1;
	k->vkey = note_vkey_parse((char *)text, n, e);
	k->lock = k->vkey ? dir_open_file(k->dir, "lock", O_RDWR | O_CREAT, e) : -1;
	if (k->lock < 0)
		return -1;
	if (flock(k->lock, LOCK_EX) < 0)
		return error_set(e, errno, "cannot lock the log's state");
	return load_last(k, e);
}

/* ---- requests ---- */

static int parse_request(const char *p, size_t n, struct request *out)
{
	struct span rest = {p, n}, line;

	*out = (struct request){0};
	if (bytes_line(&rest, &line) < 0 || line.n < 5 || memcmp(line.p, "old ", 4) != 0 ||
		checkpoint_parse_size(line.p + 4, line.n - 4, &out->old) < 0)
		return -1;
	while (bytes_line(&rest, &line) == 0 && line.n) {
		if (out->n == PROOF_CAP ||
			checkpoint_parse_hash(line.p, line.n, &out->path[out->n++]) < 0)
			return -1;
	}
	if (line.n) /* no blank line */
		return -1;
	out->note = rest;
	return 0;
}

__attribute__((format(printf, 3, 4))) static void answer(
	struct witness_answer *out, int status, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(out->body, sizeof out->body, fmt, ap);
	va_end(ap);
	out->status = status;
	out->n = n < 0 ? 0 : (size_t)n < sizeof out->body ? (size_t)n : sizeof out->body - 1;
}

/* Is it what a witness may sign next? 0, or the status with the answer. */
static int judge(const struct known *k, const struct request *q, const struct checkpoint *c,
	struct witness_answer *out)
{
	const struct checkpoint *last = &k->last;
	struct tree_hash empty;

	crypto_hash_sha256(empty.b, (const unsigned char *)"", 0);
	out->status = 0;
	if (q->old > c->size)
		answer(out, 400, "the old size is larger than the checkpoint's\n");
	else if (q->old != last->size)
		answer(out, 409, "%llu\n", (unsigned long long)last->size);
	else if (c->size == 0 && (q->n || !tree_hash_equal(&c->root, &empty)))
		answer(out, 422, "this is not the root of an empty tree\n");
	else if (q->old == 0 && q->n)
		answer(out, 422, "a proof from nothing\n");
	else if (q->old == c->size && q->old && (q->n || !tree_hash_equal(&c->root, &last->root)))
		answer(out, 422, "another tree of the same size\n");
	else if (q->old &&
		 !proof_check_consistency(q->old, c->size, q->path, q->n, &last->root, &c->root))
		answer(out, 422, "the proof does not hold\n");
	return out->status;
}

/* Signs, and stores the note with both signatures before anybody gets to see it. */
static int sign(struct witness *w, const struct known *k, const struct note *note, uint64_t now,
	struct witness_answer *out, struct error *e)
{
	struct span text = note_text(note);
	char stored[NOTE_MAX], line[sizeof out->body];
	size_t n = note_cosign(text.p, text.n, w->vkey, w->secret, now, line, sizeof line), at = 0;

	if (n == 0)
		return error_set(e, 0, "cannot sign this checkpoint");
	at = (size_t)snprintf(stored, sizeof stored, "%.*s\n", (int)text.n, text.p);
	for (size_t i = 0; i < note_sigs(note); i++) {
		const struct note_sig *s = note_sig_at(note, i);

		/* the log's; what others added is theirs to keep */
		if (s->name.n != strlen(note_vkey_name(k->vkey)) ||
			memcmp(s->name.p, note_vkey_name(k->vkey), s->name.n) != 0 ||
			sizeof stored - at < s->name.n + s->base64.n + 8)
			continue;
		at += (size_t)snprintf(stored + at, sizeof stored - at, "\xe2\x80\x94 %.*s %.*s\n",
			(int)s->name.n, s->name.p, (int)s->base64.n, s->base64.p);
	}
	if (sizeof stored - at <= n)
		return error_set(e, 0, "the checkpoint is too long");
	memcpy(stored + at, line, n);
	if (dir_mkdir(k->dir, "tmp", 0700, e) < 0 ||
		dir_write(k->dir, "checkpoint", stored, at + n, 1, e) < 0 ||
		dir_sync(k->dir, ".", e) < 0)
		return -1;
	answer(out, 200, "%.*s", (int)n, line);
	return 0;
}

static void answer_checkpoint(struct witness *w, const struct request *q, const struct note *note,
	const struct checkpoint *c, uint64_t now, struct witness_answer *out)
{
	struct error e = {0};
	struct known k;
	uint64_t by;
	int found = look_up(w, c->origin, &k, &e);

	if (found == 1)
		answer(out, 404, "this log is not known here\n");
	else if (found == 0 &&
		 note_verify(note, (const struct note_vkey *const *)&k.vkey, 1, &by, &e) < 0)
		answer(out, 403, "the log has not signed this\n");
	else if (found < 0 || (judge(&k, q, c, out) == 0 && sign(w, &k, note, now, out, &e) < 0))
		answer(out, 500, "%.300s\n", e.text);
	forget(&k);
}

void witness_add_checkpoint(
	struct witness *w, const char *request, size_t n, uint64_t now, struct witness_answer *out)
{
	struct checkpoint c;
	struct request q;
	struct error e;
	struct note *note = NULL;

	memset(out, 0, sizeof *out);
	if (n <= WITNESS_REQUEST_MAX && parse_request(request, n, &q) == 0)
		note = note_parse(q.note.p, q.note.n, &e);
	if (!note || checkpoint_parse(note_text(note).p, note_text(note).n, &c, &e) < 0)
		answer(out, 400, "not an add-checkpoint request\n");
	else
		answer_checkpoint(w, &q, note, &c, now, out);
	note_free(note);
}

char *witness_checkpoint(struct witness *w, const char *origin_hex, size_t *n, struct error *e)
{
	char path[HEX_CAP + 32];

	if (strlen(origin_hex) != HEX_CAP - 1 ||
		strspn(origin_hex, "0123456789abcdef") != HEX_CAP - 1) {
		error_set(e, ENOENT, "no such log");
		return NULL;
	}
	snprintf(path, sizeof path, "logs/%s/checkpoint", origin_hex);
	return (char *)dir_read(w->dir, path, NOTE_MAX, n, e);
}
