"""Sentences about a payment, and what a form would keep of them: extraction and formatting."""

import json
import random

_NAMES = ["Ana", "Ben", "Carla", "David", "Elif", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Kira", "Liam", "Mei"]
_FAMILIES = ["Lopez", "Okafor", "Meyer", "Rossi", "Tanaka", "Novak", "Silva", "Haddad", "Berg", "Dubois", "Kaya"]
_CITIES = ["Lisbon", "Oslo", "Nairobi", "Lima", "Kyoto", "Turin", "Prague", "Cairo", "Austin", "Leeds", "Ghent"]
_ITEMS = ["a lamp", "two chairs", "a train ticket", "some paint", "a used bicycle", "six plates", "a winter coat"]
_MONTHS = ["January", "March", "April", "June", "August", "October", "December"]

_TEMPLATES = [
    "{name} from {city} paid {sum} euros for {item} on {day} {month}.",
    "On {day} {month} we sent {item} to {city}; {name} owes {sum} euros for it.",
    "{item}, {sum} euros, ordered by {name}. Deliver to {city} by {day} {month}.",
    "In {city}, {name} bought {item} and left {sum} euros on {day} {month}.",
]


def record(rng: random.Random, short: bool) -> tuple[str, str]:
    """(prompt, answer): a sentence with a person, a city, a sum and a date among other words, and the JSON of it."""
    if short:
        city, total = rng.choice(_CITIES), rng.randrange(1, 100)
        return f"{city} {total}:", f' {{"{city}": {total}}}\n'
    day, month = rng.randrange(1, 29), rng.choice(_MONTHS)
    facts = {"name": f"{rng.choice(_NAMES)} {rng.choice(_FAMILIES)}", "city": rng.choice(_CITIES)}
    total = rng.randrange(3, 900)
    sentence = rng.choice(_TEMPLATES).format(**facts, sum=total, item=rng.choice(_ITEMS), day=day, month=month)
    wanted = {**facts, "euros": total, "date": f"{day:02d}-{_MONTHS_IN_ORDER.index(month) + 1:02d}"}
    return f"Note: {sentence[0].upper()}{sentence[1:]}\nForm:", f" {json.dumps(wanted)}\n"


_MONTHS_IN_ORDER = [
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
]  # fmt: skip
