"""control.sock: what its lines may do to the log, to a running agent and to other clients."""
import os
import signal
import socket

from agentd import as_uid, limit, wait_until


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
