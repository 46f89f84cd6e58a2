"""`agentctl run` and `attach` on a terminal: a pty of the sandbox's own, relayed."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

from agentd import limit, wait_until


class Terminal:
    """agentctl on a pseudo-terminal that stands for the user's."""

    def __init__(self, inst, *args, rows=24, cols=80, user="alice"):
        self.master, slave = pty.openpty()
        self.resize(rows, cols)
        self.before = termios.tcgetattr(slave)
        self.name = os.ttyname(slave)
        uid = 12001
        os.fchown(slave, uid, uid)

        def become_leader():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.proc = inst.popen(*args, user=user, stdin=slave, stdout=slave, stderr=slave,
                               env={"TERM": "xterm"}, preexec_fn=become_leader)
        self.slave = slave
        self.text = ""

    def resize(self, rows, cols):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def type(self, text):
        os.write(self.master, text.encode() if isinstance(text, str) else text)

    def read(self, seconds=0.05):
        while select.select([self.master], [], [], seconds)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                break
            if not data:
                break
            self.text += data.decode(errors="replace")
            seconds = 0.01
        return self.text

    def expect(self, pattern, seconds=10):
        return wait_until(lambda: re.search(pattern, self.read()), seconds,
                          f"/{pattern}/ in {self.text!r}")

    def wait(self, seconds=10):
        wait_until(lambda: (self.read(), self.proc.poll() is not None)[1], seconds,
                   f"end of agentctl; screen: {self.text!r}")
        self.read(0)
        return self.proc.returncode

    def close(self):
        os.close(self.master)
        os.close(self.slave)


def test_terminal(inst):
    """On a terminal the sandbox has its own pty, in the user's size; the mode is restored"""
    t = Terminal(inst, "run", "--", "sh", "-c", "tty; stty size; read x; echo got-$x; exit 3",
                 rows=33, cols=101)
    t.expect(r"/dev/pts/\d+")
    t.expect(r"33 101")
    t.type("hello\r")
    t.expect(r"got-hello")
    assert t.wait() == 3
    assert termios.tcgetattr(t.slave) == t.before, "the terminal's mode was not restored"


def test_resize(inst):
    """A change of the terminal's size reaches the program inside"""
    t = Terminal(inst, "run", "--", "sh", "-c",
                 "trap 'stty size' WINCH; echo ready; while :; do sleep 0.1; done")
    t.expect("ready")
    t.resize(50, 120)
    os.kill(t.proc.pid, signal.SIGWINCH)
    t.expect("50 120")
    t.type("\x03")
    assert t.wait() == 130


def test_user_terminal_is_not_inside(inst):
    """The user's own terminal is no file descriptor and no device inside"""
    t = Terminal(inst, "run", "--", "sh", "-c", "ls -l /proc/self/fd /dev/pts; echo END-OF-LIST")
    t.expect("END-OF-LIST\r")
    assert t.name + "\r" not in t.text.replace("/dev/pts/0", "").replace("\n", "\r") \
        or t.name == "/dev/pts/0", t.text
    t.wait()


def test_keys(inst):
    """Ctrl-C, Ctrl-Z and Ctrl-D are keys of the inner terminal"""
    t = Terminal(inst, "run", "--", "cat")
    wait_until(lambda: inst.ps(), 10, "the sandbox")
    t.type("line\r")
    t.expect("line\r\nline")
    t.type("\x04")
    assert t.wait() == 0
    t = Terminal(inst, "run", "--", "sh", "-c",
                 "trap 'echo caught; exit 9' INT; echo up; sleep 100")
    t.expect("up")
    t.type("\x03")
    t.expect("caught")
    assert t.wait() == 9


def test_attach_after_hangup(inst):
    """After the client's terminal is gone the sandbox goes on, and attach shows it again"""
    t = Terminal(inst, "run", "--name", "web", "--", "sh", "-c",
                 "echo first; while read x; do echo got-$x; done")
    t.expect("first")
    t.proc.kill()
    t.proc.wait()
    time.sleep(0.2)
    assert inst.running("web")
    again = Terminal(inst, "attach", "web")
    again.type("hello\r")
    again.expect("got-hello")
    again.type("\x04")
    assert again.wait() == 0


def test_replay(inst):
    """What was printed while nobody was attached is shown at the next attach"""
    inst.write("loop.sh", "sleep 0.5; echo while-away; sleep 100\n")
    t = Terminal(inst, "run", "--name", "web", "--", "sh", "loop.sh")
    wait_until(lambda: inst.running("web"), 10, "the sandbox")
    t.proc.kill()
    time.sleep(1)
    again = Terminal(inst, "attach", "web")
    again.expect("while-away")
    inst.ctl("kill", "web").ok()
    assert again.wait() == 137
    assert termios.tcgetattr(again.slave) == again.before


def test_killed_on_a_terminal(inst):
    """A sandbox killed while its terminal is open: exit 137, the mode is restored"""
    t = Terminal(inst, "run", "--name", "web", "--", "sh", "-c", "stty raw; echo up; sleep 100")
    t.expect("up")
    inst.ctl("kill", "web").ok()
    assert t.wait() == 137
    assert termios.tcgetattr(t.slave) == t.before


@limit(150)
def test_short_commands_keep_their_output(inst):
    """150 commands that end at once on a terminal: each one's output arrives, and its exit code"""
    lost = []
    for i in range(150):
        script = f"echo hello-{i}; exit 7"
        t = Terminal(inst, "run", "--name", "short", "--", "sh", "-c", script)
        code = t.wait()
        if code != 7 or f"hello-{i}\r\n" not in t.text:
            lost.append((i, code, t.text))
        t.close()
    assert not lost, f"{len(lost)} of 150: {lost[:5]}"


@limit(120)
def test_long_output_of_short_commands(inst):
    """What a command printed before and after agentctl joined it arrives whole, however much"""
    for lines in [5000] * 10 + [40000] * 10:
        t = Terminal(inst, "run", "--", "seq", "1", str(lines))
        assert t.wait() == 0
        got = t.text.split()
        assert got == [str(n) for n in range(1, lines + 1)], \
            f"{len(got)} of {lines} lines, the first {got[:3]}, the last {got[-3:]}"
        t.close()


def test_attach_refused(inst):
    """A sandbox that is not there, or has no terminal, is a refusal and not a failure of agentd"""
    inst.start_run("pipes", "sleep", "100")
    for name, why in (("nobody", "no sandbox nobody runs"), ("pipes", "started with pipes")):
        t = Terminal(inst, "attach", name)
        assert t.wait() == 1, (name, t.text)
        assert why in t.text, (name, t.text)


@limit(60)
def test_end_in_the_broker_while_nobody_is_attached(inst):
    """A detached command that has ended is not attached to a moment later under a new one's name"""
    inst.write("one.sh", "echo from-one\n")
    inst.write("two.sh", "echo from-two; read x; exit 5\n")
    inst.ctl("run", "--detach", "--name", "web", "--", "sh", "one.sh").ok()
    wait_until(lambda: not inst.running("web"), 10, "its end")
    inst.ctl("run", "--detach", "--name", "web", "--", "sh", "two.sh").ok()
    t = Terminal(inst, "attach", "web")
    t.expect("from-two")
    assert "from-one" not in t.text, t.text
    t.type("x\r")
    assert t.wait() == 5
    inst.ctl("run", "--detach", "--name", "web", "--", "sh", "-c", "echo the-last; exit 6").ok()
    wait_until(lambda: not inst.running("web"), 10, "its end")
    t = Terminal(inst, "attach", "web")
    assert t.wait() == 6, t.text
    assert "the-last" in t.text
