/* A sandbox's terminal while nobody looks: the master is read into a ring of the last 64 KiB, so that
 * the agent is never blocked and the next attach can show what it missed. While somebody is attached,
 * agentctl reads the master itself and the broker does not. What comes out of a terminal is the agent's:
 * it is kept and passed on, never understood, and it gets no more than a share of the broker's time. */
#ifndef BROKER_PTY_H
#define BROKER_PTY_H

#include <event2/event.h>

#include "agentd/broker/text.h"

struct pty;

/* Takes the master over and begins to drain it. hold: somebody is about to attach, so nothing is thrown
 * away: a full ring blocks the agent until the first attach, for 2 s at most. NULL: no memory (the
 * master is closed). */
struct pty *pty_new(struct event_base *base, int master, int hold);
void pty_free(struct pty *p);

int pty_master(const struct pty *p);
/* Stops draining; what the ring holds goes to *replay, oldest first, and the ring is empty. */
void pty_pause(struct pty *p, struct text *replay);
/* Drains again. */
void pty_resume(struct pty *p);
/* The sandbox has ended: takes what the master still has into the ring. Where nothing may be thrown
 * away and the ring is full, the rest stays in the master for who attaches. No draining after it. */
void pty_end(struct pty *p);

#endif
