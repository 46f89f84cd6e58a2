"""agentctl policy: what it prints, its exit codes, and what it says to the broker (which this file
imitates). No sandbox, no root."""
import glob
import hashlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading

from agentd import BUILD

TOOLS = os.path.join(BUILD, "agentctl-tools")
GOOD = """policy: 1
name: web
tools:
  allow: [Read, "Edit {/file_path: ws:/**}"]
  deny: [{tool: WebSearch, why: private}]
tests: [deny tool WebSearch]
"""


class Place:
    """A root for agentd, a home and a project, removed at the end."""

    def __enter__(self):
        self.base = tempfile.mkdtemp(prefix="agentd-policy-")
        self.root = self.make("root")
        self.home = self.make("home")
        self.project = self.make("project")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.base)

    def make(self, name):
        path = os.path.join(self.base, name)
        os.makedirs(path)
        return path

    def write(self, path, text):
        path = os.path.join(self.base, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def policy(self, *args, **kw):
        return self.tool("policy", *args, **kw)

    def tool(self, *args, stdin=None, env=None):
        return subprocess.run(
            [TOOLS, *args], cwd=self.project, input=stdin, text=True, timeout=20,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
            env={"HOME": self.home, "AGENTD_ROOT": self.root, "PATH": "/usr/bin", **(env or {})})


class Broker:
    """control.sock: takes RPC and answers every call with its params."""

    def __init__(self, place):
        self.calls = []
        run = os.path.join(place.root, "run", "agentd")
        os.makedirs(run)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(os.path.join(run, "control.sock"))
        self.sock.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            conn, _ = self.sock.accept()
            stream = conn.makefile("rwb")
            assert stream.readline() == b"RPC\n"
            for line in stream:
                call = json.loads(line)
                self.calls.append((call["method"], call["params"]))
                answer = {"jsonrpc": "2.0", "id": call["id"], "result": self.answer(call)}
                stream.write(json.dumps(answer).encode() + b"\n")
                stream.flush()

    @staticmethod
    def answer(call):
        if call["method"] == "trusted":
            return {"trusted": [{"path": "/a\x1b[31m", "sha256": "0" * 64}]}
        return {**call["params"], "removed": True}


def test_check_accepts_a_good_file_and_names_the_place_of_a_bad_one():
    """policy check: 0 loads, 4 does not (with FILE:LINE:COLUMN), 5 its tests fail"""
    with Place() as p:
        p.write("project/good.yaml", GOOD)
        p.write("project/bad.yaml", "policy: 1\ntools:\n  dney: [x]\n")
        p.write("project/fails.yaml", "policy: 1\ntests: [allow tool Bash]\n")
        r = p.policy("check", "good.yaml")
        assert (r.returncode, r.stderr) == (0, ""), r
        assert "good.yaml: ok, 3 rules, 1 tests passed" in r.stdout
        r = p.policy("check", "good.yaml", "bad.yaml")
        assert r.returncode == 4, r
        assert r.stderr.startswith("bad.yaml:3:3: ") and "`deny`" in r.stderr, r.stderr
        r = p.policy("check", "fails.yaml")
        assert r.returncode == 5 and "the decision is ask" in r.stderr, r
        assert p.policy("check", "fails.yaml", "bad.yaml").returncode == 4
        assert p.policy("check", "-", stdin=GOOD).returncode == 0
        assert p.policy("check", "missing.yaml").returncode == 4


def test_usage_errors_exit_with_2():
    """policy without a verb, with an unknown one, or without its file: 2"""
    with Place() as p:
        for args in ([], ["frob"], ["check"], ["test"], ["explain"], ["check", "--frob"],
                     ["trust", "a", "b"], ["trusted", "x"], ["explain", "not a call"]):
            r = p.policy(*args)
            assert r.returncode == 2 and r.stderr.count("\n") == 1 and not r.stdout, (args, r)


def test_help_and_root_of_the_tool_verbs():
    """agentctl VERB … --help is help, and a root that cannot be used is exit 2, for every verb"""
    with Place() as p:
        for args in (["policy", "check", "--help"], ["policy", "trust", "-h"],
                     ["audit", "verify", "--help"], ["audit", "show", "1", "--help"],
                     ["approve", "x", "--help"], ["deny", "x", "-h"], ["doctor", "--help"]):
            r = p.tool(*args)
            assert r.returncode == 0 and "usage: agentctl " + args[0] in r.stdout, (args, r)
            assert not r.stderr, (args, r)
        for args in (["approvals"], ["approve", "x"], ["policy", "trusted"], ["audit", "tail"],
                     ["audit", "verify"], ["doctor"]):
            r = p.tool("--root", "/nonexistent", *args)
            assert r.returncode == 2 and "/nonexistent" in r.stderr, (args, r)
        r = p.tool("policy", "explain", "--", "--help")
        assert r.returncode == 2 and not r.stdout, r


def test_output_that_cannot_be_written_is_no_success():
    """A full disk under the output of a verb is exit 1 and said"""
    with Place() as p, open("/dev/full", "wb") as full:
        r = subprocess.run([TOOLS, "--root", p.root, "policy", "builtin"], stdout=full,
                           stderr=subprocess.PIPE, text=True, timeout=20, check=False)
        assert r.returncode == 1 and "could not be written" in r.stderr, r


def test_a_refusal_that_comes_before_the_question_is_read():
    """A supervisor that refuses a connection and closes it is heard, whatever was written"""
    with Place() as p:
        os.makedirs(p.root + "/run/agentd")
        servers = []
        for name in ("control.sock", "kill.sock"):
            servers.append(socket.socket(socket.AF_UNIX))
            servers[-1].bind(p.root + "/run/agentd/" + name)
            servers[-1].listen()

        def refuse():
            while True:
                conn, _ = servers[0].accept()
                conn.send(b"ERR too many connections\n")
                conn.close()
        threading.Thread(target=refuse, daemon=True).start()
        for args, code in ((["audit", "tail"], 3), (["audit", "show", "1"], 3), (["doctor"], 1),
                           (["approvals"], 1), (["policy", "trusted"], 1)):
            for _ in range(10):
                r = p.tool(*args)
                assert r.returncode == code, (args, r)
                assert (r.stdout + r.stderr).count("too many connections") >= 1, (args, r)
        assert "recorder: cannot be asked: too many" in p.tool("doctor").stdout


def test_show_lists_the_layers_of_this_place_and_what_they_come_to():
    """policy show: all layers of this place, composed by strictest wins"""
    with Place() as p:
        p.write("root/etc/agentd/policy.d/10-site.yaml", "policy: 1\nlimits: {processes: 99}\n")
        p.write("home/.config/agentd/policy.yaml", "policy: 1\nunmatched: deny\n")
        p.write("project/.agentd/policy.yaml", GOOD)
        p.write("project/codex.yaml", "policy: 1\nwhen: {agent: [codex]}\n")
        r = p.policy("show", "codex.yaml")
        assert r.returncode == 0, r
        for origin in ("builtin", "admin", "user", "repo", "cli"):
            assert "# " + origin in r.stdout, r.stdout
        assert "NOT USED" in r.stdout
        assert "NOT USED" not in p.policy("show", "--agent", "codex", "codex.yaml").stdout
        r = p.policy("show", "--effective", env={"SECRET_X": "1"})
        assert "unmatched: deny" in r.stdout and "processes: 99" in r.stdout, r.stdout
        assert "Edit {/file_path: ws:/**}   # .agentd/policy.yaml:4" in r.stdout, r.stdout
        assert "#   PATH\n" in r.stdout and "SECRET_X" not in r.stdout


def test_a_directory_below_the_top_has_the_same_policy_as_a_run():
    """policy show and trust in a subdirectory: the workspace's file, branch and CI, as in a run"""
    with Place() as p:
        p.write("project/.agentd/policy.yaml", GOOD)
        p.write("project/.git/HEAD", "ref: refs/heads/topic\n")
        branch = p.write("branch.yaml", "policy: 1\nwhen: {branch: [topic]}\n")
        ci = p.write("ci.yaml", "policy: 1\nwhen: {ci: true}\n")
        p.project = p.make("project/sub")
        r = p.policy("show", branch)
        assert r.returncode == 0 and "project/.agentd/policy.yaml (web): 2 allow" in r.stdout, r
        assert "branch topic" in r.stdout and "NOT USED" not in r.stdout, r
        for value, used in (("true", True), ("false", False), ("0", False), ("", False)):
            r = p.policy("show", ci, env={"CI": value})
            assert ("NOT USED" not in r.stdout) == used, (value, r)
        broker = Broker(p)
        r = p.policy("trust")
        assert r.returncode == 0, r
        top = os.path.realpath(p.base) + "/project"
        assert broker.calls[0][1]["path"] == top + "/.agentd/policy.yaml"


def test_explain_says_which_rule_of_which_layer_decides():
    """policy explain: every layer's answer, the decision, its file and line"""
    with Place() as p:
        p.write("project/.agentd/policy.yaml", GOOD)
        r = p.policy("explain", "tool Edit {/file_path: ws:/.git/hooks/pre-commit}")
        assert r.returncode == 0, r
        lines = {line.split()[0]: line for line in r.stdout.splitlines()}
        assert " deny " in lines["builtin"] and " allow " in lines["repo"]
        assert " deny " in lines["decision"] and "coding-base:" in lines["decision"]


def test_explain_lists_the_commands_of_a_shell_text():
    """policy explain 'shell …': every command with its decision, and what the whole comes to"""
    with Place() as p:
        p.write("project/p.yaml", "policy: 1\nexec: {allow: [git status ...], deny: [rm ...]}\n")
        r = p.policy("explain", "shell 'git' status; eval \x07", "p.yaml")
        assert r.returncode == 0 and "control character" in r.stdout and "\x07" not in r.stdout, r
        r = p.policy("explain", "shell 'git' status && r\\m -rf \"a b\" > f &", "p.yaml")
        lines = [line.split() for line in r.stdout.splitlines()]
        assert r.returncode == 0 and lines[0] == ["command", "git", "status"], r
        assert lines[1][0] == "allow" and lines[2] == ["command", "rm", "-rf", "'a", "b'"], r
        assert lines[3][0] == "deny" and lines[4] == ["file", "write", "f"], r
        assert lines[6][0] == "opaque" and lines[8][:2] == ["decision", "deny"], r
        assert "p.yaml:2" in r.stdout and "hook" in r.stdout, r
        p.write("project/t.yaml", "policy: 1\ntools: {allow: [Bash]}\n")
        r = p.policy("explain", "shell rm x", "t.yaml")
        assert r.returncode == 0 and "decision               none" in r.stdout, r


def test_trust_tells_the_broker_path_and_digest_of_a_file_that_loads():
    """policy trust sends path and SHA-256 of the bytes it checked, never those of a bad file"""
    with Place() as p:
        path = p.write("project/.agentd/policy.yaml", GOOD)
        assert p.policy("trust").returncode == 125
        broker = Broker(p)
        r = p.policy("trust")
        assert r.returncode == 0, r
        assert "Edit {/file_path: ws:/**}" in r.stdout and "trusted: " + path in r.stdout, r.stdout
        digest = hashlib.sha256(GOOD.encode()).hexdigest()
        assert broker.calls == [("trust", {"path": path, "sha256": digest})], broker.calls
        p.write("project/.agentd/policy.yaml", GOOD + "frob: 1\n")
        assert p.policy("trust").returncode == 4
        assert p.policy("trust", "missing").returncode == 1
        assert len(broker.calls) == 1
        assert p.policy("untrust").returncode == 0
        assert broker.calls[1] == ("untrust", {"path": path})
        r = p.policy("trusted")
        assert r.returncode == 0 and "\x1b" not in r.stdout and "/a" in r.stdout, r


def test_text_of_a_file_cannot_play_with_the_terminal():
    """what a policy file says is shown escaped"""
    with Place() as p:
        p.write("project/.agentd/policy.yaml", 'policy: 1\ntools: {deny: ["X {/a: \'x\\ny\'}"]}\n')
        r = p.policy("show", "--effective")
        assert r.returncode == 0 and "x\\x0Ay" in r.stdout, r.stdout
        r = p.policy("check", "-", stdin="policy: 1\nname: \x1b[31m\n")
        assert r.returncode == 4 and "\x1b" not in r.stderr, r


# ---- diff ---------------------------------------------------------------------------------------

OLD = """policy: 1
unmatched: deny
tools:
  allow: [Read, "Edit {/file_path: ws:/src/**}"]
  deny: ["* {/file_path: 'ws:/**/.env'}"]
net: {allow: ["api.example.com:443"]}
"""
NEW = OLD.replace("ws:/src/**", "ws:/**").replace("api.example.com", "*.example.com")


def test_diff_says_what_is_wider_with_an_example_and_its_line():
    """policy diff: exit 2 and an action that is let through, 0 for the way back, 0 for no change"""
    with Place() as p:
        p.write("project/old.yaml", OLD)
        p.write("project/new.yaml", NEW)
        r = p.policy("diff", "old.yaml", "new.yaml")
        assert r.returncode == 2 and not r.stderr, r
        assert "WIDER     deny -> allow  connect x.example.com:443" in r.stdout, r.stdout
        assert "because of new.yaml:6, added: net allow *.example.com:443" in r.stdout, r.stdout
        assert "Nothing else changes: checked for all actions" in r.stdout, r.stdout
        for line in r.stdout.splitlines():  # what it shows is what explain says
            if "->" in line and line.startswith("WIDER"):
                was, _, now, call = line[len("WIDER"):].split(None, 3)
                for name, verdict in (("old.yaml", was), ("new.yaml", now)):
                    e = p.policy("explain", call, name)
                    assert f"decision               {verdict}" in e.stdout, (call, name, e)
        r = p.policy("diff", "new.yaml", "old.yaml")
        assert r.returncode == 0 and "only stricter" in r.stdout and "WIDER" not in r.stdout, r
        r = p.policy("diff", "old.yaml", "old.yaml")
        assert r.returncode == 0 and "policy change: no change\n" in r.stdout, r
        assert p.policy("diff", "--exit-zero", "old.yaml", "new.yaml").returncode == 0


def test_diff_names_danger_and_a_broken_promise():
    """policy diff: the danger atlas comes first; 3 when the old policy promised `never`"""
    with Place() as p:
        deny = "  deny: [git push ... flag(-f|--force|--mirror|-d|--delete) ...]\n"
        base = "policy: 1\nunmatched: deny\nexec:\n  allow: [git push ...]\n"
        never = "tests: [never allow atlas force-push]\n"
        plus = "  ask: ['git push ... \"+*\" ...', 'git push ... \":*\" ...', " \
            "'git push ... flag(--prune|--force-with-lease) ...']\n"
        p.write("project/old.yaml", base + plus + deny)
        p.write("project/promise.yaml", base + plus + deny + never)
        p.write("project/new.yaml", base + plus)
        r = p.policy("diff", "old.yaml", "new.yaml")
        assert r.returncode == 2, r
        assert r.stdout.splitlines()[1].startswith("DANGER    deny -> allow  force-push: exec git")
        r = p.policy("diff", "promise.yaml", "new.yaml")
        assert r.returncode == 3 and "promised `never`" in r.stdout, r
        d = json.loads(p.policy("diff", "--format=json", "promise.yaml", "new.yaml").stdout)
        assert {"force-push"} == {x["name"] for x in d["dangers"]}, d
        r = p.policy("diff", "new.yaml", "promise.yaml")
        assert r.returncode == 0 and "DANGER" not in r.stdout, r


def test_diff_of_git_revisions_and_directories():
    """policy diff reads .agentd/policy.yaml of a git revision or a directory"""
    with Place() as p:
        git = ["git", "-C", p.project, "-c", "user.name=x", "-c", "user.email=x@example.com"]
        p.write("project/.agentd/policy.yaml", OLD)
        for args in (["init", "-q"], ["add", "."], ["commit", "-qm", "old"]):
            subprocess.run(git + args, check=True)
        p.write("project/.agentd/policy.yaml", NEW)
        r = p.policy("diff", "HEAD", ".")
        assert r.returncode == 2 and "WIDER" in r.stdout, r
        assert "HEAD:.agentd/policy.yaml:4, removed" in r.stdout, r.stdout
        subprocess.run(git + ["commit", "-qam", "new"], check=True)
        assert p.policy("diff", "HEAD~1", "HEAD").returncode == 2
        assert p.policy("diff", "HEAD", "HEAD~1").returncode == 0
        r = p.policy("diff", "no-such-revision", "HEAD")
        assert r.returncode == 4 and "no-such-revision" in r.stderr, r


def test_files_that_a_policy_extends():
    """check and diff read the files that a policy extends, also out of the git revision"""
    def extending(text):
        return ("policy: 1\nextends:\n  - {file: parts/a.yaml, digest: \"sha256:"
                + hashlib.sha256(text.encode()).hexdigest() + "\"}\n")

    with Place() as p:
        git = ["git", "-C", p.project, "-c", "user.name=x", "-c", "user.email=x@example.com"]
        old, new = "policy: 1\nnet: {deny: ['**:22']}\n", "policy: 1\n"
        for text in (old, new):
            p.write("project/.agentd/parts/a.yaml", text)
            p.write("project/.agentd/policy.yaml", extending(text))
            for args in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
                subprocess.run(git + args, check=True)
        r = p.policy("check", ".agentd/policy.yaml")
        assert r.returncode == 0 and r.stdout.splitlines()[0].startswith(
            ".agentd/parts/a.yaml: ok"), r
        r = p.policy("diff", "HEAD~1", "HEAD")
        assert r.returncode == 2 and "deny -> ask  connect x:22" in r.stdout, r
        assert "HEAD~1:.agentd/parts/a.yaml:2, removed" in r.stdout, r
        p.write("project/.agentd/parts/a.yaml", old)
        r = p.policy("check", ".agentd/policy.yaml")
        assert r.returncode == 4 and r.stderr.startswith(
            ".agentd/policy.yaml:3:12: a file with another digest"), r
        os.remove(p.project + "/.agentd/parts/a.yaml")
        os.symlink("/dev/zero", p.project + "/.agentd/parts/a.yaml")
        r = p.policy("check", ".agentd/policy.yaml")
        assert r.returncode == 4 and "was not found" in r.stderr, r


def test_diff_refuses_what_does_not_load():
    """policy diff: 4 a policy does not load, 5 its tests fail, 1 wrong usage; never 0"""
    with Place() as p:
        p.write("project/old.yaml", OLD)
        p.write("project/bad.yaml", OLD + "exept: 1\n")
        p.write("project/fails.yaml", OLD + "tests: [allow tool Bash]\n")
        r = p.policy("diff", "old.yaml", "bad.yaml")
        assert r.returncode == 4 and "bad.yaml:7:1" in r.stderr, r
        assert p.policy("diff", "old.yaml", "fails.yaml").returncode == 5
        for args in (["old.yaml"], [], ["old.yaml", "old.yaml", "old.yaml"],
                     ["--format", "xml", "old.yaml", "old.yaml"], ["--frob", "a", "b"]):
            assert p.policy("diff", *args).returncode == 1, args


def test_diff_for_machines():
    """policy diff --format json, sarif, markdown: whole documents, no markup of a policy's own"""
    with Place() as p:
        p.write("project/old.yaml", OLD)
        p.write("project/new.yaml", NEW + "  # end\n" + """files:
  allow: ["r ws:/a`|<b>"]
""")
        r = p.policy("diff", "--format", "json", "old.yaml", "new.yaml")
        d = json.loads(r.stdout)
        assert r.returncode == 2 and d["wider"] is True, d
        kinds = {(c["kind"], c["was"], c["now"]): c for c in d["changes"]}
        one = kinds["file", "deny", "allow"]
        assert one["count"] == 1 and one["example"] == "r ws:/a`|<b>", one
        assert d["rules"][one["rules"][0]]["line"] == 9, d
        r = p.policy("diff", "--format=sarif", "old.yaml", "new.yaml")
        s = json.loads(r.stdout)
        results = s["runs"][0]["results"]
        assert s["version"] == "2.1.0" and len(results) == len(d["changes"]), s
        assert {x["level"] for x in results} == {"error"}, results
        again = json.loads(p.policy("diff", "--format=sarif", "old.yaml", "new.yaml").stdout)
        assert again == s
        r = p.policy("diff", "--format", "markdown", "old.yaml", "new.yaml")
        assert "`file r ws:/a'\\|<b>`" in r.stdout, r.stdout
        assert r.stdout.startswith("<!-- agentd policy diff -->"), r.stdout


# ---- lint ---------------------------------------------------------------------------------------

def test_lint_names_what_does_nothing():
    """policy lint: 5 when a rule can match nothing, 0 with warnings, 5 for these with --strict"""
    with Place() as p:
        p.write("project/error.yaml", "policy: 1\nnet: {allow: ['-a.example:443']}\n")
        r = p.policy("lint", "error.yaml")
        assert r.returncode == 5 and "error.yaml:2: error L5: " in r.stdout, r
        p.write("project/warn.yaml", "policy: 1\nunmatched: deny\nnet:\n"
                "  allow: ['a.b.example:443']\n  ask: ['**.example:443']\n"
                "tests: [ask connect a.b.example:443]\n")
        r = p.policy("lint", "warn.yaml")
        assert r.returncode == 0 and "warn.yaml:4: warning L1: " in r.stdout, r
        assert p.policy("lint", "--strict", "warn.yaml").returncode == 5
        p.write("project/good.yaml", "policy: 1\nunmatched: deny\nnet: {ask: ['**.example:443']}\n"
                "tests: [ask connect a.example:443]\n")
        r = p.policy("lint", "--strict", "good.yaml")
        assert (r.returncode, r.stdout) == (0, "good.yaml: nothing to say\n"), r
        p.write("project/bad.yaml", "policy: 2\n")
        assert p.policy("lint", "good.yaml", "bad.yaml").returncode == 4
        assert p.policy("lint").returncode == 2 and p.policy("lint", "--frob").returncode == 2


def test_the_examples_are_as_a_reviewer_would_want_them():
    """examples/: their tests pass, lint finds no error in them, and none differs from itself"""
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    files = sorted(glob.glob(top + "/examples/*.yaml"))
    assert len(files) >= 5, files
    with Place() as p:
        for verb in ("test", "lint"):
            r = p.policy(verb, *files)
            assert r.returncode == 0 and not r.stderr, (verb, r)
        for f in files:
            r = p.policy("diff", f, f)
            assert r.returncode == 0 and "no change\n" in r.stdout, r


def test_the_pre_commit_hook_of_the_examples():
    """examples/git-hooks/pre-commit: shows what a change means, stops what does not load"""
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with Place() as p:
        git = ["git", "-C", p.project, "-c", "user.name=x", "-c", "user.email=x@example.com"]
        env = {**os.environ, "PATH": BUILD + ":/usr/bin:/bin", "AGENTD_ROOT": p.root}

        def commit(text, **more):
            p.write("project/.agentd/policy.yaml", text)
            subprocess.run(git + ["add", "."], check=True)
            return subprocess.run(git + ["commit", "-qm", "x"], env={**env, **more}, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)

        subprocess.run(git + ["init", "-q"], check=True)
        shutil.copy(top + "/examples/git-hooks/pre-commit", p.project + "/.git/hooks/pre-commit")
        r = commit(OLD)
        assert r.returncode == 0 and "ok, 4 rules" in r.stdout, r
        r = commit(OLD + "exept: 1\n")
        assert r.returncode == 1 and "unknown key" in r.stdout, r
        r = commit(NEW, AGENTD_STRICT="1")
        assert r.returncode == 1 and "WIDER" in r.stdout, r
        r = commit(NEW)
        assert r.returncode == 0 and "WIDER" in r.stdout, r
