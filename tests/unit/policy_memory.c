/* Out of memory at any one allocation: no policy, no action, an error, and nothing leaks or crashes.
 * The allocator is replaced by one that fails when told; not in a sanitizer build, which has its own. */
#include "tests/lib/policy_rig.h"

static const char text[] = "policy: 1\nname: x\nwhen: {agent: [\"*\"]}\n"
			   "workspace: {mounts: [ro /opt/a]}\nenv: {pass: [PATH], set: {A: b}}\n"
			   "tools:\n  allow: [\"Edit {/file_path: 'ws:/{a,b[c-e]}/**'}\"]\n"
			   "  deny: [{tool: X, except: [\"X {/a: b}\"], why: because}]\n"
			   "tests: ['allow tool Edit {/file_path: ws:/a/x}']\n";

static void load_once(int *loaded, struct policy_error *e)
{
	struct policy_facts facts = {.agent = "codex", .ci = 0};
	struct policy_doc d = {"m.yaml", POLICY_REPO, text, sizeof text - 1};
	struct policy *p = policy_load(&d, 1, &facts, e);

	*loaded = p != NULL;
	policy_free(p);
}

static void act_once(int *made)
{
	struct action_arg args[2] = {{"/file_path", 10, ACTION_STRING, "~/x", 3},
		{"/text", 5, ACTION_STRING, text, sizeof text - 1}};
	struct action *a;
	struct error e = {0};

	*made = action_from_tool(&a, &rig_places, "Edit", 4, args, 2, &e) == 0;
	ck_assert(*made == (a != NULL));
	ck_assert(*made || e.text[0]);
	action_free(a);
}

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)

void *__libc_malloc(size_t n); // NOLINT(bugprone-reserved-identifier)
void *__libc_calloc(size_t n, size_t size); // NOLINT(bugprone-reserved-identifier)
void *__libc_realloc(void *p, size_t n); // NOLINT(bugprone-reserved-identifier)

static long countdown = -1; /* the allocation that fails; -1: none */

static int fails(void)
{
	return countdown >= 0 && countdown-- == 0;
}

void *malloc(size_t n)
{
	return fails() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails() ? NULL : __libc_realloc(p, n);
}

START_TEST(no_allocation_that_fails_makes_half_a_policy)
{
	struct policy_error e;
	int loaded = 0;
	long n;

	for (n = 0; !loaded; n++) {
		ck_assert_int_lt(n, 100000);
		countdown = n;
		load_once(&loaded, &e);
		if (countdown >= 0)
			ck_assert_msg(loaded, "%s", e.text);
		else if (!loaded)
			ck_assert_int_eq(e.failure, POLICY_NO_MEMORY);
		countdown = -1;
	}
	ck_assert_int_gt(n, 50);
}
END_TEST

START_TEST(no_allocation_that_fails_makes_half_an_action)
{
	int made = 0;
	long n;

	for (n = 0; !made; n++) {
		ck_assert_int_lt(n, 1000);
		countdown = n;
		act_once(&made);
		countdown = -1;
	}
	ck_assert_int_gt(n, 1);
}
END_TEST

START_TEST(mounts_are_an_error_without_memory)
{
	static struct policy_mount m[POLICY_MOUNTS_MAX];
	struct policy *p = rig_load(text);
	struct error e = {0};
	int n;

	countdown = 0;
	n = policy_mounts(p, &rig_places, m, POLICY_MOUNTS_MAX, &e);
	countdown = -1;
	ck_assert_int_eq(n, -1);
	ck_assert(e.text[0]);
	policy_free(p);
}
END_TEST

#else

START_TEST(a_sanitizer_build_only_loads_once)
{
	struct policy_error e;
	int loaded, made;

	load_once(&loaded, &e);
	act_once(&made);
	ck_assert(loaded && made);
}
END_TEST

#endif

int main(void)
{
	Suite *s = suite_create("policy_memory");
	TCase *t = tcase_create("out of memory");

	tcase_set_timeout(t, 20);
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
	tcase_add_test(t, no_allocation_that_fails_makes_half_a_policy);
	tcase_add_test(t, no_allocation_that_fails_makes_half_an_action);
	tcase_add_test(t, mounts_are_an_error_without_memory);
#else
	tcase_add_test(t, a_sanitizer_build_only_loads_once);
#endif
	suite_add_tcase(s, t);
	return rig_run(s);
}
