/* agentctl policy: check, test, show, explain and trust policy files. Everything but trust works
 * without a daemon. Exit codes: 0 fine, 1 it did not work, 2 usage, 4 a file does not load, 5 its
 * tests fail, 125 agentd is not running. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agentctl/tools/policy_docs.h"
#include "agentctl/tools/policy_verbs.h"
#include "agentctl/tools/rpc.h"
#include "agentctl/tools/tools.h"
#include "common/cleanup.h"
#include "policy/shell/judge.h"

struct options {
	const char *agent;
	int effective;
	int argc; /* what is left */
	char **argv;
};

/* Takes the options out of argv. 0, or the exit code of a usage error. */
static int take_options(int argc, char **argv, struct options *o)
{
	int i, n = 0, rest = 0;

	*o = (struct options){.argv = argv};
	for (i = 0; i < argc; i++) {
		if (!rest && strcmp(argv[i], "--") == 0)
			rest = 1;
		else if (!rest && strcmp(argv[i], "--effective") == 0)
			o->effective = 1;
		else if (!rest && strncmp(argv[i], "--agent=", 8) == 0)
			o->agent = argv[i] + 8;
		else if (!rest && strcmp(argv[i], "--agent") == 0 && i + 1 < argc)
			o->agent = argv[++i];
		else if (!rest && argv[i][0] == '-' && argv[i][1])
			return tool_usage("policy", "unknown or incomplete option %.60s", argv[i]);
		else
			o->argv[n++] = argv[i];
	}
	o->argc = n;
	return 0;
}

/* ---- check and test ---- */

static void report_test(void *ctx, const char *test, const char *file, unsigned line, int ok,
	const struct decision *d)
{
	if (strcmp(file, ctx) != 0)
		return;
	printf("%s  ", ok ? "ok  " : "FAIL");
	policy_print(file);
	printf(":%u: ", line);
	policy_print(test);
	if (d->verdict == VERDICT_NONE) {
		printf("   (%s)\n", ok ? "proved for all actions" : "not proved");
		return;
	}
	printf("   (%s by ", verdict_name(d->verdict));
	policy_print(d->rule);
	printf(")\n");
}

static void report_file(const struct policy *p, const char *path)
{
	struct policy_layer l;
	size_t i;

	for (i = 0; policy_layer_get(p, i, &l) == 0; i++) {
		if (l.origin == POLICY_BUILTIN)
			continue;
		policy_print(l.extended_by ? l.file : path);
		printf(": ok, %zu rules, %zu tests passed%s\n", l.allow + l.ask + l.deny, l.tests,
			l.tests ? "" : " (it has none: a test is one line, see docs/policy.md)");
	}
}

static int check_file(const char *path, const char *agent, int verbose)
{
	struct policy_docs d = {0};
	struct policy *p = NULL;
	struct error e;
	int code = 0;
	size_t run;

	if (policy_docs_add(&d, path, POLICY_CLI, 0, &e)) {
		fflush(stdout);
		tool_fail("policy", &e);
		code = POLICY_EXIT_INVALID;
	} else {
		p = policy_docs_load(&d, agent, &code);
	}
	if (p) {
		if (verbose)
			policy_run_tests(p, &run, report_test, (void *)d.doc[0].name);
		report_file(p, path);
	}
	policy_free(p);
	policy_docs_free(&d);
	return code;
}

/* Each file alone. The exit code is that of the worst. */
static int verb_check(const struct options *o, int verbose)
{
	int i, worst = 0;

	if (o->argc == 0)
		return tool_usage("policy", "check and test need a FILE");
	for (i = 0; i < o->argc; i++) {
		int code = check_file(o->argv[i], o->agent, verbose);

		if (code == POLICY_EXIT_INVALID || (code && !worst))
			worst = code;
	}
	return worst;
}

/* ---- show and explain ---- */

static int collect(const struct options *o, int from, struct policy_docs *d)
{
	struct error e;
	int i;

	if (policy_docs_add_standard(d, &e)) {
		tool_fail("policy", &e);
		return TOOL_FAILED;
	}
	for (i = from; i < o->argc; i++) {
		if (policy_docs_add(d, o->argv[i], POLICY_CLI, 0, &e)) {
			tool_fail("policy", &e);
			return POLICY_EXIT_INVALID;
		}
	}
	return 0;
}

static int verb_show(const struct options *o)
{
	struct policy_docs d = {0};
	int code = collect(o, 0, &d);
	struct policy *p = code ? NULL : policy_docs_load(&d, o->agent, &code);

	if (p)
		policy_show(p, o->agent, o->effective);
	policy_free(p);
	policy_docs_free(&d);
	return code;
}

void policy_explain_decision(const char *label, const struct decision *d)
{
	printf("%-22s %s", label, verdict_name(d->verdict));
	if (d->verdict != VERDICT_NONE) {
		printf("   ");
		policy_print(d->rule);
	}
	if (d->line) {
		printf("   ");
		policy_print(d->file);
		printf(":%u", d->line);
	}
	if (d->why) {
		printf("   ");
		policy_print(d->why);
	}
	printf("\n");
}

static void explain(const struct policy *p, const struct action *a)
{
	struct decision d;
	size_t i;

	for (i = 0; policy_explain(p, i, a, &d) == 0; i++) {
		struct policy_layer l;
		char label[64];

		policy_layer_get(p, i, &l);
		snprintf(label, sizeof label, "%s%s", policy_origin_name(l.origin),
			l.active ? "" : " (not used)");
		policy_explain_decision(label, &d);
	}
	policy_decide(p, a, &d);
	policy_explain_decision("decision", &d);
	printf("%-22s %s\n", "enforced by", d.mechanism);
}

static int verb_explain(const struct options *o)
{
	struct policy_docs d = {0};
	struct policy *p = NULL;
	struct action *a = NULL;
	struct error e;
	int code;

	if (o->argc == 0)
		return tool_usage(
			"policy", "explain needs a call, like 'tool Bash {/command: \"ls\"}'");
	if (!policy_is_shell_line(o->argv[0]) && policy_parse_action(o->argv[0], &a, &e)) {
		tool_fail("policy", &e);
		return TOOL_USAGE;
	}
	code = collect(o, 1, &d);
	if (!code)
		p = policy_docs_load(&d, o->agent, &code);
	if (p && a)
		explain(p, a);
	else if (p)
		code = policy_explain_shell(p, o->argv[0]);
	action_free(a);
	policy_free(p);
	policy_docs_free(&d);
	return code;
}

/* ---- trust ---- */

/* Calls the broker. NULL with the exit code in *code. */
static json_t *call(const char *method, json_t *params, int *code)
{
	struct paths paths;
	struct error e = {0};
	struct rpc *r = NULL;
	json_t *result = NULL;

	if (!paths_init(&paths, NULL, &e))
		r = rpc_open(&paths, "RPC", &e);
	if (r)
		result = rpc_call(r, method, params, &e);
	else
		json_decref(params);
	if (!result)
		*code = tool_fail("policy", &e);
	if (r)
		rpc_close(r);
	return result;
}

/* A person must see what he trusts: everything that the file allows. */
static void print_allowed(const struct policy *p)
{
	struct policy_layer l;
	struct policy_rule r;
	size_t i, j;

	for (i = 0; policy_layer_get(p, i, &l) == 0; i++) {
		if (l.origin == POLICY_BUILTIN)
			continue;
		printf("It allows without asking:%s\n", l.allow ? "" : " nothing");
		for (j = 0; policy_rule_get(p, i, j, &r) == 0; j++) {
			if (r.effect != VERDICT_ALLOW || r.pins) /* pinned: counts as ask */
				continue;
			printf("  ");
			policy_print(r.text);
			printf("%s\n", r.excepts ? " (with exceptions)" : "");
		}
		printf("and has %zu ask and %zu deny rules.\n", l.ask, l.deny);
	}
}

static int trust_loaded(const struct policy_docs *d, const struct policy *p, const char *path)
{
	char sha256[65];
	json_t *result;
	int code = 0;

	policy_doc_digest(d->doc[0].text, d->doc[0].len, sha256);
	print_allowed(p);
	fflush(stdout);
	result = call("trust", json_pack("{s:s, s:s}", "path", path, "sha256", sha256), &code);
	if (!result)
		return code;
	printf("trusted: ");
	policy_print(path);
	printf("\nsha256:  %s\nA changed file has to be trusted again.\n", sha256);
	json_decref(result);
	return 0;
}

static int verb_trust(const struct options *o)
{
	const char *file = o->argc ? o->argv[0] : policy_docs_repo();
	cleanup_free char *path = realpath(file, NULL);
	struct policy_docs d = {0};
	struct policy *p = NULL;
	struct error e;
	int code = 0;

	if (o->argc > 1)
		return tool_usage("policy", "trust takes one FILE");
	if (!path) {
		error_set(&e, 0, "%.300s: %s", file, strerror(errno));
		return tool_fail("policy", &e);
	}
	if (policy_docs_add(&d, path, POLICY_REPO, 0, &e)) {
		tool_fail("policy", &e);
		code = POLICY_EXIT_INVALID;
	} else {
		p = policy_docs_load(&d, o->agent, &code);
	}
	if (p)
		code = trust_loaded(&d, p, path);
	policy_free(p);
	policy_docs_free(&d);
	return code;
}

/* The file may be gone: then its path is taken as it was typed. */
static int verb_untrust(const struct options *o)
{
	const char *file = o->argc ? o->argv[0] : policy_docs_repo();
	cleanup_free char *path = realpath(file, NULL);
	json_t *result;
	int code = 0;

	if (o->argc > 1)
		return tool_usage("policy", "untrust takes one FILE");
	if (!path && file[0] != '/')
		return tool_usage("policy", "%.60s does not exist: give its absolute path", file);
	result = call("untrust", json_pack("{s:s}", "path", path ? path : file), &code);
	if (!result)
		return code;
	printf("%s: ", json_is_true(json_object_get(result, "removed")) ? "no longer trusted"
									: "was not trusted");
	policy_print(path ? path : file);
	printf("\n");
	json_decref(result);
	return 0;
}

static int verb_trusted(const struct options *o)
{
	json_t *result, *list, *item;
	int code = 0;
	size_t i;

	if (o->argc)
		return tool_usage("policy", "trusted takes no argument");
	result = call("trusted", json_object(), &code);
	if (!result)
		return code;
	list = json_object_get(result, "trusted");
	json_array_foreach(list, i, item)
	{
		const char *path = json_string_value(json_object_get(item, "path"));
		const char *sha256 = json_string_value(json_object_get(item, "sha256"));

		if (!path || !sha256)
			continue;
		printf("%.64s  ", sha256);
		policy_print(path);
		printf("\n");
	}
	json_decref(result);
	return 0;
}

/* For `agentctl run`, see agentctl/extends.h: the names of the files that absolute FILEs extend, each
 * with a NUL behind it. */
static int verb_extended(const struct options *o)
{
	struct policy_docs d = {0};
	struct error e;
	int failed = 0;

	for (int i = 0; i < o->argc && !failed; i++)
		failed = policy_docs_add(&d, o->argv[i], POLICY_CLI, 0, &e);
	failed = failed || policy_docs_extend(&d, &e);
	for (size_t i = 0; i < d.n && !failed; i++) {
		if (d.doc[i].origin == POLICY_EXTENDED)
			fwrite(d.doc[i].name, 1, strlen(d.doc[i].name) + 1, stdout);
	}
	if (failed)
		tool_fail("policy", &e);
	policy_docs_free(&d);
	return failed || fflush(stdout) ? TOOL_FAILED : TOOL_OK;
}

static int verb_builtin(void)
{
	const struct policy_doc *d = policy_builtin();

	return fwrite(d->text, 1, d->len, stdout) == d->len ? TOOL_OK : TOOL_FAILED;
}

static int run_verb(const char *verb, const struct options *o)
{
	if (strcmp(verb, "check") == 0)
		return verb_check(o, 0);
	if (strcmp(verb, "test") == 0)
		return verb_check(o, 1);
	if (strcmp(verb, "show") == 0)
		return verb_show(o);
	if (strcmp(verb, "explain") == 0)
		return verb_explain(o);
	if (strcmp(verb, "trust") == 0)
		return verb_trust(o);
	if (strcmp(verb, "untrust") == 0)
		return verb_untrust(o);
	if (strcmp(verb, "trusted") == 0)
		return verb_trusted(o);
	if (strcmp(verb, "extended") == 0)
		return verb_extended(o);
	if (strcmp(verb, "builtin") == 0)
		return verb_builtin();
	return tool_usage("policy",
		"there is no `policy %.40s`: check, test, lint, show, explain, diff, suggest, "
		"trust, "
		"untrust, "
		"trusted, "
		"builtin",
		verb);
}

static int help(void)
{
	fputs("usage: agentctl policy check FILE…      does it load, do its tests pass?\n"
	      "       agentctl policy test FILE…       the same, and every test\n"
	      "       agentctl policy lint [--strict] FILE…\n"
	      "                                        rules that do nothing, or let danger "
	      "through;\n"
	      "                                        exit 5 for errors, with --strict for "
	      "warnings\n"
	      "       agentctl policy show [--effective] [--agent KIND] [FILE…]\n"
	      "                                        the layers of a session started here; with\n"
	      "                                        --effective what they come to\n"
	      "       agentctl policy explain [--agent KIND] CALL [FILE…]\n"
	      "                                        what each layer says about a call; of a "
	      "shell\n"
	      "                                        text, about every command in it\n"
	      "       agentctl policy diff [--effective] [--exit-zero]\n"
	      "                            [--format text|markdown|json|sarif] OLD NEW\n"
	      "                                        what a change means, exactly, with "
	      "examples;\n"
	      "                                        files, directories or git revisions\n"
	      "       agentctl policy suggest [--since 30d] [--session ID]… [--kind KIND] [--min "
	      "N]\n"
	      "                            [--policy FILE] [--log DIR | --jsonl FILE] [--json]\n"
	      "                                        a patch with the rules that would have "
	      "saved most\n"
	      "                                        prompts, and what it would allow; never "
	      "applied\n"
	      "       agentctl policy trust [FILE]     use the workspace's .agentd/policy.yaml\n"
	      "       agentctl policy untrust [FILE]   no longer\n"
	      "       agentctl policy trusted          what you trust\n"
	      "       agentctl policy builtin          print the built-in layer\n"
	      "FILE may be - for standard input (check, test, show).\n"
	      "exit:  0 fine, 1 failed, 2 usage (diff: 1; 2 wider, 3 a `never` is broken), 4 a "
	      "file "
	      "does not load, 5 its tests fail,\n"
	      "       125 agentd is not running\n"
	      "examples:\n"
	      "  agentctl policy check .agentd/policy.yaml\n"
	      "  agentctl policy explain 'tool Bash {/command: \"git push\"}'\n"
	      "  agentctl policy explain 'shell git status && rm -rf x'\n"
	      "  agentctl policy show --effective --agent claude-code\n"
	      "  agentctl policy diff origin/main HEAD\n"
	      "  agentctl policy suggest --since 14d > suggested.patch\n",
		stdout);
	return TOOL_OK;
}

int tool_policy(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : NULL;
	struct options o;
	int code;

	if (!verb)
		return tool_usage("policy", "which one: check, test, show, explain, trust…");
	if (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0 || strcmp(verb, "help") == 0)
		return help();
	if (strcmp(verb, "diff") == 0)
		return policy_diff_verb(argc - 2, argv + 2);
	if (strcmp(verb, "lint") == 0)
		return policy_lint_verb(argc - 2, argv + 2);
	if (strcmp(verb, "suggest") == 0)
		return policy_suggest_verb(argc - 2, argv + 2);
	code = take_options(argc - 2, argv + 2, &o);
	return code ? code : run_verb(verb, &o);
}
