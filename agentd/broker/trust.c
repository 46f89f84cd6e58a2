/* The trust store; see trust.h. A file holds lines "SHA256 PATH", sorted by path. */
#include "agentd/broker/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agentd/broker/text.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/plan.h"

#define FILE_MAX ((size_t)TRUST_MAX * (PLAN_PATH_MAX + 70))

struct entry {
	const char *sha256, *path; /* in store.bytes or the caller's */
};

struct store {
	char *bytes;
	struct entry e[TRUST_MAX + 1];
	size_t n;
};

int trust_entry_ok(const char *path, const char *sha256)
{
	if (!plan_path_ok(path, strlen(path), 0) || strlen(sha256) != 64 ||
		strspn(sha256, "0123456789abcdef") != 64)
		return 0;
	for (; *path; path++) {
		if ((unsigned char)*path < 0x20 || *path == 0x7f)
			return 0;
	}
	return 1;
}

static int split(struct store *s, struct error *e)
{
	char *line, *rest = s->bytes;

	while ((line = strsep(&rest, "\n")) && *line) {
		if (strlen(line) < 66 || line[64] != ' ' || s->n >= TRUST_MAX)
			return error_set(e, 0, "the trust store is damaged");
		line[64] = 0;
		s->e[s->n].sha256 = line;
		s->e[s->n++].path = line + 65;
		if (!trust_entry_ok(line + 65, line))
			return error_set(e, 0, "the trust store is damaged");
	}
	return 0;
}

static void forget(struct store *s)
{
	free(s->bytes);
	free(s);
}

static struct store *load(const char *dir, uid_t uid, struct error *e)
{
	struct store *s = calloc(1, sizeof *s);
	struct error why = {0};
	char path[PLAN_PATH_MAX + 32];
	size_t n;

	if (!s) {
		error_set(e, ENOMEM, "trust store");
		return NULL;
	}
	snprintf(path, sizeof path, "%s/%u", dir, (unsigned)uid);
	s->bytes = io_read_file(AT_FDCWD, path, FILE_MAX, &n, &why);
	if (!s->bytes && why.code == ENOENT)
		return s;
	if (!s->bytes || strlen(s->bytes) != n || split(s, &why) < 0) {
		error_set(e, 0, "cannot read who trusts what: %s", why.text);
		forget(s);
		return NULL;
	}
	return s;
}

static int write_file(const char *path, const struct text *t, struct error *e)
{
	cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || io_write_all(fd, t->p, t->n) < 0 || fsync(fd) < 0)
		return error_set(e, errno, "cannot write %s", path);
	return 0;
}

static int sync_dir(const char *dir, struct error *e)
{
	cleanup_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? error_set(e, errno, "cannot write %s", dir) : 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->path, ((const struct entry *)b)->path);
}

static int save(const char *dir, uid_t uid, struct store *s, struct error *e)
{
	char path[PLAN_PATH_MAX + 32], tmp[PLAN_PATH_MAX + 40];
	struct text t = {0};
	int r;

	qsort(s->e, s->n, sizeof *s->e, by_path);
	text_put(&t, "", 0);
	for (size_t i = 0; i < s->n; i++) {
		text_add(&t, s->e[i].sha256);
		text_add(&t, " ");
		text_add(&t, s->e[i].path);
		text_add(&t, "\n");
	}
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		t.failed = 1;
	snprintf(path, sizeof path, "%s/%u", dir, (unsigned)uid);
	snprintf(tmp, sizeof tmp, "%s.new", path);
	if (t.failed)
		r = error_set(e, errno, "cannot write %s", dir);
	else
		r = write_file(tmp, &t, e);
	if (r == 0 && rename(tmp, path) < 0)
		r = error_set(e, errno, "cannot replace %s", path);
	text_free(&t);
	return r < 0 ? -1 : sync_dir(dir, e);
}

static struct entry *find(struct store *s, const char *path)
{
	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->e[i].path, path) == 0)
			return &s->e[i];
	}
	return NULL;
}

int trust_check(const char *dir, uid_t uid, const char *path, const char *sha256, struct error *e)
{
	struct store *s = load(dir, uid, e);
	const struct entry *x;
	int r;

	if (!s)
		return -1;
	x = find(s, path);
	r = x && strcmp(x->sha256, sha256) == 0;
	forget(s);
	return r;
}

int trust_add(const char *dir, uid_t uid, const char *path, const char *sha256, struct error *e)
{
	struct store *s = trust_entry_ok(path, sha256) ? load(dir, uid, e) : NULL;
	struct entry *x;
	int r;

	if (!s)
		return trust_entry_ok(path, sha256)
			       ? -1
			       : error_set(e, 0, "not an absolute path and a SHA-256");
	x = find(s, path);
	if (!x && s->n >= TRUST_MAX) {
		forget(s);
		return error_set(e, 0,
			"you trust %d policy files already; remove some with `agentctl policy "
			"untrust PATH`",
			TRUST_MAX);
	}
	if (!x)
		x = &s->e[s->n++];
	x->path = path;
	x->sha256 = sha256;
	r = save(dir, uid, s, e);
	forget(s);
	return r;
}

int trust_remove(const char *dir, uid_t uid, const char *path, struct error *e)
{
	struct store *s = load(dir, uid, e);
	struct entry *x;
	int r = 0;

	if (!s)
		return -1;
	x = find(s, path);
	if (x) {
		*x = s->e[--s->n];
		r = save(dir, uid, s, e) < 0 ? -1 : 1;
	}
	forget(s);
	return r;
}

int trust_list(const char *dir, uid_t uid,
	void (*each)(void *ctx, const char *path, const char *sha256), void *ctx, struct error *e)
{
	struct store *s = load(dir, uid, e);

	if (!s)
		return -1;
	for (size_t i = 0; i < s->n; i++)
		each(ctx, s->e[i].path, s->e[i].sha256);
	forget(s);
	return 0;
}
