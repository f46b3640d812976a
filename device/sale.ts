/**
 * One sale, from the first key to the customer's answer. Pure: no clock, no randomness, no I/O, no logger.
 *
 *   idle -> opening -> presenting -> resolving -> settled -> idle
 *                                             \-> delivering -/          where goods are let out once it is paid
 *
 * The gateway decides whether money moved; the terminal only relays. Once a charge may exist a sale ends on the
 * gateway's verdict and on nothing else. Power cut, lost reply, expired code, Cancel: all lead to `resolving`,
 * the one state for doubt, and only a verdict leads out of it.
 */
import { type Amount, amountFromKeys, formatAmount, typeDigits, typePoint } from './protocol/money.js'
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
  | {
      /** The keys as typed: digits, and perhaps one point among them. */
      readonly phase: 'idle'; readonly digits: string; readonly notice?: Notice
      /** Enter was pressed on an unusual amount: it counts when it is pressed once more, after `from` and before `until`. */
      readonly confirm?: { readonly from: Millis; readonly until: Millis }
    }
  | { readonly phase: 'opening'; readonly sale: Sale; readonly retryAt: Millis; readonly giveUpAt: Millis }
  | {
      readonly phase: 'presenting'; readonly sale: Sale; readonly offer: OfferedCode
      readonly endsAt: Millis; readonly asks: number; readonly askAt: Millis
    }
  | {
      readonly phase: 'resolving'; readonly sale: Sale; readonly doubt: Doubt; readonly offer: OfferedCode | undefined
      readonly tries: number; readonly retryAt: Millis
      /** Who paid may still stand there. Undefined where no goods are let out, or none for this sale any more. */
      readonly goodsUntil?: Millis
    }
  /** Paid, and the goods are on their way out. Once recorded, nothing lets them out a second time. */
  | { readonly phase: 'delivering'; readonly sale: Sale; readonly verdict: SaleVerdict; readonly endsAt: Millis }
  | {
      readonly phase: 'settled'; readonly sale: Sale; readonly verdict: SaleVerdict
      readonly told: boolean; readonly clearAt: Millis
      /** Paid, and nobody knows whether the goods came out: the gateway is told until it has noted that on its list. */
      readonly undelivered?: { readonly noted: boolean; readonly tries: number; readonly retryAt: Millis }
      /** The register does not take its answer, or the panel cannot show it: whoever stands there by now is somebody else. */
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

/** A part of the box without which nothing can be asked for, or nothing handed out. */
export type PartFault = 'keypad fault' | 'buttons fault' | 'register fault' | 'release fault'
export type NotReady = 'link down' | 'no charging' | 'panel fault' | 'journal fault' | 'starting' | PartFault

export type Refusal =
  | AmountRefusal
  /** This box lets goods out by pulses: one for each `stepMinor`, and no more of them than `maxMinor` is. */
  | { readonly reason: 'not in pulses'; readonly stepMinor: number; readonly maxMinor: number; readonly text: string }
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
  | { readonly type: 'point pressed' }
  | { readonly type: 'clear pressed' }
  | { readonly type: 'enter pressed' }
  | { readonly type: 'cancel pressed' }
  /** A button with a price was pressed. */
  | { readonly type: 'product chosen'; readonly price: Amount }
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
  /** `known`: they came out, as far as this box can tell. */
  | { readonly type: 'goods let out'; readonly sale: string; readonly known: boolean }
  /** What was asked while it was down was lost: ask again now, whatever pause was left. */
  | { readonly type: 'link restored' }
  | { readonly type: 'deadline reached' }

/** Commands to the world. Each names its sale and means the same thing twice. */
export type Effect =
  | { readonly do: 'open sale'; readonly sale: Sale }
  | { readonly do: 'ask after sale'; readonly sale: Sale; readonly charge: string; readonly asks: number }
  | { readonly do: 'close sale'; readonly sale: Sale; readonly charge: string | null; readonly doubt: Doubt }
  | { readonly do: 'let goods out'; readonly sale: Sale; readonly pulses: number }
  | { readonly do: 'report undelivered'; readonly sale: Sale; readonly charge: string | null }
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
  /** Minor units; amounts typed outside of it are asked about once more. */
  readonly usual?: { readonly fromMinor: number; readonly toMinor: number } | undefined
  /** How this box lets goods out. */
  readonly release?: ReleaseTerms | undefined
}

export interface ReleaseTerms {
  /** One pulse whatever the amount is, or one for each `perMinor` of it. */
  readonly pulses: 'one' | { readonly perMinor: number; readonly max: number }
  /** By then the box knows how it went, or it is not known. */
  readonly withinMs: number
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
/** A second Enter within this is the first one once more; without one by the end of the wait, nothing was confirmed. */
export const CONFIRM_MS = 700
export const CONFIRM_MS_MAX = 20_000
/** Who was in doubt for longer than this has walked away; the next to stand there paid nothing. */
export const GOODS_MS = 300_000
/** How long the reference can be read once the gateway knows that goods may be missing. */
export const UNDELIVERED_MS = 30_000

export const initial: State = { phase: 'idle', digits: '' }

export function step(state: State, event: Event, given: Given): Step {
  switch (state.phase) {
    case 'idle':       return idle(state, event, given)
    case 'opening':    return opening(state, event, given)
    case 'presenting': return presenting(state, event, given)
    case 'resolving':  return resolving(state, event, given)
    case 'delivering': return delivering(state, event, given)
    case 'settled':    return settled(state, event, given)
  }
}

/** When the shell must send 'deadline reached', if nothing else happens first. */
export function deadline(state: State): Millis | undefined {
  switch (state.phase) {
    case 'idle':       return earliest(state.notice?.clearAt, state.confirm?.until)
    case 'opening':    return Math.min(state.retryAt, state.giveUpAt)
    case 'presenting': return Math.min(state.askAt, state.endsAt)
    case 'resolving':  return state.retryAt
    case 'delivering': return state.endsAt
    case 'settled':    return settledDeadline(state)
  }
}

const settledDeadline = ({ told, clearAt, undelivered }: In<'settled'>): Millis | undefined => {
  const isNoted = undelivered?.noted ?? true
  return earliest(told && !isNoted ? undefined : clearAt, isNoted ? undefined : undelivered?.retryAt)
}

const earliest = (a: Millis | undefined, b: Millis | undefined): Millis | undefined => (a === undefined || b === undefined ? a ?? b : Math.min(a, b))

/** What the journal keeps of a state: no digits, no deadlines -- neither means anything after a restart. */
export type Recorded =
  | { readonly phase: 'idle' }
  | { readonly phase: 'opening'; readonly sale: Sale }
  | { readonly phase: 'presenting'; readonly sale: Sale; readonly offer: OfferedCode }
  | { readonly phase: 'resolving'; readonly sale: Sale; readonly doubt: Doubt; readonly offer?: OfferedCode | undefined }
  | { readonly phase: 'delivering'; readonly sale: Sale; readonly verdict: SaleVerdict }
  | { readonly phase: 'settled'; readonly sale: Sale; readonly verdict: SaleVerdict; readonly told: boolean; readonly undelivered?: true }

export function record(state: State): Recorded {
  switch (state.phase) {
    case 'idle':       return { phase: 'idle' }
    case 'opening':    return { phase: 'opening', sale: state.sale }
    case 'presenting': return { phase: 'presenting', sale: state.sale, offer: state.offer }
    case 'resolving':  return { phase: 'resolving', sale: state.sale, doubt: state.doubt, offer: state.offer }
    case 'delivering': return { phase: 'delivering', sale: state.sale, verdict: state.verdict }
    case 'settled': {
      const { sale, verdict, told, undelivered } = state
      return { phase: 'settled', sale, verdict, told, ...(undelivered?.noted === false ? { undelivered: true } : {}) }
    }
  }
}

/**
 * The first step after power-up. Whatever the journal holds, only the gateway knows how the sale went on.
 * A settled sale whose outcome may not have been told is told again: power may have gone in between. Goods that were on
 * their way out may be out: they are not let out again, and a person must look.
 */
export function restore(recorded: Recorded, given: Given): Step {
  switch (recorded.phase) {
    case 'idle':       return stay(initial)
    case 'opening':    return resume(recorded.sale, 'restarted', undefined, given)
    case 'presenting': return resume(recorded.sale, 'restarted', recorded.offer, given)
    case 'resolving':  return resume(recorded.sale, recorded.doubt, recorded.offer, given)
    case 'delivering': return undeliver(settle(recorded.sale, recorded.verdict, given), given)
    case 'settled': {
      const { sale, verdict, told, undelivered } = recorded
      if (undelivered === true) return undeliver(told ? settledAndTold(sale, verdict, given) : settle(sale, verdict, given), given)
      return told ? stay(initial) : settle(sale, verdict, given)
    }
  }
}

function idle(state: In<'idle'>, event: Event, given: Given): Step {
  switch (event.type) {
    case 'digit pressed':
      return stay({ phase: 'idle', digits: typeDigits(state.digits, event.digit, given.terms.currency) })
    case 'point pressed':
      return stay({ phase: 'idle', digits: typePoint(state.digits, given.terms.currency) })
    case 'clear pressed':
    case 'cancel pressed':
      return stay(initial)
    case 'enter pressed':
      return state.digits === '' ? stay(state) : enter(state, given)
    case 'product chosen':
      return ask('keypad', event.price, given)
    case 'amount asked':
      return ask('register', event.amount, given)
    case 'deadline reached':
      if (state.confirm !== undefined && given.now >= state.confirm.until) return stay(initial)
      if (state.notice === undefined || given.now < state.notice.clearAt) return stay(state)
      return stay({ phase: 'idle', digits: state.digits })
    case 'reversal received':
      return state.digits === '' ? noticeReversal(state, event, given) : discard(state, event, 'out of turn')
    case 'offer received':   // An answer to a sale that has already ended.
    case 'verdict received':
      return discard(state, event, 'another sale')
    case 'code not shown':
    case 'outcome told':
    case 'goods let out':
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
    case 'point pressed':
    case 'clear pressed':
    case 'enter pressed':
    case 'product chosen':
    case 'code not shown':
    case 'outcome told':
    case 'goods let out':
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
    case 'point pressed':
    case 'clear pressed':
    case 'enter pressed':
    case 'product chosen':
    case 'outcome told':
    case 'goods let out':
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
    case 'point pressed':
    case 'clear pressed':
    case 'enter pressed':
    case 'product chosen':
    case 'code not shown':
    case 'outcome told':
    case 'goods let out':
      return stay(state)
  }
}

/** Nothing stops goods that are on their way; what is asked meanwhile waits. */
function delivering(state: In<'delivering'>, event: Event, given: Given): Step {
  switch (event.type) {
    case 'goods let out': {
      if (event.sale !== state.sale.id) return stay(state)
      const ended = settle(state.sale, state.verdict, given)
      return event.known ? ended : undeliver(ended, given)
    }
    case 'deadline reached':
      return given.now < state.endsAt ? stay(state) : undeliver(settle(state.sale, state.verdict, given), given)
    case 'amount asked':
      return busy(state, event.amount, state.sale)
    case 'offer received':
    case 'verdict received':
    case 'reversal received':
      return discard(state, event, 'out of turn')
    case 'cancel pressed':
    case 'digit pressed':
    case 'point pressed':
    case 'clear pressed':
    case 'enter pressed':
    case 'product chosen':
    case 'code not shown':
    case 'outcome told':
    case 'link restored':
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
  const isNoted = state.undelivered?.noted ?? true
  const done = state.told && isNoted
  switch (event.type) {
    case 'outcome told':
      if (event.sale !== state.sale.id) return stay(state)
      return stay({ ...state, told: true, clearAt: toldUntil(state, given) })
    case 'deadline reached': {
      if (done) return given.now < state.clearAt ? stay(state) : stay(initial)
      const told = state.told || given.now < state.clearAt ? { state, effects: [] } : tellAgain(state, given)
      if (isNoted || given.now < (state.undelivered?.retryAt ?? 0)) return told
      const reported = undeliverAgain(told.state, given)
      return { state: reported.state, effects: [...told.effects, ...reported.effects] }
    }
    case 'link restored':
      return isNoted ? stay(state) : undeliverAgain(state, given)
    case 'clear pressed':
    case 'cancel pressed':
    case 'enter pressed':
      return stay(done ? initial : state)
    case 'digit pressed': // The next customer is already being served.
    case 'point pressed':
    case 'product chosen':
      return done ? idle({ phase: 'idle', digits: '' }, event, given) : stay(state)
    case 'amount asked':
      return done ? ask('register', event.amount, given) : busy(state, event.amount, undefined)
    case 'reversal received': { // PAID stays PAID: a charge too many that went back does not undo the sale.
      const turn = done && state.verdict.ending.outcome === 'unpaid'
      const distrust = turn ? distrustOf(event, state.sale, undefined) : 'out of turn'
      return distrust === undefined ? noticeReversal(state, event, given) : discard(state, event, distrust)
    }
    case 'verdict received': {
      const answersUs = state.undelivered?.noted === false && event.re === undeliveredRequestOf(state.sale)
      if (!answersUs || distrustOf(event, state.sale, undefined) !== undefined) return discard(state, event, 'out of turn')
      return stay({ ...state, undelivered: { ...state.undelivered, noted: true }, clearAt: given.now + UNDELIVERED_MS })
    }
    // The same verdict again, or late. A different one would change an answer already given.
    case 'offer received':
      return discard(state, event, 'out of turn')
    case 'code not shown':
    case 'goods let out':
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

/** An unusual amount is asked about: 250.00 is easily typed as 2500.00. Enter that bounces confirms nothing. */
function enter(state: In<'idle'>, given: Given): Step {
  const amount = amountFromKeys(state.digits, given.terms.currency)
  if (amount === undefined || isUsual(amount, given) || refusalOf(amount, given) !== undefined) return ask('keypad', amount, given)
  if (state.confirm === undefined || given.now >= state.confirm.until) {
    return stay({ phase: 'idle', digits: state.digits, confirm: { from: given.now + CONFIRM_MS, until: given.now + CONFIRM_MS_MAX } })
  }
  return given.now < state.confirm.from ? stay(state) : ask('keypad', amount, given)
}

const isUsual = ({ minor }: Amount, { terms: { usual } }: Given): boolean =>
  usual === undefined || (minor >= usual.fromMinor && minor <= usual.toMinor)

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
  return refuseAmount(terms.method, amount) ?? (terms.release === undefined ? undefined : refusePulses(amount, terms.release))
}

/** Money that cannot be handed out for in whole pulses is not asked for. */
export function refusePulses(amount: Amount, { pulses }: Pick<ReleaseTerms, 'pulses'>): Refusal | undefined {
  if (pulses === 'one') return undefined
  const { perMinor, max } = pulses
  const maxMinor = perMinor * max
  if (amount.minor % perMinor === 0 && amount.minor <= maxMinor) return undefined
  const [step, most] = [perMinor, maxMinor].map((minor) => formatAmount({ ...amount, minor }))
  return { reason: 'not in pulses', stepMinor: perMinor, maxMinor, text: `${formatAmount(amount)} is not in steps of ${step}, up to ${most}` }
}

const pulsesOf = ({ minor }: Amount, { pulses }: ReleaseTerms): number => (pulses === 'one' ? 1 : Math.floor(minor / pulses.perMinor))

function open(sale: Sale, giveUpAt: Millis, given: Given): Step {
  return {
    state: { phase: 'opening', sale, retryAt: given.now + RETRY_MS, giveUpAt },
    effects: [{ do: 'open sale', sale }],
  }
}

function resolve(sale: Sale, doubt: Doubt, offer: OfferedCode | undefined, given: Given): Step {
  const goods = given.terms.release === undefined ? {} : { goodsUntil: given.now + GOODS_MS }
  const state: In<'resolving'> = { phase: 'resolving', sale, doubt, offer, tries: 1, retryAt: given.now + RETRY_MS, ...goods }
  return { state, effects: [closing(state)] }
}

/** After a restart nobody knows how long the power was away, and who stands there now: no goods are let out for this sale. */
function resume(sale: Sale, doubt: Doubt, offer: OfferedCode | undefined, given: Given): Step {
  return resolve(sale, doubt, offer, { ...given, terms: { ...given.terms, release: undefined } })
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
  const verdict: SaleVerdict = { ending: event.ending, charge: event.charge }
  return event.ending.outcome === 'paid' ? deliver(state, verdict, given) : settle(state.sale, verdict, given)
}

/** At most once a sale: what is recorded with this step is not done again after a restart. */
function deliver(state: In<'opening' | 'presenting' | 'resolving'>, verdict: SaleVerdict, given: Given): Step {
  const { release } = given.terms
  const { sale } = state
  if (release === undefined) return settle(sale, verdict, given)
  if (state.phase === 'resolving' && given.now >= (state.goodsUntil ?? 0)) return undeliver(settle(sale, verdict, given), given)
  return {
    state: { phase: 'delivering', sale, verdict, endsAt: given.now + release.withinMs },
    effects: [{ do: 'let goods out', sale, pulses: pulsesOf(sale.amount, release) }],
  }
}

/** Paid, and nobody knows whether the goods came out: a person must look, and the next sale waits until one will. */
function undeliver({ state, effects }: Settled, given: Given): Step {
  const { sale, verdict: { charge } } = state
  return {
    state: { ...state, undelivered: { noted: false, tries: 1, retryAt: given.now + RETRY_MS } },
    effects: [...effects, { do: 'report undelivered', sale, charge }],
  }
}

function undeliverAgain(state: In<'settled'>, { now }: Given): Settled {
  const tries = (state.undelivered?.tries ?? 0) + 1
  const waitMs = Math.min(RETRY_MS * 2 ** Math.min(tries - 1, 8), RETRY_MS_MAX)
  return {
    state: { ...state, undelivered: { noted: false, tries, retryAt: now + waitMs } },
    effects: [{ do: 'report undelivered', sale: state.sale, charge: state.verdict.charge }],
  }
}

/** Names the request, the same in every retry and after every restart. */
export const undeliveredRequestOf = (sale: Sale): string => `${sale.id}.undelivered`

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

interface Settled extends Step {
  readonly state: In<'settled'>
}

function settle(sale: Sale, verdict: SaleVerdict, given: Given): Settled {
  return {
    state: { phase: 'settled', sale, verdict, told: false, clearAt: given.now + SETTLED_MS },
    effects: [{ do: 'tell outcome', sale, verdict }],
  }
}

/** After a restart: whoever asked has its answer, and a register would take a second one for that of its next sale. */
const settledAndTold = (sale: Sale, verdict: SaleVerdict, given: Given): Settled =>
  ({ state: { ...settle(sale, verdict, given).state, told: true }, effects: [] })

/** What a register was told late is nobody's news any more; what a panel could show only now is. */
function toldUntil({ sale, clearAt, overdue }: In<'settled'>, { now }: Given): Millis {
  if (overdue !== true) return clearAt
  return sale.askedBy === 'keypad' ? now + SETTLED_MS : now
}

/** A keypad's customer is told by the panel itself, so there the ending stays until it could be read. */
function tellAgain({ sale, verdict, undelivered }: In<'settled'>, given: Given): Settled {
  const again = settle(sale, verdict, given)
  const kept = undelivered === undefined ? {} : { undelivered }
  return { ...again, state: { ...again.state, ...kept, ...(sale.askedBy === 'keypad' && given.notReady !== 'panel fault' ? {} : { overdue: true as const }) } }
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
