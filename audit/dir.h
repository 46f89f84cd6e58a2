/* Files below a log's directory, opened so that nothing planted there can lead elsewhere, block or
 * exhaust memory: no symbolic links, no FIFOs or devices, size limits before the first byte is read.
 * Used by the log's writer, the publisher and every reader. */
#ifndef AUDIT_DIR_H
#define AUDIT_DIR_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

/* The directory itself (O_DIRECTORY, close-on-exec). The fd, or -1 with *e filled. */
int dir_open(const char *path, struct error *e);

/* openat2(2) below dirfd without following any link; flags as for open(2), created files 0640. Only a
 * regular file is returned. -1 with *e filled; e->code is ENOENT when there is none. */
int dir_open_file(int dirfd, const char *path, int flags, struct error *e);
int dir_open_sub(int dirfd, const char *path, struct error *e); /* a directory below it */

/* Reads a whole file of at most max bytes; the caller frees it. NULL with *e filled: e->code ENOENT,
 * EFBIG, ELOOP (a link) or EINVAL (not a regular file) say what is wrong with it. */
unsigned char *dir_read(int dirfd, const char *path, size_t max, size_t *n, struct error *e);

/* Replaces path by rename(2) from DIR/tmp, making directories on the way. sync: the bytes are on
 * stable storage before the rename. 0, or -1 with *e filled. */
int dir_write(int dirfd, const char *path, const void *buf, size_t n, int sync, struct error *e);

/* fsync of an existing file or directory ("." for dirfd itself). 0 or -1. */
int dir_sync(int dirfd, const char *path, struct error *e);
int dir_mkdir(
	int dirfd, const char *path, unsigned mode, struct error *e); /* an existing one is fine */

/* 1 when the directory has an entry, 0 when it has none (lost+found does not count), -1. */
int dir_has_entries(int dirfd, struct error *e);

/* Calls each(ctx, name) for the entries of a directory below dirfd until it returns not 0, which is then
 * the result; a directory that does not exist has none. -1 with *e filled. */
int dir_each(int dirfd, const char *path, int (*each)(void *ctx, const char *name), void *ctx,
	struct error *e);

#endif
