/* What each root process keeps of root's capabilities; see privilege.h and capabilities(7). */
#include "supervisor/privilege.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "supervisor/seccomp.h"
#include "supervisor/sys.h"

/* Each with the one thing that fails without it. */
static const cap_value_t supervisor_needs[] = {
	CAP_SYS_ADMIN, /* open_tree, mount_setattr with an idmapping; fanotify; map_files of agents */
	CAP_SETUID, /* uid_map of agents' user namespaces; roles' uids; setfsuid */
	CAP_SETGID, /* gid_map, setgroups, setfsgid */
	CAP_CHOWN, /* private HOMEs and the roles' directories belong to others */
	CAP_FOWNER, /* chmod of the roles' directories */
	CAP_DAC_OVERRIDE, /* state of the roles (0700), cgroup directories; gone while creds_enter holds */
	CAP_KILL, /* a stuck role or killer has another uid */
	CAP_SYS_PTRACE, /* /proc/PID/ns/user of the child that makes a user namespace */
	CAP_NET_ADMIN, /* SO_SNDBUFFORCE on channels to restarted roles and for long answers */
	CAP_SYS_NICE, /* the priority of a restarted killer */
	CAP_IPC_LOCK, /* mlockall of a restarted killer */
};

/* A sandbox's child holds these until it has joined the user namespace, where it drops all. Root made that
 * namespace, so that the processes in it are the spawner's to look at without CAP_SYS_PTRACE. */
static const cap_value_t spawner_needs[] = {
	CAP_SYS_ADMIN, /* namespaces; mounts of the sandbox */
	CAP_SYS_CHROOT, /* setns into the mounts of a running sandbox */
	CAP_NET_ADMIN, /* lo up */
	CAP_DAC_READ_SEARCH, /* mount points below a workspace that only its owner may search */
};

int privilege_keep(const cap_value_t *keep, size_t n, struct error *e)
{
	cap_t caps = cap_init(), have = cap_get_proc();
	int r = caps && have ? 0 : -1;

	for (cap_value_t c = 0; !r && c < cap_max_bits(); c++) {
		if (cap_get_bound(c) > 0)
			r = cap_drop_bound(c);
	}
	for (size_t i = 0; !r && i < n; i++) {
		cap_flag_value_t on = CAP_CLEAR;

		/* Some hosts withhold a capability from root; what is not there cannot be kept. */
		r = cap_get_flag(have, keep[i], CAP_PERMITTED, &on);
		if (!r && on == CAP_SET)
			r = cap_set_flag(caps, CAP_PERMITTED, 1, &keep[i], CAP_SET) |
			    cap_set_flag(caps, CAP_EFFECTIVE, 1, &keep[i], CAP_SET);
	}
	if (r || cap_set_proc(caps) < 0)
		r = error_set(e, errno, "cannot drop capabilities");
	cap_free(caps);
	cap_free(have);
	return r;
}

static int compare_fds(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

int privilege_keep_fds(const int *keep, size_t n)
{
	int sorted[16];
	unsigned next = 3;

	if (n > ARRAY_LEN(sorted))
		return -1;
	memcpy(sorted, keep, n * sizeof *keep);
	qsort(sorted, n, sizeof *sorted, compare_fds);
	for (size_t i = 0; i < n; i++) {
		unsigned fd = (unsigned)sorted[i];

		if (sorted[i] < (int)next)
			continue;
		if (fd > next && sys_close_range(next, fd - 1, 0) < 0)
			return -1;
		next = fd + 1;
	}
	return sys_close_range(next, ~0u, 0);
}

int privilege_confine(struct error *e)
{
	if (privilege_keep(supervisor_needs, ARRAY_LEN(supervisor_needs), e) < 0)
		return -1;
	return seccomp_confine_supervisor(e);
}

int privilege_confine_spawner(struct error *e)
{
	return privilege_keep(spawner_needs, ARRAY_LEN(spawner_needs), e);
}
