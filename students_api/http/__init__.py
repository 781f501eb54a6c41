"""HTTP for every request, whichever route it takes: uvicorn's protocol, middleware, limits, problem details.

Nothing here knows a resource. The access log and the metrics are in `operations`.
"""
