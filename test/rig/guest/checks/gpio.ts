/** Lines of the header through drivers/linux/gpio.ts, and what stands on them: lamps, a relay, buttons, a matrix. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import type { LampPattern } from '../../../../drivers/driver.js'
import { createButtons } from '../../../../drivers/keypad/buttons.js'
import { createMatrixKeypad } from '../../../../drivers/keypad/matrix-keypad.js'
import { createLightLamps } from '../../../../drivers/lamps/lights.js'
import { headerChip } from '../../../../drivers/linux/gpio-chip.js'
import { boardOf } from '../../../../drivers/linux/gpio.js'
import { createPulseRelease } from '../../../../drivers/release/pulse.js'
import { LINES, TAKEN_PIN, traceSettled } from '../board.js'
import { alarm, type Check, driverCheck, eventually, listener, LOG, now } from '../check.js'

const LAMP = 17, RELAY = 22, INPUT = 27, BUTTON = 23
const MATRIX = { rows: [5, 6], columns: [13, 19], keys: [['1', '2'], ['clear', 'enter']] } as const

export const gpioChecks: readonly Check[] = [
  driverCheck('the header\'s chip is found by its label, beside an expander, with the base of this kernel', async ({ board, measure }) => {
    const { base, lines } = await headerChip()
    assert.deepEqual({ base, lines }, { base: board.base, lines: LINES })
    measure(`the base is ${base}`)
  }),

  driverCheck('a line that an overlay has taken is told in one sentence', async ({ board }) => {
    const line = board.base + TAKEN_PIN
    await assert.rejects(boardOf().openInput(TAKEN_PIN), {
      code: 'GPIO_FAILED',
      message: `GPIO ${TAKEN_PIN} (line ${line}) is taken by the kernel (an overlay of config.txt) or by another program: ` +
        'free it, or wire another one',
    })
  }),

  driverCheck('an output is off from the first moment, follows, and is off when it is closed', async ({ board }) => {
    for (const activeLow of [false, true]) {
      const trace = board.trace([RELAY])
      const [off, on] = activeLow ? [1, 0] as const : [0, 1] as const
      const output = await boardOf().openSafeOutput({ pin: RELAY, activeLow })
      assert.equal(board.level(RELAY), off)
      output.set(true)
      assert.equal(board.level(RELAY), on)
      output.close()
      await traceSettled()
      assert.deepEqual(withoutRepeats(trace.levels(RELAY)), [off, on, off])
    }
  }),

  driverCheck('an output that a killed program left on goes off without a pulse when it is opened again', async ({ board }) => {
    const trace = board.trace([RELAY])
    await holdOnAndKill()
    assert.equal(board.level(RELAY), 1, 'the kernel leaves it on: that is why it must be driven off')
    const output = await boardOf().openSafeOutput({ pin: RELAY, activeLow: false })
    assert.equal(board.level(RELAY), 0)
    output.close()
    await traceSettled()
    assert.deepEqual(withoutRepeats(trace.levels(RELAY)), [0, 1, 0])
  }),

  driverCheck('an input tells of every change by itself', async ({ board }) => {
    board.pull(INPUT, 0)
    const input = await boardOf().openInput(INPUT)
    const seen: (0 | 1)[] = []
    assert.equal(input.watch(() => { seen.push(input.level()) }), true)
    for (const [index, level] of ([1, 0, 1, 0] as const).entries()) {
      board.pull(INPUT, level)
      await eventually(`edge ${index + 1}`, () => withoutRepeats(seen), (levels) => levels.length === index + 1)
    }
    input.close()
    assert.deepEqual(withoutRepeats(seen), [1, 0, 1, 0])
  }),

  driverCheck('a product button is one press, however it bounces', async ({ board }) => {
    const heard = listener()
    board.pull(BUTTON, 1)
    const buttons = createButtons({ buttons: { coffee: { pin: BUTTON, activeLow: true } }, board: boardOf(), report: heard.report, log: LOG, now, alarm })
    await buttons.start(heard.deliver)
    assert.deepEqual(heard.reports, [])
    for (const level of [0, 1, 0, 1, 0] as const) board.pull(BUTTON, level)
    await eventually('the press', () => heard.inputs.length, (length) => length > 0)
    for (const level of [1, 0, 1] as const) board.pull(BUTTON, level)
    await pause(300)
    await buttons.stop()
    assert.deepEqual(heard.inputs, [{ type: 'product chosen', product: 'coffee' }])
  }),

  driverCheck('keys of a matrix are typed in order', async ({ board }) => {
    const heard = listener()
    for (const row of MATRIX.rows) board.pull(row, 1)
    const matrix = simulateMatrix(board)
    const keypad = createMatrixKeypad({ ...asWritable(MATRIX), board: matrix.board, report: heard.report, log: LOG, now, alarm })
    await keypad.start(heard.deliver)
    for (const [index, key] of (['1', '2', '2', 'enter', 'clear'] as const).entries()) {
      matrix.press(key)
      await eventually(`key ${key}`, () => heard.inputs.length, (length) => length === index + 1)
      matrix.press(undefined)
      await eventually('the end of the scans', matrix.restedMs, (ms) => ms > 300)
    }
    await keypad.stop()
    assert.equal(heard.typed(), '122EC')
    assert.deepEqual(heard.reports.filter((fault) => fault !== undefined), [])
  }),

  driverCheck('a lamp plays its rhythms on the line: paid is steady, not paid flashes twice', async ({ board }) => {
    const heard = listener()
    const opening = board.trace([LAMP])
    const lamps = createLightLamps({ shape: 'single', lights: [{ pin: LAMP, activeLow: false }], board: boardOf(), report: heard.report, log: LOG, now, alarm })
    await opening.until(({ what }) => what === 'out')
    await traceSettled()
    const played = async (pattern: LampPattern, edges: number): Promise<readonly (0 | 1)[]> => {
      const trace = board.trace([LAMP])
      lamps.show(pattern)
      await eventually(pattern, () => trace.levels(LAMP), (levels) => levels.length >= edges)
      return trace.levels(LAMP).slice(0, edges)
    }
    assert.deepEqual(await played('paid', 1), [1])
    assert.deepEqual(await played('off', 1), [0])
    assert.deepEqual(await played('not paid', 5), [1, 0, 1, 0, 1])
    await lamps.close()
    assert.equal(board.level(LAMP), 0)
    assert.deepEqual(heard.reports.filter((fault) => fault !== undefined), [])
  }),

  driverCheck('a release is exactly as many pulses as were asked for', async ({ board }) => {
    const heard = listener()
    const trace = board.trace([RELAY])
    const release = createPulseRelease({
      output: { pin: RELAY, activeLow: false }, widthMs: 40, gapMs: 40, board: boardOf(), report: heard.report, log: LOG, now, alarm,
    })
    await trace.until(({ what }) => what === 0)
    const delivery = await release.release(3)
    await release.close()
    await traceSettled()
    assert.deepEqual(withoutRepeats(trace.levels(RELAY)), [0, 1, 0, 1, 0, 1, 0])
    // Pulses that a slow machine made too long are told, too.
    assert.ok(delivery.delivery === 'released' || (delivery.delivery === 'unknown' && delivery.why.includes('lasted')), JSON.stringify(delivery))
  }),
]

/** Only what changed can be seen from outside. */
export const withoutRepeats = <T>(levels: readonly T[]): readonly T[] => levels.filter((level, at) => level !== levels[at - 1])

/** A program that switches the relay on and is killed. */
async function holdOnAndKill(): Promise<void> {
  const program = `
    const { boardOf } = await import(${JSON.stringify(new URL('../../../../drivers/linux/gpio.js', import.meta.url).href)})
    const output = await boardOf().openSafeOutput({ pin: ${RELAY}, activeLow: false })
    output.set(true)
    process.kill(process.pid, 'SIGKILL')`
  await once(spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'inherit' }), 'exit')
}

type Board = ReturnType<typeof boardOf>
type MatrixKey = (typeof MATRIX.keys)[number][number]

/**
 * The contacts of a matrix. gpio-sim joins no two lines, so this does: while a key is down its row is pulled to where its
 * column is. Rows and columns themselves are the kernel's.
 */
function simulateMatrix(simulated: { pull(pin: number, level: 0 | 1): void }): { board: Board; press(key: MatrixKey | undefined): void; restedMs(): number } {
  const low = new Set<number>()
  let pressed: MatrixKey | undefined
  let movedAt = now()
  const contact = (): void => {
    for (const [row, pin] of MATRIX.rows.entries()) {
      const column = MATRIX.keys[row]?.findIndex((key) => key === pressed) ?? -1
      simulated.pull(pin, column >= 0 && low.has(MATRIX.columns[column] ?? -1) ? 0 : 1)
    }
  }
  const real = boardOf()
  const board: Board = {
    ...real,
    async openOpenDrain(bcm) {
      const line = await real.openOpenDrain(bcm)
      const then = (change: () => void): void => {
        movedAt = now()
        change()
        contact()
      }
      return {
        pullLow: () => then(() => { line.pullLow(); low.add(bcm) }),
        letGo: () => then(() => { line.letGo(); low.delete(bcm) }),
        close: () => then(() => { line.close(); low.delete(bcm) }),
      }
    },
  }
  return {
    board,
    press(key) {
      pressed = key
      contact()
    },
    /** Since a column was moved the last time. */
    restedMs: () => now() - movedAt,
  }
}

const asWritable = ({ rows, columns, keys }: typeof MATRIX) => ({ rows: [...rows], columns: [...columns], keys: keys.map((row) => [...row]) })
