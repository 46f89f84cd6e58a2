/* Recomputes a log; see verify.h. Must never report more than it has seen, nor trust what a directory
 * says about itself. */
#include "audit/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/base.h"
#include "audit/checkpoint.h"
#include "audit/dir.h"
#include "audit/record.h"
#include "audit/sealwatch.h"
#include "audit/tile.h"
#include "audit/wal.h"
#include "common/cleanup.h"

#define NO_INDEX      UINT64_MAX
#define SAME_KIND_MAX 3u

/* One level of the tree: the tile being computed and what the directory has for it. */
struct level {
	uint64_t index;
	unsigned n;
	struct tree_hash h[TILE_WIDTH];
	unsigned stored_n; /* hashes in stored; 0: no tile there */
	struct tree_hash stored[TILE_WIDTH];
};

struct wal_cursor {
	struct wal_scan *scan;
	uint64_t first[WAL_SEGMENTS_MAX];
	int n, at; /* segments; the one that is open */
	uint64_t begin; /* index of the oldest leaf in it; NO_INDEX: there is no write-ahead log */
};

struct verifier {
	int logdir;
	struct verify_report *r;
	struct note_vkey *own_key; /* read from the directory */
	const struct note_vkey *key;
	struct checkpoint cp;
	struct base base;
	struct tree *tree; /* of the entries */
	struct tree *stored_tree; /* of the level-0 tiles as they are stored */
	struct tree *upper_tree; /* of the stored hashes of level 1: a leaf of it is a full tile */
	struct level level[TILE_LEVELS];
	uint64_t bad_leaf; /* first entry whose hash is not the stored one; NO_INDEX */
	uint64_t bad_upper, bad_upper_end; /* leaves below the first upper hash that differs */
	unsigned bad_upper_level;
	uint64_t
		unread; /* first entry that could not be read and was replaced by its stored hash */
	int vouched; /* the hashes that show the first bad leaf do have the signed root */
	int base_ok; /* the entries up to the base have the root that was signed for it */
	struct wal_cursor wal;
	struct order *order;
	struct sealwatch seals;
	const struct verify_options *opt;
	struct verify_known
		cosigned; /* a checkpoint with a quorum; label NULL when there is none */
	struct quorum_signed signed_by; /* of it */
	uint64_t next; /* index behind the last record that was there */
};

/* ---- findings ---- */

static void worsen(struct verify_report *r, enum verify_result to)
{
	static const int rank[] = {[VERIFY_OK] = 0,
		[VERIFY_WARNINGS] = 1,
		[VERIFY_UNDECIDED] = 2,
		[VERIFY_TAMPERED] = 3};

	if (rank[to] > rank[r->result])
		r->result = to;
}

/* One fault can show in every record behind it; that must not push out what else there is. */
static int worth_keeping(const struct verify_report *r, const char *kind)
{
	unsigned same = 0;

	for (uint32_t i = 0; i < r->kept; i++)
		same += strcmp(r->finding[i].kind, kind) == 0;
	return r->kept < VERIFY_FINDINGS && same < SAME_KIND_MAX;
}

__attribute__((format(printf, 5, 6))) static void found(struct verifier *v,
	enum verify_result result, const char *kind, uint64_t index, const char *fmt, ...)
{
	struct verify_finding *f;
	va_list ap;

	worsen(v->r, result);
	v->r->nfindings++;
	if (!worth_keeping(v->r, kind))
		return;
	f = &v->r->finding[v->r->kept++];
	f->result = result;
	f->index = index;
	snprintf(f->kind, sizeof f->kind, "%s", kind);
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof f->text, fmt, ap);
	va_end(ap);
}

/* A leaf that is certainly bad. The first one decides the prefix. */
static void bad_at(struct verifier *v, uint64_t index, uint64_t end)
{
	if (v->r->has_bad && v->r->first_bad <= index)
		return;
	v->r->has_bad = 1;
	v->r->first_bad = index;
	v->r->bad_end = end;
}

/* ---- key and checkpoint ---- */

static int load_key(struct verifier *v)
{
	struct error e;
	size_t n = 0;
	cleanup_free unsigned char *p = NULL;

	if (!v->key) {
		p = dir_read(v->logdir, "log.vkey", NOTE_VKEY_MAX, &n, &e);
		v->own_key = p ? note_vkey_parse((char *)p, n, &e) : NULL;
		v->key = v->own_key;
	}
	if (!v->key) {
		found(v, p ? VERIFY_TAMPERED : VERIFY_UNDECIDED, "KEY", NO_INDEX,
			"no public key to check signatures with: log.vkey: %s", e.text);
		return -1;
	}
	note_vkey_format(v->key, v->r->vkey);
	return 0;
}

/* Signatures that are there beside the log's. */
static void count_cosignatures(struct verifier *v, const struct note *t)
{
	for (size_t i = 0; i < note_sigs(t); i++) {
		const struct note_sig *s = note_sig_at(t, i);

		if (s->name.n != strlen(v->cp.origin) ||
			memcmp(s->name.p, v->cp.origin, s->name.n) != 0)
			v->r->cosignatures++;
	}
}

static void check_signature(struct verifier *v, const char *p, size_t n)
{
	struct checkpoint again;
	struct error e;

	if (!v->key)
		return;
	if (checkpoint_open(p, n, v->key, &again, &e) < 0)
		found(v, VERIFY_TAMPERED, "CHECKPOINT", NO_INDEX, "the checkpoint: %s", e.text);
	else
		v->r->signature_ok = 1;
}

static void load_checkpoint(struct verifier *v)
{
	struct error e;
	size_t n = 0;
	cleanup_free unsigned char *p = dir_read(v->logdir, "checkpoint", NOTE_MAX, &n, &e);
	struct note *t;

	if (!p) {
		found(v, e.code == ENOENT ? VERIFY_UNDECIDED : VERIFY_TAMPERED, "CHECKPOINT",
			NO_INDEX, "no checkpoint: %s", e.text);
		return;
	}
	t = note_parse((char *)p, n, &e);
	if (!t || checkpoint_parse(note_text(t).p, note_text(t).n, &v->cp, &e) < 0) {
		found(v, VERIFY_TAMPERED, "CHECKPOINT", NO_INDEX, "malformed checkpoint: %s",
			e.text);
		memset(&v->cp, 0, sizeof v->cp);
		note_free(t);
		return;
	}
	v->r->has_checkpoint = 1;
	v->r->size = v->cp.size;
	v->r->root = v->cp.root;
	snprintf(v->r->origin, sizeof v->r->origin, "%s", v->cp.origin);
	count_cosignatures(v, t);
	note_free(t);
	check_signature(v, (char *)p, n);
}

static void check_origin(struct verifier *v)
{
	struct error e;
	size_t n = 0;
	cleanup_free unsigned char *p = dir_read(v->logdir, "origin", NOTE_NAME_MAX + 1, &n, &e);

	if (!p && e.code == ENOENT)
		return;
	if (!p || n == 0 || p[n - 1] != '\n' || strlen(v->cp.origin) != n - 1 ||
		memcmp(p, v->cp.origin, n - 1) != 0)
		found(v, VERIFY_TAMPERED, "ORIGIN", NO_INDEX,
			"the file origin and the checkpoint name different logs");
}

/* ---- what others have kept ---- */

/* A checkpoint of this log with enough cosignatures counts, whichever file it is in. */
static void take_cosigned(struct verifier *v, const char *p, size_t n)
{
	struct quorum_signed by;
	struct checkpoint c;
	struct error e;
	struct note *t;

	if (!v->key || checkpoint_open(p, n, v->key, &c, &e) < 0)
		return;
	t = note_parse(p, n, &e);
	if (!t)
		return;
	quorum_check(v->opt->quorum, t, &by);
	if (by.bad)
		found(v, VERIFY_TAMPERED, "COSIGNATURE", NO_INDEX,
			"a line under the checkpoint of %llu records is not the signature of the "
			"witness that it names",
			(unsigned long long)c.size);
	if (by.met && by.by && c.size >= v->cosigned.size) {
		v->cosigned = (struct verify_known){
			"the checkpoint that witnesses have signed", c.size, c.root};
		v->signed_by = by;
	}
	note_free(t);
}

static void load_cosigned(struct verifier *v)
{
	static const char *const files[] = {"checkpoint", VERIFY_COSIGNED};

	if (!v->opt->quorum)
		return;
	v->r->quorum_asked = 1;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct error e;
		size_t n = 0;
		cleanup_free unsigned char *p = dir_read(v->logdir, files[i], NOTE_MAX, &n, &e);

		if (p)
			take_cosigned(v, (char *)p, n);
	}
}

static void compare_known(struct verifier *v, const struct verify_known *k, const struct tree *t)
{
	struct tree_hash root;

	if (k->size != tree_size(t) || !k->label)
		return;
	tree_root(t, &root);
	if (!tree_hash_equal(&root, &k->root)) {
		found(v, VERIFY_TAMPERED, "FORK", NO_INDEX,
			"the first %llu records are not those of %s: two histories were shown",
			(unsigned long long)k->size, k->label);
		return;
	}
	if (k != &v->cosigned) {
		v->r->known_held++;
		return;
	}
	v->r->witnessed_prefix = k->size;
	v->r->witnessed_time = v->signed_by.time;
	v->r->witnesses = (unsigned)__builtin_popcountll(v->signed_by.by);
}

/* The records so far may be those that a known checkpoint stands for. */
static void compare_all_known(struct verifier *v, const struct tree *t)
{
	compare_known(v, &v->cosigned, t);
	for (size_t i = 0; i < v->opt->nknown; i++)
		compare_known(v, &v->opt->known[i], t);
}

static void judge_known_size(struct verifier *v, const struct verify_known *k, uint64_t size)
{
	if (k->label && k->size > size)
		found(v, VERIFY_TAMPERED, "ROLLBACK", size,
			"the log has %llu records, and %s is of %llu: an older state was put in "
			"its "
			"place",
			(unsigned long long)size, k->label, (unsigned long long)k->size);
}

static void judge_known(struct verifier *v, uint64_t size)
{
	v->r->known = (unsigned)v->opt->nknown;
	judge_known_size(v, &v->cosigned, size);
	for (size_t i = 0; i < v->opt->nknown; i++)
		judge_known_size(v, &v->opt->known[i], size);
	if (v->r->witnessed_prefix > v->r->structure_prefix)
		v->r->witnessed_prefix = v->r->structure_prefix;
	if (v->opt->quorum && !v->cosigned.label)
		found(v, VERIFY_TAMPERED, "QUORUM", NO_INDEX,
			"no checkpoint of this log has the signatures of as many witnesses as the "
			"trust policy asks for");
}

static void load_base(struct verifier *v)
{
	struct error e;

	if (!v->key)
		return;
	if (base_load(v->logdir, v->key, &v->base, &e) < 0) {
		memset(&v->base, 0, sizeof v->base);
		found(v, VERIFY_TAMPERED, "BASE", NO_INDEX, "%s", e.text);
	}
}

/* The base is written after a checkpoint that covers it, and was read before the checkpoint. */
static void check_rollback(struct verifier *v)
{
	if (v->r->has_checkpoint && v->base.size > v->cp.size)
		found(v, VERIFY_TAMPERED, "ROLLBACK", v->cp.size,
			"the checkpoint is of %llu records, but the log had %llu: an older one was "
			"put in its place",
			(unsigned long long)v->cp.size, (unsigned long long)v->base.size);
}

/* Someone holds the writer's lock. */
static int is_live(int logdir)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct error e;
	cleanup_close int fd = dir_open_file(logdir, "lock", O_RDONLY, &e);

	return fd >= 0 && fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

/* ---- stored tiles ---- */

static unsigned needed_width(const struct verifier *v, unsigned l, uint64_t index)
{
	return index < tile_full(v->cp.size, l) ? TILE_WIDTH : tile_partial(v->cp.size, l);
}

/* A partial tile may have been replaced by a wider one, or the full one, since the checkpoint was read:
 * it begins with the same hashes. Finds the name of what is there. */
struct wider {
	unsigned least, width;
};

static int look_wider(void *ctx, const char *name)
{
	struct wider *w = ctx;
	char *end;
	unsigned long n = strtoul(name, &end, 10);

	if (*end == 0 && n >= w->least && n < TILE_WIDTH)
		w->width = (unsigned)n;
	return w->width == w->least;
}

static unsigned find_width(struct verifier *v, int level, uint64_t index, unsigned least)
{
	struct wider w = {.least = least};
	char path[TILE_PATH_CAP];
	struct error e;

	tile_partial_dir(path, level, index);
	(void)dir_each(v->logdir, path, look_wider, &w, &e);
	return w.width;
}

/* Reads a tile or bundle, of at least this width. *width is what was found. NULL: missing (e->code is
 * ENOENT) or not a file one may read. */
static unsigned char *read_tile(struct verifier *v, int level, uint64_t index, unsigned least,
	size_t max, unsigned *width, size_t *n, struct error *e)
{
	char path[TILE_PATH_CAP];
	unsigned char *p = NULL;

	for (int attempt = 0; !p && attempt < 3; attempt++) {
		*width = least;
		tile_path(path, level, index, least);
		p = dir_read(v->logdir, path, max, n, e);
		if (p || e->code != ENOENT || least == TILE_WIDTH)
			return p;
		*width = TILE_WIDTH;
		tile_path(path, level, index, TILE_WIDTH);
		p = dir_read(v->logdir, path, max, n, e);
		if (p || e->code != ENOENT)
			return p;
		*width = find_width(v, level, index, least);
		if (*width == 0)
			return NULL;
		tile_path(path, level, index, *width);
		p = dir_read(v->logdir, path, max, n, e);
	}
	return p;
}

/* What is missing can be made again as long as the write-ahead log has the entries. */
static enum verify_result missing_result(const struct verifier *v, uint64_t first_leaf)
{
	return first_leaf >= v->wal.begin ? VERIFY_WARNINGS : VERIFY_UNDECIDED;
}

static uint64_t first_leaf_of(unsigned l, uint64_t index)
{
	return l >= TILE_LEVELS - 1 ? 0 : index << (8 * (l + 1));
}

static void load_stored(struct verifier *v, unsigned l)
{
	struct level *x = &v->level[l];
	unsigned need = needed_width(v, l, x->index), width;
	cleanup_free unsigned char *p = NULL;
	struct error e;
	size_t n = 0;

	x->stored_n = 0;
	if (need == 0)
		return;
	p = read_tile(v, (int)l, x->index, need, sizeof x->stored, &width, &n, &e);
	if (!p) {
		found(v,
			e.code == ENOENT ? missing_result(v, first_leaf_of(l, x->index))
					 : VERIFY_TAMPERED,
			e.code == ENOENT ? "MISSING" : "TILE", NO_INDEX,
			"tile level %u number %llu: %s", l, (unsigned long long)x->index, e.text);
		return;
	}
	if (n != width * sizeof *x->stored) {
		found(v,
			n < width * sizeof *x->stored &&
					missing_result(v, first_leaf_of(l, x->index)) ==
						VERIFY_WARNINGS
				? VERIFY_WARNINGS
				: VERIFY_TAMPERED,
			"TILE", NO_INDEX, "tile level %u number %llu has %zu bytes instead of %zu",
			l, (unsigned long long)x->index, n, width * sizeof *x->stored);
		return;
	}
	x->stored_n = need;
	for (unsigned i = 0; i < need; i++)
		memcpy(x->stored[i].b, p + i * sizeof *x->stored, sizeof x->stored[i].b);
}

static void differs(struct verifier *v, unsigned l, uint64_t index, unsigned at)
{
	uint64_t node = index * TILE_WIDTH + at, first = l ? node << (8 * l) : node;

	if (l == 0 && v->bad_leaf == NO_INDEX)
		v->bad_leaf = first;
	if (l > 0 && first < v->bad_upper) {
		v->bad_upper = first;
		v->bad_upper_end = (node + 1) << (8 * l);
		v->bad_upper_level = l;
	}
}

/* Adds a hash to a level, compares it with the stored one, carries a full tile's root upwards. */
static void add_hash(struct verifier *v, unsigned l, struct tree_hash h)
{
	while (l < TILE_LEVELS) {
		struct level *x = &v->level[l];
		struct tree *t;

		if (x->n == 0)
			load_stored(v, l);
		if (x->n < x->stored_n && !tree_hash_equal(&x->stored[x->n], &h))
			differs(v, l, x->index, x->n);
		if (l == 1)
			tree_append(v->upper_tree, x->n < x->stored_n ? &x->stored[x->n] : &h);
		x->h[x->n++] = h;
		if (x->n < TILE_WIDTH)
			return;
		t = tree_new();
		for (unsigned i = 0; t && i < TILE_WIDTH; i++)
			tree_append(t, &x->h[i]);
		if (t)
			tree_root(t, &h);
		tree_free(t);
		x->n = 0;
		x->index++;
		l++;
	}
}

/* ---- records ---- */

static void check_genesis(struct verifier *v, const json_t *o)
{
	const char *k = json_string_value(json_object_get(o, "k"));
	const char *key = json_string_value(json_object_get(o, "vkey"));

	if (!k || strcmp(k, "genesis") != 0)
		found(v, VERIFY_WARNINGS, "GENESIS", 0,
			"the first record is not a genesis record: which key began this log is not "
			"in it");
	else if (v->key && (!key || strcmp(key, v->r->vkey) != 0))
		found(v, VERIFY_TAMPERED, "KEY", 0,
			"the log was begun with another key than this one");
}

static void note_record(struct verifier *v, const json_t *o, uint64_t index)
{
	const char *k = json_string_value(json_object_get(o, "k"));
	const char *t = json_string_value(json_object_get(o, "t"));

	if (index == 0)
		check_genesis(v, o);
	if (t) {
		if (!*v->r->first_time)
			snprintf(v->r->first_time, sizeof v->r->first_time, "%s", t);
		snprintf(v->r->last_time, sizeof v->r->last_time, "%s", t);
	}
	if (strcmp(k, "clock") == 0 && json_object_get(o, "set_ns"))
		v->r->clocks++;
	if (strcmp(k, "boot") == 0)
		v->r->boots++;
	if (strcmp(k, "recover") == 0) {
		v->r->recoveries++;
		v->r->quarantined_bytes +=
			(uint64_t)json_integer_value(json_object_get(o, "bytes"));
	}
	if (v->order)
		order_add(v->order, o, index);
}

/* What is wrong with a record, or NULL. */
static const char *record_fault(const json_t *o, uint64_t index)
{
	const json_t *i = json_object_get(o, "i"), *ver = json_object_get(o, "v");
	const char *k = json_string_value(json_object_get(o, "k"));

	if (!json_is_integer(i) || json_integer_value(i) != (json_int_t)index)
		return "its field i is not its place in the log";
	if (!json_is_integer(ver) || json_integer_value(ver) != 1)
		return "its version is not 1";
	if (!k || !record_kind_known(k))
		return "its kind is not known";
	return NULL;
}

/* before: the tree of the records in front of it. */
static void check_seal(struct verifier *v, const json_t *o, struct span entry, uint64_t index,
	const struct tree *before)
{
	static const char *const kinds[] = {[SEALWATCH_BAD] = "SEAL",
		[SEALWATCH_BACKDATED] = "BACKDATED",
		[SEALWATCH_SILENT] = "HEARTBEAT"};
	struct error e;
	int fault = sealwatch_record(&v->seals, o, entry, index, before, &e);

	if (fault)
		found(v, fault == SEALWATCH_SILENT ? VERIFY_WARNINGS : VERIFY_TAMPERED,
			kinds[fault], index, "at record %llu: %s", (unsigned long long)index,
			e.text);
}

static void check_record(
	struct verifier *v, struct span entry, uint64_t index, const struct tree *before)
{
	struct error e;
	json_t *o = record_parse(entry.p, entry.n, &e);
	const char *fault = o ? record_fault(o, index) : e.text;

	if (fault) {
		found(v, VERIFY_TAMPERED, "RECORD", index, "record %llu: %s",
			(unsigned long long)index, fault);
		bad_at(v, index, index + 1);
	} else {
		note_record(v, o, index);
		check_seal(v, o, entry, index, before);
	}
	v->next = index + 1;
	json_decref(o);
}

/* ---- the write-ahead log ---- */

static void begin_wal(struct verifier *v)
{
	struct error e;

	v->wal.begin = NO_INDEX;
	v->wal.n = wal_list(v->logdir, v->wal.first, WAL_SEGMENTS_MAX, &e);
	if (v->wal.n < 0)
		found(v, VERIFY_UNDECIDED, "WAL", NO_INDEX, "%s", e.text);
	if (v->wal.n > 0)
		v->wal.begin = v->wal.first[0];
}

/* Opens the next segment; one that was retired meanwhile is no fault. 1, or 0 when there is none. */
static int open_next_segment(struct verifier *v)
{
	struct wal_cursor *w = &v->wal;
	struct error e;

	while (!w->scan && w->at < w->n) {
		w->scan = wal_scan_open(v->logdir, w->first[w->at], NULL, &e);
		if (!w->scan && e.code != ENOENT)
			found(v, VERIFY_TAMPERED, "WAL", w->first[w->at], "%s", e.text);
		w->at++;
	}
	return w->scan != NULL;
}

/* Also when a recorder has started since the beginning: what it is doing now is no fault. */
static int being_written(struct verifier *v)
{
	v->r->live |= is_live(v->logdir);
	return v->r->live;
}

/* How a segment ends: cleanly before the next one begins, or as the last one may. */
static void check_segment_end(struct verifier *v)
{
	struct wal_cursor *w = &v->wal;
	uint64_t end = wal_scan_index(w->scan);
	int last = w->at == w->n;
	struct wal_tail tail;
	struct error e;

	if (wal_scan_tail(w->scan, &tail, &e) < 0)
		found(v, VERIFY_UNDECIDED, "WAL", end, "%s", e.text);
	else if (tail.damaged && !being_written(v)) {
		found(v, VERIFY_TAMPERED, "WAL", end,
			"the write-ahead log is damaged at record %llu: later records in it are "
			"whole",
			(unsigned long long)end);
		bad_at(v, end, end + 1);
	} else if (!last && (tail.bytes || end != w->first[w->at])) {
		found(v, VERIFY_TAMPERED, "WAL", end,
			"the write-ahead log ends at record %llu, but goes on in a later segment",
			(unsigned long long)end);
		bad_at(v, end, end + 1);
	} else if (tail.bytes && !being_written(v))
		found(v, VERIFY_WARNINGS, "TORN", end,
			"a write was torn by a crash behind the last record: %llu bytes, none of "
			"them "
			"acknowledged; the recorder sets them aside when it starts",
			(unsigned long long)tail.bytes);
}

/* The leaf with this index from the write-ahead log. Calls come in ascending order. 1 or 0. */
static int wal_leaf(struct verifier *v, uint64_t index, struct span *leaf)
{
	struct wal_cursor *w = &v->wal;

	if (w->begin == NO_INDEX || index < w->begin)
		return 0;
	while (open_next_segment(v)) {
		uint64_t at = 0;
		struct error e;
		int r = wal_scan_next(w->scan, &at, leaf, &e);

		if (r == WAL_LEAF && at >= index)
			return at == index;
		if (r == WAL_LEAF)
			continue;
		if (r == WAL_ERROR)
			found(v, VERIFY_UNDECIDED, "WAL", index, "%s", e.text);
		else
			check_segment_end(v);
		if (w->at == w->n) {
			w->begin = NO_INDEX; /* nothing more */
			return 0;
		}
		wal_scan_close(w->scan);
		w->scan = NULL;
	}
	return 0;
}

/* ---- entries ---- */

static void check_base(struct verifier *v)
{
	struct tree *t;
	struct tree_hash mine, theirs;

	if (v->base.size == 0 || tree_size(v->tree) != v->base.size)
		return;
	t = tree_from_peaks(v->base.size, v->base.peak, v->base.n);
	if (!t)
		return;
	tree_root(t, &theirs);
	tree_root(v->tree, &mine);
	v->base_ok = v->unread == NO_INDEX && tree_hash_equal(&mine, &theirs);
	tree_free(t);
}

static void add_leaf(struct verifier *v, const struct tree_hash *h)
{
	const struct level *x = &v->level[0];

	tree_append(v->tree, h);
	add_hash(v, 0, *h);
	/* add_hash has loaded the stored tile; at its last leaf it has moved on, but kept the hashes. */
	if (x->stored_n) {
		unsigned at = (unsigned)((tree_size(v->tree) - 1) % TILE_WIDTH);

		tree_append(v->stored_tree, &x->stored[at]);
	} else {
		tree_append(v->stored_tree, h);
	}
	check_base(v);
	compare_all_known(v, v->tree);
}

static void take_entry(struct verifier *v, struct span entry, uint64_t index)
{
	struct tree_hash h;

	v->r->entries++;
	check_record(v, entry, index, v->tree);
	tree_leaf_hash(entry.p, entry.n, &h);
	add_leaf(v, &h);
}

/* An entry that is not there: the stored hash stands in for it, so that what follows can be judged.
 * 0, or -1 when there is no stored hash either. */
static int take_stored_hash(struct verifier *v, uint64_t index)
{
	struct level *x = &v->level[0];
	struct tree_hash h;
	unsigned at = (unsigned)(index % TILE_WIDTH);

	sealwatch_missing(&v->seals);
	if (v->unread == NO_INDEX) {
		v->unread = index;
		found(v, VERIFY_UNDECIDED, "MISSING", index, "record %llu is not there",
			(unsigned long long)index);
	}
	if (at == 0)
		load_stored(v, 0);
	if (at >= x->stored_n)
		return -1;
	h = x->stored[at];
	add_leaf(v, &h);
	return 0;
}

struct block { /* one bundle */
	unsigned char *bytes; /* NULL: not there */
	size_t n, pos;
	unsigned width;
	int broken; /* ended early */
};

static void open_block(struct verifier *v, uint64_t index, unsigned need, struct block *b)
{
	struct error e;
	uint64_t first = index * TILE_WIDTH;

	memset(b, 0, sizeof *b);
	b->bytes = read_tile(v, TILE_ENTRIES, index, need, BUNDLE_MAX, &b->width, &b->n, &e);
	if (b->bytes)
		return;
	if (e.code != ENOENT) {
		found(v, VERIFY_TAMPERED, "BUNDLE", first, "%s", e.text);
		bad_at(v, first, first + need);
	} else {
		found(v, missing_result(v, first), "MISSING", first,
			"records %llu to %llu: their bundle is missing%s",
			(unsigned long long)first, (unsigned long long)(first + need - 1),
			first >= v->wal.begin ? "; the write-ahead log has them" : "");
	}
}

/* The next entry of the bundle. 1 or 0. */
static int block_entry(struct verifier *v, struct block *b, uint64_t index, struct span *entry)
{
	if (!b->bytes || b->broken)
		return 0;
	if (bundle_next(b->bytes, b->n, &b->pos, entry) > 0)
		return 1;
	b->broken = 1;
	/* Not synced before a power loss: then the write-ahead log still has all of it. */
	if (missing_result(v, index) == VERIFY_WARNINGS) {
		found(v, VERIFY_WARNINGS, "BUNDLE", index,
			"the published bundle ends at record %llu; the write-ahead log goes on",
			(unsigned long long)index);
	} else {
		found(v, VERIFY_TAMPERED, "BUNDLE", index, "the bundle is cut short at record %llu",
			(unsigned long long)index);
		bad_at(v, index, index + 1);
	}
	return 0;
}

static void close_block(struct verifier *v, struct block *b, uint64_t next, unsigned need)
{
	if (b->bytes && !b->broken && b->width == need && b->pos != b->n) {
		found(v, VERIFY_TAMPERED, "BUNDLE", next - 1,
			"the bundle has %zu bytes too many behind record %llu", b->n - b->pos,
			(unsigned long long)(next - 1));
		bad_at(v, next - need, next);
	}
	free(b->bytes);
}

static void compare_copies(struct verifier *v, struct span entry, struct span leaf, uint64_t index)
{
	if (entry.n == leaf.n && memcmp(entry.p, leaf.p, leaf.n) == 0)
		return;
	found(v, VERIFY_TAMPERED, "ENTRY", index,
		"record %llu in its bundle is not what the write-ahead log has",
		(unsigned long long)index);
	bad_at(v, index, index + 1);
}

/* One bundle's worth of entries. 0, or -1 when the tree cannot be followed any further. */
static int take_block(struct verifier *v, uint64_t index)
{
	uint64_t first = index * TILE_WIDTH, next = first;
	unsigned need =
		v->cp.size - first < TILE_WIDTH ? (unsigned)(v->cp.size - first) : TILE_WIDTH;
	struct block b;
	int r = 0;

	open_block(v, index, need, &b);
	for (; next < first + need && r == 0; next++) {
		struct span entry = {0}, leaf = {0};
		int published = block_entry(v, &b, next, &entry), kept = wal_leaf(v, next, &leaf);

		if (published && kept)
			compare_copies(v, entry, leaf, next);
		if (published || kept)
			take_entry(v, published ? entry : leaf, next);
		else
			r = take_stored_hash(v, next);
	}
	close_block(v, &b, next, need);
	return r;
}

/* What is durable but not signed yet. */
static void take_tail(struct verifier *v)
{
	struct tree_hash peak[TREE_PEAKS], h;
	struct tree *all = tree_from_peaks(tree_size(v->tree), peak, tree_peaks(v->tree, peak));
	struct span leaf;

	for (uint64_t next = v->cp.size; all && wal_leaf(v, next, &leaf); next++) {
		v->r->tail++;
		v->r->entries++;
		check_record(v, leaf, next, all);
		tree_leaf_hash(leaf.p, leaf.n, &h);
		tree_append(all, &h);
		compare_all_known(v, all);
	}
	tree_free(all);
	if (v->r->tail && !being_written(v))
		found(v, VERIFY_WARNINGS, "UNSIGNED_TAIL", v->cp.size,
			"the last %llu records are whole, but no checkpoint was signed for them; "
			"the "
			"recorder does so when it starts",
			(unsigned long long)v->r->tail);
}

/* ---- judgement ---- */

static void judge_tiles(struct verifier *v)
{
	if (v->bad_leaf != NO_INDEX)
		found(v, VERIFY_TAMPERED, "TILE", v->bad_leaf,
			"the stored hash of record %llu is wrong; the record itself is intact",
			(unsigned long long)v->bad_leaf);
	if (v->bad_upper != NO_INDEX)
		found(v, VERIFY_TAMPERED, "TILE", v->bad_upper,
			"a stored hash of level %u is wrong; the records below it are intact",
			v->bad_upper_level);
}

/* The root by the stored hashes of level 1 and the entries behind the last full tile. */
static void upper_root(const struct verifier *v, struct tree_hash *out)
{
	struct tree_hash peak[TREE_PEAKS];
	struct tree *rest = tree_new();
	size_t n = tree_peaks(v->upper_tree, peak);

	for (unsigned i = 0; rest && i < v->level[0].n; i++)
		tree_append(rest, &v->level[0].h[i]);
	if (!rest || (n && v->level[0].n == 0))
		tree_root(v->upper_tree, out);
	else
		tree_root(rest, out);
	for (size_t i = rest && v->level[0].n ? n : 0; i-- > 0;)
		tree_node_hash(&peak[i], out, out);
	tree_free(rest);
}

/* The entries do not have the signed root. Where does it begin? */
static void judge_entries(struct verifier *v)
{
	struct tree_hash stored, upper;

	tree_root(v->stored_tree, &stored);
	upper_root(v, &upper);
	if (v->bad_leaf != NO_INDEX && tree_hash_equal(&stored, &v->cp.root)) {
		found(v, VERIFY_TAMPERED, "ENTRY", v->bad_leaf,
			"record %llu was changed: its hash is not the one that was signed",
			(unsigned long long)v->bad_leaf);
		bad_at(v, v->bad_leaf, v->bad_leaf + 1);
		v->vouched = 1;
	} else if (v->bad_upper != NO_INDEX && v->bad_upper_end <= v->bad_leaf) {
		found(v, VERIFY_TAMPERED, "ENTRY", v->bad_upper,
			"a record of %llu to %llu was changed together with its stored hash",
			(unsigned long long)v->bad_upper, (unsigned long long)v->bad_upper_end - 1);
		bad_at(v, v->bad_upper, v->bad_upper_end);
		v->vouched = tree_hash_equal(&upper, &v->cp.root);
	} else if (v->bad_leaf != NO_INDEX) {
		found(v, VERIFY_TAMPERED, "ENTRY", v->bad_leaf,
			"record %llu is not the one whose hash is stored, and neither has the "
			"signed root",
			(unsigned long long)v->bad_leaf);
		bad_at(v, v->bad_leaf, v->bad_leaf + 1);
	} else {
		found(v, VERIFY_TAMPERED, "ROOT", NO_INDEX,
			"the records do not have the root that the checkpoint states; the stored "
			"hashes "
			"were changed with them, so which record is not known");
		bad_at(v, v->base_ok ? v->base.size : 0, v->cp.size);
	}
}

static void judge(struct verifier *v)
{
	uint64_t size = v->cp.size, got = tree_size(v->tree);
	struct tree_hash root;
	int same;

	if (!v->r->has_checkpoint)
		return;
	tree_root(v->tree, &root);
	same = got == size && tree_hash_equal(&root, &v->cp.root);
	if (got < size) {
		found(v, VERIFY_UNDECIDED, "MISSING", got,
			"record %llu and the rest, up to %llu, cannot be checked: neither entries "
			"nor "
			"hashes are there",
			(unsigned long long)got, (unsigned long long)size);
	} else if (same) {
		judge_tiles(v);
	} else {
		judge_entries(v);
	}
	v->r->structure_prefix = same ? size + v->r->tail : v->base_ok ? v->base.size : 0;
	if (v->vouched && v->r->first_bad > v->r->structure_prefix)
		v->r->structure_prefix = v->r->first_bad;
	if (v->unread < v->r->structure_prefix)
		v->r->structure_prefix = v->unread;
	if (v->r->has_bad && v->r->first_bad < v->r->structure_prefix)
		v->r->structure_prefix = v->r->first_bad;
	v->r->signed_prefix = v->r->signature_ok ? size : v->base_ok ? v->base.size : 0;
	if (v->r->structure_prefix < v->r->signed_prefix)
		v->r->signed_prefix = v->r->structure_prefix;
}

static void judge_order(struct verifier *v)
{
	struct order_result *o = &v->r->order;

	if (!v->order)
		return;
	order_finish(v->order, o);
	if (o->gaps)
		found(v, VERIFY_WARNINGS, "GAP", o->gap_index,
			"records of a session were left out, or are twice there: %llu places, the "
			"first "
			"at record %llu, session %s",
			(unsigned long long)o->gaps, (unsigned long long)o->gap_index,
			o->gap_session);
	if (o->orphans)
		found(v, VERIFY_WARNINGS, "ORPHAN", o->orphan_index,
			"%llu requests without a decision, the first is record %llu",
			(unsigned long long)o->orphans, (unsigned long long)o->orphan_index);
	if (o->incomplete)
		found(v, VERIFY_WARNINGS, "LIMIT", NO_INDEX,
			"too many open sessions or requests at once: gaps and orphans were not all "
			"watched");
	if (v->r->recoveries)
		found(v, VERIFY_WARNINGS, "RECOVERED", NO_INDEX,
			"the recorder recovered from %llu faults, mostly torn writes of crashes; "
			"%llu "
			"bytes were set aside",
			(unsigned long long)v->r->recoveries,
			(unsigned long long)v->r->quarantined_bytes);
}

/* A log at rest ends in a seal. */
static void judge_seals(struct verifier *v)
{
	const struct sealwatch *w = &v->seals;

	v->r->seals = w->seals;
	v->r->seals_checked = !w->unknown;
	v->r->sealed_prefix =
		w->sealed < v->r->structure_prefix ? w->sealed : v->r->structure_prefix;
	v->r->sealed_ns = w->sealed ? w->chain.time_ns : 0;
	if (w->unknown)
		found(v, VERIFY_WARNINGS, "SEALS", NO_INDEX,
			"no genesis record names the key of the first seal, and none was given: "
			"the "
			"%llu "
			"seals were not checked",
			(unsigned long long)w->seals);
	else if (!w->broken && w->sealed < v->next && v->unread == NO_INDEX)
		found(v, w->from_genesis ? VERIFY_TAMPERED : VERIFY_WARNINGS, "UNSEALED_TAIL",
			w->sealed, "the last %llu records have no seal, and a log ends in one",
			(unsigned long long)(v->next - w->sealed));
	if (v->r->clocks)
		found(v, VERIFY_WARNINGS, "CLOCK", NO_INDEX,
			"the machine's clock was set %llu times; the order of records "
			"is kept by i and m",
			(unsigned long long)v->r->clocks);
}

static int prepare(struct verifier *v)
{
	v->tree = tree_new();
	v->stored_tree = tree_new();
	v->upper_tree = tree_new();
	v->order = order_new();
	v->bad_leaf = v->bad_upper = v->unread = NO_INDEX;
	return v->tree && v->stored_tree && v->upper_tree && v->order ? 0 : -1;
}

static void release(struct verifier *v)
{
	wal_scan_close(v->wal.scan);
	order_free(v->order);
	tree_free(v->tree);
	tree_free(v->stored_tree);
	tree_free(v->upper_tree);
	note_vkey_free(v->own_key);
	free(v);
}

void verify_dir(int logdir, const struct verify_options *options, struct verify_report *out)
{
	struct verifier *v = calloc(1, sizeof *v);

	memset(out, 0, sizeof *out);
	out->result = VERIFY_UNDECIDED;
	if (!v)
		return;
	v->logdir = logdir;
	v->r = out;
	v->opt = options;
	v->key = options->key;
	out->key_pinned = v->key != NULL;
	if (prepare(v) < 0) {
		release(v);
		return;
	}
	out->result = VERIFY_OK;
	out->live = is_live(logdir);
	(void)load_key(v);
	load_base(v);
	load_checkpoint(v);
	load_cosigned(v);
	if (out->has_checkpoint)
		check_origin(v);
	check_rollback(v);
	sealwatch_begin(
		&v->seals, v->key ? note_vkey_name(v->key) : v->cp.origin, options->seal_vkey);
	begin_wal(v);
	for (uint64_t i = 0; i * TILE_WIDTH < v->cp.size; i++) {
		if (take_block(v, i) < 0)
			break;
	}
	if (tree_size(v->tree) == v->cp.size)
		take_tail(v);
	judge(v);
	judge_known(v, v->cp.size + v->r->tail);
	judge_seals(v);
	judge_order(v);
	release(v);
}
