/* Collecting the files that documents extend; see extend.h. */
#include "policy/extend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/text.h"
#include "policy/yaml.h"

#define TREE_MAX ((size_t)64 << 20)

static const char *component_fault(const char *s, size_t n)
{
	if (n == 0)
		return "a path with an empty part. Write base.yaml or parts/base.yaml";
	if ((n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
		return "a path with a dot part, which may lead anywhere. Name a file below this "
		       "one's directory";
	return NULL;
}

const char *extension_path_fault(const char *path, size_t n)
{
	const char *fault = NULL;

	if (n == 0 || n > EXTENSION_PATH_MAX)
		return "no path, or one of more than 512 bytes. Name a file below this one's "
		       "directory";
	if (path[0] == '/' || path[0] == '~')
		return "a file that lies elsewhere. Name one below this one's directory, like "
		       "base.yaml";
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)path[i] < 0x21 || path[i] == 0x7f || path[i] == ':')
			return "a path with a blank, a colon or a control character. Rename the "
			       "file";
	}
	for (size_t i = 0; !fault && i <= n;) {
		size_t len = i < n ? strcspn(path + i, "/") : 0;

		fault = component_fault(path + i, len);
		i += len + 1;
		if (i > n)
			break;
	}
	if (!fault && (n < 6 || memcmp(path + n - 5, ".yaml", 5) != 0))
		return "a file that is no policy. Name a .yaml file";
	return fault;
}

int extension_name(const char *from, const char *path, char *out, size_t cap)
{
	const char *slash = strrchr(from, '/');
	int n = snprintf(out, cap, "%.*s%s", slash ? (int)(slash + 1 - from) : 0, from, path);

	return n < 0 || (size_t)n >= cap ? -1 : 0;
}

/* ---- collecting ---- */

struct collector {
	struct policy_docs_list *list;
	policy_read_extension *read;
	void *ctx;
	struct error *e;
};

static int has_document(const struct policy_docs_list *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->doc[i].origin == POLICY_EXTENDED && strcmp(l->doc[i].name, name) == 0)
			return 1;
	}
	return 0;
}

static int add_file(struct collector *c, const struct policy_doc *from, const char *path)
{
	struct policy_docs_list *l = c->list;
	char name[2 * EXTENSION_PATH_MAX + 1024], *text, *copy;
	size_t len = 0;

	if (extension_name(from->name, path, name, sizeof name))
		return error_set(c->e, 0, "%.300s: the name of a file that it extends is too long",
			from->name);
	if (has_document(l, name))
		return 0;
	if (l->n == l->cap)
		return error_set(c->e, 0, "more than %zu policy documents. Merge some", l->cap);
	text = c->read(c->ctx, from, path, &len);
	if (!text)
		return 0;
	copy = strdup(name);
	l->owned[l->owned_n++] = text;
	l->owned[l->owned_n++] = copy;
	if (!copy)
		return error_set(c->e, 0, "out of memory");
	l->doc[l->n++] = (struct policy_doc){
		.name = copy, .origin = POLICY_EXTENDED, .text = text, .len = len};
	return 0;
}

static int add_entries(
	struct collector *c, const struct policy_doc *d, const struct yaml_value *list)
{
	size_t n = 0;

	for (const struct yaml_value *x = list->first; x && n < EXTENSIONS_MAX; x = x->next, n++) {
		const struct yaml_value *file =
			x->type == YAML_MAPPING ? yaml_get(x, "file") : NULL;

		if (!file || file->type != YAML_TEXT || extension_path_fault(file->text, file->len))
			continue;
		if (add_file(c, d, file->text))
			return -1;
	}
	return 0;
}

/* A key that is spelled with escapes is not seen; then policy_load misses the file. */
static int may_extend(const struct policy_doc *d)
{
	static const char key[] = "extends";

	return d->len <= POLICY_DOC_MAX && memmem(d->text, d->len, key, sizeof key - 1) != NULL;
}

static int add_extended(struct collector *c, const struct policy_doc *d)
{
	const struct yaml_value *root, *list;
	struct policy_error ignored;
	struct arena tree;
	int failed = 0;

	if (!may_extend(d))
		return 0;
	arena_init(&tree, TREE_MAX);
	root = yaml_parse(&tree, d->name, d->text, d->len, &ignored);
	list = root && root->type == YAML_MAPPING ? yaml_get(root, "extends") : NULL;
	if (list && list->type == YAML_LIST)
		failed = add_entries(c, d, list);
	arena_free(&tree);
	return failed;
}

int policy_extend(
	struct policy_docs_list *l, policy_read_extension *read, void *ctx, struct error *e)
{
	struct collector c = {l, read, ctx, e};

	for (size_t i = 0; i < l->n; i++) {
		const struct policy_doc d = l->doc[i];

		if (add_extended(&c, &d))
			return -1;
	}
	return 0;
}
