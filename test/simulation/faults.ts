/**
 * What may go wrong, how often in each profile, and what did go wrong in a run. Every fault that strikes is a Decision
 * that can be written down: a run with the same decisions is the same run, and one with fewer of them is a smaller story.
 */
import { type Dice, dice } from './dice.js'

/** The classes that are counted. Numbers in the profiles: faults an hour and target, or a probability an operation. */
export const FAULTS = [
  // The box.
  'terminal killed', 'power cut', 'power cut while recording', 'write failed', 'acknowledged record lost', 'amnesia', 'journal damaged',
  'disk cloned', 'draw failed', 'picture bent', 'register unplugged', 'keys pressed at random', 'unplugged after paying',
  // The way between.
  'message lost', 'message delayed', 'message duplicated', 'message reordered', 'link down', 'link half open', 'broker restarted',
  // The gateway.
  'gateway killed', 'gateway killed after a commit', 'gateway restored', 'gateway started twice', 'clock jumped',
  // The payment API and its people.
  'API unreachable', 'API request lost', 'API answer lost', 'API executed late', 'API failed', 'API refused', 'API says something new',
  'list lagging',
  'webhook lost', 'webhook duplicated', 'webhook late', 'webhook early', 'paid after expiry', 'refunded elsewhere', 'refund answer lost',
  'payment disputed',
  // What lets the goods out. Last, so that the seeds of before mean what they meant.
  'delivery unknown', 'release silent', 'power cut while goods come out',
] as const
export type Fault = (typeof FAULTS)[number]

export type Rates = Readonly<Partial<Record<Fault, number>>>

const stormy: Rates = {
  'message lost': 0.03, 'message delayed': 0.02, 'message duplicated': 0.04, 'message reordered': 0.04,
  'link down': 6, 'link half open': 4, 'broker restarted': 1.5,
  'delivery unknown': 0.05,
}
const brownout: Rates = {
  'power cut': 20, 'power cut while recording': 0.01, 'terminal killed': 6, 'draw failed': 0.005, 'link down': 1,
  'power cut while goods come out': 0.1,
}
const badApi: Rates = {
  'API unreachable': 1, 'API request lost': 0.02, 'API answer lost': 0.03, 'API executed late': 0.03, 'API failed': 0.03,
  'API refused': 0.01, 'API says something new': 0.02, 'payment disputed': 0.02, 'list lagging': 0.2, 'webhook lost': 0.2, 'webhook duplicated': 0.1, 'webhook late': 0.1,
  'webhook early': 0.1, 'paid after expiry': 0.5, 'refunded elsewhere': 0.02, 'refund answer lost': 0.5,
}
const badDisk: Rates = {
  'write failed': 0.02, 'power cut while recording': 0.02, 'acknowledged record lost': 1, 'amnesia': 0.7, 'journal damaged': 0.7,
  'disk cloned': 0.4, 'power cut': 1, 'delivery unknown': 0.05,
}
const vandal: Rates = {
  'power cut': 3, 'keys pressed at random': 20, 'draw failed': 0.02, 'picture bent': 0.003, 'register unplugged': 3,
  'unplugged after paying': 0.1, 'paid after expiry': 0.3, 'link down': 1,
  'delivery unknown': 0.1, 'release silent': 0.03, 'power cut while goods come out': 0.05,
}
const badCloud: Rates = {
  'gateway killed': 6, 'gateway killed after a commit': 0.01, 'gateway restored': 0.4, 'gateway started twice': 0.5, 'clock jumped': 0.7, 'broker restarted': 2,
  'webhook lost': 0.1, 'API answer lost': 0.01, 'delivery unknown': 0.05,
}
const everything: Rates = mixed([stormy, brownout, badApi, badDisk, vandal, badCloud], 0.4)

export const PROFILES = {
  sunny: {}, '4G-stormy': stormy, brownout, 'bad-PSP': badApi, 'bad-SD': badDisk, vandal, 'bad-cloud': badCloud, everything,
} as const satisfies Record<string, Rates>
export type ProfileName = keyof typeof PROFILES
export const PROFILE_NAMES = Object.keys(PROFILES) as readonly ProfileName[]

function mixed(parts: readonly Rates[], share: number): Rates {
  const rates: Partial<Record<Fault, number>> = {}
  for (const part of parts) {
    for (const fault of FAULTS) if (part[fault] !== undefined) rates[fault] = Math.max(rates[fault] ?? 0, part[fault] * share)
  }
  return rates
}

/** A seed switches whole classes off and turns the others up or down: uniform mixes hide what only some mixes show. */
export function ratesOf(profile: ProfileName, seed: number): Rates {
  const chance = dice(seed, profile, 'rates')
  const rates: Partial<Record<Fault, number>> = {}
  const base: Rates = PROFILES[profile]
  for (const fault of FAULTS) {
    const rate = base[fault]
    const isOn = chance.chance(0.7)
    const scale = 2 ** chance.between(-2, 1)
    if (rate !== undefined && isOn) rates[fault] = rate * scale
  }
  return rates
}

/**
 * A fault that struck: at the n-th operation of its kind at that place, or (`at`) at that moment of the world.
 * `u`, from 0 up to 1, is everything else there is to say of it: how long, how much, which of two.
 */
export interface Decision {
  readonly fault: Fault
  readonly where: string
  readonly n: number
  readonly at?: number
  readonly u: number
}

export interface Faults {
  /** Does it strike at this operation? Then how. */
  strikes(fault: Fault, where: string): number | undefined
  /** The moments of this window at which it strikes a target. Ask once. */
  planned(fault: Fault, where: string, from: number, until: number): readonly Decision[]
  /** A planned one has struck. */
  struck(decision: Decision): void
  /** Nothing strikes any more. */
  end(): void
  ended(): boolean
  counts(): Readonly<Partial<Record<Fault, number>>>
  decisions(): readonly Decision[]
}

export type FaultSource =
  | { readonly kind: 'drawn'; readonly seed: number; readonly rates: Rates }
  | { readonly kind: 'given'; readonly decisions: readonly Decision[] }

export function createFaults(source: FaultSource, note: (decision: Decision) => void): Faults {
  const counts: Partial<Record<Fault, number>> = {}
  const decisions: Decision[] = []
  const places = new Map<string, { n: number; readonly dice: Dice }>()
  const given = new Map<string, Decision>()
  let over = false
  if (source.kind === 'given') {
    for (const decision of source.decisions) if (decision.at === undefined) given.set(keyOf(decision.fault, decision.where, decision.n), decision)
  }

  function struck(decision: Decision): void {
    counts[decision.fault] = (counts[decision.fault] ?? 0) + 1
    decisions.push(decision)
    note(decision)
  }

  function placeOf(fault: Fault, where: string) {
    const key = `${fault}/${where}`
    const known = places.get(key)
    if (known !== undefined) return known
    const fresh = { n: 0, dice: dice(source.kind === 'drawn' ? source.seed : 0, key) }
    places.set(key, fresh)
    return fresh
  }

  return {
    strikes(fault, where) {
      if (over) return undefined
      if (source.kind === 'given') {
        if (given.size === 0) return undefined
        const place = placeOf(fault, where)
        const decision = given.get(keyOf(fault, where, place.n++))
        if (decision !== undefined) struck(decision)
        return decision?.u
      }
      const rate = source.rates[fault] ?? 0
      if (rate === 0) return undefined
      const place = placeOf(fault, where)
      const n = place.n++
      const strikes = place.dice.chance(rate)
      const u = place.dice.next()
      if (!strikes) return undefined
      struck({ fault, where, n, u })
      return u
    },
    planned(fault, where, from, until) {
      if (source.kind === 'given') {
        return source.decisions.filter((it) => it.fault === fault && it.where === where && it.at !== undefined)
      }
      const rate = source.rates[fault] ?? 0
      if (rate === 0) return []
      const chance = dice(source.seed, 'plan', fault, where)
      const plan: Decision[] = []
      for (let at = from + chance.wait(3_600_000 / rate); at < until; at += chance.wait(3_600_000 / rate)) {
        plan.push({ fault, where, n: plan.length, at: Math.round(at), u: chance.next() })
      }
      return plan
    },
    struck: (decision) => { if (!over) struck(decision) },
    end: () => { over = true },
    ended: () => over,
    counts: () => counts,
    decisions: () => decisions,
  }
}

const keyOf = (fault: Fault, where: string, n: number): string => `${fault}/${where}/${n}`
