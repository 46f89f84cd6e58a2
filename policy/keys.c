/* The key table and the walk over it; see keys.h. */
#include "policy/keys.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "policy/take.h"
#include "policy/text.h"

#define SECTION "section"

/* The column of values: what may stand there, from, to, what a text looks like; see language.h. */
#define BELOW                  .is = KEY_SECTION
#define LATER                  .is = KEY_LATER
#define WORD                   .is = KEY_WORD
#define BOOL                   .is = KEY_BOOL
#define FROM(from, to)         .least = (from), .most = (to)
#define NUMBER(from, to)       .is = KEY_NUMBER, FROM(from, to)
#define SIZE(from, to)         .is = KEY_SIZE, FROM(from, to)
#define DURATION(from, to)     .is = KEY_DURATION, FROM(from, to)
#define TEXT(from, to, looks)  .is = KEY_TEXT, FROM(from, to), .look = (looks)
#define LIST(from, to)         .list = 1, FROM(from, to)
#define TEXTS(from, to, looks) .is = KEY_TEXT, LIST(from, to), .look = (looks)
#define MAP(to, keys, looks)   .is = KEY_MAP, FROM(0, to), .names = (keys), .look = (looks)
#define RULES                  .is = KEY_TEXT, LIST(0, 0), .form = "rule"
#define LIMIT                  .form = "limit"
#define MUST                   .must = 1
#define NO_GATE                .no_gate = 1

#define DAY    UINT64_C(86400)
#define MIB(n) (UINT64_C(n) << 20)
#define NAME   "[A-Za-z_][A-Za-z0-9_]*"
#define PATH   "(ws:/|home:/|tmp:/|/).*"
#define MOUNT  "(rw|ro|hidden) " PATH
#define RATE   "[1-9][0-9]* per [1-9][0-9]*[smhd]"
#define ACTION "[a-z]+ .+"

/* Part of the language, but nothing enforces it in this version. */
static int take_later(struct loader *l, const struct yaml_value *v)
{
	return reject_value(l, v->key,
		"a part of the language that is not supported by this version of agentd: no gate "
		"enforces it yet. Delete it, so that nobody relies on it");
}

static const struct policy_key keys[] = {
	{"policy", "1", take_version, {NUMBER(1, 1), MUST}},
	{"name", "text", take_name, {TEXT(1, 128, NULL)}},
	{"unmatched", "ask | deny", take_unmatched, {WORD}},
	{"ceiling", "true | false", take_ceiling, {BOOL}},
	{"when", SECTION, NULL, {BELOW}},
	{"when.agent", "list of patterns", take_when_agent, {TEXTS(1, 0, NULL)}},
	{"when.user", "list of patterns", take_when_user, {TEXTS(1, 0, NULL)}},
	{"when.host", "list of patterns", take_when_host, {TEXTS(1, 0, NULL)}},
	{"when.branch", "list of patterns", take_when_branch, {TEXTS(1, 0, NULL)}},
	{"when.ci", "true | false", take_when_ci, {BOOL}},
	{"workspace", SECTION, NULL, {BELOW}},
	{"workspace.root", ".", take_root, {WORD}},
	{"workspace.mode", "direct", take_mode, {WORD}},
	{"workspace.mounts", "list of `rw PATH`, `ro PATH`, `hidden PATH`", take_mounts,
		{TEXTS(0, POLICY_MOUNTS_MAX, MOUNT)}},
	{"workspace.identity", "own-uid | same-uid", take_identity, {WORD}},
	{"workspace.traps", "report | quarantine", take_later, {LATER}},
	{"limits", SECTION, NULL, {BELOW}},
	{"limits.processes", "number", take_processes, {NUMBER(4, 4194304), LIMIT}},
	{"limits.memory", "size", take_memory, {SIZE(MIB(16), MIB(1) << 30), LIMIT}},
	{"limits.cpu", "number of CPUs, or thousandths like 1500m", take_cpu,
		{.is = KEY_NUMBER | KEY_TEXT, FROM(1, 1024), .look = "[1-9][0-9]*m", LIMIT}},
	{"limits.open_files", "number", take_open_files, {NUMBER(16, 1048576), LIMIT}},
	{"limits.wall", "duration", take_wall, {DURATION(1, 30 * DAY), LIMIT}},
	{"limits.disk_write", "size", take_disk_write, {SIZE(MIB(1), MIB(1) << 30), NO_GATE}},
	{"limits.actions", "mapping of `KIND RULE` to `NUMBER per DURATION`", take_actions,
		{MAP(64, ACTION, RATE), NO_GATE}},
	{"limit.max", "as the short form", take_limit_max, {MUST}},
	{"limit.best-effort", "true | false", take_limit_best_effort, {BOOL}},
	{"env", SECTION, NULL, {BELOW}},
	{"env.pass", "list of names; a star at the end: all that start like this", take_env_pass,
		{TEXTS(0, 256, NAME "[*]?")}},
	{"env.set", "mapping of names to values", take_env_set, {MAP(256, NAME, NULL)}},
	{"tools", SECTION, NULL, {BELOW}},
	{"tools.allow", "list of rules", take_rules, {RULES}},
	{"tools.ask", "list of rules", take_rules, {RULES}},
	{"tools.deny", "list of rules", take_rules, {RULES}},
	{"rule.tool", "rule", take_rule_text, {TEXT(1, 0, NULL), MUST}},
	{"rule.cmd", "rule of exec", take_rule_text, {TEXT(1, 0, NULL), MUST}},
	{"rule.path", "rule of files", take_rule_text, {TEXT(1, 0, NULL), MUST}},
	{"rule.host", "rule of net", take_rule_text, {TEXT(1, 0, NULL), MUST}},
	{"rule.url", "rule of http", take_rule_text, {TEXT(1, 0, NULL), MUST}},
	{"rule.call", "rule of mcp", take_rule_text, {TEXT(1, 0, NULL), MUST}},
	{"rule.except", "list of rules", take_rule_except, {TEXTS(0, 64, NULL)}},
	{"rule.pinned", "list of paths", take_rule_pinned, {TEXTS(1, 64, PATH)}},
	{"rule.why", "text", take_rule_why, {TEXT(1, 400, NULL)}},
	{"approvals", SECTION, NULL, {BELOW}},
	{"approvals.who", "list of session-owner | admin", take_who, {WORD, LIST(1, 0)}},
	{"approvals.timeout", "duration", take_timeout, {DURATION(1, DAY)}},
	{"approvals.on_timeout", "deny", take_on_timeout, {WORD}},
	{"approvals.remember", SECTION, NULL, {BELOW}},
	{"approvals.remember.longest", "once | session | duration", take_longest,
		{.is = KEY_WORD | KEY_DURATION, FROM(1, 30 * DAY)}},
	{"approvals.remember.widest", "same-command", take_widest, {WORD, NO_GATE}},
	{"approvals.remember.never_for", "list", take_later, {LATER}},
	{"approvals.budget", SECTION, take_budget, {BELOW}},
	{"approvals.budget.prompts_per_hour", "number", take_budget_prompts,
		{NUMBER(1, 100000), MUST, NO_GATE}},
	{"approvals.budget.over", "freeze", take_budget_over, {WORD, NO_GATE}},
	{"approvals.notify", "command", take_later, {LATER}},
	{"session", SECTION, NULL, {BELOW}},
	{"session.on_lost", "freeze | kill", take_on_lost, {WORD}},
	{"session.on_lost_after", "duration", take_on_lost_after, {DURATION(5, 600)}},
	{"session.lease", "duration", take_lease, {DURATION(60, 30 * DAY), NO_GATE}},
	{"session.heartbeat", "duration", take_heartbeat, {DURATION(1, 3600), NO_GATE}},
	{"session.kill_if", SECTION, take_kill_if, {BELOW, .some = 1}},
	{"session.kill_if.denials_per_minute", "number", take_kill_denials,
		{NUMBER(1, 100000), NO_GATE}},
	{"session.kill_if.canary_read", "true | false", take_kill_canary, {BOOL, NO_GATE}},
	{"audit", SECTION, NULL, {BELOW}},
	{"audit.durability", "strict", take_durability, {WORD}},
	{"audit.keep", "duration", take_keep, {DURATION(3600, 3650 * DAY), NO_GATE}},
	{"audit.redact", "list of env, headers, flag(…)", take_redact,
		{TEXTS(0, 0, "env|headers|flag[(].*[)]"), NO_GATE}},
	{"audit.long_args", "hash", take_long_args, {WORD, NO_GATE}},
	{"tests", "list of tests", take_tests, {TEXTS(0, 0, NULL)}},
	{"extends", "list of layers", take_extends, {LIST(0, 0), .form = "extend", .some = 1}},
	{"extend.builtin", "coding-base@1", take_extend_builtin, {WORD}},
	{"extend.org", "name", take_extend_remote, {LATER}},
	{"extend.file", "path", take_later, {LATER}},
	{"extend.digest", "sha256:…", take_later, {LATER}},
	{"exec", SECTION, NULL, {BELOW}},
	{"exec.allow", "list of rules", take_rules, {RULES}},
	{"exec.ask", "list of rules", take_rules, {RULES}},
	{"exec.deny", "list of rules", take_rules, {RULES}},
	{"files", SECTION, NULL, {BELOW}},
	{"files.allow", "list of rules", take_rules, {RULES}},
	{"files.ask", "list of rules", take_rules, {RULES}},
	{"files.deny", "list of rules", take_rules, {RULES}},
	{"net", SECTION, NULL, {BELOW}},
	{"net.allow", "list of rules", take_rules, {RULES}},
	{"net.ask", "list of rules", take_rules, {RULES}},
	{"net.deny", "list of rules", take_rules, {RULES}},
	{"http", SECTION, NULL, {BELOW}},
	{"http.allow", "list of rules", take_rules, {RULES}},
	{"http.ask", "list of rules", take_rules, {RULES}},
	{"http.deny", "list of rules", take_rules, {RULES}},
	{"dns", SECTION, NULL, {BELOW}},
	{"dns.only_for", "net.allow", take_only_for, {WORD, NO_GATE}},
	{"mcp", SECTION, NULL, {BELOW}},
	{"mcp.allow", "list of rules", take_rules, {RULES}},
	{"mcp.ask", "list of rules", take_rules, {RULES}},
	{"mcp.deny", "list of rules", take_rules, {RULES}},
	{"mcp.servers", SECTION, take_later, {LATER}},
	{"packages", SECTION, take_later, {LATER}},
	{"secrets", "list of secrets", take_secrets, {LIST(0, 32), .form = "secret", NO_GATE}},
	{"secret.name", "NAME", take_secret_name, {TEXT(1, 64, "[A-Z_][A-Z0-9_]*"), MUST}},
	{"secret.from", "keyring:NAME", take_secret_from, {TEXT(9, 128, "keyring:[!-~]+"), MUST}},
	{"secret.for", "URL", take_secret_for, {TEXT(9, 0, "https://.+"), MUST}},
	{"secret.header", "name of a header", take_secret_header,
		{TEXT(1, 64, "[-_.!#$%&'*+^`|~A-Za-z0-9]+"), MUST}},
};

#define KEYS (sizeof keys / sizeof *keys)

const struct policy_key *policy_key(size_t i)
{
	return i < KEYS ? &keys[i] : NULL;
}

static int is_class(const char *word)
{
	return strcmp(word, "number") == 0 || strcmp(word, "size") == 0 ||
	       strcmp(word, "duration") == 0;
}

size_t policy_key_words(
	const struct policy_key *k, char buf[160], const char *words[POLICY_KEY_WORDS])
{
	static const char list[] = "list of ";
	int of_list = strncmp(k->type, list, sizeof list - 1) == 0;
	char *at = buf, *bar;
	size_t n = 0;

	snprintf(buf, 160, "%s", k->type + (of_list ? sizeof list - 1 : 0));
	while (at && n < POLICY_KEY_WORDS) {
		bar = strstr(at, " | ");
		if (bar)
			*bar = 0;
		if (!is_class(at))
			words[n++] = at;
		at = bar ? bar + 3 : NULL;
	}
	return n;
}

int policy_key_in_form(const char *path)
{
	for (size_t i = 0; i < KEYS; i++) {
		const char *form = keys[i].value.form;
		size_t n = form ? strlen(form) : 0;

		if (n && strncmp(path, form, n) == 0 && path[n] == '.')
			return 1;
	}
	return 0;
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
static const char *below(const struct policy_key *k, const char *prefix)
{
	size_t n = strlen(prefix);

	if (n == 0)
		return strchr(k->path, '.') ? NULL : k->path;
	if (strncmp(k->path, prefix, n) != 0 || k->path[n] != '.')
		return NULL;
	return strchr(k->path + n + 1, '.') ? NULL : k->path + n + 1;
}

static const struct policy_key *key_find(const char *prefix, const char *name)
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

/* A key that exists, but elsewhere. */
static const struct policy_key *key_elsewhere(const char *name)
{
	size_t i;

	for (i = 0; i < KEYS; i++) {
		if (!policy_key_in_form(keys[i].path) && strcmp(last_part(keys[i].path), name) == 0)
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
	const struct policy_key *other = key_elsewhere(key->text);
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
		const struct policy_key *k = key_find(prefix, v->key->text);

		if (!k)
			return unknown_key(l, prefix, v->key);
		l->key = k->path;
		l->row = k;
		if (k->take ? k->take(l, v) : keys_take(l, k->path, v))
			return -1;
	}
	return 0;
}
