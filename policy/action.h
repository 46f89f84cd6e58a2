/* The canonical action: the one form in which everything that needs a decision is put before policy
 * is asked, so that one thing has one spelling. Made by the broker at the edge (and by policy
 * tests); read by policy_decide. Pure: no file is looked at, so symbolic links are NOT resolved
 * here.
 *
 * What cannot be put into canonical form is not decided at all: the caller denies, with the reason
 * that *e gives ("not canonical: …"). */
#ifndef POLICY_ACTION_H
#define POLICY_ACTION_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/io.h"

/* What the automata of policy read: the fields of an action, see policy/kinds/kind.h. */
struct word {
	const unsigned char *p;
	size_t n;
};

enum action_kind {
	ACTION_TOOL = 1, /* a tool of the agent's own, asked by its hook */
	ACTION_EXEC, /* a program, started with execve */
	ACTION_FILE,
	ACTION_NET,
	ACTION_HTTP,
	ACTION_MCP,
	ACTION_PACKAGE,
	ACTION_SECRET,
	ACTION_KINDS /* one more than the last */
};

#define ACTION_TOOL_MAX    256u /* bytes of a tool's name; printable ASCII without space */
#define ACTION_ARGS_MAX    4096u /* values of one call */
#define ACTION_POINTER_MAX 1024u /* bytes of one JSON pointer */
#define ACTION_BYTES_MAX   (2u << 20) /* all pointers and values together */
#define ACTION_PATH_MAX    16384u /* a longer value is never taken for a path, see action.c */
#define ACTION_PLACE_MAX   1024u /* bytes of a root or of the working directory */

/* Where the agent's paths are anchored. Absolute paths as the agent sees them inside its sandbox.
 * All four must be given. */
struct action_places {
	const char *ws, *home, *tmp; /* become ws:/, home:/, tmp:/ */
	const char *cwd; /* what relative paths start from; ws when the agent does not say */
};

enum action_type {
	ACTION_STRING = 1,
	ACTION_NUMBER, /* text as in the JSON */
	ACTION_TRUE,
	ACTION_FALSE,
	ACTION_NULL,
	ACTION_EMPTY_OBJECT,
	ACTION_EMPTY_ARRAY,
};

/* One leaf of the tool's JSON input, as the caller flattens it: RFC 6901 pointer and value. text is
 * used for strings and numbers only (the other types have a fixed text). Not NUL-terminated. */
struct action_arg {
	const char *pointer;
	size_t pointer_len;
	enum action_type type;
	const char *text;
	size_t len;
};

/* What a text begins with and which pairs of bytes it has: lets policy_decide pass over patterns
 * that cannot match. Made with the action; of no use to callers. */
struct action_index {
	uint64_t head; /* the first 8 bytes */
	uint64_t pairs[4]; /* a filter of 256 bits */
};

/* A path's name. A value is read as a path only by a path pattern (docs/policy.md). way: 0, read as
 * it stands; 1, read as a tool would that expands "~", "$HOME" or a leading "@". Which tools do
 * that cannot be known, so allow rules must match both. literal: not 0 for a second spelling
 * through an outer root (/home/u/web/x for ws:/x), which counts only for patterns that spell out at
 * least this many bytes of it. */
struct action_name {
	const char *text; /* "ws:/src/a.c", "/usr/bin/env" */
	size_t len;
	struct action_index index;
	unsigned way;
	size_t literal;
};

/* One argument. path_unknown: as a path, nobody can say which file it is (too long, ~user,
 * /proc/self/root, blanks around it, an empty list): deny and ask rules match it, allow rules do
 * not. */
struct action_value {
	const char *pointer, *text; /* NUL-terminated */
	size_t pointer_len, len;
	uint32_t pointer_hash;
	struct action_index index; /* of text */
	enum action_type type;
	int path_unknown;
	size_t names;
	const struct action_name *name;
};

/* An action is immutable once made. Values are unique and sorted by
 * action_pointer_order. */
struct action {
	enum action_kind kind;
	const char *tool; /* NUL-terminated; of ACTION_MCP: SERVER/TOOL */
	size_t tool_len;
	struct action_index tool_index;
	const char *cwd; /* canonical name */
	size_t values;
	const struct action_value *value;
	size_t words; /* kinds but ACTION_TOOL and ACTION_MCP: the first is what it is, the others aliases */
	const struct word *word;
	size_t bounds; /* ACTION_EXEC: what its digest covers beyond the first word */
	const struct word *bound;
};

/* Makes the action of a tool call. 0 and a new *out (the caller frees it with action_free), or -1
 * with *e: "not canonical: …" (NUL or invalid UTF-8, a name or pointer that is none, twice the same
 * pointer, too long or too many) or out of memory. In both cases the call must be denied. */
int action_from_tool(struct action **out, const struct action_places *places, const char *tool,
	size_t tool_len, const struct action_arg *args, size_t n, struct error *e);

/* Makes the action of an operation on a file: one of r w d m a (policy/kinds/file.c), and the
 * absolute path that the kernel resolved it to. As above. */
int action_from_file(struct action **out, const struct action_places *places, char op,
	const char *path, size_t n, struct error *e);

/* A start of a program, as the caller found it. Both paths are absolute and canonical: no links in
 * directories, no `.`, `..`, `//`. */
struct action_exec {
	struct span invoked; /* as it was said: the last component may be a link */
	struct span
		file; /* what that is, all links resolved; a script: itself, not its interpreter */
	int invoked_writable,
		file_writable; /* the agent can write the file, or the directory it is in */
	const struct span *argv; /* with argv[0] */
	size_t argc;
	/* 1: every file that an allow rule of the policy pins (policy_rule_pin) is as a human last saw
	 * it, and stays so until the program is started. Anything else, also "not looked at": 0. */
	int pins_hold;
	/* Not 0 at i: nobody knows what argv[i] will be, and its text (not empty, no dash first) stands
	 * for anything. NULL: all are known. */
	const unsigned char *unknown;
};

#define ACTION_EXEC_ARGS_MAX 65536u

/* Makes the action of starting a program. As above. places: cwd is that of the process. */
int action_from_exec(struct action **out, const struct action_places *places,
	const struct action_exec *exec, struct error *e);

/* Makes the action of a connection to a host (a name or an address, as it was asked for) and port.
 * As above. */
int action_from_net(
	struct action **out, const char *host, size_t n, uint16_t port, struct error *e);

/* A request as a proxy sees it. host without brackets; target is what stands behind the host, its
 * query and fragment are cut off. Nothing is NUL-terminated. */
struct http_request {
	const char *method, *host, *target;
	size_t method_len, host_len, target_len;
	int tls; /* https */
	uint16_t port;
};

#define HTTP_TARGET_MAX 8192u

/* Makes the action of a request (policy/kinds/http.c). As above. */
int action_from_http(struct action **out, const struct http_request *r, struct error *e);

/* Makes the action of a call to an MCP server's tool; names are printable ASCII without blanks and
 * slashes, 256 bytes together. Arguments as for action_from_tool; they are never read as paths. */
int action_from_mcp(struct action **out, const char *server, size_t server_len, const char *tool,
	size_t tool_len, const struct action_arg *args, size_t n, struct error *e);

void action_free(struct action *a);

/* Like strcmp, but `/` comes before every other character, so that what is below a pointer stands
 * right behind it. */
int action_pointer_order(const char *a, const char *b);

/* SHA-256 over an unambiguous encoding of the whole action: kind, tool, working directory, every
 * pointer, type and value, each with its length. What an approval is bound to. 64 hex digits and a
 * NUL into out. */
void action_digest(const struct action *a, char out[65]);

#endif
