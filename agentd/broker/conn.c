/* JSON-RPC over a stream socket; see conn.h. */
#include "agentd/broker/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agentd/broker/text.h"
#include "common/cleanup.h"
#include "common/io.h"

#define READ_SIZE    65536u
#define OUT_PAUSE    65536u /* unread answers: above this the connection is not read */
#define TIME_BURST   10000000ll /* ns a group may use at once */
#define TIME_PERCENT 75 /* share of the broker's time in the long run */
#define TIRED        100000000ll /* ns */

static void run(struct conn *c, const char *data, size_t n);

/* ---- groups ---- */

static void refill(struct conn_group *g)
{
	uint64_t now = io_now_mono();

	g->time_ns += (int64_t)((now - g->refilled_ns) / 100 * TIME_PERCENT);
	g->refilled_ns = now;
	if (g->time_ns > TIME_BURST)
		g->time_ns = TIME_BURST;
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct conn_group *g = arg;
	struct conn *c;

	(void)fd;
	(void)what;
	if (g->resumed)
		g->resumed(g);
	/* Those that get no turn come back to the end of the list: each gets one in time. */
	for (unsigned left = g->conns; left && (c = TAILQ_FIRST(&g->paused)); left--) {
		TAILQ_REMOVE(&g->paused, c, paused_link);
		c->waiting = 0;
		event_add(c->readable, NULL);
		run(c, NULL, 0);
	}
}

static void reap(struct conn_group *g);

static void on_reap(evutil_socket_t fd, short what, void *arg)
{
	struct conn_group *g = arg;
	uint64_t since = io_now_mono();

	(void)fd;
	(void)what;
	reap(g);
	conn_group_charge(g, &since);
	if (!g->conns && g->emptied)
		g->emptied(g); /* may free the group */
}

int conn_group_init(
	struct conn_group *g, struct event_base *base, unsigned conns_max, size_t held_max)
{
	memset(g, 0, sizeof *g);
	g->base = base;
	g->conns_max = conns_max;
	g->held_max = held_max;
	g->time_ns = TIME_BURST;
	g->refilled_ns = io_now_mono();
	TAILQ_INIT(&g->paused);
	TAILQ_INIT(&g->dead);
	g->resume = evtimer_new(base, on_resume, g);
	g->reap = event_new(base, -1, 0, on_reap, g);
	if (g->resume && g->reap)
		return 0;
	conn_group_done(g);
	return -1;
}

void conn_group_done(struct conn_group *g)
{
	reap(g);
	if (g->resume)
		event_free(g->resume);
	if (g->reap)
		event_free(g->reap);
	g->resume = g->reap = NULL;
}

void conn_group_charge(struct conn_group *g, uint64_t *since_ns)
{
	uint64_t now = io_now_mono();

	g->time_ns -= (int64_t)(now - *since_ns);
	*since_ns = now;
}

void conn_group_tire(struct conn_group *g)
{
	g->time_ns = -TIRED;
}

int conn_group_may(struct conn_group *g)
{
	struct timeval tv;
	int64_t wait;

	if (g->time_ns <= 0)
		refill(g);
	if (g->time_ns > 0)
		return 1;
	if (!evtimer_pending(g->resume, NULL)) {
		wait = (-g->time_ns + 1000000) / 1000 * 100 / TIME_PERCENT; /* µs */
		tv.tv_sec = wait / 1000000;
		tv.tv_usec = wait % 1000000;
		evtimer_add(g->resume, &tv);
	}
	return 0;
}

/* 1 when the connection may go on now; else it waits for its turn. */
static int may_run(struct conn *c)
{
	if (conn_group_may(c->group))
		return 1;
	if (!c->waiting) {
		c->waiting = 1;
		TAILQ_INSERT_TAIL(&c->group->paused, c, paused_link);
		event_del(c->readable);
	}
	return 0;
}

/* 1 when nothing may be read from it now. */
static int is_stalled(const struct conn *c)
{
	return c->dead || c->closing || c->waiting || c->busy >= CONN_BUSY_MAX ||
	       c->out_n >= OUT_PAUSE;
}

/* ---- buffers ---- */

static void drop_buf(struct conn *c, char **buf, size_t *n, size_t *cap)
{
	free(*buf);
	c->group->held -= *cap;
	*buf = NULL;
	*n = *cap = 0;
}

static int grow_buf(struct conn *c, char **buf, size_t n, size_t *cap)
{
	size_t want = *cap ? *cap : 512;
	char *p;

	while (want < n)
		want *= 2;
	if (want == *cap)
		return 0;
	if (c->group->held + (want - *cap) > c->group->held_max)
		return -1;
	p = realloc(*buf, want);
	if (!p)
		return -1;
	c->group->held += want - *cap;
	*buf = p;
	*cap = want;
	return 0;
}

/* ---- life ---- */

static void free_conn(struct conn *c)
{
	event_free(c->readable);
	event_free(c->writable);
	if (c->waiting)
		TAILQ_REMOVE(&c->group->paused, c, paused_link);
	drop_buf(c, &c->in, &c->in_n, &c->in_cap);
	drop_buf(c, &c->out, &c->out_n, &c->out_cap);
	if (c->out_fd >= 0)
		close(c->out_fd);
	close(c->fd);
	c->group->conns--;
	free(c);
}

static void reap(struct conn_group *g)
{
	struct conn *c, *next;

	for (c = TAILQ_FIRST(&g->dead); c; c = next) {
		next = TAILQ_NEXT(c, link);
		free_conn(c);
	}
	TAILQ_INIT(&g->dead);
}

void conn_close(struct conn *c)
{
	if (c->dead)
		return;
	c->dead = 1;
	event_del(c->readable);
	event_del(c->writable);
	TAILQ_INSERT_TAIL(&c->group->dead, c, link);
	event_active(c->group->reap, EV_TIMEOUT, 0);
	c->ops->closed(c);
}

void conn_finish(struct conn *c)
{
	if (c->dead || c->closing)
		return;
	c->closing = 1;
	event_del(c->readable);
	if (!c->out_n)
		conn_close(c);
}

/* ---- writing ---- */

static ssize_t send_some(struct conn *c, const char *p, size_t n, int fd)
{
	ssize_t r;

	do {
		r = io_send_fds(c->fd, p, n, &fd, fd >= 0, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (r < 0 && errno == EINTR);
	return r;
}

/* Sends what the socket takes; the connection may be dead after it. */
static void flush(struct conn *c)
{
	size_t done = 0;

	while (done < c->out_n) {
		int with_fd = c->out_fd >= 0 && c->out_fd_at == done;
		size_t n = c->out_fd >= 0 && c->out_fd_at > done ? c->out_fd_at - done
								 : c->out_n - done;
		ssize_t r = send_some(c, c->out + done, n, with_fd ? c->out_fd : -1);

		if (r < 0 && errno == EAGAIN)
			break;
		if (r <= 0) {
			conn_close(c);
			return;
		}
		if (with_fd) {
			close(c->out_fd);
			c->out_fd = -1;
		}
		done += (size_t)r;
	}
	if (c->out_fd >= 0)
		c->out_fd_at -= done;
	if (done == c->out_n) {
		drop_buf(c, &c->out, &c->out_n, &c->out_cap);
		event_del(c->writable);
		if (c->closing)
			conn_close(c);
		return;
	}
	memmove(c->out, c->out + done, c->out_n - done);
	c->out_n -= done;
	event_add(c->writable, NULL);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	(void)fd;
	(void)what;
	flush(c);
	if (!is_stalled(c)) {
		event_add(c->readable, NULL);
		run(c, NULL, 0);
	}
}

static int queue_out(struct conn *c, const char *p, size_t n)
{
	if (c->out_n + n > CONN_OUT_MAX || grow_buf(c, &c->out, c->out_n + n, &c->out_cap) < 0)
		return -1;
	memcpy(c->out + c->out_n, p, n);
	c->out_n += n;
	return 0;
}

/* Sends bytes, now or later. A client that leaves too much unread is dropped. */
static void put(struct conn *c, const char *p, size_t n)
{
	ssize_t r = 0;

	if (c->dead)
		return;
	if (!c->out_n) {
		r = send_some(c, p, n, -1);
		if (r < 0 && errno != EAGAIN) {
			conn_close(c);
			return;
		}
		if (r < 0)
			r = 0;
	}
	if ((size_t)r == n)
		return;
	if (queue_out(c, p + r, n - (size_t)r) < 0)
		conn_close(c);
	else
		event_add(c->writable, NULL);
}

static void put_text(struct conn *c, struct text *t)
{
	if (t->failed)
		conn_close(c);
	else
		put(c, t->p, t->n);
	text_free(t);
}

static void begin_answer(struct text *t, const char *id, const char *result, size_t n)
{
	text_add(t, "{\"id\":");
	text_add(t, id);
	text_add(t, ",\"jsonrpc\":\"2.0\",\"result\":");
	text_put(t, result, n);
	text_add(t, "}\n");
}

void conn_result(struct conn *c, const char *id, const char *result, size_t n)
{
	struct text t = {0};

	if (!*id)
		return;
	begin_answer(&t, id, result, n);
	put_text(c, &t);
}

void conn_error(struct conn *c, const char *id, enum rpc_code code, const char *fmt, ...)
{
	struct text t = {0};
	char why[1024];
	va_list ap;

	if (!*id)
		return;
	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	text_addf(&t, "{\"error\":{\"code\":%d,\"message\":", (int)code);
	text_quote_str(&t, why);
	text_add(&t, "},\"id\":");
	text_add(&t, id);
	text_add(&t, ",\"jsonrpc\":\"2.0\"}\n");
	put_text(c, &t);
}

void conn_notify(struct conn *c, const char *method, const char *params, size_t n)
{
	struct text t = {0};

	text_add(&t, "{\"jsonrpc\":\"2.0\",\"method\":");
	text_quote_str(&t, method);
	text_add(&t, ",\"params\":");
	text_put(&t, params, n);
	text_add(&t, "}\n");
	put_text(c, &t);
}

int conn_result_fd(struct conn *c, const char *id, const char *result, size_t n, int fd,
	const char *raw, size_t raw_n)
{
	struct text t = {0};
	int r = -1, copy = -1;

	if (c->dead || c->out_fd >= 0 || !*id)
		return -1;
	begin_answer(&t, id, result, n);
	text_put(&t, raw, raw_n);
	if (!t.failed && (copy = fcntl(fd, F_DUPFD_CLOEXEC, 0)) >= 0) {
		size_t at = c->out_n;

		r = queue_out(c, t.p, t.n);
		if (r == 0) {
			c->out_fd = copy;
			c->out_fd_at = at;
			flush(c);
		} else {
			close(copy);
		}
	}
	text_free(&t);
	return r;
}

/* ---- reading ---- */

/* Nesting is limited before the parser sees it: it recurses. */
static int too_deep(const char *s, size_t n)
{
	int depth = 0, quoted = 0;

	for (size_t i = 0; i < n; i++) {
		if (quoted) {
			if (s[i] == '\\')
				i++;
			else if (s[i] == '"')
				quoted = 0;
		} else if (s[i] == '"') {
			quoted = 1;
		} else if (s[i] == '{' || s[i] == '[') {
			if (++depth > CONN_DEPTH_MAX)
				return 1;
		} else if (s[i] == '}' || s[i] == ']') {
			depth--;
		}
	}
	return 0;
}

/* The request's id as JSON text; "" when it has none. -1 when it is not a fit id. */
static int read_id(json_t *req, char out[CONN_ID_CAP])
{
	json_t *id = json_object_get(req, "id");
	struct text t = {0};
	int r = -1;

	*out = 0;
	if (!id)
		return 0;
	if (!json_is_integer(id) && !json_is_string(id))
		return -1;
	text_json(&t, id);
	if (!t.failed && t.n < CONN_ID_CAP) {
		memcpy(out, t.p, t.n + 1);
		r = 0;
	}
	text_free(&t);
	return r;
}

static int is_request(json_t *req)
{
	const char *version = json_string_value(json_object_get(req, "jsonrpc"));
	json_t *params = json_object_get(req, "params"), *item;
	const char *key;

	json_object_foreach(req, key, item)
	{
		if (strcmp(key, "jsonrpc") != 0 && strcmp(key, "id") != 0 &&
			strcmp(key, "method") != 0 && strcmp(key, "params") != 0)
			return 0;
	}
	return version && strcmp(version, "2.0") == 0 &&
	       json_is_string(json_object_get(req, "method")) &&
	       (!params || json_is_object(params));
}

static void fatal(struct conn *c, enum rpc_code code, const char *why)
{
	conn_error(c, "null", code, "%s", why);
	conn_finish(c);
}

static void take_line(struct conn *c, const char *s, size_t n)
{
	json_error_t je;
	char id[CONN_ID_CAP];
	json_t *req;

	if (too_deep(s, n)) {
		fatal(c, RPC_PARSE, "nested deeper than 64");
		return;
	}
	req = json_loadb(s, n, JSON_REJECT_DUPLICATES, &je);
	if (!req) {
		fatal(c, RPC_PARSE,
			json_error_code(&je) == json_error_duplicate_key ? "a duplicate key"
									 : "not JSON");
		return;
	}
	if (!json_is_object(req))
		fatal(c, RPC_INVALID, "a request is one JSON object");
	else if (read_id(req, id) < 0)
		fatal(c, RPC_INVALID, "id is a string of at most 64 bytes or an integer");
	else if (!is_request(req))
		conn_error(c, *id ? id : "null", RPC_INVALID,
			"not a JSON-RPC 2.0 request with an object as params");
	else
		c->ops->call(c, id, json_string_value(json_object_get(req, "method")),
			json_object_get(req, "params"));
	json_decref(req);
}

/* Handles the complete lines in data while it may; the number of bytes used. */
static size_t take_lines(struct conn *c, const char *data, size_t n, uint64_t *since)
{
	size_t used = 0;
	const char *lf;

	while (used < n && !is_stalled(c) && (lf = memchr(data + used, '\n', n - used)) &&
		may_run(c)) {
		size_t len = (size_t)(lf - data) - used;

		if (len)
			take_line(c, data + used, len);
		used += len + 1;
		conn_group_charge(c->group, since);
	}
	return used;
}

static void keep_rest(struct conn *c, const char *data, size_t n)
{
	if (!n)
		return;
	if (c->in_n + n > CONN_LINE_MAX + READ_SIZE ||
		grow_buf(c, &c->in, c->in_n + n, &c->in_cap) < 0) {
		fatal(c, RPC_INVALID, "too much at once");
		return;
	}
	memcpy(c->in + c->in_n, data, n);
	c->in_n += n;
}

static void drop_used(struct conn *c, size_t used)
{
	if (used == c->in_n) {
		drop_buf(c, &c->in, &c->in_n, &c->in_cap);
		return;
	}
	memmove(c->in, c->in + used, c->in_n - used);
	c->in_n -= used;
}

/* Handles what is buffered and data behind it. */
static void run(struct conn *c, const char *data, size_t n)
{
	uint64_t since = io_now_mono();

	c->running = 1;
	if (!c->in_n && n) {
		size_t used = take_lines(c, data, n, &since);

		if (!c->dead && !c->closing)
			keep_rest(c, data + used, n - used);
	} else {
		keep_rest(c, data, n);
		if (c->in_n && !c->dead && !c->closing)
			drop_used(c, take_lines(c, c->in, c->in_n, &since));
	}
	c->running = 0;
	if (!c->dead && !c->closing) {
		if (c->in_n >= CONN_LINE_MAX && !memchr(c->in, '\n', CONN_LINE_MAX))
			fatal(c, RPC_INVALID, "a line is longer than 1 MiB");
		else if (is_stalled(c))
			event_del(c->readable);
	}
	conn_group_charge(c->group, &since);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	static char buf[READ_SIZE]; /* scratch: what is left over goes to c->in */
	struct conn *c = arg;
	struct conn_group *g = c->group;
	uint64_t since = io_now_mono();
	ssize_t r;

	(void)what;
	if (!may_run(c))
		return;
	/* What is whole goes first: a client may say more than its buffer holds, but not at once. */
	if (c->in_n && memchr(c->in, '\n', c->in_n)) {
		run(c, NULL, 0);
		return;
	}
	r = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
	conn_group_charge(g, &since);
	if (r > 0)
		run(c, buf, (size_t)r);
	else if (r < 0 && (errno == EAGAIN || errno == EINTR))
		run(c, NULL, 0); /* conn_busy: there may be lines in the buffer */
	else
		conn_close(c);
}

void conn_busy(struct conn *c, int by)
{
	int was_full = c->busy >= CONN_BUSY_MAX;

	c->busy = (unsigned)((int)c->busy + by);
	if (was_full && !is_stalled(c) && !c->running) {
		event_add(c->readable, NULL);
		event_active(c->readable, EV_READ, 0);
	}
}

void conn_feed(struct conn *c, const char *line, size_t n)
{
	take_line(c, line, n);
}

struct conn *conn_new(struct conn_group *g, int fd, const struct conn_ops *ops, void *owner)
{
	struct conn *c = g->conns < g->conns_max ? calloc(1, sizeof *c) : NULL;

	if (!c) {
		close(fd);
		return NULL;
	}
	c->fd = fd;
	c->group = g;
	c->ops = ops;
	c->owner = owner;
	c->out_fd = -1;
	c->readable = event_new(g->base, fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable = event_new(g->base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
	g->conns++;
	if (!c->readable || !c->writable || evutil_make_socket_nonblocking(fd) < 0 ||
		event_add(c->readable, NULL) < 0) {
		if (c->readable)
			event_free(c->readable);
		if (c->writable)
			event_free(c->writable);
		g->conns--;
		close(fd);
		free(c);
		return NULL;
	}
	return c;
}
