"""Workers: processes that lease slots, run trials and record their outcomes."""
