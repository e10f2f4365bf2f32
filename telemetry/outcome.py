"""Every way a batch or a reading can end.  Nothing ends otherwise, and each end is counted under its name."""

from enum import StrEnum


class Outcome(StrEnum):
    """The end of a reading (and of a batch, where all of its readings share it)."""

    STORED = "stored"
    SUMMARISED = "summarised"  # only its window is kept
    DUPLICATE = "duplicate"  # the same content was stored before
    EXPIRED = "expired"  # older than the retention when it arrived
    REJECTED = "rejected"  # refused at the gateway, with a reason
    DEAD_LETTERED = "dead_lettered"  # accepted, then impossible to store; kept, replayable
    DROPPED = "dropped"  # at the edge, by a named policy, announced by a tombstone
    DELETED = "deleted"  # its device was deleted by an operator


class Reason(StrEnum):
    """Why a single reading of a phone's message, or a record of the log, was not stored."""

    NOT_AN_OBJECT = "not_an_object"
    NO_NAME = "no_name"
    BAD_TIME = "bad_time"
    BAD_VALUES = "bad_values"
    NOT_FINITE = "not_finite"
    OUT_OF_RANGE = "out_of_range"
    EXTRA_TOO_LARGE = "extra_too_large"
    IMAGE_TOO_LARGE = "image_too_large"
    TOO_MANY = "too_many"
    # dead letters
    UNDECODABLE = "undecodable"
    CONFLICT = "conflict"
    STORE_REFUSED = "store_refused"
    UNDELIVERED = "undelivered"  # an alert of it, by some channel


class ReceiptStatus(StrEnum):
    """What a sender is told."""

    STORED = "stored"
    REJECTED = "rejected"
    RETRY = "retry"
