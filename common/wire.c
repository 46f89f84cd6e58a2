/* Framed messages between our own processes; see wire.h. */
#include "common/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/io.h"

void wire_make_room(int sock)
{
	int room = 1 << 20;

	/* FORCE needs CAP_NET_ADMIN; without it the plain option gives what the host allows. */
	if (setsockopt(sock, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) < 0)
		setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
}

int wire_pair(int fds[2], struct error *e)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return error_set(e, errno, "cannot make a socket pair");
	wire_make_room(fds[0]);
	wire_make_room(fds[1]);
	return 0;
}

int wire_send(int sock, uint16_t type, uint64_t id, const void *payload, size_t n, const int *fds,
	size_t nfds)
{
	struct wire_hdr h = {.len = (uint32_t)n, .type = type, .id = id};
	struct iovec v[2] = {{.iov_base = &h, .iov_len = sizeof h},
		{.iov_base = (void *)(uintptr_t)payload, .iov_len = n}};

	if (n > WIRE_PAYLOAD_MAX || nfds > WIRE_FDS_MAX) {
		errno = EMSGSIZE;
		return -1;
	}
	return io_sendv_fds(sock, v, 2, fds, nfds, 0) < 0 ? -1 : 0;
}

static int frame_is_whole(const struct wire_msg *m, size_t got)
{
	return got >= sizeof m->h && m->h.len == got - sizeof m->h;
}

int wire_recv(int sock, struct wire_msg *m)
{
	struct iovec v[2] = {{.iov_base = &m->h, .iov_len = sizeof m->h},
		{.iov_base = m->payload, .iov_len = sizeof m->payload}};
	ssize_t r;

	m->nfds = WIRE_FDS_MAX;
	r = io_recvv_fds(sock, v, 2, m->fds, &m->nfds, 0);
	if (r <= 0) {
		if (r == 0)
			wire_close_fds(m);
		return (int)r;
	}
	if (!frame_is_whole(m, (size_t)r)) {
		wire_close_fds(m);
		errno = EPROTO;
		return -1;
	}
	return 1;
}

void wire_close_fds(struct wire_msg *m)
{
	for (size_t i = 0; i < m->nfds; i++) {
		if (m->fds[i] >= 0)
			close(m->fds[i]);
		m->fds[i] = -1;
	}
	m->nfds = 0;
}

int wire_dispatch(const struct wire_rule *table, size_t n, void *ctx, struct wire_msg *m)
{
	int r = -1;

	for (size_t i = 0; i < n; i++) {
		const struct wire_rule *w = &table[i];

		if (w->type != m->h.type)
			continue;
		if (m->h.len >= w->min && m->h.len <= w->max && m->nfds >= w->fds_min &&
			m->nfds <= w->fds_max)
			r = w->handle(ctx, m);
		break;
	}
	wire_close_fds(m);
	return r;
}
