"""The lm-eval model `effbench`: scores any candidate with the calling convention of a transformers causal LM.

Same requests, same tokens, same truncation as lm-eval's own `hf` model; what differs is how much is computed
(see scoring.py and generation.py).
"""

from typing import Any

import torch
from jinja2 import TemplateError
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import has_bos_prefix, resolve_max_length
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from torch import nn
from tqdm import tqdm

from suites._language.evaluation.generation import Generator
from suites._language.evaluation.loading import load
from suites._language.evaluation.scoring import Scorer


class EffbenchLM(TemplateLM):
    """lm-eval's interface over a `Scorer` and a `Generator`.

    pretrained: the candidate, with its tokenizer; or the name of a packaged base (loading.py), of a model on the hub,
    or of a folder. max_length: window in tokens, the model's own by default. batch_tokens: most tokens computed side
    by side, padding included; by default what fits the memory. batch_size above 1, or max_batch_size: also no more
    than so many of the longest sequence hold ("auto", and lm-eval's default of 1, leave it to batch_tokens).
    add_bos_token, prefix_token_id, chat_template_args, enable_thinking, think_end_token: as in lm-eval's `hf`.
    device, dtype and further options: of a model that is given by name, as in `hf`.
    """

    def __init__(
        self,
        pretrained: nn.Module | str,
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
        **options: Any,
    ) -> None:
        super().__init__()
        if isinstance(pretrained, str):
            if add_bos_token is not None:
                options["add_bos_token"] = add_bos_token
            pretrained, tokenizer = load(pretrained, tokenizer, device, dtype, options)
        elif tokenizer is None or options:
            raise ValueError(f"a loaded model needs its tokenizer, and takes no option {', '.join(options) or 'else'}")
        self.model: Any = pretrained.eval()
        self.tokenizer: Any = tokenizer
        self.add_bos_token, self._prefix_token_id = add_bos_token, prefix_token_id
        self.max_length = max_length or resolve_max_length(getattr(self.model, "config", None), tokenizer)
        self._template_args = dict(chat_template_args or {})
        if enable_thinking is not None:
            self._template_args["enable_thinking"] = enable_thinking
        self.scorer = Scorer(
            self.model,
            max_length=self.max_length,
            batch_tokens=batch_tokens,
            batch_rows=_rows(batch_size) or max_batch_size,
        )
        self.generator = Generator(self.scorer, tokenizer, self.prefix_token_id, think_end_token)
        self._device = self.scorer.device
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
        with tqdm(total=len(requests), desc="Log-likelihoods", disable=disable_tqdm) as bar:
            pairs = [(context, continuation) for _, context, continuation in requests]
            scores = self.scorer.score(pairs, done=bar.update)
        for (texts, _, _), score in zip(requests, scores, strict=True):
            self.cache_hook.add_partial("loglikelihood", texts, score)
        return scores

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
        with tqdm(total=len(windows), desc="Rolling log-likelihoods", disable=disable_tqdm) as bar:
            scores = self.scorer.score(windows, greedy=False, done=bar.update)
        for owner, (score, _) in zip(owners, scores, strict=True):
            sums[owner] += score
        for request, total in zip(requests, sums, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
        return sums

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """What the candidate generates after each context, up to a stop sequence or the number of tokens asked."""
        self._encode_all([request.args[0] for request in requests])
        prompts = [(self.tok_encode(request.args[0]), request.args[1]) for request in requests]
        self._encoded.clear()
        texts = [""] * len(requests)
        with tqdm(total=len(requests), desc="Generations", disable=disable_tqdm) as bar:
            for index, text in self.generator.texts(prompts):
                texts[index] = text
                self.cache_hook.add_partial("generate_until", requests[index].args, text)
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
