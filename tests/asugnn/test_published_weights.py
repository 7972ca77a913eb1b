import hashlib

from asugnn.published_weights import PublishedWeights, locate_weights


def test_the_users_folder_comes_before_the_cache(tmp_path, monkeypatch):
    """Both hold the file: the user's is returned, and nothing is downloaded."""
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path / "mine"))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    weights = PublishedWeights(
        "net", {"a.pt": hashlib.sha256(b"weights").hexdigest()}, "http://127.0.0.1:1", "metal", "data"
    )
    cached = tmp_path / "cache" / "weights" / "net"
    for folder in (tmp_path / "mine" / "net", cached):
        folder.mkdir(parents=True)
        (folder / "a.pt").write_bytes(b"weights")
    assert locate_weights("net", weights) == tmp_path / "mine" / "net"
    monkeypatch.delenv("BENCH_WEIGHTS")
    assert locate_weights("net", weights) == cached
