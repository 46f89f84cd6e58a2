/* Blocking JSON-RPC over control.sock; see rpc.h. */
#include "agentctl/tools/rpc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"

#define FDS_MAX 8

struct rpc {
	int fd;
	json_int_t last_id;
	char *buf; /* owned */
	size_t n, cap;
	int fds[FDS_MAX]; /* received, not taken yet: owned */
	size_t nfds;
};

static int send_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t w = send(fd, p, n, MSG_NOSIGNAL);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -1;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

static int connect_daemon(const struct paths *p, struct error *e)
{
	int fd = io_connect_unix(p->control);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT || errno == ECONNREFUSED)
		return error_set(e, errno,
			"agentd does not run (%s): start it with `systemctl start agentd`, or as "
			"root "
			"`agentd-supervisor%s%s`",
			p->control, *p->root ? " --root " : "", p->root);
	return error_set(e, errno, "cannot reach agentd at %s", p->control);
}

struct rpc *rpc_open(const struct paths *p, const char *channel, struct error *e)
{
	struct rpc *r = calloc(1, sizeof *r);
	char line[32];
	int n = snprintf(line, sizeof line, "%s\n", channel);

	if (!r) {
		error_set(e, ENOMEM, "cannot reach agentd");
		return NULL;
	}
	r->fd = connect_daemon(p, e);
	if (r->fd >= 0 && (send_all(r->fd, line, (size_t)n) == 0 || errno == EPIPE))
		return r; /* a refusal can be read: see send_call */
	if (r->fd >= 0)
		error_set(e, errno, "cannot speak to agentd");
	rpc_close(r);
	return NULL;
}

void rpc_close(struct rpc *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->nfds; i++)
		close(r->fds[i]);
	if (r->fd >= 0)
		close(r->fd);
	free(r->buf);
	free(r);
}

void rpc_set_timeout(struct rpc *r, unsigned seconds)
{
	struct timeval tv = {.tv_sec = (time_t)seconds};

	(void)setsockopt(r->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
}

static void keep_fds(struct rpc *r, const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (r->nfds < FDS_MAX)
			r->fds[r->nfds++] = fds[i];
		else
			close(fds[i]);
	}
}

int rpc_take_fd(struct rpc *r)
{
	int fd;

	if (!r->nfds)
		return -1;
	fd = r->fds[0];
	memmove(r->fds, r->fds + 1, --r->nfds * sizeof *r->fds);
	return fd;
}

/* Reads more. 1, 0 at end of file, -1 with *e filled. */
static int fill(struct rpc *r, struct error *e)
{
	int fds[FDS_MAX];
	size_t nfds = FDS_MAX;
	ssize_t got;

	if (r->n >= RPC_ANSWER_MAX)
		return error_set(e, EMSGSIZE, "agentd's answer is too long");
	if (r->n == r->cap) {
		size_t cap = r->cap ? r->cap * 2 : 16384;
		char *b = realloc(r->buf, cap);

		if (!b)
			return error_set(e, ENOMEM, "cannot read agentd's answer");
		r->buf = b;
		r->cap = cap;
	}
	do {
		nfds = FDS_MAX;
		got = io_recv_fds(r->fd, r->buf + r->n, r->cap - r->n, fds, &nfds, 0);
	} while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN)
		return error_set(e, ETIMEDOUT, "agentd does not answer");
	if (got < 0)
		return error_set(e, errno, "lost the connection to agentd");
	keep_fds(r, fds, nfds);
	r->n += (size_t)got;
	return got > 0;
}

/* The supervisor may answer the channel's line itself, in its own words: ERR TEXT. */
static int check_refusal(const char *line, size_t n, struct error *e)
{
	if (n < 4 || memcmp(line, "ERR ", 4) != 0)
		return 0;
	return error_set(e, 0, "%.*s", (int)(n - 4 < 700 ? n - 4 : 700), line + 4);
}

/* One line as JSON. 1, 0 at end of file, -1. */
static int read_json(struct rpc *r, json_t **out, struct error *e)
{
	json_error_t je;
	size_t seen = 0;
	char *lf;

	while (!(lf = r->n > seen ? memchr(r->buf + seen, '\n', r->n - seen) : NULL)) {
		int more;

		seen = r->n;
		more = fill(r, e);
		if (more <= 0)
			return more;
	}
	if (check_refusal(r->buf, (size_t)(lf - r->buf), e) < 0)
		return -1;
	*out = json_loadb(r->buf, (size_t)(lf - r->buf), JSON_REJECT_DUPLICATES, &je);
	r->n -= (size_t)(lf + 1 - r->buf);
	memmove(r->buf, lf + 1, r->n);
	if (!*out || !json_is_object(*out)) {
		json_decref(*out);
		return error_set(e, EPROTO, "agentd's answer is not JSON");
	}
	return 1;
}

static int send_call(struct rpc *r, const char *method, json_t *params, struct error *e)
{
	json_t *req = json_pack("{s:s, s:I, s:s, s:o}", "jsonrpc", "2.0", "id", ++r->last_id,
		"method", method, "params", params ? params : json_object());
	cleanup_free char *text = req ? json_dumps(req, JSON_COMPACT) : NULL;
	int ok;

	json_decref(req);
	if (!text)
		return error_set(e, ENOMEM, "cannot write the question");
	ok = send_all(r->fd, text, strlen(text)) == 0 && send_all(r->fd, "\n", 1) == 0;
	/* A supervisor that refused has its words in the socket already: read them. */
	return ok || errno == EPIPE ? 0 : error_set(e, errno, "lost the connection to agentd");
}

static json_t *take_result(json_t *answer, struct error *e)
{
	json_t *error = json_object_get(answer, "error");
	json_t *result = json_incref(json_object_get(answer, "result"));
	const char *text = json_string_value(json_object_get(error, "message"));

	if (!result)
		error_set(e, 0, "%.700s", text ? text : "agentd answered neither yes nor no");
	json_decref(answer);
	return result;
}

json_t *rpc_call(struct rpc *r, const char *method, json_t *params, struct error *e)
{
	if (send_call(r, method, params, e) < 0)
		return NULL;
	for (;;) {
		json_t *m = NULL, *id;
		int got = read_json(r, &m, e);

		if (got == 0)
			error_set(e, ECONNRESET, "agentd closed the connection");
		if (got <= 0)
			return NULL;
		id = json_object_get(m, "id");
		/* A null id: the daemon could not read the question at all. */
		if (json_object_get(m, "method") == NULL &&
			(json_is_null(id) || json_integer_value(id) == r->last_id))
			return take_result(m, e);
		json_decref(m);
	}
}

int rpc_next(struct rpc *r, json_t **note, struct error *e)
{
	for (;;) {
		json_t *m = NULL;
		int got = read_json(r, &m, e);

		if (got <= 0)
			return got;
		if (json_object_get(m, "method")) {
			*note = m;
			return 1;
		}
		json_decref(m);
	}
}
