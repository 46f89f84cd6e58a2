/* bench/policy: what a decision costs, and what it takes to get ready for it. Rule sets of the size
 * that people write (and ten times that), made from word lists, always the same ones.
 *   decide    policy_verdict on ready actions, ns each; and with the action made from a resolved
 *             string first
 *   compile   one policy_load, ms; states of the automaton
 *   hostile   the rows that explode in a subset construction over all rules
 *   diff      cold: process to printed Markdown, ms (build/agentctl)
 * usage: policy; prints one line a figure, with its aim, and MISSED behind it where it is. */
#include "bench/stats.h"
#include "common/cleanup.h"
#include "policy/automata/dfa.h"
#include "policy/compile.h"

static unsigned long long seed = 0x9e3779b97f4a7c15ULL;

static unsigned roll(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)((seed >> 11) % n);
}

static double ms_since(uint64_t from)
{
	return (double)(io_now_mono() - from) / 1e6;
}

static void figure(const char *what, double value, const char *unit, double aim)
{
	int bad = aim > 0 && value > aim;

	if (aim > 0)
		printf("%-58s %9.1f %-3s (aim: %g)%s\n", what, value, unit, aim,
			bad ? "  MISSED" : "");
	else
		printf("%-58s %9.1f %s\n", what, value, unit);
}

/* ---- rule sets ---- */

static const char *const words[] = {"src", "lib", "test", "docs", "build", "dist", "node_modules",
	"vendor", "config", "scripts", "public", "assets", "api", "web", "server", "client", "core",
	"utils", "types", "locales", "migrations", "fixtures", "packages", "apps", "tools",
	"infra"};
static const char *const ends[] = {"*.c", "*.h", "*.ts", "*.js", "*.json", "*.md", "*.pem", "*.key",
	".env", ".env.*", "*.yaml", "*.lock", "*.sql", "*.sh", "**"};
static const char *const tops[] = {"com", "org", "net", "dev", "io", "example"};

static const char *word(void)
{
	return words[roll(ARRAY_LEN(words))];
}

/* As people write them: trees and kinds of files in a place, names wherever they are. */
static void file_rule(char *out, size_t cap)
{
	static const char *const ops[] = {"r", "rw", "w", "rw"};
	static const char *const roots[] = {"ws:/", "ws:/", "ws:/", "home:/.", "/usr/", "tmp:/"};
	const char *op = ops[roll(4)];

	switch (roll(4)) {
	case 0:
		snprintf(out, cap, "\"%s ws:/**/%s%s\"", op, roll(2) ? "." : "", word());
		break;
	case 1:
		snprintf(out, cap, "\"%s %s%s/%s/%s\"", op, roots[roll(6)], word(), word(),
			ends[roll(ARRAY_LEN(ends))]);
		break;
	default:
		snprintf(out, cap, "\"%s %s%s-%s/%s\"", op, roots[roll(6)], word(), word(),
			roll(3) ? "**" : ends[roll(ARRAY_LEN(ends))]);
	}
}

static void net_rule(char *out, size_t cap)
{
	if (roll(8) == 0)
		snprintf(out, cap, "\"10.%u.0.0/16:%u\"", roll(200), 1 + roll(9000));
	else
		snprintf(out, cap, "\"%s%s-%s.%s:%s\"", roll(4) ? roll(2) ? "api." : "" : "*.",
			word(), word(), tops[roll(6)], roll(5) ? "443" : "80,443");
}

typedef void rule_text(char *out, size_t cap);

static char *document(const char *section, rule_text *rule, unsigned rules)
{
	static const char *const effects[] = {"allow", "ask", "deny"};
	size_t cap = 200 + (size_t)rules * 160, n;
	char *text = malloc(cap);

	if (!text)
		exit(2);
	n = (size_t)snprintf(text, cap, "policy: 1\nunmatched: deny\n%s:\n", section);
	for (unsigned e = 0; e < 3; e++) {
		n += (size_t)snprintf(text + n, cap - n, "  %s:\n", effects[e]);
		for (unsigned i = 0; i < rules / 3 + (e < rules % 3); i++) {
			char one[120];

			rule(one, sizeof one);
			n += (size_t)snprintf(text + n, cap - n, "    - %s\n", one);
		}
	}
	return text;
}

static struct policy *load(const char *text, double *ms)
{
	struct policy_doc d = {"bench.yaml", POLICY_CLI, text, strlen(text)};
	struct policy_error e;
	uint64_t from = io_now_mono();
	struct policy *p = policy_load(&d, 1, NULL, &e);

	*ms = ms_since(from);
	if (!p) {
		fprintf(stderr, "bench policy: %s\n", e.text);
		exit(2);
	}
	return p;
}

/* ---- actions ---- */

#define ACTIONS 4096

static const struct action_places places = {
	.ws = "/home/user/web", .home = "/home/user", .tmp = "/tmp", .cwd = "/home/user/web"};

static struct action *file_action(void)
{
	static const char *const names[] = {"main.c", "index.ts", "package.json", ".env", "id.pem",
		"README.md", "schema.sql", "run.sh"};
	char path[200];
	struct action *a;

	snprintf(path, sizeof path, "/home/user/web/%s/%s/%s", word(), word(), names[roll(8)]);
	return action_from_file(&a, &places, "rwdma"[roll(5)], path, strlen(path), NULL) ? NULL : a;
}

static struct action *net_action(void)
{
	char host[120];
	struct action *a;

	snprintf(host, sizeof host, "%s%s-%s.%s", roll(2) ? "api." : "", word(), word(),
		tops[roll(6)]);
	return action_from_net(&a, host, strlen(host), 443, NULL) ? NULL : a;
}

typedef struct action *make_action(void);

/* Nanoseconds of one verdict over many different actions, the median of rounds. */
static double decide_ns(const struct policy *p, make_action *make)
{
	static struct action *a[ACTIONS];
	static double round[41];
	volatile unsigned sink = 0;

	for (size_t i = 0; i < ACTIONS; i++) {
		a[i] = make();
		if (!a[i])
			exit(2);
	}
	for (size_t r = 0; r < ARRAY_LEN(round); r++) {
		uint64_t from = io_now_mono();

		for (size_t i = 0; i < ACTIONS; i++)
			sink += policy_verdict(p, a[i]);
		round[r] = ms_since(from) * 1e6 / ACTIONS;
	}
	for (size_t i = 0; i < ACTIONS; i++)
		action_free(a[i]);
	return stats_quantile(round, ARRAY_LEN(round), 0.5);
}

static double whole_ns(const struct policy *p, make_action *make)
{
	static double round[21];
	volatile unsigned sink = 0;

	for (size_t r = 0; r < ARRAY_LEN(round); r++) {
		uint64_t from = io_now_mono();

		for (size_t i = 0; i < ACTIONS; i++) {
			struct action *a = make();

			sink += policy_verdict(p, a);
			action_free(a);
		}
		round[r] = ms_since(from) * 1e6 / ACTIONS;
	}
	return stats_quantile(round, ARRAY_LEN(round), 0.5);
}

static void one_set(const char *section, enum action_kind id, rule_text *rule, make_action *make,
	unsigned rules, double decide_aim, double compile_aim)
{
	char *text = document(section, rule, rules), what[80];
	double ms;
	struct policy *p = load(text, &ms);

	snprintf(what, sizeof what, "%u %s rules: decide", rules, section);
	figure(what, decide_ns(p, make), "ns", decide_aim);
	snprintf(what, sizeof what, "%u %s rules: make the action, decide", rules, section);
	figure(what, whole_ns(p, make), "ns", rules < 200 ? 1000 : 0);
	snprintf(what, sizeof what, "%u %s rules: load and compile", rules, section);
	figure(what, ms, "ms", compile_aim);
	snprintf(what, sizeof what, "%u %s rules: states", rules, section);
	figure(what, p->compiled[id].decision->states, "", 0);
	policy_free(p);
	free(text);
}

/* ---- hostile sets ---- */

static void secret_rule(char *out, size_t cap)
{
	static unsigned n;

	snprintf(out, cap, "\"r ws:/**/*secret%u*\"", n++);
}

static void hostile(void)
{
	char *text = document("files", secret_rule, 300);
	double ms;
	struct policy *p = load(text, &ms);

	figure("**/*secretN* x 300: load and compile", ms, "ms", 50);
	policy_free(p);
	free(text);
}

/* ---- diff ---- */

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		exit(2);
}

static void diff(void)
{
	const char *build = getenv("BUILD");
	char dir[] = "/tmp/agentd-bench-XXXXXX", old[64], new[64], program[300];
	char *text = document("files", file_rule, 96), *more;
	static double ms[15];

	if (!mkdtemp(dir) || asprintf(&more, "%s    - \"r ws:/deploy/**\"\n", text) < 0)
		exit(2);
	snprintf(old, sizeof old, "%s/old.yaml", dir);
	snprintf(new, sizeof new, "%s/new.yaml", dir);
	snprintf(program, sizeof program, "%s/agentctl", build ? build : "build");
	write_file(old, text);
	write_file(new, more);
	for (size_t i = 0; i < ARRAY_LEN(ms); i++) {
		char *const argv[] = {program, (char *)"policy", (char *)"diff", (char *)"--format",
			(char *)"markdown", old, new, NULL};
		posix_spawn_file_actions_t fa;
		uint64_t from = io_now_mono();
		int status;
		pid_t pid;

		posix_spawn_file_actions_init(&fa);
		posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
		if (posix_spawn(&pid, program, &fa, NULL, argv, environ) ||
			waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) ||
			WEXITSTATUS(status) > 2)
			exit(2);
		ms[i] = ms_since(from);
		posix_spawn_file_actions_destroy(&fa);
	}
	figure("diff of two policies, cold process to Markdown",
		stats_quantile(ms, ARRAY_LEN(ms), 0.5), "ms", 300);
	unlink(old);
	unlink(new);
	rmdir(dir);
	free(text);
	free(more);
}

int main(void)
{
	printf("policy: decisions\n");
	one_set("files", ACTION_FILE, file_rule, file_action, 96, 100, 100);
	one_set("net", ACTION_NET, net_rule, net_action, 103, 100, 100);
	one_set("files", ACTION_FILE, file_rule, file_action, 1000, 150, 1000);
	one_set("net", ACTION_NET, net_rule, net_action, 1000, 150, 1000);
	hostile();
	diff();
	return 0;
}
