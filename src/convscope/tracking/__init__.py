"""Where results go: files first, Weights & Biases at the same time.

Open tracker.py first.
"""
