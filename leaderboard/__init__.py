"""The bench: data sets, splits, runs, scores, the board and the command line.

Each subpackage is a room, whose docstring says what it is for and whose `__all__` is what other rooms may use.
docs/architecture.md has the map, and tests/test_house.py holds the borders.
"""
