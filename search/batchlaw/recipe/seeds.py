"""Seeds of all random numbers. Each use has a name, so that no two share their numbers."""

import hashlib


def derive_seed(*parts: int | str) -> int:
    """A 32-bit seed from the parts of a name, such as `derive_seed(study_seed, "run", replicate)`.

    By SHA-256, because `hash()` differs between processes. NumPy's RandomState takes at most 32 bits.
    """
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:4], "big")
