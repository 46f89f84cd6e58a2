/* What every unprivileged daemon role does before it reads its first byte from another process: it
 * refuses to be root, gives up what it did not get on purpose, and builds its own walls (Landlock,
 * seccomp, rlimits). Called by the role's main file (agentd/broker/broker.c, agentd/recorder/…) and
 * by nothing else.
 *
 * A role is started by the supervisor as `agentd ROLE --root DIR`, under the role's own uid, with
 * ROLE_SUPERVISOR_FD as its only descriptor beside 0, 1 and 2. Its main is
 *
 *	int recorder_main(int argc, char **argv)        argv[0] is the name of the role
 *	{
 *		role_begin("recorder", argc, argv, &paths, &e)    checks, --root, no_new_privs, fds
 *		…open what must be opened before the walls stand…
 *		role_confine(&spec, &e)                           Landlock, seccomp, rlimits
 *		role_hello(&e)                                    MSG_HELLO: from here on it is fed
 *		…event loop…
 *	} */
#ifndef AGENTD_ROLE_H
#define AGENTD_ROLE_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/paths.h"

int broker_main(int argc, char **argv);
int recorder_main(int argc, char **argv);

struct role_dir {
	const char *path; /* an existing directory */
	int writable; /* 0: read files and list; 1: also make, write, rename and remove in it */
	int optional; /* 1: when it does not exist it is simply not allowed */
};

struct role_spec {
	const char *name;
	const struct role_dir *dirs; /* everything this role may open from now on */
	size_t ndirs;
	const int
		*syscalls; /* numbers (SCMP_SYS) beyond the list that all roles share; see role.c */
	size_t nsyscalls;
	uint64_t file_size_max; /* RLIMIT_FSIZE in bytes, 0: unlimited */
	uint32_t files_max; /* RLIMIT_NOFILE; cut to the hard limit */
};

/* Parses `NAME [--root DIR]` into *p and refuses to go on as uid or gid 0. Sets no_new_privs, the
 * process name and PR_SET_DUMPABLE 0, dies with the supervisor (PR_SET_PDEATHSIG), closes every
 * descriptor above ROLE_SUPERVISOR_FD, ignores SIGPIPE, sets umask 077. 0, or -1 with *e filled. */
int role_begin(const char *name, int argc, char **argv, struct paths *p, struct error *e);

/* Builds the walls: rlimits, then Landlock at the kernel's best ABI (a kernel without Landlock is
 * an error only when AGENTD_ROLE_NEEDS_LANDLOCK is defined; DAC and seccomp remain), then a seccomp
 * allow-list. A system call that is not on it fails with EPERM; one that no role can have a use for
 * (execve, ptrace, mount, bpf, …) kills the process. Cannot be undone. 0, or -1 with *e filled. */
int role_confine(const struct role_spec *spec, struct error *e);

/* Sends MSG_HELLO on ROLE_SUPERVISOR_FD. 0, or -1 with *e filled. */
int role_hello(struct error *e);

#endif
