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
#include "agentctl/tools/audit_tool.h"
#include "agentctl/tools/tools.h"
#include "audit/dir.h"
#include "audit/reader.h"
#include "audit/record.h"
#include "audit/seal.h"
#include "common/cleanup.h"
#include "common/escape.h"
#include "common/io.h"
#include "common/paths.h"

#define TAIL_DEFAULT  20u
#define TAIL_MAX      10000u
#define SEALS_SKIPPED 8192u /* seals without records, one a minute, that are looked behind */
#define LOOK_BACK     65536u /* records that a filter searches for the last ones to show */
#define FIELD_MAX     400u /* bytes of one field in a line for people, before escaping */
#define FOLLOW_MS     200

static const char usage_text[] =
	"usage: agentctl audit verify [DIR] [--key VKEY|FILE] [--seal-key VKEY|FILE]\n"
	"                      [--policy FILE] [--known CHECKPOINT]… [--no-memory] [--json]\n"
	"       agentctl audit status\n"
	"       agentctl audit tail [-f] [-n N] [--session S] [--kind K] [--verdict V]\n"
	"       agentctl audit show INDEX\n"
	"       agentctl audit prove INDEX [--dir DIR] [-o FILE]\n"
	"       agentctl audit consistency SIZE|CHECKPOINT [--dir DIR] [-o FILE]\n"
	"       agentctl audit cosign --policy FILE [--dir DIR] [-o FILE]\n";

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

int audit_usage(void)
{
	fputs(usage_text, stderr);
	fputs("(agentctl help audit says more)\n", stderr);
	return EXIT_USAGE;
}

int audit_fail(const struct error *e, int code)
{
	(void)tool_fail("audit", e);
	return code;
}

/* ---- what all of it uses ---- */

void audit_print(const char *s, size_t n)
{
	char out[ESCAPE_CAP(FIELD_MAX)];

	escape_text(out, sizeof out, s, n > FIELD_MAX ? FIELD_MAX : n);
	fputs(out, stdout);
	if (n > FIELD_MAX)
		fputs("…", stdout);
}

void audit_print_str(const char *s)
{
	audit_print(s, strlen(s));
}

int audit_open(const char *dir, struct error *e)
{
	int fd = dir_open(dir, e);

	if (fd < 0 && e->code == EACCES)
		error_set(e, EACCES, "%s: only root and members of group agentd may read the log",
			dir);
	return fd;
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
	audit_print_str(value);
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
		audit_print_str(s);
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
		audit_print_str(t);
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
	audit_print_str(*name ? name : "-");
	printf(" %s", color_of(s, kind, verdict));
	audit_print_str(kind);
	if (*verdict) {
		putchar(' ');
		audit_print_str(verdict);
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
	return r < 0 ? audit_fail(&e, EXIT_UNDECIDED) : 0;
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
			return audit_usage();
	}
	if (optind != argc || count < 1 || count > TAIL_MAX)
		return audit_usage();
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
		return audit_fail(e, 1);
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
	return audit_fail(&e, TOOL_FAILED);
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
		return audit_usage();
	errno = 0;
	index = strtoull(argv[1], &end, 10);
	if (*end || errno)
		return audit_usage();
	r = source_open(&s, NULL, index, 1, 0, &e);
	if (r == 0) {
		r = source_next(&s, 0, &entry, &e);
		if (r > 0)
			r = show_entry(entry, &e);
		else if (r < 0)
			r = audit_fail(&e, EXIT_UNDECIDED);
		else
			r = no_record(argv[1]);
	} else {
		r = audit_fail(&e, EXIT_UNDECIDED);
	}
	source_close(&s);
	return r;
}

int tool_audit(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} verbs[] = {{"verify", audit_verify}, {"tail", audit_tail}, {"show", audit_show},
		{"prove", audit_prove}, {"consistency", audit_consistency},
		{"cosign", audit_cosign}, {"status", audit_status}};

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
	return audit_usage();
}
