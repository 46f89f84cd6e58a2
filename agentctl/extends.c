/* Files that documents extend; see extends.h. */
#include "agentctl/extends.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agentctl/verbs.h"
#include "common/cleanup.h"
#include "common/io.h"

#define LIST_MAX (256u << 10)

static int mentions(const char *text, size_t n, const char *word)
{
	return memmem(text, n, word, strlen(word)) != NULL;
}

/* A key that is spelled with escapes is not seen: then the broker misses the file, and nothing starts. */
int extends_note(struct extends *x, const char *path, const char *text, size_t n, struct error *e)
{
	if (!mentions(text, n, "extends") || !mentions(text, n, "sha256:"))
		return 0;
	if (x->docs == EXTENDS_DOCS_MAX)
		return error_set(e, E2BIG, "policies that extend files");
	x->doc[x->docs] = strdup(path);
	return x->doc[x->docs++] ? 0 : error_set(e, errno, "policy");
}

/* In the child: `agentctl-tools policy extended FILE…`, its output into the pipe. */
static void list_files(const struct extends *x, int out)
{
	char *argv[EXTENDS_DOCS_MAX + 4] = {(char *)(uintptr_t) "agentctl-tools",
		(char *)(uintptr_t) "policy", (char *)(uintptr_t) "extended"};

	for (size_t i = 0; i < x->docs; i++)
		argv[3 + i] = (char *)(uintptr_t)x->doc[i];
	if (dup2(out, 1) == 1)
		ctl_exec_tools(argv);
	_exit(127);
}

static int take_list(struct extends *x, int in, pid_t pid, struct error *e)
{
	int status;
	ssize_t got;

	x->list = malloc(LIST_MAX);
	got = x->list ? io_read_full(in, x->list, LIST_MAX) : -1;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return error_set(e, errno, "agentctl-tools");
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return error_set(e, 0,
			"policies that extend files need agentctl-tools, which is not beside "
			"agentctl: install agentd again");
	if (status != 0) /* it has said why */
		return error_set(e, 0, "the files that the policy extends cannot be read");
	if (got < 0 || (size_t)got == LIST_MAX || (got && x->list[got - 1]))
		return error_set(e, E2BIG, "the list of files that the policy extends");
	x->list_len = (size_t)got;
	return 0;
}

int extends_find(struct extends *x, struct error *e)
{
	cleanup_close int in = -1;
	int fds[2];
	pid_t pid;

	if (x->docs == 0)
		return 0;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_set(e, errno, "policies that extend files");
	in = fds[0];
	pid = fork();
	if (pid == 0)
		list_files(x, fds[1]);
	close(fds[1]);
	return pid < 0 ? error_set(e, errno, "policies that extend files")
		       : take_list(x, in, pid, e);
}

void extends_free(struct extends *x)
{
	while (x->docs)
		free((char *)(uintptr_t)x->doc[--x->docs]);
	free(x->list);
	*x = (struct extends){0};
}
