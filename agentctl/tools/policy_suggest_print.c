/* Suggestions for people and for programs; see policy_suggest_print.h. Every line before the patch begins
 * with #, so that none is taken for a part of it. */
#include "agentctl/tools/policy_suggest_print.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agentctl/tools/policy_diff.h"
#include "agentctl/tools/policy_docs.h"
#include "common/escape.h"

#define NOTES_SHOWN 10u

/* ---- text ---- */

static void text_read(const struct suggest_report *r)
{
	struct suggest_totals t;
	const char *session, *why;

	suggest_log_totals(r->log, &t);
	printf("# %" PRIu64 " decisions in %zu sessions; %" PRIu64
	       " actions were approved, with %" PRIu64 " prompts\n",
		t.events, t.sessions, t.approved, t.prompts);
	for (size_t i = 0; i < NOTES_SHOWN && !suggest_log_dropped(r->log, i, &session, &why);
		i++) {
		printf("# not learned from (%s): session ", why);
		policy_print(session);
		printf("\n");
	}
	if (t.dropped > NOTES_SHOWN)
		printf("# … and from %zu sessions more\n", t.dropped - NOTES_SHOWN);
	if (t.lost)
		printf("# %" PRIu64 " more did not fit; name a shorter time with --since\n",
			t.lost);
	if (r->read.unusable)
		printf("# %" PRIu64 " calls were not looked at: kept in part, or no rule can be "
		       "written about them\n",
			r->read.unusable);
	if (r->read.unknown)
		printf("# warning: %" PRIu64 " refusals are of requests that are not in the log\n",
			r->read.unknown);
	if (r->suggestions->secrets)
		printf("# %u actions were not looked at: they look like secrets, or are no plain "
		       "text\n",
			r->suggestions->secrets);
	if (r->suggestions->skipped)
		printf("# nothing is suggested for `%s`: its rules are too many to prove "
		       "anything\n",
			r->suggestions->skipped);
}

static void text_also(const struct suggest_rule *r)
{
	if (r->also == 0)
		printf("nothing");
	else if (r->also < 20)
		printf("%.0f more", exp2(r->also) - 1);
	else
		printf("about 2^%.0f more", r->also);
	if (r->example) {
		printf(", like ");
		policy_print(r->example);
	}
}

static void text_rule(const struct suggest_rule *r, size_t i)
{
	printf("#\n# %zu. %s allow: ", i + 1, r->section);
	policy_print(r->text);
	for (size_t k = 0; k < r->excepts; k++) {
		printf("%s", k ? ", " : "   except ");
		policy_print(r->except[k]);
	}
	printf("\n#    saves %u prompts (%ux in %u sessions); also allows: ", r->prompts, r->count,
		r->sessions);
	text_also(r);
	printf("\n");
	if (!r->gated)
		printf("#    nothing enforces `%s` yet: a session with such rules does not start\n",
			r->section);
}

static void text_notes(const struct suggestions *s)
{
	size_t shown = s->notes < NOTES_SHOWN ? s->notes : NOTES_SHOWN;

	if (s->notes)
		printf("#\n# not suggested:\n");
	for (size_t i = 0; i < shown; i++) {
		printf("#   ");
		policy_print(s->note[i].action);
		printf("   (%ux: %s)\n", s->note[i].count, s->note[i].why);
	}
	if (s->notes - shown + s->notes_more)
		printf("#   … and %zu more\n", s->notes - shown + s->notes_more);
}

static void text_figures(const struct suggest_report *r)
{
	const struct suggest_replay *l = &r->suggestions->replay;

	if (r->patch)
		printf("#\n# the whole log again: %u different actions, %u prompts saved, nothing "
		       "approved became stricter, nothing refused is allowed\n",
			r->check.checked, r->check.saved);
	if (l->sessions)
		printf("# each of %zu sessions by rules from the others: %u of %u prompts saved, "
		       "%u "
		       "refused actions allowed\n",
			l->sessions, l->saved, l->prompts, l->slipped);
}

void suggest_print_text(const struct suggest_report *r)
{
	const struct diff_view v = {r->diff, r->file, "the same with this patch"};

	text_read(r);
	for (size_t i = 0; i < r->suggestions->rules; i++)
		text_rule(&r->suggestions->rule[i], i);
	if (r->suggestions->rules == 0)
		printf("# nothing to suggest\n");
	text_notes(r->suggestions);
	text_figures(r);
	if (!r->patch)
		return;
	printf("# a person has to apply it: agentctl policy suggest … | patch -p1\n%s\n", r->patch);
	diff_print_text(&v);
}

/* ---- JSON ---- */

static json_t *json_rule(const struct suggest_rule *r)
{
	json_t *excepts = json_array();

	for (size_t i = 0; i < r->excepts; i++)
		json_array_append_new(excepts, json_string(r->except[i]));
	return json_pack("{s:s,s:s,s:b,s:s,s:o,s:i,s:i,s:i,s:I,s:f,s:s?}", "kind", r->kind,
		"section", r->section, "enforced", r->gated, "rule", r->text, "except", excepts,
		"count", (int)r->count, "sessions", (int)r->sessions, "prompts_saved",
		(int)r->prompts, "last", (json_int_t)r->last, "also_bits", r->also, "also_example",
		r->example);
}

static json_t *json_escaped(const char *text)
{
	size_t n = strlen(text);
	char *safe = malloc(ESCAPE_CAP(n));
	json_t *s;

	if (!safe)
		return NULL;
	escape_text(safe, ESCAPE_CAP(n), text, n);
	s = json_string(safe);
	free(safe);
	return s;
}

static json_t *json_note(const struct suggest_note *n)
{
	return json_pack("{s:o,s:i,s:i,s:s}", "action", json_escaped(n->action), "count",
		(int)n->count, "sessions", (int)n->sessions, "why", n->why);
}

static json_t *json_read(const struct suggest_report *r)
{
	struct suggest_totals t;
	json_t *dropped = json_array();
	const char *session, *why;

	suggest_log_totals(r->log, &t);
	for (size_t i = 0; !suggest_log_dropped(r->log, i, &session, &why); i++)
		json_array_append_new(dropped,
			json_pack("{s:o,s:s}", "session", json_escaped(session), "why", why));
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:i,s:o}", "decisions", (json_int_t)t.events,
		"sessions", (json_int_t)t.sessions, "approved", (json_int_t)t.approved, "prompts",
		(json_int_t)t.prompts, "lost", (json_int_t)t.lost, "unusable",
		(json_int_t)r->read.unusable, "unknown_refusals", (json_int_t)r->read.unknown,
		"secrets", (int)r->suggestions->secrets, "dropped", dropped);
}

static json_t *json_changes(const struct policy_diff *d)
{
	json_t *list = json_array();

	for (size_t i = 0; d && i < d->changes; i++) {
		const struct diff_change *c = &d->change[i];

		json_array_append_new(
			list, json_pack("{s:s,s:s,s:s,s:o?}", "kind", c->kind, "was",
				      verdict_name(c->was), "now", verdict_name(c->now), "example",
				      c->example ? json_escaped(c->example) : NULL));
	}
	return list;
}

int suggest_print_json(const struct suggest_report *r)
{
	const struct suggestions *s = r->suggestions;
	json_t *rules = json_array(), *notes = json_array(), *o;

	for (size_t i = 0; i < s->rules; i++)
		json_array_append_new(rules, json_rule(&s->rule[i]));
	for (size_t i = 0; i < s->notes; i++)
		json_array_append_new(notes, json_note(&s->note[i]));
	o = json_pack("{s:s,s:o,s:o,s:o,s:I,s:s?,s:o,s:{s:i,s:i,s:i,s:i},s:{s:I,s:i,s:i,s:i}}",
		"policy", r->file, "read", json_read(r), "suggestions", rules, "not_suggested",
		notes, "not_suggested_more", (json_int_t)s->notes_more, "patch", r->patch,
		"changes", json_changes(r->diff), "replay", "checked", (int)r->check.checked,
		"saved", (int)r->check.saved, "stricter", (int)r->check.stricter, "slipped",
		(int)r->check.slipped, "leave_one_out", "sessions", (json_int_t)s->replay.sessions,
		"prompts", (int)s->replay.prompts, "saved", (int)s->replay.saved, "slipped",
		(int)s->replay.slipped);
	if (!o)
		return -1;
	json_dumpf(o, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	putchar('\n');
	json_decref(o);
	return 0;
}
