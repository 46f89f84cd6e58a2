/* Words of shell text (XCU 2.2, 2.3, 2.6, 2.7.4): quotes are taken off exactly as a shell does, and
 * what a shell would expand is not guessed but classed. Commands in substitutions are read where they
 * stand. */
#include <string.h>

#include "policy/shell/reader.h"

struct word {
	size_t start; /* in r->scratch */
	size_t from; /* in r->s */
	enum shell_class class;
	int empty; /* nothing of it was read yet */
	char last; /* its last byte when that was not quoted, else 0 */
	int brace;
	struct word_form form;
};

int shell_cur(struct reader *r)
{
	while (r->i + 1 < r->n && r->s[r->i] == '\\' && r->s[r->i + 1] == '\n')
		r->i += 2;
	return r->i < r->n ? (unsigned char)r->s[r->i] : -1;
}

int shell_next(struct reader *r)
{
	size_t i;
	int c;

	if (shell_cur(r) < 0)
		return -1;
	i = r->i++;
	c = shell_cur(r);
	r->i = i;
	return c;
}

int shell_is_blank(int c)
{
	return c == ' ' || c == '\t';
}

int shell_is_delimiter(int c)
{
	return c < 0 || shell_is_blank(c) || c == '\n' || strchr(";&|<>()", c) != NULL;
}

static int is_name_start(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static int is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static int is_name(int c)
{
	return is_name_start(c) || is_digit(c);
}

static void put(struct reader *r, struct word *w, int c, int quoted)
{
	r->scratch[r->top++] = (char)c;
	w->last = quoted ? 0 : (char)c;
	w->empty = 0;
	w->form.quoted |= quoted;
}

static void unknown(struct word *w)
{
	w->class = SHELL_UNKNOWN;
	w->empty = 0;
	w->last = 0;
}

/* ---- substitutions ---- */

static void substitution(struct reader *r, size_t from)
{
	size_t held = r->held;

	if (shell_deeper(r))
		return;
	r->held = r->pending;
	r->substituted++;
	shell_list(r, 0);
	r->substituted--;
	r->depth--;
	r->held = held;
	if (!r->stopped && shell_cur(r) != ')')
		shell_stop(r, from, "a `(` that is not closed, or something unexpected in it");
	else if (!r->stopped)
		r->i++;
}

/* Numbers and operators only: the value of a variable in arithmetic is itself evaluated by bash,
 * subscripts and the commands in them included. */
static void arithmetic(struct reader *r, size_t from)
{
	unsigned open = 2;
	int c;

	for (; open && (c = shell_cur(r)) >= 0; r->i++) {
		int split = 0; /* `$((1) | (2))` is a command */

		if (c == '(')
			open++;
		if (c == ')')
			split = --open == 1 && shell_next(r) != ')';
		if (split || !(is_digit(c) || shell_is_blank(c) || strchr("()+-*/%<>=!&|^~?:,", c)))
			break;
	}
	if (open)
		shell_stop(r, from, "arithmetic on more than numbers, which can run commands");
}

/* `…`, XCU 2.6.3: a backslash before $, ` or \ is taken off, then it is a text of its own. */
static void backquoted(struct reader *r, struct word *w, int in_quotes)
{
	size_t from = r->i++, top = r->top;
	struct span text = {r->scratch + top, 0};

	unknown(w);
	for (; r->i < r->n && r->s[r->i] != '`'; r->i++) {
		char c = r->s[r->i];

		if (in_quotes && c == '"') {
			shell_stop(r, r->i, "quotes in a backquoted command in quotes");
			return;
		}
		if (c == '\\' && r->i + 1 < r->n && strchr("$`\\", r->s[r->i + 1]))
			c = r->s[++r->i];
		else if (c == '\n' && r->pending) {
			shell_stop(r, r->i, "a line end in a word before a here-document");
			return;
		}
		r->scratch[r->top++] = c;
	}
	if (r->i == r->n) {
		shell_stop(r, from, "a backquote that is not closed");
		return;
	}
	r->i++;
	text.n = r->top - top;
	shell_text(r, text, from, 0);
	r->top = top;
}

static void dollar(struct reader *r, struct word *w, int in_quotes);
static void double_quoted(struct reader *r, struct word *w);
static void single_quoted(struct reader *r, struct word *w);

/* The word in ${name:-word}, up to the brace. Quotes in it mean different things to different shells
 * where the whole stands in quotes. */
static void parameter_word(struct reader *r, struct word *w, size_t from, int in_quotes)
{
	int c;

	while (!r->stopped && (c = shell_cur(r)) != '}') {
		if (c < 0)
			shell_stop(r, from, "a `${` that is not closed");
		else if (in_quotes && (c == '\'' || c == '"'))
			shell_stop(r, r->i, "quotes in ${…} in quotes");
		else if (c == '\n' && r->pending)
			shell_stop(r, r->i, "a line end in a word before a here-document");
		else if (c == '\\')
			r->i += 2;
		else if (c == '\'')
			single_quoted(r, w);
		else if (c == '"')
			double_quoted(r, w);
		else if (c == '`')
			backquoted(r, w, in_quotes);
		else if (c == '$')
			dollar(r, w, in_quotes);
		else if (c == '<' || c == '>' || c == '(')
			shell_stop(r, r->i, "a special character in ${…}");
		else
			r->i++;
		if (r->i > r->n)
			r->i = r->n;
	}
	if (!r->stopped)
		r->i++;
}

static void parameter_name(struct reader *r)
{
	if (is_name_start(shell_cur(r))) {
		while (is_name(shell_cur(r)))
			r->i++;
	} else if (is_digit(shell_cur(r))) {
		while (is_digit(shell_cur(r)))
			r->i++;
	} else if (shell_cur(r) > 0 && strchr("@*?$!-", shell_cur(r))) {
		r->i++;
	} else {
		shell_stop(r, r->i, "a form of ${…} that not all shells have");
	}
}

/* ${name}, ${#name}, and the operators of XCU 2.6.2 but `=`, which assigns. */
static void braced_parameter(struct reader *r, struct word *w, size_t from, int in_quotes)
{
	int length = shell_cur(r) == '#', c;

	if (length)
		r->i++;
	if (length && shell_cur(r) == '}') { /* ${#} */
		r->i++;
		return;
	}
	parameter_name(r);
	c = shell_cur(r);
	if (r->stopped || c == '}') {
		r->i += !r->stopped;
		return;
	}
	if (c == ':') {
		r->i++;
		c = shell_cur(r);
		if (c == '#' || c == '%')
			c = 0;
	}
	if (length || c <= 0 || !strchr("-+?#%", c)) {
		shell_stop(r, from, "a form of ${…} that not all shells have, or that assigns");
		return;
	}
	r->i++;
	if ((c == '#' || c == '%') && shell_cur(r) == c)
		r->i++;
	parameter_word(r, w, from, in_quotes);
}

static void parenthesised(struct reader *r, size_t from)
{
	r->i++;
	if (shell_cur(r) != '(') {
		substitution(r, from);
		return;
	}
	r->i++;
	arithmetic(r, from);
}

/* A dollar sign that means itself to every shell. */
static int is_plain_dollar(int c, int in_quotes)
{
	if (in_quotes && (c == '"' || c == '\''))
		return 1;
	return c != '(' && (shell_is_delimiter(c) || strchr("/.,%\\", c));
}

static void dollar(struct reader *r, struct word *w, int in_quotes)
{
	size_t from = r->i++;
	int c = shell_cur(r);

	if (is_plain_dollar(c, in_quotes)) {
		put(r, w, '$', in_quotes);
		return;
	}
	unknown(w);
	if (c == '(') {
		parenthesised(r, from);
	} else if (c == '{') {
		r->i++;
		braced_parameter(r, w, from, in_quotes);
	} else if (is_name_start(c)) {
		while (is_name(shell_cur(r)))
			r->i++;
		if (shell_cur(r) == '[')
			shell_mark(r, from, "a subscript in zsh, which can run commands");
	} else if (is_digit(c) || strchr("@*#?$!-", c)) {
		r->i++;
	} else {
		shell_stop(r, from, "a form of `$` that not all shells have");
	}
}

/* ---- quotes ---- */

static void escaped(struct reader *r, struct word *w)
{
	if (r->i + 1 >= r->n) {
		shell_stop(r, r->i, "a backslash at the end");
		return;
	}
	put(r, w, r->s[r->i + 1], 1);
	r->i += 2;
}

static void single_quoted(struct reader *r, struct word *w)
{
	size_t from = r->i++;

	w->empty = 0;
	w->last = 0;
	w->form.quoted = 1;
	for (; r->i < r->n && r->s[r->i] != '\''; r->i++) {
		if (r->s[r->i] == '\n' && r->pending) {
			shell_stop(r, r->i, "a line end in a word before a here-document");
			return;
		}
		put(r, w, r->s[r->i], 1);
	}
	if (r->i == r->n)
		shell_stop(r, from, "a quote that is not closed");
	else
		r->i++;
}

/* One character of a text in double quotes or in a here-document (XCU 2.2.3, 2.7.4). */
static void quoted_char(struct reader *r, struct word *w, int c, const char *escapes)
{
	if (c == '$') {
		dollar(r, w, 1);
	} else if (c == '`') {
		backquoted(r, w, 1);
	} else if (c == '\n' && r->pending) {
		shell_stop(r, r->i, "a line end in a word before a here-document");
	} else if (c == '\\' && r->i + 1 < r->n && strchr(escapes, r->s[r->i + 1])) {
		escaped(r, w);
	} else {
		put(r, w, c, 1);
		r->i++;
	}
}

static void double_quoted(struct reader *r, struct word *w)
{
	size_t from = r->i++;
	int c;

	w->empty = 0;
	w->last = 0;
	w->form.quoted = 1;
	while (!r->stopped && (c = shell_cur(r)) != '"') {
		if (c < 0)
			shell_stop(r, from, "a quote that is not closed");
		else
			quoted_char(r, w, c, "$`\"\\");
	}
	if (!r->stopped)
		r->i++;
}

/* ---- a word ---- */

static int is_assigned_name(const char *s, size_t n)
{
	if (n == 0 || !is_name_start((unsigned char)s[0]))
		return 0;
	for (size_t i = 1; i < n; i++) {
		if (!is_name((unsigned char)s[i]))
			return 0;
	}
	return 1;
}

/* NAME= or NAME+= so far, none of it quoted (XCU 2.9.1; += is bash's and zsh's). */
static void note_equals(struct reader *r, struct word *w)
{
	const char *s = r->scratch + w->start;
	size_t n = r->top - w->start;

	if (w->form.name || w->form.quoted || w->class != SHELL_LITERAL)
		return;
	if (n > 1 && s[n - 1] == '+') {
		w->form.plus = is_assigned_name(s, n - 1);
		n--;
	}
	if (is_assigned_name(s, n))
		w->form.name = n;
}

static void expanded(struct word *w)
{
	if (w->class == SHELL_LITERAL)
		w->class = SHELL_EXPANDED;
}

static void unquoted_char(struct reader *r, struct word *w, int c)
{
	if (strchr("*?[", c))
		expanded(w);
	if (c == '~' && (w->empty || w->last == ':' || w->last == '='))
		expanded(w);
	if (w->brace && (c == ',' || (c == '.' && w->last == '.')))
		expanded(w);
	if (c == '{')
		w->brace = 1;
	if (c == '=' && w->empty && !shell_is_delimiter(shell_next(r)) && shell_next(r) != '=')
		shell_mark(r, r->i, "`=name` is a path in zsh");
	if (c == '=')
		note_equals(r, w);
	put(r, w, c, 0);
	r->i++;
}

static void word_char(struct reader *r, struct word *w, int c)
{
	switch (c) {
	case '\\':
		escaped(r, w);
		break;
	case '\'':
		single_quoted(r, w);
		break;
	case '"':
		double_quoted(r, w);
		break;
	case '$':
		dollar(r, w, 0);
		break;
	case '`':
		backquoted(r, w, 0);
		break;
	default:
		unquoted_char(r, w, c);
	}
}

void shell_word(struct reader *r, struct shell_word *out, struct word_form *form)
{
	struct word w = {.empty = 1};
	const char *text;
	size_t n;
	int c = shell_cur(r);

	w.from = r->i;
	w.start = r->top;
	while (!r->stopped && !shell_is_delimiter(c)) {
		word_char(r, &w, c);
		c = shell_cur(r);
	}
	text = w.class == SHELL_LITERAL ? r->scratch + w.start : r->s + w.from;
	n = w.class == SHELL_LITERAL ? r->top - w.start : r->i - w.from;
	*out = (struct shell_word){.class = w.class, .text = {arena_copy(r->arena, text, n), n}};
	if (!out->text.p)
		shell_no_memory(r);
	r->top = w.start;
	*form = w.form;
}

/* ---- here-documents ---- */

/* The commands in a body that is expanded. */
static void read_body(struct reader *r, size_t start, size_t end)
{
	struct word w = {.start = r->top};
	size_t i = r->i, n = r->n, pending = r->pending, held = r->held;

	r->i = start;
	r->n = end;
	r->pending = r->held = 0;
	while (!r->stopped && r->i < r->n)
		quoted_char(r, &w, (unsigned char)r->s[r->i], "$`\\");
	r->top = w.start;
	r->i = i;
	r->n = n;
	r->pending = pending;
	r->held = held;
}

static int is_last_line(const struct heredoc *h, const char *line, size_t n)
{
	while (h->strip && n && *line == '\t') {
		line++;
		n--;
	}
	return n == h->end.n && memcmp(line, h->end.p, n) == 0;
}

static void read_heredoc(struct reader *r, const struct heredoc *h)
{
	size_t start = r->i, line;

	for (;;) {
		const char *end = memchr(r->s + r->i, '\n', r->n - r->i);
		size_t n = end ? (size_t)(end - r->s) - r->i : r->n - r->i;

		line = r->i;
		r->i += n + (end != NULL);
		if (is_last_line(h, r->s + line, n))
			break;
		if (!end) {
			shell_stop(r, start, "a here-document that does not end");
			return;
		}
		if (!h->quoted && n && end[-1] == '\\') {
			shell_stop(r, line, "a line continued in a here-document");
			return;
		}
	}
	if (!h->quoted)
		read_body(r, start, line);
}

void shell_heredocs(struct reader *r)
{
	if (r->held) {
		shell_stop(r, r->i, "a line end in a substitution before a here-document");
		return;
	}
	for (size_t i = 0; i < r->pending && !r->stopped; i++)
		read_heredoc(r, &r->heredoc[i]);
	r->pending = 0;
}
