"""Trans-LoRA (Wang et al., 2024): a LoRA for another base model, by examples that are made up, arXiv:2405.17258."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

from bench.contract import Built, Card, Claim, Method
from methods.lm_finetuning._finetuning import ADAPTER_RATES, best_rate, built, rates_for
from methods.lm_finetuning.transfer._discriminator import likeliest, realness, trained_discriminator
from methods.lm_finetuning.transfer._distillation import Distilled
from methods.lm_finetuning.transfer._synthesis import answered, write_prompts
from suites._language.adapters import with_lora
from suites._training.loop import train
from suites._training.trainer import Trainer
from suites.lm_finetuning.batches import collate, encoded
from suites.lm_finetuning.examples import Example
from suites.lm_finetuning.lora import merged, read_lora, updates
from suites.lm_finetuning.patches import AddedLoRA
from suites.lm_finetuning.task import BATCH, SEARCHED
from suites.lm_finetuning.transfer import TransferTask

BEGINNING = 10
"""Words of a random text that stand for the prompt; the others stand for the answer."""


@dataclass(frozen=True)
class TransLoRA(Method[TransferTask]):
    """The new model makes up prompts, a discriminator keeps the plausible ones, the old model with its LoRA teaches.

    The few real examples of a task (seeds) are shown to a model, which goes on with further prompts. A discriminator,
    LoRA and a head on the source model, has learned to tell the seeds' prompts from those that the source model makes
    up, and sorts out what looks most made up. The source model with its LoRA answers the prompts that are left, and a
    LoRA of the target learns its probabilities of the answers' tokens.

    samples: prompts of each task that are made up; 96 of 50 tokens for three tasks take about four minutes on one core,
    and no more are made than the training could read. negatives: prompts of each task by the source model, for the
    discriminator. share: of the samples, those that look most real, that is learned from. filtered: whether the
    discriminator chooses them; if not, as many are made up as it would leave. generator: who makes up the samples.
    prompts: made up, or random text.
    discriminator_steps, discriminator_rank, discriminator_rate: of its training. temperature, top_p: of the sampling.
    rank, alpha_over_rank: of the target's LoRA, as in `lora`.
    """

    card = Card(
        slug="trans-lora",
        title="Trans-LoRA",
        problems=("transfer",),
        paper="Wang et al., 2024. Trans-LoRA: towards data-free Transferable Parameter Efficient Finetuning",
        url="https://arxiv.org/abs/2405.17258",
        stochastic=True,
        claims=(
            Claim(
                text="Carries the skill to the new model: better than that model alone",
                source="abstract: lossless, mostly improved transfer within and across families of models",
                metric="accuracy",
                versus="frozen",
                variant="default",
            ),
            Claim(
                text="Keeping what the discriminator takes for real teaches better than all that was made up",
                source="figure 1: raw synthetic samples are less diverse than the task's data, which the filter mends",
                metric="accuracy",
                versus="trans-lora:unfiltered",
                variant="default",
            ),
            Claim(
                text="Made-up examples of the task teach better than random text",
                source="abstract: what is made up approximates the process behind the task's data, and training on "
                "it carries the LoRA over; random text is the control for that",
                metric="accuracy",
                versus="trans-lora:random-text",
                variant="default",
            ),
        ),
        differences=(
            (
                "The discriminator's real examples are five seeds a task, and one serves all tasks; the paper's has "
                "seen the source's training data."
            ),
            (
                "As in the paper's figure the target makes up the prompts and the source those that the "
                "discriminator learns from; in `source-synthesis` the source makes up both."
            ),
            (
                "Sampling is bounded and the half that looks most real stays; the paper samples until as many are "
                "accepted as the task's data had. Without the filter as many are learned from."
            ),
            (
                "The teacher's answers are greedy, and the loss is the KL divergence over their tokens in the "
                "common vocabulary."
            ),
            (
                "No code is public: the temperature and the discriminator's training are ours. The learning rate is "
                "`lora`'s."
            ),
        ),
        notes="The transfer is lossless as far as accuracy comes to source_accuracy. Random text: passages of the "
        "suite's training text, with the teacher's probabilities of their continuations.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "unfiltered": {"filtered": False},
        "random-text": {"prompts": "random-text"},
        "source-synthesis": {"generator": "source"},
    }

    samples: int = 96
    negatives: int = 16
    filtered: bool = True
    share: float = 0.5
    generator: Literal["target", "source"] = "target"
    prompts: Literal["made-up", "random-text"] = "made-up"
    discriminator_steps: int = 24
    discriminator_rank: int = 8
    discriminator_rate: float = 1e-3
    temperature: float = 0.9
    top_p: float = 0.95
    rank: int = 8
    alpha_over_rank: float = 2.0
    rate: float = 3e-3
    rates: tuple[float, ...] = ADAPTER_RATES

    def build(self, task: TransferTask) -> Built:
        teacher = merged(task.source.model, updates(task.source.adapter))
        examples = random_text(task) if self.prompts == "random-text" else self.synthetic(task, teacher)

        def start() -> Distilled:
            alpha = self.alpha_over_rank * self.rank
            return Distilled(with_lora(task.copied(), rank=self.rank, alpha=alpha, seed=task.seed), teacher)

        chosen = repeated(task, examples)
        search = partial(task.batches_of, chosen[: int(SEARCHED * len(chosen))], use="search")
        seeds = [collate(task.tokenizer, task.source.seeds, task.device)]
        rate = best_rate(task, start, rates_for(task, self), batches=search, validation=seeds)
        trainer = Trainer(start())
        curve = train(trainer, task.batches_of(chosen), rate, validation=task.validation(), seconds=task.seconds)
        return built(task, AddedLoRA(read_lora(trainer.learner.model)), trainer, curve, rate)

    def synthetic(self, task: TransferTask, teacher: Any) -> list[Example]:
        """Made-up examples of all tasks, sorted out, with the teacher's answers."""
        seeds: dict[str, list[Example]] = {}
        for seed in task.source.seeds:
            seeds.setdefault(seed.task, []).append(seed)
        model = task.model if self.generator == "target" else task.source.model
        wanted = {name: self._wanted(task, own) for name, own in seeds.items()}
        samples = {name: round(count / self.share) if self.filtered else count for name, count in wanted.items()}
        made = {name: self._made_up(task, model, own, samples[name], "samples") for name, own in seeds.items()}
        if self.filtered:
            negatives = [
                prompt
                for own in seeds.values()
                for prompt in self._made_up(task, task.source.model, own, self.negatives, "negatives")
            ]
            made = self._sorted_out(task, made, negatives, wanted)
        found = []
        for name, own in seeds.items():
            longest = max(len(task.tokenizer(seed.answer, add_special_tokens=False)["input_ids"]) for seed in own)
            found += answered(teacher, task.tokenizer, name, made[name], longest + longest // 2)
        return found

    def _wanted(self, task: TransferTask, seeds: Sequence[Example]) -> int:
        """Samples of a task that are learned from: no more than the training could read once."""
        length = sum(len(row.ids) for row in encoded(task.tokenizer, seeds)) / len(seeds)
        tasks = len({seed.task for seed in task.source.seeds})
        return min(round(self.share * self.samples), 1 + int(task.tokens / (tasks * length)))

    def _made_up(self, task: TransferTask, model: Any, seeds: Sequence[Example], count: int, purpose: str) -> list[str]:
        drawn = random.Random(f"{purpose} {seeds[0].task} {task.seed}").getrandbits(31)
        sampling = {"temperature": self.temperature, "top_p": self.top_p}
        return write_prompts(model, task.tokenizer, seeds, count, drawn, **sampling)

    def _sorted_out(
        self,
        task: TransferTask,
        made: Mapping[str, list[str]],
        negatives: Sequence[str],
        wanted: Mapping[str, int],
    ) -> dict[str, list[str]]:
        discriminator = trained_discriminator(
            task,
            task.source.model,
            [seed.prompt for seed in task.source.seeds],
            negatives,
            steps=self.discriminator_steps,
            rank=self.discriminator_rank,
            rate=self.discriminator_rate,
        )
        return {n: likeliest(own, realness(task, discriminator, own), wanted[n]) for n, own in made.items()}


def repeated(task: TransferTask, examples: Sequence[Example]) -> list[Example]:
    """The examples in orders of the seed, again and again, for the tokens that may be trained on, in whole batches.

    Raises ValueError if there are none.
    """
    if not examples:
        raise ValueError("no example was made up that could be learned from")
    lengths = [len(row.ids) for row in encoded(task.tokenizer, examples)]
    rng = random.Random(task.seed)
    found: list[Example] = []
    seen = 0
    while True:
        for example, length in rng.sample(list(zip(examples, lengths, strict=True)), len(examples)):
            seen += length
            if seen > task.tokens:
                return found[: len(found) - len(found) % BATCH] or found
            found.append(example)


def random_text(task: TransferTask) -> list[Example]:
    """Beginnings and continuations of passages that have nothing to do with the tasks."""
    words = [passage.split() for passage in task.passages()]
    return [Example("text", " ".join(each[:BEGINNING]), " " + " ".join(each[BEGINNING:])) for each in words]
