/* The grammar of shell text (XCU 2.9, 2.10), by recursive descent. Everything in a compound command is
 * a command that may run: conditions are not looked at. */
#include <string.h>

#include "common/cleanup.h"
#include "policy/shell/reader.h"
#include "policy/text.h"

void shell_mark_at(struct shell_script *out, size_t at, const char *why)
{
	for (size_t i = 0; i < out->marks; i++) {
		if (out->mark[i].at == at && out->mark[i].why == why)
			return;
	}
	if (out->marks < SHELL_MARKS_MAX)
		out->mark[out->marks++] = (struct shell_mark){at, why};
}

void shell_mark(struct reader *r, size_t i, const char *why)
{
	shell_mark_at(r->out, r->copy ? r->at : r->at + i, why);
}

void shell_stop(struct reader *r, size_t i, const char *why)
{
	if (!r->stopped)
		shell_mark(r, i, why);
	r->stopped = 1;
}

void shell_no_memory(struct reader *r)
{
	r->out->no_memory = 1;
	r->stopped = 1;
}

int shell_deeper(struct reader *r)
{
	if (r->depth < SHELL_DEPTH_MAX) {
		r->depth++;
		return 0;
	}
	shell_stop(r, r->i, "commands in commands, too many of them");
	return -1;
}

/* ---- between words ---- */

void shell_skip_blanks(struct reader *r)
{
	int c;

	while (shell_is_blank(c = shell_cur(r)))
		r->i++;
	if (c == '#') {
		const char *end = memchr(r->s + r->i, '\n', r->n - r->i);

		r->i = end ? (size_t)(end - r->s) : r->n;
	}
}

static void skip_newlines(struct reader *r)
{
	shell_skip_blanks(r);
	while (!r->stopped && shell_cur(r) == '\n') {
		r->i++;
		shell_heredocs(r);
		shell_skip_blanks(r);
	}
}

int shell_take_operator(struct reader *r, const char *op)
{
	if (shell_cur(r) != op[0] || shell_next(r) != op[1])
		return 0;
	(void)shell_cur(r);
	r->i++;
	(void)shell_cur(r);
	r->i++;
	return 1;
}

/* The plain word that stands here, as far as it can be a reserved one. Its length, at most cap-1;
 * *after: where it ends. */
static size_t peek_word(struct reader *r, char *word, size_t cap, size_t *after)
{
	size_t i = r->i, n = 0;
	int c;

	for (; !shell_is_delimiter(c = shell_cur(r)) && n + 1 < cap; r->i++)
		word[n++] = (char)c;
	if (!shell_is_delimiter(c))
		n = 0;
	word[n] = 0;
	*after = r->i;
	r->i = i;
	return n;
}

static int take_reserved(struct reader *r, const char *which)
{
	char word[16];
	size_t after;

	shell_skip_blanks(r);
	if (!peek_word(r, word, sizeof word, &after) || strcmp(word, which) != 0)
		return 0;
	r->i = after;
	return 1;
}

static void expect_reserved(struct reader *r, const char *which, const char *why)
{
	if (!r->stopped && !take_reserved(r, which))
		shell_stop(r, r->i, why);
}

static int ends_list(struct reader *r)
{
	char word[16];
	size_t after;
	int c;

	shell_skip_blanks(r);
	c = shell_cur(r);
	if (c < 0 || c == ')')
		return 1;
	if (c == ';')
		return shell_next(r) == ';';
	return peek_word(r, word, sizeof word, &after) &&
	       shell_listed("then else elif fi do done esac }", word, strlen(word));
}

/* ---- commands ---- */

static struct shell_command *command_new(struct reader *r)
{
	struct shell_command *c = arena_alloc(r->arena, sizeof *c);

	(void)shell_cur(r);
	if (c)
		*c = (struct shell_command){.what = SHELL_NOTHING,
			.at = r->copy ? r->at : r->at + r->i,
			.inner = r->inner};
	else
		shell_no_memory(r);
	return c;
}

static void add_assignment(
	struct reader *r, struct shell_command *c, struct span name, struct span value, int loop)
{
	struct shell_assignment *a = arena_alloc(r->arena, sizeof *a);

	if (!a) {
		shell_no_memory(r);
		return;
	}
	*a = (struct shell_assignment){name, value, loop, c->assignments};
	c->assignments = a;
}

static void compound(struct reader *r);

struct building { /* a simple command */
	struct shell_command *c;
	struct shell_word **end;
};

static void add_word(struct reader *r, struct building *b, const struct shell_word *w)
{
	struct shell_word *copy = arena_alloc(r->arena, sizeof *copy);

	if (!copy) {
		shell_no_memory(r);
		return;
	}
	*copy = *w;
	copy->next = NULL;
	*b->end = copy;
	b->end = &copy->next;
	b->c->argc++;
}

/* The `<(` at r->i begins a word. */
static int begins_word(const struct reader *r)
{
	return r->i == 0 || strchr(" \t;&|(", r->s[r->i - 1]) ||
	       (r->s[r->i - 1] == '\n' && (r->i == 1 || r->s[r->i - 2] != '\\'));
}

/* <(…) and >(…), a file name that bash and zsh make up; a word of its own. */
static void process_substitution(struct reader *r, struct building *b)
{
	struct shell_word w = {.class = SHELL_UNKNOWN, .text = {"<(…)", strlen("<(…)")}};
	size_t from = r->i, held = r->held;

	if (!begins_word(r))
		shell_stop(r, from, "`<(` in a word");
	if (r->stopped || shell_deeper(r))
		return;
	r->i++;
	(void)shell_cur(r);
	r->i++;
	r->held = r->pending;
	r->substituted++;
	shell_list(r, 0);
	r->substituted--;
	r->held = held;
	r->depth--;
	if (!r->stopped && shell_cur(r) != ')')
		shell_stop(r, from, "a `(` that is not closed, or something unexpected in it");
	r->i += !r->stopped;
	if (!r->stopped && !shell_is_delimiter(shell_cur(r)))
		shell_stop(r, from, "`<(` in a word");
	add_word(r, b, &w);
}

static int is_text(const struct shell_word *w, const char *text)
{
	return w->class == SHELL_LITERAL && strcmp(w->text.p, text) == 0;
}

static void take_word(struct reader *r, struct building *b)
{
	struct word_form form;
	struct shell_word w;
	size_t from = r->i;

	shell_word(r, &w, &form);
	if (r->stopped)
		return;
	if (!b->c->argc && form.name) {
		struct span value = {w.text.p + form.name + 1, w.text.n - form.name - 1};

		if (w.class != SHELL_LITERAL)
			value = (struct span){"…", strlen("…")};
		add_assignment(r, b->c,
			(struct span){arena_copy(r->arena, r->s + from, form.name), form.name},
			value, 0);
		if (form.plus)
			shell_mark(r, from, "`+=`, which is a word to some shells");
		return;
	}
	if (!form.quoted && (is_text(&w, "{") || is_text(&w, "}")))
		shell_mark(r, from, "a brace among words, which zsh reads otherwise");
	if (w.text.n > 2 && w.text.p[0] == '{' && w.text.p[w.text.n - 1] == '}' &&
		(shell_cur(r) == '<' || shell_cur(r) == '>'))
		shell_mark(r, from, "`{name}>`, which is a word to some shells");
	add_word(r, b, &w);
}

/* `name()` and its body. The name may then mean anything. */
static void function(struct reader *r, size_t from)
{
	r->i++;
	shell_skip_blanks(r);
	if (shell_cur(r) != ')') {
		shell_stop(r, from, "a `(` that no command begins with");
		return;
	}
	r->i++;
	shell_mark(r, from, "a function: its name means something else from here on");
	skip_newlines(r);
	if (r->stopped || shell_deeper(r))
		return;
	r->loop++;
	compound(r);
	r->loop--;
	r->depth--;
}

static void simple_command(struct reader *r)
{
	struct building b = {.c = command_new(r)};
	size_t from = r->i;
	int c = 0;

	if (!b.c)
		return;
	b.end = &b.c->argv;
	while (!r->stopped) {
		shell_skip_blanks(r);
		c = shell_cur(r);
		if (shell_redirection(r, b.c))
			continue;
		if (c == '<' || c == '>')
			process_substitution(r, &b);
		else if (!shell_is_delimiter(c))
			take_word(r, &b);
		else
			break;
	}
	if (r->stopped && !b.c->argc && !b.c->assignments && !b.c->redirects)
		return;
	if (!r->stopped && c == '(' && b.c->argc == 1 && !b.c->redirects)
		function(r, from);
	else if (!r->stopped && c == '(')
		shell_stop(r, r->i, "a `(` among words");
	else if (!b.c->argc && !b.c->assignments && !b.c->redirects)
		shell_stop(r, r->i, "a command is missing");
	else
		shell_add(r, b.c);
}

/* ---- compound commands, XCU 2.9.4 ---- */

static void subshell(struct reader *r)
{
	size_t from = r->i++;

	if (shell_cur(r) == '(') {
		shell_stop(r, from, "`((`, which is arithmetic to some shells");
		return;
	}
	shell_list(r, 1);
	if (!r->stopped && shell_cur(r) != ')')
		shell_stop(r, from, "a `(` that is not closed, or something unexpected in it");
	r->i += !r->stopped;
}

static void brace_group(struct reader *r)
{
	shell_list(r, 1);
	expect_reserved(r, "}", "a `{` that is not closed, or something unexpected in it");
}

static void if_command(struct reader *r)
{
	do {
		shell_list(r, 1);
		expect_reserved(r, "then", "an `if` without its `then`");
		if (!r->stopped)
			shell_list(r, 1);
	} while (!r->stopped && take_reserved(r, "elif"));
	if (!r->stopped && take_reserved(r, "else"))
		shell_list(r, 1);
	expect_reserved(r, "fi", "an `if` without its `fi`");
}

static void do_group(struct reader *r)
{
	expect_reserved(r, "do", "a loop without its `do`");
	if (!r->stopped)
		shell_list(r, 1);
	expect_reserved(r, "done", "a loop without its `done`");
}

static void loop_command(struct reader *r)
{
	r->loop++;
	shell_list(r, 1);
	do_group(r);
	r->loop--;
}

/* The words behind `in`, up to the end of the line or a semicolon. */
static void for_words(struct reader *r)
{
	struct word_form form;
	struct shell_word w;

	for (shell_skip_blanks(r); !r->stopped && !shell_is_delimiter(shell_cur(r));
		shell_skip_blanks(r))
		shell_word(r, &w, &form);
	if (!r->stopped && shell_cur(r) != ';' && shell_cur(r) != '\n')
		shell_stop(r, r->i, "a `for` that cannot be read");
}

static void for_command(struct reader *r)
{
	struct shell_command *c = command_new(r);
	struct word_form form;
	struct shell_word name;

	shell_skip_blanks(r);
	if (!c || shell_is_delimiter(shell_cur(r))) {
		shell_stop(r, r->i, "a `for` without a name");
		return;
	}
	shell_word(r, &name, &form);
	if (r->stopped)
		return;
	if (name.class != SHELL_LITERAL || form.quoted || form.name) {
		shell_stop(r, r->i, "a `for` without a name");
		return;
	}
	add_assignment(r, c, name.text, (struct span){"…", strlen("…")}, 1);
	shell_add(r, c);
	skip_newlines(r);
	if (!r->stopped && take_reserved(r, "in"))
		for_words(r);
	if (!r->stopped && shell_cur(r) == ';' && shell_next(r) != ';')
		r->i++;
	skip_newlines(r);
	r->loop++;
	do_group(r);
	r->loop--;
}

static void case_patterns(struct reader *r)
{
	struct word_form form;
	struct shell_word w;

	shell_skip_blanks(r);
	if (shell_cur(r) == '(')
		r->i++;
	do {
		shell_skip_blanks(r);
		if (shell_is_delimiter(shell_cur(r)))
			shell_stop(r, r->i, "a `case` that cannot be read");
		else
			shell_word(r, &w, &form);
		shell_skip_blanks(r);
	} while (!r->stopped && shell_cur(r) == '|' && r->i++ < r->n);
	if (!r->stopped && shell_cur(r) != ')')
		shell_stop(r, r->i, "a `case` that cannot be read");
	r->i += !r->stopped;
}

static void case_command(struct reader *r)
{
	struct word_form form;
	struct shell_word w;

	shell_skip_blanks(r);
	if (shell_is_delimiter(shell_cur(r))) {
		shell_stop(r, r->i, "a `case` without a word");
		return;
	}
	shell_word(r, &w, &form);
	skip_newlines(r);
	expect_reserved(r, "in", "a `case` without its `in`");
	for (skip_newlines(r); !r->stopped && !take_reserved(r, "esac"); skip_newlines(r)) {
		case_patterns(r);
		if (!r->stopped)
			shell_list(r, 0);
		if (r->stopped || shell_take_operator(r, ";;"))
			continue;
		expect_reserved(r, "esac", "a `case` that cannot be read");
		return;
	}
}

static const struct {
	const char *word;
	void (*read)(struct reader *r);
} compounds[] = {
	{"{", brace_group},
	{"if", if_command},
	{"while", loop_command},
	{"until", loop_command},
	{"for", for_command},
	{"case", case_command},
};

static void trailing_redirects(struct reader *r)
{
	struct shell_command *c = command_new(r);

	for (shell_skip_blanks(r); !r->stopped && shell_redirection(r, c);)
		shell_skip_blanks(r);
	if (c && c->redirects)
		shell_add(r, c);
}

/* One that begins here. */
static int take_compound(struct reader *r)
{
	shell_skip_blanks(r);
	if (shell_cur(r) == '(') {
		subshell(r);
		return 1;
	}
	for (size_t i = 0; i < ARRAY_LEN(compounds); i++) {
		if (take_reserved(r, compounds[i].word)) {
			compounds[i].read(r);
			return 1;
		}
	}
	return 0;
}

static void compound(struct reader *r)
{
	if (!take_compound(r))
		shell_stop(r, r->i, "a function whose body is none");
	else if (!r->stopped)
		trailing_redirects(r);
}

/* Words that begin what only some shells have, or have otherwise. */
static int is_foreign(struct reader *r)
{
	static const char words[] = "[[ function select coproc time repeat foreach end nocorrect "
				    "noglob namespace ! -";
	char word[16];
	size_t after, n;

	shell_skip_blanks(r);
	n = peek_word(r, word, sizeof word, &after);
	return n && shell_listed(words, word, n);
}

static void command(struct reader *r)
{
	if (shell_deeper(r))
		return;
	if (ends_list(r))
		shell_stop(r, r->i, "a command is missing");
	else if (is_foreign(r))
		shell_stop(r, r->i, "a command that not all shells have");
	else if (!take_compound(r))
		simple_command(r);
	else if (!r->stopped)
		trailing_redirects(r);
	r->depth--;
}

static void pipeline(struct reader *r)
{
	(void)take_reserved(r, "!");
	for (;;) {
		command(r);
		shell_skip_blanks(r);
		if (r->stopped || shell_cur(r) != '|' || shell_next(r) == '|')
			return;
		if (!shell_take_operator(r, "|&"))
			r->i++;
		skip_newlines(r);
	}
}

/* What stands behind a pipeline. 1: another command follows it. */
static int separator(struct reader *r)
{
	int c;

	shell_skip_blanks(r);
	c = shell_cur(r);
	if (shell_take_operator(r, "&&") || shell_take_operator(r, "||")) {
		skip_newlines(r);
		return 1;
	}
	if (c == ';' && shell_next(r) == ';')
		return 0;
	if (c == '&')
		shell_mark(r, r->i, "`&` runs it in the background");
	if (c == ';' || c == '&')
		r->i++;
	else if (c != '\n')
		return 0;
	skip_newlines(r);
	return !ends_list(r);
}

void shell_list(struct reader *r, int must)
{
	skip_newlines(r);
	if (!must && ends_list(r))
		return;
	do {
		pipeline(r);
	} while (!r->stopped && separator(r));
}

/* ---- texts ---- */

static int is_readable(struct reader *r)
{
	for (size_t i = 0; i < r->n; i++) {
		unsigned char c = (unsigned char)r->s[i];

		if ((c < 0x20 && c != '\t' && c != '\n') || c == 0x7f) {
			shell_stop(r, i, "a control character");
			return 0;
		}
	}
	if (!utf8_ok(r->s, r->n))
		shell_stop(r, 0, "not UTF-8");
	return !r->stopped;
}

static void read_text(struct reader *r)
{
	r->scratch = arena_alloc(r->arena, r->n + 1);
	if (!r->scratch) {
		shell_no_memory(r);
		return;
	}
	if (!is_readable(r))
		return;
	shell_list(r, 0);
	if (!r->stopped && r->i < r->n)
		shell_stop(r, r->i, "something that no command begins with");
	if (!r->stopped && r->pending)
		shell_stop(r, r->n, "a here-document that does not end");
}

void shell_text(struct reader *r, struct span text, size_t at, int inner)
{
	struct reader sub = {.arena = r->arena,
		.out = r->out,
		.s = text.p,
		.n = text.n,
		.at = r->copy ? r->at : r->at + at,
		.copy = 1,
		.depth = r->depth,
		.loop = r->loop,
		.substituted = r->substituted,
		.inner = r->inner || inner};

	if (shell_deeper(&sub))
		return;
	read_text(&sub);
}

int shell_read(struct arena *a, const char *text, size_t n, struct shell_script *out)
{
	struct reader r = {.arena = a, .out = out, .s = text, .n = n};

	*out = (struct shell_script){0};
	if (n > SHELL_TEXT_MAX)
		shell_mark_at(out, SHELL_TEXT_MAX, "longer than 8 KiB");
	else
		read_text(&r);
	return out->no_memory ? -1 : 0;
}

int shell_read_argv(struct arena *a, const struct span *argv, size_t argc, struct shell_script *out)
{
	struct reader r = {.arena = a, .out = out, .copy = 1};
	struct building b = {.c = command_new(&r)};

	*out = (struct shell_script){.no_memory = r.out->no_memory};
	for (size_t i = 0, n = 0; i < argc && b.c; i++) {
		struct shell_word w = {.text = {arena_copy(a, argv[i].p, argv[i].n), argv[i].n}};

		n += argv[i].n;
		if (n > SHELL_TEXT_MAX) {
			shell_mark_at(out, 0, "longer than 8 KiB");
			return 0;
		}
		if (i == 0)
			b.end = &b.c->argv;
		if (w.text.p)
			add_word(&r, &b, &w);
		else
			shell_no_memory(&r);
	}
	if (b.c && b.c->argc)
		shell_add(&r, b.c);
	return out->no_memory || !b.c ? -1 : 0;
}
