/* How long until a whole agent is gone? A kill through kill.sock (connect, one line, the killer's
 * answer) against a bare write to cgroup.kill with a wait for "populated 0", and against bubblewrap's
 * way (--die-with-parent in a pid namespace, SIGKILL to the outer process), interleaved in one run.
 * Needs root. Makes and removes its own killer, cgroups and processes.
 * usage: kill [ROUNDS]
 * (kill --sleepers N and kill --bomb are its own victims.) */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cgroup.h"
#include "common/io.h"
#include "common/wire.h"
#include "supervisor/killer/killer.h"

#define ROUNDS_MAX 200
#define BOMB_MAX   "200"

enum method { BARE, KILLER, BWRAP, METHODS };

static const char *const method_names[] = {"bare cgroup.kill", "kill.sock", "bubblewrap"};

static struct killer_config cfg;
static char self[4096]; /* /proc/self/exe is another program once bwrap runs */
static char root_dir[] = "/tmp/agentd-bench-kill-XXXXXX";
static int base, user, sup;
static pid_t killer;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "bench kill: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void check(int ok, const char *what)
{
	if (!ok)
		die(what);
}

/* ---- victims ---- */

static _Noreturn void sleepers(int n)
{
	for (int i = 1; i < n; i++) {
		pid_t pid = fork();

		if (pid == 0)
			break;
		check(pid > 0, "fork");
	}
	for (;;)
		pause();
}

/* Bounded by pids.max of the v1 hierarchy, which its starter has put it into. */
static _Noreturn void bomb(void)
{
	signal(SIGCHLD, SIG_IGN);
	for (;;)
		if (fork() < 0)
			sched_yield();
}

static void join(int at)
{
	int fd = openat(at, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	check(fd >= 0 && write(fd, "0", 1) == 1, "cannot enter a cgroup");
	close(fd);
}

/* ---- the instance ---- */

static void make_dirs(void)
{
	static const char *const names[] = {
		"var", "var/lib", "var/lib/agentd", "run", "run/agentd"};
	char path[128];

	check(mkdtemp(root_dir) != NULL, "mkdtemp");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", root_dir, names[i]);
		check(mkdir(path, 0755) == 0, path);
	}
}

static void remove_dirs(void)
{
	static const char *const names[] = {"var/lib/agentd/latches", "var/lib/agentd/killer.key",
		"var/lib/agentd/killer.pub", "run/agentd/latches", "run/agentd/kill.sock",
		"var/lib/agentd", "var/lib", "var", "run/agentd", "run", ""};
	char path[128];

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", root_dir, names[i]);
		if (unlink(path) < 0)
			rmdir(path);
	}
}

static int listen_at(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	check(strlen(path) < sizeof a.sun_path, path);
	memcpy(a.sun_path, path, strlen(path));
	check(bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 64) == 0, "kill.sock");
	return fd;
}

static void start_killer(void)
{
	struct error e = {0};
	struct wire_msg m;
	int ends[2];

	make_dirs();
	if (paths_init(&cfg.paths, root_dir, &e) < 0 || cgroup_find(&cfg.cg, &e) < 0 ||
		wire_pair(ends, &e) < 0) {
		fprintf(stderr, "bench kill: %s\n", e.text);
		exit(1);
	}
	cfg.lock_fd = -1;
	cfg.admin_gid = (gid_t)-1;
	cfg.freeze_after_ms = 600000;
	cfg.kill_after_ms = 600000;
	cfg.listen_fd = listen_at(cfg.paths.kill);
	cfg.supervisor_fd = ends[1];
	killer = fork();
	if (killer == 0)
		_exit(killer_main(&cfg));
	close(ends[1]);
	close(cfg.listen_fd);
	sup = ends[0];
	check(wire_recv(sup, &m) == 1 && m.h.type == KILLER_READY, "the killer does not start");
	fcntl(sup, F_SETFL, O_RDWR | O_NONBLOCK);
}

static void open_cgroups(void)
{
	int v2 = open(cfg.cg.v2, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	base = openat(v2, cfg.paths.cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	check(base >= 0 && mkdirat(base, "u1000", 0755) == 0, "cannot make cgroups");
	user = openat(base, "u1000", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(v2);
}

static void stop_killer(void)
{
	char path[400];

	close(sup);
	waitpid(killer, NULL, 0);
	snprintf(path, sizeof path, "%s/%s", cfg.cg.v2, cfg.paths.cgroup);
	rmdir(path);
	remove_dirs();
}

/* ---- one round ---- */

static pid_t start_victims(int at, int limit, enum method m, int n)
{
	char count[16];
	pid_t pid;

	snprintf(count, sizeof count, "%d", n);
	pid = fork();
	if (pid)
		return pid;
	if (limit >= 0)
		join(limit);
	join(at);
	if (n == 0)
		execl(self, "kill", "--bomb", (char *)NULL);
	else if (m == BWRAP)
		execlp("bwrap", "bwrap", "--dev-bind", "/", "/", "--unshare-pid",
			"--die-with-parent", "--", self, "--sleepers", count, (char *)NULL);
	else
		execl(self, "kill", "--sleepers", count, (char *)NULL);
	_exit(127);
}

/* bubblewrap adds its outer process and its pid 1. */
static void settle(int at, enum method m, int n)
{
	int want = n ? n + (m == BWRAP ? 2 : 0) : 150;

	for (int i = 0; i < 5000 && cgroup_count(at, want) < want; i++)
		usleep(1000);
	check(cgroup_count(at, want) == want, "the victims do not start");
	usleep(n > 100 ? 50000 : 20000);
}

static void kill_through_socket(const char *name)
{
	char line[64], answer[512];
	size_t have = 0;
	int fd = io_connect_unix(cfg.paths.kill);
	int n = snprintf(line, sizeof line, "KILL 1000/%s\n", name);

	check(fd >= 0 && write(fd, line, (size_t)n) == n, "kill.sock");
	do {
		ssize_t r = read(fd, answer + have, sizeof answer - 1 - have);

		check(r > 0, "no answer on kill.sock");
		have += (size_t)r;
		answer[have] = 0;
	} while (!strstr(answer, "\n.\n"));
	close(fd);
	check(strstr(answer, "state=dead") != NULL, answer);
}

/* Microseconds from the decision to kill until nothing is left. */
static double act(enum method m, int at, const char *name, pid_t first)
{
	uint64_t start = io_now_mono();

	if (m == KILLER) {
		kill_through_socket(name);
	} else {
		check((m == BARE ? cgroup_kill(at) : kill(first, SIGKILL)) == 0, "kill");
		check(cgroup_wait_empty(at, 60000) == 0, "wait");
	}
	return (double)(io_now_mono() - start) / 1e3;
}

static double one_round(enum method m, int n, int limit)
{
	static unsigned serial;
	char name[32];
	double us;
	pid_t first;
	int at;

	snprintf(name, sizeof name, "n%u", serial++ % 50);
	check(mkdirat(user, name, 0755) == 0, "mkdir");
	at = openat(user, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	first = start_victims(at, limit, m, n);
	settle(at, m, n);
	us = act(m, at, name, first);
	check(cgroup_populated(at) == 0, "something is left");
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	close(at);
	for (int i = 0; i < 1000 && unlinkat(user, name, AT_REMOVEDIR) < 0; i++)
		usleep(1000);
	return us;
}

/* ---- figures ---- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof *v, compare);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static void series(const char *what, int n, int rounds, int methods, int limit)
{
	static double us[METHODS][ROUNDS_MAX];
	double med[METHODS];

	for (int i = 0; i < rounds; i++)
		for (int m = 0; m < methods; m++)
			us[m][i] = one_round((enum method)m, n, limit);
	for (int m = 0; m < methods; m++) {
		med[m] = median(us[m], rounds);
		printf("%-26s %-17s median %9.0f us  min %9.0f  max %9.0f  %5.2f x bare\n", what,
			method_names[m], med[m], us[m][0], us[m][rounds - 1], med[m] / med[BARE]);
	}
	fflush(stdout);
}

static void bomb_series(int rounds)
{
	char path[400];
	int limit, max;

	if (!*cfg.cg.pids) {
		printf("fork bomb: skipped, there is no v1 pids hierarchy to bound it with\n");
		return;
	}
	snprintf(path, sizeof path, "%s/agentd-bench-kill", cfg.cg.pids);
	check(mkdir(path, 0755) == 0 || errno == EEXIST, path);
	limit = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	max = openat(limit, "pids.max", O_WRONLY | O_CLOEXEC);
	check(write(max, BOMB_MAX, strlen(BOMB_MAX)) > 0, "pids.max");
	close(max);
	series("fork bomb of " BOMB_MAX, 0, rounds, 2, limit);
	close(limit);
	for (int i = 0; i < 2000 && rmdir(path) < 0; i++)
		usleep(1000);
}

static int have_bwrap(void)
{
	return system("bwrap --version >/dev/null 2>&1") == 0; /* a benchmark, not a daemon */
}

static int number(const char *s)
{
	char *end;
	long v = strtol(s, &end, 10);

	return *s && !*end && v >= 0 && v <= 100000 ? (int)v : -1;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? number(argv[1]) : 15, methods;

	if (argc == 3 && strcmp(argv[1], "--sleepers") == 0)
		sleepers(number(argv[2]));
	if (argc == 2 && strcmp(argv[1], "--bomb") == 0)
		bomb();
	if (geteuid() != 0) {
		fprintf(stderr, "bench kill: needs root (cgroups)\n");
		return 1;
	}
	if (rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: kill [ROUNDS, 1..%d]\n", ROUNDS_MAX);
		return 2;
	}
	check(readlink("/proc/self/exe", self, sizeof self - 1) > 0, "/proc/self/exe");
	methods = have_bwrap() ? METHODS : BWRAP;
	if (methods != METHODS)
		printf("bubblewrap is not installed: left out\n");
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	start_killer();
	open_cgroups();
	printf("kill: until the last process is gone, %d rounds, interleaved\n", rounds);
	series("1 sleeping process", 1, rounds, methods, -1);
	series("100 sleeping processes", 100, rounds, methods, -1);
	series("1,000 sleeping processes", 1000, rounds, methods, -1);
	bomb_series(rounds);
	stop_killer();
	return 0;
}
