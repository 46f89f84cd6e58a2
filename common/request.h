/* What agentctl asks for when it says RUN: a list of tagged values in a sealed memfd. Written by
 * agentctl (as the user), carried unread by the supervisor, parsed once by the broker.
 * Layout: 8 bytes REQUEST_MAGIC, then entries {u16 tag, u16 zero, u32 len, len bytes}, no padding. */
#ifndef COMMON_REQUEST_H
#define COMMON_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/io.h"

#define REQUEST_MAGIC "AGDREQ1\n"
#define REQUEST_MAX   (2u << 20)

enum request_tag {
	REQ_NAME =
		1, /* sandbox name; absent: the broker makes one from the agent kind or workspace */
	REQ_AGENT, /* agent kind: claude-code, codex, …; absent: "command" */
	REQ_WORKSPACE, /* absolute canonical path */
	REQ_CWD, /* absolute canonical path; outside the workspace: the workspace is used */
	REQ_ARG, /* repeated, in order: argv */
	REQ_ENV, /* repeated: NAME=VALUE, the whole environment; policy picks from it */
	REQ_DOC, /* repeated: u8 origin (enum doc_origin), path, NUL, the YAML text */
	REQ_TOOLCHAIN, /* repeated: absolute path to bind read-only (PATH entries in the real home, …) */
	REQ_PROTECT, /* repeated: path below the workspace to keep read-only (git includes, hooksPath) */
	REQ_USER, /* login name for inside */
	REQ_HOME, /* home directory for inside (absolute) */
	REQ_TERMINAL, /* u16 rows, u16 cols: give it a pty */
	REQ_DETACHED, /* empty: nobody will be connected after the start */
	REQ_FACT, /* repeated: key=value facts for `when` (host, ci, branch) */
	REQ_TAG_END
};

enum doc_origin {
	DOC_USER = 1,
	DOC_REPO,
	DOC_CLI,
	DOC_EXTENDED = 5 /* a file that another document extends (policy/extend.h) */
}; /* admin and built-in layers: the broker's own */

struct request_writer {
	char *buf;
	size_t len, cap;
	int failed; /* out of memory or too large: request_seal reports it */
};

void request_begin(struct request_writer *w);
void request_put(struct request_writer *w, enum request_tag tag, const void *p, size_t n);
void request_put_str(struct request_writer *w, enum request_tag tag, const char *s);
/* Makes the sealed memfd and frees the writer. The fd, or -1 with *e filled. */
int request_seal(struct request_writer *w, struct error *e);

/* Walks a request: *pos starts at 0. 1 and *tag, *value; 0 at the end; -1 malformed. */
int request_next(const void *req, size_t n, size_t *pos, enum request_tag *tag, struct span *value);

#endif
