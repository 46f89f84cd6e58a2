/* Patterns and the texts they meet: the first byte of the input picks the kind, a newline separates
 * the pattern from the text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/pattern.h"
#include "policy/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void match(const struct pattern *p, const char *text, size_t n)
{
	struct action_index index = text_index(text, n);
	int narrow = pattern_match(p, text, n, &index, 5, 0);
	int wide = pattern_match(p, text, n, &index, 5, 1);
	int any = pattern_match(p, text, n, &index, 0, 0);

	if (narrow > wide || wide > any)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *s = (const char *)data + 1, *nl;
	struct pattern_fault f = {0};
	struct pattern p;
	struct arena a;

	if (n < 2 || !(nl = memchr(s, '\n', n - 1)) || !utf8_ok(s, n - 1))
		return 0;
	arena_init(&a, 32u << 20);
	if (pattern_compile(&a, data[0] & 1 ? PATTERN_NAME : PATTERN_VALUE, s, (size_t)(nl - s), &p,
		    &f) == 0)
		match(&p, nl + 1, n - 2 - (size_t)(nl - s));
	else if (f.at + f.len > (size_t)(nl - s) && f.len != 40)
		abort(); /* a fault outside of the pattern */
	arena_free(&a);
	return 0;
}
