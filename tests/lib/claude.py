"""The real Claude Code for tests and demo: fetched with npm, pinned by version and integrity, kept
outside the repository (it is not redistributable), and put into a test user's home like a developer
has it. Nothing here needs the network once the cache is filled."""
import fcntl
import json
import os
import platform
import shutil
import subprocess
import time

from agentd import SOURCE, USERS, Skip

VERSION = "2.1.330"
PACKAGE = "@anthropic-ai/claude-code"
INTEGRITY = {  # of the platform packages, which hold the program
    "linux-x64": "sha512-9Gn+V7DtJ8M1nztP9CeDVl9g3RtrepI7rOFTyPRRnZe8D6zebIHKmC7OvBauucuAP0X0k85SDN"
                 "/LPVZyjsGezQ==",
    "linux-arm64": "sha512-V4yanAY5EA5UpwwRPtjSfqDbNqAlUJeVn3NYZw2AgmRHjdpSsLtHAzbxRXfkAnbjwTXzE0u"
                   "edjQxUY02ARPcsA==",
}
CACHE = os.environ.get("AGENTD_TEST_CACHE", "/var/cache/agentd-tests")

# What keeps it offline and quiet; the key is a placeholder that the scripted model ignores.
ENVIRONMENT = {"ANTHROPIC_API_KEY": "sk-ant-mock", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
               "DISABLE_AUTOUPDATER": "1", "DISABLE_TELEMETRY": "1"}


def fetch():
    """The path of the program, from the cache or with npm. Skip, loudly, when npm cannot answer."""
    kind = {"x86_64": "linux-x64", "aarch64": "linux-arm64"}.get(platform.machine())
    if not kind:
        raise Skip(f"Claude Code is not published for {platform.machine()}")
    folder = os.path.join(CACHE, f"claude-code-{VERSION}")
    program = os.path.join(folder, "node_modules", f"{PACKAGE}-{kind}", "claude")
    os.makedirs(folder, exist_ok=True)
    with open(folder + ".lock", "a+", encoding="utf-8") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)  # tests run beside each other
        if not os.path.exists(program):
            install_with_npm(folder, program, lock_file)
    with open(os.path.join(folder, "package-lock.json"), encoding="utf-8") as f:
        lock = json.load(f)["packages"][f"node_modules/{PACKAGE}-{kind}"]
    assert lock["integrity"] == INTEGRITY[kind], "the package is not the one pinned here"
    return program


def install_with_npm(folder, program, last_try):
    """Fetches the package; last_try is a file that remembers for five minutes that it failed."""
    if not shutil.which("npm"):
        raise Skip("CLAUDE CODE NOT TESTED: npm is not installed (tools/deps test)")
    last_try.seek(0)
    why = last_try.read().strip()
    if not why or time.time() - os.fstat(last_try.fileno()).st_mtime > 300:
        try:
            # Install scripts stay off: the platform package already holds the whole program.
            done = subprocess.run(
                ["npm", "install", "--prefix", folder, "--ignore-scripts", "--no-audit",
                 "--no-fund", "--loglevel=error", "--fetch-retries=1", f"{PACKAGE}@{VERSION}"],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=400, check=False)
            why = " ".join(done.stderr.split())[:200] or "npm gave no reason"
        except subprocess.TimeoutExpired:
            why = "npm did not end within 400 s"
        last_try.truncate(0)
        if not os.path.exists(program):
            last_try.write(why)
            last_try.flush()
    if not os.path.exists(program):
        raise Skip(f"CLAUDE CODE NOT TESTED: the npm registry did not answer: {why}")


def install(inst, steps, user="alice"):
    """Puts claude, the scripted model and a script that starts both into ~/.local/bin of the user.
    Returns the command to run inside a sandbox."""
    program = fetch()
    bin_dir = inst.mkdir(inst.home(user) + "/.local/bin", user)
    inst.mkdir(inst.home(user) + "/.local", user)
    try:
        os.link(program, bin_dir + "/claude")
    except OSError:  # another filesystem
        shutil.copy(program, bin_dir + "/claude")
    with open(os.path.join(SOURCE, "tests/e2e/mockllm.py"), encoding="utf-8") as f:
        inst.write(bin_dir + "/mockllm", f.read(), user, 0o755)
    inst.write(bin_dir + "/steps.json", json.dumps(steps), user)
    exports = " ".join(f"{k}={v}" for k, v in ENVIRONMENT.items())
    inst.write(bin_dir + "/scripted-claude", f"""#!/bin/sh
# The model server of this sandbox, then Claude Code talking to it.
here=$(dirname "$0")
/usr/bin/python3 "$here/mockllm" --script "$here/steps.json" --port-file /tmp/p &
model=$!
n=0
while [ ! -s /tmp/p ] && [ $n -lt 200 ]; do sleep 0.05; n=$((n + 1)); done
export {exports} ANTHROPIC_BASE_URL="http://127.0.0.1:$(cat /tmp/p)"
claude -p "run the script" --allowedTools Bash --output-format json --model mock </dev/null
code=$?
kill $model
exit $code
""", user, 0o755)
    os.chown(bin_dir, USERS[user], USERS[user])
    return "scripted-claude", {"PATH": f"{bin_dir}:/usr/local/bin:/usr/bin:/bin"}
