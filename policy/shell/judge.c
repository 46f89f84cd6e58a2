/* Decisions about shell text; see judge.h. Where a word may become several arguments (a pattern, a
 * parameter), the command is decided with none to three in its place, and where a cd may have failed,
 * in every directory that it may run in: the strictest reading counts. */
#include "policy/shell/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/shell/judging.h"
#include "policy/shell/parts.h"
#include "policy/shell/shell.h"

#define MEMORY_MAX  (16u << 20)
#define COPIES_MAX  3u /* arguments that a word of unknown number counts as */
#define PATH_CAP    (ACTION_PLACE_MAX + SHELL_TEXT_MAX + 4u)
#define DIRECTORIES 4u

static const char mechanism[] =
	"the agent's own hook, which says what it is about to run: intent, no wall";

struct start { /* of a program, being put together */
	struct span *argv;
	unsigned char *unknown;
	size_t argc;
};

struct judge {
	const struct policy *p;
	const struct stack *s;
	struct action_places places;
	struct parts *parts;
	int commands, files; /* the policy has rules for them */
	const char *directory[DIRECTORIES]; /* where it may be */
	size_t directories;
	struct decision unmatched, opaque;
	char path[PATH_CAP]; /* the one at hand */
	struct span text; /* where offsets lead to */
	int no_memory;
};

/* ---- verdicts without a rule ---- */

static int has_rules(const struct stack *s, enum action_kind kind)
{
	for (size_t i = 0; i < s->layers; i++) {
		for (size_t k = 0; k < s->layer[i]->rules; k++) {
			if (rule_kind(&s->layer[i]->rule[k])->id == kind)
				return 1;
		}
	}
	return 0;
}

static struct decision because(enum verdict v, const char *rule, const char *why)
{
	return (struct decision){.verdict = v,
		.rule = rule,
		.file = "",
		.origin = POLICY_BUILTIN,
		.why = why,
		.mechanism = mechanism};
}

/* What cannot be read is matched by no allow rule, so a ceiling denies it. */
static void prepare_defaults(struct judge *j)
{
	stack_unmatched(j->s, &j->unmatched);
	j->unmatched.rule = "shell text";
	j->unmatched.why = "arguments that the text does not spell out";
	j->unmatched.mechanism = mechanism;
	j->opaque = j->unmatched;
	j->opaque.why = NULL;
	for (size_t i = 0; i < j->s->layers; i++) {
		if (j->s->layer[i]->ceiling)
			j->opaque.verdict = VERDICT_DENY;
	}
}

/* ---- actions ---- */

static enum verdict verdict_of(const struct judge *j, const struct action *a)
{
	struct decision d;

	if (j->s == &j->p->stack)
		return policy_verdict(j->p, a);
	stack_decide_action(j->p, j->s, a, &d);
	return d.verdict;
}

/* Takes the action, or why there is none, into the part when it makes that stricter. */
static void consider(
	struct judge *j, struct part *part, struct action *a, int failed, const struct error *e)
{
	enum verdict v = failed ? VERDICT_DENY : verdict_of(j, a);

	if (v <= part->verdict) {
		action_free(a);
		return;
	}
	action_free(part->action);
	part->verdict = v;
	part->action = a;
	if (failed)
		part->fixed = because(VERDICT_DENY, "not canonical",
			parts_copy(j->parts, e->text, strlen(e->text)));
}

static void at_least(struct part *part, const struct decision *d)
{
	if (d->verdict <= part->verdict)
		return;
	action_free(part->action);
	part->action = NULL;
	part->verdict = d->verdict;
	part->fixed = *d;
}

/* A path as seen from a directory, absolute and canonical. buf has PATH_CAP bytes. 0, or -1: nobody
 * can say which. */
static int resolve(const char *directory, struct span path, char *buf, size_t *n)
{
	size_t at = 0;
	int unknown = 0;

	if (path.n > SHELL_TEXT_MAX || strlen(directory) > ACTION_PLACE_MAX + SHELL_TEXT_MAX)
		return -1;
	if (path.n == 0 || path.p[0] != '/')
		at = append_components(buf, 0, directory, strlen(directory), &unknown);
	if (at + path.n + 2 > PATH_CAP)
		return -1;
	*n = append_components(buf, at, path.p, path.n, &unknown);
	if (*n == 0)
		buf[(*n)++] = '/';
	buf[*n] = 0;
	return unknown ? -1 : 0;
}

/* ---- commands ---- */

static void put_argument(struct start *s, struct span text, int unknown)
{
	s->argv[s->argc] = text;
	s->unknown[s->argc++] = (unsigned char)unknown;
}

static void put_arguments(struct start *s, const struct shell_command *c, unsigned copies)
{
	static const struct span any = {"?", 1};

	s->argc = 0;
	for (const struct shell_word *w = c->argv; w; w = w->next) {
		if (w->class == SHELL_LITERAL)
			put_argument(s, w->text, 0);
		for (unsigned i = 0; w->class != SHELL_LITERAL && i < copies; i++)
			put_argument(s, any, 1);
	}
}

/* Not under /: the agent can write there. */
static int is_writable(const struct judge *j, const char *path)
{
	char name[PATH_CAP + 8], absolute[PATH_CAP + 8];

	return place_name(&j->places, path, name, sizeof name, absolute, sizeof absolute) ||
	       name[0] != '/';
}

static int find_program(struct judge *j, struct span program, struct action_exec *x)
{
	static const char usual[] = "/usr/bin/";
	size_t n = sizeof usual - 1;

	if (memchr(program.p, '/', program.n)) {
		if (resolve(j->places.cwd, program, j->path, &n))
			return -1;
		x->invoked_writable = x->file_writable = is_writable(j, j->path);
	} else {
		memcpy(j->path, usual, n);
		memcpy(j->path + n, program.p, program.n);
		n += program.n;
		j->path[n] = 0;
	}
	x->invoked = x->file = (struct span){j->path, n};
	return 0;
}

static void consider_start(struct judge *j, struct part *part, const struct shell_command *c,
	struct start *s, unsigned copies)
{
	struct action_exec x = {.argv = s->argv, .unknown = s->unknown};
	struct action *a = NULL;
	struct error e = {0};
	int failed;

	put_arguments(s, c, copies);
	x.argc = s->argc;
	failed = find_program(j, c->argv->text, &x)
			 ? error_set(&e, 0, "a program whose path depends on who looks")
			 : action_from_exec(&a, &j->places, &x, &e);
	consider(j, part, a, failed != 0, &e);
}

static int is_spelled_out(const struct shell_command *c, enum shell_class up_to)
{
	for (const struct shell_word *w = c->argv; w; w = w->next) {
		if (w->class > up_to)
			return 0;
	}
	return 1;
}

static void judge_starts(struct judge *j, struct part *part, const struct shell_command *c)
{
	size_t most = c->argc * COPIES_MAX;
	struct start s = {.argv = parts_alloc(j->parts, most * sizeof *s.argv),
		.unknown = parts_alloc(j->parts, most)};
	unsigned last = is_spelled_out(c, SHELL_LITERAL) ? 0 : COPIES_MAX;

	if (!s.argv || !s.unknown) {
		j->no_memory = 1;
		return;
	}
	for (size_t i = 0; i < j->directories; i++) {
		j->places.cwd = j->directory[i];
		for (unsigned copies = 0; copies <= last; copies++)
			consider_start(j, part, c, &s, copies);
	}
}

static void judge_command(struct judge *j, const struct shell_command *c)
{
	struct part *part;

	if (c->what != SHELL_PROGRAM)
		return;
	part = parts_add(j->parts, SHELL_PART_COMMAND, c->at, parts_command(j->parts, c));
	if (!part)
		return;
	part->inner = c->inner;
	if (!j->commands)
		return;
	if (c->argv->class == SHELL_LITERAL && c->argv->text.n)
		judge_starts(j, part, c);
	/* Where every start is looked at when it happens, rules with `...` may have it. */
	if (c->argv->class != SHELL_LITERAL || c->argv->text.n == 0 ||
		(!kind_exec.gated && !is_spelled_out(c, SHELL_EXPANDED)))
		at_least(part, &j->unmatched);
}

/* ---- redirections ---- */

/* The usual sink, and what is open already. */
static int is_free(struct span path)
{
	static const char *const open[] = {
		"/dev/null", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/tty"};

	for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
		if (strcmp(path.p, open[i]) == 0)
			return 1;
	}
	return path.n == 9 && memcmp(path.p, "/dev/fd/", 8) == 0 && path.p[8] >= '0' &&
	       path.p[8] <= '2';
}

static void judge_file(struct judge *j, const struct shell_redirect *x, struct part *part)
{
	for (size_t i = 0; i < j->directories; i++) {
		struct action *a = NULL;
		struct error e = {0};
		size_t n;
		int failed;

		failed = resolve(j->directory[i], x->target->text, j->path, &n)
				 ? error_set(&e, 0, "a path whose file depends on who looks")
				 : action_from_file(&a, &j->places, x->op, j->path, n, &e);
		consider(j, part, a, failed != 0, &e);
	}
}

static void judge_redirect(
	struct judge *j, const struct shell_command *c, const struct shell_redirect *x)
{
	const struct shell_word *to = x->target;
	struct part *part;

	if (to->class == SHELL_LITERAL && is_free(to->text))
		return;
	part = parts_add(j->parts, SHELL_PART_FILE, c->at, parts_file(j->parts, x));
	if (!part || !(j->files || j->commands))
		return;
	if (to->class == SHELL_LITERAL)
		judge_file(j, x, part);
	else
		at_least(part, &j->unmatched);
	if (to->class == SHELL_LITERAL && (strncmp(to->text.p, "/dev/tcp/", 9) == 0 ||
						  strncmp(to->text.p, "/dev/udp/", 9) == 0)) {
		struct decision d = j->opaque;

		d.why = "bash opens a connection for it";
		at_least(part, &d);
	}
}

/* ---- variables ---- */

struct variable {
	const char *name;
	enum verdict verdict;
	const char *why;
};

static const struct variable variables[] = {
#include "policy/tables/variables.def"
};

static const struct variable *variable_of(struct span name)
{
	for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
		size_t n = strlen(variables[i].name);
		int star = variables[i].name[n - 1] == '*';

		n -= (size_t)star;
		if ((star ? name.n >= n : name.n == n) && memcmp(name.p, variables[i].name, n) == 0)
			return &variables[i];
	}
	return NULL;
}

static void variable(struct judge *j, size_t at, const struct shell_assignment *a)
{
	const struct variable *v = variable_of(a->name);
	struct decision d = because(v ? v->verdict : VERDICT_ASK, "shell text",
		v ? v->why : "programs may listen to this variable");
	struct part *part;

	if (d.verdict == VERDICT_ALLOW || (a->loop && !v))
		return;
	part = parts_add(j->parts, SHELL_PART_VARIABLE, at, parts_variable(j->parts, a));
	if (part && j->commands)
		at_least(part, &d);
}

void judge_variable(struct judge *j, size_t at, struct span name, struct span value)
{
	const struct shell_assignment a = {.name = name, .value = value};

	variable(j, at, &a);
}

/* ---- working directory ---- */

static void add_opaque(struct judge *j, size_t at, const char *why)
{
	struct span from = {NULL, 0};
	struct decision d = j->opaque;
	struct part *part;

	if (at < j->text.n)
		from = (struct span){j->text.p + at, j->text.n - at};
	part = parts_add(j->parts, SHELL_PART_OPAQUE, at, parts_opaque(j->parts, why, from));
	d.why = why;
	if (part && j->commands)
		at_least(part, &d);
}

/* j->path, of n bytes. */
static void add_directory(struct judge *j, size_t at, size_t n)
{
	for (size_t i = 0; i < j->directories; i++) {
		if (strcmp(j->directory[i], j->path) == 0)
			return;
	}
	if (j->directories == DIRECTORIES)
		add_opaque(j, at, "more directories than can be looked at");
	else
		j->directory[j->directories++] = parts_copy(j->parts, j->path, n);
}

/* From here on it may be there, or where it was. */
void judge_directory(struct judge *j, size_t at, struct span to)
{
	size_t known = j->directories, n;

	for (size_t i = 0; i < known; i++) {
		if (resolve(j->directory[i], to, j->path, &n) || n > ACTION_PLACE_MAX)
			add_opaque(j, at, "a directory that depends on who looks");
		else
			add_directory(j, at, n);
	}
}

static void change_directory(struct judge *j, const struct shell_command *c)
{
	const struct span home = {j->places.home, strlen(j->places.home)};

	judge_directory(j, c->at, c->argv->next ? c->argv->next->text : home);
}

/* ---- the whole ---- */

static void judge_script(struct judge *j, const struct shell_script *script)
{
	for (const struct shell_command *c = script->first; c; c = c->next) {
		for (const struct shell_assignment *a = c->assignments; a; a = a->next)
			variable(j, c->at, a);
		judge_command(j, c);
		for (const struct shell_redirect *x = c->redirects; x; x = x->next)
			judge_redirect(j, c, x);
		if (c->what == SHELL_CD)
			change_directory(j, c);
	}
	for (size_t i = 0; i < script->marks; i++)
		add_opaque(j, script->mark[i].at, script->mark[i].why);
}

struct judge *judge_new(
	const struct policy *p, const struct stack *s, const struct action_places *places)
{
	struct judge *j = calloc(1, sizeof *j);

	if (!j)
		return NULL;
	*j = (struct judge){.p = p, .s = s, .places = *places, .parts = parts_new(MEMORY_MAX)};
	if (!j->parts) {
		free(j);
		return NULL;
	}
	j->commands = has_rules(s, ACTION_EXEC);
	j->files = has_rules(s, ACTION_FILE);
	j->directory[j->directories++] = places->cwd;
	prepare_defaults(j);
	return j;
}

struct arena *judge_arena(struct judge *j)
{
	return parts_arena(j->parts);
}

int judge_read(struct judge *j, struct span text, struct shell_script *out)
{
	j->text = text;
	return shell_read(parts_arena(j->parts), text.p, text.n, out);
}

int judge_finish(struct judge *j, const struct shell_script *script, int failed,
	struct shell_judgement **out)
{
	if (!failed)
		judge_script(j, script);
	*out = failed || j->no_memory ? NULL : parts_finish(j->parts, j->p, j->s);
	if (*out && j->commands && (*out)->decision.verdict == VERDICT_NONE)
		(*out)->decision =
			because(VERDICT_ALLOW, "shell text", "nothing in it has to be decided");
	if (!*out)
		parts_free(j->parts);
	free(j);
	return *out ? 0 : -1;
}

int stack_decide_shell(const struct policy *p, const struct stack *s,
	const struct action_places *places, const char *text, size_t n,
	struct shell_judgement **out)
{
	struct judge *j = judge_new(p, s, places);
	struct shell_script script = {0};

	*out = NULL;
	if (!j)
		return -1;
	return judge_finish(j, &script, judge_read(j, (struct span){text, n}, &script), out);
}

int policy_decide_shell(const struct policy *p, const struct action_places *places,
	const char *text, size_t n, struct shell_judgement **out)
{
	return stack_decide_shell(p, &p->stack, places, text, n, out);
}

static const char line_start[] = "shell ";

int policy_is_shell_line(const char *line)
{
	return strncmp(line, line_start, strlen(line_start)) == 0;
}

int policy_decide_shell_line(const struct policy *p, const char *line, struct shell_judgement **out)
{
	const char *text = line + strlen(line_start);
	struct span s;

	text += strspn(text, " ");
	s = shell_unquoted(text, strlen(text));
	return policy_decide_shell(p, &test_places, s.p, s.n, out);
}
