/* The agents' tools that run shell text: where in a call it is, and what it comes to. */
#include <stdio.h>
#include <string.h>

#include "policy/internal.h"
#include "policy/shell/judge.h"
#include "policy/shell/judging.h"

struct shell_tool {
	const char *tool, *text, *dir, *env;
};

static const struct shell_tool tools[] = {
#include "policy/tables/shelltools.def"
};

static const struct shell_tool *tool_of(const struct action *a)
{
	if (a->kind != ACTION_TOOL)
		return NULL;
	for (size_t i = 0; i < sizeof tools / sizeof *tools; i++) {
		if (strcmp(a->tool, tools[i].tool) == 0)
			return &tools[i];
	}
	return NULL;
}

static const struct action_value *value_at(const struct action *a, const char *pointer, size_t n)
{
	for (size_t i = 0; i < a->values; i++) {
		if (a->value[i].pointer_len == n && memcmp(a->value[i].pointer, pointer, n) == 0)
			return &a->value[i];
	}
	return NULL;
}

/* The i-th item of the list at a pointer. */
static const struct action_value *item_at(const struct action *a, const char *pointer, size_t i)
{
	char item[64];

	return value_at(a, item, (size_t)snprintf(item, sizeof item, "%s/%zu", pointer, i));
}

/* A list: the arguments of a program. */
static int read_list(
	struct arena *arena, const struct action *a, const char *pointer, struct shell_script *out)
{
	struct span *argv = arena_array(arena, a->values, sizeof *argv);
	const struct action_value *v;
	size_t argc = 0;

	if (!argv)
		return -1;
	while (argc < a->values && (v = item_at(a, pointer, argc)) != NULL &&
		v->type == ACTION_STRING)
		argv[argc++] = (struct span){v->text, v->len};
	return shell_read_argv(arena, argv, argc, out);
}

static int read_call(struct judge *j, const struct action *a, const struct shell_tool *t,
	struct shell_script *out)
{
	const struct action_value *v = value_at(a, t->text, strlen(t->text));

	if (v && v->type == ACTION_STRING)
		return judge_read(j, (struct span){v->text, v->len}, out);
	if (read_list(judge_arena(j), a, t->text, out))
		return -1;
	if (!out->commands)
		shell_mark_at(out, 0, "a call without a command in it");
	return 0;
}

/* Variables of the call, as if they stood before its first command. */
static void take_variables(struct judge *j, const struct action *a, const struct shell_tool *t)
{
	size_t n = t->env ? strlen(t->env) : 0;

	for (size_t i = 0; n && i < a->values; i++) {
		const struct action_value *v = &a->value[i];

		if (v->pointer_len > n + 1 && memcmp(v->pointer, t->env, n) == 0 &&
			v->pointer[n] == '/')
			judge_variable(j, 0,
				(struct span){v->pointer + n + 1, v->pointer_len - n - 1},
				(struct span){v->text, v->len});
	}
}

/* Where the call says that it runs. */
static void take_directory(struct judge *j, const struct action *a, const struct shell_tool *t)
{
	const char *at = t->dir;

	while (at && *at) {
		size_t n = strcspn(at, " ");
		const struct action_value *v = value_at(a, at, n);

		if (v && v->type == ACTION_STRING && v->len)
			judge_directory(j, 0, (struct span){v->text, v->len});
		at += n;
		at += strspn(at, " ");
	}
}

int policy_decide_shell_tool(const struct policy *p, const struct action_places *places,
	const struct action *a, struct shell_judgement **out)
{
	const struct shell_tool *t = tool_of(a);
	struct shell_script script = {0};
	struct judge *j;
	int failed;

	*out = NULL;
	if (!t)
		return 0;
	j = judge_new(p, &p->stack, places);
	if (!j)
		return -1;
	take_directory(j, a, t);
	take_variables(j, a, t);
	failed = read_call(j, a, t, &script);
	return judge_finish(j, &script, failed, out) ? -1 : 1;
}
