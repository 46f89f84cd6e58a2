/* Which bytes no expression tells apart; see dfa.h. */
#include <string.h>

#include "policy/automata/rows.h"

int alphabet_spend(const struct alphabet *a, uint64_t steps)
{
	if (!a->work)
		return 0;
	if (*a->work < steps) {
		*a->work = 0;
		return -1;
	}
	*a->work -= steps;
	return 0;
}

void alphabet_init(struct alphabet *a)
{
	memset(a, 0, sizeof *a);
	a->classes = 1;
}

static void split(struct alphabet *a, const struct byteset *s)
{
	unsigned in[256] = {0}, size[256] = {0}, renamed[256] = {0};

	if (alphabet_spend(a, 800)) /* the construction will say so */
		return;
	for (unsigned b = 0; b < 256; b++) {
		size[a->of[b]]++;
		in[a->of[b]] += (unsigned)byteset_has(s, b);
	}
	for (unsigned b = 0; b < 256; b++) {
		unsigned c = a->of[b];

		if (in[c] == 0 || in[c] == size[c] || !byteset_has(s, b))
			continue;
		if (!renamed[c])
			renamed[c] = a->classes++;
		a->of[b] = (unsigned char)renamed[c];
	}
}

static void split_byte(struct alphabet *a, unsigned char byte)
{
	struct byteset s = {{0}};

	byteset_add(&s, byte);
	split(a, &s);
}

static void add_seen(struct alphabet *a, const struct re *r, struct byteset *single)
{
	switch (r->type) {
	case RE_SET:
		split(a, &r->u.set);
		break;
	case RE_TEXT:
		for (size_t i = 0; i < r->u.text.n; i++) {
			if (byteset_has(single, r->u.text.p[i]))
				continue;
			byteset_add(single, r->u.text.p[i]);
			split_byte(a, r->u.text.p[i]);
		}
		break;
	case RE_CAT:
	case RE_ALT:
		add_seen(a, r->u.sub.a, single);
		add_seen(a, r->u.sub.b, single);
		break;
	case RE_STAR:
		add_seen(a, r->u.sub.a, single);
		break;
	case RE_EMPTY:
	case RE_NONE:
		break;
	}
}

void alphabet_add(struct alphabet *a, const struct re *r)
{
	struct byteset single = {{0}};

	add_seen(a, r, &single);
}

struct byteset alphabet_bytes(const struct alphabet *a, unsigned class)
{
	struct byteset s = {{0}};

	for (unsigned b = 0; b < 256; b++) {
		if (a->of[b] == class)
			byteset_add(&s, b);
	}
	return s;
}
