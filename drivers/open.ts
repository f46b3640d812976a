/**
 * Profile -> hardware: one exhaustive switch per promise; each case loads its driver only when it is wanted.
 * Nothing is started here but the bench connection, the panel and the lamps; the terminal starts the sources.
 */
import type { Logger } from 'pino'
import type { Profile } from '../firmware-config/schema.js'
import { DriverError, type AmountSource, type Hardware, type Lamps, type NamedSource, type Panel } from './driver.js'
import type { KeyStream } from './keypad/stdin.js'
import { type EinkModel, uprightSize } from './panel/eink-chip.js'
import { createReplugPanel } from './panel/replug.js'

/** What drivers take from the process they run in. */
export interface HardwareTools {
  readonly log: Logger
  readonly stdin: KeyStream
  /** Ctrl-C on a keypad that reads raw keys. */
  readonly interrupt: () => void
  /** Milliseconds on a clock that never goes backwards. */
  readonly now: () => number
  /** Calls once, no earlier than `at`; the returned function calls it off. */
  readonly alarm: (at: number, ring: () => void) => () => void
  /** 0 <= x < 1 */
  readonly random: () => number
}

export interface OpenHardware extends Hardware {
  /** Stops the sources and closes everything, whatever state it is in. */
  close(): Promise<void>
}

/** Rejects with a DriverError when something does not open; what was open by then is closed again. */
export async function openHardware(profile: Profile, tools: HardwareTools): Promise<OpenHardware> {
  const opened: (() => Promise<void>)[] = []
  const close = async (): Promise<void> => {
    for (const closeOne of opened.splice(0).reverse()) {
      await closeOne().catch((error: unknown) => tools.log.warn({ err: error }, 'hardware did not close'))
    }
  }
  try {
    const bench = await openBenchFor(profile, tools)
    if (bench !== undefined) opened.push(() => bench.close())
    const panel = await openPanel(profile.panel, bench, tools)
    opened.push(() => panel.close())
    const lamps = await openLamps(profile.lamps, bench, tools)
    opened.push(() => lamps.close())
    const sources = [...await openKeypad(profile.keypad, bench, tools), ...await openRegister(profile.register, tools)]
    opened.push(...sources.map(({ source }) => () => source.stop()))
    return { sources, panel, lamps, close }
  } catch (error) {
    await close()
    throw error
  }
}

type Bench = Awaited<ReturnType<typeof import('./bench.js')['openBench']>>

/** One connection plays all the parts that are on the bench. */
async function openBenchFor({ panel, keypad, lamps, bench }: Profile, { log }: HardwareTools): Promise<Bench | undefined> {
  if (![panel, keypad, lamps].some(({ driver }) => driver === 'bench')) return undefined
  if (bench === undefined) throw new DriverError('BENCH_UNREACHABLE', 'profile.bench.url is missing')
  const { openBench } = await import('./bench.js')
  return openBench({ url: bench.url, size: sizeOf(panel), log })
}

async function openPanel(panel: Profile['panel'], bench: Bench | undefined, tools: HardwareTools): Promise<Panel> {
  switch (panel.driver) {
    case 'png': {
      const { openPngPanel } = await import('./panel/png.js')
      return openPngPanel({ directory: panel.directory, size: sizeOf(panel) })
    }
    case 'framebuffer': {
      const { openFramebufferPanel } = await import('./panel/framebuffer.js')
      const size = sizeOf(panel)
      return createReplugPanel(size, () => openFramebufferPanel({ device: panel.device, rotation: panel.rotation, size, log: tools.log }))
    }
    case 'eink':
      return createReplugPanel(sizeOf(panel), () => openEink(panel, tools))
    case 'bench':
      return onBench(bench).panel
  }
}

type EinkProfile = Extract<Profile['panel'], { driver: 'eink' }>

async function openEink(panel: EinkProfile, { log, now, alarm }: HardwareTools): Promise<Panel> {
  const wrongSize = await disputedSize(panel)
  if (wrongSize !== undefined) throw new DriverError('PANEL_WRONG_SIZE', wrongSize)
  const [{ openEinkPanel }, { openPanelBus }, { panelClock }] = await Promise.all([
    import('./panel/eink.js'), import('./linux/panel-bus.js'), import('./linux/panel-clock.js'),
  ])
  const [bus = 0, chipSelect = 0] = (/(\d+)\.(\d+)$/.exec(panel.spi) ?? []).slice(1).map(Number)
  const { power, ...pins } = panel.pins
  const wires = { spi: { bus, chipSelect }, pins: { ...pins, power: power === 'none' ? undefined : power } }
  return openEinkPanel({
    model: await modelOf(panel), rotation: panel.rotation, clock: panelClock({ now, alarm }), log,
    bus: await openPanelBus(wires, { gpio: { base: panel.gpioBase } }),
  })
}

async function modelOf({ model }: EinkProfile): Promise<EinkModel> {
  const [{ SSD16XX_MODELS }, { UC81XX_MODELS }] = await Promise.all([import('./panel/ssd16xx.js'), import('./panel/uc81xx.js')])
  const found = [...SSD16XX_MODELS, ...UC81XX_MODELS].find(({ name }) => name === model)
  if (found === undefined) throw new DriverError('PANEL_OPEN_FAILED', `no driver has a panel ${model} in its table`)
  return found
}

/** Makers' data differ by this much, rounded or measured. */
const PITCH_TOLERANCE = 0.05

/**
 * What is wrong with the size that a profile gives a panel whose driver knows better. A wrong pitch would pass a code as
 * large enough to scan that is not.
 */
export async function disputedSize(panel: Profile['panel']): Promise<string | undefined> {
  if (panel.driver !== 'eink') return undefined
  const { widthPx, heightPx, pitchMm } = uprightSize(await modelOf(panel), panel.rotation)
  const samePitch = Math.abs(panel.pitchMm / pitchMm - 1) <= PITCH_TOLERANCE
  if (panel.widthPx === widthPx && panel.heightPx === heightPx && samePitch) return undefined
  return `the profile says ${panel.widthPx} x ${panel.heightPx} dots, ${panel.pitchMm} mm apart; ` +
    `${panel.model} at rotation ${panel.rotation} has ${widthPx} x ${heightPx}, ${pitchMm} mm apart`
}

async function openKeypad(keypad: Profile['keypad'], bench: Bench | undefined, tools: HardwareTools): Promise<readonly NamedSource[]> {
  switch (keypad.driver) {
    case 'none':
      return []
    case 'stdin': {
      const { createStdinKeypad } = await import('./keypad/stdin.js')
      return named('keypad', createStdinKeypad({ stream: tools.stdin, interrupt: tools.interrupt, log: tools.log }))
    }
    case 'bench':
      return named('keypad', onBench(bench).keypad)
  }
}

async function openRegister(register: Profile['register'], { log, now, random }: HardwareTools): Promise<readonly NamedSource[]> {
  switch (register.driver) {
    case 'none':
      return []
    case 'line': {
      const { createSerialRegister } = await import('./ecr/serial.js')
      return named('register', createSerialRegister({ path: register.path, baud: register.baud, log, now, random }))
    }
  }
}

async function openLamps(lamps: Profile['lamps'], bench: Bench | undefined, { log }: HardwareTools): Promise<Lamps> {
  switch (lamps.driver) {
    case 'none': {
      const { createNoLamps } = await import('./lamps/none.js')
      return createNoLamps()
    }
    case 'log': {
      const { createLogLamps } = await import('./lamps/log.js')
      return createLogLamps((pattern) => log.info({ pattern }, 'lamps'))
    }
    case 'bench':
      return onBench(bench).lamps
  }
}

const named = (kind: NamedSource['kind'], source: AmountSource): readonly NamedSource[] => [{ kind, source }]

const sizeOf = ({ widthPx, heightPx, pitchMm }: Profile['panel']) => ({ widthPx, heightPx, pitchMm })

function onBench(bench: Bench | undefined): Bench {
  if (bench === undefined) throw new DriverError('BENCH_UNREACHABLE', 'no bench is open')
  return bench
}
