"""Random callers: calls that nobody would think of, and what must be true of every one of them.

A *plan* is one call: a CallerScript with the service's behaviour in it, so that what is found can
be written down and replayed. ``strategies`` invents plans, ``perform`` makes the call on virtual
time, ``invariants`` judges what it left, ``shrink`` makes a failing plan small, ``hunt`` is all of
it together. See docs/testing.md.
"""
