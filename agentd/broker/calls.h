/* tool.sock, the part of it that the rest of the broker calls. */
#ifndef BROKER_CALLS_H
#define BROKER_CALLS_H

#include "agentd/broker/state.h"

/* Begins to accept on box.listener. 0 or -1. */
int calls_listen(struct box *x);
/* Stops listening and closes every connection: held calls are denied. */
void calls_clients_close(struct box *x);
/* Takes a connected socket as if it had been accepted. For tests and fuzzers. NULL when refused. */
struct conn *calls_attach(struct box *x, int fd);

struct call_scratch *calls_scratch_new(void);
void calls_scratch_free(struct call_scratch *s);

#endif
