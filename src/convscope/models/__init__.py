"""Trained networks: any Keras graph laid out flat, so that every unit has one kernel and one place.

Open network.py first.
"""
