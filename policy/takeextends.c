/* extends: further layers, by name or by file and digest. A file is only noted here: the caller of the
 * library brings it (policy/extend.h), and load.c makes it a layer. See take.h. */
#include <stdio.h>
#include <string.h>

#include "policy/extend.h"
#include "policy/take.h"
#include "policy/text.h"

int take_extend_builtin(struct loader *l, const struct yaml_value *v)
{
	l->extend.builtin = v;
	return take_row_word(l, v) < 0 ? -1 : 0;
}

int take_extend_remote(struct loader *l, const struct yaml_value *v)
{
	return reject_value(l, v->key,
		"a layer from elsewhere, which this version does not fetch. Put the file beside "
		"this one and write {file: NAME.yaml, digest: sha256:…}, or let the administrator "
		"put it into /etc/agentd/policy.d");
}

int take_extend_file(struct loader *l, const struct yaml_value *v)
{
	const char *why = v->type == YAML_TEXT ? extension_path_fault(v->text, v->len)
					       : "no path. Write a file below this one's directory";

	l->extend.file = v;
	return why ? reject_value(l, v, "%s", why) : 0;
}

int take_extend_digest(struct loader *l, const struct yaml_value *v)
{
	l->extend.digest = v;
	return take_sha256(l, v, l->extend.sha256);
}

static int note_file(struct loader *l)
{
	const struct extend_parts *p = &l->extend;
	struct extension *x = &l->layer->extension[l->layer->extensions];

	*x = (struct extension){.path = arena_copy(l->arena, p->file->text, p->file->len),
		.line = p->file->line,
		.column = p->file->column};
	memcpy(x->sha256, p->sha256, sizeof x->sha256);
	l->layer->extensions++;
	return x->path ? 0 : policy_no_memory(l->e, l->doc->name);
}

static int take_extend(struct loader *l, const struct yaml_value *v)
{
	const struct extend_parts *p = &l->extend;

	l->extend = (struct extend_parts){0};
	if (v->type != YAML_MAPPING || v->count == 0)
		return reject_value(l, v,
			"no layer. Write {builtin: coding-base@1} or {file: base.yaml, digest: "
			"sha256:…}");
	if (keys_take(l, "extend", v))
		return -1;
	if (p->builtin && (p->file || p->digest))
		return reject_value(l, v,
			"two layers in one entry, or a digest of the built-in one. Write one "
			"entry for each, and digests for files only");
	if (p->builtin)
		return 0;
	if (!p->file)
		return reject_value(l, v,
			"a digest without its file. Write {file: base.yaml, "
			"digest: sha256:…}");
	if (!p->digest)
		return reject_value(l, v,
			"a file without its digest, so that anybody could change it unseen. Write "
			"{file: base.yaml, digest: sha256:…} with what `sha256sum` prints");
	return note_file(l);
}

int take_extends(struct loader *l, const struct yaml_value *v)
{
	const struct yaml_value *item;

	if (v->type != YAML_LIST)
		return take_list(l, v);
	if (v->count > l->row->value.most)
		return reject_value(l, v, "more than 16 layers. Merge some");
	l->layer->extension = arena_array(l->arena, v->count, sizeof *l->layer->extension);
	if (!l->layer->extension)
		return policy_no_memory(l->e, l->doc->name);
	for (item = v->first; item; item = item->next) {
		if (take_extend(l, item))
			return -1;
	}
	return 0;
}
