/* Network connections: a host name or an address, and a port.
 *
 *   'h' HOST NUL PORT(2)      a name: lower case, A-labels, no dot at the end
 *   '4' ADDRESS(4) PORT(2)    an IPv4 literal (also one that was written as IPv6)
 *   '6' ADDRESS(16) PORT(2)   an IPv6 literal
 *
 * A rule for names never matches an address, and the other way round. */
#include "policy/kinds/net.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"
#include "policy/text.h"

static const char dotted[] = "0123456789.";

/* ---- rules ---- */

static int bad_cidr(size_t n, size_t at, struct pattern_fault *f)
{
	return pattern_bad(f, at, n,
		"no network. Write ADDRESS/BITS with zero bits behind BITS, as in 10.0.0.0/8 or "
		"[fe80::/10]");
}

/* Folds ::ffff:a.b.c.d to IPv4: one address, one spelling. */
static int fold(unsigned char addr[16], unsigned *bits)
{
	static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (*bits < 96 || memcmp(addr, mapped, sizeof mapped) != 0)
		return 6;
	memmove(addr, addr + 12, 4);
	*bits -= 96;
	return 4;
}

static int bits_clear(const unsigned char *addr, unsigned bits, unsigned total)
{
	for (unsigned i = bits; i < total; i++) {
		if (addr[i / 8] >> (7 - i % 8) & 1)
			return 0;
	}
	return 1;
}

static int read_cidr(
	const char *s, size_t n, size_t at, struct net_host *out, struct pattern_fault *f)
{
	char text[64], *slash, *end;
	unsigned long bits;
	int v6;

	if (n >= sizeof text)
		return bad_cidr(n, at, f);
	memcpy(text, s, n);
	text[n] = 0;
	slash = strchr(text, '/');
	if (!slash || slash[1] < '0' || slash[1] > '9' || (slash[1] == '0' && slash[2]))
		return bad_cidr(n, at, f);
	*slash = 0;
	bits = strtoul(slash + 1, &end, 10);
	v6 = strchr(text, ':') != NULL;
	if (*end || bits > (v6 ? 128u : 32u) ||
		inet_pton(v6 ? AF_INET6 : AF_INET, text, out->addr) != 1)
		return bad_cidr(n, at, f);
	out->bits = (unsigned)bits;
	if (!bits_clear(out->addr, out->bits, v6 ? 128 : 32))
		return pattern_bad(f, at, n,
			"an address with bits set behind its prefix. Clear them, or write a longer "
			"prefix (/%u for the one address)",
			v6 ? 128u : 32u);
	out->family = v6 ? fold(out->addr, &out->bits) : 4;
	return 0;
}

static int check_host_bytes(const char *s, size_t n, size_t at, struct pattern_fault *f)
{
	uint32_t cp;
	size_t i;

	if (n && strspn(s, dotted) >= n)
		return pattern_bad(f, at, n,
			"an address where a name must stand. Write it as a network: %.*s/32",
			(int)(n < 40 ? n : 40), s);
	for (i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c >= 'A' && c <= 'Z')
			return pattern_bad(f, at + i, 1,
				"an upper-case letter in a host, which is never asked for like "
				"this. Write it in lower case");
		if (c >= 0x80)
			return pattern_bad(f, at + i, utf8_decode(s + i, n - i, &cp),
				"a character that is not ASCII in a host. Write the name as "
				"A-labels (xn--…)");
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && !strchr("-_.*?[]{},!", c))
			return pattern_bad(f, at + i, 1,
				"a character that no host name has. Write letters, digits, - and "
				"dots");
	}
	if (n && s[n - 1] == '.')
		return pattern_bad(f, at + n - 1, 1, "a dot at the end. Leave it out");
	if (n && (s[0] == '.' || memmem(s, n, "..", 2)))
		return pattern_bad(f, at, n, "an empty label. Write *. for any one label");
	return 0;
}

int net_host_parse(struct arena *a, const char *s, size_t n, size_t at, struct net_host *out,
	struct pattern_fault *f)
{
	if (n == 0)
		return pattern_bad(f, at, 0, "a rule without a host. Write HOST:PORT");
	if (s[0] == '[' && memchr(s, ':', n)) {
		if (s[n - 1] != ']')
			return pattern_bad(
				f, at, n, "a bracket that is not closed. Write [fe80::/10]");
		return read_cidr(s + 1, n - 2, at + 1, out, f);
	}
	if (memchr(s, '/', n))
		return read_cidr(s, n, at, out, f);
	if (memchr(s, ':', n))
		return pattern_bad(
			f, at, n, "an IPv6 address without brackets. Write [fe80::/10]:443");
	if (check_host_bytes(s, n, at, f))
		return -1;
	out->family = 'h';
	if (pattern_compile(a, PATTERN_HOST, s, n, &out->name, f)) {
		f->at += at;
		return -1;
	}
	return 0;
}

static int read_port(const char *s, size_t n, size_t *i, uint32_t *out)
{
	size_t start = *i;

	*out = 0;
	while (*i < n && s[*i] >= '0' && s[*i] <= '9' && *i - start < 6)
		*out = *out * 10 + (uint32_t)(s[(*i)++] - '0');
	return *i > start && (s[start] != '0' || *i - start == 1) && *out <= UINT16_MAX ? 0 : -1;
}

int net_ports_parse(
	const char *s, size_t n, size_t at, struct net_ports *out, struct pattern_fault *f)
{
	size_t i = 0;

	*out = (struct net_ports){0};
	if (n == 1 && s[0] == '*') {
		out->range[out->count++] = (struct net_range){1, UINT16_MAX};
		return 0;
	}
	for (;;) {
		struct net_range *r = &out->range[out->count];

		if (out->count == NET_PORTS_MAX)
			return pattern_bad(f, at, n, "more than 16 ports. Write a range");
		if (read_port(s, n, &i, &r->lo))
			break;
		r->hi = r->lo;
		if (i < n && s[i] == '-') {
			i++;
			if (read_port(s, n, &i, &r->hi))
				break;
		}
		if (r->lo == 0 || r->hi < r->lo)
			break;
		out->count++;
		if (i == n)
			return 0;
		if (s[i++] != ',')
			break;
	}
	return pattern_bad(f, at, n,
		"no port. Write a number from 1 to 65535, a list 80,443, a range 1024-65535, or * "
		"for any");
}

/* The colon before the port: the last one outside of brackets. */
static const char *port_colon(const char *s, size_t n)
{
	const char *close = s[0] == '[' ? memchr(s, ']', n) : NULL;
	size_t from = close && memchr(s, ':', (size_t)(close - s)) ? (size_t)(close - s) : 0;

	return memrchr(s + from, ':', n - from);
}

static int net_parse(
	struct arena *a, const char *text, size_t n, const void **out, struct pattern_fault *f)
{
	struct net_rule *r = arena_alloc(a, sizeof *r);
	const char *colon;
	size_t host;

	*out = r;
	if (!r)
		return pattern_no_memory(f);
	if (n == 0)
		return pattern_bad(f, 0, 0, "an empty rule. Write HOST:PORT");
	if (memmem(text, n, "://", 3))
		return pattern_bad(f, 0, n,
			"a URL, where a host and a port must stand. Write HOST:PORT; rules about "
			"URLs stand in `http`");
	colon = port_colon(text, n);
	if (colon && text[0] != '[' && memchr(text, ':', n) != colon)
		return pattern_bad(
			f, 0, n, "an IPv6 address without brackets. Write it as [fe80::/10]:443");
	if (!colon)
		return pattern_bad(f, 0, n,
			"a host without its port. Write %.*s:443, or :* for any port",
			(int)(n < 60 ? n : 60), text);
	host = (size_t)(colon - text);
	if (net_host_parse(a, text, host, 0, &r->host, f))
		return -1;
	return net_ports_parse(colon + 1, n - host - 1, host + 1, &r->ports, f);
}

/* ---- languages ---- */

static const struct re *net_prefix(struct arena *a, const struct net_host *h)
{
	const struct re *r = re_text(a, h->family == 4 ? "4" : "6", 1);
	unsigned total = h->family == 4 ? 4 : 16;

	for (unsigned i = 0; i < total; i++) {
		unsigned fixed = h->bits > 8 * i ? h->bits - 8 * i : 0;
		unsigned free = fixed >= 8 ? 0 : 0xffu >> fixed;

		r = re_cat(a, r, re_range(a, h->addr[i], h->addr[i] | free));
	}
	return r;
}

const struct re *net_host_re(struct arena *a, const struct net_host *h)
{
	if (h->family != 'h')
		return net_prefix(a, h);
	return re_cat(a, re_text(a, "h", 1), re_cat(a, pattern_re(a, &h->name), re_end(a)));
}

const struct re *net_ports_re(struct arena *a, const struct net_ports *p)
{
	const struct re *r = re_none(a);

	for (size_t i = 0; i < p->count; i++)
		r = re_alt(a, r, re_number(a, 2, p->range[i].lo, p->range[i].hi));
	return r;
}

static const struct re *net_language(
	struct arena *a, const void *rule, enum side side, const struct shape *shape)
{
	const struct net_rule *r = rule;

	(void)side;
	(void)shape;
	return re_cat(a, net_host_re(a, &r->host), net_ports_re(a, &r->ports));
}

/* Names as RFC 1123 and what is in use beside it (underscores); not all digits at the end, which
 * would be an address. Lengths are the canonicaliser's matter. */
const struct re *net_canonical_host(struct arena *a)
{
	struct byteset inner = {{0}}, outer, alpha = {{0}};
	const struct re *label, *last, *name;
	struct net_host mapped = {.family = 6, .bits = 0};

	byteset_range(&alpha, 'a', 'z');
	byteset_add(&alpha, '_');
	outer = alpha;
	byteset_range(&outer, '0', '9');
	inner = outer;
	byteset_add(&inner, '-');
	label = re_cat(a, re_set(a, &outer),
		re_opt(a, re_cat(a, re_star(a, re_set(a, &inner)), re_set(a, &outer))));
	/* The last label begins with a letter. */
	last = re_cat(a, re_set(a, &alpha),
		re_opt(a, re_cat(a, re_star(a, re_set(a, &inner)), re_set(a, &outer))));
	name = re_cat(a, re_star(a, re_cat(a, label, re_text(a, ".", 1))), last);
	name = re_cat(a, re_text(a, "h", 1), re_cat(a, name, re_end(a)));
	name = re_alt(a, name, re_cat(a, re_text(a, "4", 1), re_number(a, 4, 0, UINT32_MAX)));
	return re_alt(a, name, net_prefix(a, &mapped));
}

static const struct re *net_canonical(struct arena *a, int primary, const struct shape *shape)
{
	(void)primary;
	(void)shape;
	return re_cat(a, net_canonical_host(a), re_number(a, 2, 1, UINT16_MAX));
}

/* ---- actions ---- */

static int label_ok(const char *s, size_t n)
{
	if (n == 0 || n > 63 || s[0] == '-' || s[n - 1] == '-')
		return 0;
	for (size_t i = 0; i < n; i++) {
		char c = s[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
			return 0;
	}
	return 1;
}

/* The last label begins with a letter: 127.1 and 0x7f.1 are spellings of addresses, not names. */
static int name_ok(const char *s, size_t n)
{
	size_t start = 0;

	if (n == 0 || n > 253)
		return 0;
	for (size_t i = 0; i <= n; i++) {
		if (i < n && s[i] != '.')
			continue;
		if (!label_ok(s + start, i - start))
			return 0;
		if (i == n && s[start] >= '0' && s[start] <= '9')
			return 0;
		start = i + 1;
	}
	return 1;
}

int net_host_word(struct word_builder *b, const char *host, size_t n)
{
	unsigned char addr[16];
	char text[254];
	unsigned bits = 128;

	if (n > 0 && n < sizeof text && host[n - 1] == '.')
		n--; /* the root's dot */
	if (n == 0 || n >= sizeof text)
		return -1;
	for (size_t i = 0; i < n; i++)
		text[i] = host[i] >= 'A' && host[i] <= 'Z' ? (char)(host[i] + 32) : host[i];
	text[n] = 0;
	if (strlen(text) != n)
		return -1;
	if (inet_pton(AF_INET, text, addr) == 1) {
		word_byte(b, '4');
		for (size_t i = 0; i < 4; i++)
			word_byte(b, addr[i]);
		return 0;
	}
	if (inet_pton(AF_INET6, text, addr) == 1) {
		int family = fold(addr, &bits);

		word_byte(b, family == 4 ? '4' : '6');
		for (size_t i = 0; i < (family == 4 ? 4u : 16u); i++)
			word_byte(b, addr[i]);
		return 0;
	}
	if (!name_ok(text, n))
		return -1;
	word_byte(b, 'h');
	word_field(b, text, n);
	return 0;
}

static int net_read(struct arena *a, const char *text, size_t n, const struct shape *shape,
	struct word *word, struct pattern_fault *f)
{
	const char *colon = n ? port_colon(text, n) : NULL;
	const char *host = text;
	size_t len, i = 0;
	struct word_builder b;
	uint32_t port;

	(void)shape;
	if (!colon || read_port(colon + 1, n - (size_t)(colon + 1 - text), &i, &port) ||
		colon + 1 + i != text + n || port == 0)
		return pattern_bad(f, 0, n,
			"a connection without its port. Write HOST:PORT, as in example.com:443");
	len = (size_t)(colon - text);
	if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
		host++;
		len -= 2;
	} else if (memchr(host, ':', len)) {
		return pattern_bad(f, 0, n, "an IPv6 address without brackets. Write [::1]:443");
	}
	if (word_begin(a, &b, n + 20))
		return pattern_no_memory(f);
	if (net_host_word(&b, host, len))
		return pattern_bad(f, 0, len,
			"no host name or address as they are asked for. Write lower-case labels, "
			"or "
			"an address in its usual form");
	word_byte(&b, port >> 8);
	word_byte(&b, port & 0xff);
	*word = (struct word){b.p, b.n};
	return 0;
}

int net_host_show(const struct word *w, size_t *used, char *out, size_t cap)
{
	char text[INET6_ADDRSTRLEN];
	size_t n = w->n ? strnlen((const char *)w->p + 1, w->n - 1) : 0;

	if (w->n == 0)
		return -1;
	if (w->p[0] == 'h' && n + 2 <= w->n && n < cap) {
		snprintf(out, cap, "%s", (const char *)w->p + 1);
		*used = n + 2;
		return 0;
	}
	if (w->p[0] == '4' && w->n >= 5 && inet_ntop(AF_INET, w->p + 1, text, sizeof text)) {
		*used = 5;
		return snprintf(out, cap, "%s", text) < (int)cap ? 0 : -1;
	}
	if (w->p[0] == '6' && w->n >= 17 && inet_ntop(AF_INET6, w->p + 1, text, sizeof text)) {
		*used = 17;
		return snprintf(out, cap, "[%s]", text) < (int)cap ? 0 : -1;
	}
	return -1;
}

static int net_show(const struct word *w, const struct shape *shape, char *out, size_t cap)
{
	unsigned port;
	size_t used, n;

	(void)shape;
	if (net_host_show(w, &used, out, cap) || w->n != used + 2)
		return -1;
	port = (unsigned)w->p[used] << 8 | w->p[used + 1];
	n = strlen(out);
	return snprintf(out + n, cap - n, ":%u", port) < (int)(cap - n) ? 0 : -1;
}

const struct kind kind_net = {.id = ACTION_NET,
	.name = "connect",
	.section = "net",
	.mechanism =
		"nothing yet: this version has no gate for net rules, and runs nothing with them",
	.key = "host",
	.hint = "`api.example.com:443` or `10.0.0.0/8:*`",
	.parse = net_parse,
	.language = net_language,
	.canonical = net_canonical,
	.read = net_read,
	.show = net_show};
