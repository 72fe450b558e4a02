"""Pictures as arrays, drawn from plain values: uint8 RGB of shape `(height, width, 3)`.

Open canvas.py first: what the others draw on.
"""
