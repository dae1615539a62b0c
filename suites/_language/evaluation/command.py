"""`effbench-lm-eval`: lm-eval's own command line, with the model `effbench` among its models.

lm-eval up to 0.4.13 knows no plug-ins, so its own `lm_eval` cannot find a model of another package; later versions
read the entry point group `lm_eval.models`, in which we are listed, and there `lm_eval --model effbench` works as well.
"""


def main() -> None:
    """Run lm-eval's command line; all arguments are its own."""
    from lm_eval.__main__ import cli_evaluate

    import suites._language.evaluation  # noqa: F401, registers the name

    cli_evaluate()


if __name__ == "__main__":
    main()
