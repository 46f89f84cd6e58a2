/* Which files of a workspace the user's git obeys besides .git/config itself: files that it includes,
 * and core.hooksPath. An agent that could write them would run code as the user at the next git
 * command, so the sandbox gets them read-only. Used by gather.c; reads with the user's rights, bounded,
 * and believes nothing: a path that leaves the workspace is not the sandbox's business. */
#ifndef AGENTCTL_GITCONFIG_H
#define AGENTCTL_GITCONFIG_H

#include <stddef.h>

#define GITCONFIG_PATHS_MAX 32
#define GITCONFIG_SIZE_MAX  (256u << 10)

struct gitconfig {
	const char *workspace, *home; /* absolute, canonical; the caller's */
	size_t n;
	int truncated; /* more than GITCONFIG_PATHS_MAX */
	char list[GITCONFIG_PATHS_MAX][1024]; /* relative to the workspace */
	char included[GITCONFIG_PATHS_MAX]; /* 1: git reads it as configuration */
};

/* Fills g->list from WORKSPACE/.git/config and the files that it includes, which need not exist. n is
 * set to 0 by the caller. 0, also without a .git; -1 with errno when a file that is there cannot be
 * read whole (then what git obeys is not known). */
int gitconfig_find(struct gitconfig *g);

/* The same for text that is the content of the file DIR/config (dir relative to the workspace). */
void gitconfig_scan(struct gitconfig *g, const char *dir, const char *text, size_t n);

#endif
