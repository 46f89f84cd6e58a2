/* The frame that agentd's processes speak to each other over SOCK_SEQPACKET socketpairs, and the
 * table-driven dispatch of it. One packet is one message: header, then a payload whose size the
 * table of the receiver fixes. A message that is not in the table, has another size or carries
 * another number of descriptors is fatal for that peer (OpenSSH's monitor does the same). */
#ifndef COMMON_WIRE_H
#define COMMON_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

#define WIRE_VERSION     1
#define WIRE_PAYLOAD_MAX 69632u /* a 64 KiB record and its frame */
#define WIRE_FDS_MAX     128u

struct wire_hdr {
	uint32_t len; /* payload bytes */
	uint16_t type;
	uint16_t flags;
	uint64_t id; /* pairs an answer with its question; 0 for notifications */
};

struct wire_msg {
	struct wire_hdr h;
	int fds[WIRE_FDS_MAX]; /* owned by the receiver */
	size_t nfds;
	_Alignas(8) unsigned char payload[WIRE_PAYLOAD_MAX];
};

/* A pair of connected, close-on-exec SOCK_SEQPACKET sockets with room for the largest message. */
int wire_pair(int fds[2], struct error *e);

/* A send buffer of a megabyte, or of what the host allows. */
void wire_make_room(int sock);

/* Sends one message. 0, or -1 with errno (EAGAIN when the socket is non-blocking and full). The
 * caller keeps its descriptors. */
int wire_send(int sock, uint16_t type, uint64_t id, const void *payload, size_t n, const int *fds,
	size_t nfds);

/* Receives one message into *m. 1, 0 at end of file, or -1 with errno: EAGAIN, EPROTO for a frame
 * whose length does not agree with the packet. */
int wire_recv(int sock, struct wire_msg *m);

/* Closes every descriptor that is still in the message. */
void wire_close_fds(struct wire_msg *m);

struct wire_rule {
	uint16_t type;
	uint32_t min, max; /* payload bytes */
	size_t fds_min, fds_max;
	int (*handle)(void *ctx, struct wire_msg *m); /* 0, or -1: drop the peer */
};

/* Finds the message's rule, checks sizes, calls the handler, closes what descriptors it left.
 * Returns the handler's answer, or -1 when the table has no place for this message. */
int wire_dispatch(const struct wire_rule *table, size_t n, void *ctx, struct wire_msg *m);

#endif
