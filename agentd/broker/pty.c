/* Terminals nobody looks at; see pty.h. */
#include "agentd/broker/pty.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"

#define RING_SIZE  65536u
#define READ_SIZE  16384u
#define HOLD_MS    2000u
#define FULL_MS    50u /* nothing more fits: look again */
#define BURST      (256u << 10) /* after so many bytes others have their turn … */
#define BURST_MS   25u /* … for so long: a terminal that floods costs little */
#define HUNG_UP_MS 200u /* nobody has the terminal open: look again */
#define END_MAX    (1u << 20) /* bytes; the kernel holds far less */
#define LINE_MAX_N 1024u /* where a replay that lost its beginning may begin */

struct pty {
	int master;
	struct event *readable, *again; /* owned */
	char *ring; /* owned; NULL until something is printed */
	size_t at, n; /* where the next byte goes; how many are valid */
	size_t burst; /* bytes read since the last pause */
	uint64_t hold_until_ns; /* CLOCK_MONOTONIC; 0: what does not fit is lost */
	int paused; /* somebody is attached, or it has ended */
	int cut; /* the ring has lost bytes */
};

static void keep(struct pty *p, const char *s, size_t n)
{
	if (!p->ring && !(p->ring = malloc(RING_SIZE)))
		return; /* lost, but the agent goes on */
	p->cut |= p->n + n > RING_SIZE;
	if (n > RING_SIZE) {
		s += n - RING_SIZE;
		n = RING_SIZE;
	}
	for (size_t left = n; left;) {
		size_t k = RING_SIZE - p->at < left ? RING_SIZE - p->at : left;

		memcpy(p->ring + p->at, s, k);
		p->at = (p->at + k) % RING_SIZE;
		s += k;
		left -= k;
	}
	p->n = p->n + n > RING_SIZE ? RING_SIZE : p->n + n;
}

static int held(const struct pty *p)
{
	return p->hold_until_ns && io_now_mono() < p->hold_until_ns;
}

/* Reads once. The bytes taken; 0: there is no room, -1 with errno: nothing (EIO: the last slave is
 * closed). */
static ssize_t take(struct pty *p)
{
	char buf[READ_SIZE];
	size_t room = held(p) ? RING_SIZE - p->n : sizeof buf;
	ssize_t r;

	if (!room)
		return 0;
	do
		r = read(p->master, buf, room < sizeof buf ? room : sizeof buf);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		errno = EIO;
	if (r <= 0)
		return -1;
	keep(p, buf, (size_t)r);
	return r;
}

static void wait_ms(struct pty *p, unsigned ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};

	event_del(p->readable);
	evtimer_add(p->again, &tv);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct pty *p = arg;

	(void)fd;
	(void)what;
	p->burst = 0;
	if (!p->paused)
		event_add(p->readable, NULL);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct pty *p = arg;
	ssize_t r = take(p);

	(void)fd;
	(void)what;
	if (r == 0) {
		wait_ms(p, FULL_MS);
	} else if (r < 0) {
		if (errno != EAGAIN)
			wait_ms(p, HUNG_UP_MS);
	} else if ((p->burst += (size_t)r) >= BURST) {
		wait_ms(p, BURST_MS);
	}
}

struct pty *pty_new(struct event_base *base, int master, int hold)
{
	struct pty *p = calloc(1, sizeof *p);

	if (!p) {
		close(master);
		return NULL;
	}
	p->master = master;
	if (hold)
		p->hold_until_ns = io_now_mono() + HOLD_MS * 1000000ull;
	p->readable = event_new(base, master, EV_READ | EV_PERSIST, on_readable, p);
	p->again = evtimer_new(base, on_again, p);
	if (!p->readable || !p->again || evutil_make_socket_nonblocking(master) < 0 ||
		event_add(p->readable, NULL) < 0) {
		pty_free(p);
		return NULL;
	}
	return p;
}

void pty_free(struct pty *p)
{
	if (!p)
		return;
	if (p->readable)
		event_free(p->readable);
	if (p->again)
		event_free(p->again);
	close(p->master);
	free(p->ring);
	free(p);
}

int pty_master(const struct pty *p)
{
	return p->master;
}

static char ring_byte(const struct pty *p, size_t i)
{
	return p->ring[(p->at + RING_SIZE - p->n + i) % RING_SIZE];
}

/* A ring that lost its beginning may start inside a character or an escape sequence: where the first
 * line ends soon, the replay starts behind it. */
static void begin_whole(struct pty *p)
{
	for (size_t i = 0; p->cut && i < p->n && i < LINE_MAX_N; i++) {
		if (ring_byte(p, i) == '\n') {
			p->n -= i + 1;
			break;
		}
	}
	while (p->cut && p->n && ((unsigned char)ring_byte(p, 0) & 0xc0) == 0x80)
		p->n--;
	p->cut = 0;
}

static void stop(struct pty *p)
{
	p->paused = 1;
	event_del(p->readable);
	evtimer_del(p->again);
}

void pty_pause(struct pty *p, struct text *replay)
{
	size_t from, first;

	stop(p);
	p->hold_until_ns = 0;
	begin_whole(p);
	from = (p->at + RING_SIZE - p->n) % RING_SIZE;
	first = RING_SIZE - from < p->n ? RING_SIZE - from : p->n;
	text_put(replay, "", 0);
	if (p->n) {
		text_put(replay, p->ring + from, first);
		text_put(replay, p->ring, p->n - first);
	}
	p->n = p->at = 0;
}

void pty_resume(struct pty *p)
{
	p->paused = 0;
	p->burst = 0;
	event_add(p->readable, NULL);
}

void pty_end(struct pty *p)
{
	ssize_t r;

	stop(p);
	for (size_t n = 0; n < END_MAX && (r = take(p)) > 0;)
		n += (size_t)r;
}
