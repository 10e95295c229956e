#!/usr/bin/env python3
"""Writes "## Measured" into docs/adapters.md: quality against trained numbers, from the numbers of recipes/adapters.toml.

    cargo build --release
    python3 tools/adapters/measured.py [--plackett target/release/plackett] [--scale quick] [--cache FOLDER]
        [--page docs/adapters.md]

Stages come from the cache of `plackett recipe check adapters`, so that the table has the numbers that a check before it has
recorded; what is not there is run. Needs nothing but the command and Python. The working folder has to be the repository's.
"""

import argparse
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
RECIPE, KIND, MEASURE = "adapters", "adapter-quality", "nDCG@10"
# What is written in the first column where it is no adapter's expression.
OTHERS = {
    "none": "untrained",
    "head": "the head alone",
    "full": "full fine-tuning",
}


def answered(command, codes):
    """The JSON that a command prints; 1 is the code of a check whose claims do not all hold."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode not in codes:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr.strip()}")
    return json.loads(done.stdout)


def arms(arguments):
    """Each arm with its fields and its numbers, in the order of what is trained."""
    plackett = [arguments.plackett, "--offline", "--quiet", "recipe"]
    shown = answered(plackett + ["show", RECIPE, "--json"], [0])[arguments.scale]["stages"]
    # Fields stand as they would be written, which for texts and whole numbers is JSON.
    fields = {stage["name"]: stage["fields"] for stage in shown if stage["kind"] == KIND}
    check = ["check", RECIPE, "--scale", arguments.scale, "--json"]
    check += ["--cache", arguments.cache] if arguments.cache else []
    checked = answered(plackett + check, [0, 1])
    for stage in checked["stages"]:
        if stage["kind"] == KIND:
            yield fields[stage["name"]], stage["numbers"], dict(stage["facts"])


def label(fields):
    adapter = json.loads(fields["adapter"])
    name = OTHERS.get(adapter, f"`{adapter}`")
    return f"thin layers, {fields['rank']} of the limit" if "rank" in fields else name


def row(fields, numbers):
    quality = numbers[MEASURE]
    low, high = quality["ci95"]
    trained, seconds = numbers["trainable"]["mean"], numbers.get("step_seconds")
    seconds = "–" if seconds is None else f"{seconds['mean']:.2f}"
    share = "0" if trained == 0 else f"{100 * numbers['share']['mean']:.2g} %" if trained < 1e6 else f"{100 * numbers['share']['mean']:.0f} %"
    rate = "–" if trained == 0 else f"{float(fields['rate']):g}"
    return f"| {label(fields)} | {trained:,.0f} | {share} | {quality['mean']:.3f} | {low:.3f} – {high:.3f} | {rate} | {seconds} |"


def page(arguments):
    found = sorted(arms(arguments), key=lambda arm: arm[1]["trainable"]["mean"])
    fields, numbers, facts = found[-1]
    text = [
        "## Measured",
        "",
        f"Written by `tools/adapters/measured.py` from `recipes/{RECIPE}.toml` at the scale `{arguments.scale}`: all-MiniLM-L6-v2 as a "
        f"cross-encoder for WikiQA, {numbers[MEASURE]['n']} test questions, {fields['steps']} steps of {fields['batch']} questions. "
        f"Trained numbers include the head; of all are {int(facts['numbers of the base']):,}. Intervals are 95 % over questions, "
        "seconds the median of a step. Few steps show how fast each learns, not what it comes to.",
        "",
        "| adapter | trained numbers | share of all | nDCG@10 | 95 % interval | rate | seconds a step |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    text += [row(fields, numbers) for fields, numbers, _ in found]
    text += [
        "",
        "`lt-sft` goes through all steps twice. Without a row: `fila` begins from the weights that matter for texts to be forgotten, and "
        "is plain LoRA without such; `recipes/loku.toml` measures it at its own task.",
    ]
    with open(arguments.page, encoding="utf-8") as file:
        declared = file.read().split("\n## Measured\n")[0].rstrip("\n")
    with open(arguments.page + ".part", "w", encoding="utf-8") as out:
        out.write(declared + "\n\n" + "\n".join(text) + "\n")
    os.replace(arguments.page + ".part", arguments.page)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--plackett", default=os.path.join(ROOT, "target", "release", "plackett"))
    parser.add_argument("--scale", choices=["quick", "full"], default="quick")
    parser.add_argument("--cache", help="of the recipes, where it is not the user's")
    parser.add_argument("--page", default=os.path.join(ROOT, "docs", "adapters.md"))
    page(parser.parse_args())


if __name__ == "__main__":
    main()
