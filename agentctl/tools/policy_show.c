/* agentctl policy show: the layers of a session, and what they come to. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agentctl/tools/policy_docs.h"

extern char **environ;

static void show_layers(const struct policy *p, const char *agent)
{
	struct policy_facts f = policy_docs_facts(agent);
	struct policy_layer l;
	size_t i;

	printf("# policy %.16s… for agent %s, user %s, host %s", policy_digest(p), f.agent,
		f.user ? f.user : "(unknown)", f.host ? f.host : "(unknown)");
	if (f.branch) {
		printf(", branch ");
		policy_print(f.branch);
	}
	printf("%s\n", f.ci ? ", ci" : "");
	for (i = 0; policy_layer_get(p, i, &l) == 0; i++) {
		printf("# %-7s ", policy_origin_name(l.origin));
		policy_print(l.file);
		if (*l.title && strcmp(l.title, l.file) != 0) {
			printf(" (");
			policy_print(l.title);
			printf(")");
		}
		printf(": %zu allow, %zu ask, %zu deny, %zu tests, sha256 %.12s…%s%s\n", l.allow,
			l.ask, l.deny, l.tests, l.sha256, l.ceiling ? ", ceiling" : "",
			l.active ? "" : ", NOT USED: its `when` does not hold");
	}
}

static void show_exceptions(const struct policy *p, size_t i, size_t j, size_t n)
{
	size_t k;

	for (k = 0; k < n; k++) {
		printf("    #   except ");
		policy_print(policy_rule_except(p, i, j, k));
		printf("\n");
	}
}

static void show_pins(const struct policy *p, size_t i, size_t j, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		printf("    #   counts as ask unless it is as a human last saw it: ");
		policy_print(policy_rule_pin(p, i, j, k));
		printf("\n");
	}
}

static void show_rule(const struct policy *p, size_t i, size_t j, const struct policy_rule *r)
{
	struct policy_layer l;

	policy_layer_get(p, i, &l);
	printf("    - ");
	policy_print(r->text);
	printf("   # ");
	policy_print(l.file);
	printf(":%u", r->line);
	if (r->why) {
		printf(": ");
		policy_print(r->why);
	}
	printf("\n");
	if (r->until)
		printf("    #   %s %04u-%02u-%02u\n", r->expired ? "ENDED after" : "until",
			r->until / 10000, r->until / 100 % 100, r->until % 100);
	if (r->proto)
		printf("    #   proto: %s\n", r->proto);
	show_exceptions(p, i, j, r->excepts);
	show_pins(p, i, j, r->pins);
}

static size_t count_rules(const struct policy *p, const char *section)
{
	struct policy_layer l;
	struct policy_rule r;
	size_t i, j, n = 0;

	for (i = 0; policy_layer_get(p, i, &l) == 0; i++) {
		for (j = 0; l.active && policy_rule_get(p, i, j, &r) == 0; j++)
			n += strcmp(r.section, section) == 0 && !r.idle;
	}
	return n;
}

static void show_rules(const struct policy *p, const char *section, enum verdict effect)
{
	struct policy_layer l;
	struct policy_rule r;
	size_t i, j, shown = 0;

	printf("  %s:\n", verdict_name(effect));
	for (i = 0; policy_layer_get(p, i, &l) == 0; i++) {
		for (j = 0; l.active && policy_rule_get(p, i, j, &r) == 0; j++) {
			if (r.effect == effect && (!r.idle || r.expired) &&
				strcmp(r.section, section) == 0) {
				show_rule(p, i, j, &r);
				shown++;
			}
		}
	}
	if (!shown)
		printf("    []\n");
}

static void show_amount(enum policy_limit_kind k, uint64_t v)
{
	if (k == POLICY_LIMIT_MEMORY && v % (1u << 30) == 0)
		printf("%" PRIu64 "GiB", v >> 30);
	else if (k == POLICY_LIMIT_MEMORY)
		printf("%" PRIu64 "KiB", v >> 10);
	else if (k == POLICY_LIMIT_CPU)
		printf("%" PRIu64 "m", v);
	else if (k == POLICY_LIMIT_WALL)
		printf("%" PRIu64 "s", v);
	else
		printf("%" PRIu64, v);
}

static void show_limits(const struct policy *p)
{
	static const char *const names[POLICY_LIMITS] = {
		"processes", "memory", "cpu", "open_files", "wall"};
	int k;

	printf("limits:\n");
	for (k = 0; k < POLICY_LIMITS; k++) {
		struct policy_limit l = policy_limit(p, (enum policy_limit_kind)k);

		if (!l.value) {
			printf("  # %s: no limit\n", names[k]);
			continue;
		}
		printf("  %s: %s", names[k], l.best_effort ? "{max: " : "");
		show_amount((enum policy_limit_kind)k, l.value);
		printf("%s   # ", l.best_effort ? ", best-effort: true}" : "");
		policy_print(l.file);
		printf(":%u\n", l.line);
	}
}

static void show_env(const struct policy *p)
{
	const char *name, *value;
	size_t i, dropped = 0;
	char **e;

	printf("env:\n  # of your environment, these reach the agent:\n");
	for (e = environ; *e; e++) {
		char copy[256];
		size_t n = strcspn(*e, "=");

		if (n >= sizeof copy)
			n = sizeof copy - 1;
		memcpy(copy, *e, n);
		copy[n] = 0;
		if (policy_env_passes(p, copy)) {
			printf("  #   ");
			policy_print(copy);
			printf("\n");
		} else {
			dropped++;
		}
	}
	printf("  # and %zu others do not\n  set:%s\n", dropped, policy_env_sets(p) ? "" : " {}");
	for (i = 0; policy_env_set(p, i, &name, &value) == 0; i++) {
		printf("    %s: \"", name);
		policy_print(value);
		printf("\"\n");
	}
}

static void show_mounts(const struct policy *p)
{
	/* Where the roots are does not matter here: only names are shown. */
	static const struct action_places places = {.ws = "/home/user/project",
		.home = "/home/user",
		.tmp = "/tmp",
		.cwd = "/home/user/project"};
	static const char *const modes[] = {"", "rw", "ro", "hidden"};
	static struct policy_mount m[POLICY_MOUNTS_MAX];
	int i, n = policy_mounts(p, &places, m, POLICY_MOUNTS_MAX, NULL);

	printf("workspace:\n  identity: %s\n",
		policy_identity(p) == POLICY_SAME_UID ? "same-uid" : "own-uid");
	printf("  mounts:%s\n", n > 0 ? "" : " []");
	for (i = 0; i < n && i < (int)POLICY_MOUNTS_MAX; i++) {
		printf("    - %s ", modes[m[i].mode]);
		policy_print(m[i].name);
		printf("   # ");
		policy_print(m[i].file);
		printf(":%u\n", m[i].line);
	}
}

static void show_approvals(const struct policy *p)
{
	struct policy_approvals a;
	struct policy_session s;

	policy_approvals(p, &a);
	policy_session(p, &s);
	printf("approvals:\n  who: [%s%s%s]\n", a.who & POLICY_WHO_OWNER ? "session-owner" : "",
		a.who == (POLICY_WHO_OWNER | POLICY_WHO_ADMIN) ? ", " : "",
		a.who & POLICY_WHO_ADMIN ? "admin" : "");
	if (!a.who)
		printf("  # NOBODY may answer: the layers' lists have no one in common, so every "
		       "question ends in a denial\n");
	printf("  timeout: %" PRIu32 "s\n  on_timeout: deny\n  remember: {longest: ", a.timeout_s);
	if (a.remember_s == POLICY_REMEMBER_ONCE)
		printf("once}\n");
	else if (a.remember_s == POLICY_REMEMBER_SESSION)
		printf("session}\n");
	else
		printf("%" PRIu32 "s}\n", a.remember_s);
	printf("session: {on_lost: freeze, on_lost_after: %" PRIu32 "s}\n", s.on_lost_after_s);
	printf("audit: {durability: strict}\n");
}

static void show_stated(const struct policy *p)
{
	const char *key, *value, *file;
	unsigned line;

	for (size_t i = 0; policy_best_effort(p, i, &key, &file) == 0; i++) {
		printf("# a session starts even where nothing enforces this: %s   # ", key);
		policy_print(file);
		printf("\n");
	}
	for (size_t i = 0; policy_stated(p, i, &key, &value, &file, &line) == 0; i++) {
		printf("# nothing enforces this yet: ");
		policy_print(key);
		printf(": ");
		policy_print(value);
		printf("   # ");
		policy_print(file);
		printf(":%u\n", line);
	}
}

/* What happens to a call that no rule can match, as the stack decides it. */
static void show_unmatched(const struct policy *p)
{
	struct policy_layer l;
	int deny = policy_unmatched(p) == VERDICT_DENY;
	size_t i;

	printf("unmatched: %s\n", deny ? "deny" : "ask");
	for (i = 0; policy_layer_get(p, i, &l) == 0; i++) {
		if (l.active && l.ceiling) {
			printf("# but what ");
			policy_print(l.file);
			printf(" does not allow is denied: it is a ceiling\n");
		}
	}
}

static void show_sections(const struct policy *p)
{
	const char *section, *mechanism;

	for (size_t i = 0; (section = policy_section(i, &mechanism)) != NULL; i++) {
		if (i > 0 && count_rules(p, section) == 0)
			continue;
		printf("%s:   # enforced by %s\n", section, mechanism);
		show_rules(p, section, VERDICT_DENY);
		show_rules(p, section, VERDICT_ASK);
		show_rules(p, section, VERDICT_ALLOW);
	}
}

void policy_show(const struct policy *p, const char *agent, int effective)
{
	show_layers(p, agent);
	if (!effective)
		return;
	show_unmatched(p);
	show_mounts(p);
	show_limits(p);
	show_env(p);
	show_sections(p);
	show_approvals(p);
	show_stated(p);
}
