from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import numpy as np

from seedvc_live.audio.pcm import Pcm
from seedvc_live.evaluate import page, table
from seedvc_live.evaluate.pairs import Pair
from seedvc_live.evaluate.summary import summarise
from seedvc_live.media.load import load_audio
from tests.evaluate.scores import two_pairs
from tests.tools.audio import tone


def test_the_table_shows_the_figures_in_aligned_columns() -> None:
    text = table.render(summarise(two_pairs()))
    blocks = text.split("\n\n")
    assert blocks[0].splitlines()[0] == "clean, all (2 pairs)"
    assert blocks[1].splitlines()[0] == "clean, low-high (1 pair)"
    heading, *rows = blocks[0].splitlines()[1:]
    for row in rows:
        # Figures end where their heading ends.
        assert {match.end() for match in re.finditer(r"\S+", row)} <= {
            match.end() for match in re.finditer(r"\S+(?: \S+)*", heading)
        } | {len(row.split()[0])}
    streaming = next(row for row in rows if row.startswith("streaming"))
    assert streaming.split() == ["streaming", "0.750", "50%", "0.150", "0.030", "0.300", "3.00", "0.90", "0.200"]
    ceiling = next(row for row in rows if row.startswith("ceiling"))
    assert ceiling.split()[3] == "-"


def test_markdown_has_as_many_cells_in_every_row() -> None:
    lines = [line for line in table.markdown(summarise(two_pairs())).splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    assert "| streaming | 0.750 | 50% |" in table.markdown(summarise(two_pairs()))


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.sounds: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        for name, value in attrs:
            if tag == "audio" and name == "src":
                self.sounds.append(value)
            elif name in {"src", "href"}:
                self.links.append(value)


def test_the_page_holds_its_sounds_and_needs_nothing_else(tmp_path) -> None:
    clip = Pcm(tone(48000, 24000), 24000)
    examples = {
        (Pair("<a>.flac", "b.flac", "low-high"), "clean"): {"reference": clip, "floor": clip, "streaming": clip}
    }
    text = page.render(summarise(two_pairs()), examples, {"engine": "<nano>"}, seconds=1.5)
    assert "<a>" not in text
    assert "&lt;nano&gt;" in text
    found = Page()
    found.feed(text)
    assert len(found.sounds) == 3
    assert not found.links
    head, data = found.sounds[0].split(",")
    assert head == "data:audio/flac;base64"
    path = tmp_path / "x.flac"
    path.write_bytes(base64.b64decode(data))
    heard = load_audio(path)
    assert heard.rate == 24000
    np.testing.assert_allclose(heard.samples, clip.samples[:36000], atol=1e-4)
