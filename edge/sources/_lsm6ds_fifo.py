"""The two kinds of FIFO that ST's LSM6DS chips have: words in a fixed pattern, and words that carry a tag.

Sections are of the application notes AN4650 (LSM6DS3, LSM6DS33) and AN5192 (LSM6DSO), chapter on the FIFO.  In both
kinds a read that goes on past the last output register starts again at the first ("rounding"), so one transfer takes
many words.
"""

from typing import ClassVar, Protocol

import numpy as np

from edge.sources._i2c import TRANSFER_BYTES_MAX, Bus
from edge.sources._imu import Counts, Drained
from telemetry.clock import Clock

FIFO_STATUS1 = 0x3A
OVERRUN = 0x40  # FIFO_STATUS2, both kinds
BYPASS, CONTINUOUS = 0, 6  # FIFO_MODE: bypass empties it, continuous drops the oldest when full


class Fifo(Protocol):
    """How it is set up, emptied and read."""

    samples: int  # of one sensor

    def settings(self, rate: int) -> list[tuple[int, int]]:
        """(register, value) that make it take both sensors at the rate of this code; it stays empty."""
        ...

    def mode(self, mode: int, rate: int) -> tuple[int, int]:
        """(register, value) that set its mode."""
        ...

    def drain(self, bus: Bus, address: int, clock: Clock) -> Drained:
        """Take what it holds."""
        ...


class PatternFifo:
    """LSM6DS3, LSM6DS33, LSM6DSL, LSM6DSM: 16-bit words, gyroscope x y z, accelerometer x y z, and again."""

    FIFO_CTRL3, FIFO_CTRL5, DATA_OUT = 0x08, 0x0A, 0x3E
    NO_DECIMATION = 0x09  # FIFO_CTRL3: DEC_FIFO_GYRO = 1, DEC_FIFO_XL = 1
    WORDS, WORD_BYTES = 6, 2

    def __init__(self, size_bytes: int) -> None:
        self.samples = size_bytes // (self.WORDS * self.WORD_BYTES)
        # DIFF_FIFO has 12 bits where there are 8 KiB and 11 where there are 4
        self._high_bits = 0x0F if size_bytes > 4096 else 0x07

    def settings(self, rate: int) -> list[tuple[int, int]]:
        """FIFO_CTRL5 carries the rate too, so it goes with the mode."""
        return [(self.FIFO_CTRL3, self.NO_DECIMATION)]

    def mode(self, mode: int, rate: int) -> tuple[int, int]:
        """ODR_FIFO in bits 6-3, FIFO_MODE in 2-0."""
        return self.FIFO_CTRL5, rate << 3 | mode

    def drain(self, bus: Bus, address: int, clock: Clock) -> Drained:
        """FIFO_STATUS1-2: words unread; FIFO_STATUS3-4: which word of the pattern comes next."""
        asked_s = clock.monotonic_s()
        [status] = bus.read(address, (FIFO_STATUS1, 4))
        answered_s = clock.monotonic_s()
        words = status[0] | (status[1] & self._high_bits) << 8
        if status[1] & OVERRUN:
            return Drained(asked_s, answered_s, {}, "fifo_overflow")
        if words and status[2] | (status[3] & 0x03) << 8:
            return Drained(asked_s, answered_s, {}, "fifo_misaligned")
        frame_bytes = self.WORDS * self.WORD_BYTES
        frames = min(words // self.WORDS, TRANSFER_BYTES_MAX // frame_bytes)
        if not frames:
            return Drained(asked_s, answered_s, {})
        [data] = bus.read(address, (self.DATA_OUT, frames * frame_bytes))
        rows = np.frombuffer(data, "<i2").reshape(frames, self.WORDS)
        return Drained(asked_s, answered_s, {"acceleration": rows[:, 3:], "gyroscope": rows[:, :3]})


class TaggedFifo:
    """LSM6DSO, LSM6DSOX, LSM6DSR, ISM330DHCX: words of a tag and three 16-bit values, up to 512 of them (3 KiB)."""

    FIFO_CTRL3, FIFO_CTRL4, DATA_OUT_TAG = 0x09, 0x0A, 0x78
    WORDS_MAX, WORD_BYTES = 512, 7
    LATCHED = 0x08  # FIFO_STATUS2: FIFO_OVR_LATCHED
    TAGS: ClassVar[dict[str, int]] = {"gyroscope": 0x01, "acceleration": 0x02}  # TAG_SENSOR, bits 7-3 of the tag

    samples = WORDS_MAX // 2

    def settings(self, rate: int) -> list[tuple[int, int]]:
        """FIFO_CTRL3: BDR_GY in bits 7-4, BDR_XL in 3-0."""
        return [(self.FIFO_CTRL3, rate << 4 | rate)]

    def mode(self, mode: int, rate: int) -> tuple[int, int]:
        """FIFO_MODE in bits 2-0; neither time stamps nor temperatures are batched."""
        return self.FIFO_CTRL4, mode

    def drain(self, bus: Bus, address: int, clock: Clock) -> Drained:
        """FIFO_STATUS1-2: DIFF_FIFO, words unread, ten bits."""
        asked_s = clock.monotonic_s()
        [status] = bus.read(address, (FIFO_STATUS1, 2))
        answered_s = clock.monotonic_s()
        if status[1] & (OVERRUN | self.LATCHED):
            return Drained(asked_s, answered_s, {}, "fifo_overflow")
        words = status[0] | (status[1] & 0x03) << 8
        if not words:
            return Drained(asked_s, answered_s, {})
        [data] = bus.read(address, (self.DATA_OUT_TAG, words * self.WORD_BYTES))
        table = np.frombuffer(data, np.uint8).reshape(words, self.WORD_BYTES)
        values: Counts = table[:, 1:].copy().view("<i2")
        tags = table[:, 0] >> 3
        return Drained(asked_s, answered_s, {sensor: values[tags == tag] for sensor, tag in self.TAGS.items()})
