/* Rules and words of program starts; see exec.c. */
#ifndef POLICY_KINDS_EXEC_H
#define POLICY_KINDS_EXEC_H

#include "common/io.h"
#include "policy/kinds/kind.h"

#define EXEC_WORDS_MAX 64u /* of one rule */
#define EXEC_RESTS_MAX 8u /* `...` of one rule */

/* Whether the files that allow rules pin are as a human last saw them (the first byte of a word). */
#define EXEC_HELD    'H' /* a letter that examples avoid where the other does as well */
#define EXEC_CHANGED 'c'

/* How the program was named (the second byte). */
#define EXEC_TRUSTED  't'
#define EXEC_WRITABLE 'w'
#define EXEC_RENAMED  'n'
#define EXEC_ALIAS    'a'

/* What an argument is (the first byte of its field). */
#define EXEC_FLAG    'f'
#define EXEC_INSIDE  'p'
#define EXEC_OUTSIDE 'o'
#define EXEC_URL     'u'
#define EXEC_UNKNOWN 'x'
#define EXEC_WORD    'w'

enum exec_part { PART_REST, PART_WORD, PART_EMPTY, PART_FLAG, PART_INSIDE, PART_OUTSIDE, PART_URL };

struct exec_element {
	enum exec_part part;
	struct pattern word;
	size_t flags;
	struct span *flag;
};

struct exec_rule {
	int is_path;
	struct pattern program; /* a path; or a name, with a slash before it */
	struct pattern
		name; /* a name, to be told from arguments; of a path: its last component, with
				a slash before it */
	int any_name; /* a path whose last component cannot be told */
	size_t elements;
	struct exec_element *element;
};

/* execrule.c: reads a rule. */
int exec_parse(
	struct arena *a, const char *text, size_t n, const void **out, struct pattern_fault *f);

/* One word of a command as people write it: quotes taken off. */
struct exec_token {
	char *text; /* in the arena; NUL-terminated */
	size_t n;
	size_t *at; /* where each byte was written */
	size_t start, end; /* where the whole was written */
	int quoted; /* a part of it was */
	int quoted_first; /* its first character was */
};

/* The next word of s[*i..n). 1, 0 at the end, -1 with *f. */
int exec_token(struct arena *a, const char *s, size_t n, size_t *i, struct exec_token *out,
	struct pattern_fault *f);

/* A canonical argument's class when nothing is known of files: 'f', 'u', 'w' for an empty one, and 0
 * where the path decides. */
char exec_text_class(const char *s, size_t n);

#endif
