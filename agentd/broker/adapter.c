/* The agents we know; see adapter.h. */
#include "agentd/broker/adapter.h"

#include <string.h>

#include "common/cleanup.h"

static const struct adapter *const adapters[] = {&adapter_claude};

const struct adapter *adapter_find(const char *agent)
{
	for (size_t i = 0; i < ARRAY_LEN(adapters); i++) {
		if (strcmp(adapters[i]->agent, agent) == 0)
			return adapters[i];
	}
	return NULL;
}
