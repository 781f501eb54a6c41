"""What every request goes through, whatever it asks for: uvicorn's protocol, middleware, limits, problem details.

Nothing here knows a resource. Who may watch requests, by logs and metrics, is in `operations`.
"""
