/* The result of `agentctl policy diff` for machines: its own JSON, and SARIF 2.1.0 (OASIS) for code
 * scanning. */
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agentctl/tools/policy_diff.h"

static json_t *rule_json(const struct diff_rule *r)
{
	return json_pack("{s:s, s:i, s:s, s:s, s:s, s:b, s:b}", "file", r->file, "line",
		(int)r->line, "section", r->section, "effect", verdict_name(r->effect), "text",
		r->text, "added", r->added, "matters", r->matters);
}

static json_t *change_json(const struct diff_change *c)
{
	json_t *causes = json_array();

	for (size_t i = 0; i < c->causes; i++)
		json_array_append_new(causes, json_integer((json_int_t)c->cause[i]));
	return json_pack("{s:s, s:s, s:s, s:b, s:s?, s:o, s:o}", "kind", c->kind, "was",
		verdict_name(c->was), "now", verdict_name(c->now), "wider",
		diff_is_wider(c->was, c->now), "example", c->example, "count",
		c->count <= INT32_MAX ? json_integer((json_int_t)c->count) : json_null(), "rules",
		causes);
}

static json_t *setting_json(const struct diff_setting *s)
{
	return json_pack("{s:s, s:s, s:s, s:i}", "what", s->what, "was", s->was, "now", s->now,
		"wider", s->wider);
}

static void print(json_t *o)
{
	if (o)
		json_dumpf(o, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
	printf("\n");
	json_decref(o);
}

static json_t *danger_json(const struct diff_danger *x)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:b}", "name", x->name, "kind", x->kind, "was",
		verdict_name(x->was), "now", verdict_name(x->now), "example", x->example,
		"promised", x->promised);
}

void diff_print_json(const struct diff_view *v)
{
	const struct policy_diff *d = v->diff;
	json_t *rules = json_array(), *changes = json_array(), *settings = json_array(),
	       *dangers = json_array();

	for (size_t i = 0; i < d->rules; i++)
		json_array_append_new(rules, rule_json(&d->rule[i]));
	for (size_t i = 0; i < d->changes; i++)
		json_array_append_new(changes, change_json(&d->change[i]));
	for (size_t i = 0; i < d->settings; i++)
		json_array_append_new(settings, setting_json(&d->setting[i]));
	for (size_t i = 0; i < d->dangers; i++)
		json_array_append_new(dangers, danger_json(&d->danger[i]));
	print(json_pack("{s:o, s:b, s:s, s:s, s:o, s:o, s:o, s:s}", "dangers", dangers, "wider",
		d->wider, "old_digest", d->was_digest, "new_digest", d->now_digest, "changes",
		changes, "settings", settings, "rules", rules, "checked", DIFF_KINDS));
}

/* ---- SARIF ---- */

/* Stays the same when lines move: what changed, and the rule that it comes from. */
static void fingerprint(const struct diff_change *c, const struct diff_rule *r, char out[65])
{
	unsigned char hash[crypto_hash_sha256_BYTES];
	crypto_hash_sha256_state h;
	char head[64];
	int n = snprintf(head, sizeof head, "%s %s %s ", c->kind, verdict_name(c->was),
		verdict_name(c->now));

	crypto_hash_sha256_init(&h);
	crypto_hash_sha256_update(&h, (const unsigned char *)head, (unsigned long long)n);
	if (r)
		crypto_hash_sha256_update(&h, (const unsigned char *)r->text, strlen(r->text));
	crypto_hash_sha256_final(&h, hash);
	sodium_bin2hex(out, 65, hash, sizeof hash);
}

static json_t *location(const char *file, unsigned line)
{
	return json_pack("{s:{s:{s:s}, s:{s:i}}}", "physicalLocation", "artifactLocation", "uri",
		file, "region", "startLine", (int)(line ? line : 1));
}

static json_t *change_result(const struct diff_view *v, const struct diff_change *c)
{
	const struct diff_rule *r = c->causes ? &v->diff->rule[c->cause[0]] : NULL;
	int wider = diff_is_wider(c->was, c->now);
	char text[4400], id[64], print_of[65];

	snprintf(text, sizeof text, "%s -> %s: %s %s", verdict_name(c->was), verdict_name(c->now),
		c->kind, c->example ? c->example : "(no example can be written)");
	snprintf(id, sizeof id, "%s/%s", wider ? "wider" : "stricter", c->kind);
	fingerprint(c, r, print_of);
	return json_pack("{s:s, s:s, s:{s:s}, s:[o], s:{s:s}}", "ruleId", id, "level",
		!wider                    ? "note"
		: c->now == VERDICT_ALLOW ? "error"
					  : "warning",
		"message", "text", text, "locations",
		location(r ? r->file : v->new_name, r ? r->line : 1), "partialFingerprints",
		"agentdPolicyDiff/v1", print_of);
}

static json_t *setting_result(const struct diff_view *v, const struct diff_setting *s)
{
	char text[400];

	snprintf(text, sizeof text, "%s: %s -> %s", s->what, s->was, s->now);
	return json_pack("{s:s, s:s, s:{s:s}, s:[o]}", "ruleId",
		s->wider > 0 ? "wider/setting" : "stricter/setting", "level",
		s->wider > 0 ? "warning" : "note", "message", "text", text, "locations",
		location(v->new_name, 1));
}

void diff_print_sarif(const struct diff_view *v)
{
	const struct policy_diff *d = v->diff;
	json_t *results = json_array();

	for (size_t i = 0; i < d->changes; i++)
		json_array_append_new(results, change_result(v, &d->change[i]));
	for (size_t i = 0; i < d->settings; i++)
		json_array_append_new(results, setting_result(v, &d->setting[i]));
	print(json_pack("{s:s, s:s, s:[{s:{s:{s:s, s:s}}, s:o}]}", "$schema",
		"https://json.schemastore.org/sarif-2.1.0.json", "version", "2.1.0", "runs", "tool",
		"driver", "name", "agentctl policy diff", "version", AGENTD_VERSION, "results",
		results));
}
