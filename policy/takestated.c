/* Keys whose values are checked and kept, while nothing enforces them yet: a session does not start
 * with one (policy_ungated). Kept is the key and one spelling of its value, for people and for
 * comparing. See take.h. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "policy/kinds/kind.h"
#include "policy/take.h"
#include "policy/text.h"

static const struct stated *stated_of(const struct layer *y, const char *key)
{
	const struct stated *s = y->stated;

	while (s && strcmp(s->key, key) != 0)
		s = s->next;
	return s;
}

/* Keeps a value under a key, behind what is there. */
__attribute__((format(printf, 4, 5))) static int state(
	struct loader *l, const char *key, unsigned line, const char *fmt, ...)
{
	struct stated *s = arena_alloc(l->arena, sizeof *s), **end = &l->layer->stated;
	char text[3072];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (!s)
		return policy_no_memory(l->e, l->doc->name);
	*s = (struct stated){.key = arena_copy(l->arena, key, strlen(key)),
		.value = arena_copy(l->arena, text, strlen(text)),
		.line = line};
	if (!s->key || !s->value)
		return policy_no_memory(l->e, l->doc->name);
	while (*end)
		end = &(*end)->next;
	*end = s;
	return 0;
}

static int state_duration(struct loader *l, const struct yaml_value *v)
{
	const char *key = l->key;
	uint64_t s;

	return take_row_duration(l, v, &s) ? -1 : state(l, key, v->line, "%" PRIu64 "s", s);
}

static int state_number(struct loader *l, const struct yaml_value *v)
{
	const char *key = l->key;
	uint64_t n;

	return take_row_number(l, v, &n) ? -1 : state(l, key, v->line, "%" PRIu64, n);
}

static int state_word(struct loader *l, const struct yaml_value *v)
{
	return take_row_word(l, v) < 0 ? -1 : state(l, l->key, v->line, "%s", v->text);
}

/* ---- single values ---- */

int take_only_for(struct loader *l, const struct yaml_value *v)
{
	return state_word(l, v);
}

int take_disk_write(struct loader *l, const struct yaml_value *v)
{
	const char *key = l->key;
	uint64_t n;

	if (take_row_size(l, v, &n))
		return -1;
	return state(l, key, v->line, "%" PRIu64 "KiB", n >> 10);
}

int take_lease(struct loader *l, const struct yaml_value *v)
{
	return state_duration(l, v);
}

int take_heartbeat(struct loader *l, const struct yaml_value *v)
{
	return state_duration(l, v);
}

int take_keep(struct loader *l, const struct yaml_value *v)
{
	return state_duration(l, v);
}

int take_long_args(struct loader *l, const struct yaml_value *v)
{
	return state_word(l, v);
}

int take_widest(struct loader *l, const struct yaml_value *v)
{
	return state_word(l, v);
}

/* ---- small sections ---- */

int take_budget_prompts(struct loader *l, const struct yaml_value *v)
{
	return state_number(l, v);
}

int take_budget_over(struct loader *l, const struct yaml_value *v)
{
	return state_word(l, v);
}

int take_budget(struct loader *l, const struct yaml_value *v)
{
	if (keys_take(l, "approvals.budget", v))
		return -1;
	if (!stated_of(l->layer, "approvals.budget.prompts_per_hour"))
		return reject_value(l, v,
			"a budget without its size. Write {prompts_per_hour: 12, over: freeze}");
	return 0;
}

int take_kill_denials(struct loader *l, const struct yaml_value *v)
{
	return state_number(l, v);
}

int take_kill_canary(struct loader *l, const struct yaml_value *v)
{
	const char *key = l->key;
	int on;

	return take_bool(l, v, &on) ? -1 : state(l, key, v->line, "%s", on ? "true" : "false");
}

int take_kill_if(struct loader *l, const struct yaml_value *v)
{
	if (keys_take(l, "session.kill_if", v))
		return -1;
	if (v->count == 0)
		return reject_value(l, v,
			"a kill switch without a condition. Write {denials_per_minute: 30} or "
			"{canary_read: true}");
	return 0;
}

/* ---- audit.redact ---- */

/* `flag(-p|--token)`: names of options, as in exec rules. */
static int is_flags(const char *s, size_t n)
{
	size_t start = 5;

	if (n < 8 || memcmp(s, "flag(", 5) != 0 || s[n - 1] != ')')
		return 0;
	for (size_t i = start; i < n; i++) {
		if (i + 1 == n || s[i] == '|') {
			if (i - start < 2 || s[start] != '-')
				return 0;
			start = i + 1;
		} else if (!strchr("-_.", s[i]) && !(s[i] >= 'a' && s[i] <= 'z') &&
			   !(s[i] >= 'A' && s[i] <= 'Z') && !(s[i] >= '0' && s[i] <= '9')) {
			return 0;
		}
	}
	return 1;
}

int take_redact(struct loader *l, const struct yaml_value *v)
{
	const char *key = l->key;
	const struct yaml_value *item;
	char all[2048] = "";
	size_t n = 0;

	if (take_list(l, v))
		return -1;
	for (item = v->first; item; item = item->next) {
		if (strcmp(item->text, "env") != 0 && strcmp(item->text, "headers") != 0 &&
			!is_flags(item->text, item->len))
			return reject_value(l, item,
				"nothing that can be redacted. Write env, headers or "
				"\"flag(--token|--password)\"");
		if (n + item->len + 3 > sizeof all)
			return reject_value(l, item, "too many names. Use fewer than 2048 bytes");
		n += (size_t)snprintf(all + n, sizeof all - n, "%s%s", n ? ", " : "", item->text);
	}
	return state(l, key, v->line, "%s", all);
}

/* ---- limits.actions ---- */

/* `mcp mail/delete_*`: a kind of action and a rule of it. */
static int check_action(struct loader *l, const struct yaml_value *key)
{
	const char *blank = strchr(key->text, ' ');
	size_t n = blank ? (size_t)(blank - key->text) : key->len, skip = n + 1;
	const struct kind *k = kind_named(key->text, n);
	struct pattern_fault f;
	struct match m;

	if (!blank || (!k && !(n == 4 && memcmp(key->text, "tool", 4) == 0)))
		return reject_value(l, key,
			"no kind of action and rule. Write tool, file, connect, http or mcp, a "
			"space and a rule of it, as in \"mcp mail/delete_*\"");
	if (match_parse(l->arena, k, key->text + skip, key->len - skip, &m, &f) == 0)
		return 0;
	f.at += skip;
	return reject_fault(l, key, &f);
}

/* `5 per 10m` */
static int take_rate(struct loader *l, const struct yaml_value *v, uint64_t *n, uint64_t *seconds)
{
	const char *per = v->type == YAML_TEXT ? strstr(v->text, " per ") : NULL;
	struct yaml_value count = *v, time = *v;
	char digits[24];

	if (!per || (size_t)(per - v->text) >= sizeof digits)
		return reject_value(
			l, v, "no budget. Write a number per duration, as in 5 per 10m");
	memcpy(digits, v->text, (size_t)(per - v->text));
	digits[per - v->text] = 0;
	count.text = digits;
	count.len = (size_t)(per - v->text);
	time.text = per + 5;
	time.len = strlen(time.text);
	return take_number(l, &count, 1, 1000000, n) ||
			       take_duration(l, &time, 1, 7 * 86400, seconds)
		       ? -1
		       : 0;
}

int take_actions(struct loader *l, const struct yaml_value *v)
{
	const struct yaml_value *item;

	if (v->type != YAML_MAPPING)
		return reject_value(l, v, "no mapping. Write {\"mcp mail/delete_*\": 5 per 10m}");
	if (v->count > l->row->value.most)
		return reject_value(l, v, "more than 64 budgets. Use patterns");
	for (item = v->first; item; item = item->next) {
		char key[POLICY_STATED_KEY_MAX];
		uint64_t n = 0, seconds = 0;

		if (check_action(l, item->key) || take_rate(l, item, &n, &seconds))
			return -1;
		if (snprintf(key, sizeof key, "limits.actions %s", item->key->text) >=
			(int)sizeof key)
			return reject_value(l, item->key, "a rule that is too long. Shorten it");
		if (state(l, key, item->line, "%" PRIu64 " per %" PRIu64 "s", n, seconds))
			return -1;
	}
	return 0;
}

/* ---- secrets ---- */

int take_secret_name(struct loader *l, const struct yaml_value *v)
{
	const char *s = v->text;
	int ok = v->type == YAML_TEXT && v->len && v->len <= 64 && !(s[0] >= '0' && s[0] <= '9');

	for (size_t i = 0; ok && i < v->len; i++)
		ok = (s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= '0' && s[i] <= '9') || s[i] == '_';
	if (!ok)
		return reject_value(l, v,
			"no name of a secret. Write upper-case letters, digits and _, like "
			"GH_TOKEN");
	l->secret.name = v;
	return 0;
}

int take_secret_from(struct loader *l, const struct yaml_value *v)
{
	size_t at = strlen("keyring:");
	int ok = v->type == YAML_TEXT && v->len > at && v->len <= 128 &&
		 memcmp(v->text, "keyring:", at) == 0;

	for (size_t i = at; ok && i < v->len; i++)
		ok = v->text[i] > 0x20 && v->text[i] < 0x7f;
	if (!ok)
		return reject_value(l, v,
			"no place where the secret is kept. Write keyring:NAME; the value itself "
			"has no place in a policy");
	l->secret.from = v;
	return 0;
}

/* The requests that get the value: a URL as in http rules, encrypted. */
int take_secret_for(struct loader *l, const struct yaml_value *v)
{
	char rule[PATTERN_MAX + 16];
	struct pattern_fault f;
	const void *parsed;

	if (v->type != YAML_TEXT || v->len + 3 > sizeof rule ||
		strncmp(v->text, "https://", 8) != 0)
		return reject_value(l, v,
			"no URL that a secret may be sent to. Write https://HOST/PATH, as in http "
			"rules without their method");
	snprintf(rule, sizeof rule, "* %s", v->text);
	if (kind_http.parse(l->arena, rule, v->len + 2, &parsed, &f)) {
		f.at = f.at > 2 ? f.at - 2 : 0;
		f.len = f.at + f.len > v->len ? v->len - f.at : f.len;
		return reject_fault(l, v, &f);
	}
	l->secret.url = v;
	return 0;
}

/* A token of RFC 9110. */
int take_secret_header(struct loader *l, const struct yaml_value *v)
{
	int ok = v->type == YAML_TEXT && v->len && v->len <= 64;

	for (size_t i = 0; ok && i < v->len; i++)
		ok = (v->text[i] >= 'a' && v->text[i] <= 'z') ||
		     (v->text[i] >= 'A' && v->text[i] <= 'Z') ||
		     (v->text[i] >= '0' && v->text[i] <= '9') ||
		     strchr("-_.!#$%&'*+^`|~", v->text[i]) != NULL;
	if (!ok)
		return reject_value(
			l, v, "no name of a header. Write one like Authorization, without a colon");
	l->secret.header = v;
	return 0;
}

static int take_secret(struct loader *l, const struct yaml_value *v)
{
	const struct secret_parts *p = &l->secret;
	char key[128];

	l->secret = (struct secret_parts){0};
	if (v->type != YAML_MAPPING)
		return reject_value(l, v,
			"no secret. Write {name: GH_TOKEN, from: \"keyring:github\", for: "
			"\"https://api.github.com/**\", header: Authorization}");
	if (keys_take(l, "secret", v))
		return -1;
	if (!p->name || !p->from || !p->url || !p->header)
		return reject_value(
			l, v, "a secret that lacks a part. Write its name, from, for and header");
	snprintf(key, sizeof key, "secrets %s", p->name->text);
	if (stated_of(l->layer, key))
		return reject_value(
			l, p->name, "a name that another secret has. Write another one");
	return state(
		l, key, v->line, "%s for %s as %s", p->from->text, p->url->text, p->header->text);
}

int take_secrets(struct loader *l, const struct yaml_value *v)
{
	const struct yaml_value *item;

	if (v->type != YAML_LIST)
		return take_list(l, v);
	if (v->count > l->row->value.most)
		return reject_value(l, v, "more than 32 secrets. Use fewer");
	for (item = v->first; item; item = item->next) {
		if (take_secret(l, item))
			return -1;
	}
	return 0;
}

/* ---- extends ---- */

int take_extend_builtin(struct loader *l, const struct yaml_value *v)
{
	return take_row_word(l, v) < 0 ? -1 : 0;
}

int take_extend_remote(struct loader *l, const struct yaml_value *v)
{
	return reject_value(l, v->key,
		"a layer from elsewhere, which this version does not fetch. Put the file into "
		"/etc/agentd/policy.d");
}

static int take_extend(struct loader *l, const struct yaml_value *v)
{
	if (v->type != YAML_MAPPING)
		return reject_value(l, v, "no layer. Write {builtin: coding-base@1}");
	if (keys_take(l, "extend", v))
		return -1;
	if (v->count == 0)
		return reject_value(l, v, "no layer. Write {builtin: coding-base@1}");
	return 0;
}

/* Layers that are there anyway: the built-in one always applies. */
int take_extends(struct loader *l, const struct yaml_value *v)
{
	const struct yaml_value *item;

	if (v->type != YAML_LIST)
		return take_list(l, v);
	for (item = v->first; item; item = item->next) {
		if (take_extend(l, item))
			return -1;
	}
	return 0;
}
