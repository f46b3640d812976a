#!/usr/bin/env bash
# One sale, from nothing to PAID, with one command on a fresh Debian machine: installs what is missing, builds, and plays
# the sale. `scripts/demo.sh --help` lists the options; `--prepare-only` installs and builds, and plays nothing.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@"
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/prepare.sh
. scripts/prepare.sh

prepare demo
[[ ${1-} != --prepare-only ]] || exit 0
exec node dist/scripts/demo.js "$@"
