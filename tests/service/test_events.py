from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedvc_live.service.events import MAX_LISTENERS, QUEUE, Listeners, Subscription, sse
from seedvc_live.service.problems import ProblemError
from tests.tools.server import asynctest


async def drain(subscription: Subscription) -> list[tuple[str, dict]]:
    found = []
    while (event := await subscription.next(1.0)) is not None:
        found.append(event)
    return found


@given(states=st.sets(st.integers(0, 199), max_size=QUEUE // 2))
def test_a_slow_listener_misses_old_statistics_and_no_change_of_state(states) -> None:
    async def scenario() -> None:
        subscription = Subscription()
        for number in range(200):
            subscription.offer("state" if number in states else "stats", {"n": number})
        subscription.end()
        found = await drain(subscription)
        assert len(found) == QUEUE
        assert {data["n"] for name, data in found if name == "state"} == states
        stats = [data["n"] for name, data in found if name == "stats"]
        latest = [number for number in range(200) if number not in states]
        assert stats == latest[-len(stats) :]
        assert [data["n"] for _, data in found] == sorted(data["n"] for _, data in found)
        assert subscription.dropped == 200 - QUEUE

    asyncio.run(scenario())


@asynctest
async def test_what_is_offered_before_the_end_still_comes() -> None:
    listeners = Listeners()
    first, second = listeners.add(), listeners.add()
    listeners.publish("state", {"state": "closed"})
    listeners.end()
    assert await drain(first) == await drain(second) == [("state", {"state": "closed"})]


@asynctest
async def test_silence_is_told_apart_from_the_end() -> None:
    with pytest.raises(asyncio.TimeoutError):
        await Subscription().next(0.01)


@asynctest
async def test_listeners_are_bounded_and_their_places_come_back() -> None:
    listeners = Listeners()
    first, *_ = [listeners.add() for _ in range(MAX_LISTENERS)]
    with pytest.raises(ProblemError):
        listeners.add()
    listeners.remove(first)
    listeners.remove(first)
    listeners.add()


@given(st.dictionaries(st.text(), st.text() | st.floats(allow_nan=False) | st.none()))
def test_an_event_is_two_lines_whatever_is_in_it(data) -> None:
    name, line, *rest = sse("stats", data).decode("utf-8", "surrogatepass").split("\n")
    assert name == "event: stats"
    assert rest == ["", ""]
    assert json.loads(line.removeprefix("data: ")) == data
