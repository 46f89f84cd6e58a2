/* Fuzzes what agentctl parses of others' bytes: git's configuration, a program's terminal output, typed
 * keys, the supervisor's and the broker's lines. */
/* NOLINTBEGIN(bugprone-suspicious-include): agentctl is no library */
#include "agentctl/client.c"
#include "agentctl/gitconfig.c"
#include "agentctl/keys.c"
#include "agentctl/outcome.c"
#include "agentctl/screen.c"
#include "agentctl/toolchains.c"
/* NOLINTEND(bugprone-suspicious-include) */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_gitconfig(const char *text, size_t n)
{
	static struct gitconfig g;

	memset(&g, 0, sizeof g);
	g.workspace = "/nowhere/w";
	g.home = "/nowhere";
	gitconfig_scan(&g, ".git", text, n);
	for (size_t i = 0; i < g.n; i++)
		if (!g.list[i][0] || g.list[i][0] == '/' || strstr(g.list[i], "/../") ||
			strncmp(g.list[i], "../", 3) == 0)
			abort();
}

static void fuzz_screen(const char *text, size_t n)
{
	char undo[SCREEN_UNDO_MAX];
	struct screen s = {0};

	screen_feed(&s, text, n);
	if (screen_undo(&s, undo) > sizeof undo)
		abort();
}

static void fuzz_keys(const char *text, size_t n)
{
	char *out = malloc(n + KEYS_HELD_MAX);
	struct detach_keys k;
	int detach;

	(void)detach_keys_parse(&k, "ctrl-a,ctrl-b,c");
	for (size_t i = 0; i < n; i += 7)
		if (detach_keys_feed(&k, text + i, n - i < 7 ? n - i : 7, out, &detach) >
			n + KEYS_HELD_MAX)
			abort();
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct detach_keys k;
	struct outcome o = {0};
	char *text = malloc(size + 1), path[64];

	memcpy(text, data, size);
	text[size] = 0;
	fuzz_gitconfig(text, size);
	fuzz_screen(text, size);
	fuzz_keys(text, size);
	(void)detach_keys_parse(&k, text);
	(void)outcome_of_line(&o, text);
	(void)outcome_of_notification(&o, text);
	if (path_clean(text, path, sizeof path) == 0 && (path[0] != '/' || strstr(path, "//")))
		abort();
	free(text);
	return 0;
}
