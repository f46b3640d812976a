# shellcheck shell=bash
# Makes a fresh Debian 12 or 13 machine ready to run Plinth: Debian packages, npm packages, dist/. Sourced by the other
# scripts, which call `prepare demo` or `prepare test`. Installs only what is missing, so a second run takes a moment.
# Whatever it cannot do ends in one sentence that says what to do; everything it says goes to stderr.

# What canvas, better-sqlite3, epoll (of onoff) and spi-device need to compile, what node-hid loads, the fonts of our four
# languages, and a pty for the register.
PACKAGES_DEMO=(build-essential python3 pkg-config libcairo2-dev libpango1.0-dev libjpeg-dev libgif-dev librsvg2-dev
  fontconfig fonts-dejavu-core fonts-tlwg-loma-ttf fonts-wqy-microhei socat
  libusb-1.0-0 libudev1)
# A real browser, a broker that is not ours (Debian starts it on localhost), the linter of these scripts, what breaks disks,
# and a second reader of codes, which the product does not use.
PACKAGES_TEST=(chromium mosquitto shellcheck strace e2fsprogs mount zbar-tools)

# prepare demo|test
prepare() {
  local started=$EPOCHREALTIME
  case $1 in
    demo) local packages=("${PACKAGES_DEMO[@]}") ;;
    test) local packages=("${PACKAGES_DEMO[@]}" "${PACKAGES_TEST[@]}") ;;
  esac
  check_system
  check_node
  check_folder
  log=$(mktemp "${TMPDIR:-/tmp}/plinth-prepare.XXXXXX") ||
    stop "no file can be made in ${TMPDIR:-/tmp}: make room there, or set TMPDIR to another folder."
  lock
  install_debian_packages "${packages[@]}"
  install_npm_packages
  build
  unlock
  rm -f "$log"
  say "$(paint 32 ready) ($(seconds_since "$started") s)"
}

check_system() {
  [[ $(uname -s) == Linux ]] || stop "Plinth runs on Linux, this is $(uname -s): use a Debian 12 or 13 machine."
  local ID=unknown VERSION_ID='' PRETTY_NAME=''
  # shellcheck source=/dev/null
  [[ ! -r /etc/os-release ]] || . /etc/os-release
  case "$ID $VERSION_ID" in
    'debian 12' | 'debian 13' | 'raspbian 12' | 'raspbian 13') ;;
    *) say "$(paint 33 note:) tested on Debian 12 and 13; this is ${PRETTY_NAME:-an unknown system}. Going on." ;;
  esac
}

check_node() {
  local needed found
  needed=$(sed -nE 's/^ *"node": ">=([0-9.]+)".*/\1/p' package.json 2>/dev/null) || true
  [[ -n $needed ]] || stop "no package.json of Plinth in $PWD: run this from a whole checkout."
  command -v node >/dev/null || stop "Node is not installed: install Node $needed or later, then run this again."
  found=$(node --version 2>/dev/null </dev/null) || stop "$(command -v node) does not run: install Node $needed or later."
  [[ $(printf '%s\n' "$needed" "${found#v}" | sort -V | head -n 1) == "$needed" ]] ||
    stop "Node $needed or later is needed, found $found at $(command -v node): install a newer Node, then run this again."
}

check_folder() {
  local path
  for path in . dist node_modules; do
    [[ -e $path && ! -w $path ]] || continue
    [[ ! -O $path ]] || stop "$(realpath "$path") is read-only: make it writable, or use a checkout elsewhere."
    stop "no permission to write to $(realpath "$path"): run this as $(stat -c %U "$path"), or in a checkout of your own."
  done
}

# Two runs at once would trip over each other in node_modules. The folder itself is the lock; nothing is left behind.
lock() {
  exec {lock_fd}<.
  command -v flock >/dev/null || return 0
  flock --nonblock "$lock_fd" && return 0
  say 'another preparation is running in this folder, waiting for it'
  flock --timeout 1800 "$lock_fd" ||
    stop 'another preparation has been running here for 30 minutes: end it, then run this again.'
}

unlock() { exec {lock_fd}<&-; }

install_debian_packages() {
  local missing=() package
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    say "$(paint 33 note:) no apt-get here; these must be present by their names on this system: $*"
    return 0
  fi
  local installed
  installed=$(dpkg-query --show --showformat='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null) || true
  for package in "$@"; do
    grep -qxF "installed $package" <<<"$installed" || missing+=("$package")
  done
  # Debian ships npm apart from Node; other builds of Node bring their own.
  command -v npm >/dev/null || {
    dpkg-query --search "$(readlink -f "$(command -v node)")" >/dev/null 2>&1 ||
      stop "npm is not installed beside $(command -v node): install Node together with its npm, then run this again."
    missing+=(npm)
  }
  ((${#missing[@]} > 0)) || return 0

  local as_root=()
  if ((EUID != 0)); then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
      as_root=(sudo -n)
    elif command -v sudo >/dev/null && [[ -t 0 && -t 2 ]]; then
      say "Debian packages must be installed: ${missing[*]}"
      sudo -v || stop "root is needed once: run 'apt-get install ${missing[*]}' as root, then run this again."
      as_root=(sudo -n)
    else
      stop "root is needed once: run 'apt-get install ${missing[*]}' as root, then run this again."
    fi
  fi
  step "installing ${#missing[@]} Debian packages (${missing[*]})" apt_get_install "${missing[@]}" && return 0
  show_log
  if grep -qE 'Could not (resolve|connect)|Temporary failure|Connection (failed|timed out)|unreachable' "$log"; then
    stop 'could not reach the Debian package archive: check the network or the proxy, then run this again.'
  fi
  stop "apt-get could not install ${missing[*]}: mend what it says above, then run this again."
}

# A failed update is not yet a failure: what the archive listed before may do.
apt_get_install() {
  local apt_get=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get
    -oAcquire::Retries=2 -oAcquire::http::Timeout=30 -oDPkg::Lock::Timeout=300)
  "${apt_get[@]}" update
  "${apt_get[@]}" install --yes --no-install-recommends -- "$@"
}

# node_modules is made anew only when the lockfile or the Node it was compiled for has changed.
install_npm_packages() {
  local stamp=node_modules/.plinth-stamp wanted
  [[ -r package-lock.json ]] || stop "no readable package-lock.json in $PWD: run this from a whole checkout."
  wanted="$(sha256sum <package-lock.json) $(node -p 'process.arch + process.versions.modules')"
  [[ ! -r $stamp || $(<"$stamp") != "$wanted" ]] || return 0

  # Node's own headers, if they came with it, save a download.
  local headers
  headers=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")/include/node
  if [[ -z ${npm_config_nodedir-} && -f $headers/node.h ]]; then export npm_config_nodedir=${headers%/include/node}; fi

  local text='installing npm packages (compiles canvas and better-sqlite3, a minute or two; longer on a small board)'
  if ! step "$text" npm_ci; then
    show_log
    local unreachable='(ENOTFOUND|EAI_AGAIN|ECONN|ETIMEDOUT|ENETUNREACH|ERR_SOCKET)'
    if grep -qE "npm (ERR!|error) (code|errno|network).*$unreachable" "$log"; then
      stop 'could not reach the package registry of npm: check the network or the proxy, then run this again.'
    elif grep -qE "gyp ERR!.*$unreachable" "$log"; then
      stop "Node's headers are neither in $headers nor could be downloaded: check the network."
    fi
    stop 'npm ci failed: mend what it says above, then run this again.'
  fi
  step 'checking that canvas, better-sqlite3 and serialport load' node --input-type=module -e "
    import { createCanvas } from 'canvas'
    import Database from 'better-sqlite3'
    import 'serialport'
    createCanvas(1, 1)
    new Database(':memory:').close()" ||
    { show_log; stop "a compiled package does not load: let npm run install scripts ('npm config get ignore-scripts')."; }
  printf '%s\n' "$wanted" >"$stamp"
}

# One question first: without a network, npm would ask for every package of the lockfile before it gives up.
npm_ci() {
  local options=(--prefer-offline --fetch-retries=2 --fetch-retry-mintimeout=1000 --fetch-retry-maxtimeout=10000)
  npm view typescript version "${options[@]}" && npm ci "${options[@]}"
}

build() {
  scripts/build.sh --is-fresh && return 0
  step 'building dist/' scripts/build.sh && return 0
  show_log
  stop 'the build failed: mend what it says above, then run this again.'
}

# step TEXT COMMAND...: runs the command with its output in $log, shows that time passes, and passes on how it ended.
step() {
  local text=$1 started=$SECONDS ticker status=0
  shift
  printf '%s%s ...' "$(prefix)" "$text" >&2
  tick {lock_fd}<&- &
  ticker=$!
  "$@" >"$log" 2>&1 </dev/null || status=$?
  kill "$ticker" 2>/dev/null || true
  wait "$ticker" 2>/dev/null || true
  if ((status == 0)); then printf ' %s (%s s)\n' "$(paint 32 'done')" $((SECONDS - started)) >&2
  else printf ' %s (%s s)\n' "$(paint 31 failed)" $((SECONDS - started)) >&2; fi
  return "$status"
}

# A dot every two seconds, until it is killed or its parent is gone.
tick() {
  while sleep 2 && kill -0 "$$" 2>/dev/null; do printf '.' >&2; done
}

# npm's remarks on settings are no help here.
show_log() { grep -v 'Unknown .* config' "$log" | tail -n 8 | sed 's/^/    /' >&2; say "the whole log: $log"; }

seconds_since() { awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f", to - from }'; }

prefix() { paint 2 'prepare: '; }
say() { printf '%s%s\n' "$(prefix)" "$*" >&2; }

stop() {
  printf '%s%s %s\n' "$(prefix)" "$(paint 31 'cannot go on:')" "$*" >&2
  [[ -s ${log-} ]] || rm -f "${log-}"
  exit 1
}

# paint CODE TEXT: colours only for people.
paint() {
  if [[ -t 2 && -z ${NO_COLOR-} ]]; then printf '\033[%sm%s\033[0m' "$1" "$2"; else printf '%s' "$2"; fi
}
