/**
 * The contract between a terminal and any merchant cloud: topics, messages, limits.
 * Every message travels as a JWS (seal.ts) over MQTT 3.1.1, QoS 1, never retained. A JSON Schema of all of this is
 * written to device/protocol/wire.schema.json by `npm run schema`, so that a cloud can be written in any language.
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { CURRENCIES } from './money.js'
import { PAYMENT_METHOD_NAMES } from './payment-method.js'

export const WIRE_VERSION = 1

/** The largest message, as bytes on the wire (the sealed text). */
export const MESSAGE_BYTES_MAX = 16_384

/** Stands on its own in a topic: no dots, spaces, `/`, `+`, `#` or `$` (mqtt.md, section 1.3). */
export const ID_PATTERN = /^[A-Za-z0-9_-]{1,64}$/

const Id = z.string().regex(ID_PATTERN)
const SaleId = z.uuid()
const Moment = z.iso.datetime()
/** Milliseconds since 1970, raised by the gateway on every word it says: later words carry larger numbers. */
const Counter = z.int().min(0)

/** What the owner wants paid. The terminal mints the id (UUIDv7) and the nonce (128 random bits, hexadecimal). */
export const Order = z.object({
  sale: SaleId,
  nonce: z.string().regex(/^[0-9a-f]{32}$/),
  amountMinor: z.int().min(1).max(999_999_999),
  currency: z.enum(CURRENCIES),
  method: z.enum(PAYMENT_METHOD_NAMES),
})
export type Order = z.infer<typeof Order>

const up = {
  v: z.literal(WIRE_VERSION),
  terminal: Id,
  /** Names the request: a retry carries the same id and gets the same bytes back. */
  id: z.string().min(1).max(96),
  /** Counts the boots of the terminal; a last will of an older epoch means nothing. */
  epoch: z.int().min(1),
}

export const CLOSE_REASONS = ['cancelled', 'expired', 'no answer', 'code not shown', 'restarted'] as const
export type CloseReason = (typeof CLOSE_REASONS)[number]

/**
 * The charge that was offered to this terminal; null when none was. It is the only one a customer can have paid, so a
 * gateway that lost its records looks at this very charge, whatever its list of charges shows -- after it has seen, in
 * the charge's metadata, that it is one of this sale.
 */
const OfferedCharge = z.string().min(1).max(64).nullable()

/** What a terminal says. */
export const UpMessage = z.discriminatedUnion('type', [
  z.object({
    ...up,
    type: z.literal('hello'),
    software: z.string().max(64),
    configHash: z.string().max(64),
    /** Minted when the process starts: two boxes with one identity show as two boots that take turns. */
    boot: z.string().regex(/^[0-9a-f]{32}$/),
    openSales: z.array(SaleId).max(16),
    /** What earlier boots wrote down is not there: a first start, or a lost journal. The latest sale may never have been told. */
    forgot: z.boolean(),
  }),
  z.object({ ...up, type: z.literal('sale.open'), order: Order }),
  z.object({ ...up, type: z.literal('sale.ask'), order: Order, charge: OfferedCharge }),
  z.object({ ...up, type: z.literal('sale.close'), order: Order, charge: OfferedCharge, reason: z.enum(CLOSE_REASONS) }),
  /** The sale is paid, and nobody knows whether the goods came out: a person must look. Repeated until the verdict is said again in answer. */
  z.object({ ...up, type: z.literal('sale.undelivered'), order: Order, charge: OfferedCharge }),
  z.object({ ...up, type: z.literal('gone') }),
])
export type UpMessage = z.infer<typeof UpMessage>

const down = {
  v: z.literal(WIRE_VERSION),
  terminal: Id,
  /** The request this answers; null for a word the gateway says by itself. */
  re: z.string().max(96).nullable(),
  counter: Counter,
  /** The gateway's clock when it sealed the message. */
  time: Moment,
}

/** A charge's code, ready to show. */
export const Offer = z.object({
  ...down,
  type: z.literal('sale.offer'),
  order: Order,
  charge: z.string().min(1).max(64),
  payload: z.string().min(1).max(512),
  expiresAt: Moment,
})
export type Offer = z.infer<typeof Offer>

/** A reason of unpaid: money may have moved and a person must look. Nobody may conclude from it that nothing was charged. */
export const NEEDS_ATTENTION = 'needs attention'

/** How a sale ended. `reason` of an unpaid sale is a failure code of the API or one of ours; unknown ones are passed on. */
export const Verdict = z.object({
  ...down,
  type: z.literal('sale.verdict'),
  order: Order,
  charge: z.string().min(1).max(64).nullable(),
  ending: z.discriminatedUnion('outcome', [
    z.object({ outcome: z.literal('paid'), paidAt: Moment }),
    z.object({ outcome: z.literal('unpaid'), reason: z.string().min(1).max(64) }),
  ]),
})
export type Verdict = z.infer<typeof Verdict>
export type Ending = Verdict['ending']

/**
 * Money that came too late for a sale has gone back. Said once, for a customer who may still stand there; nothing waits for it.
 * `voided`: undone before settlement; otherwise refunded, which takes days.
 */
export const Reversed = z.object({
  ...down,
  type: z.literal('sale.reversed'),
  order: Order,
  charge: z.string().min(1).max(64),
  amountMinor: z.int().min(1).max(999_999_999),
  voided: z.boolean(),
})
export type Reversed = z.infer<typeof Reversed>

/** What the gateway says. */
export const DownMessage = z.discriminatedUnion('type', [
  z.object({
    ...down,
    type: z.literal('welcome'),
    /** False while the gateway cannot reach the payment API: a sale opened now could not be charged. */
    charging: z.boolean(),
  }),
  Offer,
  Verdict,
  Reversed,
])
export type DownMessage = z.infer<typeof DownMessage>

/** 64 shards, fixed for ever, so that gateways can divide the work by one persistent session a shard. */
export const shardOf = (terminal: string): string =>
  ((createHash('sha256').update(terminal).digest()[0] ?? 0) & 63).toString(16).padStart(2, '0')

export type UpKind = 'hello' | 'sale' | 'gone'
export type DownKind = 'welcome' | 'sale'

const upKind = { hello: 'hello', 'sale.open': 'sale', 'sale.ask': 'sale', 'sale.close': 'sale', 'sale.undelivered': 'sale', gone: 'gone' } as const
const downKind = { welcome: 'welcome', 'sale.offer': 'sale', 'sale.verdict': 'sale', 'sale.reversed': 'sale' } as const

export const upTopic = (terminal: string, type: UpMessage['type']): string =>
  `plinth/1/${terminal}/up/${shardOf(terminal)}/${upKind[type] satisfies UpKind}`

export const downTopic = (terminal: string, type: DownMessage['type']): string =>
  `plinth/1/${terminal}/dn/${downKind[type] satisfies DownKind}`

/** The one filter a terminal subscribes to. */
export const downFilter = (terminal: string): string => `plinth/1/${terminal}/dn/+`

/** The filter under which a terminal may publish (the same for every kind). */
export const upPrefix = (terminal: string): string => `plinth/1/${terminal}/up/${shardOf(terminal)}/`

/** The filter a gateway subscribes to: all terminals, all shards. */
export const UP_FILTER_ALL = 'plinth/1/+/up/+/+'

/** The terminal a message on this topic came from, or undefined for a topic that is not ours. */
export function terminalOfUpTopic(topic: string): string | undefined {
  const [root, version, terminal = '', direction, shard, kind, ...rest] = topic.split('/')
  if (root !== 'plinth' || version !== '1' || direction !== 'up' || rest.length > 0) return undefined
  if (!ID_PATTERN.test(terminal) || shard !== shardOf(terminal) || kind === undefined) return undefined
  return terminal
}

/** Capitals and digits without 0, O, 1 and I: what a customer reads over the telephone. */
const REFERENCE_ALPHABET = '23456789ABCDEFGHJKLMNPQRSTUVWXYZ'

/** The six-character reference of a sale, the same on the panel, in the ledger and in the gateway's answers. */
export const referenceOf = (sale: string): string =>
  Array.from(createHash('sha256').update(sale).digest().subarray(0, 6), (byte) => REFERENCE_ALPHABET[byte & 31]).join('')
