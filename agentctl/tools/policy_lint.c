/* agentctl policy lint: what is odd about policies that load; see policy/lint.h. Each file alone, on
 * top of the built-in layer, whatever its `when`. */
#include "policy/lint.h"

#include <stdio.h>
#include <string.h>

#include "agentctl/tools/policy_docs.h"
#include "agentctl/tools/policy_verbs.h"
#include "agentctl/tools/tools.h"

static const char *const levels[] = {"info", "warning", "error"};

static void print_finding(const struct lint_finding *f)
{
	policy_print(f->file);
	printf(":%u: %s %s: ", f->line, levels[f->level], f->code);
	policy_print(f->text);
	printf(".\n");
}

/* 0, or the exit code for what was found. */
static int lint_policy(const struct policy *p, enum lint_level worst_allowed, size_t *findings)
{
	struct policy_lint *l;
	struct error e = {0};
	int code = 0;

	if (policy_lint(p, &l, &e))
		return tool_fail("policy", &e);
	for (size_t i = 0; i < l->findings; i++) {
		print_finding(&l->finding[i]);
		if (l->finding[i].level > worst_allowed)
			code = POLICY_EXIT_TESTS;
	}
	*findings += l->findings;
	policy_lint_free(l);
	return code;
}

static int lint_file(const char *path, enum lint_level worst_allowed)
{
	const struct policy_facts facts = {.ci = -1, .any = 1};
	struct policy_docs d = {0};
	struct policy_error pe;
	struct policy *p = NULL;
	struct error e;
	size_t findings = 0;
	int code = POLICY_EXIT_INVALID;

	if (policy_docs_add(&d, path, POLICY_REPO, 0, &e) || policy_docs_extend(&d, &e)) {
		fflush(stdout);
		tool_fail("policy", &e);
	} else {
		p = policy_load(d.doc, d.n, &facts, &pe);
		code = p ? lint_policy(p, worst_allowed, &findings) : policy_docs_refused(&pe);
	}
	if (p && !code && findings == 0) {
		policy_print(path);
		printf(": nothing to say\n");
	}
	policy_free(p);
	policy_docs_free(&d);
	return code;
}

int policy_lint_verb(int argc, char **argv)
{
	enum lint_level worst_allowed = LINT_WARNING;
	int worst = 0, files = 0;

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--strict") == 0)
			worst_allowed = LINT_INFO;
		else if (argv[i][0] == '-' && argv[i][1])
			return tool_usage("policy", "unknown option %.60s", argv[i]);
		else
			files++;
	}
	if (files == 0)
		return tool_usage("policy", "lint needs a FILE");
	for (int i = 0; i < argc; i++) {
		int code = argv[i][0] == '-' && argv[i][1] ? 0 : lint_file(argv[i], worst_allowed);

		if (code == POLICY_EXIT_INVALID || (code && !worst))
			worst = code;
	}
	return worst;
}
