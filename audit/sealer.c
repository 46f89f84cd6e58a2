/* Keys that seal, and where they are kept; see sealer.h. Must never sign two seals with one key, nor let a
 * seal become durable that names a key which is not. */
#include "audit/sealer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
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
#include "common/io.h"

#define SLOTS_PATH "keys/seal.slots"
#define SLOT       4096u
#define AT_ID      16u
#define AT_EPOCH   48u
#define AT_SEED    56u
#define AT_CRC     88u
#define USED       92u

static const char magic[AT_ID] = "agentd-seal-v1\n";

struct key {
	uint64_t epoch;
	unsigned char secret[SEAL_SECRET]; /* seed and public key */
	int there;
};

struct secrets { /* in locked memory */
	unsigned char page[SLOT]; /* first: O_DIRECT wants it aligned */
	struct key key[SEALER_SLOTS]; /* of epoch E at E mod SEALER_SLOTS */
};

struct sealer {
	int fd;
	unsigned char log_id[32];
	char origin[NOTE_NAME_MAX + 1];
	struct secrets *secret;
	uint64_t epoch, time_ns;
	ssize_t (*write)(int fd, const void *buf, size_t n, off_t at);
	/* the thread that stores keys; without it, they are stored at once */
	int threaded, stop, busy, failed; /* failed: errno of the write */
	uint64_t used; /* the epoch whose key goes */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
};

static const unsigned char *public_of(const struct key *k)
{
	return k->secret + SEAL_SEED;
}

static void from_seed(struct key *k, const unsigned char seed[SEAL_SEED])
{
	unsigned char pub[SEAL_PUB];

	crypto_sign_seed_keypair(pub, k->secret, seed);
}

static struct key *key_of(struct sealer *s, uint64_t epoch)
{
	return &s->secret->key[epoch % SEALER_SLOTS];
}

static void fresh(struct key *k, uint64_t epoch)
{
	unsigned char pub[SEAL_PUB];

	crypto_sign_keypair(pub, k->secret);
	k->epoch = epoch;
	k->there = 1;
}

/* ---- slots ---- */

static void fill_page(struct sealer *s, const struct key *k)
{
	unsigned char *p = s->secret->page;

	memset(p, 0, SLOT);
	memcpy(p, magic, sizeof magic);
	memcpy(p + AT_ID, s->log_id, sizeof s->log_id);
	bytes_put_le(p + AT_EPOCH, k->epoch, 8);
	memcpy(p + AT_SEED, k->secret, SEAL_SEED);
	bytes_put_le(p + AT_CRC, crc32c(0, p, AT_CRC), 4);
}

/* A slot that is torn, of another log or in the wrong place holds no key. */
static void read_page(struct sealer *s, size_t slot)
{
	const unsigned char *p = s->secret->page;
	struct key *k = &s->secret->key[slot];

	k->epoch = bytes_get_le(p + AT_EPOCH, 8);
	from_seed(k, p + AT_SEED);
	k->there = memcmp(p, magic, sizeof magic) == 0 &&
		   memcmp(p + AT_ID, s->log_id, sizeof s->log_id) == 0 &&
		   crc32c(0, p, AT_CRC) == (uint32_t)bytes_get_le(p + AT_CRC, 4) &&
		   k->epoch % SEALER_SLOTS == slot;
}

/* The descriptor is O_DSYNC: it is on stable storage when this returns. 0, or -1 with errno. */
static int store(struct sealer *s, size_t slot)
{
	ssize_t n;

	fill_page(s, &s->secret->key[slot]);
	n = s->write(s->fd, s->secret->page, SLOT, (off_t)(slot * SLOT));
	sodium_memzero(s->secret->page, SLOT);
	if (n >= 0 && n != (ssize_t)SLOT)
		errno = EIO;
	return n == (ssize_t)SLOT ? 0 : -1;
}

static int store_failed(int code, struct error *e)
{
	return error_set(e, code, "cannot store the log's next seal key");
}

/* Past the page cache where the file system can, so that no copy of a used key stays in it. */
static int open_slots(int logdir, int flags, struct error *e)
{
	int fd = dir_open_file(logdir, SLOTS_PATH, O_RDWR | O_DSYNC | O_DIRECT | flags, e);

	if (fd < 0 && e->code == EINVAL)
		fd = dir_open_file(logdir, SLOTS_PATH, O_RDWR | O_DSYNC | (flags & ~O_EXCL), e);
	return fd;
}

static struct sealer *new_sealer(
	int logdir, const unsigned char log_id[32], int flags, struct error *e)
{
	struct sealer *s = calloc(1, sizeof *s);

	if (!s) {
		error_set(e, ENOMEM, "cannot hold the log's seal keys");
		return NULL;
	}
	s->fd = -1;
	s->write = pwrite;
	memcpy(s->log_id, log_id, sizeof s->log_id);
	/* Its end is at a page's end; a multiple of a page begins at one, too. */
	s->secret = sodium_malloc((sizeof *s->secret + SLOT - 1) / SLOT * SLOT);
	if (!s->secret) {
		sealer_close(s);
		error_set(e, ENOMEM, "cannot lock memory for the log's seal keys");
		return NULL;
	}
	memset(s->secret, 0, sizeof *s->secret);
	s->fd = open_slots(logdir, flags, e);
	if (s->fd < 0) {
		sealer_close(s);
		return NULL;
	}
	return s;
}

int sealer_create(
	int logdir, const unsigned char log_id[32], unsigned char pub[SEAL_PUB], struct error *e)
{
	struct sealer *s = new_sealer(logdir, log_id, O_CREAT | O_EXCL, e);
	int r = 0;

	if (!s)
		return -1;
	if (fchmod(s->fd, 0600) < 0)
		r = error_set(e, errno, "cannot protect the log's seal keys");
	for (size_t i = 0; i < SEALER_SLOTS && r == 0; i++) {
		fresh(&s->secret->key[i], i);
		if (store(s, i) < 0)
			r = store_failed(errno, e);
	}
	if (r == 0)
		memcpy(pub, public_of(&s->secret->key[0]), SEAL_PUB);
	sealer_close(s);
	return r < 0 ? -1 : dir_sync(logdir, "keys", e);
}

struct sealer *sealer_open(
	int logdir, const unsigned char log_id[32], const char *origin, struct error *e)
{
	struct sealer *s = new_sealer(logdir, log_id, 0, e);

	if (!s)
		return NULL;
	snprintf(s->origin, sizeof s->origin, "%s", origin);
	for (size_t i = 0; i < SEALER_SLOTS; i++) {
		if (pread(s->fd, s->secret->page, SLOT, (off_t)(i * SLOT)) != (ssize_t)SLOT) {
			sealer_close(s);
			fault_set(e, EBADMSG, "KEYS_MISSING: " SLOTS_PATH " cannot be read whole");
			return NULL;
		}
		read_page(s, i);
	}
	sodium_memzero(s->secret->page, SLOT);
	return s;
}

void sealer_close(struct sealer *s)
{
	if (!s)
		return;
	if (s->threaded) {
		pthread_mutex_lock(&s->lock);
		s->stop = 1;
		pthread_cond_broadcast(&s->cond);
		pthread_mutex_unlock(&s->lock);
		pthread_join(s->thread, NULL);
		pthread_mutex_destroy(&s->lock);
		pthread_cond_destroy(&s->cond);
	}
	if (s->fd >= 0)
		close(s->fd);
	sodium_free(s->secret); /* wipes it */
	free(s);
}

/* ---- recovery ---- */

static int compare(struct sealer *s, uint64_t epoch, const unsigned char *expected, struct error *e)
{
	uint64_t last = 0;
	int any = 0;

	for (size_t i = 0; i < SEALER_SLOTS; i++) {
		const struct key *k = &s->secret->key[i];

		any |= k->there;
		if (k->there && k->epoch > last)
			last = k->epoch;
	}
	if (!any)
		return fault_set(
			e, EBADMSG, "KEYS_MISSING: " SLOTS_PATH " holds no key of this log");
	if (last > epoch && last - epoch >= SEALER_SLOTS)
		return fault_set(e, EBADMSG,
			"LOG_BEHIND_KEYS: the audit log has %" PRIu64 " seals, but %" PRIu64
			" were made: records that were durable are gone",
			epoch, last - SEALER_SLOTS + 1);
	if (!key_of(s, epoch)->there || key_of(s, epoch)->epoch != epoch)
		return fault_set(e, EBADMSG,
			"KEYS_BEHIND_LOG: " SLOTS_PATH " has no key for seal %llu: an older copy "
			"was put in its place",
			(unsigned long long)epoch);
	if (memcmp(public_of(key_of(s, epoch)), expected, SEAL_PUB) != 0)
		return fault_set(e, EBADMSG,
			"KEY_MISMATCH: the key for seal %llu is not the one that the log names",
			(unsigned long long)epoch);
	return 0;
}

int sealer_start(struct sealer *s, uint64_t epoch, const unsigned char pub[SEAL_PUB],
	uint64_t previous_ns, struct error *e)
{
	if (compare(s, epoch, pub, e) < 0)
		return -1;
	s->epoch = epoch;
	s->time_ns = previous_ns;
	for (uint64_t next = epoch + 1; next < epoch + SEALER_SLOTS; next++) {
		struct key *k = key_of(s, next);

		if (k->there && k->epoch == next)
			continue;
		fresh(k, next);
		if (store(s, next % SEALER_SLOTS) < 0)
			return store_failed(errno, e);
	}
	return 0;
}

/* ---- sealing ---- */

size_t sealer_seal(struct sealer *s, uint64_t index, const struct tree_hash *root, uint64_t now_ns,
	char leaf[SEAL_LEAF_MAX], struct error *e)
{
	struct seal seal = {.index = index, .epoch = s->epoch, .root = *root};

	seal.time_ns = now_ns > s->time_ns ? now_ns : s->time_ns + 1;
	memcpy(seal.next, public_of(key_of(s, s->epoch + 1)), sizeof seal.next);
	s->time_ns = seal.time_ns;
	return seal_write(&seal, s->origin, key_of(s, s->epoch)->secret, leaf, SEAL_LEAF_MAX, e);
}

/* Erases a used key by storing one to come in its place. 0, or -1 with errno. */
static int replace(struct sealer *s, uint64_t used)
{
	fresh(key_of(s, used), used + SEALER_SLOTS);
	return store(s, used % SEALER_SLOTS);
}

static void *run(void *arg)
{
	struct sealer *s = arg;

	pthread_mutex_lock(&s->lock);
	while (!s->stop || s->busy) {
		int failed;

		if (!s->busy) {
			pthread_cond_wait(&s->cond, &s->lock);
			continue;
		}
		pthread_mutex_unlock(&s->lock);
		failed = replace(s, s->used) < 0 ? errno : 0;
		pthread_mutex_lock(&s->lock);
		s->busy = 0;
		s->failed = failed;
		pthread_cond_broadcast(&s->cond);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

int sealer_begin_thread(struct sealer *s, struct error *e)
{
	int r;

	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->cond, NULL);
	r = pthread_create(&s->thread, NULL, run, s);
	if (r)
		return error_set(e, r, "cannot start the thread that stores seal keys");
	s->threaded = 1;
	return 0;
}

int sealer_wait(struct sealer *s, struct error *e)
{
	int failed;

	if (s->threaded)
		pthread_mutex_lock(&s->lock);
	while (s->busy)
		pthread_cond_wait(&s->cond, &s->lock);
	failed = s->failed;
	if (s->threaded)
		pthread_mutex_unlock(&s->lock);
	return failed ? store_failed(failed, e) : 0;
}

/* Nobody but the thread touches that key until it is done. */
static void hand_over(struct sealer *s, uint64_t used)
{
	if (!s->threaded) {
		s->failed = replace(s, used) < 0 ? errno : 0;
		return;
	}
	pthread_mutex_lock(&s->lock);
	s->used = used;
	s->busy = 1;
	pthread_cond_broadcast(&s->cond);
	pthread_mutex_unlock(&s->lock);
}

int sealer_sealed(struct sealer *s, struct error *e)
{
	uint64_t used = s->epoch;

	if (sealer_wait(s, e) < 0)
		return -1;
	s->epoch++;
	hand_over(s, used);
	return s->threaded ? 0 : sealer_wait(s, e);
}

uint64_t sealer_epoch(const struct sealer *s)
{
	return s->epoch;
}

void sealer_forget_time(struct sealer *s)
{
	s->time_ns = 0;
}

uint64_t sealer_time(const struct sealer *s)
{
	return s->time_ns;
}

void sealer_set_pwrite(
	struct sealer *s, ssize_t (*write)(int fd, const void *buf, size_t n, off_t at))
{
	s->write = write ? write : pwrite;
}
