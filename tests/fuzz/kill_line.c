/* The killer's parser of targets, and the reader of the mount table: what passes must be safe to use as
 * the name of a directory, and nothing may read outside its bytes. */
#include <stdlib.h>
#include <string.h>

#include "common/cgroup.h"
#include "common/kill.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void target(const char *text, size_t n)
{
	struct kill_target t;

	if (kill_parse(&t, text, n) < 0)
		return;
	if (t.scope == KILL_ONE && (!name_valid(t.name) || strchr(t.name, '/') || *t.name == '.'))
		abort();
	if (t.scope != KILL_ONE && *t.name)
		abort();
}

static void mount(const uint8_t *data, size_t n)
{
	struct cgroup_host h = {.v2 = ""};
	struct cgroup_mounts m = {.host = &h};
	char *line = malloc(n + 1);

	if (!line)
		return;
	memcpy(line, data, n);
	line[n] = 0;
	cgroup_mount_line(&m, line);
	if (!memchr(h.v2, 0, sizeof h.v2) || !memchr(h.cpu, 0, sizeof h.cpu))
		abort();
	free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	target((const char *)data, n);
	mount(data, n);
	return 0;
}
