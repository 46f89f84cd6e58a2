/* What agentctl run proposes: which directories of programs a sandbox may see, which files git obeys,
 * which directory is the workspace. */
/* NOLINTBEGIN(bugprone-suspicious-include): agentctl is no library */
#include "agentctl/gitconfig.c"
#include "agentctl/place.c"
#include "agentctl/toolchains.c"

#include "agentctl/client.c"
#include "agentctl/extends.c"
#include "agentctl/gather.c"
/* NOLINTEND(bugprone-suspicious-include) */

#include <check.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char base[64], home[128], work[160];

static void sh(const char *script)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (chdir(base) == 0)
			execl("/bin/sh", "sh", "-ec", script, (char *)NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

static void setup(void)
{
	/* Not /tmp/x: a directory two levels deep, as homes are. */
	snprintf(base, sizeof base, "/var/tmp/paths-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(base));
	snprintf(home, sizeof home, "%s/home/ann", base);
	snprintf(work, sizeof work, "%s/src/app", home);
	sh("mkdir -p home/ann/src/app home/ann/.ssh home/ann/.config");
}

static void teardown(void)
{
	char script[128];

	snprintf(script, sizeof script, "rm -rf '%s'", base);
	sh(script);
}

static const char *real_home = home; /* where home leads to */

static struct toolchains *found(const char *path_format, const char *command)
{
	static struct toolchains t;
	char path[2048], *p = path;

	/* "~" in the format stands for the home directory, "^" for base. */
	for (const char *f = path_format; *f; f++) {
		if (*f == '~' || *f == '^')
			p += snprintf(
				p, sizeof path - (size_t)(p - path), "%s", *f == '~' ? home : base);
		else
			*p++ = *f;
	}
	*p = 0;
	t.n = 0;
	t.home = home;
	t.real_home = real_home;
	t.workspace = work;
	t.cwd = work;
	toolchains_find(&t, path, command);
	return &t;
}

/* 1 when the list is exactly the given paths below base, in this order, separated by "|". */
static int list_is(const struct toolchains *t, const char *want)
{
	char got[4096] = "";

	for (size_t i = 0; i < t->n; i++) {
		size_t n = strlen(got), k = strlen(base);
		int below = strncmp(t->list[i], base, k) == 0;

		snprintf(got + n, sizeof got - n, "%s%s", i ? "|" : "",
			below ? t->list[i] + k + 1 : t->list[i]);
	}
	if (strcmp(got, want) != 0)
		fprintf(stderr, "got %s\n", got);
	return strcmp(got, want) == 0;
}

START_TEST(system_directories_need_no_bind)
{
	ck_assert_uint_eq(found("/usr/local/bin:/usr/bin:/bin:/sbin:/etc/x:/proc/1", "true")->n, 0);
	ck_assert_uint_eq(found("", "true")->n, 0);
}
END_TEST

START_TEST(a_versioned_toolchain_is_shown_whole)
{
	sh("mkdir -p home/ann/.nvm/versions/node/v22/bin");
	ck_assert(list_is(found("~/.nvm/versions/node/v22/bin:/usr/bin", "true"),
		"home/ann/.nvm/versions/node/v22"));
}
END_TEST

START_TEST(of_cargo_only_the_programs_and_rustup_are_shown)
{
	sh("mkdir -p home/ann/.cargo/bin home/ann/.rustup; touch home/ann/.cargo/credentials.toml");
	ck_assert(list_is(found("~/.cargo/bin", "true"), "home/ann/.rustup|home/ann/.cargo/bin"));
}
END_TEST

START_TEST(of_dot_local_the_programs_and_what_they_link_to_are_shown)
{
	sh("cd home/ann/; mkdir -p .local/bin .local/lib .local/share/pipx/venvs "
	   ".local/share/keyrings");
	ck_assert(list_is(found("~/.local/bin", "true"),
		"home/ann/.local/lib|home/ann/.local/share/pipx/venvs|home/ann/.local/bin"));
}
END_TEST

START_TEST(of_npm_s_global_prefix_the_modules_are_shown_too)
{
	sh("mkdir -p home/ann/.npm-global/bin home/ann/.npm-global/lib/node_modules/x");
	ck_assert(list_is(found("~/.npm-global/bin", "true"),
		"home/ann/.npm-global/lib|home/ann/.npm-global/bin"));
}
END_TEST

START_TEST(version_managers_are_shown_whole)
{
	sh("mkdir -p home/ann/.pyenv/shims home/ann/.pyenv/bin");
	ck_assert(list_is(found("~/.pyenv/shims:~/.pyenv/bin", "true"), "home/ann/.pyenv"));
}
END_TEST

START_TEST(the_home_directory_and_what_holds_it_are_never_shown)
{
	sh("mkdir -p home/ann/bin; ln -s .. home/ann/src/up; ln -s ../../.. home/ann/src/root");
	ck_assert_uint_eq(found("~:~/:^/home:^:/:/var/tmp:/var:~/src/up:~/src/root", "true")->n, 0);
	sh("ln -s .ssh home/ann/keys; ln -s /etc home/ann/etc; ln -s src/app home/ann/app");
	ck_assert_uint_eq(found("~/keys:~/etc:~/app", "true")->n, 0);
	ck_assert(list_is(found("~/bin", "true"), "home/ann/bin"));
}
END_TEST

START_TEST(directories_of_credentials_are_never_shown)
{
	sh("cd home/ann; mkdir -p .ssh/bin .aws/x/y/bin .config/gh/bin .gnupg .claude/local/bin "
	   ".docker/cli-plugins");
	ck_assert(list_is(
		found("~/.ssh:~/.ssh/bin:~/.aws/x/y/bin:~/.config:~/.config/gh/bin:~/.gnupg:"
		      "~/.claude/local/bin:~/.docker/cli-plugins",
			"true"),
		"home/ann/.config/gh/bin"));
	sh("mkdir -p home/ann/.config/nvm/versions/v1/bin");
	ck_assert(list_is(found("~/.config/nvm/versions/v1/bin", "true"),
		"home/ann/.config/nvm/versions/v1"));
}
END_TEST

START_TEST(the_workspace_stays_as_it_is)
{
	sh("mkdir -p home/ann/src/app/node_modules/.bin home/ann/src/bin");
	ck_assert_uint_eq(found("~/src/app/node_modules/.bin:~/src/app", "true")->n, 0);
	/* The directory above would cover the workspace: only the programs. */
	ck_assert(list_is(found("~/src/bin", "true"), "home/ann/src/bin"));
}
END_TEST

START_TEST(entries_that_are_no_directories_here_are_passed_over)
{
	ck_assert_uint_eq(found("::.:bin:../x:~/gone/bin:~/../x/bin:", "true")->n, 0);
}
END_TEST

START_TEST(an_entry_is_cleaned_and_counted_once)
{
	sh("mkdir -p home/ann/go/bin");
	ck_assert(list_is(found("~//go/./bin/:~/go/bin:~/go/bin", "true"), "home/ann/go/bin"));
}
END_TEST

START_TEST(an_entry_that_is_a_link_shows_both_ends)
{
	sh("mkdir -p home/ann/.fnm/versions/v22/inst/bin; ln -s .fnm/versions/v22/inst "
	   "home/ann/cur");
	ck_assert(list_is(
		found("~/cur/bin", "true"), "home/ann/cur/bin|home/ann/.fnm/versions/v22/inst"));
}
END_TEST

START_TEST(a_home_behind_a_link_is_as_private)
{
	char real[160];

	sh("mkdir -p data/disk; mv home/ann data/disk/ann; ln -s ../data/disk/ann home/ann; "
	   "mkdir -p home/ann/.cargo/bin home/ann/.nvm/v/22/bin home/ann/.ssh/x/bin");
	snprintf(real, sizeof real, "%s/data/disk/ann", base);
	real_home = real;
	ck_assert(list_is(found("^/data/disk/ann/.cargo/bin:^/data/disk/ann/.ssh/x/bin:"
				"^/data/disk/ann:~/.nvm/v/22/bin",
				  "true"),
		"data/disk/ann/.cargo/bin|home/ann/.cargo/bin|home/ann/.nvm/v/22"));
	real_home = home;
}
END_TEST

START_TEST(other_places_show_the_tool_but_not_the_disk)
{
	/* /var/tmp/paths-X is three deep, so a tool there is one. */
	sh("mkdir -p tool/bin other");
	ck_assert(list_is(found("^/tool/bin:^/other", "true"), "tool|other"));
}
END_TEST

START_TEST(a_command_of_npm_shows_its_package_and_the_link)
{
	sh("cd home/ann; mkdir -p .npmg/lib/node_modules/@acme/agent/bin .npmg/bin; "
	   "touch .npmg/lib/node_modules/@acme/agent/bin/cli.js; "
	   "chmod +x .npmg/lib/node_modules/@acme/agent/bin/cli.js; "
	   "ln -s ../lib/node_modules/@acme/agent/bin/cli.js .npmg/bin/agent");
	char command[256];

	snprintf(command, sizeof command, "%s/.npmg/bin/agent", home);
	ck_assert(
		list_is(found("/usr/bin", command), "home/ann/.npmg/lib/node_modules/@acme/"
						    "agent|home/ann/.npmg/lib|home/ann/.npmg/bin"));
}
END_TEST

START_TEST(a_command_in_a_flat_node_modules_shows_all_of_it)
{
	sh("cd home/ann; mkdir -p t/node_modules/a/bin t/node_modules/b t/node_modules/.bin; "
	   "touch t/node_modules/a/bin/a.js; chmod +x t/node_modules/a/bin/a.js; "
	   "ln -s ../a/bin/a.js t/node_modules/.bin/a");
	char command[256];

	snprintf(command, sizeof command, "%s/t/node_modules/.bin/a", home);
	ck_assert(list_is(found("", command), "home/ann/t/node_modules"));
}
END_TEST

START_TEST(a_command_in_the_home_itself_shows_only_that_file)
{
	sh("cd home/ann; touch tool; chmod +x tool");
	ck_assert(list_is(found("", "../../tool"), "home/ann/tool"));
}
END_TEST

START_TEST(a_command_is_found_as_the_shell_does)
{
	sh("cd home/ann; mkdir -p a/bin b/x/bin c/x/bin; touch b/x/bin/tool c/x/bin/tool; "
	   "chmod +x c/x/bin/tool");
	ck_assert(list_is(found("~/a/bin:~/b/x/bin:~/c/x/bin", "tool"),
		"home/ann/c/x|home/ann/a/bin|home/ann/b/x"));
}
END_TEST

START_TEST(the_number_of_toolchains_is_bounded)
{
	char path[4096] = "";

	sh("for i in $(seq 1 40); do mkdir -p home/ann/t$i/x/bin; done");
	for (int i = 1; i <= 40; i++) {
		size_t n = strlen(path);

		snprintf(path + n, sizeof path - n, "~/t%d/x/bin:", i);
	}
	path[1500] = 0; /* found() expands ~ into 2048 bytes */
	char *cut = path + 340;
	*cut = 0;
	ck_assert_uint_eq(found(path, "true")->n, TOOLCHAINS_MAX);
}
END_TEST

START_TEST(paths_are_cleaned_by_their_text)
{
	char out[32];

	ck_assert_int_eq(path_clean("/a//b/./c/", out, sizeof out), 0);
	ck_assert_str_eq(out, "/a/b/c");
	ck_assert_int_eq(path_clean("///", out, sizeof out), 0);
	ck_assert_str_eq(out, "/");
	ck_assert_int_eq(path_clean("/a/../b", out, sizeof out), -1);
	ck_assert_int_eq(path_clean("a/b", out, sizeof out), -1);
	ck_assert_int_eq(path_clean("", out, sizeof out), -1);
	ck_assert_int_eq(path_clean("/a/..b", out, sizeof out), 0);
	ck_assert_int_eq(path_clean("/0123456789012345678901234567890", out, sizeof out), -1);
	ck_assert(path_inside("/a/b", "/a") && path_inside("/a", "/a") && path_inside("/a", "/"));
	ck_assert(!path_inside("/ab", "/a") && !path_inside("/a", "/a/b"));
}
END_TEST

/* ---- git ---- */

static struct gitconfig *scan(const char *text)
{
	static struct gitconfig g;

	memset(&g, 0, sizeof g);
	g.workspace = "/w/s";
	g.home = "/home/ann";
	gitconfig_scan(&g, ".git", text, strlen(text));
	return &g;
}

static void check_scan(const char *text, const char *want)
{
	struct gitconfig *g = scan(text);
	char got[2048] = "";

	for (size_t i = 0; i < g->n; i++) {
		size_t n = strlen(got);

		snprintf(got + n, sizeof got - n, "%s%s", i ? "|" : "", g->list[i]);
	}
	ck_assert_str_eq(got, want);
}

START_TEST(includes_are_relative_to_the_file_and_hooks_to_the_top)
{
	check_scan("[include]\n\tpath = ../x/inc\n\tpath = local\n", "x/inc|.git/local");
	check_scan("[core]\n\thooksPath = .husky/_\n", ".husky/_");
	check_scan("[includeIf \"gitdir:~/w/\"]\npath=/w/s/inc\n", "inc");
	check_scan("[includeIf \"onbranch:x]y\\\"\"] path = ../a\n", "a");
	check_scan(
		"[core]\nfsmonitor = tools/watch\nattributesFile = attrs\n", "tools/watch|attrs");
	check_scan("[core]\nfsmonitor = true\nbare = false\nfilemode = true\n", "");
}
END_TEST

START_TEST(what_lies_outside_the_workspace_is_not_listed)
{
	check_scan("[include]\npath = ../../outside\npath = /etc/gitconfig\npath = ~/x\n"
		   "path = /w/sx/y\npath = /w/s\npath = ..\n",
		"");
	check_scan("[core]\nhooksPath = a/../../../w/s/b\n", "b");
	check_scan("[core]\nhooksPath = /w/s/../s/./c//d/\n", "c/d");
}
END_TEST

START_TEST(the_syntax_of_git_is_followed)
{
	check_scan("[ CORE ]\n  HooksPath=\"a b\" # c\n", "a b");
	check_scan("[core] hooksPath = a\\\\b\\tc ; comment\n", "a\\b\tc");
	check_scan("[core]\nhooksPath = a\\\nb\n", "ab");
	check_scan("[core]\nhooksPath = \"a#b;c\" d  \n", "a#b;c d");
	check_scan("[core]\n# hooksPath = no\n; hooksPath = no\nhooksPath\n", "");
	check_scan("[core]\nhookspath = x\n[other]\nhookspath = y\n", "x");
	check_scan("[core]\nhookspath =\n", "");
	check_scan("[core]\r\n\thooksPath = crlf\r\n", "crlf");
	check_scan("hooksPath = nosection\n[include\npath = x\n[core", ".git/x");
	check_scan("[core]\nhooksPath = \"unclosed\n", "unclosed");
	check_scan("[core]\nhooksPath = end\\", "end\\");
}
END_TEST

START_TEST(included_files_are_read_for_more)
{
	struct gitconfig g = {.workspace = work, .home = home};

	sh("cd home/ann/src/app; mkdir -p .git conf; "
	   "printf '[include]\\npath=../conf/a\\n' > .git/config; "
	   "printf '[include]\\npath=b\\n[core]\\nhooksPath=hooks\\n' > conf/a; "
	   "printf '[include]\\npath=a\\npath=../.git/config\\n' > conf/b");
	ck_assert_int_eq(gitconfig_find(&g), 0);
	ck_assert_uint_eq(g.n, 4);
	ck_assert_str_eq(g.list[0], "conf/a");
	ck_assert_str_eq(g.list[1], "conf/b");
	ck_assert_str_eq(g.list[2], "hooks");
	ck_assert_str_eq(g.list[3], ".git/config");
}
END_TEST

START_TEST(an_include_that_is_a_link_lists_both_ends)
{
	struct gitconfig g = {.workspace = work, .home = home};

	sh("cd home/ann/src/app; mkdir -p .git real; touch real/inc; ln -s real/inc inc; "
	   "printf '[include]\\npath=../inc\\n' > .git/config");
	ck_assert_int_eq(gitconfig_find(&g), 0);
	ck_assert_uint_eq(g.n, 2);
	ck_assert_str_eq(g.list[0], "inc");
	ck_assert_str_eq(g.list[1], "real/inc");
}
END_TEST

START_TEST(without_git_there_is_nothing_to_protect)
{
	struct gitconfig g = {.workspace = work, .home = home};

	ck_assert_int_eq(gitconfig_find(&g), 0);
	ck_assert_uint_eq(g.n, 0);
}
END_TEST

START_TEST(a_config_that_cannot_be_known_whole_is_an_error)
{
	struct gitconfig g = {.workspace = work, .home = home};

	sh("cd home/ann/src/app; mkdir .git; head -c 300000 /dev/zero > .git/config");
	ck_assert_int_eq(gitconfig_find(&g), -1);
	sh("cd home/ann/src/app; (echo '[include]'; for i in $(seq 1 40); do echo path=f$i; done) "
	   "> .git/config");
	ck_assert_int_eq(gitconfig_find(&g), -1);
	ck_assert_int_eq(errno, E2BIG);
}
END_TEST

START_TEST(random_bytes_do_no_harm)
{
	unsigned seed = 7;
	char text[512];
	static const char alphabet[] = "[]\"\\\n\r\t =#;includepathcorhksPfmt~/.x";

	for (int round = 0; round < 20000; round++) {
		struct gitconfig g = {.workspace = "/w", .home = "/h"};
		size_t n = (seed = seed * 1103515245 + 12345) >> 16 & 127;

		for (size_t i = 0; i < n; i++) {
			seed = seed * 1103515245 + 12345;
			text[i] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
		}
		gitconfig_scan(&g, ".git", text, n);
	}
}
END_TEST

/* ---- workspace and facts ---- */

START_TEST(the_workspace_is_the_nearest_project_below_home)
{
	char cwd[512], out[PATH_MAX];

	sh("cd home/ann/src/app; mkdir -p a/b .git ../plain/x ../other/.agentd ../../.git");
	snprintf(cwd, sizeof cwd, "%s/a/b", work);
	workspace_find(cwd, home, out);
	ck_assert_str_eq(out, work);
	snprintf(cwd, sizeof cwd, "%s/src/other", home);
	workspace_find(cwd, home, out);
	ck_assert_str_eq(out, cwd);
	/* A repository of dotfiles makes no workspace of the home directory. */
	snprintf(cwd, sizeof cwd, "%s/src/plain/x", home);
	workspace_find(cwd, home, out);
	ck_assert_str_eq(out, cwd);
	workspace_find("/", home, out);
	ck_assert_str_eq(out, "/");
	workspace_find(home, home, out);
	ck_assert_str_eq(out, home);
}
END_TEST

START_TEST(places_that_are_no_workspace_are_refused_with_a_cure)
{
	static const char *const bad[] = {"/", "/home", "/home/ann", "/home/ann/.ssh",
		"/home/ann/.aws/x", "/etc", "/etc/x", "/usr/src/linux", "/proc/self", "/dev/shm",
		"/tmp", "/var/tmp", "/var", "/opt", "/root", "/run/user/1"};
	static const char *const good[] = {"/home/ann/x", "/home/ann/.sshx", "/home/bob/x",
		"/tmp/x", "/srv/www", "/opt/app", "/var/www/app", "/usrx", "/data"};
	struct error e;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ck_assert_msg(workspace_check(bad[i], "/home/ann", &e) < 0, "%s", bad[i]);
		ck_assert_msg(strstr(e.text, "--workspace") || strstr(e.text, "in the system"),
			"%s", e.text);
	}
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		ck_assert_msg(workspace_check(good[i], "/home/ann", &e) == 0, "%s", e.text);
	ck_assert_int_eq(workspace_check("/etc", "/", &e), -1);
	ck_assert_int_eq(workspace_check("/", "/", &e), -1);
	ck_assert_int_eq(workspace_check("/root/x", "/root", &e), 0);
}
END_TEST

START_TEST(the_branch_is_read_from_head)
{
	char b[16];

	ck_assert_int_eq(branch_of("ref: refs/heads/fix/a\n", b, sizeof b), 0);
	ck_assert_str_eq(b, "fix/a");
	ck_assert_int_eq(branch_of("0123456789abcdef\n", b, sizeof b), -1);
	ck_assert_int_eq(branch_of("ref: refs/heads/\n", b, sizeof b), -1);
	ck_assert_int_eq(branch_of("ref: refs/heads/longer-than-sixteen\n", b, sizeof b), -1);
	ck_assert_int_eq(branch_of("", b, sizeof b), -1);
}
END_TEST

START_TEST(the_head_of_a_linked_worktree_is_found)
{
	char head[64];

	sh("cd home/ann/src; mkdir -p main/.git/worktrees/app; "
	   "echo 'ref: refs/heads/wt' > main/.git/worktrees/app/HEAD; "
	   "echo \"gitdir: $PWD/main/.git/worktrees/app\" > app/.git");
	ck_assert_int_eq(read_head(work, head, sizeof head), 0);
	ck_assert_str_eq(head, "ref: refs/heads/wt\n");
	sh("echo 'gitdir: ../main/.git/worktrees/app' > home/ann/src/app/.git");
	ck_assert_int_eq(read_head(work, head, sizeof head), 0);
	sh("echo nonsense > home/ann/src/app/.git");
	ck_assert_int_eq(read_head(work, head, sizeof head), -1);
}
END_TEST

START_TEST(claude_is_known_by_its_name)
{
	ck_assert_str_eq(agent_of("claude"), "claude-code");
	ck_assert_str_eq(agent_of("/x/bin/claude"), "claude-code");
	ck_assert_str_eq(agent_of("claude2"), "");
	ck_assert_str_eq(agent_of("bash"), "");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("request_paths");
	TCase *t = tcase_create("request_paths");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, system_directories_need_no_bind);
	tcase_add_test(t, a_versioned_toolchain_is_shown_whole);
	tcase_add_test(t, of_cargo_only_the_programs_and_rustup_are_shown);
	tcase_add_test(t, of_dot_local_the_programs_and_what_they_link_to_are_shown);
	tcase_add_test(t, of_npm_s_global_prefix_the_modules_are_shown_too);
	tcase_add_test(t, version_managers_are_shown_whole);
	tcase_add_test(t, the_home_directory_and_what_holds_it_are_never_shown);
	tcase_add_test(t, directories_of_credentials_are_never_shown);
	tcase_add_test(t, the_workspace_stays_as_it_is);
	tcase_add_test(t, entries_that_are_no_directories_here_are_passed_over);
	tcase_add_test(t, an_entry_is_cleaned_and_counted_once);
	tcase_add_test(t, an_entry_that_is_a_link_shows_both_ends);
	tcase_add_test(t, a_home_behind_a_link_is_as_private);
	tcase_add_test(t, other_places_show_the_tool_but_not_the_disk);
	tcase_add_test(t, a_command_of_npm_shows_its_package_and_the_link);
	tcase_add_test(t, a_command_in_a_flat_node_modules_shows_all_of_it);
	tcase_add_test(t, a_command_in_the_home_itself_shows_only_that_file);
	tcase_add_test(t, a_command_is_found_as_the_shell_does);
	tcase_add_test(t, the_number_of_toolchains_is_bounded);
	tcase_add_test(t, paths_are_cleaned_by_their_text);
	tcase_add_test(t, includes_are_relative_to_the_file_and_hooks_to_the_top);
	tcase_add_test(t, what_lies_outside_the_workspace_is_not_listed);
	tcase_add_test(t, the_syntax_of_git_is_followed);
	tcase_add_test(t, included_files_are_read_for_more);
	tcase_add_test(t, an_include_that_is_a_link_lists_both_ends);
	tcase_add_test(t, without_git_there_is_nothing_to_protect);
	tcase_add_test(t, a_config_that_cannot_be_known_whole_is_an_error);
	tcase_add_test(t, random_bytes_do_no_harm);
	tcase_add_test(t, the_workspace_is_the_nearest_project_below_home);
	tcase_add_test(t, places_that_are_no_workspace_are_refused_with_a_cure);
	tcase_add_test(t, the_branch_is_read_from_head);
	tcase_add_test(t, the_head_of_a_linked_worktree_is_found);
	tcase_add_test(t, claude_is_known_by_its_name);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
