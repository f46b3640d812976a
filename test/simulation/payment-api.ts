/**
 * Omise in process, behind the promise of cloud/omise.ts: the truth about money in a simulated world. Charges live by the
 * sandbox's own transitions, so one set of rules serves both stand-ins. Codes come as text: no picture is drawn or read.
 *
 * Between a gateway and this truth lies a network: what is asked may be lost, or done late; answers may be lost.
 */
import type { Answer, Charge, Event, Metadata, NoAnswer, Omise, Page, Paging, Refund } from '../../cloud/omise.js'
import { ACCOUNTS } from '../../cloud/sandbox/account.js'
import { codePayload, PAYLOAD_RANDOM_BYTES } from '../../cloud/sandbox/code-payload.js'
import { type ChargeRecord, type EventKey, type RefundRecord, showMoment, wholeSecond } from '../../cloud/sandbox/objects.js'
import { Switches } from '../../cloud/sandbox/switches.js'
import { expire, lapse, refund, settle } from '../../cloud/sandbox/transitions.js'
import type { Hint } from '../../cloud/webhook.js'
import type { Dice } from './dice.js'
import type { Engine, Life } from './engine.js'
import type { Faults } from './faults.js'

/** What the all-seeing oracle is told. */
export interface ApiWitness {
  /** A charge came to be, or changed. */
  changed(charge: ChargeRecord, before: ChargeRecord | undefined): void
  /** A gateway asks for a refund; it may arrive, or not, or later. */
  refundAsked(charge: string): void
  refunded(refund: RefundRecord, by: 'gateway' | 'dashboard'): void
  /** This is what a gateway was told of a charge. */
  read(charge: Charge): void
  /** A gateway was told the refunds of a charge. */
  refundsRead(charge: string): void
}

export interface ApiOptions {
  readonly engine: Engine
  readonly faults: Faults
  readonly chance: Dice
  /** Milliseconds since 1970 when the world began. */
  readonly epoch: number
  /** Whether a charge may choose when it expires; else it lives for a day. */
  readonly honoursExpiresAt: boolean
  readonly witness: ApiWitness
  readonly deliver: (hint: Hint) => void
}

export interface PaymentApi {
  /** The client of one gateway process. */
  client(life: Life): Omise
  /** What a wallet sees that reads this text; undefined when no charge has it. */
  scan(payload: string): ChargeRecord | undefined
  /** The bank's word on a payment. */
  settle(charge: string, failureCode: string | null): 'paid' | 'failed' | 'refused'
  /** The customer goes to the bank. */
  dispute(charge: string): void
  /** Somebody at the merchant's dashboard gives money back. */
  refundElsewhere(charge: string, amount: number): void
  /** Nobody reaches it until then. */
  goDown(ms: number): void
  /** The faults are over; what is on its way arrives. */
  heal(): void
  charges(): readonly ChargeRecord[]
  charge(id: string): ChargeRecord | undefined
  refunds(charge: string): readonly RefundRecord[]
}

const ACCOUNT = ACCOUNTS.TH
const WRITE_MS = 10_000
const READ_MS = 5_000
const READ_ATTEMPTS = 3
const RULES = Switches.parse({})
const LATE_RULES: Switches = { ...RULES, payAfterExpire: 'succeeds' }

type Kind = 'create' | 'read' | 'list' | 'expire' | 'refund'
const isWrite = (kind: Kind): boolean => kind === 'create' || kind === 'expire' || kind === 'refund'

export function createPaymentApi(options: ApiOptions): PaymentApi {
  const { engine, faults, chance, epoch, honoursExpiresAt, witness, deliver } = options
  const charges = new Map<string, ChargeRecord>()
  const order: string[] = []
  const ofPayload = new Map<string, string>()
  const refunds = new Map<string, RefundRecord[]>()
  const events: Event[] = []
  const shown = new WeakMap<ChargeRecord, Charge>()
  let minted = 0
  let downUntil = -1

  const now = (): number => epoch + engine.now()
  const id = (prefix: string): string => `${prefix}_test_${String(++minted).padStart(6, '0')}${chance.hex(8)}`
  const current = (charge: string): ChargeRecord => {
    const found = charges.get(charge)
    if (found === undefined) throw new Error(`no charge ${charge}`)
    return found
  }

  // -- The truth ---------------------------------------------------------------------------------------------------

  function put(charge: ChargeRecord, key: EventKey): void {
    const before = charges.get(charge.id)
    charges.set(charge.id, charge)
    if (before === undefined) {
      order.push(charge.id)
      ofPayload.set(charge.payload, charge.id)
      engine.at(charge.expiresAt - epoch, 'charge lapses', () => {
        if (current(charge.id).state.status === 'pending') put(lapse(current(charge.id), RULES), 'charge.expire')
      })
    }
    engine.note('api', key, `${charge.id} ${charge.state.status} ${charge.refundedAmount}`)
    witness.changed(charge, before)
    happened(key, charge.id, charge.id)
  }

  function happened(key: EventKey | 'dispute.create', objectId: string, charge: string): void {
    const kind = key.slice(0, key.indexOf('.'))
    const event: Event = { id: id('evnt'), key, livemode: false, createdAt: showMoment(now()), objectKind: kind, objectId, charge }
    events.push(event)
    const hint: Hint = { event: event.id, key, objectKind: kind, objectId, charge, livemode: false }
    const send = (ms: number): void => { engine.after(ms, 'webhook', () => deliver(hint)) }
    const usual = chance.between(100, 1_500)
    if (faults.strikes('webhook lost', 'api') !== undefined) return
    const late = faults.strikes('webhook late', 'api')
    if (faults.strikes('webhook early', 'api') !== undefined) send(0)
    else send(late === undefined ? usual : 5_000 + late * late * 3_600_000)
    const again = faults.strikes('webhook duplicated', 'api')
    if (again !== undefined) send(usual + again * 120_000)
  }

  function create(asked: Parameters<Omise['chargeNewSource']>[0]): Answer<Charge> {
    const method = ACCOUNT.methods.find(({ name }) => name === asked.method)
    if (method === undefined) return refused('invalid_charge', 'source type is currently not supported')
    const expiresAt = honoursExpiresAt && asked.expiresAt !== undefined ? Date.parse(asked.expiresAt) : wholeSecond(now()) + method.lifetimeMs
    if (asked.amountMinor < method.minAmount || asked.amountMinor > method.maxAmount || asked.currency !== ACCOUNT.currency) {
      return refused('invalid_charge', 'amount is outside the limits')
    }
    // Only a gateway whose clock is wrong asks for it.
    if (expiresAt <= now() || expiresAt > now() + RULES.expiresAtMaxMs) return refused('invalid_charge', 'expires_at is out of bounds')
    const random = Uint8Array.from({ length: PAYLOAD_RANDOM_BYTES }, () => chance.whole(0, 255))
    const charge: ChargeRecord = {
      id: id('chrg'), source: id('src'), method: method.name, amount: asked.amountMinor, currency: ACCOUNT.currency,
      feeBasisPoints: method.feeBasisPoints, vatBasisPoints: ACCOUNT.vatBasisPoints, description: asked.description ?? null,
      metadata: asked.metadata, ip: null, returnUri: null, webhookEndpoints: [], createdAt: now(), expiresAt,
      state: { status: 'pending' }, refundable: method.refundable, refundedAmount: 0, voided: false,
      document: { id: 'docu', secret: '', format: 'svg' },
      payload: codePayload(method.name, asked.amountMinor, ACCOUNT.currency, random),
    }
    put(charge, 'charge.create')
    return ok(show(charge))
  }

  function end(charge: string): Answer<Charge> {
    const answer = expire(current(charge), now(), RULES)
    if ('refused' in answer) return refused(answer.refused.code, answer.refused.message)
    put(answer.ok, 'charge.expire')
    return ok(show(answer.ok))
  }

  function giveBack(charge: string, amount: number, metadata: Metadata, by: 'gateway' | 'dashboard'): Answer<Refund> {
    const earlier = refunds.get(charge) ?? []
    const answer = refund(
      current(charge), earlier.length, { amount, metadata, voidOnly: false },
      { now: now(), id: id('rfnd'), transaction: id('trxn') }, RULES)
    if ('refused' in answer) return refused(answer.refused.code, answer.refused.message)
    const made = answer.ok.refund
    const before = current(charge)
    refunds.set(charge, [...earlier, made])
    charges.set(charge, answer.ok.charge)
    engine.note('api', 'refund.create', `${charge} ${amount} by ${by}`)
    witness.refunded(made, by)
    witness.changed(answer.ok.charge, before)
    happened('refund.create', made.id, charge)
    return ok(showRefund(made))
  }

  function show(charge: ChargeRecord): Charge {
    const known = shown.get(charge)
    if (known !== undefined) return known
    const { state } = charge
    const feeMinor = portion(charge.amount, charge.feeBasisPoints)
    const feeVatMinor = portion(feeMinor, charge.vatBasisPoints)
    const fresh: Charge = {
      id: charge.id, amountMinor: charge.amount, currency: charge.currency, status: state.status, paid: state.status === 'successful',
      livemode: false, expiresAt: showMoment(charge.expiresAt), paidAt: state.status === 'successful' ? showMoment(state.paidAt) : undefined,
      createdAt: showMoment(charge.createdAt), failureCode: state.status === 'failed' ? state.failureCode : undefined,
      failureMessage: undefined, metadata: charge.metadata, code: { payload: charge.payload }, feeMinor, feeVatMinor,
      netMinor: charge.amount - feeMinor - feeVatMinor, refundedMinor: charge.refundedAmount, voided: charge.voided,
      method: charge.method, source: charge.source,
    }
    shown.set(charge, fresh)
    return fresh
  }

  // -- The way to it -----------------------------------------------------------------------------------------------

  /** One request. It arrives or not, is answered or not; the truth does not know which. */
  function attempt<T>(kind: Kind, life: Life, execute: () => Answer<T>): Promise<Answer<T>> {
    const waitMs = isWrite(kind) ? WRITE_MS : READ_MS
    const there = chance.between(15, 120)
    const back = chance.between(15, 120)
    return new Promise((resolve) => {
      if (!life.alive) return
      const arrive = (ms: number, then: (answer: Answer<T>) => void): void => {
        engine.after(ms, `api ${kind}`, () => then(execute()))
      }
      const answer = (ms: number, told: Answer<T>): void => {
        engine.after(ms, `api answers ${kind}`, () => resolve(told), life)
      }
      if (engine.now() < downUntil) return answer(there, none('unreachable'))
      if (faults.strikes('API request lost', kind) !== undefined) return answer(waitMs, none('timeout'))
      if (faults.strikes('API failed', kind) !== undefined) return answer(there + back, none('server error'))
      const late = isWrite(kind) ? faults.strikes('API executed late', kind) : undefined
      if (late !== undefined) {
        arrive(waitMs + late * 60_000, () => undefined)
        return answer(waitMs, none('timeout'))
      }
      if (kind === 'create' || kind === 'refund') {
        if (faults.strikes('API refused', kind) !== undefined) return answer(there + back, refused('service_unavailable_for_you', 'no'))
      }
      const lost = faults.strikes(kind === 'refund' ? 'refund answer lost' : 'API answer lost', kind)
      if (lost !== undefined) {
        arrive(there, () => undefined)
        return answer(lost < 0.5 ? waitMs : there + back, none(lost < 0.5 ? 'timeout' : 'network'))
      }
      arrive(there, (told) => answer(back, told))
    })
  }

  const pause = (ms: number, life: Life): Promise<void> => new Promise((resolve) => { engine.after(ms, 'api client waits', resolve, life) })

  /** Reads are repeated, as the real client does. */
  async function ask<T>(kind: Kind, life: Life, execute: () => Answer<T>, told: (value: T) => void): Promise<Answer<T>> {
    const attempts = isWrite(kind) ? 1 : READ_ATTEMPTS
    for (let tries = 1; ; tries++) {
      const answer = await attempt(kind, life, execute)
      if (!life.alive) return new Promise(() => undefined)
      if (answer.answer === 'ok') told(answer.value)
      if (answer.answer === 'ok' && kind === 'read' && faults.strikes('API says something new', kind) !== undefined) return renewed(answer)
      if (answer.answer !== 'none' || tries >= attempts) return answer
      await pause(200 * 2 ** (tries - 1), life)
    }
  }

  /** A page as the list stood a moment ago. */
  function page<T>(all: readonly T[], createdAt: (item: T) => number, { from, limit = 20, offset = 0, order: way }: Paging): Page<T> {
    const lag = faults.strikes('list lagging', 'api')
    const until = lag === undefined ? Infinity : now() - 500 - lag * lag * 60_000
    const since = from === undefined ? 0 : wholeSecond(Date.parse(from))
    let first = all.length
    while (first > 0 && createdAt(all[first - 1]!) >= since) first--
    let last = all.length
    while (last > first && createdAt(all[last - 1]!) > until) last--
    const listed = all.slice(first, last)
    if (way === 'reverse_chronological') listed.reverse()
    return { items: listed.slice(offset, offset + Math.min(limit, 100)), unreadable: 0, total: listed.length, offset, limit }
  }

  const seen = (charge: Charge): void => witness.read(charge)
  /** A word for its status that nobody has published yet; so money in it is not said to be paid. */
  const renewed = <T>(answer: { readonly answer: 'ok'; readonly value: T }): Answer<T> =>
    (typeof answer.value === 'object' && answer.value !== null && 'status' in answer.value && answer.value.status === 'pending'
      ? { ...answer, value: { ...answer.value, status: 'under_review' } } : answer)
 const missing = (): Answer<never> => refused('not_found', 'charge was not found', 404)
  const idle = (): Promise<never> => Promise.reject(new Error('the simulation does not play this part of the API'))

  const client = (life: Life): Omise => ({
    livemode: false,
    createSource: idle,
    chargeSource: idle,
    capability: idle,
    chargeEvents: idle,
    downloadCode: idle,
    chargeNewSource: (terms) => ask('create', life, () => create(terms), seen),
    retrieveCharge: (charge) =>
      ask('read', life, () => (charges.has(charge) ? ok(show(current(charge))) : missing()), seen),
    expireCharge: (charge) => ask('expire', life, () => (charges.has(charge) ? end(charge) : missing()), seen),
    listCharges: (paging) => ask('list', life, () => {
      const found = page(order, (charge) => current(charge).createdAt, paging)
      return ok({ ...found, items: found.items.map((charge) => show(current(charge))) })
    }, ({ items }) => items.forEach(seen)),
    refundCharge(charge, { amountMinor, metadata }) {
      if (life.alive) witness.refundAsked(charge)
      return ask('refund', life, () => (charges.has(charge) ? giveBack(charge, amountMinor, metadata, 'gateway') : missing()), () => undefined)
    },
    listRefunds: (charge, paging = {}) => ask('list', life, () => {
      const found = page(refunds.get(charge) ?? [], ({ createdAt }) => createdAt, { ...paging })
      return ok({ ...found, items: found.items.map(showRefund) })
    }, () => witness.refundsRead(charge)),
    listEvents: (paging) => ask('list', life, () => ok(page(events, ({ createdAt }) => Date.parse(createdAt), paging)), () => undefined),
    reachable: async () => (await attempt('read', life, () => ok(true))).answer !== 'none',
  })

  return {
    client,
    scan: (payload) => charges.get(ofPayload.get(payload) ?? ''),
    settle(charge, failureCode) {
      const before = current(charge)
      const isLate = before.state.status === 'expired' && failureCode === null && faults.strikes('paid after expiry', 'bank') !== undefined
      const after = settle(before, failureCode, { now: now(), transaction: id('trxn') }, isLate ? LATE_RULES : RULES)
      if (after === undefined) return 'refused'
      put(after, 'charge.complete')
      return failureCode === null ? 'paid' : 'failed'
    },
    dispute(charge) {
      engine.note('api', 'dispute.create', charge)
      happened('dispute.create', id('dspt'), charge)
    },
    refundElsewhere(charge, amount) {
      if (current(charge).state.status === 'successful') giveBack(charge, amount, {}, 'dashboard')
    },
    goDown(ms) { downUntil = Math.max(downUntil, engine.now() + ms) },
    heal() { downUntil = -1 },
    charges: () => order.map(current),
    charge: (charge) => charges.get(charge),
    refunds: (charge) => refunds.get(charge) ?? [],
  }
}

const ok = <T>(value: T): Answer<T> => ({ answer: 'ok', value })
const none = (because: NoAnswer): Answer<never> => ({ answer: 'none', because, text: because })
const refused = (code: string, message: string, status = 400): Answer<never> => ({ answer: 'refused', status, code, message })

/** Half a subunit goes up, as the sandbox rounds. */
const portion = (amount: number, basisPoints: number): number => Math.floor((amount * basisPoints + 5_000) / 10_000)

const showRefund = (it: RefundRecord): Refund => ({
  id: it.id, charge: it.charge, amountMinor: it.amount, currency: it.currency, livemode: false, voided: it.voided,
  metadata: it.metadata, createdAt: showMoment(it.createdAt),
})
