/* agentd-init: pid 1 inside a sandbox. Static, no allocation. It tries a handful of forbidden things
 * and refuses to go on if one of them works, then starts the agent, reaps, passes signals on, and
 * ends when the agent ends or the supervisor's end of its control socket closes; the kernel then
 * kills whatever else is left in the pid namespace (pid_namespaces(7)). Started by supervisor/enter.c
 * with every wall already around it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/plan.h"
#include "supervisor/init/protocol.h"

extern char **environ;

struct self { /* what the supervisor told us in argv */
	const char *canary, *kernel_uid, *owner_uid, *protected_path;
};

static const struct plan_header *plan;

/* ---- telling the supervisor ---- */

static _Noreturn void wall_failed(const char *what)
{
	char msg[1 + INIT_TEXT_MAX];
	size_t n = strlen(what);

	if (n > INIT_TEXT_MAX)
		n = INIT_TEXT_MAX;
	msg[0] = INIT_FAILED;
	memcpy(msg + 1, what, n);
	send(INIT_FD_CONTROL, msg, n + 1, MSG_NOSIGNAL);
	_exit(125);
}

/* ---- the wall self-test ---- */

static void canary_is_out_of_reach(const struct self *s)
{
	int fd = open(s->canary, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		wall_failed("the mount view leaks: a file outside can be read");
}

static void mount_is_refused(void)
{
	if (mount("none", "/tmp", "tmpfs", 0, NULL) == 0 || errno != EPERM)
		wall_failed("seccomp does not hold: mount() was not refused");
}

static void packet_sockets_are_refused(void)
{
	if (socket(17 /* AF_PACKET */, SOCK_RAW, 0) >= 0)
		wall_failed("a packet socket can be opened");
}

static void user_namespaces_are_refused(void)
{
	if (unshare(CLONE_NEWUSER) == 0)
		wall_failed("a new user namespace can be made");
}

/* /proc/self/uid_map, read from inside, gives the outer id in terms of the parent namespace: the
 * host's (user_namespaces(7)). */
static void kernel_uid_is_its_own(const struct self *s)
{
	char map[128], *save = NULL, *outer;
	int fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, map, sizeof map - 1);

	if (n <= 0)
		wall_failed("cannot read its own uid map");
	close(fd);
	map[n] = 0;
	outer = strtok_r(map, " \t\n", &save) ? strtok_r(NULL, " \t\n", &save) : NULL;
	if (!outer || strcmp(outer, s->kernel_uid) != 0)
		wall_failed("its kernel uid is not the one it was given");
	if (!(plan->flags & PLAN_SAME_UID) && !strcmp(outer, s->owner_uid))
		wall_failed("its kernel uid is the user's own");
}

static void protected_path_is_read_only(const struct self *s)
{
	char at[PLAN_PATH_MAX + 16];
	struct stat st;
	int fd;

	if (!*s->protected_path)
		return;
	if (lstat(s->protected_path, &st) < 0)
		wall_failed("a protected path is not there");
	if (S_ISDIR(st.st_mode)) {
		snprintf(at, sizeof at, "%s/.agentd-probe", s->protected_path);
		fd = open(at, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	} else {
		fd = open(s->protected_path, O_WRONLY | O_CLOEXEC);
	}
	if (fd >= 0)
		wall_failed("a protected path can be written");
}

static void test_walls(const struct self *s)
{
	canary_is_out_of_reach(s);
	mount_is_refused();
	packet_sockets_are_refused();
	user_namespaces_are_refused();
	kernel_uid_is_its_own(s);
	protected_path_is_read_only(s);
}

/* ---- the agent ---- */

static const char *find_env(const char *name)
{
	size_t n = strlen(name);

	for (uint32_t i = 0; i < plan->envc; i++) {
		const char *v = plan_text(plan, plan_env(plan, i));

		if (!strncmp(v, name, n) && v[n] == '=')
			return v + n + 1;
	}
	return "/usr/local/bin:/usr/bin:/bin";
}

/* execvp(3), but with the plan's own environment: PATH is the agent's, not init's. */
static void exec_search(const char *file, char **argv, char **envp)
{
	char at[4096];
	int last = ENOENT;

	if (strchr(file, '/')) {
		execve(file, argv, envp);
		return;
	}
	for (const char *p = find_env("PATH"); *p;) {
		size_t n = strcspn(p, ":");

		if (n && snprintf(at, sizeof at, "%.*s/%s", (int)n, p, file) < (int)sizeof at) {
			execve(at, argv, envp);
			if (errno != ENOENT && errno != ENOTDIR)
				last = errno;
		}
		p += n + (p[n] == ':');
	}
	errno = last;
}

static _Noreturn void exec_agent(const sigset_t *unblocked)
{
	static char *argv[PLAN_ARGS_MAX + 1], *envp[PLAN_ENVS_MAX + 1];
	char text[PLAN_PATH_MAX + 128];
	const char *file = plan_text(plan, plan_arg(plan, 0));
	int n, err;

	for (uint32_t i = 0; i < plan->argc; i++)
		argv[i] = (char *)(uintptr_t)plan_text(plan, plan_arg(plan, i));
	for (uint32_t i = 0; i < plan->envc; i++)
		envp[i] = (char *)(uintptr_t)plan_text(plan, plan_env(plan, i));
	setsid();
	if (plan->flags & PLAN_TERMINAL)
		ioctl(0, TIOCSCTTY, 0);
	if (chdir(plan_text(plan, plan->cwd)) < 0 && chdir(plan_text(plan, plan->workspace)) < 0)
		_exit(126);
	sigprocmask(SIG_SETMASK, unblocked, NULL);
	exec_search(file, argv, envp);
	err = errno;
	n = snprintf(text, sizeof text, "agentctl run: cannot start %.900s in the sandbox: %s\n",
		file, strerror(err));
	if (write(2, text, (size_t)n) < 0)
		_exit(126);
	_exit(err == ENOENT || err == ENOTDIR ? 127 : 126);
}

static pid_t start_agent(const sigset_t *unblocked)
{
	/* vfork, because copying page tables costs a tenth of a launch: the child writes only its own
	 * arrays and errno, which nobody reads afterwards, and ends in execve or _exit. */
	pid_t pid = vfork(); // NOLINT(clang-analyzer-security.insecureAPI.vfork)

	if (pid < 0)
		wall_failed("cannot fork the agent");
	if (pid == 0) {
		exec_agent(unblocked); // NOLINT(clang-analyzer-unix.Vfork)
	}
	return pid;
}

static int exit_code(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Reaps everything that is dead. -1, or the agent's exit code. */
static int reap(pid_t agent)
{
	int status, code = -1;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == agent)
			code = exit_code(status);
	}
	return code;
}

/* One message of the supervisor. 0, or -1 when it is gone. */
static int obey(pid_t agent)
{
	unsigned char msg[8];
	ssize_t n = recv(INIT_FD_CONTROL, msg, sizeof msg, MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		return -1;
	if (n == 2 && msg[0] == INIT_SIGNAL)
		kill(-agent, msg[1]); /* its process group: as a terminal would */
	return 0;
}

static int run(pid_t agent, int signal_fd)
{
	struct pollfd p[2] = {
		{.fd = INIT_FD_CONTROL, .events = POLLIN}, {.fd = signal_fd, .events = POLLIN}};

	for (;;) {
		struct signalfd_siginfo si;
		int code;

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return 125;
		if (p[1].revents & POLLIN) {
			while (read(signal_fd, &si, sizeof si) > 0)
				;
			code = reap(agent);
			if (code >= 0)
				return code;
		}
		if (p[0].revents && obey(agent) < 0)
			return 137;
	}
}

/* No record, no action: the agent starts when the supervisor says that its start is in the log. */
static int wait_for_go(void)
{
	unsigned char msg[8];
	ssize_t n;

	do
		n = recv(INIT_FD_CONTROL, msg, sizeof msg, 0);
	while ((n < 0 && errno == EINTR) || (n > 0 && msg[0] != INIT_GO));
	return n > 0 ? 0 : -1;
}

static void open_plan(void)
{
	struct stat st;

	if (fstat(INIT_FD_PLAN, &st) < 0)
		wall_failed("no launch plan");
	plan = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, INIT_FD_PLAN, 0);
	if (plan == MAP_FAILED)
		wall_failed("cannot map the launch plan");
}

int main(int argc, char **argv)
{
	struct self s;
	sigset_t all, none;
	char ready = INIT_READY;
	int signal_fd, code;
	pid_t agent;

	if (argc != 5)
		return 125;
	s = (struct self){argv[1], argv[2], argv[3], argv[4]};
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		wall_failed("cannot protect pid 1");
	open_plan();
	test_walls(&s);
	sigfillset(&all);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &all, NULL);
	signal_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signal_fd < 0)
		wall_failed("no signalfd");
	fcntl(INIT_FD_PLAN, F_SETFD, FD_CLOEXEC);
	fcntl(INIT_FD_CONTROL, F_SETFD, FD_CLOEXEC);
	if (send(INIT_FD_CONTROL, &ready, 1, MSG_NOSIGNAL) < 0)
		return 137;
	if (wait_for_go() < 0)
		return 137;
	agent = start_agent(&none);
	code = run(agent, signal_fd);
	return code;
}
