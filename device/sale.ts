/**
 * One sale, from the first key to the customer's answer. Pure: no clock, no randomness, no I/O, no logger.
 *
 *   idle -> opening -> presenting -> resolving -> settled -> idle
 *
 * The gateway decides whether money moved; the terminal only relays. Once a charge may exist a sale ends on the
 * gateway's verdict and on nothing else. Power cut, lost reply, expired code, Cancel: all lead to `resolving`,
 * the one state for doubt, and only a verdict leads out of it.
 */
import { type Amount, amountFromDigits, AMOUNT_DIGITS_MAX } from './protocol/money.js'
import { type AmountRefusal, type PaymentMethodName, refuseAmount } from './protocol/payment-method.js'
import { checkPayload } from './protocol/payload.js'
import { type CloseReason, type Ending, NEEDS_ATTENTION, type Order } from './protocol/wire.js'

/** Milliseconds on a clock that never goes backwards. Meaningless after a restart. */
export type Millis = number

/** Who asked for the money, and so who is told how it ended. */
export type AskedBy = 'keypad' | 'register'

export interface Sale {
  /** UUIDv7, minted here and carried by every message, retry and reboot; it reaches the payment API as metadata. */
  readonly id: string
  /** 128 bits, hexadecimal; binds the gateway's words to this sale. */
  readonly nonce: string
  readonly amount: Amount
  readonly method: PaymentMethodName
  readonly askedBy: AskedBy
}

/** A charge's code as the gateway sealed it. */
export interface OfferedCode {
  readonly charge: string
  readonly payload: string
  readonly counter: number
}

export type Doubt = CloseReason

export interface SaleVerdict {
  readonly ending: Ending
  readonly charge: string | null
}

export type State =
  | { readonly phase: 'idle'; readonly digits: string; readonly notice?: Notice }
  | { readonly phase: 'opening'; readonly sale: Sale; readonly retryAt: Millis; readonly giveUpAt: Millis }
  | {
      readonly phase: 'presenting'; readonly sale: Sale; readonly offer: OfferedCode
      readonly endsAt: Millis; readonly asks: number; readonly askAt: Millis
    }
  | {
      readonly phase: 'resolving'; readonly sale: Sale; readonly doubt: Doubt; readonly offer: OfferedCode | undefined
      readonly tries: number; readonly retryAt: Millis
    }
  | {
      readonly phase: 'settled'; readonly sale: Sale; readonly verdict: SaleVerdict
      readonly told: boolean; readonly clearAt: Millis
      /** The register does not take its answer: whoever looks at the panel by now is somebody else. */
      readonly overdue?: true
    }

export type Phase = State['phase']
type In<P extends Phase> = Extract<State, { phase: P }>

/** What is said for a while before the next amount is asked for: why a sale was not started, or that money went back. */
export type Notice =
  | { readonly type: 'refused'; readonly refusal: Refusal; readonly clearAt: Millis }
  | { readonly type: 'reversed'; readonly reversal: Reversal; readonly clearAt: Millis }

/** Money that came too late for a sale and has gone back. */
export interface Reversal {
  readonly sale: string
  readonly charge: string
  readonly amount: Amount
  /** Undone before settlement; otherwise refunded, which takes days. */
  readonly voided: boolean
}

export type NotReady = 'link down' | 'no charging' | 'panel fault' | 'journal fault' | 'starting'

export type Refusal =
  | AmountRefusal
  | { readonly reason: 'not ready'; readonly because: NotReady; readonly text: string }
  | { readonly reason: 'busy'; readonly text: string }
  | { readonly reason: 'not an amount'; readonly text: string }

/** The binding that every word of the gateway carries, opened and validated but not yet believed. */
interface Bound {
  readonly order: Order
  readonly counter: number
}

export type Event =
  | { readonly type: 'digit pressed'; readonly digit: string }
  | { readonly type: 'clear pressed' }
  | { readonly type: 'enter pressed' }
  | { readonly type: 'cancel pressed' }
  | { readonly type: 'amount asked'; readonly amount: Amount }
  | Bound & { readonly type: 'offer received'; readonly charge: string; readonly payload: string; readonly lifetimeMs: number }
  /** `re` names the request of ours that this answers; null when the gateway spoke by itself. */
  | Bound & { readonly type: 'verdict received'; readonly re: string | null; readonly charge: string | null; readonly ending: Ending }
  | Bound & {
      readonly type: 'reversal received'; readonly charge: string; readonly amountMinor: number; readonly voided: boolean
      /** Since the gateway sealed it. */
      readonly ageMs: number
    }
  | { readonly type: 'code not shown'; readonly sale: string }
  | { readonly type: 'outcome told'; readonly sale: string }
  /** What was asked while it was down was lost: ask again now, whatever pause was left. */
  | { readonly type: 'link restored' }
  | { readonly type: 'deadline reached' }

/** Commands to the world. Each names its sale and means the same thing twice. */
export type Effect =
  | { readonly do: 'open sale'; readonly sale: Sale }
  | { readonly do: 'ask after sale'; readonly sale: Sale; readonly charge: string; readonly asks: number }
  | { readonly do: 'close sale'; readonly sale: Sale; readonly charge: string | null; readonly doubt: Doubt }
  | { readonly do: 'tell outcome'; readonly sale: Sale; readonly verdict: SaleVerdict }
  | { readonly do: 'refuse'; readonly askedBy: AskedBy; readonly amount: Amount | undefined; readonly refusal: Refusal }
  | { readonly do: 'discard word'; readonly sale: string; readonly because: Distrust }

/** Why a properly signed word of the gateway was not believed. */
export type Distrust =
  | 'another sale' | 'another nonce' | 'another amount' | 'another method' | 'another charge' | 'no charge'
  | 'an older word' | 'out of turn' | 'too late'

export interface Terms {
  readonly currency: Amount['currency']
  readonly method: PaymentMethodName
}

/** What the shell knows and the core may not look up. */
export interface Given {
  readonly now: Millis
  readonly freshId: string
  readonly freshNonce: string
  readonly terms: Terms
  /** Undefined when a sale started now could also be finished (rule 12 of the design). */
  readonly notReady: NotReady | undefined
}

export interface Step {
  readonly state: State
  readonly effects: readonly Effect[]
}

export const RETRY_MS = 2_000
export const RETRY_MS_MAX = 10_000
export const OPENING_MS = 15_000
export const ASK_MS = 10_000
export const SETTLED_MS = 10_000
export const NOTICE_MS = 5_000
export const REVERSED_MS = 15_000
/** Who paid too late has walked away by now; a word this old may also be somebody's replay. */
export const REVERSED_AGE_MS_MAX = 300_000

export const initial: State = { phase: 'idle', digits: '' }

export function step(state: State, event: Event, given: Given): Step {
  switch (state.phase) {
    case 'idle':       return idle(state, event, given)
    case 'opening':    return opening(state, event, given)
    case 'presenting': return presenting(state, event, given)
    case 'resolving':  return resolving(state, event, given)
    case 'settled':    return settled(state, event, given)
  }
}

/** When the shell must send 'deadline reached', if nothing else happens first. */
export function deadline(state: State): Millis | undefined {
  switch (state.phase) {
    case 'idle':       return state.notice?.clearAt
    case 'opening':    return Math.min(state.retryAt, state.giveUpAt)
    case 'presenting': return Math.min(state.askAt, state.endsAt)
    case 'resolving':  return state.retryAt
    case 'settled':    return state.clearAt
  }
}

/** What the journal keeps of a state: no digits, no deadlines -- neither means anything after a restart. */
export type Recorded =
  | { readonly phase: 'idle' }
  | { readonly phase: 'opening'; readonly sale: Sale }
  | { readonly phase: 'presenting'; readonly sale: Sale; readonly offer: OfferedCode }
  | { readonly phase: 'resolving'; readonly sale: Sale; readonly doubt: Doubt; readonly offer?: OfferedCode | undefined }
  | { readonly phase: 'settled'; readonly sale: Sale; readonly verdict: SaleVerdict; readonly told: boolean }

export function record(state: State): Recorded {
  switch (state.phase) {
    case 'idle':       return { phase: 'idle' }
    case 'opening':    return { phase: 'opening', sale: state.sale }
    case 'presenting': return { phase: 'presenting', sale: state.sale, offer: state.offer }
    case 'resolving':  return { phase: 'resolving', sale: state.sale, doubt: state.doubt, offer: state.offer }
    case 'settled':    return { phase: 'settled', sale: state.sale, verdict: state.verdict, told: state.told }
  }
}

/**
 * The first step after power-up. Whatever the journal holds, only the gateway knows how the sale went on.
 * A settled sale whose outcome may not have been told is told again: power may have gone in between.
 */
export function restore(recorded: Recorded, given: Given): Step {
  switch (recorded.phase) {
    case 'idle':       return stay(initial)
    case 'opening':    return resolve(recorded.sale, 'restarted', undefined, given)
    case 'presenting': return resolve(recorded.sale, 'restarted', recorded.offer, given)
    case 'resolving':  return resolve(recorded.sale, recorded.doubt, recorded.offer, given)
    case 'settled':    return recorded.told ? stay(initial) : settle(recorded.sale, recorded.verdict, given)
  }
}

function idle(state: In<'idle'>, event: Event, given: Given): Step {
  switch (event.type) {
    case 'digit pressed': {
      if (!/^[0-9]$/.test(event.digit)) return stay(state)
      const digits = (state.digits + event.digit).replace(/^0+/, '')
      return stay({ phase: 'idle', digits: digits.length > AMOUNT_DIGITS_MAX ? state.digits : digits })
    }
    case 'clear pressed':
    case 'cancel pressed':
      return stay(initial)
    case 'enter pressed': {
      if (state.digits === '') return stay(state)
      return ask('keypad', amountFromDigits(state.digits, given.terms.currency), given)
    }
    case 'amount asked':
      return ask('register', event.amount, given)
    case 'deadline reached':
      if (state.notice === undefined || given.now < state.notice.clearAt) return stay(state)
      return stay({ phase: 'idle', digits: state.digits })
    case 'reversal received':
      return state.digits === '' ? noticeReversal(state, event, given) : discard(state, event, 'out of turn')
    case 'offer received':   // An answer to a sale that has already ended.
    case 'verdict received':
      return discard(state, event, 'another sale')
    case 'code not shown':
    case 'outcome told':
    case 'link restored':
      return stay(state)
  }
}

function opening(state: In<'opening'>, event: Event, given: Given): Step {
  switch (event.type) {
    case 'offer received': {
      const distrust = distrustOf(event, state.sale, undefined)
      if (distrust !== undefined) return discard(state, event, distrust)
      const offer: OfferedCode = { charge: event.charge, payload: event.payload, counter: event.counter }
      if (event.lifetimeMs <= 0) return resolve(state.sale, 'expired', offer, given)
      // The gateway looked too; what is drawn for a customer to scan is looked at twice.
      if (checkPayload(state.sale.method, event.payload, state.sale.amount) !== undefined) {
        return resolve(state.sale, 'code not shown', offer, given)
      }
      return stay({
        phase: 'presenting', sale: state.sale, offer,
        endsAt: given.now + event.lifetimeMs, asks: 0, askAt: given.now + ASK_MS,
      })
    }
    case 'verdict received':
      return believe(state, event, undefined, given)
    case 'cancel pressed':
      return resolve(state.sale, 'cancelled', undefined, given)
    case 'deadline reached':
      if (given.now >= state.giveUpAt) return resolve(state.sale, 'no answer', undefined, given)
      if (given.now < state.retryAt) return stay(state)
      return open(state.sale, state.giveUpAt, given)
    case 'link restored':
      return open(state.sale, state.giveUpAt, given)
    case 'amount asked':
      return busy(state, event.amount, state.sale)
    case 'reversal received':
      return discard(state, event, 'out of turn')
    case 'digit pressed':
    case 'clear pressed':
    case 'enter pressed':
    case 'code not shown':
    case 'outcome told':
      return stay(state)
  }
}

function presenting(state: In<'presenting'>, event: Event, given: Given): Step {
  switch (event.type) {
    case 'verdict received':
      // This sale ended, but not by the charge on the panel: take the code away, and tell the gateway what stood here.
      if (distrustOf(event, state.sale, state.offer) === 'another charge') return resolve(state.sale, 'expired', state.offer, given)
      return believe(state, event, state.offer, given)
    case 'cancel pressed':
      return resolve(state.sale, 'cancelled', state.offer, given)
    case 'code not shown':
      return event.sale === state.sale.id ? resolve(state.sale, 'code not shown', state.offer, given) : stay(state)
    case 'deadline reached': {
      if (given.now >= state.endsAt) return resolve(state.sale, 'expired', state.offer, given)
      return given.now < state.askAt ? stay(state) : askAfter(state, given)
    }
    case 'link restored':
      return askAfter(state, given)
    case 'offer received': { // The same offer again: a retry's answer, or "still open" to our question.
      const distrust = distrustOf(event, state.sale, state.offer)
      return distrust === undefined ? stay(state) : discard(state, event, distrust)
    }
    case 'reversal received':
      return discard(state, event, 'out of turn')
    case 'amount asked':
      return busy(state, event.amount, state.sale)
    case 'digit pressed':
    case 'clear pressed':
    case 'enter pressed':
    case 'outcome told':
      return stay(state)
  }
}

function resolving(state: In<'resolving'>, event: Event, given: Given): Step {
  switch (event.type) {
    case 'verdict received':
      return event.re === closeRequestOf(state.sale) ? takeAnswer(state, event, given) : believe(state, event, state.offer, given)
    case 'deadline reached':
      return given.now < state.retryAt ? stay(state) : closeAgain(state, given)
    case 'link restored':
      return closeAgain(state, given)
    case 'offer received': // Too late: the code is never shown again once there was doubt.
    case 'reversal received':
      return discard(state, event, 'out of turn')
    case 'amount asked':
      return busy(state, event.amount, state.sale)
    case 'cancel pressed':
    case 'digit pressed':
    case 'clear pressed':
    case 'enter pressed':
    case 'code not shown':
    case 'outcome told':
      return stay(state)
  }
}

function askAfter(state: In<'presenting'>, { now }: Given): Step {
  const asks = state.asks + 1
  return {
    state: { ...state, asks, askAt: now + ASK_MS },
    effects: [{ do: 'ask after sale', sale: state.sale, charge: state.offer.charge, asks }],
  }
}

function closeAgain(state: In<'resolving'>, { now }: Given): Step {
  const tries = state.tries + 1
  const waitMs = Math.min(RETRY_MS * 2 ** Math.min(tries - 1, 8), RETRY_MS_MAX)
  return { state: { ...state, tries, retryAt: now + waitMs }, effects: [closing(state)] }
}

function settled(state: In<'settled'>, event: Event, given: Given): Step {
  switch (event.type) {
    case 'outcome told':
      if (event.sale !== state.sale.id) return stay(state)
      return stay({ ...state, told: true, clearAt: state.overdue ? given.now : state.clearAt })
    case 'deadline reached':
      if (given.now < state.clearAt) return stay(state)
      return state.told ? stay(initial) : tellAgain(state, given)
    case 'clear pressed':
    case 'cancel pressed':
    case 'enter pressed':
      return stay(state.told ? initial : state)
    case 'digit pressed': // The next customer is already being served.
      return state.told ? idle({ phase: 'idle', digits: '' }, event, given) : stay(state)
    case 'amount asked':
      return state.told ? ask('register', event.amount, given) : busy(state, event.amount, undefined)
    case 'reversal received': { // PAID stays PAID: a charge too many that went back does not undo the sale.
      const turn = state.told && state.verdict.ending.outcome === 'unpaid'
      const distrust = turn ? distrustOf(event, state.sale, undefined) : 'out of turn'
      return distrust === undefined ? noticeReversal(state, event, given) : discard(state, event, distrust)
    }
    case 'verdict received': // The same verdict again. A different one would change an answer already given.
    case 'offer received':
      return discard(state, event, 'out of turn')
    case 'code not shown':
    case 'link restored':
      return stay(state)
  }
}

/**
 * The customer who paid too late may still stand there. A terminal without a sale remembers none to compare with: the
 * seal, which names this terminal, and the word's age are enough for a notice, since nothing is released or decided by it.
 */
function noticeReversal(state: In<'idle' | 'settled'>, event: Extract<Event, { type: 'reversal received' }>, given: Given): Step {
  if (event.ageMs > REVERSED_AGE_MS_MAX) return discard(state, event, 'too late')
  const { order: { sale, currency }, charge, amountMinor, voided } = event
  const reversal: Reversal = { sale, charge, amount: { minor: amountMinor, currency }, voided }
  return stay({ phase: 'idle', digits: '', notice: { type: 'reversed', reversal, clearAt: given.now + REVERSED_MS } })
}

/** A sale begins only if the method can charge it and the terminal could also finish it. */
function ask(askedBy: AskedBy, amount: Amount | undefined, given: Given): Step {
  const refusal = refusalOf(amount, given)
  if (amount === undefined || refusal !== undefined) {
    const told = refusal ?? { reason: 'not an amount', text: 'not an amount' }
    return {
      state: { phase: 'idle', digits: '', notice: { type: 'refused', refusal: told, clearAt: given.now + NOTICE_MS } },
      effects: [{ do: 'refuse', askedBy, amount, refusal: told }],
    }
  }
  const sale: Sale = { id: given.freshId, nonce: given.freshNonce, amount, method: given.terms.method, askedBy }
  return open(sale, given.now + OPENING_MS, given)
}

function refusalOf(amount: Amount | undefined, { notReady, terms }: Given): Refusal | undefined {
  if (notReady !== undefined) return { reason: 'not ready', because: notReady, text: `terminal not ready: ${notReady}` }
  if (amount === undefined) return { reason: 'not an amount', text: 'not an amount' }
  return refuseAmount(terms.method, amount)
}

function open(sale: Sale, giveUpAt: Millis, given: Given): Step {
  return {
    state: { phase: 'opening', sale, retryAt: given.now + RETRY_MS, giveUpAt },
    effects: [{ do: 'open sale', sale }],
  }
}

function resolve(sale: Sale, doubt: Doubt, offer: OfferedCode | undefined, given: Given): Step {
  const state: In<'resolving'> = { phase: 'resolving', sale, doubt, offer, tries: 1, retryAt: given.now + RETRY_MS }
  return { state, effects: [closing(state)] }
}

/** Names the request, the same in every retry and after every restart. */
export const closeRequestOf = (sale: Sale): string => `${sale.id}.close`

const closing = ({ sale, doubt, offer }: In<'resolving'>): Effect =>
  ({ do: 'close sale', sale, charge: offer?.charge ?? null, doubt })

/** A verdict ends the sale if it is about this very sale, nonce, amount and charge (if one is given), and no older than it. */
function believe(
  state: In<'opening' | 'presenting' | 'resolving'>,
  event: Extract<Event, { type: 'verdict received' }>,
  offer: OfferedCode | undefined,
  given: Given,
): Step {
  const distrust = distrustOf(event, state.sale, offer)
  if (distrust !== undefined) return discard(state, event, distrust)
  if (event.ending.outcome === 'paid' && event.charge === null) return discard(state, event, 'no charge') // Paid with what?
  return settle(state.sale, { ending: event.ending, charge: event.charge }, given)
}

/**
 * Our close named the charge we were offered, so its answer is newer than the offer and given in full knowledge of it. A
 * gateway that lost its records may hold another charge of this sale, or none: a verdict about ours would never come.
 * If it says unpaid, what became of the one that was offered is still not said: a person must look.
 */
function takeAnswer(state: In<'resolving'>, event: Extract<Event, { type: 'verdict received' }>, given: Given): Step {
  const unsaid = event.ending.outcome === 'unpaid' && state.offer !== undefined && event.charge !== state.offer.charge
  const ending: Ending = unsaid ? { outcome: 'unpaid', reason: NEEDS_ATTENTION } : event.ending
  return believe(state, { ...event, ending }, undefined, given)
}

function distrustOf(
  word: Bound & { readonly charge: string | null }, sale: Sale, offer: OfferedCode | undefined,
): Distrust | undefined {
  if (word.order.sale !== sale.id) return 'another sale'
  if (word.order.nonce !== sale.nonce) return 'another nonce'
  if (word.order.amountMinor !== sale.amount.minor || word.order.currency !== sale.amount.currency) return 'another amount'
  if (word.order.method !== sale.method) return 'another method'
  if (offer !== undefined && word.counter < offer.counter) return 'an older word'
  if (offer !== undefined && word.charge !== offer.charge) return 'another charge'
  return undefined
}

function settle(sale: Sale, verdict: SaleVerdict, given: Given): { readonly state: In<'settled'>; readonly effects: readonly Effect[] } {
  return {
    state: { phase: 'settled', sale, verdict, told: false, clearAt: given.now + SETTLED_MS },
    effects: [{ do: 'tell outcome', sale, verdict }],
  }
}

/** A keypad's customer is told by the panel itself, so there the ending stays until it could be read. */
function tellAgain({ sale, verdict }: In<'settled'>, given: Given): Step {
  const again = settle(sale, verdict, given)
  return sale.askedBy === 'keypad' ? again : { ...again, state: { ...again.state, overdue: true } }
}

/** A register that repeats its own request waits for its answer; one that asks for something else is told we are busy. */
function busy(state: State, amount: Amount, sale: Sale | undefined): Step {
  if (sale?.askedBy === 'register' && sale.amount.minor === amount.minor) return stay(state)
  const refusal: Refusal = { reason: 'busy', text: 'busy with another sale' }
  return { state, effects: [{ do: 'refuse', askedBy: 'register', amount, refusal }] }
}

const discard = (state: State, event: Bound, because: Distrust): Step =>
  ({ state, effects: [{ do: 'discard word', sale: event.order.sale, because }] })

const stay = (state: State): Step => ({ state, effects: [] })
