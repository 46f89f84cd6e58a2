/* Programs that start the program which their arguments name (policy/tables/wrappers.def). What such a
 * program is told is read as strictly as shell text: an option that is not in the table may take the
 * next word, so it makes the place opaque. */
#include "policy/shell/wrap.h"

#include <string.h>

#include "policy/kinds/programs.h"

enum how { WRAP_COMMAND, WRAP_XARGS, WRAP_FIND, WRAP_SHELL, WRAP_TEXT, WRAP_OPAQUE };

struct wrapper {
	const char *name;
	enum how how;
	unsigned operands;
	int assigns;
	const char *valued, *flags, *hides;
};

static const struct wrapper wrappers[] = {
#include "policy/tables/wrappers.def"
};

static const char not_spelled[] =
	"arguments, not spelled out, of a program that starts another one";

static const struct wrapper *wrapper_of(const struct shell_word *w)
{
	const char *slash = strrchr(w->text.p, '/');
	const char *name = slash ? slash + 1 : w->text.p;

	for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++) {
		if (strcmp(name, wrappers[i].name) == 0)
			return &wrappers[i];
	}
	return NULL;
}

/* ---- options ---- */

enum takes { TAKES_NOTHING, TAKES_NEXT, TAKES_UNKNOWN };

static int in_valued(const struct wrapper *w, const char *option, size_t n)
{
	const struct program *p = program_named(w->name);

	return shell_listed(w->valued, option, n) || (p && shell_listed(p->valued, option, n));
}

static enum takes known_option(const struct wrapper *w, const char *s, size_t n, int *hides)
{
	*hides |= shell_listed(w->hides, s, n);
	if (in_valued(w, s, n))
		return TAKES_NEXT;
	return shell_listed(w->flags, s, n) || shell_listed(w->hides, s, n) ? TAKES_NOTHING
									    : TAKES_UNKNOWN;
}

static enum takes short_options(const struct wrapper *w, const char *s, int *hides)
{
	for (size_t i = 1; s[i]; i++) {
		const char option[3] = {'-', s[i], 0};
		enum takes t = known_option(w, option, 2, hides);

		if (t == TAKES_NEXT)
			return s[i + 1] ? TAKES_NOTHING : TAKES_NEXT;
		if (t == TAKES_UNKNOWN)
			return t;
	}
	return TAKES_NOTHING;
}

static enum takes option_takes(const struct wrapper *w, const char *s, int *hides)
{
	size_t n = strcspn(s, "=");
	enum takes t;

	if (s[1] != '-')
		return short_options(w, s, hides);
	t = known_option(w, s, n, hides);
	return s[n] && t == TAKES_NEXT ? TAKES_NOTHING : t;
}

static int is_option(const struct wrapper *w, const struct shell_word *word)
{
	const char *s = word->text.p;

	if (s[0] != '-')
		return 0;
	return s[1] || shell_listed(w->flags, "-", 1);
}

/* What replaces words in the arguments of xargs. */
static void note_replaced(const struct shell_word *w, const char **replaced)
{
	const char *s = w->text.p;

	if (strncmp(s, "-I", 2) == 0)
		*replaced = s[2]                                         ? s + 2
			    : w->next && w->next->class == SHELL_LITERAL ? w->next->text.p
									 : "";
	else if (strncmp(s, "--replace=", 10) == 0)
		*replaced = s + 10;
	else if (strcmp(s, "-i") == 0 || strcmp(s, "--replace") == 0)
		*replaced = "{}";
	else if (s[1] != '-' && strpbrk(s, "iI"))
		*replaced = ""; /* among others: any word may be replaced */
}

/* The first word behind the options. Stops at what it cannot read, which is marked. */
static struct shell_word *behind_options(struct reader *r, const struct shell_command *c,
	const struct wrapper *w, const char **replaced)
{
	struct shell_word *word = c->argv->next;

	while (word && word->class == SHELL_LITERAL && is_option(w, word)) {
		enum takes t;
		int hides = 0;

		if (shell_is(word, "--"))
			return word->next;
		t = option_takes(w, word->text.p, &hides);
		note_replaced(word, replaced);
		if (t == TAKES_UNKNOWN || hides)
			shell_mark_command(r, c,
				"an option, unknown or far-reaching, of a program that starts "
				"another one");
		if (t == TAKES_NEXT && word->next && word->next->class != SHELL_LITERAL)
			shell_mark_command(r, c, not_spelled);
		if (t == TAKES_NEXT && word->next)
			word = word->next;
		word = word->next;
	}
	for (unsigned i = 0; i < w->operands && word; i++, word = word->next) {
		if (word->class != SHELL_LITERAL)
			shell_mark_command(r, c, not_spelled);
	}
	return word;
}

/* ---- words of the inner command ---- */

struct list {
	struct shell_word *first, **end;
};

static void list_add(struct reader *r, struct list *l, struct shell_word w)
{
	struct shell_word *copy = arena_alloc(r->arena, sizeof *copy);

	if (!copy) {
		shell_no_memory(r);
		return;
	}
	*copy = w;
	copy->next = NULL;
	*l->end = copy;
	l->end = &copy->next;
}

/* Words up to `until`, those with `replaced` in them as unknown ones. */
static struct list copy_words(struct reader *r, struct shell_word *from,
	const struct shell_word *until, const char *replaced)
{
	struct list l = {0};

	l.end = &l.first;
	for (const struct shell_word *w = from; w && w != until && !r->stopped; w = w->next) {
		struct shell_word word = *w;

		if (replaced && w->class == SHELL_LITERAL && strstr(w->text.p, replaced))
			word.class = SHELL_EXPANDED;
		list_add(r, &l, word);
		if (l.first == NULL)
			break;
	}
	return l;
}

/* ---- kinds of wrappers ---- */

static void wrap_command(struct reader *r, struct shell_command *c, const struct wrapper *w)
{
	struct shell_command assigned = {0};
	const char *replaced = NULL;
	struct shell_word *word;

	if (shell_is(c->argv, "command") &&
		(shell_is(c->argv->next, "-v") || shell_is(c->argv->next, "-V")))
		return; /* only says where it is */
	word = behind_options(r, c, w, &replaced);
	for (; word && w->assigns && memchr(word->text.p, '=', word->text.n); word = word->next) {
		if (!shell_assign(r, &assigned, word, 0))
			shell_mark_command(r, c, "a variable whose name is none");
	}
	if (word && word->class == SHELL_LITERAL && memchr(word->text.p, '=', word->text.n))
		shell_mark_command(r, c, "a program with `=` in its name");
	if (word || assigned.assignments)
		shell_add_assigned(r, c, word, assigned.assignments,
			!shell_is(c->argv, "command") && !shell_is(c->argv, "builtin"));
}

static void wrap_xargs(struct reader *r, struct shell_command *c, const struct wrapper *w)
{
	const struct shell_word more = {.class = SHELL_EXPANDED, .text = {"…", strlen("…")}};
	const char *replaced = NULL;
	struct shell_word *word = behind_options(r, c, w, &replaced);
	struct list l;

	if (!word)
		return; /* runs echo */
	l = copy_words(r, word, NULL, replaced);
	if (!replaced && !r->stopped)
		list_add(r, &l, more);
	if (!r->stopped)
		shell_add_inner(r, c, l.first, 1);
}

static int is_exec(const struct shell_word *w)
{
	return shell_is(w, "-exec") || shell_is(w, "-ok") || shell_is(w, "-execdir") ||
	       shell_is(w, "-okdir");
}

/* `;`, or the `+` behind `{}`. NULL: it does not end. */
static struct shell_word *end_of_exec(struct shell_word *w)
{
	const struct shell_word *last = NULL;

	for (; w && !shell_is(w, ";") && !(shell_is(w, "+") && shell_is(last, "{}")); w = w->next)
		last = w;
	return w;
}

static void find_writes(struct reader *r, struct shell_command *c, const struct shell_word *w)
{
	struct shell_redirect *x = arena_alloc(r->arena, sizeof *x);

	if (!x) {
		shell_no_memory(r);
		return;
	}
	*x = (struct shell_redirect){'w', w, c->redirects};
	c->redirects = x;
}

static void wrap_find(struct reader *r, struct shell_command *c)
{
	struct shell_word *w = c->argv->next, *start;

	for (; w && !r->stopped; w = w ? w->next : NULL) {
		if (w->class == SHELL_LITERAL && w->next &&
			shell_listed("-fprint -fprint0 -fprintf -fls", w->text.p, w->text.n))
			find_writes(r, c, w->next);
		if (!is_exec(w))
			continue;
		if (shell_is(w, "-execdir") || shell_is(w, "-okdir"))
			shell_mark_command(
				r, c, "`find -execdir`, which runs in other directories");
		start = w->next;
		w = end_of_exec(start);
		if (start && start != w)
			shell_add_inner(r, c, copy_words(r, start, w, "{}").first, 1);
	}
}

/* Letters of a shell's options. 1: -c is among them. */
static int shell_letters(const char *s, unsigned *values, int *input, int *known)
{
	int text = 0;

	for (s++; *s; s++) {
		text |= *s == 'c';
		*input |= *s == 's';
		*values += *s == 'o' || *s == 'O';
		*known &= strchr("cosOabefhklmnptuvxBCEHPT", *s) != NULL;
	}
	return text;
}

struct started_shell {
	struct shell_word *operand; /* the first one */
	int text, input, known;
};

static struct started_shell shell_options(struct shell_word *w)
{
	struct started_shell s = {.known = 1};

	for (; w; w = w->next) {
		unsigned values = 0;
		const char *t = w->text.p;

		if (w->class != SHELL_LITERAL)
			s.known = 0;
		if (w->class != SHELL_LITERAL || (*t != '-' && *t != '+'))
			break;
		if (strcmp(t, "--") == 0 || strcmp(t, "-") == 0) {
			w = w->next;
			break;
		}
		if (t[0] == '-' && t[1] == '-')
			s.known &= shell_listed("--norc --noprofile --posix --login", t, w->text.n);
		else
			s.text |= shell_letters(t, &values, &s.input, &s.known);
		for (; values && w->next; values--)
			w = w->next;
	}
	s.operand = w;
	return s;
}

static void wrap_shell(struct reader *r, struct shell_command *c)
{
	struct started_shell s = shell_options(c->argv->next);

	if (!s.known)
		shell_mark_command(r, c, "a shell with options that are not known");
	if (s.text && s.operand && s.operand->class == SHELL_LITERAL)
		shell_text(r, s.operand->text, c->at - (r->copy ? 0 : r->at), 1);
	else if (s.text)
		shell_mark_command(r, c, "a shell that runs a text which is not spelled out");
	else if (s.input || !s.operand)
		shell_mark_command(r, c, "a shell that reads commands from its input");
}

static void wrap_text(struct reader *r, struct shell_command *c, const struct wrapper *w)
{
	const char *replaced = NULL;
	struct shell_word *word = behind_options(r, c, w, &replaced);
	size_t n = 0, at = 0;
	char *text;

	for (const struct shell_word *x = word; x; x = x->next) {
		n += x->text.n + 1;
		if (x->class != SHELL_LITERAL) {
			shell_mark_command(
				r, c, "a shell that runs a text which is not spelled out");
			return;
		}
	}
	text = arena_alloc(r->arena, n + 1);
	if (!text) {
		shell_no_memory(r);
		return;
	}
	for (const struct shell_word *x = word; x; x = x->next) {
		memcpy(text + at, x->text.p, x->text.n);
		text[at + x->text.n] = ' ';
		at += x->text.n + 1;
	}
	shell_text(r, (struct span){text, at}, c->at - (r->copy ? 0 : r->at), 1);
}

void shell_wrapped(struct reader *r, struct shell_command *c)
{
	const struct wrapper *w = wrapper_of(c->argv);

	if (!w)
		return;
	switch (w->how) {
	case WRAP_COMMAND:
		wrap_command(r, c, w);
		break;
	case WRAP_XARGS:
		wrap_xargs(r, c, w);
		break;
	case WRAP_FIND:
		wrap_find(r, c);
		break;
	case WRAP_SHELL:
		wrap_shell(r, c);
		break;
	case WRAP_TEXT:
		wrap_text(r, c, w);
		break;
	case WRAP_OPAQUE:
		shell_mark_command(r, c, "a program that starts others in ways not looked at");
		break;
	}
}
