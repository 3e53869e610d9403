"""The whole command on one pair of the package's own clips."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files

import pytest


@pytest.mark.evaluate
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_pair_from_table_to_report(tmp_path) -> None:
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("source\treference\tkind\nreference.flac\tsource.flac\thigh-low\n")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "seedvc_live", "evaluate", "--pairs", str(pairs)]
    command += ["--audio", str(files("seedvc_live") / "data"), "--output", str(out), "--conditions", "quiet", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    assert json.loads((out / "evaluation.json").read_text()) == result
    systems = {(entry["condition"], entry["system"]): entry for entry in result["summary"]}
    assert set(systems) == {
        *(("clean", name) for name in ("floor", "ceiling", "streaming", "whole", "world", "resynthesis")),
        ("quiet", "floor"),
        ("quiet", "streaming"),
        ("quiet", "whole"),
        ("quiet", "world"),
    }
    floor, ceiling = systems["clean", "floor"], systems["clean", "ceiling"]
    assert floor["word_error"] == 0
    assert floor["pitch_correlation"] == pytest.approx(1)
    assert floor["similarity"] < systems["clean", "streaming"]["similarity"] < ceiling["similarity"]
    assert systems["clean", "streaming"]["real_time_factor"] > 0
    about = result["about"]
    assert len(about["weights"]) == 64
    assert about["judges"]["versions"]["torch"] != "not installed"
    assert about["machine"]["cores"] >= 1
    assert (out / "evaluation.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (out / "evaluation.svg").read_text()
    assert (out / "evaluation.html").read_text().count("<audio") == 7 + 5
    assert "| streaming |" in (out / "evaluation.md").read_text()
