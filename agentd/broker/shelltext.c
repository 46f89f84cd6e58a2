/* Shell text in tool calls; see shelltext.h. */
#include "agentd/broker/shelltext.h"

#include <string.h>

#include "common/escape.h"

#define RUNS_MAX 32768u /* bytes of the list for a human */

int shelltext_decide(const struct policy *p, const struct action_places *places,
	const struct action *a, struct decision *d, char *part, struct shell_judgement **out)
{
	struct shell_judgement *j;
	const char *text;

	*part = 0;
	*out = NULL;
	if (d->verdict == VERDICT_DENY)
		return 0;
	if (policy_decide_shell_tool(p, places, a, &j) < 0)
		return -1;
	*out = j;
	if (!j || j->decision.verdict <= d->verdict)
		return 0;
	*d = j->decision;
	text = j->part[j->decisive].text;
	escape_text(part, SHELLTEXT_PART_CAP, text, strlen(text));
	return 0;
}

static void put_part(struct text *t, const struct shell_part *part)
{
	text_add(t, part->inner ? "{\"inner\":true,\"kind\":" : "{\"kind\":");
	text_quote_str(t, shell_part_name(part->kind));
	text_add(t, ",\"text\":");
	text_quote_str(t, part->text);
	text_add(t, ",\"verdict\":");
	text_quote_str(t, verdict_name(part->verdict));
	text_add(t, "}");
}

void shelltext_runs(struct text *t, const struct shell_judgement *j)
{
	size_t start = t->n;

	text_add(t, "[");
	for (size_t i = 0; i < j->parts && t->n - start <= RUNS_MAX; i++) {
		if (i)
			text_add(t, ",");
		put_part(t, &j->part[i]);
	}
	if (!t->failed && t->n - start > RUNS_MAX) {
		t->n = start;
		text_add(t, "[{\"kind\":\"opaque\",\"text\":\"more than can be listed\","
			    "\"verdict\":\"none\"}");
	}
	text_add(t, "]");
}
