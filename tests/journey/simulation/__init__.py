"""A seeded world: the real batcher, retry, intake, index and ledger over memory adapters that fail by chance.

One `Random(seed)` decides everything and one clock moves only when nobody has anything left to do, so a run takes
milliseconds, and the same seed takes the same way every time.
"""
