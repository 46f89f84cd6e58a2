/* bench/policy: what a decision costs, and what it takes to get ready for it. Rule sets of the size
 * that people write (and ten times that), made from word lists, always the same ones.
 *   decide    policy_verdict on ready actions, ns each; and with the action made from a resolved
 *             string first
 *   compile   one policy_load, ms; states of the automaton
 *   hostile   the rows that explode in a subset construction over all rules
 *   diff      cold: process to printed Markdown, ms (build/agentctl)
 * usage: policy; prints one line a figure, with its aim, and MISSED behind it where it is.
 *        policy --peers DIR: a rule set and actions that other engines can read too, with our
 *        decisions, into DIR; prints our decisions a second (bench/policy/run) */
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

/* A program's sub-commands and flags, some with places; a sixth of the programs are known ones, whose
 * options may stand before the sub-command. */
static void exec_rule(char *out, size_t cap)
{
	static const char *const known[] = {"git", "npm", "pnpm", "yarn", "docker", "kubectl", "gh",
		"terraform", "make", "cargo", "curl", "node", "python3"};
	static const char *const subs[] = {"status", "log", "push", "build", "test", "install",
		"ci", "run", "apply", "delete", "add", "list"};
	static const char *const flags[] = {
		"-f|--force", "-v|--verbose", "-d|--delete", "--json", "-o|--output"};
	char name[60];

	if (roll(6) == 0)
		snprintf(name, sizeof name, "%s", known[roll(ARRAY_LEN(known))]);
	else
		snprintf(name, sizeof name, "%s-%s", word(), word());
	switch (roll(5)) {
	case 0:
		snprintf(out, cap, "%s %s ... flag(%s) ...", name, subs[roll(12)], flags[roll(5)]);
		break;
	case 1:
		snprintf(out, cap, "%s {%s,%s} path(ws)", name, subs[roll(12)], subs[roll(12)]);
		break;
	case 2:
		snprintf(out, cap, "%s %s origin refs/heads/%s/*", name, subs[roll(12)], word());
		break;
	default:
		snprintf(out, cap, "%s {%s,%s} ...", name, subs[roll(12)], subs[roll(12)]);
	}
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

static struct action *exec_action(void)
{
	static const char *const args[] = {"status", "push", "origin", "-v", "--force",
		"src/main.c", "build", "refs/heads/web/x", "https://a.example/x", "-la"};
	struct span argv[4];
	char path[120];
	struct action_exec x = {.argv = argv, .argc = 2 + roll(3)};
	struct action *a;

	snprintf(path, sizeof path, "/usr/bin/%s-%s", word(), word());
	if (roll(3) == 0)
		snprintf(path, sizeof path, "/usr/bin/git");
	x.invoked = x.file = (struct span){path, strlen(path)};
	argv[0] = (struct span){path + 9, strlen(path) - 9};
	for (size_t i = 1; i < x.argc; i++) {
		const char *arg = args[roll(ARRAY_LEN(args))];

		argv[i] = (struct span){arg, strlen(arg)};
	}
	return action_from_exec(&a, &places, &x, NULL) ? NULL : a;
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

/* The least of a few loads: what the machine does besides is not what is asked for. */
static double load_ms(const char *text)
{
	double least = 0;

	for (unsigned i = 0; i < 5; i++) {
		double ms;

		policy_free(load(text, &ms));
		if (i == 0 || ms < least)
			least = ms;
	}
	return least;
}

static void one_set(const char *section, enum action_kind id, rule_text *rule, make_action *make,
	unsigned rules, double decide_aim, double compile_aim)
{
	char *text = document(section, rule, rules), what[80];
	double ms;
	struct policy *p = load(text, &ms);

	ms = load_ms(text);
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

static void flag_rule(char *out, size_t cap)
{
	static unsigned n;

	snprintf(out, cap, "tool ... flag(--danger%u) ...", n++);
}

static void hostile(void)
{
	char *secrets = document("files", secret_rule, 300);
	char *flags = document("exec", flag_rule, 100);

	figure("**/*secretN* x 300: load and compile", load_ms(secrets), "ms", 50);
	figure("tool ... flag(--dangerN) ... x 100: load and compile", load_ms(flags), "ms", 50);
	free(secrets);
	free(flags);
}

/* ---- diff ---- */

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		exit(2);
}

static double command_ms(char *const argv[])
{
	posix_spawn_file_actions_t fa;
	uint64_t from = io_now_mono();
	int status;
	pid_t pid;

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
	if (posix_spawn(&pid, argv[0], &fa, NULL, argv, environ) || waitpid(pid, &status, 0) < 0 ||
		!WIFEXITED(status) || WEXITSTATUS(status) > 2)
		exit(2);
	posix_spawn_file_actions_destroy(&fa);
	return ms_since(from);
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

		ms[i] = command_ms(argv);
	}
	figure("diff of two policies, cold process to Markdown",
		stats_quantile(ms, ARRAY_LEN(ms), 0.5), "ms", 300);
	unlink(old);
	unlink(new);
	rmdir(dir);
	free(text);
	free(more);
}

/* ---- peers ---- */

#define PEER_ALLOWS 64u
#define PEER_DENIES 32u

/* Trees that are allowed and names that are denied wherever they are: what the languages have in
 * common. */
static char *peer_rules(FILE *cedar)
{
	char *text;
	size_t n;
	FILE *ours = open_memstream(&text, &n);

	if (!ours)
		exit(2);
	fputs("policy: 1\nunmatched: deny\nfiles:\n  allow:\n", ours);
	for (unsigned i = 0; i < PEER_ALLOWS; i++) {
		char tree[80];

		snprintf(tree, sizeof tree, i % 3 ? "%s/%s" : "%s", word(), word());
		fprintf(ours, "    - \"rw ws:/%s/**\"\n", tree);
		fprintf(cedar,
			"permit(principal, action, resource) when { context.path like \"ws:/%s/*\" "
			"};\n",
			tree);
	}
	fputs("  deny:\n", ours);
	for (unsigned i = 0; i < PEER_DENIES; i++) {
		char name[80];

		snprintf(name, sizeof name, i ? "%s-%s.key" : "id.pem", word(), word());
		fprintf(ours, "    - \"rw ws:/**/%s\"\n", name);
		fprintf(cedar,
			"forbid(principal, action, resource) when { context.path like "
			"\"ws:/*/%s\" || context.path == \"ws:/%s\" };\n",
			name, name);
	}
	if (fclose(ours) != 0)
		exit(2);
	return text;
}

static FILE *create(const char *dir, const char *name)
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "w");
	if (!f)
		exit(2);
	return f;
}

/* Operation, path and our verdict, tab by tab. */
static void peer_actions(const struct policy *p, FILE *f)
{
	for (size_t i = 0; i < ACTIONS; i++) {
		struct action *a = file_action();

		if (!a)
			exit(2);
		fprintf(f, "%c\t%s\t%s\n", a->word[0].p[1], (const char *)a->word[0].p + 2,
			verdict_name(policy_verdict(p, a)));
		action_free(a);
	}
	if (fclose(f) != 0)
		exit(2);
}

static void per_second(const char *what, double ns)
{
	printf("%-58s %9.0f decisions/s\n", what, 1e9 / ns);
}

/* Start to answer, in turns: may `git push` run, by 60 rules of one program and sub-command each. */
static void codex(const char *dir, const char *program)
{
	static double theirs[31], ours[31];
	char yaml[300], rules[300], agentctl[300];
	const char *build = getenv("BUILD");
	FILE *x = create(dir, "codex.yaml"), *y = create(dir, "codex.rules");

	fputs("policy: 1\nexec:\n  ask:\n", x);
	for (unsigned i = 0; i < 60; i++) {
		const char *a = i ? word() : "git", *b = i ? word() : "push";

		fprintf(x, "    - %s %s ...\n", a, b);
		fprintf(y, "prefix_rule(pattern=[\"%s\", \"%s\"], decision=\"prompt\")\n", a, b);
	}
	if (fclose(x) != 0 || fclose(y) != 0)
		exit(2);
	snprintf(yaml, sizeof yaml, "%s/codex.yaml", dir);
	snprintf(rules, sizeof rules, "%s/codex.rules", dir);
	snprintf(agentctl, sizeof agentctl, "%s/agentctl", build ? build : "build");
	for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
		char *const check[] = {(char *)(uintptr_t)program, (char *)"execpolicy",
			(char *)"check", (char *)"--rules", rules, (char *)"git", (char *)"push",
			(char *)"origin", NULL};
		char *const explain[] = {agentctl, (char *)"policy", (char *)"explain",
			(char *)"exec git push origin", yaml, NULL};

		theirs[i] = command_ms(check);
		ours[i] = command_ms(explain);
	}
	figure("codex execpolicy check, 60 rules, start to answer",
		stats_quantile(theirs, ARRAY_LEN(theirs), 0.5), "ms", 0);
	figure("agentctl policy explain, 60 rules, start to answer",
		stats_quantile(ours, ARRAY_LEN(ours), 0.5), "ms", 0);
}

static int peers(const char *dir)
{
	FILE *cedar = create(dir, "policy.cedar");
	char *text = peer_rules(cedar);
	double ms;
	struct policy *p;

	if (fclose(cedar) != 0)
		return 2;
	p = load(text, &ms);
	peer_actions(p, create(dir, "actions"));
	printf("policy: beside others\n");
	per_second("agentd, 96 files rules, the action made and decided", whole_ns(p, file_action));
	per_second("agentd, 96 files rules, a ready action", decide_ns(p, file_action));
	policy_free(p);
	free(text);
	if (getenv("CODEX"))
		codex(dir, getenv("CODEX"));
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--peers") == 0)
		return peers(argv[2]);
	printf("policy: decisions\n");
	one_set("exec", ACTION_EXEC, exec_rule, exec_action, 180, 100, 100);
	one_set("files", ACTION_FILE, file_rule, file_action, 96, 100, 100);
	one_set("net", ACTION_NET, net_rule, net_action, 103, 100, 100);
	one_set("exec", ACTION_EXEC, exec_rule, exec_action, 500, 150, 0); /* 1,000 are too many */
	one_set("files", ACTION_FILE, file_rule, file_action, 1000, 150, 1000);
	one_set("net", ACTION_NET, net_rule, net_action, 1000, 150, 1000);
	hostile();
	diff();
	return 0;
}
