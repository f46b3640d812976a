/**
 * What a client asks for, parsed once from a form or JSON body into plain values, or refused in Omise's words. Pure.
 * A form carries every value as text, JSON may carry numbers: both are read.
 */
import { type Account, findMethod, type Method } from './account.js'
import { type ImageFormat, type Metadata, type Moment, SOURCE_DETAILS, type SourceRecord, wholeSecond } from './objects.js'
import { type Answer, badRequest, invalidCharge, notFound, refuse } from './refusals.js'
import type { Switches } from './switches.js'
import type { RefundRequest } from './transitions.js'

export type Body = Readonly<Record<string, unknown>>

/** Anything that is not an object with names in it is an empty one. */
export const asBody = (value: unknown): Body =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Body) : {} // narrowed by the line above

export interface SourceRequest extends Pick<SourceRecord, 'amount' | 'currency' | 'type' | 'details' | 'imageType'> {
  readonly method: Method
}

export interface ChargeRequest {
  readonly amount: number
  /** An existing source's id, or what is needed to make one. */
  readonly source: { readonly id: string } | Pick<SourceRequest, 'method' | 'details' | 'imageType'>
  readonly description: string | null
  readonly metadata: Metadata
  readonly ip: string | null
  readonly returnUri: string | null
  readonly webhookEndpoints: readonly string[]
  readonly expiresAt: Moment | null
}

const URL_LENGTH_MAX = 2_048
const WEBHOOK_ENDPOINTS_MAX = 2

export function parseSource(body: Body, account: Account): Answer<SourceRequest> {
  const amount = wholeNumber(body['amount'])
  if (amount === undefined) return badRequest('amount is not a number')
  if (!sameCurrency(body['currency'], account)) return badRequest('currency is currently not supported')
  const method = findMethod(account, body['type'])
  if (method === undefined) return badRequest('type is currently not supported')
  if (amount < method.minAmount) return badRequest(`amount must be at least ${method.minAmount}`)
  if (amount > method.maxAmount) return badRequest(`amount must be less than ${method.maxAmount}`)
  return { ok: { amount, currency: account.currency, type: method.name, method, ...sourceDetails(body) } }
}

export function parseCharge(body: Body, account: Account, now: Moment, rules: Switches): Answer<ChargeRequest> {
  const amount = wholeNumber(body['amount'])
  if (amount === undefined) return refuse(400, 'invalid_amount', 'amount is not a number')
  if (!sameCurrency(body['currency'], account)) return invalidCharge('currency is currently not supported')
  const source = chargeSource(body['source'], account)
  if ('refused' in source) return source
  const expiresAt = chargeExpiry(body['expires_at'], now, rules)
  if ('refused' in expiresAt) return expiresAt
  const webhookEndpoints = endpoints(body['webhook_endpoints'])
  if ('refused' in webhookEndpoints) return webhookEndpoints
  return {
    ok: {
      amount,
      source: source.ok,
      description: text(body['description']) ?? null,
      metadata: asBody(body['metadata']),
      ip: text(body['ip']) ?? null,
      returnUri: text(body['return_uri']) ?? null,
      webhookEndpoints: webhookEndpoints.ok,
      expiresAt: expiresAt.ok,
    },
  }
}

/** The texts of both limits of a charge; the lower one is recorded, the upper one follows it. */
export function refuseChargeAmount(amount: number, { minAmount, maxAmount }: Method, account: Account) {
  const unit = `(${account.currency.toLowerCase()} subunits)`
  if (amount < minAmount) return invalidCharge(`amount must be greater than or equal to ${minAmount} ${unit}`)
  if (amount > maxAmount) return invalidCharge(`amount must be less than or equal to ${maxAmount} ${unit}`)
  return undefined
}

export const sameCurrency = (value: unknown, { currency }: Account): boolean =>
  typeof value === 'string' && value.toUpperCase() === currency

export interface ChargeChange {
  readonly description?: string | null
  readonly metadata?: Metadata
}

/** PATCH changes these two and nothing else. */
export const parseChargeChange = (body: Body): ChargeChange => ({
  ...('description' in body ? { description: text(body['description']) ?? null } : {}),
  ...('metadata' in body ? { metadata: asBody(body['metadata']) } : {}),
})

export function parseRefund(body: Body): Answer<RefundRequest> {
  const amount = wholeNumber(body['amount'])
  if (amount === undefined) return refuse(400, 'invalid_amount', 'amount is not a number')
  return { ok: { amount, metadata: asBody(body['metadata']), voidOnly: body['void'] === true || body['void'] === 'true' } }
}

export interface Page {
  readonly from: Moment
  readonly to: Moment
  readonly offset: number
  readonly limit: number
  readonly order: 'chronological' | 'reverse_chronological'
}

const LIST_LIMIT = 20
const LIST_LIMIT_MAX = 100

export function parsePage(query: Body, now: Moment, rules: Switches): Answer<Page> {
  const from = query['from'] === undefined ? 0 : moment(query['from'])
  const to = query['to'] === undefined ? now : moment(query['to'])
  if (from === undefined || to === undefined) return badRequest('from and to must be dates in ISO 8601')
  const offset = query['offset'] === undefined ? 0 : wholeNumber(query['offset'])
  if (offset === undefined || offset < 0) return badRequest('offset must be 0 or more')
  const limit = query['limit'] === undefined ? LIST_LIMIT : wholeNumber(query['limit'])
  if (limit === undefined || limit < 1) return badRequest('limit must be 1 or more')
  if (limit > LIST_LIMIT_MAX && rules.limitAboveMax === 'refused') {
    return badRequest(`limit must be ${LIST_LIMIT_MAX} or less`)
  }
  const order = query['order'] ?? 'chronological'
  if (order !== 'chronological' && order !== 'reverse_chronological') {
    return badRequest('order must be chronological or reverse_chronological')
  }
  return { ok: { from, to, offset, limit: Math.min(limit, LIST_LIMIT_MAX), order } }
}

function chargeSource(value: unknown, account: Account): Answer<ChargeRequest['source']> {
  if (typeof value === 'string' && value !== '') return { ok: { id: value } }
  if (typeof value !== 'object' || value === null) return notFound('source', '')
  const body = asBody(value)
  const method = findMethod(account, body['type'])
  if (method === undefined) return badRequest('type is currently not supported')
  return { ok: { method, ...sourceDetails(body) } }
}

function sourceDetails(body: Body): Pick<SourceRequest, 'details' | 'imageType'> {
  const given = SOURCE_DETAILS.flatMap((name) => {
    const value = text(body[name])
    return value === undefined ? [] : [[name, value] as const]
  })
  const wanted = asBody(body['qr_settings'])['image_type']
  const imageType: ImageFormat | null = wanted === 'svg' || wanted === 'png' ? wanted : null
  return { details: Object.fromEntries(given), imageType }
}

function chargeExpiry(value: unknown, now: Moment, rules: Switches): Answer<Moment | null> {
  if (value === undefined || value === null || value === '') return { ok: null }
  const at = moment(value)
  if (at === undefined) return invalidCharge('expires_at is invalid')
  if (rules.expiresAt === 'ignored') return { ok: null }
  if (at <= now + rules.expiresAtMinMs) return invalidCharge('expires_at is too soon')
  if (at > now + rules.expiresAtMaxMs) return invalidCharge('expires_at is too late')
  return { ok: wholeSecond(at) }
}

function endpoints(value: unknown): Answer<readonly string[]> {
  if (value === undefined || value === null) return { ok: [] }
  const list: readonly unknown[] = Array.isArray(value) ? value : [value]
  if (list.length > WEBHOOK_ENDPOINTS_MAX) {
    return invalidCharge(`webhook_endpoints must be ${WEBHOOK_ENDPOINTS_MAX} or fewer`)
  }
  const urls = list.filter(isWebUrl)
  return urls.length === list.length ? { ok: urls } : invalidCharge('webhook_endpoints is invalid')
}

/** https is what Omise demands; http is taken too, since the sandbox lives on one machine. */
export const isWebUrl = (value: unknown): value is string =>
  typeof value === 'string' && value.length <= URL_LENGTH_MAX && /^https?:\/\//.test(value) && URL.canParse(value)

function wholeNumber(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value : undefined
  return typeof value === 'string' && /^-?[0-9]{1,15}$/.test(value) ? Number(value) : undefined
}

const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined

const TIME = /^T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})$/

/** '2023-09-20', '2023-09-20T09:37:06Z', with a fraction or an offset. */
function moment(value: unknown): Moment | undefined {
  const [date = '', time = 'T00:00Z', rest] = typeof value === 'string' ? value.split(/(?=T)/) : []
  if (!/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(date) || !TIME.test(time) || rest !== undefined) return undefined
  const at = Date.parse(date + time)
  return Number.isNaN(at) ? undefined : at
}
