"""`--sandbox` and `--submission`: no code of a method or a suite runs outside of a sandbox.

Importing a method's module runs it, so it is not enough to put the runs away: the plan, for which the runner asks every
method for its variants, settings and sources, has to be made in there as well. Three parts:

catalogue.py: which slug lies in which module, read from the text of the files. Nothing is imported.
planner.py: for each method a sandbox of its own, which imports this method alone and says what there is to run. What
    comes back is held against the catalogue and against what was asked, so that no method can plan for another.
bench.run.local: for each run a sandbox of its own, as each has a process of its own without one.

The process of the command imports the engine alone, reads what comes out of a sandbox up to a limit, validates it and
writes the records. One sandbox around everything would have been fewer parts, but then the first method's process could
reach that of the next, and the records of both.

What a sandbox is stands in bubblewrap.py; what it may use up in resources.py; its first process is inside.py.
"""


class NoSandbox(RuntimeError):
    """There is no sandbox on this machine; the message says why, and what to do."""


class NotPlanned(RuntimeError):
    """What was asked for can't be run; said by the methods in the sandbox."""
