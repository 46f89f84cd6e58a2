/* Fuzzes signed notes, verifier keys, checkpoints and tlog-proofs. What parses must be consistent, what
 * verifies must be ours, and formatting must give the same bytes back. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit/checkpoint.h"
#include "audit/note.h"
#include "audit/proof.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_checkpoint(const char *text, size_t n)
{
	struct checkpoint c, again;
	char buf[2 * NOTE_MAX];
	size_t len;

	if (checkpoint_parse(text, n, &c, NULL) < 0)
		return;
	len = checkpoint_format(&c, buf, sizeof buf);
	/* Without extension lines there is one spelling. */
	if (len == 0 || len > n || memcmp(buf, text, len) != 0)
		abort();
	if (checkpoint_parse(buf, len, &again, NULL) < 0 || again.size != c.size)
		abort();
}

static void try_note(const char *p, size_t n, const struct note_vkey *key)
{
	struct note *t = note_parse(p, n, NULL);
	struct checkpoint c;
	uint64_t by = 0;

	if (!t)
		return;
	if (note_text(t).n == 0 || note_text(t).p[note_text(t).n - 1] != '\n' || note_sigs(t) == 0)
		abort();
	if (note_verify(t, &key, 1, &by, NULL) == 0 && by != 1)
		abort();
	try_checkpoint(note_text(t).p, note_text(t).n);
	note_free(t);
	(void)checkpoint_open(p, n, key, &c, NULL);
}

static void try_vkey(const char *p, size_t n)
{
	struct note_vkey *k = note_vkey_parse(p, n, NULL);
	char buf[NOTE_VKEY_MAX];
	size_t len;

	if (!k)
		return;
	len = note_vkey_format(k, buf);
	if (len != n - (p[n - 1] == '\n') || memcmp(buf, p, len) != 0)
		abort();
	note_vkey_free(k);
}

static void try_proof(const char *p, size_t n, const struct note_vkey *key)
{
	struct proof proof;
	static char out[1 << 17];
	size_t len;

	if (proof_parse(p, n, &proof, NULL) < 0)
		return;
	(void)proof_check(&proof, "x", 1, key, NULL);
	len = proof_format(&proof, out, sizeof out);
	if (!proof.extra.p && (len != n || memcmp(out, p, n) != 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct note_signer *signer;
	const char *p = (const char *)data;
	const unsigned char seed[32] = {1};

	if (!signer)
		signer = note_signer_new("log.example", seed, NULL);
	if (size > NOTE_MAX)
		return 0;
	try_note(p, size, note_signer_vkey(signer));
	try_checkpoint(p, size);
	if (size)
		try_vkey(p, size);
	try_proof(p, size, note_signer_vkey(signer));
	return 0;
}
