/* What a log suggests, and what it must never: the pitfalls of specs/policy.md section 6 by name. */
#include <libpsl.h>

#include "policy/suggest/suggest.h"
#include "policy/suggest/token.h"
#include "tests/lib/policy_rig.h"

#define DAY 86400u

static struct suggest_log *rig_log;
static uint64_t rig_now = 1795000000;

static void log_start(void)
{
	rig_log = suggest_log_new();
	ck_assert_ptr_nonnull(rig_log);
}

static void log_end(void)
{
	suggest_log_free(rig_log);
	rig_log = NULL;
}

static void add(const char *session, const char *action, enum suggest_outcome outcome)
{
	const struct suggest_event ev = {session, rig_now += 600, action, outcome,
		outcome == SUGGEST_APPROVED || outcome == SUGGEST_REFUSED};
	struct error e;

	ck_assert_msg(suggest_log_add(rig_log, &ev, &e) == 0, "%s", e.text);
}

/* Approved n times, in as many sessions as there are, up to s. */
static void approved(const char *action, unsigned n, unsigned s)
{
	char session[16];

	for (unsigned i = 0; i < n; i++) {
		snprintf(session, sizeof session, "s%u", i % s);
		add(session, action, SUGGEST_APPROVED);
	}
}

static size_t domain(void *ctx, const char *host, size_t n)
{
	char name[256];
	const char *d;

	snprintf(name, sizeof name, "%.*s", (int)n, host);
	d = psl_registrable_domain(ctx, name);
	return d ? (size_t)(d - name) : n;
}

static struct suggestions *ask(const char *text)
{
	const struct suggest_options o = {
		.domain = domain, .domain_ctx = (void *)(uintptr_t)psl_builtin()};
	struct policy *p = rig_load(text);
	struct suggestions *s;
	struct error e;

	ck_assert_msg(suggest(rig_log, p, &o, &s, &e) == 0, "%s", e.text);
	for (size_t i = 0; i < s->rules; i++)
		printf("    %s: %s   (%ux in %u, also 2^%.1f: %s)\n", s->rule[i].kind,
			s->rule[i].text, s->rule[i].count, s->rule[i].sessions, s->rule[i].also,
			s->rule[i].example ? s->rule[i].example : "nothing");
	policy_free(p);
	return s;
}

static const struct suggest_rule *rule(const struct suggestions *s, const char *text)
{
	for (size_t i = 0; i < s->rules; i++) {
		if (strcmp(s->rule[i].text, text) == 0)
			return &s->rule[i];
	}
	ck_abort_msg("not suggested: %s", text);
}

/* Nothing suggested would allow the action. */
static void allows(const struct suggestions *s, const char *action, int expected)
{
	char text[8192] = "policy: 1\n", quoted[2100];
	size_t n = strlen(text);
	struct decision d;
	struct policy *p;
	struct action *a;
	struct error e;

	for (size_t i = 0; i < s->rules; i++) {
		const struct suggest_rule *r = &s->rule[i];

		if (strncmp(action, r->kind, strlen(r->kind)) != 0)
			continue;
		if (n < 20)
			n += (size_t)snprintf(
				text + n, sizeof text - n, "%s:\n  allow:\n", r->section);
		snprintf(quoted, sizeof quoted, "%s", r->text);
		n += (size_t)snprintf(text + n, sizeof text - n, "    - %s: '", r->key);
		for (const char *c = quoted; *c; c++)
			n += (size_t)snprintf(
				text + n, sizeof text - n, *c == '\'' ? "''" : "%c", *c);
		n += (size_t)snprintf(text + n, sizeof text - n, "'\n");
		for (size_t k = 0; k < r->excepts; k++) {
			n += (size_t)snprintf(
				text + n, sizeof text - n, "%s", k ? "" : "      except:\n");
			n += (size_t)snprintf(text + n, sizeof text - n, "        - '");
			for (const char *c = r->except[k]; *c; c++)
				n += (size_t)snprintf(
					text + n, sizeof text - n, *c == '\'' ? "''" : "%c", *c);
			n += (size_t)snprintf(text + n, sizeof text - n, "'\n");
		}
	}
	p = rig_load(text);
	ck_assert_msg(policy_parse_action(action, &a, &e) == 0, "%s", e.text);
	policy_decide(p, a, &d);
	ck_assert_msg((d.verdict == VERDICT_ALLOW) == expected, "%s: %s by\n%s", action,
		verdict_name(d.verdict), text);
	action_free(a);
	policy_free(p);
}

#define NONE "policy: 1\n"

/* ---- evidence ---- */

START_TEST(a_rule_needs_three_observations_in_two_sessions)
{
	struct suggestions *s;

	printf("  an action approved 3x in 2 sessions becomes a rule; 3x in one, or once, is "
	       "listed\n");
	approved("exec make -j4 check", 3, 2);
	approved("exec make install", 3, 1);
	approved("exec make distclean", 1, 1);
	s = ask(NONE);
	ck_assert_uint_eq(s->rules, 1);
	ck_assert_uint_eq(rule(s, "make -j4 check")->count, 3);
	ck_assert_uint_eq(rule(s, "make -j4 check")->sessions, 2);
	ck_assert(rule(s, "make -j4 check")->also == 0);
	ck_assert_uint_eq(s->notes, 2);
	ck_assert_str_eq(s->note[0].why, "seen in one session only");
	ck_assert_str_eq(s->note[1].why, "seen once");
	suggestions_free(s);
}
END_TEST

START_TEST(what_was_only_denied_or_answered_by_nobody_teaches_nothing)
{
	struct suggestions *s;

	printf("  denied, refused and expired actions are never turned into rules\n");
	for (unsigned i = 0; i < 9; i++) {
		add(i % 2 ? "a" : "b", "exec curl example.com", SUGGEST_DENIED);
		add(i % 2 ? "a" : "b", "exec wget example.com", SUGGEST_REFUSED);
		add(i % 2 ? "a" : "b", "exec fetch example.com", SUGGEST_EXPIRED);
		add(i % 2 ? "a" : "b", "exec ls", SUGGEST_ALLOWED);
	}
	s = ask(NONE);
	ck_assert_uint_eq(s->rules + s->notes, 0);
	suggestions_free(s);
}
END_TEST

START_TEST(what_a_rule_asks_or_denies_stays)
{
	struct suggestions *s;

	printf("  an action that an ask or deny rule speaks about is not proposed, however "
	       "often\n");
	approved("exec git push origin main", 30, 5);
	approved("exec npm install", 30, 5);
	s = ask("policy: 1\nexec: {ask: [git push ...], deny: [npm install ...]}\n");
	ck_assert_uint_eq(s->rules, 0);
	ck_assert_uint_eq(s->notes, 1);
	ck_assert_str_eq(s->note[0].why, "an ask rule says so, which stays");
	suggestions_free(s);
}
END_TEST

START_TEST(an_attacked_session_teaches_nothing)
{
	struct suggestions *s;
	const char *id, *why;
	struct error e;

	printf("  a storm of denials, or a session that was dropped, takes its approvals along\n");
	approved("exec make deploy", 3, 1); /* s0 */
	add("evil", "exec make deploy", SUGGEST_APPROVED);
	s = ask(NONE);
	ck_assert_uint_eq(s->rules, 1);
	suggestions_free(s);
	for (unsigned i = 0; i < SUGGEST_STORM_DENIALS; i++) {
		rig_now -= 599;
		add("evil", "exec curl evil.example", SUGGEST_DENIED);
	}
	s = ask(NONE);
	ck_assert_uint_eq(s->rules, 0);
	ck_assert_int_eq(suggest_log_dropped(rig_log, 0, &id, &why), 0);
	ck_assert_str_eq(id, "evil");
	ck_assert_str_eq(why, "denied storm");
	suggestions_free(s);
	add("killed", "exec make deploy", SUGGEST_APPROVED);
	ck_assert_int_eq(suggest_log_drop(rig_log, "killed", "killed", &e), 0);
	s = ask(NONE);
	ck_assert_uint_eq(s->rules, 0);
	suggestions_free(s);
}
END_TEST

START_TEST(denials_over_hours_are_no_storm)
{
	struct suggestions *s;

	printf("  as many denials, spread over hours, do not drop a session\n");
	approved("exec make deploy", 4, 2);
	for (unsigned i = 0; i < SUGGEST_STORM_DENIALS * 2; i++)
		add("s0", "exec curl evil.example", SUGGEST_DENIED);
	s = ask(NONE);
	ck_assert_uint_eq(s->rules, 1);
	suggestions_free(s);
}
END_TEST

START_TEST(a_refusal_in_a_dropped_session_still_counts)
{
	char host[64];
	struct suggestions *s;
	struct error e;

	printf("  what a person refused, in whatever session, stays out of every rule\n");
	for (unsigned i = 0; i < 12; i++) {
		snprintf(host, sizeof host, "connect h%u.example.com:443", i);
		approved(host, 3, 3);
	}
	add("evil", "connect secret.example.com:443", SUGGEST_REFUSED);
	ck_assert_int_eq(suggest_log_drop(rig_log, "evil", "killed", &e), 0);
	s = ask(NONE);
	ck_assert_uint_eq(s->rules, 1);
	allows(s, "connect h3.example.com:443", 1);
	allows(s, "connect secret.example.com:443", 0);
	allows(s, "connect other.example.com:443", 0);
	suggestions_free(s);
}
END_TEST

/* ---- hosts ---- */

START_TEST(hosts_stop_at_the_registrable_domain)
{
	char host[64];
	struct suggestions *s;

	printf("  shop.co.uk never becomes *.co.uk; ten hosts of example.co.uk become "
	       "*.example.co.uk\n");
	approved("connect shop.co.uk:443", 9, 3);
	approved("connect bank.co.uk:443", 9, 3);
	approved("connect cafe.co.uk:443", 9, 3);
	approved("connect pub.co.uk:443", 9, 3);
	for (unsigned i = 0; i < 10; i++) {
		snprintf(host, sizeof host, "connect cdn%u.example.co.uk:443", i);
		approved(host, 3, 3);
	}
	s = ask(NONE);
	rule(s, "shop.co.uk:443");
	rule(s, "*.example.co.uk:443");
	allows(s, "connect evil.co.uk:443", 0);
	allows(s, "connect a.b.example.co.uk:443", 0);
	allows(s, "connect new.example.co.uk:443", 1);
	allows(s, "connect new.example.co.uk:22", 0);
	suggestions_free(s);
}
END_TEST

START_TEST(tenants_of_one_host_are_strangers)
{
	char host[64];
	struct suggestions *s;

	printf("  github.io is a public suffix: its tenants are never joined by a star\n");
	for (unsigned i = 0; i < 12; i++) {
		snprintf(host, sizeof host, "connect t%u.github.io:443", i);
		approved(host, 3, 3);
	}
	s = ask(NONE);
	ck_assert_uint_eq(s->rules, 5);
	allows(s, "connect t0.github.io:443", 1);
	allows(s, "connect evil.github.io:443", 0);
	suggestions_free(s);
}
END_TEST

START_TEST(ports_and_addresses_stay_as_they_are)
{
	struct suggestions *s;

	printf("  ports are not joined, addresses are networks of one\n");
	approved("connect 10.0.0.5:8080", 4, 2);
	approved("connect 10.0.0.6:8080", 4, 2);
	approved("connect [2001:db8::1]:443", 4, 2);
	approved("connect db.example.com:5432", 4, 2);
	approved("connect db.example.com:5433", 4, 2);
	s = ask(NONE);
	rule(s, "10.0.0.5/32:8080");
	rule(s, "[2001:db8::1/128]:443");
	rule(s, "db.example.com:5432");
	rule(s, "db.example.com:5433");
	suggestions_free(s);
}
END_TEST

/* ---- paths ---- */

START_TEST(four_files_do_not_open_a_directory)
{
	struct suggestions *s;

	printf("  4 files seen are 4 files allowed\n");
	approved("file r ws:/conf/a.yaml", 5, 3);
	approved("file r ws:/conf/b.yaml", 5, 3);
	approved("file r ws:/conf/c.yaml", 5, 3);
	approved("file r ws:/conf/d.yaml", 5, 3);
	s = ask(NONE);
	ck_assert_uint_eq(s->rules, 1);
	rule(s, "r ws:/conf/{a.yaml,b.yaml,c.yaml,d.yaml}");
	allows(s, "file r ws:/conf/e.yaml", 0);
	suggestions_free(s);
}
END_TEST

START_TEST(many_files_open_their_kind_but_nothing_of_the_atlas)
{
	char path[64];
	struct suggestions *s;

	printf("  12 .c files become [!.]*.c; 12 .pem files are keys and never more than were "
	       "seen\n");
	for (unsigned i = 0; i < 12; i++) {
		snprintf(path, sizeof path, "file r ws:/src/module%u.c", i);
		approved(path, 3, 3);
		snprintf(path, sizeof path, "file r ws:/keys/key%u.pem", i);
		approved(path, 3, 3);
	}
	s = ask(NONE);
	rule(s, "r ws:/src/[!.]*.c");
	ck_assert_uint_eq(s->rules, 1); /* not even the literals: they are in the atlas */
	allows(s, "file r ws:/src/new.c", 1);
	allows(s, "file r ws:/src/.env.c", 0);
	allows(s, "file r ws:/src/sub/new.c", 0);
	allows(s, "file r ws:/keys/key1.pem", 0);
	suggestions_free(s);
}
END_TEST

START_TEST(temporary_names_are_patterns)
{
	char path[64];
	struct suggestions *s;

	printf("  pids, dates and random endings in names become patterns, never literals\n");
	for (unsigned i = 0; i < 6; i++) {
		snprintf(path, sizeof path, "file w tmp:/build-%u/out.log", 41234 + 77 * i);
		add(i % 2 ? "a" : "b", path, SUGGEST_APPROVED);
		snprintf(path, sizeof path, "file w tmp:/tmp.aB%uxYz/out", 3 + i);
		add(i % 2 ? "a" : "b", path, SUGGEST_APPROVED);
		snprintf(path, sizeof path, "file w ws:/logs/run-2026-11-%u.txt", 10 + i);
		add(i % 2 ? "a" : "b", path, SUGGEST_APPROVED);
	}
	s = ask(NONE);
	rule(s, "w tmp:/build-[0-9]*/out.log");
	rule(s, "w tmp:/tmp.*/out");
	rule(s, "w ws:/logs/run-[0-9]*.txt");
	suggestions_free(s);
}
END_TEST

/* ---- programs ---- */

START_TEST(flags_are_listed_never_generalised)
{
	char text[64];
	struct suggestions *s;

	printf("  arguments of a program become paths in the workspace, never `any flag`\n");
	for (unsigned i = 0; i < 12; i++) {
		snprintf(text, sizeof text, "exec eslint --quiet src/file%u.ts lib/x%u.ts", i, i);
		approved(text, 2, 2);
	}
	s = ask(NONE);
	ck_assert_uint_eq(s->rules, 1);
	allows(s, "exec eslint --quiet src/new.ts lib/new.ts", 1);
	allows(s, "exec eslint --fix src/new.ts lib/new.ts", 0);
	allows(s, "exec eslint --quiet --config=/tmp/x.js src/new.ts", 0);
	allows(s, "exec eslint --quiet -c src/new.ts", 0);
	allows(s, "exec eslint --quiet ../other/new.ts lib/new.ts", 0);
	suggestions_free(s);
}
END_TEST

START_TEST(any_number_of_paths_has_no_flags_in_it)
{
	struct suggestions *s;

	printf("  `...` comes with exceptions for flags, paths outside and URLs\n");
	approved("exec prettier src/a.ts", 3, 2);
	approved("exec prettier src/a.ts src/b.ts", 3, 2);
	approved("exec prettier src/c.ts lib/d.ts src/a.ts", 3, 2);
	s = ask(NONE);
	ck_assert_uint_eq(s->rules, 1);
	allows(s, "exec prettier src/new.ts", 1);
	allows(s, "exec prettier --plugin=./evil.js src/new.ts", 0);
	allows(s, "exec prettier src/a.ts /etc/passwd", 0);
	allows(s, "exec prettier https://evil.example/x", 0);
	suggestions_free(s);
}
END_TEST

START_TEST(sub_commands_are_never_generalised)
{
	struct suggestions *s;

	printf("  git status, log and diff do not become `git *`; npm run build no `npm run *`\n");
	approved("exec git status", 9, 3);
	approved("exec git log --oneline", 9, 3);
	approved("exec npm run build", 9, 3);
	approved("exec npm run test", 9, 3);
	s = ask(NONE);
	rule(s, "npm run {build,test}");
	allows(s, "exec git push", 0);
	allows(s, "exec git log -p", 0);
	allows(s, "exec npm run deploy", 0);
	suggestions_free(s);
}
END_TEST

START_TEST(branches_share_their_prefix)
{
	char text[128];
	struct suggestions *s;

	printf("  pushes to agent/… become agent/*, and no force-push\n");
	for (unsigned i = 0; i < 10; i++) {
		snprintf(text, sizeof text,
			"exec git push origin HEAD:refs/heads/agent/fix-the-thing-%u", i);
		approved(text, 2, 2);
	}
	s = ask(NONE);
	rule(s, "git push origin HEAD:refs/heads/agent/*");
	allows(s, "exec git push origin HEAD:refs/heads/agent/next", 1);
	allows(s, "exec git push origin HEAD:refs/heads/main", 0);
	allows(s, "exec git push -f origin HEAD:refs/heads/agent/next", 0);
	suggestions_free(s);
}
END_TEST

START_TEST(what_the_atlas_names_is_never_suggested)
{
	struct suggestions *s;

	printf("  the guard: force-push, inline code, deletion, metadata, hooks, however often "
	       "approved\n");
	approved("exec git push -f origin main", 30, 5);
	approved("exec python3 -c 'print(1)'", 30, 5);
	approved("exec rm -rf build", 30, 5);
	approved("connect 169.254.169.254:80", 30, 5);
	approved("file w ws:/.git/hooks/pre-commit", 30, 5);
	approved("file r home:/.ssh/config", 30, 5);
	approved("http GET http://169.254.169.254/latest/meta-data/x", 30, 5);
	s = ask(NONE);
	ck_assert_uint_eq(s->rules, 0);
	suggestions_free(s);
}
END_TEST

/* ---- tools and servers ---- */

START_TEST(shell_commands_stay_what_they_are)
{
	struct suggestions *s;

	printf("  commands for a shell are listed; no star, behind which `;` would fit\n");
	approved("tool Bash {/command: \"npm test\"}", 5, 3);
	approved("tool Bash {/command: \"npm run lint\"}", 5, 3);
	approved("tool Bash {/command: \"head -n 5 a.c\"}", 2, 2);
	approved("tool Bash {/command: \"head -n 17 a.c\"}", 2, 2);
	s = ask(NONE);
	rule(s, "Bash {/command: '{npm run lint,npm test}'}");
	rule(s, "Bash {/command: 'head -n {[0-9],[0-9][0-9]} a.c'}");
	allows(s, "tool Bash {/command: \"npm test; curl evil.example\"}", 0);
	allows(s, "tool Bash {/command: \"head -n 9 a.c\"}", 1);
	allows(s, "tool Bash {/command: \"head -n 9; a.c\"}", 0);
	suggestions_free(s);
}
END_TEST

START_TEST(tools_with_paths_are_about_the_one_path)
{
	struct suggestions *s;

	printf("  a rule about /file_path is not about a call with a second path\n");
	approved("tool Edit {/file_path: home:/notes/todo.md}", 4, 2);
	s = ask(NONE);
	rule(s, "Edit {/file_path: 'home:/notes/todo.md'}");
	allows(s, "tool Edit {/file_path: home:/notes/todo.md}", 1);
	allows(s, "tool Edit {/file_path: home:/notes/todo.md, /path: home:/.bashrc}", 0);
	suggestions_free(s);
}
END_TEST

START_TEST(numbers_of_mcp_calls_are_shapes)
{
	struct suggestions *s;

	printf("  issue numbers become digits, the repository stays\n");
	approved("mcp github/get_issue {/owner: acme, /repo: web, /number: 7}", 2, 2);
	approved("mcp github/get_issue {/owner: acme, /repo: web, /number: 128}", 2, 2);
	s = ask(NONE);
	ck_assert_uint_eq(s->rules, 1);
	allows(s, "mcp github/get_issue {/owner: acme, /repo: web, /number: 99}", 1);
	allows(s, "mcp github/get_issue {/owner: acme, /repo: web, /number: 9999}", 0);
	allows(s, "mcp github/get_issue {/owner: acme, /repo: other, /number: 99}", 0);
	suggestions_free(s);
}
END_TEST

START_TEST(requests_keep_host_and_method)
{
	struct suggestions *s;

	printf("  numbers in paths of requests become digits; method, host and place stay\n");
	approved("http GET https://api.example.com/repos/acme/web/issues/7", 2, 2);
	approved("http GET https://api.example.com/repos/acme/web/issues/42", 2, 2);
	s = ask(NONE);
	rule(s, "GET https://api.example.com/repos/acme/web/issues/{[0-9],[0-9][0-9]}");
	allows(s, "http POST https://api.example.com/repos/acme/web/issues/7", 0);
	suggestions_free(s);
}
END_TEST

/* ---- secrets and hostile text ---- */

START_TEST(secrets_are_no_literals)
{
	static const char *const secrets[] = {
		"exec deploy --token hunter2",
		"exec curl -u me:hunter2 https://example.com/",
		"exec gh auth ghp_0123456789abcdefABCDEF0123456789abcd",
		"exec aws AKIAIOSFODNN7EXAMPLE",
		"exec login eyJhbGciOiJIUzI1NiJ9.e30.x",
		"exec set PASSWORD=hunter2",
		"exec curl https://me:pw@example.com/",
		"exec use 9fQ2mXk7RzT4vB8nLw3pYc6d",
		"mcp db/query {/password: x1}",
		"tool Bash {/command: \"export API_KEY=abc123\"}",
	};
	struct suggestions *s;

	printf("  known tokens, password places and random texts are refused, and not printed\n");
	for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
		approved(secrets[i], 9, 3);
	s = ask(NONE);
	ck_assert_uint_eq(s->rules, 0);
	ck_assert_uint_eq(s->notes, 0);
	ck_assert_uint_eq(s->secrets, sizeof secrets / sizeof *secrets);
	suggestions_free(s);
}
END_TEST

START_TEST(hashes_are_shapes)
{
	struct suggestions *s;

	printf("  a commit's hash is never a literal, its length stays\n");
	approved("exec git show 0a1b2c3d4e", 3, 2);
	approved("exec git show 99aabbccdd", 3, 2);
	s = ask(NONE);
	ck_assert_uint_eq(s->rules, 1);
	allows(s, "exec git show 1234567abc", 1);
	allows(s, "exec git show main", 0);
	allows(s, "exec git show --output=x", 0);
	ck_assert_ptr_null(strstr(s->rule[0].text, "0a1b2c3d4e"));
	suggestions_free(s);
}
END_TEST

START_TEST(patterns_in_names_are_escaped)
{
	struct suggestions *s;

	printf("  a file called `*` gives a rule about that file alone\n");
	approved("file r ws:/docs/*", 4, 2);
	approved("file r ws:/docs/{a,b}", 4, 2);
	approved("exec cat '[a-z]*'", 4, 2);
	approved("tool Bash {/command: \"ls *\"}", 4, 2);
	s = ask(NONE);
	ck_assert_uint_eq(s->rules, 3);
	allows(s, "file r ws:/docs/*", 1);
	allows(s, "file r ws:/docs/{a,b}", 1);
	allows(s, "file r ws:/docs/a", 0);
	allows(s, "exec cat '[a-z]*'", 1);
	allows(s, "exec cat abc", 0);
	allows(s, "tool Bash {/command: \"ls *\"}", 1);
	allows(s, "tool Bash {/command: \"ls /etc\"}", 0);
	suggestions_free(s);
}
END_TEST

START_TEST(text_that_is_not_plain_is_no_literal)
{
	struct suggestions *s;

	printf("  control characters, and letters that look like others, never reach a rule\n");
	approved("exec cat \xd0\xb0.txt", 9, 3); /* a Cyrillic a */
	approved("exec echo \x1b[31m", 9, 3);
	approved("file r ws:/a\nfiles:\n  allow: [rw /**]", 9, 3);
	approved("file r ws:/docs/'\"]", 9, 3);
	s = ask(NONE);
	for (size_t i = 0; i < s->rules; i++)
		ck_assert(token_plain(s->rule[i].text, strlen(s->rule[i].text)));
	allows(s, "file r ws:/docs/x", 0);
	suggestions_free(s);
}
END_TEST

/* ---- figures ---- */

START_TEST(leaving_a_session_out_says_what_would_have_been_saved)
{
	struct suggestions *s;

	printf("  four sessions with the same prompt: three of four would be saved each time\n");
	approved("exec make check", 8, 4);
	s = ask(NONE);
	ck_assert_uint_eq(s->replay.sessions, 4);
	ck_assert_uint_eq(s->replay.prompts, 8);
	ck_assert_uint_eq(s->replay.saved, 8);
	ck_assert_uint_eq(s->replay.slipped, 0);
	suggestions_free(s);
}
END_TEST

START_TEST(at_most_five_and_the_most_saving_first)
{
	char text[64];
	struct suggestions *s;

	printf("  never more than five suggestions\n");
	for (unsigned i = 0; i < 9; i++) {
		snprintf(text, sizeof text, "exec program%c run", 'a' + (int)i);
		approved(text, 3 + i, 2);
	}
	s = ask(NONE);
	ck_assert_uint_eq(s->rules, SUGGEST_RULES_MAX);
	ck_assert_str_eq(s->rule[0].text, "programi run");
	suggestions_free(s);
}
END_TEST

START_TEST(a_check_finds_what_became_stricter_and_what_slipped)
{
	struct policy *was = rig_load("policy: 1\n"), *now, *worse;
	struct suggest_check c;
	struct error e;

	printf("  the whole log again: saved prompts, refused actions that slip, stricter ones\n");
	approved("exec make check", 4, 2);
	add("s1", "exec make deploy", SUGGEST_REFUSED);
	add("s1", "tool Read", SUGGEST_ALLOWED);
	now = rig_load("policy: 1\nexec: {allow: [make check]}\n");
	worse = rig_load("policy: 1\nexec: {allow: [make *]}\ntools: {allow: [Grep]}\n");
	ck_assert_int_eq(suggest_check(rig_log, was, now, &c, &e), 0);
	ck_assert_uint_eq(c.saved, 4);
	ck_assert_uint_eq(c.slipped + c.stricter, 0);
	ck_assert_int_eq(suggest_check(rig_log, was, worse, &c, &e), 0);
	ck_assert_uint_eq(c.slipped, 1);
	ck_assert_uint_eq(c.stricter, 1); /* the built-in layer's Read gave way */
	policy_free(was);
	policy_free(now);
	policy_free(worse);
}
END_TEST

START_TEST(a_million_events_fit_and_a_refusal_that_does_not_is_an_error)
{
	struct suggest_event ev = {.outcome = SUGGEST_APPROVED, .when = 1};
	struct suggest_totals t;
	char text[96], session[16];
	struct error e;
	int failed = 0;

	printf("  10^6 different events: bounded memory, and what was lost is counted\n");
	ev.action = text;
	ev.session = session;
	for (unsigned i = 0; i < 1000000; i++) {
		snprintf(text, sizeof text, "exec program run word%u", i);
		snprintf(session, sizeof session, "s%u", i % 50000);
		ck_assert_int_eq(suggest_log_add(rig_log, &ev, &e), 0);
	}
	suggest_log_totals(rig_log, &t);
	ck_assert_uint_eq(t.events, 1000000);
	ck_assert_uint_ge(t.lost, 900000);
	ev.outcome = SUGGEST_REFUSED;
	ev.session = "another";
	ck_assert_int_eq(suggest_log_add(rig_log, &ev, &e), 0); /* room is kept for it */
	for (unsigned i = 0; i < 100000 && !failed; i++) {
		snprintf(text, sizeof text, "exec program refuse word%u", i);
		failed = suggest_log_add(rig_log, &ev, &e);
	}
	ck_assert_int_eq(failed, -1);
	ck_assert_ptr_nonnull(strstr(e.text, "--since"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("policy_suggest");
	TCase *t = tcase_create("suggestions");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, log_start, log_end);
	tcase_add_test(t, a_rule_needs_three_observations_in_two_sessions);
	tcase_add_test(t, what_was_only_denied_or_answered_by_nobody_teaches_nothing);
	tcase_add_test(t, what_a_rule_asks_or_denies_stays);
	tcase_add_test(t, an_attacked_session_teaches_nothing);
	tcase_add_test(t, denials_over_hours_are_no_storm);
	tcase_add_test(t, a_refusal_in_a_dropped_session_still_counts);
	tcase_add_test(t, hosts_stop_at_the_registrable_domain);
	tcase_add_test(t, tenants_of_one_host_are_strangers);
	tcase_add_test(t, ports_and_addresses_stay_as_they_are);
	tcase_add_test(t, four_files_do_not_open_a_directory);
	tcase_add_test(t, many_files_open_their_kind_but_nothing_of_the_atlas);
	tcase_add_test(t, temporary_names_are_patterns);
	tcase_add_test(t, flags_are_listed_never_generalised);
	tcase_add_test(t, any_number_of_paths_has_no_flags_in_it);
	tcase_add_test(t, sub_commands_are_never_generalised);
	tcase_add_test(t, branches_share_their_prefix);
	tcase_add_test(t, what_the_atlas_names_is_never_suggested);
	tcase_add_test(t, shell_commands_stay_what_they_are);
	tcase_add_test(t, tools_with_paths_are_about_the_one_path);
	tcase_add_test(t, numbers_of_mcp_calls_are_shapes);
	tcase_add_test(t, requests_keep_host_and_method);
	tcase_add_test(t, secrets_are_no_literals);
	tcase_add_test(t, hashes_are_shapes);
	tcase_add_test(t, patterns_in_names_are_escaped);
	tcase_add_test(t, text_that_is_not_plain_is_no_literal);
	tcase_add_test(t, leaving_a_session_out_says_what_would_have_been_saved);
	tcase_add_test(t, at_most_five_and_the_most_saving_first);
	tcase_add_test(t, a_check_finds_what_became_stricter_and_what_slipped);
	tcase_add_test(t, a_million_events_fit_and_a_refusal_that_does_not_is_an_error);
	suite_add_tcase(s, t);
	return rig_run(s);
}
