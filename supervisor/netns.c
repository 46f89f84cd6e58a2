/* The pool of network namespaces; see netns.h and network_namespaces(7). */
#include "supervisor/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "common/cleanup.h"

static int loopback_up(void)
{
	cleanup_close int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

	return s < 0 ? -1 : ioctl(s, SIOCSIFFLAGS, &r);
}

int netns_fill_one(struct netns_pool *p)
{
	int fd;

	if (p->n == NETNS_POOL)
		return 1;
	if (unshare(CLONE_NEWNET) < 0 || loopback_up() < 0)
		return -1;
	fd = openat(p->proc_fd, "self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	p->fd[p->n++] = fd;
	return 0;
}

int netns_take(struct netns_pool *p)
{
	if (!p->n && netns_fill_one(p) < 0)
		return -1;
	return p->fd[--p->n];
}
