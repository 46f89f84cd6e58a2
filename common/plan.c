/* The launch plan: check, read, build; see plan.h. */
#include "common/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/msg.h"
#include "common/paths.h"

/* ---- checking ---- */

struct checker {
	const char *base;
	size_t n;
	const struct plan_header *h;
	struct error *e;
};

static int str_ok(const struct checker *c, struct plan_str s, size_t max)
{
	if (s.off < sizeof *c->h || s.off > c->n || s.len > max || s.len >= c->n - s.off)
		return 0;
	return c->base[s.off + s.len] == 0 && !memchr(c->base + s.off, 0, s.len);
}

static int data_ok(const struct checker *c, struct plan_str s)
{
	return s.off >= sizeof *c->h && s.off <= c->n && s.len < c->n - s.off &&
	       c->base[s.off + s.len] == 0;
}

static int array_ok(
	const struct checker *c, uint32_t off, uint32_t count, uint32_t max, size_t elem)
{
	return count <= max && off >= sizeof *c->h && off % 4 == 0 && off <= c->n &&
	       count * elem <= c->n - off;
}

int plan_path_ok(const char *s, size_t n, int relative)
{
	size_t i = 0;

	if (n < 1 || n > PLAN_PATH_MAX || (s[0] == '/') == !!relative)
		return 0;
	if (!relative && n == 1)
		return 1;
	if (!relative)
		i = 1;
	while (i <= n) {
		size_t start = i;

		while (i < n && s[i] != '/')
			i++;
		if (i == start || i - start > 255)
			return 0; /* "//", a trailing slash, or a component no file system holds */
		if (s[start] == '.' && (i - start == 1 || (i - start == 2 && s[start + 1] == '.')))
			return 0;
		i++;
	}
	return 1;
}

static int path_ok(const struct checker *c, struct plan_str s, int relative)
{
	return str_ok(c, s, PLAN_PATH_MAX) && plan_path_ok(c->base + s.off, s.len, relative);
}

static int name_ok(const struct checker *c, struct plan_str s)
{
	return str_ok(c, s, NAME_CAP - 1) && name_valid(c->base + s.off);
}

static int chars_ok(
	const struct checker *c, struct plan_str s, size_t min, size_t max, const char *set)
{
	return str_ok(c, s, max) && s.len >= min && strspn(c->base + s.off, set) == s.len;
}

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGIT "0123456789"

static int mount_ok(const struct checker *c, const struct plan_mount *m)
{
	if (m->flags & ~PLAN_MOUNT_OPTIONAL)
		return 0;
	switch (m->kind) {
	case PLAN_BIND_RO:
	case PLAN_BIND_RW:
		return path_ok(c, m->src, 0) && path_ok(c, m->dst, 0) && m->dst.len > 1;
	case PLAN_HIDE:
		return m->src.len == 0 && path_ok(c, m->dst, 0) && m->dst.len > 1;
	case PLAN_DATA:
		return data_ok(c, m->src) && path_ok(c, m->dst, 0) && m->dst.len > 1;
	case PLAN_PROTECT:
		return path_ok(c, m->src, 1) && m->dst.len == 0;
	default:
		return 0;
	}
}

static int check_identity(const struct checker *c)
{
	const struct plan_header *h = c->h;
	const char *bad = NULL;

	if (!name_ok(c, h->name))
		bad = "name";
	else if (!name_ok(c, h->agent))
		bad = "agent";
	else if (!chars_ok(c, h->session, 1, SESSION_CAP - 1, LOWER DIGIT "._-"))
		bad = "session";
	else if (!chars_ok(c, h->user_name, 1, 32, LOWER DIGIT "._-"))
		bad = "user_name";
	else if (!chars_ok(c, h->hostname, 1, 63, LOWER DIGIT "-"))
		bad = "hostname";
	else if (!chars_ok(c, h->policy_sha256, 64, 64, DIGIT "abcdef"))
		bad = "policy_sha256";
	else if (!chars_ok(c, h->home_key, 32, 32, DIGIT "abcdef"))
		bad = "home_key";
	else if (!path_ok(c, h->home, 0) || h->home.len < 2)
		bad = "home";
	else if (!path_ok(c, h->workspace, 0) || h->workspace.len < 2)
		bad = "workspace";
	else if (!path_ok(c, h->cwd, 0))
		bad = "cwd";
	return bad ? error_set(c->e, 0, "launch plan: bad %s", bad) : 0;
}

static int check_numbers(const struct checker *c)
{
	const struct plan_header *h = c->h;

	if (h->inner_uid == 0 || h->inner_gid == 0 || h->inner_uid >= UINT32_MAX - 1 ||
		h->inner_gid >= UINT32_MAX - 1)
		return error_set(c->e, 0, "launch plan: bad inner uid or gid");
	if (h->flags & ~PLAN_FLAGS_ALL)
		return error_set(c->e, 0, "launch plan: unknown flags");
	if (h->on_lost_ms < 5000 || h->on_lost_ms > 600000)
		return error_set(c->e, 0, "launch plan: on_lost_ms outside 5000..600000");
	if (h->open_files > 1u << 20 || h->cpu_milli > 1000000 || h->pids > 1u << 22 ||
		h->memory_bytes > 1ull << 50 ||
		h->best_effort & ~(PLAN_LIMIT_PIDS | PLAN_LIMIT_MEMORY | PLAN_LIMIT_CPU))
		return error_set(c->e, 0, "launch plan: a limit out of range");
	return 0;
}

static int check_lists(const struct checker *c)
{
	const struct plan_header *h = c->h;

	if (h->argc < 1 || !array_ok(c, h->args, h->argc, PLAN_ARGS_MAX, sizeof(struct plan_str)) ||
		!array_ok(c, h->envs, h->envc, PLAN_ENVS_MAX, sizeof(struct plan_str)) ||
		!array_ok(c, h->mounts, h->mountc, PLAN_MOUNTS_MAX, sizeof(struct plan_mount)))
		return error_set(c->e, 0, "launch plan: a list does not fit");
	for (uint32_t i = 0; i < h->argc; i++) {
		if (!str_ok(c, plan_arg(h, i), 128 << 10) || (i == 0 && plan_arg(h, i).len == 0))
			return error_set(c->e, 0, "launch plan: bad argument %u", i);
	}
	for (uint32_t i = 0; i < h->envc; i++) {
		struct plan_str s = plan_env(h, i);

		if (!str_ok(c, s, 128 << 10) || !memchr(c->base + s.off, '=', s.len) ||
			c->base[s.off] == '=')
			return error_set(c->e, 0, "launch plan: bad environment entry %u", i);
	}
	for (uint32_t i = 0; i < h->mountc; i++) {
		if (!mount_ok(c, plan_mount_at(h, i)))
			return error_set(c->e, 0, "launch plan: bad mount %u", i);
	}
	return 0;
}

int plan_check(const void *plan, size_t n, struct error *e)
{
	struct checker c = {.base = plan, .n = n, .h = plan, .e = e};

	if (n < sizeof *c.h || n > PLAN_SIZE_MAX || c.h->magic != PLAN_MAGIC || c.h->size != n)
		return error_set(e, 0, "launch plan: bad size or magic");
	if (check_identity(&c) < 0 || check_numbers(&c) < 0)
		return -1;
	return check_lists(&c);
}

/* ---- reading ---- */

const char *plan_text(const struct plan_header *p, struct plan_str s)
{
	return (const char *)p + s.off;
}

struct plan_str plan_arg(const struct plan_header *p, uint32_t i)
{
	return ((const struct plan_str *)(const void *)((const char *)p + p->args))[i];
}

struct plan_str plan_env(const struct plan_header *p, uint32_t i)
{
	return ((const struct plan_str *)(const void *)((const char *)p + p->envs))[i];
}

const struct plan_mount *plan_mount_at(const struct plan_header *p, uint32_t i)
{
	return &((const struct plan_mount *)(const void *)((const char *)p + p->mounts))[i];
}

/* ---- building ---- */

void plan_begin(struct plan_builder *b)
{
	memset(b, 0, sizeof *b);
	b->h.magic = PLAN_MAGIC;
	b->h.on_lost_ms = 30000;
}

struct plan_str plan_put(struct plan_builder *b, const char *s, size_t n)
{
	struct plan_str out = {.off = (uint32_t)b->heap_len, .len = (uint32_t)n};

	if (b->heap_len + n + 1 > PLAN_SIZE_MAX) {
		b->failed = E2BIG;
		return out;
	}
	if (b->heap_len + n + 1 > b->heap_cap) {
		size_t cap = (b->heap_len + n + 1) * 2;
		char *h = realloc(b->heap, cap);

		if (!h) {
			b->failed = ENOMEM;
			return out;
		}
		b->heap = h;
		b->heap_cap = cap;
	}
	if (n)
		memcpy(b->heap + b->heap_len, s, n);
	b->heap[b->heap_len + n] = 0;
	b->heap_len += n + 1;
	return out;
}

void plan_add_arg(struct plan_builder *b, const char *s, size_t n)
{
	if (b->h.argc >= PLAN_ARGS_MAX)
		b->failed = E2BIG;
	else
		b->args[b->h.argc++] = plan_put(b, s, n);
}

void plan_add_env(struct plan_builder *b, const char *s, size_t n)
{
	if (b->h.envc >= PLAN_ENVS_MAX)
		b->failed = E2BIG;
	else
		b->envs[b->h.envc++] = plan_put(b, s, n);
}

void plan_add_mount(struct plan_builder *b, enum plan_mount_kind kind, uint16_t flags,
	const char *src, size_t src_n, const char *dst)
{
	struct plan_mount *m;

	if (b->h.mountc >= PLAN_MOUNTS_MAX) {
		b->failed = E2BIG;
		return;
	}
	m = &b->mounts[b->h.mountc++];
	m->kind = (uint16_t)kind;
	m->flags = flags;
	m->src = plan_put(b, src, src_n);
	m->dst = plan_put(b, dst, strlen(dst));
}

static void shift(struct plan_str *s, uint32_t by)
{
	s->off += by;
}

static void shift_all(struct plan_builder *b, uint32_t by)
{
	struct plan_header *h = &b->h;
	struct plan_str *s[] = {&h->name, &h->agent, &h->session, &h->user_name, &h->home,
		&h->workspace, &h->cwd, &h->hostname, &h->policy_sha256, &h->home_key};

	for (size_t i = 0; i < ARRAY_LEN(s); i++)
		shift(s[i], by);
	for (uint32_t i = 0; i < h->argc; i++)
		shift(&b->args[i], by);
	for (uint32_t i = 0; i < h->envc; i++)
		shift(&b->envs[i], by);
	for (uint32_t i = 0; i < h->mountc; i++) {
		shift(&b->mounts[i].src, by);
		shift(&b->mounts[i].dst, by);
	}
}

void *plan_finish(struct plan_builder *b, size_t *n, struct error *e)
{
	struct plan_header *h = &b->h;
	size_t args = h->argc * sizeof *b->args, envs = h->envc * sizeof *b->envs;
	size_t mounts = h->mountc * sizeof *b->mounts;
	size_t heap_off = sizeof *h + args + envs + mounts, total = heap_off + b->heap_len;
	char *out = NULL;

	if (b->failed || !(out = malloc(total))) {
		error_set(e, b->failed ? b->failed : ENOMEM, "cannot build the launch plan");
		free(b->heap);
		b->heap = NULL;
		return NULL;
	}
	h->size = (uint32_t)total;
	h->args = (uint32_t)sizeof *h;
	h->envs = (uint32_t)(h->args + args);
	h->mounts = (uint32_t)(h->envs + envs);
	shift_all(b, (uint32_t)heap_off);
	memcpy(out, h, sizeof *h);
	memcpy(out + h->args, b->args, args);
	memcpy(out + h->envs, b->envs, envs);
	memcpy(out + h->mounts, b->mounts, mounts);
	if (b->heap_len)
		memcpy(out + heap_off, b->heap, b->heap_len);
	free(b->heap);
	b->heap = NULL;
	if (plan_check(out, total, e) < 0) {
		free(out);
		return NULL;
	}
	*n = total;
	return out;
}
