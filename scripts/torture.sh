#!/usr/bin/env bash
# Tries to break the money for as long as it is given: the exhaustive model, the simulated world, real processes killed at
# every write and at random, full and failing disks, power cuts, and bugs planted on purpose.
#
#   scripts/torture.sh [--minutes N] [--only LAYER]
#
# N is about how long all layers take together on two cores; 20 when not given, as CI runs it. Some layers need root
# (mounts, loop devices) and strace: what cannot run here says so and is counted as not run.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@"
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/prepare.sh
. scripts/prepare.sh

LAYERS=(model simulation kill-at-writes random-kills disk-faults power-cuts mutants)

usage() {
  echo "scripts/torture.sh: $1" >&2
  echo "usage: scripts/torture.sh [--minutes N] [--only LAYER], where a layer is one of: ${LAYERS[*]}" >&2
  exit 2
}

minutes=20 only=
while (($# > 0)); do
  case $1 in
    --minutes) [[ ${2-} =~ ^[1-9][0-9]{0,4}$ ]] || usage "--minutes needs a whole number from 1 to 99999, found '${2-}'"; minutes=$2 ;;
    --only) [[ " ${LAYERS[*]} " == *" ${2-} "* ]] || usage "there is no layer '${2-}'"; only=$2 ;;
    *) usage "there is no option '$1'" ;;
  esac
  shift 2
done

# scaled N: N is the size in 20 minutes.
scaled() { echo $(($1 * minutes / 20 > 0 ? $1 * minutes / 20 : 1)); }

# The same beginning for every change, so that a change is judged and not a day; who gives it more time explores anew.
seed=${PLINTH_SEED:-20000}
((minutes == 20)) || seed=${PLINTH_SEED:-$(date -u +%Y%m%d)}

layer() {
  case $1 in
    model) node --max-old-space-size=6000 dist/test/model/check.js --at-least 150000 ;;
    simulation) node dist/test/simulation/simulate.js --sales "$(scaled 100000)" --hours "$(scaled 5000)" --workers 2 --from-seed "$seed" ;;
    kill-at-writes)
      # At every sync and right after it; of the writes between, each one when there is time.
      node dist/test/power/kill-at-writes.js --every $((minutes < 60 ? 10 : 1))
      ;;
    random-kills) node dist/test/power/random-kills.js --kills "$(scaled 300)" --seed "$seed" ;;
    disk-faults) node dist/test/power/disk-faults.js --every $((minutes < 60 ? 12 : 1)) ;;
    power-cuts) node dist/test/power/power-cuts.js --cuts "$(scaled 100)" ;;
    mutants) node dist/test/mutants/run.js --jobs 2 ;;
  esac
}

prepare test
failed=()
for name in "${LAYERS[@]}"; do
  [[ -z $only || $only == "$name" ]] || continue
  printf '\n== %s\n' "$name"
  started=$SECONDS
  if layer "$name"; then
    printf -- '-- %s: whole (%d s)\n' "$name" $((SECONDS - started))
  else
    printf -- '-- %s: BROKEN (%d s)\n' "$name" $((SECONDS - started))
    failed+=("$name")
  fi
done
((${#failed[@]} == 0)) || { printf '\nbroken: %s\n' "${failed[*]}"; exit 1; }
