"""The impairment bridge itself: it loses what it says, of UDP only, and leaves no namespace behind."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.tools.bridge import is_udp
from tests.tools.loss import Impairment, LossModel
from tests.tools.namespaces import SERVER, BadNetwork, available

_ECHO = """
import socket, sys
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
udp.bind((sys.argv[1], 5000))
print("ready", flush=True)
while True:
    data, address = udp.recvfrom(2000)
    udp.sendto(data, address)
"""
_COUNT = """
import socket, sys, time
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.settimeout(0.5)
udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
for i in range(300):
    udp.sendto(b"%d" % i, (sys.argv[1], 5000))
    time.sleep(0.001)
count = 0
try:
    while udp.recv(100):
        count += 1
except TimeoutError:
    pass
print(count)
"""


def test_the_bridge_loses_udp_and_cleans_up() -> None:
    if (reason := available()) is not None:
        pytest.skip(reason)
    with BadNetwork(seed=4) as network:
        command = network.server(sys.executable, "-c", _ECHO, SERVER)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as echo:
            assert echo.stdout is not None
            echo.stdout.readline()

            def returned(**values: float) -> int:
                network.impair(**values)
                counter = network.client(sys.executable, "-c", _COUNT, SERVER)
                return int(subprocess.run(counter, capture_output=True, text=True, check=True).stdout)

            try:
                assert returned() == 300
                assert 200 < returned(loss=0.1) < 280
                there, back = network.impair(loss=1.0)
                assert 10 < there["lost"] < 60
                assert there["packets"] - there["lost"] == back["packets"]
                assert returned(loss=1.0) == 0
                with pytest.raises(ValueError, match="los"):
                    Impairment.parse({"los": 1})
            finally:
                echo.kill()
        names = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
        assert network._names["middle"] in names
    names = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    assert not [name for name in network._names.values() if name in names]


@pytest.mark.parametrize(("loss", "burst"), [(0.05, 1), (0.2, 1), (0.1, 3)])
def test_losses_are_as_many_and_as_long_as_asked(loss: float, burst: int) -> None:
    model = LossModel(Impairment(loss=loss, burst=burst), seed=9)
    fates = [bool(model.fate()) for _ in range(20_000)]
    lost = fates.count(False) / len(fates)
    # A burst does not begin within a burst, so long ones lose slightly less than asked.
    assert 0.85 * loss < lost < 1.05 * loss + 0.002
    runs = "".join("L" if not fate else " " for fate in fates).split()
    assert min(len(run) for run in runs[:-1]) == burst
    assert LossModel(Impairment(loss=loss, burst=burst), seed=9).fate() == ([0.0] if fates[0] else [])


def test_only_udp_is_touched() -> None:
    def frame(kind: int, protocol: int) -> bytes:
        return bytes(12) + kind.to_bytes(2, "big") + bytes(9) + bytes([protocol]) + bytes(20)

    assert is_udp(frame(0x0800, 17))
    assert not is_udp(frame(0x0800, 6))
    assert not is_udp(frame(0x0806, 17))
