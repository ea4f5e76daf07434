#!/usr/bin/env bash
# Does accelsim work where only its wheel is? Builds the wheel, installs it in a clean environment
# outside the checkout and runs it from an empty folder, so that nothing is found by accident.
#   tests/packaging/check_wheel.sh PYTHON     PYTHON has the 'build' package
set -euo pipefail

python=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
checkout=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset PYTHONPATH ACCELSIM_PATH VIRTUAL_ENV

echo "building the source distribution, and the wheel from it"
"$python" -m build --outdir "$scratch/dist" "$checkout" >"$scratch/build.log" 2>&1 || {
    cat "$scratch/build.log" >&2
    exit 1
}

echo "installing it in a clean environment"
"$python" -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip install --quiet --quiet --disable-pip-version-check "$scratch"/dist/*.whl

mkdir "$scratch/empty"
cd "$scratch/empty"
accelsim=$scratch/venv/bin/accelsim
for listing in chips models; do
    count=$("$accelsim" list "$listing" --json - | "$python" -c \
        'import json, sys; d = json.load(sys.stdin); print(len(d["items"] if "items" in d else d))')
    [ "$count" -gt 0 ] || { echo "the wheel has no $listing" >&2; exit 1; }
    echo "accelsim list $listing: $count"
done
"$accelsim" demo
[ -n "$(ls -A accelsim-demo)" ] || { echo "accelsim demo wrote nothing" >&2; exit 1; }
"$python" - "$scratch/venv" <<'PY'
import pathlib, sys
[package] = pathlib.Path(sys.argv[1]).glob("lib/python*/site-packages/accelsim")
missing = [name for name in ("py.typed", "_data/arch_specs", "_data/workloads") if not (package / name).exists()]
sys.exit(f"missing from the wheel: {', '.join(missing)}" if missing else 0)
PY
echo "the wheel works"
