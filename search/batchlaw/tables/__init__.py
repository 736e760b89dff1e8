"""Results made elsewhere: files and DataFrames as runs with a learning rate, a batch size and a score."""
