/* The mount namespace that sandboxes are copied from; see template.h. Runs once, at start. */
#include "supervisor/template.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "common/cleanup.h"
#include "supervisor/sys.h"

/* Read from the host as they are: directories are bound, symbolic links (merged /usr) are copied. */
static const char *const system_dirs[] = {
	"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "opt"};

/* Not taken from the host's root: made here, or mounted by each launch. */
static const char *const own_dirs[] = {"dev", "proc", "sys", "run", "tmp", "var", "etc"};

/* Entries of /etc that each sandbox has for itself, below /run/agentd/etc (plan_data in the plan). */
static const char *const own_etc[] = {"passwd", "group", "hosts", "hostname", "resolv.conf",
	"claude-code", "codex", "gemini-cli", "opencode"};

/* Entries of the host's /etc that no sandbox sees, whatever their mode, until the host puts another file
 * in their place (passwd(1) does): that takes the cover away, and the file's mode alone counts. */
static const char *const hidden_etc[] = {"shadow", "shadow-", "gshadow", "gshadow-", "agentd"};

static int listed(const char *name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(name, list[i]))
			return 1;
	}
	return 0;
}

#define LISTED(name, list) listed(name, list, ARRAY_LEN(list))

static int make_dir(const char *path)
{
	return mkdir(path, 0755) < 0 && errno != EEXIST ? -1 : 0;
}

/* Binds host path src, with what is mounted below it, read-only at dst in the new root. */
static int bind_read_only(const char *src, const char *dst, struct error *e)
{
	struct mount_attr ro = {
		.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
	cleanup_close int fd =
		open_tree(AT_FDCWD, src, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &ro, sizeof ro) < 0 ||
		move_mount(fd, "", AT_FDCWD, dst, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_set(e, errno, "cannot bind %s read-only into the template", src);
	return 0;
}

static int copy_link(const char *src, const char *dst, struct error *e)
{
	char to[PATH_MAX];
	ssize_t n = readlink(src, to, sizeof to - 1);

	if (n < 0)
		return error_set(e, errno, "cannot read the link %s", src);
	to[n] = 0;
	return symlink(to, dst) < 0 ? error_set(e, errno, "cannot make the link %s", dst) : 0;
}

static int bind_system(struct error *e)
{
	for (size_t i = 0; i < ARRAY_LEN(system_dirs); i++) {
		char src[64], dst[64];
		struct stat st;

		snprintf(src, sizeof src, "/%s", system_dirs[i]);
		snprintf(dst, sizeof dst, "./%s", system_dirs[i]);
		if (lstat(src, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && make_dir(dst) < 0)
			return error_set(e, errno, "cannot make %s in the template", dst);
		if (S_ISLNK(st.st_mode) ? copy_link(src, dst, e) < 0
					: bind_read_only(src, dst, e) < 0)
			return -1;
	}
	return 0;
}

/* Every other directory of the host's root exists in the template too, empty, so that a workspace or
 * home below it has a place. */
static int make_other_dirs(struct error *e)
{
	DIR *d = opendir("/");
	struct dirent *it;
	int r = 0;

	if (!d)
		return error_set(e, errno, "cannot list /");
	for (size_t i = 0; i < ARRAY_LEN(own_dirs); i++)
		r |= make_dir(own_dirs[i]);
	while ((it = readdir(d))) {
		if (it->d_type == DT_DIR && it->d_name[0] != '.' &&
			!LISTED(it->d_name, system_dirs))
			r |= make_dir(it->d_name);
	}
	closedir(d);
	r |= make_dir(".agentd") | make_dir(".agentd/etc") | mkdir(".agentd/empty", 0555) |
	     mknod(".agentd/empty-file", S_IFREG | 0444, 0);
	r |= symlink("../tmp", "var/tmp") | symlink("../run", "var/run");
	return r ? error_set(e, errno, "cannot make the template's directories") : 0;
}

/* /etc is ours: links into the host's /etc, bound at /.agentd/etc, but for what a sandbox has of its
 * own or must not see. */
static int make_etc(struct error *e)
{
	DIR *d = opendir("/etc");
	struct dirent *it;
	int r = 0;

	if (!d)
		return error_set(e, errno, "cannot list /etc");
	while ((it = readdir(d))) {
		char to[320], at[300];

		if (!strcmp(it->d_name, ".") || !strcmp(it->d_name, "..") ||
			LISTED(it->d_name, own_etc) || LISTED(it->d_name, hidden_etc))
			continue;
		snprintf(to, sizeof to, "/.agentd/etc/%s", it->d_name);
		snprintf(at, sizeof at, "etc/%s", it->d_name);
		r |= symlink(to, at);
	}
	closedir(d);
	for (size_t i = 0; i < ARRAY_LEN(own_etc); i++) {
		char to[96], at[96];

		snprintf(to, sizeof to, "/run/agentd/etc/%s", own_etc[i]);
		snprintf(at, sizeof at, "etc/%s", own_etc[i]);
		r |= symlink(to, at);
	}
	if (r)
		return error_set(e, errno, "cannot make the template's /etc");
	return bind_read_only("/etc", ".agentd/etc", e);
}

/* What covers paths is a mount of its own, read-only: cloning it costs one call. */
static int make_covers(struct error *e)
{
	if (bind_read_only(".agentd/empty", ".agentd/empty", e) < 0)
		return -1;
	return bind_read_only(".agentd/empty-file", ".agentd/empty-file", e);
}

/* The hidden names must not be reachable through /.agentd/etc either: each is covered. */
static int cover_hidden_etc(struct error *e)
{
	for (size_t i = 0; i < ARRAY_LEN(hidden_etc); i++) {
		char at[96], src[64];
		struct stat st;

		snprintf(at, sizeof at, ".agentd/etc/%s", hidden_etc[i]);
		if (lstat(at, &st) < 0 || S_ISLNK(st.st_mode))
			continue;
		snprintf(src, sizeof src, ".agentd/%s",
			S_ISDIR(st.st_mode) ? "empty" : "empty-file");
		if (bind_read_only(src, at, e) < 0)
			return -1;
	}
	return 0;
}

static int make_dev(struct error *e)
{
	static const struct {
		const char *name;
		unsigned minor;
	} node[] = {{"null", 3}, {"zero", 5}, {"full", 7}, {"random", 8}, {"urandom", 9}};
	static const char *const link[][2] = {{"/proc/self/fd", "dev/fd"},
		{"/proc/self/fd/0", "dev/stdin"}, {"/proc/self/fd/1", "dev/stdout"},
		{"/proc/self/fd/2", "dev/stderr"}, {"pts/ptmx", "dev/ptmx"}};
	mode_t mask = umask(0);
	int r = mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k");

	for (size_t i = 0; !r && i < ARRAY_LEN(node); i++) {
		char at[32];

		snprintf(at, sizeof at, "dev/%s", node[i].name);
		r = mknod(at, S_IFCHR | 0666, makedev(1, node[i].minor));
	}
	if (!r)
		r = mknod("dev/tty", S_IFCHR | 0666, makedev(5, 0));
	for (size_t i = 0; !r && i < ARRAY_LEN(link); i++)
		r = symlink(link[i][0], link[i][1]);
	umask(mask);
	if (!r)
		r = mkdir("dev/pts", 0755) | mkdir("dev/shm", 0755) |
		    mount(NULL, "dev", NULL,
			    MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC, NULL);
	return r ? error_set(e, errno, "cannot make the template's /dev") : 0;
}

/* One of our own programs, at /.agentd/NAME: a copy, so that an upgrade on the host, which unlinks the
 * old file, does not pull it away from under running sandboxes and later launches. */
static int copy_program(const char *path, const char *name, struct error *e)
{
	char at[64];
	cleanup_close int from = open(path, O_RDONLY | O_CLOEXEC), to = -1;
	ssize_t n = 0;

	snprintf(at, sizeof at, ".agentd/%s", name);
	to = open(at, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0555);
	if (from >= 0 && to >= 0) {
		do
			n = sendfile(to, from, NULL, 1 << 20);
		while (n > 0);
	}
	if (from < 0 || to < 0 || n < 0)
		return error_set(e, errno, "cannot copy %s into the template", path);
	return 0;
}

int template_enter(const char *scratch, const char *agentctl, const char *init, struct error *e)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_set(e, errno, "cannot make a mount namespace");
	if (mount("tmpfs", scratch, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=16m") < 0 ||
		chdir(scratch) < 0)
		return error_set(e, errno, "cannot start the template on %s", scratch);
	umask(022);
	if (make_other_dirs(e) < 0 || make_covers(e) < 0 || bind_system(e) < 0 || make_etc(e) < 0 ||
		cover_hidden_etc(e) < 0 || make_dev(e) < 0 ||
		copy_program(agentctl, "agentctl", e) < 0 ||
		copy_program(init, "agentd-init", e) < 0)
		return -1;
	if (sys_pivot_root(".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return error_set(e, errno, "cannot make the template the root");
	return 0;
}

int template_system(const char *out[TEMPLATE_SYSTEM_MAX])
{
	static char path[ARRAY_LEN(system_dirs)][16];
	int n = 0;

	_Static_assert(
		ARRAY_LEN(system_dirs) <= TEMPLATE_SYSTEM_MAX, "too many system directories");
	for (size_t i = 0; i < ARRAY_LEN(system_dirs); i++) {
		struct stat st;

		snprintf(path[i], sizeof path[i], "/%s", system_dirs[i]);
		if (lstat(path[i], &st) == 0 && S_ISDIR(st.st_mode))
			out[n++] = path[i];
	}
	return n;
}
