/* The supervisor's event loop: descriptors with handlers on one epoll instance, and a tick. It knows
 * nothing of what the descriptors are. Single-threaded. */
#ifndef SUPERVISOR_LOOP_H
#define SUPERVISOR_LOOP_H

#include <stdint.h>

#include "common/error.h"

struct watch; /* one watched descriptor; owned by the loop until loop_unwatch */

typedef void watch_fn(void *arg, uint32_t events);

/* Once per process. 0 or -1. */
int loop_init(struct error *e);

/* Watches fd for events (EPOLLIN, …). The loop does not own the fd. NULL with *e filled. */
struct watch *loop_watch(int fd, uint32_t events, watch_fn *fn, void *arg, struct error *e);
int loop_change(struct watch *w, uint32_t events);

/* Stops watching; safe inside any handler, also for another watch that is due in this round. */
void loop_unwatch(struct watch *w);

/* Waits for events at most timeout_ms and runs their handlers once. 0, or -1 on a failing epoll. */
int loop_once(int timeout_ms, struct error *e);

#endif
