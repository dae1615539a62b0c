"""Runs a scale's lm-eval tasks on an lm-eval model and turns the items' results into scores.

tiny, embedded: word_perplexity, byte_perplexity, cloze_accuracy, names_accuracy, next_sentence_accuracy, on our own
offline task files. full: word_perplexity, byte_perplexity (wikitext), arc_easy_accuracy, arc_challenge_accuracy,
hellaswag_accuracy, mmlu_accuracy, on lm-eval's own tasks from the hub.
"""

import contextlib
import io
import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any

from bench.contract import Score
from suites._language.evaluation.files import task_folder

ACCURACIES = {
    "effbench_cloze": "acc",
    "effbench_names": "acc",
    "effbench_next_sentence": "acc_bytes",
    "arc_easy": "acc_norm",
    "arc_challenge": "acc_norm",
    "hellaswag": "acc_norm",
    "mmlu": "acc",
}
"""Which of lm-eval's metrics is the accuracy of a task."""

PERPLEXITIES = ("effbench_perplexity", "wikitext")
FULL_TASKS = ("wikitext", "arc_easy", "arc_challenge", "hellaswag", "mmlu")


def scores(lm: Any, scale: str) -> list[Score]:
    """Scores of an lm-eval model on the tasks of a scale."""
    with _quiet(offline=scale != "full"):
        from lm_eval import simple_evaluate
        from lm_eval.tasks import TaskManager

        if scale == "full":
            manager, tasks = TaskManager(), list(FULL_TASKS)
        else:
            folder = task_folder(scale)
            manager = TaskManager(include_path=str(folder), include_defaults=False)
            tasks = sorted(path.stem for path in folder.glob("*.yaml"))
        results = simple_evaluate(
            lm,
            tasks=tasks,
            task_manager=manager,
            log_samples=True,
            bootstrap_iters=0,
            random_seed=None,
            numpy_random_seed=None,
            torch_random_seed=None,
        )
    return from_samples(results["samples"])


def from_samples(samples: dict[str, list[dict[str, Any]]]) -> list[Score]:
    """Scores from lm-eval's per-item results by task; subtasks (`mmlu_anatomy`...) join into their group's score."""
    found = []
    for task in PERPLEXITIES:
        if rows := _rows(samples, [task]):
            for unit in ("word", "byte"):
                pairs = [row[f"{unit}_perplexity"] for row in rows]  # (log-likelihood in nats, count)
                losses, counts = [-float(ll) for ll, _ in pairs], [float(count) for _, count in pairs]
                found.append(Score(f"{unit}_perplexity", losses, counts, "exp_mean"))
    for task, metric in ACCURACIES.items():
        members = [name for name in samples if name == task or name.startswith(f"{task}_")]
        if rows := _rows(samples, members):
            found.append(Score(f"{task.removeprefix('effbench_')}_accuracy", [float(row[metric]) for row in rows]))
    return found


def _rows(samples: dict[str, list[dict[str, Any]]], tasks: Sequence[str]) -> list[dict[str, Any]]:
    return [row for task in sorted(tasks) for row in sorted(samples.get(task, ()), key=lambda row: row["doc_id"])]


@contextlib.contextmanager
def _quiet(offline: bool) -> Iterator[None]:
    """No progress bars, no log lines below errors, and no look at the hub."""
    settings = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"} if offline else {}
    before = {name: os.environ.get(name) for name in settings}
    level = logging.root.manager.disable
    os.environ.update(settings)
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stderr(io.StringIO()), _without_asking_pip():
            yield
    finally:
        logging.disable(level)
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


@contextlib.contextmanager
def _without_asking_pip() -> Iterator[None]:
    """lm-eval asks pip what is installed whenever it evaluates: it takes a second or two, and nobody reads it."""
    from lm_eval import evaluator

    asks, evaluator.add_env_info = evaluator.add_env_info, lambda results: None
    try:
        yield
    finally:
        evaluator.add_env_info = asks
