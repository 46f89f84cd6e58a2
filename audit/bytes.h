/* Little-endian numbers of the log's binary files, and the lines of its text formats. Pure. */
#ifndef AUDIT_BYTES_H
#define AUDIT_BYTES_H

#include <stddef.h>
#include <stdint.h>

#include "common/io.h"

void bytes_put_le(unsigned char *p, uint64_t v, size_t n); /* n <= 8 bytes */
uint64_t bytes_get_le(const unsigned char *p, size_t n);

/* Cuts the next line, without its LF, off rest. 0, or -1: there is no LF. */
int bytes_line(struct span *rest, struct span *line);

#endif
