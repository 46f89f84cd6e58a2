/* Launches: from a request to a plan that plan_check accepts, or a refusal with a cure. */
#include <time.h>

#include "agentd/broker/env.h"
#include "agentd/broker/plans.h"
#include "agentd/broker/trust.h"
#include "tests/unit/broker_rig.h"

#define REPO "/home/ann/web/.agentd/policy.yaml"

static const char *text(const struct plan_header *p, struct plan_str s)
{
	return plan_text(p, s);
}

/* The value of a variable in the plan, or NULL. */
static const char *env(const struct plan_header *p, const char *name)
{
	size_t n = strlen(name);

	for (uint32_t i = 0; i < p->envc; i++) {
		const char *s = text(p, plan_env(p, i));

		if (strncmp(s, name, n) == 0 && s[n] == '=')
			return s + n + 1;
	}
	return NULL;
}

/* The bytes of a PLAN_DATA file, the source of a bind, or the path of a protect entry; or NULL. */
static const char *mount_at(const struct plan_header *p, unsigned kind, const char *dst)
{
	for (uint32_t i = 0; i < p->mountc; i++) {
		const struct plan_mount *m = plan_mount_at(p, i);
		const char *at = text(p, kind == PLAN_PROTECT ? m->src : m->dst);

		if (m->kind == kind && strcmp(at, dst) == 0)
			return text(p, m->src);
	}
	return NULL;
}

static const struct plan_header *launch(struct request_writer *w)
{
	ck_assert_msg(rig_run_as(w, ANN, 5) == 1, "%s", rig.refused);
	return rig_plan();
}

START_TEST(a_request_becomes_a_plan_and_its_start_is_in_the_log_first)
{
	struct request_writer w;
	const struct plan_header *p;
	json_t *r;

	rig_request(&w, "web");
	p = launch(&w);
	ck_assert_str_eq(text(p, p->name), "web");
	ck_assert_uint_eq(p->uid, ANN);
	ck_assert_uint_eq(p->inner_uid, ANN);
	ck_assert_str_eq(text(p, p->user_name), "ann");
	ck_assert_str_eq(text(p, p->home), "/home/ann");
	ck_assert_str_eq(text(p, p->cwd), "/home/ann/web/src");
	ck_assert_str_eq(text(p, p->hostname), "web");
	ck_assert_uint_eq(p->argc, 1);
	r = rig_last("session.start");
	ck_assert_str_eq(
		json_string_value(json_object_get(r, "policy_sha256")), text(p, p->policy_sha256));
	ck_assert_str_eq(json_string_value(json_object_get(r, "s")), text(p, p->session));
	ck_assert_int_eq(json_integer_value(json_object_get(r, "n")), 0);
}
END_TEST

START_TEST(no_log_no_launch)
{
	struct request_writer w;

	rig.mode = REC_REFUSE;
	rig_request(&w, "web");
	ck_assert_int_eq(rig_run_as(&w, ANN, 5), 0);
	ck_assert_ptr_nonnull(strstr(rig.refused, "nothing was started"));
	close(rig.rec);
	rig.rec = -1;
	rig_idle(5);
	rig_request(&w, "web");
	ck_assert_int_eq(rig_run_as(&w, ANN, 6), 0);
	ck_assert_ptr_nonnull(strstr(rig.refused, "doctor"));
}
END_TEST

START_TEST(root_gets_an_ordinary_name_inside)
{
	struct request_writer w;
	const struct plan_header *p;

	request_begin(&w);
	request_put_str(&w, REQ_WORKSPACE, "/root/web");
	request_put_str(&w, REQ_HOME, "/root");
	request_put_str(&w, REQ_USER, "root");
	request_put_str(&w, REQ_ARG, "bash");
	ck_assert_int_eq(rig_run_as(&w, 0, 5), 1);
	p = rig_plan();
	ck_assert_uint_eq(p->inner_uid, 1000);
	ck_assert_uint_eq(p->inner_gid, 1000);
	ck_assert_str_eq(text(p, p->user_name), "agent");
	ck_assert_str_eq(text(p, p->home), "/home/agent");
	ck_assert_ptr_nonnull(strstr(mount_at(p, PLAN_DATA, "/etc/passwd"),
		"agent:x:1000:1000:agent:/home/agent:/bin/bash\n"));
}
END_TEST

START_TEST(only_what_policy_passes_of_the_environment_gets_in)
{
	struct request_writer w;
	const struct plan_header *p;

	rig_request(&w, "web");
	request_put_str(&w, REQ_ENV, "LANG=C.UTF-8");
	request_put_str(&w, REQ_ENV, "LD_PRELOAD=/tmp/x.so");
	request_put_str(&w, REQ_ENV, "BASH_ENV=/tmp/x");
	request_put_str(&w, REQ_ENV, "GIT_SSH_COMMAND=sh");
	request_put_str(&w, REQ_ENV, "AGENTD_SANDBOX=other");
	request_put_str(&w, REQ_ENV, "HOME=/elsewhere");
	request_put_str(&w, REQ_ENV, "NOEQUALS");
	rig_put_doc(&w, DOC_CLI, "/home/ann/p.yaml",
		"policy: 1\nname: t\nenv: {pass: [PATH, LANG, LD_PRELOAD, BASH_ENV, "
		"GIT_SSH_COMMAND, HOME, AGENTD_SANDBOX], "
		"set: {CI: \"1\", NODE_OPTIONS: --max-old-space-size=99}}\n");
	p = launch(&w);
	ck_assert_str_eq(env(p, "PATH"), "/usr/bin:/bin");
	ck_assert_str_eq(env(p, "LANG"), "C.UTF-8");
	ck_assert_str_eq(env(p, "CI"), "1");
	ck_assert_str_eq(env(p, "NODE_OPTIONS"), "--max-old-space-size=99");
	ck_assert_str_eq(env(p, "HOME"), "/home/ann");
	ck_assert_str_eq(env(p, "TMPDIR"), "/tmp");
	ck_assert_str_eq(env(p, "AGENTD_SANDBOX"), "web");
	ck_assert_str_eq(env(p, "AGENTD_SESSION"), text(p, p->session));
	ck_assert_ptr_null(env(p, "LD_PRELOAD"));
	ck_assert_ptr_null(env(p, "BASH_ENV"));
	ck_assert_ptr_null(env(p, "GIT_SSH_COMMAND"));
	ck_assert_ptr_null(env(p, "SECRET"));
}
END_TEST

START_TEST(names_are_unique_among_a_users_live_sandboxes)
{
	struct request_writer w;
	const struct plan_header *p;

	rig_request(&w, NULL);
	p = launch(&w);
	ck_assert_str_eq(text(p, p->name), "web");
	rig_request(&w, NULL);
	ck_assert_int_eq(rig_run_as(&w, ANN, 6), 1);
	ck_assert_str_eq(text(rig_plan(), rig_plan()->name), "web-2");
	rig_request(&w, "web");
	ck_assert_int_eq(rig_run_as(&w, ANN, 7), 0);
	ck_assert_ptr_nonnull(strstr(rig.refused, "runs already"));
	rig_request(&w, "web"); /* another user's name is not taken */
	ck_assert_int_eq(rig_run_as(&w, ANN + 1, 8), 1);
}
END_TEST

START_TEST(a_name_is_made_of_the_workspace_and_the_agent)
{
	struct runreq r = {.workspace = "/x/My Web_Shop!", .agent = "claude-code"};
	char name[NAME_CAP];

	plans_name(name, &r, 1);
	ck_assert_str_eq(name, "my-web-shop-claude-code");
	plans_name(name, &r, 3);
	ck_assert_str_eq(name, "my-web-shop-claude-code-3");
	r.workspace = "/x/\xc3\xa4\xc3\xb6";
	r.agent = NULL;
	plans_name(name, &r, 1);
	ck_assert_str_eq(name, "agent");
	ck_assert(name_valid(name));
}
END_TEST

START_TEST(claude_code_gets_a_hook_that_it_cannot_take_away)
{
	struct request_writer w;
	const struct plan_header *p;
	const char *settings;
	json_t *o, *hook;

	rig_request(&w, "web");
	request_put_str(&w, REQ_AGENT, "claude-code");
	rig_put_doc(&w, DOC_CLI, "/p.yaml", "policy: 1\nname: t\napprovals: {timeout: 5m}\n");
	p = launch(&w);
	settings = mount_at(p, PLAN_DATA, "/etc/claude-code/managed-settings.json");
	ck_assert_ptr_nonnull(settings);
	o = json_loads(settings, JSON_REJECT_DUPLICATES, NULL);
	ck_assert_ptr_nonnull(o);
	ck_assert(json_is_true(json_object_get(o, "allowManagedHooksOnly")));
	hook = json_array_get(json_object_get(json_object_get(o, "hooks"), "PreToolUse"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(hook, "matcher")), "*");
	hook = json_array_get(json_object_get(hook, "hooks"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(hook, "command")),
		"/run/agentd/agentctl hook claude-code");
	ck_assert_str_eq(json_string_value(json_object_get(hook, "onFailure")), "block");
	ck_assert_int_gt(json_integer_value(json_object_get(hook, "timeout")), 300);
	json_decref(o);
}
END_TEST

START_TEST(mounts_come_from_policy_and_toolchains_never_hold_secrets)
{
	struct request_writer w;
	const struct plan_header *p;
	static const char *const tools[] = {"/home/ann/.nvm/versions/node/v20", "/home/ann",
		"/home/ann/.ssh", "/home/ann/.ssh/bin", "/home", "/usr/bin", "/home/ann/web/bin",
		"/"};

	rig_request(&w, "web");
	for (size_t i = 0; i < sizeof tools / sizeof *tools; i++)
		request_put_str(&w, REQ_TOOLCHAIN, tools[i]);
	request_put_str(&w, REQ_PROTECT, ".githooks");
	rig_put_doc(&w, DOC_CLI, "/p.yaml",
		"policy: 1\nname: t\nworkspace:\n  mounts:\n    - rw ws:/\n    - ro ws:/vendor\n"
		"    - hidden ws:/secrets\n    - ro /opt/data\n    - hidden home:/\n");
	p = launch(&w);
	ck_assert_ptr_nonnull(mount_at(p, PLAN_BIND_RO, tools[0]));
	for (size_t i = 1; i < sizeof tools / sizeof *tools; i++)
		ck_assert_msg(!mount_at(p, PLAN_BIND_RO, tools[i]), "%s", tools[i]);
	ck_assert_ptr_nonnull(mount_at(p, PLAN_PROTECT, ".githooks"));
	ck_assert_ptr_nonnull(mount_at(p, PLAN_PROTECT, "vendor"));
	ck_assert_ptr_nonnull(mount_at(p, PLAN_HIDE, "/home/ann/web/secrets"));
	ck_assert_str_eq(mount_at(p, PLAN_BIND_RO, "/opt/data"), "/opt/data");
	ck_assert_ptr_null(mount_at(p, PLAN_HIDE, "/home/ann"));
	ck_assert_ptr_null(mount_at(p, PLAN_BIND_RW, "/home/ann/web"));
}
END_TEST

START_TEST(tools_below_the_users_home_are_shown_wherever_the_home_is)
{
	static const struct {
		const char *home, *tool;
		int shown;
	} t[] = {
		{"/var/lib/ann", "/var/lib/ann/.nvm/versions/node/v20", 1},
		{"/var/tmp/ann", "/var/tmp/ann/.cargo/bin", 1},
		{"/tmp/ann", "/tmp/ann/go/bin", 1},
		{"/var/lib/ann", "/var/lib/bob/.nvm/versions/node/v20", 0},
		{"/var/lib/ann", "/var/lib/annex/bin", 0},
		{"/var/lib/ann", "/var/lib/ann", 0},
		{"/var/lib/ann", "/var/lib", 0},
		{"/var/lib/ann", "/var/lib/ann/.ssh/bin", 0},
		{"/var/lib/ann", "/run/user/1000/fnm_multishells/1/bin", 0},
		{"/tmp", "/tmp/x/bin", 0},
		{"/var", "/var/lib/x/bin", 0}, /* no user's home */
		{"/run/ann", "/run/ann/bin", 0}, /* the supervisor mounts nothing there */
		{"/etc/ann", "/etc/ann/bin", 0},
		{"/proc/1", "/proc/1/root/bin", 0},
	};

	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct request_writer w;
		int shown;

		request_begin(&w);
		request_put_str(&w, REQ_WORKSPACE, "/srv/web");
		request_put_str(&w, REQ_HOME, t[i].home);
		request_put_str(&w, REQ_USER, "ann");
		request_put_str(&w, REQ_ARG, "bash");
		request_put_str(&w, REQ_TOOLCHAIN, t[i].tool);
		shown = mount_at(launch(&w), PLAN_BIND_RO, t[i].tool) != NULL;
		ck_assert_msg(shown == t[i].shown, "home %s, tool %s", t[i].home, t[i].tool);
	}
}
END_TEST

START_TEST(limits_come_from_policy)
{
	struct request_writer w;
	const struct plan_header *p;

	rig_request(&w, "web");
	rig_put_doc(&w, DOC_CLI, "/p.yaml",
		"policy: 1\nname: t\nlimits: {processes: 64, memory: 1GiB, cpu: 2, wall: 1h}\n"
		"session: {on_lost_after: 10s}\n");
	p = launch(&w);
	ck_assert_uint_eq(p->pids, 64);
	ck_assert_uint_eq(p->memory_bytes, 1u << 30);
	ck_assert_uint_eq(p->cpu_milli, 2000);
	ck_assert_uint_eq(p->wall_s, 3600);
	ck_assert_uint_eq(p->on_lost_ms, 10000);
}
END_TEST

START_TEST(a_repository_policy_needs_trust_and_loses_it_with_an_edit)
{
	static const char yaml[] = "policy: 1\nname: repo\ntools: {deny: [Fetch]}\n";
	static const char edited[] = "policy: 1\nname: repo\ntools: {allow: [Fetch]}\n";
	struct request_writer w;
	char sha[65], line[512];
	int ann = rig_person(ANN, 0), bob = rig_person(ANN + 1, 0);

	rig_request(&w, "web");
	rig_put_doc(&w, DOC_REPO, REPO, yaml);
	ck_assert_int_eq(rig_run_as(&w, ANN, 5), 0);
	ck_assert_ptr_nonnull(strstr(rig.refused, "agentctl policy trust " REPO));
	ck_assert_ptr_nonnull(
		strstr(json_string_value(json_object_get(rig_last("refused"), "text")), "trust"));

	policy_doc_digest(yaml, strlen(yaml), sha);
	snprintf(line, sizeof line,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"trust\",\"params\":{\"path\":\"" REPO
		"\",\"sha256\":\"%s\"}}",
		sha);
	json_decref(rig_ask(bob, line)); /* another user's trust is not ours */
	rig_request(&w, "web");
	rig_put_doc(&w, DOC_REPO, REPO, yaml);
	ck_assert_int_eq(rig_run_as(&w, ANN, 6), 0);

	json_decref(rig_ask(ann, line));
	ck_assert_uint_eq(rig_count("trust"), 2);
	rig_request(&w, "web");
	rig_put_doc(&w, DOC_REPO, REPO, yaml);
	ck_assert_msg(rig_run_as(&w, ANN, 7) == 1, "%s", rig.refused);

	rig_request(&w, "web2");
	rig_put_doc(&w, DOC_REPO, REPO, edited);
	ck_assert_int_eq(rig_run_as(&w, ANN, 8), 0);
	close(ann);
	close(bob);
}
END_TEST

START_TEST(trust_is_listed_and_can_be_taken_back)
{
	struct error e;
	char sha[65];
	const char *dir = rig.cfg.trust_dir;

	policy_doc_digest("x", 1, sha);
	ck_assert_int_eq(trust_check(dir, ANN, "/a/b", sha, &e), 0);
	ck_assert_int_eq(trust_add(dir, ANN, "/a/b", sha, &e), 0);
	ck_assert_int_eq(trust_add(dir, ANN, "/a/a", sha, &e), 0);
	ck_assert_int_eq(trust_check(dir, ANN, "/a/b", sha, &e), 1);
	ck_assert_int_eq(trust_check(dir, ANN, "/a/c", sha, &e), 0);
	ck_assert_int_eq(trust_check(dir, ANN + 1, "/a/b", sha, &e), 0);
	ck_assert_int_eq(trust_remove(dir, ANN, "/a/b", &e), 1);
	ck_assert_int_eq(trust_remove(dir, ANN, "/a/b", &e), 0);
	ck_assert_int_eq(trust_check(dir, ANN, "/a/b", sha, &e), 0);
	ck_assert_int_eq(trust_check(dir, ANN, "/a/a", sha, &e), 1);
	ck_assert_int_eq(trust_add(dir, ANN, "/a\n/b", sha, &e), -1);
	ck_assert_int_eq(trust_add(dir, ANN, "a/b", sha, &e), -1);
}
END_TEST

START_TEST(a_damaged_trust_store_trusts_nothing)
{
	struct error e = {0};
	char path[800], sha[65];
	int fd;

	policy_doc_digest("x", 1, sha);
	ck_assert_int_eq(trust_add(rig.cfg.trust_dir, ANN, "/a/b", sha, &e), 0);
	snprintf(path, sizeof path, "%s/%u", rig.cfg.trust_dir, ANN);
	fd = open(path, O_WRONLY | O_APPEND);
	ck_assert_int_eq(io_write_all(fd, "garbage\n", 8), 0);
	close(fd);
	ck_assert_int_eq(trust_check(rig.cfg.trust_dir, ANN, "/a/b", sha, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "damaged"));
}
END_TEST

static void write_admin(const char *name, const char *yaml, mode_t mode)
{
	char path[800];
	int fd;

	mkdir(rig.cfg.policy_dir, 0755);
	snprintf(path, sizeof path, "%s/%s", rig.cfg.policy_dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	ck_assert_int_eq(io_write_all(fd, yaml, strlen(yaml)), 0);
	fchmod(fd, mode);
	close(fd);
}

START_TEST(the_administrators_policy_holds_for_everybody)
{
	int fd;
	json_t *o;

	write_admin("10-base.yaml", "policy: 1\nname: admin\ntools: {deny: [Fetch]}\n", 0644);
	fd = rig_box("web", ANN, 7, "");
	o = rig_ask(fd, AUTHORIZE("1", "Fetch", "{}"));
	ck_assert_str_eq(rig_str(o, "result", "decision"), "deny");
	ck_assert_ptr_nonnull(strstr(rig_str(o, "result", "rule"), "10-base.yaml"));
	json_decref(o);
	close(fd);
}
END_TEST

START_TEST(an_administrators_file_that_cannot_be_used_stops_every_launch)
{
	static const struct {
		const char *name, *yaml, *says;
		mode_t mode;
	} bad[] = {{"x.yaml", "policy: 1\nnme: a\n", "x.yaml:2", 0644},
		{"x.yaml", "policy: 1\nname: a\n", "chmod go-w", 0666},
		{"x.yml", "policy: 1\nname: a\n", "rename it", 0644}};
	struct request_writer w;
	char path[800];

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		write_admin(bad[i].name, bad[i].yaml, bad[i].mode);
		rig_request(&w, "web");
		ck_assert_int_eq(rig_run_as(&w, ANN, 5 + i), 0);
		ck_assert_msg(strstr(rig.refused, bad[i].says) != NULL, "%s", rig.refused);
		snprintf(path, sizeof path, "%s/%s", rig.cfg.policy_dir, bad[i].name);
		unlink(path);
	}
}
END_TEST

static const char *extending(const char *path, const char *text)
{
	static char yaml[400];
	char sha[65];

	policy_doc_digest(text, strlen(text), sha);
	snprintf(yaml, sizeof yaml, "policy: 1\nextends: [{file: %s, digest: \"sha256:%s\"}]\n",
		path, sha);
	return yaml;
}

static void fetch_is(const char *verdict, int fd)
{
	json_t *o = rig_ask(fd, AUTHORIZE("1", "Fetch", "{}"));

	ck_assert_str_eq(rig_str(o, "result", "decision"), verdict);
	json_decref(o);
	close(fd);
}

START_TEST(a_file_that_an_administrators_policy_extends_is_read_below_its_directory)
{
	static const char part[] = "policy: 1\ntools: {deny: [Fetch]}\n";
	struct request_writer w;
	char path[800], link[800];

	write_admin("10-base.yaml", extending("parts/x.yaml", part), 0644);
	snprintf(path, sizeof path, "%s/parts", rig.cfg.policy_dir);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	rig_request(&w, "web");
	ck_assert_int_eq(rig_run_as(&w, ANN, 5), 0);
	ck_assert_msg(strstr(rig.refused, "10-base.yaml:2:18: a file that was not found") != NULL,
		"%s", rig.refused);
	write_admin("parts/x.yaml", part, 0644);
	fetch_is("deny", rig_box("web", ANN, 6, ""));

	snprintf(link, sizeof link, "%s/parts/x.yaml", rig.cfg.policy_dir);
	snprintf(path, sizeof path, "%s/away.yaml", rig.dir);
	ck_assert_int_eq(rename(link, path), 0);
	ck_assert_int_eq(symlink(path, link), 0);
	rig_request(&w, "web2");
	ck_assert_int_eq(rig_run_as(&w, ANN, 7), 0); /* the same bytes, but through a link */
}
END_TEST

/* What the client sends counts only with the digest that the document has. */
START_TEST(a_file_that_a_users_policy_extends_comes_with_the_request)
{
	static const char part[] = "policy: 1\ntools: {deny: [Fetch]}\n";
	static const char *const sent[] = {part, "policy: 1\ntools: {allow: [Fetch]}\n", NULL};
	const char *yaml = extending("b.yaml", part);
	struct request_writer w;

	for (unsigned i = 0; i < 3; i++) {
		rig_request(&w, i ? "web2" : "web");
		rig_put_doc(&w, DOC_USER, "/home/ann/a.yaml", yaml);
		if (sent[i])
			rig_put_doc(&w, DOC_EXTENDED, "/home/ann/b.yaml", sent[i]);
		ck_assert_int_eq(rig_run_as(&w, ANN, 5 + i), i == 0);
		if (i)
			ck_assert_msg(strstr(rig.refused, i == 1 ? "another digest" : "not found"),
				"%s", rig.refused);
		else
			fetch_is("deny", rig_connect(rig_started(5, ANN, getuid(), 0, -1)));
	}
	rig_request(&w, "web2");
	rig_put_doc(&w, DOC_EXTENDED, "/home/ann/b.yaml", part);
	ck_assert_int_eq(rig_run_as(&w, ANN, 9), 0);
	ck_assert_ptr_nonnull(strstr(rig.refused, "no layer extends"));
}
END_TEST

START_TEST(a_policy_that_does_not_load_is_refused_with_its_place)
{
	struct request_writer w;

	rig_request(&w, "web");
	rig_put_doc(&w, DOC_USER, "/home/ann/.config/agentd/policy.yaml", "policy: 1\ntoolz: {}\n");
	ck_assert_int_eq(rig_run_as(&w, ANN, 5), 0);
	ck_assert_ptr_nonnull(strstr(rig.refused, "policy.yaml:2"));
}
END_TEST

/* What loads, is tested and compared, but would protect nothing yet. */
START_TEST(a_policy_that_no_gate_enforces_is_refused_with_its_section)
{
	struct request_writer w;

	rig_request(&w, "web");
	rig_put_doc(&w, DOC_USER, "/home/ann/.config/agentd/policy.yaml",
		"policy: 1\nnet:\n  deny: [\"**:22\"]\n");
	ck_assert_int_eq(rig_run_as(&w, ANN, 5), 0);
	ck_assert_ptr_nonnull(strstr(rig.refused, "policy.yaml:3"));
	ck_assert_ptr_nonnull(strstr(rig.refused, "`net`"));
}
END_TEST

/* One thread serves everybody: a user's document that takes long to compile must not be compiled. */
START_TEST(a_policy_that_explodes_does_not_hold_up_the_broker)
{
	static const char text[] = "policy: 1\nfiles:\n  deny: [\"r ws:/**a????????\", \"r "
				   "ws:/**b????????\", \"r ws:/**c????????\"]\n  allow: [\"r "
				   "ws:/**e????????\", \"r ws:/**f????????\"]\n";
	struct request_writer w;
	clock_t start = clock();

	rig_request(&w, "web");
	rig_put_doc(&w, DOC_USER, "/home/ann/.config/agentd/policy.yaml", text);
	ck_assert_int_eq(rig_run_as(&w, ANN, 5), 0);
	ck_assert_ptr_nonnull(strstr(rig.refused, "`files`"));
	ck_assert(clock() - start < CLOCKS_PER_SEC / 4);
}
END_TEST

START_TEST(an_agents_uid_starts_nothing)
{
	struct request_writer w;

	rig_request(&w, "web");
	ck_assert_int_eq(rig_run_as(&w, AGENT_UID_FIRST + 3, 5), 0);
}
END_TEST

static int parse(struct request_writer *w)
{
	struct runreq r;
	struct error e;
	int got = runreq_parse(&r, w->buf, w->len, 0, &e);

	runreq_free(&r);
	free(w->buf);
	return got;
}

START_TEST(garbage_is_no_request)
{
	struct request_writer w;
	struct runreq r;
	struct error e;

	ck_assert_int_eq(runreq_parse(&r, "", 0, 0, &e), -1);
	runreq_free(&r);
	ck_assert_int_eq(runreq_parse(&r, "AGDREQ1\nxxxxxxxxxxxxxx", 22, 0, &e), -1);
	runreq_free(&r);
	rig_request(&w, "web");
	ck_assert_int_eq(parse(&w), 0);
	rig_request(&w, "web");
	request_put_str(&w, REQ_NAME, "again");
	ck_assert_int_eq(parse(&w), -1);
	rig_request(&w, "Web");
	ck_assert_int_eq(parse(&w), -1);
	rig_request(&w, "web");
	request_put(&w, REQ_ARG, "a\0b", 3);
	ck_assert_int_eq(parse(&w), -1);
	rig_request(&w, "web");
	request_put_str(&w, REQ_TOOLCHAIN, "/a/../b");
	ck_assert_int_eq(parse(&w), -1);
	rig_request(&w, "web");
	request_put_str(&w, REQ_PROTECT, "/etc");
	ck_assert_int_eq(parse(&w), -1);
	rig_request(&w, "web");
	request_put_str(&w, REQ_FACT, "user=root");
	ck_assert_int_eq(parse(&w), -1);
	rig_request(&w, "web");
	request_put(&w, REQ_TERMINAL, "xyz", 3);
	ck_assert_int_eq(parse(&w), -1);
	rig_request(&w, "web");
	request_put(&w, REQ_DOC, "\x11/a\0policy: 1\n", 14); /* only the broker says admin */
	ck_assert_int_eq(parse(&w), -1);
	rig_request(&w, "web");
	request_put(&w, REQ_DOC, "\x02/a", 3);
	ck_assert_int_eq(parse(&w), -1);
	request_begin(&w);
	request_put_str(&w, REQ_ARG, "bash");
	ck_assert_int_eq(parse(&w), -1);
	request_begin(&w);
	request_put_str(&w, REQ_WORKSPACE, "/");
	request_put_str(&w, REQ_ARG, "bash");
	ck_assert_int_eq(parse(&w), -1);
}
END_TEST

START_TEST(a_bad_request_is_refused_under_the_name_it_has)
{
	struct request_writer w;

	rig_request(&w, "web");
	request_put_str(&w, REQ_FACT, "user=root");
	ck_assert_int_eq(rig_run_as(&w, ANN, 5), 0);
	ck_assert_str_eq(rig_str(rig_last("refused"), "a", "name"), "web");
}
END_TEST

START_TEST(a_request_that_can_still_change_is_refused)
{
	struct msg_peer peer = {.uid = ANN, .gid = ANN};
	int fd = memfd_create("x", MFD_ALLOW_SEALING);

	ck_assert_int_eq(io_write_all(fd, "AGDREQ1\n", 8), 0);
	ck_assert_int_eq(wire_send(rig.sup, MSG_RUN, 3, &peer, sizeof peer, &fd, 1), 0);
	close(fd);
	rig_sup_next(MSG_REFUSE);
}
END_TEST

START_TEST(variables_that_programs_obey_are_known)
{
	static const char *const bad[] = {"LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV", "GIT_DIR",
		"NODE_OPTIONS", "PYTHONSTARTUP", "BASH_FUNC_ls%%", "SSH_AUTH_SOCK", "AGENTD_ROOT"};
	static const char *const good[] = {"PATH", "LANG", "TERM", "GITHUB_REF", "EDITOR_X", "CI"};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(env_is_dangerous(bad[i]), "%s", bad[i]);
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		ck_assert_msg(!env_is_dangerous(good[i]), "%s", good[i]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("broker: launches");
	TCase *t = tcase_create("launch");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, rig_setup, rig_teardown);
	tcase_add_test(t, a_request_becomes_a_plan_and_its_start_is_in_the_log_first);
	tcase_add_test(t, no_log_no_launch);
	tcase_add_test(t, root_gets_an_ordinary_name_inside);
	tcase_add_test(t, only_what_policy_passes_of_the_environment_gets_in);
	tcase_add_test(t, names_are_unique_among_a_users_live_sandboxes);
	tcase_add_test(t, a_name_is_made_of_the_workspace_and_the_agent);
	tcase_add_test(t, claude_code_gets_a_hook_that_it_cannot_take_away);
	tcase_add_test(t, mounts_come_from_policy_and_toolchains_never_hold_secrets);
	tcase_add_test(t, tools_below_the_users_home_are_shown_wherever_the_home_is);
	tcase_add_test(t, limits_come_from_policy);
	tcase_add_test(t, a_repository_policy_needs_trust_and_loses_it_with_an_edit);
	tcase_add_test(t, trust_is_listed_and_can_be_taken_back);
	tcase_add_test(t, a_damaged_trust_store_trusts_nothing);
	tcase_add_test(t, the_administrators_policy_holds_for_everybody);
	tcase_add_test(t, an_administrators_file_that_cannot_be_used_stops_every_launch);
	tcase_add_test(t, a_file_that_an_administrators_policy_extends_is_read_below_its_directory);
	tcase_add_test(t, a_file_that_a_users_policy_extends_comes_with_the_request);
	tcase_add_test(t, a_policy_that_does_not_load_is_refused_with_its_place);
	tcase_add_test(t, a_policy_that_no_gate_enforces_is_refused_with_its_section);
	tcase_add_test(t, a_policy_that_explodes_does_not_hold_up_the_broker);
	tcase_add_test(t, an_agents_uid_starts_nothing);
	tcase_add_test(t, garbage_is_no_request);
	tcase_add_test(t, a_bad_request_is_refused_under_the_name_it_has);
	tcase_add_test(t, a_request_that_can_still_change_is_refused);
	tcase_add_test(t, variables_that_programs_obey_are_known);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
