import { describe, expect, test } from 'vitest'
import { SAMPLES, STUCK_MS } from '../../../drivers/keypad/debounce.js'
import { attentionFor, bitsOf, faultsOf, firstPad, type Pad, type Place, type Scan, step } from '../../../drivers/keypad/matrix.js'

const ROWS = 4
/** Reads as '12' row 0 and columns 1 and 2, as it is drawn; a dot is a key that is up. `*` behind a row: it is low at rest. */
function scanOf(...drawn: readonly string[]): Scan {
  const columns = drawn[0]?.replace('*', '').length ?? 0
  return {
    atRest: bitsOf(drawn.flatMap((row, index) => (row.endsWith('*') ? [index] : []))),
    byColumn: Array.from({ length: columns }, (_, column) => bitsOf(drawn.flatMap((row, index) => (row[column] === 'x' ? [index] : [])))),
  }
}
const nothing = scanOf('....', '....', '....', '....')

/** Each drawing is seen `SAMPLES` times, unless it says how often. */
function see(pad: Pad, ...scans: readonly (Scan | readonly [Scan, number])[]) {
  const pressed: Place[] = []
  const refused: Place[] = []
  let time = 0
  for (const one of scans) {
    const [scan, times] = 'byColumn' in one ? [one, SAMPLES] as const : one
    for (let i = 0; i < times; i++) {
      const result = step(pad, scan, time += 5)
      pad = result.pad
      if (result.pressed !== undefined) pressed.push(result.pressed)
      refused.push(...result.refused)
    }
  }
  return { pad, time, pressed: pressed.map(({ row, column }) => `${row}${column}`), refused: refused.map(({ row, column }) => `${row}${column}`) }
}
const fresh = firstPad(nothing, ROWS, 0)
const one = scanOf('.x..', '....', '....', '....')

describe('the scans of a matrix', () => {
  test('a key counts once, when enough scans agree', () => {
    expect(see(fresh, [one, SAMPLES - 1]).pressed).toEqual([])
    expect(see(fresh, [one, 500], nothing, one).pressed).toEqual(['01', '01'])
  })

  test('a key that is down at the start was not pressed', () => {
    expect(see(firstPad(one, ROWS, 0), one, nothing, one).pressed).toEqual(['01'])
  })

  test('two keys along one line are what they seem', () => {
    expect(see(fresh, one, scanOf('.xx.', '....', '....', '....')).pressed).toEqual(['01', '02'])
    expect(see(fresh, one, scanOf('.x..', '....', '.x..', '....')).pressed).toEqual(['01', '21'])
    expect(see(fresh, one, scanOf('.x..', '....', '..x.', '....')).pressed).toEqual(['01', '22'])
  })

  test('of a rectangle nothing new is believed, until three corners are no more', () => {
    const rectangle = scanOf('.xx.', '....', '.xx.', '....')
    const held = see(fresh, one, scanOf('.xx.', '....', '....', '....'), [rectangle, 40])
    expect(held.pressed).toEqual(['01', '02'])
    expect(see(held.pad, scanOf('.x..', '....', '.x..', '....')).pressed).toEqual(['21'])
    expect(see(held.pad, scanOf('..x.', '....', '.x..', '....')).pressed).toEqual(['21'])
    expect(see(held.pad, scanOf('.xx.', '....', '....', '....')).pressed).toEqual([])
  })

  test('a corner that bounces away in a scan makes the other three no better', () => {
    expect(see(fresh, one, scanOf('.xx.', '....', '....', '....'), [scanOf('..x.', '....', '.xx.', '....'), 40]).pressed).toEqual(['01', '02'])
  })

  test('ghosts that go round through three rows are seen, too', () => {
    const round = scanOf('xx..', 'xx..', 'xx..', '....')
    expect(see(fresh, [round, 40]).pressed).toEqual([])
  })

  test('a key that was doubtful while a later one counted does not come after it', () => {
    const doubtful = scanOf('xx..', 'xx..', '....', '....')
    const later = scanOf('xx..', 'xx..', '....', '...x')
    const resolved = scanOf('x...', 'x...', '....', '...x')
    expect(see(fresh, scanOf('x...', '....', '....', '....'), scanOf('xx..', '....', '....', '....'), doubtful, later, resolved).pressed)
      .toEqual(['00', '01', '33'])
  })

  test('keys that come down together have no order, so none of them counts', () => {
    const both = scanOf('x...', '....', '...x', '....')
    expect(see(fresh, both)).toMatchObject({ pressed: [], refused: ['00', '23'] })
    const first = scanOf('x...', '....', '....', '....')
    expect(see(fresh, [first, 1], [both, 9])).toMatchObject({ pressed: [], refused: ['00', '23'] })
    expect(see(fresh, [first, 2], [both, 9])).toMatchObject({ pressed: ['00', '23'], refused: [] })
  })

  test('a row that is low by itself says nothing, and the others go on', () => {
    const grounded = scanOf('....', 'xxxx*', '....', '....')
    const { pad, time, pressed } = see(fresh, [grounded, 20], scanOf('....', 'xxxx*', '..x.', '....'))
    expect(pressed).toEqual(['22'])
    expect(faultsOf(pad, time)).toEqual([{ fault: 'row low', row: 1 }])
    const mended = see(pad, nothing)
    expect(faultsOf(mended.pad, mended.time)).toEqual([])
    expect(see(mended.pad, scanOf('....', 'x...', '....', '....')).pressed).toEqual(['10'])
  })

  test('a key that is held while its row is low by itself is not pressed again when that is over', () => {
    const grounded = scanOf('xxxx*', '....', '....', '....')
    expect(see(fresh, one, [grounded, 20], [one, 20]).pressed).toEqual(['01'])
  })

  test('all keys of a row at once are a short, and its last key does not count', () => {
    const three = scanOf('....', 'xxx.', '....', '....')
    const { pad, time, pressed } = see(fresh, scanOf('....', 'x...', '....', '....'), scanOf('....', 'xx..', '....', '....'), three,
      [scanOf('....', 'xxxx', '....', '....'), 300])
    expect(pressed).toEqual(['10', '11', '12'])
    expect(faultsOf(pad, time)).toEqual([{ fault: 'row closed', row: 1 }])
  })

  test('both keys of a row of two are just two keys', () => {
    const pad = firstPad(scanOf('..', '..'), 2, 0)
    const { pressed, pad: after, time } = see(pad, scanOf('x.', '..'), [scanOf('xx', '..'), 300])
    expect(pressed).toEqual(['00', '01'])
    expect(faultsOf(after, time)).toEqual([])
  })

  test('a key is stuck after 30 s, ghosts included, and is looked at seldom from then on', () => {
    const { pad } = see(fresh, one)
    expect(faultsOf(pad, 20 + STUCK_MS - 1)).toEqual([])
    expect(faultsOf(pad, 20 + STUCK_MS)).toEqual([{ fault: 'key stuck', place: { row: 0, column: 1 } }])
    expect([attentionFor(pad, 20), attentionFor(pad, 20 + STUCK_MS)]).toEqual(['often', 'seldom'])
    const brick = see(fresh, scanOf('xx..', 'xx..', '....', '....'))
    expect(faultsOf(brick.pad, 20 + STUCK_MS)).toHaveLength(4)
    expect(attentionFor(brick.pad, 20 + STUCK_MS)).toBe('seldom')
  })

  test('lines that touch each other are found out, and one key alone clears them', () => {
    const pair = scanOf('....', 'x...', 'x...', '....')
    const press = [pair, nothing] as const
    const twice = see(fresh, ...press, ...press)
    expect(faultsOf(twice.pad, twice.time)).toEqual([])
    const { pad, time, pressed } = see(twice.pad, ...press)
    expect(pressed).toEqual([])
    expect(faultsOf(pad, time)).toEqual([{ fault: 'rows joined', lines: [1, 2] }])
    const elsewhere = see(pad, one)
    expect(faultsOf(elsewhere.pad, elsewhere.time)).toHaveLength(1)
    const mended = see(pad, scanOf('....', '....', 'x...', '....'))
    expect(mended.pressed).toEqual(['20'])
    expect(faultsOf(mended.pad, mended.time)).toEqual([])
  })

  test('so are columns', () => {
    const press = [scanOf('....', '.x.x', '....', '....'), nothing] as const
    const { pad, time } = see(fresh, ...press, ...press, ...press)
    expect(faultsOf(pad, time)).toEqual([{ fault: 'columns joined', lines: [1, 3] }])
  })

  test('a pad at which nothing happens needs no look', () => {
    expect(attentionFor(fresh, 0)).toBe('waking')
    expect(attentionFor(see(fresh, [one, 1]).pad, 0)).toBe('often')
    expect(attentionFor(see(fresh, scanOf('....', 'xxxx*', '....', '....')).pad, 0)).toBe('waking')
  })
})
