/**
 * Everything one can ask of the sandbox, apart from HTTP: read the records, take the pure step, commit it together with
 * its event, then tell the merchant. The only timer is that of the next expiry; it is found again in the records after a
 * restart, so no expiry is ever forgotten.
 */
import type { Logger } from 'pino'
import type { Account } from './account.js'
import { codePayload, PAYLOAD_RANDOM_BYTES } from './code-payload.js'
import { type IdPrefix, objectId } from './object-id.js'
import {
  type ChargeRecord, type EventKey, type EventRecord, showCharge, showDocument,
  showEvent, type Showing, showList, showRefund, showSource,
  type SourceRecord, wholeSecond,
} from './objects.js'
import { type Answer, invalidCharge, notFound, type Refusal, refuse } from './refusals.js'
import {
  type Body, type ChargeRequest, type Page, parseCharge,
  parseChargeChange, parsePage, parseRefund, parseSource, refuseChargeAmount,
} from './requests.js'
import type { Listed, State } from './state.js'
import type { Switches } from './switches.js'
import { expire, lapse, type Outcome, refund, settle } from './transitions.js'
import type { Webhooks } from './webhooks.js'

export interface World {
  readonly account: Account
  readonly state: State
  readonly webhooks: Webhooks
  readonly switches: () => Switches
  readonly now: () => Date
  readonly random: (bytes: number) => Uint8Array
  readonly log: Logger
  readonly baseUrl: () => string
  /** Endpoints that hear of every charge, beside those the charge names itself. */
  readonly endpoints: () => readonly string[]
}

export type Operations = ReturnType<typeof createOperations>

const TIMER_MS_MAX = 60_000

export function createOperations(world: World) {
  const { account, state, webhooks, switches, log } = world
  const now = (): number => world.now().getTime()
  const id = (prefix: IdPrefix): string => objectId(prefix, now(), world.random(7))
  const showing = (): Showing => ({ now: now(), baseUrl: world.baseUrl(), ...switches() })
  let timer: NodeJS.Timeout | undefined

  /** The source of a charge is committed with it, so a charge without one is a broken state file. */
  const sourceOf = (charge: ChargeRecord): SourceRecord => {
    const source = state.source(charge.source)
    if (source === undefined) throw new Error(`charge ${charge.id} has lost its source ${charge.source}`)
    return source
  }
  const show = (charge: ChargeRecord) => showCharge(charge, sourceOf(charge), state.refunds(charge.id), showing())
  const found = (chargeId: string): Answer<ChargeRecord> => {
    const charge = state.charge(chargeId)
    return charge === undefined ? notFound('charge', chargeId) : { ok: charge }
  }
  const newEvent = (key: EventKey, charge: ChargeRecord, data: unknown): EventRecord =>
    ({ id: id('evnt'), key, charge: charge.id, createdAt: now(), data })
  const tell = (event: EventRecord, charge: ChargeRecord): void =>
    webhooks.send(event, [...world.endpoints(), ...charge.webhookEndpoints])

  /** Records a charge's next state and its event in one commit, then tells the merchant. */
  const move = (charge: ChargeRecord, key: EventKey) => {
    const shown = show(charge)
    const event = newEvent(key, charge, shown)
    state.commit({ charge, event })
    arm()
    if (key !== 'charge.update') {
      log.info({ charge: charge.id, status: shown.status, failureCode: shown.failure_code }, 'charge completed')
    }
    tell(event, charge)
    return shown
  }

  const arm = (): void => {
    clearTimeout(timer)
    const next = state.nextExpiry()
    if (next === undefined) return
    timer = setTimeout(sweep, Math.min(Math.max(next - now(), 1), TIMER_MS_MAX))
    timer.unref()
  }

  /** Ends every charge whose time is up. Also run before each request, so that nobody ever sees one overdue. */
  function sweep(): void {
    for (let due = state.due(now()); due.length > 0; due = state.due(now())) {
      for (const charge of due) {
        const lapsed = lapse(charge, switches())
        move(lapsed, lapsed.state.status === 'expired' ? 'charge.expire' : 'charge.complete')
      }
    }
    arm()
  }

  const newSource = (request: Pick<SourceRecord, 'amount' | 'currency' | 'type' | 'details' | 'imageType'>, charge: string | null): SourceRecord => {
    const { amount, currency, type, details, imageType } = request
    return { id: id('src'), amount, currency, type, details, imageType, createdAt: now(), charge }
  }

  const newCharge = (request: ChargeRequest, source: SourceRecord): ChargeRecord | Refusal => {
    const method = account.methods.find(({ name }) => name === source.type)
    if (method === undefined) return invalidCharge('source type is currently not supported').refused
    const refused = refuseChargeAmount(request.amount, method, account)
    if (refused !== undefined) return refused.refused
    const { feeRatePercent, documentFormat, qrSettings } = switches()
    const createdAt = now()
    return {
      id: id('chrg'),
      source: source.id,
      method: method.name,
      amount: request.amount,
      currency: account.currency,
      feeBasisPoints: feeRatePercent === null ? method.feeBasisPoints : Math.round(feeRatePercent * 100),
      vatBasisPoints: account.vatBasisPoints,
      description: request.description,
      metadata: request.metadata,
      ip: request.ip,
      returnUri: request.returnUri,
      webhookEndpoints: request.webhookEndpoints,
      createdAt,
      expiresAt: request.expiresAt ?? wholeSecond(createdAt) + method.lifetimeMs,
      state: { status: 'pending' },
      refundable: method.refundable,
      refundedAmount: 0,
      voided: false,
      document: {
        id: id('docu'),
        secret: Buffer.from(world.random(8)).toString('hex').toUpperCase(),
        format: (qrSettings === 'honoured' ? source.imageType : null) ?? documentFormat,
      },
      payload: codePayload(method.name, request.amount, account.currency, world.random(PAYLOAD_RANDOM_BYTES)),
    }
  }

  /** The source a new charge consumes: the one it names, or one made with it. */
  const sourceFor = (request: ChargeRequest): Answer<SourceRecord> => {
    const wanted = request.source
    if (!('id' in wanted)) {
      return { ok: newSource({ ...wanted, type: wanted.method.name, amount: request.amount, currency: account.currency }, null) }
    }
    const source = state.source(wanted.id)
    if (source === undefined) return notFound('source', wanted.id)
    const { sourceRefusalCode } = switches()
    if (source.charge !== null) return refuse(400, sourceRefusalCode, 'source was already used')
    if (source.amount !== request.amount) {
      return refuse(400, sourceRefusalCode, 'amount does not match the amount of the source')
    }
    if (source.currency !== account.currency) {
      return refuse(400, sourceRefusalCode, 'currency does not match the currency of the source')
    }
    return { ok: source }
  }

  const listed = <T>(query: Body, location: string, list: (page: Page) => Listed<T>, showOne: (item: T) => unknown): Answer<object> => {
    const page = parsePage(query, now(), switches())
    if ('refused' in page) return page
    const { data, total } = list(page.ok)
    return { ok: showList({ ...page.ok, data: data.map(showOne), total, location }) }
  }

  /** Events older than the retention do not exist any more. */
  const retained = (page: Page): Page => {
    const days = switches().eventRetentionDays
    return days === 0 ? page : { ...page, from: Math.max(page.from, now() - days * 86_400_000) }
  }
  const showWhole = (event: EventRecord) => showEvent(event, state.deliveries(event.id))

  return {
    sweep,
    stop: () => clearTimeout(timer),

    createSource(body: Body): Answer<object> {
      const request = parseSource(body, account)
      if ('refused' in request) return request
      const source = newSource(request.ok, null)
      state.commit({ source })
      return { ok: showSource(source, undefined, showing()) }
    },
    source(sourceId: string): Answer<object> {
      const source = state.source(sourceId)
      if (source === undefined) return notFound('source', sourceId)
      return { ok: showSource(source, source.charge === null ? undefined : state.charge(source.charge), showing()) }
    },

    createCharge(body: Body): Answer<object> {
      const request = parseCharge(body, account, now(), switches())
      if ('refused' in request) return request
      const source = sourceFor(request.ok)
      if ('refused' in source) return source
      const charge = newCharge(request.ok, source.ok)
      if ('code' in charge) return { refused: charge }
      const used = { ...source.ok, charge: charge.id }
      const shown = showCharge(charge, used, [], showing())
      const event = newEvent('charge.create', charge, shown)
      state.commit({ source: used, charge, event })
      arm()
      log.info({ charge: charge.id, amountMinor: charge.amount, currency: charge.currency }, 'charge created')
      tell(event, charge)
      return { ok: shown }
    },
    charge(chargeId: string): Answer<object> {
      const charge = found(chargeId)
      return 'refused' in charge ? charge : { ok: show(charge.ok) }
    },
    charges: (query: Body) => listed(query, '/charges', state.listCharges, show),
    changeCharge(chargeId: string, body: Body): Answer<object> {
      const charge = found(chargeId)
      return 'refused' in charge ? charge : { ok: move({ ...charge.ok, ...parseChargeChange(body) }, 'charge.update') }
    },
    expireCharge(chargeId: string): Answer<object> {
      const charge = found(chargeId)
      if ('refused' in charge) return charge
      const expired = expire(charge.ok, now(), switches())
      return 'refused' in expired ? expired : { ok: move(expired.ok, 'charge.expire') }
    },
    markCharge(chargeId: string, as: 'paid' | 'failed'): Answer<object> {
      const charge = found(chargeId)
      if ('refused' in charge) return charge
      const { markRefusalCode, markAsFailedCode } = switches()
      if (charge.ok.state.status !== 'pending') return refuse(400, markRefusalCode, 'charge is not pending')
      const settled = settle(charge.ok, as === 'paid' ? null : markAsFailedCode, { now: now(), transaction: id('trxn') }, switches())
      return settled === undefined ? refuse(400, markRefusalCode, 'charge is not pending') : { ok: move(settled, 'charge.complete') }
    },
    /** `reverse` and `capture` are for cards: refused for every charge there is. */
    refuseCardOnly(chargeId: string, refusal: Refusal): Answer<object> {
      const charge = found(chargeId)
      return 'refused' in charge ? charge : { refused: refusal }
    },

    createRefund(chargeId: string, body: Body): Answer<object> {
      const charge = found(chargeId)
      if ('refused' in charge) return charge
      const request = parseRefund(body)
      if ('refused' in request) return request
      const given = { now: now(), id: id('rfnd'), transaction: id('trxn') }
      const refunded = refund(charge.ok, state.refunds(chargeId).length, request.ok, given, switches())
      if ('refused' in refunded) return refunded
      const shown = showRefund(refunded.ok.refund)
      const event = newEvent('refund.create', charge.ok, shown)
      state.commit({ ...refunded.ok, event })
      log.info({ charge: chargeId, refund: shown.id, amountMinor: shown.amount, voided: shown.voided }, 'refund created')
      tell(event, charge.ok)
      return { ok: shown }
    },
    refund(chargeId: string, refundId: string): Answer<object> {
      const refund = state.refunds(chargeId).find((one) => one.id === refundId)
      return refund === undefined ? notFound('refund', refundId) : { ok: showRefund(refund) }
    },
    refundsOf(chargeId: string, query: Body): Answer<object> {
      const charge = found(chargeId)
      if ('refused' in charge) return charge
      return listed(query, `/charges/${chargeId}/refunds`, (page) => state.listRefunds(page, chargeId), showRefund)
    },
    refunds: (query: Body) => listed(query, '/refunds', state.listRefunds, showRefund),

    eventsOf(chargeId: string, query: Body): Answer<object> {
      const charge = found(chargeId)
      if ('refused' in charge) return charge
      return listed(query, `/charges/${chargeId}/events`, (page) => state.listEvents(retained(page), chargeId), showWhole)
    },
    events: (query: Body) => listed(query, '/events', (page) => state.listEvents(retained(page)), showWhole),
    event(eventId: string): Answer<object> {
      const event = state.event(eventId)
      const days = switches().eventRetentionDays
      if (event === undefined || (days > 0 && event.createdAt < now() - days * 86_400_000)) return notFound('event', eventId)
      return { ok: showWhole(event) }
    },

    document(chargeId: string, documentId: string): Answer<object> {
      const charge = state.charge(chargeId)
      return charge?.document.id === documentId ? { ok: showDocument(charge, showing()) } : notFound('document', documentId)
    },
    /** The charge whose code may be seen with this capability. */
    documentOf(chargeId: string, documentId: string, secret: string): ChargeRecord | undefined {
      const charge = state.charge(chargeId)
      return charge?.document.id === documentId && charge.document.secret === secret ? charge : undefined
    },

    /** What a wallet learns from the code's text. */
    scan: (payload: string): ChargeRecord | undefined => state.chargeOfPayload(payload),
    /** What the bank does when the customer confirms. Undefined when the charge can no longer be paid. */
    pay(charge: ChargeRecord, outcome: Outcome) {
      const current = state.charge(charge.id) ?? charge
      const settled = settle(current, outcome === 'paid' ? null : outcome, { now: now(), transaction: id('trxn') }, switches())
      return settled === undefined ? undefined : move(settled, 'charge.complete')
    },
  }
}
