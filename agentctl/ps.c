/* agentctl ps: the sandboxes that run. Called by main.c; asks the supervisor, which lists the caller's
 * own (all for root and group agentd). A name is never cut: people type it. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agentctl/verbs.h"
#include "common/cleanup.h"
#include "common/escape.h"
#include "common/utf8.h"

enum field { F_NAME, F_UID, F_AGENT, F_STATE, F_PID, F_STARTED, F_SESSION, F_WORKSPACE, F_COUNT };

static const char *const field_names[F_COUNT] = {
	"name", "uid", "agent", "state", "pid", "started_unix_ms", "session", "workspace"};

struct row {
	char *f[F_COUNT]; /* as the supervisor sent them; point into line */
	char *line; /* owned */
	char age[24], user[36];
};

struct rows {
	struct row *v; /* owned */
	size_t n;
	int others; /* some belong to another user */
};

static void rows_free(struct rows *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->v[i].line);
	free(r->v);
}

/* Cuts a line at its tabs. 0, or -1 when the number of fields is another. */
static int split(char *line, char **f)
{
	size_t n = 0;
	char *p = line, *field;

	while ((field = strsep(&p, "\t")) != NULL) {
		if (n == F_COUNT)
			return -1;
		f[n++] = field;
	}
	return n == F_COUNT ? 0 : -1;
}

static void name_user(struct row *r)
{
	unsigned long uid = strtoul(r->f[F_UID], NULL, 10);
	/* cppcheck-suppress getpwuidCalled ; there is one thread */
	const struct passwd *pw = getpwuid((uid_t)uid);
	const char *name = pw ? pw->pw_name : r->f[F_UID];

	escape_text(r->user, sizeof r->user, name, strlen(name));
}

static int add_row(struct rows *rows, const char *line, struct error *e)
{
	struct row *v = realloc(rows->v, (rows->n + 1) * sizeof *v);
	struct row *r;

	if (!v)
		return error_set(e, 0, "out of memory");
	rows->v = v;
	r = &v[rows->n];
	memset(r, 0, sizeof *r);
	r->line = strdup(line);
	if (!r->line)
		return error_set(e, 0, "out of memory");
	rows->n++;
	if (split(r->line, r->f) < 0)
		return error_set(e, 0,
			"agentd's answer has another form than this agentctl expects: "
			"are they of one version?");
	ctl_age(r->age, sizeof r->age, strtoll(r->f[F_STARTED], NULL, 10));
	if (strtoul(r->f[F_UID], NULL, 10) != getuid())
		rows->others = 1;
	return 0;
}

/* Reads lines up to the one with a dot. An exit code. */
static int read_rows(struct ctl_lines *l, struct rows *rows)
{
	struct error e;
	char *line;
	int r;

	while ((r = ctl_read_line(l, &line, &e)) == 1) {
		if (strcmp(line, ".") == 0)
			return CTL_OK;
		if (ctl_is_err(line))
			return CTL_REFUSED;
		if (add_row(rows, line, &e) < 0)
			return ctl_error(&e);
	}
	if (r == 0)
		error_set(&e, 0, "agentd closed the connection in the middle of its answer");
	return ctl_error(&e);
}

static void print_json(const struct rows *rows)
{
	putchar('[');
	for (size_t i = 0; i < rows->n; i++) {
		printf(i ? ",\n {" : "{");
		for (int k = 0; k < F_COUNT; k++) {
			const char *v = rows->v[i].f[k];
			int number = k == F_UID || k == F_PID || k == F_STARTED;

			printf("%s\"%s\":", k ? "," : "", field_names[k]);
			if (number && *v && strspn(v, "0123456789") == strlen(v))
				fputs(v, stdout);
			else
				ctl_json_string(v);
		}
		putchar('}');
	}
	puts("]");
}

/* Prints s escaped; when it has more than width columns, its end behind an ellipsis. width 0: all. */
static void print_tail(const char *s, size_t width)
{
	const char *safe = ctl_safe(s);
	size_t columns = escape_width(safe);

	if (width && columns > width) {
		while (*safe && columns + 1 > width) {
			unsigned cp;
			size_t k = utf8_decode(safe, strlen(safe), &cp);

			safe += k ? k : 1;
			columns = escape_width(safe);
		}
		fputs("…", stdout);
	}
	puts(safe);
}

struct widths {
	int name, state, agent, age, user;
};

static void widen(int *w, const char *s)
{
	int n = (int)escape_width(s);

	if (n > *w)
		*w = n;
}

static void measure(const struct rows *rows, struct widths *w)
{
	*w = (struct widths){4, 5, 5, 2, 4};
	for (size_t i = 0; i < rows->n; i++) {
		const struct row *r = &rows->v[i];

		widen(&w->name, ctl_safe(r->f[F_NAME]));
		widen(&w->state, ctl_safe(r->f[F_STATE]));
		widen(&w->agent, ctl_safe(r->f[F_AGENT]));
		widen(&w->age, r->age);
		widen(&w->user, r->user);
	}
}

/* For narrow terminals: three short lines for each. */
static void print_stacked(const struct rows *rows, size_t width)
{
	for (size_t i = 0; i < rows->n; i++) {
		const struct row *r = &rows->v[i];

		puts(ctl_safe(r->f[F_NAME]));
		printf("  %s %s %s", ctl_safe(r->f[F_STATE]), r->age, ctl_safe(r->f[F_AGENT]));
		if (rows->others)
			printf(" %s", r->user);
		fputs("\n  ", stdout);
		print_tail(r->f[F_WORKSPACE], width > 4 ? width - 2 : 2);
	}
}

static void print_table(const struct rows *rows, size_t width)
{
	struct widths w;
	int columns;
	size_t used;

	measure(rows, &w);
	columns = w.name + w.state + w.agent + w.age + 8;
	if (rows->others)
		columns += w.user + 2;
	used = (size_t)columns;
	if (width && used + 16 > width) {
		print_stacked(rows, width);
		return;
	}
	printf("%-*s  %-*s  %-*s  %-*s  ", w.name, "NAME", w.state, "STATE", w.agent, "AGENT",
		w.age, "UP");
	if (rows->others)
		printf("%-*s  ", w.user, "USER");
	puts("WORKSPACE");
	for (size_t i = 0; i < rows->n; i++) {
		const struct row *r = &rows->v[i];

		printf("%-*s  %-*s  %-*s  %-*s  ", w.name, ctl_safe(r->f[F_NAME]), w.state,
			ctl_safe(r->f[F_STATE]), w.agent, ctl_safe(r->f[F_AGENT]), w.age, r->age);
		if (rows->others)
			printf("%-*s  ", w.user, r->user);
		print_tail(r->f[F_WORKSPACE], width ? width - used : 0);
	}
}

static void print_rows(const struct rows *rows, int json)
{
	if (json) {
		print_json(rows);
		return;
	}
	if (rows->n == 0) {
		if (isatty(1))
			puts("nothing runs (start something: agentctl run -- COMMAND)");
		return;
	}
	if (rows->others)
		for (size_t i = 0; i < rows->n; i++)
			name_user(&rows->v[i]);
	print_table(rows, ctl_columns());
}

static int run_ps(struct ctl *c, int argc, char **argv)
{
	static struct ctl_lines l;
	struct rows rows = {0};
	struct error e;
	int json = 0, code;
	cleanup_close int fd = -1;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") != 0)
			return ctl_usage(&verb_ps, "unknown argument %s", ctl_safe(argv[i]));
		json = 1;
	}
	fd = ctl_ask(c, c->paths.control, "PS\n", &l, &e);
	if (fd < 0)
		return ctl_error(&e);
	code = read_rows(&l, &rows);
	if (code == CTL_OK)
		print_rows(&rows, json);
	rows_free(&rows);
	return code;
}

const struct verb verb_ps = {
	.name = "ps",
	.usage = "[--json]",
	.summary = "the sandboxes that run",
	.help = "Lists your sandboxes; root and members of group agentd see those of all users.\n"
		"States: starting, running, frozen, ending.\n"
		"\n"
		"  --json   an array of {name, uid, agent, state, pid, started_unix_ms, session, "
		"workspace}\n"
		"\n"
		"examples\n"
		"  agentctl ps\n"
		"  agentctl ps --json | jq -r '.[] | select(.state == \"frozen\") | .name'\n",
	.run = run_ps,
};
