#!/usr/bin/env node
/**
 * plinth: composition root and command line of the terminal.
 */
import { Command } from 'commander'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Logger } from 'pino'
import { v7 as uuidv7 } from 'uuid'
import { disputedSize, makeSafe, type OpenHardware, openHardware } from '../drivers/open.js'
import { configHash, loadConfig } from '../firmware-config/load.js'
import { formatProblems, type Problem } from '../firmware-config/problems.js'
import type { Config } from '../firmware-config/schema.js'
import { amountsOf, checkIdentity, checkLetters, checkTogether } from './check.js'
import { monotonicClock } from './clock.js'
import { createCloudLink } from './cloud-link.js'
import { claimJournal, type Journal, type JournalClaim } from './journal.js'
import { createLog } from './log.js'
import { readMark } from './mark.js'
import { createMqttTransport } from './mqtt-transport.js'
import { createOpener, createSeal } from './protocol/seal.js'
import { DownMessage } from './protocol/wire.js'
import { loadReader } from './qr.js'
import { blankFrame, createRenderer, type Renderer } from './render.js'
import type { ReleaseTerms } from './sale.js'
import { createTerminal, type Terminal } from './terminal.js'

/** As systemd's EX_IOERR and EX_CONFIG, which the unit's restart rules tell apart. */
const EXIT_JOURNAL = 74
const EXIT_CONFIG = 2
/** A slow e-ink panel first ends its picture and then shows white, 4 s each; the unit's TimeoutStopSec is 15 s. */
const STOP_MS = 12_000

async function openTerminal({ config, renderer }: Checked, log: Logger): Promise<{ terminal: Terminal; close: () => Promise<void> }> {
  const clock = monotonicClock
  const { hardware, journal } = await openBox(config.journal, () => openParts(config.profile, log), log)
  const { identity } = config
  const link = createCloudLink({
    terminal: identity.terminal, transport: createMqttTransport(identity),
    seal: await createSeal(identity.key), open: await createOpener(DownMessage, identity.gatewayKeys),
    epoch: journal.epoch, software: version(), configHash: configHash(config),
    boot: randomBytes(16).toString('hex'), forgot: journal.forgot,
    openSales: () => openSales(), clock, random: Math.random, log,
  })
  const openSales = (): readonly string[] => {
    const last = journal.last()
    return last.phase === 'idle' || last.phase === 'settled' ? [] : [last.sale.id]
  }
  const { currency, method } = config.site
  const { prices, usual } = amountsOf(config.site)
  const terminal = createTerminal({
    hardware, journal, link, renderer, terms: { currency, method, usual, release: releaseTerms(config.profile) }, prices, clock, wallMs: () => Date.now(),
    mint: { id: () => uuidv7(), nonce: () => randomBytes(16).toString('hex') },
    fatal: (error) => {
      log.fatal({ error }, 'journal could not be written')
      process.exit(EXIT_JOURNAL)
    },
    log,
  })
  return {
    terminal,
    close: async () => {
      await terminal.stop()
      await hardware.close()
      journal.close()
    },
  }
}

const openParts = (profile: Config['profile'], log: Logger): Promise<OpenHardware> => openHardware(profile, {
  log, stdin: process.stdin, interrupt: () => process.kill(process.pid, 'SIGINT'),
  now: () => monotonicClock.now(), alarm: (at, ring) => monotonicClock.alarm(at, ring), random: Math.random,
})

/** Beyond what the driver itself allows: its lines may be slow. */
const RELEASE_SPARE_MS = 10_000

function releaseTerms({ release }: Config['profile']): ReleaseTerms | undefined {
  switch (release.driver) {
    case 'none': return undefined
    case 'log':  return { pulses: release.pulses, withinMs: RELEASE_SPARE_MS }
    case 'pulse': {
      const { pulses, widthMs, gapMs, feedback } = release
      const most = pulses === 'one' ? 1 : pulses.max
      return { pulses, withinMs: most * (widthMs + gapMs) + (feedback?.withinMs ?? 0) + RELEASE_SPARE_MS }
    }
  }
}

/**
 * The panel is blanked before anything that may fail or take long: it may have kept a payable code. Where another terminal
 * is running on the journal, the panel and all other hardware are that one's, and are left alone.
 */
async function openBox(file: string, open: () => Promise<OpenHardware>, log: Logger): Promise<{ hardware: OpenHardware; journal: Journal }> {
  const stop = (error: unknown): never => {
    log.fatal({ file, error }, 'journal could not be opened')
    process.exit(EXIT_JOURNAL)
  }
  let claim: JournalClaim | undefined
  try {
    claim = claimJournal(file)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'JOURNAL_IN_USE') stop(error)
  }
  const hardware = await open()
  const { panel } = hardware
  await panel.draw(blankFrame(panel.size)).catch((error: unknown) => log.error({ error }, 'panel could not be blanked'))
  try {
    return { hardware, journal: (claim ?? claimJournal(file)).open(Date.now()) }
  } catch (error) {
    return stop(error)
  }
}

/** Beside this file's package, both in the source and compiled. */
function version(): string {
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const manifest: unknown = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'))
      if (manifest instanceof Object && 'version' in manifest) return String(manifest.version)
    } catch {
      continue // The other place.
    }
  }
  return 'unknown'
}

interface Checked {
  readonly config: Config
  readonly renderer: Renderer
  readonly report: () => readonly string[]
}

/** Exits with 2 and every problem at once when the configuration is bad. */
async function configOrExit(file: string): Promise<Checked> {
  const loaded = loadConfig(file)
  if ('problems' in loaded) return refuse(loaded.problems)
  const { config, config: { site, profile: { panel, keypad }, identity } } = loaded
  const brand = site.mark === undefined ? undefined : readMark(site.mark.file)
  const { widthPx, heightPx, pitchMm } = panel
  const mark = brand !== undefined && 'mark' in brand ? brand.mark : undefined
  const renderer = createRenderer({ ...site, size: { widthPx, heightPx, pitchMm }, mark, keypad: keypad.driver !== 'none' })
  const { problems, report } = checkTogether(config, renderer.plan, await disputedSize(panel))
  const all = [
    ...problems, ...checkLetters(site), ...await checkIdentity(identity),
    ...(brand !== undefined && 'problem' in brand ? [{ path: 'site.mark.file', problem: brand.problem }] : []),
  ]
  return all.length === 0 ? { config, renderer, report } : refuse(all)
}

function refuse(problems: readonly Problem[]): never {
  process.stderr.write(`${formatProblems(problems)}\n`)
  process.exit(EXIT_CONFIG)
}

async function run({ config: file }: { config: string }): Promise<void> {
  process.umask(0o077) // The journal holds codes that can be paid.
  const checked = await configOrExit(file)
  const log = createLog(checked.config.log)
  const { terminal, close } = await openTerminal(checked, log)
  let stopping = false
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (stopping) return
      stopping = true
      log.info({ signal }, 'terminal stopping')
      setTimeout(() => process.exit(1), STOP_MS).unref()
      close().then(() => process.exit(0), (error: unknown) => {
        log.error({ error }, 'terminal did not stop cleanly')
        process.exit(1)
      })
    })
  }
  await terminal.start()
  await loadReader() // Warm before the first customer.
}

const program = new Command('plinth').description('A QR payment terminal').version(version())
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : EXIT_CONFIG)) // Before the commands, which inherit it.
program.command('run').description('run the terminal').requiredOption('--config <file>', 'terminal.json').action(run)
program.command('check').description('say every problem of a configuration, and how its code will scan')
  .requiredOption('--config <file>', 'terminal.json').action(async ({ config }: { config: string }) => {
    const { report } = await configOrExit(config)
    process.stdout.write(`${resolve(config)} is good\n${report().map((line) => `  ${line}\n`).join('')}`)
  })

program.command('safe').description('switch off whatever a terminal that died may have left on: relay, lamps, buzzer')
  .requiredOption('--config <file>', 'terminal.json').action(async ({ config }: { config: string }) => {
    const { config: { profile } } = await configOrExit(config)
    const failures = await makeSafe(profile)
    process.stderr.write(failures.map((failure) => `plinth: ${failure}\n`).join(''))
    process.exitCode = failures.length === 0 ? 0 : 1
  })

program.command('doctor').description('find and test every part of this box, and say what to do about what is wrong')
  .requiredOption('--config <file>', 'terminal.json').option('--auto', 'ask nothing and move nothing').option('--json', 'for programs')
  .action(async ({ config: file, auto = false, json = false }: { config: string; auto?: boolean; json?: boolean }) => {
    process.umask(0o077) // It may begin the journal.
    const { config, report } = await configOrExit(file)
    const [{ runDoctor }, { probesOf }] = await Promise.all([import('./doctor-run.js'), import('../drivers/probe.js')])
    const open = (): Promise<OpenHardware> => openParts(config.profile, createLog('silent'))
    const sick = await runDoctor({ config, report: report(), auto, json, software: version(), probes: probesOf(config.profile), open })
    process.stdout.write('', () => process.exit(sick ? 1 : 0)) // What hangs must not keep it.
  })

program.parseAsync().catch((error: unknown) => {
  process.stderr.write(`plinth: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
})
