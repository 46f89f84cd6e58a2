/* agentctl doctor: each wall, whether this kernel has it, and what is lost without it; then whether
 * agentd runs and answers. It probes, it does not guess from versions; it changes nothing. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agentctl/tools/rpc.h"
#include "agentctl/tools/tools.h"
#include "common/cgroup.h"
#include "common/cleanup.h"
#include "common/escape.h"
#include "common/io.h"

enum result { HAVE, NOTE, MISSING }; /* MISSING: a required wall, exit code 1 */

struct report {
	json_t *json; /* array, or NULL: print */
	int missing;
};

/* kind: wall, gate, hook, agentd. */
__attribute__((format(printf, 5, 6))) static void say(
	struct report *r, enum result res, const char *kind, const char *what, const char *fmt, ...)
{
	static const char *const words[] = {"ok", "note", "MISSING"};
	char text[512], safe[ESCAPE_CAP(sizeof text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	r->missing |= res == MISSING;
	if (r->json) {
		json_array_append_new(
			r->json, json_pack("{s:s, s:s, s:s, s:s}", "kind", kind, "check", what,
					 "result", words[res], "text", text));
		return;
	}
	escape_text(safe, sizeof safe, text, strlen(text));
	printf("%-8s %-7s %s: %s\n", words[res], kind, what, safe);
}

/* ---- kernel ---- */

static void check_kernel(struct report *r)
{
	struct utsname u;
	long major, minor = 0;
	char *end;

	if (uname(&u) < 0) {
		say(r, NOTE, "wall", "kernel", "its version cannot be read");
		return;
	}
	major = strtol(u.release, &end, 10);
	if (*end == '.')
		minor = strtol(end + 1, NULL, 10);
	if (major > 5 || (major == 5 && minor >= 14))
		say(r, HAVE, "wall", "kernel", "Linux %s", u.release);
	else
		say(r, MISSING, "wall", "kernel",
			"Linux %s; 5.14 or later is needed (cgroup.kill, idmapped mounts)",
			u.release);
}

static int child_has_freeze(void *ctx, const char *name, int fd)
{
	(void)ctx;
	(void)name;
	return faccessat(fd, "cgroup.freeze", F_OK, 0) == 0 &&
	       faccessat(fd, "cgroup.kill", F_OK, 0) == 0;
}

static void check_limit(struct report *r, const char *name, int v2, const char *v1)
{
	if (v2)
		say(r, HAVE, "wall", name, "controller of cgroup v2");
	else if (*v1)
		say(r, HAVE, "wall", name, "controller of cgroup v1 at %s", v1);
	else
		say(r, NOTE, "wall", name,
			"no controller: a policy that limits it without best-effort will not "
			"start");
}

static void check_cgroups(struct report *r)
{
	struct cgroup_host h;
	struct error e;
	cleanup_close int dir = -1;

	if (cgroup_find(&h, &e) < 0) {
		say(r, MISSING, "wall", "cgroup v2",
			"%s. Without it an agent cannot be killed for certain; mount cgroup2 "
			"(systemd "
			"does)",
			e.text);
		return;
	}
	dir = open(h.v2, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0 && cgroup_each_child(dir, child_has_freeze, NULL) == 1)
		say(r, HAVE, "wall", "cgroup v2", "kill and freeze, at %s", h.v2);
	else
		say(r, NOTE, "wall", "cgroup v2",
			"at %s; it has no child to look for cgroup.kill and cgroup.freeze in",
			h.v2);
	check_limit(r, "limit of processes", h.v2_pids, h.pids);
	check_limit(r, "limit of memory", h.v2_memory, h.memory);
	check_limit(r, "limit of cpu", h.v2_cpu, h.cpu);
}

static void check_landlock(struct report *r)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (abi < 0)
		say(r, MISSING, "wall", "Landlock",
			"not there (%s): sandboxes start without it, so only mounts, uids and "
			"seccomp keep an agent from files; boot with lsm=landlock,… "
			"(CONFIG_SECURITY_LANDLOCK)",
			strerror(errno));
	else if (abi < 3)
		say(r, NOTE, "wall", "Landlock",
			"ABI %ld: does not limit truncation of files (3), TCP (4), abstract "
			"sockets and "
			"signals (6); other walls do",
			abi);
	else
		say(r, HAVE, "wall", "Landlock", "ABI %ld%s", abi,
			abi < 6 ? " (abstract sockets and signals are limited from 6 on)" : "");
}

static void check_seccomp(struct report *r)
{
	uint32_t action = SECCOMP_RET_USER_NOTIF;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0) {
		say(r, HAVE, "wall", "seccomp",
			"filters, and user notification for exec decisions");
		return;
	}
	action = SECCOMP_RET_ERRNO;
	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0)
		say(r, NOTE, "gate", "seccomp",
			"filters, but no user notification: exec cannot be decided");
	else
		say(r, MISSING, "wall", "seccomp", "no filters (CONFIG_SECCOMP_FILTER)");
}

static void check_memfd(struct report *r)
{
	cleanup_close int fd = memfd_create("doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL) == 0)
		say(r, HAVE, "wall", "memfd sealing", "launch plans cannot change after the check");
	else
		say(r, MISSING, "wall", "memfd sealing", "not there: nothing can be launched");
}

/* ---- user namespaces and idmapped mounts ---- */

static long read_number(const char *path)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	char buf[32] = "";

	if (fd < 0 || read(fd, buf, sizeof buf - 1) < 0)
		return -1;
	return strtol(buf, NULL, 10);
}

static int write_map(pid_t pid, const char *file)
{
	char path[64];
	cleanup_close int fd = -1;

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, "0 100000 1", 10) != 10 ? -1 : 0;
}

/* A user namespace to map a mount with, held open by a descriptor, or -1. */
static int make_userns(void)
{
	int ready[2], fd = -1;
	char path[64], c;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWUSER) == 0)
			(void)!write(ready[1], "x", 1);
		close(ready[1]);
		pause();
		_exit(0);
	}
	close(ready[1]);
	if (pid > 0 && read(ready[0], &c, 1) == 1 && write_map(pid, "uid_map") == 0 &&
		write_map(pid, "gid_map") == 0) {
		snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	close(ready[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return fd;
}

static void check_idmap(struct report *r, int userns, const char *path)
{
	struct mount_attr a = {
		.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)(unsigned)userns};
	cleanup_close int tree =
		(int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (tree < 0)
		say(r, NOTE, "wall", "idmapped mounts", "cannot clone the mount of %s: %s", path,
			strerror(errno));
	else if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &a, sizeof a) == 0)
		say(r, HAVE, "wall", "idmapped mounts", "work at %s", path);
	else
		say(r, NOTE, "wall", "idmapped mounts",
			"the file system at %s has none (%s): workspaces there need `workspace: "
			"{identity: same-uid}`, which gives up the agent's own uid",
			path, strerror(errno));
}

static void check_namespaces(struct report *r, const struct paths *p)
{
	long max = read_number("/proc/sys/user/max_user_namespaces");
	cleanup_close int ns = -1;
	char cwd[1024];

	if (max == 0 || access("/proc/self/ns/user", F_OK) < 0) {
		say(r, MISSING, "wall", "user namespaces",
			"switched off: sysctl user.max_user_namespaces is 0, or not in this "
			"kernel");
		return;
	}
	say(r, HAVE, "wall", "user namespaces", "at most %ld", max);
	if (geteuid() != 0) {
		say(r, NOTE, "wall", "idmapped mounts",
			"not checked: only root can (sudo agentctl "
			"doctor)");
		return;
	}
	ns = make_userns();
	if (ns < 0) {
		say(r, MISSING, "wall", "user namespaces", "cannot make one: %s", strerror(errno));
		return;
	}
	check_idmap(r, ns, access(p->state, F_OK) == 0 ? p->state : "/");
	if (getcwd(cwd, sizeof cwd))
		check_idmap(r, ns, cwd);
}

static int has_filesystem(const char *name)
{
	cleanup_fclose FILE *f = fopen("/proc/filesystems", "re");
	char line[128];

	while (f && fgets(line, sizeof line, f)) {
		const char *tab = strchr(line, '\t');

		line[strcspn(line, "\n")] = 0;
		if (tab && strcmp(tab + 1, name) == 0)
			return 1;
	}
	return 0;
}

static void check_later(struct report *r)
{
	if (has_filesystem("overlay"))
		say(r, HAVE, "wall", "overlayfs",
			"for workspace mode overlay (not in this version)");
	else
		say(r, NOTE, "wall", "overlayfs",
			"not loaded (modprobe overlay): for workspace mode overlay, not in this "
			"version");
	say(r, NOTE, "wall", "network",
		"a sandbox has only loopback in this version; nftables and the gateway come later");
	say(r, NOTE, "hook", "agents' own hooks",
		"cooperative: they decide tool calls, but no wall depends on them");
}

/* ---- agentd ---- */

#define ANSWER_S 5

static void check_broker(struct report *r, const struct paths *p)
{
	struct error e = {0};
	struct rpc *c = rpc_open(p, "RPC", &e);
	json_t *status = NULL;

	if (c) {
		rpc_set_timeout(c, ANSWER_S);
		status = rpc_call(c, "status", NULL, &e);
	}
	rpc_close(c);
	if (!status)
		say(r, MISSING, "agentd", "broker", "%s", e.text);
	else if (json_is_false(json_object_get(status, "recorder")))
		say(r, MISSING, "agentd", "broker",
			"answers, but nothing can be recorded, so everything is denied: %s",
			json_string_value(json_object_get(status, "recorder_text")));
	else
		say(r, HAVE, "agentd", "broker", "answers, and its records reach the log");
	json_decref(status);
}

/* The recorder's own language: see agentctl audit. It sends an entry or closes, or it is stuck; a
 * supervisor that has none says ERR. */
static void check_recorder(struct report *r, const struct paths *p)
{
	static const char ask[] = "AUDIT\n{\"last\":1}\n";
	cleanup_close int fd = io_connect_unix(p->control);
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	char answer[256] = "";

	/* One that refused has its words in the socket already. */
	if (fd < 0 || (io_send_fds(fd, ask, sizeof ask - 1, NULL, 0, 0) < 0 && errno != EPIPE))
		say(r, MISSING, "agentd", "recorder", "cannot be asked: %s", strerror(errno));
	else if (poll(&pfd, 1, ANSWER_S * 1000) <= 0)
		say(r, MISSING, "agentd", "recorder", "does not answer within %d s", ANSWER_S);
	else if (read(fd, answer, sizeof answer - 1) > 4 && strncmp(answer, "ERR ", 4) == 0)
		say(r, MISSING, "agentd", "recorder", "cannot be asked: %.*s",
			(int)strcspn(answer + 4, "\n"), answer + 4);
	else
		say(r, HAVE, "agentd", "recorder", "answers");
}

static void check_daemon(struct report *r, const struct paths *p)
{
	cleanup_close int fd = io_connect_unix(p->control);
	cleanup_close int killer = io_connect_unix(p->kill);

	if (fd < 0) {
		say(r, NOTE, "agentd", "supervisor", "does not run at %s (%s)", p->control,
			strerror(errno));
		return;
	}
	say(r, HAVE, "agentd", "supervisor", "takes connections");
	if (killer >= 0)
		say(r, HAVE, "agentd", "killer", "takes connections");
	else
		say(r, MISSING, "agentd", "killer",
			"does not take connections: %s (root can use "
			"agentctl kill --direct)",
			strerror(errno));
	check_broker(r, p);
	check_recorder(r, p);
}

static void check_all(struct report *r, const struct paths *p)
{
	check_kernel(r);
	check_cgroups(r);
	check_landlock(r);
	check_seccomp(r);
	check_namespaces(r, p);
	check_memfd(r);
	check_later(r);
	check_daemon(r, p);
}

static int print_help(void)
{
	printf("usage: agentctl doctor [--json]\n\n"
	       "Says for each wall whether this kernel has it and what is lost without it, then "
	       "whether\nagentd runs and its parts answer. Changes nothing. As root it checks "
	       "more.\n\n"
	       "exit codes: 0 every required wall is there; 1 one is missing, or agentd runs and a "
	       "part of\nit does not answer\n");
	return TOOL_OK;
}

int tool_doctor(int argc, char **argv)
{
	struct report r = {0};
	struct paths p;
	struct error e;

	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return print_help();
	if (argc > 2 || (argc == 2 && strcmp(argv[1], "--json") != 0))
		return tool_usage("doctor", "unknown argument; known: --json");
	if (paths_init(&p, NULL, &e) < 0)
		return tool_fail("doctor", &e);
	if (argc == 2)
		r.json = json_array();
	check_all(&r, &p);
	if (r.json) {
		json_dumpf(r.json, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
		printf("\n");
		json_decref(r.json);
	}
	return r.missing ? TOOL_FAILED : TOOL_OK;
}
