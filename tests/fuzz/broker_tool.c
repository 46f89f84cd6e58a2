/* Lines on tool.sock, from an agent that is hostile. */
#include "tests/fuzz/broker_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct fuzz_broker f;
	static struct box *x;
	int pair[2];
	struct conn *c;

	if (!f.b) {
		fuzz_up(&f);
		x = fuzz_box(&f);
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	c = calls_attach(x, pair[1]);
	if (!c)
		abort();
	fuzz_lines(&f, c, pair[0], data, n);
	if (x->held || x->calls)
		abort(); /* a client that is gone leaves nothing behind */
	return 0;
}
