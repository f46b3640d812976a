/**
 * What the sandbox keeps of each object, and how the API shows it: fields, order, types and amounts as in the
 * Order Code Payment page (API version 2019-05-29). Pure: every moment, id and random part comes in.
 */
import type { Currency } from '../../device/protocol/money.js'
import type { MethodName } from './account.js'

/** Milliseconds since 1970. The API shows whole seconds. */
export type Moment = number

export type Metadata = Readonly<Record<string, unknown>>
export type ImageFormat = 'svg' | 'png'

export const SOURCE_DETAILS = [
  'barcode', 'bank', 'email', 'ip', 'name', 'mobile_number', 'phone_number', 'platform_type', 'store_id', 'store_name', 'terminal_id',
] as const
export type SourceDetail = (typeof SOURCE_DETAILS)[number]

export interface SourceRecord {
  readonly id: string
  readonly amount: number
  readonly currency: Currency
  readonly type: MethodName
  readonly details: Readonly<Partial<Record<SourceDetail, string>>>
  readonly imageType: ImageFormat | null
  readonly createdAt: Moment
  /** A source is good for one charge. */
  readonly charge: string | null
}

export type ChargeState =
  | { readonly status: 'pending' }
  | { readonly status: 'successful'; readonly paidAt: Moment; readonly transaction: string }
  | { readonly status: 'failed'; readonly failureCode: string }
  | { readonly status: 'expired'; readonly expiredAt: Moment }

export interface ChargeRecord {
  readonly id: string
  readonly source: string
  readonly method: MethodName
  readonly amount: number
  readonly currency: Currency
  readonly feeBasisPoints: number
  readonly vatBasisPoints: number
  readonly description: string | null
  readonly metadata: Metadata
  readonly ip: string | null
  readonly returnUri: string | null
  readonly webhookEndpoints: readonly string[]
  readonly createdAt: Moment
  readonly expiresAt: Moment
  readonly state: ChargeState
  readonly refundable: boolean
  readonly refundedAmount: number
  readonly voided: boolean
  readonly document: { readonly id: string; readonly secret: string; readonly format: ImageFormat }
  /** The text inside the code: what a wallet reads. */
  readonly payload: string
}

export interface RefundRecord {
  readonly id: string
  readonly charge: string
  readonly amount: number
  readonly currency: Currency
  readonly metadata: Metadata
  readonly voided: boolean
  readonly transaction: string
  readonly createdAt: Moment
}

export type EventKey = 'charge.create' | 'charge.complete' | 'charge.expire' | 'charge.update' | 'refund.create'

export interface EventRecord {
  readonly id: string
  readonly key: EventKey
  readonly charge: string
  readonly createdAt: Moment
  /** The object as it was shown at that moment. */
  readonly data: unknown
}

export interface DeliveryRecord {
  readonly id: string
  readonly event: string
  readonly key: EventKey
  readonly uri: string
  /** null when no answer came; then `error` says why. */
  readonly status: number | null
  readonly error: string | null
  readonly payload: string
  readonly createdAt: Moment
}

/** What showing depends on besides the record. */
export interface Showing {
  readonly now: Moment
  /** Where downloads are served from, without a slash at the end. */
  readonly baseUrl: string
  readonly objectFields: 'seed document' | '2025'
  readonly rawData: boolean
  readonly disputableWhenPaid: boolean
}

/** '2023-09-20T09:37:06Z': whole seconds, rounded down. */
export const showMoment = (moment: Moment): string => new Date(moment).toISOString().replace(/\.\d+Z$/, 'Z')
export const wholeSecond = (moment: Moment): Moment => Math.floor(moment / 1_000) * 1_000

/** '1.65', '7.0', '0.0'. */
const showRate = (basisPoints: number): string =>
  (basisPoints % 100 === 0 ? (basisPoints / 100).toFixed(1) : String(basisPoints / 100))

/** Half a subunit goes up. Whole numbers all the way: at most 15_000_000 x 2_000. */
const portion = (amount: number, basisPoints: number): number => Math.floor((amount * basisPoints + 5_000) / 10_000)

export const documentPath = ({ id, document }: ChargeRecord): string => `/charges/${id}/documents/${document.id}`

export const showDocument = (charge: ChargeRecord, { baseUrl }: Showing) => ({
  object: 'document',
  livemode: false,
  id: charge.document.id,
  deleted: false,
  filename: `qrcode.${charge.document.format}`,
  location: documentPath(charge),
  kind: 'qr',
  download_uri: `${baseUrl}${documentPath(charge)}/downloads/${charge.document.secret}`,
  created_at: showMoment(charge.createdAt),
})

export function showSource(source: SourceRecord, charge: ChargeRecord | undefined, showing: Showing) {
  const added = showing.objectFields === '2025'
  const { details } = source
  return {
    object: 'source',
    id: source.id,
    livemode: false,
    location: `/sources/${source.id}`,
    amount: source.amount,
    barcode: details.barcode ?? null,
    bank: details.bank ?? null,
    created_at: showMoment(source.createdAt),
    currency: source.currency,
    email: details.email ?? null,
    flow: 'offline',
    installment_term: null,
    ip: details.ip ?? null,
    absorption_type: null,
    name: details.name ?? null,
    mobile_number: details.mobile_number ?? null,
    phone_number: details.phone_number ?? null,
    platform_type: details.platform_type ?? null,
    scannable_code: charge === undefined ? null : {
      object: 'barcode',
      type: 'qr',
      ...(showing.rawData ? { raw_data: charge.payload } : {}),
      image: showDocument(charge, showing),
    },
    ...(added ? { qr_settings: source.imageType === null ? null : { image_type: source.imageType } } : {}),
    billing: null,
    shipping: null,
    items: [],
    references: null,
    provider_references: null,
    store_id: details.store_id ?? null,
    store_name: details.store_name ?? null,
    terminal_id: details.terminal_id ?? null,
    type: source.type,
    zero_interest_installments: null,
    charge_status: charge?.state.status ?? 'unknown',
    receipt_amount: null,
    discounts: [],
    ...(added ? { promotion_code: null } : {}),
  }
}

/** Order Code Payment page, "Checking the charge status". Other codes have no text there. */
const FAILURE_MESSAGES: Readonly<Record<string, string>> = {
  payment_expired: 'Payment expired.',
  payment_rejected: 'Payment rejected by issuer.',
  insufficient_fund: 'Insufficient funds in the account or the payment method has reached its limit.',
  failed_processing: 'General payment processing failure.',
}

export function showCharge(charge: ChargeRecord, source: SourceRecord, refunds: readonly RefundRecord[], showing: Showing) {
  const { state, amount } = charge
  const added = showing.objectFields === '2025'
  const fee = portion(amount, charge.feeBasisPoints)
  const feeVat = portion(fee, charge.vatBasisPoints)
  const paid = state.status === 'successful'
  const paidAt = paid ? showMoment(state.paidAt) : null
  const failureCode = state.status === 'failed' ? state.failureCode : null
  const refundable = paid && charge.refundable && charge.refundedAmount < amount
  return {
    object: 'charge',
    id: charge.id,
    location: `/charges/${charge.id}`,
    amount,
    ...(added ? { acquirer_reference_number: null } : {}),
    net: amount - fee - feeVat,
    fee,
    fee_vat: feeVat,
    interest: 0,
    interest_vat: 0,
    funding_amount: amount,
    refunded_amount: charge.refundedAmount,
    transaction_fees: { fee_flat: '0.0', fee_rate: showRate(charge.feeBasisPoints), vat_rate: showRate(charge.vatBasisPoints) },
    platform_fee: { fixed: null, amount: null, percentage: null },
    currency: charge.currency,
    funding_currency: charge.currency,
    ip: charge.ip,
    refunds: showList({
      data: refunds.map(showRefund), limit: 20, offset: 0, total: refunds.length, location: `/charges/${charge.id}/refunds`,
      order: 'chronological', from: 0, to: showing.now,
    }),
    link: null,
    description: charge.description,
    metadata: charge.metadata,
    card: null,
    source: showSource(source, charge, showing),
    schedule: null,
    ...(added ? { linked_account: null } : {}),
    customer: null,
    dispute: null,
    transaction: paid ? state.transaction : null,
    failure_code: failureCode,
    failure_message: failureCode === null ? null : FAILURE_MESSAGES[failureCode] ?? null,
    ...(added ? { merchant_advice: null, merchant_advice_code: null } : {}),
    status: state.status,
    authorize_uri: null,
    return_uri: charge.returnUri,
    created_at: showMoment(charge.createdAt),
    paid_at: paidAt,
    ...(added ? { authorized_at: paidAt } : {}),
    expires_at: showMoment(charge.expiresAt),
    expired_at: state.status === 'expired' ? showMoment(state.expiredAt) : null,
    reversed_at: null,
    ...(added ? { multi_capture: false } : {}),
    zero_interest_installments: false,
    branch: null,
    terminal: null,
    device: null,
    authorized: paid,
    capturable: false,
    capture: true,
    disputable: paid && showing.disputableWhenPaid,
    livemode: false,
    refundable,
    ...(added ? { partially_refundable: refundable } : {}),
    reversed: false,
    reversible: false,
    voided: charge.voided,
    paid,
    expired: state.status === 'expired',
    ...(added ? { can_perform_void: refundable && charge.refundedAmount === 0, approval_code: null } : {}),
  }
}

export const showRefund = (refund: RefundRecord) => ({
  object: 'refund',
  id: refund.id,
  location: `/charges/${refund.charge}/refunds/${refund.id}`,
  livemode: false,
  voided: refund.voided,
  currency: refund.currency,
  amount: refund.amount,
  metadata: refund.metadata,
  charge: refund.charge,
  capture: null,
  terminal: null,
  transaction: refund.transaction,
  status: 'closed',
  funding_amount: refund.amount,
  funding_currency: refund.currency,
  created_at: showMoment(refund.createdAt),
  acquirer_reference_number: null,
  approval_code: null,
})

/** With no deliveries this is, printed, the body of the webhook itself. */
export const showEvent = (event: EventRecord, deliveries: readonly DeliveryRecord[]) => ({
  object: 'event',
  id: event.id,
  livemode: false,
  location: `/events/${event.id}`,
  webhook_deliveries: deliveries.map((delivery) => ({
    object: 'webhook_delivery',
    id: delivery.id,
    uri: delivery.uri,
    status: delivery.status,
    key: delivery.key,
    error: delivery.error,
    payload: delivery.payload,
    created_at: showMoment(delivery.createdAt).replace('T', ' ').replace('Z', ' UTC'),
  })),
  data: event.data,
  key: event.key,
  created_at: showMoment(event.createdAt),
})

export interface List {
  readonly data: readonly unknown[]
  readonly limit: number
  readonly offset: number
  readonly total: number
  readonly location: string
  readonly order: 'chronological' | 'reverse_chronological'
  readonly from: Moment
  readonly to: Moment
}

export const showList = (list: List) => ({
  object: 'list',
  data: list.data,
  limit: list.limit,
  offset: list.offset,
  total: list.total,
  location: list.location,
  order: list.order,
  from: showMoment(list.from),
  to: showMoment(list.to),
})
