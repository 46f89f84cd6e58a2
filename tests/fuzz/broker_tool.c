/* Lines on tool.sock, from an agent that is hostile. */
#include "tests/fuzz/broker_fuzz.h"

static struct box *x;

static struct conn *only_conn(struct fuzz_broker *f)
{
	struct client *c = TAILQ_FIRST(&x->clients);

	(void)f;
	return c ? c->conn : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct fuzz_broker f;
	int pair[2];

	if (!f.b) {
		fuzz_up(&f);
		x = fuzz_box(&f);
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	if (!calls_attach(x, pair[1]))
		abort();
	fuzz_lines(&f, only_conn, pair[0], data, n);
	if (x->held || x->calls)
		abort(); /* a client that is gone leaves nothing behind */
	return 0;
}
