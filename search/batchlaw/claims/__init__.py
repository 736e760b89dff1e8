"""Claims about batch size and learning rate, judged on designed runs that were never pruned.

`claim` has the public result. `hypotheses` is the catalogue. `tables` and `designed` turn files and studies into
surfaces of scores, `evidence` analyses a surface, `verdict` and `pooled` judge it. This module imports nothing, so that
the catalogue loads without the statistics.
"""
