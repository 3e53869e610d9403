"""The page itself, in Chromium against a real server: states, errors, keyboard, small screens. No voice is judged."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest

from seedvc_live import load_audio
from seedvc_live.evaluate.latency.chromium import write_wav
from tests.tools.browser import STATS, add_voice, chromium, opened, start, until, wait_for_sound
from tests.tools.served import served

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

TOKEN = "a-token-for-the-tests"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(
        tmp_path_factory.mktemp("two"), "--engine", "passthrough", "--engine", "nano", "--workers", "2"
    ) as running:
        yield running


@pytest.fixture(scope="module")
def browser(driver, clips):
    with chromium(driver, clips["microphone"]) as running:
        yield running


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_idle_and_running_look_right_on_any_screen(server, browser, screenshots, scheme, width) -> None:
    name = f"{'wide' if width > 800 else 'phone'}-{scheme}"
    with opened(browser, server.url, color_scheme=scheme) as page:
        page.set_viewport_size({"width": width, "height": 780})
        page.screenshot(path=screenshots / f"idle-{name}.png", full_page=True)
        start(page)
        wait_for_sound(page)
        page.wait_for_timeout(3000)
        page.screenshot(path=screenshots / f"running-{name}.png", full_page=True)
        # Nothing hangs out at the side, and a thumb finds every button.
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        sizes = page.evaluate(
            "[...document.querySelectorAll('button, select, .file')].filter((e) => e.offsetParent)"
            ".map((e) => [e.textContent, e.getBoundingClientRect().height])"
        )
        assert [size for size in sizes if size[1] < 40] == []
        assert page.inner_text("#state") == "Live through passthrough"
        assert int(page.inner_text("#delay-figure")) > 20
        known = page.locator("#parts div").all_inner_texts()
        for part in ("Algorithmic", "Play-out", "jitter buffer"):
            assert any(part in row and row.endswith(" ms") for row in known), known
        page.click("#stop")
        page.wait_for_selector("body[data-state=idle]")
        assert page.inner_text("#state") == "Ready"
        assert page.evaluate("watched.microphones.every((s) => s.getTracks().every((t) => t.readyState === 'ended'))")


def test_the_received_sound_is_smooth(server, browser) -> None:
    """Irregular RTP timestamps make Chromium conceal a third of the sound and buffer for more than half a second."""
    with opened(browser, server.url) as page:
        start(page)
        page.wait_for_timeout(4000)
        best = None
        for _ in range(3):
            before = page.evaluate(STATS)
            page.wait_for_timeout(6000)
            after = page.evaluate(STATS)
            since = {key: after[key] - before[key] for key in after if isinstance(after[key], int | float)}
            concealed = since["concealedSamples"] / since["totalSamplesReceived"]
            buffered = since["jitterBufferDelay"] / since["jitterBufferEmittedCount"] * 1000
            print(f"concealed {concealed:.2%}, jitter buffer {buffered:.0f} ms, lost {since['packetsLost']}")
            assert since["packetsReceived"] > 100
            if best is None or concealed < best[0]:
                best = concealed, buffered
            if best[0] < 0.02:
                break
        assert best[0] < 0.05
        assert best[1] < 250


def test_measure_finds_its_chirps(server, browser) -> None:
    with opened(browser, server.url) as page:
        start(page)
        wait_for_sound(page)
        page.click("#measure")
        page.wait_for_selector("#measure:not([disabled])", timeout=60_000)
        told = page.inner_text("#measured")
        print(told)
        assert told.startswith("Measured: ")
        assert "measured" in page.inner_text("#delay-kind")
        known = int(page.inner_text("#parts .sum dd").split()[0])
        assert abs(int(page.inner_text("#delay-figure")) - known) < 150
        # The microphone is sent again.
        assert page.evaluate(
            "watched.peers.at(-1).getSenders()[0].track === watched.microphones.at(-1).getAudioTracks()[0]"
        )


def test_everything_works_by_keyboard(server, browser, clips) -> None:
    with opened(browser, server.url) as page:
        page.locator("#start").focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("body[data-state=live]", timeout=40_000)
        assert page.evaluate("document.activeElement.id") == "stop"
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowRight")
        until(page, "document.querySelector('input[value=bypass]').checked")
        page.locator("#stop").focus()
        page.keyboard.press("Space")
        page.wait_for_selector("body[data-state=idle]")
        assert page.evaluate("document.activeElement.id") == "start"
        unnamed = page.evaluate(
            "[...document.querySelectorAll('button, input, select, [role=meter], [role=img], dialog')]"
            ".filter((e) => e.offsetParent && !(e.labels?.length || e.ariaLabel || e.textContent.trim()"
            " || e.getAttribute('aria-labelledby'))).map((e) => e.outerHTML)"
        )
        assert unnamed == []


def test_a_killed_worker_is_replaced_within_three_seconds(server, browser) -> None:
    with opened(browser, server.url) as page:
        start(page)
        wait_for_sound(page)
        victim = server.worker_of_last_session()
        os.kill(victim, signal.SIGKILL)
        killed = time.monotonic()
        page.wait_for_selector("body:not([data-state=live])", timeout=10_000)
        page.wait_for_selector("body[data-state=live]", timeout=20_000)
        seconds = time.monotonic() - killed
        print(f"live again {seconds:.2f} s after the kill: {page.evaluate('watched.states.map((s) => s.state)')}")
        assert seconds < 3
        assert server.worker_of_last_session() != victim
        # Sound flows again, through the new connection; until its first packet it has no statistics of sound.
        while page.evaluate(STATS) is None:
            assert time.monotonic() - killed < 10
            page.wait_for_timeout(50)
        before = page.evaluate(STATS)["totalAudioEnergy"]
        page.wait_for_timeout(4000)
        assert page.evaluate(STATS)["totalAudioEnergy"] > before
        assert page.evaluate("watched.peers.at(-2).connectionState") == "closed"
    server.wait_until_ready()


def test_settings_change_while_speaking_and_by_reconnecting(server, browser, clips) -> None:
    with opened(browser, server.url) as page:
        page.select_option("#engine", "nano")
        add_voice(page, clips["reference"], "settings voice")
        start(page)
        first = page.evaluate("watched.peers.length")
        page.locator("#setting-pitch_shift").fill("3")
        page.wait_for_timeout(1500)
        assert page.evaluate("watched.peers.length") == first
        assert page.inner_text("#message") == ""
        page.locator("#setting-profile").select_option("low-latency")
        until(page, f"watched.peers.length === {first + 1} && document.body.dataset.state === 'live'")
        # Out of range: said beside the field, nothing sent.
        page.locator("#setting-block").fill("9")
        page.locator("#setting-block").press("Tab")
        assert "at most" in page.inner_text("#setting-block-problem")
        page.reload()
        page.wait_for_selector("body[data-loaded]")
        assert page.input_value("#setting-pitch_shift") == "3"
        page.click(".voice:has-text('settings voice') button")
        page.click("#confirm-dialog button[value=ok]")
        page.wait_for_selector(".voice:has-text('settings voice')", state="detached")


def test_a_recording_can_be_saved(server, browser, tmp_path) -> None:
    with opened(browser, server.url) as page:
        start(page)
        wait_for_sound(page)
        page.click("#record")
        page.wait_for_timeout(4000)
        page.click("#record")
        with page.expect_download() as download:
            page.click("#recordings a")
        target = tmp_path / download.value.suggested_filename
        download.value.save_as(target)
    clip = load_audio(target)
    assert 3 < clip.seconds < 6
    assert abs(clip.samples).max() > 0.02


def test_a_newcomer_hears_something_without_a_clip_of_their_own(server, browser) -> None:
    with opened(browser, server.url) as page:
        page.select_option("#engine", "nano")
        page.click("#sample-use")
        page.wait_for_selector(".voice:has-text('Sample voice') input:checked", timeout=60_000)
        assert page.locator("#sample").is_hidden()
        start(page)
        wait_for_sound(page)
        assert page.inner_text("#state") == "Live as Sample voice"
        page.click(".voice:has-text('Sample voice') button")
        page.click("#confirm-dialog button[value=ok]")
        page.wait_for_selector(".voice:has-text('Sample voice')", state="detached")
        assert page.locator("#sample").is_visible()


def test_a_page_that_is_opened_while_the_server_starts_waits_for_it(driver, clips, tmp_path) -> None:
    options = ("--engine", "passthrough", "--workers", "1")
    with (
        served(tmp_path / "starting", *options, ready=False) as server,
        chromium(driver, clips["microphone"]) as browser,
        opened(browser, server.url, loaded=False) as page,
    ):
        page.wait_for_selector("body[data-loaded]", timeout=90_000)
        assert page.inner_text("#state") == "Ready"
        start(page)


def test_no_voice_a_bad_clip_and_a_refused_microphone_say_so(server, browser, clips, screenshots, tmp_path) -> None:
    with opened(browser, server.url) as page:
        page.select_option("#engine", "nano")
        page.click("#start")
        assert "Choose a voice first" in page.inner_text("#message")
        page.screenshot(path=screenshots / "error-no-voice.png", full_page=True)
        silence = tmp_path / "silence.wav"
        write_wav(silence, np.zeros(48000, np.float32), 16000)
        page.set_input_files("#clip-file", str(silence))
        page.click("#draft-save")
        page.wait_for_selector("#voice-message:not([hidden])", timeout=60_000)
        assert "silent" in page.inner_text("#voice-message")
        assert page.locator(".voice").count() == 0


def test_a_refused_microphone_says_what_to_do(driver, server, clips, screenshots) -> None:
    with (
        chromium(driver, clips["microphone"], refuse_microphone=True) as browser,
        opened(browser, server.url, permissions=[]) as page,
    ):
        page.click("#start")
        page.wait_for_selector("#message:not([hidden])")
        assert "The microphone was refused" in page.inner_text("#message")
        assert page.get_attribute("#message", "role") == "alert"
        assert page.evaluate("document.body.dataset.state") == "idle"
        page.screenshot(path=screenshots / "error-microphone.png", full_page=True)


def test_a_full_server_and_a_token(driver, clips, screenshots, tmp_path) -> None:
    options = ("--engine", "passthrough", "--workers", "1", "--capacity", "1")
    with (
        served(tmp_path / "one", *options, token=TOKEN) as server,
        chromium(driver, clips["microphone"]) as browser,
        opened(browser, server.url, loaded=False) as page,
    ):
        page.wait_for_selector("#token-dialog[open]")
        page.fill("#token", "not the token at all")
        page.keyboard.press("Enter")
        page.wait_for_selector("#token-wrong:not([hidden])")
        page.fill("#token", TOKEN)
        page.keyboard.press("Enter")
        page.wait_for_selector("body[data-loaded]")
        start(page)
        wait_for_sound(page)
        second = page.context.new_page()
        second.goto(server.url)
        second.fill("#token", TOKEN)
        second.keyboard.press("Enter")
        second.wait_for_selector("body[data-loaded]")
        second.click("#start")
        second.wait_for_selector("#message:not([hidden])", timeout=20_000)
        told = second.inner_text("#message")
        assert "The server is full" in told
        assert "try again" in told.lower()
        second.screenshot(path=screenshots / "error-full.png", full_page=True)
        # A place that becomes free can be taken.
        page.click("#stop")
        page.wait_for_selector("body[data-state=idle]")
        second.wait_for_timeout(1000)
        second.click("#message button")
        second.wait_for_selector("body[data-state=live]", timeout=40_000)


def test_a_server_that_is_gone_is_said_and_waited_for(driver, clips, tmp_path) -> None:
    with (
        served(tmp_path / "gone", "--engine", "passthrough", "--workers", "1") as server,
        chromium(driver, clips["microphone"]) as browser,
        opened(browser, server.url) as page,
    ):
        start(page)
        wait_for_sound(page)
        server.process.send_signal(signal.SIGTERM)
        page.wait_for_selector("body[data-state=waiting]", timeout=20_000)
        assert "Connection lost" in page.inner_text("#state")
        page.click("#stop")
        page.wait_for_selector("body[data-state=idle]")
        page.click("#start")
        page.wait_for_selector("#message:not([hidden])")
        assert "The server does not answer" in page.inner_text("#message")
