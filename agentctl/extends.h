/* The files that policy documents extend, for `agentctl run`: read as the user who starts the session.
 * This static program reads no YAML, so agentctl-tools lists them. */
#ifndef AGENTCTL_EXTENDS_H
#define AGENTCTL_EXTENDS_H

#include <stddef.h>

#include "common/error.h"

#define EXTENDS_DOCS_MAX 32u

struct extends {
	const char *doc[EXTENDS_DOCS_MAX]; /* documents that may extend files; owned */
	size_t docs;
	char *list; /* the files' absolute names, each ended by NUL; owned */
	size_t list_len;
};

/* Notes a document, when its text looks as if it extended a file. 0, or -1 with *e. */
int extends_note(struct extends *x, const char *path, const char *text, size_t n, struct error *e);
/* Fills x->list. 0, or -1 with *e. */
int extends_find(struct extends *x, struct error *e);
void extends_free(struct extends *x);

#endif
