/* Subtree roots from tiles; see hashes.h. */
#include "audit/hashes.h"

#include <stdlib.h>
#include <string.h>

#include "audit/dir.h"
#include "audit/tile.h"
#include "common/cleanup.h"

/* Hashes [from, from + n) of a tile. 0 or -1. */
static int read_hashes(const struct hashes *h, unsigned level, uint64_t tile, unsigned from,
	unsigned n, struct tree_hash *out)
{
	unsigned width =
		tile < tile_full(h->size, level) ? TILE_WIDTH : tile_partial(h->size, level);
	cleanup_free unsigned char *p = NULL;
	char path[TILE_PATH_CAP];
	struct error e;
	size_t got = 0;

	if (width < from + n)
		return -1;
	tile_path(path, (int)level, tile, width);
	p = dir_read(h->logdir, path, TILE_WIDTH * sizeof *out, &got, &e);
	if (!p && width < TILE_WIDTH) { /* it has grown full meanwhile */
		tile_path(path, (int)level, tile, TILE_WIDTH);
		p = dir_read(h->logdir, path, TILE_WIDTH * sizeof *out, &got, &e);
	}
	if (!p || got < (from + n) * sizeof *out)
		return -1;
	for (unsigned i = 0; i < n; i++)
		memcpy(out[i].b, p + (from + i) * sizeof *out, sizeof out[i].b);
	return 0;
}

int hashes_get(void *ctx, unsigned level, uint64_t index, struct tree_hash *out)
{
	const struct hashes *h = ctx;
	unsigned stored = level / 8, n = 1u << level % 8;
	uint64_t first = index << level % 8; /* among the hashes of that level */
	struct tree_hash part[TILE_WIDTH];

	if (stored >= TILE_LEVELS || first >> level % 8 != index ||
		read_hashes(
			h, stored, first / TILE_WIDTH, (unsigned)(first % TILE_WIDTH), n, part) < 0)
		return -1;
	for (; n > 1; n /= 2) {
		for (unsigned i = 0; i < n / 2; i++)
			tree_node_hash(&part[2 * i], &part[2 * i + 1], &part[i]);
	}
	*out = part[0];
	return 0;
}
