/* The publishing thread; see publisher.h. Must never hold its lock while it touches the disk. */
#include "agentd/recorder/publisher.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "audit/publish.h"

#define RETRY_S 1 /* after an error that may pass, such as a full disk */
#define REST_NS 20000000

struct publisher {
	int logdir, wake_fd; /* the caller's */
	const struct wal_config *config; /* the caller's */
	struct publish *publish; /* the thread's own once it runs */
	pthread_t thread;
	pthread_mutex_t preparing; /* one at a time makes wal/next */
	pthread_mutex_t lock; /* the rest */
	pthread_cond_t cond;
	uint64_t want; /* size asked for */
	struct tree_hash root;
	int prepare, retire, stop, damaged;
	struct error damage;
};

static int prepare(struct publisher *p, struct error *e)
{
	int r;

	pthread_mutex_lock(&p->preparing);
	r = wal_prepare(p->logdir, p->config, e);
	pthread_mutex_unlock(&p->preparing);
	return r;
}

/* Says each trouble once, not every second. */
static void complain(const struct error *e, struct error *last)
{
	if (strcmp(e->text, last->text) == 0)
		return;
	*last = *e;
	fprintf(stderr, "recorder: %s\n", e->text);
}

static void report_damage(struct publisher *p, const struct error *e)
{
	const uint64_t one = 1;

	pthread_mutex_lock(&p->lock);
	p->damaged = 1;
	p->damage = *e;
	pthread_mutex_unlock(&p->lock);
	if (write(p->wake_fd, &one, sizeof one) < 0)
		fprintf(stderr, "recorder: cannot wake the writer: %s\n", strerror(errno));
}

struct work {
	uint64_t want;
	struct tree_hash root;
	int prepare, retire, stop;
};

static int idle(const struct publisher *p)
{
	return p->want <= publish_size(p->publish) && !p->prepare && !p->retire;
}

/* At most fifty times a second: a crowd of short sessions must not keep a processor busy with it. */
static void rest(struct publisher *p)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += REST_NS;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	while (!p->stop && pthread_cond_timedwait(&p->cond, &p->lock, &until) != ETIMEDOUT)
		;
}

/* Waits until there is something to do; after an error for a second at most. */
static struct work next_work(struct publisher *p, int failed)
{
	struct timespec until;
	struct work w;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += RETRY_S;
	pthread_mutex_lock(&p->lock);
	if (!failed)
		rest(p);
	while (!p->stop && (failed || idle(p))) {
		if (!failed)
			pthread_cond_wait(&p->cond, &p->lock);
		else if (pthread_cond_timedwait(&p->cond, &p->lock, &until) == ETIMEDOUT)
			break;
	}
	w = (struct work){p->want, p->root, p->prepare, p->retire, p->stop};
	p->prepare = p->retire = 0;
	pthread_mutex_unlock(&p->lock);
	return w;
}

static void do_again(struct publisher *p, const struct work *w)
{
	pthread_mutex_lock(&p->lock);
	p->prepare |= w->prepare;
	p->retire |= w->retire;
	pthread_mutex_unlock(&p->lock);
}

/* 0, -1 to try again, 1 when the log is damaged. */
static int do_work(struct publisher *p, const struct work *w, struct error *e)
{
	e->code = 0;
	if (w->prepare && !w->stop && prepare(p, e) < 0)
		return -1;
	if (publish_to(p->publish, w->want, &w->root, e) < 0)
		return e->code == EBADMSG ? 1 : -1;
	return w->retire && publish_retire(p->publish, e) < 0 ? -1 : 0;
}

static void *run(void *arg)
{
	struct publisher *p = arg;
	struct error last = {0};
	int failed = 0;

	for (;;) {
		struct work w = next_work(p, failed);
		struct error e;
		int r = do_work(p, &w, &e);

		failed = r != 0;
		if (r == 1) {
			report_damage(p, &e);
			return NULL;
		}
		if (r < 0) {
			complain(&e, &last);
			do_again(p, &w);
		}
		if (w.stop)
			return NULL;
	}
}

struct publisher *publisher_start(int logdir, const struct note_signer *signer,
	const struct wal_config *c, int wake_fd, struct error *e)
{
	struct publisher *p = calloc(1, sizeof *p);
	int r;

	if (!p) {
		error_set(e, ENOMEM, "cannot start the publisher");
		return NULL;
	}
	p->logdir = logdir;
	p->wake_fd = wake_fd;
	p->config = c;
	p->prepare = p->retire = 1;
	pthread_mutex_init(&p->preparing, NULL);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->cond, NULL);
	p->publish = publish_open(logdir, signer, e);
	if (!p->publish) {
		free(p);
		return NULL;
	}
	r = pthread_create(&p->thread, NULL, run, p);
	if (r) {
		error_set(e, r, "cannot start the publisher's thread");
		publish_close(p->publish);
		free(p);
		return NULL;
	}
	return p;
}

void publisher_ask(struct publisher *p, uint64_t size, const struct tree_hash *root)
{
	pthread_mutex_lock(&p->lock);
	p->want = size;
	p->root = *root;
	pthread_cond_signal(&p->cond);
	pthread_mutex_unlock(&p->lock);
}

void publisher_rotated(struct publisher *p)
{
	pthread_mutex_lock(&p->lock);
	p->prepare = p->retire = 1;
	pthread_cond_signal(&p->cond);
	pthread_mutex_unlock(&p->lock);
}

int publisher_prepare_now(struct publisher *p, struct error *e)
{
	return prepare(p, e);
}

int publisher_found_damage(struct publisher *p, struct error *e)
{
	int damaged;

	pthread_mutex_lock(&p->lock);
	damaged = p->damaged;
	if (damaged)
		*e = p->damage;
	pthread_mutex_unlock(&p->lock);
	return damaged;
}

void publisher_stop(struct publisher *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = 1;
	pthread_cond_signal(&p->cond);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	publish_close(p->publish);
	pthread_mutex_destroy(&p->preparing);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->cond);
	free(p);
}
