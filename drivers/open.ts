/**
 * Profile -> hardware: one exhaustive switch per promise; each case loads its driver only when it is wanted.
 * Nothing is started here but the bench connection, the panel and the lamps; the terminal starts the sources.
 */
import type { Logger } from 'pino'
import type { Profile } from '../firmware-config/schema.js'
import { DriverError, type AmountSource, type Hardware, type Lamps, type NamedSource, type Panel, type PartReport, type Release } from './driver.js'
import type { KeyStream } from './keypad/stdin.js'
import type { Board } from './linux/gpio.js'
import type { LightWire } from './linux/led.js'
import { type EinkModel, uprightSize } from './panel/eink-chip.js'
import { createReplugPanel } from './panel/replug.js'
import { createParts } from './parts.js'

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
    const panel = await openPanel(profile.panel, bench, profile.gpio, tools)
    opened.push(() => panel.close())
    const parts = createParts(tools.log)
    const box: Box = { bench, gpio: profile.gpio, tools }
    const lamps = await openLamps(profile.lamps, box, parts.reporterOf('lamps'))
    opened.push(() => lamps.close())
    const release = await openRelease(profile.release, box, parts.reporterOf('release'))
    if (release !== undefined) opened.push(() => release.close())
    const sources = [
      ...await openKeypad(profile.keypad, box, parts.reporterOf('keypad')), ...await openButtons(profile.buttons, box, parts.reporterOf('buttons')),
      ...await openRegister(profile.register, box, parts.reporterOf('register')),
    ]
    opened.push(...sources.map(({ source }) => () => source.stop()))
    return { sources, panel, lamps, release, parts, close }
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

/** What the parts of one box share. */
interface Box {
  readonly bench: Bench | undefined
  readonly gpio: Profile['gpio']
  readonly tools: HardwareTools
}

async function openPanel(panel: Profile['panel'], bench: Bench | undefined, gpio: Profile['gpio'], tools: HardwareTools): Promise<Panel> {
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
      return createReplugPanel(sizeOf(panel), () => openEink(panel, gpio, tools))
    case 'bench':
      return onBench(bench).panel
  }
}

type EinkProfile = Extract<Profile['panel'], { driver: 'eink' }>

async function openEink(panel: EinkProfile, gpio: Profile['gpio'], { log, now, alarm }: HardwareTools): Promise<Panel> {
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
    bus: await openPanelBus(wires, { gpio }),
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

async function openKeypad(keypad: Profile['keypad'], { bench, gpio, tools }: Box, report: PartReport): Promise<readonly NamedSource[]> {
  const { log, now, alarm } = tools
  switch (keypad.driver) {
    case 'none':
      return []
    case 'stdin': {
      const { createStdinKeypad } = await import('./keypad/stdin.js')
      return asked('keypad', createStdinKeypad({ stream: tools.stdin, interrupt: tools.interrupt, log }))
    }
    case 'usb': {
      const { createUsbKeypad } = await import('./keypad/usb.js')
      return asked('keypad', createUsbKeypad({ device: keypad.device, exclusive: keypad.exclusive, report, log, now, alarm }))
    }
    case 'matrix': {
      const { createMatrixKeypad } = await import('./keypad/matrix-keypad.js')
      const { rows, columns, keys } = keypad
      return asked('keypad', createMatrixKeypad({ rows, columns, keys, board: await boardOf(gpio), report, log, now, alarm }))
    }
    case 'bench':
      return asked('keypad', onBench(bench).keypad)
  }
}

async function openButtons(buttons: Profile['buttons'], { gpio, tools: { log, now, alarm } }: Box, report: PartReport): Promise<readonly NamedSource[]> {
  switch (buttons.driver) {
    case 'none':
      return []
    case 'gpio': {
      const { createButtons } = await import('./keypad/buttons.js')
      return asked('buttons', createButtons({ buttons: buttons.buttons, board: await boardOf(gpio), report, log, now, alarm }))
    }
  }
}

async function openRegister(register: Profile['register'], { tools: { log, now, random } }: Box, report: PartReport): Promise<readonly NamedSource[]> {
  switch (register.driver) {
    case 'none':
      return []
    case 'line': {
      const { createSerialRegister } = await import('./ecr/serial.js')
      return asked('register', createSerialRegister({ path: register.path, baud: register.baud, report, log, now, random }))
    }
  }
}

async function openLamps(lamps: Profile['lamps'], { bench, gpio, tools: { log, now, alarm } }: Box, report: PartReport): Promise<Lamps> {
  switch (lamps.driver) {
    case 'none': {
      const { createNoLamps } = await import('./lamps/none.js')
      return createNoLamps()
    }
    case 'log': {
      const { createLogLamps } = await import('./lamps/log.js')
      return createLogLamps((pattern) => log.info({ pattern }, 'lamps'))
    }
    case 'single':
    case 'rgb':
    case 'ring': {
      const { createLightLamps } = await import('./lamps/lights.js')
      return createLightLamps({ shape: lamps.driver, lights: lightsOf(lamps), buzzer: lamps.buzzer, board: await boardOf(gpio), report, log, now, alarm })
    }
    case 'bench':
      return onBench(bench).lamps
  }
}

type LightsProfile = Extract<Profile['lamps'], { driver: 'single' | 'rgb' | 'ring' }>

/** As the driver of lamps wants them. */
function lightsOf(lamps: LightsProfile): readonly LightWire[] {
  switch (lamps.driver) {
    case 'single': return [lamps.light]
    case 'rgb':    return [lamps.red, lamps.green, lamps.blue]
    case 'ring':   return lamps.lights
  }
}

async function openRelease(release: Profile['release'], { gpio, tools: { log, now, alarm } }: Box, report: PartReport): Promise<Release | undefined> {
  switch (release.driver) {
    case 'none':
      return undefined
    case 'log': {
      const { createLogRelease } = await import('./release/log.js')
      return createLogRelease((pulses) => log.info({ pulses }, 'release'))
    }
    case 'pulse': {
      const { createPulseRelease } = await import('./release/pulse.js')
      const { pin, activeLow, widthMs, gapMs, feedback } = release
      return createPulseRelease({ output: { pin, activeLow }, widthMs, gapMs, feedback, board: await boardOf(gpio), report, log, now, alarm })
    }
  }
}

/** Outputs that move something, and lights: what `plinth safe` switches off when a terminal died. */
export function outputsOf({ lamps, release }: Profile): readonly LightWire[] {
  const lights = lamps.driver === 'single' || lamps.driver === 'rgb' || lamps.driver === 'ring' ? lightsOf(lamps) : []
  const buzzer = 'buzzer' in lamps && lamps.buzzer !== undefined ? [lamps.buzzer] : []
  return [...(release.driver === 'pulse' ? [{ pin: release.pin, activeLow: release.activeLow }] : []), ...buzzer, ...lights]
}

/** One sentence for each that could not be switched off. */
export async function makeSafe(profile: Profile): Promise<readonly string[]> {
  const { driveSafe } = await import('./linux/led.js')
  return driveSafe(outputsOf(profile), profile.gpio)
}

const boardOf = async (gpio: Profile['gpio']): Promise<Board> => (await import('./linux/gpio.js')).boardOf(gpio)

const asked = (part: NamedSource['part'], source: AmountSource): readonly NamedSource[] =>
  [{ kind: part === 'register' ? 'register' : 'keypad', part, source }]

const sizeOf = ({ widthPx, heightPx, pitchMm }: Profile['panel']) => ({ widthPx, heightPx, pitchMm })

function onBench(bench: Bench | undefined): Bench {
  if (bench === undefined) throw new DriverError('BENCH_UNREACHABLE', 'no bench is open')
  return bench
}
