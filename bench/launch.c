/* What does a sandbox cost? Start to exit of /bin/true: bare; under bubblewrap with a typical profile and
 * agentd's bulk system-call filter; under bubblewrap with a profile equivalent to agentd's (private HOME,
 * the same protected paths of the workspace, the same three filters; it has no counterpart for the uid
 * of its own, the cgroup, Landlock, the self-test and the record); and under `agentctl run` against a
 * private instance of agentd that this program starts and ends, each start durable in the log.
 * usage: launch [-n ROUNDS] [-b BUILD] [-d DIR]
 * BUILD has the programs (else $BUILD, else build); DIR is where the instance and the workspace go (else
 * /srv). Needs root. Exit 0 when agentd is within 0.7 of the equivalent profile, 3 when not. */
#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "bench/stats.h"
#include "common/cleanup.h"
#include "common/error.h"
#include "supervisor/seccomp.h"

#define FILTER_FD 9
#define WARM_UP   10
#define TARGET    0.7

enum kind { PLAIN, BWRAP, EQUIVALENT, AGENTD, KINDS };

static struct series series[KINDS] = {
	{.name = "plain"},
	{.name = "bubblewrap, typical + seccomp"},
	{.name = "bubblewrap, equivalent + seccomp"},
	{.name = "agentctl run, all walls + record"},
};

static char build[PATH_MAX], dir[PATH_MAX], root[PATH_MAX + 8], work[PATH_MAX + 8];
static char other_work[PATH_MAX + 16], other_home[PATH_MAX + 16]; /* of the equivalent profile */
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

/* agentd's filters where bwrap looks for them: bulk, arguments, tail. */
static void open_filters(void)
{
	struct seccomp_set set;
	struct error e;

	if (seccomp_build(&set, &e) < 0)
		fail("the filters", e.text);
	for (int i = 0; i < 3; i++) {
		const struct sock_fprog *p = i == 0   ? &set.bulk
					     : i == 1 ? &set.arguments
						      : &set.tail;
		int fd = memfd_create("filter", 0);

		if (fd < 0 || io_write_all(fd, p->filter, p->len * sizeof *p->filter) < 0 ||
			dup2(fd, FILTER_FD + i) < 0)
			fail("the filters", strerror(errno));
		if (fd < FILTER_FD)
			close(fd);
	}
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
		for (int i = 0; i < 3; i++)
			close(FILTER_FD + i);
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

/* What agentd protects in a workspace; none of it exists in the one of the bench. */
static const char *const protected_names[] = {".agentd", ".vscode", ".idea", ".devcontainer",
	".husky", ".codex", ".gemini", ".opencode", ".cursor", ".envrc", ".mcp.json", ".claude",
	".bashrc", ".bash_profile", ".bash_login", ".profile", ".zshrc", ".zshenv", ".zprofile"};

/* A profile as agent wrappers use it: system read-only, workspace writable, all namespaces. */
static const char *const *bwrap_argv(int equivalent)
{
	static const char *argv[256];
	static char at[ARRAY_LEN(protected_names)][PATH_MAX + 64];
	const char *w = equivalent ? other_work : work;
	static const char *const links[][2] = {{"/bin", "usr/bin"}, {"/sbin", "usr/sbin"},
		{"/lib", "usr/lib"}, {"/lib64", "usr/lib64"}};
	const char *const rest[] = {"--ro-bind", "/etc", "/etc", "--proc", "/proc", "--dev", "/dev",
		"--tmpfs", "/tmp", "--bind", w, w, "--chdir", w, "--unshare-all",
		"--die-with-parent", "--new-session", "--clearenv", "--setenv", "PATH",
		"/usr/bin:/bin"};
	static const char *const typical_end[] = {"--seccomp", "9", "--", "/bin/true"};
	static const char *const equivalent_end[] = {"--add-seccomp-fd", "9", "--add-seccomp-fd",
		"10", "--add-seccomp-fd", "11", "--", "/bin/true"};
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
	for (size_t i = 0; i < ARRAY_LEN(rest); i++)
		argv[n++] = rest[i];
	for (size_t i = 0; equivalent && i < ARRAY_LEN(protected_names); i++) {
		snprintf(at[i], sizeof at[i], "%s/%s", w, protected_names[i]);
		argv[n++] = "--ro-bind";
		argv[n++] = other_home;
		argv[n++] = at[i];
	}
	if (equivalent) {
		argv[n++] = "--bind";
		argv[n++] = other_home;
		argv[n++] = "/root";
	}
	for (size_t i = 0; i < (equivalent ? ARRAY_LEN(equivalent_end) : ARRAY_LEN(typical_end));
		i++)
		argv[n++] = equivalent ? equivalent_end[i] : typical_end[i];
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
	if (k == BWRAP || k == EQUIVALENT) {
		for (int i = 0; i < 3; i++)
			lseek(FILTER_FD + i, 0, SEEK_SET);
		return stats_run(bwrap_argv(k == EQUIVALENT), null, output_fd);
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
			double us =
				(k == BWRAP || k == EQUIVALENT) && !bwrap ? 0 : run_one(k, null);

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
	double typical = stats_ratio(&series[AGENTD], &series[BWRAP]);
	double reached = stats_ratio(&series[AGENTD], &series[EQUIVALENT]);

	stats_head("/bin/true, start to exit", "plain", "bwrap");
	for (enum kind k = PLAIN; k < KINDS; k++)
		if (series[k].n)
			stats_row(&series[k], &series[PLAIN], &series[BWRAP]);
	if (!bwrap) {
		puts("bubblewrap is not installed: no ratio");
		return 0;
	}
	printf("agentd / bubblewrap, equivalent profile: %.2f (target %.1f: %s); typical profile: "
	       "%.2f\n",
		reached, TARGET, reached <= TARGET ? "reached" : "MISSED", typical);
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
	snprintf(other_work, sizeof other_work, "%s/w2", dir);
	snprintf(other_home, sizeof other_home, "%s/h2", dir);
	if (mkdir(root, 0755) < 0 || mkdir(work, 0755) < 0 || mkdir(other_work, 0755) < 0 ||
		mkdir(other_home, 0755) < 0 || chdir(work) < 0)
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
	open_filters();
	start_supervisor();
	measure(rounds);
	code = report();
	stop_supervisor();
	remove_all();
	return code;
}
