"""What concerns who runs the service: start and stop, health, logs, metrics, traces, workers, `check`.

Only `main` and the command import it; a resource never does.
"""
