/* A stack of documents into a policy; see policy.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/compile.h"
#include "policy/extend.h"
#include "policy/internal.h"
#include "policy/never.h"
#include "policy/shell/judge.h"
#include "policy/text.h"

/* Steps that all automata of one load may take together, some nanoseconds each: the broker loads for
 * everybody in one thread. */
#define LOAD_WORK         UINT64_C(1500000000)
#define POLICY_MEMORY_MAX ((size_t)192 << 20)

static const struct policy_facts no_facts = {.ci = -1};

const char *policy_origin_name(enum policy_origin o)
{
	static const char *const names[] = {
		"", "builtin", "admin", "user", "repo", "cli", "extended"};

	return o >= POLICY_BUILTIN && o <= POLICY_EXTENDED ? names[o] : "";
}

void policy_doc_digest(const char *text, size_t len, char out[65])
{
	unsigned char h[crypto_hash_sha256_BYTES];

	crypto_hash_sha256(h, (const unsigned char *)text, len);
	sodium_bin2hex(out, 65, h, sizeof h);
}

/* ---- digest of the stack ---- */

static void hash_fact(crypto_hash_sha256_state *h, const char *fact)
{
	size_t n = fact ? strlen(fact) : 0;

	hash_number(h, fact ? n + 1 : 0);
	crypto_hash_sha256_update(h, (const unsigned char *)(fact ? fact : ""), n);
}

static size_t count_expired(const struct policy *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->layers; i++) {
		for (size_t k = 0; k < p->layer[i]->rules; k++)
			n += (size_t)rule_is_expired(&p->stack, &p->layer[i]->rule[k]);
	}
	return n;
}

struct doc_digest {
	enum policy_origin origin;
	const unsigned char *sha256;
};

static int by_digest(const void *a, const void *b)
{
	const struct doc_digest *x = a, *y = b;

	if (x->origin != y->origin)
		return x->origin < y->origin ? -1 : 1;
	return memcmp(x->sha256, y->sha256, 32);
}

static void stack_digest(struct policy *p, const struct policy_facts *facts)
{
	struct doc_digest docs[POLICY_LAYERS_MAX + 1];
	unsigned char digest[crypto_hash_sha256_BYTES];
	crypto_hash_sha256_state h;
	size_t i;

	for (i = 0; i < p->layers; i++)
		docs[i] = (struct doc_digest){p->layer[i]->origin, p->layer[i]->sha256};
	qsort(docs, p->layers, sizeof *docs, by_digest);
	crypto_hash_sha256_init(&h);
	crypto_hash_sha256_update(&h, (const unsigned char *)"agentd policy 1", 15);
	hash_number(&h, p->layers);
	for (i = 0; i < p->layers; i++) {
		hash_number(&h, docs[i].origin);
		crypto_hash_sha256_update(&h, docs[i].sha256, 32);
	}
	hash_fact(&h, facts->agent);
	hash_fact(&h, facts->user);
	hash_fact(&h, facts->host);
	hash_fact(&h, facts->branch);
	hash_number(&h, facts->ci < 0 ? 2 : facts->ci > 0);
	hash_number(&h, count_expired(p)); /* which rules those are follows from the documents */
	crypto_hash_sha256_final(&h, digest);
	sodium_bin2hex(p->digest, sizeof p->digest, digest, sizeof digest);
}

/* ---- tests ---- */

static int is_extended_by(const struct layer *l, const struct layer *by)
{
	while (l && l != by)
		l = l->extender;
	return l != NULL;
}

/* A document is tested as it would decide alone, with what it extends, on top of the built-in layer and
 * on a day on which all its rules hold. */
static void test_stack(const struct policy *p, const struct layer *l, struct stack *s)
{
	size_t i;

	*s = (struct stack){0};
	for (i = 0; i < p->layers; i++) {
		if (p->layer[i]->origin == POLICY_BUILTIN || is_extended_by(p->layer[i], l))
			stack_add(s, p->layer[i]);
	}
}

/* The decision about a broken promise's example, or none. -1: out of memory. */
static int never_test(const struct policy *p, const struct stack *s, const struct test *t,
	struct never *found, struct decision *d)
{
	int failed = never_prove(p, s, t, found);

	*d = found->example ? found->by : (struct decision){.rule = "", .file = ""};
	return failed;
}

/* What a byte of shell text may cost for each rule: commands in commands, several readings. */
#define SHELL_TEST_COST 32u

/* 0: the text is too long for what loading may still cost. */
static int pays_for_shell(const struct policy *p, const struct stack *s, const struct test *t)
{
	uint64_t rules = 1, cost;

	for (size_t i = 0; i < s->layers; i++)
		rules += s->layer[i]->rules;
	cost = t->shell_len * rules * SHELL_TEST_COST;
	if (cost > *p->work)
		return 0;
	*p->work -= cost;
	return 1;
}

/* None: out of memory. */
static void decide_shell_test(
	const struct policy *p, const struct stack *s, const struct test *t, struct decision *d)
{
	struct shell_judgement *j;

	*d = (struct decision){.rule = "", .file = ""};
	if (stack_decide_shell(p, s, &test_places, t->shell, t->shell_len, &j))
		return;
	*d = j->decision;
	d->why = NULL; /* it may be the judgement's */
	if (d->verdict == VERDICT_NONE)
		d->rule = "no rules of exec or files";
	shell_judgement_free(j);
}

static void decide_test(
	const struct policy *p, const struct stack *s, const struct test *t, struct decision *d)
{
	if (t->shell)
		decide_shell_test(p, s, t, d);
	else
		stack_decide_action(p, s, t->action, d);
}

size_t policy_run_tests(const struct policy *p, size_t *run, policy_test_report *report, void *ctx)
{
	size_t i, k, failed = 0;

	*run = 0;
	for (i = 0; i < p->layers; i++) {
		const struct layer *l = p->layer[i];
		struct stack s;

		test_stack(p, l, &s);
		for (k = 0; k < l->tests; k++) {
			const struct test *t = &l->test[k];
			struct decision d;
			int ok;

			if (t->atlas) {
				struct never found;

				ok = !never_test(p, &s, t, &found, &d) && !found.broken;
				free(found.example);
			} else {
				decide_test(p, &s, t, &d);
				ok = d.verdict == t->expect;
			}
			failed += !ok;
			++*run;
			if (report)
				report(ctx, t->text, l->file, t->line, ok, &d);
		}
	}
	return failed;
}

static int test_failed(const struct layer *l, const struct test *t, const struct decision *d,
	struct policy_error *e)
{
	char text[120], rule[120], place[200] = "";

	text_show(text, sizeof text, t->text, strlen(t->text));
	text_show(rule, sizeof rule, d->rule, strlen(d->rule));
	if (d->line)
		snprintf(place, sizeof place, " in %s line %u", d->file, d->line);
	policy_fail(e, l->file, t->line, t->column,
		"a test fails (%s): the decision is %s, by %s%s. Change the rule or the test.",
		text, verdict_name(d->verdict), rule, place);
	e->failure = POLICY_TEST_FAILED;
	return -1;
}

static int promise_broken(const struct layer *l, const struct test *t, const struct never *found,
	struct policy_error *e)
{
	char text[120], example[400], rule[120];

	text_show(text, sizeof text, t->text, strlen(t->text));
	if (found->section)
		policy_fail(e, l->file, t->line, t->column,
			"a test that cannot be proved (%s): the %s rules are too many. Write fewer "
			"** and ? in them.",
			text, found->section);
	else if (!found->example)
		policy_fail(e, l->file, t->line, t->column,
			"a test that cannot be proved (%s): something of %s may be allowed that "
			"cannot be written down. Narrow the allow rules, or deny it.",
			text, found->name);
	else {
		text_show(example, sizeof example, found->example, strlen(found->example));
		text_show(rule, sizeof rule, found->by.rule, strlen(found->by.rule));
		policy_fail(e, l->file, t->line, t->column,
			"a test fails (%s): %s is allowed, by %s in %s line %u. Deny it, or narrow "
			"that rule.",
			text, example, rule, found->by.file, found->by.line);
	}
	e->failure = POLICY_TEST_FAILED;
	return -1;
}

static int layer_promise(const struct policy *p, const struct stack *s, const struct layer *l,
	const struct test *t, struct policy_error *e)
{
	struct never found;
	struct decision d;
	int failed = never_test(p, s, t, &found, &d);

	if (failed)
		policy_no_memory(e, l->file);
	else if (found.broken)
		failed = promise_broken(l, t, &found, e);
	free(found.example);
	return failed;
}

static int layer_test(const struct policy *p, const struct layer *l, struct policy_error *e)
{
	struct stack s;
	size_t k;

	test_stack(p, l, &s);
	for (k = 0; k < l->tests; k++) {
		struct decision d;

		if (l->test[k].atlas) {
			if (layer_promise(p, &s, l, &l->test[k], e))
				return -1;
			continue;
		}
		if (l->test[k].shell && !pays_for_shell(p, &s, &l->test[k]))
			return policy_fail(e, l->file, l->test[k].line, l->test[k].column,
				"tests of shell texts that are too long, all together, for so many "
				"rules. Shorten them.");
		decide_test(p, &s, &l->test[k], &d);
		if (d.verdict != l->test[k].expect)
			return test_failed(l, &l->test[k], &d, e);
	}
	return 0;
}

/* ---- the stack ---- */

static int by_origin(const void *a, const void *b)
{
	const struct layer *x = *(const struct layer *const *)a;
	const struct layer *y = *(const struct layer *const *)b;
	int d;

	if (x->origin != y->origin)
		return x->origin < y->origin ? -1 : 1;
	d = strcmp(x->file, y->file);
	return d ? d : memcmp(x->sha256, y->sha256, sizeof x->sha256);
}

struct docs { /* what policy_load was given */
	const struct policy_doc *doc;
	size_t n;
	const struct policy_facts *facts;
	unsigned char used[POLICY_LAYERS_MAX]; /* extended by a layer */
	struct policy_error *e;
};

static int add_layer(struct policy *p, struct docs *d, const struct policy_doc *doc,
	const struct layer *extender);

/* The document that an extension names; one with its digest before one without. */
static const struct policy_doc *extension_doc(
	struct docs *d, const char *name, const unsigned char sha256[32], int *matches)
{
	const struct policy_doc *named = NULL;
	unsigned char have[32];

	*matches = 0;
	for (size_t i = 0; !*matches && i < d->n; i++) {
		if (d->doc[i].origin != POLICY_EXTENDED || strcmp(d->doc[i].name, name) != 0)
			continue;
		named = &d->doc[i];
		d->used[i] = 1;
		crypto_hash_sha256(have, (const unsigned char *)named->text, named->len);
		*matches = memcmp(have, sha256, sizeof have) == 0;
	}
	return named;
}

static int wrong_digest(struct docs *d, const struct layer *from, const struct extension *x,
	const struct policy_doc *doc)
{
	char have[65], want[65], shown[120];

	policy_doc_digest(doc->text, doc->len, have);
	sodium_bin2hex(want, sizeof want, x->sha256, sizeof x->sha256);
	return policy_fail(d->e, from->file, x->line, x->column,
		"a file with another digest than it should have (%s: it is sha256:%s, not "
		"sha256:%s). Read what changed in it, then write the digest that it has.",
		text_show(shown, sizeof shown, x->path, strlen(x->path)), have, want);
}

/* How far a layer is from a document that stands for itself; EXTENSION_DEPTH_MAX also when one of those
 * in between has the name: it would extend itself. */
static unsigned extension_depth(const struct layer *from, const char *name)
{
	unsigned depth = 0;

	for (; from; from = from->extender, depth++) {
		if (strcmp(from->file, name) == 0)
			return EXTENSION_DEPTH_MAX;
	}
	return depth - 1;
}

static int add_extension(
	struct policy *p, struct docs *d, const struct layer *from, const struct extension *x)
{
	char name[2 * EXTENSION_PATH_MAX + 1024], shown[120];
	const struct policy_doc *doc;
	struct policy_doc own;
	int matches;

	text_show(shown, sizeof shown, x->path, strlen(x->path));
	if (extension_name(from->file, x->path, name, sizeof name))
		return policy_fail(d->e, from->file, x->line, x->column,
			"a path that is too long (%s). Use a shorter one.", shown);
	if (extension_depth(from, name) >= EXTENSION_DEPTH_MAX)
		return policy_fail(d->e, from->file, x->line, x->column,
			"a file that extends itself, or the fifth in a row (%s). Extend at most "
			"four deep.",
			shown);
	doc = extension_doc(d, name, x->sha256, &matches);
	if (!doc)
		return policy_fail(d->e, from->file, x->line, x->column,
			"a file that was not found (%s). Put it there, as a regular file that you "
			"can read and no link, or take the entry out.",
			shown);
	if (!matches)
		return wrong_digest(d, from, x, doc);
	own = *doc;
	own.origin = from->origin;
	return add_layer(p, d, &own, from);
}

/* A document, and what it extends. extender NULL: it stands for itself. */
static int add_layer(struct policy *p, struct docs *d, const struct policy_doc *doc,
	const struct layer *extender)
{
	struct layer *l = arena_alloc(&p->arena, sizeof *l);

	if (!l)
		return policy_no_memory(d->e, doc->name);
	if (p->layers > POLICY_LAYERS_MAX)
		return policy_fail(d->e, doc->name, 0, 0,
			"more layers than the 64 that a session can have. Merge some.");
	p->layer[p->layers++] = l; /* so that its tests are freed, whatever happens */
	if (layer_load(&p->arena, doc, d->facts, l, d->e))
		return -1;
	l->extender = extender;
	l->active &= !extender || extender->active;
	for (size_t i = 0; i < l->extensions; i++) {
		if (add_extension(p, d, l, &l->extension[i]))
			return -1;
	}
	return 0;
}

static int add_layers(struct policy *p, struct docs *d)
{
	if (add_layer(p, d, policy_builtin(), NULL))
		return -1;
	for (size_t i = 0; i < d->n; i++) {
		if (d->doc[i].origin != POLICY_EXTENDED && add_layer(p, d, &d->doc[i], NULL))
			return -1;
	}
	for (size_t i = 0; i < d->n; i++) {
		if (d->doc[i].origin == POLICY_EXTENDED && !d->used[i])
			return policy_fail(
				d->e, d->doc[i].name, 0, 0, "a document that no layer extends.");
	}
	return 0;
}

static int check_docs(const struct policy_doc *docs, size_t n, struct policy_error *e)
{
	size_t i;

	if (n > POLICY_LAYERS_MAX)
		return policy_fail(e, "", 0, 0,
			"%zu policy files are more than the 64 that a session can have. Merge "
			"some.",
			n);
	for (i = 0; i < n; i++) {
		if (!docs[i].name || (!docs[i].text && docs[i].len))
			return policy_fail(e, "", 0, 0, "a policy document without name or text.");
		if (docs[i].origin <= POLICY_BUILTIN || docs[i].origin > POLICY_EXTENDED)
			return policy_fail(e, docs[i].name, 0, 0,
				"a policy document of an unknown origin (%d).",
				(int)docs[i].origin);
	}
	return 0;
}

static int check_rules(const struct policy *p, struct policy_error *e)
{
	size_t i, n = 0;

	for (i = 0; i < p->layers; i++)
		n += p->layer[i]->rules;
	if (n > POLICY_RULES_MAX)
		return policy_fail(e, "", 0, 0,
			"%zu rules in all layers together are more than 2000. Use patterns.", n);
	return 0;
}

static int refuse_ungated(const struct policy *p, struct policy_error *e)
{
	const char *section, *file;
	unsigned line;

	if (!policy_ungated(p, &section, &file, &line))
		return 0;
	return policy_fail(e, file, line, 1,
		"`%s`: this version of agentd has no gate that enforces it, so a session that "
		"relies "
		"on it does not start. Take it out, or keep it in a layer whose `when` does not "
		"hold "
		"here.",
		section);
}

static int load_stack(struct policy *p, const struct policy_doc *docs, size_t n,
	const struct policy_facts *facts, struct policy_error *e)
{
	struct docs d = {docs, n, facts, {0}, e};
	size_t i;

	p->layer = arena_array(&p->arena, POLICY_LAYERS_MAX + 1, sizeof(struct layer *));
	p->compiled = arena_array(&p->arena, ACTION_KINDS, sizeof *p->compiled);
	p->work = arena_alloc(&p->arena, sizeof *p->work);
	if (!p->layer || !p->compiled || !p->work)
		return policy_no_memory(e, "");
	*p->work = facts->session ? LOAD_WORK / 5 : LOAD_WORK;
	if (add_layers(p, &d))
		return -1;
	p->stack.date = facts->any ? 0 : facts->date ? facts->date : STACK_NO_DATE;
	qsort(p->layer, p->layers, sizeof(struct layer *), by_origin);
	for (i = 0; i < p->layers; i++) {
		if (p->layer[i]->active)
			stack_add(&p->stack, p->layer[i]);
	}
	p->unmatched = policy_unmatched(p);
	if (facts->session && refuse_ungated(p, e))
		return -1;
	if (check_rules(p, e) || compile_policy(p, e))
		return -1;
	for (i = 0; i < p->layers; i++) {
		if (layer_test(p, p->layer[i], e))
			return -1;
	}
	if (compose_sets(p, e))
		return -1;
	stack_digest(p, facts);
	*p->work = UINT64_MAX;
	return 0;
}

struct policy *policy_load(const struct policy_doc *docs, size_t n,
	const struct policy_facts *facts, struct policy_error *e)
{
	struct policy_error ignored;
	struct policy *p;

	if (!e)
		e = &ignored;
	*e = (struct policy_error){0};
	if (check_docs(docs, n, e))
		return NULL;
	p = calloc(1, sizeof *p);
	if (!p) {
		policy_no_memory(e, "");
		return NULL;
	}
	arena_init(&p->arena, POLICY_MEMORY_MAX);
	if (load_stack(p, docs, n, facts ? facts : &no_facts, e)) {
		policy_free(p);
		return NULL;
	}
	return p;
}

void policy_free(struct policy *p)
{
	size_t i, k;

	if (!p)
		return;
	for (i = 0; i < p->layers; i++) {
		for (k = 0; k < p->layer[i]->tests; k++)
			action_free(p->layer[i]->test[k].action);
	}
	for (i = 0; p->compiled && i < ACTION_KINDS; i++)
		compiled_free(&p->compiled[i]);
	arena_free(&p->arena);
	free(p);
}

const char *policy_digest(const struct policy *p)
{
	return p->digest;
}

size_t policy_layers(const struct policy *p)
{
	return p->layers;
}

int policy_layer_get(const struct policy *p, size_t i, struct policy_layer *out)
{
	const struct layer *l;

	if (i >= p->layers)
		return -1;
	l = p->layer[i];
	*out = (struct policy_layer){.origin = l->origin,
		.file = l->file,
		.title = l->title,
		.active = l->active,
		.extended_by = l->extender ? l->extender->file : NULL,
		.ceiling = l->ceiling,
		.allow = l->of[VERDICT_ALLOW],
		.ask = l->of[VERDICT_ASK],
		.deny = l->of[VERDICT_DENY],
		.tests = l->tests};
	sodium_bin2hex(out->sha256, sizeof out->sha256, l->sha256, sizeof l->sha256);
	return 0;
}
