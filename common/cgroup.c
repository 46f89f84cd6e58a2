/* cgroup v2 and v1 as this host has them; see cgroup.h. Called by the supervisor, the killer and
 * `agentctl kill --direct`. Must never allocate, and never wait where its header does not say so:
 * the killer calls it on its path. Interface: Documentation/admin-guide/cgroup-v2.rst (cgroup.kill,
 * cgroup.freeze, cgroup.events), proc(5) for /proc/self/mountinfo. */
#include "common/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"

#define TAG_NAME "user.agentd"

/* ---- the mount table ---- */

/* Cuts the next field off *line at the separator; NULL when there is none left. */
static char *next_field(char **line, char sep)
{
	char *start = *line, *end;

	if (!start || !*start)
		return NULL;
	end = strchr(start, sep);
	if (end)
		*end++ = 0;
	*line = end;
	return start;
}

static int is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* The kernel writes space, tab, newline and backslash in paths as \ooo. Undone in place. */
static void unescape(char *s)
{
	char *out = s;

	while (*s) {
		if (s[0] == '\\' && is_octal(s[1]) && is_octal(s[2]) && is_octal(s[3])) {
			*out++ = (char)(((s[1] - '0') << 6) | ((s[2] - '0') << 3) | (s[3] - '0'));
			s += 4;
		} else {
			*out++ = *s++;
		}
	}
	*out = 0;
}

/* A mount of the whole hierarchy beats one of a part of it; among equals the first stays. */
static void remember(char *slot, size_t cap, int *whole, const char *mount, int is_whole)
{
	if (strlen(mount) >= cap || (*slot && (*whole || !is_whole)))
		return;
	memcpy(slot, mount, strlen(mount) + 1);
	*whole = is_whole;
}

static void remember_v1(struct cgroup_mounts *m, const char *mount, int whole, char *options)
{
	struct cgroup_host *h = m->host;
	char *o;

	while ((o = next_field(&options, ',')) != NULL) {
		if (strcmp(o, "pids") == 0)
			remember(h->pids, sizeof h->pids, &m->whole[1], mount, whole);
		else if (strcmp(o, "memory") == 0)
			remember(h->memory, sizeof h->memory, &m->whole[2], mount, whole);
		else if (strcmp(o, "cpu") == 0)
			remember(h->cpu, sizeof h->cpu, &m->whole[3], mount, whole);
	}
}

void cgroup_mount_line(struct cgroup_mounts *m, char *line)
{
	char *root = NULL, *mount = NULL, *type, *f;
	int whole;

	for (int i = 0; i < 5; i++) { /* id, parent, major:minor, root, mount point */
		f = next_field(&line, ' ');
		if (!f)
			return;
		if (i == 3)
			root = f;
		if (i == 4)
			mount = f;
	}
	do /* options, then any number of tags, then "-" */
		f = next_field(&line, ' ');
	while (f && strcmp(f, "-") != 0);
	type = next_field(&line, ' ');
	if (!type || !next_field(&line, ' ')) /* file system type, source */
		return;
	unescape(mount);
	whole = strcmp(root, "/") == 0;
	if (strcmp(type, "cgroup2") == 0)
		remember(m->host->v2, sizeof m->host->v2, &m->whole[0], mount, whole);
	else if (strcmp(type, "cgroup") == 0 && line)
		remember_v1(m, mount, whole, line);
}

/* Feeds whole lines to cgroup_mount_line; a line that does not fit the buffer is skipped. */
static int read_mounts(int fd, struct cgroup_mounts *m)
{
	char buf[8192];
	size_t have = 0;
	int skipping = 0;

	for (;;) {
		ssize_t r = read(fd, buf + have, sizeof buf - have);
		char *start = buf, *nl;

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return (int)r;
		have += (size_t)r;
		while ((nl = memchr(start, '\n', have - (size_t)(start - buf))) != NULL) {
			*nl = 0;
			if (!skipping)
				cgroup_mount_line(m, start);
			skipping = 0;
			start = nl + 1;
		}
		have -= (size_t)(start - buf);
		memmove(buf, start, have);
		if (have == sizeof buf) {
			skipping = 1;
			have = 0;
		}
	}
}

/* ---- what the kernel offers ---- */

static ssize_t read_small(int dirfd, const char *name, char *buf, size_t cap)
{
	cleanup_close int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : io_read_full(fd, buf, cap - 1);

	if (n >= 0)
		buf[n] = 0;
	return n;
}

static void note_controllers(struct cgroup_host *h, char *list)
{
	char *c;

	list[strcspn(list, "\n")] = 0;
	while ((c = next_field(&list, ' ')) != NULL) {
		if (strcmp(c, "pids") == 0)
			h->v2_pids = 1;
		else if (strcmp(c, "memory") == 0)
			h->v2_memory = 1;
		else if (strcmp(c, "cpu") == 0)
			h->v2_cpu = 1;
	}
}

static int stop_at_first(void *ctx, const char *name, int fd)
{
	(void)name;
	*(int *)ctx = faccessat(fd, "cgroup.kill", F_OK, 0) == 0;
	return 1;
}

/* The root cgroup never has cgroup.kill, so ask any child; without one, the kernel's version. */
static int has_kill(int root)
{
	struct utsname u;
	char *rest;
	long major;
	int found = -1;

	if (faccessat(root, "cgroup.kill", F_OK, 0) == 0)
		return 1;
	if (cgroup_each_child(root, stop_at_first, &found) < 0)
		return 0;
	if (found >= 0)
		return found;
	if (uname(&u) < 0)
		return 0;
	major = strtol(u.release, &rest, 10);
	return major > 5 || (major == 5 && *rest == '.' && strtol(rest + 1, NULL, 10) >= 14);
}

int cgroup_find(struct cgroup_host *h, struct error *e)
{
	cleanup_close int mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	cleanup_close int root = -1;
	struct cgroup_mounts m = {.host = h};
	struct statfs fs;
	char list[1024];

	memset(h, 0, sizeof *h);
	if (mounts < 0 || read_mounts(mounts, &m) < 0)
		return error_set(e, errno, "cannot read /proc/self/mountinfo");
	if (!*h->v2)
		return error_set(e, 0,
			"no cgroup v2 hierarchy is mounted (mount -t cgroup2 cgroup2 "
			"/sys/fs/cgroup)");
	root = open(h->v2, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || fstatfs(root, &fs) < 0)
		return error_set(e, errno, "cannot open the cgroup v2 hierarchy at %s", h->v2);
	if (fs.f_type != CGROUP2_SUPER_MAGIC)
		return error_set(
			e, 0, "another file system is mounted over the cgroup v2 at %s", h->v2);
	if (!has_kill(root))
		return error_set(
			e, 0, "this kernel has no cgroup.kill (Linux 5.14 or later is needed)");
	if (read_small(root, "cgroup.controllers", list, sizeof list) > 0)
		note_controllers(h, list);
	return 0;
}

/* ---- walking ---- */

struct kernel_dirent { /* linux_dirent64 of getdents64(2) */
	uint64_t ino;
	int64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

static int visit(int dirfd, const char *name, cgroup_visit_fn fn, void *ctx)
{
	cleanup_close int fd = -1;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) /* removed since it was listed */
		return 0;
	return fn(ctx, name, fd);
}

/* opendir(3) would allocate, so this speaks getdents64(2). */
int cgroup_each_child(int dirfd, cgroup_visit_fn fn, void *ctx)
{
	cleanup_close int dir = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_Alignas(8) char buf[2048];

	if (dir < 0)
		return -1;
	for (;;) {
		long n = syscall(SYS_getdents64, dir, buf, sizeof buf);

		if (n <= 0)
			return (int)n;
		for (long at = 0; at < n;) {
			const struct kernel_dirent *d = (const void *)(buf + at);
			int r = d->type == DT_DIR ? visit(dirfd, d->name, fn, ctx) : 0;

			if (r)
				return r;
			at += d->reclen;
		}
	}
}

/* ---- one cgroup ---- */

static int write_small(int dirfd, const char *name, const char *text)
{
	cleanup_close int fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -1 : io_write_all(fd, text, strlen(text));
}

int cgroup_kill(int dirfd)
{
	return write_small(dirfd, "cgroup.kill", "1");
}

int cgroup_freeze(int dirfd, int on)
{
	return write_small(dirfd, "cgroup.freeze", on ? "1" : "0");
}

/* Value of a "key N" line of cgroup.events. */
static int parse_event(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *s = text; s; s = strchr(s, '\n'), s = s ? s + 1 : NULL) {
		if (strncmp(s, key, n) == 0 && s[n] == ' ')
			return s[n + 1] == '1';
	}
	errno = EPROTO;
	return -1;
}

static int read_event(int dirfd, const char *key)
{
	char buf[256];

	return read_small(dirfd, "cgroup.events", buf, sizeof buf) < 0 ? -1 : parse_event(buf, key);
}

int cgroup_populated(int dirfd)
{
	return read_event(dirfd, "populated");
}

int cgroup_frozen(int dirfd)
{
	return read_event(dirfd, "frozen");
}

int cgroup_events_open(int dirfd)
{
	return openat(dirfd, "cgroup.events", O_RDONLY | O_CLOEXEC);
}

int cgroup_events_populated(int events)
{
	char buf[256];
	ssize_t n = pread(events, buf, sizeof buf - 1, 0);

	if (n < 0)
		return errno == ENODEV ? 0
				       : -1; /* ENODEV: the cgroup was removed, so it is empty */
	buf[n] = 0;
	return parse_event(buf, "populated");
}

unsigned cgroup_poll_us(unsigned looks)
{
	/* 100 us, a quarter more each time, at most 10 ms. */
	unsigned us = 100;

	for (unsigned i = 0; i < looks && us < 10000; i++)
		us += us / 4;
	return us < 10000 ? us : 10000;
}

int cgroup_wait_empty(int dirfd, int timeout_ms)
{
	cleanup_close int events = cgroup_events_open(dirfd);
	uint64_t end = io_now_mono() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms) * 1000000u;

	if (events < 0)
		return -1;
	for (unsigned looks = 0;; looks++) {
		struct pollfd p = {.fd = events, .events = POLLPRI};
		struct timespec t = {.tv_nsec = cgroup_poll_us(looks) * 1000L};
		int populated = cgroup_events_populated(events);

		if (populated <= 0)
			return populated;
		if (io_now_mono() >= end)
			return 1;
		if (ppoll(&p, 1, &t, NULL) < 0 && errno != EINTR)
			return -1;
	}
}

int cgroup_count(int dirfd, int max)
{
	cleanup_close int fd = openat(dirfd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	char buf[4096];
	int count = 0;

	if (fd < 0)
		return -1;
	while (count < max) {
		ssize_t n = read(fd, buf, sizeof buf);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == ENODEV ? count : -1;
		if (n == 0)
			return count;
		for (ssize_t i = 0; i < n; i++)
			count += buf[i] == '\n';
	}
	return count < max ? count : max;
}

/* ---- the tag ---- */

int cgroup_tag_set(int dirfd, const struct cgroup_tag *t)
{
	return fsetxattr(dirfd, TAG_NAME, t, sizeof *t, 0);
}

int cgroup_tag_get(int dirfd, struct cgroup_tag *t)
{
	ssize_t n = fgetxattr(dirfd, TAG_NAME, t, sizeof *t);

	if (n < 0)
		return -1;
	if (n != (ssize_t)sizeof *t) {
		memset(t, 0, sizeof *t);
		errno = EPROTO;
		return -1;
	}
	return 0;
}

int cgroup_sandbox(char *text, const char *base, uid_t *uid, char *name, size_t cap)
{
	char *line = text, *at, *end;
	size_t n = strlen(base);

	while (line && strncmp(line, "0::/", 4) != 0) {
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	if (!line)
		return 0;
	line[strcspn(line, "\n")] = 0;
	for (at = strstr(line, base); at; at = strstr(at + 1, base)) {
		if (at[-1] == '/' && !strncmp(at + n, "/u", 2))
			break;
	}
	if (!at)
		return 0;
	*uid = (uid_t)strtoul(at + n + 2, &end, 10);
	if (end == at + n + 2 || *end != '/')
		return 0;
	end++;
	end[strcspn(end, "/")] = 0;
	return *end && (size_t)snprintf(name, cap, "%s", end) < cap;
}
