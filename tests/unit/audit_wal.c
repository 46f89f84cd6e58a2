/* Durability and recovery: what survives a crash at any point, what is refused, and that no error of the
 * disk is ever taken for success. Through the library, with calls that fail on demand. */
#include <errno.h>
#include <signal.h>
#include <sodium.h>

#include "audit/publish.h"
#include "audit/reader.h"
#include "audit/tlog.h"
#include "audit/verify.h"
#include "tests/lib/audit_rig.h"

static char dir[64];
static int fd;
static struct wal_config config;
static struct error e;

static struct record_stamp when = {.boot_us = 5, .boot = "0123456789abcdef"};

static void setup(void)
{
	scratch_make(dir);
	fd = dir_open(dir, NULL);
	config = (struct wal_config){.segment_bytes = 1 << 20, .segment_leaves = 300};
	when.real_ns = io_now_real();
	ck_assert_int_eq(tlog_create(fd, &config, &when, &e), 0);
}

static void teardown(void)
{
	close(fd);
	scratch_remove(dir);
}

static struct tlog *must_open(struct tlog_recovery *found)
{
	struct tlog_recovery here;
	struct tlog *t = tlog_open(fd, &config, found ? found : &here, &e);

	if (!t)
		ck_abort_msg("%s", e.text);
	return t;
}

static void must_refuse(int code)
{
	struct tlog_recovery found;
	struct tlog *t = tlog_open(fd, &config, &found, &e);

	ck_assert_ptr_null(t);
	if (e.code != code)
		ck_abort_msg("expected %d, got %d: %s", code, e.code, e.text);
}

/* Stages one valid record with some padding. */
static void stage(struct tlog *t, size_t pad)
{
	static char buf[ENTRY_MAX], in[60000];
	int essential;
	size_t n;

	snprintf(in, sizeof in, "{\"k\":\"result\",\"x\":\"%0*d\"}", (int)pad + 1, 0);
	when.real_ns = io_now_real();
	n = record_encode(
		in, strlen(in), RECORD_FROM_BROKER, tlog_next(t), &when, buf, &essential, &e);
	ck_assert_uint_gt(n, 0);
	ck_assert_int_eq(tlog_stage(t, buf, n), 0);
}

static void append(struct tlog *t, unsigned records)
{
	for (unsigned i = 0; i < records; i++)
		stage(t, i * 7 % 300);
	ck_assert_int_eq(tlog_commit(t, &e), 0);
}

static void publish_all(struct tlog *t)
{
	struct publish *p = publish_open(fd, tlog_signer(t), &e);
	struct tree_hash root;

	ck_assert_ptr_nonnull(p);
	tlog_root(t, &root);
	if (publish_to(p, tlog_size(t), &root, &e) < 0)
		ck_abort_msg("%s", e.text);
	publish_close(p);
}

static enum verify_result verdict(void)
{
	struct verify_report *r = calloc(1, sizeof *r);
	enum verify_result v;

	verify_dir(fd, &(struct verify_options){0}, r);
	v = r->result;
	free(r);
	return v;
}

static const char *segment(uint64_t first)
{
	static char path[40];

	snprintf(path, sizeof path, "wal/%020llu.wal", (unsigned long long)first);
	return path;
}

/* Where the last batch of segment 0 begins and where its frames end. */
static struct wal_tail tail_of_segment(uint64_t first)
{
	struct wal_scan *s = wal_scan_open(fd, first, NULL, &e);
	struct wal_tail t;
	struct span leaf;
	uint64_t i;

	while (wal_scan_next(s, &i, &leaf, &e) == WAL_LEAF)
		continue;
	ck_assert_int_eq(wal_scan_tail(s, &t, &e), 0);
	wal_scan_close(s);
	return t;
}

static void poke(const char *path, uint64_t at, const void *p, size_t n)
{
	int f = openat(fd, path, O_RDWR);

	ck_assert_int_eq(pwrite(f, p, n, (off_t)at), (ssize_t)n);
	close(f);
}

/* ---- creation ---- */

START_TEST(a_segment_of_a_terabyte_costs_nothing)
{
	static struct verify_report r;
	char path[128];

	snprintf(path, sizeof path, "%s/wal/%020d.wal", dir, 0);
	ck_assert_int_eq(truncate(path, 1ll << 40), 0);
	must_refuse(EBADMSG);
	verify_dir(fd, &(struct verify_options){0}, &r);
	ck_assert_int_eq(r.result, VERIFY_TAMPERED);
}
END_TEST

START_TEST(a_log_goes_on_where_it_was)
{
	struct tlog *t = must_open(NULL);
	struct tree_hash before, after;

	ck_assert_uint_eq(tlog_size(t), 2); /* genesis and its seal */
	append(t, 3);
	append(t, 1);
	ck_assert_uint_eq(tlog_size(t), 8);
	tlog_root(t, &before);
	tlog_close(t);
	t = must_open(NULL);
	ck_assert_uint_eq(tlog_size(t), 8);
	tlog_root(t, &after);
	ck_assert(tree_hash_equal(&before, &after));
	publish_all(t);
	tlog_close(t);
	ck_assert_int_eq(verdict(), VERIFY_OK);
}
END_TEST

START_TEST(a_second_writer_is_refused)
{
	struct tlog *t = must_open(NULL);

	must_refuse(EWOULDBLOCK);
	tlog_close(t);
	tlog_close(must_open(NULL));
}
END_TEST

START_TEST(only_an_empty_directory_or_an_unfinished_creation_is_new)
{
	char other[64];
	int d;

	ck_assert_int_eq(tlog_exists(fd, &e), 1);
	scratch_make(other);
	d = dir_open(other, NULL);
	ck_assert_int_eq(tlog_exists(d, &e), 0);
	mkdirat(d, "wal", 0700);
	ck_assert_int_eq(tlog_exists(d, &e), 1);
	close(openat(d, "creating", O_CREAT | O_WRONLY, 0600));
	ck_assert_int_eq(tlog_exists(d, &e), 0);
	ck_assert_int_eq(tlog_create(d, &config, &when, &e), 0);
	ck_assert_int_eq(tlog_exists(d, &e), 1);
	close(openat(d, "creating", O_CREAT | O_WRONLY, 0600));
	ck_assert_int_eq(tlog_create(d, &config, &when, &e), 0); /* again, over the remains */
	close(openat(d, "something", O_CREAT | O_WRONLY, 0600));
	close(openat(d, "creating", O_CREAT | O_WRONLY, 0600));
	ck_assert_int_eq(tlog_exists(d, &e), 1);
	close(d);
	scratch_remove(other);
}
END_TEST

START_TEST(a_log_without_its_parts_is_refused)
{
	static const char *const parts[] = {"origin", "keys/log.key", "log.vkey"};

	tlog_close(must_open(NULL));
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		struct file f = slurp(dir, parts[i]);

		ck_assert_int_eq(unlinkat(fd, parts[i], 0), 0);
		must_refuse(ENOENT);
		f.p[3] ^= 1;
		spew(dir, parts[i], f.p, f.n);
		must_refuse(EBADMSG);
		f.p[3] ^= 1;
		spew(dir, parts[i], f.p, f.n);
		free(f.p);
	}
	tlog_close(must_open(NULL));
	unlinkat(fd, segment(0), 0);
	must_refuse(EBADMSG);
}
END_TEST

/* ---- crashes ---- */

/* Before the last of three_batches. A batch that was torn has not made keys move on. */
static struct file keys;

#define SLOTS "keys/seal.slots"

/* The log after three batches, the last of several records and more than a disk sector. */
static uint64_t three_batches(struct wal_tail *last)
{
	struct tlog *t = must_open(NULL);
	uint64_t before;

	append(t, 4);
	append(t, 2);
	before = tlog_size(t);
	keys = slurp(dir, SLOTS);
	append(t, 20);
	tlog_close(t);
	*last = tail_of_segment(0);
	ck_assert_uint_eq(last->bytes, 0);
	ck_assert_uint_gt(last->offset - last->batch_at, 2048);
	return before;
}

static void expect_torn(uint64_t before, const unsigned char *batch, size_t n)
{
	struct tlog_recovery found;
	struct tlog *t = must_open(&found);
	struct file q;

	ck_assert_uint_eq(tlog_size(t), before);
	ck_assert_uint_gt(found.torn_bytes, 0);
	ck_assert_uint_le(found.torn_bytes, n);
	q = slurp(dir, found.torn_file);
	ck_assert_uint_eq(q.n, found.torn_bytes);
	ck_assert_mem_eq(q.p, batch, q.n);
	free(q.p);
	tlog_close(t);
	t = must_open(&found); /* and now it is clean */
	ck_assert_uint_eq(found.torn_bytes, 0);
	ck_assert_uint_eq(tlog_size(t), before);
	tlog_close(t);
}

START_TEST(a_batch_torn_at_any_byte_is_set_aside_whole)
{
	struct wal_tail last;
	uint64_t before = three_batches(&last);
	size_t n = (size_t)(last.offset - last.batch_at);
	unsigned char *batch = malloc(n), *torn = malloc(n);
	struct file f = slurp(dir, segment(0));

	memcpy(batch, f.p + last.batch_at, n);
	for (size_t cut = 1; cut < n - 7; cut += 89) {
		memset(torn, 0, n);
		memcpy(torn, batch, cut);
		poke(segment(0), last.batch_at, torn, n);
		poke(SLOTS, 0, keys.p, keys.n);
		expect_torn(before, torn, n);
	}
	/* Nothing of it arrived: a clean end. */
	memset(torn, 0, n);
	poke(segment(0), last.batch_at, torn, n);
	tlog_close(must_open(NULL));
	/* All of it arrived: it counts, though nobody was told. */
	poke(segment(0), last.batch_at, batch, n);
	{
		struct tlog *t = must_open(NULL);

		ck_assert_uint_eq(tlog_size(t), before + 21);
		tlog_close(t);
	}
	free(batch);
	free(torn);
	free(f.p);
}
END_TEST

START_TEST(sectors_of_a_batch_that_arrive_out_of_order_are_set_aside)
{
	struct wal_tail last;
	uint64_t before = three_batches(&last);
	size_t n = (size_t)(last.offset - last.batch_at);
	struct file f = slurp(dir, segment(0));
	unsigned char *torn = malloc(n);
	unsigned seed = 7;

	for (int round = 0; round < 40; round++) {
		memcpy(torn, f.p + last.batch_at, n);
		/* 512-byte sectors of the file, at least one of them lost */
		for (uint64_t at = last.batch_at & ~511ull; at < last.offset; at += 512) {
			for (uint64_t i = at; i < at + 512; i++) {
				if (i >= last.batch_at && i < last.offset &&
					((at / 512 + (unsigned)round) % 3 == 0))
					torn[i - last.batch_at] = 0;
			}
			if (rand_r(&seed) % 4 == 0)
				break;
		}
		if (memcmp(torn, f.p + last.batch_at, n) == 0)
			continue;
		poke(segment(0), last.batch_at, torn, n);
		poke(SLOTS, 0, keys.p, keys.n);
		expect_torn(before, torn, n);
	}
	free(f.p);
	free(torn);
}
END_TEST

START_TEST(a_damaged_batch_with_whole_ones_behind_it_was_not_torn)
{
	struct wal_tail last;
	struct file f;

	three_batches(&last);
	f = slurp(dir, segment(0));
	/* every byte of everything acknowledged before the last batch, a sample */
	for (uint64_t at = WAL_HEADER; at < last.batch_at; at += 41) {
		unsigned char b = f.p[at] ^ 0x20;

		poke(segment(0), at, &b, 1);
		/* padding is not covered by anything and may be anything */
		{
			struct tlog_recovery found;
			struct tlog *t = tlog_open(fd, &config, &found, &e);

			if (t) {
				ck_assert_uint_eq(found.torn_bytes, 0);
				ck_assert_uint_eq(tlog_size(t), 31);
				tlog_close(t);
			} else {
				ck_assert_int_eq(e.code, EBADMSG);
				ck_assert_int_eq(verdict(), VERIFY_TAMPERED);
			}
		}
		poke(segment(0), at, f.p + at, 1);
	}
	tlog_close(must_open(NULL));
	poke(segment(0), 20, "x", 1);
	must_refuse(EBADMSG); /* the header, never written to while in use */
	free(f.p);
}
END_TEST

START_TEST(records_that_were_signed_for_cannot_vanish)
{
	struct wal_tail last;
	struct tlog *t;
	static const unsigned char zero[1 << 16];

	three_batches(&last);
	t = must_open(NULL);
	publish_all(t);
	tlog_close(t);
	poke(segment(0), last.batch_at, zero, (size_t)(last.offset - last.batch_at));
	must_refuse(EBADMSG);
	ck_assert_ptr_nonnull(strstr(e.text, "removed"));
}
END_TEST

START_TEST(a_lost_checkpoint_is_made_again_but_a_forged_one_is_not_forgiven)
{
	struct tlog_recovery found;
	struct wal_tail last;
	struct tlog *t;
	struct file f;

	three_batches(&last);
	t = must_open(NULL);
	publish_all(t);
	tlog_close(t);
	f = slurp(dir, "checkpoint");
	unlinkat(fd, "checkpoint", 0);
	t = must_open(&found);
	ck_assert(found.checkpoint_lost);
	publish_all(t);
	tlog_close(t);
	ck_assert_int_eq(verdict(), VERIFY_OK);
	spew(dir, "checkpoint", f.p, 20); /* torn by a power loss */
	tlog_close(must_open(&found));
	ck_assert(found.checkpoint_lost);
	f.p[12] = f.p[12] == '0' ? '1' : '0'; /* another origin */
	spew(dir, "checkpoint", f.p, f.n);
	must_refuse(EBADMSG);
	free(f.p);
}
END_TEST

/* ---- errors of the disk ---- */

static int syncs, writes, fail_sync, fail_write, short_write;

static ssize_t test_pwrite(int f, const void *p, size_t n, off_t at)
{
	writes++;
	if (fail_write) {
		errno = fail_write;
		return -1;
	}
	if (short_write) {
		short_write = 0;
		n = n / 2;
	}
	return pwrite(f, p, n, at);
}

static int test_fdatasync(int f)
{
	syncs++;
	if (fail_sync) {
		errno = fail_sync;
		return -1;
	}
	return fdatasync(f);
}

static struct tlog *open_with_faults(void)
{
	config.ops = (struct wal_ops){test_pwrite, test_fdatasync};
	return must_open(NULL);
}

START_TEST(the_first_error_of_fdatasync_is_final)
{
	struct tlog *t = open_with_faults();

	append(t, 2);
	syncs = writes = 0;
	fail_sync = EIO;
	stage(t, 10);
	ck_assert_int_lt(tlog_commit(t, &e), 0);
	ck_assert_int_eq(e.code, EIO);
	ck_assert_int_eq(syncs, 1);
	fail_sync = 0; /* the kernel would now say that all is well */
	ck_assert_int_lt(tlog_commit(t, &e), 0);
	ck_assert_int_lt(tlog_stage(t, "{}", 2), 0);
	ck_assert_int_lt(tlog_commit(t, &e), 0);
	ck_assert_int_eq(syncs, 1); /* never asked again */
	ck_assert_int_eq(writes, 1);
	ck_assert_uint_eq(tlog_size(t), 5);
	tlog_close(t);
	/* Recovery writes the last batch once more before it relies on it. */
	writes = 0;
	t = must_open(NULL);
	ck_assert_int_eq(writes, 1);
	ck_assert_uint_eq(tlog_size(t), 7);
	tlog_close(t);
}
END_TEST

START_TEST(the_first_error_of_write_is_final)
{
	static const int errors[] = {ENOSPC, EIO, EDQUOT, EROFS};

	for (size_t i = 0; i < 4; i++) {
		struct tlog *t = open_with_faults();

		fail_write = errors[i];
		stage(t, 10);
		syncs = 0;
		ck_assert_int_lt(tlog_commit(t, &e), 0);
		ck_assert_int_eq(e.code, errors[i]);
		fail_write = 0;
		ck_assert_int_lt(tlog_commit(t, &e), 0);
		ck_assert_int_eq(syncs, 0);
		tlog_close(t);
	}
}
END_TEST

START_TEST(a_segment_that_was_deleted_under_the_writer_takes_no_more)
{
	struct tlog *t = must_open(NULL);

	append(t, 2);
	unlinkat(fd, segment(0), 0);
	stage(t, 10);
	ck_assert_int_lt(tlog_commit(t, &e), 0);
	tlog_close(t);
	must_refuse(EBADMSG);
}
END_TEST

START_TEST(a_short_write_is_completed)
{
	struct tlog *t = open_with_faults();

	short_write = 1;
	append(t, 5);
	tlog_close(t);
	t = must_open(NULL);
	ck_assert_uint_eq(tlog_size(t), 8);
	tlog_close(t);
}
END_TEST

/* ---- segments ---- */

/* Appends in batches of this many, changing segments as the recorder does. */
static void append_rotating(struct tlog *t, unsigned records, unsigned batch)
{
	while (records) {
		unsigned n = records < batch ? records : batch;

		if (wal_rotation_due(tlog_wal(t))) {
			ck_assert_int_eq(wal_prepare(fd, &config, &e), 0);
			ck_assert_int_eq(wal_rotate(tlog_wal(t), &e), 0);
		}
		append(t, n);
		records -= n;
	}
}

static int segments(void)
{
	uint64_t first[64];

	return wal_list(fd, first, 64, &e);
}

START_TEST(full_segments_become_bundles_and_go)
{
	struct tlog *t = must_open(NULL);
	struct publish *p = publish_open(fd, tlog_signer(t), &e);
	struct tree_hash root;

	for (int round = 0; round < 6; round++) {
		append_rotating(t, 333, 17);
		tlog_root(t, &root);
		ck_assert_int_eq(publish_to(p, tlog_size(t), &root, &e), 0);
		ck_assert_int_eq(verdict(), VERIFY_OK);
		if (publish_retire(p, &e) < 0)
			ck_abort_msg("%s", e.text);
		ck_assert_int_le(segments(), 3);
	}
	publish_close(p);
	tlog_close(t);
	ck_assert_int_eq(verdict(), VERIFY_OK);
	/* A restart begins at the base, not at record 0. */
	t = must_open(NULL);
	ck_assert_uint_eq(tlog_size(t), 2 + 6 * (333 + 20));
	append_rotating(t, 700, 50);
	publish_all(t);
	tlog_close(t);
	ck_assert_int_eq(verdict(), VERIFY_OK);
}
END_TEST

START_TEST(a_crash_anywhere_in_retiring_a_segment_is_redone)
{
	struct tlog *t = must_open(NULL);
	struct publish *p = publish_open(fd, tlog_signer(t), &e);
	struct tree_hash root;
	struct file old;
	uint64_t first[64];
	int n;

	append_rotating(t, 900, 30);
	n = wal_list(fd, first, 64, &e);
	ck_assert_int_eq(n, 3);
	old = slurp(dir, segment(first[1])); /* the last one to be removed */
	tlog_root(t, &root);
	ck_assert_int_eq(publish_to(p, tlog_size(t), &root, &e), 0);
	ck_assert_int_eq(publish_retire(p, &e), 0);
	publish_close(p);
	tlog_close(t);
	/* the base is there, the segment was not removed yet */
	spew(dir, segment(first[1]), old.p, old.n);
	/* and a published tile behind the base was lost with the power */
	ck_assert_int_eq(unlinkat(fd, "tile/entries/003.p/164", 0), 0);
	t = must_open(NULL);
	ck_assert_uint_eq(tlog_size(t), 932);
	p = publish_open(fd, tlog_signer(t), &e);
	ck_assert_ptr_nonnull(p);
	tlog_root(t, &root);
	ck_assert_int_eq(publish_to(p, tlog_size(t), &root, &e), 0);
	ck_assert_int_eq(publish_retire(p, &e), 0);
	ck_assert_int_lt(faccessat(fd, segment(first[1]), F_OK, 0), 0);
	publish_close(p);
	tlog_close(t);
	ck_assert_int_eq(verdict(), VERIFY_OK);
	free(old.p);
}
END_TEST

START_TEST(a_lost_or_changed_segment_or_base_is_refused)
{
	struct tlog *t = must_open(NULL);
	uint64_t first[64];
	struct file f;
	int n;

	append_rotating(t, 1500, 40);
	publish_all(t);
	tlog_close(t);
	n = wal_list(fd, first, 64, &e);
	ck_assert_int_ge(n, 4);
	for (int i = 0; i < n; i++) {
		f = slurp(dir, segment(first[i]));
		unlinkat(fd, segment(first[i]), 0);
		must_refuse(EBADMSG);
		spew(dir, segment(first[i]), f.p, f.n);
		free(f.p);
	}
	t = must_open(NULL);
	tlog_close(t);
	/* a batch at the end of a segment that another one follows cannot be torn */
	f = slurp(dir, segment(first[1]));
	{
		struct wal_tail tail = tail_of_segment(first[1]);

		f.p[tail.offset - 20] ^= 1;
		spew(dir, segment(first[1]), f.p, f.n);
		must_refuse(EBADMSG);
		f.p[tail.offset - 20] ^= 1;
		spew(dir, segment(first[1]), f.p, f.n);
	}
	free(f.p);
	tlog_close(must_open(NULL));
}
END_TEST

START_TEST(a_changed_base_is_refused)
{
	struct tlog *t = must_open(NULL);
	struct publish *p = publish_open(fd, tlog_signer(t), &e);
	struct tree_hash root;
	struct file f;

	append_rotating(t, 900, 30);
	tlog_root(t, &root);
	ck_assert_int_eq(publish_to(p, tlog_size(t), &root, &e), 0);
	ck_assert_int_eq(publish_retire(p, &e), 0);
	publish_close(p);
	tlog_close(t);
	f = slurp(dir, "wal/base");
	for (size_t i = 0; i < f.n; i += 5) {
		f.p[i] ^= 1;
		spew(dir, "wal/base", f.p, f.n);
		must_refuse(EBADMSG);
		f.p[i] ^= 1;
	}
	unlinkat(fd, "wal/base", 0);
	must_refuse(EBADMSG); /* the segments do not begin at 0 */
	spew(dir, "wal/base", f.p, f.n);
	/* tiles that the publisher needs, changed while nobody wrote */
	t = must_open(NULL);
	free(f.p);
	f = slurp(dir, "tile/0/000");
	f.p[77] ^= 1;
	spew(dir, "tile/0/000", f.p, f.n);
	ck_assert_ptr_null(publish_open(fd, tlog_signer(t), &e));
	ck_assert_int_eq(e.code, EBADMSG);
	tlog_close(t);
	free(f.p);
}
END_TEST

START_TEST(a_bit_that_flips_on_disk_before_it_is_signed_stops_the_log)
{
	struct tlog *t = must_open(NULL);
	struct publish *p = publish_open(fd, tlog_signer(t), &e);
	struct file before = slurp(dir, "checkpoint"), after, f;
	struct tree_hash root;
	char *x;

	append(t, 5);
	/* with a right checksum, as a fault in memory before the write would give */
	f = slurp(dir, segment(0));
	x = memmem(f.p, f.n, "result", 6);
	ck_assert_ptr_nonnull(x);
	poke(segment(0), (uint64_t)((unsigned char *)x - f.p), "r", 1);
	tlog_root(t, &root);
	root.b[0] ^= 1;
	ck_assert_int_lt(publish_to(p, tlog_size(t), &root, &e), 0);
	ck_assert_int_eq(e.code, EBADMSG);
	after = slurp(dir, "checkpoint");
	ck_assert_uint_eq(before.n, after.n);
	ck_assert_mem_eq(before.p, after.p, after.n);
	publish_close(p);
	tlog_close(t);
}
END_TEST

START_TEST(a_reader_goes_through_bundles_segments_and_growth)
{
	struct tlog *t = must_open(NULL);
	struct publish *p = publish_open(fd, tlog_signer(t), &e);
	struct reader *r = reader_new(fd);
	struct tree_hash root;
	struct span s;
	uint64_t n = 0, size;

	for (int round = 0; round < 5; round++) {
		append_rotating(t, 400, 23);
		if (round == 2) {
			tlog_root(t, &root);
			ck_assert_int_eq(publish_to(p, tlog_size(t), &root, &e), 0);
			ck_assert_int_eq(publish_retire(p, &e), 0);
			reader_seek(r, 0);
			n = 0;
		}
		for (int got; (got = reader_next(r, &s, &e)) != 0; n++) {
			char want[24];

			if (got < 0)
				ck_abort_msg("%s", e.text);
			snprintf(want, sizeof want, "\"i\":%llu,", (unsigned long long)n);
			ck_assert_ptr_nonnull(memmem(s.p, s.n, want, strlen(want)));
		}
		ck_assert_uint_eq(n, tlog_size(t));
	}
	ck_assert_int_eq(reader_size(r, &size, &e), 0);
	ck_assert_uint_eq(size, n);
	reader_free(r);
	publish_close(p);
	tlog_close(t);
}
END_TEST

/* Appends, publishes and retires until it is killed. */
static void write_forever(void)
{
	struct tlog *t = must_open(NULL);
	struct publish *p = publish_open(fd, tlog_signer(t), &e);
	struct tree_hash root;

	for (;;) {
		append_rotating(t, 70, 7);
		tlog_root(t, &root);
		if (publish_to(p, tlog_size(t), &root, &e) < 0 || publish_retire(p, &e) < 0)
			_exit(1);
	}
}

START_TEST(verify_raises_no_alarm_beside_a_busy_writer)
{
	struct verify_report *r = calloc(1, sizeof *r);
	uint64_t end = io_now_mono() + 700000000u, last = 0;
	pid_t pid = fork();

	if (pid == 0)
		write_forever();
	while (io_now_mono() < end) {
		verify_dir(fd, &(struct verify_options){0}, r);
		/* before the child has the lock, the log is one at rest: that is no alarm either */
		if (r->result != VERIFY_OK)
			ck_abort_msg("verdict %d after %llu records: %s: %s", r->result,
				(unsigned long long)r->size, r->finding[0].kind,
				r->finding[0].text);
		ck_assert_uint_ge(r->size, last);
		last = r->size;
	}
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	free(r);
	tlog_close(must_open(NULL));
}
END_TEST

START_TEST(records_of_64_kib_fit)
{
	struct tlog *t = must_open(NULL);

	for (int i = 0; i < 12; i++) {
		stage(t, 59000);
		ck_assert_int_eq(tlog_commit(t, &e), 0);
		if (wal_rotation_due(tlog_wal(t))) {
			ck_assert_int_eq(wal_prepare(fd, &config, &e), 0);
			ck_assert_int_eq(wal_rotate(tlog_wal(t), &e), 0);
		}
	}
	publish_all(t);
	tlog_close(t);
	ck_assert_int_eq(verdict(), VERIFY_OK);
}
END_TEST

START_TEST(what_does_not_fit_in_the_segment_is_not_staged)
{
	struct tlog *t = must_open(NULL);
	static char big[ENTRY_MAX];
	unsigned staged = 0;

	memset(big, 'x', sizeof big);
	while (tlog_stage(t, big, sizeof big) == 0)
		ck_assert_uint_lt(staged++, 16); /* a segment of 1 MiB has room for 15 */
	ck_assert_uint_eq(staged, 15);
	ck_assert_int_eq(tlog_commit(t, &e), 0);
	ck_assert_int_lt(tlog_stage(t, big, sizeof big), 0);
	tlog_close(t);
	t = must_open(NULL);
	ck_assert_uint_eq(tlog_size(t), 18);
	tlog_close(t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("audit_wal");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 20);
	tcase_add_test(t, a_segment_of_a_terabyte_costs_nothing);
	tcase_add_test(t, a_log_goes_on_where_it_was);
	tcase_add_test(t, a_second_writer_is_refused);
	tcase_add_test(t, only_an_empty_directory_or_an_unfinished_creation_is_new);
	tcase_add_test(t, a_log_without_its_parts_is_refused);
	tcase_add_test(t, a_batch_torn_at_any_byte_is_set_aside_whole);
	tcase_add_test(t, sectors_of_a_batch_that_arrive_out_of_order_are_set_aside);
	tcase_add_test(t, a_damaged_batch_with_whole_ones_behind_it_was_not_torn);
	tcase_add_test(t, records_that_were_signed_for_cannot_vanish);
	tcase_add_test(t, a_lost_checkpoint_is_made_again_but_a_forged_one_is_not_forgiven);
	tcase_add_test(t, the_first_error_of_fdatasync_is_final);
	tcase_add_test(t, the_first_error_of_write_is_final);
	tcase_add_test(t, a_segment_that_was_deleted_under_the_writer_takes_no_more);
	tcase_add_test(t, a_short_write_is_completed);
	tcase_add_test(t, full_segments_become_bundles_and_go);
	tcase_add_test(t, a_crash_anywhere_in_retiring_a_segment_is_redone);
	tcase_add_test(t, a_lost_or_changed_segment_or_base_is_refused);
	tcase_add_test(t, a_changed_base_is_refused);
	tcase_add_test(t, a_bit_that_flips_on_disk_before_it_is_signed_stops_the_log);
	tcase_add_test(t, a_reader_goes_through_bundles_segments_and_growth);
	tcase_add_test(t, verify_raises_no_alarm_beside_a_busy_writer);
	tcase_add_test(t, records_of_64_kib_fit);
	tcase_add_test(t, what_does_not_fit_in_the_segment_is_not_staged);
	suite_add_tcase(s, t);
	return run_suite(s);
}
