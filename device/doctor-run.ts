/** The doctor with the real world in its hands: clock, disk, journal, broker, and the window that it was started from. */
import { randomBytes } from 'node:crypto'
import type { Finding, Probe } from '../drivers/finding.js'
import { configHash } from '../firmware-config/load.js'
import type { Config } from '../firmware-config/schema.js'
import { monotonicClock } from './clock.js'
import { examine } from './doctor.js'
import { clockProbe, diskProbe, isOthersFolder, realDisk } from './doctor-box.js'
import { type Bench, partProbes, type PartProbes } from './doctor-parts.js'
import { createPerson } from './doctor-person.js'
import { countsOf, findingLines, reportJson, summaryLine } from './doctor-report.js'
import { claimJournal } from './journal.js'
import { createLog } from './log.js'
import { createMqttTransport } from './mqtt-transport.js'
import { createOpener, createSeal } from './protocol/seal.js'
import { DownMessage } from './protocol/wire.js'

export interface DoctorOptions extends Pick<Bench, 'report' | 'open'> {
  readonly config: Config
  /** Ask nothing, move nothing. */
  readonly auto: boolean
  /** One object on stdout, at the end; questions go to stderr. */
  readonly json: boolean
  readonly software: string
  readonly probes: { readonly always: readonly Probe[]; readonly alone: readonly Probe[] }
}

/** Whether anything is bad. */
export async function runDoctor({ config, report, open, auto, json, software, probes }: DoctorOptions): Promise<boolean> {
  const { identity, journal, profile } = config
  const clock = monotonicClock
  const wallMs = (): number => Date.now()
  const person = auto ? undefined : createPerson(process.stdin, json ? process.stderr : process.stdout, clock)
  const found = (finding: Finding): void => { if (!json) process.stdout.write(findingLines(finding)) }
  const parts = partProbes({ profile, terminal: identity.terminal, report, open, person, clock })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => endEarly(parts))
  const findings = await examine({
    always: [...probes.always, clockProbe(wallMs), diskProbe(journal, realDisk)],
    alone: probes.alone,
    parts: parts.probes,
    journal: { file: journal, others: () => isOthersFolder(journal, process.getuid?.() ?? 0), claim: () => claimJournal(journal) },
    greet: async (opened) => ({
      journal: opened, terminal: identity.terminal, transport: createMqttTransport(identity),
      seal: await createSeal(identity.key), open: await createOpener(DownMessage, identity.gatewayKeys),
      software, configHash: configHash(config), boot: randomBytes(16).toString('hex'), clock, random: Math.random, log: createLog('silent'),
    }),
    wallMs, clock, found,
  })
  person?.close()
  const counts = countsOf(findings)
  const mode = auto ? 'auto' : 'asking'
  process.stdout.write(json ? reportJson({ terminal: identity.terminal, software, mode }, findings) : summaryLine(counts))
  return counts.bad > 0
}

const CLOSE_MS = 5_000
const EXIT_EARLY = 130

/** A relay or a lamp that is on just then does not stay on. */
function endEarly(parts: PartProbes): void {
  const end = (): void => process.exit(EXIT_EARLY)
  setTimeout(end, CLOSE_MS)
  parts.close().then(end, end)
}
