"""Reads sentences aloud, in a process of its own: `python speak.py FOLDER VARIANT < sentences > samples`.

eSpeak NG keeps noise and echo from one sentence to the next; in a new process the same sentences give the same samples.
FOLDER: of the library and its data. VARIANT: of its American English voice. The sentences come one a line; for each a
line with the number of its samples goes out, and then the samples: 16 bits, 22,050 a second.
"""

import ctypes
import sys
from pathlib import Path
from typing import Any

RATE = 22_050
SYNCHRONOUS, CHARACTERS, UTF8 = 2, 1, 1
"""Of the library's header: the mode of output, the kind of position, the encoding."""

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def main(folder: str, variant: str) -> None:
    """Raises SystemExit where the library has no such voice, or another rate."""
    library = ctypes.CDLL(str(Path(folder) / "libespeak-ng.so"))
    parts: list[bytes] = []

    def heard(samples: Any, count: int, _: Any) -> int:
        if samples and count > 0:
            parts.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = _Callback(heard)
    if library.espeak_Initialize(SYNCHRONOUS, 0, folder.encode(), 0) != RATE:
        raise SystemExit(f"the library in {folder} does not speak at {RATE} samples a second")
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(f"en-us+{variant}".encode()):
        raise SystemExit(f"the library in {folder} has no voice en-us+{variant}")
    for line in sys.stdin.buffer:
        text = line.strip()
        parts.clear()
        library.espeak_Synth(text, len(text) + 1, 0, CHARACTERS, 0, UTF8, None, None)
        library.espeak_Synchronize()
        whole = b"".join(parts)
        sys.stdout.buffer.write(b"%d\n" % (len(whole) // 2) + whole)


if __name__ == "__main__":
    main(*sys.argv[1:])
