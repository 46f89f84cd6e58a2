/* Policy documents that anybody may have written: each loads or has an error with its place. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void use(const struct policy *p)
{
	struct action_places places = {"/home/u/web", "/home/u", "/tmp", "/home/u/web"};
	struct action_arg arg = {"/file_path", 10, ACTION_STRING, "../web/a", 8};
	static struct policy_mount mounts[POLICY_MOUNTS_MAX];
	struct decision d;
	struct action *a;
	size_t run;

	if (action_from_tool(&a, &places, "Edit", 4, &arg, 1, NULL))
		abort();
	policy_decide(p, a, &d);
	if (d.verdict == VERDICT_NONE || !d.rule || !d.file)
		abort();
	action_free(a);
	if (policy_run_tests(p, &run, NULL, NULL))
		abort(); /* a document with a failing test must not load */
	policy_mounts(p, &places, mounts, POLICY_MOUNTS_MAX, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct policy_doc doc = {"fuzz.yaml", POLICY_REPO, (const char *)data, n};
	struct policy_error e;
	struct policy *p = policy_load(&doc, 1, NULL, &e);

	if (p) {
		use(p);
		policy_free(p);
	} else if (e.failure == POLICY_OK || !e.text[0] || strchr(e.text, '\n') ||
		   (e.failure == POLICY_INVALID && (!e.line || !e.column))) {
		abort();
	}
	return 0;
}
