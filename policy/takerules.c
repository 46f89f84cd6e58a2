/* The rules and tests of a document; see take.h. */
#include <stdlib.h>
#include <string.h>

#include "policy/take.h"
#include "policy/text.h"

static int take_match(struct loader *l, const struct yaml_value *v, struct match *out)
{
	struct pattern_fault f;

	if (match_parse(l->arena, l->kind, v->text, v->len, out, &f))
		return reject_fault(l, v, &f);
	return 0;
}

/* The name a rule's text has in the long form: what the section is about. */
static const char *text_key(const struct loader *l)
{
	return l->kind ? l->kind->key : "tool";
}

int take_rule_text(struct loader *l, const struct yaml_value *v)
{
	if (strcmp(v->key->text, text_key(l)) != 0)
		return reject_value(l, v->key,
			"a key of another section's rules. Write `%s: …` here", text_key(l));
	if (v->type != YAML_TEXT)
		return reject_value(l, v, "no rule. Write one text, quoted when {…} follows");
	l->rule->line = v->line;
	return take_match(l, v, &l->rule->match);
}

int take_rule_except(struct loader *l, const struct yaml_value *v)
{
	const struct yaml_value *item;
	struct rule *r = l->rule;

	if (take_list(l, v))
		return -1;
	if (v->count > l->row->value.most)
		return reject_value(l, v, "more than 64 exceptions. Write rules of their own");
	r->except = arena_array(l->arena, v->count, sizeof *r->except);
	if (!r->except)
		return policy_no_memory(l->e, l->doc->name);
	for (item = v->first; item; item = item->next) {
		if (take_match(l, item, &r->except[r->excepts]))
			return -1;
		r->excepts++;
	}
	return 0;
}

/* Whole paths, no patterns: what is pinned is compared byte by byte. */
static int take_pin(struct loader *l, const struct yaml_value *v, const char **out)
{
	struct pattern_fault f;

	if (!path_is_canonical(v->text, v->len, &f))
		return reject_fault(l, v, &f);
	if (strpbrk(v->text, "*?[]{}"))
		return reject_value(
			l, v, "a pattern where one file must stand. Name each pinned file");
	*out = arena_copy(l->arena, v->text, v->len);
	return *out ? 0 : policy_no_memory(l->e, l->doc->name);
}

int take_rule_pinned(struct loader *l, const struct yaml_value *v)
{
	const struct yaml_value *item;
	struct rule *r = l->rule;

	if (l->kind != &kind_exec || r->effect != VERDICT_ALLOW)
		return reject_value(l, v->key,
			"files pinned to a rule that is no allow rule of exec. Delete it; the "
			"other "
			"rules hold whatever is in the files");
	if (take_list(l, v))
		return -1;
	if (v->count == 0 || v->count > l->row->value.most)
		return reject_value(
			l, v, "no files. Write a list of 1 to 64 paths, like [ws:/Makefile]");
	r->pin = arena_array(l->arena, v->count, sizeof *r->pin);
	if (!r->pin)
		return policy_no_memory(l->e, l->doc->name);
	for (item = v->first; item; item = item->next) {
		if (take_pin(l, item, &r->pin[r->pins]))
			return -1;
		r->pins++;
	}
	return 0;
}

int take_rule_why(struct loader *l, const struct yaml_value *v)
{
	if (v->type != YAML_TEXT || v->len == 0 || v->len > l->row->value.most)
		return reject_value(l, v, "no reason. Write one text of at most 400 bytes");
	l->rule->why = arena_copy(l->arena, v->text, v->len);
	return l->rule->why ? 0 : policy_no_memory(l->e, l->doc->name);
}

static int is_rule_key(const char *key)
{
	const struct policy_key *k;

	for (size_t i = 0; (k = policy_key(i)) != NULL; i++) {
		if (strncmp(k->path, "rule.", 5) == 0 && strcmp(k->path + 5, key) == 0)
			return 1;
	}
	return 0;
}

/* `- Edit {/file_path: x}` and `- {Read,Edit}` are mappings to YAML, but were meant as rules. */
static int is_unquoted_rule(const struct yaml_value *v)
{
	const char *key;

	if (v->type != YAML_MAPPING || !v->first)
		return 0;
	key = v->first->key->text;
	return strstr(key, " {") != NULL || (v->first->type == YAML_TEXT && v->first->len == 0 &&
						    v->first->plain && !is_rule_key(key));
}

static int quote_rule(struct loader *l, const struct yaml_value *v)
{
	char quoted[240];

	return policy_fail(l->e, l->doc->name, v->line, v->column,
		"a text that YAML reads as a mapping. Quote it: %s",
		yaml_quoted_rest(
			quoted, sizeof quoted, l->doc->text, l->doc->len, v->line, v->column));
}

static int take_rule(struct loader *l, const struct yaml_value *v, struct rule *r)
{
	r->line = v->line;
	if (v->type == YAML_TEXT)
		return take_match(l, v, &r->match);
	if (is_unquoted_rule(v))
		return quote_rule(l, v);
	if (v->type != YAML_MAPPING)
		return reject_value(l, v, "no rule. Write a text like %s, or {%s: …, except: […]}",
			l->kind ? l->kind->hint : "Read", text_key(l));
	l->rule = r;
	if (keys_take(l, "rule", v))
		return -1;
	if (!r->match.text)
		return reject_value(l, v, "a rule without its `%s`. Write {%s: …, why: …}",
			text_key(l), text_key(l));
	return 0;
}

static int by_effect(const void *a, const void *b)
{
	const struct rule *x = a, *y = b;

	if (x->effect != y->effect)
		return x->effect > y->effect ? -1 : 1;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return strcmp(x->match.text, y->match.text);
}

/* "files.deny": the kind and the effect of the rules below. */
static enum verdict rules_key(struct loader *l, enum action_kind *id)
{
	const char *dot = strchr(l->key, '.');
	const struct kind *k;

	l->kind = NULL;
	*id = ACTION_TOOL;
	for (size_t i = 0; (k = kind_at(i)) != NULL; i++) {
		if (strncmp(k->section, l->key, (size_t)(dot - l->key)) == 0 &&
			k->section[dot - l->key] == 0) {
			l->kind = k;
			*id = k->id;
		}
	}
	return strcmp(dot, ".allow") == 0 ? VERDICT_ALLOW
	       : strcmp(dot, ".ask") == 0 ? VERDICT_ASK
					  : VERDICT_DENY;
}

int take_rules(struct loader *l, const struct yaml_value *v)
{
	enum action_kind id;
	enum verdict effect = rules_key(l, &id);
	struct layer *y = l->layer;
	const struct yaml_value *item;
	struct rule *grown;

	if (v->type != YAML_LIST)
		return take_list(l, v);
	if (y->rules + v->count > POLICY_RULES_MAX)
		return reject_value(l, v, "more than 2000 rules. Use patterns");
	grown = arena_array(l->arena, y->rules + v->count, sizeof *grown);
	if (!grown)
		return policy_no_memory(l->e, l->doc->name);
	if (y->rules)
		memcpy(grown, y->rule, y->rules * sizeof *grown);
	y->rule = grown;
	for (item = v->first; item; item = item->next) {
		y->rule[y->rules].effect = effect;
		if (take_rule(l, item, &y->rule[y->rules]))
			return -1;
		y->rules++;
	}
	y->of[effect] += v->count;
	if (effect == VERDICT_ALLOW)
		y->states_allow |= 1u << id;
	if (y->rules)
		qsort(y->rule, y->rules, sizeof *y->rule, by_effect);
	return 0;
}

static int take_test(struct loader *l, const struct yaml_value *v, struct test *t)
{
	struct pattern_fault f;

	if (is_unquoted_rule(v))
		return quote_rule(l, v);
	if (v->type != YAML_TEXT)
		return reject_value(l, v, "no test. Write a text like `deny tool WebSearch`");
	t->line = v->line;
	t->column = v->column;
	if (test_parse(l->arena, v->text, v->len, t, &f))
		return reject_fault(l, v, &f);
	return 0;
}

int take_tests(struct loader *l, const struct yaml_value *v)
{
	struct layer *y = l->layer;
	const struct yaml_value *item;

	if (v->type != YAML_LIST)
		return take_list(l, v);
	y->test = arena_array(l->arena, v->count, sizeof *y->test);
	if (!y->test)
		return policy_no_memory(l->e, l->doc->name);
	for (item = v->first; item; item = item->next) {
		struct test *t = &y->test[y->tests];

		if (take_test(l, item, t))
			return -1;
		y->tests++;
	}
	return 0;
}
