"""What a person, or a log's reader, sees of a run."""

import io

from rich.console import Console

from bench.run.progress import Progress


def test_words_of_a_method_begin_no_line_of_the_log() -> None:
    """A runner of GitHub obeys lines such as `::add-mask::`; a terminal obeys escapes."""
    out = io.StringIO()
    progress = Progress(Console(file=out, width=40))
    progress.say("method at point: failed (no\n::warning::hello\r::add-mask::x\x1b[2J" + " ::stop-commands::" * 8 + ")")
    assert out.getvalue().count("\n") == 1
    assert not any(char in out.getvalue() for char in "\r\x1b")
