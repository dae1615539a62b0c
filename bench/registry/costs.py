"""The costs that follow from what a suite declares: their names and titles."""

from collections.abc import Iterable, Iterator

from bench.registry.metrics import Metric, WorkloadInfo


def derived_costs(workloads: Iterable[WorkloadInfo], counted: str, baseline: str, stored: bool) -> dict[str, Metric]:
    """By name. counted: the unit of work that FLOPs are counted for ("token"); "" where they are not. baseline: what
    ratios are to. stored: whether the artefact's bytes are those of all that serves."""
    found = [
        *_bytes(baseline if stored else None),
        *_flops(counted, baseline),
        *(metric for workload in workloads for metric in _times(workload, baseline)),
        Metric("build.seconds", "Time to build", "s"),
        Metric("build.processor_seconds", "Processor time of the build", "s"),
        Metric("build.peak_memory_bytes", "Peak memory of the build", "B"),
        Metric("build.flops", "FLOPs of the training", "FLOP"),
        Metric("memory.weights", "Memory of the weights", "B"),
    ]
    return {metric.name: metric for metric in found}


def _bytes(baseline: str | None) -> Iterator[Metric]:
    if baseline is not None:
        yield Metric("stored_ratio", f"Stored bytes against {baseline}")
        yield Metric("stored_bytes", "Stored bytes", "B")


def _flops(counted: str, baseline: str) -> Iterator[Metric]:
    if counted:
        yield Metric("flops_ratio", f"FLOPs per {counted} against {baseline}")
        yield Metric("flops", f"FLOPs per {counted}", "FLOP")


def _times(workload: WorkloadInfo, baseline: str) -> Iterator[Metric]:
    name, unit = workload.name, workload.unit
    for phase, title in workload.phases.items():
        yield Metric(f"{name}.{phase}.ratio", f"{title} against {baseline}")
        yield Metric(f"{name}.{phase}", title, "s")
        yield Metric(f"{name}.{phase}.p90", f"{title}, p90", "s")
        yield Metric(f"{name}.{phase}.p99", f"{title}, p99", "s")
        yield Metric(f"{name}.{phase}.per_second", f"{title}: {unit}s a second", f"{unit}/s", "higher")
        yield Metric(f"{name}.{phase}.device", f"{title}, by the device's clock", "s")
    if workload.batch:
        yield Metric(
            f"{name}.throughput.ratio", f"{workload.title}: time per {unit} against {baseline}, each at its best batch"
        )
        yield Metric(
            f"{name}.throughput.per_second", f"{workload.title}: throughput at the best batch", f"{unit}/s", "higher"
        )
        yield Metric(f"{name}.throughput.batch", f"{workload.title}: best batch", "", "higher")
    yield Metric(f"{name}.energy", f"{workload.title}: energy per {unit}", f"J/{unit}")
    yield Metric(f"{name}.energy.ratio", f"{workload.title}: energy per {unit} against {baseline}")
