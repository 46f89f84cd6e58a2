/* Fuzzes entry bundles, tile paths and records: entries lie inside the bundle, one tile has one name, and
 * a record that parses is written the same way twice. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit/record.h"
#include "audit/tile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_record(struct span s)
{
	static char once[ENTRY_MAX * 6], twice[ENTRY_MAX * 6];
	json_t *o = record_parse(s.p, s.n, NULL), *again;
	size_t n, m;

	if (!o)
		return;
	n = record_write(o, once, sizeof once);
	json_decref(o);
	if (n == 0 || n > ENTRY_MAX)
		return;
	if (memchr(once, '\n', n))
		abort();
	again = record_parse(once, n, NULL);
	m = again ? record_write(again, twice, sizeof twice) : 0;
	if (m != n || memcmp(once, twice, n) != 0)
		abort();
	json_decref(again);
}

static void try_path(const uint8_t *data, size_t size)
{
	char path[200], back[TILE_PATH_CAP];
	uint64_t index;
	unsigned width;
	int level;

	if (size >= sizeof path)
		return;
	memcpy(path, data, size);
	path[size] = 0;
	if (tile_path_parse(path, &level, &index, &width) < 0)
		return;
	tile_path(back, level, index, width);
	if (strcmp(path, back) != 0 || width == 0 || width > TILE_WIDTH)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span e;
	size_t pos = 0, total = 0;
	int r;

	while ((r = bundle_next(data, size, &pos, &e)) > 0) {
		if (e.p < (const char *)data || e.p + e.n > (const char *)data + size)
			abort();
		total += 2 + e.n;
		try_record(e);
	}
	if (r == 0 && total != size)
		abort();
	try_path(data, size);
	if (size <= ENTRY_MAX)
		try_record((struct span){(const char *)data, size});
	return 0;
}
