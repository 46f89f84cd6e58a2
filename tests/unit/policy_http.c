/* Requests over HTTP: one request has one spelling or none, and rules decide what they say. */
#include "policy/automata/dfa.h"
#include "policy/kinds/kind.h"
#include "tests/lib/policy_rig.h"

static struct http_request request(const char *method, const char *host, const char *target)
{
	return (struct http_request){.method = method,
		.method_len = strlen(method),
		.host = host,
		.host_len = strlen(host),
		.target = target,
		.target_len = strlen(target),
		.tls = 1,
		.port = 443};
}

static struct action *made(const char *target)
{
	struct http_request r = request("GET", "x.y", target);
	struct action *a;
	struct error e;

	ck_assert_msg(action_from_http(&a, &r, &e) == 0, "%s: %s", target, e.text);
	return a;
}

static void same_as(const char *one, const char *other)
{
	struct action *a = made(one), *b = made(other);
	char x[65], y[65];

	action_digest(a, x);
	action_digest(b, y);
	ck_assert_msg(strcmp(x, y) == 0, "%s is not %s", one, other);
	action_free(a);
	action_free(b);
}

static void refused(const struct http_request *r, const char *phrase)
{
	struct action *a;
	struct error e = {0};

	ck_assert_msg(action_from_http(&a, r, &e) == -1, "%.*s", (int)r->target_len, r->target);
	ck_assert_ptr_null(a);
	ck_assert_msg(strstr(e.text, "not canonical") && strstr(e.text, phrase), "%s", e.text);
}

static void refused_path(const char *target, const char *phrase)
{
	struct http_request r = request("GET", "x.y", target);

	refused(&r, phrase);
}

START_TEST(one_path_has_one_spelling)
{
	same_as("/a?x=../..", "/a");
	same_as("/a#b", "/a");
	same_as("/%61%7e%2Ex", "/a~.x");
	same_as("/%c3%a9", "/%C3%A9");
	same_as("/\xc3\xa9", "/%C3%A9");
	same_as("/a|b", "/a%7cb");
	same_as("/", "/?");
}
END_TEST

START_TEST(different_paths_stay_different)
{
	struct action *a = made("/a"), *b = made("/a/");
	char x[65], y[65];

	action_digest(a, x);
	action_digest(b, y);
	ck_assert_str_ne(x, y);
	action_free(a);
	action_free(b);
}
END_TEST

START_TEST(a_path_that_servers_read_in_two_ways_has_no_spelling)
{
	refused_path("", "slash");
	refused_path("a", "slash");
	refused_path("*", "slash");
	refused_path("//a", "empty segment");
	refused_path("/a//b", "empty segment");
	refused_path("/a/;x/b", "empty segment");
	refused_path("/a/;", "empty segment");
	refused_path("/a/./b", "dot segment");
	refused_path("/a/..", "dot segment");
	refused_path("/a/..?x", "dot segment");
	refused_path("/%2e%2E/b", "dot segment");
	refused_path("/.%2e/b", "dot segment");
	refused_path("/a/..;/b", "dot segment");
	refused_path("/a/..;x=y/b", "dot segment");
	refused_path("/a/.%3bx/b", "dot segment");
	refused_path("/a%2fb", "encoded slash");
	refused_path("/a%5Cb", "backslash");
	refused_path("/a\\b", "backslash");
	refused_path("/a%00", "NUL");
	refused_path("/a%", "no escape");
	refused_path("/a%4", "no escape");
	refused_path("/a%zz", "no escape");
	refused_path("/a b", "space");
	refused_path("/a\nb", "control");
}
END_TEST

static unsigned long long seed = 0x853c49e6748fea9bULL;

static unsigned roll(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)((seed >> 11) % n);
}

static void random_target(char *out, unsigned pieces)
{
	static const char *const parts[] = {"/", "/", "/", "a", ".", ".", "..", ";", "%2e", "%2F",
		"%3B", "%3b", "%41", "%C3", "%c3", "%", "%5c", "%00", "|", "@", "?", " ", "\xc3",
		"~"};

	strcpy(out, "/");
	for (unsigned i = 0; i < pieces; i++)
		strcat(out, parts[roll(24)]);
}

/* The language of canonical words is what the canonicaliser makes, no more and no less. */
START_TEST(the_language_and_the_canonicaliser_agree)
{
	const struct shape none = {0, NULL};
	struct alphabet alphabet;
	struct arena a;
	struct dfa *words;
	const struct re *re;
	unsigned canonical = 0;

	arena_init(&a, 64u << 20);
	alphabet_init(&alphabet);
	re = kind_http.canonical(&a, 1, &none);
	alphabet_add(&alphabet, re);
	ck_assert_int_eq(dfa_build(&alphabet, re, 1, &words), DFA_OK);
	for (unsigned i = 0; i < 200000; i++) {
		unsigned char word[200] = "GET\0shx.y\0\1\xbb";
		char target[100];
		struct http_request r = request("GET", "x.y", target);
		struct action *made_of;
		size_t n = 12;
		int fixed;

		random_target(target, roll(6));
		memcpy(word + n, target, strlen(target) + 1);
		n += strlen(target) + 1;
		r.target_len = strlen(target);
		fixed = action_from_http(&made_of, &r, NULL) == 0;
		if (fixed) {
			const struct word *w = made_of->word;

			ck_assert_msg(dfa_run(words, w->p, w->n), "%s", target);
			fixed = w->n == n && memcmp(w->p, word, n) == 0;
		}
		action_free(made_of);
		ck_assert_msg(dfa_run(words, word, n) == fixed, "%s: %d", target, fixed);
		canonical += (unsigned)fixed;
	}
	ck_assert_uint_gt(canonical, 5000);
	dfa_free(words);
	arena_free(&a);
}
END_TEST

START_TEST(methods_hosts_and_ports_are_checked)
{
	struct http_request r = request("get", "x.y", "/");

	refused(&r, "method");
	r = request("", "x.y", "/");
	refused(&r, "method");
	r = request("GET", "x..y", "/");
	refused(&r, "host");
	r = request("GET", "u@x.y", "/");
	refused(&r, "host");
	r = request("GET", "127.1", "/");
	refused(&r, "host");
	r = request("GET", "x.y", "/");
	r.port = 0;
	refused(&r, "port");
	r.port = 1;
	r.target_len = HTTP_TARGET_MAX + 1;
	refused(&r, "8192");
}
END_TEST

static const char *verdict(const struct policy *p, const char *text)
{
	struct action *a;
	struct decision d;
	struct error e;

	ck_assert_msg(policy_parse_action(text, &a, &e) == 0, "%s: %s", text, e.text);
	policy_decide(p, a, &d);
	ck_assert_int_eq(policy_verdict(p, a), d.verdict);
	action_free(a);
	return verdict_name(d.verdict);
}

START_TEST(rules_decide_what_they_say)
{
	struct policy *p = rig_load("policy: 1\n"
				    "http:\n"
				    "  allow:\n"
				    "    - GET,HEAD https://api.x.io/repos/*/web/**\n"
				    "    - \"* http://10.0.0.0/8:8080/**\"\n"
				    "    - \"* https://[fd00::/8]/**\"\n"
				    "  ask:\n"
				    "    - POST https://**.x.io/repos/{a,b}/{issues,pulls}\n"
				    "  deny:\n"
				    "    - url: \"* https://*.x.io:*/**/secret/**\"\n"
				    "      except: [GET https://api.x.io/repos/open/secret/**]\n"
				    "      why: nobody shall\n");

	ck_assert_str_eq(verdict(p, "http GET https://api.x.io/repos/a/web/"), "allow");
	ck_assert_str_eq(verdict(p, "http GET https://api.x.io:443/repos/a/web/b?x"), "allow");
	ck_assert_str_eq(verdict(p, "http HEAD https://API.x.io./repos/a/web/b/c"), "allow");
	ck_assert_str_eq(verdict(p, "http GET https://api.x.io/repos/a/b/web/c"), "ask");
	ck_assert_str_eq(verdict(p, "http PUT https://api.x.io/repos/a/web/b"), "ask");
	ck_assert_str_eq(verdict(p, "http GET http://api.x.io/repos/a/web/b"), "ask");
	ck_assert_str_eq(verdict(p, "http GET https://api.x.io:444/repos/a/web/b"), "ask");
	ck_assert_str_eq(verdict(p, "http GET https://api.x.io/repos/a/web/secret/b"), "deny");
	ck_assert_str_eq(verdict(p, "http GET https://api.x.io/repos/a/web/%73ecret/b"), "deny");
	ck_assert_str_eq(verdict(p, "http GET https://api.x.io:1/secret/"), "deny");
	ck_assert_str_eq(verdict(p, "http GET https://api.x.io/repos/open/secret/b"), "ask");
	ck_assert_str_eq(verdict(p, "http DELETE http://10.2.3.4:8080/"), "allow");
	ck_assert_str_eq(verdict(p, "http DELETE http://10.2.3.4/"), "ask");
	ck_assert_str_eq(verdict(p, "http DELETE http://[::ffff:10.2.3.4]:8080/"), "allow");
	ck_assert_str_eq(verdict(p, "http M-SEARCH https://[fd00::1]"), "allow");
	policy_free(p);
}
END_TEST

/* A server that decodes more, or that takes ;parameters off, must not be a way around a deny rule;
 * and no allow rule reaches that far. */
START_TEST(deny_and_ask_rules_see_through_parameters_and_escapes)
{
	struct policy *p = rig_load("policy: 1\n"
				    "http:\n"
				    "  allow: [GET https://x.y/**, PUT https://x.y/a/@b]\n"
				    "  ask: [GET https://x.y/ask/**]\n"
				    "  deny: [GET https://x.y/a/@b/**]\n"
				    "unmatched: deny\n"
				    "tests:\n"
				    "  - deny http GET https://x.y/a;v=1/%40b/c\n");

	ck_assert_str_eq(verdict(p, "http GET https://x.y/a/@b/c"), "deny");
	ck_assert_str_eq(verdict(p, "http GET https://x.y/a/%40b/c"), "deny");
	ck_assert_str_eq(verdict(p, "http GET https://x.y/a;v=1/%40b;/c"), "deny");
	ck_assert_str_eq(verdict(p, "http GET https://x.y/a%3bv/@b/c"), "deny");
	ck_assert_str_eq(verdict(p, "http GET https://x.y/ask;x/c"), "ask");
	ck_assert_str_eq(verdict(p, "http GET https://x.y/b;x/c"), "allow");
	ck_assert_str_eq(verdict(p, "http PUT https://x.y/a/%40b"), "deny");
	policy_free(p);
}
END_TEST

START_TEST(explaining_a_layer_sees_what_its_deny_rules_see)
{
	struct policy *p = rig_load("policy: 1\nhttp: {allow: [GET https://x.y/**], deny: [GET "
				    "https://x.y/@b/**]}\n");
	struct decision d;
	struct action *a;

	ck_assert_int_eq(policy_parse_action("http GET https://x.y/%40b/c", &a, NULL), 0);
	ck_assert_int_eq(policy_explain(p, 1, a, &d), 0);
	ck_assert_int_eq(d.verdict, VERDICT_DENY);
	ck_assert_str_eq(d.rule, "GET https://x.y/@b/**");
	action_free(a);
	policy_free(p);
}
END_TEST

START_TEST(a_policy_with_http_rules_loads_but_does_not_start)
{
	struct policy *p = rig_load("policy: 1\nhttp: {deny: [\"* http://**:*/**\"]}\n");
	const char *section, *file;
	unsigned line;

	ck_assert_int_eq(policy_ungated(p, &section, &file, &line), 1);
	ck_assert_str_eq(section, "http");
	ck_assert_uint_eq(line, 2);
	policy_free(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("policy_http");
	TCase *t = tcase_create("requests");

	tcase_add_test(t, one_path_has_one_spelling);
	tcase_add_test(t, different_paths_stay_different);
	tcase_add_test(t, a_path_that_servers_read_in_two_ways_has_no_spelling);
	tcase_add_test(t, the_language_and_the_canonicaliser_agree);
	tcase_add_test(t, methods_hosts_and_ports_are_checked);
	tcase_add_test(t, rules_decide_what_they_say);
	tcase_add_test(t, deny_and_ask_rules_see_through_parameters_and_escapes);
	tcase_add_test(t, explaining_a_layer_sees_what_its_deny_rules_see);
	tcase_add_test(t, a_policy_with_http_rules_loads_but_does_not_start);
	suite_add_tcase(s, t);
	return rig_run(s);
}
