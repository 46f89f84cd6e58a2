/* Which directories outside the system's a run needs to see for the programs on PATH and the command
 * itself to work (nvm, cargo, pipx, /opt …), without showing more of the home directory than that.
 * Used by gather.c. Only proposes: policy decides, and the supervisor opens each with the user's
 * rights. Never the home directory, a directory above it, or one where credentials are kept. */
#ifndef AGENTCTL_TOOLCHAINS_H
#define AGENTCTL_TOOLCHAINS_H

#include <stddef.h>

#define TOOLCHAINS_MAX     24
#define TOOLCHAIN_PATH_MAX 1024

struct toolchains {
	const char *home; /* as passwd has it; the caller's, like the others; all absolute */
	const char *real_home; /* the same without links */
	const char *workspace, *cwd; /* canonical */
	size_t n;
	char list[TOOLCHAINS_MAX][TOOLCHAIN_PATH_MAX];
};

/* Fills t->list from the value of PATH (may be NULL) and argv[0] of the command; the places
 * are set by the caller, n is 0. More than TOOLCHAINS_MAX are left out, the command's come first. */
void toolchains_find(struct toolchains *t, const char *path, const char *command);

/* Copies an absolute path to out without "//", "/./" and a slash at the end. -1 when it is relative,
 * has a ".." or does not fit. */
int path_clean(const char *in, char *out, size_t cap);

#endif
