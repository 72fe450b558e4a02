"""What a layer does on photographs: recorded in one pass, kept in an index, asked many times.

Open recorder.py for the pass, index.py for what is kept of it.
"""
