/* The latch table; see latch.h. Mapped by the killer, the supervisor and `agentctl kill --direct` at
 * the same time; any of them may be killed or stopped between any two instructions. Must never
 * allocate, wait or take a lock after latch_open.
 *
 * Each slot is one 64-bit control word and two copies of its entry. The word says whether the slot
 * is used, which copy is the current one, whether the receipt still has to be logged, which process
 * is writing the other copy, and a generation that every change increments.
 *  - A writer claims the slot (its pid into the word), fills the copy that is not current, and
 *    publishes with one compare-and-swap. Killed in between, it leaves the slot as it was: readable,
 *    and set if it was set. Its claim stays; others use another slot, or take the claim over once no
 *    process has that pid.
 *  - Clearing and marking as logged change the word only, so they work on a claimed slot too.
 *  - A reader copies the current copy and looks at the word again: the same generation means that
 *    nobody can have written into what it copied.
 * Each copy has a checksum over its entry and its place. One that does not agree (a torn write to
 * disk, a damaged disk) makes the whole table latch everything: nobody knows what it held. */
#include "common/latch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"

#define MAGIC       "AGDLATCH"
#define VERSION     1u
#define ENTRY_WORDS (sizeof(struct latch_entry) / 8)
#define NOT_FOUND   LATCH_SLOTS

_Static_assert(sizeof(struct latch_entry) % 8 == 0, "entries are copied by 64-bit words");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "the table needs lock-free 64-bit atomics");

/* Control word: bits 0-2 flags, 8-31 pid of the writer (0: none), 32-63 generation. */
#define USED     1ull
#define SECOND   2ull /* copy 1 is current, not copy 0 */
#define UNLOGGED 4ull
#define WRITER   0xffffff00ull

struct copy {
	_Atomic uint64_t word[ENTRY_WORDS];
	_Atomic uint64_t sum;
};

struct head {
	char magic[8];
	uint32_t version, slots, entry_size;
	_Atomic uint32_t everyone; /* more latches than slots: everything is latched */
	_Atomic uint32_t saved_bad; /* the copy on disk cannot be trusted: everything is latched */
};

struct image { /* the file */
	union {
		struct head h;
		unsigned char page[4096];
	};
	_Atomic uint64_t control[LATCH_SLOTS];
	struct copy copies[LATCH_SLOTS][2];
};

struct latch_table {
	struct image *map;
	int damaged; /* map is then private memory: the file is left for a human to look at */
	int on_disk; /* live is the file on disk itself: there is no second one */
	struct image *snapshot; /* for latch_sync, which must not allocate; NULL with on_disk */
	char live[720], saved[720];
};

/* ---- control words ---- */

static uint64_t writer_of(uint64_t w)
{
	return (w & WRITER) >> 8;
}

static unsigned current_copy(uint64_t w)
{
	return w & SECOND ? 1 : 0;
}

static uint64_t my_claim(void)
{
	return ((uint64_t)getpid() << 8) & WRITER;
}

/* flags and writer as given, the next generation after w's. */
static uint64_t next_word(uint64_t w, uint64_t low)
{
	return (((w >> 32) + 1) << 32) | (low & 0xffffffffu);
}

static int change(struct image *m, unsigned slot, uint64_t *w, uint64_t low)
{
	return atomic_compare_exchange_strong(&m->control[slot], w, next_word(*w, low));
}

/* ---- copies ---- */

/* FNV-1a over words, with the place of the copy, so that a page that moved is noticed as well. */
static uint64_t checksum(const uint64_t word[ENTRY_WORDS], unsigned slot, unsigned which)
{
	uint64_t h = 14695981039346656037ull ^ (slot * 2ull + which + 1);

	for (size_t i = 0; i < ENTRY_WORDS; i++) {
		h = (h ^ word[i]) * 1099511628211ull;
		h ^= h >> 29;
	}
	return h;
}

static void store_copy(struct image *m, unsigned slot, unsigned which, const struct latch_entry *in)
{
	struct copy *c = &m->copies[slot][which];
	uint64_t word[ENTRY_WORDS];

	memcpy(word, in, sizeof word);
	/* A reader that sees one of these stores also sees the claim before them. */
	atomic_thread_fence(memory_order_release);
	for (size_t i = 0; i < ENTRY_WORDS; i++)
		atomic_store_explicit(&c->word[i], word[i], memory_order_relaxed);
	atomic_store_explicit(&c->sum, checksum(word, slot, which), memory_order_relaxed);
}

static int load_copy(const struct image *m, unsigned slot, unsigned which, struct latch_entry *out)
{
	const struct copy *c = &m->copies[slot][which];
	uint64_t word[ENTRY_WORDS], sum;

	for (size_t i = 0; i < ENTRY_WORDS; i++)
		word[i] = atomic_load_explicit(&c->word[i], memory_order_relaxed);
	sum = atomic_load_explicit(&c->sum, memory_order_relaxed);
	memcpy(out, word, sizeof word);
	return sum == checksum(word, slot, which);
}

static int text_ends(const char *s, size_t cap)
{
	return memchr(s, 0, cap) != NULL;
}

/* Reads a slot whole. 1 used and copied, 0 free, -1 damaged; *w is the word it was read under. */
static int read_slot(const struct image *m, unsigned slot, struct latch_entry *out, uint64_t *w)
{
	for (;;) {
		int whole;

		*w = atomic_load(&m->control[slot]);
		if (!(*w & USED))
			return 0;
		whole = load_copy(m, slot, current_copy(*w), out);
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load(&m->control[slot]) != *w)
			continue; /* somebody published or cleared meanwhile: that one got on */
		if (!whole || !text_ends(out->name, sizeof out->name) ||
			!text_ends(out->reason, sizeof out->reason))
			return -1;
		out->flags &= ~LATCH_UNLOGGED;
		if (*w & UNLOGGED)
			out->flags |= LATCH_UNLOGGED;
		return 1;
	}
}

/* ---- claiming ---- */

static int writable(uint64_t w)
{
	return !writer_of(w) || (kill((pid_t)writer_of(w), 0) < 0 && errno == ESRCH);
}

/* May this process write the slot's other copy? Takes over from a writer that is dead. A living one
 * (perhaps stopped) is never waited for. */
static int claim(struct image *m, unsigned slot, uint64_t *w)
{
	uint64_t low = (*w & ~WRITER) | my_claim();

	if (!writable(*w) || !change(m, slot, w, low))
		return 0;
	*w = next_word(*w, low);
	return 1;
}

/* Publishes what was written under a claim; only_used: not when the slot was cleared meanwhile.
 * 1 published, 0 not (and the claim is given back). */
static int publish(struct image *m, unsigned slot, uint64_t flags, int only_used)
{
	uint64_t w = atomic_load(&m->control[slot]);

	for (;;) {
		uint64_t other = ~w & SECOND;
		int go = !only_used || (w & USED);

		if ((w & WRITER) != my_claim())
			return 0;
		if (change(m, slot, &w, go ? USED | other | (flags & UNLOGGED) : w & ~WRITER))
			return go;
	}
}

/* *w is the word under which the caller decided for this slot: a change since then fails. */
static int write_slot(
	struct image *m, unsigned slot, uint64_t w, const struct latch_entry *in, int only_used)
{
	if (!claim(m, slot, &w))
		return 0;
	store_copy(m, slot, !current_copy(w), in);
	return publish(m, slot, in->flags & LATCH_UNLOGGED ? UNLOGGED : 0, only_used);
}

/* ---- setting ---- */

static int same_latch(const struct latch_entry *a, const struct latch_entry *b)
{
	if (a->uid != b->uid || (a->flags & LATCH_ALL) != (b->flags & LATCH_ALL))
		return 0;
	return (a->flags & LATCH_ALL) || strcmp(a->name, b->name) == 0;
}

struct survey { /* what the table has for one uid */
	unsigned same, free, last, last_logged, all, used_by_uid; /* slots, or NOT_FOUND */
	uint64_t same_w, free_w, last_w, last_logged_w, all_w;
};

static void note(unsigned *slot, uint64_t *word, unsigned i, uint64_t w)
{
	*slot = i;
	*word = w;
}

static void survey(const struct image *m, const struct latch_entry *in, struct survey *s)
{
	struct latch_entry e;
	uint64_t w;

	memset(s, 0, sizeof *s);
	s->same = s->free = s->last = s->last_logged = s->all = NOT_FOUND;
	for (unsigned i = 0; i < LATCH_SLOTS; i++) {
		int used = read_slot(m, i, &e, &w);

		if (used == 0 && s->free == NOT_FOUND && writable(w))
			note(&s->free, &s->free_w, i, w);
		if (used != 1 || e.uid != in->uid)
			continue;
		s->used_by_uid++;
		if (!writable(w))
			continue;
		if (same_latch(&e, in))
			note(&s->same, &s->same_w, i, w);
		if (e.flags & LATCH_ALL)
			note(&s->all, &s->all_w, i, w);
		note(&s->last, &s->last_w, i, w);
		if (!(w & UNLOGGED))
			note(&s->last_logged, &s->last_logged_w, i, w);
	}
}

/* One attempt. The slot, or NOT_FOUND when another process was quicker. */
static unsigned try_set(struct image *m, struct latch_entry *in)
{
	struct survey s;
	unsigned slot;
	uint64_t w;

	survey(m, in, &s);
	if (s.same != NOT_FOUND)
		return write_slot(m, s.same, s.same_w, in, 0) ? s.same : NOT_FOUND;
	if (s.free != NOT_FOUND && s.used_by_uid < LATCH_PER_UID)
		return write_slot(m, s.free, s.free_w, in, 0) ? s.free : NOT_FOUND;
	/* No slot for it: one of the uid's becomes ALL, best one that is ALL or logged already. */
	slot = s.all != NOT_FOUND ? s.all : s.last_logged != NOT_FOUND ? s.last_logged : s.last;
	w = s.all != NOT_FOUND ? s.all_w : s.last_logged != NOT_FOUND ? s.last_logged_w : s.last_w;
	if (slot == NOT_FOUND) {
		atomic_store(&m->h.everyone, 1);
		return LATCH_SLOTS - 1;
	}
	in->flags |= LATCH_ALL;
	return write_slot(m, slot, w, in, 0) ? slot : NOT_FOUND;
}

unsigned latch_set(struct latch_table *t, const struct latch_entry *in)
{
	struct latch_entry e = *in;
	unsigned slot = NOT_FOUND;

	e.name[sizeof e.name - 1] = 0;
	e.reason[sizeof e.reason - 1] = 0;
	while (slot == NOT_FOUND) {
		e.flags = in->flags;
		slot = try_set(t->map, &e);
	}
	/* Before the caller looks at the cgroup: see the proof in common/kill.c. */
	atomic_thread_fence(memory_order_seq_cst);
	return slot;
}

int latch_update(struct latch_table *t, unsigned i, const struct latch_entry *in)
{
	struct latch_entry now, e = *in;
	uint64_t w;

	if (i >= LATCH_SLOTS)
		return 0;
	for (;;) {
		if (read_slot(t->map, i, &now, &w) != 1 || now.uid != in->uid ||
			now.at_ns != in->at_ns || !writable(w))
			return 0;
		e.flags |= now.flags & LATCH_ALL; /* it may have become one for lack of slots */
		if (write_slot(t->map, i, w, &e, 1))
			return 1;
	}
}

/* ---- asking ---- */

static void explain(struct latch_entry *why, uid_t uid, const char *text)
{
	if (!why)
		return;
	memset(why, 0, sizeof *why);
	why->uid = uid;
	why->flags = LATCH_ALL;
	snprintf(why->reason, sizeof why->reason, "%s", text);
}

static int stops(
	const struct latch_entry *e, uid_t uid, const char *name, const unsigned char identity[32])
{
	if (e->uid != uid)
		return 0;
	return (e->flags & LATCH_ALL) || strcmp(e->name, name) == 0 ||
	       (identity && (e->flags & LATCH_IDENTITY) &&
		       memcmp(e->identity, identity, sizeof e->identity) == 0);
}

int latch_check(const struct latch_table *t, uid_t uid, const char *name,
	const unsigned char identity[32], struct latch_entry *why)
{
	struct latch_entry e;
	uint64_t w;

	/* The caller has put the launch into its cgroup before: see common/kill.c. */
	atomic_thread_fence(memory_order_seq_cst);
	if (t->damaged || atomic_load(&t->map->h.saved_bad)) {
		explain(why, uid, "the latch table is damaged: everything is latched");
		return 1;
	}
	if (atomic_load(&t->map->h.everyone)) {
		explain(why, uid, "the latch table is full: everything is latched");
		return 1;
	}
	for (unsigned i = 0; i < LATCH_SLOTS; i++) {
		int used = read_slot(t->map, i, &e, &w);

		if (used < 0) {
			explain(why, uid, "the latch table is damaged: everything is latched");
			return 1;
		}
		if (used && stops(&e, uid, name, identity)) {
			if (why)
				*why = e;
			return 1;
		}
	}
	return 0;
}

int latch_damaged(const struct latch_table *t)
{
	struct latch_entry e;
	uint64_t w;

	if (t->damaged || atomic_load(&t->map->h.everyone) || atomic_load(&t->map->h.saved_bad))
		return 1;
	for (unsigned i = 0; i < LATCH_SLOTS; i++)
		if (read_slot(t->map, i, &e, &w) < 0)
			return 1;
	return 0;
}

int latch_get(const struct latch_table *t, unsigned i, struct latch_entry *out)
{
	uint64_t w;

	return i < LATCH_SLOTS && read_slot(t->map, i, out, &w) == 1;
}

/* ---- clearing ---- */

/* uid NULL: everyone's; name NULL: all of the uid. */
static unsigned clear(struct image *m, const uid_t *uid, const char *name)
{
	struct latch_entry e;
	unsigned removed = 0;
	uint64_t w;

	for (unsigned i = 0; i < LATCH_SLOTS; i++) {
		while (read_slot(m, i, &e, &w) == 1 && (!uid || e.uid == *uid) &&
			(!name || (!(e.flags & LATCH_ALL) && strcmp(e.name, name) == 0))) {
			if (change(m, i, &w, w & ~(USED | UNLOGGED))) {
				removed++;
				break;
			}
		}
	}
	return removed;
}

unsigned latch_clear(struct latch_table *t, uid_t uid, const char *name)
{
	return clear(t->map, &uid, name);
}

unsigned latch_clear_everyone(struct latch_table *t)
{
	return clear(t->map, NULL, NULL) + atomic_exchange(&t->map->h.everyone, 0);
}

void latch_logged(struct latch_table *t, unsigned i, uint64_t at_ns)
{
	struct latch_entry e;
	uint64_t w;

	if (i >= LATCH_SLOTS)
		return;
	while (read_slot(t->map, i, &e, &w) == 1 && e.at_ns == at_ns && (w & UNLOGGED)) {
		if (change(t->map, i, &w, w & ~UNLOGGED))
			return;
	}
}

size_t latch_receipt_text(const struct latch_entry *in, char *buf, size_t cap)
{
	int n = snprintf(buf, cap,
		"agentd-kill v1 uid=%u name=%s sandbox=%llu by=%u at=%llu tasks=%u "
		"unconfirmed=%u us=%llu\n",
		in->uid, *in->name ? in->name : "*", (unsigned long long)in->sandbox, in->by_uid,
		(unsigned long long)in->at_ns, in->tasks, in->unconfirmed,
		(unsigned long long)in->took_us);

	if (n < 0 || !cap)
		return 0;
	return (size_t)n < cap ? (size_t)n : cap - 1;
}

/* ---- the files ---- */

#define STATE_NAME "/var/lib/agentd/latches"
#define RUN_NAME   "/run/agentd/latches"

/* A store into a page of a file on disk can wait for the disk (a journal, a frozen file system), so
 * the table lives in RUN, which is memory, and STATE has a copy for the next boot. */
static int name_files(struct latch_table *t, const char *path, struct error *e)
{
	size_t n = strlen(path), tail = strlen(STATE_NAME);

	if (n + 16 >= sizeof t->live)
		return error_set(e, ENAMETOOLONG, "latch table %s", path);
	memcpy(t->saved, path, n + 1);
	t->on_disk = n < tail || strcmp(path + n - tail, STATE_NAME) != 0;
	if (t->on_disk)
		memcpy(t->live, path, n + 1);
	else
		snprintf(t->live, sizeof t->live, "%.*s%s", (int)(n - tail), path, RUN_NAME);
	return 0;
}

static int head_ok(const struct head *h)
{
	return memcmp(h->magic, MAGIC, sizeof h->magic) == 0 && h->version == VERSION &&
	       h->slots == LATCH_SLOTS && h->entry_size == sizeof(struct latch_entry);
}

static void fill_head(struct head *h)
{
	memcpy(h->magic, MAGIC, sizeof h->magic);
	h->version = VERSION;
	h->slots = LATCH_SLOTS;
	h->entry_size = sizeof(struct latch_entry);
}

static int image_ok(const struct image *m)
{
	struct latch_entry e;
	uint64_t w;

	if (!head_ok(&m->h))
		return 0;
	for (unsigned i = 0; i < LATCH_SLOTS; i++)
		if (read_slot(m, i, &e, &w) < 0)
			return 0;
	return 1;
}

static int sync_parent(const char *path)
{
	char dir[720];
	cleanup_close int fd = -1;
	const char *slash = strrchr(path, '/');

	snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -1 : fsync(fd);
}

/* Writes m (NULL: an empty table) as a new file at temp, all of it on disk. */
static int write_temp(const char *temp, const struct image *m)
{
	static const char zeros[4096];
	struct head h = {.everyone = 0};
	size_t left = sizeof *m;
	cleanup_close int fd = open(temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -1;
	if (m)
		return io_write_all(fd, m, sizeof *m) < 0 ? -1 : fsync(fd);
	/* Real zeros, not fallocate(2): a later store must need neither space nor an extent change. */
	while (left) {
		size_t n = left < sizeof zeros ? left : sizeof zeros;

		if (io_write_all(fd, zeros, n) < 0)
			return -1;
		left -= n;
	}
	fill_head(&h);
	return pwrite(fd, &h, sizeof h, 0) != (ssize_t)sizeof h ? -1 : fsync(fd);
}

static void temp_name(char *temp, size_t cap, const char *path)
{
	snprintf(temp, cap, "%s.new-%d", path, (int)getpid());
	unlink(temp);
}

/* The file appears under its name when it is complete; whoever is second at that uses the first
 * one's. */
static int make_file(const char *path, const struct image *m, struct error *e)
{
	char temp[760];
	int r;

	temp_name(temp, sizeof temp, path);
	r = write_temp(temp, m);
	if (r == 0 && link(temp, path) < 0 && errno != EEXIST)
		r = -1;
	if (r < 0)
		error_set(e, errno, "cannot make the latch table %s", path);
	unlink(temp);
	return r < 0 ? -1 : sync_parent(path);
}

/* The copy on disk, mapped read-only. 1, 0 when there is none, -1 when it cannot be trusted. */
static int map_saved(const char *path, struct image **m)
{
	cleanup_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	void *p;

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size != (off_t)sizeof **m)
		return -1;
	p = mmap(NULL, sizeof **m, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return -1;
	*m = p;
	if (image_ok(p))
		return 1;
	munmap(p, sizeof **m);
	return -1;
}

/* Makes the live table from the copy on disk, as after a boot. */
static int make_live(const struct latch_table *t, struct error *e)
{
	struct image *saved = NULL;
	int have = t->on_disk ? 0 : map_saved(t->saved, &saved), r;
	char dir[720];

	if (have < 0)
		return error_set(e, 0, "the latch table %s is damaged", t->saved);
	if (!t->on_disk) { /* RUN may not be there: nothing ran since the machine has started */
		snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(t->live, '/') - t->live), t->live);
		mkdir(dir, 0755);
	}
	r = make_file(t->live, saved, e);
	if (saved)
		munmap(saved, sizeof *saved);
	return r;
}

static int open_live(struct latch_table *t, struct error *e)
{
	for (int made = 0;; made = 1) {
		int fd = open(t->live, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

		if (fd >= 0)
			return fd;
		if (errno != ENOENT || made)
			return error_set(e, errno, "cannot open the latch table %s", t->live);
		if (make_live(t, e) < 0)
			return -1;
	}
}

/* Writes to every page, so that the first latch takes no page fault that reads the disk. */
static void touch_pages(struct image *m)
{
	for (unsigned i = 0; i < LATCH_SLOTS; i++) {
		atomic_fetch_or(&m->control[i], 0);
		atomic_fetch_or(&m->copies[i][0].sum, 0);
		atomic_fetch_or(&m->copies[i][1].sum, 0);
	}
	atomic_fetch_or(&m->h.everyone, 0);
}

/* 0 or -1 with errno; the caller unmaps. */
static int private_image(struct image **m)
{
	void *p =
		mmap(NULL, sizeof **m, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*m = NULL;
	if (p == MAP_FAILED)
		return -1;
	*m = p;
	return 0;
}

/* A damaged file is not touched. The caller gets private memory, in which latches can be set but
 * which stops every launch. */
static int map_file(struct latch_table *t, int fd, struct error *e)
{
	struct stat st;
	void *p = MAP_FAILED;

	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)))
		return error_set(e, 0, "the latch table %s is not a regular file", t->live);
	if (fd >= 0 && st.st_size == (off_t)sizeof(struct image)) {
		p = mmap(NULL, sizeof(struct image), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED)
			return error_set(e, errno, "cannot map the latch table %s", t->live);
		t->map = p;
		if (head_ok(&t->map->h))
			return 0;
		munmap(p, sizeof(struct image));
	}
	t->damaged = 1;
	return private_image(&t->map) == 0
		       ? 0
		       : error_set(e, errno, "cannot map the latch table %s", t->live);
}

static int open_files(struct latch_table *t, const char *path, struct error *e)
{
	cleanup_close int fd = -1;
	struct error why = {0};

	if (name_files(t, path, e) < 0)
		return -1;
	fd = open_live(t, &why);
	if (fd < 0 && why.code != 0) {
		*e = why;
		return -1;
	}
	if (map_file(t, fd, e) < 0)
		return -1;
	touch_pages(t->map);
	if (!t->on_disk && private_image(&t->snapshot) < 0)
		return error_set(e, errno, "cannot open the latch table %s", t->live);
	return 0;
}

struct latch_table *latch_open(const char *path, struct error *e)
{
	struct latch_table *t = calloc(1, sizeof *t);

	if (!t) {
		error_set(e, errno, "cannot open the latch table %s", path);
		return NULL;
	}
	if (open_files(t, path, e) == 0)
		return t;
	latch_close(t);
	return NULL;
}

void latch_close(struct latch_table *t)
{
	if (!t)
		return;
	if (t->map)
		munmap(t->map, sizeof *t->map);
	if (t->snapshot)
		munmap(t->snapshot, sizeof *t->snapshot);
	free(t);
}

int latch_check_saved(struct latch_table *t)
{
	struct image *saved = NULL;
	int have = t->on_disk || t->damaged ? 0 : map_saved(t->saved, &saved);

	if (have > 0)
		munmap(saved, sizeof *saved);
	atomic_store(&t->map->h.saved_bad, have < 0);
	return have < 0 ? -1 : 0;
}

/* ---- the copy on disk ---- */

/* A table with only what is used, each entry whole. A damaged slot is copied as it is, so that the
 * damage is not lost. */
static void take_snapshot(const struct image *m, struct image *out)
{
	struct latch_entry e;
	uint64_t w;

	memset(out, 0, sizeof *out);
	fill_head(&out->h);
	atomic_store(&out->h.everyone, atomic_load(&m->h.everyone));
	for (unsigned i = 0; i < LATCH_SLOTS; i++) {
		int used = read_slot(m, i, &e, &w);

		if (used == 0)
			continue;
		if (used > 0)
			store_copy(out, i, 0, &e);
		atomic_store(&out->control[i], USED | (w & UNLOGGED));
	}
}

static int replace_saved(const struct latch_table *t)
{
	char temp[760];

	snprintf(
		temp, sizeof temp, "%s.new", t->saved); /* one at a time: the caller has the lock */
	unlink(temp);
	if (write_temp(temp, t->snapshot) == 0 && renameat(AT_FDCWD, temp, AT_FDCWD, t->saved) == 0)
		return sync_parent(t->saved);
	unlink(temp);
	return -1;
}

/* For a full disk: the blocks are there. If it is torn by a crash, the checksums say so. */
static int overwrite_saved(const struct latch_table *t)
{
	cleanup_close int fd = open(t->saved, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || io_write_all(fd, t->snapshot, sizeof *t->snapshot) < 0)
		return -1;
	return fsync(fd);
}

int latch_sync(struct latch_table *t)
{
	cleanup_close int lock = -1;

	if (t->damaged || atomic_load(&t->map->h.saved_bad))
		return 0; /* left for a human to look at */
	if (t->on_disk)
		return msync(t->map, sizeof *t->map, MS_SYNC);
	/* One at a time, each with what the table holds then: the last copy is the newest. */
	lock = open(t->live, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (lock < 0 || flock(lock, LOCK_EX) < 0)
		return -1;
	take_snapshot(t->map, t->snapshot);
	return replace_saved(t) == 0 ? 0 : overwrite_saved(t);
}
