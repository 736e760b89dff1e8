"""batchlaw: search batch size and learning rate jointly, and test the claims made about them."""

__version__ = "0.1.0"
