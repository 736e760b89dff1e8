"""Claims about batch size and learning rate, judged on designed, unpruned runs.

`hypotheses` is the catalogue, `tables` and `designed` make surfaces of files and of studies, `evidence` is what a
surface says, `verdict` and `pooled` judge. Nothing is imported here: the catalogue must load without the statistics.
"""
