"""The main job, with the real thing: Claude Code from npm in a sandbox, talking to a scripted
model on the sandbox's own loopback; tool calls allowed, denied, held for a human; killed and
latched."""
import json
import os

import claude
from agentd import limit, wait_until

POLICY = """\
policy: 1
name: e2e
unmatched: deny
tools:
  allow:
    - "Bash {/command: echo *}"
    - "Bash {/command: tail *}"
  ask:
    - "Bash {/command: touch *}"
  deny:
    - "Bash {/command: git push *}"
approvals:
  timeout: 60s
"""


def start(inst, steps, name="web"):
    """Claude Code under that script in the background."""
    command, env = claude.install(inst, steps)
    policy = inst.policy(POLICY)
    return inst.start_run(name, command, env=env,
                          options=["--agent", "claude-code", "--policy", policy])


def verified(inst):
    """The log is good: the recorder's own check, by the administrator."""
    inst.ctl("audit", "verify", user="root").ok()


@limit(500)
def test_allow_deny_ask(inst):
    """Claude Code: a call allowed, one denied, one held until a human approves; the log verifies"""
    client = start(inst, [{"shell": "echo hello > allowed.txt"},
                          {"shell": "git push --force origin main"},
                          {"shell": "touch approved.txt"},
                          {"say": "finished"}])
    held = wait_until(lambda: inst.approvals() or client.poll() is not None, 60, "an approval")
    assert client.poll() is None, client.communicate()
    assert not os.path.exists(inst.work() + "/approved.txt"), "ran before the approval"
    assert inst.read("allowed.txt") == "hello\n"
    assert os.stat(inst.work() + "/allowed.txt").st_uid == 12001
    inst.ctl("approve", held[0]["id"]).ok()
    out, err = client.communicate(timeout=60)
    assert client.returncode == 0, (out, err, inst.logs())
    answer = json.loads(out)
    assert answer["result"] == "finished", answer
    assert os.path.exists(inst.work() + "/approved.txt"), answer
    denied = answer["permission_denials"]
    assert [d["tool_input"]["command"] for d in denied] == ["git push --force origin main"], denied
    verified(inst)
    verdicts = [r["d"]["verdict"] for r in inst.records() if r["k"] == "decision"]
    assert verdicts.count("allow") == 2 and verdicts.count("deny") == 1, verdicts
    kinds = [r["k"] for r in inst.records()]
    for kind in ("session.start", "request", "approval", "session.end"):
        assert kind in kinds, kinds


@limit(500)
def test_killed_in_the_middle(inst):
    """Claude Code: killed in the middle of a command, all of it dies, and it cannot start again"""
    client = start(inst, [{"shell": "echo started > started.txt"},
                          {"shell": "tail -f started.txt"}])
    wait_until(lambda: os.path.exists(inst.work() + "/started.txt") or client.poll() is not None,
               60, "the first command")
    wait_until(lambda: any(b"tail" in open(f"/proc/{p}/cmdline", "rb").read()
                           for p in inst.sandbox_pids("web")), 30, "the command")
    killed = inst.ctl("kill", "web", "--reason", "enough").ok()
    assert "web" in killed.out, killed
    assert not inst.sandbox_pids(), "processes survived"
    client.communicate(timeout=10)
    assert client.returncode == 137, client.returncode
    inst.latched("web", options=["--agent", "claude-code"])
    inst.latched("other", options=["--agent", "claude-code"])
    verified(inst)
    kill = [r for r in inst.records() if r["k"] == "kill"]
    assert len(kill) == 1 and kill[0]["reason"] == "enough", kill
    assert kill[0]["receipt"]["unconfirmed"] == 0, kill
    inst.ctl("unlatch", "web").ok()
    inst.run("true", options=["--name", "web", "--agent", "claude-code"]).ok()
