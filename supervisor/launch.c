/* From plan to mounts; see launch.h. */
#include "supervisor/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "common/cleanup.h"
#include "supervisor/sys.h"

int launch_add(struct launch *l, int tree, uint32_t flags, const char *dst, struct error *e)
{
	size_t n = strlen(dst) + 1;
	struct spawn_mount *m;

	if (l->req.nmounts >= SPAWN_MOUNTS_MAX || l->text_len + n >= SPAWN_TEXT_MAX) {
		if (tree >= 0)
			close(tree);
		return error_set(e, 0, "too many mounts for one sandbox (%u)", l->req.nmounts);
	}
	m = &l->req.mounts[l->req.nmounts++];
	m->flags = flags;
	m->dst = l->text_len;
	memcpy(l->req.text + l->text_len, dst, n);
	l->text_len += (uint32_t)n;
	if (tree >= 0)
		l->trees[l->ntrees++] = tree;
	return 0;
}

void launch_close(struct launch *l)
{
	for (size_t i = 0; i < l->ntrees; i++)
		close(l->trees[i]);
	l->ntrees = 0;
}

/* Private: a clone of a shared mount is its peer, as every mount is under systemd, and what the sandbox
 * mounts on it would appear on the host, too (mount_namespaces(7)). */
int launch_tree(int fd, int writable, const struct identity *id, const char *what, struct error *e)
{
	struct mount_attr a = {
		.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, .propagation = MS_PRIVATE};
	cleanup_close int tree =
		open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (unsigned)AT_EMPTY_PATH);

	if (tree < 0)
		return error_set(e, errno, "cannot clone the mount of %s", what);
	if (!writable)
		a.attr_set |= MOUNT_ATTR_RDONLY;
	if (id->mount_ns >= 0) {
		a.attr_set |= MOUNT_ATTR_IDMAP;
		a.userns_fd = (uint64_t)(uint32_t)id->mount_ns;
	}
	if (mount_setattr(tree, "", AT_EMPTY_PATH, &a, sizeof a) == 0)
		return take_fd(&tree);
	if (!(a.attr_set & MOUNT_ATTR_IDMAP) || (errno != EINVAL && errno != EPERM))
		return error_set(e, errno, "cannot set the mount attributes of %s", what);
	if (writable)
		return error_set(e, errno,
			"the file system of %s has no idmapped mounts, so the agent cannot have a "
			"uid of "
			"its own there: use another file system, or set `workspace: {identity: "
			"same-uid}` "
			"in the policy",
			what);
	/* Read-only without idmapping only makes less readable. */
	a.attr_set &= ~(uint64_t)MOUNT_ATTR_IDMAP;
	a.userns_fd = 0;
	if (mount_setattr(tree, "", AT_EMPTY_PATH, &a, sizeof a) < 0)
		return error_set(e, errno, "cannot set the mount attributes of %s", what);
	return take_fd(&tree);
}

/* ---- what may be mounted ---- */

static int below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && (path[n] == '/' || path[n] == 0);
}

/* Kernel file systems and agentd's own directories are nobody's to hand to an agent. */
static int source_ok(int fd, const char *src, const struct paths *paths, struct error *e)
{
	static const long refused[] = {PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP_SUPER_MAGIC,
		CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC, TRACEFS_MAGIC, BPF_FS_MAGIC, SECURITYFS_MAGIC,
		DEVPTS_SUPER_MAGIC, NSFS_MAGIC};
	char link[64], real[PLAN_PATH_MAX * 2];
	struct statfs fs;
	struct stat st;
	ssize_t n;

	if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0)
		return error_set(e, errno, "cannot examine %s", src);
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		if ((long)fs.f_type == refused[i])
			return error_set(e, 0, "%s is on a kernel file system: not mounted", src);
	}
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return error_set(e, 0, "%s is neither a directory nor a file: not mounted", src);
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, real, sizeof real - 1);
	if (n < 0)
		return error_set(e, errno, "cannot examine %s", src);
	real[n] = 0;
	/* Neither what lies in agentd's directories nor what contains them. */
	if (below(real, paths->state) || below(real, paths->run) || below(real, paths->etc) ||
		below(paths->state, real) || below(paths->run, real) || below(real, "/dev") ||
		!strcmp(real, "/"))
		return error_set(e, 0, "%s is agentd's own or the whole system: not mounted", src);
	return 0;
}

/* Opens a path as the user. The fd (O_PATH), or -1. */
static int open_source(const char *src, int writable, const struct creds *user,
	const struct paths *paths, struct error *e)
{
	cleanup_close int fd = -1;
	int ok;

	creds_enter(user);
	/* No link anywhere: an agent may have planted one in a workspace, and the links of /proc lead into
	 * other users' processes. */
	fd = sys_openat2(AT_FDCWD, src, O_PATH | O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS);
	ok = fd < 0 ? -1
		    : sys_faccessat2(
			      fd, "", writable ? R_OK | W_OK : R_OK, AT_EMPTY_PATH | AT_EACCESS);
	creds_leave();
	if (fd < 0 && errno == ELOOP)
		return error_set(e, ELOOP,
			"%s leads through a symbolic link: name the place it leads to", src);
	if (fd < 0 || ok < 0)
		return error_set(e, errno, "cannot open %s with the user's rights", src);
	if (source_ok(fd, src, paths, e) < 0)
		return -1;
	return take_fd(&fd);
}

static int is_file(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode);
}

/* ---- the private HOME ---- */

static int make_and_open(int dir, const char *name, mode_t mode)
{
	if (mkdirat(dir, name, mode) < 0 && errno != EEXIST)
		return -1;
	return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* STATE/home/u<uid>/<key>, the user's, 0700. The fd or -1. */
static int open_home(const struct paths *paths, const struct plan_header *p,
	const struct creds *user, struct error *e)
{
	char base[720], owner[24];
	cleanup_close int top = -1, mid = -1, fd = -1;
	struct stat st;

	snprintf(base, sizeof base, "%s/home", paths->state);
	snprintf(owner, sizeof owner, "u%u", user->uid);
	top = make_and_open(AT_FDCWD, base, 0711);
	mid = top < 0 ? -1 : make_and_open(top, owner, 0711);
	fd = mid < 0 ? -1 : make_and_open(mid, plan_text(p, p->home_key), 0700);
	if (fd < 0 || fstat(fd, &st) < 0 ||
		(st.st_uid != user->uid && fchown(fd, user->uid, user->gid) < 0))
		return error_set(e, errno, "cannot make the agent's private HOME below %s", base);
	return take_fd(&fd);
}

/* Makes a mount point below the private HOME, with the user's rights and without following a link:
 * what lies there was written by an agent. */
static int make_in_home(
	int home, const char *rel, int file, const struct creds *user, struct error *e)
{
	char part[PLAN_PATH_MAX + 1];
	int r = 0, err = 0;

	snprintf(part, sizeof part, "%s", rel);
	creds_enter(user);
	for (char *s = part;; s++) {
		cleanup_close int dir = -1;
		char keep = *s, *slash, *base;

		if (keep != '/' && keep != 0)
			continue;
		*s = 0;
		slash = strrchr(part, '/');
		base = slash ? slash + 1 : part;
		if (slash)
			*slash = 0;
		dir = sys_openat2(home, slash ? part : ".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0,
			RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
		if (slash)
			*slash = '/';
		r = dir < 0 ? -1 : 0;
		if (!r && (keep == '/' || !file))
			r = mkdirat(dir, base, 0755) < 0 && errno != EEXIST ? -1 : 0;
		else if (!r) /* never opened: what an agent left there may block */
			r = mknodat(dir, base, S_IFREG | 0644, 0) < 0 && errno != EEXIST ? -1 : 0;
		err = errno;
		*s = keep;
		if (r || !keep)
			break;
	}
	creds_leave();
	return r ? error_set(e, err, "cannot make %s in the agent's private HOME", rel) : 0;
}

/* ---- the list ---- */

struct builder {
	struct launch *l;
	const struct paths *paths;
	const struct plan_header *plan;
	const struct creds *user;
	const struct identity *id;
	const char *home, *workspace;
	int home_fd, ws_fd;
	struct error *e;
};

/* 1 when the template shows this path already, as it is on the host. */
static int in_template(const char *path)
{
	static const char *const dirs[] = {
		"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt"};

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		if (below(path, dirs[i]))
			return 1;
	}
	return 0;
}

static int target_ok(const struct builder *b, const char *dst)
{
	static const char *const refused[] = {
		"/etc", "/dev", "/proc", "/sys", "/run", "/.agentd", "/boot"};

	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		if (below(dst, refused[i]))
			return error_set(b->e, 0, "nothing can be mounted at %s in a sandbox", dst);
	}
	return 0;
}

/* Sees to it that dst will be there to mount on; the flags for the mount, or -1. */
static int place(const struct builder *b, const char *dst, int file)
{
	if (target_ok(b, dst) < 0)
		return -1;
	if (b->ws_fd >= 0 && below(dst, b->workspace) && strcmp(dst, b->workspace) != 0)
		return 0; /* it exists, or the mount fails and says so */
	if (b->home_fd >= 0 && below(dst, b->home) && strcmp(dst, b->home) != 0) {
		if (make_in_home(b->home_fd, dst + strlen(b->home) + 1, file, b->user, b->e) < 0)
			return -1;
		return 0;
	}
	if (in_template(dst))
		return 0;
	return SPAWN_M_MKDIR;
}

static int add_home(struct builder *b)
{
	int tree;

	b->home_fd = open_home(b->paths, b->plan, b->user, b->e);
	if (b->home_fd < 0 || target_ok(b, b->home) < 0)
		return -1;
	if (in_template(b->home))
		return error_set(b->e, 0, "HOME is %s: a sandbox cannot have one there", b->home);
	tree = launch_tree(b->home_fd, 1, b->id, "the agent's private HOME", b->e);
	if (tree < 0)
		return -1;
	return launch_add(b->l, tree, SPAWN_M_RW | SPAWN_M_MKDIR, b->home, b->e);
}

static int add_workspace(struct builder *b)
{
	int fd, flags, tree;

	if (below(b->home, b->workspace) || !strcmp(b->workspace, "/"))
		return error_set(b->e, 0,
			"the workspace %s is or contains the home directory: choose a project "
			"directory",
			b->workspace);
	fd = open_source(b->workspace, 1, b->user, b->paths, b->e);
	if (fd < 0)
		return -1;
	flags = is_file(fd) ? error_set(b->e, 0, "the workspace %s is a file", b->workspace)
			    : place(b, b->workspace, 0);
	b->ws_fd = fd;
	if (flags < 0)
		return -1;
	tree = launch_tree(fd, 1, b->id, b->workspace, b->e);
	if (tree < 0)
		return -1;
	return launch_add(b->l, tree, SPAWN_M_RW | (uint32_t)flags, b->workspace, b->e);
}

static int add_bind(struct builder *b, const struct plan_mount *m)
{
	const char *src = plan_text(b->plan, m->src), *dst = plan_text(b->plan, m->dst);
	int writable = m->kind == PLAN_BIND_RW, flags, tree, file;
	cleanup_close int fd = -1;

	if (!writable && !strcmp(src, dst) && in_template(dst))
		return 0;
	fd = open_source(src, writable, b->user, b->paths, b->e);
	if (fd < 0)
		return m->flags & PLAN_MOUNT_OPTIONAL &&
				       (b->e->code == ENOENT || b->e->code == EACCES ||
					       b->e->code == ELOOP)
			       ? 0
			       : -1;
	file = is_file(fd);
	flags = place(b, dst, file);
	if (flags < 0)
		return -1;
	tree = launch_tree(fd, writable, b->id, src, b->e);
	if (tree < 0)
		return -1;
	return launch_add(b->l, tree,
		(uint32_t)flags | (writable ? SPAWN_M_RW : 0u) | (file ? SPAWN_M_FILE : 0u), dst,
		b->e);
}

/* What is at dst on the host: 1 a file, 0 a directory, -1 nothing (then there is nothing to hide). */
static int kind_of(const struct builder *b, const char *dst)
{
	cleanup_close int fd = -1;
	int in_ws = below(dst, b->workspace);

	creds_enter(b->user);
	fd = sys_openat2(in_ws ? b->ws_fd : AT_FDCWD, in_ws ? dst + strlen(b->workspace) + 1 : dst,
		O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS);
	creds_leave();
	return fd < 0 ? -1 : is_file(fd);
}

static int add_hide(struct builder *b, const struct plan_mount *m)
{
	const char *dst = plan_text(b->plan, m->dst);
	int flags, file;

	if (below(b->workspace, dst) || below(b->home, dst))
		return error_set(b->e, 0, "cannot hide %s: workspace or HOME lies there", dst);
	file = kind_of(b, dst);
	if (file < 0)
		return 0;
	flags = place(b, dst, file);
	if (flags < 0)
		return -1;
	return launch_add(
		b->l, -1, SPAWN_M_HIDE | (uint32_t)flags | (file ? SPAWN_M_FILE : 0u), dst, b->e);
}

static int add_binds(struct builder *b)
{
	for (uint32_t i = 0; i < b->plan->mountc; i++) {
		const struct plan_mount *m = plan_mount_at(b->plan, i);
		int r = 0;

		if (m->kind == PLAN_BIND_RO || m->kind == PLAN_BIND_RW)
			r = add_bind(b, m);
		else if (m->kind == PLAN_DATA &&
			 strncmp(plan_text(b->plan, m->dst), "/etc/", 5) != 0)
			r = error_set(b->e, 0, "a data file can only be below /etc, not at %s",
				plan_text(b->plan, m->dst));
		if (r < 0)
			return -1;
	}
	return 0;
}

static int add_hides(struct builder *b)
{
	for (uint32_t i = 0; i < b->plan->mountc; i++) {
		const struct plan_mount *m = plan_mount_at(b->plan, i);

		if (m->kind == PLAN_HIDE && add_hide(b, m) < 0)
			return -1;
	}
	return 0;
}

/* The order is the meaning: what protects lies over what policy binds, what hides lies over all. */
static int add_all(struct builder *b)
{
	if (add_home(b) < 0 || add_workspace(b) < 0 || add_binds(b) < 0)
		return -1;
	if (protect_workspace(b->l, b->plan, b->ws_fd, b->user, b->id, &b->l->placeholders, b->e) <
		0)
		return -1;
	return add_hides(b);
}

int launch_prepare(struct launch *l, const struct paths *paths, const struct plan_header *plan,
	const struct creds *user, const struct identity *id, struct error *e)
{
	struct builder b = {.l = l,
		.paths = paths,
		.plan = plan,
		.user = user,
		.id = id,
		.home = plan_text(plan, plan->home),
		.workspace = plan_text(plan, plan->workspace),
		.home_fd = -1,
		.ws_fd = -1,
		.e = e};
	int r;

	l->req.uid = user->uid;
	l->req.kernel_uid = id->kernel_uid;
	l->req.nmounts = l->req.nprocs = 0;
	l->text_len = 0;
	l->ntrees = 0;
	l->placeholders = NULL;
	r = plan->uid != user->uid || plan->gid != user->gid
		    ? error_set(e, 0, "launch plan: made for another user")
		    : 0;
	if (!r)
		r = add_all(&b);
	if (b.home_fd >= 0)
		close(b.home_fd);
	if (b.ws_fd >= 0)
		close(b.ws_fd);
	if (r < 0)
		launch_close(l);
	return r;
}
