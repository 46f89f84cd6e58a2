/* agentd: the unprivileged daemon roles, one process each. Started only by the supervisor, as
 * `agentd ROLE --root DIR`; this file finds the role and does nothing else. */
#include <stdio.h>
#include <string.h>

#include "agentd/role.h"
#include "common/cleanup.h"

static const struct {
	const char *name;
	int (*main)(int argc, char **argv);
} roles[] = {
	{"broker", broker_main},
	{"recorder", recorder_main},
};

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return printf("agentd %s\n", AGENTD_VERSION) < 0;
	for (size_t i = 0; argc > 1 && i < ARRAY_LEN(roles); i++) {
		if (strcmp(argv[1], roles[i].name) == 0)
			return roles[i].main(argc - 1, argv + 1);
	}
	fprintf(stderr,
		"usage: agentd broker|recorder [--root DIR]\n"
		"The supervisor starts the roles; to run agentd, start agentd-supervisor.\n");
	return 2;
}
