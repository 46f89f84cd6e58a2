/* The table of programs (policy/tables/programs.def) against what the programs themselves did when they
 * were tried out: an option that takes the next argument does not hide the sub-command behind it from a
 * denial, and one that does not take it does not make one up. */
#include "common/cleanup.h"
#include "policy/kinds/programs.h"
#include "tests/lib/policy_rig.h"

/* Lists are words with blanks between them; versions stand in the table. */
struct seen {
	const char *program;
	const char *valued; /* `PROGRAM OPTION VALUE run` ran `run` */
	const char
		*plain; /* `PROGRAM OPTION run` did; NULL: the table says `*`, which is stricter */
};

static const struct seen programs[] = {
	{"git",
		"-C -c --git-dir --work-tree --namespace --config-env --shallow-file "
		"--super-prefix",
		"-p -P --bare --no-pager --no-replace-objects --literal-pathspecs "
		"--glob-pathspecs --noglob-pathspecs --icase-pathspecs --no-optional-locks "
		"--paginate --exec-path"},
	{"npm",
		"--prefix -C --registry --reg --regis --tag --call -L --foo --json --browser "
		"--color",
		NULL},
	{"npx", "--package -p --call -c --registry", NULL},
	{"pnpm",
		"-C --dir --prefix --filter -F --filter-prod --loglevel --store-dir --state-dir "
		"--virtual-store-dir --global-dir --reporter --workspace-concurrency "
		"--workspace-packages --npmrc-auth-file --userconfig --registry --regis "
		"--https-proxy --http-proxy --no-proxy --env-file --test-pattern "
		"--changed-files-ignore-pattern",
		"--aggregate-output --color --fail-if-no-match --ignore-workspace "
		"--include-workspace-root --no-sort --recursive --reverse --sort --stream "
		"--use-stderr --yes -r -y -w --silent"},
	{"yarn",
		"--cache-folder --cwd --emoji --global-folder --https-proxy --link-folder "
		"--network-concurrency --network-timeout --otp --preferred-cache-folder --prod "
		"--production --proxy --registry --scripts-prepend-node-path --modules-folder "
		"--mutex --use-yarnrc",
		"--check-files --disable-pnp --enable-pnp --flat --force --frozen-lockfile --har "
		"--ignore-engines --ignore-scripts --no-lockfile --no-progress --offline "
		"--pure-lockfile --silent --skip-integrity-check --verbose -s --json --focus "
		"--regis --foo"},
	{"node",
		"-C --conditions --diagnostic-dir --disable-warning --env-file --icu-data-dir "
		"--redirect-warnings --report-dir --secure-heap --test-reporter --title "
		"--tls-keylog --trace-event-categories -r --require --import --input-type "
		"--openssl-config --watch-path",
		NULL},
	{"bun",
		"--cpu-prof-name --heap-prof-dir -F --filter -r --preload --require --import "
		"--install --cwd -d --define -l --loader --port --elide-lines",
		NULL},
	{"deno",
		"-L --log-level -c --config --cert --conditions --ext --import-map --location "
		"--lock --min-dep-age --node-modules-linker --preload --require --seed",
		"-q --quiet --check --env-file --coverage --no-check --no-remote --no-npm "
		"--node-modules-dir --vendor --no-config -r --reload --no-lock --cached-only "
		"--v8-flags -A -R --allow-read -W -N -E --allow-run --allow-ffi --deny-net"},
	{"python", "-W -X --check-hash-based-pycs", "-b -B -d -E -i -I -O -OO -P -q -s -S -u -v"},
	{"python3", "-W -X --check-hash-based-pycs", "-b -B -d -E -i -I -O -OO -P -q -s -S -u -v"},
	{"pip",
		"--cache-dir --cert --client-cert --log --proxy --prox --trusted-host "
		"--exists-action --keyring-provider --python --retries --timeout "
		"--use-deprecated --use-feature",
		"--debug --disable-pip-version-check --isolated --no-cache-dir --no-color "
		"--no-input --quiet --require-virtualenv --verbose -q -v"},
	{"pip3", "--proxy --prox --cert --log --timeout", "--isolated --quiet -q -v"},
	{"ruby",
		"-I -C -E -r -e --dump --encoding --external-encoding --internal-encoding "
		"--enable --disable --backtrace-limit",
		"-0 -F -K -W -a -d -i -l -s -S -v -w -y --disable-gems --jit --yjit --debug "
		"--verbose -x -c -n -p"},
	{"perl", "-I -e -E", "-d -D -i -l -0 -C -s -t -T -U -w -W -X -f -F -x -a -c -n -p -S"},
	{"php",
		"-c -d -t -z --php-ini --define --docroot --zend-extension -f --file -r --run -B "
		"-R -F -E -S --process-begin --process-code --process-file --process-end "
		"--server --rf --rc --re --rz --ri",
		"-C -e -H -n -q -s -w --no-php-ini --strip --profile-info -l --syntax-check"},
	{"cargo", "--color --config -C -Z --explain",
		"-v -q --frozen --locked --offline --verbose --quiet +stable +nightly --colo"},
	{"go", "", "-C -x"},
	{"docker", "--config -c --context -H --host -l --log-level --tlscacert --tlscert --tlskey",
		"-D --debug --tls --tlsverify"},
	{"gh", "-R --repo --hostname --title -t --web -w --body --draft", NULL},
	{"kubectl", "-n --namespace -l --selector -o --output --force --grace-period -A -f --v",
		NULL},
	{"terraform", "", "-chdir=x -help"},
	{"make",
		"-C --directory --direc -E --eval -f --file --makefile -I --include-dir -o "
		"--old-file --assume-old -W --what-if --new-file --assume-new -j --jobs -l "
		"--load-average --max-load",
		"--always-make --environment-overrides --ignore-errors --keep-going "
		"--no-builtin-rules --no-silent --output-sync --quiet --stop -B -L -O -R -S -b -e "
		"-i -k -m -p -r -s -w --print-directory -d --debug --trace"},
	{"curl", "-o --output --max-t -H -d -X --url-query --preproxy", NULL},
	{"ssh", "-B -b -c -D -E -e -F -I -i -J -L -l -m -O -o -p -Q -R -S -W -w",
		"-4 -6 -A -a -C -f -G -g -K -k -M -N -n -q -s -T -t -V -v -X -x -Y -y"},
	{"tar", "-f -C --directory --direc --to-command -I --use-compress-program", NULL},
	{"sed", "-e --expression -f --file -l --line-length --line-leng",
		"-n -i -E -r -s -u -z -b --posix --debug --sandbox --follow-symlinks --quiet "
		"--silent --in-place --null-data --separate --unbuffered --regexp-extended"},
	{"gawk",
		"-F --field-separator --field-sep -i --include -v --assign -f --file -E --exec "
		"-l --load -e --source",
		"--bignum --characters-as-bytes --lint --no-optimize --optimize --posix "
		"--re-interval --sandbox --traditional -M -N -O -P -S -b -c -n -r -s -t -g -o -D"},
	{"mawk", "-f --file -F -v -W", "-q -x"},
	{"awk", "-f --file -F -v -W", "-n -r"},
	{"rm", "", "-f -r -R -i -I -d -v --force --recursive --verbose --one-file-system"},
	{"find", "-D", "-H -L -P -O3"},
	{"xargs",
		"-a --arg-file -d --delimiter -E -I -L -n --max-args --max-a -P --max-procs "
		"--process-slot-var -s --max-chars",
		"-0 --null -i -e -l -o -p -r -t -x --no-run-if-empty --verbose --interactive"},
	{"env", "-u --unset --uns -C --chdir -S --split-string --split",
		"-i -0 -v --ignore-environment --null --debug --block-signal --default-signal"},
	{"timeout", "-k --kill-after -s --signal --sig", "--foreground --preserve-status -v"},
	{"nice", "-n --adjustment --adj", "-5 --help"},
	{"nohup", "", "--help"},
	{"setsid", "", "-c -f -w --ctty --fork --wait"},
	{"sudo",
		"-a -C --close-from -c -D --chdir -g --group -h --host -p --prompt -R --chroot "
		"-r --role -t --type -U --other-user -T --command-timeout -u --user --use",
		"-A -B -b -E --preserve-env -e -H -i -K -k -l -N -n -P -S -s -V -v"},
	{"bash", "--rcfile --init-file -O -o +O +o", "-i -l -r -s -D --login --norc --posix"},
	{"sh", "-o +o", "-a -e -f -i -n -s -u -x"},
	{"dash", "-o +o", "-a -e -f -i -n -s -u -x"},
	{"zsh", "-o +o", "-f -i -l -s"},
	{"busybox", "", ""},
	{"toybox", "", ""},
	{"coreutils", "", ""},
};

static const char *next(const char **at, char word[64])
{
	size_t n;
	const char *s = program_word(at, &n);

	if (!s)
		return NULL;
	ck_assert_uint_lt(n, 64);
	memcpy(word, s, n);
	word[n] = 0;
	return word;
}

/* `exec PROGRAM MIDDLE REST` */
static enum verdict start(
	const struct policy *p, const char *program, const char *middle, const char *rest)
{
	struct decision d;
	struct action *a;
	struct error e;
	char text[256];

	snprintf(text, sizeof text, "exec %s %s %s", program, middle, rest);
	ck_assert_msg(policy_parse_action(text, &a, &e) == 0, "%s: %s", text, e.text);
	policy_decide(p, a, &d);
	action_free(a);
	return d.verdict;
}

static struct policy *denies_run(const char *program)
{
	char text[128];

	snprintf(text, sizeof text, "policy: 1\nexec: {allow: [\"* ...\"], deny: [%s run ...]}\n",
		program);
	return rig_load(text);
}

START_TEST(options_that_take_a_value_do_not_hide_what_stands_behind_it)
{
	for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
		const char *name = programs[i].program, *at = programs[i].valued;
		struct policy *p = denies_run(name);
		char o[64];

		ck_assert_int_eq(start(p, name, "run", ""), VERDICT_DENY);
		ck_assert_int_eq(start(p, name, "zzz", "run"), VERDICT_ALLOW);
		while (next(&at, o)) {
			ck_assert_msg(start(p, name, o, "zzz run") == VERDICT_DENY,
				"%s %s takes a value", name, o);
		}
		policy_free(p);
	}
}
END_TEST

START_TEST(options_that_take_none_do_not_make_up_a_subcommand)
{
	for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
		const char *name = programs[i].program, *at = programs[i].plain;
		struct policy *p;
		char o[64];

		if (!at)
			continue;
		p = denies_run(name);
		while (next(&at, o)) {
			ck_assert_msg(start(p, name, o, "run") == VERDICT_DENY, "%s %s", name, o);
			ck_assert_msg(start(p, name, o, "zzz run") == VERDICT_ALLOW,
				"%s %s takes no value", name, o);
		}
		policy_free(p);
	}
}
END_TEST

START_TEST(every_program_of_the_table_was_tried)
{
	const struct program *p;
	size_t i;

	for (i = 0; (p = program_at(i)) != NULL; i++) {
		size_t k = 0;

		while (k < ARRAY_LEN(programs) && strcmp(programs[k].program, p->name) != 0)
			k++;
		ck_assert_msg(k < ARRAY_LEN(programs), "%s", p->name);
	}
	ck_assert_uint_eq(i, ARRAY_LEN(programs));
}
END_TEST

/* ---- between the words of a sub-command ---- */

static const struct {
	const char *rule, *action;
	enum verdict is;
} between[] = {
	{"npm run deploy ...", "npm run --prefix d deploy", VERDICT_DENY},
	{"npm run deploy ...", "npm -s run -w a deploy", VERDICT_DENY},
	{"pnpm run deploy", "pnpm --dir x run --filter a deploy", VERDICT_DENY},
	{"yarn run deploy", "yarn --cwd d run deploy", VERDICT_DENY},
	{"gh pr merge ...", "gh pr -R a/b merge 1", VERDICT_DENY},
	{"gh pr merge ...", "gh --title x pr merge 1", VERDICT_DENY},
	{"kubectl delete pod ...", "kubectl -l a=b delete -n x pod y", VERDICT_DENY},
	{"kubectl delete pod ...", "kubectl get pod delete", VERDICT_ALLOW},
	{"make deploy", "make -C x -k deploy", VERDICT_DENY},
	{"deno run ws.ts", "deno run --config x --allow-net ws.ts", VERDICT_DENY},
	{"bun run deploy", "bun run --cwd x deploy", VERDICT_DENY},
	{"cargo publish ...", "cargo +nightly -v publish", VERDICT_DENY},
	{"cargo publish ...", "cargo build publish", VERDICT_ALLOW},
	{"docker compose up", "docker --context x compose up", VERDICT_DENY},
	{"docker compose up", "docker compose --file x up", VERDICT_ALLOW}, /* not known */
	{"go run ...", "go run x.go", VERDICT_DENY},
};

START_TEST(options_between_the_words_of_a_subcommand_do_not_hide_it)
{
	for (size_t i = 0; i < ARRAY_LEN(between); i++) {
		char text[256];
		struct policy *p;

		snprintf(text, sizeof text,
			"policy: 1\nexec: {allow: [\"* ...\"], deny: [\"%s\"]}\n", between[i].rule);
		p = rig_load(text);
		ck_assert_msg(start(p, between[i].action, "", "") == between[i].is, "%s: %s",
			between[i].rule, between[i].action);
		policy_free(p);
	}
}
END_TEST

/* ---- code ---- */

/* What ran when it was given code, or a file of code, as the value. */
static const char *const code[][2] = {
	{"git", "-c --config-env --exec-path"},
	{"npm", "--call -c --script-shell --node-options"},
	{"node", "-e --eval -p --print -r --require --import --loader"},
	{"bun", "-e --eval -p --print -r --preload"},
	{"deno", "--preload --require"},
	{"python3", "-c -m"},
	{"ruby", "-e -r"},
	{"perl", "-e -E -M -m -d"},
	{"php", "-r -B -R -E -F -d -S"},
	{"make", "--eval -f"},
	{"gawk", "-e -f -i -l -E"},
	{"mawk", "-f"},
	{"sed", "-e -f"},
	{"tar", "--to-command --use-compress-program -I --checkpoint-action"},
	{"bash", "-c --rcfile"},
	{"zsh", "-c"},
	{"find", "-exec -execdir -ok -okdir"},
	{"env", "-S --split-string"},
	{"go", "-exec -toolexec"},
	{"ssh", "-o -F"},
	{"curl", "-K --config"},
};

static int lists(const char *list, const char *want)
{
	char word[64];

	while (next(&list, word)) {
		if (strcmp(word, want) == 0)
			return 1;
	}
	return 0;
}

START_TEST(options_that_run_code_are_known)
{
	for (size_t i = 0; i < ARRAY_LEN(code); i++) {
		const struct program *p = program_named(code[i][0]);
		const char *at = code[i][1];
		char word[64];

		ck_assert_ptr_nonnull(p);
		while (next(&at, word))
			ck_assert_msg(lists(p->code, word), "%s %s", p->name, word);
	}
}
END_TEST

START_TEST(code_on_the_command_line_is_in_the_atlas)
{
	static const char *const runs[] = {"sh -c x", "node -pe 1", "bun -e 1", "bun exec x",
		"deno -L info eval x", "python3 -c x", "perl -ne x", "ruby -e x", "php -r x",
		"php -B x", "zsh -c x"};

	for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
		char text[256];
		const char *e;

		snprintf(text, sizeof text,
			"policy: 1\nexec: {allow: [%s]}\ntests: [never allow atlas inline-code]\n",
			runs[i]);
		e = rig_error(text);
		ck_assert_msg(strstr(e, "never allow atlas") != NULL, "%s", e);
	}
}
END_TEST

/* ---- programs in one file ---- */

START_TEST(what_a_program_in_one_file_begins_is_judged)
{
	static const char *const denied[] = {"busybox run x", "busybox /bin/run",
		"busybox busybox run", "toybox run", "coreutils --coreutils-prog=run x",
		"coreutils run"};
	struct policy *p = rig_load("policy: 1\nexec: {allow: [\"* ...\"], deny: [run ...]}\n");

	for (size_t i = 0; i < ARRAY_LEN(denied); i++)
		ck_assert_msg(start(p, denied[i], "", "") == VERDICT_DENY, "%s", denied[i]);
	ck_assert_int_eq(start(p, "busybox", "echo", "run"), VERDICT_ALLOW);
	policy_free(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("policy_programs");
	TCase *t = tcase_create("the table of programs");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, options_that_take_a_value_do_not_hide_what_stands_behind_it);
	tcase_add_test(t, options_that_take_none_do_not_make_up_a_subcommand);
	tcase_add_test(t, every_program_of_the_table_was_tried);
	tcase_add_test(t, options_between_the_words_of_a_subcommand_do_not_hide_it);
	tcase_add_test(t, options_that_run_code_are_known);
	tcase_add_test(t, code_on_the_command_line_is_in_the_atlas);
	tcase_add_test(t, what_a_program_in_one_file_begins_is_judged);
	suite_add_tcase(s, t);
	return rig_run(s);
}
