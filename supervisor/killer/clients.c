/* kill.sock's connections: a fixed table. A client has 5 s to send one line; nothing it does costs
 * anybody else anything. When the table is full the oldest connection that has said nothing yet
 * makes room, first among those of the same user. Who a client is comes from the kernel only
 * (SO_PEERCRED, SO_PEERGROUPS: unix(7), socket(7)). */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "supervisor/killer/internal.h"

#define PER_TURN 32 /* connections accepted before others get their turn */
#define GROUPS   1024

void client_drop(struct client *c)
{
	if (c->state == CLIENT_FREE)
		return;
	close(c->fd);
	memset(c, 0, sizeof *c);
	c->fd = -1;
}

void client_send(struct client *c, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	if (c->state == CLIENT_FREE)
		return;
	va_start(ap, fmt);
	n = vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	if (n >= (int)sizeof line) {
		n = sizeof line - 1;
		line[n - 1] = '\n';
	}
	if (send(c->fd, line, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) != n)
		client_drop(c);
}

/* ---- who it is ---- */

static int in_group(int fd, gid_t primary, gid_t admin)
{
	gid_t groups[GROUPS];
	socklen_t n = sizeof groups;

	if (admin == (gid_t)-1)
		return 0;
	if (primary == admin)
		return 1;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &n) < 0)
		return 0;
	for (size_t i = 0; i < n / sizeof *groups; i++)
		if (groups[i] == admin)
			return 1;
	return 0;
}

static int identify(struct client *c, int fd, gid_t admin)
{
	struct ucred who;
	socklen_t n = sizeof who;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0 || n != sizeof who)
		return -1;
	c->uid = who.uid;
	c->pid = who.pid;
	c->admin = who.uid == 0 || in_group(fd, who.gid, admin);
	return 0;
}

/* ---- a place for it ---- */

static struct client *oldest(struct killer *k, enum client_state state, int of_uid, uid_t uid)
{
	struct client *found = NULL;

	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &k->clients[i];

		if (c->state == state && (!of_uid || c->uid == uid) &&
			(!found || c->since < found->since))
			found = c;
	}
	return found;
}

static unsigned silent_of(const struct killer *k, uid_t uid)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		n += k->clients[i].state == CLIENT_READING && k->clients[i].uid == uid;
	return n;
}

/* A free place, or one that is made free. A connection whose kill is being waited for goes last: the
 * kill itself goes on without it. There is always one. */
static struct client *make_room(struct killer *k, uid_t uid)
{
	struct client *c = NULL;

	if (silent_of(k, uid) >= SILENT_PER_UID)
		c = oldest(k, CLIENT_READING, 1, uid);
	if (!c)
		c = oldest(k, CLIENT_FREE, 0, 0);
	if (!c)
		c = oldest(k, CLIENT_READING, 0, 0);
	if (!c)
		c = oldest(k, CLIENT_WAITING, 0, 0);
	client_drop(c);
	return c;
}

static void refuse(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		/* It is refused either way. */
	}
	close(fd);
}

/* ---- what it says ---- */

/* The reason ends up in terminals and logs; control characters end here. */
static void clean(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

/* "KILL <target>[ <reason>]" without the newline. */
static void obey(struct killer *k, struct client *c, char *line, size_t n)
{
	struct kill_target t;
	char *target = line + 5, *reason;

	if (strlen(line) != n || n < 6 || memcmp(line, "KILL ", 5) != 0) {
		client_send(c, "ERR only KILL is understood here\n");
		client_drop(c);
		return;
	}
	reason = strchr(target, ' ');
	if (reason)
		*reason++ = 0;
	if (kill_parse(&t, target, strlen(target)) < 0) {
		client_send(c, "ERR not a sandbox name: KILL NAME, UID/NAME, *, UID/* or */*\n");
		client_drop(c);
		return;
	}
	if (reason)
		clean(reason);
	jobs_start(k, c, &t, reason ? reason : "");
}

void client_read(struct killer *k, struct client *c)
{
	ssize_t n = recv(c->fd, c->in + c->have, sizeof c->in - c->have, MSG_DONTWAIT);
	char *nl;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_drop(c);
		return;
	}
	nl = memchr(c->in + c->have, '\n', (size_t)n);
	c->have += (size_t)n;
	if (nl) {
		*nl = 0;
		obey(k, c, c->in, (size_t)(nl - c->in));
	} else if (c->have == sizeof c->in) {
		client_send(c, "ERR line longer than 4096 bytes\n");
		client_drop(c);
	}
}

/* ---- coming and going ---- */

static void admit(struct killer *k, int fd, uint64_t now)
{
	struct client who = {0}, *c;

	if (identify(&who, fd, k->cfg.admin_gid) < 0) {
		refuse(fd, "ERR cannot tell who you are\n");
		return;
	}
	if (paths_is_agent_uid(who.uid)) {
		refuse(fd, "ERR an agent may not kill\n");
		return;
	}
	c = make_room(k, who.uid);
	c->state = CLIENT_READING;
	c->fd = fd;
	c->uid = who.uid;
	c->pid = who.pid;
	c->admin = who.admin;
	c->since = now;
	c->deadline = now + k->cfg.verb_ms * 1000000ull;
	c->serial = ++k->next_serial;
	client_read(k, c); /* who means it has written already */
}

void clients_accept(struct killer *k, uint64_t now)
{
	for (int i = 0; i < PER_TURN; i++) {
		/* cppcheck-suppress nullPointer; accept(2) allows both to be NULL */
		int fd = accept4(k->cfg.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		admit(k, fd, now);
	}
}

void clients_expire(struct killer *k, uint64_t now)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &k->clients[i];

		if (c->state == CLIENT_READING && now >= c->deadline) {
			client_send(c, "ERR no verb in time\n");
			client_drop(c);
		}
	}
}

uint64_t clients_next(const struct killer *k)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		if (k->clients[i].state == CLIENT_READING && k->clients[i].deadline < next)
			next = k->clients[i].deadline;
	return next;
}
