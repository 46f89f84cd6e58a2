/* agentctl witness: signs the checkpoints of other machines' logs, and never two histories of one. Its
 * decisions are audit/witness.c; here are its two doors: HTTP as C2SP tlog-witness has it (libevent parses
 * it), and one request on standard input, for a forced command of sshd. */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agentctl/tools/tools.h"
#include "audit/dir.h"
#include "audit/witness.h"
#include "common/cleanup.h"
#include "common/io.h"

#define CLIENT_SECONDS 20

static const char usage_text[] =
	"usage: agentctl witness init --state DIR NAME         make a witness; prints its key\n"
	"       agentctl witness add-log --state DIR VKEY      sign for this log from now on\n"
	"       agentctl witness stdio --state DIR             answer one request (for sshd)\n"
	"       agentctl witness serve --state DIR ADDRESS:PORT\n"
	"                                                      answer over HTTP\n";

static int help(void)
{
	fputs(usage_text, stdout);
	fputs("\n"
	      "A witness runs on another machine than the log. It keeps the newest checkpoint of "
	      "each log\n"
	      "and signs only what extends it, so that nobody can show two histories, or go back "
	      "to an\n"
	      "old one. On the log's machine `agentctl audit cosign` asks it.\n"
	      "\n"
	      "NAME is one word, like witness.example/nas. In authorized_keys, for ssh:\n"
	      "  command=\"agentctl witness stdio --state /var/lib/witness\",restrict ssh-ed25519 "
	      "…\n"
	      "\n"
	      "exit codes: 0; 1 failed, or the request was refused; 2 usage\n",
		stdout);
	return TOOL_OK;
}

static int usage(void)
{
	fputs(usage_text, stderr);
	return TOOL_USAGE;
}

static int fail(const struct error *e)
{
	(void)tool_fail("witness", e);
	return TOOL_FAILED;
}

/* ---- init, add-log ---- */

static void print_vkey(const struct witness *w)
{
	char vkey[NOTE_VKEY_MAX];

	note_vkey_format(witness_vkey(w), vkey);
	printf("%s\n", vkey);
}

static int verb_init(int dir, const char *name)
{
	struct witness *w = NULL;
	struct error e;

	if (!name)
		return usage();
	if (witness_create(dir, name, &e) == 0)
		w = witness_open(dir, &e);
	if (!w)
		return fail(&e);
	print_vkey(w);
	witness_close(w);
	return TOOL_OK;
}

static int verb_add_log(int dir, const char *vkey)
{
	struct error e;
	struct witness *w;
	int r;

	if (!vkey)
		return usage();
	w = witness_open(dir, &e);
	r = w ? witness_add_log(w, vkey, strlen(vkey), &e) : -1;
	witness_close(w);
	return r < 0 ? fail(&e) : TOOL_OK;
}

/* ---- stdio ---- */

static int verb_stdio(int dir, const char *none)
{
	static char request[WITNESS_REQUEST_MAX + 1];
	struct witness_answer a;
	struct error e;
	struct witness *w;
	ssize_t n;

	if (none)
		return usage();
	alarm(CLIENT_SECONDS);
	w = witness_open(dir, &e);
	if (!w)
		return fail(&e);
	n = io_read_full(0, request, sizeof request);
	witness_add_checkpoint(w, request, n < 0 ? 0 : (size_t)n, io_now_real() / 1000000000u, &a);
	witness_close(w);
	printf("%d\n%.*s", a.status, (int)a.n, a.body);
	return fflush(stdout) == 0 && a.status == 200 ? TOOL_OK : TOOL_FAILED;
}

/* ---- serve ---- */

static const char *reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 409:
		return "Conflict";
	case 422:
		return "Unprocessable Entity";
	case 500:
		return "Internal Server Error";
	default:
		return "Bad Request";
	}
}

static void reply(struct evhttp_request *q, int status, const void *body, size_t n)
{
	struct evbuffer *b = evhttp_request_get_output_buffer(q);

	evhttp_add_header(evhttp_request_get_output_headers(q), "Content-Type",
		status == 409 ? "text/x.tlog.size" : "text/plain; charset=utf-8");
	evbuffer_add(b, body, n);
	evhttp_send_reply(q, status, reason(status), NULL);
}

static void on_add_checkpoint(struct evhttp_request *q, void *ctx)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(q);
	size_t n = evbuffer_get_length(in);
	struct witness_answer a;

	if (evhttp_request_get_command(q) != EVHTTP_REQ_POST || n > WITNESS_REQUEST_MAX) {
		reply(q, 400, "POST a request here\n", 20);
		return;
	}
	witness_add_checkpoint(
		ctx, (const char *)evbuffer_pullup(in, -1), n, io_now_real() / 1000000000u, &a);
	reply(q, a.status, a.body, a.n);
}

/* GET /<hex of the origin's SHA-256>/checkpoint */
static void on_other(struct evhttp_request *q, void *ctx)
{
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(q));
	char hex[65], *note = NULL;
	struct error e;
	size_t n = 0;

	if (evhttp_request_get_command(q) == EVHTTP_REQ_GET && path && strlen(path) == 76 &&
		strcmp(path + 65, "/checkpoint") == 0) {
		memcpy(hex, path + 1, 64);
		hex[64] = 0;
		note = witness_checkpoint(ctx, hex, &n, &e);
	}
	if (note)
		reply(q, 200, note, n);
	else
		reply(q, 404, "not found\n", 10);
	free(note);
}

static void on_signal(int sig, short what, void *base)
{
	(void)sig;
	(void)what;
	event_base_loopbreak(base);
}

/* ADDRESS:PORT or [ADDRESS]:PORT. 0 or -1. */
static int split_address(const char *text, char address[64], uint16_t *port)
{
	const char *colon = strrchr(text, ':');
	char *end;
	unsigned long p =
		colon && colon[1] >= '0' && colon[1] <= '9' ? strtoul(colon + 1, &end, 10) : 65536;
	size_t n = colon ? (size_t)(colon - text) : 0;

	if (p > 65535 || *end)
		return -1;
	if (n > 2 && text[0] == '[' && text[n - 1] == ']') {
		text++;
		n -= 2;
	}
	if (n == 0 || n >= 64)
		return -1;
	memcpy(address, text, n);
	address[n] = 0;
	*port = (uint16_t)p;
	return 0;
}

static int serve(struct witness *w, const char *address, uint16_t port, struct error *e)
{
	struct event_base *base = event_base_new();
	struct evhttp *http = base ? evhttp_new(base) : NULL;
	struct event *term = base ? evsignal_new(base, SIGTERM, on_signal, base) : NULL;
	struct event *intr = base ? evsignal_new(base, SIGINT, on_signal, base) : NULL;
	int r = -1;

	if (!http || !term || !intr) {
		error_set(e, ENOMEM, "cannot start");
	} else if (evhttp_bind_socket(http, address, port) < 0) {
		error_set(e, errno, "cannot listen on %s port %u", address, port);
	} else {
		evhttp_set_max_body_size(http, WITNESS_REQUEST_MAX);
		evhttp_set_max_headers_size(http, 8192);
		evhttp_set_timeout(http, CLIENT_SECONDS);
		evhttp_set_cb(http, "/add-checkpoint", on_add_checkpoint, w);
		evhttp_set_gencb(http, on_other, w);
		evsignal_add(term, NULL);
		evsignal_add(intr, NULL);
		printf("listening on %s port %u\n", address, port);
		fflush(stdout);
		r = event_base_dispatch(base) < 0 ? error_set(e, 0, "the event loop failed") : 0;
	}
	if (term)
		event_free(term);
	if (intr)
		event_free(intr);
	if (http)
		evhttp_free(http);
	if (base)
		event_base_free(base);
	return r;
}

static int verb_serve(int dir, const char *where)
{
	char address[64];
	struct witness *w;
	struct error e;
	uint16_t port;
	int r;

	if (!where || split_address(where, address, &port) < 0)
		return usage();
	signal(SIGPIPE, SIG_IGN);
	w = witness_open(dir, &e);
	r = w ? serve(w, address, port, &e) : -1;
	witness_close(w);
	return r < 0 ? fail(&e) : TOOL_OK;
}

int tool_witness(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int dir, const char *arg);
	} verbs[] = {{"init", verb_init}, {"add-log", verb_add_log}, {"stdio", verb_stdio},
		{"serve", verb_serve}};
	const char *state = NULL, *arg = NULL;
	struct error e;
	int dir, r = TOOL_USAGE;

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return help();
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--state") == 0 && i + 1 < argc && !state)
			state = argv[++i];
		else if (!arg && argv[i][0] != '-')
			arg = argv[i];
		else
			return usage();
	}
	if (argc < 2 || !state || sodium_init() < 0)
		return usage();
	umask(022);
	if (strcmp(argv[1], "init") == 0 && mkdir(state, 0700) < 0 && errno != EEXIST) {
		error_set(&e, errno, "cannot make %.200s", state);
		return fail(&e);
	}
	dir = dir_open(state, &e);
	if (dir < 0)
		return fail(&e);
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (strcmp(argv[1], verbs[i].name) == 0)
			r = verbs[i].run(dir, arg);
	}
	close(dir);
	return r == TOOL_USAGE ? usage() : r;
}
