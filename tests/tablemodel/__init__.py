"""An independent model of what a table must hold: random tables, dialects and files, and plain dictionaries beside the database.

Nothing in here comes from the loader: files are written with Python's own csv and codecs, rows are kept as the typed values that they
were made from.
"""
