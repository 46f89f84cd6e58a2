/* Creating, recovering and growing a log; see tlog.h. Must never take a missing or shortened log for a
 * new one, nor let two writers in. */
#include "audit/tlog.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/base.h"
#include "audit/checkpoint.h"
#include "audit/dir.h"
#include "audit/fault.h"
#include "audit/publish.h"
#include "audit/reader.h"
#include "audit/seal.h"
#include "audit/sealer.h"
#include "audit/tile.h"
#include "common/cleanup.h"
#include "common/io.h"

/* Made first and removed last: what is there together with it was never a log. */
#define CREATING "creating"
#define SEED_LEN crypto_sign_SEEDBYTES

struct tlog {
	int logdir; /* the caller's */
	int lock;
	char origin[NOTE_NAME_MAX + 1];
	struct note_signer *signer;
	struct tree *tree; /* durable and staged records */
	struct wal *wal;
	struct sealer *sealer;
	uint64_t size; /* durable records */
	struct seal_chain chain; /* while recovering */
	size_t seal_len; /* of the last seal's leaf */
	char seal_leaf[SEAL_LEAF_MAX];
};

static struct tlog *new_tlog(int logdir, struct error *e)
{
	struct tlog *t = calloc(1, sizeof *t);

	if (!t) {
		error_set(e, ENOMEM, "cannot open the audit log");
		return NULL;
	}
	t->logdir = logdir;
	t->lock = -1;
	return t;
}

/* ---- creation ---- */

static int not_ours(void *ctx, const char *name)
{
	static const char *const partial[] = {CREATING, "origin", "log.vkey", "keys", "lock", "wal",
		"tmp", "quarantine", "tile", "checkpoint", "lost+found"};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_LEN(partial); i++) {
		if (strcmp(name, partial[i]) == 0)
			return 0;
	}
	return 1;
}

int tlog_exists(int logdir, struct error *e)
{
	int any = dir_has_entries(logdir, e);

	if (any <= 0)
		return any;
	if (faccessat(logdir, CREATING, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 1;
	return dir_each(logdir, ".", not_ours, NULL, e);
}

struct emptying {
	int fd;
};

static int unlink_one(void *ctx, const char *name)
{
	unlinkat(((struct emptying *)ctx)->fd, name, 0);
	return 0;
}

static void empty_dir(int logdir, const char *path)
{
	struct emptying x = {.fd = -1};
	struct error e;

	x.fd = dir_open_sub(logdir, path, &e);
	if (x.fd < 0)
		return;
	(void)dir_each(x.fd, ".", unlink_one, &x, &e);
	close(x.fd);
}

static int make_frame(int logdir, struct error *e)
{
	static const char *const dirs[] = {"wal", "tmp", "quarantine"};
	cleanup_close int fd = dir_open_file(logdir, CREATING, O_WRONLY | O_CREAT, e);

	if (fd < 0 || dir_sync(logdir, ".", e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		if (dir_mkdir(logdir, dirs[i], 0750, e) < 0)
			return -1;
		empty_dir(logdir, dirs[i]);
	}
	if (dir_mkdir(logdir, "keys", 0700, e) < 0)
		return -1;
	empty_dir(logdir, "keys");
	return 0;
}

static int store_key(int logdir, const unsigned char seed[SEED_LEN], struct error *e)
{
	cleanup_close int fd =
		dir_open_file(logdir, "keys/log.key", O_WRONLY | O_CREAT | O_EXCL, e);

	if (fd < 0)
		return -1;
	if (fchmod(fd, 0600) < 0 || io_write_all(fd, seed, SEED_LEN) < 0 || fsync(fd) < 0)
		return error_set(e, errno, "cannot store the log's key");
	return dir_sync(logdir, "keys", e);
}

static int store_name(int logdir, const struct note_signer *signer, struct error *e)
{
	char buf[NOTE_VKEY_MAX + 1];
	size_t n =
		(size_t)snprintf(buf, sizeof buf, "%s\n", note_vkey_name(note_signer_vkey(signer)));

	if (dir_write(logdir, "origin", buf, n, 1, e) < 0)
		return -1;
	n = note_vkey_format(note_signer_vkey(signer), buf);
	buf[n++] = '\n';
	return dir_write(logdir, "log.vkey", buf, n, 1, e);
}

static struct note_signer *make_signer(int logdir, struct error *e)
{
	unsigned char seed[SEED_LEN], id[10];
	char origin[64], hex[2 * sizeof id + 1];
	struct note_signer *s;

	if (sodium_init() < 0) {
		error_set(e, 0, "libsodium does not work on this machine");
		return NULL;
	}
	sodium_mlock(seed, sizeof seed);
	randombytes_buf(seed, sizeof seed);
	randombytes_buf(id, sizeof id);
	sodium_bin2hex(hex, sizeof hex, id, sizeof id);
	snprintf(origin, sizeof origin, "agentlog.%s/v1", hex);
	s = note_signer_new(origin, seed, e);
	if (s && store_key(logdir, seed, e) < 0) {
		note_signer_free(s);
		s = NULL;
	}
	sodium_munlock(seed, sizeof seed); /* wipes it */
	return s;
}

static void log_id_of(const char *origin, unsigned char id[32])
{
	crypto_hash_sha256(id, (const unsigned char *)origin, strlen(origin));
}

/* The first record: which log this is, by its own key, and by the key of the first seal. */
static size_t make_genesis(const struct note_signer *signer, const unsigned char seal_pub[SEAL_PUB],
	const struct record_stamp *when, char *buf, struct error *e)
{
	char vkey[NOTE_VKEY_MAX], seal[NOTE_VKEY_MAX], name[NOTE_NAME_MAX + 1];
	const char *origin = note_vkey_name(note_signer_vkey(signer));
	struct note_vkey *k =
		seal_key_name(origin, name) < 0 ? NULL : note_vkey_new(name, seal_pub, e);
	json_t *o;
	size_t n;
	int essential;

	if (!k)
		return 0;
	note_vkey_format(note_signer_vkey(signer), vkey);
	note_vkey_format(k, seal);
	note_vkey_free(k);
	o = json_pack("{s:s,s:s,s:s,s:s,s:s}", "k", "genesis", "origin", origin, "vkey", vkey,
		"seal", seal, "writer_isolation", "uid");
	if (!o) {
		error_set(e, ENOMEM, "cannot make the genesis record");
		return 0;
	}
	n = record_encode_object(o, RECORD_FROM_RECORDER, 0, when, buf, &essential, e);
	json_decref(o);
	return n;
}

/* So that there is no log without a checkpoint. */
static int publish_first(const struct tlog *t, struct error *e)
{
	struct publish *p = publish_open(t->logdir, t->signer, e);
	struct tree_hash root;
	int r;

	tree_root(t->tree, &root);
	r = p ? publish_to(p, t->size, &root, e) : -1;
	publish_close(p);
	return r;
}

static int begin_segment(int logdir, const struct wal_config *c, struct error *e)
{
	char path[40];

	if (wal_prepare(logdir, c, e) < 0)
		return -1;
	snprintf(path, sizeof path, "wal/%020d.wal", 0);
	if (renameat(logdir, "wal/next", logdir, path) < 0)
		return error_set(e, errno, "cannot begin %s", path);
	return 0;
}

static int write_genesis(struct tlog *t, const struct wal_config *c, const unsigned char *seal_pub,
	const struct record_stamp *when, struct error *e)
{
	struct wal_tail start = {.offset = WAL_HEADER, .batch_at = WAL_HEADER};
	char record[ENTRY_MAX];
	size_t n = make_genesis(t->signer, seal_pub, when, record, e);

	if (n == 0 || begin_segment(t->logdir, c, e) < 0)
		return -1;
	t->tree = tree_new();
	t->wal = wal_open(t->logdir, c, 0, &start, 0, e);
	if (!t->tree || !t->wal || tlog_stage(t, record, n) < 0 || tlog_commit(t, e) < 0 ||
		sealer_wait(t->sealer, e) < 0)
		return -1;
	return dir_sync(t->logdir, "wal", e) < 0 ? -1 : publish_first(t, e);
}

static int make_log(
	struct tlog *t, struct wal_config *c, const struct record_stamp *when, struct error *e)
{
	unsigned char pub[SEAL_PUB];

	t->signer = make_signer(t->logdir, e);
	if (!t->signer)
		return -1;
	snprintf(t->origin, sizeof t->origin, "%s", note_vkey_name(note_signer_vkey(t->signer)));
	log_id_of(t->origin, c->log_id);
	if (store_name(t->logdir, t->signer, e) < 0 ||
		sealer_create(t->logdir, c->log_id, pub, e) < 0)
		return -1;
	t->sealer = sealer_open(t->logdir, c->log_id, t->origin, e);
	if (!t->sealer || sealer_start(t->sealer, 0, pub, 0, e) < 0)
		return -1;
	return write_genesis(t, c, pub, when, e);
}

int tlog_create(int logdir, struct wal_config *c, const struct record_stamp *when, struct error *e)
{
	struct tlog *t;
	int r;

	if (make_frame(logdir, e) < 0)
		return -1;
	t = new_tlog(logdir, e);
	r = t ? make_log(t, c, when, e) : -1;
	tlog_close(t);
	if (r < 0 || dir_sync(logdir, ".", e) < 0)
		return -1;
	if (unlinkat(logdir, CREATING, 0) < 0)
		return error_set(e, errno, "cannot finish the new log");
	return dir_sync(logdir, ".", e);
}

/* ---- opening ---- */

static int take_lock(struct tlog *t, struct error *e)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	t->lock = dir_open_file(t->logdir, "lock", O_RDWR | O_CREAT, e);
	if (t->lock < 0)
		return -1;
	if (fcntl(t->lock, F_OFD_SETLK, &l) < 0)
		return fault_set(e, EWOULDBLOCK, "another process is writing this audit log");
	return 0;
}

static int load_origin(struct tlog *t, struct error *e)
{
	size_t n = 0;
	cleanup_free unsigned char *p = dir_read(t->logdir, "origin", sizeof t->origin, &n, e);

	if (!p)
		return -1;
	if (n < 2 || p[n - 1] != '\n' || !note_name_ok((char *)p, n - 1))
		return fault_set(e, EBADMSG, "the file origin is damaged");
	memcpy(t->origin, p, n - 1);
	t->origin[n - 1] = 0;
	return 0;
}

static int load_seed(struct tlog *t, unsigned char seed[SEED_LEN], struct error *e)
{
	cleanup_close int fd = dir_open_file(t->logdir, "keys/log.key", O_RDONLY, e);
	unsigned char more;

	if (fd < 0)
		return -1;
	if (io_read_full(fd, seed, SEED_LEN) != SEED_LEN || read(fd, &more, 1) != 0)
		return fault_set(e, EBADMSG, "the log's key file is damaged");
	return 0;
}

/* The public key is what others have pinned: a secret key that does not belong to it signs nothing. */
static int check_vkey(const struct tlog *t, struct error *e)
{
	size_t n = 0;
	cleanup_free unsigned char *p = dir_read(t->logdir, "log.vkey", NOTE_VKEY_MAX, &n, e);
	char mine[NOTE_VKEY_MAX];
	size_t len = note_vkey_format(note_signer_vkey(t->signer), mine);

	if (!p)
		return -1;
	if (n != len + 1 || memcmp(p, mine, len) != 0)
		return fault_set(e, EBADMSG, "log.vkey is not the public key of keys/log.key");
	return 0;
}

static int load_key(struct tlog *t, struct error *e)
{
	unsigned char seed[SEED_LEN];
	int r;

	if (sodium_init() < 0)
		return error_set(e, 0, "libsodium does not work on this machine");
	sodium_mlock(seed, sizeof seed);
	r = load_seed(t, seed, e);
	if (r == 0) {
		t->signer = note_signer_new(t->origin, seed, e);
		r = t->signer ? check_vkey(t, e) : -1;
	}
	sodium_munlock(seed, sizeof seed);
	return r;
}

static int start_tree(struct tlog *t, struct error *e)
{
	struct base b;

	if (base_load(t->logdir, note_signer_vkey(t->signer), &b, e) < 0)
		return -1;
	t->tree = tree_from_peaks(b.size, b.peak, b.n);
	return t->tree ? 0 : error_set(e, ENOMEM, "cannot open the audit log");
}

struct published {
	struct checkpoint c;
	int usable;
	int seen; /* the tree had its size, and its root */
};

/* A torn or missing checkpoint is made again; one that is whole but not ours, or says more than the log
 * has, is not forgiven. */
static int load_published(struct tlog *t, struct published *p, struct error *e)
{
	size_t n = 0;
	cleanup_free unsigned char *file = dir_read(t->logdir, "checkpoint", NOTE_MAX, &n, e);
	struct note *note;
	int r = 0;

	memset(p, 0, sizeof *p);
	if (!file)
		return e->code == ENOENT ? 0 : -1;
	note = note_parse((char *)file, n, e);
	if (!note)
		return 0;
	note_free(note);
	if (checkpoint_open((char *)file, n, note_signer_vkey(t->signer), &p->c, e) < 0) {
		e->code = EBADMSG;
		r = error_prefix(e, "the published checkpoint");
	}
	p->usable = r == 0;
	return r;
}

static int compare_published(struct tlog *t, struct published *p, struct error *e)
{
	struct tree_hash root;

	if (!p->usable || p->seen || tree_size(t->tree) != p->c.size)
		return 0;
	tree_root(t->tree, &root);
	p->seen = 1;
	if (!tree_hash_equal(&root, &p->c.root))
		return fault_set(e, EBADMSG,
			"the log's first %llu records are not those that its checkpoint was signed "
			"for",
			(unsigned long long)p->c.size);
	return 0;
}

static int damaged(struct error *e, uint64_t index, const char *what)
{
	return fault_set(e, EBADMSG, "the audit log is damaged at record %llu: %s",
		(unsigned long long)index, what);
}

/* Without the chain's signatures: those are verify's. The last one is checked by check_sealed. */
static int replay_seal(struct tlog *t, uint64_t index, struct span leaf, struct error *e)
{
	int behind = index < tree_size(t->tree); /* in the base already: its root is not at hand */
	struct tree_hash root;
	struct error why = {0};

	tree_root(t->tree, &root);
	if (leaf.n > sizeof t->seal_leaf || seal_chain_take(&t->chain, leaf.p, leaf.n, index,
						    behind ? NULL : &root, 0, &why) < 0)
		return damaged(e, index, why.text);
	memcpy(t->seal_leaf, leaf.p, leaf.n);
	t->seal_len = leaf.n;
	return 0;
}

/* The key of the first seal. */
static int replay_genesis(struct tlog *t, struct span leaf, struct error *e)
{
	json_t *o = record_parse(leaf.p, leaf.n, e);
	const char *vkey = json_string_value(json_object_get(o, "seal"));
	int r = vkey ? seal_chain_begin(&t->chain, t->origin, vkey, e) : -1;

	json_decref(o);
	return r == 0 ? 0
		      : fault_set(e, EBADMSG,
				"the audit log begins without the key of its first seal: an "
				"older agentd began it. Keep its directory elsewhere, and remove "
				"audit-created beside it to begin a new log");
}

static int replay_leaf(
	struct tlog *t, uint64_t index, struct span leaf, struct published *p, struct error *e)
{
	struct tree_hash h;

	if (index == 0 && replay_genesis(t, leaf, e) < 0)
		return -1;
	if (seal_is(leaf.p, leaf.n) && replay_seal(t, index, leaf, e) < 0)
		return -1;
	if (index < tree_size(t->tree))
		return 0; /* in the base already */
	tree_leaf_hash(leaf.p, leaf.n, &h);
	tree_append(t->tree, &h);
	return compare_published(t, p, e);
}

/* Reads a segment's leaves into the tree. */
static int replay(struct tlog *t, struct wal_scan *s, struct published *p, struct error *e)
{
	uint64_t index;
	struct span leaf;
	int w;

	while ((w = wal_scan_next(s, &index, &leaf, e)) == WAL_LEAF) {
		if (replay_leaf(t, index, leaf, p, e) < 0)
			return -1;
	}
	return w == WAL_ERROR ? -1 : 0;
}

/* Scans one segment to its end. Only the last one may have a torn end. */
static int replay_segment(struct tlog *t, const unsigned char log_id[32], uint64_t first,
	const uint64_t *following, struct published *p, uint64_t *ends, struct wal_tail *tail,
	struct error *e)
{
	struct wal_scan *s = wal_scan_open(t->logdir, first, log_id, e);
	int r = s ? replay(t, s, p, e) : -1;
	uint64_t end = s ? wal_scan_index(s) : 0;

	*ends = end;
	if (r == 0)
		r = wal_scan_tail(s, tail, e);
	wal_scan_close(s);
	if (r < 0)
		return -1;
	if (tail->damaged)
		return damaged(e, end, "later records are whole");
	if (following && (tail->bytes || end != *following))
		return damaged(e, end, "a later segment follows");
	return 0;
}

/* A segment begins behind a seal, which is in the bundles when its own segment is gone. */
static int resume_chain(struct tlog *t, uint64_t first, struct error *e)
{
	struct reader *r = first ? reader_new(t->logdir) : NULL;
	struct span leaf;
	int got;

	if (first == 0)
		return 0;
	if (!r)
		return error_set(e, ENOMEM, "cannot open the audit log");
	reader_seek(r, first - 1);
	got = reader_next(r, &leaf, e);
	if (got == 1 && leaf.n <= sizeof t->seal_leaf && seal_is(leaf.p, leaf.n)) {
		got = seal_chain_resume(&t->chain, t->origin, leaf.p, leaf.n, e);
		t->seal_len = 0; /* it cannot be checked here */
	} else {
		got = fault_set(e, EBADMSG,
			"the audit log is damaged at record %llu: no seal there",
			(unsigned long long)first - 1);
	}
	reader_free(r);
	return got;
}

static int replay_all(struct tlog *t, const unsigned char log_id[32], struct published *p,
	uint64_t *last, uint64_t *end, struct wal_tail *tail, struct error *e)
{
	cleanup_free uint64_t *first = malloc(WAL_SEGMENTS_MAX * sizeof *first);
	int n;

	if (!first)
		return error_set(e, ENOMEM, "cannot open the audit log");
	n = wal_list(t->logdir, first, WAL_SEGMENTS_MAX, e);
	if (n < 0)
		return -1;
	if (n == 0 || first[0] > tree_size(t->tree))
		return damaged(e, tree_size(t->tree), "its segment is missing");
	if (compare_published(t, p, e) < 0 || resume_chain(t, first[0], e) < 0)
		return -1;
	for (int i = 0; i < n; i++) {
		if (replay_segment(t, log_id, first[i], i + 1 < n ? &first[i + 1] : NULL, p, end,
			    tail, e) < 0)
			return -1;
	}
	*last = first[n - 1];
	return 0;
}

static int check_length(
	const struct tlog *t, const struct published *p, uint64_t wal_end, struct error *e)
{
	if (wal_end == 0 || wal_end != tree_size(t->tree))
		return damaged(e, wal_end, "records that were durable are gone");
	if (p->usable && p->c.size > tree_size(t->tree))
		return fault_set(e, EBADMSG,
			"the audit log has %llu records, but a checkpoint was signed for %llu: "
			"records were removed",
			(unsigned long long)tree_size(t->tree), (unsigned long long)p->c.size);
	return 0;
}

/* What is acknowledged is sealed: the log ends in a seal, by the key that was named for it. */
static int check_sealed(struct tlog *t, struct error *e)
{
	uint64_t at = tree_size(t->tree) - 1;
	struct error why;
	struct seal last;

	if (t->seal_len == 0)
		return 0; /* nothing since the segment began */
	if (seal_open(t->seal_leaf, t->seal_len, t->origin, t->chain.used, &last, &why) < 0)
		return damaged(e, at, why.text);
	if (last.index != at)
		return damaged(e, last.index + 1, "what follows is not sealed");
	return 0;
}

static int start_sealer(struct tlog *t, const struct wal_config *c, struct error *e)
{
	t->sealer = sealer_open(t->logdir, c->log_id, t->origin, e);
	if (!t->sealer && e->code == ENOENT)
		return fault_set(e, EBADMSG, "KEYS_MISSING: the log's seal keys are not there");
	return t->sealer
		       ? sealer_start(t->sealer, t->chain.epoch, t->chain.pub, t->chain.time_ns, e)
		       : -1;
}

static int set_aside(
	struct tlog *t, const struct wal_tail *tail, struct tlog_recovery *found, struct error *e)
{
	if (tail->bytes == 0)
		return 0;
	found->torn_bytes = tail->bytes;
	found->torn_frames = tail->frames;
	memcpy(found->torn_sha256, tail->sha256, sizeof found->torn_sha256);
	snprintf(found->torn_file, sizeof found->torn_file, "quarantine/%020llu-%llu",
		(unsigned long long)tree_size(t->tree),
		(unsigned long long)(io_now_real() / 1000u));
	return wal_quarantine(t->wal, tail, found->torn_file, e);
}

static int recover(
	struct tlog *t, struct wal_config *c, struct tlog_recovery *found, struct error *e)
{
	struct published p;
	struct wal_tail tail = {0};
	uint64_t last = 0, end = 0;

	log_id_of(t->origin, c->log_id);
	if (start_tree(t, e) < 0 || load_published(t, &p, e) < 0 ||
		replay_all(t, c->log_id, &p, &last, &end, &tail, e) < 0 ||
		check_length(t, &p, end, e) < 0 || check_sealed(t, e) < 0 ||
		start_sealer(t, c, e) < 0)
		return -1;
	found->checkpoint_lost = !p.usable;
	t->wal = wal_open(t->logdir, c, last, &tail, tree_size(t->tree), e);
	if (!t->wal || set_aside(t, &tail, found, e) < 0)
		return -1;
	t->size = tree_size(t->tree);
	empty_dir(t->logdir, "tmp");
	return 0;
}

struct tlog *tlog_open(
	int logdir, struct wal_config *c, struct tlog_recovery *found, struct error *e)
{
	struct tlog *t = new_tlog(logdir, e);

	memset(found, 0, sizeof *found);
	if (!t)
		return NULL;
	if (load_origin(t, e) < 0 || take_lock(t, e) < 0 || load_key(t, e) < 0 ||
		recover(t, c, found, e) < 0) {
		tlog_close(t);
		return NULL;
	}
	return t;
}

void tlog_close(struct tlog *t)
{
	if (!t)
		return;
	sealer_close(t->sealer);
	wal_close(t->wal);
	tree_free(t->tree);
	if (t->signer)
		note_signer_free(t->signer);
	if (t->lock >= 0)
		close(t->lock);
	free(t);
}

/* ---- appending ---- */

static int stage(struct tlog *t, const void *record, size_t n)
{
	struct tree_hash h;

	if (wal_stage(t->wal, record, n) < 0)
		return -1;
	tree_leaf_hash(record, n, &h);
	tree_append(t->tree, &h);
	return 0;
}

int tlog_stage(struct tlog *t, const void *record, size_t n)
{
	return wal_frame_size(n) <= tlog_room(t) ? stage(t, record, n) : -1;
}

uint64_t tlog_next(const struct tlog *t)
{
	return wal_next(t->wal);
}

size_t tlog_staged(const struct tlog *t)
{
	return wal_staged(t->wal);
}

/* The batch's last leaf. */
static int seal_batch(struct tlog *t, struct error *e)
{
	char leaf[SEAL_LEAF_MAX];
	struct tree_hash root;
	size_t n;

	tree_root(t->tree, &root);
	n = sealer_seal(t->sealer, wal_next(t->wal), &root, io_now_real(), leaf, e);
	if (n == 0)
		return -1;
	return stage(t, leaf, n) == 0 ? 0 : error_set(e, 0, "no room for a seal");
}

int tlog_seal(struct tlog *t, struct error *e)
{
	if (seal_batch(t, e) < 0 || wal_commit(t->wal, e) < 0)
		return -1;
	t->size = tree_size(t->tree);
	return sealer_sealed(t->sealer, e);
}

int tlog_commit(struct tlog *t, struct error *e)
{
	return wal_staged(t->wal) ? tlog_seal(t, e) : 0;
}

void tlog_clock_was_set(struct tlog *t)
{
	sealer_forget_time(t->sealer);
}

uint64_t tlog_sealed_at(const struct tlog *t)
{
	return sealer_time(t->sealer);
}

uint64_t tlog_room(const struct tlog *t)
{
	uint64_t room = wal_room(t->wal), seal = wal_frame_size(SEAL_LEAF_MAX);

	return room > seal ? room - seal : 0;
}

struct sealer *tlog_sealer(struct tlog *t)
{
	return t->sealer;
}

uint64_t tlog_size(const struct tlog *t)
{
	return t->size;
}

void tlog_root(const struct tlog *t, struct tree_hash *out)
{
	tree_root(t->tree, out);
}

struct wal *tlog_wal(struct tlog *t)
{
	return t->wal;
}

const struct note_signer *tlog_signer(const struct tlog *t)
{
	return t->signer;
}

int tlog_logdir(const struct tlog *t)
{
	return t->logdir;
}

const char *tlog_origin(const struct tlog *t)
{
	return t->origin;
}
