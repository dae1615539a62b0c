"""Writes lm-eval task files with their data into the cache folder, once per content.

The folder can be given to lm-eval's command line as well (`--include_path`), to score any model on the same items;
`python -m suites._language.evaluation.files embedded` prints it.
"""

import hashlib
import json
import sys
from pathlib import Path

from bench.contract.cache import cache_root, made_once
from suites._language.evaluation.items import SIZES, items
from suites._language.text import documents

TEMPLATES = Path(__file__).with_name("tasks")


def task_folder(scale: str) -> Path:
    """Folder with one YAML file and one .jsonl file per task. Raises MissingAsset if the text is not installed."""
    files = {
        f"{name}.jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        for name, rows in items(documents(scale, "evaluation"), SIZES[scale]).items()
    }
    files |= {path.name: path.read_text(encoding="utf-8") for path in sorted(TEMPLATES.glob("*.yaml"))}
    digest = hashlib.sha256(json.dumps([files, str(cache_root())]).encode()).hexdigest()[:12]
    name = f"lm-eval-{scale}-{digest}"
    folder = json.dumps(str(cache_root() / "data" / name))[1:-1]  # lm-eval wants the data by absolute path
    return made_once("data", name, lambda draft: _write(files, draft, folder))


def _write(files: dict[str, str], draft: Path, folder: str) -> None:
    for name, content in files.items():
        text = content.replace("${folder}", folder) if name.endswith(".yaml") else content
        (draft / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    print(task_folder(sys.argv[1]))
