"""The tables of README.md and docs/performance.md, made from the JSON of races:

    pytest benchmarks
    python benchmarks/tables.py [.benchmarks/race.json ...]

No number in them is typed by hand. What bounds a row is said by hand, in benchmarks/notes.md: a section whose title is
an operation goes below its table, any other one to the end.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OURS, COPY, ONE = "fastmed", "copy", "fastmed on one thread"
#: Columns in this order; others follow.
ORDER = ("scipy", "scikit-image", "OpenCV", "SimpleITK", "dask-image")
#: Shape of the rows that show what a call costs by itself, and the peer that it is compared with.
SMALL, OPENCV = (64, 64), "OpenCV"
BUSY = " (*)"
BEGIN, END = "<!-- speed table: begin -->", "<!-- speed table: end -->"

Row = dict[str, Any]


def rows_of(benchmarks: list[Row]) -> list[Row]:
    """One row per workload: its label, fastmed's milliseconds, the ratio of every contender."""
    groups: dict[str, dict[str, Row]] = {}
    for one in benchmarks:
        if one["extra_info"].get("contender"):
            groups.setdefault(one["group"], {})[one["extra_info"]["contender"]] = one
    rows = []
    for label, contenders in groups.items():
        if OURS not in contenders:
            continue
        info = contenders[OURS]["extra_info"]
        rows.append({
            "label": label,
            "ms": 1e3 * contenders[OURS]["stats"]["median"],
            "ratios": {name: one["extra_info"]["ratio"] for name, one in contenders.items() if name != OURS},
            "peer_ms": {name: 1e3 * one["stats"]["median"] for name, one in contenders.items()},
            "notes": {name: one["extra_info"]["note"] for name, one in contenders.items() if one["extra_info"]["note"]},
            "left_out": info["left_out"],
            "headline": info["headline"],
            "small": info["small"],
            "rounds": contenders[OURS]["stats"]["rounds"],
            "build": info["build"],
            "threads": info["threads"],
            "scaling": info["ratios"].get(ONE),
            "load": info.get("load") or (0.0, 0.0),
            "shape": info["shape"],
        })
    return rows


def text_table(rows: list[Row]) -> list[str]:
    """For the terminal."""
    names = _peers(rows)
    cells = [["workload", "ms", "to copy", *names]] + [
        [row["label"], _ms(row["ms"]), _inverse(row), *(_ratio(row["ratios"].get(n)) for n in names)] for row in rows
    ]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = ["  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
             for line in cells]
    return [*lines, "", *_remarks(rows)]


def markdown_table(rows: list[Row], names: list[str]) -> list[str]:
    """For the documents."""
    scaled = [f"one thread to {rows[0]['threads']}"] if any(row["scaling"] for row in rows) else []
    titles = ["workload", "fastmed, ms", "times a copy", *scaled, *names]
    return _markdown(titles, [
        [row["label"] + _busy(row), _ms(row["ms"]), _inverse(row), *(_ratio(row["scaling"]) for _ in scaled),
         *(_ratio(row["ratios"].get(n)) for n in names)] for row in rows
    ])


def overhead_table(rows: list[Row]) -> list[str]:
    """Images so small that the call itself decides, against OpenCV; empty where no row has both."""
    chosen = [row for row in rows if row["shape"] == list(SMALL) and OPENCV in row["peer_ms"]]
    lines = []
    for row in chosen:
        ours, theirs = 1e3 * row["peer_ms"][OURS], 1e3 * row["peer_ms"][OPENCV]
        lines.append([row["label"] + _busy(row), f"{ours:.1f}", f"{theirs:.1f}", f"{ours - theirs:+.1f}"])
    return _markdown(["workload", "fastmed, us", "OpenCV, us", "difference, us"], lines) if lines else []


def _markdown(titles: list[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(titles) + " |", "|---|" + "--:|" * (len(titles) - 1),
            *("| " + " | ".join(row) + " |" for row in rows)]


def _busy(row: Row) -> str:
    """The mark of a row that was timed while others used the machine."""
    return BUSY if max(row["load"]) > row["threads"] + 0.5 else ""


def _peers(rows: list[Row]) -> list[str]:
    found = dict.fromkeys(n for row in rows for n in row["ratios"] if n != COPY)
    return sorted(found, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


def _ms(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}x" if value < 10 else f"{value:.0f}x"


def _inverse(row: Row) -> str:
    """fastmed's time in copies of the array."""
    return _ratio(1 / row["ratios"][COPY]) if COPY in row["ratios"] else ""


def _remarks(rows: list[Row]) -> list[str]:
    """How peers' outcomes differ, and what was left out: each once, with the operations that it holds for."""
    found: dict[str, list[str]] = {}
    for row in rows:
        operation = row["label"].partition(":")[0]
        left_out = [f"{name} left out: {text}" for name, text in row["left_out"].items()]
        for text in [*(f"{name} {text}" for name, text in row["notes"].items()), *left_out]:
            where = found.setdefault(text, [])
            if operation not in where:
                where.append(operation)
    return [f"{', '.join(where)}: {text}" for text, where in found.items()]


# --- documents ---------------------------------------------------------------------------------------------------


def conditions(runs: list[Row], rows: list[Row]) -> str:
    """On what the numbers were taken, in a sentence or two."""
    machine = runs[-1]["machine_info"]
    processor = machine["cpu"].get("brand_raw") or machine["processor"] or machine["machine"]
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    one = rows[-1]
    return (
        f"{processor}, {one['threads']} threads, build {one['build']}, {machine['system']}, Python "
        f"{machine['python_version']}, {libraries}; {runs[-1]['datetime'][:10]}. "
        f"All contenders of a row ran interleaved on the same data in one process, "
        f"{min(r['rounds'] for r in rows)} to {max(r['rounds'] for r in rows)} rounds. {_loads(rows)}"
    )


def _loads(rows: list[Row]) -> str:
    loads = [load for row in rows for load in row["load"]]
    busy = sum(bool(_busy(row)) for row in rows)
    if not any(loads):
        return "The load of the machine was not recorded."
    text = f"The machine's load (average of a minute, the races included) was {min(loads):.1f} to {max(loads):.1f}"
    return text + (f"; above the number of threads in the rows marked{BUSY}: {busy} of {len(rows)}." if busy else ".")


def notes_of(text: str) -> dict[str, str]:
    """The sections of benchmarks/notes.md: title -> text."""
    sections = text.split("\n## ")[1:]
    return {title.strip(): body.strip() for title, _, body in (s.partition("\n") for s in sections)}


def readme_text(runs: list[Row], rows: list[Row]) -> str:
    """What stands between README's markers."""
    chosen = [row for row in rows if row["headline"]]
    lines = markdown_table(chosen, _peers(chosen))
    return "\n".join([
        *lines,
        "",
        "A peer's column says how many times fastmed's time it takes. " + conditions(runs, rows),
        "All workloads: [docs/performance.md](docs/performance.md).",
    ])


def performance_text(runs: list[Row], rows: list[Row], notes: dict[str, str]) -> str:
    """The whole of docs/performance.md."""
    lines = [
        "# Performance",
        "",
        "Made by `python benchmarks/tables.py` from a run of `pytest benchmarks`; do not edit.",
        "",
        conditions(runs, rows),
        "",
        "- **fastmed, ms**: median over the rounds, per call, output allocated by the call.",
        "- **times a copy**: fastmed's time in copies of the array (`numpy.copyto` into memory that is there already, "
        "one thread). Nothing that reads and writes the array once on one thread can be much below 1.",
        "- **a peer's column**: how many times fastmed's time the peer takes: the median over the rounds of the two "
        "times in that round. Above 1 fastmed is quicker. Peers use the threads that they use by themselves.",
        "- **one thread to n**: how many times longer fastmed takes on one thread. Rows near 1 and near a copy are "
        "bound by memory.",
        "- Outcomes were compared before the clock ran: as the design's law 2 says, or as the remarks say.",
        "",
    ]
    operations: dict[str, list[Row]] = {}
    for row in rows:
        operations.setdefault(row["label"].partition(":")[0], []).append(row)
    for name, members in operations.items():
        short = [{**row, "label": row["label"].partition(": ")[2]} for row in members]
        lines += [f"## {name}", "", *markdown_table(short, _peers(short)), ""]
        lines += [f"- {text.partition(': ')[2]}" for text in _remarks(members)]
        lines += [""] if _remarks(members) else []
        lines += [notes[name], ""] if name in notes else []
    small = overhead_table(rows)
    if small:
        lines += [f"## Call overhead: {'x'.join(map(str, SMALL))} images", "", *small, ""]
    for title, text in notes.items():
        if title not in operations:
            lines += [f"## {title}", "", text, ""]
    return "\n".join(lines)


def between_markers(text: str, inside: str) -> str:
    """`text` with what stands between the markers replaced."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"README.md must hold {BEGIN!r} and then {END!r}, once each")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{inside}\n{END}{rest.split(END)[1]}"


def main(arguments: list[str] | None = None) -> int:
    """Write both documents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", nargs="*", type=Path, default=[ROOT / ".benchmarks" / "race.json"],
                        help="of races on one machine; of the same workload the last one counts")
    parser.add_argument("--root", type=Path, default=ROOT, help="the folder of README.md and docs/")
    parser.add_argument("--notes", type=Path, default=Path(__file__).with_name("notes.md"),
                        help="what is said by hand of the rows")
    options = parser.parse_args(arguments)
    runs = [json.loads(path.read_text()) for path in options.json]
    rows = list({row["label"]: row for run in runs for row in rows_of(run["benchmarks"])}.values())
    if not rows or any(row["small"] for row in rows):
        found = "small ones" if rows else "none"
        print(f"tables: wanted is the JSON of races at full size, found {found}", file=sys.stderr)
        return 1
    if len({conditions([run], rows).partition(";")[0] for run in runs}) > 1:
        print("tables: the races differ in processor or versions: run them again together", file=sys.stderr)
        return 1
    readme = options.root / "README.md"
    new = between_markers(readme.read_text(), readme_text(runs, rows))
    (options.root / "docs").mkdir(exist_ok=True)
    notes = notes_of(options.notes.read_text()) if options.notes.is_file() else {}
    (options.root / "docs" / "performance.md").write_text(performance_text(runs, rows, notes))
    readme.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
