"""A package, so that its name is ours: libraries that ship a folder `tests` of their own can't take it."""
