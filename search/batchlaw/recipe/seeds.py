"""The one place where seeds come from: every stream of randomness has a name, and no two share numbers."""

import hashlib


def derive_seed(*parts: int | str) -> int:
    """A 32-bit seed from the names of a stream, such as `derive_seed(study_seed, "run", replicate)`.

    SHA-256 rather than `hash()`, which differs between processes; 32 bits because NumPy's RandomState takes no more.
    """
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:4], "big")
