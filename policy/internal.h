/* What the parts of policy/ share: a loaded policy, its layers, rules and tests. Not for callers of
 * the library. Everything lives in the policy's arena, but for the actions of tests. */
#ifndef POLICY_INTERNAL_H
#define POLICY_INTERNAL_H

#include <sodium.h>

#include "policy/arena.h"
#include "policy/kinds/kind.h"
#include "policy/pattern.h"
#include "policy/policy.h"

#define CONDITIONS_MAX 16u

struct condition {
	const char *pointer;
	size_t pointer_len;
	uint32_t pointer_hash;
	struct pattern value;
};

struct match {
	const char *text; /* as written */
	const struct kind *kind; /* NULL: a tool, `Edit {/file_path: ws:/src}`, and what follows */
	const void *parsed; /* the kind's own */
	struct pattern tool;
	size_t conditions;
	struct condition *condition;
};

struct rule {
	enum verdict effect;
	struct match match;
	size_t excepts;
	struct match *except;
	size_t pins; /* canonical paths of files that the rule holds for as they are */
	const char **pin;
	const char *why; /* NULL: none */
	uint32_t until; /* of an allow rule: its last day, YYYYMMDD; 0: for good */
	int tcp; /* `proto: tcp`, of an allow or ask rule of net */
	unsigned line;
};

/* The strictest that a rule decides where it matches. An allow rule with pinned files allows the words
 * in which they hold, and asks about the others; what it stands for is approximated as an allow rule's
 * in both. */
static inline enum verdict rule_verdict(const struct rule *r)
{
	return r->pins ? VERDICT_ASK : r->effect;
}

/* Whether a rule decides v somewhere. */
static inline int rule_decides(const struct rule *r, enum verdict v)
{
	return v == r->effect || v == rule_verdict(r);
}

/* A rule's kind and what that kind keeps of a match. */
static inline const struct kind *rule_kind(const struct rule *r)
{
	return r->match.kind ? r->match.kind : &kind_tool;
}

static inline const void *match_parsed(const struct match *m)
{
	return m->kind ? m->parsed : m;
}

struct test {
	enum verdict expect;
	const struct kind *kind; /* NULL: a tool */
	struct action *action; /* owned */
	const char *shell; /* `shell TEXT`: the text; then there is no action */
	size_t shell_len;
	unsigned atlas; /* bit i: `never allow` what atlas_at(i) names; 0: another test */
	const char *text;
	unsigned line, column;
};

struct mount {
	enum policy_mount_mode mode;
	const char *path; /* as written: ws:/x, home:/x, tmp:/x, /x */
	unsigned line;
};

struct env_pass {
	const char *name;
	size_t len; /* without the star */
	int star; /* any name that starts with it */
};

struct env_set {
	const char *name, *value;
	unsigned line, column;
	const char *file;
};

#define POLICY_STATED_KEY_MAX 1200u

struct stated { /* a key that is checked and kept, but that nothing enforces yet */
	const char
		*key; /* "session.lease", "secrets GH_TOKEN", "limits.actions mcp mail/delete_*" */
	const char *value; /* in one spelling */
	unsigned line;
	struct stated *next;
};

#define WHO_TEAM 4u /* somebody of a team, whom this version does not know */

struct extension { /* `{file: base.yaml, digest: sha256:…}` */
	const char *path; /* from the document's directory on */
	unsigned char sha256[32];
	unsigned line, column;
};

struct layer {
	enum policy_origin origin;
	const char *file, *title;
	unsigned char sha256[32];
	int active; /* `when` holds */
	const char *when; /* what it says, "" for nothing */
	int ceiling;
	enum verdict unmatched; /* VERDICT_NONE: not stated */
	unsigned unmatched_line;
	unsigned states_allow; /* bit action_kind: has that section's allow */
	size_t rules, tests, mounts, passes, sets;
	size_t of[VERDICT_DENY + 1]; /* rules of each effect */
	struct rule *rule; /* deny, ask, allow; then by line */
	struct test *test;
	struct mount *mount;
	int states_pass;
	struct env_pass *pass;
	struct env_set *set;
	enum policy_identity identity; /* 0: not stated */
	struct policy_limit limit[POLICY_LIMITS]; /* value 0: not stated */
	unsigned who; /* POLICY_WHO_* and WHO_TEAM; 0: not stated */
	unsigned best_effort; /* bit i: section_at(i) may go unenforced */
	size_t extensions; /* the files that it extends */
	struct extension *extension;
	const struct layer *extender; /* the layer that names this one's file; NULL: none */
	uint32_t timeout_s; /* 0: not stated */
	int states_remember;
	uint32_t remember_s;
	uint32_t on_lost_after_s; /* 0: not stated */
	int on_lost_kill;
	struct stated *stated; /* in the order of the document */
};

struct stack { /* the layers that decide together */
	size_t layers;
	const struct layer *layer[POLICY_LAYERS_MAX + 1];
	/* Bit action_kind: another layer states that section's allow, so the built-in allow rules
	 * give way. */
	unsigned builtin_idle;
	/* Today, YYYYMMDD. 0: no rule is past its `until`; STACK_NO_DATE: nobody knows, so all are. */
	uint32_t date;
};

#define STACK_NO_DATE UINT32_MAX

static inline int rule_is_expired(const struct stack *s, const struct rule *r)
{
	return r->until && r->until < s->date;
}

/* An allow rule that has no say: one of the built-in layer that gives way, or one past its `until`. */
static inline int rule_is_idle(const struct stack *s, const struct layer *l, const struct rule *r)
{
	return (l->origin == POLICY_BUILTIN && r->effect == VERDICT_ALLOW &&
		       (s->builtin_idle >> rule_kind(r)->id & 1)) ||
	       rule_is_expired(s, r);
}

struct compiled;

/* What a kind that is decided by automata is asked about: a word, or (kinds with run) the action
 * that has one in every shape. */
struct reading {
	const struct kind *kind;
	const struct word *word;
	const struct action *action;
};

struct policy {
	struct arena arena;
	size_t layers;
	struct layer **layer; /* sorted by origin, then name */
	struct stack stack; /* the active ones */
	struct compiled *compiled; /* [ACTION_KINDS]: the rules as automata */
	uint64_t *work; /* what loading may still cost, see struct alphabet; no limit afterwards */
	enum verdict unmatched; /* of the active layers */
	size_t sets;
	const struct env_set **set; /* of the active layers, sorted by name */
	char digest[65];
};

/* layer.c. Fills *l from a document; its tests are compiled, not run. Tests that were compiled
 * before a failure are in l and must be freed. 0, or -1 with *e. */
int layer_load(struct arena *a, const struct policy_doc *doc, const struct policy_facts *facts,
	struct layer *l, struct policy_error *e);

/* rule.c. text[0..n) is copied into the arena; kind NULL: a tool's rule. 0, or -1 with *f (an empty
 * text: out of memory). */
int match_parse(struct arena *a, const struct kind *kind, const char *text, size_t n,
	struct match *out, struct pattern_fault *f);
/* `allow tool Bash {/command: "git status"}`; the caller frees out->action. */
int test_parse(
	struct arena *a, const char *text, size_t n, struct test *out, struct pattern_fault *f);
int rule_matches(const struct rule *r, const struct action *a);
/* Takes a pair of quotes around all of a shell text off. */
struct span shell_unquoted(const char *s, size_t n);
/* The places that tests are about: a workspace inside a home, as people have it. */
extern const struct action_places test_places;

/* decide.c */
void stack_add(struct stack *s, const struct layer *l);
void stack_decide(const struct stack *s, const struct action *a, struct decision *out);
/* The same for an action of any kind; s holds layers of p. */
void stack_decide_action(const struct policy *p, const struct stack *s, const struct action *a,
	struct decision *out);

/* compose.c: the sections that can be marked `best-effort`; NULL at the end. */
const char *section_at(unsigned i);
/* compose.c: whether the layer marks the section, or that of a key ("dns.only_for"), `best-effort`. */
int layer_best_effort(const struct layer *l, const char *key);
/* shell/judge.c: policy_decide_shell with the layers of a stack, which are p's. */
struct shell_judgement;
int stack_decide_shell(const struct policy *p, const struct stack *s,
	const struct action_places *places, const char *text, size_t n,
	struct shell_judgement **out);

/* compose.c. 0, or -1 with *e when two layers set one variable to different values. */
int compose_sets(struct policy *p, struct policy_error *e);

/* What happens in a stack when no rule matches. */
void stack_unmatched(const struct stack *s, struct decision *out);

/* action.c. Appends the components of p[0..n) to out (which holds a canonical path of `at` bytes, ""
 * for the root) and returns its length. Sets *unknown when the way leads through a link whose target
 * depends on who looks. */
size_t append_components(char *out, size_t at, const char *p, size_t n, int *unknown);

/* action.c: an action of one word, which is copied. NULL: out of memory. */
struct action *action_of_word(enum action_kind kind, const struct word *w);

/* action.c: FNV-1a, to tell pointers apart quickly; never trusted alone. */
uint32_t action_pointer_hash(const char *p, size_t n);

/* action.c: 8 bytes, big-endian. */
void hash_number(crypto_hash_sha256_state *h, uint64_t n);

/* action.c: the canonical name and absolute form of a path as policy spells it (ws:/x, /x). 0, or
 * -1 when one does not fit or the places are unusable. */
int place_name(const struct action_places *places, const char *path, char *name, size_t name_cap,
	char *absolute, size_t absolute_cap);

#endif
