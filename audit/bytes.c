/* Numbers and lines; see bytes.h. */
#include "audit/bytes.h"

#include <string.h>

void bytes_put_le(unsigned char *p, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)(v >> (8 * i));
}

uint64_t bytes_get_le(const unsigned char *p, size_t n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | p[n];
	return v;
}

int bytes_line(struct span *rest, struct span *line)
{
	const char *lf = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;

	if (!lf)
		return -1;
	*line = (struct span){rest->p, (size_t)(lf - rest->p)};
	rest->n -= line->n + 1;
	rest->p = lf + 1;
	return 0;
}
