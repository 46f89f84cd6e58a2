"""Kill: everything in a sandbox dies, whatever state it or agentd is in, and it stays dead."""
import os
import re
import signal
import socket
import subprocess
import time

from agentd import (as_uid, config, limit, pids, proc_read, proc_state, wait_until)




def all_dead(victims):
    """A cgroup is empty a moment before /proc shows its last process as dead."""
    wait_until(lambda: all(proc_state(p) in ("", "Z", "X") for p in victims), 0.5, "their death")


def members(inst):
    return inst.sandbox_pids()


def test_one_process(inst):
    """kill of one sleeping process: dead when it answers; the client gets 137 and the reason"""
    client = inst.start_run("web", "sleep", "1000")
    result = inst.ctl("kill", "web", "--reason", "it deletes mail").ok()
    assert not members(inst), result
    _, err = client.communicate(timeout=5)
    assert client.returncode == 137, client.returncode
    assert b"it deletes mail" in err, err


def test_receipt(inst):
    """The receipt says how many died and how fast, is signed, and is in the log"""
    inst.detach("web", "sh", "-c", "sleep 100 & sleep 100 & wait")
    wait_until(lambda: len(inst.sandbox_pids("web")) >= 4, 5, "four processes")
    inst.ctl("kill", "web", "--reason", "enough").ok()
    record = wait_until(lambda: [r for r in inst.records() if r["k"] == "kill"], 5, "the record")[0]
    assert record["receipt"]["tasks"] >= 4 and record["receipt"]["unconfirmed"] == 0, record
    assert record["reason"] == "enough" and record["by"]["uid"] == 12001, record
    assert len(record["receipt"]["sig"]) >= 86 and record["receipt"]["key"], record
    inst.ctl("audit", "verify", user="root").ok()


@limit(180)
def test_thousand_processes(inst):
    """kill of 1,000 processes"""
    policy = inst.policy("policy: 1\nlimits: {processes: 2000}\n")
    inst.detach("many", "sh", "-c", "i=0; while [ $i -lt 1000 ]; do sleep 1000 & i=$((i+1)); done; "
                "wait", options=["--policy", policy])
    wait_until(lambda: len(members(inst)) >= 1000, 150, "1,000 processes")
    start = time.monotonic()
    inst.ctl("kill", "many").ok()
    assert not members(inst)
    assert time.monotonic() - start < 5


def test_fork_bomb(inst):
    """kill of a fork bomb at its limit of processes"""
    policy = inst.policy("policy: 1\nlimits: {processes: 500}\n")
    inst.detach("bomb", "perl", "-e", "for (;;) { fork }", options=["--policy", policy])
    wait_until(lambda: len(members(inst)) >= 300, 20, "the bomb")
    inst.ctl("kill", "bomb").ok()
    assert not members(inst)


def test_signal_ignorers(inst):
    """kill of processes that ignore every signal"""
    code = ("import signal, time, os\n"
            "for s in range(1, 65):\n"
            "    try: signal.signal(s, signal.SIG_IGN)\n"
            "    except (OSError, ValueError): pass\n"
            "os.fork(); os.fork(); time.sleep(1000)\n")
    inst.detach("deaf", "/usr/bin/python3", "-c", code)
    wait_until(lambda: len(members(inst)) >= 5, 10, "the processes")
    inst.ctl("kill", "deaf").ok()
    assert not members(inst)


def test_daemons(inst):
    """kill of double-forked and setsid daemons"""
    inst.detach("daemons", "sh", "-c", "(setsid sh -c 'sleep 1000 & exec sleep 1000' &) ; "
                "(nohup sleep 1000 &) ; exec sleep 1000")
    wait_until(lambda: len(members(inst)) >= 5, 10, "the daemons")
    inst.ctl("kill", "daemons").ok()
    assert not members(inst)


def test_stopped(inst):
    """kill of a sandbox whose processes are stopped"""
    inst.detach("stopped", "sh", "-c", "sleep 1000 & kill -STOP $! ; kill -STOP $$; sleep 1000")
    wait_until(lambda: [p for p in members(inst) if proc_state(p) == "T"], 10, "a stopped process")
    inst.ctl("kill", "stopped").ok()
    assert not members(inst)


def test_frozen(inst):
    """freeze stops a sandbox, thaw lets it go on, kill of a frozen one works"""
    inst.detach("ice", "sh", "-c", "i=0; while :; do i=$((i+1)); echo $i > n; sleep 0.01; done")
    wait_until(lambda: os.path.exists(inst.work() + "/n"), 5, "the counter")
    inst.ctl("freeze", "ice").ok()
    wait_until(lambda: inst.running("ice")["state"] == "frozen", 5, "state frozen")
    time.sleep(0.1)
    before = inst.read("n")
    time.sleep(0.3)
    assert inst.read("n") == before, "it ran while frozen"
    inst.ctl("thaw", "ice").ok()
    wait_until(lambda: inst.read("n") != before, 5, "it goes on")
    inst.ctl("freeze", "ice").ok()
    inst.ctl("kill", "ice").ok()
    assert not members(inst)


@limit(120)
def test_starting(inst):
    """kill while sandboxes are being started: none gets through the latch"""
    for round_ in range(5):
        clients = [inst.popen("run", "--name", f"s{i}", "--", "sleep", "1000") for i in range(6)]
        time.sleep(0.004 * round_ + 0.002)
        inst.ctl("kill", "--all").ok()
        for p in clients:
            p.communicate(timeout=20)
            assert p.returncode != 0, "a sandbox ran through a kill of everything"
        assert not members(inst)
        inst.latched("anything")
        inst.ctl("unlatch", "--all").ok()


@limit(120)
def test_other_users_live_on(inst):
    """kill --all ends everything of the user and nothing of another"""
    inst.detach("a1", "sleep", "1000")
    inst.detach("a2", "sleep", "1000")
    inst.detach("b1", "sleep", "1000", user="bob")
    inst.ctl("kill", "--all").ok()
    inst.wait_gone("a1")
    inst.wait_gone("a2")
    assert inst.running("b1", "bob")
    inst.latched("quite-another")
    inst.run("true", user="bob").ok()


def test_latch(inst):
    """A killed agent cannot start again, under its name or another, until it is unlatched"""
    inst.detach("web", "sleep", "1000")
    inst.ctl("kill", "web", "--reason", "no").ok()
    inst.wait_gone("web")
    inst.latched("web")
    inst.latched("other")
    inst.mkdir(inst.home() + "/elsewhere")
    inst.ctl("run", "--name", "third", "--", "true", cwd=inst.home() + "/elsewhere").ok()
    assert "web" in inst.ctl("latches").ok().out
    inst.ctl("unlatch", "web", user="bob").failed()
    inst.ctl("unlatch", "web").ok()
    inst.run("true", options=["--name", "web"]).ok()


def test_latch_survives_restart(inst):
    """A latch survives a restart of agentd, also after it was killed with SIGKILL"""
    inst.detach("web", "sleep", "1000")
    inst.ctl("kill", "web").ok()
    inst.proc.kill()
    inst.proc.wait()
    inst.assert_nothing_left(20)
    inst.start()
    inst.latched("web")
    inst.stop()
    inst.start()
    inst.latched("web")


def test_damaged_latches(inst):
    """A damaged latch table stops every launch"""
    inst.stop()
    with open(inst.state_dir + "/latches", "r+b") as f:
        size = len(f.read())
        f.seek(0)
        f.write(b"\xff" * min(size, 4096))
    try:
        inst.start()
    except AssertionError:
        return  # refusing to start is as good
    inst.run("true").failed()


def test_kill_before_it_runs(inst):
    """kill of a name that does not run still latches it, for a user who has run something before"""
    refused = inst.ctl("kill", "later")
    assert refused.code == 1 and "has run here" in refused.err, refused
    inst.run("true").ok()
    inst.ctl("kill", "later")
    inst.latched("later")


def test_full_table(inst):
    """A full latch table stops everyone, and root empties it with unlatch --all"""
    path = os.path.join(inst.run_dir, "kill.sock")
    for uid in range(13000, 13018):
        for i in range(64):
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(path)
                s.sendall(f"KILL {uid}/n{i}\n".encode())
                answer = b""
                while not answer.endswith(b".\n"):
                    answer += s.recv(4096)
    full = inst.run("true")
    assert full.code != 0 and "everything is latched" in full.err, (full, full.err)
    inst.ctl("unlatch", "--all", user="root").ok()
    inst.run("true").ok()


@limit(120)
def test_daemons_stuck(inst):
    """kill works at once with the supervisor, the broker and the recorder stopped"""
    inst.detach("web", "sh", "-c", "sleep 1000 & sleep 1000")
    inside = wait_until(lambda: inst.sandbox_pids("web"), 5, "processes")
    stuck = [inst.proc.pid, inst.role("broker"), inst.role("recorder")]
    assert all(stuck), stuck
    for pid in stuck:
        os.kill(pid, signal.SIGSTOP)
    try:
        start = time.monotonic()
        inst.ctl("kill", "web", timeout=10).ok()
        took = time.monotonic() - start
        assert took < 3, took
        all_dead(inside)
    finally:
        for pid in stuck:
            os.kill(pid, signal.SIGCONT)
    inst.latched("web")


def test_direct(inst):
    """kill --direct works for root with no daemon at all, and is refused to others"""
    inst.detach("web", "sleep", "1000")
    inside = inst.sandbox_pids("web")
    killer = inst.role("killer")
    inst.ctl("kill", "--direct", "web").failed()
    for pid in [inst.proc.pid, killer]:
        os.kill(pid, signal.SIGSTOP)
    try:
        inst.ctl("kill", "--direct", "12001/web", user="root").ok()
        all_dead(inside)
    finally:
        for pid in [killer, inst.proc.pid]:
            os.kill(pid, signal.SIGCONT)
    inst.latched("web")


def test_no_daemon(inst):
    """With no daemon a user's kill is a failure of agentd (125), and says what root can do"""
    inst.stop()
    for target, whose in (("web", "12001/web"), ("12001/web", "12001/web"), ("--all", "12001/*")):
        result = inst.ctl("kill", target).failed(125, "not running")
        assert f"agentctl --root {inst.root} kill --direct '{whose}'" in result.err, result


def small_state(root):
    """A state directory on a small filesystem of its own; the agents' homes stay on the disk,
    because before Linux 6.3 a tmpfs has no idmapped mounts."""
    path = root + "/var/lib/agentd"
    homes = os.path.join(os.path.dirname(root), "homes")
    os.makedirs(path)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=755", "agentd-test", path],
                   check=True)
    for place in (homes, path + "/home"):
        os.mkdir(place, 0o711)
    subprocess.run(["mount", "--bind", homes, path + "/home"], check=True)


@config(state=small_state)
def test_disk_full(inst):
    """kill and its latch work with the state's filesystem full; no record, so no new launch"""
    inst.detach("web", "sleep", "1000")
    with open(inst.state_dir + "/fill", "wb", buffering=0) as f:
        try:
            while True:
                f.write(b"x" * 65536)
        except OSError:
            pass
        try:
            while True:
                f.write(b"x")
        except OSError:
            pass
    result = inst.ctl("kill", "web").ok()
    assert not members(inst), result
    inst.run("true", options=["--name", "another"]).failed()
    os.unlink(inst.state_dir + "/fill")
    inst.latched("web")
    wait_until(lambda: inst.ctl("unlatch", "web").code == 0, 15, "unlatch")
    wait_until(lambda: inst.run("true").code == 0, 30, "a launch after space came back")
    inst.ctl("audit", "verify", user="root").ok()


def test_another_user_cannot_kill(inst):
    """Another user cannot kill, by name, by uid/name, by * or by talking to kill.sock"""
    inst.detach("web", "sleep", "1000")
    inst.ctl("kill", "web", user="bob")
    inst.ctl("kill", "12001/web", user="bob").failed()
    for line in ("KILL web\n", "KILL 12001/web\n", "KILL */*\n", "KILL 12001/*\n", "KILL *\n"):
        inst.ask("kill.sock", line, "bob")
    assert inst.running("web")


def test_root_kills_for_others(inst):
    """root kills another user's sandbox by uid/name, and everything with --all"""
    inst.detach("web", "sleep", "1000")
    inst.ctl("kill", "12001/web", user="root").ok()
    assert not members(inst)


def test_killer_clients(inst):
    """Slow, silent, huge and garbage clients of kill.sock do not delay a kill"""
    import socket
    inst.detach("web", "sleep", "1000")

    def hold():
        held = []
        for i in range(200):
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(1)
            try:
                s.connect(inst.run_dir + "/kill.sock")
                s.send([b"", b"KILL", b"x" * 4096, b"\0\xff\n\n"][i % 4])
                held.append(s)
            except OSError:
                break
        time.sleep(3)
        return len(held)

    pid = os.fork()
    if pid == 0:
        as_uid(12002, hold)
        os._exit(0)
    time.sleep(0.5)
    start = time.monotonic()
    inst.ctl("kill", "web", timeout=10).ok()
    took = time.monotonic() - start
    os.waitpid(pid, 0)
    assert took < 1, took


def test_kill_json(inst):
    """kill --json is machine-readable"""
    import json
    inst.detach("web", "sleep", "1000")
    out = inst.ctl("kill", "web", "--json").ok().out
    assert "web" in json.dumps(json.loads(out.strip().splitlines()[0])), out


def test_nothing_is_hit_by_accident(inst):
    """kill touches no process outside the sandbox, not even the user's own"""
    bystander = inst.popen("1000", program="/usr/bin/sleep")
    inst.detach("web", "sleep", "1000")
    inst.ctl("kill", "--all").ok()
    assert bystander.poll() is None
    assert re.search(rb"sleep", proc_read(bystander.pid, "cmdline")) and bystander.pid in pids()
