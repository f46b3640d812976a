/**
 * What charge.ts commands, done at the payment API, and the answer as an event. One row for each command: a command
 * without a row does not compile. Nothing is decided here and nothing is retried here; deadlines do that.
 */
import type { Logger } from 'pino'
import { checkPayload } from '../device/protocol/payload.js'
import { ID_PATTERN, Order, referenceOf } from '../device/protocol/wire.js'
import type { Effect, Event } from './charge.js'
import { type Answer, type Charge, type Metadata, type Omise, type Page, PAGE_ITEMS_MAX } from './omise.js'
import type { CodeReader, Unreadable } from './qr-document.js'

type Executors = { readonly [Do in Effect['do']]: (effect: Extract<Effect, { do: Do }>) => Promise<Event | undefined> }

export interface ChargeEffects {
  /** Undefined when the command has no answer that a sale waits for. */
  execute(effect: Effect): Promise<Event | undefined>
  /** Whether a charge asked for now could be made: the API answers. */
  reachable(): Promise<boolean>
}

export interface Tools {
  readonly omise: Omise
  readonly codes: CodeReader
  /** Whether `expires_at` is sent on create; the API's bounds for it are not documented for every method. */
  readonly sendExpiresAt: boolean
  readonly log: Logger
}

/** The list may be this far behind, or clocks this far apart. */
const LIST_SKEW_MS = 60_000
const LIST_ITEMS_MAX = 10_000
/** Calls at once: the API asks for no more than ten workers (omise-api.md, section 1). */
const CALLS_MAX = 8
const CREATED_MAX = 1_000

type CodeEvent = Extract<Event, { type: 'code read' | 'code unreadable' | 'code unanswered' }>

export function createChargeEffects({ omise, codes, sendExpiresAt, log }: Tools): ChargeEffects {
  const created = new Map<string, Charge>()

  const read = async (charge: string): Promise<Event> => {
    const answer = await omise.retrieveCharge(charge)
    return answer.answer === 'ok' ? { type: 'charge read', charge: answer.value } : { type: 'charge unanswered' }
  }

  const executors: Executors = {
    'create charge': async ({ terminal, order, attempt, expiresAt }) => {
      const answer = await omise.chargeNewSource({
        amountMinor: order.amountMinor,
        currency: order.currency,
        method: order.method,
        description: `Sale ${referenceOf(order.sale)}`,
        metadata: metadataOf(order, terminal, attempt),
        ...(sendExpiresAt ? { expiresAt: new Date(expiresAt).toISOString() } : {}),
      })
      switch (answer.answer) {
        case 'ok':
          // An answer to somebody else's question: one payment would then pay two sales. Ours is looked for.
          if (!isOf(order.sale, answer.value)) return { type: 'create unanswered' }
          if (created.size >= CREATED_MAX) created.clear()
          created.set(answer.value.id, answer.value)
          return { type: 'charge created', charge: answer.value }
        case 'refused':
          log.error({ sale: order.sale, code: answer.code, text: answer.message }, 'the payment API refuses charges')
          return { type: 'create refused', code: answer.code }
        case 'none':
          // Nothing was sent, so nothing can have happened: the customer need not wait for what never comes.
          return answer.because === 'unreachable' ? { type: 'create refused', code: 'unreachable' } : { type: 'create unanswered' }
      }
    },

    'find charges': async ({ order, since, showing }) => {
      const found = await findCharges(omise, order.sale, since, showing)
      return found === undefined ? { type: 'find unanswered' } : { type: 'charges found', charges: found }
    },

    'read code': async ({ charge, order }) => {
      const seen = await justCreated(charge)
      if (seen === undefined) return { type: 'code unanswered' }
      const code = await readCode(seen, order)
      if (code.type === 'code unreadable') log.warn({ charge, because: code.because }, 'code unreadable')
      return code
    },

    'read charge': ({ charge }) => read(charge),

    'expire charge': async ({ charge }) => {
      const answer = await omise.expireCharge(charge)
      switch (answer.answer) {
        case 'ok':      return { type: 'charge read', charge: answer.value }
        case 'refused': return { type: 'expire refused' }
        case 'none':    return { type: 'charge unanswered' }
      }
    },

    'expire orphan': async ({ charge }) => {
      const answer = await omise.expireCharge(charge)
      log.warn({ charge, answer: answer.answer }, 'orphan charge closed')
      if (answer.answer !== 'refused') return undefined // Unanswered: the sweeper comes across it again.
      // It had ended by itself. If that was by a payment, it must not go by unseen.
      const seen = await omise.retrieveCharge(charge)
      return seen.answer === 'ok' && seen.value.paid ? { type: 'charge read', charge: seen.value } : undefined
    },

    'list refunds': async ({ charge }) => {
      const refunds = await allPages((page) => omise.listRefunds(charge, { ...page, order: 'chronological' }))
      return refunds === undefined ? { type: 'refunds unanswered', charge } : { type: 'refunds listed', charge, refunds }
    },

    'refund charge': async ({ charge, sale, amountMinor }) => {
      const answer = await omise.refundCharge(charge, { amountMinor, metadata: { plinth_sale: sale } })
      switch (answer.answer) {
        case 'ok':      return { type: 'refund made', charge, refund: answer.value }
        case 'refused': return { type: 'refund refused', charge, code: answer.code }
        case 'none':    return { type: 'refund unanswered', charge }
      }
    },
  }

  /** The charge as its creation was answered; after a restart, as it is now. Where its code is stored is a secret: memory only. */
  async function justCreated(charge: string): Promise<Charge | undefined> {
    const known = created.get(charge)
    created.delete(charge)
    if (known !== undefined) return known
    const answer = await omise.retrieveCharge(charge)
    return answer.answer === 'ok' ? answer.value : undefined
  }

  /** The text the API gives, or else the one in the picture; either must be a code of this sale's method and amount. */
  async function readCode({ code }: Charge, order: Order): Promise<CodeEvent> {
    const text = await textOf(code)
    if (text.type !== 'code read') return text
    const fault = checkPayload(order.method, text.payload, { minor: order.amountMinor, currency: order.currency })
    return fault === undefined ? text : { type: 'code unreadable', because: fault }
  }

  async function textOf(code: Charge['code']): Promise<CodeEvent> {
    if (code?.payload !== undefined) return { type: 'code read', payload: code.payload }
    if (code?.downloadUri === undefined) return { type: 'code unreadable', because: 'the charge has no code' }
    const image = await omise.downloadCode(code.downloadUri)
    switch (image.answer) {
      case 'none':    return { type: 'code unanswered' }
      case 'refused': return { type: 'code unreadable', because: image.message }
      case 'ok': {
        const read = await codes.read(image.value)
        if ('payload' in read) return { type: 'code read', payload: read.payload }
        return isPassing(read.unreadable) ? { type: 'code unanswered' } : { type: 'code unreadable', because: read.text }
      }
    }
  }

  const inTurn = createTurns(CALLS_MAX)
  return {
    // The index restores the pairing of a command with its own executor, which the compiler cannot follow.
    execute: (effect) => inTurn(() => (executors[effect.do] as (effect: Effect) => Promise<Event | undefined>)(effect)),
    reachable: () => omise.reachable(),
  }
}

/** Says something of this machine's load, not of the image: asking again may help, until the terminal gives up. */
const isPassing = (reason: Unreadable): boolean =>
  reason === 'timeout' || reason === 'too busy' || reason === 'reader broken' || reason === 'closed'

// -- What a charge says of its sale -----------------------------------------------------------------------------------

/** All there is to know of an order, so that it outlives our own records. */
const metadataOf = (order: Order, terminal: string, attempt: number): Metadata => ({
  plinth_sale: order.sale, plinth_nonce: order.nonce, plinth_terminal: terminal, plinth_attempt: String(attempt),
})

const isOf = (sale: string, { metadata }: Charge): boolean => metadata['plinth_sale'] === sale

/** The sale a charge was made for; 'not ours' when it was made by others, 'unreadable' when it says our name and nothing that fits. */
export function saleOf(charge: Charge): { readonly terminal: string; readonly order: Order } | 'not ours' | 'unreadable' {
  const { plinth_sale: sale, plinth_nonce: nonce, plinth_terminal: terminal } = charge.metadata
  if (sale === undefined) return 'not ours'
  const order = Order.safeParse({ sale, nonce, amountMinor: charge.amountMinor, currency: charge.currency, method: charge.method })
  return order.success && typeof terminal === 'string' && ID_PATTERN.test(terminal) ? { terminal, order: order.data } : 'unreadable'
}

/** Every charge that carries this sale, oldest first; undefined when not all of them could be read. */
async function findCharges(omise: Omise, sale: string, since: number, showing: string | null): Promise<readonly Charge[] | undefined> {
  const from = new Date(since - LIST_SKEW_MS).toISOString()
  const charges = await allPages((page) => omise.listCharges({ ...page, from, order: 'chronological' }))
  const found = charges?.filter((charge) => isOf(sale, charge))
  if (found === undefined || showing === null || found.some(({ id }) => id === showing)) return found
  const shown = await omise.retrieveCharge(showing)
  switch (shown.answer) {
    case 'ok':      return isOf(sale, shown.value) ? [...found, shown.value] : found
    case 'refused': return found
    case 'none':    return undefined
  }
}

type ReadPage<T> = (page: { readonly limit: number; readonly offset: number }) => Promise<Answer<Page<T>>>

/** A list, page by page; undefined, and then no more, where a page is missing. */
export async function* pagesOf<T>(read: ReadPage<T>): AsyncGenerator<Page<T> | undefined> {
  for (let offset = 0, total = 1; offset < total;) {
    const answer = await read({ limit: PAGE_ITEMS_MAX, offset })
    const page = answer.answer === 'ok' ? answer.value : undefined
    const came = page === undefined ? 0 : page.items.length + page.unreadable // Not what was asked for: the API may give less.
    total = page?.total ?? total
    const isMissing = came === 0 && offset < total
    yield isMissing ? undefined : page
    if (isMissing) return
    offset += came
  }
}

/** A list to its end; undefined when it, or anything in it, could not be read, or it is longer than anybody should wait for. */
export async function allPages<T>(read: ReadPage<T>): Promise<readonly T[] | undefined> {
  const all: T[] = []
  for await (const page of pagesOf(read)) {
    if (page === undefined || page.unreadable > 0 || all.length > LIST_ITEMS_MAX) return undefined
    all.push(...page.items)
  }
  return all
}

/** So many at once; the rest waits in order. */
function createTurns(max: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = []
  let busy = 0
  return async (work) => {
    if (busy >= max) await new Promise<void>((resolve) => waiting.push(resolve))
    else busy++
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next === undefined) busy--
      else next()
    }
  }
}
