"""Photographs and their classes, and WordNet above them.

Open dataset.py first.
"""
