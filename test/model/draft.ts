/**
 * A move as it is played: a copy of the world, and what each of its parts does when something reaches it -- the terminal,
 * the gateway, Omise. Here stands how the shells treat the two machines: record, then act; state, ledger, words and replies
 * in one commit; a repeated request gets the same bytes.
 */
import type * as charge from '../../cloud/charge.js'
import type * as sale from '../../device/sale.js'
import { faultOfDecision, faultOfIdle, faultOfTold } from './invariants.js'
import {
  type ChargeStep, COUNTER_MAX, GATEWAY_EVENTS, type Machines, type Request, type SaleStep, type Unsealed, type Word,
} from './machines.js'
import { type Chapter, type Charge, codeOf, grown, isPending, leftMinor, newCharge, now, type Oddity, refundsOf, seen, tookMoney } from './omise.js'
import type { Values } from './values.js'
import { NO_CALLS, type Past, type Records, type Size, type World } from './world.js'

const TURNS_MAX = 100

/** What a move is made with. */
export interface Kit {
  readonly size: Size
  readonly machines: Machines
  readonly one: Values['one']
}

/**
 * A move under construction. `prompt`: everything said in this move arrives in it, and every call is done and answered in
 * it. Otherwise it is only under way, and its arrival is a move of its own.
 */
export class Draft {
  world: World
  wrong: string | undefined
  readonly kit: Kit
  readonly prompt: boolean
  private turns = 0

  constructor(world: World, kit: Kit, prompt: boolean) {
    this.world = world
    this.kit = kit
    this.prompt = prompt
  }

  /** The world stays the very same when nothing changes in it. */
  change(parts: Partial<World>): void {
    // The names of `parts` are names of a world.
    if ((Object.keys(parts) as (keyof World)[]).some((part) => parts[part] !== this.world[part])) this.world = { ...this.world, ...parts }
  }

  changePast(parts: Partial<Past>): void {
    this.change({ past: { ...this.world.past, ...parts } })
  }

  crash(): void {
    this.changePast({ crashes: this.world.past.crashes + 1 })
  }

  // -- The terminal -----------------------------------------------------------------------------------------------------

  /** Its next state is in the journal; then its effects leave, unless the power goes in between. */
  terminalTakes(step: SaleStep, powerGoes = false): void {
    this.countTurn()
    this.blame(step.fault)
    this.change({ terminal: powerGoes ? step.cut : step.on })
    if (powerGoes) return
    if (step.code !== undefined) this.show(step.code)
    if (step.tells !== undefined) this.tell(step.tells)
    for (const request of step.requests) this.request(request)
  }

  /** `late`: the code's time is over when it arrives. */
  terminalHears(word: Word, late = false, powerGoes = false): void {
    const { terminal } = this.world
    const { machines } = this.kit
    if (terminal.power === 'on') this.terminalTakes(machines.terminalTakes(terminal.state, machines.heardWord(word, late)), powerGoes)
  }

  private show(code: string): void {
    const charge = this.world.omise.find(({ id }) => codeOf(id) === code)
    if (charge === undefined) return this.blame('I8: a code is on the panel that Omise did not make')
    this.putCharge({ ...charge, shown: true, begun: charge.begun || isPending(charge) })
  }

  private tell(verdict: sale.SaleVerdict): void {
    this.blame(faultOfTold(this.world, verdict))
    if (this.world.past.told === null) this.changePast({ told: verdict })
  }

  private request(request: Request): void {
    if (request.type !== 'ask') this.change({ requests: this.withOne(this.world.requests, request) })
    if (this.prompt) this.gatewayHears(request)
  }

  // -- The gateway ------------------------------------------------------------------------------------------------------

  /** A repeated request gets the same bytes. `from`: the gateway's state at another time. */
  gatewayHears(request: Request, { from = this.world.gateway, blindly = false } = {}): void {
    const reply = request.type === 'ask' ? undefined : this.world.replies[request.type]
    if (reply !== undefined) return this.prompt && reply !== null ? this.terminalHears(reply) : undefined
    const { gatewayTakes, gatewayTakesBlindly, requestHeard } = this.kit.machines
    this.gatewayCommits((blindly ? gatewayTakesBlindly : gatewayTakes)(from, requestHeard(request)))
  }

  /** A hello that names the sale: the gateway says again where it stands. */
  gatewayHearsHello(from = this.world.gateway): void {
    if (from.phase !== 'none') this.gatewayTakes(GATEWAY_EVENTS.hello, from)
  }

  gatewayTakes(event: charge.Event, from = this.world.gateway): void {
    this.gatewayCommits(this.kit.machines.gatewayTakes(from, event))
  }

  /** State, entries, concerns, words and replies together; then the calls. */
  gatewayCommits(step: ChargeStep): void {
    this.countTurn()
    this.blame(step.fault ?? faultOfDecision(this.world, step))
    if (step.before.phase === 'bound' && step.state.phase === 'intent') this.change({ codes: this.withOne(this.world.codes, step.before.charge) })
    this.change({ gateway: step.state })
    if (step.posted.length + step.concerns.length > 0) this.post(step)
    const words = step.words.map((word) => this.say(word))
    if (this.prompt) for (const word of words) this.terminalHears(word)
    for (const effect of step.effects) {
      if (this.prompt) this.perform(effect)
      else this.send(effect)
    }
  }

  gatewayRestarts(): void {
    this.loseAnswers()
    const step = this.kit.machines.gatewayRestarts(this.world.gateway)
    if (step !== undefined) this.gatewayCommits(step)
  }

  /**
   * All that stood in its database is gone; its counter follows the clock, and Omise has what it has. To fetch a backup takes
   * longer than any call is under way: what was not done by now never will be.
   */
  gatewayForgets(backup: Records): void {
    this.changePast({ amnesia: true, reads: Object.fromEntries(this.world.omise.map((each) => [each.id, now(each)])) })
    this.change({ ...backup, ...NO_CALLS, backup: null })
    this.gatewayRestarts()
  }

  /** As the store posts it: under each key what came first, and no more. */
  private post({ posted, concerns }: ChargeStep): void {
    const { books } = this.world
    const fresh = posted.filter(([key]) => !books.posted.some((each) => each.startsWith(`${key}: `)))
    this.change({
      books: {
        posted: fresh.reduce((all, [key, lines]) => this.withOne(all, `${key}: ${lines}`), books.posted),
        concerns: concerns.reduce((all, key) => this.withOne(all, key), books.concerns),
      },
    })
  }

  private say(unsealed: Unsealed): Word {
    const word = this.kit.one(this.seal(unsealed))
    const { words, replies } = this.world
    this.change({ words: this.withOne(words, word) })
    const { re } = unsealed
    if (re !== null && re !== 'ask' && replies[re] === undefined) this.change({ replies: { ...replies, [re]: word } })
    return word
  }

  private seal(unsealed: Unsealed): Word {
    switch (unsealed.type) {
      case 'offer': {
        const { type, charge, payload } = unsealed
        return { type, charge, payload, counter: this.count(0) }
      }
      case 'verdict': {
        const { type, re, charge, ending } = unsealed
        return { type, re: re === 'close' ? re : null, charge, ending, counter: this.count(1) }
      }
      case 'reversed': {
        const { type, charge, amountMinor, voided } = unsealed
        return { type, charge, amountMinor, voided }
      }
    }
  }

  /** Never smaller than before: it follows the clock, so that a lost memory does not matter. */
  private count(parity: 0 | 1): number {
    const { counter } = this.world.past
    const next = counter % 2 === parity ? counter : counter + 1
    if (next > COUNTER_MAX) throw new Error(`a counter of more than ${COUNTER_MAX}`)
    if (next !== counter) this.changePast({ counter: next })
    return next
  }

  // -- Calls to Omise ---------------------------------------------------------------------------------------------------

  charge(id: string): Charge {
    const found = this.world.omise.find((each) => each.id === id)
    if (found === undefined) throw new Error(`there is no charge ${id}`)
    return found
  }

  grow(id: string, chapter: Chapter): Charge {
    return this.putCharge(grown(this.charge(id), chapter))
  }

  /** Undefined when the model has no room for another charge. */
  makeCharge(odd: Oddity | null = null): Charge | undefined {
    const { omise } = this.world
    return omise.length < this.kit.size.chargesMax ? this.putCharge(newCharge(`chrg_${omise.length + 1}`, odd)) : undefined
  }

  /** Undefined when not so much is left: Omise refuses. */
  makeRefund(id: string, by: 'us' | 'desk', amountMinor: number): Charge | undefined {
    return amountMinor > leftMinor(this.charge(id)) ? undefined : this.grow(id, `refund by ${by} of ${amountMinor}`)
  }

  private putCharge(charge: Charge): Charge {
    const known = this.kit.one(charge)
    const others = this.world.omise.filter(({ id }) => id !== charge.id)
    this.change({ omise: [...others, known].sort((a, b) => (a.id < b.id ? -1 : 1)) })
    return known
  }

  /** Done and answered at once. */
  private perform(effect: charge.Effect): void {
    const answer = this.answerOf(effect)
    if (answer !== undefined) this.gatewayTakes(this.kit.one(answer))
  }

  private answerOf(effect: charge.Effect): charge.Event | undefined {
    switch (effect.do) {
      case 'create charge': {
        const made = this.makeCharge()
        return made === undefined ? { type: 'create unanswered' } : { type: 'charge created', charge: seen(made) }
      }
      case 'find charges':
        return { type: 'charges found', charges: this.world.omise.map((each) => seen(each)) }
      case 'read code':
        return { type: 'code read', payload: codeOf(effect.charge) }
      case 'read charge':
        return { type: 'charge read', charge: seen(this.charge(effect.charge)) }
      case 'expire charge':
        return isPending(this.charge(effect.charge))
          ? { type: 'charge read', charge: seen(this.grow(effect.charge, 'expired')) }
          : { type: 'expire refused' }
      case 'expire orphan': {
        const orphan = this.charge(effect.charge)
        if (isPending(orphan)) this.grow(orphan.id, 'expired')
        return tookMoney(orphan) ? { type: 'charge read', charge: seen(orphan) } : undefined
      }
      case 'list refunds':
        return { type: 'refunds listed', charge: effect.charge, refunds: refundsOf(this.charge(effect.charge)) }
      case 'refund charge': {
        const made = this.makeRefund(effect.charge, 'us', effect.amountMinor)
        return made === undefined
          ? { type: 'refund refused', charge: effect.charge, code: 'failed_refund' }
          : { type: 'refund made', charge: effect.charge, refund: refundsOf(made).at(-1)! }
      }
    }
  }

  /** Only sent. What it does at Omise, and when, and whether its answer comes, are moves of their own. */
  private send(effect: charge.Effect): void {
    const { creates, find, lists, omise } = this.world
    switch (effect.do) {
      case 'create charge':
        return this.change({ creates: { ...creates, sent: creates.sent + 1 } })
      case 'find charges':
        return this.change({ find: older(find, Object.fromEntries(
          omise.filter(({ id }) => !this.kit.size.listLags || id === effect.showing).map((each) => [each.id, now(each)]))) })
      case 'read code':
      case 'read charge':
      case 'expire charge': // Doing it is Omise's own expiry, which may come at any time; its answer is a read, or a refusal.
      case 'expire orphan': // Likewise; and if it was paid, the sweeper sees it.
        return
      case 'list refunds':
        return this.change({ lists: earliest(lists, effect.charge, refundsOf(this.charge(effect.charge)).length) })
      case 'refund charge':
        this.letGo(effect.charge)
        return this.change({ refunds: { ...this.world.refunds, [effect.charge]: { amountMinor: effect.amountMinor, made: null } } })
    }
  }

  /** Nobody waits for this refund's answer any more. */
  letGo(id: string): void {
    const { refunds, looseRefunds } = this.world
    const { [id]: call, ...rest } = refunds
    if (call === undefined) return
    this.change({ refunds: rest, ...(call.made === null ? { looseRefunds: { ...looseRefunds, [id]: call.amountMinor } } : {}) })
  }

  /** The gateway's process ended: answers on their way find nobody. */
  private loseAnswers(): void {
    for (const id of Object.keys(this.world.refunds)) this.letGo(id)
    const { creates, looseRefunds } = this.world
    this.change({ ...NO_CALLS, creates: { sent: 0, made: [], loose: creates.loose + creates.sent }, looseRefunds })
  }

  // -- What makes no difference any more --------------------------------------------------------------------------------

  /** Worlds that differ only in what nobody will ever notice are made one world. */
  forget(): void {
    const { terminal, requests } = this.world
    if (terminal.power === 'on' && terminal.state.phase === 'idle' && requests.length > 0) {
      this.blame(faultOfIdle(this.world))
      this.change({ terminal: { power: 'over' } })
    }
    this.forgetWords()
    this.forgetAnswers()
  }

  private forgetWords(): void {
    const { words, replies, past } = this.world
    const terminal = this.kit.one(this.world.terminal)
    const audible = words.filter((word) => !this.kit.machines.isDeafTo(terminal, word))
    if (audible.length < words.length) this.change({ words: audible })
    if (terminal.power !== 'over') return
    if (Object.values(replies).some((reply) => reply !== null)) {
      this.change({ replies: Object.fromEntries(Object.keys(replies).map((request) => [request, null])) })
    }
    if (past.counter !== 0 && audible.length === 0) this.changePast({ counter: 0 })
  }

  /** What an answer can do no more, or the sweeper does as well: a sale takes what was found, created or seen alike once it is bound. */
  private forgetAnswers(): void {
    const { gateway, find, codes, creates } = this.world
    switch (gateway.phase) {
      case 'none':
      case 'intent':
        return
      case 'bound': {
        const made = creates.made.filter((id) => id !== gateway.charge)
        const others = codes.filter((id) => id !== gateway.charge)
        if (find !== null || made.length < creates.made.length || others.length < codes.length) {
          this.change({ find: null, codes: others, creates: { ...creates, made } })
        }
        return
      }
      case 'paid':
      case 'closed':
      case 'exception':
        if (find !== null || codes.length + creates.made.length > 0) this.change({ find: null, codes: [], creates: { ...creates, made: [] } })
    }
  }

  // -- Values -----------------------------------------------------------------------------------------------------------

  /** A sorted set: what is under way has no order. */
  withOne<T>(set: readonly T[], one: T): readonly T[] {
    const known = this.kit.one(one)
    if (set.includes(known)) return set
    return [...set, known].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
  }

  private blame(fault: string | undefined): void {
    this.wrong ??= fault
  }

  /** A move that never ends is a fault of the model, or of a machine that answers itself for ever. */
  private countTurn(): void {
    if (++this.turns > TURNS_MAX) throw new Error(`a move of more than ${TURNS_MAX} steps`)
  }
}

const earliest = (lists: Readonly<Record<string, number>>, id: string, count: number): Readonly<Record<string, number>> =>
  ({ ...lists, [id]: Math.min(lists[id] ?? count, count) })

/** Two looks at the list under way: an answer may be as old as the older of them. */
function older(one: World['find'], other: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  if (one === null) return other
  const both = Object.keys(other).filter((id) => one[id] !== undefined)
  return Object.fromEntries(both.map((id) => [id, Math.min(one[id]!, other[id]!)]))
}
