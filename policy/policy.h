/* The policy language: documents in, decisions out. Used by the broker, by agentctl's policy verbs
 * and by tests; the same code in all of them. No file, network or clock is touched: the caller
 * brings the bytes and a name to print in errors. Reference for the language: docs/policy.md.
 *
 * Layers compose by "strictest wins": deny > ask > allow, smallest limit, shortest timeout. The
 * order of rules, documents and keys never matters. The built-in layer coding-base is always in the
 * stack (policy_load adds it): its ask and deny rules always hold, everything else in it fills only
 * the keys that no other layer states.
 *
 * A loaded policy is immutable; any number of threads may read it. */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "policy/action.h"

#define POLICY_DOC_MAX    (256u << 10) /* bytes of one document */
#define POLICY_LAYERS_MAX 64u
#define POLICY_RULES_MAX  2000u /* tools rules of all layers together */

enum policy_origin {
	POLICY_BUILTIN = 1, /* the library's own; not accepted in docs[] */
	POLICY_ADMIN, /* /etc/agentd/policy.d */
	POLICY_USER, /* ~/.config/agentd/policy.yaml */
	POLICY_REPO, /* .agentd/policy.yaml, trusted by digest */
	POLICY_CLI, /* --policy FILE */
};

/* "builtin", "admin", "user", "repo", "cli". */
const char *policy_origin_name(enum policy_origin o);

struct policy_doc {
	const char *name; /* for messages, usually the path; NUL-terminated */
	enum policy_origin origin;
	const char *text; /* YAML; need not be NUL-terminated */
	size_t len;
};

/* Facts about the session for `when`. Frozen at its start. NULL or -1: the session has no such
 * fact, and a `when` that asks for it does not hold. */
struct policy_facts {
	const char *agent, *user, *host, *branch;
	int ci; /* 1, 0, -1 */
	int any; /* 1: every `when` holds, whatever the other facts say: for comparing documents */
	/* 1: a session is to start in a process that serves others, too. Sections without a gate are
	 * refused before anything is compiled, and loading gets a fifth of the work. */
	int session;
};

enum policy_failure {
	POLICY_OK = 0,
	POLICY_INVALID, /* a document does not load */
	POLICY_TEST_FAILED, /* one of its own tests fails, so it does not load */
	POLICY_NO_MEMORY,
};

struct policy_error {
	enum policy_failure failure;
	unsigned line, column; /* from 1; 0: the whole document or stack */
	char file[256]; /* name of the document, cut when longer */
	char text[1024]; /* "file:line:column: what (offending text). Cure." One printable line. */
};

struct policy;

/* Loads a stack: the built-in layer and docs[0..n), in any order. Everything is checked, inline
 * tests are run (each document's tests against that document and the built-in layer, whatever the
 * rest of the stack is, so that a document loads everywhere or nowhere). Nothing loads in part:
 * NULL and *e, or a policy that the caller frees. docs, texts and facts are copied. facts may be
 * NULL. */
struct policy *policy_load(const struct policy_doc *docs, size_t n,
	const struct policy_facts *facts, struct policy_error *e);
void policy_free(struct policy *p);

/* The built-in document (origin POLICY_BUILTIN, name "coding-base"); static. */
const struct policy_doc *policy_builtin(void);

/* SHA-256 of a document's bytes, 64 hex digits and a NUL: what `policy trust` stores. */
void policy_doc_digest(const char *text, size_t len, char out[65]);

/* SHA-256 over the sorted list of (origin, document digest) and the facts; 64 hex digits. Lives as
 * long as p. */
const char *policy_digest(const struct policy *p);

struct policy_layer {
	enum policy_origin origin;
	const char *file; /* policy_doc.name */
	const char *title; /* `name:`, "" when it has none */
	char sha256[65];
	int active; /* 0: its `when` does not hold, so it takes no part */
	int ceiling;
	size_t allow, ask, deny, tests; /* numbers of rules and tests */
};

/* Layers, by origin, then name. 0, or -1 when there is no layer i. Strings live as long as p. */
size_t policy_layers(const struct policy *p);
int policy_layer_get(const struct policy *p, size_t i, struct policy_layer *out);

enum verdict { VERDICT_NONE = 0, VERDICT_ALLOW, VERDICT_ASK, VERDICT_DENY };

/* "none", "allow", "ask", "deny". */
const char *verdict_name(enum verdict v);

struct policy_rule {
	enum verdict effect;
	const char *section; /* "tools", "files", … */
	const char *text; /* as written, without its except */
	const char *why; /* or NULL */
	unsigned line;
	int idle; /* a built-in allow rule that gives way, see above */
	size_t excepts;
	size_t pins; /* not 0: an allow rule that counts as ask, see docs/policy.md `pinned` */
};

/* Rule j of layer i, deny before ask before allow, then by line. 0, or -1 when there is none. */
int policy_rule_get(const struct policy *p, size_t i, size_t j, struct policy_rule *out);
/* The sections that have rules, tools first, and what enforces them, for people. NULL at the end. */
const char *policy_section(size_t i, const char **mechanism);
/* Exception k of that rule as written, or NULL. */
const char *policy_rule_except(const struct policy *p, size_t i, size_t j, size_t k);
/* Its pinned file k, or NULL. */
const char *policy_rule_pin(const struct policy *p, size_t i, size_t j, size_t k);

/* ---- decisions ---- */

/* All strings live as long as the policy. */
struct decision {
	enum verdict verdict; /* never VERDICT_NONE from policy_decide */
	const char *rule; /* as written; "unmatched" or "ceiling" when no rule matched */
	const char *file; /* where the rule stands; "" for a default */
	unsigned line; /* 0 for a default */
	enum policy_origin origin;
	const char *why; /* the rule's own `why`, or NULL */
	const char
		*mechanism; /* what enforces it, for people; begins with "nothing" where no gate of
				  this version does */
};

/* Strictest of all active layers; when no rule matches, the strictest `unmatched` (ask by default).
 * Pure, no allocation, no clock. An action of a kind that no gate decides yet is denied. */
void policy_decide(const struct policy *p, const struct action *a, struct decision *out);

/* Just the verdict of policy_decide, without the rule: one walk through a table for each word. */
enum verdict policy_verdict(const struct policy *p, const struct action *a);

/* What happens to an action that no rule matches: VERDICT_ASK or VERDICT_DENY. */
enum verdict policy_unmatched(const struct policy *p);

/* Makes the action that a line like `tool Edit {/file_path: ws:/src/a.c}` describes (what an inline
 * test is, without its verdict), in a workspace inside a home. 0 and a new *out (action_free), or
 * -1 with *e. */
int policy_parse_action(const char *text, struct action **out, struct error *e);

/* What layer i alone says; VERDICT_NONE when it says nothing. 0, or -1 when there is no layer i. */
int policy_explain(const struct policy *p, size_t i, const struct action *a, struct decision *out);

/* Runs the inline tests of every document again; the number that fail, *run the number run. With
 * report, calls it for each test: text as written, file:line, 1 or 0, and what was decided (for a
 * `never` test: about the example that breaks it, VERDICT_NONE when there is none). */
typedef void policy_test_report(void *ctx, const char *test, const char *file, unsigned line,
	int ok, const struct decision *d);
size_t policy_run_tests(const struct policy *p, size_t *run, policy_test_report *report, void *ctx);

/* ---- the other sections, composed ---- */

enum policy_identity { POLICY_OWN_UID = 1, POLICY_SAME_UID };

enum policy_mount_mode { POLICY_MOUNT_RW = 1, POLICY_MOUNT_RO, POLICY_MOUNT_HIDDEN };

struct policy_mount {
	enum policy_mount_mode mode;
	char name[ACTION_PLACE_MAX + 8]; /* canonical name: "ws:/.git/config", "/opt/data" */
	char path[2 * ACTION_PLACE_MAX]; /* the same as an absolute path */
	const char *file; /* who said so (the strictest one) */
	unsigned line;
};

#define POLICY_MOUNTS_MAX 48u

/* workspace.mounts of all layers, parents before children, one entry for each path, the strictest
 * mode (hidden > ro > rw) that any layer gives to it or to what it is in. cwd of places is not
 * used. Returns the number (at most cap are written), or -1 with *e when a path gets too long. */
int policy_mounts(const struct policy *p, const struct action_places *places,
	struct policy_mount *out, size_t cap, struct error *e);

enum policy_identity policy_identity(const struct policy *p); /* default POLICY_OWN_UID */

enum policy_limit_kind {
	POLICY_LIMIT_PROCESSES, /* tasks */
	POLICY_LIMIT_MEMORY, /* bytes */
	POLICY_LIMIT_CPU, /* thousandths of one CPU */
	POLICY_LIMIT_OPEN_FILES, /* per process */
	POLICY_LIMIT_WALL, /* seconds */
	POLICY_LIMITS
};

struct policy_limit {
	uint64_t value; /* 0: no limit */
	int best_effort; /* may go unenforced where the host cannot */
	const char *file; /* who said so, NULL when nobody */
	unsigned line;
};

/* The smallest value; best_effort only when every layer that states the limit marks it so. */
struct policy_limit policy_limit(const struct policy *p, enum policy_limit_kind k);

/* 1 when the variable goes from the user's environment to the agent: every layer that has env.pass
 * lists it (a layer's list is complete: "everything else is dropped"). */
int policy_env_passes(const struct policy *p, const char *name);

/* env.set of all layers (two layers that set one name differently do not load). Set wins over
 * passed. Sorted by name. 0, or -1 when there is no entry i. */
size_t policy_env_sets(const struct policy *p);
int policy_env_set(const struct policy *p, size_t i, const char **name, const char **value);

#define POLICY_WHO_OWNER 1u /* the user whose session it is */
#define POLICY_WHO_ADMIN 2u /* root and members of group agentd */

#define POLICY_REMEMBER_ONCE    0u
#define POLICY_REMEMBER_SESSION UINT32_MAX

struct policy_approvals {
	unsigned who; /* POLICY_WHO_*: in every layer's list. Default owner and admin */
	uint32_t timeout_s; /* shortest; default 600. At its end the action is denied */
	uint32_t remember_s; /* longest scope an answer may have: POLICY_REMEMBER_ONCE (single use),
				seconds, POLICY_REMEMBER_SESSION; shortest of all layers */
};
void policy_approvals(const struct policy *p, struct policy_approvals *out);

/* Killed when agentd's daemons are gone this long: 5..600, default 30; `on_lost: kill` makes it 5. */
struct policy_session {
	uint32_t on_lost_after_s;
};
void policy_session(const struct policy *p, struct policy_session *out);

enum policy_durability {
	POLICY_DURABLE_STRICT = 1, /* a record is on disk before the action it allows goes on */
};
enum policy_durability policy_durability(const struct policy *p); /* the only one there is yet */

/* ---- what this version enforces ---- */

/* What the active layers say beside rules, that is checked and kept but enforced by nothing yet:
 * "session.lease", "secrets GH_TOKEN", … and one spelling of the value. 0, or -1: there is no i-th. */
int policy_stated(const struct policy *p, size_t i, const char **key, const char **value,
	const char **file, unsigned *line);

/* The first section of an active layer that no gate of this version enforces: it loads, is tested
 * and compared, but a session that relies on it must not start. 1 and where it stands, or 0. */
int policy_ungated(const struct policy *p, const char **section, const char **file, unsigned *line);

#endif
