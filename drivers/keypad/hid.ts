/**
 * The part of `node-hid` that is used, loaded only when a USB keypad is wanted; and what is wrong when it does not load.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { DriverError } from '../driver.js'

/** An interface of a device; one may be listed several times, once for each thing it does. */
export interface HidEntry {
  /** With libusb such as 1-1.2:1.0 (port, configuration, interface), with hidraw such as /dev/hidraw0. */
  readonly path?: string | undefined
  readonly vendorId: number
  readonly productId: number
  readonly product?: string | undefined
  readonly serialNumber?: string | undefined
  /** hidraw only: libusb would have to take the device from the kernel to know. */
  readonly usagePage?: number | undefined
  readonly usage?: number | undefined
}

export interface HidHandle {
  on(event: 'data', listener: (report: Uint8Array) => void): unknown
  /** Emitted once, when the device is gone or reading failed. */
  on(event: 'error', listener: (error: unknown) => void): unknown
  close(): Promise<void>
}

export interface Hid {
  devices(): Promise<readonly HidEntry[]>
  open(path: string): Promise<HidHandle>
}

/**
 * `exclusive` takes devices by libusb, which detaches them from the kernel while they are open; else hidraw, where the kernel
 * goes on typing their keys. The first choice stands for the whole process.
 */
export async function loadHid(exclusive: boolean): Promise<Hid> {
  const nodeHid = await import('node-hid').catch((error: unknown) => { throw loadFailure(error) })
  nodeHid.setDriverType(exclusive ? 'libusb' : 'hidraw')
  return {
    // Its native part is loaded here, and this never rejects once that is there.
    devices: () => nodeHid.devicesAsync().catch((error: unknown) => { throw loadFailure(error) }),
    open: async (path) => closedLater(await nodeHid.HIDAsync.open(path)),
  }
}

/**
 * node-hid begins to read on the next tick after somebody listens, and throws there, where nobody can catch it, when the device was
 * closed by then: it is closed a turn of the loop later.
 */
function closedLater(device: HidHandle): HidHandle {
  const close = device.close.bind(device)
  return Object.assign(device, {
    async close() {
      await turn()
      await close()
    },
  })
}

const LIBRARIES = [['libusb-1.0.so.0', 'libusb-1.0-0'], ['libudev.so.1', 'libudev1']] as const

export function loadFailure(cause: unknown): DriverError {
  const message = cause instanceof Error ? cause.message : String(cause)
  const missing = LIBRARIES.find(([library]) => message.includes(library))
  return new DriverError('KEYPAD_OPEN_FAILED', missing === undefined
    ? 'the package node-hid cannot be loaded: is it installed, and made for this machine?'
    : `USB keypads need the library ${missing[0]}, which is missing: install Debian's package ${missing[1]}`, cause)
}
