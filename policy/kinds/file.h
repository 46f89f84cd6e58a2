/* Words of files; see file.c. */
#ifndef POLICY_KINDS_FILE_H
#define POLICY_KINDS_FILE_H

#include "policy/kinds/kind.h"

#define FILE_OPS "rwdma" /* read, write or create, delete, move or link, attributes */

/* The word for a canonical name (ws:/x, /x). alias: it is a further name, whose first `literal` bytes
 * only lead to the inner root. 0, or -1: out of memory. */
int file_word(struct arena *a, char op, int alias, size_t literal, const char *name, size_t n,
	struct word *out);

#endif
