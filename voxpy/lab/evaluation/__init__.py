"""What a call was like, measured without a cloud, and a judge for what cannot be measured.

Small pure functions over words (``words``) and sound (``audible``), put together for one call by
``measures.evaluate``, counted over many by ``rates``. ``judge`` asks a language model, if one is
given.
"""
