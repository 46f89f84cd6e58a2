/* What a simple command comes to once its words are known: something that the shell does itself, a
 * program, or a program that starts another one (wrap.c). */
#include <string.h>

#include "policy/shell/wrap.h"

enum builtin {
	BUILTIN_NONE,
	BUILTIN_FREE,
	BUILTIN_PROGRAM,
	BUILTIN_ASSIGN,
	BUILTIN_READ,
	BUILTIN_SET,
	BUILTIN_CD,
	BUILTIN_RUN,
	BUILTIN_OPAQUE
};

static const struct {
	const char *name;
	enum builtin what;
} builtins[] = {
#include "policy/tables/builtins.def"
};

static enum builtin builtin_of(const struct shell_word *w)
{
	for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++) {
		if (strcmp(w->text.p, builtins[i].name) == 0)
			return builtins[i].what;
	}
	return BUILTIN_NONE;
}

int shell_listed(const char *list, const char *word, size_t n)
{
	while (list && *list) {
		size_t len = strcspn(list, " ");

		if (len == n && memcmp(list, word, n) == 0)
			return 1;
		list += len;
		list += strspn(list, " ");
	}
	return 0;
}

void shell_mark_command(struct reader *r, const struct shell_command *c, const char *why)
{
	shell_mark_at(r->out, c->at, why);
}

int shell_is(const struct shell_word *w, const char *text)
{
	return w && w->class == SHELL_LITERAL && strcmp(w->text.p, text) == 0;
}

size_t shell_name_length(struct span s)
{
	size_t n = 0;

	while (n < s.n && ((s.p[n] >= 'a' && s.p[n] <= 'z') || (s.p[n] >= 'A' && s.p[n] <= 'Z') ||
				  s.p[n] == '_' || (n && s.p[n] >= '0' && s.p[n] <= '9')))
		n++;
	return n;
}

int shell_assign(struct reader *r, struct shell_command *c, const struct shell_word *w, int loop)
{
	size_t n = shell_name_length(w->text);
	struct shell_assignment *a;

	if (n == 0 || (n < w->text.n && w->text.p[n] != '=') ||
		(n == w->text.n && w->class != SHELL_LITERAL))
		return 0;
	a = arena_alloc(r->arena, sizeof *a);
	if (!a) {
		shell_no_memory(r);
		return 1;
	}
	*a = (struct shell_assignment){.name = {arena_copy(r->arena, w->text.p, n), n},
		.value = {"…", strlen("…")},
		.loop = loop,
		.next = c->assignments};
	if (!a->name.p)
		shell_no_memory(r);
	if (n < w->text.n && w->class == SHELL_LITERAL)
		a->value = (struct span){w->text.p + n + 1, w->text.n - n - 1};
	c->assignments = a;
	return 1;
}

/* ---- builtins ---- */

/* Arguments as assignments or names; `options` are those without effect. */
static void assign_all(struct reader *r, struct shell_command *c, const char *options, int loop)
{
	for (const struct shell_word *w = c->argv->next; w; w = w->next) {
		if (w->class == SHELL_LITERAL && shell_listed(options, w->text.p, w->text.n))
			continue;
		if (!shell_assign(r, c, w, loop))
			shell_mark_command(r, c, "a builtin that sets what is not spelled out");
	}
}

/* set: options that change no meaning, and what comes behind --. */
static void check_set(struct reader *r, struct shell_command *c)
{
	const struct shell_word *w = c->argv->next;

	for (; w && !shell_is(w, "--"); w = w->next) {
		const char *s = w->text.p;

		if (w->class == SHELL_LITERAL && s[0] && strchr("-+", s[0]) && s[1] &&
			strspn(s + 1, "euxvCo") == w->text.n - 1)
			continue;
		if (w->class == SHELL_LITERAL &&
			shell_listed(
				"pipefail errexit nounset xtrace verbose noclobber", s, w->text.n))
			continue;
		shell_mark_command(r, c, "`set` with options that change how a shell reads");
		return;
	}
}

/* cd DIRECTORY, or cd alone. */
static void check_cd(struct reader *r, struct shell_command *c)
{
	struct shell_word *to = c->argv->next;

	if (shell_is(to, "--")) {
		c->argv->next = to->next;
		c->argc--;
		to = to->next;
	}
	if (to && (to->next || to->class != SHELL_LITERAL || to->text.n == 0 ||
			  strchr("-+", to->text.p[0])))
		shell_mark_command(r, c, "`cd` to a directory that is not spelled out");
	else if (r->loop)
		shell_mark_command(r, c, "`cd` in a loop");
	else
		c->what = SHELL_CD;
}

/* bash and zsh evaluate subscripts in names and numbers that builtins get, commands included. */
static void check_evaluated(struct reader *r, struct shell_command *c)
{
	int assigns =
		shell_is(c->argv, "printf") || shell_is(c->argv, "test") || shell_is(c->argv, "[");

	for (const struct shell_word *w = c->argv->next; w; w = w->next) {
		const char *s = w->text.p;

		if (w->class != SHELL_LITERAL)
			continue;
		if (strchr(s, '[') && (strstr(s, "$(") || strchr(s, '`') || strstr(s, "${")))
			shell_mark_command(r, c, "a subscript that a builtin may evaluate");
		if (assigns && strncmp(s, "-v", 2) == 0)
			shell_mark_command(r, c, "a builtin that sets or looks at a variable");
	}
}

static void builtin(struct reader *r, struct shell_command *c, enum builtin what)
{
	c->what = what == BUILTIN_PROGRAM ? SHELL_PROGRAM : SHELL_BUILTIN;
	check_evaluated(r, c);
	switch (what) {
	case BUILTIN_ASSIGN:
		assign_all(r, c, "-p -v", 0);
		break;
	case BUILTIN_READ:
		assign_all(r, c, "-r", 1);
		break;
	case BUILTIN_SET:
		check_set(r, c);
		break;
	case BUILTIN_CD:
		check_cd(r, c);
		break;
	case BUILTIN_OPAQUE:
		shell_mark_command(
			r, c, "a builtin that runs text, or changes what later words mean");
		break;
	default:
		break;
	}
}

/* ---- commands ---- */

/* 1: it is in the list. */
static int append(struct reader *r, struct shell_command *c)
{
	size_t bytes = 0;

	for (const struct shell_word *w = c->argv; w; w = w->next)
		bytes += w->text.n + 1;
	if (r->out->commands == SHELL_COMMANDS_MAX || bytes > SHELL_BYTES_MAX - r->out->bytes) {
		shell_mark_command(r, c, "more commands than can be looked at");
		r->stopped = 1;
		return 0;
	}
	r->out->bytes += bytes;
	r->out->commands++;
	if (r->out->last)
		r->out->last->next = c;
	else
		r->out->first = c;
	r->out->last = c;
	return 1;
}

/* `$x git push`: when $x is nothing, it runs git. */
static void behind_unknown(struct reader *r, struct shell_command *c)
{
	struct shell_word *w = c->argv;

	shell_mark_command(r, c, "a program whose name is not spelled out");
	while (w && w->class != SHELL_LITERAL)
		w = w->next;
	if (w)
		shell_add_inner(r, c, w, 0);
}

static void add(struct reader *r, struct shell_command *c, int by_shell)
{
	enum builtin what;

	if (!append(r, c) || !c->argc)
		return;
	c->what = SHELL_PROGRAM;
	if (c->argv->class != SHELL_LITERAL) {
		behind_unknown(r, c);
		return;
	}
	if (c->argv->text.n == 0)
		shell_mark_command(r, c, "a program without a name");
	what = by_shell ? builtin_of(c->argv) : BUILTIN_NONE;
	if (what != BUILTIN_NONE && what != BUILTIN_RUN)
		builtin(r, c, what);
	else
		shell_wrapped(r, c);
	if (what == BUILTIN_RUN)
		c->what = SHELL_BUILTIN;
}

void shell_add(struct reader *r, struct shell_command *c)
{
	add(r, c, 1);
}

void shell_add_inner(
	struct reader *r, const struct shell_command *of, struct shell_word *argv, int started)
{
	shell_add_assigned(r, of, argv, NULL, started);
}

void shell_add_assigned(struct reader *r, const struct shell_command *of, struct shell_word *argv,
	struct shell_assignment *assignments, int started)
{
	struct shell_command *c = arena_alloc(r->arena, sizeof *c);

	if (!c) {
		shell_no_memory(r);
		return;
	}
	*c = (struct shell_command){.what = SHELL_NOTHING,
		.at = of->at,
		.inner = 1,
		.argv = argv,
		.assignments = assignments};
	for (const struct shell_word *w = argv; w; w = w->next)
		c->argc++;
	if (shell_deeper(r))
		return;
	add(r, c, !started);
	r->depth--;
}
