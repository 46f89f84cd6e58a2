"""A private OpenSSH server for one test: own configuration, host key and port on the loopback. It
runs as root in a mount namespace of its own, with an /etc/passwd that has the user sshd wants and
the tests' users. Debian's openssh-server is used, but never installed: installing it would open
port 22 of the machine."""
import fcntl
import os
import shutil
import socket
import subprocess

from agentd import SOURCE, USERS, end_process, wait_until

CACHE = os.path.join(os.path.abspath(os.environ.get("BUILD", SOURCE + "/build")), "openssh")
PACKAGES = ["openssh-server", "libwrap0"]
SETUP = """
set -e
mount --bind "$1/passwd" /etc/passwd
mount -t tmpfs tmpfs /run
mkdir -m 755 /run/sshd
shift
exec "$@"
"""


def sshd():
    """The path of the server, and the environment that it needs."""
    if os.path.exists("/usr/sbin/sshd"):
        return "/usr/sbin/sshd", {}
    path = os.path.join(CACHE, "root/usr/sbin/sshd")
    os.makedirs(CACHE, exist_ok=True)
    with open(os.path.join(CACHE, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "timeout": 120}
            download = ["apt-get", "download", *PACKAGES]
            if subprocess.run(download, cwd=CACHE, check=False, **quiet).returncode:
                subprocess.run(["apt-get", "-q", "update"], check=True, **quiet)
                subprocess.run(download, cwd=CACHE, check=True, **quiet)
            for name in sorted(os.listdir(CACHE)):
                if name.endswith(".deb"):
                    unpack = ["dpkg", "-x", name, "unpacked"]
                    subprocess.run(unpack, cwd=CACHE, check=True, **quiet)
            # Nothing else: make looks for *.d below build, and /etc has directories of such names.
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.rename(os.path.join(CACHE, "unpacked/usr/lib"), os.path.join(CACHE, "root/usr/lib"))
            os.rename(os.path.join(CACHE, "unpacked/usr/sbin/sshd"), path)
            shutil.rmtree(os.path.join(CACHE, "unpacked"))
    return path, {"LD_LIBRARY_PATH": os.path.join(CACHE, "root/usr/lib/x86_64-linux-gnu")}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """With authorized: the lines of authorized_keys of every user. `with` ends it."""

    def __init__(self, base, authorized):
        self.dir = os.path.join(base, "sshd")
        self.port = free_port()
        os.makedirs(self.dir, mode=0o755)
        self.host_key = self.key("host")
        with open("/etc/passwd", encoding="utf-8") as f:
            users = f.read()
        for name, uid in USERS.items():
            if f"{name}:" not in users:
                users += f"{name}:x:{uid}:{uid}::/:/bin/sh\n"
        if "\nsshd:" not in users:
            users += "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n"
        self._write("passwd", users)
        self._write("authorized_keys", authorized)
        self._write("known_hosts", f"[127.0.0.1]:{self.port} " + self.public("host"))
        self._write("config", f"""
Port {self.port}
ListenAddress 127.0.0.1
HostKey {self.host_key}
AuthorizedKeysFile {self.dir}/authorized_keys
PermitRootLogin forced-commands-only
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PidFile none
MaxStartups 300
MaxSessions 300
""")
        path, env = sshd()
        self.log = open(os.path.join(self.dir, "log"), "wb")
        self.process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", SETUP, "sh", self.dir, path, "-D", "-e", "-f",
             os.path.join(self.dir, "config")],
            env=dict(os.environ, **env), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        wait_until(self._answers, 10, "the SSH server")

    def _write(self, name, text):
        with open(os.path.join(self.dir, name), "w", encoding="utf-8") as f:
            f.write(text)

    def _answers(self):
        assert self.process.poll() is None, self.text()
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def text(self):
        with open(os.path.join(self.dir, "log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def key(self, name):
        """Makes a key pair; the path of the private one."""
        path = os.path.join(self.dir, name)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path],
                       check=True)
        return path

    def public(self, name):
        with open(os.path.join(self.dir, name + ".pub"), encoding="ascii") as f:
            return f.read()

    def allow(self, name, options):
        """A key pair whose public half authorized_keys has with these options."""
        path = self.key(name)
        with open(os.path.join(self.dir, "authorized_keys"), "a", encoding="ascii") as f:
            f.write(options + " " + self.public(name))
        return path

    def client(self, key):
        """Options of ssh(1): this server, that key, nothing of the machine's own."""
        return ["-F", "none", "-p", str(self.port), "-i", key, "-o", "IdentitiesOnly=yes",
                "-o", f"UserKnownHostsFile={self.dir}/known_hosts", "-o", "BatchMode=yes"]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        end_process(self.process.pid)
        self.process.wait()
        self.log.close()
