/* Parsing of launch requests; see runreq.h. */
#include "agentd/broker/runreq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/plan.h"

struct parser {
	struct runreq *r;
	struct error *e;
	int own, has_host;
};

static int bad(struct parser *p, const char *what)
{
	return error_set(p->e, 0, "the request has a bad %s", what);
}

static int add(struct runreq_list *l, struct span v, size_t max)
{
	if (l->n >= max)
		return -1;
	if ((l->n & (l->n - 1)) == 0) { /* grow at 0, 1, 2, 4, … */
		struct span *p = realloc(l->v, (l->n ? l->n * 2 : 1) * sizeof *p);

		if (!p)
			return -1;
		l->v = p;
	}
	l->v[l->n++] = v;
	return 0;
}

/* A value that may be there once, without a NUL inside. */
static int once(struct parser *p, const char **to, struct span v, const char *what)
{
	if (*to)
		return error_set(p->e, 0, "the request has %s twice", what);
	if (memchr(v.p, 0, v.n))
		return bad(p, what);
	*to = v.p;
	return 0;
}

static int take_path(struct parser *p, const char **to, struct span v, const char *what)
{
	return plan_path_ok(v.p, v.n, 0) ? once(p, to, v, what) : bad(p, what);
}

static int take_text(
	struct parser *p, struct runreq_list *l, struct span v, size_t max, const char *what)
{
	if (memchr(v.p, 0, v.n))
		return bad(p, what);
	return add(l, v, max) < 0 ? error_set(p->e, E2BIG, "the request has too many %ss", what)
				  : 0;
}

static int take_terminal(struct parser *p, struct span v)
{
	uint16_t size[2];

	if (v.n != sizeof size || p->r->terminal)
		return bad(p, "terminal size");
	memcpy(size, v.p, sizeof size);
	p->r->terminal = 1;
	p->r->rows = size[0] ? size[0] : 24;
	p->r->cols = size[1] ? size[1] : 80;
	return 0;
}

static int origin_of(const struct parser *p, unsigned char o, enum policy_origin *out)
{
	switch (o) {
	case DOC_USER:
		*out = POLICY_USER;
		return 0;
	case DOC_REPO:
		*out = POLICY_REPO;
		return 0;
	case DOC_CLI:
		*out = POLICY_CLI;
		return 0;
	case DOC_EXTENDED: /* is nothing unless a layer names it, and its digest */
		*out = POLICY_EXTENDED;
		return 0;
	case DOC_ADMIN:
		*out = POLICY_ADMIN;
		return p->own ? 0 : -1;
	default:
		return -1;
	}
}

static int take_doc(struct parser *p, struct span v)
{
	struct runreq *r = p->r;
	struct runreq_doc *d = &r->docs[r->ndocs];
	const char *nul = v.n > 1 ? memchr(v.p + 1, 0, v.n - 1) : NULL;

	if (r->ndocs >= RUNREQ_LIST_MAX)
		return error_set(p->e, E2BIG, "the request has too many policy documents");
	if (!nul || !plan_path_ok(v.p + 1, (size_t)(nul - v.p) - 1, 0) ||
		origin_of(p, (unsigned char)v.p[0], &d->origin) < 0)
		return bad(p, "policy document (an absolute path is needed)");
	d->path = v.p + 1;
	d->text.p = nul + 1;
	d->text.n = v.n - (size_t)(d->text.p - v.p);
	if (d->text.n > POLICY_DOC_MAX)
		return error_set(p->e, EFBIG, "policy document %s", d->path);
	r->ndocs++;
	return 0;
}

/* host is what the broker's own kernel says, so the client's word for it is not kept. */
static int take_fact(struct parser *p, struct span v)
{
	struct runreq *r = p->r;
	size_t n = v.n;

	if (memchr(v.p, 0, n) || n > 512)
		return bad(p, "fact");
	if (n > 7 && memcmp(v.p, "branch=", 7) == 0 && !r->branch)
		r->branch = v.p + 7;
	else if (r->ci < 0 && n == 7 && memcmp(v.p, "ci=true", 7) == 0)
		r->ci = 1;
	else if (r->ci < 0 && n == 8 && memcmp(v.p, "ci=false", 8) == 0)
		r->ci = 0;
	else if (n > 5 && memcmp(v.p, "host=", 5) == 0 && !p->has_host)
		p->has_host = 1;
	else
		return bad(p, "fact (known: host, ci=true|false, branch; each once)");
	return 0;
}

static int take(struct parser *p, enum request_tag tag, struct span v)
{
	struct runreq *r = p->r;

	switch (tag) {
	case REQ_NAME:
		return once(p, &r->name, v, "name");
	case REQ_AGENT:
		return once(p, &r->agent, v, "agent kind");
	case REQ_WORKSPACE:
		return take_path(p, &r->workspace, v, "workspace path");
	case REQ_CWD:
		return take_path(p, &r->cwd, v, "working directory");
	case REQ_HOME:
		return take_path(p, &r->home, v, "home directory");
	case REQ_USER:
		return once(p, &r->user, v, "user name");
	case REQ_ARG:
		return take_text(p, &r->args, v, PLAN_ARGS_MAX, "argument");
	case REQ_ENV:
		return take_text(p, &r->envs, v, RUNREQ_ENVS_MAX, "environment entry");
	case REQ_TOOLCHAIN:
		return plan_path_ok(v.p, v.n, 0)
			       ? take_text(p, &r->toolchains, v, RUNREQ_LIST_MAX, "toolchain")
			       : bad(p, "toolchain path");
	case REQ_PROTECT:
		return plan_path_ok(v.p, v.n, 1)
			       ? take_text(p, &r->protects, v, RUNREQ_LIST_MAX, "protected path")
			       : bad(p, "protected path (relative to the workspace)");
	case REQ_DOC:
		return take_doc(p, v);
	case REQ_FACT:
		return take_fact(p, v);
	case REQ_TERMINAL:
		return take_terminal(p, v);
	case REQ_DETACHED:
		if (v.n || r->detached)
			return bad(p, "detached flag");
		r->detached = 1;
		return 0;
	case REQ_TAG_END:
		break;
	}
	return bad(p, "tag");
}

/* Each value ends where the next entry's header begins, and the headers are not needed any more:
 * their first byte becomes the NUL. */
static void terminate_values(struct runreq *r, const struct runreq_list *all)
{
	for (size_t i = 0; i < all->n; i++)
		r->bytes[(size_t)(all->v[i].p - r->bytes) + all->v[i].n] = 0;
}

static int take_all(struct parser *p, size_t n)
{
	struct runreq_list all = {0};
	struct runreq *r = p->r;
	enum request_tag tag;
	struct span v;
	size_t pos = 0;
	int more, failed = 0;

	while (!failed && (more = request_next(r->bytes, n, &pos, &tag, &v)) != 0) {
		if (more < 0)
			failed = bad(p, "layout");
		else if (add(&all, v, SIZE_MAX) < 0)
			failed = error_set(p->e, ENOMEM, "cannot read the request");
		else
			failed = take(p, tag, v);
	}
	terminate_values(r, &all); /* a refusal quotes them too */
	free(all.v);
	return failed;
}

static int check(struct parser *p)
{
	const struct runreq *r = p->r;

	if (!r->workspace || strlen(r->workspace) < 2)
		return bad(p, "workspace (a directory other than / is needed)");
	if (r->args.n < 1 || r->args.v[0].n < 1)
		return error_set(p->e, 0, "the request has no command to run");
	if (r->name && !name_valid(r->name))
		return error_set(p->e, 0,
			"a sandbox name is a lower-case letter or digit, then up to 39 of "
			"a-z 0-9 . _ -");
	if (r->agent && !name_valid(r->agent))
		return error_set(p->e, 0,
			"an agent kind is a lower-case letter or digit, then up to 39 of "
			"a-z 0-9 . _ -");
	return 0;
}

int runreq_parse(struct runreq *r, const void *req, size_t n, int own, struct error *e)
{
	struct parser p = {.r = r, .e = e, .own = own};

	memset(r, 0, sizeof *r);
	r->ci = -1;
	if (n > REQUEST_MAX || !(r->bytes = malloc(n + 1)))
		return error_set(e, n > REQUEST_MAX ? E2BIG : ENOMEM, "cannot read the request");
	memcpy(r->bytes, req, n);
	r->bytes[n] = 0;
	return take_all(&p, n) < 0 ? -1 : check(&p);
}

void runreq_free(struct runreq *r)
{
	free(r->args.v);
	free(r->envs.v);
	free(r->toolchains.v);
	free(r->protects.v);
	free(r->bytes);
	memset(r, 0, sizeof *r);
}
