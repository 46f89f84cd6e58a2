"""Launch plans from a hostile user or a hostile earlier session: links, pipes and paths that would
make the supervisor, which is root, open or make something that is not the user's."""
import os
import socket
import struct
import time

from agentd import wait_until


def mounts(inst, *lines):
    """Options of a run whose policy mounts these."""
    listed = "".join(f"\n    - '{line}'" for line in lines)
    return ("--policy", inst.policy(f"policy: 1\nworkspace:\n  mounts:{listed}\n"))


def test_mount_through_a_link(inst):
    """A mount whose path leads through a symbolic link is refused: an agent can plant links"""
    secret = inst.mkdir(inst.home() + "/secret")
    inst.write(secret + "/key", "s3cret\n")
    os.symlink(secret, inst.home() + "/docs")
    refused = inst.run("true", options=mounts(inst, "ro home:/docs"))
    assert refused.code != 0 and "symbolic link" in refused.err, refused


def test_workspace_through_a_link(inst):
    """A link that another session planted does not mount what it leads to"""
    inst.mkdir(inst.home() + "/.ssh")
    os.symlink(inst.home() + "/.ssh", inst.work() + "/lib")
    result = inst.run("true", options=mounts(inst, "rw ws:/lib"))
    assert result.code != 0, result


def test_link_into_proc(inst):
    """A link into /proc does not mount another user's working directory"""
    theirs = inst.mkdir(inst.home("bob") + "/private", user="bob", mode=0o755)
    os.chmod(inst.home("bob"), 0o700)
    with inst.popen("sleep", "60", user="bob", cwd=theirs, program="/usr/bin/env") as p:
        os.symlink(f"/proc/{p.pid}/cwd", inst.home() + "/link")
        result = inst.run("ls", inst.home() + "/link", options=mounts(inst, "ro home:/link"))
        assert result.code != 0 and "private" not in result.out, result
        p.kill()


def test_mount_point_in_a_users_tree(inst):
    """Root makes no mount point inside a tree of the user's, nor where a link leads out of it"""
    tree = inst.mkdir(inst.base + "/tree", mode=0o755)
    os.symlink("/", tree + "/out")
    inside = inst.base + "/tree/out" + inst.base + "/made-by-root"
    result = inst.run("true", options=mounts(inst, f"rw {tree}", f"ro {inside}"))
    assert result.code != 0, result
    assert not os.path.lexists(inst.base + "/made-by-root")


def test_pipe_in_home(inst):
    """A FIFO that an agent left in its HOME where a file is to be mounted stops nothing"""
    inst.sh("mkfifo ~/conf").ok()
    inst.write(inst.home() + "/conf", "x\n")
    start = time.monotonic()
    inst.run("true", options=mounts(inst, "ro home:/conf"))
    assert time.monotonic() - start < 5
    inst.run("true").ok()


def test_hidden_stays_hidden(inst):
    """hidden holds also beside a path that is protected below the same directory"""
    inst.mkdir(inst.work() + "/config/secrets")
    inst.mkdir(inst.work() + "/config/ci")
    inst.write("config/secrets/key", "s3cret\n")
    inst.write("config/ci/deploy.yml", "x\n")
    result = inst.sh("cat config/secrets/key; echo evil > config/secrets/new",
                     options=mounts(inst, "hidden ws:/config/secrets",
                                    "ro ws:/config/ci/deploy.yml"))
    assert "s3cret" not in result.out, result
    assert os.listdir(inst.work() + "/config/secrets") == ["key"]


def lingering():
    """A TCP socket whose last close takes 20 s: its send queue is full and it lingers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        s = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
    s.setblocking(False)
    try:
        while True:
            s.send(b"x" * 65536)
    except BlockingIOError:
        pass
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 20))
    return s, peer


def test_lingering_sockets(inst):
    """Sockets that linger, sent to control.sock and kill.sock, hold up neither"""
    held = []
    for name in ("control.sock", "kill.sock") * 5:
        s, peer = lingering()
        held.append(peer)
        with socket.socket(socket.AF_UNIX) as c:
            c.connect(os.path.join(inst.run_dir, name))
            try:
                socket.send_fds(c, [b"RUN\n"], [s.fileno()])
            except PermissionError:
                pass  # SO_PASSRIGHTS: the kernel refuses it
        os.set_blocking(s.fileno(), True)
        s.detach()  # closing it here would wait, too; it goes with this process
    start = time.monotonic()
    inst.run("true").ok()
    inst.detach("web", "sleep", "100")
    inst.ctl("kill", "web").ok()
    assert time.monotonic() - start < 5
    assert wait_until(lambda: not inst.running("web"), 5, "the end of web") is not None
