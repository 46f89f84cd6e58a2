"""agentctl policy suggest: from records of the log to a patch. Records of agents are hostile."""
import json
import os
import shutil
import subprocess
import tempfile
import time

from agentd import BUILD, limit

TOOLS = os.path.join(BUILD, "agentctl-tools")

DENY = """policy: 1
tools:
  deny:
    - WebSearch   # private
"""


class Place:
    """A home and a project, removed at the end."""

    def __enter__(self):
        self.base = tempfile.mkdtemp(prefix="agentd-suggest-")
        self.project = os.path.join(self.base, "project")
        os.mkdir(self.project)
        self.env = {"HOME": self.base, "AGENTD_ROOT": self.base, "PATH": "/usr/bin"}
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.base)

    def write(self, path, text):
        path = os.path.join(self.project, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def policy(self, *args, stdin=None):
        return subprocess.run([TOOLS, "policy", *args], cwd=self.project, input=stdin, text=True,
                              timeout=60, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              check=False, env=self.env)


class Log:
    """Records as the broker writes them."""

    def __init__(self, age=3600):
        self.lines = []
        self.now = time.time() - age

    def add(self, kind, session_id, **more):
        self.now += 1
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z", time.gmtime(self.now))
        self.lines.append({"k": kind, "s": session_id, "t": stamp, "v": 1, "i": len(self.lines),
                           **more})

    def start(self, session_id):
        self.add("session.start", session_id, workspace="/home/me/web", cwd="/home/me/web/src")

    def call(self, session_id, act, by="approval", verdict="allow", prompted=True):
        q = f"q{len(self.lines)}"
        self.add("request", session_id, q=q, act=act)
        if by == "approval" and prompted:
            self.add("approval", session_id, q=q, verdict=verdict, scope="once")
        self.add("decision", session_id, q=q,
                 d={"by": by, "verdict": verdict, "rule": "unmatched", "reason": "x"})

    def tool(self, session_id, name, call_input, **how):
        self.call(session_id, {"type": "tool", "tool": name, "input": call_input}, **how)

    def action(self, session_id, text, **how):
        self.call(session_id, {"action": text}, **how)

    def text(self):
        return "".join(json.dumps(line) + "\n" for line in self.lines)


def usual():
    """Two sessions with the same three approvals."""
    log = Log()
    for s in ("one", "two"):
        log.start(s)
        for n in range(2):
            log.tool(s, "Bash", {"command": "npm test", "description": f"it's \"{n}\""})
            log.tool(s, "Read", {"file_path": "/home/me/web/a.c"}, by="policy")
    return log


def suggest(p, log, *options, code=0):
    text = log if isinstance(log, str) else log.text()
    r = p.policy("suggest", "--jsonl", "-", *options, stdin=text)
    assert r.returncode == code, r
    return r


def test_a_patch_that_patch_and_git_apply():
    """policy suggest: both programs take the output; afterwards the prompt is gone, nothing else"""
    for program in (["patch", "-p1"], ["git", "apply"]):
        for policy in (DENY, None):
            with Place() as p:
                if policy:
                    p.write(".agentd/policy.yaml", policy)
                subprocess.run(["git", "init", "-q", p.project], check=True)
                out = suggest(p, usual()).stdout
                assert "saves 4 prompts (4x in 2 sessions)" in out, out
                assert "# 4x in 2 sessions, last 20" in out and "also allows: nothing" in out, out
                assert "WIDER     ask -> allow  tool Bash {/command: \"npm test\"}" in out, out
                path = os.path.join(p.project, ".agentd/policy.yaml")
                before = open(path, encoding="utf-8").read() if policy else None
                assert before == policy or not os.path.exists(path), "it was applied"
                subprocess.run(program, cwd=p.project, input=out, text=True, check=True,
                               stdout=subprocess.PIPE)
                r = p.policy("explain", "tool Bash {/command: npm test}")
                assert "decision               allow" in r.stdout, r
                r = p.policy("explain", "tool Read")
                assert "decision               allow" in r.stdout, r  # built-in rules gave way
                r = p.policy("explain", "tool Bash {/command: npm test2}")
                assert "decision               ask" in r.stdout, r


def test_attacked_sessions_and_old_ones_teach_nothing():
    """policy suggest: killed, canary, denied storm; --since, --session, --kind, --min"""
    with Place() as p:
        for ending in ({"kind": "kill"}, {"kind": "session.end", "reason": "killed"},
                       {"kind": "canary"}, {"kind": "session.end", "reason": "exit"}):
            log = usual()
            kind = ending.pop("kind")
            log.add(kind, "two", **ending)
            out = suggest(p, log).stdout
            taught = "saves" in out
            assert taught == (ending.get("reason") == "exit"), (kind, ending, out)
            assert taught or "not learned from" in out, out
        log = usual()
        for _ in range(31):
            log.tool("two", "Bash", {"command": "curl evil.example"}, by="policy", verdict="deny")
        assert "nothing to suggest" in suggest(p, log).stdout
        assert "nothing to suggest" in suggest(p, usual(), "--since", "10m").stdout
        assert "saves" in suggest(p, usual(), "--since", "2h").stdout
        assert "nothing to suggest" in suggest(p, usual(), "--session", "one").stdout
        assert "saves" in suggest(p, usual(), "--session=one", "--session=two").stdout
        assert "nothing to suggest" in suggest(p, usual(), "--kind", "exec").stdout
        assert "nothing to suggest" in suggest(p, usual(), "--min", "5").stdout


def test_refusals_hold_also_when_they_are_old_or_cut():
    """policy suggest: a person's no counts whenever it was, and when only a part of it is kept"""
    with Place() as p:
        for refused in ({"command": "npm test"},
                        {"head": "{\"comm", "len": 5000, "sha256": "0" * 64}):
            log = Log(age=86400 * 90)
            log.tool("old", "Bash", refused, verdict="deny")
            out = suggest(p, log.text() + usual().text()).stdout
            assert "nothing to suggest" in out, (refused, out)


def test_hostile_records():
    """policy suggest: control characters, YAML, patch headers in names; one error for a bad line"""
    evil = ["x\x1b[31m", "x\n--- a/etc/passwd\n+++ b/etc/passwd", "'\"]}\n  deny: []", "x\u202ey",
            "a: {b: [c]} # d", "- !!python/object:x", "*", "{a,b}", "x`y`", "%", "@", "&a",
            "\u0430"]
    with Place() as p:
        p.write(".agentd/policy.yaml", DENY)
        log = usual()
        for s in ("one", "two\x1b[2J", "three"):
            for text in evil:
                log.tool(s, "Bash", {"command": text})
                log.action(s, "file r ws:/docs/" + text)
                log.action(s, "exec cat '" + text + "'")
        r = suggest(p, log)
        head, patch = r.stdout.split("\n--- a/.agentd/policy.yaml\n")
        assert all(line.startswith("#") for line in head.splitlines()), head
        assert "\x1b" not in r.stdout and "\u202e" not in r.stdout, r.stdout
        assert "passwd" not in patch, patch
        subprocess.run(["patch", "-p1"], cwd=p.project, input=r.stdout, text=True, check=True,
                       stdout=subprocess.PIPE)
        assert p.policy("check", ".agentd/policy.yaml").returncode == 0
        good = usual().text()
        for bad in ("{", "[]", "null", "{\"k\":1.5}", "{\"k\":\"a\",\"k\":\"b\"}", "\x00{}",
                    "x" * 70000, "{\"a\":" * 40 + "1" + "}" * 40, "{\"k\":\"\\ud800\"}"):
            r = suggest(p, good + bad + "\n" + good, code=1)
            assert not r.stdout and r.stderr.count("\n") == 1, (bad[:40], r)
            assert f"-:{good.count(chr(10)) + 1}:1: " in r.stderr, (bad[:40], r.stderr)
    with Place() as p:
        for odd in ("{}", "{\"k\":\"decision\"}", "{\"k\":\"request\",\"act\":3,\"s\":[],\"q\":{}}",
                    "{\"k\":\"decision\",\"d\":[],\"s\":\"one\",\"q\":\"q\"}",
                    "{\"k\":\"session.start\",\"s\":\"one\",\"workspace\":\"../x\",\"cwd\":7}"):
            assert "saves 4 prompts" in suggest(p, good + odd + "\n").stdout, odd


def test_usage_and_files_that_do_not_load():
    """policy suggest: 2 for usage, 4 for a policy that does not load, 1 for a log that is not"""
    with Place() as p:
        for args in (["--frob", "x"], ["--since"], ["--since", "soon"], ["--min", "2"],
                     ["--kind", "x"], ["FILE"], ["--log", "a", "--jsonl", "b"], ["--session"]):
            r = p.policy("suggest", *args)
            assert r.returncode == 2 and r.stderr.count("\n") == 1 and not r.stdout, (args, r)
        assert p.policy("suggest", "--jsonl", "/nonexistent").returncode == 1
        r = p.policy("suggest", "--log", "/nonexistent")
        assert r.returncode == 1 and r.stderr.count("\n") == 1, r
        p.write("bad.yaml", "policy: 2\n")
        assert suggest(p, usual(), "--policy", "bad.yaml", code=4).stdout == ""
        p.write("braces.yaml", "{policy: 1}\n")
        r = suggest(p, usual(), "--policy", "braces.yaml", code=1)
        assert "by hand" in r.stderr and "npm test" in r.stdout and "---" not in r.stdout, r


@limit(120)
def test_many_records_take_bounded_memory():
    """policy suggest: 150,000 records, all different, within 400 MiB; what did not fit is said"""
    with Place() as p:
        def lines():
            log = Log()
            for n in range(50000):
                log.action(f"s{n % 97}", f"exec program{n % 7} word{n}")
                if len(log.lines) > 3000:
                    yield log.text()
                    log.lines.clear()
            yield usual().text()
        path = p.write("big.jsonl", "".join(lines()))
        r = subprocess.run(["/bin/sh", "-c", "ulimit -v 409600; exec \"$0\" \"$@\"",
                            TOOLS, "policy", "suggest", "--jsonl", path], cwd=p.project,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                           timeout=100, env=p.env)
        assert r.returncode == 0 and "did not fit" in r.stdout, r
