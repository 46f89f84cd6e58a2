"""control.sock: what its lines may do to the log, to a running agent and to other clients."""
import contextlib
import ctypes
import encodings.idna
import os
import signal
import socket
import time

from agentd import Skip, as_uid, limit, wait_until

PIDFD_OPEN, PIDFD_GETFD = 434, 438

# Loaded now: a test that has become a user cannot read root's Python when a name is looked up.
encodings.idna.ToASCII("localhost")


def talk(inst, lines, sock="control.sock"):
    """Sends each line over a connection of its own; the first line of each answer."""
    answers = []
    for line in lines:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(os.path.join(inst.run_dir, sock))
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


def lingering(port):
    """A socket whose last close waits for 20 s, unless a process closes it that ends."""
    s = socket.create_connection(("127.0.0.1", port))
    s.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            s.send(bytes(65536))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\x14\0\0\0")
    return s


def plant(inst, port, n, end):
    """Sends half a line with n such sockets, closes its own, then ends the line or leaves it."""
    s = socket.socket(socket.AF_UNIX)
    s.connect(inst.run_dir + "/control.sock")
    mine = [lingering(port) for _ in range(n)]
    socket.send_fds(s, [b"RU"], [m.fileno() for m in mine])
    for m in mine:
        m.close()  # not the last: one waits in the connection
    s.sendall(end)
    time.sleep(8)


@limit(120)
def test_descriptors_that_linger(inst):
    """Sockets that linger at their last close, sent in any number, read or not, hold up nobody"""
    attackers = []
    with socket.create_server(("127.0.0.1", 0), backlog=200) as peer:
        for n, end in ((3, b"N\n"), (6, b"N\n"), (100, b"N\n"), (2, b"")):
            attackers.append(os.fork())
            if not attackers[-1]:
                try:
                    as_uid(12002, plant, inst, peer.getsockname()[1], n, end)
                finally:
                    os._exit(0)
        slowest, end = 0, time.monotonic() + 7
        while time.monotonic() < end:
            start = time.monotonic()
            inst.ps()
            slowest = max(slowest, time.monotonic() - start)
            time.sleep(0.05)
        for pid in attackers:
            os.waitpid(pid, 0)
    assert slowest < 1.5, slowest


def plant_in_role(inst, port, verb, rest):
    """Sends a verb that a role serves, and with the rest of it a socket that lingers; ends."""
    s = socket.socket(socket.AF_UNIX)
    s.connect(inst.run_dir + "/control.sock")
    mine = lingering(port)
    s.sendall(verb)
    with contextlib.suppress(OSError):
        socket.send_fds(s, [rest], [mine.fileno()])
    os._exit(0)  # closes without waiting


@limit(120)
def test_no_role_gets_a_lingering_descriptor(inst):
    """Sockets that linger, sent with RPC, AUDIT and RUN, do not hold up broker and recorder"""
    if tuple(int(n) for n in os.uname().release.split(".")[:2]) < (6, 16):
        raise Skip("this kernel cannot refuse descriptors (SO_PASSRIGHTS)")
    with socket.create_server(("127.0.0.1", 0), backlog=200) as peer:
        for verb, rest in ((b"RPC\n", b"x"), (b"AUDIT\n", b"x"), (b"", b"RUN\n")):
            for _ in range(10):
                pid = os.fork()
                if pid == 0:
                    try:
                        as_uid(12002, plant_in_role, inst, peer.getsockname()[1], verb,
                               rest)
                    finally:
                        os._exit(0)
                os.waitpid(pid, 0)
            start = time.monotonic()
            inst.run("true", timeout=30).ok()
            assert time.monotonic() - start < 1.5, (verb, time.monotonic() - start)


def test_a_long_answer_comes_whole(inst):
    """Hundreds of latches are listed to the end, also to a client that reads late"""
    talk(inst, [b"KILL %d/n%d and why\n" % (uid, i) for uid in range(20000, 20012)
                for i in range(60)], "kill.sock")
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(inst.run_dir + "/control.sock")
        s.sendall(b"LATCHES\n")
        time.sleep(0.5)
        lines = s.makefile().read().splitlines()
    assert len(lines) == 721 and lines[-1] == ".", (len(lines), lines[-1])
