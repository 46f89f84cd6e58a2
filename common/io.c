/* Small I/O helpers; see io.h. */
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"

#ifdef AGENTD_MUSL
#define IOV_COUNT(n) ((int)(n)) /* the type differs between the libcs */
#else
#define IOV_COUNT(n) (n)
#endif
#define IO_FDS_MAX 253 /* SCM_MAX_FD of the kernel */
#define SEALS_ALL  (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

int io_write_all(int fd, const void *buf, size_t n)
{
	const char *p = buf;

	while (n) {
		ssize_t w = write(fd, p, n);
		if (w < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

ssize_t io_read_full(int fd, void *buf, size_t n)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = read(fd, (char *)buf + got, n - got);
		if (r < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		if (r == 0)
			break;
		got += (size_t)r;
	}
	return (ssize_t)got;
}

static void close_keeping_errno(int fd)
{
	int code = errno;

	close(fd);
	errno = code;
}

/* Takes fd, which may be -1 with errno. */
static char *read_regular(int file, const char *path, size_t max, size_t *n, struct error *e)
{
	cleanup_close int fd = file;
	cleanup_free char *buf = NULL;
	struct stat st;
	char *out;
	ssize_t got;

	if (fd < 0 || fstat(fd, &st) < 0) {
		error_set(e, errno, "cannot open %s", path);
		return NULL;
	}
	if (!S_ISREG(st.st_mode)) {
		error_set(e, 0, "%s is not a regular file", path);
		return NULL;
	}
	if ((uint64_t)st.st_size > max) {
		error_set(e, EFBIG, "%s is larger than %zu bytes", path, max);
		return NULL;
	}
	buf = malloc(max + 1 < (size_t)st.st_size + 2 ? max + 1 : (size_t)st.st_size + 2);
	if (!buf) {
		error_set(e, errno, "cannot read %s", path);
		return NULL;
	}
	got = io_read_full(fd, buf, (size_t)st.st_size);
	if (got < 0) {
		error_set(e, errno, "cannot read %s", path);
		return NULL;
	}
	buf[got] = 0;
	*n = (size_t)got;
	out = buf;
	buf = NULL;
	return out;
}

char *io_read_file(int dirfd, const char *path, size_t max, size_t *n, struct error *e)
{
	return read_regular(
		openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), path, max, n, e);
}

char *io_read_below(int dirfd, const char *path, size_t max, size_t *n, struct error *e)
{
	int dir = dirfd, fd;
	char part[256];
	size_t len;

	while ((len = strcspn(path, "/")) < strlen(path)) {
		int down = -1;

		errno = ENAMETOOLONG;
		if (len < sizeof part) {
			memcpy(part, path, len);
			part[len] = 0;
			down = openat(dir, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		}
		if (dir != dirfd)
			close_keeping_errno(dir);
		if (down < 0) {
			error_set(e, errno, "cannot open %s", path);
			return NULL;
		}
		dir = down;
		path += len + 1;
	}
	fd = openat(dir, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (dir != dirfd)
		close_keeping_errno(dir);
	return read_regular(fd, path, max, n, e);
}

int io_sealed_memfd(const char *name, const void *buf, size_t n, struct error *e)
{
	cleanup_close int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || io_write_all(fd, buf, n) < 0 || fcntl(fd, F_ADD_SEALS, SEALS_ALL) < 0)
		return error_set(e, errno, "cannot make a sealed memory file for %s", name);
	return take_fd(&fd);
}

const void *io_map_sealed(int fd, size_t max, size_t *n, struct error *e)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);
	void *p;

	if (seals < 0 || (seals & SEALS_ALL) != SEALS_ALL) {
		error_set(e, seals < 0 ? errno : 0, "not a sealed memory file");
		return NULL;
	}
	if (fstat(fd, &st) < 0 || st.st_size < 1 || (uint64_t)st.st_size > max) {
		error_set(e, 0, "a sealed memory file of a size outside 1..%zu", max);
		return NULL;
	}
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED) {
		error_set(e, errno, "cannot map a sealed memory file");
		return NULL;
	}
	*n = (size_t)st.st_size;
	return p;
}

ssize_t io_send_fds(int sock, const void *buf, size_t n, const int *fds, size_t nfds, int flags)
{
	struct iovec v = {.iov_base = (void *)(uintptr_t)buf, .iov_len = n};

	return io_sendv_fds(sock, &v, 1, fds, nfds, flags);
}

ssize_t io_sendv_fds(
	int sock, const struct iovec *v, size_t nv, const int *fds, size_t nfds, int flags)
{
	union {
		char buf[CMSG_SPACE(IO_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} c;
	struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)v, .msg_iovlen = IOV_COUNT(nv)};
	ssize_t r;

	if (nfds > IO_FDS_MAX) {
		errno = E2BIG;
		return -1;
	}
	if (nfds) {
		struct cmsghdr *h;

		m.msg_control = c.buf;
		m.msg_controllen = (socklen_t)CMSG_SPACE(nfds * sizeof(int));
		memset(c.buf, 0, m.msg_controllen);
		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = (socklen_t)CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(h), fds, nfds * sizeof(int));
	}
	do
		r = sendmsg(sock, &m, flags | MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	return r;
}

/* Takes the descriptors of the one SCM_RIGHTS message the kernel delivers per recvmsg. */
static void take_rights(struct msghdr *m, int *fds, size_t cap, size_t *got, int *overflow)
{
	struct cmsghdr *h = CMSG_FIRSTHDR(m);
	size_t k;

	if (!h || h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
		return;
	k = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	for (size_t i = 0; i < k; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof fd);
		if (*got < cap) {
			fds[(*got)++] = fd;
		} else {
			close(fd);
			*overflow = 1;
		}
	}
}

ssize_t io_recv_fds(int sock, void *buf, size_t n, int *fds, size_t *nfds, int flags)
{
	struct iovec v = {.iov_base = buf, .iov_len = n};

	return io_recvv_fds(sock, &v, 1, fds, nfds, flags);
}

ssize_t io_recvv_fds(int sock, struct iovec *v, size_t nv, int *fds, size_t *nfds, int flags)
{
	union {
		char buf[CMSG_SPACE(IO_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} c;
	struct msghdr m = {.msg_iov = v,
		.msg_iovlen = IOV_COUNT(nv),
		.msg_control = c.buf,
		.msg_controllen = sizeof c.buf};
	size_t cap = nfds ? *nfds : 0, got = 0;
	int overflow = 0;
	ssize_t r;

	if (nfds)
		*nfds = 0;
	do
		r = recvmsg(sock, &m, flags | MSG_CMSG_CLOEXEC);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return r;
	take_rights(&m, fds, cap, &got, &overflow);
	if (overflow || (m.msg_flags & (MSG_CTRUNC | MSG_TRUNC))) {
		for (size_t i = 0; i < got; i++)
			close(fds[i]);
		errno = EPROTO;
		return -1;
	}
	if (nfds)
		*nfds = got;
	return r;
}

static uint64_t now_of(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t io_now_mono(void)
{
	return now_of(CLOCK_MONOTONIC);
}

uint64_t io_now_boot(void)
{
	return now_of(CLOCK_BOOTTIME);
}

uint64_t io_now_real(void)
{
	return now_of(CLOCK_REALTIME);
}

int io_connect_unix(const char *path)
{
	cleanup_close int s = -1, dir = -1;
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t n = strlen(path);
	const char *base;
	char parent[PATH_MAX];

	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		return -1;
	if (n < sizeof a.sun_path) {
		memcpy(a.sun_path, path, n + 1);
	} else {
		base = strrchr(path, '/');
		if (!base || n >= sizeof parent) {
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(parent, path, (size_t)(base - path));
		parent[base - path] = 0;
		dir = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0)
			return -1;
		snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d%s", dir, base);
	}
	if (connect(s, (struct sockaddr *)&a, sizeof a) < 0)
		return -1;
	return take_fd(&s);
}
