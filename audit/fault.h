/* Errors that callers tell apart by a code although no system call failed: EBADMSG (damaged or forged),
 * ENOENT (not there), EWOULDBLOCK (another writer), EINVAL, EFBIG. Like error_set, but the text does not
 * get strerror's words behind it. */
#ifndef AUDIT_FAULT_H
#define AUDIT_FAULT_H

#include <errno.h>

#include "common/error.h"

/* Fills e (may be NULL) and returns -1. */
__attribute__((format(printf, 3, 4))) int fault_set(
	struct error *e, int code, const char *fmt, ...);

#endif
