/* Tiles, bundles and checkpoints from durable leaves; see publish.h. Must never sign a root that it did
 * not compute from the bytes on disk, nor remove a segment before its leaves are durable elsewhere. */
#include "audit/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/base.h"
#include "audit/dir.h"
#include "audit/fault.h"
#include "audit/reader.h"
#include "audit/tile.h"
#include "audit/wal.h"
#include "common/cleanup.h"

struct level {
	uint64_t index; /* of the tile that is being filled */
	unsigned n; /* hashes in it */
	unsigned written; /* width of the partial tile that is on disk */
	struct tree_hash h[TILE_WIDTH];
};

struct publish {
	int logdir; /* the caller's */
	const struct note_signer *signer; /* the caller's */
	struct reader *reader;
	struct tree *tree; /* of the leaves read so far */
	struct base base; /* as on disk */
	struct base edge; /* the tree at its last multiple of TILE_WIDTH */
	uint64_t size; /* of the published checkpoint; 0: none in this run */
	unsigned bundle_written; /* width of the partial bundle that is on disk */
	size_t bundle_n, bundle_cap;
	unsigned char *bundle; /* the entries behind the last full bundle */
	struct level level[TILE_LEVELS];
};

/* ---- start ---- */

/* The root of a full tile on disk. */
static int full_tile_root(
	int logdir, unsigned level, uint64_t index, struct tree_hash *out, struct error *e)
{
	char path[TILE_PATH_CAP];
	struct tree *t = tree_new();
	unsigned char *tile;
	size_t n = 0;

	tile_path(path, (int)level, index, TILE_WIDTH);
	tile = dir_read(logdir, path, TILE_WIDTH * sizeof *out, &n, e);
	if (tile && t && n == TILE_WIDTH * sizeof *out) {
		for (size_t i = 0; i < TILE_WIDTH; i++) {
			struct tree_hash h;

			memcpy(h.b, tile + i * sizeof h, sizeof h);
			tree_append(t, &h);
		}
		tree_root(t, out);
		n = 0;
	}
	free(tile);
	tree_free(t);
	return n == 0 && tile ? 0 : fault_set(e, EBADMSG, "%s is missing or damaged", path);
}

/* The hashes of the upper levels' unfinished tiles, from the full tiles below them. */
static int restore_level(struct publish *p, unsigned l, struct error *e)
{
	struct level *v = &p->level[l];
	unsigned n = tile_partial(p->base.size, l);

	v->index = tile_full(p->base.size, l);
	for (v->n = 0; l > 0 && v->n < n; v->n++) {
		if (full_tile_root(p->logdir, l - 1, v->index * TILE_WIDTH + v->n, &v->h[v->n], e) <
			0)
			return -1;
	}
	return 0;
}

/* The restored hashes must fold to the peaks that the base's signature covers. */
static int levels_fit_base(const struct publish *p)
{
	struct tree_hash peak[TREE_PEAKS];
	size_t n = 0, got = 0;

	for (unsigned l = TILE_LEVELS; l-- > 0;) {
		struct tree *t = tree_new();

		for (unsigned i = 0; t && i < p->level[l].n; i++)
			tree_append(t, &p->level[l].h[i]);
		n = t ? tree_peaks(t, peak) : TREE_PEAKS + 1;
		tree_free(t);
		if (n > p->base.n - got || memcmp(peak, p->base.peak + got, n * sizeof *peak) != 0)
			return 0;
		got += n;
	}
	return got == p->base.n;
}

static int restore(struct publish *p, struct error *e)
{
	for (unsigned l = 0; l < TILE_LEVELS; l++) {
		if (restore_level(p, l, e) < 0)
			return -1;
	}
	if (!levels_fit_base(p))
		return fault_set(e, EBADMSG, "the tiles do not fit the signed base of the log");
	p->edge = p->base;
	p->tree = tree_from_peaks(p->base.size, p->base.peak, p->base.n);
	p->reader = reader_new(p->logdir);
	if (!p->tree || !p->reader)
		return error_set(e, ENOMEM, "cannot publish the log");
	reader_seek(p->reader, p->base.size);
	return 0;
}

struct publish *publish_open(int logdir, const struct note_signer *signer, struct error *e)
{
	struct publish *p = calloc(1, sizeof *p);

	if (!p) {
		error_set(e, ENOMEM, "cannot publish the log");
		return NULL;
	}
	p->logdir = logdir;
	p->signer = signer;
	if (base_load(logdir, note_signer_vkey(signer), &p->base, e) < 0 || restore(p, e) < 0) {
		publish_close(p);
		return NULL;
	}
	return p;
}

void publish_close(struct publish *p)
{
	if (!p)
		return;
	reader_free(p->reader);
	tree_free(p->tree);
	free(p->bundle);
	free(p);
}

uint64_t publish_size(const struct publish *p)
{
	return p->size;
}

/* ---- partial tiles ---- */

struct sweep {
	int fd;
	unsigned keep;
};

static int sweep_one(void *ctx, const char *name)
{
	const struct sweep *s = ctx;

	if (s->keep == 0 || strtoul(name, NULL, 10) < s->keep)
		unlinkat(s->fd, name, 0);
	return 0;
}

/* Removes the partial tiles narrower than keep; all, and their directory, when keep is 0. Left-overs
 * harm nobody, so errors are nothing. */
static void sweep_partials(int logdir, int level, uint64_t index, unsigned keep)
{
	struct sweep s = {.keep = keep};
	char path[TILE_PATH_CAP];
	struct error e;

	tile_partial_dir(path, level, index);
	s.fd = dir_open_sub(logdir, path, &e);
	if (s.fd < 0)
		return;
	(void)dir_each(s.fd, ".", sweep_one, &s, &e);
	close(s.fd);
	if (keep == 0)
		unlinkat(logdir, path, AT_REMOVEDIR);
}

static int write_tile(struct publish *p, int level, uint64_t index, unsigned width,
	const void *bytes, size_t n, struct error *e)
{
	char path[TILE_PATH_CAP];

	tile_path(path, level, index, width);
	return dir_write(p->logdir, path, bytes, n, 0, e);
}

/* ---- growing ---- */

/* Writes a level's full tile and carries its root one level up. */
static int finish_tile(struct publish *p, unsigned l, struct error *e)
{
	struct level *v = &p->level[l];
	struct tree *t;
	struct tree_hash root;

	if (write_tile(p, (int)l, v->index, TILE_WIDTH, v->h, sizeof v->h, e) < 0)
		return -1;
	t = tree_new();
	if (!t || l + 1 == TILE_LEVELS) {
		tree_free(t);
		return error_set(e, ENOMEM, "cannot grow the tree");
	}
	for (unsigned i = 0; i < TILE_WIDTH; i++)
		tree_append(t, &v->h[i]);
	tree_root(t, &root);
	tree_free(t);
	sweep_partials(p->logdir, (int)l, v->index, 0);
	v->index++;
	v->n = v->written = 0;
	p->level[l + 1].h[p->level[l + 1].n++] = root;
	return 0;
}

/* Writes whatever tiles and the bundle that are full. Can be called again after an error. */
static int finish_full(struct publish *p, struct error *e)
{
	if (p->level[0].n == TILE_WIDTH) {
		uint64_t index = p->level[0].index;

		if (write_tile(p, TILE_ENTRIES, index, TILE_WIDTH, p->bundle, p->bundle_n, e) < 0)
			return -1;
		if (finish_tile(p, 0, e) < 0)
			return -1;
		sweep_partials(p->logdir, TILE_ENTRIES, index, 0);
		p->bundle_n = p->bundle_written = 0;
		p->edge.size = tree_size(p->tree);
		p->edge.n = tree_peaks(p->tree, p->edge.peak);
	}
	for (unsigned l = 1; l < TILE_LEVELS; l++) {
		if (p->level[l].n == TILE_WIDTH && finish_tile(p, l, e) < 0)
			return -1;
	}
	return 0;
}

static int make_room(struct publish *p, size_t n, struct error *e)
{
	size_t cap = p->bundle_cap ? p->bundle_cap : 1 << 17;
	unsigned char *grown;

	while (cap < p->bundle_n + n)
		cap *= 2;
	if (cap == p->bundle_cap)
		return 0;
	grown = realloc(p->bundle, cap);
	if (!grown)
		return error_set(e, ENOMEM, "cannot hold an entry bundle");
	p->bundle = grown;
	p->bundle_cap = cap;
	return 0;
}

static int add_leaf(struct publish *p, struct span leaf, struct error *e)
{
	struct tree_hash h;

	if (make_room(p, leaf.n + 2, e) < 0)
		return -1;
	bundle_put(p->bundle, &p->bundle_n, leaf.p, leaf.n);
	tree_leaf_hash(leaf.p, leaf.n, &h);
	tree_append(p->tree, &h);
	p->level[0].h[p->level[0].n++] = h;
	return 0;
}

/* Reads leaves until the tree has this size. */
static int grow(struct publish *p, uint64_t size, struct error *e)
{
	while (tree_size(p->tree) < size) {
		struct span leaf;
		int r;

		if (finish_full(p, e) < 0)
			return -1;
		r = reader_next(p->reader, &leaf, e);
		if (r == 0)
			return fault_set(e, EBADMSG,
				"durable entry %llu is not in the log any more",
				(unsigned long long)tree_size(p->tree));
		if (r < 0)
			return -1;
		if (add_leaf(p, leaf, e) < 0) {
			reader_seek(p->reader, tree_size(p->tree));
			return -1;
		}
	}
	return finish_full(p, e);
}

static int write_partials(struct publish *p, struct error *e)
{
	const struct level *l0 = &p->level[0];

	if (l0->n > p->bundle_written &&
		write_tile(p, TILE_ENTRIES, l0->index, l0->n, p->bundle, p->bundle_n, e) < 0)
		return -1;
	for (unsigned l = 0; l < TILE_LEVELS; l++) {
		const struct level *v = &p->level[l];

		if (v->n > v->written &&
			write_tile(p, (int)l, v->index, v->n, v->h, v->n * sizeof *v->h, e) < 0)
			return -1;
	}
	return 0;
}

/* Keeps the partial tiles of the checkpoint before this one, for who is just reading it. */
static void sweep_old(struct publish *p)
{
	struct level *l0 = &p->level[0];

	if (l0->n > p->bundle_written) {
		sweep_partials(p->logdir, TILE_ENTRIES, l0->index,
			p->bundle_written ? p->bundle_written : l0->n);
		p->bundle_written = l0->n;
	}
	for (unsigned l = 0; l < TILE_LEVELS; l++) {
		struct level *v = &p->level[l];

		if (v->n > v->written) {
			sweep_partials(p->logdir, (int)l, v->index, v->written ? v->written : v->n);
			v->written = v->n;
		}
	}
}

static int write_checkpoint(
	struct publish *p, uint64_t size, const struct tree_hash *root, int sync, struct error *e)
{
	char buf[2048];
	size_t n = base_sign(p->signer, size, root, buf, sizeof buf, e);

	if (n == 0 || dir_write(p->logdir, "checkpoint", buf, n, sync, e) < 0)
		return -1;
	return sync ? dir_sync(p->logdir, ".", e) : 0;
}

int publish_to(struct publish *p, uint64_t size, const struct tree_hash *root, struct error *e)
{
	struct tree_hash mine;

	if (size <= p->size)
		return 0;
	if (grow(p, size, e) < 0)
		return -1;
	tree_root(p->tree, &mine);
	if (tree_size(p->tree) != size || !tree_hash_equal(&mine, root))
		return fault_set(e, EBADMSG,
			"the log on disk is not what was written: its root of %llu entries differs",
			(unsigned long long)size);
	if (write_partials(p, e) < 0 || write_checkpoint(p, size, root, 0, e) < 0)
		return -1;
	p->size = size;
	sweep_old(p);
	return 0;
}

/* ---- retiring segments ---- */

/* fsync of the directories that lead to path, which is cut on the way. */
static int sync_parents(int logdir, char *path, struct error *e)
{
	for (char *slash = strrchr(path, '/'); slash; slash = strrchr(path, '/')) {
		*slash = 0;
		if (dir_sync(logdir, path, e) < 0)
			return -1;
	}
	return 0;
}

static int sync_range(int logdir, int level, uint64_t from, uint64_t to, struct error *e)
{
	char path[TILE_PATH_CAP];

	for (; from < to; from++) {
		tile_path(path, level, from, TILE_WIDTH);
		if (dir_sync(logdir, path, e) < 0)
			return -1;
		/* A directory is full with x999 or 999: then, and at the end, it is synced. */
		if ((from % 1000 == 999 || from + 1 == to) && sync_parents(logdir, path, e) < 0)
			return -1;
	}
	return 0;
}

/* Everything full between the two sizes. */
static int sync_tiles(int logdir, uint64_t from, uint64_t to, struct error *e)
{
	if (sync_range(logdir, TILE_ENTRIES, tile_full(from, 0), tile_full(to, 0), e) < 0)
		return -1;
	for (unsigned l = 0; l < TILE_LEVELS; l++) {
		if (sync_range(logdir, (int)l, tile_full(from, l), tile_full(to, l), e) < 0)
			return -1;
	}
	return 0;
}

/* How many of the oldest segments end at or before the edge; the one in use is never among them. */
static int done_segments(const struct publish *p, const uint64_t *first, int n)
{
	int done = 0;

	while (done + 1 < n && first[done + 1] <= p->edge.size)
		done++;
	return done;
}

int publish_retire(struct publish *p, struct error *e)
{
	cleanup_free uint64_t *first = malloc(WAL_SEGMENTS_MAX * sizeof *first);
	struct tree_hash root;
	int n, done;

	if (!first)
		return error_set(e, ENOMEM, "cannot list the segments");
	n = wal_list(p->logdir, first, WAL_SEGMENTS_MAX, e);
	if (n < 0)
		return -1;
	done = done_segments(p, first, n);
	/* Only what a published checkpoint covers, with the tree as it was then. */
	if (done == 0 || p->size == 0 || tree_size(p->tree) != p->size)
		return 0;
	tree_root(p->tree, &root);
	if (sync_tiles(p->logdir, p->base.size, p->edge.size, e) < 0 ||
		write_checkpoint(p, p->size, &root, 1, e) < 0 ||
		base_store(p->logdir, p->signer, &p->edge, e) < 0)
		return -1;
	p->base = p->edge;
	for (int i = 0; i < done; i++) {
		if (wal_remove(p->logdir, first[i], e) < 0)
			return -1;
	}
	return 0;
}
