/* The RUN request: tagged values; see request.h. */
#include "common/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct entry_hdr {
	uint16_t tag, zero;
	uint32_t len;
};

static void append(struct request_writer *w, const void *p, size_t n)
{
	if (w->failed)
		return;
	if (w->len + n > REQUEST_MAX) {
		w->failed = E2BIG;
		return;
	}
	if (w->len + n > w->cap) {
		size_t cap = (w->len + n) * 2;
		char *b = realloc(w->buf, cap);

		if (!b) {
			w->failed = ENOMEM;
			return;
		}
		w->buf = b;
		w->cap = cap;
	}
	if (n)
		memcpy(w->buf + w->len, p, n);
	w->len += n;
}

void request_begin(struct request_writer *w)
{
	memset(w, 0, sizeof *w);
	append(w, REQUEST_MAGIC, 8);
}

void request_put(struct request_writer *w, enum request_tag tag, const void *p, size_t n)
{
	struct entry_hdr h = {.tag = (uint16_t)tag, .len = (uint32_t)n};

	if (n > REQUEST_MAX) {
		w->failed = E2BIG;
		return;
	}
	append(w, &h, sizeof h);
	append(w, p, n);
}

void request_put_str(struct request_writer *w, enum request_tag tag, const char *s)
{
	request_put(w, tag, s, strlen(s));
}

int request_seal(struct request_writer *w, struct error *e)
{
	int fd = -1;

	if (w->failed)
		error_set(e, w->failed,
			"the request does not fit in %u bytes (is the environment huge?)",
			REQUEST_MAX);
	else
		fd = io_sealed_memfd("agentd-request", w->buf, w->len, e);
	free(w->buf);
	memset(w, 0, sizeof *w);
	return fd;
}

int request_next(const void *req, size_t n, size_t *pos, enum request_tag *tag, struct span *value)
{
	const char *base = req;
	struct entry_hdr h;

	if (*pos == 0) {
		if (n < 8 || memcmp(base, REQUEST_MAGIC, 8) != 0)
			return -1;
		*pos = 8;
	}
	if (*pos == n)
		return 0;
	if (n - *pos < sizeof h)
		return -1;
	memcpy(&h, base + *pos, sizeof h);
	if (h.zero || h.tag < 1 || h.tag >= REQ_TAG_END || h.len > n - *pos - sizeof h)
		return -1;
	*tag = (enum request_tag)h.tag;
	value->p = base + *pos + sizeof h;
	value->n = h.len;
	*pos += sizeof h + h.len;
	return 1;
}
