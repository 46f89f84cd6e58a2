/* The launch plan: all that the supervisor needs to start one sandbox, in one fixed-layout, sealed
 * memory file. The broker builds it from policy and request; the supervisor checks every field
 * (plan_check, then its own rules) and opens each path with the requesting user's rights; the
 * spawner and agentd-init read the same bytes. No field is ever re-parsed as text.
 *
 * Layout: struct plan_header, arrays of struct plan_str and struct plan_mount, then the string heap.
 * A string is {off, len}: bytes at base+off, no NUL inside, a NUL behind. Paths are absolute, without
 * "//", "/./", "/../" or trailing slash, at most PLAN_PATH_MAX bytes. */
#ifndef COMMON_PLAN_H
#define COMMON_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

#define PLAN_MAGIC      0x314e4c50u /* "PLN1" */
#define PLAN_SIZE_MAX   (4u << 20)
#define PLAN_PATH_MAX   1024u
#define PLAN_MOUNTS_MAX 64u
#define PLAN_ARGS_MAX   4096u
#define PLAN_ENVS_MAX   1024u

struct plan_str {
	uint32_t off, len;
};

enum plan_mount_kind {
	PLAN_BIND_RO = 1, /* src on the host, read-only at dst, idmapped to the agent's uid */
	PLAN_BIND_RW, /* the same, writable */
	PLAN_HIDE, /* dst is covered by an empty read-only directory; src empty */
	PLAN_DATA, /* dst is a read-only file, root-owned 0644, whose bytes are src */
	PLAN_PROTECT, /* src is a path relative to the workspace; read-only there, and not creatable
			     when it does not exist. dst empty. In addition to the built-in list */
};

#define PLAN_MOUNT_OPTIONAL 1u /* a src that does not exist is skipped */

struct plan_mount {
	uint16_t kind, flags;
	struct plan_str src, dst;
};

#define PLAN_TERMINAL     1u /* a pty; without it the client's three descriptors */
#define PLAN_DETACHED     2u /* survives its client */
#define PLAN_SAME_UID     4u /* workspace.identity: same-uid; no uid of its own, no idmapping */
#define PLAN_ALLOW_PTRACE 8u
#define PLAN_FLAGS_ALL    15u

/* limit bits in best_effort */
#define PLAN_LIMIT_PIDS   1u
#define PLAN_LIMIT_MEMORY 2u
#define PLAN_LIMIT_CPU    4u

struct plan_header {
	uint32_t magic, size; /* size: of the whole plan */
	uint32_t uid, gid; /* the requesting user; the supervisor compares with SO_PEERCRED */
	uint32_t inner_uid, inner_gid; /* what the agent sees as its own; never 0 */
	uint32_t flags; /* PLAN_TERMINAL … */
	uint16_t rows, cols;
	struct plan_str name, agent, session, user_name, home, workspace, cwd, hostname,
		policy_sha256;
	struct plan_str home_key; /* [0-9a-f]{32}: which private HOME of this user */
	uint64_t memory_bytes; /* 0: no limit */
	uint32_t pids, cpu_milli, open_files; /* 0: no limit (open_files 0: 1024) */
	uint32_t best_effort; /* PLAN_LIMIT_* that may go unenforced */
	uint32_t wall_s; /* wall clock limit, 0: none */
	uint32_t on_lost_ms; /* killed when agentd's daemons are gone this long; 5000..600000 */
	uint32_t argc, args; /* count, offset of struct plan_str[] */
	uint32_t envc, envs;
	uint32_t mountc, mounts; /* count, offset of struct plan_mount[]; in order of mounting */
};

/* Checks a whole plan: magic, sizes, offsets, alignment, strings, paths, counts, ranges. A plan that
 * passes can be read with the accessors below without further bounds checks. 0, or -1. */
int plan_check(const void *plan, size_t n, struct error *e);

/* Accessors over a plan that passed plan_check. */
const char *plan_text(const struct plan_header *p, struct plan_str s);
struct plan_str plan_arg(const struct plan_header *p, uint32_t i);
struct plan_str plan_env(const struct plan_header *p, uint32_t i);
const struct plan_mount *plan_mount_at(const struct plan_header *p, uint32_t i);

/* 1 when s is a path as the plan wants it: absolute and canonical (relative: not absolute, no "..",
 * at least one component). */
int plan_path_ok(const char *s, size_t n, int relative);

/* Builder, for the broker and for tests. Fill b.h's plain fields and use plan_put for its strings.
 * Failures are remembered and reported by plan_finish. */
struct plan_builder {
	struct plan_header h;
	struct plan_str args[PLAN_ARGS_MAX], envs[PLAN_ENVS_MAX];
	struct plan_mount mounts[PLAN_MOUNTS_MAX];
	char *heap;
	size_t heap_len, heap_cap;
	int failed; /* errno */
};

/* The struct is large: allocate it. plan_begin zeroes it. */
void plan_begin(struct plan_builder *b);
struct plan_str plan_put(struct plan_builder *b, const char *s, size_t n);
void plan_add_arg(struct plan_builder *b, const char *s, size_t n);
void plan_add_env(struct plan_builder *b, const char *s, size_t n);
void plan_add_mount(struct plan_builder *b, enum plan_mount_kind kind, uint16_t flags,
	const char *src, size_t src_n, const char *dst);
/* Lays the plan out, checks it, returns a new buffer (the caller frees) and its size. Frees what the
 * builder holds, also on failure (NULL, *e filled). */
void *plan_finish(struct plan_builder *b, size_t *n, struct error *e);

#endif
