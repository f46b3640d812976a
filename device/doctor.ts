/**
 * plinth doctor: finds and tests every part of a box, and says of each how it is and what to do about it. What hangs is ended,
 * what breaks is a finding, and neither ends the others.
 *
 * A terminal that is running has the hardware and the identity: beside it only files are read. So the journal's lock is taken
 * first and held to the end, as the terminal itself would.
 */
import { bad, type Finding, type Probe, sentenceOf, skipped } from '../drivers/finding.js'
import type { Clock } from './clock.js'
import { type Greeting, greetGateway } from './doctor-gateway.js'
import type { Journal, JournalClaim } from './journal.js'

export interface Examination {
  /** Read files and nothing else. */
  readonly always: readonly Probe[]
  /** Need what a running terminal holds. */
  readonly alone: readonly Probe[]
  readonly parts: readonly Probe[]
  /** Whether the journal's folder is one in which this user must make no files; else its lock. */
  readonly journal: { readonly others: () => Promise<boolean>; readonly claim: () => JournalClaim; readonly file: string }
  readonly greet: (journal: Journal) => Promise<Greeting>
  readonly wallMs: () => number
  readonly clock: Clock
  /** Hears each finding as it is made. */
  readonly found: (finding: Finding) => void
}

const LINK_MS = 20_000

export async function examine({ always, alone, parts, journal, greet, wallMs, clock, found }: Examination): Promise<readonly Finding[]> {
  const findings: Finding[] = []
  const tell = (some: readonly Finding[]): void => {
    for (const finding of some) {
      findings.push(finding)
      found(finding)
    }
  }
  const all = async (probes: readonly Probe[]): Promise<void> => {
    for (const probe of probes) tell(await bounded(probe, clock))
  }

  await all(always)
  const held = await claimOf(journal)
  if ('claim' in held) {
    await all([...alone, ...parts])
    await all([{ check: 'gateway', limitMs: LINK_MS, run: () => throughGateway(held.claim, greet, wallMs) }])
  } else {
    tell([held.finding])
    tell(['hardware', 'gateway'].map((check) => skipped(check, held.why)))
  }
  return findings
}

/** What the probe finds, or that it broke, or that it did not end. */
export async function bounded({ check, limitMs, run }: Probe, clock: Clock): Promise<readonly Finding[]> {
  let callOff = (): void => undefined
  const late = new Promise<readonly Finding[]>((resolve) => {
    callOff = clock.alarm(clock.now() + limitMs, () => resolve([
      bad(check, `did not end within ${limitMs / 1_000} s`, 'something in the kernel or a device hangs: see dmesg, plug the part out and in again, or restart the box')]))
  })
  try {
    return await Promise.race([attempt(run), late])
  } catch (error) {
    return [bad(check, `could not be looked at: ${sentenceOf(error)}`, 'see what the sentence names; run the doctor again once that is in order')]
  } finally {
    callOff()
  }
}

/** Also what throws at once is a rejection. */
const attempt = async (run: Probe['run']): Promise<readonly Finding[]> => run()

type Held = { readonly claim: JournalClaim } | { readonly finding: Finding; readonly why: string }

async function claimOf({ others, claim, file }: Examination['journal']): Promise<Held> {
  if (await others()) {
    return {
      finding: bad('journal', `the folder of ${file} belongs to another user, and files of root in it would keep the terminal out`,
        'run the doctor as the terminal\'s user: sudo runuser -u plinth -- plinth doctor --config ...'),
      why: 'nobody can tell whether a terminal is running: see the check `journal`',
    }
  }
  try {
    return { claim: claim() }
  } catch (error) {
    const running = error instanceof Error && 'code' in error && error.code === 'JOURNAL_IN_USE'
    return running ? {
      finding: skipped('journal', 'a terminal is running on it: for the rest stop that one (sudo systemctl stop plinth-terminal) and run the doctor again'),
      why: 'it is that of the terminal that is running',
    } : {
      finding: bad('journal', sentenceOf(error), 'make its folder, or correct `journal` in terminal.json, and give the folder to the terminal\'s user'),
      why: 'nobody can tell whether a terminal is running: see the check `journal`',
    }
  }
}

async function throughGateway(claim: JournalClaim, greet: Examination['greet'], wallMs: () => number): Promise<readonly Finding[]> {
  const journal = claim.open(wallMs())
  try {
    const { damaged } = journal
    const lost = damaged === undefined ? [] : [bad('journal', `it was damaged: it is kept as ${damaged}, and a new one was begun`,
      'keep that file for whoever looks after the sales, and look for a bad medium or supply (dmesg)')]
    return [...lost, ...await greetGateway(await greet(journal))]
  } finally {
    journal.close()
  }
}
