/* What a judgement consists of, and how it is shown: words without the quotes that they were written
 * with, and with new ones where a reader could otherwise not tell where a word begins and ends, or
 * whether a shell would expand it. */
#include "policy/shell/parts.h"

#include <stdlib.h>
#include <string.h>

struct parts {
	struct arena arena;
	struct part *first, *last;
	size_t count;
	int no_memory;
	struct shell_judgement whole;
	const struct policy *policy;
	struct stack stack;
};

struct parts *parts_new(size_t max)
{
	struct parts *p = calloc(1, sizeof *p);

	if (p)
		arena_init(&p->arena, max);
	return p;
}

struct arena *parts_arena(struct parts *p)
{
	return &p->arena;
}

void *parts_alloc(struct parts *p, size_t n)
{
	void *m = arena_alloc(&p->arena, n ? n : 1);

	p->no_memory |= !m;
	return m;
}

const char *parts_copy(struct parts *p, const char *s, size_t n)
{
	const char *copy = arena_copy(&p->arena, s, n);

	p->no_memory |= !copy;
	return copy ? copy : "";
}

struct part *parts_add(struct parts *p, enum shell_part_kind kind, size_t at, const char *text)
{
	struct part *part = parts_alloc(p, sizeof *part);

	if (!part)
		return NULL;
	*part = (struct part){.kind = kind, .at = at, .text = text};
	if (p->last)
		p->last->next = part;
	else
		p->first = part;
	p->last = part;
	p->count++;
	return part;
}

void parts_free(struct parts *p)
{
	for (struct part *x = p->first; x; x = x->next)
		action_free(x->action);
	arena_free(&p->arena);
	free(p);
}

/* ---- text ---- */

struct line {
	char *p;
	size_t n;
};

static void put(struct line *l, const char *s, size_t n)
{
	memcpy(l->p + l->n, s, n);
	l->n += n;
}

static int is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (unsigned char)c >= 0x80 || (c && strchr("_@%+=:,./^-", c));
}

/* In single quotes, each of its own as '\''. */
static void put_quoted(struct line *l, struct span s)
{
	put(l, "'", 1);
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\'')
			put(l, "'\\''", 4);
		else
			put(l, s.p + i, 1);
	}
	put(l, "'", 1);
}

static void put_word(struct line *l, const struct shell_word *w)
{
	size_t i = 0;

	while (i < w->text.n && is_plain(w->text.p[i]))
		i++;
	if (w->class == SHELL_LITERAL && (i < w->text.n || i == 0))
		put_quoted(l, w->text);
	else
		put(l, w->text.p, w->text.n);
}

static size_t most_bytes(struct span s)
{
	return 4 * s.n + 3;
}

const char *parts_command(struct parts *p, const struct shell_command *c)
{
	struct line l = {0};
	size_t most = 1;

	for (const struct shell_word *w = c->argv; w; w = w->next)
		most += most_bytes(w->text);
	l.p = parts_alloc(p, most);
	if (!l.p)
		return "";
	for (const struct shell_word *w = c->argv; w; w = w->next) {
		if (w != c->argv)
			put(&l, " ", 1);
		put_word(&l, w);
	}
	return l.p;
}

const char *parts_file(struct parts *p, const struct shell_redirect *x)
{
	const char *what = x->op == 'r' ? "read " : "write ";
	struct line l = {parts_alloc(p, most_bytes(x->target->text) + 8), 0};

	if (!l.p)
		return "";
	put(&l, what, strlen(what));
	put_word(&l, x->target);
	return l.p;
}

const char *parts_variable(struct parts *p, const struct shell_assignment *a)
{
	struct shell_word value = {.text = a->value};
	struct line l = {parts_alloc(p, a->name.n + most_bytes(a->value) + 2), 0};

	if (!l.p)
		return "";
	put(&l, a->name.p, a->name.n);
	put(&l, "=", 1);
	put_word(&l, &value);
	return l.p;
}

#define EXCERPT_MAX 60u

const char *parts_opaque(struct parts *p, const char *why, struct span from)
{
	struct line l = {parts_alloc(p, strlen(why) + EXCERPT_MAX + 8), 0};
	const char *end = from.n ? memchr(from.p, '\n', from.n) : NULL;
	size_t n = end ? (size_t)(end - from.p) : from.n;

	if (!l.p)
		return "";
	put(&l, why, strlen(why));
	if (n == 0)
		return l.p;
	put(&l, ": ", 2);
	if (n > EXCERPT_MAX) {
		for (n = EXCERPT_MAX; n && ((unsigned char)from.p[n] & 0xc0) == 0x80;)
			n--;
		put(&l, from.p, n);
		put(&l, "…", strlen("…"));
	} else {
		put(&l, from.p, n);
	}
	return l.p;
}

/* ---- the judgement ---- */

const char *shell_part_name(enum shell_part_kind k)
{
	static const char *const names[] = {"command", "file", "variable", "opaque"};

	return k <= SHELL_PART_OPAQUE ? names[k] : "";
}

static const struct part *part_at(const struct parts *p, size_t i)
{
	const struct part *x = p->first;

	while (x && i--)
		x = x->next;
	return x;
}

static void decision_of(const struct parts *p, const struct part *x, struct decision *out)
{
	*out = x->fixed;
	if (x->action)
		stack_decide_action(p->policy, &p->stack, x->action, out);
}

static struct shell_part *show_parts(struct parts *p)
{
	struct shell_part *all = arena_array(&p->arena, p->count + 1, sizeof *all);
	size_t i = 0;

	for (const struct part *x = p->first; all && x; x = x->next, i++) {
		all[i] = (struct shell_part){x->kind, x->at, x->inner, x->text, x->verdict};
		if (x->verdict > all[p->whole.decisive].verdict)
			p->whole.decisive = i;
	}
	return all;
}

struct shell_judgement *parts_finish(
	struct parts *p, const struct policy *policy, const struct stack *s)
{
	p->policy = policy;
	p->stack = *s;
	p->whole.part = show_parts(p);
	p->whole.parts = p->count;
	p->whole.decision = (struct decision){.verdict = VERDICT_NONE, .rule = "", .file = ""};
	if (!p->whole.part || p->no_memory)
		return NULL;
	if (p->count && p->whole.part[p->whole.decisive].verdict != VERDICT_NONE)
		decision_of(p, part_at(p, p->whole.decisive), &p->whole.decision);
	return &p->whole;
}

static struct parts *owner(const struct shell_judgement *j)
{
	return (struct parts *)((uintptr_t)j - offsetof(struct parts, whole));
}

void shell_judgement_part(const struct shell_judgement *j, size_t i, struct decision *out)
{
	const struct part *x = part_at(owner(j), i);

	*out = (struct decision){.verdict = VERDICT_NONE, .rule = "", .file = ""};
	if (x && x->verdict != VERDICT_NONE)
		decision_of(owner(j), x, out);
}

void shell_judgement_free(struct shell_judgement *j)
{
	if (j)
		parts_free(owner(j));
}
