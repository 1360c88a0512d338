"""Write the bundled sample of Online Retail from the published log.

    STREAM_REC_DATA=<folder of the logs> python tools/make_sample.py [--out DIR]

The same log gives the same bytes: the gzip header carries no time and no name.
"""

import argparse
import os
import sys
import zlib
from collections import Counter, defaultdict
from pathlib import Path

from stream_rec.datasets.logs import most_frequent, online_retail_sales
from stream_rec.datasets.sample import EVENTS_FILE, TITLES_FILE

PACKAGE_FOLDER = Path(__file__).resolve().parents[1] / "stream_rec" / "datasets"


def texts(folder: Path) -> dict[str, str]:
    """Return the text of each file of the sample, before compression, by its name."""
    times: dict[str, str] = {}
    invoices: defaultdict[str, list[str]] = defaultdict(list)
    titles: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for sale in online_retail_sales(folder, Counter()):
        times.setdefault(sale.invoice, sale.sold_at.removesuffix(":00").replace(" ", "T"))
        invoices[sale.invoice].append(sale.stock_code)
        titles[sale.stock_code][sale.description] += 1
    in_order = sorted(invoices, key=times.__getitem__)
    return {
        EVENTS_FILE: "".join(f"{invoice}\t{times[invoice]}\t{' '.join(invoices[invoice])}\n" for invoice in in_order),
        TITLES_FILE: "".join(f"{code}\t{most_frequent(titles[code])}\n" for code in sorted(titles)),
    }


def packed(text: str) -> bytes:
    """Return *text* in gzip's smallest form, without a time."""
    packer = zlib.compressobj(9, wbits=31)  # gzip.compress writes other headers on other Pythons
    return packer.compress(text.encode("utf-8")) + packer.flush()


def main() -> None:
    """Write both files and print their sizes."""
    parser = argparse.ArgumentParser(description="Write the bundled sample of Online Retail.")
    parser.add_argument("--out", type=Path, default=PACKAGE_FOLDER, help="where to")
    out: Path = parser.parse_args().out
    data = os.environ.get("STREAM_REC_DATA")
    if data is None:
        sys.exit("STREAM_REC_DATA is not set: name the folder that holds online-retail/")
    for name, text in texts(Path(data) / "online-retail").items():
        size = (out / name).write_bytes(packed(text))
        print(f"{name}: {text.count(chr(10)):,} lines, {size:,} bytes")


if __name__ == "__main__":
    main()
