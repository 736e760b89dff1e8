"""Prints lines of every shape: a progress bar, bytes that are no text, 100 MB without a line break, and its metric."""

import sys

out = sys.stdout.buffer
for step in range(500):
    out.write(b"\rstep %d/500 [\x1b[32m===\x1b[0m]" % step)
out.write(b"\n\xff\xfe\x00 no text\n")
for _ in range(100):
    out.write(b"x" * (1 << 20))
out.write(b"\nval loss 0.25, of 1 batch\r\n")
out.write(b"the last line has no end")
