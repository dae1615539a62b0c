"""The tiny scale: a log that needs no package. Who likes what hangs on hidden vectors of users and things."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from suites.ctr_prediction.log import Log

ROWS, USERS, THINGS, KINDS, CITIES = 4_000, 800, 1_200, 6, 9


def log() -> Log:
    """user_id, city (of the user), item_id, year (of the thing), genres (a bag of up to two)."""
    rng = np.random.default_rng(7)
    user, thing = rng.integers(USERS, size=ROWS), rng.integers(THINGS, size=ROWS)
    kinds = rng.integers(1, KINDS + 1, (THINGS, 2)) * np.array([1, 1]) * (rng.random((THINGS, 2)) < [1.0, 0.5])
    likes, quality = rng.normal(size=(USERS, KINDS + 1)), rng.normal(size=THINGS)
    city, year = rng.integers(1, CITIES + 1, USERS), rng.integers(1, 13, THINGS)
    taste = likes[user, kinds[thing, 0]] + 0.3 * (year[thing] > 6)
    clicks = rng.random(ROWS) < 1 / (1 + np.exp(-1.5 * (taste + quality[thing])))
    values: Mapping[str, NDArray[np.int64]] = {
        "user_id": user[:, None] + 1,
        "city": city[user][:, None],
        "item_id": thing[:, None] + 1,
        "year": year[thing][:, None],
        "genres": kinds[thing].astype(np.int64),
    }
    return Log(values, clicks.astype(np.float32), user.astype(np.int32), np.arange(ROWS))
