"""Starts and watches a fixture server; see ../CONTRACT.md. FIXTURE=node chooses the reference."""

import json
import os
import pathlib
import subprocess
import threading

HERE = pathlib.Path(__file__).resolve().parent
DEADLINE = float(os.environ.get("DEADLINE", "60000")) / 1000


def command():
    if os.environ.get("FIXTURE", "rust") == "node":
        return ["node", str(HERE.parent / "servers/node.js")]
    target = os.environ.get("CARGO_TARGET_DIR", str(HERE.parents[2] / "target"))
    return [os.environ.get("FIXTURE_BIN", f"{target}/debug/examples/interop_server")]


class Fixture:
    def __init__(self, port=0, **options):
        env = {**os.environ, "PORT": str(port), "OPTIONS": json.dumps(options)}
        self.process = subprocess.Popen(command(), env=env, stdout=subprocess.PIPE, text=True)
        self.seen = []
        self.news = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        self.port = self.observed(type="listening")["port"]
        self.url = f"http://127.0.0.1:{self.port}"

    def _read(self):
        for line in self.process.stdout:
            with self.news:
                self.seen.append(json.loads(line))
                self.news.notify_all()

    def observed(self, **members):
        """The first observation, past or future, with these members."""

        def find():
            return next((seen for seen in self.seen if members.items() <= seen.items()), None)

        with self.news:
            if not self.news.wait_for(find, DEADLINE):
                raise AssertionError(f"no {members}; last: {self.seen[-3:]}")
            return find()

    def stop(self, kill=False):
        """Ends the server and returns its exit code."""
        if kill:
            self.process.kill()
        else:
            self.process.terminate()
        code = self.process.wait(DEADLINE)
        self.process.stdout.close()
        return code
