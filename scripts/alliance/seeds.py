"""One integer seed per task, all following from the seed of the study."""

from __future__ import annotations

import hashlib


def derive_seed(study_seed: int, *task: str) -> int:
    """Seed (0 to 2^31 - 1) of a task; different tasks get unrelated seeds.

    An integer, not a generator: samplers repeat themselves only when they are given an integer.
    """
    text = "/".join([str(study_seed), *task])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
