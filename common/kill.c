/* What a kill is; see kill.h. Called by the killer and by `agentctl kill --direct`. Must never
 * allocate, wait, or touch a disk: while a cgroup is still alive nothing else matters. */
#include "common/kill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cgroup.h"
#include "common/cleanup.h"
#include "common/paths.h"

/* ---- targets ---- */

/* Decimal digits only, no sign, fits a uid that is not (uid_t)-1. */
static int parse_uid(const char *s, size_t n, uid_t *out)
{
	uint64_t v = 0;

	if (n < 1 || n > 10 || (n > 1 && *s == '0'))
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		v = v * 10 + (uint64_t)(s[i] - '0');
	}
	if (v >= UINT32_MAX)
		return -1;
	*out = (uid_t)v;
	return 0;
}

static int is_star(const char *s, size_t n)
{
	return n == 1 && *s == '*';
}

int kill_parse(struct kill_target *t, const char *text, size_t n)
{
	const char *slash = memchr(text, '/', n);
	const char *last = slash ? slash + 1 : text;
	size_t first_n = slash ? (size_t)(slash - text) : 0, last_n = n - (size_t)(last - text);

	memset(t, 0, sizeof *t);
	if (slash && is_star(text, first_n)) {
		t->scope = KILL_EVERYONE;
		return is_star(last, last_n) ? 0 : -1;
	}
	if (slash && parse_uid(text, first_n, &t->uid) < 0)
		return -1;
	t->has_uid = slash != NULL;
	if (is_star(last, last_n)) {
		t->scope = KILL_USER;
		return 0;
	}
	t->scope = KILL_ONE;
	if (last_n >= sizeof t->name || memchr(last, 0, last_n))
		return -1;
	memcpy(t->name, last, last_n);
	return name_valid(t->name) ? 0 : -1;
}

static int open_dir(int at, const char *name)
{
	return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int kill_open_user(int base, uid_t uid)
{
	char name[16];

	snprintf(name, sizeof name, "u%u", uid);
	return open_dir(base, name);
}

struct user_walk {
	kill_user_fn fn;
	void *ctx;
};

static int visit_user(void *ctx, const char *name, int fd)
{
	const struct user_walk *w = ctx;
	uid_t uid;

	if (*name != 'u' || parse_uid(name + 1, strlen(name + 1), &uid) < 0)
		return 0;
	return w->fn(w->ctx, uid, fd);
}

int kill_each_user(int base, kill_user_fn fn, void *ctx)
{
	struct user_walk w = {.fn = fn, .ctx = ctx};

	return cgroup_each_child(base, visit_user, &w);
}

struct owner_search {
	const char *name;
	uid_t prefer, found; /* prefer: whose sandbox wins over all others; (uid_t)-1 none */
	unsigned count;
};

static int look_for_owner(void *ctx, uid_t uid, int dirfd)
{
	struct owner_search *s = ctx;

	if (faccessat(dirfd, s->name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	s->found = uid;
	s->count++;
	if (uid != s->prefer)
		return 0;
	s->count = 1;
	return 1;
}

/* A bare name from someone who may kill anyone's: the one user that runs it. Root has usually no
 * agents of its own, so a name nobody runs is an error for root; a member of the group means its own. */
static int find_owner(struct kill_target *t, int base, uid_t peer, struct error *e)
{
	struct owner_search s = {.name = t->name, .prefer = peer ? peer : (uid_t)-1};

	if (base >= 0)
		kill_each_user(base, look_for_owner, &s);
	if (s.count > 1)
		return error_set(
			e, 0, "%u users run %s: say whose with uid/%s", s.count, t->name, t->name);
	if (s.count == 0 && peer == 0)
		return error_set(e, 0,
			"nobody runs %s: to latch a name that is not running say whose with uid/%s",
			t->name, t->name);
	t->uid = s.count ? s.found : peer;
	t->has_uid = 1;
	return 0;
}

static int has_run_here(int base, uid_t uid)
{
	cleanup_close int dir = base < 0 ? -1 : kill_open_user(base, uid);

	return base < 0 || dir >= 0 || errno != ENOENT;
}

int kill_resolve(struct kill_target *t, int base, uid_t peer, int admin, struct error *e)
{
	if (paths_is_agent_uid(peer))
		return error_set(e, 0, "an agent may not kill");
	if (!admin && (t->scope == KILL_EVERYONE || (t->has_uid && t->uid != peer)))
		return error_set(e, 0, "only root and members of group agentd may kill for others");
	/* A latch takes a slot of the table that all share: only for who has ever run something here. */
	if (!admin && !has_run_here(base, peer))
		return error_set(e, 0,
			"no agent of yours has run here since agentd started: nothing to kill");
	if (t->has_uid || t->scope == KILL_EVERYONE)
		return 0;
	if (admin && t->scope == KILL_ONE)
		return find_owner(t, base, peer, e);
	t->uid = peer;
	t->has_uid = 1;
	return 0;
}

/* ---- the kill ---- */

static int open_sandbox(int base, const struct latch_entry *e)
{
	cleanup_close int user = base < 0 ? -1 : kill_open_user(base, e->uid);

	return user < 0 ? -1 : open_dir(user, e->name);
}

static void note_sandbox(int dir, struct latch_entry *e)
{
	struct cgroup_tag tag;

	if (cgroup_tag_get(dir, &tag) < 0)
		return;
	e->sandbox = tag.sandbox;
	memcpy(e->identity, tag.identity, sizeof e->identity);
	e->flags |= LATCH_IDENTITY;
}

/* Why nothing gets through, whatever is being launched at this moment.
 *
 * A launch does, in this order: L1 make the cgroup, L2 put its first process into it, L3 look for a
 * latch and, when there is one, kill that process before it runs a single instruction of the agent.
 * A kill does: K1 cgroup.kill, K2 set the latch, K3 cgroup.kill again, looking the directory up anew:
 * a restart loop may have replaced it since K1.
 * latch_set ends, and latch_check begins, with a full fence, so L3 and K2 have an order:
 *  - K2 before L3: the launch sees the latch and ends itself.
 *  - L3 before K2: then L2, which came before L3, came before K3, so K3 finds the process there, and
 *    with it all that it has forked: the kernel kills a cgroup's members under the lock that a fork
 *    must take to become one, and a fork that has begun before is killed when it ends (kill_seq in
 *    kernel/cgroup/cgroup.c, cgroup_post_fork).
 * K1 is not needed for this. It is there because it is what the person asked for, first. Counting and
 * reading the tag come before it because the dead cannot be counted and the supervisor removes the
 * directory as soon as it is empty: 0.15 ms for 1,000 processes, where killing them takes 25. */
int kill_strike(int base, struct latch_table *latches, struct latch_entry *e, unsigned *slot)
{
	cleanup_close int before = open_sandbox(base, e);
	int tasks = before < 0 ? 0 : cgroup_count(before, KILL_COUNT_MAX);
	int after;

	if (before >= 0) {
		note_sandbox(before, e);
		cgroup_kill(before);
	}
	e->tasks = tasks > 0 ? (uint32_t)tasks : 0;
	*slot = latches ? latch_set(latches, e) : LATCH_SLOTS;
	after = open_sandbox(base, e);
	if (after < 0)
		return take_fd(&before);
	cgroup_kill(after);
	return after;
}

/* The same proof; the directory is the user's, and cgroup.kill reaches all below it. */
void kill_strike_user(int base, struct latch_table *latches, struct latch_entry *e, unsigned *slot)
{
	cleanup_close int dir = -1;

	e->flags |= LATCH_ALL;
	e->name[0] = 0;
	*slot = latches ? latch_set(latches, e) : LATCH_SLOTS;
	dir = base < 0 ? -1 : kill_open_user(base, e->uid);
	if (dir >= 0)
		cgroup_kill(dir);
}
