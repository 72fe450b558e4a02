"""What a run shows: pages in HTML, and the words on them; one file a page, drawn by templates/.

Open circuit.py for the page of a circuit, html.py for how a template becomes a file.
"""
