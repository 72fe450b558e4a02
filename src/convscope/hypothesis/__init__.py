"""A claim about a unit: written down before anything is seen, tested, and argued for or against.

Open claims.py first: the kinds of claims.
"""
