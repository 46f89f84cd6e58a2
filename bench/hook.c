/* What does a tool call cost before it is decided? One process per call: start, connect, ask, answer,
 * exit. `agentctl hook` against the smallest program that does as much (bench/hook/floor.c, static musl),
 * in turns, with a server that answers at once. The decision itself is not in it.
 * usage: hook AGENTCTL FLOOR [ROUNDS]      (bench/hook/run builds FLOOR and calls this)
 * Exit 0 when agentctl is within 2 of the floor, 3 when it is not. */
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "bench/stats.h"

#define WARM_UP 50
#define TARGET  2.0

static struct series floor_series = {.name = "floor: connect, 1 KB, answer"},
		     ctl_series = {.name = "agentctl hook claude-code, allow"};

static const char event[] =
	"{\"session_id\":\"9074f081-3d2e-4c62-a1b4-5f0c7e2d9a11\",\"transcript_path\":"
	"\"/home/ann/.claude/projects/-home-ann-src-app/9074f081.jsonl\",\"cwd\":\"/home/ann/src/"
	"app\","
	"\"prompt_id\":\"33e001e7-77aa-4f10-8a52-1f2f3f4f5f6f\",\"permission_mode\":\"default\","
	"\"effort\":{\"level\":\"high\"},\"hook_event_name\":\"PreToolUse\",\"tool_name\":\"Bash\","
	"\"tool_input\":{\"command\":\"git status --short && npm test -- --reporter dot\","
	"\"description\":\"Run the tests\"},\"tool_use_id\":\"toolu_1bc57f499c3947888011\"}\n";

static const char answer[] =
	"{\"id\":1,\"jsonrpc\":\"2.0\",\"result\":{\"exit\":0,\"stderr\":\"\",\"stdout\":"
	"\"{\\\"hookSpecificOutput\\\":{\\\"hookEventName\\\":\\\"PreToolUse\\\","
	"\\\"permissionDecision\\\":\\\"allow\\\"}}\\n\"}}\n";

static char dir[] = "/tmp/agentd-bench-hook-XXXXXX", tool_path[64], floor_path[64];

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "bench hook: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int listen_at(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(a.sun_path, path, strlen(path) + 1);
	if (s < 0 || bind(s, (struct sockaddr *)&a, sizeof a) < 0 || listen(s, 64) < 0)
		fail(path);
	return s;
}

/* Answers one connection: 1 KB for the floor, a line for the hook. */
static void serve_one(int listener, int is_tool)
{
	static char buf[65536];
	size_t n = 0;
	int s = accept(listener, NULL, NULL);

	while (s >= 0 && (is_tool ? !memchr(buf, '\n', n) : n < 1024)) {
		ssize_t r = read(s, buf + n, sizeof buf - n);

		if (r <= 0)
			break;
		n += (size_t)r;
	}
	if (s >= 0) {
		(void)io_write_all(s, is_tool ? answer : buf, is_tool ? sizeof answer - 1 : 1024);
		close(s);
	}
}

static _Noreturn void serve(int tool, int floor_sock)
{
	struct pollfd p[2] = {{.fd = tool, .events = POLLIN}, {.fd = floor_sock, .events = POLLIN}};

	for (;;) {
		if (poll(p, 2, -1) < 0)
			_exit(1);
		if (p[0].revents)
			serve_one(tool, 1);
		if (p[1].revents)
			serve_one(floor_sock, 0);
	}
}

static int event_file(void)
{
	int fd = memfd_create("event", MFD_CLOEXEC);

	if (fd < 0 || io_write_all(fd, event, sizeof event - 1) < 0)
		fail("the event");
	return fd;
}

static double timed(const char *const argv[], int in, int null)
{
	double us;

	lseek(in, 0, SEEK_SET);
	us = stats_run(argv, in, null);
	if (us < 0)
		fail(argv[0]);
	return us;
}

static void measure(const char *agentctl, const char *floor_program, int rounds)
{
	const char *const hook[] = {agentctl, "hook", "claude-code", "--socket", tool_path, NULL};
	const char *const floor_argv[] = {floor_program, floor_path, NULL};
	int in = event_file(), null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int r = -WARM_UP; r < rounds; r++) {
		double f = timed(floor_argv, in, null), h = timed(hook, in, null);

		if (r < 0)
			continue;
		floor_series.us[floor_series.n++] = f;
		ctl_series.us[ctl_series.n++] = h;
	}
	close(in);
	close(null);
}

int main(int argc, char **argv)
{
	int rounds = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 2000, tool, floor_sock;
	double reached;
	pid_t server;

	if (argc < 3 || argc > 4 || rounds < 1 || rounds > STATS_MAX) {
		fprintf(stderr, "usage: hook AGENTCTL FLOOR [ROUNDS]\n");
		return 2;
	}
	if (!mkdtemp(dir))
		fail(dir);
	snprintf(tool_path, sizeof tool_path, "%s/tool.sock", dir);
	snprintf(floor_path, sizeof floor_path, "%s/floor.sock", dir);
	tool = listen_at(tool_path);
	floor_sock = listen_at(floor_path);
	server = fork();
	if (server == 0)
		serve(tool, floor_sock);
	measure(argv[1], argv[2], rounds);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	unlink(tool_path);
	unlink(floor_path);
	rmdir(dir);
	stats_head("one hook process per action", "floor", "hook");
	stats_row(&floor_series, &floor_series, &ctl_series);
	stats_row(&ctl_series, &floor_series, &ctl_series);
	reached = stats_ratio(&ctl_series, &floor_series);
	printf("hook / floor: %.2f (target %.1f: %s)\n", reached, TARGET,
		reached <= TARGET ? "reached" : "MISSED");
	return reached <= TARGET ? 0 : 3;
}
