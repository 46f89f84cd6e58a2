/* The reader of shell text against real shells: dash and bash run random texts in a directory where every
 * program is this one, which writes its arguments down. Whatever was started must be in the reader's
 * list, or the reader must have said that it cannot read the text. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy/shell/shell.h"

#define LOG_VARIABLE "SHELL_TEST_LOG"
#define LOG_MAX      (64u << 10)
#define TEXT_CAP     2048u
#define STARTS_MAX   256u

/* ---- the program that stands for all others ---- */

/* Runs before main where the test is one of its own programs: the number of arguments, then each with
 * its NUL, in one write. */
__attribute__((constructor)) static void stand_in(int argc, char **argv)
{
	static char record[LOG_MAX];
	const char *log = getenv(LOG_VARIABLE);
	size_t n = sizeof(int);
	int fd;

	if (!log)
		return;
	memcpy(record, &argc, sizeof argc);
	for (int i = 0; i < argc; i++) {
		size_t len = strlen(argv[i]) + 1;

		if (len > sizeof record - n)
			_exit(99);
		memcpy(record + n, argv[i], len);
		n += len;
	}
	fd = open(log, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0 || write(fd, record, n) != (ssize_t)n)
		_exit(98);
	_exit(argv[0][0] == 'n' ? 1 : 0); /* those that begin with n fail */
}

/* ---- a place to run ---- */

static char place[64], programs[96], log_path[96];

static const char *const names[] = {"git", "rm", "ls", "cat", "npm", "nope", "make"};
static const char *const real[] = {"env", "nice", "nohup", "timeout", "xargs", "find", "sh"};

static void place_up(void)
{
	char self[PATH_MAX], path[PATH_MAX], to[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	ck_assert_int_gt(n, 0);
	self[n] = 0;
	snprintf(place, sizeof place, "/tmp/shelltest.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(place));
	snprintf(programs, sizeof programs, "%s/.programs", place);
	snprintf(log_path, sizeof log_path, "%s/.log", place);
	ck_assert_int_eq(mkdir(programs, 0700), 0);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", programs, names[i]);
		ck_assert_int_eq(symlink(self, path), 0);
	}
	for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
		snprintf(path, sizeof path, "%s/%s", programs, real[i]);
		snprintf(to, sizeof to, "/usr/bin/%s", real[i]);
		ck_assert_int_eq(symlink(to, path), 0);
	}
}

static void place_down(void)
{
	char command[128];

	snprintf(command, sizeof command, "rm -rf %s", place);
	ck_assert_int_eq(system(command), 0); /* a test may; the name is mkdtemp's */
}

static void run_child(const char *shell, const char *text)
{
	const struct rlimit small = {1u << 20, 1u << 20}, few = {64, 64};
	char path[128], home[128], log[128];
	char *env[] = {path, home, log, NULL};
	int null = open("/dev/null", O_RDWR);

	snprintf(path, sizeof path, "PATH=%s", programs);
	snprintf(home, sizeof home, "HOME=%s", place);
	snprintf(log, sizeof log, LOG_VARIABLE "=%s", log_path);
	setpgid(0, 0);
	setrlimit(RLIMIT_FSIZE, &small);
	setrlimit(RLIMIT_NOFILE, &few);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	if (chdir(place) == 0)
		execle(shell, shell, "-c", text, (char *)NULL, env);
	_exit(127);
}

static int done(pid_t pid)
{
	int status;

	for (unsigned i = 0; i < 400; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return 1;
		poll(NULL, 0, 1);
	}
	return 0;
}

/* What it starts while it lasts, and what that started: at most 0.4 s. */
static void run(const char *shell, const char *text)
{
	int fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	pid_t pid;

	ck_assert_int_ge(fd, 0);
	close(fd);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		run_child(shell, text);
	if (!done(pid)) {
		kill(-pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	poll(NULL, 0, strchr(text, '&') ? 10 : 0); /* what runs in the background */
	kill(-pid, SIGKILL);
}

struct starts {
	char bytes[LOG_MAX];
	size_t n;
	struct {
		int argc;
		const char *argv;
	} start[STARTS_MAX];
};

static void read_log(struct starts *s)
{
	FILE *f = fopen(log_path, "rb");
	size_t at = 0, n;

	ck_assert_ptr_nonnull(f);
	n = fread(s->bytes, 1, sizeof s->bytes, f);
	fclose(f);
	s->n = 0;
	while (at + sizeof(int) < n && s->n < STARTS_MAX) {
		memcpy(&s->start[s->n].argc, s->bytes + at, sizeof(int));
		at += sizeof(int);
		s->start[s->n].argv = s->bytes + at;
		for (int i = 0; i < s->start[s->n].argc && at < n; i++)
			at += strnlen(s->bytes + at, n - at) + 1;
		s->n++;
	}
}

/* ---- comparing ---- */

/* Words that are not known stand for any number of arguments. */
static int words_match(const struct shell_word *w, const char *argv, int argc)
{
	if (!w)
		return argc == 0;
	if (w->class != SHELL_LITERAL)
		return words_match(w->next, argv, argc) ||
		       (argc && words_match(w, argv + strlen(argv) + 1, argc - 1));
	return argc && strcmp(w->text.p, argv) == 0 &&
	       words_match(w->next, argv + strlen(argv) + 1, argc - 1);
}

static int is_listed(const struct shell_script *s, const char *argv, int argc)
{
	for (const struct shell_command *c = s->first; c; c = c->next) {
		if (c->what == SHELL_PROGRAM && words_match(c->argv, argv, argc))
			return 1;
	}
	return 0;
}

static void show_start(const char *argv, int argc)
{
	for (; argc; argc--, argv += strlen(argv) + 1)
		fprintf(stderr, " [%s]", argv);
	fprintf(stderr, "\n");
}

static void check_listed(const char *shell, const char *text, const struct shell_script *script)
{
	static struct starts s;

	run(shell, text);
	read_log(&s);
	for (size_t i = 0; i < s.n; i++) {
		if (is_listed(script, s.start[i].argv, s.start[i].argc))
			continue;
		show_start(s.start[i].argv, s.start[i].argc);
		ck_abort_msg("%s starts what is not in the list of: %s", shell, text);
	}
}

static const char *const shells[] = {"/usr/bin/dash", "/usr/bin/bash"};

/* 1: the reader could read all of it, and was right. */
static int check_text(const char *text)
{
	struct shell_script script;
	struct arena a;
	int readable;

	arena_init(&a, 16u << 20);
	ck_assert_int_eq(shell_read(&a, text, strlen(text), &script), 0);
	readable = script.marks == 0;
	for (size_t i = 0; readable && i < sizeof shells / sizeof *shells; i++)
		check_listed(shells[i], text, &script);
	arena_free(&a);
	return readable;
}

/* ---- random texts ---- */

static uint64_t seed;

static unsigned pick(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

struct out {
	char p[TEXT_CAP];
	size_t n;
};

static void add(struct out *o, const char *s)
{
	size_t n = strlen(s);

	if (o->n + n + 1 > sizeof o->p)
		return;
	memcpy(o->p + o->n, s, n + 1);
	o->n += n;
}

static void add_char(struct out *o, char c)
{
	const char s[2] = {c, 0};

	add(o, s);
}

/* A word in one of the ways that it can be written. */
static void add_quoted(struct out *o, const char *word)
{
	static const char special[] = "\"$`\\";

	if (!*word)
		add(o, pick(2) ? "''" : "\"\"");
	while (*word) {
		size_t n = 1 + pick(4);
		unsigned how = pick(3);

		if (n > strlen(word))
			n = strlen(word);
		if (how == 0 && memchr(word, '\'', n))
			how = 1;
		if (how < 2)
			add_char(o, how ? '"' : '\'');
		for (; n; n--, word++) {
			if (how == 2 && *word == '\n') {
				add(o, "'\n'");
				continue;
			}
			if (how == 2 ? !(*word >= 'a' && *word <= 'z') || pick(6) == 0
				     : how == 1 && strchr(special, *word) != NULL)
				add_char(o, '\\');
			add_char(o, *word);
			if (how > 0 && n > 1 && pick(12) == 0)
				add(o, "\\\n");
		}
		if (how < 2)
			add_char(o, how ? '"' : '\'');
	}
}

#define WORDS_MAX 6

struct command {
	char word[WORDS_MAX][24];
	unsigned words;
};

static void random_command(struct command *c)
{
	static const char letters[] = "abz-=/.,:@%+^_~*?[]{}()<>|&;!#$`\\\"' \n\tR1";

	c->words = 1 + pick(WORDS_MAX);
	snprintf(c->word[0], sizeof c->word[0], "%s", names[pick(7)]);
	for (unsigned i = 1; i < c->words; i++) {
		unsigned n = pick(12), k;

		for (k = 0; k < n; k++)
			c->word[i][k] = letters[pick(sizeof letters - 1)];
		c->word[i][n] = 0;
	}
}

static void add_command(struct out *o, const struct command *c)
{
	for (unsigned i = 0; i < c->words; i++) {
		add_quoted(o, c->word[i]);
		add(o, pick(8) ? " " : pick(2) ? " \\\n " : "\t");
	}
}

/* Commands of quoted words, one after the other: exactly those are started, in this order. */
static void check_sequence(void)
{
	static const char *const between[] = {";", "\n", " ; # a comment\n", "\n\n"};
	struct command commands[3];
	struct shell_script script;
	static struct starts s;
	struct out o = {.n = 0};
	struct arena a;
	size_t n = 1 + pick(3);

	for (size_t i = 0; i < n; i++) {
		random_command(&commands[i]);
		add_command(&o, &commands[i]);
		add(&o, between[pick(4)]);
	}
	arena_init(&a, 16u << 20);
	ck_assert_int_eq(shell_read(&a, o.p, o.n, &script), 0);
	ck_assert_msg(script.marks == 0, "%s: %s", script.mark[0].why, o.p);
	ck_assert_uint_eq(script.commands, n);
	for (size_t k = 0; k < 2; k++) {
		const struct shell_command *c = script.first;

		run(shells[k], o.p);
		read_log(&s);
		ck_assert_msg(s.n == n, "%s starts %zu programs: %s", shells[k], s.n, o.p);
		for (size_t i = 0; i < n; i++, c = c->next)
			ck_assert_msg(words_match(c->argv, s.start[i].argv, s.start[i].argc),
				"%s, start %zu of: %s", shells[k], i, o.p);
	}
	arena_free(&a);
}

static const char *const tokens[] = {"git", "rm -rf x", "ls", "cat f", "npm", "nope", "make a", " ",
	" ", " ", " ", " ", "\n", "\n", ";", ";", "; ", "&&", "&& ", "||", "|", "&", "( ", ")", "(",
	"{ ", "; }", "\n}", "!", "! ", "if ", "; then ", "; else ", "; fi", "while ", "; do ",
	"; done", "for i in a b", "case a in a) ", ";;", " esac", "'", "'", "\"", "\"", "\\",
	"\\\n", "$x", "\"$x\"", "$(", "`", "`", "${x:-", "}", "${x}", "$((1+2))", "#", " #", "~",
	"*", "{a,b}", "=", "x=1 ", "x=y", "A=b ", ">", "> f ", ">> f ", "< f ", "2>&1", "2>", "<<E",
	"<<'E'", "\nE\n", "<<-E", "\tE\n", "<&-", ">&2 ", "&>", "|&", "<(", ">(", "<<<", "[", "]",
	"[[", "]]", "((", "))", "a", "-f", "--", "env ", "env -u y ", "env A=b ", "nice ",
	"nice -n 3 ", "timeout 1 ", "nohup ", "xargs ", "xargs -I% ", "find . -exec ", " \\;",
	" {} +", "sh -c '", "sh -c ", "sh", "exec ", "command ", "command -v ", "eval ", "set -e;",
	"true", "false", ":", "echo ", "exit", "cd .", "export A=b", "unset x", "read v", "test a",
	".", "%", "-", "elif ", "until ", "in ", "return", "$'", "$\"", "$", "$1", "$@", "\"$@\"",
	"@(", "!(", "{", "}", "1", "12>"};

static void random_soup(struct out *o)
{
	unsigned n = 1 + pick(pick(4) ? 12 : 24);

	o->n = 0;
	for (; n; n--) {
		add(o, tokens[pick(sizeof tokens / sizeof *tokens)]);
		if (pick(3) == 0)
			add_char(o, ' ');
	}
}

/* Scripts that mostly are some: $ and upper-case letters stand for more (see grow). */
static const struct {
	char of;
	const char *becomes[14];
	unsigned n;
} grammar[] = {
	{'L', {"C", "C", "C;L", "C\nL", "C && C", "C || L", "C | C", "! C", "C # x\n L"}, 9},
	{'C',
		{"S", "S", "S", "S", "S R", "(L)R", "{ L; }R", "{ L\n}", "if L; then L; else L; fi",
			"for i in W W; do L; done", "case W in a) L;; *) L; esac", "W S", "X S",
			"S H"},
		14},
	{'S', {"N", "N W", "N W W", "N W W", "N W W", "N -W=W", "A N W", "R N W"}, 8},
	{'N', {"git", "rm", "ls", "cat", "npm", "make", "nope", "g\\it", "'ls'", "r\"m\""}, 10},
	{'W',
		{"a", "b", "a'b 'c", "\"a b\"", "-f", "\\$x", "'$(rm)'", "$i", "\"$(L)\"", "$(L)",
			"`S`", "*", "{a,b}", "${i:-W}"},
		14},
	{'R', {"", "", " > f", " 2>&1", " < f", " >> 'f g'", " 2>/dev/null"}, 7},
	{'A', {"x=a", "x=$(S)", "i='a b'", "x="}, 4},
	{'X',
		{"env x=W", "nice", "timeout 1", "xargs", "env -u i", "command", "nohup",
			"sh -c 'L'"},
		8},
	{'H', {"<<E\na $(S)\n`S`\nE\nS", "<<'E'\n$(S)\nE\n", "<<-E | S\n\t$i\n\tE\n"}, 3},
};

static void grow(struct out *o, char of, unsigned depth)
{
	const char *s = NULL;

	for (size_t i = 0; i < sizeof grammar / sizeof *grammar; i++) {
		if (grammar[i].of == of)
			s = grammar[i].becomes[depth > 6 ? 0 : pick(grammar[i].n)];
	}
	for (; s && *s; s++) {
		if (strchr("LCSNWRAXH", *s))
			grow(o, *s, depth + 1);
		else
			add_char(o, *s);
	}
}

/* One, sometimes damaged. */
static void random_script(struct out *o)
{
	o->n = 0;
	grow(o, 'L', 0);
	if (o->n > 1 && pick(3) == 0)
		o->p[pick((unsigned)o->n - 1)] = " \n;'\"\\$(){}|&<>#`="[pick(17)];
}

/* ---- the tests ---- */

/* make check tries all of them, a quick run a part. */
static unsigned rounds(unsigned n)
{
	return getenv("AGENTD_CHECK") ? n : n / 30;
}

START_TEST(words_are_decoded_exactly_as_dash_and_bash_do)
{
	seed = 1;
	for (unsigned i = 0; i < rounds(1500); i++)
		check_sequence();
}
END_TEST

START_TEST(whatever_a_shell_starts_is_listed_or_the_text_is_opaque)
{
	unsigned readable = 0, tried = rounds(30000);
	const char *other = getenv("SHELL_TEST_SEED");
	struct out o;

	seed = other ? strtoull(other, NULL, 10) : 2;
	for (unsigned i = 0; i < tried; i++) {
		if (i % 2)
			random_soup(&o);
		else
			random_script(&o);
		readable += (unsigned)check_text(o.p);
	}
	printf("of %u random texts %u could be read\n", tried, readable);
	ck_assert_uint_gt(readable, tried / 10);
}
END_TEST

START_TEST(what_people_write_is_read_and_listed)
{
	static const char *const texts[] = {"git status && rm -rf x", "cat <<E | npm\na b\nE\nls",
		"cat <<'E'\n$(git)\nE\nls", "cat <<E\n$(git)\n`ls`\nE",
		"if git; then ls; else cat; fi", "for i in a b; do git; done",
		"case a in a|b) git;; *) ls;; esac", "(git; ls) | cat", "{ git; ls; } > f",
		"git 2>&1 >f | cat", "git \"a b\" 'c d' e\\ f", "gi\\\nt a", "! git || ls",
		"env A=b git a", "timeout 1 nice git x", "xargs git a", "sh -c 'git a; ls'",
		"find . -maxdepth 0 -exec git {} \\;", "git $(ls)", "git `ls`", "git \"$(ls)\"",
		"git ${x:-$(ls)}", "git&&ls", "git;ls", "git|cat", "x=$(git) ls", "git # ls",
		"command git a", "exec git a", "while nope; do git; done", "until git; do ls; done",
		"git <<E; ls\nx\nE\nrm", "git {a,b} *", "git a{b}c HEAD~1 s@{0}"};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		ck_assert_msg(check_text(texts[i]), "opaque: %s", texts[i]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("policy_shell_real");
	TCase *t = tcase_create("real");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 1200);
	tcase_add_checked_fixture(t, place_up, place_down);
	tcase_add_test(t, words_are_decoded_exactly_as_dash_and_bash_do);
	tcase_add_test(t, whatever_a_shell_starts_is_listed_or_the_text_is_opaque);
	tcase_add_test(t, what_people_write_is_read_and_listed);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
