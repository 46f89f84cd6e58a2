/* agentctl audit prove, consistency, status: what the log's tiles say, for others to check. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agentctl/tools/audit_tool.h"
#include "audit/b64.h"
#include "audit/checkpoint.h"
#include "audit/dir.h"
#include "audit/hashes.h"
#include "audit/proof.h"
#include "audit/reader.h"
#include "audit/verify.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/paths.h"

struct log { /* a log's directory and its checkpoint */
	int dir;
	char *note;
	size_t n;
	struct checkpoint c;
};

static void close_log(struct log *l)
{
	if (l->dir >= 0)
		close(l->dir);
	free(l->note);
}

/* What the checkpoint says is believed here: who checks the proof checks it. */
static int open_log(struct log *l, const char *path, const char *file, struct error *e)
{
	struct note *t;
	int r = -1;

	*l = (struct log){.dir = audit_open(path, e)};
	if (l->dir < 0)
		return -1;
	l->note = (char *)dir_read(l->dir, file, NOTE_MAX, &l->n, e);
	t = l->note ? note_parse(l->note, l->n, e) : NULL;
	if (t)
		r = checkpoint_parse(note_text(t).p, note_text(t).n, &l->c, e);
	note_free(t);
	return r;
}

static int parse_index(const char *text, uint64_t *out)
{
	return text ? checkpoint_parse_size(text, strlen(text), out) : -1;
}

struct place { /* the arguments of prove and consistency */
	const char *dir, *out, *what;
	struct paths paths;
};

/* 0, or the exit code. */
static int take_place(int argc, char **argv, struct place *p)
{
	static const struct option options[] = {{"dir", required_argument, NULL, 'd'},
		{"output", required_argument, NULL, 'o'}, {NULL, 0, NULL, 0}};
	struct error e;
	int c;

	while ((c = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
		if (c == 'd')
			p->dir = optarg;
		else if (c == 'o')
			p->out = optarg;
		else
			return audit_usage();
	}
	if (argc - optind != 1)
		return audit_usage();
	p->what = argv[optind];
	if (p->dir)
		return 0;
	if (paths_init(&p->paths, NULL, &e) < 0)
		return audit_fail(&e, EXIT_UNDECIDED);
	p->dir = p->paths.audit;
	return 0;
}

static int put_file(const char *path, const char *text, size_t n, struct error *e)
{
	cleanup_close int fd = -1;

	if (!path)
		return fwrite(text, 1, n, stdout) == n ? 0 : error_set(e, errno, "cannot write");
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || io_write_all(fd, text, n) < 0)
		return error_set(e, errno, "cannot write %.200s", path);
	return 0;
}

/* ---- prove ---- */

static int prove(struct log *l, uint64_t index, const char *out, struct error *e)
{
	struct hashes h = {l->dir, l->c.size};
	struct proof p = {.index = index, .note = {l->note, l->n}};
	char text[NOTE_MAX + 64 * PROOF_MAX + 128];
	size_t n;

	if (index >= l->c.size)
		return error_set(e, 0,
			"record %llu is not in the published checkpoint, which has %llu records",
			(unsigned long long)index, (unsigned long long)l->c.size);
	if (proof_make_inclusion(index, l->c.size, hashes_get, &h, p.path, &p.n) < 0)
		return error_set(e, 0, "the log's tiles are not complete");
	n = proof_format(&p, text, sizeof text);
	if (n == 0)
		return error_set(e, 0, "the proof is too long");
	return put_file(out, text, n, e);
}

int audit_prove(int argc, char **argv)
{
	struct place p = {0};
	int code = take_place(argc, argv, &p), r;
	struct error e;
	struct log l;
	uint64_t index;

	if (code)
		return code;
	if (parse_index(p.what, &index) < 0)
		return audit_usage();
	r = open_log(&l, p.dir, "checkpoint", &e);
	if (r == 0)
		r = prove(&l, index, p.out, &e);
	close_log(&l);
	return r < 0 ? audit_fail(&e, EXIT_UNDECIDED) : 0;
}

/* ---- consistency ---- */

/* OLD is a size, or a file with an earlier checkpoint. */
static int old_size(const char *what, uint64_t *size, struct error *e)
{
	size_t n = 0;
	cleanup_free char *text = NULL;
	struct checkpoint c = {0};
	struct note *t;
	int r;

	if (parse_index(what, size) == 0)
		return 0;
	text = io_read_file(AT_FDCWD, what, NOTE_MAX, &n, e);
	t = text ? note_parse(text, n, e) : NULL;
	r = t ? checkpoint_parse(note_text(t).p, note_text(t).n, &c, e) : -1;
	*size = c.size;
	note_free(t);
	return r;
}

static int consistency(struct log *l, uint64_t old, const char *out, struct error *e)
{
	struct hashes h = {l->dir, l->c.size};
	struct tree_hash path[PROOF_MAX];
	char text[64 * PROOF_MAX];
	size_t n = 0, at = 0;

	if (old == 0 || old > l->c.size)
		return error_set(e, 0, "the log has %llu records now, not %llu or more",
			(unsigned long long)l->c.size, (unsigned long long)old);
	if (proof_make_consistency(old, l->c.size, hashes_get, &h, path, &n) < 0)
		return error_set(e, 0, "the log's tiles are not complete");
	for (size_t i = 0; i < n; i++) {
		at += b64_encode(text + at, sizeof text - at, path[i].b, sizeof path[i].b);
		text[at++] = '\n';
	}
	return put_file(out, text, at, e);
}

int audit_consistency(int argc, char **argv)
{
	struct place p = {0};
	int code = take_place(argc, argv, &p), r;
	struct error e;
	struct log l;
	uint64_t old = 0;

	if (code)
		return code;
	r = open_log(&l, p.dir, "checkpoint", &e);
	if (r == 0)
		r = old_size(p.what, &old, &e);
	if (r == 0)
		r = consistency(&l, old, p.out, &e);
	close_log(&l);
	return r < 0 ? audit_fail(&e, EXIT_UNDECIDED) : 0;
}

/* ---- status ---- */

static void print_cosigned(int dir)
{
	size_t n = 0;
	struct error e;
	cleanup_free unsigned char *p = dir_read(dir, VERIFY_COSIGNED, NOTE_MAX, &n, &e);
	struct note *t = p ? note_parse((char *)p, n, &e) : NULL;
	struct checkpoint c;

	if (t && checkpoint_parse(note_text(t).p, note_text(t).n, &c, &e) == 0)
		printf("cosigned    %llu records, by %zu witnesses\n", (unsigned long long)c.size,
			note_sigs(t) ? note_sigs(t) - 1 : 0);
	else
		printf("cosigned    never: agentctl audit cosign asks a witness\n");
	note_free(t);
}

static int print_status(struct log *l, struct error *e)
{
	struct reader *r = reader_new(l->dir);
	char root[B64_CAP(sizeof l->c.root.b)];
	size_t n = 0;
	cleanup_free unsigned char *vkey = dir_read(l->dir, "log.vkey", NOTE_VKEY_MAX, &n, e);
	uint64_t size = 0;
	int failed = !r || reader_size(r, &size, e) < 0;

	reader_free(r);
	if (failed)
		return -1;
	b64_encode(root, sizeof root, l->c.root.b, sizeof l->c.root.b);
	printf("log         ");
	audit_print_str(l->c.origin);
	printf("\nkey         ");
	if (vkey)
		audit_print((char *)vkey, n && vkey[n - 1] == '\n' ? n - 1 : n);
	printf("\nrecords     %llu, of which %llu are in the published checkpoint\nroot        "
	       "%s\n",
		(unsigned long long)size, (unsigned long long)l->c.size, root);
	print_cosigned(l->dir);
	printf("Nothing is checked here: agentctl audit verify does that.\n");
	return 0;
}

int audit_status(int argc, char **argv)
{
	struct paths p;
	struct error e;
	struct log l;
	int r;

	(void)argv;
	if (argc != 1)
		return audit_usage();
	if (paths_init(&p, NULL, &e) < 0)
		return audit_fail(&e, EXIT_UNDECIDED);
	r = open_log(&l, p.audit, "checkpoint", &e);
	if (r == 0)
		r = print_status(&l, &e);
	close_log(&l);
	return r < 0 ? audit_fail(&e, EXIT_UNDECIDED) : 0;
}
