"""agentctl audit: verify with its exit codes, tail and show, for root from the directory and for a
user through the recorder."""
import json
import os
import shutil
import signal
import tempfile
import time

from agentd import wait_until

VECTORS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../vectors/audit")


def verify(inst, folder, *options):
    result = inst.ctl("audit", "verify", folder, "--json", "--no-memory", *options, user="root")
    return result.code, json.loads(result.out)


def copy_of(vector):
    folder = tempfile.mkdtemp(prefix="agentd-audit-")
    shutil.copytree(os.path.join(VECTORS, vector), folder, dirs_exist_ok=True)
    return folder


def change(folder, name, old, new):
    path = os.path.join(folder, name)
    with open(path, "rb") as f:
        data = f.read()
    assert old in data
    with open(path, "wb") as f:
        f.write(data.replace(old, new, 1))


def test_exit_codes(inst):
    """audit verify: 4 intact with a warning, 1 tampered with, 3 something missing, 2 wrong usage"""
    folder = copy_of("v600")
    try:
        code, report = verify(inst, folder)
        assert code == 4 and report["structure_prefix"] == 600, report
        assert report["signed_prefix"] == 600 and report["signature_ok"], report
        assert any("seals: 11" in line for line in report["not_checked"]), report
        with open(os.path.join(folder, "log.vkey")) as f:
            code, report = verify(inst, folder, "--key", f.read().strip())
        assert code == 4 and report["key_pinned"], report
        code, report = verify(inst, folder, "--key", os.path.join(folder, "log.vkey"))
        assert code == 4 and report["key_pinned"], report
        os.rename(folder + "/tile/entries/002.p/88", folder + "/kept")
        code, report = verify(inst, folder)
        assert code == 3 and report["structure_prefix"] == 512, report
        os.rename(folder + "/kept", folder + "/tile/entries/002.p/88")
        change(folder, "tile/entries/001", b'"pkg301"', b'"pkg666"')
        code, report = verify(inst, folder)
        assert code == 1 and report["first_bad"] == 301, report
        assert report["structure_prefix"] == report["signed_prefix"] == 301, report
        change(folder, "tile/entries/001", b'"pkg666"', b'"pkg301"')
        os.unlink(folder + "/checkpoint")
        assert verify(inst, folder)[0] == 3
        for wrong in (["verify", "a", "b"], ["verify", "--nonsense"], ["show"], ["show", "x"],
                      ["tail", "-n", "0"], ["nonsense"], [], ["verify", "--key", "a+b"]):
            result = inst.ctl("audit", *wrong, user="root")
            assert result.code == 2 and result.err, (wrong, result)
        assert inst.ctl("audit", "verify", folder + "/none", user="root").code == 3
    finally:
        shutil.rmtree(folder)


def test_of_a_living_log(inst):
    """The log of a running agentd verifies with exit code 0, and after it was stopped too"""
    inst.run("true").ok()
    code, report = verify(inst, inst.state_dir + "/audit")
    assert code == 0 and report["live"] and report["gaps"] == 0, report
    inst.stop()
    code, report = verify(inst, inst.state_dir + "/audit")
    assert code == 0 and not report["live"] and report["unsigned_tail"] == 0, report


def test_tail(inst):
    """audit tail: filters, number of lines, no control characters of an agent"""
    inst.run("echo", "\033[31mred\nline\u202e", options=["--name", "first"]).ok()
    inst.run("false", options=["--name", "second"])
    lines = inst.ctl("audit", "tail", user="root").ok().out.splitlines()
    assert any("session.start" in line and "first" in line for line in lines), lines
    assert "\033" not in "\n".join(lines) and "\u202e" not in "\n".join(lines), lines
    assert any("\\x1B[31mred\\x0Aline" in line for line in lines), lines
    lines = inst.ctl("audit", "tail", "--kind", "session.end", user="root").ok().out.splitlines()
    assert len(lines) == 2 and "code 1" in lines[1], lines
    lines = inst.ctl("audit", "tail", "-n", "1", user="root").ok().out.splitlines()
    assert len(lines) == 1, lines
    session = [r for r in inst.records() if r["k"] == "session.start"][0]["s"]
    lines = inst.ctl("audit", "tail", "--session", session, user="root").ok().out.splitlines()
    assert len(lines) == 2 and all("first" in line for line in lines), lines


def test_of_a_user(inst):
    """A user sees what is about them, through the recorder; the directory is closed to them"""
    inst.run("true", options=["--name", "mine"], user="alice").ok()
    lines = inst.ctl("audit", "tail", user="alice").ok().out.splitlines()
    assert len(lines) == 2 and all("mine" in line for line in lines), lines
    assert inst.ctl("audit", "tail", user="bob").ok().out == ""
    index = [r for r in inst.records() if r["k"] == "session.start"][0]["i"]
    shown = json.loads(inst.ctl("audit", "show", str(index), user="alice").ok().out)
    assert shown["i"] == index and shown["a"]["name"] == "mine", shown
    result = inst.ctl("audit", "show", str(index), user="bob")
    assert result.code == 1 and "not about you" in result.err, result
    result = inst.ctl("audit", "verify", user="alice")
    assert result.code == 3 and "group agentd" in result.err, result


def test_follow(inst):
    """audit tail -f shows a record when it is made, to root and to the user"""
    outs = []
    for user in ("root", "alice"):
        path = tempfile.mktemp(prefix="agentd-audit-")
        with open(path, "wb") as f:
            outs.append((path, inst.popen("audit", "tail", "-f", user=user, stdout=f)))
    time.sleep(0.3)
    inst.run("true", options=["--name", "watched"], user="alice").ok()
    for path, process in outs:
        def text():
            with open(path) as f:
                return f.read()
        wait_until(lambda: "session.end" in text() and "watched" in text(), 5, "the record")
        process.send_signal(signal.SIGTERM)
        process.wait()
        os.unlink(path)
