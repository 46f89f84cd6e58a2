/* From records of the log to observations, for `agentctl policy suggest`. What a call was stands in its
 * request, what became of it in its decision; an approval tells that a person was asked. Records from
 * another machine (--jsonl) are hostile, and so is what agents wrote into those of this one.
 *
 * A record that carries `act.action`, the canonical action as text, is taken by that: this is how gates
 * for other kinds than tools are read. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agentctl/tools/audit_source.h"
#include "agentctl/tools/policy_suggest.h"
#include "audit/record.h"
#include "audit/tile.h"
#include "common/cleanup.h"

#define ARGS_MAX    256u
#define PENDING_MAX 16384u /* requests that wait for their decision */
#define STARTS_MAX  20000u /* sessions whose places are known */
#define RECORDS_ALL (UINT64_C(1) << 52)
#define ID_MAX      256u /* bytes of a session's or a request's id */

struct reading {
	struct suggest_log *log;
	const struct suggest_source *from;
	struct suggest_read *out;
	json_t *start; /* session → {ws, cwd} */
	json_t *pending; /* session and request → {whole, part, prompted} */
	int overflow; /* requests were forgotten */
};

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* ---- a tool's call ---- */

struct flat {
	struct action_arg arg[ARGS_MAX];
	char *owned[2 * ARGS_MAX];
	size_t n, owned_n;
	int failed;
};

static char *own(struct flat *f, char *text)
{
	if (text)
		f->owned[f->owned_n++] = text;
	else
		f->failed = 1;
	return text;
}

static void add_leaf(struct flat *f, const json_t *v, const char *pointer)
{
	static const enum action_type types[] = {[JSON_OBJECT] = ACTION_EMPTY_OBJECT,
		[JSON_ARRAY] = ACTION_EMPTY_ARRAY,
		[JSON_STRING] = ACTION_STRING,
		[JSON_INTEGER] = ACTION_NUMBER,
		[JSON_REAL] = ACTION_NUMBER,
		[JSON_TRUE] = ACTION_TRUE,
		[JSON_FALSE] = ACTION_FALSE,
		[JSON_NULL] = ACTION_NULL};
	struct action_arg *a = &f->arg[f->n];

	if (f->n == ARGS_MAX) {
		f->failed = 1;
		return;
	}
	*a = (struct action_arg){.type = types[json_typeof(v)]};
	a->pointer = own(f, strdup(pointer));
	a->pointer_len = strlen(pointer);
	if (json_is_string(v)) {
		a->text = json_string_value(v);
		a->len = json_string_length(v);
	} else if (json_is_number(v)) {
		a->text = own(f, json_dumps(v, JSON_ENCODE_ANY));
		a->len = a->text ? strlen(a->text) : 0;
	}
	f->n++;
}

/* A reference token of RFC 6901 behind path. 0, or -1: too long. */
static int push(char path[ACTION_POINTER_MAX], size_t n, const char *key)
{
	if (n + 1 >= ACTION_POINTER_MAX)
		return -1;
	path[n++] = '/';
	for (; *key; key++) {
		if (n + 3 > ACTION_POINTER_MAX)
			return -1;
		if (*key == '~' || *key == '/') {
			path[n++] = '~';
			path[n++] = *key == '~' ? '0' : '1';
		} else {
			path[n++] = *key;
		}
	}
	path[n] = 0;
	return 0;
}

/* Records nest at most RECORD_DEPTH deep. */
static void flatten(struct flat *f, json_t *v, char path[ACTION_POINTER_MAX])
{
	size_t n = strlen(path), i;
	char index[24];
	const char *key;
	json_t *item;

	if (!json_object_size(v) && !json_array_size(v) && n)
		add_leaf(f, v, path);
	json_object_foreach(v, key, item)
	{
		f->failed |= push(path, n, key) < 0;
		if (!f->failed)
			flatten(f, item, path);
		path[n] = 0;
	}
	json_array_foreach(v, i, item)
	{
		snprintf(index, sizeof index, "%zu", i);
		f->failed |= push(path, n, index) < 0;
		if (!f->failed)
			flatten(f, item, path);
		path[n] = 0;
	}
}

/* Where the agent's paths begin. The record does not say where its home is: by the workspace's place. */
static void find_places(const struct reading *r, const char *session, char home[ACTION_PLACE_MAX],
	struct action_places *out)
{
	const json_t *start = json_object_get(r->start, session);
	const char *ws = text_of(start, "ws"), *cwd = text_of(start, "cwd"), *own = getenv("HOME");
	size_t n = own ? strlen(own) : 0;

	if (*ws != '/' || strlen(ws) >= ACTION_PLACE_MAX)
		ws = "/nonexistent/workspace";
	if (*cwd != '/' || strlen(cwd) >= ACTION_PLACE_MAX)
		cwd = ws;
	if (n > 1 && n < ACTION_PLACE_MAX && strncmp(ws, own, n) == 0 && ws[n] == '/')
		snprintf(home, ACTION_PLACE_MAX, "%s", own);
	else if (strncmp(ws, "/home/", 6) == 0)
		snprintf(home, ACTION_PLACE_MAX, "%.*s", (int)(6 + strcspn(ws + 6, "/")), ws);
	else
		snprintf(home, ACTION_PLACE_MAX, "%s",
			strncmp(ws, "/root/", 6) == 0 ? "/root" : "/nonexistent/home");
	*out = (struct action_places){.ws = ws, .home = home, .tmp = "/tmp", .cwd = cwd};
}

/* An input that the broker kept in part, or as text. */
static int is_cut(const json_t *input)
{
	return !json_is_object(input) ||
	       (json_object_size(input) == 3 && json_object_get(input, "head") &&
		       json_object_get(input, "len") && json_object_get(input, "sha256")) ||
	       (json_object_size(input) == 1 && json_object_get(input, "json")) ||
	       (json_object_size(input) == 1 && json_object_get(input, "b64"));
}

/* NULL: it is not canonical. */
static struct action *call_action(
	const struct reading *r, const char *session, const char *tool, json_t *input)
{
	char home[ACTION_PLACE_MAX], path[ACTION_POINTER_MAX] = "";
	struct flat *f = calloc(1, sizeof *f);
	struct action_places places;
	struct action *a = NULL;
	struct error e;

	if (!f)
		return NULL;
	flatten(f, input, path);
	find_places(r, session, home, &places);
	if (!f->failed && action_from_tool(&a, &places, tool, strlen(tool), f->arg, f->n, &e))
		a = NULL;
	for (size_t i = 0; i < f->owned_n; i++)
		free(f->owned[i]);
	free(f);
	return a;
}

/* "tool NAME": all that is known of a call whose input is not there. NULL: not even that. */
static char *bare_call(const char *tool)
{
	char *text;

	return *tool && strlen(tool) <= ACTION_TOOL_MAX && asprintf(&text, "tool %s", tool) >= 0
		       ? text
		       : NULL;
}

/* ---- records ---- */

static int no_memory(struct error *e)
{
	return error_set(e, ENOMEM, "cannot hold the records");
}

/* Ids are short; where they are not, nothing is kept by them. */
static int ids_ok(const json_t *o)
{
	return strlen(text_of(o, "s")) <= ID_MAX && strlen(text_of(o, "q")) <= ID_MAX;
}

static char *pending_key(const json_t *o)
{
	char *key;

	return asprintf(&key, "%s\n%s", text_of(o, "s"), text_of(o, "q")) < 0 ? NULL : key;
}

static int on_start(struct reading *r, const json_t *o, struct error *e)
{
	if (json_object_size(r->start) == STARTS_MAX || !ids_ok(o) ||
		strlen(text_of(o, "workspace")) >= ACTION_PLACE_MAX ||
		strlen(text_of(o, "cwd")) >= ACTION_PLACE_MAX)
		return 0;
	if (json_object_set_new(r->start, text_of(o, "s"),
		    json_pack(
			    "{s:s,s:s}", "ws", text_of(o, "workspace"), "cwd", text_of(o, "cwd"))))
		return no_memory(e);
	return 0;
}

/* A text that is too long to be kept is none. */
static void shorten(char **text)
{
	if (*text && strlen(*text) >= SUGGEST_TEXT_MAX) {
		free(*text);
		*text = NULL;
	}
}

/* whole: the action, when all of it can be written; part: what of it can. */
static void request_texts(struct reading *r, const json_t *o, char **whole, char **part)
{
	const json_t *act = json_object_get(o, "act");
	const char *tool = text_of(act, "tool"), *action = text_of(act, "action");
	json_t *input = json_object_get(act, "input");
	struct action *a = NULL;

	*whole = *part = NULL;
	if (*action) {
		*whole = strlen(action) < SUGGEST_TEXT_MAX ? strdup(action) : NULL;
		r->out->unusable += !*whole;
		return;
	}
	if (!is_cut(input))
		a = call_action(r, text_of(o, "s"), tool, input);
	if (a) {
		*whole = suggest_call_text(a, 1);
		*part = *whole ? NULL : suggest_call_text(a, 0);
	}
	action_free(a);
	shorten(whole);
	shorten(part);
	if (!*whole && !*part)
		*part = bare_call(tool);
	r->out->unusable += !*whole;
}

static int on_request(struct reading *r, const json_t *o, struct error *e)
{
	cleanup_free char *key = pending_key(o);
	char *whole, *part;
	json_t *entry;
	int failed;

	if (!key)
		return no_memory(e);
	if (json_object_size(r->pending) == PENDING_MAX || !ids_ok(o)) {
		r->overflow = 1;
		return 0;
	}
	request_texts(r, o, &whole, &part);
	entry = json_pack("{s:s*,s:s*}", "whole", whole, "part", part);
	free(whole);
	free(part);
	failed = json_object_set_new(r->pending, key, entry ? entry : json_object());
	return failed ? no_memory(e) : 0;
}

static int on_approval(struct reading *r, const json_t *o, struct error *e)
{
	cleanup_free char *key = pending_key(o);
	json_t *entry = key ? json_object_get(r->pending, key) : NULL;

	if (!key || (entry && json_object_set_new(entry, "prompted", json_true())))
		return no_memory(e);
	return 0;
}

static enum suggest_outcome outcome_of(const json_t *d)
{
	int allow = strcmp(text_of(d, "verdict"), "allow") == 0;
	const char *by = text_of(d, "by");

	if (strcmp(by, "policy") == 0)
		return allow ? SUGGEST_ALLOWED : SUGGEST_DENIED;
	if (strcmp(by, "approval") == 0)
		return allow ? SUGGEST_APPROVED : SUGGEST_REFUSED;
	return SUGGEST_EXPIRED;
}

/* "2026-09-21T13:00:00…" 0 when it is no time. */
static uint64_t time_of(const char *t)
{
	struct tm tm = {0};
	time_t s;

	if (!strptime(t, "%Y-%m-%dT%H:%M:%S", &tm))
		return 0;
	s = timegm(&tm);
	return s > 0 ? (uint64_t)s : 0;
}

static int is_named(const struct suggest_source *from, const char *session)
{
	for (size_t i = 0; i < from->sessions; i++) {
		if (strcmp(from->session[i], session) == 0)
			return 1;
	}
	return from->sessions == 0;
}

/* What people refused counts whenever and wherever it was. */
static int add_event(
	struct reading *r, const json_t *o, const char *action, int prompted, struct error *e)
{
	const struct suggest_event ev = {.session = text_of(o, "s"),
		.when = time_of(text_of(o, "t")),
		.action = action,
		.outcome = outcome_of(json_object_get(o, "d")),
		.prompted = prompted};

	if (ev.outcome != SUGGEST_REFUSED &&
		(ev.when < r->from->since || !is_named(r->from, ev.session)))
		return 0;
	return suggest_log_add(r->log, &ev, e);
}

static int on_decision(struct reading *r, const json_t *o, struct error *e)
{
	enum suggest_outcome outcome = outcome_of(json_object_get(o, "d"));
	cleanup_free char *key = pending_key(o);
	json_t *entry = key ? json_object_get(r->pending, key) : NULL;
	const char *whole = text_of(entry, "whole"), *part = text_of(entry, "part");
	const char *own = text_of(json_object_get(o, "act"), "action");
	int failed = 0;

	if (!key)
		return no_memory(e);
	if (*own)
		whole = own;
	if (outcome == SUGGEST_REFUSED && !*whole && !*part) {
		r->out->unknown++;
		if (r->overflow)
			return error_set(e, 0,
				"more requests wait for a decision than can be held, and one of "
				"them was refused: nothing is suggested");
	}
	if (*whole)
		failed = add_event(r, o, whole, json_object_get(entry, "prompted") != NULL, e);
	else if (*part && (outcome == SUGGEST_REFUSED || outcome == SUGGEST_DENIED))
		failed = add_event(r, o, part, 0, e);
	json_object_del(r->pending, key);
	return failed;
}

/* Sessions that were killed, or touched a canary, are taken for attacked. */
static int drop_attacked(struct reading *r, const json_t *o, const char *kind, struct error *e)
{
	const char *session = text_of(o, "s");
	const json_t *d = json_object_get(o, "d");

	if (!*session)
		return 0;
	if (strcmp(kind, "kill") == 0 ||
		(strcmp(kind, "session.end") == 0 && strcmp(text_of(o, "reason"), "killed") == 0))
		return suggest_log_drop(r->log, session, "killed", e);
	if (strstr(kind, "canary") || strstr(text_of(d, "rule"), "canary") ||
		strcmp(text_of(d, "by"), "canary") == 0)
		return suggest_log_drop(r->log, session, "canary", e);
	return 0;
}

static int take_record(struct reading *r, const json_t *o, struct error *e)
{
	static const struct {
		const char *kind;
		int (*take)(struct reading *r, const json_t *o, struct error *e);
	} kinds[] = {{"session.start", on_start}, {"request", on_request},
		{"approval", on_approval}, {"decision", on_decision}};
	const char *kind = text_of(o, "k");

	r->out->records++;
	if (drop_attacked(r, o, kind, e))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strcmp(kinds[i].kind, kind) == 0)
			return kinds[i].take(r, o, e);
	}
	return 0;
}

/* ---- where they come from ---- */

static int read_entries(struct reading *r, struct error *e)
{
	struct source s = {.dir = -1};
	struct span entry;
	int got = source_open(&s, r->from->log, 0, RECORDS_ALL, 0, e);

	while (got >= 0 && (got = source_next(&s, 0, &entry, e)) > 0) {
		json_t *o = record_parse(entry.p, entry.n, e);

		got = o ? take_record(r, o, e) : -1;
		json_decref(o);
	}
	source_close(&s);
	return got;
}

static int bad_line(const struct reading *r, unsigned long line, const char *what, struct error *e)
{
	return error_set(e, 0,
		"%.200s:%lu:1: %.200s. Give a file of records as the log has them, one a line.",
		r->from->jsonl, line, what);
}

static int read_lines(struct reading *r, FILE *f, struct error *e)
{
	static char line[ENTRY_MAX + 2];
	unsigned long n = 0;

	while (fgets(line, sizeof line, f)) {
		size_t len = strlen(line);
		struct error why = {0};
		json_t *o;
		int failed;

		n++;
		if (len == 0 || (line[len - 1] != '\n' && !feof(f)))
			return bad_line(r, n, "a NUL, or a line longer than a record can be", e);
		len -= line[len - 1] == '\n';
		if (len == 0)
			continue;
		o = record_parse(line, len, &why);
		if (!o)
			return bad_line(r, n, why.text, e);
		failed = take_record(r, o, e);
		json_decref(o);
		if (failed)
			return -1;
	}
	return ferror(f) ? error_set(e, errno, "cannot read %.300s", r->from->jsonl) : 0;
}

static int read_file(struct reading *r, struct error *e)
{
	int is_stdin = strcmp(r->from->jsonl, "-") == 0, result;
	FILE *f = is_stdin ? stdin : fopen(r->from->jsonl, "re");

	if (!f)
		return error_set(e, errno, "cannot read %.300s", r->from->jsonl);
	result = read_lines(r, f, e);
	if (!is_stdin)
		fclose(f);
	return result;
}

int suggest_read_log(struct suggest_log *l, const struct suggest_source *from,
	struct suggest_read *out, struct error *e)
{
	struct reading r = {.log = l, .from = from, .out = out};
	int result;

	*out = (struct suggest_read){0};
	r.start = json_object();
	r.pending = json_object();
	if (!r.start || !r.pending)
		result = no_memory(e);
	else
		result = from->jsonl ? read_file(&r, e) : read_entries(&r, e);
	json_decref(r.start);
	json_decref(r.pending);
	return result;
}
