/**
 * One sale as the gateway sees it: the life of its charge at the payment API. Pure; the twin of device/sale.ts.
 *
 *   none -> intent -> bound -> paid | closed        and from anywhere, when a person must look: exception
 *
 * Omise has no idempotency key. So the intent is durable before a charge is asked for; a charge whose answer was lost
 * is looked for by its metadata before another is asked for; one charge is bound and only its code is ever offered.
 * Paid and unpaid are read from the API, never concluded: a webhook, a Cancel and a timeout are reasons to read.
 */
import { refuseAmount } from '../device/protocol/payment-method.js'
import type { CloseReason, Ending, Order } from '../device/protocol/wire.js'
import { type Entry, latePayment, salePaid } from './ledger.js'

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
      readonly since: EpochMs
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
      readonly reads: number
      readonly readAt: EpochMs
    }
  | OfSale & { readonly phase: 'paid'; readonly charge: string; readonly paidAt: string }
  | OfSale & {
      readonly phase: 'closed'
      readonly charge: string | null
      readonly reason: string
      /** A hint that was not yet followed by a read: money may have come after all. */
      readonly look?: { readonly tries: number; readonly at: EpochMs }
    }
  | OfSale & { readonly phase: 'exception'; readonly charge: string | null; readonly reason: string; readonly told: Ending }

export type Phase = State['phase']
type In<P extends Phase> = Extract<State, { phase: P }>

export type Event =
  | { readonly type: 'sale opened'; readonly terminal: string; readonly order: Order; readonly request: string }
  /** `request` is null when the terminal did not ask: it came back, and may have missed what was said. */
  | { readonly type: 'sale asked after'; readonly terminal: string; readonly order: Order; readonly request: string | null }
  | {
      readonly type: 'close asked'; readonly terminal: string; readonly order: Order; readonly request: string
      readonly reason: CloseReason
    }
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
  | {
      readonly do: 'create charge'; readonly terminal: string; readonly order: Order; readonly attempt: number
      readonly expiresAt: EpochMs
    }
  | { readonly do: 'find charges'; readonly order: Order; readonly since: EpochMs }
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
}

/** State, words and entries are committed together; effects follow. */
export interface Step {
  readonly state: State
  readonly effects: readonly Effect[]
  readonly words: readonly Word[]
  readonly entries: readonly Entry[]
}

export const RETRY_MS = 3_000
/** The list of charges may lag behind a create whose answer was lost. */
export const FIND_PAUSE_MS = 1_000
export const FIRST_READ_MS = 2_000
export const CREATES_MAX = 2
/** Reads after one hint at a sale that had ended: 3 s, 6 s, 12 s ... apart. */
export const LOOKS_MAX = 11

export const initial: State = { phase: 'none' }

export function step(state: State, event: Event, given: Given): Step {
  switch (state.phase) {
    case 'none':      return none(state, event, given)
    case 'intent':    return intent(state, event, given)
    case 'bound':     return bound(state, event, given)
    case 'closed':    return closed(state, event, given)
    case 'paid':
    case 'exception':
      return decided(state, event)
  }
}

/** When the shell must send 'deadline reached', if nothing else happens first. */
export function deadline(state: State): EpochMs | undefined {
  switch (state.phase) {
    case 'intent': return state.retryAt
    case 'bound':  return state.closing === undefined ? Math.min(state.readAt, state.leaseEndsAt) : state.readAt
    case 'closed': return state.look?.at
    case 'none':
    case 'paid':
    case 'exception':
      return undefined
  }
}

/** After a restart: whatever was on its way may or may not have happened, so look. */
export function restore(state: State, given: Given): Step {
  switch (state.phase) {
    case 'intent': return find(state, given)
    case 'bound':  return look(state, given)
    case 'none':
    case 'paid':
    case 'closed':
    case 'exception':
      return stay(state)
  }
}

function none(state: In<'none'>, event: Event, given: Given): Step {
  switch (event.type) {
    case 'sale opened': {
      const { terminal, order, request } = event
      const opened: In<'intent'> = {
        phase: 'intent', terminal, order, asked: request,
        doing: 'creating', creates: 0, closing: undefined, since: given.now, retryAt: given.now,
      }
      const refusal = refuseAmount(order.method, { minor: order.amountMinor, currency: order.currency })
      return refusal === undefined ? create(opened, given) : close(opened, null, `refused: ${refusal.reason}`)
    }
    // A sale we know nothing of: its open was lost on the way, or our own records were. Look before we say unpaid,
    // and keep the answer, so that a late open cannot revive a sale that was given up.
    case 'sale asked after':
    case 'close asked': {
      const { terminal, order, request } = event
      const reason = event.type === 'close asked' ? event.reason : 'expired'
      return find({
        phase: 'intent', terminal, order, asked: request,
        doing: 'finding', creates: CREATES_MAX, closing: { reason }, since: given.now - given.terms.codeLifetimeMs - 3_600_000,
        retryAt: given.now,
      }, given)
    }
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

function intent(state: In<'intent'>, event: Event, given: Given): Step {
  switch (event.type) {
    case 'charge created':
      return bind(state, event.charge, [], given)
    case 'create refused':
      return close(state, null, state.closing?.reason ?? `refused: ${event.code}`.slice(0, 64))
    case 'create unanswered':
      return stay({ ...state, doing: 'finding', retryAt: given.now + FIND_PAUSE_MS })
    case 'charges found': {
      // The oldest, unless the customer paid for another: our own records may be the ones that were lost.
      const first = event.charges.find(isPaid) ?? event.charges[0]
      if (first !== undefined) return bind(state, first, event.charges.filter(({ id }) => id !== first.id), given)
      if (state.doing === 'creating') return stay(state) // An older look; what it led to is on its way.
      if (state.closing !== undefined) return close(state, null, state.closing.reason)
      if (state.creates >= CREATES_MAX) return close(state, null, 'failed_processing')
      return create(state, given)
    }
    case 'deadline reached':
      return given.now < state.retryAt ? stay(state) : find(state, given)
    case 'sale opened':
    case 'sale asked after':
      return stay({ ...state, asked: event.request ?? state.asked })
    case 'close asked':
      return stay({ ...state, asked: event.request, closing: state.closing ?? { reason: event.reason } })
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

function bound(state: In<'bound'>, event: Event, given: Given): Step {
  switch (event.type) {
    case 'code read': {
      if (state.closing !== undefined || state.payload !== undefined) return stay(state)
      return offer({ ...state, payload: event.payload, readAt: given.now + FIRST_READ_MS }, state.asked)
    }
    case 'code unreadable':
      return expire({ ...state, closing: state.closing ?? { reason: 'code unreadable' } }, given)
    case 'charge read':
      return event.charge.id === state.charge ? conclude(state, event.charge, given) : stay(state)
    case 'expire refused': // It is no longer pending, so it has ended: paid, perhaps. Payment wins over Cancel.
      return { ...stay(state), effects: [{ do: 'read charge', charge: state.charge }] }
    case 'hint received':
      return { ...stay(state), effects: [{ do: 'read charge', charge: state.charge }] }
    case 'deadline reached':
      if (given.now < (deadline(state) ?? Infinity)) return stay(state)
      if (state.closing === undefined && given.now >= state.leaseEndsAt) {
        return expire({ ...state, closing: { reason: 'expired' } }, given)
      }
      return look(state, given)
    case 'close asked':
      return expire({ ...state, asked: event.request, closing: state.closing ?? { reason: event.reason } }, given)
    case 'sale opened':
    case 'sale asked after':
      if (state.payload === undefined || state.closing !== undefined) return stay({ ...state, asked: event.request ?? state.asked })
      if (given.now < state.codeEndsAt) return offer(state, event.request)
      return expire({ ...state, asked: event.request ?? state.asked, closing: { reason: 'expired' } }, given)
    case 'charge created':
      return orphans(state, [event.charge])
    case 'charges found':
      return orphans(state, event.charges)
    case 'create refused':
    case 'create unanswered':
    case 'find unanswered':
    case 'code unanswered': // The deadline asks again.
    case 'charge unanswered':
      return stay(state)
  }
}

/** What was said stays said: every question gets the same verdict. */
function decided(state: In<'paid' | 'exception'>, event: Event): Step {
  switch (event.type) {
    case 'sale opened':
    case 'sale asked after':
    case 'close asked':
      return verdict(state, event.request)
    case 'charge created':
      return orphans(state, [event.charge])
    case 'charges found':
      return orphans(state, event.charges)
    case 'create refused':
    case 'create unanswered':
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

function closed(state: In<'closed'>, event: Event, given: Given): Step {
  switch (event.type) {
    case 'sale opened':
    case 'sale asked after':
    case 'close asked':
      return verdict(state, event.request)
    case 'hint received':
      return lookAgain(state, 1, given)
    case 'deadline reached':
      return state.look === undefined || given.now < state.look.at ? stay(state) : lookAgain(state, state.look.tries + 1, given)
    case 'charge created': // The answer we had given up on.
      return late(state, [event.charge])
    case 'charge read':
      return late(event.charge.id === state.charge ? looked(state) : state, [event.charge])
    case 'charges found':
      return late(state, event.charges)
    case 'create refused':
    case 'create unanswered':
    case 'find unanswered':
    case 'code read':
    case 'code unreadable':
    case 'code unanswered':
    case 'expire refused':
    case 'charge unanswered': // The deadline asks again.
      return stay(state)
  }
}

/** Until the charge was read, or it is plain that nobody will ever answer: more than an hour, later and later. */
function lookAgain(state: In<'closed'>, tries: number, given: Given): Step {
  if (state.charge === null || tries > LOOKS_MAX) return stay(looked(state))
  return {
    ...stay({ ...state, look: { tries, at: given.now + RETRY_MS * 2 ** (tries - 1) } }),
    effects: [{ do: 'read charge', charge: state.charge }],
  }
}

function looked(state: In<'closed'>): In<'closed'> {
  if (state.look === undefined) return state // The very same: what changed nothing is not written again.
  const { look: _, ...rest } = state
  return rest
}

function create(state: In<'intent'>, given: Given): Step {
  const creates = state.creates + 1
  return {
    ...stay({ ...state, doing: 'creating', creates, retryAt: given.now + 2 * RETRY_MS + given.terms.pollMs }),
    effects: [{
      do: 'create charge', terminal: state.terminal, order: state.order, attempt: creates,
      expiresAt: given.now + given.terms.codeLifetimeMs,
    }],
  }
}

function find(state: In<'intent'>, given: Given): Step {
  return {
    ...stay({ ...state, doing: 'finding', retryAt: given.now + RETRY_MS }),
    effects: [{ do: 'find charges', order: state.order, since: state.since }],
  }
}

/** From here on this charge is the sale's charge. Any other that carries the same sale is closed unseen. */
function bind(state: In<'intent'>, charge: ChargeSeen, others: readonly ChargeSeen[], given: Given): Step {
  const { terminal, order, asked, closing } = state
  const unseen = expiring(others)
  // A code may be paid until its charge expires, or for our own lifetime where the API gave a longer one.
  const ours = given.now + given.terms.codeLifetimeMs
  const codeEndsAt = charge.expiresAt === undefined ? ours : Math.min(Date.parse(charge.expiresAt), ours)
  const next: In<'bound'> = {
    phase: 'bound', terminal, order, asked, charge: charge.id, payload: undefined, codeEndsAt,
    leaseEndsAt: codeEndsAt + given.terms.leaseGraceMs, closing, reads: 0, readAt: given.now + RETRY_MS,
  }
  const fault = faultOf(order, charge, given.terms)
  if (fault !== undefined) {
    return { ...except(next, fault), effects: expiring([charge, ...others]) }
  }
  if (charge.status !== 'pending') return withEffects(conclude(next, charge, given), unseen)
  if (closing !== undefined) return withEffects(expire(next, given), unseen)
  return { ...stay(next), effects: [{ do: 'read code', charge: charge.id, order }, ...unseen] }
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
    ...stay({ ...state, readAt: given.now + RETRY_MS }),
    effects: [{ do: 'expire charge', charge: state.charge }],
  }
}

/** The only place where a charge's fate is decided, and only from what was read of the charge itself. */
function conclude(state: In<'bound'>, charge: ChargeSeen, given: Given): Step {
  const fault = faultOf(state.order, charge, given.terms)
  if (fault !== undefined) return withEffects(except(state, fault), charge.status === 'pending' ? expiring([charge]) : [])
  const { terminal, order, asked } = state
  switch (charge.status) {
    case 'successful': {
      if (!isPaid(charge)) return stay(state)
      if (charge.refundedMinor > 0) return except(state, `paid, and ${charge.refundedMinor} of it went back before it was read`)
      const paidAt = charge.paidAt ?? new Date(given.now).toISOString()
      const next: In<'paid'> = { phase: 'paid', terminal, order, asked: null, charge: charge.id, paidAt }
      return { ...verdict(next, asked), entries: [salePaid(order, charge)] }
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
  const { terminal, order, asked } = state
  return verdict({ phase: 'closed', terminal, order, asked: null, charge, reason }, asked)
}

function except(state: In<'bound'>, reason: string): Step {
  const { terminal, order, asked, charge } = state
  const told: Ending = { outcome: 'unpaid', reason: 'needs attention' }
  return verdict({ phase: 'exception', terminal, order, asked: null, charge, reason, told }, asked)
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

/** What a create or a look brought after another charge of this sale was bound. Its code is never shown. */
function orphans(state: In<'bound' | 'paid' | 'exception'>, charges: readonly ChargeSeen[]): Step {
  return { ...stay(state), effects: expiring(charges.filter(({ id }) => id !== state.charge)) }
}

/** What was read of the charges of a sale that had ended unpaid: what can be paid is closed, and money is not kept silently. */
function late(state: In<'closed'>, charges: readonly ChargeSeen[]): Step {
  const [first, ...more] = charges.filter(isPaid)
  const effects = expiring(charges.filter(({ status }) => status === 'pending'))
  if (first === undefined) return { ...stay(state), effects }
  return {
    ...stay({
      ...looked(state), phase: 'exception', charge: first.id,
      reason: `paid after it was closed (${state.reason})`, told: { outcome: 'unpaid', reason: state.reason },
    }),
    effects,
    entries: [first, ...more].map((charge) => latePayment(state.order, charge)),
  }
}

const isPaid = ({ status, paid }: ChargeSeen): boolean => status === 'successful' && paid

const expiring = (charges: readonly ChargeSeen[]): readonly Effect[] =>
  charges.map(({ id }) => ({ do: 'expire orphan', charge: id }))

const withEffects = (from: Step, more: readonly Effect[]): Step => ({ ...from, effects: [...from.effects, ...more] })

const stay = (state: State): Step => ({ state, effects: [], words: [], entries: [] })
