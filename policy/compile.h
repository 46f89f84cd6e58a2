/* From the rules of a stack to one automaton for each kind of action: the whole of what a policy
 * decides, as one table. Two stacks that are to be compared are compiled by one plan, so that their
 * automata share an alphabet. */
#ifndef POLICY_COMPILE_H
#define POLICY_COMPILE_H

#include "policy/automata/dfa.h"
#include "policy/automata/table.h"
#include "policy/internal.h"

/* What the automata of one kind have in common. Everything it needs to grow is added first, then
 * stacks are compiled. */
struct plan {
	const struct kind *kind;
	struct arena arena; /* expressions */
	struct alphabet *alphabet; /* the caller's; must outlive what is compiled */
	struct shape shape;
	const char **pointer;
	size_t cap;
	const struct re *canonical, *primary;
	int no_memory;
};

/* work: see struct alphabet. */
void plan_init(struct plan *p, const struct kind *k, struct alphabet *alphabet, uint64_t *work);
void plan_free(struct plan *p);
/* First round: which pointers the rules of a policy's layers mention. */
void plan_mention(struct plan *p, const struct policy *of);
void plan_pointer(void *plan, const char *pointer); /* one more; it must outlive the plan */
/* Then, once: the canonical words. */
void plan_shape(struct plan *p);
/* Second round: what rules tell apart. */
void plan_distinguish(struct plan *p, const struct policy *of);
/* And what examples are looked for in first, where there are to be any. */
void plan_distinguish_natural(struct plan *p);

/* The language of a rule without its exceptions, and of its i-th exception. NULL: out of memory. */
const struct re *plan_rule(struct plan *p, const struct rule *r);
const struct re *plan_except(struct plan *p, const struct rule *r, size_t i);

/* A rule and the words it stands for, its exceptions taken out; the marks are its verdicts. */
struct compiled_rule {
	const struct layer *layer;
	const struct rule *rule;
	struct dfa *words;
};

struct compiled {
	struct shape shape; /* of its words; owned when it comes from compile_policy */
	size_t rules;
	struct compiled_rule *rule; /* of all layers, also inactive ones; by layer */
	struct dfa
		*decision; /* mark: the verdict of the active layers for a word, VERDICT_NONE where
				 no rule matches. NULL: not compiled */
	struct table
		*table; /* the same, laid out for running; NULL: kinds with run, and what is only
				compared */
	struct alphabet *alphabet; /* of all of these */
};

/* Why a stack cannot be compiled. */
struct compile_fault {
	enum dfa_status status;
	const struct compiled_rule *left, *right; /* DFA_TOO_LARGE: rules that explode together,
						     or the same one twice */
};

/* *out is to be freed also after a failure. */
enum dfa_status compile(
	struct plan *p, const struct policy *of, struct compiled *out, struct compile_fault *fault);
void compiled_free(struct compiled *c);

/* All kinds of a freshly loaded policy, into p->compiled. 0, or -1 with *e. */
int compile_policy(struct policy *p, struct policy_error *e);

/* The mark that an automaton of c gives to what is asked about. */
uint8_t compiled_run(const struct compiled *c, const struct dfa *d, const struct reading *r);

/* The strictest rule of one layer of a stack and what it decides; NULL when none matches. */
const struct rule *compiled_match(const struct compiled *c, const struct stack *s,
	const struct layer *l, const struct reading *r, enum verdict *v);

#endif
