/* How it ended; see outcome.h. */
#include "agentctl/outcome.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agentctl/verbs.h"
#include "common/jsonscan.h"

/* An exit code in decimal and, behind a space, the rest. */
static int read_code(const char *s, int *code, const char **rest)
{
	char *end;
	long v = strtol(s, &end, 10);

	if (end == s || s[0] < '0' || s[0] > '9' || v > 255 || (*end && *end != ' '))
		return -1;
	*code = (int)v;
	*rest = *end ? end + 1 : end;
	return 0;
}

/* What follows the word and a space, NULL when line does not begin with it. */
static const char *behind(const char *line, const char *word)
{
	size_t n = strlen(word);

	return strncmp(line, word, n) == 0 && line[n] == ' ' ? line + n + 1 : NULL;
}

int outcome_of_line(struct outcome *o, const char *line)
{
	const char *exit_code = behind(line, "EXIT"), *end = behind(line, "END"), *rest = end;

	if (exit_code && read_code(exit_code, &o->code, &rest) == 0) {
		o->kind = OUTCOME_EXIT;
		o->text[0] = 0;
		return 1;
	}
	if (!end)
		return 0;
	o->kind = OUTCOME_END;
	o->code = CTL_FAILED;
	(void)read_code(end, &o->code, &rest);
	snprintf(o->text, sizeof o->text, "%s", rest);
	return 1;
}

int outcome_of_notification(struct outcome *o, const char *line)
{
	struct span all = {line, strlen(line)}, method, params, v;
	char name[32];
	size_t n;
	int64_t number;

	if (json_find(all, "method", &method) != 1 ||
		json_string(method, name, sizeof name, &n) < 0 ||
		json_find(all, "params", &params) != 1)
		return 0;
	o->text[0] = 0;
	if (strcmp(name, "detached") == 0) {
		o->kind = OUTCOME_TAKEN;
		if (json_find(params, "by_pid", &v) == 1 && json_int(v, &number) == 0)
			snprintf(o->text, sizeof o->text, "pid %lld", (long long)number);
		return 1;
	}
	if (strcmp(name, "ended") != 0)
		return 0;
	o->kind = OUTCOME_EXIT;
	o->code = CTL_FAILED;
	if (json_find(params, "code", &v) == 1 && json_int(v, &number) == 0 && number >= 0 &&
		number <= 255)
		o->code = (int)number;
	if (json_find(params, "text", &v) == 1 &&
		json_string(v, o->text, sizeof o->text, &n) == 0 && n > 0)
		o->kind = OUTCOME_END;
	return 1;
}

int outcome_report(const struct outcome *o, const char *name)
{
	switch (o->kind) {
	case OUTCOME_EXIT:
		return o->code;
	case OUTCOME_END:
		return ctl_fail(o->code, "%s ended: %s", name, ctl_safe(o->text));
	case OUTCOME_DETACHED:
		dprintf(2, "agentctl: left %s, which goes on; back to it: agentctl attach %s\n",
			name, name);
		return CTL_OK;
	case OUTCOME_TAKEN:
		dprintf(2,
			"agentctl: %s goes on at another terminal (%s); back to it: agentctl "
			"attach "
			"%s\n",
			name, *o->text ? ctl_safe(o->text) : "another attach", name);
		return CTL_OK;
	case OUTCOME_REFUSED:
		return ctl_fail(CTL_REFUSED, "%s", ctl_safe(o->text));
	case OUTCOME_LOST:
	case OUTCOME_NONE:
		break;
	}
	return ctl_fail(CTL_FAILED, "%s", *o->text ? ctl_safe(o->text) : "agentd is gone");
}
