/**
 * The terminal's shell: one queue of events in; sale.ts steps; the journal is written; then effects leave and the view
 * is drawn. It owns the one timer. It decides nothing about a sale and knows no driver by name.
 *
 *   sources, link, timer, panel -> [queue] -> step -> journal -> effects -> link, sources
 *                                                           \-> view -> render -> read back -> panel, lamps
 */
import type { Logger } from 'pino'
import type { Answer, Delivery, Hardware, Input, NamedSource, PartName } from '../drivers/driver.js'
import type { Clock } from './clock.js'
import type { CloudLink, LinkEvent } from './cloud-link.js'
import { createDisplay } from './display.js'
import type { Journal } from './journal.js'
import { type Amount, formatAmount, formatMajor, parseAmount } from './protocol/money.js'
import { type Order, referenceOf } from './protocol/wire.js'
import type { Renderer } from './render.js'
import {
  type AskedBy, closeRequestOf, deadline, type Effect, type Event, type Given, initial, type NotReady, type PartFault, record, restore, type Sale,
  type SaleVerdict, type State, step, type Step, type Terms, undeliveredRequestOf,
} from './sale.js'
import { type Health, type View, view, viewDeadline } from './view.js'
import { registerReason } from './words.js'

export interface Terminal {
  /** Blanks the panel before anything else, takes up what the journal holds, then listens. */
  start(): Promise<void>
  status(): Status
  stop(): Promise<void>
}

export interface Status {
  readonly phase: State['phase']
  readonly notReady: NotReady | undefined
  /** A sentence for each part of the box that is missing. */
  readonly missing: Readonly<Partial<Record<PartName, string>>>
  /** Inputs and words that were refused, by reason. */
  readonly refused: Readonly<Record<string, number>>
}

export interface Tools {
  readonly hardware: Hardware
  readonly journal: Journal
  readonly link: CloudLink
  readonly renderer: Renderer
  readonly terms: Terms
  /** What the box's buttons cost, by their names. */
  readonly prices?: ReadonlyMap<string, Amount>
  readonly clock: Clock
  /** Milliseconds since 1970, for the journal's readers only. */
  readonly wallMs: () => number
  readonly mint: { readonly id: () => string; readonly nonce: () => string }
  /** Called, perhaps twice, when nothing may go on: the journal could not be written. Must end this process. */
  readonly fatal: (error: unknown) => void
  readonly log: Logger
}

/** Keys are dropped beyond this many waiting events; the gateway's words and deadlines never are. */
const QUEUE_MAX = 256
/** Refusals on their way to whoever asked. */
const ANSWERS_MAX = 16
/** How long a dying process waits for its panel. */
const BLANK_MS = 10_000
const SOURCE_RETRY_MS = 5_000

/** A profile that asks for it has it; else whoever looks at the sale must know. */
const nothingToRelease: Promise<Delivery> = Promise.resolve({ delivery: 'unknown', why: 'this box has nothing that lets goods out' })

export function createTerminal(tools: Tools): Terminal {
  const { hardware, journal, link, terms, clock, log } = tools
  const refusals: Record<string, number> = {}
  const queue: Event[] = []
  const display = createDisplay(tools, {
    codeNotShown: (sale) => post({ type: 'code not shown', sale }),
    changed: () => refresh(),
    drawn(view, sale) {
      standing = { view, sale }
      toldByPanel()
    },
  })
  /** The picture on the panel, and the sale that it tells of. */
  let standing: { readonly view: View; readonly sale: string | undefined } | undefined
  let state: State = initial
  let recorded = JSON.stringify(journal.last())
  let endingSaid = ''
  let readinessSaid: NotReady | undefined = 'starting'
  let answering = 0
  /** The sale whose goods are in doubt. */
  let complaint = ''
  let linkUp = false
  let charging = true
  let started = false
  let working = false
  let stopped = false
  let cancelAlarm = (): void => undefined

  const notReady = (): NotReady | undefined =>
    !started ? 'starting'
      : display.faulty() || display.codeFault() ? 'panel fault'
      : partFault() ?? linkFault()

  /** Without anything to ask with there is no sale; without what lets goods out there is none that could be finished. */
  function partFault(): PartFault | undefined {
    const { parts: { faults }, sources } = hardware
    if (faults.has('release')) return 'release fault'
    const [first, ...others] = sources
    return first !== undefined && [first, ...others].every(({ part }) => faults.has(part)) ? `${first.part} fault` : undefined
  }

  const linkFault = (): NotReady | undefined =>
    !linkUp ? 'link down'
      : !charging ? 'no charging'
      : undefined

  const given = (): Given => ({
    now: clock.now(), freshId: tools.mint.id(), freshNonce: tools.mint.nonce(), terms, notReady: notReady(),
  })

  // -- Events in ---------------------------------------------------------------------------------------------------

  function post(event: Event): void {
    if (stopped) return
    queue.push(event)
    if (working) return
    working = true
    try {
      for (let next = queue.shift(); next !== undefined && !stopped; next = queue.shift()) {
        take(step(state, next, given()), next.type)
      }
    } finally {
      working = false
    }
    refresh()
  }

  /** A register that waits for its sale's answer would take a NO to noise on the line for it. */
  function isAwaited(): boolean {
    const isSettled = state.phase === 'settled' && state.told
    return state.phase !== 'idle' && !isSettled && state.sale.askedBy === 'register'
  }

  function takeInput(from: NamedSource, input: Input): void {
    if (!started) return answer(from, { answer: 'no', reason: 'starting' })
    switch (input.type) {
      case 'digit pressed':
      case 'point pressed':
      case 'clear pressed':
      case 'enter pressed':
      case 'cancel pressed':
        if (queue.length >= QUEUE_MAX) return count('key dropped')
        return post(input)
      case 'product chosen': {
        const price = tools.prices?.get(input.product)
        if (price === undefined) return log.warn({ product: input.product }, 'a button without a price')
        if (queue.length >= QUEUE_MAX) return count('key dropped')
        return post({ type: 'product chosen', price })
      }
      case 'amount asked': {
        const amount = parseAmount(input.amount, terms.currency)
        if (amount !== undefined) return post({ type: 'amount asked', amount })
        count('not an amount')
        return isAwaited() ? undefined : answer(from, { answer: 'no', reason: 'not an amount' })
      }
      case 'nonsense received':
        count('nonsense')
        log.warn({ kind: from.kind, what: input.what }, 'nonsense from a source')
        return isAwaited() ? undefined : answer(from, { answer: 'no', reason: 'not understood' })
    }
  }

  function takeLink(event: LinkEvent): void {
    switch (event.type) {
      case 'link up':
        linkUp = true
        return post({ type: 'link restored' })
      case 'link down':
        linkUp = false
        return refresh()
      case 'charging changed':
        charging = event.charging
        log.warn({ charging }, 'charging changed')
        return refresh()
      case 'offer received':
      case 'verdict received':
      case 'reversal received':
        return post(event)
    }
  }

  // -- Step, journal, act ------------------------------------------------------------------------------------------

  function take(next: Step, event: string): void {
    const before = state
    if (!write(next.state)) return
    state = next.state
    for (const effect of next.effects) act(effect)
    if (state.phase !== before.phase || next.effects.length > 0) {
      const effects = next.effects.map((effect) => effect.do)
      log.info({ event, from: before.phase, to: state.phase, effects, ...aboutSale(state) }, 'sale step')
    }
  }

  /** Record, then act. False when the medium did not take the record: then this process ends before anything leaves it. */
  function write(next: State): boolean {
    const now = record(next)
    const json = JSON.stringify(now)
    if (json === recorded) return true
    try {
      journal.record(now, tools.wallMs())
      recorded = json
      return true
    } catch (error) {
      halt(error)
      return false
    }
  }

  /** A panel may keep its picture for days after this process: the last thing done is to take a payable code off it. */
  function halt(error: unknown): void {
    stopped = true
    cancelAlarm()
    void display.blank().finally(() => tools.fatal(error))
    clock.alarm(clock.now() + BLANK_MS, () => tools.fatal(error))
  }

  function act(effect: Effect): void {
    switch (effect.do) {
      case 'open sale':
        return link.send({ type: 'sale.open', id: `${effect.sale.id}.open`, order: orderOf(effect.sale) })
      case 'ask after sale':
        return link.send({
          type: 'sale.ask', id: `${effect.sale.id}.ask.${effect.asks}`, order: orderOf(effect.sale), charge: effect.charge,
        })
      case 'close sale':
        return link.send({
          type: 'sale.close', id: closeRequestOf(effect.sale), order: orderOf(effect.sale), charge: effect.charge, reason: effect.doubt,
        })
      case 'let goods out':
        return void letGoodsOut(effect.sale, effect.pulses)
      case 'report undelivered':
        complain(effect.sale)
        return link.send({
          type: 'sale.undelivered', id: undeliveredRequestOf(effect.sale), order: orderOf(effect.sale), charge: effect.charge,
        })
      case 'tell outcome':
        return tell(effect.sale, effect.verdict)
      case 'refuse':
        count(effect.refusal.reason)
        return answerAll(effect.askedBy, { answer: 'no', reason: effect.refusal.text })
      case 'discard word':
        count(effect.because)
        return log.warn({ sale: effect.sale, because: effect.because }, 'word not believed')
    }
  }

  /** Once in a life: the report itself is repeated until it is answered. */
  function complain({ id }: Sale): void {
    if (complaint !== id) log.error({ sale: id, reference: referenceOf(id) }, 'paid, and nobody knows whether the goods came out')
    complaint = id
  }

  /** What this does not report, the deadline of the state does. */
  async function letGoodsOut(sale: Sale, pulses: number): Promise<void> {
    try {
      const delivery = await (hardware.release?.release(pulses) ?? nothingToRelease)
      log.info({ sale: sale.id, pulses, ...delivery }, 'goods let out')
      post({ type: 'goods let out', sale: sale.id, known: delivery.delivery !== 'unknown' })
    } catch (error) { // Against its promise. Whatever it did before, it is not done again.
      log.error({ sale: sale.id, error }, 'release failed')
      post({ type: 'goods let out', sale: sale.id, known: false })
    }
  }

  /** The answer is told when it has left this process; until then the deadline tells it again. */
  function tell(sale: Sale, verdict: SaleVerdict): void {
    const { charge, ending } = verdict
    // Told again and again while nobody takes it; said once.
    if (endingSaid !== sale.id) log.info({ sale: sale.id, reference: referenceOf(sale.id), amount: formatAmount(sale.amount), charge, ending }, 'sale ended')
    endingSaid = sale.id
    const listeners = hardware.sources.filter(({ kind }) => kind === sale.askedBy)
    const answered = Promise.all(listeners.map(({ source }) => source.answer(answerOf(sale, verdict))))
    answered.then(() => { if (sale.askedBy === 'register') told(sale.id) }, (error: unknown) => {
      log.error({ sale: sale.id, error }, 'outcome not told')
    })
  }

  /**
   * Nobody hears what a keypad is answered: the panel is the answer, once it can be read. PAID may stand there already when
   * its goods are out.
   */
  function toldByPanel(): void {
    if (standing === undefined || state.phase !== 'settled' || state.told || state.sale.askedBy !== 'keypad') return
    const { view: { screen }, sale } = standing
    const isEnding = screen === 'paid' || screen === 'not paid' || screen === 'ask staff' || screen === 'undelivered'
    if (isEnding && sale === state.sale.id) told(sale)
  }

  const told = (sale: string): void => post({ type: 'outcome told', sale })

  /** A register that is not plugged in yet is tried again; the rest of the box goes on without it. */
  async function startSource(from: NamedSource): Promise<void> {
    if (stopped) return
    try {
      await from.source.start((input) => takeInput(from, input))
    } catch (error) {
      log.error({ kind: from.kind, error }, 'amount source does not open')
      clock.alarm(clock.now() + SOURCE_RETRY_MS, () => void startSource(from))
    }
  }

  function answerAll(askedBy: AskedBy, text: Answer): void {
    for (const source of hardware.sources) if (source.kind === askedBy) answer(source, text)
  }

  /** A refusal nobody waits for. Who asks faster than it listens is answered no more, until what was said has left. */
  function answer({ source, kind }: NamedSource, text: Answer): void {
    if (answering >= ANSWERS_MAX) return count('answer dropped')
    answering++
    source.answer(text)
      .catch((error: unknown) => log.warn({ kind, error }, 'answer not sent'))
      .finally(() => { answering-- })
  }

  function count(what: string): void {
    refusals[what] = (refusals[what] ?? 0) + 1
  }

  // -- View and time -----------------------------------------------------------------------------------------------

  function refresh(): void {
    if (stopped) return
    const now = clock.now()
    const because = notReady()
    if (because !== readinessSaid) log.info({ notReady: because ?? 'it is ready' }, 'readiness changed')
    readinessSaid = because
    const health: Health = { notReady: because, codeFault: display.codeFault(), missing: [...hardware.parts.faults.keys()] }
    display.show(view(state, health, now), saleShown(state))
    toldByPanel()
    const wake = Math.min(deadline(state) ?? Infinity, viewDeadline(state, now) ?? Infinity)
    cancelAlarm()
    if (wake !== Infinity) cancelAlarm = clock.alarm(wake, () => post({ type: 'deadline reached' }))
  }

  return {
    async start() {
      await display.blank()
      hardware.parts.watch(refresh)
      if (journal.damaged !== undefined) log.error({ kept: journal.damaged }, 'journal was damaged; it was kept aside')
      await Promise.all(hardware.sources.map(startSource)) // An outcome told again needs somebody to tell it to.
      take(restore(journal.last(), given()), 'restarted')
      if (stopped) return
      started = true
      refresh()
      await link.start(takeLink)
      log.info({ epoch: journal.epoch }, 'terminal ready')
    },
    status: () => ({
      phase: state.phase, notReady: notReady(), missing: Object.fromEntries(hardware.parts.faults), refused: { ...refusals, ...link.refused() },
    }),
    async stop() {
      stopped = true
      cancelAlarm()
      // No payable code stays on a panel that keeps its picture, however long the link takes to end.
      await Promise.all([display.blank(), link.stop()])
    },
  }
}

/** Of a sale that is told by the panel, or whose code must be seen on it. */
function saleShown(state: State): string | undefined {
  return state.phase === 'presenting' || state.phase === 'delivering' || state.phase === 'settled' ? state.sale.id : undefined
}

function orderOf({ id, nonce, amount, method }: Sale): Order {
  return { sale: id, nonce, amountMinor: amount.minor, currency: amount.currency, method }
}

function answerOf(sale: Sale, { ending, charge }: SaleVerdict): Answer {
  switch (ending.outcome) {
    case 'paid':   return { answer: 'ok', amount: formatMajor(sale.amount), sale: sale.id, charge: charge ?? '-' }
    case 'unpaid': return { answer: 'no', reason: registerReason(ending.reason, referenceOf(sale.id)) }
  }
}

function aboutSale(state: State): object {
  switch (state.phase) {
    case 'idle':
      return {}
    case 'opening':
    case 'presenting':
    case 'resolving':
    case 'delivering':
    case 'settled':
      return { sale: state.sale.id, reference: referenceOf(state.sale.id), amount: formatAmount(state.sale.amount) }
  }
}
