"""What the service costs, as ratios in one run."""
