/* Requests over HTTP: a method, and a URL without its query.
 *
 *   METHOD NUL SCHEME HOST PORT(2) PATH NUL
 *   SCHEME: 's' https · 'p' http · 'S', 'P' the same of an alias;  HOST as in net.c
 *
 * An alias is what servers make of a path that decode more, or that take ;parameters off: `/a;x/%40b`
 * is asked about as /a/@b, too.
 *
 * A path has one spelling: percent-encoding is normalised (RFC 3986, 6.2.2), what may not stand in
 * a path is encoded. Paths that servers are known to read in different ways have none, so they are
 * denied: empty and dot segments (also with ;parameters), an encoded slash, backslash or NUL. */
#include "policy/kinds/http.h"

#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "policy/kinds/net.h"
#include "policy/text.h"

#define METHODS_MAX 16u

static const char *const methods[] = {
	"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"};

struct http_rule {
	size_t methods; /* 0: any */
	struct span method[METHODS_MAX];
	char scheme; /* 's', 'p' */
	struct net_host host;
	struct net_ports ports;
	struct pattern path;
};

/* ---- characters ---- */

static int is_unreserved(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("-._~", c));
}

/* pchar of RFC 3986 without percent-encoding. */
static int is_plain(unsigned char c)
{
	return is_unreserved(c) || (c && strchr("!$&'()*+,;=:@", c));
}

static int hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* The byte behind the % at s[0], -1: no escape. */
static int escaped(const char *s, size_t n)
{
	return n < 3 || hex(s[1]) < 0 || hex(s[2]) < 0 ? -1 : hex(s[1]) << 4 | hex(s[2]);
}

/* An encoded byte that has a place in canonical paths. */
static int stays_encoded(unsigned char c)
{
	return c && c != '/' && c != '\\' && !is_unreserved(c);
}

/* ---- rules ---- */

static int method_ok(const char *s, size_t n)
{
	if (n == 0 || n > HTTP_METHOD_MAX || s[0] == '-')
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (!(s[i] >= 'A' && s[i] <= 'Z') && s[i] != '-')
			return 0;
	}
	return 1;
}

static int bad_method(const char *s, size_t n, size_t at, struct pattern_fault *f)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i] >= 'a' && s[i] <= 'z')
			return pattern_bad(f, at, n,
				"a method in lower case, which is another one. Write GET, POST, …");
	}
	return pattern_bad(f, at, n,
		"no methods. Start with a method, or several as in GET,POST, or * for any, and a "
		"space");
}

/* A method that nobody knows is one of tomorrow, or a slip that would never match. */
static int check_known(const char *s, size_t n, size_t at, struct pattern_fault *f)
{
	const size_t known = sizeof methods / sizeof *methods;
	const char *near;

	for (size_t i = 0; i < known; i++) {
		if (strlen(methods[i]) == n && memcmp(methods[i], s, n) == 0)
			return 0;
	}
	near = text_nearest(s, n, methods, known);
	return near ? pattern_bad(f, at, n, "an unknown method. Did you mean `%s`?", near) : 0;
}

static int read_methods(
	const char *s, size_t n, size_t *i, struct http_rule *out, struct pattern_fault *f)
{
	const char *blank = memchr(s, ' ', n);
	size_t end = blank ? (size_t)(blank - s) : n, at = 0;

	if (!blank)
		return pattern_bad(f, 0, n,
			memmem(s, n, "://", 3)
				? "a URL without its methods. Write GET URL, GET,POST URL or * URL"
				: "methods without a URL. Write GET https://HOST/PATH");
	*i = end;
	while (*i < n && s[*i] == ' ')
		++*i;
	if (end == 1 && s[0] == '*')
		return 0;
	while (at <= end) {
		const char *comma = memchr(s + at, ',', end - at);
		size_t len = comma ? (size_t)(comma - s) - at : end - at;

		if (!method_ok(s + at, len))
			return bad_method(s + at, len, at, f);
		if (check_known(s + at, len, at, f))
			return -1;
		if (out->methods == METHODS_MAX)
			return pattern_bad(f, 0, end, "more than 16 methods. Write * for any");
		out->method[out->methods++] = (struct span){s + at, len};
		at += len + 1;
	}
	return 0;
}

static int read_scheme(const char *s, size_t n, size_t *i, char *out, struct pattern_fault *f)
{
	const char *rest = s + *i;
	size_t left = n - *i;

	if (left >= 8 && memcmp(rest, "https://", 8) == 0) {
		*out = 's';
		*i += 8;
		return 0;
	}
	if (left >= 7 && memcmp(rest, "http://", 7) == 0) {
		*out = 'p';
		*i += 7;
		return 0;
	}
	return pattern_bad(f, *i, left,
		"no URL. Write https://HOST/PATH (or http://), the scheme in lower case and "
		"without "
		"patterns");
}

/* Bytes of the host: up to its port or path. A network has a slash of its own: 10.0.0.0/8. */
static size_t host_length(const char *s, size_t n)
{
	const char *close = n && s[0] == '[' ? memchr(s, ']', n) : NULL;
	size_t i = 0;

	if (close && memchr(s, ':', (size_t)(close - s)))
		return (size_t)(close - s) + 1;
	while (i < n && s[i] != '/' && s[i] != ':')
		i++;
	if (i + 1 < n && s[i] == '/' && strspn(s, "0123456789.") == i && s[i + 1] >= '0' &&
		s[i + 1] <= '9') {
		i++;
		while (i < n && s[i] >= '0' && s[i] <= '9')
			i++;
	}
	return i;
}

static int read_ports(
	const char *s, size_t n, size_t *i, struct http_rule *r, struct pattern_fault *f)
{
	const uint32_t usual = r->scheme == 's' ? 443 : 80;
	size_t start = *i + 1, end = start;

	if (*i == n || s[*i] != ':') {
		r->ports = (struct net_ports){1, {{usual, usual}}};
		return 0;
	}
	while (end < n && s[end] != '/')
		end++;
	*i = end;
	return net_ports_parse(s + start, end - start, start, &r->ports, f);
}

/* ---- paths of rules ---- */

static int check_escape(const char *s, size_t n, size_t at, struct pattern_fault *f)
{
	int c = escaped(s, n);

	if (c < 0)
		return pattern_bad(f, at, n < 3 ? n : 3,
			"a %% that starts no escape. Write %%25 for the character itself");
	if (is_unreserved((unsigned char)c))
		return pattern_bad(f, at, 3,
			"an escape that requests never have: it is decoded before rules are "
			"asked. Write %c",
			c);
	if (!stays_encoded((unsigned char)c))
		return pattern_bad(f, at, 3,
			"an escape that is always denied: servers do not agree what it means. "
			"Delete the rule, or write it without");
	if ((s[1] >= 'a' && s[1] <= 'f') || (s[2] >= 'a' && s[2] <= 'f'))
		return pattern_bad(f, at, 3,
			"an escape in lower case, which requests never have. Write %%%02X", c);
	return 0;
}

static int check_path_byte(const char *s, size_t n, size_t at, struct pattern_fault *f)
{
	unsigned char c = (unsigned char)s[0];

	if (c == '%')
		return check_escape(s, n, at, f);
	if (c == '#')
		return pattern_bad(f, at, n, "a fragment, which no request has. Delete it");
	if (c == ' ')
		return pattern_bad(f, at, 1,
			"a space, which no path has. Write %%20 for the character itself");
	if (c >= 0x80)
		return pattern_bad(f, at, n < 2 ? n : 2,
			"a character that is not ASCII, which paths have encoded. Write its bytes "
			"as "
			"%%%02X…",
			c);
	if (c == '?' && memchr(s, '=', n))
		return pattern_bad(f, at, n,
			"a query, which is cut off before rules are asked. Delete it (? stands for "
			"any one character)");
	if (c < 0x20 || c == 0x7f || strchr("\"<>^`|", c))
		return pattern_bad(
			f, at, 1, "a character that paths have encoded. Write it as %%%02X", c);
	return 0;
}

static int is_dots(const char *s, size_t n)
{
	return (n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.');
}

/* s[0] is the path's slash. Segments are looked at as written: what braces make of them is the
 * automaton's matter. */
static int check_path(const char *s, size_t n, size_t at, struct pattern_fault *f)
{
	size_t start = 1;

	for (size_t i = 0; i < n; i++) {
		if (check_path_byte(s + i, n - i, at + i, f))
			return -1;
	}
	for (size_t i = 1; i <= n; i++) {
		if (i < n && s[i] != '/')
			continue;
		if ((i == start && i < n) || is_dots(s + start, i - start))
			return pattern_bad(f, at + start - 1, i - start + 1,
				"a path that is always denied: it has //, /./ or /../. Write it "
				"without");
		start = i + 1;
	}
	return 0;
}

static int http_parse(
	struct arena *a, const char *text, size_t n, const void **out, struct pattern_fault *f)
{
	struct http_rule *r = arena_alloc(a, sizeof *r);
	size_t i = 0, host;

	*out = r;
	if (!r)
		return pattern_no_memory(f);
	while (n && text[n - 1] == ' ')
		n--;
	if (n == 0)
		return pattern_bad(f, 0, 0, "an empty rule. Write GET https://HOST/PATH");
	if (read_methods(text, n, &i, r, f) || read_scheme(text, n, &i, &r->scheme, f))
		return -1;
	host = host_length(text + i, n - i);
	if (host == 0)
		return pattern_bad(f, i, n - i, "a URL without a host. Write https://HOST/PATH");
	if (net_host_parse(a, text + i, host, i, &r->host, f))
		return -1;
	i += host;
	if (read_ports(text, n, &i, r, f))
		return -1;
	if (i == n)
		return pattern_bad(
			f, 0, n, "a URL without its path. Write /** behind the host for all paths");
	if (text[i] != '/')
		return pattern_bad(
			f, i, n - i, "text behind the host. Write HOST/PATH or HOST:PORT/PATH");
	if (check_path(text + i, n - i, i, f))
		return -1;
	if (pattern_compile(a, PATTERN_URLPATH, text + i, n - i, &r->path, f)) {
		f->at += i;
		return -1;
	}
	return 0;
}

/* ---- languages ---- */

static const struct re *any_method(struct arena *a)
{
	struct byteset letters = {{0}}, all;

	byteset_range(&letters, 'A', 'Z');
	all = letters;
	byteset_add(&all, '-');
	return re_cat(a, re_set(a, &letters), re_star(a, re_set(a, &all)));
}

/* 's' or 'p', and its letter in aliases. */
static const struct re *re_scheme(struct arena *a, char scheme, int primary)
{
	struct byteset s = {{0}};

	byteset_add(&s, (unsigned char)scheme);
	if (!primary)
		byteset_add(&s, (unsigned char)scheme - 0x20u);
	return re_set(a, &s);
}

static const struct re *http_language(
	struct arena *a, const void *rule, enum side side, const struct shape *shape)
{
	const struct http_rule *r = rule;
	const struct re *method = r->methods ? re_none(a) : any_method(a), *url;

	(void)side;
	(void)shape;
	for (size_t i = 0; i < r->methods; i++)
		method = re_alt(a, method, re_text(a, r->method[i].p, r->method[i].n));
	url = re_cat(a, re_scheme(a, r->scheme, 0), net_host_re(a, &r->host));
	url = re_cat(a, url, net_ports_re(a, &r->ports));
	url = re_cat(a, url, re_cat(a, pattern_re(a, &r->path), re_end(a)));
	return re_cat(a, method, re_cat(a, re_end(a), url));
}

/* %XX for all bytes that stay encoded but one. */
static const struct re *re_escape_but(struct arena *a, unsigned but)
{
	static const char digits[] = "0123456789ABCDEF";
	const struct re *r = re_none(a);

	for (unsigned hi = 0; hi < 16; hi++) {
		struct byteset lo = {{0}};

		for (unsigned k = 0; k < 16; k++) {
			if (stays_encoded((unsigned char)(hi << 4 | k)) && (hi << 4 | k) != but)
				byteset_add(&lo, (unsigned char)digits[k]);
		}
		r = re_alt(a, r, re_cat(a, re_text(a, &digits[hi], 1), re_set(a, &lo)));
	}
	return re_cat(a, re_text(a, "%", 1), r);
}

/* Segments: what stands before a `;` is neither empty nor dots. A slash at the end is a path of its
 * own. */
static const struct re *canonical_path(struct arena *a)
{
	struct byteset plain = {{0}};
	const struct re *letter, *dot = re_text(a, ".", 1), *slash = re_text(a, "/", 1);
	const struct re *semicolon, *any, *name, *part;

	for (unsigned c = 1; c < 0x80; c++) {
		if (is_plain((unsigned char)c) && c != '.' && c != ';')
			byteset_add(&plain, c);
	}
	letter = re_alt(a, re_set(a, &plain), re_escape_but(a, ';'));
	semicolon = re_alt(a, re_text(a, ";", 1), re_text(a, "%3B", 3));
	part = re_alt(a, letter, dot);
	any = re_alt(a, part, semicolon);
	name = re_cat(a, letter, re_star(a, part));
	name = re_alt(a, name, re_cat(a, dot, re_cat(a, letter, re_star(a, part))));
	name = re_alt(a, name, re_cat(a, dot, re_cat(a, dot, re_plus(a, part))));
	name = re_cat(a, name, re_opt(a, re_cat(a, semicolon, re_star(a, any))));
	name = re_plus(a, re_cat(a, slash, name));
	return re_alt(a, slash, re_cat(a, name, re_opt(a, slash)));
}

static const struct re *http_canonical(struct arena *a, int primary, const struct shape *shape)
{
	const struct re *url = re_alt(a, re_scheme(a, 's', primary), re_scheme(a, 'p', primary));

	(void)shape;
	url = re_cat(a, url, net_canonical_host(a));
	url = re_cat(a, url, re_number(a, 2, 1, UINT16_MAX));
	url = re_cat(a, url, re_cat(a, canonical_path(a), re_end(a)));
	return re_cat(a, any_method(a), re_cat(a, re_end(a), url));
}

/* ---- actions ---- */

/* One byte of a target, at s[0]; *used bytes of it. NULL, or what is wrong. */
static const char *put_byte(struct word_builder *b, const char *s, size_t n, size_t *used)
{
	static const char digits[] = "0123456789ABCDEF";
	unsigned char c = (unsigned char)s[0];

	*used = 1;
	if (c == '%') {
		int e = escaped(s, n);

		if (e < 0)
			return "a path with a % that starts no escape";
		c = (unsigned char)e;
		*used = 3;
		if (is_unreserved(c)) {
			word_byte(b, c);
			return NULL;
		}
		if (!stays_encoded(c))
			return "a path with an encoded slash, backslash or NUL";
	} else if (c == '/' || is_plain(c)) {
		word_byte(b, c);
		return NULL;
	} else if (c <= 0x20 || c == 0x7f || c == '\\') {
		return "a path with a backslash, a space or a control character";
	}
	word_byte(b, '%');
	word_byte(b, (unsigned char)digits[c >> 4]);
	word_byte(b, (unsigned char)digits[c & 15]);
	return NULL;
}

/* Without ;parameters, which some servers take off before they look at the path. */
static size_t without_parameters(const char *s, size_t n)
{
	size_t i = 0;

	while (i < n && s[i] != ';' && !(n - i >= 3 && memcmp(s + i, "%3B", 3) == 0))
		i++;
	return i;
}

static const char *check_segments(const char *s, size_t n)
{
	size_t start = 1;

	for (size_t i = 1; i <= n; i++) {
		size_t name;

		if (i < n && s[i] != '/')
			continue;
		name = without_parameters(s + start, i - start);
		if (name == 0 && (i < n || i > start))
			return "a path with an empty segment";
		if (is_dots(s + start, name))
			return "a path with a dot segment";
		start = i + 1;
	}
	return NULL;
}

static const char *put_path(struct word_builder *b, const char *s, size_t n)
{
	const size_t from = b->n;
	const char *why = NULL;
	size_t i = 0, used;

	if (n == 0 || s[0] != '/')
		return "a path that does not start with a slash";
	for (; i < n && s[i] != '?' && s[i] != '#'; i += used) {
		why = put_byte(b, s + i, n - i, &used);
		if (why)
			return why;
	}
	why = check_segments((const char *)b->p + from, b->n - from);
	word_byte(b, 0);
	return why;
}

int http_word(struct arena *a, const struct http_request *r, struct word *out, const char **why)
{
	struct word_builder b;

	*why = NULL;
	if (!method_ok(r->method, r->method_len))
		*why = "a method that is not upper-case letters";
	else if (r->port == 0)
		*why = "port 0";
	else if (r->target_len > HTTP_TARGET_MAX)
		*why = "a path of more than 8192 bytes";
	if (*why || word_begin(a, &b, HTTP_METHOD_MAX + NET_WORD_MAX + 3 * r->target_len + 8))
		return -1;
	word_field(&b, r->method, r->method_len);
	word_byte(&b, r->tls ? 's' : 'p');
	if (net_host_word(&b, r->host, r->host_len)) {
		*why = "a host that is no name and no address in its usual form";
		return -1;
	}
	word_byte(&b, r->port >> 8);
	word_byte(&b, r->port & 0xff);
	*why = put_path(&b, r->target, r->target_len);
	*out = (struct word){b.p, b.n};
	return *why ? -1 : 0;
}

/* The rest of the first word behind what stands before the path. */
static size_t path_offset(const struct word *w)
{
	size_t at = strnlen((const char *)w->p, w->n) + 2; /* the method and the scheme */

	if (at >= w->n)
		return w->n;
	at += w->p[at] == '4'   ? 5
	      : w->p[at] == '6' ? 17
				: strnlen((const char *)w->p + at, w->n - at) + 1;
	return at + 2 < w->n ? at + 2 : w->n;
}

static void put_loose_path(struct word_builder *b, const char *s, size_t n)
{
	size_t i = 0;

	while (i < n) {
		int c = s[i] == '%' ? escaped(s + i, n - i) : -1;

		if (s[i] == ';' || c == ';') {
			while (i < n && s[i] != '/')
				i++;
		} else if (c > 0 && is_plain((unsigned char)c)) {
			word_byte(b, (unsigned)c);
			i += 3;
		} else {
			word_byte(b, (unsigned char)s[i++]);
		}
	}
}

static int http_alias(struct arena *a, const struct word *first, struct word *alias)
{
	size_t at = path_offset(first), scheme = strnlen((const char *)first->p, first->n) + 1;
	struct word_builder b;

	if (at == first->n)
		return 0;
	if (word_begin(a, &b, first->n))
		return -1;
	for (size_t i = 0; i < at; i++)
		word_byte(&b, first->p[i] - (i == scheme ? 0x20u : 0u));
	put_loose_path(&b, (const char *)first->p + at, first->n - 1 - at);
	word_byte(&b, 0);
	*alias = (struct word){b.p, b.n};
	return b.n != first->n;
}

static int split_port(const char *s, size_t n, uint16_t *out)
{
	uint32_t port = 0;

	if (n == 0 || n > 5 || s[0] == '0')
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		port = port * 10 + (uint32_t)(s[i] - '0');
	}
	*out = (uint16_t)port;
	return port <= UINT16_MAX ? 0 : -1;
}

/* https://HOST[:PORT]/PATH, without patterns. */
static int split_url(
	const char *s, size_t n, size_t at, struct http_request *r, struct pattern_fault *f)
{
	const char *slash, *colon;
	size_t i = at, end;
	char scheme = 0;

	if (read_scheme(s, n, &i, &scheme, f))
		return -1;
	r->tls = scheme == 's';
	slash = memchr(s + i, '/', n - i);
	end = slash ? (size_t)(slash - s) : n;
	r->host = s + i;
	colon = memchr(s + i, i < n && s[i] == '[' ? ']' : ':', end - i);
	if (colon && *colon == ']')
		colon = colon + 1 < s + end && colon[1] == ':' ? colon + 1 : NULL;
	r->host_len = colon ? (size_t)(colon - r->host) : end - i;
	r->port = r->tls ? 443 : 80;
	if (colon && split_port(colon + 1, (size_t)(s + end - colon) - 1, &r->port))
		return pattern_bad(f, (size_t)(colon - s), (size_t)(s + end - colon),
			"no port. Write a number from 1 to 65535");
	if (r->host_len > 2 && r->host[0] == '[' && r->host[r->host_len - 1] == ']') {
		r->host++;
		r->host_len -= 2;
	} else if (memchr(r->host, ':', r->host_len)) {
		return pattern_bad(
			f, i, end - i, "an IPv6 address without brackets. Write https://[::1]/");
	}
	r->target = slash ? slash : "/";
	r->target_len = slash ? n - end : 1;
	return 0;
}

static int http_read(struct arena *a, const char *text, size_t n, const struct shape *shape,
	struct word *word, struct pattern_fault *f)
{
	const char *blank = memchr(text, ' ', n), *why;
	struct http_request r = {.method = text};

	(void)shape;
	if (!blank || blank + 1 == text + n)
		return pattern_bad(f, 0, n,
			"a request without its method and URL. Write GET https://HOST/PATH");
	r.method_len = (size_t)(blank - text);
	if (split_url(text, n, r.method_len + 1, &r, f))
		return -1;
	if (http_word(a, &r, word, &why) == 0)
		return 0;
	if (!why)
		return pattern_no_memory(f);
	return pattern_bad(f, 0, n,
		"%s: no rule is asked about it, it is always denied. Write "
		"another one",
		why);
}

static int http_show(const struct word *w, const struct shape *shape, char *out, size_t cap)
{
	const char *p = (const char *)w->p;
	size_t method = strnlen(p, w->n), used, n;
	struct word rest;
	unsigned port;
	int tls;

	(void)shape;
	if (method + 2 >= w->n || w->p[w->n - 1] != 0)
		return -1;
	tls = p[method + 1] == 's';
	if (!tls && p[method + 1] != 'p')
		return -1;
	n = (size_t)snprintf(out, cap, "%s %s://", p, tls ? "https" : "http");
	if (n >= cap)
		return -1;
	rest = (struct word){w->p + method + 2, w->n - method - 2};
	if (net_host_show(&rest, &used, out + n, cap - n) || used + 3 > rest.n)
		return -1;
	n += strlen(out + n);
	port = (unsigned)rest.p[used] << 8 | rest.p[used + 1];
	if (port != (tls ? 443 : 80))
		n += (size_t)snprintf(out + n, cap - n, ":%u", port);
	if (n >= cap)
		return -1;
	return snprintf(out + n, cap - n, "%s", (const char *)rest.p + used + 2) < (int)(cap - n)
		       ? 0
		       : -1;
}

const struct kind kind_http = {.id = ACTION_HTTP,
	.name = "http",
	.section = "http",
	.mechanism =
		"nothing yet: this version has no gate for http rules, and runs nothing with them",
	.key = "url",
	.hint = "`GET https://api.example.com/v1/**`",
	.parse = http_parse,
	.language = http_language,
	.canonical = http_canonical,
	.read = http_read,
	.alias = http_alias,
	.show = http_show};
