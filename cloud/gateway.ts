/**
 * The gateway's shell: requests of terminals, hints of webhooks and deadlines in; charge.ts steps; state, ledger and
 * words are committed together; then words are said and commands are done at the API.
 * One lane a sale: its events are handled one at a time, in order. Nothing here decides about money.
 */
import type { Logger } from 'pino'
import type { OpenSeal, PublicKeyJson, Seal } from '../device/protocol/seal.js'
import {
  downTopic, type DownMessage, type Order, referenceOf, terminalOfUpTopic, type UpMessage, WIRE_VERSION,
} from '../device/protocol/wire.js'
import {
  deadline, type Effect, type Event, type Given, initial, restore, type State, step, type Step, type Terms, type Word,
} from './charge.js'
import { type ChargeEffects, saleOf } from './charge-effects.js'
import type { Clock } from './clock.js'
import type { Charge } from './omise.js'
import { type Boots, type Outgoing, type Store, StoreError } from './store.js'
import type { TerminalLink } from './terminal-link.js'
import type { Hint } from './webhook.js'

export interface Gateway {
  /** Takes up every sale that was open when we stopped, then listens. */
  start(): Promise<void>
  /** A webhook said that something happened to a charge. It is a reason to look, nothing more. False: no sale has this charge. */
  hint(hint: Hint): Promise<boolean>
  /** The sweeper came across a charge, and read what it is. False: it could not be dealt with now. */
  see(charge: Charge): Promise<boolean>
  disputed(charge: string): Promise<boolean>
  /** What was refused, by reason: malformed, oversized, foreign, unsigned, unknown. */
  refused(): Readonly<Record<string, number>>
  stop(): Promise<void>
}

export interface Tools {
  readonly store: Store
  readonly link: TerminalLink
  readonly effects: ChargeEffects
  readonly seal: Seal
  /** Opens what the holder of this key sealed. */
  readonly createOpener: (key: PublicKeyJson) => Promise<OpenSeal<UpMessage>>
  readonly terms: Terms
  readonly clock: Clock
  /** Called when nothing may go on: another gateway works on our database. Must end this process. */
  readonly fatal: (error: unknown) => void
  readonly log: Logger
}

/** A terminal that has not said hello to us by then has no link: until then its requests may be for an earlier life of ours. */
const LOOK_FIRST_MS = 90_000
/**
 * Two boots that take turns this often, within this time, are two boxes. Hellos that waited in a broker come in one burst, and a
 * late one comes once; two boxes push each other off the broker every half a minute or faster.
 */
const RETURNS_MAX = 4
const RETURNS_MS = 600_000
const BURST_MS = 5_000
const REPLY_KEPT_MS = 7 * 86_400_000
const PRUNE_EVERY_MS = 3_600_000
const SAY_RETRY_MS = 2_000
const CLOCK_SET_BACK_MS = 60_000
/** Before a step that failed is tried again. */
const RECALL_MS = 1_000
const OUTBOX_BATCH = 100
const LOOK_EVERY_MS = 3_000
const HEARD_MAX = 10_000
/** Sales being worked on at once; further requests wait for the terminal to ask again. */
const LANES_MAX = 10_000
/** A terminal has one sale at a time; who opens more with its key makes charges, and looks at them, without end. */
const OPEN_SALES_MAX = 16

export function createGateway({ store, link, effects, seal, createOpener, terms, clock, fatal, log }: Tools): Gateway {
  const lanes = new Map<string, Promise<boolean>>()
  const deadlines = new Map<string, number>()
  const openers = new Map<string, Promise<OpenSeal<UpMessage>>>()
  const refusals: Record<string, number> = {}
  /** Terminals that said hello to us, with the sales they had begun before. */
  const greeted = new Map<string, ReadonlySet<string>>()
  /** Webhooks taken already: a delivery that is repeated causes no second read. */
  const heard = new Set<string>()
  let counter = 0
  let startedAt = 0
  let looked: { readonly at: number; readonly answer: Promise<boolean> } | undefined
  let cancelAlarm = (): void => undefined
  let cancelRetry = (): void => undefined
  let cancelPrune = (): void => undefined
  let saying: Promise<void> | undefined
  let sayAgain = false
  let stopped = false

  const given = (lookFirst = true): Given => ({ now: clock.now(), terms, lookFirst })

  /** An earlier life of ours, with newer records than we have, may have made a charge of this sale. */
  function mayBeKnown(terminal: string, sale: string): boolean {
    const named = greeted.get(terminal)
    return named === undefined ? clock.now() < startedAt + LOOK_FIRST_MS : named.has(sale)
  }

  // -- What comes in ---------------------------------------------------------------------------------------------

  function refuse(because: string, fields: object): void {
    refusals[because] = (refusals[because] ?? 0) + 1
    log.warn({ because, ...fields }, 'message refused')
  }

  async function receive(topic: string, bytes: Uint8Array): Promise<void> {
    const terminal = terminalOfUpTopic(topic)
    if (terminal === undefined) return refuse('foreign topic', { topic: topic.slice(0, 200) })
    const enrolled = await store.terminal(terminal)
    if (enrolled === undefined) return refuse('unknown terminal', { terminal })
    const opened = await (await openerOf(enrolled.key))(bytes)
    if ('broken' in opened) return refuse(opened.broken, { terminal })
    if (opened.message.terminal !== terminal) return refuse('another terminal', { terminal })
    await handle(opened.message)
  }

  function openerOf(key: PublicKeyJson): Promise<OpenSeal<UpMessage>> {
    const known = openers.get(key.x)
    if (known !== undefined) return known
    const opener = createOpener(key)
    openers.set(key.x, opener)
    return opener
  }

  async function handle(message: UpMessage): Promise<void> {
    const { terminal } = message
    switch (message.type) {
      case 'hello': {
        log.info(
          { terminal, epoch: message.epoch, software: message.software, openSales: message.openSales.length }, 'terminal said hello')
        greeted.set(terminal, new Set(message.openSales))
        await rememberBoot(message)
        const frozen = (await store.terminal(terminal))?.frozen ?? null
        const welcome = { type: 'welcome', re: message.id, charging: frozen === null && await canCharge() } as const
        await link.publish(downTopic(terminal, 'welcome'), await seal(dress(welcome, terminal)))
        for (const sale of message.openSales) await repeatWord(terminal, sale)
        return
      }
      case 'gone':
        log.warn({ terminal, epoch: message.epoch }, 'terminal gone')
        return
      case 'sale.open':
        return request(message, { type: 'sale opened', terminal, order: message.order, request: message.id })
      case 'sale.ask':
        return request(message, { type: 'sale asked after', terminal, order: message.order, request: message.id, showing: message.charge })
      case 'sale.close':
        return request(message, {
          type: 'close asked', terminal, order: message.order, request: message.id, reason: message.reason, showing: message.charge,
        })
      case 'sale.undelivered':
        return request(message, { type: 'goods in doubt', terminal, order: message.order, request: message.id, showing: message.charge })
    }
  }

  /** A repeated request gets the same bytes; a new one goes to its sale, unless the sale is another's. */
  async function request({ terminal, id, order }: { terminal: string; id: string; order: Order }, event: Event): Promise<void> {
    if (!lanes.has(order.sale) && lanes.size >= LANES_MAX) return refuse('too many sales at once', { terminal })
    // All of it in the lane: whoever asks twice, or asks for another's sale, may do so in the same breath.
    await inLane(order.sale, async () => {
      const said = await store.reply(terminal, id)
      if (said !== undefined) return void repeatReply(said)
      const state = (await store.sale(order.sale)) ?? initial
      if (state.phase !== 'none' && !sameOrder(state, terminal, order)) {
        return refuse('another order', { terminal, sale: order.sale })
      }
      if (state.phase === 'none' && (await store.openSalesOf(terminal)).length >= OPEN_SALES_MAX) return refuse('too many open sales', { terminal })
      if (event.type === 'sale opened' && (await store.terminal(terminal))?.frozen !== null) return refuse('frozen', { terminal })
      await take(order.sale, state, step(state, event, given(mayBeKnown(terminal, order.sale))), event.type)
    })
  }

  async function repeatReply({ topic, sealed }: { topic: string; sealed: string }): Promise<void> {
    try {
      await link.publish(topic, sealed)
    } catch (error) {
      // It will be asked for again.
      log.warn({ error: error instanceof Error ? error.message : String(error) }, 'answer not repeated')
    }
  }

  /** One look serves every terminal that says hello within the next few seconds. */
  function canCharge(): Promise<boolean> {
    if (looked === undefined || clock.now() - looked.at >= LOOK_EVERY_MS) looked = { at: clock.now(), answer: look() }
    return looked.answer
  }

  /** A sale needs the payment API, and room on our own disk. */
  async function look(): Promise<boolean> {
    try {
      await store.setMark('looked at', String(clock.now()))
    } catch (error) {
      complain(error, 'database cannot be written')
      return false
    }
    return effects.reachable()
  }

  /**
   * A terminal that started anew and does not name an open sale has forgotten it: nobody waits for its lease. A boot that comes
   * back after another one took its place is a second box with the same identity, and neither may sell.
   */
  async function rememberBoot({ terminal, epoch, boot, openSales, forgot }: Extract<UpMessage, { type: 'hello' }>): Promise<void> {
    const known = await store.boots(terminal)
    if (known?.boot === boot) return
    const seen: Boots = { epoch, boot, previous: known?.boot ?? null, ...returnsOf(known, boot, clock.now()) }
    const { returns } = seen
    await store.rememberBoots(terminal, seen)
    if (returns >= RETURNS_MAX) {
      await store.freeze(terminal, 'two boxes use its identity')
      log.error({ terminal, epoch, returns }, 'two boxes use one identity: the terminal is frozen until it is enrolled anew')
    }
    // A terminal has one sale at a time and begins no other before one was told: only its latest can be in doubt.
    const latest = forgot || (known !== undefined && epoch <= known.epoch) ? await store.latestSaleOf(terminal) : undefined
    if (latest !== undefined) log.warn({ terminal, epoch, latest }, 'terminal lost its journal')
    for (const sale of new Set([...await store.openSalesOf(terminal), ...(latest === undefined ? [] : [latest])])) {
      if (!openSales.includes(sale)) await enqueue(sale, { type: 'terminal forgot' })
    }
  }

  async function repeatWord(terminal: string, sale: string): Promise<void> {
    const state = await store.sale(sale)
    if (state === undefined || state.phase === 'none' || state.terminal !== terminal) return
    await enqueue(sale, { type: 'sale asked after', terminal, order: state.order, request: null, showing: null })
  }

  async function takeHint(hint: Hint): Promise<boolean> {
    // A creation is no news to who created it.
    if (hint.charge === undefined || hint.key === 'charge.create' || heard.has(hint.event)) return true
    const isDispute = hint.objectKind === 'dispute'
    const sale = await store.saleOfCharge(hint.charge) ?? (isDispute ? await store.saleWithMoneyOf(hint.charge) : undefined)
    if (sale === undefined) return false
    if (heard.size >= HEARD_MAX) heard.clear()
    heard.add(hint.event)
    await enqueue(sale, isDispute ? { type: 'dispute seen', charge: hint.charge } : { type: 'hint received' })
    return true
  }

  async function see(charge: Charge): Promise<boolean> {
    const of = saleOf(charge)
    if (of === 'unreadable') log.error({ charge: charge.id, status: charge.status }, 'a charge names a sale of ours that cannot be read')
    if (typeof of === 'string') return true
    // Another gateway may use the same account: its sales are its own.
    if (await store.terminal(of.terminal) === undefined) {
      log.warn({ charge: charge.id, terminal: of.terminal }, 'a charge of a terminal that is not ours')
      return true
    }
    return enqueue(of.order.sale, { type: 'charge seen', ...of, charge })
  }

  // -- One lane a sale: step, commit, act --------------------------------------------------------------------------

  function enqueue(sale: string, event: Event): Promise<boolean> {
    return inLane(sale, async () => {
      const state = (await store.sale(sale)) ?? initial
      await take(sale, state, step(state, event, given()), event.type)
    })
  }

  /** A database that is another's, or whose medium failed, ends this process; anything else is one thing that went wrong. */
  function complain(error: unknown, what: string, fields: object = {}): void {
    log.error({ ...fields, error }, what)
    if (error instanceof StoreError) fatal(error)
  }

  /** False when the work failed. */
  function inLane(sale: string, work: () => Promise<void>): Promise<boolean> {
    const before = lanes.get(sale) ?? Promise.resolve()
    const mine = before.then(work).then(() => true, (error: unknown) => {
      // A commit that failed changed nothing; the deadline or the terminal's retry comes back to this sale.
      complain(error, 'step failed', { sale })
      return false
    }).finally(() => {
      if (lanes.get(sale) === mine) lanes.delete(sale)
    })
    lanes.set(sale, mine)
    return mine
  }

  async function take(sale: string, before: State, next: Step, event: string): Promise<void> {
    const { state, words, entries, concerns, effects: commands } = next
    const changes = state !== before || words.length + entries.length + concerns.length > 0
    if (!changes && commands.length === 0) return
    // What changed nothing -- a hint that makes us look -- costs no commit.
    if (state.phase !== 'none' && changes) await commit(sale, state, next, event)
    if (words.length > 0) void say()
    for (const effect of commands) void act(sale, effect)
    log.info({ sale, reference: referenceOf(sale), event, from: before.phase, ...aboutStep(next) }, 'charge step')
    for (const { charge, reason } of concerns) log.error({ sale, reference: referenceOf(sale), charge, reason }, 'a person must look')
  }

  async function commit(sale: string, state: Exclude<State, { phase: 'none' }>, { words, entries, concerns }: Step, event: string): Promise<void> {
    const sealed = await Promise.all(words.map((word) => sealWord(word, state.terminal)))
    await store.commit({ sale, state, deadline: deadline(state), entries, concerns, words: sealed, event, at: clock.now() })
    remember(sale, deadline(state))
  }

  async function act(sale: string, effect: Effect): Promise<void> {
    if (stopped) return
    try {
      const event = await effects.execute(effect)
      if (event !== undefined && !stopped) await enqueue(sale, event)
    } catch (error) {
      // A broken command is one without an answer: the sale's deadline does it again.
      log.error({ sale, effect: effect.do, error }, 'command failed')
    }
  }

  // -- What goes out -----------------------------------------------------------------------------------------------

  async function sealWord(word: Word, terminal: string): Promise<Outgoing> {
    const message = dress(word, terminal)
    return { topic: downTopic(terminal, word.type), terminal, re: word.re, counter: message.counter, sealed: await seal(message) }
  }

  /** Later words carry larger counters, across restarts and restored backups: the counter follows the clock. */
  function dress(word: Word | { readonly type: 'welcome'; readonly re: string; readonly charging: boolean }, terminal: string): DownMessage {
    counter = Math.max(counter + 1, clock.now())
    return { v: WIRE_VERSION, terminal, counter, time: new Date(clock.now()).toISOString(), ...word }
  }

  /** Empties the outbox in order. One at a time; a wake-up during the work makes one more round. */
  function say(): Promise<void> {
    sayAgain = true
    saying ??= emptyOutbox()
    return saying
  }

  async function emptyOutbox(): Promise<void> {
    try {
      while (sayAgain && !stopped) {
        sayAgain = false
        for (const { seq, topic, sealed } of await store.outbox(OUTBOX_BATCH)) {
          await link.publish(topic, sealed)
          await store.said(seq)
          sayAgain = true
        }
      }
    } catch (error) {
      log.warn({ error: error instanceof Error ? error.message : String(error) }, 'words wait for the broker')
      cancelRetry()
      cancelRetry = clock.alarm(clock.now() + SAY_RETRY_MS, () => void say())
    } finally {
      saying = undefined // In the same breath as the last look: a wake-up finds either this work or none.
    }
  }

  // -- Time --------------------------------------------------------------------------------------------------------

  function remember(sale: string, at: number | undefined): void {
    if (at === undefined) deadlines.delete(sale)
    else deadlines.set(sale, at)
    setAlarm()
  }

  function setAlarm(): void {
    cancelAlarm()
    let next = Infinity
    for (const at of deadlines.values()) next = Math.min(next, at)
    if (next === Infinity || stopped) return
    const setAt = clock.now()
    cancelAlarm = clock.alarm(next, () => {
      // Somebody set the clock back: no deadline would come for as long. Look at every sale as after a restart.
      if (clock.now() < setAt - CLOCK_SET_BACK_MS) return void takeUp().catch((error: unknown) => complain(error, 'sales not taken up'))
      const due = [...deadlines].filter(([, at]) => at <= clock.now())
      for (const [sale] of due) {
        deadlines.delete(sale) // Until its step sets the next one.
        void enqueue(sale, { type: 'deadline reached' }).finally(() => recall(sale))
      }
      setAlarm()
    })
  }

  /** What was on its way for every open sale may or may not have happened. */
  async function takeUp(): Promise<void> {
    for (const { sale } of await store.openSales()) {
      await inLane(sale, async () => {
        const state = (await store.sale(sale)) ?? initial
        await take(sale, state, restore(state, given()), 'restarted')
      })
      await recall(sale)
    }
  }

  /** A step that failed or changed nothing must not lose its sale's deadline. */
  async function recall(sale: string): Promise<void> {
    if (stopped || deadlines.has(sale)) return
    try {
      const at = deadline((await store.sale(sale)) ?? initial)
      if (at !== undefined) remember(sale, Math.max(at, clock.now() + RECALL_MS))
    } catch (error) {
      complain(error, 'sale not read', { sale })
      remember(sale, clock.now() + RECALL_MS)
    }
  }

  function prune(): void {
    cancelPrune = clock.alarm(clock.now() + PRUNE_EVERY_MS, prune)
    store.prune(clock.now() - REPLY_KEPT_MS).catch((error: unknown) => complain(error, 'prune failed'))
  }

  return {
    async start() {
      await store.own()
      startedAt = clock.now()
      counter = await store.counter()
      await takeUp()
      await link.start((topic, bytes) => {
        receive(topic, bytes).catch((error: unknown) => complain(error, 'message failed'))
      })
      prune()
      void say()
    },
    hint: takeHint,
    see,
    async disputed(charge) {
      const sale = await store.saleOfCharge(charge) ?? await store.saleWithMoneyOf(charge) // Also of a charge the sale is not bound to.
      return sale === undefined || enqueue(sale, { type: 'dispute seen', charge })
    },
    refused: () => ({ ...refusals }),
    async stop() {
      stopped = true
      cancelAlarm()
      cancelRetry()
      cancelPrune()
      await Promise.all([...lanes.values(), saying])
      await link.close()
    },
  }
}

function returnsOf(known: Boots | undefined, boot: string, now: number): Pick<Boots, 'returns' | 'returnedAt'> {
  const { returns = 0, returnedAt = 0, previous = null } = known ?? {}
  const ago = now - returnedAt
  if (previous !== boot || (ago >= 0 && ago < BURST_MS)) return { returns, returnedAt }
  return { returns: (ago < RETURNS_MS ? returns : 0) + 1, returnedAt: now }
}

function sameOrder(state: Exclude<State, { phase: 'none' }>, terminal: string, order: Order): boolean {
  const known = state.order
  return state.terminal === terminal && known.nonce === order.nonce && known.amountMinor === order.amountMinor
    && known.currency === order.currency && known.method === order.method
}

function aboutStep({ state, words, effects }: Step): object {
  const verdict = words.find((word) => word.type === 'sale.verdict')
  return {
    to: state.phase,
    ...(state.phase === 'none' ? {} : { terminal: state.terminal, charge: state.phase === 'intent' ? null : state.charge }),
    words: words.map(({ type }) => type),
    effects: effects.map((effect) => effect.do),
    ...(verdict === undefined ? {} : { ending: verdict.ending }),
  }
}
