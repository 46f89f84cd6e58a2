/* Completeness: within the records that are there, is something left out? Per session the counter n is
 * gapless in each epoch (common/msg.h says how epochs begin), and every request has its decision. Used
 * by verify. Bounded memory: beyond its limits it stops watching and says so. Pure. */
#ifndef AUDIT_ORDER_H
#define AUDIT_ORDER_H

#include <jansson.h>
#include <stdint.h>

#define ORDER_SESSIONS_MAX 65536u
#define ORDER_REQUESTS_MAX 262144u

struct order;

struct order_result {
	uint64_t sessions; /* seen */
	uint64_t gaps; /* places where n is not the one that must come */
	uint64_t gap_index; /* of the record at the first of them */
	char gap_session[64]; /* and its session (untrusted text) */
	uint64_t orphans; /* requests without a decision */
	uint64_t orphan_index; /* of the first of them */
	uint64_t pending; /* requests of sessions that are still open */
	int incomplete; /* a limit was reached: not everything was watched */
};

struct order *order_new(void);
void order_free(struct order *o);
/* The next record, in order. */
void order_add(struct order *o, const json_t *record, uint64_t index);
/* After the last one. */
void order_finish(struct order *o, struct order_result *out);

#endif
