/* Entries of the log, from its directory or from the recorder; see audit_source.h. */
#include "agentctl/tools/audit_source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "audit/dir.h"
#include "common/paths.h"

#define FOLLOW_MS 200

void source_close(struct source *s)
{
	reader_free(s->reader);
	if (s->dir >= 0)
		close(s->dir);
	if (s->sock)
		fclose(s->sock);
	free(s->line);
}

static int ask_recorder(
	struct source *s, const struct paths *p, const char *request, struct error *e)
{
	char line[4096];
	int fd = io_connect_unix(p->control);
	int n = snprintf(line, sizeof line, "AUDIT\n%s\n", request);

	if (fd < 0)
		return error_set(e, errno,
			"cannot read the log in %s nor reach the daemon at %s; is agentd running?",
			p->audit, p->control);
	/* The verb first: what follows it on the connection is for the recorder. A supervisor that refused
	 * has its words in the socket already: EPIPE is not the end. */
	if ((io_send_fds(fd, line, 6, NULL, 0, 0) < 0 ||
		    io_send_fds(fd, line + 6, (size_t)n - 6, NULL, 0, 0) < 0) &&
		errno != EPIPE) {
		error_set(e, errno, "cannot ask the recorder");
		close(fd);
		return -1;
	}
	s->sock = fdopen(fd, "r");
	return s->sock ? 0 : error_set(e, errno, "cannot read from the recorder");
}

int source_open(struct source *s, const char *dir, uint64_t from, uint64_t last, int follow,
	struct error *e)
{
	struct paths p;
	char request[128];
	uint64_t size = 0;

	if (paths_init(&p, NULL, e) < 0)
		return -1;
	s->dir = dir_open(dir ? dir : p.audit, e);
	if (s->dir >= 0)
		s->reader = reader_new(s->dir);
	if (s->reader && reader_size(s->reader, &size, e) == 0) {
		if (from == UINT64_MAX)
			from = size > last ? size - last : 0;
		reader_seek(s->reader, from);
		s->left = size > from ? size - from : 0;
		return 0;
	}
	if (dir || (s->dir >= 0 && e->code != EACCES))
		return -1;
	if (from == UINT64_MAX)
		snprintf(request, sizeof request, "{\"last\":%llu,\"follow\":%s}",
			(unsigned long long)last, follow ? "true" : "false");
	else
		snprintf(request, sizeof request, "{\"from\":%llu,\"count\":%llu}",
			(unsigned long long)from, (unsigned long long)last);
	return ask_recorder(s, &p, request, e);
}

/* A line from the recorder: 1 an entry, 0 the end, -1 an error. */
static int from_recorder(struct source *s, struct span *entry, struct error *e)
{
	ssize_t n = getline(&s->line, &s->line_cap, s->sock);

	if (n <= 0)
		return error_set(e, 0, "the recorder closed the connection");
	if (s->line[n - 1] == '\n')
		n--;
	if (n > 4 && memcmp(s->line, "ERR ", 4) == 0)
		return error_set(e, 0, "%.*s", (int)(n - 4), s->line + 4);
	if (n > 8 && memcmp(s->line, "{\"error\"", 8) == 0)
		return error_set(e, 0, "the recorder: %.*s", (int)n, s->line);
	if (n > 6 && memcmp(s->line, "{\"end\"", 6) == 0)
		return 0;
	*entry = (struct span){s->line, (size_t)n};
	return 1;
}

static void nap(void)
{
	const struct timespec t = {.tv_nsec = FOLLOW_MS * 1000000L};

	nanosleep(&t, NULL);
}

int source_next(struct source *s, int follow, struct span *entry, struct error *e)
{
	if (s->sock)
		return from_recorder(s, entry, e);
	for (;;) {
		int r = s->left || follow ? reader_next(s->reader, entry, e) : 0;

		if (r > 0 && s->left)
			s->left--;
		if (r != 0 || !follow)
			return r;
		fflush(stdout);
		nap();
	}
}
