"""control.sock: what its lines may do to the log, to a running agent and to other clients."""
import ctypes
import os
import signal
import socket

from agentd import as_uid, limit, wait_until

PIDFD_OPEN, PIDFD_GETFD = 434, 438


def talk(inst, lines):
    """Sends each line over a connection of its own; the first line of each answer."""
    answers = []
    for line in lines:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(inst.run_dir + "/control.sock")
            s.sendall(line)
            answers.append(s.recv(4096).split(b"\n")[0])
    return answers


@limit(120)
def test_no_unlatch_without_room_for_its_record(inst):
    """While too much waits to be recorded root cannot unlatch everyone either, as nobody can"""
    inst.detach("busy", "sleep", "1000")
    inst.detach("web", "sleep", "1000")
    inst.ctl("kill", "web").ok()
    recorder = inst.role("recorder")
    os.kill(recorder, signal.SIGSTOP)
    try:
        for _ in range(40):
            answers = as_uid(12001, talk, inst, [b"FREEZE busy\n", b"THAW busy\n"] * 50)
            if any(b"too much" in a for a in answers):
                break
        else:
            raise AssertionError(f"never full: {answers[-4:]}")
        answer = inst.ask("control.sock", "UNLATCH */*\n")
        assert "too much waits" in answer, answer
        assert "web" in inst.ctl("latches", user="root").ok().out
    finally:
        os.kill(recorder, signal.SIGCONT)
    inst.latched("web")
    wait_until(lambda: inst.ask("control.sock", "UNLATCH */*\n").startswith("OK 1"), 30, "room")


def test_unlatching_nothing_is_no_event(inst):
    """Unlatching everyone when nothing is latched leaves no record"""
    assert inst.ask("control.sock", "UNLATCH */*\n") == "OK 0\n"
    inst.run("true").ok()
    assert not [r for r in inst.records() if r["k"] == "unlatch"], inst.records()


def connections(pid):
    """Copies of every socket that a process has open."""
    call = ctypes.CDLL(None, use_errno=True).syscall
    process = call(PIDFD_OPEN, pid, 0)
    for fd in os.listdir(f"/proc/{pid}/fd"):
        if os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:"):
            copy = call(PIDFD_GETFD, process, int(fd), 0)
            if copy >= 0:
                yield socket.socket(fileno=copy)
    os.close(process)


def test_breaking_the_protocol_hangs_up(inst):
    """A client of a piped run that sends garbage has hung up: its agent does not outlive it"""
    for name, garbage in (("nul", b"SIGNAL \0\n"), ("many", b"SIGNAL CONT\n" * 100),
                          ("long", b"x" * 5000)):
        p = inst.start_run(name, "sleep", "1000")
        for s in connections(p.pid):
            s.sendall(garbage)
            s.close()
        wait_until(lambda: not inst.running(name), 5, f"end of the sandbox after {name}")
        p.communicate(timeout=10)
