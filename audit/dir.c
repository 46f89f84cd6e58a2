/* Careful file access below one directory; see dir.h. Must never follow a link or open what is not a
 * regular file. */
#include "audit/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "audit/fault.h"
#include "common/cleanup.h"
#include "common/io.h"

int dir_open(const char *path, struct error *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? error_set(e, errno, "cannot open the directory %s", path) : fd;
}

static int open_below(int dirfd, const char *path, int flags)
{
	struct open_how how = {
		.flags = (unsigned)(flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW),
		.mode = flags & O_CREAT ? 0640 : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof how);
}

int dir_open_file(int dirfd, const char *path, int flags, struct error *e)
{
	cleanup_close int fd = open_below(dirfd, path, flags);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(e, errno, "cannot open %s", path);
	if (!S_ISREG(st.st_mode))
		return fault_set(e, EINVAL, "%s is not a regular file", path);
	return take_fd(&fd);
}

int dir_open_sub(int dirfd, const char *path, struct error *e)
{
	int fd = open_below(dirfd, path, O_RDONLY | O_DIRECTORY);

	return fd < 0 ? error_set(e, errno, "cannot open %s", path) : fd;
}

unsigned char *dir_read(int dirfd, const char *path, size_t max, size_t *n, struct error *e)
{
	cleanup_close int fd = dir_open_file(dirfd, path, O_RDONLY, e);
	cleanup_free unsigned char *buf = NULL;
	unsigned char *out;
	struct stat st;
	ssize_t got;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) < 0 || (uint64_t)st.st_size > max) {
		fault_set(e, EFBIG, "%s is larger than the %zu bytes it may have", path, max);
		return NULL;
	}
	buf = malloc((size_t)st.st_size + 1);
	got = buf ? io_read_full(fd, buf, (size_t)st.st_size) : -1;
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

int dir_mkdir(int dirfd, const char *path, unsigned mode, struct error *e)
{
	if (mkdirat(dirfd, path, mode) < 0 && errno != EEXIST)
		return error_set(e, errno, "cannot make the directory %s", path);
	return 0;
}

/* Makes the directories that lead to path. */
static int make_parents(int dirfd, const char *path, struct error *e)
{
	char part[256];

	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
		if (dir_mkdir(dirfd, part, 0750, e) < 0)
			return -1;
	}
	return 0;
}

static int rename_into_place(int dirfd, const char *tmp, const char *path, struct error *e)
{
	if (renameat(dirfd, tmp, dirfd, path) == 0)
		return 0;
	if (errno == ENOENT && make_parents(dirfd, path, e) < 0)
		return -1;
	if (renameat(dirfd, tmp, dirfd, path) < 0)
		return error_set(e, errno, "cannot put %s in place", path);
	return 0;
}

static int write_file(
	int dirfd, const char *tmp, const void *buf, size_t n, int sync, struct error *e)
{
	cleanup_close int fd = dir_open_file(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC, e);

	if (fd < 0)
		return -1;
	if (io_write_all(fd, buf, n) < 0 || (sync && fdatasync(fd) < 0))
		return error_set(e, errno, "cannot write %s", tmp);
	return 0;
}

int dir_write(int dirfd, const char *path, const void *buf, size_t n, int sync, struct error *e)
{
	char tmp[32];

	/* One name per thread: the publisher and the writer may both be here. */
	snprintf(tmp, sizeof tmp, "tmp/%ld", (long)gettid());
	if (write_file(dirfd, tmp, buf, n, sync, e) < 0 ||
		rename_into_place(dirfd, tmp, path, e) < 0) {
		unlinkat(dirfd, tmp, 0);
		return -1;
	}
	return 0;
}

int dir_sync(int dirfd, const char *path, struct error *e)
{
	cleanup_close int fd = open_below(dirfd, path, O_RDONLY);

	if (fd < 0 || fsync(fd) < 0)
		return error_set(e, errno, "cannot sync %s", path);
	return 0;
}

int dir_each(int dirfd, const char *path, int (*each)(void *ctx, const char *name), void *ctx,
	struct error *e)
{
	int fd = open_below(dirfd, path, O_RDONLY | O_DIRECTORY), r = 0;
	struct dirent *d;
	DIR *dir;

	if (fd < 0 && errno == ENOENT)
		return 0;
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		error_set(e, errno, "cannot list %s", path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	/* cppcheck-suppress readdirCalled ; each stream has one thread */
	while (r == 0 && (d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			r = each(ctx, d->d_name);
	}
	closedir(dir);
	return r;
}

static int any_entry(void *ctx, const char *name)
{
	(void)ctx;
	return strcmp(name, "lost+found") != 0;
}

int dir_has_entries(int dirfd, struct error *e)
{
	return dir_each(dirfd, ".", any_entry, NULL, e);
}
