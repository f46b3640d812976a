/**
 * What a USB keypad reports -> moves of keys. Pure. A report says which keys are down (HID 1.11, appendix B.1):
 *
 *   [id] modifiers reserved key key key key key key      8 bytes, or 9 with the id of the report in front
 *
 * A key is pressed when it is in a report and was not in the one before: some hosts give each report twice, and the order
 * within one means nothing. Keys are usages (HID Usage Tables 1.5, page 7), not letters: digits of other scripts cannot come.
 */
import type { Input } from '../driver.js'
import type { KeyMove } from './key-guard.js'

/** 0 is no key, 1 to 3 are errors. */
export type Usage = number

/**
 * What tells the reports of keys from others on the same interface.
 *   plain     reports have no id, and those of keys 8 bytes
 *   1..255    9 bytes, of which the first is this
 *   unknown   learned from the first report that has a key in it
 */
export type ReportFormat = 'plain' | 'unknown' | number

export interface ReportState {
  readonly format: ReportFormat
  /** The keys of the last report, at most 6. */
  readonly down: readonly Usage[]
  /** Which layer of its own the keypad is in, as far as its digits have told: see NAVIGATION. */
  readonly layer: Layer
}

export interface ReportRead {
  readonly state: ReportState
  /** Releases first. */
  readonly moves: readonly KeyMove[]
  /** It was a report of keys, though perhaps one that says nothing new. */
  readonly understood: boolean
}

export type Layer = 'digits' | 'navigation'

/** As of a keypad that was just opened: what was down before is not known any more. */
export const reportStart = (format: ReportFormat = 'unknown'): ReportState => ({ format, down: [], layer: 'digits' })

/** Any bytes whatsoever may come. */
export function readReport(state: ReportState, report: Uint8Array): ReportRead {
  const read = slotsOf(state.format, report)
  if (read === undefined) return { state, moves: [], understood: false }
  // With too many keys down a keypad says so in every slot, and not which they are (B.1): no news of any key.
  if (read.slots.some((usage) => usage >= 1 && usage < FIRST_KEY)) return { state, moves: [], understood: true }
  const down = [...new Set(read.slots)].filter((usage) => usage >= FIRST_KEY && usage !== NUM_LOCK)
  const moves: KeyMove[] = state.down.filter((usage) => !down.includes(usage))
    .map((usage) => ({ move: 'released', key: keyOf(usage, state.layer).name }))
  let layer = state.layer
  for (const usage of down.filter((each) => !state.down.includes(each))) {
    layer = layerAfter(layer, usage)
    const { name, input } = keyOf(usage, layer)
    moves.push({ move: 'pressed', key: name, input })
  }
  return { state: { format: read.format, down, layer }, moves, understood: true }
}

/*-- The shape of a report --*/

const PLAIN_BYTES = 8
const WITH_ID_BYTES = 9
const FIRST_KEY = 0x04
const LAST_KEY = 0xe7

function slotsOf(format: ReportFormat, report: Uint8Array): { format: ReportFormat; slots: readonly Usage[] } | undefined {
  const idBytes = report.length - PLAIN_BYTES
  if (report.length !== PLAIN_BYTES && report.length !== WITH_ID_BYTES) return undefined
  const found = idBytes === 0 ? 'plain' : (report[0] ?? 0)
  const slots = [...report.subarray(idBytes + 2)]
  if (format !== 'unknown') return found === format ? { format, slots } : undefined
  if (found === 0) return undefined // No report has this id (HID 1.11, 6.2.2.7).
  const telling = report[idBytes + 1] === 0 && slots.some((usage) => usage !== 0) &&
    slots.every((usage) => usage === 0 || (usage >= FIRST_KEY && usage <= LAST_KEY))
  return telling ? { format: found, slots } : undefined
}

/**
 * How the reports of keys look on an interface with this report descriptor (HID 1.11, 6.2.2), undefined when it is not that of
 * a keyboard or keypad (page 1, usage 6 or 7). Any bytes whatsoever may be in it.
 */
export function keyFormatOf(descriptor: Uint8Array): Exclude<ReportFormat, 'unknown'> | undefined {
  let page = 0
  let usage: number | undefined
  let id = 0
  let depth = 0
  let inKeyboard = false
  for (const { tag, value } of itemsOf(descriptor)) {
    if (tag === USAGE_PAGE) page = value
    if (tag === REPORT_ID) id = value
    if (tag === USAGE) usage ??= value <= 0xffff ? page * 0x10000 + value : value // A long usage names its page itself.
    if (tag === COLLECTION) {
      if (depth === 0) inKeyboard = usage === KEYBOARD || usage === KEYPAD
      depth++
    }
    if (tag === END_COLLECTION) depth--
    if (tag === INPUT && depth > 0 && inKeyboard) return id === 0 ? 'plain' : id
    if (tag === COLLECTION || tag === END_COLLECTION || tag === INPUT || tag === OUTPUT || tag === FEATURE) usage = undefined
  }
  return undefined
}

/** Page and usage of the collections that are keypads. */
const KEYBOARD = 0x1_0006
const KEYPAD = 0x1_0007

/** The first byte of a short item without its two bits of size (6.2.2.2). */
const USAGE_PAGE = 0x04
const USAGE = 0x08
const REPORT_ID = 0x84
const INPUT = 0x80
const OUTPUT = 0x90
const FEATURE = 0xb0
const COLLECTION = 0xa0
const END_COLLECTION = 0xc0
const LONG_ITEM = 0xfe

function* itemsOf(descriptor: Uint8Array): Generator<{ readonly tag: number; readonly value: number }> {
  let at = 0
  while (at < descriptor.length) {
    const first = descriptor[at] ?? 0
    if (first === LONG_ITEM) {
      at += 3 + (descriptor[at + 1] ?? 0)
      continue
    }
    const bytes = (first & 3) === 3 ? 4 : first & 3
    const value = [...descriptor.subarray(at + 1, at + 1 + bytes)].reduceRight((sum, byte) => sum * 0x100 + byte, 0)
    yield { tag: first & 0xfc, value }
    at += 1 + bytes
  }
}

/*-- What a key means --*/

const NUM_LOCK = 0x53
const DELETE = 0x4c

const digit = (text: string): Input => ({ type: 'digit pressed', digit: text })
const point: Input = { type: 'point pressed' }
const clear: Input = { type: 'clear pressed' }
const cancel: Input = { type: 'cancel pressed' }
const enter: Input = { type: 'enter pressed' }

interface Key {
  /** As a person calls it; no two keys have the same. */
  readonly name: string
  readonly input: Input | undefined
}

/**
 * Many pads have neither Clear nor Esc, and none has use for arithmetic here: minus clears, divide and multiply cancel.
 * Plus, Tab, equals, function keys and NumLock mean nothing. Page 7 of the Usage Tables; the numbers are usages.
 */
const KEYS: ReadonlyMap<Usage, Key> = new Map<Usage, Key>([
  ...Array.from('1234567890', (text, index): [Usage, Key] => [0x59 + index, { name: text, input: digit(text) }]),
  ...Array.from('1234567890', (text, index): [Usage, Key] => [0x1e + index, { name: `${text} of the upper row`, input: digit(text) }]),
  [0xb0, { name: '00', input: digit('00') }],
  [0xb1, { name: '000', input: digit('000') }],
  [0x63, { name: '.', input: point }],
  [0x85, { name: ',', input: point }],
  [0xdc, { name: 'decimal', input: point }],
  [0x37, { name: 'full stop', input: point }],
  [0x36, { name: 'comma', input: point }],
  [0x58, { name: 'Enter', input: enter }],
  [0x28, { name: 'Return', input: enter }],
  [0x2a, { name: 'Backspace', input: clear }],
  [0xbb, { name: 'Backspace of the keypad', input: clear }],
  [0x9c, { name: 'Clear', input: clear }],
  [0xd8, { name: 'Clear of the keypad', input: clear }],
  [0xd9, { name: 'Clear Entry', input: clear }],
  [DELETE, { name: 'Delete', input: clear }],
  [0x56, { name: '-', input: clear }],
  [0x29, { name: 'Esc', input: cancel }],
  [0x54, { name: '/', input: cancel }],
  [0x55, { name: '*', input: cancel }],
])

/**
 * Some pads have a NumLock of their own, and in its other layer send End for 1, Down for 2, and so on; a keypad has no
 * cursor to move, so they are digits. Its point is then Delete, which on any other pad clears: the digit before it tells.
 */
const NAVIGATION: ReadonlyMap<Usage, Key> = new Map<Usage, Key>(([
  [0x49, '0', 'Insert'], [0x4d, '1', 'End'], [0x51, '2', 'Down'], [0x4e, '3', 'Page Down'], [0x50, '4', 'Left'],
  [0x4f, '6', 'Right'], [0x4a, '7', 'Home'], [0x52, '8', 'Up'], [0x4b, '9', 'Page Up'],
] as const).map(([usage, text, name]) => [usage, { name: `${text} (${name})`, input: digit(text) }]))

/** The keypad's 5 is the same in both of its layers, and so are Enter and its like. */
function layerAfter(layer: Layer, usage: Usage): Layer {
  if (NAVIGATION.has(usage)) return 'navigation'
  return usage >= 0x59 && usage <= 0x62 && usage !== 0x5d ? 'digits' : layer
}

/** The key of a usage, such as { name: 'Enter', input: { type: 'enter pressed' } }. */
export function keyOf(usage: Usage, layer: Layer): Key {
  if (usage === DELETE && layer === 'navigation') return { name: 'Delete', input: point }
  return NAVIGATION.get(usage) ?? KEYS.get(usage) ?? { name: `with usage ${usage.toString(16)}`, input: undefined }
}
