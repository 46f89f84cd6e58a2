"""Protected paths while the host works in the workspace: git config, git clean, other users."""
import os
import subprocess
import time

from agentd import limit, wait_until

GIT = "/usr/bin/git"
PYTHON = "/usr/bin/python3"
SAFE = ("PATH=/usr/bin:/bin git -c user.name=a -c user.email=a@example.invalid "
        "-c core.hooksPath=/dev/null ")

# Tries, as fast as it can, to write the files named; says so when one try works.
BUSY = """
import os, sys
print("busy", flush=True)
while not os.path.exists("stop"):
    for path in sys.argv[1:]:
        try:
            fd = os.open(path, os.O_WRONLY | os.O_APPEND)
            os.write(fd, b"[core]\\n\\tfsmonitor = touch pwned\\n")
            print("WROTE", path, flush=True)
            os.close(fd)
        except OSError:
            pass
"""


def git(inst, *args, user="alice", cwd=None):
    return inst.ctl(*args, program=GIT, user=user, cwd=cwd).ok()


def repository(inst):
    git(inst, "init", "-q", ".")
    inst.write("f", "1\n")
    git(inst, "add", "f")
    inst.ctl("-c", SAFE + "commit -qm first", program="/bin/sh").ok()


def ended_because(inst, text):
    """Waits for a session.end whose reason has text."""
    def found():
        return [r for r in inst.records() if r["k"] == "session.end" and text in r["text"]]
    return wait_until(found, 10, f"a session that ended because of {text}")


def test_host_git_config(inst):
    """0.2 s after each of twenty git config of the owner, the agent cannot write .git/config"""
    repository(inst)
    p = inst.start_run("a", "sh", "-c", "while read x; do "
                       "(echo '[core]' >> .git/config) 2>/dev/null && echo open || echo shut; "
                       "done", stdin=subprocess.PIPE)
    for i in range(20):
        git(inst, "config", "user.name", f"name{i}")
        time.sleep(0.2)
        p.stdin.write(b"x\n")
        p.stdin.flush()
        assert p.stdout.readline() == b"shut\n", (i, inst.logs())
        assert git(inst, "config", "user.name").out.strip() == f"name{i}"
    p.stdin.close()
    assert p.wait(10) == 0


def test_host_git_config_against_a_busy_agent(inst):
    """An agent that tries to write .git/config all the time while the owner changes it does not get
    there, or is ended and named"""
    repository(inst)
    p = inst.start_run("a", PYTHON, "-c", BUSY, ".git/config")
    assert p.stdout.readline() == b"busy\n"
    for i in range(20):
        git(inst, "config", "user.name", f"name{i}")
        time.sleep(0.05)
    inst.write("stop", "")
    out, err = p.communicate(timeout=20)
    if b"WROTE" in out or p.returncode:
        assert b"protected" in err, (out, err, inst.logs())
        ended_because(inst, ".git/config")
    else:
        assert "fsmonitor" not in inst.read(".git/config")
    print("ended" if p.returncode else "never got there", out)


def test_host_git_clean(inst):
    """git clean -fd of the owner does not make protected names creatable"""
    repository(inst)
    p = inst.start_run("a", "sh", "-c", "while read x; do "
                       "for d in .vscode .idea .claude .envrc; do "
                       "mkdir $d/x 2>/dev/null && echo open; mkdir $d 2>/dev/null && echo open; "
                       "echo 1 2>/dev/null > $d && echo open; done; echo done; done",
                       stdin=subprocess.PIPE)
    for i in range(5):
        git(inst, "clean", "-fdq")
        time.sleep(0.2)
        p.stdin.write(b"x\n")
        p.stdin.flush()
        assert p.stdout.readline() == b"done\n", (i, inst.logs())
    p.stdin.close()
    assert p.wait(10) == 0, inst.logs()
    assert ".vscode" in os.listdir(inst.work())
    wait_until(lambda: ".vscode" not in os.listdir(inst.work()), 10, "removal of what covered it")


def test_host_replaces_git(inst):
    """A repository that the owner makes during a session is protected, too"""
    p = inst.start_run("a", "sh", "-c", "while read x; do "
                       "(echo '[core]' >> .git/config) 2>/dev/null && echo open || echo shut; "
                       "(echo x > .git/hooks/post-commit) 2>/dev/null && echo open || echo shut; "
                       "done", stdin=subprocess.PIPE)
    for i in range(3):
        inst.ctl("-c", "rm -rf .git; git init -q .", program="/bin/sh").ok()
        time.sleep(0.3)
        p.stdin.write(b"x\n")
        p.stdin.flush()
        assert p.stdout.readline() == b"shut\n", (i, inst.logs())
        assert p.stdout.readline() == b"shut\n", (i, inst.logs())
    p.stdin.close()
    assert p.wait(10) == 0


def test_two_users_one_workspace(inst):
    """The end of one user's sandbox leaves what protects another's in the same workspace"""
    work = inst.base + "/shared"
    inst.mkdir(work, mode=0o777)
    inst.detach("b", "sleep", "100", user="bob", cwd=work)
    p = inst.start_run("a", "sh", "-c", "read x; mkdir .vscode; echo x > .vscode/t; "
                       "echo x > .envrc; ls -A", stdin=subprocess.PIPE, cwd=work)
    inst.ctl("kill", "b", user="bob").ok()
    inst.wait_gone("b", "bob")
    time.sleep(7)  # longer than placeholders linger
    assert ".vscode" in os.listdir(work)
    out, err = p.communicate(b"x\n", 10)
    assert not os.listdir(work + "/.vscode") and os.path.isdir(work + "/.envrc"), (out, err)


def test_mode_of_git(inst):
    """A mode that the agent gives to .git does not make the next session leave it alone"""
    repository(inst)
    inst.sh("chmod 01555 .git").ok()
    inst.sh("mv .git .git.old").failed(text="busy")
    os.chmod(inst.work() + "/.git", 0o755)
    inst.sh("echo x > .git/hooks/post-commit").failed()


def test_commondir(inst):
    """An agent that makes .git/commondir is ended, and git on the host does not follow the file"""
    repository(inst)
    script = ("cp -r .git .evil;"
              "printf '[core]\\n\\tfsmonitor = touch pwned; false\\n' > .evil/config;"
              "echo ../.evil > .git/commondir; sleep 5")
    for text in (script, script.replace("echo ../.evil >", "echo ../.evil > c; mv c")):
        result = inst.sh(text)
        result.failed(text="commondir")
        assert result.seconds < 4, result
        assert not os.path.lexists(inst.work() + "/.git/commondir")
        git(inst, "status", "--short")
        assert not os.path.exists(inst.work() + "/pwned")
    ended_because(inst, "commondir")


def test_submodule(inst):
    """The configuration and hooks of a submodule's repository are read-only"""
    repository(inst)
    inst.ctl("-c", "git init -q --bare .git/modules/sub", program="/bin/sh").ok()
    inst.sh("echo '[core]' >> .git/modules/sub/config").failed()
    inst.sh("echo x > .git/modules/sub/hooks/post-commit").failed()
    inst.sh("mv .git/modules/sub .git/modules/old").failed()
    inst.sh("echo ../.. > .git/modules/sub/commondir; sleep 5").failed(text="commondir")


def test_open_in_the_gap(inst):
    """An agent that still holds a file of the gap is ended before it goes on"""
    repository(inst)
    hold = ("import os, time\nprint('busy', flush=True)\nfds = []\n"
            "while len(fds) < 5:\n"
            "    try: fd = os.open('.git/config', os.O_RDONLY)\n"
            "    except OSError: continue\n"
            "    if os.fstatvfs(fd).f_flag & os.ST_RDONLY: os.close(fd)\n"
            "    else: fds.append(fd)\n"
            "time.sleep(5)\nprint('kept', len(fds))\n")
    p = inst.start_run("a", PYTHON, "-c", hold)
    assert p.stdout.readline() == b"busy\n"
    for i in range(40):
        if p.poll() is None:
            git(inst, "config", "user.name", f"name{i}")
            time.sleep(0.05)
    ended = p.poll() is not None  # or it never got hold of one
    if not ended:
        inst.ctl("kill", "a").ok()
    out, err = p.communicate(timeout=10)
    assert b"kept" not in out and (not ended or b"protected" in err), (out, err)


@limit(120)
def test_normal_work_is_left_alone(inst):
    """commit, add, checkout, many files on the host and inside freeze and end nothing"""
    repository(inst)
    flood = ("i=0; while [ $i -lt 3000 ]; do echo $i > n$i; i=$((i+1)); done; rm -f n*; "
             "git -c user.name=a -c user.email=a@example.invalid commit -q --allow-empty -m in; "
             "git status --short > /dev/null; git log -1 --format=%s; read x")
    p = inst.start_run("a", "sh", "-c", flood, stdin=subprocess.PIPE)
    seen = set()
    for i in range(15):
        inst.write("f", f"{i}\n")
        inst.ctl("-c", f"{SAFE} add f; {SAFE} commit -qm c{i}; git status --short; "
                 f"git checkout -qb b{i}; mkdir -p node_modules/p{i}; "
                 f"touch node_modules/p{i}/index.js package.json; rm package.json",
                 program="/bin/sh")
        seen.add(inst.running("a")["state"])
    out, err = p.communicate(b"x\n", 60)
    assert p.returncode == 0 and seen == {"running"}, (seen, out, err, inst.logs())


def test_a_freeze_survives(inst):
    """A sandbox that a human froze stays frozen when its walls are rebuilt"""
    repository(inst)
    inst.detach("a", "sleep", "100")
    inst.ctl("freeze", "a").ok()
    git(inst, "config", "user.name", "x")
    time.sleep(0.3)
    assert inst.running("a")["state"] == "frozen"
    for path in inst.sandbox_dirs():
        if os.path.exists(path + "/cgroup.freeze"):
            assert open(path + "/cgroup.events", encoding="ascii").read().count("frozen 1")
    inst.ctl("thaw", "a").ok()
    inst.ctl("kill", "a").ok()


def test_commondir_at_the_end(inst):
    """What an agent makes in its last moment is found, too"""
    repository(inst)
    for _ in range(5):
        inst.sh("echo ../.evil > .git/commondir")
        wait_until(lambda: not os.path.lexists(inst.work() + "/.git/commondir"), 2, "removal")


def test_flood_of_events(inst):
    """An agent that floods the watch gets nothing from it"""
    repository(inst)
    flood = ("import os, sys\nprint('busy', flush=True)\nif os.fork() == 0: os.fork()\ni = 0\n"
             "while not os.path.exists('stop'):\n"
             "    i += 1\n    os.mkdir(f'd{os.getpid()}-{i}')\n"
             "    try:\n        fd = os.open('.git/config', os.O_WRONLY | os.O_APPEND)\n"
             "        os.write(fd, b'[evil]\\n\\tx = y\\n')\n        os.close(fd)\n"
             "    except OSError: pass\n")
    p = inst.start_run("a", PYTHON, "-c", flood)
    assert p.stdout.readline() == b"busy\n"
    for i in range(10):
        git(inst, "config", "user.name", f"name{i}")
        time.sleep(0.05)
    inst.write("stop", "")
    out, err = p.communicate(timeout=20)
    assert "evil" not in inst.read(".git/config") or b"protected" in err, (out, err)
