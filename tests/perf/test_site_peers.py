"""Our site's build beside `asv publish` and ann-benchmarks' site builder, on the same number of results.

On demand, with both installed elsewhere (neither is a dependency, nothing of theirs is here):
`python tests/perf/test_site_peers.py --asv VENV/bin/asv --ann CHECKOUT --ann-python VENV/bin/python`.
Each gets results of its own kind: asv one number a result, ann-benchmarks 200 times and lists, we about 900 samples.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.publish.site import build_site
from tests.perf import site_records

METHODS, POINTS, MACHINES = 94, 6, 4
MAKE_ANN = """
import sys, h5py, numpy as np, os
rng = np.random.default_rng(0)
count = int(sys.argv[1])
datasets = ["glove-25-angular", "sift-128-euclidean", "mnist-784-euclidean", "glove-100-angular"]
os.makedirs("data", exist_ok=True)
near = np.sort(rng.random((200, 100)), axis=1)
for name in datasets:
    with h5py.File(f"data/{name}.hdf5", "w") as file:
        file.attrs["distance"], file.attrs["type"] = name.split("-")[-1], "dense"
        for key, values in dict(distances=near, neighbors=np.zeros((200, 100), int), train=near, test=near).items():
            file[key] = values
for i in range(count):
    name, method = datasets[i % 4], f"method-{i // 4 % 94}"
    folder = f"results/{name}/10/{method}"
    os.makedirs(folder, exist_ok=True)
    with h5py.File(f"{folder}/run_{i}.hdf5", "w") as file:
        values = dict(algo=method, name=f"{method}({i})", dataset=name, count=10, batch_mode=False, build_time=1.0,
                      index_size=1.0, candidates=10.0, best_search_time=float(rng.uniform(1e-4, 1e-2)),
                      distance=name.split("-")[-1], run_count=1, expect_extra=False)
        for key, value in values.items():
            file.attrs[key] = value
        file["times"] = rng.uniform(1e-4, 1e-2, 200)
        file["neighbors"] = np.zeros((200, 10), int)
        file["distances"] = near[:, :10] * rng.choice([1.0, 1.2], (200, 10))
"""


def run(command: Sequence[str], folder: Path) -> dict[str, float]:
    """Seconds of a command: wall, and processor of it and its children."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": round(time.perf_counter() - started, 1), "cpu_s": round(cpu, 1)}


def ours(folder: Path, results: int) -> dict[str, float]:
    """Build our site of so many records."""
    site_records.write(folder / "results", results)
    work = "from tests.perf.test_site_peers import build; import sys; build(sys.argv[1])"
    return run([sys.executable, "-c", work, str(folder)], Path(__file__).resolve().parents[2])


def build(folder: str) -> None:
    """One build, in a process of its own."""
    build_site([Path(folder) / "results"], site_records.make_registry(), Path(folder) / "site")


def asv(folder: Path, results: int, program: str) -> dict[str, float]:
    """`asv publish` of so many numbers: benchmarks with a parameter, commits, machines."""
    repository = folder / "repository"
    repository.mkdir()
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(repository)]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    commits = max(1, results // (METHODS * POINTS * MACHINES))
    hashes = []
    for number in range(commits):
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", f"c{number}"], check=True)
        hashes.append(
            subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
        )
    config = {
        "version": 1,
        "project": "p",
        "repo": str(repository),
        "branches": ["main"],
        "environment_type": "virtualenv",
    }
    (folder / "asv.conf.json").write_text(json.dumps(config | {"results_dir": "results", "html_dir": "html"}))
    names = [f"suite.time_method_{number}" for number in range(METHODS)]
    benchmark = {"code": "", "param_names": ["point"], "params": [[f"'p{i}'" for i in range(POINTS)]], "type": "time",
                 "unit": "seconds", "version": "1", "timeout": 60}  # fmt: skip
    (folder / "results").mkdir()
    known = {name: benchmark | {"name": name} for name in names}
    (folder / "results/benchmarks.json").write_text(json.dumps(known | {"version": 2}))
    for machine in (f"machine{number}" for number in range(MACHINES)):
        place = folder / "results" / machine
        place.mkdir()
        facts = {"machine": machine, "arch": "x", "cpu": "c", "num_cpu": "2", "os": "l", "ram": "1"}
        (place / "machine.json").write_text(json.dumps(facts | {"version": 1}))
        for number, commit in enumerate(hashes):
            values = {
                name: [
                    [0.01 * (1 + (number * 7 + i) % 5) for i in range(POINTS)],
                    [[f"'p{i}'" for i in range(POINTS)]],
                    "1",
                ]
                for name in names
            }
            text: dict[str, Any] = {
                "commit_hash": commit, "env_name": "env", "date": 1_600_000_000_000 + 86_400_000 * number,
                "params": facts, "python": "3.11", "requirements": {}, "env_vars": {}, "results": values,
                "result_columns": ["result", "params", "version"], "durations": {}, "version": 2,
            }  # fmt: skip
            (place / f"{commit[:8]}-env.json").write_text(json.dumps(text))
    found = run([program, "publish"], folder)
    graphs = sum(1 for _ in (folder / "html/graphs").rglob("*.json"))
    return found | {"results": commits * METHODS * POINTS * MACHINES, "graphs": graphs}


def ann(folder: Path, results: int, checkout: Path, python: str) -> dict[str, float]:
    """ann-benchmarks' site of so many runs: from files without its cache of metrics, then with it."""
    subprocess.run(["cp", "-r", f"{checkout}/.", str(folder)], check=True)
    subprocess.run([python, "-c", MAKE_ANN, str(results)], cwd=folder, check=True)
    (folder / "html").mkdir()
    command = [python, "create_website.py", "--outputdir", "html", "--scatter"]
    first, again = run(command, folder), run(command, folder)
    pages = [path.stat().st_size for path in (folder / "html").glob("*.html")]
    return first | {"again_cpu_s": again["cpu_s"], "pages": len(pages), "heaviest_page_kb": max(pages) // 1000}


def main() -> None:
    """Print a report as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=int, default=4000)
    parser.add_argument("--asv", help="asv's program")
    parser.add_argument("--ann", type=Path, help="a checkout of ann-benchmarks")
    parser.add_argument("--ann-python", default=sys.executable)
    arguments = parser.parse_args()
    works: dict[str, Any] = {"effbench": lambda folder: ours(folder, arguments.results)}
    if arguments.asv:
        works["asv publish"] = lambda folder: asv(folder, arguments.results, arguments.asv)
    if arguments.ann:
        works["ann-benchmarks"] = lambda folder: ann(folder, arguments.results, arguments.ann, arguments.ann_python)
    for name, work in works.items():
        with tempfile.TemporaryDirectory() as folder:
            print(name, json.dumps(work(Path(folder))), flush=True)


if __name__ == "__main__":
    main()
