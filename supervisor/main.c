/* agentd-supervisor: the root daemon. Starts the killer first, then the spawner, then the unprivileged
 * roles; serves control.sock; ends with everything it started. It parses no YAML, JSON, HTTP or DNS:
 * its input is fixed-layout messages from the roles and one-line verbs from agentctl. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "supervisor/killer/killer.h"
#include "supervisor/notify.h"
#include "supervisor/privilege.h"
#include "supervisor/spawn.h"
#include "supervisor/supervisor.h"
#include "supervisor/sys.h"

#define TICK_MS       200
#define SECOND        1000000000ull
#define KILLER_SILENT (5 * SECOND)

struct supervisor sup = {.killer = -1, .spawner = -1, .base = -1, .next_number = 1};

static int kill_listener = -1, lock_fd = -1, signal_fd = -1;
static struct watch *killer_watch;
static uint64_t killer_asked; /* since when a ping is not answered */

void say(const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	fprintf(stderr, "agentd-supervisor: %s\n", line);
}

/* ---- directories, lock, sockets ---- */

static int make_path(const char *path, mode_t mode, struct error *e)
{
	char p[800];

	snprintf(p, sizeof p, "%s", path);
	for (char *s = p + 1; *s; s++) {
		if (*s != '/')
			continue;
		*s = 0;
		if (mkdir(p, 0755) < 0 && errno != EEXIST)
			return error_set(e, errno, "cannot make %s", p);
		*s = '/';
	}
	if (mkdir(p, mode) < 0 && errno != EEXIST)
		return error_set(e, errno, "cannot make %s", p);
	return 0;
}

static int make_file(const char *dir, const char *name, struct error *e)
{
	char path[800];
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0644);
	return fd < 0 ? error_set(e, errno, "cannot make %s", path) : fd;
}

static int make_directories(struct error *e)
{
	char path[800];
	int fd;

	snprintf(path, sizeof path, "%s/template", sup.paths.run);
	if (make_path(sup.paths.state, 0755, e) < 0 || make_path(sup.paths.run, 0755, e) < 0 ||
		make_path(sup.paths.etc, 0755, e) < 0 || make_path(path, 0700, e) < 0)
		return -1;
	fd = make_file(
		sup.paths.run, "canary", e); /* readable by all: only the mount view hides it */
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

/* The lock outlives us in the killer, so that a successor waits until our sandboxes are dead. */
static int take_lock(struct error *e)
{
	lock_fd = make_file(sup.paths.run, "lock", e);
	if (lock_fd < 0)
		return -1;
	fchmod(lock_fd, 0600); /* who can open it can hold it */
	for (int ms = 0; flock(lock_fd, LOCK_EX | LOCK_NB) < 0; ms += 100) {
		if (errno != EWOULDBLOCK || ms > 12000)
			return error_set(e, errno,
				"another agentd-supervisor runs on %s (its lock is held)",
				*sup.paths.root ? sup.paths.root : "/");
		usleep(100000);
	}
	return 0;
}

int sup_listen(const char *path, int passes_fds, struct error *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	cleanup_close int dir = open(sup.paths.run, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_close int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const char *base = strrchr(path, '/') + 1;

	/* Through the directory's descriptor: sun_path is short, roots can be long. */
	snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/%s", dir, base);
	unlinkat(dir, base, 0);
	setsockopt(s, SOL_SOCKET, SO_PASSRIGHTS, &passes_fds, sizeof passes_fds);
	if (dir < 0 || s < 0 || bind(s, (struct sockaddr *)&a, sizeof a) < 0 ||
		chmod(a.sun_path, 0666) < 0 || listen(s, 512) < 0)
		return error_set(e, errno, "cannot listen on %s", path);
	return take_fd(&s);
}

/* ---- users ---- */

static uid_t role_user(const char *name, gid_t *gid, unsigned n)
{
	cleanup_fclose FILE *f = fopen("/etc/passwd", "re");
	struct passwd *p;

	while (f && !*sup.paths.root && (p = fgetpwent(f))) {
		if (!strcmp(p->pw_name, name)) {
			*gid = p->pw_gid;
			return p->pw_uid;
		}
	}
	*gid = (gid_t)(sup.paths.role_uid_default + n);
	return sup.paths.role_uid_default + n;
}

static void find_users(void)
{
	cleanup_fclose FILE *f = fopen("/etc/group", "re");
	struct role *b = &sup.role[ROLE_BROKER], *r = &sup.role[ROLE_RECORDER];
	struct group *g;

	*b = (struct role){.name = "broker", .sock = -1};
	*r = (struct role){.name = "recorder", .sock = -1};
	b->uid = role_user("_agentd", &b->gid, 0);
	r->uid = role_user("_agentlog", &r->gid, 1);
	sup.admin_gid = (gid_t)-1;
	while (f && (g = fgetgrent(f))) {
		if (!strcmp(g->gr_name, "agentd"))
			sup.admin_gid = g->gr_gid;
	}
}

/* ---- cgroups ---- */

/* Directories below are u<uid>/<name>. */
static void remove_below(int dir, int depth)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *it;

	while (d && (it = readdir(d))) {
		cleanup_close int sub = -1;

		if (it->d_type != DT_DIR || it->d_name[0] == '.')
			continue;
		if (depth > 1)
			sub = openat(dir, it->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (sub >= 0)
			remove_below(sub, depth - 1);
		unlinkat(dir, it->d_name, AT_REMOVEDIR);
	}
	if (d)
		closedir(d);
}

/* What a dead instance left is killed, then removed. */
static void remove_leftovers(int dir)
{
	cgroup_kill(dir);
	cgroup_wait_empty(dir, 10000);
	remove_below(dir, 2);
}

static int make_base(struct error *e)
{
	cleanup_close int root = -1;
	char path[400];

	if (cgroup_find(&sup.cg, e) < 0)
		return -1;
	snprintf(path, sizeof path, "%s/%s", sup.cg.v2, sup.paths.cgroup);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return error_set(e, errno, "cannot make the cgroup %s", path);
	sup.base = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (sup.base < 0)
		return error_set(e, errno, "cannot open the cgroup %s", path);
	remove_leftovers(sup.base);
	if (limits_init(&sup.cg, sup.paths.cgroup, e) < 0)
		return -1;
	root = open(sup.cg.v2, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root >= 0)
		limits_enable(root);
	limits_enable(sup.base);
	return 0;
}

/* What decides and what kills must not wait behind the agents that keep every processor busy. Each
 * sandbox's first process goes back to 0 (enter.c). A host that forbids it is served as it is. */
static void come_first(int nice_value)
{
	setpriority(PRIO_PROCESS, 0, nice_value);
}

/* ---- the killer ---- */

static int on_pong(void *ctx, struct wire_msg *m)
{
	(void)ctx;
	(void)m;
	killer_asked = 0;
	return 0;
}

static int on_receipt(void *ctx, struct wire_msg *m)
{
	struct killer_receipt *r = (struct killer_receipt *)(void *)m->payload;

	(void)ctx;
	r->entry.name[sizeof r->entry.name - 1] = 0;
	r->entry.reason[sizeof r->entry.reason - 1] = 0;
	event_receipt(r->slot, &r->entry);
	return 0;
}

static int on_watchdog(void *ctx, struct wire_msg *m)
{
	const struct killer_watchdog *w = (const struct killer_watchdog *)(const void *)m->payload;

	(void)ctx;
	event_text(EVENT_ROLE, (uid_t)-1, "supervisor was silent for %u ms: the killer %s",
		w->silent_ms,
		w->act == KILLER_FROZE    ? "froze all sandboxes"
		: w->act == KILLER_THAWED ? "thawed them"
					  : "killed all sandboxes");
	return 0;
}

static const struct wire_rule killer_rules[] = {
	{KILLER_READY, 0, 0, 0, 0, on_pong},
	{KILLER_PONG, 0, 0, 0, 0, on_pong},
	{KILLER_RECEIPT, sizeof(struct killer_receipt), sizeof(struct killer_receipt), 0, 0,
		on_receipt},
	{KILLER_WATCHDOG, sizeof(struct killer_watchdog), sizeof(struct killer_watchdog), 0, 0,
		on_watchdog},
};

static int killer_start(struct error *e);

static void killer_event(void *arg, uint32_t events)
{
	static struct wire_msg m;
	struct error e = {0};

	(void)arg;
	(void)events;
	for (;;) {
		int n = wire_recv(sup.killer, &m);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n > 0 && wire_dispatch(killer_rules, ARRAY_LEN(killer_rules), NULL, &m) == 0)
			continue;
		loop_unwatch(killer_watch);
		close(sup.killer);
		sup.killer = -1;
		kill(sup.killer_pid, SIGKILL);
		waitpid(sup.killer_pid, NULL, WNOHANG);
		say("the killer died: restarting it");
		event_text(EVENT_ROLE, (uid_t)-1, "killer died and was restarted");
		if (killer_start(&e) < 0) {
			say("%s: no agent may run without a killer; ending", e.text);
			exit(1);
		}
		return;
	}
}

static int killer_start(struct error *e)
{
	int pair[2];

	if (wire_pair(pair, e) < 0)
		return -1;
	sup.killer_pid = fork();
	if (sup.killer_pid == 0) {
		struct killer_config c = {.paths = sup.paths,
			.cg = sup.cg,
			.listen_fd = kill_listener,
			.supervisor_fd = pair[1],
			.lock_fd = lock_fd,
			.admin_gid = sup.admin_gid};

		close(pair[0]);
		come_first(-20);
		_exit(killer_main(&c));
	}
	close(pair[1]);
	if (sup.killer_pid < 0)
		return error_set(e, errno, "cannot start the killer");
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	sup.killer = pair[0];
	killer_asked = 0;
	killer_watch = loop_watch(sup.killer, EPOLLIN, killer_event, NULL, e);
	return killer_watch ? 0 : -1;
}

static void killer_tick(uint64_t now)
{
	static uint64_t last;

	if (now - last < SECOND)
		return;
	last = now;
	wire_send(sup.killer, KILLER_PING, now, NULL, 0, NULL, 0);
	event_receipts(); /* also of a kill --direct, or one whose message was lost */
	if (!killer_asked)
		killer_asked = now;
	if (now - killer_asked > KILLER_SILENT)
		kill(sup.killer_pid, SIGKILL); /* the end of file on its socket restarts it */
}

/* ---- the spawner ---- */

int spawner_init(struct error *e)
{
	static struct wire_msg m;
	int pair[2], proc_fd;

	proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0)
		return error_set(e, errno, "cannot open /proc");
	if (wire_pair(pair, e) < 0)
		return -1;
	sup.spawner_pid = fork();
	if (sup.spawner_pid == 0) {
		struct spawn_config c = {.paths = sup.paths,
			.latches = sup.latches,
			.proc_fd = proc_fd,
			.sock = pair[1]};

		memcpy(c.agentctl, sup.agentctl, sizeof c.agentctl);
		memcpy(c.init, sup.init, sizeof c.init);
		/* The killer, for one, must see our end when the supervisor dies. */
		if (privilege_keep_fds((const int[]){proc_fd, pair[1]}, 2) < 0)
			_exit(1);
		spawner_main(&c);
	}
	close(pair[1]);
	close(proc_fd);
	if (sup.spawner_pid < 0)
		return error_set(e, errno, "cannot start the spawner");
	sup.spawner = pair[0];
	if (wire_recv(sup.spawner, &m) != 1 || m.h.type != SPAWN_READY)
		return error_set(e, 0, "the spawner does not start: see its message above");
	fcntl(sup.spawner, F_SETFL, O_NONBLOCK);
	return loop_watch(sup.spawner, EPOLLIN, spawner_event, NULL, e) ? 0 : -1;
}

/* ---- start and end ---- */

static void signal_event(void *arg, uint32_t events)
{
	struct signalfd_siginfo si;

	(void)arg;
	(void)events;
	while (read(signal_fd, &si, sizeof si) > 0)
		sup.stopping = 1;
}

static int catch_signals(struct error *e)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signal_fd < 0)
		return error_set(e, errno, "cannot make a signalfd");
	return loop_watch(signal_fd, EPOLLIN, signal_event, NULL, e) ? 0 : -1;
}

/* Our programs lie together in a build tree, and in PREFIX/libexec/agentd and PREFIX/bin when installed. */
static int find_program(
	const char *self_dir, const char *name, char *out, size_t cap, struct error *e)
{
	const char *dirs[] = {self_dir, AGENTD_PREFIX "/libexec/agentd", AGENTD_PREFIX "/bin"};

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		snprintf(out, cap, "%s/%s", dirs[i], name);
		if (access(out, X_OK) == 0)
			return 0;
	}
	return error_set(e, 0,
		"cannot find %s beside agentd-supervisor (%s) or below " AGENTD_PREFIX
		": is the installation complete?",
		name, self_dir);
}

static int find_programs(struct error *e)
{
	char self[400];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	if (n <= 0)
		return error_set(e, errno, "cannot find its own program");
	self[n] = 0;
	*strrchr(self, '/') = 0;
	if (find_program(self, "agentd", sup.agentd, sizeof sup.agentd, e) < 0 ||
		find_program(self, "agentd-init", sup.init, sizeof sup.init, e) < 0)
		return -1;
	return find_program(self, "agentctl", sup.agentctl, sizeof sup.agentctl, e);
}

/* A sandbox holds half a dozen descriptors, a client one. */
static void raise_descriptor_limit(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

static int start(const char *root, struct error *e)
{
	if (geteuid() != 0)
		return error_set(e, 0, "must be root: it makes namespaces and cgroups (use sudo)");
	if (sodium_init() < 0)
		return error_set(e, 0, "libsodium does not start");
	if (paths_init(&sup.paths, root, e) < 0 || find_programs(e) < 0 || loop_init(e) < 0 ||
		guard_init(e) < 0 || make_directories(e) < 0 || take_lock(e) < 0)
		return -1;
	umask(022);
	raise_descriptor_limit();
	come_first(-10);
	find_users();
	identity_init(sup.paths.agent_uid_base);
	sup.latches = latch_open(sup.paths.latches, e);
	if (!sup.latches || make_base(e) < 0 || catch_signals(e) < 0)
		return -1;
	kill_listener = sup_listen(sup.paths.kill, 0, e);
	if (kill_listener < 0 || killer_start(e) < 0 || spawner_init(e) < 0 ||
		privilege_confine(e) < 0 || roles_init(e) < 0 || control_init(e) < 0)
		return -1;
	event_text(EVENT_BOOT, (uid_t)-1, "agentd-supervisor %s started", AGENTD_VERSION);
	event_receipts();
	return 0;
}

static void end(void)
{
	char path[400];

	say("ending: all sandboxes die now");
	cgroup_kill(sup.base);
	for (int i = 0; i < 50 && sup.sandboxes; i++) {
		struct error e = {0};

		loop_once(100, &e);
		sandbox_tick(io_now_mono());
	}
	protect_collect(0);
	roles_stop();
	remove_leftovers(sup.base);
	snprintf(path, sizeof path, "%s/%s", sup.cg.v2, sup.paths.cgroup);
	limits_cleanup();
	close(sup.killer); /* the killer ends at the end of file */
	waitpid(sup.killer_pid, NULL, 0);
	kill(sup.spawner_pid, SIGKILL);
	waitpid(sup.spawner_pid, NULL, 0);
	rmdir(path);
	latch_sync(sup.latches);
	unlink(sup.paths.control);
	unlink(sup.paths.kill);
}

static int usage(int code)
{
	fprintf(code ? stderr : stdout,
		"usage: agentd-supervisor [--root DIR]\n\n"
		"Runs in the foreground as root and prints one line when it is ready.\n"
		"  --root DIR  keep state in DIR/var/lib/agentd, sockets in DIR/run/agentd and "
		"read\n"
		"              DIR/etc/agentd (default /, or $AGENTD_ROOT): a try-out touches "
		"nothing else\n");
	return code;
}

int main(int argc, char **argv)
{
	const char *root = NULL;
	struct error e = {0};

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--root") && i + 1 < argc)
			root = argv[++i];
		else if (!strcmp(argv[i], "--help"))
			return usage(0);
		else
			return usage(2);
	}
	if (start(root, &e) < 0) {
		say("%s", e.text);
		return 1;
	}
	printf("agentd-supervisor: ready on %s (pid %d)\n", sup.paths.control, getpid());
	fflush(stdout);
	notify_ready();
	while (!sup.stopping) {
		uint64_t now;

		if (loop_once(TICK_MS, &e) < 0) {
			say("%s", e.text);
			return 1;
		}
		now = io_now_mono();
		roles_tick(now);
		killer_tick(now);
		sandbox_tick(now);
		control_tick(now);
		events_tick();
		notify_alive(now);
	}
	notify_stopping();
	end();
	return 0;
}
