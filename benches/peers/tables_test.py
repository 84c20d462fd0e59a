"""What `tables.py` makes of results, and what it refuses: `python tables_test.py`."""

import contextlib
import io
import json
import os
import tempfile
import unittest
from pathlib import Path

import results
import tables

MARKS = {name: (f"<!-- table: {name} -->\n", f"<!-- end of table: {name} -->") for name in tables.TABLES}


def result(name, cases):
    """A result with these cases, written as the measuring programs do."""
    recording = results.Recording(name, None, packages=(), settings={"rounds": 3, "pages": "huge", "piece": 4_000, "threads": 2})
    recording.measured(results.version(), "AVX2")
    of = {"about": {"peaks": 30_000}, "beyond": {"1": 8_600_000, "2": None}, "memory": {"reference": 1.5e9, "peakmask": None}}
    names = ["reference", "reference, read", "reference, areas", *(f"{job} {n}" for job in tables.JOBS for n in (1, 2))]
    times = {"recording": [2.0, 1.0, 3.0], "epochs": [4.0, 2.0, 9.0], **{job: [5.0, 4.0, 6.0] for job in names}}
    if name == "packages":
        times = {"reference": [900.0, 800.0, 1000.0], "peakmask": [9.0, 10.0, 8.0]}
    for number, case in enumerate(cases):
        equality = {}
        for with_ in tables.TABLES[name][2]:
            equality |= results.equality(with_, 10)
        recording.add(
            {
                "n_t": 1_000, "threads": [1, 2], "times": 1, "calls": 2_000, "reference_whole": None, **of, **case,
                "equality": equality, "us_per_bin": {job: [number + t for t in of] for job, of in times.items()},
                "us_per_call": {way: {"p50": 15.4, "p99": 4132.2} for way in ("kept", "single")},
            }
        )  # fmt: skip
    return recording.end()


class Tables(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root, self.results = Path(folder.name), Path(folder.name) / "results"
        (self.root / "python").mkdir()
        self.results.mkdir()
        for readme in ("README.md", "python/README.md"):
            marks = [MARKS[name] for name, (file, *_) in tables.TABLES.items() if file == readme]
            (self.root / readme).write_text("Before.\n\n" + "".join(f"{begin}old\n{end}\nBetween.\n" for begin, end in marks))
        for name, cases in tables.needed(results.SMALL).items():
            self.write(name, result(name, cases))

    def write(self, name, record):
        (self.results / f"{name}.json").write_text(json.dumps(record))

    def change(self, name, how):
        """Writes the result of this name as `how` leaves it."""
        record = json.loads((self.results / f"{name}.json").read_text())
        how(record)
        self.write(name, record)

    def run_tables(self, *more):
        with contextlib.redirect_stdout(io.StringIO()):
            tables.main([str(self.results), "--small", "--root", str(self.root), *more])

    def read(self):
        return [(self.root / readme).read_text() for readme in ("README.md", "python/README.md")]

    def refused(self, *words):
        """Nothing is written, and the reason names the file and has these words."""
        before = self.read()
        for more in ([], ["--check"]):
            with self.assertRaises(SystemExit) as why:
                self.run_tables(*more)
            for word in words:
                self.assertIn(word, str(why.exception))
        self.assertEqual(self.read(), before)

    def test_round_trip(self):
        self.run_tables()
        written = self.read()
        self.assertNotIn("old", "".join(written))
        self.assertEqual(written[0].count("Between."), 4)
        for line in (
            "| openfield, 15 peaks a bin | 2,000 | 5 | 5.00 | 1 | 1.00 | 1.20 | 1.00 | 1 | 0.50 | 1.00 | 1 | 8.6 |",
            "| openfield | 1 | 15 (4,132) | 15 (4,132) |",
            "| openfield | 20 x 3 to 40 bins | 1 | 2.00 | 4.00 | 2.00 |",
            "| 4,000 | 1 | 2 | 6.00 | 1.20 | not known |",
        ):
            self.assertIn(line, written[0].splitlines())
        self.assertIn("| peakmask | 9.0 | 100 |  |", written[1].splitlines())
        self.run_tables("--check")
        self.run_tables()
        self.assertEqual(self.read(), written, "the same results, another text")

    def test_a_stale_readme_is_found(self):
        self.run_tables()
        for readme in ("README.md", "python/README.md"):
            path, text = self.root / readme, (self.root / readme).read_text()
            for digit in ("| 5.00 |", "| 9.0 |"):
                path.write_text(text.replace(digit, digit.replace("0", "1"), 1))
                if path.read_text() != text:
                    with self.assertRaises(SystemExit) as why:
                        self.run_tables("--check")
                    self.assertIn(f"{path}: other tables", str(why.exception))
            path.write_text(text)
        self.run_tables("--check")

    def test_without_equality(self):
        for name, (_, _, with_) in tables.TABLES.items():
            whole = json.loads((self.results / f"{name}.json").read_text())
            for other in with_:
                for check in (None, {"bins": 10, "equal": False}, {"bins": 0, "equal": True}, {"bins": 10}):
                    self.change(name, lambda record: record["cases"][-1]["equality"].update({other: check or {}}))  # noqa: B023
                    self.refused(f"{name}.json", f"not compared with {other}")
                    self.write(name, whole)
            self.change(name, lambda record: record["cases"][0].pop("equality"))
            self.refused(f"{name}.json", "not compared")
            self.write(name, whole)

    def test_another_version(self):
        self.change("latency", lambda record: record.update(version="0.0.9"))
        self.refused("latency.json", "of peakmask 0.0.9", "measure it again")

    def test_other_sources(self):
        for name in tables.TABLES:
            self.change(name, lambda record: record.update(sources="0123456789ab"))
        with self.assertRaises(SystemExit) as why:
            self.run_tables()
        self.assertIn("sources 0123456789ab", str(why.exception))
        self.change("epochs", lambda record: record.update(sources="ba9876543210"))
        self.refused("sources")

    def test_a_case_that_lacks(self):
        for name in tables.TABLES:
            whole = json.loads((self.results / f"{name}.json").read_text())
            for case in range(len(whole["cases"])):
                self.write(name, {**whole, "cases": whole["cases"][:case] + whole["cases"][case + 1 :]})
                self.refused(f"{name}.json")
            self.write(name, whole)
        self.change("peers", lambda record: record["cases"][3]["us_per_bin"].pop("packed 2"))
        self.refused("peers.json", "packed 2")

    def test_not_complete(self):
        self.change("packages", lambda record: record.update(ended=None))
        self.refused("packages.json", "not completed")
        (self.results / "packages.json").write_text("{")
        self.refused("packages.json", "not JSON")
        (self.results / "packages.json").unlink()
        self.refused("packages.json", "not there")

    def test_a_readme_without_marks(self):
        self.run_tables()
        text = (self.root / "README.md").read_text()
        (self.root / "README.md").write_text(text.replace(MARKS["growth"][1], ""))
        self.refused("README.md", "table: growth")

    def test_small_results_are_not_published(self):
        with self.assertRaises(SystemExit) as why, contextlib.redirect_stderr(io.StringIO()):
            tables.main([str(self.results), "--small"])
        self.assertEqual(why.exception.code, 2)
        with self.assertRaises(SystemExit) as why:
            tables.main([str(self.results), "--root", str(self.root)])
        self.assertIn("lacks the case", str(why.exception))

    def test_this_checkout_has_the_marks(self):
        for name, (readme, *_) in tables.TABLES.items():
            tables.replaced((results.ROOT / readme).read_text(), name, "", readme)


if __name__ == "__main__":
    ran = unittest.main(argv=[__file__], exit=False, testRunner=unittest.TextTestRunner(stream=io.StringIO())).result
    for test, why in [*ran.failures, *ran.errors]:
        print(f"{test}: {why}")
    failed = len(ran.failures) + len(ran.errors)
    print(f"{ran.testsRun - failed} passed, {failed} failed")
    os._exit(failed > 0)
