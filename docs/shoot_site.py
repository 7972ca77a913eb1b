"""Take docs/site.png, the first page of `bench site` on the stored runs, in Chromium: `nox -s screenshots`."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from leaderboard.data import PACKAGE
from leaderboard.site import build_site

WIDTH, HEIGHT = 1200, 1010


def shoot(path: Path) -> None:
    """Save the first page in light colours, as a small PNG."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        raise SystemExit("Chromium was not found: install it, or name its path with CHROMIUM")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        build_site(PACKAGE / "runs", Path(folder) / "site")
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto((Path(folder) / "site/index.html").as_uri())
        shot = Image.open(io.BytesIO(page.screenshot()))
    shot.convert("RGB").quantize(128).save(path, optimize=True)


if __name__ == "__main__":
    shoot(Path(__file__).with_name("site.png"))
