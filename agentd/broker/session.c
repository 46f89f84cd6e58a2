/* Session files; see session.h. Layout: struct head, then documents and facts, each {u32 kind, u32 n,
 * n bytes}. Only a broker writes one and only a broker reads it, so a surprise is an error. */
#include "agentd/broker/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "agentd/broker/policies.h"
#include "agentd/broker/text.h"
#include "common/io.h"

#define SESSION_MAGIC 0x32534553u /* "SES2" */

struct head {
	uint32_t magic, uid;
	int32_t ci;
	uint32_t
		date; /* the session keeps the rules it started with, also those that end meanwhile */
	uint32_t items;
	char name[NAME_CAP], id[SESSION_CAP], agent[NAME_CAP], user[33];
	char workspace[1025], home[1025], cwd[1025];
	char policy_sha256[65];
};

enum item { ITEM_AGENT = 1, ITEM_USER, ITEM_HOST, ITEM_BRANCH, ITEM_DOC };

struct item_head {
	uint32_t kind, n;
};

/* ---- writing ---- */

static void put_item(struct text *t, enum item kind, const char *p, size_t n)
{
	struct item_head h = {.kind = (uint32_t)kind, .n = (uint32_t)n};

	text_put(t, (const char *)&h, sizeof h);
	text_put(t, p, n);
}

static void put_fact(struct text *t, struct head *h, enum item kind, const char *s)
{
	if (!s)
		return;
	put_item(t, kind, s, strlen(s) + 1);
	h->items++;
}

/* A document: its origin, its name with the NUL, its text. */
static void put_doc(struct text *t, struct head *h, const struct policy_doc *d)
{
	struct text b = {0};
	char origin = (char)d->origin;

	text_put(&b, &origin, 1);
	text_put(&b, d->name, strlen(d->name) + 1);
	text_put(&b, d->text, d->len);
	if (b.failed)
		t->failed = 1;
	else
		put_item(t, ITEM_DOC, b.p, b.n);
	text_free(&b);
	h->items++;
}

static void fill_head(struct head *h, const struct session *s)
{
	memset(h, 0, sizeof *h);
	h->magic = SESSION_MAGIC;
	h->uid = s->uid;
	memcpy(h->name, s->name, sizeof h->name);
	memcpy(h->id, s->id, sizeof h->id);
	memcpy(h->agent, s->agent, sizeof h->agent);
	memcpy(h->user, s->user, sizeof h->user);
	memcpy(h->workspace, s->workspace, sizeof h->workspace);
	memcpy(h->home, s->home, sizeof h->home);
	memcpy(h->cwd, s->cwd, sizeof h->cwd);
	memcpy(h->policy_sha256, policy_digest(s->policy), sizeof h->policy_sha256);
}

int session_save(const struct session *s, const struct session_policy *sp, struct error *e)
{
	struct text t = {0};
	struct head h;
	int fd;

	fill_head(&h, s);
	h.ci = sp->facts.ci;
	h.date = sp->facts.date;
	text_put(&t, (const char *)&h, sizeof h);
	put_fact(&t, &h, ITEM_AGENT, sp->facts.agent);
	put_fact(&t, &h, ITEM_USER, sp->facts.user);
	put_fact(&t, &h, ITEM_HOST, sp->facts.host);
	put_fact(&t, &h, ITEM_BRANCH, sp->facts.branch);
	for (size_t i = 0; i < sp->n; i++)
		put_doc(&t, &h, &sp->docs[i]);
	if (t.failed || t.n > SESSION_FILE_MAX) {
		text_free(&t);
		return error_set(e, t.failed ? ENOMEM : E2BIG, "cannot keep the session");
	}
	memcpy(t.p, &h, sizeof h); /* now with the number of items */
	fd = io_sealed_memfd("agentd-session", t.p, t.n, e);
	text_free(&t);
	return fd;
}

/* ---- reading ---- */

struct reader {
	const char *p;
	size_t n;
	struct policy_doc docs[POLICY_LAYERS_MAX];
	size_t ndocs;
	struct policy_facts facts;
};

static int take_fact(const char **to, const char *p, size_t n)
{
	if (*to || n < 1 || p[n - 1] != 0)
		return -1;
	*to = p;
	return 0;
}

static int take_doc(struct reader *r, const char *p, size_t n)
{
	struct policy_doc *d = &r->docs[r->ndocs];
	const char *nul = n > 1 ? memchr(p + 1, 0, n - 1) : NULL;

	if (!nul || r->ndocs >= POLICY_LAYERS_MAX)
		return -1;
	d->origin = (enum policy_origin)p[0];
	d->name = p + 1;
	d->text = nul + 1;
	d->len = n - (size_t)(d->text - p);
	r->ndocs++;
	return 0;
}

static int take_item(struct reader *r)
{
	struct item_head h;
	const char *p;

	if (r->n < sizeof h)
		return -1;
	memcpy(&h, r->p, sizeof h);
	if (h.n > r->n - sizeof h)
		return -1;
	p = r->p + sizeof h;
	r->p += sizeof h + h.n;
	r->n -= sizeof h + h.n;
	switch (h.kind) {
	case ITEM_AGENT:
		return take_fact(&r->facts.agent, p, h.n);
	case ITEM_USER:
		return take_fact(&r->facts.user, p, h.n);
	case ITEM_HOST:
		return take_fact(&r->facts.host, p, h.n);
	case ITEM_BRANCH:
		return take_fact(&r->facts.branch, p, h.n);
	case ITEM_DOC:
		return take_doc(r, p, h.n);
	default:
		return -1;
	}
}

#define STR_OK(h, field) msg_str_ok((h)->field, sizeof(h)->field)

static int head_ok(const struct head *h)
{
	return h->magic == SESSION_MAGIC && STR_OK(h, name) && STR_OK(h, id) && STR_OK(h, agent) &&
	       STR_OK(h, user) && STR_OK(h, workspace) && STR_OK(h, home) && STR_OK(h, cwd) &&
	       STR_OK(h, policy_sha256) && h->items <= POLICY_LAYERS_MAX + 4;
}

static struct session *from_head(const struct head *h)
{
	struct session *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->uid = h->uid;
	memcpy(s->name, h->name, sizeof s->name);
	memcpy(s->id, h->id, sizeof s->id);
	memcpy(s->agent, h->agent, sizeof s->agent);
	memcpy(s->user, h->user, sizeof s->user);
	memcpy(s->workspace, h->workspace, sizeof s->workspace);
	memcpy(s->home, h->home, sizeof s->home);
	memcpy(s->cwd, h->cwd, sizeof s->cwd);
	return s;
}

static int load_policy(struct session *s, const struct head *h, struct reader *r, struct error *e)
{
	struct policy_error pe;

	for (uint32_t i = 0; i < h->items; i++) {
		if (take_item(r) < 0)
			return error_set(e, 0, "the session file is damaged");
	}
	if (r->n)
		return error_set(e, 0, "the session file is damaged");
	r->facts.ci = h->ci;
	r->facts.date = h->date;
	r->facts.session = 1;
	s->policy = policies_get(r->docs, r->ndocs, &r->facts, &pe);
	if (!s->policy)
		return error_set(e, 0, "%.700s", pe.text);
	if (strcmp(policy_digest(s->policy), h->policy_sha256) != 0)
		return error_set(e, 0,
			"the policy of the session has another meaning for this version of "
			"agentd; end the sandbox and start it again");
	return 0;
}

static struct session *read_file(const char *p, size_t n, struct error *e)
{
	struct reader *r;
	struct session *s;
	struct head h;

	if (n < sizeof h) {
		error_set(e, 0, "the session file is damaged");
		return NULL;
	}
	memcpy(&h, p, sizeof h);
	s = head_ok(&h) ? from_head(&h) : NULL;
	r = calloc(1, sizeof *r);
	if (!s || !r) {
		error_set(e, 0, "the session file is damaged, or there is no memory for it");
		free(s);
		free(r);
		return NULL;
	}
	r->p = p + sizeof h;
	r->n = n - sizeof h;
	if (load_policy(s, &h, r, e) < 0) {
		session_free(s);
		s = NULL;
	}
	free(r);
	return s;
}

struct session *session_load(int fd, struct error *e)
{
	size_t n;
	const void *p = io_map_sealed(fd, SESSION_FILE_MAX, &n, e);
	struct session *s;

	if (!p)
		return NULL;
	s = read_file(p, n, e);
	munmap((void *)(uintptr_t)p, n);
	return s;
}

void session_free(struct session *s)
{
	if (!s)
		return;
	policies_put(s->policy);
	free(s);
}
