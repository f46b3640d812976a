/**
 * Plays events at charge.ts as the shell does -- deadlines ring by themselves -- and writes down what was said and done.
 */
import {
  type ChargeSeen, deadline, type Effect, type Event, initial, restore, type State, step, type Step, type Terms, type Word,
} from '../../cloud/charge.js'
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

export const failedCharge = (id: string, failureCode: string): ChargeSeen => charge(id, { status: 'failed', failureCode })

export const expiredCharge = (id: string): ChargeSeen => charge(id, { status: 'expired' })

export const opened = (request = 'open-1'): Event => ({ type: 'sale opened', terminal: 'T-1', order, request })
export const askedAfter = (request: string | null = 'ask-1'): Event => ({ type: 'sale asked after', terminal: 'T-1', order, request })
export const closeAsked = (request = 'close-1'): Event => ({ type: 'close asked', terminal: 'T-1', order, request, reason: 'cancelled' })
export const created = (id: string, changed: Partial<ChargeSeen> = {}): Event => ({ type: 'charge created', charge: charge(id, changed) })
export const read = (seen: ChargeSeen): Event => ({ type: 'charge read', charge: seen })
export const codeRead: Event = { type: 'code read', payload: CODE }

/** Milliseconds after START, and what happens then. 'nothing' only lets the time go by. */
export type Line = readonly [atMs: number, what: Event | 'restarted' | 'nothing']

export interface Played {
  readonly state: State
  readonly words: readonly Word[]
  readonly effects: readonly Effect[]
  readonly entries: Step['entries']
  readonly transcript: string
}

export function play(lines: readonly Line[], from: State = initial): Played {
  let state = from
  const steps: Step[] = []
  const transcript: string[] = []

  const take = (atMs: number, name: string, next: Step): void => {
    const before = state
    state = next.state
    steps.push(next)
    const moved = state.phase === before.phase ? state.phase : `${before.phase} -> ${state.phase}`
    transcript.push(`${String(atMs).padStart(7)}  ${name.padEnd(22)}${moved}`)
    for (const effect of next.effects) transcript.push(`${' '.repeat(31)}! ${effectText(effect)}`)
    for (const { key, currency, lines: posted } of next.entries) {
      transcript.push(`${' '.repeat(31)}= ${key}: ${posted.map(({ account, minor }) => `${account} ${minor}`).join(', ')} ${currency}`)
    }
    for (const word of next.words) transcript.push(`${' '.repeat(31)}" ${wordText(word)}`)
  }

  let now = START
  for (const [atMs, what] of lines) {
    // Nothing rings in a gateway that is down.
    for (let due = deadline(state); what !== 'restarted' && due !== undefined && due <= START + atMs; due = deadline(state)) {
      now = Math.max(now, due)
      take(now - START, 'deadline reached', step(state, { type: 'deadline reached' }, { now, terms }))
      if (steps.length > 1_000) throw new Error('the deadlines never end')
    }
    now = START + atMs
    const given = { now, terms }
    if (what === 'restarted') take(atMs, what, restore(state, given))
    else if (what !== 'nothing') take(atMs, eventText(what), step(state, what, given))
  }
  return {
    state,
    words: steps.flatMap(({ words }) => words),
    effects: steps.flatMap(({ effects }) => effects),
    entries: steps.flatMap(({ entries }) => entries),
    transcript: `${transcript.join('\n')}\n`,
  }
}

function eventText(event: Event): string {
  if ('charge' in event) return `${event.type}: ${event.charge.id} ${event.charge.status} `
  if ('charges' in event) return `found ${event.charges.map(({ id, status }) => `${id} ${status}`).join(', ') || 'none'} `
  return `${event.type} `
}

function effectText(effect: Effect): string {
  switch (effect.do) {
    case 'create charge': return `create charge, attempt ${effect.attempt}, until ${effect.expiresAt - START}`
    case 'find charges':  return `find charges since ${effect.since - START}`
    case 'read code':
    case 'read charge':
    case 'expire charge':
    case 'expire orphan': return `${effect.do} ${effect.charge}`
  }
}

function wordText(word: Word): string {
  const re = `re ${word.re ?? 'nothing'}`
  switch (word.type) {
    case 'sale.offer':
      return `offer of ${word.charge}, ${re}, until ${Date.parse(word.expiresAt) - START}`
    case 'sale.verdict':
      return `${word.ending.outcome}${word.ending.outcome === 'unpaid' ? ` (${word.ending.reason})` : ''}, charge ${word.charge ?? 'none'}, ${re}`
  }
}
