"""The command line `bench`: parse, one call, print. Each group of commands has a file."""

from leaderboard.cli.app import app, main

__all__ = ["app", "main"]
