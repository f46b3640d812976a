/**
 * The parts of a box, tried through the same promises by which the terminal uses them. Without a person nothing moves: the
 * panel draws a test card, and the others are opened and say what is missing. With one, keys are pressed, lamps are watched,
 * and the relay gives one pulse, after a question that only the word `pulse` answers.
 */
import type { Hardware, Input, LampPattern, NamedSource, PartName } from '../drivers/driver.js'
import { bad, badlySaid, type Finding, good, type Probe, sentenceOf, skipped, unsure } from '../drivers/finding.js'
import type { Profile } from '../firmware-config/schema.js'
import type { Clock } from './clock.js'
import type { Person } from './doctor-person.js'
import { planCode, stampCode, verifyFrame } from './qr.js'
import { blankFrame } from './render.js'

export interface Bench {
  readonly profile: Profile
  /** The name of this terminal, which the test card says. */
  readonly terminal: string
  /** How a code will scan, as `check` says it. */
  readonly report: readonly string[]
  readonly open: () => Promise<Hardware & { close(): Promise<void> }>
  /** Undefined: ask nothing, move nothing. */
  readonly person: Person | undefined
  readonly clock: Clock
  /** Drivers open their lines behind our back, and say what is missing when they have tried. */
  readonly settleMs?: number
}

const OPEN_MS = 30_000
const QUICK_MS = 10_000
const PANEL_MS = 60_000
const ASKING_MS = 20 * 60_000
const CLOSE_MS = 20_000
const SETTLE_MS = 1_500
const KEYS_MS = 60_000

interface Opened {
  readonly hardware: Hardware
  /** What arrives from any part goes to the one who listens. */
  listen(part: PartName, hear: (input: Input) => void): () => void
  close(): Promise<void>
}

type Try = (opened: Opened, bench: Bench) => Promise<readonly Finding[]>

export interface PartProbes {
  /** In order: the first opens all of it, the last gives it back. */
  readonly probes: readonly Probe[]
  /** Gives back whatever is open, outputs at their safe level: for whoever ends it early. */
  close(): Promise<void>
}

export function partProbes(bench: Bench): PartProbes {
  let opened: Opened | undefined
  const close = async (): Promise<void> => {
    const last = opened
    opened = undefined
    await last?.close()
  }
  const part = (check: string, attempt: Try, limitMs = QUICK_MS): Probe => ({
    check,
    limitMs: bench.person === undefined ? limitMs : ASKING_MS,
    run: async () => (opened === undefined ? [skipped(check, 'the hardware is not open')] : attempt(opened, bench)),
  })
  const hardware: Probe = {
    check: 'hardware', limitMs: OPEN_MS,
    async run() {
      opened = await openAll(bench)
      return [good('hardware', 'every driver of the profile was loaded')]
    },
  }
  const closing: Probe = {
    check: 'closing', limitMs: CLOSE_MS,
    run: () => close().then(() => []),
  }
  return {
    probes: [
      hardware, part('panel', tryPanel, PANEL_MS), part('lamps', tryLamps), part('keypad', tryKeypad), part('buttons', tryButtons),
      part('register', tryRegister), part('release', tryRelease), closing,
    ],
    close,
  }
}

async function openAll({ profile, open, person, clock, settleMs = SETTLE_MS }: Bench): Promise<Opened> {
  const hardware = await open()
  if (profile.keypad.driver === 'usb') person?.tell('The keypad is the doctor\'s now: answer from another keyboard, or over the network.')
  const listeners = new Map<PartName, (input: Input) => void>()
  try {
    for (const { part, source } of testable(hardware, profile)) {
      // That it does not start is also what its part says; the others go on.
      await source.start((input) => listeners.get(part)?.(input)).catch(() => undefined)
    }
    await new Promise<void>((resolve) => { clock.alarm(clock.now() + settleMs, resolve) })
  } catch (error) {
    await hardware.close()
    throw error
  }
  return {
    hardware,
    listen(part, hear) {
      listeners.set(part, hear)
      return () => { listeners.delete(part) }
    },
    close: () => hardware.close(),
  }
}

/** Keys on stdin are the answers of the person. */
const testable = ({ sources }: Hardware, { keypad }: Profile): readonly NamedSource[] =>
  sources.filter(({ part }) => !(part === 'keypad' && keypad.driver === 'stdin'))

const faultOf = ({ hardware: { parts } }: Opened, part: PartName): Finding | undefined => {
  const fault = parts.faults.get(part)
  return fault === undefined ? undefined : badlySaid(part, fault, 'see what the checks of lines, groups, USB and serial lines above say of it')
}

// -- Panel ------------------------------------------------------------------------------------------------------------

/** A code that no wallet takes for a payment. */
export const cardText = (terminal: string): string => `PLINTH TEST CARD ${terminal}`

async function tryPanel({ hardware: { panel } }: Opened, { terminal, report, person, clock }: Bench): Promise<readonly Finding[]> {
  const scan = good('scan', report.map((line) => line.replace(/ +/g, ' ')).join('; '))
  const card = blankFrame(panel.size)
  const text = cardText(terminal)
  const { widthPx, heightPx, pitchMm } = panel.size
  const plan = planCode(text, { widthPx, heightPx }, pitchMm)
  if (!plan.fits) return [bad('panel', plan.text, 'take a larger panel'), scan]
  stampCode(card, plan, (widthPx - plan.symbolPx) >> 1, (heightPx - plan.symbolPx) >> 1)
  const reading = await verifyFrame(card, text)
  if (reading !== 'matches') return [bad('panel', `the test card's code reads back as ${reading}`, 'report this: the code was drawn wrongly'), scan]

  const from = clock.now()
  try {
    await panel.draw(card, 'clean')
    const drawn = `the test card was drawn in ${Math.round(clock.now() - from)} ms, and its code reads back from the very bits`
    const seen = person === undefined ? [good('panel', drawn)] : [good('panel', drawn), await phoneReads(text, person)]
    await panel.draw(blankFrame(panel.size), 'clean') // E-ink would keep it.
    return [...seen, scan]
  } catch (error) {
    return [badlySaid('panel', sentenceOf(error), 'check the panel\'s cable, its supply and the lines that the profile gives it'), scan]
  }
}

async function phoneReads(text: string, person: Person): Promise<Finding> {
  const reads = await person.sees(`The panel shows a code. Does a telephone read "${text}" from it?`)
  if (reads === undefined) return unsure('telephone', 'nobody said whether a telephone reads the test card', 'run the doctor again, and scan the card')
  return reads ? good('telephone', 'a telephone reads the test card')
    : bad('telephone', 'no telephone reads the test card', 'clean the glass, give it light, come nearer; see the check `scan` for the distance')
}

// -- Lamps ------------------------------------------------------------------------------------------------------------

/** What the eye should see, from `LampPattern`. */
const PATTERNS: readonly (readonly [LampPattern, string])[] = [
  ['ready', 'on, steady and dim if it can be'], ['working', 'once a second'], ['waiting', 'once a second, long on'],
  ['checking', 'twice a second'], ['paid', 'on, steady'], ['not paid', 'two short flashes and a pause'],
  ['offline', 'slow'], ['out of service', 'three short flashes and a pause'],
]

async function tryLamps(opened: Opened, { profile: { lamps: { driver } }, person }: Bench): Promise<readonly Finding[]> {
  if (driver === 'none') return [skipped('lamps', 'this box has no lamps')]
  const fault = faultOf(opened, 'lamps')
  if (fault !== undefined) return [fault]
  if (person === undefined || driver === 'log') return [good('lamps', 'they open; nobody watched them')]
  const { lamps } = opened.hardware
  const unseen: string[] = []
  let unanswered = 0
  for (const [pattern, looks] of PATTERNS) {
    lamps.show(pattern)
    const seen = await person.sees(`The lamps show "${pattern}": ${looks}. Did you see it?`)
    if (seen === undefined) unanswered++
    if (seen === false) unseen.push(pattern)
    if (seen === undefined) break
  }
  lamps.show('off')
  if (unseen.length > 0) return [bad('lamps', `not seen: ${unseen.join(', ')}`, 'check the wiring, and pin and activeLow of the profile')]
  return [unanswered > 0 ? unsure('lamps', 'nobody said whether they were seen', 'run the doctor again, and watch them')
    : good('lamps', `all ${PATTERNS.length} patterns were seen`)]
}

// -- What comes in ------------------------------------------------------------------------------------------------------

function nameOf(input: Input): string {
  switch (input.type) {
    case 'digit pressed':     return input.digit
    case 'point pressed':     return 'point'
    case 'clear pressed':     return 'clear'
    case 'enter pressed':     return 'enter'
    case 'cancel pressed':    return 'cancel'
    case 'product chosen':    return input.product
    case 'amount asked':      return `the amount ${input.amount}`
    case 'nonsense received': return `nonsense (${input.what})`
  }
}

/** So many inputs of that part, or fewer when nothing more comes in time. */
async function hear({ listen }: Opened, part: PartName, count: number, clock: Clock): Promise<readonly string[]> {
  const heard: string[] = []
  await new Promise<void>((resolve) => {
    const callOff = clock.alarm(clock.now() + KEYS_MS, resolve)
    listen(part, (input) => {
      heard.push(nameOf(input))
      if (heard.length < count) return
      callOff()
      resolve()
    })
  })
  listen(part, () => undefined)
  return heard
}

const DIGITS = ['1', '2', '3', '4', '5', '6', '7', '8', '9', '0']

async function tryKeypad(opened: Opened, bench: Bench): Promise<readonly Finding[]> {
  const { profile: { keypad } } = bench
  switch (keypad.driver) {
    case 'none':  return [skipped('keypad', 'this box has no keypad')]
    case 'stdin': return [skipped('keypad', 'keys come from the window that the terminal runs in')]
    case 'usb':
    case 'bench': return tryKeys(opened, bench, 'keypad', [...DIGITS, 'enter'])
    case 'matrix': return tryKeys(opened, bench, 'keypad', keypad.keys.flat().filter((key) => key !== 'none'))
  }
}

async function tryButtons(opened: Opened, bench: Bench): Promise<readonly Finding[]> {
  const { profile: { buttons } } = bench
  return buttons.driver === 'none' ? [skipped('buttons', 'this box has no buttons')]
    : tryKeys(opened, bench, 'buttons', Object.keys(buttons.buttons))
}

async function tryKeys(opened: Opened, { person, clock }: Bench, part: 'keypad' | 'buttons', keys: readonly string[]): Promise<readonly Finding[]> {
  const fault = faultOf(opened, part)
  if (fault !== undefined) return [fault]
  if (person === undefined) return [good(part, 'opens; nobody pressed a key')]
  person.tell(`Press on the ${part}, one after the other, within ${KEYS_MS / 1_000} s: ${keys.join(' ')}`)
  const heard = await hear(opened, part, keys.length, clock)
  const lost = faultOf(opened, part)
  if (lost !== undefined) return [lost]
  if (heard.join(' ') === keys.join(' ')) return [good(part, `every key arrived: ${keys.join(' ')}`)]
  return [bad(part, `pressed should have been ${keys.join(' ')}; ${heard.length === 0 ? 'nothing' : heard.join(' ')} arrived`,
    part === 'keypad' ? 'press them again, one by one; if keys are missing or exchanged, correct the wiring, or keys in the profile'
      : 'press them again, one by one; if they are exchanged, correct the wiring, or the pins in the profile')]
}

async function tryRegister(opened: Opened, { profile: { register }, person, clock }: Bench): Promise<readonly Finding[]> {
  if (register.driver === 'none') return [skipped('register', 'this box has no register')]
  const fault = faultOf(opened, 'register')
  const remedy = 'see the check `serial ports`, and that no other program has the line'
  if (fault !== undefined) return ['fix' in fault ? { ...fault, fix: remedy } : fault]
  const open = `${register.path} opens at ${register.baud} baud`
  if (await person?.sees('Can the register send a total now?') !== true) return [good('register', `${open}; nothing was sent on it`)]
  person?.tell(`Send it, within ${KEYS_MS / 1_000} s; the register is answered that it was a test.`)
  const [heard] = await hear(opened, 'register', 1, clock)
  await opened.hardware.sources.find(({ part }) => part === 'register')?.source.answer({ answer: 'no', reason: 'a test of the terminal' })
  if (heard?.startsWith('the amount') === true) return [good('register', `${open}; it sent ${heard}`)]
  return [bad('register', `${open}; ${heard ?? 'nothing'} came from the register`,
    'check the cable (crossed or straight), the baud rate of both, and that the register is set up to send its totals')]
}

// -- Release ----------------------------------------------------------------------------------------------------------

async function tryRelease(opened: Opened, { profile: { release: { driver } }, person }: Bench): Promise<readonly Finding[]> {
  const { release } = opened.hardware
  if (driver === 'none' || release === undefined) return [skipped('release', 'this box lets nothing out')]
  const fault = faultOf(opened, 'release')
  if (fault !== undefined) return [fault]
  if (person === undefined) return [good('release', 'opens, and is at its safe level; no pulse was sent')]
  const word = await person.ask('This sends ONE PULSE: goods may come out, a gate may open. Is nobody in the way? Type the word pulse to send it, anything else to leave it:')
  if (word !== 'pulse') return [skipped('release', 'opens; no pulse was sent, since the word pulse was not typed')]
  const delivery = await release.release(1)
  switch (delivery.delivery) {
    case 'delivered': return [good('release', 'one pulse was sent, and the sensor saw something come out')]
    case 'unknown':   return [bad('release', `one pulse: ${delivery.why}`, 'check the relay, the sensor and their wiring; see what is wrong with their lines above')]
    case 'released': {
      const moved = await person.sees('One pulse was sent. Did the relay click, and the goods or the gate move?')
      if (moved === true) return [good('release', 'one pulse was sent, and it was seen to work')]
      const fix = 'check the relay, its supply and its wiring, widthMs, and pin and activeLow of the profile'
      return [moved === false ? bad('release', 'one pulse was sent, and nothing moved', fix) : unsure('release', 'one pulse was sent, and nobody said what came of it', fix)]
    }
  }
}
