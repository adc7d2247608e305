"""Splits the digits into rows to learn from and rows to test with.

A row's id alone decides, so a row stays on its side when others come: the tests of two versions are comparable.
"""

import csv
import hashlib
from pathlib import Path

TEST_SHARE = 0.25


def is_test(row_id):
    return hashlib.sha256(row_id.encode()).digest()[0] < 256 * TEST_SHARE


def main():
    rows, header = {}, None
    for path in sorted(Path("/pfs/digits").glob("*.csv")):
        with path.open(newline="") as file:
            table = csv.reader(file)
            header = next(table)
            rows.update((row[0], row) for row in table)
    for name, wanted in (("train", False), ("test", True)):
        with Path(f"/pfs/out/{name}.csv").open("w", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(header)
            table.writerows(rows[row_id] for row_id in sorted(rows) if is_test(row_id) == wanted)
    print(f"{len(rows)} rows")


main()
