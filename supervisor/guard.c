/* What happens to protected paths from outside; see guard.h. Events tell when to look; whether a wall
 * stands is always read from the sandbox's own mount table, never concluded from events. */
#include "supervisor/guard.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timerfd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "supervisor/dirwatch.h"
#include "supervisor/launch.h"
#include "supervisor/supervisor.h"
#include "supervisor/sys.h"

#define SECOND         1000000000ull
#define FREEZE_WAIT_US 20000 /* a task in the middle of a system call may hold a freeze up */
#define MENDS_A_SECOND 50
#define FAILS_MAX      100
#define QUIET_NS       (SECOND / 250) /* without a change, before it is mended */
#define QUIET_MAX_NS   (SECOND / 5)
#define WANTS_MORE     2 /* guard.dirty: what was not there before wants a wall now */
#define LOOK_MAX       30000 /* open files that are looked at before it is given up */
#define ACTORS_KEPT    16
#define ACTOR_KEPT_NS  (SECOND / 5)

struct wall {
	char *rel; /* to the workspace; in guard.text */
	uint32_t flags; /* SPAWN_M_* */
	int touched; /* its name changed since the walls were last whole */
	int was_down;
};

struct dir {
	char rel[PLAN_PATH_MAX + 1]; /* "" is the workspace */
	struct dirwatch watch;
};

struct guard {
	struct sandbox *s;
	char *text; /* copy of the launch's destinations */
	struct wall wall[SPAWN_MOUNTS_MAX];
	size_t nwalls;
	struct dir *dir;
	size_t ndirs, capdirs;
	char **extra;
	size_t nextra;
	int pending; /* the spawner has not answered yet */
	int dirty; /* 0, 1 look again, WANTS_MORE */
	int still; /* frozen, and everything it did before is known */
	int stopped; /* it was ended */
	int lost; /* events, since the walls were last whole */
	unsigned fails; /* in a row */
	uint64_t frozen_at, look_at; /* CLOCK_BOOTTIME */
	uint64_t second; /* rate of rebuilding */
	unsigned mends;
	struct guard *next;
};

struct actor {
	pid_t pid;
	uint64_t seen;
};

static int timer_fd = -1;
static struct guard *all;
static struct actor host_actors[ACTORS_KEPT]; /* were seen outside of every sandbox a moment ago */
static struct launch again; /* too large for a stack */

static const char *base_of(const char *rel)
{
	const char *slash = strrchr(rel, '/');

	return slash ? slash + 1 : rel;
}

/* 1 when rel is name in the directory dir ("" for the workspace). */
static int is_at(const char *rel, const char *dir, const char *name)
{
	const char *base = base_of(rel);
	size_t n = base == rel ? 0 : (size_t)(base - rel - 1);

	return !strcmp(base, name) && strlen(dir) == n && !strncmp(rel, dir, n);
}

static struct wall *wall_of(struct guard *g, const char *dir, const char *name)
{
	for (size_t i = 0; i < g->nwalls; i++) {
		if (is_at(g->wall[i].rel, dir, name))
			return &g->wall[i];
	}
	return NULL;
}

static int behind_wall(const struct guard *g, const char *dir)
{
	for (size_t i = 0; i < g->nwalls; i++) {
		if (!(g->wall[i].flags & SPAWN_M_RW) && protect_covers(dir, g->wall[i].rel))
			return 1;
	}
	return 0;
}

/* ---- marks ---- */

static int open_dir(const struct guard *g, const char *rel)
{
	return sys_openat2(protect_dir(g->s->placeholders), *rel ? rel : ".",
		O_PATH | O_DIRECTORY | O_CLOEXEC, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

static void unmark(const struct guard *g, const struct dir *d)
{
	cleanup_close int fd = open_dir(g, d->rel);

	for (const struct guard *o = all; o; o = o->next) {
		for (size_t i = 0; o != g && i < o->ndirs; i++) {
			if (dirwatch_same(&o->dir[i].watch, &d->watch))
				return; /* another sandbox's too */
		}
	}
	dirwatch_remove(fd, &d->watch);
}

static int watch_dir(struct guard *g, const char *rel, size_t n, struct error *e)
{
	cleanup_close int fd = -1;
	struct dir *d;

	for (size_t i = 0; i < g->ndirs; i++) {
		if (strlen(g->dir[i].rel) == n && !strncmp(g->dir[i].rel, rel, n))
			return 0;
	}
	if (g->ndirs == g->capdirs) {
		d = realloc(g->dir, (g->capdirs + 8) * sizeof *d);
		if (!d)
			return error_set(e, ENOMEM, "cannot watch the workspace");
		g->dir = d;
		g->capdirs += 8;
	}
	d = &g->dir[g->ndirs];
	*d = (struct dir){.watch.wd = -1};
	memcpy(d->rel, rel, n);
	fd = open_dir(g, d->rel);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
		return 0;
	if (fd < 0 || dirwatch_add(fd, n > 0, &d->watch) < 0)
		return error_set(
			e, errno, "cannot watch %s in the workspace", n ? d->rel : "what happens");
	g->ndirs++;
	return 0;
}

/* The directories that walls are in, and the pinned ones. */
static int watch_dirs(struct guard *g, struct error *e)
{
	if (watch_dir(g, "", 0, e) < 0)
		return -1;
	for (size_t i = 0; i < g->nwalls; i++) {
		const char *rel = g->wall[i].rel, *base = base_of(rel);

		if (base != rel && watch_dir(g, rel, (size_t)(base - rel - 1), e) < 0)
			return -1;
		if (!(g->wall[i].flags & (SPAWN_M_FILE | SPAWN_M_HIDE)) &&
			watch_dir(g, rel, strlen(rel), e) < 0)
			return -1;
	}
	return 0;
}

/* Takes over the walls of a launch. */
static int take_walls(struct guard *g, const struct launch *l, struct error *e)
{
	size_t skip = strlen(g->s->workspace) + 1;
	char *text = malloc(l->text_len + 1);

	if (!text)
		return error_set(e, ENOMEM, "cannot remember what is protected");
	memcpy(text, l->req.text, l->text_len);
	free(g->text);
	g->text = text;
	g->nwalls = 0;
	for (uint32_t i = l->first_wall; i < l->req.nmounts; i++)
		g->wall[g->nwalls++] = (struct wall){
			.rel = text + l->req.mounts[i].dst + skip, .flags = l->req.mounts[i].flags};
	for (size_t i = 0; i < g->ndirs; i++)
		unmark(g, &g->dir[i]);
	g->ndirs = 0;
	return watch_dirs(g, e);
}

static int take_extra(struct guard *g, const struct plan_header *plan, struct error *e)
{
	g->extra = calloc(plan->mountc + 1, sizeof *g->extra);
	for (uint32_t i = 0; g->extra && i < plan->mountc; i++) {
		const struct plan_mount *m = plan_mount_at(plan, i);

		if (m->kind != PLAN_PROTECT)
			continue;
		g->extra[g->nextra] = strdup(plan_text(plan, m->src));
		if (!g->extra[g->nextra++])
			return error_set(e, ENOMEM, "cannot remember what is protected");
	}
	return g->extra ? 0 : error_set(e, ENOMEM, "cannot remember what is protected");
}

/* ---- do the walls stand? ---- */

static int runs(const struct guard *g)
{
	return g->s->ready && g->s->pid > 0 &&
	       (g->s->state == SB_STARTING || g->s->state == SB_RUNNING);
}

__attribute__((format(printf, 2, 3))) static void stop(struct guard *g, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	if (g->stopped)
		return;
	g->stopped = 1;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	event_text(EVENT_ROLE, g->s->owner.uid, "%s %s: %s", g->s->name,
		runs(g) ? "was ended" : "had ended", text);
	if (runs(g))
		sandbox_stop(g->s, END_FAILED, text);
}

static int wall_stands(int root, const char *workspace, const struct wall *w)
{
	char path[2 * PLAN_PATH_MAX + 2];
	cleanup_close int fd = -1;
	struct statx x;
	struct statvfs v;

	snprintf(path, sizeof path, "%s/%s", workspace + 1, w->rel);
	fd = sys_openat2(root, path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0,
		RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &x) < 0 ||
		!(x.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return 0;
	return w->flags & SPAWN_M_RW || (fstatvfs(fd, &v) == 0 && v.f_flag & ST_RDONLY);
}

/* How many are down (noted at each); 0 also when its first process is gone. */
static int walls_down(struct guard *g)
{
	char path[40];
	cleanup_close int root = -1;
	int down = 0;

	snprintf(path, sizeof path, "/proc/%d/root", g->s->pid);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 && (errno == ENOENT || errno == ESRCH))
		return 0;
	for (size_t i = 0; i < g->nwalls; i++) {
		g->wall[i].was_down = root < 0 || !wall_stands(root, g->s->workspace, &g->wall[i]);
		down += g->wall[i].was_down;
	}
	return down;
}

static int name_down(const struct guard *g, const char *rel)
{
	for (size_t i = 0; i < g->nwalls; i++) {
		if (g->wall[i].was_down && protect_covers(rel, g->wall[i].rel))
			return 1;
	}
	return 0;
}

/* ---- did it take hold of anything while a wall was down? ---- */

struct look {
	struct guard *g;
	size_t skip; /* length of "WORKSPACE/" */
	int left;
	char found[128];
};

/* One entry of /proc/PID/{fd,map_files}, or cwd: a path at or below a wall that was down, reached
 * through a writable mount, is a way around the new wall. */
static int look_at(struct look *k, int dir, const char *entry)
{
	char to[PLAN_PATH_MAX * 2 + 2];
	ssize_t n = readlinkat(dir, entry, to, sizeof to - 1);
	cleanup_close int fd = -1;
	struct statvfs v;

	if (--k->left < 0)
		return -1;
	if (n <= 0)
		return 0;
	to[n] = 0;
	if (strncmp(to, k->g->s->workspace, k->skip - 1) != 0 || to[k->skip - 1] != '/' ||
		!name_down(k->g, to + k->skip))
		return 0;
	fd = openat(dir, entry, O_PATH | O_CLOEXEC);
	if (fd < 0 || (fstatvfs(fd, &v) == 0 && v.f_flag & ST_RDONLY))
		return 0;
	snprintf(k->found, sizeof k->found, "%s", to + k->skip);
	return -1;
}

static int look_in(struct look *k, int task, const char *name)
{
	int fd = openat(task, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *it;

	while (d && !r && (it = readdir(d))) {
		if (it->d_name[0] != '.')
			r = look_at(k, dirfd(d), it->d_name);
	}
	if (d)
		closedir(d);
	return r;
}

static int look_at_task(struct look *k, const char *id, int is_process)
{
	char path[64];
	cleanup_close int task = -1;

	snprintf(path, sizeof path, "/proc/%s", id);
	task = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (task < 0)
		return 0;
	if (is_process)
		return look_in(k, task, "map_files");
	return look_at(k, task, "cwd") < 0 ? -1 : look_in(k, task, "fd");
}

/* Its tasks are frozen; each thread can have descriptors of its own. 0, or -1 when one holds something,
 * or there are too many to tell. */
static int look_for_holds(struct look *k, const char *list)
{
	int fd = openat(k->g->s->cgroup, list, O_RDONLY | O_CLOEXEC), r = 0;
	cleanup_fclose FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char tid[24];

	if (!f)
		return -1;
	while (!r && fgets(tid, sizeof tid, f)) {
		tid[strcspn(tid, "\n")] = 0;
		r = look_at_task(k, tid, !strcmp(list, "cgroup.procs"));
	}
	return r;
}

/* A hard link made while the wall was down would be a second way to the same file. */
static const char *linked_file(const struct guard *g)
{
	for (size_t i = 0; i < g->nwalls; i++) {
		struct stat st;

		if (g->wall[i].was_down && g->wall[i].flags & SPAWN_M_FILE &&
			fstatat(protect_dir(g->s->placeholders), g->wall[i].rel, &st,
				AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(st.st_mode) && st.st_nlink > 1)
			return g->wall[i].rel;
	}
	return NULL;
}

/* ---- mending ---- */

static void set_timer(void)
{
	struct itimerspec t = {.it_value.tv_nsec = (long)QUIET_NS};

	timerfd_settime(timer_fd, 0, &t, NULL);
}

static void put_off(struct guard *g)
{
	uint64_t now = io_now_boot();

	if (now - g->frozen_at < QUIET_MAX_NS)
		g->look_at = now + QUIET_NS;
	set_timer();
}

static void touch(struct guard *g, int how)
{
	if (g->dirty < how)
		g->dirty = how;
	if (g->s->mending)
		put_off(g);
}

static void freeze(struct guard *g)
{
	g->s->mending = 1;
	g->frozen_at = io_now_boot();
	sandbox_apply_freeze(g->s);
	for (int us = 0; us < FREEZE_WAIT_US && cgroup_frozen(g->s->cgroup) == 0; us += 100)
		usleep(100);
	for (int i = 0; i < 4; i++)
		dirwatch_read(); /* all that it still did before it stood still */
	g->still = 1;
	if (g->lost)
		stop(g, "too much happened while its protected paths were open: look at them "
			"before you use them");
}

static void whole(struct guard *g)
{
	for (size_t i = 0; i < g->nwalls; i++)
		g->wall[i].touched = g->wall[i].was_down = 0;
	g->still = g->lost = 0;
	if (g->s->mending) {
		g->s->mending = 0;
		sandbox_apply_freeze(g->s);
	}
}

static int too_often(struct guard *g)
{
	uint64_t now = io_now_boot();

	if (now - g->second > SECOND) {
		g->second = now;
		g->mends = 0;
	}
	return g->mends++ >= MENDS_A_SECOND;
}

static int rebuild(struct guard *g, struct error *e)
{
	struct sandbox *s = g->s;
	int r = protect_again(&again, s->placeholders, s->workspace, (const char *const *)g->extra,
		g->nextra, &s->owner, s->identity, e);

	if (r < 0)
		return -1;
	if (take_walls(g, &again, e) < 0)
		r = -1;
	else if (again.req.nmounts && wire_send(sup.spawner, SPAWN_REMOUNT, s->number, &again.req,
					      offsetof(struct spawn_req, text) + again.text_len,
					      again.trees, again.ntrees) < 0)
		r = error_set(e, errno, "cannot reach the spawner");
	launch_close(&again);
	return r;
}

static void mend(struct guard *g)
{
	struct look k = {.g = g, .skip = strlen(g->s->workspace) + 1, .left = LOOK_MAX};
	const char *linked;
	struct error e = {0};

	if (look_for_holds(&k, "cgroup.threads") < 0 || look_for_holds(&k, "cgroup.procs") < 0) {
		stop(g, "it held %s open, which is protected: look at it before you use it",
			*k.found ? k.found : "too much");
		return;
	}
	linked = linked_file(g);
	if (linked) {
		stop(g, "%s, which is protected, has a second name: look at it before you use it",
			linked);
		return;
	}
	if (rebuild(g, &e) < 0)
		stop(g, "its protected paths could not be protected again: %s", e.text);
	else if (g->nwalls)
		g->pending = 1;
	else
		whole(g); /* all of it went away, or is not the user's to write */
}

/* From walls that may be down to walls that stand: freeze, wait until whoever works there has done,
 * mount again, look once more, thaw. */
static void examine(struct guard *g)
{
	int more = g->dirty == WANTS_MORE;

	if (g->pending || g->stopped || !runs(g) || !g->dirty)
		return;
	if (g->s->mending && (io_now_boot() < g->look_at || too_often(g))) {
		set_timer();
		return;
	}
	if (!walls_down(g) && !more) {
		g->dirty = 0;
		whole(g);
	} else if (!g->s->mending) {
		freeze(g);
		put_off(g);
	} else {
		g->dirty = 0;
		mend(g);
	}
}

void guard_remounted(struct guard *g, int err)
{
	if (!g)
		return;
	g->pending = 0;
	g->fails = err ? g->fails + 1 : 0;
	if (g->fails > FAILS_MAX) { /* a few are normal while someone removes what is mounted on */
		stop(g, "its protected paths could not be protected again: %s", strerror(err));
		return;
	}
	touch(g, 1);
	dirwatch_read();
	if (!err)
		g->look_at = 0;
	examine(g); /* thaws when they stand */
}

void guard_ready(struct guard *g)
{
	if (!g)
		return;
	touch(g, 1);
	examine(g);
}

void guard_tick(void)
{
	for (struct guard *g = all; g; g = g->next)
		examine(g);
}

/* ---- who did it ---- */

enum who { HOST, AGENT, UNKNOWN };

static enum who who_did(pid_t pid, const struct guard *g)
{
	char path[40], text[4096], name[NAME_CAP];
	struct actor *a = &host_actors[(unsigned)pid % ACTORS_KEPT];
	uint64_t now = io_now_boot();
	cleanup_close int fd = -1;
	ssize_t n;
	uid_t uid;

	snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
	fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (n <= 0)
		return pid > 0 && a->pid == pid && now - a->seen < ACTOR_KEPT_NS ? HOST : UNKNOWN;
	text[n] = 0;
	if (!cgroup_sandbox(text, sup.paths.cgroup, &uid, name, sizeof name)) {
		*a = (struct actor){.pid = pid, .seen = now};
		return HOST;
	}
	/* Another sandbox of the same workspace has its own guard, which hears of it too. */
	return uid == g->s->owner.uid && !strcmp(name, g->s->name) ? AGENT : HOST;
}

/* ---- events ---- */

static void breach(struct guard *g, const char *rel)
{
	stop(g, "it changed %s, which is protected: look at it before you use it", rel);
}

/* A file that git would follow to another configuration: gone at once, it cannot have been the owner's. */
static void never(struct guard *g, const char *rel)
{
	int gone;

	creds_enter(&g->s->owner);
	gone = unlinkat(protect_dir(g->s->placeholders), rel, 0) == 0 || errno == ENOENT;
	creds_leave();
	stop(g, "it made %s, which git would follow: %s", rel,
		gone ? "it is removed" : "REMOVE IT before you use git here");
}

/* For when events do not tell. What was there at the start has a wall. */
static void look_for_never(struct guard *g)
{
	for (size_t i = 0; i < g->ndirs; i++) {
		char rel[PLAN_PATH_MAX + 16];
		struct stat st;

		if (!protect_never(g->dir[i].rel, "commondir"))
			continue;
		snprintf(rel, sizeof rel, "%s/commondir", g->dir[i].rel);
		if (!wall_of(g, g->dir[i].rel, "commondir") &&
			fstatat(protect_dir(g->s->placeholders), rel, &st, AT_SYMLINK_NOFOLLOW) ==
				0)
			never(g, rel);
	}
}

static void on_wall(struct guard *g, struct wall *w, uint64_t mask, pid_t pid)
{
	enum who who = who_did(pid, g);
	int first = !w->touched;

	if (w->flags & SPAWN_M_RW && !(mask & DIRWATCH_NAMES))
		return;
	if (mask & DIRWATCH_NAMES) {
		w->touched = 1;
		touch(g, 1);
	}
	/* Nobody inside can be the first to change a name that stands behind a wall. */
	if (who == AGENT || (who == UNKNOWN && !first && !g->still && runs(g) && walls_down(g) &&
				    name_down(g, w->rel)))
		breach(g, w->rel);
}

static void on_event(struct guard *g, const char *dir, const char *name, uint64_t mask, pid_t pid)
{
	char rel[PLAN_PATH_MAX * 2 + 2];
	struct wall *w = wall_of(g, dir, name);
	enum who who;

	snprintf(rel, sizeof rel, "%s%s%s", dir, *dir ? "/" : "", name);
	if (w) {
		on_wall(g, w, mask, pid);
		return;
	}
	if (behind_wall(g, dir)) { /* through a descriptor that it should not have */
		if (who_did(pid, g) == AGENT)
			breach(g, rel);
		return;
	}
	if (!(mask & (DIRWATCH_ARRIVES | DIRWATCH_CONTENT)) || !protect_wants(dir, name))
		return;
	who = who_did(pid, g);
	if (protect_never(dir, name)) {
		if (who != HOST)
			never(g, rel);
	} else if (who == HOST || pid == 0 || !*dir) { /* .git itself is the agent's to make */
		if (who != AGENT)
			touch(g, WANTS_MORE);
	} else if (!g->still) {
		breach(g, rel);
	}
}

static void on_overflow(void)
{
	for (struct guard *g = all; g; g = g->next) {
		g->lost = !g->still;
		touch(g, 1);
		look_for_never(g);
	}
}

static void on_change(const struct dirwatch *d, const char *name, uint64_t mask, pid_t pid)
{
	for (struct guard *g = all; g; g = g->next) {
		for (size_t k = 0; k < g->ndirs; k++) {
			if (dirwatch_same(&g->dir[k].watch, d))
				on_event(g, g->dir[k].rel, name, mask, pid);
		}
	}
}

static void on_ready(void)
{
	dirwatch_read();
	guard_tick();
}

/* ---- one guard ---- */

struct guard *guard_new(
	struct sandbox *s, const struct plan_header *plan, const struct launch *l, struct error *e)
{
	struct guard *g = calloc(1, sizeof *g);

	if (!g) {
		error_set(e, ENOMEM, "no memory for another sandbox");
		return NULL;
	}
	g->s = s;
	g->next = all;
	all = g;
	if (take_extra(g, plan, e) == 0 && take_walls(g, l, e) == 0)
		return g;
	guard_free(g);
	return NULL;
}

void guard_free(struct guard *g)
{
	if (!g)
		return;
	if (g->s->ready) { /* the last it did */
		dirwatch_read();
		look_for_never(g);
	}
	for (size_t i = 0; i < g->ndirs; i++)
		unmark(g, &g->dir[i]);
	for (struct guard **at = &all; *at; at = &(*at)->next) {
		if (*at == g) {
			*at = g->next;
			break;
		}
	}
	for (size_t i = 0; i < g->nextra; i++)
		free(g->extra[i]);
	free(g->extra);
	free(g->dir);
	free(g->text);
	free(g);
}

static void timer_event(void *arg, uint32_t events)
{
	uint64_t n;

	(void)arg;
	(void)events;
	if (read(timer_fd, &n, sizeof n) == sizeof n)
		guard_tick();
}

int guard_init(struct error *e)
{
	timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (timer_fd < 0)
		return error_set(e, errno, "cannot make a timer");
	if (!loop_watch(timer_fd, EPOLLIN, timer_event, NULL, e))
		return -1;
	return dirwatch_init(on_change, on_overflow, on_ready, e);
}
