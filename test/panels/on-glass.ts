/**
 * What a sale costs on e-ink, per panel: bytes over SPI, and seconds of refresh that a customer watches. The product's own
 * display, driver and steps on an emulated controller in virtual time, beside a driver that drives every dot by the long
 * waveform whenever the picture changes.
 */
import { pino } from 'pino'
import { createDisplay } from '../../device/display.js'
import { createRenderer, type Renderer } from '../../device/render.js'
import type { View } from '../../device/view.js'
import type { PanelSize } from '../../drivers/driver.js'
import { type EinkModel, type Rotation, type Step, uprightSize } from '../../drivers/panel/eink-chip.js'
import { openEinkPanel, toNative } from '../../drivers/panel/eink.js'
import { SSD16XX_MODELS } from '../../drivers/panel/ssd16xx.js'
import { UC81XX_MODELS } from '../../drivers/panel/uc81xx.js'
import { emulated } from '../emulators/emulated.js'
import { runSteps } from '../emulators/run-steps.js'
import { createGlassClock } from '../fakes/eink-glass.js'

interface Cost {
  readonly full: number
  readonly fast: number
  readonly partial: number
  readonly msOnGlass: number
  readonly bytesOverSpi: number
}

const ofSale = { amount: { minor: 2_500, currency: 'THB' }, reference: 'K7M4QP' } as const
const typed = (digits: string): View => ({ screen: 'enter amount', lamps: 'ready', digits })
const scanToPay = (secondsLeft: number): View => ({
  screen: 'scan to pay', lamps: 'waiting', ...ofSale, method: 'alipayplus_mpm', secondsLeft,
  payload: 'https://qr.alipayplus.com/281666040092abcDEF7719XyZ0123456789kQ',
})
const QUIET = pino({ enabled: false })

/** A sale of 25.00, from the first key to the next customer: each picture, and for how long it is the newest one. */
const SALE: readonly (readonly [view: View, ms: number])[] = [
  [typed('2'), 300], [typed('25'), 300], [typed('250'), 300], [typed('2500'), 900],
  [{ screen: 'please wait', lamps: 'working', ...ofSale }, 1_500],
  [scanToPay(120), 15_000], [scanToPay(105), 15_000], [scanToPay(90), 15_000],
  [{ screen: 'paid', lamps: 'paid', ...ofSale }, 10_000],
  [typed(''), 10_000],
]

const rendererOf = (size: PanelSize): Renderer =>
  createRenderer({ size, shopName: 'Baan Kafae', language: 'th', country: 'TH', currency: 'THB', method: 'alipayplus_mpm' })

/** As it lies on a counter. */
const rotationOf = ({ native }: EinkModel): Rotation => (native.widthPx < native.heightPx ? 90 : 0)

async function ours(model: EinkModel): Promise<Cost> {
  const clock = createGlassClock()
  const emulator = emulated(model, clock)
  const panel = openEinkPanel({ model, rotation: rotationOf(model), bus: emulator.bus, clock, log: QUIET })
  let onGlass: View | undefined
  const display = createDisplay(
    { hardware: { panel, lamps: { show: () => undefined, close: () => Promise.resolve() } }, renderer: rendererOf(panel.size), clock, log: QUIET },
    { drawn: (view) => { onGlass = view }, codeNotShown: () => { throw new Error('the code was not shown') }, changed: () => undefined },
  )
  async function show(view: View, ms: number): Promise<void> {
    display.show(view, 'sale')
    await clock.pass(ms)
    // The read-back is real: until it is done, virtual time goes on in small steps.
    for (let steps = 0; view.screen === 'scan to pay' && onGlass !== view; steps++) {
      if (steps > 100_000) throw new Error(`${model.name} shows no code`)
      await clock.pass(10)
    }
  }

  await show(typed(''), 10_000) // After power: not part of the sale.
  const before = { ...emulator.refreshes }
  for (const [view, ms] of SALE) await show(view, ms)
  const { violations, refreshes } = emulator
  if (violations.length > 0) throw new Error(`${model.name}: ${violations.join('; ')}`)
  return between(before, refreshes)
}

async function naive(model: EinkModel): Promise<Cost> {
  const emulator = emulated(model)
  const rotation = rotationOf(model)
  const renderer = rendererOf(uprightSize(model, rotation))
  const { chip } = model
  const run = (steps: readonly Step[]) => runSteps(emulator.bus, emulator.clock, chip.busyLevel, steps)
  let last = ''
  for (const [view] of SALE) {
    const { bits, ...size } = renderer.render(view)
    const dots = Buffer.from(bits).toString('base64')
    if (dots !== last) await run([...chip.wake(), ...chip.full(toNative({ bits, ...size }, model, rotation)), ...chip.sleep()])
    last = dots
  }
  return between({ full: 0, fast: 0, partial: 0, msOnGlass: 0, bytesOverSpi: 0 }, emulator.refreshes)
}

const between = (from: Cost, to: Cost): Cost => ({
  full: to.full - from.full, fast: to.fast - from.fast, partial: to.partial - from.partial,
  msOnGlass: to.msOnGlass - from.msOnGlass, bytesOverSpi: to.bytesOverSpi - from.bytesOverSpi,
})

export async function compareOnGlass(): Promise<void> {
  console.log('\nOne sale on the emulated glass, typed, scanned and paid after 45 s: ours, and every change driven in full\n')
  console.log(`${'model'.padEnd(24)}${'full/fast/part'.padStart(15)}${'seconds'.padStart(9)}${'naive'.padStart(8)}${'ratio'.padStart(7)}${'KB'.padStart(9)}${'naive'.padStart(8)}${'ratio'.padStart(7)}`)
  for (const model of [...SSD16XX_MODELS, ...UC81XX_MODELS]) {
    const [mine, least] = [await ours(model), await naive(model)]
    const figures = (from: (cost: Cost) => number, digits: number): string =>
      `${from(mine).toFixed(digits).padStart(9)}${from(least).toFixed(digits).padStart(8)}${(from(mine) / from(least)).toFixed(2).padStart(7)}`
    console.log(`${model.name.padEnd(24)}${`${mine.full}/${mine.fast}/${mine.partial}`.padStart(15)}` +
      `${figures(({ msOnGlass }) => msOnGlass / 1_000, 1)}${figures(({ bytesOverSpi }) => bytesOverSpi / 1_024, 0)}`)
  }
}
