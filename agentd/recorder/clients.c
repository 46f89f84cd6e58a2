/* Streaming entries to AUDIT connections; see clients.h. Must never send an entry that is not durable,
 * or to someone it is not about. */
#include "agentd/recorder/clients.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "audit/reader.h"
#include "audit/record.h"
#include "audit/seal.h"
#include "common/io.h"

#define REQUEST_LINE 4096u
#define OUT_CAP      (256u << 10)
#define STEP         256u /* entries looked at before others get their turn */
#define LAST_MAX     65536u
#define LOOK_BACK    65536u /* how far back {"last":K} looks for entries the peer may see */
#define REQUEST_NS   (5ull * 1000000000u) /* to send the request */
#define STALL_NS     (30ull * 1000000000u) /* without taking a byte */

enum state { WAITING, LOOKING_BACK, STREAMING, ENDING };

struct client {
	int fd;
	uint32_t uid, admin;
	enum state state;
	uint64_t since; /* CLOCK_MONOTONIC ns of the last progress */
	struct reader *reader;
	int follow;
	uint64_t left; /* entries still to send */
	size_t last; /* K, and a ring of the K indexes seen last */
	uint64_t *ring;
	size_t seen;
	size_t in_n, out_at, out_n;
	char in[REQUEST_LINE];
	char out[OUT_CAP + ENTRY_MAX + 2];
};

struct clients {
	int logdir; /* the caller's */
	struct client *client[CLIENTS_MAX];
};

struct clients *clients_new(int logdir)
{
	struct clients *c = calloc(1, sizeof *c);

	if (c)
		c->logdir = logdir;
	return c;
}

static void drop(struct clients *c, size_t i)
{
	struct client *x = c->client[i];

	c->client[i] = NULL;
	close(x->fd);
	reader_free(x->reader);
	free(x->ring);
	free(x);
}

void clients_free(struct clients *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (c->client[i])
			drop(c, i);
	}
	free(c);
}

static struct client *make_client(struct clients *c, int fd, const struct msg_peer *peer)
{
	struct client *x = calloc(1, sizeof *x);

	if (x)
		x->reader = reader_new(c->logdir);
	if (!x || !x->reader) {
		free(x);
		return NULL;
	}
	x->fd = fd;
	x->uid = peer->uid;
	x->admin = peer->admin;
	x->since = io_now_mono();
	return x;
}

void clients_add(struct clients *c, int fd, const struct msg_peer *peer)
{
	static const char busy[] = "{\"error\":\"too many readers of the audit log; try again\"}\n";
	size_t same = 0, place = CLIENTS_MAX;

	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (!c->client[i])
			place = i;
		else if (c->client[i]->uid == peer->uid)
			same++;
	}
	if (fcntl(fd, F_SETFL, O_NONBLOCK) == 0 && place < CLIENTS_MAX && same < CLIENTS_PER_UID)
		c->client[place] = make_client(c, fd, peer);
	if (place == CLIENTS_MAX || !c->client[place]) {
		(void)!send(fd, busy, sizeof busy - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		close(fd);
	}
}

size_t clients_poll(struct clients *c, struct pollfd *fds)
{
	size_t n = 0;

	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		const struct client *x = c->client[i];

		if (x)
			fds[n++] = (struct pollfd){
				.fd = x->fd, .events = x->out_n > x->out_at ? POLLOUT : POLLIN};
	}
	return n;
}

/* ---- output ---- */

static void put_line(struct client *x, const char *p, size_t n)
{
	memcpy(x->out + x->out_n, p, n);
	x->out[x->out_n + n] = '\n';
	x->out_n += n + 1;
}

static void end_with(struct client *x, const char *key, json_t *value)
{
	char line[1024];
	json_t *o = json_object();
	size_t n;

	json_object_set_new(o, key, value);
	n = record_write(o, line, sizeof line);
	json_decref(o);
	put_line(x, line, n);
	x->state = ENDING;
}

static void end_with_error(struct client *x, const char *text)
{
	end_with(x, "error", json_string(text));
}

/* 0, or -1: the peer is gone. */
static int flush(struct client *x)
{
	while (x->out_at < x->out_n) {
		ssize_t w = send(x->fd, x->out + x->out_at, x->out_n - x->out_at,
			MSG_NOSIGNAL | MSG_DONTWAIT);

		if (w < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
		x->out_at += (size_t)w;
		x->since = io_now_mono();
	}
	x->out_at = x->out_n = 0;
	return 0;
}

/* ---- the request ---- */

static int get_number(const json_t *o, const char *key, uint64_t *out)
{
	const json_t *v = json_object_get(o, key);

	if (!v)
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return -1;
	*out = (uint64_t)json_integer_value(v);
	return 1;
}

static int begin_look_back(struct client *x, uint64_t last, uint64_t size)
{
	x->last = last > LAST_MAX ? LAST_MAX : (size_t)last;
	x->ring = calloc(x->last + 1, sizeof *x->ring);
	if (!x->ring)
		return -1;
	reader_seek(x->reader, size > LOOK_BACK ? size - LOOK_BACK : 0);
	x->state = LOOKING_BACK;
	return 0;
}

static int apply_request(struct client *x, const json_t *o, uint64_t size)
{
	uint64_t from = 0, last = 0; /* last: records, not seals */
	int has_from = get_number(o, "from", &from), has_last = get_number(o, "last", &last);
	const json_t *follow = json_object_get(o, "follow");

	x->left = UINT64_MAX;
	if (has_from < 0 || has_last < 0 || (has_from && has_last) ||
		get_number(o, "count", &x->left) < 0 || (follow && !json_is_boolean(follow)))
		return -1;
	x->follow = json_is_true(follow);
	x->state = STREAMING;
	if (has_last)
		return begin_look_back(x, last, size);
	reader_seek(x->reader, from);
	return 0;
}

static void take_request(struct client *x, size_t n, uint64_t size)
{
	struct error e;
	json_t *o = record_parse(x->in, n, &e);

	if (!o || apply_request(x, o, size) < 0)
		end_with_error(x, "expected {\"from\":N} or {\"last\":N}, with follow and count");
	json_decref(o);
}

/* 0, or -1: the peer is gone or says too much. */
static int read_input(struct client *x, uint64_t size)
{
	ssize_t r = recv(x->fd, x->in + x->in_n, sizeof x->in - x->in_n, MSG_DONTWAIT);
	char *lf;

	if (r < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if (r == 0)
		return x->state == WAITING || x->follow ? -1 : 0;
	if (x->state != WAITING)
		return -1; /* there is nothing more to say */
	x->in_n += (size_t)r;
	lf = memchr(x->in, '\n', x->in_n);
	if (lf)
		take_request(x, (size_t)(lf - x->in), size);
	else if (x->in_n == sizeof x->in)
		return -1;
	return 0;
}

/* ---- entries ---- */

static int may_see(const struct client *x, struct span entry)
{
	struct error e;
	json_t *o;
	int mine;

	if (x->admin)
		return 1;
	if (seal_is(entry.p, entry.n))
		return 0;
	o = record_parse(entry.p, entry.n, &e);
	mine = o && record_uid(o) == (json_int_t)x->uid;
	json_decref(o);
	return mine;
}

/* The next entry below size. 1, 0, or -1 and the stream ends with an error. */
static int next_entry(struct client *x, uint64_t size, struct span *entry)
{
	struct error e;
	int r = reader_index(x->reader) < size ? reader_next(x->reader, entry, &e) : 0;

	if (r < 0)
		end_with_error(x, e.text);
	return r;
}

/* Where the stream begins when the end was reached: at the oldest index in the ring. */
static void begin_stream(struct client *x)
{
	x->state = STREAMING;
	if (x->seen && x->last)
		reader_seek(x->reader, x->ring[x->seen < x->last ? 0 : x->seen % x->last]);
}

/* Both return 1 when they stopped only to give others their turn. */
static int look_back(struct client *x, uint64_t size)
{
	struct span entry;

	for (unsigned i = 0; i < STEP; i++) {
		uint64_t index = reader_index(x->reader);
		int r = next_entry(x, size, &entry);

		if (r < 0)
			return 0;
		if (r == 0) {
			begin_stream(x);
			return 1;
		}
		if (x->last && !seal_is(entry.p, entry.n) && may_see(x, entry))
			x->ring[x->seen++ % x->last] = index;
	}
	return 1;
}

static int stream(struct client *x, uint64_t size)
{
	struct span entry;

	for (unsigned i = 0; i < STEP && x->out_n < OUT_CAP; i++) {
		int r = x->left ? next_entry(x, size, &entry) : 0;

		if (r < 0)
			return 0;
		if (r == 0) {
			if (!x->follow || x->left == 0)
				end_with(x, "end", json_integer((json_int_t)size));
			return 0;
		}
		if (may_see(x, entry)) {
			put_line(x, entry.p, entry.n);
			x->left--;
		}
	}
	return 1;
}

static int is_late(const struct client *x)
{
	uint64_t quiet = io_now_mono() - x->since;

	if (x->state == WAITING)
		return quiet > REQUEST_NS;
	return x->out_n > x->out_at && quiet > STALL_NS;
}

/* 1: more to do at once; 0; -1: drop it. */
static int serve(struct client *x, uint64_t size)
{
	int more = 0;

	if (x->state != ENDING && read_input(x, size) < 0)
		return -1;
	if (flush(x) < 0 || is_late(x))
		return -1;
	if (x->out_n > x->out_at)
		return 0;
	if (x->state == LOOKING_BACK)
		more = look_back(x, size);
	else if (x->state == STREAMING)
		more = stream(x, size);
	if (x->out_n)
		x->since = io_now_mono();
	if (flush(x) < 0 || (x->state == ENDING && x->out_n == 0))
		return -1;
	/* What the socket does not take is waited for by poll. */
	return more && x->out_n == 0;
}

int clients_serve(struct clients *c, uint64_t size)
{
	int more = 0;

	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		int r = c->client[i] ? serve(c->client[i], size) : 0;

		if (r < 0)
			drop(c, i);
		else
			more |= r;
	}
	return more;
}
