/* A sandbox's terminal while nobody looks: the master is read into a ring of the last 64 KiB, so that
 * the agent is never blocked and the next attach can show what it missed. While somebody is attached,
 * agentctl reads the master itself and the broker does not. */
#ifndef BROKER_PTY_H
#define BROKER_PTY_H

#include <event2/event.h>

#include "agentd/broker/text.h"

struct pty;

/* Takes the master over and begins to drain it. NULL: no memory (the master is closed). */
struct pty *pty_new(struct event_base *base, int master);
void pty_free(struct pty *p);

int pty_master(const struct pty *p);
/* Stops draining; what the ring holds goes to *replay, oldest first, and the ring is empty. */
void pty_pause(struct pty *p, struct text *replay);
/* Drains again. */
void pty_resume(struct pty *p);

#endif
