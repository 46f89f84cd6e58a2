/* The supervisor's capabilities; see privilege.h and capabilities(7). The spawner, started before, keeps
 * its own until each sandbox's child drops them all. */
#include "supervisor/privilege.h"

#include <errno.h>
#include <sys/capability.h>
#include <sys/prctl.h>

#include "common/cleanup.h"
#include "supervisor/seccomp.h"

/* Each with the one thing that fails without it. */
static const cap_value_t needed[] = {
	CAP_SYS_ADMIN, /* open_tree, mount_setattr with an idmapping; setns and clone flags of roles */
	CAP_SETUID, /* uid_map of agents' user namespaces; roles' uids; setfsuid */
	CAP_SETGID, /* gid_map, setgroups, setfsgid */
	CAP_CHOWN, /* private HOMEs and the roles' directories belong to others */
	CAP_FOWNER, /* chmod of the roles' directories */
	CAP_DAC_OVERRIDE, /* state of the roles (0700), cgroup directories; gone while creds_enter holds */
	CAP_DAC_READ_SEARCH, /* the same for reading */
	CAP_KILL, /* a stuck role or killer has another uid */
	CAP_SYS_PTRACE, /* /proc/PID/ns/user of the child that makes a user namespace */
	CAP_NET_ADMIN, /* SO_SNDBUFFORCE on channels to restarted roles and for long answers */
	CAP_SYS_NICE, /* the priority of a restarted killer */
	CAP_IPC_LOCK, /* mlockall of a restarted killer */
	CAP_SETPCAP, /* dropping from the bounding set in what we start */
};

static int is_needed(cap_value_t c)
{
	for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
		if (needed[i] == c)
			return 1;
	}
	return 0;
}

int privilege_confine(struct error *e)
{
	cap_t caps, have = cap_get_proc();
	int r = 0;

	for (cap_value_t c = 0; c <= cap_max_bits() - 1; c++) {
		if (!is_needed(c) && cap_get_bound(c) > 0 && cap_drop_bound(c) < 0)
			r = -1;
	}
	caps = cap_init();
	for (size_t i = 0; caps && have && i < ARRAY_LEN(needed); i++) {
		cap_flag_value_t on = CAP_CLEAR;

		/* Some hosts withhold a capability from root; what is not there cannot be kept. */
		cap_get_flag(have, needed[i], CAP_PERMITTED, &on);
		if (on == CAP_SET &&
			(cap_set_flag(caps, CAP_PERMITTED, 1, &needed[i], CAP_SET) < 0 ||
				cap_set_flag(caps, CAP_EFFECTIVE, 1, &needed[i], CAP_SET) < 0))
			r = -1;
	}
	if (!caps || !have || r < 0 || cap_set_proc(caps) < 0)
		r = error_set(e, errno, "cannot drop capabilities");
	cap_free(caps);
	cap_free(have);
	return r < 0 ? -1 : seccomp_confine_supervisor(e);
}
