/* Names and shapes of tiles and bundles; see tile.h. Must never give two names to one tile. */
#include "audit/tile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t tile_path(char buf[TILE_PATH_CAP], int level, uint64_t index, unsigned width)
{
	unsigned group[8];
	size_t n = 0, at;

	do {
		group[n++] = (unsigned)(index % 1000);
		index /= 1000;
	} while (index);
	if (level == TILE_ENTRIES)
		at = (size_t)snprintf(buf, TILE_PATH_CAP, "tile/entries");
	else
		at = (size_t)snprintf(buf, TILE_PATH_CAP, "tile/%d", level);
	while (n--)
		at += (size_t)snprintf(
			buf + at, TILE_PATH_CAP - at, n ? "/x%03u" : "/%03u", group[n]);
	if (width < TILE_WIDTH)
		at += (size_t)snprintf(buf + at, TILE_PATH_CAP - at, ".p/%u", width);
	return at;
}

size_t tile_partial_dir(char buf[TILE_PATH_CAP], int level, uint64_t index)
{
	size_t at = tile_path(buf, level, index, TILE_WIDTH);

	return at + (size_t)snprintf(buf + at, TILE_PATH_CAP - at, ".p");
}

/* Three digits; -1 when they are not. */
static int parse_group(const char *p)
{
	for (int i = 0; i < 3; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
	}
	return (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');
}

int tile_path_parse(const char *path, int *level, uint64_t *index, unsigned *width)
{
	char canonical[TILE_PATH_CAP];
	const char *p = path;
	uint64_t v = 0;

	if (strncmp(p, "tile/", 5) != 0)
		return -1;
	p += 5;
	*level = TILE_ENTRIES;
	if (strncmp(p, "entries/", 8) == 0) {
		p += 8;
	} else {
		char *end;

		*level = (int)(strtoul(p, &end, 10) & 63);
		if (end == p || *end != '/')
			return -1;
		p = end + 1;
	}
	for (int more = 1; more;) {
		int g;

		more = *p == 'x';
		g = parse_group(p + more);
		if (g < 0 || __builtin_mul_overflow(v, (uint64_t)1000, &v) ||
			__builtin_add_overflow(v, (uint64_t)g, &v))
			return -1;
		p += 3 + more;
		if (more && *p++ != '/')
			return -1;
	}
	*width = TILE_WIDTH;
	if (strncmp(p, ".p/", 3) == 0)
		*width = (unsigned)strtoul(p + 3, NULL, 10);
	else if (*p)
		return -1;
	*index = v;
	if (*width == 0 || *width > TILE_WIDTH)
		return -1;
	/* One tile has one name: what we would not write ourselves is not a name. */
	tile_path(canonical, *level, v, *width);
	return strcmp(canonical, path) == 0 ? 0 : -1;
}

unsigned tile_partial(uint64_t size, unsigned level)
{
	return level < TILE_LEVELS ? (unsigned)(size >> (8 * level)) & 255u : 0;
}

uint64_t tile_full(uint64_t size, unsigned level)
{
	return level + 1 < TILE_LEVELS ? size >> (8 * (level + 1)) : 0;
}

int bundle_next(const void *bundle, size_t n, size_t *pos, struct span *entry)
{
	const unsigned char *p = bundle;
	size_t len;

	if (*pos == n)
		return 0;
	if (n - *pos < 2)
		return -1;
	len = (size_t)p[*pos] << 8 | p[*pos + 1];
	if (n - *pos - 2 < len)
		return -1;
	*entry = (struct span){(const char *)p + *pos + 2, len};
	*pos += 2 + len;
	return 1;
}

void bundle_put(unsigned char *buf, size_t *len, const void *entry, size_t n)
{
	buf[(*len)++] = (unsigned char)(n >> 8);
	buf[(*len)++] = (unsigned char)n;
	memcpy(buf + *len, entry, n);
	*len += n;
}
