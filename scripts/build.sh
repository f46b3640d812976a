#!/usr/bin/env bash
# Brings dist/ up to date: compiles, and puts what is not TypeScript (profiles, pages, schemas) beside the modules that
# read it. Does nothing when no source changed since the last good build. `--is-fresh` only says, by its exit code,
# whether that is so. Meant for `npm run build`; installs nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folders=(device drivers firmware-config cloud scripts)
stamp=dist/.built

# Folders are looked at too: their time changes when a file is added, moved or removed.
is_fresh() {
  [[ -f $stamp && -d node_modules ]] || return 1
  [[ -z $(find "${folders[@]}" test {package,package-lock,tsconfig}.json vitest.config.ts -newer "$stamp" -print -quit) ]]
}

[[ ${1-} != --is-fresh ]] || { is_fresh; exit; }

mkdir -p dist
exec {lock}<dist
flock --timeout 600 "$lock" || {
  echo 'another build has been running for ten minutes: end it, then run this again' >&2
  exit 1
}
if is_fresh; then exit 0; fi

started=$(mktemp dist/.built.XXXXXX)
trap 'rm -f "$started"' EXIT
find "${folders[@]}" -type f ! -name '*.ts' ! -name '*.sh' -exec cp --parents --target-directory=dist {} +
node_modules/.bin/tsc -p .
mv "$started" "$stamp"
