/* A broker for the fuzzers: no recorder answers by itself; every message of the broker is read away. */
#ifndef TESTS_BROKER_FUZZ_H
#define TESTS_BROKER_FUZZ_H

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agentd/broker/calls.h"
#include "agentd/broker/state.h"
#include "common/io.h"

struct fuzz_broker {
	struct event_base *base;
	struct broker *b;
	int sup, rec;
	struct wire_msg m;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static inline void fuzz_step(struct fuzz_broker *f)
{
	event_base_loop(f->base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
	while (wire_recv(f->rec, &f->m) > 0) {
		struct msg_appended a = {.count = 1};

		wire_send(f->rec, MSG_APPENDED, f->m.h.id, &a, sizeof a, NULL, 0);
	}
	while (wire_recv(f->sup, &f->m) > 0)
		wire_close_fds(&f->m);
	event_base_loop(f->base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
}

static inline void fuzz_up(struct fuzz_broker *f)
{
	struct broker_config c = {.policy_dir = "/nonexistent/policy.d",
		.trust_dir = "/nonexistent/trust",
		.passwd = "/etc/passwd",
		.recorder_ms = 5000,
		.progress_ms = 10000,
		.pending_box = 100,
		.pending_all = 1000,
		.conns_box = 16};
	struct error e;
	int sup[2], rec[2];

	if (wire_pair(sup, &e) < 0 || wire_pair(rec, &e) < 0)
		abort();
	f->sup = sup[0];
	f->rec = rec[0];
	fcntl(f->sup, F_SETFL, O_NONBLOCK);
	fcntl(f->rec, F_SETFL, O_NONBLOCK);
	f->base = event_base_new();
	f->b = broker_new(f->base, &c, sup[1], &e);
	wire_send(f->sup, MSG_PEER, 0, NULL, 0, &rec[1], 1);
	close(rec[1]);
	fuzz_step(f);
}

/* A running sandbox without the detour over a launch. */
static inline struct box *fuzz_box(struct fuzz_broker *f)
{
	struct policy_error pe;
	struct box *x = box_new(f->b);

	x->session = calloc(1, sizeof *x->session);
	x->session->uid = 1000;
	strcpy(x->session->name, "fuzz");
	strcpy(x->session->id, "fuzz.00000000");
	strcpy(x->session->agent, "claude-code");
	strcpy(x->session->workspace, "/home/a/ws");
	strcpy(x->session->cwd, "/home/a/ws");
	strcpy(x->session->home, "/home/a");
	x->session->policy = policy_load(NULL, 0, NULL, &pe);
	x->info.uid = 1000;
	x->info.kernel_uid = getuid();
	strcpy(x->info.name, "fuzz");
	strcpy(x->info.session, "fuzz.00000000");
	strcpy(x->log.id, "fuzz.00000000");
	x->number = 1;
	x->state = BOX_RUNNING;
	return x;
}

static inline void fuzz_down(struct fuzz_broker *f)
{
	broker_free(f->b);
	event_base_free(f->base);
	close(f->sup);
	close(f->rec);
}

/* Feeds data line by line to a new connection that the peer end reads away, until it is closed. */
static inline void fuzz_lines(struct fuzz_broker *f, struct conn *(*conn)(struct fuzz_broker *),
	int peer, const uint8_t *data, size_t n)
{
	char junk[4096];
	struct conn *c;

	while (n && (c = conn(f))) {
		const uint8_t *lf = memchr(data, '\n', n);
		size_t k = lf ? (size_t)(lf - data) : n;

		conn_feed(c, (const char *)data, k);
		fuzz_step(f);
		while (recv(peer, junk, sizeof junk, MSG_DONTWAIT) > 0)
			;
		k += lf != NULL;
		data += k;
		n -= k;
	}
	close(peer);
	fuzz_step(f);
}

#endif
