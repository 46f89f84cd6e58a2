/* The observations, in bounded memory: different actions, sessions, and how often one met the other. */
#ifndef POLICY_SUGGEST_OBSERVE_H
#define POLICY_SUGGEST_OBSERVE_H

#include "policy/suggest/suggest.h"

#define OBSERVE_ACTIONS_MAX  30000u
#define OBSERVE_SESSIONS_MAX 20000u
#define OBSERVE_MEETS_MAX    300000u
#define OBSERVE_BYTES_MAX    (64u << 20) /* of all of them */

struct observed_session {
	char *id;
	const char *dropped; /* why nothing is learned from it; NULL: it is */
	uint64_t denial[SUGGEST_STORM_DENIALS]; /* the last ones, a ring */
	size_t denials;
};

struct observed_action {
	char *text;
	uint32_t first; /* meeting, 0: none; else index + 1 */
};

struct observed_meet { /* of one action and one session */
	uint32_t action, session, next; /* next meeting of the action: index + 1 */
	uint32_t count[SUGGEST_OUTCOMES], prompts;
	uint64_t last; /* time of the last approval */
};

struct index { /* open addressing; entries are index + 1 */
	uint32_t *slot;
	size_t cap, used;
};

struct suggest_log {
	size_t actions, sessions, meets, bytes;
	size_t actions_cap, sessions_cap, meets_cap;
	struct observed_action *action;
	struct observed_session *session;
	struct observed_meet *meet;
	struct index by_text, by_id, by_pair;
	struct suggest_totals totals;
};

#define FOR_MEETS(l, a, m)                                                                      \
	for (const struct observed_meet *(m) =                                                  \
			(l)->action[(a)].first ? &(l)->meet[(l)->action[(a)].first - 1] : NULL; \
		m; (m) = (m)->next ? &(l)->meet[(m)->next - 1] : NULL)

#endif
