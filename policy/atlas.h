/* The danger atlas: names for what an agent should hardly ever be allowed to do, each a set of
 * actions, described in rules of the policy language itself. What a policy is proved against
 * (`never allow atlas NAME`), and what a comparison points out. */
#ifndef POLICY_ATLAS_H
#define POLICY_ATLAS_H

#include "policy/automata/dfa.h"
#include "policy/internal.h"

struct atlas_rule {
	const struct kind *kind; /* kind_tool: a rule of tools */
	const char *text, *except; /* NULL: no exception */
};

struct atlas {
	const char *name, *meaning;
	size_t rules;
	const struct atlas_rule *rule;
};

#define ATLAS_MAX 32u /* names that there can be: sets of them are bits of an unsigned */

const struct atlas *atlas_at(size_t i); /* NULL at the end of the table */
/* Its index, or -1 with *near: the name that was meant, or NULL. */
int atlas_find(const char *name, size_t n, const char **near);

/* The rules of one kind, read. */
struct atlas_part {
	size_t matches;
	struct match *match, *except; /* text NULL: no exception */
};

/* out lives in the arena. 0, or -1: out of memory (a rule that cannot be read is a defect of the
 * table: *f says which). */
int atlas_read(struct arena *a, const struct atlas *of, const struct kind *k,
	struct atlas_part *out, struct pattern_fault *f);
void atlas_pointers(const struct atlas_part *of, const struct kind *k,
	void (*add)(void *ctx, const char *pointer), void *ctx);
/* Its words: UPPER is what a promise is proved with, LOWER only what is surely meant. */
enum dfa_status atlas_words(struct arena *a, const struct alphabet *alphabet,
	const struct atlas_part *of, const struct kind *k, enum side side,
	const struct shape *shape, struct dfa **out);
/* Makes an alphabet distinguish it. 0, or -1: out of memory. */
int atlas_distinguish(struct arena *a, struct alphabet *alphabet, const struct atlas_part *of,
	const struct kind *k, const struct shape *shape);

#endif
