/* The key table and the walk over it; see keys.h. */
#include "policy/keys.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "policy/take.h"
#include "policy/text.h"

#define SECTION "section"

static const struct key keys[] = {
	{"policy", "1 (the language's version)", take_version, 0},
	{"name", "text", take_name, 0},
	{"unmatched", "ask | deny", take_unmatched, 0},
	{"ceiling", "true | false", take_ceiling, 0},
	{"when", SECTION, NULL, 0},
	{"when.agent", "list of patterns", take_when_agent, 0},
	{"when.user", "list of patterns", take_when_user, 0},
	{"when.host", "list of patterns", take_when_host, 0},
	{"when.branch", "list of patterns", take_when_branch, 0},
	{"when.ci", "true | false", take_when_ci, 0},
	{"workspace", SECTION, NULL, 0},
	{"workspace.root", ". (the directory the session is started for)", take_root, 0},
	{"workspace.mode", "direct", take_mode, 0},
	{"workspace.mounts", "list of `rw PATH`, `ro PATH`, `hidden PATH`", take_mounts, 0},
	{"workspace.identity", "own-uid | same-uid", take_identity, 0},
	{"workspace.traps", "report | quarantine", NULL, 1},
	{"limits", SECTION, NULL, 0},
	{"limits.processes", "number", take_processes, 0},
	{"limits.memory", "size", take_memory, 0},
	{"limits.cpu", "number of CPUs, or thousandths like 1500m", take_cpu, 0},
	{"limits.open_files", "number", take_open_files, 0},
	{"limits.wall", "duration", take_wall, 0},
	{"limits.disk_write", "size", NULL, 1},
	{"limits.actions", SECTION, NULL, 1},
	{"limit.max", "as the short form", take_limit_max, 0},
	{"limit.best-effort", "true | false", take_limit_best_effort, 0},
	{"env", SECTION, NULL, 0},
	{"env.pass", "list of names; a star at the end: all that start like this", take_env_pass,
		0},
	{"env.set", "mapping of names to values", take_env_set, 0},
	{"tools", SECTION, NULL, 0},
	{"tools.allow", "list of rules", take_rules, 0},
	{"tools.ask", "list of rules", take_rules, 0},
	{"tools.deny", "list of rules", take_rules, 0},
	{"rule.tool", "rule", take_rule_text, 0},
	{"rule.path", "rule of files", take_rule_text, 0},
	{"rule.host", "rule of net", take_rule_text, 0},
	{"rule.except", "list of rules", take_rule_except, 0},
	{"rule.why", "text", take_rule_why, 0},
	{"approvals", SECTION, NULL, 0},
	{"approvals.who", "list of session-owner, admin", take_who, 0},
	{"approvals.timeout", "duration", take_timeout, 0},
	{"approvals.on_timeout", "deny", take_on_timeout, 0},
	{"approvals.remember", SECTION, NULL, 0},
	{"approvals.remember.longest", "once | session | duration", take_longest, 0},
	{"approvals.remember.widest", "same-command", NULL, 1},
	{"approvals.remember.never_for", "list", NULL, 1},
	{"approvals.budget", SECTION, NULL, 1},
	{"approvals.notify", "command", NULL, 1},
	{"session", SECTION, NULL, 0},
	{"session.on_lost", "freeze | kill", take_on_lost, 0},
	{"session.on_lost_after", "duration", take_on_lost_after, 0},
	{"session.lease", "duration", NULL, 1},
	{"session.heartbeat", "duration", NULL, 1},
	{"session.kill_if", SECTION, NULL, 1},
	{"audit", SECTION, NULL, 0},
	{"audit.durability", "strict", take_durability, 0},
	{"audit.keep", "duration", NULL, 1},
	{"audit.redact", "list", NULL, 1},
	{"audit.long_args", "hash", NULL, 1},
	{"tests", "list of tests", take_tests, 0},
	{"extends", "list", NULL, 1},
	{"exec", SECTION, NULL, 1},
	{"files", SECTION, NULL, 0},
	{"files.allow", "list of rules", take_rules, 0},
	{"files.ask", "list of rules", take_rules, 0},
	{"files.deny", "list of rules", take_rules, 0},
	{"net", SECTION, NULL, 0},
	{"net.allow", "list of rules", take_rules, 0},
	{"net.ask", "list of rules", take_rules, 0},
	{"net.deny", "list of rules", take_rules, 0},
	{"http", SECTION, NULL, 1},
	{"dns", SECTION, NULL, 1},
	{"mcp", SECTION, NULL, 1},
	{"packages", SECTION, NULL, 1},
	{"secrets", "list", NULL, 1},
};

#define KEYS (sizeof keys / sizeof *keys)

const struct key *key_at(size_t i)
{
	return i < KEYS ? &keys[i] : NULL;
}

const char *policy_key(size_t i, const char **type, int *supported)
{
	if (i >= KEYS)
		return NULL;
	*type = keys[i].type;
	*supported = !keys[i].later;
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
		return strchr(k->path, '.') || strncmp(k->path, "rule.", 5) == 0 ? NULL : k->path;
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
	return strncmp(k->path, "rule.", 5) != 0 && strncmp(k->path, "limit.", 6) != 0;
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

static int key_take(struct loader *l, const struct key *k, const struct yaml_value *v)
{
	if (k->later)
		return reject_value(l, v->key,
			"a part of the language that is not supported by this version of agentd: "
			"no gate enforces it yet. Delete it, so that nobody relies on it");
	l->key = k;
	if (k->take)
		return k->take(l, v);
	return keys_take(l, k->path, v);
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
		if (key_take(l, k, v))
			return -1;
	}
	return 0;
}
