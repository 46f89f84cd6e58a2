/* The recorder: the only process that writes the audit log and holds its keys. It makes the broker's
 * records durable, answers, publishes signed checkpoints and lets agentctl read. Started by the
 * supervisor, fed by broker and supervisor over socket pairs. It must never let anything count as
 * recorded that is not on stable storage, never start a new log where one has been, and parse nothing
 * but JSON records, each once. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agentd/recorder/clients.h"
#include "agentd/recorder/publisher.h"
#include "agentd/recorder/writer.h"
#include "agentd/role.h"
#include "audit/dir.h"
#include "audit/fault.h"
#include "audit/sealer.h"
#include "audit/tlog.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/msg.h"

#define PUBLISH_NS   1000000000ull /* a checkpoint at most this long after a record */
#define BATCH_COUNT  1024u /* messages taken before a commit */
#define TICK_MS      1000 /* for clients that are late */
#define HEARTBEAT_NS (60 * 1000000000ull) /* a seal at least this often */

struct recorder {
	struct paths paths;
	int logdir, signals, damage; /* descriptors; damage: eventfd of the publisher */
	int peer; /* the broker's channel, or -1 */
	struct tlog *log; /* NULL: appends are refused */
	struct wal_config config;
	struct writer *writer;
	struct publisher *publisher; /* NULL without a log */
	struct clients *clients;
	uint64_t asked; /* size that the publisher was asked for */
	uint64_t asked_at; /* CLOCK_MONOTONIC ns */
	uint64_t sealed, sealed_at; /* the log's size, and when it was seen to have grown to it */
	int stop;
	struct wire_msg msg;
};

/* ---- start ---- */

static int read_boot_id(char boot[17], struct error *e)
{
	cleanup_close int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	char buf[64];
	ssize_t got = fd < 0 ? -1 : io_read_full(fd, buf, sizeof buf);
	size_t k = 0;

	for (ssize_t i = 0; i < got && k < 16; i++) {
		if (buf[i] != '-' && buf[i] != '\n')
			boot[k++] = buf[i];
	}
	boot[k] = 0;
	return k == 16 ? 0 : error_set(e, got < 0 ? errno : 0, "cannot read the kernel's boot id");
}

/* Was there ever a log here? The supervisor leaves the marker after our first HELLO. What cannot be
 * looked at counts as yes. */
static int was_created(const struct paths *p)
{
	char marker[800];

	snprintf(marker, sizeof marker, "%s/audit-created", p->state);
	return access(marker, F_OK) == 0 || errno != ENOENT;
}

/* 0, or -1 when there is no log and none may be made. */
static int create_if_new(struct recorder *r, const char *boot, struct error *e)
{
	struct record_stamp when = {.real_ns = io_now_real(), .boot_us = io_now_boot() / 1000};
	int exists = tlog_exists(r->logdir, e);

	if (exists != 0)
		return exists < 0 ? -1 : 0;
	if (was_created(&r->paths))
		return fault_set(e, ENOENT,
			"the audit log is missing from %s, and a missing log is not a new log: "
			"restore "
			"it, or remove %s/audit-created to begin again without it",
			r->paths.audit, r->paths.state);
	memcpy(when.boot, boot, sizeof when.boot);
	if (tlog_create(r->logdir, &r->config, &when, e) < 0) {
		error_prefix(e, "cannot create the audit log in %s", r->paths.audit);
		/* No HELLO: the supervisor will try again, and this directory still counts as new. */
		fprintf(stderr, "recorder: %s\n", e->text);
		exit(1);
	}
	return 0;
}

static void add_own(struct recorder *r, json_t *o)
{
	struct error e;

	if (writer_add(r->writer, o, &e) < 0)
		writer_stop(r->writer, &e);
}

static void add_recovery(struct recorder *r, const struct tlog_recovery *found)
{
	char sha[65];

	if (found->checkpoint_lost) {
		fprintf(stderr,
			"recorder: the published checkpoint was lost or torn: it is made again\n");
		add_own(r, json_pack("{s:s,s:i,s:s}", "k", "recover", "bytes", 0, "what",
				   "checkpoint"));
	}
	if (found->torn_bytes == 0)
		return;
	sodium_bin2hex(sha, sizeof sha, found->torn_sha256, sizeof found->torn_sha256);
	fprintf(stderr,
		"recorder: the last write before the crash was torn: %llu bytes, none "
		"acknowledged, "
		"moved to %s\n",
		(unsigned long long)found->torn_bytes, found->torn_file);
	add_own(r, json_pack("{s:s,s:I,s:I,s:s,s:s,s:s}", "k", "recover", "bytes",
			   (json_int_t)found->torn_bytes, "whole_frames",
			   (json_int_t)found->torn_frames, "sha256", sha, "file", found->torn_file,
			   "what", "batch"));
}

static void add_boot(struct recorder *r)
{
	add_own(r, json_pack("{s:s,s:i,s:s}", "k", "boot", "pid", (int)getpid(), "version",
			   AGENTD_VERSION));
	writer_commit(r->writer);
}

/* Opens the log; without one the recorder runs on and refuses every append, saying why. */
static int open_log(struct recorder *r, struct error *e)
{
	struct tlog_recovery found;
	struct error why = {0};
	char boot[17];

	if (read_boot_id(boot, e) < 0)
		return -1;
	r->logdir = dir_open(r->paths.audit, e);
	if (r->logdir < 0)
		return -1;
	memset(&found, 0, sizeof found);
	if (create_if_new(r, boot, &why) == 0)
		r->log = tlog_open(r->logdir, &r->config, &found, &why);
	if (!r->log && why.code == EWOULDBLOCK) {
		*e = why; /* the one before us is still dying: the supervisor tries again */
		return -1;
	}
	r->writer = writer_new(r->log, boot, &why);
	r->clients = clients_new(r->logdir);
	if (!r->writer || !r->clients)
		return error_set(e, ENOMEM, "cannot start");
	if (!r->log) {
		fprintf(stderr, "recorder: %s; every append is refused\n", why.text);
		return 0;
	}
	add_recovery(r, &found);
	add_boot(r);
	return 0;
}

static int open_signals(struct recorder *r, struct error *e)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return error_set(e, errno, "sigprocmask");
	r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	r->damage = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->signals < 0 || r->damage < 0)
		return error_set(e, errno, "cannot watch for signals");
	return 0;
}

static int confine(struct recorder *r, struct error *e)
{
	/* clone3 and clone: the publisher's thread, which is made behind the walls. */
	static const int calls[] = {SCMP_SYS(openat2), SCMP_SYS(clone3), SCMP_SYS(clone)};
	const struct role_dir dirs[] = {{.path = r->paths.audit, .writable = 1}};
	const struct role_spec spec = {.name = "recorder",
		.dirs = dirs,
		.ndirs = ARRAY_LEN(dirs),
		.syscalls = calls,
		.nsyscalls = ARRAY_LEN(calls),
		.files_max = 256};

	return role_confine(&spec, e);
}

/* Threads, which are made behind the walls. */
static int start_threads(struct recorder *r, struct error *e)
{
	if (!r->log)
		return 0;
	if (sealer_begin_thread(tlog_sealer(r->log), e) < 0)
		return -1;
	r->publisher = publisher_start(r->logdir, tlog_signer(r->log), &r->config, r->damage, e);
	if (!r->publisher) {
		if (e->code != EBADMSG)
			return -1;
		writer_stop(r->writer, e);
	}
	writer_set_publisher(r->writer, r->publisher);
	return 0;
}

/* ---- publishing ---- */

static void ask_for_checkpoint(struct recorder *r, uint64_t now)
{
	struct tree_hash root;

	tlog_root(r->log, &root);
	publisher_ask(r->publisher, tlog_size(r->log), &root);
	r->asked = tlog_size(r->log);
	r->asked_at = now;
}

/* Asks when it is time. Returns how many ms until it will be, -1: nothing is due. */
static int publish_if_due(struct recorder *r)
{
	uint64_t now = io_now_mono();
	int urgent = writer_wants_publishing(r->writer);

	if (!r->publisher || writer_stopped(r->writer) || tlog_size(r->log) == r->asked)
		return -1;
	if (!urgent && now < r->asked_at + PUBLISH_NS)
		return (int)((r->asked_at + PUBLISH_NS - now) / 1000000u) + 1;
	ask_for_checkpoint(r, now);
	return -1;
}

/* A log that does not grow is sealed all the same, so that nobody can cut off a silence. Returns how many
 * ms until then. */
static int seal_if_due(struct recorder *r)
{
	uint64_t now = io_now_mono();

	if (!r->log || writer_stopped(r->writer))
		return -1;
	if (tlog_size(r->log) == r->sealed && now >= r->sealed_at + HEARTBEAT_NS)
		writer_seal(r->writer);
	if (tlog_size(r->log) != r->sealed) {
		r->sealed = tlog_size(r->log);
		r->sealed_at = now;
	}
	return now < r->sealed_at + HEARTBEAT_NS
		       ? (int)((r->sealed_at + HEARTBEAT_NS - now) / 1000000u) + 1
		       : TICK_MS;
}

/* ---- messages ---- */

static int on_ping(void *ctx, struct wire_msg *m)
{
	(void)ctx;
	return wire_send(ROLE_SUPERVISOR_FD, MSG_PONG, m->h.id, NULL, 0, NULL, 0);
}

static void lose_peer(struct recorder *r)
{
	if (r->peer >= 0)
		close(r->peer);
	r->peer = -1;
	/* What it sent is in the batch and will be durable; there is nobody to tell. */
	writer_commit(r->writer);
	writer_forget_answers(r->writer);
}

static int on_peer(void *ctx, struct wire_msg *m)
{
	struct recorder *r = ctx;

	lose_peer(r);
	r->peer = take_fd(&m->fds[0]);
	return fcntl(r->peer, F_SETFL, O_NONBLOCK) < 0 ? -1 : 0;
}

static int on_client(void *ctx, struct wire_msg *m)
{
	struct recorder *r = ctx;
	struct msg_peer peer;

	memcpy(&peer, m->payload, sizeof peer);
	clients_add(r->clients, take_fd(&m->fds[0]), &peer);
	return 0;
}

static int on_append(void *ctx, struct wire_msg *m)
{
	return writer_append(((struct recorder *)ctx)->writer, m);
}

static const struct wire_rule from_supervisor[] = {
	{MSG_PING, 0, 0, 0, 0, on_ping},
	{MSG_PEER, 0, 0, 1, 1, on_peer},
	{MSG_CLIENT, sizeof(struct msg_peer), sizeof(struct msg_peer), 1, 1, on_client},
};

static const struct wire_rule from_broker[] = {
	{MSG_APPEND, 2 * sizeof(uint32_t) + 2, WIRE_PAYLOAD_MAX, 0, 0, on_append},
};

/* Without the supervisor there is nothing to record for. */
static void take_from_supervisor(struct recorder *r)
{
	int got = wire_recv(ROLE_SUPERVISOR_FD, &r->msg);

	if (got > 0 && wire_dispatch(from_supervisor, ARRAY_LEN(from_supervisor), r, &r->msg) == 0)
		return;
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got != 0)
		fprintf(stderr, "recorder: the supervisor's channel failed\n");
	r->stop = 1;
}

/* Takes all that is queued, so that one fdatasync serves it. */
static void take_from_broker(struct recorder *r)
{
	for (unsigned i = 0; i < BATCH_COUNT && !writer_is_full(r->writer); i++) {
		int got = wire_recv(r->peer, &r->msg);

		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got <= 0 ||
			wire_dispatch(from_broker, ARRAY_LEN(from_broker), r, &r->msg) < 0) {
			if (got != 0)
				fprintf(stderr,
					"recorder: the broker's channel is dropped: bad message\n");
			lose_peer(r);
			return;
		}
	}
}

static void take_signal(struct recorder *r)
{
	struct signalfd_siginfo si;

	if (read(r->signals, &si, sizeof si) == (ssize_t)sizeof si && si.ssi_signo != SIGHUP)
		r->stop = 1;
}

static void take_damage(struct recorder *r)
{
	uint64_t n;
	struct error e;

	if (read(r->damage, &n, sizeof n) > 0 && r->publisher &&
		publisher_found_damage(r->publisher, &e))
		writer_stop(r->writer, &e);
}

/* ---- the loop ---- */

enum { SUPERVISOR, SIGNALS, DAMAGE, PEER, FIXED };

static void turn(struct recorder *r, int busy)
{
	struct pollfd fds[FIXED + CLIENTS_MAX];
	int beat = seal_if_due(r), wait = publish_if_due(r);
	nfds_t n = FIXED;
	short peer = writer_has_answers(r->writer) ? POLLOUT : POLLIN;

	fds[SUPERVISOR] = (struct pollfd){.fd = ROLE_SUPERVISOR_FD, .events = POLLIN};
	fds[SIGNALS] = (struct pollfd){.fd = r->signals, .events = POLLIN};
	fds[DAMAGE] = (struct pollfd){.fd = r->damage, .events = POLLIN};
	fds[PEER] = (struct pollfd){.fd = r->peer, .events = peer};
	n += clients_poll(r->clients, fds + FIXED);
	if (wait < 0 || (beat >= 0 && beat < wait))
		wait = beat;
	if (n > FIXED && (wait < 0 || wait > TICK_MS))
		wait = TICK_MS;
	if (poll(fds, n, busy ? 0 : wait) < 0 && errno != EINTR) {
		fprintf(stderr, "recorder: poll: %s\n", strerror(errno));
		r->stop = 1;
		return;
	}
	if (fds[DAMAGE].revents)
		take_damage(r);
	if (fds[PEER].revents && !writer_has_answers(r->writer))
		take_from_broker(r);
	writer_commit(r->writer);
	if (r->peer >= 0 && writer_answer(r->writer, r->peer) < 0)
		lose_peer(r);
	if (fds[SIGNALS].revents)
		take_signal(r);
	if (fds[SUPERVISOR].revents)
		take_from_supervisor(r);
}

static void loop(struct recorder *r)
{
	int busy = 0;

	while (!r->stop) {
		turn(r, busy);
		busy = clients_serve(r->clients, writer_size(r->writer));
	}
}

/* An orderly end leaves a record and a checkpoint that covers everything. */
static void finish(struct recorder *r)
{
	struct error e;

	if (r->log && !writer_stopped(r->writer)) {
		if (writer_add(r->writer, json_pack("{s:s}", "k", "stop"), &e) == 0)
			writer_commit(r->writer);
		if (r->publisher)
			ask_for_checkpoint(r, io_now_mono());
	}
	publisher_stop(r->publisher);
	clients_free(r->clients);
	writer_free(r->writer);
	tlog_close(r->log);
}

int recorder_main(int argc, char **argv)
{
	struct recorder *r = calloc(1, sizeof *r);
	struct error e;

	if (!r)
		return 1;
	r->peer = -1;
	if (role_begin("recorder", argc, argv, &r->paths, &e) < 0)
		goto fail;
	umask(027); /* the group may read the log; the key's file is 0600 */
	if (open_signals(r, &e) < 0 || open_log(r, &e) < 0 || confine(r, &e) < 0 ||
		start_threads(r, &e) < 0 || role_hello(&e) < 0)
		goto fail;
	loop(r);
	finish(r);
	free(r);
	return 0;
fail:
	fprintf(stderr, "recorder: %s\n", e.text);
	return 1;
}
