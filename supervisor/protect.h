/* Protected paths: what the owner's own tools would execute or believe when they meet it in the
 * workspace later. They are read-only inside even where the workspace is writable. One that does not
 * exist gets a placeholder, an empty directory that is mounted over inside and removed from the host
 * after the last sandbox of that workspace (git does not see empty directories); one that is a
 * symbolic link is covered. Directories above a protected path are mount points of their own, so that
 * they cannot be renamed away (specs/bypasses.md B02, B08, F01-F06, L06). */
#ifndef SUPERVISOR_PROTECT_H
#define SUPERVISOR_PROTECT_H

#include "common/error.h"
#include "common/plan.h"
#include "supervisor/creds.h"
#include "supervisor/identity.h"

struct launch;
struct placeholders; /* those of one workspace, shared by its sandboxes, whoever owns them */

/* What the built-in list takes from git on top: names that must not come into being, and that no
 * placeholder can stand for, because git would break on it (guard.c watches for them). */
int protect_never(const char *dir, const char *name);

/* 1 when name in dir ("" for the workspace) is on the built-in list, or one of these: it wants a wall as
 * soon as it is there. */
int protect_wants(const char *dir, const char *name);

/* Adds the mounts for the built-in list and the plan's PLAN_PROTECT entries to l. ws_fd: the workspace
 * (O_PATH). 0, or -1 with *e filled; *out is set when placeholders were made, also on failure. */
int protect_workspace(struct launch *l, const struct plan_header *plan, int ws_fd,
	const struct creds *user, const struct identity *id, struct placeholders **out,
	struct error *e);

/* 1 when path is at or below wall, by whole components. */
int protect_covers(const char *path, const char *wall);

/* The same mounts once more, for a sandbox that runs: l is emptied first. No placeholder is made in .git,
 * so that someone who removes or makes a repository is not disturbed. extra: its PLAN_PROTECT paths.
 * 0, or -1 with *e filled. */
int protect_again(struct launch *l, struct placeholders *p, const char *workspace,
	const char *const *extra, size_t nextra, const struct creds *user,
	const struct identity *id, struct error *e);

/* The workspace, O_PATH; stays p's. */
int protect_dir(const struct placeholders *p);

/* The sandbox is gone. The placeholders stay for a few seconds, for the next launch. NULL is fine. */
void protect_release(struct placeholders *p, uint64_t now_ns);

/* Removes placeholders that nobody has used for a while; all of them when now_ns is 0. */
void protect_collect(uint64_t now_ns);

#endif
