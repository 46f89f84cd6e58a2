/* Kills: strike at once, then watch cgroup.events until the last process is gone, then answer the
 * client, put the signed receipt into the latch table and tell the supervisor. Called by clients.c
 * and the poll loop. Must never wait: hundreds of kills can be under way. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cgroup.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "supervisor/killer/internal.h"

/* Looks after which a kill is repeated at each look (every 10 ms by then). Nothing needs it as long as
 * launches keep to the order in common/kill.c; if one does not, it still does not survive. */
#define PATIENCE 24

/* The client that a job answers to, if it is still the same one. */
static struct client *client_of(struct killer *k, const struct job *j)
{
	struct client *c = j->client < 0 ? NULL : &k->clients[j->client];

	return c && c->state == CLIENT_WAITING && c->serial == j->client_serial ? c : NULL;
}

void killer_sync(struct killer *k)
{
	if (write(k->sync_fd, "s", 1) < 0) {
		/* Full: it has enough to do. Dead: the kernel writes the table back by itself. */
	}
}

static void report(struct killer *k, const struct job *j, const char *state)
{
	struct killer_receipt r = {
		.slot = j->slot, .lingering = j->e.unconfirmed > 0, .entry = j->e};
	struct client *c = client_of(k, j);

	killer_tell(k, KILLER_RECEIPT, 0, &r, sizeof r);
	killer_sync(k);
	if (c)
		client_send(c, "KILLED %u/%s tasks=%u us=%" PRIu64 " state=%s\n", j->e.uid,
			*j->e.name ? j->e.name : "*", j->e.tasks, j->e.took_us, state);
}

static void finish(struct killer *k, struct job *j, const char *state, uint64_t now)
{
	struct client *c;

	j->e.took_us = (now - j->start) / 1000;
	key_sign(&k->key, &j->e);
	latch_update(k->latches, j->slot, &j->e);
	report(k, j, state);
	c = client_of(k, j);
	if (c && --c->jobs == 0) {
		client_send(c, ".\n");
		client_drop(c);
	}
	if (j->dir >= 0)
		close(j->dir);
	if (j->events >= 0)
		close(j->events);
	memset(j, 0, sizeof *j);
}

/* Not confirmed dead: those that cgroup.procs still shows, at least one. */
static void finish_lingering(struct killer *k, struct job *j, uint64_t now)
{
	int left = cgroup_count(j->dir, KILL_COUNT_MAX);

	j->e.unconfirmed = left > 0 ? (uint32_t)left : 1;
	finish(k, j, KILL_LINGERING, now);
}

static void step(struct killer *k, struct job *j, uint64_t now)
{
	int populated = cgroup_events_populated(j->events);

	if (populated == 0) {
		finish(k, j, KILL_DEAD, now);
	} else if (now >= j->deadline) {
		finish_lingering(k, j, now);
	} else {
		if (j->looks >= PATIENCE)
			cgroup_kill(j->dir);
		j->next_look = now + cgroup_poll_us(j->looks++) * 1000ull;
	}
}

void jobs_step(struct killer *k, uint64_t now)
{
	for (unsigned i = 0; i < JOBS_MAX; i++)
		if (k->jobs[i].used && now >= k->jobs[i].next_look)
			step(k, &k->jobs[i], now);
}

uint64_t jobs_next(const struct killer *k)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; i < JOBS_MAX; i++)
		if (k->jobs[i].used && k->jobs[i].next_look < next)
			next = k->jobs[i].next_look;
	return next;
}

/* NULL when the table, or the asker's share of it, is used up. */
static struct job *free_job(struct killer *k, uid_t by)
{
	struct job *found = NULL;
	unsigned mine = 0;

	for (unsigned i = 0; i < JOBS_MAX; i++) {
		if (!k->jobs[i].used)
			found = found ? found : &k->jobs[i];
		else if (k->jobs[i].by == by)
			mine++;
	}
	return mine < JOBS_PER_UID ? found : NULL;
}

/* ---- one KILL ---- */

struct order { /* one client's KILL while it is carried out */
	struct killer *k;
	int client; /* index */
	uint32_t serial; /* its */
	int base;
	uid_t uid; /* of the directory that is being walked */
	unsigned found;
	struct latch_entry e; /* who, when, why */
};

static struct job prepare(const struct order *o, uid_t uid, const char *name)
{
	struct job j = {.used = 1,
		.dir = -1,
		.events = -1,
		.client = o->client,
		.client_serial = o->serial,
		.by = o->e.by_uid,
		.start = io_now_mono(),
		.e = o->e};

	j.e.uid = uid;
	j.e.at_ns = io_now_real();
	snprintf(j.e.name, sizeof j.e.name, "%s", name);
	j.deadline = j.start + o->k->cfg.wait_ms * 1000000ull;
	j.next_look = j.start;
	return j;
}

/* One more line that the client will wait for. */
static void expect(struct order *o, const struct job *j)
{
	struct client *c = client_of(o->k, j);

	if (c)
		c->jobs++;
}

static void strike(struct order *o, uid_t uid, const char *name)
{
	struct job j = prepare(o, uid, name), *kept;

	j.dir = kill_strike(o->base, o->k->latches, &j.e, &j.slot);
	o->found++;
	expect(o, &j);
	if (j.dir < 0) {
		finish(o->k, &j, KILL_NOT_RUNNING, io_now_mono());
		return;
	}
	j.events = cgroup_events_open(j.dir);
	kept = free_job(o->k, j.by);
	if (j.events >= 0 && kept)
		*kept = j;
	else if (cgroup_populated(j.dir) == 1) /* killed, but nobody to watch it end */
		finish_lingering(o->k, &j, io_now_mono());
	else
		finish(o->k, &j, KILL_DEAD, io_now_mono());
}

static int strike_child(void *ctx, const char *name, int fd)
{
	struct order *o = ctx;

	(void)fd;
	if (name_valid(name))
		strike(o, o->uid, name);
	return 0;
}

/* Every sandbox by itself, for its receipt and its own latch; then the latch on the whole user, and
 * one cgroup.kill for what started meanwhile. */
static int strike_user(void *ctx, uid_t uid, int dirfd)
{
	struct order *o = ctx;
	unsigned before = o->found;
	struct job all;

	o->uid = uid;
	if (dirfd >= 0)
		cgroup_each_child(dirfd, strike_child, o);
	all = prepare(o, uid, "");
	kill_strike_user(o->base, o->k->latches, &all.e, &all.slot);
	if (o->found > before)
		all.client = NO_CLIENT; /* the sandboxes' lines say it */
	else
		expect(o, &all);
	finish(o->k, &all, KILL_NOT_RUNNING, io_now_mono());
	return 0;
}

void jobs_start(struct killer *k, struct client *c, struct kill_target *t, const char *reason)
{
	cleanup_close int base = killer_open_base(k);
	cleanup_close int user = -1;
	struct order o = {
		.k = k, .client = (int)(c - k->clients), .serial = c->serial, .base = base};
	struct error err;

	c->state = CLIENT_WAITING;
	if (kill_resolve(t, base, c->uid, c->admin, &err) < 0) {
		client_send(c, "ERR %s\n", err.text);
		client_drop(c);
		return;
	}
	o.e.flags = LATCH_UNLOGGED;
	o.e.by_uid = c->uid;
	o.e.by_pid = (uint32_t)c->pid;
	snprintf(o.e.reason, sizeof o.e.reason, "%s", reason);
	c->jobs = 1; /* so that no strike below ends the answer before the last one is counted */
	if (t->scope == KILL_ONE) {
		strike(&o, t->uid, t->name);
	} else if (t->scope == KILL_USER) {
		user = base < 0 ? -1 : kill_open_user(base, t->uid);
		strike_user(&o, t->uid, user);
	} else if (base >= 0) {
		kill_each_user(base, strike_user, &o);
	}
	if (c->state == CLIENT_WAITING && c->serial == o.serial && --c->jobs == 0) {
		client_send(c, ".\n");
		client_drop(c);
	}
}
