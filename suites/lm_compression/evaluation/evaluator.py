"""The lm-eval model `effbench`: scores any candidate with the calling convention of a transformers causal LM.

Same requests, same tokens, same truncation as lm-eval's own `hf` model; what differs is how much is computed
(see scoring.py). Usable with lm-eval's Python API: `lm_eval.simple_evaluate(EffbenchLM(model, tokenizer), ...)`, or by
name once this module is imported: `simple_evaluate("effbench", model_args="pretrained=...")`.
"""

from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.models.utils import (
    handle_stop_sequences,
    has_bos_prefix,
    normalize_gen_kwargs,
    postprocess_generated_text,
    resolve_max_length,
)
from lm_eval.models.utils_hf import stop_sequences_criteria
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from torch import nn

from suites.lm_compression.evaluation.scoring import Scorer

DEFAULT_GENERATED_TOKENS = 256


@register_model("effbench")
class EffbenchLM(TemplateLM):
    """lm-eval's interface over a `Scorer`.

    pretrained: the candidate, or the name or folder of a transformers model. tokenizer: its tokenizer (or name).
    max_length: window in tokens, the model's own by default. batch_tokens: tokens computed together, padding
    included. add_bos_token, prefix_token_id: as in lm-eval's `hf`. batch_size, max_batch_size are accepted for the
    command line's sake and not used: batches are sized in tokens.
    """

    def __init__(
        self,
        pretrained: nn.Module | str,
        tokenizer: Any = None,
        *,
        max_length: int | None = None,
        batch_tokens: int | None = None,
        device: str | None = None,
        dtype: str = "auto",
        add_bos_token: bool | None = None,
        prefix_token_id: int | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
    ) -> None:
        super().__init__()
        if isinstance(pretrained, str) or tokenizer is None or isinstance(tokenizer, str):
            pretrained, tokenizer = _from_names(pretrained, tokenizer, device, dtype)
        self.model: Any = pretrained.eval()
        self.tokenizer: Any = tokenizer
        self.add_bos_token, self._prefix_token_id = add_bos_token, prefix_token_id
        self.max_length = max_length or resolve_max_length(getattr(self.model, "config", None), tokenizer)
        self.scorer = Scorer(
            self.model, max_length=self.max_length, batch_tokens=None if batch_tokens is None else int(batch_tokens)
        )
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

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        """(log-likelihood in nats, is greedy) of each request's (context, continuation)."""
        pairs = [request.args for request in requests]
        self._encode_all([text for context, rest in pairs if context for text in (context.rstrip(), context + rest)])
        scores = super().loglikelihood(requests, disable_tqdm=True)
        self._encoded.clear()
        return scores

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """As in lm-eval, but a context of nothing but white space is conditioned on the prefix token."""
        before, after = super()._encode_pair(context, continuation)
        return (before, after) if before else ([self.prefix_token_id], after)

    def _loglikelihood_tokens(
        self, requests: list[tuple[tuple[str, str], list[int], list[int]]], **_: Any
    ) -> list[tuple[float, bool]]:
        scores = self.scorer.score([(context, continuation) for _, context, continuation in requests])
        for (texts, _, _), score in zip(requests, scores, strict=True):
            self.cache_hook.add_partial("loglikelihood", texts, score)
        return scores

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = True) -> list[float]:
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
        for owner, (score, _) in zip(owners, self.scorer.score(windows), strict=True):
            sums[owner] += score
        for request, total in zip(requests, sums, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
        return sums

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = True) -> list[str]:
        """What the candidate generates after each context, up to a stop sequence or the number of tokens asked."""
        texts = [""] * len(requests)
        kinds: dict[str, list[int]] = {}
        for index, request in enumerate(requests):
            kinds.setdefault(repr(sorted(request.args[1].items())), []).append(index)
        for indices in kinds.values():
            contexts = {index: self.tok_encode(requests[index].args[0]) for index in indices}
            for batch in self._generation_batches(contexts, requests[indices[0]].args[1]):
                for index, text in zip(batch, self._generate(batch, contexts, requests[batch[0]].args[1]), strict=True):
                    texts[index] = text
                    self.cache_hook.add_partial("generate_until", requests[index].args, text)
        self._encoded.clear()
        return texts

    def _generation_batches(self, contexts: dict[int, list[int]], options: dict[str, Any]) -> list[list[int]]:
        """Requests of similar length together, within the token budget; one by one for a plain candidate."""
        new = normalize_gen_kwargs(options, DEFAULT_GENERATED_TOKENS)["max_gen_toks"]
        batches: list[list[int]] = []
        for index in sorted(contexts, key=lambda index: -len(contexts[index])):
            width = len(contexts[batches[-1][0]]) + new if batches else 0
            fits = batches and (len(batches[-1]) + 1) * width <= self.scorer.batch_tokens
            if fits and self.scorer.path != "plain":
                batches[-1].append(index)
            else:
                batches.append([index])
        return batches

    def _generate(self, batch: list[int], contexts: dict[int, list[int]], options: dict[str, Any]) -> list[str]:
        eos = self.tokenizer.decode(self.eot_token_id)
        kwargs: dict[str, Any] = dict(normalize_gen_kwargs(options, DEFAULT_GENERATED_TOKENS))
        stops = handle_stop_sequences(kwargs.pop("until", None), eos=eos)
        new = kwargs.pop("max_gen_toks")
        if new >= self.max_length:
            raise ValueError(f"asked to generate {new} tokens with a window of {self.max_length}")
        if not kwargs.get("do_sample") and not kwargs.get("temperature"):
            kwargs.pop("temperature", None)
            kwargs["do_sample"] = False
        ids = [contexts[index][-(self.max_length - new) :] or [self.prefix_token_id] for index in batch]
        width = max(map(len, ids))
        pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else self.eot_token_id
        with torch.no_grad():
            found = self.model.generate(
                input_ids=torch.tensor([[pad] * (width - len(row)) + row for row in ids], device=self.device),
                attention_mask=torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in ids]).to(self.device),
                max_new_tokens=new,
                stopping_criteria=stop_sequences_criteria(self.tokenizer, stops, width, len(ids)),
                pad_token_id=pad,
                use_cache=True,
                **kwargs,
            )
        texts = self.tokenizer.batch_decode(found[:, width:], skip_special_tokens=True)
        return [postprocess_generated_text(text, stops, None) for text in texts]

    @property
    def tokenizer_name(self) -> str:
        return str(self.tokenizer.name_or_path).replace("/", "__")

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The conversation as one prompt, by the tokenizer's template."""
        return str(
            self.tokenizer.apply_chat_template(
                chat_history,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt,
            )
        )


def _from_names(model: nn.Module | str, tokenizer: Any, device: str | None, dtype: str) -> tuple[nn.Module, Any]:
    """Load what is given by name."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    name = model if isinstance(model, str) else model.config.name_or_path
    if tokenizer is None or isinstance(tokenizer, str):
        tokenizer = AutoTokenizer.from_pretrained(tokenizer or name)
    if isinstance(model, str):
        model = AutoModelForCausalLM.from_pretrained(model, dtype=dtype).to(device or "cpu")
    return model, tokenizer
