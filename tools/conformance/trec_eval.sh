#!/usr/bin/env bash
# Runs trec_eval's own test suite through `plackett eval --compat trec_eval-10` and compares every line, digit for digit.
#
#     tools/conformance/trec_eval.sh FOLDER
#
# FOLDER is a checkout of github.com/usnistgov/trec_eval. The commands are those of the target `quicktest` of its Makefile, the
# expected lines those of the files in its `test/`. PLACKETT names the program (default: built here with cargo, unoptimised).
# Exit code 1 when a line differs, 2 when FOLDER is no such checkout.
set -euo pipefail
if [ $# -ne 1 ]; then
    echo "usage: $0 FOLDER (a checkout of github.com/usnistgov/trec_eval)" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
folder=$(cd "$1" && pwd)
if [ ! -f "$folder/Makefile" ] || [ ! -d "$folder/test" ]; then
    echo "$0: $folder has no Makefile and test/; is it a checkout of trec_eval?" >&2
    exit 2
fi
if [ -z "${PLACKETT:-}" ]; then
    root=$(cd "$here/../.." && pwd)
    cargo build --quiet --manifest-path "$root/Cargo.toml" -p plackett
    PLACKETT=${CARGO_TARGET_DIR:-$root/target}/debug/plackett
fi
exec python3 "$here/trec_eval.py" "$PLACKETT" "$folder"
