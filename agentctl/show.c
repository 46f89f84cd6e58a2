/* agentctl show NAME: all that the supervisor says about one sandbox. Called by main.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agentctl/verbs.h"
#include "common/cleanup.h"
#include "common/escape.h"

/* Prints one "key TAB value" line as text. */
static void print_text(const char *key, const char *value)
{
	static char safe[ESCAPE_CAP(sizeof((struct ctl_lines *)0)->buf)]; /* large */

	if (strcmp(key, "started-ms") == 0) {
		long long ms = strtoll(value, NULL, 10);
		time_t s = (time_t)(ms / 1000);
		struct tm tm;
		char when[40], age[24];

		ctl_age(age, sizeof age, ms);
		if (localtime_r(&s, &tm) &&
			strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S %z", &tm)) {
			printf("%-18s %s (%s ago)\n", "started", when, age);
			return;
		}
	}
	escape_text(safe, sizeof safe, value, strlen(value));
	printf("%-18s %s\n", ctl_safe(key), safe);
}

static int is_number(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n < 16 && strspn(s, "0123456789") == n && (s[0] != '0' || n == 1);
}

/* A value is a number when its key says so: a sandbox that is called 7 stays a string. */
static int numeric_key(const char *key)
{
	static const char *const keys[] = {"owner", "kernel-uid", "pid", "processes", "started-ms"};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (strcmp(keys[i], key) == 0)
			return 1;
	return 0;
}

static void print_member(const char *key, const char *value, int first)
{
	putchar(first ? '{' : ',');
	ctl_json_string(key);
	putchar(':');
	if (numeric_key(key) && is_number(value))
		fputs(value, stdout);
	else
		ctl_json_string(value);
}

/* Prints the answer as it comes. An exit code. */
static int print_answer(struct ctl_lines *l, int json)
{
	struct error e;
	char *line;
	int r, first = 1;

	while ((r = ctl_read_line(l, &line, &e)) == 1) {
		char *tab = strchr(line, '\t');

		if (strcmp(line, ".") == 0) {
			if (json)
				puts(first ? "{}" : "}");
			return CTL_OK;
		}
		if (ctl_is_err(line))
			return CTL_REFUSED;
		if (tab)
			*tab = 0;
		if (json)
			print_member(line, tab ? tab + 1 : "", first);
		else
			print_text(line, tab ? tab + 1 : "");
		first = 0;
	}
	if (r == 0)
		error_set(&e, 0, "agentd closed the connection in the middle of its answer");
	return ctl_error(&e);
}

static int run_show(struct ctl *c, int argc, char **argv)
{
	static struct ctl_lines l;
	const char *name = NULL;
	char request[128];
	struct error e;
	int json = 0;
	cleanup_close int fd = -1;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			json = 1;
		else if (argv[i][0] == '-' || name)
			return ctl_usage(&verb_show, "unknown argument %s", ctl_safe(argv[i]));
		else
			name = argv[i];
	}
	if (!name)
		return ctl_usage(&verb_show, "which sandbox? (agentctl ps lists them)");
	if (!ctl_name_ok(name))
		return CTL_USAGE;
	snprintf(request, sizeof request, "SHOW %s\n", name);
	fd = ctl_ask(c, c->paths.control, request, &l, &e);
	if (fd < 0)
		return ctl_error(&e);
	return print_answer(&l, json);
}

const struct verb verb_show = {
	.name = "show",
	.usage = "NAME [--json]",
	.summary = "everything about one sandbox",
	.help = "NAME is a name from `agentctl ps`; root and group agentd write UID/NAME for the\n"
		"sandbox of another user.\n"
		"\n"
		"  --json   one object\n"
		"\n"
		"example\n"
		"  agentctl show web\n",
	.run = run_show,
};
