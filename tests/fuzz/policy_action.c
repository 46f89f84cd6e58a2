/* Tool calls from a hostile agent: canonical or refused, the same whatever the order of arguments.
 * Input: tool NUL cwd NUL then pointer NUL type value NUL … */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/action.h"
#include "policy/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct input {
	const char *p;
	size_t n;
};

static struct input field(struct input *in)
{
	const char *nul = memchr(in->p, 0, in->n);
	struct input out = {in->p, nul ? (size_t)(nul - in->p) : in->n};
	size_t used = out.n + (nul != NULL);

	in->p += used;
	in->n -= used;
	return out;
}

static void check(const struct action *a)
{
	size_t i, k;

	for (i = 0; i < a->values; i++) {
		const struct action_value *v = &a->value[i];

		if (!utf8_ok(v->text, v->len))
			abort();
		for (k = 0; k < v->names; k++) {
			const char *s = v->name[k].text;

			if (strlen(s) != v->name[k].len || strstr(s, "//") || strstr(s, "/../") ||
				strstr(s, "/./"))
				abort();
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct action_places places = {"/home/u/web", "/home/u", "/tmp", NULL};
	struct input in = {(const char *)data, n}, tool = field(&in), cwd = field(&in);
	struct action_arg args[32], back[32];
	char digest[2][65], *dir = strndup(cwd.p, cwd.n);
	struct action *a, *b;
	size_t count = 0, i;

	places.cwd = dir;
	while (in.n && count < 32) {
		struct input pointer = field(&in), value = field(&in);

		args[count++] = (struct action_arg){pointer.p, pointer.n,
			value.n ? (enum action_type)(value.p[0] & 7) : ACTION_STRING,
			value.p + (value.n > 0), value.n ? value.n - 1 : 0};
	}
	for (i = 0; i < count; i++)
		back[i] = args[count - 1 - i];
	if (action_from_tool(&a, &places, tool.p, tool.n, args, count, NULL) == 0) {
		check(a);
		if (action_from_tool(&b, &places, tool.p, tool.n, back, count, NULL))
			abort();
		action_digest(a, digest[0]);
		action_digest(b, digest[1]);
		if (strcmp(digest[0], digest[1]) != 0)
			abort();
		action_free(a);
		action_free(b);
	}
	free(dir);
	return 0;
}
