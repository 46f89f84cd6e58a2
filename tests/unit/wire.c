/* Frames between our own processes, sealed memory files, and the RUN request. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/io.h"
#include "common/request.h"
#include "common/wire.h"

static int pair[2];
static struct wire_msg m;

static void setup(void)
{
	struct error e = {0};

	ck_assert_msg(wire_pair(pair, &e) == 0, "%s", e.text);
}

static void teardown(void)
{
	close(pair[0]);
	close(pair[1]);
}

static int open_fds(void)
{
	int n = 0;

	for (int i = 0; i < 256; i++)
		n += fcntl(i, F_GETFD) >= 0;
	return n;
}

START_TEST(a_message_arrives_with_its_payload_and_descriptors)
{
	int fd = open("/dev/null", O_RDONLY);

	ck_assert_int_eq(wire_send(pair[0], 7, 42, "hello", 5, &fd, 1), 0);
	ck_assert_int_eq(wire_recv(pair[1], &m), 1);
	ck_assert_uint_eq(m.h.type, 7);
	ck_assert_uint_eq(m.h.id, 42);
	ck_assert_uint_eq(m.h.len, 5);
	ck_assert_mem_eq(m.payload, "hello", 5);
	ck_assert_uint_eq(m.nfds, 1);
	ck_assert_int_eq(fcntl(m.fds[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	wire_close_fds(&m);
	close(fd);
}
END_TEST

START_TEST(a_frame_whose_length_lies_is_refused_and_its_descriptors_are_closed)
{
	struct wire_hdr h = {.len = 100, .type = 1};
	int fd = open("/dev/null", O_RDONLY), before = open_fds();

	ck_assert_int_gt(io_send_fds(pair[0], &h, sizeof h, &fd, 1, 0), 0);
	ck_assert_int_eq(wire_recv(pair[1], &m), -1);
	ck_assert_int_eq(errno, EPROTO);
	ck_assert_int_gt(io_send_fds(pair[0], "x", 1, &fd, 1, 0), 0);
	ck_assert_int_eq(wire_recv(pair[1], &m), -1);
	ck_assert_int_eq(open_fds(), before);
	close(fd);
}
END_TEST

START_TEST(the_largest_message_fits_and_a_larger_one_is_refused)
{
	char *big = calloc(1, WIRE_PAYLOAD_MAX + 1);

	ck_assert_int_eq(wire_send(pair[0], 1, 0, big, WIRE_PAYLOAD_MAX, NULL, 0), 0);
	ck_assert_int_eq(wire_recv(pair[1], &m), 1);
	ck_assert_uint_eq(m.h.len, WIRE_PAYLOAD_MAX);
	ck_assert_int_eq(wire_send(pair[0], 1, 0, big, WIRE_PAYLOAD_MAX + 1, NULL, 0), -1);
	free(big);
}
END_TEST

START_TEST(the_end_of_the_peer_is_seen)
{
	shutdown(pair[0], SHUT_RDWR);
	ck_assert_int_eq(wire_recv(pair[1], &m), 0);
}
END_TEST

static int handled;

static int handle(void *ctx, struct wire_msg *msg)
{
	(void)ctx;
	(void)msg;
	handled++;
	return 0;
}

START_TEST(only_messages_of_the_table_are_handled)
{
	static const struct wire_rule table[] = {{5, 4, 8, 0, 1, handle}};
	int fd = open("/dev/null", O_RDONLY), fds[2] = {fd, fd}, before = open_fds();
	const struct {
		uint16_t type;
		size_t n, nfds;
		int ok;
	} sent[] = {{5, 4, 0, 1}, {5, 8, 1, 1}, {5, 3, 0, 0}, {5, 9, 0, 0}, {5, 4, 2, 0},
		{6, 4, 0, 0}, {0, 4, 0, 0}};

	for (size_t i = 0; i < sizeof sent / sizeof *sent; i++) {
		handled = 0;
		ck_assert_int_eq(wire_send(pair[0], sent[i].type, 1, "abcdefghi", sent[i].n, fds,
					 sent[i].nfds),
			0);
		ck_assert_int_eq(wire_recv(pair[1], &m), 1);
		ck_assert_int_eq(wire_dispatch(table, 1, NULL, &m), sent[i].ok ? 0 : -1);
		ck_assert_int_eq(handled, sent[i].ok);
		ck_assert_int_eq(open_fds(), before); /* what a handler leaves is closed */
	}
	close(fd);
}
END_TEST

START_TEST(a_memory_file_that_can_still_change_is_not_mapped)
{
	struct error e = {0};
	size_t n;
	int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int plain = open("/dev/null", O_RDONLY), sealed;
	const void *p;

	ck_assert_int_eq(write(fd, "abc", 3), 3);
	ck_assert_ptr_null(io_map_sealed(fd, 100, &n, &e));
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
	ck_assert_ptr_null(io_map_sealed(fd, 100, &n, &e)); /* F_SEAL_SEAL is missing */
	ck_assert_ptr_null(io_map_sealed(plain, 100, &n, &e));
	sealed = io_sealed_memfd("y", "hello", 5, &e);
	ck_assert_int_ge(sealed, 0);
	ck_assert_ptr_null(io_map_sealed(sealed, 4, &n, &e));
	p = io_map_sealed(sealed, 5, &n, &e);
	ck_assert_ptr_nonnull(p);
	ck_assert_mem_eq(p, "hello", 5);
	ck_assert_int_eq(write(sealed, "x", 1), -1);
	close(fd);
	close(plain);
	close(sealed);
}
END_TEST

START_TEST(a_request_reads_back_in_order)
{
	struct request_writer w;
	struct error e = {0};
	enum request_tag tag;
	struct span v;
	size_t n, pos = 0;
	const char *req;
	int fd;

	request_begin(&w);
	request_put_str(&w, REQ_NAME, "web");
	request_put_str(&w, REQ_ARG, "a");
	request_put(&w, REQ_ARG, "", 0);
	fd = request_seal(&w, &e);
	ck_assert_int_ge(fd, 0);
	req = io_map_sealed(fd, REQUEST_MAX, &n, &e);
	ck_assert_ptr_nonnull(req);
	ck_assert_int_eq(request_next(req, n, &pos, &tag, &v), 1);
	ck_assert(tag == REQ_NAME && v.n == 3 && !memcmp(v.p, "web", 3));
	ck_assert_int_eq(request_next(req, n, &pos, &tag, &v), 1);
	ck_assert_int_eq(request_next(req, n, &pos, &tag, &v), 1);
	ck_assert(tag == REQ_ARG && v.n == 0);
	ck_assert_int_eq(request_next(req, n, &pos, &tag, &v), 0);
	close(fd);
}
END_TEST

START_TEST(a_malformed_request_is_refused_at_the_entry)
{
	static const struct {
		const char *bytes;
		size_t n;
	} bad[] = {{"", 0}, {"AGDREQ", 6}, {"AGDREQ2\n", 8}, {REQUEST_MAGIC "\1\0\0\0\5", 13},
		{REQUEST_MAGIC "\1\0\0\0\5\0\0\0abcd", 20}, {REQUEST_MAGIC "\0\0\0\0\0\0\0\0", 16},
		{REQUEST_MAGIC "\77\0\0\0\0\0\0\0", 16}, {REQUEST_MAGIC "\1\0\1\0\0\0\0\0", 16},
		{REQUEST_MAGIC "\1\0\0\0\377\377\377\377", 16}};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		enum request_tag tag;
		struct span v;
		size_t pos = 0;
		char *exact = malloc(bad[i].n + 1);

		memcpy(exact, bad[i].bytes, bad[i].n);
		ck_assert_msg(request_next(exact, bad[i].n, &pos, &tag, &v) == -1, "case %zu", i);
		free(exact);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wire");
	TCase *t = tcase_create("wire");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_message_arrives_with_its_payload_and_descriptors);
	tcase_add_test(t, a_frame_whose_length_lies_is_refused_and_its_descriptors_are_closed);
	tcase_add_test(t, the_largest_message_fits_and_a_larger_one_is_refused);
	tcase_add_test(t, the_end_of_the_peer_is_seen);
	tcase_add_test(t, only_messages_of_the_table_are_handled);
	tcase_add_test(t, a_memory_file_that_can_still_change_is_not_mapped);
	tcase_add_test(t, a_request_reads_back_in_order);
	tcase_add_test(t, a_malformed_request_is_refused_at_the_entry);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
