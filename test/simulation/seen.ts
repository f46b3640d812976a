/**
 * What was seen of a world so far: its sales, its counters, its money -- and the first invariant that did not hold. The
 * rules (money-rules.ts, counter-rules.ts, panel-rules.ts, audit.ts) all look at this.
 */
import type { Commit } from '../../cloud/store.js'
import type { ChargeRecord } from '../../cloud/sandbox/objects.js'
import { referenceOf } from '../../device/protocol/wire.js'
import type { Recorded } from '../../device/sale.js'
import type { Box } from './box.js'
import type { Engine } from './engine.js'
import type { PaymentApi } from './payment-api.js'
import type { People } from './people.js'

/** As numbered in the design; LIVE: a world without faults is also prompt; BROKEN: the product threw what nobody caught. */
export type Invariant =
  | 'I1' | 'I2' | 'I3' | 'I4' | 'I5' | 'I6' | 'I7' | 'I8' | 'I9' | 'I10' | 'I12' | 'R1' | 'R2' | 'R3' | 'G1' | 'G2' | 'G3' | 'D1' | 'D2' | 'D3' | 'LIVE' | 'BROKEN'

export interface Violation {
  readonly invariant: Invariant
  readonly at: number
  readonly what: string
}

/** How the sales of a world went. */
export interface Tally {
  sales: number
  toldPaid: number
  toldUnpaid: number
  refused: number
  neverTold: number
  reversed: number
  exceptions: number
  paidAtApi: number
  /** Sales whose goods were let out, and those of which nobody could know. */
  letOut: number
  inDoubt: number
  /** From a link that is up again to a settled sale, in milliseconds of the world. */
  readonly doubts: number[]
  /** From a success that came too late to the money being back. */
  readonly reversals: number[]
  /** From asking to a code on the panel. */
  readonly codes: number[]
  /** From the bank's word to the answer. */
  readonly paids: number[]
}

export interface SaleSeen {
  readonly id: string
  readonly terminal: string
  readonly minor: number
  readonly openedAt: number
  /** Charges that carry it. */
  readonly charges: string[]
  /** Those whose code was seen on a panel. */
  readonly shown: Set<string>
  /** What was said to whoever asked, in bytes. */
  told: string | undefined
  toldOutcome: 'paid' | 'unpaid' | undefined
  panelSaid: 'paid' | 'unpaid' | undefined
  /** Its terminal lost what it knew of it. */
  forgotten: boolean
  /** And nobody can know: the card gave back an older record that was as good as any. */
  unknowingly: boolean
}

/** An offer that a terminal had; `until` it presented it no more. */
export interface Presented {
  readonly charge: string
  readonly payload: string
  until: number
}

/** A counter with a box on it. */
export interface Place {
  readonly box: Box
  bootedAt: number
  blankedThisLife: boolean
  /** Until then the panel hangs; after that the product knows it. */
  hangsUntil: number
  drawnAt: number
  memoryLostAt: number
  /** On the connection it has now. */
  welcomed: boolean
  linkUpAt: number
  heardAt: number
  falseWelcomes: number
  phase: Recorded['phase']
  /** The newest at the end. */
  presented: readonly Presented[]
  settled: SettledSeen | undefined
  /** The sale before: a slow panel may still be drawing how that one ended. */
  settledBefore: SettledSeen | undefined
  resolvingSince: number | undefined
}

export interface SettledSeen {
  readonly sale: string
  readonly paid: boolean
  readonly charge: string | null
  /** When the terminal last recorded anything about its end. */
  readonly recordedAt: number
  until: number
}

/** It still is so. */
export const STILL = Infinity
const NEVER = -Infinity
/** Two pictures that were on their way, and the one that was meant. */
const PICTURES_LATE = 3
const SLACK_MS = 500
const PANEL_HANGS_MS = 6_000

export interface SeenOptions {
  readonly engine: Engine
  readonly people: () => People
  readonly api: () => PaymentApi
  readonly codeLifetimeMs: number
  readonly leaseGraceMs: number
}

export type Seen = ReturnType<typeof createSeen>

export function createSeen({ engine, people, api, codeLifetimeMs, leaseGraceMs }: SeenOptions) {
  const sales = new Map<string, SaleSeen>()
  const byReference = new Map<string, SaleSeen>()
  const places = new Map<Box, Place>()
  const tally: Tally = {
    sales: 0, toldPaid: 0, toldUnpaid: 0, refused: 0, neverTold: 0, reversed: 0, exceptions: 0, paidAtApi: 0, letOut: 0, inDoubt: 0,
    doubts: [], reversals: [], codes: [], paids: [],
  }
  let violation: Violation | undefined

  function violate(invariant: Invariant, what: string): void {
    if (violation !== undefined) return
    violation = { invariant, at: engine.now(), what }
    engine.note('oracle', `VIOLATION ${invariant}`, what)
    engine.halt()
  }

  function placeOf(box: Box): Place {
    const known = places.get(box)
    if (known !== undefined) return known
    const fresh: Place = {
      box, bootedAt: 0, blankedThisLife: false, hangsUntil: NEVER, drawnAt: NEVER, memoryLostAt: NEVER, welcomed: false, linkUpAt: NEVER,
      heardAt: NEVER, falseWelcomes: 0, phase: 'idle', presented: [], settled: undefined, settledBefore: undefined, resolvingSince: undefined,
    }
    places.set(box, fresh)
    return fresh
  }

  return {
    engine, people, api, codeLifetimeMs, leaseGraceMs, sales, byReference, tally, placeOf, violate,
    /** When each charge became successful, and those of them that did so too late. */
    paidAt: new Map<string, number>(),
    lateAt: new Map<string, number>(),
    /** What gateways have read as paid. */
    readPaid: new Set<string>(),
    disputes: new Set<string>(),
    /** The gateway's own state of each sale, as it was committed last. */
    states: new Map<string, Commit['state']>(),
    violation: () => violation,
    hold(invariant: Invariant, isSo: boolean, what: () => string): void { if (!isSo) violate(invariant, what()) },
    begin(box: Box, id: string, minor: number): SaleSeen {
      const sale: SaleSeen = {
        id, terminal: box.plan.terminal, minor, openedAt: engine.now(), charges: [], shown: new Set(),
        told: undefined, toldOutcome: undefined, panelSaid: undefined, forgotten: false, unknowingly: false,
      }
      sales.set(id, sale)
      byReference.set(referenceOf(id), sale)
      tally.sales++
      return sale
    },
    saleOf: (charge: ChargeRecord | undefined): SaleSeen | undefined => sales.get(String(charge?.metadata['plinth_sale'])),
    chargeOf: (charge: string | null): ChargeRecord | undefined => (charge === null ? undefined : api().charge(charge)),
    /** What a panel shows may be this far behind what its terminal knows. */
    graceMs: (box: Box): number =>
      PICTURES_LATE * box.plan.drawMs[1] + SLACK_MS + (engine.now() < placeOf(box).hangsUntil + 1_000 ? PANEL_HANGS_MS : 0),
  }
}
