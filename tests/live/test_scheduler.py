"""Earliest deadline first, and batches that make nobody late."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedvc_live.live.scheduler import Entry, Scheduler

JOBS = st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 1), st.integers(1, 2)), min_size=1, max_size=12)
COSTS = st.fixed_dictionaries({"a": st.floats(0.001, 0.3), "b": st.floats(0.001, 0.3)})


def filled(jobs, most: int = 8, costs=None) -> Scheduler[int]:
    scheduler: Scheduler[int] = Scheduler(most)
    for group, seconds in (costs or {}).items():
        scheduler.observe(group, 1, seconds)
    for key, (group, deadline, windows) in enumerate(jobs):
        scheduler.add(Entry(key, group, deadline, windows))
    return scheduler


def drain(scheduler: Scheduler[int], now: float = 0.0) -> list[list[Entry[int]]]:
    batches = []
    while batch := scheduler.next(now):
        batches.append(batch)
    return batches


@given(JOBS, COSTS, st.integers(2, 8))
def test_every_job_is_done_once_in_batches_of_one_group_and_bounded_size(jobs, costs, most) -> None:
    batches = drain(filled(jobs, most, costs))
    assert sorted(entry.key for batch in batches for entry in batch) == list(range(len(jobs)))
    for batch in batches:
        assert len({entry.group for entry in batch}) == 1
        assert sum(entry.windows for entry in batch) <= most


@given(JOBS, COSTS)
def test_the_head_of_each_batch_is_the_most_urgent_job_of_all(jobs, costs) -> None:
    scheduler = filled(jobs, 8, costs)
    waiting = dict(enumerate(jobs))
    while batch := scheduler.next(0.0):
        assert batch[0].deadline == min(deadline for _, deadline, _ in waiting.values())
        assert [entry.deadline for entry in batch] == sorted(entry.deadline for entry in batch)
        for entry in batch:
            del waiting[entry.key]


@given(JOBS, COSTS, st.floats(0, 1))
def test_company_makes_neither_the_head_nor_a_more_urgent_job_of_others_late(jobs, costs, now) -> None:
    scheduler = filled(jobs, 8, costs)
    batch = scheduler.next(now)
    if len(batch) == 1:
        return
    end = now + costs[batch[0].group] * sum(entry.windows for entry in batch)
    assert end <= batch[0].deadline + 1e-9
    for key, (group, deadline, windows) in enumerate(jobs):
        if key in scheduler and group != batch[0].group and deadline < batch[-1].deadline:
            assert end + costs[group] * windows <= deadline + 1e-9


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.001, 0.3)), min_size=1, max_size=6))
def test_no_other_order_is_less_late(jobs) -> None:
    scheduler: Scheduler[int] = Scheduler(1)
    for key, (deadline, _) in enumerate(jobs):
        scheduler.add(Entry(key, "a", deadline))
    order = [batch[0].key for batch in drain(scheduler)]

    def lateness(keys) -> float:
        ends = itertools.accumulate(jobs[key][1] for key in keys)
        return max(end - jobs[key][0] for key, end in zip(keys, ends, strict=True))

    assert lateness(order) <= min(map(lateness, itertools.permutations(range(len(jobs))))) + 1e-9


def test_equal_geometries_share_a_batch_once_its_cost_is_known() -> None:
    jobs = [("a", 1.0, 1), ("a", 1.1, 1), ("b", 2.0, 1), ("a", 1.2, 1)]
    assert [len(batch) for batch in drain(filled(jobs))] == [1, 1, 1, 1]
    assert [[entry.key for entry in batch] for batch in drain(filled(jobs, 8, {"a": 0.1, "b": 0.1}))] == [
        [0, 1, 3],
        [2],
    ]
    # Three would be late: the head is due at 1.0.
    assert [len(batch) for batch in drain(filled(jobs, 8, {"a": 0.4, "b": 0.1}))] == [2, 1, 1]


def test_a_slow_batch_is_believed_at_once_and_a_quick_one_by_and_by() -> None:
    scheduler: Scheduler[int] = Scheduler()
    assert scheduler.cost("a", 1) is None
    scheduler.observe("a", 1, 0.1)
    assert scheduler.cost("a", 3) == pytest.approx(0.3)
    scheduler.observe("a", 2, 0.12)
    assert scheduler.cost("a", 2) == pytest.approx(0.12)
    scheduler.observe("a", 2, 0.05)
    assert 0.05 < scheduler.cost("a", 2) < 0.12
    scheduler.observe("a", 2, 0.5)
    assert scheduler.cost("a", 2) == pytest.approx(0.5)


def test_one_job_a_stream_and_a_withdrawn_one_is_not_done() -> None:
    scheduler = filled([("a", 1.0, 1), ("a", 0.5, 1)])
    with pytest.raises(ValueError, match="stream 1"):
        scheduler.add(Entry(1, "a", 0.1))
    scheduler.discard(1)
    scheduler.discard(7)
    assert [entry.key for batch in drain(scheduler) for entry in batch] == [0]
    with pytest.raises(ValueError, match="at least one"):
        Scheduler(0)
