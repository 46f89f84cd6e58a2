/* fanotify and inotify behind one interface; see dirwatch.h. */
#include "supervisor/dirwatch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>

#include "common/cleanup.h"
#include "supervisor/loop.h"

#define FAN_MASK                                                                                  \
	(FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO | FAN_MODIFY | FAN_CLOSE_WRITE | \
		FAN_ONDIR | FAN_EVENT_ON_CHILD)
#define IN_MASK (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ONLYDIR)
#define ROUNDS  8 /* a flood of events leaves time for others */

_Static_assert(DIRWATCH_NAMES == (FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO), "");
_Static_assert(DIRWATCH_NAMES == (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO), "");
_Static_assert(DIRWATCH_ARRIVES == (FAN_CREATE | FAN_MOVED_TO), "");
_Static_assert(DIRWATCH_CONTENT == (FAN_MODIFY | FAN_CLOSE_WRITE), "");

static int fan_fd = -1, in_fd = -1;
static dirwatch_fn *heard;
static void (*lost_some)(void), (*may_read)(void);

static struct file_handle *handle_of(const struct dirwatch *d)
{
	return (struct file_handle *)(uintptr_t)d->handle;
}

static int read_handle(int fd, struct dirwatch *d)
{
	int mount;

	d->wd = -1;
	handle_of(d)->handle_bytes = DIRWATCH_HANDLE_MAX;
	return name_to_handle_at(fd, "", handle_of(d), &mount, AT_EMPTY_PATH);
}

int dirwatch_same(const struct dirwatch *a, const struct dirwatch *b)
{
	const struct file_handle *x = handle_of(a), *y = handle_of(b);

	if (a->wd >= 0 || b->wd >= 0)
		return a->wd == b->wd;
	return x->handle_bytes == y->handle_bytes && x->handle_type == y->handle_type &&
	       !memcmp(x->f_handle, y->f_handle, x->handle_bytes);
}

int dirwatch_add(int fd, int each_write, struct dirwatch *d)
{
	static int told;
	char path[40];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (fan_fd >= 0 && read_handle(fd, d) == 0 &&
		fanotify_mark(fan_fd, FAN_MARK_ADD,
			each_write ? FAN_MASK : FAN_MASK & ~(uint64_t)FAN_MODIFY, AT_FDCWD,
			path) == 0)
		return 0;
	if (!told++)
		fprintf(stderr,
			"agentd-supervisor: no fanotify on a workspace (%s): inotify does not tell "
			"who changes a protected path\n",
			strerror(errno));
	d->wd = inotify_add_watch(in_fd, path, IN_MASK);
	return d->wd < 0 ? -1 : 0;
}

void dirwatch_remove(int fd, const struct dirwatch *d)
{
	struct dirwatch now;
	char path[40];

	if (d->wd >= 0) {
		inotify_rm_watch(in_fd, d->wd);
	} else if (fd >= 0 && read_handle(fd, &now) == 0 && dirwatch_same(&now, d)) {
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		fanotify_mark(fan_fd, FAN_MARK_REMOVE, FAN_MASK, AT_FDCWD, path);
	}
}

static void on_fanotify(const struct fanotify_event_metadata *m)
{
	const struct fanotify_event_info_fid *i = (const void *)(m + 1);
	const struct file_handle *h = (const void *)i->handle;
	struct dirwatch d = {.wd = -1};

	if (m->mask & FAN_Q_OVERFLOW) {
		lost_some();
		return;
	}
	if (m->pid == getpid() || m->event_len <= m->metadata_len + sizeof *i ||
		i->hdr.info_type != FAN_EVENT_INFO_TYPE_DFID_NAME ||
		h->handle_bytes > DIRWATCH_HANDLE_MAX)
		return;
	memcpy(d.handle, h, sizeof *h + h->handle_bytes);
	heard(&d, (const char *)h->f_handle + h->handle_bytes, m->mask, m->pid);
}

static void on_inotify(const struct inotify_event *ev)
{
	struct dirwatch d = {.wd = ev->wd};

	if (ev->mask & IN_Q_OVERFLOW)
		lost_some();
	else if (ev->len)
		heard(&d, ev->name, ev->mask, 0);
}

void dirwatch_read(void)
{
	static _Alignas(8) char buf[65536];
	ssize_t n;

	for (int round = 0; fan_fd >= 0 && round < ROUNDS; round++) {
		n = read(fan_fd, buf, sizeof buf);
		if (n <= 0)
			break;
		for (const struct fanotify_event_metadata *m = (const void *)buf;
			FAN_EVENT_OK(m, n); m = FAN_EVENT_NEXT(m, n))
			on_fanotify(m);
	}
	for (int round = 0; round < ROUNDS; round++) {
		n = read(in_fd, buf, sizeof buf);
		if (n <= 0)
			return;
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *ev = (const void *)p;

			p += sizeof *ev + ev->len;
			on_inotify(ev);
		}
	}
}

static void event(void *arg, uint32_t events)
{
	(void)arg;
	(void)events;
	may_read();
}

int dirwatch_init(dirwatch_fn *fn, void (*lost)(void), void (*ready)(void), struct error *e)
{
	heard = fn;
	lost_some = lost;
	may_read = ready;
	fan_fd = fanotify_init(
		FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_NONBLOCK | FAN_CLOEXEC, O_RDONLY);
	in_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (in_fd < 0)
		return error_set(e, errno, "cannot watch protected paths");
	if (fan_fd >= 0 && !loop_watch(fan_fd, EPOLLIN, event, NULL, e))
		return -1;
	return loop_watch(in_fd, EPOLLIN, event, NULL, e) ? 0 : -1;
}
