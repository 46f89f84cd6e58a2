/* cgroup v2 and v1 as this host has them: found through /proc/self/mountinfo, never assumed to be at
 * /sys/fs/cgroup. Used by the supervisor, the killer and `agentctl kill --direct`. No allocation. */
#ifndef COMMON_CGROUP_H
#define COMMON_CGROUP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"

struct cgroup_host {
	char v2[256]; /* mount point of the unified hierarchy */
	char pids[256], memory[256], cpu[256]; /* v1 mount points, "" when not on v1 */
	int v2_pids, v2_memory, v2_cpu; /* controllers that the unified hierarchy offers */
};

/* Reads the mount table and the v2 root's cgroup.controllers. Fails when there is no v2 mount or the
 * kernel has no cgroup.kill (Linux 5.14). 0 or -1. */
int cgroup_find(struct cgroup_host *h, struct error *e);

/* Takes one line of /proc/self/mountinfo (NUL-terminated, changed in place) into m->host: the first
 * mount of a hierarchy stays, but one of the whole hierarchy replaces one of a part of it. */
struct cgroup_mounts {
	struct cgroup_host *host;
	int whole[4]; /* v2, pids, memory, cpu: what is remembered is the whole hierarchy */
};
void cgroup_mount_line(struct cgroup_mounts *m, char *line);

/* Calls fn for each child cgroup of dirfd with its directory (closed afterwards), until fn returns
 * not 0. Returns what fn returned, 0 at the end, -1 with errno. A child that goes away meanwhile is
 * left out. */
typedef int (*cgroup_visit_fn)(void *ctx, const char *name, int fd);
int cgroup_each_child(int dirfd, cgroup_visit_fn fn, void *ctx);

/* The sandbox that the text of a /proc/PID/cgroup names: 1 with *uid and name filled when its v2 cgroup is
 * …/BASE/u<uid>/<name> or below, 0 when not. text is changed. */
int cgroup_sandbox(char *text, const char *base, uid_t *uid, char *name, size_t cap);

/* dirfd: a v2 cgroup's directory. Each returns 0 or -1 with errno. */
int cgroup_kill(int dirfd); /* SIGKILL to all in the subtree, forks included */
int cgroup_freeze(int dirfd, int on); /* asks; does not wait */
int cgroup_populated(int dirfd); /* 1, 0, -1 */
int cgroup_frozen(int dirfd); /* 1, 0, -1 */

/* Waits until the subtree has no process, at most timeout_ms, by poll(2) on cgroup.events. 0 empty,
 * 1 timeout, -1 with errno. */
int cgroup_wait_empty(int dirfd, int timeout_ms);

/* The same for a caller with a poll loop: cgroup.events, readable with POLLPRI when it changed, and
 * what it says now (1, 0, -1 with errno; a removed cgroup is empty). The kernel holds a notification
 * back for up to 10 ms after the last one, so look again after cgroup_poll_us(n) at the nth look. */
int cgroup_events_open(int dirfd);
int cgroup_events_populated(int events);
unsigned cgroup_poll_us(unsigned looks);

/* Number of live processes in the subtree's own cgroup.procs, counted up to max. -1 with errno. */
int cgroup_count(int dirfd, int max);

/* What the supervisor writes on a sandbox's v2 directory right after mkdir(2), so that the killer can
 * latch it without asking anyone. Extended attribute "user.agentd": only the directory's owner, root,
 * can write it, and unlike "trusted." it does not take CAP_SYS_ADMIN to read. */
struct cgroup_tag {
	uint64_t sandbox; /* sandbox number */
	unsigned char identity[32]; /* hash of (uid, workspace, agent kind), see common/latch.h */
};
int cgroup_tag_set(int dirfd, const struct cgroup_tag *t);
int cgroup_tag_get(int dirfd, struct cgroup_tag *t);

#endif
