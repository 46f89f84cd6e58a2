/* Tiles and entry bundles as C2SP tlog-tiles names them. Used by the publisher and by all readers of a
 * log's directory. Pure: paths and lengths only. */
#ifndef AUDIT_TILE_H
#define AUDIT_TILE_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/io.h"

#define TILE_WIDTH    256u /* hashes in a full tile, entries in a full bundle */
#define TILE_LEVELS   8u /* a tree of 2^64 leaves has no more */
#define TILE_ENTRIES  (-1) /* "level" of entry bundles */
#define TILE_PATH_CAP 80

#define ENTRY_MAX  65535u /* bytes in an entry */
#define BUNDLE_MAX (TILE_WIDTH * (2u + ENTRY_MAX)) /* bytes in a bundle */

/* "tile/0/x001/x234/067", "tile/entries/000.p/5". width TILE_WIDTH: the full one. Returns the length. */
size_t tile_path(char buf[TILE_PATH_CAP], int level, uint64_t index, unsigned width);
/* The directory of a tile's partial ones: "tile/0/x001/x234/067.p". Returns the length. */
size_t tile_partial_dir(char buf[TILE_PATH_CAP], int level, uint64_t index);
/* The inverse of tile_path; accepts only what tile_path writes. 0 or -1. */
int tile_path_parse(const char *path, int *level, uint64_t *index, unsigned *width);

/* How many hashes the last, partial tile of this level has in a tree of this size (0: none), and how
 * many full tiles there are. */
unsigned tile_partial(uint64_t size, unsigned level);
uint64_t tile_full(uint64_t size, unsigned level);

/* Entry bundles: u16 big-endian length, then the bytes. bundle_next: *pos starts at 0; 1 and *entry, 0 at
 * the end, -1 when the bytes end inside an entry. */
int bundle_next(const void *bundle, size_t n, size_t *pos, struct span *entry);
/* Appends an entry at buf + *len; the caller has made room for 2 + n bytes, n <= ENTRY_MAX. */
void bundle_put(unsigned char *buf, size_t *len, const void *entry, size_t n);

#endif
