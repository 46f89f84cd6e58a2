/* Program starts: one rule is about one execve, after links are resolved.
 *
 *   PINS CLASS PATH NUL, then for each argument from argv[1] on: ACLASS ARGUMENT NUL
 *
 * PINS  'H'  every file that an allow rule pins is as a human last saw it; 'c' one is not, or nobody
 *            looked. A pinned rule allows only 'H' and counts as ask for the rest.
 * CLASS 't'  the program's file, and the path it was started by, stand where the agent cannot write,
 *            and argv[0] is the name of one of the two
 *       'w'  the agent could have put it there
 *       'n'  a path that is not what it says: the agent cannot write there, but it leads to a file that
 *            the agent can write, or argv[0] is another name, which a program may listen to
 *       'a'  an alias: PATH is a further name, of the file, of the path, or "?/NAME" from argv[0]
 * PATH       as the program was started: directories resolved, the last component as it was said
 * ACLASS 'f' begins with a dash · 'u' scheme:// · 'p' as a path, in the workspace · 'o' has a slash,
 *            or begins with . or ~, and lies outside · 'x' nobody can say what it names · 'w' a word
 *
 * What a rule says is approximated, see `side` in kind.h. An allow rule with a bare name stands for
 * 't' alone; one with a path for 't' and 'w' (whoever allows ws:/scripts/x trusts who writes there).
 * Ask and deny rules stand for every class, and for more spellings of what they say:
 * - flag(…): --name with a value attached, cut short to any length (GNU programs take what is
 *   unambiguous, down to `git push --m`), with one dash; a letter anywhere among others (-uf);
 * - the options of a known program before its sub-command (policy/tables/programs.def): any flag,
 *   and the values of those that take one;
 * - `busybox rm` for `rm`;
 * - path(…) and url: also as the value of a flag, and what nobody can say. */
#include <stdio.h>
#include <string.h>

#include "policy/internal.h"
#include "policy/kinds/exec.h"
#include "policy/kinds/programs.h"
#include "policy/text.h"

#define EVERY_CLASS  "twna" /* of a program */
#define PROGRAMS_FEW 4u /* known programs that one rule may be about without losing precision */

/* ---- parts of expressions ---- */

static const struct re *any_text(struct arena *a)
{
	return re_star(a, re_range(a, 1, 255));
}

static const struct re *text(struct arena *a, const char *s)
{
	return re_text(a, s, strlen(s));
}

static const struct re *one_of(struct arena *a, const char *bytes)
{
	struct byteset s = {{0}};

	for (; *bytes; bytes++)
		byteset_add(&s, (unsigned char)*bytes);
	return re_set(a, &s);
}

static const struct re *none_of(struct arena *a, const char *bytes)
{
	struct byteset s = {{0}}, rest;

	byteset_add(&s, 0);
	for (; *bytes; bytes++)
		byteset_add(&s, (unsigned char)*bytes);
	rest = byteset_not(&s);
	return re_set(a, &rest);
}

static const struct re *arg(struct arena *a, const char *classes, const struct re *content)
{
	return re_cat(a, one_of(a, classes), re_cat(a, content, re_end(a)));
}

static const struct re *unknown(struct arena *a)
{
	return arg(a, "x", any_text(a));
}

/* ---- flags ---- */

/* Nothing, or = and a value. */
static const struct re *maybe_value(struct arena *a)
{
	return re_opt(a, re_cat(a, text(a, "="), any_text(a)));
}

/* The first letter and any further ones, in their order. */
static const struct re *cut_short(struct arena *a, const char *s, size_t n)
{
	const struct re *r = re_empty(a);

	for (size_t i = n; i > 1; i--)
		r = re_opt(a, re_cat(a, re_text(a, s + i - 1, 1), r));
	return re_cat(a, re_text(a, s, 1), r);
}

/* A dash, letters without a value, x, and whatever follows. */
static const struct re *cluster(struct arena *a, const struct re *from_x)
{
	const struct re *before = re_cat(a, none_of(a, "-/="), re_star(a, none_of(a, "/=")));

	return re_cat(a, text(a, "-"), re_cat(a, re_opt(a, before), from_x));
}

static const struct re *both_letters(struct arena *a, const char *x, const char *y)
{
	const struct re *r = re_cat(a, re_text(a, y, 1), any_text(a));

	r = re_cat(a, re_text(a, x, 1), re_cat(a, re_star(a, none_of(a, "/=")), r));
	return cluster(a, r);
}

/* Every spelling of a flag, and more. */
static const struct re *flag_upper(struct arena *a, struct span flag)
{
	const char *name = flag.p + 1;
	size_t n = flag.n - 1;
	const struct re *r;

	if (n > 1 && name[0] == '-') {
		r = re_cat(a, text(a, "-"), re_text(a, name + 1, n - 1));
		r = re_alt(a, r, re_cat(a, text(a, "--"), cut_short(a, name + 1, n - 1)));
		return re_cat(a, r, maybe_value(a));
	}
	if (n == 1)
		return cluster(a, re_cat(a, re_text(a, name, 1), any_text(a)));
	r = re_cat(a, re_cat(a, text(a, "-"), re_opt(a, text(a, "-"))), re_text(a, name, n));
	r = re_cat(a, r, maybe_value(a));
	if (n == 2)
		r = re_alt(a, r,
			re_alt(a, both_letters(a, name, name + 1),
				both_letters(a, name + 1, name)));
	return r;
}

static const struct re *flags_re(struct arena *a, const struct exec_element *e, enum side side)
{
	const struct re *r = re_none(a);

	for (size_t i = 0; i < e->flags; i++)
		r = re_alt(a, r,
			side == LOWER ? re_text(a, e->flag[i].p, e->flag[i].n)
				      : flag_upper(a, e->flag[i]));
	r = arg(a, "f", r);
	return side == LOWER ? r : re_alt(a, r, unknown(a));
}

/* ---- other arguments ---- */

/* A value that may lie outside: absolute, in a home, or through a parent. */
static const struct re *outside_value(struct arena *a)
{
	const struct re *r = re_cat(a, one_of(a, "/~"), any_text(a));

	return re_alt(a, r, re_cat(a, any_text(a), re_cat(a, text(a, ".."), any_text(a))));
}

/* -oVALUE, --name=VALUE */
static const struct re *attached(struct arena *a, const struct re *value)
{
	const struct re *r = re_cat(a, text(a, "-"), none_of(a, "-"));

	r = re_alt(a, r, re_cat(a, text(a, "-"), re_cat(a, any_text(a), text(a, "="))));
	return arg(a, "f", re_cat(a, r, value));
}

static const struct re *place_re(struct arena *a, enum exec_part part, enum side side)
{
	const struct re *url = re_cat(a, any_text(a), re_cat(a, text(a, "://"), any_text(a)));

	if (side == LOWER)
		return arg(a,
			part == PART_INSIDE    ? "p"
			: part == PART_OUTSIDE ? "o"
					       : "u",
			any_text(a));
	if (part == PART_INSIDE)
		return re_alt(
			a, arg(a, "px", any_text(a)), attached(a, re_plus(a, none_of(a, ""))));
	if (part == PART_OUTSIDE)
		return re_alt(a, arg(a, "owx", any_text(a)), attached(a, outside_value(a)));
	return re_alt(a, arg(a, "ux", any_text(a)), attached(a, url));
}

static const struct re *element_re(struct arena *a, const struct exec_element *e, enum side side)
{
	const struct re *r;

	if (e->part == PART_REST)
		return re_star(a, arg(a, "fpouxw", any_text(a)));
	if (e->part == PART_FLAG)
		return flags_re(a, e, side);
	if (e->part != PART_WORD && e->part != PART_EMPTY)
		return place_re(a, e->part, side);
	r = arg(a, "fpouw", e->part == PART_EMPTY ? re_empty(a) : pattern_re(a, &e->word));
	return side == LOWER ? r : re_alt(a, r, unknown(a));
}

/* ---- options of known programs ---- */

static const struct re *any_flag(struct arena *a)
{
	return re_cat(a, text(a, "-"), any_text(a));
}

/* A word of `valued`, in every length where the program takes those. */
static const struct re *valued_word(
	struct arena *a, const struct program *p, const char *word, size_t n)
{
	if (n == 1 && *word == '*')
		return any_flag(a);
	if (p->abbreviated && n > 2 && word[0] == '-' && word[1] == '-')
		return re_cat(a, text(a, "--"), cut_short(a, word + 2, n - 2));
	return re_text(a, word, n);
}

static const struct re *valued_of(struct arena *a, const struct program *p)
{
	const struct re *r = re_none(a);
	const char *at = p->valued, *word;
	size_t n;

	while ((word = program_word(&at, &n)) != NULL)
		r = re_alt(a, r, valued_word(a, p, word, n));
	return r;
}

static const struct re *skipped_of(struct arena *a, const struct program *p)
{
	const struct re *r = re_none(a);
	const char *at = p->skipped, *word;
	size_t n;

	while ((word = program_word(&at, &n)) != NULL)
		r = re_alt(a, r, re_cat(a, re_text(a, word, n), any_text(a)));
	return arg(a, "pow", r);
}

/* One option: any flag, or one of `valued` and its value. */
static const struct re *option(struct arena *a, const struct re *valued)
{
	const struct re *r;

	r = re_alt(a, arg(a, "f", any_text(a)), unknown(a));
	return re_alt(a, r, re_cat(a, arg(a, "fpow", valued), arg(a, "fpouxw", any_text(a))));
}

/* One option of a program, or what else may stand there. */
static const struct re *option_of(struct arena *a, const struct program *p)
{
	return re_alt(a, option(a, valued_of(a, p)), skipped_of(a, p));
}

/* Does a rule's program include this one? */
static int is_about(const struct exec_rule *r, const struct program *p)
{
	char name[64];
	struct action_index index;
	size_t n;

	if (r->any_name)
		return 1;
	n = (size_t)snprintf(name, sizeof name, "/%s", p->name);
	index = text_index(name, n);
	return pattern_match(r->is_path ? &r->name : &r->program, name, n, &index, 0, 0);
}

/* Options may stand before the first element; with `between`, also before further words. Where `...`
 * stands they are part of it. */
static const struct re *elements_re(struct arena *a, const struct exec_rule *r, enum side side,
	const struct re *options, int between)
{
	const struct re *all = re_empty(a);

	for (size_t i = r->elements; i > 0; i--) {
		const struct exec_element *e = &r->element[i - 1];

		all = re_cat(a, element_re(a, e, side), all);
		if (options && e->part != PART_REST &&
			(i == 1 || (between && e->part == PART_WORD && e[-1].part != PART_REST)))
			all = re_cat(a, re_star(a, options), all);
	}
	return all;
}

/* ---- the program ---- */

static const struct re *in_any_directory(struct arena *a, const struct re *slashed)
{
	return re_cat(a, any_text(a), slashed);
}

static const struct re *program_re(struct arena *a, const struct exec_rule *r, const char *classes)
{
	const struct re *p = pattern_re(a, &r->program);

	return arg(a, classes, r->is_path ? p : in_any_directory(a, p));
}

/* `busybox rm`: it goes by its own name, and whatever that begins; again and again. */
static const struct re *multicall(
	struct arena *a, const struct exec_rule *r, const struct program *p)
{
	const struct re *self = re_cat(a, text(a, p->name), re_star(a, none_of(a, "/"))), *name,
			*by;
	const char *at = p->applet, *word;
	size_t n;

	name = re_alt(a, pattern_re(a, &r->name), in_any_directory(a, pattern_re(a, &r->program)));
	by = arg(a, "fpouw", name);
	while ((word = program_word(&at, &n)) != NULL)
		by = re_alt(a, by, arg(a, "f", re_cat(a, re_text(a, word, n), name)));
	self = re_cat(a, arg(a, EVERY_CLASS, in_any_directory(a, re_cat(a, text(a, "/"), self))),
		re_star(a, arg(a, "pow", re_cat(a, any_text(a), text(a, p->name)))));
	return re_cat(a, self, by);
}

/* A name: each known program by itself. */
static const struct re *each_known(struct arena *a, const struct exec_rule *r)
{
	const struct re *all = re_none(a), *head;
	const struct program *p;

	for (size_t i = 0; (p = program_at(i)) != NULL; i++) {
		if (!is_about(r, p))
			continue;
		head = re_cat(a, text(a, "/"), text(a, p->name));
		head = arg(a, EVERY_CLASS, in_any_directory(a, head));
		all = re_alt(a, all,
			re_cat(a, head, elements_re(a, r, UPPER, option_of(a, p), p->anywhere)));
	}
	return all;
}

/* The options of all programs that the rule may be about, together. Where those are many, every flag
 * may have a value, and they stand in one place: the exact lists would make large automata and say
 * little. */
static const struct re *all_known(struct arena *a, const struct exec_rule *r, int many)
{
	const struct re *options = re_none(a);
	const struct program *p;
	int between = 0;

	for (size_t i = 0; (p = program_at(i)) != NULL; i++) {
		if (!is_about(r, p))
			continue;
		options = re_alt(a, options, many ? skipped_of(a, p) : option_of(a, p));
		between |= p->anywhere;
	}
	if (many) {
		options = re_alt(a, options, option(a, any_flag(a)));
		between = 0;
	}
	return re_cat(a, program_re(a, r, EVERY_CLASS), elements_re(a, r, UPPER, options, between));
}

static const struct re *known_re(struct arena *a, const struct exec_rule *r)
{
	const struct program *p;
	size_t n = 0;

	for (size_t i = 0; (p = program_at(i)) != NULL; i++)
		n += (size_t)is_about(r, p);
	if (n == 0)
		return re_none(a);
	return r->is_path || n > PROGRAMS_FEW ? all_known(a, r, n > PROGRAMS_FEW)
					      : each_known(a, r);
}

static const struct re *with_pins(struct arena *a, const struct re *word)
{
	static const char either[] = {EXEC_HELD, EXEC_CHANGED, 0};

	return re_cat(a, one_of(a, either), word);
}

static const struct re *exec_language(
	struct arena *a, const void *rule, enum side side, const struct shape *shape)
{
	const struct exec_rule *r = rule;
	const struct program *p;
	const struct re *head, *all;

	(void)shape;
	if (side == LOWER)
		return with_pins(a, re_cat(a, program_re(a, r, r->is_path ? "tw" : "t"),
					    elements_re(a, r, LOWER, NULL, 0)));
	head = program_re(a, r, EVERY_CLASS);
	for (size_t i = 0; !r->is_path && (p = program_at(i)) != NULL; i++) {
		if (p->role == PROGRAM_MULTICALL)
			head = re_alt(a, head, multicall(a, r, p));
	}
	all = re_cat(a, head, elements_re(a, r, UPPER, NULL, 0));
	if (r->elements)
		all = re_alt(a, all, known_re(a, r));
	return with_pins(a, all);
}

static const struct re *exec_held(struct arena *a)
{
	return re_cat(a, re_range(a, EXEC_HELD, EXEC_HELD), re_star(a, re_range(a, 0, 255)));
}

/* ---- canonical words ---- */

static const struct re *argument(struct arena *a)
{
	const struct re *any = re_star(a, re_char_but(a, "")), *slashed, *scheme, *r;
	struct byteset letters = {{0}};

	slashed = re_cat(a, one_of(a, "/.~"), any);
	slashed = re_alt(a, slashed,
		re_cat(a, re_char_but(a, "-/.~"),
			re_cat(a, re_star(a, re_char_but(a, "/")), re_cat(a, text(a, "/"), any))));
	byteset_range(&letters, 'a', 'z');
	byteset_range(&letters, 'A', 'Z');
	scheme = re_set(a, &letters);
	byteset_range(&letters, '0', '9');
	byteset_add(&letters, '+');
	byteset_add(&letters, '.');
	byteset_add(&letters, '-');
	scheme = re_cat(a, scheme, re_star(a, re_set(a, &letters)));
	r = arg(a, "f", re_cat(a, text(a, "-"), any));
	r = re_alt(a, r, arg(a, "o", slashed));
	r = re_alt(a, r, arg(a, "px", re_cat(a, re_char_but(a, "-"), any)));
	r = re_alt(a, r, arg(a, "u", re_cat(a, scheme, re_cat(a, text(a, "://"), any))));
	return re_alt(a, r,
		arg(a, "w",
			re_opt(a, re_cat(a, re_char_but(a, "-/.~"),
					  re_star(a, re_char_but(a, "/"))))));
}

static const struct re *exec_canonical(struct arena *a, int primary, const struct shape *shape)
{
	const struct re *path = re_path(a), *r;

	(void)shape;
	r = re_cat(a, one_of(a, "twn"), path);
	if (!primary) {
		path = re_alt(a, path, re_cat(a, text(a, "?/"), re_plus(a, re_char_but(a, "/"))));
		r = re_alt(a, r, re_cat(a, text(a, "a"), path));
	}
	return with_pins(a, re_cat(a, re_cat(a, r, re_end(a)), re_star(a, argument(a))));
}

/* ---- actions as text ---- */

static size_t scheme_length(const char *s, size_t n)
{
	size_t i = 0;

	while (i < n && ((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
				(i && ((s[i] >= '0' && s[i] <= '9') || s[i] == '+' || s[i] == '.' ||
					      s[i] == '-'))))
		i++;
	return i;
}

char exec_text_class(const char *s, size_t n)
{
	size_t scheme = scheme_length(s, n);

	if (n == 0)
		return EXEC_WORD;
	if (s[0] == '-')
		return EXEC_FLAG;
	if (scheme && n - scheme >= 3 && memcmp(s + scheme, "://", 3) == 0)
		return EXEC_URL;
	return 0;
}

/* As if the program were started in the workspace. */
static char usual_class(const char *s, size_t n)
{
	char class = exec_text_class(s, n);
	size_t depth = 0, i = 0;

	if (class)
		return class;
	if (s[0] == '/' || s[0] == '~')
		return EXEC_OUTSIDE;
	while (i < n) {
		size_t start = i;

		while (i < n && s[i] != '/')
			i++;
		if (i - start == 2 && memcmp(s + start, "..", 2) == 0) {
			if (depth-- == 0)
				return EXEC_OUTSIDE;
		} else if (i > start && !(i - start == 1 && s[start] == '.')) {
			depth++;
		}
		i++;
	}
	return EXEC_INSIDE;
}

static char usual_program(const char *path, size_t n)
{
	return path_root(path, n) > 1 ? EXEC_WRITABLE : EXEC_TRUSTED;
}

struct mark {
	char class;
	const char *text;
};

static const struct mark pin_marks[] = {{EXEC_HELD, "(held)"}, {0, NULL}};
static const struct mark program_marks[] = {{EXEC_TRUSTED, "(trusted)"},
	{EXEC_WRITABLE, "(writable)"}, {EXEC_RENAMED, "(renamed)"}, {0, NULL}};
static const struct mark argument_marks[] = {{EXEC_INSIDE, "(ws)"}, {EXEC_OUTSIDE, "(out)"},
	{EXEC_URL, "(url)"}, {EXEC_UNKNOWN, "(unknown)"}, {EXEC_WORD, "(word)"}, {0, NULL}};

static const char *mark_text(const struct mark *m, char class)
{
	while (m->class && m->class != class)
		m++;
	return m->text;
}

/* Takes "(mark)" off the front of a word. The mark's class, 0: none of these. */
static char skip_mark(const struct mark *m, struct exec_token *t)
{
	for (; !t->quoted_first && m->class; m++) {
		size_t n = strlen(m->text);

		if (strncmp(t->text, m->text, n) != 0)
			continue;
		t->quoted_first = t->at[n] != t->at[n - 1] + 1; /* a quote stood in between */
		t->text += n;
		t->n -= n;
		t->at += n;
		return m->class;
	}
	return 0;
}

/* The same for the last mark that a word may have. *class 0: there is none. */
static int take_mark(
	const struct mark *m, struct exec_token *t, char *class, struct pattern_fault *f)
{
	*class = skip_mark(m, t);
	if (*class || t->quoted_first || t->text[0] != '(')
		return 0;
	return pattern_bad(f, t->start, t->end - t->start,
		"a word that begins with a parenthesis. Quote it; marks are (held), then "
		"(trusted), "
		"(writable), (renamed) for programs and (ws), (out), (url), (unknown), (word) for "
		"arguments");
}

static int read_program(struct word_builder *b, struct exec_token *t, struct pattern_fault *f)
{
	static const char usual[] = "/usr/bin/";
	char class, pins = skip_mark(pin_marks, t);

	if (take_mark(program_marks, t, &class, f))
		return -1;
	word_byte(b, (unsigned char)(pins ? pins : EXEC_CHANGED));
	if (t->n == 0)
		return pattern_bad(
			f, t->start, t->end - t->start, "an empty name. Write a program's name");
	if (!memchr(t->text, '/', t->n)) {
		if (strcmp(t->text, ".") == 0 || strcmp(t->text, "..") == 0 ||
			(!t->quoted && strcmp(t->text, "...") == 0))
			return pattern_bad(f, t->start, t->end - t->start,
				"no program. Write its name first, or its path");
		word_byte(b, (unsigned char)(class ? class : EXEC_TRUSTED));
		for (size_t i = 0; usual[i]; i++)
			word_byte(b, (unsigned char)usual[i]);
	} else {
		if (!path_is_canonical(t->text, t->n, f)) {
			f->at = t->start;
			f->len = t->end - t->start;
			return -1;
		}
		word_byte(b, (unsigned char)(class ? class : usual_program(t->text, t->n)));
	}
	word_field(b, t->text, t->n);
	return 0;
}

static int class_fits(char class, const char *s, size_t n)
{
	int slashed = n && (memchr(s, '/', n) || s[0] == '.' || s[0] == '~');

	if (n && s[0] == '-')
		return class == EXEC_FLAG;
	if (class == EXEC_URL)
		return exec_text_class(s, n) == EXEC_URL;
	if (class == EXEC_OUTSIDE)
		return slashed;
	return class == EXEC_WORD ? !slashed : n > 0;
}

static int read_argument(struct word_builder *b, struct exec_token *t, struct pattern_fault *f)
{
	char class;

	if (take_mark(argument_marks, t, &class, f))
		return -1;
	if (!t->quoted && strcmp(t->text, "...") == 0)
		return pattern_bad(f, t->start, t->end - t->start,
			"... in an action, which has no patterns. Write its arguments, or quote "
			"it");
	if (!class)
		class = usual_class(t->text, t->n);
	if (!class_fits(class, t->text, t->n))
		return pattern_bad(f, t->start, t->end - t->start,
			"an argument that cannot be marked like this. Leave the mark out");
	word_byte(b, (unsigned char)class);
	word_field(b, t->text, t->n);
	return 0;
}

static int exec_read(struct arena *a, const char *s, size_t n, const struct shape *shape,
	struct word *word, struct pattern_fault *f)
{
	struct word_builder b;
	struct exec_token t;
	size_t i = 0;
	int found;

	(void)shape;
	if (!utf8_ok(s, n))
		return pattern_bad(f, 0, n, "a command that is no UTF-8. Write one that is");
	if (word_begin(a, &b, 2 * n + 17))
		return pattern_no_memory(f);
	found = exec_token(a, s, n, &i, &t, f);
	if (found == 0)
		return pattern_bad(f, 0, n,
			"no program. Write the command that is started, as in `exec git status`");
	if (found < 0 || read_program(&b, &t, f))
		return -1;
	while ((found = exec_token(a, s, n, &i, &t, f)) == 1) {
		if (read_argument(&b, &t, f))
			return -1;
	}
	*word = (struct word){b.p, b.n};
	return found;
}

struct shown {
	char *out;
	size_t cap, n;
	int full;
};

static void put(struct shown *o, const char *s, size_t n)
{
	if (o->full || n >= o->cap - o->n) {
		o->full = 1;
		return;
	}
	memcpy(o->out + o->n, s, n);
	o->n += n;
	o->out[o->n] = 0;
}

/* In quotes where exec_token would not give it back; a text with both kinds of quotes in parts. */
static void put_word(struct shown *o, const char *s, size_t n)
{
	if (n && s[0] != '(' && !(n == 3 && memcmp(s, "...", 3) == 0) && !memchr(s, ' ', n) &&
		!memchr(s, '"', n) && !memchr(s, '\'', n)) {
		put(o, s, n);
		return;
	}
	do {
		const char *quote = n && s[0] == '"' ? "'" : "\"";
		const char *end = n ? memchr(s, *quote, n) : NULL;
		size_t part = end ? (size_t)(end - s) : n;

		put(o, quote, 1);
		put(o, s, part);
		put(o, quote, 1);
		s += part;
		n -= part;
	} while (n);
}

static int show_program(struct shown *o, char class, const char *path, size_t n)
{
	const char *slash = memrchr(path, '/', n);

	if (!slash)
		return -1;
	if (class == EXEC_TRUSTED && slash[1] && slash - path == 8 &&
		memcmp(path, "/usr/bin", 8) == 0) {
		put_word(o, slash + 1, n - 9);
		return 0;
	}
	if (class != usual_program(path, n)) {
		const char *mark = mark_text(program_marks, class);

		if (!mark)
			return -1;
		put(o, mark, strlen(mark));
	}
	put_word(o, path, n);
	return 0;
}

static int show_argument(struct shown *o, char class, const char *s, size_t n)
{
	put(o, " ", 1);
	if (class != usual_class(s, n)) {
		const char *mark = mark_text(argument_marks, class);

		if (!mark)
			return -1;
		put(o, mark, strlen(mark));
	}
	put_word(o, s, n);
	return 0;
}

static int exec_show(const struct word *w, const struct shape *shape, char *out, size_t cap)
{
	struct shown o = {.out = out, .cap = cap};
	const char *p = (const char *)w->p, *end = p + w->n;

	(void)shape;
	if (cap == 0 || w->n < 4 || end[-1] != 0 || p[1] == EXEC_ALIAS ||
		(p[0] != EXEC_HELD && p[0] != EXEC_CHANGED))
		return -1;
	if (*p++ == EXEC_HELD)
		put(&o, pin_marks[0].text, strlen(pin_marks[0].text));
	for (int first = 1; p < end; first = 0) {
		size_t n = strnlen(p + 1, (size_t)(end - p) - 1);

		if (p + 1 + n == end)
			return -1;
		if (first ? show_program(&o, *p, p + 1, n) : show_argument(&o, *p, p + 1, n))
			return -1;
		p += n + 2;
	}
	return o.full ? -1 : 0;
}

/* A program of the system, started as it is called, with flags and plain words (which could be
 * names of files in the workspace): what people think of. */
static const struct re *exec_natural(struct arena *a)
{
	const struct re *name = re_alt(a, re_range(a, 'a', 'z'), re_range(a, '0', '9')), *arg;

	name = re_plus(a, re_alt(a, name, re_alt(a, re_text(a, "-", 1), re_text(a, ".", 1))));
	name = with_pins(a, re_cat(a, re_text(a, "t/usr/bin/", 10), re_cat(a, name, re_end(a))));
	arg = re_cat(a, re_star(a, re_char_but(a, "")), re_end(a));
	arg = re_cat(a, re_alt(a, re_text(a, "f", 1), re_text(a, "p", 1)), arg);
	return re_cat(a, name, re_star(a, arg));
}

const struct kind kind_exec = {.id = ACTION_EXEC,
	.name = "exec",
	.section = "exec",
	.mechanism =
		"nothing yet: this version has no gate for exec rules, and runs nothing with them",
	.key = "cmd",
	.hint = "`git status ...` or `git push origin HEAD:refs/heads/agent/*`",
	.parse = exec_parse,
	.language = exec_language,
	.canonical = exec_canonical,
	.held = exec_held,
	.read = exec_read,
	.natural = exec_natural,
	.show = exec_show};
