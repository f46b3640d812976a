/**
 * Which keypads are plugged in, and which of them is meant. Two of the same make tell each other apart only by the port they are
 * plugged into, since few have a serial number.
 */
import type { Hid, HidEntry } from './hid.js'
import { keyFormatOf, type ReportFormat } from './hid-report.js'
import type { UsbInterface, UsbTree } from './usb-tree.js'

/** Which keypad, as the `usb` case of the profile's keypad says it. */
export type WantedKeypad =
  | 'only'
  | { readonly vendor: string; readonly product: string; readonly serial?: string | undefined }
  | { readonly port: string }

export interface KeypadFound {
  /** As the device calls itself, such as USB Keypad; up to 60 characters. */
  readonly name: string
  /** Four hexadecimal digits each, as lsusb shows them. */
  readonly vendor: string
  readonly product: string
  readonly serial: string | undefined
  /** Such as 1-1.2; undefined for one that is not on USB. */
  readonly port: string | undefined
  /** False for a device that does not say what it is: a run that was killed leaves its keypad so, but others do, too. */
  readonly sure: boolean
  /** All of the device, those with keys first. */
  readonly interfaces: readonly KeypadInterface[]
}

export interface KeypadInterface {
  /** By which node-hid opens it. */
  readonly path: string
  /** What has to be permitted for that, such as /dev/bus/usb/001/004. */
  readonly file: string | undefined
  /** How its reports of keys look; undefined when it has none, such as that of media keys. */
  readonly keys: ReportFormat | undefined
}

const NAME_LENGTH_MAX = 60
const INTERFACES_MAX = 8

/** Every keypad and keyboard there is, by port. Rejects with a DriverError when node-hid cannot be loaded. */
export async function listKeypads(hid: Hid, tree: UsbTree): Promise<readonly KeypadFound[]> {
  const places = new Map<string, Part[]>()
  for (const [path, entries] of byPath(await hid.devices())) {
    const at = await tree.interfaceAt(path)
    const [entry] = entries
    if (entry === undefined) continue
    const place = at?.port ?? path
    places.set(place, [...places.get(place) ?? [], { entry, at, ...keysOf(entries, at) }])
  }
  return [...places.values()]
    .filter((parts) => parts.some(({ keys }) => keys !== undefined))
    .map((parts): KeypadFound | undefined => {
      const sorted = parts.toSorted((a, b) => Number(a.keys === undefined) - Number(b.keys === undefined))
      const [first] = sorted
      if (first === undefined) return undefined
      return {
        name: printable(first.entry.product) ?? printable(first.at?.name) ?? 'without a name',
        vendor: hex(first.entry.vendorId), product: hex(first.entry.productId),
        serial: printable(first.entry.serialNumber) ?? printable(first.at?.serial),
        port: first.at?.port,
        sure: parts.some(({ sure }) => sure),
        interfaces: sorted.slice(0, INTERFACES_MAX).map(({ entry, at, keys }) => ({ path: entry.path ?? '', file: at?.file, keys })),
      }
    })
    .filter((found) => found !== undefined)
    .toSorted((a, b) => placeOf(a).localeCompare(placeOf(b), 'en', { numeric: true }))
}

interface Part {
  readonly entry: HidEntry
  readonly at: UsbInterface | undefined
  readonly keys: ReportFormat | undefined
  readonly sure: boolean
}

function byPath(entries: readonly HidEntry[]): ReadonlyMap<string, readonly HidEntry[]> {
  const paths = new Map<string, readonly HidEntry[]>()
  for (const entry of entries) {
    if (entry.path !== undefined) paths.set(entry.path, [...paths.get(entry.path) ?? [], entry])
  }
  return paths
}

/** The descriptor knows best; hidraw looks into it, too; and where the kernel has let go of a device, its class must do. */
function keysOf(entries: readonly HidEntry[], at: UsbInterface | undefined): Pick<Part, 'keys' | 'sure'> {
  const format = at?.descriptor === undefined ? undefined : keyFormatOf(at.descriptor)
  if (at?.descriptor !== undefined) return { keys: format, sure: format !== undefined }
  const sure = at?.looksLike === 'keyboard' || entries.some(({ usagePage, usage }) => usagePage === 1 && (usage === 6 || usage === 7))
  return { keys: sure || at?.looksLike === 'perhaps a keyboard' ? 'unknown' : undefined, sure }
}

const hex = (id: number): string => id.toString(16).padStart(4, '0')

/** What devices say of themselves is shown and logged. */
function printable(text: string | undefined): string | undefined {
  const clean = text?.replace(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, '').trim().slice(0, NAME_LENGTH_MAX)
  return clean === '' ? undefined : clean
}

const placeOf = ({ port, interfaces }: KeypadFound): string => port ?? interfaces[0]?.path ?? ''

/** Such as: USB Keypad (1a2c:0e24) at port 1-1.2 */
export const describeKeypad = (found: KeypadFound): string =>
  `${found.name} (${found.vendor}:${found.product}) at ${found.port === undefined ? placeOf(found) : `port ${found.port}`}`

/** The keypad that is meant, or one sentence that says why there is none and what to do. */
export type Choice = { readonly keypad: KeypadFound } | { readonly fault: string }

export function chooseKeypad(wanted: WantedKeypad, found: readonly KeypadFound[]): Choice {
  const wished = found.filter((keypad) => isWanted(wanted, keypad))
  const certain = wished.filter(({ sure }) => sure)
  const matching = certain.length > 0 ? certain : wished
  const [keypad, ...others] = matching
  if (keypad === undefined) return { fault: absence(wanted) + (found.length === 0 ? '' : `; there is ${listed(found)}`) }
  if (others.length === 0) return { keypad }
  const ways = wanted === 'only' ? 'set device in the profile to the vendor and product, or the port, of the one that is meant'
    : 'set device in the profile to the port of the one that is meant'
  return { fault: `there are ${matching.length} keypads where one is expected, ${listed(matching)}: unplug the others, or ${ways}` }
}

function isWanted(wanted: WantedKeypad, { vendor, product, serial, port }: KeypadFound): boolean {
  if (wanted === 'only') return true
  if ('port' in wanted) return port === wanted.port
  return vendor === wanted.vendor && product === wanted.product && (wanted.serial === undefined || serial === wanted.serial)
}

function absence(wanted: WantedKeypad): string {
  if (wanted === 'only') return 'no USB keypad is there: plug one in'
  if ('port' in wanted) return `no keypad is at USB port ${wanted.port}: plug it in there`
  const serial = wanted.serial === undefined ? '' : ` with serial number ${wanted.serial}`
  return `keypad ${wanted.vendor}:${wanted.product}${serial} is not there: plug it in`
}

const LISTED_MAX = 4

function listed(found: readonly KeypadFound[]): string {
  const more = found.length > LISTED_MAX ? ` and ${found.length - LISTED_MAX} more` : ''
  return found.slice(0, LISTED_MAX).map(describeKeypad).join(' and ') + more
}
