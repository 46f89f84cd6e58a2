/* One error value: what failed, on what, why, and what the user can do. Functions that can fail
 * return 0 or -1 and fill one. */
#ifndef COMMON_ERROR_H
#define COMMON_ERROR_H

struct error {
	int code; /* errno value, 0 when the cause is not a system error */
	char text[768]; /* one line, no trailing newline; cut at the buffer's end */
};

/* Fills e and returns -1. When errnum is not 0, ": strerror(errnum)" is appended. e may be NULL. */
__attribute__((format(printf, 3, 4))) int error_set(
	struct error *e, int errnum, const char *fmt, ...);

/* Puts "CONTEXT: " before the text of an error that is already set. Returns -1. */
__attribute__((format(printf, 2, 3))) int error_prefix(struct error *e, const char *fmt, ...);

#endif
