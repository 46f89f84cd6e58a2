/* The walls of a role: each test is a process that goes through role_begin and role_confine under
 * another uid and then tries what it must not be able to do. */
#include "agentd/role.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/msg.h"

#define ROLE_UID 1957000001u

static char dir[64], other[64];
static int channel[2];

static void setup(void)
{
	struct error e;

	strcpy(dir, "/tmp/role-mine-XXXXXX");
	strcpy(other, "/tmp/role-other-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_ptr_nonnull(mkdtemp(other));
	ck_assert_int_eq(chmod(dir, 0777), 0);
	ck_assert_int_eq(chmod(other, 0777), 0);
	ck_assert_int_eq(wire_pair(channel, &e), 0);
}

static void teardown(void)
{
	char path[80];

	snprintf(path, sizeof path, "%s/file", dir);
	unlink(path);
	rmdir(dir);
	rmdir(other);
	close(channel[0]);
	close(channel[1]);
}

/* Becomes a role in this (child) process. */
static void become(void)
{
	char *argv[] = {"test", "--root", dir, NULL};
	const struct role_dir dirs[] = {
		{.path = dir, .writable = 1}, {.path = "/nonexistent", .optional = 1}};
	const struct role_spec spec = {.name = "test",
		.dirs = dirs,
		.ndirs = 2,
		.files_max = 64,
		.file_size_max = 1 << 20};
	struct paths p;
	struct error e = {0};

	if (dup2(channel[1], ROLE_SUPERVISOR_FD) < 0 || setgid(ROLE_UID) < 0 ||
		setuid(ROLE_UID) < 0)
		_exit(90);
	if (role_begin("test", 3, argv, &p, &e) < 0 || role_confine(&spec, &e) < 0 ||
		role_hello(&e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		_exit(91);
	}
}

/* Runs fn in a role; its result as waitpid(2) says it. */
static int in_role(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		become();
		_exit(fn());
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static int killed(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

static int its_own_files(void)
{
	char path[80];
	int fd;

	snprintf(path, sizeof path, "%s/file", dir);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	return fd < 0 || write(fd, "x", 1) != 1 || fsync(fd) < 0;
}

static int no_other_files(void)
{
	char path[80];

	snprintf(path, sizeof path, "%s/file", other);
	if (open(path, O_RDWR | O_CREAT, 0600) >= 0 || open("/etc/passwd", O_RDONLY) >= 0)
		return 1;
	return errno != EACCES;
}

static int no_exec(void)
{
	return execl("/bin/true", "true", (char *)NULL);
}

static int no_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) >= 0;
}

static int no_ptrace(void)
{
	return (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static int no_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid >= 0;
}

static int no_executable_memory(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0)
		return 1;
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
	       MAP_FAILED;
}

static int no_signals_to_others(void)
{
	return kill(getppid(), 0) == 0;
}

static int nothing_inherited(void)
{
	for (int fd = ROLE_SUPERVISOR_FD + 1; fd < 64; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			return 1;
	}
	return 0;
}

static int limits_and_flags(void)
{
	struct rlimit r;

	/* prctl(2) is not on the list any more: what it says is read from /proc by the parent. */
	return getrlimit(RLIMIT_CORE, &r) == 0 && r.rlim_max != 0;
}

START_TEST(a_role_works_in_its_own_directory)
{
	ck_assert_int_eq(in_role(its_own_files), 0);
}
END_TEST

START_TEST(a_role_opens_nothing_else)
{
	ck_assert_int_eq(in_role(no_other_files), 0);
}
END_TEST

START_TEST(a_role_that_executes_connects_or_traces_is_killed)
{
	ck_assert(killed(in_role(no_exec)));
	ck_assert(killed(in_role(no_socket)));
	ck_assert(killed(in_role(no_ptrace)));
}
END_TEST

START_TEST(a_role_makes_no_processes_and_no_code)
{
	ck_assert_int_eq(in_role(no_fork), 0);
	ck_assert_int_eq(in_role(no_executable_memory), 0);
	ck_assert_int_eq(in_role(no_signals_to_others), 0);
}
END_TEST

START_TEST(a_role_inherits_only_its_channel)
{
	ck_assert_int_eq(in_role(nothing_inherited), 0);
	ck_assert_int_eq(in_role(limits_and_flags), 0);
}
END_TEST

START_TEST(a_role_says_hello)
{
	static struct wire_msg m;
	struct msg_hello h;

	ck_assert_int_eq(in_role(its_own_files), 0);
	ck_assert_int_eq(wire_recv(channel[0], &m), 1);
	ck_assert_uint_eq(m.h.type, MSG_HELLO);
	memcpy(&h, m.payload, sizeof h);
	ck_assert_uint_eq(h.version, WIRE_VERSION);
}
END_TEST

START_TEST(nothing_runs_a_role_as_root)
{
	char *argv[] = {"test", "--root", dir, NULL};
	struct paths p;
	struct error e = {0};

	ck_assert_int_eq(role_begin("test", 3, argv, &p, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "root"));
	argv[1] = "--other";
	ck_assert_int_eq(role_begin("test", 3, argv, &p, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "usage"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("roles");
	TCase *t = tcase_create("walls");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	if (getuid() == 0) { /* they change their uid */
		tcase_add_test(t, a_role_works_in_its_own_directory);
		tcase_add_test(t, a_role_opens_nothing_else);
		tcase_add_test(t, a_role_that_executes_connects_or_traces_is_killed);
		tcase_add_test(t, a_role_makes_no_processes_and_no_code);
		tcase_add_test(t, a_role_inherits_only_its_channel);
		tcase_add_test(t, a_role_says_hello);
		tcase_add_test(t, nothing_runs_a_role_as_root);
	}
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
