"""The tiny scale: a Llama with random weights, a byte tokenizer and made-up text. Nothing is read from disk.

Models are imported where they are made: whoever only asks whether a run's data are there waits for no library.
"""

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel, LlamaForCausalLM, PreTrainedTokenizerFast

BOS, EOS = "<s>", "</s>"


def toy_tokenizer() -> "PreTrainedTokenizerFast":
    """One token per byte of UTF-8 (ids 0-255), then bos 256 and eos 257. Nothing is added on encoding."""
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=EOS, model_max_length=2048
    )


def toy_model(seed: int = 0) -> "LlamaForCausalLM":
    """LlamaForCausalLM, float32, 6 blocks of width 64 with grouped queries and tied embeddings, as SmolLM2 has them.

    The weights are five times as large as the usual start: with the usual ones the logits are all but equal, and no
    cut of the model could be told from another.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=258,
        hidden_size=64,
        intermediate_size=192,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        initializer_range=0.1,
        bos_token_id=256,
        eos_token_id=257,
        pad_token_id=257,
        attn_implementation="sdpa",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).float().eval()


def toy_gpt2(seed: int = 0) -> "GPT2LMHeadModel":
    """GPT2LMHeadModel, float32, 6 blocks of width 64 with tied embeddings: a base with LayerNorm.

    Scales, shifts and biases are random too, as no training has given them a value.
    """
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=258,
        n_positions=2048,
        n_embd=64,
        n_layer=6,
        n_head=4,
        initializer_range=0.1,
        bos_token_id=256,
        eos_token_id=257,
        pad_token_id=257,
        attn_implementation="sdpa",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = GPT2LMHeadModel(config)
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.data += 0.1 * torch.randn_like(parameter)
        return model.float().eval()


_SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstv" for vowel in "aeo"]
_KINDS = ["bird", "plant", "river", "town", "stone", "tool", "king", "ship", "song", "festival", "machine", "house"]
_QUALITIES = [
    "large",
    "small",
    "old",
    "quiet",
    "bright",
    "common",
    "rare",
    "northern",
    "heavy",
    "narrow",
    "wild",
    "dark",
]
_VERBS = ["carries", "finds", "follows", "builds", "keeps", "makes", "crosses", "leaves", "reaches", "holds", "guards"]
_PLACES = ["forest", "valley", "coast", "market", "harbour", "desert", "lake", "village", "bridge", "garden", "tower"]
_TIMES = ["in spring", "in winter", "every year", "at night", "after the war", "in the morning", "long ago"]


def toy_documents(seed: str, count: int) -> Iterator[tuple[str, str]]:
    """`count` pairs (title, text): paragraphs of plain English sentences about things that do not exist."""
    rng = random.Random(seed)
    for _ in range(count):
        title = "".join(rng.choices(_SYLLABLES, k=4)).capitalize()
        paragraphs = [" ".join(_sentence(rng, title) for _ in range(rng.randint(3, 5))) for _ in range(3)]
        paragraphs[0] = (
            f"{title} is a {rng.choice(_QUALITIES)} {rng.choice(_KINDS)} near the {rng.choice(_PLACES)}. "
            + (paragraphs[0])
        )
        yield title, "\n\n".join(paragraphs)


def _sentence(rng: random.Random, title: str) -> str:
    subject = rng.choice([title, f"The {rng.choice(_QUALITIES)} {rng.choice(_KINDS)}", f"A {rng.choice(_KINDS)}"])
    place = f"the {rng.choice(_QUALITIES)} {rng.choice(_PLACES)}"
    thing = f"the {rng.choice(_QUALITIES)} {rng.choice(_KINDS)} of {''.join(rng.choices(_SYLLABLES, k=3)).capitalize()}"
    return f"{subject} {rng.choice(_VERBS)} {thing} from {place} {rng.choice(_TIMES)}."
