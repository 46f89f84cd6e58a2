/* The key table and the walk over it; see keys.h. */
#include "policy/keys.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "policy/take.h"
#include "policy/text.h"

#define SECTION "section"

struct key {
	const char *path; /* "limits.memory"; "rule.why" and "limit.max" for the long forms */
	const char *type; /* what to write, for people; "section" when keys are below it */
	int (*take)(struct loader *l, const struct yaml_value *v); /* NULL: a section */
};

/* Part of the language, but nothing enforces it in this version. */
static int take_later(struct loader *l, const struct yaml_value *v)
{
	return reject_value(l, v->key,
		"a part of the language that is not supported by this version of agentd: no gate "
		"enforces it yet. Delete it, so that nobody relies on it");
}

static const struct key keys[] = {
	{"policy", "1 (the language's version)", take_version},
	{"name", "text", take_name},
	{"unmatched", "ask | deny", take_unmatched},
	{"ceiling", "true | false", take_ceiling},
	{"when", SECTION, NULL},
	{"when.agent", "list of patterns", take_when_agent},
	{"when.user", "list of patterns", take_when_user},
	{"when.host", "list of patterns", take_when_host},
	{"when.branch", "list of patterns", take_when_branch},
	{"when.ci", "true | false", take_when_ci},
	{"workspace", SECTION, NULL},
	{"workspace.root", ". (the directory the session is started for)", take_root},
	{"workspace.mode", "direct | overlay", take_mode},
	{"workspace.mounts", "list of `rw PATH`, `ro PATH`, `hidden PATH`", take_mounts},
	{"workspace.identity", "own-uid | same-uid", take_identity},
	{"workspace.traps", "report | quarantine", take_traps},
	{"limits", SECTION, NULL},
	{"limits.processes", "number", take_processes},
	{"limits.memory", "size", take_memory},
	{"limits.cpu", "number of CPUs, or thousandths like 1500m", take_cpu},
	{"limits.open_files", "number", take_open_files},
	{"limits.wall", "duration", take_wall},
	{"limits.disk_write", "size", take_disk_write},
	{"limits.actions", "mapping of `KIND RULE` to `NUMBER per DURATION`", take_actions},
	{"limit.max", "as the short form", take_limit_max},
	{"limit.best-effort", "true | false", take_limit_best_effort},
	{"env", SECTION, NULL},
	{"env.pass", "list of names; a star at the end: all that start like this", take_env_pass},
	{"env.set", "mapping of names to values", take_env_set},
	{"tools", SECTION, NULL},
	{"tools.allow", "list of rules", take_rules},
	{"tools.ask", "list of rules", take_rules},
	{"tools.deny", "list of rules", take_rules},
	{"rule.tool", "rule", take_rule_text},
	{"rule.cmd", "rule of exec", take_rule_text},
	{"rule.path", "rule of files", take_rule_text},
	{"rule.host", "rule of net", take_rule_text},
	{"rule.url", "rule of http", take_rule_text},
	{"rule.call", "rule of mcp", take_rule_text},
	{"rule.except", "list of rules", take_rule_except},
	{"rule.pinned", "list of paths", take_rule_pinned},
	{"rule.until", "date, like 2026-12-31", take_rule_until},
	{"rule.proto", "tcp", take_rule_proto},
	{"rule.why", "text", take_rule_why},
	{"approvals", SECTION, NULL},
	{"approvals.who", "list of session-owner, admin, team:NAME", take_who},
	{"approvals.timeout", "duration", take_timeout},
	{"approvals.on_timeout", "deny | freeze", take_on_timeout},
	{"approvals.remember", SECTION, NULL},
	{"approvals.remember.longest", "once | session | duration", take_longest},
	{"approvals.remember.widest", "same-command", take_widest},
	{"approvals.remember.never_for", "list of secrets and names of the danger atlas",
		take_never_for},
	{"approvals.budget", SECTION, take_budget},
	{"approvals.budget.prompts_per_hour", "number", take_budget_prompts},
	{"approvals.budget.over", "freeze", take_budget_over},
	{"approvals.notify", "list of a command's words, or URL", take_notify},
	{"session", SECTION, NULL},
	{"session.on_lost", "freeze | kill", take_on_lost},
	{"session.on_lost_after", "duration", take_on_lost_after},
	{"session.best-effort", "true | false", take_best_effort},
	{"session.lease", "duration, or a mapping", take_lease},
	{"session.lease.ttl", "duration", take_lease_ttl},
	{"session.lease.renew", "list of ssh, https, file", take_lease_renew},
	{"session.lease.on_expiry", "freeze | kill", take_lease_expiry},
	{"session.heartbeat", "duration", take_heartbeat},
	{"session.kill_if", SECTION, take_kill_if},
	{"session.kill_if.denials_per_minute", "number", take_kill_denials},
	{"session.kill_if.canary_read", "true | false", take_kill_canary},
	{"audit", SECTION, NULL},
	{"audit.durability", "strict | relaxed", take_durability},
	{"audit.keep", "duration", take_keep},
	{"audit.redact", "list of env, headers, flag(…)", take_redact},
	{"audit.long_args", "hash", take_long_args},
	{"tests", "list of tests", take_tests},
	{"extends", "list of layers", take_extends},
	{"extend.builtin", "coding-base@1", take_extend_builtin},
	{"extend.org", "name", take_extend_remote},
	{"extend.file", "path from the document's directory on", take_extend_file},
	{"extend.digest", "sha256:…", take_extend_digest},
	{"exec", SECTION, NULL},
	{"exec.best-effort", "true | false", take_best_effort},
	{"exec.allow", "list of rules", take_rules},
	{"exec.ask", "list of rules", take_rules},
	{"exec.deny", "list of rules", take_rules},
	{"files", SECTION, NULL},
	{"files.best-effort", "true | false", take_best_effort},
	{"files.allow", "list of rules", take_rules},
	{"files.ask", "list of rules", take_rules},
	{"files.deny", "list of rules", take_rules},
	{"net", SECTION, NULL},
	{"net.best-effort", "true | false", take_best_effort},
	{"net.publish", "list of PORT or PORT:HOSTPORT", take_publish},
	{"net.allow", "list of rules", take_rules},
	{"net.ask", "list of rules", take_rules},
	{"net.deny", "list of rules", take_rules},
	{"http", SECTION, NULL},
	{"http.best-effort", "true | false", take_best_effort},
	{"http.allow", "list of rules", take_rules},
	{"http.ask", "list of rules", take_rules},
	{"http.deny", "list of rules", take_rules},
	{"dns", SECTION, NULL},
	{"dns.best-effort", "true | false", take_best_effort},
	{"dns.only_for", "net.allow", take_only_for},
	{"mcp", SECTION, NULL},
	{"mcp.best-effort", "true | false", take_best_effort},
	{"mcp.allow", "list of rules", take_rules},
	{"mcp.ask", "list of rules", take_rules},
	{"mcp.deny", "list of rules", take_rules},
	{"mcp.servers", "mapping of names to servers", take_servers},
	{"server.command", "list of the command's words", take_server_command},
	{"server.secrets", "list of names of secrets", take_server_secrets},
	{"server.workspace", "none | ro | rw", take_server_workspace},
	{"server.net", "list of HOST:PORT", take_server_net},
	{"server.pin", "sha256:…", take_server_pin},
	{"packages", SECTION, take_later},
	{"secrets", "list of secrets", take_secrets},
	{"secret.name", "NAME", take_secret_name},
	{"secret.from", "keyring:NAME", take_secret_from},
	{"secret.for", "URL", take_secret_for},
	{"secret.header", "name of a header", take_secret_header},
};

#define KEYS (sizeof keys / sizeof *keys)

const char *policy_key(size_t i, const char **type, int *supported)
{
	if (i >= KEYS)
		return NULL;
	*type = keys[i].type;
	*supported = keys[i].take != take_later;
	return keys[i].path;
}

static const char *shown_value(char *buf, size_t cap, const struct yaml_value *v)
{
	if (v->type == YAML_LIST)
		return "a list";
	if (v->type == YAML_MAPPING)
		return "a mapping";
	return v->len ? text_show(buf, cap, v->text, v->len) : "empty";
}

/* Puts the offending text between what and cure: fmt is "what. Cure". */
static int reject_at(
	struct loader *l, unsigned line, unsigned column, const char *shown, char *text)
{
	char *cure = strstr(text, ". ");

	if (!cure)
		return policy_fail(l->e, l->doc->name, line, column, "%s (%s).", text, shown);
	*cure = 0;
	return policy_fail(l->e, l->doc->name, line, column, "%s (%s). %s%s", text, shown, cure + 2,
		cure[strlen(cure + 2) + 1] == '?' ? "" : ".");
}

int reject_value(struct loader *l, const struct yaml_value *v, const char *fmt, ...)
{
	char text[400], shown[80];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return reject_at(l, v->line, v->column, shown_value(shown, sizeof shown, v), text);
}

int reject_fault(struct loader *l, const struct yaml_value *v, const struct pattern_fault *f)
{
	char shown[80], text[sizeof f->text];

	if (!f->text[0])
		return policy_no_memory(l->e, l->doc->name);
	memcpy(text, f->text, sizeof text);
	if (f->len && f->at + f->len <= v->len)
		text_show(shown, sizeof shown, v->text + f->at, f->len);
	else
		snprintf(shown, sizeof shown, "%s", "nothing there");
	return reject_at(l, v->line, yaml_column(v, l->doc->text, l->doc->len, f->at), shown, text);
}

/* The last part of a key's path when the key is directly below prefix, else NULL. */
static const char *below(const struct key *k, const char *prefix)
{
	size_t n = strlen(prefix);

	if (n == 0)
		return strchr(k->path, '.') ? NULL : k->path;
	if (strncmp(k->path, prefix, n) != 0 || k->path[n] != '.')
		return NULL;
	return strchr(k->path + n + 1, '.') ? NULL : k->path + n + 1;
}

static const struct key *key_find(const char *prefix, const char *name)
{
	size_t i;

	for (i = 0; i < KEYS; i++) {
		const char *last = below(&keys[i], prefix);

		if (last && strcmp(last, name) == 0)
			return &keys[i];
	}
	return NULL;
}

static const char *last_part(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot ? dot + 1 : path;
}

static int is_short_form_key(const struct key *k)
{
	static const char *const long_forms[] = {
		"rule.", "limit.", "secret.", "extend.", "server."};

	for (size_t i = 0; i < ARRAY_LEN(long_forms); i++) {
		if (strncmp(k->path, long_forms[i], strlen(long_forms[i])) == 0)
			return 0;
	}
	return 1;
}

/* A key that exists, but elsewhere. */
static const struct key *key_elsewhere(const char *name)
{
	size_t i;

	for (i = 0; i < KEYS; i++) {
		if (is_short_form_key(&keys[i]) && strcmp(last_part(keys[i].path), name) == 0)
			return &keys[i];
	}
	return NULL;
}

static const char *key_nearest(const char *prefix, const struct yaml_value *key)
{
	const char *names[KEYS];
	size_t i, n = 0;

	for (i = 0; i < KEYS; i++) {
		const char *last = below(&keys[i], prefix);

		if (last)
			names[n++] = last;
	}
	return text_nearest(key->text, key->len, names, n);
}

static int unknown_key(struct loader *l, const char *prefix, const struct yaml_value *key)
{
	const char *near = key_nearest(prefix, key);
	const struct key *other = key_elsewhere(key->text);
	const char *at = *prefix ? prefix : "the top";

	if (near)
		return reject_value(l, key, "unknown key in %s. Did you mean `%s`?", at, near);
	if (other && strchr(other->path, '.'))
		return reject_value(l, key,
			"unknown key in %s. There is a `%s`: put it below `%.*s:`", at, other->path,
			(int)(last_part(other->path) - other->path - 1), other->path);
	if (other)
		return reject_value(l, key,
			"unknown key in %s. There is a `%s` at the top: indent it less", at,
			other->path);
	return reject_value(
		l, key, "unknown key in %s. Delete it; docs/policy.md lists the keys", at);
}

int keys_take(struct loader *l, const char *prefix, const struct yaml_value *mapping)
{
	const struct yaml_value *v;

	if (mapping->type != YAML_MAPPING)
		return reject_value(l, mapping,
			"no mapping. Write the keys of %s below it, indented by two spaces, each "
			"as "
			"`key: value`",
			*prefix ? prefix : "the policy");
	for (v = mapping->first; v; v = v->next) {
		const struct key *k = key_find(prefix, v->key->text);

		if (!k)
			return unknown_key(l, prefix, v->key);
		l->key = k->path;
		if (k->take ? k->take(l, v) : keys_take(l, k->path, v))
			return -1;
	}
	return 0;
}
