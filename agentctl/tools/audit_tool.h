/* What the verbs of agentctl audit share; each is a function with argv[0] = "agentctl audit VERB". */
#ifndef AGENTCTL_TOOLS_AUDIT_TOOL_H
#define AGENTCTL_TOOLS_AUDIT_TOOL_H

#include <stddef.h>

#include "audit/note.h"
#include "common/error.h"

#define EXIT_USAGE     2
#define EXIT_UNDECIDED 3

int audit_verify(int argc, char **argv); /* audit_verify.c */
int audit_prove(int argc, char **argv); /* audit_prove.c */
int audit_consistency(int argc, char **argv);
int audit_status(int argc, char **argv);
int audit_cosign(int argc, char **argv); /* audit_cosign.c */

int audit_usage(void);
int audit_fail(const struct error *e, int code);

/* Untrusted text, so that a terminal only shows it. */
void audit_print(const char *s, size_t n);
void audit_print_str(const char *s);

/* Opens a log's directory. The fd, or -1. */
int audit_open(const char *dir, struct error *e);

/* A log's key: VKEY itself, or a file with it. NULL with *e filled. */
struct note_vkey *audit_key(const char *arg, struct error *e);

#endif
