#!/usr/bin/env python3
"""Cut system descriptions into the passages of data/papers/corpus.jsonl.

One Markdown file describes one published system:

    # Name (year)
    Seed: the paper. Authors' code: where it is.

    **Section.** text, lists, tables
    ...

Each section is cut on list, paragraph, table-row and sentence borders into
passages of about 85 words. The id of a passage is FILE-SECTION-NN, counted
inside its own file and section, so a new file adds passages and renames none.
Standard library only; the same folder always gives the same bytes.
"""

import argparse
import json
import os
import re
import sys
import tempfile
from pathlib import Path

EXAMPLE = """example:
  tools/papers/cut.py descriptions/            # writes data/papers/corpus.jsonl
  tools/papers/cut.py descriptions/ --check    # exit 1 if the file is not what the folder gives
"""

# Passage length in words: the aim, and the bounds that cost a lot to leave.
AIM, SHORT, LONG = 85, 40, 130

# What a section is called in a title, and its short form in an id.
SECTIONS = {
    "Job": ("Overview", "overview"),
    "Method, exactly": ("Method", "method"),
    "Prompt / input format": ("Prompt and input format", "prompt"),
    "Training": ("Training", "training"),
    "Inference": ("Inference", "inference"),
    "Inference / evaluation": ("Inference and evaluation", "inference"),
    "Headline results": ("Results", "results"),
    "What must work here": ("Requirements", "requirements"),
    "How to check at small scale": ("Small-scale checks", "checks"),
    "Pitfalls": ("Pitfalls", "pitfalls"),
    "Sources": ("Sources and open points", "sources"),
}

# Cost of a border before an atom, on the scale of squared word differences.
ITEM, ASIDE, SUBITEM, SENTENCE, ROW, OPEN, NEVER = 0, 150, 1100, 1300, 1500, 20_000, 10**9

# A section begins on a line that begins with "**Name.**"; other bold words do not.
SECTION = re.compile(r"\*\*([^*]+)\.\*\*\s*")
ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|vs|cf|ca|etc|al|Fig|Eq|no|No|approx)|\b[A-Z])\.$")


class BadInput(Exception):
    """A description or corpus that cannot be used, with its place."""


class Atom:
    """The smallest piece that is never cut: a line, a sentence or a table row."""

    def __init__(self, text, border, glue="\n", lead=None):
        self.text = text  # as printed
        self.border = border  # cost of starting a passage here
        self.glue = glue  # what joins it to the atom before
        self.lead = lead  # repeated when a passage starts here: table header, or "...:" line

    def words(self):
        return count_words(self.text)


def count_words(text):
    """Words of a text; the bars of a table are none."""
    return sum(w != "|" for w in text.split())


def sentences(text):
    """Split a line at sentence ends; decimals and abbreviations do not end one."""
    parts, start = [], 0
    for m in re.finditer(r"[.!?][\"”)\]]?\s+(?=[A-Z0-9\"“(\[`<])", text):
        head = text[start : m.end()].rstrip()
        if ABBREVIATION.search(head) or re.fullmatch(r"(?:[-*]|\(?\w{1,2}[.)])", head):
            continue
        parts.append(head)
        start = m.end()
    parts.append(text[start:].rstrip())
    return [p for p in parts if p]


def plain(line):
    """Drop emphasis marks and task boxes; formulas such as a*b stay as they are."""
    line = re.sub(r"^(\s*)- \[[ x]\] ", r"\1- ", line)
    line = line.replace("- [ ] ", "")
    line = re.sub(r"\*\*([^*]+)\*\*", r"\1", line)
    line = re.sub(r"(?<![\w*)\]}])\*(?=[^\s*])([^*]*[^\s*])\*(?![\w*(])", r"\1", line)
    return line.rstrip()


def atoms_of(lines):
    """Turn the lines of one section into atoms with border costs."""
    out, intro, header, top = [], None, None, None
    for raw in lines:
        line = raw.rstrip()
        if not line.strip():
            header = None
            continue
        if line.lstrip().startswith("|"):
            cells = [plain(c.strip()) for c in line.strip().strip("|").split("|")]
            if all(re.fullmatch(r":?-+:?", c) for c in cells):
                continue
            row = " | ".join(cells).strip()
            if header is None:
                header = row
                # A table keeps its introduction; the header is repeated when it must be cut.
                led = out and out[-1].text.endswith((":", "."))
                out.append(Atom(row, SENTENCE * 2 if led else ITEM))
                first = True
                continue
            out.append(Atom(row, NEVER if first else ROW, lead=header))
            first = False
            continue
        header = None
        indent = len(line) - len(line.lstrip())
        text = plain(line.strip() if indent == 0 else line)
        if indent == 0:
            top, lead = text, None
            # A line that opens a list ("...:") stays with the first thing it opens.
            border = OPEN if intro else ITEM
            pieces = sentences(text)
        else:
            short = top and top.endswith(":") and len(top.split()) <= 30
            # A list set off by one space only is a list of its own, not part of the line above.
            lead, border = (top if short else None), SUBITEM if indent > 1 else ASIDE
            if out and out[-1].text.rstrip() == top and top.endswith(":"):
                border = OPEN
            pad = line[:indent] if indent > 1 else ""
            pieces = sentences(text.strip())
            pieces[0] = pad + pieces[0]
        if re.match(r"\((?!\w{1,2}\))", pieces[0].strip()):
            border = NEVER  # a remark in brackets belongs to what it remarks on
        elif out and out[-1].text.endswith((";", ",", ":")) and not re.match(r"(?:-|\(?\w{1,2}[.)]) ", text.strip()):
            border = OPEN  # a sentence that runs over lines
        out.append(Atom(pieces[0], border, lead=lead))
        out.extend(Atom(p, SENTENCE, glue=" ", lead=None) for p in pieces[1:])
        intro = text.endswith(":") and indent == 0
    return [a for atom in out for a in halves(atom)]


def halves(atom):
    """A single sentence longer than a passage may be cut after a semicolon."""
    if atom.words() <= LONG or ";" not in atom.text:
        return [atom]
    parts = re.split(r"(?<=;)\s+", atom.text)
    first = Atom(parts[0], atom.border, atom.glue, atom.lead)
    return [first] + [Atom(p, SENTENCE * 2, " ") for p in parts[1:]]


def passages_of(atoms):
    """Cheapest segmentation of a section (dynamic programming over borders)."""
    n = len(atoms)
    count = [0]
    for a in atoms:
        count.append(count[-1] + a.words())
    best = [0.0] + [float("inf")] * n
    back = [0] * (n + 1)
    for end in range(1, n + 1):
        for start in range(end - 1, -1, -1):
            first = atoms[start]
            words = count[end] - count[start]
            if start and first.lead:
                words += count_words(first.lead)
            cost = best[start] + (words - AIM) ** 2
            if words > LONG:
                cost += 200 * (words - LONG)
            if words < SHORT:
                cost += 200 * (SHORT - words)
            if start:
                cost += first.border
            if cost < best[end]:
                best[end], back[end] = cost, start
            if words > 3 * LONG:
                break
    spans, end = [], n
    while end:
        spans.append((back[end], end))
        end = back[end]
    return [render(atoms[a:b], a > 0) for a, b in reversed(spans)]


def render(atoms, cut_before):
    """Text of one passage; a table or list that continues repeats what opens it."""
    lines = ""
    if cut_before and atoms[0].lead:
        lines = atoms[0].lead + "\n"
    lines += atoms[0].text if lines else atoms[0].text.lstrip()
    for a in atoms[1:]:
        lines += a.glue + a.text
    return lines.strip()


def slug(text):
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def read_description(path):
    """(system, year, [(title, slug, lines)]) of one file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise BadInput(f"{path}: cannot be read as UTF-8 text: {e}") from e
    if not lines:
        raise BadInput(f"{path}: empty; expected '# Name (year)' on line 1")
    # The bracket may name the authors' code before the year: "# Name (Code, 2022)".
    head = re.match(r"# (.+?) \(((?:[^()]*, )?)((?:19|20)\d\d)\b", lines[0])
    if not head:
        raise BadInput(f"{path}:1: expected '# Name (year)', found {lines[0][:60]!r}")
    system, year = head.group(1), int(head.group(3))
    sections = [("Overview", "overview", [])]
    current = sections[0][2]
    for line in lines[1:]:
        m = re.match(SECTION, line)
        if not m:
            current.append(re.sub(r"^Seeds?: ", "Paper: ", line))
            continue
        # "Headline results (README, nDCG@10)" is the section of that name.
        name = m.group(1) if m.group(1) in SECTIONS else m.group(1).split(" (")[0]
        title, short = SECTIONS.get(name, (m.group(1), slug(m.group(1))))
        same = [lines for _, s, lines in sections if s == short]
        current = same[0] if same else []
        if not same:
            sections.append((title, short, current))
        current.append(line[m.end() :])
    if not any(re.match(SECTION, line) for line in lines):
        raise BadInput(f"{path}: no '**Section.**' found; nothing to cut")
    return system, year, joined(sections)


def joined(sections):
    """Sections too short for a passage of their own join the one that follows."""
    out, held = [], None
    for title, short, lines in sections:
        if not any(x.strip() for x in lines):
            continue
        if held:
            both = f"{held[0]}, {title[0].lower()}{title[1:]}"
            title, short, lines = both, held[1], held[2] + lines
            held = None
        if sum(len(x.split()) for x in lines) < SHORT:
            held = (title, short, lines)
        else:
            out.append((title, short, lines))
    if held and out:
        title, short, lines = out.pop()
        out.append((f"{title}, {held[0][0].lower()}{held[0][1:]}", short, lines + held[2]))
    elif held:
        out.append(held)
    return out


def cut(folder):
    """All passages of a folder, in the order of file names."""
    files = sorted(folder.glob("*.md"))
    if not files:
        raise BadInput(f"{folder}: no *.md file; give the folder of system descriptions")
    records, seen = [], {}
    for path in files:
        system, year, sections = read_description(path)
        for title, short, lines in sections:
            for n, text in enumerate(passages_of(atoms_of(lines)), 1):
                ident = f"{slug(path.stem)}-{short}-{n:02d}"
                if ident in seen:
                    raise BadInput(f"{path}: section {title!r} gives {ident} a second time ({seen[ident]})")
                seen[ident] = path.name
                records.append(
                    {
                        "_id": ident,
                        "title": f"{system} ({year}): {title}",
                        "text": text,
                        "metadata": {"system": system, "section": title, "year": year, "file": path.name},
                    }
                )
    return records


def dump(records):
    return "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records)


def write_atomically(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".")
    try:
        with os.fdopen(fd, "w", encoding="utf-8", newline="\n") as f:
            f.write(text)
            f.flush()
            os.fsync(f.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def differences(path, records):
    """How the file on disk differs from what the folder gives."""
    try:
        old_text = path.read_text(encoding="utf-8")
        old = {}
        for n, line in enumerate(old_text.splitlines(), 1):
            try:
                record = json.loads(line)
                old[record["_id"]] = record
            except (ValueError, KeyError, TypeError) as e:
                raise BadInput(f"{path}:{n}: not a corpus line: {e}") from e
    except OSError as e:
        raise BadInput(f"{path}: cannot be read: {e}") from e
    new = {r["_id"]: r for r in records}
    added = [i for i in new if i not in old]
    gone = [i for i in old if i not in new]
    changed = [i for i in new if i in old and new[i] != old[i]]
    return added, gone, changed, old_text == dump(records)


def main():
    here = Path(__file__).resolve().parents[2] / "data" / "papers" / "corpus.jsonl"
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("folder", type=Path, help="folder of system descriptions (*.md)")
    p.add_argument("-o", "--out", type=Path, default=here, help="corpus file (default: data/papers/corpus.jsonl)")
    p.add_argument("--check", action="store_true", help="write nothing; say whether the file is what the folder gives")
    args = p.parse_args()
    try:
        records = cut(args.folder)
        if args.check:
            added, gone, changed, same = differences(args.out, records)
            for name, ids in (("missing in the file", added), ("not in the folder", gone), ("text differs", changed)):
                for i in ids:
                    print(f"{i}: {name}")
            if not same:
                print(f"{args.out}: differs: {len(added)} missing, {len(gone)} extra, {len(changed)} changed")
                return 1
            print(f"{args.out}: {len(records)} passages, exactly what {args.folder} gives")
            return 0
        write_atomically(args.out, dump(records))
        words = [count_words(r["text"]) for r in records]
        print(
            f"{args.out}: {len(records)} passages of {len({r['metadata']['file'] for r in records})} descriptions, "
            f"{min(words)} to {max(words)} words, mean {sum(words) / len(words):.0f}"
        )
        return 0
    except BadInput as e:
        print(f"cut.py: {e}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
