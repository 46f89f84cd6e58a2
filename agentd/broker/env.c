/* Environments; see env.h. */
#include "agentd/broker/env.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"

#define NAME_MAX_LEN 255

/* Variables that make a program load code, run a command or believe another configuration, and those
 * that name a socket or a credential store of the user's session. */
static const char *const dangerous[] = {"LD_*", "GLIBC_TUNABLES", "GCONV_PATH", "LOCPATH",
	"MALLOC_*", "BASH_ENV", "ENV", "BASH_FUNC_*", "SHELLOPTS", "BASHOPTS", "PROMPT_COMMAND",
	"PS4", "IFS", "CDPATH", "ZDOTDIR", "INPUTRC", "GIT_*", "NODE_OPTIONS", "NODE_PATH",
	"NODE_EXTRA_CA_CERTS", "BUN_OPTIONS", "BUN_CONFIG_*", "DENO_*", "npm_config_*",
	"NPM_CONFIG_*", "PYTHONSTARTUP", "PYTHONPATH", "PYTHONHOME", "PYTHONINSPECT", "PERL5LIB",
	"PERL5OPT", "PERL5DB", "PERLLIB", "RUBYOPT", "RUBYLIB", "GEM_*", "BUNDLE_*",
	"JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH", "MAVEN_OPTS",
	"GRADLE_OPTS", "RUSTC_WRAPPER", "RUSTFLAGS", "CARGO_*", "MAKEFLAGS", "MAKEFILES",
	"LESSOPEN", "LESSCLOSE", "PAGER", "MANPAGER", "EDITOR", "VISUAL", "BROWSER", "SSH_*",
	"GPG_*", "GNUPGHOME", "DBUS_*", "XDG_RUNTIME_DIR", "DISPLAY", "WAYLAND_DISPLAY",
	"XAUTHORITY", "SUDO_*", "OPENSSL_CONF", "OPENSSL_MODULES", "SSL_CERT_*", "CURL_HOME",
	"GEMINI_CLI_SYSTEM_SETTINGS_PATH", "OPENCODE_PERMISSION", "OPENCODE_CONFIG*",
	"OPENCODE_TEST_MANAGED_CONFIG_DIR", "CLAUDE_CODE_MANAGED_SETTINGS_PATH",
	"CLAUDE_CODE_SIMPLE", "CODEX_HOME", "AGENTD_*"};

int env_is_dangerous(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(dangerous); i++) {
		if (fnmatch(dangerous[i], name, 0) == 0)
			return 1;
	}
	return 0;
}

static void put(struct plan_builder *b, const char *name, const char *value)
{
	char buf[8192];
	int n = snprintf(buf, sizeof buf, "%s=%s", name, value);

	if (n > 0 && (size_t)n < sizeof buf)
		plan_add_env(b, buf, (size_t)n);
	else
		b->failed = 7; /* E2BIG */
}

static int is_set(const struct policy *p, const char *name)
{
	const char *have, *value;

	for (size_t i = 0; policy_env_set(p, i, &have, &value) == 0; i++) {
		if (strcmp(have, name) == 0)
			return 1;
	}
	return 0;
}

/* What agentd says about the sandbox. The first ones a policy may set otherwise, the last two never. */
static const char *own_value(const char *name, const struct env_facts *f)
{
	const struct {
		const char *name, *value;
	} own[] = {{"HOME", f->home}, {"USER", f->user}, {"LOGNAME", f->user}, {"TMPDIR", "/tmp"},
		{"AGENTD_SANDBOX", f->name}, {"AGENTD_SESSION", f->session}};

	for (size_t i = 0; i < ARRAY_LEN(own); i++) {
		if (strcmp(own[i].name, name) == 0)
			return own[i].value;
	}
	return NULL;
}

static void pass(struct plan_builder *b, const struct policy *p, const struct runreq *r,
	const struct env_facts *f, int *has_path, int *has_shell)
{
	char name[NAME_MAX_LEN + 1];

	for (size_t i = 0; i < r->envs.n; i++) {
		struct span v = r->envs.v[i];
		const char *eq = memchr(v.p, '=', v.n);
		size_t n = eq ? (size_t)(eq - v.p) : 0;

		/* What no shell would export either is not a variable: dropped like all the rest. */
		if (n == 0 || n > NAME_MAX_LEN)
			continue;
		memcpy(name, v.p, n);
		name[n] = 0;
		if (!policy_env_passes(p, name) || env_is_dangerous(name) || is_set(p, name) ||
			own_value(name, f))
			continue;
		plan_add_env(b, v.p, v.n);
		*has_path |= strcmp(name, "PATH") == 0;
		*has_shell |= strcmp(name, "SHELL") == 0;
	}
}

void env_build(struct plan_builder *b, const struct policy *p, const struct runreq *r,
	const struct env_facts *f)
{
	static const char *const ours[] = {"HOME", "USER", "LOGNAME", "TMPDIR"};
	const char *name, *value;
	int has_path = is_set(p, "PATH"), has_shell = is_set(p, "SHELL");

	for (size_t i = 0; policy_env_set(p, i, &name, &value) == 0; i++) {
		if (strncmp(name, "AGENTD_", 7) != 0)
			put(b, name, value);
	}
	pass(b, p, r, f, &has_path, &has_shell);
	for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
		if (!is_set(p, ours[i]))
			put(b, ours[i], own_value(ours[i], f));
	}
	if (!has_path)
		put(b, "PATH", "/usr/local/bin:/usr/bin:/bin");
	if (!has_shell)
		put(b, "SHELL", "/bin/bash");
	put(b, "AGENTD_SANDBOX", f->name);
	put(b, "AGENTD_SESSION", f->session);
}
