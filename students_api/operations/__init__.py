"""For operators: lifespan, health checks, logs, metrics, traces, workers, `students-api check`.

Only `main` and the command import it; a resource never does.
"""
