/* Where bundles end and the write-ahead log begins; see base.h. Must never return peaks that the log
 * has not signed for. */
#include "audit/base.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/b64.h"
#include "audit/checkpoint.h"
#include "audit/dir.h"
#include "audit/fault.h"
#include "audit/tile.h"
#include "common/cleanup.h"

#define BASE_PATH "wal/base"
#define BASE_HEAD "agentd-base-v1\n"

/* Head, hashes in base64 a line each, an empty line; the note follows. Returns its offset, 0 when it
 * is malformed. */
static size_t parse_peaks(const char *p, size_t n, struct base *out)
{
	size_t at = sizeof BASE_HEAD - 1;

	if (n < at || memcmp(p, BASE_HEAD, at) != 0)
		return 0;
	while (n - at >= 45 && p[at] != '\n') {
		if (out->n == TREE_PEAKS || p[at + 44] != '\n' ||
			checkpoint_parse_hash(p + at, 44, &out->peak[out->n++]) < 0)
			return 0;
		at += 45;
	}
	return at < n && p[at] == '\n' ? at + 1 : 0;
}

static int check_root(const struct base *b, const struct checkpoint *c)
{
	struct tree *t = tree_from_peaks(b->size, b->peak, b->n);
	struct tree_hash root;
	int ok = 0;

	if (t) {
		tree_root(t, &root);
		ok = tree_hash_equal(&root, &c->root);
	}
	tree_free(t);
	return ok;
}

int base_load(int logdir, const struct note_vkey *log, struct base *out, struct error *e)
{
	cleanup_free unsigned char *file = NULL;
	struct checkpoint c;
	size_t n = 0, at;

	memset(out, 0, sizeof *out);
	file = dir_read(logdir, BASE_PATH, NOTE_MAX, &n, e);
	if (!file)
		return e->code == ENOENT ? 0 : -1;
	at = parse_peaks((const char *)file, n, out);
	if (at == 0)
		return fault_set(e, EBADMSG, BASE_PATH " is damaged");
	if (checkpoint_open((const char *)file + at, n - at, log, &c, e) < 0) {
		e->code = EBADMSG;
		return error_prefix(e, BASE_PATH);
	}
	out->size = c.size;
	if (c.size == 0 || c.size % TILE_WIDTH || !check_root(out, &c))
		return fault_set(e, EBADMSG, BASE_PATH " does not fit its signature");
	return 0;
}

size_t base_sign(const struct note_signer *signer, uint64_t size, const struct tree_hash *root,
	char *buf, size_t cap, struct error *e)
{
	struct checkpoint c = {.size = size, .root = *root};
	char text[NOTE_NAME_MAX + 128];
	size_t n;

	snprintf(c.origin, sizeof c.origin, "%s", note_vkey_name(note_signer_vkey(signer)));
	n = checkpoint_format(&c, text, sizeof text);
	return note_sign(text, n, signer, buf, cap, e);
}

int base_store(int logdir, const struct note_signer *signer, const struct base *b, struct error *e)
{
	char buf[sizeof BASE_HEAD + TREE_PEAKS * 45 + NOTE_NAME_MAX * 2 + 512];
	struct tree *t = tree_from_peaks(b->size, b->peak, b->n);
	size_t at = sizeof BASE_HEAD - 1, note;
	struct tree_hash root;

	if (!t)
		return error_set(e, ENOMEM, "cannot make " BASE_PATH);
	tree_root(t, &root);
	tree_free(t);
	memcpy(buf, BASE_HEAD, at);
	for (size_t i = 0; i < b->n; i++, at += 45) {
		b64_encode(buf + at, sizeof buf - at, b->peak[i].b, sizeof b->peak[i].b);
		buf[at + 44] = '\n';
	}
	buf[at++] = '\n';
	note = base_sign(signer, b->size, &root, buf + at, sizeof buf - at, e);
	if (note == 0 || dir_write(logdir, BASE_PATH, buf, at + note, 1, e) < 0)
		return -1;
	return dir_sync(logdir, "wal", e);
}
