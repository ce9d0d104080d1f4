"""Random streams by purpose: a change in one part of a study leaves the draws of the others."""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, purpose: str, replication: int = 0) -> np.random.Generator:
    """The generator for one purpose (``process``, ``items``, ...) of one seed."""
    entropy = [seed, zlib.crc32(purpose.encode("utf-8")), replication]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))
