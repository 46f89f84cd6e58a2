/* The broker's records, one function a kind (specs/audit.md 3.2).
 * They write into an append that journal_begin started. */
#ifndef BROKER_RECORDS_H
#define BROKER_RECORDS_H

#include "agentd/broker/state.h"

struct plan_header;

/* The tool call as the log keeps it: small inputs whole, larger ones as head, length and SHA-256. */
void records_input(struct text *t, const json_t *input);

/* input is what records_input wrote. says: the agent's own words, or NULL. */
void record_request(struct journal_append *a, const struct box *x, pid_t pid, const char *q,
	const char *tool, const char *input, size_t input_n, const char *says);
/* by: policy, approval, timeout, cancel, fail-closed. */
void record_decision(struct journal_append *a, const struct box *x, pid_t pid, const char *q,
	const char *by, int allow, const char *rule, const char *reason);
struct record_approval {
	const char *id, *digest, *scope, *reason;
	uint32_t uid, pid;
	int allow;
};
/* q: the first of the calls that it answers. */
void record_approval(struct journal_append *a, const struct box *x, const char *q,
	const struct record_approval *r);

/* Fills box.log.actor from what is known of the sandbox. */
void records_actor(struct box *x);

void record_start(struct journal_append *a, const struct box *x, const struct runreq *r);
void record_end(struct journal_append *a, const struct box *x);
void record_refused(struct journal_append *a, uint32_t uid, const char *agent, const char *name,
	const char *text);
void record_trust(struct journal_append *a, const char *kind, uint32_t uid, uint32_t pid,
	const char *path, const char *sha256);
/* x: the sandbox it is about, or NULL. -1 when the event has no kind that is known. */
int record_event(struct journal_append *a, const struct box *x, const struct msg_event *ev);

#endif
