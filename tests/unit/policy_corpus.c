/* Documents that must not load: each in tests/corpus/policy with the place and the cure that its
 * error must name, and the ones that are only made to be slow or large. */
#include <dirent.h>
#include <time.h>

#include "tests/lib/policy_rig.h"

#define FOLDER "tests/corpus/policy/"

static char *read_whole(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	char *text = malloc(POLICY_DOC_MAX + 2);

	ck_assert_msg(f != NULL, "%s (run the tests from the top of the tree)", path);
	ck_assert_ptr_nonnull(text);
	*n = fread(text, 1, POLICY_DOC_MAX + 2, f);
	fclose(f);
	return text;
}

static void check_one(const char *name, const char *place, const char *phrase)
{
	char path[256], start[300];
	struct policy_error e;
	struct policy_doc d = {path, POLICY_REPO, NULL, 0};
	struct policy *p;
	char *text;

	snprintf(path, sizeof path, FOLDER "%s.yaml", name);
	snprintf(start, sizeof start, "%s:%s: ", path, place);
	text = read_whole(path, &d.len);
	d.text = text;
	p = policy_load(&d, 1, NULL, &e);
	ck_assert_msg(p == NULL, "%s loads", path);
	ck_assert_msg(
		strncmp(e.text, start, strlen(start)) == 0, "wanted %s\nhave   %s", start, e.text);
	ck_assert_msg(strstr(e.text, phrase) != NULL, "wanted “%s”\nin     %s", phrase, e.text);
	ck_assert_msg(strchr(e.text, '\n') == NULL, "%s", e.text);
	ck_assert_int_ne(e.failure, POLICY_OK);
	ck_assert_str_eq(e.file, path);
	free(text);
}

START_TEST(each_bad_document_is_refused_at_its_place_with_its_cure)
{
	FILE *f = fopen(FOLDER "expected", "r");
	char line[512];
	unsigned count = 0;

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof line, f)) {
		char *at, *name = strtok_r(line, "\t", &at), *place = strtok_r(NULL, "\t", &at);
		char *phrase = strtok_r(NULL, "\n", &at);

		if (line[0] == '#')
			continue;
		ck_assert_ptr_nonnull(phrase);
		check_one(name, place, phrase);
		count++;
	}
	fclose(f);
	ck_assert_uint_ge(count, 120);
}
END_TEST

static int is_yaml(const struct dirent *entry)
{
	return strstr(entry->d_name, ".yaml") != NULL;
}

START_TEST(every_document_of_the_corpus_is_in_the_table)
{
	struct dirent **list;
	size_t n;
	char *table = read_whole(FOLDER "expected", &n);
	int i, found = scandir(FOLDER, &list, is_yaml, alphasort);

	ck_assert_int_ge(found, 120);
	table[n] = 0;
	for (i = 0; i < found; i++) {
		char want[300];

		snprintf(want, sizeof want, "\n%.*s\t",
			(int)(strstr(list[i]->d_name, ".yaml") - list[i]->d_name), list[i]->d_name);
		ck_assert_msg(strstr(table, want) != NULL, "%s is not in the table", want);
		free(list[i]);
	}
	free(list);
	free(table);
}
END_TEST

/* Everything below makes one large or nasty text and expects a quick error. */
static char nasty[POLICY_DOC_MAX + 2];

static void refused_quickly(size_t n, const char *phrase)
{
	struct policy_doc d = {"nasty.yaml", POLICY_CLI, nasty, n};
	struct policy_error e;
	clock_t start = clock();
	struct policy *p = policy_load(&d, 1, NULL, &e);
	double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;

	ck_assert_ptr_null(p);
	ck_assert_msg(strstr(e.text, phrase) != NULL, "wanted “%s”\nin     %.200s", phrase, e.text);
	ck_assert_msg(seconds < 2, "%f s", seconds);
}

static size_t begin(const char *text)
{
	strcpy(nasty, text);
	return strlen(text);
}

static size_t fill_with(size_t at, const char *unit)
{
	size_t n = strlen(unit);

	for (; at + n <= POLICY_DOC_MAX; at += n)
		memcpy(nasty + at, unit, n);
	return at;
}

START_TEST(a_document_one_byte_too_long_is_refused_and_one_byte_less_is_not)
{
	struct policy_doc d = {"big.yaml", POLICY_CLI, nasty, POLICY_DOC_MAX};
	struct policy *p;

	fill_with(begin("policy: 1\n"), "#");
	p = policy_load(&d, 1, NULL, NULL);
	ck_assert_ptr_nonnull(p);
	policy_free(p);
	nasty[POLICY_DOC_MAX] = '#';
	refused_quickly(POLICY_DOC_MAX + 1, "262144");
}
END_TEST

START_TEST(a_quarter_megabyte_of_open_brackets_is_refused_quickly)
{
	refused_quickly(fill_with(begin("policy: 1\nname: "), "["), "nested more than 16");
	refused_quickly(fill_with(begin("policy: 1\nname: "), "{a: "), "nested more than 16");
	refused_quickly(fill_with(begin(""), "- "), "nested more than 16");
}
END_TEST

START_TEST(thousands_of_keys_and_items_are_refused_quickly)
{
	size_t at = begin("policy: 1\nenv:\n  set:\n");
	unsigned i;

	for (i = 0; at + 20 < POLICY_DOC_MAX; i++)
		at += (size_t)sprintf(nasty + at, "    V%u: x\n", i);
	refused_quickly(at, "more than 4096 entries");
	refused_quickly(fill_with(begin("policy: 1\ntools: {deny: ["), "A,"), "more than 4096");
	refused_quickly(fill_with(begin("policy: 1\n"), "? \n"), "");
}
END_TEST

START_TEST(one_endless_scalar_of_each_style_is_refused_quickly)
{
	refused_quickly(fill_with(begin("policy: 1\nname: "), "x"), "at most 128 bytes");
	refused_quickly(fill_with(begin("policy: 1\nname: "), "x: "), "quote a text");
	refused_quickly(fill_with(begin("policy: 1\nname: \""), "\\n"), "Close it");
	refused_quickly(fill_with(begin("policy: 1\nname: |\n"), "  x\n"), "at most 128 bytes");
	refused_quickly(fill_with(begin("policy: 1\nname: "), "&a "), "anchor");
	refused_quickly(fill_with(begin("policy: 1\nname: "), "*a, "), "alias");
}
END_TEST

START_TEST(patterns_that_multiply_out_stay_within_time_and_memory)
{
	char rule[1100];
	size_t at = begin("policy: 1\ntools:\n  deny:\n"), n;

	n = (size_t)sprintf(rule, "    - \"X {/a: 'ws:/{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}");
	memset(rule + n, 'y', 900);
	strcpy(rule + n + 900, "'}\"\n");
	at = fill_with(at, rule);
	nasty[at] = 0;
	{
		struct policy_doc d = {"nasty.yaml", POLICY_CLI, nasty, at};
		struct policy_error e;
		clock_t start = clock();
		struct policy *p = policy_load(&d, 1, NULL, &e);

		ck_assert_msg(p != NULL || e.failure == POLICY_NO_MEMORY, "%s", e.text);
		ck_assert(clock() - start < 2 * CLOCKS_PER_SEC);
		policy_free(p);
	}
}
END_TEST

START_TEST(a_document_cut_at_any_byte_never_loads_half)
{
	const char *whole = "policy: 1\ntools:\n  deny:\n    - tool: \"Edit {/a: ws:/x}\"\n"
			    "      except: [\"Edit {/a: ws:/x/y}\"]\nunmatched: deny\n";
	size_t n;

	for (n = 0; n < strlen(whole); n++) {
		struct policy_doc d = {"cut.yaml", POLICY_CLI, whole, n};
		struct policy *p = policy_load(&d, 1, NULL, NULL);

		if (p) {
			struct policy_layer l;
			struct policy_rule r;

			ck_assert_int_eq(policy_layer_get(p, 1, &l), 0);
			ck_assert_msg(l.deny == 0 || policy_rule_get(p, 1, 0, &r) == 0, "%zu", n);
			policy_free(p);
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("policy_corpus");
	TCase *t = tcase_create("documents that do not load");

	tcase_set_timeout(t, 60); /* a busy machine: what must be quick is measured in CPU time */
	tcase_add_test(t, each_bad_document_is_refused_at_its_place_with_its_cure);
	tcase_add_test(t, every_document_of_the_corpus_is_in_the_table);
	tcase_add_test(t, a_document_one_byte_too_long_is_refused_and_one_byte_less_is_not);
	tcase_add_test(t, a_quarter_megabyte_of_open_brackets_is_refused_quickly);
	tcase_add_test(t, thousands_of_keys_and_items_are_refused_quickly);
	tcase_add_test(t, one_endless_scalar_of_each_style_is_refused_quickly);
	tcase_add_test(t, patterns_that_multiply_out_stay_within_time_and_memory);
	tcase_add_test(t, a_document_cut_at_any_byte_never_loads_half);
	suite_add_tcase(s, t);
	return rig_run(s);
}
