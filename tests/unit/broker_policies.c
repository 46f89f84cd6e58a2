/* Sessions with the same documents and facts share one loaded policy, and only those. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agentd/broker/policies.h"

static const char text[] = "policy: 1\ntools: {deny: [WebSearch]}\n";
static struct policy_doc doc = {
	.name = "a.yaml", .origin = POLICY_USER, .text = text, .len = sizeof text - 1};
static struct policy_facts facts = {.agent = "codex", .user = "dev", .ci = 0};

START_TEST(the_same_documents_and_facts_give_the_same_policy)
{
	struct policy_error e;
	struct policy *a = policies_get(&doc, 1, &facts, &e),
		      *b = policies_get(&doc, 1, &facts, &e);

	ck_assert_ptr_nonnull(a);
	ck_assert_ptr_eq(a, b);
	policies_put(a);
	policies_put(b);
	ck_assert_ptr_eq(policies_get(&doc, 1, &facts, &e), a); /* kept while idle */
	policies_put(a);
	policies_clear();
}
END_TEST

START_TEST(any_difference_gives_another_policy)
{
	struct policy_error e;
	struct policy *a = policies_get(&doc, 1, &facts, &e);
	struct policy_doc other = doc;
	struct policy_facts f = facts;
	struct policy *b[6];

	other.name = "b.yaml";
	b[0] = policies_get(&other, 1, &facts, &e);
	other = doc;
	other.origin = POLICY_REPO;
	b[1] = policies_get(&other, 1, &facts, &e);
	other = doc;
	other.len--; /* without the last newline */
	b[2] = policies_get(&other, 1, &facts, &e);
	f.agent = "code";
	b[3] = policies_get(&doc, 1, &f, &e);
	f = facts;
	f.branch = "";
	b[4] = policies_get(&doc, 1, &f, &e);
	b[5] = policies_get(&doc, 0, &facts, &e);
	for (size_t i = 0; i < 6; i++) {
		ck_assert_ptr_nonnull(b[i]);
		ck_assert_ptr_ne(b[i], a);
		policies_put(b[i]);
	}
	policies_put(a);
	policies_clear();
}
END_TEST

START_TEST(a_document_that_does_not_load_fails_each_time)
{
	static const char bad[] = "policy: 1\ntols: {}\n";
	struct policy_doc d = {
		.name = "bad.yaml", .origin = POLICY_USER, .text = bad, .len = sizeof bad - 1};

	for (int i = 0; i < 2; i++) {
		struct policy_error e = {0};

		ck_assert_ptr_null(policies_get(&d, 1, &facts, &e));
		ck_assert_ptr_nonnull(strstr(e.text, "bad.yaml:2"));
	}
	policies_clear();
}
END_TEST

START_TEST(idle_policies_are_bounded)
{
	struct policy_error e;
	char name[32];

	for (int i = 0; i < 100; i++) {
		struct policy_doc d = doc;

		snprintf(name, sizeof name, "%d.yaml", i);
		d.name = name;
		policies_put(policies_get(&d, 1, &facts, &e));
	}
	policies_clear(); /* a leak checker sees what is left */
}
END_TEST

int main(void)
{
	Suite *s = suite_create("broker_policies");
	TCase *t = tcase_create("broker_policies");
	SRunner *r;
	int failed;

	tcase_add_test(t, the_same_documents_and_facts_give_the_same_policy);
	tcase_add_test(t, any_difference_gives_another_policy);
	tcase_add_test(t, a_document_that_does_not_load_fails_each_time);
	tcase_add_test(t, idle_policies_are_bounded);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
