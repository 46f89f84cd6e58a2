/* agentctl audit verify: everything recomputed, nothing believed; see audit/verify.h. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agentctl/tools/audit_tool.h"
#include "audit/checkpoint.h"
#include "audit/dir.h"
#include "audit/verify.h"
#include "common/cleanup.h"
#include "common/escape.h"
#include "common/io.h"
#include "common/paths.h"

/* VKEY itself, or a file with it. */
struct note_vkey *audit_key(const char *arg, struct error *e)
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
	if (!r->quorum_asked)
		snprintf(text[n++], 200,
			"witnesses: %llu cosignatures, and no trust policy (--policy): %s",
			(unsigned long long)r->cosignatures,
			r->known ? "only the checkpoints that were kept here are held against it"
				 : "an older state of the whole directory would look the same");
	snprintf(text[n++], 200, "time: the times are what the recorder's clock said");
	if (!r->key_pinned)
		snprintf(text[n++], 200, "key: taken from the directory itself; pin it with --key");
	return n;
}

static void print_last_time(uint64_t ns)
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
	audit_print_str(*r->origin ? r->origin : "unknown");
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
		print_last_time(r->sealed_ns);
	}
	if (r->quorum_asked) {
		printf("witnesses   records [0, %llu) are signed for by %u witnesses",
			(unsigned long long)r->witnessed_prefix, r->witnesses);
		print_last_time(r->witnessed_time * 1000000000u);
	}
	if (r->known)
		printf("kept        the log extends %u of %u checkpoints that were kept\n",
			r->known_held, r->known);
	if (r->tail)
		printf("unsigned    %llu more, durable, not signed yet\n",
			(unsigned long long)r->tail);
	if (*r->first_time) {
		printf("time        ");
		audit_print_str(r->first_time);
		printf(" to ");
		audit_print_str(r->last_time);
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
		audit_print_str(r->finding[i].text);
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
	json_object_set_new(
		o, "witnessed_prefix", r->quorum_asked ? number(r->witnessed_prefix) : json_null());
	json_object_set_new(o, "witnesses", number(r->witnesses));
	json_object_set_new(o, "known", number(r->known));
	json_object_set_new(o, "known_held", number(r->known_held));
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

/* ---- what somebody has kept ---- */

#define KNOWN_MAX 16u

struct inputs {
	struct note_vkey *key, *seal;
	char seal_vkey[NOTE_VKEY_MAX];
	struct quorum *quorum;
	struct verify_known known[KNOWN_MAX + 1];
	size_t nknown;
	char memory[4200]; /* where the last checkpoint under this key is remembered; "": nowhere */
	struct verify_options opt;
};

static void inputs_free(struct inputs *in)
{
	note_vkey_free(in->key);
	note_vkey_free(in->seal);
	quorum_free(in->quorum);
}

/* A checkpoint in a file, which the log's key must have signed. */
static int add_known(struct inputs *in, const char *path, const char *label, struct error *e)
{
	struct checkpoint c;
	size_t n = 0;
	cleanup_free char *text = io_read_file(AT_FDCWD, path, NOTE_MAX, &n, e);

	if (!text)
		return -1;
	if (!in->key)
		return error_set(e, 0, "--known needs --key: who has signed it?");
	if (in->nknown > KNOWN_MAX)
		return error_set(e, 0, "more than %u checkpoints", KNOWN_MAX);
	if (checkpoint_open(text, n, in->key, &c, e) < 0)
		return error_prefix(e, "%.200s", path);
	in->known[in->nknown++] = (struct verify_known){label, c.size, c.root};
	return 0;
}

static int make_parents(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return -1;
		*slash = '/';
	}
	return 0;
}

static int is_own_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];
	struct stat st;

	if (!slash || (size_t)(slash - path) >= sizeof dir)
		return 0;
	memcpy(dir, path, (size_t)(slash - path));
	dir[slash - path] = 0;
	if (lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid())
		return 1;
	errno = EPERM;
	return 0;
}

/* Trust on continuity: under a pinned key each run is held against the one before. */
static void find_memory(struct inputs *in)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char vkey[NOTE_VKEY_MAX], hex[2 * crypto_hash_sha256_BYTES + 1];
	unsigned char h[crypto_hash_sha256_BYTES];
	int n;

	if (!in->key || ((!state || *state != '/') && (!home || *home != '/')))
		return;
	note_vkey_format(in->key, vkey);
	crypto_hash_sha256(h, (unsigned char *)vkey, strlen(vkey));
	sodium_bin2hex(hex, sizeof hex, h, sizeof h);
	n = state && *state == '/'
		    ? snprintf(in->memory, sizeof in->memory, "%s/agentd/verified/%s", state, hex)
		    : snprintf(in->memory, sizeof in->memory, "%s/.local/state/agentd/verified/%s",
			      home, hex);
	if (n < 0 || (size_t)n >= sizeof in->memory)
		in->memory[0] = 0;
}

static int recall(struct inputs *in, struct error *e)
{
	if (!in->memory[0] || access(in->memory, F_OK) < 0)
		return 0;
	return add_known(in, in->memory, "the checkpoint that was verified last time", e);
}

/* Only what holds is remembered. What cannot be written is said, and no error of the log. */
static void remember(const struct inputs *in, int logdir, const struct verify_report *r)
{
	char path[sizeof in->memory], tmp[sizeof in->memory + 8];
	struct error e;
	size_t n = 0;
	cleanup_free unsigned char *cp = NULL;
	struct checkpoint c;
	cleanup_close int fd = -1;

	if (!in->memory[0] || !r->signature_ok ||
		(r->result != VERIFY_OK && r->result != VERIFY_WARNINGS))
		return;
	cp = dir_read(logdir, "checkpoint", NOTE_MAX, &n, &e);
	if (!cp || checkpoint_open((char *)cp, n, in->key, &c, &e) < 0 || c.size != r->size ||
		!tree_hash_equal(&c.root, &r->root))
		return; /* it has grown meanwhile */
	snprintf(path, sizeof path, "%s", in->memory);
	snprintf(tmp, sizeof tmp, "%s.new", in->memory);
	/* Whoever else owns the directory could lead the file anywhere. */
	if (make_parents(path) == 0 && is_own_directory(path))
		fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || io_write_all(fd, cp, n) < 0 || fsync(fd) < 0 || rename(tmp, path) < 0)
		fprintf(stderr,
			"agentctl audit verify: cannot remember this checkpoint for the next time: "
			"%s\n",
			strerror(errno));
}

static int load_quorum(struct inputs *in, const char *path, struct error *e)
{
	size_t n = 0;
	cleanup_free char *text = io_read_file(AT_FDCWD, path, QUORUM_BYTES, &n, e);

	in->quorum = text ? quorum_parse(text, n, e) : NULL;
	if (!in->quorum)
		return text ? error_prefix(e, "%.200s", path) : -1;
	/* A policy that names one log pins its key. */
	if (!in->key && quorum_logs(in->quorum) == 1) {
		char vkey[NOTE_VKEY_MAX];
		size_t len = note_vkey_format(quorum_log(in->quorum, 0), vkey);

		in->key = note_vkey_parse(vkey, len, e);
	}
	return 0;
}

static int verify_and_print(const char *path, const struct inputs *in, int json)
{
	struct verify_report *r;
	struct error e;
	int dir = audit_open(path, &e), code;

	if (dir < 0)
		return audit_fail(&e, EXIT_UNDECIDED);
	r = calloc(1, sizeof *r);
	if (!r) {
		close(dir);
		return EXIT_UNDECIDED;
	}
	verify_dir(dir, &in->opt, r);
	if (json)
		print_json(r);
	else
		print_report(r);
	remember(in, dir, r);
	close(dir);
	code = (int)r->result;
	free(r);
	return code;
}

struct arguments {
	const char *key, *seal, *policy, *known[KNOWN_MAX];
	size_t nknown;
	int json, forget;
};

static int take_arguments(int argc, char **argv, struct arguments *a)
{
	static const struct option options[] = {{"key", required_argument, NULL, 'k'},
		{"seal-key", required_argument, NULL, 's'},
		{"policy", required_argument, NULL, 'p'}, {"known", required_argument, NULL, 'n'},
		{"json", no_argument, NULL, 'j'}, {"no-memory", no_argument, NULL, 'm'},
		{NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'k')
			a->key = optarg;
		else if (c == 's')
			a->seal = optarg;
		else if (c == 'p')
			a->policy = optarg;
		else if (c == 'n' && a->nknown < KNOWN_MAX)
			a->known[a->nknown++] = optarg;
		else if (c == 'j')
			a->json = 1;
		else if (c == 'm')
			a->forget = 1;
		else
			return -1;
	}
	return argc - optind > 1 ? -1 : 0;
}

/* 0, or -1 with *e. */
static int load_inputs(struct inputs *in, const struct arguments *a, struct error *e)
{
	if (a->key && !(in->key = audit_key(a->key, e)))
		return -1;
	if (a->seal && !(in->seal = audit_key(a->seal, e)))
		return -1;
	if (in->seal)
		note_vkey_format(in->seal, in->seal_vkey);
	if (a->policy && load_quorum(in, a->policy, e) < 0)
		return -1;
	for (size_t i = 0; i < a->nknown; i++) {
		if (add_known(in, a->known[i], a->known[i], e) < 0)
			return -1;
	}
	if (!a->forget)
		find_memory(in);
	if (recall(in, e) < 0)
		return -1;
	in->opt = (struct verify_options){.key = in->key,
		.seal_vkey = in->seal ? in->seal_vkey : NULL,
		.quorum = in->quorum,
		.known = in->known,
		.nknown = in->nknown};
	return 0;
}

int audit_verify(int argc, char **argv)
{
	struct inputs in = {0};
	struct arguments a = {0};
	struct paths p;
	struct error e;
	int code;

	if (take_arguments(argc, argv, &a) < 0)
		return audit_usage();
	if (optind == argc && paths_init(&p, NULL, &e) < 0)
		return audit_fail(&e, EXIT_UNDECIDED);
	if (load_inputs(&in, &a, &e) < 0)
		code = audit_fail(&e, EXIT_USAGE);
	else
		code = verify_and_print(optind < argc ? argv[optind] : p.audit, &in, a.json);
	inputs_free(&in);
	return code;
}
