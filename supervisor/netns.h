/* A pool of ready-made network namespaces with only `lo` in them, up. Making one takes 0.4 ms, so the
 * spawner fills the pool while it is idle. */
#ifndef SUPERVISOR_NETNS_H
#define SUPERVISOR_NETNS_H

#define NETNS_POOL 8

struct netns_pool {
	int proc_fd; /* the host's /proc */
	int fd[NETNS_POOL];
	int n;
};

/* Adds one namespace; the calling process moves into it (it must not use its own). 0, 1 when the pool
 * is full, -1 with errno. */
int netns_fill_one(struct netns_pool *p);

/* Takes one out (makes it when the pool is empty). The fd, or -1 with errno. */
int netns_take(struct netns_pool *p);

#endif
