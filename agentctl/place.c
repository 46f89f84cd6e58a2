/* Where a run is; see place.h. */
#include "agentctl/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int path_inside(const char *p, const char *dir)
{
	if (dir[0] == '/' && !dir[1])
		return 1;
	while (*dir && *p == *dir) {
		p++;
		dir++;
	}
	return !*dir && (!*p || *p == '/');
}

static int has_mark(const char *dir, const char *mark)
{
	char p[PATH_MAX + 16];

	snprintf(p, sizeof p, "%s/%s", dir, mark);
	return access(p, F_OK) == 0;
}

void workspace_find(const char *cwd, const char *home, char out[PATH_MAX])
{
	char dir[PATH_MAX];
	char *slash;

	snprintf(dir, sizeof dir, "%s", cwd);
	while (!path_inside(home, dir)) {
		if (has_mark(dir, ".git") || has_mark(dir, ".agentd")) {
			memcpy(out, dir, strlen(dir) + 1);
			return;
		}
		slash = strrchr(dir, '/');
		if (!slash || slash == dir)
			break;
		*slash = 0;
	}
	snprintf(out, PATH_MAX, "%s", cwd);
}

int branch_of(const char *head, char *out, size_t cap)
{
	static const char mark[] = "ref: refs/heads/";
	size_t n;

	if (strncmp(head, mark, sizeof mark - 1) != 0)
		return -1;
	head += sizeof mark - 1;
	n = strcspn(head, "\r\n");
	if (n == 0 || n >= cap)
		return -1;
	memcpy(out, head, n);
	out[n] = 0;
	return 0;
}

/* Reads WORKSPACE/.git/HEAD, also where .git is the file of a linked worktree. */
static int read_head(const char *workspace, char *buf, size_t cap)
{
	char path[PATH_MAX + 64], dir[PATH_MAX];
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "%s/.git/HEAD", workspace);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno == ENOTDIR) {
		snprintf(path, sizeof path, "%s/.git", workspace);
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		n = fd < 0 ? -1 : read(fd, dir, sizeof dir - 1);
		if (fd >= 0)
			close(fd);
		if (n < 8 || memcmp(dir, "gitdir: ", 8) != 0)
			return -1;
		dir[n] = 0;
		dir[strcspn(dir, "\r\n")] = 0;
		if (dir[8] == '/')
			snprintf(path, sizeof path, "%s/HEAD", dir + 8);
		else
			snprintf(path, sizeof path, "%s/%.2048s/HEAD", workspace, dir + 8);
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	}
	if (fd < 0)
		return -1;
	n = read(fd, buf, cap - 1);
	close(fd);
	if (n < 0)
		return -1;
	buf[n] = 0;
	return 0;
}

int branch_find(const char *workspace, char *out, size_t cap)
{
	char head[512];

	return read_head(workspace, head, sizeof head) < 0 ? -1 : branch_of(head, out, cap);
}

int in_ci(void)
{
	const char *ci = getenv("CI");

	return ci && *ci && strcmp(ci, "0") != 0 && strcmp(ci, "false") != 0;
}
