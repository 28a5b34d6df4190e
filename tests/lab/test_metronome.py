"""What is measured of the machine itself."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import unittest

from carptwist.lab.metronome import Metronome, waited


class MetronomeTests(unittest.TestCase):
    def test_processes_that_share_a_processor(self) -> None:
        """Wait for one another, and that is measured; one that sleeps waits for nothing."""
        processor = str(min(os.sched_getaffinity(0)))
        pin = f"import os; os.sched_setaffinity(0, {{{processor}}})"
        programs = [f"{pin}\nwhile True: pass"] * 2 + ["import time; time.sleep(100)"]
        processes = [subprocess.Popen([sys.executable, "-c", program]) for program in programs]
        for process in processes:
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
        busy, idle = [process.pid for process in processes[:2]], processes[2].pid
        time.sleep(0.5)  # to have started them takes processors as well
        with Metronome(lambda: busy) as one, Metronome(lambda: [idle, 2**22 + 1]) as other:
            began = time.time()
            time.sleep(1)
            ended = time.time()
        self.assertGreater(one.waited(began, ended), 0.4)
        self.assertLess(other.waited(began, ended), 0.1)
        self.assertEqual(one.waited(ended + 1, ended + 2), 0)
        self.assertIsNone(waited(2**22 + 1))
