/* Signed notes as C2SP's signed-note specification has them: a text, a blank line, signature lines.
 * Used for the log's checkpoints by the publisher (signs) and verify (checks). Only Ed25519 log
 * signatures (type 0x01) are made and checked; signatures by others are carried and ignored, as the
 * specification wants. Pure but for locked memory; notes are parsed once, strictly. */
#ifndef AUDIT_NOTE_H
#define AUDIT_NOTE_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/io.h"

#define NOTE_MAX      65536u /* bytes in a note */
#define NOTE_SIGS_MAX 100u
#define NOTE_NAME_MAX 255u /* bytes in a key's name, without the NUL */
#define NOTE_VKEY_MAX (NOTE_NAME_MAX + 64u) /* a verifier key as text, with the NUL */

/* Type bytes of keys. */
#define NOTE_ED25519     1 /* Ed25519 over the note's text */
#define NOTE_COSIGNATURE 4 /* a witness's: time and Ed25519 (C2SP tlog-cosignature, version 1) */

/* keyid = SHA-256(name ‖ LF ‖ type ‖ public key)[0..4] */
void note_key_id(const char *name, uint8_t type, const unsigned char *pub, size_t pub_len,
	unsigned char id[4]);

/* 1 when it may be a key's name: not empty, valid UTF-8, no space of Unicode, no plus sign. */
int note_name_ok(const char *name, size_t n);

struct note_vkey; /* a public key and its name */

/* Parses name+hexid+base64(type ‖ key); a key id that does not fit the key is an error, so is a type
 * other than Ed25519's. One trailing LF is accepted. NULL with *e filled; the caller frees the key. */
struct note_vkey *note_vkey_parse(const char *text, size_t n, struct error *e);
struct note_vkey *note_vkey_new(const char *name, const unsigned char pub[32], struct error *e);
/* The same for a witness's key. */
struct note_vkey *note_witness_parse(const char *text, size_t n, struct error *e);
struct note_vkey *note_witness_new(const char *name, const unsigned char pub[32], struct error *e);
void note_vkey_free(struct note_vkey *k);
const char *note_vkey_name(const struct note_vkey *k);
const unsigned char *note_vkey_pub(const struct note_vkey *k); /* 32 bytes */
/* Writes it as text, NUL-terminated. Returns the length. */
size_t note_vkey_format(const struct note_vkey *k, char buf[NOTE_VKEY_MAX]);

struct note_signer; /* a secret key, in locked memory */

/* seed: 32 bytes, wiped by the caller. NULL with *e filled. */
struct note_signer *note_signer_new(
	const char *name, const unsigned char seed[32], struct error *e);
void note_signer_free(struct note_signer *s);
const struct note_vkey *note_signer_vkey(const struct note_signer *s); /* lives as long as s */

struct note_sig {
	struct span name;
	unsigned char key_id[4];
	struct span base64; /* of key id and signature */
};

struct note; /* a parsed note; its spans point into the caller's bytes */

/* Strict. NULL with *e filled; the caller frees the note and keeps the bytes as long. */
struct note *note_parse(const char *bytes, size_t n, struct error *e);
void note_free(struct note *t);
struct span note_text(const struct note *t); /* with its final LF, without the blank line */
size_t note_sigs(const struct note *t);
const struct note_sig *note_sig_at(const struct note *t, size_t i);

/* Checks the signatures by known keys. *signed_by gets one bit per key that has signed (keys are at
 * most 64). Signatures by other keys are ignored. One by a known key that is not valid fails the whole
 * note (-1), as does none at all. */
int note_verify(const struct note *t, const struct note_vkey *const *keys, size_t nkeys,
	uint64_t *signed_by, struct error *e);

/* When a witness has signed, in seconds since 1970: of several valid signatures by its key the latest. 0, or
 * -1: it has not, or one of them is not valid. */
int note_cosigned(const struct note *t, const struct note_vkey *witness, uint64_t *when);

/* The signature line of a witness under the text of a checkpoint, with its LF. secret: as libsodium has
 * it. Returns the length, or 0 when it cannot be made. */
size_t note_cosign(const char *text, size_t n, const struct note_vkey *witness,
	const unsigned char secret[64], uint64_t when, char *buf, size_t cap);

/* Makes a note: text (which ends in LF), blank line, one signature line. Returns the length, or 0 with
 * *e filled (the text is not one that a note may have, cap too small). */
size_t note_sign(const char *text, size_t n, const struct note_signer *s, char *buf, size_t cap,
	struct error *e);

/* The same with a key that is at hand: its name, its public key and its secret key as libsodium has it
 * (64 bytes). The caller wipes it. */
size_t note_sign_with(const char *text, size_t n, const char *name, const unsigned char pub[32],
	const unsigned char secret[64], char *buf, size_t cap, struct error *e);

#endif
