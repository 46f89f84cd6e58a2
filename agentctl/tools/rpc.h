/* A JSON-RPC 2.0 client for the daemons, over control.sock (docs/rpc.md): the broker after RPC, the
 * recorder after AUDIT. Blocking, one call at a time; used by the verbs of agentctl-tools. */
#ifndef AGENTCTL_TOOLS_RPC_H
#define AGENTCTL_TOOLS_RPC_H

#include <jansson.h>

#include "common/error.h"
#include "common/paths.h"

#define RPC_ANSWER_MAX (16u << 20) /* bytes; a longer line is an error */

struct rpc;

/* Connects and says channel ("RPC" or "AUDIT"). The caller owns the result. NULL with *e filled:
 * also says what to do when no daemon runs. */
struct rpc *rpc_open(const struct paths *p, const char *channel, struct error *e);
void rpc_close(struct rpc *r);
/* From now on an answer that does not come within so many seconds is an error; 0: waits for ever. */
void rpc_set_timeout(struct rpc *r, unsigned seconds);

/* Calls a method and waits for its answer; notifications that come before it are dropped. params (an
 * object or NULL) is consumed. The result is owned by the caller; NULL with *e filled from the
 * answer's error or the failed connection (e->code then is an errno, else 0). */
json_t *rpc_call(struct rpc *r, const char *method, json_t *params, struct error *e);

/* Waits for the next notification: 1 and *note (owned by the caller), 0 at end of file, -1. */
int rpc_next(struct rpc *r, json_t **note, struct error *e);

/* The oldest descriptor that came with an answer and was not taken yet, or -1. The caller owns it. */
int rpc_take_fd(struct rpc *r);

#endif
