"""Waiting with a deadline. What does not happen in time fails with a sentence that says what it was."""

import time

PATIENCE = 30


class Timeout(Exception):
    pass


def until(what, condition, seconds=PATIENCE):
    """Asks again and again until the answer is true, and returns the answer."""
    deadline = time.monotonic() + seconds
    while not (met := condition()):
        if time.monotonic() > deadline:
            raise Timeout(f"{what}: not within {seconds} seconds")
        time.sleep(0.1)
    return met
