/* The kinds of action that policy decides, each in a file of its own behind one table. A kind says
 * how a rule of its section is read, which language a rule stands for, how an action of it is put
 * into words, and how a word is shown to a person.
 *
 * A word is the canonical form of an action: fields of bytes in a fixed order, each ended by NUL or
 * of a fixed length. Every kind's words are a regular language (canonical below), and every rule
 * stands for a regular part of it, which is what makes policies comparable.
 *
 * An action may have more words than one: the first says what it is, the others ("aliases") are
 * further names of the same thing. Only ask and deny rules look at aliases: an action is as strict
 * as the strictest of its words, and no alias ever allows anything. */
#ifndef POLICY_KINDS_KIND_H
#define POLICY_KINDS_KIND_H

#include "common/error.h"
#include "policy/action.h"
#include "policy/automata/regex.h"
#include "policy/pattern.h"

/* What a rule may mean is approximated from the strict side: ask and deny rules stand for UPPER,
 * allow rules for LOWER, exceptions the other way round. Where nothing is approximate both are the
 * same. */
enum side { LOWER, UPPER };

/* What all words of a policy's kind have in common beyond the kind: the JSON pointers that its rules
 * mention, sorted and unique (tool and mcp only). */
struct shape {
	size_t pointers;
	const char *const *pointer;
};

struct dfa;

struct kind {
	enum action_kind id;
	const char *name; /* in tests and on the command line: "file", "connect" */
	const char *section; /* of a document: "files", "net" */
	int gated; /* 1: this version enforces what it decides; the one place that says so */
	const char *mechanism; /* what enforces it, for people */
	const char *key; /* of a rule's text in the long form: "path" */
	const char *hint; /* how a rule is written, for errors */

	/* Reads a rule's text. *out lives in the arena. 0, or -1 with *f (text "": out of memory). */
	int (*parse)(struct arena *a, const char *text, size_t n, const void **out,
		struct pattern_fault *f);
	/* Calls add for every JSON pointer of a rule; NULL where there are none. */
	void (*pointers)(const void *rule, void (*add)(void *ctx, const char *pointer), void *ctx);
	/* The language of a rule. NULL: out of memory. */
	const struct re *(*language)(
		struct arena *a, const void *rule, enum side side, const struct shape *shape);
	/* The language of all words; with primary, of the first words of actions only. */
	const struct re *(*canonical)(struct arena *a, int primary, const struct shape *shape);

	/* The words of actions for which what pinned rules pin holds; NULL: nothing can be pinned. */
	const struct re *(*held)(struct arena *a);

	/* Reads an action as tests and `agentctl policy explain` write it, without the kind's name.
	 * *word lives in the arena. 0, or -1 with *f. */
	int (*read)(struct arena *a, const char *text, size_t n, const struct shape *shape,
		struct word *word, struct pattern_fault *f);
	/* An alias that follows from a first word alone; NULL where there is none such. 1 and *alias in
	 * the arena, 0: it has none, -1: out of memory. */
	int (*alias)(struct arena *a, const struct word *first, struct word *alias);
	/* Instead of read, for kinds whose words depend on the shape: reads the action itself, and
	 * walks an automaton through the word that it has in a shape. */
	int (*make)(const char *text, size_t n, struct action **out, struct pattern_fault *f);
	uint8_t (*run)(const struct dfa *d, const struct shape *shape, const struct action *a);
	/* The words that an example is first looked for in; NULL: all are as good. NULL: out of
	 * memory. */
	const struct re *(*natural)(struct arena *a);
	/* Shows a first word so that read gives it back. 0, or -1: the word is not canonical, or cap
	 * is too small. */
	int (*show)(const struct word *word, const struct shape *shape, char *out, size_t cap);
};

const struct kind *kind_of(enum action_kind id); /* NULL: none such */
const struct kind *kind_named(const char *name, size_t n);
const struct kind *kind_at(size_t i); /* NULL at the end of the table */

/* The agent's own tools: not in the table, since their rules are read and decided by policy/rule.c. */
extern const struct kind kind_tool;
extern const struct kind kind_exec, kind_file, kind_net, kind_http, kind_mcp;

/* ---- what several kinds use ---- */

/* Words of n fixed bytes, big-endian, with lo <= value <= hi. n is 1 to 4. */
const struct re *re_number(struct arena *a, size_t n, uint32_t lo, uint32_t hi);
const struct re *re_end(struct arena *a); /* the NUL behind a field */
const struct re *re_char_but(struct arena *a, const char *without); /* one UTF-8 character */
/* Canonical paths: a root, then components that are not empty, "." or "..". */
const struct re *re_path(struct arena *a);

/* A growing word in an arena-sized buffer. */
struct word_builder {
	unsigned char *p;
	size_t n, cap;
};
int word_begin(struct arena *a, struct word_builder *b, size_t cap);
void word_byte(struct word_builder *b, unsigned byte);
void word_field(struct word_builder *b, const char *s, size_t n); /* and its NUL */

#endif
