/* The watchdog. A supervisor that is silent may be stopped or stuck: its sandboxes freeze, and thaw
 * when it speaks again; silent for too long they die. A supervisor that is gone takes them with it.
 * Freezing is done on the users' directories and never on a sandbox's own: so a sandbox that somebody
 * froze on purpose is still frozen when the watchdog thaws. Called by the poll loop; never waits. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/cgroup.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "supervisor/killer/internal.h"

#define MS          1000000ull
#define ORPHAN_MS   10000ull /* how long the dead supervisor's sandboxes are waited for */
#define ORPHAN_LOOK (5 * MS)

static int freeze_user(void *ctx, uid_t uid, int dirfd)
{
	if (cgroup_freeze(dirfd, *(const int *)ctx) < 0)
		killer_say("cannot %s the sandboxes of uid %u",
			*(const int *)ctx ? "freeze" : "thaw", uid);
	return 0;
}

static int kill_user(void *ctx, uid_t uid, int dirfd)
{
	(void)ctx;
	if (cgroup_kill(dirfd) < 0)
		killer_say("cannot kill the sandboxes of uid %u", uid);
	return 0;
}

static int user_alive(void *ctx, uid_t uid, int dirfd)
{
	(void)ctx;
	(void)uid;
	return cgroup_populated(dirfd) == 1;
}

static void freeze_all(const struct killer *k, int on)
{
	cleanup_close int base = killer_open_base(k);

	if (base >= 0)
		kill_each_user(base, freeze_user, &on);
}

static void kill_all(const struct killer *k)
{
	cleanup_close int base = killer_open_base(k);

	if (base >= 0)
		kill_each_user(base, kill_user, NULL);
}

static int any_alive(const struct killer *k)
{
	cleanup_close int base = killer_open_base(k);

	return base >= 0 && kill_each_user(base, user_alive, NULL) == 1;
}

static uint64_t silent_ms(const struct killer *k, uint64_t now)
{
	return (now - k->last_heard) / MS;
}

static void announce(struct killer *k, enum killer_act act, uint64_t now)
{
	struct killer_watchdog w = {.act = act, .silent_ms = (uint32_t)silent_ms(k, now)};

	killer_tell(k, KILLER_WATCHDOG, 0, &w, sizeof w);
}

/* A killer before us may have died while it kept them frozen. */
void watch_start(struct killer *k, uint64_t now)
{
	k->last_heard = now;
	k->last_turn = now;
	freeze_all(k, 0);
}

void watch_heard(struct killer *k, uint64_t now)
{
	if (k->watch == WATCH_FROZEN || k->watch == WATCH_KILLED) {
		freeze_all(k, 0);
		killer_say("the supervisor answers again after %llu ms: thawed",
			(unsigned long long)silent_ms(k, now));
		announce(k, KILLER_THAWED, now);
		k->watch = WATCH_OK;
	}
	k->last_heard = now;
}

void watch_lost(struct killer *k, uint64_t now)
{
	if (k->watch == WATCH_ORPHANED)
		return;
	k->watch = WATCH_ORPHANED;
	k->orphan_deadline = now + ORPHAN_MS * MS;
	kill_all(k);
	killer_say("the supervisor is gone: killed every sandbox");
}

static void judge_silence(struct killer *k, uint64_t now)
{
	if (k->watch == WATCH_OK && silent_ms(k, now) >= k->cfg.freeze_after_ms) {
		freeze_all(k, 1);
		k->watch = WATCH_FROZEN;
		killer_say("no heartbeat of the supervisor for %llu ms: froze every sandbox",
			(unsigned long long)silent_ms(k, now));
		announce(k, KILLER_FROZE, now);
	}
	if (k->watch == WATCH_FROZEN && silent_ms(k, now) >= k->cfg.kill_after_ms) {
		kill_all(k);
		k->watch = WATCH_KILLED;
		killer_say("no heartbeat of the supervisor for %llu ms: killed every sandbox",
			(unsigned long long)silent_ms(k, now));
		announce(k, KILLER_KILLED, now);
	}
}

/* The loop turns at least this often, so that a turn which took much longer tells a stall of our own
 * (machine suspended, killer stopped) from silence of the supervisor. */
uint64_t watch_turn_max(const struct killer *k)
{
	return k->cfg.freeze_after_ms * MS / 5;
}

static int was_stalled(const struct killer *k, uint64_t now)
{
	return now - k->last_turn > k->cfg.freeze_after_ms * MS / 2;
}

/* Called each turn, after the supervisor's messages were read. */
void watch_tick(struct killer *k, uint64_t now)
{
	if (was_stalled(k, now) && k->watch != WATCH_ORPHANED)
		k->last_heard = now;
	k->last_turn = now;
	if (k->watch == WATCH_ORPHANED) {
		if (any_alive(k))
			kill_all(k); /* what a half-dead launcher still put there */
	} else {
		judge_silence(k, now);
	}
}

uint64_t watch_next(const struct killer *k)
{
	if (k->watch == WATCH_ORPHANED)
		return k->last_turn + ORPHAN_LOOK;
	if (k->watch == WATCH_OK)
		return k->last_heard + k->cfg.freeze_after_ms * MS;
	if (k->watch == WATCH_FROZEN)
		return k->last_heard + k->cfg.kill_after_ms * MS;
	return UINT64_MAX;
}

int watch_done(const struct killer *k, uint64_t now)
{
	if (k->watch != WATCH_ORPHANED)
		return 0;
	return now >= k->orphan_deadline || (jobs_next(k) == UINT64_MAX && !any_alive(k));
}

/* ---- what a dead instance leaves behind ---- */

static int tidy_sandbox(void *ctx, const char *name, int fd)
{
	(void)fd;
	unlinkat(*(const int *)ctx, name, AT_REMOVEDIR);
	return 0;
}

static int tidy_user(void *ctx, const char *name, int fd)
{
	cgroup_each_child(fd, tidy_sandbox, &fd);
	unlinkat(*(const int *)ctx, name, AT_REMOVEDIR);
	return 0;
}

static void tidy_hierarchy(const char *mount, const char *cgroup)
{
	cleanup_close int root = *mount ? open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	cleanup_close int base = -1;

	if (root < 0)
		return;
	base = openat(root, cgroup, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (base < 0)
		return;
	cgroup_each_child(base, tidy_user, &base);
}

/* rmdir(2) refuses a cgroup that still has a process, so this cannot lose one. Our own directory
 * stays: the hierarchy's root is not writable without CAP_DAC_OVERRIDE. */
void watch_tidy(const struct killer *k)
{
	const struct cgroup_host *h = &k->cfg.cg;

	tidy_hierarchy(h->v2, k->cfg.paths.cgroup);
	tidy_hierarchy(h->pids, k->cfg.paths.cgroup);
	tidy_hierarchy(h->memory, k->cfg.paths.cgroup);
	tidy_hierarchy(h->cpu, k->cfg.paths.cgroup);
}
