/* Small helpers of the policy tests: load YAML text, make an action, ask for its verdict. */
#ifndef TESTS_POLICY_RIG_H
#define TESTS_POLICY_RIG_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/policy.h"

static const struct action_places rig_places = {
	.ws = "/home/u/web", .home = "/home/u", .tmp = "/tmp", .cwd = "/home/u/web"};

__attribute__((unused)) static struct policy_doc rig_doc(
	const char *name, enum policy_origin origin, const char *text)
{
	return (struct policy_doc){name, origin, text, strlen(text)};
}

/* Loads one document as --policy would. Fails the test when it does not load. */
__attribute__((unused)) static struct policy *rig_load(const char *text)
{
	struct policy_doc d = rig_doc("test.yaml", POLICY_CLI, text);
	struct policy_error e;
	struct policy *p = policy_load(&d, 1, NULL, &e);

	ck_assert_msg(p != NULL, "%s", e.text);
	return p;
}

/* The error of a document that must not load; static. */
__attribute__((unused)) static const char *rig_error(const char *text)
{
	static struct policy_error e;
	struct policy_doc d = rig_doc("test.yaml", POLICY_CLI, text);
	struct policy *p = policy_load(&d, 1, NULL, &e);

	ck_assert_msg(p == NULL, "loads: %s", text);
	return e.text;
}

/* args: pointer, value, pointer, value, …, NULL; all strings. */
__attribute__((unused)) static struct action *rig_action(
	const struct action_places *places, const char *tool, const char *const *args)
{
	struct action_arg a[16];
	struct action *out;
	struct error e;
	size_t n = 0;

	for (; args && args[0]; args += 2, n++)
		a[n] = (struct action_arg){
			args[0], strlen(args[0]), ACTION_STRING, args[1], strlen(args[1])};
	ck_assert_msg(
		action_from_tool(&out, places, tool, strlen(tool), a, n, &e) == 0, "%s", e.text);
	return out;
}

__attribute__((unused)) static const char *rig_verdict_at(const struct policy *p,
	const struct action_places *places, const char *tool, const char *pointer,
	const char *value)
{
	const char *args[] = {pointer, value, NULL};
	struct action *a = rig_action(places, tool, pointer ? args : NULL);
	struct decision d;

	policy_decide(p, a, &d);
	action_free(a);
	return verdict_name(d.verdict);
}

__attribute__((unused)) static const char *rig_verdict(
	const struct policy *p, const char *tool, const char *pointer, const char *value)
{
	return rig_verdict_at(p, &rig_places, tool, pointer, value);
}

/* Rounds of a random test: a fifth in the inner loop (`make unit`), all of them in `make check`. */
__attribute__((unused)) static unsigned rig_rounds(unsigned all)
{
	return getenv("AGENTD_CHECK") ? all : all / 5;
}

__attribute__((unused)) static int rig_run(Suite *s)
{
	SRunner *r = srunner_create(s);
	int failed;

	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}

#endif
