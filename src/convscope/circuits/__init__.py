"""Which inputs excite or inhibit a unit, exactly, and how far few of them explain it.

Open attribution.py first: the preactivation as a sum of contributions.
"""
