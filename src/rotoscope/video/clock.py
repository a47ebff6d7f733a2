"""Times of frames in a file that is written: those of the source, as long as they go forward."""

from __future__ import annotations

from fractions import Fraction

LEAP = 3600
"""Seconds. A leap of more than that is a clock that started again, not a picture that stands."""


class Clock:
    """Gives each frame its time in ticks, always after the one before.

    Args:
        rate: frames per second, of frames without a time.
        tick: seconds of a tick.
        origin: the time in seconds that becomes 0; the first frame's own time if None.
    """

    def __init__(self, rate: Fraction, tick: Fraction, origin: Fraction | None = None) -> None:
        self._step = max(1, round(1 / (rate * tick)))
        self._tick = tick
        self._origin = origin
        self._last = -1

    def next(self, time: Fraction | float | None) -> int:
        """The tick of the next frame, shown ``time`` seconds from the source's start.

        A time that does not come after the one before, or leaps by more than :data:`LEAP`, counts as none: the frame
        follows after one by the rate, and later ones are counted from it.
        """
        tick = self._last + self._step if self._last >= 0 else 0
        if time is not None:
            time = Fraction(time)
            if self._origin is None:
                self._origin = time - tick * self._tick
            ticks = round((time - self._origin) / self._tick)
            if self._last < ticks <= max(self._last, 0) + LEAP / self._tick:
                tick = ticks
            else:
                self._origin = time - tick * self._tick
        self._last = tick
        return tick
