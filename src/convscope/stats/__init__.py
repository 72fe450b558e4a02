"""Statistics on plain arrays, each with its source.

Open roc.py for areas under curves, inference.py for corrections.
"""
