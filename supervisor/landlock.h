/* Landlock, the second and independent wall around a sandbox: filesystem rights by tree, and no
 * abstract sockets or signals to the outside. Built per launch, after the mounts, because a rule
 * names inodes (landlock(7)). */
#ifndef SUPERVISOR_LANDLOCK_H
#define SUPERVISOR_LANDLOCK_H

/* The kernel's Landlock ABI version; 0 when it has none. */
int landlock_abi(void);

/* A new ruleset fd that handles everything abi knows. -1 with errno. */
int landlock_begin(int abi);

/* Rights below path (a directory or a file): read and execute, or everything. A path that does not
 * exist is skipped. 0 or -1 with errno. */
int landlock_allow(int ruleset, int abi, const char *path, int writable);

/* The right to list directories below path, and no other. */
int landlock_allow_listing(int ruleset, const char *path);

/* Restricts the calling process (no_new_privs must be set). 0 or -1 with errno. */
int landlock_enforce(int ruleset);

#endif
