/* The template: the mount namespace that the spawner lives in and every sandbox starts as a copy of.
 * Its root is a tmpfs with the system's directories bound read-only, a private /etc, a minimal /dev
 * and empty directories for what a launch mounts. */
#ifndef SUPERVISOR_TEMPLATE_H
#define SUPERVISOR_TEMPLATE_H

#include "common/error.h"

/* Moves the calling process into a new mount namespace with the template as its root; the host's tree
 * is gone from it afterwards. Needs CAP_SYS_ADMIN and CAP_MKNOD. scratch: an existing empty directory
 * on the host to build on (ROOT/run/agentd/template). agentctl, init: our programs, found at
 * /.agentd/agentctl and /.agentd/agentd-init afterwards. 0 or -1. */
int template_enter(const char *scratch, const char *agentctl, const char *init, struct error *e);

#define TEMPLATE_SYSTEM_MAX 8

/* The system directories in the template that are no links (merged /usr has two). Returns how many. */
int template_system(const char *out[TEMPLATE_SYSTEM_MAX]);

/* The empty directory and the empty file in the template that cover hidden paths. */
#define TEMPLATE_EMPTY      "/.agentd/empty"
#define TEMPLATE_EMPTY_FILE "/.agentd/empty-file"

#endif
