/* Launch plans from a hostile broker: plan_check and every accessor over what passed it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	void *p = calloc(1, n ? n : 1);
	const struct plan_header *h = p;
	volatile size_t sum = 0;

	memcpy(p, data, n);
	if (plan_check(p, n, NULL) == 0) {
		for (uint32_t i = 0; i < h->argc; i++)
			sum += strlen(plan_text(h, plan_arg(h, i)));
		for (uint32_t i = 0; i < h->envc; i++)
			sum += strlen(plan_text(h, plan_env(h, i)));
		for (uint32_t i = 0; i < h->mountc; i++)
			sum += strlen(plan_text(h, plan_mount_at(h, i)->dst));
	}
	free(p);
	return 0;
}
