/**
 * The real terminal, display and e-ink driver on an emulated controller whose wires break: whatever happens to a panel,
 * also while nobody draws, is seen on lamps, status and log, and no sale begins on it.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import type { Journal } from '../../device/journal.js'
import { createRenderer } from '../../device/render.js'
import type { Recorded } from '../../device/sale.js'
import { createTerminal } from '../../device/terminal.js'
import { DriverError, type LampPattern } from '../../drivers/driver.js'
import { openEinkPanel } from '../../drivers/panel/eink.js'
import { type EinkModel, type PanelBus, uprightSize } from '../../drivers/panel/eink-chip.js'
import { createReplugPanel } from '../../drivers/panel/replug.js'
import { SSD16XX_MODELS } from '../../drivers/panel/ssd16xx.js'
import { UC81XX_MODELS } from '../../drivers/panel/uc81xx.js'
import { noParts } from '../../drivers/parts.js'
import { emulated } from '../emulators/emulated.js'
import { createGlassClock } from '../fakes/eink-glass.js'
import { createFakeLink } from '../fakes/link.js'
import { createFakeSource } from '../fakes/source.js'

const HOUR_MS = 3_600_000
/** A panel is asked every minute, and tried twice. */
const NOTICED_MS = 90_000
const NO = { answer: 'no', reason: 'terminal not ready: panel fault' }

type Wires = 'whole' | 'unplugged' | 'SPI error'

/** A terminal that is ready, with its panel at rest. */
async function open(model: EinkModel) {
  const clock = createGlassClock()
  const emulator = emulated(model, clock)
  let wires: Wires = 'whole'
  const bus: PanelBus = {
    hold: async (held) => { if (wires !== 'unplugged') await emulator.bus.hold(held) },
    command: async (command, data) => {
      if (wires === 'SPI error') throw new DriverError('PANEL_WRITE_FAILED', '/dev/spidev0.0 did not take 1 bytes (EIO)')
      if (wires === 'whole') await emulator.bus.command(command, data)
    },
    busy: async () => (wires === 'unplugged' ? (model.chip.busyLevel === 1 ? 0 : 1) : emulator.bus.busy()),
    close: () => Promise.resolve(), // Opened anew on the same wires.
  }
  const said: { readonly msg: string; readonly [field: string]: unknown }[] = []
  const log = pino({ serializers: { error: (error: DriverError) => `${error.code}: ${error.message}` } }, { write: (line: string) => { said.push(JSON.parse(line) as typeof said[number]) } })
  const size = uprightSize(model, 0)
  const lamps: LampPattern[] = []
  const register = createFakeSource()
  const link = createFakeLink()
  let last: Recorded = { phase: 'idle' }
  const journal: Journal = {
    epoch: 1, damaged: undefined, forgot: false, last: () => last, record: (recorded) => { last = recorded }, close: () => undefined,
  }
  let minted = 0
  const terminal = createTerminal({
    hardware: {
      sources: [{ kind: 'register', part: 'register', source: register }], parts: noParts,
      panel: createReplugPanel(size, () => Promise.resolve(openEinkPanel({ model, rotation: 0, bus, clock, log }))),
      lamps: { show: (pattern) => { lamps.push(pattern) }, close: () => Promise.resolve() },
    },
    journal, link, clock, log, wallMs: () => 0, fatal: (error) => { throw error },
    renderer: createRenderer({ size, shopName: 'Baan Kafae', language: 'en', country: 'TH', currency: 'THB', method: 'alipayplus_mpm' }),
    terms: { currency: 'THB', method: 'alipayplus_mpm' },
    mint: { id: () => `01931e7c-0000-7000-8000-${String(++minted).padStart(12, '0')}`, nonce: () => 'a'.repeat(32) },
  })
  const starting = terminal.start()
  await clock.pass(20_000)
  await starting
  link.comeUp()
  await clock.pass(20_000)

  return {
    terminal, clock, emulator, lamps, register, link, said,
    faults: () => said.filter(({ msg }) => msg === 'panel fault').map((fault) => JSON.stringify(fault)),
    become: (now: Wires) => { wires = now },
    async ask(amount: string): Promise<unknown> {
      register.give({ type: 'amount asked', amount })
      for (let turns = 0; turns < 20; turns++) await turn()
      return register.answers.at(-1)
    },
  }
}

const MODELS = [...SSD16XX_MODELS, ...UC81XX_MODELS]
  .filter(({ name }) => ['waveshare-2in13-v4', 'waveshare-2in9-v1', 'waveshare-2in9-d'].includes(name)).map((model) => [model.name, model] as const)

type Counter = Awaited<ReturnType<typeof open>>

const BREAKS: readonly (readonly [what: string, breaks: (counter: Counter) => void, mends: (counter: Counter) => void, message: RegExp])[] = [
  ['is unplugged', ({ become }) => become('unplugged'), ({ become }) => become('whole'), /PANEL_TIMEOUT.*BUSY never moved/],
  ['hangs', ({ emulator }) => emulator.stickBusy(true), ({ emulator }) => emulator.stickBusy(false), /PANEL_TIMEOUT.*is still busy after/],
  ['has a broken wire', ({ become }) => become('SPI error'), ({ become }) => become('whole'), /PANEL_WRITE_FAILED.*did not take 1 bytes \(EIO\)/],
]

describe.each(MODELS)('a terminal with a %s', (_, model) => {
  test.each(BREAKS)('whose panel %s while nothing is drawn says so within a minute and a half, sells nothing, and comes back by itself', async (__, breaks, mends, message) => {
    const counter = await open(model)
    const { terminal, clock, lamps, link, faults, ask, emulator } = counter
    expect(terminal.status().notReady).toBeUndefined()
    expect(lamps.at(-1)).toBe('ready')
    const { full, fast, partial } = emulator.refreshes
    await clock.pass(HOUR_MS / 4)
    expect(emulator.refreshes).toMatchObject({ full, fast, partial }) // Asking shows nothing.

    breaks(counter)
    await clock.pass(NOTICED_MS)
    expect(terminal.status().notReady).toBe('panel fault')
    expect(lamps.at(-1)).toBe('out of service')
    expect(faults().join()).toMatch(message)
    expect(await ask('25.00')).toEqual(NO)
    expect(link.sent).toEqual([])

    mends(counter)
    await clock.pass(60_000)
    expect(terminal.status().notReady).toBeUndefined()
    expect(lamps.at(-1)).toBe('ready')
    expect(emulator.violations).toEqual([])
    await ask('25.00')
    expect(link.sent.map(({ type }) => type)).toEqual(['sale.open'])
    await clock.pass(20_000)
  })
})

const modelNamed = (name: string): EinkModel => MODELS.find(([each]) => each === name)![1]
const MODEL = modelNamed('waveshare-2in13-v4')
/** Every picture takes 3.3 s on it, and is waited for 11.5 s. */
const SLOW = modelNamed('waveshare-2in9-d')

describe('a panel that dies', () => {
  test('is noticed however long it stood still', async () => {
    const { clock, become, terminal } = await open(MODEL)
    await clock.pass(2 * HOUR_MS)
    become('unplugged')
    await clock.pass(NOTICED_MS)
    expect(terminal.status().notReady).toBe('panel fault')
  })

  test('is noticed although a register chatters all the time', async () => {
    const { clock, become, terminal, register } = await open(MODEL)
    become('unplugged')
    for (let ms = 0; ms < NOTICED_MS; ms += 10_000) {
      register.give({ type: 'nonsense received', what: '?' })
      await clock.pass(10_000)
    }
    expect(terminal.status().notReady).toBe('panel fault')
  })

  test('in the middle of a picture is a fault ten seconds later, not when every try has ended', async () => {
    const { clock, emulator, terminal, link, ask, lamps, faults, register } = await open(SLOW)
    await ask('25.00')
    await clock.pass(1_000) // A picture is on its way.
    emulator.stickBusy(true)
    await clock.pass(8_900)
    expect(terminal.status().notReady).toBeUndefined()
    await clock.pass(200)
    expect(terminal.status().notReady).toBe('panel fault')
    expect(faults().join()).toMatch(/has not drawn for 10000 ms/)
    expect(new Set(link.sent.map(({ id }) => id)).size).toBe(1) // Of the sale that was before it.
    expect(register.answers).toEqual([])
    expect(lamps).not.toContain('paid')
  })

  test('under an earlier picture ends the sale whose code waits behind it, without a try of the code itself', async () => {
    const { clock, emulator, link, ask } = await open(MODEL)
    await ask('25.00')
    await clock.pass(300) // "Please wait" is on its way.
    emulator.stickBusy(true)
    const stuckAt = clock.now()
    link.offer('https://qr.example/2816660400921234567890')
    const closing = (): boolean => link.sent.some(({ type }) => type === 'sale.close')
    while (!closing() && clock.now() < stuckAt + 60_000) await clock.pass(100)
    expect(closing()).toBe(true)
    // The rest of one refresh (fast: 8.2 s), a second try that ends at its reset (2 s), and not a third.
    expect(clock.now() - stuckAt).toBeLessThan(10_500)
  })

  test('and stays dead for an hour leaves some lines in the log, not thousands', async () => {
    const { clock, become, said } = await open(MODEL)
    const before = said.length
    become('unplugged')
    await clock.pass(HOUR_MS)
    expect(said.slice(before).length).toBeLessThan(10)
  })
})

test('a picture that is late and comes after all is a fault for no longer than that', async () => {
  const { clock, emulator, terminal, ask } = await open(SLOW)
  await ask('25.00')
  await clock.pass(1_000)
  emulator.stickBusy(true)
  await clock.pass(9_500)
  expect(terminal.status().notReady).toBe('panel fault')
  emulator.stickBusy(false)
  await clock.pass(20_000)
  expect(terminal.status().notReady).toBeUndefined()
})
