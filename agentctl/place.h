/* Where a run is: the workspace of a directory and what is true there. Used by gather.c for a run, and by
 * agentctl-tools for what a run here would get. */
#ifndef AGENTCTL_PLACE_H
#define AGENTCTL_PLACE_H

#include <limits.h>
#include <stddef.h>

/* 1 when p is dir or lies below it; both canonical. */
int path_inside(const char *p, const char *dir);

/* The nearest directory from cwd up that has .git or .agentd, not counting home and what is above it;
 * cwd when there is none. Copies it to out. */
void workspace_find(const char *cwd, const char *home, char out[PATH_MAX]);

/* The name of the branch in the text of a .git/HEAD. 0, or -1: none (a detached head). */
int branch_of(const char *head, char *out, size_t cap);

/* The branch that is checked out in a workspace. 0, or -1: none. */
int branch_find(const char *workspace, char *out, size_t cap);

/* 1 when the variable CI says that no person sits here. */
int in_ci(void);

#endif
