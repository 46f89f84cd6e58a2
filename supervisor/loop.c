/* The supervisor's event loop; see loop.h. */
#include "supervisor/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

struct watch {
	int fd;
	uint32_t events;
	watch_fn *fn; /* NULL: unwatched, freed at the end of the round */
	void *arg;
	struct watch *next_dead; /* dead list */
};

#define ROUND_MAX 64

static int epoll_fd = -1;
static struct watch *dead;

int loop_init(struct error *e)
{
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return epoll_fd < 0 ? error_set(e, errno, "cannot make an epoll instance") : 0;
}

struct watch *loop_watch(int fd, uint32_t events, watch_fn *fn, void *arg, struct error *e)
{
	struct watch *w = calloc(1, sizeof *w);
	struct epoll_event ev = {.events = events, .data.ptr = w};

	if (!w || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		error_set(e, errno, "cannot watch a descriptor");
		free(w);
		return NULL;
	}
	*w = (struct watch){.fd = fd, .events = events, .fn = fn, .arg = arg};
	return w;
}

int loop_change(struct watch *w, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	if (w->events == events)
		return 0;
	w->events = events;
	return epoll_ctl(epoll_fd, EPOLL_CTL_MOD, w->fd, &ev);
}

void loop_unwatch(struct watch *w)
{
	if (!w || !w->fn)
		return;
	epoll_ctl(epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
	w->fn = NULL;
	w->next_dead = dead;
	dead = w;
}

static void bury(void)
{
	while (dead) {
		struct watch *w = dead;

		dead = w->next_dead;
		free(w);
	}
}

int loop_once(int timeout_ms, struct error *e)
{
	struct epoll_event ev[ROUND_MAX];
	int n = epoll_wait(epoll_fd, ev, ROUND_MAX, timeout_ms);

	if (n < 0 && errno != EINTR)
		return error_set(e, errno, "epoll_wait");
	for (int i = 0; i < n; i++) {
		struct watch *w = ev[i].data.ptr;

		if (w->fn)
			w->fn(w->arg, ev[i].events);
	}
	bury();
	return 0;
}
