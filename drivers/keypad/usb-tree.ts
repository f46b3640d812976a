/**
 * What the kernel tells of USB keypads in /sys and /dev, to everybody and without opening them: where they are plugged in, what
 * they are, who may open them, and that something was plugged in or out.
 */
import { type FSWatcher, readdirSync, watch } from 'node:fs'
import { access, constants, readdir, readFile, realpath } from 'node:fs/promises'
import { basename, join } from 'node:path'

/** An interface, which node-hid calls by a path: see HidEntry. */
export interface UsbInterface {
  /** Such as 1-1.2; undefined for one that is not on USB. */
  readonly port: string | undefined
  /** What is opened, such as /dev/bus/usb/001/004 or /dev/hidraw0. */
  readonly file: string | undefined
  readonly name: string | undefined
  readonly serial: string | undefined
  /** Undefined when the kernel does not have it: an earlier run that was killed left the device without a driver. */
  readonly descriptor: Uint8Array | undefined
  /** What its class tells where there is no descriptor: a keyboard that a BIOS may use; perhaps one; something else. */
  readonly looksLike: 'keyboard' | 'perhaps a keyboard' | 'something else'
}

export interface UsbTree {
  /** Undefined when the kernel knows no such interface. */
  interfaceAt(path: string): Promise<UsbInterface | undefined>
  accessTo(file: string): Promise<'permitted' | 'refused' | 'gone'>
}

export interface UsbTreeRoots {
  readonly sys?: string
  readonly dev?: string
}

export function createUsbTree({ sys = '/sys', dev = '/dev' }: UsbTreeRoots = {}): UsbTree {
  const devices = join(sys, 'bus/usb/devices')

  async function atUsbPath(path: string, port: string): Promise<UsbInterface | undefined> {
    const folder = join(devices, path)
    const names = await readdir(folder).catch(() => undefined)
    if (names === undefined) return undefined
    const hid = names.find((name) => /^[0-9A-F]{4}:[0-9A-F]{4}:[0-9A-F]{4}\.[0-9A-F]{4}$/.test(name))
    const [kind, protocol, bus, device] = await Promise.all([
      textOf(join(folder, 'bInterfaceClass')), textOf(join(folder, 'bInterfaceProtocol')),
      textOf(join(devices, port, 'busnum')), textOf(join(devices, port, 'devnum')),
    ])
    return {
      ...await deviceAt(port),
      file: bus === undefined || device === undefined ? undefined
        : join(dev, 'bus/usb', bus.padStart(3, '0'), device.padStart(3, '0')),
      descriptor: hid === undefined ? undefined : await bytesOf(join(folder, hid, 'report_descriptor')),
      looksLike: likeness(kind, protocol),
    }
  }

  async function atHidraw(path: string): Promise<UsbInterface | undefined> {
    const folder = await realpath(join(sys, 'class/hidraw', basename(path), 'device')).catch(() => undefined)
    if (folder === undefined) return undefined
    const port = /\/([0-9]+-[0-9.]+):[0-9]+\.[0-9]+\//.exec(folder)?.[1]
    return {
      ...await deviceAt(port), file: join(dev, basename(path)), looksLike: 'something else',
      descriptor: await bytesOf(join(folder, 'report_descriptor')),
    }
  }

  async function deviceAt(port: string | undefined) {
    if (port === undefined) return { port, name: undefined, serial: undefined }
    const [name, serial] = await Promise.all([textOf(join(devices, port, 'product')), textOf(join(devices, port, 'serial'))])
    return { port, name, serial }
  }

  return {
    interfaceAt(path) {
      const port = /^([0-9]+-[0-9.]+):[0-9]+\.[0-9]+$/.exec(path)?.[1]
      if (port !== undefined) return atUsbPath(path, port)
      return /^\/dev\/hidraw[0-9]+$/.test(path) ? atHidraw(path) : Promise.resolve(undefined)
    },
    accessTo: (file) => access(file, constants.R_OK | constants.W_OK).then(() => 'permitted', (error: unknown) =>
      error instanceof Error && 'code' in error && error.code === 'ENOENT' ? 'gone' : 'refused'),
  }
}

/** USB HID 1.11, 4.1 to 4.3; protocol 2 is a mouse. */
function likeness(kind: string | undefined, protocol: string | undefined): UsbInterface['looksLike'] {
  if (kind !== '03' || protocol === '02') return 'something else'
  return protocol === '01' ? 'keyboard' : 'perhaps a keyboard'
}

const textOf = (path: string): Promise<string | undefined> => readFile(path, 'utf8').then((text) => text.trim(), () => undefined)
const bytesOf = (path: string): Promise<Uint8Array | undefined> => readFile(path).catch(() => undefined)

/** A Raspberry Pi has 2 to 6. */
const BUSES_MAX = 32

/**
 * Calls back whenever a device file of USB comes, goes or gets its permissions; for `hidraw`, one of /dev/hidraw*. The returned
 * function ends it. A folder that cannot be watched is not: whoever waits for a device also looks now and then.
 */
export function watchUsb(kind: 'usb' | 'hidraw', changed: () => void, dev = '/dev'): () => void {
  const watchers = new Map<string, FSWatcher>()
  const buses = join(dev, 'bus/usb')

  function follow(folder: string, onChange: (name: string) => void): void {
    if (watchers.has(folder)) return
    try {
      const watcher = watch(folder, (_, name) => onChange(name ?? ''))
      watchers.set(folder, watcher)
      watcher.on('error', () => forget(folder))
    } catch {
      // It is not there: no bus, or not yet.
    }
  }

  function forget(folder: string): void {
    watchers.get(folder)?.close()
    watchers.delete(folder)
  }

  function followBuses(): void {
    follow(buses, () => {
      followBuses()
      changed()
    })
    const now = namesIn(buses).slice(0, BUSES_MAX).map((name) => join(buses, name))
    for (const folder of watchers.keys()) if (folder !== buses && folder !== dev && !now.includes(folder)) forget(folder)
    for (const folder of now) follow(folder, changed)
  }

  if (kind === 'hidraw') follow(dev, (name) => { if (/^hidraw[0-9]+$/.test(name)) changed() })
  else followBuses()
  return () => { for (const folder of [...watchers.keys()]) forget(folder) }
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
