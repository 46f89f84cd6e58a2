/* Protected paths of a workspace; see protect.h. */
#include "supervisor/protect.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "supervisor/launch.h"
#include "supervisor/sys.h"

/* The built-in list. A path whose parent does not exist is left out: its parent is on the list itself,
 * or (.git) may be made by the agent and is reported at the end. */
static const char *const built_in[] = {".agentd", ".vscode", ".idea", ".devcontainer", ".husky",
	".codex", ".gemini", ".opencode", ".cursor", ".envrc", ".mcp.json", ".git/hooks",
	".git/config", ".git/config.worktree", ".claude", ".claude/settings.json",
	".claude/settings.local.json", ".claude/hooks", ".claude/commands", ".claude/agents",
	".claude/skills", ".bashrc", ".bash_profile", ".bash_login", ".profile", ".zshrc",
	".zshenv", ".zprofile"};

/* Directories that stay writable but must not be renamed away, because protected paths lie in them. */
static const char *const pinned[] = {".git", ".claude"};

#define PLACEHOLDER_MODE \
	01555 /* sticky and not writable: nobody makes such a directory by accident */
#define LINGER_NS  (5ull * 1000 * 1000 * 1000)
#define NAMES_MAX  100
#define INNER_ROOM 10 /* mounts that are kept free of repositories inside .git */

struct placeholder {
	char *name; /* relative to the workspace; made by us, or left by an instance that died */
	struct creds user; /* with whose rights it goes */
};

struct placeholders {
	dev_t dev; /* of the workspace */
	ino_t ino;
	int ws_fd;
	int users; /* sandboxes */
	uint64_t idle_since;
	struct placeholder *made[NAMES_MAX];
	int n;
	struct placeholders *next;
};

static struct placeholders *all;

static int listed(const char *s, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(s, list[i]))
			return 1;
	}
	return 0;
}

int protect_never(const char *dir, const char *name)
{
	return !strcmp(name, "commondir") &&
	       (!strcmp(dir, ".git") || !strncmp(dir, ".git/modules/", 13));
}

int protect_wants(const char *dir, const char *name)
{
	char rel[2 * PLAN_PATH_MAX + 2];

	snprintf(rel, sizeof rel, "%s%s%s", dir, *dir ? "/" : "", name);
	return protect_never(dir, name) || listed(rel, pinned, ARRAY_LEN(pinned)) ||
	       listed(rel, built_in, ARRAY_LEN(built_in));
}

int protect_covers(const char *path, const char *wall)
{
	size_t n = strlen(wall);

	return !strncmp(path, wall, n) && (path[n] == 0 || path[n] == '/');
}

int protect_dir(const struct placeholders *p)
{
	return p->ws_fd;
}

static struct placeholders *find_or_make(int ws_fd, struct error *e)
{
	struct placeholders *p;
	struct stat st;

	if (fstat(ws_fd, &st) < 0) {
		error_set(e, errno, "cannot examine the workspace");
		return NULL;
	}
	for (p = all; p; p = p->next) {
		if (p->dev == st.st_dev && p->ino == st.st_ino)
			return p;
	}
	p = calloc(1, sizeof *p);
	if (!p || (p->ws_fd = fcntl(ws_fd, F_DUPFD_CLOEXEC, 0)) < 0) {
		error_set(e, errno, "no room to remember placeholders");
		free(p);
		return NULL;
	}
	p->dev = st.st_dev;
	p->ino = st.st_ino;
	p->next = all;
	all = p;
	return p;
}

static int remembered(const struct placeholders *p, const char *rel)
{
	for (int i = 0; i < p->n; i++) {
		if (!strcmp(p->made[i]->name, rel))
			return 1;
	}
	return 0;
}

static int remember(struct placeholders *p, const char *rel, const struct creds *user)
{
	struct placeholder *m;

	if (remembered(p, rel))
		return 0;
	m = p->n < NAMES_MAX ? malloc(sizeof *m) : NULL;
	if (!m || !(m->name = strdup(rel))) {
		free(m);
		errno = ENOMEM;
		return -1;
	}
	m->user = *user;
	p->made[p->n++] = m;
	return 0;
}

/* Opens rel below the workspace without following links; the last component may be one. */
static int open_beneath(int ws_fd, const char *rel)
{
	return sys_openat2(ws_fd, rel, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0,
		RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
}

struct work {
	struct launch *l;
	const char *workspace;
	const char *const *extra; /* PLAN_PROTECT */
	size_t nextra;
	int ws_fd;
	const struct creds *user;
	const struct identity *id;
	struct placeholders *holders;
	int again; /* the sandbox runs already */
	struct error *e;
};

static void destination(const struct work *w, const char *rel, char *out, size_t cap)
{
	snprintf(out, cap, "%s/%s", w->workspace, rel);
}

static int add_tree(struct work *w, const char *rel, int fd, uint32_t flags)
{
	char dst[2 * PLAN_PATH_MAX + 2];
	int tree = launch_tree(fd, !!(flags & SPAWN_M_RW), w->id, rel, w->e);

	destination(w, rel, dst, sizeof dst);
	return tree < 0 ? -1 : launch_add(w->l, tree, flags, dst, w->e);
}

/* A placeholder is covered by an empty directory; a link, socket or device by an empty file. */
static int cover(struct work *w, const char *rel, uint32_t file)
{
	char dst[2 * PLAN_PATH_MAX + 2];

	destination(w, rel, dst, sizeof dst);
	return launch_add(w->l, -1, SPAWN_M_HIDE | file, dst, w->e);
}

/* Makes the placeholder with the user's rights. 1 made, 0 not needed (no parent, or the workspace is
 * not theirs to write: then the agent cannot make it either), -1. */
static int make_placeholder(struct work *w, const char *rel)
{
	int r, err;

	creds_enter(w->user);
	r = mkdirat(w->ws_fd, rel, PLACEHOLDER_MODE);
	err = errno;
	creds_leave();
	if (r < 0 && (err == ENOENT || err == EACCES || err == EROFS || err == ENOTDIR))
		return 0;
	if (r < 0 && err != EEXIST)
		return error_set(w->e, err, "cannot keep %s from being made in the workspace", rel);
	return 1;
}

static int is_placeholder(const struct stat *st)
{
	return S_ISDIR(st->st_mode) && (st->st_mode & 05777) == PLACEHOLDER_MODE;
}

/* 1 when the directory above rel is a placeholder that is covered already: read-only as a whole. Its
 * mode alone says nothing, an agent can give it to any directory. */
static int parent_is_placeholder(const struct work *w, const char *rel)
{
	char part[PLAN_PATH_MAX + 1];
	cleanup_close int fd = -1;
	struct stat st;
	char *slash;

	snprintf(part, sizeof part, "%s", rel);
	slash = strrchr(part, '/');
	if (!slash)
		return 0;
	*slash = 0;
	if (!remembered(w->holders, part))
		return 0;
	fd = open_beneath(w->ws_fd, part);
	return fd >= 0 && fstat(fd, &st) == 0 && is_placeholder(&st);
}

static int protect_one(struct work *w, const char *rel)
{
	cleanup_close int fd = open_beneath(w->ws_fd, rel);
	struct stat st;

	if (fd < 0 && errno == ENOENT) {
		int made = parent_is_placeholder(w, rel) || (w->again && !strncmp(rel, ".git/", 5))
				   ? 0
				   : make_placeholder(w, rel);

		if (made <= 0)
			return made;
		fd = open_beneath(w->ws_fd, rel);
	}
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0 && errno == ELOOP)
		return 0; /* a link above it: that link is covered, or leads where its target is protected */
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(w->e, errno, "cannot open %s in the workspace to protect it", rel);
	if (is_placeholder(&st))
		return remember(w->holders, rel, w->user) < 0
			       ? error_set(w->e, errno, "cannot remember the placeholder %s", rel)
			       : cover(w, rel, 0);
	if (S_ISDIR(st.st_mode) || S_ISREG(st.st_mode))
		return add_tree(w, rel, fd, S_ISDIR(st.st_mode) ? 0 : SPAWN_M_FILE);
	return cover(w, rel, SPAWN_M_FILE);
}

/* A pinned directory becomes a mount of its own, still writable. A link in its place is covered: what
 * it leads to is not the workspace's. */
static int pin_one(struct work *w, const char *rel)
{
	cleanup_close int fd = open_beneath(w->ws_fd, rel);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? 0
				       : error_set(w->e, errno, "cannot open %s to pin it", rel);
	if (fstat(fd, &st) < 0)
		return error_set(w->e, errno, "cannot examine %s", rel);
	if (!strcmp(rel, ".claude") && is_placeholder(&st))
		return 0; /* protect_one covers it as a whole */
	if (S_ISDIR(st.st_mode))
		return add_tree(w, rel, fd, SPAWN_M_RW);
	if (S_ISREG(st.st_mode)) /* .git of a worktree or submodule: names the real one */
		return add_tree(w, rel, fd, SPAWN_M_FILE);
	return cover(w, rel, SPAWN_M_FILE);
}

/* Every directory above an extra path is pinned too. */
static int pin_parents(struct work *w, const char *rel)
{
	char part[PLAN_PATH_MAX + 1];

	snprintf(part, sizeof part, "%s", rel);
	for (char *s = strchr(part, '/'); s; s = strchr(s + 1, '/')) {
		*s = 0;
		if (!listed(part, pinned, ARRAY_LEN(pinned)) &&
			!listed(part, built_in, ARRAY_LEN(built_in)) && pin_one(w, part) < 0)
			return -1;
		*s = '/';
	}
	return 0;
}

static int protect_built_in(struct work *w)
{
	for (size_t i = 0; i < ARRAY_LEN(pinned); i++) {
		if (pin_one(w, pinned[i]) < 0)
			return -1;
	}
	for (size_t i = 0; i < ARRAY_LEN(built_in); i++) {
		const char *rel = built_in[i];
		cleanup_close int fd = -1;
		struct stat st;

		/* .claude as a whole only when it is not there, or is our own placeholder. */
		if (!strcmp(rel, ".claude")) {
			fd = open_beneath(w->ws_fd, rel);
			if (fd >= 0 && (fstat(fd, &st) < 0 || !is_placeholder(&st)))
				continue;
		}
		if (protect_one(w, rel) < 0)
			return -1;
	}
	return 0;
}

/* What is there is protected; what is not there stays so (guard.c), or can only be made. */
static int protect_if_there(struct work *w, const char *rel)
{
	cleanup_close int fd = open_beneath(w->ws_fd, rel);

	return fd < 0 ? 0 : protect_one(w, rel);
}

/* One directory of .git/modules (a submodule's repository) or .git/worktrees. */
static int protect_inner(struct work *w, const char *top, const char *name)
{
	static const char *const files[] = {"config", "hooks", "commondir", "gitdir"};
	char rel[PLAN_PATH_MAX + 1];

	snprintf(rel, sizeof rel, "%s/%s", top, name);
	if (pin_one(w, rel) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(rel, sizeof rel, "%s/%s/%s", top, name, files[i]);
		if (protect_if_there(w, rel) < 0)
			return -1;
	}
	return 0;
}

/* The repositories inside .git, one level deep, as far as there is room for so many mounts. */
static int protect_inner_all(struct work *w, const char *top)
{
	cleanup_close int at = open_beneath(w->ws_fd, top);
	int fd = at < 0 ? -1 : openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	struct dirent *it;
	DIR *d;

	if (fd < 0)
		return 0;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return error_set(w->e, errno, "cannot list %s", top);
	}
	r = pin_one(w, top);
	while (!r && (it = readdir(d))) {
		if (w->l->req.nmounts + w->nextra + INNER_ROOM > SPAWN_MOUNTS_MAX)
			break;
		if (it->d_type != DT_REG && it->d_name[0] != '.')
			r = protect_inner(w, top, it->d_name);
	}
	closedir(d);
	return r;
}

static int protect_git(struct work *w)
{
	if (protect_inner_all(w, ".git/modules") < 0 || protect_inner_all(w, ".git/worktrees") < 0)
		return -1;
	return protect_if_there(w, ".git/commondir");
}

static int protect_extra(struct work *w)
{
	for (size_t i = 0; i < w->nextra; i++) {
		const char *rel = w->extra[i];

		if (listed(rel, built_in, ARRAY_LEN(built_in)) ||
			listed(rel, pinned, ARRAY_LEN(pinned)))
			continue;
		if (pin_parents(w, rel) < 0 || protect_one(w, rel) < 0)
			return -1;
	}
	return 0;
}

static int protect_all(struct work *w)
{
	if (protect_built_in(w) < 0 || protect_git(w) < 0)
		return -1;
	return protect_extra(w);
}

int protect_workspace(struct launch *l, const struct plan_header *plan, int ws_fd,
	const struct creds *user, const struct identity *id, struct placeholders **out,
	struct error *e)
{
	const char *extra[PLAN_MOUNTS_MAX];
	struct work w = {.l = l,
		.workspace = plan_text(plan, plan->workspace),
		.extra = extra,
		.ws_fd = ws_fd,
		.user = user,
		.id = id,
		.e = e};

	for (uint32_t i = 0; i < plan->mountc; i++) {
		const struct plan_mount *m = plan_mount_at(plan, i);

		if (m->kind == PLAN_PROTECT)
			extra[w.nextra++] = plan_text(plan, m->src);
	}
	w.holders = find_or_make(ws_fd, e);
	if (!w.holders)
		return -1;
	w.holders->users++;
	*out = w.holders;
	l->first_wall = l->req.nmounts;
	return protect_all(&w);
}

int protect_again(struct launch *l, struct placeholders *p, const char *workspace,
	const char *const *extra, size_t nextra, const struct creds *user,
	const struct identity *id, struct error *e)
{
	struct work w = {.l = l,
		.workspace = workspace,
		.extra = extra,
		.nextra = nextra,
		.ws_fd = p->ws_fd,
		.user = user,
		.id = id,
		.holders = p,
		.again = 1,
		.e = e};

	l->req.nmounts = l->req.nprocs = l->first_wall = 0;
	l->text_len = 0;
	l->ntrees = 0;
	if (protect_all(&w) == 0)
		return 0;
	launch_close(l);
	return -1;
}

void protect_release(struct placeholders *p, uint64_t now_ns)
{
	if (!p)
		return;
	p->users--;
	p->idle_since = now_ns;
}

/* rmdir(2) only ever removes an empty directory: whatever the owner put there stays. */
static void remove_all(struct placeholders *p)
{
	for (int i = p->n - 1; i >= 0; i--) {
		struct placeholder *m = p->made[i];
		struct stat st;

		creds_enter(&m->user);
		if (fstatat(p->ws_fd, m->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			is_placeholder(&st))
			unlinkat(p->ws_fd, m->name, AT_REMOVEDIR);
		creds_leave();
		free(m->name);
		free(m);
	}
	close(p->ws_fd);
	free(p);
}

void protect_collect(uint64_t now_ns)
{
	for (struct placeholders **at = &all; *at;) {
		struct placeholders *p = *at;

		if (now_ns && (p->users > 0 || now_ns - p->idle_since < LINGER_NS)) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		remove_all(p);
	}
}
