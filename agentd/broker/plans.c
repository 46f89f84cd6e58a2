/* Launch plans; see plans.h. The broker says what the sandbox is to be; the supervisor opens every path
 * with the user's rights and refuses what that user could not read. */
#include "agentd/broker/plans.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agentd/broker/adapter.h"
#include "agentd/broker/env.h"
#include "agentd/broker/text.h"
#include "common/plan.h"

#define ROOT_INSIDE 1000u /* what root's agent has as uid and gid inside: never 0 */

/* ---- identity ---- */

static int login_ok(const char *s)
{
	size_t n = s ? strlen(s) : 0;

	return n >= 1 && n <= 32 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") == n &&
	       s[0] != '-' && s[0] != '.';
}

static int is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == 0 || path[n] == '/');
}

void plans_identity(struct session *s, const struct runreq *r)
{
	int own = s->uid != 0 && login_ok(r->user) && strcmp(r->user, "root") != 0;

	snprintf(s->user, sizeof s->user, "%s", own ? r->user : "agent");
	if (s->uid != 0 && r->home && strlen(r->home) > 1)
		snprintf(s->home, sizeof s->home, "%s", r->home);
	else
		snprintf(s->home, sizeof s->home, "/home/%s", s->user);
	snprintf(s->agent, sizeof s->agent, "%s", r->agent ? r->agent : "command");
	snprintf(s->workspace, sizeof s->workspace, "%s", r->workspace);
	snprintf(s->cwd, sizeof s->cwd, "%s",
		r->cwd && is_below(r->cwd, r->workspace) ? r->cwd : r->workspace);
}

/* The last component of the workspace in the letters of a name; "agent" when nothing is left. */
static void slug(char *out, size_t cap, const char *path)
{
	const char *base = strrchr(path, '/') + 1;
	size_t n = 0;

	for (; *base && n + 1 < cap; base++) {
		char c = *base;

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			out[n++] = c;
		else if (n && out[n - 1] != '-')
			out[n++] = '-';
	}
	while (n && out[n - 1] == '-')
		n--;
	out[n] = 0;
	if (!n)
		snprintf(out, cap, "agent");
}

void plans_name(char name[NAME_CAP], const struct runreq *r, unsigned try)
{
	char base[21], kind[14] = "", count[6] = "";

	slug(base, sizeof base, r->workspace);
	if (r->agent && strcmp(r->agent, "command") != 0)
		snprintf(kind, sizeof kind, "-%.12s", r->agent);
	if (try > 1)
		snprintf(count, sizeof count, "-%u", try % 10000);
	snprintf(name, NAME_CAP, "%s%s%s", base, kind, count);
}

/* ---- fields ---- */

static struct plan_str put(struct plan_builder *b, const char *s)
{
	return plan_put(b, s, strlen(s));
}

/* Which private HOME: one for each (user, project, agent). */
static void put_home_key(struct plan_builder *b, const struct session *s)
{
	unsigned char h[crypto_hash_sha256_BYTES];
	char hex[sizeof h * 2 + 1], text[1200];
	int n = snprintf(
		text, sizeof text, "%" PRIu32 "%c%s%c%s", s->uid, 0, s->workspace, 0, s->agent);

	size_t len = n > 0 ? (size_t)n : 0;

	crypto_hash_sha256(h, (const unsigned char *)text, len);
	sodium_bin2hex(hex, sizeof hex, h, sizeof h);
	b->h.home_key = plan_put(b, hex, 32);
}

static void put_hostname(struct plan_builder *b, char host[64], const char *name)
{
	snprintf(host, 64, "%s", name);
	for (char *p = host; *p; p++) {
		if (*p == '.' || *p == '_')
			*p = '-';
	}
	b->h.hostname = put(b, host);
}

static void put_limits(struct plan_builder *b, const struct policy *p)
{
	static const struct {
		enum policy_limit_kind kind;
		uint32_t bit;
	} soft[] = {{POLICY_LIMIT_PROCESSES, PLAN_LIMIT_PIDS},
		{POLICY_LIMIT_MEMORY, PLAN_LIMIT_MEMORY}, {POLICY_LIMIT_CPU, PLAN_LIMIT_CPU}};
	struct policy_session ps;

	b->h.pids = (uint32_t)policy_limit(p, POLICY_LIMIT_PROCESSES).value;
	b->h.memory_bytes = policy_limit(p, POLICY_LIMIT_MEMORY).value;
	b->h.cpu_milli = (uint32_t)policy_limit(p, POLICY_LIMIT_CPU).value;
	b->h.open_files = (uint32_t)policy_limit(p, POLICY_LIMIT_OPEN_FILES).value;
	b->h.wall_s = (uint32_t)policy_limit(p, POLICY_LIMIT_WALL).value;
	for (size_t i = 0; i < sizeof soft / sizeof *soft; i++) {
		if (policy_limit(p, soft[i].kind).best_effort)
			b->h.best_effort |= soft[i].bit;
	}
	policy_session(p, &ps);
	b->h.on_lost_ms = ps.on_lost_after_s * 1000;
}

static void put_header(struct plan_builder *b, const struct session *s, const struct runreq *r,
	uint32_t gid, char host[64])
{
	b->h.uid = s->uid;
	b->h.gid = gid;
	b->h.inner_uid = s->uid ? s->uid : ROOT_INSIDE;
	b->h.inner_gid = gid ? gid : ROOT_INSIDE;
	b->h.rows = r->rows;
	b->h.cols = r->cols;
	if (r->terminal)
		b->h.flags |= PLAN_TERMINAL;
	if (r->detached)
		b->h.flags |= PLAN_DETACHED;
	if (policy_identity(s->policy) == POLICY_SAME_UID)
		b->h.flags |= PLAN_SAME_UID;
	b->h.name = put(b, s->name);
	b->h.agent = put(b, s->agent);
	b->h.session = put(b, s->id);
	b->h.user_name = put(b, s->user);
	b->h.home = put(b, s->home);
	b->h.workspace = put(b, s->workspace);
	b->h.cwd = put(b, s->cwd);
	b->h.policy_sha256 = put(b, policy_digest(s->policy));
	put_hostname(b, host, s->name);
	put_home_key(b, s);
	put_limits(b, s->policy);
}

/* ---- mounts ---- */

/* Where a policy's path is on the host: home:/ is the user's real home there. */
static void host_path(char *out, size_t cap, const struct policy_mount *m, const struct runreq *r)
{
	if (strncmp(m->name, "home:/", 6) == 0 && r->home)
		snprintf(out, cap, "%s/%s", r->home, m->name + 6);
	else
		snprintf(out, cap, "%s", m->path);
}

/* The root of the workspace and of HOME are the supervisor's own mounts: rw ws:/ says what is so
 * anyway, and hidden home:/ too, as the HOME inside is a private one. */
static int is_given(const struct policy_mount *m)
{
	return (strcmp(m->name, "ws:/") == 0 && m->mode == POLICY_MOUNT_RW) ||
	       (strcmp(m->name, "home:/") == 0 && m->mode == POLICY_MOUNT_HIDDEN) ||
	       strcmp(m->name, "tmp:/") == 0;
}

static void add_policy_mount(struct plan_builder *b, const struct policy_mount *m,
	const struct runreq *r, const char *builtin)
{
	uint16_t optional = m->file && strcmp(m->file, builtin) == 0 ? PLAN_MOUNT_OPTIONAL : 0;
	char src[sizeof m->path];

	if (is_given(m))
		return;
	host_path(src, sizeof src, m, r);
	switch (m->mode) {
	case POLICY_MOUNT_RW:
		plan_add_mount(b, PLAN_BIND_RW, optional, src, strlen(src), m->path);
		break;
	case POLICY_MOUNT_RO:
		/* Inside the workspace it also must not come into being. */
		if (strncmp(m->name, "ws:/", 4) == 0 && m->name[4])
			plan_add_mount(b, PLAN_PROTECT, 0, m->name + 4, strlen(m->name + 4), "");
		else
			plan_add_mount(b, PLAN_BIND_RO, optional, src, strlen(src), m->path);
		break;
	case POLICY_MOUNT_HIDDEN:
		plan_add_mount(b, PLAN_HIDE, PLAN_MOUNT_OPTIONAL, "", 0, m->path);
		break;
	}
}

static int add_policy_mounts(
	struct plan_builder *b, const struct session *s, const struct runreq *r, struct error *e)
{
	struct action_places places = {
		.ws = s->workspace, .home = s->home, .tmp = "/tmp", .cwd = s->workspace};
	struct policy_mount *m = calloc(POLICY_MOUNTS_MAX, sizeof *m);
	int n;

	if (!m)
		return error_set(e, ENOMEM, "cannot read the policy's mounts");
	n = policy_mounts(s->policy, &places, m, POLICY_MOUNTS_MAX, e);
	if (n > (int)POLICY_MOUNTS_MAX)
		n = error_set(e, 0, "the policy has more than %u mounts", POLICY_MOUNTS_MAX);
	for (int i = 0; i < n; i++)
		add_policy_mount(b, &m[i], r, policy_builtin()->name);
	free(m);
	return n < 0 ? -1 : 0;
}

/* Directories that hold what must never be in a sandbox, whatever PATH says. */
static int holds_secrets(const char *path, const char *home)
{
	static const char *const secret[] = {".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker",
		".password-store", ".mozilla", ".config/gcloud", ".config/gh", ".config/agentd",
		".local/share/keyrings"};
	char full[1200];

	for (size_t i = 0; i < sizeof secret / sizeof *secret; i++) {
		snprintf(full, sizeof full, "%s/%s", home, secret[i]);
		if (is_below(path, full) || is_below(full, path))
			return 1;
	}
	return 0;
}

static int is_in_any(const char *path, const char *const *dirs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (is_below(path, dirs[i]))
			return 1;
	}
	return 0;
}

/* A home of two or more components: /var is no user's, /var/lib/ann may be. */
static int is_in_own_home(const char *path, const struct runreq *r)
{
	return r->home && strchr(r->home + 1, '/') && is_below(path, r->home);
}

/* What the user's PATH names in the real home, so that nvm, cargo and the like work. Left out: what the
 * system mounts give anyway, what other users and services have below /var and /tmp, the workspace, and
 * whatever holds the home or its secrets. */
static int toolchain_ok(const char *path, const struct session *s, const struct runreq *r)
{
	static const char *const system[] = {"/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc",
		"/proc", "/sys", "/dev", "/run", "/boot"};
	static const char *const others[] = {"/tmp", "/var"};

	if (is_in_any(path, system, sizeof system / sizeof *system))
		return 0;
	if (is_in_any(path, others, sizeof others / sizeof *others) && !is_in_own_home(path, r))
		return 0;
	if (is_below(path, s->workspace) || is_below(s->workspace, path) ||
		is_below(s->home, path) || strcmp(path, "/") == 0)
		return 0;
	return !r->home || (!is_below(r->home, path) && !holds_secrets(path, r->home));
}

static void add_toolchains(struct plan_builder *b, const struct session *s, const struct runreq *r)
{
	for (size_t i = 0; i < r->toolchains.n; i++) {
		const char *path = r->toolchains.v[i].p;

		if (toolchain_ok(path, s, r))
			plan_add_mount(
				b, PLAN_BIND_RO, PLAN_MOUNT_OPTIONAL, path, strlen(path), path);
	}
}

/* ---- files ---- */

static void add_data(struct plan_builder *b, struct text *t, const char *dst)
{
	if (t->failed)
		b->failed = ENOMEM;
	else
		plan_add_mount(b, PLAN_DATA, 0, t->p, t->n, dst);
	text_free(t);
}

/* ':' and line ends would change the meaning of a passwd line. */
static const char *field(const char *s)
{
	return s[strcspn(s, ":\n")] ? "/" : s;
}

static void add_files(struct plan_builder *b, const struct session *s, const char *host)
{
	struct text t = {0};

	text_addf(&t, "root:x:0:0:root:/:/usr/sbin/nologin\n%s:x:%u:%u:%s:", s->user,
		b->h.inner_uid, b->h.inner_gid, s->user);
	text_add(&t, field(s->home));
	text_add(&t, ":/bin/bash\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n");
	add_data(b, &t, "/etc/passwd");
	text_addf(&t, "root:x:0:\n%s:x:%u:\nnogroup:x:65534:\n", s->user, b->h.inner_gid);
	add_data(b, &t, "/etc/group");
	text_addf(&t, "%s\n", host);
	add_data(b, &t, "/etc/hostname");
	text_addf(&t,
		"127.0.0.1 localhost\n127.0.1.1 %s\n::1 localhost ip6-localhost ip6-loopback\n",
		host);
	add_data(b, &t, "/etc/hosts");
}

static void add_agent(struct plan_builder *b, const struct session *s)
{
	const struct adapter *a = adapter_find(s->agent);
	struct policy_approvals pa;

	if (!a)
		return;
	policy_approvals(s->policy, &pa);
	a->install(b, pa.timeout_s);
}

/* ---- the whole ---- */

static int fill(struct plan_builder *b, const struct session *s, const struct runreq *r,
	uint32_t gid, struct error *e)
{
	struct env_facts f = {.home = s->home, .user = s->user, .name = s->name, .session = s->id};
	char host[64];

	put_header(b, s, r, gid, host);
	for (size_t i = 0; i < r->args.n; i++)
		plan_add_arg(b, r->args.v[i].p, r->args.v[i].n);
	env_build(b, s->policy, r, &f);
	add_files(b, s, host);
	add_agent(b, s);
	add_toolchains(b, s, r);
	if (add_policy_mounts(b, s, r, e) < 0)
		return -1;
	for (size_t i = 0; i < r->protects.n; i++)
		plan_add_mount(b, PLAN_PROTECT, 0, r->protects.v[i].p, r->protects.v[i].n, "");
	return 0;
}

void *plans_build(
	const struct session *s, const struct runreq *r, uint32_t gid, size_t *n, struct error *e)
{
	struct plan_builder *b = malloc(sizeof *b);
	void *plan = NULL;

	if (!b) {
		error_set(e, ENOMEM, "cannot build the launch plan");
		return NULL;
	}
	plan_begin(b);
	if (fill(b, s, r, gid, e) == 0) {
		plan = plan_finish(b, n, e);
		if (!plan && e->code == E2BIG)
			error_set(e, 0,
				"the launch needs more than %u mounts, %u environment entries or "
				"4 MiB: shorten PATH, env.pass or workspace.mounts",
				PLAN_MOUNTS_MAX, PLAN_ENVS_MAX);
	} else {
		free(b->heap);
	}
	free(b);
	return plan;
}
