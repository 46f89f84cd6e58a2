/* Shared policies; see policies.h. */
#include "agentd/broker/policies.h"

#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_MAX 16u /* kept though no session has them */

struct entry {
	unsigned char key[crypto_generichash_BYTES]; /* of everything policy_load looks at */
	struct policy *policy;
	unsigned users;
	struct entry *next; /* entries, most recently used first */
};

static struct entry *entries;

/* Lengths go in before bytes, so that no two lists of strings give the same input. */
static void add(crypto_generichash_state *h, const void *p, size_t n)
{
	uint64_t len = p ? n : UINT64_MAX;

	crypto_generichash_update(h, (const unsigned char *)&len, sizeof len);
	if (p && n)
		crypto_generichash_update(h, p, n);
}

static void add_str(crypto_generichash_state *h, const char *s)
{
	add(h, s, s ? strlen(s) : 0);
}

static void make_key(const struct policy_doc *docs, size_t n, const struct policy_facts *f,
	unsigned char key[crypto_generichash_BYTES])
{
	crypto_generichash_state h;

	crypto_generichash_init(&h, NULL, 0, crypto_generichash_BYTES);
	for (size_t i = 0; i < n; i++) {
		add(&h, &docs[i].origin, sizeof docs[i].origin);
		add_str(&h, docs[i].name); /* messages and records name the file */
		add(&h, docs[i].text, docs[i].len);
	}
	add_str(&h, f->agent);
	add_str(&h, f->user);
	add_str(&h, f->host);
	add_str(&h, f->branch);
	add(&h, &f->ci, sizeof f->ci);
	add(&h, &f->date, sizeof f->date);
	crypto_generichash_final(&h, key, crypto_generichash_BYTES);
}

static void free_idle(unsigned keep)
{
	for (struct entry **at = &entries; *at;) {
		struct entry *x = *at;

		if (x->users || keep) {
			keep -= !x->users;
			at = &x->next;
			continue;
		}
		*at = x->next;
		policy_free(x->policy);
		free(x);
	}
}

static struct entry *find(const unsigned char *key)
{
	for (struct entry **at = &entries; *at; at = &(*at)->next) {
		struct entry *x = *at;

		if (memcmp(x->key, key, sizeof x->key) != 0)
			continue;
		*at = x->next;
		x->next = entries;
		entries = x;
		return x;
	}
	return NULL;
}

struct policy *policies_get(const struct policy_doc *docs, size_t n,
	const struct policy_facts *facts, struct policy_error *e)
{
	unsigned char key[crypto_generichash_BYTES];
	struct entry *x;

	make_key(docs, n, facts, key);
	x = find(key);
	if (x) {
		x->users++;
		return x->policy;
	}
	x = calloc(1, sizeof *x);
	if (!x) {
		memset(e, 0, sizeof *e);
		e->failure = POLICY_NO_MEMORY;
		snprintf(e->text, sizeof e->text, "no memory for the policy");
		return NULL;
	}
	x->policy = policy_load(docs, n, facts, e);
	if (!x->policy) {
		free(x);
		return NULL;
	}
	memcpy(x->key, key, sizeof key);
	x->users = 1;
	x->next = entries;
	entries = x;
	return x->policy;
}

void policies_put(struct policy *p)
{
	for (struct entry *x = entries; p && x; x = x->next) {
		if (x->policy == p)
			x->users--;
	}
	free_idle(IDLE_MAX);
}

void policies_clear(void)
{
	free_idle(0);
}
