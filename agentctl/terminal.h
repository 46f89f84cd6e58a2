/* Joins the person's terminal to the pty of a sandbox, and keeps them joined: what `agentctl run` on a
 * terminal and `agentctl attach` do. */
#ifndef AGENTCTL_TERMINAL_H
#define AGENTCTL_TERMINAL_H

#include "agentctl/keys.h"
#include "agentctl/outcome.h"
#include "agentctl/verbs.h"

/* A connection to the broker for a terminal_join that follows: `run` opens it while the sandbox starts,
 * so that a command which ends at once is attached to before it does. -1: none, which is no error. */
int terminal_prepare(const struct ctl *c);

/* Joins the terminal to the sandbox until one of them ends or the person leaves. broker: from
 * terminal_prepare (taken over), or -1. control: the connection on which the supervisor reports the end
 * (of `run`), or NULL. Fills *o; the terminal is restored when it returns. */
void terminal_join(const struct ctl *c, const char *name, const char *session, int broker,
	struct ctl_lines *control, const struct detach_keys *keys, struct outcome *o);

#endif
