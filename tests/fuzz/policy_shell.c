/* Shell text from a hostile agent: read without running anything, bounded, the same way twice, and what
 * policy makes of it is never laxer with a mark than without.
 * Input: the text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/shell/judge.h"
#include "policy/shell/shell.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char rules[] = "policy: 1\nexec:\n  allow: [git ..., ls a, \"* b ...\"]\n"
			    "  deny: [rm ..., git push ... flag(-f|--force) ...]\n"
			    "files:\n  allow: [rw ws:/**]\n";

static const struct policy *policy_once(void)
{
	static struct policy *p;
	struct policy_doc d = {"fuzz.yaml", POLICY_CLI, rules, sizeof rules - 1};

	if (!p)
		p = policy_load(&d, 1, NULL, NULL);
	if (!p)
		abort();
	return p;
}

static void check_words(const struct shell_script *s)
{
	size_t count = 0;

	for (const struct shell_command *c = s->first; c; c = c->next, count++) {
		size_t words = 0;

		for (const struct shell_word *w = c->argv; w; w = w->next, words++) {
			if (w->text.p[w->text.n] != 0 || strlen(w->text.p) != w->text.n)
				abort();
		}
		if (words != c->argc || (c->argc == 0) != (c->what == SHELL_NOTHING))
			abort();
	}
	if (count != s->commands || count > SHELL_COMMANDS_MAX || s->bytes > SHELL_BYTES_MAX)
		abort();
}

static void check_judgement(const char *text, size_t n, int marked)
{
	static const struct action_places places = {
		"/home/u/web", "/home/u", "/tmp", "/home/u/web"};
	struct shell_judgement *j;
	enum verdict strictest = VERDICT_NONE;

	if (policy_decide_shell(policy_once(), &places, text, n, &j))
		abort();
	for (size_t i = 0; i < j->parts; i++) {
		struct decision d;

		shell_judgement_part(j, i, &d);
		if (d.verdict != j->part[i].verdict)
			abort();
		if (d.verdict > strictest)
			strictest = d.verdict;
	}
	if (strictest != VERDICT_NONE && j->decision.verdict != strictest)
		abort();
	if (marked && j->decision.verdict < VERDICT_ASK)
		abort();
	shell_judgement_free(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *text = (const char *)data;
	struct shell_script script;
	struct arena a;
	int marked;

	arena_init(&a, 16u << 20);
	if (shell_read(&a, text, n, &script))
		abort();
	check_words(&script);
	marked = script.marks > 0;
	arena_free(&a);
	check_judgement(text, n, marked);
	return 0;
}
