/* The policy documents that a session started here would have, for agentctl's policy verbs. The
 * broker collects its own when a session starts; this is for people to look at. */
#ifndef AGENTCTL_TOOLS_POLICY_DOCS_H
#define AGENTCTL_TOOLS_POLICY_DOCS_H

#include "common/error.h"
#include "policy/extend.h"
#include "policy/policy.h"

#define POLICY_EXIT_INVALID 4 /* a document does not load */
#define POLICY_EXIT_TESTS   5 /* its own tests fail */

struct policy_docs {
	struct policy_doc doc[POLICY_LAYERS_MAX];
	size_t n;
	char *owned[2 * POLICY_LAYERS_MAX]; /* names and texts; freed by policy_docs_free */
	size_t owned_n;
};

/* Adds a file (`-`: standard input). optional: a file that is not there is left out. 0, or -1. */
int policy_docs_add(struct policy_docs *d, const char *path, enum policy_origin origin,
	int optional, struct error *e);

/* The policy file of the workspace that a run started here would have; lives until the next call. */
const char *policy_docs_repo(void);

/* Adds the administrator's and the user's. 0, or -1. */
int policy_docs_add_host(struct policy_docs *d, struct error *e);

/* Adds the administrator's, the user's and the repository's that a run started here would have.
 * 0, or -1. */
int policy_docs_add_standard(struct policy_docs *d, struct error *e);

/* Adds the files that the documents extend, read below their directories; to be called once, last.
 * 0, or -1. */
int policy_docs_extend(struct policy_docs *d, struct error *e);
/* The same with a reader of the caller's. */
int policy_docs_extend_with(
	struct policy_docs *d, policy_read_extension *read, void *ctx, struct error *e);

void policy_docs_free(struct policy_docs *d);

/* Facts of a session that this user would start here. agent NULL: "command". The strings live until
 * the next call. */
struct policy_facts policy_docs_facts(const char *agent);

/* Loads with what the documents extend; prints the error as `FILE:LINE:COLUMN: …` on stderr and sets *code when it does not. */
struct policy *policy_docs_load(struct policy_docs *d, const char *agent, int *code);
/* Prints why a policy does not load, as policy_docs_load does; the exit code. */
int policy_docs_refused(const struct policy_error *e);

/* Prints text on stdout so that a terminal only shows it. */
void policy_print(const char *text);

/* `policy show`: the layers, or with effective what they come to. */
void policy_show(const struct policy *p, const char *agent, int effective);

#endif
