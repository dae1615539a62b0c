"""Generated texts are those of lm-eval's `hf` for each prompt alone, whatever is shared, stopped or done by halves."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lm_eval.models.huggingface import HFLM

from suites._language.evaluation import generation
from suites._language.evaluation.evaluator import EffbenchLM

WINDOW = 256
TEXT = "Vopokapo is a large festival near the bridge. A festival crosses the dark stone of Konobo. Ça alors, 東京の春. "
Requests = Callable[[str, list[tuple[Any, ...]]], list[Any]]


@pytest.fixture
def model(toy: tuple[Any, Any]) -> Any:
    return copy.deepcopy(toy[0])


def expected(model: Any, tokenizer: Any, made: list[Any], **options: Any) -> list[str]:
    """What `hf` generates, one prompt at a time."""
    lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1, max_length=WINDOW, **options)
    return list(lm.generate_until(made, disable_tqdm=True))


def prompts(header: str = "") -> list[str]:
    return [header + TEXT[start : start + length] for start, length in ((0, 5), (3, 40), (9, 41), (20, 90), (1, 7))]


@pytest.mark.parametrize("header", ["", TEXT * 2], ids=["nothing shared", "a header shared"])
def test_texts(toy: tuple[Any, Any], requests: Requests, header: str) -> None:
    free = [(text, {"until": [], "max_gen_toks": 12}) for text in prompts(header)]
    unstopped = expected(*toy, requests("generate_until", free))
    stops = [text[at : at + 2] for text, at in zip(unstopped, (1, 3, 5, 7, 9), strict=True)]  # they do occur
    stopped = [(text, {"until": stops, "max_gen_toks": 12}) for text in prompts(header)]
    made = requests("generate_until", [*free, *stopped, ("", {"max_gen_toks": 3}), (TEXT * 9, {"max_gen_toks": 5})])
    ours = EffbenchLM(*toy, max_length=WINDOW)
    found = ours.generate_until(made, disable_tqdm=True)
    assert found[:-2] == expected(*toy, made[:-2])
    assert found[-1:] == expected(*toy, made[-1:])  # `hf` cannot read an empty prompt
    assert len({len(text) for text in found[len(free) : -2]}) > 1
    assert ours.loglikelihood(requests("loglikelihood", [("a", "b")]), disable_tqdm=True)  # nothing was left changed


def test_the_shared_header_is_read_once_and_the_rest_without_padding(toy: tuple[Any, Any], requests: Requests) -> None:
    ours = EffbenchLM(*toy, max_length=WINDOW)
    header = TEXT[:90]
    made = requests("generate_until", [(text, {"max_gen_toks": 4}) for text in prompts(header)])
    ours.answers.scorer.forwarded = 0
    ours.generate_until(made, disable_tqdm=True)
    read = len(header.encode()) + sum(len(text.encode()) for text in prompts())
    assert read <= ours.answers.scorer.forwarded <= read + 3 * len(made) + 20


def test_a_text_that_has_met_its_stop_leaves_the_batch(toy: tuple[Any, Any], requests: Requests) -> None:
    ours = EffbenchLM(*toy, max_length=WINDOW)
    free = [(text, {"until": [], "max_gen_toks": 30}) for text in prompts()]
    first = {text[0] for text in expected(*toy, requests("generate_until", free))}
    spent = []
    for stops in ([], sorted(first)):
        ours.answers.scorer.forwarded = 0
        ours.generate_until(
            requests("generate_until", [(text, {"until": stops, "max_gen_toks": 30}) for text in prompts()]), True
        )
        spent.append(ours.answers.scorer.forwarded)
    assert spent[0] - spent[1] >= 29 * len(free) - 5


@pytest.mark.parametrize(
    "setting", [{"repetition_penalty": 1.7}, {"suppress_tokens": list(range(128, 200))}, {"num_beams": 2}]
)
def test_the_candidates_own_settings_are_heeded(
    toy: tuple[Any, Any], model: Any, requests: Requests, setting: dict[str, Any]
) -> None:
    made = requests("generate_until", [(text, {"max_gen_toks": 12}) for text in prompts()])
    plain = expected(model, toy[1], made)
    for name, value in setting.items():
        setattr(model.generation_config, name, value)
    found = EffbenchLM(model, toy[1], max_length=WINDOW).generate_until(made, True)
    assert found == expected(model, toy[1], made)
    assert found != plain


def test_the_candidates_stop_tokens_are_heeded(toy: tuple[Any, Any], model: Any, requests: Requests) -> None:
    made = requests("generate_until", [(text, {"max_gen_toks": 12}) for text in prompts()])
    text = expected(model, toy[1], made)[1]
    model.generation_config.eos_token_id = [257, toy[1](text).input_ids[4]]
    found = EffbenchLM(model, toy[1], max_length=WINDOW).generate_until(made, True)
    assert found == expected(model, toy[1], made)
    assert len(found[1]) < len(text)


def test_sampling_goes_through_the_candidate(toy: tuple[Any, Any], requests: Requests) -> None:
    made = requests("generate_until", [(TEXT, {"do_sample": True, "temperature": 5.0, "max_gen_toks": 20})])
    ours = EffbenchLM(*toy, max_length=WINDOW)
    torch.manual_seed(0)
    found = ours.generate_until(made, True)
    torch.manual_seed(0)
    assert found == expected(*toy, made)


def test_a_candidate_that_must_be_alone_gets_one_prompt_at_a_time(
    toy: tuple[Any, Any], model: Any, requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.effbench_exact_path = "plain"
    rows, generate = [], model.generate
    monkeypatch.setattr(
        model, "generate", lambda input_ids, **call: rows.append(len(input_ids)) or generate(input_ids, **call)
    )
    made = requests("generate_until", [(text, {"max_gen_toks": 6}) for text in prompts()])
    assert EffbenchLM(model, toy[1], max_length=WINDOW).generate_until(made, True) == expected(toy[0], toy[1], made)
    assert rows == [1] * len(made)


def test_a_batch_that_does_not_fit_is_halved(
    toy: tuple[Any, Any], requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = requests("generate_until", [(text, {"max_gen_toks": 6}) for text in prompts()])
    sizes: list[int] = []

    class Loop(generation._Loop):
        def __init__(self, generator: Any, rows: list[Any], *rest: Any) -> None:
            sizes.append(len(rows))
            if len(rows) > 2:
                raise MemoryError
            super().__init__(generator, rows, *rest)

    monkeypatch.setattr(generation, "_Loop", Loop)
    assert EffbenchLM(*toy, max_length=WINDOW).generate_until(made, True) == expected(*toy, made)
    assert sizes == [5, 2, 2, 1]


@pytest.mark.parametrize("end", ["o", "111"], ids=["string", "token"])
def test_what_was_thought_is_dropped(toy: tuple[Any, Any], requests: Requests, end: str) -> None:
    free = [(text, {"until": [], "max_gen_toks": 40}) for text in prompts(TEXT[:30])]
    made = requests("generate_until", free)
    found = EffbenchLM(*toy, max_length=WINDOW, think_end_token=end).generate_until(made, True)
    assert found == expected(*toy, made, think_end_token=end)


def test_no_room_for_a_prompt_is_an_error(toy: tuple[Any, Any], requests: Requests) -> None:
    with pytest.raises(ValueError, match="window"):
        EffbenchLM(*toy, max_length=64).generate_until(requests("generate_until", [("a", {"max_gen_toks": 64})]), True)
