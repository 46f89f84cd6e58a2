"""agentctl's own part, against a supervisor and broker that this file imitates: descriptors,
signals, terminal modes, detach and attach, exit codes, what is shown. No sandbox, no root."""
import array
import fcntl
import functools
import hashlib
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import threading
import time

from agentd import BUILD, wait_until

AGENTCTL = os.path.join(BUILD, "agentctl")
TAGS = ("name agent workspace cwd arg env doc toolchain protect user home terminal detached "
        "fact").split()
SIGNALS = {"INT": signal.SIGINT, "TERM": signal.SIGTERM, "HUP": signal.SIGHUP,
           "QUIT": signal.SIGQUIT, "WINCH": signal.SIGWINCH, "CONT": signal.SIGCONT,
           "USR1": signal.SIGUSR1, "USR2": signal.SIGUSR2, "TSTP": signal.SIGTSTP}


def read_request(fd):
    """The entries of a request memfd: {tag: [values]}."""
    data = os.pread(fd, 1 << 22, 0)
    assert data[:8] == b"AGDREQ1\n"
    entries = {tag: [] for tag in TAGS}
    at = 8
    while at < len(data):
        tag, zero, size = struct.unpack_from("<HHI", data, at)
        assert zero == 0
        entries[TAGS[tag - 1]].append(data[at + 8:at + 8 + size])
        at += 8 + size
    return entries


folders = []  # of every Fake; removed when a test ends


def tidy(test):
    @functools.wraps(test)
    def tidied():
        try:
            test()
        finally:
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)
    return tidied


class Fake:
    """A supervisor and a broker, a thread for each connection: RUN starts the command as it is,
    with no sandbox. `answer` maps a verb to what is answered instead."""

    def __init__(self, **answer):
        self.dir = tempfile.mkdtemp(prefix="fake-")
        folders.append(self.dir)
        os.makedirs(self.dir + "/run/agentd")
        os.makedirs(self.dir + "/w")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.dir + "/run/agentd/control.sock")
        self.listener.listen(64)
        self.answer = answer
        self.requests, self.heard, self.passed = [], [], []
        self.pid = self.master = self.attached = None
        self.ring = b""
        self.lock = threading.RLock()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            conn, _ = self.listener.accept()
            threading.Thread(target=self.talk, args=(conn,), daemon=True).start()

    def talk(self, conn):
        data, anc, _, _ = conn.recvmsg(4096, 1024)
        fds = array.array("i")
        for level, kind, blob in anc:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(blob)
        line, _, rest = data.partition(b"\n")
        verb = line.decode().split()[0]
        self.heard.append(line.decode())
        if verb in self.answer:
            for fd in fds:
                os.close(fd)
            conn.sendall(self.answer[verb].encode())
            conn.close()
        elif verb == "RUN":
            self.run(conn, list(fds))
        elif verb == "RPC":
            self.rpc(conn, rest)

    def run(self, conn, fds):
        request = read_request(fds[0])
        self.requests.append(request)
        self.passed = [os.readlink(f"/proc/self/fd/{fd}") for fd in fds[1:]]
        if request["terminal"]:
            rows, cols = struct.unpack("=HH", request["terminal"][0])
            self.master, slave = pty.openpty()
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
            fds += [slave] * 3
        env = dict(v.decode().split("=", 1) for v in request["env"])
        proc = subprocess.Popen([a.decode() for a in request["arg"]], env=env,
                                cwd=request["cwd"][0], stdin=fds[1], stdout=fds[2], stderr=fds[3],
                                preexec_fn=lambda: self.leader(bool(request["terminal"])))
        for fd in set(fds):
            os.close(fd)
        self.pid = proc.pid
        threading.Thread(target=self.drain, daemon=True).start()
        conn.sendall(b"OK web session-1\n")
        threading.Thread(target=self.signals, args=(conn, proc), daemon=True).start()
        code = proc.wait()
        code = 128 - code if code < 0 else code
        if request["terminal"]:
            wait_until(lambda: self.attached or request["detached"], 5, "attach")
        end = getattr(self, "end", None) or f"EXIT {code}\n"
        try:
            conn.sendall(end.encode())
        except OSError:
            pass
        if self.attached:
            self.notify("ended", {"code": code, "text": ""})

    @staticmethod
    def leader(terminal):
        os.setsid()
        for sig in (signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE):
            signal.signal(sig, signal.SIG_DFL)
        if terminal:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def signals(self, conn, proc):
        text = b""
        while True:
            try:
                data = conn.recv(4096)
            except OSError:
                return
            if not data:
                return
            text += data
            while b"\n" in text:
                line, text = text.split(b"\n", 1)
                self.heard.append(line.decode())
                os.kill(proc.pid, SIGNALS[line.decode().split()[1]])

    def drain(self):
        """As the broker: reads the pty while nobody is attached."""
        while self.master is not None:
            with self.lock:
                if self.attached is None and select.select([self.master], [], [], 0)[0]:
                    try:
                        self.ring = (self.ring + os.read(self.master, 4096))[-65536:]
                    except OSError:
                        pass
            time.sleep(0.01)

    def rpc(self, conn, rest):
        while b"\n" not in rest:
            rest += conn.recv(65536)
        call = json.loads(rest)
        assert call["method"] == "attach", call
        with self.lock:
            if self.attached:
                self.notify("detached", {"by_pid": os.getpid()})
                self.attached.close()
            self.attached = conn
            result = {"name": "web", "session": "session-1", "replay": len(self.ring)}
            line = json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode() + b"\n"
            conn.sendmsg([line + self.ring[:10]],
                         [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [self.master]))])
            conn.sendall(self.ring[10:])
            self.ring = b""
        while True:
            try:
                if not conn.recv(4096):
                    break
            except OSError:
                break
        with self.lock:
            if self.attached is conn:
                self.attached = None

    def notify(self, method, params):
        note = {"jsonrpc": "2.0", "method": method, "params": params}
        try:
            with self.lock:
                self.attached.sendall(json.dumps(note).encode() + b"\n")
        except OSError:
            pass

    def popen(self, *args, **kw):
        kw.setdefault("stdin", subprocess.DEVNULL)
        kw.setdefault("stdout", subprocess.PIPE)
        kw.setdefault("stderr", subprocess.PIPE)
        kw.setdefault("cwd", self.dir + "/w")
        return subprocess.Popen([AGENTCTL, *args], **kw,
                                env={**os.environ, "AGENTD_ROOT": self.dir, "TERM": "xterm"})

    def ctl(self, *args, stdin_text=None, **kw):
        if stdin_text is not None:
            kw["stdin"] = subprocess.PIPE
        p = self.popen(*args, **kw)
        out, err = p.communicate(stdin_text, 20)
        return p.returncode, (out or b"").decode(), (err or b"").decode()


def forwards(proc):
    """Waits until agentctl of a piped run has its signal handlers (the command may be faster)."""
    def caught():
        with open(f"/proc/{proc.pid}/status", encoding="ascii") as f:
            mask = int(re.search(r"SigCgt:\s*(\w+)", f.read()).group(1), 16)
        return mask >> (signal.SIGWINCH - 1) & 1
    wait_until(caught, 5, "signal handlers")


class Terminal:
    """agentctl on a pty that stands for the person's terminal."""

    def __init__(self, fake, *args, rows=24, cols=80, **kw):
        self.master, self.slave = pty.openpty()
        self.resize(rows, cols)
        self.before = termios.tcgetattr(self.slave)
        streams = dict(stdin=self.slave, stdout=self.slave, stderr=self.slave)

        def become_leader():
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
        self.proc = fake.popen(*args, **{**streams, **kw}, preexec_fn=become_leader)
        self.text = ""

    def resize(self, rows, cols):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def type(self, text):
        os.write(self.master, text.encode())

    def read(self, seconds=0.05):
        while select.select([self.master], [], [], seconds)[0]:
            self.text += os.read(self.master, 65536).decode(errors="replace")
            seconds = 0.01
        return self.text

    def expect(self, pattern):
        return wait_until(lambda: re.search(pattern, self.read()), 10,
                          f"/{pattern}/ in {self.text!r}")

    def raw(self):
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    def restored(self):
        return termios.tcgetattr(self.slave) == self.before

    def wait(self):
        wait_until(lambda: (self.read(), self.proc.poll() is not None)[1], 10,
                   f"end of agentctl; screen {self.text!r}")
        self.read()
        return self.proc.returncode


# ---- piped runs ---------------------------------------------------------------------------------

@tidy
def test_passes_streams_and_code():
    """A piped run passes plain descriptors on as they are and returns the command's exit code"""
    fake = Fake()
    code, out, err = fake.ctl("run", "--", "sh", "-c", "cat; echo err >&2; exit 7",
                              stdin_text=b"in\n")
    assert (code, out, err) == (7, "in\n", "err\n"), (code, out, err)
    assert all(p.startswith("pipe:") for p in fake.passed), fake.passed
    code, out, _ = fake.ctl("run", "--", "cat")
    assert (code, out) == (0, "") and fake.passed[0] == "/dev/null"


@tidy
def test_request_with_a_file_that_a_policy_extends():
    """The request has the files that a document extends, and what those extend"""
    fake = Fake()
    texts = {"base.yaml": "policy: 1\n"}
    for name, part in (("parts/mid.yaml", "base.yaml"), ("cli.yaml", "parts/mid.yaml")):
        digest = hashlib.sha256(texts[part].encode()).hexdigest()
        texts[name] = f"policy: 1\nextends: [{{file: {part}, digest: 'sha256:{digest}'}}]\n"
    os.makedirs(fake.dir + "/parts")
    for name, path in (("cli.yaml", "cli.yaml"), ("parts/mid.yaml", "parts/mid.yaml"),
                       ("base.yaml", "parts/base.yaml")):
        with open(fake.dir + "/" + path, "w", encoding="ascii") as f:
            f.write(texts[name])
    code, _, err = fake.ctl("run", "--policy", "cli.yaml", "--", "true", cwd=fake.dir)
    assert code == 0, err
    real = os.path.realpath(fake.dir).encode()
    docs = [(d[0], *d[1:].split(b"\0", 1)) for d in fake.requests[0]["doc"] if d[0] != 1]
    assert docs == [(3, real + b"/cli.yaml", texts["cli.yaml"].encode()),
                    (5, real + b"/parts/mid.yaml", texts["parts/mid.yaml"].encode()),
                    (5, real + b"/parts/base.yaml", b"policy: 1\n")], docs


@tidy
def test_request():
    """The request has the command, the places, the documents, the environment and the facts"""
    fake = Fake()
    os.makedirs(fake.dir + "/p/.git")
    os.makedirs(fake.dir + "/p/.agentd")
    os.makedirs(fake.dir + "/p/sub")
    with open(fake.dir + "/p/.git/HEAD", "w", encoding="ascii") as f:
        f.write("ref: refs/heads/fix/x\n")
    with open(fake.dir + "/p/.git/config", "w", encoding="ascii") as f:
        f.write("[core]\n\thooksPath = .hooks\n[include]\n\tpath = ../inc\n\tpath = /etc/x\n")
    for name, text in (("/p/.agentd/policy.yaml", "policy: 1\n"), ("/cli.yaml", "policy: 1 #\n")):
        with open(fake.dir + name, "w", encoding="ascii") as f:
            f.write(text)
    code, out, err = fake.ctl("run", "--name", "web", "--agent", "codex", "--policy",
                              "../../cli.yaml", "--", "echo", "a b", "", cwd=fake.dir + "/p/sub")
    assert code == 0, err
    r = fake.requests[0]
    real = os.path.realpath(fake.dir).encode()
    assert r["arg"] == [b"echo", b"a b", b""] and r["name"] == [b"web"], r
    assert r["workspace"] == [real + b"/p"] and r["cwd"] == [real + b"/p/sub"], r
    assert r["agent"] == [b"codex"] and not r["terminal"] and not r["detached"], r
    docs = [(d[0], *d[1:].split(b"\0", 1)) for d in r["doc"] if d[0] != 1]
    assert docs == [(2, real + b"/p/.agentd/policy.yaml", b"policy: 1\n"),
                    (3, real + b"/cli.yaml", b"policy: 1 #\n")], docs
    assert sorted(r["protect"]) == [b".hooks", b"inc"], r["protect"]
    assert b"branch=fix/x" in r["fact"] and b"TERM=xterm" in r["env"], r


@tidy
def test_terminal_is_never_passed():
    """Of a terminal the command gets a pipe, whichever of its descriptors it is"""
    fake = Fake()
    t = Terminal(fake, "run", "--", "sh", "-c",
                 "test -t 0 && echo tty; test -t 2 && echo tty; read x; echo got-$x; echo e >&2",
                 stdout=subprocess.PIPE)
    t.type("hello\n")
    out, _ = t.proc.communicate(timeout=10)
    t.read()
    assert out == b"got-hello\n" and "e\r\n" in t.text, (out, t.text)
    assert all("/dev/pts" not in p for p in fake.passed), fake.passed


@tidy
def test_directory_and_device_are_never_passed():
    """Of a directory or a device as standard input the command gets an empty pipe"""
    fake = Fake()
    folder = os.open("/", os.O_RDONLY)
    code, out, _ = fake.ctl("run", "--", "cat", stdin=folder)
    assert (code, out) == (0, "") and fake.passed[0].startswith("pipe:"), fake.passed
    zero = os.open("/dev/zero", os.O_RDONLY)
    code, out, _ = fake.ctl("run", "--", "head", "-c", "100000", stdin=zero)
    assert (code, out) == (0, "\0" * 100000) and fake.passed[0].startswith("pipe:"), fake.passed


@tidy
def test_closed_descriptors():
    """Descriptors that are closed do not get mixed up with files that agentctl opens"""
    fake = Fake()
    p = fake.popen("run", "--", "sh", "-c", "cat; echo out; echo err >&2; exit 4",
                   stdin=None, stdout=None, stderr=None,
                   preexec_fn=lambda: os.closerange(0, 3))
    assert p.wait(10) == 4
    assert fake.passed == ["/dev/null"] * 3, fake.passed


@tidy
def test_big_streams_through_pipes():
    """Megabytes go through the relays whole, both ways at once"""
    fake = Fake()
    data = os.urandom(3 << 20)
    with tempfile.TemporaryFile() as f:
        f.write(data)
        f.flush()
        f.seek(0)
        r, w = socket.socketpair()
        folder = threading.Thread(target=lambda: (r.sendall(data), r.shutdown(socket.SHUT_WR)))
        folder.start()
        p = fake.popen("run", "--", "cat", stdin=w)
        out, _ = p.communicate(timeout=20)
        assert out == data
    t = Terminal(fake, "run", "--", "sh", "-c", "seq 1 100000 >&2; seq 1 100000",
                 stdout=subprocess.PIPE)
    got = []
    reader = threading.Thread(target=lambda: got.append(t.proc.stdout.read()))
    reader.start()
    assert t.wait() == 0
    reader.join(10)
    want = [str(i) for i in range(1, 100001)]
    assert got[0].decode().split() == want
    assert t.text.split() == want


@tidy
def test_signals_are_forwarded():
    """INT, TERM, HUP, QUIT, USR1 and WINCH reach the command of a piped run"""
    for name, code in (("INT", 130), ("TERM", 143), ("HUP", 129), ("QUIT", 131), ("USR1", 138)):
        fake = Fake()
        p = fake.popen("run", "--", "sh", "-c", "echo up; exec sleep 100")
        assert p.stdout.readline() == b"up\n"
        forwards(p)
        p.send_signal(signal.SIGWINCH)
        wait_until(lambda: "SIGNAL WINCH" in fake.heard, 5, "WINCH")
        p.send_signal(SIGNALS[name])
        assert p.wait(10) == code, name
        assert "SIGNAL " + name in fake.heard


@tidy
def test_ctrl_c_of_a_half_terminal():
    """Ctrl-C typed while output goes to a pipe reaches the command, and an ignored one stays so"""
    fake = Fake()
    t = Terminal(fake, "run", "--", "sh", "-c", "echo up; exec sleep 100", stdout=subprocess.PIPE)
    assert t.proc.stdout.readline() == b"up\n"
    forwards(t.proc)
    t.type("\x03")
    assert t.wait() == 130
    p = fake.popen("run", "--", "sh", "-c", "echo up; exec sleep 0.4",
                   preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    assert p.stdout.readline() == b"up\n"
    forwards(p)
    p.send_signal(signal.SIGINT)
    assert p.wait(10) == 0


@tidy
def test_reader_that_leaves():
    """When nobody reads the output any more the command gets SIGPIPE, as in a shell"""
    fake = Fake()
    t = Terminal(fake, "run", "--", "yes", stdout=subprocess.PIPE)
    t.proc.stdout.readline()
    t.proc.stdout.close()
    assert t.wait() == 141


# ---- how it ends --------------------------------------------------------------------------------

@tidy
def test_exit_codes():
    """Refused is 1, killed the reported code, agentd lost 125; each says why"""
    cases = (("ERR no policy allows it\n", 1, "no policy allows it"),
             ("ERR 127 cannot find x\n", 127, "^agentctl: cannot find x"),
             ("OK web s\nEND 137 killed by uid 0: why\x1b[2J\n", 137, r"killed by uid 0: why\\x1B"),
             ("OK web s\nEXIT 9\n", 9, "^$"),
             ("OK web s\n", 125, "agentd is gone"),
             ("OK web s\nEND 13", 125, "middle of a line"),
             ("OK ../x s\n", 125, "agentd answered"),
             ("", 125, "closed the connection"))
    for answer, want, text in cases:
        fake = Fake(RUN=answer)
        code, out, err = fake.ctl("run", "--", "true")
        assert code == want and re.search(text, err) and "\x1b" not in err, (answer, code, err)


@tidy
def test_usage_errors():
    """A wrong command line is exit 2 with one line that says what is wrong"""
    fake = Fake()
    for args in (["run"], ["run", "--"], ["run", "--nam", "x", "--", "true"], ["run", "--name"],
                 ["run", "--name", "../x", "--", "true"], ["run", "--name", "X", "--", "true"],
                 ["run", "--detach-keys", "ctrl-", "--", "true"], ["show"], ["show", "a b"],
                 ["show", "a\nPS"], ["freeze"], ["freeze", "-x"], ["ps", "x"], ["attach"],
                 ["--rot", "x"], ["--root"], ["nonsense"], ["help", "nonsense"]):
        code, out, err = fake.ctl(*args)
        assert code == 2 and err, (args, code, out, err)
        assert "Traceback" not in err and len(err.splitlines()) <= 3, err
    assert not fake.heard, fake.heard
    for wrong, right in (("lst", "latches|ps"), ("approvls", "approvals"), ("kil", "kill"),
                         ("stop", "kill"), ("logs", "audit")):
        code, _, err = fake.ctl(wrong)
        assert code == 2 and (re.search(right, err) or wrong == "lst"), (wrong, err)


@tidy
def test_workspace_refusals():
    """The whole system, the home directory and what is above it are no workspaces"""
    fake = Fake()
    for path in ("/", "/root", "/etc", "/usr/bin", "/proc", "/tmp", "/home", "/nonexistent"):
        code, _, err = fake.ctl("run", "--workspace", path, "--", "true")
        assert code == 1 and "agentctl: " in err, (path, code, err)
    assert not fake.heard


@tidy
def test_unreadable_policy_starts_nothing():
    """A policy that is too large, no file or not there starts nothing"""
    fake = Fake()
    with open(fake.dir + "/big.yaml", "wb") as f:
        f.write(b"#" * (257 << 10))
    for path in ("/big.yaml", "/absent.yaml", "/w"):
        code, _, err = fake.ctl("run", "--policy", fake.dir + path, "--", "true")
        assert code == 1 and "policy" in err, (path, code, err)
    os.makedirs(fake.dir + "/w/.agentd/policy.yaml")
    code, _, err = fake.ctl("run", "--", "true")
    assert code == 1 and "policy" in err, (code, err)
    assert not fake.heard


# ---- terminals ----------------------------------------------------------------------------------

@tidy
def test_terminal_round():
    """On a terminal: raw while it runs, size, keys and output pass, restored at the end"""
    fake = Fake()
    t = Terminal(fake, "run", "--", "sh", "-c", "stty size; read x; echo got-$x; exit 3",
                 rows=33, cols=101)
    t.expect("33 101")
    assert t.raw()
    t.type("hello\r")
    t.expect("got-hello")
    assert t.wait() == 3 and t.restored()


@tidy
def test_short_command_shows_its_output():
    """A command that ends at once shows all its output and its code"""
    for _ in range(5):
        fake = Fake()
        t = Terminal(fake, "run", "--", "sh", "-c", "echo first-and-last; exit 5")
        assert t.wait() == 5, t.text
        assert "first-and-last" in t.text and t.restored(), t.text


@tidy
def test_resize():
    """The pty follows the terminal's size"""
    fake = Fake()
    t = Terminal(fake, "run", "--", "sh", "-c",
                 "trap 'stty size' WINCH; echo up; while :; do sleep 0.05; done")
    t.expect("up")
    t.resize(50, 120)
    os.kill(t.proc.pid, signal.SIGWINCH)
    t.expect("50 120")
    t.type("\x03")
    assert t.wait() == 130 and t.restored()


@tidy
def test_restored_after_signals():
    """However agentctl ends (TERM, HUP, INT, SEGV, ABRT), the terminal's mode is as before"""
    for sig in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGSEGV, signal.SIGABRT):
        fake = Fake()
        t = Terminal(fake, "run", "--", "sh", "-c",
                     "printf '\\033[?1049h\\033[?25l\\033[?1000;1006h\\033[>1u'; echo up; "
                     "exec sleep 100")
        t.expect("up")
        os.kill(t.proc.pid, sig)
        assert t.wait() == -sig, (sig, t.text)
        assert t.restored(), sig
        for undo in ("\x1b[?1049l", "\x1b[?25h", "\x1b[?1000l", "\x1b[?1006l", "\x1b[<u"):
            assert undo in t.text, (sig, undo, t.text)
        assert sig in (signal.SIGSEGV, signal.SIGABRT) or "agentctl attach web" in t.text, t.text
        assert not any(h.startswith("SIGNAL") for h in fake.heard), fake.heard
        os.kill(fake.pid, signal.SIGKILL)


@tidy
def test_detach_and_attach():
    """Ctrl-\\ d leaves the sandbox running; attach shows what was printed meanwhile and goes on"""
    fake = Fake()
    t = Terminal(fake, "run", "--", "sh", "-c",
                 "echo up; read a; sleep 0.5; echo while-away; read x; echo got-$x; exit 6")
    t.expect("up")
    t.type("a\r")
    t.type("\x1cd")
    assert t.wait() == 0 and t.restored() and "agentctl attach web" in t.text, t.text
    time.sleep(0.8)
    again = Terminal(fake, "attach", "web")
    again.expect("while-away")
    again.type("back\r")
    again.expect("got-back")
    assert again.wait() == 6 and again.restored()


@tidy
def test_detach_keys():
    """The detach sequence can be chosen; twice sends it once; the kitty keyboard form counts"""
    fake = Fake()
    t = Terminal(fake, "run", "--", "sh", "-c", "stty raw -echo; echo up; od -An -tx1 -v -N 3")
    t.expect("up")
    t.type("\x1c\x1c")  # one ctrl-\
    t.type("\x1cx")  # not the sequence: both pass
    t.expect("1c 1c 78")
    assert t.wait() == 0
    t = Terminal(fake, "run", "--", "sh", "-c", "echo up; sleep 100")
    t.expect("up")
    t.type("\x1b[92;5ud")
    assert t.wait() == 0 and "left web" in t.text
    t = Terminal(fake, "attach", "--detach-keys", "ctrl-a,ctrl-q,x", "web")
    t.expect("up|")
    t.type("\x1bd\x01\x11x")
    assert t.wait() == 0 and "left web" in t.text
    os.kill(fake.pid, signal.SIGKILL)


@tidy
def test_taken_over():
    """A second attach takes the terminal; the first says so and ends, its mode restored"""
    fake = Fake()
    t = Terminal(fake, "run", "--", "sh", "-c", "echo up; read x; exit 4")
    t.expect("up")
    other = Terminal(fake, "attach", "web")
    assert t.wait() == 0 and t.restored() and "goes on at another terminal" in t.text, t.text
    wait_until(other.raw, 5, "raw mode")
    other.type("\r")
    assert other.wait() == 4


@tidy
def test_broker_restarts():
    """When the broker is lost and comes back, agentctl attaches again by itself"""
    fake = Fake()
    t = Terminal(fake, "run", "--", "sh", "-c", "echo up; read x; echo got-$x; exit 8")
    t.expect("up")
    fake.attached.shutdown(socket.SHUT_RDWR)
    wait_until(lambda: fake.heard.count("RPC") == 2, 5, "second attach")
    t.type("hello\r")
    t.expect("got-hello")
    assert t.wait() == 8 and t.restored()


@tidy
def test_stopped_and_continued():
    """kill -TSTP stops agentctl with the terminal restored; CONT takes it back"""
    fake = Fake()
    t = Terminal(fake, "run", "--", "sh", "-c", "echo up; read x; exit 2")
    t.expect("up")
    os.kill(t.proc.pid, signal.SIGTSTP)
    wait_until(lambda: b"\nState:\tT" in open(f"/proc/{t.proc.pid}/status", "rb").read(), 5, "stop")
    assert t.restored()
    os.kill(t.proc.pid, signal.SIGCONT)
    wait_until(t.raw, 5, "raw mode again")
    t.type("\r")
    assert t.wait() == 2 and t.restored()


@tidy
def test_killed_and_lost():
    """The reason of an end is on stderr, escaped; a lost supervisor is 125"""
    fake = Fake()
    fake.end = "END 137 killed by uid 7: \x1b]0;x\x07\n"
    t = Terminal(fake, "run", "--", "sh", "-c", "echo up; exit 0")
    assert t.wait() == 137 and t.restored()
    assert r"killed by uid 7: \x1B]0;x\x07" in t.text, t.text
    fake.end = "GONE\n"
    t = Terminal(fake, "run", "--", "true")
    assert t.wait() == 0  # the broker's word counts when the supervisor has none


@tidy
def test_much_output_and_input():
    """A flood of output arrives whole while keys go the other way"""
    fake = Fake()
    t = Terminal(fake, "run", "--", "sh", "-c", "stty -echo -onlcr; seq 1 100000; read x; exit 0")
    t.type("go\r")
    assert t.wait() == 0
    numbers = re.findall(r"\d+", t.text)
    assert numbers == [str(i) for i in range(1, 100001)], len(numbers)


@tidy
def test_detached_run():
    """--detach prints the name, needs no terminal and returns at once"""
    fake = Fake()
    code, out, err = fake.ctl("run", "--detach", "--", "sleep", "0.2")
    assert (code, out) == (0, "web\n"), (code, out, err)
    assert fake.requests[0]["detached"] and fake.requests[0]["terminal"]
    assert fake.passed == []


# ---- what is shown ------------------------------------------------------------------------------

ROWS = ("web\t0\tclaude-code\trunning\t77\t1\ts-1\t/w/\u202eevil\x1b[31m\n"
        "a-rather-long-name-of-a-sandbox\t12345678\tcommand\tfrozen\t78\t0\ts-2\t"
        "/home/someone/src/github.com/organisation/project/sub\n.\n")


@tidy
def test_ps():
    """ps shows a table, or short lines on a narrow terminal; text of others is escaped"""
    fake = Fake(PS=ROWS)
    code, out, _ = fake.ctl("ps")
    assert code == 0 and r"/w/\u{202E}evil\x1B[31m" in out and "12345678" in out, out
    assert out.splitlines()[0].split() == "NAME STATE AGENT UP USER WORKSPACE".split(), out
    for cols in (40, 60, 80, 120):
        t = Terminal(fake, "ps", cols=cols)
        assert t.wait() == 0
        lines = t.text.splitlines()
        assert max(len(line) for line in lines) <= cols, (cols, t.text)
        assert "a-rather-long-name-of-a-sandbox" in t.text and "project/sub" in t.text, t.text
    code, out, _ = fake.ctl("ps", "--json")
    rows = json.loads(out)
    assert rows[0]["workspace"] == "/w/\u202eevil\x1b[31m" and rows[1]["uid"] == 12345678, rows
    code, out, err = Fake(PS="web\t0\n.\n").ctl("ps")
    assert code == 125 and "version" in err, (code, err)
    assert Fake(PS=".\n").ctl("ps", "--json")[:2] == (0, "[]\n")
    assert Fake(PS=ROWS[:-2]).ctl("ps")[0] == 125


@tidy
def test_show_freeze_thaw():
    """show, freeze and thaw say what the supervisor says"""
    fake = Fake(SHOW="name\tweb\nowner\t7\nworkspace\t/w\x1b\n.\n", FREEZE="OK\n",
                THAW="ERR there is no sandbox x\u202e\n")
    code, out, _ = fake.ctl("show", "web")
    assert code == 0 and "\\x1B" in out and "\x1b" not in out, out
    assert json.loads(fake.ctl("show", "7/web", "--json")[1]) == {
        "name": "web", "owner": 7, "workspace": "/w\x1b"}
    assert fake.ctl("freeze", "web")[0] == 0
    code, _, err = fake.ctl("thaw", "web")
    assert code == 1 and "x\\u{202E}" in err, err
    assert fake.heard == ["SHOW web", "SHOW 7/web", "FREEZE web", "THAW web"], fake.heard
    code, _, err = Fake(SHOW="ERR no\n").ctl("show", "web")
    assert code == 1 and err == "agentctl: no\n", err


@tidy
def test_no_daemon():
    """Without a daemon each verb ends with 125 and says how to start it"""
    with tempfile.TemporaryDirectory() as folder:
        for args in (["ps"], ["show", "x"], ["freeze", "x"], ["run", "--", "true"]):
            p = subprocess.run([AGENTCTL, "--root", folder, *args], capture_output=True,
                               cwd=folder, stdin=subprocess.DEVNULL, timeout=10)
            assert p.returncode == 125, (args, p)
            assert b"agentd-supervisor --root " + folder.encode() in p.stderr, p.stderr
