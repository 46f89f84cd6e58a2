/* Policy documents of a launch; see layers.h. */
#include "agentd/broker/layers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agentd/broker/trust.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "policy/extend.h"

static int add(struct layers *l, struct policy_doc d, struct error *e)
{
	if (l->n >= POLICY_LAYERS_MAX)
		return error_set(e, 0, "more than %u policy documents", POLICY_LAYERS_MAX);
	l->docs[l->n++] = d;
	return 0;
}

/* Who can write the file writes the rules for everybody. */
static int only_admin_writes(int dir, const char *name, const char *where, struct error *e)
{
	struct stat st;

	if (fstatat(dir, name, &st, 0) < 0)
		return error_set(e, errno, "cannot read %s/%s", where, name);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return error_set(e, 0,
			"%s/%s can be written by others than its owner: chmod go-w it", where,
			name);
	return 0;
}

static int read_admin(
	struct layers *l, int dir, const char *name, const char *where, struct error *e)
{
	struct policy_doc d = {.origin = POLICY_ADMIN};
	char path[1024];
	char *text;

	if (only_admin_writes(dir, name, where, e) < 0)
		return -1;
	if (l->n >= POLICY_LAYERS_MAX)
		return error_set(e, 0, "more than %u policy documents", POLICY_LAYERS_MAX);
	text = io_read_file(dir, name, POLICY_DOC_MAX, &d.len, e);
	if (!text)
		return error_prefix(e, "administrator's policy %s/%s", where, name);
	snprintf(path, sizeof path, "%s/%s", where, name);
	d.text = l->owned[l->nowned++] = text;
	d.name = l->owned[l->nowned++] = strdup(path);
	return d.name ? add(l, d, e) : error_set(e, ENOMEM, "cannot read %s", path);
}

/* *.yaml is a policy and hidden files are an editor's; anything else is a mistake that would silently
 * switch a rule off. */
static int is_policy(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

/* Where files are that the others extend. */
static int is_directory(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static int check_name(const char *name, const char *where, struct error *e)
{
	size_t n = strlen(name);

	if (n > 5 && strcmp(name + n - 5, ".yaml") == 0)
		return 0;
	return error_set(e, 0,
		"%s/%s is not a *.yaml file: rename it, or move it away (a policy that is not read "
		"must not look like one that is)",
		where, name);
}

struct admin_dir {
	int fd;
	const char *where;
};

/* `from` is a document of the directory, or one below it that such a document extends. Who else can
 * write the file does not matter: its digest stands in the document. */
static char *read_below(void *ctx, const struct policy_doc *from, const char *path, size_t *len)
{
	const struct admin_dir *d = ctx;
	size_t n = strlen(d->where);
	char whole[2048];
	struct error ignored;

	if (extension_name(from->name, path, whole, sizeof whole) ||
		strncmp(whole, d->where, n) != 0 || whole[n] != '/')
		return NULL;
	return io_read_below(d->fd, whole + n + 1, POLICY_DOC_MAX, len, &ignored);
}

/* What the administrator's documents extend; the others' come with the request. */
static int read_extended(struct layers *l, int dir, const char *where, struct error *e)
{
	struct policy_docs_list list = {l->docs, l->n, POLICY_LAYERS_MAX, l->owned, l->nowned};
	struct admin_dir d = {dir, where};
	int failed = policy_extend(&list, read_below, &d, e);

	l->n = list.n;
	l->nowned = list.owned_n;
	return failed;
}

static int read_dir(struct layers *l, const char *where, struct error *e)
{
	cleanup_close int dir = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **names = NULL;
	int n, r = 0;

	if (dir < 0)
		return errno == ENOENT ? 0 : error_set(e, errno, "cannot read %s", where);
	n = scandir(where, &names, is_policy, alphasort);
	if (n < 0)
		return error_set(e, errno, "cannot read %s", where);
	for (int i = 0; i < n; i++) {
		if (r == 0 && !is_directory(dir, names[i]->d_name)) {
			r = check_name(names[i]->d_name, where, e);
			if (r == 0)
				r = read_admin(l, dir, names[i]->d_name, where, e);
		}
		free(names[i]);
	}
	free(names);
	return r == 0 ? read_extended(l, dir, where, e) : r;
}

static int check_trust(
	const char *trust_dir, uid_t uid, const struct runreq_doc *d, struct error *e)
{
	char sha256[65];
	int r;

	policy_doc_digest(d->text.p, d->text.n, sha256);
	r = trust_check(trust_dir, uid, d->path, sha256, e);
	if (r < 0)
		return -1;
	if (r == 0)
		return error_set(e, 0,
			"%.500s is not trusted, or has changed since: read it, then run "
			"`agentctl policy trust %.200s`",
			d->path, d->path);
	return 0;
}

int layers_collect(struct layers *l, const char *policy_dir, const char *trust_dir, uid_t uid,
	const struct runreq *r, struct error *e)
{
	memset(l, 0, sizeof *l);
	if (read_dir(l, policy_dir, e) < 0)
		return -1;
	for (size_t i = 0; i < r->ndocs; i++) {
		const struct runreq_doc *d = &r->docs[i];
		struct policy_doc doc = {
			.name = d->path, .origin = d->origin, .text = d->text.p, .len = d->text.n};

		if (d->origin == POLICY_REPO && check_trust(trust_dir, uid, d, e) < 0)
			return -1;
		if (add(l, doc, e) < 0)
			return -1;
	}
	return 0;
}

void layers_free(struct layers *l)
{
	for (size_t i = 0; i < l->nowned; i++)
		free(l->owned[i]);
	memset(l, 0, sizeof *l);
}
