"""The model by its name: in lm-eval's Python API and command line, with the arguments that users of `hf` expect."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import lm_eval
import pytest
import torch
from lm_eval.api.registry import get_model
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from suites._language.base import TOY
from suites._language.evaluation.evaluator import EffbenchLM
from suites._language.evaluation.files import task_folder

TEMPLATE = (
    "{% for turn in messages %}{% if turn.role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}"
    "<{{ turn.role }}>{{ turn.content }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}{{ tone }}"
)


@pytest.fixture
def folder(toy: tuple[Any, Any], tmp_path: Path) -> str:
    """The toy saved as people save their models."""
    for part in toy:
        part.save_pretrained(tmp_path / "model")
    return str(tmp_path / "model")


def test_lm_eval_finds_it_by_name() -> None:
    assert get_model("effbench") is EffbenchLM
    (entry,) = (entry for entry in entry_points(group="lm_eval.models") if entry.name == "effbench")
    assert entry.load() is EffbenchLM  # what versions of lm-eval with plug-ins read


@pytest.mark.parametrize("arguments", [f"pretrained={TOY},max_length=128", {"pretrained": TOY, "dtype": "bfloat16"}])
def test_python_api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: Any) -> None:
    monkeypatch.setenv("EFFBENCH_CACHE", str(tmp_path))
    manager = TaskManager(include_path=str(task_folder("tiny")), include_defaults=False)
    found = lm_eval.simple_evaluate(
        "effbench",
        model_args=arguments,
        tasks=["effbench_names"],
        task_manager=manager,
        bootstrap_iters=0,
        device="cpu",
    )
    assert 0 <= found["results"]["effbench_names"]["acc,none"] <= 1
    assert found["config"]["model_dtype"] == ("torch.float32" if isinstance(arguments, str) else "torch.bfloat16")


@pytest.mark.slow
def test_command_line_in_a_fresh_process(tmp_path: Path) -> None:
    def run(*command: str) -> str:
        environment = {**os.environ, "EFFBENCH_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    tasks = run("-m", "suites._language.evaluation.files", "tiny").strip()
    script = str(Path(sys.executable).with_name("effbench-lm-eval"))
    arguments = ["--model_args", f"pretrained={TOY},dtype=float32", "--include_path", tasks, "--device", "cpu"]
    table = run(script, "--model", "effbench", *arguments, "--tasks", "effbench_perplexity,effbench_cloze")
    assert "word_perplexity" in table
    assert "effbench_cloze" in table


def test_a_folder_with_the_arguments_of_hf(folder: str, requests: Any) -> None:
    ours = EffbenchLM.create_from_arg_string(
        f"pretrained={folder},dtype=float64,max_length=64,trust_remote_code=True,attn_implementation=eager,"
        f"tokenizer={folder},revision=main,logits_cache=False,add_bos_token=False,prefix_token_id=7",
        {"batch_size": 4, "max_batch_size": None, "device": "cpu"},
    )
    assert ours.answers.model.dtype == torch.float64
    assert ours.answers.model.config._attn_implementation == "eager"
    assert (ours.max_length, ours.prefix_token_id, ours.answers.scorer.batch_rows) == (64, 7, 4)
    theirs = HFLM(folder, dtype="float64", device="cpu", max_length=64, prefix_token_id=7, add_bos_token=False)
    made = requests("loglikelihood", [("", "ab"), ("a stone", " here"), ("a stone", " there")])
    for found, expected in zip(ours.loglikelihood(made, True), theirs.loglikelihood(made, True), strict=True):
        assert found == pytest.approx(expected)
    assert ours.get_model_info()["model_num_parameters"] == sum(p.numel() for p in theirs.model.parameters())


@pytest.mark.parametrize(
    ("batch_size", "most", "rows"), [(1, None, None), ("auto", None, None), ("auto:4", 16, 16), ("8", None, 8)]
)
def test_batch_size_bounds_the_rows(toy: tuple[Any, Any], batch_size: Any, most: Any, rows: Any) -> None:
    assert EffbenchLM(*toy, batch_size=batch_size, max_batch_size=most).answers.scorer.batch_rows == rows


@pytest.mark.parametrize("option", ["softmax_dtype=float32", "mixed_precision_dtype=bfloat16", "truncation=True"])
def test_what_would_change_scores_is_refused(folder: str, option: str) -> None:
    with pytest.raises(ValueError, match=option.split("=", maxsplit=1)[0]):
        EffbenchLM.create_from_arg_string(f"pretrained={folder},{option}", {"device": "cpu"})


def test_a_packaged_base_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match="gguf_file"):
        EffbenchLM(TOY, device="cpu", gguf_file="weights.gguf")


def test_a_loaded_model_needs_its_tokenizer(toy: tuple[Any, Any]) -> None:
    with pytest.raises(ValueError, match="tokenizer"):
        EffbenchLM(toy[0])
    with pytest.raises(ValueError, match="revision"):
        EffbenchLM(*toy, revision="main")


def test_chat_template(toy: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy[1], "chat_template", TEMPLATE, raising=False)
    ours = EffbenchLM(*toy, chat_template_args={"tone": "?"})
    theirs = HFLM(pretrained=toy[0], tokenizer=toy[1], chat_template_args={"tone": "?"})
    chat = [{"role": "system", "content": "be short"}, {"role": "user", "content": "why"}]
    assert ours.apply_chat_template(chat) == theirs.apply_chat_template(chat) == "<user>why<assistant>?"
    prefilled = [*chat, {"role": "assistant", "content": "so"}]
    assert ours.apply_chat_template(prefilled, False) == theirs.apply_chat_template(prefilled, False)
    assert ours.chat_template(True) == theirs.chat_template(True) == TEMPLATE
    assert ours.tokenizer_name == theirs.tokenizer_name
