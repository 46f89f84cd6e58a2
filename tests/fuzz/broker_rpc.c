/* Lines of agentctl's RPC, from any user of the machine. */
#include "tests/fuzz/broker_fuzz.h"

static struct conn *only_conn(struct fuzz_broker *f)
{
	struct rpc_client *r = TAILQ_FIRST(&f->b->rpc_clients);

	return r ? r->conn : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct fuzz_broker f;
	struct msg_peer peer = {.uid = 1000, .gid = 1000, .pid = 7};
	int pair[2];

	if (!f.b) {
		fuzz_up(&f);
		fuzz_box(&f);
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	wire_send(f.sup, MSG_CLIENT, 0, &peer, sizeof peer, &pair[1], 1);
	close(pair[1]);
	fuzz_step(&f);
	if (!only_conn(&f))
		abort();
	fuzz_lines(&f, only_conn, pair[0], data, n);
	if (!TAILQ_EMPTY(&f.b->rpc_clients))
		abort();
	return 0;
}
