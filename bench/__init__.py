"""effbench: benchmark suite and leaderboard for efficient model methods."""

__version__ = "0.1.0"
