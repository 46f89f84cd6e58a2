"""The walls of a sandbox, tried from inside with tests/conformance/probe.c. Every row says what is
tried, what must come of it, and which reported bypasses (SECURITY.md) it stands for."""
import os
import shutil
import socket
import subprocess
import tempfile

from agentd import BUILD, USERS, as_uid, config, proc_read, wait_until

PROBE = os.path.join(BUILD, "tests/conformance/probe")

SYSCALLS = """io-uring userfaultfd bpf perf keyctl add-key request-key open-by-handle kexec
    init-module finit-module delete-module mount umount pivot-root fsopen fsmount fspick
    open-tree move-mount mount-setattr swapon reboot acct quotactl syslog settime
    clock-settime sethostname fanotify pidfd-getfd kcmp process-madvise lookup-dcookie
    move-pages vhangup iopl ioperm""".split()
FOREIGN = "int80 x32 x32-open".split()
PTRACE = "ptrace-child ptrace-init ptrace-traceme vm-readv vm-writev".split()
NAMESPACES = """unshare-user unshare-mount unshare-net unshare-pid unshare-ipc unshare-uts
    unshare-cgroup unshare-time clone-user clone3-user setns chroot""".split()
IDENTITY = """setuid setgroups personality-exec personality-aslr status mounts-nosuid mknod fds
    raise-limits realtime lower-nice set-id-files socket-pairs""".split()
TERMINAL = "tiocsti tiocsti-high tioclinux".split()
SOCKETS = """af-packet raw-ip raw-ip6 af-vsock af-alg af-key af-bluetooth af-can af-rds
    af-tipc af-xdp af-smc sctp netlink-generic netlink-filter
    netlink-uevent netlink-audit netlink-diag loopback-down only-loopback""".split()
NORMAL_WORK = """interfaces own-loopback own-loopback6 own-unix own-abstract own-shm own-sysv
    tmp-files workspace-files threads terminals event-fds devices memfd-exec modern-calls memory
    children""".split()

# Paths of a workspace that the owner's tools execute or obey later; some exist, some do not.
PROTECTED_THERE = [".git/config", ".git/hooks/pre-commit", ".vscode/tasks.json",
                   ".claude/settings.json", ".envrc"]
PROTECTED_ABSENT = [".git/hooks/post-checkout", ".idea", ".agentd", ".agentd/policy.yaml",
                    ".claude/settings.local.json", ".codex", ".bashrc", ".profile", ".zshrc"]
SYSTEM = ["/etc/passwd", "/usr/bin/env", "/usr/local/probe", "/etc/ld.so.preload", "/bin", "/lib",
          "/run/agentd/agentctl", "/run/agentd/tool.sock"]
KERNEL = ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/kernel/hostname",
          "/proc/sys/vm/drop_caches", "/proc/sys/net/ipv4/ip_forward", "/sys/power/state",
          "/sys/kernel/uevent_helper", "/proc/irq/default_smp_affinity"]
# Directories that a sandbox has no business in; those that this host lacks are skipped.
OUTSIDE = ["/root", "/home", "/var/lib", "/var/log", "/mnt", "/media", "/boot",
           "/run/systemd", "/run/user", "/sys/fs/cgroup", "/sys/kernel/debug",
           "/sys/kernel/security"]
HOST_SOCKETS = ["/run/docker.sock", "/var/run/docker.sock", "/run/containerd/containerd.sock",
                "/run/dbus/system_bus_socket", "/run/systemd/private", "/run/udev/control",
                "/var/run/libvirt/libvirt-sock", "/tmp/.X11-unix/X0"]
SECRETS = ["/proc/1/environ", "/proc/1/mem", "/proc/1/maps", "/proc/1/root/etc/passwd",
           "/etc/shadow", "/proc/kcore", "/proc/kallsyms", "/proc/keys", "/proc/timer_list",
           "/proc/sched_debug",
           "/dev/mem", "/dev/kmsg", "/dev/vda", "/dev/sda", "/dev/fuse", "/dev/kvm", "/dev/net/tun"]


def attempt(inst, *lines, **kw):
    """Runs probe attempts in one sandbox; {attempt line: what it printed}."""
    inst.write("probe", open(PROBE, "rb").read(), mode=0o755)
    script = "\n".join("./probe " + " ".join(f"'{w}'" for w in line.split(" ")) for line in lines)
    result = inst.sh(script + "\n:", **kw).ok()
    answers = dict(zip(lines, result.out.splitlines()))
    assert len(answers) == len(lines), f"an attempt gave no answer: {result}"
    return answers


def all_refused(answers):
    bad = {k: v for k, v in answers.items() if " refused: " not in v}
    for line, answer in answers.items():
        print(line, "->", answer)
    assert not bad, "not refused:\n" + "\n".join(f"{k}: {v}" for k, v in bad.items())


def all_work(answers):
    bad = {k: v for k, v in answers.items() if not v.endswith(" works")}
    assert not bad, "must work:\n" + "\n".join(f"{k}: {v}" for k, v in bad.items())


def test_probe_finds_openings_outside():
    """The probe itself reports OPEN where no wall stands (run outside a sandbox)"""
    for name in "io-uring bpf ptrace-child unshare-user mounts-nosuid proc-scan af-packet".split():
        out = subprocess.run([PROBE, name], stdin=subprocess.DEVNULL, capture_output=True,
                             text=True, check=True).stdout
        assert "OPEN" in out, out


def test_system_calls(inst):
    """System calls that no agent needs are refused: io_uring, bpf, perf, keyctl, mounts, …"""
    all_refused(attempt(inst, *SYSCALLS))


def test_foreign_entry_points(inst):
    """The i386 and x32 entry points of the kernel are closed"""
    all_refused(attempt(inst, *FOREIGN))


def test_ptrace(inst):
    """ptrace and the memory of other processes are refused by default"""
    all_refused(attempt(inst, *PTRACE))


def test_namespaces(inst):
    """No new namespace, by unshare, clone, clone3, setns or chroot"""
    all_refused(attempt(inst, *NAMESPACES))


def test_identity(inst):
    """No capability, no other uid, no set-user-id mount, no device node, no descriptor above 2"""
    all_refused(attempt(inst, *IDENTITY))


def test_terminal(inst):
    """No keys pushed into a terminal: TIOCSTI, also with high bits set, TIOCLINUX"""
    all_refused(attempt(inst, *TERMINAL))


def test_sockets(inst):
    """Socket families beside unix and IP are refused, raw IP too, and there is only lo"""
    all_refused(attempt(inst, *SOCKETS))


def test_normal_work(inst):
    """Own loopback, unix sockets, shared memory, threads, terminals, /tmp, devices work"""
    all_work(attempt(inst, *NORMAL_WORK))


def test_protected_paths(inst):
    """Nothing changes a protected path of the workspace, whether it exists or not"""
    for path in PROTECTED_THERE:
        inst.write(path, "owner's\n", mode=0o755)
    inst.write(".git/HEAD", "ref: refs/heads/main\n")
    all_refused(attempt(inst, *("change " + p for p in PROTECTED_THERE + PROTECTED_ABSENT)))
    for path in PROTECTED_THERE:
        assert inst.read(path) == "owner's\n", path
    for path in PROTECTED_ABSENT:
        # What covered it may stay for a moment, for the next sandbox of this workspace.
        wait_until(lambda p=path: not os.path.lexists(os.path.join(inst.work(), p)), 10,
                   f"removal of what covered {path}")


def test_protected_parents(inst):
    """A protected path cannot be replaced by renaming, linking or swapping its parents"""
    inst.write(".git/config", "[core]\n")
    inst.write(".git/hooks/pre-commit", "#!/bin/sh\n", mode=0o755)
    inst.write("evil/hooks/pre-commit", "#!/bin/sh\nevil\n", mode=0o755)
    inst.write("evil/config", "[core]\n\tsshCommand = evil\n")
    all_refused(attempt(
        inst, "rename .git .git.old", "rename .git/hooks .git/hooks.old",
        "rename .git/config .git/config.old", "rename evil/config .git/config",
        "rename evil/hooks .git/hooks", "link evil/config .git/config2/../config",
        "link .git/config config-alias", "rename .git /tmp/git"))
    assert inst.read(".git/config") == "[core]\n"


def test_system_files(inst):
    """System directories, agentd's own files inside, and kernel settings cannot be changed"""
    lines = ["change " + p for p in SYSTEM] + ["write " + p for p in KERNEL if os.path.exists(p)]
    all_refused(attempt(inst, *lines))


def test_outside_is_not_there(inst):
    """Directories of the host and of other users are absent or empty"""
    paths = [p for p in OUTSIDE if os.path.isdir(p)]
    paths += [inst.home("bob"), inst.root, inst.state_dir]
    inst.write(inst.home("bob") + "/secret", "bob's", "bob")
    all_refused(attempt(inst, *("enter " + p for p in paths)))


def test_secrets(inst):
    """Kernel memory, devices, pid 1's memory and environment, keys, shadow are unreadable"""
    all_refused(attempt(inst, *("read " + p for p in SECRETS), "dev-nodes", "proc-scan"))


def test_private_home(inst):
    """The user's own home is not there: keys, histories and tokens cannot be read, only tools"""
    for path in (".ssh/id_ed25519", ".bash_history", ".netrc", ".config/gh/hosts.yml", "notes.txt",
                 ".aws/credentials"):
        inst.write(os.path.join(inst.home(), path), "secret")
    all_refused(attempt(inst, *("read " + inst.home() + "/" + p for p in (
        ".ssh/id_ed25519", ".bash_history", ".netrc", ".config/gh/hosts.yml", "notes.txt",
        ".aws/credentials"))))


def test_symlink_out(inst):
    """A symbolic link in the workspace reaches nothing that its target's path does not"""
    secret = inst.write(inst.home() + "/secret.txt", "secret")
    os.symlink(secret, inst.work() + "/link")
    os.symlink("/etc/shadow", inst.work() + "/shadow")
    os.symlink("../../..", inst.work() + "/up")
    all_refused(attempt(inst, "read link", "read shadow",
                        f"read up/{os.path.relpath(inst.state_dir, inst.base)}/latches"))


def test_host_sockets(inst):
    """Sockets of agentd, docker, D-Bus and the host's abstract sockets are unreachable"""
    name = f"agentd-probe-{os.getpid()}"
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind("\0" + name)
    abstract.listen(1)
    folder = tempfile.mkdtemp(dir="/tmp")
    os.chmod(folder, 0o755)
    path = socket.socket(socket.AF_UNIX)
    path.bind(folder + "/s")
    path.listen(1)
    os.chmod(folder + "/s", 0o777)
    try:
        all_refused(attempt(inst, *("connect-unix " + p for p in HOST_SOCKETS + [
            "@" + name, folder + "/s", "@/tmp/.X11-unix/X0", inst.run_dir + "/control.sock",
            inst.run_dir + "/kill.sock", "/run/agentd/control.sock", "/run/agentd/kill.sock"])))
    finally:
        shutil.rmtree(folder)


def test_host_loopback(inst):
    """The host's own loopback services cannot be reached"""
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    all_refused(attempt(inst, f"connect-tcp 127.0.0.1 {port}"))


def test_host_processes(inst):
    """A process of the host, even the user's own, cannot be signalled from inside"""
    victim = inst.popen("1000", program="/usr/bin/sleep")
    all_refused(attempt(inst, f"signal-pid {victim.pid}", f"signal-pid {inst.proc.pid}",
                        f"signal-pid {os.getpid()}"))
    assert victim.poll() is None


def test_init_is_untouchable(inst):
    """Signals from inside neither end nor stop the sandbox's init"""
    all_work(attempt(inst, "signal-init"))


def test_shared_memory_of_the_host(inst):
    """System V memory of the host, made by the same user, is not there inside"""
    key = 0x41470000 | os.getpid() & 0xffff
    tool = f"import ctypes; print(ctypes.CDLL(None).shmget({key}, 4096, 0o1666))"
    made = inst.ctl("-c", tool, program="/usr/bin/python3").ok().out.strip()
    try:
        assert int(made) >= 0
        all_refused(attempt(inst, f"shm-key {key}"))
    finally:
        subprocess.run(["ipcrm", "-m", made], check=True)


def test_kernel_uid(inst):
    """Outside, the agent has a uid of its own, no capability, a filter, an undumpable init"""
    inst.detach("idle", "sleep", "100")
    init = int(inst.running("idle")["pid"])
    for pid in inst.sandbox_pids("idle"):
        status = proc_read(pid, "status").decode()
        field = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        assert int(field["Uid"].split()[0]) not in USERS.values(), status
        assert set(field["Uid"].split()) == {field["Uid"].split()[0]}, status
        assert not int(field["CapEff"], 16) and not int(field["CapPrm"], 16), status
        assert not int(field["CapBnd"], 16) and not int(field["CapAmb"], 16), status
        assert field["NoNewPrivs"].strip() == "1" and field["Seccomp"].strip() == "2", status
    # The owner is as little able to look into the sandbox's init as anybody.
    for name in ("environ", "mem", "maps"):
        def look(path=f"/proc/{init}/{name}"):
            try:
                open(path, "rb").close()
            except OSError:
                return True
            return False
        assert as_uid(USERS["alice"], look), f"/proc/{init}/{name} is readable"
    wait_until(lambda: inst.running("idle"), 2, "sandbox still there")


@config(env={"SECRET_OF_THE_DAEMON": "x"})
def test_daemon_environment(inst):
    """Neither the daemon's environment nor the client's reaches pid 1 or the agent"""
    result = inst.sh("env; cat /proc/1/environ | tr '\\0' '\\n'; true",
                     env={"AWS_SECRET_ACCESS_KEY": "x", "LD_PRELOAD_X": "x", "GIT_SSH_COMMAND": "x",
                          "NODE_OPTIONS": "--x", "BASH_ENV": "/tmp/x"}).ok()
    for name in ("SECRET_OF_THE_DAEMON", "AWS_SECRET_ACCESS_KEY", "GIT_SSH_COMMAND", "NODE_OPTIONS",
                 "BASH_ENV", "LD_PRELOAD_X", "AGENTD_ROOT"):
        assert name not in result.out, result


def test_landlock(inst):
    """Landlock is there, behind the mount view: its layer counts"""
    all_refused(attempt(inst, "landlock-layer"))


def test_networks_are_apart(inst):
    """Two sandboxes do not share a loopback: what one listens on, the other cannot reach"""
    inst.write("probe", open(PROBE, "rb").read(), mode=0o755)
    code = ("import socket, time; s = socket.socket(); s.bind(('127.0.0.1', 4711)); s.listen(); "
            "open('up', 'w'); time.sleep(60)")
    inst.detach("server", "/usr/bin/python3", "-c", code)
    wait_until(lambda: os.path.exists(inst.work() + "/up"), 10, "the server")
    result = inst.sh("./probe connect-tcp 127.0.0.1 4711").ok()
    assert "refused" in result.out, result
