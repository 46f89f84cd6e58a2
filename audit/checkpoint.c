/* C2SP checkpoints; see checkpoint.h. Must never accept a second spelling of the same tree head. */
#include "audit/checkpoint.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "audit/b64.h"

int checkpoint_parse_size(const char *p, size_t n, uint64_t *out)
{
	uint64_t v = 0;

	if (n == 0 || n > 20 || (n > 1 && p[0] == '0'))
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9' || __builtin_mul_overflow(v, (uint64_t)10, &v) ||
			__builtin_add_overflow(v, (uint64_t)(p[i] - '0'), &v))
			return -1;
	}
	*out = v;
	return 0;
}

int checkpoint_parse_hash(const char *p, size_t n, struct tree_hash *out)
{
	size_t got = 0;

	if (n != 44 || b64_decode(out->b, sizeof out->b, p, n, &got) < 0 || got != sizeof out->b)
		return -1;
	return 0;
}

int checkpoint_parse(const char *text, size_t n, struct checkpoint *out, struct error *e)
{
	struct span line[3];
	const char *p = text, *end = text + n;

	for (size_t i = 0; i < 3; i++) {
		const char *lf = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;

		if (!lf)
			return error_set(e, 0, "the checkpoint ends too early");
		line[i] = (struct span){p, (size_t)(lf - p)};
		p = lf + 1;
	}
	if (!note_name_ok(line[0].p, line[0].n))
		return error_set(e, 0, "the checkpoint's origin is malformed");
	if (checkpoint_parse_size(line[1].p, line[1].n, &out->size) < 0)
		return error_set(e, 0, "the checkpoint's size is malformed");
	if (checkpoint_parse_hash(line[2].p, line[2].n, &out->root) < 0)
		return error_set(e, 0, "the checkpoint's root hash is malformed");
	while (p < end) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));

		if (!lf || lf == p)
			return error_set(e, 0, "the checkpoint has a malformed extension line");
		p = lf + 1;
	}
	memcpy(out->origin, line[0].p, line[0].n);
	out->origin[line[0].n] = 0;
	return 0;
}

size_t checkpoint_format(const struct checkpoint *c, char *buf, size_t cap)
{
	char root[64];
	int w;

	b64_encode(root, sizeof root, c->root.b, sizeof c->root.b);
	w = snprintf(buf, cap, "%s\n%llu\n%s\n", c->origin, (unsigned long long)c->size, root);
	return w < 0 || (size_t)w >= cap ? 0 : (size_t)w;
}

int checkpoint_open(const char *bytes, size_t n, const struct note_vkey *log,
	struct checkpoint *out, struct error *e)
{
	struct note *t = note_parse(bytes, n, e);
	uint64_t by;
	int r;

	if (!t)
		return -1;
	r = checkpoint_parse(note_text(t).p, note_text(t).n, out, e);
	if (r == 0)
		r = note_verify(t, &log, 1, &by, e);
	if (r == 0 && strcmp(out->origin, note_vkey_name(log)) != 0)
		r = error_set(e, 0, "the checkpoint is of another log than the key");
	note_free(t);
	return r;
}
