"""What all tests share: a cache of their own, the folder of other people's data, repeatable property tests."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings

Typed = Callable[..., tuple[int, str, str]]

# The tables and sentences of the bench obey COLUMNS. pytest-xdist and shells set it, and so does readline when it is
# imported, unseen by os.environ, for the processes that tests start.
with suppress(ImportError):
    import readline  # noqa: F401
os.environ.pop("COLUMNS", None)
os.unsetenv("COLUMNS")

# Before torch is imported: networks as small as those of the tests spend their time waiting for a second thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Else each of the many processes that tests start compiles all our modules anew, a tenth of the time of a command.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A job in the background is started with some signals ignored, which the commands that tests start would inherit.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory):
    """Model inputs are kept for the session and apart from the user's; processes that tests start see it too."""
    home = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        home = home.parent  # which the processes of pytest-xdist have in common
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(home / "cache"))
        yield


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Types a command in this process, without the second that a new one takes: exit status, output, errors."""

    def call(*words: str) -> tuple[int, str, str]:
        from leaderboard.cli.app import main

        monkeypatch.setattr("sys.argv", ["bench", *words])
        with pytest.raises(SystemExit) as left:
            main()
        assert isinstance(left.value.code, int)
        return left.value.code, *capsys.readouterr()

    return call


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of crystals that cannot be shipped."""
    if not (named := os.environ.get("BENCH_DATA")):
        pytest.skip("BENCH_DATA does not name the folder with mp_subset.parquet: nothing was tested on real crystals")
    return Path(named)
