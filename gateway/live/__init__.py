"""What is written to the log now, told to whoever watches: the way from a POST to an open page.

    log ─► hub ─► stream (a reader's filter and place) ─► outbox (bounded) ─► server-sent events

`marks`, `thinning`, `seen`, `pulses`, `outbox` and `stream` are pure; `hub`, `follower` and `catch_up` read the log.
"""
