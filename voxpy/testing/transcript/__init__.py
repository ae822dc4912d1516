"""What was said and done in a call, compared line by line with what was expected.

``lines`` writes a call as lines, ``expected`` reads what an author wants, ``matching`` lays one
over the other, ``asserting`` says how they differ, and when in the call.
"""
