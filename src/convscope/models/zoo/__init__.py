"""Where networks come from: packages, keras.applications, files.

Open registry.py first: a network by its settings, checked without TensorFlow.
"""
