/* agentctl kill, latches, unlatch: end agents for good, see what may not start, let it start again.
 * Called by main.c. kill speaks to the killer (kill.sock); as root it needs no daemon at all and does
 * the same by itself. What it must never do: say that something is dead which nobody saw dying. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "agentctl/verbs.h"
#include "common/cgroup.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/kill.h"

#define EXIT_LINGERS  3
#define BATCH         32 /* kills asked for at the same time */
#define ROOT_WAIT_MS  2000 /* root does it itself when the killer is silent for this long */
#define OTHER_WAIT_MS 15000 /* the killer itself gives up on lingering processes after 10 s */
#define DIRECT_WAIT   10000
#define NARROW        64 /* columns below which a result takes two lines */
#define DIRECT_MAX    512 /* sandboxes that one direct kill waits for */

/* ---- what came out ---- */

struct results {
	int json, n; /* n: JSON objects printed so far */
	int shown, code;
};

struct result {
	unsigned uid, tasks;
	unsigned long long us;
	const char *name, *state; /* name "*": the whole user */
	int latched, whole_user; /* whole_user: the latch is on all of the user */
};

static void note_code(struct results *rs, int code)
{
	if (code > rs->code)
		rs->code = code;
}

static const char *shown_name(const struct result *r, char *buf, size_t cap)
{
	if (r->uid == getuid())
		snprintf(buf, cap, "%s", r->name);
	else
		snprintf(buf, cap, "%u/%s", r->uid, r->name);
	return buf;
}

static void print_json(struct results *rs, const struct result *r)
{
	printf("%s{\"latched\": %s, \"name\": ", rs->n++ ? ", " : "[",
		r->latched ? "true" : "false");
	ctl_json_string(r->name);
	printf(", \"state\": ");
	ctl_json_string(r->state);
	printf(", \"tasks\": %u, \"took_us\": %llu, \"uid\": %u}", r->tasks, r->us, r->uid);
}

static void print_text(const struct result *r)
{
	char name[64], cure[128], took[32];
	size_t columns = ctl_columns();
	const char *gap = columns && columns < NARROW ? "\n  " : ", ";

	shown_name(r, name, sizeof name);
	if (r->whole_user && r->uid == getuid())
		snprintf(cure, sizeof cure, "agentctl unlatch --all");
	else if (r->whole_user)
		snprintf(cure, sizeof cure, "agentctl unlatch '%u/*'", r->uid);
	else
		snprintf(cure, sizeof cure, "agentctl unlatch %s", name);
	if (r->us < 1000)
		snprintf(took, sizeof took, "%llu us", r->us);
	else
		snprintf(took, sizeof took, "%llu ms", r->us / 1000);
	if (strcmp(r->state, KILL_DEAD) == 0)
		printf("killed %s: %u process%s, %s", name, r->tasks, r->tasks == 1 ? "" : "es",
			took);
	else if (strcmp(r->state, KILL_NOT_RUNNING) == 0)
		printf("%s: nothing was running", name);
	else
		printf("%s: killed, but not all of its processes are seen dead after %s", name,
			took);
	if (r->latched)
		printf("%sstays dead (%s)\n", gap, cure);
	else
		printf("%sNOT latched: it can be started again\n", gap);
}

static void print_result(struct results *rs, const struct result *r)
{
	if (rs->json)
		print_json(rs, r);
	else
		print_text(r);
	rs->shown++;
	if (strcmp(r->state, KILL_DEAD) != 0 && strcmp(r->state, KILL_NOT_RUNNING) != 0)
		note_code(rs, EXIT_LINGERS);
	if (!r->latched)
		note_code(rs, CTL_REFUSED);
	fflush(stdout);
}

/* ---- with no daemon ---- */

struct direct {
	struct results *rs;
	int base;
	struct latch_table *latches; /* NULL: cannot be opened; it kills all the same */
	uid_t uid; /* whose directory is being walked */
	int whole_user;
	const char *reason;
	unsigned n, untracked;
	struct {
		int dir; /* -1: was not running */
		int whole_user;
		unsigned slot;
		uint64_t start;
		struct latch_entry e;
	} hit[DIRECT_MAX];
};

static struct latch_entry direct_entry(const struct direct *d, uid_t uid, const char *name)
{
	struct latch_entry e = {.uid = uid,
		.flags = LATCH_UNLOGGED,
		.by_uid = getuid(),
		.by_pid = (uint32_t)getpid(),
		.at_ns = io_now_real()};

	snprintf(e.name, sizeof e.name, "%s", name);
	snprintf(e.reason, sizeof e.reason, "%s", d->reason);
	return e;
}

static void direct_strike(struct direct *d, uid_t uid, const char *name)
{
	struct latch_entry e = direct_entry(d, uid, name);
	uint64_t start = io_now_mono();
	unsigned slot;
	int dir = kill_strike(d->base, d->latches, &e, &slot);

	if (d->n == DIRECT_MAX) {
		d->untracked++;
		if (dir >= 0)
			close(dir);
		return;
	}
	d->hit[d->n].dir = dir;
	d->hit[d->n].whole_user = d->whole_user;
	d->hit[d->n].slot = slot;
	d->hit[d->n].start = start;
	d->hit[d->n++].e = e;
}

static int direct_child(void *ctx, const char *name, int fd)
{
	struct direct *d = ctx;

	(void)fd;
	if (name_valid(name))
		direct_strike(d, d->uid, name);
	return 0;
}

static int direct_user(void *ctx, uid_t uid, int dirfd)
{
	struct direct *d = ctx;
	struct latch_entry all = direct_entry(d, uid, "");
	unsigned before = d->n, slot;
	struct result r = {.uid = uid,
		.name = "*",
		.state = KILL_NOT_RUNNING,
		.whole_user = 1,
		.latched = d->latches != NULL};

	d->uid = uid;
	if (dirfd >= 0)
		cgroup_each_child(dirfd, direct_child, d);
	kill_strike_user(d->base, d->latches, &all, &slot);
	if (d->n == before && !d->untracked)
		print_result(d->rs, &r);
	return 0;
}

/* Waits for the ith sandbox that was struck, finishes its receipt and prints what came out. */
static void direct_finish(struct direct *d, unsigned i, uint64_t end)
{
	struct latch_entry *e = &d->hit[i].e;
	struct result r = {.uid = e->uid,
		.name = e->name,
		.state = KILL_NOT_RUNNING,
		.whole_user = d->hit[i].whole_user,
		.latched = d->latches != NULL};
	uint64_t now = io_now_mono();
	int left = 0;

	if (d->hit[i].dir >= 0) {
		int ms = now < end ? (int)((end - now) / 1000000) : 0;

		r.state = cgroup_wait_empty(d->hit[i].dir, ms) == 0 ? KILL_DEAD : KILL_LINGERING;
		if (strcmp(r.state, KILL_LINGERING) == 0)
			left = cgroup_count(d->hit[i].dir, KILL_COUNT_MAX);
		close(d->hit[i].dir);
	}
	e->took_us = (io_now_mono() - d->hit[i].start) / 1000;
	if (strcmp(r.state, KILL_LINGERING) == 0)
		e->unconfirmed = left > 0 ? (uint32_t)left : 1;
	if (d->latches)
		latch_update(d->latches, d->hit[i].slot, e);
	r.tasks = e->tasks;
	r.us = e->took_us;
	print_result(d->rs, &r);
}

static int direct_open(struct direct *d, const struct ctl *c, struct error *e)
{
	cleanup_close int v2 = -1;
	struct cgroup_host h;

	if (cgroup_find(&h, e) < 0)
		return -1;
	v2 = open(h.v2, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (v2 < 0)
		return error_set(e, errno, "cannot open %s", h.v2);
	d->base = openat(v2, c->paths.cgroup, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	d->latches = latch_open(c->paths.latches, e);
	if (!d->latches)
		ctl_fail(0, "%s: what is killed now can be started again", ctl_safe(e->text));
	else if (latch_damaged(d->latches))
		ctl_fail(0, "%s is damaged or full: nothing can be started until it is moved away",
			ctl_safe(c->paths.latches));
	return 0;
}

static int direct_target(struct direct *d, const char *text, struct error *e)
{
	cleanup_close int user = -1;
	struct kill_target t;

	if (kill_parse(&t, text, strlen(text)) < 0)
		return error_set(e, 0, "%s is no sandbox name", text);
	if (kill_resolve(&t, d->base, getuid(), 1, e) < 0)
		return -1;
	d->whole_user = t.scope != KILL_ONE;
	if (t.scope == KILL_ONE) {
		direct_strike(d, t.uid, t.name);
	} else if (t.scope == KILL_USER) {
		user = d->base < 0 ? -1 : kill_open_user(d->base, t.uid);
		direct_user(d, t.uid, user);
	} else if (d->base >= 0) {
		kill_each_user(d->base, direct_user, d);
	}
	return 0;
}

/* Strikes all of them before it waits for the first. */
static void kill_direct(
	const struct ctl *c, struct results *rs, char *const *targets, int n, const char *reason)
{
	struct direct d = {.rs = rs, .reason = reason};
	struct error e;
	uint64_t end;

	if (direct_open(&d, c, &e) < 0) {
		note_code(rs, ctl_fail(CTL_FAILED, "%s", ctl_safe(e.text)));
		return;
	}
	for (int i = 0; i < n; i++)
		if (direct_target(&d, targets[i], &e) < 0)
			note_code(rs, ctl_fail(CTL_REFUSED, "%s", ctl_safe(e.text)));
	end = io_now_mono() + DIRECT_WAIT * 1000000ull;
	for (unsigned i = 0; i < d.n; i++)
		direct_finish(&d, i, end);
	if (d.untracked)
		note_code(rs, ctl_fail(EXIT_LINGERS,
				      "%u more were killed and latched; see with "
				      "`agentctl ps` that they are gone",
				      d.untracked));
	if (d.latches) {
		latch_sync(d.latches);
		latch_close(d.latches);
	}
	if (d.base >= 0)
		close(d.base);
}

/* ---- through the killer ---- */

static void on_alarm(int sig)
{
	(void)sig; /* ends connect(2) with EINTR when the killer's queue is full */
}

static void set_alarm(int ms)
{
	struct sigaction a = {.sa_handler = on_alarm};
	struct itimerval t = {.it_value = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000}};

	sigaction(SIGALRM, &a, NULL);
	setitimer(ITIMER_REAL, &t, NULL);
}

static int wait_ms(void)
{
	return geteuid() == 0 ? ROOT_WAIT_MS : OTHER_WAIT_MS;
}

static int ask_killer(const struct ctl *c, const char *target, const char *reason, struct error *e)
{
	static struct ctl_lines l;
	char request[512];
	int fd;

	snprintf(request, sizeof request, "KILL %s%s%s\n", target, *reason ? " " : "", reason);
	set_alarm(wait_ms());
	fd = ctl_ask(c, c->paths.kill, request, &l, e);
	set_alarm(0);
	return fd;
}

/* Takes "KEY" and the decimal number behind it off *s. 0, or -1. */
static int take_number(char **s, const char *key, unsigned long long *out)
{
	size_t n = strlen(key);

	if (strncmp(*s, key, n) != 0 || (*s)[n] < '0' || (*s)[n] > '9')
		return -1;
	errno = 0;
	*out = strtoull(*s + n, s, 10);
	return errno ? -1 : 0;
}

/* "KILLED uid/name tasks=N us=N state=S"; changed in place. 0, or -1 when it is not that. */
static int parse_killed(char *line, struct result *r)
{
	unsigned long long uid, tasks;
	char *s = line, *end;

	if (take_number(&s, "KILLED ", &uid) < 0 || *s++ != '/' || uid > UINT32_MAX)
		return -1;
	end = strchr(s, ' ');
	if (!end)
		return -1;
	*end++ = 0;
	r->name = s;
	if (take_number(&end, "tasks=", &tasks) < 0 || tasks > UINT32_MAX ||
		take_number(&end, " us=", &r->us) < 0 || strncmp(end, " state=", 7) != 0)
		return -1;
	r->uid = (unsigned)uid;
	r->tasks = (unsigned)tasks;
	r->state = end + 7;
	r->latched = 1;
	return 0;
}

/* One line of the answer. 1: more to come, 0: that was the last. */
static int take_line(struct results *rs, char *line, int whole_user)
{
	struct result r;

	if (strcmp(line, ".") == 0)
		return 0;
	if (ctl_is_err(line)) {
		note_code(rs, CTL_REFUSED);
		return 0;
	}
	if (parse_killed(line, &r) < 0) {
		note_code(rs, ctl_fail(CTL_FAILED, "the killer answered: %s", ctl_safe(line)));
		return 0;
	}
	r.whole_user = whole_user;
	print_result(rs, &r);
	return 1;
}

/* Reads the whole answer. 0, or -1 when the killer falls silent or goes away before its end. */
static int take_answer(struct results *rs, int fd, int whole_user)
{
	static struct ctl_lines l;
	uint64_t end = io_now_mono() + (uint64_t)wait_ms() * 1000000u;
	struct error e;
	char *line;

	l.fd = fd;
	l.start = l.end = 0;
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		uint64_t now = io_now_mono();
		int more = l.start < l.end && memchr(l.buf + l.start, '\n', l.end - l.start);

		if (!more && poll(&p, 1, now < end ? (int)((end - now) / 1000000) : 0) <= 0)
			return -1;
		if (ctl_read_line(&l, &line, &e) != 1)
			return -1;
		if (!take_line(rs, line, whole_user))
			return 0;
	}
}

/* Anybody but root is told what root can do. */
static int tell_root(const struct ctl *c, const char *target, const char *why)
{
	const char *root = c->paths.root;
	char whose[16] = "";

	if (!strchr(target, '/'))
		snprintf(whose, sizeof whose, "%u/", getuid());
	return ctl_fail(CTL_FAILED,
		"%s; root can kill without it: sudo agentctl%s%s kill --direct '%s%s'", why,
		*root ? " --root " : "", ctl_safe(root), whose, target);
}

/* Root does without the killer. */
static void without_killer(
	const struct ctl *c, struct results *rs, char *target, const char *reason, const char *why)
{
	if (geteuid() == 0) {
		ctl_fail(0, "%s: killing directly", why);
		kill_direct(c, rs, &target, 1, reason);
	} else {
		note_code(rs, tell_root(c, target, why));
	}
}

/* Asks for all before it waits for the first answer. */
static void kill_batch(
	const struct ctl *c, struct results *rs, char **targets, int n, const char *reason)
{
	int fds[BATCH];
	struct error e[BATCH];

	for (int i = 0; i < n; i++)
		fds[i] = ask_killer(c, targets[i], reason, &e[i]);
	for (int i = 0; i < n; i++) {
		if (fds[i] < 0) {
			without_killer(c, rs, targets[i], reason, ctl_safe(e[i].text));
			continue;
		}
		if (take_answer(rs, fds[i], strchr(targets[i], '*') != NULL) < 0)
			without_killer(c, rs, targets[i], reason, "the killer does not answer");
		close(fds[i]);
	}
}

/* ---- the verb kill ---- */

struct kill_options {
	int all, json, direct;
	const char *reason;
	int n; /* targets are moved to argv[1..n] */
};

static int parse_kill(int argc, char **argv, struct kill_options *o)
{
	struct kill_target t;
	char *value;

	for (int i = 1; i < argc; i++) {
		int r = ctl_option(argc, argv, &i, "reason", &value);

		if (r < 0)
			return ctl_usage(&verb_kill, "--reason needs a text");
		if (r > 0)
			o->reason = value;
		else if (strcmp(argv[i], "--all") == 0)
			o->all = 1;
		else if (strcmp(argv[i], "--json") == 0)
			o->json = 1;
		else if (strcmp(argv[i], "--direct") == 0)
			o->direct = 1;
		else if (argv[i][0] == '-')
			return ctl_usage(&verb_kill, "unknown option %s", ctl_safe(argv[i]));
		else if (kill_parse(&t, argv[i], strlen(argv[i])) < 0)
			return ctl_usage(&verb_kill, "%s is no sandbox name", ctl_safe(argv[i]));
		else
			argv[++o->n] = argv[i];
	}
	if (!o->n == !o->all)
		return ctl_usage(&verb_kill, "say which: names, or --all (agentctl ps lists them)");
	if (o->direct && geteuid() != 0)
		return ctl_fail(CTL_REFUSED, "only root can kill without the daemon: "
					     "sudo agentctl kill --direct …");
	return CTL_OK;
}

/* One line, and short enough for the request. */
static void clean_reason(char *out, size_t cap, const char *in)
{
	size_t n = 0;

	for (; *in && n + 1 < cap; in++)
		out[n++] = (char)((unsigned char)*in < 0x20 ? ' ' : *in);
	out[n] = 0;
}

/* Root's "all" is everybody's. */
static char everything[] = "*", everyone[] = "*/*";

static int run_kill(struct ctl *c, int argc, char **argv)
{
	struct kill_options o = {.reason = ""};
	struct results rs = {0};
	char reason[128];
	int r = parse_kill(argc, argv, &o);

	if (r != CTL_OK)
		return r;
	rs.json = o.json;
	clean_reason(reason, sizeof reason, o.reason);
	if (o.all) {
		argv[1] = geteuid() == 0 ? everyone : everything;
		o.n = 1;
	}
	if (o.direct)
		kill_direct(c, &rs, argv + 1, o.n, reason);
	for (int i = 0; !o.direct && i < o.n; i += BATCH)
		kill_batch(c, &rs, argv + 1 + i, o.n - i < BATCH ? o.n - i : BATCH, reason);
	if (rs.json)
		printf(rs.n ? "]\n" : "[]\n");
	else if (!rs.shown && rs.code == CTL_OK)
		printf("nobody has a sandbox: nothing to kill, nothing latched\n");
	return rs.code;
}

const struct verb verb_kill = {
	.name = "kill",
	.usage = "NAME… | --all [--reason TEXT] [--json] [--direct]",
	.summary = "end a sandbox with everything in it, for good: it cannot start again",
	.help = "Kills every process of the sandbox at once and waits until the last one is gone. "
		"The\n"
		"name, and the workspace and kind of agent it ran with, stay stopped (also over a\n"
		"reboot) until `agentctl unlatch NAME`. A name that is not running is stopped "
		"too.\n"
		"\n"
		"  --all          everything of yours; as root: of every user that has sandboxes\n"
		"  --reason TEXT  goes into the log\n"
		"  --json         an array of {latched, name, state, tasks, took_us, uid}; state "
		"is\n"
		"                 dead, not-running or lingering\n"
		"  --direct       without any daemon (root only). Also what root's kill does when\n"
		"                 the killer is silent for 2 s\n"
		"Root and members of group agentd name another user's sandbox UID/NAME.\n"
		"\n"
		"exit codes\n"
		"  0    everything is dead\n"
		"  1    refused, no such sandbox, or killed but not latched\n"
		"  3    killed, but some process is not seen dead (stuck inside the kernel)\n"
		"  125  the killer is not there, or does not answer\n"
		"\n"
		"examples\n"
		"  agentctl kill web --reason 'it deletes mail'\n"
		"  agentctl kill --all\n"
		"  sudo agentctl kill --direct 1000/web\n",
	.run = run_kill,
};

/* ---- latches ---- */

struct latch_row {
	unsigned uid, by;
	unsigned long long at_ms;
	const char *name, *reason;
};

static void print_latch(struct results *rs, const struct latch_row *l)
{
	char age[32], name[64];
	struct result r = {.uid = l->uid, .name = l->name};

	if (rs->json) {
		printf("%s{\"at_unix_ms\": %llu, \"by_uid\": %u, \"name\": ", rs->n++ ? ", " : "[",
			l->at_ms, l->by);
		ctl_json_string(l->name);
		printf(", \"reason\": ");
		ctl_json_string(l->reason);
		printf(", \"uid\": %u}", l->uid);
		return;
	}
	rs->n++;
	ctl_age(age, sizeof age, (long long)l->at_ms);
	printf("%s  %s ago by uid %u", shown_name(&r, name, sizeof name), age, l->by);
	if (*l->reason)
		printf(": %s", ctl_safe(l->reason));
	putchar('\n');
}

static char *cut_field(char **rest)
{
	char *f = *rest, *tab = f ? strchr(f, '\t') : NULL;

	*rest = tab ? tab + 1 : NULL;
	if (tab)
		*tab = 0;
	return f;
}

/* "uid\tname-or-*\tat_unix_ms\tby_uid\treason"; changed in place. */
static int parse_latch(char *line, struct latch_row *l)
{
	char *rest = line, *uid = cut_field(&rest), *name = cut_field(&rest),
	     *at = cut_field(&rest), *by = cut_field(&rest);

	if (!by)
		return -1;
	l->uid = (unsigned)strtoul(uid, NULL, 10);
	l->name = name;
	l->at_ms = strtoull(at, NULL, 10);
	l->by = (unsigned)strtoul(by, NULL, 10);
	l->reason = rest ? rest : "";
	return 0;
}

typedef int (*latch_fn)(void *ctx, const struct latch_row *l);

/* Calls fn for each latch the supervisor tells of. An exit code. */
static int each_latch(const struct ctl *c, latch_fn fn, void *ctx)
{
	static struct ctl_lines l;
	struct latch_row row;
	struct error e;
	char *line;
	int r;
	cleanup_close int fd = ctl_ask(c, c->paths.control, "LATCHES\n", &l, &e);

	if (fd < 0)
		return ctl_error(&e);
	while ((r = ctl_read_line(&l, &line, &e)) == 1) {
		if (strcmp(line, ".") == 0)
			return CTL_OK;
		if (ctl_is_err(line))
			return CTL_REFUSED;
		if (parse_latch(line, &row) < 0)
			return ctl_fail(CTL_FAILED, "agentd answered: %s", ctl_safe(line));
		r = fn(ctx, &row);
		if (r != CTL_OK)
			return r;
	}
	return r < 0 ? ctl_error(&e)
		     : ctl_fail(CTL_FAILED, "agentd closed the connection without an answer");
}

static int show_latch(void *ctx, const struct latch_row *l)
{
	print_latch(ctx, l);
	return CTL_OK;
}

static int run_latches(struct ctl *c, int argc, char **argv)
{
	struct results rs = {0};
	int r;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") != 0)
			return ctl_usage(&verb_latches, "unknown argument %s", ctl_safe(argv[i]));
		rs.json = 1;
	}
	r = each_latch(c, show_latch, &rs);
	if (rs.json && r == CTL_OK)
		printf(rs.n ? "]\n" : "[]\n");
	else if (r == CTL_OK && !rs.n)
		printf("nothing is latched\n");
	return r;
}

const struct verb verb_latches = {
	.name = "latches",
	.usage = "[--json]",
	.summary = "what was killed and may not start again",
	.help = "One line for each: the name (* is everything of that user), when, who, why. Root "
		"and\n"
		"members of group agentd see everybody's.\n"
		"\n"
		"  --json   an array of {at_unix_ms, by_uid, name, reason, uid}\n"
		"\n"
		"example\n"
		"  agentctl latches\n",
	.run = run_latches,
};

/* ---- unlatch ---- */

static int unlatch_name(const struct ctl *c, const char *name)
{
	unsigned long removed = 0;
	int r = ctl_order(c, "UNLATCH", name, &removed);

	if (r != CTL_OK)
		return r;
	if (!removed)
		return ctl_fail(
			CTL_REFUSED, "%s is not latched (agentctl latches lists what is)", name);
	printf("%s may start again\n", name);
	return CTL_OK;
}

/* Root's "all" is everybody's, as it is for kill --all. */
static int unlatch_all(const struct ctl *c)
{
	unsigned long removed = 0;
	/* Everyone's at once, also what a full table set for all. */
	int r = ctl_order(c, "UNLATCH", geteuid() == 0 ? everyone : everything, &removed);

	if (r == CTL_OK)
		printf("removed %lu latch%s\n", removed, removed == 1 ? "" : "es");
	return r;
}

static int run_unlatch(struct ctl *c, int argc, char **argv)
{
	int code = CTL_OK;

	if (argc == 2 && strcmp(argv[1], "--all") == 0)
		return unlatch_all(c);
	if (argc < 2)
		return ctl_usage(
			&verb_unlatch, "say which: names, or --all (agentctl latches lists them)");
	for (int i = 1; i < argc; i++) {
		struct kill_target t;

		if (argv[i][0] == '-')
			return ctl_usage(&verb_unlatch, "unknown option %s", ctl_safe(argv[i]));
		if (kill_parse(&t, argv[i], strlen(argv[i])) < 0 || t.scope == KILL_EVERYONE)
			return ctl_usage(&verb_unlatch, "%s is no sandbox name", ctl_safe(argv[i]));
	}
	for (int i = 1; i < argc; i++) {
		int r = unlatch_name(c, argv[i]);

		if (code == CTL_OK)
			code = r;
	}
	return code;
}

const struct verb verb_unlatch = {
	.name = "unlatch",
	.usage = "NAME… | --all",
	.summary = "let what was killed start again",
	.help = "Removes the latch that `agentctl kill` has set. The log keeps both. After `kill "
		"--all`\n"
		"only --all (or UID/*) takes the latch on the whole user away.\n"
		"\n"
		"  --all   every latch of yours; as root: everybody's\n"
		"\n"
		"examples\n"
		"  agentctl unlatch web\n"
		"  sudo agentctl unlatch '1000/*'\n",
	.run = run_unlatch,
};
