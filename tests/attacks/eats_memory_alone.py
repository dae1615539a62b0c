"""One process asks for more memory than all together may have."""

from host import Host

ENDS = ("out_of_memory", "out of memory")
_AMOUNT = 2 << 30


def attack(host: Host) -> None:
    held = bytearray(_AMOUNT)
    print("has it all", len(held))


def succeeded(host: Host, log: str) -> bool:
    return "has it all" in log
