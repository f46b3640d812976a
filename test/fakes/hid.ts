/**
 * USB with keypads on it, in the hands of a test: the library that reads them, and what the kernel tells of them. A device that
 * is unplugged fails its reader as node-hid does; one that is not permitted is listed, and does not open.
 */
import type { Hid, HidEntry, HidHandle } from '../../drivers/keypad/hid.js'
import type { UsbInterface, UsbTree } from '../../drivers/keypad/usb-tree.js'

export interface FakeKeypad {
  readonly port: string
  readonly vendorId?: number
  readonly productId?: number
  readonly name?: string
  readonly serial?: string
  readonly permitted?: boolean
  /** That of a boot keyboard unless said. */
  readonly interfaces?: readonly FakeInterface[]
}

export interface FakeInterface {
  /** Without one, the kernel has let go of it. */
  readonly descriptor?: Uint8Array
  readonly looksLike?: UsbInterface['looksLike']
  /** Another program has it. */
  readonly taken?: boolean
}

export interface FakeUsb {
  readonly hid: Hid
  readonly tree: UsbTree
  readonly watch: (changed: () => void) => () => void
  /** Whatever was at that port is gone; readers of it fail. Everybody who watches is told. */
  plug(keypad: FakeKeypad): void
  unplug(port: string): void
  /** A keypad sends this. Nobody reads it unless it is open. */
  send(port: string, report: Uint8Array, interfaceNumber?: number): void
  /** The keypad at that port may be opened from now on. Nobody is told. */
  permit(port: string): void
  /** The reader of an open interface fails although the device is there. */
  breakReading(port: string): void
  /** The paths that are open now. */
  opened(): readonly string[]
  /** How often the devices were listed. */
  lists(): number
  /** How many watch now. */
  watchers(): number
  /** From now on nothing is answered, until it is called with false: then everything is. */
  hang(hanging: boolean): void
}

interface Reader extends HidHandle {
  readonly path: string
  data(report: Uint8Array): void
  fail(error: Error): void
}

/** A boot keyboard (HID 1.11, E.6), cut down to its input. */
export const BOOT_DESCRIPTOR = Uint8Array.of(
  0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x08, 0x81, 0x02,
  0x95, 0x01, 0x75, 0x08, 0x81, 0x01, 0x95, 0x06, 0x75, 0x08, 0x15, 0x00, 0x26, 0xff, 0x00, 0x05, 0x07, 0x19, 0x00, 0x2a, 0xff, 0x00, 0x81, 0x00,
  0xc0)

/** Media keys, in reports with id 1; then keys, in reports with id 2. */
export const WITH_ID_DESCRIPTOR = Uint8Array.of(
  0x05, 0x0c, 0x09, 0x01, 0xa1, 0x01, 0x85, 0x01, 0x19, 0x00, 0x2a, 0x3c, 0x02, 0x15, 0x00, 0x26, 0x3c, 0x02, 0x95, 0x01, 0x75, 0x10, 0x81, 0x00, 0xc0,
  0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0x85, 0x02, 0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x08, 0x81, 0x02,
  0x95, 0x07, 0x75, 0x08, 0x26, 0xff, 0x00, 0x19, 0x00, 0x2a, 0xff, 0x00, 0x81, 0x00, 0xc0)

/** Media keys and nothing else. */
export const MEDIA_DESCRIPTOR = WITH_ID_DESCRIPTOR.slice(0, 25)

/** The boot report of these keys. */
export const reportOf = (...usages: readonly number[]): Uint8Array =>
  Uint8Array.from([0, 0, ...usages, ...Array.from<number>({ length: Math.max(0, 6 - usages.length) }).fill(0)])

/** The usage of a key of a keypad, such as '7', '00' or 'enter'. */
export function usageOf(key: string): number {
  const at = '1234567890'.indexOf(key)
  if (key.length === 1 && at >= 0) return 0x59 + at
  const usage = { '00': 0xb0, '000': 0xb1, '.': 0x63, enter: 0x58, clear: 0x2a, cancel: 0x29 }[key]
  if (usage === undefined) throw new Error(`a fake keypad has no key ${key}`)
  return usage
}

/** `style` is what the paths look like: by libusb they tell the port, by hidraw they are numbers. */
export function createFakeUsb(style: 'libusb' | 'hidraw' = 'libusb'): FakeUsb {
  const keypads = new Map<string, FakeKeypad>()
  const numbers = new Map<string, number>()
  const watchers = new Set<() => void>()
  const readers = new Set<Reader>()
  let lists = 0
  let hung: (() => void)[] | undefined
  let plugged = 0

  const interfacesOf = (keypad: FakeKeypad): readonly FakeInterface[] =>
    keypad.interfaces ?? [{ descriptor: BOOT_DESCRIPTOR, looksLike: 'keyboard' }]
  const pathOf = (port: string, number: number): string =>
    style === 'libusb' ? `${port}:1.${number}` : `/dev/hidraw${(numbers.get(port) ?? 0) * 10 + number}`
  const all = () => [...keypads.values()].flatMap((keypad) =>
    interfacesOf(keypad).map((part, number) => ({ keypad, part, path: pathOf(keypad.port, number) })))
  const at = (path: string) => all().find((one) => one.path === path)
  const fileOf = (path: string): string => (style === 'hidraw' ? path : `/dev/bus/usb/001/${path.split(':')[0] ?? ''}`)
  const answered = (): Promise<void> => (hung === undefined ? Promise.resolve() : new Promise((resolve) => { hung?.push(resolve) }))

  function gone(port: string): void {
    const paths = all().filter(({ keypad }) => keypad.port === port).map(({ path }) => path)
    keypads.delete(port)
    for (const reader of readers) if (paths.includes(reader.path)) reader.fail(new Error('could not read from HID device: device disconnected'))
  }

  return {
    hid: {
      async devices() {
        lists++
        await answered()
        return all().map(({ keypad: { vendorId = 0x1a2c, productId = 0x0e24, name = 'USB Keypad', serial }, path }): HidEntry =>
          ({ path, vendorId, productId, product: name, serialNumber: serial, ...(style === 'hidraw' ? { usagePage: 1, usage: 6 } : {}) }))
      },
      async open(path) {
        await answered()
        const found = at(path)
        const refused = found === undefined || found.keypad.permitted === false || found.part.taken === true
        if (refused || [...readers].some((reader) => reader.path === path)) throw new TypeError(`cannot open device with path ${path}`)
        const reader = createReader(path, () => readers.delete(reader))
        readers.add(reader)
        return reader
      },
    },
    tree: {
      interfaceAt(path) {
        const found = at(path)
        if (found === undefined) return Promise.resolve(undefined)
        const { keypad: { port, name, serial }, part } = found
        return Promise.resolve({ port, file: fileOf(path), name, serial, descriptor: part.descriptor, looksLike: part.looksLike ?? 'something else' })
      },
      accessTo(file) {
        const found = all().find(({ path }) => fileOf(path) === file)
        return Promise.resolve(found === undefined ? 'gone' : found.keypad.permitted === false ? 'refused' : 'permitted')
      },
    },
    watch(changed) {
      watchers.add(changed)
      return () => { watchers.delete(changed) }
    },
    plug(keypad) {
      gone(keypad.port)
      numbers.set(keypad.port, plugged++)
      keypads.set(keypad.port, keypad)
      watchers.forEach((changed) => changed())
    },
    unplug(port) {
      gone(port)
      watchers.forEach((changed) => changed())
    },
    send(port, report, number = 0) {
      for (const reader of readers) if (reader.path === pathOf(port, number)) reader.data(report)
    },
    permit(port) { keypads.set(port, { ...keypads.get(port), port, permitted: true }) },
    breakReading(port) {
      for (const reader of readers) if (reader.path === pathOf(port, 0)) reader.fail(new Error('could not read from HID device'))
    },
    opened: () => [...readers].map(({ path }) => path).sort(),
    lists: () => lists,
    watchers: () => watchers.size,
    hang(hanging) {
      const waiting = hung ?? []
      hung = hanging ? waiting : undefined
      if (!hanging) waiting.forEach((go) => go())
    },
  }
}

function createReader(path: string, onClose: () => void): Reader {
  const onData: ((report: Uint8Array) => void)[] = []
  const onError: ((error: Error) => void)[] = []
  let over = false
  return {
    path,
    on(event: 'data' | 'error', listener: (given: Uint8Array & Error) => void) {
      if (event === 'data') onData.push((report) => listener(report as Uint8Array & Error))
      else onError.push((error) => listener(error as Uint8Array & Error))
    },
    data(report) { if (!over) onData.forEach((listener) => listener(report)) },
    /** Only a reader that is read notices. */
    fail(error) {
      if (over || onData.length === 0) return
      over = true
      onError.forEach((listener) => listener(error))
    },
    close() {
      over = true
      onClose()
      return Promise.resolve()
    },
  }
}
