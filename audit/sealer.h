/* The keys that seal: made fresh, used once, erased. Only the log's writer has them. In keys/seal.slots,
 * SEALER_SLOTS slots of 4096 bytes, the key of epoch E in slot E mod SEALER_SLOTS:
 *   "agentd-seal-v1\n\0", SHA-256 of the origin, u64 epoch, the seed, u32 crc32c of these; little-endian.
 *
 * When commit E is durable, the key of E + 3 takes the place of E's: one write erases the one and stores
 * the other. It may overlap commit E + 1, not E + 2. So
 *   a key of an epoch E + 3 shows that commit E was durable once, and
 *   a seal of epoch E names a key (that of E + 1) that is on stable storage already,
 * which is what recovery goes by (sealer_start).
 *
 * Erasing means overwriting in place: it is not kept on file systems that copy on write, nor by a flash
 * disk's spare blocks. */
#ifndef AUDIT_SEALER_H
#define AUDIT_SEALER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "audit/seal.h"
#include "common/error.h"

#define SEALER_SLOTS 3u

struct sealer;

/* Makes the file with the keys of the first epochs, durably. pub: the key of epoch 0. 0 or -1. */
int sealer_create(
	int logdir, const unsigned char log_id[32], unsigned char pub[SEAL_PUB], struct error *e);

/* Reads the file. NULL with *e filled: ENOENT (no slots), EBADMSG (damaged). */
struct sealer *sealer_open(
	int logdir, const unsigned char log_id[32], const char *origin, struct error *e);
void sealer_close(struct sealer *s); /* waits for a write under way; wipes the keys */

/* Compares the keys with the log: epoch is that of the seal which comes next, pub the key that the last
 * one named for it, previous the time of that one. Makes keys again that a crash kept from being stored,
 * and erases one that it kept from being erased. 0; -1 with EBADMSG when the log was shortened, the keys
 * are older than it, or not its own. */
int sealer_start(struct sealer *s, uint64_t epoch, const unsigned char pub[SEAL_PUB],
	uint64_t previous_ns, struct error *e);

/* The leaf that seals [0, index), whose root this is, at now (never earlier than the seal before).
 * Returns its length, or 0 with *e filled. */
size_t sealer_seal(struct sealer *s, uint64_t index, const struct tree_hash *root, uint64_t now_ns,
	char leaf[SEAL_LEAF_MAX], struct error *e);

/* Keys are stored by a thread from now on, while the next commit is under way; before, at once. */
int sealer_begin_thread(struct sealer *s, struct error *e);

/* The seal is durable: its key is erased and one to come is stored. Waits until this is done for the seal
 * before. 0, or -1: nothing may be sealed any more. */
int sealer_sealed(struct sealer *s, struct error *e);

/* Waits until what sealer_sealed began is on stable storage. 0 or -1. */
int sealer_wait(struct sealer *s, struct error *e);

uint64_t sealer_epoch(const struct sealer *s); /* of the next seal */
uint64_t sealer_time(const struct sealer *s); /* of the last one, ns */
void sealer_forget_time(struct sealer *s); /* the next one may be older than the last */

/* For tests: what writes a slot (pwrite(2)); NULL for the system's. */
void sealer_set_pwrite(
	struct sealer *s, ssize_t (*write)(int fd, const void *buf, size_t n, off_t at));

#endif
