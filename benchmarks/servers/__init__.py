"""What the service is compared with: the same API without it."""
