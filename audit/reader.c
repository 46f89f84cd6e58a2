/* One sequence of entries from bundles and write-ahead log; see reader.h. Must never hand out a leaf of
 * a batch that is not whole. */
#include "audit/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "audit/dir.h"
#include "audit/fault.h"
#include "audit/tile.h"
#include "audit/wal.h"
#include "common/cleanup.h"

struct reader {
	int logdir; /* the caller's */
	uint64_t index; /* of the next entry */
	struct wal_scan *scan; /* positioned at index, or NULL */
	unsigned char *bundle; /* or NULL */
	size_t bundle_n, bundle_pos;
	uint64_t bundle_index; /* of the entry at bundle_pos */
};

struct reader *reader_new(int logdir)
{
	struct reader *r = calloc(1, sizeof *r);

	if (r)
		r->logdir = logdir;
	return r;
}

static void forget(struct reader *r)
{
	wal_scan_close(r->scan);
	r->scan = NULL;
	free(r->bundle);
	r->bundle = NULL;
}

void reader_free(struct reader *r)
{
	if (!r)
		return;
	forget(r);
	free(r);
}

void reader_seek(struct reader *r, uint64_t index)
{
	if (index != r->index)
		forget(r);
	r->index = index;
}

uint64_t reader_index(const struct reader *r)
{
	return r->index;
}

/* The last segment whose first leaf is not behind index. 1 and *first, 0 when there is none. */
static int find_segment(int logdir, uint64_t index, uint64_t *first, struct error *e)
{
	cleanup_free uint64_t *list = malloc(WAL_SEGMENTS_MAX * sizeof *list);
	int n, found = 0;

	if (!list)
		return error_set(e, ENOMEM, "cannot list the segments");
	n = wal_list(logdir, list, WAL_SEGMENTS_MAX, e);
	for (int i = 0; i < n && list[i] <= index; i++) {
		*first = list[i];
		found = 1;
	}
	return n < 0 ? -1 : found;
}

/* Opens the segment and walks to index. 1 when it is there, 0 when the segment ends before. */
static int open_segment(struct reader *r, uint64_t first, struct error *e)
{
	uint64_t index;
	struct span leaf;

	r->scan = wal_scan_open(r->logdir, first, NULL, e);
	if (!r->scan)
		return -1;
	while (wal_scan_index(r->scan) < r->index) {
		int w = wal_scan_next(r->scan, &index, &leaf, e);

		if (w == WAL_ERROR)
			return -1;
		if (w != WAL_LEAF)
			return 0;
	}
	return 1;
}

struct widest {
	unsigned width;
};

static int look_width(void *ctx, const char *name)
{
	struct widest *w = ctx;
	char *end;
	unsigned long v = strtoul(name, &end, 10);

	if (*end == 0 && v > w->width && v < TILE_WIDTH)
		w->width = (unsigned)v;
	return 0;
}

static unsigned char *read_bundle(int logdir, uint64_t n, size_t *len, struct error *e)
{
	struct widest w = {0};
	char path[TILE_PATH_CAP];
	unsigned char *b;

	tile_path(path, TILE_ENTRIES, n, TILE_WIDTH);
	b = dir_read(logdir, path, BUNDLE_MAX, len, e);
	if (b || e->code != ENOENT)
		return b;
	tile_partial_dir(path, TILE_ENTRIES, n);
	if (dir_each(logdir, path, look_width, &w, e) < 0)
		return NULL;
	if (w.width == 0) {
		fault_set(e, ENOENT, "the entries from %llu on are missing",
			(unsigned long long)n * TILE_WIDTH);
		return NULL;
	}
	tile_path(path, TILE_ENTRIES, n, w.width);
	return dir_read(logdir, path, BUNDLE_MAX, len, e);
}

static int load_bundle(struct reader *r, struct error *e)
{
	struct span skip;

	r->bundle = read_bundle(r->logdir, r->index / TILE_WIDTH, &r->bundle_n, e);
	if (!r->bundle)
		return -1;
	r->bundle_pos = 0;
	r->bundle_index = r->index / TILE_WIDTH * TILE_WIDTH;
	while (r->bundle_index < r->index) {
		int b = bundle_next(r->bundle, r->bundle_n, &r->bundle_pos, &skip);

		if (b <= 0)
			return b;
		r->bundle_index++;
	}
	return 1;
}

/* Finds where the entry is now. 1, 0 (nowhere yet) or -1. */
static int locate(struct reader *r, struct error *e)
{
	uint64_t first;
	int s;

	forget(r);
	s = find_segment(r->logdir, r->index, &first, e);
	if (s > 0) {
		s = open_segment(r, first, e);
		/* The segment may have been turned into bundles just now. */
		if (s < 0 && e->code == ENOENT)
			return load_bundle(r, e);
		return s;
	}
	return s < 0 ? -1 : load_bundle(r, e);
}

static int from_bundle(struct reader *r, struct span *entry, struct error *e)
{
	int b = 0;

	if (r->bundle_index == r->index)
		b = bundle_next(r->bundle, r->bundle_n, &r->bundle_pos, entry);
	if (b < 0)
		return fault_set(e, EBADMSG, "the bundle with entry %llu is damaged",
			(unsigned long long)r->index);
	if (b > 0)
		r->bundle_index++;
	return b;
}

static int from_wal(struct reader *r, struct span *entry, struct error *e)
{
	uint64_t index;
	int w = wal_scan_next(r->scan, &index, entry, e);

	return w == WAL_ERROR ? -1 : w == WAL_LEAF;
}

static int try_current(struct reader *r, struct span *entry, struct error *e)
{
	if (r->scan)
		return from_wal(r, entry, e);
	return r->bundle ? from_bundle(r, entry, e) : 0;
}

/* At the end of a segment: is this the beginning of another one? Otherwise the log just ends here. */
static int next_segment_begins(const struct reader *r)
{
	return wal_scan_first(r->scan) != r->index && wal_exists(r->logdir, r->index);
}

int reader_next(struct reader *r, struct span *entry, struct error *e)
{
	int got = try_current(r, entry, e);

	if (got == 0 && (!r->scan || next_segment_begins(r))) {
		got = locate(r, e);
		if (got > 0)
			got = try_current(r, entry, e);
	}
	if (got > 0)
		r->index++;
	return got;
}

static int size_of_static_log(int logdir, uint64_t *size, struct error *e)
{
	size_t n = 0;
	cleanup_free unsigned char *cp = dir_read(logdir, "checkpoint", 65536, &n, e);
	char *line = cp ? strchr((char *)cp, '\n') : NULL;

	if (!cp)
		return -1;
	if (!line)
		return fault_set(e, EBADMSG, "the checkpoint is damaged");
	*size = strtoull(line + 1, NULL, 10);
	return 0;
}

int reader_size(struct reader *r, uint64_t *size, struct error *e)
{
	uint64_t first = 0, index;
	struct wal_scan *s;
	struct span leaf;
	int found = find_segment(r->logdir, UINT64_MAX, &first, e), w;

	if (found < 0)
		return -1;
	if (found == 0)
		return size_of_static_log(r->logdir, size, e);
	s = wal_scan_open(r->logdir, first, NULL, e);
	if (!s)
		return -1;
	do
		w = wal_scan_next(s, &index, &leaf, e);
	while (w == WAL_LEAF);
	*size = wal_scan_index(s);
	wal_scan_close(s);
	return w == WAL_ERROR ? -1 : 0;
}
