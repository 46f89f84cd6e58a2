/* Scope-bound resources: a variable marked with one of these is released on every way out of its
 * scope, so no function needs a ladder of gotos. Used by every room; knows nothing of any. */
#ifndef COMMON_CLEANUP_H
#define COMMON_CLEANUP_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_close_fd(const int *fd)
{
	if (*fd >= 0) {
		int saved = errno;
		close(*fd);
		errno = saved;
	}
}

static inline void cleanup_free_ptr(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_fclose_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define cleanup_close  __attribute__((cleanup(cleanup_close_fd)))
#define cleanup_free   __attribute__((cleanup(cleanup_free_ptr)))
#define cleanup_fclose __attribute__((cleanup(cleanup_fclose_file)))

/* Hands an fd out of a cleanup_close variable. */
static inline int take_fd(int *fd)
{
	int out = *fd;
	*fd = -1;
	return out;
}

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
