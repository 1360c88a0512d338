"""Clicks of an invented tea shop, up to now, as CSV on standard output: `python make_clicks.py > clicks.csv`.

Each visitor has a plan (a bowl of matcha, a breakfast, an evening without caffeine), and looks at the products of that
plan, mostly in order, and sometimes at another product. Each run writes the same visits with new times.
"""

import csv
import json
import random
import sys
import time
from pathlib import Path

VISITS = 800
DAYS = 14
ASTRAY = 0.15
"""How often a visitor looks at a random product."""
PLANS = (
    ("matcha", "whisk", "matcha-bowl", "sieve", "scoop", "wagashi"),
    ("sencha", "gyokuro", "kyusu", "thermometer", "beaker", "genmaicha"),
    ("jasmine", "glass-pot", "beaker", "genmaicha", "wagashi"),
    ("assam", "breakfast", "stoneware-pot", "mug", "candy-sugar", "shortbread"),
    ("earl-grey", "darjeeling", "cup-saucer", "shortbread", "stoneware-pot"),
    ("lapsang", "iron-pot", "mug", "honey"),
    ("rooibos", "chamomile", "verbena", "mint", "glass-pot", "honey"),
)


def main() -> None:
    """Write the clicks, oldest first."""
    chance = random.Random(20)
    products = [json.loads(line)["id"] for line in Path(__file__).with_name("products.jsonl").read_text().splitlines()]
    now_ms = int(time.time() * 1000)
    rows: list[tuple[str, str, int, str]] = []
    for visit in range(VISITS):
        plan = chance.choices(PLANS, weights=(6, 5, 3, 5, 4, 2, 4))[0]
        begin = chance.randrange(2)
        at_ms = now_ms - int((VISITS - visit) / VISITS * DAYS * 86_400_000)
        for item in plan[begin : begin + chance.randint(2, 5)]:
            seen = chance.choice(products) if chance.random() < ASTRAY else item
            kind = "cart" if chance.random() < 0.1 else "view"
            rows.append((f"visit-{visit}", seen, at_ms, kind))
            at_ms += chance.randint(8_000, 90_000)
    rows.sort(key=lambda row: row[2])
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(("session_id", "item_id", "timestamp", "type"))
    out.writerows(rows)


if __name__ == "__main__":
    main()
