"""Statistics as pure functions of numbers and arrays, without Optuna, pandas or torch.

Words that all modules use:

- The *given* factor has levels at each of which the best level of the *tuned* factor is sought. To find the best batch
  size at each learning rate, the learning rate is given and the batch size is tuned.
- A *cell* is one level of each. Its runs are *replicates*, which are *paired* if a replicate has the same seed in every
  cell.
- The *ridge* is the optimum of the tuned factor at each level of the given one. An optimum is *identified* if it lies
  inside the grid and is better than both ends, *censored* if only a bound on it is known (see `optimum.Ridge`).
- Both factors are read on a log₂ scale, and distances on it are in *octaves* (factors of 2). A slope is in octaves of
  the tuned factor per octave of the given one.
- Scores are better the higher they are. `alpha` is 1 minus the confidence of an interval.
"""
