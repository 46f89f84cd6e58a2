/* Fuzzes the JSON scanner and the string writer: what json_check accepts, the other functions must be
 * able to walk, and a string must survive being written and read. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/escape.h"
#include "common/jsonscan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[1 << 16], quoted[JSON_QUOTE_CAP(1 << 13)], back[1 << 16];
	struct span all = {(const char *)data, size}, v;
	size_t n, at;
	int64_t number;
	int valid;

	if (size > 1 << 13)
		return 0;
	valid = json_check(all.p, size, &at);
	if (at > size)
		abort();
	if (!valid && json_find(all, "a", &v) != -1)
		abort();
	if (json_find(all, "a", &v) == 1) {
		if (v.p < all.p || v.p + v.n > all.p + size || !json_check(v.p, v.n, NULL))
			abort();
		(void)json_string(v, text, sizeof text, &n);
		(void)json_int(v, &number);
	}
	n = json_quote(quoted, sizeof quoted, all.p, size);
	if (n == 0 || !json_check(quoted, n, NULL) ||
		json_string((struct span){quoted, n}, back, sizeof back, &at) < 0)
		abort();
	n = escape_text(text, sizeof text, all.p, size);
	if (strlen(text) != n || n > ESCAPE_CAP(size))
		abort();
	return 0;
}
