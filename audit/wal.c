/* Segments, frames and batches of the write-ahead log; see wal.h. Called by tlog.c, publish.c, reader.c
 * and verify.c. Must never overwrite a whole batch, nor retry a failed fdatasync. */
#include "audit/wal.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/bytes.h"
#include "audit/crc32c.h"
#include "audit/dir.h"
#include "audit/fault.h"
#include "common/cleanup.h"

#define FRAME_LEAF 1
#define FRAME_LAST 1
#define LEAF_MAX   65535u
#define WINDOW     (256u << 10) /* read at once; always holds the largest frame */
#define WAL_NEXT   "wal/next"

static const char magic[16] = "agentd-wal-v1\n";

static int is_zero(const unsigned char *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

size_t wal_frame_size(size_t n)
{
	return (WAL_FRAME + n + 7) & ~(size_t)7;
}

static uint64_t segment_bytes(const struct wal_config *c)
{
	return c->segment_bytes ? c->segment_bytes : WAL_SEGMENT_BYTES;
}

static uint64_t segment_leaves(const struct wal_config *c)
{
	return c->segment_leaves ? c->segment_leaves : 65536;
}

static void segment_path(char buf[40], uint64_t first)
{
	snprintf(buf, 40, "wal/%020llu.wal", (unsigned long long)first);
}

/* ---- segments ---- */

static void make_header(unsigned char h[WAL_HEADER], const unsigned char log_id[32])
{
	memset(h, 0, WAL_HEADER);
	memcpy(h, magic, sizeof magic);
	memcpy(h + 16, log_id, 32);
	bytes_put_le(h + 48, crc32c(0, h, 48), 4);
}

static int header_ok(const unsigned char h[WAL_HEADER], const unsigned char *log_id)
{
	return memcmp(h, magic, sizeof magic) == 0 && bytes_get_le(h + 48, 4) == crc32c(0, h, 48) &&
	       is_zero(h + 52, WAL_HEADER - 52) && (!log_id || memcmp(h + 16, log_id, 32) == 0);
}

int wal_is_prepared(int logdir)
{
	return faccessat(logdir, WAL_NEXT, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Zeroes are written, not only allocated: an unwritten extent would cost a journal commit at its first
 * write, in the middle of somebody's decision. */
static int fill(int fd, const struct wal_config *c)
{
	static const unsigned char zero[1 << 16];
	unsigned char header[WAL_HEADER];
	uint64_t left = segment_bytes(c);

	make_header(header, c->log_id);
	while (left) {
		size_t n = left < sizeof zero ? (size_t)left : sizeof zero;

		if (io_write_all(fd, zero, n) < 0)
			return -1;
		left -= n;
	}
	if (pwrite(fd, header, sizeof header, 0) != (ssize_t)sizeof header)
		return -1;
	return fsync(fd);
}

int wal_prepare(int logdir, const struct wal_config *c, struct error *e)
{
	static const char tmp[] = "tmp/next";
	cleanup_close int fd = -1;

	if (wal_is_prepared(logdir))
		return 0;
	fd = dir_open_file(logdir, tmp, O_RDWR | O_CREAT | O_TRUNC, e);
	if (fd < 0)
		return -1;
	if (fill(fd, c) < 0 || renameat(logdir, tmp, logdir, WAL_NEXT) < 0) {
		error_set(e, errno, "cannot prepare the next segment of the audit log");
		unlinkat(logdir, tmp, 0);
		return -1;
	}
	return dir_sync(logdir, "wal", e);
}

struct listing {
	uint64_t *first;
	size_t n, cap;
};

/* 20 digits and .wal, nothing else. */
static int parse_segment_name(const char *name, uint64_t *first)
{
	char *end;

	if (strlen(name) != 24 || strspn(name, "0123456789") != 20 ||
		strcmp(name + 20, ".wal") != 0)
		return -1;
	errno = 0;
	*first = strtoull(name, &end, 10);
	return errno ? -1 : 0;
}

static int list_one(void *ctx, const char *name)
{
	struct listing *l = ctx;
	uint64_t first;

	if (parse_segment_name(name, &first) < 0)
		return 0;
	if (l->n == l->cap)
		return 1;
	l->first[l->n++] = first;
	return 0;
}

static int ascending(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

int wal_list(int logdir, uint64_t *first, size_t cap, struct error *e)
{
	struct listing l = {.first = first, .cap = cap};
	int r = dir_each(logdir, "wal", list_one, &l, e);

	if (r < 0)
		return -1;
	if (r > 0)
		return error_set(e, 0, "the audit log has more than %zu segments", cap);
	qsort(first, l.n, sizeof *first, ascending);
	return (int)l.n;
}

int wal_exists(int logdir, uint64_t first)
{
	char path[40];

	segment_path(path, first);
	return faccessat(logdir, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int wal_remove(int logdir, uint64_t first, struct error *e)
{
	char path[40];

	segment_path(path, first);
	if (unlinkat(logdir, path, 0) < 0 && errno != ENOENT)
		return error_set(e, errno, "cannot remove %s", path);
	return dir_sync(logdir, "wal", e);
}

/* ---- reading ---- */

struct wal_scan {
	int fd;
	uint64_t at; /* of the next frame */
	uint64_t next; /* its index */
	uint64_t batch_end; /* frames before this offset belong to a batch that was found whole */
	uint64_t batch_at; /* where the last whole batch begins */
	uint64_t first; /* index of the segment's first leaf */
	uint64_t win_at;
	size_t win_n;
	size_t win_want; /* bytes to read at once; small when following a growing log */
	unsigned char win[WINDOW];
};

struct frame {
	unsigned flags;
	size_t len;
	uint64_t index, batch;
	const unsigned char *leaf;
};

uint64_t wal_scan_first(const struct wal_scan *s)
{
	return s->first;
}

/* n bytes at offset at, or NULL at the end of the file or when it cannot be read. */
static const unsigned char *fetch(struct wal_scan *s, uint64_t at, size_t n)
{
	ssize_t got;

	if (at >= s->win_at && at + n <= s->win_at + s->win_n)
		return s->win + (at - s->win_at);
	got = pread(s->fd, s->win, s->win_want > n ? s->win_want : n, (off_t)at);
	s->win_at = at;
	s->win_n = got < 0 ? 0 : (size_t)got;
	s->win_want = s->win_want < WINDOW / 2 ? s->win_want * 2 : WINDOW;
	return s->win_n >= n ? s->win : NULL;
}

static uint32_t frame_crc(const unsigned char *p, size_t len)
{
	uint32_t crc = crc32c(0, p, 4);

	return crc32c(crc, p + 8, WAL_FRAME - 8 + len);
}

/* 0 when a whole frame is there. */
static int read_frame(struct wal_scan *s, uint64_t at, struct frame *f)
{
	const unsigned char *p = fetch(s, at, WAL_FRAME);

	if (!p || p[0] != FRAME_LEAF || p[1] > FRAME_LAST)
		return -1;
	f->len = (size_t)bytes_get_le(p + 2, 2);
	p = fetch(s, at, WAL_FRAME + f->len);
	if (!p || (uint32_t)bytes_get_le(p + 4, 4) != frame_crc(p, f->len))
		return -1;
	f->flags = p[1];
	f->index = bytes_get_le(p + 8, 8);
	f->batch = bytes_get_le(p + 16, 8);
	f->leaf = p + WAL_FRAME;
	return 0;
}

struct wal_scan *wal_scan_open(
	int logdir, uint64_t first, const unsigned char log_id[32], struct error *e)
{
	struct wal_scan *s;
	const unsigned char *h;
	struct stat st;
	char path[40];
	int fd;

	segment_path(path, first);
	fd = dir_open_file(logdir, path, O_RDONLY, e);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) < 0 || st.st_size > WAL_SEGMENT_MAX) {
		close(fd);
		fault_set(e, EBADMSG, "%s is larger than any segment", path);
		return NULL;
	}
	s = malloc(sizeof *s);
	if (!s) {
		close(fd);
		error_set(e, ENOMEM, "cannot read %s", path);
		return NULL;
	}
	s->fd = fd;
	s->at = s->batch_at = s->batch_end = WAL_HEADER;
	s->next = s->first = first;
	s->win_at = s->win_n = 0;
	s->win_want = WINDOW;
	h = fetch(s, 0, WAL_HEADER);
	if (!h || !header_ok(h, log_id)) {
		fault_set(e, EBADMSG, "the header of %s is damaged or of another log", path);
		wal_scan_close(s);
		return NULL;
	}
	return s;
}

void wal_scan_close(struct wal_scan *s)
{
	if (!s)
		return;
	close(s->fd);
	free(s);
}

uint64_t wal_scan_index(const struct wal_scan *s)
{
	return s->next;
}

/* Looks for a whole batch at s->at. 1 and batch_end is set, or enum wal_found. */
static int find_batch(struct wal_scan *s)
{
	uint64_t at = s->at, index = s->next;
	const unsigned char *p = fetch(s, at, WAL_FRAME);
	struct frame f;

	if (!p || is_zero(p, WAL_FRAME))
		return WAL_END;
	do {
		if (at - s->at > WAL_BATCH_MAX || read_frame(s, at, &f) < 0 || f.index != index ||
			f.batch != s->next)
			return WAL_TORN;
		at += wal_frame_size(f.len);
		index++;
	} while (!(f.flags & FRAME_LAST));
	s->batch_at = s->at;
	s->batch_end = at;
	return WAL_LEAF;
}

/* The same, but what the window held may be older than the batch: in a live log look again. */
static int find_batch_now(struct wal_scan *s)
{
	int r = find_batch(s);

	if (r <= 0) {
		s->win_n = 0;
		s->win_want = 4096;
		r = find_batch(s);
	}
	return r;
}

int wal_scan_next(struct wal_scan *s, uint64_t *index, struct span *leaf, struct error *e)
{
	struct frame f;

	if (s->at == s->batch_end) {
		int r = find_batch_now(s);

		if (r <= 0)
			return r;
	}
	if (read_frame(s, s->at, &f) < 0) {
		fault_set(e, EIO, "the write-ahead log changed while it was read");
		return WAL_ERROR;
	}
	*index = f.index;
	*leaf = (struct span){(const char *)f.leaf, f.len};
	s->at += wal_frame_size(f.len);
	s->next++;
	return WAL_LEAF;
}

/* Where the last byte that is not zero lies behind offset at; at itself when there is none. */
static uint64_t last_nonzero(struct wal_scan *s, uint64_t at)
{
	uint64_t end = at;

	for (uint64_t pos = at;; pos += s->win_n) {
		s->win_n = 0;
		if (!fetch(s, pos, 1))
			return end;
		if (is_zero(s->win, s->win_n)) /* nearly always, and much faster */
			continue;
		for (size_t i = s->win_n; i-- > 0;) {
			if (s->win[i]) {
				end = pos + i + 1;
				break;
			}
		}
	}
}

/* Counts whole frames at every place where one could be. */
static void count_frames(struct wal_scan *s, uint64_t from, uint64_t to, struct wal_tail *out)
{
	for (uint64_t at = from; at < to;) {
		const unsigned char *p = fetch(s, at, 1);
		struct frame f;

		if (p && *p == FRAME_LEAF && read_frame(s, at, &f) == 0 && f.index >= s->next) {
			out->frames++;
			if (f.batch > s->next)
				out->damaged = 1;
			at += wal_frame_size(f.len);
		} else {
			at += 8;
		}
	}
}

static int hash_range(struct wal_scan *s, uint64_t from, uint64_t to, unsigned char out[32])
{
	crypto_hash_sha256_state h;

	crypto_hash_sha256_init(&h);
	while (from < to) {
		size_t n = to - from < WINDOW ? (size_t)(to - from) : WINDOW;
		const unsigned char *p = fetch(s, from, n);

		if (!p)
			return -1;
		crypto_hash_sha256_update(&h, p, n);
		from += n;
	}
	crypto_hash_sha256_final(&h, out);
	return 0;
}

int wal_scan_tail(struct wal_scan *s, struct wal_tail *out, struct error *e)
{
	uint64_t end;

	s->win_want = WINDOW;
	end = last_nonzero(s, s->at);
	memset(out, 0, sizeof *out);
	out->offset = s->at;
	out->batch_at = s->batch_end > s->batch_at ? s->batch_at : s->at;
	out->bytes = end - s->at;
	count_frames(s, s->at, end, out);
	if (hash_range(s, s->at, end, out->sha256) < 0)
		return error_set(e, EIO, "cannot read the end of the write-ahead log");
	return 0;
}

/* ---- writing ---- */

struct wal {
	int logdir; /* the caller's */
	int fd;
	struct wal_config c;
	uint64_t first; /* of this segment */
	uint64_t at; /* offset where the batch goes */
	uint64_t durable; /* index behind the last durable leaf: the batch's first */
	size_t staged; /* leaves in the batch */
	size_t len; /* bytes in it */
	size_t last; /* offset of its last frame in buf */
	int dead;
	unsigned char *buf; /* WAL_BATCH_MAX */
};

static int open_segment(int logdir, uint64_t first, struct error *e)
{
	char path[40];

	segment_path(path, first);
	return dir_open_file(logdir, path, O_RDWR, e);
}

/* Makes sure that what recovery counts as written is written. */
static int redo_last_batch(struct wal *w, const struct wal_tail *t, struct error *e)
{
	size_t n = (size_t)(t->offset - t->batch_at);
	ssize_t got = n <= WAL_BATCH_MAX ? pread(w->fd, w->buf, n, (off_t)t->batch_at) : -1;

	if (got != (ssize_t)n)
		return error_set(e, EIO, "cannot read the last batch of the audit log");
	if (w->c.ops.pwrite(w->fd, w->buf, n, (off_t)t->batch_at) != (ssize_t)n ||
		w->c.ops.fdatasync(w->fd) < 0)
		return error_set(e, errno, "cannot make the audit log durable");
	return 0;
}

struct wal *wal_open(int logdir, const struct wal_config *c, uint64_t first,
	const struct wal_tail *tail, uint64_t next, struct error *e)
{
	struct wal *w = calloc(1, sizeof *w);

	if (w)
		w->buf = malloc(WAL_BATCH_MAX);
	if (!w || !w->buf) {
		error_set(e, ENOMEM, "cannot open the write-ahead log");
		free(w);
		return NULL;
	}
	w->logdir = logdir;
	w->c = *c;
	if (!w->c.ops.pwrite)
		w->c.ops.pwrite = pwrite;
	if (!w->c.ops.fdatasync)
		w->c.ops.fdatasync = fdatasync;
	w->first = first;
	w->at = tail->offset;
	w->durable = next;
	w->fd = open_segment(logdir, first, e);
	if (w->fd < 0 || redo_last_batch(w, tail, e) < 0) {
		wal_close(w);
		return NULL;
	}
	return w;
}

void wal_close(struct wal *w)
{
	if (!w)
		return;
	if (w->fd >= 0)
		close(w->fd);
	free(w->buf);
	free(w);
}

/* Copies a range of the segment to the file to. */
static int copy_aside(struct wal *w, const struct wal_tail *t, const char *to, struct error *e)
{
	cleanup_free unsigned char *buf = malloc((size_t)t->bytes);
	size_t got = 0;

	if (!buf)
		return error_set(e, ENOMEM, "cannot hold the torn end of the audit log");
	while (got < t->bytes) {
		ssize_t r =
			pread(w->fd, buf + got, (size_t)t->bytes - got, (off_t)(t->offset + got));

		if (r <= 0)
			return error_set(e, r ? errno : EIO, "cannot read the torn end of the log");
		got += (size_t)r;
	}
	if (dir_write(w->logdir, to, buf, got, 1, e) < 0)
		return -1;
	return dir_sync(w->logdir, "quarantine", e);
}

int wal_quarantine(struct wal *w, const struct wal_tail *t, const char *to, struct error *e)
{
	static const unsigned char zero[1 << 16];

	if (copy_aside(w, t, to, e) < 0)
		return -1;
	for (uint64_t done = 0; done < t->bytes;) {
		size_t n = t->bytes - done < sizeof zero ? (size_t)(t->bytes - done) : sizeof zero;

		if (w->c.ops.pwrite(w->fd, zero, n, (off_t)(t->offset + done)) != (ssize_t)n)
			return error_set(e, errno, "cannot clear the torn end of the audit log");
		done += n;
	}
	if (w->c.ops.fdatasync(w->fd) < 0)
		return error_set(e, errno, "cannot clear the torn end of the audit log");
	return 0;
}

uint64_t wal_room(const struct wal *w)
{
	uint64_t used = w->at + w->len, size = segment_bytes(&w->c);
	uint64_t room = used < size ? size - used : 0;

	return room < WAL_BATCH_MAX - w->len ? room : WAL_BATCH_MAX - w->len;
}

int wal_rotation_due(const struct wal *w)
{
	uint64_t size = segment_bytes(&w->c);
	uint64_t reserve =
		2 * (uint64_t)WAL_BATCH_MAX < size / 2 ? 2 * (uint64_t)WAL_BATCH_MAX : size / 2;

	return w->staged == 0 && w->durable > w->first &&
	       (w->at + reserve > size || w->durable - w->first >= segment_leaves(&w->c));
}

int wal_rotate(struct wal *w, struct error *e)
{
	char path[40];
	int fd;

	if (w->dead || w->staged || !wal_is_prepared(w->logdir))
		return fault_set(e, ENOENT, "the next segment of the audit log is not ready");
	segment_path(path, w->durable);
	/* The directory must remember the name before a leaf in it can be acknowledged. */
	if (renameat(w->logdir, WAL_NEXT, w->logdir, path) < 0)
		return error_set(e, errno, "cannot begin %s", path);
	fd = dir_sync(w->logdir, "wal", e) < 0 ? -1 : open_segment(w->logdir, w->durable, e);
	if (fd < 0) {
		w->dead = 1;
		return -1;
	}
	close(w->fd);
	w->fd = fd;
	w->first = w->durable;
	w->at = WAL_HEADER;
	return 0;
}

int wal_stage(struct wal *w, const void *leaf, size_t n)
{
	unsigned char *p = w->buf + w->len;
	size_t size = wal_frame_size(n);

	if (w->dead || n > LEAF_MAX || size > wal_room(w))
		return -1;
	p[0] = FRAME_LEAF;
	p[1] = 0;
	bytes_put_le(p + 2, n, 2);
	bytes_put_le(p + 8, w->durable + w->staged, 8);
	bytes_put_le(p + 16, w->durable, 8);
	memcpy(p + WAL_FRAME, leaf, n);
	memset(p + WAL_FRAME + n, 0, size - WAL_FRAME - n);
	bytes_put_le(p + 4, frame_crc(p, n), 4);
	w->last = w->len;
	w->len += size;
	w->staged++;
	return 0;
}

size_t wal_staged(const struct wal *w)
{
	return w->staged;
}

uint64_t wal_next(const struct wal *w)
{
	return w->durable + w->staged;
}

static void mark_last(struct wal *w)
{
	unsigned char *p = w->buf + w->last;

	p[1] = FRAME_LAST;
	bytes_put_le(p + 4, frame_crc(p, (size_t)bytes_get_le(p + 2, 2)), 4);
}

static int write_batch(struct wal *w)
{
	size_t done = 0;

	while (done < w->len) {
		ssize_t r =
			w->c.ops.pwrite(w->fd, w->buf + done, w->len - done, (off_t)(w->at + done));

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0) {
			errno = r ? errno : EIO;
			return -1;
		}
		done += (size_t)r;
	}
	return w->c.ops.fdatasync(w->fd);
}

/* What is written to a file that nobody can find any more is not recorded. */
static int is_linked(const struct wal *w)
{
	struct stat st;

	if (fstat(w->fd, &st) < 0)
		return 0;
	errno = ENOENT;
	return st.st_nlink > 0;
}

int wal_commit(struct wal *w, struct error *e)
{
	if (w->dead)
		return fault_set(e, EIO, "the audit log was given up after an error");
	if (w->staged == 0)
		return 0;
	mark_last(w);
	if (write_batch(w) < 0 || !is_linked(w)) {
		w->dead = 1;
		return error_set(e, errno, "cannot make the audit log durable");
	}
	w->at += w->len;
	w->durable += w->staged;
	w->staged = w->len = 0;
	return 0;
}
