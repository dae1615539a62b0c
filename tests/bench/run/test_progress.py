"""What a person, or a log's reader, sees of a run."""

import io

from rich.console import Console

from bench.run.plan import Job
from bench.run.progress import Progress
from tests.bench.analyse.record_factory import make_record as record


def test_words_of_a_method_begin_no_line_of_the_log() -> None:
    """A runner of GitHub obeys lines such as `::add-mask::`; a terminal obeys escapes."""
    out = io.StringIO()
    progress = Progress(Console(file=out, width=40))
    progress.say("method at point: failed (no\n::warning::hello\r::add-mask::x\x1b[2J" + " ::stop-commands::" * 8 + ")")
    assert out.getvalue().count("\n") == 1
    assert not any(char in out.getvalue() for char in "\r\x1b")


def test_the_estimate_follows_what_this_machine_does() -> None:
    jobs = [Job("s", "p", slug, "default", "at", "tiny", "base", 0, "cpu", 1) for slug in ("a", "b", "c")]
    history = [record(method=slug, suite="s", scale="tiny", seconds=100.0) for slug in ("a", "b", "c")]
    out = io.StringIO()
    progress = Progress(Console(file=out, width=200))
    progress.start(jobs, 0, history)
    assert "about 5 min left" in out.getvalue()
    progress.end(jobs[0], record(method="a", suite="s", scale="tiny", seconds=300.0))
    assert "2 left, about 10 min left" in out.getvalue()
    progress.stop()


def test_without_any_record_the_first_run_is_the_estimate() -> None:
    jobs = [Job("s", "p", slug, "default", "at", "tiny", "base", 0, "cpu", 1) for slug in ("a", "b", "c")]
    out = io.StringIO()
    progress = Progress(Console(file=out, width=200))
    progress.start(jobs, 0, [])
    assert "no estimate yet" in out.getvalue()
    progress.end(jobs[0], record(method="a", suite="s", scale="tiny", seconds=30.0))
    assert "2 left, about 60 s left" in out.getvalue()
    progress.stop()
