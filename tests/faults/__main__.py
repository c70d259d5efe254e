"""Soak: faults, kills, losses of power and live readers, for hours (``python -m tests.faults``).

    python -m tests.faults --hours 8          until then, one table at the end
    python -m tests.faults --minutes 2        a short look
    python -m tests.faults --soak 1000000     readers only, until that many chunks are published;
                                              with --hours or --minutes, until then at most

Stops at the first frame that was promised and lost, and at the first wrong pixel, with the seed
that shows it.
"""

from __future__ import annotations

import argparse
import logging
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import monotonic, sleep

from aqz_core.errors import StorageError
from aqz_core.recovery import validate_store
from tests.faults.faulty_sink import FAULTS
from tests.faults.live_readers import Soak, soak
from tests.faults.power_loss import Scenario, lose_power_everywhere
from tests.faults.recordings import goes_on, record_into, right_frames
from tests.faults.test_recovery import KILLED, PLANS, assert_whole, go_on

CHECKOUT = Path(__file__).resolve().parents[2]


CHUNKS_AT_ONCE = 20_000
"""Published in one turn of the live readers."""

READING = "live readers"


@dataclass
class Row:
    """One line of the table."""

    tried: int = 0
    at_risk: int = 0
    lost: int = 0
    slowest: float = 0.0


def fault(name: str, random: Random, folder: Path, row: Row) -> None:
    """Record into a store that meets one fault."""
    store = folder / "s"
    faults = FAULTS[name](random.randrange(1, 40), store)
    try:
        met = record_into(store, faults, pyramid=random.random() < 0.5)
    except StorageError:
        row.tried += 1
        return
    if faults.struck is None:
        return
    row.tried += 1
    row.slowest = max(row.slowest, met.seconds)
    assert met.error or met.close_error
    if name == "store removed":
        return
    row.at_risk += met.flushed
    row.lost += max(0, met.flushed - right_frames(store))
    assert goes_on(store) >= met.flushed
    assert validate_store(store).is_valid


def kill(random: Random, folder: Path, row: Row) -> None:
    """Kill a recording at a random instant, and resume it."""
    plan = PLANS[random.choice([name for name in PLANS if name != "chunk files"])]
    store = folder / "s"
    flushes = sorted(random.sample(range(1, plan.frames), 3))
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=CHECKOUT
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        version = random.choice(["V3", "V2"])
        process.stdin.write(pickle.dumps((plan, str(store), flushes, version)))
        process.stdin.flush()
        first = process.stdout.readline()
        sleep(random.random() * 0.1)
        process.kill()
        said = [first, *process.stdout.read().splitlines()]
    flushed = max((int(word) for word in said if word.strip().isdigit()), default=0)
    row.tried += 1
    row.at_risk += flushed
    began = go_on(store, plan)
    row.lost += max(0, flushed - began)
    assert_whole(store, plan)


def power(random: Random, folder: Path, row: Row) -> None:
    """Cut the power everywhere in one recording."""
    frames = random.randrange(4, 16)
    scenario = Scenario(
        frames=frames,
        chunks=(random.choice([1, 2, 4]), random.choice([8, 16, 32]), 16),
        shards=(random.choice([1, 2, 4]), random.choice([1, 2, 4]), 2),
        compression=random.choice(["none", "zstd", "blosc"]),
        flushes=tuple(sorted(random.sample(range(1, frames + 1), 3))),
        durability=random.choice(["shard", "flush"]),
    )
    losses = lose_power_everywhere(scenario, folder, [random.randrange(10**6)], step=3)
    row.tried += losses.states
    row.at_risk += losses.promised
    row.lost += len(losses.lost)
    assert not losses.lost, (scenario, losses.lost)


def read_live(seed: int, folder: Path, met: dict[str, Soak], chunks: int, until: float) -> None:
    """Let readers look at a recording of that many chunks."""
    for name, found in soak(folder / "s", chunks, seed, until=until).items():
        met[name].add(found)


def main() -> None:
    """Run until the time is over, and print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float, default=0.0)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--soak", type=int, default=0, metavar="CHUNKS")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    minutes = 60 * options.hours + options.minutes
    stop = monotonic() + 60 * (minutes or 1)
    rows: dict[str, Row] = defaultdict(Row)
    met: dict[str, Soak] = defaultdict(Soak)
    if options.soak:
        with tempfile.TemporaryDirectory(prefix="aqz-soak-") as folder:
            until = stop if minutes else float("inf")
            read_live(options.seed, Path(folder), met, options.soak, until)
        print_readers(met)
        return
    kinds = ["kill -9", "loss of power", READING, *FAULTS]
    seed = options.seed
    while monotonic() < stop or seed < options.seed + len(kinds):
        name = kinds[seed % len(kinds)]
        random, folder = Random(seed), Path(tempfile.mkdtemp(prefix="aqz-faults-"))
        try:
            if name == "kill -9":
                kill(random, folder, rows[name])
            elif name == "loss of power":
                power(random, folder, rows[name])
            elif name == READING:
                read_live(seed, folder, met, CHUNKS_AT_ONCE, float("inf"))
                continue
            else:
                fault(name, random, folder, rows[name])
            assert not rows[name].lost, f"{rows[name].lost} promised frames are lost"
        except BaseException as error:
            error.add_note(f"{name}, --seed {seed}")
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            seed += 1
    print("| fault | times tried | frames at risk | frames lost | longest time until the error |")
    print("|---|---|---|---|---|")
    for name, row in rows.items():
        told = f"{row.slowest:.3f} s" if name in FAULTS else "none is raised"
        print(f"| {name} | {row.tried} | {row.at_risk} | {row.lost} | {told} |")
    print_readers(met)


def print_readers(met: dict[str, Soak]) -> None:
    """Print what live readers met."""
    print("\n| reader | chunks published | turns | frames compared | reads repeated | wrong |")
    print("|---|---|---|---|---|---|")
    for name, found in met.items():
        counts = f"{found.chunks:,} | {found.turns:,} | {found.frames:,} | {found.retries:,}"
        print(f"| {name} | {counts} | 0 |")


if __name__ == "__main__":
    main()
