/* The killer on the real kernel, as root: a process of its own, with its own cgroup and state below a
 * temporary root. Each test makes the processes that it kills, bounded, and leaves nothing behind. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cgroup.h"
#include "common/io.h"
#include "common/kill.h"
#include "common/wire.h"
#include "supervisor/killer/killer.h"

#define OWNER    1000
#define STRANGER 1001
#define GROUP    54321
#define AGENT    1900000005u

static char dir[64];
static struct killer_config cfg;
static int sup = -1; /* the supervisor's end */
static pid_t killer;
static int base = -1;
static struct latch_table *latches;

/* ---- the instance ---- */

static void make_dir(const char *path)
{
	ck_assert_msg(mkdir(path, 0755) == 0, "mkdir %s: %s", path, strerror(errno));
}

static int listen_at(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_uint_lt(strlen(path), sizeof a.sun_path);
	memcpy(a.sun_path, path, strlen(path));
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	ck_assert_int_eq(chmod(path, 0666), 0);
	ck_assert_int_eq(listen(fd, 256), 0);
	return fd;
}

static void prepare(void)
{
	struct error e = {0};
	char path[800];
	int v2;

	snprintf(dir, sizeof dir, "/tmp/agentd-killer-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	chmod(dir, 0755);
	memset(&cfg, 0, sizeof cfg);
	ck_assert_int_eq(paths_init(&cfg.paths, dir, &e), 0);
	ck_assert_msg(cgroup_find(&cfg.cg, &e) == 0, "%s", e.text);
	for (const char *const *p = (const char *const[]){"var", "var/lib", "var/lib/agentd", "run",
		     "run/agentd", NULL};
		*p; p++) {
		snprintf(path, sizeof path, "%s/%s", dir, *p);
		make_dir(path);
	}
	v2 = open(cfg.cg.v2, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(mkdirat(v2, cfg.paths.cgroup, 0755), 0);
	base = openat(v2, cfg.paths.cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(v2);
	/* Users who have run something: others get no latch. */
	for (const char *const *p = (const char *const[]){"u1000", "u1001", "u4242", NULL}; *p; p++)
		ck_assert_int_eq(mkdirat(base, *p, 0755), 0);
	cfg.lock_fd = -1;
	cfg.admin_gid = GROUP;
	cfg.freeze_after_ms = 60000;
	cfg.kill_after_ms = 120000;
	cfg.wait_ms = 5000;
	cfg.verb_ms = 300;
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

static int hear(struct wire_msg *m, int ms)
{
	struct pollfd p = {.fd = sup, .events = POLLIN};

	return poll(&p, 1, ms) == 1 ? wire_recv(sup, m) : 0;
}

static void launch_killer(void)
{
	struct wire_msg m;
	struct error e = {0};
	int ends[2];

	cfg.listen_fd = listen_at(cfg.paths.kill);
	ck_assert_int_eq(wire_pair(ends, &e), 0);
	cfg.supervisor_fd = ends[1];
	killer = fork();
	if (killer == 0)
		_exit(killer_main(&cfg));
	close(ends[1]);
	close(cfg.listen_fd);
	sup = ends[0];
	ck_assert_int_eq(hear(&m, 5000), 1);
	ck_assert_int_eq(m.h.type, KILLER_READY);
	latches = latch_open(cfg.paths.latches, &e);
	ck_assert_msg(latches != NULL, "%s", e.text);
}

static void setup(void)
{
	prepare();
	launch_killer();
}

static int wait_for(pid_t pid, int ms)
{
	int status;

	for (int i = 0; i < ms; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		usleep(1000);
	}
	return -1;
}

static int remove_tree(void *ctx, const char *name, int fd)
{
	cgroup_kill(fd);
	cgroup_freeze(fd, 0);
	cgroup_wait_empty(fd, 5000);
	cgroup_each_child(fd, remove_tree, &fd);
	unlinkat(*(int *)ctx, name, AT_REMOVEDIR);
	return 0;
}

static void remove_files(void)
{
	static const char *const names[] = {"var/lib/agentd/latches", "var/lib/agentd/killer.key",
		"var/lib/agentd/killer.pub", "run/agentd/latches", "run/agentd/kill.sock", "lock",
		"var/lib/agentd", "var/lib", "var", "run/agentd", "run", ""};
	char path[800];

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		if (unlink(path) < 0)
			rmdir(path);
	}
	ck_assert_int_eq(access(dir, F_OK), -1);
}

static void teardown(void)
{
	char path[800];

	if (sup >= 0)
		close(sup);
	sup = -1;
	if (killer > 0 && wait_for(killer, 5000) < 0)
		kill(killer, SIGKILL);
	cgroup_each_child(base, remove_tree, &base);
	close(base);
	snprintf(path, sizeof path, "%s/%s", cfg.cg.v2, cfg.paths.cgroup);
	ck_assert_int_eq(rmdir(path), 0);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	latch_close(latches);
	latches = NULL;
	remove_files();
}

/* ---- sandboxes ---- */

static int make_sandbox(uid_t uid, const char *name)
{
	struct cgroup_tag tag = {.sandbox = 7};
	char path[64];
	int fd;

	memset(tag.identity, 5, sizeof tag.identity);
	snprintf(path, sizeof path, "u%u", uid);
	if (mkdirat(base, path, 0755) < 0)
		ck_assert_int_eq(errno, EEXIST);
	snprintf(path, sizeof path, "u%u/%s", uid, name);
	ck_assert_int_eq(mkdirat(base, path, 0755), 0);
	fd = openat(base, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(cgroup_tag_set(fd, &tag), 0);
	return fd;
}

static void join(int at)
{
	int fd = openat(at, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(1);
	close(fd);
}

static _Noreturn void sleep_forever(void)
{
	for (;;)
		pause();
}

static _Noreturn void ignore_everything(void)
{
	for (int s = 1; s < 65; s++)
		signal(s, SIG_IGN);
	sleep_forever();
}

static _Noreturn void daemonize(void)
{
	setsid();
	if (fork() != 0)
		_exit(0);
	setsid();
	sleep_forever();
}

static _Noreturn void stop_itself(void)
{
	raise(SIGSTOP);
	sleep_forever();
}

static pid_t spawn(int sandbox, void (*what)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		close(sup);
		join(sandbox);
		what();
	}
	return pid;
}

static void wait_count(int sandbox, int n)
{
	for (int i = 0; i < 4000 && cgroup_count(sandbox, n + 1) != n; i++)
		usleep(1000);
	ck_assert_int_eq(cgroup_count(sandbox, n + 1), n);
}

static void wait_frozen(int sandbox, int on)
{
	for (int i = 0; i < 3000 && cgroup_frozen(sandbox) != on; i++)
		usleep(1000);
	ck_assert_int_eq(cgroup_frozen(sandbox), on);
}

static void spawn_many(int sandbox, int n)
{
	for (int i = 0; i < n; i++)
		ck_assert_int_gt(spawn(sandbox, sleep_forever), 0);
	wait_count(sandbox, n);
}

/* ---- clients ---- */

static int connect_client(void)
{
	int fd = io_connect_unix(cfg.paths.kill);

	ck_assert_msg(fd >= 0, "connect: %s", strerror(errno));
	return fd;
}

static char *read_answer(int fd, int ms)
{
	static char text[65536];
	size_t n = 0;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (n < sizeof text - 1 && poll(&p, 1, ms) == 1) {
		ssize_t r = read(fd, text + n, sizeof text - 1 - n);

		if (r <= 0)
			break;
		n += (size_t)r;
	}
	text[n] = 0;
	close(fd);
	return text;
}

static void say(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static char *ask(const char *request)
{
	int fd = connect_client();

	say(fd, request);
	return read_answer(fd, 6000);
}

/* The answer that another user gets; group 0: none. */
static char *ask_as(uid_t uid, gid_t group, const char *request)
{
	static char text[4096];
	int p[2];
	pid_t pid;

	ck_assert_int_eq(pipe(p), 0);
	pid = fork();
	if (pid == 0) {
		char *answer;
		int fd;

		if (setgroups(group ? 1 : 0, &group) < 0 || setresgid(uid, uid, uid) < 0 ||
			setresuid(uid, uid, uid) < 0)
			_exit(1);
		fd = io_connect_unix(cfg.paths.kill);
		(void)!send(fd, request, strlen(request), MSG_NOSIGNAL);
		answer = read_answer(fd, 6000);
		(void)!write(p[1], answer, strlen(answer));
		_exit(0);
	}
	close(p[1]);
	text[io_read_full(p[0], text, sizeof text - 1)] = 0;
	close(p[0]);
	waitpid(pid, NULL, 0);
	return text;
}

static void expect_has(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part) != NULL, "\"%s\" is not in \"%s\"", part, text);
}

static struct killer_receipt next_receipt(void)
{
	struct killer_receipt r;
	struct wire_msg m;

	do
		ck_assert_int_eq(hear(&m, 3000), 1);
	while (m.h.type != KILLER_RECEIPT);
	ck_assert_uint_eq(m.h.len, sizeof r);
	memcpy(&r, m.payload, sizeof r);
	return r;
}

/* ---- what dies ---- */

START_TEST(one_sleeping_process_is_dead_and_its_name_latched)
{
	int s = make_sandbox(OWNER, "web");
	struct latch_entry why;

	spawn_many(s, 1);
	expect_has(ask("KILL 1000/web it deletes mail\n"), "KILLED 1000/web tasks=1 us=");
	ck_assert_int_eq(cgroup_populated(s), 0);
	ck_assert_int_eq(latch_check(latches, OWNER, "web", NULL, &why), 1);
	ck_assert_str_eq(why.reason, "it deletes mail");
	ck_assert_uint_eq(why.by_uid, 0);
	ck_assert_uint_eq(why.sandbox, 7);
	ck_assert_uint_eq(why.tasks, 1);
	ck_assert_uint_eq(why.flags, LATCH_UNLOGGED | LATCH_IDENTITY);
	ck_assert_int_eq(latch_check(latches, OWNER, "other", why.identity, NULL), 1);
	close(s);
}
END_TEST

START_TEST(a_thousand_processes)
{
	int s = make_sandbox(OWNER, "web");

	spawn_many(s, 1000);
	expect_has(ask("KILL 1000/web\n"), "tasks=1000 us=");
	ck_assert_int_eq(cgroup_populated(s), 0);
	close(s);
}
END_TEST

static void limit_pids(char *path, size_t cap, const char *max)
{
	int fd;

	snprintf(path, cap, "%s/%s", *cfg.cg.pids ? cfg.cg.pids : cfg.cg.v2, "agentd-test-bomb");
	if (mkdir(path, 0755) < 0)
		ck_assert_int_eq(errno, EEXIST);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int m = openat(fd, "pids.max", O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(write(m, max, strlen(max)), (ssize_t)strlen(max));
	close(m);
	join(fd);
	close(fd);
}

START_TEST(a_fork_bomb)
{
	int s = make_sandbox(OWNER, "web");
	char path[400], *answer;
	pid_t pid;

	if (!*cfg.cg.pids) { /* without a v1 pids hierarchy the bomb could not be bounded here */
		close(s);
		return;
	}
	pid = fork();
	if (pid == 0) {
		signal(SIGCHLD, SIG_IGN);
		limit_pids(path, sizeof path, "200");
		join(s);
		for (;;)
			if (fork() < 0)
				sched_yield();
	}
	for (int i = 0; i < 2000 && cgroup_count(s, 150) < 150; i++)
		usleep(1000);
	answer = ask("KILL 1000/web\n");
	expect_has(answer, "state=dead");
	ck_assert_int_eq(cgroup_populated(s), 0);
	usleep(20000);
	ck_assert_int_eq(cgroup_populated(s), 0);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	snprintf(path, sizeof path, "%s/agentd-test-bomb", cfg.cg.pids);
	for (int i = 0; i < 1000 && rmdir(path) < 0; i++)
		usleep(1000);
	close(s);
}
END_TEST

START_TEST(processes_that_ignore_signals_daemons_and_stopped_ones)
{
	int s = make_sandbox(OWNER, "web");

	spawn(s, ignore_everything);
	spawn(s, daemonize);
	spawn(s, stop_itself);
	wait_count(s, 3);
	usleep(20000);
	expect_has(ask("KILL 1000/web\n"), "state=dead\n.\n");
	ck_assert_int_eq(cgroup_count(s, 10), 0);
	close(s);
}
END_TEST

START_TEST(a_frozen_sandbox)
{
	int s = make_sandbox(OWNER, "web");

	spawn_many(s, 5);
	ck_assert_int_eq(cgroup_freeze(s, 1), 0);
	wait_frozen(s, 1);
	expect_has(ask("KILL 1000/web\n"), "tasks=5");
	ck_assert_int_eq(cgroup_populated(s), 0);
	close(s);
}
END_TEST

START_TEST(a_sandbox_that_has_no_process_yet)
{
	int s = make_sandbox(OWNER, "web");
	pid_t pid;

	expect_has(ask("KILL 1000/web\n"), "KILLED 1000/web tasks=0");
	pid = fork();
	if (pid == 0) { /* what a launch does: first into the cgroup, then the look at the table */
		join(s);
		_exit(latch_check(latches, OWNER, "web", NULL, NULL) ? 42 : 0);
	}
	ck_assert_int_eq(wait_for(pid, 2000), 42);
	close(s);
}
END_TEST

/* One launch that races with one kill. It waits at *go, so that both start together. */
static _Noreturn void racing_launch(volatile int *go, const char *sandbox, unsigned delay_us)
{
	int s;

	while (!*go)
		sched_yield();
	for (uint64_t end = io_now_mono() + delay_us * 1000ull; io_now_mono() < end;)
		;
	mkdirat(base, "u1000", 0755);
	mkdirat(base, sandbox, 0755);
	s = openat(base, sandbox, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	join(s);
	if (latch_check(latches, OWNER, strrchr(sandbox, '/') + 1, NULL, NULL))
		_exit(0);
	sleep_forever(); /* the agent runs */
}

START_TEST(a_launch_that_races_with_the_kill_never_survives)
{
	volatile int *go =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char sandbox[32], request[64];

	for (unsigned i = 0; i < 60; i++) {
		pid_t pid;
		int fd = connect_client();

		*go = 0;
		snprintf(sandbox, sizeof sandbox, "u1000/r%u", i);
		snprintf(request, sizeof request, "KILL 1000/r%u\n", i);
		pid = fork();
		if (pid == 0)
			racing_launch(go, sandbox, i * 5);
		usleep(2000);
		*go = 1;
		say(fd, request);
		expect_has(read_answer(fd, 6000), "KILLED");
		ck_assert_int_ge(wait_for(pid, 3000), 0); /* by its own hand or by ours */
	}
	munmap((void *)(uintptr_t)go, 4096);
}
END_TEST

START_TEST(a_name_that_is_not_running_is_latched_too)
{
	expect_has(ask_as(OWNER, 0, "KILL web\n"), "KILLED 1000/web tasks=0 us=");
	ck_assert_int_eq(latch_check(latches, OWNER, "web", NULL, NULL), 1);
	expect_has(ask("KILL 1001/web\n"), "state=not-running\n.\n");
	ck_assert_int_eq(latch_check(latches, STRANGER, "web", NULL, NULL), 1);
}
END_TEST

START_TEST(everything_of_a_user)
{
	int a = make_sandbox(OWNER, "a"), b = make_sandbox(OWNER, "b"),
	    c = make_sandbox(STRANGER, "c");
	char *answer;

	spawn_many(a, 2);
	spawn_many(b, 3);
	spawn_many(c, 1);
	answer = ask_as(OWNER, 0, "KILL * enough\n");
	expect_has(answer, "KILLED 1000/a tasks=2");
	expect_has(answer, "KILLED 1000/b tasks=3");
	expect_has(answer, "\n.\n");
	ck_assert_ptr_null(strstr(answer, "/c"));
	ck_assert_int_eq(cgroup_populated(c), 1);
	ck_assert_int_eq(latch_check(latches, OWNER, "new-name", NULL, NULL), 1);
	ck_assert_int_eq(latch_check(latches, STRANGER, "c", NULL, NULL), 0);
	expect_has(ask("KILL */*\n"), "KILLED 1001/c tasks=1");
	ck_assert_int_eq(latch_check(latches, STRANGER, "new-name", NULL, NULL), 1);
	expect_has(ask_as(4242, 0, "KILL *\n"), "KILLED 4242/* tasks=0 us=");
	ck_assert_int_eq(latch_check(latches, 4242, "x", NULL, NULL), 1);
	close(a);
	close(b);
	close(c);
}
END_TEST

START_TEST(more_sandboxes_than_one_may_watch_are_all_dead)
{
	char name[32];
	int s[150], wrong = 0;

	for (int i = 0; i < 150; i++) {
		snprintf(name, sizeof name, "n%d", i);
		s[i] = make_sandbox(OWNER, name);
		spawn(s[i], sleep_forever);
	}
	for (int i = 0; i < 150; i++)
		wait_count(s[i], 1);
	expect_has(ask("KILL 1000/*\n"), "\n.\n");
	for (int i = 0; i < 150; i++) {
		wrong += cgroup_wait_empty(s[i], 2000) != 0;
		close(s[i]);
	}
	ck_assert_int_eq(wrong, 0);
	ck_assert_int_eq(latch_check(latches, OWNER, "anything", NULL, NULL), 1);
}
END_TEST

/* ---- who may ---- */

START_TEST(another_user_can_kill_nothing_of_mine)
{
	int s = make_sandbox(OWNER, "web");

	spawn_many(s, 1);
	expect_has(ask_as(STRANGER, 0, "KILL 1000/web\n"), "ERR only root");
	expect_has(ask_as(STRANGER, 0, "KILL 1000/*\n"), "ERR only root");
	expect_has(ask_as(STRANGER, 0, "KILL */*\n"), "ERR only root");
	expect_has(ask_as(STRANGER, 0, "KILL web\n"), "KILLED 1001/web tasks=0");
	expect_has(ask_as(STRANGER, 0, "KILL 0/web\n"), "ERR only root");
	ck_assert_int_eq(cgroup_count(s, 10), 1);
	ck_assert_int_eq(latch_check(latches, OWNER, "web", NULL, NULL), 0);
	expect_has(ask_as(OWNER, 0, "KILL web\n"), "KILLED 1000/web tasks=1");
	ck_assert_int_eq(cgroup_populated(s), 0);
	close(s);
}
END_TEST

START_TEST(members_of_the_group_may_kill_anyones)
{
	int s = make_sandbox(OWNER, "web");

	spawn_many(s, 1);
	expect_has(ask_as(STRANGER, GROUP + 1, "KILL 1000/web\n"), "ERR");
	expect_has(ask_as(STRANGER, GROUP, "KILL web\n"), "KILLED 1000/web tasks=1");
	ck_assert_int_eq(cgroup_populated(s), 0);
	close(s);
}
END_TEST

START_TEST(an_agent_can_kill_nothing)
{
	expect_has(ask_as(AGENT, 0, "KILL web\n"), "ERR an agent may not kill");
	ck_assert_int_eq(latch_check(latches, AGENT, "web", NULL, NULL), 0);
}
END_TEST

START_TEST(a_bare_name_from_root_must_be_unambiguous)
{
	int a = make_sandbox(OWNER, "web"), b = make_sandbox(STRANGER, "web"),
	    c = make_sandbox(STRANGER, "only");

	spawn_many(a, 1);
	expect_has(ask("KILL web\n"), "ERR 2 users run web: say whose with uid/web");
	expect_has(ask("KILL nobody-runs-this\n"), "uid/nobody-runs-this");
	ck_assert_int_eq(cgroup_populated(a), 1);
	expect_has(ask("KILL only\n"), "KILLED 1001/only");
	expect_has(ask_as(OWNER, GROUP, "KILL web\n"), "KILLED 1000/web tasks=1");
	close(a);
	close(b);
	close(c);
}
END_TEST

/* ---- hostile clients ---- */

START_TEST(garbage_is_answered_with_an_error)
{
	static const char *const garbage[] = {"\n", "KILL\n", "KILL \n", "kill web\n",
		"KILL ../x\n", "KILL /\n", "KILL 1000/\n", "KILL /web\n", "KILL */web\n",
		"KILL -1/web\n", "KILL 4294967295/web\n", "KILL 99999999999/web\n",
		"KILL 01000/web\n", "KILL u1000/web\n", "KILL WEB\n", "KILL a/b/c\n", "KILL **\n",
		"KILL  web\n", "GET / HTTP/1.1\r\n",
		"KILL aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"};
	int fd;

	for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++)
		ck_assert_msg(strncmp(ask(garbage[i]), "ERR ", 4) == 0, "%s", garbage[i]);
	fd = connect_client();
	ck_assert_int_eq(send(fd, "KILL 1000/w\0b\n", 14, 0), 14);
	expect_has(read_answer(fd, 2000), "ERR ");
	expect_has(ask("KILL 1000/web\n"), "not-running");
}
END_TEST

START_TEST(a_reason_cannot_smuggle_control_characters)
{
	struct latch_entry e;

	ask("KILL 1000/web a\tb\033[2Jc\r\n");
	ck_assert_int_eq(latch_check(latches, OWNER, "web", NULL, &e), 1);
	ck_assert_str_eq(e.reason, "a?b?[2Jc?");
}
END_TEST

START_TEST(a_line_without_end_is_cut_off)
{
	static char huge[10000];
	int fd = connect_client();

	memset(huge, 'a', sizeof huge);
	(void)!send(fd, huge, sizeof huge, MSG_NOSIGNAL);
	expect_has(read_answer(fd, 2000), "ERR line longer");
	expect_has(ask("KILL 1000/web\n"), "not-running");
}
END_TEST

START_TEST(slow_clients_do_not_delay_others_and_are_dropped)
{
	int slow[20], s = make_sandbox(OWNER, "web");

	for (int i = 0; i < 20; i++) {
		slow[i] = connect_client();
		say(slow[i], "KILL 1000/we");
	}
	spawn_many(s, 1);
	expect_has(ask("KILL 1000/web\n"), "tasks=1");
	for (int i = 0; i < 20; i++)
		expect_has(read_answer(slow[i], 2000), "ERR no verb in time");
	close(s);
}
END_TEST

START_TEST(a_line_in_small_pieces_is_understood)
{
	const char *line = "KILL 1000/web because\n";
	int fd = connect_client();

	for (const char *p = line; *p; p++) {
		ck_assert_int_eq(send(fd, p, 1, MSG_NOSIGNAL), 1);
		usleep(300);
	}
	expect_has(read_answer(fd, 2000), "KILLED 1000/web");
}
END_TEST

START_TEST(a_client_that_hangs_up_does_not_stop_its_kill)
{
	int s = make_sandbox(OWNER, "web"), fd;

	spawn_many(s, 300);
	fd = connect_client();
	say(fd, "KILL 1000/web\n");
	close(fd);
	ck_assert_int_eq(cgroup_wait_empty(s, 3000), 0);
	ck_assert_uint_eq(next_receipt().entry.tasks, 300);
	close(s);
}
END_TEST

START_TEST(a_hundred_clients_at_once)
{
	int s[100], fds[100];
	char text[64];

	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof text, "n%d", i);
		s[i] = make_sandbox(OWNER, text);
		spawn(s[i], sleep_forever);
	}
	for (int i = 0; i < 100; i++)
		wait_count(s[i], 1);
	for (int i = 0; i < 100; i++) {
		fds[i] = connect_client();
		snprintf(text, sizeof text, "KILL 1000/n%d\n", i);
		say(fds[i], text);
	}
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof text, "KILLED 1000/n%d tasks=1", i);
		expect_has(read_answer(fds[i], 5000), text);
		ck_assert_int_eq(cgroup_populated(s[i]), 0);
		close(s[i]);
	}
}
END_TEST

START_TEST(who_never_ran_anything_takes_no_latch)
{
	pid_t pid = fork();

	if (pid == 0) {
		int s;

		if (setresgid(7777, 7777, 7777) < 0 || setresuid(7777, 7777, 7777) < 0)
			_exit(1);
		s = connect_client();
		(void)!send(s, "KILL web\n", 9, MSG_NOSIGNAL);
		_exit(strstr(read_answer(s, 1000), "has run here") ? 0 : 2);
	}
	ck_assert_int_eq(wait_for(pid, 3000), 0);
}
END_TEST

START_TEST(a_user_with_too_many_connections_pushes_out_only_its_own)
{
	int mine[120], roots;
	pid_t pid;

	prepare();
	cfg.verb_ms = 5000; /* idle connections must outlive a loaded machine */
	launch_killer();
	roots = connect_client();
	pid = fork();
	if (pid == 0) {
		if (setresgid(OWNER, OWNER, OWNER) < 0 || setresuid(OWNER, OWNER, OWNER) < 0)
			_exit(1);
		for (int i = 0; i < 120; i++)
			mine[i] = io_connect_unix(cfg.paths.kill);
		usleep(50000);
		for (int i = 119; i >= 100; i--) { /* the newest are served */
			(void)!send(mine[i], "KILL web\n", 9, MSG_NOSIGNAL);
			if (!strstr(read_answer(mine[i], 1000), "KILLED"))
				_exit(2);
		}
		_exit(*read_answer(mine[0], 1000) ? 3 : 0); /* the oldest was dropped */
	}
	ck_assert_int_eq(wait_for(pid, 3000), 0);
	say(roots, "KILL 1001/web\n");
	expect_has(read_answer(roots, 1000), "KILLED 1001/web");
	teardown();
}
END_TEST

/* ---- receipts ---- */

START_TEST(the_receipt_is_signed_and_told_to_the_supervisor)
{
	int s = make_sandbox(OWNER, "web");
	struct killer_receipt r;
	struct latch_entry e;
	char text[256], hex[80] = "", pub[72], path[800];
	size_t n;
	int fd;

	spawn_many(s, 3);
	ask("KILL 1000/web why\n");
	r = next_receipt();
	ck_assert_uint_eq(r.entry.tasks, 3);
	ck_assert_uint_eq(r.entry.unconfirmed, 0);
	ck_assert_uint_eq(r.lingering, 0);
	ck_assert_str_eq(r.entry.reason, "why");
	n = latch_receipt_text(&r.entry, text, sizeof text);
	ck_assert_int_eq(
		crypto_sign_verify_detached(r.entry.sig, (unsigned char *)text, n, r.entry.key), 0);
	ck_assert_int_eq(latch_get(latches, r.slot, &e), 1);
	ck_assert_mem_eq(e.sig, r.entry.sig, sizeof e.sig);
	ck_assert_uint_eq(e.flags & LATCH_UNLOGGED, LATCH_UNLOGGED);
	snprintf(path, sizeof path, "%s/killer.pub", cfg.paths.state);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(read(fd, hex, sizeof hex), 65);
	close(fd);
	sodium_bin2hex(pub, sizeof pub, r.entry.key, 32);
	ck_assert_int_eq(strncmp(hex, pub, 64), 0);
	close(s);
}
END_TEST

static void restart_killer(void)
{
	close(sup);
	ck_assert_int_eq(wait_for(killer, 3000), 0);
	unlink(cfg.paths.kill);
	latch_close(latches);
	launch_killer();
}

/* The copy on disk is written by a process of its own, soon. */
static void wait_for_copy(void)
{
	struct latch_entry e = {.uid = 0};
	char text[800];
	int found = 0;

	for (int i = 0; i < 2000 && !found; i++) {
		static char copy[2000000];
		int fd = open(cfg.paths.latches, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? 0 : io_read_full(fd, copy, sizeof copy);

		close(fd);
		for (unsigned s = 0; s < LATCH_SLOTS && !found && n > 0; s++)
			found = latch_get(latches, s, &e) &&
				memmem(copy, (size_t)n, &e,
					sizeof e - sizeof e.sig - sizeof e.key) != NULL;
		usleep(1000);
	}
	snprintf(text, sizeof text, "%s never gets the latch", cfg.paths.latches);
	ck_assert_msg(found, "%s", text);
}

START_TEST(the_key_and_the_latches_survive_a_restart)
{
	unsigned char key[32];
	char path[800];

	ask("KILL 1000/web\n");
	wait_for_copy();
	snprintf(path, sizeof path, "%s/latches", cfg.paths.run);
	unlink(path); /* as if the machine had been started anew */
	memcpy(key, next_receipt().entry.key, sizeof key);
	restart_killer();
	ck_assert_int_eq(latch_check(latches, OWNER, "web", NULL, NULL), 1);
	ask("KILL 1000/web2\n");
	ck_assert_mem_eq(key, next_receipt().entry.key, sizeof key);
}
END_TEST

START_TEST(without_a_usable_key_it_kills_with_an_unsigned_receipt)
{
	static const unsigned char zeros[64];
	char path[800];
	struct killer_receipt r;

	prepare();
	snprintf(path, sizeof path, "%s/killer.key", cfg.paths.state);
	make_dir(path);
	launch_killer();
	expect_has(ask("KILL 1000/web\n"), "KILLED");
	r = next_receipt();
	ck_assert_mem_eq(r.entry.sig, zeros, sizeof zeros);
	ck_assert_mem_eq(r.entry.key, zeros, 32);
	teardown();
}
END_TEST

START_TEST(a_supervisor_that_reads_nothing_does_not_delay_kills)
{
	char text[64];

	for (int i = 0; i < 3000; i++) {
		snprintf(text, sizeof text, "KILL 1000/n%d\n", i % 60);
		ck_assert_ptr_nonnull(strstr(ask(text), "not-running"));
	}
}
END_TEST

START_TEST(a_damaged_table_keeps_nobody_from_killing)
{
	int fd, s;

	prepare();
	fd = open(cfg.paths.latches, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(write(fd, "what is this", 12), 12);
	close(fd);
	launch_killer();
	s = make_sandbox(OWNER, "web");
	spawn_many(s, 2);
	expect_has(ask("KILL 1000/web\n"), "tasks=2");
	ck_assert_int_eq(cgroup_populated(s), 0);
	ck_assert_int_eq(latch_check(latches, STRANGER, "anything", NULL, NULL), 1);
	close(s);
	teardown();
}
END_TEST

/* ---- the watchdog ---- */

static void setup_watch(void)
{
	prepare();
	cfg.freeze_after_ms = 200;
	cfg.kill_after_ms = 450;
	launch_killer();
}

static void heartbeats(int n)
{
	for (int i = 0; i < n; i++) {
		ck_assert_int_eq(wire_send(sup, KILLER_PING, 0, NULL, 0, NULL, 0), 0);
		usleep(40000);
	}
}

static uint32_t next_act(void)
{
	struct killer_watchdog w;
	struct wire_msg m;

	do
		ck_assert_int_eq(hear(&m, 3000), 1);
	while (m.h.type != KILLER_WATCHDOG);
	ck_assert_uint_eq(m.h.len, sizeof w);
	memcpy(&w, m.payload, sizeof w);
	return w.act;
}

START_TEST(a_supervisor_that_falls_silent_freezes_then_kills)
{
	int s = make_sandbox(OWNER, "web"), t = make_sandbox(STRANGER, "web");

	spawn_many(s, 2);
	spawn_many(t, 2);
	heartbeats(10);
	ck_assert_int_eq(cgroup_frozen(s), 0);
	wait_frozen(s, 1);
	wait_frozen(t, 1);
	ck_assert_int_eq(next_act(), KILLER_FROZE);
	ck_assert_int_eq(cgroup_wait_empty(s, 3000), 0);
	ck_assert_int_eq(cgroup_wait_empty(t, 3000), 0);
	ck_assert_int_eq(next_act(), KILLER_KILLED);
	ck_assert_int_eq(latch_check(latches, OWNER, "web", NULL, NULL), 0);
	heartbeats(1); /* and when it is back, a new sandbox does not start frozen */
	ck_assert_int_eq(next_act(), KILLER_THAWED);
	spawn_many(s, 1);
	ck_assert_int_eq(cgroup_frozen(s), 0);
	close(s);
	close(t);
}
END_TEST

START_TEST(a_supervisor_that_comes_back_thaws_what_the_watchdog_froze_only)
{
	int s = make_sandbox(OWNER, "web"), t = make_sandbox(OWNER, "frozen");

	spawn_many(s, 1);
	spawn_many(t, 1);
	ck_assert_int_eq(cgroup_freeze(t, 1), 0);
	wait_frozen(s, 1);
	heartbeats(1);
	wait_frozen(s, 0);
	ck_assert_int_eq(cgroup_frozen(t), 1);
	ck_assert_int_eq(cgroup_count(s, 9), 1);
	close(s);
	close(t);
}
END_TEST

START_TEST(what_the_watchdog_froze_can_be_killed)
{
	int s = make_sandbox(OWNER, "web");

	spawn_many(s, 3);
	wait_frozen(s, 1);
	expect_has(ask("KILL 1000/web\n"), "tasks=3");
	ck_assert_int_eq(cgroup_populated(s), 0);
	close(s);
}
END_TEST

START_TEST(a_killer_that_was_stopped_itself_does_not_blame_the_supervisor)
{
	int s = make_sandbox(OWNER, "web");

	spawn_many(s, 1);
	heartbeats(3);
	kill(killer, SIGSTOP);
	usleep(500000);
	kill(killer, SIGCONT);
	heartbeats(4);
	ck_assert_int_eq(cgroup_frozen(s), 0);
	ck_assert_int_eq(cgroup_count(s, 9), 1);
	close(s);
}
END_TEST

START_TEST(a_ping_is_answered)
{
	struct wire_msg m;

	ck_assert_int_eq(wire_send(sup, KILLER_PING, 77, NULL, 0, NULL, 0), 0);
	ck_assert_int_eq(hear(&m, 2000), 1);
	ck_assert_int_eq(m.h.type, KILLER_PONG);
	ck_assert_uint_eq(m.h.id, 77);
}
END_TEST

START_TEST(when_the_supervisor_is_gone_everything_dies_and_nothing_is_left)
{
	int s = make_sandbox(OWNER, "web"), t = make_sandbox(STRANGER, "frozen");

	spawn_many(s, 20);
	spawn(s, ignore_everything);
	spawn_many(t, 1);
	ck_assert_int_eq(cgroup_freeze(t, 1), 0);
	wait_frozen(t, 1);
	close(sup);
	sup = -1;
	ck_assert_int_eq(wait_for(killer, 3000), 0);
	killer = -1;
	ck_assert_int_eq(cgroup_populated(s), -1); /* removed */
	ck_assert_int_eq(faccessat(base, "u1000", F_OK, 0), -1);
	ck_assert_int_eq(faccessat(base, "u1001", F_OK, 0), -1);
	ck_assert_int_eq(latch_check(latches, OWNER, "web", NULL, NULL), 0);
	close(s);
	close(t);
}
END_TEST

START_TEST(a_descriptor_that_somebody_kept_does_not_hide_the_supervisors_end)
{
	pid_t supervisor, keeper;
	int p[2];

	prepare();
	ck_assert_int_eq(pipe(p), 0);
	supervisor = fork();
	if (supervisor == 0) {
		launch_killer();
		keeper = fork();
		if (keeper == 0)
			sleep_forever();
		(void)!write(p[1], (pid_t[]){killer, keeper}, 2 * sizeof(pid_t));
		sleep_forever();
	}
	ck_assert_int_eq(read(p[0], &killer, sizeof killer), sizeof killer);
	ck_assert_int_eq(read(p[0], &keeper, sizeof keeper), sizeof keeper);
	kill(supervisor, SIGKILL);
	ck_assert_int_eq(wait_for(supervisor, 3000), 128 + SIGKILL);
	ck_assert_int_eq(wait_for(killer, 3000), 0);
	kill(keeper, SIGKILL);
	killer = -1;
	teardown();
}
END_TEST

START_TEST(a_message_it_does_not_know_counts_as_the_supervisors_end)
{
	int s = make_sandbox(OWNER, "web");

	spawn_many(s, 1);
	ck_assert_int_eq(wire_send(sup, 9999, 0, "x", 1, NULL, 0), 0);
	ck_assert_int_eq(wait_for(killer, 3000), 0);
	killer = -1;
	ck_assert_int_eq(cgroup_populated(s), -1);
	close(s);
}
END_TEST

START_TEST(the_lock_is_held_until_the_killer_has_ended)
{
	char path[100];
	int fd, again;

	prepare();
	snprintf(path, sizeof path, "%s/lock", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	cfg.lock_fd = fd;
	launch_killer();
	close(fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(flock(again, LOCK_EX | LOCK_NB), -1);
	close(sup);
	sup = -1;
	ck_assert_int_eq(wait_for(killer, 3000), 0);
	killer = -1;
	ck_assert_int_eq(flock(again, LOCK_EX | LOCK_NB), 0);
	close(again);
	teardown();
}
END_TEST

START_TEST(signals_for_the_terminals_group_do_not_end_it)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP};

	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		kill(killer, signals[i]);
	expect_has(ask("KILL 1000/web\n"), "KILLED");
}
END_TEST

START_TEST(it_has_no_privileges_that_it_does_not_need)
{
	static char text[8192];
	char path[64];
	int fd;

	snprintf(path, sizeof path, "/proc/%d/status", killer);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	text[io_read_full(fd, text, sizeof text - 1)] = 0;
	close(fd);
	expect_has(text, "NoNewPrivs:\t1");
	expect_has(text, "CapBnd:\t0000000000000000");
	expect_has(text, "CapInh:\t0000000000000000");
	ck_assert_msg(strstr(text, "CapEff:\t0000000000004000") ||
			      strstr(text, "CapEff:\t0000000000000000"),
		"%s", text);
#ifndef __SANITIZE_ADDRESS__
	expect_has(text, "Seccomp:\t2");
#endif
}
END_TEST

int main(void)
{
	Suite *s = suite_create("killer");
	TCase *k = tcase_create("kill"), *c = tcase_create("clients"),
	      *w = tcase_create("watchdog"), *o = tcase_create("own setup");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(k, setup, teardown);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_checked_fixture(w, setup_watch, teardown);
	tcase_set_timeout(k, 30);
	tcase_set_timeout(c, 30);
	tcase_set_timeout(w, 30);
	tcase_set_timeout(o, 30);
	tcase_add_test(k, one_sleeping_process_is_dead_and_its_name_latched);
	tcase_add_test(k, a_thousand_processes);
	tcase_add_test(k, a_fork_bomb);
	tcase_add_test(k, processes_that_ignore_signals_daemons_and_stopped_ones);
	tcase_add_test(k, a_frozen_sandbox);
	tcase_add_test(k, a_sandbox_that_has_no_process_yet);
	tcase_add_test(k, a_launch_that_races_with_the_kill_never_survives);
	tcase_add_test(k, a_name_that_is_not_running_is_latched_too);
	tcase_add_test(k, everything_of_a_user);
	tcase_add_test(k, more_sandboxes_than_one_may_watch_are_all_dead);
	tcase_add_test(k, another_user_can_kill_nothing_of_mine);
	tcase_add_test(k, members_of_the_group_may_kill_anyones);
	tcase_add_test(k, an_agent_can_kill_nothing);
	tcase_add_test(k, a_bare_name_from_root_must_be_unambiguous);
	tcase_add_test(k, the_receipt_is_signed_and_told_to_the_supervisor);
	tcase_add_test(k, the_key_and_the_latches_survive_a_restart);
	tcase_add_test(k, a_supervisor_that_reads_nothing_does_not_delay_kills);
	tcase_add_test(k, signals_for_the_terminals_group_do_not_end_it);
	tcase_add_test(k, it_has_no_privileges_that_it_does_not_need);
	tcase_add_test(k, a_ping_is_answered);
	tcase_add_test(k, when_the_supervisor_is_gone_everything_dies_and_nothing_is_left);
	tcase_add_test(k, a_message_it_does_not_know_counts_as_the_supervisors_end);
	tcase_add_test(c, garbage_is_answered_with_an_error);
	tcase_add_test(c, a_reason_cannot_smuggle_control_characters);
	tcase_add_test(c, a_line_without_end_is_cut_off);
	tcase_add_test(c, slow_clients_do_not_delay_others_and_are_dropped);
	tcase_add_test(c, a_line_in_small_pieces_is_understood);
	tcase_add_test(c, a_client_that_hangs_up_does_not_stop_its_kill);
	tcase_add_test(c, a_hundred_clients_at_once);
	tcase_add_test(c, who_never_ran_anything_takes_no_latch);
	tcase_add_test(o, a_user_with_too_many_connections_pushes_out_only_its_own);
	tcase_add_test(w, a_supervisor_that_falls_silent_freezes_then_kills);
	tcase_add_test(w, a_supervisor_that_comes_back_thaws_what_the_watchdog_froze_only);
	tcase_add_test(w, what_the_watchdog_froze_can_be_killed);
	tcase_add_test(w, a_killer_that_was_stopped_itself_does_not_blame_the_supervisor);
	tcase_add_test(o, without_a_usable_key_it_kills_with_an_unsigned_receipt);
	tcase_add_test(o, a_damaged_table_keeps_nobody_from_killing);
	tcase_add_test(o, a_descriptor_that_somebody_kept_does_not_hide_the_supervisors_end);
	tcase_add_test(o, the_lock_is_held_until_the_killer_has_ended);
	suite_add_tcase(s, k);
	suite_add_tcase(s, c);
	suite_add_tcase(s, w);
	suite_add_tcase(s, o);
	if (geteuid() != 0) /* cgroups and other users' credentials take root */
		suite_tcase(s, "kill");
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
