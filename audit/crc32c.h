/* CRC-32C (Castagnoli; RFC 3720 appendix B.4), which tells a torn write from a whole one in the
 * write-ahead log. Not a defence against anybody. Pure. */
#ifndef AUDIT_CRC32C_H
#define AUDIT_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues a checksum: crc is 0 at first, then the value of the bytes before. */
uint32_t crc32c(uint32_t crc, const void *data, size_t n);
/* The same without the processor's instruction; for tests. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t n);

#endif
