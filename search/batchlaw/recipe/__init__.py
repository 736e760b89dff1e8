"""From a point of the search space to everything that decides one training run. Never imports torch."""
