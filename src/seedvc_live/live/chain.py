"""BlockChain: what one stream remembers between its blocks, and how voice switch and bypass join."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from seedvc_live.audio.pcm import Samples
from seedvc_live.audio.sola import cos2_fade, crossfade
from seedvc_live.engines.base import Block, Geometry, Settings, State, Voice, Window
from seedvc_live.live.framer import Frame
from seedvc_live.live.joiner import Joiner

SWITCH_FADE = 0.02
"""Seconds over which a switch without a crossfade of its own is faded."""


@dataclass(frozen=True)
class Target:
    """What the next block shall sound like. `bypass`: the source itself, delayed as the voice is."""

    voice: Voice
    settings: Settings
    bypass: bool = False


@dataclass(frozen=True, eq=False)
class Plan:
    """A frame with the windows that have to be converted for it (none in bypass, two in some switches)."""

    frame: Frame
    target: Target
    windows: tuple[Window, ...]


class BlockChain:
    """Turns frames into windows and converted blocks into output, in order, for one stream.

    It holds the engine's state, so that engines stay pure. `plan` and `complete` are called in turn,
    one frame at a time.
    """

    def __init__(self, geometry: Geometry, target: Target, rate: int, seed: int = 0) -> None:
        """
        Args:
            geometry: fixed for the stream.
            target: what the first block sounds like.
            rate: of the engine, Hz.
            seed: of the stream's random draws.
        """
        self.geometry = geometry
        self.target = target
        self.seed = seed
        self._joiner = Joiner(geometry)
        self._state: State | None = None
        self._current: Target | None = None
        self._fade = cos2_fade(min(geometry.block, round(SWITCH_FADE * rate)))

    def plan(self, frame: Frame, *, bypass: bool = False) -> Plan:
        """The windows that `frame` needs, given what is sounding now and what shall sound next.

        `bypass` lets this frame through unconverted, whatever the target says.
        """
        old, new = self._current or self.target, self.target
        if bypass:
            new = replace(new, bypass=True)
        targets = []
        if not new.bypass:
            targets.append(new)
            if not old.bypass and old != new and not self.geometry.crossfade:
                targets.append(old)
        elif not old.bypass:
            targets.append(old)
        windows = tuple(self._window(frame, target) for target in targets)
        return Plan(frame, new, windows)

    def complete(self, plan: Plan, blocks: Sequence[Block]) -> Samples:
        """Join the converted windows of `plan`; return geometry.block samples."""
        old, new = self._current or plan.target, plan.target
        self._current = new
        dry = self.dry(plan.frame)
        if not blocks:
            self._state = None
            return dry
        wet = self._joiner.accept(blocks[0])
        # Beyond a bypassed stretch an engine starts cold: its state belongs to another instant.
        self._state = None if new.bypass else blocks[0].state
        if new.bypass:
            return self._blend(wet, dry)
        if old.bypass:
            return self._blend(dry, wet)
        if len(blocks) > 1:
            return self._blend(blocks[1].samples[: self.geometry.block], wet)
        return wet

    def skip(self) -> None:
        """A frame was not converted: the next one starts cold."""
        self._state = None

    def dry(self, frame: Frame) -> Samples:
        """The source's own samples of the frame's block, shape (geometry.block,)."""
        left = self.geometry.left_context
        return frame.samples[left : left + self.geometry.block]

    def _window(self, frame: Frame, target: Target) -> Window:
        return Window(frame.start, frame.samples, target.voice, target.settings, self.seed, self._state)

    def _blend(self, old: Samples, new: Samples) -> Samples:
        size = len(self._fade)
        out = new.copy()
        out[:size] = crossfade(old[:size], new[:size], self._fade)
        return out
