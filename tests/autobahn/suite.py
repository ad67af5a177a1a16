# Python 2.7. Runs the fuzzing client and checks its reports; called by run.sh.
#
#   suite.py SITE REPORTS run URL MODE LOGS     every group in a process of its own, as many at once as there are CPUs
#   suite.py SITE REPORTS group URL NAME MODE   one group
#   suite.py SITE REPORTS check MODE            prints what went wrong, and the closing line
import json
import multiprocessing
import os
import site
import subprocess
import sys
import time

# Seconds for one group.
LIMIT = 900

# The long groups first, so that they do not end last. Cases 12 and 13 send 1000 messages each, in 18 sizes and ways of
# fragmentation; those of 16 and 1024 bytes are in the fast set.
PLAIN = [
    ("limits", ["9.*"]),
    ("framing", ["1.*", "2.*", "3.*", "4.*", "5.*", "7.*", "10.*"]),
    ("utf8", ["6.*"]),
]
FAST = (1, 4)
COMPRESSED = [("12.%d" % n, 12, n) for n in range(1, 6)] + [("13.%d" % n, 13, n) for n in range(1, 8)]
GOOD = ("OK", "NON-STRICT", "INFORMATIONAL")


def groups(mode):
    all_groups = list(PLAIN)
    if mode == "--full":
        all_groups = [(name, [name + ".*"]) for name, _, _ in COMPRESSED] + all_groups
    elif mode != "--plain":
        all_groups += [(name, ["%s.%d" % (name, n) for n in FAST]) for name, _, _ in COMPRESSED]
    return all_groups


def run(argv, reports, url, mode, logs):
    waiting, running, failed = groups(mode), [], False
    while waiting or running:
        while waiting and len(running) < max(2, multiprocessing.cpu_count()):
            name = waiting.pop(0)[0]
            log = open(os.path.join(logs, name + ".log"), "w")
            command = [sys.executable] + argv[:3] + ["group", url, name, mode]
            running.append((name, subprocess.Popen(command, stdout=log, stderr=log), time.time() + LIMIT))
        time.sleep(0.1)
        for one in list(running):
            name, process, deadline = one
            if process.poll() is None and time.time() > deadline:
                process.kill()
                process.wait()
                print("group %s took longer than %d s" % (name, LIMIT))
            if process.poll() is not None:
                running.remove(one)
                if process.returncode != 0:
                    failed = True
                    print("group %s ended with %d; see %s" % (name, process.returncode, os.path.join(logs, name + ".log")))
    return failed


def group(reports, url, name, mode):
    spec = {
        "outdir": os.path.join(reports, name),
        "servers": [{"agent": "fanfare", "url": url}],
        "cases": dict(groups(mode))[name],
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    path = os.path.join(reports, name + ".json")
    with open(path, "w") as out:
        json.dump(spec, out)
    from autobahntestsuite import wstest
    sys.argv = ["wstest", "-m", "fuzzingclient", "-s", path]
    wstest.run()


def check(reports, mode):
    counts, failed, missing = {}, 0, 0
    for name, _ in groups(mode):
        try:
            with open(os.path.join(reports, name, "index.json")) as index:
                cases = json.load(index).get("fanfare", {})
        except IOError:
            cases = {}
        if not cases:
            print("group %s has no results" % name)
            missing += 1
        for case in sorted(cases, key=lambda case: [int(part) for part in case.split(".")]):
            result = (cases[case]["behavior"], cases[case]["behaviorClose"])
            counts[result[0]] = counts.get(result[0], 0) + 1
            if result[0] not in GOOD or result[1] not in GOOD:
                failed += 1
                print("case %s: %s, closing %s (%s)" % (
                    (case,) + result + (os.path.join(reports, name, cases[case]["reportfile"]),)))
    print(", ".join("%d %s" % (counts[kind], kind) for kind in sorted(counts)) or "no results")
    print("autobahn: %d passed, %d failed" % (sum(counts.values()) - failed, failed + missing))
    return bool(failed or missing)


def main(argv):
    # Also reads the .pth files there, without which `zope` is not found.
    site.addsitedir(argv[1])
    reports, command, rest = argv[2], argv[3], argv[4:]
    if command == "run":
        return run(argv, reports, *rest)
    if command == "group":
        return group(reports, *rest)
    return check(reports, *rest)


sys.exit(main(sys.argv))
