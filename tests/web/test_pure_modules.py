"""The web client's pure modules, tested by node's own test runner."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
STATIC = Path(__file__).parents[2] / "src" / "seedvc_live" / "service" / "static"
NODE = shutil.which("node")


@pytest.mark.skipif(NODE is None and "SEEDVC_LIVE_TEST_ALL" not in os.environ, reason="node is not installed")
@pytest.mark.parametrize("suite", sorted(FOLDER.glob("*.test.js")), ids=lambda path: path.stem)
def test_by_node(suite) -> None:
    assert NODE is not None, "make test-all needs node: apt-get install nodejs"
    run = subprocess.run([NODE, "--test", str(suite)], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]


def test_the_page_holds_nothing_that_its_content_security_policy_would_refuse() -> None:
    page = (STATIC / "index.html").read_text()
    for forbidden in ("<style", " style=", "javascript:", " onclick", " onload", "http://", "https://", "//cdn"):
        assert forbidden not in page, forbidden
    assert page.count("<script") == page.count('<script type="module" src="static/js/main.js">') == 1


def test_scripts_and_styles_name_no_other_host() -> None:
    files = [*STATIC.rglob("*.js"), *STATIC.rglob("*.css")]
    assert len(files) > 20
    for path in files:
        text = path.read_text()
        assert "://" not in text, path
        assert "innerHTML" not in text, path
        assert "eval(" not in text, path


def test_what_the_page_links_to_exists() -> None:
    page = (STATIC / "index.html").read_text()
    linked = re.findall(r'(?:href|src)="static/([^"]+)"', page)
    assert len(linked) >= 7
    for name in linked:
        assert (STATIC / name).is_file(), name
    for path in STATIC.rglob("*.js"):
        for name in re.findall(r'from "(\.[^"]+)"', path.read_text()):
            assert (path.parent / name).is_file(), f"{path.name}: {name}"


def test_every_control_has_a_name() -> None:
    """Inputs and selects have a label, buttons have text: what a screen reader says of them."""
    page = (STATIC / "index.html").read_text()
    for tag, identity in re.findall(r'<(select|input)[^>]*\bid="([^"]+)"', page):
        labelled = f'for="{identity}"' in page or re.search(rf'<label[^>]*>[^<]*<input[^>]*id="{identity}"', page)
        assert labelled, f"{tag} {identity}"
    for body in re.findall(r"<button[^>]*>(.*?)</button>", page, re.DOTALL):
        assert body.strip()
