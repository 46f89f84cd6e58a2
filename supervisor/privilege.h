/* What the supervisor keeps of root: the capabilities it needs, one by one, and an allow-list of
 * system calls. */
#ifndef SUPERVISOR_PRIVILEGE_H
#define SUPERVISOR_PRIVILEGE_H

#include "common/error.h"

/* Drops every capability that is not in the table of privilege.c, from all sets, for this process and
 * all that it starts later. 0 or -1. */
int privilege_confine(struct error *e);

#endif
