/* An automaton laid out for being run: column by column, so that the state that was just read is all
 * that the next look-up has to wait for. */
#ifndef POLICY_AUTOMATA_TABLE_H
#define POLICY_AUTOMATA_TABLE_H

#include "policy/automata/dfa.h"

struct table {
	uint32_t column[256]; /* [byte]: where its column begins in `to` */
	uint32_t absorbing; /* states from here on are never left */
	uint16_t *to; /* [column + state] */
	uint8_t *mark; /* [state] */
};

/* *out is the caller's and does not refer to d. */
enum dfa_status table_new(const struct dfa *d, struct table **out);
void table_free(struct table *t); /* and NULL */

/* As dfa_run, some three times as fast. */
uint8_t table_run(const struct table *t, const void *p, size_t n);

#endif
