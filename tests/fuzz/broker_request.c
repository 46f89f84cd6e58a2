/* Launch requests as agentctl (a user's process) writes them. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "agentd/broker/plans.h"
#include "agentd/broker/runreq.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct runreq r;
	struct session s = {.uid = 1000, .name = "fuzz", .id = "fuzz.00000000"};
	struct policy_error pe;
	struct error e;
	char name[NAME_CAP];
	size_t len;

	if (runreq_parse(&r, data, n, 0, &e) == 0) {
		plans_identity(&s, &r);
		plans_name(name, &r, 2);
		if (!name_valid(name))
			__builtin_trap();
		s.policy = policy_load(NULL, 0, NULL, &pe);
		/* Whatever parses gives a plan that plan_check accepts, or an error: never a crash. */
		free(plans_build(&s, &r, 1000, &len, &e));
		policy_free(s.policy);
	}
	runreq_free(&r);
	return 0;
}
