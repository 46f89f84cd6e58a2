/* What the verbs of agentctl share: connecting to the daemons, reading their lines, reporting. Called
 * by the files of the verbs; knows no verb. Prints nothing of others without escape_text. */
#include "agentctl/verbs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/escape.h"
#include "common/io.h"
#include "common/jsonscan.h"

int ctl_fail(int code, const char *fmt, ...)
{
	char text[2048];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof text - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	if ((size_t)n > sizeof text - 2)
		n = sizeof text - 2;
	text[n] = '\n';
	(void)!write(2, "agentctl: ", 10);
	(void)!write(2, text, (size_t)n + 1);
	return code;
}

int ctl_usage(const struct verb *v, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	dprintf(2, "agentctl %s: %s\nusage: agentctl %s %s\n(agentctl help %s says more)\n",
		v->name, text, v->name, v->usage, v->name);
	return CTL_USAGE;
}

/* Why a connect failed, with what to do about it. */
static int connect_error(const struct ctl *c, const char *socket_path, int errnum, struct error *e)
{
	const char *root = c->paths.root;

	if (errnum == ENOENT || errnum == ECONNREFUSED) {
		if (*root)
			return error_set(e, 0,
				"agentd is not running below %s: start it with "
				"`sudo agentd-supervisor --root %s`",
				ctl_safe(root), ctl_safe(root));
		return error_set(e, 0,
			"agentd is not running: start it with `sudo systemctl start agentd`, or "
			"`sudo agentd-supervisor` where there is no systemd");
	}
	if (errnum == EACCES)
		return error_set(e, 0,
			"you may not reach %s: each directory above it needs the x permission for "
			"you",
			ctl_safe(socket_path));
	if (errnum == EAGAIN)
		return error_set(e, 0,
			"agentd does not take connections at the moment (%s is full): is it "
			"stopped? "
			"`agentctl doctor` looks",
			ctl_safe(socket_path));
	return error_set(e, errnum, "cannot connect to %s", ctl_safe(socket_path));
}

int ctl_connect(const struct ctl *c, const char *socket_path, struct error *e)
{
	int fd = io_connect_unix(socket_path);

	return fd >= 0 ? fd : connect_error(c, socket_path, errno, e);
}

int ctl_ask(const struct ctl *c, const char *socket_path, const char *request, struct ctl_lines *l,
	struct error *e)
{
	cleanup_close int fd = ctl_connect(c, socket_path, e);

	if (fd < 0)
		return -1;
	/* A server that refuses the connection answers before it reads: EPIPE is not the end. */
	if (io_send_fds(fd, request, strlen(request), NULL, 0, 0) < 0 && errno != EPIPE)
		return error_set(e, errno, "cannot write to %s", ctl_safe(socket_path));
	l->fd = fd;
	l->start = l->end = 0;
	return take_fd(&fd);
}

/* Takes a line out of what was read already. */
static char *buffered_line(struct ctl_lines *l)
{
	char *line = l->buf + l->start, *lf = memchr(line, '\n', l->end - l->start);

	if (!lf)
		return NULL;
	*lf = 0;
	for (char *p = line; p < lf; p++)
		if (!*p)
			*p = '?';
	l->start = (size_t)(lf + 1 - l->buf);
	return line;
}

int ctl_read_line(struct ctl_lines *l, char **line, struct error *e)
{
	for (;;) {
		ssize_t r;

		*line = buffered_line(l);
		if (*line)
			return 1;
		memmove(l->buf, l->buf + l->start, l->end - l->start);
		l->end -= l->start;
		l->start = 0;
		if (l->end == sizeof l->buf)
			return error_set(
				e, 0, "agentd sent a line of more than %zu bytes", sizeof l->buf);
		r = read(l->fd, l->buf + l->end, sizeof l->buf - l->end);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0 && errno != ECONNRESET)
			return error_set(e, errno, "cannot read agentd's answer");
		if (r <= 0) {
			if (l->end == 0)
				return 0;
			return error_set(e, 0, "agentd's answer ended in the middle of a line");
		}
		l->end += (size_t)r;
	}
}

int ctl_error(const struct error *e)
{
	return ctl_fail(CTL_FAILED, "%s", e->text);
}

int ctl_is_err(const char *line)
{
	if (strncmp(line, "ERR ", 4) != 0)
		return 0;
	ctl_fail(CTL_REFUSED, "%s", ctl_safe(line + 4));
	return 1;
}

int ctl_order(const struct ctl *c, const char *verb, const char *target, unsigned long *count)
{
	static struct ctl_lines l;
	char request[128], *line;
	struct error e;
	int r;
	cleanup_close int fd = -1;

	snprintf(request, sizeof request, "%s %s\n", verb, target);
	fd = ctl_ask(c, c->paths.control, request, &l, &e);
	if (fd < 0)
		return ctl_error(&e);
	r = ctl_read_line(&l, &line, &e);
	if (r < 0)
		return ctl_error(&e);
	if (r == 0)
		return ctl_fail(CTL_FAILED, "agentd closed the connection without an answer");
	if (ctl_is_err(line))
		return CTL_REFUSED;
	if (strncmp(line, count ? "OK " : "OK", count ? 3 : 2) != 0)
		return ctl_fail(CTL_FAILED, "agentd answered: %s", ctl_safe(line));
	if (count)
		*count = strtoul(line + 3, NULL, 10);
	return CTL_OK;
}

int ctl_option(int argc, char **argv, int *i, const char *name, char **value)
{
	const char *arg = argv[*i];
	size_t n = strlen(name);

	if (strncmp(arg, "--", 2) != 0 || strncmp(arg + 2, name, n) != 0)
		return 0;
	if (arg[2 + n] == '=') {
		*value = argv[*i] + 3 + n;
		return 1;
	}
	if (arg[2 + n])
		return 0;
	if (*i + 1 >= argc)
		return -1;
	*value = argv[++*i];
	return 1;
}

int ctl_name_ok(const char *s)
{
	const char *slash = strchr(s, '/');

	if (slash && slash > s && strspn(s, "0123456789") == (size_t)(slash - s))
		s = slash + 1;
	if (name_valid(s))
		return 1;
	ctl_fail(CTL_USAGE,
		"%s is no sandbox name: names are 1 to 40 of a-z 0-9 . _ - (agentctl ps lists "
		"yours)",
		ctl_safe(s));
	return 0;
}

size_t ctl_columns(void)
{
	struct winsize w;

	if (ioctl(1, TIOCGWINSZ, &w) < 0)
		return 0;
	return w.ws_col ? w.ws_col : 80;
}

void ctl_age(char *buf, size_t cap, long long unix_ms)
{
	long long s = ((long long)(io_now_real() / 1000000u) - unix_ms) / 1000;

	if (unix_ms <= 0 || s < 0)
		snprintf(buf, cap, "?");
	else if (s < 60)
		snprintf(buf, cap, "%llds", s);
	else if (s < 3600)
		snprintf(buf, cap, "%lldm", s / 60);
	else if (s < 86400)
		snprintf(buf, cap, "%lldh %lldm", s / 3600, s / 60 % 60);
	else
		snprintf(buf, cap, "%lldd %lldh", s / 86400, s / 3600 % 24);
}

const char *ctl_safe(const char *s)
{
	static char ring[8][1024];
	static unsigned next;
	char *out = ring[next++ % ARRAY_LEN(ring)];

	escape_text(out, sizeof ring[0], s, strlen(s));
	return out;
}

void ctl_json_string(const char *s)
{
	size_t n = strlen(s);

	putchar('"');
	while (n) { /* in parts, so that no length is too long; a part ends before a character does not */
		char part[JSON_QUOTE_CAP(512)];
		size_t k = n;

		if (k > 512)
			for (k = 512; k > 508 && ((unsigned char)s[k] & 0xc0) == 0x80;)
				k--;
		size_t w = json_quote(part, sizeof part, s, k);
		fwrite(part + 1, 1, w - 2, stdout);
		s += k;
		n -= k;
	}
	putchar('"');
}

/* It is beside this program, or where it was installed. */
void ctl_exec_tools(char **argv)
{
	char path[4096 + 32];
	ssize_t n = readlink("/proc/self/exe", path, 4096);
	char *slash;

	if (n > 0) {
		path[n] = 0;
		slash = strrchr(path, '/');
		if (slash) {
			snprintf(slash + 1, 32, "agentctl-tools");
			execv(path, argv);
		}
	}
	execv(AGENTD_PREFIX "/libexec/agentd/agentctl-tools", argv);
}
