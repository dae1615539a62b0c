"""The costs that follow from what a suite declares: their names and titles."""

from collections.abc import Iterable, Iterator

from bench.registry.metrics import Goal, Metric, WorkloadInfo


def derived_costs(workloads: Iterable[WorkloadInfo], counted: str, baseline: str, stored: bool) -> dict[str, Metric]:
    """By name. counted: the unit of work that FLOPs are counted for ("token"); "" where they are not. baseline: what
    ratios are to. stored: whether the artefact's bytes are those of all that serves."""
    found = [
        *_bytes(baseline if stored else None),
        *_flops(counted, baseline),
        *(metric for workload in workloads for metric in _times(workload, baseline)),
        Metric("build.seconds", "Time to build", "s", about="How long the method took to build its result."),
        Metric(
            "build.processor_seconds", "Processor time of the build", "s",
            about="Processor time that building took, over all cores.",
        ),
        Metric(
            "build.peak_memory_bytes", "Peak memory of the build", "B",
            about="Most memory that building took, above the level before it.",
        ),
        Metric("build.flops", "FLOPs of the training", "FLOP"),
        Metric("memory.weights", "Memory of the weights", "B", about="Most memory that this part took."),
    ]  # fmt: skip
    return {metric.name: metric for metric in found}


def _bytes(baseline: str | None) -> Iterator[Metric]:
    if baseline is None:
        return
    yield Metric(
        "stored_ratio", f"Stored bytes against {baseline}", goal="smaller",
        about="Bytes on disk divided by the baseline's: 0.5 is half the size.",
    )  # fmt: skip
    yield Metric(
        "stored_bytes", "Stored bytes", "B", goal="smaller",
        about="Bytes of the result as it is written to disk, weighed the same way for everybody.",
    )  # fmt: skip


def _flops(counted: str, baseline: str) -> Iterator[Metric]:
    if not counted:
        return
    yield Metric(
        "flops_ratio", f"FLOPs per {counted} against {baseline}", goal="compute",
        about="Floating-point operations that ran, divided by the baseline's.",
    )  # fmt: skip
    yield Metric(
        "flops", f"FLOPs per {counted}", "FLOP", goal="compute",
        about="Floating-point operations that ran, two for a multiply-add, counted as they are executed.",
    )  # fmt: skip


def _times(workload: WorkloadInfo, baseline: str) -> Iterator[Metric]:
    name, unit = workload.name, workload.unit
    goal: Goal = "training" if workload.training else "faster"
    for phase, title in workload.phases.items():
        yield Metric(
            f"{name}.{phase}.ratio", f"{title} against {baseline}", goal=goal,
            about="Its time divided by the baseline's, run in turn on the same processors: below 1 is faster.",
        )  # fmt: skip
        yield Metric(f"{name}.{phase}", title, "s")
        for part, least in (("p90", 64), ("p99", 662)):
            about = f"{part[1:]}th percentile of the times; from {least} samples on."
            yield Metric(f"{name}.{phase}.{part}", f"{title}, {part}", "s", about=about)
        yield Metric(
            f"{name}.{phase}.per_second", f"{title}: {unit}s a second", f"{unit}/s", "higher",
            about="Units of work a second, at the median time.",
        )  # fmt: skip
        yield Metric(
            f"{name}.{phase}.device", f"{title}, by the device's clock", "s",
            about="Median time by the device's own clock.",
        )  # fmt: skip
    if workload.batch:
        yield from _throughput(workload, baseline, goal)
    yield Metric(
        f"{name}.energy", f"{workload.title}: energy per {unit}", f"J/{unit}",
        about="Energy for each unit of work, read from the device's own meter.",
    )  # fmt: skip
    yield Metric(
        f"{name}.energy.ratio", f"{workload.title}: energy per {unit} against {baseline}",
        about="Energy for each unit of work divided by the baseline's: below 1 is less.",
    )  # fmt: skip


def _throughput(workload: WorkloadInfo, baseline: str, goal: Goal) -> Iterator[Metric]:
    name, unit = f"{workload.name}.throughput", workload.unit
    yield Metric(
        f"{name}.ratio", f"{workload.title}: time per {unit} against {baseline}, each at its best batch", goal=goal,
        about="Time for each unit of work divided by the baseline's, each side at its best batch: below 1 is faster.",
    )  # fmt: skip
    yield Metric(
        f"{name}.per_second", f"{workload.title}: throughput at the best batch", f"{unit}/s", "higher",
        about="Units of work a second at the best batch within the memory limit.",
    )  # fmt: skip
    yield Metric(
        f"{name}.batch", f"{workload.title}: best batch", "", "higher",
        about="The batch at which most was done in a second, within the memory limit.",
    )  # fmt: skip
