/* Files: one operation on one path, after symbolic links are resolved.
 *
 *   'p' OP PATH NUL                the file's own name
 *   'a' OP LITERAL(2) PATH NUL     an alias: its name through an outer root (home:/project/x for
 *                                  ws:/x). LITERAL: bytes that only lead to the inner root
 *
 * OP is r (read), w (write, create), d (delete), m (rename, link), a (attributes).
 *
 * A plain tree over an outer root (home:/ and two stars) does not reach into a root inside of it;
 * other patterns of ask and deny rules do. */
#include <stdio.h>
#include <string.h>

#include "policy/kinds/file.h"
#include "policy/text.h"

static const char ops[] = FILE_OPS;

struct file_rule {
	struct byteset ops;
	struct pattern path;
};

static size_t skip_blanks(const char *s, size_t n, size_t i)
{
	while (i < n && s[i] == ' ')
		i++;
	return i;
}

/* `w` alone means every way to change a file: a rule that says write and forgets rename would
 * protect nothing. With a letter of its own beside it, it means just writing. */
static int read_ops(
	const char *s, size_t n, size_t *i, struct byteset *out, struct pattern_fault *f)
{
	size_t start = *i;

	*out = (struct byteset){{0}};
	for (; *i < n && s[*i] != ' '; ++*i) {
		if (!s[*i] || !strchr(ops, s[*i]) || byteset_has(out, (unsigned char)s[*i]))
			return pattern_bad(f, start, *i + 1 - start,
				"no operations. Start with letters of rwdma (read, write, delete, "
				"move, attributes) and a space, as in `rw ws:/**`");
		byteset_add(out, (unsigned char)s[*i]);
	}
	if (*i == start)
		return pattern_bad(f, start, n - start,
			"a rule without operations. Write `r PATH` or `rw PATH`");
	if (byteset_has(out, 'w') && !byteset_has(out, 'd') && !byteset_has(out, 'm') &&
		!byteset_has(out, 'a')) {
		byteset_add(out, 'd');
		byteset_add(out, 'm');
		byteset_add(out, 'a');
	}
	*i = skip_blanks(s, n, *i);
	if (*i == n)
		return pattern_bad(f, start, n - start,
			"operations without a path. Write the path behind a space");
	return 0;
}

static int file_parse(
	struct arena *a, const char *text, size_t n, const void **out, struct pattern_fault *f)
{
	struct file_rule *r = arena_alloc(a, sizeof *r);
	size_t i = 0;

	*out = r;
	if (!r)
		return pattern_no_memory(f);
	while (n && text[n - 1] == ' ')
		n--;
	if (read_ops(text, n, &i, &r->ops, f))
		return -1;
	if (pattern_compile(a, PATTERN_PATH, text + i, n - i, &r->path, f)) {
		f->at += i;
		return -1;
	}
	return 0;
}

static const struct re *file_language(
	struct arena *a, const void *rule, enum side side, const struct shape *shape)
{
	const struct file_rule *r = rule;
	const struct re *op = re_set(a, &r->ops), *own, *alias = re_none(a);

	(void)shape;
	own = re_cat(a, re_text(a, "p", 1), re_cat(a, op, pattern_re(a, &r->path)));
	for (size_t i = 0; i < pattern_alternatives(&r->path); i++) {
		uint32_t most = UINT16_MAX;

		if (side == LOWER || pattern_is_tree(&r->path, i))
			most = (uint32_t)pattern_literal(&r->path, i);
		alias = re_alt(a, alias,
			re_cat(a, re_number(a, 2, 0, most), pattern_re_of(a, &r->path, i)));
	}
	alias = re_cat(a, re_text(a, "a", 1), re_cat(a, op, alias));
	return re_cat(a, re_alt(a, own, alias), re_end(a));
}

static const struct re *file_canonical(struct arena *a, int primary, const struct shape *shape)
{
	const struct re *op, *path = re_cat(a, re_path(a), re_end(a)), *r;
	struct byteset all = {{0}};

	(void)shape;
	for (size_t i = 0; ops[i]; i++)
		byteset_add(&all, (unsigned char)ops[i]);
	op = re_set(a, &all);
	r = re_cat(a, re_text(a, "p", 1), re_cat(a, op, path));
	if (primary)
		return r;
	return re_alt(a, r,
		re_cat(a, re_text(a, "a", 1),
			re_cat(a, op, re_cat(a, re_number(a, 2, 0, UINT16_MAX), path))));
}

int file_word(struct arena *a, char op, int alias, size_t literal, const char *name, size_t n,
	struct word *out)
{
	struct word_builder b;

	if (word_begin(a, &b, n + 5))
		return -1;
	if (literal > UINT16_MAX)
		literal = UINT16_MAX;
	word_byte(&b, alias ? 'a' : 'p');
	word_byte(&b, (unsigned char)op);
	if (alias) {
		word_byte(&b, (unsigned)literal >> 8);
		word_byte(&b, literal & 0xff);
	}
	word_field(&b, name, n);
	*out = (struct word){b.p, b.n};
	return 0;
}

static int file_read(struct arena *a, const char *text, size_t n, const struct shape *shape,
	struct word *word, struct pattern_fault *f)
{
	(void)shape;
	if (n < 3 || !text[0] || !strchr(ops, text[0]) || text[1] != ' ')
		return pattern_bad(f, 0, n,
			"a file action without its operation. Write one of r w d m a, a space and "
			"the path");
	if (!path_is_canonical(text + 2, n - 2, f)) {
		f->at += 2;
		return -1;
	}
	if (!utf8_ok(text + 2, n - 2))
		return pattern_bad(f, 2, n - 2, "a path that is no UTF-8. Write one that is");
	return file_word(a, text[0], 0, 0, text + 2, n - 2, word) ? pattern_no_memory(f) : 0;
}

static int file_show(const struct word *w, const struct shape *shape, char *out, size_t cap)
{
	(void)shape;
	if (w->n < 4 || w->p[0] != 'p' || w->p[w->n - 1] != 0 || w->n >= cap)
		return -1;
	snprintf(out, cap, "%c %s", w->p[1], (const char *)w->p + 2);
	return 0;
}

const struct kind kind_file = {.id = ACTION_FILE,
	.name = "file",
	.section = "files",
	.mechanism =
		"nothing yet: this version has no gate for files rules, and runs nothing with them",
	.key = "path",
	.hint = "`r /usr/**` or `rw ws:/**`",
	.parse = file_parse,
	.language = file_language,
	.canonical = file_canonical,
	.read = file_read,
	.show = file_show};
