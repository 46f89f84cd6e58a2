/* The sections that are not rules, over all active layers: the strictest wins. What the built-in
 * layer states counts only for a key that no other layer states. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "policy/internal.h"
#include "policy/text.h"

/* Whether some layer but the built-in one states the thing; states() tells for one layer. */
typedef int states_fn(const struct layer *l, int arg);

static int others_state(const struct policy *p, states_fn *states, int arg)
{
	size_t i;

	for (i = 0; i < p->stack.layers; i++) {
		const struct layer *l = p->stack.layer[i];

		if (l->origin != POLICY_BUILTIN && states(l, arg))
			return 1;
	}
	return 0;
}

struct walk { /* over the layers whose statement counts */
	const struct policy *p;
	states_fn *states;
	int arg, others;
	size_t i;
};

static struct walk walk_begin(const struct policy *p, states_fn *states, int arg)
{
	return (struct walk){p, states, arg, others_state(p, states, arg), 0};
}

static const struct layer *walk_next(struct walk *w)
{
	while (w->i < w->p->stack.layers) {
		const struct layer *l = w->p->stack.layer[w->i++];

		if (w->states(l, w->arg) && !(w->others && l->origin == POLICY_BUILTIN))
			return l;
	}
	return NULL;
}

/* ---- limits ---- */

static int states_limit(const struct layer *l, int k)
{
	return l->limit[k].value != 0;
}

struct policy_limit policy_limit(const struct policy *p, enum policy_limit_kind k)
{
	struct policy_limit out = {.best_effort = 1};
	struct walk w = walk_begin(p, states_limit, (int)k);
	const struct layer *l;

	while ((l = walk_next(&w)) != NULL) {
		if (!out.value || l->limit[k].value < out.value) {
			out.value = l->limit[k].value;
			out.file = l->limit[k].file;
			out.line = l->limit[k].line;
		}
		out.best_effort &= l->limit[k].best_effort;
	}
	if (!out.value)
		out.best_effort = 0;
	return out;
}

/* ---- env ---- */

static int states_pass(const struct layer *l, int unused)
{
	(void)unused;
	return l->states_pass;
}

static int layer_passes(const struct layer *l, const char *name, size_t n)
{
	size_t i;

	for (i = 0; i < l->passes; i++) {
		const struct env_pass *e = &l->pass[i];

		if (e->star ? n >= e->len && memcmp(name, e->name, e->len) == 0
			    : n == e->len && memcmp(name, e->name, n) == 0)
			return 1;
	}
	return 0;
}

int policy_env_passes(const struct policy *p, const char *name)
{
	int stated = 0;
	struct walk w = walk_begin(p, states_pass, 0);
	const struct layer *l;

	while ((l = walk_next(&w)) != NULL) {
		if (!layer_passes(l, name, strlen(name)))
			return 0;
		stated = 1;
	}
	return stated;
}

static int by_name(const void *a, const void *b)
{
	const struct env_set *x = *(const struct env_set *const *)a;
	const struct env_set *y = *(const struct env_set *const *)b;

	return strcmp(x->name, y->name);
}

static size_t count_sets(const struct policy *p)
{
	size_t i, n = 0;

	for (i = 0; i < p->stack.layers; i++)
		n += p->stack.layer[i]->sets;
	return n;
}

int compose_sets(struct policy *p, struct policy_error *e)
{
	size_t i, k, n = count_sets(p), kept = 0;
	const struct env_set **all = arena_array(&p->arena, n, sizeof(const struct env_set *));

	if (!all)
		return policy_no_memory(e, "");
	for (i = 0, n = 0; i < p->stack.layers; i++) {
		for (k = 0; k < p->stack.layer[i]->sets; k++)
			all[n++] = &p->stack.layer[i]->set[k];
	}
	if (n)
		qsort(all, n, sizeof(const struct env_set *), by_name);
	for (i = 0; i < n; i++) {
		const struct env_set *last = kept ? all[kept - 1] : NULL;
		char name[80];

		if (!last || strcmp(last->name, all[i]->name) != 0) {
			all[kept++] = all[i];
		} else if (strcmp(last->value, all[i]->value) != 0) {
			text_show(name, sizeof name, all[i]->name, strlen(all[i]->name));
			return policy_fail(e, all[i]->file, all[i]->line, all[i]->column,
				"two layers set a variable differently (%s; the other is %s:%u). "
				"Set it in one of them only.",
				name, last->file, last->line);
		}
	}
	p->set = all;
	p->sets = kept;
	return 0;
}

size_t policy_env_sets(const struct policy *p)
{
	return p->sets;
}

int policy_env_set(const struct policy *p, size_t i, const char **name, const char **value)
{
	if (i >= p->sets)
		return -1;
	*name = p->set[i]->name;
	*value = p->set[i]->value;
	return 0;
}

/* ---- workspace ---- */

static int states_identity(const struct layer *l, int unused)
{
	(void)unused;
	return l->identity != 0;
}

enum policy_identity policy_identity(const struct policy *p)
{
	enum policy_identity out = 0;
	struct walk w = walk_begin(p, states_identity, 0);
	const struct layer *l;

	while ((l = walk_next(&w)) != NULL) {
		if (!out || l->identity == POLICY_OWN_UID)
			out = l->identity;
	}
	return out ? out : POLICY_OWN_UID;
}

struct placed { /* a mount of a layer, by its canonical name */
	const struct layer *layer;
	const struct mount *mount;
	struct policy_mount out;
};

/* 1 when path b is a or is in a; both are canonical names. "ws:/" and "/" end with their slash. */
static int covers(const char *a, const char *b)
{
	size_t n = strlen(a);

	if (strncmp(a, b, n) != 0)
		return 0;
	return a[n - 1] == '/' || b[n] == 0 || b[n] == '/';
}

static int says_more(const struct placed *a, const struct placed *b)
{
	size_t n = strlen(a->out.name), m = strlen(b->out.name);

	return n == m ? a->mount->mode > b->mount->mode : n > m;
}

/* What one layer says about a path: its innermost mount that has it; the strictest when the layer has
 * two spellings of one path. */
static const struct placed *layer_mount(
	const struct placed *m, size_t n, const struct layer *l, const char *name)
{
	const struct placed *best = NULL;
	size_t i;

	for (i = 0; i < n; i++) {
		if (m[i].layer == l && covers(m[i].out.name, name) &&
			(!best || says_more(&m[i], best)))
			best = &m[i];
	}
	return best;
}

static void compose_mount(
	const struct policy *p, const struct placed *m, size_t n, struct policy_mount *out)
{
	size_t i;

	for (i = 0; i < p->stack.layers; i++) {
		const struct placed *says = layer_mount(m, n, p->stack.layer[i], out->name);

		if (says && says->mount->mode > out->mode) {
			out->mode = says->mount->mode;
			out->file = says->layer->file;
			out->line = says->mount->line;
		}
	}
}

static int by_mount_name(const void *a, const void *b)
{
	return action_pointer_order(
		((const struct placed *)a)->out.name, ((const struct placed *)b)->out.name);
}

static size_t count_mounts(const struct policy *p)
{
	size_t i, n = 0;

	for (i = 0; i < p->stack.layers; i++)
		n += p->stack.layer[i]->mounts;
	return n;
}

static int place_mounts(
	const struct policy *p, const struct action_places *places, struct placed *m)
{
	size_t i, k, n = 0;

	for (i = 0; i < p->stack.layers; i++) {
		const struct layer *l = p->stack.layer[i];

		for (k = 0; k < l->mounts; k++, n++) {
			m[n].layer = l;
			m[n].mount = &l->mount[k];
			m[n].out.mode = l->mount[k].mode;
			m[n].out.file = l->file;
			m[n].out.line = l->mount[k].line;
			if (place_name(places, l->mount[k].path, m[n].out.name,
				    sizeof m[n].out.name, m[n].out.path, sizeof m[n].out.path))
				return -1;
		}
	}
	return 0;
}

int policy_mounts(const struct policy *p, const struct action_places *places,
	struct policy_mount *out, size_t cap, struct error *e)
{
	size_t n = count_mounts(p), i, found = 0;
	struct placed *m = calloc(n ? n : 1, sizeof *m);

	if (!m)
		return error_set(e, 0, "out of memory");
	if (place_mounts(p, places, m)) {
		free(m);
		return error_set(e, 0,
			"a path of workspace.mounts is too long, or the workspace, home or /tmp is "
			"no absolute path. Use shorter paths");
	}
	if (n)
		qsort(m, n, sizeof *m, by_mount_name);
	for (i = 0; i < n; i++) {
		if (i > 0 && strcmp(m[i].out.name, m[i - 1].out.name) == 0)
			continue;
		if (found < cap) {
			out[found] = m[i].out;
			compose_mount(p, m, n, &out[found]);
		}
		found++;
	}
	free(m);
	return (int)found;
}

/* ---- approvals, session, audit ---- */

static int states_who(const struct layer *l, int unused)
{
	(void)unused;
	return l->who != 0;
}

static int states_timeout(const struct layer *l, int unused)
{
	(void)unused;
	return l->timeout_s != 0;
}

static int states_remember(const struct layer *l, int unused)
{
	(void)unused;
	return l->states_remember;
}

static int states_lost_after(const struct layer *l, int unused)
{
	(void)unused;
	return l->on_lost_after_s != 0 || l->on_lost_kill;
}

static unsigned compose_who(const struct policy *p)
{
	unsigned who = POLICY_WHO_OWNER | POLICY_WHO_ADMIN;
	struct walk w = walk_begin(p, states_who, 0);
	const struct layer *l;

	while ((l = walk_next(&w)) != NULL)
		who &= l->who; /* a team is nobody that this version knows */
	return who;
}

static uint32_t compose_timeout(const struct policy *p)
{
	uint32_t out = 0;
	struct walk w = walk_begin(p, states_timeout, 0);
	const struct layer *l;

	while ((l = walk_next(&w)) != NULL) {
		if (!out || l->timeout_s < out)
			out = l->timeout_s;
	}
	return out ? out : 600;
}

static uint32_t compose_remember(const struct policy *p)
{
	uint32_t out = POLICY_REMEMBER_SESSION;
	struct walk w = walk_begin(p, states_remember, 0);
	const struct layer *l;

	while ((l = walk_next(&w)) != NULL) {
		if (l->remember_s < out)
			out = l->remember_s;
	}
	return out;
}

void policy_approvals(const struct policy *p, struct policy_approvals *out)
{
	out->who = compose_who(p);
	out->timeout_s = compose_timeout(p);
	out->remember_s = compose_remember(p);
}

void policy_session(const struct policy *p, struct policy_session *out)
{
	uint32_t after = 0;
	struct walk w = walk_begin(p, states_lost_after, 0);
	const struct layer *l;

	while ((l = walk_next(&w)) != NULL) {
		uint32_t s = l->on_lost_kill ? 5 : l->on_lost_after_s;

		if (!after || s < after)
			after = s;
	}
	out->on_lost_after_s = after ? after : 30;
}

enum policy_durability policy_durability(const struct policy *p)
{
	(void)p;
	return POLICY_DURABLE_STRICT;
}

/* ---- gates ---- */

int policy_stated(const struct policy *p, size_t i, const char **key, const char **value,
	const char **file, unsigned *line)
{
	for (size_t k = 0; k < p->stack.layers; k++) {
		const struct stated *s = p->stack.layer[k]->stated;

		for (; s; s = s->next) {
			if (i-- > 0)
				continue;
			*key = s->key;
			*value = s->value;
			*file = p->stack.layer[k]->file;
			*line = s->line;
			return 0;
		}
	}
	return -1;
}

/* A layer's rules of a section, or another key below it ("dns.only_for", "mcp.servers x.net"). */
int layer_best_effort(const struct layer *l, const char *key)
{
	size_t n = strcspn(key, ".");

	for (unsigned i = 0; section_at(i); i++) {
		if (l->best_effort >> i & 1 && strlen(section_at(i)) == n &&
			memcmp(section_at(i), key, n) == 0)
			return 1;
	}
	return 0;
}

const char *section_at(unsigned i)
{
	static const char *const sections[] = {
		"exec", "files", "net", "http", "dns", "mcp", "session"};

	return i < ARRAY_LEN(sections) ? sections[i] : NULL;
}

int policy_best_effort(const struct policy *p, size_t i, const char **section, const char **file)
{
	for (unsigned k = 0; section_at(k); k++) {
		for (size_t j = 0; j < p->stack.layers; j++) {
			if (!(p->stack.layer[j]->best_effort >> k & 1) || i-- > 0)
				continue;
			*section = section_at(k);
			*file = p->stack.layer[j]->file;
			return 0;
		}
	}
	return -1;
}

static const struct stated *ungated_value(const struct layer *l)
{
	const struct stated *s = l->stated;

	while (s && layer_best_effort(l, s->key))
		s = s->next;
	return s;
}

int policy_ungated(const struct policy *p, const char **section, const char **file, unsigned *line)
{
	const struct stated *s;

	for (size_t i = 0; i < p->stack.layers; i++) {
		const struct layer *l = p->stack.layer[i];

		for (size_t j = 0; j < l->rules; j++) {
			const struct kind *k = l->rule[j].match.kind;

			if (!k || k->gated || layer_best_effort(l, k->section))
				continue;
			*section = k->section;
			*file = l->file;
			*line = l->rule[j].line;
			return 1;
		}
	}
	for (size_t i = 0; i < p->stack.layers; i++) {
		s = ungated_value(p->stack.layer[i]);
		if (!s)
			continue;
		*section = s->key;
		*file = p->stack.layer[i]->file;
		*line = s->line;
		return 1;
	}
	return 0;
}
