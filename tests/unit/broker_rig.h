/* A whole broker in one thread for unit tests: the real code over real sockets, with the test as its
 * supervisor, its recorder, its agents and its people. Nothing here is a stand-in for broker code.
 * rig_step lets everybody do what they can without waiting; the rig_… calls step until they have what
 * they want, or fail the test after 3 s. */
#ifndef TESTS_BROKER_RIG_H
#define TESTS_BROKER_RIG_H

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agentd/broker/broker.h"
#include "agentd/broker/calls.h"
#include "agentd/broker/state.h"
#include "audit/record.h"
#include "common/io.h"
#include "common/msg.h"
#include "common/plan.h"
#include "common/request.h"

enum rig_recorder { REC_ACK, REC_HOLD, REC_REFUSE, REC_SILENT };

struct rig {
	struct event_base *base;
	struct broker *b;
	struct broker_config cfg;
	int sup, rec; /* the test's ends */
	enum rig_recorder mode;
	json_t *records; /* array: what is in the log */
	uint64_t held[64]; /* REC_HOLD: message ids that wait for rig_release */
	size_t nheld;
	uint64_t index;
	char dir[64];
	struct wire_msg m;
	unsigned boxes;
	/* the last launch */
	int plan_fd, session_fd;
	char refused[1024];
};

#define RIG_POLICY                                                                         \
	"policy: 1\nname: test\ntools:\n  allow: [Fetch]\n  ask: [Bash, Deploy]\n  deny: " \
	"[WebSearch]\n"

static struct rig rig;

static inline int rig_waitable(uint64_t since)
{
	return io_now_mono() - since < 3000000000ull;
}

static inline void rig_take_records(const struct wire_msg *m)
{
	static char buf[65536];
	const struct record_stamp when = {.real_ns = io_now_real(), .boot = "0123456789abcdef"};

	for (size_t at = 4; at < m->h.len;) {
		uint32_t len;
		struct error e = {0};
		int essential;

		memcpy(&len, m->payload + at, sizeof len);
		ck_assert_uint_le(len, m->h.len - at - 4);
		/* The recorder's own rules for what a record may be. */
		ck_assert_msg(record_encode((const char *)m->payload + at + 4, len,
				      RECORD_FROM_BROKER, rig.index, &when, buf, &essential, &e),
			"%s: %.*s", e.text, (int)len, m->payload + at + 4);
		json_array_append_new(
			rig.records, json_loadb((const char *)m->payload + at + 4, len, 0, NULL));
		rig.index++;
		at += 4 + len;
	}
}

static inline void rig_ack(uint64_t id)
{
	struct msg_appended a = {.first = rig.index, .count = 1};

	ck_assert_int_eq(wire_send(rig.rec, MSG_APPENDED, id, &a, sizeof a, NULL, 0), 0);
}

static inline void rig_record_one(void)
{
	struct msg_refuse no = {.text = "the test refuses"};

	ck_assert_int_eq(rig.m.h.type, MSG_APPEND);
	if (rig.mode == REC_REFUSE) {
		wire_send(rig.rec, MSG_APPEND_REFUSED, rig.m.h.id, &no, sizeof no, NULL, 0);
		return;
	}
	if (rig.mode != REC_SILENT)
		rig_take_records(&rig.m);
	if (rig.mode == REC_ACK)
		rig_ack(rig.m.h.id);
	else if (rig.mode == REC_HOLD && rig.nheld < 64)
		rig.held[rig.nheld++] = rig.m.h.id;
}

static inline void rig_release(void)
{
	for (size_t i = 0; i < rig.nheld; i++)
		rig_ack(rig.held[i]);
	rig.nheld = 0;
	rig.mode = REC_ACK;
}

static inline void rig_step(void)
{
	event_base_loop(rig.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	while (rig.rec >= 0 && wire_recv(rig.rec, &rig.m) > 0)
		rig_record_one();
}

static inline void rig_nap(void)
{
	struct timespec ts = {.tv_nsec = 200000};

	rig_step();
	nanosleep(&ts, NULL);
}

/* Steps for some time: to see that something does not happen. */
static inline void rig_idle(unsigned ms)
{
	uint64_t until = io_now_mono() + ms * 1000000ull;

	while (io_now_mono() < until)
		rig_nap();
}

/* ---- supervisor ---- */

/* The next message of the broker to the supervisor, in rig.m. */
static inline void rig_sup_next(unsigned type)
{
	uint64_t since = io_now_mono();

	do {
		rig_step();
		if (wire_recv(rig.sup, &rig.m) > 0) {
			ck_assert_uint_eq(rig.m.h.type, type);
			return;
		}
	} while (rig_waitable(since));
	ck_abort_msg("the broker did not send message %u", type);
}

static inline void rig_new_recorder(void)
{
	struct error e;
	int pair[2];

	ck_assert_int_eq(wire_pair(pair, &e), 0);
	if (rig.rec >= 0)
		close(rig.rec);
	rig.rec = pair[0];
	fcntl(rig.rec, F_SETFL, O_NONBLOCK);
	ck_assert_int_eq(wire_send(rig.sup, MSG_PEER, 0, NULL, 0, &pair[1], 1), 0);
	close(pair[1]);
	rig_step();
}

static inline void rig_broker_up(void)
{
	struct error e;
	int pair[2];

	ck_assert_int_eq(wire_pair(pair, &e), 0);
	rig.sup = pair[0];
	fcntl(rig.sup, F_SETFL, O_NONBLOCK);
	rig.base = event_base_new();
	rig.b = broker_new(rig.base, &rig.cfg, pair[1], &e);
	ck_assert_ptr_nonnull(rig.b);
	rig_new_recorder();
}

static inline void rig_broker_down(void)
{
	broker_free(rig.b);
	event_base_free(rig.base);
	close(rig.sup);
	close(rig.rec);
	rig.rec = -1;
}

static inline void rig_setup(void)
{
	struct paths p;
	struct error e;
	char trust[128];

	memset(&rig, 0, sizeof rig);
	snprintf(rig.dir, sizeof rig.dir, "/tmp/broker-rig-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(rig.dir));
	ck_assert_int_eq(paths_init(&p, rig.dir, &e), 0);
	broker_config_default(&rig.cfg, &p);
	snprintf(trust, sizeof trust, "%s/trust", rig.dir);
	snprintf(rig.cfg.trust_dir, sizeof rig.cfg.trust_dir, "%s", trust);
	snprintf(rig.cfg.policy_dir, sizeof rig.cfg.policy_dir, "%s/policy.d", rig.dir);
	rig.rec = rig.plan_fd = rig.session_fd = -1;
	rig.records = json_array();
	rig_broker_up();
}

static inline void rig_remove_dir(void)
{
	char cmd[128];

	snprintf(cmd, sizeof cmd, "rm -rf %s", rig.dir);
	ck_assert_int_eq(system(cmd), 0);
}

static inline void rig_teardown(void)
{
	rig_broker_down();
	json_decref(rig.records);
	if (rig.plan_fd >= 0)
		close(rig.plan_fd);
	if (rig.session_fd >= 0)
		close(rig.session_fd);
	rig_remove_dir();
}

/* ---- launching ---- */

static inline void rig_put_doc(
	struct request_writer *w, int origin, const char *path, const char *yaml)
{
	char buf[4096];
	size_t n = strlen(path);

	buf[0] = (char)origin;
	memcpy(buf + 1, path, n + 1);
	memcpy(buf + n + 2, yaml, strlen(yaml));
	request_put(w, REQ_DOC, buf, n + 2 + strlen(yaml));
}

static inline void rig_request(struct request_writer *w, const char *name)
{
	request_begin(w);
	if (name)
		request_put_str(w, REQ_NAME, name);
	request_put_str(w, REQ_WORKSPACE, "/home/ann/web");
	request_put_str(w, REQ_CWD, "/home/ann/web/src");
	request_put_str(w, REQ_HOME, "/home/ann");
	request_put_str(w, REQ_USER, "ann");
	request_put_str(w, REQ_ARG, "bash");
	request_put_str(w, REQ_ENV, "PATH=/usr/bin:/bin");
	request_put_str(w, REQ_ENV, "SECRET=x");
}

static inline void rig_next(uint64_t id)
{
	uint64_t since = io_now_mono();

	do {
		rig_step();
		if (wire_recv(rig.sup, &rig.m) > 0)
			break;
	} while (rig_waitable(since));
	ck_assert_uint_eq(rig.m.h.id, id);
}

/* Sends a request as uid. 1: a plan came (rig.plan_fd, rig.session_fd) and then the word that its start
 * is recorded; 0: refused (rig.refused), before the plan or after it. */
static inline int rig_run_as(struct request_writer *w, uint32_t uid, uint64_t id)
{
	struct msg_peer peer = {.uid = uid, .gid = uid, .pid = 4242};
	struct error e;
	int fd = request_seal(w, &e);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(wire_send(rig.sup, MSG_RUN, id, &peer, sizeof peer, &fd, 1), 0);
	close(fd);
	rig_next(id);
	if (rig.m.h.type == MSG_PLAN) {
		ck_assert_uint_eq(rig.m.nfds, 2);
		if (rig.plan_fd >= 0)
			close(rig.plan_fd);
		if (rig.session_fd >= 0)
			close(rig.session_fd);
		rig.plan_fd = rig.m.fds[0];
		rig.session_fd = rig.m.fds[1];
		rig_next(id);
	}
	if (rig.m.h.type == MSG_REFUSE) {
		memcpy(rig.refused, rig.m.payload, sizeof rig.refused);
		return 0;
	}
	ck_assert_uint_eq(rig.m.h.type, MSG_GO);
	return 1;
}

static inline const struct plan_header *rig_plan(void)
{
	struct error e;
	size_t n;
	const void *p = io_map_sealed(rig.plan_fd, PLAN_SIZE_MAX, &n, &e);

	ck_assert_ptr_nonnull(p);
	ck_assert_msg(plan_check(p, n, &e) == 0, "%s", e.text);
	return p;
}

/* Says MSG_STARTED for the last plan. Returns the path of its tool.sock. */
static inline const char *rig_started(
	uint64_t id, uint32_t uid, uint32_t kernel_uid, uint32_t flags, int pty)
{
	static char path[108];
	const struct plan_header *p = rig_plan();
	struct msg_sandbox s = {.uid = uid,
		.gid = uid,
		.kernel_uid = kernel_uid,
		.init_pid = 77,
		.flags = flags | (pty >= 0 ? SANDBOX_PTY : 0)};
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fds[3] = {socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rig.session_fd, pty};

	snprintf(s.name, sizeof s.name, "%s", plan_text(p, p->name));
	snprintf(s.session, sizeof s.session, "%s", plan_text(p, p->session));
	snprintf(path, sizeof path, "%s/tool%u", rig.dir, rig.boxes++);
	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	ck_assert_int_eq(bind(fds[0], (struct sockaddr *)&a, sizeof a), 0);
	ck_assert_int_eq(chmod(path, 0666), 0);
	ck_assert_int_eq(listen(fds[0], 512), 0);
	ck_assert_int_eq(
		wire_send(rig.sup, MSG_STARTED, id, &s, sizeof s, fds, pty >= 0 ? 3 : 2), 0);
	close(fds[0]);
	rig_step();
	return path;
}

static inline int rig_connect(const char *path)
{
	int fd = io_connect_unix(path);

	ck_assert_int_ge(fd, 0);
	rig_step();
	return fd;
}

/* A running sandbox of uid with the test policy (and more YAML behind it); a connection to its
 * tool.sock. The test's own uid is the agent's. */
static inline int rig_box(const char *name, uint32_t uid, uint64_t id, const char *more)
{
	struct request_writer w;
	char yaml[2048];

	rig_request(&w, name);
	snprintf(yaml, sizeof yaml, "%s%s", RIG_POLICY, more);
	rig_put_doc(&w, DOC_CLI, "/home/ann/p.yaml", yaml);
	ck_assert_msg(rig_run_as(&w, uid, id) == 1, "%s", rig.refused);
	return rig_connect(rig_started(id, uid, getuid(), 0, -1));
}

/* ---- JSON-RPC ---- */

static inline void rig_send(int fd, const char *p, size_t n)
{
	for (uint64_t since = io_now_mono(); n && rig_waitable(since);) {
		ssize_t w = send(fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (w < 0 && errno != EAGAIN)
			return; /* the broker has closed it: the answer says why */
		if (w < 0)
			rig_nap();
		p += w < 0 ? 0 : w;
		n -= w < 0 ? 0 : (size_t)w;
	}
	ck_assert_uint_eq(n, 0);
}

static inline void rig_say(int fd, const char *line)
{
	rig_send(fd, line, strlen(line));
	rig_send(fd, "\n", 1);
}

/* One line of fd as JSON (owned by the caller); NULL: nothing within ms, or closed. */
static inline json_t *rig_hear_within(int fd, unsigned ms)
{
	static char buf[1 << 20];
	size_t n = 0;
	uint64_t until = io_now_mono() + ms * 1000000ull;

	while (io_now_mono() < until) {
		ssize_t r = recv(fd, buf + n, 1, MSG_DONTWAIT);

		if (r == 0)
			return NULL;
		if (r < 0) {
			rig_nap();
			continue;
		}
		if (buf[n++] == '\n') {
			json_t *o = json_loadb(buf, n, 0, NULL);

			ck_assert_ptr_nonnull(o);
			return o;
		}
	}
	return NULL;
}

static inline json_t *rig_hear(int fd)
{
	json_t *o = rig_hear_within(fd, 3000);

	ck_assert_msg(o != NULL, "no answer");
	return o;
}

static inline json_t *rig_ask(int fd, const char *line)
{
	rig_say(fd, line);
	return rig_hear(fd);
}

static inline const char *rig_str(json_t *o, const char *a, const char *b)
{
	const char *s = json_string_value(json_object_get(json_object_get(o, a), b));

	return s ? s : "";
}

#define ANN 1000u

#define AUTHORIZE(id, tool, input)                                                 \
	"{\"jsonrpc\":\"2.0\",\"id\":" id                                          \
	",\"method\":\"authorize\",\"params\":{\"kind\":\"tool\",\"tool\":\"" tool \
	"\",\"input\":" input "}}"

#define PUSH AUTHORIZE("1", "Bash", "{\"command\":\"git push origin main\"}") /* is asked */

/* Says a line that will be held and takes the notification. */
static inline void rig_hold(int fd, const char *line)
{
	json_t *o = rig_ask(fd, line);

	ck_assert_str_eq(json_string_value(json_object_get(o, "method")), "approval/pending");
	json_decref(o);
}

/* The next thing said on fd is this decision. */
static inline void rig_expect(int fd, const char *decision)
{
	json_t *o = rig_hear(fd);

	ck_assert_str_eq(rig_str(o, "result", "decision"), decision);
	json_decref(o);
}

static inline int rig_closed(int fd)
{
	char c;
	uint64_t since = io_now_mono();

	while (rig_waitable(since)) {
		ssize_t r = recv(fd, &c, 1, MSG_DONTWAIT);

		if (r == 0 || (r < 0 && errno == ECONNRESET))
			return 1;
		rig_nap();
	}
	return 0;
}

/* An agentctl connection of uid. */
static inline int rig_person(uint32_t uid, int admin)
{
	struct msg_peer peer = {.uid = uid, .gid = uid, .pid = 555, .admin = (uint32_t)admin};
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(wire_send(rig.sup, MSG_CLIENT, 0, &peer, sizeof peer, &pair[1], 1), 0);
	close(pair[1]);
	rig_step();
	return pair[0];
}

/* The id of the only approval that this person sees, or "". */
static inline const char *rig_pending(int person)
{
	static char id[16];
	json_t *o = rig_ask(
		person, "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"approvals\",\"params\":{}}");
	json_t *list = json_object_get(json_object_get(o, "result"), "approvals");

	*id = 0;
	if (json_array_size(list))
		snprintf(id, sizeof id, "%s",
			json_string_value(json_object_get(json_array_get(list, 0), "id")));
	json_decref(o);
	return id;
}

static inline json_t *rig_answer(int person, const char *method, const char *id, const char *more)
{
	char line[512];

	snprintf(line, sizeof line,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":{\"id\":\"%s\"%s}}",
		method, id, more);
	return rig_ask(person, line);
}

/* The number of records of a kind in the log. */
static inline unsigned rig_count(const char *kind)
{
	unsigned n = 0;
	size_t i;
	json_t *r;

	json_array_foreach(rig.records, i, r) n +=
		strcmp(json_string_value(json_object_get(r, "k")), kind) == 0;
	return n;
}

static inline json_t *rig_last(const char *kind)
{
	for (size_t i = json_array_size(rig.records); i-- > 0;) {
		json_t *r = json_array_get(rig.records, i);

		if (strcmp(json_string_value(json_object_get(r, "k")), kind) == 0)
			return r;
	}
	ck_abort_msg("no record of kind %s", kind);
	return NULL;
}

#endif
