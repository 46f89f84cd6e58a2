/* Compiled decisions about requests and MCP calls against a reference that follows the specification
 * rule by rule, on random stacks. Files and connections: policy_property.c. */
#include "tests/lib/policy_rig.h"
#include "tests/lib/slow_match.h"

#define LAYERS   3
#define RULES    6
#define POINTERS 3

static const char *const pointers[POINTERS] = {"/a", "/b", "/b/c"};

static unsigned long long seed = 0x9e3779b97f4a7c15ULL;

static unsigned roll(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)((seed >> 11) % n);
}

/* ---- random rules: as text, and as the reference reads them ---- */

struct one {
	char methods[24]; /* "*" or "GET,PUT" */
	int tls;
	unsigned port; /* 0: any */
	char host[40], path[60]; /* mcp: server, tool */
	char value[POINTERS][16]; /* mcp: "": no condition */
};

struct rule_of {
	enum verdict effect;
	struct one match, except;
	int has_except;
};

struct layer_of {
	struct rule_of rule[RULES];
	unsigned rules;
	int ceiling, deny_unmatched;
};

static void random_path(char *out)
{
	static const char *const parts[] = {"a", "b", "ab", "*", "?", "a*", "*b", "**", "{a,b}",
		"[ab]", "[!a]", "a;x", "%C3", "@"};
	unsigned n = 1 + roll(3), crossings = 0;

	*out = 0;
	for (unsigned i = 0; i < n; i++) {
		const char *part = parts[roll(14)];

		if (strcmp(part, "**") == 0 && ++crossings > 2)
			part = "a";
		strcat(out, "/");
		strcat(out, part);
	}
	if (roll(6) == 0)
		strcpy(out, "/**");
}

static void random_request(struct one *m)
{
	static const char *const methods[] = {"*", "GET", "PUT", "GET,PUT", "GET,M-X"};
	static const char *const hosts[] = {
		"a.x", "b.x", "*.x", "**.x", "{a,b}.x", "a?.x", "x", "**"};

	strcpy(m->methods, methods[roll(5)]);
	strcpy(m->host, hosts[roll(8)]);
	m->tls = (int)roll(2);
	m->port = roll(3) ? m->tls ? 443 : 80 : roll(2) ? 8080 : 0;
	random_path(m->path);
}

static void random_call(struct one *m)
{
	static const char *const names[] = {"a", "b", "*", "a*", "{a,b}", "?b", "[!a]*"};
	static const char *const values[] = {"", "", "x", "*", "x*", "*y", "{x,y}", "?"};

	strcpy(m->host, names[roll(7)]);
	strcpy(m->path, names[roll(7)]);
	for (unsigned i = 0; i < POINTERS; i++)
		strcpy(m->value[i], values[roll(8)]);
}

static void random_one(struct one *m, int mcp)
{
	*m = (struct one){.methods = ""};
	if (mcp)
		random_call(m);
	else
		random_request(m);
}

static void random_layer(struct layer_of *l, int mcp)
{
	*l = (struct layer_of){
		.rules = 1 + roll(RULES), .ceiling = roll(6) == 0, .deny_unmatched = roll(3) == 0};
	for (unsigned i = 0; i < l->rules; i++) {
		struct rule_of *r = &l->rule[i];

		r->effect = VERDICT_ALLOW + roll(3);
		r->has_except = roll(3) == 0;
		random_one(&r->match, mcp);
		random_one(&r->except, mcp);
	}
}

/* ---- as YAML ---- */

static void print_request(char *out, size_t cap, const struct one *m)
{
	char port[16] = "";

	if (m->port == 0)
		strcpy(port, ":*");
	else if (m->port == 8080)
		strcpy(port, ":8080");
	snprintf(out, cap, "'%s %s://%s%s%s'", m->methods, m->tls ? "https" : "http", m->host, port,
		m->path);
}

static void print_call(char *out, size_t cap, const struct one *m)
{
	const char *before = " {";
	size_t n = (size_t)snprintf(out, cap, "'%s/%s", m->host, m->path);

	for (unsigned i = 0; i < POINTERS; i++) {
		if (!m->value[i][0])
			continue;
		n += (size_t)snprintf(
			out + n, cap - n, "%s%s: \"%s\"", before, pointers[i], m->value[i]);
		before = ", ";
	}
	snprintf(out + n, cap - n, "%s'", *before == ',' ? "}" : "");
}

static void print_one(char *out, size_t cap, const struct one *m, int mcp)
{
	if (mcp)
		print_call(out, cap, m);
	else
		print_request(out, cap, m);
}

static void print_layer(char *out, size_t cap, const struct layer_of *l, int mcp)
{
	snprintf(out, cap, "policy: 1\nceiling: %s\nunmatched: %s\n%s:\n",
		l->ceiling ? "true" : "false", l->deny_unmatched ? "deny" : "ask",
		mcp ? "mcp" : "http");
	for (enum verdict v = VERDICT_ALLOW; v <= VERDICT_DENY; v++) {
		size_t n = strlen(out);

		snprintf(out + n, cap - n, "  %s: [", verdict_name(v));
		for (unsigned i = 0; i < l->rules; i++) {
			const struct rule_of *r = &l->rule[i];
			char text[160], except[160] = "";

			if (r->effect != v)
				continue;
			print_one(text, sizeof text, &r->match, mcp);
			if (r->has_except)
				print_one(except, sizeof except, &r->except, mcp);
			n = strlen(out);
			snprintf(out + n, cap - n, "{%s: %s, except: [%s]},\n    ",
				mcp ? "call" : "url", text, except);
		}
		strcat(out, "]\n");
	}
}

static struct policy *load(const struct layer_of *l, unsigned n, int mcp)
{
	static char text[LAYERS][8192], name[LAYERS][16];
	struct policy_doc docs[LAYERS];
	struct policy_error e;
	struct policy *p;

	for (unsigned i = 0; i < n; i++) {
		print_layer(text[i], sizeof text[i], &l[i], mcp);
		snprintf(name[i], sizeof name[i], "layer%u", i);
		docs[i] = (struct policy_doc){name[i], POLICY_ADMIN, text[i], strlen(text[i])};
	}
	p = policy_load(docs, n, NULL, &e);
	ck_assert_msg(p != NULL, "%s\n%s", e.text, text[0]);
	return p;
}

/* ---- the reference ---- */

struct event {
	const char *method; /* requests */
	int tls;
	unsigned port;
	char host[16], path[32]; /* mcp: server, tool */
	const char *value[POINTERS]; /* mcp: NULL absent, "{}" a list or an object */
};

static int ref_method(const char *methods, const char *method)
{
	const char *at = strstr(methods, method);

	return *methods == '*' || at != NULL;
}

static int ref_request(const struct one *m, const struct event *e)
{
	return ref_method(m->methods, e->method) && m->tls == e->tls &&
	       (m->port == 0 || m->port == e->port) && slow_host_braces(m->host, e->host) &&
	       slow_braces(m->path, e->path, 1);
}

static int ref_call(const struct one *m, const struct event *e, int wide)
{
	if (!slow_braces(m->host, e->host, 0) || !slow_braces(m->path, e->path, 0))
		return 0;
	for (unsigned i = 0; i < POINTERS; i++) {
		const char *v = e->value[i];

		if (!m->value[i][0])
			continue;
		if (!v || (strcmp(v, "{}") == 0 ? !wide : !slow_braces(m->value[i], v, 0)))
			return 0;
	}
	return 1;
}

static int ref_rule(const struct rule_of *r, const struct event *e, int mcp)
{
	int wide = r->effect != VERDICT_ALLOW;

	if (!mcp)
		return ref_request(&r->match, e) && !(r->has_except && ref_request(&r->except, e));
	return ref_call(&r->match, e, wide) && !(r->has_except && ref_call(&r->except, e, !wide));
}

static enum verdict ref_layer(const struct layer_of *l, const struct event *e, int mcp)
{
	enum verdict v = VERDICT_NONE;

	for (unsigned i = 0; i < l->rules; i++) {
		if (l->rule[i].effect > v && ref_rule(&l->rule[i], e, mcp))
			v = l->rule[i].effect;
	}
	return v == VERDICT_NONE && l->ceiling ? VERDICT_DENY : v;
}

/* What servers may make of a path: ask and deny rules look at that, too. */
static int ref_alias(const struct event *e, struct event *alias)
{
	const char *in = e->path;
	char *out = alias->path;

	*alias = *e;
	for (; *in; in++) {
		if (strncmp(in, "%40", 3) == 0) {
			*out++ = '@';
			in += 2;
		} else if (strncmp(in, ";x", 2) == 0) {
			in++;
		} else {
			*out++ = *in;
		}
	}
	*out = 0;
	return strcmp(alias->path, e->path) != 0;
}

static enum verdict ref_strict(const struct layer_of *l, unsigned n, const struct event *e)
{
	enum verdict v = VERDICT_NONE;

	for (unsigned i = 0; i < n; i++) {
		for (unsigned k = 0; k < l[i].rules; k++) {
			const struct rule_of *r = &l[i].rule[k];

			if (r->effect != VERDICT_ALLOW && r->effect > v && ref_rule(r, e, 0))
				v = r->effect;
		}
	}
	return v;
}

static enum verdict ref_decide(const struct layer_of *l, unsigned n, const struct event *e, int mcp)
{
	enum verdict v = VERDICT_NONE, unmatched = VERDICT_ASK;
	struct event alias = *e;

	for (unsigned i = 0; i < n; i++) {
		enum verdict of = ref_layer(&l[i], e, mcp);

		v = of > v ? of : v;
		if (l[i].deny_unmatched)
			unmatched = VERDICT_DENY;
	}
	if (v == VERDICT_NONE)
		v = unmatched;
	if (!mcp && ref_alias(e, &alias) && ref_strict(l, n, &alias) > v)
		v = ref_strict(l, n, &alias);
	return v;
}

/* ---- random actions ---- */

static void random_event(struct event *e, int mcp)
{
	static const char *const methods[] = {"GET", "PUT", "M-X"};
	static const char *const hosts[] = {"a.x", "b.x", "ab.x", "x", "c.a.x", "y"};
	static const char *const parts[] = {
		"a", "b", "ab", "aa", "bb", "c", "a;x", "%C3", "@", "%40"};
	static const char *const names[] = {"a", "b", "ab", "bb", "c"};
	static const char *const values[] = {NULL, "x", "y", "xy", "", "{}"};
	unsigned n = 1 + roll(3);

	*e = (struct event){.method = methods[roll(3)], .tls = (int)roll(2)};
	e->port = roll(3) ? e->tls ? 443 : 80 : 8080;
	if (mcp) {
		strcpy(e->host, names[roll(5)]);
		strcpy(e->path, names[roll(5)]);
		for (unsigned i = 0; i < POINTERS; i++)
			e->value[i] = values[roll(6)];
		if (e->value[2]) /* then /b is an object */
			e->value[1] = "{}";
		return;
	}
	strcpy(e->host, hosts[roll(6)]);
	for (unsigned i = 0; i < n; i++) {
		strcat(e->path, "/");
		strcat(e->path, parts[roll(10)]);
	}
	if (roll(5) == 0)
		strcat(e->path, "/");
}

/* Another spelling of the same path. */
static void respell(char *out, const char *path)
{
	for (; *path; path++) {
		if (path[0] == '%' && path[1] == 'C' && roll(2)) {
			out += sprintf(out, "%s", roll(2) ? "\xc3" : "%c3");
			path += 2;
		} else if (*path >= 'a' && *path <= 'z' && roll(4) == 0) {
			out += sprintf(out, roll(2) ? "%%%02x" : "%%%02X", (unsigned)*path);
		} else {
			*out++ = *path;
		}
	}
	strcpy(out, roll(3) ? "" : "?q=/../x");
}

static struct action *request_of(const struct event *e)
{
	char target[200];
	struct http_request r = {.method = e->method,
		.method_len = strlen(e->method),
		.host = e->host,
		.host_len = strlen(e->host),
		.target = target,
		.tls = e->tls,
		.port = (uint16_t)e->port};
	struct action *a;
	struct error err;

	respell(target, e->path);
	r.target_len = strlen(target);
	ck_assert_msg(action_from_http(&a, &r, &err) == 0, "%s: %s", target, err.text);
	return a;
}

static struct action *call_of(const struct event *e)
{
	struct action_arg args[POINTERS];
	struct action *a;
	struct error err;
	size_t n = 0;

	for (unsigned i = 0; i < POINTERS; i++) {
		const char *v = e->value[i];

		if (!v || (i == 1 && e->value[2]))
			continue;
		args[n++] = (struct action_arg){pointers[i], strlen(pointers[i]),
			strcmp(v, "{}") == 0 ? ACTION_EMPTY_ARRAY : ACTION_STRING, v, strlen(v)};
	}
	ck_assert_msg(action_from_mcp(&a, e->host, strlen(e->host), e->path, strlen(e->path), args,
			      n, &err) == 0,
		"%s", err.text);
	return a;
}

static unsigned long compare(int mcp, unsigned rounds, unsigned actions)
{
	unsigned long compared = 0, seen[VERDICT_DENY + 1] = {0};

	for (unsigned round = 0; round < rounds; round++) {
		struct layer_of l[LAYERS];
		unsigned n = 1 + roll(LAYERS);
		struct policy *p;

		for (unsigned i = 0; i < n; i++)
			random_layer(&l[i], mcp);
		p = load(l, n, mcp);
		for (unsigned k = 0; k < actions; k++) {
			struct event e;
			struct action *a;
			struct decision d;
			enum verdict want;

			random_event(&e, mcp);
			a = mcp ? call_of(&e) : request_of(&e);
			want = ref_decide(l, n, &e, mcp);
			policy_decide(p, a, &d);
			ck_assert_msg(policy_verdict(p, a) == want && d.verdict == want,
				"%s %s %s: %s and %s, should be %s", e.method, e.host, e.path,
				verdict_name(policy_verdict(p, a)), verdict_name(d.verdict),
				verdict_name(want));
			seen[want]++;
			compared++;
			action_free(a);
		}
		policy_free(p);
	}
	ck_assert_uint_gt(seen[VERDICT_ALLOW], compared / 200);
	ck_assert_uint_gt(seen[VERDICT_ASK], compared / 200);
	ck_assert_uint_gt(seen[VERDICT_DENY], compared / 200);
	return compared;
}

START_TEST(the_decisions_about_requests_are_those_of_the_reference)
{
	ck_assert_uint_ge(compare(0, rig_rounds(200), 750), rig_rounds(150000));
}
END_TEST

START_TEST(the_decisions_about_mcp_calls_are_those_of_the_reference)
{
	ck_assert_uint_ge(compare(1, rig_rounds(200), 750), rig_rounds(150000));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("policy_property_calls");
	TCase *t = tcase_create("random policies");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, the_decisions_about_requests_are_those_of_the_reference);
	tcase_add_test(t, the_decisions_about_mcp_calls_are_those_of_the_reference);
	suite_add_tcase(s, t);
	return rig_run(s);
}
