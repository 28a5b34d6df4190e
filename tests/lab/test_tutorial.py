"""The tutorial for Twisted daemons, word for word."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import unittest
from collections.abc import Callable
from pathlib import Path

from tests.lab.support import environment

ROOT = Path(__file__).parents[2]
#: The programs of a virtual environment, whatever is installed in this one; and curl, which need not be there.
PROGRAMS = {
    "twist": "from twisted.application.twist._twist import Twist; Twist.main()",
    "twistd": "from twisted.scripts.twistd import run; run()",
    "carptwist": "import sys; from carptwist.tools.carptwist import main; sys.exit(main())",
    "curl": "import sys, urllib.request as r; print(r.urlopen(sys.argv[-1], timeout=5).read().decode(), end='')",
}


SERVED = "1@em0 is served here from now on"


class TutorialTests(unittest.TestCase):
    """Section 1 of docs/twisted.md, in directories of the test's own."""

    def setUp(self) -> None:
        name = self.enterContext(tempfile.TemporaryDirectory())
        self.directory = Path(name)
        self.here = {"/tmp/tour": name, "/run/carptwist-lab": f"{name}/run", "conf/lab": name}
        self.programs = self.directory / "programs"
        self.programs.mkdir()
        for program, words in PROGRAMS.items():
            path = self.programs / program
            path.write_text(f"#!{sys.executable}\n{words}\n")
            path.chmod(0o755)
        for host in "ab":
            path = self.directory / f"{host}.ini"
            path.touch(0o600)
            path.write_text(self.here_is((ROOT / "conf" / "lab" / path.name).read_text()))

    def here_is(self, text: str) -> str:
        """A text with the directories of the test."""
        for former, new in self.here.items():
            text = text.replace(former, new)
        return text

    def test_from_nothing_to_a_failover(self) -> None:
        """The client reads what the page says that it reads."""
        page = (ROOT / "docs" / "twisted.md").read_text()
        preparing, prompt = (block.splitlines() for block in re.findall(r"^```\n(.*?)^```", page, re.M | re.S)[:2])
        # What makes the environment is here already.
        made = [line for line in preparing if line.startswith(("mkdir", "echo"))]
        self.assertEqual(len(made), 3)
        for line in made:
            subprocess.run(self.here_is(line), shell=True, check=True)
        output = self.directory / "output"
        with output.open("wb") as file:
            lab = subprocess.Popen(
                preparing[-1].split(),
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**environment(), "PATH": f"{self.programs}:{os.environ['PATH']}"},
                cwd=ROOT,
                text=True,
            )
        assert lab.stdin is not None
        waits = 0
        try:
            for line in prompt:
                if line.startswith("client sleep"):
                    # As long as it takes here and now.
                    waits += 1
                    self.wait(lambda: output.read_text().count(SERVED) >= waits, output)  # noqa: B023
                else:
                    print(self.here_is(line), file=lab.stdin, flush=True)
            self.assertEqual(lab.wait(60), 0, output.read_text())
        finally:
            lab.stdin.close()
            lab.wait(60)
        self.assertEqual(re.findall(r"served by (\w)", output.read_text()), ["a", "b", "a"], output.read_text())
        self.assertEqual(waits, 3)

    def wait(self, condition: Callable[[], bool], output: Path) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            self.assertLess(time.monotonic(), deadline, output.read_text())
            time.sleep(0.05)
