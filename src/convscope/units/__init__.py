"""What one filter responds to: classes, drawn stimuli, moved examples.

Open responses.py for photographs and classes, profile.py for everything else.
"""
