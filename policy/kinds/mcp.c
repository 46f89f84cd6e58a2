/* Calls of tools that an MCP server offers. Which arguments matter depends on what a policy's rules
 * mention, so the word of such a call is made when a policy is asked (mcp_run).
 *
 *   SERVER NUL TOOL NUL (ITEM for each pointer of the shape, see items.h)
 *
 * Arguments are text: what a server makes of a path, nobody here knows. */
#include <string.h>

#include "policy/automata/dfa.h"
#include "policy/call.h"
#include "policy/kinds/items.h"

struct mcp_rule {
	struct pattern server, tool;
	size_t conditions;
	struct condition *condition;
};

/* ---- rules ---- */

/* The slash between server and tool, outside of braces and brackets. n: none. */
static size_t name_slash(const char *s, size_t n)
{
	size_t depth = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\\')
			i++;
		else if (s[i] == '{' || s[i] == '[')
			depth++;
		else if ((s[i] == '}' || s[i] == ']') && depth)
			depth--;
		else if (s[i] == '/' && depth == 0)
			return i;
	}
	return n;
}

static int read_part(struct arena *a, const char *s, size_t from, size_t end, struct pattern *out,
	struct pattern_fault *f)
{
	if (memchr(s + from, '/', end - from))
		return pattern_bad(f, from, end - from,
			"a name with a slash, which stands between server and tool only. Write "
			"SERVER/TOOL");
	if (pattern_compile(a, PATTERN_NAME, s + from, end - from, out, f)) {
		f->at += from;
		return -1;
	}
	return 0;
}

/* A path pattern would be text here, and never equal what a server is asked for. */
static int check_values(const char *s, const struct call *c, struct pattern_fault *f)
{
	for (size_t i = 0; i < c->args; i++) {
		const struct call_arg *arg = &c->arg[i];

		if (path_root(s + arg->value, arg->value_len) > 1)
			return pattern_bad(f, arg->value, arg->value_len,
				"a path of the session, where arguments are text: a server has "
				"files of its own. Write the text that the agent sends");
	}
	return 0;
}

static int mcp_parse(
	struct arena *a, const char *text, size_t n, const void **out, struct pattern_fault *f)
{
	struct mcp_rule *r = arena_alloc(a, sizeof *r);
	struct call c;
	size_t slash, end;

	*out = r;
	if (!r)
		return pattern_no_memory(f);
	if (n == 0)
		return pattern_bad(f, 0, 0, "an empty rule. Write SERVER/TOOL");
	if (call_split(text, n, 0, &c, f))
		return -1;
	end = c.name + c.name_len;
	slash = c.name + name_slash(text + c.name, c.name_len);
	if (slash == end)
		return pattern_bad(f, c.name, c.name_len,
			"no server and tool. Write SERVER/TOOL, %.*s/* for every tool of a server",
			(int)(c.name_len < 40 ? c.name_len : 40), text + c.name);
	if (slash == c.name || slash + 1 == end)
		return pattern_bad(f, c.name, c.name_len,
			"a slash with nothing on one side. Write SERVER/TOOL, * for any");
	if (read_part(a, text, c.name, slash, &r->server, f) ||
		read_part(a, text, slash + 1, end, &r->tool, f) || check_values(text, &c, f))
		return -1;
	r->conditions = c.args;
	return call_conditions(a, PATTERN_NAME, text, &c, &r->condition, f);
}

static void mcp_pointers(const void *rule, void (*add)(void *ctx, const char *pointer), void *ctx)
{
	const struct mcp_rule *r = rule;

	items_pointers(r->condition, r->conditions, add, ctx);
}

/* ---- languages ---- */

static const struct re *mcp_language(
	struct arena *a, const void *rule, enum side side, const struct shape *shape)
{
	const struct mcp_rule *r = rule;
	const struct re *name = re_cat(a, pattern_re(a, &r->server), re_end(a));

	name = re_cat(a, name, re_cat(a, pattern_re(a, &r->tool), re_end(a)));
	return re_cat(a, name, items_language(a, r->condition, r->conditions, side, shape));
}

static const struct re *mcp_canonical(struct arena *a, int primary, const struct shape *shape)
{
	struct byteset printable = {{0}};
	const struct re *part;

	(void)primary;
	byteset_range(&printable, 0x21, '/' - 1);
	byteset_range(&printable, '/' + 1, 0x7e);
	part = re_cat(a, re_plus(a, re_set(a, &printable)), re_end(a));
	return re_cat(a, re_cat(a, part, part), items_canonical(a, shape, 1));
}

/* ---- actions ---- */

static uint32_t feed(const struct dfa *d, uint32_t state, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		state = dfa_step(d, state, (unsigned char)s[i]);
	return state;
}

/* Whether pointer names a list or an object that v is in. */
static int is_below(const struct action_value *v, const char *pointer)
{
	size_t n = strlen(pointer);

	return v->pointer_len > n && v->pointer[n] == '/' && memcmp(v->pointer, pointer, n) == 0;
}

/* v: the first value that is not before the pointer, NULL: none. */
static uint32_t feed_item(
	const struct dfa *d, uint32_t state, const struct action_value *v, const char *pointer)
{
	if (!v)
		return dfa_step(d, state, 'a');
	if (is_below(v, pointer))
		return dfa_step(d, state, 'o');
	if (strcmp(v->pointer, pointer) != 0)
		return dfa_step(d, state, 'a');
	if (v->type == ACTION_EMPTY_OBJECT || v->type == ACTION_EMPTY_ARRAY)
		return dfa_step(d, state, 'o');
	return feed(d, dfa_step(d, state, 'v'), v->text, v->len + 1);
}

/* The action's name is SERVER/TOOL; values and pointers are in the same order. */
static uint8_t mcp_run(const struct dfa *d, const struct shape *shape, const struct action *a)
{
	const char *slash = memchr(a->tool, '/', a->tool_len);
	uint32_t state = 0;
	size_t at = 0;

	if (!slash)
		return 0;
	state = dfa_step(d, feed(d, state, a->tool, (size_t)(slash - a->tool)), 0);
	state = feed(d, state, slash + 1, strlen(slash + 1) + 1);
	for (size_t i = 0; i < shape->pointers; i++) {
		const char *pointer = shape->pointer[i];

		while (at < a->values && action_pointer_order(a->value[at].pointer, pointer) < 0)
			at++;
		state = feed_item(d, state, at < a->values ? &a->value[at] : NULL, pointer);
	}
	return d->mark[state];
}

/* {} and [] without quotes stand for any object or list. */
static enum action_type argument_type(const char *s, const struct call_arg *arg)
{
	const char *v = s + arg->value;

	if (arg->value_len != 2 || v[-1] == '"' || v[-1] == '\'')
		return ACTION_STRING;
	return memcmp(v, "{}", 2) == 0   ? ACTION_EMPTY_OBJECT
	       : memcmp(v, "[]", 2) == 0 ? ACTION_EMPTY_ARRAY
					 : ACTION_STRING;
}

static int mcp_make(const char *text, size_t n, struct action **out, struct pattern_fault *f)
{
	struct action_arg args[CONDITIONS_MAX];
	struct error e = {0};
	const char *slash;
	struct call c;

	if (call_split(text, n, 0, &c, f))
		return -1;
	slash = memchr(text + c.name, '/', c.name_len);
	if (!slash)
		return pattern_bad(
			f, c.name, c.name_len, "a call that names no server. Write SERVER/TOOL");
	for (size_t i = 0; i < c.args; i++)
		args[i] = (struct action_arg){text + c.arg[i].pointer, c.arg[i].pointer_len,
			argument_type(text, &c.arg[i]), text + c.arg[i].value, c.arg[i].value_len};
	if (action_from_mcp(out, text + c.name, (size_t)(slash - text) - c.name, slash + 1,
		    (size_t)(text + c.name + c.name_len - slash) - 1, args, c.args, &e) == 0)
		return 0;
	if (strstr(e.text, "memory"))
		return pattern_no_memory(f);
	return pattern_bad(f, c.name, c.name_len,
		"a call that is %s. Write one that a server can be asked for", e.text);
}

static int mcp_show(const struct word *w, const struct shape *shape, char *out, size_t cap)
{
	const char *p = (const char *)w->p;
	size_t server = strnlen(p, w->n), tool, n;

	if (server + 1 >= w->n)
		return -1;
	tool = strnlen(p + server + 1, w->n - server - 1);
	n = server + 1 + tool;
	if (n >= w->n || n >= cap)
		return -1;
	memcpy(out, p, n + 1);
	out[server] = '/';
	return items_show(w->p + n + 1, w->n - n - 1, shape, 1, out, cap, &n);
}

const struct kind kind_mcp = {.id = ACTION_MCP,
	.name = "mcp",
	.section = "mcp",
	.mechanism =
		"nothing yet: this version has no gate for mcp rules, and runs nothing with them",
	.key = "call",
	.hint = "`github/get_*` or `\"github/create_issue {/owner: acme}\"`",
	.parse = mcp_parse,
	.pointers = mcp_pointers,
	.language = mcp_language,
	.canonical = mcp_canonical,
	.run = mcp_run,
	.make = mcp_make,
	.show = mcp_show};
