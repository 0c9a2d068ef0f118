"""Browsing an index in Datasette, on loopback: the one room that imports `datasette` and `uvicorn`.

`serving` keeps the server, `guard` stands before it, `opened` is Datasette over one index, `plugin` what we add to its pages.
"""
