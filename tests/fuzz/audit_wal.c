/* Fuzzes segments of the write-ahead log: any bytes behind a good header. What is found must be in order
 * and inside the file, and its end must be found the same way twice. The input may ask, in its first
 * byte, for good checksums: then frames that are whole but absurd get through. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/crc32c.h"
#include "audit/dir.h"
#include "audit/wal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int make_dir(void)
{
	static char dir[] = "/tmp/agentd-fuzz-wal-XXXXXX";
	int fd;

	if (!mkdtemp(dir))
		abort();
	fd = dir_open(dir, NULL);
	if (mkdirat(fd, "wal", 0700) < 0 || mkdirat(fd, "tmp", 0700) < 0)
		abort();
	return fd;
}

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static void make_header(uint8_t h[WAL_HEADER])
{
	memset(h, 0, WAL_HEADER);
	memcpy(h, "agentd-wal-v1\n", 14);
	put32(h + 48, crc32c(0, h, 48));
}

/* Gives each frame, as its length says, the checksum it needs. */
static void mend(uint8_t *p, size_t n)
{
	while (n >= WAL_FRAME) {
		size_t len = (size_t)p[2] | (size_t)p[3] << 8, all = wal_frame_size(len);

		if (WAL_FRAME + len > n)
			return;
		put32(p + 4, crc32c(crc32c(0, p, 4), p + 8, WAL_FRAME - 8 + len));
		if (all > n)
			return;
		p += all;
		n -= all;
	}
}

static uint64_t scan(int dir, struct wal_tail *tail)
{
	struct wal_scan *s = wal_scan_open(dir, 0, NULL, NULL);
	uint64_t index, count = 0;
	struct span leaf;
	unsigned sum = 0;
	int r;

	if (!s)
		abort();
	while ((r = wal_scan_next(s, &index, &leaf, NULL)) == WAL_LEAF) {
		if (index != count++ || leaf.n > 65535)
			abort();
		for (size_t i = 0; i < leaf.n; i++)
			sum += (unsigned char)leaf.p[i];
	}
	if (r == WAL_ERROR || (sum == 1 && count > (1u << 20)) || wal_scan_index(s) != count)
		abort();
	if (wal_scan_tail(s, tail, NULL) < 0)
		abort();
	wal_scan_close(s);
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int dir = -1;
	static uint8_t buf[WAL_HEADER + (1 << 17)];
	struct wal_tail a, b;
	int fd;

	if (dir < 0)
		dir = make_dir();
	if (size < 1 || size > 1 << 17)
		return 0;
	make_header(buf);
	memcpy(buf + WAL_HEADER, data + 1, size - 1);
	if (data[0] & 1)
		mend(buf + WAL_HEADER, size - 1);
	fd = openat(dir, "wal/00000000000000000000.wal", O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC,
		0600);
	if (fd < 0 || write(fd, buf, WAL_HEADER + size - 1) < 0)
		abort();
	close(fd);
	if (scan(dir, &a) != scan(dir, &b) || a.offset != b.offset || a.bytes != b.bytes ||
		a.offset > WAL_HEADER + size + 7 || a.batch_at > a.offset)
		abort();
	return 0;
}
