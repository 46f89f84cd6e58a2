/* What a run asks for; see gather.h. */
#include "agentctl/gather.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agentctl/extends.h"
#include "agentctl/gitconfig.h"
#include "agentctl/place.h"
#include "agentctl/toolchains.h"
#include "agentctl/verbs.h"
#include "common/cleanup.h"
#include "common/request.h"

extern char **environ;

/* Fits src into dst of cap bytes. */
static int copy(char *dst, size_t cap, const char *src, const char *what, struct error *e)
{
	size_t n = strlen(src);

	if (n >= cap)
		return error_set(e, ENAMETOOLONG, "%s", what);
	memcpy(dst, src, n + 1);
	return 0;
}

/* For users that /etc/passwd does not list (LDAP and the like): what the session says, if the home
 * directory it names is the user's own. */
static int user_of_session(struct whereabouts *w, struct error *e)
{
	const char *user = getenv("USER"), *home = getenv("HOME");
	struct stat st;

	if (!user || !*user)
		user = getenv("LOGNAME");
	if (!user || !*user || !home || home[0] != '/' || stat(home, &st) < 0 ||
		st.st_uid != getuid())
		return error_set(e, 0,
			"who are you? Your user id %u is not in /etc/passwd, and USER and HOME do "
			"not "
			"name a home directory of yours",
			(unsigned)getuid());
	if (copy(w->user, sizeof w->user, user, "USER", e) < 0)
		return -1;
	return copy(w->home, sizeof w->home, home, "HOME", e);
}

static int find_user(struct whereabouts *w, struct error *e)
{
	/* cppcheck-suppress getpwuidCalled ; there is one thread */
	const struct passwd *pw = getpwuid(getuid());
	char clean[PATH_MAX];

	if (pw && pw->pw_name && pw->pw_dir) {
		if (copy(w->user, sizeof w->user, pw->pw_name, "the user name", e) < 0 ||
			copy(w->home, sizeof w->home, pw->pw_dir, "the home directory", e) < 0)
			return -1;
	} else if (user_of_session(w, e) < 0) {
		return -1;
	}
	if (path_clean(w->home, clean, sizeof clean) < 0)
		return error_set(
			e, 0, "your home directory %s is not an absolute path", ctl_safe(w->home));
	memcpy(w->home, clean, strlen(clean) + 1);
	if (!realpath(w->home, w->real_home))
		memcpy(w->real_home, w->home, strlen(w->home) + 1);
	return 0;
}

/* Directories of the home whose content is keys. */
static int private_check(const char *dir, const char *home, struct error *e)
{
	static const char *const keys[] = {".ssh", ".gnupg", ".aws", ".kube"};
	size_t n = strlen(home) + 1;

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		size_t k = strlen(keys[i]);

		if (strncmp(dir + n, keys[i], k) == 0 && (!dir[n + k] || dir[n + k] == '/'))
			return error_set(e, 0,
				"the workspace cannot be %s, where your keys and settings are: "
				"go into the project's directory first, or name it: --workspace "
				"DIR",
				ctl_safe(dir));
	}
	return 0;
}

int workspace_check(const char *dir, const char *home, struct error *e)
{
	static const char *const whole[] = {"/usr", "/etc", "/bin", "/sbin", "/lib", "/lib64",
		"/boot", "/dev", "/proc", "/sys", "/run"};
	static const char *const top[] = {"/tmp", "/var", "/var/tmp", "/var/lib", "/opt", "/srv",
		"/mnt", "/media", "/home", "/root"};
	static const char cure[] =
		"go into the project's directory first, or name it: --workspace DIR";

	if (strcmp(dir, "/") == 0)
		return error_set(e, 0, "the workspace cannot be the whole system: %s", cure);
	if (strcmp(dir, home) == 0)
		return error_set(e, 0, "the workspace cannot be your home directory: %s", cure);
	if (path_inside(home, dir))
		return error_set(e, 0, "the workspace cannot be %s, which holds your home: %s",
			ctl_safe(dir), cure);
	for (size_t i = 0; i < ARRAY_LEN(top); i++)
		if (strcmp(dir, top[i]) == 0)
			return error_set(e, 0,
				"the workspace cannot be %s, which belongs to all: %s", dir, cure);
	if (home[1] && path_inside(dir, home))
		return private_check(dir, home, e);
	for (size_t i = 0; i < ARRAY_LEN(whole); i++)
		if (path_inside(dir, whole[i]))
			return error_set(e, 0, "the workspace cannot be %s in the system's %s: %s",
				ctl_safe(dir), whole[i], cure);
	return 0;
}

static int find_workspace(struct whereabouts *w, const char *wanted, struct error *e)
{
	struct stat st;

	if (!wanted) {
		workspace_find(w->cwd, w->real_home, w->workspace);
	} else if (!realpath(wanted, w->workspace)) {
		return error_set(e, errno, "cannot use %s as workspace", ctl_safe(wanted));
	} else if (stat(w->workspace, &st) < 0 || !S_ISDIR(st.st_mode)) {
		return error_set(e, 0, "the workspace %s is not a directory", ctl_safe(wanted));
	}
	return workspace_check(w->workspace, w->real_home, e);
}

int gather_place(struct whereabouts *w, const struct run_options *o, struct error *e)
{
	if (find_user(w, e) < 0)
		return -1;
	if (!getcwd(w->cwd, sizeof w->cwd) || w->cwd[0] != '/')
		return error_set(e, errno ? errno : ENOENT,
			"cannot find the working directory (was it deleted? cd to another)");
	return find_workspace(w, o->workspace, e);
}

/* Adds the policy document at path. optional: a file that is not there is left out. */
static int put_document(struct request_writer *r, enum doc_origin origin, const char *path,
	int optional, struct extends *x, struct error *e)
{
	size_t n, head = strlen(path) + 2;
	cleanup_free char *text = io_read_file(AT_FDCWD, path, DOC_MAX, &n, e);
	char *value;

	if (!text) {
		if (optional && (e->code == ENOENT || e->code == ENOTDIR))
			return 0;
		return error_prefix(e, "policy");
	}
	value = malloc(head + n);
	if (!value)
		return error_set(e, errno, "policy %s", ctl_safe(path));
	value[0] = (char)origin;
	memcpy(value + 1, path, head - 1);
	memcpy(value + head, text, n);
	request_put(r, REQ_DOC, value, head + n);
	free(value);
	return origin == DOC_EXTENDED ? 0 : extends_note(x, path, text, n, e);
}

static int put_extended(struct request_writer *r, struct extends *x, struct error *e)
{
	if (extends_find(x, e) < 0)
		return -1;
	for (const char *path = x->list; path < x->list + x->list_len; path += strlen(path) + 1) {
		if (put_document(r, DOC_EXTENDED, path, 0, x, e) < 0)
			return -1;
	}
	return 0;
}

static int put_own_documents(struct request_writer *r, const struct whereabouts *w,
	const struct run_options *o, struct extends *x, struct error *e)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof path, "%s/.config/agentd/policy.yaml", w->home);
	if (put_document(r, DOC_USER, path, 1, x, e) < 0)
		return -1;
	snprintf(path, sizeof path, "%s/.agentd/policy.yaml", w->workspace);
	if (put_document(r, DOC_REPO, path, 1, x, e) < 0)
		return -1;
	for (int i = 0; i < o->policies; i++) {
		char real[PATH_MAX];

		if (!realpath(o->policy[i], real))
			return error_set(e, errno, "policy %s", ctl_safe(o->policy[i]));
		if (put_document(r, DOC_CLI, real, 0, x, e) < 0)
			return -1;
	}
	return 0;
}

static int put_documents(struct request_writer *r, const struct whereabouts *w,
	const struct run_options *o, struct error *e)
{
	struct extends x = {0};
	int failed = put_own_documents(r, w, o, &x, e) < 0 || put_extended(r, &x, e) < 0;

	extends_free(&x);
	return failed ? -1 : 0;
}

static int put_protected(struct request_writer *r, const struct whereabouts *w, struct error *e)
{
	static struct gitconfig g; /* large, and once a process */

	g.workspace = w->workspace;
	g.home = w->real_home;
	if (gitconfig_find(&g) < 0)
		return error_set(e, errno, "cannot learn from %s/.git/config which files git obeys",
			ctl_safe(w->workspace));
	for (size_t i = 0; i < g.n; i++)
		request_put_str(r, REQ_PROTECT, g.list[i]);
	return 0;
}

static void put_toolchains(
	struct request_writer *r, const struct whereabouts *w, const char *command)
{
	static struct toolchains t; /* large, and once a process */

	t.home = w->home;
	t.real_home = w->real_home;
	t.workspace = w->workspace;
	t.cwd = w->cwd;
	toolchains_find(&t, getenv("PATH"), command);
	for (size_t i = 0; i < t.n; i++)
		request_put_str(r, REQ_TOOLCHAIN, t.list[i]);
}

static void put_fact(struct request_writer *r, const char *key, const char *value)
{
	char fact[512];

	if (snprintf(fact, sizeof fact, "%s=%s", key, value) < (int)sizeof fact)
		request_put_str(r, REQ_FACT, fact);
}

static void put_facts(struct request_writer *r, const struct whereabouts *w)
{
	char branch[256];
	struct utsname u;

	if (uname(&u) == 0)
		put_fact(r, "host", u.nodename);
	put_fact(r, "ci", in_ci() ? "true" : "false");
	if (branch_find(w->workspace, branch, sizeof branch) == 0)
		put_fact(r, "branch", branch);
}

const char *agent_of(const char *command)
{
	const char *slash = strrchr(command, '/');

	return strcmp(slash ? slash + 1 : command, "claude") == 0 ? "claude-code" : "";
}

static void put_terminal(struct request_writer *r, const struct run_options *o)
{
	uint16_t size[2] = {o->rows, o->cols};

	if (o->terminal)
		request_put(r, REQ_TERMINAL, size, sizeof size);
	if (o->detached)
		request_put(r, REQ_DETACHED, "", 0);
}

static void put_command(struct request_writer *r, const struct run_options *o)
{
	const char *agent = o->agent ? o->agent : agent_of(o->argv[0]);

	if (o->name)
		request_put_str(r, REQ_NAME, o->name);
	if (*agent)
		request_put_str(r, REQ_AGENT, agent);
	for (char **a = o->argv; *a; a++)
		request_put_str(r, REQ_ARG, *a);
	for (char **v = environ; *v; v++)
		request_put_str(r, REQ_ENV, *v);
}

int gather_request(const struct run_options *o, struct error *e)
{
	static struct whereabouts w; /* large, and once a process */
	struct request_writer r;

	if (gather_place(&w, o, e) < 0)
		return -1;
	request_begin(&r);
	put_command(&r, o);
	request_put_str(&r, REQ_WORKSPACE, w.workspace);
	request_put_str(&r, REQ_CWD, w.cwd);
	request_put_str(&r, REQ_USER, w.user);
	request_put_str(&r, REQ_HOME, w.home);
	put_terminal(&r, o);
	put_toolchains(&r, &w, o->argv[0]);
	put_facts(&r, &w);
	if (put_documents(&r, &w, o, e) < 0 || put_protected(&r, &w, e) < 0) {
		free(r.buf);
		return -1;
	}
	return request_seal(&r, e);
}
