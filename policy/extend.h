/* Files that a document extends (`extends: [{file: base.yaml, digest: sha256:…}]`). The library opens
 * nothing: whoever brings a document to policy_load brings the files that it names as further
 * documents of origin POLICY_EXTENDED, which policy_extend collects with the caller's own reader: as
 * the user who starts the session, out of the git revision that is looked at, and so on. It is
 * policy_load that finds them by name, checks their digests and refuses what does not fit, so a
 * caller that brings too little or something else only gets an error. */
#ifndef POLICY_EXTEND_H
#define POLICY_EXTEND_H

#include "policy/policy.h"

#define EXTENSIONS_MAX      16u /* of one document */
#define EXTENSION_DEPTH_MAX 4u /* a file that extends a file that extends … */
#define EXTENSION_PATH_MAX  512u

/* What is wrong with a path of `extends` and the cure, or NULL. Good are relative paths to .yaml files
 * without `.`, `..` and `//`: what a document names lies below its own directory. */
const char *extension_path_fault(const char *path, size_t n);

/* The name that the document of that path has: path from the directory of the document `from` on.
 * 0, or -1: cap is too small. */
int extension_name(const char *from, const char *path, char *out, size_t cap);

/* Reads the file `path` below the directory of the document `from`, without following links (a
 * repository's must not lead to a file elsewhere). malloc(3)ed text, or NULL when it cannot be read:
 * then policy_load says so where the file is named. */
typedef char *policy_read_extension(
	void *ctx, const struct policy_doc *from, const char *path, size_t *len);

/* Documents that are being collected. */
struct policy_docs_list {
	struct policy_doc *doc;
	size_t n, cap;
	char **owned; /* names and texts of what is added, to be freed by the caller; room for two
			 each */
	size_t owned_n;
};

/* Adds what doc[0..n) extend, and what that extends, each file once. A document that does not load
 * adds nothing: policy_load says what is wrong. 0, or -1 with *e: too many, or out of memory. */
int policy_extend(
	struct policy_docs_list *l, policy_read_extension *read, void *ctx, struct error *e);

#endif
