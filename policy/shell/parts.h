/* The parts of a judgement while it is made, and what owns them. Only for policy/shell/. */
#ifndef POLICY_SHELL_PARTS_H
#define POLICY_SHELL_PARTS_H

#include "policy/internal.h"
#include "policy/shell/judge.h"
#include "policy/shell/shell.h"

struct parts;

struct part {
	enum shell_part_kind kind;
	size_t at;
	int inner;
	const char *text;
	enum verdict verdict;
	struct action *action; /* what it was decided for; owned. NULL: see fixed */
	struct decision fixed;
	struct part *next;
};

/* NULL: out of memory. Everything that follows lives as long as the parts do; what runs out of memory
 * makes parts_finish fail. */
struct parts *parts_new(size_t max);
struct arena *parts_arena(struct parts *p);
void *parts_alloc(struct parts *p, size_t n); /* NULL: out of memory */
const char *parts_copy(struct parts *p, const char *s, size_t n); /* "" when out of memory */
struct part *parts_add(struct parts *p, enum shell_part_kind kind, size_t at,
	const char *text); /* NULL: as above */
void parts_free(struct parts *p);

/* What people read; parts.c has the form. */
const char *parts_command(struct parts *p, const struct shell_command *c);
const char *parts_file(struct parts *p, const struct shell_redirect *x);
const char *parts_opaque(
	struct parts *p, const char *why, struct span from); /* the text from there */
const char *parts_variable(struct parts *p, const struct shell_assignment *a);

/* The judgement, which owns the parts from here on. NULL: out of memory, nothing is changed. */
struct shell_judgement *parts_finish(
	struct parts *p, const struct policy *policy, const struct stack *s);

#endif
