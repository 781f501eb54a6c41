"""What this service's documents and queries add to Beanie: versions, hooks, encoding, indexes, migrations.

No FastAPI and no HTTP here: an error of this layer becomes a response in `http`.
"""
