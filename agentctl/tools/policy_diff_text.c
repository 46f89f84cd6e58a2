/* The result of `agentctl policy diff` for people: plain text and Markdown. Everything that comes
 * from a policy is escaped; in Markdown also what would be markup. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agentctl/tools/policy_diff.h"
#include "agentctl/tools/policy_docs.h"
#include "common/escape.h"

static size_t count_of(const struct policy_diff *d, int wider)
{
	size_t n = 0;

	for (size_t i = 0; i < d->changes; i++)
		n += diff_is_wider(d->change[i].was, d->change[i].now) == wider;
	for (size_t i = 0; i < d->settings; i++)
		n += wider ? d->setting[i].wider > 0 : d->setting[i].wider < 0;
	return n;
}

static const char *headline(const struct policy_diff *d)
{
	if (d->wider)
		return "wider: it needs a review";
	if (d->changes || d->settings)
		return count_of(d, 0) ? "only stricter" : "no wider";
	return d->rules ? "no change in meaning" : "no change";
}

static void how_many(const struct diff_change *c)
{
	if (c->count == UINT64_MAX)
		return;
	printf(" (%" PRIu64 " %s)", c->count, c->count == 1 ? "action in all" : "actions in all");
}

/* ---- text ---- */

static void text_rule(const struct diff_rule *r)
{
	printf("    because of ");
	policy_print(r->file);
	printf(":%u, %s: %s %s ", r->line, r->added ? "added" : "removed", r->section,
		verdict_name(r->effect));
	policy_print(r->text);
	printf("\n");
}

static void text_change(const struct policy_diff *d, const struct diff_change *c)
{
	printf("%s  %s -> %s  %s ", diff_is_wider(c->was, c->now) ? "WIDER   " : "stricter",
		verdict_name(c->was), verdict_name(c->now), c->kind);
	policy_print(c->example ? c->example : "(no example can be written)");
	how_many(c);
	printf("\n");
	for (size_t i = 0; i < c->causes; i++)
		text_rule(&d->rule[c->cause[i]]);
	if (c->causes == 0)
		printf("    because of `unmatched`, a ceiling, or a layer that came or went\n");
}

static void text_danger(const struct diff_danger *x)
{
	printf("DANGER    %s -> %s  %s: ", verdict_name(x->was), verdict_name(x->now), x->name);
	if (x->example) {
		printf("%s ", x->kind);
		policy_print(x->example);
	} else {
		printf("%s", x->meaning);
	}
	printf("%s\n", x->promised ? " (a test promised `never`)" : "");
}

void diff_print_text(const struct diff_view *v)
{
	const struct policy_diff *d = v->diff;

	printf("policy change: %s\n", headline(d));
	for (size_t i = 0; i < d->dangers; i++)
		text_danger(&d->danger[i]);
	for (size_t i = 0; i < d->changes; i++)
		text_change(d, &d->change[i]);
	for (size_t i = 0; i < d->settings; i++) {
		const struct diff_setting *s = &d->setting[i];

		printf("%s  ", s->wider > 0 ? "WIDER   " : s->wider < 0 ? "stricter" : "other   ");
		policy_print(s->what);
		printf(": ");
		policy_print(s->was);
		printf(" -> ");
		policy_print(s->now);
		printf("\n");
	}
	for (size_t i = 0; i < d->rules; i++) {
		const struct diff_rule *r = &d->rule[i];

		if (r->matters)
			continue;
		printf("no effect  ");
		policy_print(r->file);
		printf(":%u, %s: %s %s ", r->line, r->added ? "added" : "removed", r->section,
			verdict_name(r->effect));
		policy_print(r->text);
		printf("\n");
	}
	printf("Nothing else changes: checked for all actions, not sampled (%s).\n", DIFF_KINDS);
	printf("old %.16s  new %.16s\n", d->was_digest, d->now_digest);
}

/* ---- Markdown ---- */

/* Text inside a table cell's code span: no backtick, bar, line break or control character. */
static void cell(const char *text)
{
	size_t n = strlen(text);
	char *safe = malloc(ESCAPE_CAP(n));

	if (!safe)
		return;
	escape_text(safe, ESCAPE_CAP(n), text, n);
	putchar('`');
	for (const char *p = safe; *p; p++) {
		if (*p == '`')
			fputs("'", stdout);
		else if (*p == '|')
			fputs("\\|", stdout);
		else
			putchar(*p);
	}
	putchar('`');
	free(safe);
}

static void markdown_cause(const struct diff_rule *r)
{
	printf("line %u %s: ", r->line, r->added ? "added" : "removed");
	cell(r->text);
}

static void markdown_change(const struct policy_diff *d, const struct diff_change *c)
{
	char example[4200];

	snprintf(example, sizeof example, "%s %s", c->kind, c->example ? c->example : "…");
	printf("| %s | %s | **%s** | ", diff_is_wider(c->was, c->now) ? "🔴 wider" : "🟢 stricter",
		verdict_name(c->was), verdict_name(c->now));
	cell(example);
	how_many(c);
	printf(" | ");
	for (size_t i = 0; i < c->causes; i++) {
		printf("%s", i ? "<br>" : "");
		markdown_cause(&d->rule[c->cause[i]]);
	}
	if (c->causes == 0)
		printf("`unmatched`, a ceiling, or a layer that came or went");
	printf(" |\n");
}

static void markdown_danger(const struct diff_danger *x)
{
	char example[4200];

	snprintf(example, sizeof example, "%s %s", x->kind, x->example ? x->example : x->meaning);
	printf("| 🔴 **%s** | %s | **%s** | ", x->name, verdict_name(x->was), verdict_name(x->now));
	cell(example);
	printf(" | %s%s |\n", x->meaning, x->promised ? "; a test promised `never`" : "");
}

static void markdown_setting(const struct diff_setting *s)
{
	printf("| %s | ", s->wider > 0 ? "🔴 wider" : s->wider < 0 ? "🟢 stricter" : "⚪ other");
	cell(s->was);
	printf(" | ");
	cell(s->now);
	printf(" | ");
	cell(s->what);
	printf(" | |\n");
}

static void markdown_idle(const struct policy_diff *d)
{
	int any = 0;

	for (size_t i = 0; i < d->rules; i++) {
		if (d->rule[i].matters)
			continue;
		printf("%s", any++ ? ", " : "Changed text, same meaning: ");
		markdown_cause(&d->rule[i]);
	}
	if (any)
		printf(".\n\n");
}

void diff_print_markdown(const struct diff_view *v)
{
	const struct policy_diff *d = v->diff;

	printf("<!-- agentd policy diff -->\n### Policy change: %s%s\n\n", d->wider ? "⚠ " : "✅ ",
		headline(d));
	if (d->changes || d->settings)
		printf("| | was | now | example of what changes | because "
		       "|\n|---|---|---|---|---|\n");
	for (size_t i = 0; i < d->dangers; i++)
		markdown_danger(&d->danger[i]);
	for (size_t i = 0; i < d->changes; i++)
		markdown_change(d, &d->change[i]);
	for (size_t i = 0; i < d->settings; i++)
		markdown_setting(&d->setting[i]);
	printf("\n**Nothing else changes.** Checked for all actions, not sampled (%s).\n\n",
		DIFF_KINDS);
	markdown_idle(d);
	printf("<sub>old %.16s → new %.16s · reproduce: ", d->was_digest, d->now_digest);
	printf("agentctl policy diff ");
	cell(v->old_name);
	printf(" ");
	cell(v->new_name);
	printf("</sub>\n");
}
