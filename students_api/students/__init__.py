"""The students of a college: a resource. Its fields and models are in `student`, its routes in `routes`.

Nothing is imported here, so that resources can import each other's documents; `main` lists the routers and documents.
"""
