/* agentctl audit: verify a log, follow it, show one record. verify needs no daemon and believes none;
 * tail and show read the directory when they may, else ask the recorder over control.sock. Text from
 * records is untrusted: it reaches a terminal only through escape_text. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agentctl/tools/audit_source.h"
#include "agentctl/tools/tools.h"
#include "audit/dir.h"
#include "audit/reader.h"
#include "audit/record.h"
#include "audit/seal.h"
#include "audit/verify.h"
#include "common/cleanup.h"
#include "common/escape.h"
#include "common/io.h"
#include "common/paths.h"

#define EXIT_USAGE     2
#define EXIT_UNDECIDED 3
#define TAIL_DEFAULT   20u
#define TAIL_MAX       10000u
#define SEALS_SKIPPED  8192u /* seals without records, one a minute, that are looked behind */
#define LOOK_BACK      65536u /* records that a filter searches for the last ones to show */
#define FIELD_MAX      400u /* bytes of one field in a line for people, before escaping */

static const char usage_text[] =
	"usage: agentctl audit verify [DIR] [--key VKEY|FILE] [--seal-key VKEY|FILE] [--json]\n"
	"       agentctl audit tail [-f] [-n N] [--session S] [--kind K] [--verdict V]\n"
	"       agentctl audit show INDEX\n";

static int help(void)
{
	fputs(usage_text, stdout);
	fputs("\n"
	      "verify checks every record and signature, by itself and also of a copy in DIR. "
	      "tail\n"
	      "prints the last N records (20) that match, and with -f those that come; show "
	      "prints\n"
	      "one whole. verify is for root and members of group agentd; the others see with "
	      "tail\n"
	      "and show what is about them.\n"
	      "\n"
	      "  --kind K     request, decision, approval, kill, unlatch, session.start, …\n"
	      "  --verdict V  allow or deny\n"
	      "  --key        the log's public key, kept elsewhere: whoever can write DIR can "
	      "also\n"
	      "               exchange the key in it\n"
	      "\n"
	      "exit codes: 0; 2 usage; verify: 0 intact, 1 tampered with, 3 something is missing "
	      "or\n"
	      "cannot be read, 4 intact with warnings; tail and show: 1 no such record, or it "
	      "is not\n"
	      "JSON, 3 the log cannot be read, or agentd is not running\n"
	      "\n"
	      "example\n"
	      "  agentctl audit tail -f --verdict deny\n",
		stdout);
	return 0;
}

static int usage(void)
{
	fputs(usage_text, stderr);
	fputs("(agentctl help audit says more)\n", stderr);
	return EXIT_USAGE;
}

static int fail(const struct error *e, int code)
{
	(void)tool_fail("audit", e);
	return code;
}

/* ---- verify ---- */

/* VKEY itself, or a file with it. */
static struct note_vkey *pinned_key(const char *arg, struct error *e)
{
	size_t n = 0;
	cleanup_free char *file = NULL;

	if (strchr(arg, '+'))
		return note_vkey_parse(arg, strlen(arg), e);
	file = io_read_file(AT_FDCWD, arg, NOTE_VKEY_MAX, &n, e);
	return file ? note_vkey_parse(file, n, e) : NULL;
}

static const char *result_word(enum verify_result r)
{
	switch (r) {
	case VERIFY_OK:
		return "INTACT";
	case VERIFY_TAMPERED:
		return "TAMPERED";
	case VERIFY_WARNINGS:
		return "INTACT, with warnings";
	default:
		return "UNDECIDED";
	}
}

static void print_escaped(const char *s, size_t n)
{
	char out[ESCAPE_CAP(FIELD_MAX)];

	escape_text(out, sizeof out, s, n > FIELD_MAX ? FIELD_MAX : n);
	fputs(out, stdout);
	if (n > FIELD_MAX)
		fputs("…", stdout);
}

static void print_str(const char *s)
{
	print_escaped(s, strlen(s));
}

/* What this version cannot check, so that nobody takes its silence for a yes. */
static size_t unchecked(const struct verify_report *r, char text[4][200])
{
	size_t n = 0;

	if (!r->seals_checked)
		snprintf(text[n++], 200,
			"seals: %llu in the log, and no key of the first one: whoever has the "
			"log's "
			"key now could have rewritten it",
			(unsigned long long)r->seals);
	snprintf(text[n++], 200,
		"witnesses: %llu cosignatures, not checked: an older state of the "
		"whole directory would look the same",
		(unsigned long long)r->cosignatures);
	snprintf(text[n++], 200, "time: the times are what the recorder's clock said");
	if (!r->key_pinned)
		snprintf(text[n++], 200, "key: taken from the directory itself; pin it with --key");
	return n;
}

static void print_sealed_time(uint64_t ns)
{
	time_t at = (time_t)(ns / 1000000000u);
	struct tm tm;
	char t[40];

	if (ns && gmtime_r(&at, &tm) && strftime(t, sizeof t, "%Y-%m-%dT%H:%M:%SZ", &tm))
		printf(", the last at %s", t);
	printf("\n");
}

static void print_report(const struct verify_report *r)
{
	char root[65], not_checked[4][200];
	size_t n = unchecked(r, not_checked);

	sodium_bin2hex(root, sizeof root, r->root.b, sizeof r->root.b);
	printf("%s\n", result_word(r->result));
	printf("log         ");
	print_str(*r->origin ? r->origin : "unknown");
	printf("%s\nkey         %s%s\n", r->live ? " (being written now)" : "",
		*r->vkey ? r->vkey : "none", r->key_pinned ? " (given)" : "");
	if (r->has_checkpoint)
		printf("checkpoint  %llu records, root %s\n", (unsigned long long)r->size, root);
	printf("structure   records [0, %llu) are intact\n",
		(unsigned long long)r->structure_prefix);
	printf("signature   records [0, %llu) are covered by the log's signature\n",
		(unsigned long long)r->signed_prefix);
	if (r->seals_checked) {
		printf("seals       records [0, %llu) are sealed by keys that are erased: %llu "
		       "seals",
			(unsigned long long)r->sealed_prefix, (unsigned long long)r->seals);
		print_sealed_time(r->sealed_ns);
	}
	if (r->tail)
		printf("unsigned    %llu more, durable, not signed yet\n",
			(unsigned long long)r->tail);
	if (*r->first_time) {
		printf("time        ");
		print_str(r->first_time);
		printf(" to ");
		print_str(r->last_time);
		printf("\n");
	}
	printf("sessions    %llu, gaps %llu, requests without decision %llu, waiting %llu\n",
		(unsigned long long)r->order.sessions, (unsigned long long)r->order.gaps,
		(unsigned long long)r->order.orphans, (unsigned long long)r->order.pending);
	printf("recorder    %llu starts, %llu recoveries\n", (unsigned long long)r->boots,
		(unsigned long long)r->recoveries);
	if (r->has_bad && r->bad_end == r->first_bad + 1)
		printf("first bad   record %llu\n", (unsigned long long)r->first_bad);
	else if (r->has_bad)
		printf("first bad   one of records %llu to %llu\n",
			(unsigned long long)r->first_bad, (unsigned long long)r->bad_end - 1);
	for (uint32_t i = 0; i < r->kept; i++) {
		printf("%s %s: ",
			r->finding[i].result == VERIFY_TAMPERED    ? "BAD    "
			: r->finding[i].result == VERIFY_UNDECIDED ? "MISSING"
								   : "warning",
			r->finding[i].kind);
		print_str(r->finding[i].text);
		printf("\n");
	}
	if (r->nfindings > r->kept)
		printf("and %llu findings more of these kinds\n",
			(unsigned long long)(r->nfindings - r->kept));
	for (size_t i = 0; i < n; i++)
		printf("not checked %s\n", not_checked[i]);
}

static json_t *findings_json(const struct verify_report *r)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < r->kept; i++) {
		const struct verify_finding *f = &r->finding[i];
		char text[ESCAPE_CAP(sizeof f->text)];

		escape_text(text, sizeof text, f->text, strlen(f->text));
		json_array_append_new(
			list, json_pack("{s:s,s:i,s:o,s:s}", "kind", f->kind, "result",
				      (int)f->result, "index",
				      f->index == UINT64_MAX ? json_null()
							     : json_integer((json_int_t)f->index),
				      "text", text));
	}
	return list;
}

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static void print_json(const struct verify_report *r)
{
	char root[65], not_checked[4][200];
	size_t n = unchecked(r, not_checked);
	json_t *list = json_array(), *o;

	sodium_bin2hex(root, sizeof root, r->root.b, sizeof r->root.b);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(not_checked[i]));
	o = json_pack("{s:s,s:i,s:s,s:s,s:b,s:b,s:b}", "result", result_word(r->result), "exit",
		(int)r->result, "origin", r->origin, "vkey", r->vkey, "key_pinned", r->key_pinned,
		"live", r->live, "signature_ok", r->signature_ok);
	json_object_set_new(o, "size", number(r->size));
	json_object_set_new(o, "root", json_string(root));
	json_object_set_new(o, "records", number(r->entries));
	json_object_set_new(o, "structure_prefix", number(r->structure_prefix));
	json_object_set_new(o, "signed_prefix", number(r->signed_prefix));
	json_object_set_new(o, "seals", number(r->seals));
	json_object_set_new(
		o, "sealed_prefix", r->seals_checked ? number(r->sealed_prefix) : json_null());
	json_object_set_new(o, "unsigned_tail", number(r->tail));
	json_object_set_new(o, "first_bad", r->has_bad ? number(r->first_bad) : json_null());
	json_object_set_new(o, "sessions", number(r->order.sessions));
	json_object_set_new(o, "gaps", number(r->order.gaps));
	json_object_set_new(o, "orphans", number(r->order.orphans));
	json_object_set_new(o, "waiting", number(r->order.pending));
	json_object_set_new(o, "recoveries", number(r->recoveries));
	json_object_set_new(o, "quarantined_bytes", number(r->quarantined_bytes));
	json_object_set_new(o, "findings", findings_json(r));
	json_object_set_new(o, "findings_total", number(r->nfindings));
	json_object_set_new(o, "not_checked", list);
	json_dumpf(o, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	putchar('\n');
	json_decref(o);
}

static int open_log(const char *dir, struct error *e)
{
	int fd = dir_open(dir, e);

	if (fd < 0 && e->code == EACCES)
		error_set(e, EACCES, "%s: only root and members of group agentd may read the log",
			dir);
	return fd;
}

static int verify_and_print(
	const char *path, const struct note_vkey *key, const char *seal_vkey, int json)
{
	struct verify_report *r;
	struct error e;
	int dir = open_log(path, &e), code;

	if (dir < 0)
		return fail(&e, EXIT_UNDECIDED);
	r = calloc(1, sizeof *r);
	if (!r) {
		close(dir);
		return EXIT_UNDECIDED;
	}
	verify_dir(dir, key, seal_vkey, r);
	close(dir);
	if (json)
		print_json(r);
	else
		print_report(r);
	code = (int)r->result;
	free(r);
	return code;
}

static int audit_verify(int argc, char **argv)
{
	static const struct option options[] = {{"key", required_argument, NULL, 'k'},
		{"seal-key", required_argument, NULL, 's'}, {"json", no_argument, NULL, 'j'},
		{NULL, 0, NULL, 0}};
	struct note_vkey *key = NULL, *seal = NULL;
	char seal_vkey[NOTE_VKEY_MAX];
	const char *key_arg = NULL, *seal_arg = NULL;
	struct paths p;
	struct error e;
	int c, json = 0, code;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'k')
			key_arg = optarg;
		else if (c == 's')
			seal_arg = optarg;
		else if (c == 'j')
			json = 1;
		else
			return usage();
	}
	if (argc - optind > 1)
		return usage();
	if (optind == argc && paths_init(&p, NULL, &e) < 0)
		return fail(&e, EXIT_UNDECIDED);
	if (key_arg && !(key = pinned_key(key_arg, &e)))
		return fail(&e, EXIT_USAGE);
	if (seal_arg && !(seal = pinned_key(seal_arg, &e))) {
		note_vkey_free(key);
		return fail(&e, EXIT_USAGE);
	}
	if (seal)
		note_vkey_format(seal, seal_vkey);
	code = verify_and_print(
		optind < argc ? argv[optind] : p.audit, key, seal ? seal_vkey : NULL, json);
	note_vkey_free(seal);
	note_vkey_free(key);
	return code;
}

/* ---- one line per record ---- */

struct style {
	const char *red, *green, *yellow, *dim, *off;
};

static struct style style_for(FILE *f)
{
	static const struct style plain = {"", "", "", "", ""};
	static const struct style color = {
		"\033[31m", "\033[32m", "\033[33m", "\033[2m", "\033[0m"};

	return isatty(fileno(f)) && !getenv("NO_COLOR") ? color : plain;
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

static const char *verdict_of(const json_t *o)
{
	const char *v = text_of(json_object_get(o, "d"), "verdict");
	return *v ? v : text_of(o, "verdict");
}

static const char *color_of(const struct style *s, const char *kind, const char *verdict)
{
	if (strcmp(verdict, "deny") == 0 || strcmp(kind, "kill") == 0 ||
		strcmp(kind, "refused") == 0)
		return s->red;
	if (strcmp(verdict, "allow") == 0)
		return s->green;
	return strcmp(verdict, "ask") == 0 ? s->yellow : "";
}

/* " label value" for a string that is there. */
static void put_text(const char *label, const char *value)
{
	if (!*value)
		return;
	printf(" %s", label);
	print_str(value);
}

static void put_int(const char *label, const json_t *v)
{
	if (json_is_integer(v))
		printf(" %s%" JSON_INTEGER_FORMAT, label, json_integer_value(v));
}

static void put_json(const json_t *v)
{
	char *s = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;

	if (s) {
		putchar(' ');
		print_str(s);
	}
	free(s);
}

static void put_argv(const json_t *argv)
{
	for (size_t i = 0; i < json_array_size(argv) && i < 12; i++)
		put_text("", json_string_value(json_array_get(argv, i))
				     ? json_string_value(json_array_get(argv, i))
				     : "?");
}

static void line_request(const json_t *o)
{
	const json_t *act = json_object_get(o, "act");

	put_text("", text_of(act, "tool"));
	if (json_object_get(act, "input"))
		put_json(json_object_get(act, "input"));
	else
		put_json(act);
}

static void line_decision(const json_t *o)
{
	const json_t *d = json_object_get(o, "d");

	put_text("by ", text_of(d, "by"));
	put_text("rule ", text_of(d, "rule"));
	put_text("- ", text_of(d, "reason"));
}

static void line_approval(const json_t *o)
{
	put_text("", text_of(o, "approval"));
	put_int("by uid ", json_object_get(json_object_get(o, "by"), "uid"));
	put_text("scope ", text_of(o, "scope"));
	put_text("- ", text_of(o, "reason"));
}

static void line_start(const json_t *o)
{
	put_text("", text_of(json_object_get(o, "a"), "agent"));
	put_argv(json_object_get(o, "argv"));
	put_text("in ", text_of(o, "workspace"));
}

static void line_end(const json_t *o)
{
	put_int("code ", json_object_get(o, "code"));
	put_json(json_object_get(o, "counts"));
	put_text("- ", text_of(o, "reason"));
}

static void line_kill(const json_t *o)
{
	const json_t *receipt = json_object_get(o, "receipt");

	put_int("by uid ", json_object_get(json_object_get(o, "by"), "uid"));
	put_int("tasks ", json_object_get(receipt, "tasks"));
	put_int("us ", json_object_get(receipt, "took_us"));
	put_int("unconfirmed ", json_object_get(receipt, "unconfirmed"));
	put_text("- ", text_of(o, "reason"));
}

/* Whatever is not in the columns already. */
static void line_other(const json_t *o)
{
	static const char *const shown[] = {"v", "i", "t", "m", "b", "k", "s", "n", "q", "a"};
	json_t *rest = json_copy((json_t *)(uintptr_t)o);

	for (size_t i = 0; i < ARRAY_LEN(shown); i++)
		json_object_del(rest, shown[i]);
	if (json_object_size(rest))
		put_json(rest);
	json_decref(rest);
}

static const struct {
	const char *kind;
	void (*put)(const json_t *o);
} lines[] = {
	{"request", line_request},
	{"decision", line_decision},
	{"approval", line_approval},
	{"session.start", line_start},
	{"session.end", line_end},
	{"kill", line_kill},
};

/* "2026-09-21T13:00:00.000000000Z" as date and time to the second. */
static void put_time(const char *t)
{
	if (strlen(t) == 30 && t[10] == 'T')
		printf("%.10s %.8sZ", t, t + 11);
	else
		print_str(t);
}

static void print_line(const json_t *o, const struct style *s)
{
	const char *kind = text_of(o, "k"), *verdict = verdict_of(o);
	const char *name = text_of(json_object_get(o, "a"), "name");
	void (*put)(const json_t *) = line_other;

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		if (strcmp(lines[i].kind, kind) == 0)
			put = lines[i].put;
	}
	printf("%s%8" JSON_INTEGER_FORMAT " ", s->dim, json_integer_value(json_object_get(o, "i")));
	put_time(text_of(o, "t"));
	printf("%s ", s->off);
	print_str(*name ? name : "-");
	printf(" %s", color_of(s, kind, verdict));
	print_str(kind);
	if (*verdict) {
		putchar(' ');
		print_str(verdict);
	}
	fputs(s->off, stdout);
	put(o);
	putchar('\n');
}

/* ---- tail ---- */

struct filter {
	const char *session, *kind, *verdict;
};

/* Seals are for machines: shown when they are asked for. */
static json_t *parse_for(const struct filter *f, struct span entry, struct error *e)
{
	return !f->kind && seal_is(entry.p, entry.n) ? NULL : record_parse(entry.p, entry.n, e);
}

static int passes(const struct filter *f, const json_t *o)
{
	return (!f->session || strcmp(f->session, text_of(o, "s")) == 0) &&
	       (!f->kind || strcmp(f->kind, text_of(o, "k")) == 0) &&
	       (!f->verdict || strcmp(f->verdict, verdict_of(o)) == 0);
}

struct ring { /* the last entries that pass, until the newest is reached */
	json_t **o;
	size_t cap, n;
};

static void ring_add(struct ring *r, json_t *o)
{
	json_t **place = &r->o[r->n++ % r->cap];

	json_decref(*place);
	*place = o;
}

static void ring_print(struct ring *r, const struct style *s)
{
	size_t have = r->n < r->cap ? r->n : r->cap;

	for (size_t i = r->n - have; i < r->n; i++)
		print_line(r->o[i % r->cap], s);
	for (size_t i = 0; i < r->cap; i++)
		json_decref(r->o[i]);
	free(r->o);
	r->o = NULL;
}

/* Prints entries as they come. */
static int follow_source(
	struct source *s, const struct filter *f, const struct style *style, struct error *e)
{
	struct span entry;
	int r;

	while ((r = source_next(s, 1, &entry, e)) > 0) {
		json_t *o = parse_for(f, entry, e);

		if (o && passes(f, o)) {
			print_line(o, style);
			fflush(stdout);
		}
		json_decref(o);
	}
	return r;
}

static int tail_source(struct source *s, const struct filter *f, size_t count, int follow,
	const struct style *style, struct error *e)
{
	struct ring ring = {.o = calloc(count, sizeof(json_t *)), .cap = count};
	struct span entry;
	int r;

	if (!ring.o)
		return error_set(e, ENOMEM, "cannot hold %zu records", count);
	while ((r = source_next(s, 0, &entry, e)) > 0) {
		json_t *o = parse_for(f, entry, e);

		if (o && passes(f, o))
			ring_add(&ring, o);
		else
			json_decref(o);
	}
	ring_print(&ring, style);
	return r < 0 || !follow ? r : follow_source(s, f, style, e);
}

/* Over a socket nobody says where the past ends when it follows: print at once. */
static int run_tail(const struct filter *f, size_t count, int follow)
{
	struct style style = style_for(stdout);
	int filtered = f->session || f->kind || f->verdict, r;
	struct source s = {.dir = -1};
	struct error e;

	r = source_open(
		&s, NULL, UINT64_MAX, filtered ? LOOK_BACK : 2 * count + SEALS_SKIPPED, follow, &e);
	if (r == 0)
		r = s.sock && follow ? follow_source(&s, f, &style, &e)
				     : tail_source(&s, f, count, follow, &style, &e);
	source_close(&s);
	return r < 0 ? fail(&e, EXIT_UNDECIDED) : 0;
}

static int audit_tail(int argc, char **argv)
{
	static const struct option options[] = {{"session", required_argument, NULL, 's'},
		{"kind", required_argument, NULL, 'k'}, {"verdict", required_argument, NULL, 'v'},
		{"follow", no_argument, NULL, 'f'}, {"lines", required_argument, NULL, 'n'},
		{NULL, 0, NULL, 0}};
	struct filter f = {0};
	unsigned long count = TAIL_DEFAULT;
	int c, follow = 0;

	while ((c = getopt_long(argc, argv, "fn:", options, NULL)) != -1) {
		if (c == 's')
			f.session = optarg;
		else if (c == 'k')
			f.kind = optarg;
		else if (c == 'v')
			f.verdict = optarg;
		else if (c == 'f')
			follow = 1;
		else if (c == 'n')
			count = strtoul(optarg, NULL, 10);
		else
			return usage();
	}
	if (optind != argc || count < 1 || count > TAIL_MAX)
		return usage();
	return run_tail(&f, count, follow);
}

/* ---- show ---- */

/* For a person indented, with everything but ASCII escaped; for a program the bytes of the leaf. */
static int show_entry(struct span entry, struct error *e)
{
	struct tree_hash h;
	char hex[65];
	json_t *o;

	if (!isatty(STDOUT_FILENO)) {
		fwrite(entry.p, 1, entry.n, stdout);
		putchar('\n');
		return 0;
	}
	o = record_parse(entry.p, entry.n, e);
	if (!o)
		return fail(e, VERIFY_TAMPERED);
	json_dumpf(o, stdout, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_ENSURE_ASCII);
	json_decref(o);
	tree_leaf_hash(entry.p, entry.n, &h);
	sodium_bin2hex(hex, sizeof hex, h.b, sizeof h.b);
	printf("\nleaf hash %s\n", hex);
	return 0;
}

static int no_record(const char *index)
{
	struct error e;

	error_set(&e, 0, "there is no record %.20s, or it is not about you", index);
	return fail(&e, TOOL_FAILED);
}

static int audit_show(int argc, char **argv)
{
	char *end = NULL;
	uint64_t index;
	struct source s = {.dir = -1};
	struct span entry = {0};
	struct error e;
	int r;

	if (argc != 2 || !isdigit((unsigned char)argv[1][0]))
		return usage();
	errno = 0;
	index = strtoull(argv[1], &end, 10);
	if (*end || errno)
		return usage();
	r = source_open(&s, NULL, index, 1, 0, &e);
	if (r == 0) {
		r = source_next(&s, 0, &entry, &e);
		if (r > 0)
			r = show_entry(entry, &e);
		else if (r < 0)
			r = fail(&e, EXIT_UNDECIDED);
		else
			r = no_record(argv[1]);
	} else {
		r = fail(&e, EXIT_UNDECIDED);
	}
	source_close(&s);
	return r;
}

int tool_audit(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} verbs[] = {{"verify", audit_verify}, {"tail", audit_tail}, {"show", audit_show}};

	char called[64]; /* getopt begins its messages with it */

	if (sodium_init() < 0)
		return EXIT_UNDECIDED;
	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return help();
	for (size_t i = 0; argc > 1 && i < ARRAY_LEN(verbs); i++) {
		if (strcmp(argv[1], verbs[i].name) != 0)
			continue;
		snprintf(called, sizeof called, "agentctl audit %s", verbs[i].name);
		argv[1] = called;
		return verbs[i].run(argc - 1, argv + 1);
	}
	return usage();
}
