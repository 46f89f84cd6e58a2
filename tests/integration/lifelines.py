"""Lifelines: what happens to sandboxes and decisions when a part of agentd dies or hangs."""
import json
import os
import signal
import socket
import time

from agentd import as_uid, config, limit, proc_state, wait_until


def alive(pids):
    return [p for p in pids if proc_state(p) not in ("", "Z")]


def test_supervisor_killed(inst):
    """kill -9 of the supervisor: every sandbox and every daemon is gone within seconds"""
    inst.detach("a", "sh", "-c", "setsid sleep 1000 & sleep 1000")
    inst.detach("b", "sleep", "1000", user="bob")
    inside = wait_until(lambda: len(inst.sandbox_pids()) >= 5 and inst.sandbox_pids(), 5,
                        "the processes")
    everything = inst.processes()
    inst.proc.kill()
    inst.proc.wait()
    wait_until(lambda: not alive(inside), 10, "end of the sandboxes")
    wait_until(lambda: not alive(everything), 10, "end of the daemons")


@limit(120)
def test_supervisor_stopped(inst):
    """SIGSTOP of the supervisor: the sandboxes freeze, then die"""
    policy = inst.policy("policy: 1\nsession: {on_lost_after: 8s}\n")
    inst.detach("a", "sh", "-c", "while :; do date +%s%N > n; sleep 0.05; done",
                options=["--policy", policy])
    wait_until(lambda: os.path.exists(inst.work() + "/n"), 5, "the counter")
    inside = inst.sandbox_pids()
    os.kill(inst.proc.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: not alive(inside), 60, "end of the sandbox")
    finally:
        os.kill(inst.proc.pid, signal.SIGCONT)


def test_clean_stop(inst):
    """SIGTERM to the supervisor ends everything and leaves no process and no cgroup"""
    inst.detach("a", "sleep", "1000")
    client = inst.start_run("b", "sleep", "1000", user="bob")
    inst.stop()
    client.communicate(timeout=10)
    assert client.returncode not in (0, None)


@limit(120)
def test_broker_killed(inst):
    """kill -9 of the broker: it is restarted, the sandbox goes on, its calls are decided again"""
    inst.detach("a", "sleep", "1000")
    old = inst.role("broker")
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: inst.role("broker") not in (None, old), 10, "a new broker")
    wait_until(lambda: inst.run("true", options=["--name", "n"]).code == 0, 20, "a launch")
    assert inst.running("a")
    wait_until(lambda: any(r["k"] == "role" for r in inst.records()), 10, "the record of it")
    inst.ctl("audit", "verify", user="root").ok()


@limit(120)
def test_recorder_killed(inst):
    """kill -9 of the recorder: it is restarted, the log goes on where it was and verifies"""
    inst.run("true").ok()
    old = inst.role("recorder")
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: inst.role("recorder") not in (None, old), 10, "a new recorder")
    wait_until(lambda: inst.run("true").code == 0, 20, "a launch")
    inst.ctl("audit", "verify", user="root").ok()
    sessions = [r["s"] for r in inst.records() if r["k"] == "session.start"]
    assert len(sessions) >= 2, sessions


@limit(120)
def test_killer_killed(inst):
    """kill -9 of the killer: it is restarted and kills again"""
    inst.detach("a", "sleep", "1000")
    old = inst.role("killer")
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: inst.role("killer") not in (None, old), 10, "a new killer")
    wait_until(lambda: inst.ctl("kill", "a").code == 0, 10, "a kill")
    assert not inst.sandbox_pids()


@limit(120)
def test_recorder_stopped(inst):
    """With the recorder stopped nothing is allowed and nothing starts: no record, no action"""
    os.kill(inst.role("recorder"), signal.SIGSTOP)
    try:
        start = time.monotonic()
        inst.run("touch", "ran", timeout=60).failed()
        assert time.monotonic() - start < 45
        assert not os.path.exists(inst.work() + "/ran")
    finally:
        pid = inst.role("recorder")
        if pid:
            os.kill(pid, signal.SIGCONT)


@config(start=False)
def test_stale_sockets(inst):
    """Sockets and cgroups that a crash left behind do not stop the next start"""
    inst.start()
    inst.detach("a", "sleep", "1000")
    inst.proc.kill()
    inst.proc.wait()
    inst.start()
    inst.run("true", options=["--name", "a"]).ok()


def test_second_supervisor(inst):
    """A second supervisor on the same root refuses to start and does the first no harm"""
    p = inst.popen("--root", inst.root, user="root", program=inst.bin + "/agentd-supervisor")
    out, err = p.communicate(timeout=15)
    assert p.returncode not in (0, None), (out, err)
    inst.run("true").ok()


def test_hostile_clients(inst):
    """Slow, silent, huge and garbage clients of control.sock do not hold up others"""
    def hold():
        held, answers = [], []
        for i in range(300):
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(1)
            try:
                s.connect(inst.run_dir + "/control.sock")
                s.send([b"", b"RU", b"x" * 5000, b"\0\xff\xfe\n", b"RUN\n", b"SHOW \n",
                        b"FREEZE ../../x\n", b"UNLATCH\n"][i % 8])
                held.append(s)
            except OSError as err:
                answers.append(str(err))
        time.sleep(3)
        return len(held)

    pid = os.fork()
    if pid == 0:
        as_uid(12002, hold)
        os._exit(0)
    time.sleep(0.5)
    inst.run("true", timeout=10).ok()
    os.waitpid(pid, 0)
    inst.run("true", user="bob", timeout=10).ok()


def test_garbage_requests(inst):
    """A garbage launch request is refused with a reason and harms nothing"""
    def send(data, extra):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(10)
        s.connect(inst.run_dir + "/control.sock")
        fd = os.memfd_create("r", os.MFD_ALLOW_SEALING)
        os.write(fd, data)
        if extra:
            import fcntl
            fcntl.fcntl(fd, 1033, 15)  # F_ADD_SEALS, all four
        socket.send_fds(s, [b"RUN\n"], [fd])
        answer = s.recv(4096)
        s.close()
        return answer
    for data, sealed in ((b"", True), (b"AGDREQ1\n", True), (b"AGDREQ1\n" + b"\xff" * 100, True),
                         (b"x" * 100, True), (b"AGDREQ1\n", False)):
        answer = as_uid(12001, send, data, sealed)
        assert answer == b"" or answer.startswith(b"ERR "), (data, answer)
    inst.run("true").ok()


def test_status_is_truthful(inst):
    """ps and show say what runs; json is valid"""
    inst.detach("web", "sleep", "1000", options=["--agent", "command"])
    assert "web" in inst.ctl("ps").ok().out
    rows = json.loads(inst.ctl("ps", "--json").ok().out)
    assert "web" in json.dumps(rows)
    assert inst.work() in inst.ctl("show", "web").ok().out
    inst.ctl("kill", "web").ok()
    inst.wait_gone("web")
    assert "sleep" not in inst.ctl("ps").ok().out
    inst.ctl("show", "web").failed()
