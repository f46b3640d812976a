#!/usr/bin/env bash
# Makes what the rig boots, in a cache folder: Debian's kernels, the modules that Debian leaves out, and a first root file
# system. QEMU and its like are installed; kernels are downloaded and unpacked, never installed. Prints a folder for each
# kernel, with a vmlinuz, an initramfs and its modules; everything else that it says goes to stderr. Where the rig cannot
# run, its exit code is 75 and its last line is the sentence why.
#
# CACHE/debs/                      downloads, until they are unpacked
# CACHE/udev/                      udevd, which makes the names in /dev/serial/by-id
# CACHE/6.1.0-56-amd64/            vmlinuz  initramfs.gz
# CACHE/6.1.0-56-amd64/build/      what they are made of: headers, sources, modules
set -euo pipefail
rig=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${PLINTH_RIG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/plinth-rig}
export LC_ALL=C

# The tools, and what kernel modules are built with.
PACKAGES=(qemu-system-x86 busybox-static kmod cpio xz-utils gcc make libelf1)
# Without these there is no root file system. They are loaded in this order, after what they need.
FIRST=(virtio_pci virtio_console virtio_net 9pnet_virtio 9p overlay)
# The hardware of a box, loaded once there is a root.
LATER=(evdev usbhid hid-generic uhid xhci_pci ftdi_sio bochs configfs gpio-sim plinth-spi)
# Where those are, and what they need: a small part of the package. Some are built into newer kernels.
FOLDERS=(fs/{9p,configfs,netfs,overlayfs} 'fs/f*' net/9p 'net/core/*' drivers/virtio 'drivers/char/*.ko*' 'drivers/net/*.ko*' 'drivers/input/*.ko*'
  'drivers/hid/*.ko*' drivers/hid/usbhid drivers/usb/{common,core,host,serial} 'drivers/gpu/drm/*.ko*' drivers/gpu/drm/{tiny,ttm,display})

main() {
  [[ $(uname -s) == Linux ]] || not_here "the rig needs Linux, this is $(uname -s)."
  [[ $(uname -m) == x86_64 ]] || not_here "the rig's machines are x86_64, and this one is $(uname -m)."
  for tool in apt-get dpkg; do
    command -v "$tool" >/dev/null || not_here "the rig takes kernels from Debian's archive, and there is no $tool here."
  done
  mkdir -p "$cache/debs"
  exec {lock}<"$cache"
  flock --timeout 600 "$lock" || not_here "another run has been preparing $cache for ten minutes."

  made_of=$(cat "$rig/prepare.sh" "$rig/module/"* "$rig/guest/init" | sha256sum)
  if [[ -r $cache/ready && $(head -n 1 "$cache/ready") == "$made_of" ]] && have_tools; then
    tail -n +2 "$cache/ready"
    return
  fi

  apt-get update -qq >&2 || say 'the lists of packages could not be brought up to date; going on with those that are here'
  local kernels=() jobs=() kernel
  mapfile -t kernels < <(kernels_of_this_debian)
  ((${#kernels[@]} > 0)) || not_here 'the archive of this system has no linux-image-amd64: it is no Debian, or cannot be reached.'
  ((${#kernels[@]} > 1)) || say "this Debian has one kernel only, ${kernels[0]}; the rig will run on that"

  # Downloading and unpacking wait for nothing; building needs kmod and the compiler.
  install_tools >&2 {lock}<&- &
  local installing=$!
  fetch_udev >&2 {lock}<&- &
  jobs+=($!)
  for kernel in "${kernels[@]}"; do
    fetch_kernel "$kernel" >&2 {lock}<&- &
    jobs+=($!)
  done
  local job failed=0
  wait "$installing" || not_here "${PACKAGES[*]} are needed: run 'apt-get install ${PACKAGES[*]}' as root."
  for job in "${jobs[@]}"; do wait "$job" || failed=1; done
  ((failed == 0)) || not_here 'the kernels could not be fetched, see above: check the network or the proxy, then run this again.'

  jobs=()
  for kernel in "${kernels[@]}"; do
    build_kernel "$kernel" >"$cache/$kernel/build.log" 2>&1 {lock}<&- &
    jobs+=("$!:$kernel")
  done
  for job in "${jobs[@]}"; do
    wait "${job%%:*}" || { tail -n 20 "$cache/${job#*:}/build.log" >&2; stop "what ${job#*:} needs could not be built"; }
  done
  { echo "$made_of"; printf "$cache/%s\n" "${kernels[@]}"; } >"$cache/ready"
  tail -n +2 "$cache/ready"
}

# The release's own, and a newer one where the archive has it: Debian 12 has 6.1 and 6.12, whose GPIO numbers differ.
kernels_of_this_debian() {
  local name
  for name in linux-image-amd64 linux-image-6.12-amd64; do depends "$name" '^linux-image-'; done | sort -uV
}

# depends PACKAGE PATTERN: the first of its dependencies that matches.
depends() { apt-cache depends "$1" 2>/dev/null | awk -v pattern="$2" '$1 == "Depends:" && $2 ~ pattern { print $2; exit }' | sed 's/^linux-image-//'; }

have_tools() {
  local installed
  installed=$(dpkg-query --show --showformat='${db:Status-Status} ${Package}\n' "${PACKAGES[@]}" 2>/dev/null) || true
  [[ $(grep -c '^installed ' <<<"$installed") == "${#PACKAGES[@]}" ]]
}

install_tools() {
  have_tools && return
  local as_root=()
  ((EUID == 0)) || { command -v sudo >/dev/null && sudo -n true 2>/dev/null && as_root=(sudo -n); } || return
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get -qq -oDPkg::Lock::Timeout=300 install --yes --no-install-recommends \
    -- "${PACKAGES[@]}" >/dev/null
}

fetch_udev() {
  [[ ! -x $cache/udev/bin/udevadm ]] || return 0
  fetch udev
  unpack "$cache/udev" udev
}

fetch_kernel() {
  local kernel=$1 version build=$cache/$1/build headers=linux-headers-$1
  [[ ! -e $build/.whole ]] || return 0
  version=$(grep -oE '^[0-9]+\.[0-9]+' <<<"$kernel")
  local parts=("$headers" "$(depends "$headers" '^linux-headers-.*-common')" "$(depends "$headers" '^linux-kbuild-')")
  rm -rf "$build"
  mkdir -p "$build"
  (fetch "linux-source-$version" && unpack_source "$version" "$build") &
  local source=$!
  fetch "linux-image-$kernel" "${parts[@]}"
  local wanted=("${FOLDERS[@]/#/'./lib/modules/*/kernel/'}")
  unpack "$build" "linux-image-$kernel" --wildcards './boot/vmlinuz-*' './lib/modules/*/modules.*' "${wanted[@]}"
  local part
  for part in "${parts[@]}"; do unpack "$build" "$part"; done
  # The package expects to lie at the root of the machine.
  sed -i "s#\([ =]\)/usr/src/linux-headers#\1$build/usr/src/linux-headers#g" "$build/usr/src/$headers/Makefile"
  wait "$source"
  touch "$build/.whole"
}

# fetch PACKAGE...: into debs/, unless it is there.
fetch() {
  local name missing=()
  cd "$cache/debs"
  for name in "$@"; do
    compgen -G "${name}_*.deb" >/dev/null || missing+=("$name")
  done
  # An unprivileged user of apt's own cannot write here, and it says so at length.
  ((${#missing[@]} == 0)) || apt-get -qq -oAPT::Sandbox::User=root download "${missing[@]}"
}

# unpack FOLDER PACKAGE TAR-OPTION...: and throw the download away.
unpack() {
  local folder=$1 name=$2
  mkdir -p "$folder"
  dpkg --fsys-tarfile "$cache/debs/${name}"_*.deb | tar x -C "$folder" "${@:3}"
  rm -f "$cache/debs/${name}"_*.deb
}

# Debian builds neither gpio-sim nor what it needs. They are GPL-2.0, and stay out of this project.
unpack_source() {
  local tree=linux-source-$1
  dpkg --fsys-tarfile "$cache/debs/${tree}"_*.deb | tar xO "./usr/src/$tree.tar.xz" |
    tar xJ -C "$2" "$tree"/drivers/gpio/{gpio-sim.c,gpiolib.h} "$tree/kernel/irq/irq_sim.c"
  mv "$2/$tree" "$2/source"
  rm -f "$cache/debs/${tree}"_*.deb
}

build_kernel() {
  local kernel=$1 folder=$cache/$1 build=$cache/$1/build
  rm -rf "$build/modules"
  mkdir "$build/modules"
  cp "$build"/source/drivers/gpio/* "$build/source/kernel/irq/irq_sim.c" "$rig/module/plinth-spi.c" "$build/modules/"
  # The one call that the kernel keeps from modules has a twin that it does not.
  sed -i 's/handle_simple_irq(irq_to_desc(irqnum))/generic_handle_irq(irqnum)/' "$build/modules/irq_sim.c"
  printf '\n#include <linux/module.h>\nMODULE_LICENSE("GPL");\n' >>"$build/modules/irq_sim.c"
  printf 'obj-m := irq_sim.o gpio-sim.o plinth-spi.o\n' >"$build/modules/Makefile"
  make -s -C "$build/usr/src/linux-headers-$kernel" M="$build/modules" CONFIG_DEBUG_INFO_BTF_MODULES= modules

  local modules=$build/lib/modules/$kernel
  mkdir -p "$modules/extra"
  strip --strip-debug "$build/modules/"*.ko
  cp "$build/modules/"*.ko "$modules/extra/"
  depmod -b "$build" "$kernel"
  cp "$build/boot/vmlinuz-$kernel" "$folder/vmlinuz"
  make_initramfs "$kernel"
}

make_initramfs() {
  local kernel=$1 root
  root=$(mktemp -d)
  mkdir -p "$root"/{bin,dev,proc,sys,host,scratch,root,modules}
  cp /bin/busybox "$root/bin/"
  put_modules "$kernel" "$root/modules" "${FIRST[@]}" >"$root/modules/first"
  put_modules "$kernel" "$root/modules" "${LATER[@]}" >"$root/modules/later"
  install -m 755 "$rig/guest/init" "$root/init"
  (cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$cache/$kernel/initramfs.gz"
  rm -rf "$root"
}

# put_modules KERNEL FOLDER MODULE...: unpacked, and what each needs; prints their files in the order in which they load.
put_modules() {
  local kernel=$1 folder=$2 name path
  for name in "${@:3}"; do
    modprobe -d "$cache/$kernel/build" -S "$kernel" --show-depends "$name"
  done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r path; do
    name=$(basename "${path%.xz}")
    if [[ $path == *.xz ]]; then xz -dc "$path" >"$folder/$name"; else cp "$path" "$folder/"; fi
    echo "$name"
  done
}

say() { echo "rig: $*" >&2; }
stop() { say "$*"; exit 1; }
not_here() { say "$*"; exit 75; }

main
