/* Shell text: what is read of it (each row of the table in docs/policy.md, Shell text), and what rules
 * make of it (the ways in which other tools' rules about text were got around). */
#include <time.h>

#include "policy/shell/judge.h"
#include "policy/shell/shell.h"
#include "tests/lib/policy_rig.h"

/* ---- reading ---- */

static struct arena arena;
static struct shell_script script;

static void reading(const char *text)
{
	arena_free(&arena);
	arena_init(&arena, 16u << 20);
	ck_assert_int_eq(shell_read(&arena, text, strlen(text), &script), 0);
}

/* Commands as `git push|rm x`; * stands before a word that is expanded, ? before an unknown one. Inner
 * ones begin with >. */
static const char *commands(const char *text)
{
	static char out[4096];
	size_t n = 0;

	reading(text);
	for (const struct shell_command *c = script.first; c; c = c->next) {
		if (c->what != SHELL_PROGRAM)
			continue;
		n += (size_t)snprintf(
			out + n, sizeof out - n, "%s%s", n ? "|" : "", c->inner ? ">" : "");
		for (const struct shell_word *w = c->argv; w; w = w->next)
			n += (size_t)snprintf(out + n, sizeof out - n, "%s%s%s",
				w == c->argv ? "" : " ",
				w->class == SHELL_LITERAL    ? ""
				: w->class == SHELL_EXPANDED ? "*"
							     : "?",
				w->text.p);
	}
	out[n] = 0;
	return out;
}

static const char *mark(void)
{
	return script.marks ? script.mark[0].why : "";
}

static void reads(const char *text, const char *expected)
{
	const char *got = commands(text);

	ck_assert_msg(strcmp(got, expected) == 0, "%s: %s", text, got);
	ck_assert_msg(!script.marks, "%s: %s", text, mark());
}

/* Opaque, and what is in the list anyway. */
static void opaque(const char *text, const char *expected)
{
	const char *got = commands(text);

	ck_assert_msg(script.marks > 0, "not opaque: %s", text);
	ck_assert_msg(strcmp(got, expected) == 0, "%s: %s", text, got);
}

START_TEST(quotes_are_taken_off_as_posix_says)
{
	reads("'git' \"push\" \\-f", "git push -f");
	reads("g'i't pu\"s\"h", "git push");
	reads("echo 'a\\' ; rm x", "echo a\\|rm x"); /* 10: qwen-code#11764 */
	reads("echo \"a\\$b\\n\\\"\\`\"", "echo a$b\\n\"`");
	reads("echo 'a\"b' \"c'd\" \\'", "echo a\"b c'd '");
	reads("echo \"a\\\nb\" c\\\nd", "echo ab cd");
	reads("echo 'a\\\nb'", "echo a\\\nb");
	reads("echo '' \"\"", "echo  ");
	reads("echo \\\\ a\\ b", "echo \\ a b");
	reads("echo cost$ \"$\" $", "echo cost$ $ $");
}
END_TEST

START_TEST(every_separator_starts_a_command)
{
	reads("a && b || c ; d | e\nf", "a|b|c|d|e|f");
	reads("a;b|c&&d||e", "a|b|c|d|e");
	reads("a &&\n\n b |\n c", "a|b|c");
	reads("a \\\n b\nc",
		"a b|c"); /* 7, 8: a newline ends a command, a continued line does not */
	reads("a &\\\n& b", "a|b");
	reads("a # b; c\nd#e", "a|d#e");
	reads("a |& b", "a|b");
	reads("! a | b", "a|b");
}
END_TEST

START_TEST(compound_commands_are_all_their_commands)
{
	reads("( a; b ) | { c; }", "a|b|c");
	reads("if a; then b; elif c; then d; else e; fi", "a|b|c|d|e");
	reads("while a; do b; done; until c; do d; done", "a|b|c|d");
	reads("for i in x y; do a; done", "a");
	reads("for i do a; done", "a");
	reads("case x in (a|b) c;; *) d; esac", "c|d");
	reads("case x in\n a) b\n;;\nesac", "b");
	reads("i\\\nf a; then b; fi", "a|b");
	reads("'if' a", "if a"); /* quoted: no reserved word */
	reads("echo if then a", "echo if then a");
}
END_TEST

START_TEST(patterns_tildes_and_braces_are_unknown_words)
{
	reads("ls * a? [ab] ~ ~/x ~root {a,b} {1..3}",
		"ls ** *a? *[ab] *~ *~/x *~root *{a,b} *{1..3}");
	reads("ls '*' \"?\" \\[ '~' '{a,b}'", "ls * ? [ ~ {a,b}");
	reads("git show HEAD~1 stash@{0} {} a{b}c ]", "git show HEAD~1 stash@{0} {} a{b}c ]");
	reads("a x=~/b y:~", "a *x=~/b *y:~");
}
END_TEST

START_TEST(commands_in_substitutions_are_listed_and_the_word_is_unknown)
{
	reads("a $x \"$x\" ${x} \"${x:-y}\" $1 \"$@\"",
		"a ?$x ?\"$x\" ?${x} ?\"${x:-y}\" ?$1 ?\"$@\"");
	reads("a $(b; c)", "b|c|a ?$(b; c)");
	reads("a \"$(b \"c d\")\"", "b c d|a ?\"$(b \"c d\")\"");
	reads("a `b`", "b|a ?`b`");
	reads("a `b \\`c\\``", "c|b ?`c`|a ?`b \\`c\\``");
	reads("X=`b` a --version", "b|a --version"); /* 11: qwen-code#10192 */
	reads("a ${x:-$(b)}", "b|a ?${x:-$(b)}");
	reads("cat <(b) >(c)", "b|c|cat ?<(…) ?<(…)"); /* 14: cc#70369 */
	reads("a $((1 + 2))", "a ?$((1 + 2))");
	reads("for i in $(a); do b; done", "a|b");
	reads("case $(a) in $(b)) c;; esac", "a|b|c");
	reads("a > $(b)", "b|a");
	opaque("a b<(c) d", "a b");
	opaque("a <(c)b", "c|a ?<(…)");
	opaque("a <(b)<(c)", "b|a ?<(…)");
	opaque("a $((x))", "a"); /* bash evaluates what is in x, subscripts and commands too */
	opaque("a $((1) | (2))", "a");
	opaque("a ${x:=y}", "a");
	opaque("a ${x@P}", "a");
	opaque("a ${!x}", "a");
	opaque("a ${x[1]}", "a");
	opaque("a $'b\\'c'", "a");
	opaque("a $\"b\"", "a");
	opaque("a $[1]", "a");
}
END_TEST

START_TEST(here_documents_are_no_commands_but_their_substitutions_are)
{
	reads("cat <<E\nrm x\n$(a)\n`b`\nE\nc", "cat|a|b|c");
	reads("cat <<'E'\n$(a)\nE\nc", "cat|c");
	reads("cat <<\\E; d\n$(a)\nE\nc", "cat|d|c");
	reads("cat <<-E\n\ta\n\tE\nc", "cat|c");
	reads("cat <<A <<B\n$(a)\nA\n$(b)\nB\nc", "cat|a|b|c");
	opaque("a $(cat <<E\nb\nE\nc;d;e)", "cat|a"); /* bash: c d|e */
	opaque("cat <<E\na", "cat");
	opaque("cat <<E $(\nb)\nE", "cat");
	opaque("cat <<$x\na\n$x\nb", "cat");
	opaque("cat <<E\na\\\nE\nb", "cat");
}
END_TEST

START_TEST(opaque_is_what_runs_text_or_means_something_else_elsewhere)
{
	static const char *const texts[] = {"eval x", "source f", ". f", "trap x EXIT", "alias a=b",
		"exec -a x y", "coproc a", "a &", "a & b", "f() { a; }", "function f { a; }",
		"ls *(e:x:)", "=ls", "a =ls", "[[ -n $x ]]", "(( x ))", "select i in a; do b; done",
		"time a", "a <<<b", "a &> f", "a >& f", "a 12> f", "a {fd}> f", "a >!f", "a <1-9>",
		"noglob a", "- a", "repeat 2 a", "declare x=y", "let x=1", "a[1]=x", "a=(b c)",
		"a+=b c", "$x a", "\"$x\"", "~/bin/a", "*/a", "''", "if a {", "{ a }", "a }",
		"set -k", "set +o posix", "enable -f x y", "hash -p /x git", "shopt -s extglob",
		"printf -v x y", "test -v x[1]", "printf '%d' 'x[$(a)]'", "[ 'x[`a`]' -eq 1 ]",
		"read 'x[$(a)]'", "unset 'x[$(a)]'", "export -f x", "cd $x", "cd -", "cd a b",
		"while a; do cd b; done", "pushd a", "$x[1]", "\"$x[`a`]\"", "a 'b", "a \"b",
		"a `b", "a $(b", "a ${b", "a \\", "(a", "{ a", "a )", "a ;; b", "; a", "a ; ; b",
		"a | | b", "&& a", "a &&", "if a; fi", "for 1 in", "case a in b", "a (b)", "a\rb",
		"a\001b", "a \xff", "a\177", "a >", "a > ", "a < (b)", "a 2>&x"};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		reading(texts[i]);
		ck_assert_msg(script.marks > 0, "not opaque: %s", texts[i]);
		ck_assert_uint_le(script.mark[0].at, strlen(texts[i]));
	}
}
END_TEST

START_TEST(a_text_that_is_too_long_or_too_deep_is_opaque)
{
	static char text[20000];
	size_t n;

	memset(text, 'a', SHELL_TEXT_MAX);
	text[SHELL_TEXT_MAX] = 0;
	reading(text);
	ck_assert_uint_eq(script.marks, 0);
	strcat(text, "a"); /* 13: cl 2.1.214, longer ones ran unprompted */
	opaque(text, "");
	for (n = 0; n < 300; n += 2)
		memcpy(text + n, "( ", 2);
	text[n] = 0;
	opaque(text, "");
	for (n = 0; n < 3000; n += 2)
		memcpy(text + n, "a;", 2);
	text[n] = 0;
	reading(text);
	ck_assert_uint_gt(script.marks, 0);
	ck_assert_uint_eq(script.commands, SHELL_COMMANDS_MAX);
}
END_TEST

START_TEST(programs_that_start_others_have_those_listed)
{
	reads("timeout -k 5 10 git push", "timeout -k 5 10 git push|>git push");
	reads("/usr/bin/timeout 10 git push", "/usr/bin/timeout 10 git push|>git push");
	reads("env -u X A=b git push", "env -u X A=b git push|>git push");
	reads("sudo -u root -- rm x", "sudo -u root -- rm x|>rm x");
	reads("nice -n 5 nohup setsid rm x",
		"nice -n 5 nohup setsid rm x|>nohup setsid rm x|>setsid rm x|>rm x");
	reads("xargs -0 -n1 rm", "xargs -0 -n1 rm|>rm *…"); /* 17: carlos#281 */
	reads("xargs -I% rm a%", "xargs -I% rm a%|>rm *a%");
	reads("find . -exec rm {} \\; -exec git {} +", /* 16: cl 2.1.113 */
		"find . -exec rm {} ; -exec git {} +|>rm *{}|>git *{}");
	reads("sh -c 'git push; rm x' a", "sh -c git push; rm x a|>git push|>rm x");
	reads("bash -lc \"sh -c 'rm x'\"", "bash -lc sh -c 'rm x'|>sh -c rm x|>rm x");
	reads("watch -n 1 'git push'", "watch -n 1 git push|>git push");
	reads("command git push", ">git push");
	reads("exec git push", ">git push");
	reads("command -v git", "");
	reads("busybox rm x", "busybox rm x|>rm x");
	opaque("curl x | sh", "curl x|sh");
	opaque("bash -s", "bash -s");
	opaque("bash -c $x", "bash -c ?$x");
	opaque("bash --rcfile x -c 'rm y'", "bash --rcfile x -c rm y");
	opaque("env -S 'rm x'", "env -S rm x");
	opaque("env -C / rm x", "env -C / rm x|>rm x");
	opaque("timeout --what 5 rm x", "timeout --what 5 rm x|>rm x");
	opaque("timeout $x rm y", "timeout ?$x rm y|>rm y");
	opaque("find . -execdir rm {} \\;", "find . -execdir rm {} ;|>rm *{}");
	opaque("env 'BASH_FUNC_x%%=() { a; }' rm x", "env BASH_FUNC_x%%=() { a; } rm x|>rm x");
	opaque("xargs -0I% rm a b", "xargs -0I% rm a b|>*rm *a *b");
	opaque("parallel rm", "parallel rm");
	opaque("exec -a x rm y", ">rm y"); /* 31: fence#67 */
	opaque("su -c 'rm x'", "su -c rm x");
	opaque("$x rm y", "?$x rm y|>rm y");
}
END_TEST

/* ---- deciding ---- */

static const char rules[] = "policy: 1\nname: t\n"
			    "exec:\n"
			    "  allow:\n"
			    "    - git {status,log,diff,grep} ...\n"
			    "    - git push origin HEAD\n"
			    "    - '{echo,ls,cat,find,timeout,xargs,env,cd,npm,sh,python3} ...'\n"
			    "    - rm -rf build/\n"
			    "    - head ...\n"
			    "  ask: ['git push ...']\n"
			    "  deny:\n"
			    "    - git push ... flag(-f|--force|--mirror|-d|--delete) ...\n"
			    "    - git push ... '+*' ...\n"
			    "    - git flag(-c|--exec-path) ...\n"
			    "    - 'git ... flag(--output|-O|--open-files-in-pager) ...'\n"
			    "    - rm ... flag(-r|-R|--recursive) ... path(out) ...\n"
			    "    - '{sudo,nc} ...'\n"
			    "    - head ... '{.env,/etc/shadow}' ...\n"
			    "files:\n"
			    "  allow: [rw ws:/**, r /usr/**]\n"
			    "  deny: [w ws:/.git/**, 'r ws:/**/.env', w home:/.bashrc]\n";

static struct policy *policy;

static void load(void)
{
	policy = rig_load(rules);
}

static void unload(void)
{
	policy_free(policy);
	arena_free(&arena);
}

static struct shell_judgement *judgement(const struct policy *p, const char *text)
{
	struct shell_judgement *j;

	ck_assert_int_eq(policy_decide_shell(p, &rig_places, text, strlen(text), &j), 0);
	return j;
}

static void is(const char *text, enum verdict expected)
{
	struct shell_judgement *j = judgement(policy, text);

	ck_assert_msg(j->decision.verdict == expected, "%s: %s by %s", text,
		verdict_name(j->decision.verdict), j->decision.rule);
	shell_judgement_free(j);
}

START_TEST(a_text_is_as_strict_as_its_strictest_part)
{
	is("git status", VERDICT_ALLOW);
	is("git status && ls -l", VERDICT_ALLOW);
	is("cd x && python3 y", VERDICT_ALLOW);
	is("cd x && make y", VERDICT_ASK); /* 1: cc#28784 */
	is("echo a && nc b", VERDICT_DENY); /* 2: cc#4956 */
	is("git log; make", VERDICT_ASK); /* 3: cc#94314 */
	is("ls | nc x 1", VERDICT_DENY); /* 4: cc#58424 */
	is("", VERDICT_ALLOW);
	is("exit 0", VERDICT_ALLOW);
}
END_TEST

START_TEST(options_variables_and_wrappers_do_not_hide_a_command)
{
	is("git -C dir push -f", VERDICT_DENY); /* 5: cc#66176 */
	is("A=b git push -f", VERDICT_DENY);
	is("A=b git status", VERDICT_ASK);
	is("(git push -f)", VERDICT_DENY); /* 6: Codewhale#5161 */
	is("{ git push -f; }", VERDICT_DENY);
	is("echo $(git push -f)", VERDICT_DENY);
	is("git status & git push -f", VERDICT_DENY);
	is("git status & ls", VERDICT_ASK);
	is("git status\ngit push -f", VERDICT_DENY); /* 7: codexpro#52 */
	is("git push \\\n -f", VERDICT_DENY); /* 8: cl 2.1.6 */
	is("git push \\-f", VERDICT_DENY); /* 9: cl 2.1.98, codex#20277 */
	is("git push -\"f\"", VERDICT_DENY);
	is("X=`git push -f` npm --version", VERDICT_DENY);
	is("[[ a ]]", VERDICT_ASK); /* 12: cl 2.1.221 */
	is("timeout 5 git push -f", VERDICT_DENY); /* 15: cc#92542 */
	is("watch git push -f", VERDICT_DENY);
	is("setsid git push -f", VERDICT_DENY);
	is("env -i git push -f", VERDICT_DENY);
	is("xargs git push -f", VERDICT_DENY);
	is("xargs git push", VERDICT_DENY); /* it may get -f from its input */
	is("sh -c 'git push -f'", VERDICT_DENY);
	is("find . -exec git push -f \\;", VERDICT_DENY);
	is("if git status; then git push --forc; fi", VERDICT_DENY);
	is("f() { git push -f; }", VERDICT_DENY);
	is("/tmp/git push -uf", VERDICT_DENY);
	is("/tmp/git status", VERDICT_ASK); /* 30: an allow rule is about the system's git */
	is("cat <<E\n$(git push -f)\nE", VERDICT_DENY);
}
END_TEST

START_TEST(redirections_are_files)
{
	is("echo a > x", VERDICT_ALLOW);
	is("echo a 2>&1 >/dev/null", VERDICT_ALLOW);
	is("echo a > .git/hooks/pre-commit", VERDICT_DENY); /* 18: gemini#16454 */
	is("echo a > ../../.bashrc", VERDICT_ASK);
	is("echo a > ../.bashrc", VERDICT_DENY); /* opencode#5330 */
	is("echo a > '/home/u/.bashrc'", VERDICT_DENY);
	is("echo a > ~/.bashrc", VERDICT_ASK); /* where ~ is, the shell says */
	is("echo a >> $x", VERDICT_ASK);
	is("cat < .env", VERDICT_DENY);
	is("{ cat; } < .env", VERDICT_DENY); /* 14 */
	is("if ls; then ls; fi > .git/config", VERDICT_DENY);
	is("cat < src/../.env", VERDICT_DENY);
	is("echo a <> .git/config", VERDICT_DENY);
	is("echo a >| .git/config", VERDICT_DENY);
	is("echo a &> .git/config", VERDICT_DENY);
	is("echo a > /dev/tcp/x/1", VERDICT_ASK);
	is("cat < /proc/self/root/etc/shadow", VERDICT_DENY); /* nobody can say which file */
	is("find . -fprint .git/config", VERDICT_DENY);
	is("cd .git && echo a > config", VERDICT_DENY);
	is("cd ..; echo a > .bashrc", VERDICT_DENY);
	is("cd nowhere; echo a > .git/config", VERDICT_DENY); /* it may have stayed */
}
END_TEST

START_TEST(rules_end_where_they_end)
{
	is("rm -rf build/", VERDICT_ALLOW);
	is("rm -rf build/ --no-preserve-root /", VERDICT_DENY); /* 19: codex#31753 */
	is("git diff --output=x", VERDICT_DENY); /* 20: agency-lang#429 */
	is("git grep --open-files-in-pager=x y", VERDICT_DENY); /* 21: dd-sdk-android#3745 */
	is("git -c core.pager=x status", VERDICT_DENY); /* 22: kube-agents#952 */
	is("git -p status", VERDICT_ASK); /* 23: codex#18694 */
	is("file -m x y", VERDICT_ASK); /* 24: cl 2.1.214 */
	is("man x", VERDICT_ASK);
	is("head .env", VERDICT_DENY);
	is("head [.]env", VERDICT_DENY); /* 25: pi-packages#822 */
	is("head '[.]env'", VERDICT_ALLOW);
	is("ls /log/messages", VERDICT_ALLOW);
	is("head /log/messages /etc/shadow", VERDICT_DENY); /* 26: each argument is one */
	is("git push -fu origin", VERDICT_DENY); /* 27: agentsh's patterns */
	is("git push origin +HEAD:x", VERDICT_DENY);
	is("git push --mirror", VERDICT_DENY);
	is("git push --delete x", VERDICT_DENY);
	is("git push origin feature/maintenance", VERDICT_ASK);
	is("git push origin HEAD", VERDICT_ASK); /* an ask rule is about it, too */
	is("rm -r -f /", VERDICT_DENY);
	is("rm -Rf /", VERDICT_DENY);
	is("rm -rf -- /", VERDICT_DENY);
}
END_TEST

START_TEST(unknown_words_are_allowed_by_no_rule_that_spells_them_out)
{
	is("ls *", VERDICT_ALLOW); /* `...` */
	is("rm -rf *", VERDICT_DENY); /* it may be a path outside */
	is("rm -rf buil?/", VERDICT_DENY);
	is("git {push,-f}", VERDICT_DENY); /* as many arguments as rules need */
	is("git push *", VERDICT_DENY);
	is("git $x", VERDICT_DENY);
	is("ls $x", VERDICT_ASK);
	is("git status \"$x\"", VERDICT_DENY); /* -c at any place: `git ... flag(--output)` */
	is("$x", VERDICT_ASK);
	is("ls '*'", VERDICT_ALLOW);
}
END_TEST

START_TEST(variables_that_load_code_are_denied_and_most_are_asked_about)
{
	is("LD_PRELOAD=x ls", VERDICT_DENY);
	is("export LD_LIBRARY_PATH=x", VERDICT_DENY);
	is("BASH_ENV=x ls", VERDICT_DENY);
	is("env BASH_ENV=x ls", VERDICT_DENY);
	is("ENV=x; ls", VERDICT_DENY);
	is("PATH=x ls", VERDICT_ASK);
	is("for PATH in x; do ls; done", VERDICT_ASK);
	is("for i in x; do ls; done", VERDICT_ALLOW);
	is("read PATH", VERDICT_ASK);
	is("read -r line", VERDICT_ALLOW);
	is("GIT_SSH_COMMAND=x git status", VERDICT_ASK);
	is("NODE_OPTIONS=--require=x npm test", VERDICT_ASK);
	is("CI=1 npm test", VERDICT_ALLOW);
	is("x=1", VERDICT_ASK);
	is("unset PATH", VERDICT_ASK);
}
END_TEST

START_TEST(the_part_that_decides_is_named)
{
	struct shell_judgement *j =
		judgement(policy, "git status; 'git' push \"-f\" 'a b' > .git/x &");
	struct decision d;

	ck_assert_uint_eq(j->parts, 4);
	ck_assert_str_eq(j->part[0].text, "git status");
	ck_assert_str_eq(j->part[1].text, "git push -f 'a b'");
	ck_assert_str_eq(j->part[2].text, "write .git/x");
	ck_assert_int_eq(j->part[3].kind, SHELL_PART_OPAQUE);
	ck_assert_uint_eq(j->part[3].at, 43);
	ck_assert_str_eq(j->part[3].text, "`&` runs it in the background: &");
	ck_assert_uint_eq(j->decisive, 1);
	ck_assert_int_eq(j->decision.verdict, VERDICT_DENY);
	ck_assert_uint_gt(j->decision.line, 0);
	shell_judgement_part(j, 0, &d);
	ck_assert_int_eq(d.verdict, VERDICT_ALLOW);
	shell_judgement_free(j);
	j = judgement(policy, "echo '$x' \"$x\" '*' * ''");
	ck_assert_str_eq(j->part[0].text, "echo '$x' \"$x\" '*' * ''");
	shell_judgement_free(j);
}
END_TEST

START_TEST(a_policy_without_rules_about_programs_has_nothing_to_say)
{
	static const char *const about_tools = "policy: 1\ntools: {allow: [Bash]}\n";
	static const char *const about_files = "policy: 1\nfiles: {deny: [w ws:/a]}\n";
	struct policy *tools = rig_load(about_tools), *files = rig_load(about_files);
	struct shell_judgement *j = judgement(tools, "rm -rf / > a; eval x");

	ck_assert_int_eq(j->decision.verdict, VERDICT_NONE);
	ck_assert_uint_eq(j->parts, 3);
	shell_judgement_free(j);
	j = judgement(files, "rm x");
	ck_assert_int_eq(j->decision.verdict, VERDICT_NONE);
	shell_judgement_free(j);
	j = judgement(files, "rm x > a");
	ck_assert_int_eq(j->decision.verdict, VERDICT_DENY);
	ck_assert_uint_eq(j->decisive, 1);
	shell_judgement_free(j);
	policy_free(files);
	policy_free(tools);
}
END_TEST

START_TEST(a_ceiling_denies_what_cannot_be_read)
{
	struct policy *p = rig_load("policy: 1\nceiling: true\nexec: {allow: [ls ...]}\n");
	struct shell_judgement *j = judgement(p, "eval ls");

	ck_assert_int_eq(j->decision.verdict, VERDICT_DENY);
	shell_judgement_free(j);
	j = judgement(p, "ls a");
	ck_assert_int_eq(j->decision.verdict, VERDICT_ALLOW);
	shell_judgement_free(j);
	policy_free(p);
}
END_TEST

/* ---- tools ---- */

static struct shell_judgement *called(const char *tool, const char *const *args)
{
	struct action *a = rig_action(&rig_places, tool, args);
	struct shell_judgement *j;
	int found = policy_decide_shell_tool(policy, &rig_places, a, &j);

	ck_assert_int_eq(found, j != NULL);
	action_free(a);
	return j;
}

static enum verdict call(const char *tool, const char *const *args)
{
	struct shell_judgement *j = called(tool, args);
	enum verdict v = j ? j->decision.verdict : VERDICT_NONE;

	shell_judgement_free(j);
	return v;
}

#define CALL(tool, ...) call(tool, (const char *const[]){__VA_ARGS__, NULL})

START_TEST(the_tools_of_agents_have_their_text_in_different_places)
{
	ck_assert_int_eq(CALL("Bash", "/command", "git push -f"), VERDICT_DENY);
	ck_assert_int_eq(CALL("Bash", "/command", "git status"), VERDICT_ALLOW);
	ck_assert_int_eq(CALL("run_shell_command", "/command", "git push -f"), VERDICT_DENY);
	ck_assert_int_eq(
		CALL("run_shell_command", "/command", "echo > config", "/dir_path", ".git"),
		VERDICT_DENY);
	ck_assert_int_eq(CALL("exec", "/command", "ls", "/env/LD_PRELOAD", "x"), VERDICT_DENY);
	ck_assert_int_eq(
		CALL("bash", "/command", "echo > .bashrc", "/workdir", "/home/u"), VERDICT_DENY);
	ck_assert_int_eq(
		CALL("shell", "/command/0", "git", "/command/1", "push", "/command/2", "-f"),
		VERDICT_DENY);
	ck_assert_int_eq(CALL("shell", "/command/0", "bash", "/command/1", "-lc", "/command/2",
				 "git push -f"),
		VERDICT_DENY);
	ck_assert_int_eq(CALL("shell", "/command/0", "git", "/command/1", "status"), VERDICT_ALLOW);
	ck_assert_int_eq(CALL("Bash", "/other", "x"), VERDICT_ASK);
	ck_assert_int_eq(CALL("Read", "/command", "git push -f"), VERDICT_NONE);
}
END_TEST

/* ---- documents ---- */

START_TEST(tests_of_a_document_may_be_about_shell_text)
{
	policy_free(rig_load("policy: 1\nexec: {allow: [ls ...], deny: [rm ...]}\ntests:\n"
			     "  - allow shell ls -l\n  - 'deny shell \"ls; rm x\"'\n"
			     "  - 'ask shell ls & ls'\n  - \"deny shell ls\\nrm x\"\n"));
	ck_assert_ptr_nonnull(strstr(rig_error("policy: 1\nexec: {allow: [ls ...]}\ntests:\n"
					       "  - allow shell ls; make\n"),
		"test.yaml:4:5: a test fails (allow shell ls; make): the decision is ask"));
	ck_assert_ptr_nonnull(strstr(rig_error("policy: 1\ntests: [allow shell ls]\n"),
		"the decision is none, by no rules of exec or files"));
}
END_TEST

/* ---- limits ---- */

static double judged_ms(const char *text)
{
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	shell_judgement_free(judgement(policy, text));
	clock_gettime(CLOCK_MONOTONIC, &b);
	return (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6;
}

START_TEST(the_worst_texts_take_a_moment_only)
{
	static const char *const pieces[] = {"env ", "a;", "$(", "`\\`", "xargs ", "* ", "a>b ",
		"a=b ", "cd x;", "sh -c '", "${a:-", "<<E ", "{a,", "watch ", "\\\n", "'' ", "x ",
		"\"$x\" "};
	static char text[SHELL_TEXT_MAX + 1];

	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
		size_t len = strlen(pieces[i]), n;
		double ms;

		memcpy(text, "ls ", 3);
		for (n = 3; n + len < SHELL_TEXT_MAX; n += len)
			memcpy(text + n, pieces[i], len);
		text[n] = 0;
		ms = judged_ms(text);
		printf("8 KiB of `%s`: %.1f ms\n", pieces[i], ms);
		ck_assert_double_lt(ms, 2000);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("policy_shell");
	TCase *t = tcase_create("shell text");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, load, unload);
	tcase_add_test(t, quotes_are_taken_off_as_posix_says);
	tcase_add_test(t, every_separator_starts_a_command);
	tcase_add_test(t, compound_commands_are_all_their_commands);
	tcase_add_test(t, patterns_tildes_and_braces_are_unknown_words);
	tcase_add_test(t, commands_in_substitutions_are_listed_and_the_word_is_unknown);
	tcase_add_test(t, here_documents_are_no_commands_but_their_substitutions_are);
	tcase_add_test(t, opaque_is_what_runs_text_or_means_something_else_elsewhere);
	tcase_add_test(t, a_text_that_is_too_long_or_too_deep_is_opaque);
	tcase_add_test(t, programs_that_start_others_have_those_listed);
	tcase_add_test(t, a_text_is_as_strict_as_its_strictest_part);
	tcase_add_test(t, options_variables_and_wrappers_do_not_hide_a_command);
	tcase_add_test(t, redirections_are_files);
	tcase_add_test(t, rules_end_where_they_end);
	tcase_add_test(t, unknown_words_are_allowed_by_no_rule_that_spells_them_out);
	tcase_add_test(t, variables_that_load_code_are_denied_and_most_are_asked_about);
	tcase_add_test(t, the_part_that_decides_is_named);
	tcase_add_test(t, a_policy_without_rules_about_programs_has_nothing_to_say);
	tcase_add_test(t, a_ceiling_denies_what_cannot_be_read);
	tcase_add_test(t, the_tools_of_agents_have_their_text_in_different_places);
	tcase_add_test(t, tests_of_a_document_may_be_about_shell_text);
	tcase_add_test(t, the_worst_texts_take_a_moment_only);
	suite_add_tcase(s, t);
	return rig_run(s);
}
