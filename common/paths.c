/* Where things live; see paths.h. */
#include "common/paths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t fnv1a(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h;
}

int paths_init(struct paths *p, const char *root, struct error *e)
{
	char full[PATH_MAX];
	uint32_t h;

	if (!root)
		root = getenv("AGENTD_ROOT");
	if (!root || !*root)
		root = "/";
	if (!realpath(root, full))
		return error_set(
			e, errno, "cannot use %s as root (create the directory first)", root);
	if (strlen(full) >= sizeof p->root)
		return error_set(e, ENAMETOOLONG, "root %s", full);
	memset(p, 0, sizeof *p);
	snprintf(p->root, sizeof p->root, "%s", strcmp(full, "/") ? full : "");
	snprintf(p->state, sizeof p->state, "%s/var/lib/agentd", p->root);
	snprintf(p->run, sizeof p->run, "%s/run/agentd", p->root);
	snprintf(p->etc, sizeof p->etc, "%s/etc/agentd", p->root);
	snprintf(p->control, sizeof p->control, "%s/control.sock", p->run);
	snprintf(p->kill, sizeof p->kill, "%s/kill.sock", p->run);
	snprintf(p->latches, sizeof p->latches, "%s/latches", p->state);
	snprintf(p->audit, sizeof p->audit, "%s/audit", p->state);
	h = fnv1a(p->root);
	if (*p->root)
		snprintf(p->cgroup, sizeof p->cgroup, "agentd-%08x", h);
	else
		snprintf(p->cgroup, sizeof p->cgroup, "agentd");
	/* One block of 65,536 uids for each root: agents below, roles at the end of it. */
	p->agent_uid_base = AGENT_UID_FIRST + (*p->root ? 1 + h % 3000 : 0) * 65536u;
	p->role_uid_default = p->agent_uid_base + 65500u;
	return 0;
}

int paths_is_agent_uid(uid_t uid)
{
	return uid >= AGENT_UID_FIRST && uid <= AGENT_UID_LAST;
}

int name_valid(const char *s)
{
	size_t n = strlen(s);

	if (n < 1 || n >= NAME_CAP)
		return 0;
	for (size_t i = 0; i < n; i++) {
		int alnum = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9');

		if (!alnum && (i == 0 || !strchr("._-", s[i])))
			return 0;
	}
	return 1;
}
