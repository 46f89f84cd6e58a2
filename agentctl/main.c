/* agentctl, the command that people, scripts and agents' hooks run. This static program has the verbs
 * that must start fast; it execs agentctl-tools (JSON, YAML, cryptography) for the others. Here: the
 * table of verbs, help, and the options that every verb has. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agentctl/verbs.h"
#include "common/cleanup.h"

static const struct verb *const verbs[] = {
	&verb_run,
	&verb_attach,
	&verb_ps,
	&verb_show,
	&verb_kill,
	&verb_unlatch,
	&verb_latches,
	&verb_freeze,
	&verb_thaw,
	&verb_hook,
};

/* What agentctl-tools has. It prints their help itself. */
static const struct {
	const char *name, *summary;
} tool_verbs[] = {
	{"approvals", "what agents wait for: the actions that a human must decide"},
	{"approve", "let a held action go on"},
	{"deny", "refuse a held action"},
	{"policy", "check, show, test and trust policies"},
	{"audit", "read and verify the log of everything decided"},
	{"witness", "sign for other machines' logs"},
	{"doctor", "what protects this machine, what does not, and what to do about it"},
};

static const char help_head[] =
	"agentctl runs coding agents in sandboxes, decides what they may do, and stops them.\n"
	"\n"
	"usage: agentctl [--root DIR] VERB [ARGUMENTS]\n"
	"\n";

static const char help_tail[] =
	"\n"
	"agentctl help VERB (or agentctl VERB --help) says more about one of them.\n"
	"\n"
	"  --root DIR   the agentd that lives below DIR (also: the variable AGENTD_ROOT)\n"
	"  --version    the version\n"
	"\n"
	"exit codes\n"
	"  0        it worked\n"
	"  1        refused, or there is no such thing; the reason is on stderr\n"
	"  2        the command line is wrong; for hook: the action is denied\n"
	"  3, 4, 5  of kill, audit and policy: see their help\n"
	"  125      agentd failed or is not running\n"
	"  run and attach pass the exit code of the agent's command on: 126 when it could not be\n"
	"  executed, 127 when it was not found, 128+N when signal N ended it (137: killed)\n"
	"\n"
	"examples\n"
	"  agentctl run --agent claude-code -- claude\n"
	"  agentctl approvals\n"
	"  agentctl kill web --reason 'it deletes mail'\n";

static int print_verbs(void)
{
	fputs(help_head, stdout);
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		printf("  %-10s %s\n", verbs[i]->name, verbs[i]->summary);
	for (size_t i = 0; i < ARRAY_LEN(tool_verbs); i++)
		printf("  %-10s %s\n", tool_verbs[i].name, tool_verbs[i].summary);
	fputs(help_tail, stdout);
	return CTL_OK;
}

static int print_verb(const struct verb *v)
{
	printf("agentctl %s: %s\n\nusage: agentctl %s %s\n\n%s", v->name, v->summary, v->name,
		v->usage, v->help);
	return CTL_OK;
}

static const struct verb *verb_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (strcmp(verbs[i]->name, name) == 0)
			return verbs[i];
	return NULL;
}

static int is_tool_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(tool_verbs); i++)
		if (strcmp(tool_verbs[i].name, name) == 0)
			return 1;
	return 0;
}

#define WORD_MAX 16

/* Edit distance with insertions, deletions and replacements (Levenshtein) of two short words; words
 * that are too long are far apart. */
static size_t distance(const char *a, const char *b)
{
	size_t row[WORD_MAX + 1], na = strlen(a), nb = strlen(b);

	if (na > WORD_MAX || nb > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[nb];
}

/* What people type who know other tools. */
static const char *synonym(const char *name)
{
	static const char *const pairs[][2] = {{"list", "ps"}, {"ls", "ps"}, {"stop", "kill"},
		{"start", "run"}, {"exec", "run"}, {"log", "audit"}, {"logs", "audit"},
		{"pause", "freeze"}, {"unpause", "thaw"}, {"resume", "thaw"}, {"inspect", "show"},
		{"pending", "approvals"}, {"allow", "approve"}, {"status", "ps"}};

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		if (strcmp(pairs[i][0], name) == 0)
			return pairs[i][1];
	return NULL;
}

static const char *closest(const char *name)
{
	size_t best = strlen(name) > 3 ? 3 : 2; /* one less is near enough */
	const char *found = synonym(name);

	if (found)
		return found;
	for (size_t i = 0; i < ARRAY_LEN(verbs) + ARRAY_LEN(tool_verbs); i++) {
		const char *v = i < ARRAY_LEN(verbs) ? verbs[i]->name
						     : tool_verbs[i - ARRAY_LEN(verbs)].name;
		size_t d = distance(name, v);

		if (d < best) {
			best = d;
			found = v;
		}
	}
	return found;
}

static int unknown_verb(const char *name)
{
	const char *near = closest(name);

	if (near)
		return ctl_fail(CTL_USAGE, "there is no verb %s; did you mean %s? (agentctl help)",
			ctl_safe(name), near);
	return ctl_fail(
		CTL_USAGE, "there is no verb %s (agentctl help lists them)", ctl_safe(name));
}

/* Becomes agentctl-tools; args are those from the verb on. */
static int run_tools(const struct ctl *c, int argc, char **args)
{
	char **argv = calloc((size_t)argc + 4, sizeof *argv);
	size_t n = 0;

	if (!argv)
		return ctl_fail(CTL_FAILED, "out of memory");
	argv[n++] = "agentctl-tools";
	if (c->root) {
		argv[n++] = "--root";
		argv[n++] = (char *)(uintptr_t)c->root;
	}
	for (int i = 0; i < argc; i++)
		argv[n++] = args[i];
	ctl_exec_tools(argv);
	free(argv);
	return ctl_fail(CTL_FAILED,
		"the verb %s needs agentctl-tools, which is neither beside agentctl nor in "
		"%s/libexec/agentd (%s): install agentd again",
		args[0], AGENTD_PREFIX, strerror(errno));
}

static int help(const struct ctl *c, int argc, char **argv)
{
	const struct verb *v;
	char *args[] = {argc > 1 ? argv[1] : NULL, "--help", NULL};

	if (argc < 2)
		return print_verbs();
	v = verb_of(argv[1]);
	if (v)
		return print_verb(v);
	if (is_tool_verb(argv[1]))
		return run_tools(c, 2, args);
	if (strcmp(argv[1], "help") == 0 || argv[1][0] == '-')
		return print_verbs();
	return unknown_verb(argv[1]);
}

/* Takes the options that every verb has out of argv. Returns the new argc, or -1 when help is wanted
 * and -2 when --root has no argument. */
static int take_common(struct ctl *c, const struct verb *v, int argc, char **argv)
{
	int out = 1, i = 1;

	for (; i < argc; i++) {
		char *value;
		int r;

		if (strcmp(argv[i], "--") == 0 || ((v->flags & VERB_COMMAND) && argv[i][0] != '-'))
			break;
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return -1;
		r = ctl_option(argc, argv, &i, "root", &value);
		if (r < 0)
			return -2;
		if (r)
			c->root = value;
		else
			argv[out++] = argv[i];
	}
	for (; i < argc; i++)
		argv[out++] = argv[i];
	argv[out] = NULL;
	return out;
}

static int run_verb(struct ctl *c, const struct verb *v, int argc, char **argv)
{
	struct error e;
	int n = take_common(c, v, argc, argv);

	if (n == -1)
		return print_verb(v);
	if (n == -2)
		return ctl_usage(v, "--root needs a directory");
	if (!(v->flags & VERB_ROOTLESS) && paths_init(&c->paths, c->root, &e) < 0)
		return ctl_fail(CTL_USAGE, "%s", ctl_safe(e.text));
	return v->run(c, n, argv);
}

/* What the first words ask for; i is the index of the verb. */
static int dispatch(struct ctl *c, int argc, char **argv, int i)
{
	const struct verb *v;

	if (i >= argc) {
		print_verbs();
		return CTL_USAGE;
	}
	v = verb_of(argv[i]);
	if (v)
		return run_verb(c, v, argc - i, argv + i);
	if (strcmp(argv[i], "help") == 0)
		return help(c, argc - i, argv + i);
	if (is_tool_verb(argv[i]))
		return run_tools(c, argc - i, argv + i);
	return unknown_verb(argv[i]);
}

/* Descriptors 0 to 2 that are closed become /dev/null: else the next file or socket gets the number,
 * and what is meant for the person goes there. */
static int fill_standard_fds(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return -1;
	return 0;
}

int main(int argc, char **argv)
{
	struct ctl c = {0};
	int i = 1;

	if (fill_standard_fds() < 0)
		return CTL_USAGE; /* not even a place for words; the code by which a hook denies */
	for (; i < argc && argv[i][0] == '-'; i++) {
		char *value;
		int r = ctl_option(argc, argv, &i, "root", &value);

		if (r < 0)
			return ctl_fail(CTL_USAGE, "--root needs a directory");
		if (r) {
			c.root = value;
		} else if (strcmp(argv[i], "--version") == 0) {
			puts("agentctl " AGENTD_VERSION);
			return CTL_OK;
		} else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			return print_verbs();
		} else {
			return ctl_fail(
				CTL_USAGE, "unknown option %s (agentctl help)", ctl_safe(argv[i]));
		}
	}
	return dispatch(&c, argc, argv, i);
}
