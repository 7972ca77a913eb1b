"""`python -m leaderboard.cli`."""

from leaderboard.cli.app import main

main()
