/* What the killer takes away from itself before it serves anyone.
 *
 * Capabilities. Its files are root's own (cgroup.kill, cgroup.freeze, the extended attribute, the
 * directories it removes), so uid 0 without capabilities may use all of them. It keeps one:
 *   CAP_IPC_LOCK  memory is locked beyond RLIMIT_MEMLOCK; without it a stack that grows later would
 *                 end the process where that limit is small.
 * Not needed, to answer the question: CAP_KILL (cgroup.kill is a file), CAP_DAC_OVERRIDE (it owns what
 * it opens), CAP_SYS_ADMIN (the tag is in the user. namespace), CAP_SYS_RESOURCE.
 *
 * System calls: an allow-list (libseccomp); anything else ends the process, and with it, by the
 * supervisor's eyes on it, every sandbox. */
#include <errno.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "supervisor/killer/internal.h"
#include "supervisor/privilege.h"

/* A sanitizer's runtime maps terabytes that cannot be locked and makes system calls of its own. */
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#define STACK_TOUCHED (512 * 1024) /* more than any path below the poll loop uses */

int confine_memory(void)
{
	volatile unsigned char stack[STACK_TOUCHED];

	for (size_t i = 0; i < sizeof stack; i += 1024)
		stack[i] = 0;
	if (SANITIZED)
		return 0;
	if (mlockall(MCL_CURRENT | MCL_FUTURE) == 0)
		return 0;
	killer_say("cannot lock my memory (%s): under memory pressure a kill may wait for the disk",
		strerror(errno));
	munlockall();
	return -1;
}

static int no_privileges(int keep_ipc_lock)
{
	const cap_value_t keep = CAP_IPC_LOCK;
	struct error e = {0};

	if (privilege_keep(&keep, keep_ipc_lock ? 1 : 0, &e) < 0) {
		killer_say("%s", e.text);
		return -1;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
		killer_say("cannot set no_new_privs: %s", strerror(errno));
		return -1;
	}
	return 0;
}

static const int killer_calls[] = {
	/* the loop, connections, the supervisor */
	SCMP_SYS(ppoll), SCMP_SYS(accept4), SCMP_SYS(getsockopt), SCMP_SYS(recvfrom),
	SCMP_SYS(sendto), SCMP_SYS(recvmsg), SCMP_SYS(sendmsg),
	/* cgroup files */
	SCMP_SYS(openat), SCMP_SYS(close), SCMP_SYS(read), SCMP_SYS(pread64), SCMP_SYS(write),
	SCMP_SYS(getdents64), SCMP_SYS(fgetxattr), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
	SCMP_SYS(unlinkat),
	/* the C library */
	SCMP_SYS(clock_gettime), SCMP_SYS(getpid), SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(munmap), SCMP_SYS(exit_group)};

static const int syncer_calls[] = {SCMP_SYS(read), SCMP_SYS(openat), SCMP_SYS(close),
	SCMP_SYS(write), SCMP_SYS(fsync), SCMP_SYS(flock), SCMP_SYS(unlink), SCMP_SYS(unlinkat),
	SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(getpid), SCMP_SYS(msync),
	SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigreturn), SCMP_SYS(exit_group)};

static int filter(const int *calls, size_t n, int with_kill0)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r = f ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, calls[i], 0);
	/* kill(pid, 0): does a process that claimed a latch slot still exist? */
	if (r == 0 && with_kill0)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(kill), 1, SCMP_A1(SCMP_CMP_EQ, 0));
	if (r == 0 && !SANITIZED)
		r = seccomp_load(f);
	if (f)
		seccomp_release(f);
	if (r < 0)
		killer_say("cannot load my system call filter: %s", strerror(-r));
	return r < 0 ? -1 : 0;
}

int confine_self(void)
{
	return no_privileges(1) < 0 ? -1 : filter(killer_calls, ARRAY_LEN(killer_calls), 1);
}

int confine_syncer(void)
{
	return no_privileges(0) < 0 ? -1 : filter(syncer_calls, ARRAY_LEN(syncer_calls), 0);
}
