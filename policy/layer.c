/* One document into one layer: every key but rules and tests (takerules.c). */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "policy/take.h"
#include "policy/text.h"

#define ENV_VALUE_MAX 4096u

int take_version(struct loader *l, const struct yaml_value *v)
{
	uint64_t n;

	if (take_number(l, v, 1, UINT32_MAX, &n))
		return -1;
	if (n > 1)
		return reject_value(l, v,
			"a language version that is newer than this agentd, which knows 1. Update "
			"agentd, or write `policy: 1` and only what version 1 has");
	return 0;
}

int take_name(struct loader *l, const struct yaml_value *v)
{
	if (v->type != YAML_TEXT || v->len == 0 || v->len > l->row->value.most ||
		strchr(v->text, '\n'))
		return reject_value(l, v, "no name. Write one line of at most 128 bytes");
	l->layer->title = arena_copy(l->arena, v->text, v->len);
	return l->layer->title ? 0 : policy_no_memory(l->e, l->doc->name);
}

int take_unmatched(struct loader *l, const struct yaml_value *v)
{
	int i;

	if (v->type == YAML_TEXT && strcmp(v->text, "allow") == 0)
		return reject_value(l, v,
			"`allow` for what no rule matches, which the language does not have. Write "
			"ask or deny, and allow rules for what shall be allowed");
	i = take_row_word(l, v);
	if (i < 0)
		return -1;
	l->layer->unmatched = i == 0 ? VERDICT_ASK : VERDICT_DENY;
	l->layer->unmatched_line = v->line;
	return 0;
}

int take_ceiling(struct loader *l, const struct yaml_value *v)
{
	return take_bool(l, v, &l->layer->ceiling);
}

/* ---- when ---- */

static int fact_matches(const struct pattern *p, const char *fact)
{
	size_t n = strlen(fact);
	struct action_index index = text_index(fact, n);

	return utf8_ok(fact, n) && pattern_match(p, fact, n, &index, 0, 0);
}

/* Appends "agent: a, b; " to what the layer keeps of its `when`, for comparing. */
static int note_when(struct loader *l, const struct yaml_value *v)
{
	const struct yaml_value *item = v->type == YAML_LIST ? v->first : v;
	size_t n = strlen(l->layer->when) + strlen(v->key->text) + 4, i = 0;
	const struct yaml_value *at;
	char *text;

	for (at = item; at; at = v->type == YAML_LIST ? at->next : NULL)
		n += at->len + 2;
	text = arena_alloc(l->arena, n + 1);
	if (!text)
		return policy_no_memory(l->e, l->doc->name);
	i = (size_t)snprintf(text, n + 1, "%s%s: ", l->layer->when, v->key->text);
	for (at = item; at; at = v->type == YAML_LIST ? at->next : NULL)
		i += (size_t)snprintf(text + i, n + 1 - i, at == item ? "%s" : ", %s", at->text);
	snprintf(text + i, n + 1 - i, "; ");
	l->layer->when = text;
	return 0;
}

/* A list of patterns, one of which must match the fact. A fact that the session does not have is
 * matched by none. */
static int take_fact(struct loader *l, const struct yaml_value *v, const char *fact)
{
	const struct yaml_value *item;
	int holds = 0;

	if (take_list(l, v))
		return -1;
	if (v->count == 0)
		return reject_value(l, v, "an empty list, which nothing matches. Delete the key");
	for (item = v->first; item; item = item->next) {
		struct pattern_fault f;
		struct pattern p;

		if (pattern_compile(l->arena, PATTERN_NAME, item->text, item->len, &p, &f))
			return reject_fault(l, item, &f);
		if (fact && fact_matches(&p, fact))
			holds = 1;
	}
	l->layer->active &= holds || l->facts->any;
	return note_when(l, v);
}

int take_when_agent(struct loader *l, const struct yaml_value *v)
{
	static const char *const kinds[] = {
		"claude-code", "codex", "gemini-cli", "opencode", "openclaw", "command"};
	const struct yaml_value *item;
	size_t i;

	if (take_list(l, v))
		return -1;
	for (item = v->first; item; item = item->next) {
		const char *near = text_nearest(item->text, item->len, kinds, 6);

		for (i = 0; i < 6; i++) {
			if (strcmp(item->text, kinds[i]) == 0)
				near = NULL;
		}
		if (near && !strpbrk(item->text, "*?[{"))
			return reject_value(l, item,
				"almost the name of an agent, so that the layer would never apply. "
				"Did you mean `%s`?",
				near);
	}
	return take_fact(l, v, l->facts->agent);
}

int take_when_user(struct loader *l, const struct yaml_value *v)
{
	return take_fact(l, v, l->facts->user);
}

int take_when_host(struct loader *l, const struct yaml_value *v)
{
	return take_fact(l, v, l->facts->host);
}

int take_when_branch(struct loader *l, const struct yaml_value *v)
{
	return take_fact(l, v, l->facts->branch);
}

int take_when_ci(struct loader *l, const struct yaml_value *v)
{
	int want;

	if (take_bool(l, v, &want))
		return -1;
	l->layer->active &= l->facts->ci == want || l->facts->any;
	return note_when(l, v);
}

/* ---- workspace ---- */

int take_root(struct loader *l, const struct yaml_value *v)
{
	if (v->type == YAML_TEXT && strcmp(v->text, ".") == 0)
		return 0;
	return reject_value(l, v,
		"a root that is not supported by this version of agentd. Write `.`, and choose "
		"another directory with `agentctl run --workspace DIR`");
}

int take_mode(struct loader *l, const struct yaml_value *v)
{
	if (v->type == YAML_TEXT && strcmp(v->text, "overlay") == 0)
		return reject_value(l, v,
			"a mode that is not supported by this version of agentd. Write `direct`: "
			"changes go straight into the workspace");
	return take_row_word(l, v) < 0 ? -1 : 0;
}

int take_identity(struct loader *l, const struct yaml_value *v)
{
	int i = take_row_word(l, v);

	if (i < 0)
		return -1;
	l->layer->identity = i == 0 ? POLICY_OWN_UID : POLICY_SAME_UID;
	return 0;
}

static int mount_mode(const struct yaml_value *v, enum policy_mount_mode *mode, size_t *at)
{
	static const char *const words[] = {"", "rw ", "ro ", "hidden "};
	size_t i;

	for (i = 1; i < 4; i++) {
		*at = strlen(words[i]);
		*mode = (enum policy_mount_mode)i;
		if (strncmp(v->text, words[i], *at) == 0)
			return 0;
	}
	return -1;
}

static int mount_path_ok(struct loader *l, const struct yaml_value *v, size_t at, const char *path,
	enum policy_mount_mode mode)
{
	size_t n = strlen(path);
	struct pattern_fault f;
	const char *wild = strpbrk(path, "*?[{");

	if (wild) {
		f = (struct pattern_fault){at + (size_t)(wild - path), 1,
			"a pattern, where one path must stand: a mount is made once. Name the "
			"path"};
		return reject_fault(l, v, &f);
	}
	if (!path_is_canonical(path, n, &f)) {
		f.at += at;
		return reject_fault(l, v, &f);
	}
	if (strcmp(path, "/") == 0)
		return reject_value(
			l, v, "the whole machine. Name the directories that the agent needs");
	if (strcmp(path, "ws:/") == 0 && mode == POLICY_MOUNT_HIDDEN)
		return reject_value(
			l, v, "a hidden workspace, which no agent can start in. Delete it");
	if (n > ACTION_PLACE_MAX)
		return reject_value(l, v, "a path of more than 1024 bytes. Use a shorter one");
	return 0;
}

static int take_mount(struct loader *l, const struct yaml_value *v)
{
	struct layer *y = l->layer;
	enum policy_mount_mode mode;
	const char *path;
	size_t i, at;

	if (mount_mode(v, &mode, &at))
		return reject_value(l, v,
			"a mount that does not say how. Write `rw PATH`, `ro PATH` or `hidden "
			"PATH`");
	path = v->text + at;
	if (mount_path_ok(l, v, at, path, mode))
		return -1;
	for (i = 0; i < y->mounts; i++) {
		if (strcmp(y->mount[i].path, path) == 0)
			return reject_value(l, v,
				"a path that was given in line %u already. Keep one of them",
				y->mount[i].line);
	}
	y->mount[y->mounts].mode = mode;
	y->mount[y->mounts].path = arena_copy(l->arena, path, strlen(path));
	y->mount[y->mounts].line = v->line;
	if (!y->mount[y->mounts].path)
		return policy_no_memory(l->e, l->doc->name);
	y->mounts++;
	return 0;
}

int take_mounts(struct loader *l, const struct yaml_value *v)
{
	const struct yaml_value *item;

	if (take_list(l, v))
		return -1;
	if (v->count > POLICY_MOUNTS_MAX)
		return reject_value(l, v, "more than 48 mounts. Mount their parents");
	l->layer->mount = arena_array(l->arena, v->count, sizeof *l->layer->mount);
	if (!l->layer->mount)
		return policy_no_memory(l->e, l->doc->name);
	for (item = v->first; item; item = item->next) {
		if (take_mount(l, item))
			return -1;
	}
	return 0;
}

/* ---- limits ---- */

typedef int limit_value(struct loader *l, const struct yaml_value *v, uint64_t *out);

static int value_processes(struct loader *l, const struct yaml_value *v, uint64_t *out)
{
	return take_row_number(l, v, out);
}

static int value_memory(struct loader *l, const struct yaml_value *v, uint64_t *out)
{
	return take_row_size(l, v, out);
}

static int value_cpu(struct loader *l, const struct yaml_value *v, uint64_t *out)
{
	struct yaml_value number = *v;
	char digits[24];

	if (v->type == YAML_TEXT && v->plain && v->len > 1 && v->len < sizeof digits &&
		v->text[v->len - 1] == 'm') {
		memcpy(digits, v->text, v->len - 1);
		digits[v->len - 1] = 0;
		number.text = digits;
		number.len = v->len - 1;
		return take_number(l, &number, 10, 1024000, out);
	}
	if (take_row_number(l, v, out))
		return -1;
	*out *= 1000;
	return 0;
}

static int value_open_files(struct loader *l, const struct yaml_value *v, uint64_t *out)
{
	return take_row_number(l, v, out);
}

static int value_wall(struct loader *l, const struct yaml_value *v, uint64_t *out)
{
	return take_row_duration(l, v, out);
}

static limit_value *const limit_values[POLICY_LIMITS] = {
	value_processes, value_memory, value_cpu, value_open_files, value_wall};

/* `memory: 8GiB`, or `memory: {max: 8GiB, best-effort: true}`. */
static int take_limit(struct loader *l, const struct yaml_value *v, enum policy_limit_kind k)
{
	struct policy_limit *out = &l->layer->limit[k];

	out->file = l->layer->file;
	out->line = v->line;
	if (v->type != YAML_MAPPING)
		return limit_values[k](l, v, &out->value);
	l->limit = out;
	l->limit_row = l->row;
	if (keys_take(l, "limit", v))
		return -1;
	if (!out->value)
		return reject_value(
			l, v, "a limit without its `max`. Write {max: …, best-effort: true}");
	return 0;
}

int take_limit_max(struct loader *l, const struct yaml_value *v)
{
	l->row = l->limit_row;
	return limit_values[l->limit - l->layer->limit](l, v, &l->limit->value);
}

int take_limit_best_effort(struct loader *l, const struct yaml_value *v)
{
	return take_bool(l, v, &l->limit->best_effort);
}

int take_processes(struct loader *l, const struct yaml_value *v)
{
	return take_limit(l, v, POLICY_LIMIT_PROCESSES);
}

int take_memory(struct loader *l, const struct yaml_value *v)
{
	return take_limit(l, v, POLICY_LIMIT_MEMORY);
}

int take_cpu(struct loader *l, const struct yaml_value *v)
{
	return take_limit(l, v, POLICY_LIMIT_CPU);
}

int take_open_files(struct loader *l, const struct yaml_value *v)
{
	return take_limit(l, v, POLICY_LIMIT_OPEN_FILES);
}

int take_wall(struct loader *l, const struct yaml_value *v)
{
	return take_limit(l, v, POLICY_LIMIT_WALL);
}

/* ---- env ---- */

static int env_name_length(const char *s)
{
	int i = 0;

	if (!((s[0] >= 'A' && s[0] <= 'Z') || (s[0] >= 'a' && s[0] <= 'z') || s[0] == '_'))
		return 0;
	while ((s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= 'a' && s[i] <= 'z') || s[i] == '_' ||
		(s[i] >= '0' && s[i] <= '9'))
		i++;
	return i;
}

/* Families of variables some of which make programs run code: only passed one by one. */
static int covers_code_loading(const char *prefix, size_t n)
{
	static const char *const families[] = {"LD_", "DYLD_", "GIT_", "NODE_", "BASH_", "PYTHON",
		"PERL", "RUBY", "JAVA_", "JDK_", "NPM_", "npm_", "BUN_", "DENO_", "AGENTD_",
		"GLIBC_", "MALLOC_", "GCONV_", "SSH_", "AWS_", "PIP_", "CARGO_", "RUST"};
	size_t i;

	for (i = 0; i < sizeof families / sizeof *families; i++) {
		size_t m = strlen(families[i]);

		if (memcmp(prefix, families[i], n < m ? n : m) == 0)
			return 1;
	}
	return 0;
}

static int take_pass_item(struct loader *l, const struct yaml_value *v)
{
	struct env_pass *p = &l->layer->pass[l->layer->passes];
	size_t n = (size_t)env_name_length(v->text);

	p->star = n > 0 && strcmp(v->text + n, "*") == 0;
	if (v->text[0] == '*' && v->len == 1)
		return reject_value(l, v,
			"the whole environment, which always holds secrets. List the variables "
			"that "
			"the agent needs");
	if (n == 0 || (!p->star && n != v->len))
		return reject_value(l, v,
			"no variable's name. Write letters, digits and _, with one * at the end "
			"for "
			"all that start like this");
	if (p->star && covers_code_loading(v->text, n))
		return reject_value(l, v,
			"a family of variables that carry secrets or make programs load code. List "
			"the ones that the agent needs one by one");
	p->name = arena_copy(l->arena, v->text, n);
	p->len = n;
	if (!p->name)
		return policy_no_memory(l->e, l->doc->name);
	l->layer->passes++;
	return 0;
}

int take_env_pass(struct loader *l, const struct yaml_value *v)
{
	const struct yaml_value *item;

	if (take_list(l, v))
		return -1;
	if (v->count > l->row->value.most)
		return reject_value(l, v, "more than 256 names. List fewer");
	l->layer->states_pass = 1;
	l->layer->pass = arena_array(l->arena, v->count, sizeof *l->layer->pass);
	if (!l->layer->pass)
		return policy_no_memory(l->e, l->doc->name);
	for (item = v->first; item; item = item->next) {
		if (take_pass_item(l, item))
			return -1;
	}
	return 0;
}

static int take_set_item(struct loader *l, const struct yaml_value *v)
{
	struct env_set *s = &l->layer->set[l->layer->sets];

	if (v->key->len != (size_t)env_name_length(v->key->text))
		return reject_value(l, v->key, "no variable's name. Write letters, digits and _");
	if (v->type != YAML_TEXT)
		return reject_value(l, v, "no text. Write NAME: \"value\"");
	if (v->len > ENV_VALUE_MAX)
		return reject_value(l, v, "more than 4096 bytes. Write a shorter value");
	s->name = arena_copy(l->arena, v->key->text, v->key->len);
	s->value = arena_copy(l->arena, v->text, v->len);
	s->file = l->layer->file;
	s->line = v->key->line;
	s->column = v->key->column;
	if (!s->name || !s->value)
		return policy_no_memory(l->e, l->doc->name);
	l->layer->sets++;
	return 0;
}

int take_env_set(struct loader *l, const struct yaml_value *v)
{
	const struct yaml_value *item;

	if (v->type != YAML_MAPPING)
		return reject_value(l, v, "no mapping. Write {NAME: \"value\"}");
	if (v->count > l->row->value.most)
		return reject_value(l, v, "more than 256 variables. Set fewer");
	l->layer->set = arena_array(l->arena, v->count, sizeof *l->layer->set);
	if (!l->layer->set)
		return policy_no_memory(l->e, l->doc->name);
	for (item = v->first; item; item = item->next) {
		if (take_set_item(l, item))
			return -1;
	}
	return 0;
}

/* ---- approvals, session, audit ---- */

int take_who(struct loader *l, const struct yaml_value *v)
{
	const struct yaml_value *item;

	if (take_list(l, v))
		return -1;
	if (v->count == 0)
		return reject_value(l, v,
			"nobody, so that every question would end in a denial. Write session-owner "
			"or admin, or use deny rules");
	for (item = v->first; item; item = item->next) {
		int i;

		if (strncmp(item->text, "team:", 5) == 0)
			return reject_value(l, item,
				"a team, which is not supported by this version of agentd. Write "
				"session-owner or admin (root and members of group agentd)");
		i = take_row_word(l, item);
		if (i < 0)
			return -1;
		l->layer->who |= i == 0 ? POLICY_WHO_OWNER : POLICY_WHO_ADMIN;
	}
	return 0;
}

int take_timeout(struct loader *l, const struct yaml_value *v)
{
	uint64_t s;

	if (take_row_duration(l, v, &s))
		return -1;
	l->layer->timeout_s = (uint32_t)s;
	return 0;
}

int take_on_timeout(struct loader *l, const struct yaml_value *v)
{
	if (v->type == YAML_TEXT && strcmp(v->text, "freeze") == 0)
		return reject_value(l, v,
			"an end of waiting that is not supported by this version of agentd. Write "
			"deny");
	if (v->type == YAML_TEXT && strcmp(v->text, "allow") == 0)
		return reject_value(l, v,
			"`allow` when nobody answers, which the language does not have. Write "
			"deny");
	return take_row_word(l, v) < 0 ? -1 : 0;
}

int take_longest(struct loader *l, const struct yaml_value *v)
{
	uint64_t s;

	l->layer->states_remember = 1;
	if (v->type == YAML_TEXT && strcmp(v->text, "once") == 0) {
		l->layer->remember_s = POLICY_REMEMBER_ONCE;
		return 0;
	}
	if (v->type == YAML_TEXT && strcmp(v->text, "session") == 0) {
		l->layer->remember_s = POLICY_REMEMBER_SESSION;
		return 0;
	}
	if (v->type != YAML_TEXT || v->len == 0 || v->text[0] < '0' || v->text[0] > '9')
		return reject_value(l, v, "no scope. Write once, session or a duration like 30m");
	if (take_row_duration(l, v, &s))
		return -1;
	l->layer->remember_s = (uint32_t)s;
	return 0;
}

int take_on_lost(struct loader *l, const struct yaml_value *v)
{
	int i = take_row_word(l, v);

	if (i < 0)
		return -1;
	l->layer->on_lost_kill = i == 1;
	return 0;
}

int take_on_lost_after(struct loader *l, const struct yaml_value *v)
{
	uint64_t s;

	if (take_row_duration(l, v, &s))
		return -1;
	l->layer->on_lost_after_s = (uint32_t)s;
	return 0;
}

int take_durability(struct loader *l, const struct yaml_value *v)
{
	if (v->type == YAML_TEXT && strcmp(v->text, "relaxed") == 0)
		return reject_value(l, v,
			"a class that is not supported by this version of agentd. Write strict: a "
			"record is on disk before its action goes on");
	return take_row_word(l, v) < 0 ? -1 : 0;
}

/* ---- the document ---- */

/* A document of another version must be told so before its unknown keys are. */
static int check_version(struct loader *l, const struct yaml_value *root)
{
	const struct yaml_value *v;

	if (root->type != YAML_MAPPING)
		return reject_value(l, root, "no mapping. Start the file with `policy: 1`");
	v = yaml_get(root, "policy");
	if (!v)
		return reject_value(l, root->first ? root->first->key : root,
			"a document that does not say which version of the language it is written "
			"in. Put `policy: 1` in its first line");
	return take_version(l, v);
}

int layer_load(struct arena *a, const struct policy_doc *doc, const struct policy_facts *facts,
	struct layer *y, struct policy_error *e)
{
	static const char none[] = "";
	struct loader l = {.arena = a, .doc = doc, .facts = facts, .layer = y, .e = e};
	struct yaml_value *root;
	struct arena tree;
	int failed;

	*y = (struct layer){.origin = doc->origin, .title = none, .when = none, .active = 1};
	y->file = arena_copy(a, doc->name, strlen(doc->name));
	if (!y->file)
		return policy_no_memory(e, doc->name);
	crypto_hash_sha256(y->sha256, (const unsigned char *)doc->text, doc->len);
	arena_init(&tree, 64u << 20);
	root = yaml_parse(&tree, doc->name, doc->text, doc->len, e);
	failed = !root || check_version(&l, root) || keys_take(&l, "", root);
	arena_free(&tree);
	return failed ? -1 : 0;
}
