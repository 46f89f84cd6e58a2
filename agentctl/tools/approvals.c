/* agentctl approvals, approve, deny: what agents wait for, and the human's answer. Text from an agent is
 * shown escaped, whole or not at all (what is left out may be the part that matters), and what the agent
 * says about itself comes last and is marked: a phone screen of 40 columns must be enough to judge. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agentctl/tools/rpc.h"
#include "agentctl/tools/tools.h"
#include "common/cleanup.h"
#include "common/escape.h"

#define JUDGE_MAX 400 /* characters that a human reads before an answer in a listing */

/* 1 when help was wanted, and printed. */
static int help(int argc, char **argv, const char *text)
{
	if (argc < 2 || (strcmp(argv[1], "--help") != 0 && strcmp(argv[1], "-h") != 0))
		return 0;
	fputs(text, stdout);
	return 1;
}

/* ---- listing ---- */

static const char *str(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* As it is shown, owned by the caller; NULL: it cannot be. A text that is not UTF-8 comes as
 * {"b64": …} and is shown as that. */
static char *safe_of(json_t *v)
{
	static const char prefix[] = "base64:";
	json_t *b64 = json_object_get(v, "b64");
	const char *s = json_string_value(b64 ? b64 : v);
	size_t at = b64 ? sizeof prefix - 1 : 0;
	char *safe = s ? malloc(at + ESCAPE_CAP(strlen(s))) : NULL;

	if (!safe)
		return NULL;
	memcpy(safe, prefix, at);
	escape_text(safe + at, ESCAPE_CAP(strlen(s)), s, strlen(s));
	return safe;
}

static void print_safe(json_t *v)
{
	cleanup_free char *safe = safe_of(v);

	printf("%s", safe ? safe : "(cannot be shown)");
}

/* Characters of UTF-8. */
static size_t characters(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* Prints a text if it is short enough to judge. 1, or 0: something else was printed in its place. */
static int print_short(json_t *v)
{
	cleanup_free char *safe = safe_of(v);
	size_t n = safe ? characters(safe) : 0;

	if (safe && n <= JUDGE_MAX) {
		printf("%s", safe);
		return 1;
	}
	if (safe)
		printf("(%zu characters: too long to judge here)", n);
	else
		printf("(cannot be shown)");
	return 0;
}

static void print_duration(json_int_t s)
{
	if (s >= 3600)
		printf("%" JSON_INTEGER_FORMAT "h%02" JSON_INTEGER_FORMAT "m", s / 3600,
			s / 60 % 60);
	else if (s >= 60)
		printf("%" JSON_INTEGER_FORMAT "m%02" JSON_INTEGER_FORMAT "s", s / 60, s % 60);
	else
		printf("%" JSON_INTEGER_FORMAT "s", s);
}

static json_int_t number(json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* What the human can do. Who has not seen all of it may only refuse, or look. */
static void print_answers(const char *id, int seen)
{
	if (seen)
		printf("  agentctl approve %s\n", id);
	else
		printf("  agentctl approvals --full %s   (or --json) shows all of it\n", id);
	printf("  agentctl deny %s\n", id);
}

static void print_says(json_t *says, int full)
{
	printf("  agent says (not verified): ");
	if (full) {
		printf("\"");
		print_safe(says);
		printf("\"");
	} else {
		(void)print_short(says);
	}
	printf("\n");
}

/* What a shell would run, one command a line, without the quoting; nothing where the text says the
 * same. 1, or 0: some of it is too long to be shown here. */
static int print_runs(json_t *runs, const char *text, int full)
{
	int seen = 1;
	json_t *part;
	size_t i;

	if (json_array_size(runs) == 1 && strcmp(str(json_array_get(runs, 0), "text"), text) == 0)
		return 1;
	json_array_foreach(runs, i, part)
	{
		printf("  %-11s", i == 0 ? "would run:" : "");
		if (json_is_true(json_object_get(part, "inner")))
			printf("  ");
		if (strcmp(str(part, "kind"), "command") != 0)
			printf("(%s) ", str(part, "kind"));
		if (full)
			print_safe(json_object_get(part, "text"));
		else
			seen &= print_short(json_object_get(part, "text"));
		if (strcmp(str(part, "verdict"), "ask") == 0)
			printf("   <- ask");
		printf("\n");
	}
	return seen;
}

static void print_approval(json_t *a, int full)
{
	json_t *says = json_object_get(a, "agent_says");
	int seen = 1;

	printf("%s  ", str(a, "id"));
	print_safe(json_object_get(a, "tool"));
	printf("  in ");
	print_safe(json_object_get(a, "sandbox"));
	printf(" (");
	print_safe(json_object_get(a, "agent"));
	printf(")\n  ");
	if (full)
		print_safe(json_object_get(a, "text"));
	else
		seen = print_short(json_object_get(a, "text"));
	printf("\n");
	if ((seen || full) && !print_runs(json_object_get(a, "runs"), str(a, "text"), full))
		seen = 0;
	printf("  rule: ");
	print_safe(json_object_get(a, "rule"));
	if (*str(a, "reason")) {
		printf("\n  why: ");
		print_safe(json_object_get(a, "reason"));
	}
	printf("\n  asked ");
	print_duration(number(a, "age_s"));
	printf(" ago, denied in ");
	print_duration(number(a, "expires_s"));
	if (number(a, "waiters") > 1)
		printf(", %" JSON_INTEGER_FORMAT " calls wait", number(a, "waiters"));
	printf("\n");
	if (says)
		print_says(says, full);
	print_answers(str(a, "id"), seen);
}

/* All pages as one array. NULL with *e filled. */
static json_t *fetch(struct rpc *r, struct error *e)
{
	json_t *all = json_array();
	const char *after = NULL;

	for (;;) {
		json_t *p = after ? json_pack("{s:s}", "after", after) : NULL;
		json_t *page = rpc_call(r, "approvals", p, e), *list;
		size_t n;

		if (!page) {
			json_decref(all);
			return NULL;
		}
		list = json_object_get(page, "approvals");
		n = json_array_size(list);
		json_array_extend(all, list);
		if (!json_is_true(json_object_get(page, "more")) || !n) {
			json_decref(page);
			return all;
		}
		json_decref(page);
		after = str(json_array_get(all, json_array_size(all) - 1), "id");
	}
}

static void print_all(json_t *all)
{
	size_t i;
	json_t *a;

	if (json_array_size(all) == 0)
		printf("nothing waits for you\n");
	json_array_foreach(all, i, a)
	{
		if (i)
			printf("\n");
		print_approval(a, 0);
	}
}

/* One of them, whole. 0, or -1 with *e filled: it does not wait. */
static int print_full(json_t *all, const char *id, struct error *e)
{
	char safe[ESCAPE_CAP(32)];
	size_t i;
	json_t *a;

	json_array_foreach(all, i, a)
	{
		if (strcmp(str(a, "id"), id) == 0) {
			print_approval(a, 1);
			return 0;
		}
	}
	escape_text(safe, sizeof safe, id, strlen(id));
	return error_set(e, 0,
		"no approval %s waits (it may have been answered or have timed out); see "
		"`agentctl approvals`",
		safe);
}

static void print_json(json_t *all)
{
	json_dumpf(all, stdout, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_ENSURE_ASCII);
	printf("\n");
}

static struct rpc *open_broker(struct error *e)
{
	struct paths p;

	return paths_init(&p, NULL, e) < 0 ? NULL : rpc_open(&p, "RPC", e);
}

int tool_approvals(int argc, char **argv)
{
	struct error e = {0};
	struct rpc *r;
	json_t *all;
	int json = argc == 2 && strcmp(argv[1], "--json") == 0, shown = 0;
	const char *full = argc == 3 && strcmp(argv[1], "--full") == 0 ? argv[2] : NULL;

	if (help(argc, argv,
		    "usage: agentctl approvals [--json | --full ID]\n\n"
		    "Lists what agents wait for: the tool, the whole command, the rule that asks. "
		    "A command of\nmore than 400 characters is never shown in part: --full ID "
		    "shows all of one, --json all\nof all. Text of an agent is shown with every "
		    "hidden character made visible; what the agent\nsays about itself comes last "
		    "and nobody has verified it.\n\n"
		    "exit codes: 0; 1 refused; 125 agentd does not run\n"))
		return TOOL_OK;
	if (argc == 2 && strcmp(argv[1], "--full") == 0)
		return tool_usage("approvals", "which one? agentctl approvals --full ID");
	if (argc > 1 && !json && !full)
		return tool_usage("approvals", "unknown argument; known: --json, --full ID");
	r = open_broker(&e);
	all = r ? fetch(r, &e) : NULL;
	rpc_close(r);
	if (!all)
		return tool_fail("approvals", &e);
	if (json)
		print_json(all);
	else if (full)
		shown = print_full(all, full, &e);
	else
		print_all(all);
	json_decref(all);
	return shown < 0 ? tool_fail("approvals", &e) : TOOL_OK;
}

/* ---- answering ---- */

/* "90", "90s", "30m", "2h" in seconds, or -1. */
static json_int_t parse_duration(const char *s)
{
	char *end;
	long v;

	errno = 0;
	v = strtol(s, &end, 10);
	if (errno || end == s || v < 1 || v > 86400 || s[0] < '0' || s[0] > '9')
		return -1;
	if (strcmp(end, "m") == 0)
		v *= 60;
	else if (strcmp(end, "h") == 0)
		v *= 3600;
	else if (*end && strcmp(end, "s") != 0)
		return -1;
	return v <= 86400 ? v : -1;
}

/* A number of uses, or -1. */
static json_int_t parse_uses(const char *s)
{
	char *end;
	long v = strtol(s, &end, 10);

	return s[0] < '0' || s[0] > '9' || *end || v < 1 || v > 1000 ? -1 : v;
}

/* Puts one scope option into params; value is "" for --session. 0; -1 usage error (reported). */
static int take_scope(json_t *params, const char *option, const char *value)
{
	json_int_t n;

	if (json_object_size(params) > 1) {
		tool_usage("approve", "one of --uses, --for, --session");
		return -1;
	}
	if (strcmp(option, "--session") == 0)
		return json_object_set_new(params, "session", json_true());
	if (strcmp(option, "--for") == 0) {
		n = parse_duration(value);
		if (n < 0)
			tool_usage("approve", "--for takes a time up to 24h, like 90s, 30m or 2h");
		return n < 0 ? -1 : json_object_set_new(params, "for_s", json_integer(n));
	}
	n = parse_uses(value);
	if (n < 0)
		tool_usage("approve", "--uses takes a number from 1 to 1000");
	return n < 0 ? -1 : json_object_set_new(params, "uses", json_integer(n));
}

static int send_answer(const char *verb, const char *done, json_t *params)
{
	struct error e = {0};
	struct rpc *r = open_broker(&e);
	json_t *result = NULL;

	if (r)
		result = rpc_call(r, verb, params, &e);
	else
		json_decref(params);
	rpc_close(r);
	if (!result)
		return tool_fail(verb, &e);
	printf("%s %s in ", done, str(result, "id"));
	print_safe(json_object_get(result, "sandbox"));
	printf("\n");
	json_decref(result);
	return TOOL_OK;
}

int tool_approve(int argc, char **argv)
{
	json_t *params;

	if (help(argc, argv,
		    "usage: agentctl approve ID [--uses N | --for TIME | --session]\n\n"
		    "Lets the held call run. Without an option the answer covers this call (and "
		    "identical ones\nthat wait with it) and nothing else.\n\n"
		    "  --uses N     covers the same action N times (1 to 1000), this one included\n"
		    "  --for TIME   covers it for 90s, 30m, 2h, at most 24h\n"
		    "  --session    covers it until the sandbox ends\n\n"
		    "The same action means the same tool with the same input in the same "
		    "directory. "
		    "For more\nthan a session write a policy rule.\n\n"
		    "exit codes: 0; 1 refused, or nothing waits under that id; 2 usage; 125 agentd "
		    "does "
		    "not run\n\n"
		    "example\n  agentctl approve k7p2xm --for 30m\n"))
		return TOOL_OK;
	if (argc < 2 || argv[1][0] == '-')
		return tool_usage("approve",
			"which one? agentctl approve ID [--uses N | --for 30m | --session]");
	params = json_pack("{s:s}", "id", argv[1]);
	for (int i = 2; params && i < argc; i++) {
		int value = strcmp(argv[i], "--uses") == 0 || strcmp(argv[i], "--for") == 0;

		if (!value && strcmp(argv[i], "--session") != 0) {
			json_decref(params);
			return tool_usage("approve",
				"unknown argument; known: --uses N, --for TIME, --session");
		}
		if (value && i + 1 == argc) {
			json_decref(params);
			return tool_usage("approve", "%s needs a value", argv[i]);
		}
		if (take_scope(params, argv[i], value ? argv[i + 1] : "") < 0) {
			json_decref(params);
			return TOOL_USAGE;
		}
		i += value;
	}
	if (!params)
		return tool_usage("approve", "the id is not text");
	return send_answer("approve", "approved", params);
}

int tool_deny(int argc, char **argv)
{
	json_t *params;
	int reason = argc == 4 && strcmp(argv[2], "--reason") == 0;

	if (help(argc, argv,
		    "usage: agentctl deny ID [--reason TEXT]\n\n"
		    "The held call does not run; the agent is told so, and the reason.\n\n"
		    "exit codes: 0; 1 refused, or nothing waits under that id; 2 usage; 125 agentd "
		    "does "
		    "not run\n\n"
		    "example\n  agentctl deny k7p2xm --reason 'open a pull request instead'\n"))
		return TOOL_OK;
	if (argc < 2 || argv[1][0] == '-' || (argc != 2 && !reason))
		return tool_usage("deny", "agentctl deny ID [--reason TEXT]");
	params = reason ? json_pack("{s:s, s:s}", "id", argv[1], "reason", argv[3])
			: json_pack("{s:s}", "id", argv[1]);
	if (!params)
		return tool_usage("deny", "the reason is not UTF-8 text");
	return send_answer("deny", "denied", params);
}
