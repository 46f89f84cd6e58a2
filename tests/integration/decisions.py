"""Decisions: tool.sock, policy, approvals, the hook, the log; and who may do what."""
import json
import os
import socket
import threading
import time

from agentd import USERS, as_uid, limit, wait_until

POLICY = """\
policy: 1
name: test
unmatched: ask
tools:
  allow: ["Bash {/command: echo *}", Read]
  ask: ["Bash {/command: touch *}"]
  deny: ["Bash {/command: git push *}", WebSearch]
approvals: {timeout: 20s}
"""

# A client of tool.sock for inside. Reads JSON lines {method, params}, prints each answer.
CLIENT = r"""
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(60)
s.connect("/run/agentd/tool.sock")
f = s.makefile("rw")
for n, line in enumerate(sys.stdin, 1):
    call = json.loads(line)
    f.write(json.dumps({"jsonrpc": "2.0", "id": n, **call}) + "\n")
    f.flush()
    for answer in f:
        print(answer, end="", flush=True)
        if json.loads(answer).get("id") == n:
            break
"""


def session(inst, name="web", policy=POLICY, user="alice"):
    """A sandbox in which CLIENT runs; write calls to its stdin."""
    import subprocess
    inst.write("client.py", CLIENT, user)
    path = inst.policy(policy, user=user)
    p = inst.start_run(name, "/usr/bin/python3", "client.py", options=["--policy", path], user=user,
                       stdin=subprocess.PIPE)
    return p


def tool(command, name="Bash"):
    return {"kind": "tool", "tool": name, "input": {"command": command}}


def call(p, method, params=None):
    """Sends one call and returns (notifications, answer)."""
    p.stdin.write(json.dumps({"method": method, "params": params or {}}).encode() + b"\n")
    p.stdin.flush()
    return answer_of(p)


def send(p, params):
    """Sends an authorize whose answer is read later."""
    p.stdin.write(json.dumps({"method": "authorize", "params": params}).encode() + b"\n")
    p.stdin.flush()


def answer_of(p):
    notes = []
    while True:
        line = p.stdout.readline()
        assert line, p.stderr.read()
        msg = json.loads(line)
        if "id" in msg and "method" not in msg:
            return notes, msg
        notes.append(msg)


def held(inst, user="alice"):
    return wait_until(lambda: inst.approvals(user), 10, "an approval")


def test_allow_and_deny(inst):
    """tool.sock answers allow and deny with rule and reason, and both are in the log"""
    p = session(inst)
    for command, want in (("echo hi", "allow"), ("git push --force", "deny")):
        _, answer = call(p, "authorize", tool(command))
        assert answer["result"]["decision"] == want, answer
        assert answer["result"]["reason"] or answer["result"]["rule"], answer
    p.stdin.close()
    p.wait(10)
    records = inst.records()
    requests = [r for r in records if r["k"] == "request"]
    decisions = [r for r in records if r["k"] == "decision"]
    assert [r["act"]["input"]["command"] for r in requests] == ["echo hi", "git push --force"]
    assert [r["d"]["verdict"] for r in decisions] == ["allow", "deny"], decisions
    assert [r["q"] for r in requests] == [r["q"] for r in decisions], records
    assert [r["n"] for r in records if r.get("s") == requests[0]["s"]] == list(range(6)), records
    inst.ctl("audit", "verify", user="root").ok()


def test_whoami_and_explain(inst):
    """whoami and explain answer, without a record and without a prompt"""
    p = session(inst)
    _, who = call(p, "whoami")
    assert who["result"]["sandbox"] == "web", who
    _, why = call(p, "explain", tool("touch x"))
    assert why["result"]["decision"] == "ask", why
    assert not inst.approvals()
    assert not [r for r in inst.records() if r["k"] == "request"]


def test_a_human_reads_the_commands_not_the_quoting(inst):
    """The listing of a shell call has its commands below it, one a line, and says what is opaque"""
    p = session(inst)
    text = "'to'uch a && \"rm\" 'b c' > f; eval x"
    p.stdin.write(json.dumps({"method": "authorize", "params": tool(text)}).encode() + b"\n")
    p.stdin.flush()
    item = held(inst)[0]
    listing = inst.ctl("approvals").ok().out
    lines = listing.splitlines()
    assert text in listing and "  would run: touch a" in lines, listing
    lines = [line.strip() for line in lines]
    assert "rm 'b c'" in lines and "(file) write f" in lines, listing
    assert any(line.startswith("(opaque) a builtin that runs text") for line in lines), listing
    inst.ctl("deny", item["id"]).ok()


def test_ask_approved(inst):
    """An ask is held until the user approves it with agentctl, then allowed"""
    p = session(inst)
    p.stdin.write(json.dumps({"method": "authorize", "params": tool("touch x")}).encode() + b"\n")
    p.stdin.flush()
    item = held(inst)[0]
    assert "touch x" in item["text"], item
    listing = inst.ctl("approvals").ok().out
    assert item["id"] in listing and "touch x" in listing, listing
    time.sleep(0.3)
    inst.ctl("approve", item["id"]).ok()
    notes, answer = answer_of(p)
    assert answer["result"]["decision"] == "allow", answer
    assert notes[0]["method"] == "approval/pending", notes
    assert not inst.approvals()
    approval = [r for r in inst.records() if r["k"] == "approval"]
    assert len(approval) == 1 and approval[0]["by"]["uid"] == USERS["alice"], approval


def test_ask_denied(inst):
    """An ask that the user denies is denied, with the user's reason"""
    p = session(inst)
    p.stdin.write(json.dumps({"method": "authorize", "params": tool("touch x")}).encode() + b"\n")
    p.stdin.flush()
    inst.ctl("deny", held(inst)[0]["id"], "--reason", "not on a Friday").ok()
    _, answer = answer_of(p)
    assert answer["result"]["decision"] == "deny", answer
    assert "not on a Friday" in answer["result"]["reason"], answer


def test_ask_times_out(inst):
    """An ask that nobody answers is denied when its time is over"""
    p = session(inst, policy=POLICY.replace("20s", "2s"))
    start = time.monotonic()
    _, answer = call(p, "authorize", tool("touch x"))
    assert answer["result"]["decision"] == "deny", answer
    assert 1.5 < time.monotonic() - start < 10
    assert not inst.approvals()


def test_approval_is_bound(inst):
    """An approval holds for that action once: the same again and a different one ask again"""
    p = session(inst)
    for command in ("touch x", "touch y", "touch x"):
        p.stdin.write(json.dumps({"method": "authorize", "params": tool(command)}).encode() + b"\n")
        p.stdin.flush()
        item = held(inst)[0]
        assert command in item["text"], item
        inst.ctl("approve", item["id"]).ok()
        _, answer = answer_of(p)
        assert answer["result"]["decision"] == "allow", answer


def test_uses(inst):
    """approve --uses 2 lets the same action through twice, not three times"""
    p = session(inst)
    p.stdin.write(json.dumps({"method": "authorize", "params": tool("touch x")}).encode() + b"\n")
    p.stdin.flush()
    inst.ctl("approve", held(inst)[0]["id"], "--uses", "2").ok()
    assert answer_of(p)[1]["result"]["decision"] == "allow"
    assert call(p, "authorize", tool("touch x"))[1]["result"]["decision"] == "allow"
    p.stdin.write(json.dumps({"method": "authorize", "params": tool("touch x")}).encode() + b"\n")
    p.stdin.flush()
    inst.ctl("deny", held(inst)[0]["id"]).ok()
    assert answer_of(p)[1]["result"]["decision"] == "deny"


def test_another_user(inst):
    """Another user sees nothing and can do nothing: ps, show, attach, approvals, approve, freeze"""
    p = session(inst)
    p.stdin.write(json.dumps({"method": "authorize", "params": tool("touch x")}).encode() + b"\n")
    p.stdin.flush()
    item = held(inst)[0]
    assert inst.approvals("bob") == []
    assert "web" not in inst.ctl("ps", user="bob").ok().out
    for args in (("approve", item["id"]), ("deny", item["id"]), ("show", "web"), ("attach", "web"),
                 ("freeze", "web"), ("thaw", "web"), ("unlatch", "web"), ("show", "12001/web"),
                 ("attach", "12001/web"), ("freeze", "12001/web")):
        inst.ctl(*args, user="bob").failed()
    for line in ("FREEZE 12001/web\n", "SHOW 12001/web\n", "UNLATCH 12001/*\n"):
        assert inst.ask("control.sock", line, "bob").startswith("ERR"), line
    assert len(inst.approvals()) == 1
    inst.ctl("approve", item["id"]).ok()
    assert answer_of(p)[1]["result"]["decision"] == "allow"


def test_agent_cannot_answer(inst):
    """Neither the agent nor its kernel uid can approve, list or kill, even at the real sockets"""
    p = session(inst)
    p.stdin.write(json.dumps({"method": "authorize", "params": tool("touch x")}).encode() + b"\n")
    p.stdin.flush()
    item = held(inst)[0]
    kernel_uid = os.stat(f"/proc/{inst.sandbox_pids('web')[-1]}").st_uid
    for sock, line in (("control.sock", "PS\n"), ("control.sock", "RPC\n"),
                       ("kill.sock", "KILL *\n")):
        path = os.path.join(inst.run_dir, sock)

        def talk():
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(3)
            try:
                s.connect(path)
                s.sendall(line.encode())
                if line == "RPC\n":
                    s.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "approve",
                                          "params": {"id": item["id"]}}).encode() + b"\n")
                return s.recv(65536)
            except OSError as err:
                return str(err).encode()
        answer = as_uid(kernel_uid, talk)
        assert b"web" not in answer and b"result" not in answer and b"KILLED" not in answer, answer
    assert inst.approvals(), "the approval is gone"
    for method in ("approve", "approvals", "deny", "trust"):
        q = inst.ctl("run", "--name", "other", "--", "/usr/bin/python3", "client.py",
                     input=json.dumps({"method": method, "params": {"id": item["id"]}}) + "\n")
        assert '"error"' in q.out, q


def test_root_may_answer(inst):
    """root sees and answers for every user"""
    p = session(inst)
    p.stdin.write(json.dumps({"method": "authorize", "params": tool("touch x")}).encode() + b"\n")
    p.stdin.flush()
    held(inst)
    item = inst.approvals("root")[0]
    inst.ctl("approve", item["id"], user="root").ok()
    assert answer_of(p)[1]["result"]["decision"] == "allow"


def test_cancel_by_hangup(inst):
    """A held call whose caller went away disappears from the list"""
    p = session(inst)
    p.stdin.write(json.dumps({"method": "authorize", "params": tool("touch x")}).encode() + b"\n")
    p.stdin.flush()
    held(inst)
    inst.ctl("kill", "web").ok()
    wait_until(lambda: not inst.approvals(), 5, "the approval is gone")


def test_one_prompt_for_two(inst):
    """Two identical asks at once are one prompt, and one answer serves both"""
    p = session(inst)
    second = inst.popen("run", "--name", "b", "--policy", inst.home() + "/test.yaml", "--",
                        "true")  # a bystander, so that the prompt's sandbox is told apart
    second.communicate(timeout=15)
    script = (CLIENT.replace("for n, line in enumerate(sys.stdin, 1):\n    call = json.loads(line)",
                             "for n in (1,):\n    call = json.loads(sys.argv[1])"))
    inst.write("once.py", script)
    arg = json.dumps({"method": "authorize", "params": tool("touch same")})
    inst.write("both.sh", f"/usr/bin/python3 once.py '{arg}' & /usr/bin/python3 once.py '{arg}' & "
               "wait\n")
    p.stdin.close()
    p.wait(10)
    p = inst.start_run("both", "sh", "both.sh", options=["--policy", inst.home() + "/test.yaml"])
    items = wait_until(lambda: [a for a in inst.approvals() if a.get("waiters") == 2], 15,
                       "one prompt with two waiters")
    assert len(items) == 1, items
    inst.ctl("approve", items[0]["id"]).ok()
    out, _ = p.communicate(timeout=15)
    assert out.count(b'"allow"') == 2, out


def test_agent_text_is_escaped(inst):
    """Control, bidi and zero-width characters of the agent never reach the terminal raw"""
    p = session(inst)
    evil = "touch x\x1b]0;owned\x07\x1b[2J\u202e\u200b\r\nfake: approved"
    p.stdin.write(json.dumps({"method": "authorize", "params": tool(evil)}).encode() + b"\n")
    p.stdin.flush()
    held(inst)
    out = inst.ctl("approvals").ok().out
    for bad in ("\x1b", "\x07", "\u202e", "\u200b", "\r", "\nfake"):
        assert bad not in out, (bad, out)


def test_a_call_too_long_to_judge(inst):
    """A command over 400 characters is never shown in part; --full shows all of it"""
    p = session(inst)
    short, long = "touch " + "s" * 394, "touch " + "l" * 394 + "; rm -rf ~"
    client2 = session(inst, "other")
    for client, command, says in ((p, short, "x"), (client2, long, "y" * 3000)):
        params = {**tool(command), "why": says}
        send(client, params)
    items = wait_until(lambda: (lambda a: a if len(a) == 2 else None)(inst.approvals()), 10, "both")
    ids = {item["text"]: item["id"] for item in items}
    assert set(ids) == {short, long}, "JSON is complete"
    listing = inst.ctl("approvals").ok().out
    assert short in listing and f"agentctl approve {ids[short]}" in listing, listing
    assert "lll" not in listing and "too long to judge here" in listing, listing
    assert f"agentctl approvals --full {ids[long]}" in listing, listing
    assert f"agentctl deny {ids[long]}" in listing, listing
    assert f"agentctl approve {ids[long]}" not in listing, listing
    assert "y" * 401 not in listing and "3000 characters" in listing, listing
    full = inst.ctl("approvals", "--full", ids[long]).ok().out
    assert long in full and "y" * 3000 in full and f"agentctl approve {ids[long]}" in full, full
    assert short not in full
    inst.ctl("approvals", "--full").failed(2)
    inst.ctl("approvals", "--full", "zzzzzz").failed(1, "no approval zzzzzz waits")
    inst.ctl("approvals", "--full", "zzzzzz", user="bob").failed(1, "no approval zzzzzz waits")
    inst.ctl("approvals", "--full", ids[long], user="bob").failed(1, "waits")


def test_an_agent_cannot_hide_questions_behind_huge_ones(inst):
    """A call of a mebibyte does not keep the other questions from the user"""
    p = session(inst)
    other = session(inst, "other")
    send(other, tool("touch x"))
    held(inst)
    for evil in ("touch " + "\x01" * 170000, "touch " + '"' * 500000, "touch " + "a" * 1000000):
        send(p, tool(evil))
        time.sleep(0.3)
        assert "touch x" in inst.ctl("approvals").ok().out
        assert [a for a in inst.approvals() if a["text"] == "touch x"]
        _, answer = answer_of(p)
        assert answer["result"]["decision"] == "deny", answer
        assert "too long" in answer["result"]["reason"], answer


def test_garbage_on_tool_sock(inst):
    """Garbage on tool.sock is an error or a deny, never an allow; the next call still works"""
    script = r"""
import json, socket
for data in (b"garbage\n", b"{}\n", b"[]\n", b"\0" * 100 + b"\n", b'{"jsonrpc":"2.0"' + b"\n",
             b'{"jsonrpc":"2.0","id":1,"method":"authorize","params":{"kind":"tool"}}\n',
             b'{"jsonrpc":"2.0","id":1,"id":2,"method":"authorize","params":{"kind":"tool",'
             b'"tool":"Read","input":{}}}\n',
             b'{"jsonrpc":"2.0","id":1,"method":"authorize","params":' + b"[" * 5000 + b"\n",
             b"x" * 3000000 + b"\n"):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect("/run/agentd/tool.sock")
    try:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        answer = s.recv(65536)
    except OSError:
        answer = b""
    assert b'"allow"' not in answer, (data[:60], answer)
print("ok")
"""
    inst.write("garbage.py", script)
    path = inst.policy(POLICY)
    result = inst.run("/usr/bin/python3", "garbage.py", options=["--policy", path], timeout=60).ok()
    assert result.out == "ok\n", result
    p = session(inst)
    assert call(p, "authorize", tool("echo hi"))[1]["result"]["decision"] == "allow"


def hook(inst, event, policy=POLICY):
    path = inst.policy(policy)
    data = event if isinstance(event, str) else json.dumps(event)
    return inst.run("/run/agentd/agentctl", "hook", "claude-code", input=data,
                    options=["--policy", path, "--agent", "claude-code"])


def event(command):
    return {"session_id": "s", "cwd": "/", "hook_event_name": "PreToolUse", "tool_name": "Bash",
            "tool_input": {"command": command, "description": "d"}, "tool_use_id": "toolu_1"}


def test_hook(inst):
    """The hook allows and denies in Claude Code's own form, and denies what it cannot understand"""
    result = hook(inst, event("echo hi"))
    out = json.loads(result.ok().out)["hookSpecificOutput"]
    assert out["permissionDecision"] == "allow" and out["hookEventName"] == "PreToolUse", result
    denied = hook(inst, event("git push -f"))
    assert denied.code == 2 or \
        json.loads(denied.out)["hookSpecificOutput"]["permissionDecision"] == "deny", denied
    for bad in ("", "not json", "{}", "[]", '{"hook_event_name":"PreToolUse"}', "\0" * 100,
                '{"hook_event_name":"PreToolUse","tool_name":"Bash"'):
        assert hook(inst, bad).code == 2, bad
    outside = inst.ctl("hook", "claude-code", input=json.dumps(event("echo hi")))
    assert outside.code == 2, outside


def test_managed_settings(inst):
    """--agent claude-code installs managed settings that the agent can read and not change"""
    result = inst.sh("cat /etc/claude-code/managed-settings.json; "
                     "echo {} > /etc/claude-code/managed-settings.json",
                     options=["--agent", "claude-code"])
    settings = json.loads(result.out)
    assert "/run/agentd/agentctl hook claude-code" in json.dumps(settings), settings
    assert result.code != 0, "the settings could be overwritten"


def test_refused_launch_is_recorded(inst):
    """A launch that is refused because of a latch is in the log"""
    inst.detach("web", "sleep", "1000")
    inst.ctl("kill", "web").ok()
    inst.run("true", options=["--name", "web"]).failed()
    kinds = [r["k"] for r in inst.records()]
    assert "kill" in kinds and ("refused" in kinds or "session.start" in kinds), kinds
    inst.ctl("unlatch", "web").ok()
    wait_until(lambda: "unlatch" in [r["k"] for r in inst.records()], 5, "the unlatch record")


def test_log_belongs_to_the_recorder(inst):
    """The log's files belong to the recorder; users cannot read or change them"""
    inst.run("true").ok()
    folder = inst.state_dir + "/audit"
    assert os.stat(folder).st_uid not in (0, *USERS.values())

    def look():
        try:
            return os.listdir(folder)
        except OSError:
            return None
    assert as_uid(USERS["alice"], look) is None


def test_tampered_log(inst):
    """audit verify notices a changed byte in a record"""
    for _ in range(3):
        inst.run("true").ok()
    inst.ctl("audit", "verify", user="root").ok()
    inst.stop()
    folder = inst.state_dir + "/audit"
    hit = 0
    for path, _, files in os.walk(folder):
        for name in files:
            full = os.path.join(path, name)
            data = open(full, "rb").read()
            if b'"session.start"' in data:
                with open(full, "wb") as f:
                    f.write(data.replace(b'"session.start"', b'"session.stXrt"', 1))
                hit += 1
    assert hit, "no file holds the records"
    inst.ctl("audit", "verify", user="root").failed()


@limit(120)
def test_many_calls(inst):
    """Two hundred concurrent calls are all answered, recorded once and in order"""
    p = session(inst)
    answers = []

    def read():
        for line in p.stdout:
            answers.append(json.loads(line))
    t = threading.Thread(target=read, daemon=True)
    t.start()
    for i in range(200):
        p.stdin.write(json.dumps({"method": "authorize", "params": tool(f"echo {i}")}).encode()
                      + b"\n")
    p.stdin.close()
    p.wait(60)
    t.join(5)
    assert [a["result"]["decision"] for a in answers] == ["allow"] * 200
    assert len([r for r in inst.records() if r["k"] == "decision"]) == 200
    inst.ctl("audit", "verify", user="root").ok()


def test_approvals_become_suggestions(inst):
    """policy suggest: approvals of real sessions; for root, and by the recorder for the user"""
    for name in ("a", "b"):
        p = session(inst, name, policy="policy: 1\n")
        for _ in range(2):
            send(p, tool("make check"))
            inst.ctl("approve", held(inst)[0]["id"]).ok()
            answer_of(p)
        p.stdin.close()
        p.wait()
    path = inst.write("new.yaml", "policy: 1\n")
    for user in ("alice", "root"):
        r = inst.ctl("policy", "suggest", "--policy", path, "--json", user=user).ok()
        report = json.loads(r.out)
        assert [x["rule"] for x in report["suggestions"]] == ["Bash {/command: 'make check'}"], r
        assert report["suggestions"][0]["prompts_saved"] == 4, r
