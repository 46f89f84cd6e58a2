/* The least that a hook process can do: connect, send 1 KB, wait for 1 KB, exit. Built static with musl
 * by bench/hook/run, as what `agentctl hook` is measured against.
 * usage: floor SOCKET */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(int argc, char **argv)
{
	static char buf[1024];
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int s;

	if (argc != 2 || strlen(argv[1]) >= sizeof a.sun_path)
		return 2;
	memset(buf, 'x', sizeof buf);
	memcpy(a.sun_path, argv[1], strlen(argv[1]) + 1);
	s = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(s, (struct sockaddr *)&a, sizeof a) < 0 ||
		send(s, buf, sizeof buf, 0) != sizeof buf ||
		recv(s, buf, sizeof buf, MSG_WAITALL) <= 0)
		return 3;
	return 0;
}
