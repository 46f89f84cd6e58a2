/* The killer's Ed25519 key (libsodium). Read or made once at start, before kill.sock is served;
 * signing needs no disk, no allocation and no randomness. Must never keep the killer from killing. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "supervisor/killer/internal.h"

_Static_assert(crypto_sign_SECRETKEYBYTES == 64 && crypto_sign_PUBLICKEYBYTES == 32 &&
		       crypto_sign_BYTES == 64,
	"struct key and struct latch_entry hold Ed25519 keys and signatures");

/* The file is the 32-byte seed. -1 with errno; EPROTO: there is something else in it. */
static int read_seed(const char *path, unsigned char seed[32])
{
	cleanup_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	if (!S_ISREG(st.st_mode) || st.st_size != 32 || st.st_uid != geteuid() ||
		(st.st_mode & 077) || io_read_full(fd, seed, 32) != 32) {
		errno = EPROTO;
		return -1;
	}
	return 0;
}

/* Appears under its name complete and on disk, or not at all. */
static int write_file(const char *path, mode_t mode, const void *data, size_t n)
{
	char temp[800];
	cleanup_close int fd = -1;

	snprintf(temp, sizeof temp, "%s.new", path);
	unlink(temp);
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return -1;
	if (fchmod(fd, mode) < 0 || io_write_all(fd, data, n) < 0 || fsync(fd) < 0 ||
		rename(temp, path) < 0) {
		int saved = errno;

		unlink(temp);
		errno = saved;
		return -1;
	}
	return 0;
}

static void write_public(const struct paths *p, const unsigned char public_[32])
{
	char path[720], hex[66];

	snprintf(path, sizeof path, "%s/killer.pub", p->state);
	sodium_bin2hex(hex, sizeof hex, public_, 32);
	hex[64] = '\n';
	if (access(path, F_OK) < 0 && write_file(path, 0644, hex, 65) < 0)
		killer_say("cannot write %s: %s", path, strerror(errno));
}

void key_load(struct key *k, const struct paths *p)
{
	unsigned char seed[32];
	char path[720];
	int r;

	memset(k, 0, sizeof *k);
	snprintf(path, sizeof path, "%s/killer.key", p->state);
	if (sodium_init() < 0) {
		killer_say("libsodium does not start: receipts will be unsigned");
		return;
	}
	r = read_seed(path, seed);
	if (r < 0 && errno == ENOENT) {
		randombytes_buf(seed, sizeof seed);
		r = write_file(path, 0600, seed, sizeof seed);
	}
	if (r < 0) {
		killer_say("cannot use %s (%s): receipts will be unsigned", path,
			errno == EPROTO ? "it is not a 32-byte key that only root can read"
					: strerror(errno));
		return;
	}
	crypto_sign_seed_keypair(k->public_, k->secret, seed);
	sodium_memzero(seed, sizeof seed);
	k->usable = 1;
	write_public(p, k->public_);
}

void key_sign(const struct key *k, struct latch_entry *e)
{
	char text[256];
	size_t n;

	if (!k->usable)
		return;
	memcpy(e->key, k->public_, sizeof e->key);
	n = latch_receipt_text(e, text, sizeof text);
	crypto_sign_detached(e->sig, NULL, (const unsigned char *)text, n, k->secret);
}
