/* Starts of programs: what rules of `exec` stand for, by example, and by random rules against a
 * reference that goes through the arguments one by one. */
#include <time.h>

#include "policy/compile.h"
#include "policy/kinds/exec.h"
#include "policy/kinds/programs.h"
#include "tests/lib/policy_rig.h"
#include "tests/lib/slow_match.h"

#define ARGS 16

struct start { /* a program start; what is NULL is usual */
	const char *argv[ARGS];
	const char *invoked, *file, *cwd;
	int writable, file_writable, held;
};

static struct action *action_at(const struct start *s, struct error *e)
{
	struct action_places places = rig_places;
	struct span argv[ARGS];
	struct action_exec x = {.argv = argv,
		.invoked_writable = s->writable,
		.file_writable = s->writable || s->file_writable,
		.pins_hold = s->held};
	struct action *a;
	char usual[256];

	snprintf(usual, sizeof usual, "/usr/bin/%s", s->argv[0] ? s->argv[0] : "x");
	x.invoked.p = s->invoked ? s->invoked : usual;
	x.file.p = s->file ? s->file : x.invoked.p;
	x.invoked.n = strlen(x.invoked.p);
	x.file.n = strlen(x.file.p);
	for (; s->argv[x.argc]; x.argc++)
		argv[x.argc] = (struct span){s->argv[x.argc], strlen(s->argv[x.argc])};
	if (s->cwd)
		places.cwd = s->cwd;
	return action_from_exec(&a, &places, &x, e) ? NULL : a;
}

static enum verdict decide(const struct policy *p, const struct start *s)
{
	struct error e;
	struct action *a = action_at(s, &e);
	struct decision d;
	enum verdict v;

	ck_assert_msg(a != NULL, "%s", e.text);
	v = policy_verdict(p, a);
	policy_decide(p, a, &d);
	ck_assert_int_eq(v, d.verdict);
	action_free(a);
	return v;
}

#define DECIDE(p, ...)      decide((p), &(struct start)__VA_ARGS__)
#define IS(verdict, p, ...) ck_assert_int_eq(DECIDE(p, __VA_ARGS__), verdict)
#define START(...)                      \
	{                               \
		.argv = { __VA_ARGS__ } \
	}

static struct policy *load_rules(const char *rules)
{
	char text[4096];

	snprintf(text, sizeof text, "policy: 1\nexec:\n%s", rules);
	return rig_load(text);
}

/* ---- specs/policy.md 7: prefix and string matching ---- */

START_TEST(a_forced_push_is_denied_however_it_is_spelled)
{
	struct policy *p = load_rules(
		"  allow: [git ...]\n"
		"  deny:\n"
		"    - git push ... flag(-f|--force|--force-with-lease|--mirror|-d|--delete) ...\n"
		"    - git push ... \"+*\" ...\n");

	IS(VERDICT_ALLOW, p, START("git", "push", "origin", "main"));
	IS(VERDICT_ALLOW, p, START("git", "push", "-u", "origin", "main"));
	IS(VERDICT_ALLOW, p, START("git", "push", "--tags"));
	IS(VERDICT_DENY, p, START("git", "push", "-f"));
	IS(VERDICT_DENY, p, START("git", "push", "-uf", "origin", "main"));
	IS(VERDICT_DENY, p, START("git", "push", "-fu", "origin", "main"));
	IS(VERDICT_DENY, p, START("git", "push", "origin", "main", "--force"));
	IS(VERDICT_DENY, p, START("git", "push", "origin", "main", "--forc"));
	IS(VERDICT_DENY, p, START("git", "push", "--force-with-lease=main:abc", "origin"));
	IS(VERDICT_DENY, p, START("git", "push", "--force-w"));
	IS(VERDICT_DENY, p, START("git", "push", "--m", "origin")); /* git takes that */
	IS(VERDICT_DENY, p, START("git", "push", "--de", "origin", "main"));
	IS(VERDICT_DENY, p, START("git", "push", "origin", "+HEAD:main"));
	IS(VERDICT_DENY, p, START("git", "-C", "x", "push", "-f"));
	IS(VERDICT_DENY, p, START("git", "-C", "push", "push", "-f"));
	IS(VERDICT_DENY, p, START("git", "--git-dir", "x", "-c", "a=b", "-p", "push", "-f"));
	IS(VERDICT_DENY, p, START("git", "--git-dir=x", "--some-new-flag", "push", "-f"));
	IS(VERDICT_ALLOW, p, START("git", "log", "-f"));
	IS(VERDICT_ALLOW, p, START("git", "log", "push", "-f"));
	policy_free(p);
}
END_TEST

START_TEST(an_allowed_command_ends_where_its_rule_ends)
{
	struct policy *p = load_rules("  allow:\n    - rm -rf build/\n    - git push origin *\n"
				      "    - cat /log/messages*\n    - git status ...\n");

	IS(VERDICT_ALLOW, p, START("rm", "-rf", "build/"));
	IS(VERDICT_ASK, p, START("rm", "-rf", "build/", "--no-preserve-root", "/"));
	IS(VERDICT_ASK, p, START("rm", "-rf", "build/ --no-preserve-root /"));
	IS(VERDICT_ALLOW, p, START("cat", "/log/messages.1"));
	IS(VERDICT_ASK, p, START("cat", "/log/messages", "/etc/shadow"));
	IS(VERDICT_ALLOW, p, START("git", "push", "origin", "feature/maintenance"));
	IS(VERDICT_ASK, p, START("git", "push", "origin", "a", "b"));
	IS(VERDICT_ASK, p, START("git", "push", "origin"));
	IS(VERDICT_ALLOW, p, START("git", "status"));
	IS(VERDICT_ASK, p, START("git", "-C", "x", "status"));
	IS(VERDICT_ASK, p, START("git", "-c", "core.pager=sh", "status"));
	policy_free(p);
}
END_TEST

START_TEST(a_rule_about_main_is_not_about_maintenance)
{
	struct policy *p = load_rules("  allow: [git push ...]\n  deny: [git push ... main]\n");

	IS(VERDICT_ALLOW, p, START("git", "push", "origin", "feature/maintenance"));
	IS(VERDICT_ALLOW, p, START("git", "push", "origin", "main2"));
	IS(VERDICT_DENY, p, START("git", "push", "origin", "main"));
	policy_free(p);
}
END_TEST

START_TEST(rm_is_recursive_in_many_ways)
{
	struct policy *p =
		load_rules("  allow: [rm ...]\n  deny: [rm ... flag(-r|-R|--recursive) ...]\n");

	IS(VERDICT_ALLOW, p, START("rm", "-f", "x"));
	IS(VERDICT_DENY, p, START("rm", "-r", "-f", "/"));
	IS(VERDICT_DENY, p, START("rm", "-Rf", "/"));
	IS(VERDICT_DENY, p, START("rm", "-fR", "/"));
	IS(VERDICT_DENY, p, START("rm", "-rf", "--", "/"));
	IS(VERDICT_DENY, p, START("rm", "/", "-fr"));
	IS(VERDICT_DENY, p, START("rm", "--recurs", "/"));
	policy_free(p);
}
END_TEST

START_TEST(two_letters_behind_one_dash_are_both_orders)
{
	struct policy *p = load_rules("  allow: [\"* ...\"]\n  deny: [rm ... flag(-rf) ...]\n");

	IS(VERDICT_DENY, p, START("rm", "-rf", "x"));
	IS(VERDICT_DENY, p, START("rm", "-fr", "x"));
	IS(VERDICT_DENY, p, START("rm", "-vfir", "x"));
	IS(VERDICT_ALLOW, p, START("rm", "-r", "x"));
	policy_free(p);
}
END_TEST

START_TEST(allow_rules_take_flags_as_they_are_spelled)
{
	struct policy *p = load_rules("  allow: [git commit flag(-m|--message) *]\n");

	IS(VERDICT_ALLOW, p, START("git", "commit", "-m", "fix"));
	IS(VERDICT_ALLOW, p, START("git", "commit", "--message", "fix"));
	IS(VERDICT_ASK, p, START("git", "commit", "--mess", "fix"));
	IS(VERDICT_ASK, p, START("git", "commit", "-am", "fix"));
	IS(VERDICT_ASK, p, START("git", "commit", "--message=fix", "x"));
	policy_free(p);
}
END_TEST

START_TEST(exceptions_of_allow_rules_are_as_wide_as_denials)
{
	struct policy *p = load_rules("  allow:\n    - cmd: node ...\n      except: [\"node ... "
				      "flag(-e|--eval|-p|--print|-r|--require|--import) ...\"]\n");

	IS(VERDICT_ALLOW, p, START("node", "build.js", "--watch"));
	IS(VERDICT_ASK, p, START("node", "-e", "x"));
	IS(VERDICT_ASK, p, START("node", "-pe", "x"));
	IS(VERDICT_ASK, p, START("node", "--eval=x"));
	IS(VERDICT_ASK, p, START("node", "--impo", "./x.js"));
	IS(VERDICT_ASK, p, START("node", "-e\\xec"));
	policy_free(p);
}
END_TEST

START_TEST(exceptions_of_denials_are_exact)
{
	struct policy *p = load_rules("  allow: [\"* ...\"]\n  deny:\n    - cmd: curl ...\n"
				      "      except: [curl flag(-s) https://a.example/]\n");

	IS(VERDICT_ALLOW, p, START("curl", "-s", "https://a.example/"));
	IS(VERDICT_DENY, p, START("curl", "-sk", "https://a.example/"));
	IS(VERDICT_DENY, p, START("curl", "-s", "https://a.example/", "-o", "x"));
	IS(VERDICT_DENY, p,
		{.argv = {"curl", "-s", "https://a.example/"},
			.invoked = "/tmp/curl",
			.writable = 1});
	policy_free(p);
}
END_TEST

START_TEST(options_before_a_subcommand_do_not_hide_it)
{
	struct policy *p = load_rules(
		"  allow: [\"* ...\"]\n"
		"  deny: [npm install ..., npm run deploy ..., kubectl delete ..., docker run ..., "
		"terraform apply ..., \"git flag(-c|--config-env) ...\", make deploy]\n");

	IS(VERDICT_DENY, p, START("npm", "--prefix", "d", "install", "x"));
	IS(VERDICT_DENY, p, START("npm", "-s", "run", "--prefix", "d", "deploy"));
	IS(VERDICT_ALLOW, p, START("npm", "run", "test"));
	IS(VERDICT_DENY, p, START("kubectl", "-n", "prod", "--context=x", "delete", "pod", "y"));
	IS(VERDICT_DENY, p, START("docker", "--context", "x", "-D", "run", "y"));
	IS(VERDICT_DENY, p, START("terraform", "-chdir=x", "apply"));
	IS(VERDICT_DENY, p, START("git", "-C", "x", "-c", "alias.s=!sh", "s"));
	IS(VERDICT_ALLOW, p, START("git", "commit", "-c", "HEAD"));
	IS(VERDICT_DENY, p, START("make", "-C", "x", "-k", "deploy"));
	policy_free(p);
}
END_TEST

START_TEST(arguments_have_classes)
{
	struct policy *p =
		load_rules("  allow: [rm path(ws), curl url]\n"
			   "  deny: [\"git diff ... path(out) ...\", wget ... url ...]\n");

	IS(VERDICT_ALLOW, p, START("rm", "src/a.c"));
	IS(VERDICT_ALLOW, p, START("rm", "/home/u/web/a.c"));
	IS(VERDICT_ASK, p, START("rm", "../a.c"));
	IS(VERDICT_ASK, p, START("rm", "src/../../a.c"));
	IS(VERDICT_ASK, p, START("rm", "/etc/passwd"));
	IS(VERDICT_ASK, p, START("rm", "~/x"));
	IS(VERDICT_ASK, p, START("rm", "~root/x"));
	IS(VERDICT_ASK, p, START("rm", "/proc/self/cwd/x"));
	IS(VERDICT_ASK, p, START("rm", "-rf"));
	IS(VERDICT_ASK, p, START("rm", ""));
	IS(VERDICT_ASK, p, {.argv = {"rm", "a.c"}, .cwd = "/tmp"});
	IS(VERDICT_ALLOW, p, START("curl", "https://x.example"));
	IS(VERDICT_ASK, p, START("curl", "x.example"));
	IS(VERDICT_DENY, p, START("git", "diff", "--output=~/.bashrc"));
	IS(VERDICT_DENY, p, START("git", "diff", "-o/etc/x"));
	IS(VERDICT_DENY, p, START("git", "diff", "--no-index", "/proc/self/root/x"));
	IS(VERDICT_ASK, p, START("git", "diff", "HEAD", "src"));
	IS(VERDICT_DENY, p, START("wget", "--proxy=http://x.example", "y"));
	policy_free(p);
}
END_TEST

START_TEST(quotes_group_and_stars_stay_patterns)
{
	struct policy *p = load_rules("  allow:\n    - git commit -m 'fix *'\n    - echo '...'\n"
				      "    - echo \"\" a\\*b '\"'\n    - go test ./...\n");

	IS(VERDICT_ALLOW, p, START("git", "commit", "-m", "fix a b"));
	IS(VERDICT_ASK, p, START("git", "commit", "-m", "fix"));
	IS(VERDICT_ALLOW, p, START("echo", "..."));
	IS(VERDICT_ASK, p, START("echo", "a", "b"));
	IS(VERDICT_ALLOW, p, START("echo", "", "a*b", "\""));
	IS(VERDICT_ASK, p, START("echo", "", "axb", "\""));
	IS(VERDICT_ALLOW, p, START("go", "test", "./..."));
	policy_free(p);
}
END_TEST

/* ---- program identity ---- */

START_TEST(another_git_is_never_allowed_and_always_denied)
{
	struct policy *p = load_rules("  allow: [git status, ls ...]\n  deny: [git push ...]\n");

	IS(VERDICT_ALLOW, p, START("git", "status"));
	IS(VERDICT_ALLOW, p, {.argv = {"git", "status"}, .invoked = "/opt/git/bin/git"});
	IS(VERDICT_ASK, p, {.argv = {"git", "status"}, .invoked = "/tmp/git", .writable = 1});
	IS(VERDICT_DENY, p, {.argv = {"git", "push"}, .invoked = "/tmp/git", .writable = 1});
	IS(VERDICT_DENY, p, {.argv = {"x", "push"}, .invoked = "/tmp/x", .file = "/usr/bin/git"});
	IS(VERDICT_DENY, p, {.argv = {"git", "push"}, .invoked = "/tmp/x", .writable = 1});
	IS(VERDICT_DENY, p, {.argv = {"/a/git", "push"}, .invoked = "/usr/bin/ls"});
	IS(VERDICT_DENY, p, {.argv = {"-git", "push"}, .invoked = "/usr/bin/ls"});
	IS(VERDICT_ASK, p, {.argv = {"rm", "x"}, .invoked = "/usr/bin/ls"}); /* exec -a rm ls x */
	IS(VERDICT_ALLOW, p, {.argv = {"/usr/bin/ls", "x"}, .invoked = "/usr/bin/ls"});
	policy_free(p);
}
END_TEST

START_TEST(multi_call_binaries_are_what_they_are_called_as)
{
	struct policy *p = load_rules("  allow: [\"* ...\"]\n  deny: [rm ...]\n");

	IS(VERDICT_DENY, p, START("busybox", "rm", "x"));
	IS(VERDICT_DENY, p, START("busybox", "/bin/rm", "x"));
	IS(VERDICT_DENY, p, START("busybox", "busybox", "rm", "x"));
	IS(VERDICT_DENY, p, START("busybox.static", "rm", "x"));
	IS(VERDICT_DENY, p, START("toybox", "rm", "x"));
	IS(VERDICT_DENY, p, START("coreutils", "--coreutils-prog=rm", "x"));
	IS(VERDICT_DENY, p, START("coreutils", "rm", "x"));
	IS(VERDICT_DENY, p, {.argv = {"rm", "x"}, .invoked = "/bin/sh", .file = "/bin/busybox"});
	IS(VERDICT_DENY, p, {.argv = {"sh"}, .invoked = "/x/sh", .file = "/x/rm"});
	IS(VERDICT_ALLOW, p, START("busybox", "ls", "rm"));
	policy_free(p);
}
END_TEST

START_TEST(a_path_is_a_path)
{
	struct policy *p = load_rules("  allow: [\"ws:/scripts/*.sh ...\", /usr/bin/git status]\n"
				      "  deny: [\"/usr/bin/{git,hg} push\", \"home:/** x\"]\n");

	IS(VERDICT_ALLOW, p,
		{.argv = {"a.sh"}, .invoked = "/home/u/web/scripts/a.sh", .writable = 1});
	IS(VERDICT_ASK, p,
		{.argv = {"a.sh"}, .invoked = "/home/u/web/scripts/x/a.sh", .writable = 1});
	IS(VERDICT_ALLOW, p, START("git", "status"));
	IS(VERDICT_ASK, p, {.argv = {"git", "status"}, .invoked = "/usr/local/bin/git"});
	IS(VERDICT_ASK, p, {.argv = {"rm", "status"}, .invoked = "/usr/bin/git"});
	IS(VERDICT_ASK, p,
		{.argv = {"git", "status"}, .file = "/home/u/bin/git", .file_writable = 1});
	IS(VERDICT_DENY, p, START("git", "-C", "x", "push"));
	IS(VERDICT_DENY, p, {.argv = {"g", "push"}, .invoked = "/opt/g", .file = "/usr/bin/git"});
	IS(VERDICT_DENY, p, {.argv = {"y", "x"}, .invoked = "/home/u/bin/y", .writable = 1});
	IS(VERDICT_DENY, p, {.argv = {"y", "x"}, .invoked = "/home/u/web/y", .writable = 1});
	policy_free(p);
}
END_TEST

START_TEST(what_is_not_canonical_is_no_action)
{
	static const struct {
		struct start start;
		const char *why;
	} bad[] = {
		{{.argv = {NULL}}, "argv[0]"},
		{{.argv = {"x", "\xff"}}, "UTF-8"},
		{{.argv = {"x"}, .invoked = "bin/x"}, "not absolute"},
		{{.argv = {"x"}, .invoked = "/a/../x"}, "not resolved"},
		{{.argv = {"x"}, .invoked = "/a//x"}, "not resolved"},
		{{.argv = {"x"}, .invoked = "/proc/self/exe"}, "not resolved"},
		{{.argv = {"x"}, .cwd = "x"}, "working directory"},
	};
	struct span nul[] = {{"x", 1}, {"a\0b", 3}};
	struct action_exec x = {.invoked = {"/x", 2}, .file = {"/x", 2}, .argv = nul, .argc = 2};
	static struct span many[ACTION_EXEC_ARGS_MAX + 1];
	struct action *a;
	struct error e;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		ck_assert_ptr_null(action_at(&bad[i].start, &e));
		ck_assert_msg(strstr(e.text, "not canonical: ") == e.text, "%s", e.text);
		ck_assert_msg(strstr(e.text, bad[i].why) != NULL, "%s", e.text);
	}
	ck_assert_int_eq(action_from_exec(&a, &rig_places, &x, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "NUL"));
	for (size_t i = 0; i < ACTION_EXEC_ARGS_MAX + 1; i++)
		many[i] = (struct span){"x", 1};
	x.argv = many;
	x.argc = ACTION_EXEC_ARGS_MAX + 1;
	ck_assert_int_eq(action_from_exec(&a, &rig_places, &x, &e), -1);
	x.argc--;
	ck_assert_int_eq(action_from_exec(&a, &rig_places, &x, &e), 0);
	action_free(a);
}
END_TEST

START_TEST(an_answer_is_bound_to_the_file_and_the_whole_command)
{
	static const struct start starts[] = {START("git", "a", "b"), START("git", "a b"),
		START("git", "a", "b", ""), {.argv = {"git", "a", "b"}, .file = "/usr/lib/git"},
		{.argv = {"/x/git", "a", "b"}, .invoked = "/usr/bin/git"},
		{.argv = {"git", "a", "b"}, .writable = 1}};
	char digest[6][65];

	for (size_t i = 0; i < 6; i++) {
		struct error e;
		struct action *a = action_at(&starts[i], &e);

		action_digest(a, digest[i]);
		action_free(a);
		for (size_t k = 0; k < i; k++)
			ck_assert_str_ne(digest[i], digest[k]);
	}
}
END_TEST

START_TEST(an_allow_rule_with_pinned_files_counts_as_ask_while_they_do_not_hold)
{
	struct policy *p = load_rules("  allow:\n    - npm ...\n    - cmd: npm run build\n"
				      "      pinned: [ws:/package.json, /etc/x]\n");
	struct policy_rule r;
	size_t pinned = 0;

	IS(VERDICT_ALLOW, p, START("npm", "ci"));
	IS(VERDICT_ASK, p, START("npm", "run", "build"));
	IS(VERDICT_ALLOW, p, {.argv = {"npm", "run", "build"}, .held = 1});
	IS(VERDICT_ALLOW, p, START("npm", "-s", "run", "build")); /* as narrow as an allow rule */
	for (size_t j = 0; policy_rule_get(p, 1, j, &r) == 0; j++) {
		if (!r.pins)
			continue;
		pinned++;
		ck_assert_str_eq(policy_rule_pin(p, 1, j, 0), "ws:/package.json");
		ck_assert_str_eq(policy_rule_pin(p, 1, j, 1), "/etc/x");
		ck_assert_ptr_null(policy_rule_pin(p, 1, j, 2));
	}
	ck_assert_uint_eq(pinned, 1);
	policy_free(p);
}
END_TEST

START_TEST(the_exec_block_of_the_specification_loads_and_its_tests_hold)
{
	policy_free(rig_load(
		"policy: 1\n"
		"exec:\n"
		"  allow:\n"
		"    - git {status,diff,log,show,branch,fetch,add,commit,switch} ...\n"
		"    - git push origin HEAD:refs/heads/agent/*\n"
		"    - npm {ci,ls,view} ...\n"
		"    - cmd: npm run {build,lint,test,typecheck}\n"
		"      pinned: [ws:/package.json]\n"
		"    - cmd: node ...\n"
		"      except: [node ... flag(-e|--eval|-p|--print|-r|--require|--import) ...]\n"
		"      why: running repo scripts is the job, inline code is not\n"
		"  ask:\n"
		"    - cmd: git push ...\n"
		"      except: [git push origin HEAD:refs/heads/agent/*]\n"
		"    - npm {install,add,update,exec} ...\n"
		"    - curl ...\n"
		"  deny:\n"
		"    - cmd: git push ... flag(-f|--force|--force-with-lease|--mirror|-d|--delete) "
		"...\n"
		"      why: use a new branch instead\n"
		"    - git push ... \"+*\" ...\n"
		"    - git flag(-c|--exec-path|--config-env) ...\n"
		"    - \"{sudo,su,doas,ssh,scp,nc,socat} ...\"\n"
		"tests:\n"
		"  - allow exec git push origin HEAD:refs/heads/agent/fix-1\n"
		"  - deny  exec git push -uf origin main\n"
		"  - ask   exec git push origin main\n"
		"  - ask   exec npm run build\n"
		"  - deny  exec git -c core.pager=x log\n"
		"  - ask   exec (writable)/opt/git status\n"
		"  - deny  exec ws:/sudo\n"));
}
END_TEST

/* ---- the text of actions ---- */

static void same_again(const struct word *w)
{
	static const struct shape none = {0, NULL};
	struct pattern_fault f = {0};
	struct word again;
	struct arena a;
	char text[512];

	arena_init(&a, 1u << 20);
	ck_assert_int_eq(kind_exec.show(w, &none, text, sizeof text), 0);
	ck_assert_msg(kind_exec.read(&a, text, strlen(text), &none, &again, &f) == 0, "%s: %s",
		text, f.text);
	ck_assert_uint_eq(again.n, w->n);
	ck_assert_msg(memcmp(again.p, w->p, w->n) == 0, "%s", text);
	arena_free(&a);
}

static void shown_as(const char *text)
{
	static const struct shape none = {0, NULL};
	struct pattern_fault f = {0};
	struct arena a;
	struct word w;
	char shown[256];

	arena_init(&a, 1u << 20);
	ck_assert_msg(kind_exec.read(&a, text, strlen(text), &none, &w, &f) == 0, "%s", f.text);
	ck_assert_int_eq(kind_exec.show(&w, &none, shown, sizeof shown), 0);
	ck_assert_str_eq(shown, text);
	arena_free(&a);
}

START_TEST(an_action_is_shown_as_it_is_read)
{
	shown_as("git push origin main");
	shown_as("(writable)/opt/x/git push");
	shown_as("ws:/scripts/a.sh -x ../b https://c.example ~/d");
	shown_as("(trusted)ws:/a \"\" \"b c\" '\"' \"'\" (out)./x \"(x)\" \"...\" (word)y");
	shown_as("(renamed)/usr/bin/git (unknown)/proc/self/root/x");
	shown_as("(held)git push");
	shown_as("(held)(writable)/opt/x/git push");
}
END_TEST

static unsigned long long seed = 0x2545f4914f6cdd1dULL;

static unsigned roll(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)((seed >> 11) % n);
}

/* A word that were not canonical would slip past every rule. */
START_TEST(whatever_is_started_is_canonical_and_read_back_as_it_is_shown)
{
	struct policy *p = load_rules("  deny: [\"* ...\"]\n");
	static const char *const names[] = {"git", "a b", "...", "(x)", "'", "\"'", "-x", "é"};
	static const char *const values[] = {"", "-f", "--x=/y", "a", "../..", "(ws)q", "...",
		"\"'\"", "a  b", "~", "~u/x", "x://y", "/proc/self/fd/1", "/home/u/web/x", "é\t"};

	for (unsigned i = 0; i < 5000; i++) {
		char invoked[64];
		struct start s = {.invoked = invoked, .writable = (int)roll(2)};
		struct error e;
		struct action *a;
		unsigned n = roll(5);

		snprintf(invoked, sizeof invoked, "%s/%s", roll(2) ? "/usr/bin" : "/home/u/web",
			names[roll(8)]);
		s.argv[0] = roll(3) ? strrchr(invoked, '/') + 1 : "other";
		for (unsigned k = 0; k < n; k++)
			s.argv[k + 1] = values[roll(15)];
		s.cwd = roll(2) ? "/tmp" : NULL;
		s.held = (int)roll(2);
		a = action_at(&s, &e);
		ck_assert_msg(a != NULL, "%s", e.text);
		same_again(&a->word[0]);
		for (size_t k = 0; k < a->words; k++) {
			const struct dfa *d = p->compiled[ACTION_EXEC].decision;

			ck_assert_int_eq(dfa_run(d, a->word[k].p, a->word[k].n), VERDICT_DENY);
		}
		action_free(a);
	}
	policy_free(p);
}
END_TEST

/* ---- random rules against a reference ---- */

#define RULES    5
#define ELEMENTS 4

struct rule_of {
	enum verdict effect;
	struct one {
		const char *program;
		unsigned n;
		const char *element[ELEMENTS];
	} match, except[2];
	unsigned excepts, pinned;
};

static const char *const programs[] = {"git", "g*", "{git,rm}", "rm", "/usr/bin/git", "ws:/b/*",
	"*", "/usr/{bin,lib}/**", "npm", "?m", "/usr/bin/{npm,rm}", "git"};
static const char *const elements[] = {"push", "p*", "{a,b}", "x?", "...", "...", "...",
	"flag(-f|--force)", "flag(-C)", "flag(--for)", "flag(-rf)", "flag(-exec)", "path(ws)",
	"path(out)", "url", "*", "run"};

static void random_one(struct one *m)
{
	m->program = programs[roll(12)];
	m->n = roll(ELEMENTS + 1);
	for (unsigned i = 0; i < m->n; i++) {
		m->element[i] = elements[roll(17)];
		if (i && strcmp(m->element[i], "...") == 0 && m->element[i - 1] == m->element[i])
			m->element[i] = "push";
		else if (i && strcmp(m->element[i], "...") == 0 &&
			 strcmp(m->element[i - 1], "...") == 0)
			m->element[i] = "a";
	}
}

static void random_rule(struct rule_of *r)
{
	*r = (struct rule_of){
		.effect = VERDICT_ALLOW + roll(3), .excepts = roll(4) ? 0 : 1 + roll(2)};
	r->pinned = r->effect == VERDICT_ALLOW && roll(3) == 0;
	random_one(&r->match);
	for (unsigned i = 0; i < r->excepts; i++)
		random_one(&r->except[i]);
}

static void print_one(char *out, const struct one *m)
{
	strcat(out, "\"");
	strcat(out, m->program);
	for (unsigned i = 0; i < m->n; i++) {
		strcat(out, " ");
		strcat(out, m->element[i]);
	}
	strcat(out, "\"");
}

/* NULL: these rules multiply so much that they are refused, as they must be. */
static struct policy *load_random(const struct rule_of *r)
{
	static char whole[8300];
	struct policy_doc d;
	struct policy_error e;
	struct policy *p;
	char text[8192] = "";

	for (enum verdict v = VERDICT_ALLOW; v <= VERDICT_DENY; v++) {
		sprintf(text + strlen(text), "  %s:\n    - nothing\n", verdict_name(v));
		for (unsigned i = 0; i < RULES; i++) {
			if (r[i].effect != v)
				continue;
			strcat(text, "    - cmd: ");
			print_one(text, &r[i].match);
			strcat(text, "\n      except: [nothing");
			for (unsigned k = 0; k < r[i].excepts; k++) {
				strcat(text, ", ");
				print_one(text, &r[i].except[k]);
			}
			strcat(text, r[i].pinned ? "]\n      pinned: [ws:/x]\n" : "]\n");
		}
	}
	snprintf(whole, sizeof whole, "policy: 1\nexec:\n%s", text);
	d = rig_doc("random.yaml", POLICY_CLI, whole);
	p = policy_load(&d, 1, NULL, &e);
	ck_assert_msg(p || strstr(e.text, "too much memory"), "%s", e.text);
	return p;
}

struct seen { /* one word of an action, taken apart */
	char pins, class;
	const char *path;
	unsigned n;
	char arg_class[ARGS];
	const char *arg[ARGS];
};

static void take_apart(const struct word *w, struct seen *out)
{
	const char *p = (const char *)w->p, *end = p + w->n;

	*out = (struct seen){.pins = p[0], .class = p[1], .path = p + 2};
	for (p += strlen(p) + 1; p < end; p += strlen(p) + 1) {
		out->arg_class[out->n] = *p;
		out->arg[out->n++] = p + 1;
	}
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int has_letter(const char *arg, char letter)
{
	if (arg[1] == '-')
		return 0;
	for (unsigned i = 1; arg[i]; i++) {
		if (arg[i] == letter)
			return 1;
		if (arg[i] == '/' || arg[i] == '=')
			return 0;
	}
	return 0;
}

static int ref_flag(const char *flag, const char *arg, int upper)
{
	size_t whole = strcspn(arg, "="), n = strlen(flag);

	if (!upper)
		return strcmp(flag, arg) == 0;
	if (n == 2)
		return has_letter(arg, flag[1]);
	if (flag[1] == '-')
		return (whole > 2 && strncmp(flag, arg, whole) == 0) ||
		       (whole == n - 1 && strncmp(flag + 1, arg, whole) == 0);
	if (n == 3 && has_letter(arg, flag[1]) && has_letter(arg, flag[2]))
		return 1;
	return (whole == n && strncmp(flag, arg, n) == 0) ||
	       (whole == n + 1 && arg[0] == '-' && strncmp(flag, arg + 1, n) == 0);
}

static int ref_flags(const char *element, const char *arg, int upper)
{
	char copy[64], *save, *flag;

	snprintf(copy, sizeof copy, "%s", element + strlen("flag("));
	copy[strlen(copy) - 1] = 0;
	for (flag = strtok_r(copy, "|", &save); flag; flag = strtok_r(NULL, "|", &save)) {
		if (ref_flag(flag, arg, upper))
			return 1;
	}
	return 0;
}

/* Can what is attached to a flag be a value that `fits`? */
static int ref_attached(const char *arg, int (*fits)(const char *value), int letters)
{
	for (const char *p = strchr(arg, '='); p; p = strchr(p + 1, '=')) {
		if (fits(p + 1))
			return 1;
	}
	return letters && arg[1] && arg[1] != '-' && fits(arg + 2);
}

static int not_empty(const char *v)
{
	return *v != 0;
}

static int leads_outside(const char *v)
{
	return *v == '/' || *v == '~' || strstr(v, "..") != NULL;
}

static int has_scheme(const char *v)
{
	return strstr(v, "://") != NULL;
}

static int ref_place(const char *element, char class, const char *arg, int upper)
{
	int inside = strcmp(element, "path(ws)") == 0, url = strcmp(element, "url") == 0;

	if (!upper)
		return class == (inside ? 'p' : url ? 'u' : 'o');
	if (class == 'f')
		return ref_attached(arg, inside ? not_empty : url ? has_scheme : leads_outside, 1);
	return class == 'x' || strchr(inside ? "p" : url ? "u" : "ow", class) != NULL;
}

static int ref_element(const char *element, char class, const char *arg, int upper)
{
	if (upper && class == 'x')
		return 1;
	if (strncmp(element, "flag(", 5) == 0)
		return class == 'f' && ref_flags(element, arg, upper);
	if (strncmp(element, "path(", 5) == 0 || strcmp(element, "url") == 0)
		return ref_place(element, class, arg, upper);
	return class != 'x' && slow_braces(element, arg, 0);
}

static int takes_value(const struct program *p, const char *arg)
{
	const char *at = p->valued, *word;
	size_t n;

	while ((word = program_word(&at, &n)) != NULL) {
		size_t whole = strlen(arg);

		if ((whole == n || (p->abbreviated && whole > 2 && whole < n && word[1] == '-')) &&
			memcmp(word, arg, whole) == 0)
			return 1;
		if (*word == '*' && *arg == '-')
			return 1;
	}
	return 0;
}

/* The programs whose options count. */
struct about {
	const struct program *p[64];
	unsigned n;
	int anywhere, any;
};

static void about_add(struct about *k, const struct program *p)
{
	k->p[k->n++] = p;
	k->anywhere |= p->anywhere;
}

static int any_takes_value(const struct about *k, const char *arg)
{
	if (k->any)
		return arg[0] == '-';
	for (unsigned i = 0; i < k->n; i++) {
		if (takes_value(k->p[i], arg))
			return 1;
	}
	return 0;
}

static int ref_arguments(const struct one *m, unsigned i, const struct seen *s, unsigned j,
	const struct about *p, int upper)
{
	int word, rest;

	if (i == m->n)
		return j == s->n;
	rest = strcmp(m->element[i], "...") == 0;
	word = strncmp(m->element[i], "flag(", 5) != 0 && strncmp(m->element[i], "path(", 5) != 0 &&
	       strcmp(m->element[i], "url") != 0;
	if (rest && ref_arguments(m, i + 1, s, j, p, upper))
		return 1;
	if (j == s->n)
		return 0;
	if (rest)
		return ref_arguments(m, i, s, j + 1, p, upper);
	if (p && (i == 0 || (p->anywhere && word))) {
		if (strchr("fx", s->arg_class[j]) && ref_arguments(m, i, s, j + 1, p, upper))
			return 1;
		if (j + 1 < s->n && s->arg_class[j] != 'x' && any_takes_value(p, s->arg[j]) &&
			ref_arguments(m, i, s, j + 2, p, upper))
			return 1;
	}
	return ref_element(m->element[i], s->arg_class[j], s->arg[j], upper) &&
	       ref_arguments(m, i + 1, s, j + 1, p, upper);
}

/* Only busybox is in the test's actions. */
static int ref_busybox(const struct one *m, const struct seen *s)
{
	static const char self[] = "busybox";

	if (strncmp(last_part(s->path), self, sizeof self - 1) != 0)
		return 0;
	for (unsigned j = 0; j < s->n; j++) {
		size_t n = strlen(s->arg[j]);

		if (s->arg_class[j] == 'x')
			return 0;
		if ((slow_braces(m->program, s->arg[j], 0) ||
			    (strchr(s->arg[j], '/') &&
				    slow_braces(m->program, last_part(s->arg[j]), 1))) &&
			ref_arguments(m, 0, s, j + 1, NULL, 1))
			return 1;
		if (s->arg_class[j] == 'f' || n < 7 || strcmp(s->arg[j] + n - 7, self) != 0)
			return 0;
	}
	return 0;
}

static int ref_upper(const struct one *m, const struct seen *s)
{
	int is_path = strchr(m->program, '/') != NULL;
	const char *last = last_part(m->program);
	const struct program *p;
	struct about k = {.n = 0};

	if (!is_path && ref_busybox(m, s))
		return 1;
	if (!slow_braces(m->program, is_path ? s->path : last_part(s->path), 1))
		return 0;
	if (ref_arguments(m, 0, s, 0, NULL, 1))
		return 1;
	for (size_t i = 0; m->n && (p = program_at(i)) != NULL; i++) {
		if ((is_path && strstr(last, "**")) || slow_braces(last, p->name, 1))
			about_add(&k, p);
	}
	if (!is_path && k.n <= 4) { /* only what it is */
		p = program_named(last_part(s->path));
		k = (struct about){.n = 0};
		if (p)
			about_add(&k, p);
	}
	k.any = k.n > 4;
	k.anywhere &= !k.any;
	return k.n && m->n && ref_arguments(m, 0, s, 0, &k, 1);
}

static int ref_lower(const struct one *m, const struct seen *s)
{
	int is_path = strchr(m->program, '/') != NULL;

	if (s->class != 't' && !(is_path && s->class == 'w'))
		return 0;
	return slow_braces(m->program, is_path ? s->path : last_part(s->path), 1) &&
	       ref_arguments(m, 0, s, 0, NULL, 0);
}

static enum verdict ref_word(const struct rule_of *r, const struct seen *s)
{
	enum verdict v = VERDICT_NONE;

	for (unsigned i = 0; i < RULES; i++) {
		int allow = r[i].effect == VERDICT_ALLOW, out = 0;
		enum verdict says = r[i].pinned && s->pins != 'H' ? VERDICT_ASK : r[i].effect;

		if (says <= v)
			continue;
		for (unsigned k = 0; k < r[i].excepts; k++)
			out |= allow ? ref_upper(&r[i].except[k], s)
				     : ref_lower(&r[i].except[k], s);
		if (!out && (allow ? ref_lower(&r[i].match, s) : ref_upper(&r[i].match, s)))
			v = says;
	}
	return v;
}

static enum verdict ref_decide(const struct rule_of *r, const struct action *a)
{
	struct seen s;
	enum verdict v;

	take_apart(&a->word[0], &s);
	v = ref_word(r, &s);
	if (v == VERDICT_NONE)
		v = VERDICT_ASK;
	for (size_t i = 1; i < a->words; i++) {
		enum verdict of;

		take_apart(&a->word[i], &s);
		of = ref_word(r, &s);
		if (of > VERDICT_ALLOW && of > v)
			v = of;
	}
	return v;
}

static struct action *random_action(void)
{
	static const char *const paths[] = {"/usr/bin/git", "/usr/bin/git", "/usr/bin/rm",
		"/usr/bin/npm", "/home/u/web/b/x", "/tmp/git", "/usr/lib/x/gm", "/usr/bin/busybox"};
	static const char *const args[] = {"push", "push", "pull", "a", "b", "xy", "run", "-f",
		"-uf", "--force", "--for", "--fo=x", "-C", "-rf", "-vfr", "-exec", "--exec", "git",
		"rm", "/etc/x", "../x", "~/x", "~u", "src/x", "https://x", "--o=/x", "-o../x",
		"--prefix", "--u=a://b", "busybox", "", "--pref", "true", "--"};
	struct start s = {.invoked = paths[roll(8)], .writable = roll(5) == 0};
	unsigned n = roll(5);
	struct error e;
	struct action *a;

	s.file = roll(6) ? s.invoked : paths[roll(8)];
	s.argv[0] = roll(8) ? last_part(s.invoked) : "git";
	for (unsigned k = 0; k < n; k++)
		s.argv[k + 1] = args[roll(34)];
	s.cwd = roll(4) ? NULL : "/tmp";
	s.held = (int)roll(2);
	a = action_at(&s, &e);
	ck_assert_msg(a != NULL, "%s", e.text);
	return a;
}

START_TEST(decisions_are_those_of_the_reference)
{
	unsigned long seen[VERDICT_DENY + 1] = {0};
	unsigned refused = 0;

	for (unsigned round = 0; round < rig_rounds(100);) {
		struct rule_of r[RULES];
		struct policy *p;

		for (unsigned i = 0; i < RULES; i++)
			random_rule(&r[i]);
		p = load_random(r);
		if (!p) {
			ck_assert_uint_lt(++refused, 50);
			continue;
		}
		round++;
		for (unsigned k = 0; k < 3000; k++) {
			struct action *a = random_action();
			enum verdict want = ref_decide(r, a), have = policy_verdict(p, a);
			static const struct shape none = {0, NULL};
			char text[256] = "";

			if (have != want) {
				kind_exec.show(&a->word[0], &none, text, sizeof text);
				for (unsigned i = 0; i < RULES; i++) {
					char rule[256] = "";

					print_one(rule, &r[i].match);
					printf("%s %s\n", verdict_name(r[i].effect), rule);
				}
			}
			ck_assert_msg(have == want, "%s: %s, should be %s", text,
				verdict_name(have), verdict_name(want));
			seen[want]++;
			action_free(a);
		}
		policy_free(p);
	}
	ck_assert_uint_gt(seen[VERDICT_ALLOW], rig_rounds(3000));
	ck_assert_uint_gt(seen[VERDICT_ASK], rig_rounds(3000));
	ck_assert_uint_gt(seen[VERDICT_DENY], rig_rounds(3000));
}
END_TEST

/* ---- the table of programs ---- */

START_TEST(the_table_of_programs_is_well_formed)
{
	const struct program *p;
	size_t i, n;

	for (i = 0; (p = program_at(i)) != NULL; i++) {
		const char *lists[] = {p->valued, p->code, p->applet}; /* skipped: any words */

		ck_assert_ptr_eq(program_named(p->name), p); /* no name twice */
		ck_assert(strpbrk(p->name, "/ *") == NULL);
		ck_assert(!p->applet || p->role == PROGRAM_MULTICALL);
		for (size_t k = 0; k < 3; k++) {
			const char *at = lists[k], *word;

			while ((word = program_word(&at, &n)) != NULL)
				ck_assert_msg((n >= 2 && strchr("-+", *word) && *word != 0) ||
						      (k == 0 && n == 1 && *word == '*'),
					"%s: %s", p->name, word);
		}
	}
	ck_assert_uint_ge(i, 45);
	ck_assert_ptr_null(program_named("no-such-program"));
	ck_assert_int_eq(program_named("bash")->role, PROGRAM_INTERPRETER);
	ck_assert_int_eq(program_named("env")->role, PROGRAM_WRAPPER);
}
END_TEST

/* ---- size ---- */

/* 30 programs, most of them with options of their own, five rules each. */
START_TEST(a_hundred_and_fifty_rules_stay_small)
{
	static const char *const names[] = {"git", "npm", "pnpm", "yarn", "docker", "kubectl", "gh",
		"terraform", "make", "cargo", "go", "pip", "ssh", "curl", "node", "python3", "bun",
		"deno", "ruby", "perl", "rm", "find", "xargs", "env", "tool0", "tool1", "tool2",
		"tool3", "tool4", "tool5"};
	static char text[32768];
	struct timespec from, to;
	const struct dfa *d;
	struct policy *p;
	double ms;

	strcpy(text, "policy: 1\nexec:\n  allow:\n");
	for (unsigned i = 0; i < 30; i++)
		sprintf(text + strlen(text),
			"    - %s {build,test} ... flag(-v|--verbose) *\n    - %s status "
			"path(ws)\n",
			names[i], names[i]);
	strcat(text, "  ask:\n");
	for (unsigned i = 0; i < 30; i++)
		sprintf(text + strlen(text),
			"    - {cmd: %s push ..., except: [%s push a/*]}\n    - %s {add,rm} * "
			"...\n",
			names[i], names[i], names[i]);
	strcat(text, "  deny:\n");
	for (unsigned i = 0; i < 30; i++)
		sprintf(text + strlen(text), "    - %s push ... flag(-f|--force|--delete) ...\n",
			names[i]);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	p = rig_load(text);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	ms = (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6;
	d = p->compiled[ACTION_EXEC].decision;
	ck_assert_uint_lt(d->states, 20000);
	printf("policy: 150 exec rules: %u states, %u classes, %.0f ms\n", d->states,
		d->alphabet->classes, ms);
	policy_free(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("policy_exec");
	TCase *t = tcase_create("starts of programs");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_forced_push_is_denied_however_it_is_spelled);
	tcase_add_test(t, an_allowed_command_ends_where_its_rule_ends);
	tcase_add_test(t, a_rule_about_main_is_not_about_maintenance);
	tcase_add_test(t, rm_is_recursive_in_many_ways);
	tcase_add_test(t, two_letters_behind_one_dash_are_both_orders);
	tcase_add_test(t, allow_rules_take_flags_as_they_are_spelled);
	tcase_add_test(t, exceptions_of_allow_rules_are_as_wide_as_denials);
	tcase_add_test(t, exceptions_of_denials_are_exact);
	tcase_add_test(t, options_before_a_subcommand_do_not_hide_it);
	tcase_add_test(t, arguments_have_classes);
	tcase_add_test(t, quotes_group_and_stars_stay_patterns);
	tcase_add_test(t, another_git_is_never_allowed_and_always_denied);
	tcase_add_test(t, multi_call_binaries_are_what_they_are_called_as);
	tcase_add_test(t, a_path_is_a_path);
	tcase_add_test(t, what_is_not_canonical_is_no_action);
	tcase_add_test(t, an_answer_is_bound_to_the_file_and_the_whole_command);
	tcase_add_test(t, an_allow_rule_with_pinned_files_counts_as_ask_while_they_do_not_hold);
	tcase_add_test(t, the_exec_block_of_the_specification_loads_and_its_tests_hold);
	tcase_add_test(t, an_action_is_shown_as_it_is_read);
	tcase_add_test(t, whatever_is_started_is_canonical_and_read_back_as_it_is_shown);
	tcase_add_test(t, decisions_are_those_of_the_reference);
	tcase_add_test(t, the_table_of_programs_is_well_formed);
	tcase_add_test(t, a_hundred_and_fifty_rules_stay_small);
	suite_add_tcase(s, t);
	return rig_run(s);
}
