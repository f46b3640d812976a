/**
 * The two production reducers, as the model plays them: a step is asked of them once and remembered, with time, and texts
 * for people, projected away. Nothing of them is written again here.
 */
import * as charge from '../../cloud/charge.js'
import type { CloseReason, Ending } from '../../device/protocol/wire.js'
import * as sale from '../../device/sale.js'
import { view } from '../../device/view.js'
import { faultOfDeadline, faultOfGateway, faultOfPanel } from './invariants.js'
import { type Charge, codeOf, NOW, ORDER, seen, TERMINAL } from './omise.js'
import { codeEnded, dueCharges, dueSales, refusedOften, timelessCharge, timelessSale } from './time.js'
import type { Values } from './values.js'

export type Terminal =
  | { readonly power: 'on'; readonly state: sale.State }
  | { readonly power: 'off'; readonly journal: sale.Recorded }
  /** It knows nothing of the sale any more: it is done, or dead for good, or back with an empty disk. */
  | { readonly power: 'over' }

/** A question is under way for ever as soon as there was a code to ask about, so nobody remembers it. */
export type Request =
  | { readonly type: 'open' }
  | { readonly type: 'ask'; readonly charge: string }
  | { readonly type: 'close'; readonly charge: string | null; readonly reason: CloseReason }

/** A word as it is sealed, but for its counter. */
export type Unsealed =
  | { readonly type: 'offer'; readonly re: Request['type'] | null; readonly charge: string; readonly payload: string }
  | { readonly type: 'verdict'; readonly re: Request['type'] | null; readonly charge: string | null; readonly ending: Ending }
  | { readonly type: 'reversed'; readonly re: null; readonly charge: string; readonly amountMinor: number; readonly voided: boolean }

/**
 * `counter` counts how often the gateway turned from offers to verdicts and back: even for offers, odd for verdicts. The
 * terminal only compares a verdict's counter with an offer's, so offers with no verdict between them may share one.
 */
export type Word =
  | { readonly type: 'offer'; readonly charge: string; readonly payload: string; readonly counter: number }
  | {
      readonly type: 'verdict'; readonly re: 'close' | null; readonly charge: string | null
      readonly ending: Ending; readonly counter: number
    }
  | { readonly type: 'reversed'; readonly charge: string; readonly amountMinor: number; readonly voided: boolean }

export const COUNTER_MAX = 7

export interface SaleStep {
  readonly on: Terminal
  /** The same with the power gone after the record and before anything left. */
  readonly cut: Terminal
  readonly changes: boolean
  /** What a customer can scan now. */
  readonly code: string | undefined
  readonly requests: readonly Request[]
  readonly tells: sale.SaleVerdict | undefined
  readonly fault: string | undefined
}

export interface ChargeStep {
  readonly before: charge.State
  readonly state: charge.State
  readonly effects: readonly charge.Effect[]
  readonly words: readonly Unsealed[]
  /** As the store keeps them, each under its key. */
  readonly posted: readonly (readonly [key: string, lines: string])[]
  readonly concerns: readonly string[]
  readonly fault: string | undefined
}

const SALE: sale.Sale = {
  id: ORDER.sale, nonce: ORDER.nonce, amount: { minor: ORDER.amountMinor, currency: ORDER.currency }, method: ORDER.method,
  askedBy: 'register',
}
const TERMS: charge.Terms = { codeLifetimeMs: 120_000, leaseGraceMs: 30_000, pollMs: 5_000, livemode: false }
const SALE_GIVEN: sale.Given = {
  now: NOW, freshId: SALE.id, freshNonce: SALE.nonce, terms: { currency: SALE.amount.currency, method: SALE.method }, notReady: undefined,
}
const OF_SALE = { terminal: TERMINAL, order: ORDER } as const
const REQUEST_IDS: Readonly<Record<Request['type'], string>> = {
  open: `${ORDER.sale}.open`, ask: `${ORDER.sale}.ask.1`, close: sale.closeRequestOf(SALE),
}
const requestOf = (id: string | null): Request['type'] | null =>
  (Object.keys(REQUEST_IDS) as Request['type'][]).find((type) => REQUEST_IDS[type] === id) ?? null

/** Said at any time, about nothing in particular: one object each, so that a step can be looked up by it. */
export const TERMINAL_EVENTS = {
  asked: { type: 'amount asked', amount: SALE.amount },
  cancelled: { type: 'cancel pressed' },
  notShown: { type: 'code not shown', sale: SALE.id },
  told: { type: 'outcome told', sale: SALE.id },
  linked: { type: 'link restored' },
} as const satisfies Record<string, sale.Event>

export const GATEWAY_EVENTS = {
  hello: { type: 'sale asked after', ...OF_SALE, request: null, showing: null },
  forgot: { type: 'terminal forgot' },
  hint: { type: 'hint received' },
  createRefused: { type: 'create refused', code: 'invalid_charge' },
  createUnanswered: { type: 'create unanswered' },
  findUnanswered: { type: 'find unanswered' },
  chargeUnanswered: { type: 'charge unanswered' },
  expireRefused: { type: 'expire refused' },
  codeUnreadable: { type: 'code unreadable', because: 'two codes' },
  codeUnanswered: { type: 'code unanswered' },
} as const satisfies Record<string, charge.Event>

export type Machines = ReturnType<typeof createMachines>

/** `reasons`: the reasons of endings are told apart. Neither machine looks at them. */
export function createMachines({ one }: Values, { reasons }: { readonly reasons: boolean }) {
  const plain = <T>(value: T): T => one(reasons ? value : JSON.parse(JSON.stringify(value), withoutReason) as T)

  // -- The terminal -----------------------------------------------------------------------------------------------------

  const saleStep = (before: sale.State | undefined, { state, effects }: sale.Step): SaleStep => {
    const after = plain(timelessSale(state))
    const screen = view(after, { notReady: undefined, codeFault: false }, NOW)
    return {
      on: one({ power: 'on', state: after }), cut: one({ power: 'off', journal: sale.record(after) }),
      changes: after !== before || effects.length > 0,
      code: screen.screen === 'scan to pay' ? screen.payload : undefined,
      requests: effects.flatMap((effect) => plain(requestsIn(effect))),
      tells: effects.flatMap((effect) => (effect.do === 'tell outcome' ? [plain(effect.verdict)] : []))[0],
      fault: faultOfPanel(after, screen),
    }
  }
  const terminalTakes = twice((state: sale.State, event: sale.Event) => saleStep(state, sale.step(state, event, SALE_GIVEN)))
  const terminalRestarts = once((journal: sale.Recorded): SaleStep => {
    const step = saleStep(undefined, sale.restore(journal, SALE_GIVEN))
    return blamed(step, step.code === undefined ? undefined : 'D1: a code is on the panel after a restart')
  })
  const saleDeadlines = once((state: sale.State) =>
    dueSales(state).map(([name, due]) => {
      const step = sale.step(due, { type: 'deadline reached' }, SALE_GIVEN)
      return [name, blamed(saleStep(state, step), faultOfDeadline(sale.deadline(step.state)))] as const
    }))
  const heardWord = twice((word: Word, late: boolean): sale.Event => wordHeard(word, late))

  /** Whatever comes, this word will never change anything at this terminal. */
  const isDeafTo = twice((terminal: Terminal, word: Word): boolean => statesAhead(terminal, word).every((state) => [false, true].every((late) =>
    one(timelessSale(sale.step(state, wordHeard(word, late), SALE_GIVEN).state)) === one(timelessSale(state)))))

  // -- The gateway ------------------------------------------------------------------------------------------------------

  const chargeStep = (before: charge.State, event: charge.Event | 'restarted', step: charge.Step): ChargeStep => ({
    before, state: plain(withoutAsk(timelessCharge(step.state))), effects: step.effects,
    words: step.words.map((word) => plain(unsealed(word))),
    posted: step.entries.map(({ key, lines }) => [key, lines.map(({ account, minor }) => `${account} ${minor}`).join(', ')]),
    concerns: step.concerns.map(({ key }) => key),
    fault: faultOfGateway(before, event, step),
  })
  const given = (lookFirst: boolean): charge.Given => ({ now: NOW, terms: TERMS, lookFirst })
  const takes = (lookFirst: boolean) =>
    twice((state: charge.State, event: charge.Event) => chargeStep(state, event, charge.step(state, event, given(lookFirst))))

  return {
    terminalTakes, terminalRestarts, saleDeadlines, heardWord, isDeafTo,
    withoutPower: once((state: sale.State): Terminal => one({ power: 'off', journal: sale.record(state) })),
    gatewayTakes: takes(true),
    /** Long after its start. */
    gatewayTakesBlindly: takes(false),
    /** It takes up a sale that waits for something. */
    gatewayRestarts: once((state: charge.State) =>
      charge.deadline(state) === undefined ? undefined : chargeStep(state, 'restarted', charge.restore(state, given(true)))),
    chargeDeadlines: once((state: charge.State) => dueCharges(state).map(([name, due]) => {
      const event: charge.Event = { type: 'deadline reached' }
      const step = charge.step(due, event, given(true))
      return [name, blamed(chargeStep(state, event, step), faultOfDeadline(charge.deadline(step.state)))] as const
    })),
    codeEnded: once((state: charge.State) => codeEnded(state)),
    refusedOften: once((state: charge.State) => refusedOften(state)),
    requestHeard: once((request: Request): charge.Event => requestHeard(request)),
    chargeCreated: once((made: Charge): charge.Event => ({ type: 'charge created', charge: seen(made, 0) })),
    chargeRead: twice((read: Charge, chapter: number): charge.Event => ({ type: 'charge read', charge: seen(read, chapter) })),
    codeRead: once((id: string): charge.Event => ({ type: 'code read', payload: codeOf(id) })),
    chargeSeen: once((each: Charge): charge.Event => ({ type: 'charge seen', ...OF_SALE, charge: seen(each) })),
  }
}

function wordHeard(word: Word, late: boolean): sale.Event {
  switch (word.type) {
    case 'offer': {
      const { charge, payload, counter } = word
      return { type: 'offer received', order: ORDER, charge, payload, counter, lifetimeMs: late ? 0 : TERMS.codeLifetimeMs }
    }
    case 'verdict': {
      const { charge, ending, counter, re } = word
      return { type: 'verdict received', order: ORDER, re: re === null ? null : REQUEST_IDS[re], charge, ending, counter }
    }
    case 'reversed': {
      const { charge, amountMinor, voided } = word
      return { type: 'reversal received', order: ORDER, charge, amountMinor, voided, counter: COUNTER_MAX, ageMs: 0 }
    }
  }
}

function requestsIn(effect: sale.Effect): readonly Request[] {
  switch (effect.do) {
    case 'open sale':      return [{ type: 'open' }]
    case 'ask after sale': return [{ type: 'ask', charge: effect.charge }]
    case 'close sale':     return [{ type: 'close', charge: effect.charge, reason: effect.doubt }]
    case 'let goods out': // The box of the model lets nothing out.
    case 'report undelivered':
    case 'tell outcome':
    case 'refuse':
    case 'discard word':
      return []
  }
}

function requestHeard(said: Request): charge.Event {
  const request = REQUEST_IDS[said.type]
  switch (said.type) {
    case 'open':  return { type: 'sale opened', ...OF_SALE, request }
    case 'ask':   return { type: 'sale asked after', ...OF_SALE, request, showing: said.charge }
    case 'close': return { type: 'close asked', ...OF_SALE, request, showing: said.charge, reason: said.reason }
  }
}

function unsealed(said: charge.Word): Unsealed {
  const re = requestOf(said.re)
  switch (said.type) {
    case 'sale.offer':    return { type: 'offer', re, charge: said.charge, payload: said.payload }
    case 'sale.verdict':  return { type: 'verdict', re, charge: said.charge, ending: said.ending }
    case 'sale.reversed': return { type: 'reversed', re: null, charge: said.charge, amountMinor: said.amountMinor, voided: said.voided }
  }
}

/** Questions have no reply to keep -- each has an id of its own -- so nobody needs to know which of them is answered. */
const withoutAsk = (state: charge.State): charge.State =>
  state.phase !== 'none' && state.asked === REQUEST_IDS.ask ? { ...state, asked: null } : state

/** Texts for people. A terminal's doubt is one of five words. */
function withoutReason(name: string, value: unknown): unknown {
  if (typeof value !== 'string') return value
  if (name === 'reason' || name === 'why') return 'it is over'
  return name === 'doubt' ? 'cancelled' : value
}

const blamed = <S extends { readonly fault: string | undefined }>(step: S, fault: string | undefined): S =>
  ({ ...step, fault: step.fault ?? fault })

// -- What a terminal may still come to, as far as words go ----------------------------------------------------------------

function statesAhead(terminal: Terminal, word: Word): readonly sale.State[] {
  switch (terminal.power) {
    case 'on':   return ahead(terminal.state, word)
    case 'off':  return ahead(sale.restore(terminal.journal, SALE_GIVEN).state, word)
    case 'over': return [sale.initial]
  }
}

function ahead(state: sale.State, word: Word): readonly sale.State[] {
  const endings: readonly Ending[] = [{ outcome: 'paid', paidAt: new Date(NOW).toISOString() }, { outcome: 'unpaid', reason: 'cancelled' }]
  const ends: readonly sale.State[] = [sale.initial, ...endings.flatMap((ending) => [true, false].map((told): sale.State =>
    ({ phase: 'settled', sale: SALE, verdict: { ending, charge: word.charge }, told, clearAt: NOW })))]
  const resolving = (offer: sale.OfferedCode | undefined): sale.State =>
    ({ phase: 'resolving', sale: SALE, doubt: 'cancelled', offer, tries: 1, retryAt: NOW })
  switch (state.phase) {
    case 'idle':       return [state]
    case 'opening':    return [state, resolving(undefined), ...ends]
    case 'presenting': return [state, resolving(state.offer), ...ends]
    case 'resolving':  return [state, ...ends]
    case 'delivering': return [state, ...ends]
    case 'settled':    return [state, { ...state, told: true }, sale.initial]
  }
}

// -- Remembering --------------------------------------------------------------------------------------------------------

function once<A, R>(work: (a: A) => R): (a: A) => R {
  const known = new Map<A, R>()
  return (a) => {
    const before = known.get(a)
    if (before !== undefined || known.has(a)) return before as R // It was put there as an R.
    const result = work(a)
    known.set(a, result)
    return result
  }
}

function twice<A, B, R>(work: (a: A, b: B) => R): (a: A, b: B) => R {
  const of = once((a: A) => once((b: B) => work(a, b)))
  return (a, b) => of(a)(b)
}
