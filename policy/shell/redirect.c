/* Redirections in shell text (XCU 2.7): which files a command would read or write. Bodies of
 * here-documents are word.c's. */
#include <string.h>

#include "policy/shell/reader.h"

static int is_number(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return 0;
	}
	return s.n > 0;
}

static void add_redirect(
	struct reader *r, struct shell_command *c, char op, const struct shell_word *target)
{
	struct shell_redirect *x = arena_alloc(r->arena, sizeof *x);

	if (!x) {
		shell_no_memory(r);
		return;
	}
	*x = (struct shell_redirect){op, target, c->redirects};
	c->redirects = x;
}

/* The word behind an operator. NULL: stopped. */
static struct shell_word *redirect_word(struct reader *r, struct word_form *form)
{
	struct shell_word *w = arena_alloc(r->arena, sizeof *w);
	size_t from;

	if (!w) {
		shell_no_memory(r);
		return NULL;
	}
	shell_skip_blanks(r);
	from = r->i;
	if (shell_is_delimiter(shell_cur(r))) {
		shell_stop(r, from, "a redirection to nowhere");
		return NULL;
	}
	if (shell_cur(r) == '!')
		shell_mark(r, from, "a redirection with `!`, which zsh reads otherwise");
	shell_word(r, w, form);
	return r->stopped ? NULL : w;
}

static void redirect_file(struct reader *r, struct shell_command *c, const char *ops)
{
	struct word_form form;
	const struct shell_word *w = redirect_word(r, &form);

	for (; w && *ops; ops++)
		add_redirect(r, c, *ops, w);
}

/* >&2, <&-: a descriptor. >&file is bash's and zsh's. */
static void redirect_descriptor(struct reader *r, struct shell_command *c, char op)
{
	struct word_form form;
	size_t from = r->i;
	const struct shell_word *w = redirect_word(r, &form);

	if (!w)
		return;
	if (w->class == SHELL_LITERAL && (is_number(w->text) || strcmp(w->text.p, "-") == 0))
		return;
	shell_mark(r, from, "a redirection that is no descriptor and no file to every shell");
	add_redirect(r, c, op, w);
}

static void redirect_heredoc(struct reader *r, int strip)
{
	struct word_form form;
	size_t from = r->i;
	const struct shell_word *w = redirect_word(r, &form);

	if (!w)
		return;
	if (r->substituted) {
		/* bash 5.2.15 runs `$(cat <<E…)` from a copy that it writes itself, without the
		 * separator behind the next command. */
		shell_stop(r, from, "a here-document in a substitution, which bash misreads");
		return;
	}
	if (w->class != SHELL_LITERAL || w->text.n == 0 || memchr(w->text.p, '\n', w->text.n) ||
		r->pending == SHELL_HEREDOCS_MAX) {
		shell_stop(r, from, "a here-document that cannot be told where it ends");
		return;
	}
	r->heredoc[r->pending++] = (struct heredoc){w->text, form.quoted, strip};
}

static void here_string(struct reader *r)
{
	struct word_form form;

	shell_mark(r, r->i, "`<<<`, which not all shells have");
	(void)redirect_word(r, &form);
}

static void redirect_in(struct reader *r, struct shell_command *c)
{
	if (shell_take_operator(r, "<<")) {
		int next = shell_cur(r);

		if (next == '<' || next == '-')
			r->i++;
		if (next == '<')
			here_string(r);
		else
			redirect_heredoc(r, next == '-');
	} else if (shell_take_operator(r, "<&")) {
		redirect_descriptor(r, c, 'r');
	} else if (shell_take_operator(r, "<>")) {
		redirect_file(r, c, "rw");
	} else {
		r->i++;
		redirect_file(r, c, "r");
	}
}

static void redirect_out(struct reader *r, struct shell_command *c)
{
	if (shell_take_operator(r, ">&")) {
		redirect_descriptor(r, c, 'w');
		return;
	}
	if (!shell_take_operator(r, ">>") && !shell_take_operator(r, ">|"))
		r->i++;
	redirect_file(r, c, "w");
}

/* zsh: <1-9> is a pattern. */
static int is_number_pattern(const struct reader *r)
{
	size_t i = r->i + 1;

	while (i < r->n && r->s[i] && strchr("0123456789-\\\n", r->s[i]))
		i++;
	return i > r->i + 1 && i < r->n && r->s[i] == '>';
}

/* With its number. */
static int take_one(struct reader *r, struct shell_command *c)
{
	size_t from = r->i, digits = 0;

	(void)shell_cur(r);
	while (shell_cur(r) >= '0' && shell_cur(r) <= '9') {
		r->i++;
		digits++;
	}
	if (shell_cur(r) != '<' && shell_cur(r) != '>') {
		r->i = from;
		return 0;
	}
	if (!digits && shell_next(r) == '(')
		return 0;
	if (digits > 1)
		shell_mark(r, from, "a descriptor of two digits, which is a word to some shells");
	if (shell_cur(r) == '<' && is_number_pattern(r))
		shell_mark(r, from, "`<1-9>` is a pattern in zsh");
	if (shell_cur(r) == '<')
		redirect_in(r, c);
	else
		redirect_out(r, c);
	return 1;
}

/* &>file, &>>file of bash and zsh; to others it is `&` and `>`. */
static int take_both(struct reader *r, struct shell_command *c)
{
	size_t from = r->i;

	if (!shell_take_operator(r, "&>"))
		return 0;
	shell_mark(r, from, "`&>`, which is `&` to some shells");
	if (shell_cur(r) == '>')
		r->i++;
	redirect_file(r, c, "w");
	return 1;
}

int shell_redirection(struct reader *r, struct shell_command *c)
{
	return take_one(r, c) || take_both(r, c);
}
