"""What is measured by training outside of a study: step times, costs, replays and transferred learning rates."""
