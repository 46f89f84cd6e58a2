/* What the supervisor and its children keep of root: the capabilities they need, one by one, and the
 * supervisor an allow-list of system calls. Called once by each, when it has started. */
#ifndef SUPERVISOR_PRIVILEGE_H
#define SUPERVISOR_PRIVILEGE_H

#include <stddef.h>
#include <sys/capability.h>

#include "common/error.h"

/* Drops every capability but these n, and all from the bounding set: no program that this process
 * executes later has any. 0 or -1. */
int privilege_keep(const cap_value_t *keep, size_t n, struct error *e);

/* Closes every descriptor above 2 but these n (at most 16). 0 or -1. */
int privilege_keep_fds(const int *keep, size_t n);

/* Keeps what the tables in privilege.c say. 0 or -1. */
int privilege_confine(struct error *e);
int privilege_confine_spawner(struct error *e);

#endif
