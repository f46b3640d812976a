/**
 * Plays a story of one shop through device/sale.ts and prints what came of it. A story is a text: lines that begin with
 * '>' are what happens, at a time in milliseconds; lines that begin with '#' are for the reader; the rest is the answer.
 *
 *   > 0 keys 2500 ok            > 0 register 150.00        > 900 offer [lifetime=..] [word]
 *   > 0 keys 25 . 5 +000 ok     > 0 product 40.00          (. is the point, +000 a key of its own)
 *   > 5000 verdict paid [word]  > 5000 verdict rejected    > 5000 cancel / clear
 *   > 5000 told / not shown     > 5000 power cut           > 5000 now link down / now ready      > 90000 nothing
 *   > 9000 reversed voided [word] [age=..]                 > 9000 reversed refunded
 *   > 9000 goods out / goods unknown [sale=other]
 *   > 0 shop release one / shop release 10.00 max=10       > 0 shop usual 20.00 500.00
 *
 * [word] bends what the gateway says: sale=other nonce=other amount=1 currency=SGD method=promptpay charge=X counter=1 payload=X,
 * and re=close or re=undelivered makes a verdict the answer to that request of the terminal.
 */
import { type Amount, parseAmount } from '../../device/protocol/money.js'
import type { Ending, Order } from '../../device/protocol/wire.js'
import {
  deadline, type Effect, type Event, type Given, initial, type Notice, type NotReady, record, type Recorded, restore, type State, step, type Step,
  type Terms,
} from '../../device/sale.js'

export const OTHER_SALE = '01931e7c-0000-7000-8000-00000000ffff'
const TERMS = { currency: 'THB', method: 'alipayplus_mpm' } as const
/** By then a box of the stories knows whether its goods came out. */
const WITHIN_MS = 12_000

export const saleId = (count: number): string => `01931e7c-0000-7000-8000-${String(count).padStart(12, '0')}`
export const nonceOf = (count: number): string => count.toString(16).padStart(32, '0')

/** The story again, with the answers it has now. */
export function playStory(story: string): string {
  const shop = createShop()
  const lines: string[] = []
  for (const line of story.split('\n')) {
    if (line.startsWith('#')) lines.push(line)
    if (!line.startsWith('>')) continue
    lines.push('', line)
    const [, at = '', what = ''] = /^> ([0-9]+) (.+)$/.exec(line) ?? []
    if (what === '') throw new Error(`not a line of a story: ${line}`)
    lines.push(...shop.until(Number(at)), ...shop.happens(what))
  }
  return `${lines.join('\n')}\n`
}

function createShop() {
  let state: State = initial
  let journal: Recorded = record(initial)
  let now = 0
  let counter = 100
  let minted = 0
  let notReady: NotReady | undefined
  let terms: Terms = TERMS

  const given = (): Given => ({ now, freshId: saleId(minted + 1), freshNonce: nonceOf(minted + 1), terms, notReady })

  function take(next: Step, event: string): readonly string[] {
    const before = state
    state = next.state
    if ('sale' in state && state.sale.id === saleId(minted + 1)) minted++
    const kept = record(state)
    const recorded = JSON.stringify(kept) === JSON.stringify(journal) ? '' : '  (recorded)'
    journal = kept
    const due = deadline(state)
    return [
      `${String(now).padStart(7)}  ${event.padEnd(18)} ${before.phase} -> ${stateText(state)}${due === undefined ? '' : `, next at ${due}`}${recorded}`,
      ...next.effects.map((effect) => `           ! ${effectText(effect)}`),
    ]
  }

  const does = (event: Event): readonly string[] => take(step(state, event, given()), event.type)

  function word(bends: Readonly<Record<string, string>>): { readonly order: Order; readonly counter: number } {
    const known = minted === 0 ? 1 : minted
    const sale = 'sale' in state ? state.sale : undefined
    return {
      counter: bends['counter'] === undefined ? ++counter : Number(bends['counter']),
      order: {
        sale: bends['sale'] === 'other' ? OTHER_SALE : saleId(known),
        nonce: bends['nonce'] === 'other' ? nonceOf(9) : nonceOf(known),
        amountMinor: Number(bends['amount'] ?? sale?.amount.minor ?? 2_500),
        currency: bends['currency'] === 'SGD' ? 'SGD' : 'THB',
        method: bends['method'] === 'promptpay' ? 'promptpay' : 'alipayplus_mpm',
      },
    }
  }

  return {
    /** Lets time pass; every deadline on the way is reached. */
    until(at: number): readonly string[] {
      const lines: string[] = []
      for (let due = deadline(state); due !== undefined && due <= at; due = deadline(state)) {
        now = due
        lines.push(...does({ type: 'deadline reached' }))
        if (lines.length > 1_000) throw new Error(`deadlines without end at ${now}`)
      }
      now = at
      return lines
    },

    happens(what: string): readonly string[] {
      const [command = '', ...words] = what.split(' ')
      const bends = Object.fromEntries(words.filter((text) => text.includes('=')).map((text) => text.split('=') as [string, string]))
      switch (command) {
        case 'keys':
          return words.flatMap((key) => key === 'ok' ? does({ type: 'enter pressed' })
            : key === '.' ? does({ type: 'point pressed' })
            : key.startsWith('+') ? does({ type: 'digit pressed', digit: key.slice(1) })
            : Array.from(key, (digit) => does({ type: 'digit pressed', digit })).slice(-1).flat())
        case 'product': return does({ type: 'product chosen', price: amountOf(words[0]) })
        case 'goods': return does({ type: 'goods let out', sale: bends['sale'] === 'other' ? OTHER_SALE : saleId(minted), known: words[0] === 'out' })
        case 'shop':
          terms = { ...terms, ...termsOf(words, bends) }
          return []
        case 'cancel': return does({ type: 'cancel pressed' })
        case 'clear':  return does({ type: 'clear pressed' })
        case 'told':   return does({ type: 'outcome told', sale: saleId(minted) })
        case 'not':    return does({ type: 'code not shown', sale: bends['sale'] === 'other' ? OTHER_SALE : saleId(minted) })
        case 'nothing': return [`${String(now).padStart(7)}  (still ${state.phase})`]
        case 'register': return does({ type: 'amount asked', amount: amountOf(words[0]) })
        case 'offer':
          return does({
            type: 'offer received', ...word(bends), charge: bends['charge'] ?? 'chrg_1', payload: bends['payload'] ?? 'https://order.example/1',
            lifetimeMs: Number(bends['lifetime'] ?? 120_000),
          })
        case 'verdict':
          return does({
            type: 'verdict received', ...word(bends), re: bends['re'] === undefined ? null : `${saleId(minted)}.${bends['re']}`, charge: bends['charge'] === 'none' ? null : bends['charge'] ?? 'chrg_1',
            ending: endingOf(words[0] ?? ''),
          })
        case 'reversed': {
          const said = word(bends)
          return does({
            type: 'reversal received', ...said, charge: bends['charge'] ?? 'chrg_1', amountMinor: said.order.amountMinor,
            voided: words[0] === 'voided', ageMs: Number(bends['age'] ?? 100),
          })
        }
        case 'power':
          return take(restore(JSON.parse(JSON.stringify(journal)) as Recorded, given()), 'power back')
        case 'now':
          notReady = words.join(' ') === 'ready' ? undefined : words.join(' ') as NotReady
          return []
      }
      throw new Error(`nobody does this: ${what}`)
    },
  }
}

function amountOf(text = ''): Amount {
  const amount = parseAmount(text, TERMS.currency)
  if (amount === undefined) throw new Error(`no amount: ${text}`)
  return amount
}

/** 'release one', 'release 10.00 max=10', 'usual 20.00 500.00'. */
function termsOf([what, first, second]: readonly string[], bends: Readonly<Record<string, string>>): Partial<Terms> {
  if (what === 'usual') return { usual: { fromMinor: amountOf(first).minor, toMinor: amountOf(second).minor } }
  const pulses = first === 'one' ? 'one' : { perMinor: amountOf(first).minor, max: Number(bends['max']) }
  return { release: { pulses, withinMs: WITHIN_MS } }
}

const endingOf = (word: string): Ending =>
  word === 'paid' ? { outcome: 'paid', paidAt: '2026-01-01T00:00:00Z' } : { outcome: 'unpaid', reason: word }

function stateText(state: State): string {
  switch (state.phase) {
    case 'idle':
      return `idle${state.digits === '' ? '' : ` '${state.digits}'`}${state.notice === undefined ? '' : ` (${noticeText(state.notice)})`}${
        state.confirm === undefined ? '' : ` (is it meant? from ${state.confirm.from})`}`
    case 'opening':    return 'opening'
    case 'presenting': return `presenting ${state.offer.charge} until ${state.endsAt}`
    case 'resolving':  return `resolving (${state.doubt})`
    case 'delivering': return 'delivering'
    case 'settled':    return `settled ${state.verdict.ending.outcome === 'paid' ? 'PAID' : `unpaid: ${state.verdict.ending.reason}`}${
      state.undelivered === undefined ? '' : `, undelivered${state.undelivered.noted ? ' and noted' : ''}`}${state.told ? ', told' : ''}${state.overdue ? ', overdue' : ''}`
  }
}

function noticeText(notice: Notice): string {
  switch (notice.type) {
    case 'refused':  return notice.refusal.text
    case 'reversed': return `${notice.reversal.amount.minor} ${notice.reversal.amount.currency} ${notice.reversal.voided ? 'voided' : 'refunded'}`
  }
}

function effectText(effect: Effect): string {
  switch (effect.do) {
    case 'open sale':      return `open sale ${effect.sale.id.slice(-2)}: ${effect.sale.amount.minor} ${effect.sale.amount.currency} for the ${effect.sale.askedBy}`
    case 'ask after sale': return `ask after sale ${effect.sale.id.slice(-2)} with ${effect.charge}, ${effect.asks}`
    case 'close sale':     return `close sale ${effect.sale.id.slice(-2)} with ${effect.charge ?? 'no charge'}: ${effect.doubt}`
    case 'let goods out':  return `let goods out for ${effect.sale.id.slice(-2)}: ${effect.pulses}`
    case 'report undelivered': return `report ${effect.sale.id.slice(-2)} undelivered`
    case 'tell outcome':   return `tell the ${effect.sale.askedBy}: ${effect.verdict.ending.outcome} ${effect.verdict.charge ?? '(no charge)'}`
    case 'refuse':         return `refuse the ${effect.askedBy}: ${effect.refusal.text}`
    case 'discard word':   return `discard word about ${effect.sale.slice(-2)}: ${effect.because}`
  }
}
