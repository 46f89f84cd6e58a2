/* agentctl audit cosign: shows the newest checkpoint to the witnesses of a trust policy and keeps what they
 * sign, in DIR/cosigned. A witness is asked over HTTP (C2SP tlog-witness; curl(1) carries it) or by ssh(1),
 * where `agentctl witness stdio` answers. Answers are hostile bytes: only a signature that is right under
 * the policy's key is kept. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agentctl/tools/audit_tool.h"
#include "audit/b64.h"
#include "audit/checkpoint.h"
#include "audit/dir.h"
#include "audit/hashes.h"
#include "audit/proof.h"
#include "audit/quorum.h"
#include "audit/verify.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/paths.h"

#define REQUEST_MAX (NOTE_MAX + 64u * 64u)
#define ANSWER_MAX  16384u
#define ASK_SECONDS 30
#define TRIES       3

extern char **environ;

struct cosign {
	int dir;
	struct quorum *quorum;
	char *note; /* the log's checkpoint, then with what was signed */
	size_t n;
	struct checkpoint c;
	int rolled_back;
};

/* ---- asking ---- */

/* ssh:DESTINATION or http(s)://… . 0 and argv, or -1. */
static int command_for(const char *url, char *buf, size_t cap, char *argv[16])
{
	static char *const curl[] = {"curl", "-sS", "--max-time", "25", "--max-filesize", "16384",
		"--proto", "=http,https", "--data-binary", "@-", "-H",
		"Content-Type: application/octet-stream", "-w", "\n%{http_code}", NULL};
	static char *const ssh[] = {
		"ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "--", NULL};
	int is_ssh = strncmp(url, "ssh:", 4) == 0;
	char *const *from = is_ssh ? ssh : curl;
	size_t i = 0;
	int n;

	if (!is_ssh && strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
		return -1;
	for (; from[i]; i++)
		argv[i] = from[i];
	n = is_ssh ? snprintf(buf, cap, "%s", url + 4)
		   : snprintf(buf, cap, "%s%sadd-checkpoint", url,
			     url[strlen(url) - 1] == '/' ? "" : "/");
	argv[i++] = buf;
	argv[i] = NULL;
	return n < 0 || (size_t)n >= cap || !*buf || *buf == '-' ? -1 : 0;
}

static int start(char *const argv[], int fds[2], pid_t *pid)
{
	posix_spawn_file_actions_t fa;
	int in[2], out[2], failed;

	if (pipe2(in, O_CLOEXEC) < 0)
		return -1;
	if (pipe2(out, O_CLOEXEC) < 0) {
		close(in[0]);
		close(in[1]);
		return -1;
	}
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, in[0], 0);
	posix_spawn_file_actions_adddup2(&fa, out[1], 1);
	failed = posix_spawnp(pid, argv[0], &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	close(in[0]);
	close(out[1]);
	fds[0] = out[0];
	fds[1] = in[1];
	if (failed) {
		close(fds[0]);
		close(fds[1]);
		errno = failed;
	}
	return failed ? -1 : 0;
}

/* Writes and reads at once, for as long as a witness may take. The answer's length, or -1. */
static ssize_t exchange(int fds[2], const char *request, size_t n, char answer[ANSWER_MAX])
{
	uint64_t end = io_now_mono() + ASK_SECONDS * 1000000000ull;
	size_t sent = 0, got = 0;

	fcntl(fds[1], F_SETFL, O_NONBLOCK);
	while (got < ANSWER_MAX - 1) {
		struct pollfd p[2] = {{.fd = fds[0], .events = POLLIN},
			{.fd = sent < n ? fds[1] : -1, .events = POLLOUT}};
		uint64_t now = io_now_mono();
		ssize_t r;

		if (now >= end || poll(p, 2, (int)((end - now) / 1000000u) + 1) <= 0)
			return -1;
		if (p[1].revents) {
			r = write(fds[1], request + sent, n - sent);
			sent = r < 0 ? n : sent + (size_t)r; /* it may answer without reading on */
			if (sent == n) {
				close(fds[1]);
				fds[1] = -1;
			}
		}
		if (!p[0].revents)
			continue;
		r = read(fds[0], answer + got, ANSWER_MAX - 1 - got);
		if (r <= 0)
			break;
		got += (size_t)r;
	}
	answer[got] = 0;
	return (ssize_t)got;
}

/* The status is behind the body with curl, in front of it with ssh. Cuts it off. */
static int take_status(char *answer, const char *url, char **body)
{
	char *end, *at = answer;

	if (strncmp(url, "ssh:", 4) != 0) {
		at = strrchr(answer, '\n');
		if (!at)
			return 0;
		*at++ = 0;
		*body = answer;
		return (int)strtol(at, &end, 10);
	}
	*body = strchr(answer, '\n');
	if (!*body)
		return 0;
	*(*body)++ = 0;
	return (int)strtol(answer, &end, 10);
}

/* The status of HTTP and the body in answer, or -1. */
static int ask(const char *url, const char *request, size_t n, char answer[ANSWER_MAX], char **body,
	struct error *e)
{
	char buf[512], *argv[16];
	int fds[2], status, code;
	ssize_t got;
	pid_t pid;

	if (command_for(url, buf, sizeof buf, argv) < 0)
		return error_set(e, 0, "not an address of a witness (http://…, https://…, ssh:…)");
	if (start(argv, fds, &pid) < 0)
		return error_set(e, errno, "cannot run %s", argv[0]);
	got = exchange(fds, request, n, answer);
	close(fds[0]);
	if (fds[1] >= 0)
		close(fds[1]);
	if (got < 0)
		kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	code = got > 0 ? take_status(answer, url, body) : 0;
	return code >= 100 && code < 600 ? code : error_set(e, 0, "no answer");
}

/* ---- one witness ---- */

static size_t make_request(const struct cosign *x, uint64_t old, char *request)
{
	struct hashes h = {x->dir, x->c.size};
	struct tree_hash path[PROOF_MAX];
	size_t n = 0, at;

	if (old && old < x->c.size &&
		proof_make_consistency(old, x->c.size, hashes_get, &h, path, &n) < 0)
		return 0;
	at = (size_t)snprintf(request, REQUEST_MAX, "old %llu\n", (unsigned long long)old);
	for (size_t i = 0; i < n; i++) {
		at += b64_encode(request + at, REQUEST_MAX - at, path[i].b, sizeof path[i].b);
		request[at++] = '\n';
	}
	request[at++] = '\n';
	if (REQUEST_MAX - at < x->n)
		return 0;
	memcpy(request + at, x->note, x->n);
	return at + x->n;
}

/* Keeps a line that is the witness's signature of this checkpoint; everything else is refused. */
static int keep_line(struct cosign *x, const struct note_vkey *k, const char *body, struct error *e)
{
	size_t n = strlen(body);
	char *grown;
	struct note *t;
	uint64_t when;
	int ok;

	if (n == 0 || body[n - 1] != '\n' || strchr(body, '\n') != body + n - 1)
		return error_set(e, 0, "the answer is not a signature line");
	grown = malloc(x->n + n + 1);
	if (!grown)
		return error_set(e, ENOMEM, "cannot hold the checkpoint");
	memcpy(grown, x->note, x->n);
	memcpy(grown + x->n, body, n + 1);
	t = note_parse(grown, x->n + n, e);
	ok = t && note_cosigned(t, k, &when) == 0;
	note_free(t);
	if (!ok) {
		free(grown);
		return error_set(e, 0, "the answer is not its signature of this checkpoint");
	}
	free(x->note);
	x->note = grown;
	x->n += n;
	return 0;
}

/* 409: what the witness has. 0 and *old, or -1. */
static int other_size(
	struct cosign *x, const char *body, const char *name, uint64_t *old, struct error *e)
{
	size_t n = strcspn(body, "\n");

	if (checkpoint_parse_size(body, n, old) < 0)
		return error_set(e, 0, "a conflict, without the size it knows");
	if (*old <= x->c.size)
		return 0;
	x->rolled_back = 1;
	return error_set(e, 0,
		"ROLLED_BACK: %.60s has signed for %llu records, and this log has %llu. An older "
		"state of it was put in its place: do not let agents run on it",
		name, (unsigned long long)*old, (unsigned long long)x->c.size);
}

/* 422: it knows other records than those that this log has now. */
static int forked(struct cosign *x, const char *name, struct error *e)
{
	x->rolled_back = 1;
	return error_set(e, 0,
		"FORK: what %.60s has signed is no part of this log. An older state of it was put "
		"in "
		"its place and has grown since, or two histories were written: do not let agents "
		"run "
		"on it",
		name);
}

static int ask_witness(struct cosign *x, const struct quorum_witness *w, struct error *e)
{
	static char request[REQUEST_MAX], answer[ANSWER_MAX];
	uint64_t old = 0;

	for (int i = 0; i < TRIES; i++) {
		size_t n = make_request(x, old, request);
		char *body = NULL;
		int status = n ? ask(w->url, request, n, answer, &body, e) : -1;

		if (n == 0)
			return error_set(e, 0, "the log's tiles are not complete");
		if (status < 0)
			return -1;
		if (status == 200 && body)
			return keep_line(x, w->vkey, body, e);
		if (status == 422)
			return forked(x, w->name, e);
		if (status != 409 || !body)
			return error_set(e, 0, "refused with %d: %.200s", status, body ? body : "");
		if (other_size(x, body, w->name, &old, e) < 0)
			return -1;
	}
	return error_set(e, 0, "it names another size each time");
}

static void ask_all(struct cosign *x)
{
	for (size_t i = 0; i < quorum_witnesses(x->quorum); i++) {
		struct quorum_witness w = quorum_witness(x->quorum, i);
		struct error e;

		if (!*w.url)
			continue;
		printf("%s: ", w.name);
		if (ask_witness(x, &w, &e) == 0)
			printf("signed for %llu records\n", (unsigned long long)x->c.size);
		else {
			audit_print_str(e.text);
			printf("\n");
		}
	}
}

/* ---- all of them ---- */

static int load(struct cosign *x, const char *dir, const char *policy, struct error *e)
{
	size_t n = 0;
	cleanup_free char *text = io_read_file(AT_FDCWD, policy, QUORUM_BYTES, &n, e);
	const struct note_vkey *key = NULL;

	x->quorum = text ? quorum_parse(text, n, e) : NULL;
	if (!x->quorum) {
		if (text)
			(void)error_prefix(e, "%.200s", policy);
		return -1;
	}
	x->dir = audit_open(dir, e);
	x->note = x->dir < 0 ? NULL : (char *)dir_read(x->dir, "checkpoint", NOTE_MAX, &x->n, e);
	if (!x->note)
		return -1;
	for (size_t i = 0; i < quorum_logs(x->quorum); i++) {
		key = quorum_log(x->quorum, i);
		if (checkpoint_open(x->note, x->n, key, &x->c, e) == 0)
			return 0;
	}
	return error_set(e, 0, "%.200s names no log that has signed this checkpoint", policy);
}

/* Whether enough have signed. What fewer have signed is kept, too: it is somebody's word. */
static int finish(struct cosign *x, const char *out, struct error *e)
{
	struct note *t = note_parse(x->note, x->n, e);
	struct quorum_signed by = {0};

	if (!t)
		return -1;
	quorum_check(x->quorum, t, &by);
	note_free(t);
	if (!by.by)
		return error_set(e, 0, "no witness has signed");
	if (out) {
		cleanup_close int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

		if (fd < 0 || io_write_all(fd, x->note, x->n) < 0)
			return error_set(e, errno, "cannot write %.200s", out);
	} else if (dir_write(x->dir, VERIFY_COSIGNED, x->note, x->n, 1, e) < 0) {
		return -1;
	}
	return by.met ? 0 : error_set(e, 0, "fewer witnesses have signed than the policy asks for");
}

int audit_cosign(int argc, char **argv)
{
	static const struct option options[] = {{"dir", required_argument, NULL, 'd'},
		{"policy", required_argument, NULL, 'p'}, {"output", required_argument, NULL, 'o'},
		{NULL, 0, NULL, 0}};
	const char *dir = NULL, *policy = NULL, *out = NULL;
	struct cosign x = {.dir = -1};
	struct paths p;
	struct error e;
	int c, r;

	while ((c = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
		if (c == 'd')
			dir = optarg;
		else if (c == 'p')
			policy = optarg;
		else if (c == 'o')
			out = optarg;
		else
			return audit_usage();
	}
	if (argc != optind || !policy)
		return audit_usage();
	if (!dir && paths_init(&p, NULL, &e) < 0)
		return audit_fail(&e, EXIT_UNDECIDED);
	signal(SIGPIPE, SIG_IGN);
	r = load(&x, dir ? dir : p.audit, policy, &e);
	if (r == 0) {
		ask_all(&x);
		r = finish(&x, out, &e);
	}
	quorum_free(x.quorum);
	free(x.note);
	if (x.dir >= 0)
		close(x.dir);
	return r < 0 || x.rolled_back ? (r < 0 ? audit_fail(&e, 1) : 1) : 0;
}
