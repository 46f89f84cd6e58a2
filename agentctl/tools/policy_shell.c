/* agentctl policy explain 'shell TEXT': every command in the text, what the rules say about it, and what
 * the whole comes to. */
#include <stdio.h>

#include "agentctl/tools/policy_docs.h"
#include "agentctl/tools/policy_verbs.h"
#include "agentctl/tools/tools.h"
#include "policy/shell/judge.h"

static void print_part(const struct shell_judgement *j, size_t i)
{
	const struct shell_part *part = &j->part[i];
	struct decision d;

	shell_judgement_part(j, i, &d);
	printf("%-9s ", shell_part_name(part->kind));
	policy_print(part->text);
	printf("%s\n", part->inner ? "   (started by the one before)" : "");
	if (part->kind == SHELL_PART_OPAQUE)
		d.why = NULL; /* it is the text */
	policy_explain_decision("", &d);
}

int policy_explain_shell(const struct policy *p, const char *line)
{
	struct shell_judgement *j;

	if (policy_decide_shell_line(p, line, &j)) {
		fprintf(stderr, "agentctl policy: out of memory\n");
		return TOOL_FAILED;
	}
	for (size_t i = 0; i < j->parts; i++)
		print_part(j, i);
	policy_explain_decision("decision", &j->decision);
	if (j->decision.verdict == VERDICT_NONE)
		printf("%-22s no layer has rules of exec or files: what the tool's own rule says\n",
			"");
	else
		printf("%-22s the agent's own hook; a tool's own rule may be stricter\n",
			"enforced by");
	shell_judgement_free(j);
	return TOOL_OK;
}
