"""``voxpy test``: callers' scripts with expectations, run against scenarios, many at a time.

``casefile`` and ``expectations`` read a script, ``running`` makes one call of it, ``checks`` says
what was not as expected, ``pool`` makes many, ``report`` and ``table`` tell how it went.
"""
