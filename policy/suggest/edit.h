/* Rules into a policy's document: lines are added, nothing else changes. What comes out is the new text
 * and the same as a unified diff, which `patch` and `git apply` take. */
#ifndef POLICY_SUGGEST_EDIT_H
#define POLICY_SUGGEST_EDIT_H

#include "policy/suggest/suggest.h"

struct edit_rule {
	const char *section, *key; /* "exec", "cmd" */
	const char *text, *const *except;
	size_t excepts;
	const char *comment; /* without #; one line, printable ASCII */
};

struct edit_result {
	char *text; /* the new document; NUL-terminated */
	size_t len;
	char *diff; /* from a/PATH to b/PATH */
};

#define EDIT_RULES_MAX 32u

/* Adds allow rules to the document text[0..n), which loads; NULL: there is none yet. path: how the diff
 * names it, without a/ and b/. 0 and *out (edit_free), or -1 with *e: what the document is like so that
 * it must be edited by hand. The caller loads the new text before he believes it. */
int edit_add(const char *path, const char *text, size_t n, const struct edit_rule *rule,
	size_t rules, struct edit_result *out, struct error *e);
void edit_free(struct edit_result *r);

#endif
