/**
 * How long a person waits: from a report of a USB keypad to the digit on the panel, and from the gateway's verdict to the edge
 * of the lamp. The real drivers, shell, renderer and journal; USB, panel, lines and gateway are played. Beside each stands the
 * floor of the same run: the picture alone, and one record on the medium. Real lines and a real panel are the rig's affair.
 *
 *   node dist/test/keys/measure.js [--rounds 200]
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { monotonicClock } from '../../device/clock.js'
import { openJournal } from '../../device/journal.js'
import { createRenderer } from '../../device/render.js'
import { createTerminal } from '../../device/terminal.js'
import type { LampPattern } from '../../drivers/driver.js'
import { createUsbKeypad } from '../../drivers/keypad/usb.js'
import { createLightLamps } from '../../drivers/lamps/lights.js'
import { noParts } from '../../drivers/parts.js'
import { createFakeBoard } from '../fakes/gpio.js'
import { createFakeUsb } from '../fakes/hid.js'
import { createFakeLink } from '../fakes/link.js'
import { createFakePanel, PANEL_SIZE } from '../fakes/panel.js'

const PORT = '1-1'
const PAYLOAD = 'https://order.example/28100202020000000000000000000001'
const [ENTER, CLEAR, ONE] = [0x58, 0x2a, 0x59]
const WAIT_MS = 5_000

const rounds = Number(parseArgs({ options: { rounds: { type: 'string', default: '200' } } }).values.rounds)
const folder = mkdtempSync(join(tmpdir(), 'plinth-keys-'))
const log = pino({ level: 'silent' })
const clock = monotonicClock
const times = { now: () => clock.now(), alarm: (at: number, ring: () => void) => clock.alarm(at, ring) }

/** Resolves at the next thing of that kind. */
const waiting = new Map<string, (at: number) => void>()
const happened = (what: string): void => waiting.get(what)?.(performance.now())
const next = (what: string): Promise<number> => new Promise((resolve, reject) => {
  const late = setTimeout(() => reject(new Error(`no ${what} in ${WAIT_MS} ms`)), WAIT_MS)
  waiting.set(what, (at) => {
    clearTimeout(late)
    waiting.delete(what)
    resolve(at)
  })
})

const usb = createFakeUsb()
usb.plug({ port: PORT })
const board = createFakeBoard()
const panel = createFakePanel(() => happened('picture'))
const link = createFakeLink(({ type }) => happened(type))
const journal = openJournal(join(folder, 'journal.sqlite'), Date.now())
const shop = { shopName: 'Baan Kafae', language: 'th', country: 'TH', currency: 'THB', method: 'alipayplus_mpm' } as const
const renderer = createRenderer({ size: PANEL_SIZE, ...shop })
const lights = createLightLamps({
  shape: 'single', lights: [{ pin: 23, activeLow: false }], board: board.gpio, report: () => undefined, log, ...times,
})
const lamps = {
  show(pattern: LampPattern) {
    lights.show(pattern)
    if (board.level(23) === 1) happened(`lamp ${pattern}`)
  },
  close: () => lights.close(),
}
const keypad = createUsbKeypad({
  device: 'only', exclusive: true, hid: () => Promise.resolve(usb.hid), tree: usb.tree, watch: usb.watch, report: () => undefined, log, ...times,
})
let minted = 0
const terminal = createTerminal({
  hardware: { sources: [{ kind: 'keypad', part: 'keypad', source: keypad }], panel, lamps, parts: noParts },
  journal, link, renderer, terms: { currency: 'THB', method: 'alipayplus_mpm' }, clock, wallMs: () => Date.now(), log,
  mint: { id: () => `01931e7c-0000-7000-8000-${String(++minted).padStart(12, '0')}`, nonce: () => 'a'.repeat(32) },
  fatal: (error) => { throw error },
})

const press = (usage: number): void => {
  usb.send(PORT, Uint8Array.of(0, 0, usage, 0, 0, 0, 0, 0))
  usb.send(PORT, new Uint8Array(8))
}
/** Nobody types 40 keys a second, and the keypad's driver believes nobody who does. */
const rest = (ms = 100): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

async function keyToDigit(): Promise<number> {
  const seen = next('picture')
  const from = performance.now()
  press(ONE)
  const took = await seen - from
  await rest()
  return took
}

async function verdictToLamp(): Promise<number> {
  const sent = next('sale.open')
  for (const usage of [ONE, ONE, ONE, ONE, ONE, ENTER]) press(usage)
  await sent
  link.offer(PAYLOAD)
  await rest()
  const lit = next('lamp paid')
  const from = performance.now()
  link.judge({ outcome: 'paid', paidAt: '2026-01-01T00:00:00Z' })
  const took = await lit - from
  await rest()
  press(ENTER)
  await rest()
  return took
}

function timeOf(work: () => void): number {
  const from = performance.now()
  work()
  return performance.now() - from
}

const median = (all: readonly number[]): number => [...all].sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? NaN

async function measure(what: string, floorName: string, mine: () => Promise<number>, floor: (round: number) => number): Promise<void> {
  const [took, least]: [number[], number[]] = [[], []]
  for (let round = 0; round < rounds; round++) {
    took.push(await mine())
    least.push(floor(round))
  }
  const [a, b] = [median(took), median(least)]
  process.stdout.write(`${what.padEnd(26)}${a.toFixed(2).padStart(8)} ms   ${floorName.padEnd(30)}${b.toFixed(2).padStart(8)} ms   ratio ${(a / b).toFixed(2)}\n`)
}

process.stdout.write(`Keys and lamps: medians of ${rounds}\n`)
await terminal.start()
link.comeUp()
await rest()
await measure('key -> digit drawn', 'the picture alone',
  async () => {
    const took = await keyToDigit()
    const cleared = next('picture')
    press(CLEAR)
    await cleared
    await rest()
    return took
  },
  (round) => timeOf(() => { renderer.render({ screen: 'enter amount', lamps: 'ready', digits: String(1 + (round % 9)) }) }))
const spare = openJournal(join(folder, 'spare.sqlite'), Date.now())
const sale = { id: '0', nonce: '0'.repeat(32), amount: { minor: 1_111, currency: 'THB' }, method: 'alipayplus_mpm', askedBy: 'keypad' } as const
await rest(1_500)
await measure('verdict -> edge of a lamp', 'one record on the medium', verdictToLamp,
  (round) => timeOf(() => { spare.record({ phase: 'opening', sale: { ...sale, id: String(round) } }, round) }))
await terminal.stop()
await keypad.stop()
await lamps.close()
for (const one of [journal, spare]) one.close()
rmSync(folder, { recursive: true })
