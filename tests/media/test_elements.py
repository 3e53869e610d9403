"""Elements by factory: what is missing is named with its package, and no value can become syntax."""

from __future__ import annotations

import pytest

from seedvc_live.errors import MediaError, MissingElementError
from seedvc_live.media import elements
from seedvc_live.media.bus import BusWatch, failure
from seedvc_live.media.elements import DEBIAN_PACKAGES, Gst, caps, check_elements, link, make, new_pipeline


def test_everything_listed_is_installed_here() -> None:
    assert check_elements() == []


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_elements(["opusenc", "nvopusenc"]) == ["nvopusenc"]
    with pytest.raises(MissingElementError, match="'nvopusenc' is not installed; run: seedvc-live doctor"):
        make("nvopusenc")
    monkeypatch.setitem(DEBIAN_PACKAGES, "nvopusenc", "gstreamer1.0-fantasy")
    with pytest.raises(MissingElementError, match=r"apt-get install gstreamer1\.0-fantasy"):
        make("nvopusenc")


def test_nicesrc_is_found_although_its_version_is_its_own() -> None:
    assert elements.element_exists("nicesrc")


def test_properties() -> None:
    encoder = make("opusenc", "voice", audio_type="voice", frame_size="10", bitrate=24000)
    assert encoder.get_name() == "voice"
    assert encoder.get_property("bitrate") == 24000
    assert encoder.get_property("audio-type").value_nick == "voice"
    with pytest.raises(ValueError, match="no property"):
        make("opusenc", bit_rate=1)
    with pytest.raises(ValueError, match="plain word"):
        make("opusenc", audio_type="voice ! filesink")


@pytest.mark.parametrize("value", ["a,b", "x; y", 'q"', "a b", "", 1.5, True])
def test_caps_take_words_and_numbers_only(value: object) -> None:
    with pytest.raises(ValueError, match="caps field"):
        caps("audio/x-raw", format=value)
    with pytest.raises(ValueError, match="media type"):
        caps("audio/x-raw,rate=1")


def test_links_that_do_not_fit() -> None:
    left, right = make("opusenc"), make("wavenc")
    new_pipeline(left, right)
    with pytest.raises(MediaError, match="cannot be linked"):
        link(left, right)


def test_errors_keep_the_debug_text() -> None:
    source, sink = make("filesrc", location="/does/not/exist"), make("fakesink")
    pipeline = new_pipeline(source, sink)
    link(source, sink)
    watch = BusWatch(pipeline)
    pipeline.set_state(Gst.State.PLAYING)
    assert watch.wait_for_end(5)
    pipeline.set_state(Gst.State.NULL)
    watch.close()
    assert watch.error is not None
    assert watch.error.matches(Gst.resource_error_quark(), Gst.ResourceError.NOT_FOUND)
    error = failure(MediaError, "reading", watch.error)
    assert "\n" not in str(error)
    assert error.debug is not None
    assert "gstfilesrc" in error.debug
