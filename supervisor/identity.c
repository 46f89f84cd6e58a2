/* Agents' uids and user namespaces; see identity.h and user_namespaces(7). */
#include "supervisor/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/paths.h"
#include "supervisor/sys.h"

static uid_t first_uid;
static struct identity **table; /* [AGENT_UID_COUNT], entries made when first used */
static size_t made;

void identity_init(uid_t base)
{
	first_uid = base;
}

static int write_map(pid_t pid, const char *file, const char *text)
{
	char path[64];
	cleanup_close int fd = -1;

	snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -1 : io_write_all(fd, text, strlen(text));
}

struct map {
	char text[192];
};

/* What the sandbox sees: one id, its own. */
static struct map only(unsigned inner, unsigned outer)
{
	struct map m;

	snprintf(m.text, sizeof m.text, "%u %u 1\n", inner, outer);
	return m;
}

/* What a mount shows: the owner's files as the agent's, everyone else's as what they are. Without the
 * others a file whose group (or owner) is another's could not be written at all, whatever its mode (the
 * kernel refuses to change an inode whose ids it cannot express). outer is above every ordinary id. */
static struct map all_but(unsigned owner, unsigned outer)
{
	struct map m;
	int n = 0;

	/* Not 0: a map with the host's root needs CAP_SETFCAP, and root's files are not the agent's. */
	if (owner > 1)
		n = snprintf(m.text, sizeof m.text, "1 1 %u\n", owner - 1);
	snprintf(m.text + n, sizeof m.text - (size_t)n, "%u %u 1\n%u %u %u\n%u %u %u\n", owner,
		outer, owner + 1, owner + 1, outer - owner - 1, outer + 1, outer + 1,
		UINT32_MAX - 1 - outer);
	return m;
}

/* A user namespace lives as long as an fd of it does; a child has to make it. */
static int make_userns(const struct map *uids, const struct map *gids)
{
	char path[64];
	int fd = -1, err;
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0) {
		syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		sys_close_range(3, ~0u, 0); /* holds nothing of ours open, whatever becomes of us */
		for (;;)
			pause();
	}
	if (pid < 0)
		return -1;
	snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
	if (write_map(pid, "uid_map", uids->text) == 0 &&
		write_map(pid, "gid_map", gids->text) == 0)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	err = errno;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	errno = err;
	return fd;
}

static void forget(struct identity *i)
{
	if (i->sandbox_ns >= 0)
		close(i->sandbox_ns);
	if (i->mount_ns >= 0)
		close(i->mount_ns);
	i->sandbox_ns = i->mount_ns = -1;
}

static int fits(const struct identity *i, const struct identity *want)
{
	return i->sandbox_ns >= 0 && i->owner == want->owner && i->owner_gid == want->owner_gid &&
	       i->inner_uid == want->inner_uid && i->inner_gid == want->inner_gid;
}

/* Best first: free with the right namespaces; then never used; then any free one. */
static struct identity *choose(const struct identity *want)
{
	struct identity *any = NULL;

	for (size_t k = 0; k < made; k++) {
		if (table[k]->in_use)
			continue;
		if (fits(table[k], want))
			return table[k];
		any = table[k];
	}
	if (!table)
		table = calloc(AGENT_UID_COUNT, sizeof(struct identity *));
	if (table && made < AGENT_UID_COUNT) {
		struct identity *i = calloc(1, sizeof *i);

		if (!i)
			return NULL;
		i->sandbox_ns = i->mount_ns = -1;
		i->kernel_uid = first_uid + (uid_t)made;
		table[made++] = i;
		return i;
	}
	return any;
}

static int build(struct identity *i, const struct identity *want, struct error *e)
{
	struct map uids, gids;

	forget(i);
	i->owner = want->owner;
	i->owner_gid = want->owner_gid;
	i->inner_uid = want->inner_uid;
	i->inner_gid = want->inner_gid;
	uids = only(i->inner_uid, i->kernel_uid);
	gids = only(i->inner_gid, i->kernel_uid);
	i->sandbox_ns = make_userns(&uids, &gids);
	if (i->sandbox_ns < 0)
		return error_set(e, errno, "cannot make a user namespace for the agent");
	uids = all_but(i->owner, i->kernel_uid);
	gids = all_but(i->owner_gid, i->kernel_uid);
	i->mount_ns = make_userns(&uids, &gids);
	if (i->mount_ns < 0) {
		error_set(e, errno, "cannot make a user namespace for idmapped mounts");
		forget(i);
		return -1;
	}
	return 0;
}

static struct identity *take_same(const struct identity *want, struct error *e)
{
	struct map uids, gids;
	struct identity *i;

	if (want->owner == 0) {
		error_set(e, 0,
			"workspace.identity: same-uid is refused for root: the agent would be "
			"root");
		return NULL;
	}
	i = calloc(1, sizeof *i);
	if (!i) {
		error_set(e, ENOMEM, "no memory for the agent's identity");
		return NULL;
	}
	*i = *want;
	i->kernel_uid = want->owner;
	i->mount_ns = -1;
	i->in_use = 1;
	uids = only(want->inner_uid, want->owner);
	gids = only(want->inner_gid, want->owner_gid);
	i->sandbox_ns = make_userns(&uids, &gids);
	if (i->sandbox_ns < 0) {
		error_set(e, errno, "cannot make a user namespace for the agent");
		free(i);
		return NULL;
	}
	return i;
}

struct identity *identity_take(uid_t owner, gid_t owner_gid, uid_t inner_uid, gid_t inner_gid,
	int same_uid, struct error *e)
{
	struct identity want = {.owner = owner,
		.owner_gid = owner_gid,
		.inner_uid = inner_uid,
		.inner_gid = inner_gid};
	struct identity *i;

	if (same_uid)
		return take_same(&want, e);
	i = choose(&want);
	if (!i) {
		error_set(e, 0, "no kernel uid is free for another agent");
		return NULL;
	}
	if (!fits(i, &want) && build(i, &want, e) < 0)
		return NULL;
	i->in_use = 1;
	return i;
}

void identity_release(struct identity *i)
{
	if (!i)
		return;
	i->in_use = 0;
	if (i->mount_ns < 0) { /* same-uid identities are not in the table */
		forget(i);
		free(i);
	}
}
