/* Every kind's three parsers: rules, actions as people write them, and actions as gates bring them.
 * Whatever word comes out is one of the kind's canonical words, and what is shown of it reads back as
 * the same word.
 * Input: a byte that chooses the kind, a byte that chooses the parser, then the text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/automata/dfa.h"
#include "policy/internal.h"
#include "policy/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define KINDS_MAX 8u

static const struct shape no_shape = {0, NULL};

struct canonical {
	struct alphabet alphabet;
	struct dfa *all, *primary;
};

/* Built once, kept for the life of the process. */
static const struct canonical *canonical_of(const struct kind *k, size_t i)
{
	static struct canonical known[KINDS_MAX];
	static struct arena arena;
	struct canonical *c = &known[i];
	const struct re *all, *primary;

	if (c->all)
		return c;
	if (!arena.max)
		arena_init(&arena, 64u << 20);
	all = k->canonical(&arena, 0, &no_shape);
	primary = k->canonical(&arena, 1, &no_shape);
	alphabet_init(&c->alphabet);
	alphabet_add(&c->alphabet, all);
	alphabet_add(&c->alphabet, primary);
	if (dfa_build(&c->alphabet, all, 1, &c->all) ||
		dfa_build(&c->alphabet, primary, 1, &c->primary))
		abort();
	return c;
}

static void check_round_trip(const struct kind *k, const struct word *w)
{
	static char shown[1 << 17];
	struct pattern_fault f;
	struct arena a;
	struct word back;

	if (k->show(w, &no_shape, shown, sizeof shown))
		return; /* longer than that, or with quotes of both kinds */
	arena_init(&a, 1u << 22);
	if (k->read(&a, shown, strlen(shown), &no_shape, &back, &f) || back.n != w->n ||
		memcmp(back.p, w->p, w->n) != 0)
		abort();
	arena_free(&a);
}

static void check_word(
	const struct kind *k, const struct canonical *c, const struct word *w, int first)
{
	if (!dfa_run(first ? c->primary : c->all, w->p, w->n))
		abort();
	if (first)
		check_round_trip(k, w);
}

static void check_fault(const struct pattern_fault *f, size_t n)
{
	if (f->text[0] && (f->at > n || !memchr(f->text, 0, sizeof f->text)))
		abort();
}

static void try_rule(const struct kind *k, const char *text, size_t n)
{
	struct pattern_fault f = {0};
	const void *rule;
	struct arena a;

	if (!utf8_ok(text, n)) /* the loader lets nothing else through */
		return;
	arena_init(&a, 16u << 20);
	if (k->parse(&a, text, n, &rule, &f))
		check_fault(&f, n);
	else
		(void)k->language(&a, rule, UPPER, &no_shape);
	arena_free(&a);
}

static void try_make(const struct kind *k, const struct canonical *c, const char *text, size_t n)
{
	struct pattern_fault f = {0};
	struct action *made = NULL;

	if (k->make(text, n, &made, &f))
		check_fault(&f, n);
	else if (!k->run(c->primary, &no_shape, made))
		abort();
	action_free(made);
}

static void try_read(const struct kind *k, const struct canonical *c, const char *text, size_t n)
{
	struct pattern_fault f = {0};
	struct arena a;
	struct word w;

	if (k->make) {
		if (utf8_ok(text, n))
			try_make(k, c, text, n);
		return;
	}
	arena_init(&a, 1u << 22);
	if (k->read(&a, text, n, &no_shape, &w, &f) == 0)
		check_word(k, c, &w, 1);
	else
		check_fault(&f, n);
	arena_free(&a);
}

/* A byte of flags, then METHOD HOST TARGET with blanks between. */
static void try_request(struct action **a, const char *text, size_t n)
{
	struct http_request r = {.tls = text[0] & 1, .port = (uint16_t)((text[0] & 0x7e) * 9 + 1)};
	const char *host = memchr(text, ' ', n), *target;

	target = host ? memchr(host + 1, ' ', (size_t)(text + n - host) - 1) : NULL;
	if (!target)
		return;
	r.method = text + 1;
	r.method_len = host > text ? (size_t)(host - text) - 1 : 0;
	r.host = host + 1;
	r.host_len = (size_t)(target - host) - 1;
	r.target = target + 1;
	r.target_len = (size_t)(text + n - target) - 1;
	action_from_http(a, &r, NULL);
}

static void try_action(const struct kind *k, const struct canonical *c, const char *text, size_t n)
{
	static const struct action_places places = {
		"/home/u/web", "/home/u", "/tmp", "/home/u/web"};
	struct action *a = NULL;

	if (n < 2)
		return;
	if (k->id == ACTION_FILE)
		action_from_file(&a, &places, text[0], text + 1, n - 1, NULL);
	else if (k->id == ACTION_NET)
		action_from_net(&a, text + 1, n - 1, (uint16_t)(unsigned char)text[0], NULL);
	else if (k->id == ACTION_HTTP)
		try_request(&a, text, n);
	for (size_t i = 0; a && i < a->words; i++)
		check_word(k, c, &a->word[i], i == 0);
	action_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *text = (const char *)data + 2;
	const struct canonical *c;
	const struct kind *k;
	size_t kinds = 0;
	char *copy;

	while (kind_at(kinds))
		kinds++;
	if (n < 2 || n > 4096 || kinds == 0 || kinds > KINDS_MAX)
		return 0;
	k = kind_at(data[0] % kinds);
	c = canonical_of(k, data[0] % kinds);
	copy = malloc(n - 1); /* rules and tests end in a NUL, as the loader hands them on */
	if (!copy)
		return 0;
	memcpy(copy, text, n - 2);
	copy[n - 2] = 0;
	switch (data[1] % 3) {
	case 0:
		try_rule(k, copy, n - 2);
		break;
	case 1:
		try_read(k, c, copy, n - 2);
		break;
	default:
		try_action(k, c, copy, n - 2);
	}
	free(copy);
	return 0;
}
