"""`--sandbox` and `--submission`: no code of a method or a suite runs outside of a sandbox.

The plan runs none of it (the registry reads text), so that what is confined is the warm process, and with it all
parties that are forked from it. One sandbox holds the runs of a plan one after the other, each with parties and folders
of its own; what a run leaves behind is gone before the next begins.

What a sandbox is stands in bubblewrap.py; what it may use up in resources.py; its first process is inside.py; what puts
them together is confinement.py.
"""


class NoSandbox(RuntimeError):
    """There is no sandbox on this machine; the message says why, and what to do."""
