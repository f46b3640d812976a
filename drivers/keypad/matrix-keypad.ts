/**
 * A keypad of rows and columns on the board's header. While no key is down all columns are pulled low and nothing runs: a
 * row that changes wakes the scans. What scans mean is decided in matrix.ts; here lines are opened, looked at and given back.
 *
 * A column is pulled low or let go, never driven high: two keys at once would join two outputs. Rows need pull-ups. Lines
 * are switched by system calls of 20 us and more, in which a row of 10 kohm and 1 nF is high again.
 */
import type { Logger } from 'pino'
import type { AmountSource, Input, PartReport } from '../driver.js'
import type { Board, InputLine, OpenDrainLine } from '../linux/gpio.js'
import { attentionFor, bitsOf, type Fault, faultsOf, firstPad, groundedRows, type Lines, type Pad, type Place, type Scan, step } from './matrix.js'

export type KeyMeaning =
  | '0' | '1' | '2' | '3' | '4' | '5' | '6' | '7' | '8' | '9' | '00' | '000' | 'point' | 'clear' | 'cancel' | 'enter' | 'none'

/** Which line is where, by its BCM number, and what the keys mean. At most 8 x 8. */
export interface MatrixWiring {
  readonly rows: readonly number[]
  readonly columns: readonly number[]
  /** A row of keys for each of the rows, from the first column on. */
  readonly keys: readonly (readonly KeyMeaning[])[]
}

export interface MatrixKeypadOptions extends MatrixWiring {
  readonly board: Pick<Board, 'openInput' | 'openOpenDrain'>
  readonly report: PartReport
  readonly log: Logger
  readonly now: () => number
  /** Calls once, no earlier than `at`; the returned function calls it off. */
  readonly alarm: (at: number, ring: () => void) => () => void
}

/** Between two scans while a key is down. */
export const SCAN_MS = 5
/** Scans go on for this long after the last key: contacts that bounce look like none. */
export const LINGER_MS = 100
/** Between two scans while nothing but stuck keys is down, or the rows say one thing at rest and another when scanned. */
export const SLOW_SCAN_MS = 50
/** Between two looks at the rows where the kernel tells of no changes: of the shortest press, some 50 ms, enough is left. */
export const POLL_MS = 25
/** Until lines that failed are tried again. */
export const RETRY_MS = 5_000
/** A sentence names no more faults than this. */
const FAULTS_MAX = 4

export function createMatrixKeypad(options: MatrixKeypadOptions): AmountSource {
  let said: string | undefined
  const report: PartReport = (fault) => {
    if (fault === said) return
    said = fault
    options.report(fault)
  }
  let stopLast = (): void => undefined

  return {
    start(deliver) {
      stopLast()
      const { connect, stop } = runKeypad({ ...options, report }, deliver)
      stopLast = stop
      return connect()
    },
    answer: () => Promise.resolve(), // Nobody is at the other end of a keypad.
    stop() {
      stopLast()
      return Promise.resolve()
    },
  }
}

interface OpenMatrix {
  readonly rows: readonly InputLine[]
  readonly columns: readonly OpenDrainLine[]
  /** The kernel tells of every row that changes. */
  readonly watched: boolean
}

function runKeypad(options: MatrixKeypadOptions, deliver: (input: Input) => void) {
  const { keys, report, log, now, alarm } = options
  let matrix: OpenMatrix | undefined
  let pad: Pad | undefined
  let resting = false
  let stopped = false
  let lingerUntil = 0
  let callOff = (): void => undefined

  const after = (ms: number, ring: () => void): void => {
    callOff()
    callOff = alarm(now() + ms, ring)
  }

  /** Never rejects. */
  async function connect(): Promise<void> {
    const opened = await openMatrix(options, look).catch(lost)
    if (opened === undefined) return
    if (stopped) return closeMatrix(opened, log)
    matrix = opened
    scan()
  }

  function lost(error: unknown): undefined {
    disconnect()
    if (stopped) return
    report(`the matrix keypad cannot be used: ${error instanceof Error ? error.message : String(error)}`)
    after(RETRY_MS, () => { void connect() })
  }

  function disconnect(): void {
    callOff()
    if (matrix !== undefined) closeMatrix(matrix, log)
    matrix = pad = undefined
    resting = false
  }

  function scan(): void {
    const seen = matrix && attempt(matrix, scanMatrix)
    if (seen === undefined) return
    const { pad: next, pressed, refused } =
      pad === undefined ? { pad: firstPad(seen, keys.length, now()), pressed: undefined, refused: [] } : step(pad, seen, now())
    pad = next
    if (refused.length > 0) log.warn({ keys: refused.map((place) => nameOf(place, options)) }, 'keys did not count')
    report(sentenceOf(faultsOf(pad, now()), options))
    goOn()
    const input = pressed && inputOf(keys[pressed.row]?.[pressed.column] ?? 'none')
    if (input !== undefined) deliver(input)
  }

  function goOn(): void {
    if (pad === undefined) return
    const attention = attentionFor(pad, now())
    if (attention === 'often') lingerUntil = now() + LINGER_MS
    if (now() < lingerUntil) after(SCAN_MS, scan)
    else if (attention === 'seldom') after(SLOW_SCAN_MS, scan)
    else rest()
  }

  function rest(): void {
    const changed = matrix && attempt(matrix, (lines) => pullAll(lines) && hasChanged(lines))
    if (changed === undefined) return
    resting = !changed
    if (changed) after(SLOW_SCAN_MS, scan)
    else pollUnlessWatched()
  }

  /** Also called whenever a row changes: scans change them, and then it says nothing. */
  function look(): void {
    if (!resting) return
    const changed = matrix && attempt(matrix, hasChanged)
    if (changed === undefined) return
    if (!changed) return pollUnlessWatched()
    resting = false
    lingerUntil = now() + LINGER_MS
    scan()
  }

  const hasChanged = ({ rows }: OpenMatrix): boolean => pad !== undefined && lowLines(rows) !== groundedRows(pad.grounded)

  function pollUnlessWatched(): void {
    if (matrix?.watched === false) after(POLL_MS, look)
  }

  /** Undefined when a line failed; then it is all over until the next try. */
  function attempt<T>(lines: OpenMatrix, use: (matrix: OpenMatrix) => T): T | undefined {
    try {
      return use(lines)
    } catch (error) {
      return lost(error)
    }
  }

  return {
    connect,
    stop(): void {
      stopped = true
      disconnect()
    },
  }
}

async function openMatrix({ rows, columns, board, log }: MatrixKeypadOptions, changed: () => void): Promise<OpenMatrix> {
  const opened: { rows: InputLine[]; columns: OpenDrainLine[] } = { rows: [], columns: [] }
  try {
    for (const bcm of columns) opened.columns.push(await board.openOpenDrain(bcm))
    for (const bcm of rows) opened.rows.push(await board.openInput(bcm))
    const watched = opened.rows.map((row) => row.watch(changed)).every((works) => works)
    return { ...opened, watched }
  } catch (error) {
    closeMatrix(opened, log)
    throw error
  }
}

function closeMatrix({ rows, columns }: Pick<OpenMatrix, 'rows' | 'columns'>, log: Logger): void {
  for (const line of [...rows, ...columns]) {
    try {
      line.close()
    } catch (error) {
      log.warn({ err: error }, 'a line of the matrix keypad did not close')
    }
  }
}

function scanMatrix({ rows, columns }: OpenMatrix): Scan {
  for (const column of columns) column.letGo() // They are pulled low at rest.
  const atRest = lowLines(rows)
  const byColumn = columns.map((column) => {
    column.pullLow()
    const low = lowLines(rows)
    column.letGo()
    return low
  })
  return { atRest, byColumn }
}

const lowLines = (rows: readonly InputLine[]): Lines => bitsOf(rows.flatMap((line, row) => (line.level() === 0 ? [row] : [])))

function pullAll({ columns }: OpenMatrix): true {
  for (const column of columns) column.pullLow()
  return true
}

function inputOf(key: KeyMeaning): Input | undefined {
  switch (key) {
    case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9': case '00': case '000':
      return { type: 'digit pressed', digit: key }
    case 'point': return { type: 'point pressed' }
    case 'clear': return { type: 'clear pressed' }
    case 'cancel': return { type: 'cancel pressed' }
    case 'enter': return { type: 'enter pressed' }
    case 'none': return undefined
  }
}

function sentenceOf(faults: readonly Fault[], wiring: MatrixWiring): string | undefined {
  if (faults.length === 0) return undefined
  const more = faults.length > FAULTS_MAX ? [`and ${faults.length - FAULTS_MAX} more`] : []
  return `the matrix keypad: ${[...faults.slice(0, FAULTS_MAX).map((fault) => phraseOf(fault, wiring)), ...more].join('; ')}`
}

function phraseOf(fault: Fault, wiring: MatrixWiring): string {
  const row = (index: number): string => `row ${index + 1} (GPIO ${wiring.rows[index]})`
  const column = (index: number): string => `column ${index + 1} (GPIO ${wiring.columns[index]})`
  switch (fault.fault) {
    case 'row low': return `${row(fault.row)} is low although no column is, so its keys are dead: look for a short, or a missing pull-up`
    case 'row closed': return `every key of ${row(fault.row)} reads as pressed: look for a short, or for what lies on it`
    case 'key stuck': return `${nameOf(fault.place, wiring)} has been down for over 30 s: free it`
    case 'rows joined': return `${fault.lines.map(row).join(' and ')} always come together, so their keys are dead: look for a short between them`
    case 'columns joined': return `${fault.lines.map(column).join(' and ')} always come together, so their keys are dead: look for a short between them`
  }
}

const nameOf = ({ row, column }: Place, { rows, columns, keys }: MatrixWiring): string =>
  `key '${keys[row]?.[column]}' (row ${row + 1}, GPIO ${rows[row]}; column ${column + 1}, GPIO ${columns[column]})`
