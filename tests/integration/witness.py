"""Witnesses: a log's checkpoints are signed by other machines (here: another directory, reached
over HTTP and through a real sshd's forced command), so that an older state is noticed."""
import json
import os
import re
import shutil
import signal
import subprocess
import urllib.error
import urllib.request

from agentd import wait_until
from openssh import Server, free_port


def make_witness(inst, name):
    state = os.path.join(inst.base, name)
    key_name = f"witness.example/{name}"
    made = inst.ctl("witness", "init", "--state", state, key_name, user="root").ok()
    with open(inst.state_dir + "/audit/log.vkey", encoding="ascii") as f:
        inst.ctl("witness", "add-log", "--state", state, f.read().strip(), user="root").ok()
    return state, made.out.strip()


def write_policy(inst, witnesses, quorum):
    """witnesses: (name, vkey, url)"""
    path = os.path.join(inst.base, "trust-policy")
    with open(inst.state_dir + "/audit/log.vkey", encoding="ascii") as f:
        text = f"log {f.read().strip()}\n"
    for name, vkey, url in witnesses:
        text += f"witness {name} {vkey} {url}\n"
    with open(path, "w", encoding="ascii") as f:
        f.write(text + quorum)
    return path


def verify(inst, folder, *options):
    result = inst.ctl("audit", "verify", folder, "--json", "--no-memory", *options, user="root")
    return result.code, json.loads(result.out)


def published(audit):
    with open(audit + "/checkpoint", encoding="utf-8") as f:
        return int(f.read().split("\n")[1])


def serve(inst, state):
    port = free_port()
    process = inst.popen("witness", "serve", "--state", state, f"127.0.0.1:{port}", user="root")
    line = process.stdout.readline()
    assert b"listening" in line, (line, process.stderr.read())
    return process, f"http://127.0.0.1:{port}/"


def ssh_wrapper(inst, server, key):
    """A directory for PATH with an ssh that reaches the test's server only."""
    folder = os.path.join(inst.base, "bin-ssh")
    os.makedirs(folder, exist_ok=True)
    with open(folder + "/ssh", "w", encoding="ascii") as f:
        f.write("#!/bin/sh\nexec /usr/bin/ssh " + " ".join(server.client(key)) + ' "$@"\n')
    os.chmod(folder + "/ssh", 0o755)
    return {"PATH": folder + ":" + os.environ["PATH"]}


def test_http_and_ssh(inst):
    """A checkpoint is signed over HTTP and by a forced command of sshd; verify counts both, and a
    quorum of two is missed when one is taken away"""
    inst.run("true").ok()
    first, vkey1 = make_witness(inst, "w1")
    second, vkey2 = make_witness(inst, "w2")
    process, url = serve(inst, first)
    with Server(inst.base, "") as server:
        command = f"{inst.bin}/agentctl witness stdio --state {second}"
        key = server.allow("cosign", f'command="{command}",restrict')
        policy = write_policy(inst, [("w1", vkey1, url), ("w2", vkey2, "ssh:root@127.0.0.1")],
                              "group both all w1 w2\nquorum both\n")
        env = ssh_wrapper(inst, server, key)
        done = inst.ctl("audit", "cosign", "--policy", policy, user="root", env=env)
        assert done.code == 0 and done.out.count("signed for") == 2, (done, server.text())
        inst.run("true").ok()
        done = inst.ctl("audit", "cosign", "--policy", policy, user="root", env=env).ok()
        assert done.out.count("signed for") == 2, done
    code, report = verify(inst, inst.state_dir + "/audit", "--policy", policy)
    assert code == 0 and report["witnesses"] == 2, report
    assert 0 < report["witnessed_prefix"] <= report["records"], report
    assert report["sealed_prefix"] == report["records"], report
    status = inst.ctl("audit", "status", user="root").ok().out
    assert "by 2 witnesses" in status, status
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    path = inst.state_dir + "/audit/cosigned"
    with open(path, encoding="utf-8") as f:
        lines = f.read().splitlines(keepends=True)
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(line for line in lines if "witness.example/w2" not in line)
    code, report = verify(inst, inst.state_dir + "/audit", "--policy", policy)
    assert code == 1 and report["witnessed_prefix"] == 0, report
    assert any(x["kind"] == "QUORUM" for x in report["findings"]), report


def test_an_old_state_is_noticed(inst):
    """An older state of the whole machine, keys and all, is put back: the witness does not sign
    it, and verify says ROLLBACK to who has kept a later checkpoint"""
    inst.run("true").ok()
    state, vkey = make_witness(inst, "w1")
    process, url = serve(inst, state)
    policy = write_policy(inst, [("w1", vkey, url)], "quorum w1\n")
    audit = inst.state_dir + "/audit"
    inst.stop()
    shutil.copytree(audit, inst.base + "/snapshot")
    old = published(audit)
    inst.start()
    for _ in range(3):
        inst.run("true").ok()
    # The restored log grows by its next boot; what the witness signs must be well beyond that.
    wait_until(lambda: published(audit) > old + 8, 10, "a checkpoint of what was added")
    inst.ctl("audit", "cosign", "--policy", policy, user="root").ok()
    kept = inst.base + "/kept"
    shutil.copy(audit + "/checkpoint", kept)
    with open(audit + "/log.vkey", encoding="ascii") as f:
        pinned = f.read().strip()
    inst.stop()
    owner = os.stat(audit)
    shutil.rmtree(audit)
    shutil.copytree(inst.base + "/snapshot", audit)
    for folder, _, files in os.walk(audit):
        for path in [folder] + [os.path.join(folder, name) for name in files]:
            os.chown(path, owner.st_uid, owner.st_gid)
    inst.start()
    code, report = verify(inst, audit)
    assert code == 0, report  # by itself it is a log like any other
    refused = inst.ctl("audit", "cosign", "--policy", policy, user="root")
    assert refused.code == 1 and "ROLLED_BACK" in refused.out, refused
    code, report = verify(inst, audit, "--key", pinned, "--known", kept)
    assert code == 1 and any(x["kind"] == "ROLLBACK" for x in report["findings"]), report
    process.send_signal(signal.SIGTERM)
    process.wait(5)


def test_memory(inst):
    """verify under a pinned key holds each run against the one before"""
    inst.run("true").ok()
    audit = inst.state_dir + "/audit"
    home = os.path.join(inst.base, "verifier")
    with open(audit + "/log.vkey", encoding="ascii") as f:
        pinned = f.read().strip()

    def run():
        result = inst.ctl("audit", "verify", audit, "--key", pinned, "--json", user="root",
                          env={"XDG_STATE_HOME": home})
        return result.code, json.loads(result.out)

    inst.stop()
    shutil.copytree(audit, inst.base + "/snapshot")
    code, report = run()
    assert code == 0 and report["known"] == 0, report
    inst.start()
    inst.run("true").ok()
    inst.stop()
    code, report = run()
    assert code == 0 and report["known"] == report["known_held"] == 1, report
    shutil.rmtree(audit)
    shutil.copytree(inst.base + "/snapshot", audit)
    code, report = run()
    assert code == 1 and any(x["kind"] == "ROLLBACK" for x in report["findings"]), report


def test_proofs(inst):
    """prove makes a tlog-proof of a record, consistency a proof that the log only grew"""
    inst.run("true").ok()
    audit = inst.state_dir + "/audit"
    wait_until(lambda: "k" in json.dumps(inst.records()[-1]), 5)
    kept = inst.base + "/kept"
    shutil.copy(audit + "/checkpoint", kept)
    inst.run("true").ok()
    inst.stop()
    proof = inst.ctl("audit", "prove", "0", user="root").ok().out
    assert proof.startswith("c2sp.org/tlog-proof@v1\nindex 0\n") and "agentlog." in proof, proof
    old = inst.ctl("audit", "consistency", kept, user="root").ok().out
    assert all(re.fullmatch(r"[A-Za-z0-9+/]{43}=", line) for line in old.splitlines()), old
    assert inst.ctl("audit", "prove", "999999", user="root").code == 3
    assert inst.ctl("audit", "consistency", "999999", user="root").code == 3


def test_hostile_requests(inst):
    """The witness's HTTP door: wrong methods, huge and broken requests, another log's checkpoint"""
    inst.run("true").ok()
    state, _ = make_witness(inst, "w1")
    process, url = serve(inst, state)

    def post(data, path="add-checkpoint", method="POST"):
        request = urllib.request.Request(url + path, data=data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as e:
            return e.code

    with open(inst.state_dir + "/audit/checkpoint", "rb") as f:
        good = b"old 0\n\n" + f.read()
    assert post(b"") == 400
    assert post(b"old 0\n\n") == 400
    assert post(good[:-3]) == 400
    assert post(good.replace(b"agentlog.", b"agentlag.")) == 404
    assert post(b"x" * 70000) in (400, 413)
    assert post(None, "add-checkpoint", "GET") == 400
    assert post(None, "../../etc/passwd", "GET") == 404
    assert post(None, "0" * 64 + "/checkpoint", "GET") == 404
    assert post(good) == 200
    assert post(good) == 409
    refused = subprocess.run([inst.bin + "/agentctl", "witness", "stdio", "--state", state],
                             input=good, capture_output=True, timeout=30, check=False)
    assert refused.returncode == 1 and refused.stdout.startswith(b"409\n"), refused
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
