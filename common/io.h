/* Small I/O helpers that every room needs: whole reads and writes, sealed memory files, SCM_RIGHTS.
 * Builds with glibc and with musl; never allocates unless it says so. */
#ifndef COMMON_IO_H
#define COMMON_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"

/* A length that travels with its pointer; not NUL-terminated unless said. */
struct span {
	const char *p;
	size_t n;
};

/* Writes all n bytes (retries EINTR and short writes). 0 or -1 with errno. */
int io_write_all(int fd, const void *buf, size_t n);

/* Reads until n bytes or end of file. Returns the count, or -1 with errno. */
ssize_t io_read_full(int fd, void *buf, size_t n);

/* Reads a whole file of at most max bytes into a new NUL-terminated buffer (the caller frees it).
 * A longer file is an error (EFBIG). dirfd/path as for openat(2). */
char *io_read_file(int dirfd, const char *path, size_t max, size_t *n, struct error *e);

/* The same for a path below a directory, without following any link: path has no empty part, no `.` and
 * no `..`. */
char *io_read_below(int dirfd, const char *path, size_t max, size_t *n, struct error *e);

/* memfd_create(2) with the n bytes in it, sealed against every later change (F_SEAL_SEAL, SHRINK,
 * GROW, WRITE), close-on-exec. The caller owns the fd. -1 with *e filled. */
int io_sealed_memfd(const char *name, const void *buf, size_t n, struct error *e);

/* Maps a sealed memfd of 1..max bytes read-only; refuses one that still can change. The caller
 * unmaps. NULL with *e filled. */
const void *io_map_sealed(int fd, size_t max, size_t *n, struct error *e);

/* sendmsg(2)/recvmsg(2) with up to nfds descriptors. io_recv_fds sets *nfds to the number received
 * (each close-on-exec, owned by the caller); a truncated control message closes them and fails with
 * EPROTO. Return as sendmsg/recvmsg. */
ssize_t io_send_fds(int sock, const void *buf, size_t n, const int *fds, size_t nfds, int flags);
ssize_t io_recv_fds(int sock, void *buf, size_t n, int *fds, size_t *nfds, int flags);

struct iovec;
/* The same for several buffers at once (writev(2), readv(2)). */
ssize_t io_sendv_fds(
	int sock, const struct iovec *v, size_t nv, const int *fds, size_t nfds, int flags);
ssize_t io_recvv_fds(int sock, struct iovec *v, size_t nv, int *fds, size_t *nfds, int flags);

/* Nanoseconds of CLOCK_MONOTONIC, CLOCK_BOOTTIME and CLOCK_REALTIME. */
uint64_t io_now_mono(void);
uint64_t io_now_boot(void);
uint64_t io_now_real(void);

/* Connects a stream socket to a path (any length: longer ones go through /proc/self/fd). Returns the
 * fd (close-on-exec) or -1 with errno. */
int io_connect_unix(const char *path);

#endif
