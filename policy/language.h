/* The table of the language's keys, as everybody may read it: for the JSON Schema, the reference and
 * tests. The loader checks values by the same rows (keys.c, take.h). */
#ifndef POLICY_LANGUAGE_H
#define POLICY_LANGUAGE_H

#include <stddef.h>
#include <stdint.h>

struct loader;
struct yaml_value;

/* What may stand behind a key: any of these, and FORM's mapping. */
enum policy_key_is {
	KEY_TEXT = 1u << 0, /* one value, read as the text that it is */
	KEY_WORD = 1u << 1, /* one of the words in `type` */
	KEY_BOOL = 1u << 2,
	KEY_NUMBER = 1u << 3, /* decimal, unquoted */
	KEY_SIZE = 1u << 4, /* 512MiB */
	KEY_DURATION = 1u << 5, /* 90s */
	KEY_SECTION = 1u << 6, /* a mapping of the keys PATH.… */
	KEY_MAP = 1u << 7, /* a mapping of names that the writer chooses to texts */
	KEY_LATER = 1u << 8, /* nothing: part of the language that this version refuses */
};

struct policy_value {
	unsigned is; /* KEY_* */
	int list; /* 1: a list of these */
	int must; /* 1: its mapping does not load without it */
	int some; /* 1: its mapping has at least one key */
	int no_gate; /* 1: checked and kept, but nothing enforces it yet */
	/* Of a NUMBER; SIZE in bytes; DURATION in seconds; TEXT in bytes; of a list or MAP its entries.
	 * most 0: whatever a document can hold. */
	uint64_t least, most;
	/* What a TEXT looks like, whole, and the names of a MAP: ECMA-262 that is also POSIX extended.
	 * NULL: anything. The loader may know more. */
	const char *look, *names;
	const char
		*form; /* a mapping of the keys FORM.… may stand there: "rule", "limit"; or NULL */
};

struct policy_key {
	/* "limits.memory"; "rule.why" and "limit.max" below forms */
	const char *path;
	/* What to write, for people. WORD: the words, separated by " | ", behind "list of " when
	 * it is a list of them; "number", "size" and "duration" among them are no words. */
	const char *type;
	int (*take)(struct loader *l, const struct yaml_value *v); /* NULL: a section */
	struct policy_value value;
};

/* Row i of the table, or NULL at its end. */
const struct policy_key *policy_key(size_t i);

#define POLICY_KEY_WORDS 8u

/* The words of a KEY_WORD row: copies in buf, pointers in words. Their number. */
size_t policy_key_words(
	const struct policy_key *k, char buf[160], const char *words[POLICY_KEY_WORDS]);

/* 1 when the path is below a form, "rule.why": of some row's FORM. */
int policy_key_in_form(const char *path);

#endif
