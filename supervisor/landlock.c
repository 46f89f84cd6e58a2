/* Landlock rulesets; see landlock.h. */
#include "supervisor/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "supervisor/sys.h"

#define FS_READ \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_FILE                                                              \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |        \
		LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_TRUNCATE | \
		LANDLOCK_ACCESS_FS_IOCTL_DEV)
#define FS_ABI1 ((1ULL << 13) - 1)

static uint64_t fs_rights(int abi)
{
	uint64_t all = FS_ABI1;

	if (abi >= 2)
		all |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		all |= LANDLOCK_ACCESS_FS_TRUNCATE;
	if (abi >= 5)
		all |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
	return all;
}

int landlock_abi(void)
{
	long v = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return v < 0 ? 0 : (int)v;
}

int landlock_begin(int abi)
{
	struct sys_landlock_attr a = {.fs = fs_rights(abi)};
	size_t size = sizeof a.fs;

	if (abi >= 6) {
		a.scoped = LANDLOCK_SCOPE_ABSTRACT_UNIX | LANDLOCK_SCOPE_SIGNALS;
		size = sizeof a;
	}
	return (int)syscall(SYS_landlock_create_ruleset, &a, size, 0);
}

int landlock_allow(int ruleset, int abi, const char *path, int writable)
{
	struct landlock_path_beneath_attr r = {0};
	cleanup_close int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	if (fstat(fd, &st) < 0)
		return -1;
	r.parent_fd = fd;
	r.allowed_access = fs_rights(abi);
	if (!writable)
		r.allowed_access &= FS_READ;
	if (!S_ISDIR(st.st_mode))
		r.allowed_access &= FS_FILE;
	return (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &r, 0);
}

int landlock_allow_listing(int ruleset, const char *path)
{
	struct landlock_path_beneath_attr r = {.allowed_access = LANDLOCK_ACCESS_FS_READ_DIR};
	cleanup_close int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return -1;
	r.parent_fd = fd;
	return (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &r, 0);
}

int landlock_enforce(int ruleset)
{
	return (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
}
