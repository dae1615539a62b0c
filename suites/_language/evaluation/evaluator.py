"""The lm-eval model `effbench`: scores any candidate with the calling convention of a transformers causal LM.

Same requests, same tokens, same truncation as lm-eval's own `hf` model; what differs is how much is computed
(see scoring.py and generation.py). The texts and the tokenizer stay here; the model may answer in another process.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from jinja2 import TemplateError
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import has_bos_prefix, resolve_max_length
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from tqdm import tqdm

from suites._language.evaluation.doubts import Kept
from suites._language.evaluation.generation import Generator, Prompt, TextOf, stops_and_options
from suites._language.evaluation.loading import load
from suites._language.evaluation.scoring import Scorer

ROUNDING = 1e-3
"""Nats by which a log-probability may lie above 0."""

PART = 4096
"""Pairs that are asked for at a time, so that a bar moves and no message grows without bound."""


class Answers(Protocol):
    """Who answers, see suites._language.served.ServedLM."""

    def score(self, pairs: Any, greedy: bool) -> Sequence[tuple[Any, bool]]: ...
    def write(self, prompts: Any, prefix: int) -> Sequence[list[int]]: ...
    def window(self) -> int: ...


class EffbenchLM(TemplateLM):
    """lm-eval's interface over a model that answers.

    pretrained: a loaded model, or the name of a packaged base (loading.py), of a model on the hub, or of a folder; or
    who answers for a candidate (`Answers`). A loaded model and `Answers` come with their tokenizer.
    max_length: window in tokens, the model's own by default. batch_tokens: most tokens computed side by side, padding
    included; by default what fits the memory. batch_size above 1, or max_batch_size: also no more than so many of the
    longest sequence hold ("auto", and lm-eval's default of 1, leave it to batch_tokens).
    add_bos_token, prefix_token_id, chat_template_args, enable_thinking, think_end_token: as in lm-eval's `hf`.
    device, dtype and further options: of a model that is given by name, as in `hf`.
    kept: where some of the answers are kept, to be doubted later.
    """

    def __init__(
        self,
        pretrained: Any,
        tokenizer: Any = None,
        *,
        max_length: int | None = None,
        batch_tokens: int | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
        device: str | None = None,
        dtype: str | torch.dtype = "auto",
        add_bos_token: bool | None = None,
        prefix_token_id: int | None = None,
        chat_template_args: dict[str, Any] | None = None,
        enable_thinking: bool | None = None,
        think_end_token: str | int | None = None,
        kept: Kept | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.kept = kept
        if isinstance(pretrained, str):
            if add_bos_token is not None:
                options["add_bos_token"] = add_bos_token
            pretrained, tokenizer = load(pretrained, tokenizer, device, dtype, options)
        elif tokenizer is None or options:
            raise ValueError(f"a loaded model needs its tokenizer, and takes no option {', '.join(options) or 'else'}")
        self.tokenizer: Any = tokenizer
        self.add_bos_token, self._prefix_token_id = add_bos_token, prefix_token_id
        self._template_args = dict(chat_template_args or {})
        if enable_thinking is not None:
            self._template_args["enable_thinking"] = enable_thinking
        if isinstance(pretrained, torch.nn.Module):
            rows = _rows(batch_size) or max_batch_size
            pretrained = _Here(pretrained, tokenizer, max_length, batch_tokens, rows)
        self.answers: Answers = pretrained
        self.max_length = max_length or self.answers.window()
        self._text = TextOf.of(tokenizer, think_end_token)
        self._device = torch.device("cpu")
        self._encoded: dict[str, list[int]] = {}

    @property
    def eot_token_id(self) -> int:
        return int(self.tokenizer.eos_token_id)

    @property
    def prefix_token_id(self) -> int:
        """What stands before the first token of a text: given, or the tokenizer's BOS, or its EOS."""
        if self._prefix_token_id is not None:
            return self._prefix_token_id
        bos = self.tokenizer.bos_token_id
        return self.eot_token_id if bos is None else int(bos)

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Token ids; special tokens by the tokenizer's own habit unless told, and never a second BOS."""
        if add_special_tokens is None:
            if string not in self._encoded:
                self._encode_all([string])
            return self._encoded[string]
        return list(self.tokenizer.encode(string, add_special_tokens=add_special_tokens))

    def _encode_all(self, strings: list[str]) -> None:
        """Tokenise all strings in one call of the tokenizer and keep the result for tok_encode."""
        bos = self.tokenizer.decode(self.prefix_token_id)
        for has_bos in (True, False):
            some = [string for string in dict.fromkeys(strings) if has_bos_prefix(string, bos) == has_bos]
            special = False if has_bos else self.add_bos_token
            if some:
                flags = {} if special is None else {"add_special_tokens": special}
                self._encoded |= zip(some, self.tokenizer(some, **flags).input_ids, strict=True)

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """(log-likelihood in nats, is greedy) of each request's (context, continuation)."""
        pairs = [request.args for request in requests]
        self._encode_all([text for context, rest in pairs if context for text in (context.rstrip(), context + rest)])
        scores = super().loglikelihood(requests, disable_tqdm=disable_tqdm)
        self._encoded.clear()
        return scores

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """As in lm-eval, but a context of nothing but white space is conditioned on the prefix token."""
        before, after = super()._encode_pair(context, continuation)
        return (before, after) if before else ([self.prefix_token_id], after)

    def _loglikelihood_tokens(
        self, requests: list[tuple[tuple[str, str], list[int], list[int]]], disable_tqdm: bool = False, **_: Any
    ) -> list[tuple[float, bool]]:
        pairs = [(context, continuation) for _, context, continuation in requests]
        scores = self._scored(pairs, "Log-likelihoods", disable_tqdm, greedy=True)
        for (texts, _, _), score in zip(requests, scores, strict=True):
            self.cache_hook.add_partial("loglikelihood", texts, score)
        return scores

    def _scored(
        self, pairs: list[tuple[list[int], list[int]]], title: str, disable_tqdm: bool, *, greedy: bool
    ) -> list[tuple[float, bool]]:
        """Pairs with one beginning are asked for together, as it is then computed once."""
        order = sorted(range(len(pairs)), key=lambda index: pairs[index][0])
        found: list[tuple[float, bool]] = [(0.0, False)] * len(pairs)
        with tqdm(total=len(pairs), desc=title, disable=disable_tqdm) as bar:
            for start in range(0, len(order), PART):
                part = order[start : start + PART] if len(order) > PART else range(len(pairs))
                for index, (scores, hit) in zip(
                    part, self.answers.score([pairs[i] for i in part], greedy), strict=True
                ):
                    found[index] = _believed(scores, len(pairs[index][1])), bool(hit)
                    if self.kept is not None:
                        self.kept.keep(*pairs[index], scores)
                bar.update(len(part))
        return found

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Log-likelihood in nats of each text: every token predicted once, in lm-eval's disjoint windows."""
        windows: list[tuple[list[int], list[int]]] = []
        owners: list[int] = []
        self._encode_all([request.args[0] for request in requests])
        for owner, request in enumerate(requests):
            rolling = get_rolling_token_windows(
                self.tok_encode(request.args[0]), self.prefix_token_id, self.max_length, context_len=1
            )
            windows += (found := [make_disjoint_window(window) for window in rolling])
            owners += [owner] * len(found)
        self._encoded.clear()
        sums = [0.0] * len(requests)
        scores = self._scored(windows, "Rolling log-likelihoods", disable_tqdm, greedy=False)
        for owner, (score, _) in zip(owners, scores, strict=True):
            sums[owner] += score
        for request, total in zip(requests, sums, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
        return sums

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """What the candidate generates after each context, up to a stop sequence or the number of tokens asked."""
        self._encode_all([request.args[0] for request in requests])
        prompts: list[Prompt] = [(self.tok_encode(request.args[0]), request.args[1]) for request in requests]
        self._encoded.clear()
        texts = []
        with tqdm(total=len(requests), desc="Generations", disable=disable_tqdm) as bar:
            for request, tokens in zip(requests, self.answers.write(prompts, self.prefix_token_id), strict=True):
                texts.append(self._text.text(list(tokens), stops_and_options(self.tokenizer, request.args[1])[0]))
                self.cache_hook.add_partial("generate_until", request.args, texts[-1])
                bar.update()
        return texts

    @property
    def tokenizer_name(self) -> str:
        return str(self.tokenizer.name_or_path).replace("/", "__")

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The conversation as one prompt, by the tokenizer's template; without its system turn if that is refused."""
        call: dict[str, Any] = {
            "tokenize": False,
            "add_generation_prompt": add_generation_prompt,
            "continue_final_message": not add_generation_prompt,
            **self._template_args,
        }
        try:
            return str(self.tokenizer.apply_chat_template(chat_history, **call))
        except TemplateError:
            turns = [turn for turn in chat_history if turn["role"] != "system"]
            return str(self.tokenizer.apply_chat_template(turns, **call))

    def get_model_info(self) -> dict[str, Any]:
        """What lm-eval writes beside its results."""
        return self.answers.about() if isinstance(self.answers, _Here) else {}


def _believed(scores: Sequence[float], tokens: int) -> float:
    """The sum of as many log-probabilities as there are tokens; not-a-number is one that went astray."""
    if len(scores) != tokens or max(scores) > ROUNDING:
        raise ValueError(f"an answer of {list(scores)[:9]} is no log-probabilities of {tokens} tokens")
    return float(sum(scores))


class _Here:
    """A model in this process that answers."""

    def __init__(
        self, model: torch.nn.Module, tokenizer: Any, max_length: int | None, batch_tokens: int | None, rows: int | None
    ) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer
        length = max_length or resolve_max_length(getattr(model, "config", None), tokenizer)
        self.scorer = Scorer(self.model, max_length=length, batch_tokens=batch_tokens, batch_rows=rows)

    def window(self) -> int:
        return self.scorer.max_length

    def score(self, pairs: Any, greedy: bool) -> Sequence[tuple[Any, bool]]:
        return self.scorer.score(pairs, greedy=greedy)

    def write(self, prompts: Any, prefix: int) -> Sequence[list[int]]:
        found: list[list[int]] = [[] for _ in prompts]
        for index, tokens in Generator(self.scorer, self.tokenizer, prefix).tokens(prompts):
            found[index] = tokens
        return found

    def about(self) -> dict[str, Any]:
        return {
            "model_num_parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "model_dtype": str(getattr(self.model, "dtype", "")),
            "effbench_path": self.scorer.path,
        }


def _rows(batch_size: int | str | None) -> int | None:
    """The number of sequences that was asked for, if any."""
    if batch_size is None or str(batch_size).startswith("auto") or int(batch_size) == 1:
        return None
    return int(batch_size)
