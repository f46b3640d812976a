import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import type { Input } from '../../../drivers/driver.js'
import { STUCK_MS } from '../../../drivers/keypad/debounce.js'
import { createMatrixKeypad, type KeyMeaning, RETRY_MS } from '../../../drivers/keypad/matrix-keypad.js'
import { amountSourceConformance } from '../../conformance/amount-source.js'
import { createFakeClock } from '../../fakes/clock.js'
import { createKeyMatrix } from '../../fakes/key-matrix.js'

const PAD_4X4: readonly (readonly KeyMeaning[])[] = [
  ['1', '2', '3', 'cancel'],
  ['4', '5', '6', 'clear'],
  ['7', '8', '9', 'point'],
  ['00', '0', '000', 'enter'],
]
const PAD_3X4: readonly (readonly KeyMeaning[])[] = [['1', '2', '3'], ['4', '5', '6'], ['7', '8', '9'], ['clear', '0', 'enter']]
const ROWS = [5, 6, 13, 19, 22, 23, 24, 25]
const COLUMNS = [12, 16, 20, 21, 26, 27, 17, 18]
const BOUNCE_MS = 5

interface ShopOptions {
  readonly keys?: readonly (readonly KeyMeaning[])[]
  readonly edges?: boolean
}

function openShop({ keys = PAD_4X4, edges = true }: ShopOptions = {}) {
  const clock = createFakeClock()
  const rows = ROWS.slice(0, keys.length)
  const columns = COLUMNS.slice(0, keys[0]!.length)
  const matrix = createKeyMatrix({ rows, columns, clock, edges })
  const inputs: Input[] = []
  const faults: (string | undefined)[] = []
  const said: string[] = []
  const keypad = createMatrixKeypad({
    rows, columns, keys, board: matrix.board, report: (fault) => faults.push(fault),
    log: pino({}, { write: (line) => { said.push(line) } }), now: clock.now, alarm: clock.alarm,
  })
  const at = (key: KeyMeaning) => {
    const row = keys.findIndex((line) => line.includes(key))
    return [row, keys[row]!.indexOf(key)] as const
  }
  const press = (key: KeyMeaning, bounceMs = BOUNCE_MS): void => {
    matrix.press(...at(key), bounceMs)
    clock.advance(80)
  }
  const release = (key: KeyMeaning, bounceMs = BOUNCE_MS): void => {
    matrix.release(...at(key), bounceMs)
    clock.advance(80)
  }
  const type = (...typed: readonly KeyMeaning[]): void => {
    for (const key of typed) {
      press(key)
      release(key)
    }
  }
  return { clock, matrix, keypad, inputs, faults, said, at, press, release, type, typed: () => inputs.map(nameOf).join(' ') }
}

const nameOf = (input: Input): string => (input.type === 'digit pressed' ? input.digit : input.type.replace(' pressed', ''))

async function startShop(options: ShopOptions = {}) {
  const shop = openShop(options)
  await shop.keypad.start((input) => shop.inputs.push(input))
  shop.clock.advance(500)
  return shop
}

describe.each([true, false])('a matrix keypad, as any amount source, on a kernel that tells of changes: %s', (edges) => {
  amountSourceConformance(() => {
    const { keypad, clock, type } = openShop({ edges })
    return Promise.resolve({
      source: keypad,
      ask: () => {
        clock.advance(200)
        type('2', '5', '00', 'enter')
        return Promise.resolve([
          { type: 'digit pressed', digit: '2' }, { type: 'digit pressed', digit: '5' }, { type: 'digit pressed', digit: '00' }, { type: 'enter pressed' },
        ])
      },
      settle: async () => {
        clock.advance(1_000)
        await turn()
      },
      close: () => Promise.resolve(),
    })
  })
})

describe('a matrix keypad', () => {
  test.each([['4x4', PAD_4X4], ['3x4', PAD_3X4], ['1x1', [['7']]], ['8x1', [...'12345678'].map((key) => [key])], ['1x8', [[...'12345678']]]] as const)(
    'of %s means what its profile says, key by key', async (_, keys) => {
      const { type, typed } = await startShop({ keys: keys as readonly KeyMeaning[][] })
      type(...keys.flat() as KeyMeaning[])
      expect(typed()).toBe(keys.flat().join(' '))
    })

  test('delivers nothing for a key that means nothing', async () => {
    const { type, typed } = await startShop({ keys: [['1', 'none'], ['none', '2']] })
    type('1', 'none', '2')
    expect(typed()).toBe('1 2')
  })

  test('counts a key that is held once', async () => {
    const { matrix, clock, typed } = await startShop()
    matrix.press(0, 0)
    clock.advance(5_000)
    expect(typed()).toBe('1')
  })

  test('wakes with the first change of a row, and needs four scans from there', async () => {
    const { matrix, clock, typed } = await startShop()
    matrix.press(0, 0)
    clock.advance(15)
    expect(typed()).toBe('')
    clock.advance(1)
    expect(typed()).toBe('1')
  })

  test('hears no key that was down before it was started', async () => {
    const shop = openShop()
    shop.matrix.press(0, 0)
    await shop.keypad.start((input) => shop.inputs.push(input))
    shop.clock.advance(1_000)
    shop.release('1')
    shop.type('1', '2')
    expect(shop.typed()).toBe('1 2')
  })

  test('at rest runs nothing at all, and looks at its rows now and then where the kernel tells of no changes', async () => {
    const { clock, matrix, type } = await startShop()
    type('1', '2')
    clock.advance(1_000)
    const reads = matrix.reads()
    expect(clock.waiting()).toBe(0)
    clock.advance(60_000)
    expect(matrix.reads()).toBe(reads)

    const deaf = await startShop({ edges: false })
    deaf.type('1')
    deaf.clock.advance(1_000)
    const before = deaf.matrix.reads()
    deaf.clock.advance(10_000)
    expect(deaf.matrix.reads() - before).toBe(4 * 10_000 / 25)
  })

  test('three keys in the corners of a rectangle do not press the fourth', async () => {
    const { press, release, typed } = await startShop()
    press('1')
    press('3')
    press('7') // Now 9 reads as pressed, too.
    expect(typed()).toBe('1 3')
    release('1')
    expect(typed()).toBe('1 3 7')
    release('3')
    release('7')
    expect(typed()).toBe('1 3 7')
  })

  test('takes a key that jams as pressed once, says which one it is, and goes on with the others', async () => {
    const { press, release, type, typed, faults, clock, matrix } = await startShop()
    press('5')
    clock.advance(STUCK_MS)
    expect(faults).toEqual(["the matrix keypad: key '5' (row 2, GPIO 6; column 2, GPIO 16) has been down for over 30 s: free it"])
    clock.advance(1_000)
    const reads = matrix.reads()
    clock.advance(10_000)
    expect(matrix.reads() - reads).toBe(10_000 / 50 * 5 * 4)
    type('4', '2', '9', 'enter')
    expect(typed()).toBe('5 4 2 9 enter')
    release('5')
    expect(faults.slice(1)).toEqual([undefined])
    clock.advance(1_000)
    expect(clock.waiting()).toBe(0)
    type('5')
    expect(typed()).toBe('5 4 2 9 enter 5')
  })

  test('says which row touches ground, takes nothing from it, and goes on with the others', async () => {
    const { matrix, clock, type, typed, faults } = await startShop()
    matrix.join(6, 'ground')
    clock.advance(1_000)
    expect(faults).toEqual(['the matrix keypad: row 2 (GPIO 6) is low although no column is, so its keys are dead: look for a short, or a missing pull-up'])
    expect(clock.waiting()).toBe(0)
    type('4', '5', '6', 'clear', '1', '9', 'enter')
    expect(typed()).toBe('1 9 enter')
    matrix.cut(6, 'ground')
    clock.advance(1_000)
    expect(faults.at(-1)).toBeUndefined()
    type('5')
    expect(typed()).toBe('1 9 enter 5')
  })

  test('without pull-ups says so of every row', async () => {
    const shop = openShop()
    for (const row of ROWS.slice(0, 4)) shop.matrix.join(row, 'ground')
    await shop.keypad.start((input) => shop.inputs.push(input))
    shop.type('1', '5')
    expect(shop.typed()).toBe('')
    expect(shop.faults[0]).toMatch(/row 1 .*; row 2 .*; row 3 .*; row 4 .*a missing pull-up$/)
    expect(shop.clock.waiting()).toBe(0)
  })

  test('with a damp row, that is low while all columns are and at no scan, is scanned seldom, and hears every key', async () => {
    const { matrix, clock, type, typed, faults } = await startShop()
    matrix.wet(6)
    type('1', '5')
    clock.advance(1_000)
    const reads = matrix.reads()
    clock.advance(10_000)
    expect(matrix.reads() - reads).toBe(10_000 / 50 * (5 * 4 + 4))
    type('1', '5', 'enter')
    expect(typed()).toBe('1 5 1 5 enter')
    expect(faults).toEqual([])
  })

  test('says which row has all of its keys down', async () => {
    const { matrix, clock, faults, typed } = await startShop()
    for (const column of [0, 1, 2, 3]) matrix.press(1, column)
    clock.advance(2_000)
    expect(faults).toEqual(['the matrix keypad: every key of row 2 (GPIO 6) reads as pressed: look for a short, or for what lies on it'])
    expect(typed()).toBe('')
    clock.advance(60_000)
    expect(faults).toHaveLength(1)
  })

  test.each([[6, 13, '5 8 4', 'rows? 2 .* and row 3 '], [16, 20, '5 6 3', 'column 2 .* and column 3 ']])(
    'lines %i and %i that touch each other never make a key of its neighbour, and are named', async (line, other, dead, named) => {
      const { matrix, type, typed, faults, said } = await startShop()
      matrix.join(line, other)
      type('1', ...dead.split(' ') as KeyMeaning[], 'enter')
      expect(typed()).toBe('1 enter')
      expect(faults.at(-1)).toMatch(new RegExp(named))
      expect(said.length).toBeGreaterThan(0)
      matrix.cut(line, other)
      type(...dead.split(' ') as KeyMeaning[])
      expect(typed()).toBe(`1 enter ${dead}`)
      expect(faults.at(-1)).toBeUndefined()
    })

  test('a column that touches ground takes only its own keys with it', async () => {
    const { matrix, type, typed, faults } = await startShop()
    matrix.join(16, 'ground')
    type('2', '5', '1', '6', 'enter')
    expect(typed()).toBe('1 6 enter')
    expect(faults.at(-1)).toBeUndefined()
    expect(faults[0]).toMatch(/row 1 \(GPIO 5\) is low/)
  })

  test('a line that cannot be opened is said to be so, tried again, and the lines that could be are given back', async () => {
    const shop = openShop()
    shop.matrix.fail(13, 'GPIO 13 (line 525) is taken by the kernel or another program: free it, or wire another one')
    await expect(shop.keypad.start((input) => shop.inputs.push(input))).resolves.toBeUndefined()
    expect(shop.faults).toEqual(['the matrix keypad cannot be used: GPIO 13 (line 525) is taken by the kernel or another program: free it, or wire another one'])
    expect(shop.matrix.held.size).toBe(0)
    for (let tries = 0; tries < 3; tries++) {
      shop.clock.advance(RETRY_MS)
      await turn()
    }
    expect(shop.faults).toHaveLength(1)
    expect(shop.clock.waiting()).toBe(1)
    shop.matrix.fail(13, undefined)
    shop.clock.advance(RETRY_MS)
    await turn()
    expect(shop.faults.slice(1)).toEqual([undefined])
    shop.type('2', '5')
    expect(shop.typed()).toBe('2 5')
  })

  test.each([5, 12])('line %i that fails in use is lost, and found again', async (line) => {
    const { matrix, clock, faults, press, type, typed } = await startShop()
    matrix.fail(line, 'GPIO could not be read (EIO)')
    press('5')
    matrix.press(0, 0)
    clock.advance(80)
    expect(faults).toEqual(['the matrix keypad cannot be used: GPIO could not be read (EIO)'])
    expect(matrix.held.size).toBe(0)
    matrix.release(0, 0)
    matrix.release(1, 1)
    matrix.fail(line, undefined)
    clock.advance(RETRY_MS)
    await turn()
    expect(faults.slice(1)).toEqual([undefined])
    const before = typed()
    type('7')
    expect(typed()).toBe(`${before} 7`.trim())
  })

  test('that is stopped leaves every line alone, also when it was still opening them', async () => {
    const { keypad, matrix, clock } = await startShop()
    await keypad.stop()
    expect([matrix.held.size, matrix.pulled.size, clock.waiting()]).toEqual([0, 0, 0])
    const started = keypad.start(() => undefined)
    await keypad.stop()
    await started
    expect([matrix.held.size, matrix.pulled.size, clock.waiting()]).toEqual([0, 0, 0])
  })

  test('may be stopped by the very key that it delivers', async () => {
    const { keypad, matrix, clock } = openShop()
    const inputs: Input[] = []
    await keypad.start((input) => {
      inputs.push(input)
      void keypad.stop()
    })
    matrix.press(0, 0)
    clock.advance(1_000)
    matrix.release(0, 0)
    matrix.press(1, 1)
    clock.advance(1_000)
    expect(inputs).toHaveLength(1)
    expect([matrix.held.size, clock.waiting()]).toEqual([0, 0])
  })
})

/** Something that a finger does, this long after what was done before. */
interface Move {
  readonly at: number
  readonly key: number
  readonly into: 'press' | 'release'
}

const bounceMs = fc.integer({ min: 0, max: BOUNCE_MS })
const key = fc.integer({ min: 0, max: 15 })

async function perform(moves: readonly (Move & { readonly bounce: number })[], edges: boolean) {
  const shop = await startShop({ edges })
  let time = 0
  for (const { at, key: index, into, bounce } of moves) {
    shop.clock.advance(at - time)
    time = at
    shop.matrix[into](Math.floor(index / 4), index % 4, bounce)
  }
  shop.clock.advance(500)
  return shop
}

describe('whatever a person types', () => {
  // Two fingers: a key may go down while the one before it is still down. Two that come within two scans have no order.
  const strokes = fc.array(fc.record({ key, gap: fc.integer({ min: 18, max: 120 }), hold: fc.integer({ min: 35, max: 150 }), down: bounceMs, up: bounceMs }),
    { maxLength: 25 })

  test.each([[true, 0], [false, 30]])('every key counts once and in order, bounce as it may (the kernel tells of changes: %s)', async (edges, slowerMs) => {
    await fc.assert(fc.asyncProperty(strokes, async (typed) => {
      const moves: (Move & { readonly bounce: number })[] = []
      const upAt = new Map<number, number>()
      let last = 0
      let lastUp = 0
      let secondLastUp = 0
      for (const stroke of typed) {
        const at = Math.max(last + stroke.gap + slowerMs, secondLastUp + BOUNCE_MS, (upAt.get(stroke.key) ?? 0) + 35)
        const up = at + stroke.hold + slowerMs
        moves.push({ at, key: stroke.key, into: 'press', bounce: stroke.down }, { at: up, key: stroke.key, into: 'release', bounce: stroke.up })
        upAt.set(stroke.key, up)
        last = at
        secondLastUp = Math.min(Math.max(lastUp, secondLastUp), up)
        lastUp = Math.max(lastUp, up)
      }
      const shop = await perform(moves.sort((a, b) => a.at - b.at), edges)
      expect(shop.typed()).toBe(typed.map((stroke) => nameAt(stroke.key)).join(' '))
      expect(shop.faults).toEqual([])
    }), { numRuns: 60 })
  })

  test('a key that nobody pressed never counts, none counts twice, and none overtakes another, with any number of fingers', async () => {
    const moves = fc.array(fc.record({ key, gap: fc.integer({ min: 18, max: 150 }), bounce: bounceMs }), { maxLength: 40 })
    await fc.assert(fc.asyncProperty(moves, fc.boolean(), async (fingers, edges) => {
      const down = new Set<number>()
      let at = 0
      const done = fingers.map(({ key: index, gap, bounce }) => {
        const into = down.has(index) ? 'release' as const : 'press' as const
        if (into === 'press') down.add(index)
        else down.delete(index)
        return { at: at += gap, key: index, into, bounce }
      })
      const shop = await perform(done, edges)
      const pressed = done.filter(({ into }) => into === 'press').map(({ key: index }) => nameAt(index))
      expect(isSubsequence(shop.inputs.map(nameOf), pressed), `${shop.typed()} of ${pressed.join(' ')}`).toBe(true)

      // And it is not stuck in it: once all fingers are gone, the next key counts.
      for (const index of down) shop.matrix.release(Math.floor(index / 4), index % 4)
      shop.clock.advance(500)
      const before = shop.inputs.length
      shop.type('5')
      expect(shop.inputs.slice(before).map(nameOf)).toEqual(['5'])
    }), { numRuns: 60 })
  })

  test('lines that touch each other or ground never make a key that was not pressed', async () => {
    const lines = fc.constantFrom(...ROWS.slice(0, 4), ...COLUMNS.slice(0, 4))
    const short = fc.oneof(fc.tuple(lines, fc.constant('ground' as const)), fc.tuple(lines, lines))
    const presses = fc.array(fc.record({ key, bounce: bounceMs }), { minLength: 1, maxLength: 12 })
    await fc.assert(fc.asyncProperty(short, presses, async ([line, other], typed) => {
      fc.pre(line !== other && (other === 'ground' || ROWS.includes(line) === ROWS.includes(other)))
      const shop = await startShop()
      shop.matrix.join(line, other)
      shop.clock.advance(500)
      for (const { key: index, bounce } of typed) {
        shop.matrix.press(Math.floor(index / 4), index % 4, bounce)
        shop.clock.advance(80)
        shop.matrix.release(Math.floor(index / 4), index % 4, bounce)
        shop.clock.advance(80)
      }
      const dead = (index: number): boolean => {
        const touched = [ROWS[Math.floor(index / 4)], COLUMNS[index % 4]]
        return touched.includes(line) || (other !== 'ground' && touched.includes(other))
      }
      expect(shop.typed()).toBe(typed.filter((one) => !dead(one.key)).map((one) => nameAt(one.key)).join(' '))
    }), { numRuns: 60 })
  })
})

const nameAt = (index: number): string => PAD_4X4[Math.floor(index / 4)]![index % 4]!

function isSubsequence(some: readonly string[], all: readonly string[]): boolean {
  let found = 0
  for (const one of all) if (one === some[found]) found++
  return found === some.length
}
