/* agentctl policy diff OLD NEW: reads the two policies from files, directories or git revisions,
 * compares them (policy/diff.h) and prints the result. Needs no daemon.
 *
 * Both sides are loaded as the repository's layer on top of the built-in one; with --effective the
 * layers of this machine's administrator and user stand beside both. Every `when` counts as holding,
 * so that a change for another agent or user is seen too. */
#include "agentctl/tools/policy_diff.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agentctl/tools/policy_docs.h"
#include "agentctl/tools/policy_verbs.h"
#include "agentctl/tools/tools.h"
#include "common/cleanup.h"
#include "common/io.h"

#define REPO_FILE ".agentd/policy.yaml"

extern char **environ;

struct options {
	const char *format, *old, *new;
	int effective, exit_zero;
};

/* ---- where a policy comes from ---- */

/* What git says about REV:PATH, read from a pipe. git runs none of the repository's programs for
 * cat-file. NULL with *e. */
static char *read_revision(const char *rev, const char *path, size_t *n, struct error *e)
{
	char object[1600];
	/* protocol.allow: in a partial clone git would fetch what is missing, by the repository's own
	 * ssh command. */
	char *argv[] = {(char *)"git", (char *)"-c", (char *)"core.fsmonitor=false", (char *)"-c",
		(char *)"protocol.allow=never", (char *)"cat-file", (char *)"blob", object, NULL};
	posix_spawn_file_actions_t fa;
	int fds[2], status, failed;
	char *text = malloc(POLICY_DOC_MAX + 2);
	ssize_t got;
	pid_t pid;

	snprintf(object, sizeof object, "%.900s:%.600s", rev, path);
	if (!text || pipe2(fds, O_CLOEXEC) < 0) {
		free(text);
		error_set(e, errno, "cannot read %.300s", object);
		return NULL;
	}
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, fds[1], 1);
	posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
	failed = posix_spawnp(&pid, "git", &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	close(fds[1]);
	got = failed ? 0 : io_read_full(fds[0], text, POLICY_DOC_MAX + 1);
	close(fds[0]); /* a git with more to say ends by SIGPIPE */
	if (!failed)
		failed = waitpid(pid, &status, 0) < 0 ||
			 (status != 0 && got <= (ssize_t)POLICY_DOC_MAX);
	if (failed || got < 0) {
		free(text);
		error_set(e, 0,
			"%.300s is no file, no directory, and git has no %.300s. Name a file, a "
			"directory with %s, or a revision of this repository",
			rev, object, REPO_FILE);
		return NULL;
	}
	*n = (size_t)got;
	return text;
}

static int add_text(struct policy_docs *d, char *text, size_t n, const char *name, struct error *e)
{
	char *copy = strdup(name);

	d->owned[d->owned_n++] = text;
	d->owned[d->owned_n++] = copy;
	if (!copy)
		return error_set(e, ENOMEM, "%.300s", name);
	d->doc[d->n++] = (struct policy_doc){copy, POLICY_REPO, text, n};
	return 0;
}

/* A file that a document of a revision extends, out of the same revision. */
static char *read_in_revision(
	void *ctx, const struct policy_doc *from, const char *path, size_t *len)
{
	const char *rev = ctx;
	size_t n = strlen(rev) + 1; /* documents are named REV:PATH */
	char whole[1600];
	struct error ignored;

	if (extension_name(from->name, path, whole, sizeof whole) || strlen(whole) <= n)
		return NULL;
	return read_revision(rev, whole + n, len, &ignored);
}

static int add_revision(struct policy_docs *d, const char *rev, struct error *e)
{
	char *text, name[1200], short_rev[901];
	size_t n;

	text = read_revision(rev, REPO_FILE, &n, e);
	if (!text)
		return -1;
	snprintf(short_rev, sizeof short_rev, "%.900s", rev);
	snprintf(name, sizeof name, "%s:%s", short_rev, REPO_FILE);
	if (add_text(d, text, n, name, e))
		return -1;
	return policy_docs_extend_with(d, read_in_revision, short_rev, e);
}

static int is_yaml(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return entry->d_name[0] != '.' && dot && strcmp(dot, ".yaml") == 0;
}

/* A repository's directory, or one full of layers. */
static int add_directory(struct policy_docs *d, const char *dir, struct error *e)
{
	struct dirent **list = NULL;
	char path[1400];
	int n, failed = 0;

	snprintf(path, sizeof path, "%.1000s/%s", dir, REPO_FILE);
	if (access(path, F_OK) == 0)
		return policy_docs_add(d, path, POLICY_REPO, 0, e);
	n = scandir(dir, &list, is_yaml, alphasort);
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof path, "%.1000s/%.300s", dir, list[i]->d_name);
		failed = failed || policy_docs_add(d, path, POLICY_REPO, 0, e);
		free(list[i]);
	}
	free(list);
	if (n <= 0)
		return error_set(e, 0, "%.300s: neither %s nor a .yaml file in it. Name a policy",
			dir, REPO_FILE);
	return failed ? -1 : 0;
}

static int add_side(struct policy_docs *d, const char *name, struct error *e)
{
	struct stat st = {0};

	if (strcmp(name, "-") != 0 && stat(name, &st) < 0)
		return add_revision(d, name, e);
	if (strcmp(name, "-") != 0 && S_ISDIR(st.st_mode)
			? add_directory(d, name, e)
			: policy_docs_add(d, name, POLICY_REPO, 0, e))
		return -1;
	return policy_docs_extend(d, e);
}

static struct policy *load_side(
	const struct options *o, const char *name, struct policy_docs *d, int *code)
{
	struct policy_facts facts = {.ci = -1, .any = 1};
	struct policy_error pe;
	struct policy *p;
	struct error e;

	if ((o->effective && policy_docs_add_host(d, &e)) || policy_docs_extend(d, &e) ||
		add_side(d, name, &e)) {
		tool_fail("policy", &e);
		*code = POLICY_EXIT_INVALID;
		return NULL;
	}
	p = policy_load(d->doc, d->n, &facts, &pe);
	if (!p)
		*code = policy_docs_refused(&pe);
	return p;
}

/* ---- the verb ---- */

/* TOOL_FAILED, not TOOL_USAGE: 2 says that something is wider. */
#define usage(...) (tool_usage("policy", __VA_ARGS__), TOOL_FAILED)

static int take_options(int argc, char **argv, struct options *o)
{
	int n = 0;

	*o = (struct options){.format = "text"};
	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--effective") == 0)
			o->effective = 1;
		else if (strcmp(argv[i], "--exit-zero") == 0)
			o->exit_zero = 1;
		else if (strncmp(argv[i], "--format=", 9) == 0)
			o->format = argv[i] + 9;
		else if (strcmp(argv[i], "--format") == 0 && i + 1 < argc)
			o->format = argv[++i];
		else if (argv[i][0] == '-' && argv[i][1])
			return usage("unknown or incomplete option %.60s", argv[i]);
		else if (n++ == 0)
			o->old = argv[i];
		else
			o->new = argv[i];
	}
	if (n != 2 || !o->old || !o->new)
		return usage("diff needs OLD and NEW: files, directories or git revisions, like "
			     "origin/main HEAD");
	return 0;
}

static const struct {
	const char *name;
	void (*print)(const struct diff_view *v);
} formats[] = {
	{"text", diff_print_text},
	{"markdown", diff_print_markdown},
	{"json", diff_print_json},
	{"sarif", diff_print_sarif},
};

static int exit_code(const struct policy_diff *d)
{
	for (size_t i = 0; i < d->dangers; i++) {
		if (d->danger[i].promised)
			return DIFF_EXIT_PROMISE;
	}
	return d->wider ? DIFF_EXIT_WIDER : TOOL_OK;
}

static int print_diff(const struct options *o, const struct policy_diff *d)
{
	const struct diff_view v = {d, o->old, o->new};

	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		if (strcmp(formats[i].name, o->format) == 0) {
			formats[i].print(&v);
			return o->exit_zero ? TOOL_OK : exit_code(d);
		}
	}
	return usage("there is no format %.30s: text, markdown, json, sarif", o->format);
}

int policy_diff_verb(int argc, char **argv)
{
	struct policy_docs old_docs = {0}, new_docs = {0};
	struct policy *old = NULL, *new = NULL;
	struct policy_diff *d;
	struct options o;
	struct error e = {0};
	int code = take_options(argc, argv, &o);

	if (code)
		return code;
	old = load_side(&o, o.old, &old_docs, &code);
	if (old)
		new = load_side(&o, o.new, &new_docs, &code);
	if (old && new) {
		if (policy_diff(old, new, &d, &e) == 0) {
			code = print_diff(&o, d);
			policy_diff_free(d);
		} else {
			code = tool_fail("policy", &e);
		}
	}
	policy_free(old);
	policy_free(new);
	policy_docs_free(&old_docs);
	policy_docs_free(&new_docs);
	return code;
}
