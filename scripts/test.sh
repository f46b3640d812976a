#!/usr/bin/env bash
# All tests, with one command on a fresh Debian machine: installs what is missing, builds, and runs vitest with whatever
# arguments are given (a part of a file's name, for example). `--prepare-only` installs and builds, and tests nothing.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@"
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/prepare.sh
. scripts/prepare.sh

prepare test
[[ ${1-} != --prepare-only ]] || exit 0
exec node_modules/.bin/vitest run "$@"
