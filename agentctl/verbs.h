/* The verbs of agentctl and what they share: one file per verb, each exports one struct verb, and
 * main.c has the table of them. A verb parses its own arguments, talks to agentd and returns the
 * exit code of the process. It never prints text of others but through escape_text. */
#ifndef AGENTCTL_VERBS_H
#define AGENTCTL_VERBS_H

#include <stddef.h>

#include "common/error.h"
#include "common/paths.h"

/* Exit codes, documented by `agentctl help`. `run` passes the agent's own. */
#define CTL_OK      0
#define CTL_REFUSED 1 /* agentd said no, or what was named does not exist */
#define CTL_USAGE   2 /* the command line is wrong; also: the hook denies */
#define CTL_FAILED  125 /* agentd itself failed, or is not running */

struct ctl {
	const char *root; /* the argument of --root, NULL when absent */
	struct paths paths; /* filled before a verb's function is called */
};

struct verb {
	const char *name;
	const char *usage; /* arguments only, e.g. "NAME [--json]" */
	const char *summary; /* one line for `agentctl help` */
	const char *help; /* the rest: options, exit codes, examples */
	/* argv[0] is the verb; "--help" and "--root DIR" before "--" were taken out already (with
	 * VERB_COMMAND: before the first argument that is no option). Returns the exit code. */
	int (*run)(struct ctl *c, int argc, char **argv);
	unsigned flags; /* VERB_* */
};

#define VERB_COMMAND  1u /* a command of the user's follows: its options are not ours */
#define VERB_ROOTLESS 2u /* does not use ctl.paths, which then is not filled */

extern const struct verb verb_run, verb_attach, verb_ps, verb_show, verb_freeze, verb_thaw,
	verb_hook;
extern const struct verb verb_kill, verb_unlatch, verb_latches; /* kill.c */

/* Prints "agentctl: TEXT" and a newline on stderr; returns code, so that a verb can end with
 * `return ctl_fail(CTL_REFUSED, …)`. The text is not escaped: the caller does that. */
__attribute__((format(printf, 2, 3))) int ctl_fail(int code, const char *fmt, ...);

/* Prints "agentctl VERB: TEXT", its usage line and where help is, on stderr. Returns CTL_USAGE. */
__attribute__((format(printf, 2, 3))) int ctl_usage(const struct verb *v, const char *fmt, ...);

/* Becomes agentctl-tools; returns when it cannot, with errno. */
void ctl_exec_tools(char **argv);

/* Connects to control.sock or kill.sock (paths.control, paths.kill). The fd, or -1 with *e filled:
 * the text says the cure ("agentd is not running below /x: start it with …"). */
int ctl_connect(const struct ctl *c, const char *socket_path, struct error *e);

/* One line-speaking connection; large: not on a small stack. */
struct ctl_lines {
	int fd;
	size_t start, end;
	char buf[65536];
};

/* Reads the next line, NUL-terminated without its LF, into *line (valid until the next call; NUL
 * bytes in it are turned into '?'). 1, 0 at end of file, -1 with *e filled (also for a line that is
 * longer than the buffer). Blocks. */
int ctl_read_line(struct ctl_lines *l, char **line, struct error *e);

/* Connects, sends request (which ends with LF) and sets up *l to read the answer. The fd (owned by
 * the caller) or -1 with *e filled. */
int ctl_ask(const struct ctl *c, const char *socket_path, const char *request, struct ctl_lines *l,
	struct error *e);

/* Sends "VERB TARGET" to control.sock and expects "OK", with count not NULL "OK N". Reports what went
 * wrong. An exit code. */
int ctl_order(const struct ctl *c, const char *verb, const char *target, unsigned long *count);

/* Prints the error of a failed ctl_ask/ctl_connect/ctl_read_line. Returns CTL_FAILED. */
int ctl_error(const struct error *e);

/* Handles an answer line "ERR TEXT": prints TEXT escaped. Returns 1 when it was one. */
int ctl_is_err(const char *line);

/* 1 when arg is "--NAME VALUE" or "--NAME=VALUE" at argv[*i]; *value is set and *i moved to the last
 * argument it took. -1 when the value is missing. 0 when it is something else. */
int ctl_option(int argc, char **argv, int *i, const char *name, char **value);

/* 1 when s is "NAME" or "UID/NAME" (another user's sandbox, for root and group agentd). Else prints
 * why not and returns 0. */
int ctl_name_ok(const char *s);

/* Columns of the terminal on stdout; 0 when it is none (then nothing is cut). */
size_t ctl_columns(void);

/* "45s", "12m", "3h 5m", "2d 4h" since unix_ms; "?" for a time in the future or 0. */
void ctl_age(char *buf, size_t cap, long long unix_ms);

/* escape_text into a buffer of its own, in a ring of 8 (so up to 8 results live at a time), at most
 * 1 KiB each; for printing. */
const char *ctl_safe(const char *s);

/* Writes s as a JSON string, quotes included, to stdout. */
void ctl_json_string(const char *s);

#endif
