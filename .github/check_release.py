"""Before a release: the version is the same in the package, CHANGELOG.md, CITATION.cff and the tag, if there is one."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def stated_versions(root: Path, tag: str) -> dict[str, str]:
    """The version that each place states; empty where it states none."""
    patterns = {
        "asugnn/version.py": r'^__version__ = "(.+)"$',
        "CHANGELOG.md": r"^## \[(\d[^\]]*)\]",  # the newest release
        "CITATION.cff": r"^version: (.+)$",
    }
    out = {}
    for name, pattern in patterns.items():
        match = re.search(pattern, (root / name).read_text(encoding="utf-8"), re.MULTILINE)
        out[name] = match[1] if match else ""
    return {**out, "tag": tag.removeprefix("v")} if tag else out


if __name__ == "__main__":
    on_tag = os.environ.get("GITHUB_REF_TYPE") == "tag"
    versions = stated_versions(ROOT, os.environ["GITHUB_REF_NAME"] if on_tag else "")
    if len(set(versions.values())) > 1:
        sys.exit(f"Error: different versions: {', '.join(f'{k} {v!r}' for k, v in versions.items())}")
    print(f"version {next(iter(versions.values()))}")
