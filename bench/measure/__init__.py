"""The instruments: speed, memory, size, FLOPs, and their statistics."""

VERSION = 2
"""Raised when an instrument's figures change their meaning; records of an older version are stale."""
