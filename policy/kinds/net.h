/* Hosts and ports, as the kinds net and http have them; see net.c. */
#ifndef POLICY_KINDS_NET_H
#define POLICY_KINDS_NET_H

#include "policy/kinds/kind.h"

#define NET_PORTS_MAX 16u
#define NET_WORD_MAX  264u /* bytes of a connection's word: a name of 253, or an address */

struct net_host {
	int family; /* 'h' a name, 4, 6 */
	struct pattern name;
	unsigned char addr[16];
	unsigned bits;
};

struct net_range {
	uint32_t lo, hi;
};

struct net_ports {
	size_t count;
	struct net_range range[NET_PORTS_MAX];
};

struct net_rule {
	struct net_host host;
	struct net_ports ports;
};

/* s[0..n) stands at `at` in the rule, for *f. 0 or -1. */
int net_host_parse(struct arena *a, const char *s, size_t n, size_t at, struct net_host *out,
	struct pattern_fault *f);
int net_ports_parse(
	const char *s, size_t n, size_t at, struct net_ports *out, struct pattern_fault *f);

const struct re *net_host_re(struct arena *a, const struct net_host *h);
const struct re *net_ports_re(struct arena *a, const struct net_ports *p);
const struct re *net_canonical_host(struct arena *a);

/* Appends a host (a name or an address in its usual form, no brackets). -1: it is neither. */
int net_host_word(struct word_builder *b, const char *host, size_t n);
/* The other way round; *used: bytes of the word. 0 or -1. */
int net_host_show(const struct word *w, size_t *used, char *out, size_t cap);

#endif
