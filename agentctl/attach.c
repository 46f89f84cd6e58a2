/* agentctl attach NAME: the terminal of a sandbox that runs. Called by main.c. */
#include <string.h>
#include <unistd.h>

#include "agentctl/keys.h"
#include "agentctl/outcome.h"
#include "agentctl/terminal.h"
#include "agentctl/verbs.h"

static int run_attach(struct ctl *c, int argc, char **argv)
{
	struct detach_keys keys;
	struct outcome o;
	const char *name = NULL;

	(void)detach_keys_parse(&keys, DETACH_KEYS_DEFAULT);
	for (int i = 1; i < argc; i++) {
		char *value = NULL;
		int got = ctl_option(argc, argv, &i, "detach-keys", &value);

		if (got < 0 || (got && detach_keys_parse(&keys, value) < 0))
			return ctl_usage(
				&verb_attach, "--detach-keys wants keys like ctrl-a,d (or none)");
		if (got)
			continue;
		if (argv[i][0] == '-' || name)
			return ctl_usage(&verb_attach, "unknown argument %s", ctl_safe(argv[i]));
		name = argv[i];
	}
	if (!name)
		return ctl_usage(&verb_attach, "which sandbox? (agentctl ps lists them)");
	if (!ctl_name_ok(name))
		return CTL_USAGE;
	if (!isatty(0) || !isatty(1))
		return ctl_fail(CTL_USAGE, "attach needs a terminal on standard input and output");
	terminal_join(c, name, NULL, -1, NULL, &keys, &o);
	return outcome_report(&o, name);
}

const struct verb verb_attach = {
	.name = "attach",
	.usage = "[--detach-keys KEYS] NAME",
	.summary = "your terminal becomes that of a sandbox that runs",
	.help = "Works for what was started on a terminal or with --detach, also after the "
		"connection\n"
		"it was started from is gone. It takes the terminal over from whoever has it.\n"
		"\n"
		"Leave it again with ctrl-\\ d (ctrl-\\ twice sends one ctrl-\\), or with what\n"
		"--detach-keys says: keys separated by commas, such as ctrl-a,d; `none`: no way.\n"
		"\n"
		"exit codes: the command's own when it ends, 0 when you leave; 1 no such sandbox "
		"(or no\n"
		"terminal in it), 2 the command line is wrong, 125 agentd failed\n"
		"\n"
		"example\n"
		"  agentctl attach web\n",
	.run = run_attach,
};
