"""Quality of a candidate: perplexity and accuracies through lm-eval, with every sample kept.

The scores come from an lm-eval model of our own, `effbench`, that computes every shared prefix once (see scoring.py).
It can be used without the benchmark, on lm-eval's own tasks:

    import lm_eval, suites._language.evaluation
    lm_eval.simple_evaluate("effbench", model_args="pretrained=gpt2,dtype=bfloat16", tasks=["arc_easy"])

or from a shell: `effbench-lm-eval --model effbench --model_args pretrained=gpt2 --tasks arc_easy`, which takes the
arguments of `lm_eval`. `--include_path $(python -m suites._language.evaluation.files embedded)` adds our tasks.
"""

import lm_eval.models  # noqa: F401, its own models first: it lists them only while the registry is empty
from lm_eval.api.registry import model_registry

if "effbench" not in model_registry:  # by name, so that nothing heavy is imported before the model is asked for
    model_registry.register("effbench", target=f"{__name__}.evaluator:EffbenchLM")
