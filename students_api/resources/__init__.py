"""What the routes of all resources share: their route class, schemas, responses, ETags, OpenAPI.

A resource imports from here, `odm`, `http.problems` and `http.negotiation`. What only lists need is in `lists`.
"""
