from __future__ import annotations

import logging
import subprocess
import sys

from seedvc_live.media.webrtc_ice import ice_agent
from seedvc_live.media.webrtc_warm import warm_up


def test_it_negotiates_for_real_and_leaves_nothing_behind(caplog) -> None:
    with caplog.at_level(logging.WARNING):
        warm_up()
    assert caplog.records == []


def test_the_first_session_after_it_does_not_pay_for_loading() -> None:
    """In a fresh process the first negotiation loads the plugins; after warming up they are there already."""
    script = (
        "from seedvc_live.media.webrtc_warm import warm_up; warm_up();"
        "from seedvc_live.media.elements import Gst;"
        "print(sorted(p.get_name() for p in Gst.Registry.get().get_plugin_list() if p.is_loaded()))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    for plugin in ("webrtc", "nice", "dtls", "srtp", "rtpmanager", "opus"):
        assert f"'{plugin}'" in loaded, plugin


def test_no_router_is_asked_to_open_a_port() -> None:
    from seedvc_live.media.elements import make
    from seedvc_live.media.webrtc_ice import IcePolicy, configure

    webrtc = make("webrtcbin")
    configure(webrtc, IcePolicy())
    agent = ice_agent(webrtc).get_property("agent")
    if agent.find_property("upnp") is not None:
        assert agent.get_property("upnp") is False
