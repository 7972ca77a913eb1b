"""What strangers hand in, and what they are given: competitions, submissions, pull requests.

enter.py                 `bench submit`
competition.py           `bench export`, with kaggle_metric.py
pull_request_prepare.py  untrusted: makes predictions of what a pull request proposes
pull_request_score.py    trusted: scores those predictions
"""

from leaderboard.submissions.competition import export_competition
from leaderboard.submissions.enter import enter_submission

__all__ = ["enter_submission", "export_competition"]
