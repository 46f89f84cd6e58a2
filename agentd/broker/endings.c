/* Terminals of sandboxes that have just ended, for who attaches a moment too late (rpcs.c). Bounded in
 * time, in number and so in bytes: the oldest goes first, a user's flood pushes out that user's own.
 * Holds nothing else of a sandbox and decides nothing. */
#include <stdlib.h>
#include <string.h>

#include "agentd/broker/state.h"

#define KEEP_S      2
#define ENDINGS_UID 64u /* each holds a descriptor and at most 64 KiB */
#define ENDINGS_ALL 512u

void ending_free(struct ending *n)
{
	TAILQ_REMOVE(&n->b->endings, n, link);
	n->b->nendings--;
	if (n->timer)
		event_free(n->timer);
	pty_free(n->pty);
	free(n->params);
	free(n);
}

void endings_free(struct broker *b)
{
	struct ending *n, *next;

	for (n = TAILQ_FIRST(&b->endings); n; n = next) {
		next = TAILQ_NEXT(n, link);
		ending_free(n);
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	ending_free(arg);
}

/* Makes room for one more of this uid. */
static void make_room(struct broker *b, uid_t uid)
{
	struct ending *n, *oldest = NULL;
	unsigned mine = 0;

	TAILQ_FOREACH(n, &b->endings, link)
	{
		if (n->uid != uid)
			continue;
		mine++;
		if (!oldest)
			oldest = n;
	}
	if (mine >= ENDINGS_UID)
		ending_free(oldest);
	else if (b->nendings >= ENDINGS_ALL)
		ending_free(TAILQ_FIRST(&b->endings));
}

void ending_keep(struct box *x, const char *params)
{
	struct timeval tv = {.tv_sec = KEEP_S};
	struct ending *n = calloc(1, sizeof *n);

	if (!n)
		return; /* the box frees its terminal */
	make_room(x->b, x->info.uid);
	n->b = x->b;
	n->uid = x->info.uid;
	memcpy(n->name, x->info.name, sizeof n->name);
	memcpy(n->session, x->info.session, sizeof n->session);
	n->pty = x->pty;
	x->pty = NULL;
	TAILQ_INSERT_TAIL(&n->b->endings, n, link);
	n->b->nendings++;
	pty_end(n->pty);
	n->params = strdup(params);
	n->timer = evtimer_new(n->b->base, on_timer, n);
	if (!n->params || !n->timer || evtimer_add(n->timer, &tv) < 0)
		ending_free(n);
}

struct ending *ending_find(
	struct broker *b, const struct msg_peer *peer, const char *name, const char *session)
{
	struct ending *n, *found = NULL;
	const char *base;
	int64_t uid;

	if (split_name(name, &uid, &base) < 0)
		return NULL;
	TAILQ_FOREACH_REVERSE(n, &b->endings, endings, link)
	{
		if (strcmp(n->name, base) != 0 || !peer_may_uid(peer, n->uid) ||
			(uid >= 0 && (int64_t)n->uid != uid) ||
			(session && strcmp(n->session, session) != 0))
			continue;
		if (n->uid == peer->uid)
			return n;
		if (!found)
			found = n;
	}
	return found;
}
