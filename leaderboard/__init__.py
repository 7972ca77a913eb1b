"""The bench: data sets, splits, runs, scores, the board and the command line.

In Python, `leaderboard.task(..)` opens a task, to score and compare predictions, and `leaderboard.leaderboard(..)`
gives the rows of a board as a data frame: docs/python.md. Both are imported when they are used.

Each subpackage is a room, whose docstring says what it is for and whose `__all__` is what other rooms may use.
docs/architecture.md has the map, and tests/test_house.py holds the borders.
"""

TYPE_CHECKING = False  # what type checkers take for true; to import typing would take longer than all the rest

if TYPE_CHECKING:
    from leaderboard.api import leaderboard, task

__all__ = ["leaderboard", "task"]

if not TYPE_CHECKING:  # a type checker shall know every name

    def __getattr__(name: str) -> object:
        """Import a function when it is asked for: `bench --help` needs none."""
        if name not in __all__:
            raise AttributeError(f"module 'leaderboard' has no attribute '{name}'")
        import leaderboard.api

        return getattr(leaderboard.api, name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
