/**
 * What the scans of a key matrix mean. Pure: scans and their times in, presses and faults out.
 *
 *             column 0   column 1        Rows are pulled up and read; one column at a time is pulled low, the others are let
 *   row 0 ──────1──────────2────         go. A key joins its row to its column, so a row that is low has a key down in that
 *   row 1 ──────4──────────5────         column. Without diodes current also goes round: with 1, 2 and 4 down, 5 reads as down.
 *
 * The rule of the file: rather no key than a wrong one. Whoever presses sees on the panel what counted, and presses again.
 */
import { type Contact, debounce, isStuck, SAMPLES, settled } from './debounce.js'

/** Lines as the bits of a number: bit 0 is the first one. */
export type Lines = number

/** One look at a matrix of up to 8 x 8. */
export interface Scan {
  /** Rows that are low while every column is let go: there should be none. */
  readonly atRest: Lines
  /** For each column, the rows that are low while it is pulled low. */
  readonly byColumn: readonly Lines[]
}

export interface Key {
  /** What is read of it: a ghost reads as down, too. */
  readonly held: Contact
  /** What is believed of it. */
  readonly pressed: Contact
}

/** All that is remembered between two scans. */
export interface Pad {
  readonly columns: number
  /** Row by row, each from the first column on. */
  readonly keys: readonly Key[]
  /** For each row, whether it is low by itself. */
  readonly grounded: readonly Contact[]
  /** Lines whose keys came down together, this many times in a row. */
  readonly joined: Joined | undefined
}

interface Joined {
  readonly rows: Lines
  readonly columns: Lines
  readonly times: number
}

export interface Place {
  readonly row: number
  readonly column: number
}

export type Fault =
  /** Low although no column is: its keys say nothing. */
  | { readonly fault: 'row low'; readonly row: number }
  /** All of its keys at once. */
  | { readonly fault: 'row closed'; readonly row: number }
  | { readonly fault: 'key stuck'; readonly place: Place }
  /** Lines that touch each other: every key comes with its neighbour. Either rows or columns, at least two. */
  | { readonly fault: 'rows joined' | 'columns joined'; readonly lines: readonly number[] }

export interface Step {
  readonly pad: Pad
  /** The key that was pressed. */
  readonly pressed: Place | undefined
  /** Keys that came down together: they have no order, so none of them counts until it was up. */
  readonly refused: readonly Place[]
}

/** People press two keys of a row at once, hardly ever all three or four of them. */
const WHOLE_ROW_MIN = 3
const WHOLE_ROW_MS = 1_000
/** Twice may be a person with two fingers. */
const JOINED_TIMES = 3

/** A key that is down from the start was not pressed: it is held, or jammed. */
export function firstPad({ atRest, byColumn }: Scan, rows: number, now: number): Pad {
  const keys = Array.from({ length: rows * byColumn.length }, (_, index) => {
    const { row, column } = placeOf(index, byColumn.length)
    const down = settled(has(byColumn[column] ?? 0, row), now)
    return { held: down, pressed: down }
  })
  const grounded = Array.from({ length: rows }, (_, row) => settled(has(atRest, row), now))
  return { columns: byColumn.length, keys, grounded, joined: undefined }
}

export function step(pad: Pad, scan: Scan, now: number): Step {
  const grounded = pad.grounded.map((contact, row) => debounce(contact, has(scan.atRest, row), now))
  const read = readKeys(pad.keys, scan, scan.atRest | groundedRows(grounded), now)
  const arrived = arrivals(pad.keys, read)
  const places = arrived.map((index) => placeOf(index, pad.columns))
  const [first, ...others] = places
  const counts = first !== undefined && others.length === 0 && !rowIsClosed(read, pad.columns, first.row)
  const keys = read.map((key, index) => {
    const spent = counts ? wasOvertaken(key) : arrived.includes(index)
    return spent && !key.pressed.down ? { ...key, pressed: settled(true, now) } : key
  })
  return {
    pad: { columns: pad.columns, keys, grounded, joined: nextJoined(pad.joined, places) },
    pressed: counts ? first : undefined,
    refused: counts ? [] : places,
  }
}

/** The keys that came down, and with them those that would with the next scan: nobody can say which of them was first. */
function arrivals(before: readonly Key[], after: readonly Key[]): readonly number[] {
  const indexes = [...after.keys()]
  const down = indexes.filter((index) => after[index]?.pressed.down === true && before[index]?.pressed.down === false)
  const nearly = indexes.filter((index) => after[index]?.pressed.down === false && after[index].pressed.against === SAMPLES - 1)
  return down.length === 0 ? [] : [...down, ...nearly]
}

/** A key that was doubtful while a later one counted has lost its turn: keys count in the order in which they came down. */
const wasOvertaken = ({ held, pressed }: Key): boolean => held.down && !pressed.down

function readKeys(keys: readonly Key[], scan: Scan, dead: Lines, now: number): readonly Key[] {
  const low = scan.byColumn.map((rows) => rows & ~dead)
  const ambiguous = low.map((rows) => isAmbiguous(rows, low))
  return keys.map(({ held, pressed }, index) => {
    const { row, column } = placeOf(index, low.length)
    const unknown = has(dead, row)
    const closed = unknown ? held.down : has(low[column] ?? 0, row)
    // A key that reads as up is up. One that reads as down, and may be a ghost, stays what it was.
    const believed = unknown || (closed && ambiguous[column] === true) ? pressed.down : closed
    return { held: debounce(held, closed, now), pressed: debounce(pressed, believed, now) }
  })
}

/**
 * Whether current may have gone round through several keys to these rows. Keys that hang together by their rows and columns
 * are what they seem only along one line. Contacts bounce while they are read, so three corners are as doubtful as four.
 */
function isAmbiguous(rows: Lines, byColumn: readonly Lines[]): boolean {
  const touching = byColumn.filter((others) => (others & rows) !== 0)
  return touching.length > 1 && linesOf(touching.reduce((all, others) => all | others, 0)).length > 1
}

function nextJoined(joined: Joined | undefined, arrived: readonly Place[]): Joined | undefined {
  const [first] = arrived
  if (first === undefined) return joined
  if (arrived.length === 1) {
    const cleared = joined !== undefined && (has(joined.rows, first.row) || has(joined.columns, first.column))
    return cleared ? undefined : joined
  }
  const rows = arrived.every(({ column }) => column === first.column) ? bitsOf(arrived.map(({ row }) => row)) : 0
  const columns = arrived.every(({ row }) => row === first.row) ? bitsOf(arrived.map(({ column }) => column)) : 0
  if ((rows | columns) === 0) return joined
  const again = joined?.rows === rows && joined.columns === columns
  return { rows, columns, times: again ? Math.min(joined.times + 1, JOINED_TIMES) : 1 }
}

/** What is wrong with a pad now. */
export function faultsOf({ keys, columns, grounded, joined }: Pad, now: number): readonly Fault[] {
  const low = grounded.flatMap(({ down }, row): Fault[] => (down ? [{ fault: 'row low', row }] : []))
  const isClosed = grounded.map(({ down }, row) =>
    !down && rowIsClosed(keys, columns, row) && keysOfRow(keys, columns, row).every(({ held }) => now - held.since >= WHOLE_ROW_MS))
  const closed = isClosed.flatMap((whole, row): Fault[] => (whole ? [{ fault: 'row closed', row }] : []))
  const stuck = keys.flatMap(({ held }, index): Fault[] => {
    const place = placeOf(index, columns)
    const told = grounded[place.row]?.down === true || isClosed[place.row] === true
    return !told && isStuck(held, now) ? [{ fault: 'key stuck', place }] : []
  })
  return [...low, ...closed, ...stuck, ...joinedFault(joined)]
}

function joinedFault(joined: Joined | undefined): readonly Fault[] {
  if (joined === undefined || joined.times < JOINED_TIMES) return []
  const { rows, columns } = joined
  return [rows !== 0 ? { fault: 'rows joined', lines: linesOf(rows) } : { fault: 'columns joined', lines: linesOf(columns) }]
}

/**
 * What a pad needs to be looked at for.
 *   often    a key is down, or something bounces
 *   seldom   nothing but keys that are stuck: their lines hide others from the one look that would do for all
 *   waking   nothing: a row that changes is soon enough
 */
export type Attention = 'often' | 'seldom' | 'waking'

export function attentionFor({ keys, columns, grounded }: Pad, now: number): Attention {
  const known = keys.filter((_, index) => grounded[placeOf(index, columns).row]?.down !== true)
  const bounces = [...grounded, ...keys.flatMap(({ held, pressed }) => [held, pressed])].some(({ against }) => against > 0)
  if (bounces || known.some(({ held }) => held.down && !isStuck(held, now))) return 'often'
  return known.some(({ held }) => held.down) ? 'seldom' : 'waking'
}

/** Rows that are low by themselves. */
export const groundedRows = (grounded: readonly Contact[]): Lines =>
  bitsOf(grounded.flatMap(({ down }, row) => (down ? [row] : [])))

export const bitsOf = (lines: readonly number[]): Lines => lines.reduce((bits, line) => bits | (1 << line), 0)

const linesOf = (bits: Lines): readonly number[] => Array.from({ length: 8 }, (_, line) => line).filter((line) => has(bits, line))

const has = (bits: Lines, line: number): boolean => (bits & (1 << line)) !== 0

const placeOf = (index: number, columns: number): Place => ({ row: Math.floor(index / columns), column: index % columns })

const keysOfRow = (keys: readonly Key[], columns: number, row: number): readonly Key[] => keys.slice(row * columns, (row + 1) * columns)

const rowIsClosed = (keys: readonly Key[], columns: number, row: number): boolean =>
  columns >= WHOLE_ROW_MIN && keysOfRow(keys, columns, row).every(({ held }) => held.down)
