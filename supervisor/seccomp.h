/* The sandbox's system-call filters, built once with libseccomp (binary-tree optimised) and kept as
 * BPF: the bulk allow-list and the check of arguments that the
 * spawner and so every sandbox inherits, and the tail that takes
 * away, per launch, what only the launch itself needed. Native architecture only. */
#ifndef SUPERVISOR_SECCOMP_H
#define SUPERVISOR_SECCOMP_H

#include <linux/filter.h>

#include "common/error.h"

struct seccomp_set {
	struct sock_fprog bulk;
	struct sock_fprog arguments; /* what the bulk list allows but for some arguments */
	struct sock_fprog tail; /* the usual profile */
	struct sock_fprog tail_ptrace; /* workspace policies that allow a debugger inside */
};

/* Fills *s; its programs live as long as the process. 0 or -1. */
int seccomp_build(struct seccomp_set *s, struct error *e);

/* Loads one program into the calling thread (no_new_privs must be set). 0 or -1 with errno. */
int seccomp_install(const struct sock_fprog *p);

/* Builds and loads the supervisor's own filter. */
int seccomp_confine_supervisor(struct error *e);

#endif
