/* Ideas: rules that would cover what was seen, from the least general on, for each group of actions that
 * belong together. An idea is only a text here; judge.c says which of them may be proposed. */
#ifndef POLICY_SUGGEST_IDEAS_H
#define POLICY_SUGGEST_IDEAS_H

#include "policy/internal.h"
#include "policy/suggest/observe.h"

#define IDEA_TEXT_MAX 1000u
#define IDEA_SET_MAX  16u /* literals side by side; of more, the most frequent */
#define IDEA_DIR_SEEN 8u /* different names before a pattern stands for a directory's others */
#define IDEA_HOSTS    5u /* the same for a domain's hosts */
#define IDEA_MANY     3u /* … seen in so many sessions */

struct item { /* a different action that people approved and no rule speaks about */
	const struct action *action;
	const struct kind *kind;
	const char *text;
	uint32_t index; /* of the log's action */
	unsigned count, sessions, prompts;
	uint64_t last;
};

struct idea {
	const struct kind *kind;
	char *text, *except[SUGGEST_EXCEPTS_MAX];
	size_t excepts;
	const struct item **member; /* what it was made from; sorted by address */
	size_t members;
	unsigned group;
	/* judge.c */
	int fits;
	double also, cost;
};

struct ideas {
	const struct suggest_log *log;
	const struct suggest_options *options;
	uint32_t without; /* a session that is left out; UINT32_MAX: none */
	struct idea *v;
	size_t n, cap;
	unsigned groups;
	int no_memory;
};

/* Some items that belong together: of one kind, with one key. */
struct group {
	const struct item **item;
	size_t items;
	unsigned sessions, count, prompts; /* together */
};

/* Adds an idea for all of the group's items. The texts are taken over. Too long, not plain, or with a
 * secret: it is left out. */
void idea_add(
	struct ideas *o, const struct group *g, char *text, char *const *except, size_t excepts);

/* One way to group and to generalise. key writes what members of a group have in common, 0; or -1: the
 * item does not take part. */
struct grouping {
	const struct kind *kind;
	int (*key)(const struct ideas *o, const struct item *i, FILE *f);
	/* often: those of the group that were each seen often enough to stand for themselves, at most
	 * IDEA_SET_MAX; may be empty. */
	void (*make)(struct ideas *o, const struct group *all, const struct group *often);
};

extern const struct grouping grouping_exec, grouping_file, grouping_host, grouping_http;
extern const struct grouping grouping_tool, grouping_tool_shape, grouping_mcp;

/* All ideas about items. Of each kind the groups with most prompts. */
void ideas_make(struct ideas *o, const struct item *item, size_t items);
void ideas_free(struct ideas *o);

/* ---- what several groupings use ---- */

/* `{a,b}` of different literals, or the only one. names are sorted here. */
struct name {
	const char *p;
	size_t n;
};
#define NAMES_MAX 64u
struct names {
	size_t n, different; /* more than NAMES_MAX are counted only */
	struct name v[NAMES_MAX];
};
void names_add(struct names *s, const char *p, size_t n);
void names_put(FILE *f, struct names *s);
/* Writes a pattern for the names of a directory, `[!.]*.c` or `[!.]*.{c,h}`. 0, or -1: they have no
 * form in common that leaves out anything. */
int names_endings(FILE *f, const struct names *s);

/* The last slash of a path. */
size_t path_parent(const char *s, size_t n);
/* Writes a path with its volatile components as patterns. 1 when there was one. */
int path_put(FILE *f, const char *s, size_t n);

/* Streams that end as a string; NULL: out of memory. */
struct writer {
	FILE *f;
	char *p;
	size_t n;
};
int writer_open(struct writer *w);
char *writer_close(struct writer *w);

#endif
