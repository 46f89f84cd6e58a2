"""A private agentd for one test: its own --root, its own users' homes, its own copies of the
programs, so that tests run beside each other, beside a real installation and beside another copy of
this suite. Used by tests/integration, tests/conformance, tests/e2e and tools/demo. Needs root; only
the standard library.

The users are uids without an entry in passwd: 12001 (alice) and 12002 (bob)."""
import ctypes
import errno
import json
import os
import pickle
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import traceback

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
USERS = {"root": 0, "alice": 12001, "bob": 12002}
PROGRAMS = ["agentd-supervisor", "agentd", "agentd-init", "agentctl", "agentctl-tools"]


def scratch():
    """Where instances live: a short path on disk that is no system directory, because the homes
    below it must look like homes to agentd (tools below /tmp or /var are not shown inside)."""
    path = os.environ.get("AGENTD_TEST_TMP", "/srv")
    os.makedirs(path, exist_ok=True)
    return path


class Skip(Exception):
    """Raised by a test that cannot run here; its text says why."""


class Result:
    """What a finished command left."""

    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.err, self.seconds = code, out, err, seconds

    def __repr__(self):
        return (f"exit {self.code} after {self.seconds:.2f} s\n--- stdout\n{self.out}"
                f"\n--- stderr\n{self.err}")

    def ok(self):
        assert self.code == 0, f"expected success: {self}"
        return self

    def failed(self, code=None, text=None):
        """Asserts failure, with this exit code and this regular expression in the output."""
        assert self.code != 0 if code is None else self.code == code, \
            f"expected exit {'other than 0' if code is None else code}: {self}"
        if text:
            assert re.search(text, self.out + self.err), f"expected /{text}/ in: {self}"
        return self


def limit(seconds):
    """Decorator: the time limit of a test, in place of the runner's default."""
    def mark(func):
        func.limit = seconds
        return func
    return mark


def config(**settings):
    """Decorator: keyword arguments for the Instance that a test is given."""
    def mark(func):
        func.config = settings
        return func
    return mark


def wait_until(condition, seconds=10, what="condition"):
    """Polls until condition() is true and returns its value; fails after the time."""
    deadline = time.monotonic() + seconds
    pause = 0.002
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def as_uid(uid, func, *args):
    """Calls func in a child process that has become uid (and has no other rights); returns its
    value or raises its exception. For socket peers that the kernel must see as that user."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(r)
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            try:
                answer = (True, func(*args))
            except Exception as err:  # handed to the parent whole
                answer = (False, (type(err).__name__, str(err), traceback.format_exc()))
            with os.fdopen(w, "wb") as f:
                pickle.dump(answer, f)
            code = 0
        finally:
            os._exit(code)
    os.close(w)
    with os.fdopen(r, "rb") as f:
        data = f.read()
    os.waitpid(pid, 0)
    assert data, f"the helper process of uid {uid} died"
    good, value = pickle.loads(data)
    if not good:
        raise AssertionError(f"as uid {uid}: {value[0]}: {value[1]}\n{value[2]}")
    return value


def proc_read(pid, name):
    """A file of /proc/PID as bytes, empty when the process is gone."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as f:
            return f.read()
    except OSError:
        return b""


def proc_state(pid):
    """The state letter of a process, '' when it is gone."""
    m = re.search(rb"^State:\s+(\S)", proc_read(pid, "status"), re.M)
    return m.group(1).decode() if m else ""


def proc_uid(pid):
    m = re.search(rb"^Uid:\s+(\d+)", proc_read(pid, "status"), re.M)
    return int(m.group(1)) if m else None


def pids():
    return [int(p) for p in os.listdir("/proc") if p.isdigit()]


def children_of(pid):
    """Every descendant of a process, parents first."""
    parent = {}
    for p in pids():
        stat = proc_read(p, "stat")
        if stat:
            parent[p] = int(stat.rpartition(b")")[2].split()[1])
    found, frontier = [], [pid]
    while frontier:
        frontier = [p for p, q in parent.items() if q in frontier]
        found += frontier
    return found


def end_process(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def mount_points(fstype):
    with open("/proc/self/mounts", encoding="utf-8") as f:
        return [line.split()[1] for line in f if line.split()[2] == fstype]


def hash_of(root):
    """FNV-1a, as common/paths.c names an instance's cgroup."""
    h = 2166136261
    for c in root.encode():
        h = (h ^ c) * 16777619 & 0xffffffff
    return h


def wipe(base):
    """Ends whatever still runs for an instance below base and removes it. For the runner, after a
    test that did not come to its own end."""
    root = os.path.join(base, "r")
    name = f"agentd-{hash_of(root):08x}"
    for top in mount_points("cgroup2"):
        path = os.path.join(top, name)
        if os.path.exists(path):
            with open(path + "/cgroup.kill", "w", encoding="ascii") as f:
                f.write("1")
    for pid in pids():
        cmd = proc_read(pid, "cmdline").split(b"\0")
        if root.encode() in cmd:
            end_process(pid)
    deadline = time.monotonic() + 5
    left = cgroup_dirs(name)
    while left and time.monotonic() < deadline:
        for path in sorted(left, key=len, reverse=True):
            try:
                os.rmdir(path)
            except OSError:
                pass
        left = cgroup_dirs(name)
        time.sleep(0.02)
    for mount in sorted((m for m in all_mounts() if m.startswith(base + "/")), reverse=True):
        subprocess.run(["umount", "-l", mount], check=False)
    shutil.rmtree(base, ignore_errors=True)


def all_mounts():
    with open("/proc/self/mounts", encoding="utf-8") as f:
        return [line.split()[1] for line in f]


def cgroup_dirs(name):
    """Every directory of an instance's cgroups, in all hierarchies."""
    found = []
    for top in mount_points("cgroup2") + mount_points("cgroup"):
        for path, _, _ in os.walk(os.path.join(top, name)):
            found.append(path)
    return found


class Instance:
    """A running agentd-supervisor and what belongs to it.

    base/r is its --root, base/bin the programs, base/home/USER the homes. `state`
    is called with the root before the start, to prepare or to mount something there."""

    def __init__(self, base=None, start=True, state=None, env=None):
        if os.geteuid() != 0:
            raise Skip("needs root")
        for name in PROGRAMS:
            assert os.path.exists(os.path.join(BUILD, name)), f"{name} is not built: run make"
        self.base = base or tempfile.mkdtemp(prefix="agd-", dir=scratch())
        os.makedirs(self.base, exist_ok=True)
        os.chmod(self.base, 0o755)
        self.root = os.path.join(self.base, "r")
        self.bin = os.path.join(self.base, "bin")
        self.run_dir = os.path.join(self.root, "run/agentd")
        self.state_dir = os.path.join(self.root, "var/lib/agentd")
        self.etc_dir = os.path.join(self.root, "etc/agentd")
        self.cgroup = f"agentd-{hash_of(self.root):08x}"
        self.env = env or {}
        self.proc = None
        self.log = None
        self.helpers = []
        for path in (self.root, self.bin, os.path.join(self.base, "home")):
            os.mkdir(path, 0o755)
        os.makedirs(self.etc_dir, mode=0o755)
        for name in PROGRAMS:
            shutil.copy2(os.path.join(BUILD, name), self.bin)
        for name, uid in USERS.items():
            if uid:
                home = self.home(name)
                os.mkdir(home, 0o700)
                os.chown(home, uid, uid)
                self.mkdir(home + "/work", name)
        if state:
            state(self.root)
        if start:
            self.start()

    # ---- life --------------------------------------------------------------------------------

    def start(self, seconds=10):
        """Starts the supervisor and waits for its one ready line."""
        self.log = open(os.path.join(self.base, "supervisor.log"), "ab")
        env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LANG": "C.UTF-8", **self.env}
        # In a session of its own, so that a terminal's or a runner's signals do not reach it.
        self.proc = subprocess.Popen([self.bin + "/agentd-supervisor", "--root", self.root],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=self.log, env=env, start_new_session=True)
        os.set_blocking(self.proc.stdout.fileno(), False)
        line = b""
        deadline = time.monotonic() + seconds
        while not line.endswith(b"\n"):
            line += self.proc.stdout.read() or b""
            if self.proc.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"agentd-supervisor did not get ready (exit "
                                     f"{self.proc.poll()}):\n{self.logs()}")
            time.sleep(0.002)
        self.ready = line.decode()
        return self

    def stop(self, seconds=10):
        """Ends the supervisor as an administrator would and checks that nothing is left."""
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(signal.SIGCONT)
            self.proc.terminate()
            try:
                self.proc.wait(seconds)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
                raise AssertionError(f"the supervisor ignored SIGTERM for {seconds} s:\n"
                                     + self.logs()) from None
        self.assert_nothing_left()

    def assert_nothing_left(self, seconds=5):
        """No process of this instance and no cgroup of it exists."""
        wait_until(lambda: not self.processes(), seconds, "end of every process of the instance: "
                   + str([(p, proc_read(p, "cmdline")) for p in self.processes()]))
        wait_until(lambda: not any(self.sandbox_dirs()), seconds,
                   "removal of cgroups " + str(self.sandbox_dirs()))

    def close(self):
        """stop, then remove everything. Never raises for what a test did on purpose."""
        try:
            self.stop()
        finally:
            for p in self.helpers:
                if p.poll() is None:
                    p.kill()
                p.wait()
            if self.log:
                self.log.close()
            if self.proc and self.proc.stdout:
                self.proc.stdout.close()
            wipe(self.base)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def logs(self):
        path = os.path.join(self.base, "supervisor.log")
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()

    # ---- files of the users ------------------------------------------------------------------

    def home(self, user="alice"):
        return os.path.join(self.base, "home", user) if user != "root" else "/root"

    def work(self, user="alice"):
        """The workspace that helpers run in."""
        return self.home(user) + "/work"

    def mkdir(self, path, user="alice", mode=0o755):
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
        os.chown(path, USERS[user], USERS[user])
        return path

    def write(self, path, text, user="alice", mode=0o644):
        """A file of the user; a relative path is below the workspace."""
        path = os.path.join(self.work(user), path)
        missing = []
        parent = os.path.dirname(path)
        while not os.path.exists(parent):
            missing.append(parent)
            parent = os.path.dirname(parent)
        for p in reversed(missing):
            self.mkdir(p, user)
        with open(path, "w" if isinstance(text, str) else "wb") as f:
            f.write(text)
        os.chmod(path, mode)
        os.chown(path, USERS[user], USERS[user])
        return path

    def read(self, path, user="alice"):
        with open(os.path.join(self.work(user), path), encoding="utf-8", errors="replace") as f:
            return f.read()

    def policy(self, text, name="test.yaml", user="alice"):
        """A policy file of the user, for `run --policy`; outside the workspace."""
        return self.write(os.path.join(self.home(user), name), text, user)

    # ---- agentctl ----------------------------------------------------------------------------

    def _command(self, args, user, env, cwd, kw):
        uid = USERS.get(user, user)
        full = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": self.home(user), "USER": str(user),
                "LANG": "C.UTF-8", "AGENTD_ROOT": self.root, **(env or {})}
        if uid:
            kw.update(user=uid, group=uid, extra_groups=[])
        return dict(args=list(args), env=full, cwd=cwd or self.work("alice" if not uid else user),
                    **kw)

    def popen(self, *args, user="alice", env=None, cwd=None, program=None, **kw):
        """Starts agentctl (or another program) as the user, with pipes; ended by close()."""
        kw.setdefault("stdin", subprocess.DEVNULL)
        kw.setdefault("stdout", subprocess.PIPE)
        kw.setdefault("stderr", subprocess.PIPE)
        command = [program] if program else [self.bin + "/agentctl"]
        p = subprocess.Popen(**self._command(command + list(args), user, env, cwd, kw))
        self.helpers.append(p)
        return p

    def ctl(self, *args, user="alice", env=None, cwd=None, input=None, timeout=30, program=None):
        """Runs agentctl (or another program) as the user to its end."""
        kw = {"stdin": subprocess.PIPE if input is not None else subprocess.DEVNULL}
        start = time.monotonic()
        p = self.popen(*args, user=user, env=env, cwd=cwd, program=program, **kw)
        try:
            data = input.encode() if isinstance(input, str) else input
            out, err = p.communicate(data, timeout)
        except subprocess.TimeoutExpired:
            p.kill()
            out, err = p.communicate()
            raise AssertionError(
                f"agentctl {' '.join(args)} did not end within {timeout} s\n--- stdout\n"
                f"{out.decode(errors='replace')}\n--- stderr\n{err.decode(errors='replace')}"
                f"\n--- supervisor\n{self.logs()}") from None
        return Result(p.returncode, out.decode(errors="replace"), err.decode(errors="replace"),
                      time.monotonic() - start)

    def run(self, *command, options=(), **kw):
        """agentctl run OPTIONS -- COMMAND, in the user's workspace."""
        return self.ctl("run", *options, "--", *command, **kw)

    def sh(self, script, **kw):
        """A shell script inside a sandbox."""
        return self.run("sh", "-c", script, **kw)

    def detach(self, name, *command, options=(), user="alice", **kw):
        """A detached sandbox; returns once it runs."""
        self.ctl("run", "--name", name, "--detach", *options, "--", *command, user=user, **kw).ok()

    def start_run(self, name, *command, options=(), user="alice", **kw):
        """A sandbox with a connected client in the background; returns the client once it runs."""
        p = self.popen("run", "--name", name, *options, "--", *command, user=user, **kw)
        wait_until(lambda: self.running(name, user) or p.poll() is not None, 15, f"start of {name}")
        if p.poll() is not None and not self.running(name, user):
            out, err = p.communicate()
            raise AssertionError(f"{name} did not start: exit {p.returncode}\n{out!r}\n{err!r}\n"
                                 + self.logs())
        return p

    def latched(self, name, user="alice", options=()):
        """Asserts that no sandbox of that name starts, and that the refusal says it is latched (in
        the first moment after a kill it may say that the name is still in use)."""
        def refusal():
            result = self.run("true", user=user, options=["--name", name, *options])
            assert result.code != 0, f"{name} started although it is latched: {result}"
            return "unlatch" in result.err
        wait_until(refusal, 5, f"{name} is refused because of its latch")

    def wait_gone(self, name, user="alice"):
        """Waits until a sandbox whose processes are dead has left the supervisor's list, too."""
        wait_until(lambda: (USERS[user], name) not in self.ps(), 10, f"{name} is gone")

    # ---- looking at it -----------------------------------------------------------------------

    def ps(self, user="root"):
        """{(uid, name): {name uid agent state pid started session workspace}}, straight from the
        control socket."""
        rows = {}
        for line in self.ask("control.sock", "PS\n", user).splitlines():
            if "\t" in line:
                keys = "name uid agent state pid started session workspace".split()
                row = dict(zip(keys, line.split("\t")))
                rows[int(row["uid"]), row["name"]] = row
        return rows

    def running(self, name, user="alice"):
        """The row of a sandbox when it is there and past its start."""
        row = self.ps().get((USERS[user], name))
        return row if row and row["state"] != "starting" else None

    def ask(self, sock, line, user="root", seconds=10):
        """Sends one line to control.sock or kill.sock as the user; the whole answer as text. The
        answer ends at "." or at the first line of verbs that have one."""
        path = os.path.join(self.run_dir, sock)

        def talk():
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            s.settimeout(seconds)
            s.connect(path)
            s.sendall(line.encode() if isinstance(line, str) else line)
            data = b""
            while not re.search(rb"(^|\n)(\.|OK[^\n]*|ERR[^\n]*)\n$", data):
                more = s.recv(65536)
                if not more:
                    break
                data += more
            s.close()
            return data.decode(errors="replace")
        return as_uid(USERS.get(user, user), talk)

    def rpc(self, method, params=None, user="alice", seconds=10):
        """One call to the broker over control.sock (docs/rpc.md); its result, or an AssertionError
        that holds the error's text."""
        path = os.path.join(self.run_dir, "control.sock")

        def talk():
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            s.settimeout(seconds)
            s.connect(path)
            call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
            s.sendall(b"RPC\n" + json.dumps(call).encode() + b"\n")
            with s.makefile("rb") as f:
                for line in f:
                    if line.startswith(b"ERR"):
                        raise OSError(line.decode().strip())
                    answer = json.loads(line)
                    if answer.get("id") == 1:
                        return answer
            raise OSError("the connection was closed without an answer")
        answer = as_uid(USERS.get(user, user), talk)
        assert "error" not in answer, answer
        return answer["result"]

    def approvals(self, user="alice"):
        """The held calls that the user may answer: [{id, tool, text, …}]."""
        return self.rpc("approvals", user=user)["approvals"]

    def processes(self):
        """Every process of this instance: daemons by their --root argument, sandboxes by cgroup."""
        found = []
        want = self.root.encode()
        mark = ("/" + self.cgroup).encode()
        for pid in pids():
            if want in proc_read(pid, "cmdline").split(b"\0"):
                if proc_state(pid) not in ("Z", "") and b"agentctl" not in proc_read(pid, "comm"):
                    found.append(pid)
            elif mark in proc_read(pid, "cgroup") and proc_state(pid) not in ("Z", ""):
                found.append(pid)
        return found

    def sandbox_dirs(self):
        """The v2 and v1 cgroup directories of sandboxes (agentd-HASH/uUID/NUMBER)."""
        return [d for d in cgroup_dirs(self.cgroup)
                if re.search(re.escape(self.cgroup) + r"/u\d+/[^/]+$", d)]

    def sandbox_pids(self, name=None, user="alice"):
        """Processes of one sandbox, or of all, as the v2 hierarchy has them."""
        found = []
        init = None
        if name:
            row = self.ps().get((USERS[user], name))
            if not row:
                return []
            init = int(row["pid"])
        for top in mount_points("cgroup2"):
            for path, _, _ in os.walk(os.path.join(top, self.cgroup)):
                try:
                    with open(path + "/cgroup.procs", encoding="ascii") as f:
                        procs = [int(x) for x in f]
                except OSError:
                    continue
                if "/u" in path and (init is None or init in procs):
                    found += procs
        return found

    def role(self, name):
        """The pid of a daemon role (broker, recorder) or of the killer; None when not there."""
        for pid in children_of(self.proc.pid):
            words = proc_read(pid, "cmdline").split(b"\0")
            if proc_state(pid) in ("Z", ""):
                continue
            comm = proc_read(pid, "comm").strip()
            if name.encode() in words[1:] or comm.endswith(name.encode()):
                return pid
        return None

    def records(self):
        """Every record of the audit log as dicts, in order, as root reads them."""
        found = []
        while True:
            one = self.ctl("audit", "show", str(len(found)), user="root")
            if one.code != 0:
                return found
            found.append(json.loads(one.out))


# ---- small things that tests need inside or around a sandbox ------------------------------------

def prctl_subreaper():
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def refused(func, *args):
    """The errno name with which a system call wrapper of os refuses; fails when it works."""
    try:
        func(*args)
    except OSError as err:
        return errno.errorcode.get(err.errno, str(err.errno))
    raise AssertionError(f"{getattr(func, '__name__', func)}{args} was not refused")
