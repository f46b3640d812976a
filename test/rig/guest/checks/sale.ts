/** The whole terminal, with a keypad, a button, a register, a panel, a lamp and a relay: from keys to goods. */
import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { type SimulatedBoard, traceSettled } from '../board.js'
import { type Bench, type Check, daemonCheck, eventually } from '../check.js'
import { costOf, createDaemon, type Daemon, type DaemonRecord } from '../daemon.js'
import { beginWatch, type Happened, median } from '../latency.js'
import { withoutRepeats } from './gpio.js'
import { LCD } from './panel.js'

const LAMP = 17, RELAY = 22, BUTTON = 23
const PROFILE = {
  panel: { driver: 'framebuffer', device: '/dev/fb0', ...LCD },
  keypad: { driver: 'usb' },
  buttons: { driver: 'gpio', buttons: { coffee: { pin: BUTTON } } },
  register: { driver: 'line', path: '/dev/ttyS1' },
  lamps: { driver: 'single', light: { pin: LAMP } },
  release: { driver: 'pulse', pin: RELAY, widthMs: 200, gapMs: 200, pulses: { perMinor: 500 } },
}
const KEYS = ['kp_2', 'kp_5', 'kp_0', 'kp_0']
/** As good as nothing must happen in it. */
const IDLE_MS = 3_000

/** Each goes on where the one before it ended. */
const checks: readonly Check[] = [
  daemonCheck('the terminal starts, finds its shop, and nothing is let out meanwhile', async ({ board, outside }) => {
    const papers = await outside.shop()
    board.pull(BUTTON, 1)
    const trace = board.trace([RELAY])
    const starting = createDaemon('/run/terminal', PROFILE, { ...papers, site: { ...papers.site, prices: { coffee: '20.00' } } })
    await starting.start()
    terminal = starting
    await starting.until(({ msg }) => msg === 'link up')
    await traceSettled()
    assert.deepEqual(withoutRepeats(trace.levels(RELAY)), [0])
  }),

  daemonCheck('2 5 0 0 and Enter: a code that is paid, a lamp that says so, and five pulses', async (bench) => {
    const { board, outside, measure } = bench
    const daemon = running()
    const before = daemon.count()
    const trace = board.trace([LAMP, RELAY])
    measure(await typeDigits(bench))
    await outside.press(['kp_enter'])
    const code = await outside.awaitCode()
    await daemon.until(({ msg }) => msg === 'code shown', before)
    assert.deepEqual(withoutRepeats(trace.levels(RELAY)), [], 'nothing is let out before it is paid')

    const watch = beginWatch()
    const charge = await outside.pay(code)
    const first = await trace.until(({ pin, what }) => pin === RELAY && what === 1)
    const ended = await daemon.until(({ msg }) => msg === 'sale ended', before)
    measure(verdictToLine(watch.end(), board.base))
    const { delivery } = await daemon.until(({ msg }) => msg === 'goods let out', before)
    assert.deepEqual({ charge: ended['charge'], amount: ended['amount'], outcome: outcomeOf(ended) }, { charge, amount: 'THB 25.00', outcome: 'paid' })
    assert.ok(delivery === 'released' || delivery === 'unknown', `the delivery was ${String(delivery)}`)
    assert.deepEqual(withoutRepeats(trace.levels(RELAY)), [1, 0, 1, 0, 1, 0, 1, 0, 1, 0])
    const off = trace.edges().filter(({ pin, what, at }) => pin === LAMP && what === 0 && at > first.at + LAMP_LATE_MS)
    assert.deepEqual(off, [], 'while goods come the lamp stays on: paid')
    assert.equal(board.level(LAMP), 1)
    const paid = await outside.look()
    assert.equal(paid.code, undefined, 'a paid code stays on no panel')
    assert.ok(paid.dark > 0.005, 'and the panel says something instead')
  }),

  daemonCheck('a register at the serial port is answered when its sale is paid', async ({ outside }) => {
    const daemon = running()
    let reply = Promise.resolve('')
    await eventually('a sale', async () => { // The goods of the sale before may still be on their way: busy, and rung up again.
      const before = daemon.count()
      reply = outside.ringUp({ line: 'port', text: '20.00\r\n' })
      const taken = daemon.until(isOpening, before)
      taken.catch(() => undefined)
      await Promise.race([reply, taken])
      return daemon.said(isOpening, before)
    }, Boolean)
    const charge = await outside.pay(await outside.awaitCode())
    assert.match(await reply, new RegExp(`^OK 20\\.00 \\S+ ${charge}$`))
  }),

  daemonCheck('a product button begins a sale; killed in the middle of the pulses, the terminal lets nothing more out', async ({ board, outside }) => {
    const daemon = running()
    const trace = board.trace([RELAY])
    await pressUntilTaken(board, daemon)
    await outside.pay(await outside.awaitCode())
    await trace.until(({ what }) => what === 1)
    await daemon.kill('SIGKILL')
    await traceSettled()
    const atKill = withoutRepeats(trace.levels(RELAY))
    assert.ok(pulsesIn(atKill) < 4, 'it was killed in the middle')

    await daemon.start()
    await daemon.until(({ msg }) => msg === 'link up')
    const ended = await daemon.until(({ msg }) => msg === 'sale ended')
    assert.equal(ended['amount'], 'THB 20.00')
    await traceSettled()
    assert.equal(board.level(RELAY), 0)
    assert.equal(pulsesIn(withoutRepeats(trace.levels(RELAY))), pulsesIn(atKill))
  }),

  daemonCheck('a keypad that is pulled out is told on the panel, and typed on again when it is back', async ({ outside }) => {
    const daemon = running()
    const before = daemon.count()
    await nextPicture(outside, () => outside.press(['kp_1']))
    await nextPicture(outside, () => outside.unplug('keypad'))
    await daemon.until(({ msg, part }) => msg === 'part is missing' && part === 'keypad', before)
    await nextPicture(outside, () => outside.plug('keypad'))
    await daemon.until(({ msg, part }) => msg === 'part is there again' && part === 'keypad', before)
    await nextPicture(outside, () => outside.press(['kp_2']))
  }),

  daemonCheck('at rest it costs next to nothing; stopped in order, its outputs are off', async ({ board, measure }) => {
    const daemon = running()
    const from = costOf(daemon.pid())
    await pause(IDLE_MS)
    const to = costOf(daemon.pid())
    measure(`at rest: ${((to.cpuMs - from.cpuMs) / IDLE_MS * 100).toFixed(1)} % of an emulated core, ${to.memoryMb.toFixed(0)} MB`)
    await daemon.kill('SIGTERM')
    assert.deepEqual([board.level(LAMP), board.level(RELAY)], [0, 0])
  }),
]

/** A failure comes with what the terminal said last. */
export const saleChecks: readonly Check[] = checks.map((check) => ({
  ...check,
  run: (bench) => check.run(bench).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${terminal?.lastWords()}`, { cause: error })
  }),
}))

let terminal: Daemon | undefined

function running(): Daemon {
  if (terminal === undefined) throw new Error('the terminal did not start')
  return terminal
}

/** The lamp may follow the relay, not lag behind it. */
const LAMP_LATE_MS = 300

const pulsesIn = (levels: readonly (0 | 1)[]): number => levels.filter((level) => level === 1).length

const isOpening = ({ msg, to }: DaemonRecord): boolean => msg === 'sale step' && to === 'opening'

const outcomeOf = ({ ending }: { readonly [field: string]: unknown }): unknown =>
  (ending instanceof Object && 'outcome' in ending ? ending.outcome : undefined)

/** The goods of the sale before may still be on their way; whoever waits presses again. */
async function pressUntilTaken(board: SimulatedBoard, daemon: Daemon): Promise<void> {
  const before = daemon.count()
  await eventually('a sale', async () => {
    for (const level of [0, 1] as const) {
      board.pull(BUTTON, level)
      await pause(PRESS_MS)
    }
    return daemon.said(isOpening, before)
  }, Boolean)
}

const PRESS_MS = 200

/** Resolves when the panel shows something else than before. */
async function nextPicture(outside: Bench['outside'], act: () => Promise<void>): Promise<void> {
  const before = await outside.look()
  await act()
  await eventually('another picture', () => outside.look(), ({ fingerprint }) => fingerprint !== before.fingerprint)
}

/** How long from the keypad's report to the end of the next picture. */
async function typeDigits({ outside }: Bench): Promise<string> {
  const watch = beginWatch()
  for (const key of KEYS) await nextPicture(outside, () => outside.press([key]))
  const happened = watch.end()
  const waits = happened.flatMap(({ what, at }, index) => {
    const picture = what === 'report' ? happened.slice(index).find((next) => next.what === 'picture') : undefined
    return picture === undefined ? [] : [picture.at - at]
  })
  return `key press -> digit on the panel: ${shown(median(waits))}`
}

/** How long from the last large packet before the relay moved to that move; the lamp's is in the same step. */
function verdictToLine(happened: readonly Happened[], base: number): string {
  const line = happened.find(({ what, text }) => what === 'line' && text.includes(` ${base + RELAY} set 1`))
  const packet = happened.findLast(({ what, at, text }) => what === 'packet' && at < (line?.at ?? 0) && Number(/len=(\d+)/.exec(text)?.[1]) > PACKET_BYTES)
  return `verdict -> relay and lamp: ${shown(line === undefined || packet === undefined ? undefined : line.at - packet.at)}`
}

/** Signed words are larger than acknowledgements. */
const PACKET_BYTES = 300

const shown = (ms: number | undefined): string => (ms === undefined ? 'not seen' : `${ms.toFixed(0)} ms (emulated processor)`)
