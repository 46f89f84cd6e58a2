"""What the root processes keep of root: agentd-supervisor(8) says for each capability why."""
import os

from agentd import children_of, proc_read

CAPS = {1: "DAC_OVERRIDE", 0: "CHOWN", 2: "DAC_READ_SEARCH", 3: "FOWNER", 5: "KILL", 6: "SETGID",
        7: "SETUID", 12: "NET_ADMIN", 14: "IPC_LOCK", 18: "SYS_CHROOT", 19: "SYS_PTRACE",
        21: "SYS_ADMIN", 23: "SYS_NICE"}
SUPERVISOR = {"SYS_ADMIN", "SETUID", "SETGID", "CHOWN", "FOWNER", "DAC_OVERRIDE",
              "KILL", "SYS_PTRACE", "NET_ADMIN", "SYS_NICE", "IPC_LOCK"}
SPAWNER = {"SYS_ADMIN", "SYS_CHROOT", "NET_ADMIN", "DAC_READ_SEARCH"}


def status(pid):
    lines = proc_read(pid, "status").decode().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def names(mask):
    bits = int(mask, 16)
    return {CAPS.get(bit, bit) for bit in range(64) if bits >> bit & 1}


def test_capabilities(inst):
    """Supervisor, spawner and killer keep the capabilities that are documented, the roles none"""
    daemons = {proc_read(p, "comm").decode().strip(): p for p in children_of(inst.proc.pid)}
    roles = [inst.role("broker"), inst.role("recorder")]
    keep = {inst.proc.pid: SUPERVISOR, daemons["agentd-spawner"]: SPAWNER,
            inst.role("killer"): {"IPC_LOCK"}}
    keep.update((pid, set()) for pid in roles)
    withheld = {n for n in CAPS.values()} - names(status(os.getpid())["CapPrm"])
    for pid, want in keep.items():
        has = status(pid)
        for field in ("CapPrm", "CapEff"):
            assert names(has[field]) == want - withheld, (has["Name"], field, names(has[field]))
        for field in ("CapInh", "CapBnd", "CapAmb"):
            assert not names(has[field]), (has["Name"], field, names(has[field]))
        assert has["Seccomp"] == "2", (has["Name"], has["Seccomp"])


def test_workspace_that_only_its_owner_may_enter(inst):
    """A workspace of mode 0700 with protected directories below others of that mode"""
    inst.mkdir(inst.work(), mode=0o700)
    for path in (".git", ".git/hooks", ".claude", ".claude/hooks"):
        inst.mkdir(inst.work() + "/" + path, mode=0o700)
    inst.sh("touch made && ! touch .git/hooks/pre-commit && ! touch .claude/hooks/x").ok()


def test_descriptors_of_the_spawner(inst):
    """Of the supervisor's descriptors the spawner, whose children are agents, has none"""
    spawner = [p for p in children_of(inst.proc.pid)
               if proc_read(p, "comm").strip() == b"agentd-spawner"][0]
    folder = f"/proc/{spawner}/fd/"
    held = sorted(os.readlink(folder + fd) for fd in os.listdir(folder) if int(fd) > 2)
    known = ("/dev/null", "/proc", "/.agentd/agentd-init", "anon_inode:[signalfd]", "net:[")
    assert not [h for h in held if not h.startswith(known + ("socket:[",))], held
    assert len([h for h in held if h.startswith("socket:[")]) == 1, held
