"""What this service's documents and queries do beside Beanie: versions, hooks, encoding, indexes, migrations.

No FastAPI and no HTTP here: an error of this layer becomes an answer in `http`.
"""
