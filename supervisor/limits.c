/* Limits in cgroup v2 or v1; see limits.h and cgroups(7). */
#include "supervisor/limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/io.h"

#define SLOTS_MAX 4096

enum { H_PIDS, H_MEMORY, H_CPU };

struct hierarchy {
	uint32_t limit; /* PLAN_LIMIT_* */
	int dir; /* our directory on v1; -1 when not there */
	int v2; /* 1: the unified hierarchy has the controller */
};

static struct hierarchy hier[LIMITS_HIERARCHIES];
static char base_path[LIMITS_HIERARCHIES][PATH_MAX];

/* A slot keeps its directories, its open tasks files and the limits it has: a launch like the last one
 * touches nothing. */
static struct slot {
	unsigned char used;
	int tasks[LIMITS_HIERARCHIES]; /* 0: not made yet */
	unsigned long long value[LIMITS_HIERARCHIES]; /* the limit that is set */
} slots[SLOTS_MAX];

static int put(int dir, const char *file, unsigned long long v, const char *suffix)
{
	cleanup_close int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);
	char text[32];
	int n = snprintf(text, sizeof text, "%llu%s", v, suffix);

	return fd < 0 ? -1 : io_write_all(fd, text, (size_t)n);
}

static void remove_children(int dir)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *it;

	if (!d)
		return;
	while ((it = readdir(d))) {
		if (it->d_type == DT_DIR && it->d_name[0] != '.')
			unlinkat(dir, it->d_name, AT_REMOVEDIR);
	}
	closedir(d);
}

static int open_v1(const char *mount, const char *name, char *path, size_t cap, struct error *e)
{
	int fd;

	if (!*mount)
		return -1;
	snprintf(path, cap, "%s/%s", mount, name);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return error_set(e, errno, "cannot make %s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_set(e, errno, "cannot open %s", path);
	remove_children(fd);
	return fd;
}

int limits_init(const struct cgroup_host *h, const char *name, struct error *e)
{
	const char *mounts[] = {h->pids, h->memory, h->cpu};
	const int v2[] = {h->v2_pids, h->v2_memory, h->v2_cpu};
	const uint32_t bits[] = {PLAN_LIMIT_PIDS, PLAN_LIMIT_MEMORY, PLAN_LIMIT_CPU};

	for (int i = 0; i < LIMITS_HIERARCHIES; i++) {
		struct error why = {0};

		hier[i] = (struct hierarchy){.limit = bits[i], .v2 = v2[i], .dir = -1};
		if (v2[i])
			continue;
		hier[i].dir = open_v1(mounts[i], name, base_path[i], sizeof base_path[i], &why);
		if (hier[i].dir < 0 && *mounts[i]) {
			*e = why;
			return -1;
		}
	}
	return 0;
}

static uint32_t wanted(const struct plan_header *p)
{
	return (p->pids ? PLAN_LIMIT_PIDS : 0u) | (p->memory_bytes ? PLAN_LIMIT_MEMORY : 0u) |
	       (p->cpu_milli ? PLAN_LIMIT_CPU : 0u);
}

static int set_v2(int dir, int which, const struct plan_header *p)
{
	switch (which) {
	case H_PIDS:
		return put(dir, "pids.max", p->pids, "");
	case H_MEMORY:
		put(dir, "memory.swap.max", 0, "");
		return put(dir, "memory.max", p->memory_bytes, "");
	default:
		return put(dir, "cpu.max", p->cpu_milli * 100ull, " 100000");
	}
}

static unsigned long long value_v1(int which, const struct plan_header *p)
{
	return which == H_PIDS     ? p->pids
	       : which == H_MEMORY ? p->memory_bytes
				   : p->cpu_milli * 100ull;
}

static int set_v1(int dir, int which, unsigned long long value)
{
	static const char *const file[] = {"pids.max", "memory.limit_in_bytes", "cpu.cfs_quota_us"};

	if (put(dir, file[which], value, "") < 0)
		return -1;
	if (which == H_MEMORY) /* memory and swap together; not every kernel counts swap */
		put(dir, "memory.memsw.limit_in_bytes", value, "");
	return 0;
}

void limits_enable(int dir)
{
	static const char *const names[] = {"+pids", "+memory", "+cpu"};

	for (int i = 0; i < LIMITS_HIERARCHIES; i++) {
		cleanup_close int fd = -1;

		if (!hier[i].v2)
			continue;
		/* One at a time: one that is refused must not take the others with it. What is missing
		 * shows when a limit is set. */
		fd = openat(dir, "cgroup.subtree_control", O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, names[i], strlen(names[i])) < 0)
			continue;
	}
}

/* Makes the slot's directory in one hierarchy with the limit, and opens its tasks file. A directory
 * whose leftovers stand against the new limit is replaced. */
static int prepare_v1(unsigned number, int which, unsigned long long value)
{
	struct slot *s = &slots[number];
	char name[16];

	snprintf(name, sizeof name, "%u", number);
	for (int attempt = 0; attempt < 2; attempt++) {
		cleanup_close int dir = -1;

		if (mkdirat(hier[which].dir, name, 0755) < 0 && errno != EEXIST)
			return -1;
		dir = openat(hier[which].dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir >= 0 && set_v1(dir, which, value) == 0) {
			/* The sandbox's first process writes itself there. "tasks" rather than
			 * "cgroup.procs": moving only oneself needs no lock over all forks of the
			 * host, which costs a grace period of RCU (cgroup_procs_write_start). */
			int fd = s->tasks[which] > 0 ? s->tasks[which]
						     : openat(dir, "tasks", O_WRONLY | O_CLOEXEC);

			if (fd < 0)
				return -1;
			s->tasks[which] = fd;
			s->value[which] = value;
			return 0;
		}
		if (s->tasks[which] > 0)
			close(s->tasks[which]);
		s->tasks[which] = 0;
		unlinkat(hier[which].dir, name, AT_REMOVEDIR);
	}
	return -1;
}

static int enter_v1(struct limit_slot *s, int which, const struct plan_header *p)
{
	struct slot *slot = &slots[s->number];
	unsigned long long value = value_v1(which, p);

	if ((slot->tasks[which] <= 0 || slot->value[which] != value) &&
		prepare_v1(s->number, which, value) < 0)
		return -1;
	s->procs[s->nprocs++] = slot->tasks[which];
	return 0;
}

static int take_slot(struct limit_slot *s)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		if (!slots[i].used) {
			slots[i].used = 1;
			s->number = i;
			return 0;
		}
	}
	errno = ENOSPC;
	return -1;
}

static const char *const limit_name[] = {"processes", "memory", "cpu"};

int limits_apply(int v2dir, const struct plan_header *p, struct limit_slot *s, struct error *e)
{
	uint32_t want = wanted(p);

	memset(s, 0, sizeof *s);
	if (take_slot(s) < 0)
		return error_set(e, errno, "no place for another sandbox's limits");
	for (int i = 0; i < LIMITS_HIERARCHIES; i++) {
		int r = -1;

		if (!(want & hier[i].limit))
			continue;
		errno = ENOTSUP;
		if (hier[i].v2)
			r = set_v2(v2dir, i, p);
		else if (hier[i].dir >= 0)
			r = enter_v1(s, i, p);
		if (r == 0)
			continue;
		if (!(p->best_effort & hier[i].limit)) {
			error_set(e, errno,
				"cannot enforce limits.%s on this host; mark it best-effort in the "
				"policy "
				"to run without it",
				limit_name[i]);
			limits_release(s);
			return -1;
		}
		s->unenforced |= hier[i].limit;
	}
	return 0;
}

void limits_release(struct limit_slot *s)
{
	if (s->number < SLOTS_MAX)
		slots[s->number].used = 0;
	s->number = SLOTS_MAX;
}

void limits_cleanup(void)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		for (int h = 0; h < LIMITS_HIERARCHIES; h++) {
			if (slots[i].tasks[h] > 0)
				close(slots[i].tasks[h]);
			slots[i].tasks[h] = 0;
		}
	}
	for (int i = 0; i < LIMITS_HIERARCHIES; i++) {
		if (hier[i].dir < 0)
			continue;
		remove_children(hier[i].dir);
		close(hier[i].dir);
		hier[i].dir = -1;
		rmdir(base_path[i]);
	}
}
