/* The rest of the language: files that a document extends, rules that end, pinned rules, sections that
 * may go unenforced, and the keys that load before their gate exists. */
#include <sodium.h>

#include "common/cleanup.h"
#include "policy/diff.h"
#include "policy/extend.h"
#include "tests/lib/policy_rig.h"

/* ---- loading ---- */

static struct policy *load_docs(const struct policy_doc *d, size_t n, uint32_t date, int any)
{
	const struct policy_facts facts = {.agent = "codex", .ci = -1, .date = date, .any = any};
	struct policy_error e;
	struct policy *p = policy_load(d, n, &facts, &e);

	ck_assert_msg(p != NULL, "%s", e.text);
	return p;
}

static struct policy *load_on(const char *text, uint32_t date)
{
	struct policy_doc d = rig_doc("p.yaml", POLICY_REPO, text);

	return load_docs(&d, 1, date, 0);
}

static const char *refusal(const struct policy_doc *d, size_t n)
{
	static struct policy_error e;
	struct policy *p = policy_load(d, n, NULL, &e);

	ck_assert_ptr_null(p);
	return e.text;
}

#define HAS(text, part) ck_assert_msg(strstr((text), (part)) != NULL, "%s", (text))

static enum verdict decides(const struct policy *p, const char *action)
{
	struct decision d;
	struct action *a;
	struct error e;
	enum verdict v;

	ck_assert_msg(policy_parse_action(action, &a, &e) == 0, "%s: %s", action, e.text);
	policy_decide(p, a, &d);
	v = policy_verdict(p, a);
	ck_assert_int_eq(v, d.verdict);
	action_free(a);
	return v;
}

#define IS(verdict, p, action) ck_assert_int_eq(decides((p), (action)), verdict)

/* The whole of a file; static. */
static const char *text_of(const char *path)
{
	static char text[32768];
	FILE *f = fopen(path, "r");
	size_t n;

	ck_assert_msg(f != NULL, "%s (run the tests from the top of the tree)", path);
	n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = 0;
	return text;
}

START_TEST(the_annotated_example_of_the_specification_loads_but_for_its_org_layer)
{
	const char *text = text_of("tests/corpus/annotated.yaml");
	struct policy *p = load_on(text, 20261125);
	static char with_org[33000];
	const char *at = strstr(text, "  - builtin:");
	size_t run;

	ck_assert_uint_eq(policy_run_tests(p, &run, NULL, NULL), 0);
	ck_assert_uint_ge(run, 7);
	policy_free(p);
	snprintf(with_org, sizeof with_org,
		"%.*s  - org: acme/guardrails\n    digest: sha256:9f2c41d07b0e4f6a8c5d\n%s",
		(int)(at - text), text, at);
	HAS(rig_error(with_org), "test.yaml:6:5: a layer from elsewhere");
}
END_TEST

/* ---- extends ---- */

/* A document that extends files, with their real digests: "POLICY\nextends: [...]". */
static char *extending(const char *head, const char *const *path, const char *const *text)
{
	static char buf[8][4096];
	static unsigned next;
	char *out = buf[next++ % 8], sha256[65];
	size_t n = (size_t)snprintf(out, 4096, "policy: 1\n%sextends:\n", head);

	for (size_t i = 0; path[i]; i++) {
		policy_doc_digest(text[i], strlen(text[i]), sha256);
		n += (size_t)snprintf(out + n, 4096 - n, "  - {file: %s, digest: \"sha256:%s\"}\n",
			path[i], sha256);
	}
	return out;
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static const char base[] = "policy: 1\nexec: {allow: [ls ...], deny: [rm ...]}\n";

START_TEST(an_extended_file_is_one_more_layer_of_the_same_origin)
{
	const char *text = extending("exec: {allow: [\"* ...\"]}\ntests: [deny exec rm x]\n",
		LIST("parts/base.yaml"), LIST(base));
	struct policy_doc d[] = {rig_doc(".agentd/policy.yaml", POLICY_REPO, text),
		rig_doc(".agentd/parts/base.yaml", POLICY_EXTENDED, base)};
	struct policy *p = load_docs(d, 2, 0, 0);
	struct policy_layer l;

	IS(VERDICT_DENY, p, "exec rm x");
	IS(VERDICT_ALLOW, p, "exec ls");
	ck_assert_uint_eq(policy_layers(p), 3);
	ck_assert_int_eq(policy_layer_get(p, 1, &l), 0);
	ck_assert_str_eq(l.file, ".agentd/parts/base.yaml");
	ck_assert_int_eq(l.origin, POLICY_REPO);
	ck_assert_str_eq(l.extended_by, ".agentd/policy.yaml");
	policy_free(p);
}
END_TEST

/* The wall is the digest: the same test loads when the comparison in load.c is taken out. */
START_TEST(a_file_with_another_digest_does_not_load_and_both_digests_are_shown)
{
	static const char other[] = "policy: 1\nexec: {allow: [ls ..., rm ...]}\n";
	const char *text = extending("", LIST("base.yaml"), LIST(base));
	struct policy_doc d[] = {rig_doc("a/p.yaml", POLICY_REPO, text),
		rig_doc("a/base.yaml", POLICY_EXTENDED, other)};
	char have[65], want[65];
	const char *e = refusal(d, 2);

	policy_doc_digest(other, strlen(other), have);
	policy_doc_digest(base, strlen(base), want);
	HAS(e, "a/p.yaml:3:12: ");
	HAS(e, have);
	HAS(e, want);
	HAS(e, "write the digest that it has");
}
END_TEST

START_TEST(a_file_that_nobody_brought_or_that_lies_elsewhere_does_not_load)
{
	const char *text = extending("", LIST("base.yaml"), LIST(base));
	struct policy_doc d[] = {rig_doc("a/p.yaml", POLICY_REPO, text),
		rig_doc("b/base.yaml", POLICY_EXTENDED, base)};

	HAS(refusal(d, 1), "a/p.yaml:3:12: a file that was not found (base.yaml)");
	HAS(refusal(d, 2), "a/p.yaml:3:12: a file that was not found (base.yaml)");
}
END_TEST

/* A client of the broker may send whatever it likes. */
START_TEST(a_document_that_no_layer_extends_is_refused)
{
	struct policy_doc d[] = {rig_doc("a/p.yaml", POLICY_REPO, "policy: 1\n"),
		rig_doc("a/base.yaml", POLICY_EXTENDED, base)};

	HAS(refusal(d, 2), "no layer extends");
}
END_TEST

START_TEST(an_extended_file_may_extend_four_deep_and_no_deeper)
{
	const char *text[6] = {base}, *names[] = {"0.yaml", "1.yaml", "2.yaml", "3.yaml", "4.yaml"};
	struct policy_doc d[6];
	size_t n = 0;

	d[n++] = rig_doc("0.yaml", POLICY_EXTENDED, base);
	for (size_t i = 1; i < 5; i++) {
		text[i] = extending("", LIST(names[i - 1]), LIST(text[i - 1]));
		d[n++] = rig_doc(names[i], POLICY_EXTENDED, text[i]);
	}
	d[4].origin = POLICY_REPO; /* 4 extends 3, 2, 1, 0 */
	policy_free(load_docs(d, 5, 0, 0));
	d[4].origin = POLICY_EXTENDED;
	d[5] = rig_doc("top.yaml", POLICY_REPO, extending("", LIST("4.yaml"), LIST(text[4])));
	HAS(refusal(d, 6), "1.yaml:3:12: a file that extends itself, or the fifth in a row");
}
END_TEST

/* No digest can name itself, so a circle is refused before digests are compared. */
START_TEST(a_file_that_extends_itself_is_refused)
{
	const char *text = extending("", LIST("p.yaml"), LIST(base));
	struct policy_doc d[] = {
		rig_doc("p.yaml", POLICY_REPO, text), rig_doc("p.yaml", POLICY_EXTENDED, text)};

	HAS(refusal(d, 2), "p.yaml:3:12: a file that extends itself");
}
END_TEST

START_TEST(a_layer_that_does_not_apply_takes_its_files_with_it)
{
	const char *text = extending("when: {agent: [opencode]}\n", LIST("b.yaml"), LIST(base));
	struct policy_doc d[] = {
		rig_doc("p.yaml", POLICY_REPO, text), rig_doc("b.yaml", POLICY_EXTENDED, base)};
	struct policy *p = load_docs(d, 2, 0, 0);

	IS(VERDICT_ASK, p, "exec rm x");
	policy_free(p);
}
END_TEST

/* 16 files of 16 files of 16 …: time and memory of 64 layers, not of thousands. */
START_TEST(files_that_multiply_are_refused)
{
	const char *names[] = {"a.yaml", "b.yaml", "c.yaml"}, *text[3] = {"policy: 1\n"};
	static char all[2][4096];
	struct policy_doc d[4];
	char sha256[65];

	for (unsigned i = 0; i < 3; i++) {
		size_t n = 0;

		policy_doc_digest(text[i], strlen(text[i]), sha256);
		d[i] = rig_doc(names[i], POLICY_EXTENDED, text[i]);
		if (i == 2)
			break;
		n = (size_t)snprintf(all[i], sizeof all[i], "policy: 1\nextends:\n");
		for (unsigned k = 0; k < 16; k++)
			n += (size_t)snprintf(all[i] + n, sizeof all[i] - n,
				"  - {file: %s, digest: \"sha256:%s\"}\n", names[i], sha256);
		text[i + 1] = all[i];
	}
	d[2].origin = POLICY_REPO;
	HAS(refusal(d, 3), "more layers than the 64");
}
END_TEST

struct shelf { /* files that a reader finds */
	const char *name[4], *text[4];
	unsigned read;
};

static char *take_from_shelf(
	void *ctx, const struct policy_doc *from, const char *path, size_t *len)
{
	struct shelf *s = ctx;
	char name[256];

	s->read++;
	ck_assert_int_eq(extension_name(from->name, path, name, sizeof name), 0);
	for (unsigned i = 0; i < 4 && s->name[i]; i++) {
		if (strcmp(s->name[i], name) != 0)
			continue;
		*len = strlen(s->text[i]);
		return strdup(s->text[i]);
	}
	return NULL;
}

START_TEST(collecting_brings_every_file_once_and_leaves_out_what_cannot_be_read)
{
	const char *b = extending("", LIST("c.yaml"), LIST(base));
	const char *a = extending("", LIST("x/b.yaml", "x/c.yaml", "gone.yaml"), LIST(b, base, b));
	struct shelf s = {.name = {"d/x/b.yaml", "d/x/c.yaml"}, .text = {b, base}};
	struct policy_doc docs[8] = {rig_doc("d/a.yaml", POLICY_REPO, a)};
	char *owned[16];
	struct policy_docs_list l = {docs, 1, 8, owned, 0};
	struct error e;

	ck_assert_int_eq(policy_extend(&l, take_from_shelf, &s, &e), 0);
	ck_assert_uint_eq(l.n, 3);
	ck_assert_str_eq(docs[1].name, "d/x/b.yaml");
	ck_assert_str_eq(docs[2].name, "d/x/c.yaml");
	ck_assert_int_eq(docs[2].origin, POLICY_EXTENDED);
	ck_assert_uint_eq(s.read, 3);
	HAS(refusal(docs, l.n), "d/a.yaml:5:12: a file that was not found (gone.yaml)");
	while (l.owned_n)
		free(owned[--l.owned_n]);
}
END_TEST

START_TEST(paths_that_could_lead_anywhere_are_none)
{
	static const char *const bad[] = {"", "/a.yaml", "~/a.yaml", "../a.yaml", "a/../b.yaml",
		"./a.yaml", "a//b.yaml", "a/", "a.yaml/", "a\nb.yaml", "a b.yaml", "a:b.yaml", "a",
		".yaml", "a/.yaml/..", "a.yml"};
	static const char *const good[] = {"a.yaml", "x/y/a.yaml", "..a.yaml", "a..b/c.yaml"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(extension_path_fault(bad[i], strlen(bad[i])) != NULL, "%s", bad[i]);
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		ck_assert_msg(
			extension_path_fault(good[i], strlen(good[i])) == NULL, "%s", good[i]);
}
END_TEST

/* ---- until ---- */

static const char ends[] = "policy: 1\nexec:\n  allow:\n    - {cmd: ls ..., until: 2026-12-31}\n"
			   "    - cat x\ntests: [allow exec ls]\n";

START_TEST(an_allow_rule_ends_after_its_last_day)
{
	struct policy *before = load_on(ends, 20261231), *after = load_on(ends, 20270101);
	struct policy_rule r;

	IS(VERDICT_ALLOW, before, "exec ls x");
	IS(VERDICT_ASK, after, "exec ls x");
	IS(VERDICT_ALLOW, after, "exec cat x");
	ck_assert_int_eq(policy_rule_get(after, 1, 0, &r), 0);
	ck_assert_uint_eq(r.until, 20261231);
	ck_assert_int_eq(r.expired, 1);
	ck_assert_str_ne(policy_digest(before), policy_digest(after));
	policy_free(before);
	policy_free(after);
}
END_TEST

START_TEST(who_does_not_know_the_day_gets_no_rule_that_ends)
{
	struct policy *p = load_on(ends, 0);

	IS(VERDICT_ASK, p, "exec ls x");
	policy_free(p);
}
END_TEST

START_TEST(days_without_an_end_do_not_change_the_digest)
{
	struct policy *x = load_on(ends, 20260101), *y = load_on(ends, 20260707);

	ck_assert_str_eq(policy_digest(x), policy_digest(y));
	policy_free(x);
	policy_free(y);
}
END_TEST

START_TEST(tools_rules_end_as_well)
{
	static const char text[] =
		"policy: 1\ntools: {allow: [{tool: Read, until: 2026-06-30}, Grep]}\n";
	struct policy *p = load_on(text, 20260630), *q = load_on(text, 20260701);

	IS(VERDICT_ALLOW, p, "tool Read");
	IS(VERDICT_ASK, q, "tool Read");
	IS(VERDICT_ALLOW, q, "tool Grep");
	policy_free(p);
	policy_free(q);
}
END_TEST

START_TEST(seconds_become_days_of_the_calendar)
{
	ck_assert_uint_eq(policy_date(INT64_C(951782400)), 20000229);
	ck_assert_uint_eq(policy_date(INT64_C(951868799)), 20000229);
	ck_assert_uint_eq(policy_date(INT64_C(951868800)), 20000301);
	ck_assert_uint_eq(policy_date(INT64_C(1798761599)), 20261231);
	ck_assert_uint_eq(policy_date(INT64_C(1798761600)), 20270101);
	ck_assert_uint_eq(policy_date(INT64_C(4107542399)), 21000228);
	ck_assert_uint_eq(policy_date(INT64_C(4107542400)), 21000301);
	ck_assert_uint_eq(policy_date(0), 0);
	ck_assert_uint_eq(policy_date(INT64_MAX), 0);
	ck_assert_uint_eq(policy_date(INT64_MIN), 0);
}
END_TEST

/* ---- pinned ---- */

static const char pinned[] = "policy: 1\nexec:\n  allow:\n    - npm ci\n    - cmd: npm run *\n"
			     "      pinned: [ws:/package.json]\ntests:\n"
			     "  - allow exec (held)npm run build\n  - ask exec npm run build\n";

START_TEST(a_pinned_rule_allows_while_its_files_hold_and_asks_otherwise)
{
	struct policy *p = load_on(pinned, 0);

	IS(VERDICT_ALLOW, p, "exec (held)npm run build");
	IS(VERDICT_ASK, p, "exec npm run build");
	IS(VERDICT_ALLOW, p, "exec (held)npm ci");
	IS(VERDICT_ALLOW, p, "exec npm ci");
	IS(VERDICT_ASK, p, "exec (held)(writable)/opt/npm run build");
	policy_free(p);
}
END_TEST

START_TEST(a_denial_holds_whatever_is_pinned)
{
	struct policy *p = rig_load("policy: 1\nexec:\n  allow: [{cmd: make ..., pinned: "
				    "[ws:/Makefile]}]\n  deny: [make deploy]\n");

	IS(VERDICT_DENY, p, "exec (held)make deploy");
	IS(VERDICT_DENY, p, "exec make deploy");
	IS(VERDICT_ALLOW, p, "exec (held)make all");
	policy_free(p);
}
END_TEST

/* ---- comparing ---- */

static struct policy_diff *diff(const char *was, const char *now)
{
	static struct policy *kept[2];
	struct policy_doc d[] = {
		rig_doc("p.yaml", POLICY_REPO, was), rig_doc("p.yaml", POLICY_REPO, now)};
	struct policy_diff *out;
	struct error e;

	for (unsigned i = 0; i < 2; i++) {
		policy_free(kept[i]); /* the names in a diff live as long as the policies */
		kept[i] = load_docs(&d[i], 1, 0, 1);
	}
	ck_assert_msg(policy_diff(kept[0], kept[1], &out, &e) == 0, "%s", e.text);
	return out;
}

/* One setting and nothing else changed. */
static void setting_is(const char *was, const char *now, const char *what, int wider)
{
	struct policy_diff *d = diff(was, now);

	ck_assert_uint_eq(d->changes, 0);
	ck_assert_msg(d->settings == 1, "%zu settings for %s", d->settings, what);
	ck_assert_str_eq(d->setting[0].what, what);
	ck_assert_int_eq(d->setting[0].wider, wider);
	policy_diff_free(d);
}

static void both_ways(const char *strict, const char *wide, const char *what)
{
	setting_is(strict, wide, what, 1);
	setting_is(wide, strict, what, -1);
}

#define P(x) "policy: 1\n" x "\n"

START_TEST(what_stands_beside_a_rule_is_compared)
{
	both_ways(P("exec: {allow: [{cmd: ls, until: 2026-12-31}]}"),
		P("exec: {allow: [{cmd: ls, until: 2027-12-31}]}"), "exec.allow ls: until");
	both_ways(P("exec: {allow: [{cmd: ls, until: 2026-12-31}]}"), P("exec: {allow: [ls]}"),
		"exec.allow ls: until");
	both_ways(P("net: {allow: [\"a.example:22\"]}"),
		P("net: {allow: [{host: \"a.example:22\", proto: tcp}]}"),
		"net.allow a.example:22: proto");
	both_ways(P("exec: {allow: [{cmd: make, pinned: [ws:/a, ws:/b]}]}"),
		P("exec: {allow: [{cmd: make, pinned: [ws:/a]}]}"), "exec.allow make: pinned");
	both_ways(P("exec: {deny: [rm]}"), P("exec: {deny: [rm], best-effort: true}"),
		"exec.best-effort");
}
END_TEST

START_TEST(taking_the_pins_off_a_rule_is_shown_with_its_cause)
{
	struct policy_diff *d = diff(P("exec: {allow: [{cmd: make all, pinned: [ws:/a]}]}"),
		P("exec: {allow: [make all]}"));

	ck_assert_uint_eq(d->changes, 1);
	ck_assert_int_eq(d->change[0].was, VERDICT_ASK);
	ck_assert_int_eq(d->change[0].now, VERDICT_ALLOW);
	ck_assert_str_eq(d->change[0].example, "make all");
	ck_assert_uint_eq(d->change[0].causes, 2);
	policy_diff_free(d);
	d = diff(P("unmatched: deny\nexec: {ask: [make all]}"),
		P("unmatched: deny\nexec: {ask: [make clean], allow: [{cmd: make all, pinned: "
		  "[ws:/a]}]}"));
	ck_assert_uint_eq(d->changes, 3); /* held: allow; renamed and the like: deny; clean: ask */
	ck_assert_int_eq(d->change[0].now, VERDICT_ALLOW);
	ck_assert_str_eq(d->change[0].example, "(held)make all");
	policy_diff_free(d);
}
END_TEST

/* ---- best-effort ---- */

static int starts(const char *text, const char **section)
{
	struct policy *p = rig_load(text);
	static char name[64];
	const char *file;
	unsigned line;
	int ungated = policy_ungated(p, section, &file, &line);

	if (ungated)
		snprintf(name, sizeof name, "%s", *section);
	*section = name;
	policy_free(p);
	return !ungated;
}

START_TEST(a_section_without_a_gate_lets_a_session_start_only_when_it_is_best_effort)
{
	const char *section;

	ck_assert(!starts(P("exec: {deny: [rm]}"), &section));
	ck_assert_str_eq(section, "exec");
	ck_assert(starts(P("exec: {deny: [rm], best-effort: true}"), &section));
	ck_assert(!starts(P("exec: {deny: [rm], best-effort: false}"), &section));
	ck_assert(!starts(
		P("exec: {deny: [rm], best-effort: true}\nfiles: {deny: [r /x]}"), &section));
	ck_assert_str_eq(section, "files");
	ck_assert(starts(P("session: {lease: 4h, best-effort: true}"), &section));
	ck_assert(!starts(P("session: {best-effort: true}\naudit: {keep: 9d}"), &section));
	ck_assert_str_eq(section, "audit.keep");
}
END_TEST

START_TEST(one_layer_that_insists_is_enough)
{
	struct policy_doc d[] = {
		rig_doc("a.yaml", POLICY_REPO, P("exec: {deny: [rm], best-effort: true}")),
		rig_doc("b.yaml", POLICY_ADMIN, P("exec: {deny: [dd]}"))};
	struct policy *p = load_docs(d, 2, 0, 0);
	const char *section, *file;
	unsigned line;

	ck_assert_int_eq(policy_ungated(p, &section, &file, &line), 1);
	ck_assert_str_eq(file, "b.yaml");
	policy_free(p);
}
END_TEST

/* A promise about files that a tool reads rests on rules of files only where those are enforced. */
START_TEST(a_promise_about_files_does_not_rest_on_rules_that_may_go_unenforced)
{
	static const char head[] = "policy: 1\ntools: {allow: [Read]}\n"
				   "tests: [never allow atlas secrets-read]\n";
	char text[512];

	HAS(rig_error(head), "tool Read");
	snprintf(text, sizeof text, "%sfiles: {allow: [r ws:/src/main.c]}\n", head);
	policy_free(rig_load(text));
	snprintf(text, sizeof text, "%sfiles: {allow: [r ws:/src/main.c], best-effort: true}\n",
		head);
	HAS(rig_error(text), "tool Read");
	snprintf(text, sizeof text, "%sfiles: {allow: [r /etc/**]}\n", head);
	HAS(rig_error(text), "file r /etc/");
}
END_TEST

/* ---- keys without a gate ---- */

static const struct {
	const char *text, *key, *value;
} kept[] = {
	{"workspace: {mode: overlay}", "workspace.mode", "overlay"},
	{"workspace: {traps: quarantine}", "workspace.traps", "quarantine"},
	{"approvals: {on_timeout: freeze}", "approvals.on_timeout", "freeze"},
	{"approvals: {who: [session-owner, 'team:a/b']}", "approvals.who team:a/b", "may answer"},
	{"approvals: {notify: [notify-send, 'a b']}", "approvals.notify",
		"\"notify-send\" \"a b\""},
	{"approvals: {notify: ['https://x.example/h']}", "approvals.notify",
		"\"https://x.example/h\""},
	{"approvals: {remember: {never_for: [secrets, force-push]}}",
		"approvals.remember.never_for", "secrets, force-push"},
	{"audit: {durability: relaxed}", "audit.durability", "relaxed"},
	{"net: {publish: [3000, '5173:8080']}", "net.publish", "3000, 5173:8080"},
	{"session: {lease: {ttl: 10m}}", "session.lease.ttl", "600s"},
	{"session: {lease: {renew: [file, ssh], ttl: 10m}}", "session.lease.renew", "ssh file "},
	{"session: {lease: {ttl: 1h, on_expiry: kill}}", "session.lease.on_expiry", "kill"},
	{"mcp: {servers: {gh: {command: [npx, -y, x]}}}", "mcp.servers gh.command",
		"\"npx\" \"-y\" \"x\""},
	{"mcp: {servers: {gh: {command: [x], net: ['a.example:443']}}}", "mcp.servers gh.net",
		"a.example:443"},
	{"mcp: {servers: {gh: {command: [x], secrets: [GH_TOKEN]}}}", "mcp.servers gh.secrets",
		"GH_TOKEN"},
	{"mcp: {servers: {gh: {command: [x], workspace: ro}}}", "mcp.servers gh.workspace", "ro"},
};

static const char *value_of(const struct policy *p, const char *want)
{
	const char *key, *value, *file;
	unsigned line;

	for (size_t i = 0; policy_stated(p, i, &key, &value, &file, &line) == 0; i++) {
		if (strcmp(key, want) == 0)
			return value;
	}
	return "not there";
}

START_TEST(keys_load_are_kept_are_compared_and_keep_a_session_from_starting)
{
	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		char text[512];
		struct policy *p;
		struct policy_diff *d;
		const char *section, *file;
		unsigned line;

		snprintf(text, sizeof text, "policy: 1\n%s\n", kept[i].text);
		p = rig_load(text);
		ck_assert_str_eq(value_of(p, kept[i].key), kept[i].value);
		ck_assert_msg(policy_ungated(p, &section, &file, &line), "%s", kept[i].text);
		ck_assert_uint_eq(line, 2);
		policy_free(p);
		d = diff("policy: 1\n", text);
		ck_assert_int_eq(d->wider, 1);
		policy_diff_free(d);
	}
}
END_TEST

START_TEST(what_holds_anyway_keeps_nothing_from_starting)
{
	const char *section;

	ck_assert(starts(P("workspace: {mode: direct}\napprovals: {on_timeout: deny}\n"
			   "audit: {durability: strict}"),
		&section));
}
END_TEST

START_TEST(a_team_alone_is_nobody_that_this_version_knows)
{
	struct policy *p = rig_load(P("approvals: {who: ['team:platform']}"));
	struct policy_approvals a;

	policy_approvals(p, &a);
	ck_assert_uint_eq(a.who, 0);
	policy_free(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("policy_language");
	TCase *t = tcase_create("the rest of the language");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, the_annotated_example_of_the_specification_loads_but_for_its_org_layer);
	tcase_add_test(t, an_extended_file_is_one_more_layer_of_the_same_origin);
	tcase_add_test(t, a_file_with_another_digest_does_not_load_and_both_digests_are_shown);
	tcase_add_test(t, a_file_that_nobody_brought_or_that_lies_elsewhere_does_not_load);
	tcase_add_test(t, a_document_that_no_layer_extends_is_refused);
	tcase_add_test(t, an_extended_file_may_extend_four_deep_and_no_deeper);
	tcase_add_test(t, a_file_that_extends_itself_is_refused);
	tcase_add_test(t, a_layer_that_does_not_apply_takes_its_files_with_it);
	tcase_add_test(t, files_that_multiply_are_refused);
	tcase_add_test(t, collecting_brings_every_file_once_and_leaves_out_what_cannot_be_read);
	tcase_add_test(t, paths_that_could_lead_anywhere_are_none);
	tcase_add_test(t, an_allow_rule_ends_after_its_last_day);
	tcase_add_test(t, who_does_not_know_the_day_gets_no_rule_that_ends);
	tcase_add_test(t, days_without_an_end_do_not_change_the_digest);
	tcase_add_test(t, tools_rules_end_as_well);
	tcase_add_test(t, seconds_become_days_of_the_calendar);
	tcase_add_test(t, a_pinned_rule_allows_while_its_files_hold_and_asks_otherwise);
	tcase_add_test(t, a_denial_holds_whatever_is_pinned);
	tcase_add_test(t, what_stands_beside_a_rule_is_compared);
	tcase_add_test(t, taking_the_pins_off_a_rule_is_shown_with_its_cause);
	tcase_add_test(
		t, a_section_without_a_gate_lets_a_session_start_only_when_it_is_best_effort);
	tcase_add_test(t, one_layer_that_insists_is_enough);
	tcase_add_test(t, a_promise_about_files_does_not_rest_on_rules_that_may_go_unenforced);
	tcase_add_test(t, keys_load_are_kept_are_compared_and_keep_a_session_from_starting);
	tcase_add_test(t, what_holds_anyway_keeps_nothing_from_starting);
	tcase_add_test(t, a_team_alone_is_nobody_that_this_version_knows);
	suite_add_tcase(s, t);
	return rig_run(s);
}
