/* agentctl-tools VERB …: finds the verb's function; see tools.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agentctl/tools/tools.h"
#include "common/cleanup.h"
#include "common/escape.h"
#include "common/paths.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{"approvals", tool_approvals},
	{"approve", tool_approve},
	{"audit", tool_audit},
	{"deny", tool_deny},
	{"doctor", tool_doctor},
	{"policy", tool_policy},
	{"witness", tool_witness},
};

int tool_fail(const char *verb, const struct error *e)
{
	char safe[ESCAPE_CAP(sizeof e->text)];

	escape_text(safe, sizeof safe, e->text, strlen(e->text));
	fprintf(stderr, "agentctl %s: %s\n", verb, safe);
	return e->code ? TOOL_DAEMON : TOOL_FAILED;
}

int tool_usage(const char *verb, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "agentctl %s: ", verb);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (agentctl help %s)\n", verb);
	return TOOL_USAGE;
}

/* Takes `--root DIR`, `--root=DIR`, `--help` and `-h` before "--" out of the arguments. The new argc,
 * or -1. */
static int take_common(int argc, char **argv, int *help)
{
	int n = 0, i = 0;

	for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
		const char *value = NULL;

		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			*help = 1;
			continue;
		}
		if (strncmp(argv[i], "--root=", 7) == 0) {
			value = argv[i] + 7;
		} else if (strcmp(argv[i], "--root") == 0) {
			if (i + 1 == argc)
				return -1;
			value = argv[++i];
		}
		if (value && setenv("AGENTD_ROOT", value, 1) < 0)
			return -1;
		if (!value)
			argv[n++] = argv[i];
	}
	for (; i < argc; i++)
		argv[n++] = argv[i];
	argv[n] = NULL;
	return n;
}

/* A root that cannot be used is a wrong command line, whatever the verb; and what could not be printed
 * is no success. */
static int run(int (*verb)(int argc, char **argv), int argc, char **argv)
{
	struct paths p;
	struct error e;
	int code;

	if (paths_init(&p, NULL, &e) < 0) {
		(void)tool_fail(argv[0], &e);
		return TOOL_USAGE;
	}
	code = verb(argc, argv);
	if ((fflush(stdout) != 0 || ferror(stdout)) && code == TOOL_OK) {
		error_set(&e, 0, "its output could not be written");
		return tool_fail(argv[0], &e);
	}
	return code;
}

int main(int argc, char **argv)
{
	static char word[] = "--help";
	int help = 0, n = take_common(argc, argv, &help);

	if (n < 0) {
		fprintf(stderr, "agentctl: --root needs a directory\n");
		return TOOL_USAGE;
	}
	for (size_t i = 0; n > 1 && i < ARRAY_LEN(verbs); i++) {
		char *args[] = {argv[1], word, NULL};

		if (strcmp(argv[1], verbs[i].name) != 0)
			continue;
		return help ? verbs[i].run(2, args) : run(verbs[i].run, n - 1, argv + 1);
	}
	fprintf(stderr, "agentctl: no such verb; `agentctl help` lists them\n");
	return TOOL_USAGE;
}
