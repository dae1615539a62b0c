"""Which files a method is made of."""

import sys
from pathlib import Path
from types import ModuleType


def sources(module: ModuleType) -> set[Path]:
    """Files that a method's module is made of: its own, the helpers in its folder, and every module of the same package
    that their functions and classes come from.
    """
    package = module.__name__.split(".")[0]
    todo, seen = [module], {module.__name__}
    files = set(Path(str(module.__file__)).parent.glob("_*.py"))
    while todo:
        current = todo.pop()
        files.add(Path(str(current.__file__)))
        for value in vars(current).values():
            name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            if isinstance(name, str) and name.split(".")[0] == package and name in sys.modules and name not in seen:
                seen.add(name)
                todo.append(sys.modules[name])
    return files
