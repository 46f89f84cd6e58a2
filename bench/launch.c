/* What does a sandbox cost? Start to exit of /bin/true: bare, under bubblewrap with a typical profile
 * and agentd's own system-call filter, and under `agentctl run` against a private instance of agentd
 * that this program starts and ends (all walls, a record durable in the log before each start).
 * usage: launch [-n ROUNDS] [-b BUILD] [-d DIR]
 * BUILD has the programs (else $BUILD, else build); DIR is where the instance and the workspace go (else
 * /srv). Needs root. Exit 0 when agentd is within 0.7 of bubblewrap, 3 when it is not. */
#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "bench/stats.h"
#include "common/error.h"
#include "supervisor/seccomp.h"

#define FILTER_FD 9
#define WARM_UP   10
#define TARGET    0.7

enum kind { PLAIN, BWRAP, AGENTD, KINDS };

static struct series series[KINDS] = {
	{.name = "plain"},
	{.name = "bubblewrap, typical + seccomp"},
	{.name = "agentctl run, all walls + record"},
};

static char build[PATH_MAX], dir[PATH_MAX], root[PATH_MAX + 8], work[PATH_MAX + 8];
static pid_t supervisor;
static const char *bwrap;

static void remove_all(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execl("/bin/rm", "rm", "-rf", dir, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
}

static _Noreturn void fail(const char *what, const char *why)
{
	fprintf(stderr, "bench launch: %s: %s\n", what, why);
	if (supervisor > 0) {
		kill(supervisor, SIGTERM);
		waitpid(supervisor, NULL, 0);
	}
	if (*work)
		remove_all();
	exit(1);
}

/* agentd's bulk filter where bwrap --seccomp looks for it. */
static void open_filter(void)
{
	struct seccomp_set set;
	struct error e;
	int fd;

	if (seccomp_build(&set, &e) < 0)
		fail("the filter", e.text);
	fd = memfd_create("filter", 0);
	if (fd < 0 ||
		io_write_all(fd, set.bulk.filter, set.bulk.len * sizeof *set.bulk.filter) < 0 ||
		dup2(fd, FILTER_FD) < 0)
		fail("the filter", strerror(errno));
	if (fd != FILTER_FD)
		close(fd);
}

static const char *find_bwrap(void)
{
	static const char *const places[] = {"/usr/bin/bwrap", "/usr/local/bin/bwrap"};

	for (size_t i = 0; i < 2; i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

static void start_supervisor(void)
{
	char path[PATH_MAX + 32], line[256];
	int p[2];

	snprintf(path, sizeof path, "%s/agentd-supervisor", build);
	if (pipe2(p, O_CLOEXEC) < 0)
		fail("pipe", strerror(errno));
	supervisor = fork();
	if (supervisor == 0) {
		dup2(p[1], 1);
		setsid();
		close(FILTER_FD);
		execl(path, path, "--root", root, (char *)NULL);
		_exit(127);
	}
	close(p[1]);
	for (size_t n = 0; n == 0 || line[n - 1] != '\n';) {
		ssize_t r = read(p[0], line + n, sizeof line - n);

		if (r <= 0 || (n += (size_t)r) == sizeof line)
			fail(path, "did not get ready (is everything built?)");
	}
	close(p[0]);
}

static void stop_supervisor(void)
{
	int status;

	kill(supervisor, SIGTERM);
	waitpid(supervisor, &status, 0);
	supervisor = 0;
}

/* A profile as agent wrappers use it: system read-only, workspace writable, all namespaces. */
static const char *const *bwrap_argv(void)
{
	static const char *argv[64];
	static const char *const links[][2] = {{"/bin", "usr/bin"}, {"/sbin", "usr/sbin"},
		{"/lib", "usr/lib"}, {"/lib64", "usr/lib64"}};
	static const char *const rest[] = {"--ro-bind", "/etc", "/etc", "--proc", "/proc", "--dev",
		"/dev", "--tmpfs", "/tmp", "--bind", work, work, "--chdir", work, "--unshare-all",
		"--die-with-parent", "--new-session", "--clearenv", "--setenv", "PATH",
		"/usr/bin:/bin", "--seccomp", "9", "--", "/bin/true"};
	size_t n = 0;

	argv[n++] = bwrap;
	argv[n++] = "--ro-bind";
	argv[n++] = "/usr";
	argv[n++] = "/usr";
	for (size_t i = 0; i < 4; i++) {
		struct stat st;

		if (lstat(links[i][0], &st) < 0)
			continue;
		argv[n++] = S_ISLNK(st.st_mode) ? "--symlink" : "--ro-bind";
		argv[n++] = S_ISLNK(st.st_mode) ? links[i][1] : links[i][0];
		argv[n++] = links[i][0];
	}
	for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
		argv[n++] = rest[i];
	argv[n] = NULL;
	return argv;
}

static int output_fd; /* where the commands' output goes */

static double run_one(enum kind k, int null)
{
	static char ctl[PATH_MAX + 16];
	static const char *const plain[] = {"/bin/true", NULL};
	static const char *const agentd[] = {
		ctl, "--root", root, "run", "--workspace", work, "--", "/bin/true", NULL};

	if (k == PLAIN)
		return stats_run(plain, null, output_fd);
	if (k == BWRAP) {
		lseek(FILTER_FD, 0, SEEK_SET);
		return stats_run(bwrap_argv(), null, output_fd);
	}
	snprintf(ctl, sizeof ctl, "%s/agentctl", build);
	return stats_run(agentd, null, output_fd);
}

static void measure(int rounds)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* The same for both: bubblewrap's profile has no toolchains from HOME either. */
	setenv("PATH", "/usr/bin:/bin", 1);
	output_fd = null;
	for (int r = -WARM_UP; r < rounds; r++)
		for (enum kind k = PLAIN; k < KINDS; k++) {
			double us = k == BWRAP && !bwrap ? 0 : run_one(k, null);

			if (us < 0) {
				output_fd = 2; /* once more, to be seen */
				(void)run_one(k, null);
				fail(series[k].name, "a run failed");
			}
			if (r >= 0 && us > 0)
				series[k].us[series[k].n++] = us;
		}
	close(null);
}

static int report(void)
{
	double reached = stats_ratio(&series[AGENTD], &series[BWRAP]);

	stats_head("/bin/true, start to exit", "plain", "bwrap");
	for (enum kind k = PLAIN; k < KINDS; k++)
		if (series[k].n)
			stats_row(&series[k], &series[PLAIN], &series[BWRAP]);
	if (!bwrap) {
		puts("bubblewrap is not installed: no ratio");
		return 0;
	}
	printf("agentd / bubblewrap: %.2f (target %.1f: %s)\n", reached, TARGET,
		reached <= TARGET ? "reached" : "MISSED");
	return reached <= TARGET ? 0 : 3;
}

static void parse(int argc, char **argv, int *rounds)
{
	const char *b = getenv("BUILD"), *d = "/srv";
	int o;

	while ((o = getopt(argc, argv, "n:b:d:")) != -1) {
		if (o == 'n')
			*rounds = (int)strtol(optarg, NULL, 10);
		else if (o == 'b')
			b = optarg;
		else if (o == 'd')
			d = optarg;
		else
			exit(2);
	}
	if (*rounds < 1 || *rounds > STATS_MAX || optind != argc) {
		fprintf(stderr, "usage: launch [-n ROUNDS] [-b BUILD] [-d DIR]\n");
		exit(2);
	}
	if (!realpath(b ? b : "build", build))
		fail(b ? b : "build", strerror(errno));
	snprintf(dir, sizeof dir, "%s/agentd-bench-launch-XXXXXX", d);
	if (!mkdtemp(dir))
		fail(dir, strerror(errno));
	chmod(dir, 0755);
	snprintf(root, sizeof root, "%s/r", dir);
	snprintf(work, sizeof work, "%s/w", dir);
	if (mkdir(root, 0755) < 0 || mkdir(work, 0755) < 0 || chdir(work) < 0)
		fail(dir, strerror(errno));
}

int main(int argc, char **argv)
{
	int rounds = 200, code;

	if (geteuid() != 0) {
		fprintf(stderr, "bench launch: needs root\n");
		return 1;
	}
	parse(argc, argv, &rounds);
	bwrap = find_bwrap();
	open_filter();
	start_supervisor();
	measure(rounds);
	code = report();
	stop_supervisor();
	remove_all();
	return code;
}
