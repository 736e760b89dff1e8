"""From a point of the search space to the configuration of a training run. Never imports torch."""
