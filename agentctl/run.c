/* agentctl run: starts a command in a sandbox, joins it to the person's terminal or pipes, and ends with
 * its exit code. Called by main.c. It only asks: policy and walls are made by broker and supervisor. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agentctl/gather.h"
#include "agentctl/outcome.h"
#include "agentctl/relay.h"
#include "agentctl/terminal.h"
#include "agentctl/tty.h"
#include "agentctl/verbs.h"
#include "common/cleanup.h"
#include "common/io.h"

struct run {
	struct run_options o;
	struct detach_keys keys;
	struct ctl_lines control;
	struct relay relay;
	char name[NAME_CAP], session[80];
};

/* Takes one option at argv[*i]. 1 when it was one, 0 when it is none, -1 usage (reported). */
static int take_option(struct ctl *c, struct run *r, int argc, char **argv, int *i)
{
	static const char *const names[] = {
		"name", "agent", "policy", "workspace", "root", "detach-keys"};
	char *value = NULL;
	size_t k = 0;
	int got = 0;

	if (strcmp(argv[*i], "--detach") == 0 || strcmp(argv[*i], "-d") == 0) {
		r->o.detached = 1;
		return 1;
	}
	for (; k < ARRAY_LEN(names) && !got; k++)
		got = ctl_option(argc, argv, i, names[k], &value);
	if (got < 0) {
		ctl_usage(&verb_run, "--%s needs a value", names[k - 1]);
		return -1;
	}
	if (!got)
		return 0;
	switch (k - 1) {
	case 0:
		r->o.name = value;
		break;
	case 1:
		r->o.agent = value;
		break;
	case 2:
		if (r->o.policies == CLI_DOCS_MAX) {
			ctl_usage(&verb_run, "more than %d policies", CLI_DOCS_MAX);
			return -1;
		}
		r->o.policy[r->o.policies++] = value;
		break;
	case 3:
		r->o.workspace = value;
		break;
	case 4:
		c->root = value;
		break;
	default:
		if (detach_keys_parse(&r->keys, value) < 0) {
			ctl_usage(&verb_run,
				"--detach-keys wants keys like ctrl-a,d (or none), not %s",
				ctl_safe(value));
			return -1;
		}
	}
	return 1;
}

/* A name as the broker takes it, or a usage error. */
static int check_word(const char *what, const char *word)
{
	if (!word || name_valid(word))
		return 0;
	ctl_usage(&verb_run, "%s %s: use 1 to 40 of a-z 0-9 . _ - and begin with a letter or digit",
		what, ctl_safe(word));
	return -1;
}

/* Parses the command line. 0; -1 usage (reported); 1 help was wanted and printed. */
static int parse(struct ctl *c, struct run *r, int argc, char **argv)
{
	int i = 1;

	(void)detach_keys_parse(&r->keys, DETACH_KEYS_DEFAULT);
	for (; i < argc && argv[i][0] == '-' && strcmp(argv[i], "--") != 0; i++) {
		int got;

		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			printf("usage: agentctl run %s\n\n%s", verb_run.usage, verb_run.help);
			return 1;
		}
		got = take_option(c, r, argc, argv, &i);
		if (got < 0)
			return -1;
		if (!got) {
			ctl_usage(&verb_run, "unknown option %s", ctl_safe(argv[i]));
			return -1;
		}
	}
	if (i < argc && strcmp(argv[i], "--") == 0)
		i++;
	if (i >= argc || !*argv[i]) {
		ctl_usage(&verb_run, "which command?");
		return -1;
	}
	r->o.argv = argv + i;
	if (check_word("--name", r->o.name) < 0 || check_word("--agent", r->o.agent) < 0)
		return -1;
	if (r->o.agent && strcmp(r->o.agent, "claude-code") != 0 &&
		strcmp(r->o.agent, "command") != 0)
		dprintf(2,
			"agentctl: this version has no hook for agents of kind %s: the walls hold, "
			"but its "
			"tool calls are not decided\n",
			r->o.agent);
	return 0;
}

/* Sends RUN with the request and, for a piped run, the three descriptors. */
static int send_run(const struct ctl *c, struct run *r, int request, struct error *e)
{
	int fds[4] = {request, r->relay.pass[0], r->relay.pass[1], r->relay.pass[2]};
	size_t n = r->o.terminal ? 1 : 4;
	cleanup_close int fd = ctl_connect(c, c->paths.control, e);

	if (fd < 0)
		return -1;
	if (io_send_fds(fd, "RUN\n", 4, fds, n, 0) < 0 && errno != EPIPE)
		return error_set(e, errno, "cannot send the request to agentd");
	r->control.fd = take_fd(&fd);
	return 0;
}

/* "ERR TEXT", or "ERR 127 TEXT" when the exit code is to be another than 1. */
static int refused(const char *text)
{
	char *end;
	long code = strtol(text, &end, 10);

	if (end == text + 3 && *end == ' ' && code >= 125 && code <= 127)
		return ctl_fail((int)code, "%s", ctl_safe(end + 1));
	return ctl_fail(CTL_REFUSED, "%s", ctl_safe(text));
}

/* Waits for "OK NAME SESSION". An exit code when it does not come. */
static int await_start(struct run *r)
{
	struct error e;
	char *line;
	int got = ctl_read_line(&r->control, &line, &e);

	if (got < 0)
		return ctl_error(&e);
	if (got == 0)
		return ctl_fail(CTL_FAILED,
			"agentd closed the connection before the sandbox ran (agentctl doctor)");
	if (strncmp(line, "ERR ", 4) == 0)
		return refused(line + 4);
	if (sscanf(line, "OK %40s %79s", r->name, r->session) != 2 || !name_valid(r->name))
		return ctl_fail(CTL_FAILED, "agentd answered: %s", ctl_safe(line));
	return CTL_OK;
}

/* After the start, until the end. Returns the exit code. */
static int stay(const struct ctl *c, struct run *r, int broker)
{
	struct outcome o;

	if (r->o.detached) {
		printf("%s\n", r->name);
		if (isatty(2))
			dprintf(2, "agentctl: it runs; its terminal: agentctl attach %s\n",
				r->name);
		return CTL_OK;
	}
	if (r->o.terminal) {
		terminal_join(c, r->name, r->session, broker, &r->control, &r->keys, &o);
	} else {
		relay_signals(r->control.fd, r->name);
		relay_run(&r->relay, &r->control, &o);
	}
	return outcome_report(&o, r->name);
}

static int start(struct ctl *c, struct run *r)
{
	cleanup_close int request = -1;
	struct error e;
	int code, broker = -1;

	if (!r->o.terminal && relay_open(&r->relay, &e) < 0)
		return ctl_error(&e);
	request = gather_request(&r->o, &e);
	if (request < 0)
		return ctl_fail(CTL_REFUSED, "%s", e.text);
	if (send_run(c, r, request, &e) < 0)
		return ctl_error(&e);
	if (!r->o.terminal)
		relay_sent(&r->relay);
	else if (!r->o.detached)
		broker = terminal_prepare(c);
	code = await_start(r);
	return code ? code : stay(c, r, broker);
}

static int run_run(struct ctl *c, int argc, char **argv)
{
	static struct run r; /* large, and once a process */
	struct error e;
	int parsed = parse(c, &r, argc, argv);

	if (parsed)
		return parsed > 0 ? CTL_OK : CTL_USAGE;
	if (paths_init(&c->paths, c->root, &e) < 0)
		return ctl_fail(CTL_USAGE, "%s", ctl_safe(e.text));
	r.o.terminal = r.o.detached || (isatty(0) && isatty(1));
	if (r.o.terminal)
		tty_size(&r.o.rows, &r.o.cols);
	return start(c, &r);
}

const struct verb verb_run = {
	.name = "run",
	.usage = "[OPTIONS] -- COMMAND [ARGUMENTS]",
	.summary = "run an agent, or any command, in a sandbox",
	.help = "The command sees the workspace, a private home directory, the system and the "
		"programs on\n"
		"your PATH, and nothing else of yours. On a terminal it gets a terminal of its "
		"own;\n"
		"otherwise (pipes, files, CI) its standard input and output are yours.\n"
		"\n"
		"  --name NAME        what to call it; else agentd makes a name up\n"
		"  --agent KIND       claude-code installs the agent's hook, and is known by "
		"itself "
		"for the\n"
		"                     command `claude`. Any other KIND is only a name: no hook, so "
		"no "
		"`tools`\n"
		"                     rule is asked for; the walls hold as always\n"
		"  --workspace DIR    the directory it works in; else the nearest one above that "
		"has\n"
		"                     .git or .agentd, else this one\n"
		"  --policy FILE      one more policy (the strictest wins); may be repeated\n"
		"  -d, --detach       do not wait; print the name\n"
		"  --detach-keys KEYS what to type to leave a terminal: keys separated by commas, "
		"such as\n"
		"                     ctrl-a,d; `none`: no way. As it comes: ctrl-\\,d (ctrl-\\ "
		"twice\n"
		"                     sends one ctrl-\\)\n"
		"  --root DIR         the agentd that lives below DIR\n"
		"\n"
		"Who leaves, or loses the connection, finds it again with `agentctl attach NAME`. "
		"A piped\n"
		"run ends with agentctl. INT, TERM, HUP, QUIT, USR1, USR2, WINCH, TSTP and CONT "
		"sent to\n"
		"the agentctl of a piped run reach the command.\n"
		"\n"
		"exit codes: the command's own; 126 it could not be executed, 127 it was not "
		"found, 128+N\n"
		"signal N ended it; 1 refused (the policy, a latch after a kill, …), 2 the command "
		"line is\n"
		"wrong, 125 agentd failed\n"
		"\n"
		"examples\n"
		"  agentctl run -- claude\n"
		"  agentctl run --name web --agent claude-code -- claude -p 'fix the build'\n"
		"  agentctl run --detach --workspace ~/src/app -- npm test\n"
		"  git diff | agentctl run -- ./summarise.py > summary\n",
	.run = run_run,
	.flags = VERB_COMMAND | VERB_ROOTLESS,
};
