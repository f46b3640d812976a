/**
 * One sale as the gateway sees it: the life of its charge at the payment API. Pure; the twin of device/sale.ts.
 *
 *   none -> intent -> bound -> paid | closed        and when only a person can decide: exception
 *
 * Omise has no idempotency key. So the intent is durable before a charge is asked for; a charge whose answer was lost
 * is looked for by its metadata before another is asked for; one charge is bound and only its code is ever offered.
 * Paid and unpaid are read from the API, never concluded: a webhook, a Cancel and a timeout are reasons to read.
 * Money that comes in for a sale that ended otherwise, or twice, goes back by itself: reversal.ts, beside every phase.
 */
import { refuseAmount } from '../device/protocol/payment-method.js'
import type { CloseReason, Ending, Order } from '../device/protocol/wire.js'
import { type Entry, refunded, salePaid } from './ledger.js'
import {
  advance, ANSWER_MS, begin, type Concern, hold, overdue, resume, type Reversal, reversalDeadline, type ReversalEffect, type ReversalEvent, type ReversalStep,
} from './reversal.js'

/** Milliseconds since 1970. The gateway's deadlines survive a restart, so they are on the wall clock. */
export type EpochMs = number

/** What we read of a charge at the API. */
export interface ChargeSeen {
  readonly id: string
  readonly amountMinor: number
  readonly currency: string
  /** pending, successful, failed, expired, reversed -- or a word we do not know yet. */
  readonly status: string
  readonly paid: boolean
  readonly livemode: boolean
  /** ISO 8601, as is paidAt; a charge that does not say when it expires is ours to close. */
  readonly expiresAt: string | undefined
  readonly paidAt: string | undefined
  readonly failureCode: string | undefined
  readonly feeMinor: number
  readonly feeVatMinor: number
  /** What went back to the customer already: a paid charge can be refunded before we read it. */
  readonly refundedMinor: number
}

interface OfSale {
  readonly terminal: string
  readonly order: Order
  /** The terminal's latest request that still waits for a word of ours. */
  readonly asked: string | null
  /** Money of this sale that must go back, or has gone. */
  readonly reversals: readonly Reversal[]
}

export interface Closing {
  readonly reason: string
}

export type State =
  | { readonly phase: 'none' }
  | OfSale & {
      readonly phase: 'intent'
      readonly doing: 'creating' | 'finding'
      readonly creates: number
      readonly closing: Closing | undefined
      /** The charge whose code the terminal shows, as it says: of several that carry the sale this one is ours. */
      readonly showing: string | null
      /** Our records of the sale, or its terminal's, were lost on the way: when it turns out paid, who was told is not known. */
      readonly recovered: boolean
      readonly since: EpochMs
      readonly tries: number
      readonly retryAt: EpochMs
    }
  | OfSale & {
      readonly phase: 'bound'
      readonly charge: string
      /** The code's text, once its image was read. */
      readonly payload: string | undefined
      /** What the customer's countdown runs to. */
      readonly codeEndsAt: EpochMs
      /** When the lease ends and the charge is closed without being asked. */
      readonly leaseEndsAt: EpochMs
      readonly closing: Closing | undefined
      readonly recovered: boolean
      readonly reads: number
      readonly readAt: EpochMs
    }
  | OfSale & {
      readonly phase: 'paid'; readonly charge: string; readonly paidAt: string
      /** What went back since, as far as it is in the ledger. */
      readonly refundedMinor: number
      /** More went back: when its refunds are listed again, if that list does not come. */
      readonly refundsAt?: EpochMs
      /** Its terminal lost its journal since, and a person was told. */
      readonly forgotten?: true
    }
  | OfSale & { readonly phase: 'closed'; readonly charge: string | null; readonly reason: string }
  | OfSale & { readonly phase: 'exception'; readonly charge: string | null; readonly reason: string; readonly told: Ending }

export type Phase = State['phase']
type In<P extends Phase> = Extract<State, { phase: P }>

export type Event =
  | ReversalEvent
  | { readonly type: 'sale opened'; readonly terminal: string; readonly order: Order; readonly request: string }
  /** `request` is null when the terminal did not ask: it came back, and may have missed what was said. */
  | {
      readonly type: 'sale asked after'; readonly terminal: string; readonly order: Order; readonly request: string | null
      readonly showing: string | null
    }
  | {
      readonly type: 'close asked'; readonly terminal: string; readonly order: Order; readonly request: string
      readonly reason: CloseReason; readonly showing: string | null
    }
  /** The terminal was told that it is paid, and does not know whether the goods came out. */
  | {
      readonly type: 'goods in doubt'; readonly terminal: string; readonly order: Order; readonly request: string
      readonly showing: string | null
    }
  /** The terminal started anew and knows nothing of this sale. */
  | { readonly type: 'terminal forgot' }
  /** The sweeper came across a charge that carries this sale. */
  | { readonly type: 'charge seen'; readonly terminal: string; readonly order: Order; readonly charge: ChargeSeen }
  | { readonly type: 'dispute seen'; readonly charge: string }
  | { readonly type: 'charge created'; readonly charge: ChargeSeen }
  | { readonly type: 'create refused'; readonly code: string }
  | { readonly type: 'create unanswered' }
  | { readonly type: 'charges found'; readonly charges: readonly ChargeSeen[] }
  | { readonly type: 'find unanswered' }
  | { readonly type: 'code read'; readonly payload: string }
  | { readonly type: 'code unreadable'; readonly because: string }
  | { readonly type: 'code unanswered' }
  | { readonly type: 'charge read'; readonly charge: ChargeSeen }
  | { readonly type: 'expire refused' }
  | { readonly type: 'charge unanswered' }
  | { readonly type: 'hint received' }
  | { readonly type: 'deadline reached' }

/** Calls to the API. Each is done after its intent is durable, and may be done again after a restart. */
export type Effect =
  | ReversalEffect
  | {
      readonly do: 'create charge'; readonly terminal: string; readonly order: Order; readonly attempt: number
      readonly expiresAt: EpochMs
    }
  /** All that carry the sale; the one the terminal shows is read by its name, since a list may lag behind. */
  | { readonly do: 'find charges'; readonly order: Order; readonly since: EpochMs; readonly showing: string | null }
  | { readonly do: 'read code'; readonly charge: string; readonly order: Order }
  | { readonly do: 'read charge'; readonly charge: string }
  | { readonly do: 'expire charge'; readonly charge: string }
  | { readonly do: 'expire orphan'; readonly charge: string }

/** What is said to the terminal; the shell adds version, counter and time, and seals it. */
export type Word =
  | {
      readonly type: 'sale.offer'; readonly re: string | null; readonly order: Order
      readonly charge: string; readonly payload: string; readonly expiresAt: string
    }
  | {
      readonly type: 'sale.verdict'; readonly re: string | null; readonly order: Order
      readonly charge: string | null; readonly ending: Ending
    }
  | {
      readonly type: 'sale.reversed'; readonly re: null; readonly order: Order
      readonly charge: string; readonly amountMinor: number; readonly voided: boolean
    }

export interface Terms {
  /** How long a code may be paid. */
  readonly codeLifetimeMs: number
  /** How long after the code's end the gateway waits for the terminal to ask for the close itself. */
  readonly leaseGraceMs: number
  /** The longest pause between two looks at an open charge whose webhook has not come. */
  readonly pollMs: number
  readonly livemode: boolean
}

export interface Given {
  readonly now: EpochMs
  readonly terms: Terms
  /** Our records may be an old backup: look for charges of a sale before one is made. */
  readonly lookFirst: boolean
}

/** State, words, entries and concerns are committed together; effects follow. */
export interface Step {
  readonly state: State
  readonly effects: readonly Effect[]
  readonly words: readonly Word[]
  readonly entries: readonly Entry[]
  readonly concerns: readonly Concern[]
}

export const RETRY_MS = 3_000
export const RETRY_MS_MAX = 10_000
/** The list of charges may lag behind a create whose answer was lost. */
export const FIND_PAUSE_MS = 1_000
export const FIRST_READ_MS = 2_000
export const CREATES_MAX = 2
/** How far back charges of a sale we know nothing of are looked for, and how far the clocks of a fleet may be apart. */
export const LOOK_BACK_MS = 26 * 3_600_000
export const CLOCKS_APART_MS = 3_600_000

export const initial: State = { phase: 'none' }

export function step(state: State, event: Event, given: Given): Step {
  switch (event.type) {
    case 'goods in doubt':
      return goodsInDoubt(state, event, given)
    case 'refunds listed':
    case 'refunds unanswered':
    case 'refund made':
    case 'refund refused':
    case 'refund unanswered':
      return moneyMoved(state, event, given)
    case 'deadline reached':
      return withReversals(phaseStep(state, event, given), (reversal) => overdue(reversal, given.now))
    case 'sale opened':
    case 'sale asked after':
    case 'close asked':
    case 'terminal forgot':
    case 'charge seen':
    case 'dispute seen':
    case 'charge created':
    case 'create refused':
    case 'create unanswered':
    case 'charges found':
    case 'find unanswered':
    case 'code read':
    case 'code unreadable':
    case 'code unanswered':
    case 'charge read':
    case 'expire refused':
    case 'charge unanswered':
    case 'hint received':
      return phaseStep(state, event, given)
  }
}

type PhaseEvent = Exclude<Event, ReversalEvent | { readonly type: 'goods in doubt' }>

/**
 * Whatever our own records say, a person must look. To us this is a close: a gateway that lost its records must not offer
 * again what was paid once, and the request is answered by the verdict and by nothing else.
 */
function goodsInDoubt(state: State, { type: _, ...said }: Extract<Event, { type: 'goods in doubt' }>, given: Given): Step {
  const next = phaseStep(state, { ...said, type: 'close asked', reason: 'expired' }, given)
  const { sale, amountMinor, currency } = said.order
  const reason = 'paid, and the terminal does not know whether the goods came out'
  return { ...next, concerns: [...next.concerns, { key: `undelivered ${sale}`, charge: said.showing, amountMinor, currency, reason }] }
}

function phaseStep(state: State, event: PhaseEvent, given: Given): Step {
  switch (state.phase) {
    case 'none':      return none(state, event, given)
    case 'intent':    return intent(state, event, given)
    case 'bound':     return bound(state, event, given)
    case 'paid':
    case 'closed':
    case 'exception':
      return ended(state, event, given)
  }
}

/** When the shell must send 'deadline reached', if nothing else happens first. */
export function deadline(state: State): EpochMs | undefined {
  if (state.phase === 'none') return undefined
  const all = [phaseDeadline(state), ...state.reversals.map(reversalDeadline)].filter((at) => at !== undefined)
  return all.length === 0 ? undefined : Math.min(...all)
}

function phaseDeadline(state: Exclude<State, { phase: 'none' }>): EpochMs | undefined {
  switch (state.phase) {
    case 'intent': return state.retryAt
    case 'bound':  return state.closing === undefined ? Math.min(state.readAt, state.leaseEndsAt) : state.readAt
    case 'paid':   return state.refundsAt
    case 'closed':
    case 'exception':
      return undefined
  }
}

/** After a restart: whatever was on its way may or may not have happened, so look. No clock makes a lease longer than it was. */
export function restore(state: State, given: Given): Step {
  return withReversals(restorePhase(state, given), (reversal) => resume(reversal, given.now))
}

function restorePhase(state: State, given: Given): Step {
  switch (state.phase) {
    case 'intent': return find(state, given)
    case 'bound': {
      const codeEndsAt = Math.min(state.codeEndsAt, given.now + given.terms.codeLifetimeMs)
      return look({ ...state, codeEndsAt, leaseEndsAt: Math.min(state.leaseEndsAt, codeEndsAt + given.terms.leaseGraceMs) }, given)
    }
    case 'paid': return state.refundsAt === undefined ? stay(state) : listRefunds(state, given)
    case 'none':
    case 'closed':
    case 'exception':
      return stay(state)
  }
}

function none(state: In<'none'>, event: PhaseEvent, given: Given): Step {
  switch (event.type) {
    case 'sale opened': {
      const { order } = event
      const opened = intentOf(event, { doing: 'creating', creates: 0, since: given.now }, given)
      const refusal = refuseAmount(order.method, { minor: order.amountMinor, currency: order.currency })
      if (refusal !== undefined) return close(opened, null, `refused: ${refusal.reason}`)
      return given.lookFirst ? find({ ...opened, since: mintedAt(order, given), recovered: true }, given) : create(opened, given)
    }
    // A sale we know nothing of: its open was lost on the way, or our own records were. Look before we say unpaid,
    // and keep the answer, so that a late open cannot revive a sale that was given up.
    case 'sale asked after':
    case 'close asked': {
      const closing = { reason: event.type === 'close asked' ? event.reason : 'expired' }
      const asked = intentOf(event, { doing: 'finding', creates: CREATES_MAX, since: mintedAt(event.order, given) }, given)
      return find({ ...asked, closing, showing: event.showing, recovered: true }, given)
    }
    // Our records are lost. What is over without money needs none; the rest is taken up where the API has it.
    case 'charge seen': {
      if (event.charge.status !== 'pending' && !isPaid(event.charge)) return stay(state)
      const since = mintedAt(event.order, given)
      const seen = intentOf({ ...event, request: null }, { doing: 'finding', creates: CREATES_MAX, since }, given)
      return find({ ...seen, recovered: true }, given)
    }
    case 'terminal forgot':
    case 'dispute seen':
    case 'charge created':
    case 'create refused':
    case 'create unanswered':
    case 'charges found':
    case 'find unanswered':
    case 'code read':
    case 'code unreadable':
    case 'code unanswered':
    case 'charge read':
    case 'expire refused':
    case 'charge unanswered':
    case 'hint received':
    case 'deadline reached':
      return stay(state)
  }
}

function intent(state: In<'intent'>, event: PhaseEvent, given: Given): Step {
  switch (event.type) {
    case 'charge created':
      return bind(state, event.charge, [], given)
    case 'create refused':
      return close(state, null, state.closing?.reason ?? `refused: ${event.code}`.slice(0, 64))
    case 'create unanswered':
      return stay({ ...state, doing: 'finding', retryAt: given.now + FIND_PAUSE_MS })
    case 'charges found': {
      const first = choose(event.charges, state.showing)
      if (first !== undefined) return bind(state, first, event.charges.filter(({ id }) => id !== first.id), given)
      if (state.doing === 'creating') return stay(state) // An older look; what it led to is on its way.
      if (state.closing !== undefined) return close(state, null, state.closing.reason)
      if (state.creates >= CREATES_MAX) return close(state, null, 'failed_processing')
      return create(state, given)
    }
    case 'deadline reached':
      return given.now < state.retryAt ? stay(state) : find({ ...state, tries: state.tries + 1 }, given)
    case 'sale opened':
      return stay({ ...state, asked: event.request })
    case 'sale asked after':
      return stay({ ...state, asked: event.request ?? state.asked, showing: event.showing ?? state.showing })
    case 'close asked':
      return stay({
        ...state, asked: event.request, showing: event.showing ?? state.showing, closing: state.closing ?? { reason: event.reason },
      })
    case 'terminal forgot':
      return stay({ ...state, recovered: true, closing: state.closing ?? { reason: 'restarted' } })
    case 'charge seen': // The find that is under way sees all of them.
    case 'dispute seen':
    case 'find unanswered': // The deadline asks again.
    case 'code read':
    case 'code unreadable':
    case 'code unanswered':
    case 'charge read':
    case 'expire refused':
    case 'charge unanswered':
    case 'hint received':
      return stay(state)
  }
}

function bound(state: In<'bound'>, event: PhaseEvent, given: Given): Step {
  switch (event.type) {
    case 'code read': {
      if (state.closing !== undefined || state.payload !== undefined) return stay(state)
      return offer({ ...state, payload: event.payload, readAt: given.now + FIRST_READ_MS }, state.asked)
    }
    case 'code unreadable':
      return expire({ ...state, closing: state.closing ?? { reason: 'code unreadable' } }, given)
    case 'charge read':
    case 'charge seen':
      return event.charge.id === state.charge ? conclude(state, event.charge, given) : extras(state, [event.charge], given)
    case 'expire refused': // It is no longer pending, so it has ended: paid, perhaps. Payment wins over Cancel.
    case 'hint received':
      return { ...stay(state), effects: [{ do: 'read charge', charge: state.charge }] }
    case 'deadline reached':
      if (given.now < (phaseDeadline(state) ?? Infinity)) return stay(state)
      if (state.closing === undefined && given.now >= state.leaseEndsAt) {
        return expire({ ...state, closing: { reason: 'expired' } }, given)
      }
      return look(state, given)
    case 'close asked': {
      const closing = { ...state, asked: event.request, closing: state.closing ?? { reason: event.reason } }
      return isAnother(state.charge, event.showing) ? reconsider(closing, event.showing, given) : expire(closing, given)
    }
    case 'terminal forgot':
      return expire({ ...state, recovered: true, closing: state.closing ?? { reason: 'restarted' } }, given)
    case 'sale opened':
    case 'sale asked after': {
      const asked = { ...state, asked: event.request ?? state.asked }
      if (event.type === 'sale asked after' && isAnother(state.charge, event.showing)) return reconsider(asked, event.showing, given)
      if (state.payload === undefined || state.closing !== undefined) return stay(asked)
      if (given.now < state.codeEndsAt) return offer(state, event.request)
      return expire({ ...asked, closing: { reason: 'expired' } }, given)
    }
    case 'charge created':
      return extras(state, [event.charge], given)
    case 'charges found':
      return extras(state, event.charges, given)
    case 'dispute seen':
    case 'create refused':
    case 'create unanswered':
    case 'find unanswered':
    case 'code unanswered': // The deadline asks again.
    case 'charge unanswered':
      return stay(state)
  }
}

/** What was said stays said: every question gets the same verdict. Money that still moves is followed. */
function ended(state: In<'paid' | 'closed' | 'exception'>, event: PhaseEvent, given: Given): Step {
  switch (event.type) {
    case 'sale opened':
      return verdict(state, event.request)
    case 'sale asked after':
    case 'close asked':
      // Unpaid was said of another charge than the customer sees: the terminal does not believe it, and is right.
      return state.phase === 'closed' && isAnother(state.charge, event.showing)
        ? reconsider({ ...state, asked: event.request, closing: { reason: state.reason } }, event.showing, given)
        : verdict(state, event.request)
    case 'hint received':
      return state.charge === null ? stay(state) : { ...stay(state), effects: [{ do: 'read charge', charge: state.charge }] }
    case 'charge created': // The answer we had given up on.
    case 'charge read':
    case 'charge seen':
      return extras(state, [event.charge], given)
    case 'charges found':
      return extras(state, event.charges, given)
    case 'terminal forgot': {
      if (state.phase !== 'paid' || state.forgotten === true) return stay(state)
      const { charge, order: { amountMinor, currency } } = state
      const reason = 'paid, and the terminal lost its journal: were the goods given?'
      return { ...stay({ ...state, forgotten: true }), concerns: [{ key: `forgotten ${charge}`, charge, amountMinor, currency, reason }] }
    }
    case 'dispute seen': {
      const { amountMinor, currency } = state.order
      const concern = { key: `disputed ${event.charge}`, charge: event.charge, amountMinor, currency, reason: 'the customer disputes the payment' }
      return { ...stay(state), concerns: [concern] }
    }
    case 'create refused':
    case 'create unanswered':
    case 'find unanswered':
    case 'code read':
    case 'code unreadable':
    case 'code unanswered':
    case 'expire refused':
    case 'charge unanswered':
      return stay(state)
    case 'deadline reached':
      return state.phase === 'paid' && given.now >= (state.refundsAt ?? Infinity) ? listRefunds(state, given) : stay(state)
  }
}

/** Of several charges that carry one sale: the one that was paid, or the one a customer sees, or the oldest that can be. */
function choose(charges: readonly ChargeSeen[], showing: string | null): ChargeSeen | undefined {
  return charges.find((charge) => charge.id === showing && isPaid(charge)) ?? charges.find(isPaid)
    ?? charges.find(({ id }) => id === showing) ?? charges.find(({ status }) => status === 'pending') ?? charges[0]
}

const isAnother = (charge: string | null, showing: string | null): showing is string => showing !== null && showing !== charge

/** The terminal shows another charge than we are bound to: our records are older than its. Let the API say what there is. */
function reconsider(
  { terminal, order, asked, reversals, closing }: OfSale & Pick<In<'bound'>, 'closing'>, showing: string, given: Given,
): Step {
  const again = intentOf({ terminal, order, request: asked }, { doing: 'finding', creates: CREATES_MAX, since: mintedAt(order, given) }, given)
  return find({ ...again, reversals, closing, showing }, given)
}

/** When the terminal says it minted the sale (RFC 9562, section 5.7), or a day ago when its clock cannot be right. */
function mintedAt({ sale }: Order, { now }: Given): EpochMs {
  const minted = Number.parseInt(sale.replaceAll('-', '').slice(0, 12), 16)
  return minted > now - LOOK_BACK_MS && minted <= now + CLOCKS_APART_MS ? Math.min(minted, now) - CLOCKS_APART_MS : now - LOOK_BACK_MS
}

function intentOf(
  { terminal, order, request }: { readonly terminal: string; readonly order: Order; readonly request: string | null },
  how: { readonly doing: 'creating' | 'finding'; readonly creates: number; readonly since: EpochMs }, given: Given,
): In<'intent'> {
  return {
    phase: 'intent', terminal, order, asked: request, reversals: [], ...how,
    closing: undefined, showing: null, recovered: false, tries: 0, retryAt: given.now,
  }
}

function create(state: In<'intent'>, given: Given): Step {
  const creates = state.creates + 1
  return {
    ...stay({ ...state, doing: 'creating', creates, recovered: false, retryAt: given.now + 2 * RETRY_MS + given.terms.pollMs }),
    effects: [{
      do: 'create charge', terminal: state.terminal, order: state.order, attempt: creates,
      expiresAt: given.now + given.terms.codeLifetimeMs,
    }],
  }
}

function find(state: In<'intent'>, given: Given): Step {
  return {
    ...stay({ ...state, doing: 'finding', retryAt: given.now + retryPause(state.tries) }),
    effects: [{ do: 'find charges', order: state.order, since: state.since, showing: state.showing }],
  }
}

/** From here on this charge is the sale's charge. Any other that carries the same sale is closed unseen. */
function bind(state: In<'intent'>, charge: ChargeSeen, others: readonly ChargeSeen[], given: Given): Step {
  const { terminal, order, asked, reversals, closing, recovered } = state
  // A code may be paid until its charge expires, or for our own lifetime where the API gave a longer one.
  const ours = given.now + given.terms.codeLifetimeMs
  const codeEndsAt = charge.expiresAt === undefined ? ours : Math.min(Date.parse(charge.expiresAt), ours)
  const next: In<'bound'> = {
    phase: 'bound', terminal, order, asked, reversals, charge: charge.id, payload: undefined, codeEndsAt,
    leaseEndsAt: codeEndsAt + given.terms.leaseGraceMs, closing, recovered, reads: 0, readAt: given.now + RETRY_MS,
  }
  return andThen(bindOne(next, charge, given), (after) => extras(after, others, given))
}

function bindOne(next: In<'bound'>, charge: ChargeSeen, given: Given): Step {
  // Its money is on its way back already: whoever shows it was not paid by it.
  if (next.reversals.some((reversal) => reversal.charge === charge.id)) return close(next, charge.id, next.closing?.reason ?? 'expired')
  if (faultOf(next.order, charge, given.terms) !== undefined || charge.status !== 'pending') return conclude(next, charge, given)
  if (next.closing !== undefined) return expire(next, given)
  return { ...stay(next), effects: [{ do: 'read code', charge: charge.id, order: next.order }] }
}

/** Looks at the charge again, a little later each time; a code that never came is asked for again. */
function look(state: In<'bound'>, given: Given): Step {
  if (state.closing !== undefined) return expire(state, given)
  const reads = state.reads + 1
  const pause = Math.min(FIRST_READ_MS + reads * 500, given.terms.pollMs)
  const next: In<'bound'> = { ...state, reads, readAt: given.now + pause }
  const effects: Effect[] = [{ do: 'read charge', charge: state.charge }]
  if (state.payload === undefined) effects.push({ do: 'read code', charge: state.charge, order: state.order })
  return { ...stay(next), effects }
}

function expire(state: In<'bound'>, given: Given): Step {
  return {
    ...stay({ ...state, reads: state.reads + 1, readAt: given.now + retryPause(state.reads) }),
    effects: [{ do: 'expire charge', charge: state.charge }],
  }
}

/** The only place where a charge's fate is decided, and only from what was read of the charge itself. */
function conclude(state: In<'bound'>, charge: ChargeSeen, given: Given): Step {
  const { terminal, order, asked, reversals, recovered } = state
  const fault = faultOf(order, charge, given.terms)
  if (fault !== undefined) return except(state, charge, fault, given)
  switch (charge.status) {
    case 'successful': {
      if (!isPaid(charge)) return stay(state)
      // Somebody gave it back before it was read. All of it: then it was not paid. A part: nobody here knows what that means.
      if (charge.refundedMinor >= charge.amountMinor) {
        return andThen(close(state, charge.id, 'refunded'), (after) => reverse(after, charge, 'refunded before it was read', given))
      }
      if (charge.refundedMinor > 0) {
        return except(state, charge, `paid, and ${charge.refundedMinor} of it went back before it was read`, given)
      }
      const paidAt = charge.paidAt ?? new Date(given.now).toISOString()
      const next: In<'paid'> = {
        phase: 'paid', terminal, order, asked: null, reversals, charge: charge.id, paidAt, refundedMinor: 0,
      }
      const concerns = recovered ? [concernOf('recovered', charge, 'paid, but records of the sale were lost: were the goods given?')] : []
      return { ...verdict(next, asked), entries: [salePaid(order, charge)], concerns }
    }
    case 'failed':
      return close(state, charge.id, charge.failureCode || 'failed_processing')
    case 'expired':
    case 'reversed':
      return close(state, charge.id, state.closing?.reason ?? 'expired')
    case 'pending':
      return stay(state)
  }
  return stay(state) // A status we do not know: not paid, not closed. Keep looking.
}

/** A charge that is not the one we asked for must not decide a sale. */
function faultOf(order: Order, charge: ChargeSeen, terms: Terms): string | undefined {
  if (charge.amountMinor !== order.amountMinor || charge.currency !== order.currency) {
    return `charge is ${charge.amountMinor} ${charge.currency}, sale is ${order.amountMinor} ${order.currency}`
  }
  if (charge.livemode !== terms.livemode) return `charge livemode is ${charge.livemode}, gateway's is ${terms.livemode}`
  return undefined
}

function close(state: In<'intent' | 'bound'>, charge: string | null, reason: string): Step {
  const { terminal, order, asked, reversals } = state
  return verdict({ phase: 'closed', terminal, order, asked: null, reversals, charge, reason }, asked)
}

/** Nobody here can decide it. Money that came with it is held for a person; what could still be paid is closed. */
function except(state: In<'bound'>, charge: ChargeSeen, reason: string, given: Given): Step {
  const { terminal, order, asked, reversals } = state
  const told: Ending = { outcome: 'unpaid', reason: 'needs attention' }
  const next: In<'exception'> = { phase: 'exception', terminal, order, asked: null, reversals, charge: charge.id, reason, told }
  const said = { ...verdict(next, asked), effects: charge.status === 'pending' ? [expiring(charge)] : [] }
  if (isPaid(charge)) return andThen(said, (after) => sendBack(after, hold(order, charge, reason, given.now)))
  return { ...said, concerns: [concernOf('undecided', charge, reason)] }
}

function offer(state: In<'bound'>, re: string | null): Step {
  const { order, charge, payload, codeEndsAt } = state
  if (payload === undefined) return stay(state)
  return {
    ...stay({ ...state, asked: null }),
    words: [{ type: 'sale.offer', re, order, charge, payload, expiresAt: new Date(codeEndsAt).toISOString() }],
  }
}

function verdict(state: In<'paid' | 'closed' | 'exception'>, re: string | null): Step {
  const { order, charge } = state
  return { ...stay(state), words: [{ type: 'sale.verdict', re, order, charge, ending: endingOf(state) }] }
}

function endingOf(state: In<'paid' | 'closed' | 'exception'>): Ending {
  switch (state.phase) {
    case 'paid':      return { outcome: 'paid', paidAt: state.paidAt }
    case 'closed':    return { outcome: 'unpaid', reason: state.reason }
    case 'exception': return state.told
  }
}

// -- Charges that decide the sale no more ---------------------------------------------------------------------------

/** What was seen of charges after the sale was bound or had ended: what can be paid is closed, money is not kept silently. */
function extras(state: State, charges: readonly ChargeSeen[], given: Given): Step {
  return charges.reduce((so, charge) => andThen(so, (after) => extra(after, charge, given)), stay(state))
}

function extra(state: State, charge: ChargeSeen, given: Given): Step {
  const isOurs = state.phase !== 'none' && state.phase !== 'intent' && state.charge === charge.id
  if (charge.status === 'pending') return isOurs && state.phase === 'bound' ? stay(state) : { ...stay(state), effects: [expiring(charge)] }
  if (!isPaid(charge)) return stay(state)
  switch (state.phase) {
    case 'none':
    case 'intent':
      return stay(state)
    case 'bound':
      return isOurs ? stay(state) : reverse(state, charge, 'paid beside the charge that was shown', given)
    case 'paid':
      return isOurs ? refundsOf(state, charge, given) : reverse(state, charge, 'paid twice', given)
    case 'closed':
      return reverse(state, charge, `paid after the sale had ended (${state.reason})`, given)
    case 'exception':
      return reverse(state, charge, isOurs ? state.reason : 'paid twice', given)
  }
}

/** Refunds made elsewhere, at the dashboard or by a dispute, are no business of ours but for the books. */
const refundsOf = (state: In<'paid'>, charge: ChargeSeen, given: Given): Step =>
  charge.refundedMinor > state.refundedMinor ? listRefunds(state, given) : stay(state)

/** An event that told of them comes once: until the list came, its deadline asks again. */
const listRefunds = (state: In<'paid'>, given: Given): Step =>
  ({ ...stay({ ...state, refundsAt: given.now + ANSWER_MS }), effects: [{ do: 'list refunds', charge: state.charge }] })

/** The money goes back, once; what went back by other hands since is looked at. */
function reverse(state: State, charge: ChargeSeen, why: string, given: Given): Step {
  if (state.phase === 'none') return stay(state)
  const known = state.reversals.find((reversal) => reversal.charge === charge.id)
  if (known === undefined) return sendBack(state, begin(state.order, charge, why, given.now))
  if (known.phase !== 'stuck' || charge.refundedMinor <= known.refundedMinor) return stay(state)
  return { ...stay(state), effects: [{ do: 'list refunds', charge: charge.id }] }
}

function sendBack(state: State, { reversal, effects, entries, concerns }: ReversalStep): Step {
  if (state.phase === 'none') return stay(state)
  return { ...stay({ ...state, reversals: [...state.reversals, reversal] }), effects, entries, concerns }
}

function moneyMoved(state: State, event: ReversalEvent, given: Given): Step {
  if (state.phase === 'none') return stay(state)
  if (state.reversals.some(({ charge }) => charge === event.charge)) {
    return withReversals(stay(state), (reversal) => advance(reversal, state.order, event, given.now))
  }
  if (event.type !== 'refunds listed' || state.phase !== 'paid') return stay(state)
  const { refundsAt: _, ...paid } = state
  const refundedMinor = event.refunds.reduce((sum, { amountMinor }) => sum + amountMinor, 0)
  return {
    ...stay({ ...paid, refundedMinor }),
    entries: event.refunds.map((refund) => refunded(state.order, 'sale', state.order.currency, refund)),
  }
}

/** Takes every reversal a step further; who is told that the money went back is told once. */
function withReversals(from: Step, further: (reversal: Reversal) => ReversalStep): Step {
  const { state } = from
  if (state.phase === 'none' || state.reversals.length === 0) return from
  const { order, reversals } = state
  const steps = reversals.map(further)
  const words = steps.flatMap(({ reversal }, at): Word[] => {
    if (reversal.phase !== 'reversed' || reversals[at]?.phase === 'reversed') return []
    const { charge, amountMinor, voided } = reversal
    return [{ type: 'sale.reversed', re: null, order, charge, amountMinor, voided }]
  })
  const changed = steps.some(({ reversal }, at) => reversal !== reversals[at])
  return {
    state: changed ? { ...state, reversals: steps.map(({ reversal }) => reversal) } : state,
    effects: [...from.effects, ...steps.flatMap(({ effects }) => effects)],
    words: [...from.words, ...words],
    entries: [...from.entries, ...steps.flatMap(({ entries }) => entries)],
    concerns: [...from.concerns, ...steps.flatMap(({ concerns }) => concerns)],
  }
}

const concernOf = (what: string, { id, amountMinor, currency }: ChargeSeen, reason: string): Concern =>
  ({ key: `${what} ${id}`, charge: id, amountMinor, currency, reason })

const isPaid = ({ status, paid }: ChargeSeen): boolean => status === 'successful' && paid

const expiring = ({ id }: ChargeSeen): Effect => ({ do: 'expire orphan', charge: id })

const retryPause = (tries: number): number => Math.min(RETRY_MS * 2 ** Math.min(tries, 8), RETRY_MS_MAX)

/** One step after another, as one. */
function andThen(first: Step, next: (after: State) => Step): Step {
  const { state, effects, words, entries, concerns } = next(first.state)
  return {
    state,
    effects: [...first.effects, ...effects],
    words: [...first.words, ...words],
    entries: [...first.entries, ...entries],
    concerns: [...first.concerns, ...concerns],
  }
}

const stay = (state: State): Step => ({ state, effects: [], words: [], entries: [], concerns: [] })
