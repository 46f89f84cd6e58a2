/* Messages on the supervisor's channel: {u8 type, u8 descriptors, u16 length, payload}, repeated. The
 * supervisor is trusted, but a broker that falls over would deny everything. Also session files. */
#include <sys/mman.h>

#include "agentd/broker/session.h"
#include "tests/fuzz/broker_fuzz.h"

static int make_fd(const uint8_t *data, size_t n)
{
	struct error e;

	return io_sealed_memfd("fuzz", n ? (const void *)data : "x", n ? n : 1, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct fuzz_broker f;

	if (n > 1 && data[0] & 1) {
		struct error e;
		int fd = make_fd(data + 1, n - 1);

		session_free(session_load(fd, &e));
		close(fd);
		return 0;
	}
	fuzz_up(&f);
	while (n > 4 && chan_open(f.b->sup)) {
		uint16_t len;
		int fds[4];
		size_t nfds = data[1] & 3;

		memcpy(&len, data + 2, sizeof len);
		if (len > n - 4)
			len = (uint16_t)(n - 4);
		for (size_t i = 0; i < nfds; i++)
			fds[i] = make_fd(data + 4, len);
		wire_send(f.sup, data[0] >> 1, 1, data + 4, len, fds, nfds);
		for (size_t i = 0; i < nfds; i++)
			close(fds[i]);
		fuzz_step(&f);
		data += 4 + len;
		n -= 4 + (size_t)len;
	}
	fuzz_down(&f);
	return 0;
}
