/* The request of `agentctl run`, parsed once into a typed struct. Whatever is malformed, unknown, twice
 * there or too much is an error: the caller refuses the launch. Also reads what a session file keeps
 * of a request (session.h). */
#ifndef BROKER_RUNREQ_H
#define BROKER_RUNREQ_H

#include <stdint.h>

#include "common/error.h"
#include "common/paths.h"
#include "common/request.h"
#include "policy/policy.h"

#define RUNREQ_ENVS_MAX  8192u
#define RUNREQ_LIST_MAX  64u /* toolchains, protected paths, documents: each */
#define RUNREQ_FACTS_MAX 8u

/* Origins beside enum doc_origin that only the broker itself writes (session files). */
#define DOC_ADMIN 0x11

struct runreq_list { /* NUL-terminated strings in runreq.bytes */
	struct span *v; /* owned array */
	size_t n;
};

struct runreq_doc {
	enum policy_origin origin;
	const char *path;
	struct span text;
};

struct runreq {
	char *bytes; /* owned: all strings point into it */
	const char *name, *agent; /* valid names, or NULL */
	const char *workspace, *cwd; /* absolute canonical paths; cwd may be NULL */
	const char *user, *home; /* or NULL */
	struct runreq_list args, envs, toolchains, protects;
	struct runreq_doc docs[RUNREQ_LIST_MAX];
	size_t ndocs;
	const char *branch; /* facts, or NULL */
	int ci; /* 1, 0, -1: unknown */
	int terminal, detached;
	uint16_t rows, cols;
};

/* Parses n bytes (copied). own: 1 for a session file, which may hold admin documents. 0, or -1 with *e
 * filled; runreq_free in both cases. */
int runreq_parse(struct runreq *r, const void *req, size_t n, int own, struct error *e);
void runreq_free(struct runreq *r);

#endif
