/**
 * Plays events at charge.ts as the shell does -- deadlines ring by themselves -- and writes down what was said and done.
 */
import {
  type ChargeSeen, deadline, type Effect, type Event, initial, restore, type State, step, type Step, type Terms, type Word,
} from '../../cloud/charge.js'
import type { Charge } from '../../cloud/omise.js'
import type { RefundSeen } from '../../cloud/reversal.js'
import type { Order } from '../../device/protocol/wire.js'

/** 2026-03-01T12:00:00Z; stories count from here. */
export const START = Date.parse('2026-03-01T12:00:00Z')

export const terms: Terms = { codeLifetimeMs: 120_000, leaseGraceMs: 30_000, pollMs: 5_000, livemode: false }

export const order: Order = {
  sale: '0195f0a0-0000-7000-8000-000000000001', nonce: '0123456789abcdef0123456789abcdef',
  amountMinor: 2500, currency: 'THB', method: 'alipayplus_mpm',
}

export const CODE = 'https://qr.example/code-of-a'

export const moment = (ms: number): string => new Date(START + ms).toISOString()

/** A charge of the story's sale as the API shows it: pending, and ending with its code. */
export const charge = (id: string, changed: Partial<ChargeSeen> = {}): ChargeSeen => ({
  id, amountMinor: 2500, currency: 'THB', status: 'pending', paid: false, livemode: false, expiresAt: moment(120_000),
  paidAt: undefined, failureCode: undefined, feeMinor: 41, feeVatMinor: 3, refundedMinor: 0, ...changed,
})

export const paidCharge = (id: string, changed: Partial<ChargeSeen> = {}): ChargeSeen =>
  charge(id, { status: 'successful', paid: true, paidAt: moment(20_000), ...changed })

/** As the API gives it, with what it says of the sale it was made for. */
export const apiCharge = (seen: ChargeSeen, changed: Partial<Charge> = {}): Charge => ({
  ...seen, createdAt: moment(0), failureMessage: undefined, code: { payload: CODE }, netMinor: 0, voided: false, method: 'alipayplus_mpm', source: undefined,
  metadata: { plinth_sale: order.sale, plinth_nonce: order.nonce, plinth_terminal: 'T-1', plinth_attempt: '1' }, ...changed,
})

export const failedCharge = (id: string, failureCode: string): ChargeSeen => charge(id, { status: 'failed', failureCode })

export const expiredCharge = (id: string): ChargeSeen => charge(id, { status: 'expired' })

export const opened = (request = 'open-1'): Event => ({ type: 'sale opened', terminal: 'T-1', order, request })
/** `showing` is the charge whose code the terminal shows, as it says. */
export const askedAfter = (request: string | null = 'ask-1', showing: string | null = null): Event =>
  ({ type: 'sale asked after', terminal: 'T-1', order, request, showing })
export const closeAsked = (request = 'close-1', showing: string | null = null): Event =>
  ({ type: 'close asked', terminal: 'T-1', order, request, reason: 'cancelled', showing })
/** The terminal was told that it is paid with this charge, and does not know whether the goods came out. */
export const goodsInDoubt = (showing = 'a', request = 'undelivered-1'): Event => ({ type: 'goods in doubt', terminal: 'T-1', order, request, showing })
export const created = (id: string, changed: Partial<ChargeSeen> = {}): Event => ({ type: 'charge created', charge: charge(id, changed) })
export const found = (...charges: readonly ChargeSeen[]): Event => ({ type: 'charges found', charges })
export const read = (seen: ChargeSeen): Event => ({ type: 'charge read', charge: seen })
/** The sweeper came across it. */
export const swept = (seen: ChargeSeen): Event => ({ type: 'charge seen', terminal: 'T-1', order, charge: seen })
export const refund = (id: string, amountMinor = 2500, voided = true): RefundSeen => ({ id, amountMinor, voided })
export const listed = (id: string, ...refunds: readonly RefundSeen[]): Event => ({ type: 'refunds listed', charge: id, refunds })
export const codeRead: Event = { type: 'code read', payload: CODE }

/** Milliseconds after START, and what happens then. 'nothing' only lets the time go by; a clock may also be set back. */
export type Line = readonly [atMs: number, what: Event | 'restarted' | 'nothing']

export interface Played {
  readonly state: State
  readonly words: readonly Word[]
  readonly effects: readonly Effect[]
  readonly entries: Step['entries']
  readonly concerns: Step['concerns']
  readonly transcript: string
}

/** As long the gateway of a story looks for charges before it makes one; the real one also knows its terminals again. */
export const LOOK_FIRST_MS = 90_000

export function play(lines: readonly Line[], from: State = initial): Played {
  let state = from
  const steps: Step[] = []
  const transcript: string[] = []

  const take = (atMs: number, name: string, next: Step): void => {
    const before = state
    state = next.state
    steps.push(next)
    const moved = phaseText(state) === phaseText(before) ? phaseText(state) : `${phaseText(before)} -> ${phaseText(state)}`
    transcript.push(`${String(atMs).padStart(7)}  ${name.padEnd(22)}${moved}`)
    for (const effect of next.effects) transcript.push(`${' '.repeat(31)}! ${effectText(effect)}`)
    for (const { key, currency, lines: posted } of next.entries) {
      transcript.push(`${' '.repeat(31)}= ${key}: ${posted.map(({ account, minor }) => `${account} ${minor}`).join(', ')} ${currency}`)
    }
    for (const { amountMinor, currency, reason } of next.concerns) {
      transcript.push(`${' '.repeat(31)}? ${amountMinor} ${currency}: ${reason}`)
    }
    for (const word of next.words) transcript.push(`${' '.repeat(31)}" ${wordText(word)}`)
  }

  let now = START
  let startedAt = -Infinity
  for (const [atMs, what] of lines) {
    // Nothing rings in a gateway that is down.
    for (let due = deadline(state); what !== 'restarted' && due !== undefined && due <= START + atMs; due = deadline(state)) {
      now = Math.max(now, due)
      take(now - START, 'deadline reached', step(state, { type: 'deadline reached' }, { now, terms, lookFirst: now < startedAt + LOOK_FIRST_MS }))
      if (steps.length > 1_000) throw new Error('the deadlines never end')
    }
    now = START + atMs
    if (what === 'restarted') startedAt = now
    const given = { now, terms, lookFirst: now < startedAt + LOOK_FIRST_MS }
    if (what === 'restarted') take(atMs, what, restore(state, given))
    else if (what !== 'nothing') take(atMs, eventText(what), step(state, what, given))
  }
  return {
    state,
    words: steps.flatMap(({ words }) => words),
    effects: steps.flatMap(({ effects }) => effects),
    entries: steps.flatMap(({ entries }) => entries),
    concerns: steps.flatMap(({ concerns }) => concerns),
    transcript: `${transcript.join('\n')}\n`,
  }
}

const phaseText = (state: State): string => [
  state.phase, ...(state.phase === 'none' ? [] : state.reversals.map(({ charge, phase }) => `${charge} ${phase}`)),
].join(', ')

function eventText(event: Event): string {
  if ('showing' in event && event.showing !== null) return `${event.type}, showing ${event.showing} `
  if ('charges' in event) return `found ${event.charges.map(({ id, status }) => `${id} ${status}`).join(', ') || 'none'} `
  if (!('charge' in event)) return `${event.type} `
  if (typeof event.charge !== 'string') return `${event.type}: ${event.charge.id} ${event.charge.status} `
  const refunds = 'refunds' in event ? event.refunds : 'refund' in event ? [event.refund] : undefined
  return `${event.type}: ${event.charge}${refunds === undefined ? '' : ` ${refunds.map(refundText).join(', ') || 'none'}`} `
}

const refundText = ({ id, amountMinor, voided }: RefundSeen): string => `${id} ${amountMinor}${voided ? ' void' : ''}`

function effectText(effect: Effect): string {
  switch (effect.do) {
    case 'create charge': return `create charge, attempt ${effect.attempt}, until ${effect.expiresAt - START}`
    case 'find charges':  return `find charges since ${effect.since - START}${effect.showing === null ? '' : `, and ${effect.showing}`}`
    case 'refund charge': return `refund ${effect.amountMinor} of ${effect.charge}`
    case 'read code':
    case 'read charge':
    case 'expire charge':
    case 'expire orphan':
    case 'list refunds':
      return `${effect.do} ${effect.charge}`
  }
}

function wordText(word: Word): string {
  const re = `re ${word.re ?? 'nothing'}`
  switch (word.type) {
    case 'sale.offer':
      return `offer of ${word.charge}, ${re}, until ${Date.parse(word.expiresAt) - START}`
    case 'sale.verdict':
      return `${word.ending.outcome}${word.ending.outcome === 'unpaid' ? ` (${word.ending.reason})` : ''}, charge ${word.charge ?? 'none'}, ${re}`
    case 'sale.reversed':
      return `${word.amountMinor} of ${word.charge} went back${word.voided ? ' as a void' : ''}`
  }
}
