"""Results made elsewhere: files, stores and DataFrames as runs with a learning rate, a batch size and a score.

Formats are CSV, TSV and other delimited text, Parquet, Excel, JSON, and the tables of Markdown pages, packed or not.
Each may hold a row for each run, a row for each epoch, or a matrix of rates and batch sizes.
See docs/reference/tables.md.
"""
