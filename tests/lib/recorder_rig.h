/* For tests and benchmarks: runs the real recorder (its main, its uid, its seccomp filter) in a child over
 * a socket pair, and speaks the supervisor's and the broker's side. */
#ifndef TESTS_RECORDER_RIG_H
#define TESTS_RECORDER_RIG_H

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agentd/role.h"
#include "common/io.h"
#include "common/msg.h"
#include "common/wire.h"

#define RIG_UID 1999000001u

struct rig {
	char root[64]; /* mkdtemp; has var/lib/agentd/audit */
	char dir[128]; /* the audit directory */
	pid_t pid;
	int sup, peer; /* our ends: the supervisor's, the broker's */
	uint64_t id;
	struct wire_msg m;
};

static inline int rig_make(struct rig *r)
{
	char p[128];

	memset(r, 0, sizeof *r);
	r->sup = r->peer = -1;
	snprintf(r->root, sizeof r->root, "/tmp/agentd-audit-XXXXXX");
	if (!mkdtemp(r->root) || chmod(r->root, 0755) < 0)
		return -1;
	for (const char *const *d = (const char *const[]){"var", "var/lib", "var/lib/agentd",
		     "var/lib/agentd/audit", "run", "run/agentd", "etc", NULL};
		*d; d++) {
		snprintf(p, sizeof p, "%s/%s", r->root, *d);
		if (mkdir(p, 0755) < 0)
			return -1;
	}
	snprintf(r->dir, sizeof r->dir, "%s/var/lib/agentd/audit", r->root);
	if (geteuid() == 0 && chown(r->dir, RIG_UID, RIG_UID) < 0)
		return -1;
	return chmod(r->dir, 0750);
}

static inline void rig_child(const struct rig *r, int fd)
{
	char *argv[] = {"recorder", "--root", (char *)(uintptr_t)r->root, NULL};

	if (fd != ROLE_SUPERVISOR_FD)
		dup2(fd, ROLE_SUPERVISOR_FD);
	if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(RIG_UID, RIG_UID, RIG_UID) < 0 ||
				      setresuid(RIG_UID, RIG_UID, RIG_UID) < 0))
		_exit(99);
	_exit(recorder_main(3, argv));
}

/* Starts the recorder and connects a broker. 0; 1 when it ended without HELLO. */
static inline int rig_start(struct rig *r)
{
	int pair[2], chan[2];
	int got;

	if (wire_pair(pair, NULL) < 0)
		return -1;
	fflush(NULL);
	r->pid = fork();
	if (r->pid == 0) {
		close(pair[0]);
		rig_child(r, pair[1]);
	}
	close(pair[1]);
	r->sup = pair[0];
	got = wire_recv(r->sup, &r->m);
	if (got <= 0 || r->m.h.type != MSG_HELLO)
		return 1;
	if (wire_pair(chan, NULL) < 0 || wire_send(r->sup, MSG_PEER, 0, NULL, 0, &chan[1], 1) < 0)
		return -1;
	close(chan[1]);
	r->peer = chan[0];
	return 0;
}

/* Ends it (signal 0: by hanging up, as the supervisor would) and returns the wait status. */
static inline int rig_stop(struct rig *r, int sig)
{
	int status = -1;

	if (sig)
		kill(r->pid, sig);
	if (r->sup >= 0)
		close(r->sup);
	waitpid(r->pid, &status, 0);
	if (r->peer >= 0)
		close(r->peer);
	r->sup = r->peer = -1;
	return status;
}

/* Sends one MSG_APPEND with one record. 0 or -1. */
static inline int rig_send(struct rig *r, uint64_t id, uint32_t flags, const char *json)
{
	unsigned char buf[WIRE_PAYLOAD_MAX];
	uint32_t n = (uint32_t)strlen(json);

	memcpy(buf, &flags, 4);
	memcpy(buf + 4, &n, 4);
	memcpy(buf + 8, json, n);
	return wire_send(r->peer, MSG_APPEND, id, buf, 8 + n, NULL, 0);
}

/* Waits for one answer. Its type, or -1. */
static inline int rig_answer(struct rig *r)
{
	return wire_recv(r->peer, &r->m) > 0 ? r->m.h.type : -1;
}

/* Appends one record and waits. The index it got, or -1. */
static inline int64_t rig_append(struct rig *r, uint32_t flags, const char *json)
{
	struct msg_appended a;

	if (rig_send(r, ++r->id, flags, json) < 0 || rig_answer(r) != MSG_APPENDED)
		return -1;
	memcpy(&a, r->m.payload, sizeof a);
	return (int64_t)a.first;
}

static inline void rig_remove(struct rig *r)
{
	pid_t pid = fork();

	if (pid == 0) {
		execlp("rm", "rm", "-rf", r->root, NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

#endif
