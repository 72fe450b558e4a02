"""Feature visualization: the image that excites a unit most, by gradient ascent.

Open ascent.py first: the loop; recipe.py turns settings into it.
"""
