/* Which of a few fields a text is: one automaton for each set of expressions that may stand at one
 * point of a word. Rules of one policy share most of these, so they are kept from one rule to the
 * next. For fields.c alone. */
#ifndef POLICY_AUTOMATA_CHOICE_H
#define POLICY_AUTOMATA_CHOICE_H

#include "policy/automata/dfa.h"

#define CHOICE_LABELS_MAX  64u /* of one choice */
#define CHOICE_MATCHES_MAX 256u /* ways in which they can match together, with "none" */

struct choice {
	unsigned labels;
	uint32_t label[CHOICE_LABELS_MAX]; /* ascending */
	struct dfa *words; /* its marks: indices of match */
	unsigned matches;
	uint64_t *match; /* [mark]: bit i: matches label[i]; match[0] is 0 */
};

struct choices;

struct choices *choices_new(void); /* NULL: out of memory */
void choices_free(struct choices *c);
/* Makes c ready for the next expression: what it keeps of an alphabet that has grown since, or of too
 * much, is dropped, and labels and choices from before are no more. */
void choices_begin(struct choices *c, const struct alphabet *a);

/* The number of an expression, which must live as long as c. -1: out of memory. */
int choices_label(struct choices *c, const struct re *r, uint32_t *out);

/* The choice between n > 0 labels, ascending; it is c's. DFA_TOO_LARGE with *unfit: there are too many
 * ways to match. */
enum dfa_status choices_of(struct choices *c, const struct alphabet *a, const uint32_t *label,
	unsigned n, const struct choice **out, int *unfit);

#endif
