/* Records as JSON, keys in bytewise order; see records.h. The recorder adds v i t m b. */
#include "agentd/broker/records.h"

#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#define WHOLE_MAX 4096u /* bytes of a value that is kept whole; specs/audit.md 3.2 */
#define HEAD_MAX  2048u
#define ARGS_MAX  64u /* arguments of a command line that are kept */
#define TEXT_MAX  1024u

static void put_sha256(struct text *t, const char *s, size_t n)
{
	unsigned char h[crypto_hash_sha256_BYTES];
	char hex[sizeof h * 2 + 1];

	crypto_hash_sha256(h, (const unsigned char *)s, n);
	sodium_bin2hex(hex, sizeof hex, h, sizeof h);
	text_quote_str(t, hex);
}

/* A string of at most max bytes, or its head, length and digest. */
static void put_long(struct text *t, const char *s, size_t n, size_t max)
{
	if (n <= max) {
		text_quote(t, s, n);
		return;
	}
	text_add(t, "{\"head\":");
	text_quote(t, s, text_cut(s, n, max / 2));
	text_addf(t, ",\"len\":%zu,\"sha256\":", n);
	put_sha256(t, s, n);
	text_add(t, "}");
}

static void put_str(struct text *t, const char *key, const char *value)
{
	text_addf(t, "\"%s\":", key);
	put_long(t, value, strlen(value), TEXT_MAX);
	text_put(t, ",", 1);
}

static void put_actor(struct text *t, const struct box *x, pid_t pid)
{
	text_add(t, "\"a\":{\"agent\":");
	text_quote_str(t, x->session ? x->session->agent : "?");
	text_add(t, ",\"name\":");
	text_quote_str(t, x->info.name);
	if (pid > 0)
		text_addf(t, ",\"pid\":%d", (int)pid);
	text_addf(t, ",\"uid\":%" PRIu32 "},", x->info.uid);
}

static void put_by(struct text *t, uint32_t uid, uint32_t pid)
{
	if (uid == UINT32_MAX)
		text_add(t, "\"by\":{\"agentd\":true},");
	else
		text_addf(t, "\"by\":{\"pid\":%" PRIu32 ",\"uid\":%" PRIu32 "},", pid, uid);
}

/* The last two members that most records have, and the end. */
static void put_tail(struct text *t, const struct box *x)
{
	text_add(t, "\"s\":");
	text_quote_str(t, x->log.id);
	text_put(t, "}", 1);
}

/* `"e":…,"k":"KIND","n":…,` */
static void put_kind(struct journal_append *a, struct text *t, const char *kind)
{
	journal_epoch(a);
	text_addf(t, "\"k\":\"%s\",", kind);
	journal_counter(a);
}

/* ---- decisions ---- */

void records_input(struct text *t, const json_t *input)
{
	struct text whole = {0};

	text_json(&whole, input);
	if (whole.failed)
		t->failed = 1;
	else if (whole.n > WHOLE_MAX) {
		text_add(t, "{\"head\":");
		text_quote(t, whole.p, text_cut(whole.p, whole.n, HEAD_MAX));
		text_addf(t, ",\"len\":%zu,\"sha256\":", whole.n);
		put_sha256(t, whole.p, whole.n);
		text_add(t, "}");
	} else if (json_is_recordable(input))
		text_put(t, whole.p, whole.n);
	else {
		text_add(t, "{\"json\":");
		text_quote(t, whole.p, whole.n);
		text_add(t, "}");
	}
	text_free(&whole);
}

void record_request(struct journal_append *a, const struct box *x, pid_t pid, const char *q,
	const char *tool, const char *input, size_t input_n, const char *says)
{
	struct text *t = journal_record(a);

	text_put(t, "{", 1);
	put_actor(t, x, pid);
	text_add(t, "\"act\":{\"input\":");
	text_put(t, input, input_n);
	if (says) {
		text_add(t, ",\"says\":");
		put_long(t, says, strlen(says), TEXT_MAX);
	}
	text_add(t, ",\"tool\":");
	put_long(t, tool, strlen(tool), 256);
	text_add(t, ",\"type\":\"tool\"},");
	put_kind(a, t, "request");
	put_str(t, "q", q);
	put_tail(t, x);
	journal_record_end(a);
}

void record_decision(struct journal_append *a, const struct box *x, pid_t pid, const char *q,
	const char *by, int allow, const char *rule, const char *reason)
{
	struct text *t = journal_record(a);

	text_put(t, "{", 1);
	put_actor(t, x, pid);
	text_addf(t, "\"d\":{\"by\":\"%s\",", by);
	if (x->session)
		put_str(t, "policy_sha256", policy_digest(x->session->policy));
	put_str(t, "reason", reason);
	put_str(t, "rule", rule);
	text_addf(t, "\"verdict\":\"%s\"},", allow ? "allow" : "deny");
	put_kind(a, t, "decision");
	put_str(t, "q", q);
	put_tail(t, x);
	journal_record_end(a);
}

void record_approval(struct journal_append *a, const struct box *x, const char *q,
	const struct record_approval *r)
{
	struct text *t = journal_record(a);

	text_put(t, "{", 1);
	put_actor(t, x, 0);
	put_str(t, "approval", r->id);
	put_by(t, r->uid, r->pid);
	put_str(t, "digest", r->digest);
	put_kind(a, t, "approval");
	put_str(t, "q", q);
	put_str(t, "reason", r->reason ? r->reason : "");
	text_add(t, "\"s\":");
	text_quote_str(t, x->log.id);
	text_put(t, ",", 1);
	put_str(t, "scope", r->scope);
	text_addf(t, "\"verdict\":\"%s\"}", r->allow ? "allow" : "deny");
	journal_record_end(a);
}

/* ---- sessions ---- */

void records_actor(struct box *x)
{
	struct text t = {0};

	put_actor(&t, x, 0);
	if (!t.failed && t.n < sizeof x->log.actor)
		memcpy(x->log.actor, t.p, t.n + 1);
	text_free(&t);
}

static void put_argv(struct text *t, const struct runreq_list *args)
{
	text_add(t, "\"argv\":[");
	for (size_t i = 0; i < args->n && i < ARGS_MAX; i++) {
		if (i)
			text_put(t, ",", 1);
		put_long(t, args->v[i].p, args->v[i].n, 256);
	}
	if (args->n > ARGS_MAX)
		text_addf(t, ",{\"more\":%zu}", args->n - ARGS_MAX);
	text_add(t, "],");
}

static void put_layers(struct text *t, const struct policy *p)
{
	struct policy_layer l;

	text_add(t, "\"layers\":[");
	for (size_t i = 0; policy_layer_get(p, i, &l) == 0; i++) {
		text_addf(t, "%s{\"origin\":\"%s\",\"path\":", i ? "," : "",
			policy_origin_name(l.origin));
		put_long(t, l.file, strlen(l.file), 256);
		text_addf(t, ",\"sha256\":\"%s\"}", l.sha256);
	}
	text_add(t, "],");
}

void record_start(struct journal_append *a, const struct box *x, const struct runreq *r)
{
	const struct session *s = x->session;
	struct text *t;

	if (!s)
		return; /* nothing to commit: that is refused */
	t = journal_record(a);
	text_put(t, "{", 1);
	put_actor(t, x, 0);
	put_argv(t, &r->args);
	put_str(t, "cwd", s->cwd);
	journal_epoch(a);
	text_add(t, "\"k\":\"session.start\",");
	put_layers(t, s->policy);
	journal_counter(a);
	put_str(t, "policy_sha256", policy_digest(s->policy));
	text_add(t, "\"s\":");
	text_quote_str(t, x->log.id);
	text_add(t, ",\"workspace\":");
	put_long(t, r->workspace, strlen(r->workspace), TEXT_MAX);
	text_put(t, "}", 1);
	journal_record_end(a);
}

static const char *end_word(uint32_t reason)
{
	static const char *const words[] = {[END_EXIT] = "exit",
		[END_KILLED] = "killed",
		[END_LOST] = "lost",
		[END_WALL_CLOCK] = "wall-clock",
		[END_FAILED] = "failed"};

	return reason < sizeof words / sizeof *words && words[reason] ? words[reason] : "unknown";
}

void record_end(struct journal_append *a, const struct box *x)
{
	struct text *t = journal_record(a);

	text_put(t, "{", 1);
	put_actor(t, x, 0);
	text_addf(t, "\"code\":%" PRIu32 ",", x->end.exit_code);
	text_addf(t, "\"counts\":{\"allow\":%" PRIu64 ",\"ask\":%" PRIu64 ",\"deny\":%" PRIu64 "},",
		x->allowed, x->asked, x->denied);
	put_kind(a, t, "session.end");
	put_str(t, "reason", end_word(x->end.reason));
	text_add(t, "\"s\":");
	text_quote_str(t, x->log.id);
	text_add(t, ",\"text\":");
	text_quote_str(t, x->end.text);
	text_put(t, "}", 1);
	journal_record_end(a);
}

void record_refused(struct journal_append *a, uint32_t uid, const char *agent, const char *name,
	const char *why)
{
	struct text *t = journal_record(a);

	text_add(t, "{\"a\":{");
	if (agent)
		put_str(t, "agent", agent);
	if (name)
		put_str(t, "name", name);
	text_addf(t, "\"uid\":%" PRIu32 "},\"k\":\"refused\",\"text\":", uid);
	put_long(t, why, strlen(why), TEXT_MAX);
	text_put(t, "}", 1);
	journal_record_end(a);
}

void record_trust(struct journal_append *a, const char *kind, uint32_t uid, uint32_t pid,
	const char *path, const char *sha256)
{
	struct text *t = journal_record(a);

	text_addf(t, "{\"a\":{\"uid\":%" PRIu32 "},", uid);
	put_by(t, uid, pid);
	text_addf(t, "\"k\":\"%s\",\"path\":", kind);
	put_long(t, path, strlen(path), TEXT_MAX);
	text_addf(t, ",\"sha256\":\"%s\"}", sha256);
	journal_record_end(a);
}

/* ---- events of the supervisor ---- */

static void put_event_actor(struct text *t, const struct box *x, const struct msg_event *ev)
{
	if (x) {
		put_actor(t, x, 0);
		return;
	}
	if (ev->uid == UINT32_MAX && !*ev->name)
		return;
	text_add(t, "\"a\":{\"name\":");
	text_quote_str(t, ev->name);
	if (ev->uid != UINT32_MAX)
		text_addf(t, ",\"uid\":%" PRIu32, ev->uid);
	text_add(t, "},");
}

static void put_hex(struct text *t, const char *key, const unsigned char *p, size_t n)
{
	char hex[129];

	sodium_bin2hex(hex, sizeof hex, p, n);
	text_addf(t, "\"%s\":\"%s\",", key, hex);
}

static void put_receipt(struct text *t, const struct msg_event *ev)
{
	/* Nanoseconds since 1970 do not fit in what JSON holds exactly: as text. */
	text_addf(t, "\"receipt\":{\"at_ns\":\"%" PRIu64 "\",", ev->at_ns);
	put_hex(t, "key", ev->key, sizeof ev->key);
	text_addf(t, "\"sandbox\":%" PRIu64 ",", ev->sandbox);
	put_hex(t, "sig", ev->sig, sizeof ev->sig);
	text_addf(t, "\"tasks\":%" PRIu32 ",\"took_us\":%" PRIu64 ",\"unconfirmed\":%" PRIu32 "}",
		ev->tasks, ev->took_us, ev->unconfirmed);
}

/* kill, unlatch, freeze, thaw: who did it to which sandbox, and why. */
static void put_deed(struct journal_append *a, struct text *t, const struct box *x,
	const struct msg_event *ev, const char *kind)
{
	put_event_actor(t, x, ev);
	put_by(t, ev->by_uid, ev->by_pid);
	put_kind(a, t, kind);
	if (ev->kind == EVENT_KILL) {
		put_str(t, "reason", ev->text);
		put_receipt(t, ev);
	} else {
		text_add(t, "\"reason\":");
		text_quote_str(t, ev->text);
	}
	if (x) {
		text_add(t, ",\"s\":");
		text_quote_str(t, x->log.id);
	}
	text_put(t, "}", 1);
}

static void put_role(struct text *t, const struct msg_event *ev)
{
	text_addf(t, "\"event\":\"%s\",\"k\":\"role\",\"role\":",
		ev->kind == EVENT_BOOT ? "boot" : "changed");
	text_quote_str(t, *ev->name ? ev->name : "supervisor");
	text_add(t, ",\"text\":");
	text_quote_str(t, ev->text);
	text_put(t, "}", 1);
}

int record_event(struct journal_append *a, const struct box *x, const struct msg_event *ev)
{
	static const char *const deeds[] = {[EVENT_KILL] = "kill",
		[EVENT_UNLATCH] = "unlatch",
		[EVENT_FREEZE] = "freeze",
		[EVENT_THAW] = "thaw"};
	struct text *t;

	if (ev->kind == EVENT_REFUSED) {
		record_refused(a, ev->uid, x && x->session ? x->session->agent : NULL,
			*ev->name ? ev->name : NULL, ev->text);
		return 0;
	}
	if (ev->kind < EVENT_KILL || ev->kind > EVENT_BOOT)
		return -1;
	t = journal_record(a);
	text_put(t, "{", 1);
	if (ev->kind == EVENT_ROLE || ev->kind == EVENT_BOOT)
		put_role(t, ev);
	else
		put_deed(a, t, x, ev, deeds[ev->kind]);
	journal_record_end(a);
	return 0;
}
