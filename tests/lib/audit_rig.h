/* For tests of the audit library: scratch directories, the key of the vectors, and a writer of whole
 * static logs (bundles, tiles, checkpoint) that can be told to lie. */
#ifndef TESTS_AUDIT_RIG_H
#define TESTS_AUDIT_RIG_H

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit/base.h"
#include "audit/dir.h"
#include "audit/note.h"
#include "audit/tile.h"
#include "audit/tree.h"
#include "common/io.h"

#define VECTORS       "tests/vectors/audit/"
#define VECTOR_ORIGIN "agentlog.example/dev1"

static inline void run_quietly(const char *prog, const char *a, const char *b, const char *c)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execlp(prog, prog, a, b, c, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
}

static inline void scratch_make(char dir[64])
{
	const char *base = getenv("TMPDIR");

	snprintf(dir, 64, "%s/agentd-audit-XXXXXX", base ? base : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static inline void scratch_remove(const char *dir)
{
	run_quietly("rm", "-rf", dir, NULL);
}

/* A copy of a vector directory. */
static inline void scratch_copy(char dir[64], const char *vector)
{
	char from[128];

	scratch_make(dir);
	snprintf(from, sizeof from, VECTORS "%s/.", vector);
	run_quietly("cp", "-r", from, dir);
}

/* The log's key of the vectors: seed 00..1f. add: another key. */
static inline struct note_signer *vector_signer(const char *name, unsigned char add)
{
	unsigned char seed[32];
	struct note_signer *s;

	for (unsigned char i = 0; i < 32; i++)
		seed[i] = (unsigned char)(i + add);
	s = note_signer_new(name, seed, NULL);
	ck_assert_ptr_nonnull(s);
	return s;
}

struct file {
	unsigned char *p;
	size_t n;
};

/* The bytes live for the whole test: a list keeps them, so that a leak checker knows they are meant
 * to stay. */
static inline void keep(void *p)
{
	static struct kept {
		void *p;
		struct kept *next;
	} * all;
	struct kept *k = malloc(sizeof *k);

	ck_assert_ptr_nonnull(k);
	*k = (struct kept){p, all};
	all = k;
}

static inline struct file slurp(const char *dir, const char *path)
{
	int fd = dir_open(dir, NULL);
	struct file f = {0};
	struct error e;

	f.p = dir_read(fd, path, 64u << 20, &f.n, &e);
	if (!f.p)
		ck_abort_msg("%s", e.text);
	keep(f.p);
	close(fd);
	return f;
}

static inline void spew(const char *dir, const char *path, const void *p, size_t n)
{
	int fd = dir_open(dir, NULL);
	struct error e;

	dir_mkdir(fd, "tmp", 0700, &e);
	if (dir_write(fd, path, p, n, 0, &e) < 0)
		ck_abort_msg("%s", e.text);
	close(fd);
}

struct entries {
	size_t n;
	struct span e[2000];
};

/* The lines of a vector's entries.ndjson; their bytes live for the whole test. */
static inline void load_entries(const char *vector, struct entries *out)
{
	char dir[128];
	struct file f;
	char *p;

	snprintf(dir, sizeof dir, VECTORS "%s", vector);
	f = slurp(dir, "entries.ndjson");
	p = (char *)f.p;
	out->n = 0;
	while (p < (char *)f.p + f.n) {
		char *lf = memchr(p, '\n', f.n - (size_t)(p - (char *)f.p));
		size_t n = lf ? (size_t)(lf - p) : f.n - (size_t)(p - (char *)f.p);

		out->e[out->n++] = (struct span){p, n};
		p += n + 1;
	}
}

enum { WRITE_BUNDLES = 1, WRITE_TILES0 = 2, WRITE_UPPER = 4, WRITE_CHECKPOINT = 8, WRITE_ALL = 15 };

static inline void write_level(
	const char *dir, int level, const struct tree_hash *h, size_t n, int what)
{
	char path[TILE_PATH_CAP];
	struct tree_hash up[64];
	size_t nup = 0;

	for (size_t at = 0; at < n; at += TILE_WIDTH) {
		unsigned w = n - at < TILE_WIDTH ? (unsigned)(n - at) : TILE_WIDTH;

		tile_path(path, level, at / TILE_WIDTH, w);
		if (what & (level ? WRITE_UPPER : WRITE_TILES0))
			spew(dir, path, h + at, w * sizeof *h);
		if (w == TILE_WIDTH) {
			struct tree *t = tree_new();

			for (unsigned i = 0; i < w; i++)
				tree_append(t, &h[at + i]);
			tree_root(t, &up[nup++]);
			tree_free(t);
		}
	}
	if (nup)
		write_level(dir, level + 1, up, nup, what);
}

static inline void write_bundles(const char *dir, const struct entries *x)
{
	static unsigned char buf[BUNDLE_MAX];
	char path[TILE_PATH_CAP];

	for (size_t at = 0; at < x->n; at += TILE_WIDTH) {
		unsigned w = x->n - at < TILE_WIDTH ? (unsigned)(x->n - at) : TILE_WIDTH;
		size_t n = 0;

		for (unsigned i = 0; i < w; i++)
			bundle_put(buf, &n, x->e[at + i].p, x->e[at + i].n);
		tile_path(path, TILE_ENTRIES, at / TILE_WIDTH, w);
		spew(dir, path, buf, n);
	}
}

/* Writes the chosen parts of a log with these entries, signed by s. */
static inline void write_log(
	const char *dir, const struct entries *x, const struct note_signer *s, int what)
{
	static struct tree_hash leaf[2000];
	struct tree *t = tree_new();
	struct tree_hash root;
	char note[2048];
	size_t n;

	for (size_t i = 0; i < x->n; i++) {
		tree_leaf_hash(x->e[i].p, x->e[i].n, &leaf[i]);
		tree_append(t, &leaf[i]);
	}
	tree_root(t, &root);
	tree_free(t);
	write_level(dir, 0, leaf, x->n, what);
	if (what & WRITE_BUNDLES)
		write_bundles(dir, x);
	if (what & WRITE_CHECKPOINT) {
		n = base_sign(s, x->n, &root, note, sizeof note, NULL);
		ck_assert_uint_gt(n, 0);
		spew(dir, "checkpoint", note, n);
	}
}

static inline int run_suite(Suite *s)
{
	SRunner *r = srunner_create(s);
	int failed;

	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}

#endif
