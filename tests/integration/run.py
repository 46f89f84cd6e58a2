"""`agentctl run`: identity, files, exit codes, signals, streams, environment, limits."""
import os
import signal
import subprocess
import time

from agentd import USERS, all_mounts, config, proc_uid, wait_until


def test_plain_command(inst):
    """A plain command runs in a sandbox, its output and exit code come back"""
    result = inst.run("sh", "-c", "echo out; echo err >&2; exit 0").ok()
    assert result.out == "out\n" and result.err == "err\n", result


def test_exit_codes(inst):
    """Exit codes and fatal signals are reported as a shell would: 0, 7, 255, 128+N, 126, 127"""
    for script, code in (("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -TERM $$", 143),
                         ("kill -SEGV $$", 139), ("kill -KILL $$", 137), ("kill -USR1 $$", 138)):
        result = inst.sh(script)
        assert result.code == code, (script, result)
    assert inst.run("/no/such/program").code == 127
    inst.write("not-a-program", "x", mode=0o644)
    assert inst.run("./not-a-program").code == 126
    assert inst.run("./absent").code == 127


def test_stdin(inst):
    """Standard input is passed on and its end is seen"""
    result = inst.run("wc", "-c", input="x" * 300000).ok()
    assert result.out.strip() == "300000", result


def test_large_output(inst):
    """Large output arrives whole and in order"""
    result = inst.run("seq", "1", "200000").ok()
    assert result.out.split() == [str(i) for i in range(1, 200001)]


def test_files_belong_to_the_user(inst):
    """Files made in the workspace belong to the user on disk, and look the user's inside"""
    result = inst.sh("echo x > new; mkdir dir; touch dir/below; ln -s new link; chmod 640 new; "
                     "stat -c %u new; id -u; stat -c %U . 2>/dev/null; whoami").ok()
    inside = result.out.split()
    assert inside[0] == inside[1], result
    for path in ("new", "dir", "dir/below", "link"):
        st = os.lstat(os.path.join(inst.work(), path))
        assert (st.st_uid, st.st_gid) == (USERS["alice"], USERS["alice"]), (path, st)
    assert os.stat(inst.work() + "/new").st_mode & 0o777 == 0o640


def test_uid_mapping(inst):
    """Inside the uid is the user's own; outside, two sandboxes have two different other uids"""
    for name in ("one", "two"):
        inst.detach(name, "sleep", "100")
    result = inst.sh("id -u; id -g; cat /proc/self/uid_map").ok()
    assert result.out.split()[:2] == [str(USERS["alice"])] * 2, result
    kernel = {name: {proc_uid(p) for p in inst.sandbox_pids(name)} for name in ("one", "two")}
    assert len(kernel["one"]) == 1 and len(kernel["two"]) == 1, kernel
    assert not kernel["one"] & kernel["two"], kernel
    assert not (kernel["one"] | kernel["two"]) & set(USERS.values()), kernel


def test_root_user(inst):
    """Root's agent is an ordinary user inside, and root's files are written as root's"""
    os.chown(inst.work("alice"), 0, 0)
    result = inst.sh("id -u; echo x > new; cat /etc/shadow", user="root")
    assert result.out.split()[0] != "0", result
    assert os.stat(inst.work() + "/new").st_uid == 0


def test_other_files_unreachable(inst):
    """Files elsewhere that the user may read outside are not there inside"""
    outside = inst.write(inst.home() + "/private.txt", "secret")
    shared = inst.write(os.path.join(inst.base, "world-readable.txt"), "secret", mode=0o644)
    for path in (outside, shared):
        inst.run("cat", path).failed(text="No such file|denied")
        inst.sh(f"echo x > {path}; rm -f {path}; mv new {path}")
        assert open(path, encoding="ascii").read() == "secret"
    result = inst.sh(f"ls -a {inst.home()}").ok()
    assert "private.txt" not in result.out, result


def test_home_is_private_and_kept(inst):
    """HOME inside is writable, kept between runs of one project, and never the user's own"""
    inst.sh("echo kept > ~/state; mkdir -p ~/.cache/x").ok()
    assert inst.sh("cat ~/state").ok().out == "kept\n"
    assert not os.path.exists(inst.home() + "/state")
    inst.mkdir(inst.home() + "/other")
    inst.ctl("run", "--", "cat", inst.home() + "/state", cwd=inst.home() + "/other").failed()


def test_toolchain_in_home(inst):
    """A program on PATH inside the real home runs inside, and cannot be changed from there"""
    tool = inst.write(inst.home() + "/.local/bin/mytool", "#!/bin/sh\necho tool\n", mode=0o755)
    env = {"PATH": inst.home() + "/.local/bin:/usr/bin:/bin"}
    assert inst.run("mytool", env=env).ok().out == "tool\n"
    inst.sh(f"echo evil > {tool}", env=env).failed()
    inst.sh(f"rm -f {tool}", env=env).failed()
    assert "tool" in open(tool, encoding="ascii").read()


def test_environment_is_scrubbed(inst):
    """Only variables that policy passes get in"""
    result = inst.run("env", env={"SECRET_TOKEN": "x", "LANG": "C.UTF-8"}).ok()
    names = {line.split("=")[0] for line in result.out.splitlines()}
    assert "SECRET_TOKEN" not in names and "AGENTD_ROOT" not in names, names
    assert "PATH" in names and "HOME" in names, names


def test_planted_descriptors(inst):
    """Descriptors that the caller left open, directories above all, do not get in"""
    folder = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    secret = os.open(inst.write(inst.home() + "/secret", "s"), os.O_RDONLY)
    for fd in (folder, secret):
        os.set_inheritable(fd, True)
    p = inst.popen("run", "--", "sh", "-c", "ls -l /proc/self/fd", pass_fds=(folder, secret))
    out, err = p.communicate(timeout=20)
    assert p.returncode == 0, err
    links = [line.split(" -> ")[-1] for line in out.decode().splitlines() if "->" in line]
    assert len(links) <= 4, out
    assert not any(link in ("/",) or "secret" in link for link in links), out


def test_directory_as_stdin(inst):
    """A directory or a device as standard input is refused, not passed in"""
    folder = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    p = inst.popen("run", "--", "sh", "-c",
                   "cat /proc/self/fd/0/etc/shadow; ls /proc/self/fd/0/root",
                   stdin=folder)
    out, _ = p.communicate(timeout=20)
    assert b"root:" not in out and p.returncode != 0, (p.returncode, out)


def test_interrupt_is_forwarded(inst):
    """Ctrl-C and SIGTERM to agentctl reach the command"""
    for sig, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        p = inst.start_run(f"sig{int(sig)}", "sleep", "100")
        time.sleep(0.1)
        p.send_signal(sig)
        p.communicate(timeout=10)
        assert p.returncode == code, (sig, p.returncode)


def test_client_hangup_ends_it(inst):
    """When the client of a piped run is gone, the sandbox is ended; a detached one goes on"""
    inst.detach("stays", "sleep", "100")
    p = inst.start_run("goes", "sleep", "100")
    p.kill()
    wait_until(lambda: not inst.running("goes"), 5, "end of the sandbox")
    assert inst.running("stays")


def test_background_children_end(inst):
    """What a command leaves in the background ends with it: daemons, setsid, nohup"""
    inst.sh("setsid sleep 1000 & nohup sleep 1001 >/dev/null 2>&1 & (sleep 1002 &) ; exit 0").ok()
    wait_until(lambda: not inst.sandbox_pids(), 5, "end of the children")


def test_workspace_of_another(inst):
    """A user cannot name a workspace that only another user can reach"""
    inst.write("secret", "bob's", "bob")
    inst.ctl("run", "--workspace", inst.work("bob"), "--", "cat", "secret").failed()
    result = inst.ctl("run", "--workspace", "/root", "--", "ls", "-a")
    assert result.code != 0, result


def test_workspace_traps(inst):
    """System directories and the home itself are no workspaces"""
    for path in ("/", "/etc", "/proc", "/usr", inst.base + "/home"):
        inst.ctl("run", "--workspace", path, "--", "touch", path + "/x").failed()
        assert not os.path.exists(path + "/x"), path


def test_processes_limit(inst):
    """The limit on processes holds"""
    policy = inst.policy("policy: 1\nlimits: {processes: 20}\n")
    result = inst.sh("i=0; while [ $i -lt 60 ]; do sleep 5 & i=$((i+1)); done; wait",
                     options=["--policy", policy])
    assert "fork" in result.err or result.code != 0, result
    inst.sh("for i in 1 2 3; do true & done; wait", options=["--policy", policy]).ok()


def test_memory_limit(inst):
    """The limit on memory holds"""
    policy = inst.policy("policy: 1\nlimits: {memory: 64MiB}\n")
    eat = "x = bytearray(300 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1\nprint('ate it')"
    result = inst.run("/usr/bin/python3", "-c", eat, options=["--policy", policy])
    assert "ate it" not in result.out and result.code != 0, result


def test_wall_clock(inst):
    """The limit on wall-clock time ends the sandbox"""
    policy = inst.policy("policy: 1\nlimits: {wall: 1s}\n")
    result = inst.run("sleep", "60", options=["--policy", policy])
    assert result.code != 0 and result.seconds < 15, result


def test_bad_policy(inst):
    """A policy with an error starts nothing, and the message has file, line and column"""
    policy = inst.policy("policy: 1\nlimitz: {processes: 5}\n")
    inst.run("touch", "ran", options=["--policy", policy]).failed(text=r"test\.yaml:2:1")
    assert not os.path.exists(inst.work() + "/ran")


def test_untrusted_repository_policy(inst):
    """A repository's policy counts only after the user trusted its bytes, and never changed ones"""
    inst.write(".agentd/policy.yaml", "policy: 1\nenv: {set: {FROM_REPO: yes-it-is}}\n")
    first = inst.run("env")
    assert "FROM_REPO" not in first.out, first
    inst.ctl("policy", "trust").ok()
    assert "FROM_REPO=yes-it-is" in inst.run("env").ok().out
    inst.write(".agentd/policy.yaml", "policy: 1\nenv: {set: {FROM_REPO: changed}}\n")
    assert "FROM_REPO" not in inst.run("env").out


@config(start=False)
def test_no_daemon(inst):
    """Without a daemon, run fails with exit 125 and says what to start"""
    inst.run("true").failed(125, "agentd")
    inst.start()
    inst.run("true").ok()


def test_twice_and_beside_each_other(inst):
    """Two instances run beside each other and know nothing of each other's sandboxes"""
    from agentd import Instance
    with Instance() as other:
        inst.detach("same", "sleep", "100")
        other.detach("same", "sleep", "100")
        assert len(inst.ps()) == 1 and len(other.ps()) == 1
        other.ctl("kill", "same").ok()
        other.wait_gone("same")
        assert inst.running("same")


def test_name_in_use(inst):
    """A second sandbox of one name is refused; another user may have the same name"""
    inst.detach("web", "sleep", "100")
    inst.ctl("run", "--name", "web", "--detach", "--", "sleep", "1").failed(text="web")
    inst.detach("web", "sleep", "100", user="bob")
    for bad in ("../x", "UPPER", "a b", "", "x" * 60, "-x"):
        inst.ctl("run", "--name", bad, "--", "true").failed()


def test_many_at_once(inst):
    """Twenty sandboxes started at once all run, and all end"""
    clients = [inst.popen("run", "--name", f"n{i}", "--", "sh", "-c", "sleep 0.3; exit 5")
               for i in range(20)]
    for p in clients:
        out, err = p.communicate(timeout=40)
        assert p.returncode == 5, (p.returncode, out, err)
    assert not inst.ps()


def test_git_works_inside(inst):
    """git commits inside as the user; hooks and configuration stay untouched"""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.invalid"]
    inst.ctl("init", "-q", ".", program="/usr/bin/git").ok()
    inst.run("sh", "-c", "echo x > f; git status --short; " + " ".join(git)
             + " add f && " + " ".join(git) + " commit -qm first && git log --oneline").ok()
    inst.sh("echo 'touch /tmp/evil' > .git/hooks/post-commit").failed()
    inst.run("git", "config", "core.fsmonitor", "evil").failed()
    head = inst.ctl("log", "--oneline", program="/usr/bin/git").ok()
    assert "first" in head.out


def test_other_groups(inst):
    """Directories and files whose group is not the user's own can be used as their modes say"""
    shared = inst.mkdir(inst.work() + "/shared")
    os.chown(shared, USERS["alice"], 12999)
    os.chmod(shared, 0o2775)
    inst.write("shared/old", "old\n")
    os.chown(shared + "/old", USERS["alice"], 12999)
    inst.sh("cd shared && echo new > new && echo more >> old && mkdir dir").ok()
    for name in ("new", "dir"):
        st = os.stat(os.path.join(shared, name))
        assert (st.st_uid, st.st_gid) == (USERS["alice"], 12999), (name, st)
    foreign = inst.write("foreign", "theirs\n")
    os.chown(foreign, USERS["bob"], USERS["bob"])
    inst.sh("echo mine > foreign").failed()


def test_hidden_files(inst):
    """hidden works for files, directories and names that are not there"""
    inst.write(".env", "s3cret\n")
    inst.mkdir(inst.work() + "/private")
    inst.write("private/key", "s3cret\n")
    policy = inst.policy("policy: 1\nworkspace:\n  mounts: ['hidden ws:/.env', "
                         "'hidden ws:/private', 'hidden ws:/absent']\n")
    result = inst.sh("cat .env; ls private; cat private/key", options=("--policy", policy))
    assert "s3cret" not in result.out and "key" not in result.out, result
    assert "cannot" not in inst.sh("true", options=("--policy", policy)).ok().err


def test_shared_mounts(inst):
    """On shared mounts, as systemd makes them all, nothing that a sandbox mounts shows outside"""
    home = os.path.join(inst.base, "home")
    subprocess.run(["mount", "--bind", home, home], check=True)
    try:
        subprocess.run(["mount", "--make-shared", home], check=True)
        inst.mkdir(inst.work() + "/.git")
        before = all_mounts()
        for _ in range(2):  # what the first one leaked once stopped the second
            inst.sh("! echo evil > .git/hooks/x && echo fine > fine").ok()
            new = [m for m in all_mounts() if m not in before and m.startswith(inst.base)]
            assert not new, new
    finally:
        subprocess.run(["umount", "-R", "-l", home], check=True)
