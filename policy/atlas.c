/* The danger atlas; see atlas.h. A name describes what its actions do, not which of them is bad: a
 * policy that wants one of them allowed does not promise `never` for it.
 *
 * Only what some kind of action can express stands here. Names are added, and grow, with kinds. */
#include "policy/atlas.h"

#include <string.h>

#include "common/cleanup.h"
#include "policy/automata/dfa.h"
#include "policy/text.h"

/* clang-format off */
#define RULE(kind, text)          {&(kind), text, NULL}
#define RULE_BUT(kind, text, but) {&(kind), text, but}
/* clang-format on */

#define FILES(text)          RULE(kind_file, text)
#define FILES_BUT(text, but) RULE_BUT(kind_file, text, but)
#define EXEC(text)           RULE(kind_exec, text)
#define NET(text)            RULE(kind_net, text)
#define HTTP(text)           RULE(kind_http, text)
#define TOOLS(text)          RULE(kind_tool, text)
#define TOOLS_BUT(text, but) RULE_BUT(kind_tool, text, but)

/* The tools of agents that read or write one file, with the argument that names it: Claude Code,
 * Gemini CLI and Codex, then OpenCode (filePath) and OpenClaw (path), whose tools have the same
 * names. */
#define READ_TOOLS(path)                                                            \
	TOOLS("{Read,read_file} {/file_path: '" path "'}"),                         \
		TOOLS("NotebookRead {/notebook_path: '" path "'}"),                 \
		TOOLS("read_file {/absolute_path: '" path "'}"),                    \
		TOOLS("{Grep,read,grep,view_image,read_file} {/path: '" path "'}"), \
		TOOLS("read {/filePath: '" path "'}")
#define WRITE_TOOLS(path)                                                            \
	TOOLS("{Edit,Write,MultiEdit,write_file,replace} {/file_path: '" path "'}"), \
		TOOLS("NotebookEdit {/notebook_path: '" path "'}"),                  \
		TOOLS("{edit,write,create_file,edit_file} {/path: '" path "'}"),     \
		TOOLS("{edit,write} {/filePath: '" path "'}")

/* ---- secrets-read ---- */

#define HOME_SECRETS "/{.netrc,.npmrc,.pypirc,.git-credentials,.pgpass,.my.cnf,.vault-token,.env}"
#define HOME_SECRET_DIRS                                                                    \
	"/{.ssh,.aws,.azure,.gnupg,.kube,.docker,.config/gcloud,.config/gh,.config/rclone," \
	".password-store,.local/share/keyrings}/**"
#define WS_SECRETS "ws:/**/{.env,.env.*,*.pem,*.key,.npmrc}"
#define WS_SAMPLES "ws:/**/.env.{example,sample,template,dist}"

static const struct atlas_rule secrets_read[] = {
	FILES_BUT("r " WS_SECRETS, "r " WS_SAMPLES),
	FILES("r home:" HOME_SECRETS),
	FILES("r home:" HOME_SECRET_DIRS),
	FILES("r /{root,home/*}" HOME_SECRETS),
	FILES("r /{root,home/*}" HOME_SECRET_DIRS),
	FILES("r /etc/{shadow,gshadow,shadow-,gshadow-}"),
	FILES("r /etc/ssh/ssh_host_*_key"),
	FILES("r /proc/*/environ"),
	FILES("r /run/secrets/**"),
	TOOLS_BUT("{Read,read_file} {/file_path: '" WS_SECRETS "'}",
		"* {/file_path: '" WS_SAMPLES "'}"),
	TOOLS_BUT("read_file {/absolute_path: '" WS_SECRETS "'}",
		"* {/absolute_path: '" WS_SAMPLES "'}"),
	TOOLS_BUT("{Grep,read,grep,view_image,read_file} {/path: '" WS_SECRETS "'}",
		"* {/path: '" WS_SAMPLES "'}"),
	TOOLS_BUT("read {/filePath: '" WS_SECRETS "'}", "* {/filePath: '" WS_SAMPLES "'}"),
	READ_TOOLS("home:" HOME_SECRETS),
	READ_TOOLS("home:" HOME_SECRET_DIRS),
	READ_TOOLS("/etc/{shadow,gshadow,shadow-,gshadow-}"),
	READ_TOOLS("/proc/*/environ"),
};

/* ---- cloud-metadata ---- */

/* Amazon (also for containers), Google, Azure, DigitalOcean: 169.254.169.254 and its kin; Alibaba:
 * 100.100.100.200; Oracle: 192.0.0.192. */
#define METADATA_NAMES                                                              \
	"{metadata,metadata.google.internal,metadata.goog,metadata.azure.internal," \
	"instance-data,instance-data.*.internal}"

static const struct atlas_rule cloud_metadata[] = {
	NET("169.254.169.254/32:*"),
	NET("169.254.170.2/32:*"),
	NET("169.254.170.23/32:*"),
	NET("100.100.100.200/32:*"),
	NET("192.0.0.192/32:*"),
	NET("[fd00:ec2::254/128]:*"),
	NET("[fd00:ec2::23/128]:*"),
	NET(METADATA_NAMES ":*"),
	HTTP("* http://169.254.169.254/32:*/**"),
	HTTP("* http://169.254.170.2/32:*/**"),
	HTTP("* http://169.254.170.23/32:*/**"),
	HTTP("* http://100.100.100.200/32:*/**"),
	HTTP("* http://192.0.0.192/32:*/**"),
	HTTP("* http://[fd00:ec2::254/128]:*/**"),
	HTTP("* http://[fd00:ec2::23/128]:*/**"),
	HTTP("* http://" METADATA_NAMES ":*/**"),
	HTTP("* https://169.254.169.254/32:*/**"),
	HTTP("* https://" METADATA_NAMES ":*/**"),
	TOOLS("{WebFetch,web_fetch,webfetch,fetch} {/url: "
	      "'http{,s}://{169.254.169.254,169.254.170.2,169.254.170.23,100.100.100.200,"
	      "192.0.0.192,metadata.google.internal,metadata.goog}{,/*,:*}'}"),
};

/* ---- policy-edit ---- */

static const struct atlas_rule policy_edit[] = {
	FILES("w ws:/.agentd{,/**}"),
	FILES("w home:/.config/agentd{,/**}"),
	FILES("w /{etc,var/lib,run}/agentd{,/**}"),
	WRITE_TOOLS("ws:/.agentd{,/**}"),
	WRITE_TOOLS("home:/.config/agentd{,/**}"),
	WRITE_TOOLS("/{etc,var/lib,run}/agentd{,/**}"),
};

/* ---- hook-write ---- */

/* What the host's git, editors and agents run when a person uses the workspace. */
#define HOOKS                                                                      \
	"ws:/**/{.claude,.codex,.gemini,.opencode,.openclaw,.vscode,.idea,.husky," \
	".git/{hooks,config}}{,/**}"

static const struct atlas_rule hook_write[] = {
	FILES("w " HOOKS),
	FILES("w home:/{.gitconfig,.config/git/**}"),
	WRITE_TOOLS(HOOKS),
	WRITE_TOOLS("home:/{.gitconfig,.config/git/**}"),
};

/* ---- persistence ---- */

#define SHELL_STARTS                                                                          \
	"/{.bashrc,.bash_profile,.bash_login,.bash_logout,.profile,.zshrc,.zshenv,.zprofile," \
	".zlogin,.inputrc,.xinitrc,.xprofile,.xsession,.pam_environment}"
#define SESSION_STARTS                                                                          \
	"/{.config/{autostart,systemd,fish,environment.d},.local/{bin,share/systemd},.ssh,bin}" \
	"{,/**}"
#define SYSTEM_STARTS                                                                              \
	"/etc/{crontab,anacrontab,profile,environment,bash.bashrc,rc.local,ld.so.preload,inittab," \
	"sudoers}"
#define SYSTEM_START_DIRS                                                                     \
	"/{etc/"                                                                              \
	"{cron.*,profile.d,systemd,init.d,rc*.d,sudoers.d,pam.d,ld.so.conf.d,update-motd.d}," \
	"var/spool/{cron,at},lib/systemd,usr/lib/systemd,usr/local/bin}{,/**}"

static const struct atlas_rule persistence[] = {
	FILES("w home:" SHELL_STARTS),
	FILES("w home:" SESSION_STARTS),
	FILES("w /{root,home/*}" SHELL_STARTS),
	FILES("w " SYSTEM_STARTS),
	FILES("w " SYSTEM_START_DIRS),
	WRITE_TOOLS("home:" SHELL_STARTS),
	WRITE_TOOLS("home:" SESSION_STARTS),
	WRITE_TOOLS(SYSTEM_STARTS),
	WRITE_TOOLS(SYSTEM_START_DIRS),
};

/* ---- programs ---- */

static const struct atlas_rule force_push[] = {
	EXEC("git push ... flag(-f|--force|--force-with-lease|--mirror|--prune|-d|--delete) ..."),
	EXEC("git push ... '+*' ..."),
	EXEC("git push ... ':*' ..."),
};

static const struct atlas_rule history_rewrite[] = {
	EXEC("git {rebase,filter-branch,filter-repo,replace,update-ref} ..."),
	EXEC("git commit ... flag(--amend) ..."),
	EXEC("git reset ... flag(--hard) ..."),
	EXEC("git reflog {expire,delete} ..."),
};

static const struct atlas_rule package_publish[] = {
	EXEC("{npm,pnpm,yarn,bun,cargo,poetry,uv,hatch} publish ..."),
	EXEC("yarn npm publish ..."),
	EXEC("{twine,docker,podman,helm,gem} {upload,push} ..."),
};

static const struct atlas_rule remote_shell[] = {
	EXEC("{ssh,scp,sftp,rsync,mosh,telnet,nc,ncat,netcat,socat,autossh,dropbear,dbclient} ..."),
};

static const struct atlas_rule inline_code[] = {
	EXEC("{sh,bash,dash,zsh,ksh,fish,ash} ... flag(-c|--command) ..."),
	EXEC("{node,nodejs,bun} ... flag(-e|--eval|-p|--print) ..."),
	EXEC("bun exec ..."),
	EXEC("deno eval ..."),
	EXEC("{python,python2*,python3*,pypy*} ... flag(-c) ..."),
	EXEC("perl* ... flag(-e|-E) ..."),
	EXEC("ruby* ... flag(-e) ..."),
	EXEC("php* ... flag(-r|--run|-B|-R|-E|--process-begin|--process-code|--process-end) ..."),
};

static const struct atlas_rule destructive_delete[] = {
	EXEC("rm ... flag(-r|-R|--recursive) ..."),
	EXEC("find ... {-delete,-exec,-execdir,-ok,-okdir} ..."),
	EXEC("git clean ... flag(-f|--force) ..."),
	EXEC("{shred,wipefs,mkfs*,dd,blkdiscard} ..."),
};

static const struct atlas_rule infra_destroy[] = {
	EXEC("{terraform,tofu} {destroy,apply} ..."),
	EXEC("pulumi {destroy,up} ..."),
	EXEC("kubectl {delete,drain,cordon} ..."),
	EXEC("helm {uninstall,delete} ..."),
	EXEC("{docker,podman} {rm,rmi,system,volume,network} ..."),
};

static const struct atlas table[] = {
	{"secrets-read", "read keys, tokens and passwords", ARRAY_LEN(secrets_read), secrets_read},
	{"cloud-metadata",
		"ask a cloud's metadata service, which gives credentials to whoever asks",
		ARRAY_LEN(cloud_metadata), cloud_metadata},
	{"policy-edit", "change what agentd obeys", ARRAY_LEN(policy_edit), policy_edit},
	{"hook-write", "write what the host's git, editor or agents run", ARRAY_LEN(hook_write),
		hook_write},
	{"persistence", "write what is run at the next login, boot or time", ARRAY_LEN(persistence),
		persistence},
	{"force-push", "overwrite or delete what others have pushed", ARRAY_LEN(force_push),
		force_push},
	{"history-rewrite", "rewrite or throw away history of the repository",
		ARRAY_LEN(history_rewrite), history_rewrite},
	{"package-publish", "publish a package or an image", ARRAY_LEN(package_publish),
		package_publish},
	{"remote-shell", "open a way to another machine", ARRAY_LEN(remote_shell), remote_shell},
	{"inline-code", "run code that is given on the command line", ARRAY_LEN(inline_code),
		inline_code},
	{"destructive-delete", "delete trees or devices", ARRAY_LEN(destructive_delete),
		destructive_delete},
	{"infra-destroy", "change or destroy running infrastructure", ARRAY_LEN(infra_destroy),
		infra_destroy},
};

_Static_assert(ARRAY_LEN(table) <= ATLAS_MAX, "sets of names are bits");

const struct atlas *atlas_at(size_t i)
{
	return i < ARRAY_LEN(table) ? &table[i] : NULL;
}

int atlas_find(const char *name, size_t n, const char **near)
{
	const char *names[ATLAS_MAX];
	size_t i;

	for (i = 0; atlas_at(i); i++) {
		names[i] = table[i].name;
		if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0)
			return (int)i;
	}
	*near = text_nearest(name, n, names, i);
	return -1;
}

/* ---- languages ---- */

static int read_rule(struct arena *a, const struct kind *k, const char *text, struct match *out,
	struct pattern_fault *f)
{
	return match_parse(a, k == &kind_tool ? NULL : k, text, strlen(text), out, f);
}

int atlas_read(struct arena *a, const struct atlas *of, const struct kind *k,
	struct atlas_part *out, struct pattern_fault *f)
{
	*out = (struct atlas_part){0, arena_array(a, of->rules, sizeof *out->match),
		arena_array(a, of->rules, sizeof *out->except)};
	if (!out->match || !out->except)
		return pattern_no_memory(f);
	for (size_t i = 0; i < of->rules; i++) {
		const struct atlas_rule *r = &of->rule[i];

		if (r->kind != k)
			continue;
		if (read_rule(a, k, r->text, &out->match[out->matches], f) ||
			(r->except && read_rule(a, k, r->except, &out->except[out->matches], f)))
			return -1;
		out->matches++;
	}
	return 0;
}

void atlas_pointers(const struct atlas_part *of, const struct kind *k,
	void (*add)(void *ctx, const char *pointer), void *ctx)
{
	for (size_t i = 0; k->pointers && i < of->matches; i++) {
		k->pointers(match_parsed(&of->match[i]), add, ctx);
		if (of->except[i].text)
			k->pointers(match_parsed(&of->except[i]), add, ctx);
	}
}

static const struct re *rule_re(struct arena *a, const struct match *m, const struct kind *k,
	enum side side, const struct shape *shape)
{
	return k->language(a, match_parsed(m), side, shape);
}

int atlas_distinguish(struct arena *a, struct alphabet *alphabet, const struct atlas_part *of,
	const struct kind *k, const struct shape *shape)
{
	for (size_t i = 0; i < of->matches; i++) {
		const struct re *r = rule_re(a, &of->match[i], k, UPPER, shape), *but = r;

		if (of->except[i].text)
			but = rule_re(a, &of->except[i], k, LOWER, shape);
		if (!r || !but)
			return -1;
		alphabet_add(alphabet, r);
		alphabet_add(alphabet, but);
	}
	return 0;
}

static enum dfa_status subtract(
	const struct alphabet *alphabet, const struct re *r, struct dfa **from)
{
	struct dfa *but = NULL, *left = NULL;
	enum dfa_status s = r ? dfa_build(alphabet, r, 1, &but) : DFA_NO_MEMORY;

	if (!s)
		s = dfa_product(*from, but, dfa_but_not, NULL, &left);
	dfa_free(but);
	if (s)
		return s;
	dfa_free(*from);
	*from = left;
	return DFA_OK;
}

/* One automaton for each rule; those that are made are in d also after a failure. */
static enum dfa_status each_rule(struct arena *a, const struct alphabet *alphabet,
	const struct atlas_part *of, const struct kind *k, enum side side,
	const struct shape *shape, struct dfa **d)
{
	enum dfa_status s = DFA_OK;

	for (size_t i = 0; !s && i < of->matches; i++) {
		const struct re *r = rule_re(a, &of->match[i], k, side, shape);

		s = r ? dfa_build(alphabet, r, 1, &d[i]) : DFA_NO_MEMORY;
		if (!s && of->except[i].text)
			s = subtract(alphabet,
				rule_re(a, &of->except[i], k, side == UPPER ? LOWER : UPPER, shape),
				&d[i]);
	}
	return s;
}

enum dfa_status atlas_words(struct arena *a, const struct alphabet *alphabet,
	const struct atlas_part *of, const struct kind *k, enum side side,
	const struct shape *shape, struct dfa **out)
{
	struct dfa **d = arena_array(a, of->matches, sizeof(struct dfa *));
	struct dfa_range left, right;
	enum dfa_status s;

	if (!d)
		return DFA_NO_MEMORY;
	s = each_rule(a, alphabet, of, k, side, shape, d);
	if (!s)
		s = dfa_merge(d, of->matches, dfa_max, NULL, out, &left, &right);
	for (size_t i = 0; i < of->matches; i++)
		dfa_free(d[i]);
	return s;
}
