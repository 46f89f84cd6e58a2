/* What git obeys in a workspace; see gitconfig.h. The syntax is that of git-config(1), "Syntax". */
#include "agentctl/gitconfig.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agentctl/place.h"
#include "common/cleanup.h"
#include "common/io.h"

struct reader {
	const char *p, *end;
};

/* Resolves "." and ".." of an absolute path by its text. -1 when it does not fit. */
static int resolve(const char *in, char *out, size_t cap)
{
	size_t n = 0;

	while (*in) {
		size_t k;

		while (*in == '/')
			in++;
		k = strcspn(in, "/");
		if (k == 2 && in[0] == '.' && in[1] == '.') {
			while (n > 0 && out[--n] != '/')
				;
		} else if (k > 0 && (k != 1 || in[0] != '.')) {
			if (n + 1 + k + 1 > cap)
				return -1;
			out[n++] = '/';
			memcpy(out + n, in, k);
			n += k;
		}
		in += k;
	}
	out[n] = 0;
	return 0;
}

/* Adds an absolute path, if it lies below the workspace. */
static void add_absolute(struct gitconfig *g, const char *path, int included)
{
	size_t n = strlen(g->workspace);
	const char *rel;

	if (!path_inside(path, g->workspace) || !path[n])
		return;
	rel = path + n + 1;
	for (size_t i = 0; i < g->n; i++)
		if (strcmp(g->list[i], rel) == 0) {
			g->included[i] |= (char)included;
			return;
		}
	if (g->n == GITCONFIG_PATHS_MAX || strlen(rel) >= sizeof g->list[0]) {
		g->truncated = 1;
		return;
	}
	memcpy(g->list[g->n], rel, strlen(rel) + 1);
	g->included[g->n++] = (char)included;
}

/* Adds what a value names, relative to dir (itself relative to the workspace, "" for the top), and
 * what that is a link to. */
static void add_path(struct gitconfig *g, const char *dir, const char *value, int included)
{
	char joined[PATH_MAX], path[PATH_MAX], real[PATH_MAX];
	int n;

	if (value[0] == '/')
		n = snprintf(joined, sizeof joined, "%s", value);
	else if (strncmp(value, "~/", 2) == 0)
		n = snprintf(joined, sizeof joined, "%s/%s", g->home, value + 2);
	else
		n = snprintf(joined, sizeof joined, "%s/%s/%s", g->workspace, dir, value);
	if (!*value || n < 0 || (size_t)n >= sizeof joined ||
		resolve(joined, path, sizeof path) < 0)
		return;
	add_absolute(g, path, included);
	if (realpath(path, real) && strcmp(real, path) != 0)
		add_absolute(g, real, included);
}

static int at_end(const struct reader *r)
{
	return r->p >= r->end;
}

static void skip_line(struct reader *r)
{
	while (!at_end(r) && *r->p != '\n')
		r->p++;
}

/* Reads a name of letters, digits and dashes in lower case; cut when it is longer than cap. */
static void read_word(struct reader *r, char *out, size_t cap)
{
	size_t n = 0;

	for (; !at_end(r); r->p++) {
		char c = *r->p;

		if (c >= 'A' && c <= 'Z')
			c = (char)(c | 32);
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'))
			break;
		if (n + 1 < cap)
			out[n++] = c;
	}
	out[n] = 0;
}

/* "[section]" or "[section "sub"]": the section's name. */
static void read_section(struct reader *r, char *section, size_t cap)
{
	int quoted = 0;

	r->p++;
	while (!at_end(r) && (*r->p == ' ' || *r->p == '\t'))
		r->p++;
	read_word(r, section, cap);
	for (; !at_end(r) && *r->p != '\n'; r->p++) {
		if (*r->p == '\\' && quoted && r->p + 1 < r->end)
			r->p++;
		else if (*r->p == '"')
			quoted = !quoted;
		else if (*r->p == ']' && !quoted) {
			r->p++;
			return;
		}
	}
}

/* One character behind a backslash; 0 for a line that goes on. */
static char unescape(char c)
{
	switch (c) {
	case 'n':
		return '\n';
	case 't':
		return '\t';
	case 'b':
		return '\b';
	case '\n':
		return 0;
	default:
		return c;
	}
}

/* A value with its quotes, escapes, continued lines and comment taken off. -1: it does not fit. */
static int read_value(struct reader *r, char *out, size_t cap)
{
	size_t n = 0, keep = 0; /* keep: what trailing blanks may not be cut from */
	int quoted = 0, fits = 1;

	for (; !at_end(r) && *r->p != '\n'; r->p++) {
		char c = *r->p;

		if (c == '"') {
			quoted = !quoted;
			keep = n;
			continue;
		}
		if (!quoted && (c == '#' || c == ';')) {
			skip_line(r);
			break;
		}
		if (c == '\\' && r->p + 1 < r->end) {
			c = unescape(*++r->p);
			if (!c)
				continue;
		} else if (!quoted && (c == ' ' || c == '\t' || c == '\r')) {
			if (n == 0)
				continue;
			if (n + 1 < cap)
				out[n++] = c;
			continue;
		}
		if (n + 1 < cap)
			out[n++] = c;
		else
			fits = 0;
		keep = n;
	}
	out[keep] = 0;
	return fits ? 0 : -1;
}

static int is_include(const char *section, const char *key)
{
	return (strcmp(section, "include") == 0 || strcmp(section, "includeif") == 0) &&
	       strcmp(key, "path") == 0;
}

/* 1 for the keys of [core] whose value is a file or directory that git runs or obeys. */
static int names_a_file(const char *key)
{
	return strcmp(key, "hookspath") == 0 || strcmp(key, "attributesfile") == 0 ||
	       strcmp(key, "fsmonitor") == 0;
}

/* core.fsmonitor may also be a boolean. */
static int is_boolean(const char *value)
{
	static const char *const words[] = {"true", "false", "yes", "no", "on", "off", "1", "0"};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcasecmp(words[i], value) == 0)
			return 1;
	return 0;
}

/* "key = value" or "key". */
static void read_setting(
	struct gitconfig *g, struct reader *r, const char *dir, const char *section)
{
	char key[64], value[1024];

	read_word(r, key, sizeof key);
	while (!at_end(r) && (*r->p == ' ' || *r->p == '\t'))
		r->p++;
	if (at_end(r) || *r->p != '=') {
		skip_line(r);
		return;
	}
	r->p++;
	if (read_value(r, value, sizeof value) < 0)
		return;
	if (is_include(section, key))
		add_path(g, dir, value, 1);
	else if (strcmp(section, "core") == 0 && names_a_file(key) && !is_boolean(value))
		add_path(g, "", value, 0);
}

void gitconfig_scan(struct gitconfig *g, const char *dir, const char *text, size_t n)
{
	struct reader r = {text, text + n};
	char section[64] = "";

	while (!at_end(&r)) {
		char c = *r.p;

		if (c == '[')
			read_section(&r, section, sizeof section);
		else if (c == '#' || c == ';')
			skip_line(&r);
		else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
			read_setting(g, &r, dir, section);
		else
			r.p++;
	}
}

/* Scans the file at a path relative to the workspace. 0, also when it is not there. */
static int scan_file(struct gitconfig *g, const char *rel)
{
	char path[PATH_MAX], dir[1024];
	const char *slash = strrchr(rel, '/');
	struct error e;
	size_t n;
	cleanup_free char *text = NULL;

	if (snprintf(path, sizeof path, "%s/%s", g->workspace, rel) >= (int)sizeof path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	text = io_read_file(AT_FDCWD, path, GITCONFIG_SIZE_MAX, &n, &e);
	if (!text) {
		/* Not there, or not a file: nothing to obey in it. */
		if (e.code == ENOENT || e.code == ENOTDIR || e.code == ELOOP || e.code == 0)
			return 0;
		errno = e.code;
		return -1;
	}
	snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - rel) : 0, rel);
	gitconfig_scan(g, dir, text, n);
	return 0;
}

int gitconfig_find(struct gitconfig *g)
{
	if (scan_file(g, ".git/config") < 0)
		return -1;
	/* Each file may name more files; the list grows while it is walked. */
	for (size_t i = 0; i < g->n; i++)
		if (g->included[i] && scan_file(g, g->list[i]) < 0)
			return -1;
	if (g->truncated) {
		errno = E2BIG;
		return -1;
	}
	return 0;
}
