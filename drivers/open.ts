/**
 * Profile -> hardware: one exhaustive switch per promise; each case loads its driver only when it is wanted.
 * Nothing is started here but the bench connection, the panel and the lamps; the terminal starts the sources.
 */
import type { Logger } from 'pino'
import type { Profile } from '../firmware-config/schema.js'
import { DriverError, type AmountSource, type Hardware, type Lamps, type NamedSource, type Panel } from './driver.js'
import type { KeyStream } from './keypad/stdin.js'

/** What drivers take from the process they run in. */
export interface HardwareTools {
  readonly log: Logger
  readonly stdin: KeyStream
  /** Ctrl-C on a keypad that reads raw keys. */
  readonly interrupt: () => void
  /** Milliseconds on a clock that never goes backwards. */
  readonly now: () => number
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
    const panel = await openPanel(profile.panel, bench)
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

async function openPanel(panel: Profile['panel'], bench: Bench | undefined): Promise<Panel> {
  switch (panel.driver) {
    case 'png': {
      const { openPngPanel } = await import('./panel/png.js')
      return openPngPanel({ directory: panel.directory, size: sizeOf(panel) })
    }
    case 'bench':
      return onBench(bench).panel
  }
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
