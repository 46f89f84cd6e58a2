/* Directories with the user's own programs; see toolchains.h. */
#include "agentctl/toolchains.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agentctl/place.h"
#include "common/cleanup.h"

#define PATH_ENTRIES_MAX 64

/* Every sandbox has these already, or must never have them. */
static const char *const system_dirs[] = {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64",
	"/libx32", "/etc", "/proc", "/sys", "/dev", "/boot", "/run/agentd"};

/* Below the home directory: neither these nor what is in them. */
static const char *const private_dirs[] = {".ssh", ".aws", ".gnupg", ".kube", ".docker", ".azure",
	".oci", ".gsutil", ".password-store", ".mozilla", ".thunderbird", ".pki",
	".local/share/keyrings", ".claude", ".codex", ".gemini", ".agentd"};

/* Below the home directory: not these, but single tools in them may be shown. */
static const char *const shared_dirs[] = {
	".config", ".local", ".local/share", ".cache", ".cargo", ".npm"};

/* Version managers: their whole directory is programs, and its bin or shims need the rest of it. */
static const char *const manager_dirs[] = {
	".pyenv", ".rbenv", ".nodenv", ".goenv", ".jenv", ".asdf", ".volta"};

/* Programs that links in ~/.local/bin and the like point into. */
static const char *const companions[] = {
	"lib", "share/pipx/venvs", "share/uv/tools", "share/uv/python"};

int path_clean(const char *in, char *out, size_t cap)
{
	size_t n = 0;

	if (*in != '/')
		return -1;
	while (*in) {
		size_t k;

		while (*in == '/')
			in++;
		k = strcspn(in, "/");
		if (k == 0)
			break;
		if (k == 2 && in[0] == '.' && in[1] == '.')
			return -1;
		if (k != 1 || in[0] != '.') {
			if (n + 1 + k + 1 > cap)
				return -1;
			out[n++] = '/';
			memcpy(out + n, in, k);
			n += k;
		}
		in += k;
	}
	if (n == 0) {
		if (cap < 2)
			return -1;
		out[n++] = '/';
	}
	out[n] = 0;
	return 0;
}

/* Number of components of a clean path. */
static int components(const char *p)
{
	int n = 0;

	if (strcmp(p, "/") == 0)
		return 0;
	for (; *p; p++)
		n += *p == '/';
	return n;
}

static int in_system(const char *p)
{
	for (size_t i = 0; i < ARRAY_LEN(system_dirs); i++)
		if (path_inside(p, system_dirs[i]))
			return 1;
	return 0;
}

/* 1 when p is, holds or lies in something of this home directory that is nobody's business. */
static int private_of(const char *home, const char *p)
{
	size_t n = strlen(home);
	const char *rel;

	if (path_inside(home, p))
		return 1;
	if (!path_inside(p, home))
		return 0;
	rel = p + n + (home[n - 1] != '/'); /* what follows HOME/ */
	for (size_t i = 0; i < ARRAY_LEN(private_dirs); i++)
		if (path_inside(private_dirs[i], rel) || path_inside(rel, private_dirs[i]))
			return 1;
	for (size_t i = 0; i < ARRAY_LEN(shared_dirs); i++)
		if (path_inside(shared_dirs[i], rel))
			return 1;
	return 0;
}

/* 1 when a bind of p would show the home directory, credentials or other people's things. */
static int too_much(const struct toolchains *t, const char *p)
{
	return components(p) < 2 || private_of(t->home, p) || private_of(t->real_home, p);
}

/* Rewrites a canonical path in a home directory that is reached by a link the way passwd writes it, so
 * that the rules for the home hold for it. */
static void as_in_home(const struct toolchains *t, char path[PATH_MAX])
{
	char tail[PATH_MAX];

	if (strcmp(t->home, t->real_home) == 0 || !path_inside(path, t->real_home))
		return;
	snprintf(tail, sizeof tail, "%s", path + strlen(t->real_home));
	if (snprintf(path, PATH_MAX, "%s%s", t->home, tail) >= PATH_MAX)
		snprintf(path, PATH_MAX, "/");
}

static int allowed(const struct toolchains *t, const char *p)
{
	if (in_system(p) || too_much(t, p))
		return 0;
	/* The workspace is there anyway, and must stay as writable as it is. */
	return !path_inside(p, t->workspace) && !path_inside(t->workspace, p);
}

/* A link may lead to what may not be shown itself. */
static int leads_to_allowed(const struct toolchains *t, const char *p)
{
	char real[PATH_MAX];

	return realpath(p, real) && (path_inside(real, "/usr") || allowed(t, real));
}

static int covered(const struct toolchains *t, const char *p)
{
	for (size_t i = 0; i < t->n; i++)
		if (path_inside(p, t->list[i]))
			return 1;
	return 0;
}

static void add(struct toolchains *t, const char *p)
{
	if (t->n == TOOLCHAINS_MAX || strlen(p) >= TOOLCHAIN_PATH_MAX || !allowed(t, p) ||
		covered(t, p) || !leads_to_allowed(t, p))
		return;
	memcpy(t->list[t->n++], p, strlen(p) + 1);
}

/* below_home: a path with the home directory's taken off. */
static int is_manager(const char *below_home)
{
	for (size_t i = 0; i < ARRAY_LEN(manager_dirs); i++)
		if (strcmp(below_home + 1, manager_dirs[i]) == 0)
			return 1;
	return 0;
}

/* 1 when the directory above a bin directory is a tool's own, so that all of it may be seen. */
static int is_tool_home(const struct toolchains *t, const char *parent)
{
	const char *home = path_inside(parent, t->home) ? t->home : t->real_home;
	size_t n = strlen(home);
	int depth;

	if (!allowed(t, parent))
		return 0;
	if (!path_inside(parent, home))
		return components(parent) >= 3 || path_inside(parent, "/opt");
	depth = components(parent) - components(home);
	if (path_inside(parent + n, "/.config"))
		return depth >= 4;
	return depth >= 2 || is_manager(parent + n);
}

static int is_bin(const char *name)
{
	return strcmp(name, "bin") == 0 || strcmp(name, "sbin") == 0 || strcmp(name, "shims") == 0;
}

/* Links from a bin directory that is only one level below home lead to its neighbours. */
static void add_companions(struct toolchains *t, const char *parent)
{
	char q[PATH_MAX];

	if (!path_inside(parent, t->home) || components(parent) != components(t->home) + 1)
		return;
	for (size_t i = 0; i < ARRAY_LEN(companions); i++) {
		if (snprintf(q, sizeof q, "%s/%s", parent, companions[i]) < (int)sizeof q)
			add(t, q);
	}
	if (strcmp(parent + strlen(t->home), "/.cargo") == 0) {
		snprintf(q, sizeof q, "%s/.rustup", t->home);
		add(t, q);
	}
}

/* Adds what a directory of programs (a clean path) needs to work. */
static void add_program_dir(struct toolchains *t, const char *dir)
{
	char parent[PATH_MAX];
	const char *name = strrchr(dir, '/') + 1;

	if (path_inside(dir, "/nix/store")) { /* its programs link to each other all over it */
		add(t, "/nix/store");
		return;
	}
	snprintf(parent, sizeof parent, "%.*s", (int)(name - 1 - dir), dir);
	if (is_bin(name) && *parent) {
		if (is_tool_home(t, parent)) {
			add(t, parent);
			return;
		}
		add_companions(t, parent);
	}
	add(t, dir);
}

/* One entry of PATH, and what it is a link to. */
static void add_path_entry(struct toolchains *t, const char *entry)
{
	char clean[PATH_MAX], real[PATH_MAX];

	if (path_clean(entry, clean, sizeof clean) < 0 || in_system(clean) ||
		path_inside(clean, t->workspace) || covered(t, clean) || !realpath(clean, real))
		return;
	as_in_home(t, real);
	add_program_dir(t, clean);
	if (strcmp(real, clean) != 0)
		add_program_dir(t, real);
}

/* Calls f for the entries of PATH until it returns 1. */
static void each_entry(const char *path, int (*f)(void *ctx, const char *entry), void *ctx)
{
	char entry[PATH_MAX];

	for (int i = 0; i < PATH_ENTRIES_MAX; i++) {
		size_t k = strcspn(path, ":");

		if (k > 0 && k < sizeof entry) {
			memcpy(entry, path, k);
			entry[k] = 0;
			if (f(ctx, entry))
				return;
		}
		if (!path[k])
			return;
		path += k + 1;
	}
}

struct search {
	const char *command;
	char found[PATH_MAX]; /* "" until it was */
};

static int look_in(void *ctx, const char *entry)
{
	struct search *s = ctx;
	int n = snprintf(s->found, sizeof s->found, "%s/%s", entry, s->command);

	if (n > 0 && (size_t)n < sizeof s->found && access(s->found, X_OK) == 0)
		return 1;
	s->found[0] = 0;
	return 0;
}

/* The file that the command names, as the shell would find it. */
static int find_command(const struct toolchains *t, const char *path, struct search *s)
{
	int n;

	if (!strchr(s->command, '/')) {
		if (path)
			each_entry(path, look_in, s);
		return s->found[0] == '/' ? 0 : -1;
	}
	if (s->command[0] == '/')
		n = snprintf(s->found, sizeof s->found, "%s", s->command);
	else
		n = snprintf(s->found, sizeof s->found, "%s/%s", t->cwd, s->command);
	return n > 0 && (size_t)n < sizeof s->found ? 0 : -1;
}

/* The end of the part of a program's path that belongs to one installed node package: for npm's global
 * tree (lib/node_modules) the package, elsewhere, where packages share what they depend on, the whole
 * node_modules. NULL when it is in none. */
static const char *package_end(const char *file)
{
	static const char mark[] = "/node_modules/";
	const char *at = strstr(file, mark), *end;

	if (!at)
		return NULL;
	if (at - file < 4 || memcmp(at - 4, "/lib", 4) != 0)
		return at + sizeof mark - 2;
	end = strchr(at + sizeof mark - 1, '/');
	if (end && at[sizeof mark - 1] == '@')
		end = strchr(end + 1, '/');
	return end;
}

/* The directory of the program file, or the file alone where the directory would show too much. */
static void add_program_file(struct toolchains *t, const char *file)
{
	char dir[PATH_MAX];
	const char *end = package_end(file), *slash = strrchr(file, '/');

	if (end) {
		snprintf(dir, sizeof dir, "%.*s", (int)(end - file), file);
		add(t, dir);
		return;
	}
	if (slash == file)
		return;
	snprintf(dir, sizeof dir, "%.*s", (int)(slash - file), file);
	if (allowed(t, dir))
		add_program_dir(t, dir);
	else
		add(t, file);
}

static void add_command(struct toolchains *t, const char *path, const char *command)
{
	struct search s = {.command = command};
	char clean[PATH_MAX], real[PATH_MAX];

	if (find_command(t, path, &s) < 0 || !realpath(s.found, real))
		return;
	as_in_home(t, real);
	add_program_file(t, real);
	if (path_clean(s.found, clean, sizeof clean) == 0 && strcmp(clean, real) != 0) {
		char *slash = strrchr(clean, '/');

		if (slash > clean) { /* where the link is */
			*slash = 0;
			add_program_dir(t, clean);
		}
	}
}

static int take_entry(void *ctx, const char *entry)
{
	add_path_entry(ctx, entry);
	return 0;
}

void toolchains_find(struct toolchains *t, const char *path, const char *command)
{
	add_command(t, path, command);
	if (path)
		each_entry(path, take_entry, t);
}
