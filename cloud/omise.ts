/**
 * The gateway's words with the Omise API: what can be asked, and what we read of the answers. A thin typed client; each
 * call is one exchange (omise-exchange.ts). What may happen is an answer, never an exception. Decides nothing about a sale.
 * A write is sent once, since the API knows no idempotency key; only reads are repeated.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { Logger } from 'pino'
import { z } from 'zod'
import { type Answer, ask, type Call, download, type NoAnswer, type Reader, repeat } from './omise-exchange.js'

const LOOK_MS = 2_000

/** The API's own bound on a page of a list. */
export const PAGE_ITEMS_MAX = 100

export type { Answer, NoAnswer }

export type Metadata = Readonly<Record<string, unknown>>

export interface Source {
  readonly id: string
  readonly amountMinor: number
  readonly currency: string
  readonly livemode: boolean
  readonly method: string
  readonly flow: string | undefined
  /** unknown, pending, successful, failed, expired, reversed; an open set. */
  readonly chargeStatus: string | undefined
  readonly code: Code | undefined
}

/** Where a charge's code is to be had. The address is a secret of its own while the charge can be paid: never log it. */
export interface Code {
  /** The text of the code, when the API says it by itself. */
  readonly payload?: string
  readonly downloadUri?: string
}

export interface Charge {
  readonly id: string
  readonly amountMinor: number
  /** Three capitals. */
  readonly currency: string
  /** pending, successful, failed, expired, reversed; an open set. */
  readonly status: string
  readonly paid: boolean
  readonly livemode: boolean
  /** ISO 8601 in UTC, as are all moments here. */
  readonly expiresAt: string | undefined
  readonly paidAt: string | undefined
  readonly createdAt: string
  /** An open set; undefined unless the charge failed. */
  readonly failureCode: string | undefined
  readonly failureMessage: string | undefined
  readonly metadata: Metadata
  readonly code: Code | undefined
  /** Zero where the API says nothing of fees. */
  readonly feeMinor: number
  readonly feeVatMinor: number
  readonly netMinor: number
  readonly refundedMinor: number
  /** The money went back before settlement. The status stays successful. */
  readonly voided: boolean
  /** The source's type, such as alipayplus_mpm; undefined for a card. */
  readonly method: string | undefined
  readonly source: string | undefined
}

export interface Refund {
  readonly id: string
  readonly charge: string
  readonly amountMinor: number
  readonly currency: string
  readonly livemode: boolean
  /** True: done as a void, before settlement. Read it, never assume it. */
  readonly voided: boolean
  readonly metadata: Metadata
  readonly createdAt: string
}

export interface Event {
  readonly id: string
  /** charge.create, charge.complete, charge.expire, refund.create ...; an open set. */
  readonly key: string
  readonly livemode: boolean
  readonly createdAt: string
  readonly objectKind: string
  readonly objectId: string
  /** The charge it is about: the object itself, or the charge that a refund or dispute names. */
  readonly charge: string | undefined
}

export interface Capability {
  readonly country: string | undefined
  readonly methods: readonly { readonly name: string; readonly currencies: readonly string[] }[]
}

export interface Page<T> {
  readonly items: readonly T[]
  /** Items of this page that nobody could read. From such a page nobody may conclude 'it is not there'. */
  readonly unreadable: number
  readonly total: number
  readonly offset: number
  readonly limit: number
}

export interface Paging {
  /** On creation, both ends included; ISO 8601. */
  readonly from?: string
  readonly to?: string
  /** 1..100, the API's default is 20. */
  readonly limit?: number
  readonly offset?: number
  readonly order?: 'chronological' | 'reverse_chronological'
}

export interface Asked {
  readonly amountMinor: number
  readonly currency: string
}

export interface ChargeTerms extends Asked {
  readonly metadata: Metadata
  /** ISO 8601. A wish: show only the moment that comes back. */
  readonly expiresAt?: string
  readonly description?: string
  /** At most two, https (omise-api.md, section 3). */
  readonly webhookEndpoints?: readonly string[]
}

export interface Omise {
  /** True when the key moves real money. */
  readonly livemode: boolean
  createSource(source: Asked & { readonly method: string }): Promise<Answer<Source>>
  /** Amount and currency must be those of the source. */
  chargeSource(terms: ChargeTerms & { readonly source: string }): Promise<Answer<Charge>>
  /** Source and charge in one request. */
  chargeNewSource(terms: ChargeTerms & { readonly method: string }): Promise<Answer<Charge>>
  retrieveCharge(charge: string): Promise<Answer<Charge>>
  listCharges(paging: Paging & { readonly from: string }): Promise<Answer<Page<Charge>>>
  /** Refused with `failed_expire` when the charge is no longer pending: then read it again. */
  expireCharge(charge: string): Promise<Answer<Charge>>
  /** A full refund before settlement becomes a void by itself; `void: true` asks for nothing else but that. */
  refundCharge(
    charge: string,
    refund: { readonly amountMinor: number; readonly metadata: Metadata; readonly void?: boolean },
  ): Promise<Answer<Refund>>
  listRefunds(charge: string, paging?: Paging): Promise<Answer<Page<Refund>>>
  listEvents(paging: Paging & { readonly from: string }): Promise<Answer<Page<Event>>>
  chargeEvents(charge: string, paging?: Paging): Promise<Answer<Page<Event>>>
  capability(): Promise<Answer<Capability>>
  /** Whether the API answers at all: one short look, never repeated. */
  reachable(): Promise<boolean>
  /** The image of a code, as bytes nobody has looked at yet. */
  downloadCode(downloadUri: string): Promise<Answer<Uint8Array>>
}

export interface OmiseOptions {
  /** An origin, such as https://api.omise.co */
  readonly apiUrl: string
  readonly secretKey: string
  /** Only for `capability`, which the API documents for the public key; without it the secret one is used. */
  readonly publicKey?: string
  /** For a write, default 10 000; a read waits half of it, each time. */
  readonly timeoutMs?: number
  readonly log: Logger
  /** Hosts (with port, if any) besides the API's own where a code may be stored, on the API's own scheme. */
  readonly documentHosts?: readonly string[]
  /** Waits before a read is repeated. */
  readonly sleep?: (ms: number) => Promise<unknown>
}

export type OmiseSetupErrorCode = 'OMISE_BAD_URL' | 'OMISE_BAD_KEY' | 'OMISE_LIVE_KEY_IN_CLEAR'

/** The client cannot be made from what it was given. Never quotes the key. */
export class OmiseSetupError extends Error {
  override readonly name = 'OmiseSetupError'
  readonly code: OmiseSetupErrorCode

  constructor(code: OmiseSetupErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

export function createOmise(options: OmiseOptions): Omise {
  const { log, documentHosts = [], sleep = pause, timeoutMs = 10_000 } = options
  const origin = originOf(options.apiUrl)
  const livemode = livemodeOf(options.secretKey, 'skey')
  if (options.publicKey !== undefined && livemodeOf(options.publicKey, 'pkey') !== livemode) {
    throw new OmiseSetupError('OMISE_BAD_KEY', 'the public and the secret key are not of the same mode')
  }
  if (livemode && origin.protocol !== 'https:') {
    throw new OmiseSetupError('OMISE_LIVE_KEY_IN_CLEAR', `a live key goes over https only, not to ${origin.origin}`)
  }
  const call: Call = { origin, authorization: basic(options.secretKey), timeoutMs, log }
  const read: Call = { ...call, timeoutMs: timeoutMs / 2 }
  const readPublic: Call = options.publicKey === undefined ? read : { ...read, authorization: basic(options.publicKey) }

  const sameMode = <T extends { readonly livemode: boolean }>(value: T): T | undefined =>
    value.livemode === livemode ? value : undefined
  const one = <T extends { readonly livemode: boolean }>(schema: z.ZodType<T>): Reader<T> => (json) => {
    const parsed = schema.safeParse(json)
    return parsed.success ? sameMode(parsed.data) : undefined
  }
  const thatCharge = (charge: string): Reader<Charge> => (json) => {
    const value = one(ChargeJson)(json)
    return value?.id === charge ? value : undefined
  }
  const pageOf = <T extends { readonly livemode: boolean }>(schema: z.ZodType<T>): Reader<Page<T>> => (json) => {
    const list = ListJson.safeParse(json)
    if (!list.success) return undefined
    const { data, total, offset, limit } = list.data
    const items = data.map(one(schema)).filter((item) => item !== undefined)
    return { items, unreadable: data.length - items.length, total, offset, limit }
  }
  const write = <T>(what: string, path: string, body: object, reader: Reader<T>) =>
    ask(call, { what, method: 'POST', path, body }, reader)
  const get = <T>(what: string, path: string, reader: Reader<T>, as = read) =>
    repeat(() => ask(as, { what, method: 'GET', path }, reader), sleep)

  return {
    livemode,
    createSource: ({ method, ...asked }) =>
      write('create source', '/sources', { ...money(asked), type: method }, one(SourceJson)),
    chargeSource: ({ source, ...terms }) =>
      write('charge source', '/charges', { ...termsJson(terms), source }, one(ChargeJson)),
    chargeNewSource: ({ method, ...terms }) =>
      write('charge new source', '/charges', { ...termsJson(terms), source: { type: method } }, one(ChargeJson)),
    retrieveCharge: (charge) => withId(charge, (path) => get('retrieve charge', path, thatCharge(charge))),
    listCharges: (paging) => get('list charges', `/charges${query(paging)}`, pageOf(ChargeJson)),
    expireCharge: (charge) =>
      withId(charge, (path) => write('expire charge', `${path}/expire`, {}, thatCharge(charge))),
    refundCharge: (charge, { amountMinor, ...rest }) =>
      withId(charge, (path) => write('refund charge', `${path}/refunds`, { amount: amountMinor, ...rest }, one(RefundJson))),
    listRefunds: (charge, paging = {}) =>
      withId(charge, (path) => get('list refunds', `${path}/refunds${query(paging)}`, pageOf(RefundJson))),
    listEvents: (paging) => get('list events', `/events${query(paging)}`, pageOf(EventJson)),
    chargeEvents: (charge, paging = {}) =>
      withId(charge, (path) => get('list charge events', `${path}/events${query(paging)}`, pageOf(EventJson))),
    capability: () => get('capability', '/capability', (json) => CapabilityJson.safeParse(json).data, readPublic),
    reachable: async () => {
      const look = { ...readPublic, timeoutMs: LOOK_MS }
      return (await ask(look, { what: 'reachable', method: 'GET', path: '/capability' }, (json) => json)).answer !== 'none'
    },
    downloadCode: (downloadUri) =>
      repeat(() => download({ ...read, hosts: [origin.host, ...documentHosts] }, downloadUri), sleep),
  }
}

/* -- Shapes: strict on what money hangs on, deaf to the rest ---------------------------------------------------------- */

const Moment = z.iso.datetime({ offset: true }).transform((text) => new Date(text).toISOString())
const Currency = z.string().regex(/^[A-Za-z]{3}$/).transform((text) => text.toUpperCase())
const Minor = z.int().min(0)
const MinorOrZero = Minor.nullish().transform((value) => value ?? 0)
const maybe = <T>(schema: z.ZodType<T>) => schema.nullish().transform((value) => value ?? undefined)
const MetadataJson = z.record(z.string(), z.unknown()).nullish().transform((value) => value ?? {})
const idOf = (prefix: string) => z.string().regex(new RegExp(`^${prefix}_[A-Za-z0-9_]{1,59}$`))

const CodeJson = z.object({
  raw_data: maybe(z.string()),
  image: maybe(z.object({ download_uri: z.string().min(1).max(2048) })),
}).transform(({ raw_data: payload, image }): Code => ({
  ...(payload === undefined || payload === '' ? {} : { payload }),
  ...(image === undefined ? {} : { downloadUri: image.download_uri }),
}))

const SourceJson = z.object({
  object: z.literal('source'),
  id: idOf('src'),
  livemode: z.boolean(),
  amount: Minor,
  currency: Currency,
  type: z.string().min(1).max(64),
  flow: maybe(z.string()),
  charge_status: maybe(z.string()),
  scannable_code: maybe(CodeJson),
}).transform((json): Source => ({
  id: json.id,
  amountMinor: json.amount,
  currency: json.currency,
  livemode: json.livemode,
  method: json.type,
  flow: json.flow,
  chargeStatus: json.charge_status,
  code: json.scannable_code,
}))

const ChargeJson = z.object({
  object: z.literal('charge'),
  id: idOf('chrg'),
  livemode: z.boolean(),
  amount: Minor,
  currency: Currency,
  status: z.string().min(1).max(64),
  paid: z.boolean(),
  created_at: Moment,
  paid_at: maybe(Moment),
  // Not maybe: a code is shown until this moment, so a charge that does not speak of it is unreadable.
  expires_at: Moment.nullable(),
  failure_code: z.string().max(64).nullable(),
  failure_message: maybe(z.string()),
  metadata: MetadataJson,
  fee: MinorOrZero,
  fee_vat: MinorOrZero,
  net: z.int().nullish().transform((value) => value ?? 0),
  refunded_amount: MinorOrZero,
  voided: z.boolean().nullish().transform((value) => value ?? false),
  source: maybe(z.object({ id: idOf('src'), type: z.string().min(1).max(64), scannable_code: maybe(CodeJson) })),
}).transform((json): Charge => ({
  id: json.id,
  amountMinor: json.amount,
  currency: json.currency,
  status: json.status,
  paid: json.paid,
  livemode: json.livemode,
  expiresAt: json.expires_at ?? undefined,
  paidAt: json.paid_at,
  createdAt: json.created_at,
  failureCode: json.failure_code ?? undefined,
  failureMessage: json.failure_message,
  metadata: json.metadata,
  code: json.source?.scannable_code,
  feeMinor: json.fee,
  feeVatMinor: json.fee_vat,
  netMinor: json.net,
  refundedMinor: json.refunded_amount,
  voided: json.voided,
  method: json.source?.type,
  source: json.source?.id,
}))

const RefundJson = z.object({
  object: z.literal('refund'),
  id: idOf('rfnd'),
  livemode: z.boolean(),
  charge: idOf('chrg'),
  amount: Minor,
  currency: Currency,
  voided: z.boolean(),
  metadata: MetadataJson,
  created_at: Moment,
}).transform((json): Refund => ({
  id: json.id,
  charge: json.charge,
  amountMinor: json.amount,
  currency: json.currency,
  livemode: json.livemode,
  voided: json.voided,
  metadata: json.metadata,
  createdAt: json.created_at,
}))

const EventJson = z.object({
  object: z.literal('event'),
  id: idOf('evnt'),
  livemode: z.boolean(),
  key: z.string().min(1).max(64),
  created_at: Moment,
  data: z.object({ object: z.string().max(64), id: z.string().max(64), charge: z.unknown().optional() }),
}).transform(({ id, livemode, key, created_at: createdAt, data }): Event => ({
  id, livemode, key, createdAt, objectKind: data.object, objectId: data.id, charge: chargeOf(data),
}))

const CapabilityJson = z.object({
  object: z.literal('capability'),
  country: maybe(z.string()),
  payment_methods: z.array(z.object({ name: z.string(), currencies: z.array(Currency).nullish() })),
}).transform(({ country, payment_methods: methods }): Capability => ({
  country,
  methods: methods.map(({ name, currencies }) => ({ name, currencies: currencies ?? [] })),
}))

const ListJson = z.object({
  object: z.literal('list'),
  data: z.array(z.unknown()).max(PAGE_ITEMS_MAX),
  total: z.int().min(0),
  offset: z.int().min(0),
  limit: z.int().min(0),
})

/** A refund's or dispute's own metadata may be empty, so its charge is what leads to a sale (omise-api.md, section 4). */
function chargeOf(data: { readonly object: string; readonly id: string; readonly charge?: unknown }): string | undefined {
  if (data.object === 'charge') return data.id
  return idOf('chrg').safeParse(data.charge).data
}

/* -- Requests --------------------------------------------------------------------------------------------------------- */

const money = ({ amountMinor, currency }: Asked) => ({ amount: amountMinor, currency })

const termsJson = ({ metadata, expiresAt, description, webhookEndpoints, ...asked }: ChargeTerms) => ({
  ...money(asked),
  metadata,
  ...(expiresAt === undefined ? {} : { expires_at: expiresAt }),
  ...(description === undefined ? {} : { description }),
  ...(webhookEndpoints === undefined ? {} : { webhook_endpoints: webhookEndpoints }),
})

function query(paging: Paging): string {
  const parameters = new URLSearchParams()
  const { from, to, limit, offset, order } = paging
  if (from !== undefined) parameters.set('from', from)
  if (to !== undefined) parameters.set('to', to)
  if (limit !== undefined) parameters.set('limit', String(Math.min(limit, PAGE_ITEMS_MAX)))
  if (offset !== undefined) parameters.set('offset', String(offset))
  if (order !== undefined) parameters.set('order', order)
  return parameters.size === 0 ? '' : `?${parameters}`
}

/** A text from a webhook may be no id at all; it must not become a path. The answer is the one the API would give. */
function withId<T>(charge: string, then: (path: string) => Promise<Answer<T>>): Promise<Answer<T>> {
  if (idOf('chrg').safeParse(charge).success) return then(`/charges/${charge}`)
  return Promise.resolve({ answer: 'refused', status: 404, code: 'not_found', message: 'not the id of a charge' })
}

function originOf(apiUrl: string): URL {
  const url = URL.canParse(apiUrl) ? new URL(apiUrl) : undefined
  const plain = url !== undefined && /^https?:$/.test(url.protocol) && url.username === '' && url.password === ''
  if (!plain || url.pathname !== '/' || url.search !== '') {
    throw new OmiseSetupError('OMISE_BAD_URL', 'the API is at an http or https origin, such as https://api.omise.co')
  }
  return url
}

function livemodeOf(key: string, kind: 'skey' | 'pkey'): boolean {
  if (!new RegExp(`^${kind}_(test_)?[0-9A-Za-z]{1,64}$`).test(key)) {
    throw new OmiseSetupError('OMISE_BAD_KEY', `a key is ${kind}_ or ${kind}_test_ and then letters and digits`)
  }
  return !key.startsWith(`${kind}_test_`)
}

const basic = (key: string): string => `Basic ${Buffer.from(`${key}:`).toString('base64')}`
