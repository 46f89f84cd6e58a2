/* Where agentctl's verbs read the log: its directory when they may, else the recorder over control.sock,
 * which shows a user what is about him. Nothing is verified here. */
#ifndef AGENTCTL_TOOLS_AUDIT_SOURCE_H
#define AGENTCTL_TOOLS_AUDIT_SOURCE_H

#include <stdint.h>
#include <stdio.h>

#include "audit/reader.h"

struct source {
	int dir; /* the log's directory, or -1 */
	struct reader *reader;
	FILE *sock; /* or the recorder */
	char *line; /* getline's */
	size_t line_cap;
	uint64_t left; /* entries before the source is at what is newest; a socket says when */
};

/* s->dir is -1 before. dir: a log's directory, and nothing but that; NULL: agentd's own log. From entry
 * `from` on `last` entries, or from UINT64_MAX: the last `last`. 0, or -1 with *e; source_close also
 * then. */
int source_open(struct source *s, const char *dir, uint64_t from, uint64_t last, int follow,
	struct error *e);
void source_close(struct source *s);

/* The next entry, valid until the next call; follow: waits for one. 1, 0 at the end, -1 with *e. */
int source_next(struct source *s, int follow, struct span *entry, struct error *e);

#endif
