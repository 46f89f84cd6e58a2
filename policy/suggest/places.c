/* Ideas about files, hosts and requests: a name in a directory, a label below a domain, a segment of a
 * URL's path. One place at a time: nothing is ever proposed for what lies below a directory. */
#include <stdlib.h>
#include <string.h>

#include "policy/suggest/ideas.h"
#include "policy/suggest/token.h"

#define SHOWN_MAX 4200u

static const struct shape no_shape = {0, NULL};

/* The action in its one spelling, without its kind. -1: it cannot be written. */
static int shown(const struct item *i, char out[SHOWN_MAX])
{
	return i->kind->show(&i->action->word[0], &no_shape, out, SHOWN_MAX);
}

/* Adds the last part (from the last `separator` on) of what shown gives. */
typedef struct name part_of(const char *text);

static void collect(
	const struct group *g, part_of *part, char (*text)[SHOWN_MAX], struct names *out)
{
	*out = (struct names){0};
	for (size_t i = 0; i < g->items && out->n < NAMES_MAX; i++) {
		struct name p;

		if (shown(g->item[i], text[out->n]))
			continue;
		p = part(text[out->n]);
		names_add(out, p.p, p.n);
	}
	for (size_t i = NAMES_MAX; i < g->items; i++)
		out->different += out->n == NAMES_MAX;
}

/* ---- files ---- */

static struct name file_base(const char *text)
{
	size_t n = strlen(text), at = path_parent(text, n) + 1;

	return (struct name){text + at, n - at};
}

/* 1 when the directory that a shown action is about has a volatile name in it. */
static int in_volatile(const char *text)
{
	size_t n = strlen(text);
	struct writer w;
	int found;

	if (writer_open(&w))
		return 0;
	found = path_put(w.f, text + 2, path_parent(text, n) - 2);
	free(writer_close(&w));
	return found;
}

/* A volatile name makes a group of its own: the pattern is all there is. */
static int file_key(const struct ideas *o, const struct item *i, FILE *f)
{
	char text[SHOWN_MAX];
	struct writer w;
	struct name base;
	char *pattern;
	int is_volatile;

	(void)o;
	if (shown(i, text) || writer_open(&w))
		return -1;
	base = file_base(text);
	is_volatile = token_component(w.f, base.p, base.n);
	fprintf(f, "%c%.2s", is_volatile ? 'v' : 'n', text);
	path_put(f, text + 2, (size_t)(base.p - text) - 2);
	pattern = writer_close(&w);
	fputs(is_volatile && pattern ? pattern : "", f);
	free(pattern);
	return 0;
}

static void file_start(FILE *f, const char *text)
{
	struct name base = file_base(text);

	fprintf(f, "%.2s", text);
	path_put(f, text + 2, (size_t)(base.p - text) - 2);
}

static void file_make(struct ideas *o, const struct group *g, const struct group *often)
{
	static char text[NAMES_MAX][SHOWN_MAX];
	struct names names;
	struct writer w;
	char first[SHOWN_MAX];
	struct name base;

	if (shown(g->item[0], first) || writer_open(&w))
		return;
	base = file_base(first);
	file_start(w.f, first);
	if (token_component(w.f, base.p, base.n)) {
		idea_add(o, g, writer_close(&w), NULL, 0);
		return;
	}
	free(writer_close(&w));
	collect(often, file_base, text, &names);
	if (names.n && !writer_open(&w)) {
		file_start(w.f, first);
		names_put(w.f, &names);
		idea_add(o, often, writer_close(&w), NULL, 0);
	}
	collect(g, file_base, text, &names);
	if (writer_open(&w))
		return;
	file_start(w.f, first);
	if (names.different == 1 && in_volatile(first))
		names_put(w.f, &names);
	else if (names.n < IDEA_DIR_SEEN || g->sessions < IDEA_MANY || names_endings(w.f, &names))
		fputs("\1", w.f); /* no rule: it is left out */
	idea_add(o, g, writer_close(&w), NULL, 0);
}

const struct grouping grouping_file = {&kind_file, file_key, file_make};

/* ---- hosts ---- */

static int is_address(const char *host)
{
	return host[0] == '[' || host[strspn(host, "0123456789.")] == ':';
}

static size_t first_label(const char *text)
{
	return strcspn(text, ".");
}

/* Bytes of a host's own label, when what is behind it is a domain that somebody registered, or below
 * one. 0: the host stands for itself. */
static size_t own_label(const struct ideas *o, const char *text)
{
	const char *colon = strrchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : 0, label = first_label(text), domain;

	if (!colon || is_address(text) || label >= n || !o->options->domain)
		return 0;
	domain = o->options->domain(o->options->domain_ctx, text, n);
	return domain > label && domain < n ? label : 0;
}

static int host_key(const struct ideas *o, const struct item *i, FILE *f)
{
	char text[SHOWN_MAX];

	if (shown(i, text))
		return -1;
	fputs(text + own_label(o, text), f);
	return 0;
}

static struct name host_label(const char *text)
{
	return (struct name){text, first_label(text)};
}

/* An address is a network of one. */
static void address_put(FILE *f, const char *text)
{
	const char *end = text[0] == '[' ? strchr(text, ']') : strchr(text, ':');

	if (end)
		fprintf(f, "%.*s%s%s", (int)(end - text), text, text[0] == '[' ? "/128" : "/32",
			end);
}

static void host_make(struct ideas *o, const struct group *g, const struct group *often)
{
	static char text[NAMES_MAX][SHOWN_MAX];
	char first[SHOWN_MAX];
	struct names names;
	struct writer w;
	size_t label;

	if (shown(g->item[0], first) || writer_open(&w))
		return;
	label = own_label(o, first);
	if (label == 0) {
		if (is_address(first))
			address_put(w.f, first);
		else
			fputs(first, w.f);
		idea_add(o, g, writer_close(&w), NULL, 0);
		return;
	}
	collect(often, host_label, text, &names);
	names_put(w.f, &names);
	fputs(first + label, w.f);
	if (names.n)
		idea_add(o, often, writer_close(&w), NULL, 0);
	else
		free(writer_close(&w));
	collect(g, host_label, text, &names);
	if (names.n < IDEA_HOSTS || g->sessions < IDEA_MANY || writer_open(&w))
		return;
	fprintf(w.f, "*%s", first + label);
	idea_add(o, g, writer_close(&w), NULL, 0);
}

const struct grouping grouping_host = {&kind_net, host_key, host_make};

/* ---- requests ---- */

/* Where the path begins in `GET https://host:8080/a/b`. */
static size_t url_path(const char *text)
{
	const char *scheme = strstr(text, "://");
	const char *path = scheme ? strchr(scheme + 3, '/') : NULL;

	return path ? (size_t)(path - text) : strlen(text);
}

static struct name last_segment(const char *text)
{
	size_t n = strlen(text), at = path_parent(text, n) + 1;

	return (struct name){text + at, n - at};
}

static void segment_put(FILE *f, const char *s, size_t n)
{
	enum token type = token_of(s, n);

	if (type == TOKEN_NUMBER || type == TOKEN_HEX || type == TOKEN_UUID)
		token_shape(f, type, n);
	else
		token_literal(f, s, n);
}

/* Method, scheme, host, and the path without its last segment. */
static void request_start(FILE *f, const char *text)
{
	const char *host = strstr(text, "://");
	size_t at = url_path(text), end = strlen(text) - last_segment(text).n;

	if (!host)
		return;
	host += 3;
	fprintf(f, "%.*s", (int)(host - text), text);
	if (host[0] == '[' || host[strspn(host, "0123456789.")] == ':' ||
		host[strspn(host, "0123456789.")] == '/') {
		size_t n = host[0] == '[' ? strcspn(host, "]") : strspn(host, "0123456789.");

		fprintf(f, "%.*s%s%.*s", (int)n, host, host[0] == '[' ? "/128" : "/32",
			(int)((size_t)(text + at - host) - n), host + n);
	} else {
		fprintf(f, "%.*s", (int)(text + at - host), host);
	}
	while (at < end) {
		size_t n = strcspn(text + at + 1, "/");

		putc('/', f);
		if (at + 1 + n >= end)
			break;
		segment_put(f, text + at + 1, n);
		at += 1 + n;
	}
}

/* Also what sort of segment the last one is. */
static int request_key(const struct ideas *o, const struct item *i, FILE *f)
{
	char text[SHOWN_MAX];
	struct name last;
	enum token type;

	(void)o;
	if (shown(i, text))
		return -1;
	last = last_segment(text);
	type = token_of(last.p, last.n);
	if (type != TOKEN_NUMBER && type != TOKEN_HEX && type != TOKEN_UUID)
		type = TOKEN_WORD;
	fprintf(f, "%c%zu ", (int)type, type == TOKEN_HEX ? last.n : 0);
	request_start(f, text);
	return 0;
}

/* Numbers and hashes stand for all of their sort. */
static void request_shape(struct ideas *o, const struct group *g, const char *first, size_t longest)
{
	struct name last = last_segment(first);
	struct writer w;

	if (writer_open(&w))
		return;
	request_start(w.f, first);
	token_shape(w.f, token_of(last.p, last.n), longest);
	idea_add(o, g, writer_close(&w), NULL, 0);
}

static void request_make(struct ideas *o, const struct group *g, const struct group *often)
{
	static char text[NAMES_MAX][SHOWN_MAX];
	char first[SHOWN_MAX];
	struct names names;
	struct writer w;
	size_t longest = 0;
	enum token type;

	if (shown(g->item[0], first))
		return;
	type = token_of(last_segment(first).p, last_segment(first).n);
	collect(often, last_segment, text, &names);
	if (names.n && !writer_open(&w)) {
		request_start(w.f, first);
		names_put(w.f, &names);
		idea_add(o, often, writer_close(&w), NULL, 0);
	}
	collect(g, last_segment, text, &names);
	for (size_t i = 0; i < names.n; i++)
		longest = names.v[i].n > longest ? names.v[i].n : longest;
	if (type == TOKEN_NUMBER || type == TOKEN_HEX || type == TOKEN_UUID)
		request_shape(o, g, first, longest);
	else if (names.n >= IDEA_DIR_SEEN && g->sessions >= IDEA_MANY && !writer_open(&w)) {
		request_start(w.f, first);
		fputs("*", w.f);
		idea_add(o, g, writer_close(&w), NULL, 0);
	}
}

const struct grouping grouping_http = {&kind_http, request_key, request_make};
