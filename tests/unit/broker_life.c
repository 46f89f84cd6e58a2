/* The life of a sandbox as the broker sees it: started, ended, restored after a restart, its terminal,
 * and what the supervisor wants recorded. */
#include "agentd/broker/session.h"
#include "tests/unit/broker_rig.h"

static json_t *sandbox(int person, const char *name)
{
	char line[256];

	snprintf(line, sizeof line,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"sandbox\",\"params\":{\"name\":\"%s\"}"
		"}",
		name);
	return rig_ask(person, line);
}

static void end(uint64_t id, uint32_t code, uint32_t reason)
{
	struct msg_ended m = {.exit_code = code, .reason = reason, .text = "for the test"};

	ck_assert_int_eq(wire_send(rig.sup, MSG_ENDED, id, &m, sizeof m, NULL, 0), 0);
}

START_TEST(an_end_is_answered_when_it_is_in_the_log)
{
	int fd = rig_box("web", ANN, 7, "");
	json_t *r;

	json_decref(rig_ask(fd, AUTHORIZE("1", "Fetch", "{}")));
	end(7, 3, END_EXIT);
	rig_sup_next(MSG_END_RECORDED);
	ck_assert_uint_eq(rig.m.h.id, 7);
	r = rig_last("session.end");
	ck_assert_int_eq(json_integer_value(json_object_get(r, "code")), 3);
	ck_assert_str_eq(json_string_value(json_object_get(r, "reason")), "exit");
	ck_assert_int_eq(
		json_integer_value(json_object_get(json_object_get(r, "counts"), "allow")), 1);
	ck_assert(rig_closed(fd));
	ck_assert(TAILQ_EMPTY(&rig.b->boxes));
	close(fd);
}
END_TEST

START_TEST(an_end_drops_what_was_asked_and_records_it)
{
	int fd = rig_box("web", ANN, 7, ""), ann = rig_person(ANN, 0);

	json_decref(rig_ask(fd, AUTHORIZE("1", "Bash", "{\"command\":\"x\"}")));
	end(7, 137, END_KILLED);
	rig_sup_next(MSG_END_RECORDED);
	ck_assert_str_eq(rig_pending(ann), "");
	ck_assert_str_eq(rig_str(rig_last("decision"), "d", "by"), "cancel");
	close(ann);
	close(fd);
}
END_TEST

START_TEST(an_end_waits_for_a_recorder_as_long_as_it_takes)
{
	int fd = rig_box("web", ANN, 7, "");

	close(rig.rec);
	rig.rec = -1;
	rig_idle(5);
	end(7, 0, END_EXIT);
	rig_idle(30);
	ck_assert_int_lt(wire_recv(rig.sup, &rig.m), 0);
	rig_new_recorder();
	rig_sup_next(MSG_END_RECORDED);
	ck_assert_uint_eq(rig_count("session.end"), 1);
	close(fd);
}
END_TEST

START_TEST(a_launch_that_the_supervisor_refuses_ends_its_session)
{
	struct request_writer w;

	rig_request(&w, "web");
	ck_assert_int_eq(rig_run_as(&w, ANN, 7), 1);
	end(7, 125, END_FAILED);
	rig_sup_next(MSG_END_RECORDED);
	ck_assert_str_eq(
		json_string_value(json_object_get(rig_last("session.end"), "reason")), "failed");
	rig_request(&w, "web"); /* the name is free again */
	ck_assert_int_eq(rig_run_as(&w, ANN, 8), 1);
}
END_TEST

START_TEST(a_restarted_broker_goes_on_with_the_same_policy)
{
	int fd = rig_box("web", ANN, 7, "limits: {processes: 99}\n"), ann = rig_person(ANN, 0);
	char before[65];
	json_t *o = sandbox(ann, "web"), *r;

	snprintf(before, sizeof before, "%s", rig_str(o, "result", "policy_sha256"));
	json_decref(o);
	close(ann);
	close(fd);
	rig_broker_down();
	rig_broker_up();
	/* What lies on disk by then plays no part. */
	fd = rig_connect(rig_started(7, ANN, getuid(), SANDBOX_RESTORED, -1));
	ann = rig_person(ANN, 0);
	o = sandbox(ann, "web");
	ck_assert_str_eq(rig_str(o, "result", "policy_sha256"), before);
	json_decref(o);
	rig_say(fd, AUTHORIZE("1", "WebSearch", "{}"));
	rig_expect(fd, "deny");
	rig_say(fd, AUTHORIZE("1", "Fetch", "{}"));
	rig_expect(fd, "allow");
	r = rig_last("session.resume");
	ck_assert_int_eq(json_integer_value(json_object_get(r, "after")), -1);
	ck_assert_str_eq(
		json_string_value(json_object_get(r, "reason")), "the broker was restarted");
	close(ann);
	close(fd);
}
END_TEST

START_TEST(a_session_file_of_another_sandbox_is_not_taken)
{
	struct request_writer w;
	int fd, first;
	json_t *o;

	rig_request(&w, "one");
	ck_assert_int_eq(rig_run_as(&w, ANN, 7), 1);
	first = dup(rig.session_fd);
	rig_request(&w, "two");
	ck_assert_int_eq(rig_run_as(&w, ANN, 8), 1);
	rig_broker_down();
	rig_broker_up();
	close(rig.session_fd);
	rig.session_fd = first;
	fd = rig_connect(rig_started(8, ANN, getuid(), SANDBOX_RESTORED, -1));
	o = rig_ask(fd, AUTHORIZE("1", "Fetch", "{}"));
	ck_assert_ptr_nonnull(strstr(rig_str(o, "error", "message"), "denied"));
	json_decref(o);
	close(fd);
}
END_TEST

START_TEST(session_files_that_are_damaged_load_as_nothing)
{
	struct request_writer w;
	struct error e;
	size_t n;
	const char *p;
	char *copy;

	rig_request(&w, "web");
	rig_put_doc(&w, DOC_CLI, "/p.yaml", RIG_POLICY);
	ck_assert_int_eq(rig_run_as(&w, ANN, 7), 1);
	p = io_map_sealed(rig.session_fd, SESSION_FILE_MAX, &n, &e);
	copy = malloc(n);
	for (size_t cut = 1; cut < n; cut += cut < 200 ? 1 : 97) {
		int fd = io_sealed_memfd("cut", p, cut, &e);

		ck_assert_ptr_null(session_load(fd, &e));
		close(fd);
	}
	memcpy(copy, p, n);
	copy[n - 3] ^= 1; /* the policy's text: another digest */
	{
		int fd = io_sealed_memfd("changed", copy, n, &e);

		ck_assert_ptr_null(session_load(fd, &e));
		close(fd);
	}
	free(copy);
	munmap((void *)(uintptr_t)p, n);
}
END_TEST

START_TEST(events_are_answered_when_they_are_in_the_log)
{
	int fd = rig_box("web", ANN, 7, "");
	struct msg_event ev = {.kind = EVENT_KILL,
		.uid = ANN,
		.by_uid = ANN,
		.by_pid = 99,
		.sandbox = 7,
		.tasks = 12,
		.took_us = 345,
		.at_ns = 1234567890123456789,
		.name = "web",
		.text = "enough \xff"};
	json_t *r;

	ck_assert_int_eq(wire_send(rig.sup, MSG_EVENT, 44, &ev, sizeof ev, NULL, 0), 0);
	rig_sup_next(MSG_EVENT_RECORDED);
	ck_assert_uint_eq(rig.m.h.id, 44);
	r = rig_last("kill");
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(r, "by"), "pid")), 99);
	ck_assert_int_eq(
		json_integer_value(json_object_get(json_object_get(r, "receipt"), "tasks")), 12);
	ck_assert_str_eq(rig_str(r, "receipt", "at_ns"), "1234567890123456789");
	for (uint32_t k = EVENT_UNLATCH; k <= EVENT_BOOT; k++) {
		ev.kind = k;
		ck_assert_int_eq(wire_send(rig.sup, MSG_EVENT, 50 + k, &ev, sizeof ev, NULL, 0), 0);
		rig_sup_next(MSG_EVENT_RECORDED);
	}
	ck_assert_uint_eq(rig_count("role"), 2);
	ck_assert_uint_eq(rig_count("unlatch"), 1);
	ck_assert_uint_eq(rig_count("refused"), 1);
	close(fd);
}
END_TEST

START_TEST(an_event_waits_for_a_recorder)
{
	struct msg_event ev = {.kind = EVENT_ROLE,
		.uid = UINT32_MAX,
		.by_uid = UINT32_MAX,
		.name = "recorder",
		.text = "died"};

	close(rig.rec);
	rig.rec = -1;
	rig_idle(5);
	ck_assert_int_eq(wire_send(rig.sup, MSG_EVENT, 44, &ev, sizeof ev, NULL, 0), 0);
	rig_idle(20);
	ck_assert_int_lt(wire_recv(rig.sup, &rig.m), 0);
	rig_new_recorder();
	rig_sup_next(MSG_EVENT_RECORDED);
}
END_TEST

START_TEST(a_ping_is_answered)
{
	ck_assert_int_eq(wire_send(rig.sup, MSG_PING, 31, NULL, 0, NULL, 0), 0);
	rig_sup_next(MSG_PONG);
	ck_assert_uint_eq(rig.m.h.id, 31);
}
END_TEST

START_TEST(a_supervisor_that_breaks_the_protocol_is_left)
{
	ck_assert_int_eq(wire_send(rig.sup, MSG_PLAN, 1, NULL, 0, NULL, 0), 0);
	rig_idle(5);
	ck_assert(!chan_open(rig.b->sup));
}
END_TEST

static int open_pty(int *slave)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	char name[64];

	ck_assert_int_ge(master, 0);
	ck_assert_int_eq(grantpt(master), 0);
	ck_assert_int_eq(unlockpt(master), 0);
	ck_assert_int_eq(ptsname_r(master, name, sizeof name), 0);
	*slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(*slave, 0);
	return master;
}

/* The answer to attach, its descriptor and what follows the line. */
static json_t *attach(int person, int *fd, char *raw, size_t cap, size_t *raw_n)
{
	static char buf[200000];
	size_t n = 0, nfds = 1;
	char *lf = NULL;
	json_t *o;

	rig_say(person, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"attach\",\"params\":{\"name\":"
			"\"web\"}}");
	*fd = -1;
	for (uint64_t since = io_now_mono(); rig_waitable(since);) {
		int got_fd = -1;
		ssize_t r;

		nfds = 1;
		r = io_recv_fds(person, buf + n, sizeof buf - n, &got_fd, &nfds, MSG_DONTWAIT);
		if (r <= 0) {
			rig_nap();
			if (lf)
				break;
			continue;
		}
		if (nfds)
			*fd = got_fd;
		n += (size_t)r;
		lf = memchr(buf, '\n', n);
	}
	ck_assert_ptr_nonnull(lf);
	o = json_loadb(buf, (size_t)(lf - buf), 0, NULL);
	*raw_n = n - (size_t)(lf + 1 - buf);
	ck_assert_uint_le(*raw_n, cap);
	memcpy(raw, lf + 1, *raw_n);
	return o;
}

static void run_with_pty(int master)
{
	struct request_writer w;
	uint16_t size[2] = {24, 80};

	rig_request(&w, "web");
	request_put(&w, REQ_TERMINAL, size, sizeof size);
	ck_assert_int_eq(rig_run_as(&w, ANN, 7), 1);
	ck_assert_uint_eq(rig_plan()->flags & PLAN_TERMINAL, PLAN_TERMINAL);
	rig_started(7, ANN, getuid(), 0, master);
}

START_TEST(attach_gives_the_terminal_and_what_it_printed_before)
{
	int slave, master = open_pty(&slave), got, ann = rig_person(ANN, 0), second;
	char raw[70000];
	size_t n;
	json_t *o;

	run_with_pty(master);
	ck_assert_int_eq(io_write_all(slave, "hello", 5), 0);
	rig_idle(10);
	o = attach(ann, &got, raw, sizeof raw, &n);
	ck_assert_int_eq(
		json_integer_value(json_object_get(json_object_get(o, "result"), "replay")), 5);
	ck_assert_uint_eq(n, 5);
	ck_assert_int_eq(memcmp(raw, "hello", 5), 0);
	json_decref(o);
	/* While somebody is attached the broker does not read. */
	ck_assert_int_eq(io_write_all(slave, "more", 4), 0);
	rig_idle(10);
	ck_assert_int_eq(read(got, raw, sizeof raw), 4);
	close(got);
	/* A second one takes over. */
	second = rig_person(ANN, 0);
	o = attach(second, &got, raw, sizeof raw, &n);
	json_decref(o);
	o = rig_hear(ann);
	ck_assert_str_eq(json_string_value(json_object_get(o, "method")), "detached");
	json_decref(o);
	ck_assert(rig_closed(ann));
	/* Nobody is attached any more: drained again, so the agent is never blocked. */
	close(got);
	close(second);
	rig_idle(10);
	for (int i = 0; i < 100; i++) {
		char line[2048];

		memset(line, 'a' + i % 26, sizeof line);
		ck_assert_int_eq(io_write_all(slave, line, sizeof line), 0);
		rig_idle(1);
	}
	ann = rig_person(ANN, 0);
	o = attach(ann, &got, raw, sizeof raw, &n);
	ck_assert_uint_eq(n, 65536);
	ck_assert_int_eq(raw[n - 1], 'a' + 99 % 26);
	json_decref(o);
	close(got);
	close(slave);
	close(master);
	close(ann);
}
END_TEST

START_TEST(who_is_attached_learns_the_end)
{
	int slave, master = open_pty(&slave), got, ann = rig_person(ANN, 0);
	char raw[16];
	size_t n;
	json_t *o;

	run_with_pty(master);
	json_decref(attach(ann, &got, raw, sizeof raw, &n));
	end(7, 9, END_EXIT);
	o = rig_hear(ann);
	ck_assert_str_eq(json_string_value(json_object_get(o, "method")), "ended");
	ck_assert_int_eq(
		json_integer_value(json_object_get(json_object_get(o, "params"), "code")), 9);
	json_decref(o);
	ck_assert(rig_closed(ann));
	close(ann);
	close(got);
	close(slave);
	close(master);
}
END_TEST

static void expect_ended(int person, int code)
{
	json_t *o = rig_hear(person);

	ck_assert_str_eq(json_string_value(json_object_get(o, "method")), "ended");
	ck_assert_int_eq(
		json_integer_value(json_object_get(json_object_get(o, "params"), "code")), code);
	json_decref(o);
	ck_assert(rig_closed(person));
	close(person);
}

/* An attach whose answer is followed by the replay alone; the rest of the stream stays unread. */
static size_t attach_late(int person, const char *more, char *raw, size_t cap, int *fd)
{
	char line[256], first[4096];
	size_t n = 0, nfds = 1;
	json_t *o, *replay;

	snprintf(line, sizeof line,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"attach\",\"params\":{\"name\":\"web\"%"
		"s}}",
		more);
	rig_say(person, line);
	*fd = -1;
	for (uint64_t since = io_now_mono(); rig_waitable(since);) {
		int got = -1;

		nfds = 1;
		if (io_recv_fds(person, first + n, 1, &got, &nfds, MSG_DONTWAIT) <= 0) {
			rig_nap();
			continue;
		}
		if (nfds)
			*fd = got;
		if (first[n++] == '\n')
			break;
	}
	o = json_loadb(first, n, 0, NULL);
	ck_assert_ptr_nonnull(o);
	replay = json_object_get(json_object_get(o, "result"), "replay");
	if (!replay) {
		json_decref(o);
		return SIZE_MAX;
	}
	n = (size_t)json_integer_value(replay);
	json_decref(o);
	ck_assert_uint_le(n, cap);
	for (size_t at = 0; at < n;) {
		ssize_t r = recv(person, raw + at, n - at, MSG_DONTWAIT);

		if (r <= 0)
			rig_nap();
		else
			at += (size_t)r;
	}
	return n;
}

START_TEST(who_attaches_a_moment_after_the_end_gets_the_output_and_the_end)
{
	int slave, master = open_pty(&slave), got, ann = rig_person(ANN, 0);
	char raw[70000];

	run_with_pty(master);
	ck_assert_int_eq(io_write_all(slave, "hello", 5), 0);
	close(slave);
	end(7, 3, END_EXIT); /* all of it before the broker has looked */
	rig_sup_next(MSG_END_RECORDED);
	ck_assert(TAILQ_EMPTY(&rig.b->boxes));
	ck_assert_uint_eq(attach_late(ann, "", raw, sizeof raw, &got), 5);
	ck_assert_int_eq(memcmp(raw, "hello", 5), 0);
	expect_ended(ann, 3);
	ck_assert_int_ge(got, 0);
	ck_assert_int_lt(read(got, raw, 1), 0);
	ck_assert_int_eq(errno, EIO);
	close(got);
	/* Once. */
	ann = rig_person(ANN, 0);
	ck_assert_uint_eq(attach_late(ann, "", raw, sizeof raw, &got), SIZE_MAX);
	close(ann);
	close(master);
}
END_TEST

START_TEST(more_than_the_ring_holds_waits_for_the_first_attach)
{
	int slave, master = open_pty(&slave), got, ann = rig_person(ANN, 0);
	static char out[200000], in[200000];
	size_t sent = 0, n;
	ssize_t r;

	for (size_t i = 0; i < sizeof out; i++)
		out[i] = (char)('a' + i % 23);
	run_with_pty(master);
	ck_assert_int_eq(fcntl(slave, F_SETFL, O_NONBLOCK), 0);
	for (uint64_t since = io_now_mono(); io_now_mono() - since < 100000000ull; rig_nap()) {
		r = write(slave, out + sent, sizeof out - sent);
		sent += r > 0 ? (size_t)r : 0;
	}
	ck_assert_uint_gt(sent, 65536); /* the ring and what the kernel holds */
	ck_assert_uint_lt(sent, sizeof out);
	close(slave);
	end(7, 0, END_EXIT);
	rig_sup_next(MSG_END_RECORDED);
	n = attach_late(ann, "", in, sizeof in, &got);
	expect_ended(ann, 0);
	while ((r = read(got, in + n, sizeof in - n)) > 0)
		n += (size_t)r;
	ck_assert_uint_eq(n, sent);
	ck_assert_int_eq(memcmp(in, out, n), 0);
	close(got);
	close(master);
}
END_TEST

START_TEST(what_nobody_fetches_is_dropped_and_another_user_gets_none_of_it)
{
	int slave, master = open_pty(&slave), got, bob = rig_person(ANN + 1, 0), ann;
	char raw[16];

	run_with_pty(master);
	ck_assert_int_eq(io_write_all(slave, "hello", 5), 0);
	close(slave);
	end(7, 3, END_EXIT);
	rig_sup_next(MSG_END_RECORDED);
	ck_assert_uint_eq(attach_late(bob, "", raw, sizeof raw, &got), SIZE_MAX);
	ck_assert_uint_eq(rig.b->nendings, 1);
	ann = rig_person(ANN, 0);
	ck_assert_uint_eq(
		attach_late(ann, ",\"session\":\"web.00000000\"", raw, sizeof raw, &got), SIZE_MAX);
	rig_idle(2100);
	ck_assert_uint_eq(rig.b->nendings, 0);
	ck_assert_uint_eq(attach_late(ann, "", raw, sizeof raw, &got), SIZE_MAX);
	close(ann);
	close(bob);
	close(master);
}
END_TEST

START_TEST(the_name_of_one_that_ended_is_free_and_its_session_finds_it)
{
	int slave, master = open_pty(&slave), got, ann = rig_person(ANN, 0);
	char raw[16], first[96];

	run_with_pty(master);
	snprintf(first, sizeof first, ",\"session\":\"%s\"",
		plan_text(rig_plan(), rig_plan()->session));
	ck_assert_int_eq(io_write_all(slave, "one", 3), 0);
	close(slave);
	end(7, 3, END_EXIT);
	rig_sup_next(MSG_END_RECORDED);
	master = open_pty(&slave);
	run_with_pty(master); /* the same name and number */
	ck_assert_int_eq(io_write_all(slave, "two", 3), 0);
	rig_idle(5);
	ck_assert_uint_eq(attach_late(ann, first, raw, sizeof raw, &got), 3);
	ck_assert_int_eq(memcmp(raw, "one", 3), 0);
	expect_ended(ann, 3);
	close(got);
	ann = rig_person(ANN, 0);
	ck_assert_uint_eq(attach_late(ann, "", raw, sizeof raw, &got), 3);
	ck_assert_int_eq(memcmp(raw, "two", 3), 0);
	close(got);
	close(ann);
	close(slave);
	close(master);
}
END_TEST

START_TEST(endings_are_bounded)
{
	for (unsigned i = 0; i < 70; i++) {
		int slave, master = open_pty(&slave);

		run_with_pty(master);
		close(slave);
		end(7, 0, END_EXIT);
		rig_sup_next(MSG_END_RECORDED);
		close(master);
	}
	ck_assert_uint_le(rig.b->nendings, 64);
}
END_TEST

START_TEST(a_replay_that_lost_its_beginning_starts_with_a_whole_line)
{
	int slave, master = open_pty(&slave), got, ann = rig_person(ANN, 0);
	char raw[70000];
	size_t n;

	run_with_pty(master);
	/* Somebody was there and left: from now on what does not fit is lost. */
	json_decref(attach(ann, &got, raw, sizeof raw, &n));
	close(got);
	close(ann);
	rig_idle(5);
	ck_assert_int_eq(fcntl(slave, F_SETFL, O_NONBLOCK), 0);
	for (int i = 0; i < 2000; i++) {
		static const char line[] = "\033[31mthis line is a red one\033[m\n......";

		for (size_t at = 0; at < sizeof line - 1;) {
			ssize_t w = write(slave, line + at, sizeof line - 1 - at);

			if (w < 0)
				rig_nap();
			else
				at += (size_t)w;
		}
	}
	rig_idle(30);
	ann = rig_person(ANN, 0);
	json_decref(attach(ann, &got, raw, sizeof raw, &n));
	ck_assert_uint_gt(n, 65000);
	ck_assert_int_eq(memcmp(raw, "......", 6), 0);
	close(got);
	close(ann);
	close(slave);
	close(master);
}
END_TEST

START_TEST(a_terminal_that_floods_leaves_the_broker_to_others)
{
	int slave, master = open_pty(&slave), got, ann = rig_person(ANN, 0);
	static char out[16384];
	uint64_t total = 0;
	char raw[70000];
	size_t n;

	run_with_pty(master);
	json_decref(attach(ann, &got, raw, sizeof raw, &n));
	close(got);
	close(ann);
	rig_idle(5);
	ck_assert_int_eq(fcntl(slave, F_SETFL, O_NONBLOCK), 0);
	for (uint64_t since = io_now_mono(); io_now_mono() - since < 300000000ull; rig_step()) {
		ssize_t r = write(slave, out, sizeof out);

		total += r > 0 ? (uint64_t)r : 0;
	}
	ck_assert_uint_lt(total, 6u << 20); /* 20 MB/s */
	ck_assert_uint_gt(total, 1u << 20);
	close(slave);
	close(master);
}
END_TEST

START_TEST(a_sandbox_without_a_terminal_cannot_be_attached)
{
	int fd = rig_box("web", ANN, 7, ""), ann = rig_person(ANN, 0);
	json_t *o = rig_ask(ann, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"attach\",\"params\":{"
				 "\"name\":\"web\"}}");

	ck_assert_ptr_nonnull(strstr(rig_str(o, "error", "message"), "no terminal"));
	json_decref(o);
	close(ann);
	close(fd);
}
END_TEST

START_TEST(status_says_whether_the_log_works)
{
	int ann = rig_person(ANN, 0);
	json_t *o = rig_ask(ann, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}");

	ck_assert(json_is_true(json_object_get(json_object_get(o, "result"), "recorder")));
	json_decref(o);
	close(rig.rec);
	rig.rec = -1;
	rig_idle(5);
	o = rig_ask(ann, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}");
	ck_assert(json_is_false(json_object_get(json_object_get(o, "result"), "recorder")));
	json_decref(o);
	close(ann);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("broker: lives");
	TCase *t = tcase_create("life");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, rig_setup, rig_teardown);
	tcase_add_test(t, an_end_is_answered_when_it_is_in_the_log);
	tcase_add_test(t, an_end_drops_what_was_asked_and_records_it);
	tcase_add_test(t, an_end_waits_for_a_recorder_as_long_as_it_takes);
	tcase_add_test(t, a_launch_that_the_supervisor_refuses_ends_its_session);
	tcase_add_test(t, a_restarted_broker_goes_on_with_the_same_policy);
	tcase_add_test(t, a_session_file_of_another_sandbox_is_not_taken);
	tcase_add_test(t, session_files_that_are_damaged_load_as_nothing);
	tcase_add_test(t, events_are_answered_when_they_are_in_the_log);
	tcase_add_test(t, an_event_waits_for_a_recorder);
	tcase_add_test(t, a_ping_is_answered);
	tcase_add_test(t, a_supervisor_that_breaks_the_protocol_is_left);
	tcase_add_test(t, attach_gives_the_terminal_and_what_it_printed_before);
	tcase_add_test(t, who_is_attached_learns_the_end);
	tcase_add_test(t, who_attaches_a_moment_after_the_end_gets_the_output_and_the_end);
	tcase_add_test(t, more_than_the_ring_holds_waits_for_the_first_attach);
	tcase_add_test(t, what_nobody_fetches_is_dropped_and_another_user_gets_none_of_it);
	tcase_add_test(t, the_name_of_one_that_ended_is_free_and_its_session_finds_it);
	tcase_add_test(t, endings_are_bounded);
	tcase_add_test(t, a_replay_that_lost_its_beginning_starts_with_a_whole_line);
	tcase_add_test(t, a_terminal_that_floods_leaves_the_broker_to_others);
	tcase_add_test(t, a_sandbox_without_a_terminal_cannot_be_attached);
	tcase_add_test(t, status_says_whether_the_log_works);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
