/* The table of the language's keys: the single source for what a document may say, for "did you
 * mean" and for docs/policy.md (a unit test compares). */
#ifndef POLICY_KEYS_H
#define POLICY_KEYS_H

#include "policy/internal.h"
#include "policy/language.h"
#include "policy/yaml.h"

struct secret_parts { /* of the secret that is being read; NULL: not there (yet) */
	const struct yaml_value *name, *from, *url, *header;
};

struct loader { /* one document on its way into a layer */
	struct arena *arena; /* the policy's */
	const struct policy_doc *doc;
	const struct policy_facts *facts;
	struct layer *layer;
	struct policy_error *e;
	struct policy_limit *limit; /* the one whose mapping is being read */
	const struct policy_key *limit_row; /* and its key's row */
	struct rule *rule; /* the same for a rule */
	const char *key; /* the path of the key whose value is being taken */
	const struct policy_key *row; /* its row of the table */
	struct secret_parts secret;
	const struct kind *kind; /* of the rules being read; NULL: tools */
};

/* Reads a mapping whose keys are prefix + "." + key (prefix "" at the top). 0, or -1 with *e. */
int keys_take(struct loader *l, const char *prefix, const struct yaml_value *mapping);

/* "what (text of v). Cure." at v; what and cure come from fmt, which holds no period at its end. */
__attribute__((format(printf, 3, 4))) int reject_value(
	struct loader *l, const struct yaml_value *v, const char *fmt, ...);

/* The same for a part of a scalar. */
int reject_fault(struct loader *l, const struct yaml_value *v, const struct pattern_fault *f);

#endif
