/* agentctl freeze and thaw: stop every process of a sandbox where it is, and let it go on. Called by
 * main.c; the supervisor does it and records who asked. */
#include <stdio.h>

#include "agentctl/verbs.h"

/* Gives the order for each name; goes on after a failure. The first exit code that is not 0. */
static int order_all(
	const struct ctl *c, const struct verb *v, const char *verb, int argc, char **argv)
{
	int code = CTL_OK;

	if (argc < 2)
		return ctl_usage(v, "which sandbox? (agentctl ps lists them)");
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '-')
			return ctl_usage(v, "unknown option %s", ctl_safe(argv[i]));
		if (!ctl_name_ok(argv[i]))
			return CTL_USAGE;
	}
	for (int i = 1; i < argc; i++) {
		int r = ctl_order(c, verb, argv[i], NULL);

		if (r == CTL_OK && v == &verb_freeze)
			printf("%s is frozen; go on with: agentctl thaw %s\n", argv[i], argv[i]);
		else if (r == CTL_OK)
			printf("%s goes on\n", argv[i]);
		if (code == CTL_OK)
			code = r;
	}
	return code;
}

static int run_freeze(struct ctl *c, int argc, char **argv)
{
	return order_all(c, &verb_freeze, "FREEZE", argc, argv);
}

static int run_thaw(struct ctl *c, int argc, char **argv)
{
	return order_all(c, &verb_thaw, "THAW", argc, argv);
}

const struct verb verb_freeze = {
	.name = "freeze",
	.usage = "NAME…",
	.summary = "stop all processes of a sandbox where they are, to look or to think",
	.help = "Nothing in the sandbox runs until it is thawed; it can be killed while frozen.\n"
		"\n"
		"example\n"
		"  agentctl freeze web\n",
	.run = run_freeze,
};

const struct verb verb_thaw = {
	.name = "thaw",
	.usage = "NAME…",
	.summary = "let a frozen sandbox go on",
	.help = "example\n"
		"  agentctl thaw web\n",
	.run = run_thaw,
};
