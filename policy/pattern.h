/* Patterns over names, paths and text (specs: docs/policy.md, "Patterns"). Compiled when a document
 * is loaded, matched by policy_decide. Matching takes time linear in the text: all ways through the
 * pattern are followed at once, nothing is tried again. The automata of a later version replace
 * what is behind this header. */
#ifndef POLICY_PATTERN_H
#define POLICY_PATTERN_H

#include <stddef.h>
#include <stdint.h>

#include "policy/action.h"
#include "policy/arena.h"
#include "policy/automata/regex.h"

#define PATTERN_MAX          1024u /* bytes, as written */
#define PATTERN_ALTERNATIVES 64u
#define PATTERN_NESTING      3u
#define PATTERN_CROSSINGS    4u /* ** */
#define PATTERN_ANYCHARS     8u /* ? */

enum pattern_kind {
	PATTERN_NAME, /* a tool's name or a fact: one field, `*` matches anything */
	PATTERN_VALUE, /* a path when it starts with ws:/ home:/ tmp:/ or /, otherwise text */
	PATTERN_PATH, /* always a path */
	PATTERN_HOST, /* labels, separated by dots; lower case */
	PATTERN_URLPATH, /* starts with a slash; separated by slashes */
};

struct glob; /* one alternative without braces */

/* What a text must have to be matched: the beginning, and pairs of bytes. */
struct pattern_needs {
	uint64_t head, head_mask;
	uint64_t pairs[4];
};

struct pattern {
	int is_path, is_host;
	struct pattern_needs needs; /* what all alternatives need */
	size_t whole; /* one literal of this many bytes, at most 8; 0: anything else */
	size_t count;
	const struct glob *glob;
};

/* 1 when no text with this index can be matched. */
static inline int pattern_lacks(const struct pattern_needs *n, const struct action_index *has)
{
	if ((has->head ^ n->head) & n->head_mask)
		return 1;
	return ((n->pairs[0] & ~has->pairs[0]) | (n->pairs[1] & ~has->pairs[1]) |
		       (n->pairs[2] & ~has->pairs[2]) | (n->pairs[3] & ~has->pairs[3])) != 0;
}

struct pattern_fault {
	size_t at; /* byte offset of the offending part */
	size_t len; /* its length */
	char text[320]; /* what and the cure: "…. …"; empty: out of memory */
};

/* Fills *f. Both always return -1. */
__attribute__((format(printf, 4, 5))) int pattern_bad(
	struct pattern_fault *f, size_t at, size_t len, const char *fmt, ...);
int pattern_no_memory(struct pattern_fault *f);

/* Compiles text[0..n), valid UTF-8, into *out; what it points to lives in the arena. 0, or -1 with
 * *f. */
int pattern_compile(struct arena *a, enum pattern_kind kind, const char *text, size_t n,
	struct pattern *out, struct pattern_fault *f);

/* The language of a pattern: the words pattern_try matches with literal 0. NULL: out of memory. The
 * bytes of a field are never NUL. */
const struct re *pattern_re(struct arena *a, const struct pattern *p);

/* One by one: the alternatives that braces stand for. */
size_t pattern_alternatives(const struct pattern *p);
const struct re *pattern_re_of(struct arena *a, const struct pattern *p, size_t i);
size_t pattern_literal(const struct pattern *p, size_t i); /* bytes it spells out at its start */
int pattern_is_tree(const struct pattern *p, size_t i); /* such a beginning, then two stars */

/* The index of a text, for pattern_match. */
struct action_index text_index(const char *s, size_t n);

/* 1 when the whole of s[0..n), valid UTF-8, is matched by an alternative. No allocation. index: of
 * s. literal: for a path's spelling through an outer root; only alternatives count that spell out
 * that many bytes at their start. With wide, every alternative counts but the plain tree (a root
 * and two stars), which does not reach into a root that lies inside of it. */
int pattern_try(const struct pattern *p, const char *s, size_t n, const struct action_index *index,
	size_t literal, int wide);

static inline int pattern_match(const struct pattern *p, const char *s, size_t n,
	const struct action_index *index, size_t literal, int wide)
{
	if (pattern_lacks(&p->needs, index))
		return 0;
	return p->whole ? n == p->whole : pattern_try(p, s, n, index, literal, wide);
}

/* 1 when the text is a path that is canonical: starts with ws:/ home:/ tmp:/ or /, no empty, "." or
 * ".." component, no slash at the end. Otherwise 0 and *f. No pattern characters have a meaning. */
int path_is_canonical(const char *text, size_t n, struct pattern_fault *f);

/* Length of a root that text starts with ("ws:/" 4, "home:/" 6, "tmp:/" 5, "/" 1), 0 for none. */
size_t path_root(const char *text, size_t n);

#endif
