"""Times compilation and sampling of the Bayesian two-level model.

Usage, from the project folder, on a machine that does nothing else::

    PYTHONPATH=scripts python benchmarks/nuts/run.py [--brms] [200 1000 10000]

Each size runs in processes of its own: once with empty caches (``cold``), once with full ones
(``warm``). With ``--brms`` the same data go to ``brms.R`` for the smallest size. Prints the
table of the README and writes ``results.csv`` beside this script.
"""

# ruff: noqa: PLC0415  (imports are timed where they happen)
from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SESSIONS = 15
REPEATS = 3


def simulate(n_clients: int, seed: int = 20261122) -> dict[str, np.ndarray]:
    """Clients x 15 sessions with a random intercept and a correlated random within slope."""
    rng = np.random.default_rng(seed)
    client = np.repeat(np.arange(n_clients), SESSIONS)
    within = rng.normal(size=(n_clients, SESSIONS))
    within = (within - within.mean(axis=1, keepdims=True)).ravel()
    between = rng.normal(size=n_clients)
    between = (between - between.mean())[client]
    time_ = np.tile(np.arange(SESSIONS, dtype=float), n_clients)
    u = rng.normal(size=(n_clients, 2)) @ np.array([[1.2, 0.06], [0.0, 0.19]])
    y = u[client, 0] + (-0.1 + u[client, 1]) * within - 0.3 * between - 0.05 * time_
    y += 0.9 * rng.normal(size=y.size)
    return {"client": client, "within": within, "between": between, "time": time_, "y": y}


def design_of(data: dict[str, np.ndarray]):
    from alliance.estimation.design import ModelDesign

    def pooled(values: np.ndarray) -> float:
        table = values.reshape(-1, SESSIONS)
        deviations = table - table.mean(axis=1, keepdims=True)
        return float(np.sqrt((deviations**2).sum() / (table.size - len(table))))

    n = int(data["client"].max()) + 1
    columns = [np.ones(data["y"].size), data["within"], data["between"], data["time"]]
    return ModelDesign(
        y=data["y"],
        X=np.column_stack(columns),
        names=("intercept", "within", "between", "time"),
        client=data["client"],
        therapist=None,
        client_columns=np.array([0, 1]),
        therapist_columns=np.array([], dtype=np.int64),
        form="hybrid",
        n_clients=n,
        n_therapists=0,
        median_sessions=SESSIONS,
        sd_within_predictor=pooled(data["within"]),
        sd_within_outcome=pooled(data["y"]),
    )


def child(n_clients: int) -> None:
    """One process: import, compile, sample; prints one line of JSON."""
    started = time.perf_counter()
    from alliance.estimation.bayes import sample_model
    from alliance.estimation.bayes_model import compile_model
    from alliance.estimation.effort import EFFORTS
    from alliance.estimation.priors import Priors

    design = design_of(simulate(n_clients))
    imported, cpu_before = time.perf_counter(), time.process_time()
    prepared = compile_model(design, Priors())
    compiled, cpu_after = time.perf_counter(), time.process_time()
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        trace = sampled(prepared, EFFORTS["standard"])
        times.append(time.perf_counter() - began)
    fit = sample_model(prepared, EFFORTS["standard"], effort="standard", seed=1, pointwise=False)
    ess = min(v for k, v in fit.diagnostics.ess_bulk.items() if k.split()[0] in PARAMETERS)
    found = {
        "clients": n_clients,
        "import": imported - started,
        "compile": compiled - imported,
        "compile_cpu": cpu_after - cpu_before,
        "sampling": min(times),
        "sampling_median": float(np.median(times)),
        "min_bulk_ess": ess,
        "ess_per_s": ess / min(times),
        "leapfrog_steps": float(trace["sample_stats"]["n_steps"].mean()),
        "rhat_max": fit.diagnostics.rhat_max,
        "divergences": fit.diagnostics.divergences,
        "load": os.getloadavg()[0],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(found))


PARAMETERS = ("beta", "sigma", "sd_client", "unit_client")


def sampled(prepared, length):
    """4 x 1,000 draws after 4 x 1,000 tuning steps on two cores, nothing else."""
    import nutpie

    return nutpie.sample(
        prepared.compiled,
        draws=length.draws,
        tune=length.tune,
        chains=length.chains,
        cores=2,
        seed=1,
        save_warmup=False,
        progress_bar=False,
    )


def run_child(n_clients: int, caches: str) -> dict[str, float]:
    environment = os.environ | {
        "NUMBA_CACHE_DIR": f"{caches}/numba",
        "PYTENSOR_FLAGS": f"base_compiledir={caches}/pytensor",
    }
    command = [sys.executable, __file__, "--child", str(n_clients)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def run_brms(n_clients: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.csv"
        data = simulate(n_clients)
        rows = np.column_stack([data[name] for name in data])
        np.savetxt(path, rows, delimiter=",", header=",".join(data), comments="", fmt="%.17g")
        command = ["Rscript", str(HERE / "brms.R"), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def side_by_side(ours: list[dict[str, float]]) -> str:
    """Our times of one size beside those of brms, compilation not counted and counted, Markdown."""
    brms = run_brms(int(ours[0]["clients"]))
    lines = [
        "| | compile, s | sampling, s | smallest bulk ESS | ESS per s of sampling | ratio |"
        " ESS per s, all counted | ratio |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    all_counted = brms["min_bulk_ess"] / (brms["compile"] + brms["sampling"])
    for name, row in [("brms", brms), *((f"ours, {r['cache']} cache", r) for r in ours)]:
        total = row["min_bulk_ess"] / (row["compile"] + row["sampling"])
        lines.append(
            f"| {name} | {row['compile']:.1f} | {row['sampling']:.2f} | {row['min_bulk_ess']:,.0f} "
            f"| {row['ess_per_s']:,.1f} | {row['ess_per_s'] / brms['ess_per_s']:,.0f} "
            f"| {total:,.1f} | {total / all_counted:,.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[200, 1000, 10000])
    parser.add_argument("--child", action="store_true")
    parser.add_argument("--brms", action="store_true")
    options = parser.parse_args()
    if options.child:
        child(options.sizes[0])
        return
    results = []
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as caches:
            for cache in ("cold", "warm"):
                results.append({"cache": cache, **run_child(size, caches)})
                print(results[-1], flush=True)
    names = list(results[0])
    lines = [",".join(names)]
    for r in results:
        lines.append(",".join(r[n] if n == "cache" else f"{r[n]:.6g}" for n in names))
    (HERE / "results.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if options.brms:
        print(side_by_side([r for r in results if r["clients"] == min(options.sizes)]))


if __name__ == "__main__":
    main()
