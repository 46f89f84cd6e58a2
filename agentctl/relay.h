/* The standard descriptors of a piped run. A plain file, pipe, socket or /dev/null is given to the agent
 * as it is; of a terminal or another device the agent only gets a pipe, which agentctl feeds: a
 * terminal's descriptor inside a sandbox could be made to type into the person's shell. Used by run.c. */
#ifndef AGENTCTL_RELAY_H
#define AGENTCTL_RELAY_H

#include "agentctl/outcome.h"
#include "agentctl/verbs.h"
#include "common/error.h"

struct relay {
	int pass[3]; /* what goes to the supervisor as 0, 1, 2 */
	int own[3]; /* our end of the pipe for that descriptor, -1: passed as it is */
};

/* Looks at descriptors 0, 1, 2 (which are open: main.c sees to that) and makes the pipes that are
 * needed. 0, or -1 with *e. */
int relay_open(struct relay *r, struct error *e);

/* After the request was sent: closes what only the agent may hold. */
void relay_sent(struct relay *r);

/* From now on INT, TERM, HUP, QUIT, USR1, USR2, WINCH, CONT and TSTP go to the agent as SIGNAL lines
 * on this connection. A signal that was ignored when agentctl started stays ignored. */
void relay_signals(int control, const char *name);

/* Moves bytes until the supervisor reports the end. Fills *o. */
void relay_run(struct relay *r, struct ctl_lines *control, struct outcome *o);

#endif
