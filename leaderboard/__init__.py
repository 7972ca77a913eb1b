"""The bench: data sets, splits, runs, scores, the board and the command line."""
