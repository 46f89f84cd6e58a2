/* agentctl policy suggest: rules that the log suggests, as a patch for the policy file with what it means.
 * Needs no daemon. Nothing is applied: the patch is for people to read and for `patch -p1`.
 *
 * The file is taken as the repository's layer, with those of this machine's administrator and user beside
 * it, and every `when` counts as holding, as in `agentctl policy diff`. */
#include "agentctl/tools/policy_suggest.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>
#include <libpsl.h>

#include "agentctl/tools/policy_diff.h"
#include "agentctl/tools/policy_docs.h"
#include "agentctl/tools/policy_suggest_print.h"
#include "agentctl/tools/policy_verbs.h"
#include "agentctl/tools/tools.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "policy/suggest/edit.h"

#define DAYS_DEFAULT   30u
#define COMMENT_MAX    160u
#define COPIED_EXCEPTS 8u

struct options {
	struct suggest_source source;
	const char *kind, *file;
	unsigned least;
	int json;
};

/* ---- options ---- */

/* 14d, 12h, 30m, 90s before now. 0, or -1. */
static int take_since(const char *text, uint64_t *out)
{
	static const struct {
		char unit;
		uint64_t seconds;
	} units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
	uint64_t now = (uint64_t)time(NULL), n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || errno || n > 100000 || !*end || end[1])
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (units[i].unit != *end)
			continue;
		n *= units[i].seconds;
		*out = now > n ? now - n : 0;
		return 0;
	}
	return -1;
}

static int take_least(const char *text, unsigned *out)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end || n < SUGGEST_LEAST || n > 1000000)
		return -1;
	*out = (unsigned)n;
	return 0;
}

static int kind_ok(const char *kind)
{
	static const char *const kinds[] = {"tool", "exec", "file", "connect", "http", "mcp"};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strcmp(kinds[i], kind) == 0)
			return 1;
	}
	return 0;
}

/* One option and its value. 0, or the exit code of a usage error. */
static int take_option(struct options *o, const char *name, const char *value)
{
	if (strcmp(name, "--log") == 0)
		o->source.log = value;
	else if (strcmp(name, "--jsonl") == 0)
		o->source.jsonl = value;
	else if (strcmp(name, "--policy") == 0)
		o->file = value;
	else if (strcmp(name, "--kind") == 0 && kind_ok(value))
		o->kind = value;
	else if (strcmp(name, "--kind") == 0)
		return tool_usage("policy",
			"there is no kind %.30s: tool, exec, file, connect, http, mcp", value);
	else if (strcmp(name, "--session") == 0 && o->source.sessions < SUGGEST_NAMED_MAX)
		o->source.session[o->source.sessions++] = value;
	else if (strcmp(name, "--session") == 0)
		return tool_usage("policy", "more than %u times --session", SUGGEST_NAMED_MAX);
	else if (strcmp(name, "--since") == 0)
		return take_since(value, &o->source.since)
			       ? tool_usage("policy", "no time (%.30s): write 14d, 12h, 30m", value)
			       : 0;
	else if (strcmp(name, "--min") == 0)
		return take_least(value, &o->least)
			       ? tool_usage("policy", "--min takes a number, %u at least",
					 SUGGEST_LEAST)
			       : 0;
	else
		return tool_usage("policy", "unknown option %.60s", name);
	return 0;
}

static int take_options(int argc, char **argv, struct options *o)
{
	*o = (struct options){.file = policy_docs_repo(), .least = SUGGEST_LEAST};
	take_since("30d", &o->source.since);
	for (int i = 0; i < argc; i++) {
		char name[32];
		const char *equals = strchr(argv[i], '='), *value = equals ? equals + 1 : NULL;
		int code;

		if (strcmp(argv[i], "--json") == 0) {
			o->json = 1;
			continue;
		}
		if (argv[i][0] != '-' || argv[i][1] != '-')
			return tool_usage("policy",
				"suggest takes options only (%.60s): name the file with --policy",
				argv[i]);
		snprintf(name, sizeof name, "%.*s",
			(int)(equals ? equals - argv[i] : (ptrdiff_t)strlen(argv[i])), argv[i]);
		if (!value && i + 1 == argc)
			return tool_usage("policy", "unknown or incomplete option %.60s", argv[i]);
		code = take_option(o, name, value ? value : argv[++i]);
		if (code)
			return code;
	}
	if (o->source.log && o->source.jsonl)
		return tool_usage("policy", "--log and --jsonl: name one");
	return 0;
}

/* ---- hosts ---- */

static size_t registrable(void *ctx, const char *host, size_t n)
{
	char name[256];
	const char *domain;

	if (n >= sizeof name)
		return n;
	memcpy(name, host, n);
	name[n] = 0;
	domain = psl_registrable_domain(ctx, name);
	return domain ? (size_t)(domain - name) : n;
}

/* ---- policies ---- */

/* The file as it is, or with another text. 0 with *out, or the exit code. */
static int load_policy(
	const struct options *o, char *text, size_t n, struct policy_docs *d, struct policy **out)
{
	const struct policy_facts facts = {.ci = -1, .any = 1};
	struct policy_error pe;
	struct error e;
	char *name;

	if (policy_docs_add_host(d, &e) ||
		(!text && policy_docs_add(d, o->file, POLICY_REPO, 1, &e))) {
		free(text);
		tool_fail("policy", &e);
		return POLICY_EXIT_INVALID;
	}
	name = text ? strdup(o->file) : NULL;
	if (text) {
		d->owned[d->owned_n++] = text;
		d->owned[d->owned_n++] = name;
		d->doc[d->n++] = (struct policy_doc){name ? name : "", POLICY_REPO, text, n};
	}
	*out = policy_load(d->doc, d->n, &facts, &pe);
	return *out ? 0 : policy_docs_refused(&pe);
}

static const struct policy_doc *repo_doc(const struct policy_docs *d)
{
	return d->n && d->doc[d->n - 1].origin == POLICY_REPO ? &d->doc[d->n - 1] : NULL;
}

/* ---- the patch ---- */

struct patch {
	struct edit_rule rule[EDIT_RULES_MAX];
	const char *except[EDIT_RULES_MAX][COPIED_EXCEPTS];
	char comment[EDIT_RULES_MAX][COMMENT_MAX];
	size_t rules;
	struct edit_result result;
};

/* Rule j of layer i, as it is. 0, or -1: it does not fit. */
static int copy_rule(struct patch *x, const struct policy *p, size_t i, size_t j)
{
	struct policy_layer l;
	struct policy_rule r;
	size_t at = x->rules;

	if (at >= EDIT_RULES_MAX || policy_layer_get(p, i, &l) || policy_rule_get(p, i, j, &r) ||
		r.excepts > COPIED_EXCEPTS)
		return -1;
	snprintf(x->comment[at], COMMENT_MAX, "as in %s, whose allow rules give way to this list",
		l.file);
	for (size_t k = 0; k < r.excepts; k++)
		x->except[at][k] = policy_rule_except(p, i, j, k);
	x->rule[at] = (struct edit_rule){
		r.section, "tool", r.text, x->except[at], r.excepts, x->comment[at]};
	x->rules++;
	return 0;
}

/* The built-in layer's allow rules give way to a file that has its own: they come along, so that nothing
 * that was allowed is asked. 0, or -1: they do not fit. */
static int copy_builtin(struct patch *x, const struct policy *p, const char *section)
{
	struct policy_layer l;
	struct policy_rule r;

	for (size_t i = 0; policy_layer_get(p, i, &l) == 0; i++) {
		for (size_t j = 0; l.origin == POLICY_BUILTIN && policy_rule_get(p, i, j, &r) == 0;
			j++) {
			if (r.effect == VERDICT_ALLOW && !r.idle &&
				strcmp(r.section, section) == 0 && copy_rule(x, p, i, j))
				return -1;
		}
	}
	return 0;
}

static int add_rule(struct patch *x, const struct suggest_rule *r)
{
	char day[32];
	time_t last = (time_t)r->last;
	struct tm tm;

	if (x->rules == EDIT_RULES_MAX || !gmtime_r(&last, &tm))
		return -1;
	strftime(day, sizeof day, "%Y-%m-%d", &tm);
	snprintf(x->comment[x->rules], COMMENT_MAX, "%ux in %u sessions, last %s", r->count,
		r->sessions, day);
	x->rule[x->rules] = (struct edit_rule){r->section, r->key, r->text,
		(const char *const *)r->except, r->excepts, x->comment[x->rules]};
	x->rules++;
	return 0;
}

/* How the patch names the file: below the directory where one stands. */
static const char *patch_path(const char *file)
{
	static char cwd[PATH_MAX];
	size_t n;

	while (strncmp(file, "./", 2) == 0)
		file += 2;
	if (*file != '/' || !getcwd(cwd, sizeof cwd))
		return file;
	n = strlen(cwd);
	if (strncmp(file, cwd, n) == 0 && file[n] == '/')
		return file + n + 1;
	return file + 1;
}

static int make_patch(struct patch *x, const struct options *o, const struct suggestions *s,
	const struct policy *p, const struct policy_doc *doc, struct error *e)
{
	int tools = 0;

	for (size_t i = 0; i < s->rules; i++)
		tools |= strcmp(s->rule[i].section, "tools") == 0;
	if (tools && copy_builtin(x, p, "tools"))
		return error_set(e, 0, "the built-in rules do not fit into one patch");
	for (size_t i = 0; i < s->rules; i++) {
		if (add_rule(x, &s->rule[i]))
			return error_set(e, 0, "more rules than fit into one patch");
	}
	return edit_add(patch_path(o->file), doc ? doc->text : NULL, doc ? doc->len : 0, x->rule,
		x->rules, &x->result, e);
}

/* ---- all of it ---- */

struct work {
	struct options o;
	struct suggest_log *log;
	struct policy_docs was_docs, now_docs;
	struct policy *was, *now;
	struct patch *patch;
	struct policy_diff *diff;
	struct suggest_report report;
};

static int fail(const struct error *e)
{
	return tool_fail("policy", e);
}

/* A patch is only shown when the whole log agrees with it. */
static int check_patch(struct work *w)
{
	struct suggest_check *c = &w->report.check;
	struct error e = {0};
	char *text = strdup(w->patch->result.text);
	int code;

	if (!text) {
		error_set(&e, ENOMEM, "cannot look at the patch");
		return fail(&e);
	}
	code = load_policy(&w->o, text, w->patch->result.len, &w->now_docs, &w->now);
	if (code)
		return code;
	if (suggest_check(w->log, w->was, w->now, c, &e))
		return fail(&e);
	if (c->stricter || c->slipped) {
		error_set(&e, 0, "%s with these rules: nothing is suggested (%.300s)",
			c->slipped ? "what a person refused would be allowed"
				   : "what was allowed would be stricter",
			c->example);
		return fail(&e);
	}
	if (policy_diff(w->was, w->now, &w->diff, &e))
		return fail(&e);
	w->report.diff = w->diff;
	w->report.patch = w->patch->result.diff;
	return 0;
}

static int suggest_rules(struct work *w)
{
	psl_ctx_t *psl = psl_latest(NULL);
	const struct suggest_options options = {.least = w->o.least,
		.kind = w->o.kind,
		.domain = psl ? registrable : NULL,
		.domain_ctx = psl};
	struct suggestions *s = NULL;
	struct error e = {0};
	int failed = suggest(w->log, w->was, &options, &s, &e);

	psl_free(psl);
	w->report.suggestions = s;
	return failed ? fail(&e) : 0;
}

static int run(struct work *w)
{
	struct error e = {0};
	int code = load_policy(&w->o, NULL, 0, &w->was_docs, &w->was);

	if (code)
		return code;
	w->log = suggest_log_new();
	w->patch = calloc(1, sizeof *w->patch);
	if (!w->log || !w->patch) {
		error_set(&e, ENOMEM, "cannot hold the log");
		return fail(&e);
	}
	if (suggest_read_log(w->log, &w->o.source, &w->report.read, &e)) {
		if (w->o.source.jsonl || w->o.source.log)
			e.code = 0; /* agentd has no part in it */
		return fail(&e);
	}
	code = suggest_rules(w);
	if (code)
		return code;
	w->report.log = w->log;
	w->report.file = w->o.file;
	if (w->report.suggestions->rules == 0)
		return 0;
	if (make_patch(
		    w->patch, &w->o, w->report.suggestions, w->was, repo_doc(&w->was_docs), &e)) {
		w->report.no_patch = e.text;
		suggest_print_text(&w->report);
		return fail(&e);
	}
	return check_patch(w);
}

int policy_suggest_verb(int argc, char **argv)
{
	struct work *w = calloc(1, sizeof *w);
	int code = w ? take_options(argc, argv, &w->o) : TOOL_FAILED;

	if (!code)
		code = run(w);
	if (!code && w->o.json)
		code = suggest_print_json(&w->report) ? TOOL_FAILED : TOOL_OK;
	else if (!code)
		suggest_print_text(&w->report);
	if (!w)
		return code;
	policy_diff_free(w->diff);
	suggestions_free((struct suggestions *)(uintptr_t)w->report.suggestions);
	if (w->patch)
		edit_free(&w->patch->result);
	free(w->patch);
	suggest_log_free(w->log);
	policy_free(w->was);
	policy_free(w->now);
	policy_docs_free(&w->was_docs);
	policy_docs_free(&w->now_docs);
	free(w);
	return code;
}
