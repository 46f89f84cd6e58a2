/* Documents for the policy verbs; see policy_docs.h. */
#include "agentctl/tools/policy_docs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agentctl/place.h"
#include "agentctl/tools/tools.h"
#include "common/cleanup.h"
#include "common/escape.h"
#include "common/io.h"
#include "common/paths.h"

void policy_print(const char *text)
{
	size_t n = strlen(text);
	char *safe = malloc(ESCAPE_CAP(n));

	if (safe) {
		escape_text(safe, ESCAPE_CAP(n), text, n);
		fputs(safe, stdout);
	}
	free(safe);
}

static char *read_stdin(size_t *n, struct error *e)
{
	char *text = malloc(POLICY_DOC_MAX + 2);
	ssize_t got = text ? io_read_full(0, text, POLICY_DOC_MAX + 1) : -1;

	if (got < 0) {
		free(text);
		error_set(e, errno, "cannot read standard input");
		return NULL;
	}
	*n = (size_t)got;
	return text;
}

/* 0 with *text NULL: an optional file that is not there. */
static int read_text(const char *path, int optional, char **text, size_t *n, struct error *e)
{
	*text = NULL;
	if (strcmp(path, "-") == 0) {
		*text = read_stdin(n, e);
		return *text ? 0 : -1;
	}
	if (optional && access(path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	*text = io_read_file(AT_FDCWD, path, POLICY_DOC_MAX, n, e);
	return *text ? 0 : -1;
}

int policy_docs_add(struct policy_docs *d, const char *path, enum policy_origin origin,
	int optional, struct error *e)
{
	size_t n = 0;
	char *text, *name;

	if (d->n == POLICY_LAYERS_MAX)
		return error_set(e, 0, "more than %u policy files. Merge some.", POLICY_LAYERS_MAX);
	if (read_text(path, optional, &text, &n, e))
		return -1;
	if (!text)
		return 0;
	name = strdup(path);
	d->owned[d->owned_n++] = text;
	d->owned[d->owned_n++] = name;
	if (!name)
		return error_set(e, ENOMEM, "%.300s", path);
	d->doc[d->n++] = (struct policy_doc){name, origin, text, n};
	return 0;
}

static int is_yaml(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);

	return entry->d_name[0] != '.' && n > 5 && strcmp(entry->d_name + n - 5, ".yaml") == 0;
}

static int add_directory(struct policy_docs *d, const char *dir, struct error *e)
{
	struct dirent **list = NULL;
	int i, n = scandir(dir, &list, is_yaml, alphasort), failed = 0;

	if (n < 0)
		return errno == ENOENT ? 0 : error_set(e, errno, "cannot read %s", dir);
	for (i = 0; i < n; i++) {
		char path[1400];

		snprintf(path, sizeof path, "%s/%s", dir, list[i]->d_name);
		failed = failed || policy_docs_add(d, path, POLICY_ADMIN, 0, e);
		free(list[i]);
	}
	free(list);
	return failed ? -1 : 0;
}

/* As `agentctl run` finds it. "" where there is no working directory. */
static void find_workspace(char out[PATH_MAX], int *is_cwd)
{
	const char *home = getenv("HOME");
	char cwd[PATH_MAX], real[PATH_MAX];

	out[0] = 0;
	*is_cwd = 1;
	if (!getcwd(cwd, sizeof cwd))
		return;
	workspace_find(cwd, home && realpath(home, real) ? real : "/", out);
	*is_cwd = strcmp(cwd, out) == 0;
}

const char *policy_docs_repo(void)
{
	static const char file[] = ".agentd/policy.yaml";
	static char path[PATH_MAX + sizeof file];
	char workspace[PATH_MAX];
	int is_cwd;

	find_workspace(workspace, &is_cwd);
	snprintf(path, sizeof path, "%s/%s", workspace, file);
	return is_cwd ? file : path;
}

int policy_docs_add_host(struct policy_docs *d, struct error *e)
{
	const char *home = getenv("HOME");
	struct paths paths;
	char path[1024];

	if (paths_init(&paths, NULL, e))
		return -1;
	snprintf(path, sizeof path, "%s/policy.d", paths.etc);
	if (add_directory(d, path, e))
		return -1;
	if (home && *home) {
		snprintf(path, sizeof path, "%s/.config/agentd/policy.yaml", home);
		if (policy_docs_add(d, path, POLICY_USER, 1, e))
			return -1;
	}
	return 0;
}

int policy_docs_add_standard(struct policy_docs *d, struct error *e)
{
	if (policy_docs_add_host(d, e))
		return -1;
	return policy_docs_add(d, policy_docs_repo(), POLICY_REPO, 1, e);
}

/* Links are not followed: a file of a repository must not lead out of it. */
static char *read_extension(void *ctx, const struct policy_doc *from, const char *path, size_t *len)
{
	const char *slash = strrchr(from->name, '/');
	char *dir = strndup(from->name, slash ? (size_t)(slash + 1 - from->name) : 0);
	cleanup_close int fd = -1;
	struct error ignored;

	(void)ctx;
	if (dir)
		fd = open(*dir ? dir : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	free(dir);
	return fd < 0 ? NULL : io_read_below(fd, path, POLICY_DOC_MAX, len, &ignored);
}

int policy_docs_extend_with(
	struct policy_docs *d, policy_read_extension *read, void *ctx, struct error *e)
{
	struct policy_docs_list l = {d->doc, d->n, POLICY_LAYERS_MAX, d->owned, d->owned_n};
	int failed = policy_extend(&l, read, ctx, e);

	d->n = l.n;
	d->owned_n = l.owned_n;
	return failed;
}

int policy_docs_extend(struct policy_docs *d, struct error *e)
{
	return policy_docs_extend_with(d, read_extension, NULL, e);
}

void policy_docs_free(struct policy_docs *d)
{
	while (d->owned_n)
		free(d->owned[--d->owned_n]);
	d->n = 0;
}

struct policy_facts policy_docs_facts(const char *agent)
{
	static char host[256], names[4096], branch[256];
	static struct passwd entry;
	struct passwd *pw = NULL;
	char workspace[PATH_MAX];
	int is_cwd;

	if (getpwuid_r(getuid(), &entry, names, sizeof names, &pw) != 0)
		pw = NULL;
	if (gethostname(host, sizeof host - 1) < 0)
		host[0] = 0;
	find_workspace(workspace, &is_cwd);
	if (branch_find(workspace, branch, sizeof branch) < 0)
		branch[0] = 0;
	return (struct policy_facts){.agent = agent ? agent : "command",
		.user = pw ? pw->pw_name : NULL,
		.host = host[0] ? host : NULL,
		.branch = branch[0] ? branch : NULL,
		.ci = in_ci(),
		.date = policy_date((int64_t)(io_now_real() / 1000000000u))};
}

int policy_docs_refused(const struct policy_error *e)
{
	fflush(stdout);
	fprintf(stderr, "%s\n", e->text);
	return e->failure == POLICY_TEST_FAILED ? POLICY_EXIT_TESTS : POLICY_EXIT_INVALID;
}

struct policy *policy_docs_load(struct policy_docs *d, const char *agent, int *code)
{
	struct policy_facts facts = policy_docs_facts(agent);
	struct policy_error pe;
	struct policy *p;
	struct error e;

	if (policy_docs_extend(d, &e)) {
		fflush(stdout);
		tool_fail("policy", &e);
		*code = POLICY_EXIT_INVALID;
		return NULL;
	}
	p = policy_load(d->doc, d->n, &facts, &pe);
	if (!p)
		*code = policy_docs_refused(&pe);
	return p;
}
